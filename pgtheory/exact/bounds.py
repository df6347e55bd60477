"""Bounds on V* that hold in exact arithmetic, from one Bellman sweep in floats.

**Bellman residual.**  For any W let t = TW, d = t - W, low = min d, high = max d.  T is monotone and T(W + c 1) = TW + gamma c 1, so

    W + low 1 <= TW   gives   TW + gamma low 1 <= T^2 W, ...:        t + gamma low / (1 - gamma) 1 <= V* <= t + gamma high / (1 - gamma) 1

(MacQueen 1966, Porteus 1971).  Only the span of d must become small, and W matters only up to a constant: solvers keep W centred, which
keeps rounding small too.

**Rounding.**  A float sweep returns t^ with |t^(s) - (TW)(s)| <= epsilon, where with u = 2^-53, n the entries of the longest row,
w = max|W|, R = max|r|, and any order of summation:

    dot product            gamma n u w / (1 - n u)                       (Higham 2002, section 3.1; rows sum to 1 + defect)
    product and sum        2 u (R + w)
    data                   kappa R  +  (2 kappa + defect) w  +  |gamma^ - gamma| w

The data term covers the step from floats to `mdp.exact`, whose optimum V* is: its numbers stand within relative kappa = 2^-46 of the floats
(`mdps.rational.simplest`; a model that was written exactly is nearer), and the largest entry of a row takes up what its sum lacks, at most
kappa + defect.  So

    lower = t^ - epsilon + gamma/(1-gamma) (low^ - epsilon - u|d|),      upper the mirror image,

widened by the rounding of this expression itself (gamma / (1 - gamma) is the exact quotient, rounded once).

**Actions.**  If lower <= V* <= upper then Q(s, a; lower) <= Q*(s, a) <= Q(s, a; upper).  An action whose upper value is below the best
lower value of its state is not optimal and need never be looked at again (MacQueen's action elimination).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from mdps.model import MDP
from mdps.rational import CLOSE, fraction, simplest

Array = np.ndarray
UNIT = 2.0**-53
SECOND_ORDER = 1.0 + 2.0**-10
"""Covers products of two rounding errors and the rounding of the bound itself: rows have fewer than 2^40 entries, so n u < 2^-13."""
KAPPA = float(CLOSE)
TINY = 1e-290
"""Covers what underflow may take from a sum: at most 2^-1074 for each of its terms."""


@dataclass(frozen=True)
class Allowance:
    """Everything about a model that the rounding bound of a sweep needs: epsilon(w) = per_reward * max|r| + per_value * w."""

    constant: float
    slope: float
    ratio: float

    def epsilon(self, size: float) -> float:
        """Largest error of one entry of a float sweep of W with max|W| <= size."""
        return (self.constant + self.slope * size) * SECOND_ORDER


def allowance(mdp: MDP, largest_reward: float, longest_row: int, defect: float) -> Allowance:
    """The rounding allowance of `mdp`: largest |r|, entries of the longest row, largest measured |row sum - 1|."""
    ratio, shift = _discount_parts(exact_discount(mdp), float(mdp.float.discount))
    terms = longest_row + 2
    spread = 2 * KAPPA + defect + terms * UNIT
    return Allowance(
        constant=(KAPPA + 2 * UNIT) * largest_reward + TINY,
        slope=terms * UNIT / (1 - terms * UNIT) * (1 + defect) + 2 * UNIT + spread + shift,
        ratio=ratio,
    )


def exact_discount(mdp: MDP) -> Fraction:
    """The discount of `mdp.exact`, without making that model."""
    return fraction(mdp.exact.discount) if mdp.is_exact or mdp._exact is not None else _simplest_fraction(mdp.discount)


@functools.lru_cache(maxsize=256)
def _simplest_fraction(number: float) -> Fraction:
    return fraction(simplest(number))


@functools.lru_cache(maxsize=256)
def _discount_parts(exact: Fraction, rounded: float) -> tuple[float, float]:
    """(gamma / (1 - gamma) to nearest, |gamma^ - gamma| rounded up)."""
    return float(exact / (1 - exact)), _up(abs(exact - Fraction(rounded)))


def enclosure(t: Array, low: float, high: float, size: float, allowed: Allowance) -> tuple[Array, Array]:
    """(lower, upper) around V* from a float sweep t of W, with low, high the extremes of t - W and size >= max|W|."""
    below, above = shifts(low, high, size, allowed)
    return np.nextafter(t + below, -np.inf), np.nextafter(t + above, np.inf)


def shifts(low: float, high: float, size: float, allowed: Allowance) -> tuple[float, float]:
    """What to add to t for a lower and an upper bound: rigorous, each widened by eight times the rounding of its own computation."""
    epsilon = allowed.epsilon(size)
    slack = epsilon + UNIT * max(abs(low), abs(high))
    below, above = allowed.ratio * (low - slack) - epsilon, allowed.ratio * (high + slack) + epsilon
    own = 8 * UNIT * (allowed.ratio * (max(abs(low), abs(high)) + slack) + epsilon)
    return below - own, above + own


def floor(size: float, allowed: Allowance) -> float:
    """The half width that remains when the residual is a constant up to rounding: no float iteration proves more."""
    return allowed.epsilon(size) * (1 + allowed.ratio)


def possibly_optimal(mdp: MDP, lower: Array, upper: Array) -> Array:
    """(S, A) booleans: the actions that bounds on V* do not exclude, among them every optimal one."""
    from pgtheory.exact.evaluation import spread

    model = mdp.float
    centre = float((lower.min() + upper.max()) / 2)
    rows = model.choices
    longest = int(np.diff(rows.indptr).max()) if mdp.is_sparse else mdp.num_states
    defect = float(np.max(np.abs(rows @ np.ones(mdp.num_states) - 1)))
    allowed = allowance(mdp, float(np.max(np.abs(model.pair_rewards))), longest, defect)
    shift = model.discount * centre
    best_case = model.pair_rewards + model.discount * (rows @ (upper - centre)) + shift
    worst_case = model.pair_rewards + model.discount * (rows @ (lower - centre)) + shift
    size = float(max(np.abs(upper - centre).max(), np.abs(lower - centre).max()))
    slack = 2 * allowed.epsilon(size) + 8 * UNIT * (abs(centre) + size)
    threshold = np.maximum.reduceat(worst_case, mdp.first_pair[:-1])
    kept = best_case + slack >= np.repeat(threshold, np.diff(mdp.first_pair))
    return spread(mdp, kept) if mdp.is_rectangular else spread(mdp, kept.astype(float)) > 0


def _up(value: Fraction) -> float:
    """The value rounded up to a float (to nearest, then one float further if that was downwards)."""
    near = float(value)
    return near if Fraction(near) >= value else float(np.nextafter(near, np.inf))
