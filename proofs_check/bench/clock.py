"""Timing side by side: every program in turn, many times, the best of each; CPU seconds, because other work on the machine costs wall time."""

from __future__ import annotations

import dataclasses
import gc
import time
from collections.abc import Callable

OURS = "pgtheory"


@dataclasses.dataclass(frozen=True)
class Row:
    """One program on one case.  rate: units of work per CPU second (per wall second where `wall`); ratio: ours to this program's."""

    case: str
    program: str
    rate: float
    unit: str
    ratio: float
    wall: bool = False


def race(case: str, unit: str, work: float, programs: dict[str, Callable[[], object]], seconds: float, wall: bool = False) -> list[Row]:
    """Times `programs` in turn for about `seconds` altogether; the fastest run of each counts.

    The first program is ours.  A program is called once before, to compile."""
    clock = time.perf_counter if wall else time.process_time
    for program in programs.values():
        program()
    best = dict.fromkeys(programs, float("inf"))
    end, rounds = time.perf_counter() + seconds, 0
    gc.disable()
    try:
        while rounds < 3 or time.perf_counter() < end:
            for name, program in programs.items():
                begun = clock()
                program()
                best[name] = min(best[name], clock() - begun)
            rounds += 1
    finally:
        gc.enable()
    ours = best[next(iter(programs))]
    return [Row(case, name, work / spent, unit, spent / ours, wall) for name, spent in best.items()]


def table(rows: list[Row], title: str) -> object:
    """The rows as a rich table, one block a case."""
    from rich.table import Table

    out = Table(title=title, caption="ratio: how many times faster pgtheory is than the program in the row")
    for column, side in (("case", "left"), ("program", "left"), ("per second", "right"), ("unit", "left"), ("ratio", "right")):
        out.add_column(column, justify=side)  # type: ignore[arg-type]
    for k, row in enumerate(rows):
        first = k == 0 or rows[k - 1].case != row.case
        last = k + 1 == len(rows) or rows[k + 1].case != row.case
        clock = f"{row.unit} ({'wall' if row.wall else 'CPU'})"
        ratio = "" if row.program.startswith(OURS) else f"{row.ratio:.2f}"
        out.add_row(row.case if first else "", row.program, f"{row.rate:,.0f}", clock, ratio, end_section=last)
    return out
