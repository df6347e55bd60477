"""Policy gradients of the risk of the whole return, in exact expectation over enumerated trajectories.

    rho(G) as a function of the law of G:    d rho / d P(G = x) = f(x) + constant            f: the influence function of rho at the law
    grad rho = E[ f(G) grad log p_theta(trajectory) ]                                        (score-function identity; constants drop out)

rho is a maximum, minimum or smooth function of linear functions of the law, so f is the integrand at the optimal threshold: the derivative of the
threshold never enters (envelope theorem).

    mean          f(x) = x
    CVaR_a        f(x) = -(VaR_a - x)_+ / a                           needs a different from every value of the distribution function of G
    spectral      sum_k w_k of these
    entropic      f(x) = -e^{-b x} / (b E e^{-b G})
    EVaR_a        the same at the optimal b (0 where EVaR is the smallest outcome)
    semideviation f(x) = x - c [ (m - x)_+ + P(G < m) x ],  m = E G;      order 2: x - c [ (m - x)_+^2 + 2 E(m - G)_+ x ] / (2 |(m - G)_+|_2)
    scoring rules of costs: f(x) = score(x, v*)

Trajectories are listed once: their chance (everything that is not the policy's), their return, the pairs that they pass through.  The probability of
a trajectory is its chance times the product of pi over its pairs: plain array code, in float64, rationals and balls.

Sources: Tamar, Glassner and Mannor (2015); Williams (1992).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flint import fmpq

from mdps.errors import ModelError
from mdps.finite_horizon import FiniteHorizon
from mdps.model import MDP
from mdps.rational import to_float
from pgtheory.arithmetic import balls, exp, kind, less_equal, sqrt
from pgtheory.risk import measures, scoring, tail
from pgtheory.risk.exponential import evar_parts
from pgtheory.risk.returns import cut, stage_rows
from pgtheory.risk.tail import _apart, _is, _number, positive

Array = np.ndarray
MOST_TRAJECTORIES = 200_000


@dataclass(frozen=True)
class Trajectories:
    """All possible trajectories of a finite problem under a policy table (S, A) that is the same at every step.

    chance    (N,) probability of the first state and of the moves, rational
    returns   (N,) rational
    paths     (N, H) the pairs s A + a that are passed through
    """

    chance: Array
    returns: Array
    paths: Array
    num_states: int
    num_actions: int
    problem: FiniteHorizon = field(repr=False)

    def like(self, numbers: str) -> tuple[Array, Array]:
        """(chance, returns) as "float", "rational" or "ball"."""
        if numbers == "rational":
            return self.chance, self.returns
        convert = to_float if numbers == "float" else balls
        return convert(self.chance), convert(self.returns)

    @functools.cached_property
    def distinct(self) -> Array:
        """The different returns, increasing, rational."""
        return np.array(sorted(set(self.returns.tolist())), dtype=object)

    @functools.cached_property
    def place(self) -> Array:
        """(N,) where each return is in `distinct`."""
        number = {x: k for k, x in enumerate(self.distinct.tolist())}
        return np.array([number[x] for x in self.returns.tolist()], dtype=np.int64)

    def probabilities(self, policy: Any) -> Array:
        """(N,) probability of every trajectory under the policy (S, A), in its arithmetic; they sum to 1."""
        table = np.asarray(policy)
        chance, _ = self.like(kind(table))
        return chance * table.reshape(-1)[self.paths].prod(axis=-1)

    def score(self, policy: Any, weights: Any) -> Array:
        """sum_i weights[i] grad log p(i) in the logits of the policy: n(s, a) - n(s) pi(a | s), n the weighted visits; (S, A)."""
        visits = self.visits(weights)
        return visits - visits.sum(axis=1)[:, None] * np.asarray(policy)

    def visits(self, weights: Any) -> Array:
        """(S, A): weighted number of passages through each pair."""
        weights = np.asarray(weights)
        out = np.zeros(self.num_states * self.num_actions) if kind(weights) == "float" else np.full(
            self.num_states * self.num_actions, _number(0, weights), dtype=object
        )  # fmt: skip
        np.add.at(out, self.paths.reshape(-1), np.repeat(weights, self.paths.shape[1]))
        return out.reshape(self.num_states, self.num_actions)


def trajectories(problem: FiniteHorizon | MDP, horizon: int | None = None) -> Trajectories:
    """All trajectories of a rectangular problem: an MDP cut after `horizon` steps, or a FiniteHorizon with the same states and actions throughout.

    raises   ModelError: no horizon, ragged actions, more than MOST_TRAJECTORIES
    """
    if isinstance(problem, MDP):
        if horizon is None:
            raise ModelError("trajectories are enumerated on a finite horizon; give one")
        problem = cut(problem, horizon)
    exact = problem.exact
    shapes = {(stage.num_states, stage.num_actions, stage.num_pairs) for stage in exact.stages}
    if len(shapes) != 1 or next(iter(shapes))[2] != next(iter(shapes))[0] * next(iter(shapes))[1]:
        raise ModelError("trajectories of a stationary policy need the same states and the same number of actions in every state and step")
    states, actions, _ = next(iter(shapes))
    layer: list[tuple[int, Any, Any, tuple[int, ...]]] = [(s, p, fmpq(0), ()) for s, p in enumerate(exact.start.tolist()) if p != 0]
    factor = fmpq(1)
    for stage in exact.stages:
        rows, rewards = stage_rows(stage), stage.pair_rewards.tolist()
        counts = [sum(len(rows[pair]) for pair in range(s * actions, (s + 1) * actions)) for s in range(states)]
        if sum(counts[s] for s, *_ in layer) > MOST_TRAJECTORIES:
            raise ModelError(f"there are more than {MOST_TRAJECTORIES:,} trajectories; shorten the horizon")
        layer = [
            (t, p * q, paid + factor * rewards[pair], (*path, pair))
            for s, p, paid, path in layer
            for pair in range(s * actions, (s + 1) * actions)
            for t, q in rows[pair]
        ]
        factor = factor * exact.discount
    chance, returns = np.empty(len(layer), dtype=object), np.empty(len(layer), dtype=object)
    chance[:] = [p for _, p, _, _ in layer]
    returns[:] = [paid + factor * exact.terminal[t] for t, _, paid, _ in layer]
    return Trajectories(chance, returns, np.array([path for *_, path in layer], dtype=np.int64), states, actions, problem)


def risk_of_policy(paths: Trajectories, policy: Any, measure: measures.Measure | scoring.Scoring | str) -> Any:
    """rho(G) under the policy (S, A), in its arithmetic; of a scoring rule: of the cost -G."""
    p = paths.probabilities(policy)
    _, returns = paths.like(kind(p))
    if isinstance(measure, scoring.Scoring):
        return measure.value(p, -returns)
    return measures.parse(measure).value(p, returns)


def risk_gradient(paths: Trajectories, policy: Any, measure: measures.Measure | scoring.Scoring | str, *, parameters: str = "logits") -> Array:
    """The gradient of the risk of the return, (S, A), in the arithmetic of the policy.

    parameters  "logits": of softmax parameters;  "policy": of the probabilities themselves (every entry of the policy positive), up to a
                multiple of 1 in each state that moves along the simplex do not see
    a scoring rule is one of costs: the gradient of rho(-G), to be descended
    """
    if parameters not in ("logits", "policy"):
        raise ModelError(f"parameters is {parameters!r}; it must be 'logits' or 'policy'")
    p = paths.probabilities(policy)
    _, returns = paths.like(kind(p))
    if kind(p) == "ball":  # trajectories of equal return are one outcome, so that balls need not decide an order between equals
        mass = np.full(paths.distinct.size, _number(0, p), dtype=object)
        np.add.at(mass, paths.place, p)
        outcomes = balls(paths.distinct)
        f = influence(measure, mass, -outcomes if isinstance(measure, scoring.Scoring) else outcomes)[paths.place]
    else:
        f = influence(measure, p, -returns if isinstance(measure, scoring.Scoring) else returns)
    if parameters == "logits":
        return paths.score(policy, p * f)
    table = np.asarray(policy)
    if kind(table) != "ball" and np.asarray(table <= 0, dtype=bool).any():
        raise ModelError("the gradient in the probabilities is taken at policies with no probability 0")
    return paths.visits(p * f) / table


def influence(measure: measures.Measure | scoring.Scoring | str, probabilities: Any, outcomes: Any) -> Array:
    """(..., n): f(x) of every outcome at the law (up to a constant), in the arithmetic of the law.

    raises   ModelError: CVaR at a level that is a value of the distribution function has one-sided derivatives only; a threshold is chosen then
    """
    p, x = tail._alike(probabilities, outcomes)
    if isinstance(measure, scoring.Scoring):
        return measure.score(x, _apart(np.asarray(measure.best(p, x))))
    measure = measures.parse(measure)
    if isinstance(measure, measures.Mean):
        return x
    if isinstance(measure, measures.CVaR):
        return _tail_influence(p, x, measure.level)
    if isinstance(measure, measures.Spectral):
        parts = [_number(w, p) * _tail_influence(p, x, a) for a, w in zip(measure.levels, measure.weights, strict=True)]
        return sum(parts[1:], parts[0])
    if isinstance(measure, measures.MeanSemideviation):
        return _deviation_influence(p, x, measure)
    if isinstance(measure, measures.Entropic):
        return x if measure.beta == 0 else _tilted(p, x, _number(measure.beta, p))
    if isinstance(measure, measures.EVaR):
        best: Any = evar_parts(p, x, measure.level)[2]
        if measure.level == 1:
            return x
        if np.ndim(best) == 0 and not (best.is_finite() if kind(p) == "ball" else np.isfinite(best)):
            return x * 0
        return _tilted(p, x, best)
    raise ModelError(f"{measure.text} has no influence function here")


def _tail_influence(p: Array, x: Array, level: Any) -> Array:
    """-(VaR - x)_+ / level; the worst outcome does not move with the policy."""
    if level == 0:
        return x * 0
    if level == 1:
        return x
    threshold = _apart(np.asarray(tail.var(p, x, level)))
    return -positive(threshold - x) / _number(level, p)


def _deviation_influence(p: Array, x: Array, measure: measures.MeanSemideviation) -> Array:
    c = _number(measure.weight, p)
    mean = np.asarray((p * x).sum(axis=-1))[..., None]
    short = positive(mean - x)
    if measure.order == 1:
        below = np.where(~less_equal(mean, x), p, p * 0).sum(axis=-1)
        return x - c * (short + np.asarray(below)[..., None] * x)
    size = np.asarray(sqrt((p * short * short).sum(axis=-1)))[..., None]
    if np.asarray(_is(size, 0)).all():
        return x
    return x - c * (short * short + 2 * np.asarray((p * short).sum(axis=-1))[..., None] * x) / (2 * size)


def _tilted(p: Array, x: Array, beta: Any) -> Array:
    b = _apart(np.asarray(beta)) if np.ndim(beta) else beta
    low = x.min(axis=-1, keepdims=True) if kind(x) == "float" else _lowest(x)
    weights = exp(-(x - low) * b)
    total = np.asarray((p * weights).sum(axis=-1))[..., None]
    return -weights / (b * total)


def _lowest(x: Array) -> Array:
    """Midpoints of the smallest outcomes (..., 1): any exact shift is right."""
    out = np.empty((*x.shape[:-1], 1), dtype=object)
    for index in np.ndindex(x.shape[:-1]):
        out[index] = min((y.mid() for y in x[index].tolist()), key=lambda y: y)
    return out
