"""Identities proved for all numbers at once: the quantities' own code, run on rational functions.

For given S and A every transition probability, reward, policy probability, start weight and the discount becomes a variable.  Both sides of an
equation are then rational functions, and they are equal as functions when the polynomial (numerator * other denominator) difference is 0: a
proof for all instances of that size, whatever their numbers (no probability needs to sum to 1 unless a quantity uses it; the last entry of a
row is then 1 minus the others).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from proofs_check.claim import Case
from proofs_check.context import Context
from proofs_check.engine.measure import needed
from proofs_check.quantities import quantity

Array = np.ndarray


class RationalFunction:
    """numerator / denominator of multivariate polynomials over the rationals; no common factor is ever sought."""

    __slots__ = ("above", "below")

    def __init__(self, above: Any, below: Any) -> None:
        self.above, self.below = above, below

    def _lift(self, other: Any) -> RationalFunction:
        return other if isinstance(other, RationalFunction) else RationalFunction(self.below * 0 + other, self.below * 0 + 1)

    def __add__(self, other: Any) -> RationalFunction:
        if isinstance(other, np.ndarray):
            return NotImplemented  # numpy then adds it to each entry
        other = self._lift(other)
        if self.below == other.below:
            return RationalFunction(self.above + other.above, self.below)
        return RationalFunction(self.above * other.below + other.above * self.below, self.below * other.below)

    __radd__ = __add__

    def __neg__(self) -> RationalFunction:
        return RationalFunction(-self.above, self.below)

    def __sub__(self, other: Any) -> RationalFunction:
        if isinstance(other, np.ndarray):
            return NotImplemented
        return self + (-self._lift(other))

    def __rsub__(self, other: Any) -> RationalFunction:
        return -self + other

    def __mul__(self, other: Any) -> RationalFunction:
        if isinstance(other, np.ndarray):
            return NotImplemented
        other = self._lift(other)
        if self.above == 0 or other.above == 0:
            return RationalFunction(self.below * 0, self.below * 0 + 1)
        return RationalFunction(self.above * other.above, self.below * other.below).simplified()

    __rmul__ = __mul__

    def __pow__(self, exponent: int) -> RationalFunction:
        return RationalFunction(self.above**exponent, self.below**exponent)

    def __truediv__(self, other: Any) -> RationalFunction:
        if isinstance(other, np.ndarray):
            return NotImplemented
        other = self._lift(other)
        if other.above == 0:
            raise ZeroDivisionError("division by the zero function")
        return RationalFunction(self.above * other.below, self.below * other.above).simplified()

    def __rtruediv__(self, other: Any) -> RationalFunction:
        return self._lift(other) / self

    def __eq__(self, other: object) -> bool:
        first, second = self.simplified(), self._lift(other).simplified()
        a, b = first.below.leading_coefficient(), second.below.leading_coefficient()
        if first.below * b == second.below * a and first.above * b == second.above * a:  # the same in lowest terms
            return True
        return bool(first.above * second.below == second.above * first.below)

    def __hash__(self) -> int:
        raise TypeError("a rational function has no canonical form to hash")

    def simplified(self) -> RationalFunction:
        """Divided by the greatest common divisor, so that elimination does not swell."""
        common = self.above.gcd(self.below) if self.above != 0 else self.below
        return RationalFunction(self.above / common, self.below / common)


def symbolic_context(states: int, actions: int, *, two_policies: bool) -> Context:
    """An instance whose every number is a variable; rows of transitions, policies and mu sum to 1 by construction."""
    from flint import Ordering, fmpq_mpoly_ctx

    names = [f"p{s}_{a}_{u}" for s in range(states) for a in range(actions) for u in range(states - 1)]
    names += [f"r{s}_{a}" for s in range(states) for a in range(actions)]
    names += [f"{kind}{s}_{a}" for kind in ("x", "y" if two_policies else "")[: 1 + two_policies] for s in range(states) for a in range(actions - 1)]
    names += [f"m{s}" for s in range(states - 1)] + ["g"]
    ring = fmpq_mpoly_ctx.get(names, Ordering.degrevlex)
    one = ring.constant(1)
    variables = {name: RationalFunction(variable, one) for name, variable in zip(names, ring.gens(), strict=True)}
    unit = RationalFunction(one, one)

    def rows(shape: tuple[int, ...], entry: Any) -> Array:
        """Distributions along the last axis: variables, and 1 minus their sum."""
        out = np.empty(shape, dtype=object)
        for index in np.ndindex(shape[:-1]):
            rest = unit
            for k in range(shape[-1] - 1):
                out[(*index, k)] = variables[entry(*index, k)]
                rest = rest - out[(*index, k)]
            out[(*index, shape[-1] - 1)] = rest
        return out[None]

    rewards = np.empty((1, states, actions), dtype=object)
    for s, a in np.ndindex(states, actions):
        rewards[0, s, a] = variables[f"r{s}_{a}"]
    mu = rows((states,), lambda k: f"m{k}")
    discount = np.array([variables["g"]], dtype=object)
    policy = rows((states, actions), lambda s, a: f"x{s}_{a}")
    other = rows((states, actions), lambda s, a: f"y{s}_{a}") if two_policies else None
    transitions = rows((states, actions, states), lambda s, a, u: f"p{s}_{a}_{u}")
    return Context("symbolic", transitions, rewards, discount, mu, mu, {}, np.zeros(1, dtype=np.int64), policy[:, None], other=other)


def proved(case: Case, states: int, actions: int) -> bool:
    """Whether both sides of the equation are the same rational function for that size."""
    if case.statement.relation != "=":
        raise ValueError("only equations are proved symbolically here")
    context = symbolic_context(states, actions, two_policies=case.domain.other is not None)
    values = {name: _code(name)(context) for name in needed(case)}

    def number(p: int, q: int) -> RationalFunction:
        unit = context.discount[0] * 0 + 1
        return unit * p / q

    left, right = case.statement.sides(values, number)
    left, right = np.broadcast_arrays(left, right)
    return all(a == b for a, b in zip(left.reshape(-1), right.reshape(-1), strict=True))


def _code(name: str) -> Any:
    code = quantity(name).code
    assert code is not None
    return code
