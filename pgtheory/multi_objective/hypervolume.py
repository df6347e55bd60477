"""Hypervolume: the volume of what a set of points dominates above a reference r,   {y : r <= y <= p for some point p}.

It is strictly monotone in Pareto dominance among points that exceed the reference in every coordinate, and rewards points that linear weights miss.
Computed exactly by slicing the last coordinate (floats, rationals):  between two consecutive heights the slice is the (m - 1)-dimensional
hypervolume of the points that are high enough.  The derivative in a coordinate of a point is the (m - 1)-volume of the part of its upper face that it
alone covers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.rational import rational_array

Array = np.ndarray


def hypervolume_of(points: Any, reference: Any) -> Any:
    """The volume that `points` (N, m) dominate above `reference` (m,); rationals where the input is exact.

    Points that do not exceed the reference in some coordinate add nothing.
    raises   ModelError: shapes that do not fit, numbers that are not finite
    """
    table, low = _checked(points, reference)
    return _volume([tuple(p) for p in table.tolist() if all(x > y for x, y in zip(p, low, strict=True))], tuple(low))


def contributions(points: Any, reference: Any) -> Array:
    """(N,) what the volume loses without each point."""
    table, _ = _checked(points, reference)
    whole = hypervolume_of(table, reference)
    lost = [whole - hypervolume_of(np.delete(table, k, axis=0), reference) for k in range(len(table))]
    return np.array(lost, dtype=table.dtype)


def hypervolume_slopes(points: Any, reference: Any) -> Array:
    """(N, m) derivative of the volume in each coordinate of each point; one-sided (to the right) where the set changes its form.

    The derivative in coordinate i of point k: move the point up by a little; the new volume is that of the face, projected along i, less what other
    points cover just above the height p_ki: those at the same height cover nothing there."""
    table, low = _checked(points, reference)
    count, m = table.shape
    zero = low[0] * 0
    out = np.full((count, m), zero, dtype=table.dtype)
    for k in range(count):
        if any(x <= y for x, y in zip(table[k].tolist(), low.tolist(), strict=True)):
            continue
        for i in range(m):
            rest = [j for j in range(m) if j != i]
            face = tuple(table[k, rest].tolist())
            ground = tuple(low[rest].tolist())
            others = [tuple(table[j, rest].tolist()) for j in range(count) if j != k and table[j, i] > table[k, i]]
            others = [q for q in others if all(x > y for x, y in zip(q, ground, strict=True))]
            clipped = [tuple(min(x, y) for x, y in zip(q, face, strict=True)) for q in others]
            out[k, i] = _volume([face], ground) - _volume(clipped, ground)
    return out


def _volume(points: list[tuple[Any, ...]], low: tuple[Any, ...]) -> Any:
    """Slices of the last coordinate; a set of numbers in one dimension is as long as its largest."""
    if not points:
        return low[0] * 0 if low else 1
    if not low:
        return 1
    if len(low) == 1:
        return max(p[0] for p in points) - low[0]
    heights = sorted({p[-1] for p in points})
    total, below = low[0] * 0, low[-1]
    for height in heights:
        total = total + (height - below) * _volume([p[:-1] for p in points if p[-1] >= height], low[:-1])
        below = height
    return total


def _checked(points: Any, reference: Any) -> tuple[Array, Array]:
    table, low = np.asarray(points), np.asarray(reference)
    if table.ndim != 2 or low.shape != table.shape[1:] or table.shape[1] == 0:
        raise ModelError(f"points has shape {table.shape} and reference {low.shape}; they must be (N, m) and (m,)")
    if table.dtype.kind in "OUS" or low.dtype.kind in "OUS":
        return rational_array(table), rational_array(low)
    table, low = table.astype(float), low.astype(float)
    for name, values in (("points", table), ("reference", low)):
        if not np.all(np.isfinite(values)):
            where = tuple(int(k) for k in np.argwhere(~np.isfinite(values))[0])
            raise ModelError(f"{name}{list(where)} is {values[where]}; it must be finite")
    return table, low
