"""Surrogates of the value of a new policy, divergences between policies, and the guarantees of trust regions.

x = pi'/pi is the ratio of the new to the old probability; expectations are over the visits of the old policy from mu, normalised to 1, and over its
actions.  The new policy is the instance's second one, or the next one of a run.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from pgtheory import arithmetic
from proofs_check.dual import Dual
from proofs_check.numbers import larger, smaller
from proofs_check.quantities.policy_pairs import second_policy
from proofs_check.quantities.registry import define, define_setting, flat, given, per_instance, per_record

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray

define_setting("radius", r"\epsilon", "how far a ratio of probabilities, or a divergence, may go in one step")


@define("alpha", r"\alpha", "instance")
def _alpha(c: Context) -> Array:
    """Weight of the second policy in a mixture, in [0, 1]."""
    return per_instance(c.extra("alpha"))


# Conservative policy iteration


def _gain_of_mixture(c: Context, share: Array) -> Array:
    """V(mu) of (1 - share) pi + share pi' less that of pi, for shares (B, R)."""
    weight, second = share[..., None, None], second_policy(c)
    mixed = (1 - weight) * c.policies[:, c.now] + weight * second.policies
    values = dataclasses.replace(c, policies=mixed, logits=None, minima=None, times=c.times[:1], pairs=False).values
    return per_record(((values - c.values[:, c.now]) * c.mu[:, None]).sum(axis=-1))


@define("mixture_gain", r"V^{(1-\alpha)\pi+\alpha\pi'}(\mu)-V^\pi(\mu)", "step")
def _mixture_gain(c: Context) -> Array:
    """What mixing the second policy into the first brings from mu, in reward units."""
    return _gain_of_mixture(c, c.extra("alpha")[:, None])


@define("largest_expected_advantage", r"\max_s\left|\mathbb{E}_{a\sim\pi'}A^\pi(s,a)\right|", "step")
def _largest_expected_advantage(c: Context) -> Array:
    """Largest size of the second policy's expected advantage over the first in any state, in reward units."""
    return per_record(_largest(_expected_advantages(c)))


def _expected_advantages(c: Context) -> Array:
    return (second_policy(c).policies * c.advantages[:, c.now]).sum(axis=-1)


def _largest(values: Array) -> Array:
    return arithmetic.maximum(arithmetic.absolute(values), axis=-1)


@define("safe_mixture_gain", r"V^{(1-\alpha)\pi+\alpha\pi'}(\mu)-V^\pi(\mu),\ \alpha=\tfrac{(1-\gamma)\bar A}{4e}", "step")
def _safe_mixture_gain(c: Context) -> Array:
    """What mixing with the safe weight brings: (1-gamma) times the mean expected advantage over 4 times the largest, 0 where that is negative."""
    gains = _expected_advantages(c)
    mean, most = (c.visits_mu[:, c.now] * gains).sum(axis=-1), _largest(gains)
    none = most == 0
    share = (1 - c.discount)[:, None] * larger(mean, mean * 0) / np.where(none, most * 0 + 1, 4 * most)
    return _gain_of_mixture(c, share)


@define("mean_best_advantage", r"\mathbb{E}_{s\sim d^\pi_\mu}\max_aA^\pi(s,a)", "step")
def _mean_best_advantage(c: Context) -> Array:
    """Largest advantage of each state, averaged over the visits of the current policy, in reward units."""
    return per_record((c.visits_mu[:, c.now] * arithmetic.maximum(c.advantages[:, c.now], axis=-1)).sum(axis=-1))


# Surrogate and divergence of a pair of policies


@define("surrogate_error", r"\left|V^{\pi'}(\mu)-V^\pi(\mu)-L\right|", "step")
def _surrogate_error(c: Context) -> Array:
    """By how much the surrogate L (advantages of the new policy under the old visits, over 1 - gamma) misses the true difference."""
    surrogate = (c.visits_mu[:, c.now] * _expected_advantages(c)).sum(axis=-1) / (1 - c.discount)[:, None]
    true = ((second_policy(c).values - c.values[:, c.now]) * c.mu[:, None]).sum(axis=-1)
    return per_record(arithmetic.absolute(true - surrogate))


def variation(c: Context) -> Array:
    """Total variation between the two policies in each state, (B, R, S)."""
    return arithmetic.absolute(c.policies[:, c.now] - second_policy(c).policies).sum(axis=-1) / 2


@define("mean_variation", r"\mathbb{E}_{s\sim d^\pi_\mu}\mathrm{TV}_s", "step")
def _mean_variation(c: Context) -> Array:
    """Total variation between the two policies, averaged over the visits of the first."""
    return per_record((c.visits_mu[:, c.now] * variation(c)).sum(axis=-1))


@define("largest_variation", r"\max_s\mathrm{TV}_s", "step")
def _largest_variation(c: Context) -> Array:
    """Largest total variation between the two policies in any state."""
    return per_record(arithmetic.maximum(variation(c), axis=-1))


@define("largest_advantage", r"\max_{s,a}|A^\pi(s,a)|", "step")
def _largest_advantage(c: Context) -> Array:
    """Largest size of any advantage of the current policy, in reward units."""
    return _largest(flat(c.advantages[:, c.now]))[..., None]


@define("largest_divergence", r"\max_s\mathrm{KL}(\pi'_s\Vert\pi_s)", "step")
def _largest_divergence(c: Context) -> Array:
    """Largest divergence of the second policy from the first in any state."""
    return per_record(arithmetic.maximum(divergence(second_policy(c).policies, c.policies[:, c.now]), axis=-1))


def divergence(p: Array, q: Array) -> Array:
    """KL(p || q) along the last axis, with 0 log 0 = 0."""
    some = p != 0
    safe = np.where(some, p, q * 0 + 1)
    return np.where(some, p * arithmetic.log(safe / np.where(some, q, q * 0 + 1)), p * 0).sum(axis=-1)


# One step of a run


@define("next_divergence", r"\max_s\mathrm{KL}(\pi_t\Vert\pi_{t+1})", "pair")
def _next_divergence(c: Context) -> Array:
    """Largest divergence of the current policy from the next one in any state."""
    return per_record(arithmetic.maximum(divergence(c.policies[:, c.now], c.policies[:, c.then]), axis=-1))


@define("next_mean_divergence", r"\mathbb{E}_{s\sim d^{\pi_t}_\mu}\mathrm{KL}(\pi_t\Vert\pi_{t+1})", "pair")
def _next_mean_divergence(c: Context) -> Array:
    """Divergence of the current policy from the next one, averaged over the current visits."""
    return per_record((c.visits_mu[:, c.now] * divergence(c.policies[:, c.now], c.policies[:, c.then])).sum(axis=-1))


@define("largest_next_advantage", r"\max_s\left|\mathbb{E}_{a\sim\pi_{t+1}}A^{\pi_t}(s,a)\right|", "pair")
def _largest_next_advantage(c: Context) -> Array:
    """Largest size of the next policy's expected advantage over the current one in any state, in reward units."""
    return per_record(_largest((c.policies[:, c.then] * c.advantages[:, c.now]).sum(axis=-1)))


@define("next_surrogate", r"\tfrac1{1-\gamma}\mathbb{E}_{s\sim d^{\pi_t}_\mu}\mathbb{E}_{a\sim\pi_{t+1}}A^{\pi_t}(s,a)", "pair")
def _next_surrogate(c: Context) -> Array:
    """The surrogate's promise for the next policy, in reward units."""
    gains = (c.policies[:, c.then] * c.advantages[:, c.now]).sum(axis=-1)
    return per_record((c.visits_mu[:, c.now] * gains).sum(axis=-1) / (1 - c.discount)[:, None])


def _next_ratios(c: Context) -> Array:
    """pi_{t+1}/pi_t, (B, R, S, A); 1 where both are 0."""
    before, after = c.policies[:, c.now], c.policies[:, c.then]
    none = before == 0
    return np.where(none, before * 0 + 1, after / np.where(none, before * 0 + 1, before))


@define("largest_ratio", r"\max_{s,a}\pi_{t+1}(a|s)/\pi_t(a|s)", "pair")
def _largest_ratio(c: Context) -> Array:
    """Largest ratio of the next to the current probability of an action."""
    return arithmetic.maximum(flat(_next_ratios(c)), axis=-1)[..., None]


@define("quadratic_penalty", r"\tfrac1\epsilon\sum_a\pi_t|A^{\pi_t}|(x-1)^2", "pair", "states")
def _quadratic_penalty(c: Context) -> Array:
    """Twice the quadratic penalty of the next policy, in reward units."""
    away = _next_ratios(c) - 1
    weight = c.policies[:, c.now] * arithmetic.absolute(c.advantages[:, c.now])
    return (weight * away * away).sum(axis=-1) / given(c, "radius")[:, None, None]


# Objectives as functions of the ratio: they take numbers or dual numbers


def _linear(c: Context, x: Any, gain: Any) -> Any:
    return x * gain


def _clipped(c: Context, x: Any, gain: Any, low: Any = None, high: Any = None) -> Any:
    """min(x A, clip(x, 1 - eps, 1 + eps) A)."""
    reach = given(c, "radius")[:, None, None, None]
    low, high = (1 - reach if low is None else low), (1 + reach if high is None else high)
    if isinstance(x, Dual):
        return _smaller_dual(x * gain, _clip_dual(x, low, high) * gain)
    return smaller(x * gain, smaller(larger(x, low), high) * gain)


def _quadratic(c: Context, x: Any, gain: Any) -> Any:
    """x A - |A| (x - 1)^2 / (2 eps)."""
    if isinstance(x, Dual):
        one = _constant_dual(x, 1)
        size = _constant_dual(x, arithmetic.absolute(gain.value) / (2 * given(c, "radius"))[:, None, None, None])
        return x * gain - size * (x - one) * (x - one)
    away = x - 1
    return x * gain - arithmetic.absolute(gain) * away * away / (2 * given(c, "radius"))[:, None, None, None]


def _entropic(c: Context, x: Any, gain: Any) -> Any:
    """x A - x log(x) / eta, whose mean is <pi', A> - KL(pi' || pi) / eta."""
    eta = given(c, "eta")[:, None, None, None]
    if isinstance(x, Dual):
        logarithm = Dual(x.value - 1, x.slope / x.value[..., None])  # of x = 1: there x - 1 is its logarithm, 0
        return x * gain - x * logarithm * _constant_dual(x, x.value * 0 + 1 / eta)
    none = x == 0
    return x * gain - np.where(none, x * 0, x * arithmetic.log(np.where(none, x * 0 + 1, x))) / eta


def _constant_dual(like: Dual, value: Any) -> Dual:
    return Dual(like.value * 0 + value, like.slope * 0)


def _clip_dual(x: Dual, low: Any, high: Any) -> Dual:
    under, over = x.value < low, x.value > high
    value = np.where(under, x.value * 0 + low, np.where(over, x.value * 0 + high, x.value))
    return Dual(value, np.where((under | over)[..., None], x.slope * 0, x.slope))


def _smaller_dual(a: Dual, b: Dual) -> Dual:
    """The smaller one; where they are equal their slopes must be, or there is no derivative."""
    tie, first = a.value == b.value, a.value < b.value
    if ((a.slope != b.slope) & tie[..., None]).any():
        raise ArithmeticError("the objective has a kink here")
    return Dual(np.where(first, a.value, b.value), np.where((first | tie)[..., None], a.slope, b.slope))


def _slope(c: Context, objective: Any, **options: Any) -> Array:
    """Gradient of E[objective(x, A)] in the logits at the old policy, by dual numbers: (B, R, S*A)."""
    pi = c.policies[:, c.now]
    eye = c.constant(np.eye(pi.shape[-1], dtype=np.int64))
    x = Dual(pi / pi, eye - pi[..., None, :])  # d x_a / d theta_b = 1[a = b] - pi_b, in each state
    gain = Dual(c.advantages[:, c.now], x.slope * 0)
    slopes = objective(c, x, gain, **options).slope
    return flat(c.visits_mu[:, c.now][..., None] * (pi[..., None] * slopes).sum(axis=3))


def _mean(c: Context, objective: Any) -> Array:
    """E[objective(x, A)] for the second policy."""
    pi = c.policies[:, c.now]
    each = objective(c, second_policy(c).policies / pi, c.advantages[:, c.now])
    return per_record((c.visits_mu[:, c.now] * (pi * each).sum(axis=-1)).sum(axis=-1))


@define("surrogate_slope", r"\nabla_\theta\mathbb{E}[xA]", "step", "state-action pairs")
def _surrogate_slope(c: Context) -> Array:
    """Gradient of the surrogate in the logits at the old policy, by dual numbers."""
    return _slope(c, _linear)


@define("clipped_slope", r"\nabla_\theta\mathbb{E}[\min(xA,\mathrm{clip}(x,1-\epsilon,1+\epsilon)A)]", "step", "state-action pairs")
def _clipped_slope(c: Context) -> Array:
    """Gradient of the clipped surrogate in the logits at the old policy, by dual numbers."""
    return _slope(c, _clipped)


@define("clipped_elsewhere_slope", r"\nabla_\theta\mathbb{E}[\min(xA,\mathrm{clip}(x,1+\epsilon/2,1+\epsilon)A)]", "step", "state-action pairs")
def _clipped_elsewhere_slope(c: Context) -> Array:
    """The same with a clip range that does not hold the ratio 1."""
    reach = given(c, "radius")[:, None, None, None]
    return _slope(c, _clipped, low=1 + reach / 2, high=1 + reach)


@define("quadratic_slope", r"\nabla_\theta\mathbb{E}[xA-|A|(x-1)^2/(2\epsilon)]", "step", "state-action pairs")
def _quadratic_slope(c: Context) -> Array:
    """Gradient of the surrogate with a quadratic penalty in the logits at the old policy, by dual numbers."""
    return _slope(c, _quadratic)


@define("entropic_slope", r"\nabla_\theta\mathbb{E}_d[\langle\pi',A\rangle-\mathrm{KL}(\pi'\Vert\pi)/\eta]", "step", "state-action pairs")
def _entropic_slope(c: Context) -> Array:
    """Gradient of the surrogate with a divergence penalty in the logits at the old policy, by dual numbers."""
    return _slope(c, _entropic)


@define("surrogate", r"\mathbb{E}[xA]", "step")
def _surrogate(c: Context) -> Array:
    """The surrogate of the second policy, in reward units."""
    return _mean(c, _linear)


@define("clipped_surrogate", r"\mathbb{E}[\min(xA,\mathrm{clip}(x,1-\epsilon,1+\epsilon)A)]", "step")
def _clipped_surrogate(c: Context) -> Array:
    """The clipped surrogate of the second policy, in reward units."""
    return _mean(c, _clipped)


@define("quadratic_surrogate", r"\mathbb{E}[xA-|A|(x-1)^2/(2\epsilon)]", "step")
def _quadratic_surrogate(c: Context) -> Array:
    """The surrogate with a quadratic penalty of the second policy, in reward units."""
    return _mean(c, _quadratic)


@define("entropic_surrogate", r"\mathbb{E}_d[\langle\pi',A\rangle-\mathrm{KL}(\pi'\Vert\pi)/\eta]", "step")
def _entropic_surrogate(c: Context) -> Array:
    """The surrogate with a divergence penalty of the second policy, in reward units."""
    return _mean(c, _entropic)


@define("entropic_optimum", r"\tfrac1\eta\mathbb{E}_d\log\textstyle\sum_a\pi\,e^{\eta A}", "step")
def _entropic_optimum(c: Context) -> Array:
    """Largest value of that objective, in reward units: attained by pi exp(eta A) / Z."""
    eta = given(c, "eta")[:, None, None]
    log_mean = arithmetic.log_sum_exp(c.log_policies[:, c.now] + eta[..., None] * c.advantages[:, c.now])
    return per_record((c.visits_mu[:, c.now] * log_mean / eta).sum(axis=-1))


@define("entropic_maximiser", r"\pi_t\exp(\eta A^{\pi_t})/Z", "pair", "state-action pairs")
def _entropic_maximiser(c: Context) -> Array:
    """The policy that maximises the surrogate with a divergence penalty."""
    return flat(arithmetic.softmax(c.log_policies[:, c.now] + given(c, "eta")[:, None, None, None] * c.advantages[:, c.now]))


# One action at a time, at given ratios


def _ratio(c: Context) -> Array:
    return c.extra("ratio")[:, None]


def _best_ratio(c: Context) -> Array:
    """1 + eps sign(A)."""
    gain = c.advantages[:, c.now]
    sign = c.constant((gain > 0).astype(np.int64) - (gain < 0).astype(np.int64))
    return 1 + given(c, "radius")[:, None, None, None] * sign


@define("quadratic_at_ratio", r"xA-|A|(x-1)^2/(2\epsilon)", "step", "state-action pairs")
def _quadratic_at_ratio(c: Context) -> Array:
    """The penalised objective of one action at a given ratio x, in reward units."""
    return flat(_quadratic(c, _ratio(c), c.advantages[:, c.now]))


@define("quadratic_at_best_ratio", r"\left[xA-|A|(x-1)^2/(2\epsilon)\right]_{x=1+\epsilon\,\mathrm{sign} A}", "step", "state-action pairs")
def _quadratic_at_best_ratio(c: Context) -> Array:
    """The penalised objective of one action at the ratio 1 + epsilon sign(A), in reward units."""
    return flat(_quadratic(c, _best_ratio(c), c.advantages[:, c.now]))


@define("quadratic_shortfall", r"|A|\,(x-1-\epsilon\,\mathrm{sign} A)^2/(2\epsilon)", "step", "state-action pairs")
def _quadratic_shortfall(c: Context) -> Array:
    """What a ratio away from 1 + epsilon sign(A) costs, in reward units."""
    away = _ratio(c) - _best_ratio(c)
    return flat(arithmetic.absolute(c.advantages[:, c.now]) * away * away / (2 * given(c, "radius"))[:, None, None, None])


def _past(c: Context) -> Array:
    """The given ratio, moved to the far side of 1 + epsilon sign(A)."""
    best, gain = _best_ratio(c), c.advantages[:, c.now]
    return np.where(gain > 0, larger(_ratio(c), best), np.where(gain < 0, smaller(_ratio(c), best), _ratio(c)))


@define("clipped_past", r"\min(xA,\mathrm{clip}(x)A)\text{ past the range}", "step", "state-action pairs")
def _clipped_past(c: Context) -> Array:
    """The clipped objective of one action at a ratio beyond 1 + epsilon (good actions) or below 1 - epsilon (bad ones), in reward units."""
    return flat(_clipped(c, _past(c), c.advantages[:, c.now]))


@define("clipped_peak", r"\min(xA,\mathrm{clip}(x)A)\text{ at }x=1+\epsilon\,\mathrm{sign} A", "step", "state-action pairs")
def _clipped_peak(c: Context) -> Array:
    """The clipped objective of one action at the end of the range, in reward units."""
    return flat(_clipped(c, _best_ratio(c), c.advantages[:, c.now]))


@define("clipped_at_ratio", r"\min(xA,\mathrm{clip}(x)A)", "step", "state-action pairs")
def _clipped_at_ratio(c: Context) -> Array:
    """The clipped objective of one action at a given ratio, in reward units."""
    return flat(_clipped(c, _ratio(c), c.advantages[:, c.now]))
