"""From lemmas to theorems: the rules and their proofs, the chains of the catalogue, and what a wrong chain says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import sympy
from small import random_instances

from mdps.rational import rational
from proofs_check import quantities as q
from proofs_check.catalogue import claims, get_claim
from proofs_check.claim import Claim
from proofs_check.composition import (
    DIFFERENCES,
    NEXT,
    RHO_IS,
    STARTS,
    TOTALS,
    CompositionError,
    cite,
    compose,
    one_later,
    square_recursion,
    under,
    weaken,
)
from proofs_check.engine.measure import trajectory
from proofs_check.instance import Batch
from proofs_check.quantities import gap, quantity
from proofs_check.rules import RULES, Rule
from proofs_check.signs import falls, nonnegative, rises, same

CHAINS = [(claim.id, form) for claim in claims().values() for form in claim.chain]


@pytest.mark.parametrize("name", RULES)
def test_every_fact_of_a_rules_proof_holds(name):
    assert RULES[name].facts()
    assert RULES[name].failures == []
    assert RULES[name].proof.startswith("Proof.")


@pytest.mark.parametrize("name", RULES)
def test_a_rules_conclusion_holds_on_random_rational_sequences(name):
    rng = np.random.default_rng(7)
    assert all(RULES[name].trial(rng) for _ in range(400))


def test_a_false_fact_is_seen():
    u = sympy.Symbol("u", positive=True)
    wrong = Rule("wrong", "", "", lambda: [("u = 1", u - 1, "zero"), ("u >= 1", u - 1, "nonnegative")], lambda rng: True)
    assert len(wrong.failures) == 2 and not wrong.check()


def test_signs_use_the_range_of_each_quantity():
    assert nonnegative(1 - q.gamma) and not nonnegative(q.gamma - 1)
    assert nonnegative(1 - q.c_inf) and nonnegative(q.mismatch - 1) and not nonnegative(q.eta - 1)
    assert nonnegative(sympy.log(q.A)) and nonnegative(sympy.sqrt(q.S) - 1)
    assert not nonnegative(q.eta - q.gap_mu) and not nonnegative(q.gap_mu - q.eta)
    assert rises(q.S / (1 - q.gamma) ** sympy.Rational(3, 2), "gamma") and falls(1 / q.c_inf**2, "c_inf") and not falls(q.c_inf, "c_inf")
    assert same((1 - q.gamma) ** 2, 1 - 2 * q.gamma + q.gamma**2) and not same(q.gamma, q.gamma**2)


@pytest.mark.parametrize(("identifier", "form"), CHAINS, ids=[f"{c}:{f}" for c, f in CHAINS])
def test_the_lemmas_give_the_theorem(identifier, form):
    made = compose(identifier, form)
    assert made.exact or nonnegative(made.surplus - 1)
    claim = get_claim(identifier)
    assert {lemma.partition(":")[0] for lemma in made.lemmas} <= {identifier, *claim.uses}


def test_the_two_rates_come_out_with_their_constants():
    one_step = compose("softmax-mdp-one-over-t", "one step, derived")
    assert one_step.surplus == sympy.Rational(13, 10) and "square recursion" not in one_step.rules
    assert compose("npg-one-over-T", "rate").exact
    printed = compose("softmax-mdp-one-over-t", "printed")
    assert not printed.exact and same(printed.surplus, 1 / (1 - q.gamma))
    assert "square recursion" in printed.rules


def test_a_bound_that_the_lemmas_do_not_give_is_refused():
    claim = get_claim("softmax-mdp-one-over-t")
    for wrong in (
        "16*S*rho_over_mu*mismatch**2/((1-gamma)**4*c_inf**2*(t+1))",
        "15*S*inverse_mu*mismatch**2/((1-gamma)**5*c_inf**2*(t+1))",
        "16*inverse_mu*mismatch**2/((1-gamma)**5*c_inf**2*(t+1))",
    ):
        with pytest.raises(CompositionError, match="does not imply"):
            compose(claim.replace(form="printed", bound=wrong), "printed")
    assert compose(claim.replace(form="printed", bound="48*S*inverse_mu*mismatch**2/((1-gamma)**5*c_inf**2*(t+1))"), "printed").surplus == 3
    sharper = "14/10*(1-gamma)**4*min_optimal_probability**2*gap(mu,t)**2/(S*mismatch**2)"
    with pytest.raises(CompositionError, match="does not imply"):
        compose(claim.replace(form="one step, derived", bound=sharper), "one step, derived")


def _changed(form: str, chain: tuple) -> Claim:
    claim = get_claim("softmax-mdp-one-over-t")
    return dataclasses.replace(claim, chain={form: chain})


def test_what_is_wrong_with_a_chain_is_said():
    start = cite("softmax-sufficient-increase:at least, printed")
    steep = weaken("gradient_norm", "softmax-lojasiewicz:mdp", start="mu")
    with pytest.raises(CompositionError, match="begins with a lemma"):
        compose(_changed("printed", (steep,)), "printed")
    with pytest.raises(CompositionError, match="changes from step to step: min_optimal_probability, mismatch_mu_policy"):
        compose(_changed("printed", (start, steep, square_recursion("gap_mu"))), "printed")
    with pytest.raises(CompositionError, match="needs a lemma gradient_norm >="):
        compose(_changed("printed", (start, weaken("gradient_norm", "softmax-reverse-lojasiewicz:mdp"))), "printed")
    with pytest.raises(CompositionError, match="asks for a bandit"):
        compose(_changed("printed", (start, weaken("gradient_norm", "softmax-lojasiewicz:bandit"))), "printed")
    with pytest.raises(CompositionError, match="is no use for"):
        compose(_changed("printed", (start, under("change-of-measure:gap"))), "printed")
    with pytest.raises(CompositionError, match="a run of NaturalPG"):
        compose(_changed("printed", (cite("npg-potential:identity"),)), "printed")
    with pytest.raises(CompositionError, match="the chain bounds"):
        compose(_changed("printed", (start,)), "printed")


def test_a_bound_one_step_later_needs_its_lemma_and_t_above_0():
    claim = get_claim("entropy-npg-linear")
    first, rule, last, start = claim.chain["action values"]
    assert compose(claim, "action values").exact
    swapped = dataclasses.replace(claim, chain={"action values": (first, rule, one_later("log_policy_gap", last.lemma), start)})
    with pytest.raises(CompositionError, match="does not bound log_policy_gap_"):
        compose(swapped, "action values")
    anywhere = tuple(dataclasses.replace(form, where=()) for form in claim.forms)
    with pytest.raises(CompositionError, match="does not say 0 < t"):
        compose(dataclasses.replace(claim, forms=anywhere), "action values")
    slower = claim.replace(form="action values", bound="C1*gamma*(1 - eta*tau)**t")
    with pytest.raises(CompositionError, match="does not imply"):
        compose(dataclasses.replace(slower, chain=claim.chain, forms=tuple(dataclasses.replace(f, name="action values") for f in slower.forms)))


def test_a_lemma_about_every_rho_does_not_serve_rewards_it_does_not_allow():
    claim = get_claim("softmax-mdp-one-over-t")
    wide = dataclasses.replace(claim, domain=claim.domain.replace(rewards=None))
    with pytest.raises(CompositionError, match=r"rewards in \[0, 1\]"):
        compose(wide, "printed")


def _along(identifier: str, form: str, seed: int):
    """A recorded run of twelve steps, every one of them, on a random instance."""
    case = get_claim(identifier).case(get_claim(identifier).form(form))
    instance = dataclasses.replace(random_instances(seed, 3, 2)[0], settings={"eta": rational("1/5"), "tau": rational("1/50")}).as_float()
    context = trajectory(case, Batch.of([instance]), 13, times=np.arange(14))
    return dataclasses.replace(context, pairs=True), case


def _series(context, name: str) -> np.ndarray:
    return quantity(name).code(context)[0, :, 0]


@pytest.mark.parametrize("seed", range(3))
def test_differences_next_starts_and_totals_are_what_the_rules_take_them_for(seed):
    context, _ = _along("npg-one-over-T", "rate", seed)
    near = {"rtol": 1e-9, "atol": 1e-12}  # differences of values of size 10 and of log probabilities of size 100: eps times 1e3
    for a, drop in DIFFERENCES.items():
        np.testing.assert_allclose(-np.diff(_series(context, a)), _series(context, drop)[:-1], **near)
    for a, following in NEXT.items():
        np.testing.assert_allclose(_series(context, a)[1:], _series(context, following)[:-1], **near)
    for a, first in STARTS.items():
        np.testing.assert_allclose(_series(context, a)[0], _series(context, first)[0], **near)
    for drop, total in TOTALS.items():
        np.testing.assert_allclose(np.cumsum(_series(context, drop))[:-1], _series(context, total)[1:], **near)


@pytest.mark.parametrize("which", RHO_IS)
def test_quantities_with_a_particular_rho_are_the_general_ones_at_that_rho(which):
    context, _ = _along("npg-one-over-T", "rate", 5)
    special = context.mu if which == "mu" else context.visits(context.rho, context.optimal_discounted)[:, 0]
    moved = dataclasses.replace(context, rho=special)
    for general, particular in RHO_IS[which].items():
        expected = _series(moved, general)
        found = _series(context, particular) if isinstance(particular, str) else np.full_like(expected, particular)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_gap_bounded_by_a_square_uses_gap_mu():
    assert compose("softmax-mdp-one-over-t", "printed").stages[-1].statement.left == gap(q.rho, q.T)
