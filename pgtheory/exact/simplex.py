"""Linear programs in rationals: the simplex method without rounding, from a basis that floats have found.

    maximise  <c, x>   subject to   M x = b,  x >= 0

A *basis* is a choice of as many independent columns as there are rows; x_B = B^-1 b are its entries of x, y = B^-T c_B its prices.  It is optimal
where x_B >= 0 (primal feasible) and c_j <= <y, M_j> for every column (dual feasible).  `maximise` walks over primal feasible bases, `repair` over
dual feasible ones.  Where a step moves the point, the column of the largest gain enters; while steps are degenerate, the smallest index does (Bland
1977), so that neither can go round in circles.

**Several right-hand sides.**  Every row of b may be a tuple (b_0, b_1, ...), compared from left to right: the program for b_0 + e b_1 + e^2 b_2 + ...
with e > 0 arbitrarily small.  Its optimal basis is optimal for b_0 too, and its prices are the one-sided derivatives of the optimum in direction b_1.

Every pivot solves whole numbers (flint, by p-adic lifting): some hundreds of rows.  Nothing here is trusted; certificates are checked elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pgtheory.exact.certificate import common_denominator

Column = list[tuple[int, Any]]
"""Nonzero (row, fmpq) of one column."""


@dataclass(frozen=True)
class Program:
    """columns: one list of (row, fmpq) for each variable; objective: one fmpq for each; rhs: one tuple of fmpq for each row."""

    columns: Sequence[Column]
    objective: Sequence[Any]
    rhs: Sequence[tuple[Any, ...]]


@dataclass(frozen=True)
class Vertex:
    """A basis with what follows from it.

    basis    the columns, one a row
    point    their values, a tuple of fmpq each (several right-hand sides)
    prices   one fmpq a row
    pivots   steps that led here
    """

    basis: list[int]
    point: list[tuple[Any, ...]]
    prices: list[Any]
    pivots: int = 0

    def value(self, column: int, side: int = 0) -> Any:
        """The entry of x for one column."""
        zero = self.prices[0] * 0
        return self.point[self.basis.index(column)][side] if column in self.basis else zero


@dataclass(frozen=True)
class Ray:
    """Why nothing is feasible: <prices, M_j> >= 0 for every column, and <prices, b> < 0."""

    prices: list[Any]


class SingularBasisError(ValueError):
    """The columns are dependent."""


def vertex(program: Program, basis: Sequence[int], pivots: int = 0) -> Vertex:
    """Point and prices of a basis; dependent columns raise SingularBasisError."""
    chosen = list(basis)
    point = _solve(program, chosen, [list(row) for row in zip(*program.rhs, strict=True)])
    prices = _solve(program, chosen, [[program.objective[j] for j in chosen]], transposed=True)[0]
    return Vertex(chosen, list(zip(*point, strict=True)), prices, pivots)


def is_feasible(at: Vertex) -> bool:
    """Whether x_B >= 0, each tuple from left to right."""
    return not any(_negative(x) for x in at.point)


def gains(program: Program, at: Vertex) -> list[Any]:
    """c_j - <y, M_j> of every column: none is positive at the optimum."""
    return [c - sum((at.prices[i] * v for i, v in column), c * 0) for c, column in zip(program.objective, program.columns, strict=True)]


def maximise(program: Program, basis: Sequence[int]) -> Vertex:
    """An optimal basis, from one whose point is >= 0.

    raises   ValueError: the first basis is not feasible, or the program is unbounded
    """
    at = vertex(program, basis)
    if not is_feasible(at):
        raise ValueError("the first basis is not feasible")
    stalled = False
    while True:
        gain = gains(program, at)
        better = [j for j, g in enumerate(gain) if g > 0]
        if not better:
            return at
        entering = better[0] if stalled else max(better, key=lambda j: gain[j])
        direction = _solve(program, at.basis, [_dense(program.columns[entering], len(at.basis))])[0]
        ratios = [(tuple(x / d for x in point), at.basis[i], i) for i, (point, d) in enumerate(zip(at.point, direction, strict=True)) if d > 0]
        if not ratios:
            raise ValueError("the program is unbounded")
        step, _, row = min(ratios)
        stalled = all(x == 0 for x in step)
        at = vertex(program, [*at.basis[:row], entering, *at.basis[row + 1 :]], at.pivots + 1)


def repair(program: Program, basis: Sequence[int]) -> Vertex | Ray:
    """An optimal basis, from one in which no column gains; or the ray that shows that nothing is feasible.

    raises   ValueError: a column gains at the first basis
    """
    at = vertex(program, basis)
    gain = gains(program, at)
    if any(g > 0 for g in gain):
        raise ValueError("a column gains at the first basis")
    while True:
        leaving = [(at.basis[i], i) for i, x in enumerate(at.point) if _negative(x)]
        if not leaving:
            return at
        row = min(leaving)[1]
        unit = [g * 0 for g in at.prices]
        unit[row] = unit[row] + 1
        weights = _solve(program, at.basis, [unit], transposed=True)[0]
        slopes = [sum((weights[i] * v for i, v in column), unit[0] * 0) for column in program.columns]
        ratios = [(gain[j] / slope, j) for j, slope in enumerate(slopes) if slope < 0]
        if not ratios:
            return Ray(weights)
        entering = min(ratios)[1]
        at = vertex(program, [*at.basis[:row], entering, *at.basis[row + 1 :]], at.pivots + 1)
        gain = gains(program, at)


def _negative(point: tuple[Any, ...]) -> bool:
    return next((x < 0 for x in point if x != 0), False)


def _dense(column: Column, rows: int) -> list[Any]:
    out = [column[0][1] * 0] * rows
    for i, v in column:
        out[i] = out[i] + v
    return out


def _solve(program: Program, basis: list[int], sides: list[list[Any]], transposed: bool = False) -> list[list[Any]]:
    """B x = side (or B^T x = side) for each of the sides."""
    from flint import fmpz, fmpz_mat

    n = len(basis)
    zero = sides[0][0] * 0
    rows = [[zero] * n for _ in range(n)]
    for k, j in enumerate(basis):
        for i, v in program.columns[j]:
            if transposed:
                rows[k][i] = rows[k][i] + v
            else:
                rows[i][k] = rows[i][k] + v
    integers: list[Any] = []
    right: list[Any] = []
    for i, row in enumerate(rows):
        values = [*row, *(side[i] for side in sides)]
        common = fmpz(common_denominator(values))
        whole = [v.p * (common // v.q) for v in values]
        integers.extend(whole[:n])
        right.extend(whole[n:])
    try:
        solved = fmpz_mat(n, n, integers).solve(fmpz_mat(n, len(sides), right)).entries()
    except ZeroDivisionError as error:
        raise SingularBasisError("the columns of the basis are dependent") from error
    return [list(solved[k :: len(sides)]) for k in range(len(sides))]
