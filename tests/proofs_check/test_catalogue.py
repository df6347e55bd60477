"""The catalogue as data: complete, indexed, derived, and free of the ways in which statements go wrong."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import pathlib
import re

import numpy as np
import pytest
from test_domains import CASES, OF_CLAIM, about, distinct, drawn

from mdps.errors import ModelError
from proofs_check.catalogue import INDEX, MODULES, all_claims, build_index, claims, get_claim, index
from proofs_check.domains import Domain
from proofs_check.engine.measure import compare, free_names, measure, trajectory
from proofs_check.instance import Batch
from proofs_check.instances import named
from proofs_check.quantities import quantities, quantity
from proofs_check.statement import Statement, parse_statement

ROOT = pathlib.Path(__file__).parents[2]


def statements(identifier):
    """The forms of a claim."""
    return [case for case in OF_CLAIM[identifier] if case.kind == "statement"]


@functools.lru_cache(maxsize=8)
def batches(name, count=32):
    """Random batches of a few sizes, as the search draws them, and a few small named instances."""
    case = CASES[name]
    sizes = [size for size in case.domain.sizes() if size in ((1, 1), (1, 2), (2, 1), (2, 2), (3, 2))]
    out = [drawn(case.domain, *size, count, case.settings) for size in sizes]
    small = [i.as_float() for i in itertools.islice(named(case), 24) if i.shape[0] <= 2]
    return [*out, *(Batch.of([i for i in small if i.shape == shape]) for shape in sorted({i.shape for i in small}))]


# Complete and indexed


def test_the_index_is_in_step_with_the_claims():
    """`pgtheory claims --rebuild-index` writes it."""
    assert json.loads(INDEX.read_text()) == build_index() == index()


def test_every_module_is_listed_and_ids_are_unique_words():
    files = {path.stem for path in INDEX.parent.glob("*.py") if "Claim(" in path.read_text()} - {"__init__"}
    assert files == set(MODULES)
    assert len(claims()) == len({c.id.lower() for c in claims().values()})
    assert all(re.fullmatch(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)+", identifier) for identifier in claims())
    assert list(all_claims()) == [entry["id"] for entry in index()]


def test_an_unknown_id_names_the_nearest():
    assert get_claim("npg-one-over-T").id == "npg-one-over-T"
    with pytest.raises(ModelError, match="npg-one-over-T"):
        get_claim("npg-one-over-t")


@pytest.mark.parametrize("identifier", list(claims()))
def test_a_claim_has_a_source_a_version_a_control_and_reasons(identifier):
    found = claims()[identifier]
    assert found.title and found.family and found.kind in ("upper", "lower", "equal", "conjecture")
    assert found.source.key and found.source.where
    assert found.source.version or found.source.key == "unpublished"
    assert found.controls and all(control.because and len(control.because) > 20 for control in found.controls)
    assert all(used in claims() for used in found.uses)
    names = [form.name for form in (*found.forms, *found.controls)]
    assert len(set(names)) == len(names)


def test_sources_are_in_the_bibliography():
    from proofs_check import bibliography

    text = (
        pathlib.Path(bibliography.__file__).read_text() + "".join(p.read_text() for p in (ROOT / "docs").rglob("*.md"))
        if (ROOT / "docs").exists()
        else ""
    )
    for found in claims().values():
        if found.source.key != "unpublished" and text:
            assert found.source.key in text, found.source.key


@pytest.mark.parametrize("identifier", list(claims()))
def test_a_claim_has_its_derivation_in_the_docs(identifier):
    pages = [path for path in (ROOT / "docs" / "theory").glob("*.md") if identifier in path.read_text()]
    assert pages, f"no page of docs/theory mentions {identifier}"


def test_every_quantity_is_used_or_offered_with_a_meaning():
    used = {name for case in CASES.values() for name in case.statement.names()}
    assert used <= set(quantities())


# The ways in which statements go wrong


@pytest.mark.parametrize("identifier", OF_CLAIM)
def test_a_statement_reads_back_from_its_text(identifier):
    for case in OF_CLAIM[identifier]:
        back = parse_statement(case.statement.text())
        assert back.relation == case.statement.relation and back.names() == case.statement.names(), case.name


@pytest.mark.parametrize("identifier", OF_CLAIM)
def test_each_form_is_judged_on_what_it_speaks_of(identifier):
    for case in statements(identifier):
        with about(case):
            _truth_does_not_rest_on_not_a_number(case)
            _boundary_values_are_sampled(case)
            if case.statement.is_ratio:
                _the_bound_is_not_trivial_everywhere(case)
                if case.trivial is not None:
                    _what_is_called_trivial_does_hold_anyway(case)


def of(case):
    """Its batches, made once for the forms of a claim that share their instances."""
    first = next(other for other in statements(case.claim) if drawn_alike(other.claim, other.name) == drawn_alike(case.claim, case.name))
    return batches(f"{first.claim}:{first.name}")


@functools.cache
def drawn_alike(claim, name):
    """What decides the instances of a form, as text."""
    case = CASES[f"{claim}:{name}"]
    return repr((case.instances, case.domain, case.settings))


@pytest.mark.catalogue
@pytest.mark.parametrize("identifier", OF_CLAIM)
def test_the_domain_has_instances_and_the_statement_speaks_about_them(identifier):
    for case in statements(identifier):
        with about(case):
            _the_domain_has_instances_and_the_statement_speaks_about_them(case)


def _the_domain_has_instances_and_the_statement_speaks_about_them(case):
    """No empty domain, no condition that never holds, no bound that is never a number; at least a twentieth of what is drawn says something."""
    drawn_count, says = 0, 0
    for batch in of(case):
        seen = measure(case, batch, 30)
        drawn_count, says = drawn_count + batch.size, says + int(seen.says.sum())
    assert says >= drawn_count / 20 and says >= 20


def _the_bound_is_not_trivial_everywhere(case):
    """Somewhere the bound is within a factor 500 of the measured figure, and below what holds anyway."""
    closest, informative = 0.0, False
    for batch in of(case):
        seen = measure(case, batch, 200)
        closest = max(closest, float(np.nanmax(np.append(seen.ratio, 0))))
        informative = informative or (case.trivial is not None and bool((seen.informative & seen.says).any()))
    assert closest > 1 / 500 and (case.trivial is None or informative)


def _what_is_called_trivial_does_hold_anyway(case):
    """A bound that is called trivial must be true, or good evidence would be thrown away."""
    trivial = dataclasses.replace(case, statement=Statement(case.statement.left, case.statement.relation, case.trivial), where=())
    for batch in of(case):
        assert not measure(trivial, batch, 60).candidates().any()


def _truth_does_not_rest_on_not_a_number(case):
    """Where the statement speaks, both sides are finite; NaN comes from t = 0 or from a condition, never from 0/0 in a quantity.  Bounds of 0 on both sides
    (0 <= 0) may be common, but something else must be compared too."""
    something = False
    for batch in of(case):
        context = trajectory(case, batch, 20)
        with np.errstate(all="ignore"):
            for quantity_name in case.statement.names():
                values = np.asarray(quantity(quantity_name).code(context), dtype=float)
                assert not np.isnan(values).any(), quantity_name
        seen = compare(case, context)
        spoken = np.isfinite(seen.excess)
        something = something or bool(((np.abs(seen.left) > 1e-6) & spoken).any())
    assert something or case.statement.text().endswith("= zero") or case.statement.right == 0


def _boundary_values_are_sampled(case):
    """One state, one action, discount 0, ties, and (for a form about every t) the start: each is among what the form is judged on."""
    sizes = case.domain.sizes()
    assert sizes[0][0] == 1 and any(a == case.domain.min_actions for _, a in sizes)
    no_discount, tied = 0, 0
    for batch in of(case):
        no_discount += int((batch.discount == 0).sum())
        rewards = batch.rewards
        tied += int((np.abs(rewards - rewards[:, :, :1]).max(axis=(1, 2)) == 0).sum())  # all actions of each state pay the same
    assert no_discount > 0 and tied > 0
    if case.process is not None and case.statement.over == "step":
        batch = next(iter(of(case)))
        assert measure(case, batch, 10).times[0] == 0


@pytest.mark.parametrize("identifier", [identifier for identifier, cases in OF_CLAIM.items() if any(map(free_names, cases))])
def test_free_settings_reach_both_ends_of_their_range(identifier):
    for case in distinct([case for case in OF_CLAIM[identifier] if free_names(case)], "domain", "settings"):
        with about(case):
            _free_settings_reach_both_ends_of_their_range(case)


def _free_settings_reach_both_ends_of_their_range(case):
    from proofs_check.domains import Between, _value

    batch = drawn(case.domain, *case.domain.sizes()[-1], 400, case.settings)
    names = {"gamma": batch.discount, "S": float(batch.rewards.shape[1]), "A": float(batch.rewards.shape[2]), **batch.settings}
    for setting in free_names(case):
        rule = case.settings[setting]
        if isinstance(rule, Between):
            low, high = (np.broadcast_to(_value(end, names, lambda p, q: p / q), batch.discount.shape) for end in (rule.low, rule.high))
            assert np.isclose(batch.settings[setting], low).any() and np.isclose(batch.settings[setting], high).any()


@pytest.mark.parametrize("identifier", OF_CLAIM)
def test_a_control_differs_from_every_true_form(identifier):
    """In its statement, its domain, its method or its steps; and it says why it is false."""
    controls = [case for case in OF_CLAIM[identifier] if case.kind == "control"]
    for true, case in itertools.product(statements(identifier), controls):
        assert (true.statement, true.domain, str(true.process), true.where, true.horizon) != (
            case.statement,
            case.domain,
            str(case.process),
            case.where,
            case.horizon,
        ), case.name


FIRST_RATE = "softmax-mdp-one-over-t"


def test_the_first_claims_say_what_the_sources_say():
    """Constants and directions of the ten claims, retyped from the papers (where derived: from the derivation)."""
    expected = {
        ("npg-one-over-T", "rate"): "gap(rho, t) <= log(A)/(eta*t) + 1/((1 - gamma)**2*t)",
        ("npg-one-over-T", "ascent"): "value_increase_rho >= (1 - gamma)/eta*log_normaliser",
        ("softmax-smoothness-sharp", "derived"): "hessian_norm <= 7/(20*(1 - gamma)**2)",
        ("softmax-smoothness-sharp", "printed"): "hessian_norm <= 8/(1 - gamma)**3",
        ("softmax-smoothness-sharp", "bandit derived"): "hessian_norm <= 1/4",
        ("softmax-smoothness-sharp", "bandit printed"): "hessian_norm <= 5/2",
        ("softmax-smoothness-sharp", "gradient"): "gradient_norm <= 1/(2*sqrt(2)*(1 - gamma)**(3/2))",
        ("softmax-lojasiewicz", "mdp"): "gradient_norm >= min_optimal_probability*gap(rho, t)/(sqrt(S)*mismatch_rho_policy)",
        ("softmax-lojasiewicz", "bandit"): "gradient_norm >= min_optimal_probability*gap(mu, t)",
        (FIRST_RATE, "printed"): "gap(rho, t) <= 16*S*mismatch**2*inverse_mu/(c_inf**2*(1 - gamma)**6*(t + 1))",
        (FIRST_RATE, "one step, derived"): "value_increase_mu >= (1 - gamma)**4*min_optimal_probability**2*gap(mu, t)**2/(S*mismatch**2)",
        ("policy-iteration-monotone-geometric-finite", "geometric"): "gap_sup <= gamma**t*gap_sup_0",
        ("entropy-npg-linear", "action values"): "soft_q_gap <= C1*gamma*(1 - eta*tau)**(t - 1)",
        ("entropy-npg-linear", "log policies"): "log_policy_gap <= 2*C1/tau*(1 - eta*tau)**(t - 1)",
        ("performance-difference", "visits of the new policy"): "(1 - gamma)*other_value_difference = advantage_under_other_visits",
        ("performance-difference", "visits of the old policy"): "(1 - gamma)*other_value_difference = policy_change_under_other_values",
        ("pg-theorem-direct-and-softmax", "direct"): "direct_derivative = direct_gradient",
    }
    for (identifier, form), text in expected.items():
        stated, retyped = claims()[identifier].form(form).statement, parse_statement(text)
        assert (stated.relation, stated.left - retyped.left, (stated.right - retyped.right).expand()) == (retyped.relation, 0, 0), (identifier, form)
    steps = {(FIRST_RATE, "printed"): "(1 - gamma)**3/8", (FIRST_RATE, "one step, derived"): "2*(1 - gamma)**2"}
    from proofs_check.quantities import parse

    for (identifier, form), text in steps.items():
        owner = claims()[identifier]
        assert (owner.case(owner.form(form)).settings["eta"] - parse(text)).expand() == 0
    lower = claims()["softmax-one-over-t-lower-bound"].form("bandit").statement
    gap, rise = "gap_mu_0", "(2*eta*(1 + 7*eta/40))"
    assert (lower.right - parse(f"{gap}*(1 - {rise}*{gap})/((1 - {rise}*{gap}) + {rise}*{gap}*t)")).simplify() == 0
    uniform = claims()["npg-one-over-T"]
    assert uniform.case(uniform.form("rate")).domain.policy == "uniform" and uniform.case(uniform.form("monotone")).domain.policy == "interior"
    assert all(isinstance(case.domain, Domain) for case in CASES.values())
