"""Expressions: nothing of a text is executed, numbers are exact, one walk serves floats, rationals and balls."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy
from flint import arb, fmpq
from hypothesis import given
from hypothesis import strategies as st

from pgtheory import arithmetic
from proofs_check import expression
from proofs_check.expression import ExpressionError, check_exact, evaluate, parse, text
from proofs_check.statement import Statement
from tests import tolerances

NAMES = {name: sympy.Symbol(name) for name in ("gamma", "S", "A", "t", "eta", "c_inf")}
FLOAT = {"gamma": 0.75, "S": 3.0, "A": 2.0, "t": 5.0, "eta": 0.125, "c_inf": 0.5}
RATIONAL = {name: fmpq(*value.as_integer_ratio()) for name, value in FLOAT.items()}


def in_floats(tree):
    return evaluate(tree, FLOAT, lambda p, q: p / q)


def in_rationals(tree):
    return evaluate(tree, RATIONAL, lambda p, q: fmpq(p, q))


def in_balls(tree, bits=200):
    with arithmetic.precision(bits):
        return evaluate(tree, {name: arb(value) for name, value in RATIONAL.items()}, lambda p, q: arb(fmpq(p, q)))


@pytest.mark.parametrize(
    "attack",
    [
        '__import__("os").getpid()',
        "gamma.__class__",
        "gamma[0]",
        "(lambda: 1)()",
        "[1 for x in (1,)]",
        "'1'",
        "True",
        "None",
        "gamma if 1 else S",
        "gamma < S",
        "gamma and S",
        "not gamma",
        "exec('1')",
        "eval('1')",
        "log(gamma, base=2)",
        "log(*[1])",
        "f'{gamma}'",
        "gamma // S",
        "gamma % S",
        "gamma @ S",
        "~gamma",
        "(x := 1)",
        "1j",
        "gamma, S",
        "",
        "1 +",
        "import os",
        "gamma; S",
    ],
)
def test_text_that_is_no_expression_is_refused_and_nothing_of_it_runs(attack):
    with pytest.raises(ExpressionError):
        parse(attack, NAMES)


def test_names_that_mean_something_in_sympy_are_quantities_or_unknown():
    assert parse("S", NAMES) == sympy.Symbol("S")
    for name in ("pi", "E", "I", "Q", "N", "beta", "lambda_", "oo", "zoo", "nan"):
        with pytest.raises(ExpressionError, match="unknown quantity"):
            parse(name, NAMES)


def test_decimals_are_exact():
    assert parse("0.1", NAMES) == sympy.Rational(1, 10)
    assert parse("1e-3 + 2.50", NAMES) == sympy.Rational(2501, 1000)
    assert parse("1_000.5", NAMES) == sympy.Rational(2001, 2)
    assert parse("0.1 + 0.2", NAMES) == sympy.Rational(3, 10)
    assert not parse("0.3*gamma/7", NAMES).has(sympy.Float)


def test_a_caret_gets_a_hint_and_unknown_names_their_neighbours():
    with pytest.raises(ExpressionError, match=r"written \*\*"):
        parse("gamma^2", NAMES)
    with pytest.raises(ExpressionError, match="gamma"):
        parse("gama", NAMES)
    with pytest.raises(ExpressionError, match="log"):
        parse("lgo(S)", NAMES)
    with pytest.raises(ExpressionError, match="one argument"):
        parse("log(S, A)", NAMES)
    with pytest.raises(ExpressionError, match="divides by zero"):
        parse("S/(1 - 1)", NAMES)


def test_check_exact_refuses_floats_and_truth_values():
    gamma = NAMES["gamma"]
    for inexact in (0.5, gamma * 0.5, gamma**0.5, sympy.Float(1)):
        with pytest.raises(ExpressionError, match="float"):
            check_exact(inexact)
    for truth in (True, sympy.true, sympy.Integer(3) >= 2):
        with pytest.raises(ExpressionError, match="truth value"):
            check_exact(truth)
    for other in ("gamma", None, gamma <= 1, [gamma]):
        with pytest.raises((ExpressionError, sympy.SympifyError)):
            check_exact(other)
    assert check_exact(Fraction(1, 3)) == sympy.Rational(1, 3)
    assert check_exact(3) == sympy.Integer(3)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("abs(exp(gamma))", math.exp(0.75)),
        ("abs(-exp(gamma - S))", math.exp(-2.25)),
        ("abs(2**gamma)", 2**0.75),
        ("1 + abs(S*exp(gamma))", 1 + 3 * math.exp(0.75)),
        ("abs(exp(gamma*S)**2)", math.exp(4.5)),
    ],
)
def test_every_quantity_is_real(words, expected):
    """sympy, which takes none for real, writes |exp(x)| as exp(re(x)): read from text, from a tree, or put into a statement, it is |exp(x)|."""
    tree = parse(words, NAMES)
    assert in_floats(tree) == pytest.approx(expected, rel=8 * tolerances.EPS, abs=0) and parse(text(tree), NAMES) == tree
    raw = sympy.Abs(sympy.exp(NAMES["gamma"]))
    assert raw.has(sympy.re) and not check_exact(raw).has(sympy.re) and not Statement(raw, ">=", raw).right.has(sympy.re)


SMALL = st.integers(1, 6).map(sympy.Integer) | st.builds(sympy.Rational, st.integers(-9, 9), st.integers(1, 9))
LEAVES = SMALL | st.sampled_from(list(NAMES.values()))


def _grow(inner):
    return st.one_of(
        st.builds(lambda a, b: a + b, inner, inner),
        st.builds(lambda a, b: a - b, inner, inner),
        st.builds(lambda a, b: a * b, inner, inner),
        st.builds(lambda a, b: a / b if b != 0 else a, inner, inner),
        st.builds(lambda a, n: a**n if a != 0 else a, inner, st.integers(-3, 3)),
        st.builds(lambda a, b: sympy.Max(a, b), inner, inner),
        st.builds(lambda a, b: sympy.Min(a, b), inner, inner),
        st.builds(sympy.Abs, inner),
    )


def _finite(tree):
    return not tree.has(sympy.zoo, sympy.nan, sympy.oo)


RATIONAL_TREES = st.recursive(LEAVES, _grow, max_leaves=8).filter(_finite)
TREES = (
    st.recursive(
        LEAVES,
        lambda inner: (
            _grow(inner) | inner.map(lambda a: sympy.log(1 + a**2)) | inner.map(lambda a: sympy.exp(-(a**2))) | inner.map(lambda a: sympy.sqrt(a**2))
        ),
        max_leaves=8,
    )
    .map(expression.real)
    .filter(lambda tree: _finite(tree) and not tree.has(sympy.I))
)


@given(tree=TREES)
def test_text_reads_back_to_the_same_expression(tree):
    """The same number (sympy may multiply out 2*(x + 1) as it reads), to 200 bits."""
    back = parse(text(tree), NAMES)
    assert back == tree or (back.free_symbols == tree.free_symbols and in_balls(back).overlaps(in_balls(tree)))


@given(tree=RATIONAL_TREES)
def test_three_arithmetics_agree(tree):
    """Rationals are exact; the ball holds them; floats are near unless something cancelled (the ball at 53 bits says how much)."""
    try:
        exact = in_rationals(tree)
    except ZeroDivisionError:  # the tree divides by a difference that vanishes at these values
        return
    assert isinstance(exact, fmpq)
    rough = in_balls(tree, bits=53)
    with arithmetic.precision(2000):
        assert in_balls(tree).overlaps(arb(exact)) and rough.overlaps(arb(exact))
    if rough.is_finite() and abs(float(exact)) < 1e100:
        # a float evaluation makes the same roundings as the centre of a 53-bit ball, and its radius bounds them
        assert abs(Fraction(in_floats(tree)) - Fraction(int(exact.p), int(exact.q))) <= 4 * Fraction(float(rough.rad())) + Fraction(1, 10**100)


def test_evaluation_is_elementwise_on_arrays():
    tree = parse("log(A)/(eta*t) + 1/((1-gamma)**2*t)", NAMES)
    values = {"A": np.array([2.0, 3.0]), "eta": 0.5, "t": np.array([[1.0], [4.0]]), "gamma": 0.5}
    expected = np.log([2.0, 3.0]) / (0.5 * np.array([[1.0], [4.0]])) + 4 / np.array([[1.0], [4.0]])
    assert np.allclose(evaluate(tree, values, lambda p, q: p / q), expected, rtol=1e-15, atol=0)


def test_roots_and_logarithms_leave_the_rationals():
    for words in ("log(S)", "exp(gamma)", "sqrt(S)", "S**(1/2)", "eta**(3/2)"):
        with pytest.raises((TypeError, AttributeError)):
            in_rationals(parse(words, NAMES))
        assert in_balls(parse(words, NAMES)).contains(arb(in_floats(parse(words, NAMES)))) or in_balls(parse(words, NAMES)).rad() < 1e-50


def test_powers_of_zero_and_of_balls_around_zero():
    """0^0 is 1, as in gamma^t at gamma = 0, t = 0; and x*x of a ball around 0 is a ball, where flint's own power is undefined."""
    tree = parse("gamma**t", NAMES)
    for zero, one in ((fmpq(0), fmpq(1)), (arb(0), arb(1)), (0.0, 1.0)):
        assert evaluate(tree, {"gamma": zero, "t": zero}, None) == one
        assert evaluate(tree, {"gamma": zero, "t": one}, None) == zero
    around = evaluate(parse("gamma**2", NAMES), {"gamma": arb(0, 1)}, None)
    assert around.is_finite() and around.contains(0)


@pytest.mark.exact
def test_what_is_no_number_in_floats_is_no_certain_ball():
    """sqrt and log of a negative number, and 1/0: a ball must not turn them into something a comparison could be certain of."""
    with np.errstate(all="ignore"):
        for words in (
            "sqrt(gamma - 1)",
            "log(gamma - 1)",
            "1/(gamma - 3/4)",
            "log(gamma - 3/4)",
            "(gamma - 1)**(1/2)",
            "(gamma - 1)**(3/2)",
            "max(log(gamma - 1), 0)",
        ):
            tree = parse(words, NAMES)
            ball = evaluate(tree, {"gamma": arb("0.75")}, lambda p, q: arb(fmpq(p, q)))
            assert not (ball < 0) and not (ball >= 0), words


def test_a_symbol_without_a_value_is_named():
    with pytest.raises(ExpressionError, match="eta has no value"):
        evaluate(parse("eta*gamma", NAMES), {"gamma": 0.5}, lambda p, q: p / q)


def test_latex_uses_the_quantities_own_symbols():
    assert expression.latex(parse("1/(1-gamma)", NAMES), {"gamma": r"\gamma"}) == r"\frac{1}{1 - \gamma}"
