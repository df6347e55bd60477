"""Exercises beyond the mean: the worst model of a ball, the mean of the worst outcomes, a budget to keep."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from mdps import strategies
from proofs_check.grading.judging import TOLERANCE, compare, distribution_error, plain
from proofs_check.grading.questions import Case, Check, Exercise

Array = np.ndarray
LESSON = "5 Robust, averse to risk, constrained"


def _numbers(draw: st.DrawFn, size: int, low: int, high: int) -> Array:
    return np.array([float(draw(strategies.fractions(low, high))) for _ in range(size)])


@st.composite
def _balls(draw: st.DrawFn) -> Case:
    from pgtheory.robust.polyhedral import worst_l1

    size = draw(st.integers(1, 4))
    p, v = draw(strategies.distributions(size)), _numbers(draw, size, -2, 2)
    radius = float(draw(st.sampled_from((0, 0.1, 0.5, 1, 2))))
    right = float(worst_l1(p, v, radius)[0])

    def judge(got: Any) -> str:
        wrong = distribution_error(got, p.shape)
        if wrong:
            return wrong
        distance = float(np.abs(got - p).sum())
        if distance > radius + TOLERANCE:
            return f"{plain(got)} is at the distance {distance:.6g} from p; the radius is {radius:g}"
        value = float(got @ v)
        return "" if value <= right + TOLERANCE else f"{plain(got)} has the mean {value:.6g}; {right:.6g} is possible within the radius"

    return Case((p, v, radius), (f"p = {plain(p)}", f"v = {plain(v)}", f"radius = {radius:g}"), judge)


@st.composite
def _tails(draw: st.DrawFn) -> Case:
    from pgtheory.risk.tail import cvar, var

    size = draw(st.integers(1, 5))
    p, x = draw(strategies.distributions(size)), _numbers(draw, size, -3, 3)
    level = float(draw(st.sampled_from((1, 0.5, 0.25, 0.1, 0.01))))
    right, quantile = float(cvar(p, x, level)), float(var(p, x, level))
    below = p * (x <= quantile)
    hints = {
        "the quantile itself is taken": np.array(quantile),
        "all outcomes up to the quantile are averaged, though the last one counts in part only": np.array(below @ x / below.sum()),
        "the best outcomes are averaged": np.array(-float(cvar(p, -x, level))),
        "the plain mean is taken": np.array(p @ x),
    }
    shown = (f"probabilities = {plain(p)}", f"outcomes = {plain(x)}", f"level = {level:g}")
    return Case((p, x, level), shown, lambda got: compare(got, np.array(right), hints))


@st.composite
def _budgets(draw: st.DrawFn) -> Case:
    from scipy.optimize import linprog

    size = draw(st.integers(1, 4))
    r, c = _numbers(draw, size, 0, 1), _numbers(draw, size, 0, 1)
    budget = float(min(1.0, c.min() + draw(st.sampled_from((0, 0.1, 0.25, 0.5)))))
    program = linprog(-r, A_ub=c[None], b_ub=[budget], A_eq=np.ones((1, size)), b_eq=[1], bounds=(0, 1))
    best = -float(program.fun)

    def judge(got: Any) -> str:
        wrong = distribution_error(got, r.shape)
        if wrong:
            return wrong
        if got @ c > budget + TOLERANCE:
            return f"{plain(got)} costs {float(got @ c):.6g}; the budget is {budget:g}"
        return "" if got @ r >= best - TOLERANCE else f"{plain(got)} earns {float(got @ r):.6g}; {best:.6g} is possible (it may take two arms)"

    return Case((r, c, budget), (f"rewards = {plain(r)}", f"costs = {plain(c)}", f"budget = {budget:g}"), judge)


EXERCISES = (
    Exercise(
        "worst-model",
        "The worst distribution in an L1 ball",
        LESSON,
        "Write worst(p, v, radius): a distribution q (n,) with sum |q - p| <= radius whose mean q . v is least.\n"
        "p (n,) probabilities; v (n,) values.",
        "import numpy as np\n\n\ndef worst(p, v, radius):\n    return p\n",
        (Check("least means over random balls", 5, "worst", _balls(), examples=80),),
    ),
    Exercise(
        "cvar",
        "The mean of the worst outcomes",
        LESSON,
        "Write cvar(probabilities, outcomes, level): the mean of the worst fraction `level` of the mass, level in (0, 1].\n"
        "An outcome may count in part.",
        "import numpy as np\n\n\ndef cvar(probabilities, outcomes, level):\n    return 0.0\n",
        (Check("CVaR of random laws", 4, "cvar", _tails(), examples=80),),
    ),
    Exercise(
        "budget",
        "The best mixture under a budget",
        LESSON,
        "Write mixture(rewards, costs, budget): a distribution (n,) over arms with mean cost at most `budget` and the largest mean reward.\n"
        "The budget is never below the smallest cost.",
        "import numpy as np\n\n\ndef mixture(rewards, costs, budget):\n    return np.ones(len(rewards)) / len(rewards)\n",
        (Check("optimal mixtures of random arms", 5, "mixture", _budgets(), examples=80),),
    ),
)
