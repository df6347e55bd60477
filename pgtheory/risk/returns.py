"""Exact laws of the return of finite problems: every outcome with its probability, equal outcomes merged.

    G = sum_{h < H} discount^h r_h(s_h, a_h) + discount^H g(s_H)

The pair (state, reward accumulated so far) is a Markov chain under any policy that looks at nothing else, so the law of G is one forward pass over
the reachable pairs: their number grows with the number of different rewards, not with that of the trajectories.  Everything is computed in rationals
(`problem.exact`), where "equal" has a meaning.

A discounted problem without an end is cut after H steps. What is left out lies between discount^H times the least and the greatest return that is
possible at all, on every trajectory; a risk measure is monotone and rho(X + c) = rho(X) + c, so that the same interval, added to the risk of the
truncated return, encloses the risk of the whole (`discounted_risk`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import fmpq

from mdps.errors import ModelError, plural
from mdps.finite_horizon import FiniteHorizon
from mdps.model import MDP
from mdps.rational import rational, to_float
from pgtheory.arithmetic import exactly
from pgtheory.risk.measures import Measure, parse

Array = np.ndarray
MOST_NODES = 200_000
"""Reachable pairs of state and accumulated reward that are followed: some seconds in rationals."""

Rule = Callable[[int, int, Any], Any]
"""(step, state, accumulated reward) -> an action, or one probability for each action of the state."""


@dataclass(frozen=True)
class Law:
    """A finite law: `outcomes` (n,) strictly increasing, `probabilities` (n,) positive of total 1, both rational."""

    outcomes: Array
    probabilities: Array

    @classmethod
    def of(cls, pairs: Iterable[tuple[Any, Any]]) -> Law:
        """From (outcome, probability) pairs; equal outcomes are merged, impossible ones dropped."""
        mass: dict[Any, Any] = {}
        for outcome, probability in pairs:
            mass[outcome] = mass.get(outcome, fmpq(0)) + probability
        kept = sorted((x, p) for x, p in mass.items() if p != 0)
        outcomes, probabilities = np.empty(len(kept), dtype=object), np.empty(len(kept), dtype=object)
        outcomes[:], probabilities[:] = [x for x, _ in kept], [p for _, p in kept]
        return cls(outcomes, probabilities)

    @property
    def mean(self) -> Any:
        return (self.outcomes * self.probabilities).sum()

    def risk(self, measure: Measure | str) -> Any:
        """rho(G): rational where the measure is, else a float."""
        measure = parse(measure)
        if measure.rational:
            return measure.value(self.probabilities, self.outcomes)
        return float(measure.value(to_float(self.probabilities), to_float(self.outcomes)))

    def floats(self) -> tuple[Array, Array]:
        """(probabilities, outcomes) in float64."""
        return to_float(self.probabilities), to_float(self.outcomes)


def return_law(problem: FiniteHorizon, policy: Any, start: Any = None) -> Law:
    """The law of the return of a policy.

    policy   one (S_h, A_h) table of probabilities for each step; or one (S, A) table for all steps; or a `Rule` that may look at the accumulated
             reward too
    start    the number of the first state; the problem's distribution if left out
    raises   ModelError: more than MOST_NODES pairs of state and accumulated reward, or a policy that is none
    """
    exact = problem.exact
    rule = as_rule(problem, policy)
    nodes: dict[tuple[int, Any], Any] = dict.fromkeys(((s, fmpq(0)) for s in range(exact.start.size)), fmpq(0))
    for s, p in enumerate(exact.start.tolist()):
        nodes[(s, fmpq(0))] = p if start is None else fmpq(int(s == start))
    factor = fmpq(1)
    for h, stage in enumerate(exact.stages):
        rows, first = stage_rows(stage), stage.first_pair.tolist()
        after: dict[tuple[int, Any], Any] = {}
        for (s, paid), mass in nodes.items():
            if mass == 0:
                continue
            weights = _weights(rule(h, s, paid), first[s + 1] - first[s], h, s)
            for action, weight in weights:
                pair = first[s] + action
                total = paid + factor * stage.pair_rewards[pair]
                for t, p in rows[pair]:
                    after[(t, total)] = after.get((t, total), fmpq(0)) + mass * weight * p
        if len(after) > MOST_NODES:
            raise ModelError(f"step {h + 1} of the return has {plural(len(after), 'pair')} of state and accumulated reward; at most {MOST_NODES:,}")
        nodes, factor = after, factor * exact.discount
    return Law.of((paid + factor * exact.terminal[s], mass) for (s, paid), mass in nodes.items())


def discounted_return_law(mdp: MDP, policy: Any, horizon: int, start: Any = None) -> tuple[Law, Any, Any]:
    """(law of the first `horizon` discounted rewards, least and greatest value of the rest): the return is their sum, outcome by outcome."""
    law = return_law(cut(mdp, horizon), policy, start)
    return (law, *remainder(mdp, horizon))


def discounted_risk(mdp: MDP, policy: Any, measure: Measure | str, horizon: int, start: Any = None) -> tuple[Any, Any]:
    """(lower, upper) bounds of the risk of the whole discounted return: rationals where the measure is rational, else floats."""
    law, low, high = discounted_return_law(mdp, policy, horizon, start)
    value = law.risk(measure)
    if isinstance(value, float):
        rounding = 8 * (law.outcomes.size + 8) * np.finfo(float).eps * float(np.max(np.abs(to_float(law.outcomes))))
        return value + _float(low) - rounding, value + _float(high) + rounding
    return value + low, value + high


def remainder(mdp: MDP, horizon: int, states: Iterable[int] | None = None) -> tuple[Any, Any]:
    """discount^H times the least and the greatest return that is possible from `states` (all by default): exact bounds of the steps from H on."""
    least, most = extremes(mdp)
    scale = mdp.exact.discount**horizon
    where = list(range(mdp.num_states) if states is None else states)
    return scale * min(least[s] for s in where), scale * max(most[s] for s in where)


def extremes(mdp: MDP) -> tuple[Array, Array]:
    """(S,) least and greatest discounted return that is possible from each state, rational: chance and actions both choose, for and against."""
    from pgtheory.exact import solve_exactly

    exact = mdp.exact
    rows, first = stage_rows(exact), exact.first_pair.tolist()
    moves = [[(t, exact.pair_rewards[k]) for k in range(first[s], first[s + 1]) for t, _ in rows[k]] for s in range(mdp.num_states)]
    flat = [move for options in moves for move in options]
    choices = np.full((len(flat), mdp.num_states), fmpq(0), dtype=object)
    choices[np.arange(len(flat)), [t for t, _ in flat]] = fmpq(1)
    paid = np.array([r for _, r in flat], dtype=object)
    chosen = np.concatenate(([0], np.cumsum([len(options) for options in moves])))
    ends = [solve_exactly(MDP.from_choices(chosen, choices, sign * paid, exact.discount, exact.start)).values * sign for sign in (-1, 1)]
    return ends[0], ends[1]


def cut(mdp: MDP, horizon: int) -> FiniteHorizon:
    """The first `horizon` steps of a discounted model, with its discount and terminal value 0.

    raises   ModelError: the horizon is no whole number of at least 1"""
    if isinstance(horizon, bool) or not isinstance(horizon, int | np.integer) or horizon < 1:
        raise ModelError(f"the horizon is {horizon!r}; it must be a whole number of at least 1")
    part = (mdp.exact.first_pair, mdp.exact.choices, mdp.exact.pair_rewards)
    return FiniteHorizon.from_stages([part] * int(horizon), exactly(np.zeros(mdp.num_states)), mdp.exact.start, discount=mdp.exact.discount)


def as_rule(problem: FiniteHorizon, policy: Any) -> Rule:
    """A policy in one of the accepted forms as a function of (step, state, accumulated reward)."""
    if callable(policy):
        return policy
    tables = [policy] * len(problem.stages) if isinstance(policy, np.ndarray) and policy.ndim == 2 else list(policy)
    if len(tables) != len(problem.stages):
        raise ModelError(f"the policy has {plural(len(tables), 'table')}, the problem {plural(len(problem.stages), 'step')}")
    exact = []
    for h, (table, stage) in enumerate(zip(tables, problem.stages, strict=True)):
        rows = exactly(np.asarray(table))
        if rows.shape != stage.action_mask.shape:
            raise ModelError(f"step {h} of the policy has shape {rows.shape}; it must be {stage.action_mask.shape}")
        exact.append(rows)

    def rule(h: int, s: int, paid: Any) -> Any:
        return exact[h][s]

    return rule


def stage_rows(stage: Any) -> list[list[tuple[int, Any]]]:
    """(successor, probability) of every pair of an exact stage."""
    choices = stage.choices
    if isinstance(choices, np.ndarray):
        return [[(t, p) for t, p in enumerate(row) if p != 0] for row in choices.tolist()]
    bounds = zip(choices.indptr[:-1].tolist(), choices.indptr[1:].tolist(), strict=True)
    return [list(zip(choices.indices[a:b].tolist(), choices.data[a:b].tolist(), strict=True)) for a, b in bounds]


def _weights(answer: Any, count: int, step: int, state: int) -> list[tuple[int, Any]]:
    """(action, probability) pairs of what a rule says; probabilities of floats sum to 1 within rounding and are not scaled."""
    if np.ndim(answer) == 0:
        if not 0 <= int(answer) < count:
            raise ModelError(f"step {step}, state {state}: the policy takes action {answer}; there are {plural(count, 'action')}")
        return [(int(answer), fmpq(1))]
    row = [rational(p) for p in np.asarray(answer, dtype=object).tolist()]
    if any(p < 0 for p in row) or any(p != 0 for p in row[count:]) or abs(sum(row, fmpq(0)) - 1) > fmpq(1, 10**9):
        raise ModelError(f"step {step}, state {state}: {[str(p) for p in row]} is no distribution over {plural(count, 'action')}")
    return [(a, p) for a, p in enumerate(row) if p != 0]


def _float(value: Any) -> float:
    return int(value.p) / int(value.q)
