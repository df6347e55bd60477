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

from pgtheory import kernels
from pgtheory.arithmetic import log_softmax, lookahead, policy_values, softmax
from pgtheory.compiled import kernel
from pgtheory.kernels import compiled_step, keep, keep_minimum
from pgtheory.policy_gradient.entropy_npg import mean_absolute_soft_advantage
from pgtheory.policy_gradient.method import Method, Setting

Array = np.ndarray


def plain_step(logits: Array, transitions: Array, rewards: Array, discount: Any, start: Array, temperature: Any) -> Array:
    """Q_tau / tau."""
    values = policy_values(softmax(logits), transitions, rewards - temperature * log_softmax(logits), discount)
    return lookahead(transitions, rewards, discount, values) / temperature


_step = compiled_step(plain_step)


@kernel
def _loop(transitions, rewards, discount, start, initial, times, watch, records, minima, temperature):
    for b in range(initial.shape[0]):
        P, r, gamma, mu, tau = transitions[b], rewards[b], discount[b], start[b], temperature[b]
        logits, t = initial[b].copy(), 0
        lowest = kernels.softmax(logits)
        for k in range(times.size):
            while t < times[k]:
                logits = _step(logits, P, r, gamma, mu, tau)
                t += 1
                if watch:
                    keep_minimum(lowest, kernels.softmax(logits))
            keep(records[b, k], logits)
            if watch:
                keep(minima[b, k], lowest)


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
