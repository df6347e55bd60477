"""What entropy-regularised natural gradient contracts: errors of the soft action values and of the logits behind the policy, one sum of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.quantities.natural_gradient import log_policy_error, soft_action_values, soft_q_error
from proofs_check.quantities.registry import define, flat, given, per_record

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


@define("next_soft_q_gap", r"\|Q^*_\tau - Q^{\pi_{t+1}}_\tau\|_\infty", "pair")
def _next_soft_q_gap(c: Context) -> Array:
    """Largest error of the next policy's soft action values, in reward units."""
    return soft_q_error(c, c.then)


@define("next_log_policy_gap", r"\|\log\pi^*_\tau - \log\pi_{t+1}\|_\infty", "pair")
def _next_log_policy_gap(c: Context) -> Array:
    """Largest difference of log probabilities between the soft-optimal and the next policy."""
    return log_policy_error(c, c.then)


@define("soft_error_sum", r"\Psi_t", "step", history=True)
def _soft_error_sum(c: Context) -> Array:
    """(1 - a) |Q* - Q_t| + a |Q* - tau log xi_t| + a^(t+1) |Q_0 - tau log xi_0| with a = 1 - eta tau/(1 - gamma), in reward units; xi_t are the
    policies before they are normalised, xi_0 = pi_0 exp(V*/tau) and xi_(t+1) = xi_t^a exp((1 - a) Q_t/tau)."""
    return _sums(c)[:, c.now][..., None]


@define("next_soft_error_sum", r"\Psi_{t+1}", "pair", history=True)
def _next_soft_error_sum(c: Context) -> Array:
    """soft_error_sum one step later, in reward units."""
    return _sums(c)[:, c.then][..., None]


@define("soft_error_sum_0", r"\Psi_0", "instance")
def _first_soft_error_sum(c: Context) -> Array:
    """soft_error_sum of the start policy, in reward units."""
    return per_record(_sums(c)[:, :1])


def _sums(c: Context) -> Array:
    """Psi at every record (B, R); the records must be those of all steps."""
    tau, best = given(c, "tau")[:, None, None], c.soft_optimum[1]
    keep = 1 - given(c, "eta") * given(c, "tau") / (1 - c.discount)
    wide = keep[:, None, None]
    values = soft_action_values(c, slice(None))
    logits = best - tau * (arithmetic.log_softmax(best / tau) - c.log_policies[:, 0])  # tau log xi
    left = keep * _largest(values[:, 0] - logits)
    out = []
    for r in range(values.shape[1]):
        out.append((1 - keep) * _largest(best - values[:, r]) + keep * _largest(best - logits) + left)
        logits, left = wide * logits + (1 - wide) * values[:, r], keep * left
    return np.stack(out, axis=1)


def _largest(table: Array) -> Array:
    """(B,): the largest absolute entry of (B, S, A)."""
    return arithmetic.maximum(flat(np.abs(table[:, None])), axis=-1)[:, 0]
