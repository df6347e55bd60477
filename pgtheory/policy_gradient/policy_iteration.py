"""Howard's policy iteration: in every state at once, take the first action that is best for the present values, where that is strictly better.

    pi_+(s) = argmax_a Q(s, a)   if   max_a Q(s, a) > V(s),     else pi(s)

A present action that is among the best is kept, so the method stops at the first optimal policy that it meets.  In rationals that is exact; in
floats a state switches only where the gain exceeds the rounding of an evaluation, so ties do not make it cycle.  Howard (1960).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from pgtheory.arithmetic import improve, lookahead, policy_values
from pgtheory.kernels import compiled_step
from pgtheory.policy_gradient.loops import compiled_loop, itself
from pgtheory.policy_gradient.method import Method

Array = np.ndarray


def plain_step(policy: Array, transitions: Array, rewards: Array, discount: Any, start: Array) -> Array:
    """The greedy policy, where it is strictly better."""
    values = policy_values(policy, transitions, rewards, discount)
    return improve(policy, lookahead(transitions, rewards, discount, values), discount)


_loop = compiled_loop(compiled_step(plain_step), settings=0, shown=itself)


@dataclasses.dataclass(frozen=True)
class PolicyIteration(Method):
    """Howard's policy iteration."""

    name = "policy-iteration"
    parameters = "policy"
    rational_step = True
    small_rationals = True
    plain_step = staticmethod(plain_step)
    _loop = staticmethod(_loop)
