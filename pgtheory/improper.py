"""Improper learning: policy gradient over mixtures of given controllers.

    pi_w = sum_m w_m K_m,   w = softmax(theta),   K_m fixed policies, one weight vector for all states

With M = (I - gamma P_w)^-1 and q_m = r_{K_m} + gamma P_{K_m} V (the value of one step of K_m, then pi_w), V = M r_w has the partial derivatives

    dV(mu)/dw_m        = mu' M q_m
    d2V(mu)/dw_m dw_n  = gamma (mu' M P_m M q_n + mu' M P_n M q_m),

because dM/dw_n = gamma M P_n M.  Through the softmax, dV(mu)/dtheta_m = w_m mu' M (q_m - V), as sum_m w_m q_m = V; q_m - V is the expected
advantage of K_m.  A weight is not tied to a state, so V need not be gradient dominated: see docs/theory/structured.md.

Actor-critic, in exact expectation.  The critic is u . phi(s); its steps are the expected ones of TD(0) over the discounted visits d of pi_w (that sum
to 1), and go on from where the last mixture's critic ended:

    u     <- u + beta sum_s d(s) phi(s) (r_w + gamma P_w v - v)(s),      v = u . phi
    theta <- theta + eta G,     x_m = mu' M (r_{K_m} + gamma P_{K_m} v - v),     g_m = w_m (x_m - w . x)

with G = g (actor-critic), or G = (F + lambda I)^+ g with the Fisher matrix F = diag(w) - w w' of the weights (natural actor-critic), which for lambda
= 0 is x less its mean: multiplicative weights.  As d P_w <= d / gamma, gamma P_w is a contraction by sqrt(gamma) in the norm of d, so TD(0) converges
for small beta.  Any critic v gives |g_m - dV(mu)/dtheta_m| <= 2 gamma w_m |v - V|_inf / (1 - gamma), because the error is w_m mu' M gamma (P_m -
P_w)(v - V); with the critic v = V it is the policy gradient step.

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


def check_controllers(controllers: Any, mdp: MDP) -> Array:
    """The controllers as floats (M, S, A).  raises ModelError: they do not fit the model, or one is no policy"""
    given = np.asarray(controllers, dtype=np.float64)
    if given.ndim != 3 or given.shape[1:] != (mdp.num_states, mdp.num_actions):
        raise ModelError(f"controllers have shape {given.shape}; they must be (M, {mdp.num_states}, {mdp.num_actions})")
    if (given < 0).any() or not np.allclose(given.sum(axis=-1), 1):
        worst = np.unravel_index(np.abs(given.sum(axis=-1) - 1).argmax(), given.shape[:2])
        raise ModelError(f"controller {worst[0]} is no policy in state {worst[1]}: {given[worst].tolist()}")
    return given


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
        given = check_controllers(self.controllers, mdp)
        if not self.step_size > 0:
            raise ModelError(f"step_size is {self.step_size!r}; it must be above 0")
        return np.zeros(len(given))

    def step(self, state: Array, mdp: MDP) -> Array:
        """theta + step_size dV(mu)/dtheta."""
        arrays = (arithmetic.softmax(state)[None], np.asarray(self.controllers, dtype=np.float64)[None], mdp.transitions[None], mdp.rewards[None])
        return state + self.step_size * mixture_gradient(*arrays, np.array([mdp.discount]), mdp.start[None])[0]

    def policy(self, state: Array) -> Array:
        """The mixed policy (S, A)."""
        return mixture(arithmetic.softmax(state), np.asarray(self.controllers, dtype=np.float64))


@dataclasses.dataclass(frozen=True)
class ImproperActorCritic:
    """Actor-critic over the weights of given controllers, in exact expectation; runs like any user's method (`pgtheory.run`).

    step_size         eta of the actor, above 0;  controllers  (M, S, A)
    critic_step_size  beta, above 0;  critic_steps  TD(0) steps before each step of the actor, at least 1
    features          (S, k) of the critic; one of its own for every state if left out
    natural           whether the actor's gradient is taken in the Fisher metric, with F + regularisation I

    The state is (M + k,): theta, then the critic's weights u, all 0 at first.
    """

    step_size: float
    controllers: Any
    critic_step_size: float = 1.0
    critic_steps: int = 10
    features: Any = None
    natural: bool = False
    regularisation: float = 0.0

    @property
    def name(self) -> str:
        return "improper-natural-actor-critic" if self.natural else "improper-actor-critic"

    def start(self, mdp: MDP) -> Array:
        """Equal weights and a critic of 0.  raises ModelError: controllers or features do not fit the model, a setting out of its range"""
        given, features = check_controllers(self.controllers, mdp), self._features(mdp)
        if features.ndim != 2 or len(features) != mdp.num_states:
            raise ModelError(f"features have shape {features.shape}; they must be ({mdp.num_states}, k)")
        for name, least in (("step_size", 0.0), ("critic_step_size", 0.0), ("critic_steps", 0.0), ("regularisation", -1e-300)):
            if not getattr(self, name) > least:
                raise ModelError(f"{name} is {getattr(self, name)!r}; it must be {'at least' if least < 0 else 'above'} 0")
        if self.critic_steps != int(self.critic_steps):
            raise ModelError(f"critic_steps is {self.critic_steps!r}; it must be a whole number")
        return np.zeros(len(given) + features.shape[1])

    def step(self, state: Array, mdp: MDP) -> Array:
        """The critic's steps, then one of the actor."""
        model, features = mdp.float, self._features(mdp)
        controllers = np.asarray(self.controllers, dtype=np.float64)
        theta, u = state[: len(controllers)], state[len(controllers) :]
        weights = arithmetic.softmax(theta)
        policy = mixture(weights, controllers)
        chain, paid = np.einsum("sa,sat->st", policy, model.transitions), (policy * model.rewards).sum(axis=1)
        reach = np.linalg.solve((np.eye(model.num_states) - model.discount * chain).T, model.start)
        visits = (1 - model.discount) * reach
        for _ in range(int(self.critic_steps)):
            values = features @ u
            u = u + self.critic_step_size * features.T @ (visits * (paid + model.discount * chain @ values - values))
        values = features @ u
        ahead = model.rewards + model.discount * model.transitions @ values - values[:, None]
        gains = np.einsum("s,msa,sa->m", reach, controllers, ahead)
        return np.concatenate([theta + self.step_size * self._direction(weights, gains), u])

    def policy(self, state: Array) -> Array:
        """The mixed policy (S, A)."""
        controllers = np.asarray(self.controllers, dtype=np.float64)
        return mixture(arithmetic.softmax(state[: len(controllers)]), controllers)

    def _direction(self, weights: Array, gains: Array) -> Array:
        if self.natural and self.regularisation == 0:
            return gains - gains.mean()
        gradient = weights * (gains - weights @ gains)
        if not self.natural:
            return gradient
        return np.linalg.solve(np.diag(weights + self.regularisation) - np.outer(weights, weights), gradient)

    def _features(self, mdp: MDP) -> Array:
        return np.eye(mdp.num_states) if self.features is None else np.asarray(self.features, dtype=np.float64)
