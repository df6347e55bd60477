"""Average reward: bounds against the exact multichain optimum, and that against enumeration."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings

from mdps import MDP, ModelError, strategies
from mdps.rational import fraction
from pgtheory.exact import NotConverged, solve_average, solve_average_exactly
from tests.pgtheory.exact.independent import fractions_of, gauss


def gain_of(rows: list[list[Fraction]], paid: list[Fraction]) -> list[Fraction]:
    """g of one chain: the limit of (1 - z) (I - zP)^-1 r as z -> 1, by stationary distributions of its closed classes."""
    n = len(rows)
    reach = [[i == j or rows[i][j] > 0 for j in range(n)] for i in range(n)]
    for k, i, j in itertools.product(range(n), repeat=3):
        reach[i][j] = reach[i][j] or (reach[i][k] and reach[k][j])
    gain: dict[int, Fraction] = {}
    for s in range(n):
        group = [j for j in range(n) if reach[s][j] and reach[j][s]]
        if any(reach[s][j] and j not in group for j in range(n)) or s in gain:
            continue
        matrix = [[rows[i][j] - int(i == j) for i in group] for j in group]
        matrix[0] = [Fraction(1)] * len(group)
        stationary = gauss(matrix, [Fraction(1)] + [Fraction(0)] * (len(group) - 1))
        for i in group:
            gain[i] = sum(p * paid[j] for p, j in zip(stationary, group, strict=True))
    moving = [s for s in range(n) if s not in gain]
    matrix = [[Fraction(int(s == u)) - rows[s][u] for u in moving] for s in moving]
    ahead = gauss(matrix, [sum(rows[s][j] * g for j, g in gain.items()) for s in moving]) if moving else []
    gain.update(zip(moving, ahead, strict=True))
    return [gain[s] for s in range(n)]


def best_gain(mdp: MDP) -> list[Fraction]:
    states, _ = fractions_of(mdp)
    best: list[Fraction] | None = None
    for choice in itertools.product(*(range(len(pairs)) for pairs in states)):
        picked = [states[s][a] for s, a in enumerate(choice)]
        gain = gain_of([row for row, _ in picked], [r for _, r in picked])
        best = gain if best is None else [max(x, y) for x, y in zip(best, gain, strict=True)]
    assert best is not None
    return best


@settings(max_examples=120)
@given(mdp=strategies.mdps(max_states=4, max_actions=2, ragged=True, rewards=(-1, 1)))
def test_gain_is_the_best_of_all_policies_and_within_the_bounds(mdp):
    answers = best_gain(mdp)
    assert [fraction(g) for g in solve_average_exactly(mdp).gain] == answers
    found = solve_average(mdp, 1e-7)
    assert all(Fraction(a) <= g <= Fraction(b) for a, g, b in zip(found.lower, answers, found.upper, strict=True))
    assert found.error <= 1e-7
    states, _ = fractions_of(mdp)
    picked = [states[s][a] for s, a in enumerate(found.actions.tolist())]
    attained = gain_of([row for row, _ in picked], [r for _, r in picked])
    assert all(float(abs(x - y)) <= 1e-6 for x, y in zip(attained, answers, strict=True))


@settings(max_examples=40)
@given(mdp=strategies.mdps(max_states=5, max_actions=3, ragged=True))
def test_the_exact_pair_satisfies_the_optimality_equations(mdp):
    """g >= P_a g for all actions, and g + h >= r_a + P_a h for those with equality: Puterman (2005), Theorem 9.1.2."""
    found = solve_average_exactly(mdp)
    gain, bias = [fraction(g) for g in found.gain], [fraction(h) for h in found.bias]
    states, _ = fractions_of(mdp)
    for s, pairs in enumerate(states):
        for row, paid in pairs:
            ahead = sum(p * g for p, g in zip(row, gain, strict=True))
            assert ahead <= gain[s]
            if ahead == gain[s]:
                assert paid + sum(p * h for p, h in zip(row, bias, strict=True)) <= gain[s] + bias[s]


def test_a_periodic_chain_and_two_separate_ones():
    cycle = MDP([[[0.0, 1.0]], [[1.0, 0.0]]], [1.0, 0.0], 0.5)
    np.testing.assert_allclose(solve_average(cycle).gain, 0.5, rtol=0, atol=1e-8)
    apart = MDP(np.eye(2)[:, None, :], [[1.0], [3.0]], 0.5)
    np.testing.assert_allclose(solve_average(apart).gain, [1.0, 3.0], rtol=0, atol=1e-8)
    assert solve_average(apart).method.startswith("multichain")


def test_a_spent_budget_has_bounds_that_hold():
    rng = np.random.default_rng(3)
    rows = 0.9999 * np.eye(6)[:, None, :] + 0.0001 * rng.dirichlet(np.ones(6), (6, 2))
    with pytest.raises(NotConverged) as caught:
        solve_average(MDP(rows, rng.random((6, 2)), 0.5), 1e-15, limit=3)
    assert np.all(caught.value.solution.lower <= caught.value.solution.upper)
    assert caught.value.solution.stopped == "limit"
    finest = solve_average(MDP(rows, rng.random((6, 2)), 0.5), 1e-15)
    assert finest.error <= 1e-15, "what floats alone cannot prove is computed in rationals"
    with pytest.raises(ModelError, match="tol"):
        solve_average(MDP(rows, rng.random((6, 2)), 0.5), 0)
