"""The least mean of given values over a ball of distributions: what the library finds, against duals, formulas and other rows of the ball.

p is a row P(.|s,a) of the model (or the extra `p`), v the extra `v`; every entry of a quantity belongs to a row.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pgtheory import arithmetic
from pgtheory.robust import worst_case
from proofs_check.numbers import smaller
from proofs_check.quantities.registry import define, flat, given, per_instance
from proofs_check.robust import exactly_known

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
GOLDEN = (5**0.5 - 1) / 2
ROUNDS = 90
"""Golden section: 0.618^90 = 1e-19 of the first interval."""


def _values(c: Context) -> Array:
    """v beside rows: (B, 1, 1, S)."""
    return c.extra("v")[:, None, None]


def _rows(values: Array) -> Array:
    """(B, S, A) -> (B, 1, S A)."""
    return flat(values[:, None])


def in_floats(c: Context, worst: Callable[..., Any], *arguments: Array) -> Array:
    """A minimum that is found numerically: known in float64 only."""
    if c.kind != "float":
        raise arithmetic.Undecided("this minimum is found numerically, in float64")
    return worst(*arguments)[0]


# L1 and total variation


def _capped_dual(c: Context, mass: Array) -> Array:
    """max over c among the values of E_p min(v, c) - mass (c - min v), mass (B, S, A) being what may be moved."""
    p, v = c.transitions, _values(c)
    least, best = v.min(axis=-1), None
    for k in range(v.shape[-1]):
        cap = v[..., k : k + 1]
        here = (p * np.minimum(v, cap)).sum(axis=-1) - mass * (cap[..., 0] - least)
        best = here if best is None else np.maximum(best, here)
    assert best is not None
    return best


MOST_STATES = 8
"""Enumeration of the vertices of an L1 ball takes S^2 2^S of them."""


@define("l1_minimum", r"\min_{|q-p|_1\le\beta}q\cdot v", "instance", "state-action pairs")
@exactly_known
def _l1_minimum(c: Context) -> Array:
    """Least mean of the values over the L1 ball of each row, in reward units, without any sorting: over all ways to take.

    q = p + u - w with 0 <= w <= p and sum u = sum w <= beta / 2.  Given the total, u has one target at a vertex; the vertices of the w empty a set of
    states and take the rest of the budget from one more."""
    p, v, mass = c.transitions, _values(c), c.extra("radii") / 2
    states = p.shape[-1]
    if states > MOST_STATES:
        raise arithmetic.Undecided(f"the vertices of a ball are listed for up to {MOST_STATES} states")
    least = (p * v).sum(axis=-1)
    plain = least
    for emptied in itertools.product((0, 1), repeat=states):
        chosen = c.constant(np.array(emptied))
        left = mass - (p * chosen).sum(axis=-1)
        allowed = np.asarray(left >= 0, dtype=bool)
        for target in range(states):
            gains = v - v[..., target, None]
            full = (p * chosen * gains).sum(axis=-1)
            for k in range(states):
                part = np.minimum(left, p[..., k]) * gains[..., k] * (1 - emptied[k])
                least = np.where(allowed, np.minimum(least, plain - full - part), least)
    return _rows(least)


@define("l1_dual", r"\max_c\mathbb{E}_p\min(v,c)-\tfrac\beta2(c-\min v)", "instance", "state-action pairs")
@exactly_known
def _l1_dual(c: Context) -> Array:
    """The dual of that problem, with c among the values, in reward units."""
    return _rows(_capped_dual(c, c.extra("radii") / 2))


@define("l1_row_value", r"q^*\cdot v", "instance", "state-action pairs")
@exactly_known
def _l1_row_value(c: Context) -> Array:
    """Mean of the values under the row that the library finds by sorting, in reward units."""
    return _rows((worst_case.worst_l1(c.transitions, _values(c), c.extra("radii"))[1] * _values(c)).sum(axis=-1))


@define("l1_row_distance", r"|q^*-p|_1", "instance", "state-action pairs")
@exactly_known
def _l1_row_distance(c: Context) -> Array:
    """How far that row lies from the nominal one."""
    return _rows(np.abs(worst_case.worst_l1(c.transitions, _values(c), c.extra("radii"))[1] - c.transitions).sum(axis=-1))


@define("l1_row_defect", r"|\textstyle\sum q^*-1|+\sum\max(0,-q^*)", "instance", "state-action pairs")
@exactly_known
def _l1_row_defect(c: Context) -> Array:
    """By how much that row is no distribution."""
    row = worst_case.worst_l1(c.transitions, _values(c), c.extra("radii"))[1]
    return _rows(np.abs(row.sum(axis=-1) - 1) + np.maximum(-row, row * 0).sum(axis=-1))


@define("row_radii", r"\beta(s,a)", "instance", "state-action pairs")
@exactly_known
def _row_radii(c: Context) -> Array:
    """Radius of each row's ball."""
    return _rows(c.extra("radii"))


@define("l1_other_value", r"q\cdot v,\ |q-p|_1\le\beta", "instance", "state-action pairs")
@exactly_known
def _l1_other_value(c: Context) -> Array:
    """Mean of the values under some other row of the ball, in reward units."""
    away = c.extra("rows") - c.transitions
    distance = np.abs(away).sum(axis=-1)
    reach = np.where(distance == 0, distance * 0, c.extra("radii") / np.where(distance == 0, distance * 0 + 1, distance))
    share = np.minimum(reach, reach * 0 + 1)
    return _rows(((c.transitions + share[..., None] * away) * _values(c)).sum(axis=-1))


@define("tv_minimum", r"\min_{\mathrm{TV}(q,p)\le\delta}q\cdot v", "instance", "state-action pairs")
@exactly_known
def _tv_minimum(c: Context) -> Array:
    """Least mean of the values over a ball of total variation, in reward units."""
    return _rows(worst_case.worst_tv(c.transitions, _values(c), c.extra("radii"))[0])


@define("tv_dual", r"\max_c\mathbb{E}_p\min(v,c)-\delta(c-\min v)", "instance", "state-action pairs")
@exactly_known
def _tv_dual(c: Context) -> Array:
    """The dual of that problem, in reward units."""
    return _rows(_capped_dual(c, c.extra("radii")))


# Lp balls that stay inside the simplex: p is interior


def _mean(c: Context, p: Array | None = None) -> Array:
    """p . v, (B,)."""
    return ((c.extra("p") if p is None else p) * c.extra("v")).sum(axis=-1)


def _one(values: Array) -> Array:
    return per_instance(values)


def _l1_radius(c: Context) -> Array:
    v = c.extra("v")
    top = np.take_along_axis(c.extra("p"), v.argmax(axis=-1)[:, None], axis=-1)[:, 0]
    return 2 * c.extra("share") * top


def _least_mass(c: Context) -> Array:
    return c.extra("share") * c.extra("p").min(axis=-1)


@define("l1_inside_minimum", r"\min_{|q-p|_1\le\beta}q\cdot v", "instance")
@exactly_known
def _l1_inside_minimum(c: Context) -> Array:
    """Least mean over an L1 ball that takes no more than the mass of the largest value, in reward units."""
    return _one(worst_case.worst_l1(c.extra("p"), c.extra("v"), _l1_radius(c))[0])


@define("l1_span_formula", r"p\cdot v-\beta\,\mathrm{sp}(v)/2", "instance")
@exactly_known
def _l1_span_formula(c: Context) -> Array:
    """Mean less half the radius times the span, in reward units."""
    v = c.extra("v")
    return _one(_mean(c) - _l1_radius(c) * (v.max(axis=-1) - v.min(axis=-1)) / 2)


@define("linf_inside_minimum", r"\min_{|q-p|_\infty\le\beta}q\cdot v", "instance")
@exactly_known
def _linf_inside_minimum(c: Context) -> Array:
    """Least mean over a ball in the largest norm with a radius of at most the smallest probability, in reward units."""
    return _one(worst_case.worst_linf(c.extra("p"), c.extra("v"), _least_mass(c))[0])


@define("linf_median_formula", r"p\cdot v-\beta|v-\mathrm{med}(v)|_1", "instance")
@exactly_known
def _linf_median_formula(c: Context) -> Array:
    """Mean less the radius times the distances from the median, in reward units."""
    v = np.sort(c.extra("v"), axis=-1)
    middle = v[:, v.shape[1] // 2, None]
    return _one(_mean(c) - _least_mass(c) * np.abs(v - middle).sum(axis=-1))


@define("l2_inside_minimum", r"\min_{|q-p|_2\le\beta}q\cdot v", "instance")
def _l2_inside_minimum(c: Context) -> Array:
    """Least mean over a Euclidean ball with a radius of at most the smallest probability, in reward units."""
    return _one(in_floats(c, worst_case.worst_l2, c.extra("p"), c.extra("v"), _least_mass(c)))


@define("l2_deviation_formula", r"p\cdot v-\beta|v-\bar v|_2", "instance")
def _l2_deviation_formula(c: Context) -> Array:
    """Mean less the radius times the Euclidean norm of the deviations, in reward units."""
    v = c.extra("v")
    spread = v - v.sum(axis=-1, keepdims=True) / v.shape[1]
    least = arithmetic.minimum(c.extra("p"), axis=-1)
    return _one(_mean(c) - c.extra("share") * least * arithmetic.norm2(spread, axis=-1))


def _deviations(c: Context) -> tuple[Array, Array]:
    """(w = v - mean v, k with p - k w >= 0 and k a share of the largest such number)."""
    p, v = c.extra("p"), c.extra("v")
    w = v - v.sum(axis=-1, keepdims=True) / v.shape[1]
    top = np.abs(w).max(axis=-1)
    return w, np.where(top == 0, top * 0, c.extra("share") * p.min(axis=-1) / np.where(top == 0, top * 0 + 1, top))


@define("l2_row_value", r"(p-kw)\cdot v,\ w=v-\bar v", "instance")
@exactly_known
def _l2_row_value(c: Context) -> Array:
    """Mean of the values under the nominal row moved against the deviations, in reward units."""
    w, k = _deviations(c)
    row = c.extra("p") - k[:, None] * w
    if c.kind != "float" and not (row >= 0).all():
        raise arithmetic.Undecided("the row has a negative entry")
    return _one(_mean(c, row))


@define("l2_square_formula", r"p\cdot v-k|w|_2^2", "instance")
@exactly_known
def _l2_square_formula(c: Context) -> Array:
    """Mean less k times the squared norm of the deviations: the formula for the radius k |w|_2, without a root, in reward units."""
    w, k = _deviations(c)
    return _one(_mean(c) - k * (w * w).sum(axis=-1))


@define("l2_other_value", r"q\cdot v,\ |q-p|_2\le k|w|_2", "instance")
@exactly_known
def _l2_other_value(c: Context) -> Array:
    """Mean of the values under some other point of that ball in the plane of the simplex, in reward units."""
    w, k = _deviations(c)
    u = c.extra("direction")
    u = u - u.sum(axis=-1, keepdims=True) / u.shape[1]
    square = (u * u).sum(axis=-1)
    factor = np.where(square == 0, square * 0, 2 * (u * w).sum(axis=-1) / np.where(square == 0, square * 0 + 1, square))
    turned = w - factor[:, None] * u
    return _one(_mean(c, c.extra("p") - (c.extra("turn") * k)[:, None] * turned))


@define("least_value", r"\min_iv_i", "instance")
def _least_value(c: Context) -> Array:
    """Least value: what no mean can be below, in reward units."""
    return _one(arithmetic.minimum(c.extra("v"), axis=-1))


@define("l2_far_formula", r"p\cdot v-\beta|v-\bar v|_2,\ \beta\text{ any}", "instance")
def _l2_far_formula(c: Context) -> Array:
    """The formula at a radius of the given share of 2, however large that is, in reward units."""
    v = c.extra("v")
    spread = v - v.sum(axis=-1, keepdims=True) / v.shape[1]
    return _one(_mean(c) - 2 * c.extra("share") * arithmetic.norm2(spread, axis=-1))


# KL


def _log_mean(c: Context, tau: Array) -> Array:
    """log E_p exp(-v / tau), (B,)."""
    return arithmetic.log((c.extra("p") * arithmetic.exp(-c.extra("v") / tau[:, None])).sum(axis=-1))


def _divergence(q: Array, p: Array) -> Array:
    """KL(q || p) of rows without zeros."""
    return (q * (arithmetic.log(q) - arithmetic.log(p))).sum(axis=-1)


@define("kl_dual", r"-\tau\log\mathbb{E}_pe^{-v/\tau}-\tau\,\mathrm{KL}(q\Vert p)", "instance")
def _kl_dual(c: Context) -> Array:
    """The dual at some tau, for the radius at which another row q lies, in reward units."""
    tau = given(c, "tau")
    return _one(-tau * _log_mean(c, tau) - tau * _divergence(c.extra("q"), c.extra("p")))


@define("kl_dual_reverse", r"-\tau\log\mathbb{E}_pe^{-v/\tau}-\tau\,\mathrm{KL}(p\Vert q)", "instance")
def _kl_dual_reverse(c: Context) -> Array:
    """The same with the divergence the other way round, in reward units."""
    tau = given(c, "tau")
    return _one(-tau * _log_mean(c, tau) - tau * _divergence(c.extra("p"), c.extra("q")))


@define("other_row_value", r"q\cdot v", "instance")
def _other_row_value(c: Context) -> Array:
    """Mean of the values under the other row, in reward units."""
    return _one((c.extra("q") * c.extra("v")).sum(axis=-1))


@define("kl_minimum", r"\min_{\mathrm{KL}(q\Vert p)\le\delta}q\cdot v", "instance", "state-action pairs")
def _kl_minimum(c: Context) -> Array:
    """Least mean of the values over the KL ball of each row, by bisection on the tilt, in reward units."""
    return _rows(in_floats(c, worst_case.worst_kl, c.transitions, _values(c), c.extra("radii")))


@define("kl_dual_maximum", r"\max_{\tau\ge0}-\tau\log\mathbb{E}_pe^{-v/\tau}-\tau\delta", "instance", "state-action pairs")
def _kl_dual_maximum(c: Context) -> Array:
    """Largest value of the dual, by golden section, and the least value where that is larger still, in reward units."""
    if c.kind != "float":
        raise arithmetic.Undecided("this maximum is found numerically, in float64")
    p, radii = c.transitions, c.extra("radii")
    v = np.where(p > 0, np.broadcast_to(_values(c), p.shape), np.inf)
    least = v.min(axis=-1)
    above = np.where(p > 0, v - least[..., None], 0.0)

    def dual(log_tau: Array) -> Array:
        tau = np.exp(log_tau)
        return -tau * np.log1p((p * np.expm1(-above / tau[..., None])).sum(axis=-1)) - tau * radii

    best = golden(dual, np.full(radii.shape, -25.0), np.full(radii.shape, 25.0))
    best = np.where(radii == 0, (p * above).sum(axis=-1), np.maximum(best, 0.0))
    return _rows(least + best)


def golden(function: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """Largest value of functions that rise and then fall between `low` and `high`."""
    a, b = low.copy(), high.copy()
    for _ in range(ROUNDS):
        left, right = b - GOLDEN * (b - a), a + GOLDEN * (b - a)
        rising = function(left) < function(right)
        a, b = np.where(rising, left, a), np.where(rising, b, right)
    return np.maximum(function((a + b) / 2), np.maximum(function(low), function(high)))


# chi2


def _capped_moments(p: Array, v: Array, cap: Array) -> tuple[Array, Array]:
    """(mean, variance) of min(v, cap) under p; the last axis is summed."""
    capped = smaller(v, cap)
    mean = (p * capped).sum(axis=-1)
    away = capped - mean[..., None]
    return mean, (p * away * away).sum(axis=-1)


def _chi2(q: Array, p: Array) -> Array:
    return ((q - p) * (q - p) / p).sum(axis=-1)


@define("chi2_dual", r"\mathbb{E}_p\min(v,c)-\sqrt{\chi^2(q,p)\mathrm{Var}_p\min(v,c)}", "instance")
def _chi2_dual(c: Context) -> Array:
    """The dual at some cap c, for the radius at which another row q lies, in reward units."""
    mean, variance = _capped_moments(c.extra("p"), c.extra("v"), c.extra("cap")[:, None])
    return _one(mean - arithmetic.sqrt(_chi2(c.extra("q"), c.extra("p")) * variance))


@define("chi2_minimum", r"\min_{\chi^2(q,p)\le\delta}q\cdot v", "instance", "state-action pairs")
def _chi2_minimum(c: Context) -> Array:
    """Least mean of the values over the chi2 ball of each row, in reward units."""
    return _rows(in_floats(c, worst_case.worst_chi2, c.transitions, _values(c), c.extra("radii")))


@define("chi2_dual_maximum", r"\max_c\mathbb{E}_p\min(v,c)-\sqrt{\delta\mathrm{Var}_p\min(v,c)}", "instance", "state-action pairs")
def _chi2_dual_maximum(c: Context) -> Array:
    """Largest value of the dual over caps between the values, by golden section between neighbours, in reward units."""
    if c.kind != "float":
        raise arithmetic.Undecided("this maximum is found numerically, in float64")
    p, radii = c.transitions, c.extra("radii")
    v = np.broadcast_to(_values(c), p.shape)
    v = np.where(p > 0, v, np.where(p > 0, v, np.inf).min(axis=-1)[..., None])  # what cannot be reached does not count

    def dual(cap: Array) -> Array:
        mean, variance = _capped_moments(p, v, cap[..., None])
        return mean - np.sqrt(radii * variance)

    ordered = np.sort(v, axis=-1)
    best = dual(ordered[..., 0])
    for k in range(v.shape[-1] - 1):  # between neighbours the capped values are affine in the cap, and the dual is concave
        best = np.maximum(best, golden(dual, ordered[..., k], ordered[..., k + 1]))
    return _rows(best)


def _small(c: Context) -> tuple[Array, Array, Array]:
    """(mean, variance, k): the row p (1 - k (v - mean)) has no negative entry."""
    p, v = c.extra("p"), c.extra("v")
    mean, variance = _capped_moments(p, v, v.max(axis=-1, keepdims=True))
    room = v.max(axis=-1) - mean
    return mean, variance, np.where(room == 0, room * 0, c.extra("share") / np.where(room == 0, room * 0 + 1, room))


@define("chi2_row_value", r"\textstyle\sum_ip_i(1-k(v_i-\mathbb{E}v))v_i", "instance")
@exactly_known
def _chi2_row_value(c: Context) -> Array:
    """Mean of the values under the nominal row tilted against the deviations, in reward units."""
    mean, _, k = _small(c)
    row = c.extra("p") * (1 - k[:, None] * (c.extra("v") - mean[:, None]))
    if c.kind != "float" and not (row >= 0).all():
        raise arithmetic.Undecided("the row has a negative entry")
    return _one(_mean(c, row))


@define("chi2_variance_formula", r"\mathbb{E}v-k\mathrm{Var}(v)", "instance")
@exactly_known
def _chi2_variance_formula(c: Context) -> Array:
    """Mean less k times the variance: E v - sqrt(delta Var v) at the radius delta = k^2 Var v, in reward units."""
    mean, variance, k = _small(c)
    return _one(mean - k * variance)


@define("chi2_row_distance", r"\chi^2(q,p)", "instance")
@exactly_known
def _chi2_row_distance(c: Context) -> Array:
    """chi2 divergence of that row, plus how far its sum is from 1."""
    mean, _, k = _small(c)
    row = c.extra("p") * (1 - k[:, None] * (c.extra("v") - mean[:, None]))
    return _one(_chi2(row, c.extra("p")) + arithmetic.absolute(row.sum(axis=-1) - 1))


@define("chi2_row_radius", r"k^2\mathrm{Var}(v)", "instance")
@exactly_known
def _chi2_row_radius(c: Context) -> Array:
    """The radius delta at which it should lie."""
    _, variance, k = _small(c)
    return _one(k * k * variance)


@define("chi2_far_formula", r"\mathbb{E}v-\sqrt{\delta\mathrm{Var}(v)},\ \delta\text{ any}", "instance")
def _chi2_far_formula(c: Context) -> Array:
    """The variance formula at a given radius, however large, in reward units."""
    p, v = c.extra("p"), c.extra("v")
    mean, variance = _capped_moments(p, v, arithmetic.maximum(v, axis=-1)[:, None])
    return _one(mean - arithmetic.sqrt(c.extra("radius") * variance))
