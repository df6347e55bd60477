"""Polynomials that are nonnegative where others are: p = sum_k q_k g_k + r with q_k and r nonnegative on the whole region.

On a path through a claim's comparisons inequalities g_k >= 0 are known, and p >= 0 has to follow.  The multipliers q_k are sought as nonnegative
combinations of Bernstein's products of barycentric coordinates (times monomials on the half-lines) such that every Bernstein coefficient of r is
nonnegative: a linear program (Handelman's representation, cut off at the degrees of p).  It is solved in floats, its solution is rounded to simple
fractions, and the result is stored in certificates.json.  `follows` reads it back and checks in exact arithmetic that q_k and r have their signs; how
the multipliers were found does not matter for that.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from mdps.rational import rational
from proofs_check.engine.polynomials import Region, Signs, _exponents, _homogenising, whole_terms
from proofs_check.engine.sums_of_squares import digest, normal, read_polynomial, stored

Key = tuple[int, ...]
MOST_COLUMNS, MOST_ROWS = 6_000, 60_000
"""Beyond this size the linear program takes minutes."""
DEGREES = (1, 2, 3, 4, 6, 9)
"""Total degrees of the multipliers that are tried, one after the other."""
DENOMINATOR = 720
"""Largest denominator of a multiplier's coefficients."""


def follows(polynomial: Any, conditions: Sequence[Any], signs: Signs) -> bool:
    """Whether a stored certificate shows that the polynomial is nonnegative where the conditions are; checked anew, exactly."""
    region = signs.region
    known = {digest(g): normal(g) for g in conditions if g != 0}
    for data in stored().get(digest(polynomial), {}).get("multipliers", []):
        if not set(data) <= set(known):
            continue
        rest = normal(polynomial)
        for name, text in data.items():
            multiplier = read_polynomial(text, region)
            if signs.sign(multiplier) not in (0, 1):
                break
            rest = rest - multiplier * known[name]
        else:
            if signs.sign(rest) in (0, 1):
                return True
    return False


def search(polynomial: Any, conditions: Sequence[Any], region: Region) -> dict[str, Any] | None:
    """Multipliers by the digest of their condition, or None; the caller lets `follows` check them.

    Tried first with the conditions that fit into the polynomial's own degrees, then with all of them, and with simple multipliers first."""
    p = normal(polynomial)
    givens = {digest(g): normal(g) for g in conditions if g != 0}
    fitting = {name: g for name, g in givens.items() if all(a <= b for a, b in zip(g.degrees(), p.degrees(), strict=True))}
    for chosen, degree in itertools.product([fitting, givens] if 0 < len(fitting) < len(givens) else [givens], DEGREES):
        program = _Program(p, chosen, region, degree)
        found = program.solve() if program.small else None
        if found is not None:
            return found
    return None


class _Program:
    """The linear program: a column for each product of a condition with a product of coordinates, a row for each Bernstein coefficient."""

    def __init__(self, p: Any, givens: dict[str, Any], region: Region, degree: int) -> None:
        self.p, self.givens, self.region = p, givens, region
        forms = (p, *givens.values())
        self.groups = [group for group in region.simplices if any(_degree(q, group) for q in forms)]
        most = [max(_degree(q, group) for q in forms) for group in self.groups]
        self.target = _homogeneous(p, self.groups, most)
        inside = {k for group in region.simplices for k in group}
        outside = [k for k in range(len(region.ring.names())) if k not in inside]
        wanted = {tuple(powers[k] for k in outside) for powers in p.to_dict()}
        self.columns: list[tuple[str, Any]] = []
        self.vectors: list[dict[Key, int]] = []
        for name, g in givens.items():
            own = {tuple(powers[k] for k in outside) for powers in g.to_dict()}
            differences = {tuple(int(a) - int(b) for a, b in zip(first, second, strict=True)) for first in wanted for second in own}
            factors = [f for f in differences if min(f, default=0) >= 0 and not any(x and k in region.lines for x, k in zip(f, outside, strict=True))]
            rooms = [list(_exponents(len(group) + 1, d - _degree(g, group))) for group, d in zip(self.groups, most, strict=True)]
            for shares, factor in itertools.product(_up_to(rooms, degree), factors):
                if len(self.columns) > MOST_COLUMNS:
                    self.columns = []
                    return
                powers = [0] * len(region.ring.names())
                for group, share in zip(self.groups, shares, strict=True):
                    for k, power in zip(group, share, strict=False):
                        powers[k] = power
                for k, power in zip(outside, factor, strict=True):
                    powers[k] = power
                monomial = _monomial(region, self.groups, powers, [share[-1] for share in shares])
                self.columns.append((name, monomial))
                self.vectors.append(_homogeneous(monomial * g, self.groups, most))

    @functools.cached_property
    def rows(self) -> dict[Key, int]:
        """Position of each coefficient."""
        return {key: k for k, key in enumerate(sorted({*self.target, *(key for vector in self.vectors for key in vector)}))}

    @property
    def small(self) -> bool:
        """Whether it is worth solving."""
        return 0 < len(self.columns) and len(self.rows) <= MOST_ROWS

    def solve(self) -> dict[str, Any] | None:
        """The multipliers of a cheapest solution, their coefficients rounded to simple fractions."""
        from scipy.optimize import linprog
        from scipy.sparse import csr_array

        scale = [max(map(abs, vector.values())) for vector in self.vectors]
        places = [(self.rows[key], j, c / scale[j]) for j, vector in enumerate(self.vectors) for key, c in vector.items()]
        rows, columns, values = zip(*places, strict=True)
        matrix = csr_array((values, (rows, columns)), shape=(len(self.rows), len(self.columns)))
        right = np.zeros(len(self.rows))
        right[[self.rows[key] for key in self.target]] = list(map(float, self.target.values()))
        odd = np.array([any(key[k] % 2 for k in self.region.lines) for key in self.rows])  # nothing may be left over there
        equal = {"A_eq": matrix[odd], "b_eq": right[odd]} if odd.any() else {}
        solved = linprog(np.ones(len(self.columns)), A_ub=matrix[~odd], b_ub=right[~odd], method="highs", **equal)
        if solved.status != 0:
            return None
        out: dict[str, Any] = {}
        for share, (name, monomial), size in zip(solved.x, self.columns, scale, strict=True):
            if share > 1e-9:
                exact = Fraction(share / size) * _scale(monomial * self.givens[name]) / _scale(self.p)
                term = monomial * rational(str(exact.limit_denominator(DENOMINATOR)))
                out[name] = out.get(name, self.p * 0) + term
        return out


def _up_to(rooms: Sequence[list[Key]], degree: int) -> Any:
    """One element of each room, the sum of all entries at most `degree`."""
    if not rooms:
        yield ()
        return
    for share in rooms[0]:
        if sum(share) <= degree:
            for rest in _up_to(rooms[1:], degree - sum(share)):
                yield (share, *rest)


def _scale(polynomial: Any) -> Fraction:
    """What `whole_terms` multiplied by."""
    powers, c = next(iter(polynomial.to_dict().items()))
    return Fraction(whole_terms(polynomial)[tuple(map(int, powers))]) / Fraction(int(c.p), int(c.q))


def _degree(polynomial: Any, group: tuple[int, ...]) -> int:
    return max((sum(int(powers[k]) for k in group) for powers in polynomial.to_dict()), default=0)


def _homogeneous(polynomial: Any, groups: Sequence[tuple[int, ...]], degrees: Sequence[int]) -> dict[Key, int]:
    """Coefficients of the form that has those degrees in each group's barycentric coordinates (the last one's exponent follows)."""
    terms: dict[Key, int] = dict(whole_terms(polynomial))
    for group, degree in zip(groups, degrees, strict=True):
        exponents, table = _homogenising(len(group), degree)
        places = list(exponents)
        out: dict[Key, int] = {}
        for powers, c in terms.items():
            column = table[:, exponents[tuple(powers[k] for k in group)]]
            for row in np.flatnonzero(column):
                raised = list(powers)
                for k, power in zip(group, places[row], strict=True):
                    raised[k] = power
                key = tuple(raised)
                out[key] = out.get(key, 0) + c * int(column[row])
        terms = out
    return terms


def _monomial(region: Region, groups: Sequence[tuple[int, ...]], powers: Sequence[int], slack: Sequence[int]) -> Any:
    """The product of powers of variables and, for each group, of 1 minus its sum."""
    gens = region.ring.gens()
    out = region.ring.constant(1)
    for variable, power in zip(gens, powers, strict=True):
        if power:
            out = out * variable**power
    for group, power in zip(groups, slack, strict=True):
        if power:
            out = out * (1 - sum(gens[k] for k in group)) ** power
    return out
