"""Parts of compiled steps that only some sizes reach: the factorisation in panels, the least squares without eigenvalues, rare probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from mdps import MDP
from pgtheory import kernels
from pgtheory.policy_gradient import TrustRegion
from pgtheory.policy_gradient.log_linear import MOST_PIVOTED, _solved
from pgtheory.run import run
from tests import tolerances


@pytest.mark.parametrize("more", [0, 1, 2, 3])
def test_a_factorisation_in_panels_solves_both_systems(more):
    """Every rest that is left of a panel and of four rows; against LAPACK."""
    states, rng = kernels.LARGE + more, np.random.default_rng(more)
    moves = rng.random((states, 1, states))
    moves /= moves.sum(axis=-1, keepdims=True)
    rewards, start = rng.random((states, 1)), rng.dirichlet(np.ones(states))
    values, visits = kernels.policy_values_and_visits(np.ones((states, 1)), moves, rewards, 0.9, start)
    matrix = np.eye(states) - 0.9 * moves[:, 0]
    room = tolerances.linear_solve(states, 0.9, 1.0)
    np.testing.assert_allclose(values, np.linalg.solve(matrix, rewards[:, 0]), atol=room)
    np.testing.assert_allclose(visits, np.linalg.solve(matrix.T, start), atol=room)


def test_the_pivoted_solution_is_right_where_it_is_given_and_refused_where_eigenvalues_are_small():
    rng, taken = np.random.default_rng(0), 0
    for _ in range(400):
        n = int(rng.integers(1, MOST_PIVOTED + 2))
        root = rng.normal(size=(n, n)) * np.exp(rng.normal(size=n) * rng.choice([0, 1, 3]))
        matrix, right, out = root @ root.T, rng.normal(size=n), np.zeros(n)
        if rng.random() < 0.2 and n > 1:
            matrix[:, -1] = matrix[:, 0]
            matrix[-1] = matrix[0]
        condition = np.linalg.cond(matrix)
        if not _solved(matrix, right, out):
            assert not out.any()
            continue
        taken += 1
        assert n <= MOST_PIVOTED and condition < 1e15  # the cutoff of the eigenvalues is 1e-15
        known = np.linalg.solve(matrix, right)
        assert np.abs(out - known).max() <= 8 * n * tolerances.EPS * condition * np.abs(known).max()
    assert taken > 200
    assert not _solved(np.zeros((3, 3)), np.ones(3), np.zeros(3))


@pytest.mark.parametrize("over", ["mean", "each"])
def test_a_forward_region_stays_finite_where_probabilities_are_about_to_underflow(over):
    """The optimum is reached to rounding, no taken action is lost, and every step stays in its region."""
    rng = np.random.default_rng(1)
    moves = rng.random((4, 3, 4))
    mdp = MDP(moves / moves.sum(axis=-1, keepdims=True), rng.random((4, 3)), 0.9)
    trail = run(mdp, TrustRegion(0.05, "forward", over), 60, record="all")
    assert trail.gap()[-1] <= 10 * tolerances.linear_solve(4, 0.9, 1.0)
    assert (trail.policies > 0).all()
    old, new = trail.policies[:-1], trail.policies[1:]
    far = (old * np.log(old / new)).sum(axis=-1)
    assert np.isfinite(far).all() and far.min() >= -1e-12
    if over == "each":
        assert far.max() <= 0.05 * (1 + 1e-9)
