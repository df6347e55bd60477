"""Beliefs, tilted laws and mixtures against enumeration of policies, conic programs and closed forms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from flint import fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

from mdps.errors import ModelError
from mdps.rational import rational_array
from pgtheory.control import adaptive_value, free_energy, pac_bayes_bound
from pgtheory.control.beliefs import bayes_values, informed_values, markov_values, path_probability, value_of_asking
from pgtheory.control.variational import gibbs_posterior, mixture_moment, sample_counts, tilted_recursion
from tests.tolerances import EPS

SEEDS = st.integers(0, 10**6)
FEW = settings(max_examples=15)


@pytest.mark.exact
def test_two_pulls_of_two_arms_are_worth_one_three_halves_and_two():
    """U21: one of two arms pays, b = 1/2: a fixed policy 1, learning 3/2, knowing 2."""
    pays, pays_not = [["0", "1"]], [["1", "0"]]
    outcomes = rational_array([[[[pays, pays_not]], [[pays_not, pays]]]])  # (1, 2, 1, 2, 1, 2)
    half = rational_array([["1/2", "1/2"]])
    assert bayes_values(outcomes, half, 2)[0, 0] == fmpq(3, 2)
    assert informed_values(outcomes, 2)[0].tolist() == [[2], [2]]
    for plan in itertools.product((0, 1), repeat=2):
        policy = rational_array([[[[int(a == b) for b in range(2)]] for a in plan]])
        assert (half[0] * markov_values(outcomes, policy, 2)[0, :, 0]).sum() == 1


@given(SEEDS)
@FEW
def test_learning_is_the_best_of_all_policies_that_look_at_the_history(seed):
    """Two steps: the second action is any function of the first outcome (s', o)."""
    rng = np.random.default_rng(seed)
    outcomes, prior = rng.dirichlet(np.full(4, 0.5), (2, 2, 2)).reshape(2, 2, 2, 2, 2), rng.dirichlet(np.ones(2))
    best = -np.inf
    for first in range(2):
        for rule in itertools.product((0, 1), repeat=4):
            value = 0.0
            for m in range(2):
                for after, paid in itertools.product(range(2), repeat=2):
                    chance = outcomes[m, 0, first, after, paid]
                    value += prior[m] * chance * (paid + outcomes[m, after, rule[2 * after + paid], :, 1].sum())
            best = max(best, value)
    assert adaptive_value(outcomes, prior, 0, 2) == pytest.approx(best, rel=64 * EPS)


@given(SEEDS)
@FEW
def test_probabilities_of_paths_add_up_and_are_those_of_the_soft_policy(seed):
    rng = np.random.default_rng(seed)
    weights, ends = rng.uniform(0.2, 3, (3, 3)), rng.uniform(0.2, 3, 3)
    total = sum(path_probability(weights, ends, (0, *path), 4) for path in itertools.product(range(3), repeat=2))
    assert total == pytest.approx(1, rel=64 * EPS)
    left = {
        path: ends[path[-1]] * np.prod([weights[a, b] for a, b in itertools.pairwise((0, *path))]) for path in itertools.product(range(3), repeat=4)
    }
    seen = sum(mass for path, mass in left.items() if path[:2] == (1, 2)) / sum(left.values())  # the law of whole paths, enumerated
    assert path_probability(weights, ends, (0, 1, 2), 4) == pytest.approx(seen, rel=256 * EPS)


@given(SEEDS)
@FEW
def test_the_recursion_is_the_sum_over_trajectories(seed):
    rng = np.random.default_rng(seed)
    policy, tilts, moves = rng.dirichlet(np.ones(2), 3), rng.uniform(0.2, 3, (3, 2)), rng.integers(0, 3, (3, 2))
    total = 0.0
    for actions in itertools.product(range(2), repeat=4):
        mass, s = 1.0, 0
        for a in actions:
            mass, s = mass * policy[s, a] * tilts[s, a], moves[s, a]
        total += mass
    assert tilted_recursion(policy, tilts, np.eye(3)[moves], 4)[0] == pytest.approx(total, rel=64 * EPS)


def test_the_free_energy_is_the_optimum_of_a_conic_program():
    import cvxpy

    rng = np.random.default_rng(2)
    pay, law = rng.normal(size=5), rng.dirichlet(np.ones(5))
    found, best = free_energy(pay, law, 0.7)
    p = cvxpy.Variable(5)
    program = cvxpy.Problem(cvxpy.Maximize(pay @ p - 0.7 * cvxpy.sum(cvxpy.rel_entr(p, law))), [cvxpy.sum(p) == 1])
    program.solve(solver=cvxpy.CLARABEL)
    assert found == pytest.approx(program.value, abs=1e-6) and best == pytest.approx(p.value, abs=1e-4)  # Clarabel stops at 1e-8; laws at its root
    assert free_energy([0.0, 1.0], [0.5, 0.5], 1.0)[0] == pytest.approx(np.log((1 + np.e) / 2), rel=8 * EPS)
    assert free_energy([5.0, 1.0], [0.0, 1.0], 1.0) == (1.0, pytest.approx([0, 1]))
    assert free_energy([0.0, 1e6], [0.5, 0.5], 1.0)[0] == pytest.approx(1e6 - np.log(2), rel=8 * EPS)


@given(SEEDS)
@FEW
def test_the_gibbs_posterior_minimises_the_bound(seed):
    rng = np.random.default_rng(seed)
    prior, losses, other = rng.dirichlet(np.ones(3)), rng.random(3), rng.dirichlet(np.ones(3))

    def bound(law):
        return pac_bayes_bound(law @ losses, max(0.0, float(law @ np.log(law / prior))), 10, 3.0, 0.1)

    assert bound(gibbs_posterior(prior, losses, 3.0)) <= bound(other) + 64 * EPS


def test_all_samples_are_counted():
    counts, orders = sample_counts(3, 4)
    assert (counts.sum(axis=1) == 4).all() and orders.sum() == 3**4 and len(np.unique(counts, axis=0)) == len(counts) == 15


def test_second_moments_of_mixtures_and_what_they_miss():
    target = np.array([0.5, 0.5, 0.0])
    surrogates = np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]])
    assert mixture_moment(target, surrogates, np.array([1.0, 0.0])) == pytest.approx(1, rel=8 * EPS)
    assert mixture_moment(target, surrogates, np.array([0.0, 1.0])) == np.inf


@pytest.mark.exact
def test_asking_is_worth_the_best_of_oracle_and_belief():
    for k, n in itertools.product(range(13), range(6, 13)):
        b, right = fmpq(k, 12), fmpq(n, 12)
        assert value_of_asking(b, right) == max(b, 1 - b, right)
    assert value_of_asking(fmpq(1, 2), (fmpq(1), fmpq(1, 2))) == fmpq(3, 4)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: adaptive_value(np.ones((2, 2)), [0.5, 0.5], 0, 1), "outcomes has shape"),
        (lambda: adaptive_value(np.full((2, 1, 1, 1, 2), 0.5), [1.0], 0, 1), r"prior has shape \(1,\)"),
        (lambda: adaptive_value(np.full((2, 1, 1, 1, 2), 0.6), [0.5, 0.5], 0, 1), "outcomes must hold distributions"),
        (lambda: adaptive_value(np.full((2, 1, 1, 1, 2), 0.5), [0.5, 0.5], 0, 20), "horizon is 20"),
        (lambda: adaptive_value(np.full((2, 1, 1, 1, 2), 0.5), [0.5, 0.5], 3, 2), "state is 3"),
        (lambda: free_energy([1.0], [1.0], 0.0), "temperature is 0.0"),
        (lambda: free_energy([1.0, 2.0], [1.0, 1.0], 1.0), "the reference sums to 2"),
        (lambda: free_energy([1.0, 2.0], [1.0], 1.0), "both must be"),
        (lambda: pac_bayes_bound(0.1, 0.1, 10, 0.0, 0.1), "beta is 0.0"),
        (lambda: pac_bayes_bound(0.1, 0.1, 10, 1.0, 1.0), "delta is 1.0"),
        (lambda: pac_bayes_bound(0.1, 0.1, 0, 1.0, 0.1), "samples is 0"),
        (lambda: pac_bayes_bound(0.1, -0.1, 10, 1.0, 0.1), "divergence -0.1"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ModelError, match=said):
        call()
