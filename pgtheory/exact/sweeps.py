"""The inner loops of the discounted solvers, on dense rows and on compressed (CSR) rows.

All take the pairs of state s as `active[first[s] : first[s + 1]]`, so that eliminated actions cost nothing, and work on W, a vector of
values known up to a constant (see `bounds.py`).

    sweep      t(s) = max_k r_k + gamma P_k W,  q_k for every active pair, the first maximiser, extremes of t - W
    follow     t(s) = r_pi(s) + gamma P_pi(s) W for one pair a state
    relax      the Gauss-Seidel form of both: new values are used at once; a self-loop is solved for exactly

Not every row is read in every sweep.  q_k is kept as an upper bound: if W rose by at most h since (h = max(W - W_before)), q_k rises by at most
gamma h, and a pair whose bound q_k + drift does not exceed the value of a pair already looked at is passed over; drift is gamma h and four times the
rounding of a sweep (Hastings & van Nunen 1977: temporary elimination).  t is the same with and without.

Sweeps, follows and selections take a range of states [begin, end) and touch nothing that belongs to another range, so that ranges run on threads;
each state's figures are computed the same way in every range, and extremes do not depend on the order in which they are joined.

Row sums are accumulated along the way where asked for (the first sweep over a model), so that the defect costs no second reading.
The dense loops allow the compiler to reorder the sums (`reassoc`, `contract`); the rounding bound holds for every order.
"""

from __future__ import annotations

import functools

import numpy as np

from pgtheory.compiled import kernel

fast_kernel = functools.partial(kernel, fastmath={"reassoc", "contract", "nsz", "arcp"})


@kernel
def sweep_csr(begin, end, drift, first, active, indptr, indices, data, rewards, gamma, W, t, q, best, slack):  # type: ignore[no-untyped-def]
    """t = TW over active pairs; keeps best[s] where it is within slack of the maximum; returns (low, high, size, number of changes)."""
    low, high, size, changes = np.inf, -np.inf, 0.0, 0
    for s in range(begin, end):
        top, argument, kept = -np.inf, -1, -np.inf
        current = best[s]
        for i in range(first[s], first[s + 1]):
            k = active[i]
            if k == current:
                expected = 0.0
                for j in range(indptr[k], indptr[k + 1]):
                    expected += data[j] * W[indices[j]]
                kept = rewards[k] + gamma * expected
                q[i] = kept
                top, argument = kept, k
        for i in range(first[s], first[s + 1]):
            k = active[i]
            if k == current:
                continue
            if q[i] + drift <= top:
                q[i] += drift
                continue
            expected = 0.0
            for j in range(indptr[k], indptr[k + 1]):
                expected += data[j] * W[indices[j]]
            value = rewards[k] + gamma * expected
            q[i] = value
            if value > top:
                top, argument = value, k
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
def sweep_dense(begin, end, drift, first, active, rows, rewards, gamma, W, t, q, best, slack):  # type: ignore[no-untyped-def]
    """As sweep_csr."""
    low, high, size, changes = np.inf, -np.inf, 0.0, 0
    for s in range(begin, end):
        top, argument, kept = -np.inf, -1, -np.inf
        current = best[s]
        for i in range(first[s], first[s + 1]):
            k = active[i]
            if k == current:
                kept = rewards[k] + gamma * dense_dot(rows[k], W)
                q[i] = kept
                top, argument = kept, k
        for i in range(first[s], first[s + 1]):
            k = active[i]
            if k == current:
                continue
            if q[i] + drift <= top:
                q[i] += drift
                continue
            value = rewards[k] + gamma * dense_dot(rows[k], W)
            q[i] = value
            if value > top:
                top, argument = value, k
        if not kept >= top - slack:
            best[s] = argument
            changes += 1
        t[s] = top
        low, high, size = min(low, top - W[s]), max(high, top - W[s]), max(size, abs(W[s]))
    return low, high, size, changes


@kernel
def sweep_dense_first(begin, end, first, rows, rewards, gamma, W, t, q, best):  # type: ignore[no-untyped-def]
    """sweep_dense over all pairs, which also returns the largest |row sum - 1|."""
    low, high, size, defect = np.inf, -np.inf, 0.0, 0.0
    for s in range(begin, end):
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
def rise(W, before):  # type: ignore[no-untyped-def]
    """(max(W - before), max(|W|, |before|)); before becomes W."""
    high, size = -np.inf, 0.0
    for s in range(W.size):
        high = max(high, W[s] - before[s])
        size = max(size, abs(W[s]), abs(before[s]))
        before[s] = W[s]
    return high, size


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
def follow_dense(begin, end, pairs, rows, rewards, gamma, W, t, shift):  # type: ignore[no-untyped-def]
    """t(s) = r_k + gamma P_k W - shift for k = pairs[s]; returns extremes of t + shift - W."""
    low, high = np.inf, -np.inf
    for s in range(begin, end):
        k = pairs[s]
        value = rewards[k] + gamma * dense_dot(rows[k], W)
        low, high = min(low, value - W[s]), max(high, value - W[s])
        t[s] = value - shift
    return low, high


@kernel
def follow_csr(begin, end, ptr, successors, probabilities, paid, gamma, W, t, shift):  # type: ignore[no-untyped-def]
    """t(s) = r(s) + gamma P(s) W - shift for the rows of one policy; returns extremes of t + shift - W."""
    low, high = np.inf, -np.inf
    for s in range(begin, end):
        expected = 0.0
        for j in range(ptr[s], ptr[s + 1]):
            expected += probabilities[j] * W[successors[j]]
        value = paid[s] + gamma * expected
        low, high = min(low, value - W[s]), max(high, value - W[s])
        t[s] = value - shift
    return low, high


@kernel
def select_rows(begin, end, best, chosen, indptr, indices, data, rewards, ptr, successors, probabilities, paid):  # type: ignore[no-untyped-def]
    """Copies the row of best[s] into the place ptr[s] .. ptr[s + 1] of state s, where it is not there yet; what is left of the place is filled with
    probability 0 of staying."""
    for s in range(begin, end):
        k = best[s]
        if chosen[s] == k:
            continue
        chosen[s] = k
        paid[s] = rewards[k]
        at = np.int64(ptr[s])
        for j in range(indptr[k], indptr[k + 1]):
            successors[at] = indices[j]
            probabilities[at] = data[j]
            at += 1
        for j in range(at, np.int64(ptr[s + 1])):
            successors[j] = s
            probabilities[j] = 0.0


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
