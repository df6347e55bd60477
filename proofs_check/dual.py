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

    def __getitem__(self, index: Any) -> Dual:
        whole = index if isinstance(index, tuple) else (index,)
        return Dual(self.value[whole], self.slope[(*whole, slice(None))])

    def __setitem__(self, index: Any, part: Dual) -> None:
        whole = index if isinstance(index, tuple) else (index,)
        self.value[whole], self.slope[(*whole, slice(None))] = part.value, part.slope

    def __sub__(self, other: Dual) -> Dual:
        return Dual(self.value - other.value, self.slope - other.slope)

    def __mul__(self, other: Dual) -> Dual:
        return Dual(self.value * other.value, self.slope * other.value[..., None] + other.slope * self.value[..., None])

    def __truediv__(self, other: Dual) -> Dual:
        quotient = self.value / other.value
        return Dual(quotient, (self.slope - other.slope * quotient[..., None]) / other.value[..., None])


def solve(matrix: Dual, right: Dual) -> Dual:
    """Gaussian elimination without pivoting on (..., n, n) and (..., n), for I - gamma P (whose pivots never vanish)."""
    size = right.value.shape[-1]
    m, x = Dual(matrix.value.copy(), matrix.slope.copy()), Dual(right.value.copy(), right.slope.copy())
    for i in range(size):
        pivot, row, side = m[..., i : i + 1, i], m[..., i : i + 1, i + 1 :], x[..., i : i + 1]
        factor = m[..., i + 1 :, i] / pivot
        m[..., i + 1 :, i + 1 :] = m[..., i + 1 :, i + 1 :] - factor[..., None] * row
        x[..., i + 1 :] = x[..., i + 1 :] - factor * side
    for i in reversed(range(size)):
        x[..., i : i + 1] = x[..., i : i + 1] / m[..., i : i + 1, i]
        x[..., :i] = x[..., :i] - m[..., :i, i] * x[..., i : i + 1]
    return x


def derivative_of_value(c: Context, parameters: str, temperature: Array | None = None) -> Array:
    """dV(mu)/dpi(a|s) ("direct") or dV(mu)/dtheta(s,a) ("softmax") at each record: (B, R, S*A); of the regularised value at a temperature (B,)."""
    policies = c.policies[:, c.now]
    batch, records, states, actions = policies.shape
    zero = c.discount[0] * 0  # in the numbers of this context
    slopes = np.full((batch, records, states, actions, states, actions), zero, dtype=policies.dtype)
    for s in range(states):
        for a in range(actions):
            if parameters == "direct":
                slopes[:, :, s, a, s, a] = zero + 1
                continue
            for b in range(actions):  # d pi(a|s) / d theta(s, b) = pi(a|s) (1[a = b] - pi(b|s))
                slopes[:, :, s, a, s, b] = policies[:, :, s, a] * ((zero + int(a == b)) - policies[:, :, s, b])
    return derivative_along(c, slopes.reshape(batch, records, states, actions, states * actions), temperature)


def derivative_along(c: Context, slopes: Array, temperature: Array | None = None) -> Array:
    """dV(mu) along K directions in which the probabilities move by `slopes` (B, R, S, A, K) at each record: (B, R, K).

    temperature  (B,) of the entropy-regularised value, whose reward is r - tau log pi, the logarithm differentiated too; None: the plain value"""
    policies = c.policies[:, c.now]
    states = policies.shape[2]
    pi = Dual(policies, slopes)
    scaled = (c.discount[:, None, None, None] * c.transitions)[:, None]  # (B, 1, S, A, S')
    chain = Dual(np.einsum("nrsa,nrsat->nrst", pi.value, scaled), np.einsum("nrsak,nrsat->nrstk", pi.slope, scaled))
    identity = c.constant(np.eye(states, dtype=np.int64))
    paid = Dual(c.rewards[:, None] + pi.value * 0, pi.slope * 0)
    if temperature is not None:
        tau = temperature[:, None, None, None]
        log_pi = Dual(c.log_policies[:, c.now], pi.slope / pi.value[..., None])
        paid = Dual(paid.value - tau * log_pi.value, paid.slope - tau[..., None] * log_pi.slope)
    each = pi * paid
    right = Dual(each.value.sum(axis=3), each.slope.sum(axis=3))
    values = solve(Dual(identity - chain.value, -chain.slope), right)
    return np.einsum("ns,nrsk->nrk", c.mu, values.slope)
