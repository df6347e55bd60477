"""Sums of squares: found in floats, accepted only where they are right to the last digit."""

from __future__ import annotations

import dataclasses
import json

import pytest
from flint import Ordering, fmpq, fmpq_mat, fmpq_mpoly_ctx
from hypothesis import given
from hypothesis import strategies as st

from proofs_check.catalogue import get_claim
from proofs_check.engine import sums_of_squares as sos
from proofs_check.engine.polynomials import Region

RING = fmpq_mpoly_ctx.get(("x", "y", "g", "h"), Ordering.degrevlex)
X, Y, G, H = RING.gens()
REGION = Region(RING, ((0, 1),), (2, 3))
GAP = X * G + Y * H
THREE_ARMS = X**2 * (GAP - G) ** 2 + Y**2 * (GAP - H) ** 2  # squared gradient minus the optimal arm's part of it, with three arms


@pytest.mark.exact
def test_a_certificate_for_the_three_armed_bandit_is_found_and_survives_being_written():
    squares = sos.search(THREE_ARMS, REGION)
    assert squares is not None and sos.check(THREE_ARMS, squares, REGION)
    data = json.loads(json.dumps(sos.as_data(squares, "three arms")))
    assert sos.check(THREE_ARMS, sos.from_data(data, REGION), REGION)
    assert not sos.check(THREE_ARMS + X**2 * G**2 / 10**12, squares, REGION)  # it is about this polynomial and no other


def test_nothing_is_found_for_what_is_negative_somewhere():
    """The form vanishes where both losses are equal and both other arms are certain; a thousandth less is negative there."""
    assert sos.search(THREE_ARMS - X**2 * G**2 / 1000, REGION) is None


@pytest.mark.exact
def test_weights_are_used_where_squares_alone_are_not_enough():
    polynomial = X * (1 - X - Y) + (G - X) ** 2
    assert sos.search(polynomial, REGION) is None
    squares = sos.search(polynomial, REGION, [("1",), ("x", "1 - x - y")])
    assert squares is not None and sos.check(polynomial, squares, REGION)


@pytest.mark.exact
def test_a_spoiled_certificate_is_refused():
    squares = sos.search(THREE_ARMS, REGION)
    assert squares is not None
    gram = fmpq_mat(squares[0].gram)
    gram[0, 0] = gram[0, 0] + fmpq(1, 10**20)
    assert not sos.check(THREE_ARMS, [dataclasses.replace(squares[0], gram=gram), *squares[1:]], REGION)
    negative = sos.Square(("1",), (X,), fmpq_mat(1, 1, [-1]))
    assert not sos.check(-(X**2), [negative], REGION)
    unknown = sos.Square(("x - 1",), (X,), fmpq_mat(1, 1, [1]))
    assert not sos.check(X**2 * (X - 1), [unknown], REGION)
    lopsided = sos.Square(("1",), (X, Y), fmpq_mat(2, 2, [1, 1, -1, 1]))
    assert not sos.check(X**2 + Y**2, [lopsided], REGION)


@pytest.mark.exact
@given(st.lists(st.lists(st.integers(-3, 3), min_size=3, max_size=3), min_size=1, max_size=3), st.integers(1, 5))
def test_positive_semidefinite(rows, shift):
    """B'B always is, of full rank or not; below its smallest eigenvalue it is not: the trace bounds that from above."""
    b = fmpq_mat(len(rows), 3, [x for row in rows for x in row])
    gram = b.transpose() * b
    assert sos.positive_semidefinite(gram)
    trace = sum((gram[i, i] for i in range(3)), fmpq(0))
    spoiled = fmpq_mat(3, 3, [gram[i, j] - (trace / 3 + fmpq(1, shift)) * (i == j) for i in range(3) for j in range(3)])
    assert not sos.positive_semidefinite(spoiled)


@pytest.mark.exact
def test_zero_pivots():
    assert not sos.positive_semidefinite(fmpq_mat(2, 2, [0, 1, 1, 5]))
    assert sos.positive_semidefinite(fmpq_mat(2, 2, [0, 0, 0, 5]))


@pytest.mark.exact
def test_every_stored_certificate_names_its_claim_and_is_well_formed():
    stored = json.loads(sos.STORE.read_text())
    assert stored
    for data in stored.values():
        identifier, _, rest = data["about"].partition(":")
        claim = get_claim(identifier)
        assert claim.case(claim.form(rest.partition(" over ")[0])).polynomial  # nothing is stored that no class asks for
        for square in data.get("squares", []):
            assert all(len(row) == i + 1 for i, row in enumerate(square["gram"]))
        assert data.get("squares") or all(data["multipliers"])


@pytest.mark.parametrize("text", ["x +", "w*x", "__import__('os')", "x^y"])
def test_only_polynomials_are_read(text):
    with pytest.raises((ValueError, SyntaxError)):
        sos.read_polynomial(text, REGION)
    assert sos.read_polynomial("x^2 - 1/2*x*y + 3", REGION) == X**2 - X * Y / 2 + 3
