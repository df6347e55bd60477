"""What is claimed about policy gradients, and whether it is true: quantities, claims, the verification engine, the catalogue, the report.

import proofs_check
proofs_check.verify("npg-one-over-T")                    the verdict on a published theorem, with its evidence
proofs_check.verify(Claim(...))                          on one of your own
proofs_check.verify("npg-one-over-T", method=MyNPG)      somebody else's implementation against the theorem
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    **dict.fromkeys(("Claim", "Control", "Form", "Source"), "proofs_check.claim"),
    **dict.fromkeys(("Domain", "Between"), "proofs_check.domains"),
    **dict.fromkeys(("Statement", "equal", "parse_statement"), "proofs_check.statement"),
    **dict.fromkeys(("claims", "get_claim"), "proofs_check.catalogue"),
    **dict.fromkeys(("gap",), "proofs_check.quantities"),
    "Instance": "proofs_check.instance",
    "replay": "proofs_check.engine.replay",
    "verify": "proofs_check.engine.verify",
    "plot_run": "proofs_check.plots",
}
_FUNCTIONS = ("exp", "log", "sqrt", "Max", "Min", "Rational")
_MODULES = ("domains", "explore", "quantities", "reference", "store", "testing")
__all__ = [*_HOME, *_FUNCTIONS, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in _FUNCTIONS:
        return getattr(importlib.import_module("sympy"), name)
    if name in _MODULES:
        return importlib.import_module(f"proofs_check.{name}")
    raise AttributeError(f"module 'proofs_check' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
