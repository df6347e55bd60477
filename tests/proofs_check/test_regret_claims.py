"""The figures of the pages on regret and on corrected gradients, through the claims' own quantities, with plain loops and the library beside them."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from small import exact, floats

from pgtheory import arithmetic
from pgtheory.sampling.bandits import Bandit, MirrorDescent, SoftmaxGradient, expectations
from proofs_check.catalogue import corrected_gradients, games_learning, lower_bounds, noisy_games, regret, sampling_schemes
from proofs_check.quantities.regret import _lead

F = Fraction


@pytest.mark.parametrize(
    ("instance", "name", "learner"),
    [
        (regret.SIX, "exp3_regret", MirrorDescent("shannon", 0.5)),
        (regret.SIX, "tuned_exp3_regret", MirrorDescent("shannon", math.sqrt(math.log(2) / 6))),
        (regret.SIX, "tsallis_bandit_regret", MirrorDescent("tsallis", 2.0, decreasing=True)),
        (regret.SHORT_STEP, "barrier_regret", MirrorDescent("log-barrier", 0.05)),
    ],
)
def test_trees_agree_with_the_library(instance, name, learner):
    """An arm that loses 1 in every round is a bandit with rewards 1 and 0."""
    assert floats(instance, name)[0] == pytest.approx(expectations(learner, Bandit.sure([1, 0]), 6).regret[-1], rel=1e-12)


def test_a_tree_whose_losses_change():
    """Three arms, three rounds: all nine draws that matter, one by one."""
    losses, eta, total = np.array([[0, 1, 1], [0, 1, 0], [0, 0, 1]]), 0.5, 0.0
    for draws in itertools.product(range(3), repeat=2):
        sums, chance = np.zeros(3), 1.0
        for t in range(3):
            p = np.exp(-eta * sums) / np.exp(-eta * sums).sum()
            total += chance * p @ losses[t] / 3 ** (2 - t)  # each prefix is met once for every continuation of it
            if t < 2:
                chance *= p[draws[t]]
                sums[draws[t]] += losses[t, draws[t]] / p[draws[t]]
    assert floats(regret.TURNS, "exp3_regret")[0] == pytest.approx(total, rel=1e-13)


@pytest.mark.parametrize("power", [1, 2])
def test_the_leaders_law_is_enclosed(power):
    distances = np.array([[0.0, 0.25, 7.0], [0.0, 0.0, 0.0], [0.0, 1e6, 3.0]])
    y = _lead(distances, power)
    assert ((1 / (distances + y[:, None])) ** power).sum(axis=1) == pytest.approx(np.ones(3), rel=1e-14)
    with arithmetic.precision(160):
        enclosed = _lead(arithmetic.balls(distances), power)
        assert all(float(ball.rad()) < 1e-40 for ball in enclosed)
        assert [float(ball.mid()) for ball in enclosed] == pytest.approx(y.tolist(), rel=1e-14)
    assert y[1] == pytest.approx(3 ** (1 / power))


def test_losses_in_other_units_break_the_bounds():
    assert floats(regret.DOUBLED, "tuned_hedge_regret")[0] == pytest.approx(1) and math.sqrt(math.log(2) / 2) < 0.589
    assert floats(regret.TENFOLD, "tuned_exp3_regret")[0] > math.sqrt(24 * math.log(2))
    assert floats(regret.HUNDRED, "tsallis_bandit_regret")[0] == pytest.approx(50)
    assert floats(regret.ONE_ARM, "tuned_hedge_regret")[0] == 0


def test_late_gradients():
    assert floats(games_learning.FIRST, "last_step_size")[0] == 1
    assert floats(games_learning.UNHEARD, "delayed_regret")[0] == pytest.approx(4)
    points, signs = [0.0, 0.0], [1, 1, -1, -1, 1, 1, -1, -1]  # one round late with step 1/4: x_t = -(1/4) sum of the signs before t - 1
    points += [-sum(signs[: t - 1]) / 4 for t in range(2, 8)]
    assert floats(games_learning.SPIRAL, "delayed_regret")[0] == pytest.approx(np.dot(points, signs))


def test_a_policy_that_changes_gains_what_a_fixed_one_cannot():
    """Six rounds in which two actions are paid by turns: 6 against 3."""
    fixed, moving = floats(games_learning.TURNS, "tuned_changing_regret")[0], floats(games_learning.TURNS, "tuned_moving_regret")[0]
    assert moving - fixed == pytest.approx(3)
    assert floats(games_learning.CORRIDOR, "changing_regret")[0] == pytest.approx(3 - 7 / 8)  # uniform: 1/2 + 1/4 + 1/8


def test_hessians_along_paths():
    assert exact(corrected_gradients.TWO_STAGES, "path_hessian_product") == exact(corrected_gradients.TWO_STAGES, "stage_gradient_along")
    change, far = floats(corrected_gradients.CROSSING, "gradient_change"), floats(corrected_gradients.CROSSING, "segment_far_end")
    assert change[0] == pytest.approx(-0.14501, abs=1e-5) and far[0] == pytest.approx(-0.15993, abs=1e-5)
    assert floats(corrected_gradients.CROSSING, "segment_mean") == pytest.approx(change, abs=1e-14)
    assert exact(corrected_gradients.BOWL, "transported_error") == [0, F(1, 4), 0]


def test_sampled_ascent_agrees_with_the_library():
    run = expectations(SoftmaxGradient(4.0), Bandit(np.array([[1.0, -1.0], [0.0, 0.0]]), np.array([[0.6, 0.4], [1.0, 0.0]])), 7)
    assert floats(lower_bounds.STUCK, "ascent_regret")[0] == pytest.approx(run.regret[-1], rel=1e-12)
    assert floats(corrected_gradients.SURE, "ascent_squares")[0] == 0
    assert floats(corrected_gradients.EVEN, "ascent_squares")[0] == pytest.approx(1 / 8)


def test_how_draws_are_balanced():
    assert exact(sampling_schemes.LARGE_AND_SMALL, "ratio_surplus") == [F(14, 5)]
    assert exact(sampling_schemes.LARGE_AND_SMALL, "balanced_surplus")[0] <= F(5, 6)
    assert exact(sampling_schemes.ALL_BUT_ONE, "balanced_surplus") == [F(2, 3)]
    assert exact(sampling_schemes.OPPOSITE, "sampling_error_square") == [0] and exact(sampling_schemes.OPPOSITE, "frequency_distance") == [1]


def test_gaussian_moments():
    assert floats(sampling_schemes.FAST, "wave_pathwise_variance")[0] == pytest.approx(4.49888938, rel=1e-8)
    z, w = np.polynomial.hermite_e.hermegauss(80)
    w = w / w.sum()
    for name, values in (("wave_pathwise_variance", 3 * np.cos(3 * z)), ("wave_score_variance", z * np.sin(3 * z))):
        assert floats(sampling_schemes.FAST, name)[0] == pytest.approx(w @ values**2 - (w @ values) ** 2, rel=1e-9)
    assert exact(sampling_schemes.LEVEL, "one_sided_square") == [14700]
    assert exact(sampling_schemes.PARABOLA, "score_variance") == [F(3, 2)] and exact(sampling_schemes.PARABOLA, "pathwise_variance") == [1]


def test_two_coins_and_a_fitted_model():
    assert exact(lower_bounds.NEAR, "least_test_error") == [F(9, 10)]
    assert exact(lower_bounds.BLIND, "least_test_error") == [1]
    p, q = ([math.comb(20, k) * x**k * (1 - x) ** (20 - k) for k in range(21)] for x in (0.01, 0.5))
    assert floats(lower_bounds.FAR, "least_test_error")[0] == pytest.approx(np.minimum(p, q).sum(), rel=1e-12)
    assert exact(lower_bounds.LAMP, "fitted_plan_error")[0] == 1 / (1 - F(27, 50)) - 1 / (1 - F(9, 20))
    assert exact(lower_bounds.FADING, "fitted_plan_error")[0] == 9 * exact(lower_bounds.FADING, "next_value_error")[0]


def test_equal_steps_under_noise_as_large_as_the_gradient():
    assert exact(noisy_games.LOUD, "settled_square_equal") == [1 + 2 * F(1, 10) ** 4]
    assert exact(noisy_games.SURE, "settled_square_equal") == [1 - F(1, 10) ** 2 + F(1, 10) ** 4]
    place, seen, total = np.array([1.0, 0.0]), np.array([0.0, -1.0]), 0.0
    for _ in range(5):  # without noise there is one path
        total += place @ place
        ahead = place - 0.2 * seen
        seen = np.array([ahead[1], -ahead[0]])
        place = place - 0.1 * seen
    assert floats(noisy_games.SURE, "separated_squares")[0] == pytest.approx(total, rel=1e-14)
    assert exact(noisy_games.AT_REST, "game_potential_after") == [0]
