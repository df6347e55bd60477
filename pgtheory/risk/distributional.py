"""Laws of the return in every state: the distributional Bellman operator and what is left of it on a grid, and the second moment.

    T nu (s) = law of  r(s, A) + gamma Z',     A ~ pi(. | s), S' ~ P(. | s, A), Z' ~ nu(S')

W_p is the distance of quantile functions in L_p[0, 1].  T contracts sup_s W_p by gamma for every p in [1, inf].

    quantile      Pi_N replaces a law by its quantiles at (2i - 1) / (2N), i = 1 .. N, each of mass 1/N.  Pi_N is nonexpansive in W_inf (in W_1 it is
                  not), so Pi_N T contracts sup_s W_inf by gamma.  |mean(Pi_N nu) - mean(nu)| <= range(nu) / (2N), hence the mean of the fixed point
                  is within range / (2N (1 - gamma)) of V.
    categorical   a fixed grid z_1 < ... < z_K: mass between two points is split so that the mean is kept.  Nonexpansive in the Cramer distance
                  (L_2 of distribution functions), in which T contracts by sqrt(gamma); means are exact while the support stays within the grid.
    second moment M(s) = E Z(s)^2:  M = r^2 + 2 gamma r P V + gamma^2 P M (averaged over the policy), a gamma^2 contraction; Var = M - V^2.

Laws are arrays: probabilities (..., n) and outcomes (..., n).  float64 and rationals.
Sources: Sobel (1982); Bellemare, Dabney and Munos (2017); Dabney et al. (2018); Rowland et al. (2018).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.arithmetic import kind, solve
from pgtheory.exact.evaluation import check_policy
from pgtheory.exact.linear import model_like
from pgtheory.risk.tail import _alike, _number

Array = np.ndarray


def bellman_target(mdp: MDP, policy: Any, probabilities: Any, outcomes: Any) -> tuple[Array, Array]:
    """(T nu): laws (S, A S n) of r + gamma Z', for laws nu of the states, probabilities and outcomes (S, n)."""
    policy = check_policy(mdp, policy)
    p, x = np.asarray(probabilities), np.asarray(outcomes)
    numbers = kind(policy) if kind(x) == "float" or kind(policy) != "float" else kind(x)
    choices, rewards, gamma, _ = model_like(mdp, numbers)
    rows = choices if isinstance(choices, np.ndarray) else choices.toarray()
    size, width = mdp.num_states, p.shape[1]
    zero = _number(0, rewards)
    actions = mdp.num_actions
    weights = np.full((size, actions, size, width), zero, dtype=rows.dtype)
    values = np.full((size, actions, size, width), zero, dtype=rows.dtype)
    states, place = np.repeat(np.arange(size), np.diff(mdp.first_pair)), np.concatenate([np.arange(k) for k in np.diff(mdp.first_pair)])
    chosen = _alike(policy, rewards)[0][states, place]
    weights[states, place] = (chosen[:, None] * rows)[:, :, None] * p[None]
    values[states, place] = rewards[:, None, None] + gamma * x[None]
    return weights.reshape(size, -1), values.reshape(size, -1)


def quantile_projection(probabilities: Any, outcomes: Any, atoms: int) -> Array:
    """(..., N): the quantiles of the laws (..., n) at (2i - 1) / (2N); the smallest outcome whose distribution function reaches the level."""
    _check_atoms(atoms)
    p, x = np.broadcast_arrays(*_alike(probabilities, outcomes))
    order = np.argsort(x, axis=-1, kind="stable")
    above = np.take_along_axis(p, order, axis=-1).cumsum(axis=-1)
    ranked = np.take_along_axis(x, order, axis=-1)
    slack = 4 * p.shape[-1] * np.finfo(float).eps if kind(p) == "float" else 0
    possible = np.asarray(np.take_along_axis(p, order, axis=-1) > 0, dtype=bool)
    out = []
    for i in range(1, atoms + 1):
        level = _number(2 * i - 1, p) / _number(2 * atoms, p)
        reached = np.asarray(above >= level - slack, dtype=bool) & possible
        out.append(np.take_along_axis(ranked, reached.argmax(axis=-1)[..., None], axis=-1)[..., 0])
    return np.stack([np.asarray(x) for x in out], axis=-1)


def categorical_projection(probabilities: Any, outcomes: Any, grid: Any) -> Array:
    """(..., K) masses on the grid (K,): each outcome is split between its two neighbours in proportion, beyond the ends it moves to the end."""
    p, x = np.broadcast_arrays(*_alike(probabilities, outcomes))
    z = _alike(np.asarray(grid), x)[0]
    if z.ndim != 1 or z.size < 2 or np.asarray(z[1:] <= z[:-1], dtype=bool).any():
        raise ModelError("the grid must hold at least two increasing numbers")
    inside = np.minimum(np.maximum(x, z[0]), z[-1])
    out = []
    for k in range(z.size):
        hat = inside * 0 + 1
        if k > 0:
            hat = np.minimum(hat, (inside - z[k - 1]) / (z[k] - z[k - 1]))
        if k + 1 < z.size:
            hat = np.minimum(hat, (z[k + 1] - inside) / (z[k + 1] - z[k]))
        out.append((p * np.maximum(hat, _number(0, x))).sum(axis=-1))
    return np.stack([np.asarray(x) for x in out], axis=-1)


@dataclass(frozen=True)
class Distributional:
    """Laws of the return after distributional evaluation: probabilities and outcomes (S, n), and how far the fixed point may be.

    distance   in the metric of the contraction (W_inf for quantiles, Cramer for categories): at most this far from the fixed point
    """

    probabilities: Array
    outcomes: Array
    distance: float
    iterations: int
    mdp: MDP = field(repr=False)

    @property
    def means(self) -> Array:
        return (self.probabilities * self.outcomes).sum(axis=-1)


def quantile_evaluation(mdp: MDP, policy: Any, atoms: int, tol: float = 1e-10) -> Distributional:
    """The fixed point of Pi_N T, iterated from V's constant laws until gamma / (1 - gamma) times the last step in W_inf is below tol."""
    _check_atoms(atoms)
    values = np.repeat(_neutral(mdp, policy)[:, None], atoms, axis=1)
    mass = np.full(values.shape, 1 / atoms)
    scale = mdp.discount / (1 - mdp.discount)
    t, step = 0, np.inf
    while t < _limit(mdp) and (scale * step > tol or t == 0):
        t += 1
        new = quantile_projection(*bellman_target(mdp, policy, mass, values), atoms)
        step = float(np.max(np.abs(new - values)))
        values = new
    return Distributional(mass, values, scale * step, t, mdp)


def categorical_evaluation(mdp: MDP, policy: Any, grid: Any, tol: float = 1e-10) -> Distributional:
    """The fixed point of the categorical projection of T, until the fixed point is within tol in Cramer distance."""
    z = np.asarray(grid, dtype=float)
    mass = np.zeros((mdp.num_states, z.size))
    mass[:, 0] = 1.0
    x = np.broadcast_to(z, mass.shape)
    root = np.sqrt(mdp.discount)
    t, step = 0, np.inf
    scale = float(root / (1 - root))
    while t < 2 * _limit(mdp) and (scale * step > tol or t == 0):
        t += 1
        new = categorical_projection(*bellman_target(mdp, policy, mass, x), z)
        step = float(np.max(cramer(new, x, mass, x)))
        mass = new
    return Distributional(mass, x, scale * step, t, mdp)


def _limit(mdp: MDP) -> int:
    """Steps after which rounding is all that moves: gamma^t below the smallest float."""
    return 3 if mdp.discount == 0 else int(np.ceil(60 / -np.log(mdp.discount))) + 3


def _neutral(mdp: MDP, policy: Any) -> Array:
    from pgtheory.exact.evaluation import state_values

    return state_values(mdp, np.asarray(policy, dtype=float))


def _check_atoms(atoms: Any) -> None:
    if isinstance(atoms, bool) or not isinstance(atoms, int | np.integer) or atoms < 1:
        raise ModelError(f"the number of atoms is {atoms!r}; it must be a whole number of at least 1")


# Distances of laws


def wasserstein(p: Any, x: Any, q: Any, y: Any, order: Any = 1) -> Array:
    """(...,) W_order of two laws: probabilities p (..., n) on x, q (..., m) on y; order 1, 2 (squared and rooted) or inf.

    W_p^p = int_0^1 |F^-1 - G^-1|^p: both quantile functions are constant between the merged levels of the two distribution functions."""
    width, left, right = _merged(p, x, q, y)
    gap = np.abs(left - right)
    used = np.asarray(width > 0, dtype=bool)
    if order == np.inf:
        return np.where(used, gap, gap * 0).max(axis=-1)
    total = (width * gap**order).sum(axis=-1)
    return total if order == 1 else total ** (1 / order)


def cramer(p: Any, x: Any, q: Any, y: Any) -> Array:
    """(...,) the L_2 distance of the distribution functions of two laws, float64."""
    points = np.concatenate([np.broadcast_to(x, np.shape(p)), np.broadcast_to(y, np.shape(q))], axis=-1)
    signed = np.concatenate([np.asarray(p), -np.asarray(q)], axis=-1)
    order = np.argsort(points, axis=-1, kind="stable")
    points, signed = np.take_along_axis(points, order, axis=-1), np.take_along_axis(signed, order, axis=-1)
    height = signed.cumsum(axis=-1)[..., :-1]
    return np.sqrt((height * height * np.diff(points, axis=-1)).sum(axis=-1))


def _merged(p: Any, x: Any, q: Any, y: Any) -> tuple[Array, Array, Array]:
    """(widths, quantiles of the first, of the second) on the merged levels."""
    (p, x), (q, y) = (np.broadcast_arrays(*_alike(a, b)) for a, b in ((p, x), (q, y)))
    first, second = np.argsort(x, axis=-1, kind="stable"), np.argsort(y, axis=-1, kind="stable")
    x, y = np.take_along_axis(x, first, axis=-1), np.take_along_axis(y, second, axis=-1)
    above = np.take_along_axis(p, first, axis=-1).cumsum(axis=-1), np.take_along_axis(q, second, axis=-1).cumsum(axis=-1)
    levels = np.sort(np.concatenate(above, axis=-1), axis=-1)
    start = np.concatenate([levels[..., :1] * 0, levels[..., :-1]], axis=-1)
    width = levels - start
    slack = 4 * levels.shape[-1] * np.finfo(float).eps if kind(p) == "float" else 0
    width = np.where(width > slack, width, width * 0)  # two sums that are equal but for their rounding
    middle = (start + levels) / 2
    return width, _at(above[0], x, middle), _at(above[1], y, middle)


def _at(above: Array, outcomes: Array, levels: Array) -> Array:
    count = np.asarray(above[..., None, :] < levels[..., :, None], dtype=bool).sum(axis=-1)
    return np.take_along_axis(outcomes, np.minimum(count, outcomes.shape[-1] - 1), axis=-1)


# The second moment


def second_moment(mdp: MDP, policy: Any) -> tuple[Array, Array]:
    """(V, M) (S,): mean and second moment of the discounted return from each state, by two linear solves.  float64, rationals, balls."""
    policy = check_policy(mdp, policy)
    choices, rewards, gamma, _ = model_like(mdp, kind(policy))
    rows = choices if isinstance(choices, np.ndarray) else choices.toarray()
    weights = policy[mdp.action_mask]
    first = mdp.first_pair[:-1]
    P = np.add.reduceat(weights[:, None] * rows, first, axis=0)
    unit = np.array([[_number(int(i == j), rewards) for j in range(mdp.num_states)] for i in range(mdp.num_states)], dtype=rows.dtype)
    V = solve(unit - gamma * P, np.add.reduceat(weights * rewards, first))
    paid = np.add.reduceat(weights * (rewards * rewards + 2 * gamma * rewards * (rows @ V)), first)
    return V, solve(unit - gamma * gamma * P, paid)


def return_variance(mdp: MDP, policy: Any) -> Array:
    """(S,) variance of the discounted return from each state."""
    V, M = second_moment(mdp, policy)
    return M - V * V
