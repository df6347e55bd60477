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
from pgtheory.compiled import kernel
from pgtheory.kernels import compiled_step, keep, keep_minimum
from pgtheory.policy_gradient.method import Method

Array = np.ndarray


def plain_step(policy: Array, transitions: Array, rewards: Array, discount: Any, start: Array) -> Array:
    """The greedy policy, where it is strictly better."""
    values = policy_values(policy, transitions, rewards, discount)
    return improve(policy, lookahead(transitions, rewards, discount, values), discount)


_step = compiled_step(plain_step)


@kernel
def _loop(transitions, rewards, discount, start, initial, times, watch, records, minima):
    for b in range(initial.shape[0]):
        P, r, gamma, mu = transitions[b], rewards[b], discount[b], start[b]
        policy, t = initial[b].copy(), 0
        lowest = policy.copy()
        for k in range(times.size):
            while t < times[k]:
                policy = _step(policy, P, r, gamma, mu)
                t += 1
                if watch:
                    keep_minimum(lowest, policy)
            keep(records[b, k], policy)
            if watch:
                keep(minima[b, k], lowest)


@dataclasses.dataclass(frozen=True)
class PolicyIteration(Method):
    """Howard's policy iteration."""

    name = "policy-iteration"
    parameters = "policy"
    rational_step = True
    small_rationals = True
    plain_step = staticmethod(plain_step)
    _loop = staticmethod(_loop)
