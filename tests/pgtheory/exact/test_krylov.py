"""BiCGSTAB with incomplete factors, against dense LU."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from pgtheory.exact import krylov

UNIT = 2.0**-53


def chain(seed: int, states: int, lost: float) -> csr_array:
    """Up to four successors a state, one of them always lower by one, rows of mass 1 - lost; places in no order within a row."""
    rng = np.random.default_rng(seed)
    rows = csr_array((states, states))
    dense = np.zeros((states, states))
    for s in range(states):
        to = np.unique(np.append(rng.integers(0, states, 3), max(s - 1, 0)))
        dense[s, to] = rng.standard_exponential(to.size)
        dense[s] *= (1 - lost) / dense[s].sum()
    rows = csr_array(dense)
    for s in range(states):
        turn = rng.permutation(rows.indptr[s + 1] - rows.indptr[s]) + rows.indptr[s]
        place = slice(rows.indptr[s], rows.indptr[s + 1])
        rows.indices[place], rows.data[place] = rows.indices[turn], rows.data[turn]
    return rows


def parts(rows: csr_array) -> tuple[np.ndarray, ...]:
    return rows.indptr.astype(np.uint32), rows.indices.astype(np.uint32), rows.data


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6), discount=st.sampled_from((0.5, 0.99, 0.9999)), plain=st.sampled_from((0, 3, 1000)), scale=st.sampled_from((1e-6, 1e6))
)
def test_the_residual_asked_is_the_residual_delivered(seed, discount, plain, scale):
    rows = chain(seed, 30, 0.0)
    paid = scale * np.random.default_rng(seed).standard_normal(30)
    x = np.zeros(30)
    target = 1e-9 * scale
    krylov.bicgstab(*parts(rows), paid, discount, x, target, 500, plain)
    residual = np.max(np.abs(paid + discount * (rows @ x) - x))
    assert residual <= target + 8 * UNIT * np.max(np.abs(x))
    exact = np.linalg.solve(np.eye(30) - discount * rows.toarray(), paid)
    assert np.max(np.abs(x - exact)) <= 2 * target / (1 - discount) + 100 * UNIT * np.max(np.abs(exact)) / (1 - discount)


@pytest.mark.parametrize("lost", [1e-1, 1e-6])
def test_a_substochastic_matrix_needs_no_discount(lost):
    rows = chain(1, 40, lost)
    x, paid = np.zeros(40), np.ones(40)
    krylov.bicgstab(*parts(rows), paid, 1.0, x, 1e-8, 500, 0)
    assert np.max(np.abs(x - 1 / lost)) <= 2e-8 / lost + 1e3 * UNIT / lost**2


def test_a_policy_without_cycles_is_solved_by_the_factors_alone():
    rng = np.random.default_rng(0)
    dense = np.tril(rng.random((50, 50)), -1)
    dense[0, 0] = 1.0
    rows = csr_array(dense / dense.sum(1, keepdims=True))
    x, paid = np.zeros(50), rng.random(50)
    used = krylov.bicgstab(*parts(rows), paid, 0.9, x, 1e-12, 500, 0)
    assert used == 1
    np.testing.assert_allclose(x, np.linalg.solve(np.eye(50) - 0.9 * rows.toarray(), paid), rtol=1e-13)


def test_loops_of_two_states_are_in_the_factors():
    swap = np.arange(20) ^ 1
    rows = csr_array((np.full(40, 0.5), np.stack([swap, np.arange(20)], 1).ravel(), np.arange(0, 41, 2)), shape=(20, 20))
    x, paid = np.zeros(20), np.arange(20.0)
    assert krylov.bicgstab(*parts(rows), paid, 0.9999, x, 1e-7, 500, 0) == 1
    np.testing.assert_allclose(x, np.linalg.solve(np.eye(20) - 0.9999 * rows.toarray(), paid), rtol=1e-10)


def test_the_factors_agree_with_the_definition():
    """L U and I - gamma P have the same entries in the places of P."""
    rows = chain(7, 25, 0.0)
    ptr, successors, probabilities = parts(rows)
    places, factors = np.empty_like(successors), np.empty(successors.size)
    middle, pivots = np.empty((25, 2), dtype=np.uint32), np.empty(25)
    krylov.factorise(ptr, successors, probabilities, 0.95, places, factors, middle, pivots)
    L, U = np.eye(25), np.diag(1 / pivots)
    for i in range(25):
        for j in range(ptr[i], middle[i, 0]):
            L[i, places[j]] = factors[j]
        for j in range(middle[i, 1], ptr[i + 1]):
            U[i, places[j]] = factors[j]
    matrix = np.eye(25) - 0.95 * rows.toarray()
    where = matrix != 0
    np.testing.assert_allclose((L @ U)[where], matrix[where], atol=1e-14)
    b, x = np.arange(25.0), np.empty(25)
    krylov.precondition(ptr, places, factors, middle, pivots, b, x)
    np.testing.assert_allclose(L @ U @ x, b, atol=1e-12)
