"""Slack: one factor a link, whose product is the looseness of the theorem on that run."""

from __future__ import annotations

import itertools

import pytest

from mdps.errors import ModelError
from proofs_check.catalogue import claims, get_claim
from proofs_check.engine.measure import compare, trajectory
from proofs_check.instance import Batch
from proofs_check.instances import named
from proofs_check.slack import attribute, attribute_case

CHAINS = [(claim.id, form) for claim in claims().values() for form in claim.chain]
ROUNDING = 1e-12
"""A product of ten quotients, each good to a few eps; sums along the run are the same numbers on both sides."""


def _instances(identifier: str, form: str, count: int):
    case = get_claim(identifier).case(get_claim(identifier).form(form))
    return case, list(itertools.islice(named(case), 0, 9 * count, 9))


@pytest.mark.parametrize(("identifier", "form"), CHAINS, ids=[f"{c}:{f}" for c, f in CHAINS])
def test_the_factors_multiply_to_the_looseness(identifier, form):
    case, instances = _instances(identifier, form, 5)
    t = 12
    if case.process.name == "policy-iteration":  # it ends after a few steps, and then the gap is 0
        t, instances = 1, list(itertools.islice(named(case), 60))
    if case.process.name == "entropy-npg":  # linear: soon below what float64 can tell from 0, and at once where gamma = 0
        t, instances = 3, [instance for instance in itertools.islice(named(case), 24) if instance.discount > 0]
    seen = 0
    for instance in instances:
        try:
            slack = attribute_case(case, instance, t)
        except ModelError:  # a gap of 0
            continue
        context = trajectory(case, Batch.of([instance.as_float()]), t + 1, times=None)
        both = compare(case, context)
        k = list(both.times).index(t)
        measured, bound = both.left[0, k, 0], both.right[0, k, 0]
        looseness = bound / measured if case.statement.relation == "<=" else measured / bound
        assert slack.looseness == pytest.approx(looseness, rel=1e-7)  # the theorem's own record: other sums, other rounding
        own = slack.bound / slack.measured if case.statement.relation == "<=" else slack.measured / slack.bound
        assert slack.looseness == pytest.approx(own, rel=ROUNDING)
        if slack.measured > 1e-6:
            assert all(f.factor > 1 - 1e-6 for f in slack.factors), slack.factors
        seen += 1
    assert seen


def test_every_link_of_the_softmax_rate_is_named():
    case, instances = _instances("softmax-mdp-one-over-t", "printed", 2)
    slack = attribute("softmax-mdp-one-over-t", "printed", instances[-1], 20)
    names = "change-of-measure|square recursion|softmax-sufficient-increase|softmax-lojasiewicz|visits-at-least-start|extremes-so-far|start"
    ends = ["change-of-measure", "the statement"]  # the ratio of rho to mu is at most 1/mu, and the printed power of the horizon is one too many
    assert [f.link.partition(":")[0] for f in slack.factors] == [*names.split("|"), *ends]
    assert slack.rows()[-1][0] == "product" and slack.as_dict()["factors"][0]["link"] == "change-of-measure:gap"
    assert case.name == slack.form


def test_what_cannot_be_taken_apart_is_said():
    case, instances = _instances("softmax-mdp-one-over-t", "printed", 1)
    with pytest.raises(ModelError, match="up to"):
        attribute_case(case, instances[0], 10**6)
    with pytest.raises(ModelError, match="has no chain"):
        attribute("performance-difference", None, instances[0], 3)
