"""Expected advantage estimates: against the sum that defines them, at both ends of the decay, and in rationals."""

from __future__ import annotations

import numpy as np
import pytest
from flint import fmpq
from hypothesis import given
from hypothesis import strategies as st

from mdps import ModelError, strategies, zoo
from mdps.rational import rational_array
from pgtheory.exact import action_values, advantages, expected_gae, state_values


@given(data=st.data(), mdp=strategies.mdps(max_states=4, max_actions=3, rewards=(-1, 1)))
def test_the_ends_of_the_decay(data, mdp):
    """Decay 1: action values less the critic, whatever the critic.  Decay 0: the temporal difference.  The true critic: advantages at any decay."""
    policy = data.draw(strategies.policies(mdp, exact=True))
    critic = rational_array(data.draw(st.lists(st.integers(-5, 5), min_size=mdp.num_states, max_size=mdp.num_states)))
    exact = mdp.exact
    assert (expected_gae(exact, policy, critic, 1) == action_values(exact, policy) - critic[:, None]).all()
    assert (expected_gae(exact, policy, critic, 0) == action_values(exact, values=critic) - critic[:, None]).all()
    assert (expected_gae(exact, policy, state_values(exact, policy), fmpq(1, 3)) == advantages(exact, policy)).all()


def test_the_sum_that_defines_it():
    """sum_k (gamma lambda)^k E[delta_k | s, a], 2,000 terms of it at discount 9/10: the rest is below 0.9^2000."""
    rng = np.random.default_rng(3)
    mdp = zoo.river_swim()
    policy, critic, decay = rng.dirichlet(np.ones(2), mdp.num_states), rng.normal(size=mdp.num_states), 0.7
    first = mdp.rewards + mdp.discount * mdp.transitions @ critic - critic[:, None]
    chain = np.einsum("sa,sat->st", policy, mdp.transitions)
    total, ahead, mean = first.copy(), mdp.transitions.copy(), (policy * first).sum(axis=1)
    for k in range(1, 2000):
        total += (mdp.discount * decay) ** k * ahead @ mean
        ahead = ahead @ chain
    np.testing.assert_allclose(expected_gae(mdp, policy, critic, decay), total, rtol=0, atol=1e-10)


def test_bad_input_is_refused():
    mdp = zoo.two_state()
    policy = np.full((2, 2), 0.5)
    with pytest.raises(ModelError, match="decay"):
        expected_gae(mdp, policy, np.zeros(2), 1.5)
    with pytest.raises(ModelError, match="critic has shape"):
        expected_gae(mdp, policy, np.zeros(3), 0.5)
    with pytest.raises(ModelError, match="sums to"):
        expected_gae(mdp, policy * 0.9, np.zeros(2), 0.5)
