"""Cassandra's .mdp and .pomdp files."""

from __future__ import annotations

import numpy as np
import pytest
from flint import fmpq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdps import MDP, ModelError, io, random, strategies, zoo

FILES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

TIGER = """
# Cassandra, Kaelbling, Littman 1994
discount: 0.95
values: reward
states: tiger-left tiger-right
actions: listen open-left open-right
observations: tiger-left tiger-right
start: uniform

T:listen
identity

T:open-left
uniform

T:open-right
uniform

O:listen
0.85 0.15
0.15 0.85

O:open-left
uniform

O:open-right
uniform

R:listen : * : * : * -1
R:open-left : tiger-left : * : * -100
R:open-left : tiger-right : * : * 10
R:open-right : tiger-left : * : * 10
R:open-right : tiger-right : * : * -100
"""


def read(folder, text: str, ending: str = ".mdp", discount=None) -> MDP:
    (folder / f"model{ending}").write_text(text)
    return io.load(folder / f"model{ending}", discount)


@FILES
@given(mdp=st.one_of(strategies.mdps(rewards=(-2, 2)), strategies.mdps(exact=False, rewards=(-1e9, 1e9))))
def test_writing_and_reading_give_the_same_floats(tmp_path, mdp):
    io.save(mdp, tmp_path / "model.mdp")
    assert io.load(tmp_path / "model.mdp").digest() == mdp.digest()


@pytest.mark.parametrize("expression", ["loop", "cliff_walking", "frozen_lake(8)", "machine_replacement", "arms"])
def test_zoo_instances_survive_and_their_fractions_are_found_again(tmp_path, expression):
    mdp = zoo.load(expression)
    io.save(mdp, tmp_path / "model.mdp")
    assert io.load(tmp_path / "model.mdp").exact.digest() == mdp.exact.digest()


def test_names_survive_where_the_format_can_hold_them(tmp_path):
    io.save(zoo.loop(), tmp_path / "model.mdp")
    assert io.load(tmp_path / "model.mdp").state_names == ("inside", "outside")
    io.save(zoo.frozen_lake(), tmp_path / "model.mdp")
    assert io.load(tmp_path / "model.mdp").state_names is None
    io.save(MDP([[[1.0]]], [[0.0]], 0.5, state_names=["reset"]), tmp_path / "model.mdp")
    assert io.load(tmp_path / "model.mdp").state_names is None


def test_the_mdp_under_the_tiger(tmp_path):
    mdp = read(tmp_path, TIGER, ".pomdp")
    assert mdp.action_names == ("listen", "open-left", "open-right")
    assert mdp.transitions[:, 0].tolist() == [[1, 0], [0, 1]]
    assert mdp.transitions[:, 1].tolist() == [[0.5, 0.5]] * 2
    assert mdp.rewards.tolist() == [[-1, -100, 10], [-1, 10, -100]]
    assert (mdp.discount, mdp.start.tolist(), mdp.name) == (0.95, [0.5, 0.5], "model")
    with pytest.raises(ModelError, match=r"\.pomdp files are read only"):
        io.save(mdp, tmp_path / "model.pomdp")


HEAD = "discount: 0.5\nvalues: reward\nstates: 2\nactions: a b\n"


def test_every_form_of_transitions(tmp_path):
    forms = [
        "T: *\nidentity\nT: b : 0\n0.25 0.75\nT: b : 1 : 0 0.5\nT: b : 1 : 1 0.5\n",
        "T: a identity T: 1 0.25 0.75 0.5 0.5",
        "T: a : * : * 0\nT: a : 0 : 0 1\nT: a : 1 : 1 1\nT: b\n0.25 0.75\n0.5 0.5\n",
        "T: b uniform\nT: a identity\nT : b : 0 0.25 0.75",
    ]
    for text in forms:
        assert read(tmp_path, HEAD + text).transitions.tolist() == [[[1, 0], [0.25, 0.75]], [[0, 1], [0.5, 0.5]]]


def test_reset_leads_to_the_start(tmp_path):
    mdp = read(tmp_path, HEAD + "start: 0.25 0.75\nT: * identity\nT: b : 1 reset\n")
    assert mdp.transitions[1, 1].tolist() == [0.25, 0.75]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("start: uniform", [0.5, 0.5]),
        ("", [0.5, 0.5]),
        ("start: 0.25 0.75", [0.25, 0.75]),
        ("start: 1", [0, 1]),
        ("start: 1 0", [1, 0]),
        ("start include: 1", [0, 1]),
        ("start exclude: 1", [1, 0]),
        ("start include: *", [0.5, 0.5]),
    ],
)
def test_every_form_of_start(tmp_path, text, start):
    assert read(tmp_path, HEAD + text + "\nT: * identity\n").start.tolist() == start
    named = HEAD.replace("states: 2", "states: x y") + text.replace("1", "y") + "\nT: * identity\n"
    if "0" not in text:
        assert read(tmp_path, named).start.tolist() == start


def test_every_form_of_rewards(tmp_path):
    moves = "T: * uniform\n"
    assert read(tmp_path, HEAD + moves + "R: * : * : * 3\nR: a : 1 : * 4\n").rewards.tolist() == [[3, 3], [4, 3]]
    assert read(tmp_path, HEAD + moves + "R: a : 0 : 1 4\n").rewards.tolist() == [[2, 0], [0, 0]]
    assert read(tmp_path, HEAD + moves + "R: a : 0\n1 3\n").rewards.tolist() == [[2, 0], [0, 0]]
    assert read(tmp_path, HEAD + moves + "R: a\n1 3\n5 5\n").rewards.tolist() == [[2, 0], [5, 0]]
    assert read(tmp_path, HEAD.replace("reward", "cost") + moves + "R: a : * : * 1\n").rewards.tolist() == [[-1, 0], [-1, 0]]


def test_rewards_by_observation_are_expectations(tmp_path):
    """r(s, a) = sum_s' P(s' | s, a) sum_o O(o | a, s') r(s, a, s', o)."""
    head = "discount: 0.5\nvalues: reward\nstates: 2\nactions: 1\nobservations: 2\nT: 0 : 0 0.25 0.75\nT: 0 : 1 0 1\nO: 0\n0.5 0.5\n0.25 0.75\n"
    assert read(tmp_path, head + "R: 0 : 0 : 1 : 1 16\n", ".pomdp").rewards.tolist() == [[0.75 * 0.75 * 16], [0]]
    assert read(tmp_path, head + "R: 0 : 0 : 1\n4 8\n", ".pomdp").rewards.tolist() == [[0.75 * (0.25 * 4 + 0.75 * 8)], [0]]
    assert read(tmp_path, head + "R: 0 : 0\n1 2\n4 8\n", ".pomdp").rewards.tolist() == [[0.25 * 1.5 + 0.75 * 7], [0]]


def test_fractions_stay_exact(tmp_path):
    mdp = read(tmp_path, HEAD + "T: *\n1/3 2/3\n0 1\nR: a : 0 : * 1/7\n")
    assert mdp.exact.transitions[0, 0].tolist() == [fmpq(1, 3), fmpq(2, 3)]
    assert mdp.exact.rewards[0, 0] == fmpq(1, 7)
    assert mdp.exact.discount == fmpq(1, 2)


def test_a_discount_may_be_given(tmp_path):
    text = HEAD.replace("discount: 0.5\n", "") + "T: * identity\n"
    assert read(tmp_path, text, discount="9/10").discount == 0.9
    assert read(tmp_path, HEAD + "T: * identity\n", discount=0.25).discount == 0.25
    with pytest.raises(ModelError, match="there is no discount"):
        read(tmp_path, text)


BROKEN = {
    "empty": ("", "there is no T: line"),
    "unknown section": ("discuont: 0.5\n", "line 1: unknown section 'discuont'. Did you mean discount"),
    "unknown section in the middle": (HEAD + "T: * identity\nW: 3\n", "line 6: unknown section 'W'. Known are discount"),
    "no colon": ("discount 0.5\n", "line 1: there is '0.5' where \":\" after discount should be"),
    "values of another kind": ("values: money\n", "line 1: values is 'money'"),
    "no states": ("discount: 0.5\nactions: 1\nT: 0 identity\n", "line 3: T: comes before states"),
    "states 0": ("states: 0\n", "line 1: states is 0"),
    "states nothing": ("states:\nactions: 2\n", "states lists nothing"),
    "a name twice": ("states: x x\n", "line 1: states lists a name twice"),
    "states too late": (HEAD + "T: * identity\nstates: 3\n", "line 6: states must stand before"),
    "start before states": ("start: uniform\n", "line 1: start comes before states"),
    "start leaves none": (HEAD + "start exclude: *\n", "line 5: start exclude leaves no state"),
    "an unknown action": (HEAD + "T: c : 0 : 0 1\n", r"line 5: 'c' is none of the actions \(a, b\)"),
    "an unknown state": (HEAD + "T: a : 2 : 0 1\n", r"line 5: '2' is none of the states \(0 .. 1\)"),
    "a row too short": (HEAD + "T: a : 0\n1\nT: b identity\n", "line 6: the transition row has 1 figures; it needs 2"),
    "a matrix too short": (HEAD + "T: a\n1 0\n0\n", "line 7: the transition matrix has 3 figures; it needs 4"),
    "a row too long": (HEAD + "T: a : 0\n1 0 0\n", "line 6: unknown section '0'"),
    "a word in a row": (HEAD + "T: a : 0\n1 zero\n", "line 6: the transition row is 'zero'"),
    "cut off": (HEAD + "T: a : 0 :", "line 5: one of the states is missing; the file is cut off"),
    "infinite reward": (HEAD + "T: * identity\nR: a : 0 : * inf\n", "line 6: the reward is inf; it must be finite"),
    "reward without state": (
        HEAD.replace("values", "observations: 2\nvalues") + "T: * identity\nR: a 3\n",
        "R: needs at least an action and a state",
    ),
    "observation in an mdp": (HEAD + "T: * identity\nO: a uniform\n", "line 6: O: needs a line observations: first"),
    "a leak": (HEAD + "T: * identity\nT: a : 0 : 0 0.5\n", r'model.mdp: transitions\[0, 0\] \(state 0, action 0 "a"\) sums to 0.5'),
    "no transitions for an action": (HEAD + "T: a identity\n", r'action 1 "b"\) sums to 0'),
    "discount 1": (HEAD.replace("0.5", "1.0") + "T: * identity\n", "discount is 1.0"),
    "too large": ("states: 100000\nactions: 1\nT: 0 identity\n", "too many for this format"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_names_file_and_line(tmp_path, case):
    text, message = BROKEN[case]
    with pytest.raises(ModelError, match=message) as error:
        read(tmp_path, text)
    assert "model.mdp" in str(error.value)


@FILES
@given(st.text(alphabet="TOR:* 01.5\n#abstuniformidentity", max_size=60))
def test_any_text_is_read_or_refused(tmp_path, text):
    try:
        assert isinstance(read(tmp_path, HEAD + text), MDP)
    except ModelError:
        pass


def test_ragged_models_are_refused(tmp_path):
    with pytest.raises(ModelError, match="same actions in every state"):
        io.save(zoo.two_state(ragged=True), tmp_path / "model.mdp")
    assert np.array_equal(io.load_model(io.save(random.garnet(30, 2, 3, 0, sparse=True), tmp_path / "m.mdp")).start, np.full(30, 1 / 30))
