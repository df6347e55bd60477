"""The list of named instances, and how their text form is read.

An instance is a function decorated with `@instance(...)`; `entry(name)` is its record.  The text form is a Python call of literals,
`chain(3, 9/10)` or `frozen_lake(8, slippery=False)`: numbers are read exactly (0.9 is 9/10), `+ - * / **` work between numbers, and nothing
else is evaluated.  Case and hyphens do not matter: `LOOP(.9)`, `frozen-lake(8)`.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from mdps.errors import ModelError, nearest
from mdps.model import MDP
from mdps.rational import fraction, rational_array, simplest

MODULES = ("bandits", "classics", "grids", "hard", "risk", "utilities")
LARGEST_POWER = 2**20
"""Bits that a power may have: 9**(9**9) would fill the memory."""


@dataclass(frozen=True)
class Entry:
    """One named instance.

    function   builds the MDP
    source     where it comes from
    about      the first line of its docstring
    optimum    V* (S,) as `flint.fmpq` for the arguments of `function`, or None where no closed form is known for them
    """

    name: str
    function: Callable[..., MDP]
    source: str
    about: str
    closed_form: Callable[..., list[Fraction] | None] | None = None

    @property
    def parameters(self) -> str:
        """The signature as text: 'size=4, slippery=True, discount=99/100'."""
        return ", ".join(p.name if p.default is p.empty else f"{p.name}={p.default}" for p in inspect.signature(self.function).parameters.values())

    def optimum(self, *args: Any, **kwargs: Any) -> np.ndarray | None:
        """V* as an object array of `flint.fmpq`, or None."""
        if self.closed_form is None:
            return None
        bound = self.bind(args, kwargs)
        values = self.closed_form(*bound.args, **bound.kwargs)
        return None if values is None else rational_array(values)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments:
        try:
            bound = inspect.signature(self.function).bind(*args, **kwargs)
        except TypeError as error:
            raise ModelError(f"{self.name}({self.parameters}): {error}") from error
        bound.apply_defaults()
        return bound


def instance(source: str, optimum: Callable[..., list[Fraction] | None] | None = None) -> Callable[[Callable[..., MDP]], Callable[..., MDP]]:
    """Registers a function that builds an MDP; `optimum` takes the same arguments and returns V* as Fractions (or None)."""

    def register(function: Callable[..., MDP]) -> Callable[..., MDP]:
        about = (function.__doc__ or "").strip().splitlines()[0]
        function.entry = Entry(function.__name__, function, source, about, optimum)  # type: ignore[attr-defined]
        return function

    return register


def entries() -> dict[str, Entry]:
    """Every named instance, by name, in alphabetical order."""
    found: dict[str, Entry] = {}
    for module in MODULES:
        for item in vars(importlib.import_module(f"mdps.zoo.{module}")).values():
            if isinstance(getattr(item, "entry", None), Entry):
                found[item.entry.name] = item.entry
    return dict(sorted(found.items()))


def names() -> list[str]:
    """The names of all instances."""
    return list(entries())


def entry(name: str) -> Entry:
    """The record of one instance; an unknown name raises ModelError with the nearest known ones."""
    known = entries()
    key = normal(name)
    if key not in known:
        raise ModelError(f"the zoo has no instance {name!r}.{nearest(key, list(known)) or ' It has ' + ', '.join(known) + '.'}")
    return known[key]


def normal(name: str) -> str:
    """A name as the registry spells it: 'Frozen-Lake' is frozen_lake."""
    return name.strip().lower().replace("-", "_")


def load(expression: str, discount: Any = None) -> MDP:
    """The model of a text such as "chain(3, 0.9)" or "frozen_lake(8)".

    discount   replaces the instance's own, where given
    raises     ModelError: unknown name (lists the nearest), wrong arguments, text that is no call of literals
    """
    found, args, kwargs = parse(expression)
    bound = found.bind(args, kwargs)
    if discount is not None and "discount" in bound.arguments:
        bound.arguments["discount"] = discount
        discount = None
    model = found.function(*bound.args, **bound.kwargs)
    return model if discount is None else model.replace(discount=number(discount, "discount"))


def optimum(expression: str) -> np.ndarray | None:
    """V* (S,) of the instance as an object array of `flint.fmpq`, or None where no closed form is known."""
    found, args, kwargs = parse(expression)
    return found.optimum(*args, **kwargs)


def parse(expression: str) -> tuple[Entry, tuple[Any, ...], dict[str, Any]]:
    """The instance, positional and named arguments of a text such as "domino(8, 9/10)"."""
    return entry(expression.partition("(")[0]), *arguments(expression)


def arguments(expression: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named arguments of a text such as "domino(8, 9/10)"; whatever its name."""
    _, bracket, rest = expression.strip().partition("(")
    if not bracket:
        return (), {}
    try:
        call = ast.parse(f"instance({rest}", mode="eval").body
    except SyntaxError as error:
        raise ModelError(f"{expression!r} is not of the form name(number, ..., parameter=value)") from error
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise ModelError(f"{expression!r} is not of the form name(number, ..., parameter=value)")
    source = f"instance({rest}"
    args = tuple(_literal(node, source) for node in call.args)
    if any(keyword.arg is None for keyword in call.keywords):
        raise ModelError(f"{expression!r}: ** is not allowed here")
    return args, {str(keyword.arg): _literal(keyword.value, source) for keyword in call.keywords}


def number(value: Any, what: str) -> Fraction:
    """A parameter as a Fraction: exact numbers and text as they are, a float as the simplest fraction beside it (0.9 is 9/10)."""
    try:
        return fraction(simplest(value) if isinstance(value, float) else value)
    except (ModelError, ValueError, OverflowError) as error:
        raise ModelError(f"{what} is {value!r}; it must be a finite number") from error


def count(value: Any, what: str, least: int = 1) -> int:
    """A parameter that counts something."""
    if isinstance(value, bool) or not isinstance(value, int | float | Fraction) or value != value // 1 or value < least:
        raise ModelError(f"{what} is {value!s}; it must be a whole number, at least {least}")
    return int(value)


_OPERATIONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: Fraction(a) / Fraction(b),
}


def _literal(node: ast.expr, source: str) -> Any:
    """The value of a literal: exact numbers, text, True, False, None, lists and tuples of these; nothing is executed."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, float):
            return fraction((ast.get_source_segment(source, node) or repr(node.value)).replace("_", ""))
        if isinstance(node.value, int | str) or node.value is None:
            return node.value
    if isinstance(node, ast.List | ast.Tuple):
        return [_literal(item, source) for item in node.elts]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _arithmetic(_literal(node.operand, source), source)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp):
        left, right = (_arithmetic(_literal(side, source), source) for side in (node.left, node.right))
        try:
            if type(node.op) in _OPERATIONS:
                value = _OPERATIONS[type(node.op)](left, right)
                return int(value) if isinstance(value, Fraction) and value.denominator == 1 else value
            bits = max(Fraction(left).numerator.bit_length(), Fraction(left).denominator.bit_length())
            if isinstance(node.op, ast.Pow) and right == int(right) and abs(right) * bits <= LARGEST_POWER:
                return Fraction(left) ** int(right)
        except ZeroDivisionError as error:
            raise ModelError(f"{ast.unparse(node)!r} divides by zero") from error
    raise ModelError(f"{ast.unparse(node)!r} is no plain value; write numbers (3, 0.9, 9/10), True, False, 'text' or [lists] of them")


def _arithmetic(value: Any, source: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | Fraction):
        raise ModelError(f"{value!r} is no number")
    return value
