"""Submodular rewards: what a state is worth depends on the states visited before, and ever less.

A utility F of sets of states is monotone if more never pays less, submodular if F(X + i) - F(X) falls as X grows.  The reward of a trajectory is F of
the states that it visits.

    Coverage       F(X) = sum_j w_j (1 - prod_{i in X} (1 - p_ij))          p in {0, 1}: weighted coverage
    Diminishing    F(X) = sum_j w_j g(sum_{i in X} m_ij)                    g concave and increasing, g(0) = 0

    every k states reachable         greedy on marginal gains has at least 1 - (1 - 1/k)^k of the best F, and no better constant holds
    one choice in each of n layers   F(best) <= 2 E F(pi) + sum over layers of what the best deviation there gains: a policy that no deviation in a
                                     single layer improves has at least half
    curvature c                      the k best single states have at least 1 - c of the best F,   1 - c = min_i (F(all) - F(all - i)) / F(i)
    any model                        greedy may have 1/H of the best or less (`trap`): a first step that gains 1 + e and ends in a dead end
    policy gradient                  grad E F = E sum_t grad log pi(a_t|s_t) (F(s_0..s_H) - F(s_0..s_t)), marginal gains still to come

Everything here enumerates: sets, trajectories, visited sets.  Prajapat, Mutny, Zeilinger, Krause (2024); Nemhauser, Wolsey, Fisher (1978), as
recalled.  Derivation: docs/theory/submodular.md.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory import arithmetic
from pgtheory.exact.evaluation import check_policy

Array = np.ndarray
Utility = Callable[[frozenset[int]], Any]
LARGEST = 200_000
"""Sets or trajectories that are enumerated at most."""


@dataclasses.dataclass(frozen=True, eq=False)
class Coverage:
    """F(X) = sum_j w_j (1 - prod_{i in X} (1 - p_ij)): weights (M,), not negative; covers (N, M) in [0, 1]; any arithmetic.

    raises   ModelError: shapes that do not fit, negative weights, entries of covers outside [0, 1]"""

    weights: Array
    covers: Array

    def __post_init__(self) -> None:
        if np.ndim(self.covers) != 2 or np.shape(self.weights) != np.shape(self.covers)[1:]:
            raise ModelError(f"weights {np.shape(self.weights)} and covers {np.shape(self.covers)} must be (M,) and (N, M)")
        _not_negative("weights", np.asarray(self.weights))
        _not_negative("covers", np.asarray(self.covers))
        _not_negative("1 - covers", 1 - np.asarray(self.covers))

    def __call__(self, items: Iterable[int]) -> Any:
        missed = np.asarray(self.weights)
        for i in sorted(items):
            missed = missed * (1 - self.covers[i])
        return np.asarray(self.weights).sum() - missed.sum()


@dataclasses.dataclass(frozen=True, eq=False)
class Diminishing:
    """F(X) = sum_j w_j g(sum_{i in X} m_ij): weights (M,) and amounts (N, M), not negative; g concave and increasing, g(0) = 0.

    raises   ModelError: shapes that do not fit, negative entries; a g that is seen to bend upwards or to fall between the amounts that occur"""

    weights: Array
    amounts: Array
    response: Callable[[Any], Any] = np.sqrt

    def __post_init__(self) -> None:
        if np.ndim(self.amounts) != 2 or np.shape(self.weights) != np.shape(self.amounts)[1:]:
            raise ModelError(f"weights {np.shape(self.weights)} and amounts {np.shape(self.amounts)} must be (M,) and (N, M)")
        _not_negative("weights", np.asarray(self.weights))
        _not_negative("amounts", np.asarray(self.amounts))
        levels = np.linspace(0, float(np.sum(np.asarray(self.amounts, dtype=np.float64), axis=0).max()), 65)
        bends = np.diff([float(self.response(x)) for x in levels])
        slack = 1e-9 * (1 + np.abs(bends).max())
        if abs(float(self.response(0.0))) > slack or (bends < -slack).any() or (np.diff(bends) > slack).any():
            k = int(np.argmax(np.diff(bends) > slack))
            raise ModelError(f"the response must be 0 at 0, increasing and concave; near {levels[k + 1]:.6g} it is not")

    def __call__(self, items: Iterable[int]) -> Any:
        total = np.zeros(np.shape(self.amounts)[1]) + sum(np.asarray(self.amounts[i]) for i in sorted(items))
        return sum(w * self.response(x) for w, x in zip(self.weights, total, strict=True))


def _not_negative(name: str, values: Array) -> None:
    bad = ~np.asarray(values >= 0, dtype=bool)  # NaN is bad too
    if bad.any():
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ModelError(f"{name}{list(place)} is {values[place]}; it must not be negative")


# Sets


def greedy(utility: Utility, items: Sequence[int], size: int) -> list[int]:
    """The items chosen one by one for their marginal gain, the first of equals: `size` of them, or all.

    raises   ModelError: a negative size"""
    if size < 0:
        raise ModelError(f"size is {size}; it must not be negative")
    chosen: list[int] = []
    for _ in range(min(size, len(items))):
        left = [i for i in items if i not in chosen]
        worth = [utility(frozenset([*chosen, i])) for i in left]
        best = 0
        for k in range(1, len(left)):
            if worth[k] > worth[best]:
                best = k
        chosen.append(left[best])
    return chosen


def best_set(utility: Utility, items: Sequence[int], size: int) -> tuple[Any, frozenset[int]]:
    """(largest F, a set that has it) among the sets of `size` items, all of them tried.

    raises   ModelError: too many sets to try"""
    from math import comb

    size = min(size, len(items))
    if comb(len(items), size) > LARGEST:
        raise ModelError(f"{comb(len(items), size):,} sets of {size} among {len(items)}: at most {LARGEST:,} are tried")
    sets = [frozenset(pick) for pick in itertools.combinations(items, size)]
    worth = [utility(pick) for pick in sets]
    best = max(range(len(sets)), key=lambda k: worth[k])
    return worth[best], sets[best]


def greedy_share(size: int) -> float:
    """1 - (1 - 1/k)^k, the share of the best that greedy has for sure.  raises ModelError: a size below 1"""
    if size < 1:
        raise ModelError(f"size is {size}; it must be at least 1")
    return 1 - (1 - 1 / size) ** size


def curvature(utility: Utility, items: Sequence[int]) -> Any:
    """c = 1 - min over items with F(i) > 0 of (F(all) - F(all - i)) / F(i); 0 where F is a sum, 1 where some item adds nothing at the end."""
    full = frozenset(items)
    shares = [(utility(full) - utility(full - {i})) / utility(frozenset([i])) for i in items if utility(frozenset([i])) > 0]
    return 1 - min(shares) if shares else 0


def local_optima(utility: Utility, layers: Sequence[Sequence[int | None]]) -> list[tuple[int | None, ...]]:
    """The choices, one in each layer (None: nothing), that no change in a single layer improves.

    raises   ModelError: too many choices to try"""
    count = int(np.prod([len(layer) for layer in layers]))
    if count > LARGEST:
        raise ModelError(f"{count:,} choices: at most {LARGEST:,} are tried")

    def worth(pick: Sequence[int | None]) -> Any:
        return utility(frozenset(i for i in pick if i is not None))

    found = []
    for pick in itertools.product(*layers):
        changes = ((*pick[:k], other, *pick[k + 1 :]) for k, layer in enumerate(layers) for other in layer)
        if all(worth(change) <= worth(pick) for change in changes):
            found.append(pick)
    return found


# Trajectories


def visited_values(transitions: Array, start: Array, policy: Array, utility: Utility, horizon: int) -> tuple[Any, Array]:
    """(E F of the states visited in `horizon` moves, its gradient in the logits of a softmax policy (S, A)), by enumeration of all trajectories.

    transitions (S, A, S'), start (S,), policy (S, A); any arithmetic.   raises   ModelError: too many trajectories, a negative horizon"""
    states, actions, _ = np.shape(transitions)
    if horizon < 0:
        raise ModelError(f"horizon is {horizon}; it must not be negative")
    if states * float(actions * states) ** horizon > LARGEST:
        raise ModelError(f"{states} states, {actions} actions and {horizon} moves make more than {LARGEST:,} trajectories")
    total, gradient = policy[0, 0] * 0, policy * 0
    for first in range(states):
        if not _is_zero(start[first]):
            value, slope = _walk(transitions, policy, utility, horizon, first, frozenset([first]))
            total, gradient = total + start[first] * value, gradient + start[first] * slope
    return total, gradient


def _walk(transitions: Array, policy: Array, utility: Utility, left: int, s: int, seen: frozenset[int]) -> tuple[Any, Array]:
    """(E F, gradient) from state s with the set `seen` behind: score times marginal gains still to come, F(at the end) - F(seen)."""
    states, actions, _ = np.shape(transitions)
    here = utility(seen)
    total, gradient = policy[0, 0] * 0, policy * 0
    if left == 0:
        return here + total, gradient
    for a in range(actions):
        ahead = total * 0
        for after in range(states):
            if _is_zero(transitions[s, a, after]):
                continue
            value, slope = _walk(transitions, policy, utility, left - 1, after, seen | {after})
            ahead = ahead + transitions[s, a, after] * (value - here)
            gradient = gradient + policy[s, a] * transitions[s, a, after] * slope
        total = total + policy[s, a] * ahead
        score = -policy[s]
        score[a] = score[a] + 1
        gradient[s] = gradient[s] + policy[s, a] * ahead * score
    return here + total, gradient


def _is_zero(x: Any) -> bool:
    return arithmetic.kind(x) != "ball" and bool(x == 0)


def expected_utility(mdp: MDP, policy: Array, utility: Utility, horizon: int) -> float:
    """E F of the states that the policy visits in `horizon` moves from the model's start.  raises ModelError: as `visited_values`, a bad policy"""
    return _checked(mdp, policy, utility, horizon)[0]


def marginal_gain_gradient(mdp: MDP, policy: Array, utility: Utility, horizon: int) -> Array:
    """Its gradient in the logits of a softmax policy, (S, A)."""
    return _checked(mdp, policy, utility, horizon)[1]


def _checked(mdp: MDP, policy: Array, utility: Utility, horizon: int) -> tuple[float, Array]:
    if not mdp.is_rectangular:
        raise ModelError("the states have different numbers of actions: the policy is one of logits (S, A)")
    check_policy(mdp, policy)
    model = mdp.float
    value, gradient = visited_values(np.asarray(model.transitions), np.asarray(model.start), np.asarray(policy, dtype=np.float64), utility, horizon)
    return float(value), gradient


def ascend(mdp: MDP, utility: Utility, horizon: int, step_size: float, iterations: int, logits: Any = None) -> tuple[Array, Array]:
    """(logits, E F before each step and after the last (T + 1,)): gradient ascent with marginal gains on a softmax policy.

    raises   ModelError: a negative step size or count, and as `visited_values`"""
    if not step_size >= 0 or iterations < 0:
        raise ModelError(f"step_size is {step_size} and iterations {iterations}; neither may be negative")
    at = np.zeros((mdp.num_states, mdp.num_actions)) if logits is None else np.array(logits, dtype=np.float64)
    values = []
    for t in range(iterations + 1):
        value, gradient = _checked(mdp, arithmetic.softmax(at), utility, horizon)
        values.append(value)
        if t < iterations:
            at = at + step_size * gradient
    return at, np.array(values)


def greedy_walk(successors: Sequence[Sequence[int]], utility: Utility, start: int, horizon: int) -> list[int]:
    """States of the walk that takes the neighbour with the largest marginal gain, the first of equals.

    successors   for each state the states that can follow;  start   the first one
    """
    walk = [start]
    for _ in range(horizon):
        ahead = successors[walk[-1]]
        worth = [utility(frozenset([*walk, s])) for s in ahead]
        best = 0
        for k in range(1, len(ahead)):
            if worth[k] > worth[best]:
                best = k
        walk.append(ahead[best])
    return walk


def best_walk(successors: Sequence[Sequence[int]], utility: Utility, start: int, horizon: int) -> tuple[Any, list[int]]:
    """(largest F, a walk that has it), all walks tried.   raises   ModelError: too many walks

    successors   for each state the states that can follow;  start   the first one
    """
    walks = [[start]]
    for _ in range(horizon):
        if sum(len(successors[walk[-1]]) for walk in walks) > LARGEST:
            raise ModelError(f"more than {LARGEST:,} walks: give a shorter horizon")
        walks = [[*walk, s] for walk in walks for s in successors[walk[-1]]]
    worth = [utility(frozenset(walk)) for walk in walks]
    best = max(range(len(walks)), key=lambda k: worth[k])
    return worth[best], walks[best]


def trap(length: int, lure: Any) -> tuple[list[list[int]], Coverage]:
    """(successors, utility): from state 0 to a dead end that is worth `lure`, or along `length` states that are worth 1 each.

    Greedy has lure / length of the best for 1 < lure <= length.   raises   ModelError: no state, a lure below 0"""
    if length < 1 or lure < 0:
        raise ModelError(f"length is {length} and lure {lure}; they must be at least 1 and 0")
    path = [[2, 1], [1], *([s + 1] for s in range(2, length + 1)), [length + 1]]  # 0 start, 1 dead end, 2 .. length + 1 the path
    one = lure * 0 + 1
    covers = np.eye(length + 2, dtype=int) * one
    weights = np.array([one * 0, lure, *([one] * length)])
    return path, Coverage(weights, covers)
