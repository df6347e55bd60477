"""`pgtheory claims`: the catalogue's index (generated JSON, so that listing loads no symbolic algebra), one claim, the quantities."""

from __future__ import annotations

from typing import Any

from mdps.errors import ModelError, nearest, plural
from proofs_check.catalogue import INDEX, check_named, index
from proofs_check.cli.output import line, print_json, table


def ids() -> list[str]:
    """The ids of the catalogue."""
    return [entry["id"] for entry in index()]


def print_list(family: str | None, as_json: bool) -> None:
    """All claims, or those of one family."""
    families = sorted({entry["family"] for entry in index()})
    if family is not None and family not in families:
        raise ModelError(f"there is no family {family!r}.{nearest(family, families)} The families are {', '.join(families)}")
    entries = [entry for entry in index() if family in (None, entry["family"])]
    if as_json:
        print_json(entries)
        return
    rows = [(entry["id"], entry["family"], entry["title"], source_text(entry)) for entry in entries]
    table(("claim", "family", "title", "source"), rows, fold=2)
    line()
    count = sum(len(entry.get("controls", [])) for entry in entries)
    line(f" {plural(len(entries), 'claim')} with {plural(count, 'negative control')};  pgtheory claims show ID  shows one")


def print_claim(claim_id: str, as_json: bool) -> None:
    """Everything about one claim."""
    from proofs_check.catalogue import get_claim

    check_named(claim_id)
    claim = get_claim(claim_id)
    forms = [_form(claim, form) for form in claim.forms]
    controls = [_form(claim, form) for form in claim.controls]
    entry = next(entry for entry in index() if entry["id"] == claim_id)
    if as_json:
        print_json(entry | {"departs": claim.departs, "uses": list(claim.uses), "forms": forms, "controls": controls})
        return
    line(claim.title)
    line(f"{claim.id}   {claim.family}   {source_text(entry)}")
    for heading, group in (("statements", forms), ("negative controls (false, and must come out refuted)", controls)):
        if group:
            line(f"\n{heading}")
        for form in group:
            line(f"  {form['name']}")
            line(f"    {form['statement']}")
            for key in ("assumes", "method", "settings", "because", "departs"):
                if form.get(key):
                    line(f"    {key}: {form[key]}")
    for heading, text in (("departs from the source", claim.departs), ("uses", ", ".join(claim.uses))):
        if text:
            line(f"\n{heading}\n  {text}")
    line(f"\npgtheory verify {claim.id}")


def print_quantities(as_json: bool) -> None:
    """Names and meanings of all quantities."""
    from proofs_check.quantities import quantities

    entries = [{"name": name, "meaning": q.meaning, "latex": q.latex, "varies": q.varies} for name, q in sorted(quantities().items())]
    if as_json:
        print_json(entries)
        return
    table(("quantity", "varies with", "meaning"), [(entry["name"], entry["varies"], " ".join(entry["meaning"].split())) for entry in entries], fold=2)
    line()
    line(" functions: log exp sqrt max min abs, + - * / **; numbers are exact (0.1 is 1/10); gap(rho, t) stands for gap_rho")


def source_text(entry: dict[str, Any]) -> str:
    """'agarwal2021theory, Theorem 5.3' from an index entry."""
    return ", ".join(part for part in (entry["source"], entry.get("where", "")) if part)


def rebuild() -> None:
    """Writes the index from the claims themselves."""
    from proofs_check.catalogue import build_index
    from proofs_check.files import to_json, write_whole

    line(f"written: {write_whole(INDEX, to_json(build_index()))}")


def _form(claim: Any, form: Any) -> dict[str, Any]:
    case = claim.case(form)
    if hasattr(case.statement, "sampler"):
        sampler, places = case.statement.sampler, [at.text() for at in case.instances]
        return {
            "name": form.name, "statement": case.statement.text(), "latex": case.statement.latex(), "assumes": f"on {'; '.join(places)}",
            "method": f"{sampler.name}: {sampler.meaning}", "settings": "", "because": case.because, "departs": form.departs,
        }  # fmt: skip
    settings = [f"{name} in [{rule.low}, {rule.high}]" if hasattr(rule, "low") else f"{name} = {rule}" for name, rule in case.settings.items()]
    assumptions = [assumption.text for assumption in case.domain.assumptions()]
    where = [f"{a} < {b}" for a, b in case.where]
    method = getattr(case.process, "name", "") or (type(case.process).__name__ if case.process is not None else "")
    return {
        "name": form.name, "statement": case.statement.text(), "latex": case.statement.latex(), "assumes": "; ".join([*assumptions, *where]),
        "method": method, "settings": ", ".join(settings), "because": case.because, "departs": form.departs,
    }  # fmt: skip
