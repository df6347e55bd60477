"""Long certified runs: a thousand steps enclosed in balls, and a false bound caught on the way."""

from __future__ import annotations

import dataclasses

import pytest

from mdps.errors import ModelError
from proofs_check.catalogue import get_claim
from proofs_check.engine.long import certify_long, judged_times, named_instances


def _case(identifier: str, form: str, **changes):
    claim = get_claim(identifier)
    return dataclasses.replace(claim.case(claim.form(form)), **changes)


@pytest.mark.parametrize(
    ("identifier", "form"), [("softmax-mdp-one-over-t", "printed"), ("npg-one-over-T", "rate"), ("softmax-one-over-t-lower-bound", "bandit")]
)
def test_a_rate_is_certified_for_a_thousand_steps(identifier, form):
    case = _case(identifier, form)
    (run,) = certify_long(case, 1000, instances=named_instances(case)[:1])
    assert run.status == "holds" and run.steps == 1000 and run.ratio is not None and run.ratio <= 1
    assert run.judged >= 1000  # every t, the statement being about each


@pytest.mark.exact
@pytest.mark.parametrize(("identifier", "form"), [("ppg-any-step-recursion", "rate"), ("ppg-one-over-t", "derived")])
def test_projected_steps_with_a_lipschitz_constant_are_enclosed_for_a_hundred_steps(identifier, form):
    """In rationals their numbers would swell after a few."""
    case = _case(identifier, form)
    (run,) = certify_long(case, 100, instances=named_instances(case)[1:2])
    assert (run.steps, run.status) == (100, "holds") and run.outcome is not None and run.outcome.arithmetic == "balls"


@pytest.mark.exact
def test_equality_that_balls_leave_open_is_judged_in_rationals_on_fewer_steps():
    case = _case("ppg-improvement-any-step", "values")  # once the optimum is reached
    (run,) = certify_long(case, 100, instances=named_instances(case)[1:2])
    assert run.status == "holds" and run.steps < 100 and run.outcome is not None and run.outcome.arithmetic == "rationals"


def test_policy_iteration_which_has_none_stays_in_rationals():
    case = _case("policy-iteration-monotone-geometric-finite", "geometric")
    (run,) = certify_long(case, 1000, instances=named_instances(case)[:1])
    assert run.outcome is not None and run.outcome.arithmetic == "rationals"


def test_a_false_rate_is_caught():
    claim = get_claim("softmax-mdp-one-over-t").replace(form="printed", bound="1/(100*t)")
    (run,) = certify_long(claim.cases()[0], 200, instances=named_instances(claim.cases()[0])[:1])
    assert run.status == "violated" and run.outcome is not None and run.outcome.t is not None


def test_pairs_are_judged_within_the_run_and_statements_without_a_run_are_refused():
    assert judged_times(_case("npg-one-over-T", "ascent"), 50, every=True) == list(range(50))
    assert judged_times(_case("npg-one-over-T", "rate"), 50, every=False)[-1] == 50
    with pytest.raises(ModelError, match="no statement about a run"):
        certify_long(_case("performance-difference", "visits of the new policy"))
