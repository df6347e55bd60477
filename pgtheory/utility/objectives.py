"""Utilities of several rewards at once: J_i = <d, r_i>, i = 1 .. m, normalised to one step (multiply by 1 / (1 - gamma) for a discounted sum).

    Worst           min_i J_i                                   concave with corners: the certificate takes the program's own weights
    SoftWorst       -(1/beta) log sum_i p_i exp(-beta J_i)      smooth risk over scenarios: one of m rewards will count, i with probability p_i
                    L = beta max_{i,j} |r_i - r_j|^2 / 4        its Hessian is -beta Cov_q(r), q_i ~ p_i exp(-beta J_i); a variable of range w
                                                                has variance at most w^2 / 4
    Nash            sum_i w_i log J_i                           the product of the J_i^w_i, for J > 0
    LogDet          log det sum d(s, a) phi(s, a) phi(s, a)'    D-optimal experiments: an information matrix as spread as it can be
    OfFeatures      f(Phi' d) for a utility f of k features     see `features` for its use in large models

Aversion to the risk of the lottery that d itself is (minus the variance of r under d, or its CVaR) is convex in d, not concave: randomising never
helps it, and `pgtheory.utility.user.check_concave` shows where it is not concave.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from mdps.errors import ModelError
from pgtheory import arithmetic
from pgtheory.utility.base import FLOOR, Over, Program, Utility, check_over, floats_of, is_float, log_products, numbers, positive, shaped

Array = np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class _Rewards(Utility):
    """rewards (m, S, A), or (m, S) for over="states"."""

    rewards: Any
    over: Over = "pairs"

    def __post_init__(self) -> None:
        check_over(self.over)
        table = numbers(self.rewards, "rewards")
        if table.ndim < 2 or len(table) == 0:
            raise ModelError(f"rewards has shape {table.shape}; it must be (m, S, A), one reward for each of m objectives")
        object.__setattr__(self, "rewards", table.reshape(len(table), -1))

    def check(self, shape: tuple[int, int]) -> None:
        wanted = (shape[0],) if self.over == "states" else shape
        for k, reward in enumerate(self.rewards):
            shaped(reward, (int(np.prod(wanted)),), f"rewards[{k}]", "flattened")

    def table(self, x: Array) -> Array:
        """(m, n) in the arithmetic of x."""
        return floats_of(self.rewards) if is_float(x) else self.rewards

    def objectives(self, x: Array) -> Array:
        """(m,) J_i = <x, r_i>."""
        return self.table(x) @ x

    def slope_range(self, size: int) -> float:
        """Gradients are mixtures of the rewards: the largest range of one of them."""
        return float(np.max(np.ptp(floats_of(self.rewards), axis=1)))


@dataclasses.dataclass(frozen=True, eq=False)
class Worst(_Rewards):
    """min_i <d, r_i>: fairness among objectives, or a reward that an adversary picks."""

    name = "worst"

    def of(self, x: Array) -> Any:
        return arithmetic.minimum(self.objectives(x))

    def slope(self, x: Array) -> Array:
        return self.table(x)[int(np.argmin(floats_of(self.objectives(x))))]

    def program(self, cp: Any, x: Any) -> Program:
        R = floats_of(self.rewards)
        least = cp.Variable()
        bound = R @ x >= least

        def slope() -> Array:
            weights = np.maximum(np.asarray(bound.dual_value), 0.0)
            return weights / weights.sum() @ R if weights.sum() > 0 else self.slope(np.asarray(x.value))

        return Program(least, (bound,), slope)

    def tangent(self, occupancy: Array, slope: Array | None = None) -> tuple[float, Array]:
        """min_i J_i <= sum_i w_i J_i for every law w: the constant is 0."""
        g = self.slope(self.point(occupancy)) if slope is None else slope
        return 0.0, self.reward(g, np.shape(occupancy))


@dataclasses.dataclass(frozen=True, eq=False)
class SoftWorst(_Rewards):
    """-(1/beta) log sum_i p_i exp(-beta J_i): between the mean over scenarios (beta -> 0) and the worst of them."""

    beta: float = 1.0
    chances: Any = None
    name = "soft-worst"

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self.beta, "beta")
        m = len(self.rewards)
        p = np.full(m, 1 / m) if self.chances is None else floats_of(numbers(self.chances, "chances"))
        if p.shape != (m,) or np.any(p <= 0) or abs(p.sum() - 1) > 1e-9:
            raise ModelError(f"chances are {p.tolist()}; they must be {m} positive numbers with sum 1, one for each reward")
        object.__setattr__(self, "chances", p)

    def of(self, x: Array) -> Any:
        J = self.objectives(x)
        if is_float(x):
            low = J.min()
            return float(low - math.log(float(self.chances @ np.exp(-self.beta * (J - low)))) / self.beta)
        from flint import arb

        total = sum((arb(p) * (-arb(self.beta) * arb(j)).exp() for p, j in zip(self.chances, J, strict=True)), arb(0))
        return -total.log() / arb(self.beta)

    def mixture(self, x: Array) -> Array:
        """(m,) the law q of the scenarios that the gradient looks at."""
        J = self.objectives(x)
        q = self.chances * np.exp(-self.beta * (J - J.min()))
        return q / q.sum()

    def slope(self, x: Array) -> Array:
        return self.mixture(x) @ floats_of(self.rewards)

    @property
    def smoothness(self) -> float:
        R = floats_of(self.rewards)
        return self.beta * float(np.max(np.sum((R[:, None] - R[None]) ** 2, axis=-1))) / 4

    def program(self, cp: Any, x: Any) -> Program:
        return Program(-cp.log_sum_exp(-self.beta * (floats_of(self.rewards) @ x) + np.log(self.chances)) / self.beta)


@dataclasses.dataclass(frozen=True, eq=False)
class Nash(_Rewards):
    """sum_i w_i log <d, r_i>: maximal where the product of the J_i^w_i is; rewards must be at least 0."""

    weights: Any = None
    name = "nash"
    floor = FLOOR

    def __post_init__(self) -> None:
        super().__post_init__()
        m = len(self.rewards)
        w = np.ones(m) if self.weights is None else floats_of(numbers(self.weights, "weights"))
        if w.shape != (m,) or np.any(w <= 0):
            raise ModelError(f"weights are {w.tolist()}; they must be {m} positive numbers, one for each reward")
        low = floats_of(self.rewards)
        if np.any(low < 0):
            i, k = (int(j) for j in np.argwhere(low < 0)[0])
            raise ModelError(f"rewards[{i}] has the entry {low[i, k]} at place {k}; a product of values needs rewards that are at least 0")
        if np.any(low.max(axis=1) == 0):
            raise ModelError(f"rewards[{int(np.argmin(low.max(axis=1)))}] is 0 everywhere; the product is 0 whatever is done")
        object.__setattr__(self, "weights", w)

    def of(self, x: Array) -> Any:
        return log_products(self.weights, self.objectives(x))

    def slope(self, x: Array) -> Array:
        with np.errstate(divide="ignore"):
            return (self.weights / self.objectives(x)) @ floats_of(self.rewards)

    def slope_range(self, size: int) -> float:
        return math.inf

    def program(self, cp: Any, x: Any) -> Program:
        return Program(self.weights @ cp.log(floats_of(self.rewards) @ x))


@dataclasses.dataclass(frozen=True, eq=False)
class LogDet(Utility):
    """log det M(d), M(d) = sum d(s, a) phi(s, a) phi(s, a)' + ridge I: features (S, A, k), or (S, k) for over="states"."""

    features: Any
    ridge: float = 0.0
    over: Over = "pairs"
    name = "log-det"
    floor = FLOOR

    def __post_init__(self) -> None:
        check_over(self.over)
        table = numbers(self.features, "features")
        if table.ndim < 2:
            raise ModelError(f"features has shape {table.shape}; it must be (S, A, k)")
        if not self.ridge >= 0:
            raise ModelError(f"ridge is {self.ridge}; it must be at least 0")
        flat = floats_of(table).reshape(-1, table.shape[-1])
        rank = int(np.linalg.matrix_rank(flat))
        if rank < flat.shape[1] and self.ridge == 0:
            raise ModelError(
                f"the features span {rank} of {flat.shape[1]} dimensions, so the determinant is 0 for every policy: drop some, or add a ridge"
            )
        object.__setattr__(self, "features", flat)

    def check(self, shape: tuple[int, int]) -> None:
        if len(self.features) != self.size(shape):
            raise ModelError(f"features has {len(self.features)} rows; this model takes {self.size(shape)}, one for each of the {self.over}")

    def _matrix(self, x: Array) -> Array:
        return self.features.T @ (x[:, None] * self.features) + self.ridge * np.eye(self.features.shape[1])

    def of(self, x: Array) -> Any:
        sign, size = np.linalg.slogdet(self._matrix(x))
        return float(size) if sign > 0 else -math.inf

    def slope(self, x: Array) -> Array:
        """phi' M^-1 phi."""
        return np.einsum("ik,ik->i", self.features, np.linalg.solve(self._matrix(x), self.features.T).T)

    def program(self, cp: Any, x: Any) -> Program:
        matrix = self.features.T @ cp.diag(x) @ self.features + self.ridge * np.eye(self.features.shape[1])
        return Program(cp.log_det((matrix + matrix.T) / 2))


@dataclasses.dataclass(frozen=True, eq=False)
class OfFeatures(Utility):
    """f(Phi' d): a utility `inner` of k linear features of the occupancy, features (S, A, k).

    L = L_f |Phi|_2^2 in the norm of d.  `inner` looks at the k figures as they are (its `over` counts for nothing); they need not sum to 1, so it
    must be concave, and L_f its constant, in all directions (`free_smoothness`).   raises   ModelError: an inner utility that is not"""

    inner: Utility
    features: Any
    over: Over = "pairs"
    name = "of-features"

    def __post_init__(self) -> None:
        table = numbers(self.features, "features")
        if table.ndim < 2:
            raise ModelError(f"features has shape {table.shape}; it must be (S, A, k)")
        object.__setattr__(self, "features", table.reshape(-1, table.shape[-1]))
        self.inner.check_free()

    def check(self, shape: tuple[int, int]) -> None:
        if len(self.features) != self.size(shape):
            raise ModelError(f"features has {len(self.features)} rows; this model takes {self.size(shape)}, one for each of the {self.over}")

    def expected(self, x: Array) -> Array:
        """(k,) Phi' x."""
        return (floats_of(self.features) if is_float(x) else self.features).T @ x

    def of(self, x: Array) -> Any:
        return self.inner.of(self.expected(x))

    def slope(self, x: Array) -> Array:
        return floats_of(self.features) @ self.inner.slope(self.expected(x))

    def tangent(self, occupancy: Array, slope: Array | None = None) -> tuple[float, Array]:
        """The tangent of `inner` at the figures, or at its floor where they lie below: above F everywhere, and finite."""
        if slope is not None:
            return super().tangent(occupancy, slope)
        z = self.expected(self.point(occupancy).astype(float))
        z = np.maximum(z, self.inner.floor) if self.inner.floor > 0 else z
        g = self.inner.slope(z)
        return float(self.inner.of(z) - g @ z), self.reward(floats_of(self.features) @ g, np.shape(occupancy))

    @property
    def smoothness(self) -> float:
        if not math.isfinite(self.inner.free_smoothness):
            return math.inf
        return self.inner.free_smoothness * float(np.linalg.norm(floats_of(self.features), 2)) ** 2

    def program(self, cp: Any, x: Any) -> Program:
        z = cp.Variable(self.features.shape[1])
        found = self.inner.program(cp, z)
        slope = None if found.slope is None else lambda: floats_of(self.features) @ found.slope()
        return Program(found.expression, (*found.constraints, z == floats_of(self.features).T @ x), slope)

    def slope_range(self, size: int) -> float:
        """The figures z are means of rows of Phi: |grad f(z)| <= |grad f(z_0)| + L_f r, r the largest distance of a row from their mean z_0, and the
        range of Phi grad f is at most 2 r times that."""
        if not math.isfinite(self.inner.free_smoothness):
            return math.inf
        rows = floats_of(self.features)
        middle = rows.mean(axis=0)
        reach = float(np.sqrt(np.max(np.sum((rows - middle) ** 2, axis=1))))
        return 2 * reach * (float(np.linalg.norm(self.inner.slope(middle))) + self.inner.free_smoothness * reach)


@dataclasses.dataclass(frozen=True, eq=False)
class Sum(Utility):
    """sum_i c_i F_i with c_i > 0, of utilities of pairs and of states alike, for models of one `shape` (S, A): reward plus 1/10 of an entropy, ...

    A utility of the states seen as one of the pairs has its L multiplied by the number of actions."""

    parts: tuple[tuple[float, Utility], ...]
    shape: tuple[int, int]
    name = "sum"

    def __post_init__(self) -> None:
        if not self.parts:
            raise ModelError("a sum of utilities needs at least one of them")
        for weight, part in self.parts:
            if not (weight > 0 and math.isfinite(weight)):
                raise ModelError(f"the weight of {part.name} is {weight}; it must be a positive number: minus a concave function is convex")
            part.check(self.shape)

    def check(self, shape: tuple[int, int]) -> None:
        if tuple(shape) != tuple(self.shape):
            raise ModelError(f"this sum of utilities was made for a model of shape {self.shape}, not {tuple(shape)}")

    def _seen(self, part: Utility, x: Array) -> Array:
        return x if part.over == "pairs" else x.reshape(self.shape).sum(axis=1)

    def of(self, x: Array) -> Any:
        return sum(c * part.of(self._seen(part, x)) for c, part in self.parts)

    def slope(self, x: Array) -> Array:
        total = sum(c * part.reward(part.slope(self._seen(part, x)), self.shape) for c, part in self.parts)
        return np.asarray(total).reshape(-1)

    @property
    def smoothness(self) -> float:
        return sum(c * part.smoothness * (1 if part.over == "pairs" else self.shape[1]) for c, part in self.parts)

    @property
    def free_smoothness(self) -> float:
        return sum(c * part.free_smoothness * (1 if part.over == "pairs" else self.shape[1]) for c, part in self.parts)

    def check_free(self) -> None:
        for _, part in self.parts:
            part.check_free()

    def slope_range(self, size: int) -> float:
        return sum(c * part.slope_range(part.size(self.shape)) for c, part in self.parts)

    def tangent(self, occupancy: Array, slope: Any = None) -> tuple[float, Array]:
        """The tangents of the parts, added; slope: one supergradient a part, None where the part has a gradient."""
        own = slope if slope is not None else [None] * len(self.parts)
        tangents = [(c, *part.tangent(occupancy, one)) for (c, part), one in zip(self.parts, own, strict=True)]
        return sum(c * constant for c, constant, _ in tangents), np.asarray(sum(c * reward for c, _, reward in tangents))

    def program(self, cp: Any, x: Any) -> Program:
        from pgtheory.utility.program import state_sums

        found = [part.program(cp, x if part.over == "pairs" else state_sums(self.shape) @ x) for _, part in self.parts]
        constraints = tuple(row for one in found for row in one.constraints)
        slope = (lambda: tuple(one.slope() if one.slope else None for one in found)) if any(one.slope for one in found) else None
        return Program(sum(c * one.expression for (c, _), one in zip(self.parts, found, strict=True)), constraints, slope)
