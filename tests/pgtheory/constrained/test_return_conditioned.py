"""Return-conditioned policies in rationals: luck taken for choice, and exact targets where there is no luck."""

from __future__ import annotations

import itertools
from fractions import Fraction as F

import numpy as np
import pytest
from flint import fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

from mdps import MDP, ConstrainedMDP, ModelError, zoo
from mdps.rational import fraction, rational_array
from pgtheory.constrained.return_conditioned import condition_on_returns, returns_to_go
from pgtheory.constrained.sensitivity import value_curve


def two_arms(chance):
    """Safe pays 1/2; risky pays 1 and leads with probability `chance` to a state that costs 1 once.  Two steps."""
    q = F(chance)
    rows = [[[0, 0, 1], [0, q, 1 - q]], [[0, 0, 1]] * 2, [[0, 0, 1]] * 2]
    mdp = MDP(rational_array(rows), rational_array([["1/2", 1], [0, 0], [0, 0]]), 0, rational_array([1, 0, 0]))
    return ConstrainedMDP(mdp, [rational_array([[0, 0], [1, 1], [0, 0]])], rational_array(["1/4"]))


EVEN = rational_array([["1/2", "1/2"]] * 3)


@pytest.mark.parametrize("chance", ["1/2", "1/3", "9/10"])
def test_conditioning_on_no_cost_plays_the_risky_arm_and_pays_for_it(chance):
    """C17: by Bayes' rule P(risky | 1, 0) = 1, expected cost q, although the target was 0."""
    q = fmpq(*F(chance).as_integer_ratio())
    found = condition_on_returns(two_arms(chance), EVEN, 2, reward=1, cost=0)
    assert found.first[0].tolist() == [0, 1]
    assert found.probability == (1 - q) / 2
    assert found.cost == q and found.reward == 1 and found.kept == 1 - q
    assert found.achieved == {(fmpq(1), fmpq(0)): 1 - q, (fmpq(1), fmpq(1)): q}


def test_the_table_knows_what_conditioning_costs_and_what_the_budget_is_worth():
    case = zoo.constrained_case("C17")
    found = condition_on_returns(two_arms(F(1, 2)), EVEN, 2, reward=1, cost=0)
    assert fraction(found.cost) == case.figures["conditioned cost"]
    curve = value_curve(case.problem, 0, 0, "1/2")
    for b in (F(0), F(1, 8), F(1, 4), F(1, 2)):
        assert fraction(curve(b)) == F(1, 2) + b  # 1/2 + b / (2 q)


@pytest.mark.parametrize("chance", ["0", "1"])
def test_without_luck_the_target_is_kept(chance):
    found = condition_on_returns(two_arms(chance), EVEN, 2, reward=1, cost=int(chance))
    assert found.kept == 1 and found.cost == int(chance)


def test_one_coordinate_may_be_left_open():
    found = condition_on_returns(two_arms("1/2"), EVEN, 2, cost=0)
    assert found.first[0].tolist() == [fmpq(2, 3), fmpq(1, 3)]  # safe never costs, risky half of the time
    uneven = condition_on_returns(two_arms("1/2"), rational_array([["3/4", "1/4"]] * 3), 2, cost=0)
    assert uneven.first[0].tolist() == [fmpq(6, 7), fmpq(1, 7)]  # 3/4 against 1/4 * 1/2
    assert found.target == (None, 0) and found.kept == 1 - found.cost == fmpq(5, 6)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31), horizon=st.integers(1, 4))
def test_deterministic_transitions_keep_every_target(seed, horizon):
    rng = np.random.default_rng(seed)
    rows = np.zeros((3, 2, 3), dtype=int)
    for s, a in itertools.product(range(3), range(2)):
        rows[s, a, rng.integers(3)] = 1
    mdp = MDP(rational_array(rows.tolist()), rational_array(rng.integers(0, 3, (3, 2)).tolist()), 0, rational_array([1, 0, 0]))
    model = ConstrainedMDP(mdp, [rational_array(rng.integers(0, 2, (3, 2)).tolist())], rational_array([1]))
    law = returns_to_go(model, EVEN, horizon)[0][0]
    assert sum(law.values()) == 1
    for (reward, cost), p in law.items():
        found = condition_on_returns(model, EVEN, horizon, reward=reward, cost=cost)
        assert found.kept == 1 and found.probability == p
        assert found.achieved == {(reward, cost): 1}


@settings(max_examples=15)
@given(seed=st.integers(0, 2**31))
def test_laws_of_returns_are_those_of_listed_paths(seed):
    rng = np.random.default_rng(seed)
    rows = rational_array([[[f"{k}/6" for k in rng.multinomial(6, [0.5, 0.5])] for _ in range(2)] for _ in range(2)])
    mdp = MDP(rows, rational_array(rng.integers(0, 3, (2, 2)).tolist()), 0, rational_array(["1/3", "2/3"]))
    model = ConstrainedMDP(mdp, [rational_array(rng.integers(0, 2, (2, 2)).tolist())], rational_array([1]))
    behaviour = rational_array([["1/4", "3/4"], ["1/2", "1/2"]])
    laws = returns_to_go(model, behaviour, 3)
    r, c = mdp.exact.rewards, model.exact.cost_tables[0]
    for s in range(2):
        listed = {}
        for actions in itertools.product(range(2), repeat=3):
            for states in itertools.product(range(2), repeat=2):
                path, p, key = (s, *states), fmpq(1), (fmpq(0), fmpq(0))
                for t, a in enumerate(actions):
                    p *= behaviour[path[t], a] * (rows[path[t], a, path[t + 1]] if t < 2 else 1)
                    key = (key[0] + r[path[t], a], key[1] + c[path[t], a])
                if p:
                    listed[key] = listed.get(key, 0) + p
        assert laws[0][s] == listed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "give a target"),
        ({"reward": 7, "cost": 0}, r"never has the total \(reward, cost\) = \(7, 0\); it has \(1/2, 0\)"),
        ({"reward": 1, "horizon": 0}, "horizon is 0"),
        ({"reward": 1, "behaviour": rational_array([["1/2", "1/3"]] * 3)}, "5/6"),
        ({"reward": 1, "constraint": "toll"}, "no constraint 'toll'"),
    ],
)
def test_bad_input_names_the_place_and_the_figure(arguments, words):
    with pytest.raises(ModelError, match=words):
        condition_on_returns(**({"model": two_arms("1/2"), "behaviour": EVEN, "horizon": 2} | arguments))
