"""`pgtheory sweep`: the grid from the command line or a plan file, its progress, its table, its files."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mdps.errors import ModelError, plural
from proofs_check.cli.group import INTERRUPTED
from proofs_check.cli.models import check_ending
from proofs_check.cli.output import is_terminal, line, print_json, save_picture, say, table
from proofs_check.files import to_json, write_whole
from proofs_check.report.words import duration
from proofs_check.store import DEFAULT_PATH, Store

QUIET_SECONDS = 5.0
"""When piped, a line of progress at most so often."""
PANEL = (7.2, 4.2)
"""Inches of the picture of one instance."""


@dataclasses.dataclass(frozen=True)
class Request:
    """What the command line asked for, besides the grid."""

    jobs: int | None = None
    scheduler: str | None = None
    store: Path | None = None
    fresh: bool = False
    as_json: bool = False
    out: Path | None = None
    csv: Path | None = None
    plot: Path | None = None
    save_plan: Path | None = None


def plan_of(models: list[str], method: str | None, step_size: str | None, plan: Path | None, more: dict[str, Any]) -> Any:
    """The plan: that of the file, with what the command line says in place of the file's.  raises  ModelError: neither names a model or a method"""
    from proofs_check.sweep.plan import Plan, read_plan

    told: dict[str, Any] = {key: value for key, value in more.items() if value is not None}
    if models:
        told["instances"] = tuple(models)
    for key, text in (("methods", method), ("step_sizes", step_size)):
        if text is not None:
            told[key] = tuple(part.strip() for part in text.split(",") if part.strip())
    if plan is not None:
        return read_plan(plan).replace(**told)
    if not models or method is None:
        raise ModelError(f"a sweep needs {'--method NAMES' if models else 'a MODEL'}, or --plan FILE")
    return Plan(**told)


def sweep_and_print(plan: Any, request: Request) -> int:
    """Carries out the plan, prints and writes what was asked for; returns the exit status."""
    from proofs_check.cli.runs import PICTURES
    from proofs_check.sweep.runs import all_series, sweep

    check_ending(request.out, (".json",))
    check_ending(request.csv, (".csv",))
    check_ending(request.plot, PICTURES)
    all_series(plan)  # what is wrong is said before the store is made
    if request.save_plan is not None:
        plan.save(request.save_plan)
    with Store(request.store or DEFAULT_PATH) as store:
        progress = SweepProgress()
        try:
            results = sweep(plan, jobs=request.jobs, scheduler=request.scheduler, store=store, fresh=request.fresh, progress=progress)
        except KeyboardInterrupt:
            progress.stop()
            kept = f"{progress.finished:,} of {plural(progress.total, 'cell')} are kept in {os.fspath(store.path)}"
            say(f"interrupted: {kept}; the same command goes on there")
            return INTERRUPTED
        finally:
            progress.stop()
    sure = list(dict.fromkeys(result.series.method for result in results if result.series.seeds < plan.seeds))
    if sure:
        say(f"{', '.join(sure)}: exact gradients, so every seed would be the same run, and one is done; --start random tells seeds apart")
    write_files(plan, results, request)
    if request.as_json:
        from proofs_check.sweep.figures import as_data

        print_json(as_data(plan, results) | {"cells": progress.total, "cells from the store": progress.known})
        return 0
    print_results(plan, results)
    line(f" {plural(progress.total, 'cell')}, {progress.known:,} of them from {os.fspath(store.path)}   ({duration(progress.seconds)})")
    for what, path in (("plot", request.plot), ("written", request.csv), ("written", request.out), ("plan", request.save_plan)):
        if path is not None:
            line(f" {what}: {path}")
    return 0


def print_results(plan: Any, results: list[Any]) -> None:
    """A row a series."""
    several, bandits = len(plan.instances) > 1, any(result.regret is not None for result in results)
    headings = ["instance"] * several + ["method", "seeds", "mean gap", "95% interval", "median", "5% .. 95%"] + ["regret"] * bandits + ["rate"]
    rows = []
    for result in results:
        found, of = result.summary(), _shown
        one = found.seeds == 1
        row = [result.series.instance] * several + [result.label, f"{found.seeds:,}", of(found.mean) + ("" if one else f" ± {found.error:.2g}")]
        spread = (f"{of(found.low)} .. {of(found.high)}", of(found.quantiles[2]), f"{of(found.quantiles[0])} .. {of(found.quantiles[-1])}")
        row += [""] * 3 if one else spread
        if bandits:
            row.append("" if found.regret is None else of(found.regret[0]) + ("" if one else f" ± {found.regret[1]:.2g}"))
        rows.append(tuple([*row, found.rate]))
    start = 1 + several
    table(headings, rows, right=(start, start + 1, start + 3), fold=len(headings) - 1)
    line()
    line(f" gaps V*(start) - V(start) after {plural(plan.steps, 'step')}; ± is the standard error over the seeds, the interval Student's")


def _shown(figure: float) -> str:
    """Four digits; what rounding left below 0 as 0."""
    return f"{max(figure, 0.0) if figure > -1e-12 else figure:.4g}"


def write_files(plan: Any, results: list[Any], request: Request) -> None:
    """CSV (one row a cell), JSON (series with their bands), picture."""
    from proofs_check.sweep.figures import as_csv, as_data

    if request.csv is not None:
        write_whole(request.csv, as_csv(results))
    if request.out is not None:
        write_whole(request.out, to_json(as_data(plan, results)))
    if request.plot is not None:
        save_picture(draw(results), request.plot, plan.command())


def draw(results: list[Any]) -> Any:
    """A figure with a panel for each instance: the mean gap of every series, and the band of its quantiles."""
    from matplotlib.figure import Figure

    from proofs_check.plots import INK, plot_bands

    instances = list(dict.fromkeys(result.series.instance for result in results))
    figure = Figure(figsize=(PANEL[0], PANEL[1] * len(instances)))
    for k, instance in enumerate(instances):
        below = (len(instances) - 1 - k) / len(instances)
        axes = figure.add_axes((0.09, below + 0.13 / len(instances), 0.58, 0.69 / len(instances)))
        plot_bands({result.label: result.band() for result in results if result.series.instance == instance}, axes)
        axes.set_title(f"{instance}: mean over the seeds, and 5% to 95% of them", color=INK, loc="left", fontsize=10, pad=20)
    return figure


class SweepProgress:
    """Cells done and the time left, on stderr: a bar on a terminal; when piped a line now and then, and none for what is quickly done."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = self.finished = self.known = 0
        self._clock = clock
        self._since = self._shown = clock()
        self._all = 0.0
        self._bar: Any = None
        self._task: Any = None

    @property
    def seconds(self) -> float:
        return self._clock() - self._since

    def start(self, total: int, known: int, ahead: float) -> None:
        """`total` cells, `known` of them from the store; `ahead` is the work that is left, in any unit."""
        self.total, self.finished, self.known, self._all = total, known, known, ahead
        if is_terminal(sys.stderr) and ahead > 0:
            from rich import progress as bars
            from rich.console import Console

            told = bars.TextColumn("{task.description}", markup=False)
            columns = (bars.SpinnerColumn(), bars.MofNCompleteColumn(), bars.BarColumn(bar_width=24), bars.TimeElapsedColumn(), told)
            self._bar = bars.Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("starting", total=total, completed=known)
            self._bar.start()

    def done(self, block: Any, ahead: float) -> None:
        """A block of cells is finished; `ahead` is the work that is left."""
        self.finished += block.count
        left = self.left(ahead)
        text = f"about {duration(left)} left" if left is not None and ahead > 0 else ""
        if self._bar is not None:
            what = f"{block.series.instance} · {block.series.label}"
            self._bar.update(self._task, advance=block.count, description=f"{text} · {what}" if text else what)
        elif self._clock() - self._shown >= QUIET_SECONDS:
            self._shown = self._clock()
            say(f"  {self.finished:,}/{self.total:,} cells, {duration(self.seconds)}{', ' + text if text else ''}")

    def left(self, ahead: float) -> float | None:
        """Seconds left, as fast as it went so far; None before anything is done."""
        done = self._all - ahead
        return None if done <= 0 else self.seconds * ahead / done

    def stop(self) -> None:
        """Clears the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
