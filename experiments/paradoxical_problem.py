"""The paradoxical problem of constrained reinforcement learning: reward and cost are one, and plain descent-ascent never settles.

Two states with full control; being in the left one pays 1 and costs 1, and the discounted cost may be half of its maximum.  Half of the time left is
optimal, at the multiplier 1, at which every policy is worth the same: no multiplier makes the optimum the greedy policy.  Moskovitz et al. (2023) ask
for methods whose last policy converges, not only the average of all; optimistic descent-ascent is theirs.  The same as a bandit: one state, two arms.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import mdps
from experiments.findings import Finding, Outcome, report
from mdps.rational import rational_array
from pgtheory.constrained import DescentAscent, OptimisticDescentAscent, run_constrained, solve_constrained_exactly
from pgtheory.constrained.evaluation import best_response, evaluate, lagrangian, problem_of
from pgtheory.constrained.optimistic import local_contraction
from proofs_check.plots import INK, SERIES

DISCOUNT = Fraction(3, 4)
STEP, ITERATIONS, WINDOW = 0.1, 6000, 1500
"""Step size of both players, steps, and the last iterates that are looked at: several turns of the spiral, which takes about 2 pi / (eta / 2) = 126
steps in the bandit and a few times that with two states."""
FIRST, PRICE = 0.6, 1.3
"""Probability of left and multiplier at the start."""
CLOSE = 0.02
"""Of the largest value: the last WINDOW iterates of a method that settles lie within this of the optimum."""
PRICES = [Fraction(k, 20) for k in range(61)]
PAPER = "Moskovitz et al. (2023)"


def bandit() -> mdps.ConstrainedMDP:
    """One state, arms left (reward = cost = 1) and right (0), budget 1/2."""
    return mdps.zoo.constrained_case("C1").problem.replace(thresholds=rational_array(["1/2"]))


def two_states() -> mdps.ConstrainedMDP:
    """States left (pays and costs 1) and right; actions go to them for sure; start in both alike; budget 1 / (2 (1 - gamma))."""
    rows = [[[1, 0], [0, 1]], [[1, 0], [0, 1]]]
    pays = rational_array([[1, 1], [0, 0]])
    names: dict[str, Any] = {"state_names": ["left", "right"], "action_names": ["go left", "go right"], "name": "left_or_right"}
    mdp = mdps.MDP(rational_array(rows), pays, DISCOUNT, rational_array(["1/2", "1/2"]), **names)
    return mdps.ConstrainedMDP(mdp, [pays], rational_array([1 / (2 * (1 - DISCOUNT))]))


def greedy_policies_that_solve_it(model: mdps.ConstrainedMDP) -> list[Fraction]:
    """The multipliers of PRICES whose greedy policy, by policy iteration in rationals, is feasible and optimal."""
    exact, best = model.exact, solve_constrained_exactly(model).value
    problem, found = problem_of(exact), []
    for price in PRICES:
        greedy = best_response(problem, lagrangian(problem.tables, rational_array([price])))
        seen = evaluate(problem, greedy)
        if seen.excess[0] <= 0 and seen.values[0] == best:
            found.append(price)
    return found


def experiment() -> Outcome:
    rows: list[list[Any]] = []
    found: list[Finding] = []
    figure = Figure(figsize=(11.0, 3.8), constrained_layout=True)
    portrait, *curves = figure.subplots(1, 3)
    for (name, model), curve in zip((("bandit", bandit()), ("two states", two_states())), curves, strict=True):
        largest = 1 / (1 - float(model.discount))
        solving = greedy_policies_that_solve_it(model)
        found.append(
            Finding(
                f"{PAPER}, the paradoxical problem ({name})", "no multiplier makes the constrained optimum the greedy policy",
                f"of {len(PRICES)} multipliers from 0 to {PRICES[-1]}, the greedy policies of {len(solving)} solve it", not solving,
            )
        )  # fmt: skip
        first = np.array([[FIRST, 1 - FIRST]] * model.num_states)
        methods = {"plain": DescentAscent(STEP, STEP * (1 - float(model.discount))), "optimistic": OptimisticDescentAscent(STEP, STEP / largest)}
        runs = {}
        for k, (label, method) in enumerate(methods.items()):
            run = runs[label] = run_constrained(model.float, method, ITERATIONS, first, [PRICE], record="all")
            gaps = [run.gap(of) / largest for of in ("last", "average")]
            columns = [run.gap(), run.violation(), run.gap("average"), run.violation("average"), run.multipliers[:, 0]]
            rows += [[name, label, t, *(float(column[t]) for column in columns)] for t in range(0, ITERATIONS + 1, 20)]
            curve.plot(np.abs(gaps[0]), color=SERIES[k], linewidth=0.9, label=f"{label}, last")
            curve.plot(np.abs(gaps[1]), color=SERIES[k], linewidth=1.6, linestyle="--", label=f"{label}, average")
            if name == "bandit":
                portrait.plot(run.policies[:1200, 0, 0], run.multipliers[:1200, 0], color=SERIES[k], linewidth=0.9, label=label)
        late = {label: -run.gap()[-WINDOW:] / largest for label, run in runs.items()}  # above 0: more reward than allowed, and as much cost
        averages = {label: abs(float(run.gap("average")[-1])) / largest for label, run in runs.items()}
        found += [
            Finding(
                f"{PAPER}, on descent-ascent ({name})", "on average, plain descent-ascent comes near the optimum",
                f"the average misses it by {averages['plain']:.4f} of the largest value after {ITERATIONS:,} steps", averages["plain"] < CLOSE,
            ),
            Finding(
                f"{PAPER}, on descent-ascent ({name})", "its policy alternates between breaking the constraint and missing reward",
                f"over the last {WINDOW:,} steps it breaks it by up to {late['plain'].max():.3f} and misses up to {-late['plain'].min():.3f}",
                late["plain"].max() > 0.2 and late["plain"].min() < -0.2,
            ),
            Finding(
                f"{PAPER}, last-iterate convergence ({name})", "the last policy of optimistic descent-ascent converges to the optimum",
                f"over the last {WINDOW:,} steps it is within {np.abs(late['optimistic']).max():.1e} of it", np.abs(late["optimistic"]).max() < CLOSE,
            ),
        ]  # fmt: skip
        curve.set_yscale("log")
        curve.set_ylim(1e-7, 1)
        curve.set_xlabel("iteration t", color=INK)
        curve.set_title(f"{name}: |V* − V| [largest value]", loc="left", color=INK, fontsize=10)
        curve.legend(frameon=False, fontsize=7)
        if name == "bandit":
            away = np.hypot(2 * (runs["optimistic"].policies[:, 0, 0] - 0.5), runs["optimistic"].multipliers[:, 0] - 1)
            rate, predicted = float((away[-1] / away[-WINDOW]) ** (1 / (WINDOW - 1))), local_contraction(0.25, STEP, STEP)
            found.append(
                Finding(
                    "linearisation at the saddle, derived in the library", "the distance shrinks by sqrt((1 + sqrt(1 - eta^2)) / 2) a step",
                    f"{rate:.6f} a step against {predicted:.6f}", abs(rate - predicted) < 1e-4,
                )
            )  # fmt: skip
    portrait.plot([0.5], [1.0], "*", color=INK, markersize=10)
    portrait.set_xlabel("probability of left", color=INK)
    portrait.set_ylabel("multiplier", color=INK)
    portrait.set_title("bandit: the first 1,200 steps", loc="left", color=INK, fontsize=10)
    portrait.legend(frameon=False, fontsize=8)
    heads = ("problem", "method", "t", "last gap", "last violation", "average gap", "average violation", "multiplier")
    return Outcome(heads, rows, figure, found)


if __name__ == "__main__":
    sys.exit(report("paradoxical_problem", experiment))
