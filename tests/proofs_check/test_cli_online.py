"""`pgtheory run --episodes`: figures, files, pictures, errors."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from mdps import zoo
from pgtheory.online import Episodic, learner, run_online
from pgtheory.online.names import NAMES
from proofs_check.cli import app

MODEL = "chain(1, 9/10)"
QUICK = ["--episodes", "12", "--horizon", "3", "--runs", "3"]


def run(*arguments: str):
    return CliRunner().invoke(app, ["run", MODEL, *arguments])


def test_the_table_says_what_was_played_measured_and_proved(tmp_path):
    done = run("--method", "optimistic-vi,optimistic-npg:scale=0.5", *QUICK, "--csv", str(tmp_path / "regret.csv"))
    assert done.exit_code == 0, done.output
    assert "2 states, 2 actions, 3 steps an episode; sure rewards" in done.stdout
    assert "3 runs of 12 episodes each, seed 0; regret is computed from the model, not estimated" in done.stdout
    assert "(> K H): above 36" in done.stdout and "not stated" in done.stdout and "0 of 3" in done.stdout
    rows = list(csv.DictReader((tmp_path / "regret.csv").read_text().splitlines()))
    runs = run_online(Episodic.of(zoo.load(MODEL), 3), learner("optimistic-vi"), 12, 3)
    mine = [row for row in rows if row["method"] == "optimistic-vi"]
    assert [int(row["episodes"]) for row in mine] == list(range(1, 13))
    assert [float(row["mean regret"]) for row in mine] == runs.regret.mean(axis=0).tolist()
    assert [float(row["proved"]) for row in mine] == runs.guarantee.values.tolist()
    assert {row["proved"] for row in rows if row["method"] != "optimistic-vi"} == {""}


def test_json_is_the_same_for_the_same_seed_and_names_its_command():
    first, again, other = (run("--method", "bobw-tsallis", *QUICK, "--rewards", "noisy", "--seed", seed, "--json") for seed in "334")
    data = json.loads(first.stdout)
    assert first.stdout == again.stdout and data["runs"][0]["mean"] != json.loads(other.stdout)["runs"][0]["mean"]
    assert data["command"].endswith("--episodes 12 --runs 3 --horizon 3 --seed 3 --rewards noisy") and data["range"] == [0, 1]
    assert data["runs"][0]["guarantee"].startswith("expected regret against the best fixed policy")


def test_the_plot_and_the_arrays_are_written(tmp_path):
    done = run("--method", "ucbvi,bobw-shannon:bonus=0", *QUICK, "--plot", str(tmp_path / "regret.svg"), "--out", str(tmp_path / "runs.npz"))
    assert done.exit_code == 0, done.output
    picture = (tmp_path / "regret.svg").read_text()
    assert "run-ucbvi" in picture and "bound-ucbvi" in picture and "run-bobw-shannon:bonus=0" in picture and "bound-bobw" not in picture
    with np.load(tmp_path / "runs.npz") as arrays:
        assert arrays["regret:ucbvi"].shape == (3, 12) and arrays["policies:ucbvi"].shape == (3, 3, 2, 2)


def test_rewards_of_another_range_are_said():
    done = CliRunner().invoke(app, ["run", "cliff_walking", "--method", "optimistic-vi", "--episodes", "2", "--horizon", "2", "--runs", "1"])
    assert done.exit_code == 0, done.output
    assert "rewards lie in [-100, 0], which the learners are told; regret is in the model's units" in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_every_learner_runs_and_is_listed(name):
    done = run("--method", name, *QUICK)
    assert done.exit_code == 0 and name in done.stdout
    assert name in run("--method", "?").stdout


def test_features_that_do_not_fit_are_said(tmp_path):
    np.save(tmp_path / "ones.npy", np.ones((2, 2, 1)))
    done = run("--method", f"linear-npg:features={tmp_path / 'ones.npy'}", *QUICK)
    assert done.exit_code == 0 and "not linear in the features" in done.stdout and "not stated" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method", "ucbvi", "--horizon", "3"], "ucbvi needs --episodes K"),
        (["--method", "ucbvi", "--episodes", "5"], "--horizon STEPS"),
        (["--method", "ucbvi", "--episodes", "0", "--horizon", "3"], "--episodes is 0"),
        (["--method", "npg", "--rewards", "noisy"], "--rewards is for learners that explore"),
        (["--method", "ucbvi,npg", *QUICK], "npg does not learn in episodes"),
        (["--method", "ucbv", *QUICK], "Did you mean ucbvi"),
        (["--method", "ucbvi:scal=2", *QUICK], "takes scale, delta, refresh, rewards, not 'scal'"),
        (["--method", "ucbvi:scale", *QUICK], "write a setting as ucbvi:scale=VALUE"),
        (["--method", "ucbvi:scale=-1", *QUICK], "the scale of the bonus is -1.0"),
        (["--method", "ucbvi:scale=much", *QUICK], "'much' is no number"),
        (["--method", "ucbvi", *QUICK, "--rewards", "phase"], "sure, noisy, phases, random"),
        (["--method", "ucbvi", *QUICK, "--step-size", "0.1"], "no method here has --step-size"),
        (["--method", "ucbvi", *QUICK, "--discount", "0.9"], "--discount plays no part"),
        (["--method", "low-switching-npg:inner=1/2", *QUICK], "inner is 1/2; it must be a whole number"),
        (["--method", "bobw-tsallis:transitions=some", *QUICK], "'known' or 'unknown'"),
        (["--method", " , ", *QUICK], "--method names no method"),
    ],
)
def test_bad_input_ends_in_one_line(arguments, words):
    done = run(*arguments)
    assert done.exit_code == 2 and words in done.stderr and "Traceback" not in done.output
