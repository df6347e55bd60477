"""Balls around the nominal kernel: every distribution q whose distance D(q, p) to the nominal row p is at most a radius.

    L1               sum_i w_i |q_i - p_i|                        (weights w = 1 unless given)
    TotalVariation   sum_i |q_i - p_i| / 2
    L2, Linf         Euclidean norm, largest entry of q - p
    Contamination    the smallest R with q >= (1 - R) p, so the ball is {(1 - R) p + R q'}
    KL               KL(q || p) = sum_i q_i log(q_i / p_i)
    Chi2             sum_i (q_i - p_i)^2 / p_i
    Wasserstein      cheapest transport of p to q with cost c_ij >= 0 a unit, c_ii = 0

**Rectangularity.**  "sa": every pair (s, a) has a radius of its own, and nature chooses each row on its own (Iyengar 2005, Nilim and El Ghaoui
2005).  "s": a state has one budget for all of its rows, sum_a D(q_a, p_a) <= radius (for L2 the root of the sum of squares, the norm of the whole
block), so that nature cannot spend it on every action: optimal policies may have to be random (Wiesemann, Kuhn and Rustem 2013).

**Support.**  "all": mass may move to any state.  "nominal": states of nominal probability 0 stay unreachable.  "all" is the default wherever D is
finite there; KL and Chi2 know only "nominal" (q_i > 0 = p_i is infinitely far away).

Radius 0 is the nominal model; a radius beyond the diameter of the simplex (2 for L1) is the whole simplex, without complaint, because that is what
the set is.  Only a contamination above 1 has no meaning.  Radii may be exact (Fraction, fmpq, text such as "1/5"), and then stay so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.rational import is_exact, rational_array, simplest_array, to_float

Array = np.ndarray
RECTANGULAR = ("sa", "s")
SUPPORT = ("all", "nominal")


def checked_numbers(values: Any, what: str, least: float | None = 0) -> Array:
    """A number or an array of them, finite and at least `least`: exact numbers as fmpq objects, others as float64, read-only."""
    try:
        numbers = rational_array(values) if is_exact(values) else np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{what} is {values!r}; it must be a number or an array of numbers ({error})") from error
    flat = numbers.reshape(-1)
    bad = range(flat.size) if numbers.dtype == object else np.flatnonzero(~np.isfinite(flat) | (flat < (-np.inf if least is None else least)))
    for k in bad:
        x = flat[k]
        place = what + (f"[{', '.join(str(int(i)) for i in np.unravel_index(k, numbers.shape))}]" if numbers.ndim else "")
        if numbers.dtype != object and not np.isfinite(x):
            raise ModelError(f"{place} is {x}; it must be a finite number")
        if least is not None and x < least:
            raise ModelError(f"{place} is {x}; it must be at least {least:g}")
    numbers.setflags(write=False)
    return numbers


def exact_numbers(values: Array) -> Array:
    """Checked numbers as fmpq: floats as the simplest fractions beside them."""
    return values if values.dtype == object else simplest_array(values)


def float_numbers(values: Array) -> Array:
    """Checked numbers as float64."""
    return to_float(values) if values.dtype == object else values


def check_choice(value: Any, known: tuple[str, ...], what: str) -> None:
    """Refuses a word that is not among the known ones."""
    if value not in known:
        raise ModelError(f"{what} is {value!r}; it must be one of {', '.join(repr(k) for k in known)}")


class Ambiguity:
    """A set of models around a nominal one; see `balls` and `others` for the kinds."""

    name: ClassVar[str] = ""
    of_rewards: ClassVar[bool] = False
    rectangular: str = "sa"

    def check(self, nominal: MDP) -> None:
        """Refuses a set that does not belong to this model, naming the place."""

    @property
    def given_exactly(self) -> bool:
        """Whether all of its numbers were written exactly."""
        return all(x.dtype == object for x in vars(self).values() if isinstance(x, np.ndarray))


def per_pair(values: Array, nominal: MDP, rectangular: str, what: str) -> Array:
    """One number for every (s, a) (rectangular="sa", shape (S, A)) or for every state ("s", shape (S,))."""
    shape = (nominal.num_states, nominal.num_actions) if rectangular == "sa" else (nominal.num_states,)
    if values.ndim and values.shape != shape:
        raise ModelError(f"{what} has shape {values.shape}; with rectangular={rectangular!r} it must be one number or have shape {shape}")
    return np.broadcast_to(values, shape)


@dataclass(frozen=True, eq=False)
class Ball(Ambiguity):
    """All kernels within `radius` of the nominal one.

    radius        one number, or (S, A) for rectangular="sa", (S,) for "s"; at least 0
    rectangular   "sa" or "s"
    support       "all" or "nominal"
    raises        ModelError: negative or not finite radius, unknown word, wrong shape (`check`)
    """

    radius: Any
    rectangular: str = "sa"
    support: str = "all"
    polyhedral: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", checked_numbers(self.radius, f"the radius of {type(self).__name__}"))
        check_choice(self.rectangular, RECTANGULAR, "rectangular")
        check_choice(self.support, SUPPORT, "support")

    def check(self, nominal: MDP) -> None:
        per_pair(self.radius, nominal, self.rectangular, f"the radius of {type(self).__name__}")

    def radii(self, nominal: MDP, exact: bool = False) -> Array:
        """The radius of every pair (S, A), or of every state (S,): float64, or fmpq."""
        numbers = exact_numbers(self.radius) if exact else float_numbers(self.radius)
        return per_pair(numbers, nominal, self.rectangular, f"the radius of {type(self).__name__}")


@dataclass(frozen=True, eq=False)
class L1(Ball):
    """sum_i w_i |q_i - p_i| <= radius.

    weights   (S,) positive, or None for 1 everywhere
    """

    weights: Any = None
    name: ClassVar[str] = "l1"
    polyhedral: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights is not None:
            weights = checked_numbers(self.weights, "weights")
            zero = np.flatnonzero(weights == 0)
            if weights.ndim != 1 or zero.size:
                place = f"weights[{zero[0]}] is 0" if zero.size else f"weights has shape {weights.shape}"
                raise ModelError(f"{place}; an L1 ball needs one positive weight a state")
            object.__setattr__(self, "weights", weights)

    def check(self, nominal: MDP) -> None:
        super().check(nominal)
        if self.weights is not None and self.weights.shape != (nominal.num_states,):
            raise ModelError(f"weights has shape {self.weights.shape}; there are {nominal.num_states} states")


@dataclass(frozen=True, eq=False)
class TotalVariation(Ball):
    """sum_i |q_i - p_i| / 2 <= radius: L1 with twice the radius."""

    name: ClassVar[str] = "tv"
    polyhedral: ClassVar[bool] = True


@dataclass(frozen=True, eq=False)
class L2(Ball):
    """|q - p|_2 <= radius; rectangular="s": the Euclidean norm of the whole block (q_a - p_a)_a."""

    name: ClassVar[str] = "l2"


@dataclass(frozen=True, eq=False)
class Linf(Ball):
    """max_i |q_i - p_i| <= radius."""

    name: ClassVar[str] = "linf"
    polyhedral: ClassVar[bool] = True


@dataclass(frozen=True, eq=False)
class Contamination(Ball):
    """(1 - radius) p + radius q' with any distribution q' (support="nominal": on the states that p can reach); 0 <= radius <= 1."""

    name: ClassVar[str] = "contamination"
    polyhedral: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rectangular == "sa" and np.any(self.radius > 1):
            worst = max(self.radius.reshape(-1).tolist())
            raise ModelError(f"the radius of Contamination is {worst}; it is a probability, at most 1")


@dataclass(frozen=True, eq=False)
class _OnSupport(Ball):
    support: str = "nominal"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.support != "nominal":
            raise ModelError(
                f"{type(self).__name__} with support={self.support!r}: a state of nominal probability 0 is infinitely far and stays unreachable; "
                "write support='nominal', or use L1, Contamination or Wasserstein to let mass move there"
            )


@dataclass(frozen=True, eq=False)
class KL(_OnSupport):
    """KL(q || p) <= radius, in nats."""

    name: ClassVar[str] = "kl"


@dataclass(frozen=True, eq=False)
class Chi2(_OnSupport):
    """sum_i (q_i - p_i)^2 / p_i <= radius."""

    name: ClassVar[str] = "chi2"


@dataclass(frozen=True, eq=False)
class Wasserstein(Ball):
    """Transport of p to q at a cost of at most radius.

    cost   (S, S) of a unit moved from i to j: at least 0, 0 on the diagonal; need be no metric
    """

    cost: Any = None
    name: ClassVar[str] = "wasserstein"
    polyhedral: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cost is None:
            raise ModelError("Wasserstein needs cost, an (S, S) array: what it costs to move a unit of mass from state i to state j")
        cost = checked_numbers(self.cost, "cost")
        if cost.ndim != 2 or cost.shape[0] != cost.shape[1]:
            raise ModelError(f"cost has shape {cost.shape}; it must be (S, S)")
        staying = np.flatnonzero(np.diagonal(cost) != 0)
        if staying.size:
            i = int(staying[0])
            raise ModelError(f"cost[{i}, {i}] is {cost[i, i]}; staying must cost 0")
        object.__setattr__(self, "cost", cost)

    def check(self, nominal: MDP) -> None:
        super().check(nominal)
        if self.cost.shape[0] != nominal.num_states:
            raise ModelError(f"cost has shape {self.cost.shape}; there are {nominal.num_states} states")
