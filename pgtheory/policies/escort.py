"""The escort parametrisation: pi(a | s) = |theta(s, a)|^p / sum_b |theta(s, b)|^p with p >= 1.

The signs and the scale of a state's parameters change nothing.  d pi(a) / d theta(b) = (p / theta(b)) pi(b) ([a = b] - pi(a)).
Mei, Xiao, Dai, Li, Szepesvari, Schuurmans (2020).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pgtheory import arithmetic

Array = np.ndarray


def policy_of(params: Any, power: Any) -> Array:
    """(..., S, A) parameters -> (..., S, A) policy."""
    weights = np.abs(params) ** power
    return weights / weights.sum(axis=-1)[..., None]


def params_of(policy: Any, power: Any) -> Array:
    """(S, A) policy -> the parameters pi^(1/p), whose p-norm is 1 in each state; rationals become balls."""
    policy = np.asarray(policy)
    if arithmetic.kind(policy) == "float":
        return policy ** (1 / power)
    return arithmetic.exp(arithmetic.log(arithmetic.balls(policy)) / arithmetic.balls(power))


def uniform(num_states: int, num_actions: int) -> Array:
    """Ones: the uniform policy."""
    return np.ones((num_states, num_actions))
