"""Linear-quadratic regulators: exact cost, gradient, natural gradient and Gauss-Newton steps for linear policies u = -K x.

    x' = A x + B u,   cost sum_t gamma^t (x'Q x + u'R u),   E x_0 x_0' = S0,   M = sqrt(gamma) (A - B K)

    P_K = Q + K'RK + M'P_K M          cost-to-go x'P_K x;     C(K) = tr(P_K S0)
    X_K = S0 + M X_K M'               (discounted) second moment of the states
    E_K = (R + gamma B'P_K B) K - gamma B'P_K A               grad C(K) = 2 E_K X_K

    natural gradient   K - eta grad C(K) X_K^-1 = K - 2 eta E_K
    Gauss-Newton       K - 2 eta (R + gamma B'P_K B)^-1 E_K;  eta = 1/2 is policy iteration

Both Lyapunov equations are linear systems of n^2 unknowns: every function here is plain array code and serves floats, rationals and balls; a
leading batch axis is allowed throughout.

Average cost: with x' = A x + B u + w, E w = 0, E ww' = W, the long-run cost of a step is tr(P_K W), so S0 = W makes every line above one about the
average cost; X_K is then the stationary second moment (`LinearQuadratic.average`).

Both steps keep a stabilising gain stabilising where Q > 0: Gauss-Newton for 0 < eta < 1, natural gradient for 0 < eta < 1/|R + gamma B'P_K B|.
Fazel, Ge, Kakade, Mesbahi (2018).  Derivation: docs/theory/control.md.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mdps.errors import ModelError, nearest
from pgtheory import arithmetic

Array = np.ndarray


def transpose(matrix: Array) -> Array:
    """The last two axes exchanged."""
    return np.swapaxes(matrix, -1, -2)


def product(*matrices: Array) -> Array:
    """Matrix product of arrays (..., n, k), (..., k, m), ... in any arithmetic."""
    out = matrices[0]
    for matrix in matrices[1:]:
        out = np.einsum("...ij,...jk->...ik", out, matrix)
    return out


def lyapunov(step: Array, constant: Array) -> Array:
    """X with X = constant + step X step', for (B, n, n); a solution that means something needs a spectral radius of `step` below 1."""
    batch, n = step.shape[0], step.shape[-1]
    kron = np.einsum("bij,bkl->bikjl", step, step).reshape(batch, n * n, n * n)
    system = -kron
    diagonal = np.arange(n * n)
    system[:, diagonal, diagonal] = system[:, diagonal, diagonal] + 1
    return arithmetic.solve(system, constant.reshape(batch, n * n)).reshape(batch, n, n)


@dataclasses.dataclass(frozen=True)
class LinearQuadratic:
    """Batches of regulators: arrays (B, n, n), (B, n, m), (B, n, n), (B, m, m), (B, n, n) in one arithmetic.

    A discount is folded in: A and B are scaled by sqrt(gamma).  For floats use `LinearQuadratic.of`, which checks shapes, symmetry and definiteness.
    """

    A: Array
    B: Array
    Q: Array
    R: Array
    start: Array  # E x_0 x_0'

    @classmethod
    def of(cls, A: Any, B: Any, Q: Any, R: Any, start: Any = None, discount: float = 1.0) -> LinearQuadratic:
        """One regulator in floats.

        raises   ModelError: shapes that do not fit; Q or start not positive semidefinite, R not positive definite; discount outside (0, 1]"""
        a, b, q, r = (np.atleast_2d(np.asarray(x, dtype=np.float64)) for x in (A, B, Q, R))
        n = a.shape[0]
        if b.shape[0] != n and b.shape == (1, n):
            b = b.T
        s = np.eye(n) if start is None else np.atleast_2d(np.asarray(start, dtype=np.float64))
        if not 0 < discount <= 1:
            raise ModelError(f"discount is {discount}; it must lie in (0, 1]")
        m = b.shape[1]
        for name, given, shape in (("A", a, (n, n)), ("B", b, (n, m)), ("Q", q, (n, n)), ("R", r, (m, m)), ("start", s, (n, n))):
            if given.shape != shape:
                raise ModelError(f"{name} has shape {given.shape}; it must be {shape}")
            if not np.isfinite(given).all():
                raise ModelError(f"{name} has an entry that is not finite")
        for name, given, least in (("Q", q, 0.0), ("start", s, 0.0), ("R", r, None)):
            if not np.allclose(given, given.T):
                raise ModelError(f"{name} is not symmetric")
            low = float(np.linalg.eigvalsh(given)[0])
            if (least is None and low <= 0) or (least is not None and low < -1e-12 * np.abs(given).max(initial=1.0)):
                raise ModelError(f"{name} has the eigenvalue {low:g}; it must be {'above 0' if least is None else 'at least 0'}")
        root = np.sqrt(discount)
        return cls(root * a[None], root * b[None], q[None], r[None], s[None])

    @classmethod
    def average(cls, A: Any, B: Any, Q: Any, R: Any, noise: Any = None) -> LinearQuadratic:
        """One regulator in floats for the long-run average cost under noise of second moment `noise` (n, n), the identity if left out: `cost` is the
        average cost of a step, `moments` the stationary second moment.

        raises   ModelError: as `of`"""
        return cls.of(A, B, Q, R, noise)

    def closed_loop(self, gain: Array) -> Array:
        """A - B K, (B, n, n)."""
        return self.A - product(self.B, gain)

    def cost_matrix(self, gain: Array) -> Array:
        """P_K, (B, n, n): the cost from x is x'P_K x."""
        return lyapunov(transpose(self.closed_loop(gain)), self.Q + product(transpose(gain), self.R, gain))

    def moments(self, gain: Array) -> Array:
        """X_K = sum_t E x_t x_t', (B, n, n)."""
        return lyapunov(self.closed_loop(gain), self.start)

    def cost(self, gain: Array) -> Array:
        """C(K), (B,)."""
        return (self.cost_matrix(gain) * self.start).sum(axis=(-1, -2))

    def residual(self, gain: Array) -> Array:
        """E_K = (R + B'P_K B) K - B'P_K A, (B, m, n): 0 at the optimum only."""
        cost = self.cost_matrix(gain)
        return product(self.weight(cost), gain) - product(transpose(self.B), cost, self.A)

    def weight(self, cost: Array) -> Array:
        """R + B'P B, (B, m, m)."""
        return self.R + product(transpose(self.B), cost, self.B)

    def gradient(self, gain: Array) -> Array:
        """grad C(K) = 2 E_K X_K, (B, m, n)."""
        return 2 * product(self.residual(gain), self.moments(gain))

    def gauss_newton(self, gain: Array, step_size: Any = None) -> Array:
        """K - 2 eta (R + B'P_K B)^-1 E_K; eta = 1/2 (left out) is policy iteration."""
        cost = self.cost_matrix(gain)
        weight, residual = self.weight(cost), self.residual(gain)
        columns = [arithmetic.solve(weight, residual[..., k]) for k in range(residual.shape[-1])]
        full = np.stack(columns, axis=-1)
        return gain - full if step_size is None else gain - 2 * step_size * full

    def natural_gradient(self, gain: Array, step_size: Any) -> Array:
        """K - 2 eta E_K."""
        return gain - 2 * step_size * self.residual(gain)

    def gradient_step(self, gain: Array, step_size: Any) -> Array:
        """K - eta grad C(K)."""
        return gain - step_size * self.gradient(gain)

    def is_stable(self, gain: Array) -> Array:
        """(B,) booleans, in floats: whether the spectral radius of A - B K is below 1."""
        return np.abs(np.linalg.eigvals(np.asarray(self.closed_loop(gain), dtype=np.float64))).max(axis=-1) < 1

    def require_stable(self, gain: Array) -> None:
        """raises   ModelError: a gain that does not stabilise (its Lyapunov solutions are no costs); names the spectral radius"""
        loop = np.asarray(self.closed_loop(gain), dtype=np.float64)
        if not np.isfinite(loop).all():
            raise ModelError("the gain has an entry that is not finite")
        radii = np.abs(np.linalg.eigvals(loop)).max(axis=-1)
        if (radii >= 1).any():
            k = int(radii.argmax())
            where = "" if radii.size == 1 else f" of regulator {k}"
            raise ModelError(f"the gain{where} does not stabilise: A - B K has the spectral radius {radii[k]:.6g}, so the cost is infinite")

    def largest_natural_step(self, gain: Array) -> Array:
        """(B,) floats: 1/(2 |R + B'P_K B|), up to which the natural gradient's rate holds; it stays valid along the run, as P_K falls."""
        return 1 / (2 * np.linalg.norm(self.weight(self.cost_matrix(gain)), 2, axis=(-2, -1)))

    def gap_bound(self, gain: Array) -> Array:
        """(B,) floats: C(K) - C(K*) <= C(K) / sigma_min(Q) tr E'W^-1 E with W = R + B'P_K B: a bound that needs no optimum; inf where Q is singular.

        raises   ModelError: the gain does not stabilise"""
        self.require_stable(gain)
        residual = self.residual(gain)
        weighted = np.linalg.solve(self.weight(self.cost_matrix(gain)), residual)
        least = np.linalg.eigvalsh(self.Q)[:, 0]
        with np.errstate(divide="ignore"):
            return np.where(least > 0, self.cost(gain) / np.maximum(least, 0) * (residual * weighted).sum(axis=(-1, -2)), np.inf)

    def descend(self, gain: Any, method: str = "gauss-newton", step_size: float | None = None, iterations: int = 100) -> tuple[Array, Array]:
        """Gains (iterations + 1, B, m, n) and costs (iterations + 1, B), in floats.

        method      "gauss-newton" (step 1/2 if left out), "natural" (the largest step of its rate, at the first gain) or "gradient" (which has no
                    step that serves every problem: it must be given)
        raises      ModelError: a gain that does not stabilise, at the start or after a step that was too long; an unknown method; no step size"""
        gain = np.asarray(gain, dtype=np.float64)
        gain = gain[None] if gain.ndim == 2 else gain
        steps = {"gauss-newton": self.gauss_newton, "natural": self.natural_gradient, "gradient": self.gradient_step}
        if method not in steps:
            raise ModelError(f"unknown method {method!r}; it is one of {', '.join(steps)}.{nearest(method, list(steps))}")
        if step_size is not None and not (np.isfinite(step_size) and step_size > 0):
            raise ModelError(f"step_size is {step_size}; it must be positive")
        self.require_stable(gain)
        size: Any = step_size
        if step_size is None:
            if method == "gradient":
                raise ModelError("gradient descent needs a step_size; the largest good one depends on the problem and on the gain")
            size = 0.5 if method == "gauss-newton" else self.largest_natural_step(gain)[:, None, None]
        gains, costs = [gain], [self.cost(gain)]
        for k in range(iterations):
            gain = steps[method](gain, size)
            try:
                self.require_stable(gain)
            except ModelError as error:
                raise ModelError(f"step {k + 1} of {method} left the stabilising gains, its step size is too long: {error}") from error
            gains.append(gain)
            costs.append(self.cost(gain))
        return np.stack(gains), np.stack(costs)

    def optimal_gain(self) -> Array:
        """K*, (B, m, n) in floats, from the Riccati equation (`scipy.linalg.solve_discrete_are`).

        raises   ModelError: no gain stabilises, or an unobserved mode on the unit circle, so that there is no stabilising solution"""
        from scipy.linalg import solve_discrete_are

        gains = []
        for a, b, q, r in zip(self.A, self.B, self.Q, self.R, strict=True):
            try:
                cost = solve_discrete_are(a, b, q, r)
            except np.linalg.LinAlgError as error:
                raise ModelError(f"the Riccati equation has no stabilising solution: {error}") from error
            gains.append(np.linalg.solve(r + b.T @ cost @ b, b.T @ cost @ a))
        best = np.stack(gains)
        self.require_stable(best)
        return best
