"""Inverse gap weighting: what a law over arms promises against the worst truth; mixtures of two baselines.

f^ are estimates on K arms, gamma (the setting `scale`) a scale and no discount.  A law p over the arms is worth, against the truth f and arm i,
f_i - E_p f - gamma E_p (f^ - f)^2.  Laws of the form 1/(lambda + c gamma gap) are given by the law itself (the policy), and the estimates by
gap_i = (1/p_i - lambda)/(c gamma) with lambda = 1/max p: so every such law is met, and everything is rational.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.quantities.registry import define, define_setting, given, per_instance, per_record
from proofs_check.quantities.sampled_scores import arm_scores, total_variance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
define_setting("scale_of_gaps", r"\gamma", "scale of inverse gap weighting, in 1 over reward units")


def _law(c: Context) -> Array:
    return c.policies[:, 0, 0]


def _least(c: Context) -> Array:
    """lambda = 1/max p: (B,)."""
    return 1 / arithmetic.maximum(_law(c), axis=-1)


def _estimates(c: Context, factor: int) -> Array:
    """f^ = -gap for the law 1/(lambda + factor gamma gap): (B, K)."""
    rate = factor * given(c, "scale_of_gaps")
    return (_least(c)[:, None] - 1 / _law(c)) / rate[:, None]


def _worth(c: Context, p: Array, estimates: Array, truth: Array) -> Array:
    """f_i - E_p f - gamma E_p (f^ - f)^2 for every arm i: truth (B, N, K) -> (B, N, K)."""
    wrong = (p[:, None] * (estimates[:, None] - truth) ** 2).sum(axis=-1)
    return truth - (p[:, None] * truth).sum(axis=-1)[..., None] - (given(c, "scale_of_gaps")[:, None] * wrong)[..., None]


def _worst(c: Context, p: Array, estimates: Array) -> Array:
    """The same for arm i against the truth that is worst for it, f = f^ + (e_i/p_i - 1)/(2 gamma): (B, K)."""
    arms = p.shape[-1]
    eye = np.eye(arms, dtype=int)
    lift = (eye[None] / p[:, None] - 1) / (2 * given(c, "scale_of_gaps"))[:, None, None]
    every = _worth(c, p, estimates, estimates[:, None] + lift)
    return every[:, np.arange(arms), np.arange(arms)]


@define("gap_law_worth", r"\sup_f\{f_i-\mathbb{E}_pf-\gamma\mathbb{E}_p(\hat f-f)^2\},\ p=\tfrac1{\lambda+4\gamma\Delta}", "step", "arms")
def _gap_law_worth(c: Context) -> Array:
    """Worth of inverse gap weighting against the worst truth for each arm, at the truth where the derivative vanishes, in reward units."""
    return _worst(c, _law(c), _estimates(c, 4))[:, None]


@define("gap_law_regret", r"\max_if_i-\mathbb{E}_pf-\gamma\mathbb{E}_p(\hat f-f)^2,\ p=\tfrac1{\lambda+4\gamma\Delta}", "step")
def _gap_law_regret(c: Context) -> Array:
    """The same against a given truth and its best arm, in reward units."""
    return per_instance(arithmetic.maximum(_worth(c, _law(c), _estimates(c, 4), c.extra("truth")[:, None])[:, 0], axis=-1))


@define("any_law_worth", r"\max_i\sup_f\{f_i-\mathbb{E}_pf-\gamma\mathbb{E}_p(\hat f-f)^2\},\ \text{any }p,\hat f", "step")
def _any_law_worth(c: Context) -> Array:
    """The same for any law and any estimates, the extra `truth` taken for the estimates, at the worst truth, in reward units."""
    return per_instance(arithmetic.maximum(_worst(c, _law(c), c.extra("truth")), axis=-1))


@define("half_gap_law_worth", r"\max_i\sup_f\{\dots\},\ p=\tfrac1{\lambda+2\gamma\Delta}", "step")
def _half_gap_law_worth(c: Context) -> Array:
    """The same for inverse gap weighting with half the weight of the gaps, in reward units."""
    return per_instance(arithmetic.maximum(_worst(c, _law(c), _estimates(c, 2)), axis=-1))


@define("double_gap_law_worth", r"\max_i\sup_f\{\dots\},\ p=\tfrac1{\lambda+8\gamma\Delta}", "step")
def _double_gap_law_worth(c: Context) -> Array:
    """The same for inverse gap weighting with twice the weight of the gaps, in reward units."""
    return per_instance(arithmetic.maximum(_worst(c, _law(c), _estimates(c, 8)), axis=-1))


@define("least_denominator", r"\lambda=1/\max_ip_i", "step")
def _least_denominator(c: Context) -> Array:
    """What is added to the weighted gaps in the law's denominators."""
    return per_instance(_least(c))


def _simple_law(c: Context) -> tuple[Array, Array]:
    """1/(K + gamma gap) off the first arm, whose gap is 0, and the rest on it; with the estimates -gap: (B, K) each."""
    gaps = c.extra("shortfalls")
    arms = gaps.shape[-1]
    first = np.arange(arms) == 0
    gaps = np.where(first, gaps * 0, gaps)
    off = np.where(first, gaps * 0, 1 / (arms + given(c, "scale_of_gaps")[:, None] * gaps))
    return np.where(first, 1 - off.sum(axis=-1)[:, None], off), -gaps


@define("simple_law_regret", r"\max_if_i-\mathbb{E}_pf,\ p_i=\tfrac1{K+\gamma\Delta_i}", "instance")
def _simple_law_regret(c: Context) -> Array:
    """Regret of the simple form of inverse gap weighting under a given truth, in reward units."""
    p, _ = _simple_law(c)
    truth = c.extra("truth")
    return per_instance(arithmetic.maximum(truth, axis=-1) - (p * truth).sum(axis=-1))


@define("simple_law_error", r"\mathbb{E}_p(\hat f-f)^2,\ p_i=\tfrac1{K+\gamma\Delta_i}", "instance")
def _simple_law_error(c: Context) -> Array:
    """Mean squared error of the estimates under the same law, in squared reward units."""
    p, estimates = _simple_law(c)
    return per_instance((p * (estimates - c.extra("truth")) ** 2).sum(axis=-1))


# Mixtures of two baselines


def _parts(c: Context) -> tuple[Array, Array, Array]:
    """Policy, scores (B, K, K) and rewards of a bandit."""
    policy = _law(c)
    return policy, arm_scores(policy), c.rewards[:, 0]


def _variance_at(c: Context, baseline: Array) -> Array:
    policy, scores, rewards = _parts(c)
    return per_record(total_variance(policy, scores * (rewards - baseline[:, None])[..., None])[:, None])


def _best_share(c: Context) -> Array:
    """Share of the second baseline that brings the mixture nearest to E[|s|^2 r]/E|s|^2, within [0, 1]; 0 where both are the same or no score is."""
    policy, scores, rewards = _parts(c)
    weight = policy * (scores * scores).sum(axis=-1)
    total, apart = weight.sum(axis=-1), c.extra("second_baseline") - c.extra("first_baseline")
    idle = np.asarray((total == 0) | (apart == 0), dtype=bool)
    best = (weight * rewards).sum(axis=-1) / np.where(idle, total * 0 + 1, total)
    share = (best - c.extra("first_baseline")) / np.where(idle, apart * 0 + 1, apart)
    share = np.where(np.asarray(share > 0, dtype=bool), share, share * 0)
    share = np.where(np.asarray(share < 1, dtype=bool), share, share * 0 + 1)
    return np.where(idle, share * 0, share)


def _mixed(c: Context, share: Array) -> Array:
    return (1 - share) * c.extra("first_baseline") + share * c.extra("second_baseline")


@define("first_baseline_variance", r"\mathrm{Var}\,s(r-b_1)", "step")
def _first_baseline_variance(c: Context) -> Array:
    """Total variance of the one-sample gradient with the first of two baselines, in squared reward units."""
    return _variance_at(c, c.extra("first_baseline"))


@define("second_baseline_variance", r"\mathrm{Var}\,s(r-b_2)", "step")
def _second_baseline_variance(c: Context) -> Array:
    """The same with the second, in squared reward units."""
    return _variance_at(c, c.extra("second_baseline"))


@define("mixed_baseline_variance", r"\mathrm{Var}\,s(r-(1-\alpha^*)b_1-\alpha^*b_2)", "step")
def _mixed_baseline_variance(c: Context) -> Array:
    """The same with the best mixture of both, in squared reward units."""
    return _variance_at(c, _mixed(c, _best_share(c)))


@define("halved_baseline_variance", r"\mathrm{Var}\,s(r-\tfrac{b_1+b_2}2)", "step")
def _halved_baseline_variance(c: Context) -> Array:
    """The same with the mean of both, in squared reward units."""
    return _variance_at(c, (c.extra("first_baseline") + c.extra("second_baseline")) / 2)


@define("noisy_baseline_variance", r"\mathbb{E}_\xi\mathrm{Var}\,s(r-b_1-\xi),\ \xi=\pm b_2", "step")
def _noisy_baseline_variance(c: Context) -> Array:
    """Mean variance where the first baseline errs by the second, up or down with equal probability, in squared reward units."""
    both = [_variance_at(c, c.extra("first_baseline") + sign * c.extra("second_baseline")) for sign in (1, -1)]
    return (both[0] + both[1]) / 2


@define("second_baseline_square", "b_2^2", "instance")
def _second_baseline_square(c: Context) -> Array:
    """Square of the second baseline, in squared reward units."""
    return per_instance(c.extra("second_baseline") ** 2)
