"""Groups of mutants on several processes.  A worker finds its form in its own catalogue, writes every verdict to the store itself and tells the
parent through a queue; a form that a worker cannot find (a user's file) is judged here.  Verdicts do not depend on the number of workers:
random numbers depend on the seed and on names only, and no group sees another one.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import queue as queues
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, wait
from typing import Any

from proofs_check.engine.budget import Budget
from proofs_check.engine.mutants import Mutant

POLL = 0.2
"""Seconds between two looks at what the workers say."""
_TELL: Any = None


def run_groups(waiting: list[tuple[Any, dict[str, Any]]], jobs: int | None, store: Any, tell: Callable[..., None], progress: Any) -> None:
    """Judges each (job, verdicts known of it); `tell(job, mutant, verdict)` for each new verdict, in this process."""
    import os

    from proofs_check.engine.mutate import judge, payload, shelf, verdict_of

    workers = min(jobs if jobs is not None else os.cpu_count() or 1, len(waiting))
    away = [k for k, (job, _) in enumerate(waiting) if workers > 1 and _portable(job.case)]
    if len(away) > 1:
        context = multiprocessing.get_context("spawn")
        said = context.Queue()
        others = multiprocessing.active_children()
        path = None if store is None else str(store.path)
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(said, os.getpid()))

        def hear(block: bool) -> None:
            while True:
                try:
                    kind, index, *rest = said.get(timeout=POLL) if block else said.get_nowait()
                except queues.Empty:
                    return
                if kind == "done":
                    job = waiting[index][0]
                    name, data = rest
                    tell(job, next(m for m in job.mutants if m.name == name), verdict_of(data))
                elif progress is not None:
                    progress.stage(*rest)

        try:
            futures = []
            for k in sorted(away, key=lambda k: -len(waiting[k][0].mutants)):
                job, known = waiting[k]
                plain = {name: dataclasses.asdict(judged) for name, judged in known.items()}
                names = [mutant.name for mutant in job.mutants]
                rest = (k, job.case.claim, job.case.name, job.case.canonical(), names, job.together, job.budget, job.seed, job.harder)
                futures.append(pool.submit(_judge_group, *rest, plain, path))
            left = set(futures)
            while left:
                hear(True)
                left = wait(left, timeout=0).not_done
            hear(True)
            for future in futures:  # a group that failed is told of when all others are done
                future.result()
        except BaseException:  # an interrupt above all: what is finished is in the store, what runs is not waited for
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in multiprocessing.active_children():
                if worker not in others:
                    worker.terminate()
            raise
        pool.shutdown()
    for k, (job, known) in enumerate(waiting):
        if k in away and len(away) > 1:
            continue

        def keep(mutant: Mutant, judged: Any, job: Any = job) -> None:
            if store is not None:
                store.put(job.key(mutant), shelf(job.case.claim), job.case.name, payload(job, judged))
            tell(job, mutant, judged)

        judge(job, known, keep, progress)


def _portable(case: Any) -> bool:
    """Whether a worker finds the same form in its own catalogue."""
    from proofs_check.catalogue import claims

    known = claims().get(case.claim)
    return known is not None and any(known.case(form).canonical() == case.canonical() for form in known.forms if form.name == case.name)


class _Voice:
    """The progress of a worker, sent to the parent."""

    def __init__(self, index: int) -> None:
        self.index = index

    def stage(self, claim: str, form: str, text: str) -> None:
        _TELL.put(("stage", self.index, claim, form, text))


def _begin(said: Any, parent: int) -> None:
    """In a worker: where to speak; Ctrl-C, which reaches every process of the terminal, is the first one's to answer; and no worker outlives it."""
    import signal
    import threading

    global _TELL
    _TELL = said
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """Ends this process when its parent is gone (killed, it could not say so)."""
    import os
    import time

    while os.getppid() == parent:
        time.sleep(POLL)
    os._exit(1)


def _judge_group(
    index: int, claim: str, form: str, content: str, names: list[str], together: bool, budget: Budget, seed: int, harder: bool,
    known: dict[str, Any], path: str | None,
) -> None:  # fmt: skip
    """One group, in a worker process."""
    from proofs_check.catalogue import get_claim
    from proofs_check.engine.mutants import mutants
    from proofs_check.engine.mutate import Job, judge, payload, shelf, verdict_of
    from proofs_check.store import Store

    made = get_claim(claim)
    case = made.case(made.form(form))
    if case.canonical() != content:
        raise RuntimeError(f"{claim}:{form} is another form in this process: the sources changed while it ran")
    by_name = {mutant.name: mutant for mutant in mutants(case)}
    job = Job(case, tuple(by_name[name] for name in names), together, budget, seed, harder)
    store = None if path is None else Store(path)

    def keep(mutant: Mutant, judged: Any) -> None:
        if store is not None:
            store.put(job.key(mutant), shelf(claim), form, payload(job, judged))
        _TELL.put(("done", index, mutant.name, dataclasses.asdict(judged)))

    try:
        judge(job, {name: verdict_of(data) for name, data in known.items()}, keep, _Voice(index))
    finally:
        if store is not None:
            store.close()
