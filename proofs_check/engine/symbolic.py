"""Identities proved for all numbers at once: the quantities' own code, run on rational functions.

For given S and A every transition probability, reward, policy probability, start weight and the discount becomes a variable.  Both sides of an
equation are then rational functions, and they are equal as functions when the polynomial (numerator * other denominator) difference is 0: a
proof for all instances of that size, whatever their numbers (no probability needs to sum to 1 unless a quantity uses it; the last entry of a
row is then 1 minus the others).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from flint.utils.flint_exceptions import DomainError

from mdps.errors import ModelError
from proofs_check.claim import Case
from proofs_check.context import Context
from proofs_check.engine.measure import needed
from proofs_check.quantities import quantity

Array = np.ndarray
Factors = dict[str, tuple[Any, int]]
"""Polynomials by their text, each with its power."""


class RationalFunction:
    """numerator / denominator of multivariate polynomials over the rationals.

    The denominator is kept as a product of the polynomials that were divided by; a product or quotient is divided by those of them that divide its
    numerator, so that elimination does not swell.  No greatest common divisor is sought: it is what takes long in many variables.
    """

    __slots__ = ("_below", "above", "factors")

    def __init__(self, above: Any, below: Any) -> None:
        self._of(above, {})
        if not below.is_constant():
            lead = below.leading_coefficient()
            monic = below / lead
            self.above, self.factors = above / lead, {str(monic): (monic, 1)}
        elif below != 1:
            self.above = above / below.leading_coefficient()

    def _of(self, above: Any, factors: Factors) -> RationalFunction:
        self.above, self.factors, self._below = above, factors, None
        return self

    def _new(self, above: Any, factors: Factors) -> RationalFunction:
        """Another function of the same kind."""
        return RationalFunction.__new__(RationalFunction)._of(above, factors)

    def _lift(self, other: Any) -> RationalFunction:
        return other if isinstance(other, RationalFunction) else self._new(self.above * 0 + other, {})

    @property
    def below(self) -> Any:
        """The denominator, multiplied out."""
        if self._below is None:
            self._below = _product(self.factors, self.above * 0 + 1)
        return self._below

    def __add__(self, other: Any) -> Any:
        if isinstance(other, np.ndarray):
            return NotImplemented  # numpy then adds it to each entry
        other = self._lift(other)
        if self.factors == other.factors:
            return self._new(self.above + other.above, self.factors)
        common = {
            key: max((factors[key] for factors in (self.factors, other.factors) if key in factors), key=lambda f: f[1])
            for key in (*self.factors, *other.factors)
        }
        first, second = (x.above * _product(_without(common, x.factors), x.above * 0 + 1) for x in (self, other))
        return self._new(first + second, common)

    __radd__ = __add__

    def __neg__(self) -> Any:
        return self._new(-self.above, self.factors)

    def __sub__(self, other: Any) -> Any:
        if isinstance(other, np.ndarray):
            return NotImplemented
        return self + (-self._lift(other))

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, np.ndarray):
            return NotImplemented
        other = self._lift(other)
        if self.above == 0 or other.above == 0:
            return self._new(self.above * 0, {})
        first, second = _cancelled(self.above, other.factors), _cancelled(other.above, self.factors)
        return self._new(first[0] * second[0], _joined(first[1], second[1]))

    __rmul__ = __mul__

    def __pow__(self, exponent: int) -> Any:
        return self._new(self.above**exponent, {key: (f, k * exponent) for key, (f, k) in self.factors.items()} if exponent else {})

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, np.ndarray):
            return NotImplemented
        other = self._lift(other)
        if other.above == 0:
            raise ZeroDivisionError("division by the zero function")
        return self * other.reciprocal()

    def __rtruediv__(self, other: Any) -> Any:
        return self._lift(other) / self

    def reciprocal(self) -> Any:
        """1 / self."""
        lead = self.above.leading_coefficient()
        monic = self.above / lead
        return self._new(self.below / lead, {} if monic.is_constant() else {str(monic): (monic, 1)})

    def same(self, other: object) -> bool:
        """Whether both are the same function."""
        return bool((self - other).above == 0)

    def __eq__(self, other: object) -> bool:
        return self.same(other)

    def __hash__(self) -> int:
        raise TypeError("a rational function has no canonical form to hash")

    def simplified(self) -> Any:
        """Divided by what the numerator and the known factors of the denominator have in common."""
        return self._new(*_cancelled(self.above, self.factors))


def _product(factors: Factors, one: Any) -> Any:
    for polynomial, power in factors.values():
        one = one * polynomial**power
    return one


def _without(factors: Factors, others: Factors) -> Factors:
    """The factors, each to its power less that among the others."""
    return {key: (f, k - others.get(key, (f, 0))[1]) for key, (f, k) in factors.items()}


def _joined(first: Factors, second: Factors) -> Factors:
    """The product of two denominators."""
    out = dict(first)
    for key, (polynomial, power) in second.items():
        out[key] = (polynomial, power + out.get(key, (polynomial, 0))[1])
    return out


def _cancelled(above: Any, factors: Factors) -> tuple[Any, Factors]:
    """Numerator and denominator, divided by the factors that divide the numerator, in whole or in part."""
    if above.is_constant():
        return above, factors
    kept: Factors = {}
    for key, (polynomial, power) in factors.items():
        while power:
            try:
                above = above / polynomial
            except DomainError:
                break
            power -= 1
        if power:
            kept[key] = (polynomial, power)
    return above, kept


def symbolic_context(states: int, actions: int, *, two_policies: bool, extras: tuple[Any, ...] = ()) -> Context:
    """An instance whose every number is a variable; rows of transitions, policies and mu sum to 1 by construction, and so do extras that are rows."""
    from flint import Ordering, fmpq_mpoly_ctx

    names = [f"p{s}_{a}_{u}" for s in range(states) for a in range(actions) for u in range(states - 1)]
    names += [f"r{s}_{a}" for s in range(states) for a in range(actions)]
    names += [f"{kind}{s}_{a}" for kind in ("x", "y" if two_policies else "")[: 1 + two_policies] for s in range(states) for a in range(actions - 1)]
    names += [f"m{s}" for s in range(states - 1)] + ["g"]
    shapes = {label: extra.shape(states, actions) for label, extra in extras}
    for label, extra in extras:
        if extra.kind == "choice":
            raise ModelError(f"{label} is a choice, not a number that may vary")
        names += [f"{label}_" + "_".join(map(str, index)) for index in np.ndindex(_free_entries(extra, shapes[label]))]
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
    further = {}
    for label, extra in extras:

        def entry(*index: int, label: str = label) -> str:
            return f"{label}_" + "_".join(map(str, index))

        if extra.kind == "real":
            further[label] = np.empty((1, *shapes[label]), dtype=object)
            for index in np.ndindex(shapes[label]):
                further[label][(0, *index)] = variables[entry(*index)]
        else:
            further[label] = rows(shapes[label], entry)
    return Context("symbolic", transitions, rewards, discount, mu, mu, {}, np.zeros(1, dtype=np.int64), policy[:, None], other=other, extras=further)


def _free_entries(extra: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an extra's variables: rows that sum to 1 have one fewer."""
    return shape if extra.kind == "real" else (*shape[:-1], shape[-1] - 1)


def proved(case: Case, states: int, actions: int) -> bool:
    """Whether both sides of the equation are the same rational function for that size."""
    if case.statement.relation != "=":
        raise ValueError("only equations are proved symbolically here")
    context = symbolic_context(states, actions, two_policies=case.domain.other is not None, extras=case.domain.extras)
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
