"""Natural policy gradient for log-linear policies, pi(a | s) proportional to exp(phi(s, a) . theta).

    theta_+ = theta + eta w,      w = argmin_u  E_{s ~ d, a ~ pi} [ (A(s, a) - u . psi(s, a))^2 ],     psi = phi - E_pi phi,   d = d^pi_start

w is the compatible critic: w = (1 - gamma) F^+ grad V with the Fisher matrix F = E[psi psi^T] (the least one where F is singular).  With features
that tell all state-action pairs apart the step is pi exp(eta A), the tabular natural gradient step of size (1 - gamma) eta.
Kakade (2001); Agarwal, Kakade, Lee, Mahajan (2021), Section 6.

Kept are the logits phi . theta, which move by eta phi . w: theta itself is not needed, and the start is any policy.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.rational import rational_array, to_float
from pgtheory import arithmetic, kernels
from pgtheory.arithmetic import advantages, policy_values_and_visits, softmax
from pgtheory.compiled import kernel
from pgtheory.policy_gradient.batched import Batched, rowwise
from pgtheory.policy_gradient.loops import compiled_loop
from pgtheory.policy_gradient.method import Setting, resolved

Array = np.ndarray


def compatible_direction(policy: Array, gains: Array, weights: Array, features: Array) -> Array:
    """The least minimiser u of sum_s weights(s) E_pi[(A - u . psi)^2]: (..., d).

    features (..., S, A, d).  Exact arithmetic needs features whose Fisher matrix is regular, and raises ZeroDivisionError otherwise."""
    psi = features - (policy[..., None] * features).sum(axis=-2)[..., None, :]
    mass = weights[..., None] * policy
    flat = psi.reshape(*psi.shape[:-3], -1, psi.shape[-1])
    scaled = (mass[..., None] * psi).reshape(flat.shape)
    right = (scaled * gains.reshape(*gains.shape[:-2], -1)[..., None]).sum(axis=-2)
    if arithmetic.kind(scaled) != "float":
        return arithmetic.solve((flat[..., :, None] * scaled[..., None, :]).sum(axis=-3), right)
    fisher = np.swapaxes(flat, -1, -2) @ scaled
    return (np.linalg.pinv(fisher, hermitian=True) @ right[..., None])[..., 0]


SINGULAR = 1e-15
"""Eigenvalues of the Fisher matrix below this share of the largest count as 0: the cutoff of numpy's `pinv`."""


MOST_PIVOTED = 12
"""Sizes up to which a factorisation with pivots may stand for the eigenvalues; its bound on the least one loses a factor 4 a column."""


@kernel
def _solved(matrix, right, out):
    """out = matrix^-1 right by Cholesky's factorisation with diagonal pivots, where they show that no eigenvalue is as small as SINGULAR.

    The least eigenvalue is at least the last pivot over n 4^n, the largest at most n times the first.  False: not shown, `out` is not written."""
    n = right.size
    if n > MOST_PIVOTED:
        return False
    least = 10 * SINGULAR * n * n * 4.0**n
    L, order, y = matrix.copy(), np.arange(n), np.empty(n)
    for k in range(n):
        best = k
        for i in range(k + 1, n):
            if L[i, i] > L[best, best]:
                best = i
        if best != k:
            order[k], order[best] = order[best], order[k]
            for j in range(n):
                L[k, j], L[best, j] = L[best, j], L[k, j]
            for i in range(n):
                L[i, k], L[i, best] = L[i, best], L[i, k]
        if not L[k, k] > least * L[0, 0] * (1.0 if k > 0 else 0.0):
            return False
        for i in range(k + 1, n):
            share = L[i, k] / L[k, k]
            for j in range(k + 1, i + 1):
                L[i, j] -= share * L[j, k]
            for j in range(k + 1, i):
                L[j, i] = L[i, j]
        for i in range(k + 1, n):
            L[k, i] = L[i, k] / L[k, k]
    for i in range(n):
        y[i] = right[order[i]]
        for j in range(i):
            y[i] -= L[j, i] * y[j]
    for i in range(n):
        k = n - 1 - i
        y[k] = y[k] / L[k, k]
        for j in range(k + 1, n):
            y[k] -= L[k, j] * y[j]
    for i in range(n):
        out[order[i]] = y[i]
    return True


@kernel
def _direction(policy, gains, weights, features):
    """The compiled form of `compatible_direction`."""
    states, actions, size = features.shape
    fisher, right, psi, mean = np.zeros((size, size)), np.zeros(size), np.empty(size), np.empty(size)
    for s in range(states):
        mean[:] = 0.0
        for a in range(actions):
            for i in range(size):
                mean[i] += policy[s, a] * features[s, a, i]
        for a in range(actions):
            mass = weights[s] * policy[s, a]
            for i in range(size):
                psi[i] = features[s, a, i] - mean[i]
            for i in range(size):
                right[i] += mass * psi[i] * gains[s, a]
                kernels.subtract(fisher[i, : i + 1], -mass * psi[i], psi[: i + 1])
    for i in range(size):
        for j in range(i):
            fisher[j, i] = fisher[i, j]
    out = np.zeros(size)
    if _solved(fisher, right, out):
        return out
    eigenvalues, vectors = np.linalg.eigh(fisher)
    least = SINGULAR * np.abs(eigenvalues).max()
    for k in range(size):
        if np.abs(eigenvalues[k]) > least:
            share = 0.0
            for i in range(size):
                share += vectors[i, k] * right[i]
            for i in range(size):
                out[i] += vectors[i, k] * share / eigenvalues[k]
    return out


@kernel
def _step(logits, P, r, gamma, mu, step_size, features):
    """The compiled form of `LogLinearNPG.plain_step`."""
    policy = kernels.softmax(logits)
    values, visits = kernels.policy_values_and_visits(policy, P, r, gamma, mu)
    direction = _direction(policy, kernels.advantages(P, r, gamma, values), (1 - gamma) * visits, features)
    out = logits.copy()
    for s in range(logits.shape[0]):
        for a in range(logits.shape[1]):
            out[s, a] += step_size * kernels.dot(features[s, a], direction)
    return out


_loop = compiled_loop(_step, settings=2)


@dataclasses.dataclass(frozen=True)
class LogLinearNPG(Batched):
    """Natural policy gradient with features (S, A, d), by default one of its own for every pair.  Logits grow by step_size phi . w."""

    step_size: Setting
    features: Any = None
    name = "log-linear-npg"
    parameters = "logits"
    _loop = staticmethod(_loop)

    def settings(self, mdp: MDP) -> tuple[Any, ...]:
        given = self.features(mdp) if callable(self.features) else self.features
        pairs = mdp.num_states * mdp.num_actions
        features = np.eye(pairs).reshape(mdp.num_states, mdp.num_actions, pairs) if given is None else np.asarray(given)
        if features.ndim != 3 or features.shape[:2] != (mdp.num_states, mdp.num_actions):
            raise ModelError(f"features have shape {features.shape}; they must be ({mdp.num_states}, {mdp.num_actions}, d)")
        exact = rational_array(features) if features.dtype != object else features
        step_size = resolved("step_size", self.step_size, mdp)
        return step_size, exact if mdp.is_exact else to_float(exact)

    def plain_step(  # type: ignore[override]
        self, logits: Array, transitions: Array, rewards: Array, discount: Any, start: Array, step_size: Any, features: Array
    ) -> Array:
        """phi . (theta + eta w)."""
        policy = softmax(logits)
        values, visits = policy_values_and_visits(policy, transitions, rewards, discount, start)
        gains = advantages(transitions, rewards, discount, values)
        direction = compatible_direction(policy, gains, visits * (1 - rowwise(discount)), features)
        return logits + step_size * (features * direction[..., None, None, :]).sum(axis=-1)
