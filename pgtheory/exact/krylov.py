"""BiCGSTAB with incomplete factors for the value of one policy, written for rows that are few and short.

    (I - gamma P) x = r,     residual  r + gamma P x - x

The matrix is an M-matrix, so the incomplete factorisation L U that keeps the places of P and drops all fill exists and has positive pivots (Meijerink
& van der Vorst 1977).  Right preconditioning: BiCGSTAB runs on (I - gamma P) (L U)^{-1}, whose residual is the residual of x.  On a policy that
walks along paths, the factors carry a reward along the whole path at once, and loops of two states are solved exactly: on the slippery grid a fifth
of the products are left.

Where the matrix is well-conditioned the factors cost more than they save (a substitution takes two to three products' time, because each row
waits for the row before): the first `plain` iterations go without, and the factors are made only if these do not suffice.

It stops when the residual, computed anew from x (not the one the recursion carries, which drifts), is at most `target` in the largest entry.
Then |x - V_pi| <= target / (1 - gamma).  The method may stall or break down on a nonsymmetric matrix; x is then the best iterate seen, and
the caller's Bellman sweep decides what it is worth: no bound ever rests on this file.  Source: van der Vorst (1992); Saad (2003), section 10.3.
"""

from __future__ import annotations

import numpy as np

from pgtheory.compiled import kernel
from pgtheory.exact.sweeps import fast_kernel


@kernel
def factorise(ptr, successors, probabilities, discount, places, factors, middle, pivots):  # type: ignore[no-untyped-def]
    """Incomplete factors of I - discount P on the places of P.

    Row i of L is factors[ptr[i] : middle[i, 0]], of U (without its diagonal, which is 1 / pivots[i]) factors[middle[i, 1] : ptr[i + 1]], in the
    order of the columns `places`."""
    n = pivots.size
    at = np.full(n, -1, dtype=np.int64)
    for i in range(n):
        begin, end = np.int64(ptr[i]), np.int64(ptr[i + 1])
        pivot = 1.0
        for j in range(begin, end):
            column, value = successors[j], -discount * probabilities[j]
            k = j
            while k > begin and places[k - 1] > column:
                places[k] = places[k - 1]
                factors[k] = factors[k - 1]
                k -= 1
            places[k] = column
            factors[k] = value
        low, high = end, end
        for j in range(begin, end):
            column = np.int64(places[j])
            at[column] = j
            if column == i:
                pivot += factors[j]
            if column >= i and low == end:
                low = j
            if column > i:
                high = j
                break
        for j in range(high, end):
            at[places[j]] = j
        for j in range(begin, low):
            k = np.int64(places[j])
            factor = factors[j] * pivots[k]
            factors[j] = factor
            for q in range(middle[k, 1], np.int64(ptr[k + 1])):
                column = np.int64(places[q])
                if column == i:
                    pivot -= factor * factors[q]
                elif at[column] >= 0:
                    factors[at[column]] -= factor * factors[q]
        middle[i, 0], middle[i, 1] = low, high
        pivots[i] = 1.0 / max(pivot, 1e-10)
        for j in range(begin, end):
            at[places[j]] = -1


@kernel
def precondition(ptr, places, factors, middle, pivots, b, x):  # type: ignore[no-untyped-def]
    """x = (L U)^{-1} b."""
    n = pivots.size
    for i in range(n):
        value = b[i]
        for j in range(ptr[i], middle[i, 0]):
            value -= factors[j] * x[places[j]]
        x[i] = value
    for i in range(n - 1, -1, -1):
        value = x[i]
        for j in range(middle[i, 1], ptr[i + 1]):
            value -= factors[j] * x[places[j]]
        x[i] = value * pivots[i]


@kernel
def apply_resolvent(ptr, successors, probabilities, discount, x, y):  # type: ignore[no-untyped-def]
    """y = (I - discount P) x."""
    for s in range(x.size):
        expected = 0.0
        for j in range(ptr[s], ptr[s + 1]):
            expected += probabilities[j] * x[successors[j]]
        y[s] = x[s] - discount * expected


@fast_kernel
def _direction(p, r, v, beta, omega):  # type: ignore[no-untyped-def]
    """p <- r + beta (p - omega v)."""
    for i in range(p.size):
        p[i] = r[i] + beta * (p[i] - omega * v[i])


@kernel
def _product(ptr, successors, probabilities, discount, x, y, with_):  # type: ignore[no-untyped-def]
    """y = (I - discount P) x; returns <with_, y> and <y, y>.  Sums are not reordered: gathers would be vectorised, which is slow for short rows."""
    mixed, square = 0.0, 0.0
    for s in range(x.size):
        expected = 0.0
        for j in range(ptr[s], ptr[s + 1]):
            expected += probabilities[j] * x[successors[j]]
        value = x[s] - discount * expected
        y[s] = value
        mixed += with_[s] * value
        square += value * value
    return mixed, square


@fast_kernel
def _half_step(r, v, alpha):  # type: ignore[no-untyped-def]
    for i in range(r.size):
        r[i] -= alpha * v[i]


@fast_kernel
def _full_step(x, first, second, r, y, shadow, alpha, omega):  # type: ignore[no-untyped-def]
    """x += alpha first + omega second, r -= omega y; returns <shadow, r> and <r, r>."""
    mixed, square = 0.0, 0.0
    for i in range(x.size):
        x[i] += alpha * first[i] + omega * second[i]
        new = r[i] - omega * y[i]
        r[i] = new
        mixed += shadow[i] * new
        square += new * new
    return mixed, square


@kernel
def bicgstab(ptr, successors, probabilities, paid, discount, x, target, limit, plain):  # type: ignore[no-untyped-def]
    """Improves x in place; returns the number of iterations (two products each; after the first `plain`, two solutions with the factors as well)."""
    n = x.size
    places, factors = np.empty(0, dtype=successors.dtype), np.empty(0)
    middle, pivots = np.empty((0, 2), dtype=ptr.dtype), np.empty(0)
    r, v, p, y, shadow = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    first, second = p, r
    best = x.copy()
    best_residual, used, cycles, factored = np.inf, 0, 0, False
    while True:
        apply_resolvent(ptr, successors, probabilities, discount, x, r)
        residual = 0.0
        for i in range(n):
            r[i] = paid[i] - r[i]
            residual = max(residual, abs(r[i]))
        progress = residual < 0.5 * best_residual
        if residual < best_residual:
            best_residual = residual
            best[:] = x
        if residual <= target or used >= limit:
            break
        if cycles > 0 and not progress:
            if factored:
                break
            used, cycles = max(used, plain), 0  # stuck: over to the factors, from the best iterate
            x[:] = best
            continue
        if not factored and used >= plain:
            factored = True
            entries = np.int64(ptr[n])
            places, factors = np.empty(entries, dtype=successors.dtype), np.empty(entries)
            middle, pivots = np.empty((n, 2), dtype=ptr.dtype), np.empty(n)
            factorise(ptr, successors, probabilities, discount, places, factors, middle, pivots)
            first, second = np.empty(n), np.empty(n)
        cycles += 1
        goal = max(0.7 * target, 1e-13 * residual)
        rho, alpha, omega, beta = 0.0, 1.0, 1.0, 0.0
        for i in range(n):
            shadow[i] = r[i]
            rho += r[i] * r[i]
            v[i] = 0.0
            p[i] = 0.0
        size = rho
        while used < limit and (factored or used < plain):
            used += 1
            _direction(p, r, v, beta, omega)
            if factored:
                precondition(ptr, places, factors, middle, pivots, p, first)
            projection, _ = _product(ptr, successors, probabilities, discount, first, v, shadow)
            if projection == 0.0:
                break
            alpha = rho / projection
            _half_step(r, v, alpha)
            if factored:
                precondition(ptr, places, factors, middle, pivots, r, second)
            mixed, square = _product(ptr, successors, probabilities, discount, second, y, r)
            omega = mixed / square if square > 0.0 else 0.0
            new_rho, size = _full_step(x, first, second, r, y, shadow, alpha, omega)
            if not size < 1e300 or new_rho == 0.0 or omega == 0.0:
                break
            if size <= n * goal * goal:
                residual = 0.0
                for i in range(n):
                    residual = max(residual, abs(r[i]))
                if residual <= goal:
                    break
            beta = new_rho / rho * alpha / omega
            rho = new_rho
        if not size < 1e300:
            x[:] = best
    x[:] = best
    return used
