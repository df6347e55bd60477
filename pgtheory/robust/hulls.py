"""One state whose block of rows is any convex combination of finitely many: nature mixes K blocks, the agent mixes actions, a matrix game.

    max over pi of min over k of sum_a pi_a (r_a + gamma P_k,a . v)

The policy of a linear program proves the lower bound, nature's mixture the upper one, whatever the program's own tolerance.  In rationals: the
program of the floats names the rows and columns that are used; equal payoffs on them are a linear system, solved exactly, and the answer is checked;
where that fails (ties), all supports of a small game are tried.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from mdps.errors import ModelError
from pgtheory import arithmetic

Array = np.ndarray
SUPPORTS = 100_000
"""Pairs of supports that are tried exactly before giving up."""


def worst_mixture(blocks: Array, v: Array, policy: Array) -> tuple[Any, Array]:
    """(min over k of sum_a pi_a P_k,a . v, the block P_k): blocks (K, A, n)."""
    values = (policy * (blocks * v).sum(axis=-1)).sum(axis=-1)
    k = int(np.argmin(values))
    return values[k], blocks[k]


def best_mixture(blocks: Array, v: Array, rewards: Array, discount: Any) -> tuple[Any, Any, Array, Array]:
    """(lower, upper, policy (A,), block (A, n)) of the game of one state."""
    payoff = rewards + discount * (blocks * v).sum(axis=-1)  # (K, A)
    policy, nature = _exact_game(payoff) if payoff.dtype == object else _float_game(payoff)
    lower, upper = (payoff * policy).sum(axis=1).min(), (nature[:, None] * payoff).sum(axis=0).max()
    return lower, upper, policy, (nature[:, None, None] * blocks).sum(axis=0)


def _float_game(payoff: Array) -> tuple[Array, Array]:
    """Mixed strategies (columns maximise, rows minimise) of a linear program."""
    from scipy.optimize import linprog

    kernels, actions = payoff.shape
    saddle = payoff.max(axis=1).min() == payoff.min(axis=0).max()
    if saddle:
        return np.eye(actions)[int(payoff.min(axis=0).argmax())], np.eye(kernels)[int(payoff.max(axis=1).argmin())]
    shifted = payoff - payoff.min()
    matrix = np.hstack([-shifted, np.ones((kernels, 1))])
    done = linprog(
        np.r_[np.zeros(actions), -1.0], matrix, np.zeros(kernels), np.r_[np.ones(actions), 0.0][None], [1.0], [(0, 1)] * actions + [(None, None)],
        method="highs-ds",
    )  # fmt: skip
    if done.status != 0:  # pragma: no cover - a matrix game is feasible and bounded
        raise ModelError(f"the linear program of a state was not solved: {done.message}")
    policy = np.maximum(done.x[:-1], 0.0)
    nature = np.maximum(-done.ineqlin.marginals, 0.0)
    return policy / policy.sum(), nature / nature.sum()


def _exact_game(payoff: Array) -> tuple[Array, Array]:
    from mdps.rational import to_float

    floats = to_float(payoff)
    policy, nature = _float_game(floats)
    kernels, actions = payoff.shape
    guess = tuple(np.flatnonzero(nature > 1e-7).tolist()), tuple(np.flatnonzero(policy > 1e-7).tolist())
    tried = 0
    for rows, columns in itertools.chain([guess], _supports(kernels, actions)):
        tried += 1
        if tried > SUPPORTS:
            break
        found = _equalised(payoff, rows, columns)
        if found is not None:
            return found
    raise ModelError(f"no exact solution of a game of {kernels} kernels and {actions} actions was found among {SUPPORTS:,} supports")


def _supports(kernels: int, actions: int) -> Any:
    for size in range(1, min(kernels, actions) + 1):
        yield from itertools.product(itertools.combinations(range(kernels), size), itertools.combinations(range(actions), size))


def _equalised(payoff: Array, rows: tuple[int, ...], columns: tuple[int, ...]) -> tuple[Array, Array] | None:
    """Optimal strategies on these supports: equal payoffs there, none better elsewhere; None if there are no such."""
    if len(rows) != len(columns):
        return None
    size = len(rows)
    part = payoff[np.ix_(rows, columns)]
    zero = payoff[0, 0] * 0
    strategies = []
    for table in (part, part.T):
        system = np.full((size + 1, size + 1), zero + 1, dtype=object)
        system[:size, :size], system[size, size] = table, zero
        system[:size, size] = [zero - 1] * size
        right = np.array([zero] * size + [zero + 1], dtype=object)
        try:
            strategies.append(arithmetic.solve(system, right)[:size])
        except ZeroDivisionError:
            return None
    policy, nature = np.full(payoff.shape[1], zero, dtype=object), np.full(payoff.shape[0], zero, dtype=object)
    policy[list(columns)], nature[list(rows)] = strategies
    if min(policy) < 0 or min(nature) < 0:
        return None
    if (payoff * policy).sum(axis=1).min() != (nature[:, None] * payoff).sum(axis=0).max():
        return None
    return policy, nature
