"""What every experiment writes: its data, its picture, and whether it shows the published fact that it is about.

    python -m experiments.NAME [folder]        folder: runs/experiments if left out

writes NAME.csv, NAME.png and NAME.json there, prints one line a fact, and ends with status 1 where a fact is not shown.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from proofs_check.files import write_whole

DEFAULT = pathlib.Path("runs/experiments")


@dataclasses.dataclass(frozen=True)
class Finding:
    """A published fact, what was measured, and whether the measurement shows it.

    source     paper and place;  fact  what it says, in a sentence
    measured   the figure or sentence from this run;  shown  whether it agrees
    """

    source: str
    fact: str
    measured: str
    shown: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "shown", bool(self.shown))  # numpy's booleans are no JSON


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Everything that an experiment found: columns and rows of its table, a matplotlib figure, and the facts."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    figure: Any
    findings: Sequence[Finding]


def report(name: str, experiment: Callable[[], Outcome], arguments: Sequence[str] | None = None) -> int:
    """Runs the experiment, writes its three files and prints its facts; returns the exit status."""
    import matplotlib

    matplotlib.use("Agg")
    words = list(sys.argv[1:] if arguments is None else arguments)
    folder = pathlib.Path(words[0]) if words else DEFAULT
    folder.mkdir(parents=True, exist_ok=True)
    outcome = experiment()
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(outcome.columns)
    writer.writerows([[repr(x) if isinstance(x, float) else x for x in row] for row in outcome.rows])
    write_whole(folder / f"{name}.csv", table.getvalue())
    picture = io.BytesIO()
    outcome.figure.savefig(picture, format="png", dpi=150, metadata={"Description": f"python -m experiments.{name}"})
    write_whole(folder / f"{name}.png", picture.getvalue())
    write_whole(folder / f"{name}.json", json.dumps([dataclasses.asdict(finding) for finding in outcome.findings], indent=1) + "\n")
    for finding in outcome.findings:
        print(f"{'shown' if finding.shown else 'NOT SHOWN'}: {finding.fact} ({finding.source})\n    measured: {finding.measured}")
    print(f"written: {folder / name}.csv, .png, .json")
    return 0 if all(finding.shown for finding in outcome.findings) else 1
