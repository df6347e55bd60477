"""Mutants that no search refutes because they are true: why, in a sentence.  `pgtheory mutate` prints the reason beside the survivor."""

from __future__ import annotations

REASONS: dict[str, dict[str, str]] = {}
"""{"claim:form": {name of the mutant: reason}}; the name may end in * to speak of all that begin so."""


def reason(claim: str, form: str, mutant: str) -> str:
    """Why that mutant is true; empty where no reason is known."""
    for name, text in REASONS.get(f"{claim}:{form}", {}).items():
        if name == mutant or (name.endswith("*") and mutant.startswith(name[:-1])):
            return text
    return ""
