"""FiniteHorizon: what it refuses, its exact and float faces, and its unrolling."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse
from flint import fmpq
from hypothesis import given
from hypothesis import strategies as st

from mdps import FiniteHorizon, ModelError, random, strategies, zoo

P = np.full((2, 1, 3), 1 / 3)
Q = np.ones((3, 2, 1))


def problem(**changes):
    given_fields = {"transitions": [P, Q], "rewards": [np.ones((2, 1)), np.zeros((3, 2))], "terminal": [5.0], **changes}
    return FiniteHorizon(given_fields.pop("transitions"), given_fields.pop("rewards"), **given_fields)


def value(problem) -> list:
    """V_0 by the definition, in the arithmetic of the problem's arrays."""
    values = problem.terminal
    for stage in reversed(problem.stages):
        rows = stage.choices if isinstance(stage.choices, np.ndarray) else stage.choices.toarray()
        backed_up = stage.pair_rewards + problem.discount * (rows @ values)
        values = np.array(
            [max(backed_up[low:high]) for low, high in zip(stage.first_pair[:-1], stage.first_pair[1:], strict=True)], dtype=backed_up.dtype
        )
    return values.tolist()


@st.composite
def problems(draw):
    exact = draw(st.booleans())
    mdp = draw(strategies.mdps(ragged=True, exact=exact))
    terminal = draw(st.one_of(st.none(), st.lists(st.integers(-3, 3), min_size=mdp.num_states, max_size=mdp.num_states)))
    discount = draw(st.sampled_from([1, 1.0, "9/10", 0, 2]))
    return FiniteHorizon.from_mdp(mdp, draw(st.integers(1, 4)), terminal, discount)


@given(problems())
def test_pickles_are_the_same_problem(original):
    twin = pickle.loads(pickle.dumps(original))
    assert (twin.digest(), twin.exact.digest(), twin.given_exactly) == (original.digest(), original.exact.digest(), original.given_exactly)
    assert pickle.loads(pickle.dumps(original.exact)).digest() == original.exact.digest()
    assert original.exact.float is original


@given(mdp=strategies.mdps(ragged=True), horizon=st.integers(1, 4), discount=strategies.discounts(), data=st.data())
def test_the_unrolled_mdp_has_the_same_values(mdp, horizon, discount, data):
    """In rationals: backward induction against value iteration of the unrolled model, which is exact after horizon + 1 sweeps."""
    terminal = data.draw(st.lists(strategies.fractions(-1, 1), min_size=mdp.num_states, max_size=mdp.num_states))
    original = FiniteHorizon.from_mdp(mdp, horizon, terminal, discount)
    unrolled = original.unrolled().exact
    values = np.array([fmpq(0)] * unrolled.num_states, dtype=object)
    rows = unrolled.choices if isinstance(unrolled.choices, np.ndarray) else unrolled.choices.toarray()
    for _ in range(horizon + 1):
        backed_up = unrolled.pair_rewards + unrolled.discount * (rows @ values)
        values = np.array([max(backed_up[a:b]) for a, b in zip(unrolled.first_pair[:-1], unrolled.first_pair[1:], strict=True)], dtype=object)
    assert values[: mdp.num_states].tolist() == value(original.exact)
    assert unrolled.start[: mdp.num_states].tolist() == original.exact.start.tolist()


def test_states_and_actions_may_change_from_step_to_step():
    made = problem()
    assert [stage.num_states for stage in made.stages] == [2, 3]
    assert [stage.num_actions for stage in made.stages] == [1, 2]
    assert made.exact.stages[0].transitions[0, 0].tolist() == [fmpq(1, 3)] * 3
    assert value(made) == [6, 6]
    assert repr(made) == "FiniteHorizon(2 steps, 2 to 3 states, discount 1.0)"
    assert made.start.tolist() == [0.5, 0.5]


def test_one_exact_number_makes_all_exact():
    for changes in ({"terminal": ["1/3"]}, {"discount": "1/3"}, {"start": ["1/3", "2/3"]}, {"rewards": [np.ones((2, 1)), [["1/3", "0"]] * 3]}):
        made = problem(**changes)
        assert made.given_exactly
        assert all(stage.pair_rewards.dtype == object and stage.choices.dtype == object for stage in made.exact.stages)
        assert all(stage.pair_rewards.dtype == stage.choices.dtype == np.float64 for stage in made.stages)
    assert problem().exact.start.tolist() == [fmpq(1, 2)] * 2


def test_a_repeated_step_is_stored_once():
    assert len({id(stage) for stage in FiniteHorizon.from_mdp(zoo.taxi(), 1000).stages}) == 1
    assert len({id(stage) for stage in FiniteHorizon.from_mdp(zoo.taxi(), 1000).exact.stages}) == 1


def test_compressed_stages():
    mdp = random.garnet(50, 3, 4, 1, sparse=True)
    sparse, dense = (FiniteHorizon.from_mdp(m, 3) for m in (mdp, random.garnet(50, 3, 4, 1)))
    assert not isinstance(sparse.stages[0].choices, np.ndarray)
    assert sparse.digest() == dense.digest()
    assert sparse.exact.digest() == dense.exact.digest()
    assert sparse.unrolled(0.5).digest() == dense.unrolled(0.5).digest()


def test_nothing_can_be_written():
    made = problem()
    for array in (made.terminal, made.start, made.stages[0].choices, made.stages[1].pair_rewards, made.exact.terminal, made.exact.stages[0].choices):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    for change in (lambda: setattr(made, "discount", 1), lambda: delattr(made, "start")):
        with pytest.raises(AttributeError, match="does not change"):
            change()


def test_input_is_copied():
    moves, paid, last = [P.copy(), Q.copy()], [np.ones((2, 1)), np.zeros((3, 2))], np.array([5.0])
    made = FiniteHorizon(moves, paid, last)
    before = made.digest()
    for array in (*moves, *paid, last):
        array[...] = 7
    assert made.digest() == before
    assert moves[0].flags.writeable


LEAK = Q.copy()
LEAK[2, 1] = 0.9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transitions": [], "rewards": []}, "horizon must be at least 1"),
        ({"rewards": [np.ones((2, 1))]}, "one array for each step"),
        ({"rewards": 3}, "one array for each step"),
        ({"transitions": [P[0], Q]}, r"step 0: transitions has shape \(1, 3\)"),
        ({"transitions": [Q, P]}, "step 0: rewards has shape"),
        ({"transitions": [P, np.ones((4, 2, 1))], "rewards": [np.ones((2, 1)), np.zeros((4, 2))]}, "step 0 leads to 3 states, step 1 has 4"),
        ({"transitions": [P, LEAK]}, r"step 1: transitions\[2, 1\] \(state 2, action 1\) sums to 0.9, not 1"),
        ({"transitions": [P, LEAK], "terminal": ["1/2"]}, r"step 1: transitions\[2, 1\].*sums to 0.9"),
        ({"transitions": [P * np.nan, Q]}, r"step 0: transitions\[0, 0, 0\].* is nan"),
        ({"rewards": [np.full((2, 1), np.inf), np.zeros((3, 2))]}, r"step 0: rewards\[0, 0\].* is inf"),
        ({"terminal": [1.0, 2.0]}, r"terminal has shape \(2,\); there are 1 state"),
        ({"terminal": [np.nan]}, r"terminal\[0\] is nan"),
        ({"start": [1.0]}, r"start has shape \(1,\); there are 2 states"),
        ({"start": [0.5, 0.4]}, "start sums to 0.9"),
        ({"discount": -1}, "discount is -1"),
        ({"discount": np.inf}, "discount is inf"),
        ({"discount": "x"}, "'x' is no number"),
        ({"state_names": ["a", "b"]}, "state_names has 2 names; the steps have 1 or 2 or 3 states"),
    ],
)
def test_bad_input_names_the_step_and_the_place(changes, message):
    with pytest.raises(ModelError, match=message):
        problem(**changes)


def test_bad_stages_and_horizons_raise():
    with pytest.raises(ModelError, match="horizon is 0"):
        FiniteHorizon.from_mdp(zoo.loop(), 0)
    with pytest.raises(ModelError, match="horizon must be at least 1"):
        FiniteHorizon.from_stages([])
    with pytest.raises(ModelError, match="step 1: state 0 has no action"):
        FiniteHorizon.from_stages([([0, 1], np.eye(1), [0.0]), ([0, 0], np.zeros((0, 1)), [])])
    with pytest.raises(ModelError, match="discount is 1"):
        problem().unrolled()
    assert problem().unrolled(0.5).num_states == 2 + 3 + 1 + 1
    assert FiniteHorizon.from_stages([([0, 1], scipy.sparse.csr_array(np.eye(1)), [0.0])]).horizon == 1
