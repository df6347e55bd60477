"""`pgtheory doctor`: every fault is named with what mends it."""

from __future__ import annotations

import json
from importlib import metadata

import pytest
from typer.testing import CliRunner

from proofs_check import cli


def doctor(*words):
    return CliRunner().invoke(cli.app, ["doctor", *words])


def test_facts_of_a_sound_installation(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    result = doctor("--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["faults"]) == (0, [])
    facts = found["facts"]
    assert facts["pgtheory"].startswith(metadata.version("pgtheory"))
    assert {"HIGHS", "CLARABEL"} <= set(facts["solvers"].split(", "))
    assert "OPENBLAS_NUM_THREADS=1" in facts["threads"]
    assert "MKL_NUM_THREADS" not in facts["threads"]
    assert "usable of" in facts["cores"]
    assert facts["test figure"] == "V* = 1 in rationals, 1 in floats"


def test_every_dependency_is_looked_at():
    facts = json.loads(doctor("--json").stdout)["facts"]
    wanted = [text for text in metadata.requires("pgtheory") if "extra ==" not in text]
    assert wanted
    assert all(text.partition(">")[0].strip() in facts for text in wanted)


@pytest.mark.parametrize(
    ("found", "says"), [("1.26.4", r"numpy is 1.26.4, and >=2.0 is asked for: pip install -U 'numpy>=2.0'"), (None, "numpy is not installed")]
)
def test_a_dependency_that_is_too_old_or_missing(monkeypatch, found, says):
    true_version = metadata.version

    def version(name):
        if name == "numpy" and found is None:
            raise metadata.PackageNotFoundError(name)
        return found if name == "numpy" else true_version(name)

    monkeypatch.setattr(metadata, "version", version)
    result = doctor()
    assert result.exit_code == 1
    assert f" fault: {says}" in result.stdout
    assert result.stdout.endswith(" 1 to mend\n")


def test_a_solver_that_is_missing(monkeypatch):
    monkeypatch.setattr("cvxpy.installed_solvers", lambda: ["CLARABEL"])
    result = doctor()
    assert result.exit_code == 1
    assert "cvxpy has no HIGHS, which is needed for linear programs: pip install highspy" in result.stdout


def test_a_cache_that_cannot_be_written(monkeypatch, tmp_path):
    monkeypatch.setenv("PGTHEORY_CACHE", str(tmp_path))
    monkeypatch.setattr("os.access", lambda *_: False)
    result = doctor()
    assert result.exit_code == 1
    assert f"the kernel cache {tmp_path / 'kernels'} cannot be written" in result.stdout
