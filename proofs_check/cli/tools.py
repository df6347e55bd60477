"""`pgtheory replay`, `report`, `bench` and `doctor`."""

from __future__ import annotations

import contextlib
import dataclasses
import platform
import sys
from pathlib import Path
from typing import Any

from mdps.errors import ModelError
from proofs_check.cli.output import line, print_json, say


def replay_file(path: Path, as_json: bool) -> int:
    """Confirms a counterexample in rigorous arithmetic and says what was checked."""
    from proofs_check.files import read_json

    data = read_json(path)
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema not in ("pgtheory-counterexample-1", "pgtheory-sampled-counterexample-1"):
        raise ModelError(f"{path} is no counterexample (its schema is {schema!r}, not 'pgtheory-counterexample-1')")
    from proofs_check.engine.replay import replay

    result = replay(data)
    if as_json:
        print_json({"confirmed": result.confirmed, "text": result.text, **result.data})
    else:
        line(f"{'confirmed' if result.confirmed else 'not confirmed'}   {path}")
        for text in result.text.splitlines():
            line(f"  {text}")
    return 0 if result.confirmed else 1


def rewrite_report(path: Path, out: Path | None) -> int:
    """The report from run.json, beside it or in `out`."""
    from proofs_check.report import read_run, write_report

    run = read_run(path)
    folder = out or (path if path.is_dir() else path.parent)
    line(f"report: {write_report(run, folder)}")
    return 0


def run_bench(what: str, quick: bool, full: bool, as_json: bool) -> int:
    """Ours and the installed peers, side by side."""
    with contextlib.redirect_stdout(sys.stderr if as_json else sys.stdout):  # with --json the table is for people, and stdout the JSON alone
        run = {"solvers": lambda: _bench_solvers(quick, full), "robust": lambda: _bench_robust(quick), "sampling": lambda: _bench_sampling(quick)}
        rows = run[what]() if what in run else _bench_policy_gradient(quick)
    if as_json:
        print_json([dataclasses.asdict(row) if dataclasses.is_dataclass(row) and not isinstance(row, type) else row for row in rows])
    return 0


def _bench_solvers(quick: bool, full: bool) -> list[Any]:
    from proofs_check.bench import solvers

    return list(solvers.bench(seconds=0.5 if quick else 4.0, full=full))


def _bench_robust(quick: bool) -> list[Any]:
    from proofs_check.bench import robust

    return list(robust.bench(quick=quick))


def _bench_sampling(quick: bool) -> list[Any]:
    from proofs_check.bench import sampling

    return list(sampling.bench(quick=quick))


def _bench_policy_gradient(quick: bool) -> list[Any]:
    from proofs_check.bench import policy_gradient

    return list(policy_gradient.bench(quick=quick))


def examine(warm: bool, as_json: bool) -> int:
    """Versions, places and caches, and whether the three packages are ours; status 1 if something is wrong."""
    from importlib import import_module, metadata

    facts: dict[str, Any] = {"python": f"{platform.python_version()} ({sys.executable})", "machine": f"{platform.machine()}, {platform.system()}"}
    faults: list[str] = []
    home = Path(__file__).resolve().parent.parent.parent
    for name in ("mdps", "pgtheory", "proofs_check"):
        module = import_module(name)
        place = Path(str(module.__file__)).resolve().parent
        facts[name] = str(place)
        if place.parent != home:
            faults.append(f"{name} is loaded from {place}, not from {home}: another distribution has the same name; uninstall it")
    for name in ("numpy", "scipy", "numba", "sympy", "python-flint", "matplotlib", "cvxpy", "hypothesis", "rich", "typer", "jinja2"):
        try:
            facts[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            facts[name] = "missing"
            faults.append(f"{name} is not installed: pip install {name}")
    for name, extra in (("gymnasium", "gym"), ("quantecon", ""), ("jax", ""), ("torch", ""), ("dask", "cluster")):
        try:
            facts[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            facts[name] = "not installed (optional" + (f": pip install 'pgtheory[{extra}]')" if extra else ")")
    if not faults:
        faults += _check_kernels(facts, warm)
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


def _check_kernels(facts: dict[str, Any], warm: bool) -> list[str]:
    """Where machine code is kept, and whether compiled code and rationals agree on a model whose optimum is known."""
    import os
    import time

    from pgtheory.compiled import cache_directory, source_digest

    folder = cache_directory()
    facts["sources"] = source_digest()
    facts["kernel cache"] = str(folder)
    probe = folder
    while not probe.exists():
        probe = probe.parent
    if not os.access(probe, os.W_OK):
        return [f"the kernel cache {folder} cannot be written: everything compiles anew in each process; set PGTHEORY_CACHE to a folder that can"]
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
