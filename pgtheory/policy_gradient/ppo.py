"""Proximal policy optimisation with exact advantages, and its inner loop as it is run: a number of gradient steps on a fixed surrogate.

    theta <- theta + step_size  grad_theta E[f(x, A)],     x = pi_theta / pi_old,     inner_steps times from theta_old;   d, pi_old and A stay fixed

    clip    f = min(x A, clip(x, 1 - eps, 1 + eps) A)          slope A where x may still move the way A asks for, 0 beyond
    spo     f = x A - |A| (x - 1)^2 / (2 eps)                  slope A - |A| (x - 1) / eps: points back from beyond

The expectation is over the visits d of the old policy from the start, normalised to 1, and over its actions, so the first inner step is a policy
gradient step of size step_size (1 - gamma).  grad(s, a) = d(s) pi(a|s) (f'(s, a) - sum_b pi(b|s) f'(s, b)).
Schulman, Wolski, Dhariwal, Radford, Klimov (2017); Xie et al. (2025).
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Literal

import numpy as np

from mdps.errors import ModelError
from pgtheory import arithmetic, kernels
from pgtheory.arithmetic import absolute, advantages, less, policy_values_and_visits, softmax
from pgtheory.compiled import kernel
from pgtheory.kernels import keep, keep_minimum
from pgtheory.policy_gradient.method import Method, Setting, whole_number

Array = np.ndarray


def plain_step(
    logits: Array,
    transitions: Array,
    rewards: Array,
    discount: Any,
    start: Array,
    radius: Any,
    step_size: Any,
    inner_steps: Any,
    objective: str = "clip",
) -> Array:
    """inner_steps gradient steps on the surrogate of the present policy."""
    old = softmax(logits)
    values, visits = policy_values_and_visits(old, transitions, rewards, discount, start)
    gains = advantages(transitions, rewards, discount, values)
    weights = ((1 - discount) * visits)[:, None]
    for _ in range(whole_number(inner_steps, "inner_steps")):
        new = softmax(logits)
        slopes = _clipped_slopes(new / old, gains, radius) if objective == "clip" else gains - absolute(gains) * (new / old - 1) / radius
        logits = logits + step_size * weights * new * (slopes - (new * slopes).sum(axis=1)[:, None])
    return logits


def _clipped_slopes(ratio: Array, gains: Array, radius: Any) -> Array:
    """A where the ratio may still move the way A asks for, else 0."""
    if arithmetic.kind(gains) == "float":
        return np.where(np.where(gains > 0, ratio < 1 + radius, ratio > 1 - radius), gains, 0.0)
    out = gains.copy()
    for index in np.ndindex(gains.shape):
        inside = less(ratio[index], 1 + radius) if less(0, gains[index]) else less(1 - radius, ratio[index])
        if not inside:
            out[index] = gains[index] * 0
    return out


@kernel
def _run(transitions, rewards, discount, start, initial, times, watch, records, minima, radius, step_size, inner_steps, clip):
    for b in range(initial.shape[0]):
        P, r, gamma, mu, eps = transitions[b], rewards[b], discount[b], start[b], radius[b]
        logits, t = initial[b].copy(), 0
        lowest = kernels.softmax(logits)
        count = logits.shape[1]
        slopes = np.zeros(count)
        for k in range(times.size):
            while t < times[k]:
                old = kernels.softmax(logits)
                values, visits = kernels.policy_values_and_visits(old, P, r, gamma, mu)
                gains = kernels.advantages(P, r, gamma, values)
                for _ in range(int(inner_steps[b])):
                    new = kernels.softmax(logits)
                    for s in range(logits.shape[0]):
                        mean = 0.0
                        for a in range(count):
                            ratio, gain = new[s, a] / old[s, a] if old[s, a] > 0.0 else 1.0, gains[s, a]
                            if clip:
                                inside = ratio < 1 + eps if gain > 0.0 else ratio > 1 - eps
                                slopes[a] = gain if inside else 0.0
                            else:
                                slopes[a] = gain - abs(gain) * (ratio - 1) / eps
                            mean += new[s, a] * slopes[a]
                        for a in range(count):
                            logits[s, a] += step_size[b] * (1 - gamma) * visits[s] * new[s, a] * (slopes[a] - mean)
                t += 1
                if watch:
                    keep_minimum(lowest, kernels.softmax(logits))
            keep(records[b, k], logits)
            if watch:
                keep(minima[b, k], lowest)


@dataclasses.dataclass(frozen=True)
class PPO(Method):
    """Gradient steps on the clipped surrogate, or on the one with a quadratic penalty ("spo").

    radius: epsilon, in (0, 1).  step_size: of the inner steps, on the surrogate as it is (no factor 1/(1-gamma)).  inner_steps: a whole number"""

    radius: Setting = 0.2
    step_size: Setting = 1
    inner_steps: Setting = 10
    objective: Literal["clip", "spo"] = "clip"
    name = "ppo"
    parameters = "logits"

    def __post_init__(self) -> None:
        if self.objective not in ("clip", "spo"):
            raise ModelError(f"objective is {self.objective!r}; there are 'clip' and 'spo'")
        if isinstance(self.radius, (int, float)) and self.radius <= 0:
            raise ModelError(f"radius is {self.radius!r}; a ratio must be allowed to move, so it is above 0")
        if isinstance(self.inner_steps, float):
            whole_number(self.inner_steps, "inner_steps")

    @property
    def setting_names(self) -> tuple[str, ...]:
        return ("radius", "step_size", "inner_steps")

    @property
    def plain_step(self) -> Any:  # type: ignore[override]
        return functools.partial(plain_step, objective=self.objective)

    def _loop(self, *arguments: Any) -> None:  # type: ignore[override]
        _run(*arguments, self.objective == "clip")
