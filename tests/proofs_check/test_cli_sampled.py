"""`pgtheory run` with sampled methods: figures, files, pictures, errors."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from proofs_check.cli import app
from proofs_check.cli.sampled_methods import OFFERS

MODEL = "chain(1, 9/10)"
QUICK = ["--iterations", "20", "--runs", "4", "--samples", "3", "--horizon", "8", "--step-size", "0.1"]


def run(*arguments: str):
    return CliRunner().invoke(app, ["run", MODEL, *arguments])


def test_sampled_and_exact_methods_stand_side_by_side(tmp_path):
    done = run("--method", "reward-to-go,n-pg-igt:weight=0.5,softmax-pg", *QUICK, "--csv", str(tmp_path / "gaps.csv"))
    assert done.exit_code == 0, done.output
    assert "4 runs of 20 steps each, 3 paths of 8 a step, seed 0" in done.output
    rows = list(csv.DictReader((tmp_path / "gaps.csv").read_text().splitlines()))
    assert {row["method"] for row in rows} == {"reward-to-go", "n-pg-igt:weight=0.5", "softmax-pg"}
    for row in rows:
        assert float(row["5% gap"]) <= float(row["mean gap"]) + 1e-12 or row["method"] == "softmax-pg"
        assert float(row["5% gap"]) <= float(row["95% gap"])
    last = [row for row in rows if row["method"] == "reward-to-go"][-1]
    assert (last["t"], float(last["paths"])) == ("20", 60.0)


def test_json_is_the_same_for_the_same_seed():
    first, again, other = (run("--method", "storm-pg", *QUICK, "--seed", seed, "--json") for seed in ("3", "3", "4"))
    data = json.loads(first.stdout)
    assert first.stdout == again.stdout and data["runs"][0]["mean"] != json.loads(other.stdout)["runs"][0]["mean"]
    assert data["horizon"] == 8 and data["runs"][0]["t"][0] == 0


def test_sampled_and_exact_methods_begin_with_the_same_policy():
    done = run("--method", "reward-to-go,softmax-pg", *QUICK, "--start", "adversarial:1/20", "--json")
    assert done.exit_code == 0, done.output
    first, second = json.loads(done.stdout)["runs"]
    uniform = json.loads(run("--method", "reward-to-go", *QUICK, "--json").stdout)["runs"][0]
    assert first["mean"][0] == pytest.approx(second["mean"][0], rel=1e-12) and first["mean"][0] > uniform["mean"][0]
    assert "--start adversarial:1/20" in json.loads(done.stdout)["command"]


def test_the_plot_and_the_arrays_are_written(tmp_path):
    done = run("--method", "reinforce,softmax-pg", *QUICK, "--plot", str(tmp_path / "bands.svg"), "--out", str(tmp_path / "runs.npz"))
    assert done.exit_code == 0, done.output
    picture = (tmp_path / "bands.svg").read_text()
    assert "band-reinforce" in picture and "band-softmax-pg" not in picture and "run-softmax-pg" in picture
    with np.load(tmp_path / "runs.npz") as arrays:
        assert arrays["gaps:reinforce"].shape[0] == 4


@pytest.mark.parametrize("name", OFFERS)
def test_every_sampled_method_runs_on_its_kind_of_model_and_improves(name):
    offer = OFFERS[name]
    step = ["--step-size", "1" if offer.help.startswith("bandits") else "0.2"] if "step-size" in offer.settings else []
    model = "arms([1, 1/2])" if offer.help.startswith("bandits") else MODEL
    done = CliRunner().invoke(app, ["run", model, "--method", name, *QUICK[:-2], *step, "--json"])
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)["runs"]
    assert found["mean"][-1] < found["mean"][0] and found["paths"][-1] > 0
    assert all(low <= high for low, high in zip(found["low"], found["high"], strict=True))


def test_an_actor_critic_has_advantages_of_one_step():
    """The same as decay 0, which differs from whole returns less the critic."""
    done = run("--method", "actor-critic,gae-pg:decay=0,gae-pg:decay=1", *QUICK, "--json")
    assert done.exit_code == 0, done.output
    one, none, all_ = (found["mean"] for found in json.loads(done.stdout)["runs"])
    assert one == none and one != all_


def test_every_sampled_method_has_a_line_of_help_and_its_settings():
    done = CliRunner().invoke(app, ["run", MODEL, "--method", "?"])
    assert done.exit_code == 0
    shown = " ".join(done.stdout.split())
    for name, offer in OFFERS.items():
        assert f"{name} {' '.join(offer.help.split()[:4])}" in shown
        assert all(setting in shown for setting in offer.settings)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method", "reinforce"], "reinforce needs --step-size"),
        (["--method", "reinforce:weight=0.5", "--step-size", "0.1"], "reinforce takes step-size, not 'weight'"),
        (["--method", "storm-pg:weight=2", "--step-size", "0.1"], "weight is 2"),
        (["--method", "reinforce", "--step-size", "0"], "--step-size is 0"),
        (["--method", "reinforce", "--step-size", "0.1", "--temperature", "1"], "no method here has --temperature"),
        (["--method", "exp3"], "bandit learners take a model of one state; this one has 2"),
        (["--method", "sarsa", "--start", "random:1"], "sarsa begin with no policy"),
        (["--method", "plug-in", "--step-size", "0.1"], "no method here has --step-size"),
        (["--method", "off-policy-pg:mix=0", "--step-size", "0.1"], "mix is 0"),
        (["--method", "svrpg:epoch=1.5", "--step-size", "0.1"], "epoch is 1.5; it must be a whole number"),
        (["--method", "balanced-pg:strength=-1", "--step-size", "0.1"], "strength is -1"),
        (["--method", "q-learning:exploration=2"], "exploration is 2"),
        (["--method", "reinforce,softmax", "--step-size", "0.1"], "unknown method 'softmax'"),
    ],
)
def test_bad_input_is_named(arguments, words):
    done = run(*arguments)
    assert done.exit_code != 0
    assert words in done.output
