"""Soft-optimal answers to multipliers, and the multipliers at which they meet the constraints: roots of the dual's derivative.

    V_tau = tau log sum_a exp(Q_tau / tau),   Q_tau = r - lambda . c + gamma P V_tau,   pi_lambda = softmax(Q_tau / tau)          tau > 0

pi_lambda maximises V_r - lambda . V_c + tau H(rho), H the discounted entropy.  The dual  g(lambda) = V_tau(rho) + lambda . b + (ridge/2) |lambda|^2
is convex and smooth:

    dg / dlambda_i = b_i - V_(c_i)(pi_lambda) + ridge lambda_i
    d^2 g          = E_nu Cov_(pi_lambda(. | s))(Q_c) / tau + ridge I,      nu the discounted visits of pi_lambda (total 1 / (1 - gamma))

(derive V_tau = tau log sum exp(Q_tau / tau) twice).  Var(Q_(c_i)) is at most C_i^2 / (4 (1 - gamma)^2), so g is smooth with the constant of
`smoothness`.  `soft_saddle` finds the minimiser over lambda >= 0: in each coordinate the derivative is monotone and has one root (Brent's method),
the coordinates are taken in turn and a Newton step on those that are not 0 ends the search.  ridge = 0 is the maximum-entropy problem, ridge = tau
the doubly regularised one.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from mdps.constrained import ConstrainedMDP
from mdps.errors import ModelError
from pgtheory.arithmetic import log_sum_exp
from pgtheory.constrained.evaluation import Problem, Seen, evaluate, lagrangian, problem_of

Array = np.ndarray
NEWTON_STEPS = 200
"""Upper limit: soft policy iteration is Newton's method for the soft Bellman equation, about 10 steps suffice."""
LARGEST = 1e9
"""A multiplier beyond which no root is looked for: the constraint then cannot be met by policies of full support."""
SWEEPS = 500
FLAT = 1e-12
"""Part of the largest possible curvature below which a multiplier no longer moves its cost."""


class Soft(NamedTuple):
    """A soft-optimal policy (S, A), its evaluation, and its soft values (S,) and action values (S, A) (-inf where there is no action)."""

    policy: Array
    seen: Seen
    values: Array
    action_values: Array


@dataclasses.dataclass(frozen=True)
class SoftSaddle:
    """The saddle point (pi, lambda) of the regularised Lagrangian.

    policy (S, A), multipliers (m,), dual g(lambda); value V_r(rho), excess (m,) V_c(rho) - b, entropy H(rho) the discounted sum; temperature, ridge
    state_entropies (S,) entropy of the policy in each state;  derivative (m,) dg / dlambda, 0 where lambda > 0 (to rounding) and >= 0 elsewhere"""

    policy: Array
    multipliers: Array
    dual: float
    value: float
    excess: Array
    entropy: float
    temperature: float
    ridge: float
    derivative: Array


def soft_answer(problem: Problem, multipliers: Array, temperature: float, values: Array | None = None) -> Soft:
    """The soft-optimal policy against multipliers (m,), by soft policy iteration to rounding from `values` (S,) (0 if left out)."""
    rewards = np.where(problem.mask, lagrangian(problem.tables, multipliers), -np.inf)
    V = np.zeros(len(rewards)) if values is None else values
    change = np.inf
    for _ in range(NEWTON_STEPS):
        ahead = rewards + problem.discount * (problem.transitions @ V)
        soft = temperature * log_sum_exp(ahead / temperature)
        policy = np.exp((ahead - soft[:, None]) / temperature)
        matrix = np.eye(len(V)) - problem.discount * np.einsum("sa,sat->st", policy, problem.transitions)
        new = V + np.linalg.solve(matrix, soft - V)
        before, change = change, float(np.abs(new - V).max())
        V = new
        if change <= 4 * np.finfo(float).eps * np.abs(V).max() or (change >= before and change < 1e-9 * (1 + np.abs(V).max())):
            break
    ahead = rewards + problem.discount * (problem.transitions @ V)
    policy = np.exp(ahead / temperature - log_sum_exp(ahead / temperature)[:, None])
    return Soft(policy, evaluate(problem, policy), V, ahead)


def dual_derivative(problem: Problem, multipliers: Array, answer: Soft, ridge: float) -> Array:
    """(m,) b - V_c(pi_lambda) + ridge lambda."""
    return ridge * multipliers - answer.seen.excess


def dual_hessian(problem: Problem, answer: Soft, temperature: float, ridge: float) -> Array:
    """(m, m) E_nu Cov_pi(Q_c) / tau + ridge I."""
    costs = answer.seen.action_values[1:]
    centred = costs - answer.seen.state_values[1:, :, None]
    weights = answer.seen.visits[:, None] * answer.policy
    return np.einsum("isa,jsa,sa->ij", centred, centred, weights) / temperature + ridge * np.eye(len(costs))


def smoothness(problem: Problem, temperature: float) -> float:
    """sum_i C_i^2 / (4 tau (1 - gamma)^3): at least the largest eigenvalue of the second derivative of the dual without ridge."""
    spans = np.asarray(problem.spans[1:], dtype=float)
    return float((spans @ spans) / (4 * temperature * (1 - float(problem.discount)) ** 3))


def soft_saddle(model: ConstrainedMDP, temperature: Any, ridge: Any = 0.0) -> SoftSaddle:
    """The minimiser of the dual over lambda >= 0 and its soft-optimal policy.

    temperature   tau > 0, in reward units;  ridge  >= 0, in reward units per squared multiplier
    raises        ModelError: tau is not above 0, ridge below 0, or a constraint that no policy of full support meets (ridge 0 only)
    """
    if not temperature > 0:
        raise ModelError(f"temperature is {temperature}; it must be above 0")
    if not ridge >= 0:
        raise ModelError(f"ridge is {ridge}; it must be at least 0")
    tau, ridge = float(temperature), float(ridge)
    problem = problem_of(model.float)
    multipliers = np.zeros(len(problem.thresholds))
    answer = soft_answer(problem, multipliers, tau)
    for _ in range(SWEEPS):
        before = multipliers.copy()
        for i in range(multipliers.size):
            multipliers = _root(problem, multipliers, i, tau, ridge, model)
        if multipliers.size > 1:
            multipliers = _newton(problem, multipliers, tau, ridge)
        if np.abs(multipliers - before).max() <= 1e-13 * (1 + np.abs(multipliers).max()) or multipliers.size == 1:
            break
    answer = soft_answer(problem, multipliers, tau)
    logs = np.log(np.where(answer.policy > 0, answer.policy, 1.0))
    entropy = -float(answer.seen.visits @ (answer.policy * logs).sum(axis=1))
    dual = float(problem.start @ answer.values + multipliers @ problem.thresholds + ridge * (multipliers @ multipliers) / 2)
    derivative = dual_derivative(problem, multipliers, answer, ridge)
    return SoftSaddle(answer.policy, multipliers, dual, float(answer.seen.values[0]), answer.seen.excess, entropy, tau, ridge, derivative)


def _root(problem: Problem, multipliers: Array, i: int, tau: float, ridge: float, model: ConstrainedMDP) -> Array:
    """The multipliers with coordinate i at its best: the root of the derivative, or 0 where that is already >= 0 there."""
    from scipy.optimize import brentq

    values = None

    def slope(x: float) -> float:
        nonlocal values
        moved = multipliers.copy()
        moved[i] = x
        answer = soft_answer(problem, moved, tau, values)
        values = answer.values
        return float(dual_derivative(problem, moved, answer, ridge)[i])

    out = multipliers.copy()
    if slope(0.0) >= 0:
        out[i] = 0.0
        return out
    high = max(1.0, 2 * float(multipliers[i]))
    while slope(high) < 0:
        high *= 2
        if high > LARGEST:
            raise ModelError(
                f"constraint {model.names[i]!r} is still broken at the multiplier {high:.1e}: no policy of full support meets it, given the others.\n"
                f"  pgtheory.constrained.diagnose says whether any policy does."
            )
    out[i] = float(brentq(slope, 0.0, high, xtol=1e-15 * high, rtol=4 * np.finfo(float).eps))
    if ridge == 0:
        bend = dual_hessian(problem, soft_answer(problem, out, tau, values), tau, ridge)[i, i]
        if bend <= FLAT * smoothness(problem, tau):  # met only where probabilities have left the range of floats: not met at all
            raise ModelError(
                f"constraint {model.names[i]!r} is only met in the limit of large multipliers (at {out[i]:.3g} the policy no longer moves):\n"
                f"  no policy meets it strictly, given the others.  Relax the threshold, or give a ridge above 0."
            )
    return out


def _newton(problem: Problem, multipliers: Array, tau: float, ridge: float) -> Array:
    """One Newton step on the coordinates above 0, kept if it leaves them above 0 and makes the derivative smaller."""
    free = multipliers > 0
    if not free.any():
        return multipliers
    answer = soft_answer(problem, multipliers, tau)
    slope = dual_derivative(problem, multipliers, answer, ridge)[free]
    bend = dual_hessian(problem, answer, tau, ridge)[np.ix_(free, free)]
    moved = multipliers.copy()
    moved[free] -= np.linalg.lstsq(bend, slope, rcond=None)[0]
    if (moved[free] <= 0).any():
        return multipliers
    after = dual_derivative(problem, moved, soft_answer(problem, moved, tau), ridge)[free]
    return moved if np.abs(after).max() <= np.abs(slope).max() else multipliers
