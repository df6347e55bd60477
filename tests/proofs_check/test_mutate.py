"""Mutants are made by position, named in words, and judged: refuted with a counterexample that replays, implied, or survived."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import sympy
from small import TINY, claim, the_case
from sympy import log

from pgtheory.policy_gradient import NaturalPG
from proofs_check import quantities as q
from proofs_check.catalogue import claims
from proofs_check.catalogue.sharper import REASONS
from proofs_check.domains import bandits, random_mdps
from proofs_check.engine.mutants import mutants
from proofs_check.engine.mutate import HARDER, IMPLIED, REFUTED, SURVIVED, mutate, mutation_of, weaker_by_factors
from proofs_check.engine.replay import replay
from proofs_check.quantities import gap
from proofs_check.statement import Statement

RATE = claim(
    gap(q.rho, q.T) <= log(q.A) / (q.eta * q.T) + 16 * q.mismatch**2 / ((1 - q.gamma) ** 6 * q.T),
    domain=random_mdps(policy="uniform", mu="any"), process=NaturalPG(step_size=q.eta), settings={q.eta: sympy.Rational(1, 2)},
)  # fmt: skip
CURVATURE = claim(q.hessian_norm <= sympy.Rational(1, 2), domain=bandits(policy="interior", max_actions=3))


def names(made) -> list[str]:
    return [mutant.name for mutant in mutants(the_case(made))]


def bounds(made) -> dict[str, str]:
    return {mutant.name: mutant.case.statement.text() for mutant in mutants(the_case(made))}


@pytest.mark.parametrize(
    "name",
    [
        "exponent of 1/(1-gamma): 6 -> 5", "exponent of 1/(1-gamma): 6 -> 7", "factor mismatch**2 dropped", "constant 16 halved", "gamma for 1-gamma",
        "S for A", "direction flipped", "step size doubled", "assumption dropped: uniform start", "assumption dropped: rewards in [0, 1]",
        "gap_mu measured, not gap_rho", "factor 1-gamma added", "rule of eta: constant 1/2 doubled", "factor 1/eta dropped",
    ],
)  # fmt: skip
def test_each_kind_of_slip_is_made_and_named_in_words(name):
    assert name in names(RATE)


def test_a_change_touches_one_position_only():
    """Replacing values would turn 1/t into 1/sqrt(t), or 1 - gamma into 1 - gamma/2, when a constant is halved."""
    made = bounds(claim(gap(q.rho, q.T) <= 2 / q.t + 2 / (1 - q.gamma) ** 2, process=NaturalPG(step_size=q.eta), settings={q.eta: 1}))
    halved = [text for name, text in made.items() if name.startswith("constant 2 halved, in")]
    assert set(map(Statement.of, halved)) == set(map(Statement.of, ["gap_rho <= 2/(1 - gamma)**2 + 1/t", "gap_rho <= (1 - gamma)**(-2) + 2/t"]))
    assert Statement.of(made["constant 2 halved, everywhere"]) == Statement.of("gap_rho <= (1 - gamma)**(-2) + 1/t")
    assert not any("sqrt" in text or "gamma/2" in text for text in made.values())


@pytest.mark.parametrize("made", [pytest.param(c, id=c.id) for c in claims().values()])
def test_mutants_of_the_catalogue_are_distinct_controls_that_can_be_written_and_read(made):
    for form in made.forms:
        case = made.case(form)
        found = mutants(case)
        assert len({m.name for m in found}) == len(found) > 0
        for mutant in found:
            assert mutant.case.kind == "control"
            assert dataclasses.replace(mutant.case, name="", kind="", symbolic=()) != dataclasses.replace(case, name="", kind="", symbolic=())
            assert Statement.of(mutant.case.statement.text()).names() == mutant.case.statement.names()


def test_the_condition_of_a_statement_is_changed_too():
    made = claims()["policy-iteration-monotone-geometric-finite"]
    found = [m.name for m in mutants(made.case(made.form("finite")))]
    assert any(name.startswith("exponent of A (S): one less in the condition") for name in found)
    assert any(name.startswith("condition") and name.endswith("dropped") for name in found)


def test_an_assumption_that_cannot_fail_is_not_dropped():
    """A softmax method starts in the interior whatever its logits are, and the one state of a bandit has full support."""
    inside = claim(gap(q.rho, q.T) <= 1 / q.T, domain=random_mdps(policy="interior"), process=NaturalPG(step_size=q.eta), settings={q.eta: 1})
    assert not any("interior" in name for name in names(inside))
    assert not any("full support" in name for name in names(CURVATURE))
    assert not any("rho = mu" in name for name in names(claim(q.hessian_norm <= 1, domain=random_mdps(rho="mu"))))


def test_mutants_are_refuted_with_replayable_counterexamples_or_implied(monkeypatch):
    """1/2 may be halved: two arms have curvature at most sqrt(3)/9 = 0.19, so that survivor is true; halved twice it would not be."""
    monkeypatch.setitem(HARDER, "quick", TINY)
    (done,) = mutate(CURVATURE, budget=TINY)
    status = {mutant.name: mutant.status for mutant in done.mutants}
    assert status["direction flipped"] == status["assumption dropped: rewards in [0, 1]"] == status["assumption dropped: bandit"] == REFUTED
    assert status["constant 1/2 doubled"] == IMPLIED
    assert status["constant 1/2 halved"] == SURVIVED
    for mutant in done.mutants:
        if mutant.status == REFUTED:
            assert mutant.verdict is not None
            assert replay(mutant.verdict["counterexample"]).confirmed
    assert done.same == 2  # gamma is 0 in a bandit: a factor 1-gamma more or less is no change
    assert mutation_of(dataclasses.asdict(done)) == done
    assert {m.name for m in done.unexplained} == {m.name for m in done.mutants if m.status == SURVIVED}


def test_a_sharper_bound_that_is_false_is_refuted_and_never_called_implied(monkeypatch):
    monkeypatch.setitem(HARDER, "quick", TINY)
    (done,) = mutate(claim(q.hessian_norm <= sympy.Rational(1, 5), domain=bandits(policy="interior", max_actions=3)), budget=TINY)
    assert {m.name: m.status for m in done.mutants}["constant 1/5 halved"] == REFUTED


@pytest.mark.parametrize(
    ("bound", "weaker"),
    [
        ("S/((1-gamma)**2*t)", True), ("2/((1-gamma)*t)", True), ("1/((1-gamma)*t) + log(A)/(eta*t)", True), ("mismatch/(c_inf*(1-gamma)*t)", True),
        ("1/t", False), ("S/t", False), ("1/(2*(1-gamma)*t)", False), ("1/((1-gamma)*t) - 1/t", False), ("1/(1-gamma)", False),
    ],
)  # fmt: skip
def test_weaker_by_factors_knows_the_sign_of_each_factor(bound, weaker):
    """The last one speaks at t = 0 too, where the original says nothing."""
    made = claim(gap(q.rho, q.T) <= 1 / ((1 - q.gamma) * q.T), process=NaturalPG(step_size=q.eta), settings={q.eta: 1})
    case = the_case(made)
    other = dataclasses.replace(case, statement=case.statement.replace_bound(bound))
    assert weaker_by_factors(case, other) is weaker


def test_every_reason_speaks_of_a_mutant_that_there_is():
    for key, reasons in REASONS.items():
        identifier, form = key.split(":")
        made = claims()[identifier]
        known = [m.name for m in mutants(made.case(made.form(form)))]
        for name, why in reasons.items():
            assert any(one == name or (name.endswith("*") and one.startswith(name[:-1])) for one in known), (key, name)
            assert why


def test_lifted_coordinates_decode_to_copies():
    """Three states from one, four from two: the gap of every state is that of the state it copies."""
    from proofs_check.engine.search import lifted

    domain = random_mdps(policy="interior")
    vector = np.random.default_rng(0).standard_normal(domain.length(2, 2, 0))
    small = domain.decode(vector[None], 2, 2, {})
    large = domain.decode(lifted(vector, 2, 2, 4, 3)[None], 4, 3, {})
    rows, columns = np.arange(4) % 2, np.arange(3) % 2
    np.testing.assert_array_equal(large.rewards[0], small.rewards[0][rows[:, None], columns])
    np.testing.assert_array_equal(large.discount, small.discount)
    moves = large.transitions[0]
    assert np.all(moves[:2, :, 2:] == 0)
    assert np.all(moves[2:, :, :2] == 0)
    np.testing.assert_allclose(moves[2:, :, 2:], small.transitions[0][:, columns], rtol=1e-12)


def test_copies_of_a_model_have_its_values():
    from pgtheory.exact import solve_exactly
    from proofs_check.instances import model_of

    model = model_of("3 * loop(9/10)")
    assert solve_exactly(model).values.tolist() == solve_exactly(model_of("loop(9/10)")).values.tolist() * 3
    assert model.exact.start.sum() == 1
