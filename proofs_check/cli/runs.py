"""`pgtheory run`: one or several methods on one model, their gaps, their rates, and what the catalogue says about each run."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from mdps.errors import ModelError, plural
from mdps.rational import fraction
from proofs_check.cli.models import MOST_ROWS, check_ending, checked_discount, setting_in, write_arrays
from proofs_check.cli.output import line, print_json, save_picture, table
from proofs_check.files import write_whole

PICTURES = (".svg", ".png", ".pdf")
FLAGS = {"measure": "risk", "ambiguity": "robust"}
"""Fields of methods whose option has another name."""
OPTIONS = ("step-size", "temperature", "geometry", "robust", "risk", "horizon")
"""Settings that are options of the command; the others are written at the name, `trpo:radius=0.1`."""
EXAMPLES = {"risk": "cvar:0.1", "robust": "l1:0.2"}


@dataclasses.dataclass(frozen=True)
class Compared:
    """One method's run with what is said about it.

    method  as it was asked for, with settings for `model`; the trajectory of a method that runs on a model of its own carries that model"""

    label: str
    method: Any
    model: Any
    trajectory: Any
    gap: np.ndarray
    rate: Any
    bounds: dict[str, np.ndarray]

    @property
    def risk(self) -> str | None:
        """The measure of a risk-averse method."""
        measure = getattr(self.method, "measure", None)
        return None if measure is None else measure.text

    @property
    def optimum(self) -> float:
        """What the gap is taken to, from the start distribution; NaN where it is not known."""
        return float(self.trajectory.optimal_values @ self.trajectory.mdp.float.start)

    def settings(self) -> dict[str, Any]:
        """The method's settings as plain data; one that is a rule or a function is its text."""
        method, mdp = self.method, self.model
        numbers = dict(zip(method.setting_names, method.settings(mdp), strict=True)) if hasattr(method, "setting_names") else {}
        given = {field.name: getattr(method, field.name) for field in dataclasses.fields(method)}
        if self.risk is not None:
            numbers["measure"] = self.risk
        return {key: plain(numbers.get(key, value)) for key, value in given.items()}

    def last_bounds(self, relation: str) -> dict[str, float]:
        """The catalogue's bounds at the last t that lie above ("<=") or below (">=") the gap."""
        from proofs_check.bounds import direction

        return {name: float(bound[-1]) for name, bound in self.bounds.items() if math.isfinite(bound[-1]) and direction(name) == relation}


def plain(value: Any) -> Any:
    """A number as a float, anything else as text."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def run_methods(
    spec: str,
    names: str,
    options: dict[str, str | None],
    iterations: int,
    *,
    discount: str | None,
    plot: Path | None,
    as_json: bool,
    out: Path | None,
    trail: Path | None,
    start: str = "uniform",
) -> int:
    """Runs the comma-separated methods on MODEL from the first policy `start`, prints and writes what was asked for."""
    from mdps.io import load_model

    check_ending(out, (".npz",))
    check_ending(plot, PICTURES)
    check_ending(trail, (".csv",))
    chosen = methods_in(names, options)
    if out is not None and len(chosen) > 1:
        raise ModelError(f"--out holds one run and there are {len(chosen)} methods; --csv FILE holds the gaps of all")
    mdp = load_model(spec, discount=checked_discount(discount))
    compared = [compare(label, method, mdp, iterations, start) for label, method in chosen.items()]
    told = [] if start == "uniform" else ["--start", start]
    command = command_of(spec, names, iterations, options | {"discount": discount}, *told)
    if out is not None:
        t = compared[0].trajectory
        write_arrays(out, times=t.times, policies=t.policies, parameters=t.parameters, values=t.values, gap=compared[0].gap)
    if trail is not None:
        write_whole(trail, as_csv(compared))
    if plot is not None:
        write_plot(compared, plot, command)
    if as_json:
        print_json({"model": spec, "command": command, "runs": [_as_data(one) for one in compared]})
        return 0
    if len(compared) == 1:
        _print_one(spec, mdp, compared[0])
    else:
        _print_comparison(spec, mdp, compared, iterations, start)
    for what, path in (("plot", plot), ("written", out), ("written", trail)):
        if path is not None:
            line(f" {what}: {path}")
    return 0


def command_of(spec: str, names: str, iterations: int | None, options: dict[str, str | None], *more: str) -> str:
    """The command that makes the same run again: for JSON, and for what is written into a picture's file."""
    given = {FLAGS.get(key, key): text for key, text in options.items() if text is not None}
    if "radius" in given:  # --robust gives both
        given["robust"] = f"{given['robust']}:{given.pop('radius')}"
    told = [word for key, text in given.items() for word in (f"--{key.replace('_', '-')}", text)]
    steps = [] if iterations is None else ["--iterations", str(iterations)]
    return shlex.join(["pgtheory", "run", spec, "--method", names, *steps, *told, *more])


def compare(label: str, method: Any, mdp: Any, iterations: int, start: str) -> Compared:
    """Runs one method and asks the catalogue about it."""
    from pgtheory.run import run
    from proofs_check.bounds import bounds_for_run
    from proofs_check.rates import Rate, fit_rate

    trajectory = run(mdp, method, iterations, initial=start)
    gap = trajectory.gap()
    if hasattr(method, "measure"):
        from proofs_check.risk_bounds import bounds_for_risk_run

        bounds = bounds_for_risk_run(method, trajectory)
    else:
        bounds = bounds_for_run(trajectory)
    rate = fit_rate(trajectory.times, gap) if np.isfinite(gap).all() else Rate("none")
    return Compared(label, method, mdp, trajectory, gap, rate, bounds)


def risk_options(text: str | None, horizon: int | None) -> dict[str, str | None]:
    """The settings that `--risk cvar:0.1` and `--horizon 3` give the risk-averse methods; raises ModelError where the measure is none."""
    from pgtheory.risk.measures import parse

    if text is not None:
        parse(text)
    return {"measure": text, "horizon": None if horizon is None else str(horizon)}


def robust_options(text: str | None) -> dict[str, str | None]:
    """The settings that `--robust l1:0.2` gives the robust methods; raises ModelError where the set is no plain ball."""
    if text is None:
        return {}
    from mdps.ambiguity import read_ambiguity
    from pgtheory.robust.nature import SETS

    chosen = read_ambiguity(text, 1)
    if getattr(chosen, "name", "") not in SETS or chosen.support != type(chosen)(0).support:
        raise ModelError(f"--robust {text}: the gradient methods take a ball ({', '.join(SETS)}) with its own support, such as l1:0.2")
    return {"radius": str(chosen.radius), "ambiguity": chosen.name}


def methods_in(names: str, options: dict[str, str | None]) -> dict[str, Any]:
    """Label -> method, from "npg,softmax-pg:step-size=1/10"; options without a method go to every method that has them.

    raises   ModelError: unknown method or setting, an option that no method takes, a setting that is missing"""
    parts = [part.strip() for part in names.split(",") if part.strip()]
    if not parts:
        raise ModelError("--method names no method")
    _all_taken(parts, options)
    out: dict[str, Any] = {}
    for part in parts:
        name, *own = part.split(":")
        fields = fields_of(name)
        given: dict[str, str] = {}
        for setting in own:
            key, found, value = setting.partition("=")
            key = key.replace("-", "_")
            if not found:
                raise ModelError(f"{part}: write a setting as {name}:step-size=0.1")
            if key not in fields:
                raise ModelError(f"{name} has no setting {key.replace('_', '-')}; {takes(fields)}")
            given[key] = value
        for key, text in options.items():
            if text is not None and key in fields:
                if key != "radius" or "ambiguity" in fields:  # the radius of a trust region is another one
                    given.setdefault(key, text)
        if part in out:
            raise ModelError(f"--method names {part} twice")
        out[part] = make_method(name, given)
    return out


def _all_taken(parts: list[str], options: dict[str, str | None]) -> None:
    """ModelError where an option is given that none of the methods has."""
    from pgtheory.policy_gradient import NAMES

    fields = {name: fields_of(name) for name in (part.split(":")[0] for part in parts)}
    for key, text in options.items():
        needed = "ambiguity" if key == "radius" else key  # --robust gives both
        if text is not None and not any(needed in own for own in fields.values()):
            which = "; ".join(f"{name} {takes(own)}" for name, own in fields.items())
            flag = f"--{FLAGS.get(needed, needed).replace('_', '-')}"
            few = needed in FLAGS  # for a measure or a set a user needs other methods: which?
            others = f". Methods with {flag}: {', '.join(n for n in NAMES if needed in fields_of(n))}" if few else ""
            raise ModelError(f"no method here has {flag}: {which}{others}")


def fields_of(name: str) -> dict[str, Any]:
    """The fields of the method of that name that a user sets."""
    from pgtheory.policy_gradient import method_named

    return {field.name: field for field in dataclasses.fields(method_named(name)) if field.init}


def takes(fields: dict[str, Any]) -> str:
    """Settings in words: options of the command as --name, those that are written at the method as :name=."""
    shown = [field for field in fields if field != "radius" or "ambiguity" not in fields]  # --robust gives both
    names = [FLAGS.get(field, field).replace("_", "-") for field in shown]
    options = [f"--{name}" for name in names if name in OPTIONS]
    at_the_name = [f":{name}=" for name in names if name not in OPTIONS]
    return "takes " + (", ".join(options + at_the_name) or "no settings")


def make_method(name: str, settings: dict[str, str]) -> Any:
    """The method of that name with its settings read from text: numbers where they are numbers, names where they are names."""
    from pgtheory.policy_gradient import method_named

    fields = fields_of(name)
    values: dict[str, Any] = {}
    for key, text in settings.items():
        words = "str" in str(fields[key].type) or "Literal" in str(fields[key].type)
        values[key] = text if words and not _is_number(text) else setting_in(text, key)
    if "geometry" in fields and name.endswith(("-kl", "-euclidean")):  # the name says it
        own = name.rsplit("-", 1)[1]
        if values.setdefault("geometry", own) != own:
            raise ModelError(f"{name} has the geometry in its name; --geometry {values['geometry']} contradicts it")
    missing = [key for key, field in fields.items() if key not in values and field.default is field.default_factory is dataclasses.MISSING]
    if missing:
        first = "ambiguity" if missing[0] == "radius" and "ambiguity" in fields else missing[0]
        flag = FLAGS.get(first, first).replace("_", "-")
        if flag not in OPTIONS:
            raise ModelError(f"{name} needs {flag}, for example {name}:{flag}=0.1")
        raise ModelError(f"{name} needs --{flag}, for example --{flag} {EXAMPLES.get(flag, '0.1')}")
    return method_named(name)(**values)


def _is_number(text: str) -> bool:
    try:
        fraction(text)
    except ModelError:
        return False
    return True


def write_plot(compared: list[Compared], path: Path, command: str) -> None:
    """Draws one run against the catalogue's bounds, or several runs beside each other, with the command in the file's metadata."""
    from proofs_check.plots import plot_run, plot_runs

    unknown = [one.label for one in compared if not np.isfinite(one.gap).all()]
    if unknown:
        raise ModelError(
            f"--plot draws gaps, and the optimum that {', '.join(unknown)} would have its gap to is not known; --csv FILE holds its values"
        )
    if len(compared) == 1:
        figure = plot_run(compared[0].trajectory, bounds=compared[0].bounds).figure
    else:
        figure = plot_runs({one.label: one.trajectory for one in compared}).figure
    save_picture(figure, path, command)


def as_csv(compared: list[Compared]) -> str:
    """method, t, gap, value and every bound that applies to some run, one row a record."""
    names = sorted({name for one in compared for name in one.bounds})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["method", "t", "gap", "value", *names])
    for one in compared:
        start = one.trajectory.values @ one.trajectory.mdp.start
        for k, t in enumerate(one.trajectory.times.tolist()):
            bounds = ["" if name not in one.bounds or math.isnan(one.bounds[name][k]) else repr(float(one.bounds[name][k])) for name in names]
            writer.writerow([one.label, t, repr(float(one.gap[k])), repr(float(start[k])), *bounds])
    return out.getvalue()


def _as_data(one: Compared) -> dict[str, Any]:
    return {
        "method": one.label,
        "settings": one.settings(),
        "t": one.trajectory.times,
        "gap": one.gap,
        "values": one.trajectory.values[-1],
        "rate": dataclasses.asdict(one.rate),
        "bounds": one.bounds,
    } | ({} if one.risk is None else {"risk": one.risk, "optimum": one.optimum})


def _print_one(spec: str, mdp: Any, one: Compared) -> None:
    from proofs_check.plots import ROUNDING

    said = ", ".join(f"{key.replace('_', ' ')} {value if isinstance(value, str) else f'{value:g}'}" for key, value in one.settings().items())
    line(f" {one.label} on {_described(spec, mdp)}{'; ' + said if said else ''}")
    line()
    times, gap, values = one.trajectory.times, one.gap, one.trajectory.values
    visible = np.where(gap <= ROUNDING * gap.max(), 0.0, gap)  # NaN, where the optimum is not known, stays
    rows = [(f"{times[k]:,}", _figure(float(visible[k]), ".6g"), f"{values[k] @ one.trajectory.mdp.float.start:.6g}") for k in _spread(times)]
    letter = "V" if one.risk is None else "J"
    table(("t", f"gap {letter}*(start) - {letter}_t(start)", f"{letter}_t(start)"), rows, right=(0, 1, 2))
    if one.risk is not None:
        line(f" J*(start) {_figure(one.optimum, '.6g')}: {_meant(one)}")
    line(f" rate: {one.rate.text()}")
    for relation, word in (("<=", "at most"), (">=", "at least")):
        for name, bound in one.last_bounds(relation).items():
            line(f" {name}: {word} {bound:.6g} at t = {times[-1]:,}")


def _print_comparison(spec: str, mdp: Any, compared: list[Compared], iterations: int, start: str) -> None:
    line(f" {len(compared)} methods on {_described(spec, mdp)}; {iterations:,} steps from the {start} policy")
    line()
    rows = []
    for one in compared:
        gap = max(float(one.gap[-1]), 0.0)  # NaN stays
        row = [one.label, _figure(gap, ".4g") if one.rate.kind != "solved" else "0 (rounding)", one.rate.text()]
        for relation, pick in (("<=", min), (">=", max)):
            known = one.last_bounds(relation)
            best = pick(known, key=lambda name: known[name], default=None)
            row.append("" if best is None else f"{known[best]:.4g}  {best}")
        rows.append(tuple(row))
    columns = ["method", "final gap", "rate", "gap at most", "gap at least"]
    for place in (4, 3):
        if not any(row[place] for row in rows):
            rows = [(*row[:place], *row[place + 1 :]) for row in rows]
            columns.pop(place)
    table(tuple(columns), rows, right=(1,), fold=2)
    for one in compared:
        if one.risk is not None:
            line(f" {one.label}: J*(start) {_figure(one.optimum, '.6g')}, {_meant(one)}")


def _figure(number: float, how: str) -> str:
    return "not known" if math.isnan(number) else format(number, how)


def _meant(one: Compared) -> str:
    """What a risk-averse method's gap is taken to."""
    steps = getattr(one.method, "horizon", None)
    if steps is not None:
        best = "" if math.isnan(one.optimum) else ", best over policies that see the reward so far"
        return f"{one.risk} of the return of {plural(steps, 'step')}{best}"
    if one.trajectory.mdp is not one.model and one.trajectory.mdp.num_states != one.model.num_states:
        return f"{one.risk} of each reward, seen from the step before; {plural(one.trajectory.mdp.num_states, 'augmented state')}"
    return f"nested {one.risk}"


def _described(spec: str, mdp: Any) -> str:
    return f"{spec}: {plural(mdp.num_states, 'state')}, {plural(mdp.num_actions, 'action')}, discount {float(mdp.discount):g}"


def _spread(times: np.ndarray) -> list[int]:
    """Indices of 0, 1, 2, 5, 10, 20, 50 ... and the last among the recorded iterations."""
    wanted = {0, int(times[-1])} | {d * 10**k for k in range(12) for d in (1, 2, 5)}
    kept = [k for k, t in enumerate(times.tolist()) if t in wanted]
    if len(kept) > 3:
        return kept
    return sorted(set(np.linspace(0, times.size - 1, min(times.size, MOST_ROWS)).round().astype(int).tolist()))


__all__ = ["Compared", "as_csv", "make_method", "methods_in", "run_methods", "write_plot"]
