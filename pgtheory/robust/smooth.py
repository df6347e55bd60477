"""min over q of q . v for sets with curved sides, by their dual in one or two numbers; float64.

Every function returns a value from the dual, a lower bound whatever the multiplier is, and a q that lies in the set, so that
value <= true minimum <= q . v: how far the two are apart shows what the search for the multiplier left open (a few roundings).

**KL** (Nilim and El Ghaoui 2005; Iyengar 2005).  max over tau >= 0 of -tau log E_p exp(-v / tau) - tau radius; q ~ p exp(-v / tau).  With
theta = 1 / tau the divergence of q from p grows from 0 to -log p(argmin v), with slope theta Var_q(v): safeguarded Newton steps find where it is the
radius. States of nominal probability 0 stay unreachable, and a radius beyond -log p(argmin v) gives the least v on the support.

**chi2** (Iyengar 2005; Duchi and Namkoong 2019).  max over c of E_p min(v, c) - sqrt(radius Var_p min(v, c)); q ~ p (c - v)_+.  Between two
neighbours in the order of v the maximum is in closed form, so sorting finds it.  Variances of the lowest states are summed with positive terms only
(Welford).

**L2.**  q = projection of p - t v on the simplex, t such that |q - p| = radius.  On the states where q > 0, t solves a quadratic equation; a few
rounds of projection and equation find the states.  Dual: for any c and t, w = min(v - c, p / t) gives p . w + c - radius |w|_2.

**Entropic.**  min over q of q . v + KL(q || p) / beta = -log E_p exp(-beta v) / beta.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pgtheory.robust.polyhedral import by_rows, rows

Array = np.ndarray
ROUNDS = 200
"""Most safeguarded steps: halving an interval of floats as often as it can be halved takes fewer than 64, finding it at most 130."""
EPS = 2.0**-52


def _floats(*values: Any) -> list[Array]:
    out = []
    for value in values:
        array = np.asarray(value)
        if array.dtype == object:
            raise TypeError("this worst case leaves the rationals: it is computed in float64, or enclosed in balls")
        out.append(array.astype(np.float64, copy=False))
    return out


def _shifted(p: Array, v: Array) -> tuple[Array, Array, Array]:
    """(least v on the support (..., 1), v minus it where p > 0 and else 0, mass of the states that attain it)."""
    on = p > 0
    least = np.where(on, v, np.inf).min(axis=-1, keepdims=True)
    above = np.where(on, v - least, 0.0)
    return least, above, np.where(on & (above == 0), p, 0.0).sum(axis=-1)


@by_rows
def worst_kl(p: Any, v: Any, radius: Any) -> tuple[Array, Array]:
    """min q . v over KL(q || p) <= radius (nats), q = 0 where p = 0.

    p, v      (..., n);  radius (...), at least 0
    returns   values (...), kernels (..., n) with values <= min <= kernels . v
    """
    p, v, radius = rows(*_floats(p, v, radius))
    least, above, bottom = _shifted(p, v)
    spread = above.max(axis=-1)
    y = above / np.where(spread > 0, spread, 1.0)[..., None]
    open_ = (spread > 0) & (radius > 0) & (radius < -np.log(np.minimum(bottom, 1.0)))
    theta = np.zeros(radius.shape)
    if np.any(open_):
        theta[open_] = _tilt(p[open_], y[open_], radius[open_])
    q, divergence, log_mass = _tilted(p, y, theta)
    q = _drawn_in(p, q, divergence, radius, open_)
    with np.errstate(divide="ignore", invalid="ignore"):
        dual = np.where(open_, -(log_mass + radius) / theta, 0.0) * spread
    at_least = (radius >= -np.log(np.minimum(bottom, 1.0))) & ~open_
    q = np.where(at_least[..., None], np.where(above == 0, p, 0.0) / bottom[..., None], q)
    value = np.where(open_, least[..., 0] + dual, np.where(at_least, least[..., 0], (p * v).sum(axis=-1)))
    return value, q


def tilted_into_ball(p: Array, exponent: Array, radius: Any) -> Array:
    """q ~ p exp(m exponent) with the largest m <= 1 such that KL(q || p) <= radius (nats).  p (..., n), exponent (..., n) finite, radius (...)."""
    p, exponent, radius = rows(*_floats(p, exponent, radius))
    top = np.where(p > 0, exponent, -np.inf).max(axis=-1, keepdims=True)
    above = np.where(p > 0, top - exponent, 0.0)
    spread = above.max(axis=-1)
    y = above / np.where(spread > 0, spread, 1.0)[..., None]
    theta = np.where(radius > 0, spread, 0.0)
    too_far = (theta > 0) & (_tilted(p, y, theta)[1] > radius)
    if too_far.any():
        theta[too_far] = _tilt(p[too_far], y[too_far], radius[too_far])
    q, divergence, _ = _tilted(p, y, theta)
    return _drawn_in(p, q, divergence, radius, too_far)


def _drawn_in(p: Array, q: Array, divergence: Array, radius: Array, met: Array) -> Array:
    """q, mixed with p where it was to meet the radius: divergence is convex in q, so that the result is within it, rounding included."""
    excess = divergence + 4 * (p.shape[-1] + 4) * EPS * np.maximum(divergence, 1.0) - radius
    keep = np.where(met & (excess > 0), 1 - np.minimum(excess / np.where(divergence > 0, divergence, 1.0), 1.0), 1.0)[..., None]
    return keep * q + (1 - keep) * p


def _tilted(p: Array, y: Array, theta: Array) -> tuple[Array, Array, Array]:
    """(q ~ p exp(-theta y), KL(q || p), log E_p exp(-theta y)); y >= 0 with a 0 on the support."""
    exponent = -theta[..., None] * y
    weights = p * np.exp(exponent)
    mass = weights.sum(axis=-1)
    near = np.log1p(np.maximum((p * np.expm1(exponent)).sum(axis=-1), -0.75))  # a mass near 1 keeps its digits so, a small one as it is
    log_mass = np.where(mass > 0.5, near, np.log(mass))
    q = weights / mass[..., None]
    return q, -theta * (q * y).sum(axis=-1) - log_mass, log_mass


def _tilt(p: Array, y: Array, radius: Array) -> Array:
    """theta with KL(q_theta || p) = radius, for rows where there is one; y in [0, 1]."""
    mean = (p * y).sum(axis=-1)
    variance = (p * (y - mean[..., None]) ** 2).sum(axis=-1)
    theta = np.sqrt(2 * radius / np.maximum(variance, 1e-300))
    low, high = np.zeros_like(theta), np.full_like(theta, np.inf)
    for _ in range(ROUNDS):
        q, divergence, _ = _tilted(p, y, theta)
        below = divergence < radius
        low, high = np.where(below, theta, low), np.where(below, high, theta)
        centre = (q * y).sum(axis=-1)
        slope = theta * (q * (y - centre[..., None]) ** 2).sum(axis=-1)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            step = theta - (divergence - radius) / slope
        safe = np.isfinite(step) & (step > low) & (step < high)
        with np.errstate(invalid="ignore"):
            middle = np.where(np.isinf(high), 2 * theta, np.where(low > 0, np.sqrt(low) * np.sqrt(high), high / 2))
        following = np.where(safe, step, middle)
        if np.all(np.abs(following - theta) <= 4 * EPS * theta):
            return following
        theta = following
    return theta


@by_rows
def entropic(p: Any, v: Any, beta: Any) -> tuple[Array, Array]:
    """-log E_p exp(-beta v) / beta, the entropic risk, and the q ~ p exp(-beta v) that attains min q . v + KL(q || p) / beta.

    p, v      (..., n);  beta (...), at least 0: 0 is the expectation
    returns   values (...), kernels (..., n)
    """
    p, v, beta = rows(*_floats(p, v, beta))
    least, above, _ = _shifted(p, v)
    q, _, log_mass = _tilted(p, above, beta)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(beta > 0, -log_mass / beta, (p * above).sum(axis=-1))
    return least[..., 0] + value, q


@by_rows
def worst_chi2(p: Any, v: Any, radius: Any) -> tuple[Array, Array]:
    """min q . v over sum (q - p)^2 / p <= radius, q = 0 where p = 0.  Shapes as in `worst_kl`."""
    p, v, radius = rows(*_floats(p, v, radius))
    least, above, _ = _shifted(p, v)
    order = np.argsort(np.where(p > 0, above, np.inf), axis=-1, kind="stable")
    mass, height = np.take_along_axis(p, order, axis=-1), np.take_along_axis(above, order, axis=-1)
    live = mass > 0
    last = live.sum(axis=-1) - 1
    total, mean, squares = np.zeros(radius.shape), np.zeros(radius.shape), np.zeros(radius.shape)
    best, cut = np.full(radius.shape, -np.inf), np.zeros(radius.shape)
    top = height.max(axis=-1)
    for k in range(p.shape[-1]):
        weight, x = mass[..., k], height[..., k]
        before, total = total, total + weight
        delta = x - mean
        part = np.where(total > 0, weight / np.where(total > 0, total, 1.0), 0.0)
        squares = squares + before * part * delta * delta
        mean = mean + part * delta
        whole = k == last
        outside = np.where(whole, 0.0, np.maximum(1 - total, 0.0))
        room = np.where(whole, radius, total * (1 + radius) - 1)  # total (1 + radius) - 1 = radius for the whole support
        following = height[..., min(k + 1, p.shape[-1] - 1)]
        upper = np.where(whole, 2.0**100 * top + 1, following)
        variance = squares / np.where(total > 0, total, 1.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            c = np.where(room > 0, mean + np.sqrt(variance) / np.sqrt(np.maximum(room, 0.0)), np.inf)
        c = np.minimum(np.maximum(c, x), np.maximum(upper, x))
        centre = total * mean + outside * c
        squared = total * variance + total * outside * (c - mean) ** 2
        value = centre - np.sqrt(radius * squared)
        better = (k <= last) & (value > best)
        best, cut = np.where(better, value, best), np.where(better, c, cut)
    weights = p * np.maximum(cut[..., None] - above, 0.0)
    sums = weights.sum(axis=-1, keepdims=True)
    floor = np.where((p > 0) & (above == 0), p, 0.0)
    q = np.where(sums > 0, weights / np.where(sums > 0, sums, 1.0), floor / floor.sum(axis=-1, keepdims=True))
    q = np.where((radius == 0)[..., None], p, q)
    return least[..., 0] + np.maximum(best, 0.0), _within_chi2(p, q, radius)


def _within_chi2(p: Array, q: Array, radius: Array) -> Array:
    """q moved towards p until its divergence is within the radius, rounding included (the divergence is quadratic along the way)."""
    safe = np.where(p > 0, p, 1.0)
    found = (np.where(p > 0, q - p, 0.0) ** 2 / safe).sum(axis=-1) * (1 + (p.shape[-1] + 8) * EPS)
    outside = found > radius
    scale = np.where(outside, np.sqrt(np.where(outside, radius, 0.0) / np.where(outside, found, 1.0)) * (1 - 4 * EPS), 1.0)
    return p + (q - p) * scale[..., None]


@by_rows
def worst_l2(p: Any, v: Any, radius: Any, support: str = "all") -> tuple[Array, Array]:
    """min q . v over |q - p|_2 <= radius on the simplex.

    support   "all", or "nominal": q = 0 where p = 0.  The rest as in `worst_kl`.
    """
    p, v, radius = rows(*_floats(p, v, radius))
    on = np.ones(p.shape, dtype=bool) if support == "all" else p > 0
    least = np.where(on, v, np.inf).min(axis=-1, keepdims=True)
    above = np.where(on, v - least, 0.0)
    spread = above.max(axis=-1)
    y = above / np.where(spread > 0, spread, 1.0)[..., None]
    bottom = _project(p, on & (above == 0))
    reach = np.sqrt(((bottom - p) ** 2).sum(axis=-1))
    open_ = (spread > 0) & (radius > 0) & (radius < reach)
    q, value = p.copy(), (p * y).sum(axis=-1)
    inside = ~open_ & (radius >= reach) & (radius > 0)
    q, value = np.where(inside[..., None], bottom, q), np.where(inside, 0.0, value)
    if np.any(open_):
        q[open_], value[open_] = _along(p[open_], y[open_], radius[open_], on[open_])
    found = np.sqrt(((q - p) ** 2).sum(axis=-1)) * (1 + (p.shape[-1] + 8) * EPS)
    outside = found > radius
    scale = np.where(outside, np.where(outside, radius, 0.0) / np.where(outside, found, 1.0) * (1 - 4 * EPS), 1.0)
    return least[..., 0] + value * spread, p + (q - p) * scale[..., None]


def _project(x: Array, on: Array) -> Array:
    """Projection of each row on the simplex of the states `on`."""
    big = np.where(on, x, -np.inf)
    ordered = np.sort(big, axis=-1)[..., ::-1]
    finite = np.isfinite(ordered)
    excess = np.where(finite, ordered, 0.0).cumsum(axis=-1) - 1
    count = np.arange(1, x.shape[-1] + 1)
    kept = (finite & (ordered - excess / count > 0)).sum(axis=-1)[..., None]
    level = np.take_along_axis(excess, kept - 1, axis=-1) / kept
    return np.where(on, np.maximum(x - level, 0.0), 0.0)


def _along(p: Array, y: Array, radius: Array, on: Array) -> tuple[Array, Array]:
    """(q, dual value) with q = projection of p - t y, |q - p| = radius; the distance grows with t."""
    spread = np.sqrt(np.where(on, (y - (y * on).sum(axis=-1, keepdims=True) / on.sum(axis=-1, keepdims=True)) ** 2, 0.0).sum(axis=-1))
    t = radius / spread
    low, high = np.zeros_like(t), np.full_like(t, np.inf)
    for _ in range(ROUNDS):
        q = _project(p - t[..., None] * y, on)
        distance = np.sqrt(((q - p) ** 2).sum(axis=-1))
        low, high = np.where(distance < radius, t, low), np.where(distance < radius, high, t)
        active = q > 0
        size = active.sum(axis=-1)
        lost = np.where(active, 0.0, p).sum(axis=-1)
        away = (np.where(active, 0.0, p) ** 2).sum(axis=-1)
        mean = (y * active).sum(axis=-1) / size
        squares = (np.where(active, y - mean[..., None], 0.0) ** 2).sum(axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.sqrt((radius**2 - lost**2 / size - away) / squares)
            middle = np.where(np.isinf(high), 2 * t, np.where(low > 0, np.sqrt(low) * np.sqrt(high), high / 2))
        safe = np.isfinite(step) & (step >= low) & (step <= high)
        following = np.where(safe, step, middle)
        settled = np.abs(following - t) <= 4 * EPS * t
        t = following
        if np.all(settled):
            break
    q = _project(p - t[..., None] * y, on)
    active = q > 0
    gap = (p - q) / t[..., None]
    level = np.where(active, y - gap, 0.0).sum(axis=-1) / active.sum(axis=-1)
    w = np.where(on, np.minimum(y - level[..., None], p / t[..., None]), 0.0)
    return q, (p * w).sum(axis=-1) + level - radius * np.sqrt((w * w).sum(axis=-1))
