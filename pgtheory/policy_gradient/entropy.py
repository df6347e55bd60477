"""Entropy-regularised softmax policy gradient: gradient ascent on V_tau(start) in the logits.

    theta_+ = theta + eta d pi A_tau,      A_tau = Q_tau - tau log pi - V_tau,      Q_tau = r + gamma P V_tau,
    V_tau = V of the rewards r - tau log pi

d = (I - gamma P_pi^T)^-1 start are the discounted visits.  Mei, Xiao, Szepesvari, Schuurmans (2020), Section 4.

The step is 1 + eta L Lipschitz in the 2-norm, L a bound on the Hessian of V_tau(start): on a convex set that of `softmax.curvature` with A_tau for
A and tau k(s) added to the first term (the second derivative of the entropy brings - tau Var_pi(u)); and everywhere that of the unregularised
method plus tau log(A) (4 - 3 gamma) / (1 - gamma)^2.  Proof of the latter: with l_t = -log pi(a_t | s_t) >= 0 and the scores g_t of `softmax`, the
Hessian of E sum_t gamma^t l_t is sum_t gamma^t E[l_t (g_t g_t^T - sum_{k<=t} F(s_k)) - F(s_t)] (the two cross terms give -2 F, the Hessian of l_t
gives + F).  Given the past, g_t is g_{t-1} plus one score of squared norm at most 2 and E l_t <= log A, so E[l_t g_t g_t^T] <= log(A) (2 t/2 + 4),
using g g^T <= 2 g_{t-1} g_{t-1}^T + 2 (score)(score)^T; the subtracted part is smaller (A >= 2; for A = 1 all vanish).
sum_t gamma^t (t + 4) = (4 - 3 gamma) / (1 - gamma)^2.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from pgtheory.arithmetic import advantages, balls, log, log_softmax, maximum, minimum, policy_values_and_visits, softmax
from pgtheory.kernels import compiled_step
from pgtheory.policy_gradient.loops import compiled_loop
from pgtheory.policy_gradient.method import Method, Setting
from pgtheory.policy_gradient.softmax import curvature, smaller

Array = np.ndarray


def plain_step(logits: Array, transitions: Array, rewards: Array, discount: Any, start: Array, step_size: Any, temperature: Any) -> Array:
    """theta + eta d pi A_tau."""
    policy = softmax(logits)
    soft_rewards = rewards - temperature * log_softmax(logits)
    values, visits = policy_values_and_visits(policy, transitions, soft_rewards, discount, start)
    return logits + step_size * visits[:, None] * policy * advantages(transitions, soft_rewards, discount, values)


_loop = compiled_loop(compiled_step(plain_step), settings=2)


@dataclasses.dataclass(frozen=True)
class EntropyPG(Method):
    """Entropy-regularised softmax policy gradient.  step_size multiplies the full gradient of V_tau(start); temperature is tau, in reward units."""

    step_size: Setting
    temperature: Setting
    name = "entropy-pg"
    parameters = "logits"
    norm = "two"
    plain_step = staticmethod(plain_step)
    _loop = staticmethod(_loop)

    def lipschitz(self, problem: Any, settings: tuple[Any, ...], enclosure: Array | None) -> Any:
        _, rewards, discount, _ = problem
        step_size, temperature = settings
        scale = (1 - discount) * (1 - discount)
        entropy = temperature * log(balls(rewards.shape[1])) * (4 - 3 * discount) / scale
        anywhere = (maximum(rewards) - minimum(rewards)) / (2 * scale) + entropy
        return 1 + step_size * smaller(anywhere, lambda: curvature(problem, enclosure, log_softmax(enclosure), temperature), enclosure)
