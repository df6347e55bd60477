"""Mistakes that a newcomer makes: every message names the place and says what to write."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from mdps import ModelError
from mdps.io import from_json
from proofs_check import domains
from proofs_check.cli import app
from proofs_check.cli.grading import grade_file
from proofs_check.cli.runs import list_methods, methods_in, robust_options
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
    result = CliRunner().invoke(app, ["verify", "npg-potential", "--scheduler", "foo", "--no-report"])
    assert result.exit_code == 2
    assert "'foo' is no address of a scheduler; it looks like tcp://host:8786" in result.stderr
