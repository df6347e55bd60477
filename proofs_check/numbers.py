"""Small operations on arrays of floats, rationals or balls that quantities need beside `pgtheory.arithmetic`."""

from __future__ import annotations

from typing import Any

import numpy as np

from mdps.rational import fraction

Array = np.ndarray


def to_float(values: Any) -> Array:
    """Float64 of floats, rationals (correctly rounded) or balls (their midpoints)."""
    source = np.asarray(values)
    if source.dtype != object:
        return source.astype(np.float64)
    out = np.empty(source.shape)
    out.reshape(-1)[:] = [float(x) if hasattr(x, "mid") else float(fraction(x)) for x in source.reshape(-1)]
    return out


def larger(a: Any, b: Any) -> Any:
    """Elementwise maximum; of balls the ball that encloses it."""
    return _pairwise(a, b, np.maximum, "max", max)


def smaller(a: Any, b: Any) -> Any:
    """Elementwise minimum; of balls the ball that encloses it."""
    return _pairwise(a, b, np.minimum, "min", min)


def _pairwise(a: Any, b: Any, floats: Any, method: str, plain: Any) -> Any:
    x, y = np.asarray(a), np.asarray(b)
    if x.dtype != object and y.dtype != object:
        return floats(a, b)

    def one(u: Any, v: Any) -> Any:
        return getattr(u, method)(v) if hasattr(u, "mid") else getattr(v, method)(u) if hasattr(v, "mid") else plain(u, v)

    return np.frompyfunc(one, 2, 1)(x, y)


def widen(values: Array, radius: Array) -> Array:
    """Balls enlarged by `radius` (balls of nonnegative numbers) on both sides."""
    from flint import arb

    def one(x: Any, r: Any) -> Any:
        return x + arb(0, r.abs_upper())

    return np.frompyfunc(one, 2, 1)(values, radius)


def current_precision() -> int:
    """Bits of the present ball arithmetic."""
    from flint import ctx

    return int(ctx.prec)
