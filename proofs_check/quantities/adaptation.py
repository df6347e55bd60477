"""What it takes to change one's mind: estimates after a switch, questions asked in batches, and policies kept ready for several games.

Switch: `before` samples of mean 0, then `after` samples of mean `jump`, each with noise `spread` or -spread, all outcomes followed; step 1/k or
eta.  Softmax on two arms: log odds x, p = 1/(1 + e^-x), x' = x + 2 eta D p(1-p), D the extra `lead`, p the extra `newly_best` at the start.
Questions: m ordered hypotheses, K batches.  Games: `payoffs` (3, 4) of four strategies in three games; A strategies may be kept; `selection`
(3, A) is which of them is played in each game.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.numbers import larger, smaller, to_float
from proofs_check.quantities.registry import define, define_setting, given, per_instance
from proofs_check.robust import exactly_known

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
NEVER = 10**9
"""Questions that no number of batches answers."""
define_setting("before", "t_0", "number of samples before a switch")
define_setting("after", "n", "number of samples or steps after a switch")
define_setting("hypotheses", "m", "number of ordered hypotheses")
define_setting("batches", "K", "number of batches of questions")


def _numbers(c: Context, name: str) -> list[int]:
    return to_float(given(c, name)).astype(int).tolist()


# Estimates after a switch


def _moments(c: Context, step: Callable[[Array, int, int], Array]) -> tuple[Array, Array]:
    """(mean, variance) (B,) of an estimate over all outcomes of the noise; step(eta (b,), k, t0) is the step of the k-th sample, 1, 2, ..."""
    mean, variance = c.discount * 0, c.discount * 0
    pairs = list(zip(_numbers(c, "before"), _numbers(c, "after"), strict=True))
    for t0, n in set(pairs):
        mine = np.array([k for k, pair in enumerate(pairs) if pair == (t0, n)])
        jump, spread, eta = c.extra("jump")[mine], c.extra("spread")[mine], given(c, "eta")[mine]
        estimate = (jump * 0)[:, None]  # unbiased at the switch: the first t0 samples have mean 0
        for k in range(1, t0 + n + 1):
            centre = jump * 0 if k <= t0 else jump
            new = np.stack([centre + spread, centre - spread], axis=-1)
            rate = step(eta, k, t0)[:, None, None]
            estimate = (estimate[:, :, None] + rate * (new[:, None] - estimate[:, :, None])).reshape(len(mine), -1)
        average = estimate.sum(axis=-1) / estimate.shape[-1]
        mean[mine] = average
        variance[mine] = (estimate * estimate).sum(axis=-1) / estimate.shape[-1] - average * average
    return mean, variance


def _of_all(eta: Array, k: int, t0: int) -> Array:
    return (eta * 0 + 1) / k


def _constant(eta: Array, k: int, t0: int) -> Array:
    return eta


@define("sample_mean_bias", r"\mu'-\mathbb{E}\,\bar X_{t_0+n}", "instance")
def _sample_mean_bias(c: Context) -> Array:
    """By how much the mean of all samples falls short of the new mean, over all outcomes of the noise."""
    return per_instance(c.extra("jump") - _moments(c, _of_all)[0])


@define("constant_step_bias", r"\mu'-\mathbb{E}\,\hat\mu_{t_0+n}", "instance")
def _constant_step_bias(c: Context) -> Array:
    """By how much an estimate with constant steps falls short of the new mean."""
    return per_instance(c.extra("jump") - _moments(c, _constant)[0])


@define("constant_step_variance", r"\mathrm{Var}\,\hat\mu_{t_0+n}", "instance")
def _constant_step_variance(c: Context) -> Array:
    """Variance of that estimate, which starts at a number."""
    return per_instance(_moments(c, _constant)[1])


@define("jump", r"\mu'-\mu", "instance")
def _jump(c: Context) -> Array:
    """By how much the mean moves at the switch."""
    return per_instance(c.extra("jump"))


@define("spread", r"\sigma", "instance")
def _spread(c: Context) -> Array:
    """Standard deviation of a sample."""
    return per_instance(c.extra("spread"))


# Softmax after a switch


def _ascent(c: Context, floor: bool) -> Array:
    """1/p after each instance's own number of exact softmax gradient steps; with `floor` p is raised to 1/10 before every step."""
    share, step = c.extra("newly_best"), 2 * given(c, "eta") * c.extra("lead")
    odds, wanted = 1 / share - 1, np.array(_numbers(c, "after"))  # e^-x
    out = odds + 1
    for n in range(1, int(wanted.max()) + 1):
        if floor:
            odds = smaller(odds, odds * 0 + 9)
        p = 1 / (1 + odds)
        odds = odds * arithmetic.exp(-step * p * (1 - p))
        out = np.where(wanted == n, odds + 1, out)
    return out


@define("switched_reciprocal", r"1/p_n", "instance")
def _switched_reciprocal(c: Context) -> Array:
    """Reciprocal of the probability of the newly best of two arms after n softmax gradient steps."""
    return per_instance(_ascent(c, floor=False))


@define("floored_reciprocal", r"1/p_n,\ p\ge\tfrac1{10}", "instance")
def _floored_reciprocal(c: Context) -> Array:
    """The same if the probability is kept at 1/10 at least."""
    return per_instance(_ascent(c, floor=True))


@define("newly_best", "p_0", "instance")
def _newly_best(c: Context) -> Array:
    """Probability of the newly best arm at the switch."""
    return per_instance(c.extra("newly_best"))


@define("lead", r"\Delta", "instance")
def _lead(c: Context) -> Array:
    """By how much the newly best arm is better."""
    return per_instance(c.extra("lead"))


# Questions in batches


@functools.cache
def fewest_questions(hypotheses: int, batches: int) -> int:
    """Thresholds asked at worst until one of so many ordered hypotheses is left, those of a batch chosen together.

    n thresholds leave a part of m/(n + 1), rounded up, at best, and a larger part never needs fewer questions."""
    if hypotheses <= 1:
        return 0
    if batches == 0:
        return NEVER
    return min(n + fewest_questions(-(-hypotheses // (n + 1)), batches - 1) for n in range(1, hypotheses))


@define("batched_questions", "n(m,K)", "instance")
def _batched_questions(c: Context) -> Array:
    """Threshold questions needed at worst to find one of m ordered hypotheses in at most K batches."""
    counts = [fewest_questions(m, k) for m, k in zip(_numbers(c, "hypotheses"), _numbers(c, "batches"), strict=True)]
    return per_instance(c.constant(np.array(counts, dtype=np.int64)))


@define("needle_questions", r"n(m,K)\ \text{(unordered)}", "instance")
def _needle_questions(c: Context) -> Array:
    """The same where a question asks after one hypothesis only: the answer may be no, whatever is asked, until one is left."""
    return per_instance(c.constant(np.array([m - 1 for m in _numbers(c, "hypotheses")], dtype=np.int64)))


# Policies kept for several games


@exactly_known
def _best_lead(c: Context) -> Array:
    """(B, G, 2): optimal payoff, and the best one of a strategy that is not optimal (the optimal one where all are)."""
    payoffs = c.extra("payoffs")
    best = arithmetic.maximum(payoffs, axis=-1)
    worse = np.where(np.asarray(payoffs < best[..., None], dtype=bool), payoffs, arithmetic.minimum(payoffs, axis=-1)[..., None])
    return np.stack([best, arithmetic.maximum(worse, axis=-1)], axis=-1)


@define("second_best_gap", r"\delta", "instance")
def _second_best_gap(c: Context) -> Array:
    """Smallest loss, over the games, of a strategy that is not optimal."""
    known = _best_lead(c)
    return per_instance(arithmetic.minimum(known[..., 0] - known[..., 1], axis=-1))


@define("optima_apart", r"1\{\text{no common optimum}\}", "instance")
@exactly_known
def _optima_apart(c: Context) -> Array:
    """1 where no two games share an optimal strategy, else 0."""
    payoffs = c.extra("payoffs")
    optimal = np.asarray(payoffs == arithmetic.maximum(payoffs, axis=-1)[..., None], dtype=bool)
    return per_instance(c.constant((optimal.sum(axis=1) <= 1).all(axis=-1).astype(np.int64)))


@define("least_total_loss", r"\min_{|\Pi|=Z}\textstyle\sum_g\max u_g-\max_\Pi u_g", "instance")
def _least_total_loss(c: Context) -> Array:
    """Total loss over three games of the best set of A strategies, the best of the set played in each game."""
    payoffs, size = c.extra("payoffs"), c.rewards.shape[2]
    best = arithmetic.maximum(payoffs, axis=-1).sum(axis=-1)
    totals = [arithmetic.maximum(payoffs[..., list(kept)], axis=-1).sum(axis=-1) for kept in itertools.combinations(range(payoffs.shape[-1]), size)]
    return per_instance(best - arithmetic.maximum(np.stack(totals, axis=-1), axis=-1))


@define("latent_information", r"I(g;z)", "instance")
def _latent_information(c: Context) -> Array:
    """Mutual information of the game, each with probability 1/3, and of what is played in it."""
    given_game = c.extra("selection")
    overall = given_game.sum(axis=1, keepdims=True) / given_game.shape[1]
    total = c.discount * 0
    for game in range(given_game.shape[1]):
        for played in range(given_game.shape[2]):
            share, mean = given_game[:, game, played], overall[:, 0, played]
            happens = np.asarray(share > 0, dtype=bool)
            quotient = np.where(happens, share, share * 0 + 1) / np.where(happens, mean, share * 0 + 1)
            total = total + np.where(happens, share, share * 0) * arithmetic.log(quotient) / given_game.shape[1]
    return per_instance(larger(total, total * 0) if c.kind == "float" else total)
