"""Bandits in which a sampled step may commit to the wrong arm: probabilities of whole runs, expected progress, and variances that do not tell.

Natural step: theta_A += eta (x - b)/pi_A for the arm A drawn and its reward x.  Everything is a sum or product over the draws of the definition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.numbers import to_float
from proofs_check.quantities.registry import define, given, per_instance, per_record
from proofs_check.quantities.sampled_scores import total_variance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


# Runs of one arm


def _run_probability(c: Context, baseline: Array) -> Array:
    """P(the first k draws are all the second of two arms), uniform start, k the setting `backups`: (B,)."""
    wanted, reward = to_float(given(c, "backups")).astype(int), c.rewards[:, 0, 1]
    logits, chance, out = c.rewards[:, 0] * 0, reward * 0 + 1, reward * 0 + 1
    for k in range(1, int(wanted.max(initial=0)) + 1):
        share = arithmetic.softmax(logits)[:, 1]
        chance = chance * share
        out = np.where(wanted == k, chance, out)
        step = given(c, "eta") * (reward - baseline) / np.where(np.asarray(share > 0, dtype=bool), share, share * 0 + 1)
        logits = np.stack([logits[:, 0], logits[:, 1] + step], axis=-1)
    return out


@define("wrong_run", r"P(A_1=\dots=A_k=2)", "instance")
def _wrong_run(c: Context) -> Array:
    """Probability that natural steps without a baseline, from a uniform start, draw the second of two arms k times in a row."""
    return per_instance(_run_probability(c, c.discount * 0))


@define("wrong_run_baseline", r"P(A_1=\dots=A_k=2)\ \text{with}\ b", "instance")
def _wrong_run_baseline(c: Context) -> Array:
    """The same with a baseline."""
    return per_instance(_run_probability(c, c.extra("baseline")))


@define("wrong_run_mirrored", r"P(A_1=\dots=A_k=2)\ \text{with}\ r_1+r_2-b", "instance")
def _wrong_run_mirrored(c: Context) -> Array:
    """The same with the baseline mirrored at the mean of the two rewards, the best one at the start."""
    return per_instance(_run_probability(c, c.rewards[:, 0].sum(axis=-1) - c.extra("baseline")))


@define("logistic_product", r"\textstyle\prod_{j<k}\sigma(\eta r_2j)", "instance")
def _logistic_product(c: Context) -> Array:
    """Product of k logistic functions of multiples of eta times the second arm's reward."""
    wanted, slope = to_float(given(c, "backups")).astype(int), given(c, "eta") * c.rewards[:, 0, 1]
    product, out = slope * 0 + 1, slope * 0 + 1
    for k in range(1, int(wanted.max(initial=0)) + 1):
        product = product / (1 + arithmetic.exp(-slope * (k - 1)))
        out = np.where(wanted == k, product, out)
    return per_instance(out)


@define("second_reward", "r_2", "instance")
def _second_reward(c: Context) -> Array:
    """Reward of the second arm of a bandit."""
    return per_instance(c.rewards[:, 0, min(1, c.rewards.shape[2] - 1)])


# Expected progress


def _after(policy: Array, boost: Array) -> Array:
    """Policies (B, K, K) after the logit of arm a, along the second axis, has grown by log boost_a: policy and boost (B, K)."""
    arms = policy.shape[-1]
    eye = np.eye(arms, dtype=int)
    scaled = policy[:, None, :] * (1 + eye * (boost[:, :, None] - 1))
    return scaled / scaled.sum(axis=-1)[..., None]


def _value(policy: Array, rewards: Array) -> Array:
    return (policy * rewards).sum(axis=-1)


def _lifted(policy: Array, steps: Array) -> Array:
    """The same after the logit of arm a has grown by steps_a, which may be long: (B, K, K)."""
    return arithmetic.softmax(arithmetic.log(policy)[:, None] + np.eye(policy.shape[-1], dtype=int) * steps[:, :, None])


def _progress(policy: Array, rewards: Array, after: Array) -> Array:
    """sum_a pi_a (V after a draw of a) - V, after (B, K, K): (B,)."""
    return (policy * (after * rewards[:, None]).sum(axis=-1)).sum(axis=-1) - _value(policy, rewards)


def _bandit(c: Context) -> tuple[Array, Array]:
    return c.policies[:, 0, 0], c.rewards[:, 0]


def _after_natural(c: Context, reward: Array, baseline: Array) -> Array:
    """The policies after a natural step for each arm, were it to pay `reward` (B, K)."""
    policy, _ = _bandit(c)
    return _lifted(policy, given(c, "eta")[:, None] * (reward - baseline[:, None]) / policy)


@define("boosted_progress", r"\textstyle\sum_a\pi_aV(\text{after }a)-V", "step")
def _boosted_progress(c: Context) -> Array:
    """Expected change of a bandit's value where the weight of the arm that is drawn is multiplied by a given factor, in reward units."""
    policy, rewards = _bandit(c)
    return per_instance(_progress(policy, rewards, _after(policy, c.extra("boosts"))))


@define("boosted_progress_closed", r"\textstyle\sum_a\pi_a\tfrac{\pi_a(E_a-1)(r_a-V)}{1+\pi_a(E_a-1)}", "step")
def _boosted_progress_closed(c: Context) -> Array:
    """The same in closed form, in reward units."""
    policy, rewards = _bandit(c)
    gain = policy * (c.extra("boosts") - 1)
    return per_instance((policy * gain * (rewards - _value(policy, rewards)[:, None]) / (1 + gain)).sum(axis=-1))


@define("value_baseline_progress", r"\mathbb{E}V_{t+1}-V_t,\ b=V_t", "step")
def _value_baseline_progress(c: Context) -> Array:
    """Expected change of a bandit's value at a natural step with the value as baseline, rewards certain, in reward units."""
    policy, rewards = _bandit(c)
    return per_instance(_progress(policy, rewards, _after_natural(c, rewards, _value(policy, rewards))))


@define("bare_progress", r"\mathbb{E}V_{t+1}-V_t,\ b=0", "step")
def _bare_progress(c: Context) -> Array:
    """The same without a baseline, in reward units."""
    policy, rewards = _bandit(c)
    return per_instance(_progress(policy, rewards, _after_natural(c, rewards, policy[:, 0] * 0)))


@define("noisy_progress", r"\mathbb{E}V_{t+1}-V_t,\ b=V_t,\ x=\pm1", "step")
def _noisy_progress(c: Context) -> Array:
    """The same with the value as baseline where a draw pays 1 or -1, with the arm's reward as its mean, in reward units."""
    policy, rewards = _bandit(c)
    value, out = _value(policy, rewards), 0
    for x in (1, -1):
        after = _after_natural(c, rewards * 0 + x, value)
        out = out + (policy * (1 + x * rewards) / 2 * (after * rewards[:, None]).sum(axis=-1)).sum(axis=-1)
    return per_instance(np.asarray(out - value))


# Variances of natural estimates


def _natural_estimates(c: Context, baseline: Array, projected: bool) -> Array:
    """e_a (r_a - b)/pi_a, or e_a - 1/K in place of e_a, for every arm: (B, K, K)."""
    policy, rewards = _bandit(c)
    arms = policy.shape[-1]
    unit = np.eye(arms, dtype=int) + c.constant(np.zeros((len(policy), 1, 1), dtype=np.int64))
    if projected:
        unit = unit - c.constant(np.ones(unit.shape, dtype=np.int64)) / arms
    return unit * ((rewards - baseline[:, None]) / policy)[..., None]


def _natural_variance(c: Context, baseline: Array, projected: bool = True) -> Array:
    policy, _ = _bandit(c)
    return per_record(total_variance(policy, _natural_estimates(c, baseline, projected))[:, None])


def _best(c: Context) -> Array:
    policy, rewards = _bandit(c)
    return (rewards / policy).sum(axis=-1) / (1 / policy).sum(axis=-1)


@define("natural_variance_above", r"\mathrm{Var}\left(e_A-\tfrac1K\right)\tfrac{r_A-b^*-x}{\pi_A}", "step")
def _natural_variance_above(c: Context) -> Array:
    """Total variance of the shortest natural estimate with the best baseline raised by x, in squared reward units."""
    return _natural_variance(c, _best(c) + c.extra("apart"))


@define("natural_variance_below", r"\mathrm{Var}\left(e_A-\tfrac1K\right)\tfrac{r_A-b^*+x}{\pi_A}", "step")
def _natural_variance_below(c: Context) -> Array:
    """The same with the best baseline lowered by x, in squared reward units."""
    return _natural_variance(c, _best(c) - c.extra("apart"))


@define("natural_variance_best", r"\mathrm{Var}\left(e_A-\tfrac1K\right)\tfrac{r_A-b^*}{\pi_A}", "step")
def _natural_variance_best(c: Context) -> Array:
    """The same with the mean of the rewards weighed by 1/pi as the baseline, in squared reward units."""
    return _natural_variance(c, _best(c))


@define("raw_variance_above", r"\mathrm{Var}\,e_A\tfrac{r_A-b^*-x}{\pi_A}", "step")
def _raw_variance_above(c: Context) -> Array:
    """Total variance of the natural estimate e_A (r_A - b)/pi_A with the best baseline raised by x, in squared reward units."""
    return _natural_variance(c, _best(c) + c.extra("apart"), projected=False)


@define("raw_variance_below", r"\mathrm{Var}\,e_A\tfrac{r_A-b^*+x}{\pi_A}", "step")
def _raw_variance_below(c: Context) -> Array:
    """The same with the best baseline lowered by x, in squared reward units."""
    return _natural_variance(c, _best(c) - c.extra("apart"), projected=False)


@define("reciprocal_sum", r"\textstyle\sum_a1/\pi_a", "step")
def _reciprocal_sum(c: Context) -> Array:
    """Sum of the reciprocals of a bandit's probabilities."""
    return per_instance((1 / _bandit(c)[0]).sum(axis=-1))


@define("apart", "x", "instance")
def _apart(c: Context) -> Array:
    """By how much a baseline is raised or lowered, in reward units."""
    return per_instance(c.extra("apart"))


# Noise against gradient


@define("smallest_gap", r"\min_{a\ne b}|r_a-r_b|", "instance")
def _smallest_gap(c: Context) -> Array:
    """Smallest difference of two arms' rewards."""
    return per_instance(_least_gap(c, positive=False))


@define("smallest_positive_gap", r"\min_{r_a\ne r_b}|r_a-r_b|", "instance")
def _smallest_positive_gap(c: Context) -> Array:
    """Smallest positive difference of two arms' rewards, 0 where there is none."""
    return per_instance(_least_gap(c, positive=True))


def _least_gap(c: Context, positive: bool) -> Array:
    rewards = c.rewards[:, 0]
    first, second = np.triu_indices(rewards.shape[-1], 1)
    if not len(first):
        return rewards[:, 0] * 0
    gaps = arithmetic.absolute(rewards[:, first] - rewards[:, second])
    if positive:
        most = arithmetic.maximum(gaps, axis=-1)[:, None]
        gaps = np.where(np.asarray(gaps > 0, dtype=bool), gaps, most)
    return arithmetic.minimum(gaps, axis=-1)


@define("bandit_gradient_norm", r"\|\nabla_\theta\,\pi\cdot r\|", "step")
def _bandit_gradient_norm(c: Context) -> Array:
    """Length of the softmax gradient of a bandit's value, in reward units."""
    return per_instance(arithmetic.sqrt(_gradient_square(c)))


@define("bandit_gradient_square", r"\|\nabla_\theta\,\pi\cdot r\|^2", "step")
def _bandit_gradient_square(c: Context) -> Array:
    """Squared length of the softmax gradient of a bandit's value, in squared reward units."""
    return per_instance(_gradient_square(c))


def _gradient_square(c: Context) -> Array:
    policy, rewards = _bandit(c)
    each = policy * (policy[:, None, :] * (rewards[:, :, None] - rewards[:, None, :])).sum(axis=-1)  # no cancellation near a vertex
    return (each * each).sum(axis=-1)


@define("sign_score_square", r"\textstyle\sum_a\pi_a\|e_a-\pi\|^2", "step")
def _sign_score_square(c: Context) -> Array:
    """Second moment of the one-sample gradient of a bandit that pays 1 or -1: the mean squared score, as a sum of products, which does not cancel."""
    policy, _ = _bandit(c)
    first, second = np.triu_indices(policy.shape[-1], 1)
    return per_instance(2 * (policy[:, first] * policy[:, second]).sum(axis=-1))
