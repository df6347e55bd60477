"""Every estimator: sampled mean and covariance against the enumerated ones, in one table, at one stated level and with a stated power.

The law of an estimator on a small model is a list of values and probabilities.  For n independent draws, every entry of the mean and every mean of a
product (X_i - mu_i)(X_j - mu_j) is an average of n independent variables with known mean, variance v and largest distance b from the mean, and by
Bernstein's inequality it errs by x or more with probability at most 2 exp(-n x^2 / (2 (v + b x / 3))).

Level.  x is chosen such that all entries of all estimators together err with probability at most LEVEL on correct code (union bound): no normal
approximation, no estimated variance.  The seed was chosen before the first run.
Power.  A sampler whose law has no larger v and b and whose mean is off by 2 x in an entry is caught with probability at least 1 - LEVEL; the tests
assert that 2 x is at most RESOLUTION standard deviations of the entry, COARSE for the directions, of which fewer are drawn.  What the law and the
samples have in common (the weights of a path) is held to the gradient itself by `test_estimators`.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from mdps.model import MDP
from pgtheory.arithmetic import softmax
from pgtheory.sampling import (
    GAE,
    ActorCritic,
    Anchored,
    BalancedBatch,
    ControlVariates,
    FittedBaseline,
    Fresh,
    HessianAided,
    ImportanceWeighted,
    LearnedCritic,
    LearningCritic,
    Momentum,
    Page,
    Reinforce,
    RewardToGo,
    ScalarisedBatch,
    TDCritic,
    Transported,
    all_paths,
    critics,
    simulate,
)
from pgtheory.sampling.baselines import solutions
from pgtheory.sampling.directions import Direction, Memory
from pgtheory.sampling.estimators import Estimator, state_function
from pgtheory.sampling.learned_directions import LearnedMemory
from pgtheory.sampling.stochastic import Draws
from pgtheory.sampling.streams import uniforms
from tests.pgtheory.sampling.test_estimators import BIASED, OTHER, UNBIASED, small
from tests.pgtheory.sampling.test_stochastic import BEFORE, NOW, ONE_PATH, listed

LEVEL = 1e-6
CHAINS = 30_000
SEED = 20_26
RESOLUTION = 0.15
"""Of standard deviations, for the entries of the mean."""
COARSE = 0.5
SHORT = 2


def half(policy: np.ndarray) -> np.ndarray:
    return (policy + 1 / policy.shape[1]) / 2


MDP_, POLICY = small()
PAIR = np.array([[[1.0, 0.0], [0.0, 0.5]], [[0.0, 1.0], [1.0, 0.0]]])
TABLE: dict[str, Estimator] = {
    **UNBIASED,
    **BIASED,
    "half uniform behaviour": ImportanceWeighted(SHORT, ControlVariates(SHORT, by="pair").fitted(MDP_, POLICY), half),
    **{f"best baseline by {by}": ControlVariates(SHORT, by=by).fitted(MDP_, POLICY) for by in ("number", "state", "stage", "pair")},
    "baseline on a whole return": ControlVariates(SHORT, Reinforce(SHORT), "state", [0.5, -0.2]),
    "baseline fitted to other paths": ControlVariates(SHORT, by="state").fitted_to_samples(MDP_, POLICY, 50, seed=1),
    "one-step critic, learned": LearnedCritic(SHORT, TDCritic(0.5, 2), 0),
    "decayed critic, learned": LearnedCritic(SHORT, TDCritic(lambda t: 0.8 / (1 + t), 2, states=[0.3, 0.7]), 0.7),
    "critic of one feature, two agents": LearnedCritic(SHORT, TDCritic(0.5, 1, agents=2, features=[[1.0], [0.5]], start=[2.0]), 0.5),
    "balanced actions": BalancedBatch(SHORT, 2),
    "softly balanced actions": BalancedBatch(SHORT, 2, 1.5, RewardToGo(SHORT, baseline=[0.7, -1.0])),
    "scalarised, its own values": ScalarisedBatch(1, PAIR, lambda values: 1 / (values + 2), 2, independent=False),
    "scalarised, values of others": ScalarisedBatch(1, PAIR, lambda values: 1 / (values + 2), 2),
    "independent actions": BalancedBatch(SHORT, 2, 0.0),
}
RULES: dict[str, tuple[Direction, int]] = {
    "fresh": (Fresh(ONE_PATH), 1),
    "fresh, of another policy": (Fresh(ImportanceWeighted(SHORT, ONE_PATH, half)), 1),
    "momentum": (Momentum(ONE_PATH, weight=0.3), 1),
    "transported": (Transported(ONE_PATH, weight=0.25), 1),
    "Hessian-aided": (HessianAided(ONE_PATH, weight=0.3), 2),
    "page": (Page(ONE_PATH, large=3, probability=0.4), 1),
    "anchored": (Anchored(ONE_PATH, large=3, epoch=10), 1),
    "learning critic": (LearningCritic(GAE(SHORT, decay=0.5)), 1),
    "fitted baseline": (FittedBaseline(ONE_PATH), 1),
}
"""Directions of the step after a fixed memory, and how many paths one draws."""
CRITICS = {"one sample a step": TDCritic(0.5, 3), "two agents": TDCritic(0.8, 1, agents=2, states=[0.3, 0.7], start=[1.0, -1.0])}
HONEST = 2
"""Samplers that are right beside one that is not, in what must be caught."""
ENTRIES = (len(TABLE) + len(RULES) + len(CRITICS) + HONEST) * (POLICY.size + POLICY.size * (POLICY.size + 1) // 2)


@dataclasses.dataclass(frozen=True)
class Law:
    """Values (N, d) with their probabilities (N,)."""

    probabilities: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, estimator: Estimator, mdp: MDP = MDP_, policy: np.ndarray = POLICY) -> Law:
        probabilities, gradients = estimator.law(mdp, policy)
        return cls(probabilities, gradients.reshape(len(gradients), -1))

    @property
    def mean(self) -> np.ndarray:
        return self.probabilities @ self.values

    def products(self) -> np.ndarray:
        centred = self.values - self.mean
        i, j = np.triu_indices(centred.shape[1])
        return centred[:, i] * centred[:, j]

    def radius(self, values: np.ndarray, chains: int) -> np.ndarray:
        """x of each column of `values` (N, k)."""
        mean = self.probabilities @ values
        variance, reach = self.probabilities @ (values - mean) ** 2, np.abs(values - mean).max(axis=0)
        share = math.log(2 * ENTRIES / LEVEL) / chains
        return reach * share / 3 + np.sqrt((reach * share / 3) ** 2 + 2 * variance * share) + 1e-12 * (1 + np.abs(values).max(axis=0))


def disagreements(law: Law, mean: np.ndarray, covariance: np.ndarray, chains: int) -> tuple[list[int], list[int]]:
    """Entries of the mean, and of the covariance's upper triangle, that are farther off than the level allows."""
    seen = mean.reshape(-1)
    off = seen - law.mean
    i, j = np.triu_indices(seen.size)
    products = law.products()
    about_truth = ((chains - 1) / chains * covariance + np.outer(off, off))[i, j]
    first = np.flatnonzero(np.abs(off) > law.radius(law.values, chains)).tolist()
    second = np.flatnonzero(np.abs(about_truth - law.probabilities @ products) > law.radius(products, chains)).tolist()
    return first, second


def drawn(gradients: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """(mean, covariance, number) of single draws."""
    flat = gradients.reshape(len(gradients), -1)
    return flat.mean(axis=0), np.cov(flat.T), len(flat)


@pytest.mark.parametrize("name", TABLE)
def test_sampled_moments_are_the_enumerated_ones(name):
    estimator, law = TABLE[name], Law.of(TABLE[name])
    np.testing.assert_allclose(law.probabilities.sum(), 1, atol=1e-12)
    exact, seen = estimator.moments(MDP_, POLICY), estimator.sample(MDP_, POLICY, CHAINS, SEED)
    np.testing.assert_allclose(exact.mean.reshape(-1), law.mean, atol=1e-12)
    np.testing.assert_allclose(exact.mean, estimator.expectation(MDP_, POLICY), atol=1e-12)
    i, j = np.triu_indices(POLICY.size)
    np.testing.assert_allclose(exact.covariance[i, j], law.probabilities @ law.products(), atol=1e-12)
    assert disagreements(law, seen.mean, seen.covariance, CHAINS) == ([], [])
    deviations = np.sqrt(np.diag(exact.covariance))
    assert (2 * law.radius(law.values, CHAINS) <= RESOLUTION * deviations + 1e-9).all(), "the power is less than stated"


@pytest.mark.parametrize("name", CRITICS)
def test_learned_critics_have_the_enumerated_moments(name):
    law = Law(*CRITICS[name].law(MDP_, POLICY))
    mean, second = CRITICS[name].moments(MDP_, POLICY)
    np.testing.assert_allclose(mean, law.mean, atol=1e-12)
    np.testing.assert_allclose(second, (law.probabilities[:, None] * law.values).T @ law.values, atol=1e-12)
    assert disagreements(law, *drawn(CRITICS[name].draw(MDP_, POLICY, CHAINS, SEED))) == ([], [])


def memory_of(rule: Direction) -> Memory:
    old = ONE_PATH.expectation(MDP_, softmax(BEFORE))
    learned = np.array([[1.0, 0.2, 0.3], [0.2, 0.5, -0.1]]) if isinstance(rule, FittedBaseline) else np.array([0.3, -0.4])
    return LearnedMemory(BEFORE, old + 0.1, BEFORE, old, 1, learned)


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
def test_directions_have_the_law_of_their_listed_paths(name):
    """The direction that follows a fixed memory, q = 1/2: over all paths of each draw, and as runs draw it."""
    (rule, draws), chains = RULES[name], 1_500
    memory, policies = memory_of(rule), []

    def spy(policy, count):
        policies.append(policy)
        return next(listed(MDP_, policy))[1]

    rule.next(MDP_, NOW, memory, spy, lambda: 0.5)
    assert len(policies) == draws
    chances, values = [], []
    for choice in itertools.product(*(list(listed(MDP_, policy)) for policy in policies)):
        left = iter(choice)
        chances.append(np.prod([chance for chance, _ in choice]))
        values.append(rule.next(MDP_, NOW, memory, lambda policy, count, left=left: next(left)[1], lambda: 0.5).direction.reshape(-1))
    law = Law(np.array(chances), np.array(values))
    draw = Draws(MDP_, SHORT, SEED, 0)
    seen = np.array([rule.next(MDP_, NOW, memory, draw, lambda: 0.5).direction for _ in range(chains)])
    assert draw.drawn == draws * chains
    assert disagreements(law, *drawn(seen)) == ([], [])
    deviations = np.sqrt(law.probabilities @ (law.values - law.mean) ** 2)
    assert (2 * law.radius(law.values, chains) <= COARSE * deviations + 1e-9).all(), "the power is less than stated"


# What must be caught: the same procedure, with a sampler that is not the one that was enumerated


@dataclasses.dataclass(frozen=True)
class LooksAhead(RewardToGo):
    """A baseline of the next state."""

    def weights(self, mdp: MDP, policy: np.ndarray, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        plain = RewardToGo(self.horizon).weights(mdp, policy, states, actions)
        powers = float(mdp.discount) ** np.arange(self.horizon)
        return plain - powers * state_function("baseline", self.baseline, mdp, policy)[states[:, 1:]]


@dataclasses.dataclass(frozen=True)
class FromTheStepAfter(RewardToGo):
    """The reward of the action itself is left out."""

    def weights(self, mdp: MDP, policy: np.ndarray, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        togo = RewardToGo(self.horizon).weights(mdp, policy, states, actions)
        return np.concatenate([togo[:, 1:], np.zeros((len(togo), 1))], axis=1)


def without_weights(chains: int) -> np.ndarray:
    paths = simulate(MDP_, OTHER, chains, SHORT, SEED)
    return RewardToGo(SHORT).of_paths(MDP_, POLICY, paths.states, paths.actions)


def same_path_twice(chains: int) -> np.ndarray:
    return RewardToGo(SHORT).draw(MDP_, POLICY, chains, SEED)


CONTROLS: dict[str, tuple[Estimator, Callable[[int], np.ndarray]]] = {
    "a biased estimator": (RewardToGo(SHORT), lambda n: ActorCritic(SHORT, critic=[5.0, 0.0]).draw(MDP_, POLICY, n, SEED)),
    "an action baseline that is not added back": (
        RewardToGo(SHORT, baseline=np.array([[0.7, -1.0], [2.0, 0.1]])),
        lambda n: RewardToGo(SHORT, baseline=np.array([[0.7, -1.0], [2.0, 0.1]]), corrected=False).draw(MDP_, POLICY, n, SEED),
    ),
    "a missing importance weight": (ImportanceWeighted(SHORT, RewardToGo(SHORT), OTHER), without_weights),
    "a baseline that looks ahead": (
        RewardToGo(SHORT, baseline=[0.7, -1.0]),
        lambda n: LooksAhead(SHORT, baseline=[0.7, -1.0]).draw(MDP_, POLICY, n, SEED),
    ),
    "rewards from the step after": (RewardToGo(SHORT), lambda n: FromTheStepAfter(SHORT).draw(MDP_, POLICY, n, SEED)),
    "another critic": (LearnedCritic(SHORT, TDCritic(0.5, 2), 0), lambda n: LearnedCritic(SHORT, TDCritic(0.3, 2), 0).draw(MDP_, POLICY, n, SEED)),
}


@pytest.mark.parametrize("name", CONTROLS)
def test_a_wrong_mean_is_caught(name):
    honest, sampler = CONTROLS[name]
    first, _ = disagreements(Law.of(honest), *drawn(sampler(CHAINS)))
    assert first, f"{name} went unseen"


def test_a_momentum_without_its_importance_weight_is_caught():
    honest, sloppy = (Momentum(ONE_PATH, weight=0.3, weighted_paths=weighted) for weighted in (True, False))
    memory, paths = memory_of(honest), list(listed(MDP_, softmax(NOW)))

    def values(rule):
        return np.array([rule.next(MDP_, NOW, memory, lambda policy, count, path=path: path, lambda: 0.5).direction.reshape(-1) for _, path in paths])

    law = Law(np.array([chance for chance, _ in paths]), values(honest))
    sums, u = law.probabilities.cumsum(), uniforms(np.uint64(SEED), 0, 0, CHAINS)
    drawn_paths = np.minimum(np.searchsorted(sums, u, side="right"), len(paths) - 1)
    assert disagreements(law, *drawn(values(honest)[drawn_paths])) == ([], [])
    assert disagreements(law, *drawn(values(sloppy)[drawn_paths]))[0]


def test_a_wrong_covariance_is_caught_though_the_mean_is_right():
    law = Law.of(BalancedBatch(SHORT, 2, 0.0))
    first, second = disagreements(law, *drawn(same_path_twice(CHAINS)))
    assert first == [] and second


def test_a_baseline_fitted_to_its_own_batch_looks_ahead():
    """Over all pairs of paths of one step: fitted to the pair itself the mean is off, fitted to another path it is the gradient."""
    paths, plain = all_paths(MDP_, POLICY, 1), ControlVariates(1, by="state")
    own, other = np.zeros(POLICY.shape), np.zeros(POLICY.shape)
    for i, j in itertools.product(range(len(paths)), repeat=2):
        chance, pair = paths.probabilities[i] * paths.probabilities[j], [i, j]
        states, actions = paths.states[pair], paths.actions[pair]
        fits = [solutions(*plain.equations(MDP_, POLICY, states[k:], actions[k:], np.full(2 - k, 1 / (2 - k)))) for k in (0, 1)]
        acted = [dataclasses.replace(plain, coefficients=fit).of_paths(MDP_, POLICY, states, actions) for fit in fits]
        own, other = own + chance * acted[0].mean(axis=0), other + chance * acted[1][0]
    gradient = RewardToGo(1).expectation(MDP_, POLICY)
    np.testing.assert_allclose(other, gradient, atol=1e-12)
    assert np.abs(own - gradient).max() > 1e-3


def test_a_critic_that_shares_the_random_numbers_of_its_path_is_caught(monkeypatch):
    estimator = LearnedCritic(SHORT, TDCritic(1.0, 1), 0)
    law = Law.of(estimator)
    assert disagreements(law, *drawn(estimator.draw(MDP_, POLICY, CHAINS, SEED))) == ([], [])
    monkeypatch.setattr(critics, "CRITIC_STREAMS", 0)
    first, second = disagreements(law, *drawn(estimator.draw(MDP_, POLICY, CHAINS, SEED)))
    assert first or second
