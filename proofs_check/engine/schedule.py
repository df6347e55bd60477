"""Where forms are verified: in this process, in worker processes of this machine, or on a Dask cluster given by its address.

A job is one form with its budget and seed (`proofs_check.sweep` brings jobs of its own, and the work on them).  All random numbers come from the
seed and the names of claim, form and size, so that figures do not depend on who does the job, nor on how many do; a worker finds the form in its own
catalogue and refuses it where its sources differ.

Each way hands over (position of the job, verdict) as soon as it is there, and the caller stores it at once.  A worker that is killed loses what
it was working on: a process pool is made anew with the jobs that are left, a Dask scheduler gives them to another worker.  Where that does not
help `MOST_DEATHS` times in a row without a single verdict, a job itself is what kills: `ModelError`, and everything finished is kept.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import pathlib
import re
import threading
from collections.abc import Callable, Generator, Sequence
from typing import Any

from mdps.errors import ModelError
from proofs_check.engine.budget import Budget, richest
from proofs_check.statistics.claims import SampledCase
from proofs_check.verdict import REFUTED, FormVerdict

MOST_DEATHS = 3
"""Worker processes that may die at one job."""
AHEAD = 2
"""Jobs that a worker has before it, so that it need not wait for the next one."""
CONNECT_SECONDS = 30
"""How long a Dask scheduler may take to answer."""
_SAME_FILES = False
"""Whether this worker reads the very files that the process that made it reads: then both have the same digests, which take seconds to make."""
_ONE_AT_A_TIME = threading.Lock()
"""The precision of ball arithmetic is global to a process: a worker with several threads takes one form at a time."""


@dataclasses.dataclass(frozen=True)
class Job:
    """One form to verify: everything that a worker needs besides the catalogue."""

    claim: str
    kind: str
    form: str
    digest: str  # of the content and of all sources: a worker with others must not answer
    budget: Budget
    seed: int
    model: Any = None

    def __str__(self) -> str:
        return f"{self.claim} ({self.form})"


def job_of(case: Any, budget: Budget, seed: int, model: Any) -> Job:
    """The job for a case of the catalogue."""
    return Job(case.claim, case.kind, case.name, case.digest(), budget, seed, model)


def portable(case: Any) -> bool:
    """Whether a worker can find the same case in its own catalogue (a changed or user-written one it cannot)."""
    known = _find(case.claim, case.kind, case.name)
    return known is not None and (known is case or known.canonical() == case.canonical())


def examine(case: Any, budget: Budget, seed: int, model: Any = None, progress: Any = None) -> FormVerdict:
    """The verdict on one form, exact or sampled; a control that survives a poor rung of the budget is tried again on its richest."""
    verdict = _examine(case, budget, seed, model, progress)
    if case.kind == "control" and verdict.verdict != REFUTED and richest(budget) != budget:
        verdict = _examine(case, richest(budget), seed, model, progress)
    return verdict


def _examine(case: Any, budget: Budget, seed: int, model: Any, progress: Any) -> FormVerdict:
    if isinstance(case, SampledCase):
        from proofs_check.statistics.examination import verify_sampled

        return verify_sampled(case, budget, seed, progress)
    from proofs_check.engine.examination import verify_case

    return verify_case(case, budget, seed, model, progress)


def carry_out(job: Job) -> FormVerdict:
    """One job, in a worker; raises ModelError where its catalogue or sources are not those of who asks."""
    case = _find(job.claim, job.kind, job.form)
    if case is None or not (_SAME_FILES or case.digest() == job.digest):
        raise ModelError(f"a worker has other sources: its {job.claim} ({job.form}) is not the one asked for. Give all workers the same version")
    with _ONE_AT_A_TIME:
        return examine(case, job.budget, job.seed, job.model)


def _find(claim: str, kind: str, form: str) -> Any:
    from proofs_check.catalogue import all_claims

    known = all_claims().get(claim)
    return None if known is None else next((case for case in known.cases() if case.kind == kind and case.name == form), None)


# Worker processes


def in_processes(
    jobs: Sequence[Any], workers: int, work: Callable[[Any], Any] = carry_out, ready: Ready | None = None
) -> Generator[tuple[int, Any], None, None]:
    """Results of `work` by position in `jobs`, in the order in which they come.

    Jobs of one claim stay with one worker as long as others are left for the other workers: they share what a process makes once, named instances and
    compiled code.

    ready   workers that were started before; they are ended here"""
    import multiprocessing
    from concurrent.futures import FIRST_COMPLETED, Future, wait
    from concurrent.futures.process import BrokenProcessPool

    others = set(multiprocessing.active_children()) if ready is None else ready.others
    lanes = [Lane() for _ in range(min(workers, len(jobs)))] if ready is None else ready.lanes
    waiting = _by_claim(jobs)
    running: dict[Future[Any], tuple[Lane, int]] = {}
    deaths: dict[int, int] = {}
    finished = False
    try:
        while waiting or running:
            for lane in lanes:
                while waiting and sum(of is lane for of, _ in running.values()) < AHEAD:
                    k = _next_for(lane, lanes, waiting)
                    try:
                        running[lane.pool.submit(work, jobs[k])] = (lane, k)
                    except BrokenProcessPool:  # it died a moment ago
                        _put_back([k], jobs, waiting)
                        if all(of is not lane for of, _ in running.values()):
                            lane.renew()
                        break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                if future not in running:  # it was at work in a process that died, and is waiting again
                    continue
                lane, k = running[future]
                try:
                    result = future.result()
                except BrokenProcessPool:
                    lost = [j for of, j in running.values() if of is lane]  # the first of them was at work
                    running = {other: place for other, place in running.items() if place[0] is not lane}
                    deaths[lost[0]] = deaths.get(lost[0], 0) + 1
                    if deaths[lost[0]] >= MOST_DEATHS:
                        names = ", ".join(str(jobs[j]) for j in lost)
                        raise ModelError(f"worker processes keep dying, most likely out of memory, at {names}; --jobs 1 needs the least") from None
                    lane.renew()
                    _put_back(lost, jobs, waiting)
                else:
                    del running[future]
                    yield k, result
        finished = True
    finally:  # an interrupt above all: what runs is not waited for
        for lane in lanes:
            lane.pool.shutdown(wait=finished, cancel_futures=True)
        for process in [] if finished else multiprocessing.active_children():
            if process not in others:
                process.terminate()


@dataclasses.dataclass(frozen=True)
class Ready:
    """Workers that are loading the catalogue, and the processes that were there before."""

    lanes: list[Lane]
    others: set[Any]

    def end(self) -> None:
        """Where no work came of it."""
        for lane in self.lanes:
            lane.pool.shutdown(wait=False, cancel_futures=True)


def start(workers: int) -> Ready:
    """Workers that load the catalogue while this process does so too, which takes seconds."""
    import multiprocessing

    ready = Ready([Lane() for _ in range(workers)], set(multiprocessing.active_children()))
    for lane in ready.lanes:
        lane.pool.submit(_load)
    return ready


def _load() -> None:
    from proofs_check.catalogue import all_claims

    all_claims()


class Lane:
    """One worker process and the claim it is at."""

    def __init__(self) -> None:
        self.at: Any = None
        self.pool: Any = None
        self.renew()

    def renew(self) -> None:
        """Takes a new process."""
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        if self.pool is not None:
            self.pool.shutdown(wait=False)
        context = multiprocessing.get_context("spawn")
        self.pool = ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=(source_files(),))


def _claim_of(job: Any, position: int) -> Any:
    """What a job shares its preparations by: its claim; other jobs stand alone."""
    return getattr(job, "claim", position)


def _by_claim(jobs: Sequence[Any]) -> dict[Any, list[int]]:
    """Positions of the jobs of each claim, in their order."""
    out: dict[Any, list[int]] = {}
    for k, job in enumerate(jobs):
        out.setdefault(_claim_of(job, k), []).append(k)
    return out


def _put_back(lost: list[int], jobs: Sequence[Any], waiting: dict[Any, list[int]]) -> None:
    """Jobs that have to be done again, before the others of their claim."""
    for k in reversed(lost):
        waiting.setdefault(_claim_of(jobs[k], k), []).insert(0, k)


def _next_for(lane: Lane, lanes: list[Lane], waiting: dict[Any, list[int]]) -> int:
    """The position of the next job for a worker: of its own claim, else of one that no worker is at, else of the one with most jobs left."""
    if lane.at not in waiting:
        others = {other.at for other in lanes}
        lane.at = next((claim for claim in waiting if claim not in others), None)
        if lane.at is None:
            lane.at = max(waiting, key=lambda claim: len(waiting[claim]))
    k = waiting[lane.at].pop(0)
    if not waiting[lane.at]:
        del waiting[lane.at]
    return k


def _begin(files: str) -> None:
    """In a worker: Ctrl-C reaches every process of the terminal, and only the first one has to answer it; `files` are those of the first process."""
    import signal

    global _SAME_FILES
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _SAME_FILES = source_files() == files


def same_files() -> bool:
    """Whether this is a worker that reads the files of the process that made it."""
    return _SAME_FILES


def source_files() -> str:
    """Digest of the paths, sizes and times of change of all sources: the same for two processes that read the same files."""
    from pgtheory.sources import PACKAGES

    h = hashlib.sha256()
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        for path in sorted(pathlib.Path(spec.origin).parent.rglob("*.py")):
            found = path.stat()
            h.update(f"{path} {found.st_size} {found.st_mtime_ns}\n".encode())
    return h.hexdigest()


# A cluster


def check_address(address: str) -> None:
    """raises  ModelError: no address of a scheduler; a client that cannot even parse it would keep the process alive"""
    if not re.fullmatch(r"(\w+://)?[^\s/]+:\d+", address):
        raise ModelError(f"{address!r} is no address of a scheduler; it looks like tcp://host:8786")


def on_cluster(jobs: Sequence[Any], address: str, work: Callable[[Any], Any] = carry_out) -> Generator[tuple[int, Any], None, None]:
    """Results of `work` by position in `jobs`, in the order in which they come, from the workers of the Dask scheduler at `address`.

    raises  ModelError: Dask is not installed, nobody answers, or a job kills one worker after another"""
    if importlib.util.find_spec("distributed") is None:
        raise ModelError("a scheduler needs Dask: pip install 'pgtheory[cluster]'")
    check_address(address)
    from distributed import Client, as_completed
    from distributed.scheduler import KilledWorker

    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise ModelError(f"no Dask scheduler answers at {address}: {str(error) or type(error).__name__}") from error
    futures: dict[Any, int] = {}
    try:
        futures = {client.submit(work, job, pure=False): k for k, job in enumerate(jobs)}
        for future in as_completed(list(futures), loop=client.loop):
            try:
                result = future.result()
            except KilledWorker:
                raise ModelError(f"{jobs[futures[future]]} ended every worker that took it, most likely out of memory") from None
            yield futures[future], result
            future.release()
    finally:
        client.cancel([future for future in futures if not future.done()])
        client.close()
