"""True statements made from the catalogue: each follows from a claim by a step that anybody can check, so that none of them may be refuted.

For a form `left <= right` (mirrored for >=; an equation gives both):

    itself        as the catalogue has it
    weaker        right + |right|/2;  right + 1/(1 - gamma);  max(right, gamma);  left - gamma <= right
    rearranged    left - right <= 0;  -right <= -left;  (1 - gamma) left <= (1 - gamma) right;  left/2 <= right/2;  left + S <= right + S
    narrower      fewer states, fewer actions, smaller discounts
    sums          left_1 + left_2 <= right_1 + right_2 of two forms of one claim that speak of the same instances and the same run
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterable, Iterator
from fractions import Fraction

import sympy

from proofs_check import quantities as q
from proofs_check.claim import Case
from proofs_check.statement import Statement, equal

HALF = sympy.Rational(1, 2)


def true_statements(claim) -> Iterator[tuple[str, Case]]:
    """(how it was made, case) for all forms of a claim."""
    cases = [claim.case(form) for form in claim.forms]
    for case in cases:
        for how, statement in derived(case.statement):
            yield how, _named(case, how, statement=statement, **({} if how == "itself" else {"trivial": None}))
        for how, domain in narrower(case.domain):
            yield how, _named(case, how, domain=domain)
    for k, first in enumerate(cases):
        for second in cases[:k]:
            total = sum_of(first, second)
            if total is not None:
                yield f"sum with {second.name}", _named(first, f"sum with {second.name}", statement=total, trivial=None)


def _named(case: Case, how: str, **changes) -> Case:
    """The case with that change: no chain, no symbolic or boxed proof (they are the original's), no trivial bound where the sides have changed, and a
    name of its own for its random numbers."""
    return dataclasses.replace(case, name=f"{case.name}, {how}", symbolic=(), boxes=(), chain=(), **changes)


def collection(name: str, made: Iterable[tuple[str, Case]]) -> list[tuple[str, Case]]:
    """Two of the statements `made` of the claim `name`, picked by their names: a form itself, and one that is derived."""
    ordered = sorted(made, key=lambda pair: zlib.crc32(f"{name}{pair[1].name}".encode()))
    return [next(pair for pair in ordered if (pair[0] == "itself") is own) for own in (True, False)]


def derived(statement: Statement) -> Iterator[tuple[str, Statement]]:
    """The statement and what follows from it on the same instances."""
    yield "itself", statement
    left, right = statement.left, statement.right
    if statement.relation == "=":
        yield "other way round", equal(right, left)
        yield "halved", equal(left * HALF, right * HALF)
        yield "at most", Statement(left, "<=", right + 1)
        yield "at least", Statement(left, ">=", right - q.gamma**2 - 1)
        yield "difference", Statement(left - right, "<=", 1 / (1 - q.gamma))
        return
    sign = 1 if statement.relation == "<=" else -1

    def weaker(more):
        return Statement(left, statement.relation, right + sign * more)

    other = {"<=": ">=", ">=": "<="}[statement.relation]
    yield "half as much again", weaker(sympy.Abs(right) * HALF)
    yield "plus a horizon", weaker(1 / (1 - q.gamma))
    yield "extreme", Statement(left, statement.relation, sympy.Max(right, q.gamma) if sign > 0 else sympy.Min(right, -q.gamma))
    yield "less on the left", Statement(left - sign * q.gamma, statement.relation, right)
    yield "difference", Statement(left - right, statement.relation, sympy.Integer(0))
    yield "negated", Statement(-left, other, -right)
    yield "times 1-gamma", Statement((1 - q.gamma) * left, statement.relation, (1 - q.gamma) * right)
    yield "halved", Statement(left * HALF, statement.relation, right * HALF)
    yield "plus S", Statement(left + q.S, statement.relation, right + q.S)


def narrower(domain) -> Iterator[tuple[str, object]]:
    """Domains inside the given one."""
    if not domain.bandit:
        if domain.max_states > 1:
            yield "fewer states", domain.replace(max_states=domain.max_states - 1)
        if domain.max_discount > Fraction(1, 2):
            yield "smaller discounts", domain.replace(max_discount=Fraction(1, 2))
    if domain.max_actions > domain.min_actions:
        yield "fewer actions", domain.replace(max_actions=domain.max_actions - 1)


def sum_of(first: Case, second: Case) -> Statement | None:
    """left + left <= right + right, where both forms say so of the same instances and the same run, entry by entry."""
    a, b = first.statement, second.statement
    if "=" in (a.relation, b.relation):
        return None
    entries = {q.quantity(name).entries for name in a.names() | b.names()}
    alike = ("domain", "process", "settings", "where", "horizon", "instances")
    if entries != {"number"} or any(repr(getattr(first, name)) != repr(getattr(second, name)) for name in alike):
        return None
    if a.relation != b.relation:  # a <= b and c >= d: a - c <= b - d
        return Statement(a.left - b.left, a.relation, a.right - b.right)
    return Statement(a.left + b.left, a.relation, a.right + b.right)
