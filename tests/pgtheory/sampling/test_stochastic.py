"""Directions: their exact conditional means by listing every path; runs: reproducible, unbiased steps, bad input."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mdps.errors import ModelError
from pgtheory import arithmetic
from pgtheory.sampling import (
    Anchored,
    Fresh,
    HessianAided,
    Momentum,
    Page,
    Reinforce,
    RewardToGo,
    StochasticPG,
    Transported,
    all_paths,
    run_sampled,
)
from pgtheory.sampling.directions import Memory, hessian_products
from pgtheory.sampling.simulator import Paths
from tests.pgtheory.sampling.test_simulator import model_and_policy

HORIZON = 2
ONE_PATH = RewardToGo(HORIZON)
BEFORE = np.array([[0.4, -0.1], [0.0, 0.3]])
NOW = np.array([[0.1, 0.2], [-0.5, 0.6]])
ERROR = np.array([[0.05, -0.02], [0.01, 0.2]])


def listed(mdp, policy):
    """Every path as a batch of one, with its probability."""
    paths = all_paths(mdp, policy, HORIZON)
    for k in range(len(paths)):
        states, actions = paths.states[k : k + 1], paths.actions[k : k + 1]
        yield paths.probabilities[k], Paths(states, actions, np.zeros(actions.shape), np.array([HORIZON]), np.zeros(1))


def gradient(mdp, logits):
    return ONE_PATH.expectation(mdp, arithmetic.softmax(logits))


def mean_direction(mdp, rule, memory, draws, q=0.5):
    """E of the next direction given `memory`, over all paths of each of the `draws` that a step makes, with every uniform equal to q."""
    total, policies = 0.0, []

    def spy(policy, count):
        policies.append(policy)
        return next(listed(mdp, policy))[1]

    rule.next(mdp, NOW, memory, spy, lambda: q)
    assert len(policies) == draws
    for choice in itertools.product(*(list(listed(mdp, policy)) for policy in policies)):
        left = iter(choice)
        direction = rule.next(mdp, NOW, memory, lambda policy, count, left=left: next(left)[1], lambda: q).direction
        total = total + np.prod([probability for probability, _ in choice]) * direction
    return total


@pytest.fixture(scope="module")
def mdp():
    return model_and_policy(1, 2, 2)[0]


@pytest.fixture(scope="module")
def memory(mdp):
    old = gradient(mdp, BEFORE)
    return Memory(BEFORE, old + ERROR, BEFORE, old, 1)


def test_fresh_batches_have_the_gradient_as_their_mean(mdp, memory):
    np.testing.assert_allclose(mean_direction(mdp, Fresh(ONE_PATH), memory, 1), gradient(mdp, NOW), atol=1e-12)


def test_recursive_momentum_shrinks_the_last_error(mdp, memory):
    found = mean_direction(mdp, Momentum(ONE_PATH, weight=0.3), memory, 1)
    np.testing.assert_allclose(found, gradient(mdp, NOW) + 0.7 * ERROR, atol=1e-12)


def test_recursive_momentum_without_its_weight_is_biased(mdp, memory):
    found = mean_direction(mdp, Momentum(ONE_PATH, weight=0.3, weighted_paths=False), memory, 1)
    assert np.abs(found - gradient(mdp, NOW) - 0.7 * ERROR).max() > 1e-3


def test_a_short_batch_of_page_keeps_the_last_error(mdp, memory):
    rule = Page(ONE_PATH, large=3, probability=0.4)
    np.testing.assert_allclose(mean_direction(mdp, rule, memory, 1, q=0.5), gradient(mdp, NOW) + ERROR, atol=1e-12)
    np.testing.assert_allclose(mean_direction(mdp, rule, memory, 1, q=0.3), gradient(mdp, NOW), atol=1e-12)


def test_an_anchored_direction_has_the_gradient_as_its_mean(mdp, memory):
    found = mean_direction(mdp, Anchored(ONE_PATH, large=3, epoch=10), memory, 1)
    np.testing.assert_allclose(found, gradient(mdp, NOW), atol=1e-12)


def test_transport_takes_the_gradient_ahead(mdp, memory):
    ahead = NOW + 0.75 / 0.25 * (NOW - BEFORE)
    found = mean_direction(mdp, Transported(ONE_PATH, weight=0.25), memory, 1)
    np.testing.assert_allclose(found, 0.75 * memory.direction + 0.25 * gradient(mdp, ahead), atol=1e-12)
    plain = mean_direction(mdp, Transported(ONE_PATH, weight=0.25, transport=False), memory, 1)
    np.testing.assert_allclose(plain, 0.75 * memory.direction + 0.25 * gradient(mdp, NOW), atol=1e-12)


def test_the_hessian_aided_direction_has_no_bias_on_average_over_its_point(mdp, memory):
    rule = HessianAided(ONE_PATH, weight=0.3)
    nodes, weights = np.polynomial.legendre.leggauss(8)
    found = sum(w / 2 * mean_direction(mdp, rule, memory, 2, q=(x + 1) / 2) for x, w in zip(nodes, weights, strict=True))
    np.testing.assert_allclose(found, gradient(mdp, NOW) + 0.7 * ERROR, atol=1e-9)


def test_hessian_products_are_those_of_differences(mdp):
    policy, along = arithmetic.softmax(NOW), np.array([[0.7, -0.3], [0.1, 1.0]])
    mean = sum(p * hessian_products(mdp, policy, path, along)[0] for p, path in listed(mdp, policy))
    h = 1e-5
    slope = (gradient(mdp, NOW + h * along) - gradient(mdp, NOW - h * along)) / (2 * h)
    np.testing.assert_allclose(mean, slope, atol=1e-9)


@pytest.mark.parametrize("update", ["plain", "normalised", "natural"])
def test_the_step_along_the_exact_gradient_is_the_methods_own(mdp, update):
    from pgtheory import advantages, occupancy

    policy = arithmetic.softmax(NOW)
    exact = np.asarray(occupancy(mdp, policy)) * np.asarray(advantages(mdp, policy)) / (1 - mdp.discount)
    moved = StochasticPG(Fresh(ONE_PATH), 0.3, update).moved(mdp, NOW, exact, 0) - NOW
    wanted = {
        "plain": 0.3 * exact,
        "normalised": 0.3 * exact / np.linalg.norm(exact),
        "natural": 0.3 * np.asarray(advantages(mdp, policy)) / (1 - mdp.discount),
    }[update]
    np.testing.assert_allclose(moved, wanted, atol=1e-12)


RULES = {
    "fresh": Fresh(RewardToGo(10), 3),
    "momentum": Momentum(RewardToGo(10), 3, weight=0.2),
    "transported": Transported(RewardToGo(10), 3, weight=0.2),
    "hessian-aided": HessianAided(RewardToGo(10), 3, weight=0.2),
    "page": Page(RewardToGo(10), 3, large=20, probability=0.2),
    "anchored": Anchored(RewardToGo(10), 3, large=20, epoch=5),
}


@pytest.mark.parametrize("name", RULES)
def test_runs_are_reproducible_and_improve(name):
    mdp = model_and_policy(2, 3, 2)[0]
    method = StochasticPG(RULES[name], 0.1, "normalised")
    runs = run_sampled(mdp, method, 60, runs=3, seed=4)
    again = run_sampled(mdp, method, 60, runs=1, seed=4, first=2)
    np.testing.assert_array_equal(again.policies[0], runs.policies[2])
    assert not np.array_equal(runs.policies[0, -1], runs.policies[1, -1])
    assert runs.gaps()[:, -1].mean() < runs.gaps()[:, 0].mean()
    assert (runs.gaps() > -1e-9).all() and (np.diff(runs.paths, axis=1) > 0).all()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda m: Fresh(ONE_PATH, 0), "batch is 0"),
        (lambda m: Momentum(ONE_PATH, weight=0), "weight is 0"),
        (lambda m: Transported(ONE_PATH, weight=1.5), "weight is 1.5"),
        (lambda m: Page(ONE_PATH, probability=0.0), "probability is 0.0"),
        (lambda m: Page(ONE_PATH, large=0), "large is 0"),
        (lambda m: Anchored(ONE_PATH, epoch=0), "epoch is 0"),
        (lambda m: HessianAided(Reinforce(2)), "rewards to go without a baseline"),
        (lambda m: StochasticPG(Fresh(ONE_PATH), -1.0), "step_size is -1.0"),
        (lambda m: StochasticPG(Fresh(ONE_PATH), 1.0, "normalized"), "update is 'normalized'"),
        (lambda m: run_sampled(m, StochasticPG(Fresh(ONE_PATH), 1.0), 3, runs=0), "runs is 0"),
        (lambda m: run_sampled(m, StochasticPG(Fresh(ONE_PATH), 1.0), 3, seed="a"), "seed is 'a'"),
        (lambda m: run_sampled(m, StochasticPG(Fresh(ONE_PATH), 1.0), 3, initial=np.zeros((3, 2))), r"initial must be finite logits \(2, 2\)"),
        (lambda m: run_sampled(m, StochasticPG(Fresh(ONE_PATH), lambda t: np.inf), 30), "not finite after step"),
    ],
)
def test_bad_input_is_named(mdp, make, words):
    with pytest.raises(ModelError, match=words), np.errstate(all="ignore"):
        make(mdp)
