"""Risk measures the plain way, for one law of Fractions or as a program for somebody else's solver; nothing of the library is used."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from scipy.optimize import linprog


def fractions(values: Any) -> list[Fraction]:
    return [Fraction(int(x.p), int(x.q)) for x in values]


def lower_tail_mean(probabilities: list[Fraction], outcomes: list[Fraction], level: Fraction) -> Fraction:
    """The mean of the worst fraction `level`, atom by atom."""
    left, total = level, Fraction(0)
    for x, p in sorted(zip(outcomes, probabilities, strict=True)):
        used = min(left, p)
        total, left = total + used * x, left - used
    assert left == 0
    return total / level


def cvar_program(probabilities: Any, outcomes: Any, level: float) -> float:
    """min q . x over 0 <= q <= p / level, sum q = 1, by HiGHS."""
    bounds = [(0, p / level) for p in probabilities]
    done = linprog(outcomes, A_eq=np.ones((1, len(outcomes))), b_eq=[1.0], bounds=bounds, method="highs-ds")
    assert done.status == 0, done.message
    return float(done.fun)


def worst_by_cvxpy(text: str, probabilities: Any, outcomes: Any) -> float:
    """min_q q . x + penalty over the dual set of the measure, by Clarabel."""
    import cvxpy as cp

    p, x = np.asarray(probabilities, dtype=float), np.asarray(outcomes, dtype=float)
    kept = p > 0
    p, x = p[kept], x[kept]
    name, _, rest = text.partition(":")
    numbers = [float(Fraction(part)) for part in rest.replace("=", ",").split(",") if part]
    q = cp.Variable(p.size, nonneg=True)
    rules, penalty = [cp.sum(q) == 1], 0
    if name == "cvar":
        rules.append(q * numbers[0] <= p)
    elif name == "mean-cvar":
        part = cp.Variable(p.size, nonneg=True)
        rules += [part * numbers[0] <= p, cp.sum(part) == 1, q == (1 - numbers[1]) * p + numbers[1] * part]
    elif name == "spectral":
        parts = [cp.Variable(p.size, nonneg=True) for _ in numbers[::2]]
        for part, level in zip(parts, numbers[::2], strict=True):
            rules += [part * level <= p, cp.sum(part) == 1]
        rules.append(q == sum(w * part for part, w in zip(parts, numbers[1::2], strict=True)))
    elif name == "semideviation":
        g = cp.Variable(p.size, nonneg=True)
        rules.append(q == p + numbers[0] * (cp.multiply(p, g) - p * (p @ g)))
        rules.append(g <= 1 if len(numbers) == 1 else cp.norm(cp.multiply(np.sqrt(p), g)) <= 1)
    elif name == "evar":
        rules.append(cp.sum(cp.rel_entr(q, p)) <= -np.log(numbers[0]))
    elif name == "entropic":
        penalty = cp.sum(cp.rel_entr(q, p)) / numbers[0]
    else:
        raise ValueError(name)
    problem = cp.Problem(cp.Minimize(x @ q + penalty), rules)
    problem.solve(solver="CLARABEL")
    assert problem.status == "optimal", problem.status
    return float(problem.value)
