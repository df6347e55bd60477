"""Learning in games: runs against trees of all courses, regret bounds with their constants, noise that needs separate steps, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from mdps.errors import ModelError
from pgtheory.sampling import DualAveraging, MatrixGame, all_plays, play
from tests.pgtheory.sampling.test_simulator import LEVEL

PENNIES = MatrixGame([[1, -1], [-1, 1]])
BIASED = MatrixGame([[2, -1, 0], [-1, 1, 0.5]])
KINDS = [("expected", 0.0), ("expected", 0.7), ("actions", 0.0), ("payoffs", 0.0)]


@pytest.mark.parametrize(("feedback", "noise"), KINDS)
@pytest.mark.parametrize("delay", [0, 1])
def test_runs_agree_with_the_tree_of_all_courses(feedback, noise, delay):
    first, second = DualAveraging(0.3, delay=delay), DualAveraging(0.5, "euclidean", optimism=0.5, start=[0.2, 0.0, 0.1])
    tree = all_plays(BIASED, first, second, 4, feedback=feedback, noise=noise)
    seen = play(BIASED, first, second, 4, feedback=feedback, noise=noise, runs=20_000, seed=6)
    np.testing.assert_allclose(tree.weights.sum(), 1)
    normal = stats.norm.isf(LEVEL / 2 / 24)
    for exact, sampled in zip((*tree.regrets, tree.duality_gap), (*seen.regrets, seen.duality_gap), strict=True):
        spread = np.sqrt(tree.mean(exact**2) - tree.mean(exact) ** 2 + 1e-15)
        assert (np.abs(seen.mean(sampled) - tree.mean(exact)) <= normal * spread / np.sqrt(20_000) + 1e-6).all()


def test_a_run_is_the_same_whatever_runs_beside_it():
    whole = play(BIASED, DualAveraging(0.1), DualAveraging(0.1), 20, feedback="payoffs", runs=5, seed=2)
    one = play(BIASED, DualAveraging(0.1), DualAveraging(0.1), 20, feedback="payoffs", runs=1, seed=2, first_run=3)
    np.testing.assert_array_equal(whole.first[3], one.first[0])


@pytest.mark.parametrize("seed", range(8))
def test_optimistic_hedge_has_bounded_regrets_and_plain_hedge_has_not(seed):
    rng = np.random.default_rng(seed)
    A, B = rng.integers(2, 5, size=2)
    U = rng.uniform(-1, 1, (A, B))
    m, eta = np.abs(U).max(), 0.5 / np.abs(U).max()
    bound = (np.log(A) + np.log(B)) / eta + 2 * eta * m**2
    both = DualAveraging(eta)
    seen = play(MatrixGame(U), both, both, 400)
    assert (seen.regrets[0] + seen.regrets[1]).max() <= bound
    np.testing.assert_allclose(seen.duality_gap[0] * np.arange(1, 401), (seen.regrets[0] + seen.regrets[1])[0], atol=1e-10)


def test_plain_hedge_breaks_the_optimistic_bound():
    plain = DualAveraging(0.5, optimism=0.0, start=[0.5, 0.0])
    seen = play(PENNIES, plain, plain, 400)
    bound = (2 * np.log(2) + 1) / 0.5 + 1  # the start is at most 1/eta away, which the entropy term then holds
    assert (seen.regrets[0] + seen.regrets[1])[0, -1] > 2 * bound
    tamed = DualAveraging(0.5, start=[0.5, 0.0])
    seen = play(PENNIES, tamed, tamed, 400)
    assert (seen.regrets[0] + seen.regrets[1]).max() <= bound


@pytest.mark.parametrize("delay", [0, 1, 5])
@pytest.mark.parametrize("eta", [0.03, 0.2])
def test_late_hedge_keeps_its_regret_bound(delay, eta):
    learner, rounds = DualAveraging(eta, optimism=0.0, delay=delay), np.arange(1, 201)
    for opponent in (DualAveraging(0.7, optimism=0.0), DualAveraging(5.0, "euclidean", optimism=0.0), learner):
        for game in (PENNIES, BIASED):
            m = np.abs(game.first).max()
            bound = np.log(2) / eta + eta * m**2 * (0.5 + delay) * rounds
            assert (play(game, learner, opponent, 200).regrets[0][0] <= bound).all()


def test_the_bound_without_its_delay_term_fails():
    """The partner repeats what hurts the late player most: payoffs turn with the sign of the player's own lead."""
    eta, delay, rounds = 0.1, 10, 400
    learner = DualAveraging(eta, optimism=0.0, delay=delay)
    state, lost, gains = learner.begin(2), 0.0, np.zeros(2)
    for t in range(rounds):
        x = learner.strategy(state, t + 1)[0]
        g = np.array([-1.0, 1.0]) if x[0] >= 0.5 else np.array([1.0, -1.0])
        lost, gains = lost - x @ g, gains + g
        state = learner.received(state, g[None])
    regret = gains.max() + lost
    assert np.log(2) / eta + eta * 0.5 * rounds < regret <= np.log(2) / eta + eta * (0.5 + delay) * rounds


def test_noise_needs_separate_steps():
    """s = 1, eta = .03: optimism 1 does not converge in mean square, optimism 2 (1 + s^2) = 4 does (optimistic-step-separation)."""
    far = {}
    for optimism in (1.0, 4.0):
        player = DualAveraging(0.015, "euclidean", optimism=optimism, start=[5.0, -5.0])
        seen = play(PENNIES, player, DualAveraging(0.015, "euclidean", optimism=optimism), 1500, noise=1.0, runs=60, seed=3)
        off = (seen.first[:, :, 0] - 0.5) ** 2 + (seen.second[:, :, 0] - 0.5) ** 2
        far[optimism] = off[:, -1].mean() / off[:, 0].mean()
    assert far[1.0] > 0.5 and far[4.0] < 0.01


def test_averages_find_the_value_of_the_game():
    U = np.asarray(BIASED.first)
    A, B = U.shape
    best = optimize.linprog(
        [0.0] * A + [-1.0], np.c_[-U.T, np.ones(B)], np.zeros(B), [[1.0] * A + [0.0]], [1.0], bounds=[(0, None)] * A + [(None, None)]
    )
    seen = play(BIASED, DualAveraging(0.25), DualAveraging(0.25), 2000)
    mean_x, mean_y = seen.first[0].mean(axis=0), seen.second[0].mean(axis=0)
    assert (mean_x @ U).min() - 1e-12 <= -best.fun <= (U @ mean_y).max() + 1e-12
    assert seen.duality_gap[0, -1] < 0.01


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda: MatrixGame([[1.0, np.nan]]), r"first\[0, 1\] is not finite"),
        (lambda: MatrixGame([[1.0]], [[1.0, 2.0]]), "payoffs have shapes"),
        (lambda: DualAveraging(0.0), "step_size is 0.0"),
        (lambda: DualAveraging(1.0, "entropie"), "Did you mean entropy"),
        (lambda: DualAveraging(1.0, optimism=-1.0), "optimism is -1.0"),
        (lambda: DualAveraging(1.0, delay=-1), "delay is -1"),
        (lambda: play(PENNIES, DualAveraging(1.0, start=[1.0]), DualAveraging(1.0), 3), "start must be 2 finite numbers"),
        (lambda: play(PENNIES, DualAveraging(1.0), DualAveraging(1.0), 0), "rounds is 0"),
        (lambda: play(PENNIES, DualAveraging(1.0), DualAveraging(1.0), 3, feedback="action"), "Did you mean actions"),
        (lambda: play(PENNIES, DualAveraging(1.0), DualAveraging(1.0), 3, feedback="actions", noise=1.0), "random by itself"),
        (lambda: play(PENNIES, DualAveraging(1.0), DualAveraging(1.0), 3, seed=1.5), "seed is 1.5"),
        (lambda: all_plays(MatrixGame(np.ones((40, 40))), DualAveraging(1.0), DualAveraging(1.0), 4, feedback="actions"), "at most 1,048,576"),
    ],
)
def test_bad_input_is_named(use, words):
    with pytest.raises(ModelError, match=words):
        use()
