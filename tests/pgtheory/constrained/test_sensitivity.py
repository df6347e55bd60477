"""What thresholds are worth: all multipliers and kinks in rationals, against closed forms and mixtures of deterministic policies."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings

import mdps
from mdps import ModelError, zoo
from mdps.rational import fraction
from pgtheory.constrained import InfeasibleError, diagnose, multiplier_ranges, solve_constrained_exactly, value_curve
from tests.pgtheory.constrained import plain

CASES = zoo.constrained_cases()
EPS = Fraction(1, 10**9)
"""Smaller than the distance between a threshold and the next kink in every problem below, whose fractions have small denominators."""


@pytest.mark.parametrize("name", CASES)
def test_all_multipliers_of_the_table(name):
    case = CASES[name]
    found = multiplier_ranges(case.problem)
    assert [(fraction(r.least), None if r.most is None else fraction(r.most)) for r in found] == list(case.multipliers)
    assert [r.is_unique for r in found] == [low == high for low, high in case.multipliers]


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.curve])
def test_the_curve_of_the_table_has_its_kinks_and_no_others(name):
    case = CASES[name]
    low, high = min(case.curve), max(case.curve)
    curve = value_curve(case.problem, 0, low, high)
    assert dict(zip(map(fraction, curve.thresholds), map(fraction, curve.values), strict=True)) == dict(case.curve)
    corners = plain.points(case.problem)
    sign = -1 if case.problem.directions[0] == ">=" else 1
    for k in range(13):  # between the kinks too
        at = low + (high - low) * Fraction(k, 12)
        assert fraction(curve(at)) == plain.best_mixture(corners, [sign * at])


def test_the_piece_of_a_multiplier_ends_at_the_kinks():
    queue = {name: multiplier_ranges(CASES[name].problem)[0] for name in ("C9a", "C9b", "C9c")}
    assert [(fraction(queue[n].lowest), queue[n].highest and fraction(queue[n].highest)) for n in ("C9a", "C9b")] == [
        (Fraction(0), Fraction(11, 6)), (Fraction(11, 6), Fraction(2)),
    ]  # fmt: skip
    assert (fraction(queue["C9c"].lowest), queue["C9c"].highest) == (Fraction(2), None)
    gain = multiplier_ranges(CASES["C11"].problem)[0]
    assert (fraction(gain.lowest), fraction(gain.highest)) == (Fraction(0), Fraction(3))
    edge = multiplier_ranges(CASES["C15"].problem)[0]
    assert (fraction(edge.lowest), edge.most, fraction(edge.highest)) == (Fraction(0), None, Fraction(1))
    kink = multiplier_ranges(CASES["C6c"].problem)[0]
    assert (fraction(kink.lowest), fraction(kink.highest)) == (Fraction(0), Fraction(5, 8))


@settings(max_examples=25)
@given(problem=mdps.strategies.constrained_mdps(max_states=2))
def test_multipliers_are_the_one_sided_slopes_of_the_optimum(problem):
    if diagnose(problem) is not None:
        return
    corners, bounds = plain.points(problem), plain.bounds(problem)
    middle = plain.best_mixture(corners, bounds)
    solution = solve_constrained_exactly(problem)
    for i, found in enumerate(multiplier_ranges(problem)):
        sides = {s: plain.best_mixture(corners, [b + s * EPS if k == i else b for k, b in enumerate(bounds)]) for s in (1, -1)}
        assert (sides[1] - middle) / EPS == fraction(found.least)
        assert (found.most is None) == (sides[-1] is None)
        if found.most is not None:
            assert (middle - sides[-1]) / EPS == fraction(found.most)
        assert found.least <= solution.multipliers[i]
        assert found.most is None or solution.multipliers[i] <= found.most


@settings(max_examples=20)
@given(problem=mdps.strategies.constrained_mdps(max_states=2, max_constraints=2))
def test_a_curve_is_the_optimum_concave_and_monotone(problem):
    corners, bounds = plain.points(problem), plain.bounds(problem)
    rising = problem.directions[0] == "<="
    high = 1 / (1 - fraction(problem.exact.discount))
    try:
        curve = value_curve(problem, 0, 0, high)
    except InfeasibleError:
        assert plain.best_mixture(corners, [high if rising else Fraction(0), *bounds[1:]]) is None
        return
    sign = 1 if rising else -1
    for b, v in zip(curve.thresholds, curve.values, strict=True):
        assert plain.best_mixture(corners, [sign * fraction(b), *bounds[1:]]) == fraction(v)
    for k, slope in enumerate(curve.slopes):
        middle = (curve.thresholds[k] + curve.thresholds[k + 1]) / 2
        assert plain.best_mixture(corners, [sign * fraction(middle), *bounds[1:]]) == fraction(curve(middle))
        assert sign * slope >= 0
    assert all(a > b for a, b in zip(curve.slopes[:-1], curve.slopes[1:], strict=True))
    if fraction(curve.thresholds[0]) > 0:  # feasibility begins there, and not before
        assert rising
        assert plain.best_mixture(corners, [fraction(curve.thresholds[0]) - EPS, *bounds[1:]]) is None


def test_what_is_no_curve_is_refused():
    problem = CASES["C9a"].problem
    with pytest.raises(ModelError, match="from 2 to 1; the first must be the smaller"):
        value_curve(problem, "cost", 2, 1)
    with pytest.raises(ModelError, match="there is no constraint 'coast'"):
        value_curve(problem, "coast", 0, 1)
    with pytest.raises(InfeasibleError):
        value_curve(problem, 0, -2, -1)
    with pytest.raises(ModelError, match=r"outside 0 \.\. 1"):
        value_curve(problem, 0, 0, 1)(2)
    point = value_curve(problem, 0, 1, 1)
    assert fraction(point(1)) == CASES["C9a"].value
    assert point.slopes.size == 0
