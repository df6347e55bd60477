"""Escort policy gradient: gradient ascent on V(start) in parameters whose p-th powers are the policy.

    pi(a | s) = |theta(s, a)|^p / sum_b |theta(s, b)|^p,       theta_+ = theta + eta grad V(start),
    grad(s, a) = p d(s) pi(a | s) A(s, a) / theta(s, a)

with d the discounted visits (they sum to 1 / (1 - gamma)).  Where an action is rare the gradient is larger than the softmax one, of the order
pi^(1 - 1/p) for pi: claim escort-lojasiewicz.  Mei, Xiao, Dai, Li, Szepesvari, Schuurmans (2020).

A run starts from theta = pi^(1/p), of p-norm 1 in each state.  A parameter that is 0 (an action of probability 0) stays 0 for p >= 2; for p < 2 the
gradient has no limit there, and the initial policy must be positive.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.rational import fraction
from pgtheory import kernels
from pgtheory.arithmetic import advantages, policy_values_and_visits
from pgtheory.compiled import kernel
from pgtheory.kernels import keep, keep_minimum
from pgtheory.policies import escort
from pgtheory.policy_gradient.method import Method, Setting, check_rectangular
from pgtheory.policy_gradient.rows import numeric
from pgtheory.policy_gradient.rows import power as raised

Array = np.ndarray


def plain_step(params: Array, transitions: Array, rewards: Array, discount: Any, start: Array, step_size: Any, power: Any) -> Array:
    """theta + eta p d pi A / theta, with pi / theta written as theta |theta|^(p - 2) / sum |theta|^p."""
    size = np.abs(params)
    weights = size**power
    total = weights.sum(axis=1)[:, None]
    values, visits = policy_values_and_visits(weights / total, transitions, rewards, discount, start)
    ahead = advantages(transitions, rewards, discount, values)
    return params + step_size * power * visits[:, None] * (params * size ** (power - 2) / total) * ahead


@numeric
def escort_policy(params, power):
    """(S, A): |theta|^p / sum |theta|^p."""
    out = np.empty_like(params)
    for s in range(params.shape[0]):
        total = 0.0
        for a in range(params.shape[1]):
            out[s, a] = raised(abs(params[s, a]), power)
            total += out[s, a]
        for a in range(params.shape[1]):
            out[s, a] /= total
    return out


@numeric
def _step(params, P, r, gamma, mu, step_size, power):
    """The compiled form of `plain_step`, with pi / theta as it is written above: theta is divided by only where it is not 0."""
    policy = escort_policy(params, power)
    values, visits = kernels.policy_values_and_visits(policy, P, r, gamma, mu)
    ahead = kernels.advantages(P, r, gamma, values)
    out = params.copy()
    for s in range(params.shape[0]):
        scale = step_size * power * visits[s]
        for a in range(params.shape[1]):
            theta = params[s, a]
            if theta != 0.0:
                out[s, a] += scale * policy[s, a] / theta * ahead[s, a]
            elif power < 2.0:
                out[s, a] = np.nan
    return out


@kernel
def _loop(transitions, rewards, discount, start, initial, times, watch, records, minima, step_size, power):
    for b in range(initial.shape[0]):
        P, r, gamma, mu, eta, p = transitions[b], rewards[b], discount[b], start[b], step_size[b], power[b]
        params, t = initial[b].copy(), 0
        lowest = escort_policy(params, p)
        for k in range(times.size):
            while t < times[k]:
                params = _step(params, P, r, gamma, mu, eta, p)
                t += 1
                if watch:
                    keep_minimum(lowest, escort_policy(params, p))
            keep(records[b, k], params)
            if watch:
                keep(minima[b, k], lowest)


@dataclasses.dataclass(frozen=True)
class EscortPG(Method):
    """Escort policy gradient.  step_size multiplies the full gradient of V(start); power is p >= 1, a number."""

    step_size: Setting
    power: Any = 2
    name = "escort-pg"
    parameters = "escort"  # type: ignore[assignment]
    plain_step = staticmethod(plain_step)
    _loop = staticmethod(_loop)

    def __post_init__(self) -> None:
        if not fraction(str(self.power)) >= 1:
            raise ModelError(f"power is {self.power}; the escort transform needs a number p >= 1")

    def policy_of(self, params: Any) -> Array:
        return escort.policy_of(params, self._number(params))

    def params_of(self, policy: Any) -> Array:
        return escort.params_of(policy, self._number(policy))

    def _number(self, values: Any) -> Any:
        """p beside those values: a float beside floats, an exact number beside others."""
        from mdps.rational import rational

        return float(fraction(str(self.power))) if np.asarray(values).dtype != object else rational(str(self.power))

    def start(self, mdp: MDP) -> Array:
        check_rectangular(mdp)
        from mdps.rational import rational_array

        ones = escort.uniform(mdp.num_states, mdp.num_actions)
        return rational_array(ones.astype(int)) if mdp.is_exact else ones
