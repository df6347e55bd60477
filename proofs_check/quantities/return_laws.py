"""Laws of returns: the distributional Bellman operator of a policy, distances between laws, the projection on quantiles, second moments.

A table of laws is a pair of extras (S, 3): outcomes and their probabilities; T_pi mixes r(s,a) + gamma times the outcomes of the next state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.numbers import to_float
from proofs_check.quantities.iteration import largest
from proofs_check.quantities.registry import define, define_setting, given, per_instance
from proofs_check.quantities.risk_measures import ROUNDING, mean

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
define_setting("quantiles", "N", "number of quantiles that a law is projected on, at the levels (2i-1)/(2N)")


def backed_up(c: Context, chance: Array, outcomes: Array) -> tuple[Array, Array]:
    """T_pi of the laws (B, S, K), (B, S, K): probabilities and outcomes (B, S, A S K)."""
    moves = c.policies[:, 0][..., None] * c.transitions
    joint = moves[..., None] * chance[:, None, None]
    values = c.rewards[..., None, None] + c.discount[:, None, None, None, None] * outcomes[:, None, None]
    shape = (*joint.shape[:2], -1)
    return joint.reshape(shape), np.broadcast_to(values, joint.shape).reshape(shape)


def _sorted(p: Array, x: Array) -> tuple[Array, Array]:
    """(distribution function, outcomes), sorted; balls are refused."""
    if arithmetic.kind(x) == "ball":
        raise arithmetic.Undecided("laws are sorted in rationals")
    order = np.argsort(x, axis=-1, kind="stable")
    return np.take_along_axis(p, order, axis=-1).cumsum(axis=-1), np.take_along_axis(x, order, axis=-1)


def _at(mass: Array, x: Array, levels: Array) -> Array:
    """Lower quantiles at the levels (..., M): the first outcome whose distribution function reaches the level."""
    index = np.asarray(mass[..., None, :] < levels[..., :, None], dtype=bool).sum(axis=-1)
    return np.take_along_axis(x, np.minimum(index, x.shape[-1] - 1), axis=-1)


def _coupled(first: tuple[Array, Array], second: tuple[Array, Array]) -> tuple[Array, Array]:
    """The two quantile functions apart, and the lengths of the pieces on which they are constant: (..., K + L) each."""
    (mass, x), (other, y) = _sorted(*first), _sorted(*second)
    levels = np.sort(np.concatenate([mass, other], axis=-1), axis=-1)
    before = np.concatenate([levels[..., :1] * 0, levels[..., :-1]], axis=-1)
    middle = (levels + before) / 2
    return arithmetic.absolute(_at(mass, x, middle) - _at(other, y, middle)), levels - before


def distance(first: tuple[Array, Array], second: tuple[Array, Array], order: int | None) -> Array:
    """W_1 (order 1), the square of W_2 (order 2), W_inf (None) of laws (..., K) and (..., L): (...,)."""
    apart, length = _coupled(first, second)
    if order is not None:
        return (apart**order * length).sum(axis=-1) if order == 1 else (apart * apart * length).sum(axis=-1)
    slack = ROUNDING if arithmetic.kind(length) == "float" else 0
    return arithmetic.maximum(np.where(np.asarray(length > slack, dtype=bool), apart, apart * 0), axis=-1)


def _tables(c: Context) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    return (c.extra("chance"), c.extra("atoms")), (c.extra("other_chance"), c.extra("other_atoms"))


def _apart(c: Context, order: int | None, after: bool) -> Array:
    first, second = _tables(c)
    if after:
        first, second = backed_up(c, *first), backed_up(c, *second)
    return per_instance(arithmetic.maximum(distance(first, second, order), axis=-1))


@define("law_distance_1", r"\sup_sW_1(\nu(s),\nu'(s))", "instance")
def _law_distance_1(c: Context) -> Array:
    """Largest 1-Wasserstein distance of two tables of laws, in reward units."""
    return _apart(c, 1, False)


@define("law_distance_1_after", r"\sup_sW_1(T\nu(s),T\nu'(s))", "instance")
def _law_distance_1_after(c: Context) -> Array:
    """The same after one distributional backup, in reward units."""
    return _apart(c, 1, True)


@define("law_distance_2_squared", r"\sup_sW_2^2(\nu(s),\nu'(s))", "instance")
def _law_distance_2_squared(c: Context) -> Array:
    """Largest squared 2-Wasserstein distance of two tables of laws, in squared reward units."""
    return _apart(c, 2, False)


@define("law_distance_2_squared_after", r"\sup_sW_2^2(T\nu(s),T\nu'(s))", "instance")
def _law_distance_2_squared_after(c: Context) -> Array:
    """The same after one distributional backup, in squared reward units."""
    return _apart(c, 2, True)


@define("law_distance_inf", r"\sup_sW_\infty(\nu(s),\nu'(s))", "instance")
def _law_distance_inf(c: Context) -> Array:
    """Largest distance of the quantile functions of two tables of laws, in reward units."""
    return _apart(c, None, False)


@define("law_distance_inf_after", r"\sup_sW_\infty(T\nu(s),T\nu'(s))", "instance")
def _law_distance_inf_after(c: Context) -> Array:
    """The same after one distributional backup, in reward units."""
    return _apart(c, None, True)


# Projection on quantiles


def projected(p: Array, x: Array, count: int, like: Array) -> Array:
    """The lower quantiles at (2i-1)/(2 count): (..., K) -> (..., count), in the numbers of `like`."""
    odd = np.arange(1, 2 * count, 2)
    levels = odd / (2.0 * count) if arithmetic.kind(like) == "float" else odd.astype(object) * (like.reshape(-1)[0] * 0 + 1) / (2 * count)
    mass, ranked = _sorted(p, x)
    return _at(mass, ranked, np.broadcast_to(levels, (*x.shape[:-1], count)))


def _for_each_count(c: Context, measure: object) -> Array:
    """measure(count) (B,) where the setting `quantiles` is count: (B, 1, 1)."""
    wanted = to_float(given(c, "quantiles")).astype(int)
    out = c.discount * 0
    for count in np.unique(wanted).tolist():
        out = np.where(wanted == count, measure(count), out)  # type: ignore[operator]
    return per_instance(out)


def _pair(c: Context) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    return (c.extra("p"), c.extra("x")), (c.extra("q"), c.extra("y"))


@define("two_laws_distance_inf", r"W_\infty(\nu,\nu')", "instance")
def _two_laws_distance_inf(c: Context) -> Array:
    """Largest distance of the quantile functions of two laws, in reward units."""
    return per_instance(distance(*_pair(c), None))


@define("two_laws_distance_1", r"W_1(\nu,\nu')", "instance")
def _two_laws_distance_1(c: Context) -> Array:
    """1-Wasserstein distance of two laws, in reward units."""
    return per_instance(distance(*_pair(c), 1))


@define("projected_distance_inf", r"W_\infty(\Pi_N\nu,\Pi_N\nu')", "instance")
def _projected_distance_inf(c: Context) -> Array:
    """Largest distance of the N quantiles of two laws, in reward units."""
    first, second = _pair(c)
    return _for_each_count(c, lambda n: arithmetic.maximum(_between(first, second, n, c.discount), axis=-1))


@define("projected_distance_1", r"W_1(\Pi_N\nu,\Pi_N\nu')", "instance")
def _projected_distance_1(c: Context) -> Array:
    """Mean distance of the N quantiles of two laws, in reward units."""
    first, second = _pair(c)
    return _for_each_count(c, lambda n: _between(first, second, n, c.discount).sum(axis=-1) / n)


def _between(first: tuple[Array, Array], second: tuple[Array, Array], count: int, like: Array) -> Array:
    return arithmetic.absolute(projected(*first, count, like) - projected(*second, count, like))


@define("projection_mean_error", r"\left|\mathbb{E}\,\Pi_N\nu-\mathbb{E}\,\nu\right|", "instance")
def _projection_mean_error(c: Context) -> Array:
    """How far the mean of the N quantiles is from the mean of the law, in reward units."""
    p, x = c.extra("p"), c.extra("x")
    return _for_each_count(c, lambda n: arithmetic.absolute(projected(p, x, n, c.discount).sum(axis=-1) / n - mean(p, x)))


def _quantile_iteration(c: Context, count: int) -> tuple[Array, Array]:
    """(largest error of the mean against V (B,), largest range of a backed-up law (B,)) after the setting `backups` rounds of Pi T from 0."""
    rounds = to_float(given(c, "backups")).astype(int)
    batch, states = c.rewards.shape[:2]
    atoms = np.broadcast_to((c.discount * 0)[:, None, None], (batch, states, count))
    even = np.broadcast_to(((c.discount * 0 + 1) / count)[:, None, None], atoms.shape)
    widest = c.discount * 0
    for k in range(int(rounds.max())):
        live = k < rounds
        p, x = backed_up(c, even, atoms)
        possible = np.asarray(p > 0, dtype=bool)
        centre = x[np.arange(batch)[:, None], np.arange(states)[None], possible.argmax(axis=-1)][..., None]
        only = np.where(possible, x, centre)
        spread = arithmetic.maximum(arithmetic.maximum(only, axis=-1) - arithmetic.minimum(only, axis=-1), axis=-1)
        widest = np.where(live, np.maximum(widest, spread), widest)
        atoms = np.where(live[:, None, None], projected(p, x, count, c.discount), atoms)
    return arithmetic.maximum(arithmetic.absolute(atoms.sum(axis=-1) / count - c.values[:, 0]), axis=-1), widest


@define("quantile_critic_error", r"\left\|\mathbb{E}\,(\Pi_NT)^k0-V^\pi\right\|_\infty", "instance")
def _quantile_critic_error(c: Context) -> Array:
    """Largest error of the mean of the quantile critic after k backups from 0, in reward units."""
    return _for_each_count(c, lambda n: _quantile_iteration(c, n)[0])


@define("quantile_critic_range", r"\max_{j<k}\mathrm{sp}\,T(\Pi_NT)^j0", "instance")
def _quantile_critic_range(c: Context) -> Array:
    """Largest range of a law that is projected on the way, in reward units."""
    return _for_each_count(c, lambda n: _quantile_iteration(c, n)[1])


@define("value_size", r"\|V^\pi\|_\infty", "instance")
def _value_size(c: Context) -> Array:
    """Largest absolute value of the policy, in reward units."""
    return largest(c.values[:, 0])


# Second moments


@define("second_moments_after", r"\mathbb{E}(T\nu)^2", "instance", "states")
def _second_moments_after(c: Context) -> Array:
    """Second moment of each law after one distributional backup, outcome by outcome, in squared reward units."""
    p, x = backed_up(c, c.extra("chance"), c.extra("atoms"))
    return (p * x * x).sum(axis=-1)[:, None]


@define("second_moments_formula", r"r^2+2\gamma rPm+\gamma^2PM", "instance", "states")
def _second_moments_formula(c: Context) -> Array:
    """The same from first and second moments, in squared reward units."""
    p, x = c.extra("chance"), c.extra("atoms")
    gamma = c.discount[:, None, None]
    first, second = (np.einsum("bsat,bt->bsa", c.transitions, (p * table).sum(axis=-1)) for table in (x, x * x))
    each = c.rewards * c.rewards + 2 * gamma * c.rewards * first + gamma * gamma * second
    return (c.policies[:, 0] * each).sum(axis=-1)[:, None]


def _square(c: Context, power: int) -> Array:
    """I - gamma^power P_pi, (B, 1, S, S)."""
    scaled = c.chain[:, :1] * -(c.discount if power == 1 else c.discount * c.discount)[:, None, None, None]
    states = np.arange(scaled.shape[-1])
    scaled[..., states, states] = scaled[..., states, states] + 1
    return scaled


@define("return_variance", r"M-V^2,\ M=r^2+2\gamma rPV+\gamma^2PM", "instance", "states")
def _return_variance(c: Context) -> Array:
    """Variance of the return from each state through its second moment, in squared reward units."""
    gamma = c.discount[:, None, None]
    ahead = np.einsum("bsat,bt->bsa", c.transitions, c.values[:, 0])
    paid = (c.policies[:, 0] * (c.rewards * c.rewards + 2 * gamma * c.rewards * ahead)).sum(axis=-1)
    values = c.values[:, :1]
    return arithmetic.solve(_square(c, 2), paid[:, None]) - values * values


def _variances(c: Context, power: int) -> Array:
    ahead = c.rewards[..., None] + c.discount[:, None, None, None] * c.values[:, 0][:, None, None]
    moves = c.policies[:, 0][..., None] * c.transitions
    away = ahead - c.values[:, 0][:, :, None, None]
    return arithmetic.solve(_square(c, power), (moves * away * away).sum(axis=(-1, -2))[:, None])


@define("summed_variance", r"v=\mathrm{Var}_{a,s'}(r+\gamma V(s'))+\gamma^2Pv", "instance", "states")
def _summed_variance(c: Context) -> Array:
    """Variances of the single steps, added up with the discount squared, in squared reward units."""
    return _variances(c, 2)


@define("summed_variance_plain", r"v=\mathrm{Var}_{a,s'}(r+\gamma V(s'))+\gamma Pv", "instance", "states")
def _summed_variance_plain(c: Context) -> Array:
    """Variances of the single steps, added up with the discount, in squared reward units."""
    return _variances(c, 1)
