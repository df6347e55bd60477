"""What a unit of threshold is worth: all optimal multipliers, and the optimum as a function of one threshold.

b -> V_r*(b) is concave and piecewise linear where the problem is feasible, and does not fall as a constraint is relaxed.  To the right of b
(relaxing) its slope is the smallest optimal multiplier, to the left (tightening) the largest; both together are the dual optimal interval of that
multiplier, since the slope in any direction is the least of <lambda, direction> over optimal lambda.  No feasible point to the left makes the
interval unbounded: Slater's condition fails, and lambda may be any number from the smallest up.

**How.**  The program of occupancies is solved for b + e, e > 0 arbitrarily small (`simplex`: right-hand sides compared from left to right).  Its
prices are the slope; the first e at which a basic variable would become negative is the next kink, where the search goes on.  All in rationals, so
kinks are exact.

Multipliers are in reward units per unit of the cost as given; for a ">=" constraint relaxing means lowering the threshold, and the slope is minus
that.  Source: Altman (1999), chapter 3; Bertsimas and Tsitsiklis (1997), chapter 5.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mdps.constrained import ConstrainedMDP
from mdps.errors import ModelError
from mdps.rational import rational
from pgtheory.constrained.exactly import ExactConstrainedSolution, occupancy_program, refuse_large, solve_constrained_exactly
from pgtheory.constrained.program import checked
from pgtheory.exact.simplex import Program, Ray, repair

Array = np.ndarray


@dataclass(frozen=True)
class MultiplierRange:
    """All optimal multipliers of one constraint at its threshold; numbers are `flint.fmpq`.

    least    the value of relaxing the threshold by one unit, for the first units
    most     the loss by tightening it; None where it cannot be tightened at all (then every number from `least` up is optimal)
    lowest   the threshold down to which tightening (relaxing for ">=") costs what it costs here; None without end
    highest  the same upwards
    """

    name: str
    least: Any
    most: Any
    lowest: Any
    highest: Any

    @property
    def is_unique(self) -> bool:
        return self.most is not None and self.least == self.most


@dataclass(frozen=True)
class ValueCurve:
    """The optimum as a function of one threshold between two ends: V(thresholds[k]) = values[k], linear in between.

    thresholds  (n,) fmpq, rising: the ends (or where feasibility begins) and all kinks between them
    values      (n,) fmpq
    slopes      (n - 1,) fmpq, dV / db on each piece
    """

    name: str
    thresholds: Array
    values: Array
    slopes: Array
    model: ConstrainedMDP = field(repr=False)

    def __call__(self, threshold: Any) -> Any:
        """V at one threshold, exactly.  Raises ModelError outside the ends."""
        at = rational(threshold)
        if not self.thresholds[0] <= at <= self.thresholds[-1]:
            raise ModelError(f"threshold {at} is outside {self.thresholds[0]} .. {self.thresholds[-1]}, where the curve was computed")
        k = max(k for k, b in enumerate(self.thresholds) if b <= at)
        return self.values[k] + (self.slopes[k] * (at - self.thresholds[k]) if k < len(self.slopes) else 0 * at)


def multiplier_ranges(model: ConstrainedMDP) -> list[MultiplierRange]:
    """The smallest and the largest optimal multiplier of every constraint, and how far its threshold may move before they change.

    raises   InfeasibleError, ModelError: as `solve_constrained_exactly`
    """
    solution = solve_constrained_exactly(model)
    ranges = []
    for i, name in enumerate(model.names):
        least, up = _first_piece(model, solution, i, 1)
        most, down = _first_piece(model, solution, i, -1)
        bound, sign = model.exact.thresholds[i], -1 if model.directions[i] == ">=" else 1
        ends = [None if step is None else bound + direction * step for direction, step in ((sign, up), (-sign, down))]
        ranges.append(MultiplierRange(name, least, most, *(ends[::-1] if sign == 1 else ends)))
    return ranges


def value_curve(model: ConstrainedMDP, constraint: str | int, low: Any, high: Any) -> ValueCurve:
    """The optimum for all thresholds of one constraint in [low, high], the others as they are, with every kink exactly.

    raises   ModelError: low > high, an unknown constraint.  InfeasibleError: no threshold in [low, high] can be met
    """
    i = checked(model).index(constraint)
    refuse_large(model)
    ends = rational(low), rational(high)
    if ends[0] > ends[1]:
        raise ModelError(f"the thresholds go from {low} to {high}; the first must be the smaller one")
    rising = model.directions[i] == "<="
    loose = model.replace(thresholds=[ends[1 if rising else 0] if k == i else b for k, b in enumerate(model.exact.thresholds)])
    solution = solve_constrained_exactly(loose)
    points, values, slopes = [ends[1] if rising else -ends[0]], [solution.value], []
    last = ends[0] if rising else -ends[1]
    while points[-1] > last:  # from the loosest threshold down, in the form "<="
        slope, step = _first_piece(loose, solution, i, -1, points[-1])
        if slope is None:
            break
        end = last if step is None else max(points[-1] - step, last)
        slopes.append(slope)
        values.append(values[-1] - slope * (points[-1] - end))
        points.append(end)
    order = -1 if rising else 1
    sign = 1 if rising else -1
    bounds, worth, rise = (np.array(part[::order], dtype=object) for part in ([sign * b for b in points], values, [sign * s for s in slopes]))
    return ValueCurve(model.names[i], bounds, worth, rise, model)


def _first_piece(model: ConstrainedMDP, solution: ExactConstrainedSolution, i: int, direction: int, bound: Any = None) -> tuple[Any, Any]:
    """(multiplier, length) of the linear piece that begins at threshold `bound` (in the form "<=") and goes up or down.

    Length None: without end.  Multiplier None, length 0: nothing is feasible in that direction."""
    exact = model.exact
    row, scale, zero = exact.num_states + i, 1 - exact.discount, 0 * exact.discount
    at, basis, length, multiplier = exact.upper_thresholds[i] if bound is None else bound, list(solution.basis), zero, None
    program = occupancy_program(exact)
    while True:  # several bases may share a slope: go on until it changes
        sides = [(b, zero) for (b,) in program.rhs]
        sides[row] = (scale * (at + direction * length), scale * direction)
        moved = Program(program.columns, program.objective, sides)
        found = repair(moved, basis)
        if isinstance(found, Ray):
            return multiplier, length
        slope = found.prices[row]
        if multiplier is not None and slope != multiplier:
            return multiplier, length
        multiplier = slope
        steps = [x / -d for x, d in found.point if d < 0]
        if not steps:
            return multiplier, None
        length, basis = length + min(steps), found.basis
