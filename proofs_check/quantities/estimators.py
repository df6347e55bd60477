"""Exact mechanisms behind estimators: generalised advantage estimation, linear critics, where gradients and curvature lie.

What is estimated is taken in exact expectation; the errors of a critic and features are extras of the instance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.quantities.iteration import largest
from proofs_check.quantities.registry import define, flat, per_instance, per_record
from proofs_check.quantities.structures import occupancy

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


# Generalised advantage estimation with the critic V^pi + error


@define("decay", r"\lambda", "instance")
def _decay(c: Context) -> Array:
    """Weight of one more step in generalised advantage estimation, in [0, 1]."""
    return per_instance(c.extra("decay"))


@define("error_size", r"\|e\|_\infty", "instance")
def _error_size(c: Context) -> Array:
    """Largest error of the critic, in reward units."""
    return largest(c.extra("error"))


@define("error_range", r"\max e-\min e", "instance")
def _error_range(c: Context) -> Array:
    """Range of the critic's errors, in reward units."""
    error = c.extra("error")
    return per_instance(arithmetic.maximum(error, axis=-1) + arithmetic.maximum(-error, axis=-1))


def _decayed(c: Context) -> Array:
    """I - gamma lambda P_pi, (B, R, S, S)."""
    scaled = c.chain[:, c.now] * -(c.discount * c.extra("decay"))[:, None, None, None]
    states = np.arange(scaled.shape[-1])
    scaled[..., states, states] = scaled[..., states, states] + 1
    return scaled


def ahead(c: Context, values: Array) -> Array:
    """P values, (B, R, S) -> (B, R, S, A)."""
    return np.einsum("bsat,brt->brsa", c.transitions, values)


def _estimate(c: Context) -> Array:
    """Expected sum of the discounted, decayed temporal differences that start with a in s."""
    critic = c.values[:, c.now] + c.extra("error")[:, None]
    gamma = c.discount[:, None, None, None]
    first = c.backup(critic) - critic[..., None]
    later = arithmetic.solve(_decayed(c), (c.policies[:, c.now] * first).sum(axis=-1))
    return first + gamma * c.extra("decay")[:, None, None, None] * ahead(c, later)


def _bias_ahead(c: Context) -> Array:
    """(1 - lambda) gamma P (I - gamma lambda P_pi)^-1 e, (B, R, S, A)."""
    error = np.broadcast_to(c.extra("error")[:, None], c.values[:, c.now].shape)
    later = arithmetic.solve(_decayed(c), error)
    return ((1 - c.extra("decay")) * c.discount)[:, None, None, None] * ahead(c, later)


@define("expected_gae", r"\mathbb{E}[\mathrm{GAE}(\gamma,\lambda)|s,a]", "step", "state-action pairs")
def _expected_gae(c: Context) -> Array:
    """Generalised advantage estimate in expectation: decayed sum of temporal differences, in reward units."""
    return flat(_estimate(c))


@define("gae_closed_form", r"Q^\pi-\hat V+(1-\lambda)\gamma P(I-\gamma\lambda P_\pi)^{-1}e", "step", "state-action pairs")
def _gae_closed_form(c: Context) -> Array:
    """The same from the action values, the critic and its error, in reward units."""
    critic = c.values[:, c.now] + c.extra("error")[:, None]
    return flat(c.action_values[:, c.now] - critic[..., None] + _bias_ahead(c))


@define("gae_bias", r"\max_{s,a}\left|\mathbb{E}[\mathrm{GAE}]-A^\pi\right|", "step")
def _gae_bias(c: Context) -> Array:
    """Largest bias of the estimate of an advantage, in reward units."""
    away = arithmetic.absolute(_estimate(c) - c.advantages[:, c.now])
    return per_record(arithmetic.maximum(flat(away), axis=-1))


@define("gae_action_bias", r"\max_{s,a}\left|\mathbb{E}[\mathrm{GAE}]-A^\pi+e(s)\right|", "step")
def _gae_action_bias(c: Context) -> Array:
    """Largest bias but for the critic's error in the state itself, which is the same for all actions, in reward units."""
    away = _estimate(c) - c.advantages[:, c.now] + c.extra("error")[:, None, :, None]
    return per_record(arithmetic.maximum(flat(arithmetic.absolute(away)), axis=-1))


def _estimated_gradient(c: Context) -> Array:
    estimate, pi = _estimate(c), c.policies[:, c.now]
    centred = estimate - (pi * estimate).sum(axis=-1)[..., None]
    return occupancy(c) * centred / (1 - c.discount)[:, None, None, None]


@define("gae_gradient", r"\tfrac1{1-\gamma}\mathbb{E}_{d,\pi}[\nabla_\theta\log\pi\ \mathrm{GAE}]", "step", "state-action pairs")
def _gae_gradient(c: Context) -> Array:
    """The softmax policy gradient with expected estimates in place of the advantages, in reward units."""
    return flat(_estimated_gradient(c))


@define("gae_gradient_error", r"\left\|\hat\nabla_\theta-\nabla_\theta V^{\pi_\theta}(\mu)\right\|_1", "step")
def _gae_gradient_error(c: Context) -> Array:
    """Sum of the errors of that gradient over all logits, in reward units."""
    true = occupancy(c) * c.advantages[:, c.now] / (1 - c.discount)[:, None, None, None]
    return per_record(flat(arithmetic.absolute(_estimated_gradient(c) - true)).sum(axis=-1))


# A linear critic Q = phi.w with an exact Bellman equation


def _next_features(c: Context) -> Array:
    """E phi(s', a'), (B, R, S, A, D)."""
    mean = np.einsum("brsa,bsad->brsd", c.policies[:, c.now], c.extra("features"))
    return np.einsum("bsat,brtd->brsad", c.transitions, mean)


def _dot(a: Array, b: Array) -> Array:
    return (a * b).sum(axis=-1)


def _critic_reward(c: Context) -> Array:
    """The reward for which phi.w solves the Bellman equation of the policy: w.(phi - gamma phibar'), (B, R, S, A)."""
    apart = c.extra("features")[:, None] - c.discount[:, None, None, None, None] * _next_features(c)
    return _dot(apart, c.extra("weights")[:, None, None, None])


def _room(c: Context, reward: Array) -> Array:
    """(|phi|^2 + gamma^2 |phibar'|^2) |w|^2 - r^2."""
    features, following, weights = c.extra("features")[:, None], _next_features(c), c.extra("weights")
    gamma = c.discount[:, None, None, None]
    lengths = _dot(features, features) + gamma * gamma * _dot(following, following)
    return lengths * _dot(weights, weights)[:, None, None, None] - reward * reward


@define("feature_product", r"2\gamma\,\langle\phi,\bar\phi'\rangle\,\|w\|^2", "step", "state-action pairs")
def _feature_product(c: Context) -> Array:
    """How much the features of a pair and the expected features after it point the same way."""
    product = _dot(c.extra("features")[:, None], _next_features(c))
    return flat(2 * c.discount[:, None, None, None] * product * _dot(c.extra("weights"), c.extra("weights"))[:, None, None, None])


@define("feature_room", r"(\|\phi\|^2+\gamma^2\|\bar\phi'\|^2)\|w\|^2-r^2", "step", "state-action pairs")
def _feature_room(c: Context) -> Array:
    """What the Bellman equation of a linear critic leaves for that product."""
    return flat(_room(c, _critic_reward(c)))


@define("feature_room_any_reward", r"(\|\phi\|^2+\gamma^2\|\bar\phi'\|^2)\|w\|^2-r^2,\ r\text{ of the model}", "step", "state-action pairs")
def _feature_room_any_reward(c: Context) -> Array:
    """The same with the model's rewards, for which the critic's Bellman equation need not hold."""
    return flat(_room(c, c.rewards[:, None]))


def _first_pair(values: Array) -> Array:
    return per_record(values[:, :, 0, 0])


@define("feature_scale", r"2\gamma\,\|\phi\|\,\|\bar\phi'\|\,\|w\|^2", "step")
def _feature_scale(c: Context) -> Array:
    """Product of the lengths of the features of the first pair, of the expected features after it, and of the weights squared."""
    following, weights = _next_features(c), c.extra("weights")
    lengths = _dot(c.extra("features"), c.extra("features"))[:, None] * _dot(following, following)
    scale = 2 * c.discount[:, None, None, None] * _dot(weights, weights)[:, None, None, None]
    return _first_pair(scale * arithmetic.sqrt(lengths))


@define("feature_cosine", r"\cos(\phi,\bar\phi')", "step")
def _feature_cosine(c: Context) -> Array:
    """Cosine between the features of the first pair and the expected features after it; 0 where one of them is 0."""
    return _over_scale(c, _feature_product(c)[..., :1])


@define("cosine_bound", r"\tfrac{\|\phi\|^2+\gamma^2\|\bar\phi'\|^2-r^2/\|w\|^2}{2\gamma\|\phi\|\,\|\bar\phi'\|}", "step")
def _cosine_bound(c: Context) -> Array:
    """What the Bellman equation of a linear critic allows that cosine to be; 0 where one of the vectors is 0."""
    return _over_scale(c, _feature_room(c)[..., :1])


def _over_scale(c: Context, above: Array) -> Array:
    scale = _feature_scale(c)
    if c.kind == "float":
        return np.where(scale > 0, above / np.where(scale > 0, scale, 1.0), 0.0)
    none = np.array([bool(x == 0) for x in scale.reshape(-1)]).reshape(scale.shape)
    return np.where(none, above * 0, above / np.where(none, scale * 0 + 1, scale))


# Where gradient and Hessian of a softmax policy lie


@define("hessian_sums", r"\textstyle\sum_a\partial^2V^{\pi_\theta}(\mu)/\partial\theta(s,a)\partial\theta(x,b)", "step", "entries")
def _hessian_sums(c: Context) -> Array:
    """Sums over the actions of a state of the rows of the Hessian in the logits, in reward units."""
    hessian = _hessian(c)
    states, actions = c.rewards.shape[1:]
    return flat(hessian.reshape(*hessian.shape[:2], states, actions, states * actions).sum(axis=3))


def _hessian(c: Context) -> Array:
    from proofs_check.hessian import softmax_hessian

    return softmax_hessian(c)


def _gradient(c: Context) -> Array:
    return flat(occupancy(c) * c.advantages[:, c.now] / (1 - c.discount)[:, None, None, None])


@define("hessian_times_gradient", r"\nabla^2V\,\nabla V", "step", "state-action pairs")
def _hessian_times_gradient(c: Context) -> Array:
    """The Hessian applied to the gradient."""
    return np.einsum("brij,brj->bri", _hessian(c), _gradient(c))


@define("trace_times_gradient", r"\mathrm{tr}(\nabla^2V)\,\nabla V", "step", "state-action pairs")
def _trace_times_gradient(c: Context) -> Array:
    """The gradient times the sum of the Hessian's eigenvalues, the only one of them that is not 0 for two arms."""
    return np.einsum("brii->br", _hessian(c))[..., None] * _gradient(c)
