"""The softmax parametrisation: pi(a | s) = exp(theta(s, a)) / sum_b exp(theta(s, b)).

Every policy without zeros is reached, by logits that are unique up to a constant in each state; `params_of` takes log pi.
d pi(a) / d theta(b) = pi(a) ([a = b] - pi(b)): rational in pi, so one-step identities can be checked exactly in terms of pi.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mdps.errors import ModelError
from pgtheory import arithmetic

Array = np.ndarray


def policy_of(logits: Any) -> Array:
    """(..., S, A) logits -> (..., S, A) policy; float64 and balls."""
    return arithmetic.softmax(logits)


def params_of(policy: Any) -> Array:
    """(S, A) policy -> logits log pi; rationals become balls.  ModelError where a probability is 0: no finite logits reach it."""
    policy = np.asarray(policy)
    zero = np.argwhere(policy <= 0) if arithmetic.kind(policy) != "ball" else np.empty((0, 2), dtype=int)
    if len(zero):
        s, a = zero[0][-2:]
        figure = policy[tuple(zero[0])]
        raise ModelError(f"the initial policy has probability {figure} in state {s}, action {a}; softmax methods need every probability positive")
    return arithmetic.log(arithmetic.balls(policy) if arithmetic.kind(policy) == "rational" else policy)


def uniform(num_states: int, num_actions: int) -> Array:
    """The logits of the uniform policy: zeros."""
    return np.zeros((num_states, num_actions))
