"""Concave functions of an occupancy, by what they are for.

    explore   Entropy            -sum x log x                      not smooth: its gradient is unbounded at 0
              SmoothedEntropy    inside   -sum x log(x + sigma)                L = 2 / sigma       (second derivative at 0)
                                 both     -sum (x + sigma) log(x + sigma)      L = 1 / sigma
                                 log      sum log(x + sigma)                   L = 1 / sigma^2
    imitate   SquaredDistance    -|x - nu|^2 / 2                               L = 1
              KLDistance         -sum x log(x / nu),  or forward  sum nu log(x / nu)
              L1Distance         -sum |x - nu|                     concave, with corners
    trade     Linear             <c, x>
              Quadratic          <c, x> - x' Q x / 2,  Q >= 0 on the directions that sum to 0          L = largest eigenvalue of Q
              PowerSum           sum w_i x_i^p, 0 < p < 1;   LogSum  sum w_i log x_i

Functions of several rewards are in `objectives`, a user's own in `user`.  Every constant is checked by second differences in the tests.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

import numpy as np

from mdps.errors import ModelError
from mdps.rational import rational_array
from pgtheory.utility.base import FLOOR, Over, Program, Utility, check_over, floats_of, is_float, log_products, numbers, positive, shaped

Array = np.ndarray
ROUNDING = 1e-12
"""Eigenvalues and asymmetries up to this share of the largest entry (or of 1) are rounding."""
FORBIDDEN = -1e3
"""Reward of a pair that a target forbids, in tangents: low enough that a visit does not pay, not so low that other rewards lose their digits."""


@dataclasses.dataclass(frozen=True, eq=False)
class Linear(Utility):
    """The ordinary objective <c, x>: c (S, A) or (S,)."""

    weights: Any
    over: Over = "pairs"
    name = "linear"

    def __post_init__(self) -> None:
        check_over(self.over)
        object.__setattr__(self, "weights", numbers(self.weights, "weights"))

    def check(self, shape: tuple[int, int]) -> None:
        _fits(self, "weights", shape)

    def of(self, x: Array) -> Any:
        return (self.slope(x) * x).sum()

    def slope(self, x: Array) -> Array:
        return _like(self.weights, x)

    @property
    def smoothness(self) -> float:
        return 0.0

    def slope_range(self, size: int) -> float:
        return float(np.ptp(floats_of(self.weights)))

    def program(self, cp: Any, x: Any) -> Program:
        return Program(floats_of(self.weights).reshape(-1) @ x)


@dataclasses.dataclass(frozen=True, eq=False)
class Entropy(Utility):
    """-sum x log x, between 0 and log n: pure exploration (Hazan, Kakade, Singh and Van Soest 2019)."""

    over: Over = "states"
    name = "entropy"
    floor = FLOOR

    def __post_init__(self) -> None:
        check_over(self.over)

    def of(self, x: Array) -> Any:
        return -log_products(x, x)

    def slope(self, x: Array) -> Array:
        if not is_float(x):
            raise ModelError("the gradient of the entropy is irrational; take floats")
        with np.errstate(divide="ignore"):
            return -np.log(x) - 1

    def program(self, cp: Any, x: Any) -> Program:
        return Program(cp.sum(cp.entr(x)))


@dataclasses.dataclass(frozen=True, eq=False)
class SmoothedEntropy(Utility):
    """An entropy whose gradient is Lipschitz: sigma inside the logarithm, in both factors, or the logarithm alone.

    inside  -sum x log(x + sigma)              second derivative -(1/(x + sigma) + sigma/(x + sigma)^2), at 0: -2 / sigma
    both    -sum (x + sigma) log(x + sigma)    second derivative -1/(x + sigma), at 0: -1 / sigma
    log     sum log(x + sigma)                 second derivative -1/(x + sigma)^2, at 0: -1 / sigma^2
    """

    sigma: float
    form: Literal["inside", "both", "log"] = "inside"
    over: Over = "states"
    name = "smoothed-entropy"

    def __post_init__(self) -> None:
        check_over(self.over)
        positive(self.sigma, "sigma")
        if self.form not in ("inside", "both", "log"):
            raise ModelError(f"form is {self.form!r}; it is inside, both or log")

    def of(self, x: Array) -> Any:
        y = x + self.sigma
        if self.form == "log":
            return log_products(y * 0 + 1, y)
        return -log_products(x if self.form == "inside" else y, y)

    def slope(self, x: Array) -> Array:
        y = x + self.sigma
        if self.form == "log":
            return 1 / y
        return -np.log(y) - (x / y if self.form == "inside" else 1)

    @property
    def smoothness(self) -> float:
        return {"inside": 2 / self.sigma, "both": 1 / self.sigma, "log": 1 / self.sigma**2}[self.form]

    def slope_range(self, size: int) -> float:
        """The derivative falls in x: the range is that between x = 0 and x = 1."""
        ends = self.slope(np.array([0.0, 1.0]))
        return float(ends[0] - ends[1])

    def program(self, cp: Any, x: Any) -> Program:
        y = x + self.sigma
        if self.form == "log":
            return Program(cp.sum(cp.log(y)))
        if self.form == "both":
            return Program(cp.sum(cp.entr(y)))
        return Program(cp.sum(cp.entr(y) + self.sigma * cp.log(y)))  # -x log y = -y log y + sigma log y


@dataclasses.dataclass(frozen=True, eq=False)
class _ToTarget(Utility):
    """A distance to a target nu: (S, A) for pairs, (S,) for states; it need not be an occupancy of the model, nor sum to 1."""

    target: Any
    over: Over = "pairs"

    def __post_init__(self) -> None:
        check_over(self.over)
        object.__setattr__(self, "target", numbers(self.target, "target"))

    def check(self, shape: tuple[int, int]) -> None:
        _fits(self, "target", shape)

    def _nu(self, x: Array) -> Array:
        return _like(self.target, x)


@dataclasses.dataclass(frozen=True, eq=False)
class SquaredDistance(_ToTarget):
    """-|x - nu|^2 / 2: smooth with constant 1."""

    name = "squared-distance"

    def of(self, x: Array) -> Any:
        return -((x - self._nu(x)) ** 2).sum() / 2

    def slope(self, x: Array) -> Array:
        return self._nu(x) - x

    @property
    def smoothness(self) -> float:
        return 1.0

    def slope_range(self, size: int) -> float:
        return 1.0 + float(np.ptp(floats_of(self.target)))

    def program(self, cp: Any, x: Any) -> Program:
        return Program(-cp.sum_squares(x - floats_of(self.target).reshape(-1)) / 2)


@dataclasses.dataclass(frozen=True, eq=False)
class KLDistance(_ToTarget):
    """-KL(x || nu) = -sum x log(x / nu);  forward: -KL(nu || x) = sum nu log(x / nu).

    The first needs nu > 0 wherever the model can go (an entry 0 is a pair that may not be visited); the second visits all that nu has."""

    forward: bool = False
    name = "kl-distance"
    floor = FLOOR

    def __post_init__(self) -> None:
        super().__post_init__()
        flat = floats_of(self.target).reshape(-1)
        if np.any(flat < 0):
            k = int(np.flatnonzero(flat < 0)[0])
            raise ModelError(f"target[{k}] is {flat[k]}; a KL distance needs a target that is at least 0")

    def of(self, x: Array) -> Any:
        nu = self._nu(x)
        if self.forward:
            return log_products(nu, x) - log_products(nu, nu)
        if is_float(x) and np.any((nu <= 0) & (x > 0)):
            return -math.inf
        return log_products(x, nu) - log_products(x, x)

    def slope(self, x: Array) -> Array:
        nu = self._nu(x)
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.forward:
                return np.where(nu > 0, nu / x, 0.0)
            return np.log(nu) - np.log(x) - 1

    def program(self, cp: Any, x: Any) -> Program:
        nu = floats_of(self.target).reshape(-1)
        seen = np.flatnonzero(nu > 0)
        if self.forward:
            return Program(nu[seen] @ cp.log(x[seen]) - float(nu[seen] @ np.log(nu[seen])))
        absent = np.flatnonzero(nu == 0)
        return Program(cp.sum(cp.entr(x[seen])) + np.log(nu[seen]) @ x[seen], (x[absent] == 0,) if absent.size else ())

    def tangent(self, occupancy: Array, slope: Array | None = None) -> tuple[float, Array]:
        """Pairs that nu forbids get a reward so low that no visit pays: F is minus infinity there, and any figure is a bound."""
        if self.forward or slope is not None:
            return super().tangent(occupancy, slope)
        nu = floats_of(self.target).reshape(-1)
        x = np.maximum(self.point(occupancy).astype(float), np.where(nu > 0, FLOOR, 0.0))
        seen = nu > 0
        g = np.full(x.size, FORBIDDEN)
        g[seen] = np.log(nu[seen] / x[seen]) - 1
        return float(x[seen].sum()), self.reward(g, np.shape(occupancy))  # F(x) - <g, x> over the pairs with nu > 0 is sum x


@dataclasses.dataclass(frozen=True, eq=False)
class L1Distance(_ToTarget):
    """-sum |x - nu| = minus twice the total variation for two laws; concave with corners: the certificate takes the program's own multipliers."""

    name = "l1-distance"

    def of(self, x: Array) -> Any:
        return -abs(x - self._nu(x)).sum()

    def slope(self, x: Array) -> Array:
        return np.sign(self._nu(x) - x)

    def slope_range(self, size: int) -> float:
        return 2.0

    def program(self, cp: Any, x: Any) -> Program:
        nu = floats_of(self.target).reshape(-1)
        far = cp.Variable(nu.size)
        above, below = far >= x - nu, far >= nu - x
        return Program(-cp.sum(far), (above, below), lambda: np.clip(below.dual_value - above.dual_value, -1, 1))

    def tangent(self, occupancy: Array, slope: Array | None = None) -> tuple[float, Array]:
        """-|x - nu|_1 = min over |z| <= 1 of <z, x - nu>: every such z bounds it."""
        g = self.slope(self.point(occupancy)) if slope is None else np.clip(slope, -1, 1)
        return -float(g @ floats_of(self.target).reshape(-1)), self.reward(g, np.shape(occupancy))


@dataclasses.dataclass(frozen=True, eq=False)
class Quadratic(Utility):
    """<c, x> - x' Q x / 2 with Q (n, n), or one number q for q times the identity; c and Q in the order of the flattened pairs (or of the states).

    Q need only be positive semidefinite on directions that sum to 0: x has sum 1.  ModelError names the direction in which it is not."""

    linear: Any
    matrix: Any = 1
    over: Over = "pairs"
    name = "quadratic"

    def __post_init__(self) -> None:
        check_over(self.over)
        c = numbers(self.linear, "linear").reshape(-1)
        Q = numbers(self.matrix, "matrix")
        if not (is_float(c) and is_float(Q)):
            c, Q = rational_array(c), rational_array(Q)
        if Q.ndim == 0:
            Q = Q[()] * np.eye(c.size, dtype=int)
        if Q.shape != (c.size, c.size):
            raise ModelError(f"matrix has shape {Q.shape}; linear has {c.size} entries, so it must be ({c.size}, {c.size})")
        skew = np.abs(floats_of(Q) - floats_of(Q).T)
        if np.any(skew > ROUNDING * max(1.0, float(np.abs(floats_of(Q)).max()))):
            i, j = (int(k) for k in np.unravel_index(int(skew.argmax()), skew.shape))
            raise ModelError(f"matrix[{i}, {j}] is {Q[i, j]} and matrix[{j}, {i}] is {Q[j, i]}; it must be symmetric")
        size, direction = _lowest(floats_of(Q))
        if size < -ROUNDING * max(1.0, float(np.abs(floats_of(Q)).max())):
            figures = ", ".join(f"{v:.3g}" for v in direction[:8]) + (", ..." if direction.size > 8 else "")
            raise ModelError(f"the quadratic utility is not concave: along ({figures}), which sums to 0, x'Qx is {size:.3g} per unit length")
        object.__setattr__(self, "linear", c)
        object.__setattr__(self, "matrix", Q)

    def check(self, shape: tuple[int, int]) -> None:
        _fits(self, "linear", shape)

    def of(self, x: Array) -> Any:
        c, Q = _like(self.linear, x), _like_table(self.matrix, x)
        return (c * x).sum() - (x * (Q @ x)).sum() / 2

    def slope(self, x: Array) -> Array:
        return _like(self.linear, x) - _like_table(self.matrix, x) @ x

    @property
    def smoothness(self) -> float:
        """|Q|_2, on the directions that sum to 0: the others do not occur between two points of a simplex."""
        size = self.linear.size
        inner = np.eye(size) - np.full((size, size), 1 / size)
        return float(np.linalg.norm(inner @ floats_of(self.matrix) @ inner, 2))

    @property
    def free_smoothness(self) -> float:
        """|Q|_2 on all directions."""
        return float(np.linalg.norm(floats_of(self.matrix), 2))

    def check_free(self) -> None:
        Q = floats_of(self.matrix)
        least = float(np.linalg.eigvalsh(Q)[0])
        if least < -ROUNDING * max(1.0, float(np.abs(Q).max())):
            raise ModelError(f"the quadratic utility is concave only where the sum is fixed: the least eigenvalue of its matrix is {least:.3g}")

    def slope_range(self, size: int) -> float:
        """Linear in x: attained at a vertex."""
        return float(np.max(np.ptp(floats_of(self.linear)[:, None] - floats_of(self.matrix), axis=0)))

    def program(self, cp: Any, x: Any) -> Program:
        Q = floats_of(self.matrix)
        # x sums to 1, so x' (Q + k 1 1') x = x' Q x + k: a k that makes the matrix positive semidefinite also where x never goes
        k = _fill(Q)
        return Program(floats_of(self.linear) @ x - cp.quad_form(x, cp.psd_wrap(Q + k)) / 2 + k / 2)


@dataclasses.dataclass(frozen=True, eq=False)
class PowerSum(Utility):
    """sum w_i x_i^p with w >= 0, 0 < p < 1: diminishing returns."""

    weights: Any
    power: Any = 0.5
    over: Over = "pairs"
    name = "power-sum"
    floor = FLOOR

    def __post_init__(self) -> None:
        _weighted(self)
        if not 0 < float(self.power) < 1:
            raise ModelError(f"power is {self.power}; it must be in (0, 1): above 1 the utility is convex")

    def check(self, shape: tuple[int, int]) -> None:
        _fits(self, "weights", shape)

    def of(self, x: Array) -> Any:
        return float(np.sum(floats_of(self.weights).reshape(-1) * np.maximum(x, 0) ** float(self.power)))

    def slope(self, x: Array) -> Array:
        w = floats_of(self.weights).reshape(-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(w > 0, w * float(self.power) * x ** (float(self.power) - 1), 0.0)

    def program(self, cp: Any, x: Any) -> Program:
        w = floats_of(self.weights).reshape(-1)
        used = np.flatnonzero(w > 0)
        return Program(w[used] @ cp.power(x[used], float(self.power)))


@dataclasses.dataclass(frozen=True, eq=False)
class LogSum(Utility):
    """sum w_i log x_i with w >= 0, not all 0: a share for everyone; with w a law, minus KL(w || x) up to a constant."""

    weights: Any
    over: Over = "pairs"
    name = "log-sum"
    floor = FLOOR

    def __post_init__(self) -> None:
        _weighted(self)

    def check(self, shape: tuple[int, int]) -> None:
        _fits(self, "weights", shape)

    def of(self, x: Array) -> Any:
        return log_products(_like(self.weights, x), x)

    def slope(self, x: Array) -> Array:
        w = floats_of(self.weights).reshape(-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(w > 0, w / x, 0.0)

    def program(self, cp: Any, x: Any) -> Program:
        w = floats_of(self.weights).reshape(-1)
        used = np.flatnonzero(w > 0)
        return Program(w[used] @ cp.log(x[used]))


def _weighted(utility: Any) -> None:
    check_over(utility.over)
    w = numbers(utility.weights, "weights")
    flat = floats_of(w).reshape(-1)
    if np.any(flat < 0):
        k = int(np.flatnonzero(flat < 0)[0])
        raise ModelError(f"weights[{k}] is {flat[k]}; the utility is concave for weights that are at least 0")
    if not np.any(flat > 0):
        raise ModelError(f"weights are all 0; a {utility.name} utility needs one above 0")
    object.__setattr__(utility, "weights", w)


def _fits(utility: Any, field: str, shape: tuple[int, int]) -> None:
    if utility.over == "states":
        shaped(getattr(utility, field), (shape[0],), field, "one figure a state")
    else:
        shaped(getattr(utility, field), shape, field, "one figure for each state and action")


def _like(values: Array, x: Array) -> Array:
    """The parameters flat, in the arithmetic of x."""
    flat = np.asarray(values).reshape(-1)
    return floats_of(flat) if is_float(x) else flat


def _like_table(values: Array, x: Array) -> Array:
    return floats_of(values) if is_float(x) else values


def _lowest(Q: Array) -> tuple[float, Array]:
    """The least eigenvalue of Q on the directions that sum to 0, and its unit direction; (0, ...) if there is one entry only."""
    size = len(Q)
    if size == 1:
        return 0.0, np.zeros(1)
    basis = np.linalg.svd(np.ones((1, size)))[2][1:]
    values, vectors = np.linalg.eigh(basis @ Q @ basis.T)
    return float(values[0]), basis.T @ vectors[:, 0]


def _fill(Q: Array) -> float:
    """A multiple of the matrix of ones that makes Q positive semidefinite everywhere, where it is so on the directions that sum to 0: 0 if it is."""
    if np.linalg.eigvalsh(Q)[0] >= -ROUNDING * max(1.0, float(np.abs(Q).max())):
        return 0.0
    k = float(np.abs(Q).sum())
    while np.linalg.eigvalsh(Q + k)[0] < -1e-12 * k and k < 1e12:
        k *= 8
    return k
