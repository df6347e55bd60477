"""Sets that are no balls of kernels: intervals, finite sets, a price on divergence, and sets of rewards.

Intervals     low <= q <= high entry by entry
FiniteSet     a list of kernels; "sa": every pair picks its row from the list, "s": every state picks its block (or mixes blocks: the convex
              hull), "none": one kernel for the whole model, the set that is no product of anything and NP-hard to plan against
KLPenalty     nature may choose any q << p but pays KL(q || p) / beta: min_q q.v + KL(q || p) / beta = -log E_p exp(-beta v) / beta, the
              entropic risk measure (soft-robust)
RewardBox     r - radius <= rewards <= r + radius, each pair on its own
RewardBall    the rewards of a state within a Euclidean ball ("s"), which costs a policy radius |pi(.|s)|_2
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mdps.ambiguity.balls import Ambiguity, check_choice, checked_numbers, exact_numbers, float_numbers, per_pair
from mdps.checks import ROW_TOLERANCE
from mdps.errors import ModelError
from mdps.model import MDP

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Intervals(Ambiguity):
    """low <= q <= high, q a distribution; (s, a)-rectangular.

    low, high   (S, A, S'), in [0, 1]
    raises      ModelError: low above high, or a row in which no distribution fits (names state and action)
    """

    low: Any
    high: Any
    rectangular: str = "sa"
    name: ClassVar[str] = "intervals"
    polyhedral: ClassVar[bool] = True

    def __post_init__(self) -> None:
        low, high = checked_numbers(self.low, "low"), checked_numbers(self.high, "high")
        check_choice(self.rectangular, ("sa",), "rectangular")
        if low.shape != high.shape or low.ndim != 3 or low.shape[0] != low.shape[2]:
            raise ModelError(f"low has shape {low.shape} and high {high.shape}; both must be (S, A, S')")
        crossed = np.argwhere(low > high)
        if crossed.size:
            s, a, t = (int(k) for k in crossed[0])
            raise ModelError(f"low[{s}, {a}, {t}] is {low[s, a, t]}, above high[{s}, {a}, {t}] = {high[s, a, t]}: the interval is empty")
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    def check(self, nominal: MDP) -> None:
        shape = nominal.transitions.shape
        if self.low.shape != shape:
            raise ModelError(f"low has shape {self.low.shape}; the model asks for {shape}")
        exact = self.low.dtype == object and self.high.dtype == object
        slack = 0 if exact else ROW_TOLERANCE
        least, most = float_or_exact(self.low, exact).sum(axis=-1), float_or_exact(self.high, exact).sum(axis=-1)
        for s, a in np.argwhere(nominal.action_mask).tolist():
            if least[s, a] > 1 + slack:
                raise ModelError(f"the lower ends of {nominal.state_label(s)}, action {a} sum to {least[s, a]}, above 1: no distribution fits")
            if most[s, a] < 1 - slack:
                raise ModelError(f"the upper ends of {nominal.state_label(s)}, action {a} sum to {most[s, a]}, below 1: no distribution fits")

    def ends(self, exact: bool = False) -> tuple[Array, Array]:
        """(low, high), float64 or fmpq."""
        convert = exact_numbers if exact else float_numbers
        return convert(self.low), convert(self.high)


def float_or_exact(values: Array, exact: bool) -> Array:
    """Checked numbers in the wanted arithmetic."""
    return exact_numbers(values) if exact else float_numbers(values)


@dataclass(frozen=True, eq=False)
class FiniteSet(Ambiguity):
    """Finitely many kernels (the nominal one is among them only if it is listed).

    kernels       (K, S, A, S'), K >= 1
    rectangular   "sa": each pair picks a row; "s": each state picks a convex combination of its K blocks; "none": one kernel for the whole model
    raises        ModelError: no kernel, a negative probability, a row that does not sum to 1 (names kernel, state and action)
    """

    kernels: Any
    rectangular: str = "sa"
    name: ClassVar[str] = "finite"
    polyhedral: ClassVar[bool] = True

    def __post_init__(self) -> None:
        kernels = checked_numbers(self.kernels, "kernels")
        check_choice(self.rectangular, ("sa", "s", "none"), "rectangular")
        if kernels.ndim != 4 or kernels.shape[1] != kernels.shape[3]:
            raise ModelError(f"kernels has shape {kernels.shape}; it must be (K, S, A, S')")
        if kernels.shape[0] == 0:
            raise ModelError("kernels is empty: nature has nothing to choose from")
        object.__setattr__(self, "kernels", kernels)

    def check(self, nominal: MDP) -> None:
        shape = nominal.transitions.shape
        if self.kernels.shape[1:] != shape:
            raise ModelError(f"kernels has shape {self.kernels.shape}; each of them must have the shape {shape} of the model")
        sums = self.kernels.sum(axis=-1)
        tolerance = 0 if self.kernels.dtype == object else ROW_TOLERANCE
        wrong = np.argwhere((abs(sums - 1) > tolerance) & nominal.action_mask)
        if wrong.size:
            k, s, a = (int(i) for i in wrong[0])
            raise ModelError(f"kernels[{k}, {s}, {a}] (kernel {k}, {nominal.state_label(s)}, action {a}) sums to {sums[k, s, a]}, not 1")

    def matrices(self, exact: bool = False) -> Array:
        """(K, S, A, S'), float64 or fmpq."""
        if exact and self.kernels.dtype != object:
            from mdps.rational import exact_rows

            return exact_rows(self.kernels)
        return float_or_exact(self.kernels, exact)


@dataclass(frozen=True, eq=False)
class KLPenalty(Ambiguity):
    """Any q << p at the price KL(q || p) / beta: the worst case is the entropic risk -log E_p exp(-beta v) / beta.

    beta   one number or (S, A), at least 0; 0 is the nominal model
    """

    beta: Any
    rectangular: str = "sa"
    name: ClassVar[str] = "entropic"
    polyhedral: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "beta", checked_numbers(self.beta, "beta"))
        check_choice(self.rectangular, ("sa",), "rectangular")

    def check(self, nominal: MDP) -> None:
        per_pair(self.beta, nominal, "sa", "beta")

    def radii(self, nominal: MDP, exact: bool = False) -> Array:
        """beta of every pair, (S, A)."""
        return per_pair(float_or_exact(self.beta, exact), nominal, "sa", "beta")


@dataclass(frozen=True, eq=False)
class RewardBox(Ambiguity):
    """|rewards - r| <= radius for each pair on its own: the worst case is r - radius.

    radius   one number or (S, A), at least 0
    """

    radius: Any
    rectangular: str = "sa"
    name: ClassVar[str] = "reward-box"
    polyhedral: ClassVar[bool] = True
    of_rewards: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", checked_numbers(self.radius, "the radius of RewardBox"))
        check_choice(self.rectangular, ("sa",), "rectangular")

    def check(self, nominal: MDP) -> None:
        per_pair(self.radius, nominal, "sa", "the radius of RewardBox")

    def radii(self, nominal: MDP, exact: bool = False) -> Array:
        """(S, A)."""
        return per_pair(float_or_exact(self.radius, exact), nominal, "sa", "the radius of RewardBox")


@dataclass(frozen=True, eq=False)
class RewardBall(Ambiguity):
    """|rewards(s, .) - r(s, .)|_2 <= radius in every state: a policy is worth <pi, r> - radius |pi|_2 there.

    radius   one number or (S,), at least 0
    """

    radius: Any
    rectangular: str = "s"
    name: ClassVar[str] = "reward-ball"
    polyhedral: ClassVar[bool] = False
    of_rewards: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", checked_numbers(self.radius, "the radius of RewardBall"))
        check_choice(self.rectangular, ("s",), "rectangular")

    def check(self, nominal: MDP) -> None:
        per_pair(self.radius, nominal, "s", "the radius of RewardBall")

    def radii(self, nominal: MDP, exact: bool = False) -> Array:
        """(S,)."""
        return per_pair(float_or_exact(self.radius, exact), nominal, "s", "the radius of RewardBall")
