"""Floats as the rationals that were meant: exact where somebody wrote fractions, few digits where nobody did."""

from __future__ import annotations

from fractions import Fraction
from math import lcm

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdps import random
from mdps.rational import CLOSE, exact_rows, fraction, meant_array
from mdps.rows import SparseRows

FLOATS = st.floats(0, 1e9, allow_subnormal=False)


@given(st.lists(st.one_of(FLOATS, FLOATS.map(lambda x: -x), st.fractions(max_denominator=1000, min_value=0, max_value=50).map(float)), min_size=1))
def test_close_and_of_few_digits(values):
    found = [fraction(x) for x in meant_array(values)]
    for x, exact in zip(values, found, strict=True):
        assert abs(exact - Fraction(x)) <= abs(Fraction(x)) * CLOSE
        assert exact == Fraction(x) or exact.denominator <= 2**53
    powers = [q.denominator for q in found if q.denominator > 1000]
    whole = lcm(*(q.denominator for q in found)) if found else 1
    assert whole <= 2**53 or all(bottom & (bottom - 1) == 0 for bottom in powers), "a common denominator, or powers of two and small ones"


@given(st.lists(st.fractions(max_denominator=1000, min_value=-100, max_value=100), min_size=1, max_size=6))
def test_small_fractions_are_recognised_among_any_others(values):
    found = meant_array([*map(float, values), *np.random.default_rng(0).random(5)])
    assert [fraction(x) for x in found[: len(values)]] == values


@pytest.mark.parametrize(
    ("row", "exact"),
    [
        ([0.1, 0.2, 0.7], ["1/10", "1/5", "7/10"]),
        ([1 / 3, 2 / 3], ["1/3", "2/3"]),
        ([1e-12, 1 - 1e-12], ["1/1000000000000", "999999999999/1000000000000"]),
        ([1 / 7, 1 / 11, 1 - 1 / 7 - 1 / 11], ["1/7", "1/11", "59/77"]),
    ],
)
def test_rows_that_somebody_wrote(row, exact):
    assert [fraction(x) for x in exact_rows(np.array(row))] == [Fraction(text) for text in exact]


def test_rows_of_a_computation_share_a_power_of_two_and_sum_to_one():
    mdp = random.dirichlet(40, 2, 0)
    for row in mdp.exact.choices:
        assert sum(row.tolist(), 0 * row[0]) == 1
        bottoms = {int(x.q) for x in row.tolist()}
        assert all(bottom & (bottom - 1) == 0 for bottom in bottoms)
        assert max(bottoms) < 2**90


@given(st.integers(0, 10**6))
def test_compressed_rows_are_the_same(seed):
    from scipy.sparse import csr_array

    rng = np.random.default_rng(seed)
    rows = np.where(rng.random((4, 6)) < 0.4, rng.choice([0.5, rng.random(), 1 / 3], (4, 6)), 0.0) + np.eye(4, 6) * 0.25
    rows /= rows.sum(axis=1)[:, None]
    np.testing.assert_array_equal(SparseRows.from_csr(csr_array(rows)).toarray(), exact_rows(rows))
