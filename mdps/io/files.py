"""What all file formats share: whole writes, errors that name file and line, and a model gathered from single transitions."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.rational import fraction, is_exact, rational
from mdps.rows import SparseRows

Array = np.ndarray
DENSE_ENTRIES = 2**16
"""Models of up to this many entries (pairs times states) are read into dense arrays, larger ones into compressed rows."""


def write_whole(path: str | Path, write: Callable[[BinaryIO], object]) -> Path:
    """Writes a file completely or not at all: into a temporary file beside it, which then takes its name."""
    target = Path(path)
    if not target.parent.is_dir():
        raise ModelError(f"{target}: there is no folder {target.parent}")
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
    return target


def write_text(path: str | Path, text: str) -> Path:
    return write_whole(path, lambda file: file.write(text.encode()))


def read_text(path: str | Path) -> str:
    """The text of a file; a missing, unreadable or binary one raises ModelError with its name."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ModelError(f"{path}: there is no such file") from error
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: this is no text file (byte {error.start} is not UTF-8)") from error
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}") from error


def read_arrays(path: str | Path, needed: Sequence[str]) -> dict[str, Array]:
    """The arrays of an .npz file, without pickled objects; a broken file, or one that lacks a needed array, raises ModelError."""
    import zipfile
    import zlib

    try:
        with Path(path).open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                refuse(path, None, "this is a single array, no .npz file")
            arrays = {key: loaded[key] for key in loaded.files}
    except ModelError:
        raise
    except FileNotFoundError as error:
        raise ModelError(f"{path}: there is no such file") from error
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, KeyError, RuntimeError) as error:  # the last: a newer version of zip
        raise ModelError(f"{path}: this is no complete .npz file ({error})") from error
    missing = [key for key in needed if key not in arrays]
    if missing:
        refuse(path, None, f"the array {missing[0]!r} is missing; the file has {', '.join(arrays) or 'none'}")
    return arrays


def refuse(path: str | Path, line: int | None, problem: str) -> NoReturn:
    """ModelError: 'model.tra, line 7: ...'."""
    raise ModelError(f"{path}{'' if line is None else f', line {line}'}: {problem}")


def in_file(path: str | Path, build: Callable[[], Any]) -> Any:
    """Calls `build`; a ModelError of the model itself gets the file's name in front."""
    try:
        return build()
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def whole_number(text: str, path: str | Path, line: int | None, what: str, below: int | None = None) -> int:
    """A count or index from a file."""
    if not text.strip().isdecimal():
        refuse(path, line, f"{what} is {text.strip()!r}; it must be a whole number")
    value = int(text)
    if below is not None and value >= below:
        refuse(path, line, f"{what} is {value}; it must be at most {below - 1}")
    return value


def real_number(text: str, path: str | Path, line: int | None, what: str) -> Any:
    """A figure from a file: a float, or an fmpq where it is written as a fraction such as 1/3."""
    text = text.strip()
    try:
        if "/" in text:
            return rational(text)
        value = float(text)
    except (ModelError, ValueError):
        refuse(path, line, f"{what} is {text!r}; it must be a number such as 0.25 or 1/4")
    if not np.isfinite(value):
        refuse(path, line, f"{what} is {text}; it must be finite")
    return value


def probability(text: str, path: str | Path, line: int | None, what: str = "the probability") -> Any:
    value = real_number(text, path, line, what)
    if not 0 <= value <= 1:
        refuse(path, line, f"{what} is {text.strip()}; it must be in [0, 1]")
    return value


def show(value: Any) -> str:
    """A figure for a file, so that reading it gives the same number: '1/3' for rationals, the shortest decimal for floats."""
    if isinstance(value, float):
        return repr(float(value))
    f = fraction(value)
    return str(f)


def discount_for(exact: bool, discount: Any) -> Any:
    """A discount given beside a file, as the number type of its model."""
    return rational(discount) if exact and not isinstance(discount, float) else float(fraction(discount))


def as_numbers(values: Sequence[Any]) -> Array:
    """A list of floats, or of floats and rationals (then all become rational, the floats as the simplest fractions), as an array."""
    if any(not isinstance(v, float | int) for v in values):
        from mdps.rational import simplest

        out = np.empty(len(values), dtype=object)
        out[:] = [simplest(v) if isinstance(v, float) else rational(v) for v in values]
        return out
    return np.array(values, dtype=np.float64)


def choice_matrix(rows: Array, columns: Array, probabilities: Array, num_pairs: int, num_states: int) -> Any:
    """Dense array, CSR or `SparseRows` of entries in any order; entries of the same place add up."""
    order = np.lexsort((columns, rows))
    rows, columns, probabilities = rows[order], columns[order], probabilities[order]
    new = np.ones(rows.size, dtype=bool)
    new[1:] = (np.diff(rows) != 0) | (np.diff(columns) != 0)
    if not new.all():
        probabilities = np.add.reduceat(probabilities, np.flatnonzero(new))
        rows, columns = rows[new], columns[new]
    indptr = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=num_pairs))))
    small = max(rows.size, num_states) < 2**31
    indptr, columns = (part.astype(np.int32 if small else np.int64) for part in (indptr, columns))
    if is_exact(probabilities):
        sparse: Any = SparseRows(indptr, columns, probabilities, (num_pairs, num_states))
    else:
        from scipy.sparse import csr_array

        sparse = csr_array((probabilities, columns, indptr), shape=(num_pairs, num_states))
    return sparse.toarray() if num_pairs * num_states <= DENSE_ENTRIES else sparse


def entries(mdp: MDP) -> tuple[Array, Array, Array]:
    """(pair, successor, probability) of every transition with positive probability; fmpq where the model was given exactly."""
    source = mdp.exact if mdp.given_exactly else mdp
    choices = source.choices
    if isinstance(choices, np.ndarray):
        rows, columns = np.nonzero(choices)
        return rows, columns, choices[rows, columns]
    rows = np.repeat(np.arange(mdp.num_pairs), np.diff(choices.indptr))
    kept = np.flatnonzero(choices.data != 0)
    return rows[kept], np.asarray(choices.indices)[kept].astype(np.int64), choices.data[kept]
