"""Improper learning: policy gradient over mixtures of given controllers.

    pi_w = sum_m w_m K_m,   w = softmax(theta),   K_m fixed policies, one weight vector for all states

With M = (I - gamma P_w)^-1 and q_m = r_{K_m} + gamma P_{K_m} V (the value of one step of K_m, then pi_w), V = M r_w has the partial derivatives

    dV(mu)/dw_m        = mu' M q_m
    d2V(mu)/dw_m dw_n  = gamma (mu' M P_m M q_n + mu' M P_n M q_m),

because dM/dw_n = gamma M P_n M.  Through the softmax, dV(mu)/dtheta_m = w_m mu' M (q_m - V), as sum_m w_m q_m = V; q_m - V is the expected
advantage of K_m.  A weight is not tied to a state, so V need not be gradient dominated: see docs/theory/structured.md.

Zaki, Mohan, Gopalan, Mannor (2022).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory import arithmetic

Array = np.ndarray


def mixture(weights: Array, controllers: Array) -> Array:
    """(..., M), (..., M, S, A) -> the mixed policy (..., S, A)."""
    return np.einsum("...m,...msa->...sa", weights, controllers)


def one_step_values(
    weights: Array, controllers: Array, transitions: Array, rewards: Array, discount: Any, start: Array
) -> tuple[Array, Array, Array]:
    """(q (B, M, S), V (B, S), mu' M (B, S)) of mixtures: q[m] is the value of one step of controller m and then the mixture.

    weights (B, M), controllers (B, M, S, A), transitions (B, S, A, S), rewards (B, S, A), discount (B,), start (B, S); any arithmetic"""
    policy = mixture(weights, controllers)
    matrix = discounted_matrix(policy, transitions, discount)
    values = arithmetic.solve(matrix, np.einsum("bsa,bsa->bs", policy, rewards))
    reach = arithmetic.solve(np.swapaxes(matrix, -1, -2), start)
    ahead = rewards + discount[:, None, None] * np.einsum("bsat,bt->bsa", transitions, values)
    return np.einsum("bmsa,bsa->bms", controllers, ahead), values, reach


def discounted_matrix(policy: Array, transitions: Array, discount: Array) -> Array:
    """I - gamma P_pi, (B, S, S)."""
    matrix = np.einsum("bsa,bsat->bst", policy, transitions) * -discount[:, None, None]
    states = np.arange(matrix.shape[-1])
    matrix[..., states, states] = matrix[..., states, states] + 1
    return matrix


def mixture_gradient(weights: Array, controllers: Array, transitions: Array, rewards: Array, discount: Any, start: Array) -> Array:
    """dV(mu)/dtheta, (B, M), for w = softmax(theta); shapes as in `one_step_values`."""
    q, values, reach = one_step_values(weights, controllers, transitions, rewards, discount, start)
    return weights * np.einsum("bs,bms->bm", reach, q - values[:, None])


def mixture_hessian(weights: Array, controllers: Array, transitions: Array, rewards: Array, discount: Any, start: Array) -> Array:
    """The Hessian of V(mu) in theta, (B, M, M); shapes as in `one_step_values`."""
    q, _, reach = one_step_values(weights, controllers, transitions, rewards, discount, start)
    matrix = discounted_matrix(mixture(weights, controllers), transitions, discount)
    after = np.stack([arithmetic.solve(matrix, q[:, m]) for m in range(q.shape[1])], axis=1)  # M q_m
    moves = np.einsum("bmsa,bsat->bmst", controllers, transitions)
    half = discount[:, None, None] * np.einsum("bs,bmst,bnt->bmn", reach, moves, after)
    slopes, curvature = np.einsum("bs,bms->bm", reach, q), half + np.swapaxes(half, -1, -2)
    zero = weights[..., :1] * 0
    eye = np.eye(weights.shape[-1], dtype=np.int64) + zero[..., None]
    jacobian = weights[..., :, None] * (eye - weights[..., None, :])  # dw_m / dtheta_i, (B, M, I)
    first = np.einsum("bmi,bmn,bnj->bij", jacobian, curvature, jacobian)
    shifted = eye - weights[..., None, :]  # 1[m = i] - w_i
    second = weights[..., :, None, None] * (shifted[..., :, None] * shifted[..., None, :] - jacobian[..., None, :, :])
    return first + np.einsum("bm,bmij->bij", slopes, second)


@dataclasses.dataclass(frozen=True)
class ImproperPG:
    """Softmax policy gradient over the weights of given controllers; runs like any user's method (`pgtheory.run`).

    step_size    above 0
    controllers  (M, S, A): the policies that are mixed
    """

    step_size: float
    controllers: Any

    @property
    def name(self) -> str:
        return "improper-pg"

    def start(self, mdp: MDP) -> Array:
        """theta = 0: equal weights.  raises ModelError: the controllers do not fit the model"""
        given = np.asarray(self.controllers)
        if given.ndim != 3 or given.shape[1:] != (mdp.num_states, mdp.num_actions):
            raise ModelError(f"controllers have shape {given.shape}; they must be (M, {mdp.num_states}, {mdp.num_actions})")
        if not self.step_size > 0:
            raise ModelError(f"step_size is {self.step_size!r}; it must be above 0")
        if (given < 0).any() or not np.allclose(given.sum(axis=-1), 1):
            worst = np.unravel_index(np.abs(given.sum(axis=-1) - 1).argmax(), given.shape[:2])
            raise ModelError(f"controller {worst[0]} is no policy in state {worst[1]}: {given[worst].tolist()}")
        return np.zeros(len(given))

    def step(self, state: Array, mdp: MDP) -> Array:
        """theta + step_size dV(mu)/dtheta."""
        arrays = (arithmetic.softmax(state)[None], np.asarray(self.controllers, dtype=np.float64)[None], mdp.transitions[None], mdp.rewards[None])
        return state + self.step_size * mixture_gradient(*arrays, np.array([mdp.discount]), mdp.start[None])[0]

    def policy(self, state: Array) -> Array:
        """The mixed policy (S, A)."""
        return mixture(arithmetic.softmax(state), np.asarray(self.controllers, dtype=np.float64))
