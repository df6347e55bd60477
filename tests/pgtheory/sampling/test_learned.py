"""Baselines, critics and balanced batches: closed figures in fractions, optimality, exact conditional means of the directions that learn, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from flint import fmpq

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory import arithmetic, state_values
from pgtheory.sampling import (
    GAE,
    ActorCritic,
    Balanced,
    BalancedBatch,
    ControlVariates,
    FittedBaseline,
    Fresh,
    ImportanceWeighted,
    LearnedCritic,
    LearningCritic,
    Momentum,
    Reinforce,
    RewardToGo,
    StochasticPG,
    TDCritic,
    balanced_batches,
    frequency_errors,
    optimal_baseline,
    run_sampled,
    simulate,
)
from pgtheory.sampling.baselines import KINDS, solutions
from pgtheory.sampling.directions import Memory
from pgtheory.sampling.estimators import Estimator
from pgtheory.sampling.learned_directions import LearnedMemory
from tests.pgtheory.sampling.test_simulator import model_and_policy
from tests.pgtheory.sampling.test_stochastic import BEFORE, HORIZON, NOW, ONE_PATH, gradient, listed, mean_direction

RATIONAL = MDP([[["1/2", "1/2"], ["1/4", "3/4"]], [["1", "0"], ["1/3", "2/3"]]], [["1", "0"], ["1/5", "3/5"]], "1/2")
POLICY = np.array([[fmpq(1, 3), fmpq(2, 3)], [fmpq(1, 2), fmpq(1, 2)]], dtype=object)


@pytest.fixture(scope="module")
def mdp():
    return model_and_policy(1, 2, 2)[0]


# Baselines


def test_the_best_number_of_a_bandit_is_that_of_the_closed_form():
    """pi = (.6, .3, .1), r = (1, .5, 0): b* = 19/36 (optimal-scalar-baseline)."""
    bandit = MDP([[["1"], ["1"], ["1"]]], [["1", "1/2", "0"]], "0")
    policy = np.array([[fmpq(3, 5), fmpq(3, 10), fmpq(1, 10)]], dtype=object)
    assert optimal_baseline(bandit, policy, 1, "number") == fmpq(19, 36)
    assert optimal_baseline(bandit, policy, 1, "state")[0] == fmpq(19, 36)
    assert optimal_baseline(bandit, policy, 1, "stage")[0, 0] == fmpq(19, 36)


def test_revisits_move_the_best_baseline_off_the_formula():
    """One state; the first action pays 1 and stays, the second ends; two steps, no discount would give b = 1 and variance 0.  With discount 1/2 each
    of the two stages has the baseline that the same argument gives: nothing is left by stage, something is left by state."""
    stays = MDP([[["1", "0"], ["0", "1"]], [["0", "1"], ["0", "1"]]], [["1", "0"], ["0", "0"]], "1/2", start=["1", "0"])
    policy = np.array([[fmpq(1, 2)] * 2, [fmpq(1), fmpq(0)]], dtype=object)
    by_stage = ControlVariates(2, by="stage").fitted(stays, policy)
    assert by_stage.moments(stays, policy).variance == 0
    by_state = ControlVariates(2, by="state").fitted(stays, policy)
    formula = ControlVariates(2, by="state", coefficients=[fmpq(5, 8), 0])  # visits weighed: no cross terms
    assert 0 < by_state.moments(stays, policy).variance < formula.moments(stays, policy).variance


@pytest.mark.parametrize("by", KINDS)
def test_control_variates_keep_the_mean_and_their_fit_is_the_bottom_of_a_parabola(by):
    plain = RewardToGo(2).moments(RATIONAL, POLICY)
    fitted = ControlVariates(2, by=by).fitted(RATIONAL, POLICY)
    best = fitted.moments(RATIONAL, POLICY)
    assert (best.mean == plain.mean).all() and best.variance <= plain.variance
    table = np.asarray(fitted.coefficients, dtype=object)
    rng = np.random.default_rng(1)
    for _ in range(5):
        shift = np.array(rng.integers(-3, 4, table.size)).reshape(table.shape) * fmpq(1, 7)
        up, down = (
            ControlVariates(2, by=by, coefficients=np.asarray(table + sign * shift, dtype=object).tolist()).moments(RATIONAL, POLICY)
            for sign in (1, -1)
        )
        assert (up.mean == plain.mean).all()
        assert up.variance == down.variance >= best.variance


def test_finer_baselines_leave_less():
    left = [ControlVariates(3, by=by).fitted(RATIONAL, POLICY).moments(RATIONAL, POLICY).variance for by in ("number", "state", "stage")]
    assert left[0] > left[1] > left[2] > 0
    assert ControlVariates(3, by="pair").fitted(RATIONAL, POLICY).moments(RATIONAL, POLICY).variance <= left[1]


def test_a_fit_to_many_samples_comes_near_the_exact_one():
    policy = POLICY.astype(float)
    exact, seen = (
        np.asarray(c.coefficients)
        for c in (ControlVariates(3).fitted(RATIONAL, policy), ControlVariates(3).fitted_to_samples(RATIONAL, policy, 50_000))
    )
    np.testing.assert_allclose(seen, exact, atol=0.03)


def test_a_fit_takes_other_paths_than_the_gradient_of_the_same_seed(mdp):
    """Two paths of one step: fitted to them a baseline takes off what it can; fitted to others it must leave what they say."""
    policy, plain = POLICY.astype(float), ControlVariates(1, by="pair")
    fitted, paths = plain.fitted_to_samples(mdp, policy, 2, seed=3), simulate(mdp, policy, 2, 1, 3)
    shares = np.full(2, 0.5)
    own = solutions(*plain.equations(mdp, policy, paths.states, paths.actions, shares)).reshape(2, 2)
    assert np.abs(own - fitted.coefficients).max() > 1e-6


# Critics


@pytest.mark.parametrize("decay", ["0", "1/3", "1"])
@pytest.mark.parametrize("agents", [1, 2])
def test_the_moments_of_a_learned_critic_are_those_of_all_critics_with_all_paths(decay, agents):
    estimator = LearnedCritic(2, TDCritic("1/2", 3 - agents, agents), decay)
    closed, every = estimator.moments(RATIONAL, POLICY), Estimator.moments(estimator, RATIONAL, POLICY)
    assert (closed.mean == every.mean).all() and (closed.covariance == every.covariance).all()
    assert (estimator.expectation(RATIONAL, POLICY) == closed.mean).all()


def test_the_bias_of_a_learned_critic_is_that_of_its_mean_and_fades():
    values = state_values(RATIONAL.exact, POLICY)
    unbiased = ActorCritic(2, critic=values.tolist()).expectation(RATIONAL, POLICY)
    bias = [
        float(np.abs((LearnedCritic(2, TDCritic("1/2", steps), 0).expectation(RATIONAL, POLICY) - unbiased).astype(float)).max())
        for steps in (0, 4, 16)
    ]
    assert bias[0] > 2 * bias[1] > 4 * bias[2]
    sure = TDCritic("1/2", 0, start=values.tolist())
    assert (LearnedCritic(2, sure, 0).moments(RATIONAL, POLICY).mean == unbiased).all()


# Balanced batches


def test_strength_0_is_the_mean_of_independent_paths():
    one, three = RewardToGo(1).moments(RATIONAL, POLICY), BalancedBatch(1, 3, 0).moments(RATIONAL, POLICY)
    assert (three.mean == one.mean).all() and (three.covariance * 3 == one.covariance).all()


def test_a_balanced_batch_of_a_bandit_has_the_surplus_bound_and_no_variance():
    policy = np.array([[0.5, 0.3, 0.2]])
    bandit = MDP([[[1.0]] * 3], [[1.0, 0.5, -1.0]], 0.0)
    for n in (1, 7, 10, 100):
        _, actions = balanced_batches(bandit, policy, 1, n, 1)
        counts = np.bincount(actions.reshape(-1), minlength=3)
        assert (counts - n * policy[0] <= 1 - 1 / 3 + 1e-9).all()
    assert BalancedBatch(1, 10).moments(bandit, policy).variance < 1e-28
    np.testing.assert_allclose(BalancedBatch(1, 10).expectation(bandit, policy), RewardToGo(1).expectation(bandit, policy), atol=1e-12)
    assert np.abs(BalancedBatch(1, 7).expectation(bandit, policy) - RewardToGo(1).expectation(bandit, policy)).max() > 1e-3  # biased at 7


def test_stronger_balance_keeps_frequencies_nearer():
    policy = POLICY.astype(float)
    errors = [frequency_errors(policy, *balanced_batches(RATIONAL, policy, 50, 100, 5, strength=k)).mean() for k in (0, 1.0, math.inf)]
    assert errors[0] > 5 * errors[1] > 5 * errors[2]


# Directions


def test_the_learning_critic_acts_with_the_old_critic_and_learns_from_the_batch(mdp):
    old = np.array([0.3, -0.4])
    memory = LearnedMemory(BEFORE, gradient(mdp, BEFORE), BEFORE, gradient(mdp, BEFORE), 1, old)
    rule = LearningCritic(GAE(HORIZON, decay=0.5), critic_step=0.25)
    wanted = GAE(HORIZON, old, 0.5).expectation(mdp, arithmetic.softmax(NOW))
    np.testing.assert_allclose(mean_direction(mdp, rule, memory, 1), wanted, atol=1e-12)
    (_, path), *_ = listed(mdp, arithmetic.softmax(NOW))
    new = rule.next(mdp, NOW, memory, lambda policy, count: path, lambda: 0.5)
    assert isinstance(new, LearnedMemory)
    wanted = old.copy()
    for s in range(2):
        at = [t for t in range(HORIZON) if path.states[0, t] == s]
        moved = [mdp.rewards[s, path.actions[0, t]] + mdp.discount * old[path.states[0, t + 1]] - old[s] for t in at]
        wanted[s] += 0.25 * np.mean(moved) if at else 0
    np.testing.assert_allclose(new.learned, wanted, atol=1e-12)


def test_the_critic_of_a_policy_that_stays_learns_its_values(mdp):
    from pgtheory.sampling.stochastic import Draws

    rule, draw = LearningCritic(GAE(20, decay=0), 50, critic_step=0.3), Draws(mdp, 20, 3, 0)
    memory = rule.first(mdp, NOW, draw, draw.uniform)
    late = []
    for t in range(150):
        memory = rule.next(mdp, NOW, memory, draw, draw.uniform)
        late += [memory.learned] if t >= 75 else []
    np.testing.assert_allclose(np.mean(late, axis=0), state_values(mdp, arithmetic.softmax(NOW)), atol=0.05)


@pytest.mark.parametrize("by", ["number", "state", "pair"])
def test_a_fitted_baseline_leaves_the_mean(mdp, by):
    rule = FittedBaseline(ONE_PATH, by=by, weight=0.5)
    size = {"number": 1, "state": 2, "pair": 4}[by]
    rng = np.random.default_rng(0)
    root = rng.normal(size=(size, size))
    learned = np.concatenate([root @ root.T, rng.normal(size=(size, 1))], axis=1)
    memory = LearnedMemory(BEFORE, gradient(mdp, BEFORE), BEFORE, gradient(mdp, BEFORE), 1, learned)
    np.testing.assert_allclose(mean_direction(mdp, rule, memory, 1), gradient(mdp, NOW), atol=1e-12)


def test_fresh_batches_of_another_policy_are_drawn_from_it(mdp):
    old = gradient(mdp, BEFORE)
    rule = Fresh(ImportanceWeighted(HORIZON, ONE_PATH, lambda policy: (policy + 0.5) / 2, per_decision=True))
    np.testing.assert_allclose(mean_direction(mdp, rule, Memory(BEFORE, old, BEFORE, old, 1), 1), gradient(mdp, NOW), atol=1e-12)


@pytest.mark.parametrize(
    "rule",
    [
        LearningCritic(GAE(10, decay=0), 5),
        FittedBaseline(RewardToGo(10), 5),
        FittedBaseline(RewardToGo(10), 5, by="pair"),
        Balanced(RewardToGo(10), 5),
        Balanced(RewardToGo(10), 5, strength=1.0),
        Fresh(ImportanceWeighted(10, RewardToGo(10), lambda policy: (policy + 1 / policy.shape[1]) / 2), 5),
    ],
    ids=lambda rule: type(rule).__name__ + getattr(rule, "by", ""),
)
def test_runs_are_reproducible_and_improve(rule):
    mdp = model_and_policy(2, 3, 2)[0]
    method = StochasticPG(rule, 0.1, "normalised")
    runs = run_sampled(mdp, method, 40, runs=2, seed=4)
    again = run_sampled(mdp, method, 40, runs=1, seed=4, first=1)
    np.testing.assert_array_equal(again.policies[0], runs.policies[1])
    assert runs.gaps()[:, -1].mean() < runs.gaps()[:, 0].mean()


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda m, p: ControlVariates(2, by="stat"), "Did you mean state"),
        (lambda m, p: ControlVariates(2, RewardToGo(3)), "horizon is 2, that of the estimator below 3"),
        (lambda m, p: ControlVariates(2, BalancedBatch(2, 2)), "BalancedBatch is no function of single paths; it cannot be the estimator below"),
        (lambda m, p: BalancedBatch(2, 2, of=LearnedCritic(2, TDCritic(0.5, 1))), "LearnedCritic is no function of single paths"),
        (lambda m, p: ImportanceWeighted(2, BalancedBatch(2, 2), p).moments(m, p), "cannot be the weighted estimator"),
        (lambda m, p: ControlVariates(2, coefficients=[1.0]).moments(m, p), r"coefficients by state have shape \(1,\); they must have \(2,\)"),
        (lambda m, p: ControlVariates(2, by="stage", coefficients=[[1, 2], [np.nan, 0]]).moments(m, p), r"coefficient \[1, 0\] is not finite"),
        (lambda m, p: ControlVariates(2, ImportanceWeighted(2, RewardToGo(2), [[0.5] * 2] * 2)).moments(m, p), "paths of the policy itself"),
        (lambda m, p: ImportanceWeighted(2, RewardToGo(3), [[0.5] * 2] * 2).moments(m, p), "horizon is 2, that of the weighted estimator 3"),
        (lambda m, p: ImportanceWeighted(2, None, [[0.5] * 2] * 2).moments(m, p), "needs the estimator that it weighs"),
        (lambda m, p: LearnedCritic(2), "needs a critic"),
        (lambda m, p: TDCritic(0, 3), "step_size is 0"),
        (lambda m, p: TDCritic(0.5, -1), "steps is -1"),
        (lambda m, p: LearnedCritic(2, TDCritic(0.5, 9)).law(m, p), "too many critics to list"),
        (lambda m, p: BalancedBatch(2, 0), "paths is 0"),
        (lambda m, p: BalancedBatch(2, 1, -1), "strength is -1"),
        (lambda m, p: BalancedBatch(2, 1, 1.0).moments(RATIONAL, POLICY), "exponentials leave the rationals"),
        (lambda m, p: BalancedBatch(1, 2).moments(MDP(np.full((40, 1, 40), 1 / 40), np.zeros((40, 1)), 0.5), np.ones((40, 1))), "at most 1,048,576"),
        (lambda m, p: BalancedBatch(2, 2, of=ImportanceWeighted(2, RewardToGo(2), p)), "importance weights are for paths of another one"),
        (lambda m, p: Momentum(ImportanceWeighted(2, RewardToGo(2), p)), "paths of another one are for Fresh"),
        (lambda m, p: Fresh(LearnedCritic(2, TDCritic(0.5, 1))), "no function of single paths"),
        (lambda m, p: LearningCritic(RewardToGo(2)), "generalised advantages"),
        (lambda m, p: LearningCritic(GAE(2), critic_step=0.0), "critic_step is 0.0"),
        (lambda m, p: FittedBaseline(Reinforce(2)), "plain rewards to go"),
        (lambda m, p: FittedBaseline(RewardToGo(2), by="stage"), "by is 'stage'"),
        (lambda m, p: Balanced(RewardToGo(2), strength=-1.0), "strength is -1.0"),
        (lambda m, p: RewardToGo(2.5), "horizon is 2.5; it must be a whole number"),
        (lambda m, p: RewardToGo(2).sample(m, p, 10.5), "chains is 10.5"),
        (lambda m, p: RewardToGo(2).sample(m, p, 10, seed=True), "seed is True"),
        (lambda m, p: RewardToGo(2).sample(m.replace(rewards=np.full((2, 2), 1.7e308)), p, 10), "the return of chain 0 is inf"),
    ],
)
def test_bad_input_is_named(mdp, use, words):
    with pytest.raises(ModelError, match=words), np.errstate(all="ignore"):
        use(mdp, np.array([[0.2, 0.8], [0.55, 0.45]]))
