"""Marks a submission: every check draws instances until one is answered wrongly, shrinks it, and gives all of its points or none."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any, Literal

import hypothesis

from mdps.errors import ModelError
from proofs_check.grading.process import Died, Failed, Limits, Submission, TimedOut
from proofs_check.grading.questions import Case, Check, Exercise
from proofs_check.grading.tasks import exercise as named

Status = Literal["passed", "wrong", "error", "timeout", "died", "missing"]
SCHEMA = "pgtheory-grade-1"
MOST = 600
"""Characters kept of one message."""


@dataclasses.dataclass(frozen=True)
class CheckResult:
    """How one check went: points of `of`; where it was not passed, a message and the smallest instance found, a line each."""

    title: str
    function: str
    points: int
    of: int
    status: Status
    message: str = ""
    counterexample: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Grade:
    """The whole answer.  printed: the first characters that the submission printed."""

    exercise: str
    submission: str
    checks: tuple[CheckResult, ...]
    printed: str
    seconds: float

    @property
    def points(self) -> int:
        return sum(check.points for check in self.checks)

    @property
    def total(self) -> int:
        return sum(check.of for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """For course systems: schema, points, total, and every check with its status, message and counterexample."""
        return {"schema": SCHEMA, "points": self.points, "total": self.total, **dataclasses.asdict(self)}


class _Wrong(Exception):
    """A wrong answer, a known one that hypothesis may shrink."""


class _Over(BaseException):
    """Ends a check at once: what takes two seconds an instance is not shrunk."""


def grade(exercise: str | Exercise, submission: str | Path, limits: Limits | None = None) -> Grade:
    """Marks a file.  The instances are the same on every run.

    exercise    a name of `exercises()`, or one of your own
    raises      ModelError: no such exercise, or the file cannot be read
    """
    task = named(exercise) if isinstance(exercise, str) else exercise
    path = Path(submission)
    if not path.is_file():
        raise ModelError(f"{path} is no file")
    begun = time.monotonic()
    with Submission(path, limits or Limits()) as process:
        results = tuple(_checked(check, process) for check in task.checks)
        return Grade(task.name, str(path), results, process.printed, time.monotonic() - begun)


def _checked(check: Check, process: Submission) -> CheckResult:
    def result(status: Status, message: str = "", case: Case | None = None) -> CheckResult:
        shown = case.shown if case else ()
        return CheckResult(check.title, check.function, check.points * (status == "passed"), check.points, status, message[:MOST], shown)

    try:
        process.start()
    except Failed as error:
        return result("error", f"the file does not load: {error}")
    except (TimedOut, Died) as error:
        late = isinstance(error, TimedOut)
        return result("timeout" if late else "died", f"loading the file took {error}" if late else str(error))
    if check.function not in process.functions:
        return result("missing", f"the file defines no function {check.function!r}")
    last: list[tuple[Status, str, Case]] = []

    def tried(case: Case) -> None:
        last.clear()
        try:
            problem, status = case.judge(process.call(check.function, case.arguments)), "wrong"
        except Failed as error:
            problem, status = str(error), "error"
        except (TimedOut, Died) as error:
            last.append(("timeout" if isinstance(error, TimedOut) else "died", str(error), case))
            raise _Over from None
        if problem:
            last.append(("wrong" if status == "wrong" else "error", problem, case))
            raise _Wrong

    settings = hypothesis.settings(
        max_examples=check.examples,
        derandomize=True,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        print_blob=False,
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    try:
        settings(hypothesis.given(check.cases)(tried))()
    except (_Wrong, _Over):
        status, message, case = last[0]
        return result(status, message, case)
    except hypothesis.errors.Flaky:
        return result("wrong", "the function answers the same question differently from call to call", last[0][2] if last else None)
    return result("passed")
