"""Fronts, hypervolume, scalarisation, adapting weights: against enumeration, linear programs, inclusion and exclusion, differences."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from flint import fmpq
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from mdps import random, zoo
from mdps.errors import ModelError
from mdps.model import MDP
from mdps.rational import fraction, rational_array, to_float
from mdps.zoo.utilities import bandit
from pgtheory import arithmetic
from pgtheory.exact.linear_program import dual_occupancy
from pgtheory.multi_objective import (
    Scalarisation,
    bias_of_gradient,
    common_direction,
    contributions,
    convex_front,
    deterministic_front,
    hedged_weights,
    hypervolume_ascent,
    hypervolume_of,
    hypervolume_slopes,
    optimistic_support,
    pareto,
    path_returns,
    plot_front,
    plug_in_bias,
    scalarised_gradient,
    values_of,
)  # fmt: skip
from pgtheory.multi_objective.fronts import best_for
from pgtheory.utility import Worst, solve_utility

ARMS = rational_array([[[1, 0, "2/5"]], [[0, 1, "2/5"]]])


def _problem(seed: int, m: int = 2, states: int = 3, actions: int = 2) -> tuple[MDP, np.ndarray]:
    mdp = random.rational(states, actions, seed, discount="4/5")
    rng = np.random.default_rng(seed)
    return mdp, rational_array([[[int(x) for x in row] for row in table] for table in rng.integers(0, 8, (m, states, actions))])


@given(st.integers(0, 10**5))
@settings(max_examples=12)
def test_the_exact_front_against_all_deterministic_policies(seed: int) -> None:
    """The vertices are the supported vertices of the enumeration; a linear program at each pair of neighbours finds no more."""
    mdp, rewards = _problem(seed)
    front, listed = convex_front(mdp, rewards), deterministic_front(mdp, rewards)
    points = {tuple(p) for p in front.points}
    assert points <= {tuple(p) for p in listed.points}
    floats = to_float(front.points)
    for w in ((1.0, 0.0), (0.5, 0.5), (0.3, 0.7), (0.0, 1.0)):
        d = dual_occupancy(mdp.float.replace(rewards=np.tensordot(w, to_float(rewards), 1)))
        best = float(np.tensordot(w, np.einsum("sa,isa->i", d, to_float(rewards)), 1)) / (1 - mdp.float.discount)
        assert best == pytest.approx(float(np.max(floats @ np.array(w))), abs=1e-5)
    for k, point in enumerate(listed.points):
        if tuple(point) in points:
            assert listed.supported[k]
        elif not listed.supported[k]:
            law = listed.mixtures[k]
            mixed = law @ to_float(listed.points)
            assert np.all(mixed >= to_float(listed.points[k : k + 1])[0] - 1e-9) and law.sum() == pytest.approx(1)
    slopes = [(q[1] - p[1]) / (q[0] - p[0]) for p, q in itertools.pairwise(front.points)]
    assert all(a > b for a, b in itertools.pairwise(slopes))  # strictly concave: no vertex is listed that lies on an edge
    near = convex_front(mdp, rewards, exact=False)
    assert len(near) == len(front) and np.abs(near.points - floats).max() < 1e-7


def test_an_arm_that_linear_weights_miss() -> None:
    """(2/5, 2/5) between (1, 0) and (0, 1): Pareto among deterministic policies, dominated by a mixture; with (3/5, 3/5) it is a vertex."""
    listed = deterministic_front(bandit(3), ARMS)
    assert [tuple(map(fraction, p)) for p in listed.points] == [(0, 1), (Fraction(2, 5), Fraction(2, 5)), (1, 0)]
    assert listed.supported.tolist() == [True, False, True]
    assert len(convex_front(bandit(3), ARMS)) == 2
    for share in range(11):  # and no weights on a grid choose it
        w = rational_array([Fraction(share, 10), 1 - Fraction(share, 10)])
        assert fraction(best_for(bandit(3), ARMS, w)[0][0]) in (0, 1)
    better = rational_array([[[1, 0, "3/5"]], [[0, 1, "3/5"]]])
    assert deterministic_front(bandit(3), better).supported.all() and len(convex_front(bandit(3), better)) == 3


@pytest.mark.exact
def test_a_point_inside_an_edge_is_no_vertex() -> None:
    """(3/2, 2) lies half-way between (1, 5/2) and (2, 3/2), and is the first of three equally good arms for the weights (1, 1)."""
    arms = bandit(5)
    rewards = rational_array([[["3/2", 1, 2, 0, 3]], [[2, "5/2", "3/2", 3, 0]]])
    corners = rational_array([[0, 3], [1, "5/2"], [2, "3/2"], [3, 0]])
    assert (convex_front(arms, rewards).points == corners).all()
    assert (optimistic_support(arms, rewards, (0, 0)).front.points == corners).all()


def test_a_weight_of_zero_still_gives_a_point_that_is_not_dominated() -> None:
    """Two arms alike in the first objective: weights (1, 0) take the one that is better in the second."""
    rewards = rational_array([[[1, 1, 0]], [[0, "1/2", 1]]])
    assert best_for(bandit(3), rewards, (1, 0))[0].tolist() == [fmpq(1), fmpq(1, 2)]


@given(st.integers(0, 10**5))
@settings(max_examples=6)
def test_three_objectives_against_enumeration(seed: int) -> None:
    mdp, rewards = _problem(seed, m=3)
    front = convex_front(mdp, rewards, exact=False)
    every = []
    for choice in itertools.product(range(2), repeat=3):
        every.append(values_of(mdp, to_float(rewards), np.eye(2)[list(choice)]))
    table = np.array(every)
    rng = np.random.default_rng(seed)
    for w in rng.dirichlet(np.ones(3), 30):
        assert np.max(front.points @ w) == pytest.approx(np.max(table @ w), abs=1e-7)
    assert pareto(front.points).all()


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 5))
@settings(max_examples=25)
def test_hypervolume_by_inclusion_and_exclusion(seed: int, m: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    points = rational_array(rng.integers(-1, 7, (count, m)))
    total = fmpq(0)
    for size in range(1, count + 1):
        for part in itertools.combinations(range(count), size):
            box = fmpq(1)
            for i in range(m):
                box *= max(min(points[k, i] for k in part), fmpq(0))
            total += (-1) ** (size + 1) * box
    assert hypervolume_of(points, rational_array([0] * m)) == total
    assert hypervolume_of(to_float(points), np.zeros(m)) == pytest.approx(float(fraction(total)), abs=1e-9)


@given(st.integers(0, 10**6), st.integers(2, 3))
@settings(max_examples=20)
def test_hypervolume_slopes_are_differences(seed: int, m: int) -> None:
    """One-sided differences in rationals are exact: between changes of form the volume is linear in each coordinate."""
    rng = np.random.default_rng(seed)
    points, low, step = rational_array(rng.integers(1, 9, (4, m))), rational_array([0] * m), fmpq(1, 10**6)
    slopes = hypervolume_slopes(points, low)
    for k, i in itertools.product(range(4), range(m)):
        moved = points.copy()
        moved[k, i] += step
        assert (hypervolume_of(moved, low) - hypervolume_of(points, low)) / step == slopes[k, i]


@pytest.mark.exact
def test_volume_rises_with_dominance_above_the_reference_only() -> None:
    points = rational_array([[1, "1/5"], ["1/5", 1], ["1/2", "1/2"]])
    assert [fraction(x) for x in contributions(points, (0, 0))] == [Fraction(1, 10), Fraction(1, 10), Fraction(9, 100)]
    better = points.copy()
    better[2] = [fmpq(1, 2), fmpq(3, 5)]
    assert hypervolume_of(better, (0, 0)) > hypervolume_of(points, (0, 0))
    assert hypervolume_of([["1", "0"]], (0, 0)) == hypervolume_of([["2", "0"]], (0, 0)) == 0  # a zero coordinate: dominance adds nothing


@given(st.integers(0, 10**6), st.sampled_from(["direct", "softmax"]))
@settings(max_examples=12)
def test_scalarised_gradient(seed: int, parametrisation: str) -> None:
    """f = log J_1 + 2 sqrt J_2 against central differences in the logits, or along directions of the rows."""
    mdp, rewards = _problem(seed)
    table = to_float(rewards) + 1
    f = Scalarisation(lambda J: np.log(J[0]) + 2 * np.sqrt(J[1]), lambda J: np.array([1 / J[0], 1 / np.sqrt(J[1])]))
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((3, 2))
    policy = arithmetic.softmax(logits)
    along = rng.standard_normal((3, 2))
    step = 2.0**-18
    if parametrisation == "softmax":
        ends = [arithmetic.softmax(logits + sign * step * along) for sign in (1, -1)]
    else:
        along -= along.mean(axis=1, keepdims=True)
        ends = [policy + sign * step * policy.min() * along for sign in (1, -1)]
        along = along * policy.min()
    change = (f.value(values_of(mdp, table, ends[0])) - f.value(values_of(mdp, table, ends[1]))) / (2 * step)
    slope = (scalarised_gradient(mdp, table, f, policy, parametrisation) * along).sum()
    assert change == pytest.approx(slope, abs=1e-6 * max(1, abs(slope)))


@pytest.mark.exact
def test_the_plug_in_bias_by_hand() -> None:
    """f = x - x^2 / 2 (curvature 1 everywhere): the bias is Var / (2 n), equality in the bound; rationals; n draws by product."""
    f = Scalarisation(lambda J: J[0] - J[0] * J[0] / 2, lambda J: np.array([1 - J[0]], dtype=object), curvature=1)
    for n in (1, 2, 4):
        found = plug_in_bias(f, ["1/3", "2/3"], [0, 1], n)
        assert found.bias == found.bound == fmpq(2, 9) / (2 * n)
    law = {0: Fraction(1, 3), 1: Fraction(2, 3)}
    total = Fraction(0)
    for draws in itertools.product(law, repeat=3):
        mean, chance = Fraction(sum(draws), 3), Fraction(1)
        for x in draws:
            chance *= law[x]
        total += chance * (mean - mean * mean / 2)
    assert fraction(plug_in_bias(f, ["1/3", "2/3"], [0, 1], 3).expected) == total
    assert bias_of_gradient(f, ["1/3", "2/3"], [0, 1], 3)[0] == 0  # f' is linear here; the next test has one that is not


@given(st.floats(0.05, 0.95), st.sampled_from([1, 2, 4, 8]))
@settings(max_examples=25)
def test_bias_of_a_square_root(p: float, n: int) -> None:
    """sqrt(1 + x), Bernoulli: 0 <= bias <= (L / 2) Var / n with L = 1/4; E f'(J_n) is above f'(J) by Jensen; a convex f changes the sign."""
    f = Scalarisation(lambda J: float(np.sqrt(1 + J[0])), lambda J: 0.5 / np.sqrt(1 + J), curvature=0.25)
    found = plug_in_bias(f, [1 - p, p], [0.0, 1.0], n)
    assert -1e-15 <= found.bias <= found.bound + 1e-15
    assert bias_of_gradient(f, [1 - p, p], [0.0, 1.0], n)[0] > 0
    convex = Scalarisation(lambda J: float(J[0] ** 2), lambda J: 2 * J)
    assert plug_in_bias(convex, [1 - p, p], [0.0, 1.0], n).bias < 0


@pytest.mark.exact
def test_joint_returns_have_the_means_of_truncated_values() -> None:
    mdp, rewards = _problem(4)
    policy = rational_array([["1/2", "1/2"]] * 3)
    p, x = path_returns(mdp, rewards, policy, 3)
    g = mdp.exact.discount
    moves = (policy[:, :, None] * mdp.exact.transitions).sum(axis=1)
    paid = (policy[None] * rewards).sum(axis=2)
    expected = [sum(mdp.exact.start @ np.linalg.matrix_power(moves, t) @ r * g**t for t in range(3)) for r in paid]
    assert p.sum() == 1 and (p[:, None] * x).sum(axis=0).tolist() == expected


@given(st.integers(0, 10**5))
@settings(max_examples=8)
def test_optimistic_support_encloses_the_area_and_ends_with_the_front(seed: int) -> None:
    mdp, rewards = _problem(seed)
    found, front = optimistic_support(mdp, rewards, (0, 0)), convex_front(mdp, rewards)
    assert {tuple(p) for p in found.front.points} == {tuple(p) for p in front.points}
    assert found.inner[-1] == found.outer[-1]
    assert all(a <= b for a, b in itertools.pairwise(found.inner)) and all(a >= b for a, b in itertools.pairwise(found.outer))
    assert all(a <= found.inner[-1] <= b for a, b in zip(found.inner, found.outer, strict=True))
    grid = np.linspace(0, float(fraction(front.points[-1][0])), 4001)
    heights = np.interp(grid, to_float(front.points)[:, 0], to_float(front.points)[:, 1])
    assert np.trapezoid(heights, grid) == pytest.approx(float(fraction(found.inner[-1])), rel=1e-3)


@given(st.integers(0, 10**5), st.sampled_from([1, 30, 100]))
@settings(max_examples=8)
def test_hedged_weights_reach_max_min_within_their_bound(seed: int, rounds: int) -> None:
    mdp, rewards = _problem(seed)
    found = hedged_weights(mdp, rewards, rounds)
    best = solve_utility(mdp, Worst(to_float(rewards)))
    optimum = best.value / (1 - mdp.float.discount)
    assert found.worst <= optimum + 1e-6 and found.upper >= optimum - 1e-6
    assert optimum - found.worst <= found.bound + 1e-6 and found.gap <= found.bound + 1e-6
    assert np.abs(found.values.mean(axis=0) - found.mean).max() < 1e-9  # the stationary policy has the mixture's values


@given(st.integers(0, 10**6), st.integers(1, 5))
@settings(max_examples=20)
def test_the_common_direction_is_the_shortest_combination(seed: int, m: int) -> None:
    """Against a conic view: <g_i, direction> >= |direction|^2 for every i is the optimality condition; 0 where the hull holds it."""
    rng = np.random.default_rng(seed)
    g = rng.standard_normal((m, 3)) + rng.standard_normal(3)
    weights, direction = common_direction(g)
    assert weights.min() >= 0 and weights.sum() == pytest.approx(1) and np.allclose(weights @ g, direction)
    assert np.all(g @ direction >= direction @ direction - 1e-9)
    inside = linprog(np.zeros(m), A_eq=np.vstack([g.T, np.ones(m)]), b_eq=[0, 0, 0, 1])
    assert (np.linalg.norm(direction) < 1e-7) == (inside.status == 0)
    opposite = common_direction(np.array([[1.0, 0.0], [-2.0, 0.0]]))
    assert np.allclose(opposite[1], 0) and np.allclose(opposite[0], [2 / 3, 1 / 3])


def test_hypervolume_ascent_spreads_over_the_front() -> None:
    """Three policies on two opposed arms: the best three points of the segment are at 1/4, 1/2, 3/4, with volume 3/8 of the limit 1/2."""
    mdp, rewards = bandit(2), np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    logits = np.array([[[0.1, 0.0]], [[0.0, 0.0]], [[-0.1, 0.0]]])
    run = hypervolume_ascent(mdp, rewards, (0.0, 0.0), logits, 150, 2.0)
    assert np.all(np.diff(run.volumes) >= -1e-6)
    assert run.volumes[-1] == pytest.approx(3 / 8, abs=1e-4)
    assert sorted(run.points[:, 0]) == pytest.approx([0.25, 0.5, 0.75], abs=0.01)


def test_the_picture_shows_front_and_what_is_missed() -> None:
    ax = plot_front(convex_front(bandit(3), ARMS), deterministic_front(bandit(3), ARMS), (0, 0))
    lines = {line.get_gid(): line for line in ax.lines}
    assert lines["front"].get_xydata().tolist() == [[0, 1], [1, 0]]
    assert lines["missed"].get_xydata().tolist() == [[0.4, 0.4]]
    assert "linear weights miss 1 of 3" in ax.get_title(loc="left")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: convex_front(bandit(2), np.zeros((1, 1, 2))), "with m at least 2"),
        (lambda: convex_front(bandit(2), np.zeros((3, 1, 2))), "exact fronts are for two objectives; there are 3"),
        (lambda: best_for(bandit(3), ARMS, (0, 0)), "weights are all 0"),
        (lambda: best_for(bandit(3), ARMS, (1, -1)), r"weights\[1\] is -1"),
        (lambda: best_for(bandit(3), ARMS, (1, 1, 1)), "2 objectives"),
        (lambda: deterministic_front(random.rational(20, 2, 0), np.zeros((2, 20, 2))), "at most 65,536 are listed"),
        (lambda: hypervolume_of([[1, np.inf]], [0, 0]), "must be finite"),
        (lambda: hypervolume_of([[1, 1]], [0]), r"\(N, m\) and \(m,\)"),
        (lambda: plug_in_bias(Scalarisation(lambda J: J[0], lambda J: J), [0.5, 0.6], [0, 1], 2), "sum to 1.1"),
        (lambda: plug_in_bias(Scalarisation(lambda J: J[0], lambda J: J), [0.5, 0.5], [0, 1], 0), "samples is 0"),
        (lambda: plug_in_bias(Scalarisation(lambda J: J[0], lambda J: J), np.full(9, 1 / 9), np.arange(9), 9), "too many to list"),
        (lambda: optimistic_support(bandit(3), ARMS, (2, 2)), "above an end of the front"),
        (lambda: hedged_weights(bandit(3), ARMS, 0), "rounds is 0"),
        (lambda: common_direction(np.full((2, 2), np.nan)), "gradient 0 is not finite"),
        (lambda: common_direction(np.zeros((0, 2))), "there are 0 gradients"),
        (lambda: hypervolume_ascent(bandit(2), np.zeros((2, 1, 2)), (0, 0), np.zeros((1, 1, 2)), 1, 0), "step_size is 0"),
        (lambda: plot_front(convex_front(zoo.switch(), np.eye(3)[:, :2, None] * np.ones((3, 2, 2)), exact=False)), "3 objectives"),
    ],
)
def test_bad_input(make: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make()
