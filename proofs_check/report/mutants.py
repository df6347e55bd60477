"""The mutation table of the report: what became of every systematic false version of each theorem, with the reason of each that is true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from proofs_check.report import words

CATEGORIES = {
    "refuted": "a counterexample, confirmed in exact arithmetic",
    "by hand": "false by a derivation: the instance is too large for the search, or a setting lies outside of what it samples",
    "implied": "a weaker truth: its bound is weaker than that of the theorem, of another form, or than the trivial one",
    "sharper": "true, though no weaker than the theorem: the reason is given",
    "open": "not refuted, and neither proved: said so in the catalogue",
    "unexplained": "not refuted, and nobody has said why",
}


def mutation_table(mutations: Sequence[Any], pages: dict[str, str]) -> dict[str, Any]:
    """What the page of mutants shows: the sums, and for each form its counts and its rows."""
    forms = [_form(one, pages) for one in mutations]
    total = {name: sum(form["counts"][name] for form in forms) for name in CATEGORIES}
    return {
        "forms": forms,
        "total": total,
        "mutants": sum(total.values()),
        "proved": sum(m.proved for one in mutations for m in one.mutants),
        "missing": sum(one.missing for one in mutations),
        "stale": sum(one.stale for one in mutations),
        "meanings": CATEGORIES,
    }


def _form(one: Any, pages: dict[str, str]) -> dict[str, Any]:
    rows = sorted((_row(mutant) for mutant in one.mutants), key=lambda row: -list(CATEGORIES).index(row["category"]))
    return {
        "claim": one.claim,
        "form": one.form,
        "anchor": anchor(one.claim, one.form),
        "page": pages.get(one.claim, ""),
        "statement": one.statement,
        "counts": {name: one.count(name) for name in CATEGORIES},
        "rows": rows,
        "same": one.same,
        "missing": one.missing,
        "stale": one.stale,
    }


def anchor(claim: str, form: str) -> str:
    """The id of a form's rows on the page."""
    return words.slug(f"{claim}--{form}")


def _row(mutant: Any) -> dict[str, str]:
    example = (mutant.verdict or {}).get("counterexample") or {}
    size = words.size(example.get("instance")) if example else ""
    at = f"t = {words.figure(example['t'])}" if example.get("t") else ""
    why = {
        "refuted": f"{size}{', ' if at else ''}{at}",
        "implied": f"by {mutant.by}: {mutant.evidence}",
        "sharper": mutant.reason if mutant.status == "survived" else f"by {mutant.by}: {mutant.reason}",
        "by hand": mutant.reason.removeprefix("false: "),
        "open": f"{mutant.reason.removeprefix('open: ')} ({mutant.evidence})",
    }.get(mutant.category, mutant.evidence)
    return {"name": mutant.name, "category": mutant.category, "statement": mutant.statement, "why": why}
