"""Exponential tilts of a policy: the nearest policies with another value, in a bandit and, with a potential for what comes later, in an MDP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.quantities.estimators import ahead
from proofs_check.quantities.policy_pairs import second_policy
from proofs_check.quantities.registry import define, per_instance, per_record
from proofs_check.quantities.trust_regions import divergence

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


# Exponential tilts of a bandit's policy


@define("tilt", r"\lambda", "instance")
def _tilt(c: Context) -> Array:
    """Exponent of a tilt p = pi exp(lambda r)/Z, per unit of reward."""
    return per_instance(c.extra("tilt"))


def _tilted(c: Context) -> tuple[Array, Array]:
    """(p_lambda (B, R, S, A), log Z (B, R, S))."""
    exponents = c.log_policies[:, c.now] + c.extra("tilt")[:, None, None, None] * c.rewards[:, None]
    return arithmetic.softmax(exponents), arithmetic.log_sum_exp(exponents)


def _return(c: Context, policy: Array) -> Array:
    return (policy * c.rewards[:, None]).sum(axis=-1)


@define("tilt_divergence", r"\mathrm{KL}(p_\lambda\Vert\pi)", "step")
def _tilt_divergence(c: Context) -> Array:
    """Divergence of the tilted policy from the given one."""
    return divergence(_tilted(c)[0], c.policies[:, c.now])[..., :1]


@define("tilt_conjugate", r"\lambda\,p_\lambda\!\cdot r-\log Z(\lambda)", "step")
def _tilt_conjugate(c: Context) -> Array:
    """The Legendre transform of log Z at the tilted policy's return."""
    tilted, logarithm = _tilted(c)
    return (c.extra("tilt")[:, None, None] * _return(c, tilted) - logarithm)[..., :1]


@define("tilt_return_change", r"p_\lambda\!\cdot r-\pi\cdot r", "step")
def _tilt_return_change(c: Context) -> Array:
    """Return of the tilted policy less that of the given one, in reward units."""
    return (_return(c, _tilted(c)[0]) - _return(c, c.policies[:, c.now]))[..., :1]


@define("reward_variance", r"\mathrm{Var}_\pi r", "step")
def _reward_variance(c: Context) -> Array:
    """Variance of the mean rewards of the arms under the policy, in squared reward units."""
    away = c.rewards[:, None] - _return(c, c.policies[:, c.now])[..., None]
    return (c.policies[:, c.now] * away * away).sum(axis=-1)[..., :1]


@define("other_divergence", r"\mathrm{KL}(q\Vert\pi)", "step")
def _other_divergence(c: Context) -> Array:
    """Divergence of a second policy from the given one."""
    return divergence(second_policy(c).policies, c.policies[:, c.now])[..., :1]


@define("other_conjugate", r"\lambda\,q\cdot r-\log Z(\lambda)", "step")
def _other_conjugate(c: Context) -> Array:
    """lambda times the second policy's return, less log Z: the divergence of the tilt where the returns agree."""
    return (c.extra("tilt")[:, None, None] * _return(c, second_policy(c).policies) - _tilted(c)[1])[..., :1]


@define("other_divergence_from_tilt", r"\mathrm{KL}(q\Vert p_\lambda)", "step")
def _other_divergence_from_tilt(c: Context) -> Array:
    """Divergence of a second policy from the tilted one."""
    return divergence(second_policy(c).policies, _tilted(c)[0])[..., :1]


@define("mixture_divergence", r"\mathrm{KL}((1-m)\pi+m\,e_{a^*}\Vert\pi)", "step")
def _mixture_divergence(c: Context) -> Array:
    """Divergence of the mixture with the best arm (of a tilt down: the worst arm) that has the return of the tilted policy."""
    pi, rewards, tilt = c.policies[:, c.now], c.rewards[:, None], c.extra("tilt")
    up = np.array([bool(x > 0) for x in tilt.reshape(-1)]).reshape(tilt.shape)[:, None, None]
    end = np.where(up, arithmetic.maximum(rewards, axis=-1), arithmetic.minimum(rewards, axis=-1))
    chosen = c.constant(np.eye(rewards.shape[-1], dtype=np.int64)[_first_equal(rewards, end)])
    before = _return(c, pi)
    room = end - before
    none = np.array([bool(x == 0) for x in room.reshape(-1)]).reshape(room.shape)
    share = np.where(none, room * 0, (_return(c, _tilted(c)[0]) - before) / np.where(none, room * 0 + 1, room))[..., None]
    return divergence((1 - share) * pi + share * chosen, pi)[..., :1]


def _first_equal(values: Array, wanted: Array) -> Array:
    """Position of the first entry along the last axis that is `wanted` (balls: that may be)."""
    same = [not (x > y or x < y) for x, y in zip(values.reshape(-1), np.broadcast_to(wanted[..., None], values.shape).reshape(-1), strict=True)]
    return np.array(same).reshape(values.shape).argmax(axis=-1)


# The same in an MDP, with a potential W for what comes later


def _with_potential(c: Context) -> tuple[Array, Array]:
    """(p proportional to pi exp(lambda r + gamma P W), B = log of the normaliser), (B, R, S, A) and (B, R, S)."""
    potential = c.extra("W")[:, None]
    later = c.discount[:, None, None, None] * ahead(c, potential)
    exponents = c.log_policies[:, c.now] + c.extra("tilt")[:, None, None, None] * c.rewards[:, None] + later
    return arithmetic.softmax(exponents), arithmetic.log_sum_exp(exponents)


@define("visited_divergence", r"\mathbb{E}_{s\sim d^q_\mu}\mathrm{KL}(q_s\Vert\pi_s)", "step")
def _visited_divergence(c: Context) -> Array:
    """Divergence of a second policy from the given one, averaged over the second policy's visits."""
    second = second_policy(c)
    return per_record((second.visits_mu * divergence(second.policies, c.policies[:, c.now])).sum(axis=-1))


@define("potential_conjugate", r"(1-\gamma)\left(\lambda V^q(\mu)-\mu\cdot W\right)-\mathbb{E}_{d^q_\mu}[B_W-W]", "step")
def _potential_conjugate(c: Context) -> Array:
    """lambda times the second policy's value, less what a potential W and its log normaliser B make of it; W = B is the soft optimum."""
    second, potential = second_policy(c), c.extra("W")[:, None]
    excess = _with_potential(c)[1] - potential
    value = (c.mu[:, None] * (c.extra("tilt")[:, None, None] * second.values - potential)).sum(axis=-1)
    return per_record((1 - c.discount)[:, None] * value - (second.visits_mu * excess).sum(axis=-1))


@define("visited_divergence_from_tilt", r"\mathbb{E}_{s\sim d^q_\mu}\mathrm{KL}(q_s\Vert p^W_s)", "step")
def _visited_divergence_from_tilt(c: Context) -> Array:
    """Divergence of a second policy from the tilted one, averaged over the second policy's visits."""
    second = second_policy(c)
    return per_record((second.visits_mu * divergence(second.policies, _with_potential(c)[0])).sum(axis=-1))


@define("other_value_mu", r"V^{q}(\mu)", "step")
def _other_value_mu(c: Context) -> Array:
    """Value of the second policy under mu, in reward units."""
    return per_record((second_policy(c).values * c.mu[:, None]).sum(axis=-1))


@define("tilt_normaliser_mu", r"\mathbb{E}_{s\sim\mu}\log Z_s(\lambda)", "step")
def _tilt_normaliser_mu(c: Context) -> Array:
    """Mean over mu of the log normaliser of the tilt by the present reward alone."""
    return per_record((c.mu[:, None] * _tilted(c)[1]).sum(axis=-1))
