"""Evidence of `verify`: kept and resumed, the same with any number of workers, and counterexamples that are judged, not believed."""

from __future__ import annotations

import dataclasses
import json

import pytest
from small import TINY, claim
from sympy import Rational

import mdps
import pgtheory
from mdps.errors import ModelError
from proofs_check import quantities as q
from proofs_check import verdict as v
from proofs_check.catalogue import claims
from proofs_check.domains import Domain
from proofs_check.engine import budget as budgets
from proofs_check.engine import verify as engine
from proofs_check.engine.examination import verify_case
from proofs_check.engine.replay import replay
from proofs_check.engine.targets import claims_of_file
from proofs_check.engine.verify import verify
from proofs_check.quantities import gap
from proofs_check.store import Store
from proofs_check.verdict import as_dict

CASES = {f"{case.claim}:{case.name}": case for found in claims().values() for case in found.cases()}


INTERIOR = Domain(max_states=2, max_actions=2, policy="interior")
RUN = {"process": pgtheory.NaturalPG(step_size=q.eta), "settings": {q.eta: 1}}


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setitem(budgets.BUDGETS, "tiny", TINY)


def tiny(*args, **more) -> v.Run:
    return verify(*args, **{"budget": "tiny", "jobs": 1, **more})


def one(statement, **fields) -> v.FormVerdict:
    return tiny(claim(statement, **{"domain": INTERIOR, **fields})).verdicts[0].forms[0]


def falls(name: str) -> v.FormVerdict:
    """The verdict on a control of the catalogue."""
    identifier, _, form = name.partition(":")
    return verify_case(next(case for case in claims()[identifier].cases() if case.name == form), TINY, 0)


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


@pytest.mark.slow  # test_scheduler.py has the same of a smaller budget, with a worker killed on the way
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
    data = falls("performance-difference:visits of the wrong policy").counterexample
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
    data = dict(falls("policy-iteration-monotone-geometric-finite:one step suffices").counterexample)
    assert replay(data).confirmed
    for change in ({"t": 0}, {"t": 9}, {"statement": "gap_sup >= 0"}, {"where": [["100", "t"]]}):
        again = replay(data | change)
        assert not again.confirmed and "NOT confirmed" in again.text, change


def test_replay_reads_conditions_with_max_and_min():
    made = claim(gap(q.rho, q.T) <= Rational(1, 100), domain=INTERIOR, where=(("max(gamma, 0)", "min(1, t + 1)"),), **RUN)
    found = tiny(made).verdicts[0].forms[0]
    assert found.verdict == v.REFUTED and replay(found.counterexample).confirmed
