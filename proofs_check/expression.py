"""Bounds as expressions: read from text, evaluated on arrays of any arithmetic, written as text, LaTeX and MathML.

An expression is a sympy tree over symbols *without* assumptions (with them sympy would decide statements on the spot).  Text is read by a
parser of our own over Python's grammar; nothing of it is executed.  Numbers are exact: 0.1 means 1/10.  `evaluate` walks the tree and
applies ordinary operators, so one walk serves float64 arrays, rationals and balls.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import sympy

from mdps.errors import ModelError, nearest

FUNCTIONS: dict[str, Any] = {"log": sympy.log, "exp": sympy.exp, "sqrt": sympy.sqrt, "max": sympy.Max, "min": sympy.Min, "abs": sympy.Abs}


class ExpressionError(ModelError):
    """Text that is no expression, or an expression that a statement cannot hold."""


def parse(text: str, names: Mapping[str, sympy.Symbol], calls: Mapping[str, Callable[..., sympy.Expr]] | None = None) -> sympy.Expr:
    """Reads an expression such as "log(A)/(eta*t) + 1/((1-gamma)**2*t)".

    names   the symbols it may use;  calls   further functions of symbols, such as gap(rho, t)
    raises  ExpressionError: names the word, the nearest known ones, and the column
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise ExpressionError(f"{text!r} is no expression: {error.msg} at column {error.offset}") from None
    return real(_read(tree.body, text, names, calls or {}))


def real(tree: sympy.Expr) -> sympy.Expr:
    """The tree without sympy's re(...): it takes no quantity for real, and writes |exp(x)| as exp(re(x))."""
    return tree.replace(sympy.re, lambda part: part) if tree.has(sympy.re) else tree


def _read(node: ast.expr, text: str, names: Mapping[str, sympy.Symbol], calls: Mapping[str, Callable[..., sympy.Expr]]) -> sympy.Expr:
    def inner(child: ast.expr) -> sympy.Expr:
        return _read(child, text, names, calls)

    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() as value):
            return sympy.Integer(value)
        case ast.Constant(value=float() as value):
            exact = Fraction(ast.get_source_segment(text.strip(), node) or repr(value))
            return sympy.Rational(exact.numerator, exact.denominator)
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.Name(id=name):
            raise ExpressionError(f"unknown quantity {name!r} in {text!r}.{nearest(name, list(names))} `pgtheory claims quantities` lists all")
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -inner(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return inner(operand)
        case ast.BinOp(op=ast.BitXor()):
            raise ExpressionError(f"{text!r} uses ^; a power is written ** here")
        case ast.BinOp(left=left, op=op, right=right):
            a, b = inner(left), inner(right)
            match op:
                case ast.Add():
                    return a + b
                case ast.Sub():
                    return a - b
                case ast.Mult():
                    return a * b
                case ast.Div():
                    if b == 0:
                        raise ExpressionError(f"{text!r} divides by zero")
                    return a / b
                case ast.Pow():
                    return a**b
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            if name in FUNCTIONS:
                if name not in ("max", "min") and len(args) != 1:
                    raise ExpressionError(f"{name} takes one argument in {text!r}")
                return FUNCTIONS[name](*map(inner, args))
            if name in calls:
                try:
                    return calls[name](*map(inner, args))
                except TypeError:
                    raise ExpressionError(f"{name}(...) is called with {len(args)} arguments in {text!r}") from None
            raise ExpressionError(f"unknown function {name!r} in {text!r}.{nearest(name, [*FUNCTIONS, *calls])}")
    raise ExpressionError(f"{text!r} holds {ast.unparse(node)!r}; an expression has numbers, quantities, + - * / ** and {', '.join(FUNCTIONS)}")


def check_exact(expression: Any) -> sympy.Expr:
    """`expression` as a sympy tree; refuses floats, which would carry 53 bits into exact arithmetic, and truth values."""
    if isinstance(expression, bool | sympy.logic.boolalg.BooleanAtom):
        raise ExpressionError("a comparison was decided while the statement was written (it is a truth value); compare two quantities")
    tree = sympy.sympify(expression) if isinstance(expression, int | Fraction) else expression
    if isinstance(tree, float) or (isinstance(tree, sympy.Basic) and tree.has(sympy.Float)):
        raise ExpressionError(f"{tree} holds a float; write an exact number: Rational(1, 2) or Fraction(1, 2) instead of 0.5")
    if not isinstance(tree, sympy.Expr):
        raise ExpressionError(f"{expression!r} is no expression over quantities")
    return real(tree)


def evaluate(expression: sympy.Expr, values: Mapping[str, Any], number: Callable[[int, int], Any]) -> Any:
    """The value of a tree: symbols from `values` (arrays that broadcast), rational constants through `number(p, q)`.

    Powers with integer exponents are repeated multiplication in every arithmetic; `log`, `exp`, `sqrt` need floats or balls.
    """
    return _program(expression)(values, number)


Program = Callable[[Mapping[str, Any], Callable[[int, int], Any]], Any]


@functools.lru_cache(maxsize=4096)
def _program(node: sympy.Basic) -> Program:
    """What evaluates a tree: read once, because a search evaluates the same few trees tens of times."""
    match node:
        case sympy.Symbol():
            return functools.partial(_looked_up, node.name)
        case sympy.Rational():
            return functools.partial(_constant, int(node.p), int(node.q))
        case sympy.Add():
            return _folded(lambda a, b: a + b, node.args)
        case sympy.Mul():
            above = [a for a in node.args if not _is_reciprocal(a)]
            below = [(_program(a.base), int(-a.exp)) for a in node.args if _is_reciprocal(a)]
            return functools.partial(_quotient, _folded(lambda a, b: a * b, above) if above else None, below)
        case sympy.Pow(base=base, exp=exponent):
            inner = _program(base)
            if exponent.is_Integer:
                whole = int(exponent)
                return (lambda v, n: power(inner(v, n), whole)) if whole > 0 else (lambda v, n: 1 / power(inner(v, n), -whole))
            if exponent == sympy.Rational(1, 2):
                return lambda v, n: _apply("sqrt", inner(v, n))
            if exponent == sympy.Rational(-1, 2):
                return lambda v, n: 1 / _apply("sqrt", inner(v, n))
            raised = _program(exponent)
            return lambda v, n: power(inner(v, n), raised(v, n))
        case sympy.Max() | sympy.Min():
            return _folded(_larger if isinstance(node, sympy.Max) else _smaller, node.args)
        case sympy.log() | sympy.exp():
            name, argument = ("log" if isinstance(node, sympy.log) else "exp"), _program(node.args[0])
            return lambda v, n: _apply(name, argument(v, n))
        case sympy.Abs():
            argument = _program(node.args[0])
            return lambda v, n: abs(argument(v, n))
    raise ExpressionError(f"{node} (a {type(node).__name__}) cannot be evaluated; use + - * / **, log, exp, sqrt, max, min, abs")


def _looked_up(name: str, values: Mapping[str, Any], number: Any) -> Any:
    if name not in values:
        raise ExpressionError(f"{name} has no value here; known are {', '.join(values) or 'none'}")
    return values[name]


def _constant(p: int, q: int, values: Any, number: Callable[[int, int], Any]) -> Any:
    return number(p, q)


def _folded(combine: Callable[[Any, Any], Any], nodes: Any) -> Program:
    """The entries combined from left to right."""
    first, *others = map(_program, nodes)

    def run(values: Mapping[str, Any], number: Callable[[int, int], Any]) -> Any:
        total = first(values, number)
        for other in others:
            total = combine(total, other(values, number))
        return total

    return run


def _quotient(above: Program | None, below: list[tuple[Program, int]], values: Mapping[str, Any], number: Callable[[int, int], Any]) -> Any:
    """A product divided by powers, one after the other: 1/(a*b) is (1/a)/b, and never a product of reciprocals."""
    top = None if above is None else above(values, number)
    for base, exponent in below:
        divisor = power(base(values, number), exponent)
        top = 1 / divisor if top is None else top / divisor
    return top


def power(base: Any, exponent: Any) -> Any:
    """base ** exponent elementwise; whole exponents are repeated multiplication in every arithmetic (0 ** 0 is 1)."""
    array = np.asarray(base)
    if array.dtype != object and np.asarray(exponent).dtype != object:
        return base**exponent

    def one(x: Any, n: Any) -> Any:
        whole = _whole(n)
        if whole is None:
            return (n * x.log()).exp()
        return _product(x, whole) if whole >= 0 else 1 / _product(x, -whole)

    return np.frompyfunc(one, 2, 1)(array, exponent)


def _product(number: Any, count: int) -> Any:
    """number ** count by squaring; flint's own power of a ball around 0 is undefined."""
    result = number * 0 + 1
    while count:
        if count & 1:
            result = result * number
        number, count = number * number, count >> 1
    return result


def _whole(number: Any) -> int | None:
    """The integer that a rational or an exact ball is, or None."""
    if isinstance(number, int | np.integer):
        return int(number)
    if hasattr(number, "mid"):
        return int(float(number)) if number.is_exact() and float(number).is_integer() else None
    return int(number.p) if number.q == 1 else None


def _is_reciprocal(node: sympy.Basic) -> bool:
    return isinstance(node, sympy.Pow) and node.exp.is_Integer and node.exp < 0


def _apply(name: str, value: Any) -> Any:
    """log, exp or sqrt of floats or balls; a TypeError says that rationals cannot hold it."""
    from pgtheory import arithmetic

    if name == "sqrt" and arithmetic.kind(value) == "ball":  # arithmetic.sqrt is for numbers known to be nonnegative; here a negative one is none
        return arithmetic.elementwise(lambda x: x.sqrt(), value)
    return getattr(arithmetic, name)(value)


def _larger(a: Any, b: Any) -> Any:
    from proofs_check.numbers import larger

    return larger(a, b)


def _smaller(a: Any, b: Any) -> Any:
    return -_larger(-a, -b)


def text(expression: sympy.Expr) -> str:
    """The expression as text that `parse` reads back."""
    printed = sympy.sstr(expression, order="none").replace("Max(", "max(").replace("Min(", "min(").replace("Abs(", "abs(")
    return re.sub(r"\bE\b", "exp(1)", printed)


def latex(expression: sympy.Expr, symbols: Mapping[str, str]) -> str:
    """LaTeX of the expression; `symbols` maps quantity names to LaTeX."""
    return sympy.latex(expression, symbol_names={s: symbols[s.name] for s in expression.free_symbols if s.name in symbols}, order="none")
