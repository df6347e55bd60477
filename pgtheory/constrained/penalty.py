"""Exact penalty: constraints paid for at a price, and the price from which nobody breaks them.

    F(pi) = V_r(rho) - sum_i C_i [V_(c_i)(rho) - b_i]_+

is concave in the occupancy.  By strong duality its maximum is  min over 0 <= lambda <= C of the dual function:  equal to V_r* iff some optimal
multiplier is at most C, and above it for smaller prices (`solve_penalised`, a linear program with one slack a constraint).  What a policy with
F(pi) >= V_r* - delta can break, lambda* any optimal multipliers below C:

    violation_i <= delta / (C_i - lambda_i*)         (2 delta / C_i for C >= 2 lambda*)          `violation_bound`
    gap         <= delta

because V_r <= V_r* + lambda* . [excess]_+.  At C = lambda* itself the first bound is void: a policy may gain by breaking what it pays.

The method climbs F by natural gradient: u_t = Q_r - sum over broken i of C_i Q_(c_i) is a supergradient in the occupancy, and exponentiated gradient
gives

    F* - F(average) <= (1/T) sum F* - F(pi_t) <= log A / (eta (1 - gamma) T) + eta W^2 / (8 (1 - gamma)^3),      W = R + sum_i C_i span(c_i)

(Hoeffding's lemma on sp(u_t) <= W / (1 - gamma)); best at eta = (1 - gamma) sqrt(8 log A / T) / W, where it is W sqrt(log A / (2 T)) / (1 - gamma)^2.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mdps.constrained import ConstrainedMDP
from mdps.errors import ModelError
from pgtheory.constrained.evaluation import Problem, Seen, problem_of
from pgtheory.constrained.primal_dual import checked_prices
from pgtheory.constrained.program import policy_of, scales
from pgtheory.constrained.runs import ConstrainedMethod, ConstrainedRun, Guarantee, State

Array = np.ndarray


def penalised_value(values: Array, prices: Any) -> Any:
    """F from values (1 + m,): V_r and the excesses V_c - b."""
    return values[0] - (checked_prices(prices, "prices") * np.maximum(values[1:], 0.0)).sum()


@dataclasses.dataclass(frozen=True)
class Penalised:
    """The maximum of F: value, reward V_r, excess (m,) V_c - b, policy (S, A), and the multipliers (m,) <= C that prove it."""

    value: float
    reward: float
    excess: Array
    policy: Array
    multipliers: Array


def solve_penalised(model: ConstrainedMDP, prices: Any) -> Penalised:
    """max F by HiGHS: the occupancy program in which constraint i may be exceeded by v_i >= 0 for C_i v_i.

    prices   one number, or (m,): C >= 0, reward units per cost unit.  raises ModelError: a negative price (its place and figure)"""
    from scipy.optimize import linprog

    from pgtheory.constrained.program import evaluate_constrained
    from pgtheory.exact.linear_program import flow

    model = model.float
    count = model.num_constraints
    charged = np.broadcast_to(checked_prices(prices, "prices"), (count,))
    reward, cost = scales(model)
    pairs, gamma = model.mdp.num_pairs, model.discount
    balance = np.hstack([-flow(model.mdp).toarray().T, np.zeros((model.num_states, count))])
    found = linprog(
        -np.concatenate([model.mdp.pair_rewards / reward, -charged * cost / reward]),
        A_ub=np.hstack([model.upper_costs / cost[:, None], -np.eye(count)]), b_ub=(1 - gamma) * model.upper_thresholds / cost,
        A_eq=balance, b_eq=(1 - gamma) * model.start, bounds=(0, None), method="highs",
    )  # fmt: skip
    if found.x is None:
        raise ModelError(f"HiGHS found no solution of the penalised program: {found.message}")
    table = policy_of(model, np.maximum(found.x[:pairs], 0.0), np.zeros(pairs))
    reached = evaluate_constrained(model, table)
    signs = np.array([-1.0 if d == ">=" else 1.0 for d in model.directions])
    excess = signs * reached.costs - model.upper_thresholds
    value = penalised_value(np.concatenate([[reached.reward], excess]), charged)
    return Penalised(float(value), float(reached.reward), excess, table, np.maximum(-found.ineqlin.marginals, 0.0) * reward / cost)


def average_shortfall_bound(iterations: int, actions: int, discount: float, spans: Any, prices: Any, step_size: float) -> float:
    """At least F* - F of the average iterate; spans (1 + m,) of the reward and the costs."""
    for name, value in (("iterations", iterations), ("step_size", step_size)):
        if not value > 0:
            raise ModelError(f"{name} is {value}; it must be above 0")
    spread = _spread(spans, prices)
    return float(np.log(actions) / (step_size * (1 - discount) * iterations) + step_size * spread**2 / (8 * (1 - discount) ** 3))


def best_step_size(iterations: int, actions: int, discount: float, spans: Any, prices: Any) -> float:
    """(1 - gamma) sqrt(8 log A / T) / W."""
    return float((1 - discount) * np.sqrt(8 * np.log(actions) / iterations) / (_spread(spans, prices) or 1.0))


def violation_bound(shortfall: float, prices: Any, optimal: Any) -> Array:
    """(m,) delta / (C_i - lambda_i*): infinite where C_i = lambda_i*, and everywhere if some C_i < lambda_i*; delta = `shortfall` >= V_r* - F."""
    room = checked_prices(prices, "prices") - checked_prices(optimal, "optimal")
    return np.where((room > 0) & (room >= 0).all(), shortfall / np.where(room > 0, room, 1.0), np.inf)


def _spread(spans: Any, prices: Any) -> float:
    spans = np.asarray(spans, dtype=float)
    return float(spans[0] + (checked_prices(prices, "prices") * spans[1:]).sum())


@dataclasses.dataclass(frozen=True)
class PenaltyNPG(ConstrainedMethod):
    """penalty C, one price for all constraints (left out: twice the largest optimal multiplier, at least 1); step_size eta (or the best one)."""

    penalty: Any = None
    step_size: Any = None
    name = "penalty"

    def tuned(self, model: ConstrainedMDP, problem: Problem, iterations: int) -> PenaltyNPG:
        chosen: dict[str, Any] = {}
        if self.penalty is None:
            from pgtheory.constrained.program import solve_constrained

            chosen["penalty"] = max(1.0, 2 * float(solve_constrained(model.float).multipliers.max()))
        ready = self.with_numbers(model, **chosen)
        facts = (iterations, max(problem.num_actions, 2), float(problem.discount), problem.spans)
        return ready.with_numbers(model, step_size=best_step_size(*facts, np.full(len(problem.thresholds), ready.penalty)))

    def step(self, state: State, seen: Seen, problem: Problem) -> State:
        charged = self.penalty * (seen.excess > 0)
        pull = seen.action_values[0] - (charged[:, None, None] * seen.action_values[1:]).sum(axis=0)
        return State(state.params + self.step_size * pull, state.multipliers)

    def guarantee(self, run: ConstrainedRun) -> Guarantee | None:
        problem = problem_of(run.model)
        prices = np.full(len(problem.thresholds), self.penalty)
        if not run.uniform_start or np.any(prices < run.solution.multipliers):
            return None
        facts = (run.iterations, problem.num_actions, float(problem.discount), problem.spans)
        shortfall = average_shortfall_bound(*facts, prices, self.step_size)
        return Guarantee("average", shortfall, violation_bound(shortfall, prices, run.solution.multipliers))
