"""The worst case of each set as a program for somebody else's solver: linear programs for HiGHS, conic ones for Clarabel."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import linprog


def linear(p: Any, v: Any, rows: Any, bounds: Any) -> float:
    """min q . v over the simplex and rows = (matrix over (q, slack), right-hand side), with `bounds` of all variables."""
    matrix, side = rows
    extra = matrix.shape[1] - p.size
    done = linprog(
        np.r_[v, np.zeros(extra)], matrix, side, np.r_[np.ones(p.size), np.zeros(extra)][None], [1.0], bounds, method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )  # fmt: skip
    assert done.status == 0, done.message
    return done.fun


def l1(p: Any, v: Any, radius: float, support: str, weights: Any = None) -> float:
    n = p.size
    eye, w = np.eye(n), np.ones(n) if weights is None else weights
    matrix = np.block([[eye, -eye], [-eye, -eye], [np.zeros((1, n)), w[None]]])
    top = [None if support == "all" or x > 0 else 0.0 for x in p]
    return linear(p, v, (matrix, np.r_[p, -p, radius]), [(0, t) for t in top] + [(0, None)] * n)


def linf(p: Any, v: Any, radius: float, support: str) -> float:
    bounds = [(max(x - radius, 0.0), x + radius if support == "all" or x > 0 else 0.0) for x in p]
    return linear(p, v, (np.zeros((1, p.size)), np.zeros(1)), bounds)


def wasserstein(p: Any, v: Any, radius: float, cost: Any, support: str) -> float:
    """Variables: the coupling of p and q."""
    n = p.size
    marginal = np.kron(np.eye(n), np.ones((1, n)))
    bounds = [(0, None if support == "all" or p[j] > 0 else 0.0) for _ in range(n) for j in range(n)]
    done = linprog(np.tile(v, n), cost.reshape(1, -1), [radius], marginal, p, bounds, method="highs-ds")
    assert done.status == 0, done.message
    return done.fun


def conic(p: Any, v: Any, kind: str, radius: float, support: str = "nominal") -> float:
    """KL, chi2, L2 balls and the entropic price with cvxpy and Clarabel."""
    import cvxpy as cp

    on = np.flatnonzero(p > 0) if support == "nominal" else np.arange(p.size)
    q, nominal = cp.Variable(on.size, nonneg=True), p[on]
    objective = v[on] @ q
    limits = [cp.sum(q) == 1]
    if kind == "kl":
        limits.append(cp.sum(cp.rel_entr(q, nominal)) <= radius)
    elif kind == "chi2":
        limits.append(cp.sum_squares(cp.multiply(q - nominal, 1 / np.sqrt(nominal))) <= radius)
    elif kind == "l2":
        limits.append(cp.norm2(q - nominal) <= radius)
    else:
        objective = objective + cp.sum(cp.rel_entr(q, nominal)) / radius
    problem = cp.Problem(cp.Minimize(objective), limits)
    problem.solve(solver="CLARABEL")
    return float(problem.value)


def transport(p: Any, q: Any, cost: Any) -> float:
    """The cheapest coupling of p and q."""
    n = p.size
    marginals = np.vstack([np.kron(np.eye(n), np.ones((1, n))), np.kron(np.ones((1, n)), np.eye(n))])
    done = linprog(np.asarray(cost, dtype=float).reshape(-1), A_eq=marginals, b_eq=np.r_[p, q], method="highs-ds")
    assert done.status == 0, done.message
    return done.fun
