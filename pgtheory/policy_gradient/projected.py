"""Projected policy gradient: the probabilities themselves are the parameters.

    pi_+ = project(pi + eta grad V(start)),       grad(s, a) = d(s) Q(s, a),    d = (I - gamma P_pi^T)^-1 start

with the Euclidean projection on the simplex in each state.  Agarwal, Kakade, Lee, Mahajan (2021), Section 4.

The step is 1 + eta gamma A (max r - min r) / (1 - gamma)^3 Lipschitz in the 2-norm: the projection is nonexpansive and does not see a constant
added to a row, so only directions y with sum_a y(s, a) = 0 count.  There V'' = 2 gamma d^T (P_y V'), V' = (I - gamma P_pi)^-1 sum_a y Q; with R the
range of the rewards and |y| the largest 1-norm of a row, |V'| <= |y| R / (2 (1 - gamma)^2), |P_y V'| <= |y|^2 R / (2 (1 - gamma)^2), the visits d
sum to 1 / (1 - gamma), and |y|^2 <= A |y|_2^2."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from pgtheory.arithmetic import lookahead, maximum, minimum, policy_values_and_visits, project_simplex
from pgtheory.kernels import compiled_step
from pgtheory.policy_gradient.loops import compiled_loop, itself
from pgtheory.policy_gradient.method import Method, Setting

Array = np.ndarray


def plain_step(policy: Array, transitions: Array, rewards: Array, discount: Any, start: Array, step_size: Any) -> Array:
    """project(pi + eta d Q)."""
    values, visits = policy_values_and_visits(policy, transitions, rewards, discount, start)
    action_values = lookahead(transitions, rewards, discount, values)
    return project_simplex(policy + step_size * visits[:, None] * action_values)


_loop = compiled_loop(compiled_step(plain_step), settings=1, shown=itself)


@dataclasses.dataclass(frozen=True)
class ProjectedPG(Method):
    """Projected policy gradient.  step_size multiplies the full gradient of V(start), in reward units."""

    step_size: Setting
    name = "projected-pg"
    parameters = "policy"
    rational_step = True
    norm = "two"
    plain_step = staticmethod(plain_step)
    _loop = staticmethod(_loop)

    def lipschitz(self, problem: Any, settings: tuple[Any, ...], enclosure: Array | None) -> Any:
        _, rewards, discount, _ = problem
        spread = maximum(rewards) - minimum(rewards)
        cube = (1 - discount) * (1 - discount) * (1 - discount)
        return 1 + settings[0] * discount * rewards.shape[1] * spread / cube
