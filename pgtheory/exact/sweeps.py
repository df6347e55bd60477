"""The inner loops of the discounted solvers, on dense rows and on compressed (CSR) rows.

All take the pairs of state s as `active[first[s] : first[s + 1]]`, so that eliminated actions cost nothing, and work on W, a vector of
values known up to a constant (see `bounds.py`).

    sweep      t(s) = max_k r_k + gamma P_k W,  q_k for every active pair, the first maximiser, extremes of t - W
    follow     t(s) = r_pi(s) + gamma P_pi(s) W for one pair a state
    relax      the Gauss-Seidel form of both: new values are used at once; a self-loop is solved for exactly

Row sums are accumulated along the way where asked for (the first sweep over a model), so that the defect costs no second reading.
The dense loops allow the compiler to reorder the sums (`reassoc`, `contract`); the rounding bound holds for every order.
"""

from __future__ import annotations

import functools

import numpy as np

from pgtheory.compiled import kernel

fast_kernel = functools.partial(kernel, fastmath={"reassoc", "contract", "nsz", "arcp"})


@kernel
def sweep_csr(first, active, indptr, indices, data, rewards, gamma, W, t, q, best, slack):  # type: ignore[no-untyped-def]
    """t = TW over active pairs; keeps best[s] where it is within slack of the maximum; returns (low, high, size, number of changes)."""
    low, high, size, changes = np.inf, -np.inf, 0.0, 0
    for s in range(W.size):
        top, argument, kept = -np.inf, -1, -np.inf
        current = best[s]
        for i in range(first[s], first[s + 1]):
            k = active[i]
            expected = 0.0
            for j in range(indptr[k], indptr[k + 1]):
                expected += data[j] * W[indices[j]]
            value = rewards[k] + gamma * expected
            q[i] = value
            if value > top:
                top, argument = value, k
            if k == current:
                kept = value
        if not kept >= top - slack:
            best[s] = argument
            changes += 1
        t[s] = top
        low, high, size = min(low, top - W[s]), max(high, top - W[s]), max(size, abs(W[s]))
    return low, high, size, changes


@fast_kernel
def dense_dot(row, W):  # type: ignore[no-untyped-def]
    total = 0.0
    for j in range(W.size):
        total += row[j] * W[j]
    return total


@fast_kernel
def dense_dot_and_sum(row, W):  # type: ignore[no-untyped-def]
    total, mass = 0.0, 0.0
    for j in range(W.size):
        total += row[j] * W[j]
        mass += row[j]
    return total, mass


@kernel
def sweep_dense(first, active, rows, rewards, gamma, W, t, q, best, slack):  # type: ignore[no-untyped-def]
    """As sweep_csr."""
    low, high, size, changes = np.inf, -np.inf, 0.0, 0
    for s in range(W.size):
        top, argument, kept = -np.inf, -1, -np.inf
        current = best[s]
        for i in range(first[s], first[s + 1]):
            k = active[i]
            value = rewards[k] + gamma * dense_dot(rows[k], W)
            q[i] = value
            if value > top:
                top, argument = value, k
            if k == current:
                kept = value
        if not kept >= top - slack:
            best[s] = argument
            changes += 1
        t[s] = top
        low, high, size = min(low, top - W[s]), max(high, top - W[s]), max(size, abs(W[s]))
    return low, high, size, changes


@kernel
def sweep_dense_first(first, rows, rewards, gamma, W, t, q, best):  # type: ignore[no-untyped-def]
    """sweep_dense over all pairs, which also returns the largest |row sum - 1|."""
    low, high, size, defect = np.inf, -np.inf, 0.0, 0.0
    for s in range(W.size):
        top, argument = -np.inf, -1
        for k in range(first[s], first[s + 1]):
            expected, mass = dense_dot_and_sum(rows[k], W)
            value = rewards[k] + gamma * expected
            defect = max(defect, abs(mass - 1.0))
            q[k] = value
            if value > top:
                top, argument = value, k
        best[s] = argument
        t[s] = top
        low, high, size = min(low, top - W[s]), max(high, top - W[s]), max(size, abs(W[s]))
    return low, high, size, defect


@kernel
def defect_csr(indptr, data, rewards):  # type: ignore[no-untyped-def]
    """(largest |row sum - 1|, entries of the longest row, largest |reward|)."""
    defect, longest, largest = 0.0, 0, 0.0
    for k in range(rewards.size):
        mass = 0.0
        for j in range(indptr[k], indptr[k + 1]):
            mass += data[j]
        defect = max(defect, abs(mass - 1.0))
        longest = max(longest, np.int64(indptr[k + 1] - indptr[k]))
        largest = max(largest, abs(rewards[k]))
    return defect, longest, largest


@kernel
def follow_dense(pairs, rows, rewards, gamma, W, t, shift):  # type: ignore[no-untyped-def]
    """t(s) = r_k + gamma P_k W - shift for k = pairs[s]; returns extremes of t + shift - W."""
    low, high = np.inf, -np.inf
    for s in range(W.size):
        k = pairs[s]
        value = rewards[k] + gamma * dense_dot(rows[k], W)
        low, high = min(low, value - W[s]), max(high, value - W[s])
        t[s] = value - shift
    return low, high


@kernel
def follow_csr(ptr, successors, probabilities, paid, gamma, W, t, shift):  # type: ignore[no-untyped-def]
    """t(s) = r(s) + gamma P(s) W - shift for the rows of one policy; returns extremes of t + shift - W."""
    low, high = np.inf, -np.inf
    for s in range(W.size):
        expected = 0.0
        for j in range(ptr[s], ptr[s + 1]):
            expected += probabilities[j] * W[successors[j]]
        value = paid[s] + gamma * expected
        low, high = min(low, value - W[s]), max(high, value - W[s])
        t[s] = value - shift
    return low, high


@kernel
def select_rows(best, indptr, indices, data, rewards, ptr, successors, probabilities, paid):  # type: ignore[no-untyped-def]
    """Copies the rows of the pairs best[s] into one compact matrix; returns its number of entries."""
    at = 0
    for s in range(best.size):
        ptr[s] = at
        k = best[s]
        paid[s] = rewards[k]
        for j in range(indptr[k], indptr[k + 1]):
            successors[at] = indices[j]
            probabilities[at] = data[j]
            at += 1
    ptr[best.size] = at
    return at


@kernel
def eliminate_actions(first, active, q, t, threshold):  # type: ignore[no-untyped-def]
    """Drops in place every active pair whose q is more than threshold below t of its state; returns the number kept."""
    kept, begin = 0, 0
    for s in range(t.size):
        end = first[s + 1]
        first[s] = kept
        for i in range(begin, end):
            if q[i] >= t[s] - threshold:
                active[kept] = active[i]
                q[kept] = q[i]
                kept += 1
        begin = end
    first[t.size] = kept
    return kept


@kernel
def relax_csr(first, active, indptr, indices, data, rewards, gamma, W, order):  # type: ignore[no-untyped-def]
    """One Gauss-Seidel Bellman sweep in the given order of states, in place: W(s) <- max_k of r_k + gamma P_k W solved for W(s)."""
    for o in range(order.size):
        s = order[o]
        top = -np.inf
        for i in range(first[s], first[s + 1]):
            k = active[i]
            expected, stay = 0.0, 0.0
            for j in range(indptr[k], indptr[k + 1]):
                if indices[j] == s:
                    stay += data[j]
                else:
                    expected += data[j] * W[indices[j]]
            top = max(top, (rewards[k] + gamma * expected) / (1.0 - gamma * stay))
        W[s] = top


@kernel
def relax_dense(first, active, rows, rewards, gamma, W, order):  # type: ignore[no-untyped-def]
    """As relax_csr."""
    for o in range(order.size):
        s = order[o]
        top = -np.inf
        for i in range(first[s], first[s + 1]):
            k = active[i]
            stay = rows[k, s]
            expected = dense_dot(rows[k], W) - stay * W[s]
            top = max(top, (rewards[k] + gamma * expected) / (1.0 - gamma * stay))
        W[s] = top
