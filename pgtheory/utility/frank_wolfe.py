"""Frank-Wolfe over occupancies: one ordinary decision problem a step.

    d_t     the occupancy of a policy that is greedy for the reward grad F(x_t)
    x_{t+1} = x_t + a_t (d_t - x_t),        a_t = 2 / (t + 2), or the best step on the segment (line search)

For F concave and L-smooth:  F* - F(x_t) <= 2 L D^2 / (t + 2),  t >= 1,  D^2 <= 2 (Jaggi 2013; maximum entropy exploration: Hazan et al. 2019).
At every step the tangent at x_t proves F* <= F(x_t) + <grad F(x_t), d_t - x_t>: that difference is the certificate, and needs no smoothness.

x_t is a mixture of occupancies.  It is realised by drawing one of the policies at the start, or by the one stationary policy
pi(a | s) = x_t(s, a) / x_t(s) (`mixture_policy`); averaging the policies' action probabilities gives another occupancy.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mdps.errors import ModelError, nearest
from mdps.model import MDP
from pgtheory.exact.evaluation import check_policy, occupancy
from pgtheory.utility.base import Utility
from pgtheory.utility.program import best_linear, policy_of

Array = np.ndarray
RULES = ("open-loop", "line-search")
DIAMETER = 2.0
"""Squared Euclidean diameter of the simplex."""
GOLDEN = (math.sqrt(5) - 1) / 2
SECTIONS = 60
"""Golden sections of a line search: the step is known to 0.618^60 = 3e-13 of the segment."""


@dataclasses.dataclass(frozen=True)
class FrankWolfeRun:
    """What a run passed through, t = 0 .. T.

    values      (T + 1,) F(x_t)
    uppers      (T + 1,) proved bounds on max F from the tangents at x_t
    steps       (T,) a_t
    occupancies (T + 1, S, A) x_t
    policy      (S, A) the stationary policy whose occupancy is x_T
    """

    values: Array
    uppers: Array
    steps: Array
    occupancies: Array
    policy: Array
    mdp: MDP = dataclasses.field(repr=False)
    utility: Utility = dataclasses.field(repr=False)

    @property
    def times(self) -> Array:
        return np.arange(self.values.size)

    @property
    def upper(self) -> float:
        """The best of the proved bounds."""
        return float(self.uppers.min())

    @property
    def gap(self) -> float:
        """upper - F(x_T): how far from optimal the last iterate can be."""
        return self.upper - float(self.values[-1])

    @property
    def gaps(self) -> Array:
        """(T + 1,) the Frank-Wolfe gaps, uppers - values."""
        return self.uppers - self.values

    def bound(self) -> Array:
        """(T + 1,) 2 L D^2 / (t + 2), the theorem's bound on F* - F(x_t) for t >= 1; infinite at t = 0 and where the utility is not smooth."""
        with np.errstate(invalid="ignore"):
            out = 2 * self.utility.smoothness * DIAMETER / (self.times + 2.0)
        out[0] = math.inf
        return out


def run_frank_wolfe(
    mdp: MDP, utility: Utility, iterations: int, *, initial: Any = None, rule: str = "open-loop", tolerance: float = 0.0, check: bool = True
) -> FrankWolfeRun:
    """Maximises a concave utility over the occupancies of `mdp`.

    initial     policy (S, A) whose occupancy is x_0; uniform over the actions of each state if left out
    rule        "open-loop" 2 / (t + 2), or "line-search"
    tolerance   stops when the certified gap is at most this
    check       look for a violation of concavity first, for a user's function
    raises      ModelError: iterations below 1, an unknown rule, arrays that do not fit, a function that is not concave
    """
    if iterations < 1:
        raise ModelError(f"iterations is {iterations}; it must be at least 1")
    if rule not in RULES:
        raise ModelError(f"rule is {rule!r}; it is {' or '.join(RULES)}.{nearest(rule, RULES)}")
    model = mdp.float
    utility.check((model.num_states, model.num_actions))
    if check:
        _refuse_convex(utility, model)
    policy = model.action_mask / model.action_mask.sum(axis=1, keepdims=True) if initial is None else check_policy(model, initial)
    x = occupancy(model, policy)
    points, values, uppers, steps = [x], [], [], []
    for t in range(iterations + 1):
        constant, reward = utility.tangent(x)
        greedy, best = best_linear(model, reward)
        values.append(utility.value(x))
        uppers.append(constant + best)
        if t == iterations or min(uppers) - values[-1] <= tolerance:
            break
        d = occupancy(model, greedy)
        step = 2 / (t + 2) if rule == "open-loop" else _best_step(utility, x, d)
        x = x + step * (d - x)
        steps.append(step)
        points.append(x)
    return FrankWolfeRun(np.array(values), np.array(uppers), np.array(steps), np.array(points), policy_of(model, x), model, utility)


def mixture_policy(mdp: MDP, policies: Sequence[Array], weights: Sequence[Any]) -> Array:
    """The stationary policy with the occupancy of the mixture that draws policy i with probability weights[i] at the start: x(s, a) / x(s).

    raises   ModelError: negative weights, a sum that is not 1, a policy that is none
    """
    w = np.asarray(weights, dtype=float)
    if len(w) != len(policies) or np.any(w < 0) or abs(w.sum() - 1) > 1e-9:
        raise ModelError(f"weights are {w.tolist()} for {len(policies)} policies; they must be as many, at least 0, with sum 1")
    mixed = sum(p * occupancy(mdp.float, np.asarray(policy, dtype=float)) for p, policy in zip(w, policies, strict=True))
    return policy_of(mdp, np.asarray(mixed))


def _best_step(utility: Utility, x: Array, d: Array) -> float:
    """argmax over [0, 1] of the concave F(x + a (d - x)), by golden sections."""
    low, high = 0.0, 1.0

    def value(a: float) -> float:
        return float(utility.value(x + a * (d - x)))

    inner = [high - GOLDEN * (high - low), low + GOLDEN * (high - low)]
    known = [value(a) for a in inner]
    for _ in range(SECTIONS):
        if known[0] < known[1]:
            low, inner = inner[0], [inner[1], 0.0]
            inner[1] = low + GOLDEN * (high - low)
            known = [known[1], value(inner[1])]
        else:
            high, inner = inner[1], [0.0, inner[0]]
            inner[0] = high - GOLDEN * (high - low)
            known = [value(inner[0]), known[0]]
    ends = {0.0: value(0.0), 1.0: value(1.0), (low + high) / 2: value((low + high) / 2)}
    return max(ends, key=lambda a: ends[a])


def _refuse_convex(utility: Utility, mdp: MDP) -> None:
    from pgtheory.utility.user import check_concave, holds_user_function

    if holds_user_function(utility):
        check_concave(utility, mdp)
