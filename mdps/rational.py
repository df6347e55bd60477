"""Exact numbers: reading user input as rationals, and floats as the simplest rationals beside them.

The exact type of the whole library is `flint.fmpq`, kept in numpy object arrays.  `rational` reads what a user may write
(int, Fraction, "3/10", "0.3", fmpq); a float it takes at its word, bit by bit.  `simplest` reads a float as a person meant it: the
fraction of smallest denominator within a relative 2^-46 of it, so 0.1 is 1/10 and 0.333... is 1/3.  `meant_array` does that for figures that
belong together, unless their fractions have nothing in common; then it takes the floats at their word.  `exact_rows` does so for each row of
probabilities but its largest entry, which becomes what the others leave of 1.
"""

from __future__ import annotations

import functools
import itertools
from fractions import Fraction
from typing import Any

import numpy as np

from mdps.errors import ModelError

Array = np.ndarray
CLOSE = Fraction(1, 2**46)
"""Relative distance within which a float stands for a simpler fraction: 64 units in the last place, the rounding of a short computation."""

LARGEST_COMMON = 2**53
"""Largest common denominator of figures that are taken for fractions which somebody meant: no more digits than their floats have."""
SMALL = 1000
"""Denominators up to which a fraction within 2^-46 of a float is no accident: by chance one float in 2^26 is that near to one."""
LARGEST_EXPONENT = 10_000
"""Text such as 1e999999999 would fill the memory with digits."""


@functools.cache
def _flint() -> tuple[Any, Any]:
    """The types fmpq and fmpz; `import mdps` itself does not load them."""
    from flint import fmpq, fmpz

    return fmpq, fmpz


def rational(value: Any) -> Any:
    """`value` (int, Fraction, fmpq, text such as "3/10" or "0.3", or a finite float bit by bit) as `flint.fmpq`."""
    fmpq, fmpz = _flint()
    if isinstance(value, fmpq):
        return value
    if isinstance(value, fmpz):
        return fmpq(value)
    if type(value) is Fraction:
        return fmpq(value.numerator, value.denominator)
    if type(value) is int:
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
    from flint import fmpq

    source = np.asarray(values, dtype=object)
    out = np.empty(source.shape, dtype=object)
    out.reshape(-1)[:] = [x if type(x) is fmpq else rational(x) for x in source.reshape(-1)]
    return out


def fraction(value: Any) -> Fraction:
    """`value` (anything that `rational` reads) as a `fractions.Fraction`."""
    if type(value) is Fraction:
        return value
    exact = rational(value)
    return Fraction(int(exact.p), int(exact.q))


def to_float(values: Any) -> Array:
    """Object array of rationals as float64, each correctly rounded."""
    from flint import fmpq

    source = np.asarray(values, dtype=object)
    out = np.empty(source.shape)
    try:
        out.reshape(-1)[:] = [float(x if type(x) is fmpq else rational(x)) for x in source.reshape(-1).tolist()]
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


def meant_array(values: Any) -> Array:
    """Floats that belong together (a probability row, all rewards) as rationals within a relative 2^-46 of them.

    They are read as `simplest` where those fractions share a denominator below LARGEST_COMMON, as figures that a person wrote do.  Figures from a
    computation do not: their simplest fractions have a common denominator of 23 bits for each of them, and so has everything solved with them.
    Then only fractions with a denominator up to SMALL are kept, and the other floats are taken at their word: all of them are whole multiples
    of one power of two.
    """
    source = np.asarray(values, dtype=np.float64)
    distinct, place = np.unique(source, return_inverse=True)
    numbers = np.empty(distinct.size, dtype=object)
    numbers[:] = _meant(distinct.tolist(), _near_small_fractions(distinct).tolist(), {})
    return numbers[place.reshape(-1)].reshape(source.shape)


def _meant(floats: list[float], small: list[bool], known: dict[float, Any]) -> list[Any]:
    """The rationals of floats of which it is known whether a small fraction is near; `known` remembers what `simplest` found."""
    from flint import fmpq, fmpz

    common = fmpz(1)
    out: list[Any] = [None] * len(floats)
    for chosen in (True, False):  # the small ones first: they are needed in any case
        for k, x in enumerate(floats):
            if small[k] is not chosen:
                continue
            if x not in known:
                known[x] = simplest(x)
            out[k] = known[x]
            if common % out[k].q != 0:
                common = common.lcm(out[k].q)
                if common > LARGEST_COMMON:
                    return [(known[x] if x in known else simplest(x)) if small[k] else fmpq(*x.as_integer_ratio()) for k, x in enumerate(floats)]
    return out


def _near_small_fractions(values: Array) -> Array:
    """Whether a fraction with a denominator up to SMALL is within a relative 2^-46: it would be a convergent of the continued fraction (Legendre)."""
    size = np.abs(values)
    near = size == np.floor(size)
    p0, q0, p1, q1 = np.zeros_like(size), np.ones_like(size), np.ones_like(size), np.zeros_like(size)
    rest = size
    with np.errstate(all="ignore"):
        for _ in range(17):  # denominators grow at least as the Fibonacci numbers, of which the 17th is above SMALL
            whole = np.floor(rest)
            p0, q0, p1, q1 = p1, q1, whole * p1 + p0, whole * q1 + q0
            near |= (q1 <= SMALL) & (np.abs(p1 / q1 - size) <= float(CLOSE) * size)
            if (near | (q1 > SMALL)).all():
                break
            rest = 1 / (rest - whole)
    return near


def exact_rows(rows: Array) -> Array:
    """Float probability rows (..., n) as rationals whose rows sum to exactly 1: each `meant_array`, but its largest entry what the others leave."""
    source = np.asarray(rows, dtype=np.float64)
    out: Array = np.empty(source.shape, dtype=object)
    width = source.shape[-1] if source.ndim else 1
    small, known = _near_small_fractions(source).reshape(-1, width), dict[float, Any]()
    for row, floats, near in zip(out.reshape(-1, width), source.reshape(-1, width).tolist(), small.tolist(), strict=True):
        row[:] = _row(floats, near, known)
    return out


def exact_compressed(data: Array, indptr: Array) -> Array:
    """`exact_rows` of compressed rows: row k is data[indptr[k] : indptr[k + 1]]."""
    floats, small, known = data.tolist(), _near_small_fractions(data).tolist(), dict[float, Any]()
    out: Array = np.empty(data.size, dtype=object)
    bounds = indptr.tolist()
    for begin, end in itertools.pairwise(bounds):
        if end > begin:
            out[begin:end] = _row(floats[begin:end], small[begin:end], known)
    return out


def _row(floats: list[float], small: list[bool], known: dict[float, Any]) -> list[Any]:
    """One probability row: the others as `_meant`, the largest entry what they leave of 1."""
    from flint import fmpq

    largest = max(range(len(floats)), key=floats.__getitem__)
    others = _meant(floats[:largest] + floats[largest + 1 :], small[:largest] + small[largest + 1 :], known)
    return [*others[:largest], 1 - sum(others, fmpq(0)), *others[largest:]]
