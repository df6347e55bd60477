"""A user's own function of the occupancy, and the search for a place where it is not concave.

A utility without concavity has local optima that policy gradients and Frank-Wolfe stop at, and the bound of `base` proves nothing: so a function is
searched before it is used.  Concavity says, for all x, y on the simplex,

    F((x + y) / 2) >= (F(x) + F(y)) / 2,        and for every t,   F(x + t (y - x)) concave in t.

The search takes chords between vertices and random points, keeps the worst, and narrows it: a violation found is a proof (up to the rounding that is
stated), none found is evidence only.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.utility.base import Over, Program, Utility, check_over
from pgtheory.utility.objectives import OfFeatures, Sum

Array = np.ndarray
STEP = 2.0**-17
"""Central differences: their error is about STEP^2 times the third derivative plus 2^-53 |F| / STEP, both near 1e-11."""
CHORDS = 400
"""Chords that `check_concave` looks at before it narrows the worst."""
ROUNDING = 2.0**-40
"""A deficit below this share of the largest |F| seen is rounding, not a violation."""


@dataclasses.dataclass(frozen=True, eq=False)
class UserUtility(Utility):
    """F(x) as a function of a float64 vector x: the flattened occupancy (S * A,), or the law of the states (S,).

    function      x (n,) -> float
    derivative    x (n,) -> (n,); central differences along the coordinates if left out
    conic         (cvxpy, x) -> concave expression, where the function has one: `program` then solves it too
    constant      Lipschitz constant of the gradient, if known
    """

    function: Callable[[Array], float]
    derivative: Callable[[Array], Array] | None = None
    conic: Callable[[Any, Any], Any] | None = None
    constant: float = math.inf
    over: Over = "pairs"
    name = "user"

    def __post_init__(self) -> None:
        check_over(self.over)
        if not self.constant >= 0:
            raise ModelError(f"the smoothness constant is {self.constant}; it must be at least 0")

    def of(self, x: Array) -> Any:
        found = float(self.function(np.asarray(x, dtype=float)))
        if math.isnan(found):
            raise ModelError(f"the utility is not a number at x = {_shown(x)}")
        return found

    def slope(self, x: Array) -> Array:
        if self.derivative is not None:
            g = np.asarray(self.derivative(np.asarray(x, dtype=float)), dtype=float)
            if g.shape != np.shape(x):
                raise ModelError(f"the gradient has shape {g.shape}; x has {np.shape(x)}")
            return g
        steps = STEP * np.eye(np.size(x))
        return np.array([(self.of(x + h) - self.of(x - h)) / (2 * STEP) for h in steps])

    @property
    def smoothness(self) -> float:
        return self.constant

    def program(self, cp: Any, x: Any) -> Program:
        if self.conic is None:
            return super().program(cp, x)
        return Program(self.conic(cp, x))


@dataclasses.dataclass(frozen=True)
class Defect:
    """A chord on which a function is not concave: F(x + share (y - x)) lies `deficit` below the chord."""

    x: Array
    y: Array
    share: float
    deficit: float


def concavity_defect(utility: Utility, mdp: MDP, seed: int = 0, chords: int = CHORDS) -> Defect | None:
    """The worst chord found between occupancies of the model (their x), or None: no violation above rounding was found.

    seed   of the random policies whose occupancies are the ends of chords; the same seed looks at the same chords
    """
    from pgtheory.exact.evaluation import occupancy

    rng = np.random.default_rng(seed)
    mask = mdp.action_mask

    def draw() -> Array:
        sharp = 10.0 ** rng.uniform(-1.5, 1)
        table = rng.gamma(sharp, size=mask.shape) * mask + 1e-300 * mask
        if rng.random() < 0.5:
            table = (table == table.max(axis=1, keepdims=True)) * mask
        return utility.point(occupancy(mdp, table / table.sum(axis=1, keepdims=True)))

    worst: Defect | None = None
    scale = 0.0
    for _ in range(chords):
        x, y = draw(), draw()
        reach = 10.0 ** rng.uniform(-2, 0)
        y = x + reach * (y - x)
        share = 0.5 if rng.random() < 0.5 else float(rng.uniform(0.05, 0.95))
        found, size = _deficit(utility, x, y, share)
        scale = max(scale, size)
        if found > ROUNDING * max(scale, 1e-300) and (worst is None or found > worst.deficit):
            worst = Defect(x, y, share, found)
    return worst


def holds_user_function(utility: Utility) -> bool:
    """Whether a user's own function takes part: alone, as a term of a sum, or as a function of features."""
    parts = [part for _, part in utility.parts] if isinstance(utility, Sum) else [utility.inner] if isinstance(utility, OfFeatures) else []
    return isinstance(utility, UserUtility) or any(holds_user_function(part) for part in parts)


def check_concave(utility: Utility, mdp: MDP, seed: int = 0) -> None:
    """ModelError with the place where a utility is not concave on the occupancies of the model; also checks the gradient that it gives."""
    worst = concavity_defect(utility, mdp, seed)
    if worst is not None:
        raise ModelError(
            f"the utility is not concave: between x = {_shown(worst.x)} and y = {_shown(worst.y)} the point x + {worst.share:.3g} (y - x) "
            f"is {worst.deficit:.3g} below the chord; a policy gradient can stop at a point that is no optimum"
        )
    if isinstance(utility, UserUtility) and utility.derivative is not None:
        rng = np.random.default_rng(seed)
        x = rng.dirichlet(np.full(utility.size((mdp.num_states, mdp.num_actions)), 2.0))
        step = rng.standard_normal(x.size)
        step = STEP * (step - step.mean()) * x.min() / np.abs(step).max() * 64
        moved = utility.of(x + step) - utility.of(x - step)
        said = 2 * float(utility.slope(x) @ step)
        if abs(moved - said) > 1e-3 * max(abs(moved), abs(said)) + ROUNDING * abs(utility.of(x)):
            raise ModelError(
                f"the gradient of the utility does not belong to it: along a direction from x = {_shown(x)} the function changes by {moved:.6g}, "
                f"its gradient says {said:.6g}"
            )


def _deficit(utility: Utility, x: Array, y: Array, share: float) -> tuple[float, float]:
    """(chord minus function, size of the figures); 0 where an end is minus infinity, which no chord reaches."""
    ends = utility.of(x), utility.of(y)
    if not all(math.isfinite(v) for v in ends):
        return 0.0, 0.0
    middle = utility.of(x + share * (y - x))
    chord = ends[0] + share * (ends[1] - ends[0])
    return chord - middle, max(abs(ends[0]), abs(ends[1]))


def _shown(x: Array) -> str:
    flat = np.asarray(x, dtype=float).reshape(-1)
    inside = ", ".join(f"{v:.4g}" for v in flat[:8])
    return f"({inside}{', ...' if flat.size > 8 else ''})"
