"""What a module depends on: imports read from text, kept under the digest of the text, and resolved through packages."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

from pgtheory import sources

ROOT = pathlib.Path(sources.__file__).parent.parent
TEXT = """
import ast, pgtheory.run
from pgtheory.exact import solve as solver
_HOME = {**dict.fromkeys(("a", *("b", "c")), "letters"), "one": "digits"}

def later():
    from mdps.model import MDP
"""


def test_imports_are_read_wherever_they_stand():
    assert sources.read_imports(TEXT) == [
        ["import", ["ast", "pgtheory.run"]],
        ["from", "pgtheory.exact", 0, [["solve", "solver"]]],
        ["home", {"a": "letters", "b": "letters", "c": "letters", "one": "digits"}],
        ["from", "mdps.model", 0, [["MDP", "MDP"]]],
    ]


def test_a_table_that_only_running_would_tell_is_refused():
    with pytest.raises(ValueError, match="_HOME table"):
        sources.read_imports("_HOME = made()")


def test_names_of_lazy_packages_lead_to_their_modules():
    for package in ("mdps.ambiguity", "pgtheory.robust", "pgtheory"):
        module = __import__(package, fromlist=["_HOME"])
        for name, home in module._HOME.items():
            found = sources._home(package, name)
            assert found in (home, f"{package}.{home}") or found.startswith(home), (package, name, found)


def test_a_closure_holds_what_is_imported_by_what_is_imported():
    found = sources.closure(("pgtheory.policy_gradient.natural",))
    assert {"pgtheory.policy_gradient.natural", "pgtheory.kernels", "pgtheory.compiled", "pgtheory.sources"} <= set(found)
    assert not any(name.startswith("mdps.") for name in sources.closure(("pgtheory.policy_gradient.natural",), ("mdps.*",)))


ASK = "from pgtheory.sources import closure; print(*closure(('proofs_check.engine.verify',)))"


def _asked(cache: pathlib.Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", ASK], cwd=ROOT, env={**os.environ, "PGTHEORY_CACHE": str(cache)}, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_what_is_kept_on_disk_gives_the_same_closure_and_a_damaged_file_is_read_anew(tmp_path):
    first = _asked(tmp_path)
    (kept,) = tmp_path.glob("imports-*.json")
    known = json.loads(kept.read_text())
    assert len(known) > 50 and all(len(key) == 64 for key in known)
    assert _asked(tmp_path) == first
    kept.write_text('{"half')
    assert _asked(tmp_path) == first
    assert json.loads(kept.read_text()) == known, "what was damaged is whole again"
    liar = {key: [] for key in known}  # a text's digest is its name: the file is believed
    kept.write_text(json.dumps(liar))
    assert len(_asked(tmp_path).split()) == 1
