"""Mixtures of given controllers, and controllers with an internal state.

Extras: controllers (3, S, A) and weights (3,) of a mixture; observe (S, 2), inner_start (2,), act (2, 2, A) and move (2, 2, A, 2) of a controller
with two observations and two internal states, pi(a, z'|o, z) = act(a|o, z) move(z'|o, z, a).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic, improper, stateful
from proofs_check.quantities.registry import define, norm, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


# Mixtures


def _mixture(c: Context) -> tuple[Array, Array, Array, Array, Array, Array]:
    return c.extra("weights"), c.extra("controllers"), c.transitions, c.rewards, c.discount, c.mu


def _along(c: Context, policy: Array, slopes: Array) -> Array:
    """dV(mu) of one policy (B, S, A) along slopes (B, S, A, K), by dual numbers: (B, 1, K)."""
    from proofs_check.dual import derivative_along

    one = dataclasses.replace(c, policies=policy[:, None], logits=None, minima=None, other=None, times=c.times[:1], pairs=False, parameters=None)
    return derivative_along(one, slopes[:, None])


@define("mixture_gradient", r"\frac{w_m}{1-\gamma}\sum_s d^\pi_\mu(s)\,\mathbb{E}_{a\sim K_m}A^\pi(s,a)", "instance", "controllers")
def _mixture_gradient(c: Context) -> Array:
    """The formula for the derivatives of V(mu) in the logits of the weights of a mixture of controllers, in reward units."""
    return improper.mixture_gradient(*_mixture(c))[:, None]


@define("mixture_gradient_unweighted", r"\frac{1}{1-\gamma}\sum_s d^\pi_\mu(s)\,\mathbb{E}_{a\sim K_m}A^\pi(s,a)", "instance", "controllers")
def _mixture_gradient_unweighted(c: Context) -> Array:
    """The gradient's formula without the weight of the controller."""
    return improper.mixture_gradient(*_mixture(c))[:, None] / c.extra("weights")[:, None]


@define("mixture_derivative", r"\partial V^{\pi_w}(\mu)/\partial\theta_m", "instance", "controllers")
def _mixture_derivative(c: Context) -> Array:
    """Derivatives of V(mu) in the logits of the weights, by dual numbers through the linear solve."""
    weights, controllers = c.extra("weights"), c.extra("controllers")
    mixed = improper.mixture(weights, controllers)
    slopes = weights[:, None, None, :] * (np.moveaxis(controllers, 1, -1) - mixed[..., None])  # dpi/dtheta_m = w_m (K_m - pi)
    return _along(c, mixed, slopes)


@define("mixture_gradient_norm", r"\|\nabla_\theta V^{\pi_w}(\mu)\|_2", "instance")
def _mixture_gradient_norm(c: Context) -> Array:
    """Euclidean norm of the gradient of V(mu) in the logits of the weights, in reward units."""
    return norm(_mixture_gradient(c))


@define("mixture_hessian_norm", r"\|\nabla^2_\theta V^{\pi_w}(\mu)\|_2", "instance")
def _mixture_hessian_norm(c: Context) -> Array:
    """Spectral norm of the Hessian of V(mu) in the logits of the weights, in reward units."""
    from proofs_check.hessian import spectral_norm

    return per_instance(spectral_norm(improper.mixture_hessian(*_mixture(c)), c.kind))


@define("controller_gap", r"\max_m V^{K_m}(\mu) - V^{\pi_w}(\mu)", "instance")
def _controller_gap(c: Context) -> Array:
    """By how much the best single controller is better than the mixture, in reward units; the best mixture is no worse than that."""
    return per_instance(arithmetic.maximum(_controller_values(c), axis=-1) - _mixed_value(c))


@define("least_weight", r"\min_m w_m", "instance")
def _least_weight(c: Context) -> Array:
    """Smallest weight of a controller in the mixture."""
    return per_instance(-arithmetic.maximum(-c.extra("weights"), axis=-1))


def _mixed_value(c: Context) -> Array:
    return (improper.one_step_values(*_mixture(c))[1] * c.mu).sum(axis=-1)


def _controller_values(c: Context) -> Array:
    """V^{K_m}(mu), (B, M)."""
    out = []
    for m in range(c.extra("controllers").shape[1]):
        policy = c.extra("controllers")[:, m]
        matrix = improper.discounted_matrix(policy, c.transitions, c.discount)
        out.append((arithmetic.solve(matrix, (policy * c.rewards).sum(axis=-1)) * c.mu).sum(axis=-1))
    return np.stack(out, axis=-1)


# Internal states


def _controller(c: Context) -> tuple[Array, Array, Array, Array, Array]:
    joint = c.extra("act")[..., None] * c.extra("move")
    return joint, c.extra("observe"), c.extra("inner_start"), c.transitions, c.rewards


@define("stateful_gradient", r"\tfrac{1}{1-\gamma}\,\mathbb{E}_{d,E,\pi}\!\left[\nabla\log\pi(a,z'|o,z)\,Q(s,z,a,z')\right]", "instance", "logits")
def _stateful_gradient(c: Context) -> Array:
    """The stateful policy gradient theorem's formula for the derivatives of J in the logits theta(o, z, a, z'), in reward units."""
    gradient = stateful.stateful_gradient(*_controller(c), c.discount, c.mu)
    return gradient.reshape(len(gradient), 1, -1)


@define(
    "stateful_gradient_of_actions", r"\tfrac{1}{1-\gamma}\,\mathbb{E}_{d,E,\pi}\!\left[\nabla\log\pi(a|o,z)\,Q(s,z,a,z')\right]", "instance", "logits"
)
def _stateful_gradient_of_actions(c: Context) -> Array:
    """The formula with the score of the action alone: what the internal transition contributes is dropped."""
    gradient = stateful.stateful_gradient(*_controller(c), c.discount, c.mu, inner_score=False)
    return gradient.reshape(len(gradient), 1, -1)


@define("stateful_derivative", r"\partial J/\partial\theta(o,z,a,z')", "instance", "logits")
def _stateful_derivative(c: Context) -> Array:
    """Derivatives of J in the logits of the controller, by dual numbers on the chain of model states and internal states."""
    joint, observe, first, transitions, rewards = _controller(c)
    moves, paid, begin, policy = stateful.product(joint, observe, first, transitions, rewards, c.mu)
    batch, outs, inner, actions, _ = joint.shape
    states, logits = rewards.shape[1], outs * inner * actions * inner
    table = joint.reshape(batch, outs, inner, actions * inner)
    eye_o, eye_z = (c.constant(np.eye(n, dtype=np.int64)) for n in (outs, inner))
    jump = c.constant(np.eye(actions * inner, dtype=np.int64)) - table[..., None, :]  # 1[k = l] - pi(l)
    local = table[..., None] * jump  # dpi(k|o, z)/dtheta(o, z, l), (B, O, Z, K, L)
    slopes = np.einsum("bso,bozkl,op,zy->bszkpyl", observe, local, eye_o, eye_z)
    process = dataclasses.replace(c, transitions=moves, rewards=paid, mu=begin, rho=begin, extras={}, given_optimum=None)
    return _along(process, policy, slopes.reshape(batch, states * inner, actions * inner, logits))
