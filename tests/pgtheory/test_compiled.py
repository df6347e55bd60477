"""Compilation: nothing heavy at import, no stale machine code, one version of each kernel."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import pgtheory
from pgtheory.compiled import gate, source_digest

ROOT = pathlib.Path(pgtheory.__file__).parent.parent
HEAVY = ("numba", "scipy", "sympy", "flint", "cvxpy", "matplotlib", "hypothesis", "pandas", "rich", "typer")


def python(code: str, cwd: pathlib.Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(cwd), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_loads_numpy_and_nothing_heavier():
    loaded = python("import sys, pgtheory; print(*sorted({name.split('.')[0] for name in sys.modules}))", ROOT).split()
    assert "numpy" in loaded
    assert not set(HEAVY) & set(loaded)


def test_every_public_name_resolves():
    for name in pgtheory.__all__:
        assert getattr(pgtheory, name) is not None
    assert set(dir(pgtheory)) >= set(pgtheory.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        pgtheory.nothing  # noqa: B018


def test_public_names_of_the_methods_package_resolve():
    from pgtheory import policies, policy_gradient

    for module in (policies, policy_gradient):
        for name in module.__all__:
            assert getattr(module, name) is not None


def test_what_passes_the_gate_has_one_type():
    given = [np.zeros((2, 3)), np.asfortranarray(np.ones((2, 3))), np.ones((2, 3), dtype=int), [[1, 2, 3], [4, 5, 6]], np.ones((4, 3))[::2]]
    for array in gate(*given):
        assert array.dtype == np.float64
        assert array.flags.c_contiguous
        assert not array.flags.writeable
    assert given[0].flags.writeable
    assert gate([1, 2], dtype=np.int64)[0].dtype == np.int64
    assert np.shares_memory(gate(given[0])[0], given[0])


HELPER = """
    from pgtheory.compiled import kernel

    @kernel
    def helper(x):
        return x + 1
"""
CALLER = """
    from pgtheory.compiled import kernel
    from pgtheory.helper import helper

    @kernel
    def caller(x):
        return 10 * helper(x)
"""


def test_editing_a_helper_recompiles_its_callers_in_other_files(tmp_path):
    """numba's own cache would run the old machine code: it looks at the caller's file only."""
    package = tmp_path / "pgtheory"
    package.mkdir()
    (package / "__init__.py").touch()
    for name in ("compiled.py", "sources.py"):
        shutil.copy(ROOT / "pgtheory" / name, package)
    (package / "helper.py").write_text(textwrap.dedent(HELPER))
    (package / "caller.py").write_text(textwrap.dedent(CALLER))
    cache = {"PGTHEORY_CACHE": str(tmp_path / "cache")}
    ask = "from pgtheory.caller import caller; print(caller(1.0))"
    assert python(ask, tmp_path, **cache) == "20.0"
    assert list((tmp_path / "cache").rglob("*.nbi")), "nothing was cached, so nothing was tested"
    (package / "helper.py").write_text(textwrap.dedent(HELPER).replace("x + 1", "x + 2"))
    assert python(ask, tmp_path, **cache) == "30.0"


@pytest.mark.slow
def test_editing_a_kernel_in_a_copy_of_the_package_changes_the_run(tmp_path):
    for name in ("pgtheory", "mdps"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    cache = {"PGTHEORY_CACHE": str(tmp_path / "cache")}
    ask = """
        import mdps, pgtheory
        print(pgtheory.run(mdps.zoo.two_state(), pgtheory.NaturalPG(1), 1).parameters[-1].sum())
    """
    before = float(python(ask, tmp_path, **cache))
    kernels = tmp_path / "pgtheory" / "kernels.py"
    text = kernels.read_text()
    line = "        scale = 1.0 / total\n"
    assert text.count(line) == 1
    kernels.write_text(text.replace(line, "        scale = 2.0 / total\n"))
    assert abs(float(python(ask, tmp_path, **cache)) - before) > 1e-3


def test_the_digest_names_all_sources():
    assert len(source_digest()) == 16
    assert source_digest() == source_digest()


def test_every_loop_has_one_version_after_use():
    from mdps import zoo
    from pgtheory import kernels
    from tests.pgtheory.policy_gradient.test_methods import METHODS, compiled

    mdp = zoo.two_state()
    for method, settings in METHODS.values():
        compiled(method, mdp, method.start(mdp), settings)
        assert len(method._loop.signatures) == 1
    for name in ("softmax", "log_softmax", "lookahead", "advantages", "policy_values", "policy_values_and_visits", "project_simplex", "improve"):
        # from compiled code a kernel is called with read-only models and writable work arrays; policies and values are work arrays always
        assert len(getattr(kernels, name).signatures) <= 4, name
