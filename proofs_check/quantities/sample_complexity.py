"""How many samples a value takes: the instance that asks for (1-gamma)^-3, and the chance that a plan made in a sampled model is far off.

The lamp: reward 1 in state x, which lasts with probability p and ends in a state worth nothing; V(x) = 1/(1 - gamma p).  One lamp has
V_0 = 3/(4(1-gamma)), the other V_1 = V_0 + 2 eps, eps = accuracy_share/(8(1-gamma)); they exist for gamma > 1/4 and a share below 1.  Plans: two
states at most, `samples` successors of every pair, all outcomes of all samples, and the fitted model's optimum as the best of all its policies.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.numbers import smaller, to_float
from proofs_check.quantities.lower_bounds import binomial_law
from proofs_check.quantities.registry import define, define_setting, given, per_instance
from proofs_check.robust import exactly_known

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
ROUNDING = 1e-11
"""By how much an error must exceed its bound in float64: some thousand roundings of the values."""
define_setting("accuracy_share", "z", "accuracy in parts of the largest one that the instance allows")


# The lamp


def _accuracy(c: Context) -> Array:
    return given(c, "accuracy_share") / (8 * (1 - c.discount))


def _patient(c: Context) -> Array:
    """Whether the discount allows the lamp: above 1/4."""
    return np.asarray(4 * c.discount > 1, dtype=bool)


def _other_chance(c: Context, first: Array) -> Array:
    """The chance of lasting that is worth 2 eps more than V_0 = `first`; 1/2 where there is no lamp."""
    discount = np.where(_patient(c), c.discount, c.discount * 0 + 1)
    return np.where(_patient(c), (1 - 1 / (first + 2 * _accuracy(c))) / discount, c.discount * 0 + 1 / (c.discount * 0 + 2))


def _chances(c: Context) -> tuple[Array, Array]:
    """(p_0, p_1): (B,) each."""
    discount = np.where(_patient(c), c.discount, c.discount * 0 + 1)
    first = np.where(_patient(c), (4 * c.discount - 1) / (3 * discount), c.discount * 0 + 1 / (c.discount * 0 + 2))
    return first, _other_chance(c, 3 / (4 * (1 - c.discount)))


def _half_chances(c: Context) -> tuple[Array, Array]:
    """The same around p_0 = 1/2 at every discount."""
    half = c.discount * 0 + 1 / (c.discount * 0 + 2)
    return half, _other_chance(c, 1 / (1 - c.discount / 2))


def _least_error(c: Context, one: Array, other: Array) -> Array:
    return smaller(binomial_law(c, one), binomial_law(c, other)).sum(axis=-1) / 2


@define("accuracy", r"\epsilon", "instance")
def _accuracy_asked(c: Context) -> Array:
    """Accuracy that is asked for, share/(8(1-gamma)), in reward units."""
    return per_instance(_accuracy(c))


@define("lamp_gap", "V_1-V_0", "instance")
def _lamp_gap(c: Context) -> Array:
    """Difference of the two lamps' values, each by solving the equations of its two states."""
    values = []
    for chance in _chances(c):
        none = chance * 0
        rows = np.stack([np.stack([chance, 1 - chance], axis=-1), np.stack([none, none + 1], axis=-1)], axis=-2)
        matrix = np.eye(2, dtype=int) - c.discount[:, None, None] * rows
        values.append(arithmetic.solve(matrix, np.stack([none + 1, none], axis=-1))[:, 0])
    return per_instance(values[1] - values[0])


@define("lamp_error", r"\tfrac12\textstyle\sum_k\min(P_0(k),P_1(k))", "instance")
def _lamp_error(c: Context) -> Array:
    """Average error probability of the best test between the two lamps after n transitions."""
    return per_instance(_least_error(c, *_chances(c)))


@define("half_lamp_error", r"\tfrac12\textstyle\sum_k\min(P_0(k),P_1(k)),\ p_0=\tfrac12", "instance")
def _half_lamp_error(c: Context) -> Array:
    """The same for a lamp that lasts with probability 1/2 and one worth 2 eps more, whatever the discount."""
    return per_instance(_least_error(c, *_half_chances(c)))


@define("lamp_divergence", r"\mathrm{KL}(p_0\Vert p_1)", "instance")
def _lamp_divergence(c: Context) -> Array:
    """Divergence of one transition of the first lamp from one of the second."""
    p, q = _chances(c)
    return per_instance(p * arithmetic.log(p / q) + (1 - p) * arithmetic.log((1 - p) / (1 - q)))


@define("lamp_plug_in_error", r"\tfrac12\textstyle\sum_iP_i(\lvert\hat V-V_i\rvert\ge\epsilon)", "instance")
@exactly_known
def _lamp_plug_in_error(c: Context) -> Array:
    """Average over the two lamps of the probability that the value with the frequency in place of the chance misses by eps or more."""
    samples, accuracy, total = given(c, "samples"), _accuracy(c), c.discount * 0
    for chance in _chances(c):
        law = binomial_law(c, chance)
        for k in range(law.shape[-1]):
            guess = 1 / (1 - c.discount * smaller(k / samples, samples * 0 + 1))
            misses = arithmetic.absolute(guess - 1 / (1 - c.discount * chance)) >= accuracy
            total = total + np.where(np.asarray(misses, dtype=bool), law[:, k], law[:, k] * 0) / 2
    return per_instance(total)


# Plans in a sampled model


def _counts(samples: int, rows: int) -> Array:
    """(cells, rows): how often the first state came, for every row."""
    return np.array(list(itertools.product(range(samples + 1), repeat=rows)), dtype=int)


def _fitted(c: Context, samples: int, mine: Array) -> tuple[Array, Array]:
    """(probabilities (b, cells), errors (b, cells) of the optimal action values) over all outcomes of all samples."""
    states, actions = c.rewards.shape[1:]
    kernel, rewards, discount = c.transitions[mine], c.rewards[mine], c.discount[mine]
    counts = _counts(samples, states * actions)
    first = kernel[..., 0].reshape(len(kernel), -1)
    chance = first[:, :1] * 0 + 1
    for row in range(states * actions):
        ways = [math.comb(samples, k) * _power(first[:, row], k) * _power(1 - first[:, row], samples - k) for k in range(samples + 1)]
        chance = chance * np.stack(ways, axis=-1)[:, counts[:, row]]
    share = (counts + first[:, :1, None] * 0) / samples
    fitted = np.stack([share, 1 - share], axis=-1).reshape(len(kernel), len(counts), states, actions, 2)
    best = _best_values(fitted, rewards[:, None], discount[:, None])
    ahead = rewards[:, None] + discount[:, None, None, None] * (fitted * best[:, :, None, None, :]).sum(axis=-1)
    apart = arithmetic.absolute(ahead - c.optimum.action_values[mine][:, None])
    return chance, arithmetic.maximum(apart.reshape(*apart.shape[:2], -1), axis=-1)


def _power(values: Array, count: int) -> Array:
    out = values * 0 + 1
    for _ in range(count):
        out = out * values
    return out


def _best_values(kernel: Array, rewards: Array, discount: Array) -> Array:
    """(b, cells, 2): optimal values of models with two states, by Cramer's rule for each of the policies."""
    best: Array | None = None
    for i, j in itertools.product(range(kernel.shape[3]), repeat=2):
        p, q = kernel[:, :, 0, i, :], kernel[:, :, 1, j, :]
        a, b = 1 - discount * p[..., 0], -discount * p[..., 1]
        d, e = -discount * q[..., 0], 1 - discount * q[..., 1]
        u, v = rewards[:, :, 0, i], rewards[:, :, 1, j]
        values = np.stack([(u * e - v * b) / (a * e - b * d), (a * v - d * u) / (a * e - b * d)], axis=-1)
        best = values if best is None else arithmetic.maximum(np.stack([best, values]), axis=0)
    assert best is not None
    return best


def _failure(c: Context, most: Callable[[Context, Array], Array]) -> Array:
    """Probability that the optimal action values of the fitted model miss by more than `most`."""
    states, actions = c.rewards.shape[1:]
    wanted, out = to_float(given(c, "samples")).astype(int), c.discount * 0
    if states == 1:
        return per_instance(out)  # nothing is unknown
    depth = arithmetic.sqrt(arithmetic.log(2 * states * actions / given(c, "failure")) / (2 * given(c, "samples")))
    for samples in np.unique(wanted).tolist():
        mine = np.flatnonzero(wanted == samples)
        chance, error = _fitted(c, samples, mine)
        edge = most(c, depth)[mine][:, None] + error * 0
        if c.kind == "float":
            edge = edge + ROUNDING / (1 - c.discount[mine])[:, None]  # an error of 0 is not above a bound of 0
        far = arithmetic.less(edge, error)
        out[mine] = np.where(far, chance, chance * 0).sum(axis=-1)
    return per_instance(out)


def _span(c: Context) -> Array:
    values = c.optimum.values
    return arithmetic.maximum(values, axis=-1) - arithmetic.minimum(values, axis=-1)


@define("plan_failure", r"P(\lVert\hat Q^*-Q^*\rVert_\infty>\epsilon_n)", "instance")
def _plan_failure(c: Context) -> Array:
    """Probability that a plan's action values miss by more than gamma/(1-gamma)^2 sqrt(log(2SA/delta)/(2n)) with n samples of every pair."""
    return _failure(c, lambda c, depth: c.discount / ((1 - c.discount) * (1 - c.discount)) * depth)


@define("plan_failure_by_span", r"P(\lVert\hat Q^*-Q^*\rVert_\infty>\epsilon_n\cdot(1-\gamma)\,\mathrm{span}V^*)", "instance")
def _plan_failure_by_span(c: Context) -> Array:
    """The same with the span of the optimal values in place of one factor 1/(1-gamma)."""
    return _failure(c, lambda c, depth: c.discount * _span(c) / (1 - c.discount) * depth)


@define("plan_failure_one_step", r"P(\lVert\hat Q^*-Q^*\rVert_\infty>\epsilon_n\cdot(1-\gamma)^2\,\mathrm{span}V^*)", "instance")
def _plan_failure_one_step(c: Context) -> Array:
    """The same as if an error of one step did not come again in later ones."""
    return _failure(c, lambda c, depth: c.discount * _span(c) * depth)
