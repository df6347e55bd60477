"""Carrying out a sweep: what the store lacks is computed, here, in worker processes or on a Dask cluster, and kept as soon as it is there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterator
from typing import Any

from mdps.errors import ModelError
from mdps.model import MDP
from proofs_check.sweep.cells import GRADIENTS, SCHEMA, Block, Figures, Series, carry_out, rule_of, sampled_names, takes_step, unpack
from proofs_check.sweep.figures import Result
from proofs_check.sweep.instances import instance_of
from proofs_check.sweep.plan import Plan

WORTH_A_POOL = 10.0
"""Seconds of work from which worker processes pay for their start."""
SAMPLES = 10


def sweep(
    plan: Plan,
    *,
    jobs: int | None = None,
    scheduler: str | None = None,
    store: Any = None,
    fresh: bool = False,
    progress: Any = None,
) -> list[Result]:
    """All series of the plan with the figures of all their cells.

    jobs       worker processes; left out, as many as there are cores if the work is worth starting them.  1 computes here
    scheduler  "tcp://host:port" of a Dask scheduler whose workers do the work.  Neither changes a figure
    store      a `proofs_check.store.Store`: finished blocks go there at once, and what it holds is not computed again
    fresh      compute again what the store already holds
    progress   an object with start(total cells, cells known, seconds ahead) and done(block, seconds ahead)
    raises     ModelError: whatever is wrong with instances and methods, before any work
    """
    chosen = all_series(plan)
    results, waiting = {}, list[Block]()
    for series in chosen:
        result = Result(series)
        for found in _known(series, store) if store is not None and not fresh else ():
            result.add(found)
        results[series.shelf] = result
        waiting += series.blocks(result.missing())
    ahead = sum(block.cost() for block in waiting)
    if progress is not None:
        total = sum(series.seeds for series in chosen)
        progress.start(total, total - sum(block.count for block in waiting), ahead)
    workers = _workers(jobs, waiting, ahead)
    with contextlib.closing(_work(waiting, workers, scheduler, None if fresh else store)) as work:
        for block, record, known in work:
            if store is not None and not known:
                store.put(block.key, block.series.shelf, f"{block.first}+{block.count}", record)
            results[block.series.shelf].add(unpack(record))
            ahead -= block.cost()
            if progress is not None:
                progress.done(block, max(ahead, 0.0))
    return [results[series.shelf] for series in chosen]


def all_series(plan: Plan) -> list[Series]:
    """Every (instance, method, step size) of the plan, checked: instances, names, settings, and that each method takes each instance."""
    from proofs_check.cli.sampled import effective_horizon

    with plan.said_of("methods"):
        names = {method: takes_step(method) for method in plan.methods}
    out = []
    for instance in plan.instances:
        with plan.said_of("instances"):
            model = instance_of(instance, plan.discount)
        bandit = not isinstance(model, MDP)
        samples = plan.samples or (1 if bandit else SAMPLES)
        horizon = plan.horizon or (1 if bandit else effective_horizon(float(model.discount)))
        for method, crossed in names.items():
            for step in plan.step_sizes if crossed and plan.step_sizes else (None,):
                sampled = method.split(":")[0].strip() in sampled_names()
                if sampled and plan.start != "uniform":
                    with plan.said_of("start"):
                        raise ModelError(f"start is {plan.start}: {method} begins at the uniform policy, as all sampled methods do")
                seeds = plan.seeds if sampled or plan.start == "random" else 1
                series = Series(instance, model, method, step, seeds, plan.steps, samples, horizon, plan.seed, plan.start)
                with plan.said_of("methods"):
                    rule_of(method, step)
                    _check(series)
                out.append(series)
    if plan.step_sizes and not any(names.values()):
        with plan.said_of("step_sizes"):
            raise ModelError(f"no method here has a step size to vary: {', '.join(plan.methods)}")
    return out


def _check(series: Series) -> None:
    """raises  ModelError: a method that cannot run on this instance"""
    from proofs_check.cli.sampled_methods import LEARNERS

    if isinstance(series.model, MDP):
        if series.name in LEARNERS and series.model.num_states != 1:
            raise ModelError(f"{series.name} learns bandits; {series.instance} has {series.model.num_states} states")
        if not series.model.is_rectangular:
            raise ModelError(f"{series.instance}: policy gradient takes the same number of actions in every state; this model's states differ")
    elif series.sampled and series.name not in (*LEARNERS, *GRADIENTS):
        known = ", ".join((*GRADIENTS, *LEARNERS))
        raise ModelError(f"{series.name} does not learn bandits whose rewards are drawn, such as {series.instance}; {known} do")


def _known(series: Series, store: Any) -> Iterator[Figures]:
    for record in store.history(series.shelf):
        if record["payload"].get("schema") == SCHEMA:
            yield unpack(record["payload"])


def _workers(jobs: int | None, waiting: list[Block], ahead: float) -> int:
    if jobs is not None:
        return min(jobs, len(waiting))
    return min(os.cpu_count() or 1, len(waiting)) if ahead >= WORTH_A_POOL else 1


def _work(waiting: list[Block], workers: int, scheduler: str | None, store: Any) -> Generator[tuple[Block, dict[str, Any], bool], None, None]:
    """(block, its record, whether another process had put it into the store) as they come."""
    from proofs_check.engine import schedule

    if waiting and (scheduler is not None or workers > 1):
        waiting = sorted(waiting, key=lambda block: -block.cost())
        results = schedule.on_cluster(waiting, scheduler, carry_out) if scheduler is not None else schedule.in_processes(waiting, workers, carry_out)
        with contextlib.closing(results):
            for k, record in results:
                yield waiting[k], record, False
        return
    from proofs_check.sweep.cells import figures, payload

    for block in waiting:
        known = None if store is None else store.get(block.key)
        yield block, payload(block, figures(block.series, block.first, block.count)) if known is None else known, known is not None
