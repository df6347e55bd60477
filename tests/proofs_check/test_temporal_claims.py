"""The figures of the pages on temporal differences and on recursions: every sample sequence listed, the library, and closed forms beside the claims."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from small import exact, floats, settled

from mdps.model import MDP
from mdps.rational import fraction, rational, rational_array
from pgtheory.sampling.temporal import LinearTD
from proofs_check.by_hand import by_hand
from proofs_check.catalogue import recursions, temporal

F = Fraction
THREE = by_hand(
    "three states, two actions, one feature each",
    transitions=[[["1/2", "1/2", 0], [0, 0, 1]], [["1/4", "1/4", "1/2"], [1, 0, 0]], [[0, 1, 0], ["1/3", "1/3", "1/3"]]],
    rewards=[[1, -1], [0, 2], ["1/2", 0]],
    discount="4/5",
    mu=["1/2", "1/4", "1/4"],
    policy=[["1/3", "2/3"], ["1/2", "1/2"], ["3/4", "1/4"]],
    settings={"rounds": 2, "stride": "1/2", "learners": 1},
    extras={"features": [[1, 0], ["1/2", "1/2"], [0, -1]], "first_weights": [1, -2], "restart": "1/10"},
)


# Temporal differences


def restarted_model(instance):
    again, model = instance.extras["restart"], instance.mdp().exact
    start = rational_array([str(F(fraction(x))) for x in instance.mu])
    return MDP(model.transitions * (1 - again) + again * start, model.rewards, discount=model.discount)


def library(instance):
    return LinearTD(restarted_model(instance), instance.policy, instance.extras["features"])


@pytest.mark.parametrize(("rounds", "learners"), [(0, 1), (1, 2), (2, 5), (7, 3)])
def test_moments_agree_with_the_library_to_the_last_digit(rounds, learners):
    instance = settled(THREE, rounds=rounds, learners=learners)
    means, seconds = library(instance).errors(instance.extras["first_weights"], rational("1/2"), rounds, agents=learners)
    assert exact(instance, "td_mean_square") == [F(fraction(seconds[-1][0, 0] + seconds[-1][1, 1]))]
    assert exact(instance, "weight_variance") == [F(fraction(seconds[-1][0, 0] + seconds[-1][1, 1] - means[-1] @ means[-1]))]
    assert exact(instance, "td_noise") == [F(fraction(sum(np.diag(library(instance).noise))))]


def test_moments_are_those_of_every_sequence_of_samples():
    """Two steps of one agent: each pair of (state, action, next state), one by one, in floats."""
    model, system = restarted_model(THREE).float, library(THREE)
    law, policy, phi = (np.array(x, dtype=float) for x in (system.states, THREE.policy, THREE.extras["features"]))
    goal, start = np.array(system.fixed_point, dtype=float), np.array(THREE.extras["first_weights"], dtype=float)
    triples = [(law[s] * policy[s, a] * model.transitions[s, a, n], s, a, n) for s, a, n in itertools.product(range(3), range(2), range(3))]
    total = 0.0
    for both in itertools.product(triples, repeat=2):
        theta = start
        for _, s, a, n in both:
            theta = theta + (model.rewards[s, a] + 0.8 * phi[n] @ theta - phi[s] @ theta) * phi[s] / 2
        total += both[0][0] * both[1][0] * ((theta - goal) ** 2).sum()
    assert floats(THREE, "td_mean_square")[0] == pytest.approx(total, rel=1e-12)


def test_expected_steps():
    system, instance = library(THREE), settled(THREE, rounds=5)
    phi, law = (np.array(x, dtype=float) for x in (system.features, system.states))
    error = np.array(instance.extras["first_weights"] - system.fixed_point, dtype=float)
    path = [np.linalg.matrix_power(np.eye(2) - np.array(system.matrix, dtype=float) / 2, t) @ error for t in range(6)]
    assert floats(instance, "td_last_square")[0] == pytest.approx(path[5] @ path[5], rel=1e-12)
    squares = [law @ (phi @ e) ** 2 for e in (*path[:5], np.mean(path[:5], axis=0))]
    assert floats(instance, "td_mean_value_square")[0] == pytest.approx(np.mean(squares[:5]), rel=1e-12)
    assert floats(instance, "td_average_square")[0] == pytest.approx(squares[5], rel=1e-12)


def test_the_exponent_needs_omega():
    """Two thousand steps from far away: 4753.8 against 4721.9 without omega, and 4754.5 with it."""
    instance = settled(temporal.LEANING, rounds=2000)
    measured, first, noise, omega = (floats(instance, name)[0] for name in ("td_short_mean_square", "first_error", "td_noise", "feature_spread"))
    shrink = omega * 0.01 * 2000 / 8
    assert measured == pytest.approx(4753.8, abs=0.05)
    assert math.exp(-shrink) * first + noise / 4 == pytest.approx(4721.9, abs=0.05)
    assert math.exp(-shrink * omega) * first + noise / 4 == pytest.approx(4754.5, abs=0.05)


def test_one_state_attains_both_constants():
    """(1 - x(1-gamma))^2T of the first error, and the floor of one state, x sigma^2/((1-gamma)(2 - x(1-gamma))); fifty agents have a fiftieth."""
    kept = (1 - F(1, 100) * F(1, 10)) ** 2
    floor = F(1, 10000) * (1 - kept**1000) / (1 - kept)
    assert exact(temporal.PAIRED, "td_mean_square") == [floor] == exact(temporal.PAIRED, "td_settled_mean_square")
    assert exact(settled(temporal.FAR, rounds=100), "td_settled_mean_square") == [0]
    assert exact(temporal.TEAM, "td_mean_square") == [floor / 50]
    assert exact(temporal.LOOP_LONG, "td_last_square") == [F(100) * F(11, 10) ** 10]


def test_agents_end_where_their_mean_equation_says():
    assert exact(temporal.ALIKE, "shared_weights") == [5] and exact(temporal.ALIKE, "mean_of_weights") == [5]
    assert floats(temporal.ALIKE, "shared_distance")[0] == pytest.approx(5, rel=1e-14)
    assert exact(temporal.MOVED_APART, "shared_weights") != exact(temporal.MOVED_APART, "mean_of_weights")
    assert floats(temporal.MOVED_APART, "vector_distance")[0] == 0


# Q-learning


def test_the_noise_of_q_learning():
    assert exact(temporal.FED, "noise_corrected_error") == [F(1, 32)] and exact(temporal.FED, "bare_radius") == [0]
    assert exact(temporal.SHIFTED, "noise_corrected_error") == exact(temporal.SHIFTED, "noise_fed_radius") == [5 * F(19, 20) ** 6]
    assert floats(temporal.RARELY, "single_noise_failure")[0] == pytest.approx(1 - (39 / 40) ** 24, rel=1e-12)
    assert floats(temporal.RARELY, "noise_failure")[0] == pytest.approx(0, abs=1e-14)
    assert floats(temporal.ONCE, "noise_failure")[0] == pytest.approx(1 - (7 / 8) ** 2, rel=1e-12)


# Estimates that remember


def test_a_remembered_estimate_path_by_path():
    """Two states, two steps: every path with plain loops, the gradients by differences of the value."""
    instance = recursions.TURNED.as_float()
    P, r, now, before = instance.transitions, instance.rewards, instance.policy, instance.other

    def returns(path):
        paid = [0.5**t * r[s, a] for t, (s, a) in enumerate(path)]
        return [sum(paid[t:]) for t in range(2)]

    def paths(policy):
        for a, s, b in itertools.product(range(2), repeat=3):
            yield policy[0, a] * P[0, a, s] * policy[s, b], ((0, a), (s, b))

    def estimate(policy, path):
        out = np.zeros((2, 2))
        for (s, a), left in zip(path, returns(path), strict=True):
            out[s] += (np.eye(2)[a] - policy[s]) * left
        return out

    def slope(policy):
        logits, out, h = np.log(policy), np.zeros((2, 2)), 1e-5
        for place in itertools.product(range(2), repeat=2):
            ends = []
            for sign in (1, -1):
                moved = logits.copy()
                moved[place] += sign * h
                rows = np.exp(moved) / np.exp(moved).sum(axis=1, keepdims=True)
                ends.append(sum(chance * returns(path)[0] for chance, path in paths(rows)))
            out[place] = (ends[0] - ends[1]) / (2 * h)
        return out

    mean, square = np.zeros((2, 2)), 0.0
    for chance, path in paths(now):
        weight = np.prod([before[s, a] / now[s, a] for s, a in path])
        fresh = estimate(now, path)
        error = fresh / 2 + (slope(before) + instance.extras["last_error"] + fresh - weight * estimate(before, path)) / 2 - slope(now)
        mean, square = mean + chance * error, square + chance * (error**2).sum()
    assert floats(recursions.TURNED, "running_error_mean") == pytest.approx(mean.reshape(-1), abs=1e-9)  # differences: h^2 and eps/h
    assert floats(recursions.TURNED, "running_error_square")[0] == pytest.approx(square, abs=1e-8)


def test_without_weights_the_estimate_is_biased():
    """Two arms, (.88, .12) before: half of .1056 - .06 in the first coordinate."""
    assert exact(recursions.LEANT_BEFORE, "running_error_mean_unweighted")[0] == (F(22, 25) * F(3, 25) - F(3, 25) / 2) / 2


def test_two_arms_that_pay_alike_attain_the_bound_on_the_size():
    """Both noises are 1/2 and agree: 1/2 = 2/4 (1/2) + 2/4 (1/2)."""
    for name in ("running_error_square", "fresh_path_variance", "corrected_difference_square"):
        assert exact(recursions.ALIKE, name) == [F(1, 2)]


# Functions of estimated means


def test_the_bias_of_one_batch_halves_with_twice_the_draws():
    goal = np.array(exact(recursions.THREE, "distance_gradient"))
    for draws, size in ((1, 0.24893), (2, 0.12447), (4, 0.06223)):
        instance = settled(recursions.THREE, samples=draws)
        apart = np.array(exact(instance, "same_batch_gradient")) - goal
        assert math.sqrt(apart @ apart) == pytest.approx(size, abs=5e-6)
        assert exact(instance, "other_batch_gradient") == goal.tolist()


# Backups weighed by values


@pytest.mark.parametrize(("ratio", "constant"), [("1/10", 2.576), ("1/5", 1.408), ("3/10", 1.088), ("2/5", 1.001)])
def test_the_constant_of_value_weighted_backups(ratio, constant):
    """Against every two-level vector on a fine grid of shares."""
    rho, share = float(F(ratio)), np.linspace(0, 1, 20001)
    mean, square = share + (1 - share) * rho, share + (1 - share) * rho**2
    slopes = (share * np.abs(2 * mean - square) + (1 - share) * np.abs(2 * rho * mean - square)) / mean**2
    exactly = (1 + rho**2) ** 2 / (4 * rho * (1 - rho**2))
    assert slopes.max() == pytest.approx(exactly, abs=1e-6) and exactly == pytest.approx(constant, abs=5e-4)
    assert slopes.max() <= exactly * (1 + 1e-12)


def test_a_backup_that_expands():
    assert exact(recursions.ATTAINED, "backup_slope") == [F(25, 24)]
    ratio = exact(recursions.EIGHTH, "backup_distance")[0] / exact(recursions.EIGHTH, "next_value_distance")[0]
    assert float(ratio) == pytest.approx(2.317, abs=5e-4)
