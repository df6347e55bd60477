"""Who can meet the thresholds, by how much, and what an infeasible problem is told: conflicts, certificates, relaxations that just do."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mdps
import pgtheory
from mdps import ConstrainedMDP, ModelError, zoo
from mdps.rational import fraction, rational_array
from pgtheory.constrained import (
    InfeasibleError,
    best_achievable,
    check_farkas,
    diagnose,
    evaluate_constrained,
    slater_gap,
    solve_constrained,
    solve_constrained_exactly,
)
from pgtheory.constrained.exactly import least_violation, occupancy_program, policy_basis
from pgtheory.constrained.feasibility import figure
from pgtheory.exact.simplex import maximise
from tests.pgtheory.constrained import plain

BANDIT = zoo.constrained_bandit((1, 1, 0), [(1, 0, 0), (0, 1, 0), (0, 0, 1)], ("1/3", "1/4", "1/3"))
"""Three arms, a cap on each: the caps sum to 11/12, the arms to 1."""
EPS = Fraction(1, 10**6)


def test_three_caps_in_conflict_are_told_what_is_missing():
    """By hand: 1/12 is missing, one cap may give all of it, or each a third."""
    found = diagnose(BANDIT)
    assert found.conflict == ("cost 1", "cost 2", "cost 3")
    assert [fraction(y) for y in found.certificate.multipliers] == [1, 1, 1]
    assert fraction(found.margin) == Fraction(1, 12) == fraction(check_farkas(BANDIT, found.certificate))
    assert [fraction(b) for b in found.alone] == [Fraction(5, 12), Fraction(1, 3), Fraction(5, 12)]
    assert fraction(found.common) == Fraction(1, 36)
    assert fraction(sum(found.relaxation)) == Fraction(1, 12)
    assert [fraction(b) for b in found.best] == [0, 0, 0]
    text = found.explain()
    assert "cost 1 <= 1/3 and cost 2 <= 1/4 and cost 3 <= 1/3 together, though it could meet any 2 of them" in text
    assert "every policy has cost 1 + cost 2 + cost 3 >= 1, the thresholds ask for at most 11/12" in text
    assert "all thresholds relaxed by 1/36 would do, and nothing less" in text


def test_a_bystander_is_no_part_of_the_conflict():
    problem = BANDIT.replace(thresholds=["-1", "1/4", "1/3"])
    found = diagnose(problem)
    assert found.conflict == ("cost 1",)
    assert [y == 0 for y in found.certificate.multipliers] == [False, True, True]
    assert found.alone[1] is None
    assert found.alone[2] is None
    assert fraction(found.alone[0]) == Fraction(5, 12)
    with pytest.raises(InfeasibleError, match=r"no policy meets cost 1 <= -1: the best achievable is 0"):
        solve_constrained(problem)


def test_constraints_from_both_sides_are_explained_with_their_signs():
    problem = ConstrainedMDP(BANDIT.mdp, [[[1, 0, 0]], [[1, 1, 0]]], ["1/2", "1/4"], ["a", "b"], [">=", "<="])
    found = diagnose(problem)
    assert found.conflict == ("a", "b")
    assert [fraction(b) for b in found.alone] == [Fraction(1, 4), Fraction(1, 2)]
    assert "every policy has b - a >= 0, the thresholds ask for at most -1/4" in found.explain()
    assert "one of these changes would do: a >= 1/4; b <= 1/2" in found.explain()


def test_weights_say_which_threshold_gives_way():
    cheap_second = diagnose(BANDIT, weights=[2, 1, 2])
    assert [fraction(v) for v in cheap_second.relaxation] == [0, Fraction(1, 12), 0]
    uneven = slater_gap(BANDIT, weights=[1, 1, 2])
    assert fraction(uneven.gap) == -Fraction(1, 48)  # 1/12 in four shares, two of them for the third
    for bad, message in (([1, 0, 1], r"weights\[1\] is 0; it must be above 0"), ([1, 1], r"weights has shape \(2,\)")):
        with pytest.raises(ModelError, match=message):
            slater_gap(BANDIT, weights=bad)
        with pytest.raises(ModelError, match=message):
            diagnose(BANDIT, weights=bad)


@settings(max_examples=20)
@given(problem=mdps.strategies.constrained_mdps(max_states=2))
def test_slater_gap_and_diagnosis_agree_with_mixtures_and_the_relaxations_just_do(problem):
    check_diagnosis(problem)


@settings(max_examples=15)
@given(problem=mdps.strategies.constrained_mdps(max_states=2, max_constraints=3), share=st.sampled_from(("0", "1/20", "1/3")))
def test_thresholds_near_the_best_of_each_cost_conflict_with_one_another(problem, share):
    """Each can be met, most of them not together."""
    room = rational_array([share])[0]
    best, signs = best_achievable(problem), [-1 if d == ">=" else 1 for d in problem.directions]
    near = [b + s * room for b, s in zip(best, signs, strict=True)]
    found = check_diagnosis(problem.replace(thresholds=rational_array(near)))
    assert found is None or len(found.conflict) > 1


def check_diagnosis(problem):
    """The Slater gap and, of an infeasible problem, everything that `diagnose` says about it, against mixtures of deterministic policies."""
    corners, bounds = plain.points(problem), plain.bounds(problem)
    gap = slater_gap(problem)
    upper = [(-1 if d == ">=" else 1) * fraction(v) for v, d in zip(gap.cost_values, problem.directions, strict=True)]
    assert min(b - v for b, v in zip(bounds, upper, strict=True)) == fraction(gap.gap)  # attained
    above = [b - fraction(gap.gap) for b in bounds]
    assert plain.best_mixture(corners, above) is not None
    assert plain.best_mixture(corners, [b - EPS for b in above]) is None  # and nobody does better
    assert (diagnose(problem) is None) == (gap.gap >= 0)
    found = diagnose(problem)
    if found is None:
        return None
    assert found.common == -gap.gap
    assert check_farkas(problem, found.certificate) == found.margin > 0
    signs = [-1 if d == ">=" else 1 for d in problem.directions]
    assert plain.best_mixture(corners, [b + fraction(v) for b, v in zip(bounds, found.relaxation, strict=True)]) is not None
    for i, bound in enumerate(found.alone):
        moved = list(bounds)
        if bound is None:
            moved[i] = Fraction(10**9)
            assert plain.best_mixture(corners, moved) is None
            continue
        moved[i] = signs[i] * fraction(bound)
        assert plain.best_mixture(corners, moved) is not None
        moved[i] -= EPS
        assert plain.best_mixture(corners, moved) is None
    chosen = [problem.index(name) for name in found.conflict]
    pick = [(v, tuple(c[i] for i in chosen)) for v, c in corners]
    assert plain.best_mixture(pick, [bounds[i] for i in chosen]) is None  # in conflict
    for left in chosen:
        rest = [i for i in chosen if i != left]
        fewer = [(v, tuple(c[i] for i in rest)) for v, c in corners]
        assert plain.best_mixture(fewer, [bounds[i] for i in rest]) is not None  # and none of them can be spared
    return found


@settings(max_examples=15)
@given(problem=mdps.strategies.constrained_mdps())
def test_the_best_of_each_cost_is_that_of_a_deterministic_policy(problem):
    corners = plain.points(problem)
    best = best_achievable(problem)
    for i, direction in enumerate(problem.directions):
        sign = -1 if direction == ">=" else 1
        assert fraction(best[i]) == sign * min(costs[i] for _, costs in corners)


def test_a_search_without_floats_finds_the_same_relaxation():
    """Phase one from the first actions, in rationals throughout."""
    pivots = 0
    for name in ("C4", "C9a", "C11"):
        problem = zoo.constrained_case(name).problem
        problem = problem.replace(
            thresholds=[-b - 1 if d == "<=" else b + 5 for b, d in zip(problem.exact.thresholds, problem.directions, strict=True)]
        )
        program = occupancy_program(problem.exact, violations=True)
        at = least_violation(problem)
        pairs, count = problem.mdp.num_pairs, problem.num_constraints
        objective = [0 * at.prices[0]] * (pairs + count) + [at.prices[0] * 0 - 1] * count
        plainly = maximise(type(program)(program.columns, objective, program.rhs), policy_basis(problem.exact))
        pivots += plainly.pivots
        total = [sum(v.value(pairs + count + i) for i in range(count)) for v in (at, plainly)]
        assert total[0] == total[1] > 0
    assert pivots > 0


def test_slater_bounds_every_multiplier():
    """lambda <= (V_r* - V_r(pi)) / xi for the policy that attains xi; equal on C1 and C8a-like lines, void without slack."""
    for name, case in zoo.constrained_cases().items():
        gap = slater_gap(case.problem)
        best = solve_constrained_exactly(case.problem)
        if name == "C15":
            assert gap.gap == 0
            continue
        assert gap.gap > 0
        assert sum(best.multipliers) * gap.gap <= best.value - evaluate_constrained(case.problem, gap.policy).reward


def test_a_problem_at_the_edge_is_solved_exactly():
    """Slack 0 and nothing between feasible and infeasible: floats cannot say, rationals do."""
    edge = diagnose(BANDIT)
    just = BANDIT.replace(thresholds=rational_array(BANDIT.exact.thresholds + edge.relaxation))
    assert diagnose(just) is None
    assert slater_gap(just).gap == 0
    assert fraction(solve_constrained_exactly(just).value) == Fraction(2, 3)
    short = just.replace(thresholds=[b - EPS / 10**6 if k == 0 else b for k, b in enumerate(map(fraction, just.exact.thresholds))])
    with pytest.raises(InfeasibleError):
        solve_constrained_exactly(short)


def test_a_model_too_large_for_rationals_is_refused_without_a_diagnosis():
    states = 450
    mdp = mdps.MDP(np.eye(states)[:, None, :], np.zeros((states, 1)), 0.5)
    problem = ConstrainedMDP(mdp, [np.ones((states, 1))], [1.0])
    with pytest.raises(InfeasibleError, match=r"HiGHS finds no policy that meets all thresholds.*too many for rationals") as refused:
        solve_constrained(problem)
    assert refused.value.infeasibility is None


def test_figures_are_rounded_to_the_side_that_holds():
    third = rational_array(["1/30000000000001"])[0]
    assert figure(third) == figure(third, -1) == "0.00000000000003333333333"
    assert Fraction(figure(third, 1)) > fraction(third) > Fraction(figure(third, -1))
    assert figure(rational_array(["3/10"])[0], 1) == "3/10"


def test_a_constraint_on_the_reward_itself_conflicts_with_its_optimum():
    best = pgtheory.solve_exactly(zoo.two_state())
    top = fraction((zoo.two_state().exact.start * best.values).sum())
    problem = mdps.io.load_constrained("two_state", [f"reward >= {top}"])
    assert fraction(solve_constrained_exactly(problem).value) == top
    found = diagnose(mdps.io.load_constrained("two_state", [f"reward >= {top + 1}"]))
    assert fraction(found.best[0]) == top
    assert fraction(found.common) == 1
