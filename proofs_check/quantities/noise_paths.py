"""Synchronous Q-learning along given next states, and how far its noise strays.

In step t every pair (s, a) is shown the next state `draws[t, s, a]` (T, S, A, S'), a choice:  Q <- (1 - e) Q + e (r + gamma max_b Q(s', b)), e the
setting `mixing_step`, Q_0 the extra `first_values`.  Beside it run, with xi = r + gamma V*(s') - Q*,

    W <- (1 - e) W + e xi,    W_0 = 0,        D <- (1 - e (1 - gamma)) D + e gamma |W|,    D_0 = |Q_0 - Q*|      (sup norms)

The probabilities are over all sequences of next states of every pair; pairs are drawn independently of each other.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.numbers import larger, to_float
from proofs_check.quantities.registry import define, define_setting, given, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
define_setting("mixing_step", r"\eta", "share of a new sample in a running mean, in (0, 1]")


def _size(table: Array) -> Array:
    """Sup norm (B,) of (B, ...)."""
    return arithmetic.maximum(arithmetic.absolute(table.reshape(len(table), -1)), axis=-1)


@dataclasses.dataclass(frozen=True)
class _Walk:
    """After each instance's own number of steps: |Q - Q* - W|, D, D without noise, |Q - Q*|, and the largest |W| before: all (B,)."""

    apart: Array
    radius: Array
    bare_radius: Array
    error: Array
    noise: Array


def _walk(c: Context) -> _Walk:
    if "_q_walk" in c.__dict__:
        return c.__dict__["_q_walk"]
    draws, Q, best = c.extra("draws"), c.extra("first_values"), c.optimum
    rate, gamma = given(c, "mixing_step"), c.discount
    e, discount = rate[:, None, None], gamma[:, None, None]
    wanted, W = to_float(given(c, "rounds")).astype(int), Q * 0
    radius = bare = _size(Q - best.action_values)
    noise = radius * 0
    for t in range(int(wanted.max(initial=0))):
        going = wanted > t
        largest, seen = _size(W), draws[:, t]
        xi = c.rewards + discount * np.einsum("bsat,bt->bsa", seen, best.values) - best.action_values
        ahead = np.einsum("bsat,bt->bsa", seen, arithmetic.maximum(Q, axis=-1))
        radius = np.where(going, (1 - rate * (1 - gamma)) * radius + rate * gamma * largest, radius)
        bare = np.where(going, (1 - rate * (1 - gamma)) * bare, bare)
        noise = np.where(going, larger(noise, largest), noise)
        Q = np.where(going[:, None, None], (1 - e) * Q + e * (c.rewards + discount * ahead), Q)
        W = np.where(going[:, None, None], (1 - e) * W + e * xi, W)
    error = _size(Q - best.action_values)
    c.__dict__["_q_walk"] = _Walk(_size(Q - best.action_values - W), radius, bare, error, larger(noise, _size(W)))
    return c.__dict__["_q_walk"]


@define("noise_corrected_error", r"\lVert Q_T-Q^*-W_T\rVert_\infty", "instance")
def _noise_corrected_error(c: Context) -> Array:
    """Largest error of the action values after T steps of Q-learning, less the running mean W of the noise, in reward units."""
    return per_instance(_walk(c).apart)


@define("noise_fed_radius", r"D_T", "instance")
def _noise_fed_radius(c: Context) -> Array:
    """The radius D, which shrinks by 1 - eta (1 - gamma) a step and is fed by eta gamma |W|, in reward units."""
    return per_instance(_walk(c).radius)


@define("bare_radius", r"(1-\eta(1-\gamma))^TD_0", "instance")
def _bare_radius(c: Context) -> Array:
    """The radius that only shrinks, in reward units."""
    return per_instance(_walk(c).bare_radius)


@define("q_error", r"\lVert Q_T-Q^*\rVert_\infty", "instance")
def _q_error(c: Context) -> Array:
    """Largest error of the action values after T steps of Q-learning, in reward units."""
    return per_instance(_walk(c).error)


@define("largest_noise", r"\max_{t\le T}\lVert W_t\rVert_\infty", "instance")
def _largest_noise(c: Context) -> Array:
    """Largest entry of the running mean of the noise up to step T, in reward units."""
    return per_instance(_walk(c).noise)


# All sequences of next states


def _strays(c: Context, width: Array) -> Array:
    """Probability (B,) that |W_t| exceeds width (B,) at some pair and some t <= T; every sequence of next states of every pair listed."""
    pairs = c.transitions.reshape(len(c.discount), -1, c.transitions.shape[-1])
    xi = c.discount[:, None, None] * (c.optimum.values[:, None] - np.einsum("bpt,bt->bp", pairs, c.optimum.values)[..., None])
    rate, wanted = given(c, "mixing_step")[:, None, None], to_float(given(c, "rounds")).astype(int)
    noise, chance = xi[..., :1] * 0, pairs[..., :1] * 0 + 1  # (B, pairs, sequences so far that kept within)
    inside = chance.sum(axis=-1)
    for t in range(int(wanted.max(initial=0))):
        moved = ((1 - rate) * noise)[..., None] + (rate * xi)[:, :, None]
        came = chance[..., None] * pairs[:, :, None]
        noise, chance = moved.reshape(*moved.shape[:2], -1), came.reshape(*came.shape[:2], -1)
        within = arithmetic.less_equal(arithmetic.absolute(noise), np.broadcast_to(width[:, None, None], noise.shape))
        chance = np.where(within, chance, chance * 0)
        inside = np.where((wanted > t)[:, None], chance.sum(axis=-1), inside)
    kept = inside[:, 0]
    for k in range(1, inside.shape[1]):
        kept = kept * inside[:, k]
    return 1 - kept


def _width(c: Context, count: Array) -> Array:
    """gamma/(1-gamma) sqrt(e log(2 n/delta)/(2 (2 - e))) for n = count, (B,)."""
    rate = given(c, "mixing_step")
    root = arithmetic.sqrt(rate * arithmetic.log(2 * count / given(c, "failure_level")) / (2 * (2 - rate)))
    return c.discount / (1 - c.discount) * root


@define("noise_failure", r"P\left(\max_{t\le T}\lVert W_t\rVert_\infty>w\right)", "instance")
def _noise_failure(c: Context) -> Array:
    """Probability that the running mean of the noise ever strays beyond w = gamma/(1-gamma) sqrt(eta log(2SAT/delta)/(2(2-eta)))."""
    return per_instance(_strays(c, _width(c, given(c, "rounds") * c.rewards[0].size)))


@define("single_noise_failure", r"P\left(\max_{t\le T}\lVert W_t\rVert_\infty>w_1\right)", "instance")
def _single_noise_failure(c: Context) -> Array:
    """Probability that it strays beyond what is allowed for one pair and one step, log(2/delta) in place of log(2SAT/delta)."""
    return per_instance(_strays(c, _width(c, given(c, "rounds") * 0 + 1)))
