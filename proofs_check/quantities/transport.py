"""The least mean of given values over the rows that a transport of given cost reaches, and its dual.

p, v, cost and radius are extras; what stays costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory.robust import worst_case
from proofs_check.quantities.registry import define, per_instance
from proofs_check.robust import exactly_known

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


def _cost(c: Context) -> Array:
    """(B, S, S): the given prices, with nothing to pay for staying."""
    cost = c.extra("cost")
    off = c.constant(1 - np.eye(cost.shape[-1], dtype=np.int64))
    return cost * off


@define("transport_minimum", r"\min_{W_c(q,p)\le\delta}q\cdot v", "instance")
@exactly_known
def _transport_minimum(c: Context) -> Array:
    """Least mean of the values over the rows that a transport of the given cost reaches, by lower hulls, in reward units."""
    cost = _cost(c)
    found = [
        worst_case.worst_wasserstein(p, v, radius, prices)[0]
        for p, v, radius, prices in zip(c.extra("p"), c.extra("v"), c.extra("radius"), cost, strict=True)
    ]
    return per_instance(np.array([np.asarray(x)[()] for x in found], dtype=cost.dtype))


def _transport_dual(c: Context, price: Array, radius: Array) -> Array:
    """-lambda radius + sum_i p_i min_j (v_j + lambda c_ij), for prices lambda (B,)."""
    reached = c.extra("v")[:, None, :] + price[:, None, None] * _cost(c)
    return (c.extra("p") * reached.min(axis=-1)).sum(axis=-1) - price * radius


def _prices(c: Context) -> list[Array]:
    """The positive numbers at which some min_j changes its place: (v_k - v_j) / (c_ij - c_ik)."""
    v, cost = c.extra("v"), _cost(c)
    count, out = v.shape[1], []
    for i in range(count):
        for j in range(count):
            for k in range(j):
                slope = cost[:, i, j] - cost[:, i, k]
                place = np.where(slope == 0, slope * 0, (v[:, k] - v[:, j]) / np.where(slope == 0, slope * 0 + 1, slope))
                out.append(np.maximum(place, place * 0))
    return out


def _best_price(c: Context, prices: list[Array]) -> Array:
    best = None
    for price in prices:
        here = _transport_dual(c, price, c.extra("radius"))
        best = here if best is None else np.maximum(best, here)
    assert best is not None
    return per_instance(best)


@define("transport_dual_maximum", r"\max_{\lambda\ge0}-\lambda\delta+\textstyle\sum_ip_i\min_j(v_j+\lambda c_{ij})", "instance")
@exactly_known
def _transport_dual_maximum(c: Context) -> Array:
    """Largest value of the dual over 0 and the prices at which a destination changes, in reward units."""
    return _best_price(c, [c.extra("radius") * 0, *_prices(c)])


@define("transport_dual", r"-\lambda W+\textstyle\sum_ip_i\min_j(v_j+\lambda c_{ij})", "instance")
@exactly_known
def _transport_dual_at(c: Context) -> Array:
    """The dual at some price, for the radius that a given plan costs, in reward units."""
    spent = (c.extra("p")[:, :, None] * c.extra("plan") * _cost(c)).sum(axis=(-1, -2))
    return per_instance(_transport_dual(c, c.extra("price"), spent))


@define("transport_plan_value", r"\textstyle\sum_{ij}p_iT_{ij}v_j", "instance")
@exactly_known
def _transport_plan_value(c: Context) -> Array:
    """Mean of the values after that plan, in reward units."""
    return per_instance((c.extra("p")[:, :, None] * c.extra("plan") * c.extra("v")[:, None, :]).sum(axis=(-1, -2)))


@define("transport_dual_at_one", r"-\delta+\textstyle\sum_ip_i\min_j(v_j+c_{ij})", "instance")
@exactly_known
def _transport_dual_atper_instance(c: Context) -> Array:
    """The dual at the price 1, in reward units."""
    return per_instance(_transport_dual(c, c.extra("radius") * 0 + 1, c.extra("radius")))


@define("transport_lipschitz_formula", r"\mathbb{E}_pv-\delta\,\mathrm{Lip}(v)", "instance")
@exactly_known
def _transport_lipschitz_formula(c: Context) -> Array:
    """Mean less the radius times the largest slope of the values along a move that costs something, in reward units."""
    v, cost = c.extra("v"), _cost(c)
    drop = np.abs(v[:, :, None] - v[:, None, :])
    slopes = np.where(cost == 0, drop * 0, drop / np.where(cost == 0, cost * 0 + 1, cost))
    return per_instance((c.extra("p") * c.extra("v")).sum(axis=-1) - c.extra("radius") * slopes.reshape(len(v), -1).max(axis=-1))
