"""The optimum under constraints, by the linear program of occupancies, in floats.

    maximise   <x, r> / (1 - gamma)        over occupancies x >= 0 of pairs (s, a), normalised to 1,
    with       sum_a x(s, a) - gamma sum P(s | s', a') x(s', a') = (1 - gamma) rho(s)        multiplier V(s)
    and        <x, c_i> <= (1 - gamma) b_i                                                   multiplier lambda_i >= 0

The occupancies of all policies, with memory or without, are this polytope, and pi(a | s) = x(s, a) / sum_b x(s, b) gives x back (Altman
1999, chapter 3).  So the policy is optimal among all.  A vertex that visits S states has at most S + m positive entries: at most m actions more than
one a state.  The dual reads

    minimise   <rho, V> + <lambda, b>      with V >= r - sum_i lambda_i c_i + gamma P V:

lambda is what a unit of threshold is worth, and V the values of the MDP whose reward is charged with it.  The optimum is the same (no duality gap),
although no reward r - <lambda, c> need have the optimal policy as its only greedy one.

`solve_constrained` takes HiGHS's word for nothing but the choice of policy: the value is that of the policy, and the upper bound is recomputed from
the multipliers (weak duality).  `exactly.solve_constrained_exactly` finishes the same program in rationals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mdps.constrained import ConstrainedMDP
from mdps.errors import ModelError
from pgtheory.exact.evaluation import check_policy, occupancy, spread
from pgtheory.exact.linear import kind
from pgtheory.exact.linear_program import flow

Array = np.ndarray
UNVISITED = 1e-12
"""Occupancy of a state below which HiGHS's figure is rounding (its tolerance is 1e-7 on rows that sum to 1): the policy there is the greedy one."""


@dataclass(frozen=True)
class Values:
    """What a policy earns and costs.

    reward      V_r(rho)
    costs       (m,) V_(c_i)(rho), as given, whatever the direction
    violations  (m,) by how much each threshold is missed, 0 where it is met
    occupancy   (S, A), sums to 1
    """

    reward: Any
    costs: Array
    violations: Array
    occupancy: Array = field(repr=False)

    @property
    def is_feasible(self) -> bool:
        """Whether no threshold is missed, to the last bit."""
        return not any(v > 0 for v in self.violations)


@dataclass(frozen=True)
class ConstrainedSolution:
    """An optimal policy under constraints, to the accuracy of HiGHS, and the multipliers that bound every other one.

    value         V_r(rho) of `policy`
    upper         no policy that meets the constraints is worth more (weak duality at `multipliers`, recomputed)
    policy        (S, A) random in up to m states; greedy for the Lagrangian in states that it does not visit
    occupancy     (S, A) of `policy`, sums to 1
    multipliers   (m,) at least 0, reward units per unit of cost; one optimal choice where there are several (`sensitivity`)
    cost_values   (m,) of `policy`, as given
    violations    (m,) by how much `policy` misses a threshold: rounding of the program, about 1e-9 of the size of the costs
    state_values  (S,) values of the Lagrangian's MDP
    """

    value: float
    upper: float
    policy: Array = field(repr=False)
    occupancy: Array = field(repr=False)
    multipliers: Array
    cost_values: Array
    violations: Array
    state_values: Array = field(repr=False)
    model: ConstrainedMDP = field(repr=False)

    @property
    def gap(self) -> float:
        """upper - value: what rounding leaves open."""
        return self.upper - self.value


def evaluate_constrained(model: ConstrainedMDP, policy: Any) -> Values:
    """Reward, costs and violations of one policy, in its own arithmetic (float64 or rationals).

    policy   (S, A), rows sum to 1
    raises   ModelError: a row of `policy` is no distribution
    """
    table = check_policy(model.mdp, policy)
    source = model.exact if kind(table) == "rational" else model.float
    visits = occupancy(model.mdp, table)
    per_pair = visits[model.mdp.action_mask]
    horizon = 1 / (1 - source.discount)
    costs = np.array([(per_pair * c).sum() * horizon for c in source.costs], dtype=source.costs.dtype)
    upper = [-v if d == ">=" else v for v, d in zip(costs, source.directions, strict=True)]
    missed = [max(v - b, b * 0) for v, b in zip(upper, source.upper_thresholds, strict=True)]
    return Values((per_pair * source.mdp.pair_rewards).sum() * horizon, costs, np.array(missed, dtype=costs.dtype), visits)


def solve_constrained(model: ConstrainedMDP) -> ConstrainedSolution:
    """An optimal policy by HiGHS, for models of any size that it takes.

    raises   InfeasibleError: no policy meets all thresholds; it says which conflict and what would do.  ModelError: HiGHS gives up, `model` is none
    """
    model = checked(model).float
    found = float_program(model)
    if found.status == 2:
        from pgtheory.constrained.feasibility import refuse_infeasible

        refuse_infeasible(model)
    if found.x is None:
        raise ModelError(f"HiGHS found no solution of the constrained program: {found.message}")
    prices, values = dual_point(model, found)
    charged = model.mdp.pair_rewards - prices @ model.upper_costs
    ahead = charged + model.discount * (model.mdp.choices @ values)
    gain = ahead - np.repeat(values, np.diff(model.mdp.first_pair))
    excess = max(float(gain.max()), 0.0) / (1 - model.discount)
    upper = float(model.start @ values + prices @ model.upper_thresholds) + excess
    policy = policy_of(model, np.maximum(found.x[: model.mdp.num_pairs], 0.0), gain)
    reached = evaluate_constrained(model, policy)
    return ConstrainedSolution(float(reached.reward), upper, policy, reached.occupancy, prices, reached.costs, reached.violations, values, model)


def checked(model: Any) -> ConstrainedMDP:
    """`model` if it is a ConstrainedMDP."""
    if not isinstance(model, ConstrainedMDP):
        raise ModelError(f"a constrained problem is an mdps.ConstrainedMDP; this is a {type(model).__name__}")
    return model


def scales(model: ConstrainedMDP) -> tuple[float, Array]:
    """Largest reward and largest entry of every cost (1 where all are 0): HiGHS works with absolute tolerances."""
    reward = float(np.max(np.abs(model.mdp.pair_rewards))) or 1.0
    costs = np.max(np.abs(model.costs), axis=1)
    return reward, np.where(costs > 0, costs, 1.0)


def float_program(model: ConstrainedMDP, objective: Array | None = None) -> Any:
    """HiGHS's answer to the program above with rewards and costs scaled to at most 1; `objective` (pairs,) replaces the reward."""
    from scipy.optimize import linprog

    reward, cost = scales(model)
    earned = model.mdp.pair_rewards / reward if objective is None else objective
    return linprog(
        -earned,
        A_ub=model.upper_costs / cost[:, None],
        b_ub=(1 - model.discount) * model.upper_thresholds / cost,
        A_eq=-flow(model.mdp).T,
        b_eq=(1 - model.discount) * model.start,
        bounds=(0, None),
        method="highs",
    )


def dual_point(model: ConstrainedMDP, found: Any) -> tuple[Array, Array]:
    """(multipliers (m,) >= 0, V (S,)) of HiGHS's answer, in the units of the model."""
    reward, cost = scales(model)
    return np.maximum(-found.ineqlin.marginals, 0.0) * reward / cost, -found.eqlin.marginals * reward


def policy_of(model: ConstrainedMDP, frequencies: Array, gain: Array) -> Array:
    """(S, A) the policy of an occupancy (pairs,), and the action of the largest `gain` (pairs,) where the state is not visited."""
    first = model.mdp.first_pair
    table = np.zeros(model.mdp.num_pairs)
    for s in range(model.num_states):
        part = slice(int(first[s]), int(first[s + 1]))
        total = frequencies[part].sum()
        if total > UNVISITED:
            table[part] = frequencies[part] / total
        else:
            table[int(first[s]) + int(np.argmax(gain[part]))] = 1.0
    return spread(model.mdp, table)
