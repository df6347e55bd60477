"""What the episodes pay: the same law in every episode, or tables that an adversary has written down beforehand.

    sure(task)                 the table of the task, always
    noisy(task)                1 with the probability that the table says, else 0, anew at every visit
    phases(task)               the table and one minus it, by turns, in phases of 1, 2, 4, 8, ... episodes: whatever was best is worst in the next
    random_tables(task, seed)  uniform on [0, 1], anew in every episode

`revealed=True` shows the learner the whole table after the episode; otherwise it sees what it was paid.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from mdps.errors import ModelError
from pgtheory.online.task import Episodic
from pgtheory.sampling.streams import checked_seed, uniforms

Array = np.ndarray
FIRST_STREAM = 2**40
"""Runs own the streams below."""


@dataclasses.dataclass(frozen=True, eq=False)
class Rewards:
    """A reward sequence.

    name      for tables and messages
    table     episode number 0, 1, ... -> (H, S, A) means in [0, 1]; a function of the number alone
    fixed     the same table in every episode
    noisy     1 with the table's probability, else 0
    revealed  whether the table is shown after the episode
    """

    name: str
    table: Callable[[int], Array]
    fixed: bool = False
    noisy: bool = False
    revealed: bool = False

    def checked(self, episode: int, shape: tuple[int, int, int]) -> Array:
        """The table of an episode.  raises ModelError: shape, or a figure outside [0, 1], with its place"""
        table = np.asarray(self.table(episode), dtype=np.float64)
        if table.shape != shape:
            raise ModelError(f"the rewards of episode {episode} have shape {table.shape}; the problem has {shape} (steps, states, actions)")
        if not ((table >= 0) & (table <= 1)).all():
            h, s, a = (int(i) for i in np.argwhere(~((table >= 0) & (table <= 1)))[0])
            raise ModelError(f"episode {episode} pays {table[h, s, a]} at step {h}, state {s}, action {a}; adversarial rewards lie in [0, 1]")
        return table


def sure(task: Episodic, *, revealed: bool = False) -> Rewards:
    """The task's own rewards without noise."""
    return Rewards("sure", lambda _: task.rewards, fixed=True, revealed=revealed)


def noisy(task: Episodic, *, revealed: bool = False) -> Rewards:
    """1 with the probability that the task's table says, else 0."""
    return Rewards("noisy", lambda _: task.rewards, fixed=True, noisy=True, revealed=revealed)


def phases(task: Episodic, *, revealed: bool = False) -> Rewards:
    """The task's table in the phases 0, 2, 4, ..., one minus it in the others; phase j has 2^j episodes."""
    other = 1.0 - task.rewards

    def table(episode: int) -> Array:
        return other if (episode + 1).bit_length() % 2 == 0 else task.rewards

    return Rewards("phases", table, revealed=revealed)


def random_tables(task: Episodic, seed: int = 0, *, revealed: bool = False) -> Rewards:
    """A new table in every episode, entries uniform on [0, 1]: entry i of episode k is draw i of stream 2^40 + k of the seed, which no run owns."""
    number, shape = checked_seed(seed), task.shape

    def table(episode: int) -> Array:
        return np.asarray(uniforms(number, FIRST_STREAM + episode, 0, int(np.prod(shape)))).reshape(shape)

    return Rewards("random", table, revealed=revealed)


ADVERSARIES: dict[str, Callable[..., Rewards]] = {"sure": sure, "noisy": noisy, "phases": phases, "random": random_tables}
"""Name on the command line -> sequence."""
