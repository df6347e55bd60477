"""`pgtheory run --constraint`: gaps and violations of the last iterate and of the average, kept apart, with what each theorem promises."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from mdps import ModelError, zoo
from pgtheory.constrained.crpo import CRPO
from pgtheory.constrained.runs import run_constrained
from proofs_check import cli
from proofs_check.cli.constrained_runs import constrained_methods_in


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(cli.app, [str(word) for word in words])


def test_the_table_compares_methods_with_their_promises(call):
    result = call(
        "run", "C7", "--constraint", "cost<=1", "--method", "npg-primal-dual,crpo,reload,descent-ascent:geometry=euclidean", "--iterations", 300
    )
    assert result.exit_code == 0, result.stderr
    for words in ("cost <= 1", "optimum 1.166666667 at the multipliers 0.8333", "300 steps", "last gap", "average gap", "average: gap <= "):
        assert words in result.stdout, result.stdout
    rows = {line.split()[0]: line.split() for line in result.stdout.splitlines() if line.strip()}
    assert abs(float(rows["reload"][1])) < 1e-2
    assert float(rows["reload"][-1]) == pytest.approx(5 / 6, abs=1e-2)
    assert "descent-ascent:geometry=euclidean" in rows


def test_json_csv_npz_and_plot_hold_what_the_run_holds(call, tmp_path):
    base = ("run", "C1", "--constraint", "cost<=3/10", "--method", "crpo", "--iterations", 64)
    expected = run_constrained(zoo.constrained_case("C1").problem.float, CRPO(), 64)
    data = json.loads(call(*base, "--json").stdout)
    assert data["optimum"] == pytest.approx(0.3, abs=1e-9)
    one = data["runs"][0]
    assert one["average_gap"][-1] == pytest.approx(expected.gap("average")[-1], abs=1e-12)
    assert one["last_violation"][-1] == pytest.approx(expected.violation("last")[-1], abs=1e-12)
    assert one["guarantee"]["gap"] == pytest.approx(expected.guarantee().gap, abs=1e-12)
    assert one["settings"]["tolerance"] == pytest.approx(expected.method.tolerance, rel=1e-12)
    result = call(*base, "--csv", "run.csv", "--out", "run.npz", "--plot", "run.svg")
    assert result.exit_code == 0, result.stderr
    with (tmp_path / "run.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["t"]) for row in rows] == expected.times.tolist()
    assert float(rows[-1]["average violation"]) == pytest.approx(expected.violation("average")[-1], abs=1e-12)
    assert float(rows[-1]["excess of cost"]) == pytest.approx(expected.excesses[-1, 0], abs=1e-12)
    with np.load(tmp_path / "run.npz") as held:
        assert np.allclose(held["average_policy"], expected.average_policy, atol=1e-12)
    assert "pgtheory run C1" in (tmp_path / "run.svg").read_text()


def test_costs_come_from_words_and_files(call, tmp_path):
    (tmp_path / "costs.csv").write_text("state,action,fuel\n0,*,1\n")
    for extra in (("--constraint", "visits(0)<=3"), ("--costs", "costs.csv", "--constraint", "fuel<=3")):
        result = call("run", "forest_management", *extra, "--discount", "1/2", "--method", "dual-descent,penalty", "--iterations", 40)
        assert result.exit_code == 0, result.stderr
        assert "dual-descent" in result.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("C1", "--constraint", "cost<=-1", "--method", "crpo"), "no policy meets cost <= -1: the best achievable is 0"),
        (("C1", "--constraint", "cost<=1/2", "--method", "crpa"), "Did you mean crpo"),
        (("C1", "--constraint", "cost<=1/2", "--method", "crpo", "--temperature", "1"), "crpo takes --step-size, --tolerance"),
        (("C1", "--constraint", "cost<=1/2", "--method", "regularised-primal-dual", "--step-size", "1/2"), "needs --temperature"),
        (("C1", "--constraint", "cost<=1/2", "--method", "crpo:cap=1"), "crpo takes --step-size, --tolerance"),
        (("C1", "--constraint", "cost<=1/2", "--method", "crpo", "--step-size", "0"), "--step-size is 0"),
        (("C1", "--constraint", "cost<=1/2", "--method", "crpo,crpo"), "names crpo twice"),
        (("C1", "--constraint", "cost<=1/2", "--method", "crpo,reload", "--out", "x.npz"), "--out holds one run"),
        (("C1", "--constraint", "cost<=1/2", "--method", "reload", "--robust", "l1:0.2"), "--constraint goes without"),
        (("forest_management", "--costs", "c.csv", "--method", "crpo"), "give one with --constraint"),
        (("C15", "--constraint", "cost<=0", "--method", "npg-primal-dual"), "no policy meets all constraints strictly"),
    ],
)
def test_bad_input_ends_in_one_line_and_status_2(call, words, message):
    result = call("run", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr + result.stdout
    assert result.stdout == ""


def test_settings_are_read_and_words_stay_words():
    methods = constrained_methods_in("reload:dual-step=1/4,descent-ascent:order=alternating", {"step_size": "1/2", "temperature": None})
    assert methods["reload:dual-step=1/4"].dual_step == 0.25 and methods["reload:dual-step=1/4"].step_size == 0.5
    assert methods["descent-ascent:order=alternating"].order == "alternating"
    with pytest.raises(ModelError, match="names no method"):
        constrained_methods_in(" , ", {})
