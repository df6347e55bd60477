"""Games against nature in closed form: budgets shared by two actions, graphs whose cuts nature must find, balls around rewards.

The models are built here from a few numbers of the instance and solved as the Markov chains that they are; what they are compared with is a formula.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.quantities.registry import define, per_instance
from proofs_check.robust import beside, exactly_known

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


# Two actions that lead to a good and a bad end


def _end_values(c: Context, chances: Array, policy: Array) -> Array:
    """(B,): value of state 0, from where action a leads to G (reward 1 for ever) with probability chances[a], else to B (reward 0).

    chances, policy   (B, 2)"""
    count = len(chances)
    zero = c.discount[0] * 0
    rows = np.full((count, 3, 2, 3), zero)
    rows[:, 0, :, 1], rows[:, 0, :, 2] = chances, 1 - chances
    rows[:, 1, :, 1] = rows[:, 2, :, 2] = zero + 1
    rewards = np.full((count, 3, 2), zero)
    rewards[:, 1] = zero + 1
    full = np.full((count, 3, 2), (zero + 1) / 2)
    full[:, 0] = policy
    return arithmetic.policy_values(full, rows, rewards, c.discount[:, None, None])[:, 0]


def _deterministic(c: Context, action: int) -> Array:
    return c.constant(np.tile(np.eye(2, dtype=np.int64)[action], (c.discount.size, 1)))


def _lines(c: Context, moves: list[Array]) -> list[tuple[Array, Array]]:
    """For each of nature's moves (chances (B, 2)) the values (B,) of always taking the second and always taking the first action: values are
    linear in the probability in between, because state 0 is left at once."""
    return [tuple(_end_values(c, chances, _deterministic(c, action)) for action in (1, 0)) for chances in moves]  # type: ignore[misc]


def highest_of_least(lines: list[tuple[Array, Array]]) -> Array:
    """max over x in [0, 1] of the least of the lines low + (high - low) x: attained at an end or where two lines cross."""
    places = [lines[0][0] * 0, lines[0][0] * 0 + 1]
    for (a, b), (u, v) in itertools.combinations(lines, 2):
        slope = (b - a) - (v - u)
        safe = np.where(slope == 0, slope * 0 + 1, slope)
        place = np.where(slope == 0, slope * 0, (u - a) / safe)
        places.append(np.minimum(np.maximum(place, place * 0), place * 0 + 1))
    heights = [least([low + (high - low) * x for low, high in lines]) for x in places]
    return -least([-height for height in heights])


def least(values: list[Array]) -> Array:
    """Entry by entry the least of several arrays."""
    out = values[0]
    for other in values[1:]:
        out = np.minimum(out, other)
    return out


def _coin(c: Context) -> list[Array]:
    """Nature's two pure moves: the first action leads to G and the second to B, or the other way round."""
    return [np.stack([_deterministic(c, action)[:, k] for k in (0, 1)], axis=1) for action in (0, 1)]


@define("coin_max_min", r"\max_\pi\min_\xi V^{\pi,\xi}(0)", "instance")
@exactly_known
def _coin_max_min(c: Context) -> Array:
    """Robust value of state 0 where nature says with which probability xi the first action leads to the good end (the second: 1 - xi), in reward
    units."""
    return per_instance(highest_of_least(_lines(c, _coin(c))))


@define("coin_max_min_deterministic", r"\max_{a}\min_\xi V^{a,\xi}(0)", "instance")
@exactly_known
def _coin_max_min_deterministic(c: Context) -> Array:
    """The same for an agent without a coin, in reward units."""
    lines = _lines(c, _coin(c))
    return per_instance(-least([-least([line[k] for line in lines]) for k in (0, 1)]))


@define("coin_min_max", r"\min_\xi\max_\pi V^{\pi,\xi}(0)", "instance")
@exactly_known
def _coin_min_max(c: Context) -> Array:
    """What the agent gets if nature, which may mix, moves first, in reward units."""
    ends = _coin(c)
    per_action = [tuple(-_end_values(c, chances, _deterministic(c, action)) for chances in ends) for action in (0, 1)]
    return per_instance(-highest_of_least(per_action))  # type: ignore[arg-type]


@define("coin_min_max_pure", r"\min_{\xi\in\{0,1\}}\max_\pi V^{\pi,\xi}(0)", "instance")
@exactly_known
def _coin_min_max_pure(c: Context) -> Array:
    """What the agent gets if nature moves first and may not mix, in reward units."""
    ends = _coin(c)
    best = [-least([-_end_values(c, chances, _deterministic(c, action)) for action in (0, 1)]) for chances in ends]
    return per_instance(least(best))


def _budget(c: Context) -> tuple[Array, Array]:
    """(chances (B, 2), beta / 2 (B,)): the budget is a share of the smaller chance, so that nature can spend it on either action."""
    chances = c.extra("chances")
    return chances, c.extra("share") * chances.min(axis=-1)


def _spendings(c: Context) -> list[Array]:
    """The corners of what nature may do: nothing, all on the first action, all on the second."""
    chances, half = _budget(c)
    moves = []
    for first, second in ((0, 0), (1, 0), (0, 1)):
        moves.append(np.stack([chances[:, 0] - first * half, chances[:, 1] - second * half], axis=1))
    return moves


def _probability(c: Context) -> Array:
    x = c.extra("probability")
    return np.stack([x, 1 - x], axis=1)


def _horizon(c: Context) -> Array:
    return c.discount / (1 - c.discount)


@define("budget_value", r"\min_{q}V^{\pi,q}(0)", "instance")
@exactly_known
def _budget_value(c: Context) -> Array:
    """Worst-case value of a randomised choice between two actions that share one L1 budget, in reward units."""
    return per_instance(least([_end_values(c, chances, _probability(c)) for chances in _spendings(c)]))


@define("budget_value_formula", r"\tfrac{\gamma}{1-\gamma}[\langle\pi,p\rangle-\tfrac\beta2\max_a\pi_a]", "instance")
@exactly_known
def _budget_value_formula(c: Context) -> Array:
    """Mean chance less what the whole budget takes from the likelier action, times gamma/(1-gamma), in reward units."""
    (chances, half), policy = _budget(c), _probability(c)
    return per_instance(_horizon(c) * ((policy * chances).sum(axis=-1) - half * policy.max(axis=-1)))


@define("budget_best", r"\max_\pi\min_qV^{\pi,q}(0)", "instance")
@exactly_known
def _budget_best(c: Context) -> Array:
    """Robust optimum of the choice between two actions that share one L1 budget, in reward units."""
    return per_instance(highest_of_least(_lines(c, _spendings(c))))


@define("budget_best_deterministic", r"\max_a\min_qV^{a,q}(0)", "instance")
@exactly_known
def _budget_best_deterministic(c: Context) -> Array:
    """The same for an agent without a coin, in reward units."""
    lines = _lines(c, _spendings(c))
    return per_instance(-least([-least([line[k] for line in lines]) for k in (0, 1)]))


@define("budget_best_formula", r"V^*_{\beta}(0)", "instance")
@exactly_known
def _budget_best_formula(c: Context) -> Array:
    """gamma/(1-gamma) times (p_1+p_2)/2 - beta/4 where the chances differ by at most beta/2, else max p - beta/2, in reward units."""
    chances, half = _budget(c)
    most, mean = chances.max(axis=-1), chances.sum(axis=-1) / 2
    even = (most - chances.min(axis=-1)) <= half
    return per_instance(_horizon(c) * np.where(even, mean - half / 2, most - half))


@define("budget_uniform_formula", r"\tfrac{\gamma}{1-\gamma}[\tfrac{p_1+p_2}{2}-\tfrac\beta4]", "instance")
@exactly_known
def _budget_uniform_formula(c: Context) -> Array:
    """Worst-case value of the uniform choice, in reward units."""
    chances, half = _budget(c)
    return per_instance(_horizon(c) * (chances.sum(axis=-1) / 2 - half / 2))


@define("budget_best_separate", r"\max_\pi\min_{q\in U_1\times U_2}V^{\pi,q}(0)", "instance")
@exactly_known
def _budget_best_separate(c: Context) -> Array:
    """Robust optimum if each action has the whole budget for itself, in reward units."""
    chances, half = _budget(c)
    moves = [*_spendings(c), chances - half[:, None]]
    return per_instance(highest_of_least(_lines(c, moves)))


@define("budget_separate_formula", r"\tfrac{\gamma}{1-\gamma}[\max p-\tfrac\beta2]", "instance")
@exactly_known
def _budget_separate_formula(c: Context) -> Array:
    """Worst-case value of the action with the better chance, in reward units."""
    chances, half = _budget(c)
    return per_instance(_horizon(c) * (chances.max(axis=-1) - half))


# Graphs: one hidden number a node, used in every copy of the node


def _edges(c: Context) -> tuple[list[tuple[int, int]], Array, Array]:
    """(pairs of nodes, their shares (B, E), total weight (B,)); shares are 0 where a graph has no weight at all."""
    weights = c.extra("weights")
    pairs = list(itertools.combinations(range(weights.shape[1]), 2))
    zero = c.discount * 0
    each = np.stack([weights[:, i, j] for i, j in pairs], axis=1) if pairs else np.empty((len(zero), 0), dtype=zero.dtype)
    total = each.sum(axis=1) if pairs else zero
    safe = np.where(total == 0, total * 0 + 1, total)
    return pairs, each / safe[:, None], total


def graph_values(c: Context, bits: Array) -> Array:
    """(B, M): values of the start of the chain for nature's numbers `bits` (B, M, N).

    The chain picks an edge (i, j), visits a copy of i, where a hidden bit becomes 1 with probability bits[i], then a copy of j, and ends in
    "cut" (reward 0) if the second draw differs from the first, in "uncut" (reward 1 for ever) otherwise.  A graph without weight leads to "uncut"
    in as many steps."""
    rows = _graph_rows(c, bits)
    matrix = arithmetic.identity(rows.shape[-1], rows) - rows * c.discount[:, None, None, None]
    rewards = np.full(rows.shape[:3], c.discount[0] * 0)
    rewards[:, :, -1] = c.discount[0] * 0 + 1
    return arithmetic.solve(matrix, rewards)[:, :, 0]


def _graph_rows(c: Context, bits: Array) -> Array:
    """(B, M, n, n): the rows of that chain; the last two states are "cut" and "uncut"."""
    pairs, shares, total = _edges(c)
    batch, many = bits.shape[:2]
    edges = [*pairs, None]
    size = 1 + 3 * len(edges) + 2
    zero = c.discount[0] * 0
    rows = np.full((batch, many, size, size), zero)
    cut, uncut = size - 2, size - 1
    empty = np.where(total == 0, total * 0 + 1, total * 0)
    for k, pair in enumerate(edges):
        first = 1 + 3 * k
        rows[:, :, 0, first] = (empty if pair is None else shares[:, k])[:, None]
        i, j = (bits[:, :, pair[0]], bits[:, :, pair[1]]) if pair is not None else (bits[:, :, 0] * 0, bits[:, :, 0] * 0)
        rows[:, :, first, first + 1], rows[:, :, first, first + 2] = 1 - i, i
        rows[:, :, first + 1, cut], rows[:, :, first + 1, uncut] = j, 1 - j
        rows[:, :, first + 2, cut], rows[:, :, first + 2, uncut] = 1 - j, j
    rows[:, :, cut, cut] = rows[:, :, uncut, uncut] = zero + 1
    return rows


def _corners(c: Context) -> Array:
    nodes = c.extra("weights").shape[1]
    corners = np.array(list(itertools.product((0, 1), repeat=nodes)), dtype=np.int64)
    return c.constant(np.broadcast_to(corners, (c.discount.size, *corners.shape)))


def _reach(c: Context) -> Array:
    """What a chain that surely ends in "uncut" is worth: gamma^3 / (1 - gamma)."""
    return c.discount * c.discount * c.discount / (1 - c.discount)


@define("graph_value", r"\min_{\xi\in\{0,1\}^N}J(\xi)", "instance")
@exactly_known
def _graph_value(c: Context) -> Array:
    """Worst-case value of the chain on the graph over nature's pure choices, in reward units."""
    return per_instance(graph_values(c, _corners(c)).min(axis=1))


@define("graph_cut_formula", r"\tfrac{\gamma^3}{1-\gamma}(1-\mathrm{maxcut}/W)", "instance")
@exactly_known
def _graph_cut_formula(c: Context) -> Array:
    """gamma^3/(1-gamma) times the share of the weight that the largest cut leaves, in reward units."""
    pairs, shares, _ = _edges(c)
    best = c.discount * 0
    for sides in itertools.product((0, 1), repeat=c.extra("weights").shape[1]):
        across = [shares[:, k] for k, (i, j) in enumerate(pairs) if sides[i] != sides[j]]
        best = -least([-best, -sum(across[1:], start=across[0])]) if across else best
    return per_instance(_reach(c) * (1 - best))


@define("graph_value_at", r"J(\xi)", "instance")
@exactly_known
def _graph_value_at(c: Context) -> Array:
    """Value of the chain for nature's given numbers, in reward units."""
    return per_instance(graph_values(c, c.extra("bits")[:, None])[:, 0])


@define("graph_hull_value", r"\min_{P\in\mathrm{hull}}V^P", "instance")
@exactly_known
def _graph_hull_value(c: Context) -> Array:
    """Worst-case value of the chain if every copy of a node has a number of its own (the rectangular hull), in reward units.

    Backwards along the chain, nature takes in every state the row that is worth less: those of the number 0 and of the number 1."""
    nodes = c.extra("weights").shape[1]
    ends = c.constant(np.broadcast_to(np.array([[0] * nodes, [1] * nodes], dtype=np.int64), (c.discount.size, 2, nodes)))
    rows = _graph_rows(c, ends)
    values = rows[:, 0, 0] * 0
    values[:, -1] = values[:, -1] + 1 / (1 - c.discount)
    paid = values * 0
    paid[:, -1] = paid[:, -1] + 1
    for _ in range(3):  # the start, a first copy, a second copy
        worth = np.einsum("bmst,bt->bms", rows, values)
        values = paid + c.discount[:, None] * least([worth[:, 0], worth[:, 1]])
    return per_instance(values[:, 0])


@define("graph_weight", "W", "instance")
@exactly_known
def _graph_weight(c: Context) -> Array:
    """Total weight of the graph's edges."""
    return per_instance(_edges(c)[2])


@define("graph_middle_slope", r"\max_i\lvert\partial_iJ(\tfrac12,\dots,\tfrac12)\rvert", "instance")
@exactly_known
def _graph_middle_slope(c: Context) -> Array:
    """Largest derivative of the chain's value at nature's even numbers (the value is linear in each number), in reward units."""
    nodes = c.extra("weights").shape[1]
    ends = []
    for i in range(nodes):
        for end in (0, 1):
            point = np.full((c.discount.size, nodes), (c.discount[0] * 0 + 1) / 2)
            point[:, i] = c.discount * 0 + end
            ends.append(point)
    values = graph_values(c, np.stack(ends, axis=1))
    return per_instance(np.abs(values[:, 1::2] - values[:, ::2]).max(axis=1))


@define("graph_middle_gap", r"J(\tfrac12,\dots,\tfrac12)-\min J", "instance")
@exactly_known
def _graph_middle_gap(c: Context) -> Array:
    """By how much the value at nature's even numbers lies above the worst case, in reward units."""
    nodes = c.extra("weights").shape[1]
    even = np.full((c.discount.size, 1, nodes), (c.discount[0] * 0 + 1) / 2)
    return per_instance(graph_values(c, even)[:, 0] - graph_values(c, _corners(c)).min(axis=1))


# Rewards within a ball


def _paid(c: Context, rewards: Array) -> Array:
    """Values (B, 1, S) of the policy for other rewards (B, S, A)."""
    return arithmetic.policy_values(c.policies[:, :1], c.transitions[:, None], rewards[:, None], beside(c.discount))


def _stage(c: Context, stage: Array) -> Array:
    """Values (B, 1, S) of the policy for rewards (B, S) of a state."""
    return _paid(c, np.broadcast_to(stage[..., None], c.rewards.shape) * 1)


@define("reward_penalised_values", r"V:\ \langle\pi_s,r_s\rangle-\kappa_s\|\pi_s\|_2^2", "instance", "states")
def _reward_penalised_values(c: Context) -> Array:
    """Values with the policy's squared norm as a penalty: the reward ball of radius kappa |pi|_2, written without a root, in reward units."""
    policy = c.policies[:, 0]
    return _stage(c, (policy * c.rewards).sum(axis=-1) - c.extra("strength") * (policy * policy).sum(axis=-1))


@define("reward_worst_values", r"V:\ r-\kappa\pi", "instance", "states")
def _reward_worst_values(c: Context) -> Array:
    """Values with rewards r - kappa pi, which lie on the edge of the reward ball of radius kappa |pi|_2, in reward units."""
    return _paid(c, c.rewards - c.extra("strength")[..., None] * c.policies[:, 0])


@define("reward_perturbed_values", r"V:\ r+\delta,\ \|\delta_s\|\le\kappa_s\|\pi_s\|", "instance", "states")
def _reward_perturbed_values(c: Context) -> Array:
    """Values with some other rewards of that ball (the policy reflected at a given direction and shortened), in reward units."""
    size = c.extra("strength") * c.extra("share")[:, None]
    return _paid(c, c.rewards - size[..., None] * _turned(c))


def _turned(c: Context) -> Array:
    """The policy's rows reflected at the given direction: vectors of the same length, rational where the policy is."""
    policy, mirror = c.policies[:, 0], c.extra("direction")
    if c.kind == "ball":  # whether a direction is 0 is known of the exact instance
        nothing = (c.source.extras["direction"] == 0).all(axis=-1)[None]
    else:
        nothing = (mirror == 0).all(axis=-1)
    square = (mirror * mirror).sum(axis=-1)
    factor = np.where(nothing, square * 0, 2 * (mirror * policy).sum(axis=-1) / np.where(nothing, square * 0 + 1, square))
    return policy - factor[..., None] * mirror


@define("reward_regularised_values", r"V:\ \langle\pi_s,r_s\rangle-\alpha_s\|\pi_s\|_2", "instance", "states")
def _reward_regularised_values(c: Context) -> Array:
    """Values with the policy's norm as a penalty: the reward ball of radius alpha, in reward units."""
    policy = c.policies[:, 0]
    return _stage(c, (policy * c.rewards).sum(axis=-1) - c.extra("strength") * arithmetic.norm2(policy, axis=-1))


@define("reward_ball_values", r"V:\ r+\delta,\ \|\delta_s\|\le\alpha_s", "instance", "states")
def _reward_ball_values(c: Context) -> Array:
    """Values with some rewards of the ball of radius alpha (the policy reflected at a given direction and shortened), in reward units."""
    size = c.extra("strength") * c.extra("share")[:, None] / arithmetic.norm2(c.policies[:, 0], axis=-1)
    return _paid(c, c.rewards - size[..., None] * _turned(c))


@define("reward_box_values", r"V:\ r-\alpha", "instance", "states")
def _reward_box_values(c: Context) -> Array:
    """Values if every reward may fall by alpha on its own, in reward units."""
    return _paid(c, c.rewards - c.extra("strength")[..., None])


@define("equal_arms_value", r"\langle\pi,r\rangle-\alpha\|\pi\|_2", "instance")
def _equal_arms_value(c: Context) -> Array:
    """Worst-case reward of a choice among arms that all pay 1/2 within a reward ball of radius alpha, in reward units."""
    policy = c.policies[:, 0, 0]
    half = policy.sum(axis=-1) / 2
    return per_instance(half - c.extra("alpha") * arithmetic.norm2(policy, axis=-1))


@define("ball_radius", r"\alpha", "instance")
def _ball_radius(c: Context) -> Array:
    """Radius of the reward ball, in reward units."""
    return per_instance(c.extra("alpha"))
