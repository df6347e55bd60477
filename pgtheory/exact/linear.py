"""The small amount of linear algebra that evaluation needs, on float64, rationals and balls, dense and sparse.

A policy pi is a weight for every pair (s, a).  Its transition matrix and rewards are group sums of weighted rows of the choice matrix:

    P_pi[s] = sum_a pi(a | s) P[(s, a)],        r_pi[s] = sum_a pi(a | s) r(s, a)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mdps.model import MDP
from mdps.rational import rational_array
from mdps.rows import SparseRows

Array = np.ndarray


def sealed(*values: Any) -> tuple[Array, ...]:
    """Every value as a C-contiguous read-only float64 array: the one form in which kernels of this package take their input.

    A model's arrays are read-only and a caller's are not; without this each mixture would be compiled anew."""
    out = []
    for value in values:
        view = np.ascontiguousarray(value, dtype=np.float64).view()
        view.setflags(write=False)
        out.append(view)
    return tuple(out)


def kind(values: Array) -> str:
    """'float', 'rational' or 'ball', by the type of the first entry."""
    if values.dtype != object:
        return "float"
    from flint import arb

    return "ball" if any(isinstance(x, arb) for x in values.reshape(-1)[:1]) else "rational"


def model_like(mdp: MDP, numbers: str) -> tuple[Any, Array, Any, Array]:
    """(choices, pair rewards, discount, start) of `mdp` in the arithmetic `numbers`: float64, rationals, or balls at the present precision."""
    if numbers == "float":
        model = mdp.float
        return model.choices, model.pair_rewards, model.discount, model.start
    model = mdp.exact
    rows = model.choices.toarray() if isinstance(model.choices, SparseRows) else model.choices
    if numbers == "rational":
        return rows, model.pair_rewards, model.discount, model.start
    from flint import arb

    return balls(rows), balls(model.pair_rewards), arb(model.discount), balls(model.start)


def balls(values: Array) -> Array:
    """Rationals, floats or balls as `flint.arb` at the present precision."""
    from flint import arb

    source = np.asarray(values)
    out = np.empty(source.shape, dtype=object)
    out.reshape(-1)[:] = [arb(x) for x in source.reshape(-1).tolist()]
    return out


def same_kind(values: Any, numbers: str) -> Array:
    """`values` as an array of the arithmetic `numbers`."""
    source = np.asarray(values)
    if numbers == "float":
        return np.asarray(source, dtype=np.float64)
    return balls(source) if numbers == "ball" else rational_array(source)


def induced(first_pair: Array, choices: Any, rewards: Array, weights: Array) -> tuple[Any, Array]:
    """(P_pi (S, S), r_pi (S,)) for the pair weights (pairs,).  Sparse in, sparse out."""
    groups = first_pair[:-1]
    paid = np.add.reduceat(weights * rewards, groups)
    if isinstance(choices, np.ndarray):
        return np.add.reduceat(weights[:, None] * choices, groups, axis=0), paid
    from scipy.sparse import csr_array

    kept = np.flatnonzero(weights)
    states = np.repeat(np.arange(first_pair.size - 1), np.diff(first_pair))
    mix = csr_array((weights[kept], (states[kept], kept)), shape=(first_pair.size - 1, weights.size))
    return (mix @ choices).tocsr(), paid


def solve_resolvent(P: Any, discount: Any, rhs: Array, transposed: bool = False) -> Array:
    """x with (I - discount P) x = rhs, or with the transposed matrix; rhs (S,) of the arithmetic of P."""
    size = rhs.shape[0]
    if not isinstance(P, np.ndarray):
        from scipy.sparse import eye_array
        from scipy.sparse.linalg import splu

        factors = splu((eye_array(size) - discount * P).tocsc())
        return factors.solve(np.ascontiguousarray(rhs), trans="T" if transposed else "N")
    if P.dtype != object:
        matrix = -discount * (P.T if transposed else P)
        matrix[np.diag_indices(size)] += 1
        return np.linalg.solve(matrix, rhs)
    return solve_objects(resolvent_objects(P.T if transposed else P, discount), rhs)


def resolvent_objects(P: Array, discount: Any) -> Array:
    """I - discount P for object arrays."""
    matrix = -discount * P
    for s in range(P.shape[0]):
        matrix[s, s] = 1 + matrix[s, s]
    return matrix


def solve_objects(matrix: Array, rhs: Array) -> Array:
    """x with matrix x = rhs for object arrays of rationals or balls, (n, n) and (n,)."""
    from flint import arb_mat, fmpq_mat

    n = rhs.shape[0]
    make = arb_mat if kind(matrix) == "ball" else fmpq_mat
    x = make(n, n, matrix.reshape(-1).tolist()).solve(make(n, 1, rhs.tolist()))
    out = np.empty(n, dtype=object)
    out[:] = x.entries()
    return out
