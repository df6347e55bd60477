"""Proofs over rational functions: true identities are proved, false ones are not, whatever their form."""

from __future__ import annotations

import dataclasses

import pytest
from flint import Ordering, fmpq, fmpq_mpoly_ctx
from hypothesis import given
from hypothesis import strategies as st
from small import claim, the_case

from proofs_check import quantities as q
from proofs_check.catalogue import claims
from proofs_check.domains import Domain
from proofs_check.engine.symbolic import RationalFunction, proved, symbolic_context
from proofs_check.statement import equal

TWO = Domain(policy="any", other="any", mu="any", rho="mu", rewards=None)
RING = fmpq_mpoly_ctx.get(("a", "b"), Ordering.degrevlex)
A, B = (RationalFunction(g, RING.constant(1)) for g in RING.gens())


def case_of(left, right):
    return the_case(claim(equal(left, right), domain=TWO))


@pytest.mark.exact
@pytest.mark.parametrize(
    ("identifier", "form"),
    [(c.id, f.name) for c in claims().values() for f in c.forms if c.case(f).symbolic],
)
def test_the_catalogues_identities_are_proved_for_small_sizes(identifier, form):
    case = claims()[identifier].case(claims()[identifier].form(form))
    small = [size for size in case.symbolic if size in ((1, 1), (1, 2), (2, 2))]
    assert small
    for size in small:
        assert proved(case, *size)


@pytest.mark.exact
@pytest.mark.parametrize("size", [(1, 2), (2, 2)])
@pytest.mark.parametrize(
    ("left", "right"),
    [
        (q.direct_derivative, (1 - q.gamma) * q.direct_gradient),
        (q.direct_derivative, q.direct_gradient_with_advantages),
        (q.softmax_derivative, q.direct_gradient),
        ((1 - q.gamma) * q.other_value_difference, q.advantage_under_own_visits + q.gamma**7 * q.other_value_difference),
        (q.direct_derivative * (1 + q.gamma**9 / 10**9), q.direct_gradient),
        (q.other_value_difference, q.zero),
    ],
)
def test_what_is_false_is_not_proved(left, right, size):
    assert not proved(case_of(left, right), *size)


@pytest.mark.exact
def test_the_wrong_visits_are_right_where_there_is_one_state_only():
    """A proof speaks of its size and of no other."""
    wrong = case_of((1 - q.gamma) * q.other_value_difference, q.advantage_under_own_visits)
    assert proved(wrong, 1, 2) and not proved(wrong, 2, 2)


def test_only_equations_are_proved():
    with pytest.raises(ValueError, match="equations"):
        proved(the_case(claim(q.hessian_norm <= 1)), 1, 2)


def test_rows_sum_to_one_and_nothing_else_is_assumed():
    context = symbolic_context(2, 3, two_policies=True)
    one = context.discount[0] * 0 + 1
    for rows in (context.transitions, context.policies, context.other, context.mu):
        assert all(total == one for total in rows.sum(axis=-1).reshape(-1))
    assert symbolic_context(2, 2, two_policies=False).other is None


def at(function, a, b):
    """The value of a rational function at a point; None where its denominator vanishes."""
    below = function.below(a, b)
    return None if below == 0 else function.above(a, b) / below


FUNCTIONS = st.recursive(
    st.sampled_from([A, B]) | st.integers(-3, 3).map(lambda k: A * 0 + k),
    lambda inner: st.one_of(
        st.builds(lambda x, y: x + y, inner, inner),
        st.builds(lambda x, y: x - y, inner, inner),
        st.builds(lambda x, y: x * y, inner, inner),
        st.builds(lambda x, y: x / y if y.above != 0 else x, inner, inner),
    ),
    max_leaves=6,
)


@pytest.mark.exact
@given(x=FUNCTIONS, y=FUNCTIONS, a=st.integers(-9, 9), b=st.integers(-9, 9))
def test_arithmetic_of_rational_functions_is_arithmetic_of_their_values(x, y, a, b):
    a, b = fmpq(a, 7), fmpq(b, 11)
    u, w = at(x, a, b), at(y, a, b)
    if u is None or w is None:
        return
    for made, expected in ((x + y, u + w), (x - y, u - w), (x * y, u * w), (2 - x, 2 - u), (x * 3, 3 * u), (-x, -u), (x**2, u * u), (x**0, 1)):
        value = at(made, a, b)
        assert value is None or value == expected
    if y.above != 0 and w != 0:
        value = at(x / y, a, b)
        assert value is None or value == u / w
    assert (x == y) <= (u == w)  # equal functions have equal values


def test_division_by_the_zero_function():
    with pytest.raises(ZeroDivisionError):
        A / (B - B)
    with pytest.raises(TypeError):
        hash(A)


CONTROLS = ("pg-theorem-direct-and-softmax", "performance-difference")
"""Claims whose forms are all identities between rational functions for two states, and their controls too."""


@pytest.mark.exact
@pytest.mark.parametrize("identifier", CONTROLS)
def test_a_false_control_of_the_catalogue_is_not_proved(identifier):
    found = claims()[identifier]
    assert found.controls
    for control in found.controls:
        assert not proved(dataclasses.replace(found.case(control), kind="statement"), 2, 2)
