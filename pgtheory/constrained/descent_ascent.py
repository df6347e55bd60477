"""Plain gradient descent-ascent on the Lagrangian, in its three orders, and the spiral that keeps it from converging.

    policy       kl:         pi <- pi exp(eta (Q_r - lambda . Q_c)) / Z          in every state
                 euclidean:  pi(. | s) <- project(pi(. | s) + eta nu(s) (Q_r - lambda . Q_c)(s, .))       the projected gradient; rational
    multipliers  lambda <- max(lambda + eta_2 (V_c - b), 0)

    simultaneous   both look at pi_t, lambda_t;   alternating   the multipliers look at pi_(t+1)
    extragradient  both move from (pi_t, lambda_t) along what they see at the point that a simultaneous step would reach

In one state the Lagrangian is bilinear.  For a simultaneous step from anywhere, with (pi*, lambda*) a saddle at which pi* has full support and every
lambda_i* is above 0, and as long as no multiplier is cut at 0, the first-order terms cancel.  With nu = 1 / (1 - gamma) and u = r - lambda . c:

    kl         Phi = nu KL(pi* | pi) / eta + |lambda - lambda*|^2 / (2 eta_2)
               grows by exactly  nu [log sum pi e^(eta u) - eta <pi, u>] / eta + eta_2 |V_c - b|^2 / 2
    euclidean  Phi = |pi - pi*|^2 / (2 eta) + |lambda - lambda*|^2 / (2 eta_2)
               grows by exactly  eta nu^2 |u - mean u|^2 / 2 + eta_2 |V_c - b|^2 / 2       (as long as no probability is cut at 0 either)

Both are >= 0, and 0 only at a saddle: the last iterate moves away, and the path is a spiral (`potential`, `growth`), until it meets the boundary.
Averages come within O(eta + eta_2).  See `bilinear` for the game itself.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np

from mdps.constrained import ConstrainedMDP
from mdps.errors import ModelError
from pgtheory import arithmetic
from pgtheory.constrained.evaluation import Problem, Seen, ascend_dual, evaluate, lagrangian, project_rows
from pgtheory.constrained.runs import ConstrainedMethod, State, positive

Array = np.ndarray
ORDERS = ("simultaneous", "alternating", "extragradient")
GEOMETRIES = ("kl", "euclidean")


@dataclasses.dataclass(frozen=True)
class DescentAscent(ConstrainedMethod):
    """step_size eta of the policy, dual_step eta_2 of the multipliers (left out: `matched_steps`); order; geometry."""

    step_size: Any = None
    dual_step: Any = None
    order: Literal["simultaneous", "alternating", "extragradient"] = "simultaneous"
    geometry: Literal["kl", "euclidean"] = "kl"
    name = "descent-ascent"
    words = ("order", "geometry")

    def __post_init__(self) -> None:
        for word, known in (("order", ORDERS), ("geometry", GEOMETRIES)):
            if getattr(self, word) not in known:
                raise ModelError(f"{word} is {getattr(self, word)!r}; it is one of {', '.join(known)}")

    @property
    def parameters(self) -> Literal["logits", "policy"]:  # type: ignore[override]
        return "logits" if self.geometry == "kl" else "policy"

    @property
    def rational_step(self) -> bool:  # type: ignore[override]
        return self.geometry == "euclidean"

    def tuned(self, model: ConstrainedMDP, problem: Problem, iterations: int) -> DescentAscent:
        return self.with_numbers(model, **matched_steps(model, problem, self.step_size))

    def step(self, state: State, seen: Seen, problem: Problem) -> State:
        if self.order == "extragradient":
            ahead = self._moved(state, state, seen, problem)
            return self._moved(state, ahead, evaluate(problem, self.policy(ahead)), problem)
        moved = self._moved(state, state, seen, problem)
        if self.order == "alternating":
            answer = evaluate(problem, self.policy(moved))
            return State(moved.params, ascend_dual(state.multipliers, self.dual_step, answer.excess))
        return moved

    def _moved(self, state: State, at: State, seen: Seen, problem: Problem) -> State:
        """From `state` along what is seen at the state `at`."""
        pull = lagrangian(seen.action_values, at.multipliers)
        if self.geometry == "kl":
            params = state.params + self.step_size * pull
        else:
            params = project_rows(state.params + self.step_size * seen.visits[:, None] * pull, problem.mask)
        return State(params, ascend_dual(state.multipliers, self.dual_step, seen.excess))


def matched_steps(model: ConstrainedMDP, problem: Problem, step_size: Any = None) -> dict[str, Any]:
    """eta = 1 / R where it is left out, and eta_2 = (1 - gamma) (R / C)^2 eta, R and C the spans of the reward and the widest cost: so that the
    game turns by at most eta R / 2 a step in one state."""
    reward, cost = (x if x > 0 else x + 1 for x in (problem.spans[0], problem.spans[1:].max()))
    eta = 1 / reward if step_size is None else positive("step_size", step_size, model)
    return {"step_size": eta, "dual_step": (1 - problem.discount) * (reward / cost) ** 2 * eta}


def potential(policy: Array, multipliers: Array, saddle: tuple[Array, Array], problem: Problem, method: DescentAscent) -> Any:
    """Phi of a policy (1, A) and multipliers (m,) in one state; saddle = (pi* (1, A), lambda* (m,)).  Euclidean: rational.

    method   with its steps as numbers (`run.method`).  raises ModelError: more than one state"""
    _one_state(problem)
    away, best = multipliers - saddle[1], np.asarray(saddle[0])
    dual = (away * away).sum() / (2 * method.dual_step)
    if method.geometry == "euclidean":
        off = np.asarray(policy) - best
        return (off * off).sum() / (2 * method.step_size) + dual
    played = best > 0
    divergence = (best[played] * np.log(best[played] / np.asarray(policy)[played])).sum()
    return divergence / (method.step_size * (1 - problem.discount)) + dual


def growth(policy: Array, multipliers: Array, problem: Problem, method: DescentAscent) -> Any:
    """What one simultaneous step adds to `potential` as long as nothing is cut: never below 0.  raises ModelError: more than one state"""
    _one_state(problem)
    seen = evaluate(problem, np.asarray(policy))
    pull = lagrangian(problem.tables, multipliers)
    eta, scale = method.step_size, 1 / (1 - problem.discount)
    dual = method.dual_step * (seen.excess * seen.excess).sum() / 2
    if method.geometry == "euclidean":
        centred = pull - pull.sum() / pull.size
        return eta * scale * scale * (centred * centred).sum() / 2 + dual
    rise = arithmetic.log_sum_exp(np.log(policy) + eta * pull).sum() - eta * (policy * pull).sum()
    return scale * rise / eta + dual


def _one_state(problem: Problem) -> None:
    if problem.tables.shape[1] != 1:
        raise ModelError(f"the potential grows exactly in one state, where the Lagrangian is bilinear; this model has {problem.tables.shape[1]}")
