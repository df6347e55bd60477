"""Natural policy gradient primal-dual: the policy climbs the Lagrangian, the multipliers descend it (Ding, Zhang, Basar, Jovanovic 2020).

    theta_(t+1)  = theta_t + eta_1 / (1 - gamma) (A_r - sum_i lambda_i A_(c_i))         advantages of pi_t = softmax(theta_t)
    lambda_(t+1) = min(max(lambda_t + eta_2 (V_c(pi_t) - b), 0), cap)

What holds for every eta_1, eta_2 and cap, from the uniform policy and lambda_0 = 0.  R, C_i are the spans of r, c_i, D_i the reaches |V_(c_i) - b_i|,
alpha = eta_1 / (1 - gamma), Z_t the normaliser of the step.  By the performance difference and (1/alpha) E_(d*) log Z_t <= V_L^(t+1)(d*) - V_L^t(d*)

    (1 - gamma) sum_t [V_r* - V_r^t + lambda_t . (V_c^t - b)] <= log A / alpha + R / (1 - gamma) + (T - 1) eta_2 sum_i D_i C_i / (1 - gamma)

(the values telescope, the costs by summation by parts, since lambda moves by at most eta_2 D_i a step).  Projected gradient gives for lambda <= cap

    sum_t (lambda - lambda_t) . (V_c^t - b) <= |lambda|^2 / (2 eta_2) + T eta_2 |D|^2 / 2.

lambda = 0 bounds the average gap (`average_gap_bound`).  With lambda_i = cap_i on the broken constraints and gap >= -lambda* . [excess]_+ (strong
duality) the average violation of i is at most  E(cap) / (cap_i - lambda_i*)  (`average_violation_bound`), which needs cap_i > lambda_i* and no other
cap below its multiplier; and lambda_i* is at most R / ((1 - gamma) xi), xi the Slater gap.  Defaults: eta_1 = 2 log A / R,
eta_2 = (1 - gamma) R / (C^2 sqrt T), cap = 2 R / ((1 - gamma) xi): both fall as 1/sqrt T.  Published constants, for r, g in [0, 1] and one
constraint: `published_gap_bound`, `published_violation_bound`.

Nothing is said about the last iterate: it may circle (`descent_ascent`).
"""

from __future__ import annotations

import dataclasses
from typing import Any, Self

import numpy as np

from mdps.constrained import ConstrainedMDP
from mdps.errors import ModelError
from mdps.rational import fraction
from pgtheory.constrained.evaluation import Problem, Seen, ascend_dual, lagrangian
from pgtheory.constrained.runs import ConstrainedMethod, ConstrainedRun, Guarantee, State

Array = np.ndarray


def plain_step(
    logits: Array, multipliers: Array, advantages: Array, excess: Array, discount: Any, step_size: Any, dual_step: Any, cap: Any
) -> tuple[Array, Array]:
    """(theta, lambda) after one step; advantages (1 + m, S, A) of the reward and the costs, excess (m,) = V_c - b."""
    return logits + step_size / (1 - discount) * lagrangian(advantages, multipliers), ascend_dual(multipliers, dual_step, excess, cap)


def regret_bound(
    iterations: int, actions: int, discount: float, spans: Any, reaches: Any, step_size: float, dual_step: float, multipliers: Any
) -> float:
    """E(lambda): at least the average over t < T of V_r* - V_r^t + lambda . (V_c^t - b), for each 0 <= lambda <= cap.

    spans (1 + m,) of the reward and the costs; reaches (m,) of V_c - b; step_size eta_1, dual_step eta_2, both > 0
    raises ModelError: a negative multiplier, a step that is not above 0, no iteration"""
    prices = checked_prices(multipliers)
    for name, value in (("iterations", iterations), ("step_size", step_size), ("dual_step", dual_step)):
        if not value > 0:
            raise ModelError(f"{name} is {value}; it must be above 0")
    spans, reaches, horizon = np.asarray(spans, dtype=float), np.asarray(reaches, dtype=float), 1 / (1 - discount)
    primal = np.log(actions) / (step_size * horizon) + spans[0] * horizon + (iterations - 1) * dual_step * (reaches @ spans[1:]) * horizon
    dual = (prices @ prices) / (2 * dual_step * iterations) + dual_step * (reaches @ reaches) / 2
    return float(horizon * primal / iterations + dual)


def average_gap_bound(iterations: int, actions: int, discount: float, spans: Any, reaches: Any, step_size: float, dual_step: float) -> float:
    """At least (1/T) sum_(t<T) V_r* - V_r^t: E(0)."""
    return regret_bound(iterations, actions, discount, spans, reaches, step_size, dual_step, np.zeros(np.shape(reaches)))


def average_violation_bound(
    iterations: int, actions: int, discount: float, spans: Any, reaches: Any, step_size: float, dual_step: float, cap: Any, optimal: Any
) -> Array:
    """(m,) at least [(1/T) sum_(t<T) V_(c_i)^t - b_i]_+: E(cap) / (cap_i - lambda_i*); infinite where cap_i = lambda_i*.

    What is bounded is sum_i (cap_i - lambda_i*) violation_i, so one cap below its multiplier makes the bounds of all constraints infinite.

    optimal   (m,) optimal multipliers, or upper bounds on them such as R / ((1 - gamma) xi)"""
    caps = np.broadcast_to(checked_prices(cap, "cap"), np.shape(reaches))
    room = caps - checked_prices(optimal, "optimal")
    bound = regret_bound(iterations, actions, discount, spans, reaches, step_size, dual_step, caps)
    return np.where((room > 0) & (room >= 0).all(), bound / np.where(room > 0, room, 1.0), np.inf)


def published_gap_bound(iterations: int, discount: float) -> float:
    """7 / ((1 - gamma)^2 sqrt T) for r, g in [0, 1], one constraint, the default steps: above `average_gap_bound`, which gives 3."""
    return 7 / ((1 - discount) ** 2 * np.sqrt(iterations))


def published_violation_bound(iterations: int, discount: float, slater: float) -> float:
    """(2/xi + 4 xi) / ((1 - gamma)^2 sqrt T), in the same setting."""
    return (2 / slater + 4 * slater) / ((1 - discount) ** 2 * np.sqrt(iterations))


def checked_prices(values: Any, name: str = "multipliers") -> Array:
    """Multipliers (m,) as float64; raises ModelError where one is negative or not finite."""
    prices = np.atleast_1d(np.asarray(values, dtype=float))
    bad = np.flatnonzero(~(prices >= 0) | ~np.isfinite(prices))
    if bad.size:
        raise ModelError(f"{name}[{bad[0]}] is {prices[bad[0]]}; a multiplier is a finite number of at least 0")
    return prices


@dataclasses.dataclass(frozen=True)
class NPGPrimalDual(ConstrainedMethod):
    """Softmax natural policy gradient on the Lagrangian with projected gradient on the multipliers.

    step_size  eta_1, per reward unit: 2 log A / R;  dual_step  eta_2: (1 - gamma) R / (C^2 sqrt T)
    cap        the largest multiplier: 2 R / ((1 - gamma) xi), which needs a policy that meets all constraints strictly.
    Settings that are left out take these values."""

    step_size: Any = None
    dual_step: Any = None
    cap: Any = None
    name = "npg-primal-dual"

    def tuned(self, model: ConstrainedMDP, problem: Problem, iterations: int) -> Self:
        spans = np.asarray(problem.spans, dtype=float)
        reward, cost = spans[0] or 1.0, spans[1:].max() or 1.0
        chosen: dict[str, Any] = {
            "step_size": 2 * np.log(max(problem.num_actions, 2)) / reward,
            "dual_step": (1 - float(problem.discount)) * reward / (cost * cost * np.sqrt(iterations)),
        }
        if self.cap is None:
            chosen["cap"] = default_cap(model, reward)
        return self.with_numbers(model, **chosen)

    def step(self, state: State, seen: Seen, problem: Problem) -> State:
        logits, multipliers = plain_step(
            state.params, state.multipliers, seen.advantages, seen.excess, problem.discount, self.step_size, self.dual_step, self.cap
        )
        return State(logits, multipliers)

    def guarantee(self, run: ConstrainedRun) -> Guarantee | None:
        if not run.uniform_start:
            return None
        from pgtheory.constrained.evaluation import problem_of

        problem = problem_of(run.model)
        facts = (run.iterations, problem.num_actions, float(problem.discount), problem.spans, problem.reaches, self.step_size, self.dual_step)
        violations = average_violation_bound(*facts, np.full(len(problem.thresholds), self.cap), run.solution.multipliers)
        return Guarantee("average", average_gap_bound(*facts), violations)


def default_cap(model: ConstrainedMDP, reward_span: float) -> float:
    """2 R / ((1 - gamma) xi): twice what bounds every optimal multiplier.  raises ModelError: no policy meets all constraints strictly"""
    from pgtheory.constrained.feasibility import slater_gap

    try:
        slater = float(fraction(slater_gap(model.float).gap))
    except ModelError as error:  # the gap is a program in rationals, which large models are too large for
        raise ModelError(f"the largest multiplier is not known: {error}.  Give npg-primal-dual a cap") from error
    if not slater > 0:
        raise ModelError(
            f"no policy meets all constraints strictly (the largest slack is {slater:.3g}), so the multipliers have no known bound.\n"
            f"  Give npg-primal-dual a cap, or relax the thresholds."
        )
    return 2 * reward_span / ((1 - float(model.discount)) * slater)
