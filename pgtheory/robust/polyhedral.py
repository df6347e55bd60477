"""min over q of q . v for sets with flat sides, by sorting: exact in rationals, and one pass in float64.

**L1** (Strehl and Littman 2008).  Moving a unit of mass from i to j costs 2 and gains v_i - v_j, so all of it goes to the state of least value, taken
from the most valuable states first, m = min(radius / 2, what is not there already) in all.  Total variation is half the L1 distance.

**Contamination.**  (1 - R) p . v + R min v.

**Intervals** (so **Linf**, whose ball is the box [p - radius, p + radius] cut with the simplex).  Start from the lower ends and fill up the states of
least value first.

**Transport** (Wasserstein, weighted L1).  Mass p_i at i may go to any j for c_ij a unit; what it is worth then, as a function of what is paid, is the
lower convex hull of the points (c_ij, v_j), j = 1 .. n.  The segments of all hulls, taken by falling gain per cost until the budget is spent, are the
worst case (a fractional knapsack; by duality max over lambda of -lambda radius + sum_i p_i min_j (v_j + lambda c_ij)).  Weighted L1 is transport with
c_ij = w_i + w_j for i != j: nobody passes mass on, because i -> k is cheaper than i -> j -> k.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray


def by_rows(function: Callable[..., tuple[Array, Array]]) -> Callable[..., tuple[Array, Array]]:
    """Gives a single row a leading dimension and takes it off again: sums of one row of objects are numbers, not arrays."""

    @functools.wraps(function)
    def wrapped(p: Any, v: Any, *args: Any, **options: Any) -> tuple[Array, Array]:
        p, v = np.asarray(p), np.asarray(v)
        if p.ndim > 1:
            return function(p, v, *args, **options)
        values, kernels = function(p[None], v, *args, **options)
        return (values[0], kernels[0]) if values.shape == (1,) else (values, kernels)

    return wrapped


def rows(p: Any, v: Any, *scalars: Any) -> tuple[Array, ...]:
    """p (..., n), v (..., n) and numbers (...) broadcast against each other."""
    p, v = np.asarray(p), np.asarray(v)
    numbers = [np.asarray(x) for x in scalars]
    batch = np.broadcast_shapes(p.shape[:-1], v.shape[:-1], *(x.shape for x in numbers))
    return (
        np.broadcast_to(p, batch + p.shape[-1:]),
        np.broadcast_to(v, batch + v.shape[-1:]),
        *(np.broadcast_to(x, batch) for x in numbers),
    )


def allowed_values(p: Array, v: Array, support: str) -> Array:
    """v, with what is not allowed raised above everything else."""
    if support == "all":
        return v
    return np.where(p > 0, v, (v.max(axis=-1) + 1)[..., None])


@by_rows
def worst_l1(p: Any, v: Any, radius: Any, support: str = "all") -> tuple[Array, Array]:
    """min q . v over |q - p|_1 <= radius.

    p, v      (..., n);  radius (...), at least 0
    support   "all", or "nominal": q = 0 where p = 0
    returns   values (...), kernels q (..., n)
    source    Strehl and Littman 2008.  Float64 and rationals.
    """
    p, v, radius = rows(p, v, radius)
    order = np.argsort(-v, axis=-1, kind="stable")
    target = allowed_values(p, v, support).argmin(axis=-1)[..., None]
    rest = p.copy()
    np.put_along_axis(rest, target, rest[..., :1] * 0, axis=-1)
    mass = np.take_along_axis(rest, order, axis=-1)
    taken = mass.cumsum(axis=-1)
    moved = np.minimum(radius / 2, taken[..., -1])[..., None]
    removed = np.minimum(mass, np.maximum(moved - (taken - mass), mass * 0))
    q = np.empty_like(p)
    np.put_along_axis(q, order, np.take_along_axis(p, order, axis=-1) - removed, axis=-1)
    np.put_along_axis(q, target, np.take_along_axis(p, target, axis=-1) + moved, axis=-1)
    return (q * v).sum(axis=-1), q


def worst_tv(p: Any, v: Any, radius: Any, support: str = "all") -> tuple[Array, Array]:
    """min q . v over |q - p|_1 / 2 <= radius; as `worst_l1`."""
    return worst_l1(p, v, np.asarray(radius) * 2, support)


@by_rows
def worst_contamination(p: Any, v: Any, radius: Any, support: str = "all") -> tuple[Array, Array]:
    """min q . v over q = (1 - radius) p + radius q'; as `worst_l1`, with radius in [0, 1]."""
    p, v, radius = rows(p, v, radius)
    target = allowed_values(p, v, support).argmin(axis=-1)[..., None]
    q = p * (1 - radius)[..., None]
    np.put_along_axis(q, target, np.take_along_axis(q, target, axis=-1) + radius[..., None], axis=-1)
    return (q * v).sum(axis=-1), q


@by_rows
def worst_intervals(low: Any, high: Any, v: Any) -> tuple[Array, Array]:
    """min q . v over low <= q <= high, sum q = 1.  low, high, v (..., n); values (...), kernels (..., n)."""
    low, v = rows(low, v)
    high = np.broadcast_to(np.asarray(high), low.shape)
    order = np.argsort(v, axis=-1, kind="stable")
    room = np.take_along_axis(high - low, order, axis=-1)
    filled = room.cumsum(axis=-1)
    mass = (1 - low.sum(axis=-1))[..., None]
    added = np.minimum(room, np.maximum(mass - (filled - room), room * 0))
    q = np.empty_like(low)
    np.put_along_axis(q, order, np.take_along_axis(low, order, axis=-1) + added, axis=-1)
    return (q * v).sum(axis=-1), q


@by_rows
def worst_linf(p: Any, v: Any, radius: Any, support: str = "all") -> tuple[Array, Array]:
    """min q . v over |q_i - p_i| <= radius; as `worst_l1`."""
    p, v, radius = rows(p, v, radius)
    low, high = np.maximum(p - radius[..., None], p * 0), p + radius[..., None]
    if support == "nominal":
        high = np.where(p > 0, high, p * 0)
    return worst_intervals(low, high, v)


def worst_finite(kernels: Any, v: Any) -> tuple[Array, Array]:
    """The least q . v over a list of rows: kernels (K, ..., n), v (..., n); values (...), the rows that attain it (..., n)."""
    kernels = np.asarray(kernels)
    values = (kernels * np.asarray(v)).sum(axis=-1)
    best = values.argmin(axis=0)
    chosen = np.take_along_axis(kernels, best[None, ..., None], axis=0)[0]
    return np.take_along_axis(values, best[None], axis=0)[0], chosen


@by_rows
def worst_wasserstein(p: Any, v: Any, radius: Any, cost: Any, support: str = "all") -> tuple[Array, Array]:
    """min q . v over transports of p to q that cost at most radius.

    cost   (n, n): of a unit from i to j; at least 0, 0 on the diagonal.  The rest as in `worst_l1`.
    """
    p, v, radius = rows(p, v, radius)
    prices = np.asarray(cost).tolist()
    out = np.empty_like(p)
    for index in np.ndindex(radius.shape):
        moves = transport_moves(p[index].tolist(), v[index].tolist(), prices, support)
        out[index] = spend(p[index], moves, radius[index])
    return (out * v).sum(axis=-1), out


def worst_weighted_l1(p: Any, v: Any, radius: Any, weights: Any, support: str = "all") -> tuple[Array, Array]:
    """min q . v over sum_i w_i |q_i - p_i| <= radius; weights (n,) positive.  The rest as in `worst_l1`."""
    return worst_wasserstein(p, v, radius, prices_of_weights(weights), support)


def prices_of_weights(weights: Any) -> Array:
    """c_ij = w_i + w_j for i != j, 0 on the diagonal: the transport whose balls are those of weighted L1."""
    weights = np.asarray(weights)
    cost = weights[:, None] + weights[None, :]
    np.fill_diagonal(cost, weights[0] * 0)
    return cost


Move = tuple[Any, Any, int, int, Any]
"""(what it costs in all, what it gains in all, from, to, mass)."""


def transport_moves(p: list[Any], v: list[Any], cost: list[list[Any]], support: str = "all") -> list[Move]:
    """The moves that nature makes one after the other as its budget grows: by falling gain per cost."""
    places = [j for j in range(len(p)) if support == "all" or p[j] > 0]
    free: list[Move] = []
    paid: list[tuple[Any, Move]] = []
    for i, mass in enumerate(p):
        if mass > 0:
            here, slope = i, None
            for j in _hull(i, v, cost[i], places):
                price, gain = cost[i][j] - cost[i][here], v[here] - v[j]
                move = (price * mass, gain * mass, here, j, mass)
                if price == 0:
                    free.append(move)
                else:
                    rate = gain / price
                    slope = rate if slope is None or rate < slope else slope  # rounding must not reverse the moves of one source
                    paid.append((slope, move))
                here = j
    return free + [move for _, move in sorted(paid, key=lambda entry: entry[0], reverse=True)]


def _hull(i: int, v: list[Any], cost: list[Any], places: list[int]) -> list[int]:
    """Where mass at i goes as the price of moving falls: the corners of the lower convex hull of (cost_j, v_j), from i downwards."""
    corners = [i]
    for j in sorted(places, key=lambda j: (cost[j], v[j])):
        if v[j] >= v[corners[-1]]:
            continue
        while len(corners) > 1 and _above(corners[-2], corners[-1], j, v, cost):
            corners.pop()
        if cost[j] == cost[corners[-1]] and len(corners) > 1:
            corners.pop()
        corners.append(j)
    return corners[1:]


def _above(a: int, b: int, c: int, v: list[Any], cost: list[Any]) -> bool:
    """Whether the point of b is on or above the line from a to c (cost a <= b <= c)."""
    return (v[a] - v[b]) * (cost[c] - cost[a]) <= (v[a] - v[c]) * (cost[b] - cost[a])


def spend(p: Array, moves: list[Move], budget: Any) -> Array:
    """q after as many of the moves as the budget pays for, the last one in part."""
    q = p.copy()
    left = budget
    for cost, _, source, target, mass in moves:
        share = mass if cost <= left else mass * left / cost
        q[source] = q[source] - share
        q[target] = q[target] + share
        if cost >= left and cost > 0:
            break
        left = left - cost
    return q
