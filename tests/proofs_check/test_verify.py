"""`verify` from end to end: the whole catalogue at a tiny budget, controls that fall and replay, users' claims, methods and models, resuming."""

from __future__ import annotations

import dataclasses
import functools
import json
import math

import numpy as np
import pytest
from small import TINY, claim
from sympy import Rational, log

import pgtheory
from mdps.errors import ModelError
from mdps.rational import fraction
from proofs_check import quantities as q
from proofs_check import verdict as v
from proofs_check.catalogue import claims
from proofs_check.claim import Control, Form
from proofs_check.domains import Domain, in_range
from proofs_check.engine import budget as budgets
from proofs_check.engine import examination
from proofs_check.engine.certify import confirm
from proofs_check.engine.examination import verify_case
from proofs_check.engine.measure import measure
from proofs_check.engine.replay import replay
from proofs_check.engine.targets import resolve
from proofs_check.engine.verify import verify
from proofs_check.instance import Batch, Instance
from proofs_check.instances import named
from proofs_check.quantities import gap
from proofs_check.statement import Statement, equal
from proofs_check.verdict import as_dict, form_verdict

CASES = {f"{case.claim}:{case.name}": case for found in claims().values() for case in found.cases()}
STATEMENTS = [name for name, case in CASES.items() if case.kind == "statement"]
CONTROLS = [name for name, case in CASES.items() if case.kind == "control"]


@functools.cache
def verdict_of(name: str) -> v.FormVerdict:
    """The verdict on one case of the catalogue: at the tiny budget, for a control that survives it at the quick one."""
    found = verify_case(CASES[name], TINY, 0)
    if CASES[name].kind == "control" and found.verdict != v.REFUTED:
        found = verify_case(CASES[name], budgets.budget("quick"), 0)
    return found


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setitem(budgets.BUDGETS, "tiny", TINY)


def tiny(*args, **more) -> v.Run:
    return verify(*args, **{"budget": "tiny", "jobs": 1, **more})


# The catalogue


@pytest.mark.catalogue
@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_of_the_catalogue_is_refuted_and_each_has_evidence(name):
    found, case = verdict_of(name), CASES[name]
    holds = (v.SURVIVING,) if case.conjecture else (v.PROVED, v.CERTIFIED, v.SUPPORTED)
    if found.verdict == v.VACUOUS:  # the runs of this budget are too short for the bound to bite
        assert case.process is not None and case.trivial is not None
        return
    assert found.verdict in holds and found.expected, (found.verdict, found.evidence, found.notes)
    assert found.instances >= 30 and found.trivial < found.instances and found.counterexample is None
    assert (found.verdict == v.CERTIFIED) <= (found.certified > 0) and (found.verdict == v.PROVED) == bool(found.scope)
    assert found.tightness is None or 0 < found.tightness <= 1
    assert (found.tightness is None) == (not case.statement.is_ratio and not (found.verdict == v.PROVED and case.statement.relation == "="))
    assert found.statement == case.statement.text() and found.evidence and found.budget == "tiny"
    assert found.horizon >= (1 if case.process is not None and case.statement.over == "step" else 0)
    json.dumps(as_dict(found), allow_nan=False)
    assert form_verdict(as_dict(found)) == found


@pytest.mark.catalogue
@pytest.mark.parametrize("name", STATEMENTS)
def test_the_worst_instance_reaches_the_tightness_that_is_printed(name):
    found = verdict_of(name)
    if found.worst is None or "measured" not in found.worst or found.verdict == v.PROVED:
        assert not CASES[name].statement.is_ratio or found.verdict in (v.PROVED, v.VACUOUS)
        return
    above, below = found.worst["measured"], found.worst["bound"]
    if CASES[name].statement.relation == ">=":
        above, below = below, above
    assert min(above / below, 1) == pytest.approx(found.tightness, rel=1e-6)  # the run of one instance and of its batch round differently
    if found.curve is not None:
        assert len(found.curve["t"]) == len(found.curve["measured"]) == len(found.curve["bound"]) and np.isfinite(found.curve["measured"]).all()


@pytest.mark.catalogue
@pytest.mark.parametrize("name", CONTROLS)
def test_every_control_is_refuted_by_a_small_certified_counterexample_that_replays(name):
    found, case = verdict_of(name), CASES[name]
    assert found.verdict == v.REFUTED and found.expected and found.because, (found.verdict, found.evidence)
    data = json.loads(json.dumps(found.counterexample, allow_nan=False))
    assert data["instance"]["states"] <= 9 and data["arithmetic"] in ("rationals", "balls")
    again = replay(data)
    assert again.confirmed and again.outcome.t == data["t"]
    assert case.claim in again.text and "violated" in again.text
    instance = Instance.from_json(data["instance"])
    assert instance.is_exact and not case.domain.broken(instance)


@pytest.mark.catalogue
@pytest.mark.parametrize("name", CONTROLS)
def test_a_counterexample_that_is_no_counterexample_does_not_replay(name):
    """The same file with the true form's statement, where the claim has one about the same measured side: it must hold or stay undecided there."""
    case = CASES[name]
    data = verdict_of(name).counterexample
    instance = Instance.from_json(data["instance"])
    owner = claims()[case.claim]
    for form in owner.forms:
        true = owner.case(form)
        if (
            true.statement.left != case.statement.left
            or true.process != case.process
            or true.domain.broken(instance)
            or set(true.settings) - set(instance.settings)
            or not in_range(true.settings, instance)
        ):
            continue
        outcome = confirm(true, instance, [data["t"] or 0])
        assert outcome.status != "violated", (form.name, outcome)


def optimal_start(instance):
    """Probability that the start policy gives to an optimal action, the smallest over the states."""
    from proofs_check.instance import exact_optimum

    values, action_values = exact_optimum(instance)
    return min(
        max(p for p, best in zip(pi, row == value, strict=True) if best)
        for pi, row, value in zip(instance.policy, action_values, values, strict=True)
    )


def bound_of(text, instance, t):
    """A bound's figure at the counterexample, for quantities of the instance that need no run."""
    states, actions = instance.shape
    values = {
        "gamma": float(instance.as_float().discount),
        "S": states,
        "A": actions,
        "t": t,
        **{k: float(x) for k, x in instance.as_float().settings.items()},
    }
    from proofs_check.expression import evaluate
    from proofs_check.quantities import parse

    return evaluate(parse(text), values, lambda p, q: p / q)


REASONS = {
    "pg-theorem-direct-and-softmax:factor 1/(1-gamma) dropped": lambda i, t, left: i.discount > 0,
    "performance-difference:visits of the wrong policy": lambda i, t, left: i.discount > 0 and i.shape[0] > 1 and (i.policy != i.other).any(),
    "softmax-smoothness-sharp:bandit constant 0.19": lambda i, t, left: 0.19 < left <= math.sqrt(3) / 9 + 1e-12,
    "softmax-smoothness-sharp:no horizon in the constant": lambda i, t, left: i.discount > 0,
    "softmax-smoothness-sharp:gradient without horizon": lambda i, t, left: i.discount > 0,
    "softmax-lojasiewicz:probability of the optimal action dropped": lambda i, t, left: optimal_start(i) < 1,
    "softmax-lojasiewicz:mismatch dropped": lambda i, t, left: i.shape[0] > 1,
    "softmax-mdp-one-over-t:c replaced by 1": lambda i, t, left: optimal_start(i) < 1,
    "softmax-mdp-one-over-t:printed form with (1-gamma)^2 for (1-gamma)^6": lambda i, t, left: 2 * i.discount >= 1 and t >= 1,
    "softmax-pg-any-step-monotone:as good as a Bellman backup": lambda i, t, left: optimal_start(i) < 1,
    "softmax-one-over-t-lower-bound:no decay": lambda i, t, left: t >= 1,
    "softmax-one-over-t-lower-bound:C halved": lambda i, t, left: t >= 1,
    # the natural gradient: large steps make the first term small, small ones the second; a start far from the optimal policy makes the first too small
    "npg-one-over-T:second term dropped": lambda i, t, left: (
        t >= 1 and bound_of("log(A)/(eta*t)", i, t) < left <= bound_of("1/((1-gamma)**2*t)", i, t)
    ),
    "npg-one-over-T:first term dropped": lambda i, t, left: (
        t >= 1 and bound_of("1/((1-gamma)**2*t)", i, t) < left <= bound_of("log(A)/(eta*t)", i, t) * 1.001
    ),
    "npg-one-over-T:any start": lambda i, t, left: t >= 1 and optimal_start(i) * i.shape[1] < 1,
    "entropy-npg-linear:faster contraction": lambda i, t, left: t >= 2,
    "policy-iteration-monotone-geometric-finite:one step suffices": lambda i, t, left: t == 1,
    "policy-iteration-monotone-geometric-finite:gamma^(4t)": lambda i, t, left: t >= 1 and i.discount > 0,
    "npg-potential:any start": lambda i, t, left: optimal_start(i) * i.shape[1] < 1,
    "values-in-range:no horizon": lambda i, t, left: i.discount > 0,
    "softmax-sufficient-increase:first order as a lower bound": lambda i, t, left: i.shape[1] > 1,
}
"""What a counterexample must show if the control fails for the reason that it gives."""


@pytest.mark.parametrize("name", sorted(REASONS))
def test_controls_fail_for_the_reason_that_they_give(name):
    data = verdict_of(name).counterexample
    instance = Instance.from_json(data["instance"])
    left = float(fraction(data["left"].split("+/-")[0].strip("[] ")))
    assert REASONS[name](instance, data["t"], left), data


def test_all_ten_claims_of_the_first_slice_are_there():
    first = {
        "pg-theorem-direct-and-softmax", "performance-difference", "softmax-smoothness-sharp", "softmax-lojasiewicz", "softmax-mdp-one-over-t",
        "softmax-pg-any-step-monotone", "npg-one-over-T", "policy-iteration-monotone-geometric-finite", "entropy-npg-linear", "softmax-one-over-t-lower-bound",
    }  # fmt: skip
    assert first <= set(claims())
    assert {name.split(":")[0] for name in REASONS} >= first


# Verdict logic


INTERIOR = Domain(max_states=2, max_actions=2, policy="interior")
RUN = {"process": pgtheory.NaturalPG(step_size=q.eta), "settings": {q.eta: 1}}


def one(statement, **fields) -> v.FormVerdict:
    return tiny(claim(statement, **{"domain": INTERIOR, **fields})).verdicts[0].forms[0]


def test_a_statement_that_never_speaks_is_undecided():
    silent = one(gap(q.rho, q.T) <= 1 / (1 - q.gamma), where=((2, q.gamma),), **RUN)
    assert silent.verdict == v.UNDECIDED and silent.certified == 0 and "says nothing" in silent.evidence
    nonsense = one(gap(q.rho, q.T) <= log(q.gamma - 2), **RUN)
    assert nonsense.verdict == v.UNDECIDED and nonsense.certified == 0 and nonsense.tightness is None


def test_a_bound_above_the_trivial_one_everywhere_is_vacuous():
    found = one(gap(q.rho, q.T) <= 50 / (1 - q.gamma), trivial=1 / (1 - q.gamma), **RUN)
    assert found.verdict == v.VACUOUS and found.trivial == found.instances > 0 and found.worst is None


def test_what_holds_with_equality_everywhere_is_supported_at_most():
    """Balls cannot certify gap <= gap: no instance counts as certified."""
    found = one(Statement(q.gap_rho, "<=", q.gap_rho), **RUN)
    assert found.verdict == v.SUPPORTED and found.certified == 0 and any("undecided" in note for note in found.notes)


def test_a_tiny_violation_below_the_float_tolerance_is_still_refuted_by_the_exact_instances():
    found = one(equal(q.direct_derivative * (1 + Rational(1, 10**18)), q.direct_gradient))
    assert found.verdict == v.REFUTED and replay(found.counterexample).confirmed


def test_a_false_equation_that_hides_from_the_search_is_not_certified(monkeypatch):
    """Its sides differ as rational functions, so it is false; without a counterexample that is `undecided`."""
    monkeypatch.setattr(examination, "search", lambda case, *rest, **more: examination.Found(instances=5))
    monkeypatch.setattr(examination, "certify", lambda *args: (3, [], None, None))
    found = one(equal(q.direct_derivative, 2 * q.direct_gradient), symbolic=((1, 2),))
    assert found.verdict == v.UNDECIDED and "false somewhere" in found.evidence
    assert one(equal(q.direct_derivative, q.direct_gradient), symbolic=((1, 2),)).verdict == v.PROVED


def test_unconfirmed_candidates_make_a_verdict_undecided(monkeypatch):
    from proofs_check.engine.certify import Confirmation

    monkeypatch.setattr(examination, "confirm", lambda *args, **more: Confirmation("undecided", "balls", 128, reason="planted"))
    found = one(gap(q.rho, q.T) <= Rational(1, 100), **RUN)
    assert found.verdict in (v.UNDECIDED, v.REFUTED)
    monkeypatch.setattr(examination, "certify", lambda *args: (0, [], None, None))
    found = one(gap(q.rho, q.T) <= Rational(1, 100), **RUN)
    assert found.verdict == v.UNDECIDED and "unreliable" in found.evidence and any("planted" in note for note in found.notes)


def test_claim_verdict_is_the_weakest_form_and_expected_needs_every_control():
    made = claim(
        None,
        domain=INTERIOR,
        forms=[Form("true", q.gradient_norm <= 1 / (1 - q.gamma) ** 2), Form("vacuous", q.gap_rho <= 50 / (1 - q.gamma), trivial=1 / (1 - q.gamma))],
        negative_controls=[Control("true after all", q.gap_rho <= 1 / (1 - q.gamma), because="planted: this control is true")],
    )
    run = tiny(made)
    assert [f.verdict for f in run.verdicts[0].forms] == [v.CERTIFIED, v.VACUOUS] and run.verdicts[0].verdict == v.VACUOUS
    assert run.verdicts[0].controls[0].verdict != v.REFUTED and not run.verdicts[0].expected and not run.expected
    assert tiny(made, controls=False).expected


# Bounds, settings, forms


def test_the_natural_gradient_without_its_second_term_falls_and_with_twice_the_bound_stands():
    false = tiny("npg-one-over-T", bound="log(A)/(eta*T)").verdicts[0]
    assert false.verdict == v.REFUTED and false.forms[0].counterexample["instance"]["states"] <= 3 and not false.controls
    assert replay(false.forms[0].counterexample).confirmed
    assert any("survives the same search" in note for note in false.forms[0].notes)
    assert tiny("npg-one-over-T", bound="2*(log(A)/(eta*T) + 1/((1-gamma)**2*T))").verdicts[0].verdict in v.HOLDS


def test_one_softmax_step_with_c_replaced_by_one_falls():
    false = tiny("softmax-mdp-one-over-t:one step, derived", bound="(1-gamma)**4*gap(mu,t)**2/(S*mismatch**2)").verdicts[0]
    assert false.verdict == v.REFUTED and replay(false.forms[0].counterexample).confirmed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "bound", "horizons"),
    [
        ("printed", "16*S*mismatch**2*inverse_mu/(c_inf**2*(1-gamma)**2*(t+1))", (20_000, 1)),
        ("one step, derived", "(1-gamma)**2*min_optimal_probability**2*gap(mu,t)**2/(S*mismatch**2)", (60, 60)),
    ],
)
def test_softmax_rates_need_their_powers_of_the_horizon(form, bound, horizons):
    """(1-gamma)^2 in place of ^6 (one state, 10^4 steps) and of ^4 (one step)."""
    changed = claims()["softmax-mdp-one-over-t"].replace(form=form, bound=bound)
    found = verify_case(changed.cases()[0], dataclasses.replace(TINY, population=32, generations=4, horizons=horizons), 0)
    assert found.verdict == v.REFUTED and found.counterexample["instance"]["states"] <= 2 and replay(found.counterexample).confirmed


def test_settings_and_forms_are_chosen_by_name():
    assert [f.form for f in tiny("npg-one-over-T:ascent").verdicts[0].forms] == ["ascent"]
    fixed = tiny("npg-one-over-T", settings={"eta": "1/10"}).verdicts[0].forms
    assert [f.form for f in fixed] == ["rate"] and fixed[0].worst["settings"] == {"eta": 0.1}
    for call, match in (
        ({"targets": "npg-one-over-t"}, "npg-one-over-T"),
        ({"targets": "npg-one-over-T:rat"}, "rate"),
        ({"targets": "npg-one-over-T", "settings": {"eat": "1"}}, "eta"),
        ({"targets": "npg-one-over-T", "bound": "log(B)"}, "unknown quantity"),
        ({"targets": "npg-one-over-T", "bound": "gap(rho, t"}, "no expression"),
        ({"targets": "npg-one-over-T", "budget": "fast"}, "quick"),
        ({"targets": []}, "no claim was named"),
    ):
        with pytest.raises(ModelError, match=match):
            verify(**call)


def test_targets_may_be_families_files_and_claims(tmp_path):
    family = next(iter(claims().values())).family
    assert {c.id for c, _ in resolve(family)} == {c.id for c in claims().values() if c.family == family}
    assert [c.id for c, _ in resolve(None)] == list(claims())
    made = claim(q.gradient_norm <= 1 / (1 - q.gamma))
    assert resolve([made, "performance-difference"])[0] == (made, None)
    with pytest.raises(ModelError, match="no file"):
        resolve(tmp_path / "none.py")


def test_what_exact_arithmetic_shows_to_be_rounding_is_no_unconfirmed_candidate():
    """Two sides that are equal and leave the rationals: balls overlap at every precision, and bound how far apart they can be."""
    alike = claims()["general-utility-policy-gradient"]
    case = alike.case(alike.form("entropy"))
    instance = next(i for i in named(case) if i.shape == (2, 2))
    outcome = confirm(case, instance, [0], most_bits=512)
    assert outcome.status == "undecided" and 0 < outcome.apart < examination.EXACT
    seen = measure(case, Batch.of([instance.as_float()]), 0)
    seen = dataclasses.replace(seen, excess=np.full_like(seen.excess, 1.0))  # as if float64 had erred
    examined = examination.Examination(case, TINY, 0, None)
    assert examined.candidate(instance.as_float(), seen, 0, 0, most_bits=512) is None
    assert examined.unconfirmed == 0 and "rounding" in examined.notes[-1]
    coarse = examination.Examination(case, TINY, 0, None)
    assert coarse.candidate(instance.as_float(), seen, 0, 0, most_bits=64) is None and coarse.unconfirmed == 1  # no precision tried
