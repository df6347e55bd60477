"""The search finds what is false, the shrinker makes it small and exact without leaving the domain, and a seed fixes every figure."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from small import ANYTHING, TINY, claim, random_instances, the_case
from sympy import Rational, log

from mdps.rational import fraction, rational
from pgtheory.policy_gradient import NaturalPG, PolicyIteration, SoftmaxPG
from proofs_check import quantities as q
from proofs_check.domains import Between, Domain, bandits, in_range
from proofs_check.engine import shrink as shrinking
from proofs_check.engine.certify import confirm
from proofs_check.engine.measure import compare, measure, record_times, tolerance, trajectory
from proofs_check.engine.search import Found, by_shape, generator, search
from proofs_check.engine.shrink import _Shrinker, confirmable_times, exactly, rounded_instance, shrink
from proofs_check.instance import Batch
from proofs_check.quantities import gap
from proofs_check.statement import Statement, equal

FREE = {q.eta: Between(Rational(1, 100), 1000)}
INTERIOR = Domain(max_states=3, max_actions=3, policy="interior")

FALSE = {
    "a gradient without horizon": {"statement": q.gradient_norm <= Rational(1, 3), "domain": INTERIOR},
    "no curvature": {"statement": q.hessian_norm <= Rational(19, 100), "domain": bandits(policy="interior")},
    "a gradient as large as the gap": {"statement": q.gradient_norm >= gap(q.mu, q.T), "domain": bandits(policy="interior")},
    "values are visits": {"statement": equal(q.direct_gradient, q.direct_gradient_with_advantages), "domain": INTERIOR},
    "the natural gradient needs one term": {
        "statement": gap(q.rho, q.T) <= log(q.A) / (q.eta * q.T), "domain": INTERIOR.replace(policy="uniform"), "process": NaturalPG(step_size=q.eta), "settings": FREE,
    },
    "softmax as fast as a backup": {"statement": q.next_state_values >= q.bellman_values, "domain": INTERIOR, "process": SoftmaxPG(step_size=q.eta), "settings": FREE},
    "policy iteration is done after one step": {
        "statement": equal(q.gap_sup, 0), "domain": INTERIOR.replace(policy="deterministic", rewards=None), "process": PolicyIteration(), "where": ((0, q.T),), "horizon": 1,
    },
}  # fmt: skip
TRUE = {
    "gap within the horizon": {"statement": gap(q.rho, q.T) <= 1 / (1 - q.gamma), "domain": INTERIOR, "process": SoftmaxPG(step_size=q.eta), "settings": FREE},
    "ascent": {"statement": q.next_state_values >= q.state_values, "domain": INTERIOR, "process": NaturalPG(step_size=q.eta), "settings": FREE},
    "gradient formula": {"statement": equal(q.direct_derivative, q.direct_gradient), "domain": INTERIOR},
    "optimal gap of an optimal policy": {"statement": q.gap_sup >= 0, "domain": INTERIOR.replace(policy="deterministic"), "process": PolicyIteration()},
}  # fmt: skip


ENOUGH = dataclasses.replace(TINY, largest=6, generations=4)


def hunted(name, seed=0, budget=ENOUGH, pool=FALSE):
    """(case, what the search saw, the first candidate as (instance, measurement, position, horizon))."""
    case = the_case(claim(**pool[name]))
    return case, search(case, budget, seed, lambda *candidate: candidate)


@pytest.mark.parametrize("name", FALSE)
def test_a_false_statement_is_found_shrunk_and_confirmed(name):
    case, found = hunted(name)
    assert found.refutation is not None
    instance, _, _, horizon = found.refutation
    small, times = shrink(case, instance, horizon)
    assert small.is_exact and small.shape[0] <= min(3, instance.shape[0]) and small.shape[1] <= instance.shape[1]
    assert not case.domain.broken(small) and in_range(case.settings, small)
    assert times
    outcomes = [confirm(case, small, [t]) for t in confirmable_times(times)]
    assert any(outcome.status == "violated" for outcome in outcomes)
    numbers = [x for array in (small.transitions, small.rewards, small.mu) for x in array.reshape(-1)]
    assert max(int(x.q) for x in numbers) <= 1000


@pytest.mark.parametrize("name", TRUE)
def test_a_true_statement_has_no_candidates(name):
    _, found = hunted(name, pool=TRUE)
    assert found.refutation is None and found.candidates == 0 and found.instances > 50


def test_a_counterexample_needs_no_more_states_than_it_does():
    """One state is enough for these two, and the shrinker gets there."""
    for name, states in (("a gradient without horizon", 1), ("the natural gradient needs one term", 2)):
        case, found = hunted(name)
        small, _ = shrink(case, found.refutation[0], found.refutation[3])
        assert small.shape[0] <= states and small.shape[1] <= 2


@pytest.mark.parametrize("name", ["the natural gradient needs one term", "a gradient without horizon"])
def test_the_same_seed_gives_the_same_counterexample_and_another_seed_another_search(name):
    case, one = hunted(name, seed=3)
    _, two = hunted(name, seed=3)
    assert (one.instances, one.score, one.ratio) == (two.instances, two.score, two.ratio)
    first, second = (shrink(case, f.refutation[0], f.refutation[3]) for f in (one, two))
    assert first[0].to_json() == second[0].to_json() and first[1] == second[1]
    _, other = hunted(name, seed=4)
    assert other.refutation[0].to_json() != one.refutation[0].to_json()


def test_random_numbers_depend_on_seed_and_names_only():
    draw = [generator(*names).random() for names in ((0, "a", "b"), (0, "a", "b"), (1, "a", "b"), (0, "a", "c"))]
    assert draw[0] == draw[1] and len(set(draw)) == 3


def test_adversarial_search_comes_closer_than_random_search():
    """More generations never lose ground: elites are kept."""
    case = the_case(claim(q.hessian_norm <= Rational(1, 2), domain=bandits(policy="interior")))
    scores = [search(case, dataclasses.replace(TINY, generations=g), 0, lambda *c: None).ratio for g in (0, 8)]
    assert scores[1] >= scores[0] and scores[1] > 0.3  # the largest Hessian of a bandit is 0.19245, that is 0.385 of 1/2


# Measuring


def test_bounds_that_are_no_number_say_nothing():
    instances = [i.as_float() for i in random_instances(1, 2, 2, count=4)]
    for bound in (log(q.gamma - 2), 1 / (q.S - 2), (q.gamma - 2) ** Rational(1, 2)):
        case = the_case(claim(Statement(q.gap_rho, "<=", bound), domain=ANYTHING))
        seen = measure(case, Batch.of(instances), 0)
        assert not seen.says.any() and not seen.candidates().any() and np.isneginf(seen.scores()).all()


def test_an_infinite_bound_at_the_start_is_no_statement():
    case = the_case(claim(gap(q.rho, q.T) <= 1 / q.T, domain=ANYTHING, process=NaturalPG(step_size=1)))
    seen = measure(case, Batch.of([i.as_float() for i in random_instances(2, 2, 2, count=3)]), 20)
    assert np.isnan(seen.excess[:, 0]).all() and np.isfinite(seen.excess[:, 1:]).all() and seen.says.all()


def test_conditions_silence_instances_and_steps():
    batch = Batch.of([i.as_float() for i in random_instances(3, 2, 2, count=6)])
    case = the_case(
        claim(Statement(q.gap_rho, "<=", -q.S), domain=ANYTHING, process=NaturalPG(step_size=1), where=((3, q.T), (q.gamma, Rational(1, 2))))
    )
    seen = measure(case, batch, 20)
    assert (np.isfinite(seen.excess[..., 0]) == ((seen.times > 3) & (batch.discount < 0.5)[:, None])).all()
    assert seen.says.tolist() == (batch.discount < 0.5).tolist()


def test_ratio_is_measured_over_bound_and_the_other_way_for_lower_bounds():
    batch = Batch.of([i.as_float() for i in random_instances(4, 2, 2, count=3)])
    upper = measure(the_case(claim(q.gap_rho <= 2 / (1 - q.gamma), domain=ANYTHING)), batch, 0)
    assert upper.ratio == pytest.approx(upper.left[..., 0] / upper.right[..., 0])
    lower = measure(the_case(claim(2 / (1 - q.gamma) >= q.gap_rho, domain=ANYTHING)), batch, 0)  # sympy turns it: gap <= ...
    assert lower.ratio == pytest.approx(upper.ratio)
    below = measure(the_case(claim(Statement(2 / (1 - q.gamma), ">=", q.gap_rho), domain=ANYTHING)), batch, 0)
    assert below.ratio == pytest.approx(upper.ratio)


def test_a_violation_without_a_ratio_is_still_a_candidate():
    """Measured 0 against a positive lower bound, or anything against a bound of 0: no ratio, but a clear excess."""
    case = the_case(claim(Statement(q.gap_rho, "<=", q.gamma - q.S), domain=ANYTHING))
    batch = Batch.of([i.as_float() for i in random_instances(5, 1, 1, count=2)])
    seen = measure(case, batch, 0)
    assert np.isnan(seen.ratio).all() and seen.candidates().all()
    assert _Shrinker(case, 0, 10).fails(exactly(batch[0]))
    mixed = the_case(claim(Statement(q.gap_rho, "<=", (q.T - 2) ** 2 / 1000), domain=ANYTHING, process=SoftmaxPG(step_size=Rational(1, 10**6))))
    instance = dataclasses.replace(random_instances(6, 1, 2)[0], settings={})
    assert np.isnan(measure(mixed, Batch.of([instance.as_float()]), 3).ratio).any()
    assert _Shrinker(mixed, 3, 10).fails(instance)


@pytest.mark.parametrize("name", ["no curvature", "the natural gradient needs one term"])
def test_proposals_measured_together_shrink_as_one_after_the_other(name, monkeypatch):
    """Whatever the trials, which are counted up to the first that fails."""
    case, found = hunted(name)
    instance, _, _, horizon = found.refutation
    for trials in (25, 600):
        together = shrink(case, instance, horizon, max_trials=trials)
        with monkeypatch.context() as patched:
            patched.setattr(shrinking, "WIDEST", 1)
            alone = shrink(case, instance, horizon, max_trials=trials)
        assert together is not None and alone is not None
        assert together[0].to_json() == alone[0].to_json() and together[1] == alone[1]


def test_named_instances_are_stacked_once_and_never_taken_for_others():
    few = random_instances(8, 2, 2, count=3)
    assert by_shape(iter(few))[0] is by_shape(few)[0]
    assert by_shape(few[:2])[0].size == 2
    for _ in range(20):
        others = random_instances(9, 1, 3, count=2)
        np.testing.assert_array_equal(by_shape(others)[0].rewards[1], others[1].as_float().rewards)
        del others


def test_what_is_trivial_is_counted_apart():
    vacuous = the_case(claim(q.gap_rho <= 100 / (1 - q.gamma), domain=ANYTHING, trivial=1 / (1 - q.gamma)))
    seen = search(vacuous, TINY, 0, lambda *c: None)
    assert seen.trivial == seen.instances > 0 and seen.instance is None
    sharper = the_case(claim(q.gap_rho <= 1 / (1 - q.gamma), domain=ANYTHING, trivial=2 / (1 - q.gamma)))
    assert search(sharper, TINY, 0, lambda *c: None).trivial == 0


def test_history_asks_for_every_step_and_runs_otherwise_for_pairs():
    about = {"domain": ANYTHING, "process": SoftmaxPG(step_size=1)}
    log_spaced = record_times(the_case(claim(gap(q.rho, q.T) <= 1 / q.T, **about)), 1000)
    assert log_spaced[0] == 0 and log_spaced[-1] == 1000 and len(log_spaced) < 100
    assert set(record_times(the_case(claim(q.largest_mismatch <= 1, **about)), 50)) == set(range(51))
    assert set(record_times(the_case(claim(gap(q.rho, q.T) <= 1, where=((1, q.largest_mismatch),), **about)), 50)) == set(range(51))
    pairs = record_times(the_case(claim(q.next_state_values >= q.state_values, **about)), 1000)
    assert (np.diff(pairs) == 1).sum() > 20


def test_a_minimum_over_the_run_is_taken_at_every_step_also_where_only_a_condition_asks():
    """A long first step overshoots and comes back: the minimum lies between the recorded steps."""
    (instance,) = random_instances(8, 2, 2)
    instance = dataclasses.replace(instance, settings={}).as_float()
    for fields in ({"statement": Statement(q.c_inf, "<=", q.S)}, {"statement": Statement(q.gap_rho, "<=", q.S * 100), "where": ((0, q.c_inf),)}):
        case = the_case(claim(domain=ANYTHING, process=SoftmaxPG(step_size=50), **fields))
        assert trajectory(case, Batch.of([instance]), 40).minima is not None


def test_float_tolerance_is_above_what_true_equations_show():
    """What float64 leaves of the two sides of the gradient theorem stays a factor 10 below the tolerance, at every discount."""
    case = the_case(claim(equal(q.softmax_derivative, q.softmax_gradient), domain=Domain(policy="any", rewards=None)))
    rng = np.random.default_rng(0)
    for size in ((1, 2), (3, 3)):
        batch = case.domain.decode(rng.standard_normal((60, case.domain.length(*size, 0))), *size, {})
        context = trajectory(case, batch, 0)
        assert (np.nanmax(compare(case, context).excess, axis=(1, 2)) < 0.1 * tolerance(context)).all()


def test_found_keeps_the_closest_instance():
    batch = Batch.of([i.as_float() for i in random_instances(9, 2, 2, count=5)])
    case = the_case(claim(q.gap_rho <= 1 / (1 - q.gamma), domain=ANYTHING))
    seen, found = measure(case, batch, 0), Found()
    found.note(batch, seen, 0)
    best = int(np.nanargmax(seen.ratio[:, 0]))
    assert found.instances == 5 and found.ratio == pytest.approx(seen.ratio[best, 0]) and (found.instance.rewards == batch[best].rewards).all()


def test_named_instances_are_batched_by_shape_small_first():
    instances = [*random_instances(1, 3, 2), *random_instances(2, 1, 2, count=2), *random_instances(3, 2, 2)]
    assert [b.rewards.shape for b in by_shape(instances)] == [(2, 1, 2), (1, 2, 2), (1, 3, 2)]


# Rounding


@pytest.mark.exact
def test_floats_become_the_fractions_that_a_person_meant():
    floats = random_instances(11, 3, 2, denominator=7)[0].as_float()
    exact = exactly(floats)
    assert exact.is_exact and all((rows.sum(axis=-1) == 1).all() for rows in (exact.transitions, exact.policy, exact.mu[None]))
    assert max(int(x.q) for x in exact.transitions.reshape(-1)) <= 7
    same = exactly(dataclasses.replace(floats, rho=floats.mu))
    assert (same.rho == same.mu).all()


@pytest.mark.exact
def test_rounded_instances_have_small_denominators_and_stay_distributions():
    rng = np.random.default_rng(1)
    domain = Domain(policy="interior", mu="positive")
    batch = domain.decode(rng.standard_normal((20, domain.length(3, 3, 0))), 3, 3, {})
    for k in range(batch.size):
        rounded = rounded_instance(batch[k], 20)
        assert not domain.broken(rounded)
        for rows in (rounded.transitions, rounded.policy, rounded.mu, rounded.rho):
            assert (np.asarray(rows.sum(axis=-1)).reshape(-1) == 1).all() and (rows >= 0).all()
            assert max(int(x.q) for x in rows.reshape(-1)) <= 20
        assert fraction(rounded.discount) <= Fraction(19, 20) and int(rounded.discount.q) <= 20
        assert isinstance(rounded.discount, type(rational(1)))


@pytest.mark.exact
def test_an_instance_is_rounded_alike_in_floats_and_in_the_fractions_that_they_mean():
    rng = np.random.default_rng(3)
    domain = Domain(policy="any", mu="any", rewards=None)
    batch = domain.decode(rng.choice([0.3, 1.0], (40, 1)) * rng.standard_normal((40, domain.length(2, 3, 0))), 2, 3, {})
    for k in range(batch.size):
        assert rounded_instance(batch[k], 20).to_json() == rounded_instance(exactly(batch[k]), 20).to_json()


def test_times_to_confirm_are_the_clearest_and_the_earliest_first():
    assert confirmable_times([7, 3, 9, 1, 4]) == [7, 1, 3, 9]
    assert confirmable_times([]) == [] and confirmable_times([2]) == [2]
