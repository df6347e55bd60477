"""Marking exercises: a student's functions, called in a process of their own, against exact oracles on models that shrink.

    from proofs_check.grading import grade

    result = grade("policy-iteration", "submission.py")
    result.points, result.total, [check.message for check in result.checks]

The same on the command line: `pgtheory grade policy-iteration submission.py --json`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdps.lazy import lazily

if TYPE_CHECKING:
    from proofs_check.grading.marking import CheckResult, Grade, grade
    from proofs_check.grading.process import Limits
    from proofs_check.grading.questions import Check, Exercise
    from proofs_check.grading.tasks import exercise, exercises

__all__ = ["Check", "CheckResult", "Exercise", "Grade", "Limits", "exercise", "exercises", "grade"]
_HOME = {
    **dict.fromkeys(("Check", "Exercise"), "questions"),
    **dict.fromkeys(("CheckResult", "Grade", "grade"), "marking"),
    **dict.fromkeys(("exercise", "exercises"), "tasks"),
    "Limits": "process",
}
__getattr__, __dir__ = lazily(__name__, _HOME)
