"""The float64 kernels behind `pgtheory.arithmetic`: what a compiled step calls.  They check nothing; arrays are C-contiguous float64.

The matrix of a policy evaluation, M = I - gamma P_pi, is strictly diagonally dominant by rows, so its factorisation M = L U (L with the
diagonal, U unit upper) needs no exchange of rows and cannot break down.  One factorisation serves both systems:

    M V = r_pi      (values)          M^T d = start      (discounted visits)

Below `LAPACK_FROM` states the factorisation is a plain loop, which beats the calls to LAPACK two to one; above, LAPACK factors M^T, which
C-contiguous memory shows it, into the same places.  (M^T is dominant by columns, where partial pivoting never moves a row, ties aside.)
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from pgtheory import compiled  # sets the cache directory before anything is decorated
from pgtheory.lapack import INTEGER, factor_transposed

Array = np.ndarray
LAPACK_FROM = 30
EPS = 2.0**-52


def fast_kernel(function: Any) -> Any:
    """A kernel whose sums may be reordered (NaN and infinities keep their meaning), for dot products."""
    return numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"})(function)


kernel = compiled.kernel


@kernel
def rounding_of_values(num_states, discount, largest):
    """How far a float64 policy evaluation may be off: 8 S eps cond max|V|, with cond = (1 + gamma) / (1 - gamma) in the sup norm."""
    return 8 * num_states * EPS * (1 + discount) / (1 - discount) * largest


@fast_kernel
def softmax(logits):
    """(S, A) -> (S, A): exp(x - max) / sum."""
    out = np.empty_like(logits)
    for s in range(logits.shape[0]):
        largest = logits[s, 0]
        for a in range(1, logits.shape[1]):
            largest = max(largest, logits[s, a])
        total = 0.0
        for a in range(logits.shape[1]):
            weight = np.exp(logits[s, a] - largest)
            out[s, a] = weight
            total += weight
        for a in range(logits.shape[1]):
            out[s, a] /= total
    return out


@fast_kernel
def log_softmax(logits):
    """(S, A) -> (S, A): x - log sum exp x."""
    out = np.empty_like(logits)
    for s in range(logits.shape[0]):
        largest = logits[s, 0]
        for a in range(1, logits.shape[1]):
            largest = max(largest, logits[s, a])
        total = 0.0
        for a in range(logits.shape[1]):
            total += np.exp(logits[s, a] - largest)
        shift = largest + np.log(total)
        for a in range(logits.shape[1]):
            out[s, a] = logits[s, a] - shift
    return out


@fast_kernel
def lookahead(transitions, rewards, discount, values):
    """r + gamma P V: (S, A, S'), (S, A), (S',) -> (S, A)."""
    num_states, num_actions = rewards.shape
    out = np.empty((num_states, num_actions))
    for s in range(num_states):
        for a in range(num_actions):
            expected = 0.0
            for t in range(num_states):
                expected += transitions[s, a, t] * values[t]
            out[s, a] = rewards[s, a] + discount * expected
    return out


@fast_kernel
def resolvent(policy, transitions, discount):
    """I - gamma P_pi, (S, S)."""
    num_states, num_actions = policy.shape
    out = np.zeros((num_states, num_states))
    for s in range(num_states):
        row = out[s]
        for a in range(num_actions):
            weight = discount * policy[s, a]
            for t in range(num_states):
                row[t] -= weight * transitions[s, a, t]
        row[s] += 1.0
    return out


@fast_kernel
def mix_rewards(policy, rewards):
    """sum_a pi(a | s) r(s, a), (S,)."""
    out = np.empty(policy.shape[0])
    for s in range(policy.shape[0]):
        paid = 0.0
        for a in range(policy.shape[1]):
            paid += policy[s, a] * rewards[s, a]
        out[s] = paid
    return out


@fast_kernel
def factor(matrix):
    """M = L U in place, L with the diagonal, U unit upper; returns the row exchanges of M^T (none below LAPACK_FROM)."""
    n = matrix.shape[0]
    if n >= LAPACK_FROM:
        return factor_transposed(matrix)
    for i in range(n):
        scale = 1.0 / matrix[i, i]
        for t in range(i + 1, n):
            matrix[i, t] *= scale
        for r in range(i + 1, n):
            weight = matrix[r, i]
            for t in range(i + 1, n):
                matrix[r, t] -= weight * matrix[i, t]
    return np.empty(0, dtype=INTEGER)


@fast_kernel
def substitute(factors, exchanges, x):
    """Overwrites x by the solution of M x = x, M = L U P^T."""
    n = x.size
    for i in range(n):
        total = x[i]
        for t in range(i):
            total -= factors[i, t] * x[t]
        x[i] = total / factors[i, i]
    for i in range(n - 1, -1, -1):
        total = x[i]
        for t in range(i + 1, n):
            total -= factors[i, t] * x[t]
        x[i] = total
    for i in range(exchanges.size - 1, -1, -1):
        k = exchanges[i] - 1
        x[i], x[k] = x[k], x[i]


@fast_kernel
def substitute_transposed(factors, exchanges, x):
    """Overwrites x by the solution of M^T x = x, M^T = P U^T L^T."""
    n = x.size
    for i in range(exchanges.size):
        k = exchanges[i] - 1
        x[i], x[k] = x[k], x[i]
    for i in range(n):
        weight = x[i]
        for t in range(i + 1, n):
            x[t] -= factors[i, t] * weight
    for i in range(n - 1, -1, -1):
        weight = x[i] / factors[i, i]
        x[i] = weight
        for t in range(i):
            x[t] -= factors[i, t] * weight


@kernel
def policy_values(policy, transitions, rewards, discount):
    """V = (I - gamma P_pi)^-1 r_pi, (S,)."""
    matrix = resolvent(policy, transitions, discount)
    values = mix_rewards(policy, rewards)
    exchanges = factor(matrix)
    substitute(matrix, exchanges, values)
    return values


@kernel
def policy_values_and_visits(policy, transitions, rewards, discount, start):
    """(V, d) with d = (I - gamma P_pi^T)^-1 start: one factorisation, two substitutions."""
    matrix = resolvent(policy, transitions, discount)
    values, visits = mix_rewards(policy, rewards), start.copy()
    exchanges = factor(matrix)
    substitute(matrix, exchanges, values)
    substitute_transposed(matrix, exchanges, visits)
    return values, visits


@kernel
def project_simplex(rows):
    """Euclidean projection of each row on the simplex."""
    out = np.empty_like(rows)
    for s in range(rows.shape[0]):
        ordered = np.sort(rows[s])
        total, level = 0.0, 0.0
        for k in range(ordered.size):
            x = ordered[ordered.size - 1 - k]
            total += x
            candidate = (total - 1.0) / (k + 1)
            if x - candidate > 0:
                level = candidate
        for a in range(rows.shape[1]):
            out[s, a] = max(rows[s, a] - level, 0.0)
    return out


@kernel
def improve(policy, action_values, discount):
    """Rows of `policy` replaced by the first maximiser of `action_values` where the gain exceeds rounding."""
    out = policy.copy()
    slack = rounding_of_values(policy.shape[0], discount, np.abs(action_values).max())
    for s in range(policy.shape[0]):
        present, best = 0.0, 0
        for a in range(policy.shape[1]):
            present += policy[s, a] * action_values[s, a]
            if action_values[s, a] > action_values[s, best]:
                best = a
        if action_values[s, best] > present + slack:
            out[s, :] = 0.0
            out[s, best] = 1.0
    return out


@kernel
def keep_minimum(lowest, policy):
    """lowest = min(lowest, policy), entry by entry, in place."""
    for s in range(policy.shape[0]):
        for a in range(policy.shape[1]):
            lowest[s, a] = min(lowest[s, a], policy[s, a])
