"""A statement: two expressions over quantities and a relation, for every instance and every step they speak of.

`gap(q.rho, q.t) <= log(q.A)/(q.eta*q.t)` is a sympy comparison; `Statement.of` takes it apart at once, because sympy would turn `3 >= x`
around and decide what it can.  Equations are written `equal(a, b)`.  Which steps are meant follows from the quantities: one that compares t
with t + 1 makes the statement one about consecutive steps.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import sympy

from proofs_check import expression
from proofs_check.expression import ExpressionError
from proofs_check.quantities import parse, quantity

RELATIONS = {"<=": sympy.LessThan, ">=": sympy.GreaterThan}
SIGN = {"<=": r"\le", ">=": r"\ge", "=": "="}


@dataclasses.dataclass(frozen=True)
class Statement:
    """`left relation right`, with relation one of <=, >=, =.  The measured side is the left one, the bound the right one."""

    left: sympy.Expr
    relation: str
    right: sympy.Expr

    @classmethod
    def of(cls, comparison: Any) -> Statement:
        """From a sympy comparison, from `equal(a, b)`, or from text such as "gap(rho, t) <= log(A)/(eta*t)"."""
        if isinstance(comparison, Statement):
            return comparison
        if isinstance(comparison, str):
            return parse_statement(comparison)
        for sign, kind in RELATIONS.items():
            if isinstance(comparison, kind):
                return cls(expression.check_exact(comparison.lhs), sign, expression.check_exact(comparison.rhs))
        if isinstance(comparison, sympy.core.relational.Relational):
            raise ExpressionError(f"{comparison}: a statement uses <=, >= or equal(a, b)")
        expression.check_exact(comparison)
        raise ExpressionError(f"{comparison!r} is no statement; compare two expressions with <=, >= or equal(a, b)")

    def __post_init__(self) -> None:
        for name in ("left", "right"):
            object.__setattr__(self, name, expression.real(getattr(self, name)))
        for symbol in self.left.free_symbols | self.right.free_symbols:
            quantity(symbol.name)

    def names(self) -> frozenset[str]:
        """Names of the quantities it speaks of."""
        return self._names

    @functools.cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(symbol.name for symbol in self.left.free_symbols | self.right.free_symbols)

    @functools.cached_property
    def over(self) -> str:
        """ "instance", "step" (every t) or "pair" (every t and t + 1)."""
        kinds = {quantity(name).varies for name in self.names()}
        return next((kind for kind in ("pair", "step") if kind in kinds), "instance")

    @property
    def history(self) -> bool:
        """Whether a quantity looks at every step so far."""
        return any(quantity(name).history for name in self.names())

    @functools.cached_property
    def is_ratio(self) -> bool:
        """Whether measured/bound means something: both sides are numbers that a bound relates."""
        return self.relation != "=" and all(quantity(name).entries == "number" for name in self.names()) and self.right != 0

    def replace_bound(self, bound: str | sympy.Expr) -> Statement:
        """The same measured side against another bound (text is parsed)."""
        right = parse(bound) if isinstance(bound, str) else expression.check_exact(bound)
        return dataclasses.replace(self, right=right)

    def text(self) -> str:
        """Text that `parse_statement` reads back."""
        return f"{expression.text(self.left)} {self.relation} {expression.text(self.right)}"

    def latex(self) -> str:
        """LaTeX of the statement."""
        names = {name: quantity(name).latex for name in self.names()}
        return f"{expression.latex(self.left, names)} {SIGN[self.relation]} {expression.latex(self.right, names)}"

    def mathml(self) -> str:
        """Presentation MathML, which browsers typeset without any script or network."""
        from proofs_check.mathml import from_latex

        return from_latex(self.latex())

    def sides(self, values: Mapping[str, Any], number: Any) -> tuple[Any, Any]:
        """Both sides evaluated on quantities that broadcast."""
        return expression.evaluate(self.left, values, number), expression.evaluate(self.right, values, number)


def equal(left: Any, right: Any) -> Statement:
    """The statement left = right (Python's == would compare the trees)."""
    return Statement(expression.check_exact(left), "=", expression.check_exact(right))


def parse_statement(text: str) -> Statement:
    """Reads "left <= right", "left >= right" or "left = right"."""
    for sign in ("<=", ">=", "==", "="):
        left, found, right = text.partition(sign)
        if found:
            return Statement(parse(left), sign[0] if sign == "==" else sign, parse(right))
    raise ExpressionError(f"{text!r} is no statement: it needs <=, >= or =")
