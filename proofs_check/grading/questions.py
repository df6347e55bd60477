"""What an exercise is: a task in words, the functions asked for, and checks that draw inputs and judge answers.

A check draws its inputs from a hypothesis strategy, so a wrong answer is shown on the smallest model that hypothesis finds.  The oracle runs in
the marking process; the student's function sees plain numpy arrays and numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st


@dataclasses.dataclass(frozen=True)
class Case:
    """One question: the arguments of the function, what the message says of them, and the judge of the answer.

    arguments  arrays, numbers and None, in the order of the function's parameters
    shown      the instance in words, a line each
    judge      answer -> "" where it is right, or what is wrong with it; the answer is a float array, or a list of such for a tuple
    """

    arguments: tuple[Any, ...]
    shown: tuple[str, ...]
    judge: Callable[[Any], str]


@dataclasses.dataclass(frozen=True)
class Check:
    """One property, worth `points`.  examples: how many instances are tried; function: its name in the submission."""

    title: str
    points: int
    function: str
    cases: st.SearchStrategy[Case]
    examples: int = 40


@dataclasses.dataclass(frozen=True)
class Exercise:
    """A task.  `text` is what the student reads, `starter` a file to begin with, `notebook` the lesson it belongs to."""

    name: str
    title: str
    notebook: str
    text: str
    starter: str
    checks: tuple[Check, ...]

    @property
    def points(self) -> int:
        return sum(check.points for check in self.checks)
