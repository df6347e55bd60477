"""Simplex policy iteration: one state switches at a time, the one whose best action brings most.

    (s, a) = argmax A(s, a),      pi_+(s) = a   if   A(s, a) > 0,      the other states keep their action

These are the pivots of the simplex method with Dantzig's rule on the linear program of the values; Howard's policy iteration switches every state
that gains.  Of several largest advantages the first in the order of states, then actions, is taken.  In rationals that is exact; in floats
advantages within the rounding of an evaluation count as equal, so that ties neither cycle nor depend on rounding.  Ye (2011); Scherrer (2016).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from pgtheory import kernels
from pgtheory.arithmetic import absolute, advantages, identity, kind, less, less_equal, maximum, policy_values
from pgtheory.compiled import kernel
from pgtheory.policy_gradient.loops import compiled_loop, itself
from pgtheory.policy_gradient.method import Method

Array = np.ndarray


def plain_step(policy: Array, transitions: Array, rewards: Array, discount: Any, start: Array) -> Array:
    """The policy with one state switched to the action of the largest advantage, where that is above 0."""
    values = policy_values(policy, transitions, rewards, discount)
    gains = advantages(transitions, rewards, discount, values)
    slack = 0
    if kind(gains) == "float":
        slack = kernels.rounding_of_values(rewards.shape[0], float(discount), maximum(absolute(gains + values[:, None])))
    best = maximum(gains)
    out = policy.copy()
    if less(slack, best):
        s, a = next(index for index in np.ndindex(gains.shape) if less_equal(best - slack, gains[index]))
        out[s] = identity(rewards.shape[1], gains)[a]
    return out


@kernel
def _step(policy, transitions, rewards, discount, start):
    """The compiled form of `plain_step`."""
    values = kernels.policy_values(policy, transitions, rewards, discount)
    gains = kernels.advantages(transitions, rewards, discount, values)
    slack = kernels.rounding_of_values(rewards.shape[0], discount, np.abs(kernels.lookahead(transitions, rewards, discount, values)).max())
    best = gains.max()
    out = policy.copy()
    if best > slack:
        for s in range(gains.shape[0]):
            for a in range(gains.shape[1]):
                if gains[s, a] >= best - slack:
                    out[s, :] = 0.0
                    out[s, a] = 1.0
                    return out
    return out


_loop = compiled_loop(_step, settings=0, shown=itself)


@dataclasses.dataclass(frozen=True)
class SimplexIteration(Method):
    """Policy iteration that switches one state at a time, the one with the largest advantage."""

    name = "simplex-policy-iteration"
    parameters = "policy"
    rational_step = True
    small_rationals = True
    plain_step = staticmethod(plain_step)
    _loop = staticmethod(_loop)
