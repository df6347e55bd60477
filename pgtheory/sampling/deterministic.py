"""Off-policy deterministic policy gradients for the average cost of a linear-quadratic regulator: exact mean, covariance and bias; learned critics.

x' = A x + B u + w, cost x'Qx + u'Ru, target u = -K x; the data come from the behaviour u = -K_b x + e with noise e of second moment S_e.  With P_K,
E_K of `pgtheory.linear_quadratic` the differential action value of the target is

    q(x, u) = z' T z + const,   z = (x, u),   T = [Q + A'PA, A'PB; B'PA, R + B'PB],        grad_u q(x, -K x) = -2 E_K x,
    E_K = T_uu K - T_ux

so the deterministic gradient with states of the stationary law of the behaviour, second moment X_b = (A - B K_b) X_b (A - B K_b)' + B S_e B' + W, is

    g = 2 E_K x x',      E g = 2 E_K X_b,      the true gradient is 2 E_K X_K:      bias 2 E_K (X_b - X_K)

(Silver et al. 2014; Saxena, Khastagir, Kolathaya and Bhatnagar 2023 for the average).  The bias does not move the optimum: X_b is regular where W is
or the noise reaches every state, and then E g = 0 iff E_K = 0.  E g X_b^-1 / 2 = E_K is the natural gradient, whatever the behaviour was; the plain
E g descends in one dimension, and need not in several.  For x ~ N(0, X_b), y = 2 E_K x (Isserlis)

    Cov(g_ij, g_kl) = Cov(y_i, y_k) X_jl + Cov(y_i, x_l) Cov(x_j, y_k).

A critic that knows no model: T and the average cost c solve E phi(z) (phi(z) - phi(z+)) . T + E phi(z) c = E phi(z) cost with z+ = (x', -K x')
and phi the products of z and 1 (least-squares temporal differences): exact in the limit, from data of any behaviour with noise in every control.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mdps.errors import ModelError
from pgtheory.linear_quadratic import LinearQuadratic, lyapunov
from pgtheory.sampling.simulator import _count
from pgtheory.sampling.streams import checked_seed, uniforms

Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class Behaviour:
    """u = -gain x + e.  gain (m, n);  noise (m, m) second moment of the Gaussian e."""

    gain: Any
    noise: Any


@dataclasses.dataclass(frozen=True)
class OffPolicyGradient:
    """The estimator g = 2 E_K x x' for a target gain K on states of a behaviour.

    problem  `LinearQuadratic.average(A, B, Q, R, noise)`, one regulator
    gain     (m, n) of the target, stabilising;  behaviour  by default the target itself without noise
    raises   ModelError: shapes, a gain that does not stabilise (says its spectral radius), noise that is no second moment
    """

    problem: LinearQuadratic
    gain: Any
    behaviour: Behaviour | None = None

    def __post_init__(self) -> None:
        m, n = self.problem.B.shape[-1], self.problem.A.shape[-1]
        if self.problem.A.shape[0] != 1:
            raise ModelError(f"problem holds {self.problem.A.shape[0]} regulators; this takes one")
        gain = _matrix("gain", self.gain, (m, n))
        behaviour = self.behaviour or Behaviour(gain, np.zeros((m, m)))
        drawn, noise = _matrix("behaviour.gain", behaviour.gain, (m, n)), _matrix("behaviour.noise", behaviour.noise, (m, m))
        if not np.allclose(noise, noise.T) or np.linalg.eigvalsh(noise)[0] < -1e-12:
            raise ModelError("behaviour.noise must be symmetric with eigenvalues of at least 0")
        for name, k in (("gain", gain), ("behaviour.gain", drawn)):
            radius = float(np.abs(np.linalg.eigvals(self.problem.closed_loop(k[None])[0])).max())
            if radius >= 1:
                raise ModelError(f"{name} does not stabilise: the spectral radius of A - B K is {radius:.4g}")
        object.__setattr__(self, "gain", gain)
        object.__setattr__(self, "behaviour", Behaviour(drawn, noise))

    @property
    def _drawn(self) -> Behaviour:
        assert self.behaviour is not None
        return self.behaviour

    @property
    def residual(self) -> Array:
        """E_K (m, n)."""
        return self.problem.residual(self.gain[None])[0]

    @property
    def moments(self) -> Array:
        """X_b (n, n): second moment of the behaviour's stationary states."""
        B = self.problem.B[0]
        step = self.problem.closed_loop(self._drawn.gain[None])
        return lyapunov(step, (self.problem.start[0] + B @ self._drawn.noise @ B.T)[None])[0]

    def expectation(self) -> Array:
        """E g = 2 E_K X_b (m, n)."""
        return 2 * self.residual @ self.moments

    @property
    def bias(self) -> Array:
        """E g less the gradient of the average cost: 2 E_K (X_b - X_K)."""
        return self.expectation() - self.problem.gradient(self.gain[None])[0]

    def covariance(self) -> Array:
        """(m n, m n): of g for Gaussian noise, row-major."""
        X, Y = self.moments, 2 * self.residual
        yy, yx = Y @ X @ Y.T, Y @ X
        m, n = Y.shape
        table = np.einsum("ik,jl->ijkl", yy, X) + np.einsum("il,kj->ijkl", yx, yx)
        return table.reshape(m * n, m * n)

    def draw(self, count: int, seed: int = 0, *, first: int = 0) -> Array:
        """(count, m, n): g at independent stationary states; draw k from stream first + k."""
        x = self.states(count, seed, first=first)
        return 2 * np.einsum("ij,nj,nk->nik", self.residual, x, x)

    def states(self, count: int, seed: int = 0, *, first: int = 0) -> Array:
        """(count, n): independent stationary states of the behaviour."""
        n = self.problem.A.shape[-1]
        return normals(count, n, seed, first=first) @ _root(self.moments).T

    def transitions(self, count: int, seed: int = 0, *, first: int = 0) -> tuple[Array, Array, Array, Array]:
        """(x (N, n), u (N, m), cost (N,), x' (N, n)): independent transitions of the behaviour from its stationary law."""
        A, B, Q, R, W = (part[0] for part in (self.problem.A, self.problem.B, self.problem.Q, self.problem.R, self.problem.start))
        n, m = B.shape
        z = normals(count, 2 * n + m, seed, first=first)
        x = z[:, :n] @ _root(self.moments).T
        u = -x @ self._drawn.gain.T + z[:, n : n + m] @ _root(self._drawn.noise).T
        after = x @ A.T + u @ B.T + z[:, n + m :] @ _root(W).T
        return x, u, np.einsum("ni,ij,nj->n", x, Q, x) + np.einsum("ni,ij,nj->n", u, R, u), after

    def critic(self) -> tuple[Array, float]:
        """(T (n + m, n + m), average cost): what a perfect critic of the target finds."""
        A, B, Q, R, W = (part[0] for part in (self.problem.A, self.problem.B, self.problem.Q, self.problem.R, self.problem.start))
        P = self.problem.cost_matrix(self.gain[None])[0]
        joint = np.concatenate([A, B], axis=1)
        table = joint.T @ P @ joint
        n = len(A)
        table[:n, :n] += Q
        table[n:, n:] += R
        return table, float((P * W).sum())

    def learned_critic(self, count: int, seed: int = 0, *, first: int = 0) -> tuple[Array, float]:
        """(T, average cost) by least-squares temporal differences from `count` transitions of the behaviour.

        raises   ModelError: too few transitions, or a control without noise (the equations are singular)"""
        x, u, cost, after = self.transitions(count, seed, first=first)
        size = x.shape[1] + u.shape[1]
        i, j = np.triu_indices(size)
        if count < i.size + 1:
            raise ModelError(f"{count} transitions for {i.size + 1} unknowns; take at least as many")

        def features(z: Array) -> Array:
            return z[:, i] * z[:, j]

        here, there = features(np.concatenate([x, u], axis=1)), features(np.concatenate([after, -after @ self.gain.T], axis=1))
        one = np.ones((count, 1))
        tests, unknowns = np.concatenate([here, one], axis=1), np.concatenate([here - there, one], axis=1)
        matrix = tests.T @ unknowns / count
        if np.linalg.matrix_rank(matrix) < len(matrix):
            raise ModelError("the critic's equations are singular: the behaviour needs noise in every control")
        found = np.linalg.solve(matrix, tests.T @ cost / count)
        table = np.zeros((size, size))
        table[i, j] = found[:-1]
        return (table + table.T) / 2, float(found[-1])

    def residual_of(self, table: Array) -> Array:
        """E_K = T_uu K - T_ux from a critic's table."""
        n = self.problem.A.shape[-1]
        return table[n:, n:] @ self.gain - table[n:, :n]


@dataclasses.dataclass(frozen=True)
class DescentRun:
    """gains (T + 1, m, n);  costs (T + 1,) exact average costs;  gaps (T + 1,) above the optimum;  errors (T,) |learned E_K - E_K| / |E_K|."""

    gains: Array
    costs: Array
    gaps: Array
    errors: Array


def off_policy_descent(
    problem: LinearQuadratic,
    gain: Any,
    exploration: Any,
    iterations: int,
    step_size: float,
    samples: int,
    seed: int = 0,
    *,
    natural: bool = True,
    follow: bool = True,
) -> DescentRun:
    """Actor and critic: each step learns T from `samples` transitions of the behaviour and moves K by eta times 2 E_K (natural) or 2 E_K X^_b, where
    X^_b is the mean of x x' over the states of the same transitions.

    exploration  (m, m) second moment of the behaviour's noise
    follow       the behaviour takes the present gain, else it keeps the first one: all data are then off-policy
    raises       ModelError: as `OffPolicyGradient`; a step after which the target no longer stabilises
    """
    iterations, samples = _count("iterations", iterations, 0), _count("samples", samples, 1)
    if not step_size > 0:
        raise ModelError(f"step_size is {step_size}; it must be above 0")
    first = K = _matrix("gain", gain, (problem.B.shape[-1], problem.A.shape[-1]))
    gains, errors = [K], []
    for t in range(iterations):
        here = OffPolicyGradient(problem, K, Behaviour(K if follow else first, exploration))
        table, _ = here.learned_critic(samples, seed, first=t * samples)
        found = here.residual_of(table)
        errors.append(float(np.linalg.norm(found - here.residual)) / max(float(np.linalg.norm(here.residual)), 1e-300))
        x = here.states(samples, seed, first=t * samples)
        K = K - step_size * 2 * (found if natural else found @ (x.T @ x) / samples)
        gains.append(K)
    costs = np.array([float(problem.cost(OffPolicyGradient(problem, k).gain[None])[0]) for k in gains])
    return DescentRun(np.array(gains), costs, costs - optimal_cost(problem), np.array(errors))


def optimal_cost(problem: LinearQuadratic) -> float:
    """The least average cost, by the algebraic Riccati equation."""
    from scipy.linalg import solve_discrete_are

    A, B, Q, R, W = (part[0] for part in (problem.A, problem.B, problem.Q, problem.R, problem.start))
    return float((solve_discrete_are(A, B, Q, R) * W).sum())


def normals(count: int, size: int, seed: int = 0, *, first: int = 0) -> Array:
    """(count, size) standard normal numbers: row k from stream first + k, by the inverse of the distribution function."""
    from scipy.special import ndtri

    number = checked_seed(seed)
    u = np.stack([uniforms(number, first + k, 0, size) for k in range(_count("count", count, 1))])
    return np.asarray(ndtri(np.maximum(u, 2.0**-54)))


def _root(matrix: Array) -> Array:
    """L with L L' = matrix, for a positive semidefinite one."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def _matrix(name: str, given: Any, shape: tuple[int, int]) -> Array:
    table = np.atleast_2d(np.asarray(given, dtype=np.float64))
    if table.shape != shape or not np.isfinite(table).all():
        raise ModelError(f"{name} must be {shape} finite numbers; it has shape {table.shape}")
    return table
