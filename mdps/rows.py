"""Choice matrices: one row of probabilities for every pair of a state and an action, dense, compressed or in rationals, read from what is given.

Each reader returns arrays of its own memory and refuses what is no such matrix, naming the place; that rows sum to 1 is `mdps.checks`'s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from mdps.checks import refuse_non_finite
from mdps.errors import ModelError
from mdps.rational import exact_compressed, exact_rows, is_exact, meant_array, rational_array, to_float

Array = np.ndarray


class SparseRows:
    """CSR rows of rationals: `indptr`, `indices`, `data` (object array), `shape`."""

    __slots__ = ("data", "indices", "indptr", "shape")

    def __init__(self, indptr: Array, indices: Array, data: Array, shape: tuple[int, int]) -> None:
        self.indptr, self.indices, self.data, self.shape = indptr, indices, data, shape

    @classmethod
    def from_csr(cls, matrix: Any) -> SparseRows:
        return cls(matrix.indptr, matrix.indices, frozen(exact_compressed(matrix.data, matrix.indptr)), matrix.shape)

    def to_float(self) -> Any:
        from scipy.sparse import csr_array

        return csr_array((to_float(self.data), self.indices, self.indptr), shape=self.shape)

    def toarray(self) -> Array:
        from flint import fmpq

        out = np.full(self.shape, fmpq(0), dtype=object)
        rows = np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))
        out[rows, self.indices] = self.data
        return out

    def __repr__(self) -> str:
        return f"SparseRows({self.shape}, {self.indptr.tolist()}, {self.indices.tolist()}, {self.data.tolist()})"


def checked_shapes(first_pair: Any, choices: Any, rewards: Any) -> tuple[Array, Any, Array]:
    """The parts of a choice matrix as new arrays whose numbers of states and pairs agree; the number of successors is left open."""
    first = _row_numbers(first_pair)
    if first.ndim != 1 or first.size < 2 or first[0] != 0:
        raise ModelError(f"first_pair must be a vector of S + 1 >= 2 row numbers that starts at 0; it has shape {first.shape}")
    empty = np.flatnonzero(np.diff(first) < 1)
    if empty.size:
        raise ModelError(f"state {empty[0]} has no action; give it at least one (a self-loop with reward 0 for a terminal state)")
    matrix, paid = as_choices(choices), numbers_of("rewards", rewards)
    if matrix.shape[0] != first[-1]:
        raise ModelError(f"choices has shape {matrix.shape}; first_pair asks for ({first[-1]}, {first.size - 1}) (pairs, states)")
    if paid.shape != (first[-1],):
        raise ModelError(f"rewards has shape {paid.shape}; there are {first[-1]} pairs of state and action")
    return first, matrix, paid


def _row_numbers(first_pair: Any) -> Array:
    try:
        given = np.asarray(first_pair)
        numbers = np.array(given, dtype=np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"first_pair is {first_pair!r}; it must be a vector of whole numbers") from error
    if given.dtype == bool or np.any(numbers != given):
        raise ModelError("first_pair must be a vector of whole numbers")
    return numbers


def numbers_of(field: str, values: Any) -> Array:
    """`values` as a new array of float64, or of fmpq where they are exact."""
    try:
        return rational_array(values) if is_exact(values) else np.array(values, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        if isinstance(error, ModelError):
            raise ModelError(f"{field}: {error}") from error
        raise ModelError(f"{field} is not a rectangular array of numbers ({error})") from error


def rectangular_choices(transitions: Any) -> tuple[Any, int, int]:
    """The choice matrix of a (S, A, S') array or a sparse (S*A, S') matrix, with S and A."""
    if hasattr(transitions, "tocsr") or isinstance(transitions, SparseRows):
        matrix = as_choices(transitions)
        pairs, states = matrix.shape
        if states == 0 or pairs == 0 or pairs % states:
            raise ModelError(f"a sparse transition matrix has S*A rows and S columns; {matrix.shape} is not such a shape")
        return matrix, states, pairs // states
    array = numbers_of("transitions", transitions)
    if array.ndim != 3 or array.shape[0] != array.shape[2]:
        raise ModelError(f"transitions has shape {array.shape}; it must be (S, A, S') with as many successors as states")
    states, actions, _ = array.shape
    if states == 0:
        raise ModelError("transitions has no state")
    if actions == 0:
        raise ModelError("state 0 has no action: transitions has shape " + str(array.shape))
    return array.reshape(states * actions, states), states, actions


def as_choices(choices: Any) -> Any:
    """A dense float64 or exact array, a checked csr_array with sorted unique indices, or SparseRows, of its own memory."""
    if isinstance(choices, SparseRows):
        _check_csr(choices)
        return choices
    if not hasattr(choices, "tocsr"):
        array = numbers_of("choices", choices)
        if array.ndim != 2:
            raise ModelError(f"choices has shape {array.shape}; it must be (pairs, S)")
        return array
    from scipy.sparse import csr_array

    if getattr(choices, "format", "") == "csr":
        _check_csr(choices)
    try:
        matrix = csr_array(choices, dtype=np.float64, copy=True)
    except (TypeError, ValueError) as error:
        raise ModelError(f"the sparse transition matrix cannot be read: {error}") from error
    matrix.sum_duplicates()
    small = max(matrix.shape[1], matrix.nnz) < 2**31
    if small:
        matrix.indices, matrix.indptr = matrix.indices.astype(np.int32, copy=False), matrix.indptr.astype(np.int32, copy=False)
    for part in (matrix.data, matrix.indices, matrix.indptr):
        part.setflags(write=False)
    return matrix


def _check_csr(rows: Any) -> None:
    """Refuses row pointers and successors that point outside."""
    indptr, indices = rows.indptr, rows.indices
    if indptr.shape != (rows.shape[0] + 1,) or indptr[0] != 0 or np.any(np.diff(indptr) < 0) or indptr[-1] > indices.size:
        raise ModelError(f"the sparse transition matrix has broken row pointers; indptr must rise from 0 to {indices.size} in {rows.shape[0]} steps")
    if indices.shape != rows.data.shape:
        raise ModelError(f"the sparse transition matrix has {indices.size} successors and {rows.data.size} probabilities")
    low, high = (int(indices.min()), int(indices.max())) if indices.size else (0, 0)
    if low < 0 or high >= max(rows.shape[1], 1):
        raise ModelError(f"the sparse transition matrix names successor {low if low < 0 else high}; there are {rows.shape[1]} states")


def rewards_of_pairs(rewards: Any, choices: Any, states: int, actions: int) -> Array:
    """(S*A,) expected rewards from the three accepted shapes."""
    paid = numbers_of("rewards", rewards)
    if paid.shape == (states, actions):
        return paid.reshape(-1)
    if paid.shape == (states,):
        return np.repeat(paid, actions)
    if paid.shape == (states, actions, states):
        refuse_non_finite("rewards", paid)
        return _expected(choices, paid.reshape(states * actions, states))
    raise ModelError(f"rewards has shape {paid.shape}; it must be (S, A) = {(states, actions)}, (S, A, S') or (S,)")


def _expected(choices: Any, paid: Array) -> Array:
    """Row sums of choices * paid; exact where either is."""
    given = choices if isinstance(choices, np.ndarray) else choices.data
    if given.dtype == object or paid.dtype == object:
        choices, paid = all_exact(choices), exact_numbers(paid)
    if isinstance(choices, np.ndarray):
        return (choices * paid).sum(axis=1)
    if not isinstance(choices, SparseRows):
        return np.asarray(choices.multiply(paid).sum(axis=1)).reshape(-1)
    from flint import fmpq

    rows = np.repeat(np.arange(choices.shape[0]), np.diff(choices.indptr))
    terms = choices.data * paid[rows, choices.indices]
    sums = [sum(terms[b:e].tolist(), fmpq(0)) for b, e in zip(choices.indptr[:-1], choices.indptr[1:], strict=True)]
    return rational_array(sums)


def rows_digest(choices: Any) -> bytes:
    """A digest of the positive entries of a choice matrix, the same for dense and compressed storage."""
    parts = [hashlib.sha256() for _ in range(3)]
    for block in nonzero_blocks(choices):
        for part, values in zip(parts, block, strict=True):
            part.update(bytes_of(values))
    return b"".join(part.digest() for part in parts)


def nonzero_blocks(choices: Any, entries: int = 2**22) -> Iterator[tuple[Array, Array, Array]]:
    """(entries in each row, their columns, their values) without zeros, for blocks of rows."""
    rows, columns = choices.shape
    stored = rows * columns if isinstance(choices, np.ndarray) else choices.data.size
    step = max(1, entries * rows // max(stored, 1))
    for low in range(0, rows, step):
        if isinstance(choices, np.ndarray):
            block = choices[low : low + step]
            row, column = np.nonzero(block)
            data = block[row, column]
        else:
            begin, end = choices.indptr[low], choices.indptr[min(low + step, rows)]
            kept = np.flatnonzero(choices.data[begin:end] != 0)
            row = np.repeat(np.arange(min(step, rows - low)), np.diff(choices.indptr[low : min(low + step, rows) + 1]))[kept]
            column, data = choices.indices[begin:end][kept], choices.data[begin:end][kept]
        yield np.bincount(row, minlength=min(step, rows - low)), column.astype(np.int64), data


def bytes_of(values: Array) -> bytes:
    if values.dtype == object:
        return "".join(f"{x}," for x in values.tolist()).encode()
    return np.ascontiguousarray(values + 0).tobytes()  # + 0 turns -0.0 into 0.0


def all_exact(choices: Any) -> Any:
    if isinstance(choices, SparseRows):
        return choices
    if hasattr(choices, "tocsr"):
        return SparseRows.from_csr(choices)
    return choices if choices.dtype == object else exact_rows(choices)


def exact_numbers(values: Any) -> Array:
    if is_exact(values):
        return rational_array(values)
    numbers = np.array(values, dtype=np.float64)
    if not np.all(np.isfinite(numbers)):
        refuse_non_finite("rewards" if numbers.ndim else "discount", numbers)
    return meant_array(numbers)


def padded(rows: Array, mask: Array) -> Array:
    out = np.zeros(mask.shape + rows.shape[1:], dtype=rows.dtype)
    if rows.dtype == object:
        from flint import fmpq

        out[...] = fmpq(0)
    out[mask] = rows
    return out


def frozen(array: Array) -> Array:
    array = array.view() if array.flags.owndata is False else array
    array.setflags(write=False)
    return array
