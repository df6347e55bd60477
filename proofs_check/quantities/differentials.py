"""Policy gradients, by the theorem's formula and by differentiation, and curvature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
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


@define("fisher_times_advantages", r"\tfrac1{1-\gamma}F\,A^\pi", "step", "state-action pairs")
def _fisher_times_advantages(c: Context) -> Array:
    """The Fisher matrix of the softmax policy, blocks d(s) (diag pi_s - pi_s pi_s'), applied to the advantages over 1 - gamma."""
    pi, direction = c.policies[:, c.now], c.advantages[:, c.now] / (1 - c.discount)[:, None, None, None]
    centred = direction - (pi * direction).sum(axis=-1)[..., None]
    return flat(c.visits_mu[:, c.now][..., None] * pi * centred)


@define("centred_advantages", r"\tfrac1{1-\gamma}\left(A^\pi(s,a)-\tfrac1A\textstyle\sum_bA^\pi(s,b)\right)", "step", "state-action pairs")
def _centred_advantages(c: Context) -> Array:
    """Advantages over 1 - gamma, less their plain mean in each state."""
    return flat(_centred(c))


def _centred(c: Context) -> Array:
    direction = c.advantages[:, c.now] / (1 - c.discount)[:, None, None, None]
    return direction - direction.sum(axis=-1)[..., None] / c.rewards.shape[2]


@define("natural_direction", r"F^{+}\nabla_\theta V^{\pi_\theta}(\mu)", "step", "state-action pairs")
def _natural_direction(c: Context) -> Array:
    """The shortest solution x of F x = gradient (the pseudo-inverse), state by state: 0 where the state is not visited."""
    visits, policies = c.visits_mu[:, c.now][..., None], c.policies[:, c.now]
    eye, weight = c.constant(np.eye(policies.shape[-1], dtype=np.int64)), np.where(visits > 0, visits, visits * 0 + 1)
    fisher = weight[..., None] * (policies[..., None] * (eye - policies[..., None, :]))  # d (diag pi - pi pi')
    gradient = visits * policies * c.advantages[:, c.now] / (1 - c.discount)[:, None, None, None]
    taken = c.constant((policies > 0).astype(np.int64))
    kernel = taken[..., None] * taken[..., None, :] + eye * (1 - taken)[..., None]  # fixes x = 0 where pi = 0, and sum_a x = 0 over the others
    return flat(arithmetic.solve(fisher + kernel, gradient))


@define("advantage_sums", r"\textstyle\sum_aA^\pi(s,a)", "step", "states")
def _advantage_sums(c: Context) -> Array:
    """Plain sum of the advantages in each state, in reward units."""
    return c.advantages[:, c.now].sum(axis=-1)


@define("next_policy", r"\pi_{t+1}", "pair", "state-action pairs")
def _next_policy(c: Context) -> Array:
    """Action probabilities after the next step."""
    return flat(c.policies[:, c.then])


@define("multiplicative_weights", r"\pi_t\exp(\eta\,Q^{\pi_t}/(1-\gamma))/Z", "pair", "state-action pairs")
def _multiplicative_weights(c: Context) -> Array:
    """The policy that multiplicative weights gives after the current one, with the action values as payoffs."""
    from pgtheory import arithmetic

    rate = c.settings["eta"] / (1 - c.discount)
    return flat(arithmetic.softmax(c.log_policies[:, c.now] + rate[:, None, None, None] * c.action_values[:, c.now]))


@define("next_weight_off_greedy", r"\textstyle\sum_{a\ \text{not greedy}}\pi_{t+1}(a|s)", "pair", "states")
def _next_weight_off_greedy(c: Context) -> Array:
    """Probability that the next policy gives to actions that are not the best ones for the current action values."""
    return (c.policies[:, c.then] * (1 - greedy_mask(c))).sum(axis=-1)


@define("greedy_limit", r"\tfrac{1-\pi_t(G|s)}{\pi_t(G|s)}\,e^{-\eta\,\delta_t(s)/(1-\gamma)}", "pair", "states")
def _greedy_limit(c: Context) -> Array:
    """Odds against the greedy actions G, shrunk by their lead delta over the best other action at the step's rate."""
    from pgtheory import arithmetic

    mask, values = greedy_mask(c), c.action_values[:, c.now]
    high, low = arithmetic.maximum(values, axis=-1)[..., None], arithmetic.minimum(values, axis=-1)[..., None]
    inner = arithmetic.minimum(values * mask + high * (1 - mask), axis=-1)
    lead = inner - arithmetic.maximum(values * (1 - mask) + low * mask, axis=-1)  # of no meaning where every action is greedy: the odds are 0
    inside = (c.policies[:, c.now] * mask).sum(axis=-1)
    outside = (c.policies[:, c.now] * (1 - mask)).sum(axis=-1)
    return outside / inside * arithmetic.exp(-(c.settings["eta"] / (1 - c.discount))[:, None, None] * lead)


def greedy_mask(c: Context) -> Array:
    """1 where an action is certainly as good as the best one: of overlapping balls all are, floats within rounding."""
    from pgtheory import arithmetic
    from proofs_check.context import TIE

    values = c.action_values[:, c.now]
    behind = arithmetic.maximum(values, axis=-1)[..., None] - values
    if c.kind == "float":
        scale = np.abs(c.rewards).max(axis=(1, 2)) / (1 - c.discount)
        return (behind <= TIE * scale[:, None, None, None]).astype(float)
    return c.constant(np.array([not x > 0 for x in behind.reshape(-1)]).reshape(behind.shape).astype(np.int64))
