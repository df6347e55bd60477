"""Softmax policy gradient: gradient ascent on V(start) in the logits.

    theta_+ = theta + eta grad V(start),      grad(s, a) = d(s) pi(a | s) A(s, a)

with A = Q - V and d = (I - gamma P_pi^T)^-1 start, the discounted visits: they sum to 1 / (1 - gamma), so the factor 1 / (1 - gamma) of the policy
gradient theorem is inside.  Sutton, McAllester, Singh, Mansour (2000); Agarwal, Kakade, Lee, Mahajan (2021).

The step is 1 + eta L Lipschitz in the 2-norm, L a bound on the Hessian of V(start) in the logits.  Two are used, the smaller counts:

1. Everywhere, L = (max r - min r) / (2 (1 - gamma)^2).  With scores g_t = sum_{k<=t} grad log pi(a_k | s_k), and rewards shifted to start at 0 (which
   changes V by a constant), the Hessian is sum_t gamma^t E[r_t (g_t g_t^T - sum_{k<=t} F(s_k))].  Scores are martingale differences and
   |F(s)| = |diag p - p p^T| <= 1/2, so both terms are positive semidefinite and at most (max r)(t + 1)/2, and so is their difference in norm;
   sum_t gamma^t (t + 1) = 1 / (1 - gamma)^2.
2. On a convex set, `curvature`: along u the second derivative of V(start) is sum_s d(s) (E[(u - E u)^2 A] + 2 gamma Cov_pi(u, P V')), with
   V' = (I - gamma P_pi)^-1 E_pi[u A].  With k(s) = min(1/2, 2 max_a pi (1 - pi)) >= |F(s)|, the variance of u in s is at most k(s) |u(s, .)|^2, so
   E[(u - E u)^2 |A|] <= |u(s, .)|^2 min(2 E|A|, k max|A|), |V'| <= |u| max_s |pi A|_2 / (1 - gamma), and the covariance is at most
   sqrt(k(s)) |u(s, .)| |V'|.  The bound vanishes as the policy becomes deterministic or optimal.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from flint import arb

from pgtheory.arithmetic import absolute, advantages, elementwise, maximum, minimum, norm2, policy_values_and_visits, softmax, sqrt
from pgtheory.kernels import compiled_step
from pgtheory.policy_gradient.loops import compiled_loop
from pgtheory.policy_gradient.method import Method, Setting

Array = np.ndarray


def plain_step(logits: Array, transitions: Array, rewards: Array, discount: Any, start: Array, step_size: Any) -> Array:
    """theta + eta d pi A."""
    policy = softmax(logits)
    values, visits = policy_values_and_visits(policy, transitions, rewards, discount, start)
    return logits + step_size * visits[:, None] * policy * advantages(transitions, rewards, discount, values)


_loop = compiled_loop(compiled_step(plain_step), settings=1)


@dataclasses.dataclass(frozen=True)
class SoftmaxPG(Method):
    """Softmax policy gradient.  step_size multiplies the full gradient of V(start), in reward units."""

    step_size: Setting
    name = "softmax-pg"
    parameters = "logits"
    norm = "two"
    plain_step = staticmethod(plain_step)
    _loop = staticmethod(_loop)

    def lipschitz(self, problem: Any, settings: tuple[Any, ...], enclosure: Array | None) -> Any:
        _, rewards, discount, _ = problem
        anywhere = (maximum(rewards) - minimum(rewards)) / (2 * (1 - discount) * (1 - discount))
        return 1 + settings[0] * smaller(anywhere, lambda: curvature(problem, enclosure), enclosure)


def smaller(anywhere: Any, here: Callable[[], Any], enclosure: Array | None) -> Any:
    """The smaller of two upper bounds; the second may not exist (no enclosure, or one on which a matrix may be singular)."""
    if enclosure is None:
        return anywhere
    try:
        local = here()
    except ZeroDivisionError:
        return anywhere
    return anywhere.min(local) if local.is_finite() else anywhere


def curvature(problem: Any, enclosure: Array | None, log_policy: Array | None = None, temperature: Any = 0) -> Any:
    """A bound on the 2-norm of the Hessian of V(start) for all logits in `enclosure`: point 2 above; with a temperature, that of V_tau(start)."""
    transitions, rewards, discount, start = problem
    policy = softmax(enclosure)
    if log_policy is not None:
        rewards = rewards - temperature * log_policy
    values, visits = policy_values_and_visits(policy, transitions, rewards, discount, start)
    size = absolute(advantages(transitions, rewards, discount, values))
    k = elementwise(lambda x: (2 * x).min(arb(1) / 2), maximum(policy * (1 - policy), axis=1))
    first = np.frompyfunc(arb.min, 2, 1)(2 * (policy * size).sum(axis=1), k * maximum(size, axis=1))
    slope = maximum(norm2(policy * size, axis=1)) / (1 - discount)
    return maximum(visits * (first + temperature * k)) + 2 * discount * slope * norm2(visits * sqrt(k))
