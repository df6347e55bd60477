"""`pgtheory run MODEL --constraint "cost<=0.3"`: methods under constraints, their gaps and violations, of the last iterate and of the average."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mdps.errors import ModelError, plural
from proofs_check.cli.models import check_ending, checked_discount, setting_in, write_arrays
from proofs_check.cli.output import line, print_json, save_picture, table
from proofs_check.cli.runs import PICTURES, command_of, plain
from proofs_check.files import write_whole


def run_constrained_methods(
    spec: str,
    names: str,
    options: dict[str, str | None],
    iterations: int,
    *,
    constraints: Sequence[str],
    costs: Path | None,
    discount: str | None,
    plot: Path | None,
    as_json: bool,
    out: Path | None,
    trail: Path | None,
) -> int:
    """Runs the comma-separated methods on MODEL under the constraints, prints and writes what was asked for.

    Status 2 where no policy meets the thresholds (the message says who is in conflict, and what would do)."""
    from mdps.io import load_constrained
    from pgtheory.constrained import run_constrained, solve_constrained

    check_ending(out, (".npz",))
    check_ending(plot, PICTURES)
    check_ending(trail, (".csv",))
    methods = constrained_methods_in(names, options)
    if out is not None and len(methods) > 1:
        raise ModelError(f"--out holds one run and there are {len(methods)} methods; --csv FILE holds the figures of all")
    model = load_constrained(spec, constraints, checked_discount(discount), costs).float
    solve_constrained(model)  # thresholds that nobody can meet are refused before anything runs or is printed
    runs = {label: run_constrained(model, method, iterations) for label, method in methods.items()}
    told = [word for one in constraints for word in ("--constraint", one)] + ([] if costs is None else ["--costs", str(costs)])
    command = command_of(spec, names, iterations, options | {"discount": discount}, *told)
    if out is not None:
        one = next(iter(runs.values()))
        figures = {"values": one.values, "excesses": one.excesses, "multipliers": one.multipliers, "weights": one.weights}
        write_arrays(out, times=one.times, policies=one.policies, average_policy=one.average_policy, **figures)
    if trail is not None:
        write_whole(trail, as_csv(runs))
    if plot is not None:
        write_plot(runs, plot, command)
    if as_json:
        print_json(
            {"model": spec, "command": command, "optimum": next(iter(runs.values())).optimum, "runs": [as_data(*item) for item in runs.items()]}
        )
        return 0
    _print(spec, model, runs, iterations)
    for what, path in (("plot", plot), ("written", out), ("written", trail)):
        if path is not None:
            line(f" {what}: {path}")
    return 0


def constrained_methods_in(names: str, options: dict[str, str | None]) -> dict[str, Any]:
    """Label -> method, from "crpo,reload:step-size=1/2"; an option without a method goes to every method that has it.

    raises   ModelError: an unknown method or setting, an option that no method takes, a setting that is missing"""
    from pgtheory.constrained.methods import method_named

    parts = [part.strip() for part in names.split(",") if part.strip()]
    if not parts:
        raise ModelError("--method names no method")
    known = {part: {f.name: f for f in dataclasses.fields(method_named(part.split(":")[0]))} for part in parts}
    given = {key: text for key, text in options.items() if text is not None}
    strange = [key for key in given if not any(key in fields for fields in known.values())]
    if strange:
        takes = "; ".join(f"{part.split(':')[0]} takes {', '.join(_flag(f) for f in fields)}" for part, fields in known.items())
        raise ModelError(f"no method here has {_flag(strange[0])}: {takes}")
    methods: dict[str, Any] = {}
    for part in parts:
        name, *own = part.split(":")
        kind, fields = method_named(name), known[part]
        texts = {key: text for key, text in given.items() if key in fields}
        for setting in own:
            key, found, text = setting.partition("=")
            if not found or key.replace("-", "_") not in fields:
                raise ModelError(f"{part}: {name} takes {', '.join(_flag(f) for f in fields)}, each as {name}:step-size=0.1")
            texts[key.replace("-", "_")] = text
        values = {key: text if key in kind.words else setting_in(text, key) for key, text in texts.items()}
        missing = [key for key, f in fields.items() if f.default is dataclasses.MISSING and key not in values]
        if missing:
            raise ModelError(f"{name} needs {_flag(missing[0])}, for example {_flag(missing[0])} 0.1")
        if part in methods:
            raise ModelError(f"--method names {part} twice")
        methods[part] = kind(**values)
    return methods


def _flag(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def as_csv(runs: dict[str, Any]) -> str:
    """method, t, and gap, violation of both iterates, V_r, and the excess and multiplier of each constraint; one row a recorded iteration."""
    model = next(iter(runs.values())).model
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    heads = ["last gap", "last violation", "average gap", "average violation", "value"]
    writer.writerow(["method", "t", *heads, *(f"excess of {n}" for n in model.names), *(f"multiplier of {n}" for n in model.names)])
    for label, run in runs.items():
        columns = [
            run.gap("last"),
            run.violation("last"),
            run.gap("average"),
            run.violation("average"),
            run.values,
            *run.excesses.T,
            *run.multipliers.T,
        ]
        writer.writerows([label, t, *(repr(float(column[t])) for column in columns)] for t in run.times.tolist())
    return out.getvalue()


def as_data(label: str, run: Any) -> dict[str, Any]:
    """One run as plain data: settings, figures at the recorded iterations, the promise of its theorem."""
    promise, at = run.guarantee(), run.times
    figures = {f"{of}_{what}": getattr(run, what)(of)[at] for of in ("last", "average") for what in ("gap", "violation")}
    return {
        "method": label, "settings": {f.name: plain(getattr(run.method, f.name)) for f in dataclasses.fields(run.method)}, "t": at, **figures,
        "multipliers": run.multipliers[-1], "average_policy": run.average_policy,
        "guarantee": None if promise is None else dataclasses.asdict(promise),
    }  # fmt: skip


def write_plot(runs: dict[str, Any], path: Path, command: str) -> None:
    """Gap, violation, and the path in their plane, with the command in the file's metadata."""
    from matplotlib.figure import Figure

    from pgtheory.constrained.pictures import plot_path, plot_progress

    figure = Figure(figsize=(13.5, 4.2), constrained_layout=True)
    gap, violation, path_axes = figure.subplots(1, 3)
    plot_progress(runs, (gap, violation))
    plot_path(runs, path_axes)
    save_picture(figure, path, command)


def _print(spec: str, model: Any, runs: dict[str, Any], iterations: int) -> None:
    bounds = ", ".join(f"{n} {d} {float(b):g}" for n, d, b in zip(model.names, model.directions, model.thresholds, strict=True))
    line(f" {spec}: {plural(model.num_states, 'state')}, {plural(model.num_actions, 'action')}, discount {float(model.discount):g}; {bounds}")
    one = next(iter(runs.values()))
    prices = ", ".join(f"{x:.6g}" for x in one.solution.multipliers)
    line(f" optimum {one.optimum:.10g} at the multipliers {prices}; {plural(iterations, 'step')} from the uniform policy")
    line()
    rows = []
    for label, run in runs.items():
        figures = [f"{_clean(getattr(run, what)(of)[-1]):.4g}" for of in ("last", "average") for what in ("gap", "violation")]
        promise = run.guarantee()
        said = "" if promise is None else f"{promise.of}: gap <= {promise.gap:.4g}, violation <= {float(promise.violations.max()):.4g}"
        rows.append((label, *figures, ", ".join(f"{x:.4g}" for x in run.multipliers[-1]), said))
    heads = ("method", "last gap", "violation", "average gap", "violation", "multipliers", "what its theorem promises")
    table(heads, rows, right=(1, 2, 3, 4), fold=6)
    line(" a gap below 0 is paid for by a violation")


def _clean(value: float) -> float:
    """0 for what is rounding."""
    return 0.0 if abs(value) < 1e-13 else float(value)
