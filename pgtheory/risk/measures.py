"""Risk measures as objects: one convention, one protocol, one spelling on the command line.

A measure rates a REWARD X by a number between its worst outcome and its mean, larger is better ("the sure reward that is as good as X"):

    rho(X) = min_q  E_q X + penalty(q | p)            concave, monotone, rho(X + c) = rho(X) + c, law-invariant

    coherent   the penalty is 0 on the dual set (envelope) and infinite off it; then rho(c X) = c rho(X) for c >= 0
    convex     Entropic: penalty KL(q | p) / beta

`worst` returns the minimising law, the risk envelope at X: nature's answer.  For a COST C, where large is bad, `measure.of_costs(p, C)` is
-rho(-C): between the mean and the largest cost, smaller is better.  There is no other conversion, and none is done silently.

    Mean()  Worst()  CVaR(level)  MeanCVaR(level, weight)  Spectral(levels, weights)  MeanSemideviation(weight, order)  Entropic(beta)  EVaR(level)

Levels: CVaR(0) and EVaR(0) are the worst possible outcome, CVaR(1) and EVaR(1) the mean; a smaller level or a larger beta is more averse.
`parse("cvar:0.1")` reads what the command line takes; numbers are read exactly.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mdps.checks import ROW_TOLERANCE
from mdps.errors import ModelError, nearest
from pgtheory.arithmetic import kind
from pgtheory.risk import exponential, tail
from pgtheory.risk.scoring import check_weight
from pgtheory.risk.tail import _alike, _number

Array = np.ndarray


@dataclass(frozen=True)
class Measure(abc.ABC):
    """Base of the risk measures."""

    name: ClassVar[str]
    coherent: ClassVar[bool] = True
    """Whether rho(c X) = c rho(X): then a discounted problem needs no schedule of levels."""
    rational: ClassVar[bool] = True
    """Whether values of rational laws are rational (and computed exactly)."""

    @abc.abstractmethod
    def worst(self, probabilities: Any, rewards: Any) -> tuple[Array, Array]:
        """(values (...,), laws q (..., n)): rho(X) and the law at which E_q X + penalty is least; probabilities and rewards (..., n)."""

    def value(self, probabilities: Any, rewards: Any) -> Array:
        """(...,) rho(X) of each law; probabilities and rewards (..., n)."""
        return self.worst(probabilities, rewards)[0]

    def of_costs(self, probabilities: Any, costs: Any) -> Array:
        """(...,) the risk of a cost: -rho(-C), large outcomes are bad."""
        return -self.value(probabilities, -np.asarray(costs))

    @abc.abstractmethod
    def penalty(self, law: Any, probabilities: Any) -> Array:
        """(...,) 0 where `law` is in the dual set of `probabilities`, inf where it is not (Entropic: KL / beta).  float64, within rounding."""

    def scaled(self, factor: Any) -> Measure:
        """The measure m with rho(factor X) = factor m(X): itself if coherent, Entropic(factor beta) for the entropic one."""
        return self

    def checked_value(self, probabilities: Any, rewards: Any) -> Array:
        """`value` after `check_law`."""
        return self.value(*check_law(probabilities, rewards))

    @property
    def text(self) -> str:
        """As `parse` reads it."""
        return self.name


@dataclass(frozen=True)
class Mean(Measure):
    """The mean: risk neutral."""

    name = "mean"

    def worst(self, probabilities: Any, rewards: Any) -> tuple[Array, Array]:
        p, x = np.broadcast_arrays(*_alike(probabilities, rewards))
        return (p * x).sum(axis=-1), p

    def penalty(self, law: Any, probabilities: Any) -> Array:
        return _indicator(np.abs(np.asarray(law) - np.asarray(probabilities)).max(axis=-1) <= ROW_TOLERANCE)


@dataclass(frozen=True)
class CVaR(Measure):
    """The mean of the worst fraction `level` of the mass; level in [0, 1].  Dual set: q <= p / level."""

    level: Any
    name = "cvar"

    def __post_init__(self) -> None:
        object.__setattr__(self, "level", tail.check_level(self.level))

    def worst(self, probabilities: Any, rewards: Any) -> tuple[Array, Array]:
        return tail.cvar_worst(probabilities, rewards, self.level)

    def value(self, probabilities: Any, rewards: Any) -> Array:
        return tail.cvar(probabilities, rewards, self.level)

    def penalty(self, law: Any, probabilities: Any) -> Array:
        q, p = np.asarray(law), np.asarray(probabilities)
        if self.level == 0:
            return _indicator(((q <= ROW_TOLERANCE) | (p > 0)).all(axis=-1))
        return _indicator((q * _number(self.level, q) <= p + ROW_TOLERANCE).all(axis=-1))

    @property
    def text(self) -> str:
        return f"cvar:{self.level}"


@dataclass(frozen=True)
class Worst(CVaR):
    """The worst outcome of positive probability: CVaR at level 0."""

    level: Any = 0

    @property
    def text(self) -> str:
        return "worst"


@dataclass(frozen=True)
class Spectral(Measure):
    """sum_k weights[k] CVaR_{levels[k]}: weights >= 0 of total 1."""

    levels: tuple[Any, ...]
    weights: tuple[Any, ...]
    name = "spectral"

    def __post_init__(self) -> None:
        levels = tuple(tail.check_level(a) for a in self.levels)
        weights = tuple(check_weight(w, f"weight {k} of the spectral measure") for k, w in enumerate(self.weights))
        if not levels or len(levels) != len(weights):
            raise ModelError(f"a spectral measure has one weight for each level; {len(levels)} levels and {len(weights)} weights are given")
        total = sum(weights)
        if abs(total - 1) > (ROW_TOLERANCE if isinstance(total, float) else 0):
            raise ModelError(f"the weights of a spectral measure sum to {total}, not 1")
        object.__setattr__(self, "levels", levels)
        object.__setattr__(self, "weights", weights)

    def worst(self, probabilities: Any, rewards: Any) -> tuple[Array, Array]:
        return tail.spectral_worst(probabilities, rewards, self.levels, self.weights)

    def value(self, probabilities: Any, rewards: Any) -> Array:
        return tail.spectral(probabilities, rewards, self.levels, self.weights)

    def penalty(self, law: Any, probabilities: Any) -> Array:
        """In the dual set iff no set of outcomes is heavier than the spectrum allows: q's density, sorted, is dominated (prefix sums)."""
        q, p = np.broadcast_arrays(np.asarray(law, dtype=float), np.asarray(probabilities, dtype=float))
        with np.errstate(divide="ignore", invalid="ignore"):
            order = np.argsort(np.where(p > 0, -q / p, np.inf), axis=-1)
        mass = np.take_along_axis(p, order, axis=-1).cumsum(axis=-1)
        heavy = np.take_along_axis(q, order, axis=-1).cumsum(axis=-1)
        allowed = np.zeros_like(mass)
        for a, w in zip(self.levels, self.weights, strict=True):
            level, weight = float(_number(a, mass)), float(_number(w, mass))
            allowed = allowed + weight * (np.minimum(mass / level, 1.0) if level > 0 else (mass > 0))
        return _indicator((heavy <= allowed + ROW_TOLERANCE).all(axis=-1) & (np.where(p > 0, 0.0, q) <= ROW_TOLERANCE).all(axis=-1))

    @property
    def text(self) -> str:
        return "spectral:" + ",".join(f"{a}={w}" for a, w in zip(self.levels, self.weights, strict=True))


@dataclass(frozen=True)
class MeanCVaR(Spectral):
    """(1 - weight) E + weight CVaR_level: level and weight in [0, 1]."""

    levels: tuple[Any, ...] = ()
    weights: tuple[Any, ...] = ()
    name = "mean-cvar"

    def __init__(self, level: Any, weight: Any) -> None:
        share = check_weight(weight, "the weight of CVaR", largest=1)
        object.__setattr__(self, "levels", (1, level))
        object.__setattr__(self, "weights", (1 - share, share))
        self.__post_init__()

    @property
    def level(self) -> Any:
        return self.levels[1]

    @property
    def weight(self) -> Any:
        return self.weights[1]

    @property
    def text(self) -> str:
        return f"mean-cvar:{self.level},{self.weight}"


@dataclass(frozen=True)
class MeanSemideviation(Measure):
    """E X - weight |(E X - X)_+|_order: weight in [0, 1], order 1 or 2."""

    weight: Any
    order: int = 1
    name = "semideviation"

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", check_weight(self.weight, "the weight of the semideviation", largest=1))
        if self.order not in (1, 2):
            raise ModelError(f"the order of the semideviation is {self.order}; it must be 1 or 2")

    @property
    def rational(self) -> bool:  # type: ignore[override]
        """Order 1 only: order 2 takes a root."""
        return self.order == 1

    def worst(self, probabilities: Any, rewards: Any) -> tuple[Array, Array]:
        return tail.mean_semideviation_worst(probabilities, rewards, self.weight, self.order)

    def value(self, probabilities: Any, rewards: Any) -> Array:
        return tail.mean_semideviation(probabilities, rewards, self.weight, self.order)

    def penalty(self, law: Any, probabilities: Any) -> Array:
        """q = p (1 + c (g - E g)) with 0 <= g and |g| <= 1: the smallest such g has minimum 0, so g = (density - its smallest value) / c."""
        q, p = np.broadcast_arrays(np.asarray(law, dtype=float), np.asarray(probabilities, dtype=float))
        with np.errstate(divide="ignore", invalid="ignore"):
            density = np.where(p > 0, q / p, np.inf)
        g = np.where(p > 0, density - density.min(axis=-1, keepdims=True), 0.0)
        c = float(_number(self.weight, p))
        size = g.max(axis=-1) if self.order == 1 else np.sqrt((p * g * g).sum(axis=-1))
        return _indicator((size <= c + ROW_TOLERANCE) & (np.where(p > 0, 0.0, q) <= ROW_TOLERANCE).all(axis=-1))

    @property
    def text(self) -> str:
        return f"semideviation:{self.weight}" + (",2" if self.order == 2 else "")


@dataclass(frozen=True)
class Entropic(Measure):
    """ERM_beta = -(1/beta) log E exp(-beta X), beta in [0, inf]; convex, not positively homogeneous."""

    beta: Any
    name = "entropic"
    coherent = False
    rational = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "beta", exponential.check_beta(self.beta))

    def worst(self, probabilities: Any, rewards: Any) -> tuple[Array, Array]:
        return exponential.entropic_worst(probabilities, rewards, self.beta)

    def penalty(self, law: Any, probabilities: Any) -> Array:
        distance = exponential.kl(law, probabilities)
        b = float(_number(self.beta, np.zeros(1))) if not isinstance(self.beta, float) else self.beta
        if math.isinf(b):
            return _indicator(np.isfinite(distance))
        return distance / b if b > 0 else _indicator(distance <= ROW_TOLERANCE)

    def scaled(self, factor: Any) -> Entropic:
        if isinstance(factor, float):  # a power of a discount in floats is no simple fraction
            return Entropic(float(_number(self.beta, np.zeros(1))) * factor)
        return Entropic(self.beta * _number(factor, np.asarray(self.beta)))

    @property
    def text(self) -> str:
        return f"entropic:{self.beta}"


@dataclass(frozen=True)
class EVaR(Measure):
    """sup_b ERM_b + log(level)/b, level in [0, 1].  Dual set: KL(q | p) <= -log level."""

    level: Any
    name = "evar"
    rational = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "level", tail.check_level(self.level))

    def worst(self, probabilities: Any, rewards: Any) -> tuple[Array, Array]:
        return exponential.evar_worst(probabilities, rewards, self.level)

    def penalty(self, law: Any, probabilities: Any) -> Array:
        a = float(_number(self.level, np.zeros(1)))
        distance = exponential.kl(law, probabilities)
        return _indicator(np.isfinite(distance) if a == 0 else distance <= -math.log(a) + ROW_TOLERANCE)

    @property
    def text(self) -> str:
        return f"evar:{self.level}"


_READERS: dict[str, tuple[Callable[..., Measure], str]] = {
    "mean": (Mean, "mean"),
    "worst": (Worst, "worst"),
    "cvar": (CVaR, "cvar:LEVEL, such as cvar:0.1"),
    "mean-cvar": (MeanCVaR, "mean-cvar:LEVEL,WEIGHT, such as mean-cvar:0.1,1/2"),
    "spectral": (lambda *pairs: Spectral(*zip(*map(_pair, pairs), strict=True)) if pairs else Spectral((), ()), "spectral:LEVEL=WEIGHT,..."),
    "semideviation": (lambda weight, order="1": MeanSemideviation(weight, _order(order)), "semideviation:WEIGHT or semideviation:WEIGHT,2"),
    "entropic": (Entropic, "entropic:BETA, such as entropic:2"),
    "erm": (Entropic, "erm:BETA, such as erm:2"),
    "evar": (EVaR, "evar:LEVEL, such as evar:0.1"),
}
MEASURES = tuple(_READERS)


def parse(text: str | Measure) -> Measure:
    """The measure of a text such as "cvar:0.1" or "mean-cvar:1/10,1/2"; numbers are read exactly.

    raises   ModelError: an unknown name (lists the nearest), numbers out of range, too many or too few of them
    """
    if isinstance(text, Measure):
        return text
    head, _, rest = text.strip().partition(":")
    name = head.strip().lower().replace("_", "-")
    if name not in _READERS:
        raise ModelError(f"there is no risk measure {head!r}.{nearest(name, MEASURES) or ' There are ' + ', '.join(MEASURES) + '.'}")
    build, form = _READERS[name]
    numbers = [part.strip() for part in rest.split(",")] if rest.strip() else []
    try:
        return build(*numbers)
    except TypeError as error:
        raise ModelError(f"{text!r} is not of the form {form}") from error


def _pair(text: str) -> tuple[str, str]:
    level, sign, weight = text.partition("=")
    if not sign:
        raise ModelError(f"{text!r} is not of the form LEVEL=WEIGHT")
    return level.strip(), weight.strip()


def _order(text: str) -> int:
    if text not in ("1", "2"):
        raise ModelError(f"the order of the semideviation is {text}; it must be 1 or 2")
    return int(text)


def _indicator(inside: Any) -> Array:
    return np.where(inside, 0.0, np.inf)


def check_law(probabilities: Any, rewards: Any) -> tuple[Array, Array]:
    """Probabilities and outcomes of finite laws, validated.

    raises   ModelError: shapes differ, no outcome, an entry that is negative or not finite, a sum that is not 1
    """
    p, x = _alike(probabilities, rewards)
    if p.ndim == 0 or p.shape[-1] == 0 or p.shape[-1:] != x.shape[-1:]:
        raise ModelError(f"probabilities have shape {p.shape} and outcomes {x.shape}; they must agree in the last, which is at least 1")
    if kind(p) == "float":
        for name, values in (("probabilities", p), ("outcomes", x)):
            if not np.isfinite(values).all():
                place = tuple(int(k) for k in np.argwhere(~np.isfinite(values))[0])
                raise ModelError(f"{name}{list(place)} is {values[place]}; it must be a finite number")
    negative = np.asarray(p < 0, dtype=bool)
    if negative.any():
        place = tuple(int(k) for k in np.argwhere(negative)[0])
        raise ModelError(f"probabilities{list(place)} is {p[place]}; a probability is at least 0")
    sums = np.asarray(p.sum(axis=-1))
    off = np.asarray(abs(sums - 1) > (ROW_TOLERANCE if kind(p) == "float" else 0), dtype=bool)
    if off.any():
        place = tuple(int(k) for k in np.argwhere(off)[0])
        raise ModelError(f"probabilities{list(place) if place else ''} sum to {sums[place]}, not 1")
    return p, x
