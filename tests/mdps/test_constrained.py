"""Constrained problems: what they hold, in floats and rationals, the models made of them, and what is refused with place and figure."""

from __future__ import annotations

import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings

from mdps import MDP, ConstrainedMDP, ModelError, strategies, zoo
from mdps.rational import fraction, rational, rational_array
from mdps.zoo.constrained import constrained_case, constrained_cases, entropy_regularised

BANDIT = MDP([[[1], [1]]], [[1, 0]], 0)
RAGGED = MDP.from_choices([0, 1, 3], [[0, 1], [1, 0], [0, 1]], [0, 1, 2], 0.5)


def test_a_problem_in_floats_and_in_rationals():
    problem = ConstrainedMDP(BANDIT, [[[0.1, 0]]], [0.3])
    assert problem.names == ("cost",)
    assert problem.directions == ("<=",)
    assert not problem.is_exact
    assert [fraction(x) for x in problem.exact.costs[0]] == [Fraction(1, 10), 0]
    assert fraction(problem.exact.thresholds[0]) == Fraction(3, 10)
    assert problem.exact.float is problem
    assert problem.exact.exact is problem.exact
    assert problem.float is problem
    written = ConstrainedMDP(BANDIT, [[["1/3", "0"]]], [0.5])
    assert written.given_exactly
    assert fraction(written.exact.costs[0, 0]) == Fraction(1, 3)
    assert written.costs[0, 0] == 1 / 3


def test_costs_take_every_shape_that_rewards_may_have():
    per_state = ConstrainedMDP(RAGGED, [[1, 2]], [1]).costs
    per_pair = ConstrainedMDP(RAGGED, [[1, 2, 2]], [1]).costs
    padded = ConstrainedMDP(RAGGED, [[[1, 0], [2, 2]]], [1])
    assert per_state.tolist() == per_pair.tolist() == padded.costs.tolist() == [[1, 2, 2]]
    assert padded.cost_tables.tolist() == [[[1, 0], [2, 2]]]
    mixed = ConstrainedMDP(RAGGED, [[1, 2], [1, 2, 2]], [1, 2])
    assert mixed.names == ("cost 1", "cost 2")
    two = MDP([[[0.5, 0.5]], [[1, 0]]], [[0], [0]], 0.5)
    assert ConstrainedMDP(two, [[[[2, 4]], [[6, 0]]]], [1]).costs.tolist() == [[3, 6]]  # on arrival
    one = ConstrainedMDP(BANDIT, [[1, 0]], 1)
    assert one.costs.tolist() == [[1, 0]]
    assert one.num_constraints == 1


@settings(max_examples=20)
@given(problem=strategies.constrained_mdps())
def test_directions_become_signs_and_nothing_else(problem):
    exact = problem.exact
    for i, direction in enumerate(problem.directions):
        sign = -1 if direction == ">=" else 1
        assert list(exact.upper_costs[i]) == [sign * c for c in exact.costs[i]]
        assert exact.upper_thresholds[i] == sign * exact.thresholds[i]
        assert list(problem.cost_model(i).exact.pair_rewards) == list(exact.costs[i])
    prices = rational_array([f"{i + 1}/3" for i in range(problem.num_constraints)])
    charged = exact.lagrangian(prices)
    expected = exact.mdp.pair_rewards - (prices[:, None] * exact.upper_costs).sum(axis=0)
    assert list(charged.pair_rewards) == list(expected)
    np.testing.assert_allclose(problem.lagrangian([float(fraction(p)) for p in prices]).pair_rewards, charged.float.pair_rewards, rtol=0, atol=1e-14)


@settings(max_examples=20)
@given(problem=strategies.constrained_mdps())
def test_a_problem_survives_pickling_and_copies(problem):
    for source in (problem, problem.exact):
        again = pickle.loads(pickle.dumps(source))
        assert again.is_exact == source.is_exact
        assert list(again.exact.thresholds) == list(problem.exact.thresholds)
        assert np.all(again.exact.costs == problem.exact.costs)
        assert again.directions == problem.directions
        assert again.mdp.digest() == source.mdp.digest()
    moved = problem.replace(thresholds=rational_array([0] * problem.num_constraints))
    assert list(moved.exact.thresholds) == [0] * problem.num_constraints
    assert np.all(moved.exact.costs == problem.exact.costs)
    assert problem.exact.keep([0]).is_exact
    assert problem.keep([problem.num_constraints - 1]).names == problem.names[-1:]


def test_an_immutable_problem_says_how_to_change_it():
    problem = ConstrainedMDP(BANDIT, [[[1, 0]]], [0.3])
    with pytest.raises(AttributeError, match=r"constrained.replace\(thresholds=\.\.\.\)"):
        problem.thresholds = 3
    with pytest.raises(ValueError, match="read-only"):
        problem.thresholds[0] = 1
    assert repr(problem) == "ConstrainedMDP(MDP(1 state, 2 actions, discount 0.0), cost <= 0.3)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"costs": [[1, 0, 3]]}, r"constraint 'cost': costs\[0\] has shape \(3,\); it must be \(S, A\) = \(1, 2\)"),
        ({"costs": [[[1, np.nan]]]}, r"costs\[0\]\[0, 1\] \(state 0, action 1\) is nan; it must be a finite number"),
        ({"costs": [[["x", 0]]]}, r"costs\[0\].*'x' is no number"),
        ({"costs": [[[1, 0], [1]]]}, r"constraint 'cost'.*inhomogeneous"),
        ({"costs": 3}, "costs is a int; it must be a list of arrays"),
        ({"costs": {"cost": [[1, 0]]}}, "costs is a dict"),
        ({"costs": [[[1, 0]], [[1, 0]]]}, "costs holds 2 arrays for 1 threshold"),
        ({"thresholds": [np.inf]}, r"thresholds\[0\] is inf"),
        ({"thresholds": []}, r"thresholds has shape \(0,\); it must hold one number for each constraint, and at least one"),
        ({"thresholds": [[0.3]]}, r"thresholds has shape \(1, 1\)"),
        ({"thresholds": ["a"]}, "thresholds is"),
        ({"directions": "<"}, r"directions\[0\] is '<'; a constraint is '<=' or '>='"),
        ({"directions": ["<=", ">="]}, "directions has 2 entries for 1 constraint"),
        ({"names": ["a", "b"]}, "one word for each of 1 constraint"),
        ({"names": [""]}, "one word for each"),
        ({"mdp": np.eye(2)}, "is a ndarray; it must be an mdps.MDP"),
    ],
)
def test_what_is_wrong_is_named(arguments, message):
    with pytest.raises(ModelError, match=message):
        ConstrainedMDP(**({"mdp": BANDIT, "costs": [[[1, 0]]], "thresholds": [0.3]} | arguments))


def test_names_must_differ_and_are_suggested():
    with pytest.raises(ModelError, match="two constraints are called 'a'"):
        ConstrainedMDP(BANDIT, [[[1, 0]]] * 2, [1, 1], names=["a", "a"])
    problem = ConstrainedMDP(BANDIT, [[[1, 0]]] * 2, [1, 1], names=["fuel", "noise"])
    assert problem.index("noise") == problem.index(1) == 1
    with pytest.raises(ModelError, match=r"no constraint 'fule'. Did you mean fuel\?"):
        problem.index("fule")
    with pytest.raises(ModelError, match=r"no constraint 2. There are fuel, noise"):
        problem.cost_model(2)
    with pytest.raises(ModelError, match=r"has no field 'threshold'.*Did you mean thresholds"):
        problem.replace(threshold=[1, 2])


def test_multipliers_below_zero_or_of_a_wrong_count_are_refused():
    problem = ConstrainedMDP(BANDIT, [[[1, 0]]] * 2, [1, 1])
    with pytest.raises(ModelError, match=r"multipliers\[1\] is -0.2; it must be at least 0"):
        problem.lagrangian([1, -0.2])
    with pytest.raises(ModelError, match=r"multipliers\[0\] is -1/5; it must be at least 0"):
        problem.lagrangian(["-1/5", "0"])
    with pytest.raises(ModelError, match=r"multipliers has shape \(1,\); it must hold one number for each of 2 constraints"):
        problem.lagrangian([1])


def test_the_table_is_complete_and_names_what_it_has():
    cases = constrained_cases()
    assert {name.rstrip("abc") for name in cases} == {f"C{k}" for k in range(1, 19)}
    assert list(cases)[:3] == ["C1", "C2", "C3"]
    assert all(case.problem.given_exactly and case.about and len(case.multipliers) == case.problem.num_constraints for case in cases.values())
    assert constrained_case(" c9A ").id == "C9a"
    with pytest.raises(ModelError, match="no constrained case 'C99'"):
        constrained_case("C99")
    assert zoo.constrained_case("C18").problem.discount == 0.75


def test_the_regularised_bandit_is_slack_beyond_its_free_optimum():
    from flint import arb

    for budget, tau in (("99/100", "1/2"), ("9/10", 1)):
        share, price = entropy_regularised(budget, tau)
        assert price == 0
        assert share.overlaps(1 / (1 + (-1 / arb(rational(tau))).exp()))
    with pytest.raises(ModelError, match="budget 1 must be in"):
        entropy_regularised(1, 1)
    with pytest.raises(ModelError, match="temperature 0 above 0"):
        entropy_regularised("1/2", 0)
