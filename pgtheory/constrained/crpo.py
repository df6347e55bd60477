"""CRPO: climb the reward while the constraints hold, climb out of the most broken one otherwise.  Xu, Liang, Lan (2021), with exact gradients.

    if V_(c_i)(pi_t) <= b_i + C_i tol for all i:   pi <- pi exp(eta Q_r / R)            a reward step; t belongs to N_0
    otherwise, i the most broken one:              pi <- pi exp(-eta Q_(c_i) / C_i)     a step for constraint i

R, C_i are the spans of reward and costs (1 where a span is 0): a setting without units.  No multipliers.  Every step is one of exponentiated
gradient, and Hoeffding's lemma bounds its log-normaliser by eta^2 / (8 (1 - gamma)^2), so from the uniform policy over A actions

    eta (1 - gamma) [sum_(N_0) (V_r* - V_r^t)/R + sum_(other t) (V_(c_i)^t - V_(c_i)*)/C_i] <= log A + T eta^2 / (8 (1 - gamma)^2),

and every term of the second sum exceeds tol.  Call the right side over eta (1 - gamma) B.  If B <= T tol / 2, the first sum is at most
tol (|N_0| - T / 2) <= |N_0| tol / 2: N_0 is not empty, the average over N_0 has gap <= R tol / 2, and every policy of
N_0, with it the average, breaks constraint i by at most C_i tol.

Best: eta = (1 - gamma) sqrt(8 log A / T), where B = sqrt(T log A / 2) / (1 - gamma)^2 and tol = sqrt(2 log A / T) / (1 - gamma)^2 is twice B / T.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Self

import numpy as np

from mdps.constrained import ConstrainedMDP
from mdps.errors import ModelError
from pgtheory.constrained.evaluation import Problem, Seen, problem_of
from pgtheory.constrained.runs import ConstrainedMethod, ConstrainedRun, Guarantee, State

Array = np.ndarray


def plain_step(logits: Array, action_values: Array, excess: Array, spans: Array, step_size: Any, tolerance: Any) -> Array:
    """theta after one step; action_values (1 + m, S, A), excess (m,) = V_c - b, spans (1 + m,) > 0."""
    broken = excess / spans[1:] - tolerance
    worst = int(broken.argmax())
    if broken[worst] > 0:
        return logits - step_size / spans[1 + worst] * action_values[1 + worst]
    return logits + step_size / spans[0] * action_values[0]


def best_step_size(iterations: int, actions: int, discount: float) -> float:
    """eta = (1 - gamma) sqrt(8 log A / T)."""
    return (1 - discount) * float(np.sqrt(8 * np.log(actions) / _counted(iterations)))


def best_tolerance(iterations: int, actions: int, discount: float) -> float:
    """tol = sqrt(2 log A / T) / (1 - gamma)^2: the promise with `best_step_size`, in spans."""
    return float(np.sqrt(2 * np.log(actions) / _counted(iterations))) / (1 - discount) ** 2


def promised_tolerance(iterations: int, actions: int, discount: float, step_size: float) -> float:
    """2 B / T for any step size > 0: with a tolerance of at least this much the theorem holds."""
    if not step_size > 0:
        raise ModelError(f"step_size is {step_size}; it must be above 0")
    total = np.log(actions) + _counted(iterations) * step_size**2 / (8 * (1 - discount) ** 2)
    return float(2 * total / (step_size * (1 - discount) * iterations))


def average_gap_bound(tolerance: float, reward_span: float) -> float:
    """R tol / 2, for the average over the reward steps, where tol is at least `promised_tolerance` (claim crpo-exact-rate)."""
    return reward_span * tolerance / 2


def violation_bound(tolerance: float, cost_spans: Any) -> Array:
    """(m,) C_i tol, for every reward step and their average."""
    return np.asarray(cost_spans, dtype=float) * tolerance


def _counted(iterations: int) -> int:
    if iterations < 1:
        raise ModelError(f"iterations is {iterations}; it must be at least 1")
    return iterations


@dataclasses.dataclass(frozen=True)
class CRPO(ConstrainedMethod):
    """step_size eta and tolerance tol, both without units; left out, the best ones for the length of the run."""

    step_size: Any = None
    tolerance: Any = None
    name = "crpo"

    def tuned(self, model: ConstrainedMDP, problem: Problem, iterations: int) -> Self:
        facts = (iterations, max(problem.num_actions, 2), float(problem.discount))
        step = best_step_size(*facts) if self.step_size is None else self.step_size
        ready = self.with_numbers(model, step_size=step)
        return ready.with_numbers(model, tolerance=promised_tolerance(*facts, ready.step_size))

    def step(self, state: State, seen: Seen, problem: Problem) -> State:
        logits = plain_step(state.params, seen.action_values, seen.excess, unit_spans(problem), self.step_size, self.tolerance)
        return State(logits, state.multipliers)

    def weight(self, seen: Seen, problem: Problem) -> int:
        return int(bool(np.all(seen.excess / unit_spans(problem)[1:] <= self.tolerance)))

    def guarantee(self, run: ConstrainedRun) -> Guarantee | None:
        problem = problem_of(run.model)
        promised = promised_tolerance(run.iterations, problem.num_actions, float(problem.discount), self.step_size)
        if not run.uniform_start or self.tolerance < promised:
            return None
        spans = unit_spans(problem)
        return Guarantee("average", average_gap_bound(self.tolerance, float(spans[0])), violation_bound(self.tolerance, spans[1:]))


def unit_spans(problem: Problem) -> Array:
    """The spans of the reward and the costs, 1 where a table is constant."""
    spans = np.asarray(problem.spans, dtype=float)
    return np.where(spans > 0, spans, 1.0)
