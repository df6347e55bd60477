"""Regularised primal-dual: entropy for the policy and a ridge for the multipliers make a saddle to which the last iterate converges, with a bias.

    L_tau(pi, lambda) = V_r - lambda . (V_c - b) + tau H(rho) + (tau/2) |lambda|^2            H the discounted entropy of pi, from the start
    pi <- pi exp(eta (Q_tau - tau log pi)) / Z,       Q_tau = r - lambda . c + gamma P V_tau,  V_tau the values of the reward r - lambda . c - tau
    log pi lambda <- max(lambda + eta (V_c - b - tau lambda), 0)

Recursion (Ying, Ding, Lavaei 2022; Ding, Wei, Zhang, Ribeiro 2023), d* the visits of the saddle's policy pi*, total 1 / (1 - gamma):

    Phi_t = sum_s d*(s) KL(pi* | pi_t)(s) + |lambda_t - lambda*|^2 / 2,      Phi_(t+1) <= (1 - eta tau) Phi_t + eta^2 C_t^2     for eta tau <= 1
    C_t^2 = sum_s d*(s) sp_a(Q_tau - tau log pi_t)^2 / 8 + |V_c - b - tau lambda|^2 / 2

(soft performance difference gives -tau KL, the ridge -tau |lambda - lambda*|^2, the saddle inequality removes the cross terms, Hoeffding's lemma
bounds the normaliser), so that limsup Phi <= eta max C^2 / tau.

Bias of the saddle (pi_tau, lambda_tau): stationarity in lambda gives  [V_c - b]_+ = tau lambda_tau  exactly (`violation`), and pi_tau against the
optimal and against a Slater policy

    V_r* - V_r(pi_tau) <= tau log A / (1 - gamma) - tau |lambda_tau|^2          `gap_bound`
    sum_i lambda_tau,i <= (R + tau log A) / ((1 - gamma) xi)                      `multiplier_bound`, R the span of r, xi the Slater gap

With a potential Phi left, values of a policy with span X differ from the saddle's by at most  X / (1 - gamma)^(3/2) sqrt(Phi / 2)  (performance
difference and Pinsker): `distance_bound`.  Together these bound gap and violation of the LAST iterate.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from mdps.constrained import ConstrainedMDP
from mdps.errors import ModelError
from pgtheory.arithmetic import log_softmax
from pgtheory.constrained.evaluation import Problem, Seen, ascend_dual, evaluate, lagrangian, problem_of
from pgtheory.constrained.primal_dual import checked_prices
from pgtheory.constrained.runs import ConstrainedMethod, ConstrainedRun, Guarantee, State
from pgtheory.constrained.soft import SoftSaddle, soft_saddle

Array = np.ndarray


class Step(NamedTuple):
    """One step of the recursion: Phi before and after, and C^2."""

    before: float
    after: float
    constant: float


def gap_bound(saddle: SoftSaddle, actions: int, discount: float) -> float:
    """tau log A / (1 - gamma) - ridge |lambda|^2: at least V_r* - V_r of the saddle's policy.

    The saddle's value is at least L_tau(pi*, lambda) >= V_r* + ridge |lambda|^2 / 2, and its excess is ridge lambda where lambda > 0."""
    prices = saddle.multipliers
    return float(saddle.temperature * np.log(actions) / (1 - discount) - saddle.ridge * (prices @ prices))


def violation(saddle: SoftSaddle) -> Array:
    """(m,) ridge lambda_i: by how much the saddle's policy breaks each constraint, exactly."""
    return saddle.ridge * saddle.multipliers


def multiplier_bound(temperature: float, actions: int, discount: float, reward_span: float, slater: float) -> float:
    """(R + tau log A) / ((1 - gamma) xi): at least the sum of the saddle's multipliers.  raises ModelError: the Slater gap is not above 0"""
    if not slater > 0:
        raise ModelError(f"the Slater gap is {slater}; the bound needs a policy that meets all constraints strictly")
    return float((reward_span + temperature * np.log(actions)) / ((1 - discount) * slater))


def distance_bound(potential: float, span: float, discount: float) -> float:
    """X sqrt(Phi / 2) / (1 - gamma)^(3/2): at least |V_x - V_x of the saddle| for a table with span X of a policy with potential Phi.

    (1 - gamma) sum_s d* KL is at most (1 - gamma) Phi; V_x* - V_x = sum_s d* sum_a (pi* - pi) Q_x <= sum_s d* sqrt(KL / 2) sp(Q_x), Jensen."""
    return float(span * np.sqrt(max(potential, 0.0) / 2) / (1 - discount) ** 1.5)


def soft_action_values(problem: Problem, policy: Array, logs: Array, multipliers: Array, temperature: float) -> Array:
    """(S, A) Q_tau = r - lambda . c + gamma P V_tau, V_tau the values with the reward r - lambda . c - tau log pi; logs = log pi, 0 where pi is 0."""
    rewards = lagrangian(problem.tables, multipliers)
    moved = problem.discount * np.einsum("sa,sat->st", policy, problem.transitions)
    values = np.linalg.solve(np.eye(len(policy)) - moved, (policy * (rewards - temperature * logs)).sum(axis=1))
    return rewards + problem.discount * (problem.transitions @ values)


@dataclasses.dataclass(frozen=True)
class RegularisedPrimalDual(ConstrainedMethod):
    """temperature tau, of the entropy and of the ridge; step_size eta, with eta tau <= 1."""

    step_size: Any
    temperature: Any
    name = "regularised-primal-dual"

    def tuned(self, model: ConstrainedMDP, problem: Problem, iterations: int) -> RegularisedPrimalDual:
        ready = self.with_numbers(model)
        if ready.step_size * ready.temperature > 1:
            raise ModelError(
                f"step_size times temperature is {ready.step_size * ready.temperature:g}; the recursion needs at most 1, and beyond it a step "
                f"overshoots"
            )
        return ready

    def step(self, state: State, seen: Seen, problem: Problem) -> State:
        pull, excess = self._pull(state, seen, problem)
        return State(state.params + self.step_size * pull, ascend_dual(state.multipliers, self.step_size, excess))

    def _pull(self, state: State, seen: Seen, problem: Problem) -> tuple[Array, Array]:
        """(Q_tau - tau log pi, V_c - b - tau lambda); 0 where there is no action."""
        logs = np.where(problem.mask, log_softmax(state.params), 0.0)
        ahead = soft_action_values(problem, self.policy(state), logs, state.multipliers, self.temperature)
        return np.where(problem.mask, ahead - self.temperature * logs, 0.0), seen.excess - self.temperature * state.multipliers

    def recursion(self, state: State, saddle: SoftSaddle, problem: Problem) -> Step:
        """(Phi_t, Phi_(t+1), C_t^2) of one step from `state`; the theorem says Phi_(t+1) <= (1 - eta tau) Phi_t + eta^2 C_t^2."""
        seen = evaluate(problem, self.policy(state))
        pull, excess = self._pull(state, seen, problem)
        visits = evaluate(problem, saddle.policy).visits
        low, high = (np.where(problem.mask, pull, bad) for bad in (np.inf, -np.inf))
        spreads = high.max(axis=1) - low.min(axis=1)
        constant = float(visits @ spreads**2 / 8 + excess @ excess / 2)
        after = self.step(state, seen, problem)
        return Step(potential(self.policy(state), state.multipliers, saddle, problem), potential(self.policy(after), after.multipliers, saddle,
        problem),
                    constant)  # fmt: skip

    def guarantee(self, run: ConstrainedRun) -> Guarantee | None:
        """Bias of the saddle plus what the potential of the last policy leaves, which the recursion drives to eta max C^2 / tau."""
        problem, saddle = problem_of(run.model), soft_saddle(run.model, self.temperature, self.temperature)
        if run.times[-1] != run.iterations:
            return None
        left = potential(run.policies[-1], run.multipliers[-1], saddle, problem)
        gamma, spans = float(problem.discount), np.asarray(problem.spans, dtype=float)
        away = np.array([distance_bound(left, span, gamma) for span in spans])
        return Guarantee("last", float(gap_bound(saddle, problem.num_actions, gamma) + away[0]), violation(saddle) + away[1:])


def potential(policy: Array, multipliers: Array, saddle: SoftSaddle, problem: Problem) -> float:
    """Phi of a policy (S, A) and multipliers (m,) towards a saddle."""
    away = checked_prices(multipliers) - saddle.multipliers
    best, visits = saddle.policy, evaluate(problem, saddle.policy).visits
    played = best > 0
    logs = np.zeros_like(best)
    logs[played] = np.log(best[played] / policy[played])
    return float(visits @ (best * logs).sum(axis=1) + away @ away / 2)


def regularised_saddle(model: ConstrainedMDP, temperature: Any) -> SoftSaddle:
    """The saddle of L_tau, by root finding on the derivative of its dual (`soft_saddle` with ridge tau)."""
    return soft_saddle(model, temperature, temperature)
