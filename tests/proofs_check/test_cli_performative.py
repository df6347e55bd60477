"""`pgtheory solve --answer`: the stable and the optimal policy, convergence that fails, bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from proofs_check import cli

RUN = CliRunner()


def test_two_arms_are_five_sixths_stable_and_three_quarters_optimal(tmp_path):
    out = tmp_path / "found.npz"
    done = RUN.invoke(cli.app, ["solve", "arms([1,0])", "--answer", "1/2,1", "--out", str(out)])
    assert done.exit_code == 0
    assert "contraction factor 0.5, below 1" in done.stdout
    assert "0.8333" in done.stdout
    with np.load(out) as found:
        assert np.abs(found["last_policy"] - [[5 / 6, 1 / 6]]).max() <= 1e-11  # the factor 1/2 to the power of the rounds
        assert np.abs(found["optimal_policy"] - [[3 / 4, 1 / 4]]).max() <= 1e-4  # the conic program


def test_retraining_that_does_not_settle_is_status_1():
    done = RUN.invoke(cli.app, ["solve", "arms([1,0])", "--answer", "3/2,1", "--json"])
    assert done.exit_code == 1
    data = json.loads(done.stdout)
    assert not data["settled"]
    assert data["factor"] == pytest.approx(1.5)
    assert data["optimal_objective"] > data["stable_objective"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--answer", "1"], "EPSILON,LAMBDA"),
        (["--answer", "1,0"], "lambda must be positive"),
        (["--answer", "-1,1"], "epsilon must not be negative"),
        (["--answer", "1,x"], "'x' is no number"),
        (["--answer", "1,1", "--exact"], "--answer goes without"),
    ],
)
def test_bad_answers_are_named(options, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.app(["solve", "arms([1,0])", *options])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
