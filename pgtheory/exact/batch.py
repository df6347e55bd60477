"""Optimal values of many small dense MDPs at once: Howard's policy iteration, compiled.

For each instance, from the policy that is greedy for the rewards:

    evaluate   (I - gamma P_pi) V = r_pi
    improve    pi(s) <- argmax_a Q(s, a)  where  max_a Q(s, a) > Q(s, pi(s)) + rounding(s),    Q = r + gamma P V

`I - gamma P_pi` is strictly diagonally dominant by rows, so elimination without pivoting is stable (Higham 2002, section 9.5: growth at
most 2).  In exact arithmetic every switch raises V, and no policy returns (Puterman 2005, Theorem 6.4.2).  In floats two things make it
end, also on ties: an action is left only for one whose computed gain exceeds `4 (S + 2) u max(|r| + |V|)`, four times the rounding bound of the
two dot products that are compared (u = 2^-53); and an iteration that does not raise the sum of V ends the loop with the better of the two.

The result is the value of the last policy up to the rounding of one solve; it carries no proof.  `pgtheory.solve` gives bounds.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pgtheory.compiled import kernel
from pgtheory.exact.linear import sealed

Array = np.ndarray
MAX_ITERATIONS = 1000
"""Far above what Howard's method needs (it rarely exceeds 10 on small models); the loop ends by itself before."""
INLINE_LIMIT = 30
"""States below which elimination written out here beats a call of LAPACK."""
UNIT = 2.0**-53


def batch_optimal(transitions: Array, rewards: Array, discount: Array, threads: int = 1) -> tuple[Array, Array]:
    """(V*, Q*) of every instance of a batch.

    transitions   (B, S, A, S) rows sum to 1
    rewards       (B, S, A)
    discount      (B,) in [0, 1), or one number for all
    returns       values (B, S) and action values (B, S, A), good to the rounding of one linear solve
    source        Howard (1960); Puterman (2005), section 6.4
    """
    P, r = sealed(transitions, rewards)
    (gamma,) = sealed(np.broadcast_to(np.asarray(discount, dtype=np.float64), (r.shape[0],)))
    values, action_values = np.empty(r.shape[:2]), np.empty(r.shape)
    count = r.shape[0]
    if threads <= 1 or count < 2 * threads:
        _solve_range(P, r, gamma, values, action_values, 0, count)
    else:
        edges = np.linspace(0, count, threads + 1).astype(int)
        with ThreadPoolExecutor(threads) as pool:
            jobs = [pool.submit(_solve_range, P, r, gamma, values, action_values, int(b), int(e)) for b, e in itertools.pairwise(edges)]
            for job in jobs:
                job.result()
    return values, action_values


@kernel
def _solve_range(transitions, rewards, discount, values, action_values, begin, end):  # type: ignore[no-untyped-def]
    """Policy iteration for the instances begin .. end - 1; writes into values and action_values."""
    _, states, actions = rewards.shape
    matrix, rhs = np.empty((states, states)), np.empty(states)
    policy, previous = np.empty(states, dtype=np.int64), np.empty(states)
    for b in range(begin, end):
        P, r, gamma = transitions[b], rewards[b], discount[b]
        V, Q = values[b], action_values[b]
        for s in range(states):
            best = 0
            for a in range(1, actions):
                if r[s, a] > r[s, best]:
                    best = a
            policy[s] = best
        total = -np.inf
        for iteration in range(MAX_ITERATIONS):
            for s in range(states):
                row = P[s, policy[s]]
                for j in range(states):
                    matrix[s, j] = -gamma * row[j]
                matrix[s, s] += 1.0
                rhs[s] = r[s, policy[s]]
            if states < INLINE_LIMIT:
                eliminate(matrix, rhs)
            else:
                rhs[:] = np.linalg.solve(matrix, rhs)
            new_total = 0.0
            for s in range(states):
                new_total += rhs[s]
            if iteration > 0 and not new_total > total:
                for s in range(states):
                    V[s] = max(previous[s], rhs[s])
                _action_values(P, r, gamma, V, Q)
                break
            total = new_total
            size = 0.0
            for s in range(states):
                V[s] = rhs[s]
                previous[s] = rhs[s]
                size = max(size, abs(rhs[s]))
            _action_values(P, r, gamma, V, Q)
            changed = False
            for s in range(states):
                best, current = 0, policy[s]
                for a in range(1, actions):
                    if Q[s, a] > Q[s, best]:
                        best = a
                slack = 4.0 * (states + 2) * UNIT * (size + max(abs(r[s, best]), abs(r[s, current])))
                if Q[s, best] > Q[s, current] + slack:
                    policy[s] = best
                    changed = True
            if not changed:
                break


@kernel
def _action_values(P, r, gamma, V, Q):  # type: ignore[no-untyped-def]
    """Q = r + gamma P V."""
    states, actions = r.shape
    for s in range(states):
        for a in range(actions):
            expected = 0.0
            for j in range(states):
                expected += P[s, a, j] * V[j]
            Q[s, a] = r[s, a] + gamma * expected


@kernel
def eliminate(matrix, rhs):  # type: ignore[no-untyped-def]
    """Solves matrix x = rhs in place (x ends in rhs) by elimination without pivoting: for row diagonally dominant matrices only."""
    n = rhs.size
    for k in range(n):
        pivot = 1.0 / matrix[k, k]
        for i in range(k + 1, n):
            factor = matrix[i, k]
            if factor != 0.0:
                factor *= pivot
                for j in range(k + 1, n):
                    matrix[i, j] -= factor * matrix[k, j]
                rhs[i] -= factor * rhs[k]
    for i in range(n - 1, -1, -1):
        x = rhs[i]
        for j in range(i + 1, n):
            x -= matrix[i, j] * rhs[j]
        rhs[i] = x / matrix[i, i]
