"""The worst case in balls (`flint.arb`): an interval that contains it for every input in the balls.

Sets with flat sides: the largest value of the dual over its knots, in ball arithmetic (`duals`).  Sets with curved sides: a multiplier is found from
the midpoints (in floats, then by Newton steps at the present precision), and two rigorous bounds are made from it,

    below   the dual at that multiplier, true whatever the multiplier is, and the least value on the support
    above   q . v of the q that belongs to it, moved towards p by as much as its divergence may be above the radius (divergences are convex)

The kernels returned are those of the midpoints, as balls: near-worst, no enclosure.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from flint import arb, fmpq

from pgtheory import arithmetic
from pgtheory.arithmetic import Undecided
from pgtheory.robust import duals
from pgtheory.robust.polyhedral import rows
from pgtheory.robust.smooth import _along, worst_kl

Array = np.ndarray
NEWTON = 12
"""Newton steps: each doubles the digits, from the sixteen of a float."""


def enclose_rows(ambiguity: Any, p: Any, v: Any, radius: Any) -> tuple[Array, Array]:
    """As `worst_rows`, for balls: values that contain the true ones, and the kernels of the midpoints."""
    from pgtheory.robust.worst_case import worst_rows

    p, v, radius = rows(arithmetic.balls(p), arithmetic.balls(v), arithmetic.balls(radius))
    for x in p.reshape(-1).tolist():
        if x.contains(0) and x != 0:
            raise Undecided(f"whether the probability {x} is 0 decides what may be reached")
    values = np.empty(radius.shape, dtype=object)
    for index in np.ndindex(radius.shape):
        values[index] = _enclose(ambiguity, p[index].tolist(), v[index].tolist(), radius[index])
    midpoints = [np.array([float(x.mid()) for x in part.reshape(-1).tolist()]).reshape(part.shape) for part in (p, v, radius)]
    _, kernels = worst_rows(ambiguity, *midpoints)
    return values[()], arithmetic.balls(kernels)


def _enclose(ambiguity: Any, p: list[arb], v: list[arb], radius: arb) -> arb:
    name = ambiguity.name
    if name in ("kl", "entropic", "chi2"):
        kept = [k for k, x in enumerate(p) if x != 0]
        p, v = [p[k] for k in kept], [v[k] for k in kept]
        return {"kl": _kl, "entropic": _entropic, "chi2": _chi2}[name](p, v, radius)
    if name == "l2":
        on = [ambiguity.support == "all" or x != 0 for x in p]
        return _l2([x for x, o in zip(p, on) if o], [x for x, o in zip(v, on) if o], radius)
    return duals.dual_value(ambiguity, p, v, radius)


def _dot(p: list[arb], v: list[arb]) -> arb:
    return sum((x * y for x, y in zip(p, v, strict=True)), arb(0))


def _least(v: list[arb]) -> arb:
    out = v[0]
    for x in v[1:]:
        out = out.min(x)
    return out


def _between(below: arb, above: arb) -> arb:
    return below.lower().union(above.upper())


def _mixed(value: arb, expectation: arb, found: arb, allowed: arb, root: bool = False) -> arb:
    """An upper bound for the minimum from a q with divergence `found`: q . v, moved towards p . v until the divergence is `allowed` for sure.

    root   the divergence is quadratic along the way to p, so its root counts"""
    excess = found.upper() - allowed.lower()
    if not excess > 0:
        return value
    share = 1 - (allowed.lower() / found.upper()).nonnegative_part().sqrt() if root else excess / found.upper()
    return value + share * (expectation - value)


def _floats(values: list[arb]) -> Array:
    return np.array([float(x.mid()) for x in values])


def _centred(p: list[arb], v: list[arb]) -> tuple[arb, list[arb], list[arb]]:
    """(exact centre, v - centre, p divided by its sum)."""
    centre = min((x.mid() for x in v), key=float)
    total = sum(p, arb(0))
    return centre, [x - centre for x in v], [x / total for x in p]


def _entropic(p: list[arb], v: list[arb], beta: arb) -> arb:
    if beta == 0:
        return _dot(p, v)
    centre, y, _ = _centred(p, v)
    return centre - sum((m * (-beta * x).exp() for m, x in zip(p, y, strict=True)), arb(0)).log() / beta


def _kl(p: list[arb], v: list[arb], radius: arb) -> arb:
    if radius == 0:
        return _dot(p, v)
    centre, y, p = _centred(p, v)
    least, expectation = _least(y), _dot(p, y)
    spread = max(float(x.mid()) for x in y)
    if spread == 0:
        return centre + _between(least, expectation)
    floats, heights = _floats(p), _floats(y)
    _, q = worst_kl(floats, heights, float(radius.mid()))
    lowest = int(heights.argmin())
    top = int(np.where(heights > heights[lowest], q, -1.0).argmax())  # two states with mass: their ratio shows the tilt to many digits
    gap = heights[top] - heights[lowest]
    known = bool(gap > 0 and q[top] > 0 and q[lowest] > 0)
    theta = arb(np.log(q[lowest] * floats[top] / (floats[lowest] * q[top])) / gap) if known else arb(0)
    if not (theta > 0) or not theta.is_finite():
        bottom = [x for x, h in zip(p, heights) if h == 0]
        mass = sum(bottom, arb(0))
        value = sum((m * x for m, x, h in zip(p, y, heights) if h == 0), arb(0)) / mass
        return centre + _between(least, _mixed(value, expectation, -mass.log(), radius))
    middle = [x.mid() for x in p], [x.mid() for x in y]
    for _ in range(NEWTON):
        _, mean, divergence, square = _tilt(*middle, theta)
        slope = theta * (square - mean * mean)
        step = (divergence - radius.mid()) / slope if slope > 0 else arb(0)
        following = (theta - step).mid()
        if not following > 0 or not following.is_finite():
            break
        settled = bool(abs(following - theta) <= theta * arb(2) ** (8 - _bits()))
        theta = following
        if settled:
            break
    log_mass, mean, divergence, _ = _tilt(p, y, theta)
    below = (-(log_mass + radius) / theta).max(least)
    return centre + _between(below, _mixed(mean, expectation, divergence, radius))


def _bits() -> int:
    from flint import ctx

    return int(ctx.prec)


def _tilt(p: list[arb], y: list[arb], theta: arb) -> tuple[arb, arb, arb, arb]:
    """log E_p exp(-theta y), and under q ~ p exp(-theta y): the mean of y, KL(q || p), the mean of y^2."""
    weights = [m * (-theta * x).exp() for m, x in zip(p, y, strict=True)]
    mass = sum(weights, arb(0))
    mean, square = _dot(weights, y) / mass, _dot(weights, [x * x for x in y]) / mass
    log_mass = mass.log()
    return log_mass, mean, -theta * mean - log_mass, square


def _chi2(p: list[arb], v: list[arb], radius: arb) -> arb:
    if radius == 0:
        return _dot(p, v)
    centre, y, p = _centred(p, v)
    least, expectation = _least(y), _dot(p, y)
    best = None
    for cut in _chi2_cuts(p, y, radius):
        low = [x.min(cut) for x in y]
        mean = _dot(p, low)
        value = mean - (radius * _dot(p, [(x - mean) * (x - mean) for x in low])).nonnegative_part().sqrt()
        weights = [m * (cut - x).max(arb(0)) for m, x in zip(p, y, strict=True)]
        best = (value, weights) if best is None or value.mid() > best[0].mid() else best
    assert best is not None
    below, weights = best
    total = sum(weights, arb(0))
    if not total > 0:
        heights = _floats(y)
        weights = [m if h == heights.min() else arb(0) for m, h in zip(p, heights, strict=True)]
        total = sum(weights, arb(0))
    q = [w / total for w in weights]
    divergence = sum(((a - b) * (a - b) / b for a, b in zip(q, p, strict=True)), arb(0))
    return centre + _between(below.max(least), _mixed(_dot(q, y), expectation, divergence, radius, root=True))


def _chi2_cuts(p: list[arb], y: list[arb], radius: arb) -> list[arb]:
    """Exact numbers near the best cut between any two neighbours in the order of the midpoints."""
    order = sorted(range(len(y)), key=lambda k: float(y[k].mid()))
    cuts, height = [], [y[k].mid() for k in order]
    for k in range(len(order)):
        part = [p[j].mid() for j in order[: k + 1]]
        mass = sum(part, arb(0)) if k + 1 < len(order) else arb(1)
        mean = _dot(part, height[: k + 1]) / mass
        variance = _dot(part, [(x - mean) * (x - mean) for x in height[: k + 1]]) / mass
        room = (mass * (1 + radius.mid()) - 1).mid()
        upper = height[k + 1] if k + 1 < len(order) else height[-1] * arb(2) ** 60 + 1
        cut = (mean + (variance / room).sqrt()).mid() if room > 0 and variance > 0 else upper if not room > 0 else height[k]
        cuts.append(height[k] if cut < height[k] else upper if cut > upper else cut)
    return cuts


def _l2(p: list[arb], v: list[arb], radius: arb) -> arb:
    if radius == 0 or len(p) == 1:
        return _dot(p, v)
    centre, y, _ = _centred(p, v)
    least, expectation = _least(y), _dot(p, y)
    floats, heights = _floats(p), _floats(y)
    if heights.max() == 0:
        return centre + _between(least, expectation)
    on = np.ones((1, len(p)), dtype=bool)
    bottom = _nearest(p, [h == heights.min() for h in heights])
    away = _distance(bottom, p)
    if away.mid() <= radius.mid():
        return centre + _between(least, _mixed(_dot(bottom, y), expectation, away * away, radius * radius, root=True))
    scale = heights.max()
    q, _ = _along(floats[None], heights[None] / scale, np.array([float(radius.mid())]), on)
    active = [bool(x > 0) for x in q[0]]
    size = sum(active)
    lost = sum((x.mid() for x, a in zip(p, active) if not a), arb(0))
    rest = sum((x.mid() * x.mid() for x, a in zip(p, active) if not a), arb(0))
    mean = sum((x.mid() for x, a in zip(y, active) if a), arb(0)) / size
    squares = sum(((x.mid() - mean) * (x.mid() - mean) for x, a in zip(y, active) if a), arb(0))
    step = ((radius.mid() * radius.mid() - lost * lost / size - rest) / squares).nonnegative_part().sqrt().mid() if squares > 0 else arb(0)
    if not step > 0:
        step = arb(float(radius.mid()) / scale)
    shifted = [x.mid() - step * h.mid() for x, h in zip(p, y, strict=True)]
    nearest = _nearest(shifted, [True] * len(p))
    gap = [(x.mid() - z) / step for x, z in zip(p, nearest, strict=True)]
    level = (sum((h.mid() - g for h, g, z in zip(y, gap, nearest) if z > 0), arb(0)) / sum(1 for z in nearest if z > 0)).mid()
    w = [(h - level).min(x / step) for h, x in zip(y, p, strict=True)]
    below = _dot(p, w) + level - radius * sum((x * x for x in w), arb(0)).sqrt()
    away = _distance(nearest, p)
    return centre + _between(below.max(least), _mixed(_dot(nearest, y), expectation, away * away, radius * radius, root=True))


def _nearest(x: list[arb], on: list[bool]) -> list[arb]:
    """The projection of the midpoints on the simplex of the states `on`, an exact distribution."""
    kept = np.empty((1, sum(on)), dtype=object)
    kept[0] = [arithmetic.exactly(np.array([y.mid()], dtype=object))[0] for y, o in zip(x, on, strict=True) if o]
    rows_ = iter(arithmetic.project_simplex(kept)[0].tolist())
    return [arb(next(rows_) if o else fmpq(0)) for o in on]


def _distance(q: list[arb], p: list[arb]) -> arb:
    return sum(((a - b) * (a - b) for a, b in zip(q, p, strict=True)), arb(0)).nonnegative_part().sqrt()
