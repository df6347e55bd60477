"""Exact solvers: time to an answer good to 1e-8 in every state (reachability: 1e-6), this library and its peers side by side in one process.

Every answer is compared with ours before the times are: a peer that is off by more than its tolerance is reported with its error and without a
ratio.  Ours carries proved bounds in every row.  Times are CPU seconds of one thread, the least of several runs in turn; "all cores" is wall
time, beside ours on one thread in wall time.  Under each case: how many bytes of the model one second of ours reads, beside the copy bandwidth of the
machine, which is measured in the same minute.  The ratio asked (`GOALS`) stands beside the ratio found.

`memory` runs one solve in a process of its own and compares the growth of its peak resident memory with the arrays of the model; `start_up` times the
import and the first answer of the command line.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mdps import MDP
from proofs_check.bench.clock import OURS
from proofs_check.bench.instances import CASES, LARGE_CASES, Case, make_case
from proofs_check.bench.solver_peers import PEERS, REACH_TOLERANCE, TOLERANCE, Program

Array = np.ndarray
AGREE = {"discounted": 1e-7, "average": 1e-7, "reach": 1e-5}
"""Largest difference of an answer from ours: ten times the tolerance asked, since most peers stop by a rule that proves nothing."""
GOALS = {
    "dense500": 1.2,
    "dense2000": 1.3,
    "slow500": 1.5,
    "sparse99": 1.5,
    "sparse999": 1.7,
    "grid100": 2.0,
    "grid1000": 2.0,
    "frozenlake8": 1.0,
    "taxi": 2.0,
    "forest1000": 3.0,
    "reach100": 1.0,
    "average": 1.0,
}
"""The least ratio, best peer's CPU seconds over ours, that is asked for."""
SLOW_PEERS = ("mdpsolver", "hiive", "storm")
SLOW_STATES = 20_000
"""States above which SLOW_PEERS are run only where asked for: 1 to 60 seconds a run on 100,000 states."""
MEMORY_GOAL = 1.5
"""Bytes beyond the model, in units of the model's own arrays, that a solve may take at most."""


@dataclasses.dataclass(frozen=True)
class Timing:
    """One program on one case.  seconds: CPU (wall where `wall`); ratio: its seconds over ours; best: whether no other program was faster."""

    case: str
    program: str
    seconds: float
    ratio: float
    goal: float
    best: bool = False
    wall: bool = False
    note: str = ""


def bench(cases: Sequence[str] | None = None, peers: Sequence[str] | None = None, seconds: float = 4.0, full: bool = False) -> list[Timing]:
    """Runs `cases` (CASES; with `full` the large ones as well, which take minutes) against the installed `peers` and prints a table.

    seconds   budget of one case, without the first run of each program
    """
    from rich.console import Console

    console = Console()
    chosen = [name for name in (peers or PEERS) if _installed(PEERS[name][0])]
    rows: list[Timing] = []
    for name in cases or (CASES + LARGE_CASES if full else CASES):
        case = make_case(name)
        slow = [peer for peer in chosen if peer in SLOW_PEERS and len(case.rewards) > SLOW_STATES and not full]
        found, remarks = _one_case(case, [peer for peer in chosen if peer not in slow], seconds)
        if slow:
            remarks.append(f"{', '.join(slow)} not run: seconds to minutes for {len(case.rewards):,} states; --full runs them")
        rows += found
        for remark in remarks:
            console.print(f"{name}: {remark}", highlight=False, soft_wrap=True)
    console.print(_table(rows))
    console.print(_memory_line("grid1000" if full else "sparse99"), highlight=False, soft_wrap=True)
    console.print(start_up(), highlight=False, soft_wrap=True)
    return rows


def _one_case(case: Case, peers: Sequence[str], seconds: float) -> tuple[list[Timing], list[str]]:
    mdp = case.mdp()
    remarks: list[str] = []
    ours = Program(_ours(case, mdp))
    values = np.asarray(ours.run())
    programs, spent = {OURS: ours}, {}
    for peer in peers:
        try:
            offered = PEERS[peer][1](case)
        except Exception as error:  # a peer that cannot take the model is a finding, not a fault of the bench
            remarks.append(f"{peer} cannot take this model: {_first_line(error)}")
            continue
        for label, program in offered.items():
            try:
                error_size, spent[label] = _error(program, values)
            except Exception as error:
                remarks.append(f"{label} fails: {_first_line(error)}")
                continue
            if error_size <= AGREE[case.asked]:
                programs[label] = program
            else:
                remarks.append(f"{label} is off by {error_size:.1e}; not timed")
    found = _race(case.name, programs, seconds, spent)
    found += _all_cores(case, mdp, min(seconds, 2.0))
    if case.asked == "discounted":
        remarks.append(_traffic(case, mdp, found[0].seconds))
    return found, remarks


def _race(
    case: str,
    programs: dict[str, Program],
    seconds: float,
    spent: dict[str, float] | None = None,
    clock: Callable[[], float] = time.process_time,
) -> list[Timing]:
    """The least time of each program; all run in turn until `seconds` are over, at least three times.

    spent   CPU seconds of a first run, where known: a program that took longer than a quarter of the budget is not run again"""
    known = spent or {}
    best = {name: known[name] if known.get(name, 0.0) > max(seconds / 4, 0.5) else float("inf") for name in programs}
    slow = {name for name, value in best.items() if value < float("inf")}
    end, rounds = time.perf_counter() + seconds, 0
    gc.collect()
    gc.disable()
    try:
        while rounds < 3 or time.perf_counter() < end:
            for name, program in programs.items():
                if name in slow:
                    continue
                if program.prepare:
                    program.prepare()
                begun = clock()
                program.run()
                best[name] = min(best[name], clock() - begun)
            rounds += 1
    finally:
        gc.enable()
    ours = best[next(iter(programs))]
    quickest = min((value for name, value in best.items() if not name.startswith(OURS)), default=0.0)
    wall = clock is time.perf_counter
    return [
        Timing(case, name, value, value / ours, GOALS.get(case, 0.0), not name.startswith(OURS) and value == quickest, wall)
        for name, value in best.items()
    ]


def _all_cores(case: Case, mdp: MDP, seconds: float) -> list[Timing]:
    """Ours on one thread and on all, in wall time."""
    cores = os.cpu_count() or 1
    if case.asked != "discounted" or cores < 2 or mdp.num_pairs * (1 if case.sparse else mdp.num_states) < 10**6:
        return []
    from pgtheory.exact import solve

    alone = Program(lambda: solve(mdp, tol=TOLERANCE, threads=1).values)
    together = Program(lambda: solve(mdp, tol=TOLERANCE, threads=cores).values)
    same = np.array_equal(alone.run(), together.run())
    one, many = _race(case.name, {OURS: alone, f"{OURS}, {cores} threads": together}, seconds, clock=time.perf_counter)
    note = "" if same else "figures differ"
    return [
        dataclasses.replace(one, program=f"{OURS}, 1 thread", goal=0.0),
        dataclasses.replace(many, ratio=one.seconds / many.seconds, goal=0.0, note=note),
    ]


def _ours(case: Case, mdp: MDP) -> Callable[[], object]:
    from pgtheory.exact import reachability, solve, solve_average

    if case.asked == "average":
        return lambda: solve_average(mdp, TOLERANCE).gain
    if case.asked == "reach":
        return lambda: reachability(mdp, [case.goal], "max", tol=REACH_TOLERANCE).values
    return lambda: solve(mdp, tol=TOLERANCE, threads=1).values


def _error(program: Program, values: Array) -> tuple[float, float]:
    """(largest difference of its answer from `values`, CPU seconds)."""
    if program.prepare:
        program.prepare()
    begun = time.process_time()
    answer = np.asarray(program.run())
    spent = time.process_time() - begun
    return (float(np.max(np.abs(answer - values))) if np.all(np.isfinite(answer)) else np.inf), spent


def _first_line(error: BaseException) -> str:
    text = str(error).splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}"


def _installed(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def copy_bandwidth() -> float:
    """Bytes per second that a copy of 64 MB reads and writes, best of five."""
    source = np.zeros(2**23)
    target = np.empty_like(source)
    best = np.inf
    for _ in range(5):
        begun = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - begun)
    return 2 * source.nbytes / best


def _traffic(case: Case, mdp: MDP, seconds: float) -> str:
    from pgtheory.exact import solve

    found = solve(mdp, tol=TOLERANCE, on_limit="return", threads=1)
    work = found.details.get("sweep_equivalents", float(found.iterations))
    moved = work * model_bytes(mdp) / seconds
    return f"{found.method}; {work:.1f} readings of the model, {moved / 1e9:.2f} GB/s (a copy moves {copy_bandwidth() / 1e9:.1f} GB/s)"


def model_bytes(mdp: MDP) -> int:
    """Bytes of the arrays that a sweep reads: probabilities, successors and row starts, rewards."""
    rows = mdp.float.choices
    matrix = rows.data.nbytes + rows.indices.nbytes + rows.indptr.nbytes if mdp.is_sparse else rows.nbytes
    return int(matrix + mdp.float.pair_rewards.nbytes)


# Memory and start-up


def memory(name: str) -> tuple[int, int]:
    """(growth of the peak resident memory by one solve, bytes of the model's arrays), measured in a process of its own."""
    command = [sys.executable, "-c", f"from proofs_check.bench.solvers import _measure_memory; _measure_memory({name!r})"]
    given_back = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}  # what was freed before does not hide what is asked for
    out = subprocess.run(command, capture_output=True, text=True, check=True, env=_environment() | given_back).stdout.split()
    return int(out[0]), int(out[1])


def _measure_memory(name: str) -> None:
    from pgtheory.exact import solve

    small = make_case("forest1000").mdp()
    solve(small, tol=TOLERANCE, threads=1)  # loads the code
    mdp = make_case(name).mdp()
    gc.collect()
    before = _forget_peak()
    solve(mdp, tol=TOLERANCE, threads=1)
    print(_peak() - before, model_bytes(mdp))


def _forget_peak() -> int:
    """The present resident memory in bytes; from now on the peak counts anew where the system allows it (Linux)."""
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS") or _peak()


def _peak() -> int:
    import resource

    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _status(field: str) -> int:
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return 0


def _memory_line(name: str) -> str:
    extra, arrays = memory(name)
    size = f"{extra / arrays:.2f} times its arrays of {arrays / 1e6:.0f} MB"
    return f"memory, {name}: {extra / 1e6:.0f} MB beyond the model, {size} (at most {MEMORY_GOAL})"


def start_up() -> str:
    """Seconds of `import pgtheory` and of `pgtheory solve` on a small model in fresh processes, the least of three, kernels compiled before."""
    commands = {
        "import pgtheory": [sys.executable, "-c", "import pgtheory"],
        "pgtheory solve two_state": [sys.executable, "-c", "from proofs_check.cli import main; main()", "solve", "two_state"],
    }
    found = {}
    for label, command in commands.items():
        best = np.inf
        for _ in range(3):
            begun = time.perf_counter()
            subprocess.run(command, capture_output=True, check=True, env=_environment())
            best = min(best, time.perf_counter() - begun)
        found[label] = best
    return "; ".join(f"{label}: {best:.2f} s" for label, best in found.items()) + "  (asked: 0.3 and 1.5 s)"


def _environment() -> dict[str, str]:
    root = str(pathlib.Path(__file__).parents[2])
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")])), "OPENBLAS_NUM_THREADS": "1"}


def _table(rows: list[Timing]) -> Any:
    from rich.table import Table

    out = Table(
        title="Exact solvers, accuracy 1e-8 (reachability 1e-6)", caption="ratio: seconds of the program in the row over ours; * the best peer"
    )
    for column, side in (
        ("case", "left"),
        ("program", "left"),
        ("ms", "right"),
        ("clock", "left"),
        ("ratio", "right"),
        ("goal", "right"),
        ("", "left"),
    ):
        out.add_column(column, justify=side)  # type: ignore[arg-type]
    for k, row in enumerate(rows):
        first = k == 0 or rows[k - 1].case != row.case
        last = k + 1 == len(rows) or rows[k + 1].case != row.case
        ratio = "" if row.program in (OURS, f"{OURS}, 1 thread") else f"{row.ratio:.2f}{'*' if row.best else ''}"
        goal = f"{row.goal:g} {'met' if row.ratio >= row.goal else 'missed'}" if row.best else ""
        out.add_row(
            row.case if first else "",
            row.program,
            f"{1e3 * row.seconds:,.2f}",
            "wall" if row.wall else "CPU",
            ratio,
            goal,
            row.note,
            end_section=last,
        )
    return out


__all__ = ["CASES", "GOALS", "LARGE_CASES", "Timing", "bench", "copy_bandwidth", "make_case", "memory", "start_up"]


if __name__ == "__main__":
    bench(sys.argv[1:] or None)
