"""`pgtheory reference`: exact figures of a model as fractions, for other programs' tests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mdps.errors import plural
from proofs_check.cli.output import line, print_json, table

LONGEST = 24
"""Characters of a fraction in a table; longer ones are shown as decimals, and --json holds them all."""


def list_models(as_json: bool) -> int:
    """The models that have a file, with the optimal and the uniform policy's value."""
    from proofs_check import reference

    cases = [reference.load(name) for name in reference.names()]
    if as_json:
        print_json([{"model": case.name, "file": str(reference.path(case.name))} for case in cases])
        return 0
    rows = [
        (case.name, str(case.data["states"]), str(case.data["actions"]), case.data["discount"])
        + tuple(_short(case.data[policy]["value"]) for policy in ("optimal", "uniform"))
        for case in cases
    ]
    table(("model", "states", "actions", "discount", "V*(start)", "V(start), uniform"), rows, right=(1, 2, 3, 4, 5))
    line(f"files: {reference.path(cases[0].name).parent}")
    return 0


def show_model(model: str, as_json: bool, out: Path | None) -> int:
    """One model's figures: a table, or the whole as JSON; of a model without a file they are computed."""
    from proofs_check import reference
    from proofs_check.files import write_whole
    from proofs_check.reference.files import written

    data = reference.load(model).data if model in reference.names() else reference.compute(model)
    if out is not None:
        write_whole(out, written(data))
    if as_json:
        sys.stdout.write(written(data))
        return 0
    _print(data)
    if out is not None:
        line(f" written: {out}")
    return 0


def rebuild_files() -> int:
    """Writes the committed files again."""
    from proofs_check.reference import files

    line(f"{plural(files.rebuild(), 'file')} written")
    return 0


def _print(data: dict[str, Any]) -> None:
    line(f" {data['model']}: {plural(data['states'], 'state')}, {plural(data['actions'], 'action')}, discount {data['discount']}")
    best, uniform = data["optimal"], data["uniform"]
    rows = [
        (str(s), _short(best["values"][s]), " ".join(map(str, best["all_actions"][s])), _short(uniform["values"][s]))
        for s in range(data["states"])
    ]  # fmt: skip
    table(("state", "V*", "optimal actions", "V uniform"), rows, right=(0, 1, 3))
    values = {"optimal": best["value"], "uniform policy": uniform["value"]}
    for kind in ("robust", "nested", "static"):
        values |= {f"{kind} {what}": found["value"] for what, found in data[kind].items()}
    line()
    table(("from the start distribution", "value"), [(key, _short(value)) for key, value in values.items()], right=(1,))
    line(" --json: all figures as fractions, with transitions, advantages, occupancy and gradients")


def _short(number: str) -> str:
    from fractions import Fraction

    return number if len(number) <= LONGEST else f"{float(Fraction(number)):.15g}"
