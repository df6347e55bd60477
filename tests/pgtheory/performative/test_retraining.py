"""Retraining against models that answer: the dual against the conic program and against projections, factors along runs, closed forms, followers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mdps
from mdps.errors import ModelError
from mdps.rational import rational_array
from pgtheory.performative import (
    LinearBandit,
    Performative,
    SharedControl,
    bandit_step,
    best_occupancy,
    best_occupancy_program,
    contraction_factor,
    drift_factor,
    estimate,
    gradient_factor,
    linear_response,
    noise_floor,
    occupancy_of,
    performative_optimum,
    policy_of,
    project_occupancy,
    recalled_threshold,
    repeated_gradient_ascent,
    repeated_optimisation,
    seesaw,
    unrest,
)
from tests.tolerances import EPS

SEEDS = st.integers(0, 10**6)
FEW = settings(max_examples=15)
CONIC = 1e-8
"""Tolerance of Clarabel, relative to the figures of its program."""


def random_model(seed, states=4, actions=3, discount=0.8):
    rng = np.random.default_rng(seed)
    transitions = rng.dirichlet(np.full(states, 0.4), (states, actions))
    return transitions, rng.normal(size=(states, actions)), discount, rng.dirichlet(np.ones(states)), rng


def bandit(rewards):
    return mdps.MDP([[[1]] * len(rewards)], [rewards], 0, [1])


@given(SEEDS, st.sampled_from([0.05, 1.0, 20.0]))
@FEW
def test_the_dual_newton_method_meets_the_optimality_conditions(seed, weight):
    """Feasible, not negative, and the gap between the dual and the primal value is rounding."""
    P, r, gamma, start, _ = random_model(seed)
    best = best_occupancy(P, r, gamma, start, weight)
    flow = best.occupancy.sum(axis=1) - gamma * np.einsum("sa,sat->t", best.occupancy, P)
    scale = (np.abs(r).max() / weight + 2 * np.abs(best.values).max() / weight + 1 / (1 - gamma)) * 64 * EPS
    assert np.abs(flow - start).max() <= 4 * scale
    assert (best.occupancy >= 0).all()
    assert abs(best.gap) <= weight * (1 + np.abs(best.values).sum() / weight) * 8 * scale


@pytest.mark.parametrize("seed", range(3))
def test_the_conic_program_agrees(seed):
    """With strong convexity lam, an objective that is good to e has a maximiser good to sqrt(2 e / lam)."""
    P, r, gamma, start, _ = random_model(seed)
    exact, conic = best_occupancy(P, r, gamma, start, 1.0).occupancy, best_occupancy_program(P, r, gamma, start, 1.0)
    assert np.linalg.norm(exact - conic) <= 10 * np.sqrt(2 * CONIC)


@given(SEEDS)
@FEW
def test_with_one_state_it_is_the_projection_on_the_simplex(seed):
    rng = np.random.default_rng(seed)
    r, weight = rng.normal(size=(1, 5)), float(rng.uniform(0.1, 3))
    best = best_occupancy(np.ones((1, 5, 1)), r, 0.0, np.ones(1), weight).occupancy
    assert np.abs(best - bandit_step(r, weight)).max() <= 512 * EPS * (1 + np.abs(r).max() / weight)


@given(SEEDS)
@FEW
def test_the_projection_leaves_occupancies_alone_and_brings_points_no_further_apart(seed):
    P, x, gamma, start, rng = random_model(seed)
    y = rng.normal(size=x.shape)
    inside = occupancy_of(rng.dirichlet(np.ones(3), 4), P, gamma, start)
    assert np.abs(project_occupancy(inside, P, gamma, start) - inside).max() <= 1e4 * EPS
    apart = np.linalg.norm(project_occupancy(x, P, gamma, start) - project_occupancy(y, P, gamma, start))
    assert apart <= np.linalg.norm(x - y) * (1 + 1e4 * EPS)


@given(SEEDS, st.floats(0.1, 0.9))
@FEW
def test_every_round_is_shorter_by_the_factor(seed, share):
    """Fixed transitions: repeated optimisation by eps / lam, gradient ascent by |1 - eta lam| + eta eps; both end at a point that does not move."""
    P, r, gamma, start, rng = random_model(seed)
    slope = rng.normal(size=(12, 12))
    model = linear_response(mdps.MDP(P, r, gamma, start), slope)
    weight = model.reward_sensitivity / share
    assert contraction_factor(model, weight) == pytest.approx(share)
    path = repeated_optimisation(model, weight, 8)
    steps = np.linalg.norm(np.diff(path.occupancies, axis=0).reshape(8, -1), axis=1)
    noise = 1e5 * EPS
    assert (steps[1:] <= share * steps[:-1] + noise).all()
    eta = 0.5 / weight
    climb = repeated_gradient_ascent(model, weight, eta, 8)
    steps = np.linalg.norm(np.diff(climb.occupancies, axis=0).reshape(8, -1), axis=1)
    assert (steps[1:] <= gradient_factor(model, weight, eta) * steps[:-1] + noise).all()
    rounds = int(np.ceil(np.log(1e-12) / np.log(share)))
    stable = repeated_optimisation(model, weight, min(rounds, 60)).occupancies[-1]
    assert unrest(model, weight, stable) <= max(share ** min(rounds, 60) * 2 / (1 - gamma), noise)


def test_gradient_ascent_with_step_one_over_the_regulariser_is_repeated_optimisation():
    P, r, gamma, start, rng = random_model(3)
    model = linear_response(mdps.MDP(P, r, gamma, start), rng.normal(size=(12, 12)) / 10)
    one, other = repeated_optimisation(model, 2.0, 5), repeated_gradient_ascent(model, 2.0, 0.5, 5)
    assert np.abs(one.occupancies - other.occupancies).max() <= 1e5 * EPS


def test_zero_rounds_are_the_first_policy():
    model = linear_response(bandit([1, 0]), 0.5)
    path = repeated_optimisation(model, 1.0, 0, start=[[0.3, 0.7]])
    assert path.occupancies.tolist() == [[[0.3, 0.7]]]
    assert path.changes.size == path.rewards.size == path.factors.size == 0


def test_an_answer_as_strong_as_the_regulariser_goes_round():
    """(.7, .3) <-> (.3, .7); the centre is stable; twice as strong it goes from arm to arm."""
    model = linear_response(bandit([0, 0]), 1.0)
    path = repeated_optimisation(model, 1.0, 4, start=[[0.7, 0.3]]).occupancies[:, 0, 0]
    assert np.abs(path - [0.7, 0.3, 0.7, 0.3, 0.7]).max() <= 64 * EPS
    assert unrest(model, 1.0, [[0.5, 0.5]]) <= 64 * EPS
    steep = repeated_optimisation(linear_response(bandit([0, 0]), 2.0), 1.0, 6, start=[[0.6, 0.4]]).occupancies[:, 0, 0]
    assert np.abs(steep[-2:] - [1, 0]).max() <= 64 * EPS or np.abs(steep[-2:] - [0, 1]).max() <= 64 * EPS


@pytest.mark.parametrize("weight", [0.1, 1.0, 1e4])
def test_no_regulariser_stops_the_seesaw(weight):
    """d(0) -> 2 - d(0) from 6/5, above the recalled threshold too; and no factor is promised."""
    model = seesaw()
    masses, mass = [], np.array([[1.2], [0.8]])
    for _ in range(4):
        P, r = model.answer(mass)
        mass = best_occupancy(P, r, 0.5, model.start, weight).occupancy
        masses.append(mass[0, 0])
    assert np.abs(np.array(masses) - [0.8, 1.2, 0.8, 1.2]).max() <= 1e3 * EPS
    assert recalled_threshold(2, 0.5, 0.0, model.transition_sensitivity) == pytest.approx(7680)
    with pytest.raises(ModelError, match="the transitions answer"):
        contraction_factor(model, weight)


@given(SEEDS)
@FEW
def test_the_occupancy_of_one_policy_drifts_by_at_most_its_factor(seed):
    P, _, gamma, start, rng = random_model(seed, actions=2)
    Q, policy = rng.dirichlet(np.full(4, 0.4), (4, 2)), rng.dirichlet(np.ones(2), 4)
    apart = np.linalg.norm(occupancy_of(policy, P, gamma, start) - occupancy_of(policy, Q, gamma, start))
    assert apart <= drift_factor(gamma, 4, 1.0) * np.linalg.norm(P - Q) * (1 + 1e3 * EPS)
    assert drift_factor(gamma, 1, 5.0) == 0


@pytest.mark.exact
def test_stable_and_optimal_splits_of_two_arms_by_fractions_iteration_and_program():
    """U16: a = lam = 1, eps = 1/2: (5/6, 1/6) and (3/4, 1/4)."""
    arms = LinearBandit(Fraction(1), Fraction(1, 2), Fraction(1))
    assert arms.stable() == (Fraction(5, 6), Fraction(1, 6))
    assert arms.optimal() == (Fraction(3, 4), Fraction(1, 4))
    assert arms.objective(arms.optimal()) - arms.objective(arms.stable()) == Fraction(2, 4) * (Fraction(2, 3) - Fraction(1, 2)) ** 2
    d = rational_array([["5/6", "1/6"]])
    assert (bandit_step(rational_array([[1, 0]]) - d / 2, 1) == d).all()
    model = linear_response(bandit([1, 0]), 0.5)
    assert np.abs(repeated_optimisation(model, 1.0, 60).occupancies[-1] - [[5 / 6, 1 / 6]]).max() <= 64 * EPS
    assert np.abs(performative_optimum(bandit([1, 0]), 0.5, 1.0) - [[0.75, 0.25]]).max() <= np.sqrt(2 * CONIC)
    assert LinearBandit(3, 0, 1).stable() == LinearBandit(3, 0, 1).optimal() == (1, 0)


def test_a_planner_who_knows_the_answer_beats_every_other_occupancy():
    P, r, gamma, start, rng = random_model(5, states=3, actions=2)
    half = rng.normal(size=(6, 6))
    slope, mdp = half @ half.T / 4, mdps.MDP(P, r, gamma, start)

    def objective(d):
        return (d * r).sum() - d.reshape(-1) @ slope @ d.reshape(-1) - 0.25 * (d * d).sum()

    best = objective(performative_optimum(mdp, slope, 0.5))
    others = [objective(occupancy_of(rng.dirichlet(np.ones(2), 3), P, gamma, start)) for _ in range(200)]
    assert best >= max(others)
    with pytest.raises(ModelError, match="not concave"):
        performative_optimum(mdp, -2.0, 0.5)


def test_answers_that_are_off_keep_it_within_the_noise_floor():
    rng = np.random.default_rng(0)
    base = linear_response(bandit([1, 0, 0]), 0.5)
    error = 0.1

    def respond(d):
        noise = rng.normal(size=(1, 3))
        P, r = base.respond(d)
        return P, r + error * noise / np.linalg.norm(noise)

    noisy = Performative(respond, 0.0, base.start, 3, 0.5, 0.0)
    stable = repeated_optimisation(base, 1.0, 60).occupancies[-1]
    path = repeated_optimisation(noisy, 1.0, 80).occupancies[40:]
    far = np.linalg.norm((path - stable).reshape(len(path), -1), axis=1).max()
    assert 0 < far <= noise_floor(0.5, 1.0, error) * (1 + 1e3 * EPS)
    with pytest.raises(ModelError, match="nothing is promised"):
        noise_floor(1.0, 1.0, error)


@pytest.mark.statistical
def test_an_estimate_counts_what_it_saw():
    """Rows are distributions where every pair was seen, and each entry lies within 6 standard deviations (1/2 / sqrt(count)) of the truth."""
    P, r, _, start, rng = random_model(1, states=3, actions=2)
    found = estimate(P, r, start, np.full((3, 2), 0.5), 500, rng, length=20)
    assert found.counts.sum() == 500 * 20
    assert np.abs(found.transitions.sum(axis=-1) - 1).max() <= 8 * EPS
    assert (np.abs(found.transitions - P) <= 3 / np.sqrt(found.counts)[..., None]).all()
    assert (found.rewards == r).all()
    again = [estimate(P, r, start, np.full((3, 2), 0.5), 7, np.random.default_rng(3)).counts for _ in range(2)]
    assert (again[0] == again[1]).all()


def test_an_estimate_says_something_of_what_it_never_saw():
    """A state that is never reached stays where it is for the smallest reward seen; a move that is never made is the mean of its neighbours."""
    P = np.zeros((2, 2, 2))
    P[0, :, 0], P[1, :, 1] = 1, 1
    found = estimate(P, np.array([[1.0, 5.0], [9.0, 9.0]]), np.array([1.0, 0.0]), np.array([[1.0, 0.0], [0.5, 0.5]]), 3, np.random.default_rng(0))
    assert found.rewards.tolist() == [[1, 1], [1, 1]]
    assert found.transitions.tolist() == P.tolist()


def follower_best_response(world, policy, cells):
    """Action values of one follower, by plain loops over cells."""
    ahead, values = world.successors(), np.zeros(world.grid.size)
    for _ in range(600):
        table = np.zeros((world.grid.size, 5))
        for s in range(world.goal):
            for b in range(4):
                t = ahead[s, b]
                table[s, b] = cells[t] - world.cost + world.discount * values[t]
                table[s, 4] += policy[s, b] * (cells[t] + world.discount * values[t])
        values = table.max(axis=1)
    return table[: world.goal]


def test_followers_answer_with_the_softmax_of_their_best_response():
    rng = np.random.default_rng(4)
    world = SharedControl(rng.normal(size=(2, 3)), rng.normal(size=(2, 2, 3)), 3.0, discount=0.7, cost=0.2)
    policy = rng.dirichlet(np.ones(4), 5)
    mean = np.mean([follower_best_response(world, policy, cells.reshape(-1)) for cells in world.believed], axis=0)
    expected = np.exp(3 * mean) / np.exp(3 * mean).sum(axis=1, keepdims=True)
    share = world.followers(policy)
    assert np.abs(share - expected).max() <= 1e-11  # values are iterated to 1e-13, times beta over 1 - gamma
    P, r = world.answer(policy)
    ahead, true = world.successors(), world.grid.reshape(-1)
    for s in range(5):
        for a in range(4):
            row = np.zeros(6)
            for b in range(4):
                row[ahead[s, b]] += share[s, b]
            row[ahead[s, a]] += share[s, 4]
            assert np.abs(P[s, a] - row[:5]).max() <= 8 * EPS
            assert r[s, a] == pytest.approx((row * true).sum(), abs=64 * EPS)


def test_followers_who_do_not_care_leave_a_fifth_of_every_move():
    world = SharedControl(np.zeros((3, 3)), np.zeros((1, 3, 3)), 0.0)
    assert np.abs(world.followers(np.full((8, 4), 0.25)) - 0.2).max() <= 4 * EPS
    assert world.model().shape == (8, 4)
    assert world.start().sum() == pytest.approx(1)


def test_policies_are_uniform_where_nobody_goes():
    assert policy_of(np.array([[0.0, 0.0], [1.0, 3.0]])).tolist() == [[0.5, 0.5], [0.25, 0.75]]


def answers(P, r):
    return Performative(lambda d: (np.asarray(P, float), np.asarray(r, float)), 0.5, np.array([1.0]), 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: best_occupancy(np.ones((1, 2, 1)), np.zeros((1, 2)), 0.5, np.ones(1), 0.0), "regularisation is 0"),
        (lambda: best_occupancy(np.ones((1, 2, 1)) * 2, np.zeros((1, 2)), 0.5, np.ones(1), 1.0), r"transitions\[0, 0\] sums to 2"),
        (lambda: answers([[[1], [1]]], [[0, np.nan]]).answer([[1, 1]]), r"rewards\[0, 1\] is nan"),
        (lambda: answers([[[1], [-1]]], [[0, 0]]).answer([[1, 1]]), r"transitions\[0, 1\] sums to -1"),
        (lambda: answers([[[1], [1]]], [[0, 0]]).answer([[1, 1, 1]]), r"shape \(1, 3\)"),
        (lambda: answers([[[1], [1]]], [[0, 0]]).answer([[1, np.inf]]), "infinity"),
        (lambda: Performative(lambda d: (d, d), 1.0, np.ones(1), 1), "discount is 1"),
        (lambda: Performative(lambda d: (d, d), 0.5, np.ones(2), 1), "sums to 2"),
        (lambda: linear_response(bandit([0, 1]), np.ones((3, 3))), r"\(2, 2\)"),
        (lambda: repeated_optimisation(seesaw(), 1.0, -1), "iterations is -1"),
        (lambda: repeated_optimisation(seesaw(), 1.0, 1, solver="guess"), "'guess'"),
        (lambda: repeated_optimisation(seesaw(), 1.0, 1, start=[[2.0], [1.0]]), "sum to 1"),
        (lambda: repeated_gradient_ascent(seesaw(), 1.0, -0.1, 1), "step_size is -0.1"),
        (lambda: repeated_optimisation(seesaw(), 1.0, 1, samples=0), "samples is 0"),
        (lambda: SharedControl(np.zeros((2, 2)), np.zeros((0, 2, 2)), 1.0), "followers"),
        (lambda: SharedControl(np.zeros((2, 2)), np.zeros((1, 2, 2)), -1.0), "beta -1"),
        (lambda: LinearBandit(1, -1, 1), "response -1"),
        (lambda: contraction_factor(answers([[[1], [1]]], [[0, 0]]), 1.0), "does not say"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ModelError, match=message):
        call()
