"""Estimators from paths of H steps, every path listed: score-function gradients, their variances and baselines.

A path is s0 a0 s1 a1 ... of H pairs (the setting H, 1 to 3), s0 from mu; G_t = sum_{k>=t} gamma^k r_k.  "Shared" parameters: the logits of a state
serve at every stage, so scores of one path add up; "staged": each stage has logits of its own.  What a closed form needs (values and visits by
stage) comes from backward and forward recursions, never from the list.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from proofs_check.dual import Dual, policy_slopes
from proofs_check.numbers import to_float
from proofs_check.quantities.registry import define, given, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class Paths:
    """K paths of H pairs: chance (B, K) under the policy, score (B, K, H, S*A) of each step, future (B, K, H) = G_t, state and action (K, H)."""

    chance: Array
    score: Array
    future: Array
    states: Array
    actions: Array


@functools.cache
def _places(stages: int, states: int, actions: int) -> tuple[Array, Array]:
    """States and actions (K, H) of all paths."""
    index = np.indices((states, actions) * stages).reshape(2 * stages, -1).T
    return index[:, ::2], index[:, 1::2]


def list_paths(c: Context, stages: int) -> Paths:
    """All paths of the given length under the first recorded policy."""
    states, actions = _places(stages, *c.rewards.shape[1:])
    policy = c.policies[:, 0]
    chance, factor, paid = c.mu[:, states[:, 0]], c.discount * 0 + 1, []
    for t in range(stages):
        if t:
            chance = chance * c.transitions[:, states[:, t - 1], actions[:, t - 1], states[:, t]]
        chance = chance * policy[:, states[:, t], actions[:, t]]
        paid.append(factor[:, None] * c.rewards[:, states[:, t], actions[:, t]])
        factor = factor * c.discount
    future = np.stack([sum(paid[k] for k in range(t, stages)) for t in range(stages)], axis=-1)
    size, width = c.rewards[0].size, c.rewards.shape[2]
    unit = c.constant(np.eye(size, dtype=np.int64)[states * width + actions])
    rows = c.constant(np.repeat(np.eye(c.rewards.shape[1], dtype=np.int64), width, axis=1)[states])
    score = unit[None] - rows[None] * policy.reshape(len(policy), 1, 1, size)
    return Paths(chance, score, future, states, actions)


def by_stages(c: Context, code: Callable[[int], Array]) -> Array:
    """code(H) with each instance's own H, put together: (B, ...)."""
    wanted, out = to_float(given(c, "H")).astype(int), None
    for stages in np.unique(wanted).tolist():
        values = code(stages)
        chosen = (wanted == stages).reshape(-1, *[1] * (values.ndim - 1))
        out = values if out is None else np.where(chosen, values, out)
    return np.asarray(out)


def mean_of(p: Paths, each: Array) -> Array:
    """(B, K, N) -> (B, N)."""
    return (p.chance[..., None] * each).sum(axis=1)


def shared_estimate(p: Paths, weights: Array) -> Array:
    """sum_t s_t w_t: weights (B, K, H) -> (B, K, S*A)."""
    return (p.score * weights[..., None]).sum(axis=2)


def _staged(p: Paths, weights: Array) -> Array:
    """The same with parameters of each stage: (B, K, H*S*A)."""
    each = p.score * weights[..., None]
    return each.reshape(*each.shape[:2], -1)


def _variance(p: Paths, each: Array) -> Array:
    """E|g|^2 - |E g|^2: (B,)."""
    mean = mean_of(p, each)
    return (p.chance * (each * each).sum(axis=-1)).sum(axis=1) - (mean * mean).sum(axis=-1)


def _whole(p: Paths) -> Array:
    """The whole return as the weight of every step."""
    return p.future[:, :, :1] + p.future * 0


def later(p: Paths) -> Array:
    """The return from the step after."""
    return np.concatenate([p.future[:, :, 1:], p.future[:, :, :1] * 0], axis=2)


# Backward and forward recursions


def stage_values(c: Context, stages: int) -> tuple[list[Array], list[Array]]:
    """V_t (B, S) and Q_t (B, S, A) with stages - t steps to go, each discounted from its own start."""
    policy, values = c.policies[:, 0], [c.mu * 0]
    out: list[Array] = []
    for _ in range(stages):
        ahead = c.rewards + c.discount[:, None, None] * np.einsum("bsat,bt->bsa", c.transitions, values[0])
        out.insert(0, ahead)
        values.insert(0, (policy * ahead).sum(axis=-1))
    return values, out


def stage_visits(c: Context, stages: int) -> list[Array]:
    """The law (B, S) of the state at each stage."""
    chain, laws = c.chain[:, 0], [c.mu]
    for _ in range(stages - 1):
        laws.append(np.einsum("bs,bst->bt", laws[-1], chain))
    return laws


def stage_derivative(c: Context, stages: int) -> Array:
    """Derivatives of J_H in the logits, by dual numbers through the backward recursion: (B, S*A)."""
    slopes = policy_slopes(c, "softmax")[:, 0]
    policy, moves = Dual(c.policies[:, 0], slopes), c.transitions * c.discount[:, None, None, None]
    values = Dual(c.mu * 0, slopes[:, :, 0] * 0)
    for _ in range(stages):
        ahead = c.rewards + np.einsum("bsat,bt->bsa", moves, values.value)
        each = policy * Dual(ahead, np.einsum("bsat,btk->bsak", moves, values.slope))
        values = Dual(each.value.sum(axis=2), each.slope.sum(axis=2))
    return np.einsum("bs,bsk->bk", c.mu, values.slope)


def stage_gradient(c: Context, stages: int) -> Array:
    """sum_t gamma^t P(s_t = s) pi(a|s) A_t(s,a): (B, S*A)."""
    values, action_values = stage_values(c, stages)
    total, factor = c.rewards * 0, c.discount * 0 + 1
    for t, law in enumerate(stage_visits(c, stages)):
        lead = action_values[t] - values[t][..., None]
        total = total + factor[:, None, None] * law[..., None] * c.policies[:, 0] * lead
        factor = factor * c.discount
    return total.reshape(len(total), -1)


# Means


@define("path_derivative", r"\partial J_H/\partial\theta(s,a)", "step", "state-action pairs")
def _path_derivative(c: Context) -> Array:
    """Derivatives of the value of H steps in the logits, by dual numbers through the backward recursion, in reward units."""
    return by_stages(c, lambda h: stage_derivative(c, h))[:, None]


@define("path_advantage_gradient", r"\textstyle\sum_t\gamma^tP(s_t=s)\pi(a|s)A_t(s,a)", "step", "state-action pairs")
def _path_advantage_gradient(c: Context) -> Array:
    """The policy gradient of H steps from advantages by stage and the law of the state at each stage, in reward units."""
    return by_stages(c, lambda h: stage_gradient(c, h))[:, None]


def _score_mean(c: Context, weights: Callable[[Paths], Array]) -> Array:
    def code(stages: int) -> Array:
        p = list_paths(c, stages)
        return mean_of(p, shared_estimate(p, weights(p)))

    return by_stages(c, code)[:, None]


@define("whole_return_mean", r"\mathbb{E}\textstyle\sum_ts_tG_0", "step", "state-action pairs")
def _whole_return_mean(c: Context) -> Array:
    """Mean over all paths of the scores' sum times the whole return, in reward units."""
    return _score_mean(c, _whole)


@define("future_return_mean", r"\mathbb{E}\textstyle\sum_ts_tG_t", "step", "state-action pairs")
def _future_return_mean(c: Context) -> Array:
    """Mean over all paths of each score times the return from its step on, in reward units."""
    return _score_mean(c, lambda p: p.future)


@define("late_return_mean", r"\mathbb{E}\textstyle\sum_ts_tG_{t+1}", "step", "state-action pairs")
def _late_return_mean(c: Context) -> Array:
    """The same with the return from the step after, in reward units."""
    return _score_mean(c, later)


# Variances and baselines


def _path_variance(c: Context, weights: Callable[[Paths], Array], estimator: Callable[[Paths, Array], Array]) -> Array:
    def code(stages: int) -> Array:
        p = list_paths(c, stages)
        return _variance(p, estimator(p, weights(p)))

    return per_instance(by_stages(c, code))


@define("whole_staged_variance", r"\mathrm{Var}(s_tG_0)_t", "step")
def _whole_staged_variance(c: Context) -> Array:
    """Total variance of score times whole return, with parameters of each stage, in squared reward units."""
    return _path_variance(c, _whole, _staged)


@define("future_staged_variance", r"\mathrm{Var}(s_tG_t)_t", "step")
def _future_staged_variance(c: Context) -> Array:
    """Total variance of score times return from the step on, with parameters of each stage, in squared reward units."""
    return _path_variance(c, lambda p: p.future, _staged)


@define("whole_shared_variance", r"\mathrm{Var}\textstyle\sum_ts_tG_0", "step")
def _whole_shared_variance(c: Context) -> Array:
    """Total variance of the scores' sum times the whole return, in squared reward units."""
    return _path_variance(c, _whole, shared_estimate)


@define("future_shared_variance", r"\mathrm{Var}\textstyle\sum_ts_tG_t", "step")
def _future_shared_variance(c: Context) -> Array:
    """Total variance of the sum of scores times return from the step on, with shared parameters, in squared reward units."""
    return _path_variance(c, lambda p: p.future, shared_estimate)


def powers(c: Context, stages: int) -> Array:
    """gamma^t, (B, H)."""
    return np.stack([c.discount * 0 + 1 if t == 0 else c.discount**t for t in range(stages)], axis=-1)


def _baselined(c: Context, table: Callable[[int], Array], estimator: Callable[[Paths, Array], Array]) -> Array:
    """Variance with gamma^t b_t(s_t) taken off G_t; table(H) gives b, (B, H, S)."""

    def code(stages: int) -> Array:
        p, each = list_paths(c, stages), table(stages) * powers(c, stages)[..., None]
        taken = each[:, np.arange(stages)[None], p.states]
        return _variance(p, estimator(p, p.future - taken))

    return per_instance(by_stages(c, code))


def _given_table(c: Context) -> Callable[[int], Array]:
    return lambda stages: c.extra("stage_baseline")[:, :stages]


def _lengths(c: Context) -> Array:
    """|s|^2 of each pair's score: (B, S, A)."""
    policy = c.policies[:, 0]
    return 1 - 2 * policy + (policy * policy).sum(axis=-1)[..., None]


def _best_table(c: Context) -> Callable[[int], Array]:
    """E[|s|^2 Q_t(s,a)] / E|s|^2 in each state and stage, 0 where every score is 0."""

    def table(stages: int) -> Array:
        weight = c.policies[:, 0] * _lengths(c)
        total = weight.sum(axis=-1)
        sure = np.asarray(total == 0, dtype=bool)
        safe = np.where(sure, total * 0 + 1, total)
        return np.stack([(weight * ahead).sum(axis=-1) / safe for ahead in stage_values(c, stages)[1]], axis=1)

    return table


@define("stage_baseline_variance", r"\mathrm{Var}(s_t(G_t-\gamma^tb_t(s_t)))_t", "step")
def _stage_baseline_variance(c: Context) -> Array:
    """Total variance with a given baseline of stage and state, parameters of each stage, in squared reward units."""
    return _baselined(c, _given_table(c), _staged)


@define("best_stage_baseline_variance", r"\mathrm{Var}(s_t(G_t-\gamma^tb^*_t(s_t)))_t", "step")
def _best_stage_baseline_variance(c: Context) -> Array:
    """The same with the action values weighed by probability and squared score as the baseline, in squared reward units."""
    return _baselined(c, _best_table(c), _staged)


@define("value_stage_baseline_variance", r"\mathrm{Var}(s_t(G_t-\gamma^tV_t(s_t)))_t", "step")
def _value_stage_baseline_variance(c: Context) -> Array:
    """The same with the value of stage and state as the baseline, in squared reward units."""
    return _baselined(c, lambda h: np.stack(stage_values(c, h)[0][:h], axis=1), _staged)


@define("shared_baseline_variance", r"\mathrm{Var}\textstyle\sum_ts_t(G_t-\gamma^tb_t(s_t))", "step")
def _shared_baseline_variance(c: Context) -> Array:
    """Total variance with a given baseline of stage and state, shared parameters, in squared reward units."""
    return _baselined(c, _given_table(c), shared_estimate)


@define("best_shared_baseline_variance", r"\mathrm{Var}\textstyle\sum_ts_t(G_t-\gamma^tb^*_t(s_t))", "step")
def _best_shared_baseline_variance(c: Context) -> Array:
    """The same with what is best for parameters of each stage, in squared reward units."""
    return _baselined(c, _best_table(c), shared_estimate)


@define("baseline_penalty", r"\textstyle\sum_{t,s}\gamma^{2t}P(s_t=s)\,\mathbb{E}\|s\|^2(b_t(s)-b^*_t(s))^2", "step")
def _baseline_penalty(c: Context) -> Array:
    """Squared distance of a baseline from the best one, weighed by visits and squared scores of each stage, in squared reward units."""

    def code(stages: int) -> Array:
        apart = (_given_table(c)(stages) - _best_table(c)(stages)) * powers(c, stages)[..., None]
        weight = (c.policies[:, 0] * _lengths(c)).sum(axis=-1)
        laws = np.stack(stage_visits(c, stages), axis=1)
        return (laws * weight[:, None] * apart * apart).sum(axis=(1, 2))

    return per_instance(by_stages(c, code))
