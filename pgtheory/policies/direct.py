"""The direct parametrisation: the parameters are the probabilities pi(a | s) themselves, a point of a product of simplices."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray


def policy_of(policy: Any) -> Array:
    """The parameters are the policy."""
    return np.asarray(policy)


def params_of(policy: Any) -> Array:
    """The policy is its own parameter."""
    return np.asarray(policy)


def uniform(num_states: int, num_actions: int) -> Array:
    """The uniform policy."""
    return np.full((num_states, num_actions), 1 / num_actions)
