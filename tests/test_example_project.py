"""The example project of the docs: it passes its own tests away from the checkout, and its page names what its files hold."""

from __future__ import annotations

import ast
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

PROJECT = pathlib.Path(__file__).parent.parent / "docs" / "example_project"
FILES = ("reinforce.py", "planted.py", "test_reinforce.py", "test_planted.py")


@pytest.mark.peer
def test_the_project_passes_its_own_tests(tmp_path):
    """In a folder of its own, without this repository's settings; the planted errors are found there."""
    pytest.importorskip("torch")
    for name in FILES:
        shutil.copy(PROJECT / name, tmp_path)
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stdout


def _classes(name: str) -> list[str]:
    return [node.name for node in ast.parse((PROJECT / name).read_text()).body if isinstance(node, ast.ClassDef)]


def _tests(name: str) -> list[str]:
    return [node.name for node in ast.parse((PROJECT / name).read_text()).body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]


def test_the_page_names_every_test_and_every_planted_error():
    page = (PROJECT / "README.md").read_text()
    assert re.findall(r"^\| `(test_\w+)`", page, re.MULTILINE) == _tests("test_reinforce.py")
    assert re.findall(r"^\| `([A-Z]\w+)`", page, re.MULTILINE) == _classes("planted.py")
    assert sorted(set(re.findall(r"<(\w+\.py)>", page))) == sorted(FILES)
