"""The natural gradient's potential and normaliser, and the entropy-regularised problem."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.quantities.registry import define, flat, given, per_instance, per_record

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


@define("log_normaliser", r"\mathbb{E}_{s\sim\rho}\left[\log Z_t(s)\right]", "pair")
def _log_normaliser(c: Context) -> Array:
    """Mean under rho of log sum_a pi_t(a|s) exp(eta A(s,a)/(1 - gamma)), the normaliser of a natural gradient step."""
    rate = given(c, "eta") / (1 - c.discount)
    exponents = c.log_policies[:, c.now] + rate[:, None, None, None] * c.advantages[:, c.now]
    return per_record((c.rho[:, None] * arithmetic.log_sum_exp(exponents)).sum(axis=-1))


@define("value_increase_rho", r"V^{\pi_{t+1}}(\rho) - V^{\pi_t}(\rho)", "pair")
def _value_increase_rho(c: Context) -> Array:
    """Increase of the value under rho in one step, in reward units."""
    return per_record(((c.values[:, c.then] - c.values[:, c.now]) * c.rho[:, None]).sum(axis=-1))


@define("value_increase_optimal", r"V^{\pi_{t+1}}(d^{\pi^*}_\rho) - V^{\pi_t}(d^{\pi^*}_\rho)", "pair")
def _value_increase_optimal(c: Context) -> Array:
    """Increase in one step of the value averaged over the optimal policy's visits from rho, in reward units."""
    return per_record(((c.values[:, c.then] - c.values[:, c.now]) * optimal_visits(c)).sum(axis=-1))


@define("value_rise_optimal", r"V^{\pi_t}(d^{\pi^*}_\rho) - V^{\pi_0}(d^{\pi^*}_\rho)", "step")
def _value_rise_optimal(c: Context) -> Array:
    """Increase since the start of the value averaged over the optimal policy's visits from rho, in reward units."""
    return per_record(((c.values[:, c.now] - c.values[:, :1]) * optimal_visits(c)).sum(axis=-1))


@define("log_normaliser_optimal", r"\mathbb{E}_{s\sim d^{\pi^*}_\rho}\log Z_t(s)", "pair")
def _log_normaliser_optimal(c: Context) -> Array:
    """Mean of log Z_t (see log_normaliser) over the optimal policy's visits from rho."""
    rate = given(c, "eta") / (1 - c.discount)
    exponents = c.log_policies[:, c.now] + rate[:, None, None, None] * c.advantages[:, c.now]
    return per_record((optimal_visits(c) * arithmetic.log_sum_exp(exponents)).sum(axis=-1))


@define("divergence_drop", r"\mathbb{E}_{d^{\pi^*}_\rho}\left[\mathrm{KL}(\pi^*\Vert\pi_t) - \mathrm{KL}(\pi^*\Vert\pi_{t+1})\right]", "pair")
def _divergence_drop(c: Context) -> Array:
    """By how much one step lowers the divergence of the (deterministic) optimal policy from the current one, averaged over the optimal visits."""
    return _divergence_between(c, c.now, c.then)


@define("divergence_spent", r"\mathbb{E}_{d^{\pi^*}_\rho}\left[\mathrm{KL}(\pi^*\Vert\pi_0) - \mathrm{KL}(\pi^*\Vert\pi_t)\right]", "step")
def _divergence_spent(c: Context) -> Array:
    """By how much the divergence of the optimal policy from the current one fell since the start, averaged over the optimal visits."""
    return _divergence_between(c, np.zeros(1, dtype=np.int64), c.now)


def _divergence_between(c: Context, earlier: Array, later: Array) -> Array:
    """KL(pi* || pi) = -log pi(a*(s)|s), as pi* is deterministic; averaged over the visits of pi* from rho."""
    gained = c.log_policies[:, later] - c.log_policies[:, earlier]
    return per_record((optimal_visits(c) * (gained * c.selection[:, None]).sum(axis=-1)).sum(axis=-1))


def optimal_visits(c: Context) -> Array:
    """d^{pi*}_rho, (B, 1, S)."""
    return c.visits(c.rho, c.optimal_discounted)


@define("soft_q_gap", r"\|Q^*_\tau - Q^{\pi_t}_\tau\|_\infty", "step")
def _soft_q_gap(c: Context) -> Array:
    """Largest error of the current policy's soft action values, in reward units."""
    return _soft_q_error(c, c.now)


@define("log_policy_gap", r"\|\log\pi^*_\tau - \log\pi_t\|_\infty", "step")
def _log_policy_gap(c: Context) -> Array:
    """Largest difference of log probabilities between the soft-optimal and the current policy."""
    return _log_policy_error(c, c.now)


@define("C1", "C_1", "instance")
def _first_constant(c: Context) -> Array:
    """||Q*_tau - Q_0||_inf + 2 tau (1 - eta tau/(1 - gamma)) ||log pi*_tau - log pi_0||_inf of the start policy."""
    tau = per_instance(given(c, "tau"))
    contraction = 1 - per_instance(given(c, "eta") * given(c, "tau") / (1 - c.discount))
    start = np.zeros(1, dtype=np.int64)
    return _soft_q_error(c, start) + 2 * tau * contraction * _log_policy_error(c, start)


def _soft_q_error(c: Context, records: Array) -> Array:
    log_policies, policies = c.log_policies[:, records], c.policies[:, records]
    tau = given(c, "tau")[:, None, None, None]
    paid = (policies * (c.rewards[:, None] - tau * _finite_log(c, policies, log_policies))).sum(axis=-1)
    soft_values = arithmetic.solve(c.discounted[:, records], paid)
    error = np.abs(c.soft_optimum[1][:, None] - c.backup(soft_values))
    return arithmetic.maximum(flat(error), axis=-1)[..., None]


def _finite_log(c: Context, policies: Array, log_policies: Array) -> Array:
    """log pi with 0 where pi underflowed to 0 in float64, for pi log pi."""
    return np.where(policies > 0, log_policies, 0.0) if c.kind == "float" else log_policies


def _log_policy_error(c: Context, records: Array) -> Array:
    tau = given(c, "tau")[:, None, None]
    best = arithmetic.log_softmax(c.soft_optimum[1] / tau)
    return arithmetic.maximum(flat(np.abs(best[:, None] - c.log_policies[:, records])), axis=-1)[..., None]
