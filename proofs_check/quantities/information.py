"""What vectors tell about directions: the matrices Lambda_t = lambda I + sum of x x', their determinants, and what is decided by them.

The extra `vectors` (N, A) has the vector x_t of every round, of which the first `rounds` count; A is the dimension d, `ridge` is lambda.  A learner
switches after a round in which the determinant has more than doubled since its last switch.  Determinants are expanded along rows, norms solve linear
equations, so that the two sides of what is claimed share no code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.numbers import larger, smaller, to_float
from proofs_check.quantities.registry import define, define_setting, given, per_instance
from proofs_check.quantities.regret import of_rounds
from proofs_check.robust import exactly_known

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
define_setting("ridge", r"\lambda", "multiple of the identity that a sum of x x' starts with")


def determinant(matrix: Array) -> Array:
    """(..., d, d) -> (...): expanded along the first row, in every arithmetic; d is small."""
    if matrix.shape[-1] == 1:
        return matrix[..., 0, 0]
    total = matrix[..., 0, 0] * 0
    for k in range(matrix.shape[-1]):
        minor = np.delete(matrix[..., 1:, :], k, axis=-1)
        total = total + (-1) ** k * matrix[..., 0, k] * determinant(minor)
    return total


def squared_norm(matrix: Array, vector: Array) -> Array:
    """x' M^-1 x for (B, d, d) and (B, d): (B,)."""
    return (vector * arithmetic.solve(matrix, vector)).sum(axis=-1)


def outer(vector: Array) -> Array:
    """x x' for (..., d)."""
    return vector[..., :, None] * vector[..., None, :]


def _count(c: Context) -> int:
    return int(to_float(given(c, "rounds")).max())


def _start(c: Context) -> Array:
    """lambda I: (B, d, d)."""
    return given(c, "ridge")[:, None, None] * np.eye(c.rewards.shape[-1], dtype=int)


def _matrices(c: Context) -> list[Array]:
    """Lambda_0, ..., Lambda_T, (B, d, d) each."""
    out, vectors = [_start(c)], c.extra("vectors")
    for t in range(_count(c)):
        out.append(out[-1] + outer(vectors[:, t]))
    return out


def _novelties(c: Context) -> list[Array]:
    """x_t' Lambda_{t-1}^-1 x_t of every round, (B,) each."""
    vectors = c.extra("vectors")
    return [squared_norm(matrix, vectors[:, t]) for t, matrix in enumerate(_matrices(c)[:-1])]


def _summed(each: list[Array]) -> list[Array]:
    out = [each[0]]
    for values in each[1:]:
        out.append(out[-1] + values)
    return out


@define("elliptical_potential", r"\textstyle\sum_t\min(1,\lVert x_t\rVert^2_{\Lambda_{t-1}^{-1}})", "instance")
def _elliptical_potential(c: Context) -> Array:
    """Sum over the rounds of the squared length of each vector by the inverse of the matrix before it, at most 1 each."""
    return per_instance(of_rounds(c, _summed([smaller(y, y * 0 + 1) for y in _novelties(c)])))


@define("novelty_product", r"\textstyle\prod_t(1+\lVert x_t\rVert^2_{\Lambda_{t-1}^{-1}})", "instance")
def _novelty_product(c: Context) -> Array:
    """Product over the rounds of 1 plus that squared length."""
    product, out = c.discount * 0 + 1, []
    for y in _novelties(c):
        product = product * (1 + y)
        out.append(product)
    return per_instance(of_rounds(c, out))


@define("gram_growth", r"\det\Lambda_T/\lambda^d", "instance")
def _gram_growth(c: Context) -> Array:
    """By which factor the determinant of Lambda has grown over the rounds."""
    matrices = _matrices(c)
    return per_instance(of_rounds(c, [determinant(m) for m in matrices[1:]]) / determinant(matrices[0]))


@define("squared_lengths", r"\textstyle\sum_t\lVert x_t\rVert^2", "instance")
def _squared_lengths(c: Context) -> Array:
    """Sum over the rounds of the squared lengths of the vectors."""
    vectors = c.extra("vectors")
    return per_instance(of_rounds(c, _summed([(vectors[:, t] * vectors[:, t]).sum(axis=-1) for t in range(_count(c))])))


@define("longest_square", r"\max_t\lVert x_t\rVert^2", "instance")
def _longest_square(c: Context) -> Array:
    """Squared length of the longest vector of the rounds."""
    squares = (c.extra("vectors") * c.extra("vectors")).sum(axis=-1)
    longest = [squares[:, 0]]
    for t in range(1, _count(c)):
        longest.append(larger(longest[-1], squares[:, t]))
    return per_instance(of_rounds(c, longest))


# Switches


@exactly_known
def _segments(c: Context) -> Array:
    """(B, T): how many switches lie before each round, and (last column) before the one after the last."""
    matrices = _matrices(c)
    sizes = np.stack([determinant(m) for m in matrices], axis=-1)
    last, count = sizes[:, 0], np.zeros(len(sizes), dtype=np.int64)
    out = [count]
    for t in range(1, sizes.shape[1]):
        doubled = np.asarray(sizes[:, t] > 2 * last, dtype=bool)
        last, count = np.where(doubled, sizes[:, t], last), count + doubled
        out.append(count)
    return c.constant(np.stack(out, axis=-1))


@define("rare_switches", "N_T", "instance")
def _rare_switches(c: Context) -> Array:
    """Number of switches: after each round in which the determinant has more than doubled since the last one."""
    number = _segments(c)
    return per_instance(of_rounds(c, [number[:, t] for t in range(1, number.shape[1])]))


@define("restarted_regret", r"R_T(\text{restarted at switches})", "instance")
def _restarted_regret(c: Context) -> Array:
    """Regret over all rounds of exponential weights restarted after every switch, tuned to the length of a segment, four experts, in loss units."""
    losses, rounds = c.extra("expert_losses"), to_float(given(c, "rounds")).astype(int)
    segment = to_float(_segments(c)).astype(int)
    experts, everyone = losses.shape[-1], np.arange(len(rounds))
    inside = np.arange(segment.shape[1])[None] < rounds[:, None]
    paid, within, total = c.discount * 0, losses[:, 0] * 0, losses[:, 0] * 0
    for t in range(int(rounds.max())):
        length = ((segment == segment[:, t : t + 1]) & inside).sum(axis=1)
        step = arithmetic.sqrt(8 * arithmetic.log(c.discount * 0 + experts) / (c.discount * 0 + np.maximum(length, 1)))
        plays = arithmetic.softmax(-step[:, None] * within)
        now = inside[everyone, t]
        paid = paid + np.where(now, (plays * losses[:, t]).sum(axis=-1), c.discount * 0)
        total = total + np.where(now[:, None], losses[:, t], losses[:, t] * 0)
        starts_anew = segment[:, t + 1] > segment[:, t]
        within = np.where(starts_anew[:, None], within * 0, within + losses[:, t])
    return per_instance(paid - arithmetic.minimum(total, axis=-1))
