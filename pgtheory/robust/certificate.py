"""Checks a saddle point of a robust MDP in rationals, with nothing from the solvers: definitions, weak duality, one linear system of equations.

A policy pi, a kernel Q and values V are the robust optimum if

    1. every row of Q lies in the set (its definition, inequality by inequality) and the rewards are the worst ones,
    2. no action beats V against Q:            r(s, a) + gamma Q(s, a) . V <= V(s)              so max_pi V^{pi,Q} <= V
    3. nature cannot push pi below V:          V(s) <= a dual bound of min_q sum_a pi_a (r_a + gamma q_a . V)     so V <= V_rob^pi

because V_rob^pi <= V_rob* <= max_pi V^{pi,Q}.  The duals are those of `duals`; for a common budget of a state

    min over q  >=  -lambda budget + sum_a min_q (pi_a q . V + lambda D(q, p_a))              for every lambda >= 0

is tried at lambda = 0 and at all rates at which a move gains.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mdps.ambiguity.balls import exact_numbers
from mdps.errors import ModelError
from mdps.robust import RobustMDP
from pgtheory.exact.certificate import CertificateError
from pgtheory.robust import duals
from pgtheory.robust.polyhedral import prices_of_weights

Array = np.ndarray


def check_robust(robust: RobustMDP, values: Array, policy: Array, kernel: Array, rewards: Array) -> None:
    """Raises CertificateError unless (policy, kernel) is a saddle point with these values; all of them rationals."""
    nominal = robust.nominal.exact
    ambiguity = robust.transition_set
    p, r, gamma = nominal.transitions, nominal.rewards, nominal.discount
    mask = nominal.action_mask
    if robust.reward_set is not None:
        r = r - np.where(mask, robust.reward_set.radii(robust.nominal, exact=True), r * 0)  # type: ignore[attr-defined]
    worth = np.broadcast_to(gamma * values, p.shape)
    if robust.transition_rewards is not None:  # paid on arrival: a part of what a successor is worth
        arrivals = exact_numbers(robust.transition_rewards)
        r, worth = r - (p * arrivals).sum(axis=-1), worth + arrivals
        _require(np.all((r + (kernel * arrivals).sum(axis=-1))[mask] == rewards[mask]), "the rewards are not those of the kernel")
    else:
        _require(np.all(r[mask] == rewards[mask]), "the rewards are not the worst ones")
    for s in range(nominal.num_states):
        actions = np.flatnonzero(mask[s]).tolist()
        _require(sum(policy[s, actions]) == 1 and min(policy[s, actions]) >= 0, f"the policy of {nominal.state_label(s)} is no distribution")
        _check_members(robust, ambiguity, s, actions, p[s], kernel[s])
        for a in actions:
            gained = r[s, a] + (kernel[s, a] * worth[s, a]).sum()
            _require(gained <= values[s], f"{nominal.state_label(s)}, action {a} is worth {gained} against the kernel, above {values[s]}")
        paid = sum(policy[s, a] * r[s, a] for a in actions)
        below = paid + _dual(robust, ambiguity, s, actions, p[s], policy[s], worth[s])
        _require(values[s] <= below, f"the policy of {nominal.state_label(s)} is only proved worth {below}, below {values[s]}")


def _require(condition: Any, message: str) -> None:
    if not condition:
        raise CertificateError(message)


def _check_members(robust: RobustMDP, ambiguity: Any, s: int, actions: list[int], p: Array, q: Array) -> None:
    place = robust.nominal.state_label(s)
    for a in actions:
        _require(q[a].sum() == 1 and min(q[a]) >= 0, f"the kernel of {place}, action {a} is no distribution")
    if ambiguity is None:
        _require(all((p[a] == q[a]).all() for a in actions), f"the kernel of {place} is not the nominal one")
    elif ambiguity.name == "intervals":
        low, high = ambiguity.ends(exact=True)
        _require(all((low[s, a] <= q[a]).all() and (q[a] <= high[s, a]).all() for a in actions), f"the kernel of {place} leaves its intervals")
    elif ambiguity.name == "finite":
        listed = ambiguity.matrices(exact=True)[:, s]
        if ambiguity.rectangular == "sa":
            _require(all(any((row == q[a]).all() for row in listed[:, a]) for a in actions), f"a row of {place} is not in the list")
        else:
            _require(
                _in_hull(listed[:, actions].reshape(len(listed), -1), q[actions].reshape(-1)),
                f"the block of {place} is no mixture of the listed ones",
            )
    else:
        radii = ambiguity.radii(robust.nominal, exact=True)
        spent = [_distance(ambiguity, p[a], q[a]) for a in actions]
        if ambiguity.support == "nominal":
            _require(all(x == 0 for a in actions for x, y in zip(q[a], p[a], strict=True) if y == 0), f"mass of {place} leaves the nominal support")
        if ambiguity.rectangular == "sa":
            over = [a for a, d in zip(actions, spent, strict=True) if d > radii[s, a]]
            _require(not over, f"the kernel of {place}, action {over[0] if over else 0} is outside its radius")
        else:
            _require(sum(spent) <= radii[s], f"the block of {place} spends {sum(spent)}, above {radii[s]}")


def _distance(ambiguity: Any, p: Array, q: Array) -> Any:
    name = ambiguity.name
    apart = [abs(x - y) for x, y in zip(p, q, strict=True)]
    if name == "tv":
        return sum(apart) / 2
    if name == "linf":
        return max(apart)
    if name == "contamination":
        return max((1 - y / x for x, y in zip(p, q, strict=True) if x > 0), default=sum(apart) * 0)
    if name == "l1":
        weights = exact_numbers(ambiguity.weights) if ambiguity.weights is not None else [1] * len(apart)
        return sum(w * d for w, d in zip(weights, apart, strict=True))
    return transport_cost(p.tolist(), q.tolist(), exact_numbers(ambiguity.cost).tolist())


def transport_cost(p: list[Any], q: list[Any], cost: list[list[Any]]) -> Any:
    """The cheapest transport of p to q, exactly: mass along cheapest paths of the residual graph (Bellman and Ford), one after the other."""
    n = len(p)
    zero = p[0] * 0
    flow = [[zero] * n for _ in range(n)]
    supply, demand = list(p), list(q)  # node i sends, node n + j receives; a plan goes straight from source to target
    while any(x > 0 for x in supply):
        best: list[Any] = [zero if x > 0 else None for x in supply] + [None] * n
        before: list[int] = [-1] * (2 * n)
        for _ in range(2 * n):
            changed = False
            for i in range(n):
                for j in range(n):
                    there, back = best[i], best[n + j]
                    if there is not None and (back is None or there + cost[i][j] < back):
                        best[n + j], before[n + j], changed = there + cost[i][j], i, True
                        back = best[n + j]
                    if flow[i][j] > 0 and back is not None and (there is None or back - cost[i][j] < there):
                        best[i], before[i], changed = back - cost[i][j], n + j, True
            if not changed:
                break
        target = min((j for j in range(n) if demand[j] > 0 and best[n + j] is not None), key=lambda j: best[n + j])
        path, node = [], n + target
        while before[node] >= 0:
            path.append((before[node], node))
            node = before[node]
        amount = min(supply[node], demand[target], *(flow[b][a - n] for a, b in path if a >= n)) if path else zero
        for a, b in path:
            if a < n:
                flow[a][b - n] = flow[a][b - n] + amount
            else:
                flow[b][a - n] = flow[b][a - n] - amount
        supply[node], demand[target] = supply[node] - amount, demand[target] - amount
    return sum((flow[i][j] * cost[i][j] for i in range(n) for j in range(n)), zero)


def _in_hull(points: Array, point: Array) -> bool:
    """Whether a rational point is a convex combination of rational points: the floats' combination names the ones used, a linear system weighs
    them."""
    from flint import fmpq_mat
    from scipy.optimize import nnls

    from mdps.rational import to_float

    matrix = np.vstack([to_float(points).T, np.ones(len(points))])
    weights, _ = nnls(matrix, np.r_[to_float(point), 1.0])
    for used in (np.flatnonzero(weights > 1e-9), np.arange(len(points))):
        part = np.vstack([points[used].T, np.full(used.size, point[0] * 0 + 1)])
        right = np.append(point, point[0] * 0 + 1)
        reduced, rank = fmpq_mat(part.shape[0], used.size + 1, np.column_stack([part, right]).reshape(-1).tolist()).rref()
        table = np.array(reduced.tolist(), dtype=object)
        pivots = [int(np.flatnonzero([x != 0 for x in row])[0]) for row in table[:rank]]
        if used.size not in pivots and all(table[k, -1] >= 0 for k in range(rank)):
            return True
    return False


def _dual(robust: RobustMDP, ambiguity: Any, s: int, actions: list[int], p: Array, policy: Array, worth: Array) -> Any:
    """A lower bound for min over q of sum_a pi_a q_a . worth_a; worth (A, S')."""
    v = [row.tolist() for row in worth]
    if ambiguity is None:
        return sum(policy[a] * (p[a] * worth[a]).sum() for a in actions)
    if ambiguity.name == "intervals":
        low, high = ambiguity.ends(exact=True)
        return sum(policy[a] * duals.intervals(low[s, a].tolist(), high[s, a].tolist(), v[a]) for a in actions)
    if ambiguity.name == "finite":
        listed = (ambiguity.matrices(exact=True)[:, s] * worth).sum(axis=-1)
        return sum(policy[a] * min(listed[:, a]) for a in actions) if ambiguity.rectangular == "sa" else min((policy * listed).sum(axis=-1))
    radii = ambiguity.radii(robust.nominal, exact=True)
    if ambiguity.rectangular == "sa":
        return sum(policy[a] * duals.dual_value(ambiguity, p[a].tolist(), v[a], radii[s, a]) for a in actions)
    return _common_budget(ambiguity, [p[a].tolist() for a in actions], [policy[a] for a in actions], v[0], radii[s])


def _common_budget(ambiguity: Any, rows: list[list[Any]], policy: list[Any], v: list[Any], budget: Any) -> Any:
    places = [[j for j in range(len(v)) if ambiguity.support == "all" or row[j] != 0] for row in rows]
    if ambiguity.name == "contamination":
        gains = [
            w * (sum(x * y for x, y in zip(row, v, strict=True)) - min(v[j] for j in own)) for row, w, own in zip(rows, policy, places, strict=True)
        ]
        base = sum(w * sum(x * y for x, y in zip(row, v, strict=True)) for row, w in zip(rows, policy, strict=True))
        return max(base - rate * budget + sum(min(rate - g, g * 0) for g in gains) for rate in [budget * 0, *gains])
    if ambiguity.name == "wasserstein":
        cost = exact_numbers(ambiguity.cost)
    elif ambiguity.name == "l1" and ambiguity.weights is not None:
        cost = prices_of_weights(exact_numbers(ambiguity.weights))
    elif ambiguity.name in ("l1", "tv"):
        price = 2 if ambiguity.name == "l1" else 1
        cost = np.array([[budget * 0 + (0 if i == j else price) for j in range(len(v))] for i in range(len(v))], dtype=object)
    else:
        raise ModelError(f"{type(ambiguity).__name__} has no common budget for the rows of a state")

    def at(rate: Any) -> Any:
        total = -rate * budget
        for row, w, own in zip(rows, policy, places, strict=True):
            total += sum(m * min(w * v[j] + rate * cost[i, j] for j in {*own, i}) for i, m in enumerate(row) if m > 0)
        return total

    rates = {budget * 0}
    for w in set(policy):
        for i in range(len(v)):
            for j in range(len(v)):
                for k in range(len(v)):
                    if cost[i, j] > cost[i, k] and v[k] > v[j]:
                        rates.add(w * (v[k] - v[j]) / (cost[i, j] - cost[i, k]))
    return max(at(rate) for rate in rates)
