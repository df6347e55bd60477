"""Assumptions about what a statement does not read, and instances on which linear algebra fails."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from small import claim, the_case

from pgtheory.policy_gradient import PolicyIteration, SoftmaxPG
from proofs_check import quantities as q
from proofs_check.domains import Extra, random_mdps
from proofs_check.engine.measure import measure
from proofs_check.engine.search import lifted
from proofs_check.engine.unread import unread
from proofs_check.quantities import gap

STEP = {"process": SoftmaxPG(step_size=q.eta), "settings": {q.eta: 1}, "horizon": 3}


@pytest.mark.parametrize(
    ("made", "change", "expected"),
    [
        (claim(q.state_values <= 1 / (1 - q.gamma), domain=random_mdps()), {"mu": "any"}, True),
        (claim(q.visits >= 0, domain=random_mdps()), {"mu": "any"}, False),
        (claim(q.gap_sup <= 1 / (1 - q.gamma), domain=random_mdps(policy="uniform")), {"policy": "interior"}, False),
        (claim(q.optimal_values <= 1 / (1 - q.gamma), domain=random_mdps(policy="uniform")), {"policy": "any"}, True),
        (claim(q.optimal_values <= 1 / (1 - q.gamma), domain=random_mdps()), {"rewards": None}, False),
        (claim(q.gap_sup <= 1 / (1 - q.gamma), domain=random_mdps(), **STEP), {"mu": "any"}, False),
        (claim(q.gap_sup <= 1 / (1 - q.gamma), domain=random_mdps(), process=PolicyIteration(), horizon=3), {"mu": "any"}, True),
        (claim(gap(q.mu, q.T) <= 1, domain=random_mdps(rho="mu")), {"rho": "any"}, True),
        (claim(gap(q.rho, q.T) <= 1, domain=random_mdps(rho="mu")), {"rho": "any"}, False),
    ],
)  # fmt: skip
def test_an_assumption_is_read_where_a_quantity_or_a_step_of_the_method_depends_on_it(made, change, expected):
    case = the_case(made)
    assert unread(case, dataclasses.replace(case, domain=case.domain.replace(**change))) is expected


def test_more_than_an_assumption_is_never_unread():
    case = the_case(claim(q.state_values <= 1 / (1 - q.gamma), domain=random_mdps()))
    wider = case.domain.replace(mu="any")
    assert not unread(case, case)
    assert not unread(case, dataclasses.replace(case, domain=wider, statement=case.statement.replace_bound("1")))
    assert not unread(case, dataclasses.replace(case, domain=case.domain.replace(max_states=5)))


def test_an_instance_on_which_linear_algebra_fails_has_no_value_and_the_others_keep_theirs():
    """The eigenvalues of a matrix that holds NaN: a policy with a zero has no discounted entropy in floats."""
    case = the_case(claim(q.entropy_hessian_norm <= 1, domain=random_mdps(policy="any")))
    vectors = np.random.default_rng(1).standard_normal((16, case.domain.length(2, 2, 0)))
    vectors[::4] *= 30
    batch = case.domain.decode(vectors, 2, 2, {})
    broken = (batch.policy == 0).any(axis=(1, 2))
    assert 0 < broken.sum() < 16
    together = measure(case, batch, 0)
    np.testing.assert_array_equal(np.isnan(together.excess).all(axis=(1, 2)), broken)
    for k in np.flatnonzero(~broken):
        alone = measure(case, case.domain.decode(vectors[k : k + 1], 2, 2, {}), 0)
        np.testing.assert_allclose(alone.left[0], together.left[k], rtol=1e-12)


def test_lifted_coordinates_carry_the_extras_of_the_domain():
    domain = random_mdps().replace(extras={"V": Extra(("S",))}.items())
    vector = np.random.default_rng(0).standard_normal(domain.length(2, 2, 0))
    larger = lifted(vector, 2, 2, 3, 2, domain.extras)
    assert larger.size == domain.length(3, 2, 0)
