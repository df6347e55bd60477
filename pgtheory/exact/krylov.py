"""BiCGSTAB for the value of one policy, written for rows that are few and short.

    (I - gamma P) x = r,     residual  r + gamma P x - x

stops when the residual, computed anew from x (not the one the recursion carries, which drifts), is at most `target` in the largest entry.
Then |x - V_pi| <= target / (1 - gamma).  The method may stall or break down on a nonsymmetric matrix; x is then the best iterate seen, and
the caller's Bellman sweep decides what it is worth: no bound ever rests on this file.  Source: van der Vorst (1992).
"""

from __future__ import annotations

import numpy as np

from pgtheory.compiled import kernel
from pgtheory.exact.sweeps import fast_kernel


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


@fast_kernel
def _product(ptr, successors, probabilities, discount, x, y, shadow):  # type: ignore[no-untyped-def]
    """y = (I - discount P) x; returns <shadow, y>."""
    total = 0.0
    for s in range(x.size):
        expected = 0.0
        for j in range(ptr[s], ptr[s + 1]):
            expected += probabilities[j] * x[successors[j]]
        y[s] = x[s] - discount * expected
        total += shadow[s] * y[s]
    return total


@fast_kernel
def _two_products(y, r):  # type: ignore[no-untyped-def]
    """<y, r> and <y, y>."""
    mixed, square = 0.0, 0.0
    for i in range(y.size):
        mixed += y[i] * r[i]
        square += y[i] * y[i]
    return mixed, square


@fast_kernel
def _half_step(r, v, alpha):  # type: ignore[no-untyped-def]
    for i in range(r.size):
        r[i] -= alpha * v[i]


@fast_kernel
def _full_step(x, p, r, y, shadow, alpha, omega):  # type: ignore[no-untyped-def]
    """x += alpha p + omega r, r -= omega y; returns <shadow, r> and <r, r>."""
    mixed, square = 0.0, 0.0
    for i in range(x.size):
        old = r[i]
        x[i] += alpha * p[i] + omega * old
        new = old - omega * y[i]
        r[i] = new
        mixed += shadow[i] * new
        square += new * new
    return mixed, square


@kernel
def bicgstab(ptr, successors, probabilities, paid, discount, x, target, limit):  # type: ignore[no-untyped-def]
    """Improves x in place; returns the number of iterations (two products each)."""
    n = x.size
    r, v, p, y = np.empty(n), np.zeros(n), np.zeros(n), np.empty(n)
    best, shadow = x.copy(), np.empty(n)
    best_residual, used, restarts = np.inf, 0, 0
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
        if residual <= target or used >= limit or (restarts > 0 and not progress):
            break
        restarts += 1
        goal = max(0.7 * target, 1e-13 * residual)
        rho, alpha, omega, beta = 0.0, 1.0, 1.0, 0.0
        for i in range(n):
            shadow[i] = r[i]
            rho += r[i] * r[i]
            v[i] = 0.0
            p[i] = 0.0
        size = rho
        while used < limit:
            used += 1
            _direction(p, r, v, beta, omega)
            projection = _product(ptr, successors, probabilities, discount, p, v, shadow)
            if projection == 0.0:
                break
            alpha = rho / projection
            _half_step(r, v, alpha)
            _product(ptr, successors, probabilities, discount, r, y, shadow)
            mixed, square = _two_products(y, r)
            omega = mixed / square if square > 0.0 else 0.0
            new_rho, size = _full_step(x, p, r, y, shadow, alpha, omega)
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
            break
    x[:] = best
    return used
