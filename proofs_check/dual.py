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
    return derivative_along(c, policy_slopes(c, parameters), temperature)


def policy_slopes(c: Context, parameters: str) -> Array:
    """Derivatives of the probabilities in themselves ("direct") or in the logits ("softmax") at each record: (B, R, S, A, S*A)."""
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
    return slopes.reshape(batch, records, states, actions, states * actions)


def derivative_along(c: Context, slopes: Array, temperature: Array | None = None) -> Array:
    """dV(mu) along K directions in which the probabilities move by `slopes` (B, R, S, A, K) at each record: (B, R, K).

    temperature  (B,) of the entropy-regularised value, whose reward is r - tau log pi, the logarithm differentiated too; None: the plain value"""
    pi = Dual(c.policies[:, c.now], slopes)
    paid = Dual(c.rewards[:, None] + pi.value * 0, pi.slope * 0)
    if temperature is not None:
        tau = temperature[:, None, None, None]
        log_pi = Dual(c.log_policies[:, c.now], pi.slope / pi.value[..., None])
        paid = Dual(paid.value - tau * log_pi.value, paid.slope - tau[..., None] * log_pi.slope)
    each = pi * paid
    right = Dual(each.value.sum(axis=3), each.slope.sum(axis=3))
    values = solve(_resolvent(c, pi), right)
    return np.einsum("ns,nrsk->nrk", c.mu, values.slope)


def occupancy_along(c: Context, slopes: Array) -> Dual:
    """d(s) pi(a|s), normalised to 1, with its derivatives along K directions of the probabilities: a dual number of shape (B, R, S, A)."""
    pi = Dual(c.policies[:, c.now], slopes)
    matrix = _resolvent(c, pi)
    across = Dual(matrix.value.swapaxes(2, 3), matrix.slope.swapaxes(2, 3))
    start = ((1 - c.discount)[:, None] * c.mu)[:, None] + pi.value[:, :, :, 0] * 0
    visits = solve(across, Dual(start, pi.slope[:, :, :, 0] * 0))
    return Dual(visits.value[..., None], visits.slope[..., None, :]) * pi


def _resolvent(c: Context, pi: Dual) -> Dual:
    """I - gamma P_pi, (B, R, S, S)."""
    scaled = (c.discount[:, None, None, None] * c.transitions)[:, None]  # (B, 1, S, A, S')
    chain = Dual(np.einsum("nrsa,nrsat->nrst", pi.value, scaled), np.einsum("nrsak,nrsat->nrstk", pi.slope, scaled))
    return Dual(c.constant(np.eye(chain.value.shape[-1], dtype=np.int64)) - chain.value, -chain.slope)
