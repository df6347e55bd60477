"""Policy mirror descent: pi_+(. | s) = argmax_p  eta <Q(s, .), p> - B(p, pi(. | s)), in every state at once.

    kl           B = KL(p || pi):          pi_+ proportional to pi exp(eta Q); kept as logits, theta_+ = theta + eta A (a constant in a state is free)
    euclidean    B = |p - pi|^2 / 2:       pi_+ = project(pi + eta Q)

The KL form is natural policy gradient with step (1 - gamma) eta.  Lan (2023); Xiao (2022).

Lipschitz constants of the step.  kl, sup norm of the logits: as for `natural`.  euclidean, 2-norm of the policy:
1 + eta gamma sqrt(S) A R / (2 (1 - gamma)^2), R the range of the rewards: the projection is nonexpansive and free of a constant in a row; along a
direction y between policies |V'| <= max_s |y(s, .)|_1 R / (2 (1 - gamma)^2), so Q' = gamma P V' lies within gamma |V'| of 0 in each of S A entries,
and |y(s, .)|_1 <= sqrt(A) |y|_2.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np

from mdps.errors import ModelError
from pgtheory.arithmetic import advantages, balls, lookahead, maximum, minimum, policy_values, project_simplex, softmax, sqrt
from pgtheory.kernels import compiled_step
from pgtheory.policy_gradient.loops import compiled_loop, itself
from pgtheory.policy_gradient.method import Method, Setting
from pgtheory.policy_gradient.natural import mean_absolute_advantage

Array = np.ndarray


def plain_step_kl(logits: Array, transitions: Array, rewards: Array, discount: Any, start: Array, step_size: Any) -> Array:
    """theta + eta A."""
    values = policy_values(softmax(logits), transitions, rewards, discount)
    return logits + step_size * advantages(transitions, rewards, discount, values)


def plain_step_euclidean(policy: Array, transitions: Array, rewards: Array, discount: Any, start: Array, step_size: Any) -> Array:
    """project(pi + eta Q)."""
    values = policy_values(policy, transitions, rewards, discount)
    return project_simplex(policy + step_size * lookahead(transitions, rewards, discount, values))


_loop_kl = compiled_loop(compiled_step(plain_step_kl), settings=1)
_loop_euclidean = compiled_loop(compiled_step(plain_step_euclidean), settings=1, shown=itself)


@dataclasses.dataclass(frozen=True)
class MirrorDescent(Method):
    """Policy mirror descent with the KL divergence (parameters: logits) or the Euclidean distance (parameters: the policy)."""

    step_size: Setting
    geometry: Literal["kl", "euclidean"] = "kl"

    def __post_init__(self) -> None:
        if self.geometry not in ("kl", "euclidean"):
            raise ModelError(f"geometry is {self.geometry!r}; mirror descent knows 'kl' and 'euclidean'")

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"mirror-descent-{self.geometry}"

    @property
    def parameters(self) -> Literal["logits", "policy"]:  # type: ignore[override]
        return "logits" if self.geometry == "kl" else "policy"

    @property
    def rational_step(self) -> bool:  # type: ignore[override]
        return self.geometry == "euclidean"

    @property
    def norm(self) -> Literal["sup", "two"]:  # type: ignore[override]
        return "sup" if self.geometry == "kl" else "two"

    @property
    def plain_step(self) -> Any:  # type: ignore[override]
        return plain_step_kl if self.geometry == "kl" else plain_step_euclidean

    @property
    def _loop(self) -> Any:  # type: ignore[override]
        return _loop_kl if self.geometry == "kl" else _loop_euclidean

    def lipschitz(self, problem: Any, settings: tuple[Any, ...], enclosure: Array | None) -> Any:
        _, rewards, discount, _ = problem
        if self.geometry == "kl":
            if enclosure is None:
                return None
            return 1 + settings[0] * (1 + discount) / (1 - discount) * mean_absolute_advantage(problem, enclosure)
        num_states, num_actions = rewards.shape
        spread = maximum(rewards) - minimum(rewards)
        return 1 + settings[0] * discount * sqrt(balls(num_states)) * num_actions * spread / (2 * (1 - discount) * (1 - discount))
