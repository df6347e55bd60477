"""Optimistic descent-ascent (ReLOAD): each player moves along what it expects to see next, and the last iterate converges.  Moskovitz et al. (2023).

    pi <- pi exp(eta (2 u_t - u_(t-1))) / Z,        u_t = Q_r - lambda_t . Q_c at (pi_t, lambda_t)
    lambda <- max(lambda + eta_2 (2 x_t - x_(t-1)), 0),   x_t = V_c(pi_t) - b;        u_(-1) = u_0, x_(-1) = x_0

The paradox that calls for it.  A bandit with r = c = (1, 0) and budget b in (0, 1): the optimum is pi = (b, 1 - b) with lambda* = 1, where r - c
is 0 for both arms, so that every policy is an optimal answer to lambda*, the best response to any other lambda is an arm alone, and an arm
alone either breaks the budget (by 1 - b) or misses the optimum (by b).  No reward of the form r - lambda c has the constrained optimum as its unique
greedy policy (`paradox`, exact).  Multipliers that converge bring no policy with them, and plain descent-ascent circles (`descent_ascent`).

Near a saddle in one state the step is the bilinear game of `bilinear`: in (logits, lambda) the policy moves by -eta c lambda, and x by the
covariance, Var_(pi*)(c) a logit.  With one constraint, s = sqrt(eta eta_2 Var_(pi*)(c)) (b (1 - b) above), the error shrinks by

    sqrt((1 + sqrt(1 - 4 s^2)) / 2)  a step  (`local_contraction`),

while the plain step lets it grow by sqrt(1 + s^2).
"""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Any

import numpy as np

from mdps.constrained import ConstrainedMDP
from mdps.errors import ModelError
from pgtheory.constrained.bilinear import optimistic_radius
from pgtheory.constrained.descent_ascent import matched_steps
from pgtheory.constrained.evaluation import Problem, Seen, ascend_dual, lagrangian
from pgtheory.constrained.runs import ConstrainedMethod, State

Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class OptimisticDescentAscent(ConstrainedMethod):
    """step_size eta of the policy, dual_step eta_2 of the multipliers (left out: `descent_ascent.matched_steps`)."""

    step_size: Any = None
    dual_step: Any = None
    name = "reload"

    def tuned(self, model: ConstrainedMDP, problem: Problem, iterations: int) -> OptimisticDescentAscent:
        return self.with_numbers(model, **matched_steps(model, problem, self.step_size))

    def step(self, state: State, seen: Seen, problem: Problem) -> State:
        pull = lagrangian(seen.action_values, state.multipliers)
        before_pull, before_excess = state.memory or (pull, seen.excess)
        params = state.params + self.step_size * (2 * pull - before_pull)
        multipliers = ascend_dual(state.multipliers, self.dual_step, 2 * seen.excess - before_excess)
        return State(params, multipliers, (pull, seen.excess))


def local_contraction(variance: float, step_size: float, dual_step: float) -> float:
    """By how much the distance to the saddle of a bandit with one constraint shrinks a step in the end; variance = Var_(pi*)(c).

    Below 1 iff eta eta_2 Var < 1/3.  raises ModelError: a step or the variance is not above 0"""
    for name, value in (("variance", variance), ("step_size", step_size), ("dual_step", dual_step)):
        if not value > 0:
            raise ModelError(f"{name} is {value}; it must be above 0")
    return optimistic_radius(float(np.sqrt(step_size * dual_step * variance)))


@dataclasses.dataclass(frozen=True)
class Paradox:
    """What a budget on one of two arms does: the optimum, its multiplier, and the two greedy policies with what is wrong with each.

    greedy   {arm: (gap, violation)}: never (0, 0) for a budget strictly between 0 and 1
    """

    optimum: Fraction
    policy: tuple[Fraction, Fraction]
    multiplier: Fraction
    greedy: dict[int, tuple[Fraction, Fraction]]


def paradox(budget: Any) -> Paradox:
    """The bandit r = c = (1, 0) under a budget in (0, 1), exactly.  raises ModelError: another budget"""
    from mdps.rational import fraction

    b = fraction(budget)
    if not 0 < b < 1:
        raise ModelError(f"the budget is {budget}; the paradox needs one strictly between 0 and 1")
    return Paradox(b, (b, 1 - b), Fraction(1), {0: (b - 1, 1 - b), 1: (b, Fraction(0))})
