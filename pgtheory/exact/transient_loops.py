"""The compiled loops of `transient.py`: orders of the classes, rows of a policy, Bellman sweeps in place, interval iteration, residuals.

Rows are kept by class: class x has the rows first[x] .. first[x + 1] - 1, row k the entries indptr[k] .. indptr[k + 1] - 1 of (indices, data); the
sinks come after the classes.  They see arrays and numbers only, and check nothing.
"""

from __future__ import annotations

import numpy as np

from pgtheory.compiled import kernel


@kernel
def postorder(first, indptr, indices):  # type: ignore[no-untyped-def]
    """Classes in the order in which a depth-first search leaves them: successors before predecessors, cycles apart."""
    classes = first.size - 1
    order, count = np.empty(classes, dtype=np.int64), 0
    seen = np.zeros(classes, dtype=np.bool_)
    stack, place = np.empty(classes, dtype=np.int64), np.empty(classes, dtype=np.int64)
    for root in range(classes):
        if seen[root]:
            continue
        seen[root] = True
        stack[0], place[0], top = root, indptr[first[root]], 1
        while top > 0:
            x = stack[top - 1]
            end = indptr[first[x + 1]]
            j = place[top - 1]
            while j < end and (indices[j] >= classes or seen[indices[j]]):
                j += 1
            if j < end:
                place[top - 1] = j + 1
                y = indices[j]
                seen[y] = True
                stack[top], place[top] = y, indptr[first[y]]
                top += 1
            else:
                order[count] = x
                count += 1
                top -= 1
    return order


@kernel
def rows_of_policy(best, indptr, indices, data, rewards, sinks):  # type: ignore[no-untyped-def]
    ptr = np.zeros(best.size + sinks.size + 1, dtype=np.uint32)
    paid = np.empty(best.size + sinks.size)
    at = np.int64(0)
    for x in range(best.size):
        at += np.int64(indptr[best[x] + 1]) - np.int64(indptr[best[x]])
        ptr[x + 1] = at
        paid[x] = rewards[best[x]]
    for i in range(sinks.size):
        ptr[best.size + i + 1] = at
        paid[best.size + i] = sinks[i]
    successors, probabilities = np.empty(at, dtype=np.uint32), np.empty(at)
    at = 0
    for x in range(best.size):
        for j in range(indptr[best[x]], indptr[best[x] + 1]):
            successors[at], probabilities[at] = indices[j], data[j]
            at += 1
    return ptr, successors, probabilities, paid


@kernel
def backwards(first, indptr, indices, width):  # type: ignore[no-untyped-def]
    """For every column the rows that hold it: (ptr (width + 1,), rows)."""
    ptr = np.zeros(width + 1, dtype=np.int64)
    for j in range(indices.size):
        ptr[np.int64(indices[j]) + 1] += 1
    for x in range(width):
        ptr[x + 1] += ptr[x]
    at, rows = ptr[:-1].copy(), np.empty(indices.size, dtype=np.int64)
    for k in range(first[first.size - 1]):
        for j in range(indptr[k], indptr[k + 1]):
            y = indices[j]
            rows[at[y]] = k
            at[y] += 1
    return ptr, rows


@kernel
def outwards(first, into_ptr, into, begin, classes, width):  # type: ignore[no-untyped-def]
    """Breadth-first search backwards from the columns `begin`, each searched to its end before the next: (order, row by which each was found)."""
    owner = np.empty(first[classes], dtype=np.int64)
    for x in range(classes):
        owner[first[x] : first[x + 1]] = x
    order, rows = np.empty(classes, dtype=np.int64), np.full(classes, -1, dtype=np.int64)
    count, head = 0, 0
    for b in range(begin.size):
        y = begin[b]
        while True:
            for i in range(into_ptr[y], into_ptr[y + 1]):
                k = into[i]
                x = owner[k]
                if rows[x] < 0:
                    rows[x] = k
                    order[count] = x
                    count += 1
            if head == count:
                break
            y = order[head]
            head += 1
    return order[:count], rows


@kernel
def optimal_sweeps(order, first, indptr, indices, data, rewards, V, best, slack, sweeps):  # type: ignore[no-untyped-def]
    """Bellman sweeps in place, self-loops solved for; best changes where another row is better by more than slack.  (largest change of the last
    sweep, largest |V|)."""
    moved, size = 0.0, 0.0
    for _ in range(sweeps):
        moved, size = 0.0, 0.0
        for o in range(order.size):
            x = order[o]
            top, kept, argument = -np.inf, -np.inf, -1
            current = best[x]
            for k in range(first[x], first[x + 1]):
                value, stay = rewards[k], 0.0
                for j in range(indptr[k], indptr[k + 1]):
                    if indices[j] == x:
                        stay += data[j]
                    else:
                        value += data[j] * V[indices[j]]
                if stay >= 1.0:
                    continue
                if stay > 0.0:
                    value /= 1.0 - stay
                if value > top:
                    top, argument = value, k
                if k == current:
                    kept = value
            if not kept >= top - slack:
                best[x] = argument
            moved = max(moved, abs(top - V[x]))
            size = max(size, abs(top))
            V[x] = top
        if moved == 0.0:
            break
    return moved, size


@kernel
def interval(order, first, indptr, indices, data, lower, upper, error, tol, sweeps):  # type: ignore[no-untyped-def]
    """Interval iteration in place: both bounds by Gauss-Seidel sweeps, rounded outwards; neither ever gets worse."""
    for _ in range(sweeps):
        width, moved = 0.0, 0.0
        for o in range(order.size):
            x = order[o]
            low, high = -np.inf, -np.inf
            for k in range(first[x], first[x + 1]):
                a, b = 0.0, 0.0
                for j in range(indptr[k], indptr[k + 1]):
                    a += data[j] * lower[indices[j]]
                    b += data[j] * upper[indices[j]]
                low, high = max(low, a), max(high, b)
            low, high = max(low - error, lower[x]), min(high + error, upper[x])
            moved = max(moved, low - lower[x], upper[x] - high)
            lower[x], upper[x] = low, high
            width = max(width, high - low)
        if width <= 2.0 * tol or moved == 0.0:
            break


@kernel
def relax(order, ptr, successors, probabilities, paid, x, sweeps, target):  # type: ignore[no-untyped-def]
    """Gauss-Seidel sweeps of one policy in place; whether they came to rest (changes of a few units in the last place, or of at most target / 4)."""
    before = np.inf
    for sweep in range(sweeps):
        moved, size = 0.0, 0.0
        for o in range(order.size):
            s = order[o]
            value, stay = paid[s], 0.0
            for j in range(ptr[s], ptr[s + 1]):
                if successors[j] == s:
                    stay += probabilities[j]
                else:
                    value += probabilities[j] * x[successors[j]]
            if stay >= 1.0:  # a row that never leaves its class; the caller finds the system singular
                return False
            if stay > 0.0:
                value /= 1.0 - stay
            moved = max(moved, abs(value - x[s]))
            size = max(size, abs(value))
            x[s] = value
        if moved <= max(4e-16 * size, target / 4):
            return True
        if sweep >= 2 and moved > 0.3 * before:
            return False
        before = moved
    return False


@kernel
def improve(first, indptr, indices, data, rewards, V, best, slack):  # type: ignore[no-untyped-def]
    """Switches best[x] to the maximiser where it gains more than slack; returns the number of switches."""
    changes = 0
    for x in range(first.size - 1):
        top, argument, kept = -np.inf, -1, -np.inf
        for k in range(first[x], first[x + 1]):
            value = rewards[k]
            for j in range(indptr[k], indptr[k + 1]):
                value += data[j] * V[indices[j]]
            if value > top:
                top, argument = value, k
            if k == best[x]:
                kept = value
        if top > kept + slack:
            best[x] = argument
            changes += 1
    return changes


@kernel
def residuals(first, indptr, indices, data, rewards, V):  # type: ignore[no-untyped-def]
    out = np.empty(rewards.size)
    for x in range(first.size - 1):
        for k in range(first[x], first[x + 1]):
            value = 0.0
            for j in range(indptr[k], indptr[k + 1]):
                value += data[j] * V[indices[j]]
            out[k] = rewards[k] + value - V[x]
    return out


@kernel
def factors(first, indptr, indices, data, rewards, V, h, best, own, others):  # type: ignore[no-untyped-def]
    """(c for the upper bound, c for the lower bound), infinite where there is none; rounding of x_k is at most own, of y_k at most others."""
    above, ceiling, below = 0.0, np.inf, 0.0
    for x in range(first.size - 1):
        for k in range(first[x], first[x + 1]):
            value, steps = 0.0, 0.0
            for j in range(indptr[k], indptr[k + 1]):
                value += data[j] * V[indices[j]]
                steps += data[j] * h[indices[j]]
            gain = rewards[k] + value - V[x]
            fall = h[x] - steps - others
            if fall > 0.0:
                above = max(above, (gain + own) / fall)
            elif gain + own >= 0.0:
                ceiling = -1.0
            elif fall < 0.0:
                ceiling = min(ceiling, (gain + own) / fall)
            if k == best[x]:
                if fall > 0.0:
                    below = max(below, (own - gain) / fall)
                else:
                    below = np.inf
    above *= 1.0 + 1e-12
    if above > ceiling * (1.0 - 1e-12):
        above = np.inf
    return above, below * (1.0 + 1e-12)
