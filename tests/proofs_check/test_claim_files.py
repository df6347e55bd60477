"""Files with claims: a claim that cannot be judged is refused as it is read, at the line that is to blame."""

from __future__ import annotations

import pytest

from mdps import ModelError
from proofs_check.catalogue import claims
from proofs_check.engine.claim_files import checked, claims_of_file, faults

FILE = """\
from pgtheory import NaturalPG
from proofs_check import Claim, Control, domains, gap, log, quantities as q

claim = Claim(
    id="mine",
    title="mine",
    domain=domains.random_mdps(max_states=3, max_actions=3, policy="uniform"),
    process={process},
    settings={settings},
    statement={statement},
)
"""
PROCESS, SETTINGS, STATEMENT = "NaturalPG(step_size=q.eta)", "{q.eta: 1}", "gap(q.rho, q.T) <= log(q.A) / (q.eta * q.T)"


def written(folder, **changes):
    path = folder / "mine.py"
    path.write_text(FILE.format(**({"process": PROCESS, "settings": SETTINGS, "statement": STATEMENT} | changes)))
    return path


@pytest.mark.parametrize(
    ("changes", "line", "said"),
    [
        ({"process": "NaturalPG(step_sise=q.eta)"}, 8, "NaturalPG has no 'step_sise'. Did you mean step_size?"),
        ({"process": "NaturalPG()"}, 8, "NaturalPG needs step_size: write step_size=q.eta"),
        ({"process": "NaturalPG"}, 8, "process=NaturalPG is the class; a method is NaturalPG(step_size=q.eta)"),
        ({"process": "NaturalPG(step_size=-1)"}, 8, "step_size is -1; a step size must be above 0"),
        ({"process": "NaturalPG(step_size=q.eta * (q.gamma - 1))", "settings": "{q.eta: 1}", "statement": "gap(q.rho, q.T) <= q.mismatch"}, None, ""),
        ({"process": "NaturalPG(step_size=q.gamma - 1)"}, 8, "which is -1/2 at gamma = 1/2"),
        ({"settings": "{}"}, 9, "speaks of eta, and settings does not say what it is (it has none): settings={q.eta: ...}"),
        ({"settings": "{'etta': 1}"}, 9, "Is etta a misspelt eta?"),
        ({"settings": "{q.eta: -1}"}, 9, "eta is -1; a step size must be above 0"),
        ({"settings": "{q.eta: 0}"}, 9, "eta is 0; a step size must be above 0"),
        ({"settings": "{q.eta: ('1/10', -2)}"}, 9, "eta is -2; a step size must be above 0"),
        ({"settings": "{q.eta: domains.Between(2, 1)}"}, 9, "eta lies between 2 and 1: the ends must be above 0 and in order"),
        ({"statement": "gap(q.rho, q.T) <= gap(q.rho, q.T)"}, 10, "the bound is the measured quantity itself"),
        ({"statement": "gap(q.rho, q.T) <= 3 * gap(q.rho, q.T)"}, 10, "the bound is the measured quantity itself, times 3"),
    ],
)  # fmt: skip
def test_a_fault_has_its_file_and_line(tmp_path, changes, line, said):
    path = written(tmp_path, **changes)
    if line is None:  # its sign depends on what the search chooses
        assert claims_of_file(path)
        return
    with pytest.raises(ModelError) as caught:
        claims_of_file(path)
    assert str(caught.value).startswith(f"{path}, line {line}: ")
    assert said in str(caught.value)


def test_the_line_of_a_form_is_its_own(tmp_path):
    path = written(
        tmp_path,
        settings="{q.eta: 1},\n    negative_controls=[\n        Control('worse',\n            because='',\n            settings={q.eta: -1}),\n    ]",
    )
    with pytest.raises(ModelError, match=r"mine\.py, line 13: eta is -1"):
        claims_of_file(path)


def test_a_sound_file_is_read(tmp_path):
    (claim,) = claims_of_file(written(tmp_path))
    assert claim.id == "mine"


def test_the_catalogue_has_no_faults():
    assert [fault for claim in claims().values() for fault in faults(claim)] == []


def test_a_change_from_the_command_line_is_held_to_the_same():
    claim = claims()["npg-one-over-T"]
    with pytest.raises(ModelError, match=r"npg-one-over-T \(rate\): eta is -1; a step size must be above 0"):
        checked(claim.replace(settings={"eta": "-1"}))
    with pytest.raises(ModelError, match="the bound is the measured quantity itself: gap_rho <= gap_rho says nothing"):
        checked(claim.replace(bound="gap(rho, T)"))
    assert checked(claim.replace(bound="log(A)/(eta*t)")).id == "npg-one-over-T"
