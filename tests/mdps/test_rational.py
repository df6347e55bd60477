"""Exact numbers: what is read, and the simplest fraction beside a float."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from flint import fmpq, fmpz
from hypothesis import given
from hypothesis import strategies as st

from mdps import ModelError
from mdps.rational import exact_rows, fraction, is_exact, rational, rational_array, simplest, simplest_array, simplest_between, to_float


@pytest.mark.parametrize(
    "value", ["3/10", "0.3", ".3", " 3/10 ", "3e-1", Fraction(3, 10), fmpq(3, 10), Decimal("0.3")], ids=lambda v: f"{type(v).__name__} {v}"
)
def test_exact_numbers_are_read_exactly(value):
    assert rational(value) == fmpq(3, 10)
    assert fraction(value) == Fraction(3, 10)


@pytest.mark.parametrize("value", [3, np.int64(3), fmpz(3), 3.0, np.float32(3), True + 2, "3", "3.0"])
def test_whole_numbers_of_any_type(value):
    assert rational(value) == 3


@pytest.mark.parametrize("value", ["x", "", "1/0", None, [], float("nan"), float("inf"), "nan", "1e20000", "1e-999999999999999999999", 1j])
def test_what_is_no_number_raises(value):
    with pytest.raises(ModelError, match="read exactly"):
        rational(value)


@given(st.fractions(max_denominator=10**6))
def test_simplest_finds_the_fraction_that_was_meant(value):
    """Distinct fractions p/q, p'/q' differ by 1/(q q') at least: within 2^-46 relative of a float there is one with q below 10^6."""
    if abs(value) < 10**2:
        assert fraction(simplest(float(value))) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_simplest_is_close_and_not_more_complicated(value):
    found = fraction(simplest(value))
    assert abs(found - Fraction(value)) <= abs(Fraction(value)) / 2**46
    assert found.denominator <= Fraction(value).denominator


@given(st.fractions(max_denominator=300), st.fractions(max_denominator=300))
def test_simplest_between_has_the_smallest_denominator(a, b):
    low, high = min(a, b), max(a, b)
    found = simplest_between(low, high)
    assert low <= found <= high
    smaller = (d for d in range(1, found.denominator) if -(-low * d // 1) <= high * d // 1)
    assert next(smaller, None) is None


@given(st.lists(st.lists(st.integers(0, 50), min_size=3, max_size=3).filter(any), min_size=1, max_size=4))
def test_rows_of_fractions_survive_floats(rows):
    exact = [[Fraction(w, sum(row)) for w in row] for row in rows]
    found = exact_rows(np.array([[float(p) for p in row] for row in exact]))
    assert [[fraction(x) for x in row] for row in found] == exact


def test_arrays_keep_their_shape():
    array = rational_array([["1/2", 1], [0.25, Fraction(1, 3)]])
    assert array.shape == (2, 2)
    np.testing.assert_array_equal(to_float(array), [[0.5, 1], [0.25, 1 / 3]])
    assert simplest_array(np.array(0.1))[()] == fmpq(1, 10)
    assert is_exact(array)
    assert is_exact(["1/2"])
    assert not is_exact([1, 2.0])
