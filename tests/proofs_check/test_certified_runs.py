"""Theorems about runs, certified for a thousand iterations: enclosures in balls, every judged inequality certain."""

from __future__ import annotations

import pytest

from proofs_check.catalogue import get_claim
from proofs_check.engine.long import certify_long, named_instances

THEOREMS = [
    ("softmax-mdp-one-over-t", "one step, derived", "arms([1, 0])"),
    ("softmax-mdp-one-over-t", "printed", "arms([1, 0])"),
    ("softmax-pg-any-step-monotone", "state values", "arms([1, 0])"),
    ("softmax-one-over-t-lower-bound", "bandit", "arms([1, 0])"),
    ("npg-one-over-T", "rate", "arms([1, 0])"),
    ("npg-one-over-T", "ascent", "arms([1, 0])"),
    ("npg-one-over-T", "monotone", "arms([1, 0])"),
    ("npg-potential", "ends", "arms([1, 0])"),
    ("entropy-npg-linear", "action values", "arms([1, 0])"),
    ("entropy-npg-linear", "log policies", "chain(1, 9/10)"),
    ("softmax-sufficient-increase", "at least", "arms([1, 0])"),
    ("softmax-sufficient-increase", "at most", "arms([1, 0])"),
    ("extremes-so-far", "mismatch", "arms([1, 0])"),
    ("values-in-range", "rise", "arms([1, 0])"),
    ("softmax-bandit-one-over-t", "derived", "arms([1, 0])"),
    ("softmax-worst-state-one-over-t", "step of the theorem", "arms([1, 0])"),
    ("softmax-gravity-well", "bandit", "arms([1, 0])"),
]


@pytest.mark.exact
@pytest.mark.parametrize(("identifier", "form", "model"), THEOREMS)
def test_a_thousand_certified_iterations(identifier, form, model):
    """At log-spaced t up to 1,000 (999 where t is compared with t + 1) on one of the models of the standard budget."""
    claim = get_claim(identifier)
    case = claim.case(claim.form(form))
    chosen = [instance for instance in named_instances(case) if instance.name == model]
    (run,) = certify_long(case, 1000, instances=chosen)
    assert run.steps >= 1000 and run.judged > 10
    assert run.status == "holds", run.reason


def test_at_least_ten_theorems_and_forms_are_among_them():
    assert len(THEOREMS) >= 10 and len({identifier for identifier, *_ in THEOREMS}) >= 10
