"""Orchestrated value mapping: value iteration that learns a mapped value f(Q), and splits rewards into channels.

    y = (1 - b_r) Q + b_r T Q,        f(Q_+) = f(Q) + b_f (f(y) - f(Q)),         b_r, b_f in (0, 1]

with f strictly increasing and T the Bellman optimality operator.  By the mean value theorem Q_+ = Q + w (y - Q) with w between b_f m / M and 1,
m and M the least and largest slope of f where the iterates live, so the error shrinks by 1 - (m / M) b_f b_r (1 - gamma).  With channels,
r = sum_j w_j r_j, every channel backs up its own values at the action that is greedy for sum_j w_j Q_j: with the identity for f, the sum follows
value iteration.  Fatemi, Tavakoli (2022).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory import arithmetic
from pgtheory.arithmetic import lookahead
from pgtheory.policy_gradient.method import check_rectangular

Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class Mapping:
    """A strictly increasing f with its inverse, on an interval (lower, upper) of values."""

    name: str
    forward: Callable[[Any], Any]
    inverse: Callable[[Any], Any]


MAPPINGS = {
    "identity": Mapping("identity", lambda x: x, lambda y: y),
    "log": Mapping("log", lambda x: arithmetic.log(x), lambda y: arithmetic.exp(y)),
    "square": Mapping("square", lambda x: x * x, lambda y: arithmetic.sqrt(y)),
    "root": Mapping("root", lambda x: arithmetic.sqrt(x), lambda y: y * y),
}
"""Mappings of positive values."""


def orchestrated_backup(
    action_values: Array, transitions: Array, rewards: Array, discount: Any, mapping: Mapping, reward_rate: Any, map_rate: Any
) -> Array:
    """Q_+ for action values (..., S, A) inside the mapping's domain; floats and balls (rationals with the identity)."""
    target = lookahead(transitions, rewards, discount, arithmetic.maximum(action_values, axis=-1))
    moved = action_values + reward_rate * (target - action_values)
    present = mapping.forward(action_values)
    return mapping.inverse(present + map_rate * (mapping.forward(moved) - present))


def orchestrated_iteration(mdp: MDP, mapping: str | Mapping, steps: int, initial: Any, reward_rate: Any = 1, map_rate: Any = 1) -> Array:
    """(steps + 1, S, A): the action values after each step, from `initial` (S, A), which must lie in the mapping's domain.

    reward_rate, map_rate   shares in (0, 1] of the way to the Bellman backup, and of the way that the mapped value moves
    raises  ModelError: unknown mapping, a rate outside (0, 1]
    """
    check_rectangular(mdp)
    if isinstance(mapping, str):
        if mapping not in MAPPINGS:
            raise ModelError(f"unknown mapping {mapping!r}; there are {', '.join(MAPPINGS)}, or a Mapping of your own")
        mapping = MAPPINGS[mapping]
    for name, rate in (("reward_rate", reward_rate), ("map_rate", map_rate)):
        if not 0 < rate <= 1:
            raise ModelError(f"{name} is {rate}; it must lie in (0, 1]")
    out = [np.asarray(initial)]
    for _ in range(steps):
        out.append(orchestrated_backup(out[-1], mdp.transitions, mdp.rewards, mdp.discount, mapping, reward_rate, map_rate))
    return np.stack(out)


def channel_backup(channels: Array, weights: Array, transitions: Array, rewards: Array, discount: Any) -> Array:
    """One backup of every channel at the action that is greedy for the weighted sum.

    channels (J, S, A) values, weights (J,), rewards (J, S, A): the reward of each channel; ties go to the first action, in floats and rationals
    returns  (J, S, A)
    """
    total = (weights[:, None, None] * channels).sum(axis=0)
    first = np.array([next(a for a in range(len(row)) if row[a] == max(row)) for row in total])
    chosen = channels[:, np.arange(len(first)), first]
    return rewards + discount * (transitions[None] * chosen[:, None, None, :]).sum(axis=-1)
