"""Structures around a policy: occupancies as flows, features and their critics, families of policies.

The features, a second model, a family of policies are extras of the instance.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.numbers import larger
from proofs_check.quantities.iteration import backup
from proofs_check.quantities.policy_pairs import second_policy
from proofs_check.quantities.registry import define, flat, per_record

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


# Occupancies as flows


def occupancy(c: Context) -> Array:
    """d(s) pi(a|s), (B, R, S, A)."""
    return c.visits_mu[:, c.now][..., None] * c.policies[:, c.now]


def _inflow(c: Context, flow: Array) -> Array:
    return np.einsum("brsa,bsat->brt", flow, c.transitions)


@define("flow_residual", r"\sum_a x(s,a)-(1-\gamma)\mu(s)-\gamma\sum_{s',a'}P(s|s',a')x(s',a')", "step", "states")
def _flow_residual(c: Context) -> Array:
    """What is missing in the flow equation of each state for the occupancy of the policy."""
    flow, gamma = occupancy(c), c.discount[:, None, None]
    return flow.sum(axis=-1) - (1 - gamma) * c.mu[:, None] - gamma * _inflow(c, flow)


@define("flow_residual_undiscounted", r"\sum_a x(s,a)-\sum_{s',a'}P(s|s',a')x(s',a')", "step", "states")
def _flow_residual_undiscounted(c: Context) -> Array:
    """What is missing in the flow equation of each state if nothing entered and nothing left."""
    flow = occupancy(c)
    return flow.sum(axis=-1) - _inflow(c, flow)


@define("occupancy_reward", r"\sum_{s,a} x^\pi(s,a)\,r(s,a)", "step")
def _occupancy_reward(c: Context) -> Array:
    """Reward of one step under the policy's occupancy, in reward units."""
    return per_record((occupancy(c) * c.rewards[:, None]).sum(axis=(-1, -2)))


@define("value_mu", r"V^\pi(\mu)", "step")
def _value_mu(c: Context) -> Array:
    """Value of the current policy under mu, in reward units."""
    return per_record((c.values[:, c.now] * c.mu[:, None]).sum(axis=-1))


@define("optimal_value_mu", r"V^*(\mu)", "instance")
def _optimal_value_mu(c: Context) -> Array:
    """Optimal value under mu, in reward units."""
    return per_record((c.optimum.values * c.mu).sum(axis=-1)[:, None])


def _mixed(c: Context) -> Array:
    """A flow that comes from no policy at first sight: a mixture of the occupancies of the two policies."""
    share = c.extra("share")[:, None, None, None]
    return share * occupancy(c) + (1 - share) * occupancy(second_policy(c))


@define("mixed_flow", r"x=\lambda x^\pi+(1-\lambda)x^{\pi'}", "step", "state-action pairs")
def _mixed_flow(c: Context) -> Array:
    """A mixture of two policies' occupancies: a feasible flow."""
    return flat(_mixed(c))


@define("occupancy_of_its_policy", r"x^{\pi_x},\ \pi_x=x/\textstyle\sum_a x", "step", "state-action pairs")
def _occupancy_of_its_policy(c: Context) -> Array:
    """Occupancy of the policy that takes each action as often as that flow does."""
    flow = _mixed(c)
    policy = flow / flow.sum(axis=-1)[..., None]
    return flat(occupancy(dataclasses.replace(c, policies=policy, logits=None, minima=None)))


def _best(c: Context) -> Context:
    return dataclasses.replace(c, policies=c.selection[:, None], logits=None, minima=None, times=c.times[:1], pairs=False)


@define("optimal_occupancy_reward", r"\sum_{s,a} x^{\pi^*}(s,a)\,r(s,a)", "instance")
def _optimal_occupancy_reward(c: Context) -> Array:
    """Reward of one step under the optimal policy's occupancy, in reward units."""
    return _occupancy_reward(_best(c))


def _feasible(c: Context) -> Array:
    """The given vector, raised by the least constant (none, if that is enough) that makes V >= TV."""
    values = c.extra("V")
    short = arithmetic.maximum(backup(c, values) - values, axis=-1)
    return values + (larger(short, short * 0) / (1 - c.discount))[:, None]


@define("feasible_values", r"V\text{ with }V\ge TV", "instance", "states")
def _feasible_values(c: Context) -> Array:
    """A feasible point of the linear program of the values, in reward units."""
    return _feasible(c)[:, None]


@define("feasible_excess", r"\|V-V^*\|_\infty", "instance")
def _feasible_excess(c: Context) -> Array:
    """By how much that point is above the optimal values, in the worst state, in reward units."""
    return per_record(arithmetic.maximum(_feasible(c) - c.optimum.values, axis=-1)[:, None])


@define("feasible_excess_mu", r"\mu\cdot V-\mu\cdot V^*", "instance")
def _feasible_excess_mu(c: Context) -> Array:
    """By how much the objective of that point is above the optimum, in reward units."""
    return per_record(((_feasible(c) - c.optimum.values) * c.mu).sum(axis=-1)[:, None])


# Features and their critics: policies pi(a|s) proportional to pi_0(a|s) exp(phi(s,a).theta), at theta = 0


def scores(c: Context, name: str = "features") -> Array:
    """psi(s,a) = phi(s,a) - E_{a'~pi} phi(s,a'), (B, R, S, A, D)."""
    features, policies = c.extra(name)[:, None], c.policies[:, c.now][..., None]
    return features - (policies * features).sum(axis=3, keepdims=True)


def _weighted(c: Context, table: Array) -> Array:
    """E_w[psi table] with w(s,a) = d(s) pi(a|s) and a table (B, R, S, A): (B, R, D)."""
    return np.einsum("brsa,brsad->brd", occupancy(c) * table, scores(c))


@define("log_linear_derivative", r"\partial V^{\pi_\theta}(\mu)/\partial\theta", "step", "features")
def _log_linear_derivative(c: Context) -> Array:
    """Derivatives of V(mu) in the weights of the features, by differentiating the linear solve (dual numbers), no theorem used."""
    from proofs_check.dual import derivative_along

    return derivative_along(c, c.policies[:, c.now][..., None] * scores(c))


@define("log_linear_gradient", r"\tfrac1{1-\gamma}\mathbb{E}_w[\psi\,Q^\pi]", "step", "features")
def _log_linear_gradient(c: Context) -> Array:
    """The policy gradient theorem's formula in the weights of the features, with action values."""
    return _weighted(c, c.action_values[:, c.now]) / (1 - c.discount)[:, None, None]


@define("log_linear_gradient_with_advantages", r"\tfrac1{1-\gamma}\mathbb{E}_w[\psi A^\pi]", "step", "features")
def _log_linear_gradient_with_advantages(c: Context) -> Array:
    """The same formula with advantages."""
    return _weighted(c, c.advantages[:, c.now]) / (1 - c.discount)[:, None, None]


def _critic(c: Context) -> Array:
    """psi.u for the given weights u of a critic, (B, R, S, A)."""
    return np.einsum("brsad,bd->brsa", scores(c), c.extra("weights"))


@define("critic_gradient", r"\tfrac1{1-\gamma}\mathbb{E}_w[\psi\,(\psi\cdot u)]", "step", "features")
def _critic_gradient(c: Context) -> Array:
    """The gradient that a linear critic with given weights u gives: its values psi.u in place of the advantages."""
    return _weighted(c, _critic(c)) / (1 - c.discount)[:, None, None]


@define("critic_loss_slope", r"\nabla_u\,\mathbb{E}_w[(A^\pi-\psi\cdot u)^2]", "step", "features")
def _critic_loss_slope(c: Context) -> Array:
    """Slope of the critic's squared error in its weights, by central differences of step 1, exact for a quadratic function."""

    def loss(weights: Array) -> Array:
        error = c.advantages[:, c.now] - np.einsum("brsad,bd->brsa", scores(c), weights)
        return (occupancy(c) * error * error).sum(axis=(-1, -2))

    weights, out = c.extra("weights"), []
    for k in range(weights.shape[1]):
        step = c.constant(np.eye(weights.shape[1], dtype=np.int64)[k : k + 1])
        out.append((loss(weights + step) - loss(weights - step)) / 2)
    return np.stack(out, axis=-1)


def _best_weight(c: Context, weights: Array) -> Array:
    """The minimiser of the critic's squared error under `weights` (B, R, S, A) for one feature; 0 where any number is one: (B, R)."""
    psi = scores(c, "feature")[..., 0]
    above = (weights * psi * c.advantages[:, c.now]).sum(axis=(-1, -2))
    below = (weights * psi * psi).sum(axis=(-1, -2))
    none = below == 0
    return np.where(none, above * 0, above / np.where(none, below * 0 + 1, below))


def _one_feature(c: Context, table: Array) -> Array:
    return per_record((occupancy(c) * scores(c, "feature")[..., 0] * table).sum(axis=(-1, -2)))


@define("one_feature_derivative", r"\partial V^{\pi_\theta}(\mu)/\partial\theta", "step")
def _one_feature_derivative(c: Context) -> Array:
    """Derivative of V(mu) in the weight of a single feature, by dual numbers."""
    from proofs_check.dual import derivative_along

    return derivative_along(c, c.policies[:, c.now][..., None] * scores(c, "feature"))


@define("best_critic_derivative", r"\tfrac1{1-\gamma}\mathbb{E}_w[\psi^2]\,u^*", "step")
def _best_critic_derivative(c: Context) -> Array:
    """What the critic that is fitted with the visits of the policy gives for a single feature."""
    best = _best_weight(c, occupancy(c))[..., None, None]
    return _one_feature(c, best * scores(c, "feature")[..., 0]) / (1 - c.discount)[:, None, None]


@define("evenly_fitted_critic_derivative", r"\tfrac1{1-\gamma}\mathbb{E}_w[\psi^2]\,\bar u", "step")
def _evenly_fitted_critic_derivative(c: Context) -> Array:
    """What a critic that is fitted with the same weight for every pair gives for a single feature."""
    even = _best_weight(c, occupancy(c) * 0 + 1)[..., None, None]
    return _one_feature(c, even * scores(c, "feature")[..., 0]) / (1 - c.discount)[:, None, None]
