"""Utilities of visited states that diminish: greedy choice, choices in layers, singles, trajectories.

Coverage F(X) = sum_j w_j (1 - prod_{i in X} (1 - p_ij)) with extras weights (3,) = w and covers (4, 3), more_covers (6, 3), layer_covers (2, 3, 3)
or state_covers (S, 3) = p.  Layers: one of three items in each of two, choices (2, 3) the probabilities, together = what the first items of both are
worth more as a pair (no submodular utility then).  Trajectories: three moves of the instance's policy from mu.  A trap: lure.  Everything is
enumerated.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from pgtheory.submodular import best_walk, greedy_walk, trap
from proofs_check.quantities.registry import define, flat, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
MOVES = 3
PATH = 4
"""States along the path past the trap."""


def _covered(c: Context, covers: Array, items: tuple[int, ...]) -> Array:
    """F of the items, (B,): covers (B, N, M)."""
    weights = c.extra("weights")
    missed = weights
    for i in items:
        missed = missed * (1 - covers[:, i])
    return (weights - missed).sum(axis=-1)


def _first_largest(worth: Array) -> Array:
    """(B,): position of the largest entry (the first of equals) of each row."""
    out = np.zeros(len(worth), dtype=np.int64)
    for b, row in enumerate(worth):
        for k in range(1, len(row)):
            if arithmetic.less(row[out[b]], row[k]):
                out[b] = k
    return out


# Sets


def _table(c: Context, name: str, most: int) -> dict[frozenset[int], Array]:
    """F of every set of at most `most` items."""
    covers = c.extra(name)
    sets = (pick for size in range(most + 1) for pick in itertools.combinations(range(covers.shape[1]), size))
    return {frozenset(pick): _covered(c, covers, pick) for pick in sets}


def _greedy_value(c: Context, name: str, size: int) -> Array:
    table, count = _table(c, name, size), c.extra(name).shape[1]
    chosen: list[frozenset[int]] = [frozenset()] * len(c.discount)
    for _ in range(size):
        worth = np.array([[table[have | {i}][b] for i in range(count)] for b, have in enumerate(chosen)])
        chosen = [have | {int(i)} for have, i in zip(chosen, _first_largest(worth), strict=True)]
    return per_instance(np.array([table[have][b] for b, have in enumerate(chosen)]))


def _best_value(c: Context, name: str, size: int) -> Array:
    table = _table(c, name, size)
    return per_instance(arithmetic.maximum(np.stack(list(table.values()), axis=-1), axis=-1))


@define("greedy_pair", r"F(\mathrm{greedy}_2)", "instance")
def _greedy_pair(c: Context) -> Array:
    """Utility of two of four items chosen one by one for what they add, the first of equals."""
    return _greedy_value(c, "covers", 2)


@define("best_pair", r"\max_{|X|\le2}F(X)", "instance")
def _best_pair(c: Context) -> Array:
    """Largest utility of two of four items."""
    return _best_value(c, "covers", 2)


@define("greedy_triple", r"F(\mathrm{greedy}_3)", "instance")
def _greedy_triple(c: Context) -> Array:
    """Utility of three of six items chosen one by one for what they add, the first of equals."""
    return _greedy_value(c, "more_covers", 3)


@define("best_triple", r"\max_{|X|\le3}F(X)", "instance")
def _best_triple(c: Context) -> Array:
    """Largest utility of three of six items."""
    return _best_value(c, "more_covers", 3)


def _singles(c: Context) -> Array:
    return np.stack([_covered(c, c.extra("covers"), (i,)) for i in range(4)], axis=-1)


@define("best_singles_together", r"F(\mathrm{top}_2)", "instance")
def _best_singles_together(c: Context) -> Array:
    """Utility of the two items that are worth most alone."""
    table, singles = _table(c, "covers", 2), _singles(c)
    out = []
    for b, first in enumerate(_first_largest(singles)):
        left = [i for i in range(4) if i != first]
        second = left[int(_first_largest(singles[b : b + 1, left])[0])]
        out.append(table[frozenset({int(first), second})][b])
    return per_instance(np.array(out))


@define("least_lasting_share", r"1-c", "instance")
def _least_lasting_share(c: Context) -> Array:
    """One minus the curvature: the least share of its worth alone that an item still adds to all the others."""
    table, singles = _table(c, "covers", 4), _singles(c)
    everything = frozenset(range(4))
    last = np.stack([table[everything] - table[everything - {i}] for i in range(4)], axis=-1)
    nothing = np.asarray(singles == 0)
    share = last / np.where(nothing, singles + 1, singles)
    return per_instance(arithmetic.minimum(np.where(nothing, share * 0 + 1, share), axis=-1))


# One choice in each of two layers


def _layered(c: Context) -> Array:
    """F of each pair of choices, (B, 3, 3)."""
    covers = c.extra("layer_covers")
    items = covers.reshape(len(covers), -1, covers.shape[-1])
    found = np.stack([_covered(c, items, (a, 3 + b)) for a in range(3) for b in range(3)], axis=-1).reshape(-1, 3, 3)
    if "together" in c.extras:
        found[:, 0, 0] = found[:, 0, 0] + c.extra("together")
    return found


def _mixed(c: Context) -> tuple[Array, Array, Array]:
    """(E F, E F of each item of the first layer against the second's law, the other way round)."""
    worth, choices = _layered(c), c.extra("choices")
    first, second = np.einsum("bij,bj->bi", worth, choices[:, 1]), np.einsum("bij,bi->bj", worth, choices[:, 0])
    return (first * choices[:, 0]).sum(axis=-1), first, second


@define("layered_value", r"\mathbb{E}_\pi F", "instance")
def _layered_value(c: Context) -> Array:
    """Expected utility of independent choices, one item in each of two layers."""
    return per_instance(_mixed(c)[0])


@define("layered_gains", r"\sum_l\max_a\mathbb{E}F(a,\pi_{-l})-\mathbb{E}_\pi F", "instance")
def _layered_gains(c: Context) -> Array:
    """What the best deviation in one layer gains, summed over the layers: 0 where the policy is a local optimum."""
    value, first, second = _mixed(c)
    return per_instance(arithmetic.maximum(first, axis=-1) + arithmetic.maximum(second, axis=-1) - 2 * value)


@define("layered_best", r"\max_{a,b}F(a,b)", "instance")
def _layered_best(c: Context) -> Array:
    """Largest utility of one item in each layer."""
    return per_instance(arithmetic.maximum(_layered(c).reshape(len(c.discount), -1), axis=-1))


# Trajectories


def _credit(c: Context, credit: str) -> Array:
    """E sum_t score_t times its credit, (B, S, A), over all trajectories; the credit is F at the end (less F so far), or the next gain."""
    policy, states, actions = c.policies[:, 0], c.rewards.shape[1], c.rewards.shape[2]
    covers, total = c.extra("state_covers"), c.rewards * 0
    for path in itertools.product(range(states), repeat=MOVES + 1):
        worth = [_covered(c, covers, tuple(sorted(set(path[: t + 1])))) for t in range(MOVES + 1)]
        for moves in itertools.product(range(actions), repeat=MOVES):
            chance = c.mu[:, path[0]]
            for t, a in enumerate(moves):
                chance = chance * policy[:, path[t], a] * c.transitions[:, path[t], a, path[t + 1]]
            for t, a in enumerate(moves):
                gain = {"to come": worth[-1] - worth[t], "all": worth[-1], "next": worth[t + 1] - worth[t]}[credit] * chance
                total[:, path[t]] = total[:, path[t]] - gain[:, None] * policy[:, path[t]]
                total[:, path[t], a] = total[:, path[t], a] + gain
    return total


def _differentiated(c: Context) -> Array:
    """The gradient of E F in the logits, (B, S, A): the recursion over (state, visited set) differentiated step by step."""
    policy, states, actions = c.policies[:, 0], c.rewards.shape[1], c.rewards.shape[2]
    covers, known = c.extra("state_covers"), {}
    subsets = [frozenset(s) for size in range(1, states + 1) for s in itertools.combinations(range(states), size)]
    for seen in subsets:
        worth = _covered(c, covers, tuple(sorted(seen)))
        for s in seen:
            known[0, s, seen] = (worth, c.rewards * 0)
    for left in range(1, MOVES + 1):
        for seen in subsets:
            for s in seen:
                ahead, slopes = [], []
                for a in range(actions):
                    after = [known[left - 1, t, seen | {t}] for t in range(states)]
                    ahead.append(sum(c.transitions[:, s, a, t] * after[t][0] for t in range(states)))
                    slopes.append(sum(c.transitions[:, s, a, t, None, None] * after[t][1] for t in range(states)))
                value = sum(policy[:, s, a] * ahead[a] for a in range(actions))
                slope = sum(policy[:, s, a, None, None] * slopes[a] for a in range(actions))
                for b in range(actions):  # d pi(a) / d logit(b) = pi(a) (1{a = b} - pi(b))
                    slope[:, s, b] = slope[:, s, b] + policy[:, s, b] * (ahead[b] - value)
                known[left, s, seen] = (value, slope)
    return sum(c.mu[:, s, None, None] * known[MOVES, s, frozenset([s])][1] for s in range(states))


@define("visited_gradient", r"\nabla_\theta\mathbb{E}F", "instance", "logits")
def _visited_gradient(c: Context) -> Array:
    """Derivatives of the expected utility of the states visited in three moves in the logits, by differentiating its recursion over visited sets."""
    return flat(_differentiated(c)[:, None])


@define("gains_to_come", r"\mathbb{E}\sum_t\nabla\log\pi\,(F(\tau)-F(\tau_{0:t}))", "instance", "logits")
def _gains_to_come(c: Context) -> Array:
    """Mean over all trajectories of each score times the marginal gains that are still to come."""
    return flat(_credit(c, "to come")[:, None])


@define("whole_utility_credit", r"\mathbb{E}\sum_t\nabla\log\pi\,F(\tau)", "instance", "logits")
def _whole_utility_credit(c: Context) -> Array:
    """The same with the utility of the whole trajectory."""
    return flat(_credit(c, "all")[:, None])


@define("next_gain_credit", r"\mathbb{E}\sum_t\nabla\log\pi\,(F(\tau_{0:t+1})-F(\tau_{0:t}))", "instance", "logits")
def _next_gain_credit(c: Context) -> Array:
    """The same with the next marginal gain alone."""
    return flat(_credit(c, "next")[:, None])


# A trap


def _trapped(c: Context) -> list[tuple[list[list[int]], object]]:
    return [trap(PATH, lure) for lure in c.extra("lure")]


@define("trap_lure", r"1+\epsilon", "instance")
def _trap_lure(c: Context) -> Array:
    """What the dead end is worth that lies one step away."""
    return per_instance(c.extra("lure"))


@define("greedy_walk_value", r"F(\mathrm{greedy\ walk})", "instance")
def _greedy_walk_value(c: Context) -> Array:
    """Utility of four moves each of which goes where most is added at once."""
    walks = [(utility, greedy_walk(graph, utility, 0, PATH)) for graph, utility in _trapped(c)]  # type: ignore[arg-type]
    return per_instance(np.array([utility(frozenset(walk)) for utility, walk in walks]))  # type: ignore[operator]


@define("best_walk_value", r"\max F(\mathrm{walk})", "instance")
def _best_walk_value(c: Context) -> Array:
    """Largest utility of four moves."""
    return per_instance(np.array([best_walk(graph, utility, 0, PATH)[0] for graph, utility in _trapped(c)]))  # type: ignore[arg-type]
