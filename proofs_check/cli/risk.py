"""`pgtheory solve --risk`: the best policy for a risk measure, nature's answer to it, and proved bounds.

--risk-of step      (the default) nested risk: the value of every next state is rated by the measure
--risk-of return    the risk of the whole discounted return: cvar, mean-cvar, spectral, worst, mean by augmented state over --horizon steps;
                    entropic and evar by their schedule of levels, without an end
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mdps.errors import ModelError, plural
from mdps.rational import fraction, to_float
from proofs_check.cli.models import MOST_ROWS, _known, _outwards, _short, check_ending, checked_discount, write_arrays
from proofs_check.cli.output import line, print_json, say, table
from proofs_check.files import to_json, write_whole

EVAR_TOLERANCE = 1e-4
"""The finest search for the level of an EVaR of the return, in units of the largest return: some thousands of levels."""


def solve_risk(
    spec: str,
    discount: str | None,
    *,
    risk: str,
    of: str,
    horizon: int | None,
    exact: bool,
    tolerance: float,
    as_json: bool,
    out: Path | None,
) -> int:
    """Solves MODEL for the risk measure and prints optimum, policy, envelope and bounds."""
    from mdps.io import load_model
    from pgtheory.risk.measures import parse

    check_ending(out, (".json", ".npz"))
    if not tolerance > 0:
        raise ModelError(f"--tol is {tolerance}; it must be above 0")
    measure = parse(risk)
    if horizon is not None and (of == "step" or measure.name in ("entropic", "evar")):
        raise ModelError(
            "--horizon is for --risk-of return with cvar, mean-cvar, spectral, worst or mean; the other problems have no end and need none"
        )
    mdp = load_model(spec, discount=checked_discount(discount))
    if of == "step":
        data = _nested(mdp, measure, exact, tolerance)
    elif measure.name in ("entropic", "evar"):
        if exact:
            raise ModelError(f"{measure.text} of rationals is irrational; without --exact the bounds are proved")
        data = _entropic(mdp, measure, tolerance) if measure.name == "entropic" else _evar(mdp, measure, tolerance)
    else:
        data = _static(mdp, measure, horizon)
    data = {
        "model": spec,
        "states": mdp.num_states,
        "actions": mdp.num_actions,
        "discount": str(mdp.exact.discount),
        "risk": measure.text,
        "of": of,
    } | data
    if out is not None:
        _write(out, data)
    if as_json:
        print_json({key: value for key, value in data.items() if not key.startswith("_")})
        return 0
    _PRINT[data["kind"]](mdp, data)
    if out is not None:
        line(f" written: {out}")
    return 0


def _nested(mdp: Any, measure: Any, exact: bool, tolerance: float) -> dict[str, Any]:
    from pgtheory import NotConverged
    from pgtheory.risk.nested import solve_nested, solve_nested_exactly

    if exact:
        best = solve_nested_exactly(mdp, measure)
        neutral = solve_nested_exactly(mdp, "mean")
        numbers: Any = {"values": [str(v) for v in best.values], "kernel": [[str(q) for q in row] for row in best.kernel]}
        rho = mdp.exact.start
        start, plain = (sum((p * v for p, v in zip(rho, found.values, strict=True)), best.values[0] * 0) for found in (best, neutral))
        ends = {"start_value": str(start), "neutral_start_value": str(plain), "error": 0, "certificate": "T V = V checked in rationals"}
    else:
        try:
            best = solve_nested(mdp, measure, tolerance)
        except NotConverged as error:
            say(f"pgtheory: {error}")
            best = error.solution
        numbers = {"values": best.values, "lower": best.lower, "upper": best.upper, "kernel": best.kernel}
        ends = {
            "start_value": float(mdp.start @ best.values),
            "neutral_start_value": float(mdp.start @ solve_nested(mdp, "mean", tolerance, on_limit="return").values),
            "error": best.error,
            "certificate": "residual bounds, rounding included",
        }
    about = {"kind": "nested", "iterations": best.iterations, "stopped": best.stopped, "actions_taken": best.actions, "successors": best.successors}
    return about | numbers | ends | {"_solution": best}


def _static(mdp: Any, measure: Any, horizon: int | None) -> dict[str, Any]:
    from pgtheory.risk.static_cvar import solve_static

    if horizon is None:
        raise ModelError(f"{measure.text} of the whole return needs --horizon STEPS: what comes after enters the bounds")
    best = solve_static(mdp, measure, horizon)
    law = best.law
    policy = [
        {"step": h, "state": s, "reward_so_far": str(paid), "action": action}
        for h, rule in enumerate(best.rule)
        for (s, paid), action in sorted(rule.items(), key=lambda item: (item[0][0], item[0][1]))
    ]
    return {
        "kind": "static", "horizon": horizon, "value": str(best.value), "threshold": _thresholds(best.threshold),
        "lower": str(best.lower), "upper": str(best.upper), "certificate": "exact in rationals; the rest of the rewards is in the bounds",
        "policy": policy, "outcomes": [str(x) for x in law.outcomes], "probabilities": [str(p) for p in law.probabilities], "_solution": best,
    }  # fmt: skip


def _thresholds(found: Any) -> str | None:
    """One number, several with commas, or none."""
    if found is None:
        return None
    return ", ".join(map(str, found)) if isinstance(found, tuple) else str(found)


def _entropic(mdp: Any, measure: Any, tolerance: float) -> dict[str, Any]:
    from pgtheory.risk.entropic_control import solve_entropic

    best = solve_entropic(mdp, measure.beta, tolerance)
    return {"kind": "entropic", "certificate": "two recursions in balls, remainder included"} | _schedule(best)


def _schedule(best: Any) -> dict[str, Any]:
    return {
        "steps": best.horizon, "values": best.values, "lower": best.lower, "upper": best.upper, "error": best.error,
        "start_lower": best.start_bounds[0], "start_upper": best.start_bounds[1],
        "actions_of_steps": best.actions, "actions_after": best.last, "levels": best.levels, "_solution": best,
    }  # fmt: skip


def _evar(mdp: Any, measure: Any, tolerance: float) -> dict[str, Any]:
    from pgtheory import NotConverged
    from pgtheory.risk.entropic_control import solve_evar
    from pgtheory.risk.nested import solve_nested

    if measure.level == 0:
        worst = solve_nested(mdp, "worst", tolerance)
        raise ModelError(f"evar:0 is the worst outcome, {min(worst.values[mdp.start > 0]):.10g} here: ask for --risk worst")
    wanted = max(tolerance, EVAR_TOLERANCE * max(1.0, float(np.max(np.abs(mdp.pair_rewards))) / (1 - mdp.discount)))
    if wanted > tolerance:
        say(f"pgtheory: EVaR of the return is searched to {wanted:.2g}, not {tolerance:g}: it takes a recursion for each of thousands of levels")
    try:
        best = solve_evar(mdp, measure.level, wanted)
    except NotConverged as error:
        raise ModelError(f"{error}: raise --tol") from error
    data = {"kind": "evar", "value": best.value, "value_lower": best.lower, "value_upper": best.upper, "beta": best.beta, "cells": best.cells}
    return data | {"certificate": "every level tried or bounded"} | _schedule(best.entropic)


# Printing


def _print_nested(mdp: Any, data: dict[str, Any]) -> None:
    best = data["_solution"]
    how = f"{plural(int(data['iterations']), 'solve')}, stopped: {data['stopped']}"
    line(f" {_size(mdp, data)}; nested {data['risk']}; {how}")
    exact = isinstance(data["start_value"], str)
    proof = data["certificate"] if exact else f"± {data['error']:.1e}, proved: {data['certificate']}"
    line(f" V(start) = {_short(data['start_value'], data['error'])} ({proof}); risk neutral {_short(data['neutral_start_value'], data['error'])}")
    line()
    rows = []
    for s in range(min(mdp.num_states, MOST_ROWS)):
        pair = int(mdp.first_pair[s] + best.actions[s])
        value = _short(data["values"][s], 0) if exact else _known(data["values"][s], data["error"])
        rows.append((_state(mdp, s), value, _action(mdp, int(best.actions[s])), _envelope(mdp, best, pair)))
    table(("state", "V", "action", "next state under the worst law (nominal)"), rows, right=(1,), fold=3)
    _rest(mdp.num_states)


def _envelope(mdp: Any, best: Any, pair: int) -> str:
    """The worst law of the next state beside the nominal one; 'as nominal' where they agree."""
    parts, same = [], True
    for t, q, p in zip(best.successors[pair].tolist(), best.kernel[pair].tolist(), best.nominal[pair].tolist(), strict=True):
        if p != 0:
            same &= bool(abs(q - p) <= 1e-12) if isinstance(q, float) else bool(q == p)
            parts.append(f"{_state(mdp, t)} " + (f"{q:.4g} ({p:.4g})" if isinstance(q, float) else f"{q} ({p})"))
    return "as nominal" if same else ", ".join(parts)


def _print_static(mdp: Any, data: dict[str, Any]) -> None:
    best = data["_solution"]
    line(f" {_size(mdp, data)}; {data['risk']} of the return of {plural(data['horizon'], 'step')}")
    eta = "" if data["threshold"] is None else f"; threshold {data['threshold'] if ',' in data['threshold'] else _short(data['threshold'], 0)}"
    line(f" optimum {_short(data['value'], 0)} (exact, over policies that see the reward so far){eta}")
    if data["lower"] != data["upper"]:  # equal where every trajectory has ended in a state that pays nothing more
        low, high = _outwards(float(fraction(data["lower"])), float(fraction(data["upper"])))
        line(f" without an end: between {low} and {high} (proved)")
    mean, worst = _short(str(best.law.mean), 0), _short(str(best.law.outcomes[0]), 0)
    line(f" its return: mean {mean}, worst {worst}, {plural(best.law.outcomes.size, 'outcome')}")
    line()
    rows = []
    for h, rule in enumerate(best.rule):
        for s in range(mdp.num_states):
            taken: dict[int, list[Any]] = {}
            for (state, paid), action in sorted(rule.items(), key=lambda item: item[0][1]):
                if state == s:
                    taken.setdefault(action, []).append(paid)
            for action, seen in sorted(taken.items()):
                span = _range(seen) if len(taken) > 1 else "any"
                rows.append((str(h), _state(mdp, s), span, _action(mdp, action)))
    table(("step", "state", "reward so far", "action"), rows[: 2 * MOST_ROWS], right=(0,), fold=2)
    if len(rows) > 2 * MOST_ROWS:
        line(f" {len(rows) - 2 * MOST_ROWS:,} more lines: --json, or --out FILE")


def _range(seen: list[Any]) -> str:
    ends = to_float(np.array([seen[0], seen[-1]], dtype=object))
    return f"{ends[0]:.6g}" if len(seen) == 1 else f"{ends[0]:.6g} .. {ends[1]:.6g} ({len(seen)} values)"


def _print_schedule(mdp: Any, data: dict[str, Any]) -> None:
    line(f" {_size(mdp, data)}; {data['risk']} of the whole return")
    if data["kind"] == "evar":
        low, high = _outwards(data["value_lower"], data["value_upper"])
        line(f" optimum between {low} and {high} (from the start distribution; {data['cells']:,} levels); best beta {data['beta']:.6g}")
        low, high = _outwards(data["start_lower"], data["start_upper"])
        line(f" the policy is that of entropic:{data['beta']:.6g}, whose risk lies between {low} and {high}")
    else:
        low, high = _outwards(data["start_lower"], data["start_upper"])
        line(f" optimum between {low} and {high} from the start distribution (proved)")
    line(f" the level fades as discount^t: {plural(data['steps'], 'step')} with actions of their own, then risk neutral")
    line()
    rows = []
    for s in range(min(mdp.num_states, MOST_ROWS)):
        low, high = _outwards(float(data["lower"][s]), float(data["upper"][s]))
        rows.append((_state(mdp, s), low, high, _plan(mdp, data["actions_of_steps"][:, s].tolist(), int(data["actions_after"][s]))))
    table(("state", "V >=", "V <=", "actions from step"), rows, right=(1, 2), fold=3)
    _rest(mdp.num_states)


def _plan(mdp: Any, steps: list[int], after: int) -> str:
    """'0: safe, 3: risky': from which step on which action."""
    parts: list[str] = []
    previous = None
    for t, action in enumerate([*steps, after]):
        if action != previous:
            parts.append(f"{t}: {_action(mdp, action)}")
        previous = action
    return ", ".join(parts)


_PRINT = {"nested": _print_nested, "static": _print_static, "entropic": _print_schedule, "evar": _print_schedule}


def _size(mdp: Any, data: dict[str, Any]) -> str:
    return f"{data['model']}: {plural(mdp.num_states, 'state')}, {plural(mdp.num_actions, 'action')}, discount {data['discount']}"


def _state(mdp: Any, s: int) -> str:
    return str(mdp.state_names[s] if mdp.state_names else s)


def _action(mdp: Any, a: int) -> str:
    return str(mdp.action_names[a] if mdp.action_names else a)


def _rest(states: int) -> None:
    if states > MOST_ROWS:
        line(f" {states - MOST_ROWS:,} more states: --json, or --out FILE")


def _write(path: Path, data: dict[str, Any]) -> None:
    shown = {key: value for key, value in data.items() if not key.startswith("_")}
    if path.suffix.lower() == ".json":
        write_whole(path, to_json(shown))
        return
    arrays = {}
    for key, value in shown.items():
        array = np.asarray(value)
        if array.dtype != object and key != "policy" and value is not None:
            arrays[key] = array
    write_arrays(path, **arrays)
