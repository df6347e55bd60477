"""Mirror descent policy optimisation: the mirror descent step, approached by a few gradient steps on its objective.

    theta_{k+1} = m gradient steps, from theta_k, on L(theta) = E_{s ~ d^{pi_k}} [ <pi_theta(s), A_k(s)> - KL(pi_theta(s) || pi_k(s)) / eta ]

    dL/dtheta(s, a) = d(s) pi(a | s) (G(s, a) - E_pi G),        G = A_k - log(pi / pi_k) / eta

d = d^{pi_k}_start, normalised to 1.  One inner step is a softmax policy gradient step of size (1 - gamma) alpha; the exact maximiser, which
inner_steps -> infinity approaches, is pi_k exp(eta A_k) normalised: a natural policy gradient step of size (1 - gamma) eta.
Tomar, Shani, Efroni, Ghavamzadeh (2022), on-policy form, with exact expectations.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mdps.errors import ModelError
from pgtheory import kernels
from pgtheory.arithmetic import advantages, log_softmax, policy_values_and_visits, softmax
from pgtheory.compiled import kernel
from pgtheory.policy_gradient.batched import Batched, rowwise
from pgtheory.policy_gradient.loops import compiled_loop, everywhere
from pgtheory.policy_gradient.method import Setting

Array = np.ndarray


@kernel
def _step(logits, P, r, gamma, mu, step_size, inner_step_size, inner_steps):
    """The compiled form of `MDPO.plain_step`."""
    now, before = kernels.softmax(logits), kernels.log_softmax(logits)
    values, visits = kernels.policy_values_and_visits(now, P, r, gamma, mu)
    gains = kernels.advantages(P, r, gamma, values)
    logits, slope = logits.copy(), np.empty(logits.shape[1])
    for inner in range(int(inner_steps)):
        if inner > 0:
            now = kernels.softmax(logits)
        for s in range(logits.shape[0]):
            # log(now / before) up to a constant of the row, which the mean takes away
            mean, weight = 0.0, inner_step_size * (1 - gamma) * visits[s]
            for a in range(slope.size):
                slope[a] = gains[s, a] - (logits[s, a] - before[s, a]) / step_size if inner > 0 else gains[s, a]
                mean += now[s, a] * slope[a]
            for a in range(slope.size):
                logits[s, a] += weight * now[s, a] * (slope[a] - mean)
    return logits


_run = compiled_loop(_step, settings=3)


@dataclasses.dataclass(frozen=True)
class MDPO(Batched):
    """step_size is eta (the weight of the objective against the divergence), inner_step_size alpha, inner_steps their number (>= 1)."""

    step_size: Setting
    inner_step_size: Setting
    inner_steps: int = 10
    name = "mdpo"
    parameters = "logits"

    def __post_init__(self) -> None:
        try:
            whole = int(self.inner_steps)
        except (TypeError, ValueError):
            whole = 0
        if whole < 1 or whole != self.inner_steps:
            raise ModelError(f"inner_steps is {self.inner_steps!r}; it must be a whole number >= 1")
        object.__setattr__(self, "inner_steps", whole)

    @property
    def setting_names(self) -> tuple[str, ...]:
        return ("step_size", "inner_step_size")

    def _loop(self, *arguments: Any) -> None:  # type: ignore[override]
        _run(*arguments, everywhere(self.inner_steps, arguments))

    def plain_step(  # type: ignore[override]
        self, logits: Array, transitions: Array, rewards: Array, discount: Any, start: Array, step_size: Any, inner_step_size: Any
    ) -> Array:
        """`inner_steps` gradient steps on L."""
        policy, before = softmax(logits), log_softmax(logits)
        values, visits = policy_values_and_visits(policy, transitions, rewards, discount, start)
        gains = advantages(transitions, rewards, discount, values)
        weight = (visits * (1 - rowwise(discount)))[..., None]
        for inner in range(self.inner_steps):
            now = softmax(logits)
            slope = gains if inner == 0 else gains - (log_softmax(logits) - before) / step_size
            logits = logits + inner_step_size * weight * now * (slope - (now * slope).sum(axis=-1)[..., None])
        return logits
