"""Polynomials that are nonnegative on a whole region, shown exactly.

A region is a product of simplices (rows of probabilities, of which all but the last entry are variables; a number in [0, 1] is a simplex of two),
of half-lines [0, oo) and of lines.  A polynomial p is nonnegative there where

    1.  p = c f_1^k_1 ... f_n^k_n over the rationals, even powers left out, and each factor left over has one sign: because its Bernstein coefficients
        do, or because that is known on the part of the region looked at (a case distinction was made by it);
    2.  or what is left over is a sum of squares, each times something nonnegative (`sums_of_squares`, with a stored certificate).

Bernstein coefficients: on the simplex x_1 + ... + x_n <= 1 put y = 1 - sum x and make p homogeneous by factors 1 = y + sum x.  The coefficients of
the result, a polynomial in x and y that are all nonnegative, are those of Bernstein's form up to positive factors; where none is negative, neither is
p.  A half-line needs no change, and a line only even powers.  Everything is done in whole numbers, so there is no rounding.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

Array = np.ndarray
Terms = dict[tuple[int, ...], int]
MOST_COEFFICIENTS = 4_000_000
"""Bernstein coefficients beyond this number are not computed: it would take long and much memory."""

MOST_FACTORED = 1_500
"""Polynomials of more terms are not factored: it may take minutes."""


class TooLarge(ArithmeticError):
    """The Bernstein form would have too many coefficients."""


@dataclasses.dataclass(frozen=True, eq=False)
class Region:
    """Where polynomials are looked at; variables are positions in the ring.

    simplices   groups of variables that are nonnegative and sum to at most 1;  half_lines  variables >= 0;  every other variable is any real number
    """

    ring: Any
    simplices: tuple[tuple[int, ...], ...]
    half_lines: tuple[int, ...]

    @functools.cached_property
    def lines(self) -> tuple[int, ...]:
        bounded = {k for group in self.simplices for k in group} | set(self.half_lines)
        return tuple(k for k in range(len(self.ring.names())) if k not in bounded)


def name_of(polynomial: Any) -> str:
    """The polynomial up to a nonzero factor, as text: what facts about it are filed under."""
    return str(polynomial / polynomial.leading_coefficient()) if polynomial != 0 else "0"


def whole_terms(polynomial: Any) -> Terms:
    """Exponents -> coefficients, times a positive number that makes all of them whole."""
    terms = polynomial.to_dict()
    scale = math.lcm(*(int(c.q) for c in terms.values())) if terms else 1
    return {tuple(map(int, powers)): int(c.p) * (scale // int(c.q)) for powers, c in terms.items()}


def bernstein_coefficients(polynomial: Any, region: Region, most: int = MOST_COEFFICIENTS) -> tuple[Array, Array]:
    """Coefficients of the homogeneous form, times a positive number that makes them whole.

    returns  (K, n) exponents of the variables on half-lines and lines (0 elsewhere), and (K, ...) coefficients: for each of these one along
             every product of powers of barycentric coordinates
    raises   TooLarge: more than `most` coefficients
    """
    terms = whole_terms(polynomial)
    powers = np.array(list(terms), dtype=np.int64).reshape(len(terms), -1)
    groups = [np.array(group) for group in region.simplices if powers[:, list(group)].any()]
    outside = powers.copy()
    for group in groups:
        outside[:, group] = 0
    kinds, first = np.unique(outside, axis=0, return_inverse=True)
    index, tables = [first.reshape(-1)], []
    for group in groups:
        degree = int(powers[:, group].sum(axis=1).max())
        exponents, table = _homogenising(len(group), degree)
        tables.append(table)
        index.append(np.array([exponents[tuple(row)] for row in powers[:, group].tolist()]))
    shape = (len(kinds), *(len(table) for table in tables))
    if math.prod(shape) > most:
        raise TooLarge(f"{math.prod(shape):,} Bernstein coefficients")
    largest = sum(map(abs, terms.values())) * math.prod(int(table.max()) for table in tables)
    tensor = np.zeros(shape, dtype=np.int64 if largest < 2**62 else object)
    tensor[tuple(index)] = np.array(list(terms.values()), dtype=tensor.dtype)
    for axis, table in enumerate(tables, start=1):
        tensor = np.moveaxis(np.tensordot(table.astype(tensor.dtype), tensor, axes=(1, axis)), 0, axis)
    return kinds, tensor


@functools.cache
def _homogenising(width: int, degree: int) -> tuple[dict[tuple[int, ...], int], Array]:
    """Positions of the exponents of x_1 ... x_width up to a degree, and the matrix that takes coefficients of the monomials to those of the
    homogeneous form: monomial k becomes x^k (y + x_1 + ... + x_width)^(degree - |k|)."""
    exponents = {powers: k for k, powers in enumerate(_exponents(width, degree))}
    table = np.zeros((len(exponents), len(exponents)), dtype=np.int64)
    for powers, column in exponents.items():
        room = degree - sum(powers)
        for shift in _exponents(width, room):
            count = math.factorial(room) // math.prod(map(math.factorial, (*shift, room - sum(shift))))
            table[exponents[tuple(a + b for a, b in zip(powers, shift, strict=True))], column] = count
    return exponents, table


def _exponents(width: int, most: int) -> Iterable[tuple[int, ...]]:
    if width == 0:
        yield ()
        return
    for first in range(most + 1):
        for rest in _exponents(width - 1, most - first):
            yield (first, *rest)


def bernstein_sign(polynomial: Any, region: Region) -> int | None:
    """1 or -1 where the Bernstein coefficients show that the polynomial is nowhere negative, or nowhere positive; None where they do not."""
    if polynomial == 0:
        return 0
    try:
        kinds, coefficients = bernstein_coefficients(polynomial, region)
    except TooLarge:
        return None
    low, high = coefficients.min(), coefficients.max()
    if low < 0 < high or (kinds[:, list(region.lines)] % 2).any():
        return None
    return 1 if high > 0 else -1


def _factors(polynomial: Any) -> tuple[int, list[tuple[Any, int]]]:
    """(sign of the constant, irreducible factors with their powers); of a polynomial of many terms, its monomial and the rest."""
    if len(polynomial) <= MOST_FACTORED:
        constant, factors = polynomial.factor()
        return (1 if constant > 0 else -1), factors
    monomial = polynomial.term_content()
    rest = polynomial / monomial
    _, factors = monomial.factor()
    return 1, [*factors, (rest, 1)]


class Signs:
    """Signs of polynomials on a region, and on a part of it where further polynomials are known to be nonnegative.

    A sign holds where it says that the polynomial is nowhere negative (1) or nowhere positive (-1), zeros allowed.
    """

    def __init__(self, region: Region, known: dict[str, int] | None = None, nonzero: Iterable[str] = ()) -> None:
        self.region = region
        self.everywhere: dict[str, int | None] = {}
        self.here: dict[str, int] = dict(known or {})
        self.nonzero = set(nonzero)  # names of irreducible polynomials that vanish nowhere in the class
        self.certified: dict[str, int | None] = {}
        self.open: list[Any] = []  # what was not shown: (polynomial, those known to be nonnegative with it)

    def sign(self, polynomial: Any) -> int | None:
        """1, -1, 0 for the zero polynomial, None where it is not known."""
        sign, rest = self.split(polynomial)
        if rest is None:
            return sign
        known = self._of_factor(rest)
        if known is None:
            known = self._stored(rest)
        return None if known is None else sign * known

    def _stored(self, polynomial: Any) -> int | None:
        """The sign that a stored certificate shows."""
        from proofs_check.engine.sums_of_squares import stored_sign

        name = name_of(polynomial)
        if name not in self.certified:
            found = stored_sign(polynomial, self.region)
            self.certified[name] = None if found is None else found * (1 if polynomial.leading_coefficient() > 0 else -1)
        known = self.certified[name]
        return None if known is None else known * (1 if polynomial.leading_coefficient() > 0 else -1)

    def split(self, polynomial: Any) -> tuple[int, Any]:
        """(sign, rest): the polynomial is sign * rest times something nonnegative; rest is None where nothing is left over."""
        if polynomial == 0:
            return 0, None
        sign, factors = _factors(polynomial)
        rest = None
        for factor, power in factors:
            if power % 2 == 0:
                continue
            known = self._of_factor(factor)
            if known is None:
                rest = factor if rest is None else rest * factor
            else:
                sign *= known
        if rest is not None:
            known = self.here.get(name_of(rest))
            if known is not None:
                return sign * known * (1 if rest.leading_coefficient() > 0 else -1), None
        return sign, rest

    def _of_factor(self, factor: Any) -> int | None:
        name = name_of(factor)
        lead = 1 if factor.leading_coefficient() > 0 else -1
        if name in self.here:
            return self.here[name] * lead
        if name not in self.everywhere:
            found = bernstein_sign(factor, self.region)
            self.everywhere[name] = None if found is None else found * lead
        stored = self.everywhere[name]
        return None if stored is None else stored * lead

    def learn(self, polynomial: Any, by_choice: bool = False) -> None:
        """From here on the polynomial is nonnegative.

        With p = s q and s nonnegative q >= 0 follows where s is not 0.  Where it may be, q >= 0 is taken only `by_choice`: when the sign of p
        decides between two ways that agree where p = 0, so that a point with s = 0 may be counted to the way that has the sign of q there.
        """
        sign, rest = self.split(polynomial)
        if rest is None or not (by_choice or self._vanishes_only_with(polynomial, rest)):
            return
        self.here[name_of(rest)] = sign * (1 if rest.leading_coefficient() > 0 else -1)

    def _vanishes_only_with(self, polynomial: Any, rest: Any) -> bool:
        """Whether every factor of the polynomial that is not in `rest`, or is there to a smaller power, is known to be nowhere 0."""
        for factor, power in _factors(polynomial)[1]:
            left = power - (power % 2 == 1 and self._of_factor(factor) is None)
            if left and name_of(factor) not in self.nonzero:
                return False
        return True

    def within(self) -> Signs:
        """The same facts, to which others may be added without changing these."""
        inner = Signs(self.region, self.here, self.nonzero)
        inner.everywhere, inner.certified, inner.open = self.everywhere, self.certified, self.open
        return inner
