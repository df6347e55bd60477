"""Every experiment runs, writes its three files and shows the facts that it names; one that shows nothing is red."""

from __future__ import annotations

import csv
import importlib
import json
import pathlib

import pytest

from experiments.findings import Finding, Outcome, report

FOLDER = pathlib.Path(__file__).parents[2] / "experiments"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if "def experiment(" in path.read_text())


LONG = {"exponential_time"}
"""Ten seconds and more, kernels of its own to be compiled among them; the others take one to five."""


def test_there_are_experiments():
    assert {"softmax_pg_rates", "entropy_npg_rate", "improper_queues"} | LONG <= set(NAMES)


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow if name in LONG else ()) for name in NAMES])
def test_an_experiment_shows_its_facts(name, tmp_path, capsys):
    module = importlib.import_module(f"experiments.{name}")
    assert report(name, module.experiment, [str(tmp_path)]) == 0, capsys.readouterr().out
    with (tmp_path / f"{name}.csv").open() as file:
        rows = list(csv.reader(file))
    assert len(rows) > 10
    assert all(len(row) == len(rows[0]) for row in rows)
    assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    findings = json.loads((tmp_path / f"{name}.json").read_text())
    assert findings
    assert all(finding["source"] and finding["measured"] for finding in findings)


def test_a_fact_that_is_not_shown_is_said_and_ends_with_status_1(tmp_path, capsys):
    from matplotlib.figure import Figure

    def experiment() -> Outcome:
        return Outcome(("t",), [(1,)], Figure(), [Finding("nobody", "the moon is cheese", "rock", False)])

    assert report("moon", experiment, [str(tmp_path)]) == 1
    assert "NOT SHOWN: the moon is cheese (nobody)" in capsys.readouterr().out
