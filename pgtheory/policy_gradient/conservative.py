"""Conservative policy iteration: move a share of the way to the greedy policy, small enough that the value cannot fall.

    pi_+ = (1 - alpha) pi + alpha g,      g(s) = argmax_a A(s, a)        (where no action is better than pi, g(s) = pi(s))

    fixed   alpha = share
    safe    alpha = min(1, share (1 - gamma) mean / (4 most)),   mean = E_{s~d} max_a A(s, a),   most = max_{s,a} A(s, a)

d are the visits from the start distribution, normalised to 1.  With share = 1 every safe step raises V(start) by at least
(2 - gamma) mean^2 / (8 most).  Kakade, Langford (2002), Theorem 4.1; constants: docs/theory/surrogates.md
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np

from mdps.errors import ModelError
from pgtheory import kernels
from pgtheory.arithmetic import advantages, identity, improve, lookahead, maximum, policy_values, policy_values_and_visits
from pgtheory.compiled import kernel
from pgtheory.kernels import keep, keep_minimum
from pgtheory.policy_gradient.method import Method, Setting

Array = np.ndarray


def plain_step_fixed(policy: Array, transitions: Array, rewards: Array, discount: Any, start: Array, share: Any) -> Array:
    """(1 - alpha) pi + alpha g with alpha = share."""
    values = policy_values(policy, transitions, rewards, discount)
    greedy = improve(policy, lookahead(transitions, rewards, discount, values), discount)
    return policy + share * (greedy - policy)


def plain_step_safe(policy: Array, transitions: Array, rewards: Array, discount: Any, start: Array, share: Any) -> Array:
    """(1 - alpha) pi + alpha g with the largest alpha for which the proof promises the most, times `share`."""
    values, visits = policy_values_and_visits(policy, transitions, rewards, discount, start)
    gains = maximum(advantages(transitions, rewards, discount, values), axis=1)
    greedy = improve(policy, lookahead(transitions, rewards, discount, values), discount)
    one = identity(1, gains)[0]
    if (greedy == policy).all():
        return policy.copy()
    mean, most = (1 - discount) * (visits * gains).sum(), maximum(gains)
    alpha = share * (1 - discount) * mean / (4 * most)
    return policy + -maximum(np.concatenate([-one, -one * alpha])) * (greedy - policy)


@kernel
def _loop_fixed(transitions, rewards, discount, start, initial, times, watch, records, minima, share):
    for b in range(initial.shape[0]):
        P, r, gamma = transitions[b], rewards[b], discount[b]
        policy, t = initial[b].copy(), 0
        lowest = policy.copy()
        for k in range(times.size):
            while t < times[k]:
                values = kernels.policy_values(policy, P, r, gamma)
                greedy = kernels.improve(policy, kernels.lookahead(P, r, gamma, values), gamma)
                policy = policy + share[b] * (greedy - policy)
                t += 1
                if watch:
                    keep_minimum(lowest, policy)
            keep(records[b, k], policy)
            if watch:
                keep(minima[b, k], lowest)


@kernel
def _loop_safe(transitions, rewards, discount, start, initial, times, watch, records, minima, share):
    for b in range(initial.shape[0]):
        P, r, gamma, mu = transitions[b], rewards[b], discount[b], start[b]
        policy, t = initial[b].copy(), 0
        lowest = policy.copy()
        for k in range(times.size):
            while t < times[k]:
                values, visits = kernels.policy_values_and_visits(policy, P, r, gamma, mu)
                action_values = kernels.lookahead(P, r, gamma, values)
                greedy = kernels.improve(policy, action_values, gamma)
                mean, most = 0.0, 0.0
                for s in range(values.size):
                    gain = action_values[s].max() - values[s]
                    mean += (1 - gamma) * visits[s] * gain
                    most = max(most, gain)
                if most > 0.0:
                    alpha = max(0.0, min(1.0, share[b] * (1 - gamma) * mean / (4 * most)))
                    policy = policy + alpha * (greedy - policy)
                t += 1
                if watch:
                    keep_minimum(lowest, policy)
            keep(records[b, k], policy)
            if watch:
                keep(minima[b, k], lowest)


@dataclasses.dataclass(frozen=True)
class ConservativePI(Method):
    """Conservative policy iteration.  share: alpha itself ("fixed"), or a multiple of the safe one ("safe")."""

    share: Setting = 1
    rule: Literal["safe", "fixed"] = "safe"
    name = "conservative-policy-iteration"
    parameters = "policy"
    rational_step = True

    def __post_init__(self) -> None:
        if self.rule not in ("safe", "fixed"):
            raise ModelError(f"rule is {self.rule!r}; conservative policy iteration knows 'safe' and 'fixed'")
        if self.rule == "fixed" and isinstance(self.share, (int, float)) and self.share > 1:
            raise ModelError(f"share is {self.share!r}; a fixed share of the greedy policy is at most 1")

    @property
    def setting_names(self) -> tuple[str, ...]:
        return ("share",)

    @property
    def plain_step(self) -> Any:  # type: ignore[override]
        return plain_step_safe if self.rule == "safe" else plain_step_fixed

    @property
    def _loop(self) -> Any:  # type: ignore[override]
        return _loop_safe if self.rule == "safe" else _loop_fixed
