"""Entropic risk and EVaR of the whole discounted return: exact recursions with a schedule of risk levels.

    maximise  ERM_b( sum_t gamma^t r(s_t, a_t) )

ERM_b(gamma X) = gamma ERM_{b gamma}(X) and the tower rule ERM_b(X) = ERM_b(ERM_b(X | Y)) give, with b_t = b gamma^t,

    V_t(s) = max_a r(s, a) + gamma ERM_{b_{t+1}; P(. | s, a)}(V_{t+1})               (the level at the continuation is gamma^{t+1}, not gamma^t)

so that an optimal policy is deterministic and Markov, but in general depends on t: risk aversion fades as b_t -> 0.  The same b at every step is
another objective, nested entropic risk (`nested.solve_nested`), which is never larger.

After H steps the rest is close to risk neutral: with w the range of the return from any one state, Hoeffding's lemma gives
V*_neutral - b_H w^2 / 8 <= V_H <= V*_neutral, and the error at time 0 is gamma^H times that: gamma^{2H} b w^2 / 8.  Two runs of the recursion,
in balls, from the two ends are the bounds.

    EVaR_a(G) = sup_b ERM_b(G) + log(a) / b,    hence   max_pi EVaR_a = sup_b [ V^b(start) + log(a) / b ]:

one recursion for each b, all of them in one batch.  On a cell [b, c] the objective is bounded in two ways: V^x <= V^b, and with m below every return
x (V^x - m) <= c (V^c - m), because x -> -log E exp(-x (G - m)) rises.  So at x it is at most
min(V^b + log(a) / x, m + (c (V^c - m) + log(a)) / x), which is largest at x = c (V^c - m) / (V^b - m), or at c.  Cells whose bound is below the
best value found are dropped, the others halved, until the bound is within the tolerance.

Sources: Howard and Matheson (1972); Hau, Petrik and Ghavamzadeh (2023); Ahmadi-Javid (2012).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flint import arb

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.arithmetic import balls, log, precision
from pgtheory.exact import solve
from pgtheory.risk.exponential import check_beta, entropic
from pgtheory.risk.nested import BITS, _outward, _Rows
from pgtheory.risk.tail import _number, check_level
from pgtheory.solution import NotConverged

Array = np.ndarray
MOST_STEPS = 100_000
MOST_CELLS = 50_000
"""Levels b that the search for the best EVaR may try."""


@dataclass(frozen=True)
class EntropicSolution:
    """The optimal entropic risk of the discounted return.

    lower, upper   (S,) proved bounds of the optimum from each state; values is their midpoint
    start_bounds   (lower, upper) from the start distribution: the risk of a random first state counts too
    actions        (H, S): what to do at step t < H; from H on `last` (S,) does, within the bounds
    levels         (H,) b gamma^t
    """

    values: Array
    lower: Array
    upper: Array
    start_bounds: tuple[float, float]
    actions: Array
    last: Array
    levels: Array
    beta: Any
    mdp: MDP = field(repr=False)

    @property
    def horizon(self) -> int:
        return len(self.actions)

    @property
    def error(self) -> float:
        return float(max(np.max(self.upper - self.values), np.max(self.values - self.lower)))

    def __repr__(self) -> str:
        return f"EntropicSolution(beta {self.beta}, {self.values.size} states, {self.horizon} steps, error <= {self.error:.2g})"


def solve_entropic(mdp: MDP, beta: Any, tol: float = 1e-6, horizon: int | None = None) -> EntropicSolution:
    """max_pi ERM_beta of the discounted return, over all history-dependent policies, with proved bounds.

    beta     in [0, inf), in 1 / reward units
    tol      the recursion is as long as the remainder gamma^{2H} beta w^2 / 8 (and the risk neutral solver) need for it
    horizon  the number of steps with their own actions, instead
    raises   ModelError: beta negative or infinite.  NotConverged is left to the caller: read `error`
    """
    b = check_beta(beta)
    if b == math.inf:
        raise ModelError("beta is inf: the worst outcome, which needs no schedule; ask for the nested risk 'worst'")
    if not tol > 0:
        raise ModelError(f"tol is {tol}; it must be a positive number")
    rows = _Rows(mdp, "float")
    least, most = _extremes(rows)
    spread = float(np.max(most - least)) * (1 + 1e-15)
    size = float(_number(b, np.zeros(1))) * spread * spread / 8
    steps = _horizon(size, rows.discount, tol / 4) if horizon is None else horizon
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 0:
        raise ModelError(f"the horizon is {horizon!r}; it must be a whole number of steps")
    neutral = solve(mdp, tol=tol / 4, on_limit="return")
    actions, levels = _actions(rows, neutral.values, float(_number(b, np.zeros(1))), int(steps))
    with precision(BITS):
        exact = _Rows(mdp, "ball")
        level = arb(_number(b, exact.rewards)) if not isinstance(b, arb) else b
        width = arb(spread)
        slack = level * exact.discount ** int(steps) * width * width / 8
        lower = _recursion(exact, balls(neutral.lower) - slack, level, int(steps))
        upper = _recursion(exact, balls(neutral.upper), level, int(steps))
        start = balls(mdp.exact.start)
        ends = [entropic(start, v, level) if level != 0 else (start * v).sum() for v in (lower, upper)]
        low, high = _outward(lower, -1), _outward(upper, 1)
        bounds = (_outward(np.array([ends[0]]), -1)[0], _outward(np.array([ends[1]]), 1)[0])
    return EntropicSolution((low + high) / 2, low, high, (float(bounds[0]), float(bounds[1])), actions, neutral.actions, levels, b, mdp)


def entropic_of_steps(mdp: MDP, beta: Any, horizon: int) -> float:
    """max over history-dependent policies of ERM_beta of the discounted return of the first `horizon` steps, from the start distribution; float64."""
    rows, b = _Rows(mdp, "float"), float(_number(check_beta(beta), np.zeros(1)))
    values = np.zeros(mdp.num_states)
    for t in range(horizon - 1, -1, -1):
        rated = rows.rewards + rows.discount * entropic(rows.probabilities, values[rows.successors], b * float(rows.discount) ** (t + 1))
        values = np.maximum.reduceat(rated, rows.first[:-1])
    return float(entropic(mdp.float.start, values, b))


def _horizon(size: float, discount: float, tol: float) -> int:
    """The least H with discount^{2H} size <= tol."""
    if size <= tol:
        return 0
    steps = math.ceil(math.log(tol / size) / (2 * math.log(discount))) if discount > 0 else 1
    if steps > MOST_STEPS:
        raise ModelError(
            f"the schedule needs {steps:,} steps at discount {discount} and tolerance {tol:g}; at most {MOST_STEPS:,}: raise the tolerance"
        )
    return max(steps, 1)


def _actions(rows: _Rows, last: Array, beta: float, steps: int) -> tuple[Array, Array]:
    levels = beta * float(rows.discount) ** np.arange(steps)
    actions = np.zeros((steps, rows.first.size - 1), dtype=np.int64)
    values = last
    for t in range(steps - 1, -1, -1):
        rated = rows.rewards + rows.discount * entropic(rows.probabilities, values[rows.successors], beta * float(rows.discount) ** (t + 1))
        values = np.maximum.reduceat(rated, rows.first[:-1])
        for s, (a, z) in enumerate(zip(rows.first[:-1], rows.first[1:], strict=True)):
            actions[t, s] = int(np.argmax(rated[a:z]))
    return actions, levels


def _recursion(rows: _Rows, values: Array, beta: Any, steps: int) -> Array:
    """`steps` steps of the recursion, in balls."""
    from pgtheory.risk.measures import Entropic, Mean

    for t in range(steps - 1, -1, -1):
        level = beta * rows.discount ** (t + 1)
        if level == 0:
            values = rows.operator(Mean(), values, None)
            continue
        values = rows.operator(Entropic(np.array([level], dtype=object)[0]), values, None)
    return values


def _extremes(rows: _Rows) -> tuple[Array, Array]:
    """(S,) below and above every discounted return from a state, whatever the policy: fixed points of min min and max max, with their rounding."""
    discount = float(rows.discount)
    least = most = np.zeros(rows.first.size - 1)
    possible = rows.probabilities > 0
    for _ in range(3 if discount == 0 else math.ceil(40 / -math.log(discount)) + 3):
        low = np.where(possible, least[rows.successors], np.inf).min(axis=1)
        high = np.where(possible, most[rows.successors], -np.inf).max(axis=1)
        least = np.minimum.reduceat(rows.rewards + discount * low, rows.first[:-1])
        most = np.maximum.reduceat(rows.rewards + discount * high, rows.first[:-1])
    size = float(np.max(np.abs(rows.rewards))) / (1 - discount)
    slack = size * (16 * np.finfo(float).eps / (1 - discount) + 2.0**-44 / (1 - discount) + math.exp(-40))
    return least - slack, most + slack


# EVaR


@dataclass(frozen=True)
class EVaRSolution:
    """The optimal EVaR of the discounted return from the start distribution: lower <= optimum <= upper, beta attains `lower` with `entropic`.

    cells    the levels tried;  beta is 0 for level 1 (risk neutral) and inf where the worst outcome is optimal within the tolerance
    """

    value: float
    lower: float
    upper: float
    level: Any
    beta: float
    entropic: Any
    cells: int
    mdp: MDP = field(repr=False)

    @property
    def error(self) -> float:
        return max(self.upper - self.value, self.value - self.lower)


def solve_evar(mdp: MDP, level: Any, tol: float = 1e-4) -> EVaRSolution:
    """max_pi EVaR_level of the discounted return from the start distribution, over all history-dependent policies.

    level    in (0, 1]; 1 is risk neutral, 0 the worst outcome (`solve_nested(mdp, "worst")`)
    tol      upper - lower <= tol, proved up to the rounding of the recursion in floats, whose bound is in the figures
    raises   ModelError: level out of range.  NotConverged: more than MOST_CELLS levels
    """
    a = check_level(level)
    if a == 0:
        raise ModelError("the level is 0: the worst outcome; ask for the nested risk 'worst'")
    if not tol > 0:
        raise ModelError(f"tol is {tol}; it must be a positive number")
    if a == 1:
        neutral = solve_entropic(mdp, 0, tol)
        low, high = neutral.start_bounds
        return EVaRSolution((low + high) / 2, low, high, a, 0.0, neutral, 1, mdp)
    family = _Family(mdp, tol)
    with precision(BITS):
        weight = float(log(balls(np.array([_number(a, balls(np.zeros(1)))], dtype=object)))[0].mid())
    if family.range < 1e-9 * tol:
        plain = solve_entropic(mdp, 0, tol)
        return EVaRSolution(float(plain.start_bounds[0]), *plain.start_bounds, a, 0.0, plain, 1, mdp)
    # below b = -log(a) / range the objective is at most the least value there is; above the last one it is V^b within tol / 4
    unit = -weight / family.range
    levels, low_at, high_at = family.ladder(unit, unit * max(8.0, 4 * family.range / tol))
    found = low_at + weight / levels
    best, argument = float(np.max(found)), float(levels[np.argmax(found)])
    lows, highs = levels, np.concatenate([levels[1:], [np.inf]])
    at_low, at_high = high_at, np.concatenate([high_at[1:], [np.inf]])
    tops = family.bound(lows, at_low, highs, at_high, weight)
    cells = levels.size
    while (top := float(np.max(tops))) > best + tol / 2:
        if cells > MOST_CELLS:
            raise NotConverged(
                f"EVaR is known to lie in [{best:.6g}, {top:.6g}] after {cells:,} levels; a tolerance of {tol:g} needs more",
                EVaRSolution(best, best, top, a, argument, None, cells, mdp),
            )
        kept = tops > best + tol / 2
        lows, highs, at_low, at_high = lows[kept], highs[kept], at_low[kept], at_high[kept]
        middles = np.where(np.isinf(highs), 4 * lows, np.sqrt(lows) * np.sqrt(np.where(np.isinf(highs), 1.0, highs)))
        low_at, high_at = family.values(middles)
        found = low_at + weight / middles
        if found.max() > best:
            best, argument = float(found.max()), float(middles[np.argmax(found)])
        lows, highs = np.concatenate([lows, middles]), np.concatenate([middles, highs])
        at_low, at_high = np.concatenate([at_low, high_at]), np.concatenate([high_at, at_high])
        tops = family.bound(lows, at_low, highs, at_high, weight)
        cells += middles.size
    chosen = solve_entropic(mdp, argument, tol / 4)
    slack = 4 * np.finfo(float).eps * abs(weight) / argument
    lower = max(best - slack, chosen.start_bounds[0] + weight / argument - slack)
    upper = max(top, lower) + slack
    return EVaRSolution((lower + upper) / 2, lower, upper, a, argument, chosen, cells, mdp)


class _Family:
    """V^b(start) for many levels b, from below and from above: with the remainder of the recursion and its rounding."""

    def __init__(self, mdp: MDP, tol: float) -> None:
        self.rows, self.tol, self.start = _Rows(mdp, "float"), tol, mdp.float.start
        self.discount = float(self.rows.discount)
        rewards = self.rows.rewards
        least, most = _extremes(self.rows)
        begun = self.start > 0
        self.spread, self.least = float(np.max(most - least)), float(np.min(least[begun]))  # of the return from one state; least from the start
        self.range = float(np.max(most[begun])) - self.least
        neutral = solve(mdp, tol=tol / 16, on_limit="return")
        self.ends = np.stack([neutral.lower, neutral.upper])
        width = self.rows.successors.shape[1]
        size = max(1e-300, float(np.max(np.abs(rewards))) / (1 - self.discount))
        # one step: exp, a sum of `width` terms, log and a division by b move it by a multiple of eps times the range of the values (where b is small
        # so is the logarithm, and it is computed from expm1); 2^-46 for floats read as fractions; errors of later steps count gamma^t
        self.rounding = (8 * (width + 8) * np.finfo(float).eps + 2.0**-44) * size / (1 - self.discount)

    def ladder(self, least: float, largest: float) -> tuple[Array, Array, Array]:
        """(levels increasing, lower, upper) at levels from `least` to beyond `largest`, a hundredth apart: V^{b gamma^t} is what step t of the
        recursion for b computes, so that a few recursions give all of them."""
        gamma = self.discount
        count = max(1, math.ceil(-math.log(gamma) / 0.01)) if gamma > 0 else max(2, math.ceil(math.log(largest / least) / 0.01))
        steps = math.ceil(math.log(largest / least) / -math.log(gamma)) if gamma > 0 else 0
        top = largest * (1 / gamma if gamma > 0 else 1.0)
        betas = top * (gamma if gamma > 0 else least / largest) ** (np.arange(count) / count)
        kept: list[tuple[Array, Array]] = []
        self.values(betas, kept, steps)
        levels = np.concatenate([level for level, _ in kept])
        ends = np.concatenate([both for _, both in kept], axis=1)
        order = np.argsort(levels)
        order = order[levels[order] >= least * (1 - 1e-9)]
        # the least level itself closes the first cell from below
        if levels[order[0]] > least:
            low, high = self.values(np.array([least]))
            return np.concatenate([[least], levels[order]]), np.concatenate([low, ends[0, order]]), np.concatenate([high, ends[1, order]])
        return levels[order], ends[0, order], ends[1, order]

    def values(self, betas: Array, kept: list[tuple[Array, Array]] | None = None, wanted: int = 0) -> tuple[Array, Array]:
        """(lower, upper) of V^b(start); with `kept` also every (levels b gamma^t, (2, B) bounds) for t <= wanted."""
        rows, gamma = self.rows, self.discount
        size = betas * self.spread**2 / 8
        steps = wanted + _horizon(float(size.max()) * gamma**wanted, gamma, self.tol / 16)
        values = np.repeat(self.ends[:, None, :], betas.size, axis=1)
        values[0] -= (size * gamma**steps)[:, None]
        for t in range(steps, -1, -1):
            if t < steps:
                level = (betas * gamma ** (t + 1))[:, None]
                rated = entropic(rows.probabilities, values[:, :, rows.successors], np.broadcast_to(level, (2, betas.size, rows.rewards.size)))
                values = np.maximum.reduceat(rows.rewards + gamma * rated, rows.first[:-1], axis=2)
            if kept is not None and t <= wanted:
                kept.append((betas * gamma**t, self._start(values, betas * gamma**t)))
        low, high = self._start(values, betas)
        return low, high

    def bound(self, lows: Array, at_low: Array, highs: Array, at_high: Array, weight: float) -> Array:
        """Above V^x(start) + weight / x for x in [low, high]; at_low, at_high above V there."""
        with np.errstate(invalid="ignore", divide="ignore"):
            excess = np.where(np.isinf(highs), np.inf, highs * (at_high - self.least))
            cross = np.clip(np.where(np.isinf(highs), highs, excess / (at_low - self.least)), lows, highs)
            first = at_low + weight / np.where(np.isnan(cross), highs, cross)
            last = self.least + (excess + weight) / highs  # where excess + weight < 0 the second bound rises to the end of the cell
        return np.where(excess + weight >= 0, first, np.maximum(first, last))

    def _start(self, values: Array, betas: Array) -> Array:
        """(2, B): the risk of the random first state, with the rounding."""
        return entropic(self.start, values, np.broadcast_to(betas, values.shape[:2])) + np.array([[-self.rounding], [self.rounding]])
