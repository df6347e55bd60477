"""`pgtheory solve --utility` and `pgtheory run --utility`: optimum, policy, certificate, methods, files, refusals."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
from typer.testing import CliRunner

from mdps import zoo
from pgtheory.exact.evaluation import occupancy
from proofs_check import cli


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(cli.app, [str(word) for word in words])


def test_solve_prints_optimum_policy_and_certificate(call):
    """U2 at discount 1/4: leave at once and stay away; entropy H(1/4), proved from above by Frank-Wolfe duality."""
    result = call("solve", "switch(1/4)", "--utility", "entropy")
    assert result.exit_code == 0, result.output
    assert "0.5623351" in result.stdout and "Frank-Wolfe duality, proved" in result.stdout
    rows = [line.split() for line in result.stdout.splitlines() if line.startswith((" 0 ", " 1 "))]
    assert [row[2] for row in rows] == ["go", "stay"] and [float(row[1]) for row in rows] == pytest.approx([0.75, 0.25], abs=1e-6)


def test_json_holds_what_the_terminal_shows(call, tmp_path):
    result = call("solve", "line(3)", "--utility", "entropy", "--json", "--out", "best.npz")
    data = json.loads(result.stdout)
    assert data["value"] <= 1.5 * math.log(2) + 1e-12 <= data["upper"] + 2e-12 and data["gap"] < 1e-7
    with np.load(tmp_path / "best.npz") as held:
        policy, law = held["policy"], held["occupancy"]
    assert np.allclose(occupancy(zoo.line(3).float, policy), law, atol=1e-12)
    assert np.allclose(law.sum(axis=1), [0.5, 0.25, 0.25], atol=1e-4)  # flat at the top: the square root of the gap


def test_imitation_of_a_file_in_every_distance(call, tmp_path):
    """The expert is a policy of the model itself: every distance is 0 at the optimum, and another law of states is not reached."""
    expert = np.array([[0.3, 0.7], [0.6, 0.4]])
    np.savez(tmp_path / "expert.npz", policy=expert)
    (tmp_path / "law.json").write_text('{"states": ["1/10", "9/10"]}')
    np.savetxt(tmp_path / "expert.csv", expert, delimiter=",")
    for text in ("expert.npz", "expert.npz,kl", "expert.npz,forward-kl", "expert.npz,l1", "expert.csv"):
        data = json.loads(call("solve", "switch(1/2)", "--utility", f"imitation:{text}", "--json").stdout)
        assert abs(data["value"]) < 1e-6 and data["upper"] >= -1e-9, text
    data = json.loads(call("solve", "switch(1/2)", "--utility", "imitation:law.json", "--json").stdout)
    assert data["value"] == pytest.approx(-(0.4**2), abs=1e-7)  # at most half the time in the second state


def test_sums_quadratics_and_several_rewards(call, tmp_path):
    rewards = np.array([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]])
    np.save(tmp_path / "two.npy", rewards)
    worst = json.loads(call("solve", "switch(1/2)", "--utility", "worst:two.npy", "--json").stdout)
    soft = json.loads(call("solve", "switch(1/2)", "--utility", "soft-worst:two.npy,5", "--json").stdout)
    nash = json.loads(call("solve", "switch(1/2)", "--utility", "nash:two.npy", "--json").stdout)
    values = [float((np.array(nash["occupancy"]) * r).sum()) for r in rewards]
    assert worst["upper"] <= soft["upper"] + 1e-9 and nash["value"] == pytest.approx(math.log(values[0] * values[1]), abs=1e-9)
    plain = json.loads(call("solve", "arms([1,1/2,0])", "--utility", "quadratic:1", "--json").stdout)
    assert plain["value"] == pytest.approx(9 / 16, abs=1e-8)
    mixed = json.loads(call("solve", "arms([1,1/2,0])", "--utility", "reward+1/2*entropy:pairs", "--json").stdout)
    assert mixed["value"] == pytest.approx(0.5 * math.log(sum(math.exp(2 * r) for r in (1, 0.5, 0))), abs=1e-7)  # log-sum-exp


def test_run_compares_methods_against_the_certified_optimum(call, tmp_path):
    words = ("run", "line(3)", "--utility", "smoothed-entropy:0.2", "--iterations", 25, "--seed", 1)
    names = "frank-wolfe,frank-wolfe-line-search,normalised-ascent:step-size=1/2:decay=1/2,utility-gradient,sampled-ascent:batch=8:horizon=8"
    result = call(*words, "--method", names, "--csv", "runs.csv", "--plot", "gaps.svg")
    assert result.exit_code == 0, result.output
    assert "optimum between" in result.stdout and result.stdout.count("holds, least slack") == 3 and "FAILS" not in result.stdout
    with (tmp_path / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5 * 26 and all(float(row["gap"]) >= -1e-12 for row in rows)
    assert all(float(row["gap"]) <= float(row["bound"]) + 1e-9 for row in rows if row["bound"])
    assert "<svg" in (tmp_path / "gaps.svg").read_text()[:2000]
    data = json.loads(call(*words, "--method", "frank-wolfe", "--json", "--out", "one.npz").stdout)
    assert data["optimum"] <= data["upper"] and len(data["runs"][0]["gap"]) == 26
    with np.load(tmp_path / "one.npz") as held:
        assert held["policy"].shape == (3, 2)


def test_rows_of_the_table_by_name(call):
    data = json.loads(call("solve", "U10", "--utility", "case", "--json").stdout)
    assert data["value"] == pytest.approx(math.log(1 / 6), abs=1e-9) and np.allclose(data["policy"], [[1 / 6, 0, 5 / 6]], atol=1e-6)


def test_a_large_model_is_left_to_frank_wolfe(call, monkeypatch):
    from proofs_check.cli import utility

    monkeypatch.setattr(utility, "CONIC_PAIRS", 1)
    data = json.loads(call("solve", "line(3)", "--utility", "smoothed-entropy:0.1", "--json", "--tol", "1e-6").stdout)
    assert data["method"].startswith("Frank-Wolfe") and 0 <= data["gap"] < 1e-4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("solve", "line", "--utility", "entropi"), "Did you mean entropy"),
        (("solve", "line", "--utility", "imitation"), "needs a file"),
        (("solve", "line", "--utility", "case"), "a row of the table of utilities: U1, U2a"),
        (("solve", "U4", "--utility", "case", "--discount", "1/2"), "has its own discount"),
        (("solve", "line", "--utility", "imitation:no.npz"), "there is no such file"),
        (("solve", "line", "--utility", "imitation:no.txt"), "the ending must be"),
        (("solve", "line", "--utility", "quadratic:-1"), "not concave: along"),
        (("solve", "line", "--utility", "-1*entropy"), "minus a concave function is convex"),
        (("solve", "line", "--utility", "entropy", "--exact"), "--utility goes without"),
        (("solve", "line", "--utility", "entropy", "--tol", "0"), "--tol is 0"),
        (("solve", "line", "--utility", "entropy", "--out", "x.csv"), "the ending must be"),
        (("run", "line", "--utility", "entropy", "--method", "npg"), "no method 'npg' maximises a utility"),
        (("run", "line", "--utility", "entropy", "--method", "utility-gradient"), "no smoothness constant"),
        (("run", "line", "--utility", "entropy", "--method", "frank-wolfe:step-size=1"), "takes no settings"),
        (("run", "line", "--utility", "entropy", "--method", "frank-wolfe", "--step-size", "1"), "none of these methods takes"),
        (("run", "line", "--utility", "entropy", "--method", "frank-wolfe,frank-wolfe"), "twice"),
        (("run", "line", "--utility", "entropy", "--method", "frank-wolfe", "--temperature", "1"), "goes without"),
        (("run", "line", "--utility", "smoothed-entropy:1", "--method", "sampled-ascent:batch=1/2"), "whole number"),
    ],
)
def test_bad_input_is_one_sentence(call, words, message):
    result = call(*words)
    assert result.exit_code != 0 and message in " ".join((result.output + str(result.exception or "")).split())
