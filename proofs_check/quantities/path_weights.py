"""Importance weights along listed paths of H steps, and what is lost and kept where a path is cut.

The paths are drawn by the policy and speak for the second policy; everything else as in `path_estimators`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.numbers import to_float
from proofs_check.quantities.path_estimators import (
    Paths,
    by_stages,
    later,
    list_paths,
    mean_of,
    powers,
    shared_estimate,
    stage_derivative,
    stage_gradient,
)
from proofs_check.quantities.policy_pairs import second_policy
from proofs_check.quantities.registry import define, given, norm, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


def _ratios(c: Context) -> Array:
    """pi'(a|s)/pi(a|s): (B, S, A)."""
    return second_policy(c).policies[:, 0] / c.policies[:, 0]


def _weights(c: Context, p: Paths) -> Array:
    """The product of the ratios up to and with each step: (B, K, H)."""
    each = _ratios(c)[:, p.states, p.actions]
    out = [each[..., 0]]
    for t in range(1, each.shape[-1]):
        out.append(out[-1] * each[..., t])
    return np.stack(out, axis=-1)


def _weighted_mean(c: Context, per_decision: bool) -> Array:
    """E[w sum_t s_t G_t] over paths of the first policy with the second policy's scores; per decision: gamma^k r_k takes the weight up to k."""

    def code(stages: int) -> Array:
        p = list_paths(c, stages)
        score, weight = list_paths(second_policy(c), stages).score, _weights(c, p)
        if not per_decision:
            return mean_of(p, (score * (p.future * weight[..., -1:])[..., None]).sum(axis=2))
        rewards = (p.future - later(p)) * weight
        ahead = np.stack([rewards[..., t:].sum(axis=-1) for t in range(stages)], axis=-1)
        return mean_of(p, (score * ahead[..., None]).sum(axis=2))

    return by_stages(c, code)[:, None]


@define("weighted_path_mean", r"\mathbb{E}_\pi[w\textstyle\sum_ts'_tG_t]", "step", "state-action pairs")
def _weighted_path_mean(c: Context) -> Array:
    """Mean over paths of the policy of the second policy's estimator, times the whole path's weight, in reward units."""
    return _weighted_mean(c, per_decision=False)


@define("decision_weighted_mean", r"\mathbb{E}_\pi[\textstyle\sum_ts'_t\sum_{k\ge t}w_{0:k}\gamma^kr_k]", "step", "state-action pairs")
def _decision_weighted_mean(c: Context) -> Array:
    """The same with each reward weighed by the ratios up to its own step, in reward units."""
    return _weighted_mean(c, per_decision=True)


@define("unweighted_path_mean", r"\mathbb{E}_\pi[\textstyle\sum_ts'_tG_t]", "step", "state-action pairs")
def _unweighted_path_mean(c: Context) -> Array:
    """The same without any weight, in reward units."""

    def code(stages: int) -> Array:
        p = list_paths(c, stages)
        return mean_of(p, (list_paths(second_policy(c), stages).score * p.future[..., None]).sum(axis=2))

    return by_stages(c, code)[:, None]


@define("other_path_derivative", r"\partial J_H/\partial\theta(s,a)\ \text{at}\ \pi'", "step", "state-action pairs")
def _other_path_derivative(c: Context) -> Array:
    """Derivatives of the value of H steps in the second policy's logits, by dual numbers, in reward units."""
    other = second_policy(c)
    return by_stages(c, lambda h: stage_derivative(other, h))[:, None]


@define("path_weight_moment", r"\mathbb{E}_\pi w^2", "step")
def _path_weight_moment(c: Context) -> Array:
    """Second moment of the weight of a path of H steps, over all paths."""

    def code(stages: int) -> Array:
        p = list_paths(c, stages)
        return (p.chance * _weights(c, p)[..., -1] ** 2).sum(axis=1)

    return per_instance(by_stages(c, code))


def _moments(c: Context) -> Array:
    """sum_a pi'^2/pi in each state: (B, S)."""
    return (_ratios(c) * second_policy(c).policies[:, 0]).sum(axis=-1)


@define("path_weight_recursion", r"\mu^\top M^{H-1}c,\ M=\textstyle\sum_a\tfrac{\pi'^2}{\pi}P,\ c=\sum_a\tfrac{\pi'^2}{\pi}", "step")
def _path_weight_recursion(c: Context) -> Array:
    """The same by peeling off one step after the other."""
    matrix = np.einsum("bsa,bsat->bst", _ratios(c) * second_policy(c).policies[:, 0], c.transitions)

    def code(stages: int) -> Array:
        values = _moments(c)
        for _ in range(stages - 1):
            values = np.einsum("bst,bt->bs", matrix, values)
        return (c.mu * values).sum(axis=-1)

    return per_instance(by_stages(c, code))


@define("largest_weight_moment", r"\max_s\textstyle\sum_a\pi'^2/\pi", "step")
def _largest_weight_moment(c: Context) -> Array:
    """Largest second moment of one step's weight over the states: 1 plus the largest chi-square divergence."""
    return per_instance(arithmetic.maximum(_moments(c), axis=-1))


@define("least_weight_moment", r"\min_s\textstyle\sum_a\pi'^2/\pi", "step")
def _least_weight_moment(c: Context) -> Array:
    """Smallest second moment of one step's weight over the states."""
    return per_instance(arithmetic.minimum(_moments(c), axis=-1))


@define("largest_log_weight", r"\max_s\mathrm{KL}(\pi'_s\Vert\pi_s)", "step")
def _largest_log_weight(c: Context) -> Array:
    """Largest divergence of the second policy from the first over the states, in nats."""
    other, ratios = second_policy(c).policies[:, 0], _ratios(c)
    used = np.where(np.asarray(other > 0, dtype=bool), ratios, ratios * 0 + 1)
    return per_instance(arithmetic.maximum((other * arithmetic.log(used)).sum(axis=-1), axis=-1))


# Truncation


def _score_bound(c: Context) -> Array:
    """max_s (1 - |pi_s|^2): (B,)."""
    policy = c.policies[:, 0]
    return arithmetic.maximum(1 - (policy * policy).sum(axis=-1), axis=-1)


@define("score_bound_squared", r"G^2=\max_s(1-\|\pi_s\|^2)", "step")
def _score_bound_squared(c: Context) -> Array:
    """Largest mean squared length of a state's score."""
    return per_instance(_score_bound(c))


@define("future_second_moment", r"\mathbb{E}\|\textstyle\sum_ts_tG_t\|^2", "step")
def _future_second_moment(c: Context) -> Array:
    """Second moment of the sum of scores times return from the step on, in squared reward units."""

    def code(stages: int) -> Array:
        p = list_paths(c, stages)
        each = shared_estimate(p, p.future)
        return (p.chance * (each * each).sum(axis=-1)).sum(axis=1)

    return per_instance(by_stages(c, code))


@define("truncated_gradient_error", r"\|\nabla J_k-\nabla J\|", "step")
def _truncated_gradient_error(c: Context) -> Array:
    """Distance of the policy gradient of k steps from that of all, in reward units."""
    from proofs_check.quantities.differentials import _softmax_gradient

    counts = to_float(given(c, "backups")).astype(int)
    out = _softmax_gradient(c) * 0
    for k in np.unique(counts).tolist():
        out = np.where((counts == k)[:, None, None], stage_gradient(c, k)[:, None], out)
    return norm(out - _softmax_gradient(c))


@define("steady_second_moment", r"G^2\textstyle\sum_{t<k}\left(\sum_{t\le j<k}\gamma^j\right)^2", "step")
def _steady_second_moment(c: Context) -> Array:
    """Second moment of the same estimator of k steps in a bandit that is played on and always pays 1."""
    counts = to_float(given(c, "backups")).astype(int)
    out = c.discount * 0
    for k in np.unique(counts).tolist():
        tails = np.cumsum(powers(c, k)[:, ::-1], axis=1)
        out = np.where(counts == k, (tails * tails).sum(axis=1), out)
    return per_instance(_score_bound(c) * out)
