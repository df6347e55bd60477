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

import mdps
import pgtheory
from mdps.errors import ModelError
from mdps.rational import fraction
from proofs_check import quantities as q
from proofs_check import verdict as v
from proofs_check.catalogue import claims
from proofs_check.claim import Control, Form
from proofs_check.domains import Between, Domain, random_mdps
from proofs_check.engine import budget as budgets
from proofs_check.engine import examination
from proofs_check.engine import verify as engine
from proofs_check.engine.certify import confirm
from proofs_check.engine.examination import verify_case
from proofs_check.engine.replay import replay
from proofs_check.engine.targets import claims_of_file, resolve
from proofs_check.engine.verify import verify
from proofs_check.instance import Instance
from proofs_check.quantities import gap
from proofs_check.statement import Statement, equal
from proofs_check.store import Store
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


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_of_the_catalogue_is_refuted_and_each_has_evidence(name):
    found, case = verdict_of(name), CASES[name]
    holds = (v.SURVIVING,) if case.conjecture else (v.PROVED, v.CERTIFIED, v.SUPPORTED)
    if found.verdict == v.VACUOUS:  # the runs of this budget are too short for the bound to bite
        assert case.process is not None and case.trivial is not None
        return
    assert found.verdict in holds and found.expected, (found.verdict, found.evidence, found.notes)
    assert found.instances >= 50 and found.trivial < found.instances and found.counterexample is None
    assert (found.verdict == v.CERTIFIED) <= (found.certified > 0) and (found.verdict == v.PROVED) == bool(found.scope)
    assert found.tightness is None or 0 < found.tightness <= 1
    assert (found.tightness is None) == (not case.statement.is_ratio and not (found.verdict == v.PROVED and case.statement.relation == "="))
    assert found.statement == case.statement.text() and found.evidence and found.budget == "tiny"
    assert found.horizon >= (1 if case.process is not None and case.statement.over == "step" else 0)
    json.dumps(as_dict(found), allow_nan=False)
    assert form_verdict(as_dict(found)) == found


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
    "softmax-mdp-one-over-t:c replaced by 1": lambda i, t, left: 2 * optimal_start(i) < 1 and t >= 1,
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


def test_softmax_rate_with_c_replaced_by_one_falls():
    false = tiny("softmax-mdp-one-over-t:derived", bound="S*rho_over_mu*mismatch**2/((1-gamma)**4*t)").verdicts[0]
    assert false.verdict == v.REFUTED and replay(false.forms[0].counterexample).confirmed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "bound", "horizons"),
    [
        ("printed", "16*S*mismatch**2*inverse_mu/(c_inf**2*(1-gamma)**2*(t+1))", (20_000, 1)),
        ("derived", "S*rho_over_mu*mismatch**2/((1-gamma)**2*c_inf**2*t)", (100, 2000)),
    ],
)
def test_softmax_rates_need_their_powers_of_the_horizon(form, bound, horizons):
    """(1-gamma)^2 in place of ^6 (one state, 10^4 steps) and of ^4 (two states at discount .98 to .99, 10^3 steps)."""
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


# Users: claims in files, methods in plain Python, models


CLAIM_FILE = '''
"""A claim of my own."""
from proofs_check import Claim, domains, gap, log, quantities as q
from pgtheory import NaturalPG

claim = Claim(
    id="my-npg-bound", title="NPG needs no second term",
    domain=domains.random_mdps(max_states=3, max_actions=3),
    process=NaturalPG(step_size=q.eta), settings={q.eta: (1, 10, 100)},
    statement=gap(q.rho, q.T) <= log(q.A) / (q.eta * q.T),
)
'''


def test_a_claim_in_a_file_is_judged_like_any_other(tmp_path):
    path = tmp_path / "my_theorem.py"
    path.write_text(CLAIM_FILE)
    run = tiny(str(path))
    found = run.verdicts[0].forms[0]
    assert run.verdicts[0].id == "my-npg-bound" and found.verdict == v.REFUTED and not run.expected
    assert found.counterexample["instance"]["states"] <= 3 and replay(found.counterexample).confirmed
    assert found.counterexample["instance"]["settings"]["eta"] in ("1", "10", "100")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("x = 1", "defines no Claim"),
        ("import no_such_module", "line 1: ModuleNotFoundError"),
        ("x = (", "line 1"),
        (
            "from proofs_check import Claim, domains, quantities as q\nclaim = Claim(id='a', title='b', domain=domains.random_mdps(), statement=q.gap_rho <= 0.5)",
            "float",
        ),
        (
            "from proofs_check import Claim, domains, quantities as q\nclaim = Claim(id='a', title='b', domain=domains.random_mdps(), statement=q.gap_ro <= 1)",
            "gap_rho",
        ),
        (
            "from proofs_check import Claim, domains, quantities as q\nclaim = Claim(id='a', title='b', domain=domains.random_mdps())",
            "statement or forms",
        ),
    ],
)
def test_a_wrong_file_is_told_its_line_or_its_fault(tmp_path, text, match):
    path = tmp_path / "wrong.py"
    path.write_text(text)
    with pytest.raises(ModelError, match=match):
        claims_of_file(path)


def test_ill_posed_claims_are_refused_with_words():
    about = {"domain": INTERIOR}
    for made, match in (
        (claim(q.gap_rho <= q.eta, **about), "settings do not say"),
        (claim(q.next_state_values >= q.state_values, **about), "no process"),
        (claim(q.other_value_difference <= q.gamma, **about), "two policies"),
        (claim(q.gap_rho <= 1 / q.T, process=pgtheory.NaturalPG(step_size=q.eta), **about), "eta has no value"),
        (claim(q.gap_rho <= 1 / q.T, process=pgtheory.NaturalPG(step_size=lambda m: 1), **about), "is a function"),
        (claim(q.gap_rho <= q.eta, process=pgtheory.NaturalPG(step_size=1), settings={q.eta: Between(1, 2)}, **about), "step_size of its own"),
        (
            claim(
                q.gap_rho <= 1 / q.T,
                process=pgtheory.NaturalPG(step_size=q.eta),
                settings={q.eta: "sqrt(1 - gamma)"},
                instances=("loop(9/10)",),
                **about,
            ),
            "no rational number",
        ),
    ):
        with pytest.raises(ModelError, match=match):
            tiny(made)


class Ours:
    """Natural policy gradient once more, in plain numpy."""

    direction = 1

    def __init__(self, step_size=0.5):
        self.step_size = step_size

    def start(self, mdp):
        return np.zeros((mdp.num_states, mdp.num_actions))

    def step(self, logits, mdp):
        return logits + self.direction * self.step_size / (1 - mdp.discount) * pgtheory.advantages(mdp, self.policy(logits))

    def policy(self, logits):
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True)


class Backwards(Ours):
    direction = -1


class Elsewhere(Ours):
    def start(self, mdp):
        return np.arange(mdp.num_states * mdp.num_actions, dtype=float).reshape(mdp.num_states, -1)


class Dizzy(Ours):
    def policy(self, logits):
        return super().policy(logits) * 0.9


RATE = claim(
    gap(q.rho, q.T) <= log(q.A) / (q.eta * q.T) + 1 / ((1 - q.gamma) ** 2 * q.T),
    domain=random_mdps(max_states=2, max_actions=2, policy="uniform"), process=pgtheory.NaturalPG(step_size=q.eta), settings={q.eta: Between(Rational(1, 10), 10)},
)  # fmt: skip
"""The catalogue's claim on fewer instances: a step in plain Python takes long."""


def test_somebody_elses_right_method_is_supported_at_most():
    found = tiny(RATE, method=Ours).verdicts[0]
    assert found.verdict == v.SUPPORTED and found.forms[0].certified == 0 and not found.controls and found.forms[0].instances > 20


def test_somebody_elses_wrong_method_is_refuted():
    found = tiny("npg-one-over-T:rate", method=Backwards).verdicts[0].forms[0]
    assert found.verdict == v.REFUTED and found.counterexample["process"]["name"] == "Backwards"
    with pytest.raises(ModelError, match="Backwards"):
        replay(found.counterexample)  # the file cannot hold somebody's code


def test_a_method_in_a_users_claim():
    made = claim(RATE.forms[0].statement, domain=RATE.domain, process=Ours(), settings={q.eta: "1/2"})
    assert tiny(made).verdicts[0].verdict == v.SUPPORTED
    assert tiny(made, instance=mdps.zoo.load("loop(9/10)")).verdicts[0].forms[0].certified == 0


def test_a_method_that_cannot_be_judged_is_refused_with_words():
    with pytest.raises(ModelError, match="has a step_size of its own"):
        tiny(RATE, method=Ours())
    with pytest.raises(ModelError, match="starts elsewhere"):
        tiny(RATE, method=Elsewhere)
    with pytest.raises(ModelError, match="has a step_size of its own"):
        tiny(RATE, method=pgtheory.NaturalPG(step_size=0.1))
    with pytest.raises(ModelError, match="Dizzy"):
        tiny(RATE, method=Dizzy)
    with pytest.raises(ModelError, match="no statement about a run"):
        tiny("performance-difference", method=Ours)
    assert tiny(RATE, method=pgtheory.NaturalPG).verdicts[0].verdict == v.CERTIFIED
    assert tiny(RATE, method=pgtheory.NaturalPG(step_size=0.5), settings={"eta": "1/2"}).verdicts[0].verdict in v.HOLDS


def test_on_one_model_every_claim_runs_or_says_what_is_not_met():
    run = tiny(instance=mdps.zoo.load("loop(9/10)"))
    assert [c.id for c in run.verdicts] == list(claims()) and run.expected
    for found in run.verdicts:
        assert not found.controls
        for form in found.forms:
            unmet = [note for note in form.notes if note.startswith("does not meet")]
            assert form.verdict in v.HOLDS or unmet or form.verdict in (v.UNDECIDED, v.VACUOUS, v.SURVIVING), (found.id, form.form, form.evidence)
            assert (form.instances == 0) or not unmet


def test_an_assumption_that_a_model_does_not_meet_is_named_with_its_figure():
    from mdps import MDP

    loop = mdps.zoo.load("loop(9/10)")
    point = MDP(loop.transitions, loop.rewards, loop.discount, [1, 0])
    found = tiny("softmax-mdp-one-over-t", instance=point).verdicts[0]
    assert found.not_met and "0 in 1 of 2 states" in found.not_met[0] and found.verdict == v.UNDECIDED
    assert all(form.instances == 0 and form.counterexample is None for form in found.forms)
    rich = MDP(loop.transitions, loop.rewards * 5, loop.discount, [0.5, 0.5])
    assert "[0, 5]" in tiny("softmax-mdp-one-over-t:derived", instance=rich).verdicts[0].not_met[0]
    fitting = tiny("softmax-mdp-one-over-t:derived", instance=MDP(loop.transitions, loop.rewards, 0.5, [0.5, 0.5])).verdicts[0]
    assert fitting.not_met == [] and fitting.verdict in v.HOLDS
    assert tiny("softmax-smoothness-sharp:bandit derived", instance=loop).verdicts[0].not_met


def test_a_long_chain_does_not_refute_policy_iteration():
    """Optimality travels one state per improvement: 31 states need 31 steps, more than any fixed horizon; A^S of them is what is claimed."""
    found = tiny("policy-iteration-monotone-geometric-finite:finite", instance=mdps.zoo.load("domino(30, 9/10)")).verdicts[0].forms[0]
    assert found.verdict == v.UNDECIDED and "says nothing" in found.evidence


# Evidence


def test_what_is_known_is_not_verified_again(tmp_path, monkeypatch):
    with Store(tmp_path / "evidence.sqlite") as store:
        first = tiny("performance-difference", store=store)
        assert len(store) == 3
        monkeypatch.setattr(engine.schedule, "examine", lambda *args: pytest.fail("verified again"))
        again = tiny("performance-difference", store=store)
        assert [as_dict(x) for x in again.verdicts] == [as_dict(x) for x in first.verdicts]
        for change in ({"seed": 1}, {"fresh": True}, {"budget": "quick"}, {"bound": "zero"}, {"instance": mdps.zoo.load("loop(9/10)")}):
            with pytest.raises(pytest.fail.Exception, match="verified again"):
                tiny("performance-difference", **{"store": store, **change})


def test_an_interrupted_run_resumes_where_it_was(tmp_path, monkeypatch):
    class Interrupting:
        def __init__(self, after):
            self.left, self.seen = after, []

        def start(self, total):
            self.total = total

        def stage(self, claim, form, text):
            pass

        def done(self, found):
            self.seen.append(found.form)
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    with Store(tmp_path / "evidence.sqlite") as store:
        first = Interrupting(2)
        with pytest.raises(KeyboardInterrupt):
            tiny("performance-difference", store=store, progress=first)
        assert len(store) == 2
        verified = []
        real = engine.schedule.examine
        monkeypatch.setattr(engine.schedule, "examine", lambda case, *rest: verified.append(case.name) or real(case, *rest))
        progress = Interrupting(99)
        run = tiny("performance-difference", store=store, progress=progress)
        assert len(verified) == 1 and progress.total == 3 and len(progress.seen) == 3 and run.expected
        assert {*first.seen, *verified} == {case.name for case in claims()["performance-difference"].cases()}


def test_evidence_depends_on_content_and_not_on_prose():
    case = CASES["npg-one-over-T:rate"]
    for change in ({"because": "other words"},):
        assert dataclasses.replace(case, **change).digest() == case.digest()
    for change in (
        {"statement": case.statement.replace_bound("1/t")}, {"domain": case.domain.replace(max_states=2)}, {"settings": {"eta": "1"}}, {"horizon": 7},
        {"where": ((q.gamma, q.T),)}, {"trivial": q.gamma}, {"process": pgtheory.SoftmaxPG(step_size=q.eta)}, {"symbolic": ((1, 1),)}, {"instances": ()}, {"name": "x"},
    ):  # fmt: skip
        assert dataclasses.replace(case, **change).digest() != case.digest(), change


def test_a_users_changed_method_asks_for_new_evidence(tmp_path):
    digests = []
    for factor in ("1", "2"):
        path = tmp_path / "method_claim.py"
        path.write_text(
            "from proofs_check import Claim, domains, quantities as q\nclass M:\n    def start(self, mdp): return 0\n"
            f"    def step(self, x, mdp): return x + {factor}\n    def policy(self, x): return None\n"
            "claim = Claim(id='m', title='m', domain=domains.random_mdps(), process=M, statement=q.gap_rho <= q.S)\n"
        )
        digests.append(claims_of_file(path)[0].cases()[0].digest())
    assert digests[0] != digests[1]


def test_figures_do_not_depend_on_the_number_of_workers():
    targets = ["performance-difference", "change-of-measure"]
    runs = [verify(targets, budget="quick", jobs=jobs) for jobs in (1, 2)]
    plain = [[{k: x for k, x in as_dict(f).items() if k != "seconds"} for c in run.verdicts for f in (*c.forms, *c.controls)] for run in runs]
    assert plain[0] == plain[1]


def test_the_same_seed_gives_the_same_figures_and_another_seed_others():
    one_, two, other = (tiny("softmax-smoothness-sharp:derived", seed=seed).verdicts[0].forms[0] for seed in (5, 5, 6))
    assert {**as_dict(one_), "seconds": 0} == {**as_dict(two), "seconds": 0}
    assert other.tightness != one_.tightness


def test_the_command_repeats_the_run():
    run = tiny("npg-one-over-T:rate", bound="1/t + 5", seed=3)
    assert run.command == "pgtheory verify npg-one-over-T:rate --budget tiny --seed 3 --bound '1/t + 5'"


# Replay


def test_replay_refuses_what_is_no_counterexample(tmp_path):
    data = verdict_of("performance-difference:visits of the wrong policy").counterexample
    path = tmp_path / "file.json"
    path.write_text(json.dumps(data))
    assert replay(path).confirmed and replay(str(path)).confirmed
    for change in ({"schema": "other"}, {"statement": None}, {"instance": {}}):
        broken = {k: x for k, x in (data | change).items() if x is not None}
        with pytest.raises(ModelError):
            replay(broken)
    path.write_text("{")
    with pytest.raises(ModelError, match="line 1"):
        replay(path)
    path.write_text("[]")
    with pytest.raises(ModelError, match="no counterexample"):
        replay(path)
    with pytest.raises(ModelError, match="no file"):
        replay(tmp_path / "none.json")


def test_replay_judges_and_does_not_believe():
    data = dict(verdict_of("policy-iteration-monotone-geometric-finite:one step suffices").counterexample)
    assert replay(data).confirmed
    for change in ({"t": 0}, {"t": 9}, {"statement": "gap_sup >= 0"}, {"where": [["100", "t"]]}):
        again = replay(data | change)
        assert not again.confirmed and "NOT confirmed" in again.text, change


def test_replay_reads_conditions_with_max_and_min():
    made = claim(gap(q.rho, q.T) <= Rational(1, 100), domain=INTERIOR, where=(("max(gamma, 0)", "min(1, t + 1)"),), **RUN)
    found = tiny(made).verdicts[0].forms[0]
    assert found.verdict == v.REFUTED and replay(found.counterexample).confirmed
