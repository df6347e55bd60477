"""Backward and forward recursions for N models or policies at once: the exact side of regret, and what a learner computes on its estimates.

    V_h(s) = sum_a pi_h(a | s) Q_h(s, a),        Q_h(s, a) = r_h(s, a) + sum_s' P_h(s' | s, a) V_{h+1}(s'),        V_H = 0
    u_{h+1}(s') = sum_{s, a} u_h(s) pi_h(a | s) P_h(s' | s, a),                                                     u_0 = start

Arrays begin with an axis for the run, of length N or 1.  Every product is a stack of products of one run, so that the figures of a run are the same
bit for bit whatever runs beside it.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def expected(transitions: Array, values: Array) -> Array:
    """(N, S, A): sum_s' P(s' | s, a) V(s').   transitions (N or 1, S, A, S'), values (N, S')."""
    n, S, A, after = transitions.shape
    out = np.matmul(transitions.reshape(n, S * A, after), values[:, :, None])
    return np.asarray(out.reshape(len(values), S, A))


def policy_values(transitions: Array, rewards: Array, policies: Array) -> tuple[Array, Array]:
    """(Q (N, H, S, A), V (N, H + 1, S)) of policies (N, H, S, A); transitions (N or 1, H, S, A, S), rewards (N or 1, H, S, A)."""
    n, H, S, A = policies.shape
    Q, V = np.empty((n, H, S, A)), np.zeros((n, H + 1, S))
    for h in reversed(range(H)):
        Q[:, h] = rewards[:, h] + expected(transitions[:, h], V[:, h + 1])
        V[:, h] = (policies[:, h] * Q[:, h]).sum(axis=-1)
    return Q, V


def best_values(transitions: Array, rewards: Array) -> Array:
    """(N, H + 1, S): optimal values; transitions (N or 1, H, S, A, S), rewards (N, H, S, A)."""
    n, H, S, _ = rewards.shape
    V = np.zeros((n, H + 1, S))
    for h in reversed(range(H)):
        V[:, h] = (rewards[:, h] + expected(transitions[:, h], V[:, h + 1])).max(axis=-1)
    return V


def visits(transitions: Array, policies: Array, start: Array) -> Array:
    """(N, H, S): the probability of being in each state at each step; transitions (N or 1, H, S, A, S), start (S,)."""
    n, H, S, A = policies.shape
    u = np.empty((n, H, S))
    u[:, 0] = start
    for h in range(H - 1):
        pairs = (u[:, h, :, None] * policies[:, h]).reshape(n, 1, S * A)
        u[:, h + 1] = np.matmul(pairs, transitions[:, h].reshape(-1, S * A, S))[:, 0]
    return u


def greedy(Q: Array) -> Array:
    """(..., A): probability 1 on the first maximiser of the last axis."""
    out = np.zeros_like(Q)
    np.put_along_axis(out, Q.argmax(axis=-1)[..., None], 1.0, axis=-1)
    return out


def optimistic_values(rewards: Array, estimate: Array, bonus: Array, policies: Array | None = None) -> tuple[Array, Array, Array]:
    """(Q (N, H, S, A), V (N, H + 1, S), policies): values with a bonus for what has been seen rarely.

        Q_h = r_h + min(H - 1 - h, P_hat V_{h+1} + bonus_h),        V_h = max_a Q_h, or <pi_h, Q_h> for given policies

    rewards (N, H, S, A) are upper bounds in [0, 1]; the continuation, not Q, is cut at H - 1 - h, what the steps after h can pay.  bonus = inf where
    nothing was seen."""
    n, H, S, A = rewards.shape
    Q, V = np.empty((n, H, S, A)), np.zeros((n, H + 1, S))
    chosen = np.empty((n, H, S, A)) if policies is None else policies
    for h in reversed(range(H)):
        Q[:, h] = rewards[:, h] + np.minimum(H - 1.0 - h, expected(estimate[:, h], V[:, h + 1]) + bonus[:, h])
        if policies is None:
            chosen[:, h] = greedy(Q[:, h])
            V[:, h] = Q[:, h].max(axis=-1)
        else:
            V[:, h] = (policies[:, h] * Q[:, h]).sum(axis=-1)
    return Q, V, chosen
