"""The regularised best occupancy of one model (P, r), unnormalised:

    maximise   <d, r> - (lam / 2) |d|^2      subject to   sum_a d(s, a) - gamma sum P(s|s', a') d(s', a') = start(s),   d >= 0

With a multiplier v(s) for each flow equation, the maximiser is the advantage of v, clipped:  d = [r + gamma P v - v]_+ / lam, so v minimises

    g(v) = start . v + |[r + gamma P v - v]_+|^2 / (2 lam),

which is convex, continuously differentiable and piecewise quadratic.  `best_occupancy` minimises g by Newton steps with a line search: it ends at
a point where the equations hold to rounding, whatever lam > 0.  g(v) is an upper bound of the maximum for every v, so `gap` = g(v) - objective(d)
bounds what is missing wherever the flow equations hold.  `best_occupancy_program` is the same by Clarabel, `bandit_step` the exact projection that
all of this is with one state and gamma = 0: d = project(r / lam).

`performative_optimum` looks ahead instead of answering: with fixed P and r_d = r - M d the objective <d, r_d> - (lam / 2) |d|^2 is quadratic in d,
and certainly concave if lam + the least eigenvalue of M + M' is not negative.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory import arithmetic
from pgtheory.performative.model import check_answer, linear_response

Array = np.ndarray
NEWTON_STEPS = 500
"""Newton steps on a convex piecewise quadratic function: it has finitely many pieces, and far fewer are ever met."""
SETTLED = 64
"""The flow equations hold where they are off by at most this many units of rounding of their terms."""


@dataclasses.dataclass(frozen=True)
class Best:
    """occupancy (S, A); values (S,), the multipliers v; residual: largest error of a flow equation; gap: g(v) - objective, in objective units."""

    occupancy: Array
    values: Array
    residual: float
    gap: float
    iterations: int


def best_occupancy(transitions: Array, rewards: Array, discount: float, start: Array, regularisation: float) -> Best:
    """The maximiser by Newton's method on the dual.

    raises   ModelError: a regularisation that is not positive, arrays that are no model; ArithmeticError: the Newton steps ran out"""
    transitions, rewards, start = (np.asarray(x, dtype=np.float64) for x in (transitions, rewards, start))
    check_regularisation(regularisation)
    check_answer(transitions, rewards, (start.size, rewards.shape[-1]))
    states, actions = rewards.shape
    moves = discount * transitions.reshape(-1, states) - np.repeat(np.eye(states), actions, axis=0)
    pays = rewards.reshape(-1) / regularisation  # v is scaled by lam too, so that d = [pays + moves v]_+
    v = np.zeros(states)
    for k in range(NEWTON_STEPS):
        d = np.maximum(pays + moves @ v, 0.0)
        slope = start + moves.T @ d
        terms = np.abs(pays).max() + 2 * np.abs(v).max() + d.sum() + 1
        if np.abs(slope).max() <= SETTLED * np.finfo(float).eps * terms:
            gap = regularisation * float(start @ v + d @ d - pays @ d)  # g(v) - (<d, r> - lam/2 |d|^2), v scaled back
            return Best(d.reshape(states, actions), regularisation * v, float(np.abs(slope).max()), gap, k)
        v = _descend(v, d, slope, moves, pays, start)
    raise ArithmeticError(f"the dual Newton method took {NEWTON_STEPS} steps and left a flow error of {np.abs(slope).max():.1e}")


def _descend(v: Array, d: Array, slope: Array, moves: Array, pays: Array, start: Array) -> Array:
    """One damped Newton step on g(v) = start . v + |[pays + moves v]_+|^2 / 2."""
    active = moves[d > 0]
    bend = active.T @ active
    bend[np.diag_indices_from(bend)] += 1e-12 * (1 + np.trace(bend))  # states that nothing visits yet have no curvature
    step, length, here = -np.linalg.solve(bend, slope), 1.0, start @ v + d @ d / 2
    while length > 1e-12:
        ahead = np.maximum(pays + moves @ (v + length * step), 0.0)
        if start @ (v + length * step) + ahead @ ahead / 2 <= here + 1e-4 * length * (slope @ step) + 1e-15 * (1 + abs(here)):
            break
        length /= 2
    return np.asarray(v + length * step)


def check_regularisation(regularisation: float) -> None:
    """Raises ModelError where lam is not a positive number."""
    if not regularisation > 0 or not np.isfinite(regularisation):
        raise ModelError(f"the regularisation is {regularisation}; it must be positive")


def best_occupancy_program(transitions: Array, rewards: Array, discount: float, start: Array, regularisation: float) -> Array:
    """The same maximiser (S, A) as a quadratic program by Clarabel, good to its tolerance of 1e-8 or so.

    raises   ModelError: as `best_occupancy`; ArithmeticError: Clarabel gives up"""
    check_regularisation(regularisation)
    check_answer(np.asarray(transitions), np.asarray(rewards), (len(start), np.shape(rewards)[-1]))
    size = np.size(rewards)
    return _quadratic(np.asarray(transitions), np.asarray(rewards), discount, np.asarray(start), regularisation * np.eye(size))


def _quadratic(transitions: Array, rewards: Array, discount: float, start: Array, bend: Array) -> Array:
    """max <d, r> - d' bend d / 2 over the occupancies, by Clarabel."""
    import cvxpy as cp

    states, actions = rewards.shape
    d = cp.Variable(states * actions, nonneg=True)
    out_of = np.repeat(np.eye(states), actions, axis=0) - discount * transitions.reshape(-1, states)
    objective = cp.Minimize(cp.quad_form(d, cp.psd_wrap(bend)) / 2 - rewards.reshape(-1) @ d)
    problem = cp.Problem(objective, [out_of.T @ d == start])
    problem.solve(solver=cp.CLARABEL)
    if problem.status not in ("optimal", "optimal_inaccurate"):
        raise ArithmeticError(f"Clarabel ended with {problem.status!r}")
    return np.asarray(d.value).reshape(states, actions)


def project_occupancy(point: Array, transitions: Array, discount: float, start: Array) -> Array:
    """Euclidean projection of `point` (S, A) on the occupancies of P."""
    return best_occupancy(transitions, point, discount, start, 1.0).occupancy


def bandit_step(rewards: Any, regularisation: Any) -> Array:
    """One state, gamma = 0: the projection of r / lam on the simplex, exact in rationals; rows (..., A)."""
    return arithmetic.project_simplex(np.asarray(rewards) / regularisation)


def performative_optimum(mdp: MDP, matrix: Any, regularisation: float) -> Array:
    """argmax <d, r - M d> - (lam / 2) |d|^2 over the occupancies of the model, (S, A): what a planner would choose who knows the answer.

    matrix   M (SA, SA), or a number for that multiple of the identity
    raises   ModelError: as `linear_response`; an objective that is not concave (names the eigenvalue)"""
    check_regularisation(regularisation)
    model = linear_response(mdp, matrix)
    size, given = model.start.size * model.num_actions, np.asarray(matrix, dtype=np.float64)
    slope = float(given) * np.eye(size) if given.ndim == 0 else given
    bend = slope + slope.T + regularisation * np.eye(size)
    least = float(np.linalg.eigvalsh(bend)[0])
    if least < -1e-12 * float(np.abs(bend).max()):
        raise ModelError(f"the performative objective is not concave: lam + the least eigenvalue of M + M' is {least:.6g}")
    return _quadratic(np.asarray(mdp.float.transitions), np.asarray(mdp.float.rewards), float(mdp.discount), model.start, bend)
