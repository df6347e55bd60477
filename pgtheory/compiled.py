"""How kernels are compiled: one decorator, one cache that cannot go stale, one gate for arrays.

numba keys its disk cache by the file that holds a function, so a change in a helper of another file would leave old machine code in use.
The cache directory therefore carries a digest of every source file that holds kernels: change one, and all are compiled anew.  The same
digest goes into the evidence of a verdict (`source_digest`).

Compiled code takes C-contiguous read-only float64 (and int64) only: any other layout would compile a second version, which takes seconds.
`gate` is the one way in.
"""

from __future__ import annotations

import functools
import hashlib
import os
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

Array = np.ndarray
_PACKAGE = pathlib.Path(__file__).parent


@functools.cache
def source_digest() -> str:
    """Digest of all sources of this package and of the compiler's version: what compiled code depends on."""
    h = hashlib.sha256(f"{numba.__version__} {np.__version__} {sys.version_info[:2]}".encode())
    for path in sorted(_PACKAGE.rglob("*.py")):
        h.update(path.relative_to(_PACKAGE).as_posix().encode())
        h.update(path.read_bytes())
    return h.hexdigest()[:16]


def cache_directory() -> pathlib.Path:
    """Where machine code is kept: `$PGTHEORY_CACHE`, else the user's cache directory, and below it the digest."""
    base = os.environ.get("PGTHEORY_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "pgtheory")
    return pathlib.Path(base) / "kernels" / source_digest()


numba.config.CACHE_DIR = str(cache_directory())  # before any decoration: numba reads it when a function is decorated


def kernel(function: Callable[..., Any]) -> Any:
    """Compiles `function` on first use, without the interpreter lock, cached on disk."""
    return numba.njit(cache=True, nogil=True)(function)


def gate(*values: Any, dtype: Any = np.float64) -> tuple[Array, ...]:
    """Every value as a C-contiguous read-only array of `dtype`, ready to be the input of compiled code.

    Read-only always, because a model's arrays are and a caller's are not: the difference would compile everything twice.  Whole numbers become
    floats for the same reason."""
    out = []
    for value in values:
        view = np.ascontiguousarray(value, dtype=dtype).view()
        view.setflags(write=False)
        out.append(view)
    return tuple(out)
