"""`pgtheory solve MODEL --utility entropy` and `pgtheory run MODEL --utility entropy --method frank-wolfe,normalised-ascent,utility-gradient`.

The utility is a concave function of the discounted occupancy, normalised to 1 (`pgtheory.utility.parse` lists the names).  The optimum comes from a
conic program, or from Frank-Wolfe where the model is too large for it; what is printed as attained is the utility of the printed policy, and what
no policy exceeds is proved by Frank-Wolfe duality, whichever method found the policy.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mdps.errors import ModelError, nearest, plural
from proofs_check.cli.models import MOST_ROWS, _known, _outwards, check_ending, checked_discount, number_in, setting_in, write_arrays
from proofs_check.cli.output import line, print_json, save_picture, say, table
from proofs_check.cli.runs import PICTURES, _described, command_of
from proofs_check.files import to_json, write_whole

CONIC_PAIRS = 3000
"""Pairs of state and action up to which the conic program is used: seconds."""
LARGE_STEPS = 400
"""Frank-Wolfe steps on larger models."""
METHODS = ("frank-wolfe", "frank-wolfe-line-search", "normalised-ascent", "sampled-ascent", "utility-gradient")
SETTINGS: dict[str, tuple[str, ...]] = {
    "normalised-ascent": ("step_size", "decay"),
    "sampled-ascent": ("step_size", "momentum", "batch", "horizon"),
    "utility-gradient": ("step_size",),
}


def solve_utility_model(spec: str, discount: str | None, *, utility: str, tolerance: float, as_json: bool, out: Path | None) -> int:
    """The best policy for a utility, with what no policy can exceed."""
    check_ending(out, (".json", ".npz"))
    if not tolerance > 0:
        raise ModelError(f"--tol is {tolerance}; it must be above 0")
    mdp, chosen = _problem(spec, discount, utility)
    best = _best(mdp, chosen, tolerance)
    if not math.isfinite(best.value):
        raise ModelError(f"the best policy found has utility {best.value}: no policy of {spec} has a finite one")
    if best.gap > tolerance:
        say(f"pgtheory: the gap that is left is {best.gap:.2g}, above --tol {tolerance:g}; what is printed holds with that gap")
    data = {
        "model": spec, "states": mdp.num_states, "actions": mdp.num_actions, "discount": str(mdp.exact.discount), "utility": utility,
        "method": best.method, "iterations": best.iterations, "value": best.value, "upper": best.upper, "gap": best.gap,
        "certificate": "Frank-Wolfe duality: a proved bound of the ordinary problem whose reward is the gradient",
        "policy": best.policy, "occupancy": best.occupancy, "reward": best.reward,
    }  # fmt: skip
    if out is not None:
        if out.suffix.lower() == ".json":
            write_whole(out, to_json(data))
        else:
            write_arrays(out, policy=best.policy, occupancy=best.occupancy, reward=best.reward, value=best.value, upper=best.upper)
    if as_json:
        print_json(data)
        return 0
    line(f" {_described(spec, mdp)}; utility {utility} of the occupancy; {best.method}, {plural(best.iterations, 'iteration')}")
    open_ = max(best.gap, 1e-15 * max(1.0, abs(best.value)))
    low, high = _outwards(best.value, max(best.upper, best.value))
    line(
        f" optimum {_known(best.value, open_)}: attained by the policy below, at least {low}; no policy exceeds {high} (Frank-Wolfe duality, proved)"
    )
    line(f" certified gap {max(best.gap, 0.0):.2g}")
    line()
    rows = []
    for s in range(min(mdp.num_states, MOST_ROWS)):
        name = mdp.state_names[s] if mdp.state_names else str(s)
        rows.append((str(name), f"{best.occupancy[s].sum():.6g}", _law(mdp, best.policy[s]) if best.occupancy[s].sum() > 1e-12 else "never reached"))
    table(("state", "occupancy", "policy"), rows, right=(1,), fold=2)
    if mdp.num_states > MOST_ROWS:
        line(f" {mdp.num_states - MOST_ROWS:,} more states: --json, or --out FILE")
    if out is not None:
        line(f" written: {out}")
    return 0


@dataclasses.dataclass(frozen=True)
class _Run:
    label: str
    values: np.ndarray
    bound: np.ndarray | None
    slack: float | None
    policy: np.ndarray


def run_utility_methods(
    spec: str,
    names: str,
    iterations: int,
    *,
    utility: str,
    discount: str | None,
    step_size: str | None,
    seed: int,
    plot: Path | None,
    as_json: bool,
    out: Path | None,
    trail: Path | None,
) -> int:
    """Runs the methods on one utility and compares their gaps below the certified optimum."""
    from proofs_check.rates import fit_rate

    check_ending(plot, PICTURES)
    check_ending(trail, (".csv",))
    check_ending(out, (".npz",))
    chosen = _methods(names, step_size)
    if out is not None and len(chosen) > 1:
        raise ModelError(f"--out holds one run and there are {len(chosen)} methods; --csv FILE holds the values of all")
    mdp, function = _problem(spec, discount, utility)
    best = _best(mdp, function, 1e-10)
    runs = [_run(label, name, settings, mdp, function, iterations, seed) for label, (name, settings) in chosen.items()]
    command = command_of(spec, names, iterations, {"utility": utility, "step_size": step_size, "discount": discount, "seed": str(seed)})
    if out is not None:
        write_arrays(out, policy=runs[0].policy, values=runs[0].values)
    if trail is not None:
        write_whole(trail, _as_csv(runs, best))
    if plot is not None:
        _plot(runs, best, plot, command)
    if as_json:
        print_json({
            "model": spec, "command": command, "utility": utility, "optimum": best.value, "upper": best.upper,
            "runs": [{"method": r.label, "values": r.values, "gap": best.upper - r.values, "bound": r.bound, "least_slack": r.slack} for r in runs],
        })  # fmt: skip
        return 0
    line(f" {plural(len(runs), 'method')} on {_described(spec, mdp)}; utility {utility}; {iterations:,} steps from the uniform policy")
    low, high = _outwards(best.value, max(best.upper, best.value))
    line(f" optimum between {low} and {high} (proved)")
    line()
    rows = []
    for one in runs:
        gap = np.maximum(best.upper - one.values, 0.0)
        claim = "" if one.bound is None else f"{one.bound[-1]:.4g}" if math.isfinite(one.bound[-1]) else "none: not smooth"
        step = (
            ""
            if one.slack is None or not math.isfinite(one.slack)
            else f"holds, least slack {one.slack:.2g}"
            if one.slack >= -1e-12
            else f"FAILS by {-one.slack:.2g}"
        )
        rows.append((one.label, f"{one.values[-1]:.8g}", f"{gap[-1]:.3g}", fit_rate(np.arange(gap.size), gap).text(), claim, step))
    columns = ["method", "utility", "gap at most", "rate", "theorem: gap at most", "one-step inequality"]
    keep = [k for k in range(6) if k < 4 or any(row[k] for row in rows)]
    table([columns[k] for k in keep], [tuple(row[k] for k in keep) for row in rows], right=(1, 2), fold=3)
    for what, path in (("plot", plot), ("written", out), ("written", trail)):
        if path is not None:
            line(f" {what}: {path}")
    return 0


def _problem(spec: str, discount: str | None, utility: str) -> tuple[Any, Any]:
    from mdps.io import load_model
    from mdps.zoo import utility_cases
    from pgtheory.utility.parse import parse_utility, utility_of

    if utility == "case":
        case = utility_cases().get(spec)
        if case is None or case.utility is None or None in case.utility[1].values():
            known = ", ".join(name for name, one in utility_cases().items() if one.utility and None not in one.utility[1].values())
            raise ModelError(f"--utility case is for a row of the table of utilities: {known}; this is {spec}")
        if discount is not None:
            raise ModelError(f"{spec} has its own discount; --discount goes with other models")
        return case.problem, utility_of(*case.utility)
    mdp = load_model(spec, discount=checked_discount(discount))
    return mdp, parse_utility(utility, mdp)


def _best(mdp: Any, utility: Any, tolerance: float) -> Any:
    from pgtheory.utility.frank_wolfe import run_frank_wolfe
    from pgtheory.utility.program import certified, solve_utility

    if mdp.num_states * mdp.num_actions <= CONIC_PAIRS:
        return solve_utility(mdp, utility, min(tolerance, 1e-8))
    found = run_frank_wolfe(mdp, utility, LARGE_STEPS, rule="line-search", tolerance=tolerance)
    last = certified(mdp.float, utility, found.policy, None, "Frank-Wolfe with line search", found.steps.size)
    return dataclasses.replace(last, upper=min(last.upper, found.upper))


def _methods(names: str, step_size: str | None) -> dict[str, tuple[str, dict[str, Any]]]:
    """label -> (name, settings), from "frank-wolfe,normalised-ascent:step-size=1/2:decay=1/2"."""
    out: dict[str, tuple[str, dict[str, Any]]] = {}
    for part in (p.strip() for p in names.split(",")):
        name, *own = part.split(":")
        if name not in METHODS:
            raise ModelError(f"no method {name!r} maximises a utility.{nearest(name, METHODS) or ' There are ' + ', '.join(METHODS) + '.'}")
        if part in out:
            raise ModelError(f"--method names {part} twice")
        known = SETTINGS.get(name, ())
        settings: dict[str, Any] = {}
        for setting in own:
            key, found, value = setting.partition("=")
            key = key.replace("-", "_")
            if not found or key not in known:
                takes = ", ".join(k.replace("_", "-") for k in known) or "no settings"
                raise ModelError(f"{part}: {name} takes {takes}; write {name}:{(known or ('step_size',))[0].replace('_', '-')}=0.1")
            number = number_in(value, f"--{key.replace('_', '-')}")
            if key in ("batch", "horizon") and number.denominator != 1:
                raise ModelError(f"{part}: {key} is {value}; it must be a whole number")
            settings[key] = int(number) if key in ("batch", "horizon") else float(number)
        if step_size is not None and "step_size" in known:
            settings.setdefault("step_size", setting_in(step_size, "step_size"))
        out[part] = name, settings
    if step_size is not None and not any("step_size" in settings for _, settings in out.values()):
        raise ModelError("none of these methods takes --step-size")
    return out


def _run(label: str, name: str, settings: dict[str, Any], mdp: Any, utility: Any, iterations: int, seed: int) -> _Run:
    from pgtheory.utility import ascent
    from pgtheory.utility.frank_wolfe import run_frank_wolfe

    if name.startswith("frank-wolfe"):
        found = run_frank_wolfe(mdp, utility, iterations, rule="line-search" if name.endswith("search") else "open-loop")
        return _Run(label, found.values, found.bound(), None, found.policy)
    if name == "sampled-ascent":
        settings = settings | {"seed": seed}
    methods: dict[str, Callable[..., Any]] = {
        "normalised-ascent": ascent.normalised_ascent,
        "sampled-ascent": ascent.sampled_ascent,
        "utility-gradient": ascent.utility_gradient_ascent,
    }
    path = methods[name](mdp, utility, iterations, **settings)
    return _Run(label, path.values, None, float(np.min(path.slack)), path.policy)


def _law(mdp: Any, row: np.ndarray) -> str:
    """'stay 0.25, go 0.75'; a sure action by its name alone."""
    parts = [(str(mdp.action_names[a] if mdp.action_names else a), p) for a, p in enumerate(row.tolist()) if p > 5e-7]
    return parts[0][0] if len(parts) == 1 else ", ".join(f"{name} {p:.4g}" for name, p in parts)


def _as_csv(runs: list[_Run], best: Any) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["method", "t", "utility", "gap", "bound"])
    for one in runs:
        for t, value in enumerate(one.values.tolist()):
            bound = "" if one.bound is None or not math.isfinite(one.bound[t]) else repr(float(one.bound[t]))
            writer.writerow([one.label, t, repr(value), repr(best.upper - value), bound])
    return out.getvalue()


def _plot(runs: list[_Run], best: Any, path: Path, command: str) -> None:
    """Gaps solid, the Frank-Wolfe bound dashed in the same colour."""
    from matplotlib.figure import Figure

    from proofs_check.plots import INK, SERIES

    figure = Figure(figsize=(7.2, 4.2), constrained_layout=True)
    ax = figure.subplots()
    floor = max(best.gap, 1e-15)
    for colour, one in zip(SERIES, runs, strict=False):
        times = np.arange(one.values.size)
        gap = np.maximum(best.upper - one.values, floor)
        ax.loglog(times[1:], gap[1:], color=colour, linewidth=1.7, gid=f"gap {one.label}")
        ax.annotate(one.label, (times[-1], gap[-1]), xytext=(4, 0), textcoords="offset points", va="center", color=colour, fontsize=8)
        if one.bound is not None and math.isfinite(one.bound[-1]):
            ax.loglog(times[1:], one.bound[1:], color=colour, linewidth=1.3, linestyle=(0, (5, 3)), gid=f"bound {one.label}")
    ax.set_xlabel("iteration t", color=INK)
    ax.set_ylabel("certified optimum minus utility", color=INK)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    last = {one.label: best.upper - float(one.values[-1]) for one in runs}
    ax.set_title(f"smallest gap: {min(last, key=lambda k: last[k])}, at most {max(min(last.values()), 0):.2g}", loc="left", color=INK, fontsize=10)
    save_picture(figure, path, command)


__all__ = ["run_utility_methods", "solve_utility_model"]
