"""Marking exercises: a student's functions, called in a process of their own, against exact oracles on models that shrink.

    from proofs_check.grading import grade

    result = grade("policy-iteration", "submission.py")
    result.points, result.total, [check.message for check in result.checks]

The same on the command line: `pgtheory grade policy-iteration submission.py --json`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proofs_check.grading.marking import CheckResult, Grade, grade
    from proofs_check.grading.process import Limits
    from proofs_check.grading.questions import Check, Exercise
    from proofs_check.grading.tasks import exercise, exercises

__all__ = ["Check", "CheckResult", "Exercise", "Grade", "Limits", "exercise", "exercises", "grade"]
_HOME = {"Check": "questions", "Exercise": "questions", "CheckResult": "marking", "Grade": "marking", "grade": "marking", "Limits": "process"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOME.get(name, 'tasks')}"), name)
