"""Mistakes that a newcomer makes: every message names the place and says what to write."""

from __future__ import annotations

import json
import shlex

import pytest
from typer.testing import CliRunner

from mdps import ModelError
from mdps.io import from_json
from proofs_check import domains
from proofs_check.cli import app
from proofs_check.cli.families import families, list_methods
from proofs_check.cli.grading import grade_file
from proofs_check.cli.runs import methods_in, robust_options
from proofs_check.engine.measure import _ratio
from proofs_check.engine.targets import claims_of_file


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"max_states": 0}, "max_states=0"),
        ({"max_actions": 1, "min_actions": 2}, "max_actions=1"),
        ({"policy": "unifrm"}, r"policy='unifrm' is none of .* Did you mean uniform?"),
        ({"mu": "postive"}, "Did you mean positive?"),
    ],
)
def test_a_domain_that_holds_nothing_is_refused(changes, said):
    with pytest.raises(ModelError, match=said):
        domains.random_mdps(**changes)


def test_a_mistake_in_a_file_of_claims_has_its_line(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from proofs_check import domains\n\ndomain = domains.random_mdps(\n    max_states=0,\n)\n")
    with pytest.raises(ModelError, match=r"mine\.py, line [34]: no model has the sizes max_states=0"):
        claims_of_file(path)


def test_a_number_beyond_float64_is_refused():
    with pytest.raises(ModelError, match="a number of 401 digits"):
        _ratio(10**400, 1)
    assert _ratio(1, 10**400) == 0


def test_robust_is_for_robust_methods_only():
    options = {"step_size": "1/10"} | robust_options("l1:0.2")
    with pytest.raises(ModelError, match=r"no method here has --robust: npg takes --step-size\. Methods with --robust: drpg, .*robust-pg"):
        methods_in("npg", options)
    with pytest.raises(ModelError, match=r"no method here has --robust: trpo"):  # its radius is that of a trust region
        methods_in("trpo", robust_options("l1:0.2"))
    with pytest.raises(ModelError, match=r"robust-pg needs --robust, for example --robust l1:0.2"):
        methods_in("robust-pg", {"step_size": "1/10"})
    assert methods_in("robust-pg", options)["robust-pg"].radius == 0.2


def test_a_question_mark_lists_the_methods(capsys):
    assert list_methods() == 0
    listed = capsys.readouterr().out
    assert "npg" in listed and "storm-pg" in listed and "--step-size" in listed


@pytest.mark.parametrize(("seconds", "memory", "said"), [(-1.0, 1024, "--seconds is -1.0"), (2.0, 1, "--memory is 1; the least is 256")])
def test_limits_of_marking_are_named_as_typed(tmp_path, seconds, memory, said):
    with pytest.raises(ModelError, match=said):
        grade_file("policy-iteration", tmp_path / "submission.py", seconds, memory, False)


def test_an_unknown_field_comes_with_the_known_ones():
    with pytest.raises(ModelError, match=r"unknown field 'rewards'.*discount, states, actions, start, transitions"):
        from_json({"rewards": []})


@pytest.mark.parametrize(("flag", "value"), [("--samples", "5"), ("--runs", "2"), ("--seed", "0")])
def test_options_of_sampled_methods_are_refused_where_nothing_is_sampled(flag, value):
    result = CliRunner().invoke(app, ["run", "chain(3, 9/10)", "--method", "npg", "--step-size", "1", flag, value])
    assert result.exit_code == 2
    assert f"{flag} is for sampled methods (reinforce, " in result.stderr


def test_a_scheduler_without_a_port_is_refused_at_once():
    """Also where the store holds every verdict, so that no worker would be asked."""
    result = CliRunner().invoke(app, ["verify", "npg-potential", "--scheduler", "foo", "--no-report"])
    assert result.exit_code == 2
    assert "'foo' is no address of a scheduler; it looks like tcp://host:8786" in result.stderr


@pytest.mark.parametrize("method", ["npg", "reinforce", "npg:step-size=0"])
@pytest.mark.parametrize("size", ["-1", "0"])
def test_a_step_size_that_goes_nowhere_is_refused_by_its_option(method, size):
    given = method if ":" in method else f"{method}:step-size={size}"
    for arguments in (["--method", given], ["--method", method.split(":")[0], "--step-size", size]):
        result = CliRunner().invoke(app, ["run", "chain(3, 9/10)", *arguments])
        assert result.exit_code == 2
        assert "pgtheory: --step-size is " in result.stderr and "must be above 0" in result.stderr


def test_an_empty_bound_is_called_empty():
    result = CliRunner().invoke(app, ["verify", "npg-one-over-T", "--bound", " "])
    assert result.exit_code == 2
    assert "--bound is empty; write an expression" in result.stderr


def test_a_folder_that_is_made_is_announced(tmp_path):
    result = CliRunner().invoke(app, ["solve", "chain(3)", "--out", str(tmp_path / "new" / "chain.json")])
    assert result.exit_code == 0
    assert f"note: there is no folder {tmp_path / 'new'} yet; it is made for chain.json" in result.stderr
    again = CliRunner().invoke(app, ["solve", "chain(3)", "--out", str(tmp_path / "new" / "chain.json")])
    assert "note" not in again.stderr


def test_a_folder_is_no_model(tmp_path):
    (tmp_path / "mine.json").write_text("{}")
    result = CliRunner().invoke(app, ["solve", str(tmp_path)])
    assert result.exit_code == 2
    assert f"{tmp_path} is a folder; a model is a file (.npz, " in result.stderr and "in it lies mine.json" in result.stderr


@pytest.mark.parametrize("name", ["nothing.csv", "nothing.npz", "nothing.json"])
def test_a_missing_file_to_imitate_has_words_of_its_own(name):
    result = CliRunner().invoke(app, ["solve", "chain(3)", "--utility", f"imitation:{name}"])
    assert result.exit_code == 2
    assert result.stderr == f"pgtheory: {name}: there is no such file\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"schema": "pgtheory-counterexample-1", "clai', "seems cut: it ends in line 1"),
        ('{"a": [1,\n 2', "seems cut: it ends in line 2"),
        ("", "is empty"),
        ("nonsense", "is no JSON"),
    ],
)
def test_a_file_that_was_cut_is_called_so(tmp_path, text, said):
    path = tmp_path / "one.json"
    path.write_text(text)
    result = CliRunner().invoke(app, ["replay", str(path)])
    assert result.exit_code == 2
    assert f"pgtheory: {path} {said}" in result.stderr


def test_every_option_of_run_stands_under_its_family():
    text = CliRunner().invoke(app, ["run", "--help"]).stdout
    for heading, flag in (("Robust", "--robust"), ("Averse to risk", "--risk"), ("Under constraints", "--costs"), ("Sampled methods", "--runs")):
        section = text[text.index(f"\n{heading}") :].split("\n\n")[0]
        assert f"  {flag} " in section


def test_every_method_is_listed_under_one_family():
    from pgtheory.constrained.methods import METHODS
    from pgtheory.policy_gradient import NAMES
    from proofs_check.cli import sampled, utility

    listed = families()
    names = [name for members in listed.values() for name in members]
    assert len(names) == len(set(names))
    assert {*NAMES, *METHODS, *sampled.NAMES, *utility.METHODS} <= set(names)
    assert "drpg" in listed["robust"] and "risk-pg" in listed["risk"] and "npg" in listed["exact"]
    assert "--geometry" not in listed["exact"]["mirror-descent-kl"]  # the name says it


def test_the_command_in_the_output_makes_the_same_run_again():
    asked = ["run", "chain(3, 9/10)", "--method", "npg,policy-iteration", "--step-size", "1/10", "--iterations", "3", "--json"]
    first = json.loads(CliRunner().invoke(app, [*asked, "--discount", "1/2"]).stdout)
    words = shlex.split(first["command"])
    assert words[0] == "pgtheory"
    assert json.loads(CliRunner().invoke(app, [*words[1:], "--json"]).stdout) == first


@pytest.mark.parametrize("more", [["--iterations", "5"], ["--samples", "5"], ["--start", "random:1"]])
def test_what_plays_no_part_in_episodes_is_refused(more):
    result = CliRunner().invoke(app, ["run", "chain(3)", "--method", "ucbvi", "--episodes", "10", "--horizon", "3", *more])
    assert result.exit_code == 2
    assert f"{more[0]} plays no part in episodes" in result.stderr


@pytest.mark.parametrize("where", [["--utility", "entropy"], ["--constraint", "plays(left)<=3"]])
@pytest.mark.parametrize("flag", ["--samples", "--runs", "--horizon"])
def test_options_of_sampling_are_refused_beside_utilities_and_constraints(where, flag):
    result = CliRunner().invoke(app, ["run", "chain(3)", "--method", "npg", *where, flag, "3"])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"pgtheory: {where[0]} goes without ") and flag in result.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rewrd": 0}, r"transitions\[0\] must be .*; there is no field 'rewrd'\. Did you mean reward\?"),
        ({"to": [1]}, r'transitions\[0\] must be .*; "to" is no object'),
    ],
)
def test_a_misspelt_field_of_a_transition_is_named(change, said):
    choice = {"state": 0, "action": 0, "reward": 0, "to": {"0": 1}} | change
    with pytest.raises(ModelError, match=said):
        from_json({"discount": "1/2", "states": 1, "actions": ["stay"], "transitions": [choice]})
    with pytest.raises(ModelError, match=r"'reward' is missing"):
        from_json({"discount": "1/2", "states": 1, "actions": ["stay"], "transitions": [{key: choice[key] for key in ("state", "action", "to")}]})


@pytest.mark.parametrize(
    ("change", "said"), [({"states": 2}, "says states: 2; its arrays have 1"), ({"policy": [["1/2", "1/4"]]}, "policy must have shape (1, 2)")]
)
def test_a_counterexample_that_contradicts_itself_is_refused_by_its_file(tmp_path, change, said):
    instance = {"states": 1, "actions": 2, "transitions": [[["1"], ["1"]]], "rewards": [["0", "1"]], "discount": "0", "mu": ["1"], "rho": ["1"]}
    instance["policy"] = [["1/2", "1/2"]]
    data = {
        "schema": "pgtheory-counterexample-1",
        "claim": "mine",
        "form": "main",
        "statement": "gap_rho <= 1",
        "t": 0,
        "instance": instance | change,
    }
    path = tmp_path / "one.json"
    path.write_text(json.dumps(data))
    result = CliRunner().invoke(app, ["replay", str(path)])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"pgtheory: {path}: ") and said in result.stderr


def test_a_learner_of_episodes_in_a_sweep_is_sent_to_run(tmp_path):
    result = CliRunner().invoke(app, ["sweep", "chain(3)", "--method", "ucbvi", "--store", str(tmp_path / "one.db")])
    assert result.exit_code == 2
    assert "ucbvi learns in episodes, which sweeps do not: pgtheory run MODEL --method ucbvi --episodes K" in result.stderr


@pytest.mark.parametrize("spelt", ["step-size", "step_size"])
def test_a_step_size_at_the_name_is_not_crossed_with_others(spelt):
    from proofs_check.sweep.cells import takes_step

    assert not takes_step(f"npg:{spelt}=1") and not takes_step(f"reinforce:{spelt}=1")
    assert takes_step("npg") and takes_step("reinforce")
