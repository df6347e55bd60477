"""Diminishing rewards: constants against enumeration, tight instances in fractions, the gradient of marginal gains against differences of values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from flint import fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

import mdps
from mdps.errors import ModelError
from mdps.rational import rational_array
from pgtheory import arithmetic
from pgtheory.submodular import (
    Coverage,
    Diminishing,
    ascend,
    best_set,
    best_walk,
    curvature,
    expected_utility,
    greedy,
    greedy_share,
    greedy_walk,
    local_optima,
    marginal_gain_gradient,
    trap,
    visited_values,
)
from tests.tolerances import EPS

SEEDS = st.integers(0, 10**6)
FEW = settings(max_examples=15)
ROUNDING = 256 * EPS


def coverage(seed, items=5, things=4):
    rng = np.random.default_rng(seed)
    return Coverage(rng.random(things), rng.random((items, things)) * (rng.random((items, things)) < 0.6))


@given(SEEDS, st.booleans())
@FEW
def test_utilities_are_monotone_and_diminish(seed, spread):
    rng = np.random.default_rng(seed)
    f = coverage(seed) if spread else Diminishing(rng.random(3), rng.random((5, 3)))
    for small, extra, i in itertools.product(itertools.combinations(range(3), 1), (3,), (4,)):
        x, y = frozenset(small), frozenset({*small, extra})
        assert f(x) <= f(y) + ROUNDING
        assert f(y | {i}) - f(y) <= f(x | {i}) - f(x) + ROUNDING
    assert f(frozenset()) == 0


@given(SEEDS, st.integers(1, 4))
@FEW
def test_greedy_and_the_best_singles_have_their_share(seed, size):
    f = coverage(seed)
    best, found = best_set(f, range(5), size)
    assert f(found) == best
    assert f(frozenset(greedy(f, range(5), size))) >= greedy_share(size) * best - ROUNDING
    singles = sorted(range(5), key=lambda i: -f(frozenset([i])))[:size]
    assert f(frozenset(singles)) >= (1 - curvature(f, range(5))) * best - ROUNDING


@pytest.mark.exact
@pytest.mark.parametrize(("size", "share"), [(2, fmpq(3, 4)), (3, fmpq(19, 27)), (4, fmpq(175, 256))])
def test_greedy_has_no_better_share(size, share):
    """U17: k items that show every one of k things by 1/k, and k items that show one thing each."""
    spread = rational_array([[f"1/{size}"] * size] * size)
    covers = np.concatenate([spread, rational_array(np.eye(size, dtype=int).tolist())])
    f = Coverage(rational_array([1] * size), covers)
    assert greedy(f, range(2 * size), size) == list(range(size))
    assert f(frozenset(range(size))) / best_set(f, range(2 * size), size)[0] == share
    assert float(share) == pytest.approx(greedy_share(size))


@given(SEEDS)
@FEW
def test_local_optima_of_layers_have_half(seed):
    f = coverage(seed, items=6)
    layers = [(0, 1, None), (2, 3), (4, 5, None)]
    worth = {pick: f(frozenset(i for i in pick if i is not None)) for pick in itertools.product(*layers)}
    found = local_optima(f, layers)
    assert found
    assert 2 * min(worth[pick] for pick in found) >= max(worth.values()) - ROUNDING


@pytest.mark.exact
def test_a_local_optimum_with_exactly_half():
    """Layer 1 shows x (item 0) or y (1), layer 2 shows x (2) or nothing."""
    f = Coverage(rational_array([1, 1]), rational_array([[1, 0], [0, 1], [1, 0]]))
    assert (0, None) in local_optima(f, [(0, 1), (2, None)])
    assert f({0}) == 1
    assert f({1, 2}) == 2


def test_complements_have_a_worthless_local_optimum():
    def both(items):
        return int({0, 1} <= set(items))

    assert (None, None) in local_optima(both, [(0, None), (1, None)])


@given(SEEDS)
@settings(max_examples=4)
def test_the_gradient_of_marginal_gains_is_the_derivative(seed):
    """Central differences with step h: h^2 times a third derivative of the size of F H^3, and rounding of F over h."""
    rng = np.random.default_rng(seed)
    mdp = mdps.MDP(rng.dirichlet(np.ones(3), (3, 2)), np.zeros((3, 2)), 0.9, rng.dirichlet(np.ones(3)))
    f, logits, h = coverage(seed, items=3), rng.normal(size=(3, 2)), 1e-4
    gradient = marginal_gain_gradient(mdp, arithmetic.softmax(logits), f, 3)
    for s, a in itertools.product(range(3), range(2)):
        step = np.zeros((3, 2))
        step[s, a] = h
        up, down = (expected_utility(mdp, arithmetic.softmax(logits + sign * step), f, 3) for sign in (1, -1))
        size = float(f.weights.sum())
        assert abs((up - down) / (2 * h) - gradient[s, a]) <= h**2 * size * 3**3 + ROUNDING * size / h


@pytest.mark.exact
def test_values_and_gradients_are_exact_in_rationals():
    """One coin-flip move out of state 0 to a state worth 1: value 1/2, gradient pi_0 pi_1 = 1/4 of its logit."""
    moves = rational_array([[[1, 0], [0, 1]], [[0, 1], [0, 1]]])
    policy, f = rational_array([["1/2", "1/2"]] * 2), Coverage(rational_array([1]), rational_array([[0], [1]]))
    value, gradient = visited_values(moves, rational_array([1, 0]), policy, f, 1)
    assert value == fmpq(1, 2)
    assert gradient.tolist() == [[fmpq(-1, 4), fmpq(1, 4)], [0, 0]]
    assert visited_values(moves, rational_array([1, 0]), policy, f, 0)[0] == 0


def test_ascent_finds_the_walk_past_the_trap():
    """Actions of state 0: the path or the dead end; greedy takes the dead end for 3/2, ascent the path for 2."""
    graph, f = trap(2, 1.5)
    assert greedy_walk(graph, f, 0, 2) == [0, 1, 1]
    best, walk = best_walk(graph, f, 0, 2)
    assert (best, walk) == (2.0, [0, 2, 3])
    moves = np.zeros((4, 2, 4))
    for s, ahead in enumerate(graph):
        for a in range(2):
            moves[s, a, ahead[min(a, len(ahead) - 1)]] = 1
    mdp = mdps.MDP(moves, np.zeros((4, 2)), 0.9, [1, 0, 0, 0])
    _, values = ascend(mdp, f, 2, 1.0, 200)
    assert (np.diff(values) >= 0).all()
    assert values[0] == pytest.approx(1.75)
    assert values[-1] > 1.98


@pytest.mark.exact
def test_greedy_has_its_lure_over_the_length_of_the_path():
    graph, f = trap(5, fmpq(11, 10))
    assert f(frozenset(greedy_walk(graph, f, 0, 5))) / best_walk(graph, f, 0, 5)[0] == fmpq(11, 50)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Coverage(np.ones(2), np.ones((3, 3))), r"weights \(2,\)"),
        (lambda: Coverage(np.array([1.0, -1]), np.ones((3, 2))), r"weights\[1\] is -1"),
        (lambda: Coverage(np.array([1.0, np.nan]), np.ones((3, 2))), r"weights\[1\] is nan"),
        (lambda: Coverage(np.ones(2), np.full((1, 2), 1.5)), r"1 - covers\[0, 0\]"),
        (lambda: Diminishing(np.ones(1), np.ones((2, 1)), lambda x: x**2), "concave"),
        (lambda: Diminishing(np.ones(1), np.ones((2, 1)), lambda x: x + 1), "0 at 0"),
        (lambda: greedy(coverage(0), range(5), -1), "size is -1"),
        (lambda: greedy_share(0), "size is 0"),
        (lambda: best_set(coverage(0), range(60), 9), "at most"),
        (lambda: local_optima(coverage(0), [range(5)] * 9), "at most"),
        (lambda: visited_values(np.ones((9, 2, 9)) / 9, np.ones(9) / 9, np.full((9, 2), 0.5), coverage(0), 9), "more than"),
        (lambda: ascend(mdps.zoo.arms([1, 0]), coverage(0), 1, -1.0, 1), "step_size is -1"),
        (lambda: best_walk([[0] * 100], coverage(0), 0, 40), "shorter horizon"),
        (lambda: trap(0, 1), "length is 0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ModelError, match=message):
        call()
