"""The few operations whose meaning depends on the kind of number: float64, rationals, balls, and elements of a field.

    float      float64 arrays
    rational   object arrays of `flint.fmpq`: exact, leave only by exp, log, sqrt (refused)
    ball       object arrays of `flint.arb`: a midpoint and a radius that contains the true number, at the precision of `precision(bits)`
    field      object arrays of any other exact field, such as sympy's fractions of polynomials: solve, mix and expect, and what the elements
               themselves know how to do (`sqrt`, `exp`, `log`, an order)

An algorithm's step is written once with array operators (`+ - * /`, `.sum(axis=1)`, `x[:, None]`, integer literals) and the helpers here.
numba compiles the same source: `pgtheory.kernels.compiled_step` puts the float kernel of the same name in the place of each helper.

Two traps of balls are closed here.  Comparing overlapping balls with `<` is always False; `less` raises `Undecided` instead.  A literal 0.1 is
a 53-bit number, not 1/10: write constants as integers or rationals.  (`x**2` of a ball around 0 is undefined in flint: write `x * x`.)
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx, fmpq, fmpq_mat, fmpz

from pgtheory import kernels

Array = np.ndarray


class Undecided(ArithmeticError):
    """Balls overlap, so their order is not known at this precision (or ever, if the numbers are equal)."""


# Kinds of number and their conversion


def kind(values: Any) -> str:
    """'float', 'rational', 'ball' or 'field': what the entries of an array (or one number) are."""
    array = values if isinstance(values, np.ndarray) else np.asarray(values)
    if array.dtype != object:
        return "float"
    first = array.item(0) if array.size else 0
    if isinstance(first, int):  # whole numbers belong to whatever stands beside them, alone to the rationals
        first = next((x for x in array.reshape(-1).tolist() if not isinstance(x, int)), first)
    if isinstance(first, arb):
        return "ball"
    if isinstance(first, (fmpq, fmpz, int)):
        return "rational"
    return "float" if isinstance(first, float) else "field"


def balls(values: Any) -> Array:
    """Rationals, floats (taken bit by bit), integers or balls as balls at the present precision, same shape."""
    return elementwise(arb, values)


@contextlib.contextmanager
def precision(bits: int) -> Iterator[None]:
    """Balls inside are computed with `bits` bits.  Global to the process: main thread only.  Make constants inside, from rationals."""
    before, ctx.prec = ctx.prec, bits
    try:
        yield
    finally:
        ctx.prec = before


def midpoint(values: Any) -> Array:
    """Midpoints of balls, as balls of radius 0; other numbers unchanged."""
    return elementwise(arb.mid, values) if kind(values) == "ball" else np.asarray(values)


def radius(values: Any) -> Array:
    """Radii of balls, as balls of radius 0 (upper bounds); 0 for other numbers."""
    return elementwise(lambda x: x.rad().upper().mid() if isinstance(x, arb) else arb(0), values)


def exactly(values: Any) -> Array:
    """Rationals, floats (bit by bit), integers, or the midpoints of balls, as rationals."""
    return elementwise(_as_rational, values)


def _as_rational(x: Any) -> Any:
    if isinstance(x, arb):
        return x.mid().fmpq()
    if isinstance(x, float):
        return fmpq(*x.as_integer_ratio())
    return fmpq(x)


def elementwise(function: Callable[[Any], Any], values: Any) -> Array:
    """`function` of every entry, as an object array of the same shape (a plain number for a plain number)."""
    if not isinstance(values, (np.ndarray, list, tuple)):
        return function(values.item() if isinstance(values, np.generic) else values)
    source = np.asarray(values)
    out = np.empty(source.shape, dtype=object)
    out.reshape(-1)[:] = [function(x) for x in source.reshape(-1).tolist()]
    return out if source.ndim else out[()]


def zeros_like_kind(shape: Any, like: Any) -> Array:
    """Zeros of `shape`, of the kind of number of `like`."""
    return _filled(shape, like, 0)


def identity(n: int, like: Any) -> Array:
    """The n x n identity, of the kind of number of `like`."""
    out = _filled((n, n), like, 0)
    for i in range(n):
        out[i, i] = _constant(like, 1)
    return out


def _filled(shape: Any, like: Any, value: int) -> Array:
    number = _constant(like, value)
    out = np.empty(shape, dtype=np.float64 if isinstance(number, float) else object)
    out[...] = number
    return out


def _constant(like: Any, value: int) -> Any:
    numbers = kind(like)
    if numbers == "field":
        element = next(x for x in np.asarray(like, dtype=object).reshape(-1).tolist() if not isinstance(x, int))
        one = element.field.one if hasattr(element, "field") else element**0
        return one * value  # not element * 0 + 1: sympy returns the other summand of a zero as it is, here an int
    return {"float": float, "rational": fmpq, "ball": arb}[numbers](value)


# Order


def less(a: Any, b: Any) -> Any:
    """a < b, entry by entry; raises Undecided where balls overlap."""
    return _compare(a, b, lambda x, y: x < y, lambda x, y: x >= y)


def less_equal(a: Any, b: Any) -> Any:
    """a <= b, entry by entry; raises Undecided where balls overlap."""
    return _compare(a, b, lambda x, y: x <= y, lambda x, y: x > y)


def _compare(a: Any, b: Any, yes: Callable[[Any, Any], Any], no: Callable[[Any, Any], Any]) -> Any:
    if not isinstance(a, np.ndarray) and not isinstance(b, np.ndarray):
        return _compare_numbers(a, b, yes, no)
    left, right = np.broadcast_arrays(np.asarray(a), np.asarray(b))
    if left.dtype != object and right.dtype != object:
        return yes(left, right)
    pairs = zip(left.reshape(-1).tolist(), right.reshape(-1).tolist(), strict=True)
    return np.array([_compare_numbers(x, y, yes, no) for x, y in pairs], dtype=bool).reshape(left.shape)


def _compare_numbers(x: Any, y: Any, yes: Callable[[Any, Any], Any], no: Callable[[Any, Any], Any]) -> bool:
    if yes(x, y):
        return True
    if not isinstance(x, arb) and not isinstance(y, arb):
        return False
    if no(x, y):
        return False
    raise Undecided(f"{x} and {y} cannot be ordered at {ctx.prec} bits")


def maximum(values: Any, axis: int | None = None) -> Any:
    """Largest entry along `axis` (of all without one); of balls, a ball that contains the largest."""
    return _reduce(values, axis, np.max, arb.max)


def minimum(values: Any, axis: int | None = None) -> Any:
    """Smallest entry along `axis` (of all without one); of balls, a ball that contains the smallest."""
    return _reduce(values, axis, np.min, arb.min)


def _reduce(values: Any, axis: int | None, plain: Callable[..., Any], pairwise: Callable[[Any, Any], Any]) -> Any:
    array = np.asarray(values)
    if kind(array) != "ball":
        return plain(array, axis=axis)
    if axis is None:
        return functools.reduce(pairwise, array.reshape(-1).tolist())
    rows = np.moveaxis(array, axis, -1)
    out = np.empty(rows.shape[:-1], dtype=object)
    out.reshape(-1)[:] = [functools.reduce(pairwise, row) for row in rows.reshape(-1, rows.shape[-1]).tolist()]
    return out


# Functions of single numbers


def sqrt(values: Any) -> Any:
    """Square root; balls that touch the negative numbers are cut at 0."""
    if kind(values) == "ball":
        return elementwise(lambda x: x.nonnegative_part().sqrt(), values)
    return np.sqrt(_no_rational(values, "sqrt"))


def exp(values: Any) -> Any:
    """e^x of every entry; float64 and balls (rationals raise TypeError: e^x leaves them)."""
    return elementwise(arb.exp, values) if kind(values) == "ball" else np.exp(_no_rational(values, "exp"))


def log(values: Any) -> Any:
    """Natural logarithm of every entry; float64 and balls (rationals raise TypeError)."""
    return elementwise(arb.log, values) if kind(values) == "ball" else np.log(_no_rational(values, "log"))


def absolute(values: Any) -> Any:
    """|x| of every entry, in every arithmetic that has an order."""
    return elementwise(abs, values) if kind(values) != "float" else np.abs(values)


def _no_rational(values: Any, name: str) -> Any:
    numbers = kind(values)
    if np.size(values) == 0:
        return values
    if numbers == "rational" or (numbers == "field" and not all(hasattr(x, name) for x in np.asarray(values).reshape(-1).tolist())):
        raise TypeError(f"{name} leaves the rationals: convert with arithmetic.balls(...) first")
    return values


def norm2(values: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """Euclidean norm over `axis` (over all entries without one); float or ball."""
    array = np.asarray(values)
    return sqrt((array * array).sum(axis=axis))


# Linear algebra


def solve(matrix: Any, rhs: Any) -> Array:
    """x with matrix @ x = rhs.

    matrix   (..., n, n)
    rhs      (..., n), or (..., n, k) with as many dimensions as `matrix`
    raises   ZeroDivisionError: the matrix is singular (a ball of matrices: may be)
    """
    matrix, rhs = np.asarray(matrix), np.asarray(rhs)
    vector = rhs.ndim < matrix.ndim
    columns = rhs[..., None] if vector else rhs
    if matrix.dtype != object and columns.dtype != object:
        x = np.linalg.solve(matrix, columns)
    elif matrix.ndim == columns.ndim == 2:
        x = _solve_one(matrix, columns)
    else:
        batch = np.broadcast_shapes(matrix.shape[:-2], columns.shape[:-2])
        matrices = np.broadcast_to(matrix, batch + matrix.shape[-2:]).reshape(-1, *matrix.shape[-2:])
        right = np.broadcast_to(columns, batch + columns.shape[-2:])
        x = np.empty(right.shape, dtype=object)
        for out, left, side in zip(x.reshape(-1, *x.shape[-2:]), matrices, right.reshape(-1, *x.shape[-2:]), strict=True):
            out[...] = _solve_one(left, side)
    return x[..., 0] if vector else x


def _solve_one(matrix: Array, rhs: Array) -> Array:
    numbers = "ball" if "ball" in (kind(matrix), kind(rhs)) else kind(matrix)
    if numbers == "field":
        return _eliminate(matrix, rhs)
    make = arb_mat if numbers == "ball" else fmpq_mat
    x = make(*matrix.shape, matrix.reshape(-1).tolist()).solve(make(*rhs.shape, rhs.reshape(-1).tolist()))
    out = np.empty(rhs.size, dtype=object)
    out[:] = x.entries()
    return out.reshape(rhs.shape)


def _eliminate(matrix: Array, rhs: Array) -> Array:
    """Gauss elimination over any field: the first pivot that is not 0 will do."""
    n = matrix.shape[0]
    rows = np.concatenate([matrix, rhs], axis=1)
    rows = rows * _constant(rows, 1)  # no int may meet another: int / int is a float
    for i in range(n):
        pivot = next((k for k in range(i, n) if not _is_zero(rows[k, i])), None)
        if pivot is None:
            raise ZeroDivisionError("singular matrix")
        if pivot != i:
            rows[[i, pivot]] = rows[[pivot, i]]
        rows[i] = rows[i] / rows[i, i]
        for k in range(n):
            if k != i and not _is_zero(rows[k, i]):
                rows[k] = rows[k] - rows[i] * rows[k, i]
    return rows[:, n:]


def _is_zero(x: Any) -> bool:
    """Whether a field element is 0; a function: whether it is the zero function."""
    return bool(x.same(0)) if hasattr(x, "same") else bool(x == 0)


def mix(policy: Any, table: Any) -> Array:
    """sum_a pi(a | s) table[s, a]: policy (..., S, A), table (..., S, A) -> (..., S) or table (..., S, A, S') -> (..., S, S')."""
    policy, table = np.asarray(policy), np.asarray(table)
    if policy.shape[-2:] == table.shape[-2:] and not (table.ndim == policy.ndim + 1 and table.shape[-3:-1] == policy.shape[-2:]):
        return (policy * table).sum(axis=-1)
    return (policy[..., None] * table).sum(axis=-2)


def expect(transitions: Any, values: Any) -> Array:
    """sum_s' P(s' | s, a) values[s']: transitions (..., S, A, S'), values (..., S') -> (..., S, A)."""
    values = np.asarray(values)
    return (transitions * values[..., None, None, :]).sum(axis=-1)


def lookahead(transitions: Any, rewards: Any, discount: Any, values: Any) -> Array:
    """r + gamma P V: the action values (..., S, A) if the future is worth `values` (..., S)."""
    return rewards + expect(transitions, values) * discount


def advantages(transitions: Any, rewards: Any, discount: Any, values: Any) -> Array:
    """r + gamma P V - V: what one action brings against `values` (..., S), of its own policy; (..., S, A)."""
    return lookahead(transitions, rewards, discount, values) - np.asarray(values)[..., None]


def policy_values(policy: Any, transitions: Any, rewards: Any, discount: Any) -> Array:
    """V with V = r_pi + gamma P_pi V: policy (..., S, A) -> (..., S).  Leading dimensions share the model."""
    return solve(_resolvent(policy, transitions, discount), mix(policy, rewards))


def policy_values_and_visits(policy: Any, transitions: Any, rewards: Any, discount: Any, start: Any) -> tuple[Array, Array]:
    """(V, d): V as in `policy_values`, and d = (I - gamma P_pi^T)^-1 start, the discounted visits (..., S), of total start.sum() / (1 - gamma)."""
    matrix = _resolvent(policy, transitions, discount)
    start = start if matrix.ndim == 2 else np.broadcast_to(start, matrix.shape[:-1])
    return solve(matrix, mix(policy, rewards)), solve(matrix.swapaxes(-1, -2), start)


def _resolvent(policy: Any, transitions: Any, discount: Any) -> Array:
    moved = (policy[..., None] * transitions).sum(axis=-2) * discount
    return identity(moved.shape[-1], moved) - moved


# Policies


def softmax(logits: Any) -> Array:
    """exp(x_a) / sum_b exp(x_b) along the last axis; leading dimensions as they are.  Finite for any finite logits."""
    logits = np.asarray(logits)
    with np.errstate(over="ignore"):  # a difference beyond the largest float is -inf, and its exponential 0, as it should be
        weights = exp(logits - _largest(logits))
    return weights / weights.sum(axis=-1)[..., None]


def log_softmax(logits: Any) -> Array:
    """x_a - log sum_b exp(x_b) along the last axis."""
    return np.asarray(logits) - log_sum_exp(logits)[..., None]


def log_sum_exp(logits: Any) -> Array:
    """log sum_b exp(x_b) along the last axis."""
    logits = np.asarray(logits)
    shift = _largest(logits)
    with np.errstate(over="ignore"):
        logits = logits - shift
    return shift[..., 0] + log(exp(logits).sum(axis=-1))


def _largest(logits: Array) -> Array:
    """(..., 1): what the exponents are shifted by.  For balls any exact number will do: the largest midpoint.  For functions 0."""
    numbers = kind(logits)
    if numbers == "field":
        return np.zeros((*logits.shape[:-1], 1), dtype=np.int64)
    if numbers == "rational":
        _no_rational(logits, "exp")
    if numbers == "ball":
        rows = logits.reshape(-1, logits.shape[-1])
        shift = np.empty(len(rows), dtype=object)
        shift[:] = [max((x.mid() for x in row), key=lambda x: x) for row in rows]
        return shift.reshape(*logits.shape[:-1], 1)
    return np.max(logits, axis=-1, keepdims=True)


def project_simplex(rows: Any) -> Array:
    """Euclidean projection of each row (last axis) on the probability simplex: max(x - c, 0) with c such that the row sums to 1.

    Rationals are projected exactly.  Balls: the projection of the midpoints, exactly, plus the 2-norm of the row's radii, because the
    projection is nonexpansive in that norm."""
    rows = np.asarray(rows)
    numbers = kind(rows)
    if numbers == "ball":
        centre = balls(project_simplex(exactly(rows)))
        spread = norm2(radius(rows), axis=-1)[..., None]
        return centre + spread * arb(0, 1)
    rows = rows - np.max(rows, axis=-1)[..., None]  # a constant changes nothing, and large entries then cost no digits
    ordered = np.sort(rows, axis=-1)[..., ::-1]
    excess = ordered.cumsum(axis=-1) - 1
    count = np.arange(1, rows.shape[-1] + 1)
    if numbers == "rational":
        count = elementwise(fmpq, count)
    kept = (ordered - excess / count > 0).sum(axis=-1)
    level = np.take_along_axis(excess, kept[..., None] - 1, axis=-1) / (elementwise(fmpq, kept) if numbers == "rational" else kept)[..., None]
    return np.maximum(rows - level, _constant(rows, 0))


def improve(policy: Any, action_values: Any, discount: Any) -> Array:
    """The rows of `policy`, replaced by the first maximiser of `action_values` where that is strictly better.

    Exact in rationals; balls raise Undecided at a tie; floats switch where the gain exceeds the rounding of a policy evaluation
    (`kernels.rounding_of_values`), so that policy iteration ends at ties."""
    policy, action_values = np.asarray(policy), np.asarray(action_values)
    if kind(policy) == "float" and kind(action_values) == "float":
        slack = kernels.rounding_of_values(policy.shape[-2], float(discount), np.abs(action_values).max())
    else:
        slack = _constant(action_values, 0)
    present = (policy * action_values).sum(axis=-1)
    out = policy.copy()
    for index in np.ndindex(policy.shape[:-1]):
        row = action_values[index]
        best = 0
        for a in range(1, row.size):
            if less(row[best], row[a]):
                best = a
        if less(present[index] + slack, row[best]):
            out[index] = _constant(policy, 0)
            out[(*index, best)] = _constant(policy, 1)
    return out
