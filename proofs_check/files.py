"""Files that are never half there: text and JSON are written to a temporary file in the same folder, then renamed over the name."""

from __future__ import annotations

import json
import math
import os
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

from mdps.errors import ModelError


def write_whole(path: str | os.PathLike[str], content: str | bytes) -> pathlib.Path:
    """Writes `content` to `path`, making its folder; a reader sees the old file or the new one, never a part.

    raises  ModelError: the place cannot be written (names it and the system's reason)
    """
    target = pathlib.Path(path)
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    except OSError as error:
        raise ModelError(f"cannot write {target}: {error.strerror or error}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes private files; a report is for others to read
        os.replace(temporary, target)
    except BaseException as error:
        pathlib.Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise ModelError(f"cannot write {target}: {error.strerror or error}") from error
        raise
    return target


def plain(value: Any) -> Any:
    """`value` as what JSON knows: numpy arrays as lists, numbers that are no finite floats as null, exact numbers as text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)


def to_json(value: Any, indent: int | None = 1) -> str:
    """`value` as standard JSON text (no NaN, no Infinity)."""
    return json.dumps(plain(value), indent=indent, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: str | os.PathLike[str]) -> Any:
    """The content of a JSON file.

    raises  ModelError: no such file, or no JSON (names line and column, and says so where the text ends too early)
    """
    name = os.fspath(path)
    try:
        content = pathlib.Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ModelError(f"{name}: there is no such file") from error
    except OSError as error:
        raise ModelError(f"{name}: {'this is a folder' if pathlib.Path(path).is_dir() else error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ModelError(f"{name} is no JSON: byte {error.start} is no UTF-8 text") from error
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        if not content.strip():
            raise ModelError(f"{name} is empty") from error
        if error.pos >= len(content.rstrip()) or error.msg.startswith("Unterminated string"):
            raise ModelError(f"{name} seems cut: it ends in line {content.rstrip().count(chr(10)) + 1}, within an unfinished value") from error
        raise ModelError(f"{name} is no JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
