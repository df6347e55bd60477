"""Entropy-regularised natural policy gradient for softmax policies.

    theta_+ = (1 - eta tau / (1 - gamma)) theta + eta / (1 - gamma) Q_tau,       Q_tau = r + gamma P V_tau,   V_tau = V of the rewards r - tau log pi

that is pi_+ proportional to pi^(1 - eta tau / (1 - gamma)) exp(eta Q_tau / (1 - gamma)).  At eta = (1 - gamma) / tau it is soft policy iteration.
Cen, Cheng, Chen, Wei, Chi (2022), equation (18).

The step is Lipschitz in the sup norm of the logits, with |1 - eta tau / (1 - gamma)| + eta gamma / (1 - gamma)^2 max_s E_pi|A_tau| on a convex set,
where A_tau = Q_tau - tau log pi - V_tau: for a direction u the policy moves by pi (u - E_pi u), the term -tau d(log pi) has mean 0, so V_tau moves
by (I - gamma P_pi)^-1 E_pi[u A_tau], and Q_tau by gamma P times that."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from pgtheory.arithmetic import absolute, advantages, log_softmax, lookahead, maximum, policy_values, softmax
from pgtheory.kernels import compiled_step
from pgtheory.policy_gradient.loops import compiled_loop
from pgtheory.policy_gradient.method import Method, Setting

Array = np.ndarray


def plain_step(logits: Array, transitions: Array, rewards: Array, discount: Any, start: Array, step_size: Any, temperature: Any) -> Array:
    """(1 - eta tau / (1 - gamma)) theta + eta / (1 - gamma) Q_tau."""
    values = policy_values(softmax(logits), transitions, rewards - temperature * log_softmax(logits), discount)
    action_values = lookahead(transitions, rewards, discount, values)
    scale = step_size / (1 - discount)
    return (1 - scale * temperature) * logits + scale * action_values


_loop = compiled_loop(compiled_step(plain_step), settings=2)


@dataclasses.dataclass(frozen=True)
class EntropyNPG(Method):
    """Entropy-regularised softmax natural policy gradient.  temperature is tau, in reward units; step_size = (1 - gamma) / tau is soft policy
    iteration."""

    step_size: Setting
    temperature: Setting
    name = "entropy-npg"
    parameters = "logits"
    plain_step = staticmethod(plain_step)
    _loop = staticmethod(_loop)

    def lipschitz(self, problem: Any, settings: tuple[Any, ...], enclosure: Array | None) -> Any:
        if enclosure is None:
            return None
        step_size, temperature = settings
        discount = problem[2]
        spread = mean_absolute_soft_advantage(problem, enclosure, temperature)
        return abs(1 - step_size * temperature / (1 - discount)) + step_size * discount / ((1 - discount) * (1 - discount)) * spread


def mean_absolute_soft_advantage(problem: Any, enclosure: Array, temperature: Any) -> Any:
    """max_s E_pi|A_tau| for all logits in the array of balls `enclosure`."""
    transitions, rewards, discount, _ = problem
    policy = softmax(enclosure)
    soft_rewards = rewards - temperature * log_softmax(enclosure)
    values = policy_values(policy, transitions, soft_rewards, discount)
    return maximum((policy * absolute(advantages(transitions, soft_rewards, discount, values))).sum(axis=1))
