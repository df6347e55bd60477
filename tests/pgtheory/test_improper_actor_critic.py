"""The actor-critic over mixtures of controllers: with an exact critic it is policy gradient, with a wrong one it is off by what the critic is off."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mdps
import pgtheory
from mdps.errors import ModelError
from pgtheory import ImproperActorCritic, ImproperPG, arithmetic
from pgtheory.exact import state_values
from tests import tolerances

SEEDS = st.integers(0, 2**32 - 1)


def instance(seed, states=4, actions=2, count=3):
    rng = np.random.default_rng(seed)
    mdp = mdps.MDP(rng.dirichlet(np.ones(states), (states, actions)), rng.random((states, actions)), 0.7, start=rng.dirichlet(np.ones(states)))
    return rng, mdp, rng.dirichlet(np.ones(actions), (count, states))


def with_critic(theta, values):
    """The state with these parameters and a tabular critic."""
    return np.concatenate([theta, values])


@given(SEEDS)
def test_with_the_critic_at_the_values_it_takes_the_policy_gradient_step(seed):
    rng, mdp, controllers = instance(seed)
    theta = rng.normal(size=3)
    values = state_values(mdp, pgtheory.improper.mixture(arithmetic.softmax(theta), controllers))
    after = ImproperActorCritic(0.5, controllers, 0.1, 1).step(with_critic(theta, values), mdp)
    exact = ImproperPG(0.5, controllers).step(theta, mdp)
    np.testing.assert_allclose(after[:3], exact, rtol=0, atol=8 * tolerances.linear_solve(4, 0.7, 1.0) / 0.3)
    np.testing.assert_allclose(after[3:], values, rtol=0, atol=8 * tolerances.linear_solve(4, 0.7, 1.0))  # V is where TD(0) stands still


@given(SEEDS)
def test_a_wrong_critic_moves_the_gradient_by_no_more_than_its_error(seed):
    rng, mdp, controllers = instance(seed)
    theta, wrong = rng.normal(size=3), rng.normal(size=4) * 3
    weights = arithmetic.softmax(theta)
    values = state_values(mdp, pgtheory.improper.mixture(weights, controllers))
    still = ImproperActorCritic(1.0, controllers, 1e-300, 1)  # the critic's step is too small to count
    off = still.step(with_critic(theta, wrong), mdp)[:3] - ImproperPG(1.0, controllers).step(theta, mdp)
    assert (np.abs(off) <= 2 * 0.7 * weights * np.abs(wrong - values).max() / 0.3 + 1e-12).all()


@given(SEEDS)
def test_the_natural_step_is_multiplicative_weights_and_the_limit_of_the_regularised_one(seed):
    rng, mdp, controllers = instance(seed)
    theta, values = rng.normal(size=3), rng.normal(size=4)
    natural = ImproperActorCritic(0.3, controllers, 1e-300, 1, natural=True)
    moved = natural.step(with_critic(theta, values), mdp)[:3] - theta
    assert moved.sum() == pytest.approx(0, abs=1e-12)
    weights = arithmetic.softmax(theta)
    fisher = np.diag(weights) - np.outer(weights, weights)
    plain = dataclasses.replace(natural, natural=False).step(with_critic(theta, values), mdp)[:3] - theta
    np.testing.assert_allclose(moved, np.linalg.pinv(fisher) @ plain, rtol=1e-9, atol=1e-11)
    regular = dataclasses.replace(natural, regularisation=0.25).step(with_critic(theta, values), mdp)[:3] - theta
    np.testing.assert_allclose((fisher + np.eye(3) / 4) @ regular, plain, rtol=0, atol=1e-12)


@pytest.mark.parametrize("natural", [False, True])
def test_it_reaches_the_best_mixture(natural):
    """Two controllers that always take one action, one state: all weight goes to the better one."""
    bandit = mdps.zoo.arms([1, 0]).replace(discount="1/2")
    controllers = np.eye(2)[:, None, :]
    run = pgtheory.run(bandit, ImproperActorCritic(0.5, controllers, 0.5, 20, natural=natural), 400)
    gap = run.gap()
    assert gap[-1] < (1e-6 if natural else 0.02)
    assert gap[-1] < gap[0] / 50


def test_features_that_are_too_few_leave_a_critic_that_stands_at_the_projected_fixed_point():
    rng, mdp, controllers = instance(3)
    features = rng.normal(size=(4, 2)) / 2
    method = ImproperActorCritic(1e-300, controllers, 0.5, 4000, features=features)
    u = method.step(np.zeros(5), mdp)[3:]
    policy = controllers.mean(axis=0)
    chain = np.einsum("sa,sat->st", policy, mdp.transitions)
    visits = 0.3 * np.linalg.solve((np.eye(4) - 0.7 * chain).T, mdp.start)
    matrix = features.T @ (visits[:, None] * (features - 0.7 * chain @ features))
    np.testing.assert_allclose(u, np.linalg.solve(matrix, features.T @ (visits * (policy * mdp.rewards).sum(axis=1))), rtol=1e-6)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"features": np.ones((3, 1))}, r"features have shape \(3, 1\); they must be \(4, k\)"),
        ({"critic_steps": 0}, "critic_steps is 0; it must be above 0"),
        ({"critic_steps": 1.5}, "critic_steps is 1.5; it must be a whole number"),
        ({"regularisation": -1.0}, "regularisation is -1.0; it must be at least 0"),
        ({"controllers": np.ones((2, 4, 2))}, "controller 0 is no policy in state 0"),
    ],
)
def test_bad_settings_are_refused(changed, said):
    _, mdp, controllers = instance(0)
    with pytest.raises(ModelError, match=said):
        dataclasses.replace(ImproperActorCritic(0.1, controllers), **changed).start(mdp)
