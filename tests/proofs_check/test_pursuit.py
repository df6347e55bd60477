"""One search for many mutants: each false one is found, explained ones are left alone, and work is counted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from small import TINY, claim, the_case

from proofs_check import quantities as q
from proofs_check.catalogue import claims
from proofs_check.catalogue.against import AGAINST
from proofs_check.domains import random_mdps
from proofs_check.engine.certify import confirm
from proofs_check.engine.examination import Examination
from proofs_check.engine.mutants import mutants
from proofs_check.engine.pursuit import ORIGINAL, OVERHEAD, TRIVIAL, Pursuit, Quarry, made_for
from proofs_check.engine.search import Found
from proofs_check.quantities import gap

CASE = the_case(claim(gap(q.rho, q.T) <= 1 / (1 - q.gamma), domain=random_mdps(policy="any", max_states=2, max_actions=2)))


def quarry(bound, **known) -> Quarry:
    case = dataclasses.replace(CASE, name=f"main, {bound}", kind="control", statement=CASE.statement.replace_bound(bound))
    return Quarry(case, Examination(case, TINY, 0, None), **known)


def pursued(*bounds: str, **known) -> tuple[dict[str, Quarry], Pursuit, list[str]]:
    hunted, ended = {bound: quarry(bound, **known.get(bound, {})) for bound in bounds}, []
    search = Pursuit(CASE, {ORIGINAL: CASE}, 0, lambda one: ended.append(one.case.name.removeprefix("main, ")))
    search.first(list(hunted.values()), TINY)
    return hunted, search, ended


def test_false_statements_are_refuted_together_and_weaker_ones_explained():
    """A gap reaches 1/(1-gamma) and no more: half of it, and 1, are false; twice as much, and one more power, follow from the original."""
    hunted, _, ended = pursued("1/(2*(1-gamma))", "1", "2/(1-gamma)", "1/(1-gamma)**2", "1/(1-gamma) + 0*S")
    assert set(ended) == {"1/(2*(1-gamma))", "1"}
    for bound in ended:
        example = hunted[bound].exam.counterexample
        assert example is not None
        assert example["arithmetic"] == "rationals"
    assert hunted["2/(1-gamma)"].by == hunted["1/(1-gamma)**2"].by == ORIGINAL
    assert hunted["1/(1-gamma) + 0*S"].same


def test_a_lower_bound_that_is_never_positive_says_nothing():
    case = the_case(claim(gap(q.rho, q.T) >= 0 * q.S, domain=CASE.domain))
    below = dataclasses.replace(case, name="main, below", kind="control", statement=case.statement.replace_bound("-gap_mu"))
    one = Quarry(below, Examination(below, TINY, 0, None))
    Pursuit(case, {ORIGINAL: case}, 0, lambda _: None).first([one], TINY)
    assert one.by == TRIVIAL


def test_a_statement_about_other_entries_is_no_consequence():
    """The original speaks of states, the changed one of state-action pairs: compared entry by entry they would not even fit."""
    from proofs_check.statement import equal

    case = the_case(claim(equal(q.softmax_gradient_sums, q.zero), domain=random_mdps(policy="interior", mu="any", max_states=2, max_actions=2)))
    other = dataclasses.replace(case, name="main, pairs", kind="control", statement=equal(q.softmax_derivative, q.zero))
    one = Quarry(other, Examination(other, TINY, 0, None))
    Pursuit(case, {ORIGINAL: case}, 0, lambda _: None).first([one], TINY)
    assert not one.alive
    assert one.by == ""


def test_a_quarry_whose_end_is_known_leaves_at_its_batch_and_is_not_confirmed_again():
    hunted, _, _ = pursued("1/(2*(1-gamma))")
    at = hunted["1/(2*(1-gamma))"].ended_at
    again, _, ended = pursued("1/(2*(1-gamma))", **{"1/(2*(1-gamma))": {"known_at": at}})
    assert ended == []
    assert again["1/(2*(1-gamma))"].ended_at == at
    assert again["1/(2*(1-gamma))"].exam.counterexample is None


def test_the_second_search_stops_when_its_work_is_spent():
    """A weaker bound without its explanation: it is hunted to the end of the work, and one batch beyond it."""
    one = quarry("1/(1-gamma) + 1")
    search = Pursuit(CASE, {}, 0, lambda _: None)
    search.first([one], TINY)
    before = search.work
    budget = dataclasses.replace(TINY, population=8, generations=1000)
    search.second([one], budget, 5000.0, 2)
    assert one.alive
    assert before < search.work < before + 5000 + 8 * OVERHEAD * 4


def test_same_seed_same_search():
    def prints() -> list[float]:
        one = quarry("1/(1-gamma) + 1")
        found = one.found
        assert isinstance(found, Found)
        Pursuit(CASE, {}, 3, lambda _: None).first([one], TINY)
        return [found.score, float(found.instances)]

    assert prints() == prints()


@pytest.mark.parametrize("key", sorted(AGAINST))
def test_instances_against_mutants_meet_the_assumptions_of_their_form(key):
    """Or, where a mutant drops one of them, all but that one."""
    identifier, form = key.split(":")
    case = claims()[identifier].case(claims()[identifier].form(form))
    wider = [mutant.case for mutant in mutants(case) if mutant.name.startswith("assumption dropped")]
    for one in (case, *wider):
        instances = [instance for instance, _ in made_for(one)]
        assert all(not one.domain.broken(instance) for instance in instances)
        assert len({str(instance.to_json()) for instance in instances}) == len(instances)
    assert any(list(made_for(one)) for one in (case, *wider))


REFUTED_BY_HAND = {
    "softmax-smoothness-sharp:derived": "exponent of 1/(1-gamma): 2 -> 1",
    "softmax-reverse-lojasiewicz:mdp": "factor policy_mismatch dropped",
    "softmax-mdp-one-over-t:one step, derived": "exponent of 1/mismatch: 2 -> 1",
    "softmax-sufficient-increase:at least": "exponent of 1/(1-gamma): 2 -> 1",
    "softmax-sufficient-increase:at most": "exponent of 1/(1-gamma): 2 -> 1",
    "softmax-one-over-t-lower-bound:bandit": "assumption dropped: bandit",
    "softmax-one-over-t-lower-bound:mdp": "factor (1-gamma)**(-2) dropped, everywhere",
    "npg-limit-solves-the-dual:vanishes": "exponent of least_suboptimality: 1 -> 2 in the measured",
    "smoothness-direct:printed": "S for A",
    "gradient-domination-direct:start": "gap_mu measured, not gap_rho",
    "entropy-smoothness:derived": "exponent of 1/(1-gamma): 2 -> 1",
    "soft-bellman-facts:loss of the soft-optimal policy": "factor log(A) dropped",
    "finite-horizon-simultaneous-pg:rate": "factor S dropped",
    "finite-horizon-dynamic-pg:epoch": "factor A dropped",
}


ALSO = [("soft-bellman-facts:loss of the soft-optimal policy", "exponent of log(A): 1 -> 2")]


@pytest.mark.parametrize(("key", "name"), [*REFUTED_BY_HAND.items(), *ALSO])
def test_what_no_search_breaks_a_person_has_broken(key, name):
    """In exact arithmetic, while the theorem holds on the same instance."""
    identifier, form = key.split(":")
    case = claims()[identifier].case(claims()[identifier].form(form))
    changed = next(mutant.case for mutant in mutants(case) if mutant.name == name)
    outcomes = [confirm(changed, instance, list(times)).status for instance, times in made_for(changed)]
    assert "violated" in outcomes
    assert all(confirm(case, instance, list(times)).status != "violated" for instance, times in made_for(case))


def test_shares_of_a_generation_are_even():
    from proofs_check.engine.pursuit import _shares

    assert _shares(10, 3) == [4, 3, 3]
    assert _shares(4, 8) == [2] * 8
    assert np.all(np.array(_shares(64, 5)) >= 12)
