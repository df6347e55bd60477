"""Entropy-regularised policy mirror descent with the KL divergence.

    pi_+(. | s) = argmax_p  eta (<Q_tau(s, .), p> - tau sum p log p) - KL(p || pi(. | s)),

so pi_+ is proportional to (pi exp(eta Q_tau))^(1 / (1 + eta tau)),

with Q_tau = r + gamma P V_tau and V_tau = V of the rewards r - tau log pi.  In logits theta_+ = (theta + eta Q_tau) / (1 + eta tau): the
entropy-regularised natural policy gradient with the step (1 - gamma) eta / (1 + eta tau), which stays below its limit (1 - gamma) / tau for every
eta; as eta grows it becomes soft policy iteration.  Lan (2023).

The step is Lipschitz in the sup norm of the logits, with (1 + eta gamma / (1 - gamma) max_s E_pi|A_tau|) / (1 + eta tau) on a convex set (see
`entropy_npg`)."""

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


def plain_step(logits: Array, transitions: Array, rewards: Array, discount: Any, start: Array, step_size: Any, temperature: Any) -> Array:
    """(theta + eta Q_tau) / (1 + eta tau)."""
    values = policy_values(softmax(logits), transitions, rewards - temperature * log_softmax(logits), discount)
    return (logits + step_size * lookahead(transitions, rewards, discount, values)) / (1 + step_size * temperature)


_loop = compiled_loop(compiled_step(plain_step), settings=2)


@dataclasses.dataclass(frozen=True)
class RegularisedMirrorDescent(Method):
    """Entropy-regularised policy mirror descent (KL).  temperature is tau, in reward units; any step_size >= 0."""

    step_size: Setting
    temperature: Setting
    name = "regularised-mirror-descent"
    parameters = "logits"
    plain_step = staticmethod(plain_step)
    _loop = staticmethod(_loop)

    def lipschitz(self, problem: Any, settings: tuple[Any, ...], enclosure: Array | None) -> Any:
        if enclosure is None:
            return None
        discount, (step_size, temperature) = problem[2], settings
        spread = mean_absolute_soft_advantage(problem, enclosure, temperature)
        return (1 + step_size * discount / (1 - discount) * spread) / (1 + step_size * temperature)
