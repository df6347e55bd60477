"""Expected conditional risk measures against risk neutral control: what caution costs, what it buys, and how policy gradient gets there.

A worker at a machine chooses between a slow way (cost 2/5 for sure) and a fast one (cost 0, or 1 with a probability that depends on the machine's
state, and wear).  The ECRM with level 1/4 and weight w prices the worst quarter of each next cost.  For each w the optimum is computed exactly on
the augmented model (Yu and Ying, 2023); projected and softmax policy gradient then run on the same model from the uniform policy.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import mdps
import pgtheory
from experiments.findings import Finding, Outcome, report
from mdps.rational import to_float
from pgtheory.exact import occupancy
from pgtheory.risk.ecrm import Augmented, augmented
from pgtheory.risk.tail import cvar
from proofs_check.plots import INK, SERIES

LEVEL = Fraction(1, 4)
WEIGHTS = (Fraction(0), Fraction(1, 4), Fraction(1, 2), Fraction(3, 4), Fraction(1))
STEPS = 3000


def workshop() -> mdps.MDP:
    """States: good, worn (choose), then what happened: slow job, smooth, accident; rewards are minus costs, paid where the job ends."""
    good, worn, slow, smooth, accident = range(5)
    rows = [
        [{slow: 1}, {smooth: "17/20", accident: "3/20"}],
        [{slow: 1}, {smooth: "4/5", accident: "1/5"}],
        [{good: "9/10", worn: "1/10"}] * 2,
        [{good: "3/5", worn: "2/5"}] * 2,
        [{worn: 1}] * 2,
    ]
    transitions = [[[row.get(t, 0) for t in range(5)] for row in state] for state in rows]
    costs = [["0", "0"], ["0", "0"], ["2/5", "2/5"], ["0", "0"], ["1", "1"]]
    rewards = [[f"-{cost}" if cost != "0" else "0" for cost in row] for row in costs]
    return mdps.MDP(
        transitions, rewards, "9/10", ["1/2", "1/2", 0, 0, 0], state_names=["good", "worn", "slow", "smooth", "accident"], name="workshop"
    )


def figures(problem: Augmented, policy: Any) -> tuple[float, float, float]:
    """(discounted cost, share of accidents among the jobs, discounted sum of the conditional CVaRs of the next cost) of an augmented policy."""
    base, levels = problem.base, problem.levels
    visits = occupancy(problem.model, policy)
    plain = visits.reshape(base.num_states, levels + 1, base.num_actions, levels).sum(axis=(1, 3))
    scale = 1 / (1 - base.discount)
    cost = -float((plain * base.rewards).sum()) * scale
    jobs = plain.sum(axis=1)
    next_costs = -cvar(base.transitions, base.rewards[:, 0], LEVEL)  # every state has one cost, whatever the action
    return cost, float(jobs[4] / jobs[2:].sum()), float((plain * next_costs).sum()) * base.discount * scale


def _list(values: list[float]) -> str:
    return " ".join(f"{x:.3f}" for x in values)


def experiment() -> Outcome:
    base = workshop()
    neutral = pgtheory.solve_exactly(base)
    rows, found = [], []
    curves: dict[str, Any] = {}
    costs, accidents, tails, ends = [], [], [], []
    for w in WEIGHTS:
        problem = augmented(base, LEVEL, w)
        best = pgtheory.solve_exactly(problem.model)
        optimum = -float(to_float(np.array([(problem.model.exact.start * best.values).sum()]))[0])
        cost, share, tail = figures(problem, to_float(best.policy))
        costs.append(cost), accidents.append(share), tails.append(tail)
        uniform = np.full(problem.model.num_states, 1 / problem.model.num_states)
        for name, method in (("projected", pgtheory.ProjectedPG(0.05)), ("softmax", pgtheory.SoftmaxPG(20.0))):
            run = pgtheory.run(problem.model, method, STEPS, start=uniform)
            gap = run.gap()
            curves[f"{name}, w = {w}"] = (run.times, gap)
            ends.append(float(gap[-1] / gap[0]))
            rows += [[str(w), name, int(t), float(g), optimum] for t, g in zip(run.times, gap, strict=True)]
        rows.append([str(w), "optimum", 0, 0.0, optimum])
    plain_cost = -float(to_float(np.array([(base.exact.start * neutral.values).sum()]))[0])
    rising, falling = bool(np.all(np.diff(costs) >= -1e-9)), bool(np.all(np.diff(tails) <= 1e-9))
    found = [
        Finding("ECRM with weight 0", "is the risk neutral optimum", f"cost {costs[0]:.6f}, {plain_cost:.6f}", abs(costs[0] - plain_cost) < 1e-9),
        Finding("Yu and Ying (2023), what ECRM are for", "risk aversion buys fewer accidents", _list(accidents), accidents[-1] < accidents[0]),
        Finding("optimality for each weight", "the mean cost rises with the weight", _list(costs), rising and costs[-1] > costs[0]),
        Finding("optimality for each weight", "the discounted conditional CVaRs fall", _list(tails), falling and tails[-1] < tails[0]),
        Finding(
            "Yu and Ying (2023), global convergence", "direct and softmax gradients converge to the optimum of every weight",
            f"largest gap left {max(ends):.2%} of the first", max(ends) < 0.02,
        ),
    ]  # fmt: skip
    figure = Figure(figsize=(8.4, 3.6), constrained_layout=True)
    left, right = figure.subplots(1, 2)
    left.plot([float(w) for w in WEIGHTS], costs, color=SERIES[0], marker="o", label="discounted cost")
    left.plot([float(w) for w in WEIGHTS], tails, color=SERIES[1], marker="s", linestyle="--", label="discounted CVaR of next costs")
    left.set_xlabel("weight w of CVaR", color=INK)
    left.set_title("what caution costs and buys [cost]", loc="left", color=INK, fontsize=10)
    left.legend(frameon=False, fontsize=8)
    for k, (name, (times, gap)) in enumerate(curves.items()):
        if name.endswith(("= 0", "= 1/2", "= 1")):
            style = "-" if name.startswith("projected") else "--"
            right.plot(np.maximum(times, 0.5), np.maximum(gap, 1e-13), style, color=SERIES[(k // 2) % len(SERIES)], label=name)
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlabel("iteration t", color=INK)
    right.set_title("gap of policy gradient on the augmented model", loc="left", color=INK, fontsize=10)
    right.legend(frameon=False, fontsize=7)
    return Outcome(("weight", "method", "t", "gap", "optimal ECRM"), rows, figure, found)


if __name__ == "__main__":
    sys.exit(report("ecrm_against_risk_neutral", experiment))
