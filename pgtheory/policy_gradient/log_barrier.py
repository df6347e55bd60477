"""Softmax policy gradient with a log barrier: gradient ascent on V(start) + (lambda / (S A)) sum_{s,a} log pi(a | s) in the logits.

    theta_+ = theta + eta (d pi A + (lambda / S) (1/A - pi))

The barrier is, up to a constant, - lambda times the mean over states of KL(uniform || pi(.|s)): it keeps every action alive, and where the gradient
is at most lambda / (2 S A) the policy is nearly optimal (claim log-barrier-stationarity).  Agarwal, Kakade, Lee, Mahajan (2021), Section 5.2.

The step is 1 + eta L Lipschitz in the 2-norm with L that of `softmax` plus lambda / (2 S): the barrier's Hessian has the blocks
- (lambda / S) (diag pi - pi pi^T), of norm at most lambda / (2 S).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from pgtheory.arithmetic import advantages, maximum, minimum, policy_values_and_visits, softmax
from pgtheory.kernels import compiled_step
from pgtheory.policy_gradient.loops import compiled_loop
from pgtheory.policy_gradient.method import Method, Setting
from pgtheory.policy_gradient.softmax import curvature, smaller

Array = np.ndarray


def plain_step(logits: Array, transitions: Array, rewards: Array, discount: Any, start: Array, step_size: Any, barrier: Any) -> Array:
    """theta + eta (d pi A + (lambda / S) (1/A - pi))."""
    policy = softmax(logits)
    values, visits = policy_values_and_visits(policy, transitions, rewards, discount, start)
    pull = (1 - policy * logits.shape[1]) * (barrier / (logits.shape[0] * logits.shape[1]))
    return logits + step_size * (visits[:, None] * policy * advantages(transitions, rewards, discount, values) + pull)


_loop = compiled_loop(compiled_step(plain_step), settings=2)


@dataclasses.dataclass(frozen=True)
class LogBarrierPG(Method):
    """Softmax policy gradient with a log barrier of weight `barrier` (lambda, in reward units)."""

    step_size: Setting
    barrier: Setting
    name = "log-barrier-pg"
    parameters = "logits"
    norm = "two"
    plain_step = staticmethod(plain_step)
    _loop = staticmethod(_loop)

    def lipschitz(self, problem: Any, settings: tuple[Any, ...], enclosure: Array | None) -> Any:
        _, rewards, discount, _ = problem
        anywhere = (maximum(rewards) - minimum(rewards)) / (2 * (1 - discount) * (1 - discount))
        bent = smaller(anywhere, lambda: curvature(problem, enclosure), enclosure)
        return 1 + settings[0] * (bent + settings[1] / (2 * rewards.shape[0]))
