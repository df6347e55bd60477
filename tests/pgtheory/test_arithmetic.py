"""The helpers that mean the same thing in floats, rationals, balls and fields; and their float kernels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import sympy
from flint import arb, ctx, fmpq
from hypothesis import given
from hypothesis import strategies as st

from mdps import strategies
from mdps.rational import rational_array, to_float
from pgtheory import arithmetic, kernels
from tests import tolerances

EPS = tolerances.EPS
QUARTERS = st.integers(-24, 24).map(lambda k: fmpq(k, 4))


def rows(num_rows: int = 2, width: int = 3):
    """(num_rows, width) arrays of quarters, which floats hold exactly."""
    size = num_rows * width
    return st.lists(QUARTERS, min_size=size, max_size=size).map(lambda x: rational_array(x).reshape(num_rows, width))


def contains(ball, number) -> bool:
    """Exactly: `arb.contains` of a fraction rounds it to the present precision first."""
    low, high = ball.mid().fmpq() - ball.rad().upper().mid().fmpq(), ball.mid().fmpq() + ball.rad().upper().mid().fmpq()
    return low <= number <= high


# Kinds


def test_kind_names_the_numbers_of_an_array():
    ring = sympy.QQ.frac_field("x")
    assert arithmetic.kind(np.zeros(2)) == "float"
    assert arithmetic.kind(2.5) == "float"
    assert arithmetic.kind(rational_array([1, "1/2"])) == "rational"
    assert arithmetic.kind(arithmetic.balls([1, 2])) == "ball"
    assert arithmetic.kind(np.array([ring.gens[0]], dtype=object)) == "field"


def test_precision_is_restored_after_an_error():
    before = ctx.prec
    with arithmetic.precision(1000):
        assert ctx.prec == 1000
    with pytest.raises(ZeroDivisionError), arithmetic.precision(1000):
        fmpq(1) / fmpq(0)
    assert ctx.prec == before


def test_balls_take_the_precision_of_their_surroundings():
    with arithmetic.precision(400):
        third = arithmetic.balls(rational_array(["1/3"]))[0]
    assert contains(third, fmpq(1, 3))
    assert third.rad() < fmpq(1, 2**390)


def test_exactly_reads_floats_bit_by_bit_and_midpoints_of_balls():
    assert arithmetic.exactly([0.1])[0] == fmpq(*(0.1).as_integer_ratio())
    assert arithmetic.exactly(np.array([arb(0.25, 0.5)], dtype=object))[0] == fmpq(1, 4)


@pytest.mark.parametrize("like", [np.ones(1), rational_array([1]), arithmetic.balls([1]), np.array([sympy.QQ.frac_field("x").gens[0]], dtype=object)])
def test_identity_and_zeros_have_the_kind_of_their_model(like):
    eye, zero = arithmetic.identity(3, like), arithmetic.zeros_like_kind((2, 2), like)
    assert arithmetic.kind(eye) == arithmetic.kind(zero) == arithmetic.kind(like)
    assert all(eye[i, j] == (1 if i == j else 0) for i in range(3) for j in range(3))
    assert all(x == 0 for x in zero.reshape(-1))


# Order


def test_comparing_overlapping_balls_is_undecided_not_false():
    wide = arb(0, 1)
    for compare in (arithmetic.less, arithmetic.less_equal):
        with pytest.raises(arithmetic.Undecided):
            compare(wide, arb(0))
        assert compare(arb(1), arb(2))
        assert not compare(arb(2), arb(1))
    assert arithmetic.less_equal(arb(1), arb(1))
    assert not arithmetic.less(arb(1), arb(1))


def test_order_of_arrays_is_entry_by_entry():
    assert arithmetic.less(rational_array([1, 2]), fmpq(2)).tolist() == [True, False]
    assert arithmetic.less(np.array([1.0, 2.0]), np.array([2.0, 1.0])).tolist() == [True, False]
    with pytest.raises(arithmetic.Undecided):
        arithmetic.less(np.array([arb(0), arb(0, 1)], dtype=object), arb(fmpq(1, 2)))


@given(rows(3, 2), st.sampled_from([None, 0, 1, -1]))
def test_extremes_of_balls_contain_those_of_rationals(x, axis):
    for extreme in (arithmetic.maximum, arithmetic.minimum):
        exact, ball = np.asarray(extreme(x, axis)).reshape(-1), np.asarray(extreme(arithmetic.balls(x), axis)).reshape(-1)
        assert exact.shape == ball.shape
        assert all(contains(b, e) for b, e in zip(ball, exact, strict=True))


def test_the_largest_of_overlapping_balls_contains_both_candidates():
    largest = arithmetic.maximum(np.array([arb(0, 1), arb(fmpq(1, 2))], dtype=object))
    assert contains(largest, fmpq(1, 2))
    assert contains(largest, 1)


@pytest.mark.parametrize("function", [arithmetic.exp, arithmetic.log, arithmetic.sqrt, arithmetic.softmax, arithmetic.log_softmax])
def test_functions_that_leave_the_rationals_refuse_them(function):
    with pytest.raises(TypeError, match="leaves the rationals"):
        function(rational_array([[1, 2]]))


def test_square_root_of_a_ball_around_zero_is_a_ball():
    root = arithmetic.sqrt(arb(0, 1))
    assert root.is_finite()
    assert contains(root, 1)


@given(rows())
def test_norms_agree_between_floats_and_balls(x):
    ball = arithmetic.norm2(arithmetic.balls(x))
    figure = float(arithmetic.norm2(to_float(x)))
    assert abs(float(ball.mid()) - figure) <= 8 * EPS * (1 + figure)


# Linear algebra


@given(mdp=strategies.mdps(max_states=3, max_actions=2), data=st.data())
def test_evaluations_agree_in_all_arithmetics(mdp, data):
    policy = data.draw(strategies.policies(mdp, exact=True))
    exact = mdp.exact
    model = (exact.transitions, exact.rewards, exact.discount)
    values, visits = arithmetic.policy_values_and_visits(policy, *model, exact.start)
    assert list(values) == list(arithmetic.policy_values(policy, *model))
    assert visits.sum() == 1 / (1 - exact.discount)
    moved = (policy[:, :, None] * exact.transitions).sum(axis=1)
    assert list(values) == list(arithmetic.mix(policy, exact.rewards) + exact.discount * (moved @ values))
    with arithmetic.precision(100):
        ball_model = tuple(arithmetic.balls(x) for x in model)
        ball = arithmetic.policy_values(arithmetic.balls(policy), *ball_model)
        assert all(contains(b, v) for b, v in zip(ball, values, strict=True))
    close = tolerances.linear_solve(mdp.num_states, mdp.discount, float(np.abs(mdp.rewards).max()))
    as_float = arithmetic.policy_values(to_float(policy), mdp.transitions, mdp.rewards, mdp.discount)
    np.testing.assert_allclose(as_float, to_float(values), rtol=0, atol=2 * close)


def test_solve_takes_batches_vectors_and_columns():
    rng = np.random.default_rng(0)
    matrix, vectors = np.eye(3) * 2 + rng.random((4, 3, 3)), rng.random((4, 3))
    expected = np.stack([np.linalg.solve(m, v) for m, v in zip(matrix, vectors, strict=True)])
    np.testing.assert_allclose(arithmetic.solve(matrix, vectors), expected, rtol=0, atol=100 * EPS)
    balls = arithmetic.solve(arithmetic.balls(matrix), arithmetic.balls(vectors))
    assert balls.shape == (4, 3)
    assert all(abs(float(b) - e) <= 100 * EPS for b, e in zip(balls.reshape(-1), expected.reshape(-1), strict=True))
    one = rational_array([["2", "1"], ["1", "1"]])
    assert arithmetic.solve(one, arithmetic.identity(2, one)).tolist() == [[1, -1], [-1, 2]]
    assert arithmetic.solve(one, rational_array(["1", "0"])).tolist() == [1, -1]


def test_solve_in_a_field_exchanges_rows_where_a_pivot_vanishes():
    field, x, y = sympy.field("x,y", sympy.QQ)
    matrix = np.array([[field.zero, x], [y, field.one]], dtype=object)
    solution = arithmetic.solve(matrix, np.array([x * x, y], dtype=object))
    assert solution[1] == x
    assert solution[0] == (y - x) / y
    with pytest.raises(ZeroDivisionError):
        arithmetic.solve(np.array([[x, x], [y, y]], dtype=object), np.array([x, y], dtype=object))


def test_whole_numbers_among_field_elements_stay_exact():
    _, x = sympy.field("x", sympy.QQ)
    matrix = np.array([[3, 1], [x, 2]], dtype=object)
    assert arithmetic.solve(matrix, np.array([1, 1], dtype=object)).tolist() == [1 / (6 - x), (3 - x) / (6 - x)]


def test_values_of_a_policy_in_symbols():
    """One state, two actions: V = (p r_0 + (1 - p) r_1) / (1 - g)."""
    _, p, g, r0, r1 = sympy.field("p,g,r0,r1", sympy.QQ)
    one = p**0
    policy = np.array([[p, one - p]], dtype=object)
    values = arithmetic.policy_values(policy, np.array([[[one], [one]]], dtype=object), np.array([[r0, r1]], dtype=object), g)
    assert values[0] == (p * r0 + (1 - p) * r1) / (1 - g)


def test_leading_dimensions_share_the_model():
    rng = np.random.default_rng(1)
    transitions, rewards = rng.dirichlet(np.ones(3), (3, 2)), rng.random((3, 2))
    policies = rng.dirichlet(np.ones(2), (5, 3))
    together = arithmetic.policy_values(policies, transitions, rewards, 0.9)
    for policy, values in zip(policies, together, strict=True):
        alone = arithmetic.policy_values(policy, transitions, rewards, 0.9)
        np.testing.assert_allclose(alone, values, rtol=0, atol=tolerances.linear_solve(3, 0.9, 1))


@pytest.mark.parametrize(
    ("states", "actions"), [*itertools.product([*range(1, 14), 29, 30, 31, 32, 33, 64, 101], [1, 2, 3, 4]), (kernels.LARGE + 39, 1)]
)
def test_the_factorisation_without_pivoting_solves_both_systems(states, actions):
    rng = np.random.default_rng(states)
    transitions, rewards = rng.dirichlet(np.full(states, 0.2), (states, actions)), rng.random((states, actions))
    policy, start = rng.dirichlet(np.ones(actions), states), rng.dirichlet(np.ones(states))
    for discount in (0.0, 0.9, 0.999):
        expected = arithmetic.policy_values_and_visits(policy, transitions, rewards, discount, start)
        values, visits = kernels.policy_values_and_visits(policy, transitions, rewards, discount, start)
        close = 2 * tolerances.linear_solve(states, discount, 1.0)
        np.testing.assert_allclose(values, expected[0], rtol=0, atol=close)
        np.testing.assert_allclose(visits, expected[1], rtol=0, atol=close)
        np.testing.assert_array_equal(kernels.policy_values(policy, transitions, rewards, discount), values)


# Policies


@given(rows())
def test_softmax_in_balls_contains_the_one_in_floats(x):
    with arithmetic.precision(100):
        ball = arithmetic.softmax(arithmetic.balls(x))
        logarithm = arithmetic.log_softmax(arithmetic.balls(x))
        total = arithmetic.log_sum_exp(arithmetic.balls(x))
    floats = to_float(x)
    within = {"rtol": 32 * EPS, "atol": 32 * EPS}  # |x| <= 6, so exp multiplies the rounding of its argument by up to 12
    for module in (arithmetic, kernels):
        np.testing.assert_allclose(module.softmax(floats), [[float(b) for b in row] for row in ball], **within)
        np.testing.assert_allclose(module.log_softmax(floats), [[float(b) for b in row] for row in logarithm], **within)
    np.testing.assert_allclose(arithmetic.log_sum_exp(floats), [float(b) for b in total], rtol=0, atol=32 * EPS)


@pytest.mark.parametrize("function", [arithmetic.softmax, kernels.softmax])
def test_softmax_is_finite_for_extreme_logits(function):
    logits = np.array([[1e308, -1e308, 0.0], [-1e308, -1e308, -1e308], [1e5, 1e5 - 1e3, -1e5]])
    policy = function(logits)
    assert np.isfinite(policy).all()
    np.testing.assert_allclose(policy.sum(axis=1), 1, rtol=0, atol=4 * EPS)
    np.testing.assert_array_equal(policy[0], [1, 0, 0])


def test_softmax_of_wide_balls_contains_every_softmax():
    rng = np.random.default_rng(2)
    centre = rng.normal(size=(2, 3))
    ball = arithmetic.softmax(arithmetic.balls(centre) + arb(0, 0.5))
    for _ in range(50):
        policy = arithmetic.softmax(centre + rng.uniform(-0.5, 0.5, centre.shape))
        assert all(b.overlaps(arb(p, 8 * EPS)) for b, p in zip(ball.reshape(-1), policy.reshape(-1), strict=True))


@given(rows(3, 3))
def test_projection_on_the_simplex_meets_its_optimality_conditions(x):
    """The projection is the only point p of the simplex with x - p = c where p > 0, and x <= c where p = 0."""
    p = arithmetic.project_simplex(x)
    assert all(isinstance(entry, fmpq) for entry in p.reshape(-1))
    for row, point in zip(x, p, strict=True):
        assert sum(point.tolist()) == 1
        assert all(entry >= 0 for entry in point)
        (level,) = {a - b for a, b in zip(row, point, strict=True) if b > 0}
        assert all(a <= level for a, b in zip(row, point, strict=True) if b == 0)
    for function in (arithmetic.project_simplex, kernels.project_simplex):
        np.testing.assert_allclose(function(to_float(x)), to_float(p), rtol=0, atol=16 * EPS)


@given(rows(2, 3), st.integers(0, 2**32 - 1))
def test_projection_of_balls_contains_the_projection_of_their_points(x, seed):
    rng = np.random.default_rng(seed)
    moves = rational_array(rng.integers(-8, 9, x.shape)) / 32
    ball = arithmetic.project_simplex(arithmetic.balls(x) + arb(0, 0.25))
    exact = arithmetic.project_simplex(x + moves)
    assert all(contains(b, e) for b, e in zip(ball.reshape(-1), exact.reshape(-1), strict=True))


@pytest.mark.parametrize("function", [arithmetic.project_simplex, kernels.project_simplex])
def test_projection_of_large_entries_still_sums_to_one(function):
    shift = 2.0**40
    near = np.array([[0.0, 0.25, 0.5, -2.0]])
    np.testing.assert_array_equal(function(near + shift), function(near))
    assert function(np.array([[1e300, -1e300, 0.0]])).tolist() == [[1, 0, 0]]


def test_projection_takes_leading_dimensions():
    x = np.random.default_rng(3).normal(size=(2, 4, 3))
    together = arithmetic.project_simplex(x)
    for k in range(2):
        np.testing.assert_array_equal(together[k], arithmetic.project_simplex(x[k]))


def test_improvement_keeps_ties_and_takes_the_first_of_the_best():
    policy, action_values = rational_array([[0, 1, 0], [1, 0, 0], [0, 0, 1]]), rational_array([[1, 1, 0], [0, 2, 2], ["1/3", 0, 0]])
    better = [[0, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert arithmetic.improve(policy, action_values, fmpq(1, 2)).tolist() == better
    for function in (arithmetic.improve, kernels.improve):
        assert function(to_float(policy), to_float(action_values), 0.5).tolist() == better
    with pytest.raises(arithmetic.Undecided):
        arithmetic.improve(arithmetic.balls(policy), arithmetic.balls(action_values) + arb(0, 2.0**-40), arb(0.5))


def test_improvement_in_floats_ignores_gains_below_rounding():
    policy, action_values = np.array([[0.0, 1.0]]), np.array([[1 + 2 * EPS, 1.0]])
    for function in (arithmetic.improve, kernels.improve):
        assert function(policy, action_values, 0.9).tolist() == [[0, 1]]
