"""Domains: every sampled instance meets the assumptions, the boundary is sampled, and settings are what their rules say."""

from __future__ import annotations

import contextlib
import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from sympy import Rational

from mdps.rational import fraction, rational, rational_array
from pgtheory.exact.batch import batch_optimal
from proofs_check import quantities as q
from proofs_check.catalogue import claims
from proofs_check.domains import (
    INTERIOR,
    POSITIVE,
    Between,
    Domain,
    Extra,
    bandits,
    exact_settings,
    free_settings,
    in_range,
    random_mdps,
    resolve_settings,
)
from proofs_check.expression import ExpressionError
from proofs_check.instance import Batch
from tests import tolerances

CASES = {f"{case.claim}:{case.name}": case for found in claims().values() for case in found.cases()}
OF_CLAIM = {identifier: [case for case in CASES.values() if case.claim == identifier] for identifier in claims()}
"""The forms and controls of each claim: most share their domain and settings, which a test then goes through once."""


@contextlib.contextmanager
def about(case):
    """Says which form an assertion failed for."""
    try:
        yield
    except AssertionError as error:
        error.add_note(f"{case.claim}:{case.name}")
        raise


def distinct(cases, *fields):
    """The first of the cases that agree in these fields."""
    return {repr([getattr(case, field) for field in fields]): case for case in reversed(cases)}.values()


def drawn(domain: Domain, states: int, actions: int, count: int = 300, settings: dict | None = None, seed: int = 0) -> Batch:
    """As the search draws its first generation."""
    rng = np.random.default_rng(seed)
    free = len(free_settings(settings or {}))
    vectors = rng.standard_normal((count, domain.length(states, actions, free))) * rng.choice([0.3, 1.0, 3.0], (count, 1))
    return domain.decode(vectors, states, actions, settings or {})


@pytest.mark.parametrize("identifier", OF_CLAIM)
def test_every_sampled_instance_meets_the_assumptions(identifier):
    for case in distinct(OF_CLAIM[identifier], "domain", "settings"):
        with about(case):
            _sampled_instances_meet_the_assumptions(case)


def _sampled_instances_meet_the_assumptions(case):
    for states, actions in case.domain.sizes()[:6]:
        batch = drawn(case.domain, states, actions, 16, case.settings)
        for k in range(batch.size):
            assert not case.domain.broken(batch[k]) and in_range(case.settings, batch[k])
        rows = [batch.transitions, batch.mu, batch.rho, batch.policy, *([batch.other] if batch.other is not None else [])]
        for array in rows:
            assert (array >= 0).all()
            np.testing.assert_allclose(array.sum(axis=-1), 1, atol=array.shape[-1] * tolerances.EPS)
        assert all(np.isfinite(value).all() and (value >= 0).all() for value in batch.settings.values())


def test_sizes_run_from_one_state_and_one_action_upwards():
    for case in CASES.values():
        sizes = case.domain.sizes()
        assert sizes[0] == (1, case.domain.min_actions) and len(set(sizes)) == len(sizes)
        assert [s * a for s, a in sizes] == sorted(s * a for s, a in sizes)
    assert bandits().sizes() == [(1, a) for a in range(1, 6)]


def test_the_boundary_is_sampled():
    """Shares of 300 instances of 3 states and 2 actions; each is at least a few per cent, or a claim that fails there alone would be missed."""
    batch = drawn(Domain(policy="any", mu="any", other="any"), 3, 2)
    best = batch_optimal(batch.transitions, batch.rewards, batch.discount)[1]
    rewards = batch.rewards.reshape(batch.size, -1)
    rows = batch.transitions.reshape(batch.size, -1, 3)
    stays = batch.transitions[:, np.arange(3), :, np.arange(3)].min(axis=-1).max(axis=0)
    step = batch.transitions.max(axis=2) > 0  # (B, s, u)
    reached = batch.mu > 0
    for _ in range(3):
        reached = reached | (reached[:, :, None] & step).any(axis=1)
    shares = {
        "no discount": batch.discount == 0,
        "largest discount": batch.discount > 0.9899,
        "a reward of exactly 0": (rewards == 0).any(axis=1),
        "a reward of exactly 1": (rewards == 1).any(axis=1),
        "only rewards 0 and 1": np.isin(rewards, (0, 1)).all(axis=1),
        "a deterministic transition": (rows.max(axis=-1) == 1).any(axis=1),
        "deterministic throughout": (rows.max(axis=-1) == 1).all(axis=1),
        "an absorbing state": stays == 1,
        "a start in one state": batch.mu.max(axis=1) == 1,
        "a start that avoids a state": (batch.mu == 0).any(axis=1),
        "an unreachable state": (~reached).any(axis=1),
        "a deterministic choice": (batch.policy.max(axis=-1) == 1).any(axis=1),
        "tied best actions": (np.abs(best[..., 0] - best[..., 1]) < 1e-12).any(axis=1),
        "all actions alike everywhere": (np.abs(best[..., 0] - best[..., 1]) < 1e-12).all(axis=1),
    }
    for what, share in shares.items():
        assert share.mean() >= (0.003 if what in ("all actions alike everywhere", "deterministic throughout") else 0.03), (what, share.mean())


def test_interior_policies_and_positive_starts_come_close_to_the_edge_and_stay_inside():
    batch = drawn(Domain(policy="interior", mu="positive"), 3, 3)
    assert INTERIOR / 2 <= batch.policy.min() < 1e-5 and POSITIVE / 2 <= batch.mu.min() < 1e-3
    assert (batch.policy.min(axis=(1, 2)) < 0.01).mean() > 0.2


def test_policies_and_starts_are_what_the_domain_says():
    uniform = drawn(Domain(policy="uniform", rho="mu"), 2, 3, 20)
    assert (uniform.policy == 1 / 3).all() and (uniform.rho == uniform.mu).all()
    chosen = drawn(Domain(policy="deterministic", rewards=None), 2, 3, 60)
    assert np.isin(chosen.policy, (0, 1)).all() and chosen.rewards.min() < -0.5 and chosen.rewards.max() > 1
    arms = drawn(bandits(policy="interior"), 1, 4, 20)
    assert (arms.discount == 0).all() and arms.transitions.shape == (20, 1, 4, 1)
    assert drawn(Domain(policy="any"), 2, 2, 4).other is None and drawn(Domain(policy="any", other="any"), 2, 2, 4).other is not None


def test_an_instance_outside_is_told_by_its_assumption():
    inside = drawn(Domain(policy="interior"), 2, 2, 1)[0]
    assert not Domain(policy="interior").broken(inside)
    changes = {
        "rewards": {"rewards": inside.rewards + 1.5},
        "full support": {"mu": np.array([1.0, 0.0])},
        "interior": {"policy": np.eye(2)},
        "discount": {"discount": 1.0},
    }
    for name, change in changes.items():
        assert [a.name for a in Domain(policy="interior").broken(dataclasses.replace(inside, **change))] == [name]
    others = {
        "bandit": bandits(policy="interior"),
        "same start": Domain(policy="interior", rho="mu"),
        "uniform start": Domain(policy="uniform"),
        "deterministic": Domain(policy="deterministic"),
    }
    for name, domain in others.items():
        moved = dataclasses.replace(inside, rho=np.array([0.25, 0.75]), mu=np.array([0.5, 0.5]), policy=np.full((2, 2), [0.25, 0.75]))
        assert name in [a.name for a in domain.broken(moved)]
    with_extra = Domain(policy="interior", extras={"V": Extra(("S",), low=-1, high=1)})
    for values, broken in ((np.array([0.5, -1.0]), []), (np.array([0.5]), ["V"]), (np.zeros((2, 2)), ["V"]), (np.array([0.5, 2.0]), ["V"])):
        assert [a.name for a in with_extra.broken(dataclasses.replace(inside, extras={"V": values}))] == broken


@pytest.mark.exact
def test_uniform_is_exact_in_rationals_and_to_rounding_in_floats():
    domain = Domain(policy="uniform")
    instance = drawn(domain, 1, 3, 1)[0]
    assert not domain.broken(instance)
    from proofs_check.engine.shrink import exactly

    exact = exactly(instance)
    assert not domain.broken(exact)
    nearly = rational_array([["1/3", "1/3", "1/3"]])
    nearly[0, 0] = nearly[0, 0] + rational("1/10000000000000")
    nearly[0, 1] = nearly[0, 1] - rational("1/10000000000000")
    assert domain.broken(dataclasses.replace(exact, policy=nearly))


def test_every_assumption_is_worded_and_typeset():
    from proofs_check.mathml import from_latex

    for case in CASES.values():
        for assumption in case.domain.assumptions():
            assert assumption.name and assumption.text and from_latex(assumption.latex)


# Settings


RULES = {"tau": Between(Rational(1, 100), 1), "fraction": (Fraction(1, 2), 1), "eta": q.fraction * (1 - q.gamma) / q.tau}


def test_settings_follow_their_rules():
    discount = np.array([0.0, 0.5, 0.9])
    free = np.array([[-9.0, -9.0], [0.0, 0.0], [9.0, 9.0]])
    got = resolve_settings(RULES, discount, 2, 2, free)
    assert got["tau"] == pytest.approx([0.01, 0.1, 1]) and got["fraction"].tolist() == [0.5, 1, 1]
    assert got["eta"] == pytest.approx(got["fraction"] * (1 - discount) / got["tau"])
    assert free_settings(RULES) == ["tau", "fraction"]


@pytest.mark.exact
def test_exact_settings_and_their_range():
    instance = dataclasses.replace(drawn(Domain(policy="interior"), 1, 2, 1)[0], discount=0.5, settings={"tau": 0.1, "fraction": 0.5})
    from proofs_check.engine.shrink import exactly

    exact = exactly(instance)
    settings = exact_settings(RULES, exact, exact.settings)
    assert settings == {"tau": rational("1/10"), "fraction": rational("1/2"), "eta": rational("5/2")}
    assert in_range(RULES, dataclasses.replace(exact, settings=settings))
    for name, value in (("tau", "1001/1000"), ("tau", "1/101"), ("fraction", "3/4")):
        assert not in_range(RULES, dataclasses.replace(exact, settings={**settings, name: rational(value)}))
    assert fraction(settings["eta"]) == Fraction(5, 2)


def test_rules_that_make_no_sense_are_refused_with_words():
    discount = np.array([0.5])
    for rule in (Between(0, 1), Between(2, 1), Between(-1, 1)):
        with pytest.raises(ExpressionError, match="positive and in order"):
            resolve_settings({"eta": rule}, discount, 2, 2, np.zeros((1, 1)))
    with pytest.raises(ExpressionError, match="tau has no value"):
        resolve_settings({"eta": "1/tau"}, discount, 2, 2, np.zeros((1, 0)))
    exact = dataclasses.replace(drawn(Domain(policy="interior"), 1, 2, 1)[0], discount=0.5)
    from proofs_check.engine.shrink import exactly

    with pytest.raises(ExpressionError, match="no rational number"):
        exact_settings({"eta": "sqrt(1 - gamma)"}, exactly(exact), {})


def test_default_start_policy():
    """Uniform for the run of a method, interior for a statement about given policies."""
    from small import claim, the_case

    from pgtheory.policy_gradient import NaturalPG

    about_a_run = claim(q.gap_rho <= 1 / q.T, process=NaturalPG(step_size=q.eta), settings={q.eta: 1}, domain=random_mdps())
    assert the_case(about_a_run).domain.policy == "uniform"
    assert the_case(claim(q.hessian_norm <= 1, domain=random_mdps())).domain.policy == "interior"
