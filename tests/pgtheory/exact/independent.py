"""Independent answers for the tests of the solvers: enumeration of deterministic policies, in fractions, by a solver written here."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np

from mdps import MDP
from mdps.rational import fraction


def fractions_of(mdp: MDP) -> tuple[list[list[tuple[list[Fraction], Fraction]]], Fraction]:
    """For every state the list of (successor row, reward) of its actions, and the discount."""
    exact = mdp.exact
    rows = exact.choices.toarray() if hasattr(exact.choices, "indptr") else exact.choices
    pairs = [([fraction(p) for p in row], fraction(r)) for row, r in zip(rows, exact.pair_rewards, strict=True)]
    first = mdp.first_pair.tolist()
    return [pairs[b:e] for b, e in itertools.pairwise(first)], fraction(exact.discount)


def gauss(matrix: list[list[Fraction]], rhs: list[Fraction]) -> list[Fraction]:
    """Gauss-Jordan elimination."""
    n = len(rhs)
    rows = [[*matrix[i], rhs[i]] for i in range(n)]
    for k in range(n):
        pivot = next(i for i in range(k, n) if rows[i][k] != 0)
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [x / rows[k][k] for x in rows[k]]
        for i in range(n):
            if i != k and rows[i][k] != 0:
                rows[i] = [x - rows[i][k] * y for x, y in zip(rows[i], rows[k], strict=True)]
    return [row[n] for row in rows]


def best_of_all_policies(mdp: MDP) -> list[Fraction]:
    """V*: the largest value of any deterministic policy in each state (Puterman 2005, Theorem 6.2.7)."""
    states, gamma = fractions_of(mdp)
    n = len(states)
    best: list[Fraction] | None = None
    for choice in itertools.product(*(range(len(pairs)) for pairs in states)):
        picked = [states[s][a] for s, a in enumerate(choice)]
        matrix = [[Fraction(int(i == j)) - gamma * picked[i][0][j] for j in range(n)] for i in range(n)]
        values = gauss(matrix, [r for _, r in picked])
        best = values if best is None else [max(x, y) for x, y in zip(best, values, strict=True)]
    assert best is not None
    return best


def encloses(solution, exact) -> bool:
    """lower <= V* <= upper in exact arithmetic, and values in between."""
    return all(
        Fraction(float(low)) <= v <= Fraction(float(high)) and low <= middle <= high
        for low, middle, v, high in zip(solution.lower, solution.values, exact, solution.upper, strict=True)
    )


def as_fractions(values: np.ndarray) -> list[Fraction]:
    return [fraction(v) for v in values]
