"""`pgtheory solve --risk`: optimum, policy, envelope and bounds on the terminal and as JSON; a sentence instead of a traceback for bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest
from flint import fmpq
from typer.testing import CliRunner

from mdps.rational import rational
from proofs_check import cli


def call(*words: str, status: int = 0) -> str:
    result = CliRunner().invoke(cli.app, ["solve", *words])
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return result.output


def test_nested_risk_shows_optimum_policy_and_envelope():
    text = call("survival", "--risk", "cvar:1/2")
    assert "nested cvar:1/2" in text
    assert "V(start) = 1.666666667 (±" in text and "proved" in text and "risk neutral 1.818181818" in text
    assert "alive 0.8 (0.9), dead 0.2 (0.1)" in text and "as nominal" in text
    exact = call("survival", "--risk", "cvar:1/2", "--exact")
    assert "V(start) = 5/3 (T V = V checked in rationals); risk neutral 20/11" in exact
    assert "alive 4/5 (9/10), dead 1/5 (1/10)" in exact


@pytest.mark.parametrize("measure", ["evar:0.5", "entropic:2", "semideviation:1/2", "mean-cvar:0.1,1/2", "spectral:0.1=1/2,1=1/2", "worst", "mean"])
def test_every_measure_is_between_the_worst_and_the_mean(measure):
    data = json.loads(call("survival", "--risk", measure, "--json"))
    assert data["risk"].partition(":")[0] == measure.partition(":")[0] and data["kind"] == "nested"
    assert 1 - 1e-12 <= data["lower"][0] <= data["upper"][0] <= 20 / 11 + 1e-12
    assert sum(data["kernel"][0]) == pytest.approx(1, abs=1e-14)
    assert data["actions_taken"] == [0, 0]


def test_static_risk_of_the_return_is_exact_and_its_policy_sees_the_reward_so_far():
    data = json.loads(call("survival", "--risk", "cvar:1/4", "--risk-of", "return", "--horizon", "6", "--json"))
    truth = 4 * (fmpq(1, 10) + fmpq(9, 100) * fmpq(3, 2) + fmpq(6, 100) * fmpq(7, 4))
    assert rational(data["lower"]) <= truth <= rational(data["upper"])
    assert rational(data["value"]) == rational(data["lower"])  # the least reward is 0
    assert sum(map(rational, data["probabilities"])) == 1
    assert {"step": 0, "state": 0, "reward_so_far": "0", "action": 0} in data["policy"]
    text = call("machine_replacement", "--risk", "cvar:0.3", "--risk-of", "return", "--horizon", "3")
    assert "exact, over policies that see the reward so far" in text and "threshold" in text and "without an end: between" in text
    luck = call("gamble_on_luck", "--risk", "cvar:1/2", "--risk-of", "return", "--horizon", "4")
    assert "optimum 3/2 (exact" in luck and "without an end" not in luck
    assert [row.split() for row in luck.splitlines() if " choose " in row] == [["2", "choose", "2", "safe"], ["2", "choose", "0", "gamble"]]


def test_entropic_risk_of_the_return_shows_the_schedule():
    text = call("fading_caution", "--risk", "entropic:16", "--risk-of", "return")
    assert "0: safe, 1: risky" in text and "the level fades as discount^t" in text
    data = json.loads(call("fading_caution", "--risk", "entropic:16", "--risk-of", "return", "--json"))
    assert data["start_lower"] <= 0.075 <= data["start_upper"] and data["levels"][:2] == [16.0, 4.0]


def test_evar_of_the_return_is_an_interval_and_says_how_fine(tmp_path):
    file = tmp_path / "evar.npz"
    text = call("survival", "--risk", "evar:1/2", "--risk-of", "return", "--tol", "0.001", "--out", str(file))
    assert "optimum between 1.36" in text and "best beta 2.7" in text
    with np.load(file) as found:
        assert found["value_lower"] <= found["value"] <= found["value_upper"] and found["value_upper"] - found["value_lower"] <= 0.002
    assert "is searched to 0.0002, not 1e-08" in call("survival", "--risk", "evar:1/2", "--risk-of", "return")


def test_results_are_written_whole(tmp_path):
    file = tmp_path / "risk.json"
    assert f"written: {file}" in call("survival", "--risk", "cvar:1/2", "--exact", "--out", str(file))
    assert json.loads(file.read_text())["start_value"] == "5/3"
    assert [path.name for path in tmp_path.iterdir()] == ["risk.json"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--risk", "cvar:-1"], "risk level is -1; it must be in [0, 1]"),
        (["--risk", "cvar:1.0001"], "risk level is 10001/10000"),
        (["--risk", "cvr:1"], "Did you mean cvar"),
        (["--risk", "cvar"], "of the form cvar:LEVEL"),
        (["--risk", "entropic:-2"], "beta is -2"),
        (["--risk", "spectral:0.1=0.5"], "sum to 1/2"),
        (["--horizon", "3"], "give one with --risk"),
        (["--risk-of", "return"], "give one with --risk"),
        (["--risk", "cvar:1/2", "--risk-of", "return"], "needs --horizon STEPS"),
        (["--risk", "cvar:1/2", "--horizon", "3"], "--horizon is for --risk-of return"),
        (["--risk", "evar:1/2", "--risk-of", "return", "--horizon", "3"], "--horizon is for --risk-of return"),
        (["--risk", "cvar:1/2", "--average"], "goes without --average"),
        (["--risk", "cvar:1/2", "--method", "value"], "goes without"),
        (["--risk", "evar:1/2", "--exact"], "irrational"),
        (["--risk", "entropic:2", "--risk-of", "return", "--exact"], "irrational"),
        (["--risk", "entropic:inf", "--risk-of", "return"], "ask for the nested risk 'worst'"),
        (["--risk", "evar:0", "--risk-of", "return"], "ask for --risk worst"),
        (["--risk", "semideviation:1/2", "--risk-of", "return", "--horizon", "2"], "is none of them"),
        (["--risk", "cvar:1/2", "--tol", "0"], "--tol is 0"),
        (["--risk", "cvar:1/2", "--out", "x.csv"], "the ending must be"),
    ],
)
def test_bad_input_is_one_sentence(words, message, capsys):
    result = CliRunner().invoke(cli.app, ["solve", "survival", *words])
    shown = result.output + str(result.exception or "")
    assert result.exit_code != 0
    assert message in shown
