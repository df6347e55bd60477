"""Progress of a verification on stderr: a bar with the stage at work on a terminal, one line a finished form when piped."""

from __future__ import annotations

import sys
import time
from typing import Any

from proofs_check.cli.output import is_terminal, say
from proofs_check.report.words import tightness_figure
from proofs_check.verdict import FormVerdict


class Progress:
    """What `verify` reports to: start(total), stage(claim, form, text), done(verdict).  `finished` keeps what is done for an interrupted run."""

    def __init__(self) -> None:
        self.finished: list[FormVerdict] = []
        self.total = 0
        self._bar: Any = None
        self._task: Any = None
        self._since = time.monotonic()

    def start(self, total_forms: int) -> None:
        """`total_forms` forms and controls lie ahead."""
        self.total = total_forms
        if is_terminal(sys.stderr):
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            text = TextColumn("{task.description}", markup=False)
            columns = (SpinnerColumn(), MofNCompleteColumn(), BarColumn(bar_width=24), TimeElapsedColumn(), text)
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("starting", total=total_forms)
            self._bar.start()

    def stage(self, claim: str, form: str, text: str) -> None:
        """What is being done now."""
        if self._bar is not None:
            self._bar.update(self._task, description=f"{claim} · {form} · {text}")

    def done(self, verdict: FormVerdict) -> None:
        """One form or control is decided."""
        self.finished.append(verdict)
        if self._bar is not None:
            self._bar.update(self._task, advance=1, description=f"{verdict.claim} · {verdict.form} · {verdict.verdict}")
        else:
            say(f"  {len(self.finished)}/{self.total}  {outcome(verdict)}  ({verdict.seconds:.1f} s)")

    def stop(self) -> None:
        """Clears the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def outcome(verdict: FormVerdict) -> str:
    """'npg-one-over-T, control second term dropped: refuted'."""
    name = f"control {verdict.form}" if verdict.kind == "control" else verdict.form
    tightness = f", tightness {tightness_figure(verdict.tightness)}" if verdict.tightness is not None and verdict.kind == "statement" else ""
    return f"{verdict.claim}, {name}: {verdict.verdict}{tightness}"
