"""Policy gradients, by the theorem's formula and by differentiation, and curvature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from proofs_check.quantities.registry import define, flat, norm, per_record

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


@define("direct_gradient", r"\tfrac{1}{1-\gamma}\, d^\pi_\mu(s)\, Q^\pi(s,a)", "step", "state-action pairs")
def _direct_gradient(c: Context) -> Array:
    """The policy gradient theorem's formula for the partial derivatives of V(mu) in the probabilities pi(a|s)."""
    return flat(c.visits_mu[:, c.now][..., None] * c.action_values[:, c.now] / (1 - c.discount)[:, None, None, None])


@define("direct_gradient_with_advantages", r"\tfrac{1}{1-\gamma}\, d^\pi_\mu(s)\, A^\pi(s,a)", "step", "state-action pairs")
def _direct_gradient_with_advantages(c: Context) -> Array:
    """The direct gradient's formula with advantages in place of action values: right along directions that keep the rows' sums, only there."""
    return flat(c.visits_mu[:, c.now][..., None] * c.advantages[:, c.now] / (1 - c.discount)[:, None, None, None])


@define("direct_derivative", r"\partial V^\pi(\mu)/\partial \pi(a|s)", "step", "state-action pairs")
def _direct_derivative(c: Context) -> Array:
    """Derivatives of V(mu) in the probabilities pi(a|s), by differentiating the linear solve (dual numbers), no theorem used."""
    from proofs_check.dual import derivative_of_value

    return derivative_of_value(c, "direct")


@define("softmax_gradient", r"\tfrac{1}{1-\gamma}\, d^\pi_\mu(s)\,\pi(a|s)\, A^\pi(s,a)", "step", "state-action pairs")
def _softmax_gradient(c: Context) -> Array:
    """The policy gradient theorem's formula for the derivatives of V(mu) in the logits of a softmax policy."""
    weights = c.visits_mu[:, c.now][..., None] * c.policies[:, c.now]
    return flat(weights * c.advantages[:, c.now] / (1 - c.discount)[:, None, None, None])


@define("softmax_derivative", r"\partial V^{\pi_\theta}(\mu)/\partial \theta(s,a)", "step", "state-action pairs")
def _softmax_derivative(c: Context) -> Array:
    """Derivatives of V(mu) in the logits, by differentiating the linear solve (dual numbers) through the softmax Jacobian."""
    from proofs_check.dual import derivative_of_value

    return derivative_of_value(c, "softmax")


@define("softmax_gradient_sums", r"\textstyle\sum_a \partial V^{\pi_\theta}(\mu)/\partial\theta(s,a)", "step", "states")
def _softmax_gradient_sums(c: Context) -> Array:
    """Sum over the actions of each state's softmax gradient."""
    gradient = _softmax_derivative(c)
    return gradient.reshape(*gradient.shape[:2], c.rewards.shape[1], -1).sum(axis=-1)


@define("zero", "0", "instance")
def _zero(c: Context) -> Array:
    """Zero, as the side of an equation."""
    return c.constant(np.zeros((1, 1, 1), dtype=np.int64))


@define("gradient_norm", r"\|\nabla_\theta V^{\pi_\theta}(\mu)\|_2", "step")
def _gradient_norm(c: Context) -> Array:
    """Euclidean norm of the softmax policy gradient of V(mu), in reward units."""
    return norm(_softmax_gradient(c))


@define("hessian_norm", r"\|\nabla^2_\theta V^{\pi_\theta}(\mu)\|_2", "step")
def _hessian_norm(c: Context) -> Array:
    """Spectral norm of the Hessian of V(mu) in the logits, in reward units."""
    from proofs_check.hessian import softmax_hessian, spectral_norm

    return per_record(spectral_norm(softmax_hessian(c), c.kind))
