"""Nested (Markov) risk: every step is rated by a risk measure of the value of the next state.

    V^pi(s) = sum_a pi(a | s) [ r(s, a) + gamma rho_{P(. | s, a)}(V^pi) ]            evaluation: actions are averaged outside the risk
    V*(s)   = max_a r(s, a) + gamma rho_{P(. | s, a)}(V*)                            optimal control: a deterministic Markov policy is optimal

rho is monotone and rho(v + c) = rho(v) + c, so both operators are gamma-contractions in the sup norm.  With rho(v) = min_q q.v + penalty(q) this is
a robust MDP, (s, a)-rectangular: nature chooses the law q of the next state at the price gamma penalty(q).  Coherent measures: the envelope is
a set of kernels (CVaR: q <= P / level), the price 0.  Entropic: all kernels, price (gamma / beta) KL(q | P), known as soft-robust.

Evaluation is Newton's method, which is nature's policy iteration: take the worst kernel q_k at V_k and solve
V_{k+1} = r + gamma (penalty_k + q_k V_{k+1}).  V_k decreases to V^pi, in finitely many steps for polyhedral envelopes (exact in rationals),
quadratically else.  Control is Howard's policy iteration around it.

Bounds: for any v, with low <= T v - v <= high in every state (computed exactly, or in balls, at the floats v),

    T v + gamma / (1 - gamma) low  <=  V*  <=  T v + gamma / (1 - gamma) high.

Gradient (direct parametrisation, worst kernel unique):  dV(mu)/dpi(a | s) = d(s) Q(s, a), d the discounted visits under the WORST kernel.

Sources: Ruszczynski (2010); Iyengar (2005); Zhang, Hu and Li (2024).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from flint import arb

from mdps.errors import ModelError
from mdps.finite_horizon import FiniteHorizon
from mdps.model import MDP
from mdps.rational import exact_rows, meant_array, simplest, to_float
from pgtheory.arithmetic import balls, exactly, kind, maximum, midpoint, minimum, mix, policy_values, policy_values_and_visits, precision
from pgtheory.exact.evaluation import check_policy
from pgtheory.exact.linear import solve_resolvent
from pgtheory.kernels import rounding_of_values
from pgtheory.risk.measures import Measure, parse
from pgtheory.solution import NotConverged

Array = np.ndarray
BITS = 96
"""Precision of the balls in which residuals are certified: the bounds are then as wide as the residual, not as its rounding."""
NEWTON_STEPS = 500
"""Far above what Newton's method takes (below 30 on every instance tried); a guard against cycles by rounding."""
DENSE_STATES = 500
"""Above this many states the linear systems are sparse."""


# Arrays, with leading dimensions: what methods and claims use


def nested_action_values(transitions: Any, rewards: Any, discount: Any, values: Any, measure: Measure) -> Array:
    """Q = r + gamma rho_P(V): transitions (..., S, A, S'), rewards (..., S, A), values (..., S') -> (..., S, A); discount a number or (..., 1, 1)."""
    return rewards + discount * measure.value(transitions, np.asarray(values)[..., None, None, :])


def nested_evaluation(policy: Any, transitions: Any, rewards: Any, discount: Any, measure: Measure) -> tuple[Array, Array, Array]:
    """(V^pi (..., S), worst kernel (..., S, A, S'), penalty (..., S, A)) by Newton's method.

    policy     (..., S, A), transitions (..., S, A, S'), rewards (..., S, A), discount a number or (..., 1, 1)
    Floats: to rounding.  Rationals: exactly (polyhedral measures).  Balls: V contains the fixed point of every model in the balls; the kernel is
    worst at the midpoint.
    """
    transitions, rewards = np.asarray(transitions), np.asarray(rewards)
    if kind(transitions) == "ball":
        return _evaluation_balls(policy, transitions, rewards, discount, measure)
    numbers = kind(transitions)
    values = policy_values(policy, transitions, rewards, discount)
    for _ in range(NEWTON_STEPS):
        rated, kernel = measure.worst(transitions, values[..., None, None, :])
        penalty = rated - (kernel * values[..., None, None, :]).sum(axis=-1)
        if measure.coherent:
            penalty = penalty * 0
        new = policy_values(policy, kernel, rewards + discount * penalty, discount)
        done = (new == values).all() if numbers != "float" else bool((values - new <= 4 * np.finfo(float).eps * np.abs(values)).all())
        values = new
        if done:
            break
    return values, kernel, penalty


def _evaluation_balls(policy: Any, transitions: Array, rewards: Array, discount: Any, measure: Measure) -> tuple[Array, Array, Array]:
    """Newton at the midpoints, then V +- max|T V - V| / (1 - gamma): the residual is computed with the whole balls."""
    table, moves, paid = (midpoint(x) for x in (policy, transitions, rewards))
    gamma = midpoint(discount)
    values = policy_values(table, moves, paid, gamma)
    size = math.inf
    while True:
        values = midpoint(values)
        rated, kernel = measure.worst(moves, values[..., None, None, :])
        penalty = rated - (kernel * values[..., None, None, :]).sum(axis=-1)
        residual = mix(policy, nested_action_values(transitions, rewards, discount, values, measure)) - values
        error = float(maximum(abs(residual)).upper().mid())
        if not error < size / 2:
            break
        best, size = values, error
        values = policy_values(table, midpoint(kernel), paid + gamma * midpoint(penalty), gamma)
    slack = arb(size) * arb(1 + 2.0**-40) / (1 - discount)
    return best + slack * arb(0, 1), kernel, penalty


def nested_gradient(policy: Any, transitions: Any, rewards: Any, discount: Any, start: Any, measure: Measure) -> Array:
    """dV(start)/dpi = d(s) Q(s, a) (..., S, A), d the visits (of total 1 / (1 - gamma)) under the worst kernel; at ties a supergradient."""
    values, kernel, _ = nested_evaluation(policy, transitions, rewards, discount, measure)
    _, visits = policy_values_and_visits(policy, kernel, rewards, discount, start)
    return visits[..., None] * nested_action_values(transitions, rewards, discount, values, measure)


# Models


@dataclass(frozen=True)
class RiskSolution:
    """The value of a nested risk problem between proved bounds, the policy, and nature's answer to it.

    values       (S,) floats, or rationals where solved exactly;  lower <= V <= upper in exact arithmetic, rounding included
    actions      (S,) optimal actions (None for the evaluation of a given policy)
    kernel       (pairs, k) the worst law of the next state of every pair, over `successors` (pairs, k): the risk envelope at the optimum;
                 `nominal` (pairs, k) is the model's own law, 0 where a row is padded
    stopped      "optimal" | "tolerance" | "rounding"
    """

    values: Array
    lower: Array
    upper: Array
    actions: Array | None
    kernel: Array
    successors: Array
    nominal: Array
    measure: Measure
    iterations: int
    stopped: str
    mdp: MDP = field(repr=False)

    @property
    def error(self) -> float:
        """Largest distance from `values` to the truth that the bounds leave open; 0 where exact."""
        return float(max(np.max(self.upper - self.values), np.max(self.values - self.lower)))

    @cached_property
    def policy(self) -> Array:
        """(S, A): probability 1 on `actions`."""
        if self.actions is None:
            raise ModelError("this is the value of a policy that was given; it has no actions of its own")
        table = np.zeros((self.mdp.num_states, self.mdp.num_actions))
        table[np.arange(self.mdp.num_states), self.actions] = 1.0
        return table

    @cached_property
    def worst_choices(self) -> Array:
        """(pairs, S) the worst kernel, dense, in the arithmetic of the solution."""
        out = np.empty((self.mdp.num_pairs, self.mdp.num_states), dtype=self.kernel.dtype)
        out[...] = self.kernel.reshape(-1)[0] * 0
        np.add.at(out, (np.arange(self.mdp.num_pairs)[:, None], self.successors), self.kernel)
        return out

    def __repr__(self) -> str:
        return f"RiskSolution({self.measure.text}, {self.values.size} states, {self.iterations} iterations, error <= {self.error:.2g})"


def solve_nested(mdp: MDP, measure: Measure | str, tol: float = 1e-8, *, policy: Any = None, on_limit: str = "raise") -> RiskSolution:
    """The optimal nested risk, or that of `policy`, in floats with proved bounds.

    measure  a Measure or its text, such as "cvar:0.1"
    tol      |values - V| <= tol in every state, proved by the bounds
    policy   (S, A): evaluate this one instead
    raises   ModelError: bad arguments.  NotConverged: rounding leaves the bounds wider than tol; `.solution` holds them
    """
    measure, rows = parse(measure), _Rows(mdp, "float")
    if not tol > 0:
        raise ModelError(f"tol is {tol}; it must be a positive number (solve_nested_exactly has rationals)")
    given = None if policy is None else to_float(_exact_policy(mdp, policy))
    values, actions, kernel, rounds = _optimise(rows, measure, given)
    lower, upper = nested_bounds(mdp, measure, values, policy)
    width = float(np.max(np.maximum(upper - values, values - lower)))
    found = RiskSolution(
        values, lower, upper, actions, kernel, rows.successors, rows.probabilities, measure, rounds, "tolerance" if width <= tol else "rounding", mdp
    )
    if width > tol and on_limit != "return":
        raise NotConverged(f"the values are known to {width:.1e}, not {tol:g}: floats cannot prove less at discount {mdp.discount}", found)
    return found


def solve_nested_exactly(mdp: MDP, measure: Measure | str, *, policy: Any = None) -> RiskSolution:
    """The same in rationals, for measures that stay in them (CVaR, mean-CVaR, spectral, semideviation of order 1): lower = values = upper.

    The answer is checked: T V = V exactly, with the action attaining the maximum.
    raises   ModelError: the measure leaves the rationals (use solve_nested, whose bounds are proved)
    """
    measure = parse(measure)
    if not measure.rational:
        raise ModelError(f"{measure.text} of rationals is irrational; solve in floats, with proved bounds")
    rows = _Rows(mdp, "rational")
    given = None
    if policy is not None:
        given = _exact_policy(mdp, policy)
    begin = None if policy is not None else _optimise(_Rows(mdp, "float"), measure, None)[1]
    values, actions, kernel, rounds = _optimise(rows, measure, given, begin)
    if (rows.operator(measure, values, given) != values).any():
        raise ArithmeticError("the exact solution does not satisfy its equation")  # a defect of this program, not of the model
    return RiskSolution(values, values, values, actions, kernel, rows.successors, rows.probabilities, measure, rounds, "optimal", mdp)


def _exact_policy(mdp: MDP, policy: Any) -> Array:
    """(pairs,) rational weights whose sum is exactly 1 in every state: floats are read as `mdps.rational.exact_rows` does."""
    table = check_policy(mdp, policy)
    return (exact_rows(table) if table.dtype != object else exactly(table))[mdp.action_mask]


def nested_bounds(mdp: MDP, measure: Measure | str, values: Any, policy: Any = None) -> tuple[Array, Array]:
    """(lower, upper) (S,) floats: proved bounds of V* of `mdp.exact` (of V^pi for a policy (S, A)) from any float vector `values`."""
    measure = parse(measure)
    numbers = "rational" if measure.rational else "ball"
    with precision(BITS):
        rows = _Rows(mdp, numbers)
        convert = exactly if numbers == "rational" else balls
        v = convert(np.asarray(values, dtype=np.float64))
        after = rows.operator(measure, v, None if policy is None else convert(_exact_policy(mdp, policy)))
        gamma = rows.discount
        change = after - v
        low, high = minimum(change), maximum(change)
        scale = gamma / (1 - gamma)
        lower, upper = after + scale * low, after + scale * high
        return _outward(lower, -1), _outward(upper, 1)


def solve_nested_horizon(
    problem: FiniteHorizon, measure: Measure | str, *, exact: bool = False, schedule: bool = False
) -> tuple[list[Array], list[Array]]:
    """Backward induction  V_t = max_a r_t + gamma rho_t(V_{t+1}),  V_H = terminal.

    schedule   rho_t is `measure.scaled(discount^{t+1})`: for the entropic measure this is the entropic risk of the whole discounted sum (see
               `entropic_control`); the default uses `measure` itself at every step
    returns    (values, actions): values[t] (S_t,) for t = 0 .. H, actions[t] (S_t,) for t < H (the first maximiser)
    """
    measure = parse(measure)
    if exact and not measure.rational:
        raise ModelError(f"{measure.text} of rationals is irrational; solve in floats")
    whole = problem.exact if exact else problem.float
    values, actions = [whole.terminal], list[Array]()
    steps = len(whole.stages)
    for t in range(steps - 1, -1, -1):
        stage = whole.stages[t]
        rated = (measure.scaled(whole.discount ** (t + 1)) if schedule else measure).value(_dense(stage.choices), values[0])
        action_values = stage.pair_rewards + whole.discount * rated
        top = np.maximum.reduceat(action_values, stage.first_pair[:-1])
        first = [int(np.argmax(action_values[a:b] == v)) for a, b, v in zip(stage.first_pair[:-1], stage.first_pair[1:], top.tolist(), strict=True)]
        values.insert(0, top)
        actions.insert(0, np.array(first))
    return values, actions


class _Rows:
    """The choice matrix as padded lists of successors: `successors`, `probabilities` (pairs, k); padding has probability 0 and counts for nothing."""

    def __init__(self, mdp: MDP, numbers: str) -> None:
        if not isinstance(mdp, MDP):
            raise ModelError(f"nested risk takes an mdps.MDP; this is a {type(mdp).__name__}")
        model = mdp.float if numbers == "float" or not mdp.given_exactly else mdp.exact
        self.mdp, self.first = mdp, mdp.first_pair
        choices = model.choices
        if isinstance(choices, np.ndarray):
            place = [np.flatnonzero(np.asarray(row != 0, dtype=bool)) for row in choices]
            data = [row[k] for row, k in zip(choices, place, strict=True)]
        else:
            spans = list(zip(choices.indptr[:-1].tolist(), choices.indptr[1:].tolist(), strict=True))
            place, data = [choices.indices[a:b] for a, b in spans], [choices.data[a:b] for a, b in spans]
        width = max(k.size for k in place)
        self.successors = np.zeros((len(place), width), dtype=np.int64)
        p = np.zeros((len(place), width)) if not model.is_exact else exactly(np.zeros((len(place), width)))
        for row, (k, values) in enumerate(zip(place, data, strict=True)):
            self.successors[row, : k.size] = k
            p[row, : k.size] = values
        rewards, discount = model.pair_rewards, model.discount
        if numbers != "float" and not model.is_exact:  # the numbers of `mdp.exact`, without its zeros
            p, rewards, discount = exact_rows(p), meant_array(rewards), simplest(float(discount))
        ball = numbers == "ball"
        self.probabilities, self.rewards = (balls(part) if ball else part for part in (p, rewards))
        self.discount: Any = arb(discount) if ball else discount

    def action_values(self, measure: Measure, values: Array) -> tuple[Array, Array, Array]:
        """(Q (pairs,), worst laws (pairs, k), penalty (pairs,))."""
        after = values[self.successors]
        rated, kernel = measure.worst(self.probabilities, after)
        penalty = rated - (kernel * after).sum(axis=-1)
        return self.rewards + self.discount * rated, kernel, penalty * 0 if measure.coherent else penalty

    def operator(self, measure: Measure, values: Array, weights: Array | None) -> Array:
        """T V (S,): the best action, or the mean over the pair weights of a policy.  Balls: no order is needed."""
        rated = self.rewards + self.discount * measure.value(self.probabilities, values[self.successors])
        if weights is not None:
            return np.add.reduceat(weights * rated, self.first[:-1])
        out = np.empty(self.first.size - 1, dtype=rated.dtype)
        out[:] = [maximum(rated[a:b]) for a, b in zip(self.first[:-1], self.first[1:], strict=True)]
        return out

    def resolve(self, weights: Array, kernel: Array, rewards: Array) -> Array:
        """V = r_pi + gamma q_pi V for pair weights (pairs,)."""
        size = self.first.size - 1
        paid = np.add.reduceat(weights * rewards, self.first[:-1])
        states = np.repeat(np.arange(size), np.diff(self.first))
        mass = weights[:, None] * kernel
        if kernel.dtype != object and size > DENSE_STATES:
            from scipy.sparse import coo_array

            kept = mass != 0
            rows = np.broadcast_to(states[:, None], mass.shape)
            return solve_resolvent(coo_array((mass[kept], (rows[kept], self.successors[kept])), shape=(size, size)).tocsr(), self.discount, paid)
        matrix = np.zeros((size, size)) if kernel.dtype != object else exactly(np.zeros((size, size)))
        np.add.at(matrix, (states[:, None], self.successors), mass)
        return solve_resolvent(matrix, self.discount, paid)


def _optimise(rows: _Rows, measure: Measure, weights: Array | None, begin: Any = None) -> tuple[Array, Array | None, Array, int]:
    """(values, actions or None, worst kernel, solves): Howard's policy iteration around Newton's method; floats or rationals."""
    exact = rows.rewards.dtype == object
    first, counts = rows.first[:-1], np.diff(rows.first)
    largest = float(np.max(np.abs(rows.rewards))) if not exact else 0.0
    slack = 0 if exact else 8 * rounding_of_values(counts.size, float(rows.discount), max(largest, 1e-300))
    actions = None
    kernel, penalty = rows.probabilities, rows.rewards * 0
    if weights is None:
        actions = _first_best(rows.rewards, rows) if begin is None else np.asarray(begin)
    solves = 0
    while True:
        chosen = weights if weights is not None else _weights(actions, rows)
        values = rows.resolve(chosen, kernel, rows.rewards + rows.discount * penalty)
        for _ in range(NEWTON_STEPS):
            solves += 1
            action_values, kernel, penalty = rows.action_values(measure, values)
            new = rows.resolve(chosen, kernel, rows.rewards + rows.discount * penalty)
            done = bool((new == values).all()) if exact else bool((np.abs(values - new) <= slack / 8 + 4e-16 * np.abs(values)).all())
            values = new
            if done:
                break
        action_values, kernel, penalty = rows.action_values(measure, values)
        if actions is None:
            return values, None, kernel, solves
        present = action_values[first + actions]
        top = np.maximum.reduceat(action_values, first)
        better = np.asarray(top > present + slack, dtype=bool)
        if not better.any():
            return values, actions, kernel, solves
        actions = np.where(better, _first_best(action_values, rows), actions)


def _first_best(action_values: Array, rows: _Rows) -> Array:
    top = np.repeat(np.maximum.reduceat(action_values, rows.first[:-1]), np.diff(rows.first))
    hit = np.flatnonzero(np.asarray(action_values == top, dtype=bool))
    states = np.repeat(np.arange(rows.first.size - 1), np.diff(rows.first))[hit]
    _, place = np.unique(states, return_index=True)
    return hit[place] - rows.first[:-1]


def _weights(actions: Any, rows: _Rows) -> Array:
    out = np.zeros(rows.rewards.size)
    out[rows.first[:-1] + actions] = 1.0
    return exactly(out) if rows.rewards.dtype == object else out


def _dense(choices: Any) -> Array:
    return choices if isinstance(choices, np.ndarray) else choices.toarray()


def _outward(values: Array, side: int) -> Array:
    """Rationals or balls as floats that are certainly below (side -1) or above (side 1) them."""
    out = []
    for x in values.tolist():
        if isinstance(x, arb):
            x = (x.lower() if side < 0 else x.upper()).mid().fmpq()
        nearest = int(x.p) / int(x.q)
        ratio = nearest.as_integer_ratio()
        exact = ratio[0] * int(x.q) == int(x.p) * ratio[1]
        out.append(nearest if exact else math.nextafter(nearest, side * math.inf))
    return np.array(out)
