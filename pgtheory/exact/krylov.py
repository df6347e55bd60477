"""BiCGSTAB for the value of one policy, written for rows that are few and short.

    (I - gamma P) x = r,     residual  r + gamma P x - x

stops when the residual, computed anew from x (not the one the recursion carries, which drifts), is at most `target` in the largest entry.
Then |x - V_pi| <= target / (1 - gamma).  The method may stall or break down on a nonsymmetric matrix; x is then the best iterate seen, and
the caller's Bellman sweep decides what it is worth: no bound ever rests on this file.  Source: van der Vorst (1992).
"""

from __future__ import annotations

import numpy as np

from pgtheory.compiled import kernel


@kernel
def apply_resolvent(ptr, successors, probabilities, discount, x, y):  # type: ignore[no-untyped-def]
    """y = (I - discount P) x."""
    for s in range(x.size):
        expected = 0.0
        for j in range(ptr[s], ptr[s + 1]):
            expected += probabilities[j] * x[successors[j]]
        y[s] = x[s] - discount * expected


@kernel
def bicgstab(ptr, successors, probabilities, paid, discount, x, target, limit):  # type: ignore[no-untyped-def]
    """Improves x in place; returns the number of iterations (two products each)."""
    n = x.size
    r, v, p, s_product = np.empty(n), np.zeros(n), np.zeros(n), np.empty(n)
    best, shadow = x.copy(), np.empty(n)
    best_residual, used, restarts = np.inf, 0, 0
    while True:
        apply_resolvent(ptr, successors, probabilities, discount, x, r)
        residual = 0.0
        for i in range(n):
            r[i] = paid[i] - r[i]
            residual = max(residual, abs(r[i]))
        if residual < best_residual:
            progress = residual < 0.5 * best_residual
            best_residual = residual
            best[:] = x
        else:
            progress = False
        if residual <= target or used >= limit or (restarts > 0 and not progress):
            break
        restarts += 1
        goal = max(0.5 * target, 1e-13 * residual)
        rho, alpha, omega = 1.0, 1.0, 1.0
        for i in range(n):
            shadow[i] = r[i]
            v[i] = 0.0
            p[i] = 0.0
        while used < limit:
            used += 1
            new_rho = 0.0
            for i in range(n):
                new_rho += shadow[i] * r[i]
            if new_rho == 0.0 or omega == 0.0:
                break
            beta = new_rho / rho * alpha / omega
            rho = new_rho
            for i in range(n):
                p[i] = r[i] + beta * (p[i] - omega * v[i])
            apply_resolvent(ptr, successors, probabilities, discount, p, v)
            projection = 0.0
            for i in range(n):
                projection += shadow[i] * v[i]
            if projection == 0.0:
                break
            alpha = rho / projection
            for i in range(n):
                r[i] -= alpha * v[i]
            apply_resolvent(ptr, successors, probabilities, discount, r, s_product)
            top, bottom = 0.0, 0.0
            for i in range(n):
                top += s_product[i] * r[i]
                bottom += s_product[i] * s_product[i]
            omega = top / bottom if bottom > 0.0 else 0.0
            residual = 0.0
            for i in range(n):
                x[i] += alpha * p[i] + omega * r[i]
                r[i] -= omega * s_product[i]
                residual = max(residual, abs(r[i]))
            if residual <= goal or not residual < 1e300:
                break
        finite = True
        for i in range(n):
            if not abs(x[i]) < 1e300:
                finite = False
        if not finite:
            x[:] = best
            break
    x[:] = best
    return used
