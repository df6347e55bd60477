"""`pgtheory solve` on models that take a while: bounds closing on stderr, and an interruption that loses nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from typer.testing import CliRunner

from mdps import MDP, io
from proofs_check import cli
from proofs_check.cli.models import _Bounds, _outwards


def slow_model() -> MDP:
    """Two states that keep to themselves: the span of the values shrinks by the discount only, 10^7 sweeps for eight places."""
    return MDP(np.eye(2)[:, None, :], [[1.0], [0.0]], 0.999999)


@pytest.mark.parametrize("ending", ["npz", "json"])
def test_ctrl_c_prints_and_writes_the_bounds_so_far(tmp_path, ending):
    io.save(slow_model(), tmp_path / "slow.npz")
    command = [sys.executable, "-m", "proofs_check", "solve", "slow.npz", "--method", "value", "--out", f"best.{ending}"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    first = process.stderr.readline()
    assert "V* known to ±" in first, first
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "was interrupted after" in err
    assert "Traceback" not in err
    assert "stopped: interrupted" in out
    assert "V* >=" in out
    assert f"written: best.{ending}" in out
    if ending == "npz":
        with np.load(tmp_path / "best.npz") as found:
            data = {key: found[key].tolist() for key in found.files}
    else:
        data = json.loads((tmp_path / "best.json").read_text())
    for low, exact, high in zip(data["lower"], (10**6, 0), data["upper"], strict=True):
        assert low <= exact * (1 + 1e-9) and exact * (1 - 1e-9) <= high
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == [], "no half-written file is left"


def test_bounds_are_shown_now_and_then(capsys):
    times = iter([0.0, 0.5, 1.5, 2.0, 7.0, 7.5])
    shown = _Bounds(1e-8, lambda: next(times))
    for sweeps in range(1, 6):
        shown(sweeps, 1.0 / sweeps)
    shown.close()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0].strip() for line in lines] == ["2 sweeps", "4 sweeps"]
    assert lines[0].strip() == "2 sweeps, 1.5 s: V* known to ± 5.0e-01, wanted ± 1.0e-08"


@pytest.mark.parametrize(("low", "high"), [(-9999.99, -20.5), (0.1234567, 0.1234568), (0.0, 0.0), (1e9, 1e9), (-1e-9, 3e5), (1e-300, 1e300)])
def test_printed_bounds_are_rounded_outwards(low, high):
    below, above = (Fraction(text) for text in _outwards(low, high))
    assert below <= Fraction(low) and Fraction(high) <= above
    width = max(Fraction(high) - Fraction(low), abs(Fraction(low)) / 2**49, abs(Fraction(high)) / 2**49)
    assert above - below <= Fraction(103, 100) * width


@pytest.mark.parametrize("method", ["gauss-seidel", "anderson", "linear", "policy", "modified", "value"])
def test_every_method_may_be_asked_for(method):
    result = CliRunner().invoke(cli.app, ["solve", "two_state", "--method", method, "--json"])
    assert result.exit_code == 0, result.output
    assert method in json.loads(result.stdout)["method"]


def solve(*words: str):
    return CliRunner().invoke(cli.app, ["solve", *map(str, words)])


def test_average_reward():
    result = solve("river_swim", "--average", "--json")
    assert result.exit_code == 0, result.output
    data, exact = json.loads(result.stdout), json.loads(solve("river_swim", "--average", "--exact", "--json").stdout)
    assert (data["criterion"], data["symbol"], exact["certificate"]) == ("average reward", "g*", "checked")
    for low, value, high in zip(data["lower"], exact["values"], data["upper"], strict=True):
        assert Fraction(low) <= Fraction(value) <= Fraction(high)
    assert "g*(start) = " in solve("river_swim", "--average").stdout


def test_a_model_checkers_file_is_asked_for_a_probability(tmp_path):
    """From state 0 one may stay for ever, or try: 1/3 to the goal, 2/3 to the pit, a deadlock."""
    (tmp_path / "m.tra").write_text("3 3 4\n0 0 0 1\n0 1 1 1/3\n0 1 2 2/3\n1 0 1 1\n")
    (tmp_path / "m.lab").write_text('0="init" 1="goal"\n0: 0\n1: 1\n')
    model = tmp_path / "m.tra"
    result = solve(model, "--reach", "goal", "--exact", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["values"] == ["1/3", "1", "0"]
    assert json.loads(solve(model, "--reach", "goal", "--direction", "min", "--json").stdout)["values"] == [0.0, 1.0, 0.0]
    assert "state 2 has no choice" in solve(model, "--average").stderr
    text = solve(model, "--reach", "goal").stdout
    assert "maximal probability of reaching goal" in text
    assert "Pmax(start) = 0.333333333" in text
    for words, message in (
        ((model, "--reach", "gaol"), "no label 'gaol'. Did you mean goal"),
        (("two_state", "--reach", "goal"), "needs a model with labels"),
        ((model, "--reach", "goal", "--average"), "goes without --average"),
    ):
        result = solve(*words)
        assert result.exit_code == 2
        assert message in result.stderr
