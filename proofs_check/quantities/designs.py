"""Linear models under designs that look at the past, followed along every path, and experiments chosen for what they add to a determinant.

Bandit: `design` (31, 2) has the vector x that is chosen after every past of five rounds (heap order: the children of node k are 2k + 1 after the
larger noise and 2k + 2 after the smaller), `parameter` (2,) is theta*; the answer is x'theta* + noise, 2(1 - p) with probability p and -2p with
1 - p, p from `noise_chance` (31,): mean 0 and range 2, so 1-subgaussian.  Experiments: `candidates` (5, 2), no experiment twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.quantities.information import determinant, outer, squared_norm
from proofs_check.quantities.registry import define, given, per_instance
from proofs_check.robust import exactly_known

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
ROUNDS = 5


# Every path of a linear bandit


def _paths(c: Context, noise: int) -> list[tuple[Array, Array, Array]]:
    """After each round t: (chances (B, 2^t), V_t (B, 2^t, 2, 2), sums of x y (B, 2^t, 2)) with that multiple of the noise."""
    design, chance, parameter = c.extra("design"), c.extra("noise_chance"), c.extra("parameter")
    weight = chance[:, :1] * 0 + 1
    gram = (given(c, "ridge")[:, None, None] * np.eye(2, dtype=int))[:, None]
    answers = design[:, :1] * 0
    out = []
    for t in range(ROUNDS):
        nodes = slice(2**t - 1, 2 ** (t + 1) - 1)
        x, p = design[:, nodes], chance[:, nodes]
        mean = (x * parameter[:, None]).sum(axis=-1)
        weight = _twins(weight * p, weight * (1 - p))
        gram = np.repeat(gram + outer(x), 2, axis=1)
        up, down = mean + noise * 2 * (1 - p), mean - noise * 2 * p
        answers = _twins(answers + x * up[..., None], answers + x * down[..., None])
        out.append((weight, gram, answers))
    return out


def _twins(up: Array, down: Array) -> Array:
    """(B, n, ...), (B, n, ...) -> (B, 2n, ...), each outcome beside its twin."""
    return np.stack([up, down], axis=2).reshape(up.shape[0], 2 * up.shape[1], *up.shape[2:])


def _away(c: Context, gram: Array, answers: Array) -> Array:
    """|theta_hat - theta*| in the norm of V, from the least squares with a ridge: (B, n)."""
    error = arithmetic.solve(gram, answers) - c.extra("parameter")[:, None]
    return arithmetic.sqrt((error * (gram * error[..., None, :]).sum(axis=-1)).sum(axis=-1))


def _failure(c: Context, edge: Callable[[Array], Array], noise: int = 1) -> Array:
    """Probability that the estimate ever leaves the ellipsoid of radius `edge`(growth of the determinant)."""
    ridge, gone = given(c, "ridge"), np.zeros((len(c.discount), 1), dtype=bool)
    paths = _paths(c, noise)
    for _, gram, answers in paths:
        growth = determinant(gram) / (ridge * ridge)[:, None]
        gone = np.repeat(gone, 2, axis=1) | np.asarray(arithmetic.less(edge(growth), _away(c, gram, answers)), dtype=bool)
    weight = paths[-1][0]
    return per_instance(np.where(gone, weight, weight * 0).sum(axis=-1))


def _spare(c: Context) -> Array:
    """sqrt(lambda) |theta*| + rounding in floats, (B, 1)."""
    size = arithmetic.norm2(c.extra("parameter"), axis=-1) * arithmetic.sqrt(given(c, "ridge"))
    return (size + (1e-12 if c.kind == "float" else 0))[:, None]


@define("ellipsoid_failure", r"P(\exists t:\lVert\hat\theta_t-\theta^*\rVert_{V_t}>\beta_t)", "instance")
def _ellipsoid_failure(c: Context) -> Array:
    """Probability that a ridge estimate is ever further off than sqrt(lambda) |theta*| + sqrt(2 log(1/delta) + log(det V/lambda^2)), by V's norm."""
    depth = 2 * arithmetic.log(1 / given(c, "failure"))[:, None]
    return _failure(c, lambda growth: _spare(c) + arithmetic.sqrt(depth + arithmetic.log(growth)))


@define("ellipsoid_failure_unpaid", r"P(\exists t:\lVert\hat\theta_t-\theta^*\rVert_{V_t}>\beta_t)\ \text{without}\ \det", "instance")
def _ellipsoid_failure_unpaid(c: Context) -> Array:
    """The same without the logarithm of the determinant."""
    depth = 2 * arithmetic.log(1 / given(c, "failure"))[:, None]
    return _failure(c, lambda growth: _spare(c) + arithmetic.sqrt(depth + growth * 0))


@define("ellipsoid_failure_noisier", r"P(\exists t:\lVert\hat\theta_t-\theta^*\rVert_{V_t}>\beta_t),\ 10\,\epsilon", "instance")
def _ellipsoid_failure_noisier(c: Context) -> Array:
    """The same with noise ten times as large as the bound knows."""
    depth = 2 * arithmetic.log(1 / given(c, "failure"))[:, None]
    return _failure(c, lambda growth: _spare(c) + arithmetic.sqrt(depth + arithmetic.log(growth)), noise=10)


@define("ellipsoid_mean", r"\mathbb{E}\,(\lambda^d/\det V_T)^{1/2}e^{\lVert\sum x\epsilon\rVert^2_{V_T^{-1}}/2}", "instance")
def _ellipsoid_mean(c: Context) -> Array:
    """Expectation of the mixed exponential of the noise that the design collects in five rounds."""
    return per_instance(_mixed(c, 1))


@define("ellipsoid_mean_noisier", r"\mathbb{E}\,(\lambda^d/\det V_T)^{1/2}e^{\lVert\sum2x\epsilon\rVert^2_{V_T^{-1}}/2}", "instance")
def _ellipsoid_mean_noisier(c: Context) -> Array:
    """The same with twice the noise."""
    return per_instance(_mixed(c, 2))


def _mixed(c: Context, noise: int) -> Array:
    weight, gram, answers = _paths(c, noise)[-1]
    shift = given(c, "ridge")[:, None, None] * np.eye(2, dtype=int)
    seen = ((gram - shift[:, None]) * c.extra("parameter")[:, None, None, :]).sum(axis=-1)
    noises = answers - seen
    square = (noises * arithmetic.solve(gram, noises)).sum(axis=-1)
    ridge = given(c, "ridge")
    scale = arithmetic.sqrt((ridge * ridge)[:, None] / determinant(gram))
    return (weight * scale * arithmetic.exp(square / 2)).sum(axis=-1)


# Experiments


def _worth(c: Context, chosen: tuple[int, ...]) -> Array:
    """det(I + sum of x x'), (B,)."""
    x = c.extra("candidates")
    gram = c.discount[:, None, None] * 0 + np.eye(2, dtype=int)
    for i in chosen:
        gram = gram + outer(x[:, i])
    return determinant(gram)


def _best_worth(c: Context, size: int) -> Array:
    count = c.extra("candidates").shape[1]
    return arithmetic.maximum(np.stack([_worth(c, pick) for pick in itertools.combinations(range(count), size)], axis=-1), axis=-1)


def _chosen_worth(c: Context, size: int, merit: Callable[[Array, Array], Array]) -> Array:
    """det after choosing, one by one, the first experiment of largest merit among those that are left; floats and rationals."""
    x = c.extra("candidates")
    gram = c.discount[:, None, None] * 0 + np.eye(2, dtype=int)
    left = np.ones(x.shape[:2], dtype=bool)
    for _ in range(size):
        merits = np.stack([merit(gram, x[:, i]) for i in range(x.shape[1])], axis=-1)
        best = [max(np.flatnonzero(free).tolist(), key=row.__getitem__) for row, free in zip(merits, left, strict=True)]
        everyone = np.arange(len(x))
        gram = gram + outer(x[everyone, best])
        left[everyone, best] = False
    return determinant(gram)


def _longest(gram: Array, x: Array) -> Array:
    return (x * x).sum(axis=-1)


@define("best_design_of_two", r"\max_{|X|=2}\det", "instance")
def _best_design_of_two(c: Context) -> Array:
    """Largest determinant of I + sum x x' over two of five experiments."""
    return per_instance(_best_worth(c, 2))


@define("best_design_of_three", r"\max_{|X|=3}\det", "instance")
def _best_design_of_three(c: Context) -> Array:
    """The same over three."""
    return per_instance(_best_worth(c, 3))


@define("greedy_design_of_two", r"\det(\mathrm{greedy}_2)", "instance")
@exactly_known
def _greedy_design_of_two(c: Context) -> Array:
    """The determinant of two experiments chosen one by one for the largest x' M^-1 x."""
    return per_instance(_chosen_worth(c, 2, squared_norm))


@define("greedy_design_of_three", r"\det(\mathrm{greedy}_3)", "instance")
@exactly_known
def _greedy_design_of_three(c: Context) -> Array:
    """The same for three."""
    return per_instance(_chosen_worth(c, 3, squared_norm))


@define("longest_design_of_two", r"\det(\mathrm{longest}_2)", "instance")
@exactly_known
def _longest_design_of_two(c: Context) -> Array:
    """The determinant of the two longest experiments."""
    return per_instance(_chosen_worth(c, 2, _longest))


@define("early_gain", r"\det(M+xx^\top)/\det M", "instance")
def _early_gain(c: Context) -> Array:
    """By which factor the last of five experiments raises the determinant after the first two."""
    return per_instance(_worth(c, (0, 1, 4)) / _worth(c, (0, 1)))


@define("late_gain", r"\det(M'+xx^\top)/\det M'", "instance")
def _late_gain(c: Context) -> Array:
    """The same after the first four."""
    return per_instance(_worth(c, (0, 1, 2, 3, 4)) / _worth(c, (0, 1, 2, 3)))


@define("norm_gain", r"1+x^\top M^{-1}x", "instance")
def _norm_gain(c: Context) -> Array:
    """1 plus the squared length of the last experiment by the inverse of the matrix of the first two."""
    x = c.extra("candidates")
    gram = c.discount[:, None, None] * 0 + np.eye(2, dtype=int) + outer(x[:, 0]) + outer(x[:, 1])
    return per_instance(1 + squared_norm(gram, x[:, 4]))
