"""The command line on models: solve, run, bench, doctor, and several methods side by side."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap

import pytest
from typer.testing import CliRunner

from proofs_check import cli
from proofs_check.cli import group


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Runs the command line in an empty folder: call("verify", ...) -> result with exit_code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(cli.app, [str(word) for word in words])


def test_solve_and_run_print_what_the_library_says(call, tmp_path):
    import mdps
    import pgtheory

    mdp = mdps.zoo.frozen_lake(4)
    best = pgtheory.solve(mdp)
    result = call("solve", "frozen_lake(4)", "--json", "--out", "v.json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["values"] == pytest.approx(best.values.tolist(), abs=2e-8)
    assert json.loads((tmp_path / "v.json").read_text()) == data
    table = call("solve", "frozen_lake(4)")
    assert (table.exit_code, len(table.stdout.splitlines())) == (0, 3 + 1 + mdp.num_states)
    result = call("run", "frozen_lake(4)", "--method", "npg", "--step-size", "1/2", "--iterations", 50, "--out", "r.npz", "--plot", "p.svg", "--json")
    assert result.exit_code == 0, result.output
    gap = pgtheory.run(mdp, pgtheory.NaturalPG(step_size=0.5), iterations=50).gap()
    (data,) = json.loads(result.stdout)["runs"]
    assert data["gap"] == pytest.approx(gap.tolist())
    assert data["settings"] == {"step_size": 0.5}
    assert (tmp_path / "r.npz").is_file()
    assert "pgtheory run" in (tmp_path / "p.svg").read_text()


def test_exact_values_are_fractions_with_a_checked_certificate(call):
    result = call("solve", "frozen_lake(4)", "--exact", "--discount", "9/10", "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert (data["certificate"], data["discount"], data["values"][-1]) == ("checked", "9/10", "0")
    assert re.fullmatch(r"\d+/\d+", data["values"][0])


def test_bench_prints_its_table_or_json_alone(call, monkeypatch):
    def bench(quick):
        print("a table")
        return [{"case": "PG", "quick": quick}]

    monkeypatch.setattr("proofs_check.bench.policy_gradient.bench", bench)
    assert call("bench", "policy-gradient").stdout == "a table\n"
    result = call("bench", "policy-gradient", "--quick", "--json")
    assert (json.loads(result.stdout), result.stderr) == ([{"case": "PG", "quick": True}], "a table\n")


def test_doctor_finds_nothing_to_mend(call):
    result = call("doctor")
    assert result.exit_code == 0, result.output
    assert "V* = 1 in rationals, 1 in floats" in result.stdout
    assert result.stdout.endswith(" everything is in order\n")


def test_every_method_of_the_library_is_on_the_command_line():
    import dataclasses

    import pgtheory.policy_gradient as methods

    classes = {name for name in methods.__all__ if dataclasses.is_dataclass(getattr(methods, name)) and hasattr(getattr(methods, name), "settings")}
    assert classes - {"Method"} == set(methods.NAMES.values())


def test_several_methods_are_compared_with_rates_and_bounds(call, tmp_path):
    import csv

    methods = "npg:step-size=1,softmax-pg,policy-iteration"
    result = call("run", "loop(1/2)", "--method", methods, "--step-size", "1/64", "--iterations", 300, "--csv", "r.csv", "--plot", "p.svg")
    assert result.exit_code == 0, result.output
    rows = {line.split()[0]: line for line in result.stdout.splitlines() if line.startswith(" ") and line.strip()}
    assert "npg-one-over-T" in rows["npg:step-size=1"]
    assert "softmax-worst-state-one-over-t" in rows["softmax-pg"]  # the closest of the bounds that hold
    assert "solved by t = 1" in rows["policy-iteration"]
    with (tmp_path / "r.csv").open() as file:
        table = list(csv.DictReader(file))
    assert {row["method"] for row in table} == set(methods.split(","))
    bounds = [(float(row["gap"]), float(row["npg-one-over-T"])) for row in table if row["npg-one-over-T"]]
    assert bounds
    assert all(gap <= bound for gap, bound in bounds)
    assert (tmp_path / "p.svg").read_text().count("run-") >= 3


@pytest.mark.parametrize(
    ("methods", "options", "said"),
    [
        ("npg,softmax-pg", ("--geometry", "kl"), "no method here has --geometry: npg takes --step-size; softmax-pg takes"),
        ("npg", (), "npg needs --step-size, for example --step-size 0.1"),
        ("npg:step=3", (), "npg has no setting step; takes --step-size"),
        ("npg:3", (), "write a setting as npg:step-size=0.1"),
        ("npg:step-size=1,npg:step-size=1", (), "twice"),
        ("npgg", (), "unknown method 'npgg'"),
        (",", (), "names no method"),
        ("npg", ("--step-size", "x"), "--step-size 'x' is no number"),
        ("npg,policy-iteration", ("--step-size", "1", "--out", "x.npz"), "--out holds one run and there are 2 methods"),
    ],
)
def test_a_wrong_choice_of_methods_says_what_would_do(call, methods, options, said):
    result = call("run", "loop(1/2)", "--method", methods, *options)
    assert result.exit_code == 2
    assert said in result.stderr


def test_ctrl_c_ends_a_real_process_with_one_line(tmp_path):
    """Interrupted by a signal while the engine works: no traceback."""
    code = """
        import time
        from proofs_check import cli
        import proofs_check.cli.verification as v
        def slow(request, options, store, progress):
            progress.start(5)
            print("ready", flush=True)
            time.sleep(60)
        v._verify = slow
        import sys
        sys.argv = ["pgtheory", "verify"]
        cli.main()
    """
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == group.INTERRUPTED
    assert "Traceback" not in errors
    assert "interrupted: 0 of 5 forms finished" in errors
