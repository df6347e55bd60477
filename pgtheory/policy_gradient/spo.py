"""Simple policy optimisation, maximised exactly: the surrogate with a quadratic penalty on the ratio of probabilities.

    pi_+(. | s) = argmax_p  sum_a p_a A_a - sum_a pi_a |A_a| (x_a - 1)^2 / (2 eps),      x = p / pi,      over distributions on the support of pi

A concave quadratic.  With a multiplier lam for sum_a p_a = 1 its maximiser is x_a = max(0, 1 + eps (A_a - lam) / |A_a|) where A_a != 0.  The mass
f(lam) of these actions falls in lam.  Actions with A_a = 0 carry no penalty: where they exist and f(0) <= 1, lam = 0 and they share the rest in
proportion to pi; where f(0) > 1, they get nothing.  Otherwise f(lam) = 1, which Newton's iteration from the left solves in at most A steps, because
f is convex and piecewise linear: each step drops the actions whose x would be negative.

Every step improves every state: sum_a p_a A_a >= sum_a pi_a |A_a| (x_a - 1)^2 / eps.  Rational in pi.  Derivation: docs/theory/surrogates.md
After Xie et al. (2025), where the objective is climbed by gradient steps: `PPO(objective="spo")`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from pgtheory import kernels
from pgtheory.arithmetic import absolute, advantages, kind, less, less_equal, policy_values, zeros_like_kind
from pgtheory.compiled import kernel
from pgtheory.policy_gradient.loops import compiled_loop, itself
from pgtheory.policy_gradient.method import Method, Setting
from pgtheory.policy_gradient.rows import numeric

Array = np.ndarray


def plain_step(policy: Array, transitions: Array, rewards: Array, discount: Any, start: Array, radius: Any) -> Array:
    """The maximiser of the penalised surrogate, state by state."""
    values = policy_values(policy, transitions, rewards, discount)
    gains = advantages(transitions, rewards, discount, values)
    slack = kernels.rounding_of_values(rewards.shape[0], float(discount), np.abs(gains + values[:, None]).max()) if kind(gains) == "float" else 0
    return np.stack([_row(pi, gain, radius, slack) for pi, gain in zip(policy, gains, strict=True)])


def _row(pi: Array, gain: Array, radius: Any, slack: Any) -> Array:
    """One state; advantages within `slack` of 0 count as 0."""
    pi = pi / pi.sum()
    present = [bool(less(0, p)) for p in pi]
    size = absolute(gain)
    counted = [here and bool(less(slack, x)) for here, x in zip(present, size, strict=True)]
    free = [here and not some for here, some in zip(present, counted, strict=True)]
    ratio = zeros_like_kind(pi.shape, pi)
    if not any(counted):
        return pi.copy()
    up = [1 + radius if some and less(0, g) else 1 - radius for some, g in zip(counted, gain, strict=True)]
    mass = sum(p * u for p, u, some in zip(pi, up, counted, strict=True) if some)
    if any(free) and less_equal(mass, 1):
        rest = (1 - mass) / sum(p for p, is_free in zip(pi, free, strict=True) if is_free)
        for a in range(len(pi)):
            ratio[a] = up[a] if counted[a] else rest if free[a] else ratio[a]
        return pi * ratio
    active = list(counted)
    for _ in range(len(pi)):
        mass = sum(p * u for p, u, some in zip(pi, up, active, strict=True) if some)
        slope = sum(p / x for p, x, some in zip(pi, size, active, strict=True) if some)
        level = (mass - 1) / (radius * slope)
        keeps = [some and bool(less(0, u - radius * level / x)) for some, u, x in zip(active, up, size, strict=True)]
        if keeps == active:
            break
        active = keeps
    for a in range(len(pi)):
        if active[a]:
            ratio[a] = up[a] - radius * level / size[a]
    return pi * ratio


@numeric
def _row_kernel(pi, gain, radius, slack, active, out):
    """The compiled form of `_row`; active: room for a boolean an action."""
    count = pi.size
    total = 0.0
    for a in range(count):
        total += pi[a]
    scale = 1.0 / total
    mass, slope, free = 0.0, 0.0, 0.0
    some = False
    for a in range(count):
        active[a] = pi[a] > 0.0 and abs(gain[a]) > slack
        out[a] = scale * pi[a]
        if active[a]:
            some = True
            mass += out[a] * (1.0 + radius if gain[a] > 0.0 else 1.0 - radius)
            slope += out[a] / abs(gain[a])
        else:
            free += out[a]
    if not some:
        return
    if free > 0.0 and mass <= 1.0:
        for a in range(count):
            if active[a]:
                out[a] *= 1.0 + radius if gain[a] > 0.0 else 1.0 - radius
            else:
                out[a] *= (1.0 - mass) / free
        return
    level, changed = 0.0, True
    while changed:
        level, changed = (mass - 1.0) / slope, False
        mass, slope = 0.0, 0.0
        for a in range(count):
            if active[a]:
                ratio = 1.0 + radius if gain[a] > 0.0 else 1.0 - radius
                active[a] = ratio * abs(gain[a]) > level
                if active[a]:
                    mass += out[a] * ratio
                    slope += out[a] / abs(gain[a])
                else:
                    changed = True
    for a in range(count):
        out[a] *= (1.0 + radius if gain[a] > 0.0 else 1.0 - radius) - level / abs(gain[a]) if active[a] else 0.0


@kernel
def _step(policy, P, r, gamma, mu, radius):
    """The compiled form of `plain_step`."""
    values = kernels.policy_values(policy, P, r, gamma)
    gains = kernels.advantages(P, r, gamma, values)
    largest = 0.0
    for s in range(values.size):
        for a in range(policy.shape[1]):
            largest = max(largest, abs(gains[s, a] + values[s]))
    slack = kernels.rounding_of_values(values.size, gamma, largest)
    out, active = np.empty_like(policy), np.empty(policy.shape[1], dtype=np.bool_)
    for s in range(values.size):
        _row_kernel(policy[s], gains[s], radius, slack, active, out[s])
    return out


_loop = compiled_loop(_step, settings=1, shown=itself)


@dataclasses.dataclass(frozen=True)
class SPO(Method):
    """Simple policy optimisation with the exact maximiser of its objective.  radius: epsilon, in (0, 1)."""

    radius: Setting = 0.2
    name = "spo"
    parameters = "policy"
    rational_step = True
    plain_step = staticmethod(plain_step)
    _loop = staticmethod(_loop)
