"""Bellman operators, optimal, soft, interpolated and mapped, on vectors that the instance brings along."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pgtheory import arithmetic
from proofs_check.quantities.natural_gradient import soft_values
from proofs_check.quantities.registry import define, define_setting, flat, given, per_instance, per_record

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
FLOOR = (3, 10)
"""Lower end of the interval in which mapped values live: 3/10."""
define_setting("reward_rate", r"b_r", "share of the way to the Bellman backup that a value moves")
define_setting("map_rate", r"b_f", "share of the way that the mapped value moves")


# Soft operators


@define("pair_vector_difference", r"\|Q-Q'\|_\infty", "instance")
def _pair_vector_difference(c: Context) -> Array:
    """Largest difference of the two given vectors of action values, in reward units."""
    return _largest(c.extra("first") - c.extra("second"))


@define("soft_backup_difference", r"\|T_\tau Q-T_\tau Q'\|_\infty", "instance")
def _soft_backup_difference(c: Context) -> Array:
    """Largest difference of the two given vectors of action values after a soft Bellman backup, in reward units."""
    tau = given(c, "tau")[:, None]
    ends = [_lookahead(c, tau * arithmetic.log_sum_exp(c.extra(name) / tau[..., None])) for name in ("first", "second")]
    return _largest(ends[0] - ends[1])


@define("soft_value_of_each_action", r"Q^*_\tau(s,a)-\tau\log\pi^*_\tau(a|s)", "instance", "state-action pairs")
def _soft_value_of_each_action(c: Context) -> Array:
    """The soft optimal value read off each single action, in reward units."""
    tau = given(c, "tau")[:, None, None]
    return flat((c.soft_optimum[1] - tau * arithmetic.log_softmax(c.soft_optimum[1] / tau))[:, None])


@define("soft_optimal_values", r"V^*_\tau(s)", "instance", "state-action pairs")
def _soft_optimal_values(c: Context) -> Array:
    """Soft optimal value of each state, repeated for each action, in reward units."""
    return flat((c.soft_optimum[0][..., None] + c.rewards * 0)[:, None])


@define("soft_optimal_state_values", r"V^*_\tau", "instance", "states")
def _soft_optimal_state_values(c: Context) -> Array:
    """Soft optimal value of each state, in reward units."""
    return c.soft_optimum[0][:, None]


@define("hard_optimal_state_values", r"V^*", "instance", "states")
def _hard_optimal_state_values(c: Context) -> Array:
    """Optimal value of each state without entropy, in reward units."""
    return c.optimum.values[:, None]


@define("soft_bias", r"\|V^*_\tau-V^*\|_\infty", "instance")
def _soft_bias(c: Context) -> Array:
    """By how much the entropy bonus raises the optimal values at most, in reward units."""
    return _largest(c.soft_optimum[0] - c.optimum.values)


@define("soft_optimal_policy_gap", r"\|V^*-V^{\pi^*_\tau}\|_\infty", "instance")
def _soft_optimal_policy_gap(c: Context) -> Array:
    """Largest loss, without entropy, of the soft-optimal policy, in reward units."""
    tau = given(c, "tau")[:, None, None]
    policy = arithmetic.softmax(c.soft_optimum[1] / tau)
    twin = dataclasses.replace(c, policies=policy[:, None], logits=None, minima=None, times=c.times[:1], pairs=False)
    return per_record(arithmetic.maximum(c.optimum.values[:, None] - twin.values, axis=-1))


@define("soft_gap_mu", r"V^*_\tau(\mu)-V^\pi_\tau(\mu)", "step")
def _soft_gap_mu(c: Context) -> Array:
    """Soft gap of the policy under mu, in reward units."""
    return per_record(((c.soft_optimum[0][:, None] - soft_values(c, c.now)) * c.mu[:, None]).sum(axis=-1))


@define("soft_divergence", r"\mathbb{E}_{d^\pi_\mu}\mathrm{KL}(\pi\Vert\pi^*_\tau)", "step")
def _soft_divergence(c: Context) -> Array:
    """KL divergence of the policy from the soft-optimal one, averaged over the policy's visits from mu."""
    return _soft_kl(c, lambda ours, best: (arithmetic.exp(ours) * (ours - best)).sum(axis=-1))


@define("soft_divergence_back", r"\mathbb{E}_{d^\pi_\mu}\mathrm{KL}(\pi^*_\tau\Vert\pi)", "step")
def _soft_divergence_back(c: Context) -> Array:
    """KL divergence of the soft-optimal policy from the policy, averaged over the policy's visits from mu."""
    return _soft_kl(c, lambda ours, best: (arithmetic.exp(best) * (best - ours)).sum(axis=-1))


def _soft_kl(c: Context, divergence: Callable[[Array, Array], Array]) -> Array:
    tau = given(c, "tau")[:, None, None]
    best = arithmetic.log_softmax(c.soft_optimum[1] / tau)[:, None]
    return per_record((c.visits_mu[:, c.now] * divergence(c.log_policies[:, c.now], best)).sum(axis=-1))


# Interpolated operators


@define("interpolated_difference", r"\|T_kQ-T_kQ'\|_\infty", "step")
def _interpolated_difference(c: Context) -> Array:
    """Largest difference of the two given vectors of action values after an interpolated backup, in reward units."""
    return _largest(_interpolated(c, c.extra("first")) - _interpolated(c, c.extra("second")))


@define("share", "k", "instance")
def _share(c: Context) -> Array:
    """Weight of the best action in the interpolated operator, in [0, 1]."""
    return per_instance(c.extra("share"))


@define("interpolated_values", r"Q_k", "step", "state-action pairs")
def _interpolated_values(c: Context) -> Array:
    """Fixed point of the interpolated operator, in reward units."""
    return flat(_fixed_point(c, c.extra("share"))[:, None])


@define("interpolated_values_more", r"Q_{k'},\ k'=k+(1-k)/2", "step", "state-action pairs")
def _interpolated_values_more(c: Context) -> Array:
    """Fixed point of the interpolated operator with a weight halfway between k and 1, in reward units."""
    return flat(_fixed_point(c, (c.extra("share") + 1) / 2)[:, None])


@define("optimal_action_values", r"Q^*", "instance", "state-action pairs")
def _optimal_action_values(c: Context) -> Array:
    """Optimal action values, in reward units."""
    return flat(c.optimum.action_values[:, None])


@define("mixed_action_values", r"kQ^*+(1-k)Q^\pi", "step", "state-action pairs")
def _mixed_action_values(c: Context) -> Array:
    """The same mixture of the two fixed points, in reward units."""
    share = c.extra("share")[:, None, None]
    return flat((share * c.optimum.action_values + (1 - share) * c.action_values[:, 0])[:, None])


@define("interpolated_distance", r"\|Q_k-Q^\pi\|_\infty", "step")
def _interpolated_distance(c: Context) -> Array:
    """Largest distance of the interpolated fixed point from the policy's action values, in reward units."""
    return _largest(_fixed_point(c, c.extra("share")) - c.action_values[:, 0])


@define("best_over_mean", r"\max_s\left[\max_aQ^\pi-\mathbb{E}_\pi Q^\pi\right]", "step")
def _best_over_mean(c: Context) -> Array:
    """Largest advantage of any state's best action, in reward units."""
    values = c.action_values[:, c.now]
    return per_record(arithmetic.maximum(arithmetic.maximum(values, axis=-1) - (c.policies[:, c.now] * values).sum(axis=-1), axis=-1))


@define("target_bias", r"\mathbb{E}\,T_k(Q+e)-T_kQ", "step", "state-action pairs")
def _target_bias(c: Context) -> Array:
    """Bias of an interpolated target under noise that is +e or -e with equal chances, in reward units."""
    return flat(_bias(c, c.extra("share"))[:, None])


@define("target_bias_of_max", r"\gamma P\left(\mathbb{E}\max_a(Q+e)-\max_aQ\right)", "step", "state-action pairs")
def _target_bias_of_max(c: Context) -> Array:
    """Discounted expectation of by how much noise that is +e or -e with equal chances raises the largest action value of the next state, in reward
    units; found without any backup."""
    values, noise = c.extra("first"), c.extra("second")
    raised = (arithmetic.maximum(values + noise, axis=-1) + arithmetic.maximum(values - noise, axis=-1)) / 2 - arithmetic.maximum(values, axis=-1)
    return flat((c.discount[:, None, None] * (c.transitions * raised[:, None, None]).sum(axis=-1))[:, None])


def _bias(c: Context, share: Array) -> Array:
    values, noise = c.extra("first"), c.extra("second")
    noisy = [_backed_up(c, values + sign * noise, share) for sign in (1, -1)]
    return (noisy[0] + noisy[1]) / 2 - _backed_up(c, values, share)


def _interpolated(c: Context, action_values: Array) -> Array:
    return _backed_up(c, action_values, c.extra("share"))


def _backed_up(c: Context, action_values: Array, share: Array) -> Array:
    from pgtheory.policy_gradient.interpolated import interpolated_backup

    discount = c.discount[:, None, None]
    return interpolated_backup(action_values, c.policies[:, 0], c.transitions, c.rewards, discount, share[:, None])


def _fixed_point(c: Context, share: Array) -> Array:
    """Q_k: the optimum of the model in which a choice counts with weight k and the policy with 1 - k."""
    weight, policy = share[:, None, None], c.policies[:, 0]
    own_moves = (policy[..., None] * c.transitions).sum(axis=-2)[:, :, None]
    own_pay = (policy * c.rewards).sum(axis=-1)[..., None]
    transitions = weight[..., None] * c.transitions + (1 - weight[..., None]) * own_moves
    values = optimal_values(c, transitions, weight * c.rewards + (1 - weight) * own_pay)
    return _lookahead(c, values)


def optimal_values(c: Context, transitions: Array, rewards: Array) -> Array:
    """V* (B, S) of other transitions and rewards at the same discount: exact in rationals, enclosed in balls."""
    from pgtheory.exact.batch import batch_optimal
    from proofs_check.numbers import to_float, widen

    values, action_values = batch_optimal(to_float(transitions), to_float(rewards), to_float(c.discount))
    if c.kind == "float":
        return values
    discount = c.discount[:, None, None]
    policy = c.constant(np.eye(rewards.shape[-1], dtype=np.int64)[action_values.argmax(axis=-1)])
    if c.kind == "rational":
        while True:
            found = arithmetic.policy_values(policy, transitions, rewards, discount)
            ahead = arithmetic.lookahead(transitions, rewards, discount, found)
            better = np.stack([arithmetic.improve(p, x, g) for p, x, g in zip(policy, ahead, c.discount, strict=True)])
            if (better == policy).all():
                return found
            policy = better
    found = arithmetic.midpoint(arithmetic.policy_values(policy, transitions, rewards, discount))
    backed = arithmetic.maximum(arithmetic.lookahead(transitions, rewards, discount, found), axis=-1)
    error = arithmetic.maximum(np.abs(backed - found), axis=-1) / (1 - c.discount)
    return widen(found, error[:, None])


# Mapped values


@define("mapped_gap_0", r"\|Q_0-Q^*\|_\infty", "instance")
def _mapped_gap_start(c: Context) -> Array:
    """Largest error of the start values, which lie in [3/10, 3/10 + 1/(1-gamma)], in reward units."""
    first, best, _ = _mapped(c)
    return _largest(first - best)


@define("mapped_gap_log", r"\|Q_1-Q^*\|_\infty,\ f=\log", "instance")
def _mapped_gap_log(c: Context) -> Array:
    """Largest error after one step of value iteration mapped by the logarithm, in reward units."""
    return _mapped_gap(c, "log")


@define("mapped_gap_square", r"\|Q_1-Q^*\|_\infty,\ f(x)=x^2", "instance")
def _mapped_gap_square(c: Context) -> Array:
    """Largest error after one step of value iteration mapped by the square, in reward units."""
    return _mapped_gap(c, "square")


@define("mapped_gap_root", r"\|Q_1-Q^*\|_\infty,\ f=\sqrt{\cdot}", "instance")
def _mapped_gap_root(c: Context) -> Array:
    """Largest error after one step of value iteration mapped by the square root, in reward units."""
    return _mapped_gap(c, "root")


@define("box_ratio", r"\ell/h", "instance")
def _box_ratio(c: Context) -> Array:
    """Ratio of the ends of the interval [l, h] = [3/10, 3/10 + 1/(1-gamma)] of the mapped values."""
    low = _floor_of(c)
    return per_instance(low / (low + 1 / (1 - c.discount)))


@define("channel_sums", r"\textstyle\sum_jw_jQ_j\text{ after three backups}", "instance", "state-action pairs")
def _channel_sums(c: Context) -> Array:
    """Weighted sum of the channels' values after three backups at the action that is greedy for the sum, from 0, in reward units."""
    from pgtheory.policy_gradient.orchestrated import channel_backup

    weights, rewards, out = c.extra("weights"), c.extra("channel_rewards"), []
    for b in range(c.discount.size):
        channels = rewards[b] * 0
        for _ in range(3):
            channels = channel_backup(channels, weights[b], c.transitions[b], rewards[b], c.discount[b])
        out.append((weights[b][:, None, None] * channels).sum(axis=0))
    return flat(np.stack(out)[:, None])


@define("summed_iteration", r"T^3\,0\text{ for }r=\textstyle\sum_jw_jr_j", "instance", "state-action pairs")
def _summed_iteration(c: Context) -> Array:
    """Action values after three backups of value iteration with the summed reward, from 0, in reward units."""
    rewards = (c.extra("weights")[..., None, None] * c.extra("channel_rewards")).sum(axis=1)
    values = rewards * 0
    for _ in range(3):
        values = arithmetic.lookahead(c.transitions, rewards, c.discount[:, None, None], arithmetic.maximum(values, axis=-1))
    return flat(values[:, None])


@define("channelwise_iteration", r"\textstyle\sum_jw_jT_j^3\,0", "instance", "state-action pairs")
def _channelwise_iteration(c: Context) -> Array:
    """Weighted sum of three backups of value iteration, each channel for itself at its own greedy action, from 0, in reward units."""
    rewards = c.extra("channel_rewards")
    values = rewards * 0
    for _ in range(3):
        best = arithmetic.maximum(values.reshape(-1, *values.shape[2:]), axis=-1).reshape(*values.shape[:-1])
        values = rewards + c.discount[:, None, None, None] * (c.transitions[:, None] * best[:, :, None, None, :]).sum(axis=-1)
    return flat((c.extra("weights")[..., None, None] * values).sum(axis=1)[:, None])


def _mapped_gap(c: Context, name: str) -> Array:
    from pgtheory.policy_gradient.orchestrated import MAPPINGS, orchestrated_backup

    first, best, rewards = _mapped(c)
    discount, rates = c.discount[:, None, None], [given(c, rate)[:, None, None] for rate in ("reward_rate", "map_rate")]
    return _largest(orchestrated_backup(first, c.transitions, rewards, discount, MAPPINGS[name], *rates) - best)


def _mapped(c: Context) -> tuple[Array, Array, Array]:
    """(Q_0, Q*, rewards) of the model with rewards raised by (3/10)(1 - gamma), so that its values lie in [3/10, 3/10 + 1/(1-gamma)]."""
    low = _floor_of(c)[:, None, None]
    raised = c.rewards + low * (1 - c.discount)[:, None, None]
    return low + c.extra("height") / (1 - c.discount)[:, None, None], c.optimum.action_values + low, raised


def _floor_of(c: Context) -> Array:
    return (c.discount * 0 + FLOOR[0]) / FLOOR[1]


def _lookahead(c: Context, values: Array) -> Array:
    return arithmetic.lookahead(c.transitions, c.rewards, c.discount[:, None, None], values)


def _largest(values: Any) -> Array:
    """(B, ...) -> (B, 1, 1): the largest absolute value."""
    return per_instance(arithmetic.maximum(np.abs(values).reshape(len(values), -1), axis=-1))
