"""Exponential weights on paths: the minimiser, what a round costs, the mean square of an estimated path, bounds on the regret."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from mdps import ModelError
from pgtheory.online import PathWeights, noisy, phases, random_tables, run_online, sure
from pgtheory.online.path_weights import soft_leader
from pgtheory.online.planning import visits
from pgtheory.online.runner import Episode, Plan, what_is_told
from tests.pgtheory.online.small import deterministic_policies, task

EPS = np.finfo(float).eps


def paths(P, start, policy):
    """(probability, steps x states x actions indicator) of every path."""
    H, S, A = policy.shape
    for first in range(S):
        for actions in itertools.product(range(A), repeat=H):
            for after in itertools.product(range(S), repeat=H - 1):
                states = (first, *after)
                chance = start[first] * np.prod([policy[h, states[h], actions[h]] for h in range(H)])
                chance *= np.prod([P[h, states[h], actions[h], states[h + 1]] for h in range(H - 1)])
                where = np.zeros((H, S, A))
                where[np.arange(H), states, actions] = 1
                yield chance, where


def test_the_soft_recursion_finds_the_minimum_over_all_policies():
    one, rng = task(1, H=3, S=2, A=3), np.random.default_rng(2)
    losses, eta = rng.random((3, 2, 3)) * 5, 0.7
    policy, V = soft_leader(one.transitions, losses[None], eta)

    def objective(p):
        q = visits(one.transitions[None], p[None], one.start)[0][..., None] * p
        return (q * losses).sum() + (q * np.log(p)).sum() / eta

    least = objective(policy[0])
    assert abs(least - V[0, 0] @ one.start) <= 64 * EPS * 15
    for size in (1.0, 0.1, 0.01):
        for _ in range(100):
            other = policy[0] * np.exp(size * rng.normal(size=policy[0].shape))
            assert objective(other / other.sum(axis=2, keepdims=True)) >= least - 64 * EPS * 15


def test_a_round_costs_at_most_half_a_step_times_the_mean_square_of_a_path():
    """On every path of losses, of any size: regret <= H log A / eta_T + sum eta_k / 2 E (loss of a path)^2; with a fifth of the second term it fails."""
    rng, worst = np.random.default_rng(3), 0.0
    one = task(4, H=2, S=2, A=2)
    for trial in range(12):
        T, total, left, cost = 8, np.zeros((2, 2, 2)), 0.0, 0.0
        eta = [0.02, 0.1, 0.5][trial % 3] / np.sqrt(np.arange(1, T + 1)) ** (trial % 2)
        for k in range(T):
            policy = soft_leader(one.transitions, total[None], eta[k])[0][0]
            q = visits(one.transitions[None], policy[None], one.start)[0][..., None] * policy
            losses = rng.random((2, 2, 2)) ** 6 * 20
            left += (q * losses).sum()
            cost += eta[k] / 2 * sum(chance * (where * losses).sum() ** 2 for chance, where in paths(one.transitions, one.start, policy))
            total += losses
        for p in deterministic_policies(2, 2, 2):
            q = visits(one.transitions[None], p[None], one.start)[0][..., None] * p
            regret, spread = left - (q * total).sum(), 2 * math.log(2) / eta[-1]
            assert regret <= spread + cost + 1e-10
            worst = max(worst, (regret - spread) / cost)
    assert 0.2 < worst <= 1


def test_the_mean_square_of_an_estimated_path_is_at_most_steps_squared_times_pairs():
    """E over the episode met and over an independent path; attained up to the states that are not met."""
    worst = 0.0
    for seed in range(6):
        one, rng = task(seed, H=2, S=2, A=2, concentration=0.3), np.random.default_rng(seed)
        policy = rng.dirichlet(np.ones(2), size=(2, 2))
        every = list(paths(one.transitions, one.start, policy))
        q = sum(chance * where for chance, where in every)
        square = sum(met * chance * (seen / q * where).sum() ** 2 for met, seen in every for chance, where in every)
        assert square <= 4 * 4 * (1 + 1e-12)
        worst = max(worst, square / 16)
    assert worst > 0.5


@pytest.mark.parametrize("law", [sure, noisy, phases, random_tables], ids=lambda law: law.__name__)
@pytest.mark.parametrize("revealed", [False, True])
def test_regret_stays_under_a_bound_that_says_something(law, revealed):
    """K is large enough for the bound to lie at a third of K H and less."""
    one, K = task(5, H=2, S=2, A=2), 400 if revealed else 600
    out = run_online(one, PathWeights(), K, 4, rewards=law(one, revealed=revealed), times=[1, K // 4, K])
    assert (out.regret.mean(axis=0) <= out.guarantee.values).all() and out.guarantee.values[-1] < (0.2 if revealed else 0.4) * K * 2
    closed = 2 * math.sqrt(8 * 4 * K * math.log(2)) if not revealed else math.sqrt(8 * K * math.log(2))
    assert 0.9 * closed <= out.guarantee.values[-1] <= closed  # sums of 1 / sqrt k are a little below 2 sqrt T


def test_steps_of_wrong_sign_are_refused_and_longer_ones_have_their_own_bound():
    with pytest.raises(ModelError, match="step_size is -1"):
        PathWeights(-1)
    one, T = task(6, H=3, S=3, A=2), np.array([1, 50])
    for f in (1.0, 4.0):
        learn = PathWeights(f)
        eta = f * math.sqrt(math.log(2) / 18) / np.sqrt(np.arange(1, 51))
        expected = [3 * math.log(2) / eta[t - 1] + eta[:t].sum() * 9 * 6 / 2 for t in T]
        assert np.allclose(learn.guarantee(what_is_told(one, learn, phases(one), 50), T).values, expected, rtol=1e-12)


def test_the_mean_of_an_update_is_the_losses_themselves():
    """All courses of an episode, each as a run: importance weights by the visits of the pair; by the action's probability alone the mean is q times off."""
    one, rng = task(7, H=2, S=2, A=2), np.random.default_rng(8)
    policy = rng.dirichlet(np.ones(2), size=(2, 2))
    courses = [(s, a, t, b) for s in range(2) for a in range(2) for t in range(2) for b in range(2)]
    weight = np.array([one.start[s] * policy[0, s, a] * one.transitions[0, s, a, t] * policy[1, t, b] for s, a, t, b in courses])
    states = np.array([(s, t, 0) for s, a, t, b in courses])
    actions = np.array([(a, b) for s, a, t, b in courses])
    learn = PathWeights()
    state = learn.start(what_is_told(one, learn, phases(one), 5), len(courses))
    plan = Plan(np.broadcast_to(policy, (len(courses), 2, 2, 2)))
    state = learn.update(state, 0, plan, Episode(states, actions, one.rewards[[0, 1], states[:, :2], actions]))
    mean = np.tensordot(weight, state.losses, axes=1)
    assert np.abs(mean - (1 - one.rewards)).max() <= 64 * EPS
