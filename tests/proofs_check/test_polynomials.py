"""Signs of polynomials on products of simplices, half-lines and lines: never wrong, and right where it matters."""

from __future__ import annotations

import numpy as np
import pytest
from flint import Ordering, fmpq, fmpq_mpoly_ctx
from hypothesis import given
from hypothesis import strategies as st

from proofs_check.engine.polynomials import Region, Signs, bernstein_coefficients, bernstein_sign, whole_terms

RING = fmpq_mpoly_ctx.get(("x", "y", "z", "g", "v"), Ordering.degrevlex)
X, Y, Z, G, V = RING.gens()
REGION = Region(RING, ((0, 1), (2,)), (3,))  # (x, y) in a triangle, z in [0, 1], g >= 0, v any real number

monomials = st.tuples(*(st.integers(0, 2) for _ in range(3)), st.integers(0, 2), st.integers(0, 2))
polynomials = st.dictionaries(monomials, st.integers(-4, 6), min_size=1, max_size=6).map(
    lambda terms: sum((c * X**a * Y**b * Z**d * G**e * V**f for (a, b, d, e, f), c in terms.items()), RING.constant(0))
)
shares = st.tuples(*(st.integers(0, 6) for _ in range(3))).filter(lambda k: sum(k) > 0)
points = st.tuples(shares, st.integers(0, 7), st.integers(0, 40), st.integers(-20, 20)).map(
    lambda p: (fmpq(p[0][0], sum(p[0])), fmpq(p[0][1], sum(p[0])), fmpq(p[1], 7), fmpq(p[2], 5), fmpq(p[3], 3))
)


@pytest.mark.exact
@given(polynomial=polynomials, point=points)
def test_a_sign_is_never_wrong(polynomial, point):
    sign = Signs(REGION).sign(polynomial)
    value = polynomial(*point)
    assert sign is None or sign * value > 0 or value == 0
    assert (sign == 0) == (polynomial == 0)


@pytest.mark.exact
@given(first=polynomials, second=polynomials, point=points)
def test_what_follows_from_a_known_inequality_holds_where_it_does(first, second, point):
    """Also where a factor of the known polynomial vanishes: there it says nothing about the others."""
    signs = Signs(REGION)
    inner = signs.within()
    inner.learn(first)
    if first(*point) >= 0:
        for polynomial in (first, second, first * second, -first, *(factor for factor, _ in first.factor()[1])):
            sign, value = inner.sign(polynomial), polynomial(*point)
            assert sign is None or sign * value > 0 or value == 0
    assert signs.here == {}  # what is learned inside stays inside


@pytest.mark.exact
def test_a_factor_that_may_vanish_is_divided_out_by_choice_only():
    """y (x - z) >= 0 says nothing about x - z where y = 0, unless y is known not to vanish, or the points with y = 0 may go either way."""
    known = 3 * Y * (X - Z)
    hard, positive, chosen = Signs(REGION), Signs(REGION, nonzero=["y"]), Signs(REGION)
    hard.learn(known)
    positive.learn(known)
    chosen.learn(known, by_choice=True)
    assert hard.sign(X - Z) is None and positive.sign(X - Z) == 1 and chosen.sign(X - Z) == 1
    assert positive.sign(Y * (X - Z) * (1 + G)) == 1 and positive.sign((Z - X) * (Z - 1)) == 1
    square = Signs(REGION)
    square.learn((X - Y) ** 2 * (X - Z))
    assert square.sign(X - Z) is None


@pytest.mark.exact
@pytest.mark.parametrize(
    ("polynomial", "sign"),
    [
        (1 - X - Y, 1),
        (X * Y - 1, -1),
        (Z * (1 - Z) * G, 1),
        (V**2 * (1 - Z) + G, 1),
        (V * Z, None),  # a line has no sign
        (X + Y - 1, -1),
        (1 - X - Z, None),  # x and z are not on one simplex
        ((X - Y) ** 2 * (1 - Z), 1),
        ((X - Y) ** 3, None),
        (2 - 4 * X * Y, 1),
        (1 - 4 * X * Y, None),  # nonnegative, but it touches 0 at x = y = 1/2, inside an edge: that takes a square
        (RING.constant(0), 0),
    ],
)
def test_known_signs(polynomial, sign):
    assert Signs(REGION).sign(polynomial) == sign


@pytest.mark.exact
@given(polynomial=polynomials, point=points)
def test_bernstein_coefficients_are_those_of_the_same_polynomial(polynomial, point):
    """The homogeneous form, put together again in barycentric coordinates, has the polynomial's value (times the number that made it whole)."""
    if polynomial == 0:
        return
    kinds, tensor = bernstein_coefficients(polynomial, REGION)
    x, y, z, g, v = point
    degrees = polynomial.degrees()
    triangle = max((a + b for a, b, *_ in polynomial.to_dict()), default=0)
    total = fmpq(0)
    from proofs_check.engine.polynomials import _homogenising

    axes = []
    if degrees[0] or degrees[1]:
        axes.append([(x**a) * (y**b) * (1 - x - y) ** (triangle - a - b) for a, b in _homogenising(2, triangle)[0]])
    if degrees[2]:
        axes.append([z**k * (1 - z) ** (degrees[2] - k) for (k,) in _homogenising(1, degrees[2])[0]])
    for index in np.ndindex(tensor.shape):
        value = fmpq(int(tensor[index])) * g ** int(kinds[index[0]][3]) * v ** int(kinds[index[0]][4])
        for axis, k in zip(axes, index[1:], strict=True):
            value *= axis[k]
        total += value
    scale = next(iter(whole_terms(polynomial).items()))
    assert total == polynomial(*point) * scale[1] / polynomial.to_dict()[scale[0]]


@pytest.mark.exact
def test_large_coefficients_do_not_overflow():
    huge = 10**30
    assert bernstein_sign(huge * (1 - Z) ** 2 + 1, REGION) == 1
    assert bernstein_sign((1 - Z) ** 2 * huge - 1, REGION) is None
