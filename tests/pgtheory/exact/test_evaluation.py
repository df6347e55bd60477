"""Values, action values, advantages and occupancies of a given policy, in three arithmetics."""

from __future__ import annotations

import flint
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from mdps import MDP, ModelError, strategies
from mdps.rational import to_float
from pgtheory.exact import action_values, advantages, occupancy, state_occupancy, state_values
from pgtheory.exact.linear import balls

UNIT = 2.0**-53


def solve_tolerance(mdp: MDP) -> float:
    """8 S eps cond max|V| with cond = (1 + gamma) / (1 - gamma), and the rounding of the data itself."""
    gamma, size = mdp.discount, float(np.max(np.abs(mdp.pair_rewards))) + 1e-300
    return 16 * (mdp.num_states + 4) * UNIT * (1 + gamma) / (1 - gamma) ** 2 * size


@given(data=st.data(), mdp=strategies.mdps(ragged=True))
def test_float_rational_and_ball_values_agree(data, mdp):
    policy = data.draw(strategies.policies(mdp, exact=True))
    exact = state_values(mdp, policy)
    assert all(isinstance(v, flint.fmpq) for v in exact)
    np.testing.assert_allclose(state_values(mdp, to_float(policy)), to_float(exact), rtol=0, atol=solve_tolerance(mdp))
    for ball, value in zip(state_values(mdp, balls(policy)), exact, strict=True):
        assert ball.contains(flint.arb(value))


@given(data=st.data(), mdp=strategies.mdps(ragged=True))
def test_values_satisfy_the_bellman_equation_exactly(data, mdp):
    policy = data.draw(strategies.policies(mdp, exact=True))
    values = state_values(mdp, policy)
    q = action_values(mdp, policy)
    assert list((policy * q).sum(axis=1)) == list(values)
    assert all(x == 0 for x in (policy * advantages(mdp, policy)).sum(axis=1))
    assert list(action_values(mdp, values=values).reshape(-1)) == list(q.reshape(-1))


@given(data=st.data(), mdp=strategies.mdps(ragged=True))
def test_occupancy_is_a_flow_that_sums_to_one_and_gives_the_value(data, mdp):
    policy = data.draw(strategies.policies(mdp, exact=True))
    d = occupancy(mdp, policy)
    assert d.sum() == 1
    assert (d * mdp.exact.rewards).sum() == (1 - mdp.exact.discount) * (mdp.exact.start * state_values(mdp, policy)).sum()
    arrivals = np.einsum("sa,sat->t", d, mdp.exact.transitions)
    assert list(d.sum(axis=1)) == list((1 - mdp.exact.discount) * mdp.exact.start + mdp.exact.discount * arrivals)
    np.testing.assert_allclose(
        occupancy(mdp, to_float(policy)), to_float(d), rtol=0, atol=solve_tolerance(mdp.replace(rewards=mdp.pair_rewards * 0 + 1))
    )


@given(data=st.data(), mdp=strategies.mdps())
def test_a_sparse_model_gives_the_values_of_the_dense_one(data, mdp):
    policy = data.draw(strategies.policies(mdp))
    sparse = MDP(csr_array(mdp.choices), mdp.rewards, mdp.discount, mdp.start)
    for quantity in (state_values, action_values, advantages, occupancy, state_occupancy):
        np.testing.assert_allclose(quantity(sparse, policy), quantity(mdp, policy), rtol=0, atol=2 * solve_tolerance(mdp) + 4 * UNIT)


def test_a_start_distribution_of_ones_own_replaces_the_models():
    mdp = MDP([[[0.0, 1.0]], [[0.0, 1.0]]], [0.0, 1.0], "1/2")
    policy = np.ones((2, 1))
    np.testing.assert_array_equal(state_occupancy(mdp, policy, [0, 1]), [0.0, 1.0])
    np.testing.assert_array_equal(state_occupancy(mdp, policy, [1, 0]), [0.5, 0.5])


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (np.ones((2, 2)), r"policy\[0\] \(state 0\) sums to 2"),
        (np.array([[1.0, 0.0], [1.5, -0.5]]), r"policy\[1, 1\] \(state 1\) is -0.5"),
        (np.array([[1.0, 0.0], [np.nan, 1.0]]), r"policy\[1, 0\] \(state 1\) is nan"),
        (np.ones((2, 3)), r"policy has shape \(2, 3\)"),
        (np.array([["1/2", "1/3"], ["1", "0"]], dtype=object), r"policy\[0\] \(state 0\) sums to 5/6"),
    ],
)
def test_a_policy_that_is_none_is_refused_with_its_place(policy, message):
    mdp = MDP(np.full((2, 2, 2), 0.5), np.zeros((2, 2)), 0.9)
    with pytest.raises(ModelError, match=message):
        state_values(mdp, policy)


def test_a_policy_may_not_use_an_action_that_does_not_exist():
    mdp = MDP.from_choices([0, 1, 3], np.full((3, 2), 0.5), [0.0, 1.0, 2.0], 0.5)
    with pytest.raises(ModelError, match=r"state 0 has no action 1"):
        state_values(mdp, [[0.5, 0.5], [0.5, 0.5]])


def test_action_values_takes_a_policy_or_values():
    mdp = MDP(np.full((2, 2, 2), 0.5), np.zeros((2, 2)), 0.9)
    for arguments in ({}, {"policy": np.full((2, 2), 0.5), "values": np.zeros(2)}):
        with pytest.raises(ModelError, match="one of the two"):
            action_values(mdp, **arguments)
