"""One reward and m costs of one policy, from one linear system: what every method of constrained policy optimisation looks at.

    V_x = (I - gamma P_pi)^-1 x_pi      Q_x = x + gamma P V_x      nu = (I - gamma P_pi)^-T rho        for x = r, c_1, ..., c_m

Constraints are in their upper form V_(c_i)(rho) <= b_i: a constraint ">=" enters with cost and threshold negated (`ConstrainedMDP.upper_costs`).  The
Lagrangian of multipliers lambda >= 0 is the value of the reward r - sum_i lambda_i c_i, plus lambda . b; its action values are the same combination
of the Q_x, so no second system is solved.  Everything here runs in float64 and, on `model.exact`, in rationals.

Constants of the theorems: `spans` are max - min of the reward and of each cost over the actions that exist, `reaches` how far V_(c_i) can be from
its threshold b_i.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mdps.constrained import ConstrainedMDP
from mdps.errors import ModelError
from pgtheory import arithmetic

Array = np.ndarray


class Problem(NamedTuple):
    """A constrained MDP as plain arrays.

    transitions (S, A, S'), tables (1 + m, S, A) the reward and the upper costs, thresholds (m,) upper, discount, start (S,), mask (S, A) which exist
    spans (1 + m,) max - min of the reward and of each cost over the pairs that exist
    reaches (m,) at least |V_(c_i)(rho) - b_i| for every policy: values lie between min c / (1 - gamma) and max c / (1 - gamma)"""

    transitions: Array
    tables: Array
    thresholds: Array
    discount: Any
    start: Array
    mask: Array
    spans: Array
    reaches: Array

    @property
    def num_actions(self) -> int:
        """The largest number of actions of a state."""
        return int(self.mask.sum(axis=1).max())


class Seen(NamedTuple):
    """A policy's evaluation: values (1 + m,) from the start, state_values (1 + m, S), action_values (1 + m, S, A) (0 where there is no action),
    visits (S,) of total 1 / (1 - gamma), excess (m,) = V_c - b, above 0 where a constraint is broken."""

    values: Array
    state_values: Array
    action_values: Array
    visits: Array
    excess: Array

    @property
    def advantages(self) -> Array:
        return self.action_values - self.state_values[..., None]


def problem_of(model: ConstrainedMDP) -> Problem:
    """The arrays of a model, in its arithmetic (rationals for `model.exact`).  raises ModelError: it is no ConstrainedMDP"""
    if not isinstance(model, ConstrainedMDP):
        raise ModelError(f"the model is a {type(model).__name__}; methods under constraints take an mdps.ConstrainedMDP")
    mdp = model.mdp
    signs = [-1 if d == ">=" else 1 for d in model.directions]
    tables = np.stack([mdp.rewards, *(sign * table for sign, table in zip(signs, model.cost_tables, strict=True))])
    bounds, horizon, mask = model.upper_thresholds, 1 / (1 - mdp.discount), mdp.action_mask
    ends = np.array([(row[mask].min(), row[mask].max()) for row in tables], dtype=tables.dtype)
    reaches = np.maximum(abs(ends[1:, 0] * horizon - bounds), abs(ends[1:, 1] * horizon - bounds))
    return Problem(mdp.transitions, tables, bounds, mdp.discount, mdp.start, mask, ends[:, 1] - ends[:, 0], reaches)


def evaluate(problem: Problem, policy: Array) -> Seen:
    """Values, action values and visits of a policy (S, A), for the reward and all costs at once."""
    moved = arithmetic.mix(policy, problem.transitions) * problem.discount
    matrix = arithmetic.identity(moved.shape[0], moved) - moved
    values = arithmetic.solve(matrix, (policy * problem.tables).sum(axis=-1).T).T
    ahead = problem.tables + problem.discount * arithmetic.expect(problem.transitions, values)
    from_start = (values * problem.start).sum(axis=-1)
    return Seen(from_start, values, ahead, arithmetic.solve(matrix.T, problem.start), from_start[1:] - problem.thresholds)


def lagrangian(tables: Array, multipliers: Array) -> Array:
    """tables[0] - sum_i lambda_i tables[1 + i]: rewards, action values or advantages of the Lagrangian from those of its parts (1 + m, ...)."""
    weights = multipliers.reshape(-1, *([1] * (tables.ndim - 1)))
    return tables[0] - (weights * tables[1:]).sum(axis=0)


def ascend_dual(multipliers: Array, step: Any, excess: Array, cap: Array | None = None) -> Array:
    """max(lambda + step (V_c - b), 0), and at most `cap`: the dual's projected gradient step."""
    moved = np.maximum(multipliers + step * excess, 0 * multipliers)
    return moved if cap is None else np.minimum(moved, cap)


def project_rows(rows: Array, mask: Array) -> Array:
    """The nearest policy: each row projected on the simplex of the actions that exist.

    An entry more than 1 below the largest of its row is projected to exactly 0, which is where absent actions are put."""
    if mask.all():
        return arithmetic.project_simplex(rows)
    largest = np.array([row[there].max() for row, there in zip(rows, mask, strict=True)], dtype=rows.dtype)
    return arithmetic.project_simplex(np.where(mask, rows, largest[:, None] - 2))


def uniform_policy(problem: Problem) -> Array:
    """(S, A) the uniform policy over the actions that exist, in the arithmetic of the model."""
    ones = np.where(problem.mask, problem.tables[0] * 0 + 1, problem.tables[0] * 0)
    return ones / ones.sum(axis=1)[:, None]


def best_response(problem: Problem, rewards: Array) -> Array:
    """(S, A) a deterministic policy that is optimal for `rewards` (S, A), by policy iteration from the first actions; of equals, an earlier one."""
    policy = rewards * 0
    policy[np.arange(len(policy)), problem.mask.argmax(axis=1)] += 1
    while True:
        values = arithmetic.policy_values(policy, problem.transitions, rewards, problem.discount)
        ahead = arithmetic.lookahead(problem.transitions, rewards, problem.discount, values)
        if not problem.mask.all():
            ahead = np.where(problem.mask, ahead, ahead[problem.mask].min() - 1)
        better = arithmetic.improve(policy, ahead, problem.discount)
        if (better == policy).all():
            return policy
        policy = better
