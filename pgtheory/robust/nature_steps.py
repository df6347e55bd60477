"""One step of nature's descent within a ball of kernels: what the inner loop of `double_loop.DRPG` repeats.

    l1, tv, rectangular "sa"    q <- the nearest point of the row's ball to q - eta g                     (`nature.project_l1`)
    l1, tv, rectangular "s"     the same for the block of a state, whose rows share the budget            (`project_l1_blocks`)
    kl, rectangular "sa"        mirror descent: q <- argmin <g, q> + KL(q || q_t) / eta  over  KL(q || p) <= delta

g = dV(mu)/dP is `nature.kernel_gradient`.  In the Kullback-Leibler geometry a row has a parametric form, q = p exp(x) / Z, the one that the worst
row of the ball has too, x = -V / tau: the step is x <- (x - eta g) / (1 + m), with the least m >= 0 that leaves q in the ball.  So the ball costs one
number a row, and no projection of probabilities.

Derivation of the block: with multipliers nu_a of sum q_a = 1 and ONE lambda of the budget, q_a = max(0, p_a + S(x_a - nu_a)) with x = q - p, S
shrinking by lambda; sum_a |q_a - p_a|_1 falls in lambda.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pgtheory import arithmetic
from pgtheory.robust.nature import _shrunk, falling_root, project_l1
from pgtheory.robust.smooth import tilted_into_ball

Array = np.ndarray
SEARCH = 100
"""Most rounds of each of the two nested searches; they end when the root is found to rounding."""
RAREST = 1e-300
"""What stands for a probability 0 on the nominal support where its logarithm is taken."""
Step = Callable[[Array, Array, Array, Array], Array]
"""(kernels (..., S, A, S'), eta g, nominal, radius (..., S, A) or (..., S, 1)) -> kernels."""


def _rows_l1(kernels: Array, move: Array, nominal: Array, radius: Array) -> Array:
    return project_l1(kernels - move, nominal, radius)


def _blocks_l1(kernels: Array, move: Array, nominal: Array, radius: Array) -> Array:
    return project_l1_blocks(kernels - move, nominal, radius[..., 0])


def _rows_kl(kernels: Array, move: Array, nominal: Array, radius: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        exponent = np.where(nominal > 0, np.log(np.maximum(kernels, RAREST)) - np.log(nominal), 0.0)
    return tilted_into_ball(nominal, exponent - move, radius)


STEPS: dict[tuple[str, str], Step] = {
    ("l1", "sa"): _rows_l1,
    ("tv", "sa"): lambda kernels, move, nominal, radius: _rows_l1(kernels, move, nominal, 2 * radius),
    ("l1", "s"): _blocks_l1,
    ("tv", "s"): lambda kernels, move, nominal, radius: _blocks_l1(kernels, move, nominal, 2 * radius),
    ("kl", "sa"): _rows_kl,
}
"""By name of the ball and its rectangularity."""


def project_l1_blocks(blocks: Array, nominal: Array, budget: Any) -> Array:
    """The nearest block to each of `blocks` (..., A, n) whose rows are distributions with sum_a |q_a - p_a|_1 <= budget (...,).  Float64."""
    out = arithmetic.project_simplex(blocks)
    budget = np.broadcast_to(budget, blocks.shape[:-2])
    far = np.abs(out - nominal).sum(axis=(-1, -2)) > budget
    if not far.any():
        return out
    p, reach = np.broadcast_to(nominal, blocks.shape)[far], budget[far]
    x = blocks[far] - p

    def rows(level: Array) -> Array:
        """q for the multipliers lambda (M,)."""
        each = np.repeat(level, x.shape[1])
        flat_x, flat_p = x.reshape(-1, x.shape[-1]), p.reshape(-1, x.shape[-1])
        low, high = flat_x.min(axis=-1) - each - 1, flat_x.max(axis=-1) + each
        shift = falling_root(lambda at: _shrunk(flat_x, flat_p, at, each).sum(axis=-1) - 1, low, high, SEARCH)
        return _shrunk(flat_x, flat_p, shift, each).reshape(x.shape)

    half = (x.max(axis=-1) - x.min(axis=-1)).max(axis=-1) / 2  # a row whose entries all lie within lambda of nu does not move
    level = falling_root(lambda at: np.abs(rows(at) - p).sum(axis=(-1, -2)) - reach, half * 0, half, SEARCH)
    found = rows(level)
    found = found / found.sum(axis=-1, keepdims=True)
    distance = np.abs(found - p).sum(axis=(-1, -2))
    share = np.where(distance > reach, reach / np.where(distance > 0, distance, 1.0), 1.0)
    out[far] = p + share[:, None, None] * (found - p)  # within the budget, rounding included
    return out
