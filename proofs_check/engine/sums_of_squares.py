"""Polynomials that are nonnegative because they are sums of squares times nonnegative weights: found in floats, checked in rationals.

    p = sum_k w_k  z_k' G_k z_k,      w_k a product of what is nonnegative on the region,   G_k positive semidefinite,   z_k a vector of polynomials

is a reason for p >= 0 that anybody can check: multiply out, and factor G_k = L D L' with D >= 0 (`check`, in rationals, without any solver).  The
certificate is data: the polynomial, and for each k the factors of w_k, the entries of z_k and the rational matrix G_k.

It is found (`search`) by a semidefinite program in floats (cvxpy).  The matrices are then rounded to fractions, and the rounding is made good by the
smallest exact correction that restores the identity; that keeps them positive definite where the program found room to spare.  Where p has zeros
inside the region there is no room: every G_k must vanish on the values of z_k there.  The kernel seen in floats is rounded to fractions, z_k is
replaced by what is orthogonal to it, and the program is solved once more in that smaller space.

Certificates found for the catalogue are stored in certificates.json under a digest of their polynomial; `stored_sign` looks there and checks again.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from flint import fmpq, fmpq_mat

from mdps.rational import rational
from proofs_check.engine.polynomials import Region, name_of

Array = np.ndarray
STORE = pathlib.Path(__file__).with_name("certificates.json")
ROUNDINGS = (2**10, 2**16, 2**24, 2**34)
"""Denominators tried for the entries of a matrix."""
SMALL = 1e-5
"""Eigenvalues below this share of the largest are taken for zeros; if that is wrong the exact check fails and nothing is claimed."""


@dataclasses.dataclass(frozen=True)
class Square:
    """w z'Gz: the names of the weights multiplied to w, the polynomials z and the matrix G."""

    weights: tuple[str, ...]
    basis: tuple[Any, ...]
    gram: Any  # fmpq_mat


def weights(region: Region) -> dict[str, Any]:
    """What is nonnegative on the region, by name: the variables of simplices and half-lines, and 1 minus the sum of each simplex."""
    names, gens = region.ring.names(), region.ring.gens()
    out = {"1": region.ring.constant(1)}
    for group in region.simplices:
        out |= {names[k]: gens[k] for k in group}
        out["1 - " + " - ".join(names[k] for k in group)] = 1 - sum(gens[k] for k in group)
    return out | {names[k]: gens[k] for k in region.half_lines}


def check(polynomial: Any, squares: Sequence[Square], region: Region) -> bool:
    """Whether the polynomial is exactly that sum and every matrix positive semidefinite: a proof that it is nonnegative on the region."""
    known = weights(region)
    total = polynomial * 0
    for square in squares:
        n = len(square.basis)
        if any(name not in known for name in square.weights) or square.gram.nrows() != n or square.gram.ncols() != n:
            return False
        if square.gram != square.gram.transpose() or not positive_semidefinite(square.gram):
            return False
        part = sum((square.gram[i, j] * square.basis[i] * square.basis[j] for i in range(n) for j in range(n)), polynomial * 0)
        for name in square.weights:
            part = part * known[name]
        total = total + part
    return bool(total == polynomial)


def positive_semidefinite(matrix: Any) -> bool:
    """Whether a symmetric rational matrix is: elimination without exchanges meets no negative pivot, and after a zero pivot a zero column."""
    rows = [[matrix[i, j] for j in range(matrix.ncols())] for i in range(matrix.nrows())]
    for k in range(len(rows)):
        pivot = rows[k][k]
        if pivot < 0:
            return False
        if pivot == 0:
            if any(rows[i][k] != 0 for i in range(k + 1, len(rows))):
                return False
            continue
        for i in range(k + 1, len(rows)):
            factor = rows[i][k] / pivot
            if factor != 0:
                rows[i] = [x - factor * y for x, y in zip(rows[i], rows[k], strict=True)]
    return True


# Search


def search(polynomial: Any, region: Region, products: Sequence[tuple[str, ...]] = (("1",),), degree: int | None = None) -> list[Square] | None:
    """A certificate that `check` accepts, or None.

    products   the weights, each a product of names of `weights(region)`
    degree     total degree of p that the squares may reach; by default that of p, raised to the next even number
    """
    known = weights(region)
    degree = polynomial.total_degree() + polynomial.total_degree() % 2 if degree is None else degree
    parts: list[tuple[tuple[str, ...], Any, list[Any]]] = []
    chosen = [functools.reduce(lambda a, b: a * b, (known[name] for name in names)) for names in products]
    limits = [max(column) for column in zip(*(q.degrees() for q in (polynomial, *chosen)), strict=True)]  # higher terms may cancel
    for names, weight in zip(products, chosen, strict=True):
        basis = _monomials(polynomial, weight, region, degree, limits)
        parts.append((names, weight, basis))
    parts = _without_forced_zeros(polynomial, parts)
    for _ in range(4):
        solved = _solve(polynomial, parts)
        if solved is None:
            return None
        for denominator in ROUNDINGS:
            squares = _rounded(polynomial, parts, solved, denominator)
            if squares is not None and check(polynomial, squares, region):
                return squares
        smaller = [_without_kernel(part, gram) for part, gram in zip(parts, solved, strict=True)]
        if sum(len(basis) for *_, basis in smaller) == sum(len(basis) for *_, basis in parts):
            return None
        parts = [part for part in smaller if part[2]]
    return None


def _monomials(polynomial: Any, weight: Any, region: Region, degree: int, limits: list[int]) -> list[Any]:
    """Monomials z with w z^2 inside the box of those degrees, also of p's orders in the half-lines and lines taken together."""
    gens = region.ring.gens()
    room = [(a - b) // 2 for a, b in zip(limits, weight.degrees(), strict=True)]
    if any(r < 0 for r in room):
        return []
    free = set(region.half_lines) | set(region.lines)
    orders = {sum(powers[k] for k in free) for powers in polynomial.to_dict()}
    taken = {sum(powers[k] for k in free) for powers in weight.to_dict()}
    out = []
    for powers in itertools.product(*(range(r + 1) for r in room)):
        if 2 * sum(powers) + weight.total_degree() > degree:
            continue
        order = 2 * sum(powers[k] for k in free)
        if len(taken) == 1 and not min(orders) <= order + min(taken) <= max(orders):
            continue
        monomial = region.ring.constant(1)
        for k, power in enumerate(powers):
            if power:
                monomial = monomial * gens[k] ** power
        out.append(monomial)
    return out


def _without_forced_zeros(polynomial: Any, parts: list[Any]) -> list[Any]:
    """Without the monomials z that alone give, squared, a term that p does not have: their diagonal entry, and so their row, must be 0."""
    target = {tuple(map(int, key)) for key in polynomial.to_dict()}
    while True:
        givers: dict[tuple[int, ...], set[tuple[int, int, int]]] = {}
        for k, (_, weight, basis) in enumerate(parts):
            for (i, j), terms in _products(weight, basis).items():
                for key in terms:
                    givers.setdefault(tuple(map(int, key)), set()).add((k, i, j))
        lone = {next(iter(who)) for key, who in givers.items() if key not in target and len(who) == 1}
        drop = {(k, i) for k, i, j in lone if i == j}
        if not drop:
            return [part for part in parts if part[2]]
        parts = [(names, weight, [z for i, z in enumerate(basis) if (k, i) not in drop]) for k, (names, weight, basis) in enumerate(parts)]


def _products(weight: Any, basis: list[Any]) -> dict[tuple[int, int], dict[Any, Any]]:
    """(i, j) -> the terms of w z_i z_j, i <= j, counted twice off the diagonal."""
    out = {}
    for i in range(len(basis)):
        for j in range(i, len(basis)):
            out[i, j] = (weight * basis[i] * basis[j] * (1 if i == j else 2)).to_dict()
    return out


def _solve(polynomial: Any, parts: list[Any]) -> list[Array] | None:
    """Matrices in floats, as far inside the cone as they can be."""
    import cvxpy as cp

    target = {tuple(map(int, k)): float(fmpq(c).p) / float(fmpq(c).q) for k, c in polynomial.to_dict().items()}
    scale = max(map(abs, target.values()))
    grams = [cp.Variable((len(basis), len(basis)), symmetric=True) for *_, basis in parts]
    sums: dict[Any, list[Any]] = {key: [] for key in target}
    for gram, (_, weight, basis) in zip(grams, parts, strict=True):
        for (i, j), terms in _products(weight, basis).items():
            for key, c in terms.items():
                sums.setdefault(tuple(map(int, key)), []).append(float(fmpq(c).p) / float(fmpq(c).q) * gram[i, j])
    if any(not terms for terms in sums.values()):
        return None
    room = cp.Variable()
    constraints = [cp.sum(terms) == target.get(key, 0.0) / scale for key, terms in sums.items()]
    constraints += [gram - room * np.eye(gram.shape[0]) >> 0 for gram in grams] + [room <= 1]
    problem = cp.Problem(cp.Maximize(room), constraints)
    try:
        problem.solve(solver="CLARABEL")
    except cp.error.SolverError:
        return None
    if problem.status not in ("optimal", "optimal_inaccurate") or room.value is None or room.value < -1e-6:
        return None
    return [np.asarray(gram.value) * scale for gram in grams]


def _rounded(polynomial: Any, parts: list[Any], solved: list[Array], denominator: int) -> list[Square] | None:
    """Fractions near the floats that satisfy the identity exactly: the rounding is corrected by the smallest change that does."""
    entries: list[tuple[int, int, int]] = []
    rows: dict[tuple[int, ...], dict[int, Any]] = {}
    for k, (_, weight, basis) in enumerate(parts):
        for place, terms in _products(weight, basis).items():
            column = len(entries)
            entries.append((k, *place))
            for key, c in terms.items():
                rows.setdefault(tuple(map(int, key)), {})[column] = fmpq(c)
    values = [rational(f"{round(float(solved[k][i, j]) * denominator)}/{denominator}") for k, i, j in entries]
    target = {tuple(map(int, key)): fmpq(c) for key, c in polynomial.to_dict().items()}
    if any(key not in rows for key in target):
        return None
    keys = _independent(rows, len(entries))
    missing = [target.get(key, fmpq(0)) - sum((c * values[column] for column, c in rows[key].items()), fmpq(0)) for key in keys]
    gram = [[sum((c * rows[b][column] for column, c in rows[a].items() if column in rows[b]), fmpq(0)) for b in keys] for a in keys]
    try:
        shares = fmpq_mat(len(keys), len(keys), [x for row in gram for x in row]).solve(fmpq_mat(len(keys), 1, missing))
    except ZeroDivisionError:
        return None
    for r, key in enumerate(keys):
        for column, c in rows[key].items():
            values[column] = values[column] + c * shares[r, 0]
    matrices = [fmpq_mat(len(basis), len(basis), [fmpq(0)] * len(basis) ** 2) for *_, basis in parts]
    for (k, i, j), value in zip(entries, values, strict=True):
        matrices[k][i, j] = matrices[k][j, i] = value
    return [Square(names, tuple(basis), matrix) for (names, _, basis), matrix in zip(parts, matrices, strict=True)]


def _independent(rows: dict[Any, dict[int, Any]], columns: int) -> list[Any]:
    """Terms whose equations do not follow from those of others (if they contradict one another the exact check fails)."""
    keys = list(rows)
    table = fmpq_mat(columns, len(keys), [rows[key].get(column, fmpq(0)) for column in range(columns) for key in keys])
    echelon, rank = table.rref()
    pivots, row = [], 0
    for column in range(len(keys)):
        if row < rank and echelon[row, column] != 0:
            pivots.append(column)
            row += 1
    return [keys[k] for k in pivots]


def _without_kernel(part: Any, gram: Array) -> Any:
    """The part with z replaced by a basis of what is orthogonal to the matrix's kernel, that kernel rounded to fractions."""
    names, weight, basis = part
    values, vectors = np.linalg.eigh(gram)
    kernel = vectors[:, values < SMALL * max(values[-1], SMALL)].T
    if not len(kernel):
        return part
    exact = _nice_rows(kernel)
    pivots = [next(j for j, x in enumerate(row) if x != 0) for row in exact]
    others = [j for j in range(len(basis)) if j not in pivots]
    # v with row . v = 0 for all rows: free in the other places; the new z are the coordinates of z along a basis of that space
    out = []
    for j in others:
        out.append(basis[j] - sum((row[j] * basis[p] for row, p in zip(exact, pivots, strict=True) if row[j] != 0), basis[j] * 0))
    return names, weight, out


def _nice_rows(kernel: Array) -> list[list[Any]]:
    """The reduced echelon form of the rows, its entries the simplest fractions near the floats."""
    from fractions import Fraction

    rows = kernel.copy()
    done = 0
    for column in range(rows.shape[1]):
        if done == len(rows):
            break
        best = done + int(np.abs(rows[done:, column]).argmax())
        if abs(rows[best, column]) < 1e-3:
            continue
        rows[[done, best]] = rows[[best, done]]
        rows[done] /= rows[done, column]
        for k in range(len(rows)):
            if k != done:
                rows[k] -= rows[done] * rows[k, column]
        done += 1
    return [[rational(str(Fraction(float(x)).limit_denominator(60))) for x in row] for row in rows[:done]]


# Stored certificates


def digest(polynomial: Any) -> str:
    """What a certificate is filed under: the polynomial up to a positive factor, with the names of its variables."""
    sign = "+" if polynomial.leading_coefficient() > 0 else "-"
    return hashlib.sha256((sign + name_of(polynomial)).encode()).hexdigest()[:20]


def normal(polynomial: Any) -> Any:
    """The polynomial divided by the size of its leading coefficient."""
    lead = polynomial.leading_coefficient()
    return polynomial / (lead if lead > 0 else -lead)


def as_data(squares: Sequence[Square], about: str) -> dict[str, Any]:
    """A certificate as plain data; polynomials as text."""
    out = []
    for square in squares:
        gram = [[str(square.gram[i, j]) for j in range(i + 1)] for i in range(len(square.basis))]
        out.append({"weights": list(square.weights), "basis": [str(z) for z in square.basis], "gram": gram})
    return {"about": about, "squares": out}


def from_data(data: dict[str, Any], region: Region) -> list[Square]:
    """The certificate that `as_data` wrote, over the region's ring."""
    out = []
    for entry in data["squares"]:
        n = len(entry["basis"])
        gram = fmpq_mat(n, n, [rational(entry["gram"][max(i, j)][min(i, j)]) for i in range(n) for j in range(n)])
        out.append(Square(tuple(entry["weights"]), tuple(read_polynomial(text, region) for text in entry["basis"]), gram))
    return out


def read_polynomial(text: str, region: Region) -> Any:
    """A polynomial from its own text; only + - * ^ (), whole numbers, fractions and the region's variables are read."""
    import ast

    variables = dict(zip(region.ring.names(), region.ring.gens(), strict=True))

    def walk(node: ast.AST) -> Any:
        match node:
            case ast.Constant(value=int() as value):
                return region.ring.constant(value)
            case ast.Name(id=name) if name in variables:
                return variables[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -walk(operand)
            case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=int() as power)):
                return walk(left) ** power
            case ast.BinOp(left=left, op=ast.Div(), right=ast.Constant(value=int() as divisor)):
                return walk(left) / fmpq(divisor)
            case ast.BinOp(left=left, op=op, right=right):
                a, b = walk(left), walk(right)
                match op:
                    case ast.Add():
                        return a + b
                    case ast.Sub():
                        return a - b
                    case ast.Mult():
                        return a * b
        raise ValueError(f"{text!r} is no polynomial in {', '.join(variables)}")

    return walk(ast.parse(text.replace("^", "**"), mode="eval").body)


@functools.cache
def stored() -> dict[str, Any]:
    """The stored certificates by the digest of their polynomial."""
    return json.loads(STORE.read_text()) if STORE.exists() else {}


def stored_sign(polynomial: Any, region: Region) -> int | None:
    """1 where a stored certificate shows that the polynomial is nonnegative, -1 where one shows that its negative is; checked anew, exactly."""
    for sign in (1, -1):
        data = stored().get(digest(sign * polynomial), {})
        if "squares" in data and check(normal(sign * polynomial), from_data(data, region), region):
            return sign
    return None
