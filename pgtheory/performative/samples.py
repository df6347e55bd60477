"""What can be known of an answer from n trajectories: counted transitions and mean rewards of the pairs that were seen.

A trajectory starts from the start distribution and follows the deployed policy for at most `length` steps (the process may end before).  Where a pair
was never seen its estimate is the one of its state, averaged over the actions that were; where the state was never seen, staying there for the
smallest reward observed, which an optimistic planner will not go looking for.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mdps.errors import ModelError

Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class Estimate:
    """transitions (S, A, S), rewards (S, A), counts (S, A) of visits."""

    transitions: Array
    rewards: Array
    counts: Array

    @property
    def model(self) -> tuple[Array, Array]:
        return self.transitions, self.rewards


def estimate(transitions: Array, rewards: Array, start: Array, policy: Array, samples: int, generator: Any, length: int = 100) -> Estimate:
    """Empirical model from `samples` trajectories of the policy (S, A); rewards are paid without noise.

    raises   ModelError: no sample, no step"""
    if samples < 1 or length < 1:
        raise ModelError(f"samples is {samples} and length {length}; both must be at least 1")
    states, actions = rewards.shape
    reach = np.concatenate([transitions, np.maximum(1 - transitions.sum(axis=-1, keepdims=True), 0)], axis=-1).cumsum(axis=-1)
    choices, first = policy.cumsum(axis=-1), np.cumsum(start)
    counts = np.zeros((states, actions), dtype=np.int64)
    moved = np.zeros((states, actions, states + 1), dtype=np.int64)
    here = _draw(np.broadcast_to(first, (samples, states)), generator)
    for _ in range(length):
        done = _draw(choices[here], generator)
        after = _draw(reach[here, done], generator)
        np.add.at(counts, (here, done), 1)
        np.add.at(moved, (here, done, after), 1)
        here = after[after < states]
        if not here.size:
            break
    return _fill(counts, moved[..., :states], rewards)


def _draw(cumulated: Array, generator: Any) -> Array:
    """One index a row, by inversion."""
    level = generator.random(len(cumulated)) * cumulated[:, -1]
    return np.minimum((cumulated <= level[:, None]).sum(axis=1), cumulated.shape[1] - 1)


def _fill(counts: Array, moved: Array, rewards: Array) -> Estimate:
    seen = counts > 0
    rows = np.divide(moved, counts[..., None], out=np.zeros(moved.shape), where=seen[..., None])
    pays = np.where(seen, rewards, 0.0)
    known = seen.sum(axis=1)
    lowest = rewards[seen].min()
    for s in range(len(counts)):
        if not known[s]:
            rows[s, :, s], pays[s] = 1.0, lowest
        else:
            rows[s, ~seen[s]] = rows[s, seen[s]].mean(axis=0)
            pays[s, ~seen[s]] = pays[s, seen[s]].mean()
    return Estimate(rows, pays, counts)
