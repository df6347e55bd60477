"""Forms that compare a method or an operator with something found another way: each fails as soon as the one side is wrong."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pgtheory import EntropyNPG, MirrorLearning, NaturalPG
from pgtheory.policy_gradient import interpolated
from proofs_check import quantities as q
from proofs_check.catalogue import get_claim
from proofs_check.claim import Case
from proofs_check.context import Context
from proofs_check.domains import free_settings
from proofs_check.engine.measure import measure
from proofs_check.engine.verify import verify
from proofs_check.statement import equal


def case_of(identifier: str, form: str, **changes: object) -> Case:
    claim = get_claim(identifier)
    return dataclasses.replace(claim.case(claim.form(form)), **changes)


def fails(case: Case, states: int = 2, actions: int = 3) -> bool:
    """Whether float64 sees a violation on one of 32 random instances."""
    width = case.domain.length(states, actions, len(free_settings(case.settings)))
    vectors = np.random.default_rng(7).standard_normal((32, width))
    return bool(measure(case, case.domain.decode(vectors, states, actions, case.settings), case.horizon or 5).candidates().any())


@pytest.mark.parametrize(
    ("identifier", "form", "process"),
    [
        ("pmd-kl-is-npg", "multiplicative weights on Q", NaturalPG(step_size=q.eta)),
        ("soft-policy-iteration-is-npg", "natural step on the soft value", EntropyNPG(step_size=(1 - q.gamma) / (2 * q.tau), temperature=q.tau)),
        ("soft-policy-iteration-is-npg", "natural step on the soft value", EntropyNPG(step_size=(1 - q.gamma) / q.tau, temperature=q.tau / 2)),
        ("mirror-learning-drift", "discovered drift, never beaten", MirrorLearning(strength=1, drift="kl")),
    ],
)
def test_another_method_fails(identifier, form, process):
    case = case_of(identifier, form)
    assert not fails(case)
    assert fails(dataclasses.replace(case, process=process))


def test_a_policy_that_is_not_optimal_leaves_slack():
    case = case_of("occupancy-lp-duality", "complementary slackness")
    assert not fails(case)
    assert fails(dataclasses.replace(case, statement=equal(q.dual_slack, 0)))


@pytest.mark.parametrize("form", ["plain", "clipped", "quadratic penalty", "divergence penalty"])
def test_slopes_of_surrogates_need_the_right_visits(form, monkeypatch):
    case, right = case_of("surrogate-first-order-agreement", form), Context.visits
    assert not fails(case)
    monkeypatch.setattr(Context, "visits", lambda self, start, discounted: right(self, start, discounted)[..., ::-1])
    assert fails(case)


def test_the_bias_needs_the_right_operator(monkeypatch):
    case, right = case_of("interpolated-bellman-operator", "bias is linear in the weight"), interpolated.interpolated_backup
    assert not fails(case)
    monkeypatch.setattr(interpolated, "interpolated_backup", lambda *given: right(*given[:-1], given[-1] / 2))
    assert fails(case)


@pytest.mark.exact
def test_the_maximiser_of_another_drift_is_beaten():
    """Confirmed in balls, where the drift is computed without the method's code."""
    claim = get_claim("mirror-learning-drift")
    (control,) = [c for c in claim.controls if c.name == "the natural step against the discovered drift"]
    alone = dataclasses.replace(claim, forms=claim.forms[:1], negative_controls=(control,))
    assert [found.verdict for found in verify([alone], jobs=1).verdicts[0].controls] == ["refuted"]
