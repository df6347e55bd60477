"""Reading and writing models: nothing is lost on the way, and a broken file says where it is broken."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from flint import fmpq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdps import MDP, ModelError, io, random, strategies, zoo
from mdps.io.files import write_whole

ENDINGS = (".npz", ".json", ".csv")
LABELS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp", "Cs")), min_size=1).map(str.strip).filter(bool), unique=True
)
FILES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def same(a: MDP, b: MDP) -> bool:
    return (a.digest(), a.exact.digest(), a.given_exactly) == (b.digest(), b.exact.digest(), b.given_exactly)


@FILES
@pytest.mark.parametrize("ending", ENDINGS)
@given(mdp=st.one_of(strategies.mdps(ragged=True), strategies.mdps(ragged=True, exact=False, rewards=(-1e9, 1e9))))
def test_writing_and_reading_give_the_same_model(tmp_path, ending, mdp):
    path = tmp_path / f"model{ending}"
    assert io.save(mdp, path) == path
    assert same(io.load(path), mdp)


@FILES
@pytest.mark.parametrize("ending", ENDINGS)
@given(names=LABELS.filter(lambda names: 2 <= len(names)), name=st.one_of(st.just("a model"), st.none()))
def test_names_survive(tmp_path, ending, names, name):
    states, actions = names[:2], names[-2:]
    mdp = MDP([[[1, 0], [0, 1]], [[0, 1], [1, 0]]], [[0, 1], [2, 3]], "1/2", state_names=states, action_names=actions, name=name)
    io.save(mdp, tmp_path / f"model{ending}")
    twin = io.load(tmp_path / f"model{ending}")
    assert same(twin, mdp)
    assert (twin.state_names, twin.action_names, twin.name) == (mdp.state_names, mdp.action_names, mdp.name)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("expression", zoo.names())
def test_every_zoo_instance_survives(tmp_path, ending, expression):
    mdp = zoo.load(expression)
    io.save(mdp, tmp_path / f"model{ending}")
    twin = io.load_model(str(tmp_path / f"model{ending}"))
    assert same(twin, mdp)
    assert twin.state_names == mdp.state_names


def test_npz_keeps_storage_and_large_models(tmp_path):
    mdp = random.garnet(2000, 3, 4, 1, sparse=True)
    io.save(mdp, tmp_path / "model.npz")
    twin = io.load(tmp_path / "model.npz")
    assert twin.is_sparse
    assert same(twin, mdp)
    io.save(zoo.loop(), tmp_path / "small.npz")
    assert not io.load(tmp_path / "small.npz").is_sparse


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_discount_given_on_loading_replaces_the_files(tmp_path, ending):
    io.save(zoo.loop("9/10"), tmp_path / f"exact{ending}")
    io.save(random.deterministic(2, 2, 1, discount=0.9), tmp_path / f"float{ending}")
    for given_as in ("1/2", 0.5, fmpq(1, 2)):
        exact, floating = (io.load(tmp_path / f"{kind}{ending}", given_as) for kind in ("exact", "float"))
        assert exact.exact.discount == fmpq(1, 2)
        assert exact.given_exactly
        assert floating.discount == 0.5
        assert not floating.given_exactly
    with pytest.raises(ModelError, match="discount is 2"):
        io.load(tmp_path / f"exact{ending}", 2)


# One door


def test_load_model_reads_whatever_the_text_names(tmp_path, monkeypatch):
    mdp = zoo.domino(3, "1/2")
    assert io.load_model(mdp) is mdp
    assert io.load_model(mdp, "1/3").exact.discount == fmpq(1, 3)
    assert io.load_model(random.dirichlet(2, 2, 1), "1/3").given_exactly is False
    assert same(io.load_model("domino(3, 1/2)"), mdp)
    assert same(io.load_model("domino(3)", "1/2"), mdp)
    monkeypatch.chdir(tmp_path)
    io.save(mdp, "mine.json")
    assert same(io.load_model("mine.json"), mdp)
    assert same(io.load_model(Path("mine.json")), mdp)
    io.save(mdp, "mine(2).npz")
    assert same(io.load_model("mine(2).npz"), mdp)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("frozen-lak", r"no file, and the zoo has no instance of that name. Did you mean frozen_lake\?\n  A model is"),
        ("domin(3)", "Did you mean domino"),
        ("missing.json", "missing.json: there is no such file"),
        ("folder/missing.npz", "there is no such file"),
        ("model.xyz", "no file"),
        ("", "no file"),
        ("x" * 5000, "no file"),
    ],
)
def test_a_text_that_names_nothing_says_what_is_near(tmp_path, monkeypatch, spec, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=message):
        io.load_model(spec)


def test_an_unknown_ending_is_refused(tmp_path):
    (tmp_path / "model.xyz").write_text("")
    for call in (lambda: io.load_model(tmp_path / "model.xyz"), lambda: io.save(zoo.loop(), tmp_path / "model.xyz")):
        with pytest.raises(ModelError, match=r"no format goes by the ending '\.xyz'; known are \.npz, \.json, \.csv"):
            call()


# Whole files


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "model.json"
    io.save(zoo.loop(), path)
    before = path.read_bytes()

    def fail(file):
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(path, fail)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.json"]
    with pytest.raises(ModelError, match="there is no folder"):
        io.save(zoo.loop(), tmp_path / "no" / "model.json")


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_cut_off_anywhere_is_refused_or_tells(tmp_path, ending):
    mdp = MDP([[["1/2", "1/2"], ["0", "1"]], [["1", "0"], ["1/4", "3/4"]]], [["10", "11"], ["12", "13"]], "1/2")
    path, cut = tmp_path / f"model{ending}", tmp_path / f"cut{ending}"
    io.save(mdp, path)
    whole = path.read_bytes()
    for size in range(0, len(whole) - 2, 1 if ending != ".npz" else 7):
        cut.write_bytes(whole[:size])
        with pytest.raises(ModelError, match="cut"):
            io.load(cut)


# Errors in JSON

GOOD = {
    "discount": "9/10",
    "states": 2,
    "transitions": [
        {"state": 0, "action": 0, "reward": 1, "to": {"0": "1/2", "1": "1/2"}},
        {"state": 1, "action": 0, "reward": "0", "to": {"1": 1}},
    ],
}


def without(key):
    return {k: v for k, v in GOOD.items() if k != key}


def pair(**changes):
    return {**GOOD, "transitions": [{**GOOD["transitions"][0], **changes}, GOOD["transitions"][1]]}


JSON = {
    "[]": ([], "a model is a JSON object, not list"),
    "unknown field": ({**GOOD, "dsicount": 1}, "unknown field 'dsicount'. Did you mean discount"),
    "another format": ({**GOOD, "format": "pomdp"}, "format 'pomdp'"),
    "no states": (without("states"), "states is null"),
    "no transitions": (without("transitions"), "transitions must be a list"),
    "no discount": (without("discount"), "no discount; write"),
    "discount 1": ({**GOOD, "discount": 1}, "discount is 1"),
    "a bool": ({**GOOD, "discount": True}, "discount is true; write a number"),
    "a bad fraction": ({**GOOD, "discount": "9/x"}, "discount: '9/x' is no number"),
    "a short start": ({**GOOD, "start": ["1"]}, r"start has shape \(1,\)"),
    "a start of words": ({**GOOD, "start": "first"}, "start must be a list"),
    "a pair without reward": ({**GOOD, "transitions": [{"state": 0, "action": 0, "to": {}}]}, r"transitions\[0\] must be an object"),
    "unknown state": (pair(state=2), r"transitions\[0\]: state is 2; it must be an index 0 .. 1"),
    "unknown successor": (pair(to={"2": 1}), r"successor is 2"),
    "a pair twice": (pair(state=1), "state 1, action 0 was there before"),
    "a successor twice": (pair(to={"1": "1/2", "01": "1/2"}), "successor '01' was there before"),
    "action 0 missing": (pair(action=1), "state 0 has an action 1 but no action 0"),
    "a leak": (pair(to={"0": "1/3", "1": "1/2"}), r"transitions\[0, 0\] \(state 0, action 0\) sums to 5/6, not 1"),
    "a state without action": ({**GOOD, "transitions": GOOD["transitions"][:1]}, "state 1 of 2 has no action"),
    "an unknown name": ({**GOOD, "states": ["home", "pit"], "transitions": [{**GOOD["transitions"][0], "state": "hom"}]}, "Did you mean home"),
}


@pytest.mark.parametrize("case", JSON)
def test_a_wrong_json_model_names_file_and_place(tmp_path, case):
    data, message = JSON[case]
    (tmp_path / "model.json").write_text(json.dumps(data))
    with pytest.raises(ModelError, match=message) as error:
        io.load(tmp_path / "model.json")
    assert "model.json" in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: this is no JSON.*cut off"),
        ('{"discount": 0.9,\n "states": 2,,\n}', "line 2: this is no JSON"),
        ('{"discount": NaN}', "NaN is no number for a model"),
        ('{"discount": 1e999, "states": 1, "transitions": [{"state": 0, "action": 0, "reward": 0, "to": {"0": 1}}]}', "1e999, too large"),
        ("[" * 100_000, "nested too deeply|no JSON"),
        ("\udcff", "not UTF-8"),
    ],
)
def test_text_that_is_no_json_names_the_line(tmp_path, text, message):
    (tmp_path / "model.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ModelError, match=message):
        io.load(tmp_path / "model.json")


def test_json_written_by_hand_mixes_decimals_and_fractions(tmp_path):
    """One exact number makes all of them exact, decimals as they are written."""
    data = pair(to={"0": 0.1, "1": "9/10"})
    (tmp_path / "model.json").write_text(json.dumps(data))
    assert io.load(tmp_path / "model.json").exact.choices[0].tolist() == [fmpq(1, 10), fmpq(9, 10)]
    assert io.from_json(data).exact.choices[0].tolist() == [fmpq(1, 10), fmpq(9, 10)]
    assert same(io.from_json(io.to_json(zoo.domino())), zoo.domino())
    floats = random.garnet(5, 2, 3, 0)
    assert same(io.from_json(io.to_json(floats)), floats)


# Errors in CSV

HEADER = "state,action,next_state,probability,reward\n"
CSV = {
    "empty": ("", "the file is empty"),
    "no header": ("0,0,0,1,0\n", "line 1: unknown column '0'"),
    "header only": ("# discount: 1/2\n" + HEADER, "there is no transition"),
    "missing column": ("state,action,probability\n0,0,1\n", "there is no column 'next_state'"),
    "misspelt column": ("state,action,next_sate\n", "line 1: unknown column 'next_sate'.* Did you mean next_state"),
    "a column twice": ("state,state,action,next_state\n", "line 1: a column is named twice"),
    "too few cells": ("# discount: 1/2\n" + HEADER + "0,0,0,1,0\n0,0,0\n", "line 4: there are 3 cells, the header has 5"),
    "no discount": (HEADER + "0,0,0,1,0\n", 'there is no discount; add a line "# discount: 9/10"'),
    "a word for a number": ("# discount: 1/2\n" + HEADER + "0,0,0,one,0\n", "line 3: probability is 'one'"),
    "an infinite reward": ("# discount: 1/2\n" + HEADER + "0,0,0,1,inf\n", "line 3: reward is inf; it must be finite"),
    "probability above 1": ("# discount: 1/2\n" + HEADER + "0,0,0,1.5,0\n", r"line 3: probability is 1.5; it must be in \[0, 1\]"),
    "a missing state": ("# discount: 1/2\n" + HEADER + "0,0,2,1,0\n2,0,0,1,0\n", "states go up to 2 but state 1 is missing"),
    "no action": ("# discount: 1/2\n" + HEADER + "0,0,1,1,0\n", "state 1 has no action; a terminal state needs a self-loop"),
    "no action, named": ("# discount: 1/2\n" + HEADER + "a,go,b,1,0\n", "state 'b' has no action"),
    "a gap": ("# discount: 1/2\n" + HEADER + "0,0,0,1,0\n0,1,0,1,0\n1,1,0,1,0\n", "state 1 has action 1 but not action 0 before it"),
    "a leak": ("# discount: 1/2\n" + HEADER + "0,0,0,9/10,0\n", "sums to 9/10, not 1"),
    "not in the list": (
        "# discount: 1/2\n# states: home, pit\n" + HEADER + "hom,0,pit,1,0\n",
        "state 'hom' is not in the list of states. Did you mean home",
    ),
    "a bad quote": ("# discount: 1/2\n" + HEADER + '0,0,"0,1,0\n', "line 3: this is no line of comma-separated cells"),
}


@pytest.mark.parametrize("case", CSV)
def test_a_wrong_csv_names_file_and_line(tmp_path, case):
    text, message = CSV[case]
    (tmp_path / "model.csv").write_text(text)
    with pytest.raises(ModelError, match=message) as error:
        io.load(tmp_path / "model.csv")
    assert "model.csv" in str(error.value)


def test_a_csv_of_the_simplest_form(tmp_path):
    """No probabilities, no rewards, names in order of appearance; lines of the same transition add up and rewards are averaged."""
    (tmp_path / "model.csv").write_text("# discount: 0.5\naction,state,next_state\ngo,a,b\ngo,b,b\n")
    mdp = io.load(tmp_path / "model.csv")
    assert (mdp.state_names, mdp.action_names, mdp.rewards.tolist()) == (("a", "b"), ("go",), [[0], [0]])
    (tmp_path / "model.csv").write_text("# discount: 0.5\n" + HEADER + "0,0,0,1/2,4\n0,0,0,1/2,2\n")
    assert io.load(tmp_path / "model.csv").exact.rewards.tolist() == [[fmpq(3)]]


# Errors in NPZ


def arrays(**changes):
    good = {
        "first_pair": [0, 1, 2],
        "indptr": [0, 1, 2],
        "indices": [0, 1],
        "data": [1.0, 1.0],
        "rewards": [0.0, 1.0],
        "discount": 0.5,
        "start": [0.5, 0.5],
    }
    return {key: np.array(value) for key, value in {**good, **changes}.items() if value is not None}


NPZ = {
    "missing array": (arrays(data=None), "the array 'data' is missing"),
    "no discount": (arrays(discount=None), "the array 'discount' is missing"),
    "row pointers too short": (arrays(indptr=[0, 2]), "do not fit together"),
    "falling row pointers": (arrays(indptr=[0, 3, 2]), "indptr must rise from 0 to 2"),
    "unknown successor": (arrays(indices=[0, 2]), "indices go from 0 to 2; there are 2 states"),
    "a leak": (arrays(data=[1.0, 0.5]), r"transitions\[1, 0\] \(state 1, action 0\) sums to 0.5"),
    "an exact leak": (arrays(data=["1", "1/2"]), "sums to 1/2"),
    "words": (arrays(data=["1", "x"]), "'x' is no number"),
}


@pytest.mark.parametrize("case", NPZ)
def test_a_wrong_npz_names_file_and_array(tmp_path, case):
    given_arrays, message = NPZ[case]
    np.savez(tmp_path / "model.npz", **given_arrays)
    with pytest.raises(ModelError, match=message) as error:
        io.load(tmp_path / "model.npz")
    assert "model.npz" in str(error.value)


def test_npz_files_with_pickles_are_refused(tmp_path):
    np.savez(tmp_path / "model.npz", **arrays(data=np.array([1, None], dtype=object)))
    with pytest.raises(ModelError, match=r"no complete \.npz"):
        io.load(tmp_path / "model.npz")
    np.save(tmp_path / "single.npy", np.ones(3))
    (tmp_path / "single.npy").rename(tmp_path / "single.npz")
    with pytest.raises(ModelError, match="single array"):
        io.load(tmp_path / "single.npz")


# Gymnasium


class Table:
    """An environment with a table and nothing else, as far as `from_gymnasium` looks."""

    def __init__(self, table, initial=None):
        self.P, self.unwrapped = table, self
        if initial is not None:
            self.initial_state_distrib = np.array(initial)


def test_done_makes_a_state_absorbing_where_every_way_into_it_is_done():
    table = {0: {0: [(0.5, 0, 1.0, False), (0.5, 1, 4.0, True)]}, 1: {0: [(1.0, 0, 9.0, False)]}}
    mdp = io.from_gymnasium(Table(table, [1, 0]), 0.5)
    assert mdp.transitions[:, 0].tolist() == [[0.5, 0.5], [0, 1]]
    assert mdp.rewards.tolist() == [[2.5], [0]]
    assert mdp.start.tolist() == [1, 0]


def test_done_leads_to_an_added_end_where_the_state_is_also_passed_through():
    table = {0: {0: [(1.0, 1, 4.0, True)], 1: [(1.0, 1, 0.0, False)]}, 1: {0: [(1.0, 0, 9.0, False)], 1: [(1.0, 1, 1.0, False)]}}
    mdp = io.from_gymnasium(Table(table), 0.5)
    assert mdp.state_names[-1] == "end"
    assert mdp.transitions[0, 0].tolist() == [0, 0, 1]
    assert mdp.transitions[2, :, 2].tolist() == [1, 1]
    assert mdp.rewards.tolist() == [[4, 0], [9, 1], [0, 0]]
    assert mdp.start.tolist() == [1 / 3] * 3


def test_a_state_where_episodes_start_is_no_end():
    table = {0: {0: [(1.0, 0, 4.0, True)]}}
    assert io.from_gymnasium(Table(table, [1.0]), 0.5).rewards.tolist() == [[4], [0]]


def test_gymnasium_ids():
    pytest.importorskip("gymnasium")
    assert io.load_model("gym:FrozenLake8x8-v1").num_states == 64
    assert io.load_model("gym:Taxi", "1/2").discount == 0.5
    assert io.load_model("gym:CliffWalking-v1").start[36] == 1
    for spec, message in (("gym:FrozenLak-v1", "Did you mean FrozenLake-v1"), ("gym:CartPole-v1", "no transition table"), ("gym:Taxi-v99", "Taxi-v")):
        with pytest.raises(ModelError, match=message):
            io.load_model(spec)
    with pytest.raises(ModelError, match="could not be made"):
        io.from_gymnasium("FrozenLake-v1", colour="blue")


def test_without_gymnasium_the_error_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(ModelError, match=r'needs the package gymnasium: pip install "pgtheory\[gym\]"'):
        io.load_model("gym:Taxi")


def test_broken_tables_are_refused():
    with pytest.raises(ModelError, match=r"transitions\[0, 0\].*sums to 0.9"):
        io.from_gymnasium(Table({0: {0: [(0.9, 0, 0.0, False)]}}), 0.5)
    assert scipy.sparse.issparse(io.load_model("taxi").choices)
