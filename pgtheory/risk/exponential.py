"""Entropic risk and EVaR of a finite law of rewards.

    ERM_b(X)  = -(1/b) log E exp(-b X)                     b > 0;  b = 0: E X;  b = inf: the smallest possible outcome
              = min_q  E_q X + KL(q | p) / b               attained at the tilted law q ~ p exp(-b X)
    EVaR_a(X) = sup_{b > 0} ERM_b(X) + log(a) / b          0 < a <= 1;  a = 1: E X;  a = 0: the smallest possible outcome
              = min { E_q X : KL(q | p) <= -log a }        attained at the tilt with KL(q_b | p) = -log a

The first form of each is the dual of the second (Donsker and Varadhan).  KL(q_b | p) grows with b from 0 to -log P(X = min X), so that EVaR_a is the
smallest outcome as soon as a <= P(X = min X), and one bisection otherwise.  Every b gives a lower bound of EVaR, every law in the ball an upper one:
`evar` in balls returns an enclosure made of the two.

ERM_b(c X) = c ERM_{b c}(X): the level changes with the unit, and with the discount of a later step.  EVaR is positively homogeneous.

Functions take (..., n) laws in float64 and balls (rationals raise TypeError: exp leaves them).
Sources: Howard and Matheson (1972); Ahmadi-Javid (2012).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from flint import arb, ctx, fmpq

from mdps.errors import ModelError
from pgtheory.arithmetic import exp, kind, log, minimum
from pgtheory.risk.tail import _alike, _apart, _is, _number, _smallest_possible, check_level, cvar_worst

Array = np.ndarray
HALVINGS = 64
"""Steps of the bisection for the tilt b / (1 + b), outcomes scaled to [0, 1]: an error of 2^-64 in b moves E_q X by at most a quarter of it."""
SMALLEST = 2.0**-53
"""The smallest 1 - b / (1 + b) that float64 has."""


def entropic(probabilities: Any, rewards: Any, beta: Any) -> Array:
    """(...,) ERM_beta of each law.

    probabilities (..., n), rows sum to 1;  rewards (..., n);  beta in [0, inf], a number or an array (...,), in 1 / reward units
    returns       between the smallest possible outcome and the mean, decreasing in beta
    raises        ModelError: beta is negative or no number
    """
    return entropic_worst(probabilities, rewards, beta)[0]


def entropic_worst(probabilities: Any, rewards: Any, beta: Any) -> tuple[Array, Array]:
    """(values, tilted laws q ~ p exp(-beta x)): value = q . x + KL(q | p) / beta."""
    p, x = _alike(probabilities, rewards)
    if kind(p) == "rational":
        exp(p)  # says why
    b = check_beta(beta)
    p, x = np.broadcast_arrays(p, x)
    if kind(p) == "ball":
        return _entropic_balls(p, x, b)
    b = np.broadcast_to(np.asarray(_float(b)), p.shape[:-1])[..., None]
    possible = np.where(p > 0, x, np.inf)
    low = possible.min(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", over="ignore"):
        power = np.where(p > 0, -np.where(x > low, b, 0.0) * (np.where(p > 0, x, low) - low), -np.inf)
    weights = p * np.exp(power)
    total = weights.sum(axis=-1, keepdims=True)
    worst = weights / total
    # near 0 as log1p of a sum of expm1, which keeps the relative precision of a small beta
    small = (p * np.expm1(np.where(p > 0, power, 0.0))).sum(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.where(small > -0.5, np.log1p(np.maximum(small, -0.75)), np.log(total))
        value = np.where(b > 0, low - logarithm / b, (p * x).sum(axis=-1, keepdims=True))
        tiny = (b > 0) & ~np.isfinite(value)  # a subnormal beta
    value = np.where(tiny, (p * x).sum(axis=-1, keepdims=True), value)
    return np.maximum(value, low)[..., 0][()], worst


def _entropic_balls(p: Array, x: Array, beta: Any) -> tuple[Array, Array]:
    if np.ndim(beta) == 0 and not isinstance(beta, arb) and beta == 0:
        return (p * x).sum(axis=-1), p
    if np.ndim(beta) == 0 and isinstance(beta, float) and math.isinf(beta):
        return _smallest_possible(p, x), cvar_worst(p, x, 0)[1]
    b = _apart(_number(beta, p))
    low = np.asarray(np.frompyfunc(lambda y: y.mid(), 1, 1)(minimum(x, axis=-1)), dtype=object)  # any exact shift is right
    weights = p * exp((low[..., None] - x) * b)
    total = weights.sum(axis=-1)
    values = low - np.asarray(log(total), dtype=object) / (b[..., 0] if np.ndim(b) else b)
    return np.asarray(values, dtype=object)[()], weights / np.asarray(total, dtype=object)[..., None]


def kl(law: Any, reference: Any) -> Array:
    """(...,) KL(q | p) = sum q log(q / p) >= 0; inf where q has mass that p has not (float64), 0 log 0 = 0."""
    q, p = _alike(law, reference)
    if kind(q) == "ball":
        none = _is(q, 0)
        ratio = np.where(none, arb(1), q) / np.where(none, arb(1), p)
        return (q * log(ratio)).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(q > 0, q * (np.log(q) - np.log(p)), 0.0)
    return terms.sum(axis=-1)


def evar(probabilities: Any, rewards: Any, level: Any) -> Array:
    """(...,) EVaR of each law; level in [0, 1]: 1 is the mean, 0 the smallest possible outcome.  Balls: an enclosure.

    raises   ModelError: a level below 0 or above 1
    """
    return evar_worst(probabilities, rewards, level)[0]


def evar_worst(probabilities: Any, rewards: Any, level: Any) -> tuple[Array, Array]:
    """(values, worst laws): value = q . x with KL(q | p) = -log level, or all mass on the smallest outcomes where that is nearer."""
    values, worst, _ = evar_parts(probabilities, rewards, level)
    return values, worst


def evar_parts(probabilities: Any, rewards: Any, level: Any) -> tuple[Array, Array, Array]:
    """(values, worst laws, the best beta): EVaR = ERM_beta + log(level) / beta; beta is 0 at level 1 and inf where EVaR is the smallest outcome."""
    p, x = _alike(probabilities, rewards)
    if kind(p) == "rational":
        exp(p)
    a = check_level(level)
    p, x = np.broadcast_arrays(p, x)
    if kind(p) == "ball":
        return _evar_balls(p, x, a)
    a = np.broadcast_to(np.asarray(_number(a, p), dtype=np.float64), p.shape[:-1])
    possible = np.where(p > 0, x, np.inf)
    low = possible.min(axis=-1)
    spread = np.where(p > 0, x, -np.inf).max(axis=-1) - low
    unit = np.where(spread > 0, spread, 1.0)
    u = np.where(p > 0, (np.where(p > 0, x, low[..., None]) - low[..., None]) / unit[..., None], 0.0)  # in [0, 1], 0 at the worst
    with np.errstate(divide="ignore"):
        radius = -np.log(a)
    mass = np.where((u == 0) & (p > 0), p, 0.0).sum(axis=-1)
    bottom = (a <= mass) | (spread == 0)
    left, right = np.zeros(a.shape), np.ones(a.shape)
    for _ in range(HALVINGS):
        middle = (left + right) / 2
        near = _divergence(p, u, middle / np.maximum(1 - middle, SMALLEST)) < radius
        left, right = np.where(near, middle, left), np.where(near, right, middle)
    beta = left / np.maximum(1 - left, SMALLEST)
    values, worst = entropic_worst(p, u, beta)
    with np.errstate(divide="ignore", invalid="ignore"):
        dual = np.where(beta > 0, values - radius / beta, 0.0)
    primal = (worst * u).sum(axis=-1)
    inner = np.where(beta > 1e-4, dual, primal)  # a division by a small beta costs more digits than the tilt does
    bottom_law = np.where((u == 0) & (p > 0), p, 0.0) / np.where(mass > 0, mass, 1.0)[..., None]
    plain = a == 1
    mean = (p * x).sum(axis=-1)
    out = np.where(plain, mean, np.where(bottom, low, low + unit * np.clip(inner, 0.0, 1.0)))
    worst = np.where(plain[..., None], p, np.where(bottom[..., None], bottom_law, worst))
    return out[()], worst, np.where(plain, 0.0, np.where(bottom, np.inf, beta / unit))[()]


def _divergence(p: Array, u: Array, beta: Array) -> Array:
    """KL(q_beta | p) = -beta E_q u - log E_p exp(-beta u), for u >= 0 with smallest value 0."""
    moved = p * np.expm1(-beta[..., None] * u)
    change = moved.sum(axis=-1)
    mean = ((moved + p) * u).sum(axis=-1) / (1 + change)
    return -beta * mean - np.where(change > -0.5, np.log1p(np.maximum(change, -0.75)), np.log(np.maximum(1 + change, np.finfo(float).tiny)))


def _evar_balls(p: Array, x: Array, level: Any) -> tuple[Array, Array, Array]:
    values, betas = np.empty(p.shape[:-1], dtype=object), np.empty(p.shape[:-1], dtype=object)
    worst = np.empty(p.shape, dtype=object)
    levels = np.broadcast_to(np.asarray(_number(level, p), dtype=object), p.shape[:-1])
    to_float = np.frompyfunc(lambda y: float(y.mid()), 1, 1)
    q, y, a = (np.asarray(to_float(part), dtype=np.float64) for part in (p, x, levels))
    near = np.asarray(evar_parts(q, y, np.clip(a, 0.0, 1.0))[2])
    for index in np.ndindex(values.shape):
        values[index], worst[index], betas[index] = _evar_ball(p[index], x[index], levels[index], float(near[index]))
    return values[()], worst, betas[()]


def _evar_ball(p: Any, x: Any, level: Any, near: float) -> tuple[Any, Any, Any]:
    """[sup form at one beta, E_q x at one law of the KL ball]: an enclosure whose width is second order in the error of beta."""
    if level == 1:
        return (p * x).sum(), p, arb(0)
    low: Any = _smallest_possible(p, x)
    at_bottom = np.array([not w == 0 and bool((y - low).contains(0)) for w, y in zip(p.tolist(), x.tolist(), strict=True)])
    mass = p[at_bottom].sum() if at_bottom.any() else arb(0)
    certain_bottom = at_bottom.sum() == 1 or all(y.is_exact() for y in x[at_bottom].tolist())
    if level == 0 or (certain_bottom and level <= mass):
        law = np.where(at_bottom, p, arb(0)) / mass
        return low, law, arb("inf")
    radius = -level.log()
    top = x[0]
    for y in x[1:]:
        top = top.max(y)
    spread = (top - low).mid().fmpq()
    if spread == 0:
        return low.union(top), p, arb(0)
    b = _tilt(p, x, radius, near, spread)
    lower: Any = low
    if b > 0:
        lower = (_entropic_balls(p, x, arb(b))[0] - radius / arb(b)).max(low)
    upper, law = (p * x).sum(), p
    for bits in range(ctx.prec - 4, 0, -3):  # a slightly smaller tilt lies in the ball for certain
        c = b * (1 - fmpq(1, 2) ** bits)
        if not c > 0:
            break
        value, tilted = _entropic_balls(p, x, arb(c))
        mean = (tilted * x).sum()
        if arb(c) * (value - mean) <= radius:
            upper, law = mean, tilted
            break
    return lower.union(upper.min((p * x).sum())), law, arb(b)


def _tilt(p: Any, x: Any, radius: Any, near: float, spread: Any) -> Any:
    """A rational b with KL(q_b | p) nearly equal to the radius: Newton's method from the tilt found in floats, else bisection.

    Nothing is claimed of it: any b gives a true enclosure, a good one a narrow one."""
    if 0 < near < math.inf:
        b = fmpq(*near.as_integer_ratio())
        for _ in range(2 + max(ctx.prec // 50, 1).bit_length()):
            value, law = _entropic_balls(p, x, arb(b))
            mean = (law * x).sum()
            slope = arb(b) * ((law * x * x).sum() - mean * mean)  # d KL / db = b Var_q
            step = ((arb(b) * (value - mean) - radius) / slope).mid() if slope > 0 else arb(0)
            new = (arb(b) - step).mid()
            if not new > 0 or not step.is_finite():
                break
            b = new.fmpq()
        return b
    left, right = fmpq(0), fmpq(1)  # of b / (1 + b), in the unit of the spread
    for _ in range(ctx.prec):
        middle = (left + right) / 2
        b = middle / (1 - middle) / spread
        value, law = _entropic_balls(p, x, arb(b))
        below = (arb(b) * (value - (law * x).sum()) - radius).mid() < 0
        left, right = (middle, right) if below else (left, middle)
    return left / (1 - left) / spread


def check_beta(beta: Any) -> Any:
    """A risk aversion in [0, inf], text read exactly; raises ModelError with the figure."""
    from pgtheory.risk.tail import _exact

    array = np.asarray(beta)
    if array.dtype.kind in "OUS" or array.dtype == object:
        values = [
            x if isinstance(x, arb | float) else math.inf if x in ("inf", "infinity") else _exact(x, "beta") for x in array.reshape(-1).tolist()
        ]
        out: Any = np.empty(array.shape, dtype=object)
        out.reshape(-1)[:] = values
    else:
        out, values = array.astype(np.float64), array.reshape(-1).astype(float).tolist()
    bad = [x for x in values if x < 0 or (isinstance(x, float) and math.isnan(x))]
    if bad:
        raise ModelError(f"beta is {bad[0]}; a risk aversion is in [0, inf]: 0 is the mean, inf the worst outcome")
    return out[()]


def _float(values: Any) -> Any:
    array = np.asarray(values)
    if array.dtype != object:
        return array.astype(np.float64)
    zero = np.zeros(1)
    return np.array([_number(x, zero) for x in array.reshape(-1).tolist()]).reshape(array.shape)
