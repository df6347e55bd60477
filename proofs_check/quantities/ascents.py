"""A step of given length along an estimate of the gradient, and the estimate that remembers the last one.

The step: theta+ = theta + alpha m/|m| on F(theta) = <linear, theta> + (L/2) sum curve_i theta_i^2 in three dimensions, curve in [-1, 1] (any
quadratic that is L-smooth is one in suitable coordinates), or on the value of a softmax policy.  The estimate, in a bandit: a is drawn
from the policy pi of now, the other policy is the one before, g_t(a) = s_a r_a, g_{t-1}(a) = (pi'_a/pi_a) s'_a r_a, and
m_t = g_t + (1 - eta)(m_{t-1} - g_{t-1}) with m_{t-1} the last gradient plus the extra `last_error`.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.quantities.differentials import _softmax_gradient
from proofs_check.quantities.policy_pairs import second_policy
from proofs_check.quantities.registry import define, define_setting, flat, given, norm, per_instance, per_record
from proofs_check.quantities.sampled_scores import arm_scores, total_variance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
define_setting("step_length", r"\alpha", "length of a normalised step")
define_setting("smoothness", "L", "bound on the norm of a Hessian")
define_setting("renewal", r"\eta", "weight of what is new in an estimate that remembers the last one, in (0, 1]")


# The step


def _objective(c: Context, theta: Array) -> Array:
    """F(theta): (B, 3) -> (B,)."""
    bent = (c.extra("curve") * theta * theta).sum(axis=-1) * given(c, "smoothness") / 2
    return (c.extra("linear") * theta).sum(axis=-1) + bent


def _slope(c: Context) -> Array:
    return c.extra("linear") + given(c, "smoothness")[:, None] * c.extra("curve") * c.extra("point")


def _rise(c: Context, length: Array) -> Array:
    """F(point + step) - F(point) for a step along the guess m with length (B,) times |m|."""
    here = c.extra("point")
    return per_instance(_objective(c, here + length[:, None] * c.extra("guess")) - _objective(c, here))


def _size(values: Array) -> Array:
    return norm(values[:, None])[:, 0, 0]


@define("normalised_rise", r"F(\theta+\alpha\tfrac{m}{|m|})-F(\theta)", "instance")
def _normalised_rise(c: Context) -> Array:
    """Rise of a quadratic objective at a step of length alpha along the guess m."""
    return _rise(c, given(c, "step_length") / _size(c.extra("guess")))


@define("rise_by_slope_norm", r"F(\theta+\alpha\tfrac{m}{|\nabla F|})-F(\theta)", "instance")
def _rise_by_slope_norm(c: Context) -> Array:
    """The same where the guess is divided by the length of the gradient instead of its own."""
    return _rise(c, given(c, "step_length") / _size(_slope(c)))


@define("slope_norm", r"|\nabla F(\theta)|", "instance")
def _slope_norm(c: Context) -> Array:
    """Length of the gradient of a quadratic objective."""
    return per_instance(_size(_slope(c)))


@define("guess_error", r"|m-\nabla F(\theta)|", "instance")
def _guess_error(c: Context) -> Array:
    """Distance of the guess from the gradient of a quadratic objective."""
    return per_instance(_size(c.extra("guess") - _slope(c)))


@define("guess_squared", r"|m|^2", "instance")
def _guess_squared(c: Context) -> Array:
    """Squared length of the guess."""
    return per_instance((c.extra("guess") ** 2).reshape(len(c.extra("guess")), -1).sum(axis=-1))


@define("slope_squared", r"|\nabla F(\theta)|^2", "instance")
def _slope_squared(c: Context) -> Array:
    """Squared length of the gradient of a quadratic objective."""
    return per_instance((_slope(c) ** 2).sum(axis=-1))


def _noisy_gradient(c: Context) -> Array:
    """The softmax gradient of the value with the extra `offset` (S, A) added: (B, R, S*A)."""
    return _softmax_gradient(c) + flat(c.extra("offset")[:, None])


@define("normalised_value_rise", r"V^{\pi_{\theta+\alpha m/|m|}}(\mu)-V^{\pi_\theta}(\mu)", "step")
def _normalised_value_rise(c: Context) -> Array:
    """Rise of the value from mu when the logits move by alpha along m, the policy gradient with an offset added, in reward units."""
    along = _noisy_gradient(c)
    step = (given(c, "step_length")[:, None, None] / norm(along) * along).reshape(c.policies[:, c.now].shape)
    after = dataclasses.replace(c, policies=arithmetic.softmax(c.log_policies[:, c.now] + step), logits=None, minima=None)
    return per_record(((after.values - c.values[:, c.now]) * c.mu[:, None]).sum(axis=-1))


@define("offset_norm", r"|m-\nabla_\theta V^{\pi_\theta}(\mu)|", "instance")
def _offset_norm(c: Context) -> Array:
    """Length of the offset, in reward units."""
    return norm(flat(c.extra("offset")[:, None]))


@define("noisy_gradient_squared", r"|m|^2", "step")
def _noisy_gradient_squared(c: Context) -> Array:
    """Squared length of the policy gradient with the offset added, in squared reward units."""
    return per_record((_noisy_gradient(c) ** 2).sum(axis=-1))


# The estimate that remembers


def _gradient(policy: Array, rewards: Array) -> Array:
    """The softmax gradient of a bandit: (B, R, K)."""
    return policy * (rewards - (policy * rewards).sum(axis=-1)[..., None])


@dataclasses.dataclass(frozen=True)
class _Draws:
    """What each arm would give, along the second axis from the end: (B, R, K, K), with the policy's probabilities (B, R, K)."""

    policy: Array
    noise: Array  # z = g_t - grad F(theta_t)
    change: Array  # zeta = (g_t - g_{t-1}) - (grad F(theta_t) - grad F(theta_{t-1}))
    error: Array  # m_t - grad F(theta_t)


def _draws(c: Context, weighted: bool = True) -> _Draws:
    policy, last, rewards = c.policies[:, c.now, 0], second_policy(c).policies[:, :, 0], c.rewards[:, None, 0]
    fresh = arm_scores(policy) * rewards[..., None]
    weight = last / policy if weighted else last * 0 + 1
    old = arm_scores(np.broadcast_to(last, policy.shape)) * (rewards * weight)[..., None]
    now, before = _gradient(policy, rewards)[..., None, :], _gradient(last, rewards)[..., None, :]
    remembered = before + c.extra("last_error")[:, None, None]
    estimate = fresh + (1 - given(c, "renewal"))[:, None, None, None] * (remembered - old)
    return _Draws(policy, fresh - now, (fresh - old) - (now - before), estimate - now)


def _mean_square(policy: Array, each: Array) -> Array:
    return per_record((policy * (each * each).sum(axis=-1)).sum(axis=-1))


@define("memory_error_mean", r"\mathbb{E}e_t", "step", "arms")
def _memory_error_mean(c: Context) -> Array:
    """Mean error of the estimate that remembers, over the arm that is drawn, in reward units."""
    draws = _draws(c)
    return (draws.policy[..., None] * draws.error).sum(axis=-2)


@define("memory_error_mean_unweighted", r"\mathbb{E}e_t\ \text{without}\ \pi'/\pi", "step", "arms")
def _memory_error_mean_unweighted(c: Context) -> Array:
    """The same where the old gradient is estimated from the new draw without an importance weight, in reward units."""
    draws = _draws(c, weighted=False)
    return (draws.policy[..., None] * draws.error).sum(axis=-2)


@define("shrunk_error", r"(1-\eta)\,e_{t-1}", "instance", "arms")
def _shrunk_error(c: Context) -> Array:
    """The last error times 1 - eta, in reward units."""
    return ((1 - given(c, "renewal"))[:, None] * c.extra("last_error"))[:, None]


@define("memory_error_square", r"\mathbb{E}|e_t|^2", "step")
def _memory_error_square(c: Context) -> Array:
    """Mean squared error of the estimate that remembers, in squared reward units."""
    draws = _draws(c)
    return _mean_square(draws.policy, draws.error)


@define("last_error_square", r"|e_{t-1}|^2", "instance")
def _last_error_square(c: Context) -> Array:
    """Squared length of the last error, in squared reward units."""
    return per_instance((c.extra("last_error") ** 2).sum(axis=-1))


@define("fresh_variance", r"\mathrm{Var}\,g_t", "step")
def _fresh_variance(c: Context) -> Array:
    """Total variance of the one-sample gradient at the policy of now, in squared reward units."""
    policy, rewards = c.policies[:, c.now, 0], c.rewards[:, None, 0]
    return per_record(total_variance(policy, arm_scores(policy) * rewards[..., None]))


@define("change_square", r"\mathbb{E}|\zeta_t|^2", "step")
def _change_square(c: Context) -> Array:
    """Mean squared error of the estimated change of the gradient, in squared reward units."""
    draws = _draws(c)
    return _mean_square(draws.policy, draws.change)
