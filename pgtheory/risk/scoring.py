"""Convex scoring functions: risk measures of COSTS of the form  rho(X) = min_v E f(X, v).

    variance    f = (x - v)^2                            v* = E X                     rho = Var X
    mean-variance  f = x + w (x - v)^2                   v* = E X                     rho = E X + w Var X
    CVaR        f = v + (x - v)_+ / a                    v* = upper a-quantile        rho = mean of the largest fraction a
    entropic    f = v + (e^{b (x - v)} - 1) / b          v* = (1/b) log E e^{b X}     rho = v*

The law enters linearly for a fixed v, so that the risk of a sequential decision problem is a minimum over v of ordinary expected costs, each of
them a decision problem on (state, accumulated cost), and so that the derivative of v* never enters a gradient (envelope theorem).

Costs: large outcomes are bad.  For rewards take `-measure(p, -rewards)`; `pgtheory.risk.measures` does so under the names of the measures.
Array code over leading batch dimensions: float64, rationals (not the entropic one), balls.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mdps.errors import ModelError
from pgtheory.arithmetic import exp
from pgtheory.risk.exponential import check_beta, entropic
from pgtheory.risk.tail import _alike, _apart, _is, _number, check_level, positive, var

Array = np.ndarray


@dataclass(frozen=True)
class Scoring(abc.ABC):
    """Base: `score(x, v)`, convex in v, and `best(p, x)`, a minimiser of E f(X, v)."""

    name: ClassVar[str]

    @abc.abstractmethod
    def score(self, costs: Any, v: Any) -> Array:
        """f(x, v), entry by entry: costs (..., n), v (...) or (..., 1) as numpy broadcasts them."""

    @abc.abstractmethod
    def best(self, probabilities: Any, costs: Any) -> Array:
        """(...,) a v that minimises E f(X, v)."""

    def expected(self, probabilities: Any, costs: Any, v: Any) -> Array:
        """(...,) E f(X, v) for v (...,)."""
        p, x = _alike(probabilities, costs)
        return (p * self.score(x, _apart(np.asarray(_number(v, p))) if np.ndim(v) else _number(v, p))).sum(axis=-1)

    def value(self, probabilities: Any, costs: Any) -> Array:
        """(...,) rho(X) = E f(X, v*)."""
        return self.expected(probabilities, costs, self.best(probabilities, costs))


@dataclass(frozen=True)
class MeanVariance(Scoring):
    """E X + weight Var X of a cost (mean=False: weight Var X alone); weight >= 0."""

    weight: Any = 1
    mean: bool = True
    name = "mean-variance"

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", check_weight(self.weight, "the weight of the variance"))

    def score(self, costs: Any, v: Any) -> Array:
        x = np.asarray(costs)
        spread = _number(self.weight, x) * (x - v) * (x - v)
        return x + spread if self.mean else spread

    def best(self, probabilities: Any, costs: Any) -> Array:
        p, x = _alike(probabilities, costs)
        return (p * x).sum(axis=-1)


def variance() -> MeanVariance:
    """f = (x - v)^2: the variance."""
    return MeanVariance(1, mean=False)


@dataclass(frozen=True)
class TailScore(Scoring):
    """f = v + (x - v)_+ / level: CVaR of the largest costs; 0 < level <= 1."""

    level: Any
    name = "cvar"

    def __post_init__(self) -> None:
        level = check_level(self.level)
        if level == 0:
            raise ModelError("the risk level is 0; the scoring function of CVaR divides by it: take a level in (0, 1]")
        object.__setattr__(self, "level", level)

    def score(self, costs: Any, v: Any) -> Array:
        x = np.asarray(costs)
        return v + positive(x - v) / _number(self.level, x)

    def best(self, probabilities: Any, costs: Any) -> Array:
        """Every minimiser is an upper quantile; this one is the largest, -VaR of -X."""
        p, x = _alike(probabilities, costs)
        return -var(p, -x, self.level)


@dataclass(frozen=True)
class EntropicScore(Scoring):
    """f = v + (e^{beta (x - v)} - 1) / beta, beta > 0: the entropic risk of a cost."""

    beta: Any
    name = "entropic"

    def __post_init__(self) -> None:
        beta = check_beta(self.beta)
        if beta == 0 or beta == float("inf"):
            raise ModelError(f"beta is {beta}; the entropic scoring function takes a number above 0 (the limit at 0 is the mean)")
        object.__setattr__(self, "beta", beta)

    def score(self, costs: Any, v: Any) -> Array:
        x = np.asarray(costs)
        b = _number(self.beta, x)
        return v + (exp((x - v) * b) - 1) / b

    def best(self, probabilities: Any, costs: Any) -> Array:
        p, x = _alike(probabilities, costs)
        return -entropic(p, -x, self.beta)


def alternate(scoring: Scoring, laws: Any, costs: Any, v: Any, rounds: int = 100) -> tuple[list[int], list[Any]]:
    """Alternating minimisation of E_k f(X, v) over the choice k of a law and v: monotone, and not always optimal (claim convex-scoring-two-stage).

    laws, costs   (K, n): law k of the outcomes of choice k;  v: the first v
    returns       (choices, values): the choice of every round, E f after it; ends when the choice repeats and v no longer moves
    """
    p, x = _alike(laws, costs)
    v = _number(v, p)
    choices: list[int] = []
    values: list[Any] = []
    for _ in range(rounds):
        expected = scoring.expected(p, x, v)
        k = int(np.argmin(expected))
        choices.append(k)
        new = scoring.best(p[k], x[k])
        if bool(_is(scoring.expected(p[k], x[k], new) - expected[k], 0)):
            new = v  # v is a minimiser already
        values.append(scoring.expected(p[k], x[k], new))
        if len(choices) > 1 and choices[-2] == k and new == v:
            break
        v = new
    return choices, values


def check_weight(value: Any, what: str, largest: Any = None) -> Any:
    """A number >= 0 (at most `largest`), text read exactly; raises ModelError with the figure."""
    from pgtheory.risk.tail import _exact

    number = _exact(value, what) if not isinstance(value, float) else value
    if not number >= 0 or (largest is not None and number > largest) or number == float("inf"):
        raise ModelError(f"{what} is {value}; it must be a number {'>= 0' if largest is None else f'in [0, {largest}]'}")
    return number
