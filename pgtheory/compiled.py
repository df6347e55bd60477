"""How kernels are compiled: one decorator, one cache that cannot go stale, one gate for arrays.

numba keys its disk cache by the file that holds a function, so a change in a helper of another file would leave old machine code in use.
The cache directory of a kernel therefore carries a digest of its own source file and of all those that it imports (`pgtheory.sources`): change
one, and what depends on it is compiled anew, nothing else.

Compiled code takes C-contiguous read-only float64 (and int64) only: any other layout would compile a second version, which takes seconds.
`gate` is the one way in.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from pgtheory.sources import cache_base, compiler, digest_of, digest_of_packages

Array = np.ndarray


@functools.cache
def source_digest() -> str:
    """Digest of all sources of this package and of the compiler's version."""
    return digest_of_packages(("pgtheory",), compiler())


def cache_directory() -> pathlib.Path:
    """Where machine code is kept: `$PGTHEORY_CACHE`, else the user's cache directory; one folder a digest below it."""
    return cache_base() / "kernels"


def cached_in(module: str) -> str:
    """The cache directory of the kernels of `module`; those of other packages (a user's own) keep to the digest of this package.

    Models hold no compiled code."""
    own = digest_of((module,), compiler(), without=("mdps.*",)) if module.split(".")[0] == "pgtheory" else source_digest()
    return str(cache_directory() / own)


def kernel(function: Callable[..., Any], **options: Any) -> Any:
    """Compiles `function` on first use, without the interpreter lock, cached on disk.  options: further ones of `numba.njit`."""
    numba.config.CACHE_DIR = cached_in(function.__module__)  # numba reads it when a function is decorated
    return numba.njit(cache=True, nogil=True, **options)(function)


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
