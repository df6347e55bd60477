"""The float64 kernels behind `pgtheory.arithmetic`: what a compiled step calls.  They check nothing; arrays are C-contiguous float64.

The matrix of a policy evaluation, M = I - gamma P_pi, is strictly diagonally dominant by rows, so its factorisation M = L U (L with the
diagonal, U unit upper) needs no exchange of rows: no pivot is below 1 - gamma.  One factorisation serves both systems,

    M V = r_pi      (values)          M^T d = start      (discounted visits)

and without pivoting a plain loop that takes four pivots at a time is two to four times as fast as LAPACK for up to some hundred states.

Loops run from 0 over slices (`row = matrix[i, k:]`), because only an index that is visibly not negative lets the compiler use vector instructions.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from pgtheory.compiled import kernel

Array = np.ndarray
EPS = 2.0**-52


def fast_kernel(function: Any) -> Any:
    """A kernel whose sums may be reordered (NaN and infinities keep their meaning), for dot products."""
    return kernel(function, error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"})


def compiled_step(step: Callable[..., Array], own: dict[str, Any] | None = None) -> Any:
    """The source of `step` for compiled code: every helper of `pgtheory.arithmetic` that it names replaced by the kernel of that name here.

    own   further helpers of the method's own file, by name, with their kernels

    It is compiled as a part of the loop that calls it (inlined), which halves the time that compilation takes."""
    from pgtheory import arithmetic

    names = {name: globals()[name] for name in step.__code__.co_names if step.__globals__.get(name) is getattr(arithmetic, name, step)}
    twin = types.FunctionType(step.__code__, {**step.__globals__, **names, **(own or {})}, step.__name__)
    return numba.njit(inline="always")(twin)


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
        scale = 1.0 / total
        for a in range(logits.shape[1]):
            out[s, a] *= scale
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
            out[s, a] = rewards[s, a] + discount * dot(transitions[s, a], values)
    return out


@fast_kernel
def advantages(transitions, rewards, discount, values):
    """r + gamma P V - V: (S, A, S'), (S, A), (S',) -> (S, A)."""
    num_states, num_actions = rewards.shape
    out = np.empty((num_states, num_actions))
    for s in range(num_states):
        for a in range(num_actions):
            out[s, a] = rewards[s, a] + discount * dot(transitions[s, a], values) - values[s]
    return out


@fast_kernel
def dot(x, y):
    total = 0.0
    for k in range(x.size):
        total += x[k] * y[k]
    return total


@fast_kernel
def subtract(out, weight, x):
    """out -= weight x."""
    for k in range(x.size):
        out[k] -= weight * x[k]


@fast_kernel
def system(policy, transitions, rewards, discount):
    """The system of a policy evaluation, (S, S + 1): I - gamma P_pi, and r_pi as a last column, so that the factorisation carries it along."""
    num_states, num_actions = policy.shape
    out = np.empty((num_states, num_states + 1))
    for s in range(num_states):
        weight, probability, row = -discount * policy[s, 0], transitions[s, 0], out[s]
        for t in range(num_states):
            row[t] = weight * probability[t]
        paid = policy[s, 0] * rewards[s, 0]
        a = 1
        while a + 1 < num_actions:
            weight, probability = -discount * policy[s, a], transitions[s, a]
            second_weight, second = -discount * policy[s, a + 1], transitions[s, a + 1]
            for t in range(num_states):
                row[t] += weight * probability[t] + second_weight * second[t]
            paid += policy[s, a] * rewards[s, a] + policy[s, a + 1] * rewards[s, a + 1]
            a += 2
        if a < num_actions:
            subtract(row[:num_states], discount * policy[s, a], transitions[s, a])
            paid += policy[s, a] * rewards[s, a]
        row[s] += 1.0
        row[num_states] = paid
    return out


@fast_kernel
def factor(matrix):
    """M = L U in place without pivoting: L below the diagonal, 1 / L on it, the unit triangle U above; further columns b become L^-1 b.

    Four pivot rows at a time are finished among themselves, then subtracted from all rows below, two rows at once.  A large matrix is first taken in
    panels of rows, whose share of the rows below is a product of matrices."""
    n = matrix.shape[0]
    k = 0
    if n >= LARGE:
        while k + PANEL < n:
            finish_rows(matrix, k, k + PANEL)
            subtract_panel(matrix, k, k + PANEL)
            k += PANEL
    while k + 4 < n:
        finish_rows(matrix, k, k + 4)
        p0, p1, p2, p3 = matrix[k, k + 4 :], matrix[k + 1, k + 4 :], matrix[k + 2, k + 4 :], matrix[k + 3, k + 4 :]
        r = k + 4
        while r + 1 < n:
            x0, x1, x2, x3 = pivot_weights(matrix, k, r)
            y0, y1, y2, y3 = pivot_weights(matrix, k, r + 1)
            upper, lower = matrix[r, k + 4 :], matrix[r + 1, k + 4 :]
            for t in range(p0.size):
                upper[t] -= x0 * p0[t] + x1 * p1[t] + x2 * p2[t] + x3 * p3[t]
                lower[t] -= y0 * p0[t] + y1 * p1[t] + y2 * p2[t] + y3 * p3[t]
            r += 2
        if r < n:
            x0, x1, x2, x3 = pivot_weights(matrix, k, r)
            upper = matrix[r, k + 4 :]
            for t in range(p0.size):
                upper[t] -= x0 * p0[t] + x1 * p1[t] + x2 * p2[t] + x3 * p3[t]
        k += 4
    finish_rows(matrix, k, n)


LARGE = 900
"""States from which a factorisation is taken in panels: below, the plain order is as fast."""
PANEL, STRIP = 64, 256
"""Rows of a panel, and rows of a product with it."""


@fast_kernel
def subtract_panel(matrix, begin, end):
    """Rows below `end` lose what the finished rows begin .. end - 1 of U take from them: L in its place, the rest as products of matrices."""
    n = matrix.shape[0]
    for r in range(end, n):
        for j in range(begin, end - 1):
            subtract(matrix[r, j + 1 : end], matrix[r, j], matrix[j, j + 1 : end])
    above = matrix[begin:end, end:].copy()
    for top in range(end, n, STRIP):
        taken = np.dot(matrix[top : top + STRIP, begin:end].copy(), above)
        for i in range(taken.shape[0]):
            row, less = matrix[top + i, end:], taken[i]
            for t in range(row.size):
                row[t] -= less[t]


@fast_kernel
def finish_rows(matrix, begin, end):
    """Rows begin .. end - 1 of U, from each other; what the rows above owe them is subtracted already."""
    for i in range(begin, end):
        for j in range(begin, i):
            subtract(matrix[i, j + 1 :], matrix[i, j], matrix[j, j + 1 :])
        scale = 1.0 / matrix[i, i]
        matrix[i, i] = scale
        row = matrix[i, i + 1 :]
        for t in range(row.size):
            row[t] *= scale


@fast_kernel
def pivot_weights(matrix, k, r):
    """L[r, k : k + 4], left in its place: how much of the pivot rows k .. k + 3 row r loses."""
    w0 = matrix[r, k]
    w1 = matrix[r, k + 1] - w0 * matrix[k, k + 1]
    w2 = matrix[r, k + 2] - w0 * matrix[k, k + 2] - w1 * matrix[k + 1, k + 2]
    w3 = matrix[r, k + 3] - w0 * matrix[k, k + 3] - w1 * matrix[k + 1, k + 3] - w2 * matrix[k + 2, k + 3]
    matrix[r, k + 1], matrix[r, k + 2], matrix[r, k + 3] = w1, w2, w3
    return w0, w1, w2, w3


@fast_kernel
def solution(factors):
    """M^-1 b for the last column b of the system that `factor` was given: back substitution with U."""
    n = factors.shape[0]
    out = np.empty(n)
    for i in range(n - 1, -1, -1):
        out[i] = factors[i, n] - dot(factors[i, i + 1 : n], out[i + 1 :])
    return out


@fast_kernel
def transposed_solution(factors, rhs):
    """M^-T rhs: substitution with U^T, then L^T."""
    out = rhs.copy()
    n = out.size
    for i in range(n):
        subtract(out[i + 1 :], out[i], factors[i, i + 1 : n])
    for i in range(n - 1, -1, -1):
        out[i] *= factors[i, i]
        subtract(out[:i], out[i], factors[i, :i])
    return out


@kernel
def policy_values(policy, transitions, rewards, discount):
    """V = (I - gamma P_pi)^-1 r_pi, (S,)."""
    factors = system(policy, transitions, rewards, discount)
    factor(factors)
    return solution(factors)


@kernel
def policy_values_and_visits(policy, transitions, rewards, discount, start):
    """(V, d) with d = (I - gamma P_pi^T)^-1 start: one factorisation, two substitutions."""
    factors = system(policy, transitions, rewards, discount)
    factor(factors)
    return solution(factors), transposed_solution(factors, start)


@kernel
def project_simplex(rows):
    """Euclidean projection of each row on the simplex: max(x - level, 0), the level found without sorting.

    Start with all entries; those at or below the level (their sum - 1) / count are 0 in the projection: drop them, until none is dropped
    (Michelot, 1986)."""
    out = np.empty_like(rows)
    num_actions = rows.shape[1]
    for s in range(rows.shape[0]):
        row = out[s]  # shifted so that the largest is 0: large entries then cost no digits
        largest = rows[s, 0]
        for a in range(num_actions):
            largest = max(largest, rows[s, a])
        for a in range(num_actions):
            row[a] = rows[s, a] - largest
        level, count = -1.0, 0
        while True:
            total, kept = 0.0, 0
            for a in range(num_actions):
                if row[a] > level:
                    total += row[a]
                    kept += 1
            if kept == 0 or 0 < count <= kept:  # none dropped (or, by rounding of an entry at the level, one taken back)
                break
            count = kept
            level = (total - 1.0) / kept
        for a in range(num_actions):
            row[a] = max(row[a] - level, 0.0)
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
def keep(out, values):
    """out[...] = values."""
    for s in range(values.shape[0]):
        for a in range(values.shape[1]):
            out[s, a] = values[s, a]


@kernel
def keep_minimum(lowest, policy):
    """lowest = min(lowest, policy), entry by entry, in place."""
    for s in range(policy.shape[0]):
        for a in range(policy.shape[1]):
            lowest[s, a] = min(lowest[s, a], policy[s, a])
