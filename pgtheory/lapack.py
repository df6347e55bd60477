"""One LU factorisation that is kept, inside compiled code.

numba offers `np.linalg.solve`, which throws its factors away.  The factorisation itself is behind the private class
`numba.np.linalg._LAPACK`; this file is the only place that knows.  A test fails if a new numba has moved it.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.np.linalg import _LAPACK, F_INT_nptype

from pgtheory import compiled

_getrf = _LAPACK.numba_xxgetrf(types.float64)
_DOUBLE = ord("d")
INTEGER = F_INT_nptype


@compiled.kernel
def factor_transposed(matrix):
    """LU with partial pivoting of matrix^T, in place (LAPACK reads C-contiguous memory by columns); the row exchanges, counted from 1.

    In C order the result holds, on and below the diagonal, U^T, and above it the unit triangle L^T."""
    n = matrix.shape[0]
    exchanges = np.empty(n, dtype=INTEGER)
    _getrf(_DOUBLE, n, n, matrix.ctypes, n, exchanges.ctypes)
    return exchanges
