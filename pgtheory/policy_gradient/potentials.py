"""Maximisers over the simplex for separable potentials: what mirror descent steps and Tsallis policies are made of.

Bregman.  The potential of order q has phi''(p) = p^(q - 2), so its slope is phi'(p) = (p^(q - 1) - 1) / (q - 1): Euclidean distance at q = 2, KL at
q = 1 (slope log p), the logarithmic barrier at q = 0.  With x_a = phi'(pi_a) + eta Q_a and g_a = max_b x_b - x_a >= 0,

    argmax_p  eta <Q, p> - B(p, pi):      p_a(z) = [z^(q - 1) - (q - 1) g_a]_+^(1 / (q - 1)),      z the largest probability: sum_a p_a(z) = 1.

Each p_a grows with z, p(1) sums to at least 1 and p(1/A) to at most 1: bisection between.

Tsallis divergence.  KL_q(p || mu) = sum_a p_a ln_q(p_a / mu_a), ln_q(x) = (x^(q - 1) - 1) / (q - 1), q > 1.  With d_a = (q - 1)(max Q - Q_a)/(tau q)

    argmax_p  <Q, p> - tau KL_q(p || mu):   p_a(w) = mu_a [w - d_a]_+^(1 / (q - 1)),   sum_a p_a(w) = 1,   1 <= w <= mu_g^(1 - q), g the best action
                                                                                                                     of the support of mu.

In floats the level is found to rounding and the rows are divided by their sums; in balls it is enclosed, because the sums are monotone; at q = 2,
where it is a quotient, it is exact in rationals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from flint import arb, ctx, fmpq

from mdps.errors import ModelError
from mdps.rational import rational
from pgtheory import arithmetic
from pgtheory.policy_gradient.method import NoEnclosure

Array = np.ndarray
HALVINGS = 64
"""Bisections in floats: the bracket is at most a few powers of 2 wide where it matters, and 2^-64 of it is below rounding."""


def bregman_argmax(policy: Any, gains: Any, order: Any) -> Array:
    """argmax_p <gains, p> - B_q(p, policy) in every row (last axis), q = order >= 0.

    policy   (..., A) rows; an action of probability 0 stays at 0 for q <= 1
    gains    (..., A), eta Q
    returns  (..., A); floats, balls, and rationals at q = 2
    """
    q = rational(order)
    if q == 2:
        return arithmetic.project_simplex(policy + gains)
    if q == 1:
        return _kl_argmax(policy, gains)
    numbers = "ball" if "ball" in (arithmetic.kind(policy), arithmetic.kind(gains)) else "float"
    weight = q - 1 if numbers == "ball" else _float(q - 1)
    with np.errstate(all="ignore"):
        slopes = (power(policy, q - 1) - 1) / weight
        high = slopes + gains
        gaps = arithmetic.maximum(high, axis=-1)[..., None] - high
    return _rows(gaps, q)


def _rows(gaps: Array, q: fmpq) -> Array:
    actions = gaps.shape[-1]
    balls = arithmetic.kind(gaps) == "ball"
    weight = q - 1 if balls else _float(q - 1)

    def rows(level: Any, row: Array) -> Array:
        with np.errstate(all="ignore"):
            base = power(level, q - 1) - weight * row
            return power(np.maximum(base, 0) if not balls else base, 1 / (q - 1))

    return _solve_level(gaps, rows, lambda row: _one_over(actions, row), lambda row: _one_over(1, row))


def tsallis_argmax(reference: Any, action_values: Any, order: Any, temperature: Any) -> Array:
    """argmax_p <Q, p> - tau KL_q(p || reference) in every row (last axis), q = order > 1, tau > 0.

    reference      (..., A) rows; probabilities of 0 stay 0
    temperature    a number, or an array that stands beside the rows with a last axis of 1
    returns        (..., A); floats, balls (positive references only), and rationals at q = 2
    raises         ModelError: q <= 1; NoEnclosure: balls that touch 0
    """
    q = rational(order)
    if q <= 1:
        raise ModelError(f"the order of a Tsallis divergence is {q}; it must be above 1 (1 is the KL divergence)")
    kinds = {arithmetic.kind(reference), arithmetic.kind(action_values)}
    numbers = "ball" if "ball" in kinds else "rational" if "rational" in kinds else "float"
    scale = (q - 1) / q if numbers != "float" else _float((q - 1) / q)
    reference, action_values = np.broadcast_arrays(reference, action_values)
    if numbers == "float":
        best = np.where(reference > 0, action_values, -np.inf).max(axis=-1, keepdims=True)
    elif numbers == "rational":
        best = np.array([max(v for m, v in zip(*rows, strict=True) if m > 0) for rows in _pairs(reference, action_values)], dtype=object)
        best = best.reshape(*reference.shape[:-1], 1)
    elif all(bool(m > 0) for m in reference.reshape(-1)):
        best = arithmetic.maximum(action_values, axis=-1)[..., None]
    else:
        raise NoEnclosure("a reference of probability 0, or near it, has no Tsallis step in balls")
    gaps = (best - action_values) * scale / temperature
    if numbers == "rational":
        return _quotient_levels(reference, gaps, q)

    def rows(level: Any, both: Array) -> Array:
        mu, row = both[..., 0, :], both[..., 1, :]
        base = level - row
        return mu * power(np.maximum(base, 0) if numbers == "float" else base, 1 / (q - 1))

    def most(both: Array) -> Any:
        mu, row = both[..., 0, :], both[..., 1, :]
        if numbers == "float":
            return (np.where(row <= 0, mu, 0).max(axis=-1, keepdims=True)) ** _float(1 - q)
        return 1 / power(np.array([min((m.lower() for m in mu.tolist()), key=float)], dtype=object), q - 1)

    stacked = np.stack([reference, gaps], axis=-2)
    return _solve_level(stacked, rows, lambda both: _one_over(1, both[..., 0, :]), most)


def _pairs(reference: Array, values: Array) -> Any:
    width = reference.shape[-1]
    return zip(reference.reshape(-1, width).tolist(), values.reshape(-1, width).tolist(), strict=True)


def _quotient_levels(reference: Array, gaps: Array, q: fmpq) -> Array:
    """q = 2: sum over the kept actions of mu (w - d) is 1, so w = (1 + sum mu d) / sum mu; drop what is not above, until nothing is."""
    if q != 2:
        raise TypeError(f"the Tsallis policy of order {q} leaves the rationals: convert with arithmetic.balls(...) first")
    out = []
    for mu, row in _pairs(reference, gaps):
        kept = [a for a in range(len(row)) if mu[a] > 0]
        while True:
            level = (1 + sum((mu[a] * row[a] for a in kept), fmpq(0))) / sum((mu[a] for a in kept), fmpq(0))
            fewer = [a for a in kept if row[a] < level]
            if len(fewer) == len(kept):
                break
            kept = fewer
        out.append([mu[a] * (level - row[a]) if a in kept else fmpq(0) for a in range(len(row))])
    return np.array(out, dtype=object).reshape(reference.shape)


def _kl_argmax(policy: Any, gains: Any) -> Array:
    if "ball" in (arithmetic.kind(policy), arithmetic.kind(gains)):
        return arithmetic.softmax(arithmetic.log(policy) + gains)
    with np.errstate(divide="ignore"):
        return arithmetic.softmax(np.log(policy) + gains)


def _solve_level(data: Array, rows: Callable[[Any, Array], Array], least: Callable[[Array], Any], most: Callable[[Array], Any]) -> Array:
    """Rows p(z) at the level z with sum p(z) = 1; the sums do not fall in z, are at most 1 at `least` and at least 1 at `most`."""
    if arithmetic.kind(data) == "ball":
        return _enclosed_rows(data, rows, least, most)
    low, high = np.asarray(least(data), dtype=float), np.asarray(most(data), dtype=float)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        over = rows(middle, data).sum(axis=-1, keepdims=True) >= 1
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    found = rows(high, data)
    return found / found.sum(axis=-1, keepdims=True)


def _enclosed_rows(data: Array, rows: Callable[[Any, Array], Array], least: Callable[[Array], Any], most: Callable[[Array], Any]) -> Array:
    single = 1 if data.ndim == 1 or rows.__code__.co_varnames[1] == "row" else 2
    shape = data.shape[: data.ndim - single]
    out = np.empty((*shape, data.shape[-1]), dtype=object)
    for index in np.ndindex(shape):
        part = data[index]
        low, high = (arithmetic.elementwise(arb, end(part)).reshape(-1)[0] for end in (least, most))
        low, high = low.lower().mid(), high.upper().mid()

        def excess(level: Any, part: Array = part) -> Any:
            return rows(np.array([level], dtype=object), part).sum() - 1

        left, right = _bracket(excess, low, high)
        out[index] = rows(np.array([left.union(right)], dtype=object), part)
    return out


def _bracket(excess: Callable[[Any], Any], low: Any, high: Any) -> tuple[Any, Any]:
    """Exact numbers around the root of a function that does not fall, as close as its balls allow: false position, then both signs checked.

    The root may be an end: a vertex of the simplex, or the uniform row."""
    width = (abs(high) + abs(low)) * arb(2) ** (8 - ctx.prec)  # a few roundings of a midpoint
    ends, last, centre = (excess(low), excess(high)), 0, ((low + high) / 2).mid()
    below, above = (end.mid() for end in ends)
    if not ends[1] > 0 or not ends[0] < 0:
        centre = low if ends[1] > 0 else high
    while high - low > width and ends[0] < 0 < ends[1]:
        wanted = (high - above * (high - low) / (above - below)).mid() if above > below else centre
        centre = wanted if low < wanted < high else ((low + high) / 2).mid()
        here = excess(centre)
        if here < 0:
            moved, low, below = centre - low, centre, here.mid()
            above, last = above / 2 if last < 0 else above, -1
        elif here > 0:
            moved, high, above = high - centre, centre, here.mid()
            below, last = below / 2 if last > 0 else below, 1
        else:
            break
        if moved < width:
            break
    while True:
        left, right = (centre - width).mid(), (centre + width).mid()
        left, right = left if left > low else low, right if right < high else high
        if (left == low or excess(left) < 0) and (right == high or excess(right) > 0):
            return left, right
        width = 4 * width


def power(values: Any, exponent: fmpq) -> Any:
    """values^exponent for values >= 0 (what is below counts as 0), any rational exponent; floats and balls."""
    if arithmetic.kind(values) != "ball":
        return np.asarray(values) ** _float(exponent)
    return arithmetic.elementwise(lambda x: _ball_power(x, exponent), values)


def _ball_power(x: Any, exponent: fmpq) -> Any:
    low, high = x.lower().mid(), x.upper().mid()
    return _point_power(low if low > 0 else arb(0), exponent).union(_point_power(high if high > 0 else arb(0), exponent))


def _point_power(x: Any, exponent: fmpq) -> Any:
    if x == 0:
        return arb(0) if exponent > 0 else arb(1) if exponent == 0 else arb("inf")
    return (arb(exponent) * x.log()).exp() if exponent.q > 2 else x.sqrt() ** int(exponent.p) if exponent.q == 2 else x ** int(exponent.p)


def _one_over(count: int, row: Array) -> Array:
    shape = (*row.shape[:-1], 1)
    if arithmetic.kind(row) == "ball":
        return np.full(shape, arb(1) / count, dtype=object)
    return np.full(shape, 1.0 / count)


def _float(x: Any) -> float:
    return int(x.p) / int(x.q)
