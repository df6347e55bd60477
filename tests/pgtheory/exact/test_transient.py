"""Reachability and total reward on models too large to enumerate: closed forms, linear programs, exact rationals."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.sparse import csr_array

from mdps import MDP
from pgtheory.exact import reachability, total_reward
from pgtheory.exact.graph import Graph, quotient

UNIT = 2.0**-53


def walk(length: int, up: Fraction) -> MDP:
    """A walk on 0 .. length that steps up with probability `up` and ends at both ends."""
    rows = np.zeros((length + 1, length + 1))
    rows[0, 0] = rows[-1, -1] = 1
    inner = np.arange(1, length)
    rows[inner, inner + 1], rows[inner, inner - 1] = float(up), float(1 - up)
    return MDP.from_choices(np.arange(length + 2), csr_array(rows), np.zeros(length + 1), 0.5)


@pytest.mark.parametrize("length", [2, 30, 400, 4000])
@pytest.mark.parametrize("up", [Fraction(1, 2), Fraction(3, 4), Fraction(1, 4)])
def test_gamblers_ruin_has_its_closed_form(length, up):
    found = reachability(walk(length, up), [length], tol=1e-6)
    ratio = (1 - up) / up
    for s in sorted({0, 1, length // 3, length // 2, length - 1, length}):
        exact = Fraction(s, length) if ratio == 1 else (1 - ratio**s) / (1 - ratio**length)
        assert Fraction(found.lower[s]) <= exact <= Fraction(found.upper[s])
    assert found.error <= 1e-6


@pytest.mark.parametrize("length", [5, 300, 5000])
def test_the_expected_time_of_a_fair_walk_has_its_closed_form(length):
    """Up to what floats can prove: a sweep of h, the number of steps, errs by less than 2^-43 h, and each step may."""
    mdp = walk(length, Fraction(1, 2))
    tol = max(1e-9 * length**2, 2.0**-43 * (length**2 / 4) ** 2)
    found = total_reward(mdp, [0, length], "min", rewards=np.ones(length + 1), tol=tol)
    s = np.arange(length + 1)
    assert np.all(found.lower <= s * (length - s))
    assert np.all(found.upper >= s * (length - s))
    assert found.error <= tol


def crowded(seed: int, states: int, crash: float) -> MDP:
    """Three actions, each with a few near successors: long ways to the last state, with end components where crash is 0."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((states * 3, states))
    for k in range(states * 3 - 3):
        to = np.clip(k // 3 + rng.integers(-6, 7, 3), 0, states - 1)
        np.add.at(rows[k], to, rng.dirichlet(np.ones(3)) * (1 - crash))
        rows[k, 0] += crash
    rows[:3] = 0
    rows[:3, 0] = 1
    rows[-3:, states - 1] = 1
    rows /= rows.sum(1, keepdims=True)
    return MDP.from_choices(np.arange(0, states * 3 + 1, 3), csr_array(rows), np.zeros(states * 3), 0.5)


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), crash=st.sampled_from((0.0, 0.02)), direction=st.sampled_from(("max", "min")))
def test_reachability_encloses_the_exact_optimum(seed, crash, direction):
    mdp = crowded(seed, 40, crash)
    found = reachability(mdp, [39], direction, tol=1e-8)
    exact = reachability(mdp, [39], direction, exact=True).values
    assert found.error <= 1e-8
    for low, v, high in zip(found.lower, exact, found.upper, strict=True):
        assert Fraction(float(low)) <= Fraction(int(v.p), int(v.q)) <= Fraction(float(high))


@pytest.mark.parametrize("seed", range(3))
def test_reachability_of_a_thousand_states_is_that_of_the_linear_program(seed):
    states = 1000
    mdp = crowded(seed, states, 0.01)
    found = reachability(mdp, [states - 1], tol=1e-6)
    inner = np.arange(1, states - 1)
    rows = mdp.choices.tocsr()[3 : 3 * (states - 1)]
    home = csr_array((np.ones(rows.shape[0]), (np.arange(rows.shape[0]), np.repeat(inner - 1, 3))), shape=(rows.shape[0], inner.size))
    answer = linprog(np.ones(inner.size), A_ub=rows[:, 1 : states - 1] - home, b_ub=-rows[:, [states - 1]].toarray()[:, 0], bounds=(0, 1))
    assert np.max(np.abs(answer.x - found.values[inner])) <= 1e-6 + 1e-6, "the program's own feasibility is 1e-7 a row"


@pytest.mark.parametrize("tol", [1e-3, 1e-6, 1e-10])
def test_the_accuracy_asked_is_the_accuracy_delivered(tol):
    for seed in range(5):
        mdp = crowded(seed, 300, 0.005)
        found, fine = reachability(mdp, [299], tol=tol), reachability(mdp, [299], tol=1e-11)
        assert found.error <= tol
        assert np.all(found.lower <= fine.upper)
        assert np.all(fine.lower <= found.upper)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_costs_of_any_size_are_enclosed(scale):
    for seed in range(4):
        mdp = crowded(seed, 60, 0.0)
        costs = scale * np.random.default_rng(seed).uniform(0.5, 1.5, mdp.num_pairs)
        found = total_reward(mdp, [0, 59], "min", rewards=costs, tol=1e-7 * scale)
        exact = total_reward(mdp, [0, 59], "min", rewards=costs, exact=True).values
        assert found.error <= 1e-7 * scale
        for low, v, high in zip(found.lower, exact, found.upper, strict=True):
            assert Fraction(float(low)) <= Fraction(int(v.p), int(v.q)) <= Fraction(float(high))


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_a_quotient_keeps_rows_and_merges_components(seed):
    rng = np.random.default_rng(seed)
    mdp = crowded(seed, 12, 0.0)
    graph = Graph.of_mdp(mdp)
    ends = rng.random(12) < 0.3
    ends[-1] = True
    inner = ~ends
    usable = inner[graph.owner]
    component, inside = graph.end_components(usable)
    sink = rng.integers(0, 2, 12)
    count = int(component.max(initial=-1)) + 1
    small = quotient(graph, inner, component, inside, usable, sink, 2, rng.integers(-1, 2, count))
    assert sorted(set(small.group[inner].tolist())) == list(range(small.classes))
    assert np.array_equal(small.group[~inner], small.classes + sink[~inner])
    for s in range(12):
        for u in range(12):
            if inner[s] and inner[u]:
                assert (small.group[s] == small.group[u]) == (s == u or component[s] == component[u] >= 0)
    dense = mdp.choices.toarray()
    kept = set()
    for x in range(small.classes):
        for k in range(small.first[x], small.first[x + 1]):
            places, weights = (part[small.indptr[k] : small.indptr[k + 1]] for part in (small.indices, small.data))
            row = np.bincount(places, weights, minlength=small.classes + 2)
            pair = small.pairs[k]
            if pair < 0:
                assert row[small.classes :].max() == row.sum() == 1
                continue
            kept.add(int(pair))
            assert small.group[graph.owner[pair]] == x
            np.testing.assert_allclose(row, np.bincount(small.group, dense[pair], minlength=small.classes + 2), atol=4 * UNIT)
    assert kept == set(np.flatnonzero(usable & ~inside).tolist())


def test_end_components_are_found_where_pruning_alone_does_not_decide():
    """A chain of states that can each only be left downwards is pruned; the loop at its end stays."""
    rows = np.zeros((10, 10))
    rows[np.arange(8), np.arange(1, 9)] = 1
    rows[8, 9] = rows[9, 8] = 1
    graph = Graph.of_mdp(MDP.from_choices(np.arange(11), csr_array(rows), np.zeros(10), 0.5))
    component, inside = graph.end_components(np.ones(10, dtype=bool))
    assert np.flatnonzero(component >= 0).tolist() == [8, 9]
    assert np.flatnonzero(inside).tolist() == [8, 9]
    component, inside = graph.end_components(np.arange(10) != 9)
    assert not inside.any()
    assert np.all(component == -1)
