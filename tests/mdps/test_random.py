"""Random models: the same seed gives the same model, and each class is what its name says."""

from __future__ import annotations

import numpy as np
import pytest
from flint import fmpq

from mdps import ModelError, random

MAKERS = {
    "garnet": lambda seed: random.garnet(6, 3, 2, seed),
    "garnet sparse": lambda seed: random.garnet(60, 2, 4, seed, sparse=True, rewards="normal", start="random"),
    "garnet full": lambda seed: random.garnet(4, 2, 4, seed, rewards="sparse"),
    "dirichlet": lambda seed: random.dirichlet(4, 2, seed),
    "dirichlet spiky": lambda seed: random.dirichlet(4, 2, seed, concentration=1e-3),
    "deterministic": lambda seed: random.deterministic(5, 2, seed, rewards="binary"),
    "rational": lambda seed: random.rational(4, 3, seed, start="random"),
    "bandit": lambda seed: random.bandit(4, seed),
    "birth_death": lambda seed: random.birth_death(5, 2, seed),
    "grid": lambda seed: random.grid(3, 4, seed),
    "hard": random.hard,
}


@pytest.mark.parametrize("name", MAKERS)
def test_one_seed_one_model(name):
    make = MAKERS[name]
    digests = [make(seed).digest() for seed in range(20)]
    assert digests == [make(np.random.default_rng(seed)).digest() for seed in range(20)]
    assert len(set(digests)) > 10
    rng = np.random.default_rng(0)
    assert make(rng).digest() == digests[0]
    assert rng.bit_generator.state != np.random.default_rng(0).bit_generator.state


def test_models_do_not_change_from_release_to_release():
    """numpy promises the stream of a seeded bit generator; these functions promise to read it in the same order."""
    assert random.deterministic(3, 1, 5).choices.argmax(axis=1).tolist() == np.random.default_rng(5).integers(3, size=3).tolist()


def test_garnet_rows_have_exactly_the_branching():
    for branching in (1, 2, 4, 6):
        rows = random.garnet(6, 3, branching, 1).choices
        assert ((rows > 0).sum(axis=1) == branching).all()
    sparse = random.garnet(1000, 2, 5, 1, sparse=True)
    assert (np.diff(sparse.choices.indptr) == 5).all()
    assert sparse.digest() == random.garnet(1000, 2, 5, 1).digest()


@pytest.mark.statistical
def test_garnet_successors_are_uniform_over_states():
    """Level 1e-6 over all states (Bonferroni): the counts are binomial(n, 1/2), and Hoeffding allows sqrt(log(2 S / level) / (2 n))."""
    rows = random.garnet(10, 40_000, 5, 7).choices
    frequency = (rows > 0).mean(axis=0)
    assert np.abs(frequency - 0.5).max() <= np.sqrt(np.log(2 * 10 / 1e-6) / (2 * rows.shape[0]))


@pytest.mark.statistical
@pytest.mark.parametrize("concentration", [0.01, 0.1, 1.0, 10.0])
def test_dirichlet_moments(concentration):
    """Var p_1 = (1/n)(1 - 1/n)/(n c + 1); p_1^2 lies in [0, 1], so Hoeffding at level 1e-6 over n = 90,000 rows allows 0.009."""
    states, pairs = 3, 30_000
    rows = random.dirichlet(states, pairs, 3, concentration=concentration).choices
    allowed = np.sqrt(np.log(2 / 1e-6) / (2 * rows.shape[0]))
    assert abs(rows[:, 0].mean() - 1 / states) <= allowed
    second = (1 / states) * (1 - 1 / states) / (states * concentration + 1) + 1 / states**2
    assert abs((rows[:, 0] ** 2).mean() - second) <= allowed


def test_tiny_concentrations_are_deterministic_rows_and_never_nan():
    rows = random.dirichlet(5, 4, 0, concentration=1e-8).choices
    assert np.isfinite(rows).all()
    assert (rows.max(axis=1) > 0.999).mean() > 0.9


def test_rational_models_are_multiples_of_the_denominator():
    mdp = random.rational(3, 2, 4, denominator=7, discount=0.3)
    assert mdp.given_exactly
    assert all((7 * x).q == 1 for x in [*mdp.exact.choices.reshape(-1), *mdp.exact.pair_rewards])
    assert mdp.exact.discount == fmpq(3, 10)


def test_grid_reaches_its_goal_and_is_compressed_when_large():
    mdp = random.grid(3, 4, 0, slip=0.25)
    assert mdp.rewards[-1].tolist() == [0] * 4
    assert mdp.transitions[-1, :, -1].tolist() == [1.0] * 4
    assert mdp.transitions[5, 1, 6] == 0.5
    assert random.grid(40, 40, 0).is_sparse
    assert not mdp.is_sparse


def test_hard_instances_fit_the_size_asked_for():
    for seed in range(200):
        for size in (2, 3, 5):
            assert random.hard(seed, size).num_states <= size


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random.garnet(3, 2, 4, 0), "branching is 4"),
        (lambda: random.garnet(0, 2, 1, 0), "num_states is 0"),
        (lambda: random.dirichlet(3, 2.5, 0), "num_actions is 2.5"),
        (lambda: random.dirichlet(3, 2, 0, concentration=0), "concentration is 0"),
        (lambda: random.dirichlet(3, 2, None), "seed is None"),
        (lambda: random.deterministic(3, 2, 0, rewards="unifrom"), "Did you mean uniform"),
        (lambda: random.deterministic(3, 2, 0, rewards=np.zeros(3)), r"shape \(3,\)"),
        (lambda: random.deterministic(3, 2, 0, start="first"), "start is 'first'"),
        (lambda: random.deterministic(3, 2, 0, discount=1), "discount is 1"),
        (lambda: random.grid(3, 3, 0, slip=0.6), "slip is 0.6"),
        (lambda: random.hard(0, 1), "max_states is 1"),
    ],
)
def test_bad_arguments_raise(call, message):
    with pytest.raises(ModelError, match=message):
        call()
