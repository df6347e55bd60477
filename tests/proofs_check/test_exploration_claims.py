"""The figures of the pages on exploration and concentration, through the claims' own quantities, with plain loops and scipy beside them."""

from __future__ import annotations

import dataclasses
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import binom
from small import exact, floats

from pgtheory import arithmetic
from proofs_check.catalogue import adaptation, concentration, experiments, exploration, get_claim, lower_bounds, regret
from proofs_check.quantities.adaptation import fewest_questions
from proofs_check.quantities.information import determinant
from proofs_check.quantities.visit_counts import _most
from proofs_check.statistics.learners import ABOVE_LESS_BELOW, OPTIMISTIC_REGRET, TSALLIS_DRAWN

F = Fraction


# Counts and vectors


def test_the_largest_number_of_episodes_is_found_among_all_sequences():
    """Every sequence of seven visits to three counters, one by one."""

    def episodes(sequence):
        total, inside, ended = [0] * 3, [0] * 3, 0
        for i in sequence:
            inside[i] += 1
            if inside[i] >= max(1, total[i]):
                total, inside, ended = [a + b for a, b in zip(total, inside, strict=True)], [0] * 3, ended + 1
        return ended, ended + any(inside)

    for rounds in (1, 3, 7):
        seen = [episodes(s) for s in itertools.product(range(3), repeat=rounds)]
        assert _most(3, rounds) == (max(a for a, _ in seen), max(b for _, b in seen))


def test_episodes_by_hand():
    assert exact(exploration.EIGHT, "finished_episodes") == [4] and exact(exploration.THREE, "begun_episodes") == [3]
    assert exact(exploration.IN_TURN, "finished_episodes") == [9]  # three counters, each 4 = 2^2: 3 (1 + 2), all of the bound
    assert exact(exploration.ALWAYS, "eager_episodes") == [24]


def test_determinants_and_potentials_agree_with_numpy():
    rng = np.random.default_rng(3)
    matrices = rng.standard_normal((5, 3, 3))
    assert determinant(matrices) == pytest.approx(np.linalg.det(matrices))
    assert exact(exploration.ONE_STEP, "elliptical_potential") == [1] and exact(exploration.ONE_STEP, "gram_growth") == [2]
    vectors, gram, total = [[1, 0, 0], [0, 1, 0], [0, 0, 1]] * 2, np.eye(3) / 10, 0.0
    for x in np.array(vectors, dtype=float):
        total += min(1.0, x @ np.linalg.inv(gram) @ x)
        gram += np.outer(x, x)
    assert floats(exploration.CROSS, "elliptical_potential")[0] == pytest.approx(total)
    assert floats(exploration.CROSS, "gram_growth")[0] == pytest.approx(np.linalg.det(gram) * 1000)


def test_restarts_forget():
    """A switch after the first of two rounds: uniform weights twice, three of four experts lose 1."""
    assert exact(exploration.JUST_OVER, "rare_switches") == [1]
    assert floats(exploration.JUST_OVER, "restarted_regret")[0] == pytest.approx(1.5)
    assert exact(exploration.AGAIN, "rare_switches") == [3]  # past 1/2 at 5/4, past 5/2 at 13/4, past 13/2 at 29/4


# Concentration


def test_tails_are_binomial_tails():
    assert exact(concentration.FAIR, "lattice_tail") == [F(1, 2)] and exact(concentration.FAIR, "lattice_excess") == [F(1, 2)]
    assert floats(concentration.MANY_FAIR, "lattice_tail")[0] == pytest.approx(binom.sf(119, 200, 0.5), rel=1e-10)
    assert floats(concentration.MANY_RARE, "lattice_tail")[0] == pytest.approx(binom.sf(14, 200, 0.01), rel=1e-10)
    assert float(exact(concentration.MANY_RARE, "lattice_tail")[0]) == pytest.approx(binom.sf(14, 200, 0.01), rel=1e-10)


def test_distances_of_empirical_laws():
    """Twenty fair tosses, at least one tenth away in 1-norm: all but ten ones."""
    assert exact(concentration.TWENTY, "cell_distance") == [F(1, 10)]
    assert exact(concentration.TWENTY, "distance_tail") == [1 - F(math.comb(20, 10), 2**20)]
    assert floats(concentration.TWENTY, "distance_tail")[0] == pytest.approx(1 - math.comb(20, 10) / 2**20)


def test_the_samples_own_variance():
    """Ten tosses of a coin with one in a hundred: without the second term a sample of zeros fails, with it no sample does."""
    assert floats(concentration.SELDOM, "variance_only_failure")[0] == pytest.approx(0.99**10)
    assert floats(concentration.SELDOM, "empirical_bernstein_failure")[0] == 0


def test_first_passages_by_simulation_of_all_paths():
    """Twelve tosses with chance 1/3: every sequence, against the recursion that drops what has left."""
    coin, prior, delta = 1 / 3, 0.5, 0.9
    total = 0.0
    for tosses in itertools.product((0, 1), repeat=5):
        sums = np.cumsum(tosses)
        t = np.arange(1, 6)
        edge = np.sqrt((t + prior) / 4 * np.log((t + prior) / (prior * delta**2)))
        if (np.abs(sums - t * coin) > edge).any():
            total += coin ** sums[-1] * (1 - coin) ** (5 - sums[-1])
    instance = concentration._coin("five tosses", "1/3", 5, "9/10", "1/2")
    assert floats(instance, "mixture_failure")[0] == pytest.approx(total)


def test_trees_of_dependent_draws():
    assert exact(concentration.HALF_STEPS, "reach_probability") == [F(1, 32)]
    assert exact(concentration.LOW, "reach_probability") == [F(11, 16)] and exact(concentration.LOW, "calm_reach_probability") == [0]
    assert exact(concentration.ONE_JUMP, "calm_reach_probability") == [F(1, 50)]


# Sample complexity


def lamp_chances(gamma, accuracy):
    first = 3 / (4 * (1 - gamma))
    return (4 * gamma - 1) / (3 * gamma), (1 - 1 / (first + 2 * accuracy)) / gamma


def lamp_error(gamma, accuracy, samples):
    p, q = lamp_chances(gamma, accuracy)
    stop = math.log((1 - p) / (1 - q))
    edge = math.ceil(samples * stop / (math.log(q / p) + stop))  # from here on the second lamp is likelier
    return (binom.sf(edge - 1, samples, p) + binom.cdf(edge - 1, samples, q)) / 2


def least_samples(gamma, accuracy, failure=0.05):
    """Smallest number of samples with which the best test errs with probability `failure`, by bisection."""
    low, high = 0, 1
    while lamp_error(gamma, accuracy, high) > failure:
        high *= 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if lamp_error(gamma, accuracy, middle) <= failure else (middle, high)
    return high


def test_the_lamps_sums_agree_with_scipy():
    accuracy = 1 / (16 * 0.1)
    assert floats(lower_bounds.UNLIKE, "lamp_error")[0] == pytest.approx(lamp_error(0.9, accuracy, 400), rel=1e-9)


def test_samples_that_tell_lamps_apart():
    assert [least_samples(gamma, 0.1) for gamma in (0.9, 0.95, 0.975, 0.9875)] == [24746, 213086, 1765404, 14366485]
    assert [least_samples(0.95, accuracy) for accuracy in (0.4, 0.2, 0.1, 0.05)] == [13258, 53228, 213086, 852376]


def test_plans_from_samples_by_hand():
    """A lamp with an even chance, ten samples, gamma .99: the values of the fitted lamps in one line."""
    gamma, total = 0.99, 0.0
    true = 1 / (1 - gamma / 2)
    edge = gamma / (1 - gamma) * true * math.sqrt(math.log(4 / 0.9) / 20)
    for k in range(11):
        fitted = 1 / (1 - gamma * k / 10)
        total += binom.pmf(k, 10, 0.5) * (abs(fitted - true) > edge)
    assert floats(lower_bounds.TEN, "plan_failure_by_span")[0] == pytest.approx(total, abs=1e-15)


# Optimism


def test_promises_and_losses_by_hand():
    assert exact(exploration.UNSEEN, "three_stage_optimum") == [3, 0] and exact(exploration.UNSEEN, "plain_values")[0] == 1
    assert exact(exploration.UNSEEN, "half_optimistic_values")[0] < 3 == exact(exploration.UNSEEN, "optimistic_values")[0]
    assert exact(exploration.TEMPTED, "optimistic_loss")[0] == F(9, 10) and exact(exploration.TEMPTED, "optimistic_credit_once")[0] == F(1, 2)
    assert exact(exploration.NEW_ACTION, "late_clip_loss")[0] > exact(exploration.NEW_ACTION, "late_clip_credit")[0]
    assert exact(exploration.KNOWN, "optimistic_loss") == [0, 0]


def test_sampled_learners_are_what_they_say():
    """One run after the other in plain Python, with the frequencies of a block beside it."""
    claim = get_claim("optimistic-value-iteration-mean-regret")
    instance = claim.cases()[0].instances[0].instance().as_float()
    values = OPTIMISTIC_REGRET.draw(instance, np.random.default_rng(0), 200)
    low, high = OPTIMISTIC_REGRET.limits(instance)
    assert values.shape == (200, 1) and (values >= low).all() and (values <= high).all()
    rng, depth, regrets = np.random.default_rng(1), math.log(2 * 2 * 450 * 450), []
    for _ in range(20):
        seen, good, total = [0, 0], [0, 0], 0.0
        for _ in range(450):
            promise = []
            for a, reward in enumerate((0.1, 0.0)):
                ahead = 0.1 + 0.9 * good[a] / seen[a] + math.sqrt(2 * depth / seen[a]) / 2 if seen[a] else 1.0
                promise.append(reward + min(1.0, ahead))
            a = int(promise[1] > promise[0])
            total += (0.955 - 0.2) * (a == 0)
            seen[a] += 1
            good[a] += int(a == 1 and rng.random() < 0.95)
        regrets.append(total)
    assert values.mean() == pytest.approx(np.mean(regrets), rel=0.1)
    arms = get_claim("same-variance-baselines-sampled-fates").cases()[0].instances[0].instance().as_float()
    draws = ABOVE_LESS_BELOW.draw(arms, np.random.default_rng(0), 400)
    assert set(np.unique(draws)) <= {-1.0, 0.0, 1.0} and draws.mean() > 0.5


# Experiments and adaptation


def test_ellipsoids_by_hand():
    """One look with noise 1 or -1 at lambda = 1/10, nothing after it: M = sqrt(1/11) exp(1/2.2) in the mean."""
    assert floats(experiments.ONE_LOOK, "ellipsoid_mean")[0] == pytest.approx(math.sqrt(1 / 11) * math.exp(1 / 2.2))
    assert floats(experiments.ONE_LOOK, "ellipsoid_failure_unpaid")[0] == 1 and floats(experiments.ONE_LOOK, "ellipsoid_failure")[0] == 0


def test_an_adaptive_design_path_by_path():
    """Plain loops over the 32 paths of a design that looks at its answers."""
    design, parameter, ridge, total = np.array([[1, 0] if k % 2 else [0, 1] for k in range(31)], dtype=float), np.array([0.5, -0.5]), 0.5, 0.0
    for signs in itertools.product((1, -1), repeat=5):
        node, gram, answers = 0, ridge * np.eye(2), np.zeros(2)
        for sign in signs:
            gram += np.outer(design[node], design[node])
            answers += design[node] * (design[node] @ parameter + sign)
            node = 2 * node + (1 if sign > 0 else 2)
        noise = answers - (gram - ridge * np.eye(2)) @ parameter
        total += math.sqrt(ridge**2 / np.linalg.det(gram)) * math.exp(noise @ np.linalg.solve(gram, noise) / 2) / 32
    assert floats(experiments.ALL_WAYS, "ellipsoid_mean")[0] == pytest.approx(total, rel=1e-12)


def test_designs_by_hand():
    assert exact(experiments.LONG_TWINS, "longest_design_of_two") == [9] and exact(experiments.LONG_TWINS, "best_design_of_two") == [F(461, 20)]
    assert exact(experiments.BETWEEN, "best_design_of_two") == [25] and exact(experiments.BETWEEN, "greedy_design_of_two")[0] < 25
    assert exact(experiments.CROSSED, "early_gain") == [2]


def test_uniform_tries_by_hand():
    assert exact(experiments.ALWAYS_PAID, "uniform_tries_square") == [8] and exact(experiments.ALWAYS_PAID, "uniform_tries_mean") == [1]
    assert exact(experiments.TORN, "uniform_tries_mean") == [F(1, 2)]
    assert exact(experiments.ALL_DIFFERENT, "spanned_pairs") == [4] and exact(experiments.ALL_ALIKE, "spanned_pairs") == [1]


def test_steps_until_even_odds():
    """What the page says of ascent after a switch."""
    for share, steps, bound in ((0.01, 543, 490), (0.001, 5067, 4990)):
        odds, n = 1 / share - 1, 0
        while odds > 1:
            p = 1 / (1 + odds)
            odds, n = odds * math.exp(-0.2 * p * (1 - p)), n + 1
        assert n == steps and round((1 / share - 2) / 0.2) == bound
    assert exact(adaptation.FOUR_OLD, "sample_mean_bias") == [F(2, 3)]


def test_questions_by_a_game_that_is_played_out():
    """All ways to place thresholds, all answers, for up to nine hypotheses."""

    def worst(hypotheses, batches):
        if hypotheses == 1:
            return 0
        if batches == 0:
            return math.inf
        best = math.inf
        for size in range(1, hypotheses):
            for cuts in itertools.combinations(range(1, hypotheses), size):
                parts = np.diff([0, *cuts, hypotheses]).tolist()
                best = min(best, size + max(worst(part, batches - 1) for part in parts))
        return best

    for hypotheses, batches in itertools.product(range(1, 8), (1, 2, 3)):
        assert fewest_questions(hypotheses, batches) == worst(hypotheses, batches)
    assert [fewest_questions(64, k) for k in (1, 2, 3, 4, 6, 8)] == [63, 14, 9, 8, 6, 6]
    assert [fewest_questions(256, k) for k in (1, 2, 3, 4, 6, 8)] == [255, 30, 17, 12, 10, 8]


def test_strategies_for_games():
    assert exact(adaptation.ONE_FOR_THREE, "least_total_loss") == [F(1, 2)] and exact(adaptation.THREE_FOR_THREE, "least_total_loss") == [0]
    assert exact(adaptation.SHARED, "least_total_loss") == [0] and exact(adaptation.SHARED, "optima_apart") == [0]
    assert floats(adaptation.THREE_FOR_THREE, "latent_information")[0] == pytest.approx(math.log(3))


def test_the_tsallis_leader_round_by_round():
    """Two arms, the first free of losses, two rounds: (2 - sqrt 2) and the root of an equation in one unknown."""
    rows = regret._rows("two rounds", [[0, 1]] * 2, regret.DRAWN)
    y = 1.0
    for _ in range(60):  # losses 2 and 0, t = 2: distance sqrt 2
        y = math.sqrt(1 / (1 - 1 / (y + math.sqrt(2)) ** 2))
    second = 0.5 * (1 / (y + math.sqrt(2)) ** 2) + 0.5 * 0.5
    assert floats(rows, "tsallis_first_arm_regret")[0] == pytest.approx(0.5 + second)
    share = 1 / (y + math.sqrt(2))
    assert floats(rows, "tsallis_exploration")[0] == pytest.approx(math.sqrt(0.5) + (0.5 * share + 0.5 * math.sqrt(0.5)) / math.sqrt(2))


def test_sampled_leader_agrees_with_the_tree():
    """Losses 0 and 1 for sure, three rounds: the mean of many sampled runs against the tree's expectation."""
    instance = dataclasses.replace(
        get_claim("tsallis-inf-mean-regret").cases()[0].instances[0].instance().as_float(), rewards=np.array([[1.0, 0.0]]), settings={"pulls": 3}
    )
    values = TSALLIS_DRAWN.draw(instance, np.random.default_rng(5), 40_000)
    rows = regret._rows("three rounds", [[0, 1]] * 3, regret.DRAWN)
    assert abs(values.mean() - floats(rows, "tsallis_first_arm_regret")[0]) < 5 * values.std() / 200


def test_balls_reduce_along_any_axis():
    values = np.arange(24.0).reshape(2, 3, 4)
    for axis in range(3):
        largest = arithmetic.maximum(arithmetic.balls(values), axis=axis)
        assert np.array_equal(np.vectorize(lambda x: float(x.mid()))(largest), values.max(axis=axis))


# The Tsallis leader in one round; uniform tries for a random policy


def test_a_round_of_the_tsallis_leader_by_hand():
    """Two arms with the same mass that lose 1, t = 100: each estimate 2 costs 1/2 * 4/(sqrt 200 + 2), and neither arm has more than half."""
    cost = 2 / (math.sqrt(200) + 2) + 2 * (10 - math.sqrt(99)) * (math.sqrt(2) - 1)
    assert floats(regret.EVEN, "tsallis_round_cost") == pytest.approx([cost], rel=1e-13)
    p, q = 0.999, 0.001  # the favoured arm's own loss is taken off: what is left of its estimate, and -1 for the other
    seen = p * (p * (1 / p - 1) ** 2 / (10 / math.sqrt(p) + 1 / p - 1) + q / (10 / math.sqrt(q) - 1))
    other = q * q * q**-2 / (10 / math.sqrt(q) + 1 / q)
    growth = 2 * (10 - math.sqrt(99)) * (math.sqrt(p) + math.sqrt(q) - 1)
    assert floats(regret.SETTLED, "tsallis_round_cost") == pytest.approx([seen + other + growth], rel=1e-10)


def test_the_square_of_a_random_policys_return():
    """Two tosses that pay 1 or 0: the mean reward is 1, 1/2, 0 with probability 1/4, 1/2, 1/4."""
    assert exact(experiments.TORN, "stages_square") == [F(3, 8)]
    assert exact(experiments.TORN, "uniform_tries_square") == [F(3, 8)]  # 16 times 1/16, the square of the policy's weight of every try


def test_the_gap_where_two_stages_are_left():
    """The sampled learner's instance: 1/10 + 1/10 against 1/20 * 1/10 + 19/20; the learner's own limits say the same."""
    place = get_claim("optimistic-value-iteration-mean-regret").cases()[0].instances[0].instance()
    assert exact(place, "two_stage_gap") == [F(151, 200)]
    assert OPTIMISTIC_REGRET.limits(place.as_float())[1] == pytest.approx(450 * 151 / 200)
