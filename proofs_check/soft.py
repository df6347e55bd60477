"""The optimum of the entropy-regularised problem: soft policy iteration to rounding, and a rigorous enclosure in balls.

    T_tau V(s) = tau log sum_a exp((r + gamma P V)(s, a) / tau),   V*_tau = T_tau V*_tau.

pi <- softmax(Q_tau^pi / tau) is Newton's method for V = T_tau V and converges quadratically.  T_tau is a gamma-contraction in the sup norm,
so for any V:  |V*_tau - V| <= |T_tau V - V| / (1 - gamma).  In balls the iteration runs on midpoints and the last line encloses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.numbers import current_precision, to_float, widen

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
NEWTON_STEPS = 60
"""Upper limit; about 10 suffice from the unregularised optimum: the error squares at each."""
ROUNDING = 1e-11
"""Relative size below which a change that has stopped shrinking is rounding: that of a policy evaluation whose condition is up to 1e4."""


def soft_optimum(context: Context) -> tuple[Array, Array]:
    """(V*_tau (B, S), Q*_tau (B, S, A)) for context.settings["tau"] > 0."""
    import dataclasses

    tau = context.settings["tau"][:, None, None]
    values, before = context.optimum.values, np.inf
    for _ in range(NEWTON_STEPS):
        q = context.backup(values[:, None])[:, 0]
        logits = arithmetic.midpoint(q / tau) if context.kind == "ball" else q / tau
        log_policy = arithmetic.log_softmax(logits)
        policy = np.exp(log_policy)
        step = dataclasses.replace(context, policies=policy[:, None], logits=None, minima=None)
        paid = (policy * (context.rewards - tau * log_policy)).sum(axis=-1)
        new = arithmetic.solve(step.discounted[:, 0], paid)
        new = arithmetic.midpoint(new) if context.kind == "ball" else new
        change = np.abs(to_float(new - values)).max()
        values = new
        if change == 0 or (context.kind == "float" and 2 * change >= before and change <= ROUNDING * np.abs(values).max()):
            break
        before = change
        if context.kind == "ball" and change < 2.0 ** (-0.75 * current_precision()):
            break
    if context.kind == "ball":
        values = _enclosed(context, values, tau)
    return values, context.backup(values[:, None])[:, 0]


def _enclosed(context: Context, values: Array, tau: Array) -> Array:
    """Balls around `values` that hold V*_tau, by the contraction argument."""
    q = context.backup(values[:, None])[:, 0]
    soft = tau[..., 0] * arithmetic.log_sum_exp(q / tau)
    error = arithmetic.maximum(np.abs(soft - values), axis=-1) / (1 - context.discount)
    return widen(values, error[:, None])
