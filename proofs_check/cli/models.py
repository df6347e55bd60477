"""`pgtheory solve`: one model in, figures out.  Its reading and writing serves `pgtheory run` too."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from mdps.errors import ModelError, plural
from mdps.rational import fraction
from proofs_check.cli.output import line, print_json, say, table
from proofs_check.files import to_json, write_whole

MOST_ROWS = 24
"""States (or recorded iterations) that a table on the terminal shows; `--json` and `--out` hold all."""
MOST_CHARACTERS = 45


def solve_model(spec: str, discount: str | None, *, exact: bool, method: str, tolerance: float, as_json: bool, out: Path | None) -> int:
    """Solves MODEL and prints it; the exact answer comes with its certificate checked."""
    from mdps.io import load_model

    check_ending(out, (".json", ".csv", ".npz"))
    if not tolerance > 0:
        raise ModelError(f"--tol is {tolerance}; it must be above 0")
    mdp = load_model(spec, discount=checked_discount(discount))
    data = _solve_exactly(mdp) if exact else _solve(mdp, method, tolerance)
    data = {"model": spec, "states": mdp.num_states, "actions": mdp.num_actions, "discount": _discount(mdp, exact)} | data
    if out is not None:
        _write_solution(out, data, exact)
    if as_json:
        print_json(data)
        return 0
    _print_solution(mdp, data)
    if out is not None:
        line(f" written: {out}")
    return 0


def _solve(mdp: Any, method: str, tolerance: float) -> dict[str, Any]:
    import pgtheory

    try:
        best = pgtheory.solve(mdp, method=method, tol=tolerance)
    except pgtheory.NotConverged as error:
        say(f"pgtheory: {error}")
        best = error.solution
    return {
        "method": best.method, "iterations": best.iterations, "stopped": best.stopped, "error": best.error,
        "values": best.values, "lower": best.lower, "upper": best.upper, "actions": best.actions, "optimal_actions": best.optimal_actions,
        "start_value": float(mdp.start @ best.values),
    }  # fmt: skip


def _solve_exactly(mdp: Any) -> dict[str, Any]:
    import pgtheory
    from pgtheory.exact.certificate import check_certificate

    best = pgtheory.solve_exactly(mdp)
    check_certificate(mdp, best.certificate)
    values = [str(value) for value in best.values]
    start = sum((p * v for p, v in zip(mdp.exact.start, best.values, strict=True)), best.values[0] * 0)
    return {
        "method": "exact policy iteration", "iterations": best.iterations, "stopped": "optimal", "error": 0, "certificate": "checked",
        "values": values, "actions": best.actions, "optimal_actions": best.optimal_actions, "start_value": str(start),
    }  # fmt: skip


def _print_solution(mdp: Any, data: dict[str, Any]) -> None:
    exact = isinstance(data["start_value"], str)
    how = f"{data['method']}, {plural(int(data['iterations']), 'iteration')}, stopped: {data['stopped']}"
    line(f" {data['model']}: {plural(mdp.num_states, 'state')}, {plural(mdp.num_actions, 'action')}, discount {data['discount']}; {how}")
    certified = "; certificate of optimality checked" if exact else f" ± {data['error']:.1e} (proved)"
    line(f" V*(start) = {_short(data['start_value'], data['error'])}{certified}")
    line()
    long = exact and any(len(value) > MOST_CHARACTERS for value in data["values"])
    rows = []
    for state in range(min(mdp.num_states, MOST_ROWS)):
        name = mdp.state_names[state] if mdp.state_names else str(state)
        best = [mdp.action_names[a] if mdp.action_names else str(a) for a in np.flatnonzero(np.asarray(data["optimal_actions"])[state])]
        value = data["values"][state]
        shown = f"{float(fraction(value)):.15g}" if long else value if exact else _known(value, data["error"])
        rows.append((str(name), shown, ", ".join(map(str, best))))
    table(("state", "V*", "optimal actions"), rows, right=(1,), fold=2)
    if mdp.num_states > MOST_ROWS or long:
        rest = f"{mdp.num_states - MOST_ROWS:,} more states" if mdp.num_states > MOST_ROWS else ""
        line(f" {' and '.join(part for part in (rest, 'the fractions themselves' if long else '') if part)}: --json, or --out FILE")


def _known(value: float, error: float) -> str:
    """A figure to the places that the proved error leaves certain, at most ten significant ones."""
    places = 15 if error <= 0 else math.floor(-math.log10(2 * error))
    return f"{round(float(value), places) + 0.0:.10g}"


def _short(value: Any, error: float) -> str:
    """The same for a float; a fraction as it is, or as a decimal with its size where it is long."""
    if not isinstance(value, str):
        return _known(value, error)
    if len(value) <= MOST_CHARACTERS:
        return value
    return f"{float(fraction(value)):.15g} (a fraction with {len(value.split('/')[-1]):,} digits below the line)"


def _discount(mdp: Any, exact: bool) -> Any:
    return str(mdp.exact.discount) if exact else float(mdp.discount)


def _write_solution(path: Path, data: dict[str, Any], exact: bool) -> None:
    ending = path.suffix.lower()
    if ending == ".json":
        write_whole(path, to_json(data))
    elif ending == ".csv":
        columns = ["values"] if exact else ["values", "lower", "upper"]
        rows = [",".join(["state", "action", *columns])]
        for s in range(data["states"]):
            rows.append(",".join([str(s), str(data["actions"][s]), *(str(data[c][s]) if exact else repr(float(data[c][s])) for c in columns)]))
        write_whole(path, "\n".join(rows) + "\n")
    else:
        values = np.array([float(fraction(v)) for v in data["values"]]) if exact else data["values"]
        arrays = {"values": values, "actions": data["actions"], "optimal_actions": data["optimal_actions"]}
        arrays |= {"values_exact": np.array(data["values"])} if exact else {"lower": data["lower"], "upper": data["upper"]}
        write_arrays(path, **arrays)


def write_arrays(path: Path, **arrays: Any) -> None:
    """Named arrays into an .npz file, whole or not at all."""
    import io

    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_whole(path, buffer.getvalue())


def check_ending(path: Path | None, endings: tuple[str, ...]) -> None:
    """Before any work: the ending names the format."""
    if path is not None and path.suffix.lower() not in endings:
        raise ModelError(f"{path}: the ending must be {', '.join(endings[:-1])}{' or ' if len(endings) > 1 else ''}{endings[-1]}")


def checked_discount(text: str | None) -> str | None:
    """The text of --discount, checked before a model is loaded."""
    if text is not None:
        number_in(text, "--discount")
    return text


def number_in(text: str, flag: str) -> Any:
    """The exact number that an option holds; ModelError names the option."""
    try:
        return fraction(text)
    except ModelError:
        raise ModelError(f"{flag} {text!r} is no number; write 0.1 or 1/10") from None
