"""PRISM and Storm explicit files, and the benchmark set's compact form."""

from __future__ import annotations

import pickle
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from flint import fmpq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdps import MDP, Labelled, ModelError, Objective, io, random, strategies, zoo
from mdps.rational import fraction, rational_array

QVBS = Path(__file__).parent.parent / "data" / "qvbs"
MODELS = sorted(path.stem for path in QVBS.glob("*.npz"))
FILES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)


def same_numbers(a, b) -> bool:
    return [Fraction(str(x)) for x in np.asarray(a).tolist()] == [Fraction(str(x)) for x in np.asarray(b).tolist()]


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder / "model.tra"


@st.composite
def labelled(draw):
    mdp = draw(strategies.mdps(ragged=True, exact=draw(st.booleans()), start="uniform"))
    support = draw(st.lists(st.booleans(), min_size=mdp.num_states, max_size=mdp.num_states).filter(any))
    start = [Fraction(int(s), sum(support)) for s in support]
    mdp = mdp.replace(start=start if mdp.given_exactly else [float(x) for x in start], discount=0, rewards=np.zeros(mdp.num_pairs))
    masks = st.lists(st.booleans(), min_size=mdp.num_states, max_size=mdp.num_states).map(np.array)
    figures = strategies.fractions(-2, 2) if mdp.given_exactly else st.floats(-1e6, 1e6)
    rewards = st.lists(figures, min_size=mdp.num_pairs, max_size=mdp.num_pairs).map(lambda x: rational_array(x) if mdp.given_exactly else np.array(x))
    labels = draw(st.dictionaries(st.sampled_from(["done", "a b", "x"]), masks, max_size=2))
    return Labelled(mdp, labels, draw(st.dictionaries(st.sampled_from(["time", "cost", "r 1"]), rewards, max_size=3)))


@FILES
@pytest.mark.parametrize("storm", [False, True])
@given(model=labelled())
def test_writing_and_reading_give_the_same_model(tmp_path, storm, model):
    if storm and any(" " in name for name in model.labels):
        model = Labelled(model.mdp, {name.replace(" ", "_"): mask for name, mask in model.labels.items()}, model.rewards)
    path = fresh(tmp_path / "files")
    written = io.write_prism(model, path, storm=storm)
    assert sorted(path.parent.iterdir()) == sorted(written)
    twin = io.read_prism(path)
    assert twin.mdp.digest() == model.mdp.digest()
    assert twin.mdp.exact.digest() == model.mdp.exact.digest()
    assert {name: mask.tolist() for name, mask in twin.labels.items() if name != "init"} == {k: v.tolist() for k, v in model.labels.items()}
    assert list(twin.rewards) == list(model.rewards)
    for name, paid in model.rewards.items():
        assert same_numbers(twin.rewards[name], [float(fraction(r)) for r in paid] if storm else paid)


@FILES
@given(mdp=st.one_of(strategies.mdps(ragged=True, start="uniform"), strategies.mdps(ragged=True, start="uniform", exact=False, rewards=(-1e9, 1e9))))
def test_an_mdp_survives_with_its_discount_given(tmp_path, mdp):
    path = fresh(tmp_path / "files")
    io.save(mdp, path)
    twin = io.load(path, mdp.exact.discount if mdp.given_exactly else mdp.discount)
    assert twin.digest() == mdp.digest()
    assert twin.exact.digest() == mdp.exact.digest()


@pytest.mark.parametrize("name", MODELS)
def test_benchmark_models_survive(tmp_path, name):
    model = io.read_qvbs(QVBS / f"{name}.npz")
    io.write_prism(model, tmp_path / f"{name}.tra")
    twin = io.read_prism(tmp_path / f"{name}.tra")
    assert twin.mdp.exact.digest() == model.mdp.exact.digest()
    assert all((twin.labels[label] == model.labels[label]).all() for label in model.labels)
    assert all(same_numbers(twin.rewards[key], model.rewards[key]) for key in model.rewards)


@pytest.mark.parametrize("name", MODELS)
def test_benchmark_models_are_exact_and_carry_their_questions(name):
    exact, floats = (io.read_qvbs(QVBS / f"{name}.npz", exact=kind) for kind in (True, False))
    assert exact.mdp.given_exactly
    assert not floats.mdp.given_exactly
    np.testing.assert_allclose(exact.mdp.choices.data, floats.mdp.choices.data, rtol=np.finfo(float).eps)
    assert exact.objectives
    for objective in exact.objectives.values():
        assert objective.value is not None
        assert objective.targets.any()
        assert objective.rewards is None or objective.rewards in exact.rewards


def test_state_names_and_action_names_survive(tmp_path):
    mdp = MDP([[[1, 0], [0, 1]], [[0, 1], [1, 0]]], [[0, 1], [2, 3]], "1/2", state_names=["x=0,y=-1", "x=1,y=true"], action_names=["stay", "go"])
    io.write_prism(mdp, tmp_path / "model.tra")
    assert (tmp_path / "model.sta").read_text() == "(x,y)\n0:(0,-1)\n1:(1,true)\n"
    twin = io.read_prism(tmp_path / "model").mdp
    assert (twin.state_names, twin.action_names) == (mdp.state_names, mdp.action_names)


# Files as the model checkers write them

PRISM = {
    "dice.tra": "3 4 5\n0 0 1 0.5 throw\n0 0 2 0.5 throw\n0 1 0 1 wait\n1 0 1 1\n2 0 2 1\n",
    "dice.sta": "(s,d)\n0:(0,0)\n1:(1,1)\n2:(1,2)\n",
    "dice.lab": '0="init" 1="deadlock" 2="done"\n0: 0\n1: 2\n2: 1 2\n',
    "dice1.srew": '# Reward structure "time"\n# State rewards\n3 1\n0 2\n',
    "dice1.trew": '# Reward structure "time"\n# Transition rewards\n3 4 1\n0 0 1 4\n',
    "dice2.srew": "3 2\n1 1/3\n2 1\n",
}
STORM = {
    "dice.tra": "mdp\n0 0 1 0.5\n0 0 2 0.5\n0 1 0 1\n1 0 1 1\n2 0 2 1\n",
    "dice.lab": "#DECLARATION\ninit deadlock done\n#END\n0 init\n1 done\n2 deadlock done\n",
    "dice.srew": "0 2\n",
    "dice.trew": "0 0 1 4\n",
}


def put(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder / "dice.tra"


def test_prisms_dialect(tmp_path):
    model = io.read_prism(put(tmp_path, PRISM))
    assert model.mdp.first_pair.tolist() == [0, 2, 3, 4]
    assert model.mdp.state_names == ("s=0,d=0", "s=1,d=1", "s=1,d=2")
    assert model.label("done").tolist() == [False, True, True]
    assert model.rewards["time"].tolist() == [2 + 0.5 * 4, 2, 0, 0]
    assert model.rewards["rewards2"].tolist() == [0, 0, fmpq(1, 3), 1]
    assert model.mdp.start.tolist() == [1, 0, 0]
    assert model.mdp.action_names is None
    discounted = model.discounted("9/10", "rewards2")
    assert discounted.exact.pair_rewards.tolist() == [0, 0, fmpq(1, 3), 1]
    with pytest.raises(ModelError, match="reward structures time, rewards2; name one"):
        io.load(tmp_path / "dice.tra", 0.9)
    with pytest.raises(ModelError, match="no discount"):
        io.load(tmp_path / "dice.tra")


def test_storms_dialect(tmp_path):
    model = io.read_prism(put(tmp_path, STORM))
    assert model.rewards["rewards"].tolist() == [4, 2, 0, 0]
    assert model.labels["deadlock"].tolist() == [False, False, True]
    assert io.load(tmp_path / "dice.tra", "9/10").pair_rewards.tolist() == [4, 2, 0, 0]


@pytest.mark.parametrize("head", ["3 4", "dtmc"])
def test_markov_chains(tmp_path, head):
    files = {"dice.tra": f"{head}\n0 1 0.25\n0 2 0.75\n1 1 1\n2 0 1\n", "dice.trew": "0 1 8\n2 0 1\n"}
    model = io.read_prism(put(tmp_path, files))
    assert model.mdp.num_pairs == 3
    assert model.mdp.choices[0].tolist() == [0, 0.25, 0.75]
    assert model.rewards["rewards"].tolist() == [2, 0, 1]


def test_deadlocks_are_refused_or_get_a_loop(tmp_path):
    path = put(tmp_path, {"dice.tra": "2 1 1\n0 0 1 1\n"})
    with pytest.raises(ModelError, match=r'dice.tra: state 1 has no choice.*deadlocks="loop"'):
        io.read_prism(path)
    assert io.read_prism(path, deadlocks="loop").mdp.choices.tolist() == [[0, 1], [0, 1]]
    with pytest.raises(ModelError, match="deadlocks is 'drop'"):
        io.read_prism(path, deadlocks="drop")


TRA = "2 2 3\n0 0 0 0.5\n0 0 1 0.5\n1 0 1 1\n"
BROKEN = {
    "empty": ({"dice.tra": ""}, "dice.tra: the file is empty"),
    "no header": ({"dice.tra": "states\n"}, "dice.tra, line 1: the first line is 'states'"),
    "cut off": ({"dice.tra": TRA[:-8]}, "dice.tra, line 1: 3 transitions are announced, 2 follow"),
    "cut in a line": ({"dice.tra": TRA[:-4]}, "dice.tra, line 4: there are 2 figures"),
    "too many figures": ({"dice.tra": "2 2 1\n0 0 0 1 go 3\n"}, "line 2: there are 6 figures"),
    "a word": ({"dice.tra": TRA.replace("0 0 1 0.5", "0 0 one 0.5")}, "line 3: the successor is 'one'; it must be a whole number"),
    "state out of range": ({"dice.tra": TRA.replace("0 0 1 0.5", "0 0 2 0.5")}, "line 3: the successor is 2; it must be at most 1"),
    "probability above 1": ({"dice.tra": TRA.replace("0 0 1 0.5", "0 0 1 1.5")}, r"line 3: the probability is 1.5; it must be in \[0, 1\]"),
    "probability nan": ({"dice.tra": TRA.replace("0 0 1 0.5", "0 0 1 nan")}, "line 3: the probability is nan; it must be finite"),
    "a leak": ({"dice.tra": TRA.replace("0 0 1 0.5", "0 0 1 0.4")}, r"dice.tra: transitions\[0, 0\] \(state 0, action 0\) sums to 0.9"),
    "a transition twice": ({"dice.tra": TRA.replace("0 0 1 0.5", "0 0 0 0.5")}, "line 3: state 0, choice 0, successor 0 was there before"),
    "a missing choice": ({"dice.tra": TRA.replace("0 0 ", "0 1 ")}, "line 3: state 0 has choice 1 but not choice 0"),
    "wrong number of choices": ({"dice.tra": TRA.replace("2 2 3", "2 3 3")}, "line 1: 3 choices are announced, 2 follow"),
    "labels empty": ({"dice.tra": TRA, "dice.lab": ""}, "dice.lab: the file is empty"),
    "labels undeclared": ({"dice.tra": TRA, "dice.lab": '0="init"\n0: 1\n'}, "dice.lab, line 2: label 1 is not declared in line 1"),
    "labels without declaration": ({"dice.tra": TRA, "dice.lab": "0: 0\n"}, "dice.lab, line 1: the first line must declare"),
    "labels without colon": ({"dice.tra": TRA, "dice.lab": '0="init"\n0 0\n'}, "dice.lab, line 2: '0 0' is not of the form"),
    "labels of another model": ({"dice.tra": TRA, "dice.lab": '0="init"\n7: 0\n'}, "dice.lab, line 2: the state is 7"),
    "labels without init": ({"dice.tra": TRA, "dice.lab": '0="init"\n'}, "dice.lab: no state carries the label init"),
    "storm labels cut off": ({"dice.tra": TRA, "dice.lab": "#DECLARATION\ninit\n"}, "dice.lab, line 1: #DECLARATION has no #END"),
    "storm labels undeclared": (
        {"dice.tra": TRA, "dice.lab": "#DECLARATION\ninit\n#END\n0 done\n"},
        "dice.lab, line 4: label 'done' is not declared",
    ),
    "states cut off": ({"dice.tra": TRA, "dice.sta": "(x)\n0:(0)\n"}, "dice.sta: state 1 is missing"),
    "states without variables": ({"dice.tra": TRA, "dice.sta": "0:(0)\n"}, "dice.sta, line 1: the first line must list the variables"),
    "states with too few values": ({"dice.tra": TRA, "dice.sta": "(x,y)\n0:(0)\n"}, "dice.sta, line 2: there are 1 values for 2 variables"),
    "states of another form": ({"dice.tra": TRA, "dice.sta": "(x)\n0=(0)\n"}, "dice.sta, line 2: '0=\\(0\\)' is not of the form"),
    "state rewards cut off": ({"dice.tra": TRA, "dice.srew": "2 2\n0 1\n"}, "dice.srew, line 1: 2 entries are announced, 1 follow"),
    "state reward infinite": ({"dice.tra": TRA, "dice.srew": "0 inf\n"}, "dice.srew, line 1: the reward is inf; it must be finite"),
    "state rewards too wide": ({"dice.tra": TRA, "dice.srew": "0 1 2\n"}, "dice.srew, line 1: there are 3 figures"),
    "transition rewards cut off": ({"dice.tra": TRA, "dice.trew": "2 2 1\n"}, "dice.trew, line 1: 1 entries are announced, 0 follow"),
    "transition reward for a choice that is not there": ({"dice.tra": TRA, "dice.trew": "0 1 0 1\n"}, "dice.trew, line 1: the choice is 1"),
    "transition reward for a transition that is not there": (
        {"dice.tra": TRA, "dice.trew": "1 0 0 1\n"},
        "transition to state 0 that dice.tra does not have",
    ),
    "two structures of one name": (
        {"dice.tra": TRA, "dice1.srew": '# Reward structure "r"\n0 1\n', "dice2.srew": '# Reward structure "r"\n0 1\n'},
        "two reward structures 'r'",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_names_file_line_and_figure(tmp_path, case):
    files, message = BROKEN[case]
    with pytest.raises(ModelError, match=message):
        io.read_prism(put(tmp_path, files))


def test_what_the_format_cannot_say_is_refused(tmp_path):
    with pytest.raises(ModelError, match="not uniform"):
        io.save(random.dirichlet(2, 2, 0, start="random"), tmp_path / "model.tra")
    with pytest.raises(ModelError, match="has a blank"):
        io.save(zoo.taxi(), tmp_path / "model.tra")
    with pytest.raises(ModelError, match="cannot be written"):
        io.write_prism(Labelled(zoo.loop(), {"a b": np.array([True, False])}), tmp_path / "model.tra", storm=True)
    with pytest.raises(ModelError, match="there is no such file"):
        io.read_prism(tmp_path / "missing.tra")


def test_files_of_another_model_are_not_mixed_in(tmp_path):
    io.write_prism(Labelled(zoo.loop(), {}, {"a": np.ones(4), "b": np.ones(4)}), tmp_path / "model.tra")
    with pytest.raises(ModelError, match=r"model1\.trew is there already and would be read as a part of model\.tra"):
        io.save(zoo.loop(), tmp_path / "model.tra")


@pytest.mark.peer
@pytest.mark.parametrize("name", MODELS)
def test_storm_reads_what_is_written_and_finds_the_published_values(tmp_path, name):
    """Storm stops at a relative precision of 1e-6 by its own rule, which is no bound (1e-4 is what it keeps on these models)."""
    stormpy = pytest.importorskip("stormpy")
    model = io.read_qvbs(QVBS / f"{name}.npz")
    for key, objective in model.objectives.items():
        if objective.through is not None and not objective.through.all():
            continue
        rewards = {} if objective.rewards is None else {objective.rewards: model.rewards[objective.rewards]}
        (tmp_path / key).mkdir()
        tra = io.write_prism(Labelled(model.mdp, {"goal": objective.targets}, rewards), tmp_path / key / "model.tra", storm=True)[0]
        theirs = stormpy.build_model_from_explicit(
            str(tra), str(tra.with_suffix(".lab")), **({"transition_rewards": str(tra.with_suffix(".trew"))} if rewards else {})
        )
        question = stormpy.parse_properties(f'{"R" if rewards else "P"}{objective.direction}=? [F "goal"]')[0]
        found = stormpy.model_checking(theirs, question).get_value(theirs.initial_states[0])
        assert found == pytest.approx(float(objective.value), rel=1e-4)


# Labelled models


def test_labelled_models_check_their_parts():
    mdp = zoo.loop()
    model = Labelled(mdp, {"done": np.array([False, True])}, {"time": [1, 1, 0, 0]}, {"p": Objective("reachability", "max", np.array([False, True]))})
    assert repr(model) == f"Labelled({mdp!r}; labels done; rewards time)"
    twin = pickle.loads(pickle.dumps(model))
    assert twin.mdp.digest() == mdp.digest()
    assert twin.objectives["p"].direction == "max"
    assert model.discounted("1/2").exact.pair_rewards.tolist() == [1, 1, 0, 0]
    assert Labelled(mdp).discounted("1/2").exact.discount == fmpq(1, 2)
    with pytest.raises(TypeError):
        model.labels["new"] = np.array([True, True])
    with pytest.raises(ValueError, match="read-only"):
        model.rewards["time"][0] = 5
    for call, message in (
        (lambda: model.label("don"), "no label 'don'. Did you mean done"),
        (lambda: Labelled(mdp).label("x"), "It has none"),
        (lambda: model.discounted(0.5, "tiem"), "Did you mean time"),
        (lambda: Labelled(mdp, {"x": np.array([True])}), r"label 'x' has shape \(1,\)"),
        (lambda: Labelled(mdp, {"x": np.array([1, 0])}), "one boolean for each"),
        (lambda: Labelled(mdp, {}, {"r": [1, 2]}), r"reward structure 'r' has shape \(2,\); there are 4 pairs"),
        (lambda: Labelled(mdp, {}, {"r": [1, 2, np.inf, 0]}), 'state 1 "outside", action 0 is inf'),
        (lambda: Labelled(mdp, {}, {}, {"p": Objective("total reward", "max", np.array([True, True]), rewards="r")}), "no reward structure 'r'"),
        (lambda: Objective("reach", "max", np.array([True])), "kind is 'reach'"),
        (lambda: Objective("reachability", "up", np.array([True])), "direction is 'up'"),
        (lambda: Objective("reachability", "max", np.array([True]), rewards="r"), "a reachability has none"),
        (lambda: Objective("total reward", "max", np.array([True]), np.array([True]), "r"), "no restriction"),
    ):
        with pytest.raises(ModelError, match=message):
            call()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"col": None}, "the array 'col' is missing"),
        ({"val_idx": np.array([9, 9, 9])}, "val_idx goes up to 9"),
        ({"init": np.array([5])}, r"init is \[5\]"),
        ({"psi_done": np.packbits(np.ones(40, dtype=bool))}, "psi_done has 40 bits for 2 states"),
        ({"prob_num": np.array([1, 1])}, "sums to 2, not 1"),
    ],
)
def test_broken_benchmark_files_say_where(tmp_path, change, message):
    arrays = {
        "state_ptr": np.array([0, 1, 2]),
        "choice_ptr": np.array([0, 2, 3]),
        "col": np.array([0, 1, 1]),
        "val_idx": np.array([0, 0, 1]),
        "prob_num": np.array([1, 1]),
        "prob_den": np.array([2, 1]),
        "init": np.array([0]),
        "psi_done": np.packbits([False, True]),
    }
    if "prob_num" in change:
        arrays["prob_den"] = np.array([1, 1])
    arrays = {key: value for key, value in {**arrays, **change}.items() if value is not None}
    np.savez(tmp_path / "model.npz", **arrays)
    with pytest.raises(ModelError, match=message):
        io.read_qvbs(tmp_path / "model.npz")
