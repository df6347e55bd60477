"""Episodes that end when a count doubles: along a given sequence of visits, and at most over all sequences.

The extra `visits` (N, A) has one row with a single 1 a round, of which the first `rounds` count; A is the number of counters.  N_i are the counts
before the episode, v_i those inside it; it ends with the visit that makes some v_i = max(1, N_i).  The largest number over all sequences comes from a
breadth-first search through the pairs (N_i, v_i), in any order of the counters, and never from the formula that it is compared with.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from proofs_check.numbers import to_float
from proofs_check.quantities.registry import define, given, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
Counters = tuple[tuple[int, int], ...]
"""(N_i, v_i) of every counter, sorted."""


def _rounds(c: Context) -> list[int]:
    return to_float(given(c, "rounds")).astype(int).tolist()


def _sequences(c: Context) -> list[list[int]]:
    """Which counter each instance visits in each of its rounds."""
    return [row[:count].tolist() for row, count in zip(to_float(c.extra("visits")).argmax(axis=-1), _rounds(c), strict=True)]


def _episodes(sequence: list[int], counters: int) -> tuple[int, bool]:
    """(finished episodes, whether another one has begun) along a sequence of visits."""
    before, inside, finished = [0] * counters, [0] * counters, 0
    for i in sequence:
        inside[i] += 1
        if inside[i] == max(1, before[i]):
            before = [n + v for n, v in zip(before, inside, strict=True)]
            inside, finished = [0] * counters, finished + 1
    return finished, any(inside)


@functools.cache
def _most(counters: int, rounds: int) -> tuple[int, int]:
    """(finished, begun) episodes at most over all sequences of that many visits."""
    reached: dict[Counters, int] = {((0, 0),) * counters: 0}
    for _ in range(rounds):
        later: dict[Counters, int] = {}
        for state, finished in reached.items():
            for i in {pair: k for k, pair in enumerate(state)}.values():  # equal counters are visited once
                n, v = state[i]
                moved = [*state[:i], (n, v + 1), *state[i + 1 :]]
                ends = v + 1 == max(1, n)
                after = tuple(sorted([(m + w, 0) for m, w in moved] if ends else moved))
                later[after] = max(later.get(after, 0), finished + ends)
        reached = later
    begun = max(finished + any(v for _, v in state) for state, finished in reached.items())
    return max(reached.values()), begun


def _whole(c: Context, numbers: list[int]) -> Array:
    return per_instance(c.constant(np.array(numbers, dtype=np.int64)))


@define("finished_episodes", "F_T", "instance")
def _finished_episodes(c: Context) -> Array:
    """Episodes that T visits finish, each by a count that reaches max(1, its count before the episode)."""
    return _whole(c, [_episodes(row, c.rewards.shape[-1])[0] for row in _sequences(c)])


@define("begun_episodes", "m_T", "instance")
def _begun_episodes(c: Context) -> Array:
    """The same with the episode that the last visit leaves unfinished."""
    return _whole(c, [sum(_episodes(row, c.rewards.shape[-1])) for row in _sequences(c)])


@define("most_finished_episodes", r"\max F_T", "instance")
def _most_finished_episodes(c: Context) -> Array:
    """Finished episodes at most, over every sequence of T visits to A counters."""
    return _whole(c, [_most(c.rewards.shape[-1], count)[0] for count in _rounds(c)])


@define("most_begun_episodes", r"\max m_T", "instance")
def _most_begun_episodes(c: Context) -> Array:
    """Episodes at most, the unfinished one included, over every sequence of T visits to A counters."""
    return _whole(c, [_most(c.rewards.shape[-1], count)[1] for count in _rounds(c)])


@define("eager_episodes", r"m_T\ \text{(one visit more)}", "instance")
def _eager_episodes(c: Context) -> Array:
    """Episodes if each ends as soon as some count exceeds what it was before the episode."""
    return _whole(c, [len(row) for row in _sequences(c)])
