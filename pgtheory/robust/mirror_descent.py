"""Robust policy mirror descent: every state moves along the action values of the worst kernel.

    pi_{t+1}(.|s) = argmax_p  eta_t <Q_t(s, .), p> - B(p, pi_t(.|s)),      Q_t = r + gamma sigma(V_t),   V_t the worst-case values of pi_t

euclidean: project(pi + eta_t Q_t);  kl: logits + eta_t (Q_t - V_t).  Steps grow geometrically, eta_t = eta_0 w^t; the factor w^t stands beside the
policy.

With a radius for every row ("sa") the worst-case values never fall, and the largest gap obeys  gap_{t+1} <= gamma gap_t + 1 / (2 eta_t)  in the
Euclidean geometry (robust-euclidean-pmd): what is lost against a Bellman backup is what the Euclidean distance to the greedy policy, at most sqrt 2,
can hold back. With a shared budget ("s") nature's answer depends on the policy, Q_t is no longer what the next policy meets, and values may fall.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np

from pgtheory import arithmetic
from pgtheory.policy_gradient.method import Setting
from pgtheory.policy_gradient.remembered import LARGEST, Remembering, check_geometry
from pgtheory.robust.gradient import RATIONAL_SETS, RobustMethod
from pgtheory.robust.nature import worst_kernel

Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class RobustMirrorDescent(RobustMethod, Remembering):
    """Mirror descent on the worst-case action values.  step_size multiplies Q (reward units); growth is the factor of the steps, 1 for constant
    ones."""

    growth: Setting = 1
    geometry: Literal["kl", "euclidean"] = "euclidean"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_geometry(self.geometry)

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"robust-mirror-descent-{self.geometry}"

    @property
    def parameters(self) -> Any:  # type: ignore[override]
        return "remembered"

    @property
    def rational_step(self) -> bool:  # type: ignore[override]
        return self.geometry == "euclidean" and self.ambiguity in RATIONAL_SETS

    def plain_step(  # type: ignore[override]
        self, state: Array, transitions: Array, rewards: Array, discount: Any, start: Array, step_size: Any, radius: Any, growth: Any
    ) -> Array:
        """One step; the last column of `state` is w^t."""
        params, factor = state[..., :-1], state[..., -1:]
        policy = arithmetic.softmax(params) if self.geometry == "kl" else params
        values, kernels = worst_kernel(policy, transitions, rewards, discount, self.answer(radius, rewards))
        gains = arithmetic.lookahead(kernels, rewards, discount, values) - values[..., None]
        moved = params + step_size * factor * gains
        if self.geometry == "euclidean":
            moved = arithmetic.project_simplex(moved)
        factor = factor * growth
        if arithmetic.kind(factor) == "float":
            factor = np.minimum(factor, LARGEST)
        return np.concatenate([moved, factor], axis=-1)
