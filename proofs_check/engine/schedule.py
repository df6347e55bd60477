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
"""Process pools in a row that may end with a dead worker and no verdict."""
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
    return known is not None and known.canonical() == case.canonical()


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


def in_processes(jobs: Sequence[Any], workers: int, work: Callable[[Any], Any] = carry_out) -> Generator[tuple[int, Any], None, None]:
    """Results of `work` by position in `jobs`, in the order in which they come."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from concurrent.futures.process import BrokenProcessPool

    left, deaths = dict(enumerate(jobs)), 0
    while left:
        others = set(multiprocessing.active_children())
        pool = ProcessPoolExecutor(
            min(workers, len(left)), mp_context=multiprocessing.get_context("spawn"), initializer=_begin, initargs=(source_files(),)
        )
        finished = False
        try:
            futures = {pool.submit(work, job): k for k, job in left.items()}
            for future in as_completed(futures):
                result = future.result()
                deaths = 0
                del left[futures[future]]
                yield futures[future], result
            finished = True
        except BrokenProcessPool:
            deaths += 1
            if deaths >= MOST_DEATHS:
                names = ", ".join(str(job) for job in list(left.values())[:workers])
                raise ModelError(f"worker processes keep dying, most likely out of memory, at {names}; --jobs 1 needs the least") from None
        finally:  # an interrupt above all: what runs is not waited for
            pool.shutdown(wait=finished, cancel_futures=True)
            for process in [] if finished else multiprocessing.active_children():
                if process not in others:
                    process.terminate()


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
