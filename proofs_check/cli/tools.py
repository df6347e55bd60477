"""`pgtheory replay`, `report` and `bench`."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from pathlib import Path
from typing import Any

from mdps.errors import ModelError
from proofs_check.cli.output import line, print_json


def replay_file(path: Path, as_json: bool) -> int:
    """Confirms a counterexample in rigorous arithmetic and says what was checked."""
    from proofs_check.files import read_json

    data = read_json(path)
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema not in ("pgtheory-counterexample-1", "pgtheory-sampled-counterexample-1"):
        raise ModelError(f"{path} is no counterexample (its schema is {schema!r}, not 'pgtheory-counterexample-1')")
    from proofs_check.engine.replay import replay

    try:
        result = replay(data)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
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
