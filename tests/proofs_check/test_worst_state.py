"""The rate without the number of states, and the inequalities behind the sharper lower bound: figures of their derivations, by independent code."""

from __future__ import annotations

import numpy as np
import pytest

EPS = np.finfo(float).eps


def _problem(rng, states, actions):
    moves = rng.dirichlet([0.3] * states, (states, actions))
    return moves, rng.random((states, actions)), rng.uniform(0, 0.95), rng.dirichlet([0.5] * states) * 0.99 + 0.01 / states


def _evaluate(moves, rewards, gamma, mu, policy):
    chain = np.einsum("sa,sat->st", policy, moves)
    inverse = np.linalg.inv(np.eye(len(mu)) - gamma * chain)
    values = inverse @ (policy * rewards).sum(1)
    return values, mu @ inverse, rewards + gamma * moves @ values - values[:, None]


def _optimum(moves, rewards, gamma):
    values = np.zeros(len(rewards))
    for _ in range(3000):
        values = (rewards + gamma * moves @ values).max(1)
    return values, (rewards + gamma * moves @ values).argmax(1)


def _step(policy, visits, advantages, eta):
    moved = np.log(policy) + eta * visits[:, None] * policy * advantages
    moved = np.exp(moved - moved.max(1, keepdims=True))
    return moved / moved.sum(1, keepdims=True)


@pytest.mark.parametrize("seed", range(4))
def test_the_reciprocal_of_the_largest_gap_grows_by_what_is_derived(seed):
    rng = np.random.default_rng(seed)
    for _ in range(25):
        states, actions = int(rng.integers(1, 5)), int(rng.integers(2, 5))
        moves, rewards, gamma, mu = _problem(rng, states, actions)
        policy = rng.dirichlet([0.3] * actions, states) * 0.98 + 0.02 / actions
        best, chosen = _optimum(moves, rewards, gamma)
        eta = 2 * (1 - gamma) ** 2 * rng.choice([1, 0.1])
        values, visits, advantages = _evaluate(moves, rewards, gamma, mu, policy)
        after = _evaluate(moves, rewards, gamma, mu, _step(policy, visits, advantages, eta))[0]
        g, following = (best - values).max(), (best - after).max()
        if g < 1e-6:
            continue
        k = eta * policy[np.arange(states), chosen].min() ** 2 * mu.min()
        assert 1 / following - 1 / g >= (1 - gamma) ** 2 * k / (1 + gamma * k) - 1e-8 / g**2


@pytest.mark.parametrize("seed", range(4))
def test_the_reciprocal_of_the_gap_grows_by_at_most_c(seed):
    rng = np.random.default_rng(100 + seed)
    tried = 0
    for _ in range(60):
        states, actions = int(rng.integers(1, 4)), int(rng.integers(2, 4))
        moves, rewards, gamma, mu = _problem(rng, states, actions)
        gamma *= 0.5
        rewards = np.where(rng.random(rewards.shape) < 0.5, np.round(rewards), rewards)
        policy = rng.dirichlet([0.3] * actions, states) * 0.98 + 0.02 / actions
        best, _ = _optimum(moves, rewards, gamma)
        eta = (1 - gamma) ** 3 * rng.choice([1, 0.2])
        values, visits, advantages = _evaluate(moves, rewards, gamma, mu, policy)
        next_values, next_visits, _ = _evaluate(moves, rewards, gamma, mu, _step(policy, visits, advantages, eta))
        mismatch = (1 - gamma) * max((visits / mu).max(), (next_visits / mu).max())
        gap, following = mu @ (best - values), mu @ (best - next_values)
        c = 2 * eta / (1 - gamma) ** 2 * (1 + 7 * eta / (40 * (1 - gamma) ** 2)) * mismatch**2
        if c * gap < 1 and gap > 1e-6:
            tried += 1
            assert 1 / following - 1 / gap <= c + 1e-8 / gap**2
    assert tried >= 10


def test_the_last_inequality_of_the_lower_bound():
    """R (1 + min(1, 2 w^2 G)) <= w (1 - G^2 (1-G)^2) for G in [0, 1/2] and w >= 1; beyond w = 10 the left side is below 2."""
    g, w = np.meshgrid(np.linspace(0, 0.5, 501), np.linspace(1, 10, 901))
    left = (1 - g) * (1 - g + g**2) * (1 + np.minimum(1, 2 * w**2 * g))
    assert np.all(left <= w * (1 - (g * (1 - g)) ** 2) + 8 * EPS)


def test_the_share_of_good_actions_in_one_step():
    """(e^u - 1) u (1 - 2 u l) + u (1 - e^-u) <= 2 u^2 for every l in [1/14, 1] and u in [0, 1/2]: what the bound with P rests on."""
    u, share = np.meshgrid(np.linspace(0, 0.5, 501), np.linspace(1 / 14, 1, 200))
    assert np.all(np.expm1(u) * u * (1 - 2 * u * share) - u * np.expm1(-u) <= 2 * u**2 + 8 * EPS)
