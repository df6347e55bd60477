"""Values of the current and of the next policy, and their distance from the optimum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pgtheory import arithmetic
from proofs_check.quantities.registry import define, flat, per_record

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


@define("gap_rho", r"V^*(\rho) - V^{\pi_t}(\rho)", "step")
def _gap_rho(c: Context) -> Array:
    """Optimality gap of the current policy under rho, in reward units, at most (max r - min r)/(1 - gamma)."""
    return gap_under(c, c.rho)


@define("gap_mu", r"V^*(\mu) - V^{\pi_t}(\mu)", "step")
def _gap_mu(c: Context) -> Array:
    """Optimality gap of the current policy under mu, in reward units."""
    return gap_under(c, c.mu)


@define("gap_mu_0", r"\left(V^*(\mu) - V^{\pi_0}(\mu)\right)", "instance")
def _gap_mu_start(c: Context) -> Array:
    """Optimality gap of the start policy under mu, in reward units."""
    return gap_under(c, c.mu, records=slice(0, 1))


def gap_under(c: Context, distribution: Array, records: Any = None) -> Array:
    behind = c.optimum.values[:, None] - c.values[:, c.now if records is None else records]
    return per_record((behind * distribution[:, None]).sum(axis=-1))


@define("gap_sup", r"\|V^* - V^{\pi_t}\|_\infty", "step")
def _gap_sup(c: Context) -> Array:
    """Largest optimality gap of any state, in reward units."""
    return per_record(arithmetic.maximum(c.optimum.values[:, None] - c.values[:, c.now], axis=-1))


@define("gap_sup_0", r"\|V^* - V^{\pi_0}\|_\infty", "instance")
def _gap_sup_start(c: Context) -> Array:
    """Largest optimality gap of any state at the start, in reward units."""
    return per_record(arithmetic.maximum(c.optimum.values[:, None] - c.values[:, :1], axis=-1))


@define("state_values", r"V^{\pi_t}", "step", "states")
def _state_values(c: Context) -> Array:
    """Value of the current policy in each state, in reward units."""
    return c.values[:, c.now]


@define("next_state_values", r"V^{\pi_{t+1}}", "pair", "states")
def _next_state_values(c: Context) -> Array:
    """Value of the next policy in each state, in reward units."""
    return c.values[:, c.then]


@define("action_values", r"Q^{\pi_t}", "step", "state-action pairs")
def _action_values(c: Context) -> Array:
    """Action values of the current policy, in reward units."""
    return flat(c.action_values[:, c.now])


@define("next_action_values", r"Q^{\pi_{t+1}}", "pair", "state-action pairs")
def _next_action_values(c: Context) -> Array:
    """Action values of the next policy, in reward units."""
    return flat(c.action_values[:, c.then])


@define("bellman_values", r"T V^{\pi_t}", "step", "states")
def _bellman_values(c: Context) -> Array:
    """One application of the Bellman optimality operator to the current values, in reward units."""
    return arithmetic.maximum(c.action_values[:, c.now], axis=-1)


@define("next_policy_advantage", r"\mathbb{E}_{a\sim\pi_{t+1}} A^{\pi_t}(\cdot,a)", "pair", "states")
def _next_policy_advantage(c: Context) -> Array:
    """Expected advantage, under the current policy, of the next policy's actions in each state, in reward units."""
    return (c.policies[:, c.then] * c.advantages[:, c.now]).sum(axis=-1)


@define("next_gap_sup", r"\|V^* - V^{\pi_{t+1}}\|_\infty", "pair")
def _next_gap_sup(c: Context) -> Array:
    """Largest optimality gap of any state after the next step, in reward units."""
    return per_record(arithmetic.maximum(c.optimum.values[:, None] - c.values[:, c.then], axis=-1))


@define("gap_sup_drop", r"\|V^* - V^{\pi_t}\|_\infty - \|V^* - V^{\pi_{t+1}}\|_\infty", "pair")
def _gap_sup_drop(c: Context) -> Array:
    """By how much one step lowers the largest optimality gap of any state, in reward units."""
    return _gap_sup(c) - _next_gap_sup(c)


@define("bellman_gap_sup", r"\|V^* - T V^{\pi_t}\|_\infty", "step")
def _bellman_gap_sup(c: Context) -> Array:
    """Largest distance of any state from the optimal values after one application of the Bellman optimality operator, in reward units."""
    return per_record(arithmetic.maximum(c.optimum.values[:, None] - _bellman_values(c), axis=-1))


@define("value_increase_sup", r"\max_s(V^{\pi_{t+1}}(s) - V^{\pi_t}(s))", "pair")
def _value_increase_sup(c: Context) -> Array:
    """Largest increase of the value of any state in one step, in reward units."""
    return per_record(arithmetic.maximum(c.values[:, c.then] - c.values[:, c.now], axis=-1))


@define("value_increase_mu", r"V^{\pi_{t+1}}(\mu) - V^{\pi_t}(\mu)", "pair")
def _value_increase_mu(c: Context) -> Array:
    """Increase of the value under mu in one step, in reward units: by how much the gap under mu shrinks."""
    return per_record(((c.values[:, c.then] - c.values[:, c.now]) * c.mu[:, None]).sum(axis=-1))
