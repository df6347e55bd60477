"""Risk measures: duals against cvxpy, three arithmetics, axioms, limits, bad input."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from flint import arb, fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

from mdps import ModelError
from mdps.rational import fraction, rational_array, to_float
from mdps.strategies import distributions, fractions
from pgtheory import arithmetic, risk
from pgtheory.risk import exponential, tail
from pgtheory.risk.scoring import EntropicScore, MeanVariance, TailScore, alternate, variance
from tests.pgtheory.risk import plain

COHERENT = (
    "cvar:3/10",
    "cvar:1",
    "mean-cvar:1/4,1/2",
    "spectral:1/10=1/3,1/2=2/3",
    "semideviation:1/2",
    "semideviation:1",
    "semideviation:3/4,2",
    "evar:2/5",
)
ALL = (*COHERENT, "entropic:2", "mean", "worst", "evar:1", "evar:0", "entropic:0", "cvar:0")
SOLVER = 2e-6
"""What Clarabel leaves open: its relative gap is 1e-8, and the value of an exponential cone program follows the square root of the violation."""
ROUNDING = 64 * np.finfo(float).eps


@st.composite
def laws(draw: st.DrawFn, size: int = 6) -> tuple[Any, Any]:
    """(probabilities, outcomes) as rationals; zero probabilities, ties and single atoms occur."""
    n = draw(st.integers(1, size))
    p = draw(distributions(n, exact=True))
    return p, rational_array([draw(fractions(-2, 2)) for _ in range(n)])


@settings(max_examples=8)
@given(law=laws())
@pytest.mark.parametrize(
    "text", ["cvar:3/10", "mean-cvar:1/4,1/2", "spectral:1/10=1/3,1/2=2/3", "semideviation:1/2", "semideviation:3/4,2", "evar:2/5", "entropic:2"]
)
def test_value_is_the_minimum_over_the_dual_set(text: str, law: Any) -> None:
    p, x = to_float(law[0]), to_float(law[1])
    measure = risk.parse(text)
    value, worst = measure.worst(p, x)
    assert abs(value - plain.worst_by_cvxpy(text, p, x)) <= SOLVER * (1 + np.abs(x).max())
    assert abs(worst.sum() - 1) <= ROUNDING
    assert (worst >= 0).all() and not worst[p == 0].any()
    assert (
        abs(worst @ x + measure.penalty(worst, p) - value) <= 1e-11
    )  # EVaR: the bisection ends at the resolution of the divergence, 1e-16 over beta
    assert abs(measure.value(p, x) - value) <= 1e-11


@settings(max_examples=8)
@given(law=laws())
@pytest.mark.parametrize("text", ALL)
def test_arithmetics_agree_and_balls_contain_the_truth(text: str, law: Any) -> None:
    p, x = law
    measure = risk.parse(text)
    approximate = float(measure.value(to_float(p), to_float(x)))
    ball = measure.value(arithmetic.balls(p), arithmetic.balls(x))
    assert isinstance(ball, arb)
    assert abs(float(ball.mid()) - approximate) <= float(ball.rad()) + 1e-11
    assert ball.rad() < 1e-6  # near-ties of EVaR with the smallest outcome are the widest
    if measure.rational:
        exact, worst = measure.worst(p, x)
        assert isinstance(exact, fmpq) and exact == measure.value(p, x)
        assert ball.overlaps(arb(exact))
        assert worst.sum() == 1 and (worst >= 0).all()


@settings(max_examples=25)
@given(law=laws(), level=fractions(0, 1).filter(lambda a: a > 0))
def test_three_forms_of_cvar(law: Any, level: Fraction) -> None:
    """Rockafellar and Uryasev (2000): sorted tail mean = maximum over thresholds = minimum over the dual set, in rationals."""
    p, x = law
    value = risk.cvar(p, x, level)
    assert fraction(value) == plain.lower_tail_mean(plain.fractions(p), plain.fractions(x), level)
    assert value == max(risk.cvar_sup(p, x, level, eta) for e, eta in zip(p, x, strict=True) if e != 0)
    assert value == risk.cvar_sup(p, x, level, risk.var(p, x, level))
    assert abs(plain.cvar_program(to_float(p), to_float(x), float(level)) - float(fraction(value))) <= 1e-9


@settings(max_examples=20)
@given(law=laws(), shift=fractions(-2, 2), factor=fractions(0, 3))
@pytest.mark.parametrize("text", COHERENT)
def test_axioms(text: str, law: Any, shift: Fraction, factor: Fraction) -> None:
    """Between the smallest outcome and the mean; translation; homogeneity; monotone; superadditive on one space."""
    p, x = to_float(law[0]), to_float(law[1])
    measure = risk.parse(text)
    value = measure.value(p, x)
    near = 1e-11
    assert x[p > 0].min() - near <= value <= p @ x + near
    assert abs(measure.value(p, x + float(shift)) - value - float(shift)) <= near
    assert abs(measure.value(p, x * float(factor)) - float(factor) * value) <= near * 3
    y = np.abs(np.sin(np.arange(x.size) + x))
    assert measure.value(p, x + y) >= value - near
    assert measure.value(p, x + y) >= value + measure.value(p, y) - near
    assert measure.of_costs(p, -x) == -measure.value(p, x)


@settings(max_examples=20)
@given(law=laws(), beta=st.sampled_from([1e-8, 1e-3, 0.3, 2.0, 50.0]), factor=fractions("1/10", 3))
def test_entropic_risk_changes_its_level_with_the_unit_and_is_convex(law: Any, beta: float, factor: Fraction) -> None:
    p, x = to_float(law[0]), to_float(law[1])
    measure = risk.Entropic(beta)
    assert abs(measure.value(p, float(factor) * x) - float(factor) * measure.scaled(float(factor)).value(p, x)) <= 1e-12
    mean, width = p @ x, np.ptp(x[p > 0])
    assert mean - beta * width**2 / 8 - 1e-12 <= measure.value(p, x) <= mean + 1e-12  # Hoeffding's lemma


@settings(max_examples=20)
@given(law=laws(), level=st.sampled_from([1e-3, 0.1, 0.5, 0.9, 0.999]))
def test_order_of_the_measures(law: Any, level: float) -> None:
    p, x = to_float(law[0]), to_float(law[1])
    low, evar, cvar, mean = (risk.parse(text).value(p, x) for text in ("worst", f"evar:{level}", f"cvar:{level}", "mean"))
    assert low <= evar + 1e-12 and evar <= cvar + 1e-10 and cvar <= mean + 1e-12
    for beta in (0.1, 1.0, 10.0):
        assert evar >= risk.entropic(p, x, beta) + math.log(level) / beta - 1e-10


def test_limits_of_the_levels() -> None:
    p, x = np.array([0.0, 0.25, 0.75]), np.array([-9.0, 1.0, 2.0])  # the impossible outcome never counts
    for text in ("worst", "cvar:0", "evar:0", "entropic:inf", "spectral:0=1", "cvar:0.0000001", "evar:0.2"):
        assert risk.parse(text).value(p, x) == pytest.approx(1.0, abs=1e-15), text
    for text in ("mean", "cvar:1", "evar:1", "entropic:0", "semideviation:0", "mean-cvar:0.1,0"):
        assert risk.parse(text).value(p, x) == 1.75, text
    assert risk.cvar(p, x, np.array(0.25)) == 1.0
    assert risk.entropic(p, x, 1e-300) == pytest.approx(1.75, abs=1e-15)
    assert risk.evar([1.0], [3.0], 0.1) == 3.0
    assert risk.entropic([0.5, 0.5], [-1e308, 1e308], 1.0) == -1e308


def test_leading_dimensions_and_arrays_of_levels() -> None:
    rng = np.random.default_rng(0)
    p, x = rng.dirichlet(np.ones(4), (2, 3)), rng.normal(size=(2, 3, 4))
    levels = rng.random((2, 3))
    for function in (risk.cvar, risk.evar, risk.entropic, risk.var):
        out = function(p, x, levels)
        assert out.shape == (2, 3)
        one = np.array([[function(p[i, j], x[i, j], levels[i, j]) for j in range(3)] for i in range(2)])
        assert np.array_equal(out, one)
    for text in ALL:
        measure = risk.parse(text)
        values, worst = measure.worst(p, x[0, 0])
        assert values.shape == (2, 3) and worst.shape == (2, 3, 4)
    balls = risk.cvar(arithmetic.balls(p), arithmetic.balls(x), arithmetic.balls(levels))
    assert all(b.contains(arb(v)) or abs(float(b.mid()) - v) < 1e-14 for b, v in zip(balls.ravel(), risk.cvar(p, x, levels).ravel(), strict=True))


def test_text_and_fractions_are_read_exactly() -> None:
    assert risk.cvar(["1/4", "3/4"], [Fraction(1, 3), 1], "1/2") == fmpq(2, 3)
    assert risk.cvar([Fraction(1, 4), Fraction(3, 4)], ["1/3", "1"], Fraction(1, 2)) == fmpq(2, 3)
    assert risk.CVaR(0.1).value(rational_array(["1/10", "9/10"]), rational_array([0, 1])) == 0  # 0.1 is 1/10 beside rationals


def test_value_at_risk_takes_the_lower_quantile_and_is_no_cvar() -> None:
    half = rational_array(["1/2", "1/2"])
    x = rational_array([0, 10])
    assert risk.var(half, x, "1/2") == 0 and risk.var(half, x, "3/4") == 10 and risk.var(half, x, 0) == 0
    assert risk.cvar(half, x, "3/4") == fmpq(10, 3)
    assert risk.var(np.full(10, 0.1), np.arange(10.0), 0.3) == 2.0  # the cumulative sum 0.30000000000000004 is the level


def test_the_penalty_of_a_law_outside_the_envelope_is_infinite() -> None:
    p = np.array([0.5, 0.5, 0.0])
    for text in ("cvar:9/10", "spectral:9/10=1", "mean-cvar:9/10,1", "semideviation:1/10", "semideviation:1/10,2", "evar:0.99", "mean"):
        measure = risk.parse(text)
        assert measure.penalty(p, p) == 0
        assert measure.penalty(np.array([1.0, 0.0, 0.0]), p) == math.inf
        assert measure.penalty(np.array([0.5, 0.4, 0.1]), p) == math.inf
    assert risk.Worst().penalty(np.array([1.0, 0.0, 0.0]), p) == 0
    assert risk.Entropic(2).penalty(np.array([1.0, 0.0, 0.0]), p) == pytest.approx(math.log(2) / 2)
    assert risk.Entropic("inf").penalty(np.array([0.0, 0.5, 0.5]), p) == math.inf


@pytest.mark.parametrize("scoring", [variance(), MeanVariance("1/2"), TailScore("3/10"), EntropicScore(2)])
@settings(max_examples=15)
@given(law=laws())
def test_a_scoring_rule_is_least_at_its_threshold(scoring: Any, law: Any) -> None:
    p, x = to_float(law[0]), to_float(law[1])
    value = scoring.value(p, x)
    grid = np.linspace(-3, 3, 121)
    expected = np.array([scoring.expected(p, x, v) for v in grid])
    assert (expected >= value - 1e-12).all()
    known = {"mean-variance": None, "cvar": lambda: -risk.cvar(p, -x, 0.3), "entropic": lambda: -risk.entropic(p, -x, 2)}[scoring.name]
    spread = p @ (x - p @ x) ** 2
    target = known() if known else (spread if not scoring.mean else p @ x + spread / 2)
    assert abs(value - target) <= 1e-12


def test_alternating_minimisation_stops_above_the_optimum() -> None:
    laws = rational_array([["1", "0"], ["1/4", "3/4"]]), rational_array([[3, 0], [4, 0]])
    choices, values = alternate(TailScore("1/2"), *laws, 3)
    assert choices[-1] == 0 and values[-1] == 3
    assert TailScore("1/2").value(laws[0][1], laws[1][1]) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cvar:-0.1", "risk level is -1/10; it must be in \\[0, 1\\]"),
        ("cvar:1.5", "risk level is 3/2"),
        ("cvar:nan", "'nan'"),
        ("cvar:x", "'x'"),
        ("cvar", "of the form cvar:LEVEL"),
        ("cvar:1,2", "of the form cvar:LEVEL"),
        ("cvr:0.1", "Did you mean cvar"),
        ("", "no risk measure ''"),
        ("entropic:-1", "beta is -1"),
        ("evar:2", "risk level is 2"),
        ("mean-cvar:0.1", "of the form mean-cvar"),
        ("mean-cvar:0.1,2", "weight of CVaR is 2; it must be a number in \\[0, 1\\]"),
        ("spectral:0.1=0.5", "sum to 1/2, not 1"),
        ("spectral:0.1", "LEVEL=WEIGHT"),
        ("spectral", "0 levels"),
        ("spectral:0.1=-1,0.2=2", "weight 0 .* is -1"),
        ("semideviation:2", "weight of the semideviation is 2"),
        ("semideviation:1/2,3", "order of the semideviation is 3"),
    ],
)
def test_bad_measures_name_the_figure(text: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        risk.parse(text)


@pytest.mark.parametrize("text", ALL)
def test_text_reads_back(text: str) -> None:
    measure = risk.parse(text)
    assert risk.parse(measure.text) == measure
    assert risk.parse(measure) is measure


def test_bad_laws_and_numbers_name_the_place() -> None:
    measure = risk.CVaR("1/2")
    cases: list[tuple[Any, Any, str]] = [
        ([0.5, 0.6], [0, 1], "sum to 1.1"),
        ([1.5, -0.5], [0, 1], r"probabilities\[1\] is -0.5"),
        ([0.5, 0.5], [0, math.nan], r"outcomes\[1\] is nan"),
        ([1.0], [0.0, 1.0], "must agree"),
        ([], [], "at least 1"),
        (rational_array(["1/2", "1/3"]), rational_array([0, 1]), "sum to 5/6"),
    ]
    for p, x, words in cases:
        with pytest.raises(ModelError, match=words):
            measure.checked_value(p, x)
    with pytest.raises(TypeError, match="leaves the rationals"):
        risk.entropic(rational_array(["1"]), rational_array([0]), 1)
    with pytest.raises(TypeError, match="leaves the rationals"):
        risk.evar(rational_array(["1"]), rational_array([0]), "1/2")
    with pytest.raises(ModelError, match="level is 0"):
        TailScore(0)
    with pytest.raises(ModelError, match="above 0"):
        EntropicScore(0)
    with pytest.raises(ModelError, match="weight of the variance is -1"):
        MeanVariance(-1)
    with pytest.raises(ModelError, match="level is nan"):
        risk.cvar([1.0], [0.0], math.nan)
    with pytest.raises(ModelError, match="beta is nan"):
        risk.entropic([1.0], [0.0], math.nan)


def test_balls_decide_only_what_is_decided() -> None:
    blur = arb(0, 1)
    values = np.array([arb(1) + blur, arb(1) - blur], dtype=object)
    p = arithmetic.balls(rational_array(["1/2", "1/2"]))
    with pytest.raises(arithmetic.Undecided):
        tail.cvar_worst(p, values, "1/4")
    assert risk.cvar(p, values, "1/4").contains(arb(1))  # the value needs no order
    with pytest.raises(arithmetic.Undecided, match="possible"):
        risk.cvar(np.array([blur, 1 - blur], dtype=object), values, 0)
    with arithmetic.precision(200):
        ball = exponential.evar(arithmetic.balls(rational_array(["1/3", "2/3"])), arithmetic.balls(rational_array([0, 1])), "1/2")
        assert ball.rad() < 1e-40
