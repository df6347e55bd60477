# ruff: noqa: PT028  (a default is no fixture: pytest calls the test without it, test_planted.py with a wrong implementation)
"""The tests of `Reinforce` against exact oracles.  `make` has a default, so that `test_planted.py` can hand in wrong implementations."""

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reinforce import Reinforce

import pgtheory
from mdps import strategies
from pgtheory.sampling import RewardToGo, all_paths
from proofs_check import reference
from proofs_check.testing import check_policy_gradient

LEVEL = 1e-6
"""Chance that the statistical test fails for a right implementation."""
PATHS = 200_000


def agent_of(make, mdp, horizon):
    return make(mdp.transitions, mdp.rewards, mdp.discount, mdp.start, horizon)


def listed_gradient(agent, mdp, logits):
    """The mean of the sampled estimator without sampling: all paths, weighted by their probabilities."""
    paths = all_paths(mdp, softmax(logits), agent.horizon)
    return agent.path_gradient(logits, torch.tensor(paths.states), torch.tensor(paths.actions), torch.tensor(paths.probabilities)).numpy()


def softmax(logits):
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def rounding(mdp):
    """A few hundred operations on figures of size max|r| / (1 - gamma)^2, the condition of V times V."""
    return 1000 * np.finfo(float).eps * max(1.0, np.abs(mdp.rewards).max()) / (1 - float(mdp.discount)) ** 2


def test_expected_gradient(make=Reinforce):
    """One line: named and random models of up to 3 states, boundary values included; a failure comes shrunk, with the likely reason."""
    check_policy_gradient(lambda mdp, logits: agent_of(make, mdp.float, 1).expected_gradient(logits))


def test_estimator_is_unbiased(make=Reinforce):
    """Its exact mean over all paths of three steps is the gradient of the reward of three steps."""

    @settings(deadline=None, derandomize=True, max_examples=25, database=None)
    @given(mdp=strategies.mdps(min_states=2, max_states=2, max_actions=2), data=st.data())
    def unbiased(mdp, data):
        policy = data.draw(strategies.interior_policies(mdp))
        expected = RewardToGo(3).expectation(mdp.float, policy)
        assert np.abs(listed_gradient(agent_of(make, mdp.float, 3), mdp.float, np.log(policy)) - expected).max() <= rounding(mdp)

    unbiased()


def test_reference_values(make=Reinforce):
    """`gamble_on_luck` pays nothing after four steps, so both ways give the gradient of the committed file, a fraction."""
    case = reference.load("gamble_on_luck")
    mdp, expected = case.mdp().float, case.floats("uniform", "softmax_gradient")
    agent, logits = agent_of(make, mdp, 4), np.zeros((mdp.num_states, mdp.num_actions))
    assert np.abs(agent.expected_gradient(logits).numpy() - expected).max() <= rounding(mdp)
    assert np.abs(listed_gradient(agent, mdp, logits) - expected).max() <= rounding(mdp)


def statistical_setting():
    """(model, logits, exact gradient, largest range of one path's entry, distance that a mean of PATHS exceeds with probability LEVEL at most).

    Hoeffding, for each of the K entries on both sides: 2 K exp(-2 n eps^2 / range^2) = LEVEL."""
    mdp = reference.load("gamble_on_luck").mdp().float
    policy = np.full((mdp.num_states, mdp.num_actions), 1 / mdp.num_actions)
    paths = all_paths(mdp, policy, 4)
    estimator = RewardToGo(4, baseline=pgtheory.state_values(mdp, policy))
    each = estimator.of_paths(mdp, policy, paths.states, paths.actions)
    spread = float((each.max(axis=0) - each.min(axis=0)).max())
    distance = spread * math.sqrt(math.log(2 * policy.size / LEVEL) / (2 * PATHS))
    return mdp, np.zeros(policy.shape), estimator.expectation(mdp, policy), spread, distance


def test_sampled_gradient(make=Reinforce):
    """Level 1e-6; an error of twice `distance` in one entry is found with at least the same certainty if the range is as wide."""
    mdp, logits, expected, _, distance = statistical_setting()
    sampled = agent_of(make, mdp, 4).sampled_gradient(logits, PATHS, torch.Generator().manual_seed(0)).numpy()
    assert np.abs(sampled - expected).max() <= distance
