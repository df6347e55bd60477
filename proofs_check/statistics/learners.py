r"""Learners whose runs are sampled: too many rounds for a tree of all draws.

optimistic_regret   regret of optimistic value iteration over two stages, from the first of two states, its gaps exact in every episode
tsallis_regret_drawn   regret of the Tsallis leader against losses that are drawn independently
fates               whether natural steps on three arms end on the best one with one baseline, less whether they do with another of the same variance
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from proofs_check.instance import Instance
from proofs_check.statistics.claims import Sampler

Array = np.ndarray


# Two stages, two states, two actions


def _two_stage_values(instance: Instance) -> tuple[Array, Array]:
    """(values of the last stage (2,), optimal action values of the first state (2,))."""
    last = instance.rewards.max(axis=1)
    return last, instance.rewards[0] + instance.transitions[0] @ last


def _optimistic_regret(instance: Instance, rng: np.random.Generator, count: int) -> Array:
    """(count, 1): sum over the episodes of what the chosen action loses; bonus 1/2 sqrt(2 iota/n), 1 where n = 0."""
    last, exact = _two_stage_values(instance)
    episodes, failure = int(instance.settings["episodes"]), float(instance.settings["failure"])
    depth = math.log((2**2 - 2) * 2 * episodes / failure)
    tried = np.maximum(np.arange(episodes + 1), 1)
    bonus, per_visit = np.sqrt(2 * depth / tried) / 2, (last[1] - last[0]) / tried
    bonus[0] = 1  # nothing is known, and everything is possible
    start, chance = np.full(episodes + 1, last[0]), instance.transitions[0, :, 1]
    start[0] = 0
    level = start + bonus
    seen, good, loss = np.zeros((2, count), dtype=int), np.zeros((2, count)), exact.max() - exact
    total = np.zeros(count)
    for _ in range(episodes):
        first, second = (reward + np.minimum(level[n] + k * per_visit[n], 1) for reward, n, k in zip(instance.rewards[0], seen, good, strict=True))
        other = second > first
        hit = rng.random(count) < np.where(other, chance[1], chance[0])
        total += np.where(other, loss[1], loss[0])
        seen[0] += ~other
        seen[1] += other
        good[0] += hit & ~other
        good[1] += hit & other
    return total[:, None]


def _optimistic_limits(instance: Instance) -> tuple[float, float]:
    exact = _two_stage_values(instance)[1]
    return 0.0, float(np.ptp(exact)) * int(instance.settings["episodes"])


OPTIMISTIC_REGRET = Sampler(
    "optimistic_regret",
    r"\textstyle\sum_{k\le K}V^*_1(s_1)-V^{\pi_k}_1(s_1)",
    "regret of optimistic value iteration over two stages of two states and two actions, in reward units",
    _optimistic_regret,
    _optimistic_limits,
)


# The Tsallis leader on two arms


def _second_share(lead: Array) -> Array:
    """Probability of the second of two arms whose losses over sqrt t exceed the first one's by `lead`: (y + d)^-2, y^-2 + (y + d)^-2 = 1."""
    away = np.abs(lead)
    y = np.ones_like(away)
    for _ in range(6):  # Newton's method from the left, where the sum is above 1 and convex
        a, b = 1 / y, 1 / (y + away)
        y = y + (a * a + b * b - 1) / (2 * (a * a * a + b * b * b))
    behind = 1 / (y + away) ** 2
    return np.where(lead >= 0, behind, 1 - behind)


def _tsallis_drawn(instance: Instance, rng: np.random.Generator, count: int) -> Array:
    """(count, 1): gap times the sum of the worse arm's probabilities; losses 0 or 1 with one minus the rewards as means."""
    means, pulls = 1 - instance.rewards[0], int(instance.settings["pulls"])
    worse, total = int(means.argmax()), np.zeros(count)
    sums = np.zeros((2, count))
    for t in range(1, pulls + 1):
        second = _second_share((sums[1] - sums[0]) / math.sqrt(t))
        shares = (1 - second, second)
        total += shares[worse]
        drawn = rng.random(count) < second
        lost = rng.random(count) < np.where(drawn, means[1], means[0])
        sums[0] += np.where(drawn, 0, lost / shares[0])
        sums[1] += np.where(drawn, lost / shares[1], 0)
    return float(np.ptp(means)) * total[:, None]


def _drawn_limits(instance: Instance) -> tuple[float, float]:
    return 0.0, float(np.ptp(instance.rewards[0])) * int(instance.settings["pulls"])


TSALLIS_DRAWN = Sampler(
    "tsallis_regret_drawn",
    r"\textstyle\sum_{k\le t}\Delta\,p_k(\text{worse})",
    "regret of the Tsallis leader on two arms whose losses are drawn independently, in loss units",
    _tsallis_drawn,
    _drawn_limits,
)


# Baselines of the same variance


def _best_arm_wins(instance: Instance, rng: np.random.Generator, count: int, shift: float) -> Array:
    """(count,): whether the first arm has more than half of the mass after `pulls` natural steps from logits 0, 3, 5, ... of the arms.

    theta_A += eta (r_A - b)/pi_A, b the baseline of least variance (weights 1/pi) plus `shift`; the multiple of (1, ..., 1) that the shortest
    estimate takes away moves no policy."""
    rewards = instance.rewards[0]
    eta, pulls = float(instance.settings["eta"]), int(instance.settings["pulls"])
    logits = np.repeat(np.array([[0.0], [3.0], [5.0]]), count, axis=1)
    everyone = np.arange(count)
    for _ in range(pulls):
        weights = np.exp(logits - logits.max(axis=0))
        mass = weights.sum(axis=0)
        mark = rng.random(count) * mass
        arm = (mark >= weights[0]).astype(int) + (mark >= weights[0] + weights[1])
        rare = np.exp(logits.min(axis=0) - logits)  # proportional to 1/pi, and never infinite
        baseline = (rewards @ rare) / rare.sum(axis=0) + shift
        logits[arm, everyone] += eta * (rewards[arm] - baseline) * mass / weights[arm, everyone]
    return logits[0] > np.logaddexp(logits[1], logits[2])


def _difference(instance: Instance, rng: np.random.Generator, count: int, first: float, second: float) -> Array:
    """(count, 1): success with the first shift less success with the second, on the same random numbers."""
    seed = int(rng.integers(2**62))
    one, other = (_best_arm_wins(instance, np.random.default_rng(seed), count, shift) for shift in (first, second))
    return (one.astype(float) - other.astype(float))[:, None]


def _shift(instance: Instance) -> float:
    return float(instance.settings["distance"])


def _above_below(instance: Instance, rng: np.random.Generator, count: int) -> Array:
    return _difference(instance, rng, count, _shift(instance), -_shift(instance))


def _least_above(instance: Instance, rng: np.random.Generator, count: int) -> Array:
    return _difference(instance, rng, count, 0.0, _shift(instance))


def _signs(instance: Instance) -> tuple[Any, Any]:
    return -1.0, 1.0


ABOVE_LESS_BELOW = Sampler(
    "fate_above_less_below",
    r"1\{\text{best arm wins}\mid b^*+\epsilon\}-1\{\ldots\mid b^*-\epsilon\}",
    "success of natural steps with a baseline above the one of least variance, less success with one as far below",
    _above_below,
    _signs,
)
LEAST_LESS_ABOVE = Sampler(
    "fate_least_less_above",
    r"1\{\text{best arm wins}\mid b^*\}-1\{\ldots\mid b^*+\epsilon\}",
    "success of natural steps with the baseline of least variance, less success with one above it",
    _least_above,
    _signs,
)
