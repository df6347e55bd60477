"""Laws that estimators keep on every small model, ragged ones too: unbiased means, best baselines, moments of learned critics."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mdps import strategies
from pgtheory import state_values
from pgtheory.sampling import GAE, BalancedBatch, ControlVariates, LearnedCritic, Reinforce, RewardToGo, TDCritic
from pgtheory.sampling.baselines import KINDS
from pgtheory.sampling.estimators import Estimator, truncated_gradient

HORIZON = 2


@st.composite
def model_and_policy(draw, **kinds):
    mdp = draw(strategies.mdps(max_states=2, max_actions=3, **kinds))
    return mdp, draw(strategies.policies(mdp))


def size(mdp) -> float:
    """A bound on what a weight can be, times the steps: what rounding is measured by."""
    return HORIZON * (1 + float(np.abs(np.asarray(mdp.pair_rewards)).max()))


@given(model_and_policy())
@settings(max_examples=25)
def test_unbiased_estimators_have_the_gradient_by_recursion(given_):
    mdp, policy = given_
    rng, gradient = np.random.default_rng(0), truncated_gradient(mdp, policy, HORIZON)
    for estimator in (
        Reinforce(HORIZON, baseline=0.3),
        RewardToGo(HORIZON, baseline=rng.normal(size=mdp.num_states)),
        ControlVariates(HORIZON, by="stage", coefficients=rng.normal(size=(HORIZON, mdp.num_states))),
        ControlVariates(HORIZON, by="pair", coefficients=rng.normal(size=policy.shape)),
        GAE(HORIZON, np.zeros(mdp.num_states), 1),
        BalancedBatch(HORIZON, 1, 0.0),
    ):
        np.testing.assert_allclose(estimator.expectation(mdp, policy), gradient, atol=1e-12 * size(mdp))


@given(model_and_policy(ragged=True), st.sampled_from(KINDS))
@settings(max_examples=25)
def test_a_fitted_baseline_never_adds_variance(given_, by):
    mdp, policy = given_
    plain, fitted = (ControlVariates(HORIZON, by=by), ControlVariates(HORIZON, by=by).fitted(mdp, policy))
    before, after = plain.moments(mdp, policy), fitted.moments(mdp, policy)
    np.testing.assert_allclose(after.mean, before.mean, atol=1e-9 * size(mdp))
    assert after.variance <= before.variance + 1e-9 * size(mdp) ** 2


@given(model_and_policy(ragged=True), st.sampled_from([0, 0.5, 1]))
@settings(max_examples=15)
def test_moments_of_a_learned_critic_are_those_of_the_list(given_, decay):
    mdp, policy = given_
    estimator = LearnedCritic(HORIZON, TDCritic(0.5, 1), decay)
    closed, listed = estimator.moments(mdp, policy), Estimator.moments(estimator, mdp, policy)
    scale = size(mdp) + float(np.abs(np.asarray(state_values(mdp, policy))).max())  # the fixed point that the recursion is written about
    np.testing.assert_allclose(closed.mean, listed.mean, atol=1e-10 * scale)
    np.testing.assert_allclose(closed.covariance, listed.covariance, atol=1e-10 * scale**2)
