"""`pgtheory doctor`: versions against what is required, solvers, the cache of machine code, threads, and one figure computed two ways.

Two lists come out: facts, for a bug report; faults, each with what mends it.  Status 1 if there is a fault.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import sys
import time
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from proofs_check.cli.output import line, print_json, say

OPTIONAL = {
    "gymnasium": "gym", "dask": "cluster", "panel": "explore", "hatchling": "", "quantecon": "", "jax": "", "torch": "",
}  # fmt: skip
"""Packages that a part of the library uses or is compared with, and the extra that brings them."""
SOLVERS = {"HIGHS": ("highspy", "linear programs"), "CLARABEL": ("clarabel", "convex programs and certificates")}
"""cvxpy's name of a solver: the package that brings it, and what it is needed for."""
THREAD_SETTINGS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def examine(warm: bool, as_json: bool) -> int:
    """Prints facts and faults; status 1 if something is wrong."""
    facts: dict[str, Any] = {"python": f"{platform.python_version()} ({sys.executable})", "machine": f"{platform.machine()}, {platform.system()}"}
    faults = _check_packages(facts) + _check_versions(facts)
    if not faults:
        faults += _check_solvers(facts) + _check_cache(facts)
        _tell_threads(facts)
    if not faults:
        faults += _check_figure(facts, warm)
    if as_json:
        print_json({"facts": facts, "faults": faults})
    else:
        width = max(map(len, facts))
        for key, value in facts.items():
            line(f" {key:<{width}}  {value}")
        line()
        for fault in faults:
            line(f" fault: {fault}")
        line(" everything is in order" if not faults else f" {len(faults)} to mend")
    return 1 if faults else 0


def _check_packages(facts: dict[str, Any]) -> list[str]:
    """Which pgtheory this is, and whether all three packages are of it."""
    home = Path(__file__).resolve().parent.parent.parent
    try:
        facts["pgtheory"] = f"{metadata.version('pgtheory')} in {home}"
    except metadata.PackageNotFoundError:
        facts["pgtheory"] = f"a checkout that is not installed, in {home}"
    faults = []
    for name in ("mdps", "pgtheory", "proofs_check"):
        place = Path(str(import_module(name).__file__)).resolve().parent
        if place.parent != home:
            faults.append(f"{name} is loaded from {place}, not from {home}: another distribution has the same name; uninstall it")
    return faults


def _check_versions(facts: dict[str, Any]) -> list[str]:
    """What the installed distribution asks for, against what there is."""
    try:
        from packaging.requirements import Requirement
    except ModuleNotFoundError:
        return ["packaging is not installed: pip install packaging"]
    try:
        wanted = [Requirement(text) for text in metadata.requires("pgtheory") or ()]
    except metadata.PackageNotFoundError:
        return ["pgtheory is not installed, so nothing says what it needs: pip install -e . in the checkout"]
    faults = []
    for item in sorted((item for item in wanted if item.marker is None or item.marker.evaluate({"extra": ""})), key=lambda item: item.name):
        found = _version(item.name)
        facts[item.name] = found or "missing"
        if found is None:
            faults.append(f"{item.name} is not installed: pip install '{item.name}{item.specifier}'")
        elif not item.specifier.contains(found, prereleases=True):
            faults.append(f"{item.name} is {found}, and {item.specifier} is asked for: pip install -U '{item.name}{item.specifier}'")
    for name, extra in OPTIONAL.items():
        how = f": pip install 'pgtheory[{extra}]'" if extra else ""
        facts[name] = _version(name) or f"not installed (optional{how})"
    return faults


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _check_solvers(facts: dict[str, Any]) -> list[str]:
    import cvxpy

    installed = cvxpy.installed_solvers()
    facts["solvers"] = ", ".join(installed)
    return [
        f"cvxpy has no {name}, which is needed for {purpose}: pip install {package}"
        for name, (package, purpose) in SOLVERS.items()
        if name not in installed
    ]


def _check_cache(facts: dict[str, Any]) -> list[str]:
    """Where machine code is kept, how much of it, and whether more can be written."""
    from pgtheory.compiled import cache_directory, source_digest

    folder = cache_directory()
    files = [path for path in folder.rglob("*.nb?") if path.is_file()] if folder.exists() else []
    size = sum(path.stat().st_size for path in files) / 2**20
    facts["sources"] = source_digest()
    facts["kernel cache"] = f"{folder} ({f'{len(files):,} files, {size:,.0f} MB; it may be deleted at any time' if files else 'empty'})"
    probe = folder
    while not probe.exists():
        probe = probe.parent
    if os.access(probe, os.W_OK):
        return []
    return [f"the kernel cache {folder} cannot be written: everything compiles anew in each process; set PGTHEORY_CACHE to a folder that can"]


def _tell_threads(facts: dict[str, Any]) -> None:
    import numba

    from pgtheory.exact.storage import usable_cores

    given = [f"{name}={os.environ[name]}" for name in THREAD_SETTINGS if os.environ.get(name)]
    facts["cores"] = f"{usable_cores()} usable of {os.cpu_count()}"
    facts["threads"] = f"numba {numba.config.NUMBA_NUM_THREADS}; " + (", ".join(given) or f"none of {', '.join(THREAD_SETTINGS)} is set")


def _check_figure(facts: dict[str, Any], warm: bool) -> list[str]:
    """Whether compiled code and rationals agree on a model whose optimum is known."""
    if warm:
        began = time.perf_counter()
        say("compiling all kernels (once for each version of the sources) ...")
        warm_up()
        facts["compiled"] = f"in {time.perf_counter() - began:.1f} s"
    import mdps
    import pgtheory

    model = mdps.MDP([[[1, 0], [0, 1]], [[0, 1], [0, 1]]], [[0, 0], [1, 1]], discount="1/2", start=["1", "0"])
    exact, found = str(pgtheory.solve_exactly(model).values[0]), float(pgtheory.solve(model).values[0])
    facts["test figure"] = f"V* = {exact} in rationals, {found:.12g} in floats"
    return [] if exact == "1" and abs(found - 1) < 1e-8 else [f"V* of the two-state test model is 1; rationals say {exact}, floats {found!r}"]


def warm_up() -> None:
    """Compiles every method and solver on a model of two states."""
    import mdps
    import pgtheory
    from pgtheory.policy_gradient import NAMES
    from pgtheory.run import run
    from proofs_check.cli.runs import fields_of, make_method

    model = mdps.MDP([[[1, 0], [0, 1]], [[0, 1], [0, 1]]], [[0, 0], [1, 1]], discount=0.5)
    for name in dict.fromkeys(NAMES):
        fields = fields_of(name)
        for geometry in ("kl", "euclidean") if "geometry" in fields else (None,):
            given = {
                key: "cvar:0.5" if key == "measure" else "0.1"
                for key, field in fields.items()
                if field.default is field.default_factory is dataclasses.MISSING
            }
            run(model, make_method(name, given | ({"geometry": geometry} if geometry else {})), 4)
        say(f"  {name}")
    for method in ("auto", "value", "policy", "modified"):
        pgtheory.solve(model, method=method)
    pgtheory.batch_optimal(model.transitions[None], model.rewards[None], [model.discount])
    say("  solvers")
