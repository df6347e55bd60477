"""Rational functions with an order: the code of quantities and of methods, run once for each way in which its comparisons can come out.

A comparison a >= b of two functions on a region is settled where a - b has one sign there (`polynomials.Signs`).  Where it has not, the region is
split: on one path the code goes on with a >= b and the polynomial inequality a - b >= 0 is known from there on, on the other with a <= b.  So max,
min, sorting, |x|, policy improvement and projections need no code of their own, and every instance lies on at least one path, equality on both.
A strict a < b is split also where b - a >= 0 is known, since code that asks so (policy improvement) may do something else at equality; >= and <=
serve max, min and |x|, which give the same number either way.

    sqrt      of a function q is the number 1 * sqrt(q); products and quotients of such numbers are again c sqrt(q), and two are compared by squares
    log, exp  log p is kept as it is: exp(log p + x) = p exp(x).  Of exp(x) only its side of 1 is used: a fresh variable k >= 0 with exp(x) = 1 + k
              where x >= 0, and exp(x) = 1 - k with k in [0, 1] where x <= 0.  What is proved with it holds for every function on that side of 1.

Soundness: a statement is proved where it holds on every path, for all values of the fresh variables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from proofs_check.engine.polynomials import Signs, name_of
from proofs_check.engine.symbolic import Factors, RationalFunction


class Unprovable(ArithmeticError):
    """The code does something with a function that cannot be followed here; says what."""


MOST_PATHS = 512


class Path:
    """One way through the comparisons: decisions made beforehand, the choices met, and what is known on it."""

    def __init__(self, signs: Signs, decisions: tuple[bool, ...], spare_up: list[Any], spare_down: list[Any]) -> None:
        self.signs, self.decisions = signs.within(), decisions
        self.taken: list[bool] = []
        self.conditions: list[Ordered] = []
        self.ranges: list[Ordered] = []
        self.spare_up, self.spare_down = list(spare_up), list(spare_down)
        self.exponentials: dict[str, Ordered] = {}

    def at_least(self, a: Ordered, b: Ordered, strictly: bool = False) -> bool:
        """Whether a >= b (a > b) on this path."""
        difference = a - b
        sign = self.sign(difference)
        if sign is not None and not (strictly and sign > 0):
            return sign >= (1 if strictly else 0)
        taken = self.decisions[len(self.taken)] if len(self.taken) < len(self.decisions) else True
        self.taken.append(taken)
        self.assume(difference if taken else -difference, by_choice=taken or not strictly)
        return taken

    def assume(self, difference: Ordered, *, of_range: bool = False, by_choice: bool = False) -> None:
        """From here on `difference` is nonnegative: because of a comparison (`by_choice`: one whose two ways agree at equality, or that is strict
        and true), or of the range of a number of the instance."""
        (self.ranges if of_range else self.conditions).append(difference)
        for denominator, _ in difference.factors.values():  # the code has divided by it
            self.signs.nonzero.update(name_of(factor) for factor, _ in denominator.factor()[1])
        self.signs.learn(self.cleared(difference), by_choice)

    def sign(self, x: Ordered) -> int | None:
        return self.signs.sign(self.cleared(x))

    def multipliers(self, x: Ordered) -> list[Ordered]:
        """1 and the irreducible factors of the denominator, taken nonnegative, and their reciprocals."""
        one = x._lift(1)
        out = [one]
        for whole, _ in x.factors.values():
            for factor, _ in whole.factor()[1]:
                sign = self.signs.sign(factor)
                if sign:
                    known = Ordered.of(factor * sign, self)
                    out += [known, known.reciprocal()]
        return out

    def cleared(self, x: Ordered) -> Any:
        """x times something nonnegative that makes it a polynomial."""
        x, sign = x.simplified(), 1
        for factor, power in x.factors.values():
            if power % 2:
                known = self.signs.sign(factor)
                if not known:
                    raise Unprovable("a denominator changes its sign on the region")
                sign *= known
        return x.above * sign

    def alternatives(self) -> Iterator[tuple[bool, ...]]:
        """The decisions of the other paths that this one has met and nobody has asked for yet."""
        for k in range(len(self.decisions), len(self.taken)):
            yield (*self.taken[:k], not self.taken[k])


class Ordered(RationalFunction):
    """A rational function on a region, compared on a path."""

    __slots__ = ("path",)

    path: Path

    @classmethod
    def of(cls, polynomial: Any, path: Path) -> Ordered:
        """A polynomial on a path."""
        out = cls.__new__(cls)
        out._of(polynomial, {})
        out.path = path
        return out

    def _new(self, above: Any, factors: Factors) -> Ordered:
        out = Ordered.of(above, self.path)
        out.factors = factors
        return out

    def __mul__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, Root | Logarithm) else super().__mul__(other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, Root | Logarithm) else super().__truediv__(other)

    def __add__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, Root | Logarithm) else super().__add__(other)

    __radd__ = __add__

    def __ge__(self, other: Any) -> bool:
        return self.path.at_least(self, self._lift(other)) if not isinstance(other, Root) else NotImplemented

    def __le__(self, other: Any) -> bool:
        return self.path.at_least(self._lift(other), self) if not isinstance(other, Root) else NotImplemented

    def __gt__(self, other: Any) -> bool:
        return self.path.at_least(self, self._lift(other), True) if not isinstance(other, Root) else NotImplemented

    def __lt__(self, other: Any) -> bool:
        return self.path.at_least(self._lift(other), self, True) if not isinstance(other, Root) else NotImplemented

    def __eq__(self, other: object) -> bool:
        """True where both are the same function, False where they differ at every point; raises Unprovable in between, where code that asks
        `x == 0` would take one way for some instances and the other way for others."""
        if self.same(other):
            return True
        factors = (self - other).above.factor()[1]
        if all(name_of(factor) in self.path.signs.nonzero for factor, _ in factors):
            return False
        raise Unprovable("whether two numbers are equal depends on the instance")

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # type: ignore[assignment]

    def _lift(self, other: Any) -> Ordered:
        return other if isinstance(other, Ordered) else self._new(self.above * 0 + other, {})

    def __abs__(self) -> Ordered:
        return self if self >= 0 else -self

    def sqrt(self) -> Root:
        return Root(self._lift(1), self)

    def log(self) -> Logarithm:
        return Logarithm(self, self._lift(0))

    def exp(self) -> Ordered:
        """1 + k or 1 - k with a fresh variable k; the same function gets the same variable."""
        path = self.path
        if self.above == 0:
            return self._lift(1)
        name = f"{name_of(self.above)} over {name_of(self.below)} times {self.above.leading_coefficient() / self.below.leading_coefficient()}"
        if name not in path.exponentials:
            up = self >= 0
            spare = path.spare_up if up else path.spare_down
            if not spare:
                raise Unprovable("more exponentials than fresh variables")
            k = Ordered.of(spare.pop(0), path)
            path.exponentials[name] = 1 + k if up else 1 - k
        return path.exponentials[name]

    @property
    def p(self) -> Any:
        """Numerator of a constant function in lowest terms."""
        return self._constant().p

    @property
    def q(self) -> Any:
        """Denominator of a constant function in lowest terms."""
        return self._constant().q

    def _constant(self) -> Any:
        if not self.above.is_constant() or self.factors:
            raise Unprovable("an exponent that is no number")
        return self.above.leading_coefficient()

    def half_power(self, halves: int) -> Any:
        """self to the power halves/2."""
        whole = self ** (abs(halves) // 2)
        result: Any = whole * self.sqrt() if halves % 2 else whole
        return result if halves >= 0 else 1 / result


class Root:
    """factor * sqrt(under), `under` nonnegative."""

    __slots__ = ("factor", "under")

    def __init__(self, factor: Ordered, under: Ordered) -> None:
        self.factor, self.under = factor, under

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, np.ndarray):
            return NotImplemented
        if isinstance(other, Root):
            if self.under.same(other.under):
                return self.factor * other.factor * self.under
            return Root(self.factor * other.factor, self.under * other.under)
        return Root(self.factor * other, self.under)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, np.ndarray):
            return NotImplemented
        if isinstance(other, Root):
            return self * Root(1 / (other.factor * other.under), other.under)
        return Root(self.factor / other, self.under)

    def __rtruediv__(self, other: Any) -> Any:
        return Root(other / (self.factor * self.under), self.under)

    def __neg__(self) -> Root:
        return Root(-self.factor, self.under)

    def __pow__(self, exponent: int) -> Any:
        result: Any = self
        for _ in range(exponent - 1):
            result = result * self
        return result

    def __abs__(self) -> Root:
        return Root(abs(self.factor), self.under)

    def square(self) -> Ordered:
        """The square, with the sign of the number."""
        square = self.factor * self.factor * self.under
        return square if self.factor >= 0 else -square

    def __ge__(self, other: Any) -> bool:
        return self.square() >= signed_square(other, self.factor)

    def __le__(self, other: Any) -> bool:
        return self.square() <= signed_square(other, self.factor)

    def __gt__(self, other: Any) -> bool:
        return self.square() > signed_square(other, self.factor)

    def __lt__(self, other: Any) -> bool:
        return self.square() < signed_square(other, self.factor)


def signed_square(x: Any, like: Ordered) -> Ordered:
    """x |x|: rises with x, and is a function even where x is a root."""
    if isinstance(x, Root):
        return x.square()
    x = like._lift(x)
    return x * x if x >= 0 else -(x * x)


class Logarithm:
    """log(base) + offset; what a softmax policy's logits are."""

    __slots__ = ("base", "offset")

    def __init__(self, base: Ordered, offset: Any) -> None:
        self.base, self.offset = base, offset

    def __add__(self, other: Any) -> Any:
        if isinstance(other, np.ndarray):
            return NotImplemented
        if isinstance(other, Logarithm):
            return Logarithm(self.base * other.base, self.offset + other.offset)
        return Logarithm(self.base, self.offset + other)

    __radd__ = __add__

    def __neg__(self) -> Logarithm:
        return Logarithm(1 / self.base, -self.offset)

    def __sub__(self, other: Any) -> Any:
        if isinstance(other, np.ndarray):
            return NotImplemented
        return self + (-other)

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __rmul__(self, other: Any) -> Any:
        """A number times log(base): for powers with a half in the exponent."""
        if isinstance(other, np.ndarray):
            return NotImplemented
        if not self.offset.same(0):
            raise Unprovable("a multiple of a logarithm")
        count = 2 * self.base._lift(other)._constant()
        if count.q != 1:
            raise Unprovable(f"a power with the exponent {count / 2}")
        return _Power(self.base, int(count.p))

    def exp(self) -> Any:
        return self.base * self.offset.exp() if not isinstance(self.offset, int) else self.base


class _Power:
    """halves/2 * log(base), on its way to exp."""

    def __init__(self, base: Ordered, halves: int) -> None:
        self.base, self.halves = base, halves

    def exp(self) -> Any:
        return self.base.half_power(self.halves)


def every_path(signs: Signs, spare_up: list[Any], spare_down: list[Any], follow: Callable[[Path], bool], most: int = MOST_PATHS) -> int | None:
    """Follows the code along every path; the number of paths where all of them are proved, None as soon as one is not."""
    work: list[tuple[bool, ...]] = [()]
    count = 0
    while work:
        path = Path(signs, work.pop(), spare_up, spare_down)
        count += 1
        if count > most:
            raise Unprovable(f"more than {most:,} paths")
        proved = follow(path)
        if not proved:
            return None
        work.extend(path.alternatives())
    return count
