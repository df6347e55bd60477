"""Robust Bellman errors: how much a value function is off, with errors that do not count quadratically, as saddle points.

With weights d(s) and the expected Bellman error  delta(s) = E[r + gamma V(s') - V(s) | s],  the error is sum_s d(s) loss(delta(s)).  Each loss is a
maximum over a multiplier h(s) of terms that are linear in delta:

    squared     delta^2   = max_h            2 h delta - h^2
    absolute    |delta|   = max_{|h| <= 1}     h delta
    Huber(k)    delta^2/2 where |delta| <= k, else k |delta| - k^2/2   = max_{|h| <= k}  h delta - h^2/2

so at the best h a gradient in V needs one next state only, sum d(s) h(s) E[gamma grad V(s') - grad V(s)], where the gradient of the squared error
itself needs two independent ones: E (TD error)^2 = delta^2 + Var(TD error | s), and minimising that pays for chance.  The multiplier is bounded in
the last two, and with it the pull of one state.  If h is restricted to a class that cannot represent delta, only a projected error is seen.

`fit` minimises the error over V = features w by a conic program, `saddle_descent` by descent in w with the best h of each step.
Patterson, Liao, White (2022), as recalled.  Derivation: docs/theory/bellman_errors.md.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.exact.evaluation import check_policy

Array = np.ndarray
KINDS = ("squared", "absolute", "huber")


@dataclasses.dataclass(frozen=True)
class Loss:
    """A loss by name, with the Huber threshold.   raises   ModelError: an unknown name, a threshold that is not positive"""

    kind: str = "huber"
    threshold: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ModelError(f"unknown loss {self.kind!r}; there are {', '.join(KINDS)}")
        if not self.threshold > 0 or not np.isfinite(self.threshold):
            raise ModelError(f"threshold is {self.threshold}; it must be positive")

    def __call__(self, errors: Any) -> Array:
        """The loss of each error."""
        size = np.abs(np.asarray(errors, dtype=np.float64))
        if self.kind == "squared":
            return size**2
        if self.kind == "absolute":
            return size
        return np.where(size <= self.threshold, size**2 / 2, self.threshold * size - self.threshold**2 / 2)

    def multiplier(self, errors: Any) -> Array:
        """The maximising h of each error (0 where the absolute loss has a kink)."""
        errors = np.asarray(errors, dtype=np.float64)
        if self.kind == "squared":
            return errors
        return np.sign(errors) if self.kind == "absolute" else np.clip(errors, -self.threshold, self.threshold)

    def saddle(self, errors: Any, multiplier: Any) -> Array:
        """What is maximised over h, at any allowed h.   raises   ModelError: an h beyond the bound of the loss"""
        errors, h = np.asarray(errors, dtype=np.float64), np.asarray(multiplier, dtype=np.float64)
        bound = {"squared": np.inf, "absolute": 1.0, "huber": self.threshold}[self.kind]
        if (np.abs(h) > bound).any():
            raise ModelError(f"the multiplier reaches {np.abs(h).max():.6g}; the {self.kind} loss allows {bound:g}")
        return {"squared": 2 * h * errors - h**2, "absolute": h * errors, "huber": h * errors - h**2 / 2}[self.kind]


def bellman_errors(mdp: MDP, policy: Any, values: Any) -> Array:
    """delta (S,) = r_pi + gamma P_pi V - V.   raises   ModelError: a bad policy, values of the wrong shape"""
    matrix, rewards = _system(mdp, policy)
    v = np.asarray(values, dtype=np.float64)
    if v.shape != rewards.shape:
        raise ModelError(f"values has shape {v.shape}; it must be {rewards.shape}")
    return np.asarray(rewards - matrix @ v)


def _system(mdp: MDP, policy: Any) -> tuple[Array, Array]:
    """(I - gamma P_pi, r_pi): the Bellman errors of V are r_pi - (I - gamma P_pi) V."""
    if not mdp.is_rectangular:
        raise ModelError("the states have different numbers of actions: the policy must be of shape (S, A)")
    pi = np.asarray(policy, dtype=np.float64)
    check_policy(mdp, pi)
    model = mdp.float
    chain = np.einsum("sa,sat->st", pi, np.asarray(model.transitions))
    return np.eye(len(chain)) - float(model.discount) * chain, (pi * np.asarray(model.rewards)).sum(axis=1)


def robust_error(mdp: MDP, policy: Any, values: Any, loss: Loss, weights: Any = None) -> float:
    """sum_s d(s) loss(delta(s)); the weights d are uniform where left out.   raises   ModelError: as `bellman_errors`, weights that are none"""
    errors = bellman_errors(mdp, policy, values)
    return float((_weights(errors.size, weights) * loss(errors)).sum())


def _weights(states: int, weights: Any) -> Array:
    d = np.full(states, 1 / states) if weights is None else np.asarray(weights, dtype=np.float64)
    if d.shape != (states,) or not (d >= 0).all() or not d.sum() > 0:
        raise ModelError(f"weights must be {states} numbers, none negative and not all 0")
    return d


def _features(mdp: MDP, features: Any) -> Array:
    table = np.asarray(features, dtype=np.float64)
    if table.ndim != 2 or len(table) != mdp.num_states or not np.isfinite(table).all():
        raise ModelError(f"features has shape {table.shape}; it must be (S, K) with S = {mdp.num_states}, finite")
    return table


def fit(mdp: MDP, policy: Any, features: Any, loss: Loss, weights: Any = None) -> tuple[Array, float]:
    """(w (K,), error): the least robust Bellman error over V = features w, good to the tolerance of Clarabel (1e-8 or so).

    raises   ModelError: as `robust_error`, features of the wrong shape; ArithmeticError: Clarabel gives up"""
    import cvxpy as cp

    matrix, rewards = _system(mdp, policy)
    slopes, d = matrix @ _features(mdp, features), _weights(len(rewards), weights)
    w = cp.Variable(slopes.shape[1])
    errors = rewards - slopes @ w
    losses = {
        "squared": lambda: cp.square(errors),
        "absolute": lambda: cp.abs(errors),
        "huber": lambda: cp.huber(errors, loss.threshold) / 2,  # cvxpy's is twice the usual one
    }[loss.kind]()
    problem = cp.Problem(cp.Minimize(d @ losses))
    problem.solve(solver=cp.CLARABEL)
    if problem.status not in ("optimal", "optimal_inaccurate"):
        raise ArithmeticError(f"Clarabel ended with {problem.status!r}")
    found = np.asarray(w.value)
    return found, float((d * loss(rewards - slopes @ found)).sum())


def saddle_descent(mdp: MDP, policy: Any, features: Any, loss: Loss, step_size: float, iterations: int, weights: Any = None) -> tuple[Array, Array]:
    """(w (K,), errors (T + 1,)): w <- w + eta features' (I - gamma P)' d h with the best h of each step, from w = 0.

    With the Huber loss a step of at most 1 / |M' diag(d) M|, M = (I - gamma P) features, never raises the error.
    raises   ModelError: as `fit`, a negative step size or count"""
    if not step_size >= 0 or iterations < 0:
        raise ModelError(f"step_size is {step_size} and iterations {iterations}; neither may be negative")
    matrix, rewards = _system(mdp, policy)
    slopes, d = matrix @ _features(mdp, features), _weights(len(rewards), weights)
    w, errors = np.zeros(slopes.shape[1]), []
    factor = 2 if loss.kind == "squared" else 1
    for t in range(iterations + 1):
        left = rewards - slopes @ w
        errors.append(float((d * loss(left)).sum()))
        if t < iterations:
            w = w + step_size * factor * slopes.T @ (d * loss.multiplier(left))
    return w, np.array(errors)
