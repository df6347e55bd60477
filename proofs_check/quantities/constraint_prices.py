"""Prices of a constraint: optimal multipliers read off the corners of what can be attained, the dual by policy iteration, exact penalties.

Extras as in `constrained`; multiplier is a number >= 0 of the instance, second_share places a second threshold.  The setting `price_factor` is C in
units of the smallest optimal multiplier.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from proofs_check.quantities.constrained import attained, best_mixture, corners, crossings, slack_of, threshold, threshold_at, with_rewards
from proofs_check.quantities.registry import define, define_setting, given, per_instance, per_record
from proofs_check.robust import exactly_known

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
define_setting("price_factor", "f", "price of a missing unit in units of an optimal multiplier")


def multipliers(c: Context, bound: Array) -> tuple[Array, Array]:
    """(smallest, largest) lambda >= 0 with V_r + lambda (V_g - b) <= V_r*(b) for every corner; the largest is 10^6/(1 - gamma) where any will do."""
    signals, rewards = corners(c)
    best = best_mixture(c, bound)
    room = signals - bound[:, None]
    slack = slack_of(c)
    below, above = np.asarray(room < -slack, dtype=bool), np.asarray(room > slack, dtype=bool)
    one = room * 0 + 1
    gain = rewards - best[:, None]
    least = np.where(below, gain / np.where(below, -room, one), one * 0).max(axis=1)
    endless = one * 1_000_000 / (1 - c.discount)[:, None]
    most = np.where(above, -gain / np.where(above, room, one), endless).min(axis=1)
    return np.maximum(least, least * 0), most


def optimal_value(c: Context, rewards: Array) -> Array:
    """max over policies of V(rho) for the rewards (B, S, A), by policy iteration: (B,)."""
    if c.kind == "float":
        values = with_rewards(c, rewards).optimum.values
    else:
        from proofs_check.instance import exact_optimum

        values = exact_optimum(dataclasses.replace(c.source, rewards=rewards[0]))[0][None]
    return (values * c.rho).sum(axis=-1)


def dual_value(c: Context, multiplier: Array, bound: Array) -> Array:
    """D(lambda) = max over policies of V_r + lambda (V_g - b), (B,)."""
    return optimal_value(c, c.rewards + multiplier[:, None, None] * c.extra("signal")) - multiplier * bound


def _given_multiplier(c: Context) -> Array:
    return c.extra("multiplier")


@define("multiplier", r"\lambda", "instance")
def _multiplier(c: Context) -> Array:
    """A price of the constraint, nonnegative."""
    return per_instance(_given_multiplier(c))


@define("smallest_multiplier", r"\lambda^*_{\min}", "instance")
@exactly_known
def _smallest_multiplier(c: Context) -> Array:
    """Smallest optimal multiplier: minus the slope of V_r*(b) to the left."""
    return per_instance(multipliers(c, threshold(c))[0])


@define("largest_multiplier", r"\lambda^*_{\max}", "instance")
@exactly_known
def _largest_multiplier(c: Context) -> Array:
    """Largest optimal multiplier: minus the slope of V_r*(b) to the right; 10^6/(1-gamma) stands for an unbounded set."""
    return per_instance(multipliers(c, threshold(c))[1])


@define("dual_value", r"D(\lambda)", "instance")
@exactly_known
def _dual_value(c: Context) -> Array:
    """max over policies of V_r + lambda (V_g - b) at the price that the instance gives, by policy iteration, in reward units."""
    return per_instance(dual_value(c, _given_multiplier(c), threshold(c)))


@define("dual_value_smallest", r"D(\lambda^*_{\min})", "instance")
@exactly_known
def _dual_value_smallest(c: Context) -> Array:
    """The dual at the smallest multiplier read off the corners, by policy iteration, in reward units."""
    return per_instance(dual_value(c, multipliers(c, threshold(c))[0], threshold(c)))


@define("dual_value_largest", r"D(\lambda^*_{\max})", "instance")
@exactly_known
def _dual_value_largest(c: Context) -> Array:
    """The dual at the largest multiplier read off the corners, by policy iteration, in reward units."""
    return per_instance(dual_value(c, multipliers(c, threshold(c))[1], threshold(c)))


@define("second_level", "b'", "instance")
@exactly_known
def _second_level(c: Context) -> Array:
    """A second threshold of the same constraint."""
    return per_instance(threshold_at(c, c.extra("second_share")))


@define("mixture_value_second", r"V_r^*(b')", "instance")
@exactly_known
def _mixture_value_second(c: Context) -> Array:
    """Constrained optimum at the second threshold, in reward units."""
    return per_instance(best_mixture(c, threshold_at(c, c.extra("second_share"))))


@define("mixture_value_between", r"V_r^*(\tfrac{b+b'}2)", "instance")
@exactly_known
def _mixture_value_between(c: Context) -> Array:
    """Constrained optimum at the mean of the two thresholds, in reward units."""
    return per_instance(best_mixture(c, (threshold(c) + threshold_at(c, c.extra("second_share"))) / 2))


# Penalties


def penalised_value(c: Context, price: Array, bound: Array) -> Array:
    """max over mixtures of V_r - C [b - V_g]_+: it is linear on either side of b, so a corner or a crossing attains it; (B,)."""
    signals, rewards = corners(c)
    missing = np.maximum(bound[:, None] - signals, signals * 0)
    at_corners = (rewards - price[:, None] * missing).max(axis=1)
    crossing, possible = crossings(c, bound)
    floor = np.broadcast_to(at_corners[:, None, None], crossing.shape)
    return np.maximum(at_corners, np.where(possible, crossing, floor).reshape(len(bound), -1).max(axis=1))


def _price(c: Context) -> Array:
    """C, a factor times the smallest multiplier."""
    return given(c, "price_factor") * multipliers(c, threshold(c))[0]


@define("penalty_price", "C", "instance")
@exactly_known
def _penalty_price(c: Context) -> Array:
    """Price of a missing unit: the factor times the smallest optimal multiplier."""
    return per_instance(_price(c))


@define("penalised_value", r"\max_\pi V_r-C[b-V_g]_+", "instance")
@exactly_known
def _penalised_value(c: Context) -> Array:
    """Largest value less price times what is missing, over all mixtures, in reward units."""
    return per_instance(penalised_value(c, _price(c), threshold(c)))


@define("penalised_value_below_largest", r"\max_\pi V_r-f\lambda^*_{\max}[b-V_g]_+", "instance")
@exactly_known
def _penalised_value_below_largest(c: Context) -> Array:
    """The same with the factor times the largest optimal multiplier as the price, in reward units."""
    bound = threshold(c)
    return per_instance(penalised_value(c, given(c, "price_factor") * multipliers(c, bound)[1], bound))


@define("edge_length", "w", "instance")
@exactly_known
def _edge_length(c: Context) -> Array:
    """How far the line of slope minus the smallest multiplier through (b, V_r*(b)) belongs to the front to the left of b."""
    signals, rewards = corners(c)
    bound = threshold(c)
    best, least = best_mixture(c, bound), multipliers(c, bound)[0]
    away = bound[:, None] - signals
    tight = np.asarray(rewards - best[:, None] >= least[:, None] * away - slack_of(c), dtype=bool) & np.asarray(away > 0, dtype=bool)
    return per_instance(np.where(tight, away, away * 0).max(axis=1))


@define("missing", r"[b-V_g^\pi(\rho)]_+", "step")
@exactly_known
def _missing(c: Context) -> Array:
    """By how much the policy misses the constraint."""
    away = threshold(c)[:, None] - attained(c, c.extra("signal"), c.policies)
    return per_record(np.maximum(away, away * 0))
