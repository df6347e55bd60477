"""The simplex method in rationals: against enumeration of all bases, with ties, several right-hand sides, infeasible and unbounded programs."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from flint import fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

from mdps.rational import fraction, rational
from pgtheory.exact.simplex import Program, Ray, SingularBasisError, gains, is_feasible, maximise, repair, vertex
from tests.pgtheory.exact.independent import gauss


def program(matrix, right, objective) -> Program:
    columns = [[(i, rational(row[j])) for i, row in enumerate(matrix) if row[j] != 0] or [(0, fmpq(0))] for j in range(len(objective))]
    return Program(
        columns, [rational(c) for c in objective], [tuple(rational(b) for b in (row if isinstance(row, tuple) else (row,))) for row in right]
    )


def best_of_all_bases(matrix, right, objective) -> Fraction | None:
    best = None
    for basis in itertools.combinations(range(len(objective)), len(right)):
        try:
            x = gauss([[Fraction(row[j]) for j in basis] for row in matrix], [Fraction(b) for b in right])
        except StopIteration:
            continue
        if min(x) >= 0:
            value = sum((Fraction(objective[j]) * v for j, v in zip(basis, x, strict=True)), Fraction(0))
            best = value if best is None else max(best, value)
    return best


small = st.integers(-3, 3)


@st.composite
def packings(draw):
    """max c x, A x + slack = b with b >= 0, entries of A at least 0 and each column with some use: bounded, and the slacks are a first basis."""
    rows, columns = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    used = [[draw(st.integers(0, 2)) for _ in range(columns)] for _ in range(rows)]
    matrix = [[*row, *(int(i == k) for k in range(rows))] for i, row in enumerate(used)]
    for j in range(columns):
        matrix[0][j] += 1
    return matrix, [draw(st.integers(0, 3)) for _ in range(rows)], [*(draw(small) for _ in range(columns)), *[0] * rows]


@settings(max_examples=25)
@given(packings())
def test_the_optimum_is_the_best_of_all_bases_from_any_side(data):
    matrix, right, objective = data
    rows, columns = len(right), len(objective)
    slacks = list(range(columns - rows, columns))
    made = program(matrix, right, objective)
    at = maximise(made, slacks)
    value = sum((made.objective[j] * x[0] for j, x in zip(at.basis, at.point, strict=True)), fmpq(0))
    assert fraction(value) == best_of_all_bases(matrix, right, objective)
    assert is_feasible(at)
    assert all(g <= 0 for g in gains(made, at))
    assert value == sum((y * b for y, (b,) in zip(at.prices, made.rhs, strict=True)), fmpq(0))
    # the dual method, after another right-hand side has made this basis infeasible
    moved = [draw - 2 for draw in right]
    changed = program(matrix, moved, objective)
    found = repair(changed, at.basis)
    expected = best_of_all_bases(matrix, moved, objective)
    if isinstance(found, Ray):
        assert expected is None
        assert sum((y * b for y, (b,) in zip(found.prices, changed.rhs, strict=True)), fmpq(0)) < 0
        assert all(sum((found.prices[i] * v for i, v in column), fmpq(0)) >= 0 for column in changed.columns)
    else:
        assert fraction(sum((changed.objective[j] * x[0] for j, x in zip(found.basis, found.point, strict=True)), fmpq(0))) == expected


@st.composite
def diets(draw):
    """max -c x, A x - surplus = b with c >= 0: the surpluses are a basis in which nothing gains, and which is not feasible."""
    rows, columns = draw(st.integers(1, 3)), draw(st.integers(2, 4))
    matrix = [[*(-draw(st.integers(-1, 3)) for _ in range(columns)), *(int(i == k) for k in range(rows))] for i in range(rows)]
    return matrix, [-draw(st.integers(-1, 5)) for _ in range(rows)], [*(-draw(st.integers(0, 5)) for _ in range(columns)), *[0] * rows]


@settings(max_examples=25)
@given(diets())
def test_the_dual_method_ends_at_the_best_of_all_bases_or_at_a_proof_that_there_is_none(data):
    matrix, right, objective = data
    made = program(matrix, right, objective)
    found = repair(made, list(range(len(objective) - len(right), len(objective))))
    expected = best_of_all_bases(matrix, right, objective)
    if isinstance(found, Ray):
        assert expected is None
        return
    assert is_feasible(found)
    assert all(g <= 0 for g in gains(made, found))
    assert fraction(sum((made.objective[j] * x[0] for j, x in zip(found.basis, found.point, strict=True)), fmpq(0))) == expected


def test_a_program_that_cycles_under_the_textbook_rule_ends():
    """Beale's example (1955): degenerate at every step of the largest-gain rule with its own ties."""
    matrix = [["1/4", -60, "-1/25", 9, 1, 0, 0], ["1/2", -90, "-1/50", 3, 0, 1, 0], [0, 0, 1, 0, 0, 0, 1]]
    rows = [[Fraction(x) for x in row] for row in matrix]
    objective = [Fraction(3, 4), -150, Fraction(1, 50), -6, 0, 0, 0]
    at = maximise(program(rows, [0, 0, 1], objective), [4, 5, 6])
    assert fraction(sum((rational(objective[j]) * x[0] for j, x in zip(at.basis, at.point, strict=True)), fmpq(0))) == Fraction(1, 20)
    assert at.value(2) == 1
    assert at.value(4) == fmpq(3, 100)  # by hand: 1/4 * 1/25 - 1/25 + slack = 0


def test_a_second_right_hand_side_breaks_ties_towards_its_own_optimum():
    """max x + y with x <= b, x + y <= b at b = 1: slope 1; in the direction (1, 0) the first row is worth nothing, in (-1, 0) neither."""
    matrix, objective = [[1, 0, 1, 0], [1, 1, 0, 1]], [2, 1, 0, 0]
    for direction, slopes in (((1, 0), [0, 2]), ((0, 1), [1, 1]), ((-1, 0), [1, 1])):
        at = maximise(program(matrix, [(1, 0), (1, 0)], objective), [2, 3])
        moved = program(matrix, [(1, direction[0]), (1, direction[1])], objective)
        at = repair(moved, at.basis)
        assert [fraction(y) for y in at.prices] == slopes


def test_bad_first_bases_and_unbounded_programs_are_refused():
    made = program([[1, 1, 1]], [1], [1, 2, 0])
    with pytest.raises(ValueError, match="not feasible"):
        maximise(program([[1, -1]], [1], [0, 0]), [1])
    with pytest.raises(ValueError, match="unbounded"):
        maximise(program([[1, -1]], [1], [1, 1]), [0])
    with pytest.raises(ValueError, match="gains at the first basis"):
        repair(made, [0])
    with pytest.raises(SingularBasisError):
        vertex(program([[1, 2], [2, 4]], [1, 2], [1, 1]), [0, 1])
    assert np.all([x[0] == 1 for x in maximise(made, [2]).point])
