"""A utility: a concave function F of the discounted occupancy d, instead of the sum of rewards <d, r>.

    maximise F(d)   over   d >= 0,   sum_a d(s, a) - gamma sum P(s | s', a') d(s', a') = (1 - gamma) rho(s)

The occupancies d (S, A) are normalised to 1, and so is every optimum of this package.  A utility looks at x, which is d itself (`over="pairs"`) or
the law of the states x(s) = sum_a d(s, a) (`over="states"`); both live on a simplex, whose diameter squared is 2.  `smoothness` is the Lipschitz
constant of the gradient in the Euclidean norm of x, infinite where there is none; `slope_range` bounds max_i g_i - min_i g_i of the gradients g on
the simplex: adding a constant to a reward changes nothing, so only this range counts.

The first-order upper bound that certifies an optimum: a concave F lies below each of its tangents,

    F(d) <= c + <g, d>   with g a supergradient at any x >= 0,     so   max F <= c + (1 - gamma) V*_g(rho),

the optimal value of an ordinary decision problem with the frozen reward g, which `pgtheory.solve` encloses.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from typing import Any, Literal

import numpy as np

from mdps.errors import ModelError, nearest
from mdps.rational import to_float
from pgtheory import arithmetic

Array = np.ndarray
Over = Literal["pairs", "states"]
FLOOR = 1e-12
"""Where functions with logarithms take their tangents at least: there is none at 0, and one at any other point is an upper bound as well."""


@dataclasses.dataclass(frozen=True)
class Program:
    """What a conic program maximises: a concave cvxpy expression, the constraints that belong to it, and how its answer gives a supergradient."""

    expression: Any
    constraints: tuple[Any, ...] = ()
    slope: Any = None
    """() -> supergradient (n,) after the solve, where the gradient does not exist (None: take the gradient); what `tangent` takes as `slope`."""


class Utility(abc.ABC):
    """Base: `of` and `slope` see x (n,), flat; `value` and `gradient` see the occupancy (S, A) and return a figure and a frozen reward (S, A)."""

    over: Over = "pairs"
    name: str = "utility"
    floor: float = 0.0
    """Tangents are taken at max(x, floor): above 0 where the gradient is infinite at the boundary (and F concave on all positive x)."""

    @abc.abstractmethod
    def of(self, x: Array) -> Any:
        """F as a function of x (n,); float64, and balls or rationals where the function leaves them alone."""

    @abc.abstractmethod
    def slope(self, x: Array) -> Array:
        """A supergradient (n,) at x: the gradient where there is one."""

    @property
    def smoothness(self) -> float:
        """Lipschitz constant of the gradient in the Euclidean norm of x; infinite where there is none."""
        return math.inf

    @property
    def free_smoothness(self) -> float:
        """The same constant for arguments that need not sum to 1, such as features of an occupancy."""
        return self.smoothness

    def check_free(self) -> None:
        """ModelError where F is concave only between points of the same sum."""
        return

    def slope_range(self, size: int) -> float:
        """A bound on max_i g_i - min_i g_i for the gradients g at the points of the simplex of this size; infinite where there is none."""
        return math.inf

    def program(self, cp: Any, x: Any) -> Program:
        """The conic form in the cvxpy vector x; raises ModelError where there is none."""
        raise ModelError(f"utility {self.name} has no conic form; Frank-Wolfe (pgtheory.utility.frank_wolfe) maximises it with the same certificate")

    def size(self, shape: tuple[int, int]) -> int:
        """Length of x for a model of `shape` (S, A)."""
        return shape[0] if self.over == "states" else shape[0] * shape[1]

    def check(self, shape: tuple[int, int]) -> None:
        """ModelError where the utility's own arrays do not fit a model of `shape`; a utility without arrays fits all."""
        return

    def point(self, occupancy: Array) -> Array:
        """x (n,) of an occupancy (S, A)."""
        table = np.asarray(occupancy)
        if table.ndim != 2:
            raise ModelError(f"occupancy has shape {table.shape}; it must be (S, A)")
        return table.sum(axis=1) if self.over == "states" else table.reshape(-1)

    def value(self, occupancy: Array) -> Any:
        """F(d) of an occupancy (S, A)."""
        found = self.of(self.point(occupancy))
        return float(found) if isinstance(found, np.floating) else found

    def gradient(self, occupancy: Array) -> Array:
        """(S, A) the gradient of F at an occupancy: the reward that policy gradients freeze."""
        return self.reward(self.slope(self.point(occupancy)), np.shape(occupancy))

    def reward(self, slope: Array, shape: tuple[int, ...]) -> Array:
        """A vector (n,) like x as a reward (S, A)."""
        if self.over == "pairs":
            return np.asarray(slope).reshape(shape)
        return np.repeat(np.asarray(slope)[:, None], shape[1], axis=1)

    def tangent(self, occupancy: Array, slope: Array | None = None) -> tuple[float, Array]:
        """(c, reward (S, A)) with F(d') <= c + <reward, d'> for every occupancy d', from the gradient at the given one.

        slope   a supergradient (n,) of the utility at that occupancy, where the gradient does not exist"""
        x = np.maximum(self.point(occupancy).astype(float), self.floor if slope is None else 0.0)
        g = self.slope(x) if slope is None else np.asarray(slope, dtype=float)
        return float(self.of(x) - g @ x), self.reward(g, np.shape(occupancy))


def shaped(values: Any, shape: tuple[int, ...], what: str, meaning: str) -> Array:
    """`values` with the shape that a model asks for, flat; ModelError names both shapes."""
    table = np.asarray(values)
    if table.shape != shape and table.shape != (int(np.prod(shape)),):
        raise ModelError(f"{what} has shape {table.shape}; this model takes {shape}, {meaning}")
    return table.reshape(-1)


def numbers(values: Any, what: str) -> Array:
    """Finite float64, or an object array of rationals as it is; ModelError names the entry."""
    table = np.asarray(values)
    if table.dtype == object and arithmetic.kind(table) in ("rational", "ball"):
        return table
    floats = to_float(table) if table.dtype.kind in "OUS" else table.astype(float)
    if not np.all(np.isfinite(floats)):
        where = tuple(int(k) for k in np.argwhere(~np.isfinite(floats))[0])
        raise ModelError(f"{what}[{', '.join(map(str, where))}] is {floats[where]}; it must be a finite number")
    return floats


def floats_of(values: Array) -> Array:
    """Rationals as float64; floats as they are."""
    table = np.asarray(values)
    return to_float(table) if table.dtype == object else table.astype(float)


def is_float(values: Array) -> bool:
    """Whether an array holds float64."""
    return np.asarray(values).dtype != object


def log_products(weights: Any, x: Array) -> Any:
    """sum_i weights_i log x_i with 0 log 0 = 0; floats, and balls (rationals become balls)."""
    if is_float(x) and is_float(weights):
        used = np.asarray(weights) != 0
        with np.errstate(divide="ignore"):
            return float(np.sum(np.asarray(weights)[used] * np.log(np.asarray(x)[used])))
    from flint import arb

    total = arb(0)
    for w, y in zip(np.ravel(weights).tolist(), np.ravel(x).tolist(), strict=True):
        if w != 0:
            total += arb(w) * arb(y).log()
    return total


def check_over(over: str) -> None:
    """ModelError unless it is "pairs" or "states"."""
    if over not in ("pairs", "states"):
        raise ModelError(f"over is {over!r}; a utility looks at 'pairs' or 'states'.{nearest(over, ['pairs', 'states'])}")


def positive(value: float, what: str) -> None:
    """ModelError unless value > 0 and finite."""
    if not (value > 0 and math.isfinite(value)):
        raise ModelError(f"{what} is {value}; it must be a positive number")
