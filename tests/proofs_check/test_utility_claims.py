"""The figures of the utilities page through the claims' own quantities, and those quantities against plain loops and known optima."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from small import exact, floats

from mdps.rational import rational_array
from proofs_check.by_hand import by_hand
from proofs_check.catalogue import objectives, utilities
from proofs_check.quantities.objectives import _improvement, _least_excess, hypervolume

F = Fraction


def rows(probabilities):
    """Float probabilities bit by bit, each row divided by its exact sum."""
    values = rational_array(probabilities)
    return values / values.sum(axis=-1, keepdims=True)


def test_imitation_needs_the_slope_and_not_the_summand():
    """nu = (1, 0) from equal shares: slope (1/2, -1/2), times pi, against 0 and 0."""
    assert exact(utilities.IMITATION, "utility_softmax_gradient") == exact(utilities.IMITATION, "utility_softmax_derivative") == [F(1, 4), F(-1, 4)]
    assert exact(utilities.IMITATION, "utility_summand_gradient") == [0, 0]


def test_a_coin_at_the_start_is_not_a_coin_at_every_step():
    assert exact(utilities.STAY_OR_LEAVE, "mixed_occupancy")[0] == F(1, 2)  # stays: 1 and 0, half and half
    mixed, averaged, one = (exact(utilities.STAY_OR_LEAVE, f"{name}_occupancy") for name in ("mixture_policy", "averaged_policy", "mixture_policy"))
    assert (sum(mixed[:2]), sum(averaged[:2])) == (F(3, 4), F(2, 3)) and one == mixed


def test_the_first_step_of_frank_and_wolfe_loses_half_of_the_constant():
    assert exact(utilities.FIRST_JUMP, "conditional_gradient_gap") == [1]
    assert exact(utilities.FIRST_JUMP, "occupancy_diameter_squared") == [2]
    (after_32,) = exact(utilities.EQUAL_SHARES, "uniform_target_gap")
    assert F(8, 34**2) < F(1, 128) <= after_32 < F(2, 128)


@pytest.mark.parametrize("steps", [1, 2, 5, 10])
def test_frank_and_wolfe_by_a_plain_loop(steps):
    """The same points from value iteration's greedy policy in a random model, a loop over states and actions."""
    rng = np.random.default_rng(steps)
    P, r = rng.dirichlet(np.ones(2), size=(2, 3)), rng.random((2, 3))
    target, gamma, mu = rng.random((2, 3)), 0.8, np.array([0.3, 0.7])
    start, other = rng.dirichlet(np.ones(3), size=2), rng.dirichlet(np.ones(3), size=2)

    def visits(policy):
        d, where = np.zeros((2, 3)), mu * (1 - gamma)
        for _ in range(400):
            d += where[:, None] * policy
            where = gamma * np.einsum("s,sa,sat->t", where, policy, P)
        return d

    def worth(d):
        return (r * d).sum() - ((d - target) ** 2).sum() / 2

    x = visits(start)
    for t in range(steps):
        slope, values = r - (x - target), np.zeros(2)
        for _ in range(400):
            values = (slope + gamma * P @ values).max(axis=1)
        x = x + 2 / (t + 2) * (visits(np.eye(3)[(slope + gamma * P @ values).argmax(axis=1)]) - x)
    instance = by_hand(
        "random",
        transitions=rows(P),
        rewards=r.tolist(),
        discount="4/5",
        mu=["3/10", "7/10"],
        policy=rows(start),
        other=rows(other),
        settings={"backups": steps},
        extras={"target": target.tolist(), "bend": 1},
    )
    measured = floats(instance, "conditional_gradient_gap")
    assert abs(measured[0] - (worth(visits(other)) - worth(x))) < 1e-12  # 400 sweeps leave 0.8^400 < 1e-38; the rest is rounding of numbers near 1


def test_a_step_the_wrong_way_loses_what_it_should_gain():
    """F = -x^2/2 at -1: a step of 1 back loses 3/2."""
    assert floats(utilities.WRONG_WAY, "normalised_rise")[0] == pytest.approx(-1.5, abs=1e-15)
    assert floats(utilities.EXACT_GUESS, "normalised_rise")[0] == pytest.approx(0.5 - 0.125, abs=1e-15)
    assert exact(utilities.SURE_BEFORE, "memory_error_square") == exact(utilities.SURE_BEFORE, "fresh_variance")


def test_three_arms_and_the_area_above_them():
    assert exact(objectives.TWO_FIFTHS, "balanced_stochastic") == [F(1, 2)] and exact(objectives.TWO_FIFTHS, "balanced_deterministic") == [F(2, 5)]
    assert exact(objectives.THREE_FIFTHS, "balanced_stochastic") == [F(3, 5)] and exact(objectives.THREE_FIFTHS, "middle_shortfall") == [0]
    assert exact(objectives.MISSED, "deterministic_slack") == [0] and exact(objectives.MISSED, "weight_excess") == [F(1, 5)]
    assert exact(objectives.UNSEEN, "dominated_area") == [F(9, 25)] and exact(objectives.UNSEEN, "area_gain") == [F(9, 20) - F(9, 25)]
    assert exact(objectives.UNSEEN, "newcomer_lead") == [0]


def test_best_improvement_and_least_excess_against_a_linear_program():
    from scipy.optimize import linprog

    rng = np.random.default_rng(3)
    for _ in range(25):
        points = rng.random((5, 2))
        gain = points - rng.dirichlet(np.ones(5)) @ points
        primal = linprog(-gain.sum(axis=1), A_ub=-gain.T, b_ub=np.zeros(2), A_eq=np.ones((1, 5)), b_eq=[1])
        weights = linprog([0, 0, 1], A_ub=np.column_stack([gain, -np.ones(5)]), b_ub=np.zeros(5), bounds=[(1, None), (1, None), (None, None)])
        assert _improvement(gain[None])[0] == pytest.approx(-primal.fun, abs=1e-9)  # HiGHS is good to 1e-9 on data near 1
        assert _least_excess(gain[None])[0] == pytest.approx(weights.fun, abs=1e-9)


def test_hypervolume_counts_a_grid():
    """Points on the grid of tenths: the area is the number of cells below one of them."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        points = rng.integers(0, 11, size=(4, 2))
        cells = sum(any(i < x and j < y for x, y in points) for i, j in itertools.product(range(10), repeat=2))
        assert hypervolume(points[None] / 10)[0] == pytest.approx(cells / 100, abs=1e-14)


def test_the_bias_of_a_root_nine_times_in_ten():
    """0.00561 against 0.00430 with the curvature at the mean."""
    assert floats(objectives.NEARLY_ONE, "root_bias")[0] == pytest.approx(math.sqrt(1.9) - 0.1 - 0.9 * math.sqrt(2), abs=1e-15)
    assert floats(objectives.NEARLY_ONE, "root_bias")[0] > floats(objectives.NEARLY_ONE, "root_curvature_at_mean")[0] * 0.09 / 2
