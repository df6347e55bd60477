"""Shooting: the controls of a finite linear-quadratic problem as plain numbers, their gradient, its conditioning, and its bias in a wrong model.

    x_{t+1} = A x_t + B u_t,   u_t = v_t - K x_t,   cost f(v) = sum_{t=1}^H x_t'Q x_t + sum_{t<H} u_t'R u_t       (plan v (H, m), feedback K)

    costates   l_H = 2 Q x_H,   l_t = 2 Q x_t - 2 K'R u_t + (A - B K)' l_{t+1};      gradient   df/dv_t = 2 R u_t + B' l_{t+1}

f is quadratic: with the responses x = G v, u = U v (from x_0 = 0) its Hessian is 2 (G'QG + U'RU), so gradient descent contracts the gap by
((kappa - 1)/(kappa + 1))^2 at best, kappa the condition number.  For A = a, B = Q = 1, R = lam and no feedback

    |a| < 1    kappa <= (lam + (1 - |a|)^-2) / (lam + (1 + |a|)^-2),  whatever the horizon
    any a      kappa >= (lam + 1 + a^2 + ... + a^(2H-2)) / (lam + 1),  exponential in H where |a| > 1;   a feedback K puts c = a - K in its place.

In a wrong model A^ the costates run through A^ - B K along the true trajectory ("feedback is all you need": the states are measured).  Costates of
the two then differ by at most  sum_k k rho^(k-1) |A^ - A| |c_{t+k}|,  c_t = 2 Q x_t - 2 K'R u_t, rho the larger norm of the two closed loops.
Plain array code over floats, rationals and balls; leading batch axes are allowed.  Derivation: docs/theory/control.md.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mdps.errors import ModelError
from pgtheory import arithmetic
from pgtheory.linear_quadratic import product, transpose

Array = np.ndarray


def row_sum_norm(matrix: Array) -> Array:
    """Largest sum of absolute values along a row, (...): the operator norm for the largest entry of a vector; rational of rationals."""
    return arithmetic.maximum(arithmetic.absolute(matrix).sum(axis=-1), axis=-1)


def power_errors(own: Array, model: Array, count: int) -> tuple[Array, Array]:
    """(|A^k - A^^k|, k |A - A^| max(|A|, |A^|)^(k-1)) for k = 1..count, each (..., count), in the row-sum norm: the first is at most the second.

    own   A, the true matrices (..., n, n);  model   A^, the assumed ones
    """
    error, most = row_sum_norm(own - model), _larger(row_sum_norm(own), row_sum_norm(model))
    measured, bounds, power, other, factor = [], [], own, model, most * 0 + 1
    for k in range(1, count + 1):
        measured.append(row_sum_norm(power - other))
        bounds.append(k * error * factor)
        power, other, factor = product(power, own), product(other, model), factor * most
    return np.stack(measured, axis=-1), np.stack(bounds, axis=-1)


def biased_step_size(error_share: float, smoothness: float) -> float:
    """1/L: with |g^ - g| <= theta |g|, theta < 1, a step v - alpha g^ with alpha <= 1/L lowers an L-smooth f by at least alpha/2 (1 - theta^2) |g|^2.

    error_share   theta;  smoothness   L
    raises   ModelError: theta outside [0, 1) (then the step may ascend), or a smoothness that is not positive"""
    if not 0 <= error_share < 1:
        raise ModelError(f"error_share is {error_share}; it must lie in [0, 1): with an error as large as the gradient a step may ascend")
    if not (smoothness > 0 and np.isfinite(smoothness)):
        raise ModelError(f"smoothness is {smoothness}; it must be positive")
    return 1 / smoothness


@dataclasses.dataclass(frozen=True)
class Shooting:
    """Arrays (..., n, n), (..., n, m), (..., n, n), (..., m, m), (..., n), (..., m, n) in one arithmetic; `Shooting.of` checks one float problem."""

    A: Array
    B: Array
    Q: Array
    R: Array
    start: Array  # x_0
    feedback: Array  # K
    horizon: int

    @classmethod
    def of(cls, A: Any, B: Any, Q: Any, R: Any, start: Any, horizon: int, feedback: Any = None) -> Shooting:
        """One problem in floats; no feedback if left out.

        raises   ModelError: shapes that do not fit, entries that are not finite, costs that are not semidefinite (R not definite), no horizon"""
        a, b, q, r = (np.atleast_2d(np.asarray(x, dtype=np.float64)) for x in (A, B, Q, R))
        n, m = a.shape[0], b.shape[1]
        x = np.atleast_1d(np.asarray(start, dtype=np.float64))
        k = np.zeros((m, n)) if feedback is None else np.atleast_2d(np.asarray(feedback, dtype=np.float64))
        shapes = (("A", a, (n, n)), ("B", b, (n, m)), ("Q", q, (n, n)), ("R", r, (m, m)), ("start", x, (n,)), ("feedback", k, (m, n)))
        for name, given, shape in shapes:
            if given.shape != shape:
                raise ModelError(f"{name} has shape {given.shape}; it must be {shape}")
            if not np.isfinite(given).all():
                raise ModelError(f"{name} has an entry that is not finite")
        for name, given in (("Q", q), ("R", r)):
            low = float(np.linalg.eigvalsh((given + given.T) / 2)[0])
            if not np.allclose(given, given.T):
                raise ModelError(f"{name} is not symmetric")
            if low < -1e-12 * np.abs(given).max(initial=1.0) or (name == "R" and low <= 0):
                raise ModelError(f"{name} has the eigenvalue {low:g}; it must be {'above 0' if name == 'R' else 'at least 0'}")
        if horizon < 1:
            raise ModelError(f"horizon is {horizon}; it must be at least 1")
        return cls(a, b, q, r, x, k, horizon)

    @property
    def closed_loop(self) -> Array:
        """A - B K, (..., n, n)."""
        return self.A - product(self.B, self.feedback)

    def roll(self, plan: Array, start: Array | None = None) -> tuple[Array, Array]:
        """States x_0..x_H (..., H + 1, n) and controls u_0..u_{H-1} (..., H, m) under the plan (..., H, m)."""
        states, controls = [self.start if start is None else start], []
        for t in range(self.horizon):
            controls.append(plan[..., t, :] - _apply(self.feedback, states[-1]))
            states.append(_apply(self.A, states[-1]) + _apply(self.B, controls[-1]))
        return np.stack(states, axis=-2), np.stack(controls, axis=-2)

    def cost(self, plan: Array) -> Array:
        """f(v), (...)."""
        states, controls = self.roll(plan)
        paid = np.einsum("...ti,...ij,...tj->...", states[..., 1:, :], self.Q, states[..., 1:, :])
        return paid + np.einsum("...ti,...ij,...tj->...", controls, self.R, controls)

    def cost_slopes(self, plan: Array) -> Array:
        """c_t = 2 Q x_t - 2 K'R u_t for t = 1..H (u_H = 0), (..., H, n): what a state costs directly."""
        states, controls = self.roll(plan)
        slopes = 2 * np.einsum("...ij,...tj->...ti", self.Q, states[..., 1:, :])
        through = 2 * np.einsum("...ki,...kl,...tl->...ti", self.feedback, self.R, controls[..., 1:, :])
        slopes[..., :-1, :] = slopes[..., :-1, :] - through
        return slopes

    def gradient(self, plan: Array, model: Array | None = None) -> Array:
        """df/dv (..., H, m); with `model` (..., n, n) in place of A in the costates, and the true trajectory."""
        controls, slopes = self.roll(plan)[1], self.cost_slopes(plan)
        loop = transpose(self.closed_loop if model is None else model - product(self.B, self.feedback))
        costate, out = slopes[..., -1, :], []
        for t in reversed(range(self.horizon)):
            out.append(2 * _apply(self.R, controls[..., t, :]) + _apply(transpose(self.B), costate))
            if t:
                costate = slopes[..., t - 1, :] + _apply(loop, costate)
        return np.stack(out[::-1], axis=-2)

    def gradient_error_bound(self, plan: Array, model: Array) -> Array:
        """(..., H): at most by this the entries of df/dv_t move if the costates run through `model`: |B'| |A - A^|' sum_k k rho^(k-1) |c_{t+1+k}|."""
        sizes = arithmetic.maximum(arithmetic.absolute(self.cost_slopes(plan)), axis=-1)
        own, other = transpose(self.closed_loop), transpose(model - product(self.B, self.feedback))
        rho, scale = _larger(row_sum_norm(own), row_sum_norm(other)), row_sum_norm(transpose(self.B)) * row_sum_norm(own - other)
        out = []
        for t in range(self.horizon):
            total, factor = scale * 0, scale * 0 + 1
            for k in range(1, self.horizon - t):
                total = total + k * factor * sizes[..., t + k]
                factor = factor * rho
            out.append(scale * total)
        return np.stack(out, axis=-1)

    def hessian(self) -> Array:
        """2 (G'QG + U'RU), (..., H m, H m): of f in the plan, entry (t, j) at t m + j."""
        m = self.B.shape[-1]
        rest, moved, acted = self.start * 0, [], []
        for column in range(self.horizon * m):
            plan = np.stack([np.stack([rest[..., 0] + int(t * m + j == column) for j in range(m)], axis=-1) for t in range(self.horizon)], axis=-2)
            states, controls = self.roll(plan, rest)
            moved.append(states[..., 1:, :])
            acted.append(controls)
        g, u = np.stack(moved, axis=-1), np.stack(acted, axis=-1)
        return 2 * (np.einsum("...tik,...ij,...tjl->...kl", g, self.Q, g) + np.einsum("...tik,...ij,...tjl->...kl", u, self.R, u))

    def best_plan(self) -> Array:
        """The minimiser of f, (..., H, m)."""
        zero = np.stack([_apply(transpose(self.B), self.start) * 0] * self.horizon, axis=-2)
        slope = self.gradient(zero)
        moved = arithmetic.solve(self.hessian(), slope.reshape(*slope.shape[:-2], -1))
        return zero - moved.reshape(slope.shape)

    def extremes(self) -> tuple[float, float]:
        """Smallest and largest eigenvalue of the Hessian of one float problem; best step 2 over their sum, condition number their ratio."""
        values = np.linalg.eigvalsh(self.hessian())
        return float(values[0]), float(values[-1])

    def descend(self, plan: Any, step_size: float | None = None, iterations: int = 100, model: Any = None) -> tuple[Array, Array]:
        """Plans (iterations + 1, H, m) and costs (iterations + 1,) of gradient descent on one float problem, with the best step if none is given.

        raises   ModelError: a plan of another shape, a step size that is not positive"""
        plan = np.asarray(plan, dtype=np.float64)
        shape = (self.horizon, self.B.shape[-1])
        if plan.shape != shape:
            raise ModelError(f"the plan has shape {plan.shape}; it must be {shape}")
        if step_size is None:
            step_size = 2 / sum(self.extremes())
        if not (np.isfinite(step_size) and step_size > 0):
            raise ModelError(f"step_size is {step_size}; it must be positive")
        plans = [plan]
        for _ in range(iterations):
            plans.append(plans[-1] - step_size * self.gradient(plans[-1], None if model is None else np.atleast_2d(model)))
        return np.stack(plans), np.array([self.cost(p) for p in plans])


def _apply(matrix: Array, vector: Array) -> Array:
    return np.einsum("...ij,...j->...i", matrix, vector)


def _larger(a: Array, b: Array) -> Array:
    return arithmetic.maximum(np.stack([np.asarray(a), np.asarray(b)], axis=-1), axis=-1)


def condition_bounds(a: Any, weight: Any, horizon: int, feedback: Any = 0) -> tuple[Any, Any]:
    """(least, most): bounds of the condition number of the scalar problem x' = a x + u, cost x^2 + weight u^2, with u = v - feedback x.

    The upper one does not depend on the horizon, and is None where |a - feedback| >= 1.

    raises   ModelError: a weight below 0, or no horizon"""
    if weight < 0:
        raise ModelError(f"weight is {weight}; it must be at least 0")
    if horizon < 1:
        raise ModelError(f"horizon is {horizon}; it must be at least 1")
    loop = a - feedback
    if feedback == 0:
        least = (weight + sum((loop * loop) ** k for k in range(horizon))) / (weight + 1)
    else:
        least = 1
    if not abs(loop) < 1:
        return least, None
    far, near = 1 / (1 - abs(loop)), 1 / (1 + abs(loop))
    if feedback == 0:
        return least, (weight + far * far) / (weight + near * near)
    act = 1 + abs(feedback) * far
    return least, (far * far + weight * act * act) / (near * near)
