"""Exact numbers: reading user input as rationals, and floats as the simplest rationals beside them.

The exact type of the whole library is `flint.fmpq`, kept in numpy object arrays.  `rational` reads what a user may write
(int, Fraction, "3/10", "0.3", fmpq); a float it takes at its word, bit by bit.  `simplest` reads a float as a person meant it: the
fraction of smallest denominator within a relative 2^-46 of it, so 0.1 is 1/10 and 0.333... is 1/3.  `exact_rows` does that for
probabilities and then moves the largest entry of each row, so that the row sums to exactly 1.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from mdps.errors import ModelError

Array = np.ndarray
CLOSE = Fraction(1, 2**46)
"""Relative distance within which a float stands for a simpler fraction: 64 units in the last place, the rounding of a short computation."""

LARGEST_EXPONENT = 10_000
"""Text such as 1e999999999 would fill the memory with digits."""


def rational(value: Any) -> Any:
    """`value` (int, Fraction, fmpq, text such as "3/10" or "0.3", or a finite float bit by bit) as `flint.fmpq`."""
    from flint import fmpq, fmpz

    if isinstance(value, fmpq):
        return value
    if isinstance(value, fmpz):
        return fmpq(value)
    if isinstance(value, str) and _exponent(value) > LARGEST_EXPONENT:
        raise ModelError(f"{value!r} is too large or too small to be read exactly; exponents go to {LARGEST_EXPONENT}")
    try:
        fraction = Fraction(value.item() if isinstance(value, np.generic) else value)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
        raise ModelError(f"{value!r} is no number that can be read exactly; write it as 3, 0.3, '3/10' or Fraction(3, 10)") from error
    return fmpq(fraction.numerator, fraction.denominator)


def _exponent(text: str) -> int:
    digits = text.lower().partition("e")[2].strip().lstrip("+-")
    return int(digits) if digits.isdecimal() and len(digits) < 20 else LARGEST_EXPONENT + 1 if digits.isdecimal() else 0


def rational_array(values: Any) -> Array:
    """Nested lists or an array of anything `rational` reads, as an object array of `flint.fmpq` of the same shape."""
    source = np.asarray(values, dtype=object)
    out = np.empty(source.shape, dtype=object)
    out.reshape(-1)[:] = [rational(x) for x in source.reshape(-1)]
    return out


def fraction(value: Any) -> Fraction:
    """`value` (anything that `rational` reads) as a `fractions.Fraction`."""
    exact = rational(value)
    return Fraction(int(exact.p), int(exact.q))


def to_float(values: Any) -> Array:
    """Object array of rationals as float64, each correctly rounded."""
    source = np.asarray(values, dtype=object)
    out = np.empty(source.shape)
    try:
        out.reshape(-1)[:] = [int(x.p) / int(x.q) for x in map(rational, source.reshape(-1).tolist())]
    except OverflowError as error:
        raise ModelError("a number is too large for float64, whose largest is 1.8e308") from error
    return out


def is_exact(values: Any) -> bool:
    """Whether `values` holds exact numbers other than plain integers: text, Fraction or fmpq entries."""
    return np.asarray(values).dtype.kind in "OUS"


def simplest_between(low: Fraction, high: Fraction) -> Fraction:
    """The fraction of smallest denominator in [low, high] (the node of the Stern-Brocot tree nearest to its root)."""
    if low < 0 < high:
        return Fraction(0)
    if high < 0 or (high == 0 and low < 0):
        return -simplest_between(-high, -low)
    return Fraction(*_simplest_ratio(low.numerator, low.denominator, high.numerator, high.denominator))


def _simplest_ratio(a: int, b: int, c: int, d: int) -> tuple[int, int]:
    """(p, q) with the smallest q and a/b <= p/q <= c/d, for 0 <= a/b <= c/d: continued fractions as long as both ends agree."""
    p0, q0, p1, q1 = 0, 1, 1, 0
    while True:
        whole, rest = divmod(a, b)
        first = whole + (rest > 0)
        if first * d <= c:
            return first * p1 + p0, first * q1 + q0
        p0, q0, p1, q1 = p1, q1, whole * p1 + p0, whole * q1 + q0
        a, b, c, d = d, c - whole * d, b, rest


def simplest(value: float, within: Fraction = CLOSE) -> Any:
    """The fraction of smallest denominator within relative distance `within` of the float `value`, as `flint.fmpq`."""
    from flint import fmpq

    numerator, denominator = float(value).as_integer_ratio()
    p, q = abs(numerator) * within.denominator, denominator * within.denominator
    radius = abs(numerator) * within.numerator
    top, bottom = _simplest_ratio(p - radius, q, p + radius, q)
    return fmpq(-top if numerator < 0 else top, bottom)


def simplest_array(values: Any) -> Array:
    """`simplest` of every entry."""
    source = np.asarray(values, dtype=np.float64)
    out = np.empty(source.shape, dtype=object)
    seen: dict[float, Any] = {}
    flat = out.reshape(-1)
    for k, x in enumerate(source.reshape(-1).tolist()):
        if x not in seen:
            seen[x] = simplest(x)
        flat[k] = seen[x]
    return out


def exact_rows(rows: Array) -> Array:
    """Float probability rows (..., n) as rationals whose rows sum to exactly 1: each entry its simplest fraction, the largest corrected."""
    out = simplest_array(rows)
    for row in out.reshape(-1, out.shape[-1]):
        correct_sum(row)
    return out


def correct_sum(row: Array) -> None:
    """Adds 1 - sum to the largest entry of one row of rationals, in place; nothing where the sum is 1 already."""
    from flint import fmpq

    missing = 1 - sum(row.tolist(), fmpq(0))
    if missing != 0:
        largest = max(range(len(row)), key=lambda k: row[k])
        row[largest] = row[largest] + missing
