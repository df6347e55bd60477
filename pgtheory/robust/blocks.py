"""One state of an s-rectangular set: nature spends a common budget on the rows of all actions, sum_a D(q_a, p_a) <= budget.

    worst_block    for a given policy of the state:      min over q of sum_a pi_a q_a . v
    best_block     for the best one:        u = max over pi of min over q of sum_a pi_a (r_a + gamma q_a . v)

**Best policy without a program** (Ho, Petrik and Wiesemann 2018, 2021).  Max and min may change places, and nature then lowers all actions to one
level:
u is the least level with sum_a cost_a(u) <= budget, where cost_a(u) is the least D with r_a + gamma q_a . v <= u.  The costs are convex and fall in
u, so Newton steps from the left climb to it, and end after finitely many where the costs are piecewise linear: exactly, in rationals.  The policy
plays action a in proportion to the slope of its cost at u.

Sets with flat sides (L1, total variation, contamination, transport) are lists of moves by falling gain per cost (`polyhedral.transport_moves`); for
a given policy the worst case is one fractional knapsack over all moves, weighted with pi_a.

Sets with curved sides (KL, chi2, L2) have one tilt each, q(theta) = argmin q . v + D(q, p) / theta, with D the square for L2.  A policy makes theta_a
proportional to pi_a; a level u fixes every theta_a.  What comes out is bracketed: below by the dual at that multiplier, above by a q inside the set.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mdps.ambiguity.balls import exact_numbers, float_numbers
from mdps.errors import ModelError
from pgtheory.compiled import gate
from pgtheory.robust.curved_search import KINDS, level_tilts, prices
from pgtheory.robust.polyhedral import Move, prices_of_weights, transport_moves
from pgtheory.robust.smooth import EPS, _project, _tilted

Array = np.ndarray
FLAT = ("l1", "tv", "contamination", "wasserstein")
CURVED = ("kl", "chi2", "l2")


def moves_of(ambiguity: Any, p: Array, v: Array) -> list[Move]:
    """What nature does to one row as its budget grows, for a set with flat sides; the row may be rational."""
    exact = p.dtype == object
    numbers = exact_numbers if exact else float_numbers
    row, values, name = p.tolist(), v.tolist(), ambiguity.name
    if name == "contamination":
        places = [j for j in range(len(row)) if ambiguity.support == "all" or row[j] > 0]
        target = min(places, key=values.__getitem__)
        gain = sum(m * (x - values[target]) for m, x in zip(row, values, strict=True))
        return [(gain * 0 + 1, gain, -1, target, gain * 0 + 1)] if gain > 0 else []
    if name == "wasserstein":
        return transport_moves(row, values, numbers(ambiguity.cost).tolist(), ambiguity.support)
    if name == "l1" and ambiguity.weights is not None:
        return transport_moves(row, values, prices_of_weights(numbers(ambiguity.weights)).tolist(), ambiguity.support)
    places = [j for j in range(len(row)) if ambiguity.support == "all" or row[j] > 0]
    target = min(places, key=values.__getitem__)
    donors = sorted((i for i in range(len(row)) if row[i] > 0 and values[i] > values[target]), key=values.__getitem__, reverse=True)
    price = 2 if name == "l1" else 1
    return [(price * row[i], row[i] * (values[i] - values[target]), i, target, row[i]) for i in donors]


def apply_moves(p: Array, moves: list[Move], spent: list[Any]) -> Array:
    """The row after paying spent[k] for move k."""
    q = p.copy()
    for (cost, _, source, target, mass), paid in zip(moves, spent, strict=True):
        share = mass if cost == 0 else mass * paid / cost
        if source < 0:
            q = q * (1 - share)
        else:
            q[source] = q[source] - share
        q[target] = q[target] + share
    return q


def worst_block(ambiguity: Any, p: Array, v: Array, policy: Array, budget: Any) -> tuple[Any, Array]:
    """min over q of sum_a pi_a q_a . v, and the q (A, n) that attains it.

    p        (A, n) nominal rows of one state;  v (n,);  policy (A,);  budget at least 0
    returns  a value below the minimum (up to rounding; exact for sets with flat sides) and a block inside the set.
             Rows of actions that are never played stay nominal.
    """
    if ambiguity.name in CURVED:
        low, q = worst_curved(ambiguity, p[None], v, np.asarray(policy)[None], np.array([float(budget)]))
        return low[0], q[0]
    if ambiguity.name not in FLAT:
        raise ModelError(f"{type(ambiguity).__name__} has no common budget for the rows of a state")
    moves = [moves_of(ambiguity, row, v) for row in p]
    played = [a for a in range(len(p)) if policy[a] > 0]
    queue = [(_rate(m) * policy[a], a, k) for a in played for k, m in enumerate(moves[a]) if m[0] != 0]
    spent = [[m[0] * 0 for m in row] for row in moves]
    left = budget
    for _, a, k in _in_order(queue):
        paid = min(moves[a][k][0], left)
        spent[a][k], left = paid, left - paid
    q = np.array([apply_moves(row, moves[a], spent[a]) if a in played else row for a, row in enumerate(p)], dtype=p.dtype)
    return (policy * (q * v).sum(axis=-1)).sum(), q


def _rate(move: Move) -> Any:
    return move[1] / move[0]


def _in_order(queue: list[tuple[Any, int, int]]) -> list[tuple[Any, int, int]]:
    """By falling rate; the moves of one action in their own order, whatever rounding made of their rates."""
    last: dict[int, Any] = {}
    fixed = []
    for rate, a, k in queue:
        last[a] = rate if a not in last or rate < last[a] else last[a]
        fixed.append((last[a], a, k))
    return sorted(fixed, key=lambda entry: entry[0], reverse=True)


def best_block(ambiguity: Any, p: Array, v: Array, rewards: Array, discount: Any, budget: Any) -> tuple[Any, Any, Array, Array]:
    """(lower, upper, policy, q): bounds on max over pi of min over q of sum_a pi_a (r_a + gamma q_a . v), a best policy (A,) and a worst block (A,
    n).

    Rationals with a set with flat sides: lower = upper, exact.
    """
    if ambiguity.name in CURVED:
        low, high, policy, q = best_curved(ambiguity, p[None], v, rewards[None], discount, np.array([float(budget)]))
        return low[0], high[0], policy[0], q[0]
    if ambiguity.name not in FLAT:
        raise ModelError(f"{type(ambiguity).__name__} has no common budget for the rows of a state")
    actions = range(len(p))
    moves = [moves_of(ambiguity, row, v) for row in p]
    tops = [r + discount * ((row * v).sum() - sum(m[1] for m in own if m[0] == 0)) for r, row, own in zip(rewards, p, moves, strict=True)]
    paid = [[(m[0], discount * m[1]) for m in own if m[0] != 0] for own in moves]
    lowest = [_lowered(top, own, budget) for top, own in zip(tops, paid, strict=True)]
    level = max(lowest)
    costs = [_cost_of(top, own, level) for top, own in zip(tops, paid, strict=True)]
    if sum(c for c, _ in costs) <= budget:  # one action alone holds the level, though nature has all of its budget for it
        weights = [level * 0 + (1 if a == lowest.index(level) else 0) for a in actions]
    else:
        while (total := sum(c for c, _ in costs)) > budget:
            following = level + (total - budget) / sum(s for _, s in costs)
            if not following > level:
                break
            level = following
            costs = [_cost_of(top, own, level) for top, own in zip(tops, paid, strict=True)]
        weights = [s for _, s in costs]
    policy = np.array([w / sum(weights) for w in weights], dtype=p.dtype)
    q = np.array([apply_moves(row, own, _spent(own, c)) for row, own, (c, _) in zip(p, moves, costs, strict=True)], dtype=p.dtype)
    return level, level, policy, q


def _lowered(top: Any, paid: list[tuple[Any, Any]], budget: Any) -> Any:
    """The level of an action after the whole budget went into it."""
    left = budget
    for cost, gain in paid:
        if cost >= left:
            return top - gain * left / cost
        top, left = top - gain, left - cost
    return top


def _cost_of(top: Any, paid: list[tuple[Any, Any]], level: Any) -> tuple[Any, Any]:
    """(least cost of lowering the action to the level, -d cost / d level)."""
    total, need, slope = top * 0, top - level, top * 0
    for cost, gain in paid:
        if need <= 0:
            return total, top * 0
        slope = cost / gain
        if gain >= need:
            return total + cost * need / gain, slope
        total, need = total + cost, need - gain
    return total, slope if need > 0 else top * 0  # what rounding leaves of the need costs as much as the last move


def _spent(moves: list[Move], cost: Any) -> list[Any]:
    """How much of `cost` goes into each move, in their order."""
    out = []
    for move in moves:
        paid = min(move[0], cost)
        out.append(paid)
        cost = cost - paid
    return out


# Curved sides: many states at once.  p (S, A, n), v (n,), theta (S, A)


def _tilt(kind: str, p: Array, y: Array, theta: Array, on: Array) -> tuple[Array, Array, Array]:
    """(q, D(q, p), a lower bound for min q . y + D / theta), y >= 0 and 0 somewhere on the support."""
    if kind == "kl":
        q, divergence, log_mass = _tilted(p, y, theta)
        with np.errstate(divide="ignore", invalid="ignore"):
            dual = np.where(theta > 0, -log_mass / theta, (p * y).sum(axis=-1))
        return q, divergence, dual
    half = theta[..., None] / 2
    scale = p if kind == "chi2" else np.ones_like(p)
    q = _project(p - half * y, on) if kind == "l2" else _weighted_projection(p, half * y, on)
    safe = np.where(on & (scale > 0), scale, 1.0)
    divergence = (np.where(on, q - p, 0.0) ** 2 / safe).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = np.where(q > 0, y + (q - p) / (safe * half), 0.0).sum(axis=-1) / (q > 0).sum(axis=-1)
        excess = y - level[..., None]
        inner = np.where(on, np.maximum(p - half * scale * excess, 0.0), 0.0)
        dual = level + np.where(on, inner * excess + (inner - p) ** 2 / (safe * theta[..., None]), 0.0).sum(axis=-1)
        dual = np.where(theta > 0, dual, (p * y).sum(axis=-1))
    return q, divergence, dual


def _weighted_projection(p: Array, x: Array, on: Array) -> Array:
    """q = p (1 - x + c)_+ with c such that q sums to 1; x = theta y / 2."""
    order = np.argsort(np.where(on, x, np.inf), axis=-1, kind="stable")
    mass, height = np.take_along_axis(p, order, axis=-1), np.take_along_axis(np.where(on, x, 0.0), order, axis=-1)
    total = mass.cumsum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = (1 - total + (mass * height).cumsum(axis=-1)) / total
        kept = ((mass > 0) & (1 - height + shift > 0)).sum(axis=-1)[..., None]
    c = np.take_along_axis(shift, np.maximum(kept - 1, 0), axis=-1)
    return np.where(on, p * np.maximum(1 - x + c, 0.0), 0.0)


def _shape(ambiguity: Any, p: Array, v: Array) -> tuple[Array, Array, Array, float, Array]:
    """(support, least value (S, A), y = (v - least) / scale, scale, the largest divergence of each row with value `least`)."""
    on = np.ones(p.shape, dtype=bool) if ambiguity.name == "l2" and ambiguity.support == "all" else p > 0
    least = np.where(on, v, np.inf).min(axis=-1)
    above = np.where(on, v - least[..., None], 0.0)
    scale = float(above.max()) or 1.0
    return on, least, above / scale, scale, above


def _squared(ambiguity: Any, budget: Array) -> Array:
    return budget * budget if ambiguity.name == "l2" else budget


def _feasible(ambiguity: Any, p: Array, q: Array, budget: Array, used: Array) -> Array:
    """q moved towards p, all rows alike, until their common divergence is within the budget (it is convex)."""
    used = used * (1 + 16 * (p.shape[-1] + 4) * EPS)
    over = used > budget
    share = np.where(over, np.where(over, budget, 0.0) / np.where(over, used, 1.0), 1.0)
    share = np.where(share < 1, share * (1 - 4 * EPS), share)
    return p + (q - p) * share[:, None, None]


def worst_curved(ambiguity: Any, p: Array, v: Array, policy: Array, budget: Array, begin: Array | None = None) -> tuple[Array, Array]:
    """A lower bound (S,) for min over q of sum_a pi_a q_a . v, and q (S, A, n) within the budgets (S,); begin (S,): a guess of nature's price."""
    kind, allowed = ambiguity.name, _squared(ambiguity, budget)
    on, least, y, scale, _ = _shape(ambiguity, p, v)

    mu = np.ones(budget.shape) if begin is None else np.where(begin > 0, begin, 1.0)
    prices(KINDS[kind], ambiguity.support == "all", *gate(p, y, policy, allowed), mu)
    q, divergence, dual = _tilt(kind, p, y, policy * mu[:, None], on)
    q = _feasible(ambiguity, p, q, allowed, divergence.sum(axis=-1))
    with np.errstate(divide="ignore", invalid="ignore"):
        below = np.where(mu > 0, (policy * dual).sum(axis=-1) - np.where(mu > 0, allowed / mu, 0.0), (policy * (p * y).sum(axis=-1)).sum(axis=-1))
    below = np.maximum(below, 0.0)  # no row goes below the least value
    return (policy * least).sum(axis=-1) + scale * below, q


def best_curved(ambiguity: Any, p: Array, v: Array, rewards: Array, discount: float, budget: Array) -> tuple[Array, Array, Array, Array]:
    """(lower bound, upper bound (S,), policy (S, A), q (S, A, n)) of u = max over pi of min over q of sum_a pi_a (r_a + gamma q_a . v)."""
    kind, allowed = ambiguity.name, _squared(ambiguity, budget)
    on, least, y, scale, _ = _shape(ambiguity, p, v)
    base, gain = rewards + discount * least, discount * scale
    tops = base + gain * (p * y).sum(axis=-1)
    theta, held = np.empty(base.shape), np.empty(allowed.shape, dtype=np.bool_)
    level_tilts(KINDS[kind], ambiguity.support == "all", *gate(p, y, base), float(gain or 1.0), gate(allowed)[0], theta, held)
    q, divergence, _ = _tilt(kind, p, y, theta, on)
    q = _feasible(ambiguity, p, q, allowed, divergence.sum(axis=-1))
    upper = (rewards + discount * (q * v).sum(axis=-1)).max(axis=-1)
    total = theta.sum(axis=-1, keepdims=True)
    mixed = theta / np.where(total > 0, total, 1.0)
    single = np.where(
        held, base.argmax(axis=-1), tops.argmax(axis=-1)
    )  # the action that holds the level alone, or with nothing to spend the best one
    policy = np.where((total > 0) & ~held[:, None], mixed, np.eye(p.shape[1])[single])
    worst, _ = worst_curved(ambiguity, p, v, policy, budget, total[:, 0])
    return (policy * rewards).sum(axis=-1) + discount * worst, upper, policy, q
