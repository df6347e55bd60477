"""`pgtheory run --robust`: the robust methods, their gaps below the robust optimum."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from proofs_check import cli


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(cli.app, [str(word) for word in words])


def test_robust_methods_run_against_the_set_of_the_option(call):
    """The gap is that of the worst case and closes; a set costs value."""
    words = (
        "run",
        "loop(1/2)",
        "--method",
        "drpg,robust-pg,robust-mirror-descent-kl",
        "--robust",
        "l1:0.2",
        "--step-size",
        "1/2",
        "--iterations",
        40,
        "--json",
    )
    result = call(*words)
    assert result.exit_code == 0, result.output
    runs = {one["method"]: one for one in json.loads(result.stdout)["runs"]}
    assert set(runs) == {"drpg", "robust-pg", "robust-mirror-descent-kl"}
    for one in runs.values():
        assert one["settings"]["radius"] == 0.2 and one["settings"]["ambiguity"] == "l1"
        assert one["gap"][0] > 0 and abs(one["gap"][-1]) < 1e-6 and one["bounds"] == {}
    plain = call("run", "loop(1/2)", "--method", "robust-pg:radius=0", "--step-size", "1/2", "--iterations", 40, "--json")
    assert json.loads(plain.stdout)["runs"][0]["values"][0] > runs["robust-pg"]["values"][0]


def test_sets_that_the_methods_do_not_take_are_refused(call):
    for words, message in (
        (("--robust", "l1:0.2,support=nominal", "--method", "robust-pg"), "the gradient methods take a ball"),
        (("--robust", "l9:0.2", "--method", "robust-pg"), "l9"),
        (("--robust", "l1:0.2", "--method", "npg"), "no method here has"),
        (("--method", "robust-pg"), "robust-pg needs --robust, for example --robust l1:0.2"),
    ):
        result = call("run", "loop(1/2)", *words, "--step-size", "1/2", "--iterations", 5)
        assert result.exit_code == 2 and message in " ".join(result.output.split()), result.output
