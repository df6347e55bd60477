"""Constraints in words, costs in files: what is read, written and refused."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from mdps import ModelError, strategies, zoo
from mdps.io import load_constrained, load_model, read_constraint, read_costs, read_json, write_constrained
from mdps.rational import fraction


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("cost<=0.3", ("cost", "<=", Fraction(3, 10))),
        (" visits(ice (0,1)) >= 1/3 ", ("visits(ice (0,1))", ">=", Fraction(1, 3))),
        ("a b ≤ 2e-1", ("a b", "<=", Fraction(1, 5))),
        ("x=>-1", ("x", ">=", Fraction(-1))),
    ],
)
def test_constraints_are_read_exactly(text, parts):
    name, sign, bound = read_constraint(text)
    assert (name, sign, fraction(bound)) == parts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cost", "is no constraint; write the name of a cost"),
        ("<=3", "is no constraint"),
        ("cost<3", "not <; write <="),
        ("cost=3", "an equality is two constraints"),
        ("cost<=much", "the threshold 'much' is no number"),
    ],
)
def test_what_is_no_constraint_is_refused(text, message):
    with pytest.raises(ModelError, match=message):
        read_constraint(text)


def test_visits_plays_and_reward_are_always_there():
    lake = zoo.frozen_lake(4)
    problem = load_constrained("frozen_lake(4)", ["visits(15) >= 1/2", "plays(down) <= 3", "reward >= 0.1", "plays(0) <= 9", "plays(0) >= 1"])
    tables = problem.cost_tables
    assert tables[0][15].tolist() == [1] * 4
    assert tables[0].sum() == 4
    assert np.all(tables[1] == np.eye(4)[1])
    assert np.all(tables[2] == lake.rewards)
    assert problem.names[-2:] == ("plays(0) <=", "plays(0) >=")
    assert problem.directions == (">=", "<=", ">=", "<=", ">=")


def test_a_table_of_costs_stands_beside_any_model(tmp_path):
    path = tmp_path / "costs.csv"
    path.write_text("# litres\nstate,action,fuel,noise\n0,*,1/3,0\n2,cut,0.5,1\n")
    problem = load_constrained("forest_management", ["noise<=1", "fuel <= 2"], costs=path)
    assert problem.names == ("noise", "fuel")
    assert [[fraction(x) for x in row] for row in problem.exact.costs] == [
        [0, 0, 0, 0, 0, 1], [Fraction(1, 3), Fraction(1, 3), 0, 0, 0, Fraction(1, 2)],
    ]  # fmt: skip
    given_directly = load_constrained("forest_management", ["fuel <= 2"], costs={"fuel": problem.cost_tables[1]})
    assert np.all(given_directly.costs == problem.costs[1:])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("state,fuel\n", "line 1: the first line must name the columns: state,action"),
        ("state,action,fuel,fuel\n", "line 1: the columns fuel, fuel must be different"),
        ("state,action,fuel\n0,0\n", "line 2: this line has 2 columns, the first one 3"),
        ("state,action,fuel\n9,0,1\n", "line 2: there is no state '9'. There are 3, from 0"),
        ("state,action,fuel\n0,fell,1\n", "line 2: there is no action 'fell'"),
        ("state,action,fuel\n0,0,x\n", "line 2: fuel is 'x'; it must be a number"),
        ("state,action,fuel\n0,*,1\n0,1,2\n", "line 3: the costs of state 0, action 1 were there before, in line 2"),
        ("", "the first line must name the columns"),
    ],
)
def test_a_broken_table_names_the_line(tmp_path, text, message):
    path = tmp_path / "costs.csv"
    path.write_text(text)
    with pytest.raises(ModelError, match=message):
        read_costs(path, zoo.forest_management())


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(problem=strategies.constrained_mdps())
def test_a_problem_is_written_and_read_without_loss(tmp_path, problem):
    path = write_constrained(problem, tmp_path / "problem.json")
    again = load_constrained(path)
    assert np.all(again.exact.costs == problem.exact.costs)
    assert list(again.exact.thresholds) == list(problem.exact.thresholds)
    assert (again.names, again.directions) == (problem.names, problem.directions)
    assert again.mdp.exact.digest() == problem.mdp.exact.digest()
    assert read_json(path).exact.digest() == problem.mdp.exact.digest()  # the plain model is there as ever
    once = load_constrained(path, [f"{problem.names[0]} <= 7"])
    assert (once.names, fraction(once.exact.thresholds[0])) == (problem.names[:1], 7)


def test_floats_are_written_and_read_bit_by_bit(tmp_path):
    from mdps import MDP, ConstrainedMDP

    problem = ConstrainedMDP(MDP([[[1], [1]]], [[0.1, 1 / 3]], 0.9), [[[1 / 7, 0.2]]], [0.3])
    again = load_constrained(write_constrained(problem, tmp_path / "floats.json"))
    assert again.costs.tolist() == problem.costs.tolist()
    assert again.thresholds.tolist() == problem.thresholds.tolist()


def test_costs_in_a_model_file_are_found_by_name(tmp_path):
    path = tmp_path / "model.json"
    path.write_text(
        '{"discount": 0.5, "states": ["a", "b"], "transitions": [\n'
        ' {"state": "b", "action": 0, "reward": 0, "to": {"b": 1}, "costs": {"fuel": 2}},\n'
        ' {"state": "a", "action": 1, "reward": 1, "to": {"b": 1}, "costs": {"fuel": 1, "noise": "1/3"}},\n'
        ' {"state": "a", "action": 0, "reward": 0, "to": {"a": 1}}]}'
    )
    problem = load_constrained(path, ["fuel <= 1", "noise <= 1"])
    assert problem.costs.tolist() == [[0, 1, 2], [0, 1 / 3, 0]]
    assert load_model(path).num_pairs == 3
    with pytest.raises(ModelError, match=r"no cost 'fule'. Did you mean fuel\? The model has fuel, noise"):
        load_constrained(path, ["fule<=1"])
    with pytest.raises(ModelError, match="the cost 'fuel' is in the model and given besides"):
        load_constrained(path, ["fuel<=1"], costs={"fuel": [0, 0, 0]})
    with pytest.raises(ModelError, match="no constraint was given"):
        load_constrained(path)
    for old, new, message in (
        ('{"fuel": 2}', "3", r"transitions\[0\]: costs must be an object"),
        ('{"fuel": 2}', '{"fuel": "x"}', r"transitions\[0\]: cost 'fuel'"),
        ('"states"', '"constraints": [{"cost": "fuel"}], "states"', r"constraints\[0\] must be an object"),
    ):
        broken = tmp_path / "broken.json"
        broken.write_text(path.read_text().replace(old, new))
        with pytest.raises(ModelError, match=message):
            load_constrained(broken, ["noise<=1"])


def test_a_case_of_the_table_gives_its_own_thresholds_or_takes_others():
    assert fraction(load_constrained("c9a").exact.thresholds[0]) == 1
    assert fraction(load_constrained("C9a", ["cost <= 11/6"]).exact.thresholds[0]) == Fraction(11, 6)
    assert load_constrained("C9a", discount="1/4").discount == 0.25
    with pytest.raises(ModelError, match="no constrained case 'C77'"):
        load_constrained("C77", ["cost<=1"])
    with pytest.raises(ModelError, match=r"The model has none of its own; a table may be given besides"):
        load_constrained("two_state", ["cost<=1"])
    with pytest.raises(ModelError, match=r"is written as \.json"):
        write_constrained(load_constrained("C1"), "problem.npz")
