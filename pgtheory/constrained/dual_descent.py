"""Dual descent: answer the multipliers with an optimal policy, then move them along what that policy breaks.

    pi_t = argmax_pi V_r - lambda_t . V_c           (policy iteration; ties to the earlier action)
    lambda_(t+1) = max(lambda_t + eta (V_c(pi_t) - b), 0)

g(lambda) = max_pi V_r - lambda . (V_c - b) is convex and piecewise linear, V_r* = min g (strong duality), and b - V_c(pi_t) is a subgradient.  With
D_i the reach of |V_(c_i) - b_i| and a = lambda* - lambda_0, for the average over t < T:

    gap          <= |lambda_0|^2 / (2 eta T) + eta |D|^2 / 2
    violation_i  <= (lambda_T - lambda_0)_i / (eta T)                            what the run itself shows
                 <= (a_i + sqrt(|a|^2 + eta^2 T |D|^2)) / (eta T)                before the run

First: pi_t answers best, so V_r* <= V_r^t - lambda_t . (V_c^t - b); projected gradient bounds -sum lambda_t . (V_c^t - b).  Second: lambda_(t+1) is
at least lambda_t + eta (V_c - b).  Third: for every lambda,  gap + lambda . excess <= |lambda - lambda_0|^2 / (2 eta T) + eta |D|^2 / 2; take
lambda = lambda* + mu e_i, where gap + lambda* . excess >= 0 by strong duality, and the best mu > 0.

The last iterate is a deterministic policy.  Where the optimum must be random it is never that: it breaks a constraint or is not optimal, for every
multiplier (`optimistic.paradox`).  Rational on `model.exact`.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Self

import numpy as np

from mdps.constrained import ConstrainedMDP
from mdps.errors import ModelError
from pgtheory.constrained.evaluation import Problem, Seen, ascend_dual, best_response, lagrangian, problem_of
from pgtheory.constrained.primal_dual import checked_prices
from pgtheory.constrained.runs import ConstrainedMethod, ConstrainedRun, Guarantee, State

Array = np.ndarray


def average_gap_bound(iterations: int, reaches: Any, step_size: float, first: Any) -> float:
    """|lambda_0|^2 / (2 eta T) + eta |D|^2 / 2.

    reaches (m,) of V_c - b; first (m,) the first multipliers.  raises ModelError: a negative multiplier, a step that is not above 0"""
    _check(iterations, step_size)
    prices, reaches = checked_prices(first), np.asarray(reaches, dtype=float)
    return float(prices @ prices / (2 * step_size * iterations) + step_size * (reaches @ reaches) / 2)


def average_violation_bound(iterations: int, reaches: Any, step_size: float, first: Any, optimal: Any) -> Array:
    """(m,) (a_i + sqrt(|a|^2 + eta^2 T |D|^2)) / (eta T), a = optimal - first."""
    _check(iterations, step_size)
    away, reaches = checked_prices(optimal) - checked_prices(first), np.asarray(reaches, dtype=float)
    return (away + np.sqrt(away @ away + step_size**2 * iterations * (reaches @ reaches))) / (step_size * iterations)


def _check(iterations: int, step_size: float) -> None:
    for name, value in (("iterations", iterations), ("step_size", step_size)):
        if not value > 0:
            raise ModelError(f"{name} is {value}; it must be above 0")


def dual_value(problem: Problem, multipliers: Array) -> Any:
    """g(lambda) = max_pi V_r(rho) - lambda . (V_c(rho) - b): never below V_r*, equal to it at optimal multipliers."""
    rewards = lagrangian(problem.tables, multipliers)
    from pgtheory.arithmetic import policy_values

    values = policy_values(best_response(problem, rewards), problem.transitions, rewards, problem.discount)
    return (problem.start * values).sum() + (multipliers * problem.thresholds).sum()


@dataclasses.dataclass(frozen=True)
class DualDescent(ConstrainedMethod):
    """step_size eta, in reward units per squared cost unit; left out, R / (C |D| sqrt T) with R, C the spans and D the reaches."""

    step_size: Any = None
    name = "dual-descent"
    parameters = "policy"
    rational_step = True

    def tuned(self, model: ConstrainedMDP, problem: Problem, iterations: int) -> Self:
        spans, reaches = np.asarray(problem.spans, dtype=float), np.asarray(problem.reaches, dtype=float)
        size = float(np.sqrt(reaches @ reaches)) or 1.0
        return self.with_numbers(model, step_size=(spans[0] or 1.0) / ((spans[1:].max() or 1.0) * size * np.sqrt(iterations)))

    def start(self, problem: Problem, policy: Array, multipliers: Array) -> State:
        """The answer to the first multipliers; the first policy plays no part."""
        return State(best_response(problem, lagrangian(problem.tables, multipliers)), multipliers, multipliers)

    def step(self, state: State, seen: Seen, problem: Problem) -> State:
        multipliers = ascend_dual(state.multipliers, self.step_size, seen.excess)
        return State(best_response(problem, lagrangian(problem.tables, multipliers)), multipliers)

    def guarantee(self, run: ConstrainedRun) -> Guarantee | None:
        problem = problem_of(run.model)
        first = np.asarray(run.multipliers[0], dtype=float)
        facts = (run.iterations, problem.reaches, float(self.step_size), first)
        return Guarantee("average", average_gap_bound(*facts), average_violation_bound(*facts, run.solution.multipliers))
