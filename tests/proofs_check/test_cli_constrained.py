"""`pgtheory solve MODEL --constraint "cost<=0.3"`: optimum, random policy, multipliers, certificate; what nobody can meet."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
from typer.testing import CliRunner

from mdps import zoo
from mdps.rational import fraction, rational_array
from pgtheory.constrained import FarkasCertificate, check_farkas
from proofs_check import cli


def solve(*words: str):
    return CliRunner().invoke(cli.app, ["solve", *words])


def test_floats_say_value_bound_price_multiplier_and_policy():
    result = solve("C9a", "--constraint", "cost<=1")
    assert result.exit_code == 0
    for words in (
        "V_r(start) = 0.2272727273; no policy under the thresholds is worth more than 0.2272727273",
        "without thresholds it would be 0.44444444: they cost 0.217172",
        "idle 0.5556, serve 0.4444",
        "random in 1 state",
    ):
        assert words in result.stdout, result.stdout


def test_rationals_say_all_multipliers_and_where_they_hold():
    unique = solve("C9a", "--constraint", "cost<=1", "--exact").stdout
    assert "V_r(start) = 5/22; primal and dual checked in rationals" in unique
    assert "5/22, for thresholds in [0, 11/6]" in unique
    assert "1/6 to 5/22: at a kink" in solve("C9a", "--constraint", "cost<=11/6", "--exact").stdout
    assert "1 or any larger one" in solve("C15", "--constraint", "cost<=0", "--exact").stdout
    slack = solve("C14", "--constraint", "cost<=2", "--exact").stdout
    assert "0, for thresholds from 1" in slack
    assert "they cost nothing" in slack


def test_several_constraints_in_json_are_the_closed_form():
    words = ("C4", "--constraint", "cost 1<=1/3", "--constraint", "cost 2 <= 0.25", "--exact", "--json")
    data = json.loads(solve(*words).stdout)
    assert data["value"] == "7/12"
    assert data["certificate"] == "checked"
    assert data["policy"] == [["1/3", "1/4", "5/12"]]
    assert [row["multiplier"] for row in data["constraints"]] == ["1", "1"]
    assert data["extra_actions"] == 2
    floats = json.loads(solve(*words[:-2], "--json").stdout)
    assert abs(floats["value"] - 7 / 12) <= 1e-7
    assert floats["constraints"][1]["threshold"] == 0.25


def test_both_directions_built_in_costs_and_files(tmp_path):
    out, costs = tmp_path / "best.npz", tmp_path / "costs.csv"
    costs.write_text("state,action,fuel\n0,1,1/2\n")
    result = solve("frozen_lake(4)", "--constraint", "visits(15)>=40", "--constraint", "fuel<=1", "--costs", str(costs), "--out", str(out))
    assert result.exit_code == 0, result.stderr
    assert f"written: {out}" in result.stdout
    with np.load(out) as held:
        assert held["policy"].shape == (16, 4)
        assert held["names"].tolist() == ["visits(15)", "fuel"]
        assert held["occupancy"][15].sum() / (1 - 0.99) >= 40 - 1e-5


def test_what_nobody_can_meet_is_explained_with_its_certificate():
    result = solve("C4", "--constraint", "cost 1>=1/2", "--constraint", "cost 2>=2/3")
    assert result.exit_code == 2
    assert "best achievable" in result.stdout
    assert "no policy meets cost 1 >= 1/2 and cost 2 >= 2/3 together, though it could meet either" in result.stderr
    assert "every policy has cost 1 + cost 2 <= 1, the thresholds ask for at least 7/6" in result.stderr
    assert "one of these changes would do: cost 1 >= 1/3; cost 2 >= 1/2" in result.stderr
    told = solve("C4", "--constraint", "cost 1>=1/2", "--constraint", "cost 2>=2/3", "--json")
    assert told.exit_code == 2
    data = json.loads(told.stdout)
    assert data["conflict"] == ["cost 1", "cost 2"]
    problem = zoo.constrained_case("C4").problem.replace(thresholds=["1/2", "2/3"], directions=">=")
    proof = FarkasCertificate(rational_array([row["certificate"] for row in data["constraints"]]), rational_array(data["certificate_values"]))
    assert fraction(check_farkas(problem, proof)) == Fraction(data["margin"]) > 0
    alone = solve("C7", "--constraint", "cost<=-1")
    assert alone.exit_code == 2
    assert "no policy meets cost <= -1: the best achievable is 0." in alone.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("C7", "--costs", "x.csv"), "give one with --constraint"),
        (("C7", "--constraint", "cost<=1", "--average"), "--constraint goes without --average"),
        (("C7", "--constraint", "cost<=1", "--method", "policy"), "goes without"),
        (("C7", "--constraint", "cost<1"), "not <; write <="),
        (("C7", "--constraint", "price<=1"), "there is no cost 'price'"),
        (("C7", "--constraint", "cost<=1", "--out", "x.csv"), "the ending must be .json or .npz"),
        (("C7", "--constraint", "cost<=1", "--discount", "2"), "discount is 2"),
    ],
)
def test_bad_requests_end_in_one_line(words, message):
    result = solve(*words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
