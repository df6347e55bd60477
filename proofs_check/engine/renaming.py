"""Whether a method is blind to the names of actions: a proof that renames actions may speak of its step only then.

Renaming the actions of every state turns a model into one with the same quantities.  A step commutes with that unless it tells equal action values
apart by the numbers of the actions ("the first maximiser").  Commuting is tried, not proved: on models in which actions are copies of each other,
best, worst or all of them, so that their action values are equal to the last bit, with policies that tell the copies apart.  A method that fails on
any of them breaks ties by name.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from proofs_check.claim import Case
from proofs_check.domains import free_settings, resolve_settings
from proofs_check.engine.measure import method_settings

Array = np.ndarray
ROUNDING = 1e-9
"""Probabilities after one step on models of two states, at discount 1/2: some thousand roundings."""
COPIES = ((0, 0, 2), (0, 1, 1), (0, 0, 0))
"""Which of three actions each action does: with action 0 the best, the copies are the best, the worst, or all."""


def breaks_ties_by_name(case: Case) -> bool:
    """Whether exchanging two actions that are copies of each other changes the step by more than their names."""
    exchanges = [(1, 0, 2), (0, 2, 1), (2, 1, 0)]
    return not all(_commutes(case, kinds, order) for kinds in COPIES for order in exchanges if all(kinds[k] == kinds[j] for k, j in enumerate(order)))


def follows_the_first(case: Case) -> bool:
    """Whether the step commutes at least with moving the first best action to the front, the others in their order."""
    return all(_commutes(case, kinds, order) for kinds, order in (((2, 0, 0), (1, 0, 2)), ((2, 2, 0), (2, 0, 1)), ((2, 0, 2), (1, 0, 2))))


def _commutes(case: Case, kinds: tuple[int, ...], order: tuple[int, ...]) -> bool:
    transitions = np.array([[[0.5, 0.5], [0.75, 0.25], [0.25, 0.75]], [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]])[:, list(kinds)]
    rewards = np.array([[1.0, 0.25, 0.0], [1.0, 0.5, 0.0]])[:, list(kinds)]
    policy = np.array([[0.5, 0.375, 0.125], [0.125, 0.25, 0.625]])
    free = np.zeros((1, len(free_settings(case.settings))))
    names = resolve_settings(case.settings, np.array([0.5]), 2, 3, free)
    numbers: dict[str, Any] = {"gamma": 0.5, "S": 2.0, "A": 3.0} | {name: float(value[0]) for name, value in names.items()}
    method, moved = case.process, list(order)
    settings = method_settings(case, numbers, lambda p, q: p / q)

    def step(P: Array, r: Array, pi: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(method.policy_of(method.plain_step(method.params_of(pi), P, r, 0.5, np.array([0.5, 0.5]), *settings)), dtype=float)

    plain, renamed = step(transitions, rewards, policy), step(transitions[:, moved], rewards[:, moved], policy[:, moved])
    return bool(np.all(np.abs(renamed - plain[:, moved]) <= ROUNDING))
