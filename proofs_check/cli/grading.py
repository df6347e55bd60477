"""`pgtheory grade`."""

from __future__ import annotations

from pathlib import Path

from mdps.errors import ModelError
from proofs_check.cli.output import line, print_json, table

LEAST_MEMORY = 256
"""MiB of address space with which the student's process still starts."""


def list_exercises(as_json: bool) -> int:
    """All exercises with their points."""
    from proofs_check.grading import exercises

    tasks = list(exercises().values())
    if as_json:
        print_json([{"name": task.name, "title": task.title, "notebook": task.notebook, "points": task.points} for task in tasks])
    else:
        table(("exercise", "points", "notebook", "title"), [(task.name, str(task.points), task.notebook, task.title) for task in tasks], right=(1,))
    return 0


def show_exercise(name: str, starter: bool) -> int:
    """The task in words, or a file to begin with."""
    from proofs_check.grading import exercise

    task = exercise(name)
    if starter:
        print(task.starter, end="")
        return 0
    line(f"{task.title}   ({task.points} points, notebook {task.notebook})")
    line()
    line(task.text)
    line()
    line(f"Begin with:  pgtheory grade {name} --starter > submission.py")
    line(f"Then:        pgtheory grade {name} submission.py")
    return 0


def grade_file(name: str, path: Path, seconds: float, memory: int, as_json: bool) -> int:
    """Points, and for what is wrong the smallest instance; status 1 for less than all points."""
    from proofs_check.grading import Limits, grade

    if not (0 < seconds < float("inf")):
        raise ModelError(f"--seconds is {seconds}; it must be a positive number")
    if memory < LEAST_MEMORY:
        raise ModelError(f"--memory is {memory}; the least is {LEAST_MEMORY} MiB, for Python and numpy themselves")
    result = grade(name, path, Limits(call=seconds, memory=memory))
    if as_json:
        print_json(result.to_json())
    else:
        for check in result.checks:
            passed = check.status == "passed"
            line(f"{'+' if passed else '-'} {check.points}/{check.of}  {check.title}{'' if passed else ': ' + check.message}")
            for text in check.counterexample:
                line(f"        {text}")
        if result.printed:
            line(f"  the submission printed: {result.printed.splitlines()[0][:120]}")
        line(f"{result.points} of {result.total} points for {result.exercise}")
    return 0 if result.points == result.total else 1
