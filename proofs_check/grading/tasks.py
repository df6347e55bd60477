"""The exercises by name, in the order of the course."""

from __future__ import annotations

import functools
import importlib

from mdps.errors import ModelError, nearest
from proofs_check.grading.questions import Exercise

MODULES = ("planning", "gradients", "averse")


@functools.cache
def exercises() -> dict[str, Exercise]:
    """All exercises by name."""
    modules = [importlib.import_module(f"proofs_check.grading.{name}") for name in MODULES]
    return {task.name: task for task in sorted((task for module in modules for task in module.EXERCISES), key=lambda task: task.notebook)}


def exercise(name: str) -> Exercise:
    """One exercise.  raises ModelError: there is none of that name"""
    if name not in exercises():
        raise ModelError(f"there is no exercise {name!r}.{nearest(name, list(exercises()))} `pgtheory grade --list` names them")
    return exercises()[name]
