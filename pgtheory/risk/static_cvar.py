"""Static CVaR and spectral risk of the whole return: optimal control by an augmented state, and the decomposition that does not optimise.

    max_pi CVaR_a(G)  =  max_eta  eta - (1/a) min_pi E (eta - G)_+                    over policies that may look at the whole history

For a fixed threshold eta the inner problem is an ordinary one on (state, reward accumulated so far): a deterministic rule on this pair is optimal.
For a fixed policy the best threshold is a quantile of its return, so eta need only run through the attainable returns.  One backward pass treats all
of them at once; everything is in rationals, so the optimum is exact.  Baeuerle and Ott (2011).

A spectral measure sum_k w_k CVaR_{a_k} works in the same way: the maxima over eta_1, ..., eta_K are joint, and for fixed thresholds the utility
sum_k w_k (eta_k - (eta_k - x)_+ / a_k) is that of an ordinary problem on the same pairs.  At the optimum eta_k is a quantile of ONE return, so only
thresholds that rise with their levels need be tried: (N + K - 1 choose K) of them for N attainable returns.  A level of 1 is the mean and has none.
Level 0, the worst outcome, is CVaR at every level below the least probability of a trajectory: a deterministic policy attains the optimum, and its
outcomes have at least that probability.

Not solved here: semideviation (concave and not convex in the law through its mean, so that neither deterministic policies nor thresholds suffice);
entropic risk and EVaR have a schedule of levels instead (`entropic_control`).

The decomposition.  F(y) = y CVaR_y is the integral of the quantile function: convex, piecewise linear on [0, 1], F(0) = 0.  For a FIXED policy

    F_s(y) = y r + gamma min { sum_j p_j F_j(y_j) : sum_j p_j y_j = y, 0 <= y_j <= 1 }        (inf-convolution: merge the slopes)

is exact.  Putting max_a in front (Chow et al. 2015) gives an upper bound of the optimum only: nature's split y_j then may depend on the actions that
are taken later (Hau, Delage, Ghavamzadeh, Petrik 2023).  `decomposition` computes both, exactly.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flint import fmpq

from mdps.errors import ModelError, plural
from mdps.finite_horizon import FiniteHorizon
from mdps.model import MDP
from mdps.rational import rational
from pgtheory.risk.measures import CVaR, Mean, Measure, Spectral, parse
from pgtheory.risk.returns import MOST_NODES, Law, cut, remainder, return_law, stage_rows

Array = np.ndarray
MOST_CELLS = 5_000_000
"""Reachable pairs times thresholds: a minute in rationals."""


@dataclass(frozen=True)
class StaticSolution:
    """The best static risk of the return over all history-dependent policies, exact.

    value       the optimum, rational;  threshold  an optimal eta (None for the mean and the worst outcome; a tuple, levels rising, of several)
    rule        rule[h][(state, accumulated reward)] -> action: an optimal policy
    law         the law of its return, whose risk is `value`
    lower,upper enclose the optimum of the problem that was asked: equal to `value` unless a discounted problem was cut
    """

    value: Any
    threshold: Any
    rule: list[dict[tuple[int, Any], int]] = field(repr=False)
    law: Law = field(repr=False)
    lower: Any
    upper: Any
    measure: Measure
    problem: FiniteHorizon = field(repr=False)

    def action(self, step: int, state: int, accumulated: Any) -> int:
        """The action of the optimal policy at a reachable pair."""
        return self.rule[step][(state, accumulated)]


def solve_static(problem: FiniteHorizon | MDP, measure: Measure | str, horizon: int | None = None) -> StaticSolution:
    """max over history-dependent policies of rho(G), rho a CVaR, mean-CVaR, spectral measure, the worst outcome or the mean; exact.

    horizon  for a discounted MDP: it is cut after so many steps, and `lower`, `upper` enclose the optimum of the whole
    raises   ModelError: another measure, no horizon, or too many pairs of state and accumulated reward (times thresholds)
    source   Baeuerle and Ott (2011), Theorem 3.1; spectral measures: derived above
    """
    measure = parse(measure)
    low = high = fmpq(0)
    model: MDP | None = None
    if isinstance(problem, MDP):
        if horizon is None:
            raise ModelError("the risk of the whole return is solved on a finite horizon; give one (the rest enters the bounds)")
        model, problem = problem, cut(problem, horizon)
    elif horizon is not None:
        raise ModelError("a FiniteHorizon has its own horizon")
    parts = _spectrum(measure)
    graph = _Graph(problem)
    if model is not None:
        low, high = remainder(model, len(problem.stages), {s for s, _ in graph.layers[-1]})
    outcomes = graph.outcomes()
    if [a for a, _ in parts] == [0]:  # the smallest outcome: min over chance, max over actions, step by step
        values, rule = graph.induct(np.array([[x] for x in outcomes], dtype=object), worst=True)
        law = return_law(problem, lambda h, s, paid: rule[0][h][(s, paid)])
        value = min((v for p, v in values), default=fmpq(0))[0]
        return StaticSolution(value, None, rule[0], law, value + low, value + high, measure, problem)
    tails = [(a, w) for a, w in parts if a < 1]
    returns = sorted(set(outcomes))
    count = math.comb(len(returns) + len(tails) - 1, len(tails))
    if graph.size * count > MOST_CELLS:
        raise ModelError(
            f"{plural(graph.size, 'node')} times {plural(count, 'choice')} of thresholds among {plural(len(returns), 'return')} is more than "
            f"{MOST_CELLS:,}; shorten the horizon"
        )
    x = np.array(outcomes, dtype=object)[:, None]
    chosen = list(itertools.combinations_with_replacement(returns, len(tails)))
    utility = sum((w for a, w in parts if a == 1), fmpq(0)) * np.repeat(x, len(chosen), axis=1)
    for k, (a, w) in enumerate(tails):
        eta = np.array([thresholds[k] for thresholds in chosen], dtype=object)[None, :]
        utility = utility + w * (eta - np.maximum(eta - x, fmpq(0)) / (graph.rarest if a == 0 else a))
    values, rule = graph.induct(utility)
    total = sum((p * v for p, v in values), fmpq(0))
    best = int(np.argmax(total))
    law = return_law(problem, lambda h, s, paid: rule[best][h][(s, paid)])
    value, at = total[best], chosen[best]
    return StaticSolution(value, None if not at else at[0] if len(at) == 1 else at, rule[best], law, value + low, value + high, measure, problem)


def threshold_values(problem: FiniteHorizon, level: Any) -> tuple[list[Any], list[Any]]:
    """(eta, eta - min_pi E(eta - G)_+ / level) for every attainable return eta: the outer function of which CVaR is the maximum."""
    a = rational(level)
    graph = _Graph(problem)
    outcomes = graph.outcomes()
    thresholds = sorted(set(outcomes))
    x, eta = np.array(outcomes, dtype=object)[:, None], np.array(thresholds, dtype=object)[None, :]
    values, _ = graph.induct(eta - np.maximum(eta - x, fmpq(0)) / a)
    return thresholds, list(sum((p * v for p, v in values), fmpq(0)))


SOLVED = (Mean, CVaR, Spectral)
"""The measures that `solve_static` takes."""


def _spectrum(measure: Measure) -> list[tuple[Any, Any]]:
    """(level, weight > 0) of the parts of a measure that this solver takes, levels rising, each once."""
    if isinstance(measure, Mean):
        return [(fmpq(1), fmpq(1))]
    if isinstance(measure, CVaR):
        return [(_exact(measure.level), fmpq(1))]
    if isinstance(measure, Spectral):
        total: dict[Any, Any] = {}
        for a, w in zip(map(_exact, measure.levels), map(_exact, measure.weights), strict=True):
            total[a] = total.get(a, fmpq(0)) + w
        return sorted((a, w) for a, w in total.items() if w != 0)
    raise ModelError(f"the static optimum by augmented state is for cvar, mean-cvar, spectral, worst and mean; {measure.text} is none of them")


def _exact(number: Any) -> Any:
    from mdps.rational import simplest

    return simplest(number) if isinstance(number, float) else rational(number)


class _Graph:
    """The reachable pairs (state, accumulated reward) of every step, with their moves; one utility a final pair, vectorised over thresholds."""

    def __init__(self, problem: FiniteHorizon) -> None:
        exact = problem.exact
        self.problem, self.layers, self.moves = problem, [], []  # type: ignore[var-annotated]
        layer = {(s, fmpq(0)): k for k, s in enumerate(s for s, p in enumerate(exact.start.tolist()) if p != 0)}
        self.start = [exact.start[s] for s, _ in layer]
        factor = fmpq(1)
        self.layers.append(layer)
        self.size = len(layer)
        for h, stage in enumerate(exact.stages):
            rows, first = stage_rows(stage), stage.first_pair.tolist()
            after: dict[tuple[int, Any], int] = {}
            moves = []
            for s, paid in layer:
                options = []
                for pair in range(first[s], first[s + 1]):
                    total = paid + factor * stage.pair_rewards[pair]
                    options.append([(after.setdefault((t, total), len(after)), p) for t, p in rows[pair]])
                moves.append(options)
            self.size += len(after)
            if self.size > MOST_NODES:
                raise ModelError(
                    f"step {h + 1} leads to more than {MOST_NODES:,} pairs of state and accumulated reward; shorten the horizon or round the rewards"
                )
            self.moves.append(moves)
            self.layers.append(after)
            layer, factor = after, factor * exact.discount
        self.last = [paid + factor * exact.terminal[s] for s, paid in layer]
        least = [min(p for row in stage_rows(stage) for _, p in row) for stage in exact.stages]
        self.rarest = math.prod(least, start=min(p for p in self.start))

    def outcomes(self) -> list[Any]:
        """The return at every final pair."""
        return self.last

    def induct(self, utility: Array, worst: bool = False) -> tuple[list[tuple[Any, Array]], list[list[dict[tuple[int, Any], int]]]]:
        """Backward induction of K utilities (final pairs, K): ([(start probability, values (K,))], the K rules)."""
        count = utility.shape[1]
        values: list[Array] = list(utility)
        rules: list[list[dict[tuple[int, Any], int]]] = [[] for _ in range(count)]
        for layer, moves in zip(reversed(self.layers[:-1]), reversed(self.moves), strict=True):
            present = []
            chosen = [dict[tuple[int, Any], int]() for _ in range(count)]
            for node, options in zip(layer, moves, strict=True):
                rated = [_join([(p, values[k]) for k, p in option], worst) for option in options]
                top = rated[0]
                for other in rated[1:]:
                    top = np.maximum(top, other)
                for k in range(count):
                    chosen[k][node] = next(a for a, row in enumerate(rated) if row[k] == top[k])
                present.append(top)
            for k in range(count):
                rules[k].insert(0, chosen[k])
            values = present
        return list(zip(self.start, values, strict=True)), rules


def _join(parts: list[tuple[Any, Array]], worst: bool) -> Array:
    out = parts[0][1] if worst else parts[0][0] * parts[0][1]
    for p, v in parts[1:]:
        out = np.minimum(out, v) if worst else out + p * v
    return out


def best_by_enumeration(problem: FiniteHorizon, measure: Measure | str, *, markov: bool) -> tuple[Any, Any]:
    """(best risk, policy) over ALL deterministic policies, one by one: of the Markov ones (step, state), or of those on (state, accumulated reward).

    The plain way, as a check of everything above: the number of policies is exponential.  Randomised policies are no better: the law of G is linear
    in the policy of each place, and CVaR, spectral, entropic risk and EVaR of rewards are convex in the law.
    raises   ModelError: more than a hundred thousand policies
    """
    measure = parse(measure)
    counts = [np.diff(stage.first_pair).tolist() for stage in problem.stages]
    if markov:
        places: list[Any] = [(h, s) for h, row in enumerate(counts) for s in range(len(row))]
        graph = _Graph(problem)
        reached = {(h, s) for h, layer in enumerate(graph.layers[:-1]) for s, _ in layer}
        places = [place for place in places if place in reached]
    else:
        places = [(h, node) for h, layer in enumerate(_Graph(problem).layers[:-1]) for node in layer]
    sizes = [counts[h][s if markov else s[0]] for h, s in places]
    total = int(np.prod(sizes, dtype=object))
    if total > 100_000:
        raise ModelError(f"there are {total:,} deterministic policies; enumeration goes to 100,000")
    best: tuple[Any, Any] | None = None
    for actions in itertools.product(*(range(k) for k in sizes)):
        table = dict(zip(places, actions, strict=True))
        law = return_law(problem, lambda h, s, paid, table=table: table.get((h, s) if markov else (h, (s, paid)), 0))
        value = law.risk(measure)
        if best is None or value > best[0]:
            best = (value, table)
    assert best is not None
    return best


# The decomposition by risk levels


@dataclass(frozen=True)
class Tail:
    """A convex piecewise linear function on [0, 1] with F(0) = 0, such as y -> y CVaR_y: `knots` (0 = first, 1 = last) and values there."""

    knots: tuple[Any, ...]
    values: tuple[Any, ...]

    @classmethod
    def constant(cls, value: Any) -> Tail:
        """y times a sure value."""
        return cls((fmpq(0), fmpq(1)), (fmpq(0), rational(value)))

    def __call__(self, y: Any) -> Any:
        """F(y), y in [0, 1]."""
        for (a, u), (b, v) in itertools.pairwise(zip(self.knots, self.values, strict=True)):
            if y <= b:
                return u + (v - u) * (y - a) / (b - a)
        raise ValueError(f"{y} is outside [0, 1]")

    @property
    def pieces(self) -> list[tuple[Any, Any]]:
        """(slope, length) of every piece, slopes increasing: the quantiles and their masses."""
        points = list(zip(self.knots, self.values, strict=True))
        return [((v - u) / (b - a), b - a) for (a, u), (b, v) in itertools.pairwise(points)]

    def scaled(self, factor: Any, sure: Any) -> Tail:
        """y -> factor F(y) + y sure."""
        return Tail(self.knots, tuple(factor * v + y * sure for y, v in zip(self.knots, self.values, strict=True)))

    @classmethod
    def split(cls, probabilities: Sequence[Any], parts: Sequence[Tail]) -> Tail:
        """y -> min { sum p_j F_j(y_j) : sum p_j y_j = y }: nature fills the pieces in the order of their slopes."""
        pieces = sorted((slope, p * length) for p, part in zip(probabilities, parts, strict=True) for slope, length in part.pieces)
        knots, values = [fmpq(0)], [fmpq(0)]
        for slope, length in pieces:
            knots.append(knots[-1] + length)
            values.append(values[-1] + slope * length)
        return cls(tuple(knots), tuple(values))

    def above(self, other: Tail) -> Tail:
        """max(F, G), again convex: crossings become knots."""
        knots = sorted(set(self.knots) | set(other.knots))
        found = []
        for a, b in itertools.pairwise(knots):
            found.append(a)
            left, right = self(a) - other(a), self(b) - other(b)
            if left * right < 0:
                found.append(a + (b - a) * left / (left - right))
        found.append(knots[-1])
        return Tail(tuple(found), tuple(max(self(y), other(y)) for y in found))


def decomposition(problem: FiniteHorizon, level: Any, policy: Any = None) -> Any:
    """The value of the programme over risk levels, exact: level in (0, 1].

    policy   a list of (S_h,) action arrays: evaluated, and then the value IS its CVaR.  Left out: max over actions inside, an upper bound of
             the optimum that need not be attained
    raises   ModelError: the level is not in (0, 1]
    """
    a = CVaR(level).level
    if a == 0:
        raise ModelError("the risk level is 0; the decomposition divides by it: take a level in (0, 1]")
    exact = problem.exact
    tails = [Tail.constant(x) for x in exact.terminal.tolist()]
    for h in range(len(exact.stages) - 1, -1, -1):
        stage = exact.stages[h]
        rows, first = stage_rows(stage), stage.first_pair.tolist()
        new = []
        for s in range(stage.num_states):
            options = range(first[s], first[s + 1]) if policy is None else [first[s] + int(policy[h][s])]
            rated = [
                Tail.split([p for _, p in rows[k]], [tails[t] for t, _ in rows[k]]).scaled(exact.discount, stage.pair_rewards[k]) for k in options
            ]
            top = rated[0]
            for other in rated[1:]:
                top = top.above(other)
            new.append(top)
        tails = new
    possible = [(p, tail) for p, tail in zip(exact.start.tolist(), tails, strict=True) if p != 0]
    whole = Tail.split([p for p, _ in possible], [tail for _, tail in possible])
    return whole(_exact(a)) / _exact(a)
