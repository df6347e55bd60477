"""One-sample gradients of a bandit by enumeration: means, variances, baselines; and what a sample of a Markov chain is worth.

The score of arm a is the vector e_a - pi, so that means and variances are rational in the policy and the rewards.  Everything here that a statement
calls a mean or a variance is a sum over the outcomes of the definition; closed forms stand in the statements.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.quantities.registry import define, flat, per_instance, per_record

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


def _bandit(c: Context) -> tuple[Array, Array]:
    """(policy (B, R, K), rewards (B, 1, K))."""
    return c.policies[:, c.now, 0], c.rewards[:, None, 0]


def arm_scores(policy: Array) -> Array:
    """(B, R, K, K): the score e_a - pi of every arm a, along the last axis."""
    arms = policy.shape[-1]
    return np.eye(arms, dtype=int) - policy[..., None, :] * np.ones((arms, 1), dtype=int)


def _mean(policy: Array, each: Array) -> Array:
    """(B, R, N): the mean of one vector an arm, each (B, R, K, N)."""
    return (policy[..., None] * each).sum(axis=-2)


def total_variance(policy: Array, each: Array) -> Array:
    """(B, R): E|g|^2 - |E g|^2 of one vector an arm."""
    mean = _mean(policy, each)
    return (policy * (each * each).sum(axis=-1)).sum(axis=-1) - (mean * mean).sum(axis=-1)


def _estimates(c: Context, baseline: Array) -> Array:
    """(B, R, K, K): score of a times (r_a - baseline); baseline (B, R)."""
    policy, rewards = _bandit(c)
    return arm_scores(policy) * (rewards - baseline[..., None])[..., None]


def _given_baseline(c: Context) -> Array:
    return np.broadcast_to(c.extra("baseline")[:, None], c.policies[:, c.now, 0, 0].shape)


def _variance(c: Context, baseline: Array) -> Array:
    policy, _ = _bandit(c)
    return per_record(total_variance(policy, _estimates(c, baseline)))


def _best(c: Context) -> Array:
    """(B, R): E[|s|^2 r] / E|s|^2, from the scores' own lengths; 0 where every score is."""
    policy, rewards = _bandit(c)
    lengths = (arm_scores(policy) ** 2).sum(axis=-1)
    weight = (policy * lengths).sum(axis=-1)
    sure = weight == 0
    return (policy * lengths * rewards).sum(axis=-1) / np.where(sure, weight * 0 + 1, weight)


@define("baseline", "b", "instance")
def _baseline(c: Context) -> Array:
    """What is taken off every reward before it weighs the score, in reward units."""
    return per_instance(c.extra("baseline"))


@define("best_baseline", "b^*", "step")
def _best_baseline(c: Context) -> Array:
    """Mean reward with every arm weighed by its probability times the squared length of its score, in reward units."""
    return per_record(_best(c))


@define("value_now", r"\pi\cdot r", "step")
def _value_now(c: Context) -> Array:
    """Expected reward of a bandit's policy, in reward units."""
    policy, rewards = _bandit(c)
    return per_record((policy * rewards).sum(axis=-1))


@define("score_size", r"\mathbb{E}\|s\|^2", "step")
def _score_size(c: Context) -> Array:
    """Mean squared length of the score."""
    policy, _ = _bandit(c)
    return per_record((policy * (arm_scores(policy) ** 2).sum(axis=-1)).sum(axis=-1))


@define("estimate_variance", r"\mathrm{Var}\,s(r-b)", "step")
def _estimate_variance(c: Context) -> Array:
    """Total variance of the one-sample gradient with the given baseline, in squared reward units."""
    return _variance(c, _given_baseline(c))


@define("bare_variance", r"\mathrm{Var}\,s\,r", "step")
def _bare_variance(c: Context) -> Array:
    """Total variance of the one-sample gradient without a baseline, in squared reward units."""
    return _variance(c, _given_baseline(c) * 0)


@define("value_variance", r"\mathrm{Var}\,s(r-\pi\cdot r)", "step")
def _value_variance(c: Context) -> Array:
    """Total variance of the one-sample gradient with the policy's value as baseline, in squared reward units."""
    policy, rewards = _bandit(c)
    return _variance(c, (policy * rewards).sum(axis=-1))


@define("best_baseline_variance", r"\mathrm{Var}\,s(r-b^*)", "step")
def _least_variance(c: Context) -> Array:
    """Total variance of the one-sample gradient with the best baseline, in squared reward units."""
    return _variance(c, _best(c))


@define("other_arms_reward", r"\tfrac1{K-1}\textstyle\sum_a(1-\pi_a)r_a", "step")
def _other_arms_reward(c: Context) -> Array:
    """Each reward weighed by the probability of the other arms, over their number, in reward units; of one arm 0."""
    policy, rewards = _bandit(c)
    return per_record(((1 - policy) * rewards).sum(axis=-1) / max(policy.shape[-1] - 1, 1))


# A baseline that looks at the action


@define("action_baseline_mean", r"\mathbb{E}[s_a(r_a-b_a)]", "step", "arms")
def _action_baseline_mean(c: Context) -> Array:
    """Mean of the one-sample gradient with a baseline of the arm that was pulled, in reward units."""
    policy, rewards = _bandit(c)
    return _mean(policy, arm_scores(policy) * (rewards - c.extra("arm_baseline")[:, None])[..., None])


@define("action_baseline_closed", r"\pi\circ(r-b-\pi\cdot(r-b))", "step", "arms")
def _action_baseline_closed(c: Context) -> Array:
    """The softmax gradient of the rewards less that of the baseline, in reward units."""
    policy, rewards = _bandit(c)
    left = rewards - c.extra("arm_baseline")[:, None]
    return policy * (left - (policy * left).sum(axis=-1)[..., None])


@define("corrected_mean", r"\mathbb{E}[s_a(r_a-b_a)]+\nabla\,\pi\cdot b", "step", "arms")
def _corrected_mean(c: Context) -> Array:
    """The same with the gradient of the mean baseline added back, arm by arm from the derivatives of the softmax, in reward units."""
    policy, rewards = _bandit(c)
    table = c.extra("arm_baseline")[:, None]
    slopes = policy[..., None] * arm_scores(policy)  # d pi_a / d theta, a along the second axis from the end
    return _mean(policy, arm_scores(policy) * (rewards - table)[..., None]) + (table[..., None] * slopes).sum(axis=-2)


@define("bandit_gradient", r"\nabla_\theta\,\pi\cdot r", "step", "arms")
def _bandit_gradient(c: Context) -> Array:
    """The gradient of a bandit's value in its logits, in reward units."""
    policy, rewards = _bandit(c)
    return policy * (rewards - (policy * rewards).sum(axis=-1)[..., None])


# Two agents


@define("joint_critic_variance", r"\mathrm{Var}\,s_aQ(a,b)", "step")
def _joint_critic_variance(c: Context) -> Array:
    """Total variance of the first agent's one-sample gradient with the joint action's value, over both agents' draws, in squared reward units."""
    policy, _ = _bandit(c)
    table, others = c.extra("joint")[:, None], c.extra("partner")[:, None]
    squares = (policy * (arm_scores(policy) ** 2).sum(axis=-1) * (others[..., None, :] * table * table).sum(axis=-1)).sum(axis=-1)
    mean = _mean(policy, arm_scores(policy) * (others[..., None, :] * table).sum(axis=-1)[..., None])
    return per_record(squares - (mean * mean).sum(axis=-1))


@define("own_critic_variance", r"\mathrm{Var}\,s_a\bar Q(a)", "step")
def _own_critic_variance(c: Context) -> Array:
    """The same with the value of its own action, averaged over the partner, in squared reward units."""
    policy, _ = _bandit(c)
    own = (c.extra("partner")[:, None, None, :] * c.extra("joint")[:, None]).sum(axis=-1)
    return per_record(total_variance(policy, arm_scores(policy) * own[..., None]))


@define("partner_noise", r"\textstyle\sum_ap_a\|e_a-p\|^2\mathrm{Var}_bQ(a,b)", "step")
def _partner_noise(c: Context) -> Array:
    """Variance of the joint action's value over the partner's draw, weighed by probability and squared score of the own action."""
    policy, _ = _bandit(c)
    table, others = c.extra("joint")[:, None], c.extra("partner")[:, None, None, :]
    mean = (others * table).sum(axis=-1)
    spread = (others * (table - mean[..., None]) ** 2).sum(axis=-1)
    return per_record((policy * (1 - 2 * policy + (policy * policy).sum(axis=-1)[..., None]) * spread).sum(axis=-1))


# Importance weights between two softmax rows


@define("weight_moment", r"\textstyle\sum_a\pi_a^2/\pi'_a", "step")
def _weight_moment(c: Context) -> Array:
    """Second moment of the importance weight pi / pi' for draws of pi', which has the logits of pi shifted by `shift`."""
    policy, _ = _bandit(c)
    tilted = policy * arithmetic.exp(c.extra("shift"))[:, None]
    moved = tilted / tilted.sum(axis=-1)[..., None]
    return per_record((policy * policy / moved).sum(axis=-1))


@define("shift_span", r"\max_ad_a-\min_ad_a", "instance")
def _shift_span(c: Context) -> Array:
    """Largest difference of two entries of the shift of the logits."""
    shift = c.extra("shift")
    return per_instance(arithmetic.maximum(shift, axis=-1) - arithmetic.minimum(shift, axis=-1))


# Variance of the next value along a chain


@define("value_noise_sum", r"\left\|(I-\gamma P_\pi)^{-1}\sqrt{\mathrm{Var}_{P_\pi}V^\pi}\right\|_\infty", "step")
def _value_noise_sum(c: Context) -> Array:
    """Largest discounted sum of the standard deviations of the next state's value along the chain of the policy, in reward units."""
    chain, values = c.chain[:, c.now], c.values[:, c.now]
    mean = np.einsum("brst,brt->brs", chain, values)
    variance = np.einsum("brst,brst->brs", chain, (values[..., None, :] - mean[..., None]) ** 2)
    matrix = chain * -c.discount[:, None, None, None]
    states = np.arange(chain.shape[-1])
    matrix[..., states, states] = matrix[..., states, states] + 1
    return per_record(arithmetic.maximum(arithmetic.solve(matrix, arithmetic.sqrt(variance)), axis=-1))


# Errors under one law seen from another


def _mean_error(c: Context, law: str) -> Array:
    return per_instance((c.extra(law) * arithmetic.absolute(c.extra("fit_error"))).sum(axis=-1))


@define("policy_error", r"\mathbb{E}_{d^\pi}|e|", "instance")
def _policy_error(c: Context) -> Array:
    """Mean absolute error of a fit under the present policy's data."""
    return _mean_error(c, "own_law")


@define("comparator_error", r"\mathbb{E}_{d^*}|e|", "instance")
def _comparator_error(c: Context) -> Array:
    """Mean absolute error of a fit under the comparator's law."""
    return _mean_error(c, "comparator_law")


def _squared(c: Context, law: Array) -> Array:
    return per_instance((law * c.extra("fit_error") ** 2).sum(axis=-1))


@define("hybrid_loss", r"\mathbb{E}_we^2,\ w=\tfrac12(\nu+d^\pi)", "instance")
def _hybrid_loss(c: Context) -> Array:
    """Mean squared error of a fit under data of which one half is offline and one half from the present policy."""
    return _squared(c, (c.extra("offline_law") + c.extra("own_law")) / 2)


@define("offline_loss", r"\mathbb{E}_\nu e^2", "instance")
def _offline_loss(c: Context) -> Array:
    """Mean squared error of a fit under the offline data alone."""
    return _squared(c, c.extra("offline_law"))


@define("offline_coverage", r"\|d^*/\nu\|_\infty", "instance")
def _coverage(c: Context) -> Array:
    """Largest ratio of the comparator's law to the offline data's."""
    return per_instance(arithmetic.maximum(c.extra("comparator_law") / c.extra("offline_law"), axis=-1))


__all__ = ["arm_scores", "flat", "total_variance"]
