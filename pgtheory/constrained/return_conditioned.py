"""Return-conditioned policies (decision transformers under constraints), exactly: what they promise, and what they do.

Behaviour beta plays H steps; (R, C) is its total reward and cost (undiscounted).  Conditioning on a target (R*, C*) plays by Bayes' rule, with what
is left of the target after every step:

    pi(a | s, x) proportional to  beta(a | s) P(to go = x | s, a),      next: x - (r(s, a), c(s, a)),       x = (R*, C*) at first

If transitions are deterministic every path so drawn has exactly the target, because the behaviour reaches it along that path.  If they are not, the
policy takes lucky outcomes for chosen ones: conditioned on much reward at no cost it plays the arm whose luck it was, and pays for the rest.  Two
arms, safe (reward 1/2) and risky (reward 1, cost 1 with probability q), target (1, 0): it plays risky always, and its expected cost is q > 0.  The
best value at budget b < q is 1/2 + b/(2 q), by a mixture.  Brandfonbrener, Bietti, Buckman, Laroche, Bruna (2022) for return conditioning.

Laws are exact: dictionaries {(R, C): probability} of rationals.  Meant for models whose returns can be listed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mdps.constrained import ConstrainedMDP
from mdps.errors import ModelError
from mdps.rational import rational, rational_array
from pgtheory.exact.evaluation import check_policy

Array = np.ndarray
Pair = tuple[Any, Any]
Law = dict[Pair, Any]
MOST_RETURNS = 100_000
"""Different (state, reward, cost) to go at one step that are listed."""


@dataclasses.dataclass(frozen=True)
class ReturnConditioned:
    """A conditioned policy and what comes of it.

    target       (R*, C*); None in the place of one that is left open
    probability  of the target under the behaviour
    achieved     {(R, C): probability} of the conditioned policy, played from the start
    reward, cost its expectations;  kept  the probability that the target is met in the end
    first        (S, A) what it plays at the first step
    """

    target: tuple[Any, Any]
    probability: Any
    achieved: Mapping[Pair, Any]
    reward: Any
    cost: Any
    kept: Any
    first: Array


def returns_to_go(model: ConstrainedMDP, behaviour: Any, horizon: int, constraint: str | int = 0) -> list[list[Law]]:
    """laws[h][s]: {(R, C): probability} of reward and cost from step h on, in state s, under the behaviour; laws[H][s] is (0, 0) for sure.

    behaviour (S, A), exact or float (taken at its word).  raises ModelError: a horizon below 1, no distribution, too many returns to list"""
    exact, rows = _exact(model, behaviour, horizon)
    rewards, costs = exact.mdp.rewards, exact.cost_tables[exact.index(constraint)]
    zero = rewards.reshape(-1)[0] * 0
    laws: list[list[Law]] = [[{(zero, zero): zero + 1} for _ in rows]]
    for _ in range(horizon):
        later = laws[0]
        now: list[Law] = []
        for s, row in enumerate(rows):
            law: Law = {}
            for a in np.flatnonzero(row != 0):
                for (r, c), p in _after(exact, int(s), int(a), later).items():
                    key = (rewards[s, a] + r, costs[s, a] + c)
                    law[key] = law.get(key, zero) + row[a] * p
            now.append(law)
        if sum(map(len, now)) > MOST_RETURNS:
            raise ModelError(f"there are more than {MOST_RETURNS:,} different returns at one step; conditioning lists them all")
        laws.insert(0, now)
    return laws


def condition_on_returns(
    model: ConstrainedMDP, behaviour: Any, horizon: int, reward: Any = None, cost: Any = None, constraint: str | int = 0
) -> ReturnConditioned:
    """The policy conditioned on the total reward and / or the total cost, and the law of what it achieves.

    raises   ModelError: no target, a target that the behaviour never reaches (names the returns that it does), or as `returns_to_go`
    """
    if reward is None and cost is None:
        raise ModelError("give a target: reward=..., cost=... or both")
    target = (None if reward is None else rational(reward), None if cost is None else rational(cost))
    laws = returns_to_go(model, behaviour, horizon, constraint)
    exact, rows = _exact(model, behaviour, horizon)
    tables = exact.mdp.rewards, exact.cost_tables[exact.index(constraint)]
    zero = tables[0].reshape(-1)[0] * 0
    total = sum((p * _mass(law, target, zero) for p, law in zip(exact.start, laws[0], strict=True)), zero)
    if total == 0:
        known = sorted({k for p, law in zip(exact.start, laws[0], strict=True) if p != 0 for k in law})
        listed = ", ".join(f"({r}, {c})" for r, c in known[:8]) + (", ..." if len(known) > 8 else "")
        raise ModelError(f"the behaviour never has the total (reward, cost) = {_said(target)}; it has {listed}")
    here: dict[tuple[int, Any, Any], Any] = {(s, zero, zero): p for s, p in enumerate(exact.start) if p != 0}
    first = np.zeros_like(rows)
    for h in range(horizon):
        then: dict[tuple[int, Any, Any], Any] = {}
        for (s, r, c), p in here.items():
            left = tuple(None if x is None else x - y for x, y in zip(target, (r, c), strict=True))
            chosen = _conditioned(exact, rows[s], s, left, tables, laws[h + 1], zero)
            if h == 0:
                first[s] = chosen
            for a in np.flatnonzero(chosen != 0):
                spent = (r + tables[0][s, a], c + tables[1][s, a])
                for t in np.flatnonzero(exact.mdp.transitions[s, a] != 0):
                    key = (int(t), *spent)
                    then[key] = then.get(key, zero) + p * chosen[a] * exact.mdp.transitions[s, a, t]
        here = then
    achieved: Law = {}
    for (_, r, c), p in here.items():
        achieved[r, c] = achieved.get((r, c), zero) + p
    kept = _mass(achieved, target, zero)
    mean = [sum((p * key[k] for key, p in achieved.items()), zero) for k in range(2)]
    return ReturnConditioned(target, total, achieved, mean[0], mean[1], kept, first)


def _conditioned(exact: ConstrainedMDP, row: Array, s: int, left: Any, tables: Sequence[Array], later: list[Law], zero: Any) -> Array:
    """(A,) by Bayes' rule; the behaviour itself where the rest of the target can no longer be met."""
    weights = row * 0
    for a in np.flatnonzero(row != 0):
        rest = tuple(None if x is None else x - table[s, a] for x, table in zip(left, tables, strict=True))
        weights[a] = row[a] * _mass(_after(exact, s, int(a), later), rest, zero)
    total = weights.sum()
    return weights / total if total != 0 else row


def _after(exact: ConstrainedMDP, s: int, a: int, later: list[Law]) -> Law:
    """The law of what comes after playing a in s."""
    out: Law = {}
    successors = exact.mdp.transitions[s, a]
    for t in np.flatnonzero(successors != 0):
        for key, p in later[t].items():
            out[key] = out.get(key, p * 0) + successors[t] * p
    return out


def _mass(law: Law, target: Any, zero: Any) -> Any:
    """The probability of the target; None leaves a coordinate open."""
    if None not in target:
        return law.get(target, zero)
    return sum((p for key, p in law.items() if all(x is None or x == y for x, y in zip(target, key, strict=True))), zero)


def _said(target: Any) -> str:
    return "(" + ", ".join("any" if x is None else str(x) for x in target) + ")"


def _exact(model: ConstrainedMDP, behaviour: Any, horizon: int) -> tuple[ConstrainedMDP, Array]:
    if horizon < 1:
        raise ModelError(f"horizon is {horizon}; it must be at least 1")
    rows = np.asarray(behaviour)
    return model.exact, check_policy(model.mdp, rows if rows.dtype == object else rational_array(rows))
