"""Maximum causal entropy under constraints, and the inverse problem: which prices of the constraints explain what an expert does.

    forward   max V_r + tau H(rho)  subject to  V_c <= b          the optimum is the soft-optimal policy pi_lambda of the reward r - lambda . c
    inverse   which lambda has V_c(pi_lambda) = what the expert's costs are worth       (maximum likelihood over soft-optimal policies)

Both minimise the dual g(lambda) = V_tau(rho; r - lambda . c) + lambda . b, whose gradient is b - V_c(pi_lambda) (`soft`): forward over lambda >= 0,
inverse over all lambda with b the expert's values.  g is smooth with L = sum C_i^2 / (4 tau (1 - gamma)^3) (`soft.smoothness`).  Projected gradient

    lambda <- max(lambda - eta (b - V_c(pi_lambda)), 0),       eta <= 1/L

has, from lambda_0, with D = |lambda_0 - lambda*|, for the LAST iterate at t >= 1:

    g - g* <= D^2 / (2 eta t)
    violation_i <= D sqrt(L / (eta t))                                                   |grad g - grad g*|^2 <= 2 L (g - g*)
    V_r* - V_r <= tau log A / (1 - gamma) + (|lambda*| + D) D sqrt(L / (eta t)) + D^2 / (2 eta t)

(the gap against the optimum WITHOUT entropy: the first term is the price of it).  A step above 2 / g''(lambda*) overshoots: the last iterate then
ends in a cycle (bandit r = c = (1, 0): g'' = b (1 - b) / tau).

Inverse: lambda is identified iff the second derivative E_nu Cov_pi(Q_c) / tau is regular at the solution; directions in its null space change no
policy (cost features that are collinear, or equal up to what no action changes).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mdps.constrained import ConstrainedMDP
from mdps.errors import ModelError
from pgtheory.constrained.evaluation import Problem, Seen, problem_of
from pgtheory.constrained.primal_dual import checked_prices
from pgtheory.constrained.runs import ConstrainedMethod, ConstrainedRun, Guarantee, State
from pgtheory.constrained.soft import SoftSaddle, dual_hessian, smoothness, soft_answer, soft_saddle

Array = np.ndarray
NEWTON_STEPS = 200
UNSEEN = 1e-10
"""Part of the largest curvature below which a direction of the multipliers counts as one that changes nothing."""


def solve_maximum_entropy(model: ConstrainedMDP, temperature: Any) -> SoftSaddle:
    """The policy of the largest V_r + tau H under the constraints, with its multipliers, by root finding."""
    return soft_saddle(model, temperature)


def last_bounds(
    iterations: int, actions: int, discount: float, temperature: float, smooth: float, step_size: float, first: Any, optimal: Any
) -> tuple[float, float]:
    """(gap, violation of each constraint) of the last iterate after t = `iterations` steps, as above; eta <= 1/L.

    first, optimal   (m,) lambda_0 and the optimal multipliers of the entropy problem
    raises           ModelError: a negative multiplier, no step, a step size that is not in (0, 1/L]"""
    if iterations < 1:
        raise ModelError(f"iterations is {iterations}; it must be at least 1")
    if not 0 < step_size <= (1 + 1e-12) / smooth:
        raise ModelError(f"step_size is {step_size}; the bound needs one in (0, 1/L], L = {smooth:g}")
    best = checked_prices(optimal)
    away = float(np.linalg.norm(checked_prices(first) - best))
    off = away * float(np.sqrt(smooth / (step_size * iterations)))
    gap = temperature * np.log(actions) / (1 - discount) + (float(np.linalg.norm(best)) + away) * off + away**2 / (2 * step_size * iterations)
    return float(gap), off


@dataclasses.dataclass(frozen=True)
class CausalEntropyDual(ConstrainedMethod):
    """Projected gradient on the dual of the maximum-entropy problem.  temperature tau; step_size eta (left out: 1/L)."""

    temperature: Any
    step_size: Any = None
    name = "maximum-entropy"
    parameters = "policy"

    def tuned(self, model: ConstrainedMDP, problem: Problem, iterations: int) -> CausalEntropyDual:
        ready = self.with_numbers(model)
        smooth = smoothness(problem, ready.temperature)
        return ready.with_numbers(model, step_size=1 / smooth if smooth > 0 else 1.0)

    def start(self, problem: Problem, policy: Array, multipliers: Array) -> State:
        """The soft-optimal answer to the first multipliers; the first policy plays no part."""
        answer = soft_answer(problem, multipliers, self.temperature)
        return State(answer.policy, multipliers, answer.values)

    def step(self, state: State, seen: Seen, problem: Problem) -> State:
        multipliers = np.maximum(state.multipliers + self.step_size * seen.excess, 0.0)
        answer = soft_answer(problem, multipliers, self.temperature, state.memory)
        return State(answer.policy, multipliers, answer.values)

    def guarantee(self, run: ConstrainedRun) -> Guarantee | None:
        problem = problem_of(run.model)
        smooth, gamma = smoothness(problem, self.temperature), float(problem.discount)
        if smooth == 0 or self.step_size > (1 + 1e-12) / smooth:
            return None
        best = solve_maximum_entropy(run.model, self.temperature).multipliers
        facts = (run.iterations, problem.num_actions, gamma, self.temperature, smooth, self.step_size)
        gap, off = last_bounds(*facts, run.multipliers[0], best)
        return Guarantee("last", gap, np.full(len(problem.thresholds), off))


@dataclasses.dataclass(frozen=True)
class Explained:
    """What explains an expert: multipliers (m,) of any sign, the soft-optimal policy (S, A) for them, its distance (m,) from the expert's values, and

    unseen   (k, m) orthonormal directions in which the multipliers may move without any change of the policy; none: identified"""

    multipliers: Array
    policy: Array
    missed: Array
    unseen: Array

    @property
    def identified(self) -> bool:
        return len(self.unseen) == 0


def explain(model: ConstrainedMDP, expert_values: Any, temperature: Any) -> Explained:
    """The inverse problem: lambda with V_c(pi_lambda) = `expert_values` (m,), in the units and the sign of the costs as given (">=" does not matter).

    Newton's method on the dual with halving, from lambda = 0; in directions that change nothing lambda stays 0.
    raises   ModelError: shapes, a temperature that is not above 0, or values that no soft-optimal policy has (beyond what any policy can reach)
    """
    if not temperature > 0:
        raise ModelError(f"temperature is {temperature}; it must be above 0")
    source, tau = model.float, float(temperature)
    wanted = np.asarray(expert_values, dtype=float)
    if wanted.shape != (source.num_constraints,) or not np.isfinite(wanted).all():
        raise ModelError(f"expert_values is {expert_values!r}; it must hold one finite number for each of {', '.join(source.names)}")
    problem = problem_of(source.replace(thresholds=wanted, directions="<="))
    prices = np.zeros(wanted.size)
    scale = 1 + float(np.abs(problem.reaches).max())
    answer = soft_answer(problem, prices, tau)
    for _ in range(NEWTON_STEPS):
        slope = -answer.seen.excess
        if np.abs(slope).max() <= 1e-13 * scale:
            break
        bend = dual_hessian(problem, answer, tau, 0.0)
        move = -np.linalg.pinv(bend, rcond=UNSEEN, hermitian=True) @ slope
        level, fall, size = _dual(problem, prices, answer), float(slope @ move), 1.0
        while size > 1e-10:
            tried = prices + size * move
            after = soft_answer(problem, tried, tau, answer.values)
            if _dual(problem, tried, after) <= level + 0.25 * size * fall + 1e-15 * (1 + abs(level)):
                break
            size /= 2
        if size <= 1e-10 or np.abs(size * move).max() <= 1e-15 * (1 + np.abs(prices).max()):
            break
        prices, answer = tried, after
    missed = answer.seen.excess
    if np.abs(missed).max() > 1e-7 * scale:
        i = int(np.abs(missed).argmax())
        raise ModelError(
            f"no soft-optimal policy found with V of {source.names[i]!r} = {wanted[i]:g}: the nearest has {wanted[i] + missed[i]:g}.\n"
            f"  The values must lie strictly inside what policies reach, and belong together."
        )
    bend = dual_hessian(problem, answer, tau, 0.0)
    sizes, directions = np.linalg.eigh(bend)
    flat = sizes <= UNSEEN * max(float(sizes.max()), np.finfo(float).tiny)
    return Explained(prices, answer.policy, missed, directions[:, flat].T)


def _dual(problem: Problem, prices: Array, answer: Any) -> float:
    return float(problem.start @ answer.values + prices @ problem.thresholds)
