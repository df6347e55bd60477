"""`pgtheory solve`: one model in, figures out.  Its reading and writing serves `pgtheory run` too."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any

import numpy as np

from mdps.errors import ModelError, plural
from mdps.rational import fraction
from proofs_check.cli.group import INTERRUPTED
from proofs_check.cli.output import is_terminal, line, print_json, say, table
from proofs_check.files import to_json, write_whole

MOST_ROWS = 24
"""States (or recorded iterations) that a table on the terminal shows; `--json` and `--out` hold all."""
MOST_CHARACTERS = 45


def solve_model(
    spec: str,
    discount: str | None,
    *,
    exact: bool,
    method: str,
    tolerance: float,
    as_json: bool,
    out: Path | None,
    average: bool = False,
    reach: str | None = None,
    direction: str = "max",
) -> int:
    """Solves MODEL and prints it; the exact answer comes with its certificate checked.  Ctrl-C ends it with the bounds so far, which are true too."""
    check_ending(out, (".json", ".csv", ".npz"))
    if not tolerance > 0:
        raise ModelError(f"--tol is {tolerance}; it must be above 0")
    mdp, question, symbol, options = _question(spec, discount, average, reach, direction)
    data = _solve_exactly(mdp, options) if exact else _solve(mdp, method, tolerance, options)
    mdp = getattr(mdp, "mdp", mdp)
    what = {"criterion": question, "symbol": symbol} if question else {"discount": _discount(mdp, exact)}
    data = {"model": spec, "states": mdp.num_states, "actions": mdp.num_actions} | what | data
    if out is not None:
        _write_solution(out, data, exact)
    status = INTERRUPTED if data["stopped"] == "interrupted" else 0
    if as_json:
        print_json(data)
        return status
    _print_solution(mdp, data)
    if out is not None:
        line(f" written: {out}")
    return status


def _question(spec: str, discount: str | None, average: bool, reach: str | None, direction: str) -> tuple[Any, str, str, dict[str, Any]]:
    """(model, the question in words unless it is the discounted reward, symbol of the answer, options of `solve`)."""
    from mdps import Objective
    from mdps.io import load_model, read_prism

    if reach is None:
        none_needed = average and discount is None and Path(spec).suffix == ".tra"
        mdp = load_model(spec, discount="0" if none_needed else checked_discount(discount))
        return mdp, "average reward" if average else "", "g*" if average else "V*", {"criterion": "average"} if average else {}
    if average or discount is not None:
        raise ModelError("--reach asks for a probability: it goes without --average and --discount")
    if Path(spec).suffix != ".tra":
        raise ModelError(f"--reach needs a model with labels, a file .tra with a file .lab beside it; this is {spec}")
    labelled = read_prism(spec, deadlocks="loop")
    objective = Objective("reachability", direction, labelled.label(reach))
    return labelled, f"{direction}imal probability of reaching {reach}", f"P{direction}", {"objective": objective}


class _Bounds:
    """Bounds closing, on stderr: a line that rewrites itself on a terminal; when piped a line now and then, and none for what is quickly done."""

    def __init__(self, tolerance: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.tolerance, self._clock = tolerance, clock
        self._since = self._shown = clock()
        self._live = is_terminal(sys.stderr)

    def __call__(self, sweeps: int, error: float) -> None:
        now = self._clock()
        if now - self._shown < (0.1 if self._live else 5.0 if self._shown > self._since else 1.0):
            return
        self._shown = now
        text = f"{plural(sweeps, 'sweep')}, {now - self._since:.1f} s: V* known to ± {error:.1e}, wanted ± {self.tolerance:.1e}"
        if self._live:
            sys.stderr.write(f"\r\x1b[K {text}")
            sys.stderr.flush()
        else:
            say(f"  {text}")

    def close(self) -> None:
        """Clears the line."""
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _solve(mdp: Any, method: str, tolerance: float, options: dict[str, Any]) -> dict[str, Any]:
    import pgtheory

    progress = _Bounds(tolerance)
    try:
        best = pgtheory.solve(mdp, method=method, tol=tolerance, **(options or {"progress": progress}))
        progress.close()
    except pgtheory.NotConverged as error:
        progress.close()
        say(f"pgtheory: {str(error).replace('error.solution.lower, .upper', 'see below')}")
        best = error.solution
    values = getattr(best, "values", None)
    values = best.gain if values is None else values
    optimal = best.optimal_actions if best.optimal_actions is not None else best.policy > 0
    return {
        "method": best.method, "iterations": best.iterations, "stopped": best.stopped, "error": best.error,
        "values": values, "lower": best.lower, "upper": best.upper, "actions": best.actions, "optimal_actions": optimal,
        "start_value": float(getattr(mdp, "mdp", mdp).start @ values),
    }  # fmt: skip


def _solve_exactly(problem: Any, options: dict[str, Any]) -> dict[str, Any]:
    import pgtheory
    from pgtheory.exact.certificate import check_certificate

    best = pgtheory.solve_exactly(problem, **options)
    mdp = getattr(problem, "mdp", problem)
    check_certificate(mdp, best.certificate)
    numbers = best.gain if options.get("criterion") == "average" else best.values
    values = [str(value) for value in numbers]
    start = sum((p * v for p, v in zip(mdp.exact.start, numbers, strict=True)), numbers[0] * 0)
    return {
        "method": "exact policy iteration", "iterations": best.iterations, "stopped": "optimal", "error": 0, "certificate": "checked",
        "values": values, "actions": best.actions, "optimal_actions": best.optimal_actions, "start_value": str(start),
    }  # fmt: skip


def _print_solution(mdp: Any, data: dict[str, Any]) -> None:
    exact = isinstance(data["start_value"], str)
    rough = not exact and data["stopped"] not in ("tolerance", "optimal")
    how = f"{data['method']}, {plural(int(data['iterations']), 'iteration')}, stopped: {data['stopped']}"
    symbol, question = data.get("symbol", "V*"), data.get("criterion") or f"discount {data['discount']}"
    line(f" {data['model']}: {plural(mdp.num_states, 'state')}, {plural(mdp.num_actions, 'action')}, {question}; {how}")
    certified = "; certificate of optimality checked" if exact else f" ± {data['error']:.1e} (proved)"
    if rough:
        ends = [math.fsum(mdp.start * data[side]) for side in ("lower", "upper")]
        slack = 2.0**-50 * max(abs(x) for x in ends)
        low, high = _outwards(ends[0] - slack, ends[1] + slack)
        line(f" {symbol}(start) lies between {low} and {high} (proved)")
    else:
        line(f" {symbol}(start) = {_short(data['start_value'], data['error'])}{certified}")
    line()
    long = exact and any(len(value) > MOST_CHARACTERS for value in data["values"])
    rows = []
    for state in range(min(mdp.num_states, MOST_ROWS)):
        name = mdp.state_names[state] if mdp.state_names else str(state)
        best = [mdp.action_names[a] if mdp.action_names else str(a) for a in np.flatnonzero(np.asarray(data["optimal_actions"])[state])]
        value = data["values"][state]
        shown = [f"{float(fraction(value)):.15g}" if long else value if exact else _known(value, data["error"])]
        if rough:
            shown = list(_outwards(float(data["lower"][state]), float(data["upper"][state])))
        rows.append((str(name), *shown, ", ".join(map(str, best))))
    if rough:
        table(("state", f"{symbol} >=", f"{symbol} <=", "actions that may be optimal"), rows, right=(1, 2), fold=3)
    else:
        table(("state", symbol, "optimal actions"), rows, right=(1,), fold=2)
    if mdp.num_states > MOST_ROWS or long:
        rest = f"{mdp.num_states - MOST_ROWS:,} more states" if mdp.num_states > MOST_ROWS else ""
        line(f" {' and '.join(part for part in (rest, 'the fractions themselves' if long else '') if part)}: --json, or --out FILE")


def _outwards(low: float, high: float) -> tuple[str, str]:
    """Two bounds to the places that their distance deserves, two more than its first, rounded outwards."""
    width = max(high - low, abs(low) * 2**-50, abs(high) * 2**-50)
    unit = Decimal(1).scaleb(math.floor(math.log10(width)) - 2) if width > 0 else Decimal("1e-300")
    ends = [(Decimal(x) / unit).to_integral_value(rounding) * unit for x, rounding in ((low, ROUND_FLOOR), (high, ROUND_CEILING))]
    return f"{ends[0] + 0:f}", f"{ends[1] + 0:f}"


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
    """Before any work: the ending names the format; a folder that is not there yet will be made, and that is said."""
    if path is None:
        return
    if path.suffix.lower() not in endings:
        raise ModelError(f"{path}: the ending must be {', '.join(endings[:-1])}{' or ' if len(endings) > 1 else ''}{endings[-1]}")
    if not path.parent.exists():
        say(f"note: there is no folder {path.parent} yet; it is made for {path.name}")


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


def setting_in(text: str, key: str) -> float:
    """The number that a method's setting holds, with the sign that its role asks for; ModelError names the option."""
    flag = f"--{key.replace('_', '-')}"
    number = number_in(text, flag)
    if key == "step_size" and number <= 0:
        raise ModelError(f"{flag} is {text}; a step size must be above 0{', with 0 no policy ever moves' if number == 0 else ''}")
    if key == "temperature" and number < 0:
        raise ModelError(f"{flag} is {text}; a temperature must be 0 or above")
    return float(number)
