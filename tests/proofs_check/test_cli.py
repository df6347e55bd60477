"""The command line: exit status, one-line messages, tables, JSON, and what it does not load."""

from __future__ import annotations

import glob
import json
import os
import re
import subprocess
import sys
import textwrap

import pytest
from sample_run import claim, form, sample_run
from typer.testing import CliRunner

from mdps.errors import ModelError
from proofs_check import cli
from proofs_check.cli import group, output
from proofs_check.report import counterexample_files
from proofs_check.verdict import as_dict

HEAVY = ("numpy", "scipy", "sympy", "numba", "matplotlib", "rich", "jinja2", "cvxpy", "sqlite3", "hypothesis", "flint")


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Runs the command line in an empty folder: call("verify", ...) -> result with exit_code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(cli.app, [str(word) for word in words])


@pytest.fixture
def engine(monkeypatch):
    """A stand-in for the engine: returns the run it is given and remembers what it was asked."""
    asked = {}

    def install(run, meanwhile=None):
        def verify(request, options, store, progress):
            asked.update(options, request=request, store=store.path)
            forms = [form for verdict in run.verdicts for form in (*verdict.forms, *verdict.controls)]
            progress.start(len(forms))
            for verdict in forms:
                progress.stage(verdict.claim, verdict.form, "search")
                progress.done(verdict)
                if meanwhile:
                    meanwhile()
            return run

        monkeypatch.setattr("proofs_check.cli.verification._verify", verify)
        return asked

    return install


def expected_run():
    return sample_run(verdicts=[verdict for verdict in sample_run().verdicts if verdict.expected])


def python(code, **more):
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=environment, **more)


def one_line(text):
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert text.startswith("pgtheory: ")
    return text


# What is loaded


@pytest.mark.parametrize("words", [["--help"], ["verify", "--help"], ["claims"], ["claims", "--json"], ["run", "--help"]])
def test_help_and_listing_load_nothing_heavy(words):
    result = python(f"""
        import sys
        sys.argv = ["pgtheory", *{words!r}]
        from proofs_check.cli import main
        try:
            main()
        except SystemExit as end:
            assert end.code == 0, end.code
        loaded = sorted(set({HEAVY!r}) & set(sys.modules))
        assert not loaded, loaded
    """)
    assert result.returncode == 0, result.stderr
    assert result.stdout


def test_help_names_every_command(call):
    text = call("--help").stdout
    for name in ("verify", "claims", "solve", "run", "replay", "report", "bench", "doctor"):
        assert re.search(rf"^  {name} ", text, re.M)


# Exit status and messages


def test_as_expected_is_status_0_and_the_table_goes_to_stdout(call, engine):
    run = expected_run()
    engine(run)
    result = call("verify", "--out", "out")
    assert result.exit_code == 0, result.output
    for verdict in run.verdicts:
        assert verdict.id in result.stdout
    assert "2 of 2 negative controls refuted" in result.stdout
    assert "report: out/index.html" in result.stdout
    assert re.search(
        r"softmax-one-over-t-lower-bound +not applicable .*start distribution positive everywhere \(here it is 0 in 63 of 64 states\)", result.stdout
    )
    assert result.stderr.splitlines()[-1].startswith("  8/8  softmax-one-over-t-lower-bound, main: undecided")


def test_a_refutation_and_a_surviving_control_are_status_1(call, engine, tmp_path):
    run = sample_run()
    engine(run)
    result = call("verify", "--out", "out")
    assert result.exit_code == 1
    assert (
        "refuted    my-npg-bound    gap_rho 0.31 > bound 0.003466 at t = 2, certified (balls)        replay: pgtheory replay out/my-npg-bound.json"
        in result.stdout
    )
    assert "           2 states, 2 actions, gamma 9/10, eta 100; the bound times 90 survived the same search" in result.stdout
    assert "survived   softmax-smoothness-sharp, negative control 'half the constant': supported" in result.stdout
    for path in counterexample_files(run, tmp_path / "out").values():
        assert path.is_file()


def test_json_is_the_run_and_nothing_else_on_stdout(call, engine):
    run = expected_run()
    engine(run)
    result = call("verify", "npg-one-over-T", "--json", "--seed", 7, "--no-report", "--out", "out")
    data = json.loads(result.stdout)
    command = "pgtheory verify npg-one-over-T --budget quick --seed 7"
    assert data == json.loads(json.dumps(as_dict(run) | {"command": command, "folder": "out"}))
    assert not os.path.exists("out/index.html")
    assert os.path.exists("out/run.json")


def test_options_reach_the_engine(call, engine):
    asked = engine(expected_run())
    words = ["--budget", "deep", "--bound", "1/t", "--set", "eta=1/5", "--set", "tau = 2", "--instance", "gym:X", "--seed", 3, "--jobs", 2, "--fresh"]
    result = call("verify", "npg-one-over-T", *words, "--store", "s.sqlite", "--out", "out")
    assert result.exit_code == 0, result.output
    wanted = {"budget": "deep", "bound": "1/t", "settings": {"eta": "1/5", "tau": "2"}, "instance": "gym:X", "seed": 3, "jobs": 2, "fresh": True}
    assert {key: asked[key] for key in wanted} == wanted
    assert str(asked["store"]) == "s.sqlite"
    assert (
        asked["request"].command()
        == "pgtheory verify npg-one-over-T --budget deep --bound 1/t --set eta=1/5 --set 'tau = 2' --instance gym:X --seed 3"
    )


def test_runs_go_to_a_folder_of_their_own(call, engine, tmp_path):
    engine(expected_run())
    for _ in range(2):
        assert call("verify").exit_code == 0
    folders = [path for path in (tmp_path / "runs").iterdir() if path.is_dir()]
    assert len(folders) == 2
    assert all((folder / "index.html").is_file() for folder in folders)
    assert (tmp_path / "runs" / "evidence.sqlite").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["verify", "--bund", "x"], r"no such option: --bund .*--bound"),
        (["verfy"], r"no such command 'verfy'. Did you mean 'verify'\?"),
        (["verify", "--seed", "x"], r"'--seed'.*integer"),
        (["verify", "--budget", "fast"], r"'fast' is not one of 'quick', 'standard', 'deep'"),
        (["verify", "--bound", "1/t"], r"--bound changes one claim: name it"),
        (["verify", "a", "--set", "eta"], r"--set 'eta': write NAME=EXPR"),
        (["verify", "nothing.py"], r"nothing\.py: there is no such file"),
        (["claims", "show", "npg-one-over"], r"there is no claim 'npg-one-over'\. Did you mean npg-one-over-T"),
        (["claims", "list", "naturel"], r"there is no family 'naturel'"),
        (["replay", "nothing.json"], r"nothing\.json: there is no such file"),
        (["report", "nothing.json"], r"nothing\.json: there is no such file"),
        (["run", "two_state", "--method", "softmax"], r"unknown method 'softmax'.*Did you mean softmax-pg"),
        (["run", "two_state", "--method", "npg"], r"npg needs --step-size, for example"),
        (["run", "two_state", "--method", "npg", "--step-size", "big"], r"--step-size 'big' is no number"),
        (
            ["run", "two_state", "--method", "policy-iteration", "--step-size", "1"],
            r"no method here has --step-size: policy-iteration takes no settings",
        ),
        (["run", "two_state", "--method", "npg", "--step-size", "1", "--plot", "a.txt"], r"a\.txt: the ending must be \.svg, \.png or \.pdf"),
        (["solve", "two_state", "--out", "a.txt"], r"a\.txt: the ending must be \.json, \.csv or \.npz"),
        (["solve", "two_state", "--tol", "0"], r"--tol is 0\.0; it must be above 0"),
        (["bench", "everything"], r"'everything' is not one of 'policy-gradient', 'solvers'"),
        (["replay"], r"missing argument 'FILE'"),
    ],
)
def test_a_users_mistake_is_one_line_and_status_2(call, words, message):
    result = call(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert re.search(message, one_line(result.stderr))


def test_input_errors_of_the_library_are_status_2_without_traceback(call, monkeypatch):
    def fail(*_):
        raise ModelError("row (state 3, action 1) sums to 0.98, not 1")

    monkeypatch.setattr("proofs_check.cli.verification._verify", fail)
    result = call("verify", "--out", "out")
    assert (result.exit_code, result.stderr) == (2, "pgtheory: row (state 3, action 1) sums to 0.98, not 1\n")


def test_bad_files_are_named(call, tmp_path):
    (tmp_path / "a.json").write_text('{"schema": 3}')
    (tmp_path / "b.json").write_text("{")
    (tmp_path / "c.sqlite").write_text("no database, but long enough to be read as the header of one " * 10)
    assert "is no counterexample (its schema is 3" in call("replay", "a.json").stderr
    assert "b.json seems cut: it ends in line 1" in call("replay", "b.json").stderr
    assert "a.json is no run that `pgtheory verify` wrote" in call("report", "a.json").stderr
    assert "it is no SQLite file" in call("verify", "--store", "c.sqlite").stderr
    assert "name a folder" in call("verify", "--out", "a.json").stderr


# Interruption


def test_ctrl_c_says_what_is_finished_and_that_it_resumes(call, engine):
    def interrupt():
        raise KeyboardInterrupt

    engine(expected_run(), meanwhile=interrupt)
    result = call("verify", "--out", "out")
    assert result.exit_code == group.INTERRUPTED
    assert "pg-theorem-direct-and-softmax, direct: proved" in result.stderr
    assert re.search(
        r"interrupted: 1 of \d+ forms finished; they are kept in runs/evidence.sqlite, and the same command resumes there", result.stderr
    )
    assert not os.path.exists("out/index.html")


# Terminal


def test_a_terminal_gets_colour_and_folding_and_a_pipe_one_line_a_row(monkeypatch, capsys):
    rows = [("npg-one-over-T", "refuted", "long words " * 30)]
    output.table(("claim", "verdict", "evidence"), rows, fold=2, colour=1)
    assert [line.split("  ")[0].strip() for line in capsys.readouterr().out.splitlines()] == ["claim", "npg-one-over-T"]
    monkeypatch.setattr(output, "is_terminal", lambda stream=None: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    output.table(("claim", "verdict", "evidence"), rows, fold=2, colour=1)
    text = capsys.readouterr().out
    assert "\x1b[" in text
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert len(plain.splitlines()) > 3
    assert all(len(row) <= 80 for row in plain.splitlines())


@pytest.mark.parametrize(("words", "standard"), [(("--all",), True), (("--everything",), False), (("npg-one-over-T", "npg-potential:ends"), None)])
def test_mutate_goes_through_the_standard_selection_or_the_whole_catalogue(call, monkeypatch, words, standard):
    from proofs_check.catalogue.sharper import STANDARD

    asked = []
    monkeypatch.setattr("proofs_check.engine.mutate.mutate", lambda targets, **options: asked.append(targets) or [])
    result = call("mutate", *words)
    assert result.exit_code == 0, result.output
    assert asked == [list(STANDARD) if standard else None if standard is False else list(words)]


@pytest.mark.parametrize("words", [(), ("--all", "--everything"), ("npg-one-over-T", "--all")])
def test_mutate_is_told_one_thing_to_go_through(call, words):
    result = call("mutate", *words)
    assert result.exit_code == 2
    assert "name claims, or say --all or --everything" in one_line(result.output)


def test_forms_that_differ_get_rows_of_their_own(call, engine):
    forms = [form("c", "supported", name="derived", instances=5), form("c", "vacuous", name="printed")]
    engine(sample_run(verdicts=[claim("c", "supported", forms=forms)]))
    lines = call("verify", "--out", "out").stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:4]] == [["c", "vacuous"], ["derived", "supported"], ["printed", "vacuous"]]


def test_the_report_is_written_again_from_run_json(call, engine, tmp_path):
    engine(expected_run())
    call("verify", "--out", "out", "--no-report")
    result = call("report", "out", "--out", "again")
    assert (result.exit_code, result.stdout) == (0, "report: again/index.html\n")
    assert (tmp_path / "again" / "npg-one-over-t.html").is_file()


# The engine itself


def test_a_counterexample_is_replayed_and_a_doctored_one_is_not(call, tmp_path):
    """pi(a*) = 1/8, eta = 1/100, one state: log A is too small a first term for a start that is not uniform."""
    instance = {
        "states": 1, "actions": 2, "transitions": [[["1"], ["1"]]], "rewards": [["1", "0"]], "discount": "1/2", "mu": ["1"], "rho": ["1"],
        "policy": [["1/8", "7/8"]], "settings": {"eta": "1/100"},
    }  # fmt: skip
    data = {
        "schema": "pgtheory-counterexample-1", "claim": "npg-one-over-T", "form": "any start", "where": [], "instance": instance, "t": 92,
        "statement": "gap_rho <= 1/(t*(1 - gamma)**2) + log(A)/(eta*t)", "process": {"name": "natural-pg", "fields": {"step_size": "eta"}},
    }  # fmt: skip
    (tmp_path / "true.json").write_text(json.dumps(data))
    (tmp_path / "false.json").write_text(json.dumps(data | {"statement": "gap_rho <= 1/(t*(1 - gamma)**2) + 2*log(A)/(eta*t)"}))
    confirmed, refused = call("replay", "true.json"), call("replay", "false.json")
    assert (confirmed.exit_code, confirmed.stdout.splitlines()[0]) == (0, "confirmed   true.json")
    assert (refused.exit_code, refused.stdout.splitlines()[0]) == (1, "not confirmed   false.json")
    assert json.loads(call("replay", "true.json", "--json").stdout)["confirmed"] is True


def test_verify_runs_the_engine_and_resumes_from_the_store(call, tmp_path):
    words = ("verify", "performance-difference", "--instance", "loop(9/10)", "--out", "out")
    first = call(*words)
    assert first.exit_code == 0, first.output
    assert re.search(r"performance-difference +(proved|certified|supported)", first.stdout)
    assert (tmp_path / "out" / "performance-difference.html").is_file()
    finished = json.loads((tmp_path / "out" / "run.json").read_text())["verdicts"]
    assert call(*words).exit_code == 0
    assert json.loads((tmp_path / "out" / "run.json").read_text())["verdicts"] == finished  # seconds included: nothing ran again


def test_an_instance_outside_a_claim_is_said_to_be(call):
    result = call("verify", "npg-one-over-T", "--instance", "cliff_walking()", "--out", "out", "--no-report")
    assert result.exit_code == 0, result.output
    assert re.search(r"npg-one-over-T +not applicable .*rewards in \[0, 1\] \(here they lie in \[-100, 0\]\)", result.stdout)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["npg-one-over-X"], r"npg-one-over-X.*Did you mean npg-one-over-T"),
        (["npg-one-over-T:rates"], r"no form 'rates'.*Did you mean rate\?"),
        (["npg-one-over-T", "--bound", "log(B)/t"], r"unknown quantity 'B'"),
        (["npg-one-over-T", "--bound", "x^2"], r"a power is written \*\*"),
        (["npg-one-over-T", "--set", "ita=1"], r"no setting 'ita'.*eta"),
        (["npg-one-over-T", "--instance", "frozen_lke(4)"], r"Did you mean frozen_lake"),
    ],
)
def test_what_the_engine_cannot_take_is_status_2(call, words, message):
    result = call("verify", *words)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert re.search(message, result.stderr.splitlines()[0])
    assert not [path for path in glob.glob("runs/*") if os.path.isdir(path)]


@pytest.mark.parametrize("command", [("claims", "show"), ("claims", "tree"), ("verify",), ("mutate",), ("tightness",)])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("softmx-lojasiewicz", r"Did you mean softmax-lojasiewicz"),
        ("lojasiewicz", r"It stands in .*escort-lojasiewicz.*\."),
        ("npg", r"It stands in npg-[^,]*(, [^,]*){4} and \d+ more\."),
        ("smoothness-sharp", r"Did you mean softmax-smoothness-sharp\?"),
        ("zzzzz", r"'zzzzz'\. `pgtheory claims` lists all"),
    ],
)
def test_a_misspelt_claim_is_answered_from_the_index(call, monkeypatch, command, name, message):
    """Without the catalogue, which takes seconds to load, and without a store or a folder of runs."""

    def loaded():
        raise AssertionError("the catalogue was loaded")

    for what in ("claims", "all_claims", "sampled_claims"):
        monkeypatch.setattr(f"proofs_check.catalogue.{what}", loaded)
    result = call(*command, name)
    assert result.exit_code == 2 and result.stdout == ""
    said = one_line(result.stderr)
    assert "there is no claim" in said and re.search(message, said) and not os.path.exists("runs")


def test_a_family_is_no_claim(call):
    assert "it is a family: `pgtheory claims list natural-pg`" in one_line(call("claims", "show", "natural-pg").stderr)
