"""Bellman errors of given values and losses of them: squared, absolute, Huber, each as a maximum over multipliers.

delta(s) = E[r + gamma V(s') - V(s) | s] under the instance's policy, weighted by mu.  Extras: guessed (S,) = V, guessed_again (S,) = another,
multiplier (S,) = any h.  The setting clip_level is Huber's threshold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.quantities.registry import define, define_setting, given, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
define_setting("clip_level", "k", "error beyond which Huber's loss is linear")


def _samples(c: Context, name: str) -> tuple[Array, Array]:
    """(probability, TD error) of each (s, a, s'), (B, S, A, S)."""
    values = c.extra(name)
    chance = c.policies[:, 0, :, :, None] * c.transitions
    return chance, c.rewards[..., None] + c.discount[:, None, None, None] * values[:, None, None, :] - values[:, :, None, None]


def _errors(c: Context, name: str = "guessed") -> Array:
    """delta (B, S)."""
    chance, found = _samples(c, name)
    return (chance * found).sum(axis=(2, 3))


def _huber(errors: Array, level: Array) -> Array:
    """x^2 / 2 up to the level, k |x| - k^2 / 2 beyond: (|x| - excess)^2 / 2 + k excess with excess = [|x| - k]_+."""
    size = arithmetic.absolute(errors)
    excess = size - level[:, None]
    excess = arithmetic.maximum(np.stack([excess, excess * 0], axis=-1), axis=-1)
    return (size - excess) ** 2 / 2 + level[:, None] * excess


def _clipped(errors: Array, level: Array) -> Array:
    limit = np.broadcast_to(level[:, None], errors.shape)
    return arithmetic.maximum(np.stack([arithmetic.minimum(np.stack([errors, limit], axis=-1), axis=-1), -limit], axis=-1), axis=-1)


def _by_three(function: object, errors: Array) -> Array:
    """Maximum of a concave parabola in h, from its values at -1, 0 and 1."""
    one = errors * 0 + 1
    low, middle, high = (function(errors, h) for h in (-one, one * 0, one))  # type: ignore[operator]
    slope, bend = (high - low) / 2, (high + low) / 2 - middle
    return middle - slope * slope / (4 * bend)


@define("expected_error_square", r"\bar\delta(s)^2", "instance", "states")
def _expected_error_square(c: Context) -> Array:
    """Square of the expected Bellman error of each state."""
    errors = _errors(c)
    return (errors * errors)[:, None]


@define("squared_saddle", r"\max_h2h\bar\delta-h^2", "instance", "states")
def _squared_saddle(c: Context) -> Array:
    """Maximum over the multiplier of the squared loss, by the parabola through h = -1, 0, 1."""
    return _by_three(lambda x, h: 2 * h * x - h * h, _errors(c))[:, None]


@define("expected_error_size", r"|\bar\delta(s)|", "instance", "states")
def _expected_error_size(c: Context) -> Array:
    """Size of the expected Bellman error of each state."""
    return arithmetic.absolute(_errors(c))[:, None]


@define("absolute_saddle", r"\max_{|h|\le1}h\bar\delta", "instance", "states")
def _absolute_saddle(c: Context) -> Array:
    """Maximum over the multipliers of the absolute loss, at an end of their interval."""
    errors = _errors(c)
    return arithmetic.maximum(np.stack([errors, -errors], axis=-1), axis=-1)[:, None]


@define("expected_error_huber", r"\mathrm{huber}_k(\bar\delta(s))", "instance", "states")
def _expected_error_huber(c: Context) -> Array:
    """Huber's loss of the expected Bellman error of each state."""
    return _huber(_errors(c), given(c, "clip_level"))[:, None]


def _bounded_saddle(c: Context, times: int) -> Array:
    """max over |h| <= times k of h delta - h^2 / 2: at the best h of the interval, which is the clipped error."""
    errors = _errors(c)
    h = _clipped(errors, times * given(c, "clip_level"))
    return (h * errors - h * h / 2)[:, None]


@define("huber_saddle", r"\max_{|h|\le k}h\bar\delta-h^2/2", "instance", "states")
def _huber_saddle(c: Context) -> Array:
    """Maximum over the multipliers of Huber's loss, at the end of their interval or where the slope vanishes."""
    return _bounded_saddle(c, 1)


@define("huber_saddle_wide", r"\max_{|h|\le2k}h\bar\delta-h^2/2", "instance", "states")
def _huber_saddle_wide(c: Context) -> Array:
    """The same with multipliers up to 2 k."""
    return _bounded_saddle(c, 2)


@define("huber_at_multiplier", r"h\bar\delta-h^2/2,\ |h|\le k", "instance", "states")
def _huber_at_multiplier(c: Context) -> Array:
    """What is maximised, at any multiplier up to k."""
    h = given(c, "clip_level")[:, None] * c.extra("multiplier")
    return (h * _errors(c) - h * h / 2)[:, None]


@define("huber_error", r"\mathbb{E}_d\mathrm{huber}_k(\bar\delta_V)", "instance")
def _huber_error(c: Context) -> Array:
    """Huber's Bellman error of the values, weighted by mu."""
    return per_instance((c.mu * _huber(_errors(c), given(c, "clip_level"))).sum(axis=-1))


@define("huber_error_again", r"\mathbb{E}_d\mathrm{huber}_k(\bar\delta_{V'})", "instance")
def _huber_error_again(c: Context) -> Array:
    """The same of other values."""
    return per_instance((c.mu * _huber(_errors(c, "guessed_again"), given(c, "clip_level"))).sum(axis=-1))


@define("huber_slope", r"\mathbb{E}h^*(s)\,[\delta_{V'}-\delta_V]", "instance")
def _huber_slope(c: Context) -> Array:
    """The best multiplier times the change of the TD error, state by state, action by action and next state by next state: one sample of each."""
    h = _clipped(_errors(c), given(c, "clip_level"))
    chance, before = _samples(c, "guessed")
    after = _samples(c, "guessed_again")[1]
    return per_instance((c.mu[:, :, None, None] * chance * h[:, :, None, None] * (after - before)).sum(axis=(1, 2, 3)))


@define("td_square", r"\mathbb{E}[\delta^2|s]", "instance", "states")
def _td_square(c: Context) -> Array:
    """Mean squared TD error of each state."""
    chance, found = _samples(c, "guessed")
    return (chance * found * found).sum(axis=(2, 3))[:, None]


@define("td_variance", r"\mathrm{Var}(\delta|s)", "instance", "states")
def _td_variance(c: Context) -> Array:
    """Variance of the TD error of each state, by the deviations from its mean."""
    chance, found = _samples(c, "guessed")
    apart = found - _errors(c)[:, :, None, None]
    return (chance * apart * apart).sum(axis=(2, 3))[:, None]


@define("common_multiplier_error", r"\max_h\mathbb{E}_d[2h\bar\delta-h^2]", "instance")
def _common_multiplier_error(c: Context) -> Array:
    """What a multiplier that is the same in all states sees of the squared error, by the parabola through -1, 0, 1."""
    return per_instance(_by_three(lambda x, h: (c.mu * (2 * h[:, None] * _errors(c) - h[:, None] ** 2)).sum(axis=-1), c.discount))


@define("squared_bellman_error", r"\mathbb{E}_d\bar\delta^2", "instance")
def _squared_bellman_error(c: Context) -> Array:
    """Squared Bellman error of the values, weighted by mu."""
    errors = _errors(c)
    return per_instance((c.mu * errors * errors).sum(axis=-1))


@define("huber_change", r"|\mathrm{huber}_k(\bar\delta_V)-\mathrm{huber}_k(\bar\delta_{V'})|", "instance", "states")
def _huber_change(c: Context) -> Array:
    """By how much Huber's loss differs between the two values, in each state."""
    level = given(c, "clip_level")
    return arithmetic.absolute(_huber(_errors(c), level) - _huber(_errors(c, "guessed_again"), level))[:, None]


@define("error_change", r"|\bar\delta_V-\bar\delta_{V'}|", "instance", "states")
def _error_change(c: Context) -> Array:
    """By how much the Bellman error differs between the two values, in each state."""
    return arithmetic.absolute(_errors(c) - _errors(c, "guessed_again"))[:, None]
