"""Natural policy gradient for softmax policies: the gradient in the Fisher metric, which is the advantage.

    theta_+ = theta + eta / (1 - gamma) A,       so      pi_+ proportional to pi exp(eta A / (1 - gamma))

Free of the start distribution.  Kakade (2001); closed form: Agarwal, Kakade, Lee, Mahajan (2021), Lemma 5.1.

The step is Lipschitz in the sup norm of the logits, with the constant 1 + eta (1 + gamma) / (1 - gamma)^2 max_s sum_a pi |A| on a convex set of
logits, the maximum taken over the set: for a direction u with |u| <= 1 the policy moves by pi (u - E_pi u), so V moves by
V' = (I - gamma P_pi)^-1 E_pi[u A] (since E_pi A = 0), at most max_s E_pi|A| / (1 - gamma) in size, and A' = gamma P V' - V' by at most
(1 + gamma) times that.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from pgtheory.arithmetic import absolute, advantages, maximum, policy_values, softmax
from pgtheory.kernels import compiled_step
from pgtheory.policy_gradient.loops import compiled_loop
from pgtheory.policy_gradient.method import Method, Setting

Array = np.ndarray


def plain_step(logits: Array, transitions: Array, rewards: Array, discount: Any, start: Array, step_size: Any) -> Array:
    """theta + eta / (1 - gamma) A."""
    policy = softmax(logits)
    values = policy_values(policy, transitions, rewards, discount)
    return logits + step_size / (1 - discount) * advantages(transitions, rewards, discount, values)


_loop = compiled_loop(compiled_step(plain_step), settings=1)


@dataclasses.dataclass(frozen=True)
class NaturalPG(Method):
    """Softmax natural policy gradient.  The logits grow by step_size / (1 - gamma) times the advantages."""

    step_size: Setting
    name = "natural-pg"
    parameters = "logits"
    plain_step = staticmethod(plain_step)
    _loop = staticmethod(_loop)

    def lipschitz(self, problem: Any, settings: tuple[Any, ...], enclosure: Array | None) -> Any:
        if enclosure is None:
            return None
        discount = problem[2]
        return 1 + settings[0] * (1 + discount) / ((1 - discount) * (1 - discount)) * mean_absolute_advantage(problem, enclosure)


def mean_absolute_advantage(problem: Any, enclosure: Array) -> Any:
    """max_s sum_a pi(a | s) |A(s, a)| for all logits in the array of balls `enclosure`."""
    transitions, rewards, discount, _ = problem
    policy = softmax(enclosure)
    values = policy_values(policy, transitions, rewards, discount)
    return maximum((policy * absolute(advantages(transitions, rewards, discount, values))).sum(axis=1))
