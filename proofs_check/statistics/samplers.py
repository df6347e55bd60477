r"""What is sampled: each function draws independent, bounded replications on one float64 instance, all of a block at once.

random_horizon_gradient   score at a state drawn from the visits, times an unbiased bounded estimate of Q: one estimate of the policy gradient
squared_error             largest squared error of the values of a plug-in model with a few samples of every state's successor
wrong_streak              whether the natural gradient bandit without a baseline pulls the worse of two arms every time
regret                    regret of the stochastic softmax gradient bandit, each pull replaced by its conditional expectation
deviation                 whether an empirical distribution is at least a distance from the true one in 1-norm
"""

from __future__ import annotations

from typing import Any

import numpy as np

from proofs_check.instance import Instance
from proofs_check.statistics.claims import Sampler

Array = np.ndarray


def pick(rng: np.random.Generator, rows: Array) -> Array:
    """One index for each row of probabilities (n, K)."""
    edges = np.cumsum(rows, axis=-1)[..., :-1]
    return (rng.random(rows.shape[:-1])[..., None] >= edges).sum(axis=-1)


def walk(instance: Instance, rng: np.random.Generator, states: Array, actions: Array, steps: Array) -> tuple[Array, Array]:
    """State-action pairs after `steps` steps each, from the given pairs, under the instance's policy."""
    states, actions = states.copy(), actions.copy()
    for t in range(int(steps.max(initial=0))):
        going = np.flatnonzero(steps > t)
        states[going] = pick(rng, instance.transitions[states[going], actions[going]])
        actions[going] = pick(rng, instance.policy[states[going]])
    return states, actions


# The policy gradient


def _one_estimate(instance: Instance, rng: np.random.Generator, count: int, baseline: str) -> Array:
    """(count, S * A) estimates of the gradient of V(mu) in the logits: random horizons with P(T >= k) = gamma^k make both parts unbiased."""
    states, actions = instance.shape
    gamma = float(instance.discount)
    stop = 1 - gamma
    first = pick(rng, np.broadcast_to(instance.mu, (count, states)))
    s, a = walk(instance, rng, first, pick(rng, instance.policy[first]), rng.geometric(stop, count) - 1)
    s_last, a_last = walk(instance, rng, s, a, rng.geometric(stop, count) - 1)
    value = instance.rewards[s_last, a_last] / stop
    if baseline != "none":
        chain = np.einsum("sa,sat->st", instance.policy, instance.transitions)
        values = np.linalg.solve(np.eye(states) - gamma * chain, (instance.policy * instance.rewards).sum(axis=1))
        value = value - values[pick(rng, instance.transitions[s, a]) if baseline == "next" else s]
    out = np.zeros((count, states, actions))
    out[np.arange(count), s] = -instance.policy[s] * (value / stop)[:, None]
    out[np.arange(count), s, a] += value / stop
    return out.reshape(count, -1)


def _without_baseline(instance: Instance, rng: np.random.Generator, count: int) -> Array:
    return _one_estimate(instance, rng, count, "none")


def _with_values(instance: Instance, rng: np.random.Generator, count: int) -> Array:
    return _one_estimate(instance, rng, count, "state")


def _with_next_values(instance: Instance, rng: np.random.Generator, count: int) -> Array:
    return _one_estimate(instance, rng, count, "next")


def _positive_limits(instance: Instance) -> tuple[Array, Array]:
    """The score of b lies in [-pi(b), 1 - pi(b)], the value estimate in [0, 1/(1-gamma)] for rewards in [0, 1]."""
    most, policy = 1 / (1 - float(instance.discount)) ** 2, instance.policy.reshape(-1)
    return -policy * most, (1 - policy) * most


def _signed_limits(instance: Instance) -> tuple[Array, Array]:
    """With a baseline the value estimate lies in [-1/(1-gamma), 1/(1-gamma)]."""
    most = np.full(instance.policy.size, 1 / (1 - float(instance.discount)) ** 2)
    largest = np.maximum(instance.policy, 1 - instance.policy).reshape(-1) * most
    return -largest, largest


GRADIENT = Sampler(
    "random_horizon_gradient",
    r"\hat g",
    "one estimate of the policy gradient of V(mu) with random horizons, per logit, in reward units",
    _without_baseline,
    _positive_limits,
)
GRADIENT_WITH_VALUES = Sampler(
    "random_horizon_gradient_with_values",
    r"\hat g_V",
    "the same estimate with the state's value as a baseline",
    _with_values,
    _signed_limits,
)
GRADIENT_WITH_NEXT_VALUES = Sampler(
    "random_horizon_gradient_with_next_values",
    r"\hat g_{V'}",
    "the same estimate with the value of the state that the action leads to in place of a baseline",
    _with_next_values,
    _signed_limits,
)


# Plug-in evaluation


def _squared_error(instance: Instance, rng: np.random.Generator, count: int) -> Array:
    """(count, 1): max_s (V_hat(s) - V(s))^2 for `samples` successors of every state under the policy."""
    gamma, samples = float(instance.discount), int(instance.settings["samples"])
    chain = np.einsum("sa,sat->st", instance.policy, instance.transitions)
    rewards = (instance.policy * instance.rewards).sum(axis=1)
    counted = rng.multinomial(samples, chain / chain.sum(axis=1, keepdims=True), size=(count, len(chain)))
    unit = np.eye(len(chain))
    guessed = np.linalg.solve(unit - gamma * counted / samples, np.broadcast_to(rewards[:, None], (count, len(chain), 1)))[..., 0]
    return ((guessed - np.linalg.solve(unit - gamma * chain, rewards)) ** 2).max(axis=1, keepdims=True)


def _squared_span(instance: Instance) -> tuple[float, float]:
    """V_hat - V = gamma (I - gamma P_hat)^-1 (P_hat - P) V, and (P_hat - P) V is at most the span of V."""
    gamma = float(instance.discount)
    chain = np.einsum("sa,sat->st", instance.policy, instance.transitions)
    values = np.linalg.solve(np.eye(len(chain)) - gamma * chain, (instance.policy * instance.rewards).sum(axis=1))
    return 0.0, (gamma / (1 - gamma) * float(np.ptp(values))) ** 2


SQUARED_ERROR = Sampler(
    "squared_error",
    r"\|\hat V - V\|_\infty^2",
    "largest squared error of the plug-in values, in squared reward units",
    _squared_error,
    _squared_span,
)


# Bandits


def _sigmoid(x: Any) -> Any:
    return np.exp(-np.logaddexp(0, -x))


def _streak(instance: Instance, rng: np.random.Generator, count: int, baseline: bool) -> Array:
    """(count, 1): whether all of `pulls` pulls take the worse of two arms, for theta_A += eta (r_A - b) / pi(A) from uniform.

    Along such a streak the preference x of the worse arm moves by eta (r_worse - b) / pi(worse), so one pull is one comparison."""
    rewards = np.sort(instance.rewards[0])
    eta, pulls = float(instance.settings["eta"]), int(instance.settings["pulls"])
    x, alive = 0.0, np.ones(count, dtype=bool)
    for _ in range(pulls):
        worse = float(_sigmoid(x))
        alive &= rng.random(count) < worse
        if not alive.any():
            break
        shift = (1 - worse) * rewards[1] + worse * rewards[0] if baseline else 0.0
        x += eta * (rewards[0] - shift) / worse
    return alive[:, None].astype(np.float64)


def _streak_without_baseline(instance: Instance, rng: np.random.Generator, count: int) -> Array:
    return _streak(instance, rng, count, baseline=False)


def _streak_with_baseline(instance: Instance, rng: np.random.Generator, count: int) -> Array:
    return _streak(instance, rng, count, baseline=True)


def _event_limits(instance: Instance) -> tuple[float, float]:
    return 0.0, 1.0


WRONG_STREAK = Sampler(
    "wrong_streak",
    r"A_1 = \dots = A_t = \text{worse arm}",
    "the natural gradient bandit without a baseline pulls the worse arm every time",
    _streak_without_baseline,
    _event_limits,
    event=True,
)
WRONG_STREAK_WITH_VALUES = Sampler(
    "wrong_streak_with_values",
    r"A_1 = \dots = A_t = \text{worse arm, with baseline } V",
    "the natural gradient bandit with the value as a baseline pulls the worse arm every time",
    _streak_with_baseline,
    _event_limits,
    event=True,
)


def _regret(instance: Instance, rng: np.random.Generator, count: int) -> Array:
    """(count, 1): sum over `pulls` of Delta times the worse arm's probability, for rewards -1 and 1 with the instance's means."""
    best, worst = float(instance.rewards.max()), float(instance.rewards.min())
    eta, pulls = float(instance.settings["eta"]), int(instance.settings["pulls"])
    x, total = np.zeros(count), np.zeros(count)  # x: difference of the two preferences, better minus worse
    for _ in range(pulls):
        better = _sigmoid(x)
        total += 1 - better
        pulled = rng.random(count) < better
        reward = np.where(rng.random(count) < 0.5 * (1 + np.where(pulled, best, worst)), 1.0, -1.0)
        x += 2 * eta * reward * np.where(pulled, 1 - better, -better)
    return (best - worst) * total[:, None]


def _regret_limits(instance: Instance) -> tuple[float, float]:
    return 0.0, float(instance.rewards.max() - instance.rewards.min()) * int(instance.settings["pulls"])


REGRET = Sampler(
    "regret",
    r"\textstyle\sum_{k \le t} \Delta\, \pi_k(\text{worse})",
    "regret of the stochastic softmax gradient bandit without a baseline, in reward units",
    _regret,
    _regret_limits,
)


# Concentration


LATTICE = 1e-9
"""Empirical distances lie on a lattice of step 1/samples at most; rounding must not move one across the bound."""


def _deviation(instance: Instance, rng: np.random.Generator, count: int) -> Array:
    """(count, 1): whether `samples` successors of the first state under the policy have an empirical distribution at least `distance` away."""
    samples, distance = int(instance.settings["samples"]), float(instance.settings["distance"])
    row = instance.policy[0] @ instance.transitions[0]
    seen = rng.multinomial(samples, row / row.sum(), size=count) / samples
    return (np.abs(seen - row).sum(axis=1, keepdims=True) >= distance - LATTICE).astype(np.float64)


DEVIATION = Sampler(
    "deviation",
    r"\|\hat p - p\|_1 \ge \epsilon",
    "the empirical distribution is at least that far away in 1-norm",
    _deviation,
    _event_limits,
    event=True,
)
