"""One-state models with discount 0: bandits with known mean rewards, for softmax policies."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.zoo.build import build
from mdps.zoo.registry import count, instance, number


def _rewards(rewards: Any) -> list[Fraction]:
    if isinstance(rewards, str) or not hasattr(rewards, "__len__") or len(rewards) == 0:
        raise ModelError(f"rewards is {rewards!r}; it must be a list of at least one mean reward, such as [1, 0.9, 0.1]")
    return [number(r, f"rewards[{k}]") for k, r in enumerate(rewards)]


def _arms_optimum(rewards: Any = (1, 0), discount: Any = 0) -> list[Fraction]:
    return [max(_rewards(rewards)) / (1 - number(discount, "discount"))]


@instance("Mei, Xiao, Szepesvari, Schuurmans 2020, Section 3.2.1 (one-state MDPs)", _arms_optimum)
def arms(rewards: Any = (1, 0), discount: Any = 0) -> MDP:
    """ARMS(r): the bandit with mean rewards r as a one-state MDP, by default with discount 0.  V* = max r / (1 - discount)."""
    means, g = _rewards(rewards), number(discount, "discount")
    words = f"[{', '.join(str(r) for r in means)}]" + (f", {g}" if g else "")
    return build([[({0: 1}, r) for r in means]], g, name=f"arms({words})")


_PLATEAU = ("1", "9/10", "1/10")


@instance("three arms as in Mei, Xiao, Szepesvari, Schuurmans 2020, Section 3", lambda: [Fraction(1)])
def plateau() -> MDP:
    """Three arms 1, 9/10, 1/10: softmax gradients started near the worst arm creep along a plateau.  V* = 1."""
    return arms(_PLATEAU).replace(name="plateau()")


@instance(
    "Mei, Xiao, Dai, Li, Szepesvari, Schuurmans 2020 (Escaping the Gravitational Pull of Softmax), in spirit", lambda num_arms=10: [Fraction(1)]
)
def gravity_well(num_arms: int = 10) -> MDP:
    """Arms 1, 1 - 1/K, ..., 1/K: an iterate caught by a good arm leaves it in time inverse to its gap.  V* = 1."""
    k = count(num_arms, "num_arms", least=2)
    return arms([Fraction(k - a, k) for a in range(k)]).replace(name=f"gravity_well({k})")
