"""The robust Bellman operator and the worst case of a policy as one linear or convex program each: the slow second way, which shares no code with the
first.

The worst expectation is a concave function of the values, and by duality the largest number that satisfies a few constraints:

    transport (L1, TV, weights)   -lambda radius + p . u                    u_i <= y_j + lambda c_ij,  lambda >= 0
    contamination                 (1 - R) p . y + R m                       m <= y_j
    intervals, Linf               c + low . a - high . b                    y - c = a - b,  a, b >= 0
    KL                            c - lambda radius                         sum_i p_i lambda exp((c - y_i) / lambda) <= lambda
    entropic                      c                                         sum_i p_i exp(beta (c - y_i)) <= 1
    chi2                          E_p z - sqrt(radius) |sqrt(p) (z - E_p z)|_2        z <= y
    L2                            p . w + c - radius |w|_2                  w <= y - c

with y = V for one action, and y_a = pi_a V for a whole state: then pi may be a variable too, and one lambda (one norm) serves all actions of the
state.

    update       max over pi for given V: the robust Bellman operator, a program in pi and the multipliers
    evaluation   max sum V with V(s) <= (T^pi V)(s): its only solution is V_rob^pi, because T^pi is monotone and contracts

HiGHS solves what is linear, Clarabel the rest; their answers are good to about 1e-8.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mdps.ambiguity.balls import float_numbers
from mdps.errors import ModelError
from mdps.robust import RobustMDP
from pgtheory.robust.polyhedral import prices_of_weights

Array = np.ndarray


def program_update(robust: RobustMDP, values: Array) -> tuple[Array, Array]:
    """(T V (S,), a maximising policy (S, A)) by one program over all states."""
    import cvxpy as cp

    values = np.asarray(values, dtype=np.float64)
    nominal = robust.nominal
    rewards, mask = _rewards(robust), nominal.action_mask
    policy = cp.Variable(mask.shape, nonneg=True)
    limits: list[Any] = [cp.sum(policy, axis=1) == 1, policy[~mask] == 0] if not mask.all() else [cp.sum(policy, axis=1) == 1]
    worth = []
    for s in range(nominal.num_states):
        actions = np.flatnonzero(mask[s])
        paid = rewards[s, actions] @ policy[s, actions]
        if robust.reward_set is not None and robust.reward_set.name == "reward-ball":
            paid = paid - float(robust.reward_set.radii(nominal)[s]) * cp.norm2(policy[s, actions])  # type: ignore[attr-defined]
        weighted = [policy[s, a] * values for a in actions]
        worst, more = _state(robust, s, actions, weighted, policy[s, actions], values)
        worth.append(paid + nominal.discount * worst)
        limits += more
    _solved(cp.Problem(cp.Maximize(sum(worth)), limits))
    return np.array([float(w.value) for w in worth]), np.asarray(policy.value)


def program_evaluation(robust: RobustMDP, policy: Array) -> Array:
    """V_rob^pi (S,) by one program."""
    import cvxpy as cp

    nominal = robust.nominal
    rewards, mask, policy = _rewards(robust), nominal.action_mask, np.asarray(policy, dtype=np.float64)
    values = cp.Variable(nominal.num_states)
    limits: list[Any] = []
    for s in range(nominal.num_states):
        actions = np.flatnonzero(mask[s])
        paid = float(rewards[s, actions] @ policy[s, actions])
        if robust.reward_set is not None and robust.reward_set.name == "reward-ball":
            paid -= float(robust.reward_set.radii(nominal)[s]) * float(np.linalg.norm(policy[s, actions]))  # type: ignore[attr-defined]
        worst, more = _state(robust, s, actions, [float(policy[s, a]) * values for a in actions], policy[s, actions], values)
        limits += [values[s] <= paid + nominal.discount * worst, *more]
    _solved(cp.Problem(cp.Maximize(cp.sum(values)), limits))
    return np.asarray(values.value)


def _rewards(robust: RobustMDP) -> Array:
    if robust.transition_rewards is not None:
        raise ModelError("the programs take rewards that are paid for the action, not on arrival")
    box = robust.reward_set is not None and robust.reward_set.name == "reward-box"
    return robust.nominal.rewards - (robust.reward_set.radii(robust.nominal) if box else 0)  # type: ignore[union-attr,attr-defined]


def _solved(problem: Any) -> None:
    import cvxpy as cp

    problem.solve(solver=cp.HIGHS if problem.is_lp() else cp.CLARABEL)
    if problem.status not in ("optimal", "optimal_inaccurate"):
        raise ArithmeticError(f"{problem.solver_stats.solver_name} ended with {problem.status!r}")


def _state(robust: RobustMDP, s: int, actions: Array, y: list[Any], weights: Any, values: Any) -> tuple[Any, list[Any]]:
    """(expression, constraints): min over the set of sum_a q_a . y_a, y_a = pi_a V."""
    import cvxpy as cp

    ambiguity, nominal = robust.transition_set, robust.nominal
    p = [nominal.transitions[s, a] for a in actions]
    if ambiguity is None:
        return sum(row @ x for row, x in zip(p, y)), []
    if ambiguity.name == "finite":
        blocks = ambiguity.matrices()[:, s, actions]  # type: ignore[attr-defined]
        if ambiguity.rectangular == "s":
            level = cp.Variable()
            return level, [level <= sum(row @ x for row, x in zip(block, y)) for block in blocks]
        levels = cp.Variable(len(p))
        return cp.sum(levels), [levels[k] <= row @ x for block in blocks for k, (row, x) in enumerate(zip(block, y))]
    if ambiguity.name == "intervals":
        low, high = ambiguity.ends()  # type: ignore[attr-defined]
        parts = [_box(low[s, a], high[s, a], x) for a, x in zip(actions, y)]
        return sum(e for e, _ in parts), [c for _, more in parts for c in more]
    radii = ambiguity.radii(nominal)  # type: ignore[attr-defined]
    if ambiguity.rectangular == "s":
        return _ball(ambiguity, p, y, float(radii[s]), weights)
    parts = [_ball(ambiguity, [p[k]], [x], float(radii[s, a]), weights[k : k + 1]) for k, (a, x) in enumerate(zip(actions, y))]
    return sum(e for e, _ in parts), [c for _, more in parts for c in more]


def _box(low: Array, high: Array, y: Any) -> tuple[Any, list[Any]]:
    import cvxpy as cp

    c, a, b = cp.Variable(), cp.Variable(low.size, nonneg=True), cp.Variable(low.size, nonneg=True)
    return c + low @ a - high @ b, [y - c == a - b]


def _ball(ambiguity: Any, p: list[Array], y: list[Any], radius: float, weights: Any) -> tuple[Any, list[Any]]:
    """One budget for the rows p with the weighted values y."""
    import cvxpy as cp

    name = ambiguity.name
    kept = [np.arange(row.size) if getattr(ambiguity, "support", "nominal") == "all" else np.flatnonzero(row > 0) for row in p]
    rows, parts = [row[on] for row, on in zip(p, kept)], [x[on] for x, on in zip(y, kept)]
    if radius == 0:
        return sum(row @ x for row, x in zip(rows, parts)), []
    limits: list[Any] = []
    if name in ("l1", "tv", "wasserstein"):
        price, total = cp.Variable(nonneg=True), 0
        for row, x, on in zip(rows, parts, kept):
            cost = _cost(ambiguity, len(p[0]))[np.ix_(on, on)]
            u = cp.Variable(row.size)
            limits += [u[i] <= x + price * cost[i] for i in range(row.size)]
            total = total + row @ u
        return total - price * radius, limits
    if name == "contamination":
        price, total = cp.Variable(nonneg=True), 0
        for row, x in zip(rows, parts):
            m, share = cp.Variable(), cp.Variable(nonneg=True)  # min over R in [0, 1] of (1 - R) row . x + R m + price R
            limits += [m <= x, share >= row @ x - m - price]
            total = total + row @ x - share
        return total - price * radius, limits
    if name == "linf":
        row, support = p[0], set(kept[0].tolist())
        high = np.array([v + radius if i in support else 0.0 for i, v in enumerate(row)])
        return _box(np.maximum(row - radius, 0.0), high, y[0])
    if name == "kl":
        price, levels = cp.Variable(nonneg=True), cp.Variable(len(rows))
        for k, (row, x) in enumerate(zip(rows, parts)):
            w = cp.Variable(row.size)
            limits += [cp.ExpCone(levels[k] - x, price * np.ones(row.size), w), row @ w <= price]
        return cp.sum(levels) - price * radius, limits
    if name == "entropic":
        level, w = cp.Variable(), cp.Variable(rows[0].size)
        scale = weights[0] / radius * np.ones(rows[0].size)  # pi log-sum-exp of V: the perspective of y = pi V
        limits += [cp.ExpCone(level - parts[0], scale, w), rows[0] @ w <= weights[0] / radius]
        return level, limits
    total, norms = 0, []
    for row, x in zip(rows, parts):
        if name == "chi2":
            z = cp.Variable(row.size)
            limits.append(z <= x)
            total = total + row @ z
            norms.append(cp.multiply(np.sqrt(row), z - row @ z))
        else:
            c, w = cp.Variable(), cp.Variable(row.size)
            limits.append(w <= x - c)
            total = total + row @ w + c
            norms.append(w)
    return total - (np.sqrt(radius) if name == "chi2" else radius) * cp.norm2(cp.hstack(norms)), limits


def _cost(ambiguity: Any, size: int) -> Array:
    if ambiguity.name == "wasserstein":
        return float_numbers(ambiguity.cost)
    if ambiguity.name == "l1" and ambiguity.weights is not None:
        return prices_of_weights(float_numbers(ambiguity.weights))
    return (2.0 if ambiguity.name == "l1" else 1.0) * (1 - np.eye(size))
