"""The duals of the worst case, evaluated where their maximum must lie: an answer that shares nothing with the sorting of `polyhedral`.

Each is a lower bound for q . v at every multiplier, whatever it is (weak duality), and concave and piecewise linear in it, so that the largest value
over all knots is the minimum itself:

    L1, TV           c in {v_i}                      E_p min(v, c) - (radius / 2) (c - min v)
    contamination                                   (1 - R) E_p v + R min v
    intervals, Linf  c in {v_i}                      c + sum_i low_i (v_i - c)_+ - high_i (c - v_i)_+
    transport        lambda = 0 and the positive     -lambda radius + sum_i p_i min_j (v_j + lambda c_ij)
                     (v_k - v_j) / (c_ij - c_ik)

They need only + - * / and the larger and smaller of two numbers, so they run on rationals, and on balls, whose enclosure is then rigorous although
no order of the values is ever decided.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from flint import arb

from mdps.ambiguity.balls import exact_numbers
from pgtheory.robust.polyhedral import prices_of_weights

Array = np.ndarray


def larger(x: Any, y: Any) -> Any:
    return x.max(y) if isinstance(x, arb) else y.max(x) if isinstance(y, arb) else max(x, y)


def smaller(x: Any, y: Any) -> Any:
    return x.min(y) if isinstance(x, arb) else y.min(x) if isinstance(y, arb) else min(x, y)


def _largest(values: list[Any]) -> Any:
    out = values[0]
    for x in values[1:]:
        out = larger(out, x)
    return out


def _smallest(values: list[Any]) -> Any:
    out = values[0]
    for x in values[1:]:
        out = smaller(out, x)
    return out


def l1(p: list[Any], v: list[Any], radius: Any, places: list[int]) -> Any:
    """min q . v over |q - p|_1 <= radius, mass moving to `places` only."""
    least = _smallest([v[j] for j in places])
    return _largest([sum(m * smaller(x, larger(c, least)) for m, x in zip(p, v, strict=True)) - radius / 2 * larger(c - least, c * 0) for c in v])


def contamination(p: list[Any], v: list[Any], radius: Any, places: list[int]) -> Any:
    return (1 - radius) * sum(m * x for m, x in zip(p, v, strict=True)) + radius * _smallest([v[j] for j in places])


def intervals(low: list[Any], high: list[Any], v: list[Any]) -> Any:
    def at(c: Any) -> Any:
        zero = c * 0
        return c + sum(a * larger(x - c, zero) - b * larger(c - x, zero) for a, b, x in zip(low, high, v, strict=True))

    return _largest([at(c) for c in v])


def transport(p: list[Any], v: list[Any], radius: Any, cost: list[list[Any]], places: list[int]) -> Any:
    def at(price: Any) -> Any:
        return sum(m * _smallest([v[j] + price * cost[i][j] for j in {*places, i}]) for i, m in enumerate(p)) - price * radius

    knots = [radius * 0]
    for i, row in enumerate(cost):
        open_ = sorted({*places, i})
        knots += [larger((v[k] - v[j]) / (row[j] - row[k]), radius * 0) for j in open_ for k in open_ if row[j] > row[k]]
    return _largest([at(knot) for knot in knots])


def dual_value(ambiguity: Any, p: list[Any], v: list[Any], radius: Any) -> Any:
    """min q . v over one ball with flat sides around the row p, by its dual; rationals (or balls, with an exact cost)."""
    places = [j for j in range(len(p)) if ambiguity.support == "all" or p[j] != 0]
    name = ambiguity.name
    if name == "l1" and ambiguity.weights is None:
        return l1(p, v, radius, places)
    if name == "tv":
        return l1(p, v, radius * 2, places)
    if name == "contamination":
        return contamination(p, v, radius, places)
    if name == "linf":
        low = [larger(x - radius, x * 0) for x in p]
        return intervals(low, [x + radius if j in places else x * 0 for j, x in enumerate(p)], v)
    cost = exact_numbers(ambiguity.cost) if name == "wasserstein" else prices_of_weights(exact_numbers(ambiguity.weights))
    return transport(p, v, radius, cost.tolist(), places)
