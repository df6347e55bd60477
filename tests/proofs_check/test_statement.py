"""Statements: sympy decides nothing, sides and direction stay as written, text reads back."""

from __future__ import annotations

import functools

import pytest
import sympy
from flint import fmpq
from hypothesis import given
from hypothesis import strategies as st
from sympy import log, prime

from proofs_check import quantities as q
from proofs_check.expression import ExpressionError
from proofs_check.quantities import gap, latex_names, parse, quantities
from proofs_check.statement import Statement, equal, parse_statement


def test_nothing_is_decided_because_a_quantity_happens_to_be_positive():
    """With assumptions sympy would turn each of these into True or False on the spot."""
    for comparison in (q.T >= 0, q.gap_rho <= q.gap_rho + q.T, q.gap_rho >= 0, q.gamma <= 1, q.c_inf >= 0):
        assert Statement.of(comparison).names()
    assert equal(q.gap_rho, -q.T).relation == "="
    assert all(not symbol.assumptions0.get("positive") for symbol in (q.gamma, q.T, q.eta, q.gap_rho))


def test_a_truth_value_or_a_chain_is_no_statement():
    with pytest.raises(ExpressionError, match="truth value"):
        Statement.of(q.gap_rho == q.T)
    with pytest.raises(ExpressionError, match="truth value"):
        Statement.of(sympy.Integer(1) <= 2)
    with pytest.raises(TypeError):
        0 <= q.gap_rho <= q.T  # noqa: B015  Python asks the first comparison for a truth value
    with pytest.raises(ExpressionError, match="uses <=, >= or equal"):
        Statement.of(q.gap_rho < q.T)
    with pytest.raises(ExpressionError, match="uses <=, >= or equal"):
        Statement.of(sympy.Eq(q.gap_rho, q.T))
    with pytest.raises(ExpressionError, match="no statement"):
        Statement.of(q.gap_rho + q.T)


def test_sides_and_direction():
    statement = Statement.of(gap(q.rho, q.T) <= log(q.A) / (q.eta * q.T))
    assert statement.left == q.gap_rho and statement.relation == "<=" and statement.right == log(q.A) / (q.eta * q.T)
    assert Statement.of(gap(q.rho, q.T) >= 3).relation == ">="
    turned = Statement.of(3 >= gap(q.rho, q.T))  # Python hands sympy gap <= 3: the same statement
    assert (turned.left, turned.relation, turned.right) == (q.gap_rho, "<=", sympy.Integer(3))


def test_floats_and_unknown_quantities_are_refused():
    with pytest.raises(ExpressionError, match="float"):
        Statement.of(gap(q.rho, q.T) <= 0.5 * q.eta)
    with pytest.raises(ExpressionError, match=r"unknown quantity.*gap_rho"):
        Statement.of(sympy.Symbol("gap_rh") <= q.T)
    with pytest.raises(ExpressionError, match="as a number"):
        parse("rho + 1")
    for wrong in ("gap(gamma, t)", "gap(rho, 1)", "gap(rho, 0)", "gap(rho)"):
        with pytest.raises(ExpressionError):
            parse(wrong)
    with pytest.raises(AttributeError, match="gamma"):
        q.gama  # noqa: B018


def test_what_a_statement_speaks_of():
    assert Statement.of(q.hessian_norm <= 1 / (1 - q.gamma)).over == "step"
    assert Statement.of(q.mismatch <= 1 / (1 - q.gamma)).over == "instance"
    assert Statement.of(q.next_state_values >= q.state_values).over == "pair"
    assert Statement.of(gap(q.rho, q.T) <= 1 / q.c_inf).history and not Statement.of(gap(q.rho, q.T) <= 1).history
    assert Statement.of(gap(q.rho, q.T) <= 1).is_ratio
    assert not Statement.of(q.next_policy_advantage >= 0).is_ratio  # a ratio to 0 says nothing
    assert not Statement.of(q.next_state_values >= q.state_values).is_ratio and not equal(q.gap_rho, q.T).is_ratio


def test_text_of_a_statement():
    assert parse_statement("gap(rho, t) <= log(A)/(eta*t)") == Statement.of(gap(q.rho, q.T) <= log(q.A) / (q.eta * q.T))
    assert parse_statement("gap_rho >= T/2") == Statement.of(q.gap_rho >= q.t / 2)
    assert parse_statement("gap_rho = t") == parse_statement("gap_rho == t") == equal(q.gap_rho, q.T)
    with pytest.raises(ExpressionError, match="needs <=, >= or ="):
        parse_statement("gap_rho")
    for strict in ("gap_rho < t", "gap_rho > t", "gap_rho <= t <= 1", "gap_rho =< t", "gap_rho != t"):
        with pytest.raises(ExpressionError):
            parse_statement(strict)


TREES = st.recursive(
    st.sampled_from(sorted(quantities())).map(sympy.Symbol) | st.integers(-4, 9).map(sympy.Integer),
    lambda inner: (
        st.builds(lambda a, b: a + b, inner, inner)
        | st.builds(lambda a, b: a * b, inner, inner)
        | st.builds(lambda a, b: a / (1 + b**2), inner, inner)
    ),
    max_leaves=5,
)


@functools.cache
def _prime_values():
    """A ratio of two primes for every quantity."""
    names = sorted(quantities())
    primes = [prime(k) for k in range(1, len(names) + 11)]
    return {name: fmpq(primes[k + 9], primes[k + 1]) for k, name in enumerate(names)}


@given(left=TREES, right=TREES, relation=st.sampled_from(["<=", ">=", "="]))
def test_statements_read_back_from_their_text(left, right, relation):
    """The same numbers at points where nothing is special (sympy may multiply out 2*(x + 1) as it reads)."""
    statement = Statement(left, relation, right)
    back = parse_statement(statement.text())
    assert back.relation == relation and back.names() <= statement.names()
    values = _prime_values()
    assert back.sides(values, fmpq) == statement.sides(values, fmpq)


def test_replacing_the_bound_keeps_the_measured_side():
    statement = Statement.of(gap(q.rho, q.T) <= 1 / q.T)
    assert statement.replace_bound("2/t") == Statement.of(gap(q.rho, q.T) <= 2 / q.T)
    assert statement.replace_bound(sympy.Integer(7)).right == 7
    with pytest.raises(ExpressionError):
        statement.replace_bound(0.5)


def test_every_quantity_has_words_and_a_symbol():
    for name, found in quantities().items():
        assert found.name == name and found.meaning and found.latex == latex_names()[name]
        assert found.varies in ("instance", "step", "pair")
        assert getattr(q, name) == sympy.Symbol(name)
