"""The registry of quantities, and the few shapes that their code is made of.

A quantity's code takes a `Context` and returns an array (B, R, K): B instances, R records, K entries (1 for a number).  It is plain array code
over the four operations, `np.einsum`, `arithmetic.solve` and the few functions of `arithmetic`, so that it runs on floats, rationals and balls
alike.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy

from mdps.errors import nearest
from pgtheory import arithmetic
from proofs_check import expression

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class Quantity:
    """A symbol with its meaning and its code."""

    name: str
    latex: str
    meaning: str
    code: Callable[[Context], Array] | None
    varies: str  # "instance", "step" (with t) or "pair" (compares t with t + 1)
    entries: str = "number"  # or what the K entries run over
    history: bool = False  # whether it looks at every step up to t, so that all of them must be recorded


_REGISTRY: dict[str, Quantity] = {}
_SETTINGS: set[str] = set()


def define(name: str, latex: str, varies: str, entries: str = "number", history: bool = False) -> Callable[..., Any]:
    def register(code: Callable[[Context], Array]) -> Callable[[Context], Array]:
        meaning = " ".join((code.__doc__ or "").split()).removesuffix(".")
        _unused(name, meaning)
        _REGISTRY[name] = Quantity(name, latex, meaning, code, varies, entries, history)
        return code

    return register


def per_instance(numbers: Array) -> Array:
    """(B,) -> (B, 1, 1)."""
    return numbers[:, None, None]


def per_record(values: Array) -> Array:
    """(B, R) -> (B, R, 1)."""
    return values[..., None]


def flat(values: Array) -> Array:
    """(B, R, ...) -> (B, R, K)."""
    return values.reshape(*values.shape[:2], -1)


def norm(values: Array) -> Array:
    """Euclidean norm over the entries: (B, R, K) -> (B, R, 1)."""
    return arithmetic.sqrt((values * values).sum(axis=-1, keepdims=True))


def running(combine: Callable[[Any, Any], Any], values: Array) -> Array:
    """Running extreme along the records."""
    out = values.copy()
    for r in range(1, values.shape[1]):
        out[:, r] = combine(out[:, r - 1], values[:, r])
    return out


def _unused(name: str, meaning: str) -> None:
    if name in _REGISTRY and _REGISTRY[name].meaning != meaning:  # the same again is a file that was read again
        raise expression.ExpressionError(f"there is a quantity {name!r} already: {_REGISTRY[name].meaning}")


def define_setting(name: str, latex: str, meaning: str) -> None:
    """A number that the method or the claim is given; raises ExpressionError where the name is taken."""
    _unused(name, meaning)
    _REGISTRY[name] = Quantity(name, latex, meaning, lambda c: per_instance(given(c, name)), "instance")
    _SETTINGS.add(name)


def is_setting(name: str) -> bool:
    """Whether the quantity of that name is a number that a claim's `settings` give."""
    return name in _SETTINGS


def given(c: Context, name: str) -> Array:
    """(B,): a setting of the instance."""
    if name not in c.settings:
        raise expression.ExpressionError(f"the statement depends on {name}, and the claim's settings do not say what it is")
    return c.settings[name]


rho, mu = sympy.Symbol("rho"), sympy.Symbol("mu")
T = sympy.Symbol("t")
"""The number of steps taken: the same symbol as `t`."""


def gap(start: sympy.Symbol, time: sympy.Symbol) -> sympy.Symbol:
    """V*(start) - V_t(start): the symbol of the optimality gap under `rho` or `mu` after `time` = t steps (0 for the start)."""
    if start not in (rho, mu) or time not in (T, sympy.Integer(0)):
        raise expression.ExpressionError(f"gap({start}, {time}): the start is rho or mu, the time is t")
    if time == T:
        return sympy.Symbol(f"gap_{start.name}")
    return sympy.Symbol("gap_mu_0") if start == mu else _refuse("gap(rho, 0)")


def _refuse(text: str) -> sympy.Symbol:
    raise expression.ExpressionError(f"{text} is no quantity yet; gap(mu, 0) is")


@contextlib.contextmanager
def temporary(added: Quantity) -> Iterator[None]:
    """The registry with one more quantity, for as long as the block lasts."""
    _REGISTRY[added.name] = added
    parse.cache_clear()
    try:
        yield
    finally:
        del _REGISTRY[added.name]
        parse.cache_clear()


def quantities() -> dict[str, Quantity]:
    """All quantities by name."""
    return dict(_REGISTRY)


def quantity(name: str) -> Quantity:
    """The quantity of that name; raises ExpressionError with the nearest names."""
    if name not in _REGISTRY:
        raise expression.ExpressionError(f"unknown quantity {name!r}.{nearest(name, list(_REGISTRY))}")
    return _REGISTRY[name]


class _Symbols(Mapping[str, sympy.Symbol]):
    """The symbols that an expression may hold, each made when it is asked for: all of them take longer than the reading."""

    OTHERS = MappingProxyType({"T": T, "rho": rho, "mu": mu})

    def __getitem__(self, name: str) -> sympy.Symbol:
        if name in self.OTHERS:
            return self.OTHERS[name]
        if name in _REGISTRY:
            return sympy.Symbol(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter({**_REGISTRY, **self.OTHERS})

    def __len__(self) -> int:
        return len({**_REGISTRY, **self.OTHERS})


@functools.lru_cache(maxsize=8192)
def parse(text: str) -> sympy.Expr:
    """An expression over the quantities, read from text (settings are read from the same text over and over)."""
    tree = expression.parse(text, _Symbols(), {"gap": gap})
    stray = tree.free_symbols & {rho, mu}
    if stray:
        raise expression.ExpressionError(f"{text!r} uses the distribution {stray.pop()} as a number; gap(rho, t) is the gap under it")
    return tree


def latex_names() -> dict[str, str]:
    """LaTeX of each quantity by name."""
    return {name: q.latex for name, q in _REGISTRY.items()}


def defining_modules(names: Any) -> set[str]:
    """The modules that hold the code of the quantities of these names."""
    return {code.__module__ for code in (quantity(name).code for name in names) if code is not None}
