"""Softmax and its relatives along a run: escort and barrier gradients, entropy, odds, how fast a probability can grow, what a wrong target does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.numbers import smaller
from proofs_check.quantities.gaps import gap_under
from proofs_check.quantities.natural_gradient import soft_values
from proofs_check.quantities.registry import define, define_setting, flat, given, norm, per_record, running

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
define_setting("lam", r"\lambda", "weight of the log barrier, in reward units")
define_setting("power", "p", "exponent of the escort transform, at least 1")
define_setting("scale", r"\|\theta\|_p", "p-norm of each state's escort parameters")


# Probabilities along a run


@define("next_min_optimal_probability", r"\min_s \pi_{t+1}(a^*(s)|s)", "pair")
def _next_min_optimal_probability(c: Context) -> Array:
    """Smallest probability that any state gives to its optimal action after the next step."""
    return per_record(arithmetic.minimum((c.policies[:, c.then] * c.selection[:, None]).sum(axis=-1), axis=-1))


@define("least_probability", r"\min_{k\le t}\min_{s,a}\pi_k(a|s)", "step", history=True)
def _least_probability(c: Context) -> Array:
    """Smallest probability that any state has given to any action at any step so far."""
    low = c.minima if c.minima is not None else running(smaller, c.policies)
    return arithmetic.minimum(flat(low[:, c.now]), axis=-1)[..., None]


@define("min_probability", r"\min_{s,a}\pi_t(a|s)", "step")
def _min_probability(c: Context) -> Array:
    """Smallest probability that any state gives to any action."""
    return arithmetic.minimum(flat(c.policies[:, c.now]), axis=-1)[..., None]


@define("sum_of_min_probabilities", r"\textstyle\sum_{k<t}\min_a\pi_k(a)", "step", history=True)
def _sum_of_min_probabilities(c: Context) -> Array:
    """Sum over all steps before t of the smallest probability of any action in any state."""
    each = arithmetic.minimum(flat(c.policies), axis=-1)
    return per_record((each.cumsum(axis=1) - each)[:, c.now])


@define("regret_mu", r"\textstyle\sum_{k\le t}\left(V^*(\mu)-V^{\pi_k}(\mu)\right)", "step", history=True)
def _regret_mu(c: Context) -> Array:
    """Sum of the gaps under mu of all policies up to and with t, in reward units."""
    return gap_under(c, c.mu, records=slice(None)).cumsum(axis=1)[:, c.now]


@define("inverse_probability_drop", r"\max_{s,a}\left(1/\pi_0(a|s)-1/\pi_t(a|s)\right)", "step")
def _inverse_probability_drop(c: Context) -> Array:
    """By how much the reciprocal of any action's probability fell since the start, at most."""
    return arithmetic.maximum(flat(1 / c.policies[:, :1] - 1 / c.policies[:, c.now]), axis=-1)[..., None]


@define("optimal_odds", r"\max_s\frac{1-\pi_t(a^*(s)|s)}{\pi_t(a^*(s)|s)}", "step")
def _optimal_odds(c: Context) -> Array:
    """Largest odds of any state against its optimal action."""
    return _odds(c, c.now)


@define("next_optimal_odds", r"\max_s\frac{1-\pi_{t+1}(a^*(s)|s)}{\pi_{t+1}(a^*(s)|s)}", "pair")
def _next_optimal_odds(c: Context) -> Array:
    """Largest odds of any state against its optimal action after the next step."""
    return _odds(c, c.then)


def _odds(c: Context, records: Array) -> Array:
    best, policies = c.selection[:, None], c.policies[:, records]
    return per_record(arithmetic.maximum((policies * (1 - best)).sum(axis=-1) / (policies * best).sum(axis=-1), axis=-1))


# A target of Polyak's step that is not the optimum: Newton's method for the level


@define("level", r"\hat p", "step")
def _level(c: Context) -> Array:
    """Probability of the better arm at which the value is the target of the step, between the current one and 1."""
    return per_record(_levels(c))


def _levels(c: Context) -> Array:
    """(B, R): pi(a*) + share (1 - pi(a*))."""
    likely = (c.policies[:, c.now, 0] * c.selection[:, None, 0]).sum(axis=-1)
    return likely + c.extra("share_of_the_way")[:, None] * (1 - likely)


@define("level_error", r"\hat x - x", "step")
def _level_error(c: Context) -> Array:
    """Distance in log odds of the better of two arms from the level."""
    return _from_level(c, moved=False)


@define("next_level_error", r"\hat x - x_+", "step")
def _next_level_error(c: Context) -> Array:
    """The same distance after one Polyak step of softmax policy gradient with the level's value as target."""
    return _from_level(c, moved=True)


def _from_level(c: Context, moved: bool) -> Array:
    """Everything by the general formulas: gradient pi (r - pi.r), step (target - value)/|gradient|^2, logits + step gradient."""
    best, paid = c.selection[:, None, 0], c.rewards[:, None, 0]
    logs, policies = c.log_policies[:, c.now, 0], c.policies[:, c.now, 0]
    other, level = 1 - best, _levels(c)
    if paid.shape[-1] != 2:  # one arm: it is at every level
        return per_record((policies * 0).sum(axis=-1))
    good, bad = (best * paid).sum(axis=-1), (other * paid).sum(axis=-1)
    value = (policies * paid).sum(axis=-1)
    gradient = policies * (paid - value[..., None])
    square = (gradient * gradient).sum(axis=-1)
    if moved:
        still = square == 0
        step = np.where(still, square, (bad + level * (good - bad) - value) / np.where(still, square + 1, square))
        logs = logs + step[..., None] * gradient
    return per_record(arithmetic.log(level) - arithmetic.log(1 - level) - ((best - other) * logs).sum(axis=-1))


# Gradients of the variants


@define("escort_gradient_norm", r"\|\nabla_\theta V(\mu)\|_2", "step")
def _escort_gradient_norm(c: Context) -> Array:
    """Euclidean norm of the gradient of V(mu) in escort parameters of the given p-norm in each state, in reward units."""
    power, scale = (given(c, name)[:, None, None, None] for name in ("power", "scale"))
    params = arithmetic.exp(arithmetic.log(c.policies[:, c.now]) / power) * scale
    weights = c.visits_mu[:, c.now][..., None] * c.policies[:, c.now] * c.advantages[:, c.now] / (1 - c.discount)[:, None, None, None]
    return norm(flat(power * weights / params))


@define("barrier_gradient_norm", r"\|\nabla_\theta L_\lambda\|_2", "step")
def _barrier_gradient_norm(c: Context) -> Array:
    """Euclidean norm of the gradient of V(mu) + lambda/(S A) sum log pi in the logits, in reward units."""
    states, actions = c.rewards.shape[1:]
    policies = c.policies[:, c.now]
    gradient = c.visits_mu[:, c.now][..., None] * policies * c.advantages[:, c.now] / (1 - c.discount)[:, None, None, None]
    return norm(flat(gradient + given(c, "lam")[:, None, None, None] / (states * actions) * (1 - actions * policies)))


@define("soft_gradient_norm", r"\|\nabla_\theta V^{\pi_t}_\tau(\mu)\|_2", "step")
def _soft_gradient_norm(c: Context) -> Array:
    """Euclidean norm of the gradient of the entropy-regularised value from mu in the logits, in reward units."""
    policies, logs = c.policies[:, c.now], c.log_policies[:, c.now]
    values = soft_values(c, c.now)
    gain = c.backup(values) - given(c, "tau")[:, None, None, None] * logs - values[..., None]
    return norm(flat(c.visits_mu[:, c.now][..., None] * policies * gain / (1 - c.discount)[:, None, None, None]))


@define("soft_gap_rho", r"V^*_\tau(\rho)-V^{\pi_t}_\tau(\rho)", "step")
def _soft_gap_rho(c: Context) -> Array:
    """Entropy-regularised gap of the current policy under rho, in reward units."""
    return per_record(((c.soft_optimum[0][:, None] - soft_values(c, c.now)) * c.rho[:, None]).sum(axis=-1))


@define("largest_logit", r"\|\theta_0\|_\infty", "instance")
def _largest_logit(c: Context) -> Array:
    """Largest start logit in size, for the logits of the start policy (each state's are free of a constant) that make it smallest: half the largest
    range of log pi of a state."""
    logs = c.log_policies[:, :1]
    return per_record(arithmetic.maximum(arithmetic.maximum(logs, axis=-1) - arithmetic.minimum(logs, axis=-1), axis=-1) / 2)


@define("soft_mismatch", r"\left\|d^{\pi^*_\tau}_\mu/\mu\right\|_\infty", "instance")
def _soft_mismatch(c: Context) -> Array:
    """Largest ratio of the soft-optimal policy's visits from mu to mu itself."""
    return per_record(arithmetic.maximum(_soft_visits(c) / c.mu[:, None], axis=-1))


@define("soft_mismatch_policy", r"\left\|d^{\pi^*_\tau}_\mu/d^{\pi_t}_\mu\right\|_\infty", "step")
def _soft_mismatch_policy(c: Context) -> Array:
    """Largest ratio of the soft-optimal policy's visits from mu to the current policy's."""
    return per_record(arithmetic.maximum(_soft_visits(c) / c.visits_mu[:, c.now], axis=-1))


def _soft_visits(c: Context) -> Array:
    """(B, 1, S): visits from mu of softmax(Q*_tau / tau)."""
    import dataclasses

    policy = arithmetic.softmax(c.soft_optimum[1] / given(c, "tau")[:, None, None])
    return dataclasses.replace(c, policies=policy[:, None], logits=None, minima=None, times=c.times[:1], pairs=False).visits_mu
