"""`pgtheory solve MODEL --robust l1:0.2`: the optimum against the worst model of a set, what nature does, and what the caution costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mdps.errors import ModelError, plural
from proofs_check.cli.models import MOST_ROWS, _known, _outwards, _short, check_ending, checked_discount, write_arrays
from proofs_check.cli.output import line, print_json, say, table
from proofs_check.files import to_json, write_whole

MOST_MOVES = 12
"""Rows of the worst model that the terminal shows."""


def solve_robust_model(
    spec: str, discount: str | None, *, robust: str, rectangular: str, exact: bool, method: str, tolerance: float, as_json: bool, out: Path | None
) -> int:
    """Solves MODEL against the worst member of the set and prints it."""
    check_ending(out, (".json", ".npz"))
    if not tolerance > 0:
        raise ModelError(f"--tol is {tolerance}; it must be above 0")
    if method not in ("auto", "value", "policy"):
        raise ModelError(f"--method {method} does not know sets of models; with --robust it is auto, value or policy")
    from mdps.ambiguity import read_ambiguity
    from mdps.io import load_model
    from mdps.robust import RobustMDP

    mdp = load_model(spec, discount=checked_discount(discount))
    problem = RobustMDP(mdp, read_ambiguity(robust, mdp.num_states, rectangular))
    data = _exactly(problem) if exact else _in_floats(problem, method, tolerance)
    gamma = str(mdp.exact.discount) if exact else float(mdp.discount)
    data = {"model": spec, "ambiguity": robust, "rectangular": problem.rectangular, "states": mdp.num_states, "actions": mdp.num_actions,
            "discount": gamma} | data  # fmt: skip
    if out is not None:
        _write(out, data)
    if as_json:
        print_json(data)
        return 0
    _print(problem, data)
    if out is not None:
        line(f" written: {out}")
    return 0


def _in_floats(problem: Any, method: str, tolerance: float) -> dict[str, Any]:
    import pgtheory
    from pgtheory.robust import solve_robust

    try:
        best = solve_robust(problem, method, tolerance)
    except pgtheory.NotConverged as error:
        say(f"pgtheory: {str(error).replace('error.solution', 'see below')}")
        best = error.solution
    nominal = pgtheory.solve(problem.nominal, tol=tolerance, on_limit="return")
    start = problem.nominal.start
    loss = _loss_of_nominal_policy(problem, nominal)
    return {
        "method": f"robust {'policy' if best.method == 'policy' else 'value'} iteration", "iterations": best.iterations, "stopped": best.stopped,
        "error": best.error, "values": best.values, "lower": best.lower, "upper": best.upper, "policy": best.policy, "worst_kernel": best.kernel,
        "worst_rewards": best.rewards, "start_value": float(start @ best.values), "nominal_start_value": float(start @ nominal.values),
        "nominal_policy_in_worst_case": loss,
    }  # fmt: skip


def _loss_of_nominal_policy(problem: Any, nominal: Any) -> float:
    """What the nominal model's best policy is worth from the start against its own worst model."""
    from pgtheory.robust import evaluate_robustly

    policy = np.zeros((problem.num_states, problem.num_actions))
    policy[np.arange(problem.num_states), nominal.actions] = 1.0
    return float(problem.nominal.start @ evaluate_robustly(problem, policy).values)


def _exactly(problem: Any) -> dict[str, Any]:
    import pgtheory
    from pgtheory.robust import evaluate_robustly, solve_robust_exactly

    best, nominal = solve_robust_exactly(problem), pgtheory.solve_exactly(problem.nominal)
    start = problem.nominal.exact.start
    policy = best.policy * 0
    for s, a in enumerate(nominal.actions):
        policy[s, a] = policy[s, a] + 1
    loss = (start * evaluate_robustly(problem, policy).values).sum()
    words = {name: np.vectorize(str, otypes=[object])(array).tolist() for name, array in (("policy", best.policy), ("worst_kernel", best.kernel))}
    return {
        "method": "robust policy iteration in rationals", "iterations": best.iterations, "stopped": "optimal", "error": 0, "certificate": "checked",
        "values": [str(v) for v in best.values], **words, "worst_rewards": [[str(x) for x in row] for row in best.rewards],
        "start_value": str((start * best.values).sum()), "nominal_start_value": str((start * nominal.values).sum()),
        "nominal_policy_in_worst_case": str(loss),
    }  # fmt: skip


def _print(problem: Any, data: dict[str, Any]) -> None:
    mdp, exact = problem.nominal, isinstance(data["start_value"], str)
    how = f"{data['method']}, {plural(int(data['iterations']), 'step')}, stopped: {data['stopped']}"
    kind = {"sa": "(s,a)-rectangular", "s": "s-rectangular"}[data["rectangular"]]
    line(f" {data['model']}: {plural(mdp.num_states, 'state')}, {plural(mdp.num_actions, 'action')}, discount {data['discount']}")
    line(f" against the worst of {data['ambiguity']}, {kind}; {how}")
    if not exact and data["stopped"] not in ("tolerance", "optimal"):
        low, high = _outwards(float(mdp.start @ data["lower"]), float(mdp.start @ data["upper"]))
        line(f" V_rob(start) lies between {low} and {high} (proved)")
    else:
        proof = "; saddle point checked in rationals" if exact else f" ± {data['error']:.1e} (proved)"
        line(f" V_rob(start) = {_short(data['start_value'], data['error'])}{proof}")
    from mdps.rational import fraction

    worth, nominal, careless = (float(fraction(data[k])) for k in ("start_value", "nominal_start_value", "nominal_policy_in_worst_case"))
    line(f" price of robustness: {nominal - worth:.6g} (nominal optimum {nominal:.10g}); the nominal policy in its own worst case: {careless:.10g}")
    line()
    policy = _numbers(data["policy"])
    names = [mdp.action_names[a] if mdp.action_names else str(a) for a in range(mdp.num_actions)]
    rows = []
    for s in range(min(mdp.num_states, MOST_ROWS)):
        value = data["values"][s]
        shown = _short(value, 0) if exact else _known(value, data["error"])
        played = [f"{names[a]}" + ("" if policy[s, a] == 1 else f" {policy[s, a]:.4g}") for a in np.flatnonzero(policy[s] > 0)]
        rows.append((mdp.state_names[s] if mdp.state_names else str(s), shown, ", ".join(played)))
    table(("state", "V_rob", "policy"), rows, right=(1,), fold=2)
    if mdp.num_states > MOST_ROWS:
        line(f" {mdp.num_states - MOST_ROWS:,} more states: --json, or --out FILE")
    if data["worst_kernel"] is not None:
        _print_moves(mdp, policy, _numbers(data["worst_kernel"]), names)


def _print_moves(mdp: Any, policy: np.ndarray, kernel: np.ndarray, names: list[str]) -> None:
    """Where the worst model differs from the nominal one, on the actions that are played."""
    change = kernel - mdp.transitions
    moved = np.abs(change).sum(axis=-1) * (policy > 0)
    pairs = [(int(s), int(a)) for s, a in np.argwhere(moved > 1e-9)]
    line()
    if not pairs:
        line(" the worst model moves no transition of the policy")
        return
    where = [mdp.state_names[s] if mdp.state_names else str(s) for s in range(mdp.num_states)]
    rows = []
    for s, a in pairs[:MOST_MOVES]:
        order = np.argsort(change[s, a])
        fallen = [f"{where[t]} {change[s, a, t]:+.4g}" for t in order if change[s, a, t] < -1e-9][:3]
        risen = [f"{where[t]} {change[s, a, t]:+.4g}" for t in order[::-1] if change[s, a, t] > 1e-9][:3]
        rows.append((where[s], names[a], ", ".join(fallen), ", ".join(risen)))
    table(("state", "action", "worst model takes from", "gives to"), rows, fold=3)
    if len(pairs) > MOST_MOVES:
        line(f" {plural(len(pairs) - MOST_MOVES, 'more row')}: --json, or --out FILE")


def _numbers(values: Any) -> np.ndarray:
    from mdps.rational import rational_array, to_float

    array = np.asarray(values)
    return to_float(rational_array(array)) if array.dtype.kind in "OUS" else array


def _write(path: Path, data: dict[str, Any]) -> None:
    if path.suffix.lower() == ".json":
        write_whole(path, to_json(data))
        return
    arrays = {k: _numbers(data[k]) for k in ("values", "policy", "worst_kernel", "worst_rewards") if data[k] is not None}
    arrays |= {k: data[k] for k in ("lower", "upper") if k in data}
    write_arrays(path, **arrays)
