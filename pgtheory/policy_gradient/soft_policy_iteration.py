"""Soft policy iteration: evaluate with entropy, then take the Gibbs policy of what was found.

    pi_+(. | s) = softmax(Q_tau(s, .) / tau),       Q_tau = r + gamma P V_tau,   V_tau = V of the rewards r - tau log pi

The maximiser of <p, Q_tau> - tau sum p log p in every state; Newton's method for the soft Bellman equation, and the entropy-regularised natural
policy gradient step at eta = (1 - gamma) / tau.  Haarnoja, Zhou, Abbeel, Levine (2018); Cen, Cheng, Chen, Wei, Chi (2022), Theorem 3.

Logits are kept: theta_+ = Q_tau / tau.  The step is Lipschitz in the sup norm of the logits, with gamma / ((1 - gamma) tau) max_s E_pi|A_tau| on a
convex set (see `entropy_npg`: V_tau moves by (I - gamma P_pi)^-1 E_pi[u A_tau] in a direction u, and Q_tau by gamma P times that)."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from pgtheory.arithmetic import log_softmax, lookahead, policy_values, softmax
from pgtheory.kernels import compiled_step
from pgtheory.policy_gradient.entropy_npg import mean_absolute_soft_advantage
from pgtheory.policy_gradient.loops import compiled_loop
from pgtheory.policy_gradient.method import Method, Setting

Array = np.ndarray


def plain_step(logits: Array, transitions: Array, rewards: Array, discount: Any, start: Array, temperature: Any) -> Array:
    """Q_tau / tau."""
    values = policy_values(softmax(logits), transitions, rewards - temperature * log_softmax(logits), discount)
    return lookahead(transitions, rewards, discount, values) / temperature


_loop = compiled_loop(compiled_step(plain_step), settings=1)


@dataclasses.dataclass(frozen=True)
class SoftPolicyIteration(Method):
    """Soft policy iteration.  temperature is tau > 0, in reward units."""

    temperature: Setting
    name = "soft-policy-iteration"
    parameters = "logits"
    plain_step = staticmethod(plain_step)
    _loop = staticmethod(_loop)

    def lipschitz(self, problem: Any, settings: tuple[Any, ...], enclosure: Array | None) -> Any:
        if enclosure is None:
            return None
        discount, temperature = problem[2], settings[0]
        return discount / ((1 - discount) * temperature) * mean_absolute_soft_advantage(problem, enclosure, temperature)
