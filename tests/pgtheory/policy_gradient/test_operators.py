"""Interpolated and mapped Bellman operators: fixed points by hand, enumeration, order, and the rate of mapped iteration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from flint import fmpq

from mdps import MDP, ModelError, zoo
from mdps.rational import rational_array
from pgtheory.exact import action_values, solve_exactly
from pgtheory.policy_gradient.interpolated import gradual_iteration, interpolated_action_values, interpolated_backup
from pgtheory.policy_gradient.orchestrated import MAPPINGS, Mapping, channel_backup, orchestrated_iteration
from tests import tolerances

RNG = np.random.default_rng(7)
MODEL = MDP(RNG.dirichlet(np.ones(3), (3, 2)), RNG.random((3, 2)), 0.7)
POLICY = RNG.dirichlet(np.ones(2), 3)
CLOSE = tolerances.quantity(3, 2, 0.7, 1.0)


def test_the_fixed_point_on_loop_by_hand():
    """LOOP(1/2), uniform, k = 1/2: Q(stay) = 1 + (3/8) Q(stay) = 1.6, as the best action is taken with chance 3/4; the mixture is 5/3."""
    loop = zoo.loop("1/2").exact
    half = rational_array([["1/2", "1/2"]] * 2)
    assert interpolated_action_values(loop, half, "1/2")[0, 0] == fmpq(8, 5)
    mixture = (solve_exactly(loop).values[0] + action_values(loop, half)[0, 0]) / 2
    assert mixture == fmpq(5, 3)


def test_the_fixed_point_is_a_fixed_point_and_the_best_of_all_mixed_policies():
    for k in (0, 0.3, 1):
        found = interpolated_action_values(MODEL, POLICY, k)
        backed = interpolated_backup(found, POLICY, MODEL.transitions, MODEL.rewards, MODEL.discount, k)
        np.testing.assert_allclose(backed, found, rtol=0, atol=CLOSE)
        mixed = [action_values(MODEL, (1 - k) * POLICY + k * np.eye(2)[list(c)]) for c in itertools.product(range(2), repeat=3)]
        np.testing.assert_allclose(np.max(mixed, axis=0), found, rtol=0, atol=CLOSE)


def test_gradual_iteration_ends_at_evaluation_when_the_weight_does():
    weights = [*np.linspace(1, 0, 30), *[0] * 120]
    reached = gradual_iteration(MODEL, POLICY, weights)
    # 120 plain backups leave 0.7^120 = 3e-19 of the distance
    np.testing.assert_allclose(reached, action_values(MODEL, POLICY), rtol=0, atol=CLOSE)
    optimal = gradual_iteration(MODEL, POLICY, [1] * 150)
    assert (optimal >= reached - CLOSE).all()


def test_weights_and_shapes_are_checked():
    with pytest.raises(ModelError, match=r"must lie in \[0, 1\]"):
        interpolated_action_values(MODEL, POLICY, 2)
    with pytest.raises(ModelError, match="policy has shape"):
        interpolated_action_values(MODEL, POLICY[:2], 1)
    with pytest.raises(ModelError, match=r"must lie in \[0, 1\]"):
        gradual_iteration(MODEL, POLICY, [-1])


def test_identity_mapping_with_full_rates_is_value_iteration():
    trail = orchestrated_iteration(MODEL, "identity", 4, np.zeros((3, 2)))
    values = np.zeros((3, 2))
    for k in range(4):
        values = MODEL.rewards + MODEL.discount * MODEL.transitions @ values.max(axis=1)
        np.testing.assert_allclose(trail[k + 1], values, rtol=0, atol=CLOSE)


@pytest.mark.parametrize("name", ["log", "square", "root"])
def test_mapped_iteration_moves_the_mapped_value_by_its_share(name):
    mapping, first = MAPPINGS[name], np.full((3, 2), 0.5)
    after = orchestrated_iteration(MODEL, name, 1, first, reward_rate=0.6, map_rate=0.25)[1]
    target = 0.4 * first + 0.6 * (MODEL.rewards + MODEL.discount * 0.5)
    np.testing.assert_allclose(mapping.forward(after), 0.75 * mapping.forward(first) + 0.25 * mapping.forward(target), rtol=0, atol=CLOSE)
    np.testing.assert_allclose(mapping.inverse(mapping.forward(first)), first, rtol=4 * tolerances.EPS)


def test_the_logarithm_is_slow_from_far_below():
    """One state, discount 0, target 1, Q = 1/100, both rates 1/2: the error shrinks by 0.938, not by 1 - 1/4."""
    arms = zoo.arms([1])
    trail = orchestrated_iteration(arms, "log", 1, [[0.01]], reward_rate=0.5, map_rate=0.5)
    assert (1 - trail[1, 0, 0]) / 0.99 == pytest.approx(0.938, abs=5e-4)


def test_channels_add_up_to_value_iteration_in_rationals():
    model = MODEL.exact
    rewards, weights = rational_array(RNG.integers(-3, 4, (2, 3, 2)).tolist()), rational_array(["1/2", "-1/3"])
    channels, total = rewards * 0, rewards[0] * 0
    summed = (weights[:, None, None] * rewards).sum(axis=0)
    for _ in range(4):
        channels = channel_backup(channels, weights, model.transitions, rewards, model.discount)
        total = summed + model.discount * (model.transitions @ total.max(axis=1))
    assert ((weights[:, None, None] * channels).sum(axis=0) == total).all()


def test_rates_and_mappings_are_checked():
    with pytest.raises(ModelError, match="unknown mapping"):
        orchestrated_iteration(MODEL, "cube", 1, np.ones((3, 2)))
    with pytest.raises(ModelError, match="map_rate is 0"):
        orchestrated_iteration(MODEL, "log", 1, np.ones((3, 2)), map_rate=0)
    own = Mapping("cube", lambda x: x**3, np.cbrt)
    assert np.isfinite(orchestrated_iteration(MODEL, own, 3, np.ones((3, 2)), 0.5, 0.5)).all()
