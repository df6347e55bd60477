"""The figures of the pages on paths, committing and gap weighting, through the claims' own quantities, and plain loops beside them."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from small import exact, floats

from proofs_check.catalogue import committal, gap_weighting, path_estimators, sampled_gradients
from tests import tolerances

F = Fraction


def test_shared_parameters_turn_the_order_of_the_variances():
    """7503/512 against 7311/512 in units of 64 without a discount; at 99/100 the order is the same."""
    future, whole = exact(path_estimators.STAY_FOR_LESS, "future_shared_variance"), exact(path_estimators.STAY_FOR_LESS, "whole_shared_variance")
    assert future > whole
    assert float(future[0]) == pytest.approx(7503 / 512 / 64, rel=0.02)  # the discount takes at most 2% off a second step's square


def test_a_signed_return_hides_its_noise():
    (whole,), (future,) = exact(path_estimators.EARLY_LOSS, "whole_staged_variance"), exact(path_estimators.EARLY_LOSS, "future_staged_variance")
    assert whole == F(1, 100) ** 2 and future == F(1, 100) ** 2 / 2 + F(99, 100) ** 2 / 2  # E|s|^2 = 1/2 in both stages


def test_the_fork_and_its_variances():
    assert exact(path_estimators.FORKED, "wrong_gae_variance")[0] == F(81, 100)
    assert exact(path_estimators.FORKED, "longer_wrong_gae_variance")[0] == 0


def test_weights_multiply_over_the_steps():
    assert exact(path_estimators.SAME_EVERYWHERE, "path_weight_moment") == [F(4, 3) ** 3]
    assert floats(path_estimators.SAME_EVERYWHERE, "largest_log_weight")[0] == pytest.approx(math.log(4 / 3) / 2, abs=1e-15)


def test_sixty_steady_steps():
    (moment,) = floats(path_estimators.LONG, "steady_second_moment")
    assert moment == pytest.approx(sum(((0.9**t - 0.9**60) / 0.1) ** 2 for t in range(60)) / 2, rel=1e-13)
    assert 261 < moment < 262


def test_the_wrong_arm_for_ever():
    """.3908 and .0768, from a loop over the lead of the second arm."""
    for instance, reward, step in ((committal.NINE_TENTHS, 0.9, 1.0), (committal.HALF, 0.5, 0.5)):
        lead, chance = 0.0, 1.0
        for _ in range(100):
            share = 1 / (1 + math.exp(-lead))
            chance, lead = chance * share, lead + step * reward / share
        assert floats(instance, "wrong_run")[0] == pytest.approx(chance, rel=1e-12)
    assert 0.39 < floats(committal.NINE_TENTHS, "wrong_run")[0] < 0.391


def test_noise_undoes_the_progress():
    assert floats(committal.SELDOM_BETTER, "noisy_progress")[0] == pytest.approx(-0.479187, abs=1e-6)
    assert floats(committal.OFTEN_BETTER, "bare_progress")[0] < 0 < floats(committal.OFTEN_BETTER, "value_baseline_progress")[0]


def test_raw_and_shortest_natural_estimates():
    below, above = floats(committal.SKEWED, "raw_variance_below")[0], floats(committal.SKEWED, "raw_variance_above")[0]
    assert (round(below, 4), round(above, 4)) == (4.5367, 3.0033)
    assert exact(committal.SKEWED, "natural_variance_below") == exact(committal.SKEWED, "natural_variance_above")


@pytest.mark.parametrize(("instance", "agents"), list(zip(committal.COINS, (1, 2, 8), strict=True)))
def test_coins_that_must_all_agree(instance, agents):
    assert exact(instance, "right_direction") == [F(1, 2**agents)]
    (mean,), (variance,) = exact(instance, "first_estimate_mean_square"), exact(instance, "first_estimate_variance")
    assert mean / variance == F(1, 2**agents - 1)


def test_what_is_gone_must_be_forgotten():
    assert [round(float(x), 4) for x in exact(committal.HALVES, "set_derivative")] == [0.0267, 0.1693, -0.1960]
    assert [round(float(x), 4) for x in exact(committal.HALVES, "plain_score_mean")] == [-0.0804, 0.1989, -0.1185]
    assert [round(float(x), 4) for x in exact(committal.HALVES, "plain_score_alone")] == [-0.1607, 0.0750, 0.0857]


def test_gap_weighting_equalises():
    """Shares 1/2, 1/4, 1/4 belong to lambda = 2 and gaps 0, 1/2, 1/2; every arm is worth (K - 1)/4."""
    assert exact(gap_weighting.QUARTERS, "gap_law_worth") == [F(1, 2)] * 3
    regret, error = floats(gap_weighting.FAR_BEHIND, "simple_law_regret")[0], floats(gap_weighting.FAR_BEHIND, "simple_law_error")[0]
    assert regret - 10 * error == pytest.approx(9 / 40 + 800 / 1010, abs=1e-10) and regret - 10 * error > 1


def test_the_fisher_bound_of_two_states():
    (gap_,) = floats(gap_weighting.PATIENT, "gap_mu")
    score, size, least = (floats(gap_weighting.PATIENT, n)[0] for n in ("largest_score", "free_gradient_norm", "least_fisher_eigenvalue"))
    assert (round(gap_, 3), round(score * size / least, 3)) == (7.873, 11.868)


def test_discounted_variances_sum_to_a_quarter_of_the_squared_range():
    """v + gamma P phi <= phi for phi = m (1/(1-gamma) - m), m the mean next value; and the two figures of the page."""
    rng = np.random.default_rng(0)
    for gamma in (0.0, 0.3, 0.9, 0.99):
        chain, rewards = rng.dirichlet(np.full(4, 0.3), 4), rng.integers(0, 2, 4)
        values = np.linalg.solve(np.eye(4) - gamma * chain, rewards)
        mean = chain @ values
        variance, bound = chain @ values**2 - mean**2, mean * (1 / (1 - gamma) - mean)
        assert (variance + gamma * chain @ bound <= bound + tolerances.quantity(4, 1, gamma, 1.0)).all()
        assert bound.max() <= 1 / (4 * (1 - gamma) ** 2) + tolerances.quantity(4, 1, gamma, 1.0)
    spread = math.sqrt(0.99 * 0.01) / (0.01 + 2 * 0.99 * 0.01)
    assert floats(sampled_gradients.LAZY, "value_noise_sum")[0] == pytest.approx(spread / 0.01, rel=1e-9) == pytest.approx(333.9, abs=0.05)
