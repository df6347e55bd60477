"""Derivatives without calculus: dual numbers a + b e (e^2 = 0) pushed through plain Gaussian elimination.

This is the second, independent way to the policy gradient: nothing of the theorem (visits, advantages) is used, only V = (I - gamma P)^-1 r
and the rules of dual arithmetic.  The entries may be floats, rationals, balls or rational functions, so the comparison is as exact as they.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


class Dual:
    """value + sum_k slope_k e_k: `value` has shape (...), `slope` (..., K)."""

    __slots__ = ("slope", "value")

    def __init__(self, value: Array, slope: Array) -> None:
        self.value, self.slope = value, slope

    def __add__(self, other: Dual) -> Dual:
        return Dual(self.value + other.value, self.slope + other.slope)

    def __sub__(self, other: Dual) -> Dual:
        return Dual(self.value - other.value, self.slope - other.slope)

    def __mul__(self, other: Dual) -> Dual:
        return Dual(self.value * other.value, self.slope * other.value[..., None] + other.slope * self.value[..., None])

    def __truediv__(self, other: Dual) -> Dual:
        quotient = self.value / other.value
        return Dual(quotient, (self.slope - other.slope * quotient[..., None]) / other.value[..., None])


def solve(matrix: list[list[Dual]], right: list[Dual]) -> list[Dual]:
    """Gaussian elimination without pivoting, for I - gamma P (whose pivots never vanish)."""
    size = len(right)
    matrix, right = [list(row) for row in matrix], list(right)
    for i in range(size):
        for row in range(i + 1, size):
            factor = matrix[row][i] / matrix[i][i]
            for column in range(i + 1, size):
                matrix[row][column] = matrix[row][column] - factor * matrix[i][column]
            right[row] = right[row] - factor * right[i]
    for i in reversed(range(size)):
        for column in range(i + 1, size):
            right[i] = right[i] - matrix[i][column] * right[column]
        right[i] = right[i] / matrix[i][i]
    return right


def derivative_of_value(c: Context, parameters: str) -> Array:
    """dV(mu)/dpi(a|s) ("direct") or dV(mu)/dtheta(s,a) ("softmax") at each record: (B, R, S*A)."""
    policies = c.policies[:, c.now]
    batch, records, states, actions = policies.shape
    zero = c.discount[0] * 0
    slopes = np.full((batch, records, states, actions, states, actions), zero, dtype=policies.dtype)
    for s in range(states):
        for a in range(actions):
            if parameters == "direct":
                slopes[:, :, s, a, s, a] = zero + 1
                continue
            for b in range(actions):  # d pi(a|s) / d theta(s, b) = pi(a|s) (1[a = b] - pi(b|s))
                slopes[:, :, s, a, s, b] = policies[:, :, s, a] * ((zero + int(a == b)) - policies[:, :, s, b])
    flat = slopes.reshape(batch, records, states, actions, states * actions)
    pi = [[Dual(policies[:, :, s, a], flat[:, :, s, a]) for a in range(actions)] for s in range(states)]

    def constant(number: Any) -> Dual:
        value = np.full((batch, records), zero, dtype=policies.dtype) + number
        return Dual(value, np.full((*value.shape, states * actions), zero, dtype=policies.dtype))

    matrix, right = [], []
    for s in range(states):
        row = []
        for u in range(states):
            entry = constant(zero + int(s == u))
            for a in range(actions):
                entry = entry - pi[s][a] * constant((c.discount * c.transitions[:, s, a, u])[:, None])
            row.append(entry)
        matrix.append(row)
        paid = constant(zero)
        for a in range(actions):
            paid = paid + pi[s][a] * constant(c.rewards[:, s, a][:, None])
        right.append(paid)
    values = solve(matrix, right)
    total = constant(zero)
    for s in range(states):
        total = total + values[s] * constant(c.mu[:, s][:, None])
    return total.slope
