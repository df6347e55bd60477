"""`verify` on what users bring: claims in files, methods in plain Python, models."""

from __future__ import annotations

import numpy as np
import pytest
from small import TINY, claim
from sympy import Rational, log

import mdps
import pgtheory
from mdps.errors import ModelError
from proofs_check import quantities as q
from proofs_check import verdict as v
from proofs_check.catalogue import claims
from proofs_check.domains import Between, Domain, random_mdps
from proofs_check.engine import budget as budgets
from proofs_check.engine.replay import replay
from proofs_check.engine.targets import claims_of_file
from proofs_check.engine.verify import verify
from proofs_check.quantities import gap

INTERIOR = Domain(max_states=2, max_actions=2, policy="interior")


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setitem(budgets.BUDGETS, "tiny", TINY)


def tiny(*args, **more) -> v.Run:
    return verify(*args, **{"budget": "tiny", "jobs": 1, **more})


def one(statement, **fields) -> v.FormVerdict:
    return tiny(claim(statement, **{"domain": INTERIOR, **fields})).verdicts[0].forms[0]


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
    assert "[0, 5]" in tiny("softmax-mdp-one-over-t:one step, derived", instance=rich).verdicts[0].not_met[0]
    fitting = tiny("softmax-mdp-one-over-t:one step, derived", instance=MDP(loop.transitions, loop.rewards, 0.5, [0.5, 0.5])).verdicts[0]
    assert fitting.not_met == [] and fitting.verdict in v.HOLDS
    assert tiny("softmax-smoothness-sharp:bandit derived", instance=loop).verdicts[0].not_met
