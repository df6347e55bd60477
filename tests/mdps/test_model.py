"""The MDP class: what it refuses and how it says so, that it never changes, and that its float and exact faces are one model."""

from __future__ import annotations

import copy
import pickle
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse
from flint import fmpq
from hypothesis import given
from hypothesis import strategies as st

from mdps import MDP, ModelError, strategies
from mdps.rational import fraction, rational_array
from mdps.rows import SparseRows

P = np.array([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.25, 0.75]]])
R = np.array([[1.0, 0.0], [2.0, -1.0]])


def model(**changes) -> MDP:
    given = {"transitions": P, "rewards": R, "discount": 0.9, **changes}
    return MDP(given.pop("transitions"), given.pop("rewards"), given.pop("discount"), **given)


def same(a: MDP, b: MDP) -> bool:
    return a.digest() == b.digest() and a.exact.digest() == b.exact.digest()


# What it refuses

LEAK = P.copy()
LEAK[1, 1, 0] -= 0.02
NEGATIVE = P.copy()
NEGATIVE[0, 1] = [-0.5, 1.5]


def changed(array: np.ndarray, index: tuple[int, ...], value: float) -> np.ndarray:
    out = array.copy()
    out[index] = value
    return out


REFUSED = {
    "transitions of 2 dimensions": ({"transitions": P[:, 0]}, r"shape \(2, 2\)"),
    "successors are not states": ({"transitions": P[:, :, :1]}, r"shape \(2, 2, 1\)"),
    "no state": ({"transitions": np.zeros((0, 2, 0)), "rewards": np.zeros((0, 2))}, "no state"),
    "no action": ({"transitions": np.zeros((2, 0, 2)), "rewards": np.zeros((2, 0))}, "state 0 has no action"),
    "ragged lists": ({"transitions": [[[1.0]], [[1.0, 0.0]]]}, "not a rectangular array"),
    "words": ({"transitions": [[["a"]]], "rewards": [[1]]}, "'a' is no number"),
    "rewards of another shape": ({"rewards": np.zeros((2, 3))}, r"rewards has shape \(2, 3\)"),
    "NaN probability": ({"transitions": changed(P, (1, 0, 1), np.nan)}, r"transitions\[1, 0, 1\].*nan"),
    "infinite probability": ({"transitions": changed(P, (0, 1, 0), np.inf)}, r"transitions\[0, 1, 0\].*inf"),
    "NaN reward": ({"rewards": changed(R, (1, 0), np.nan)}, r"rewards\[1, 0\].*nan"),
    "infinite reward": ({"rewards": changed(R, (0, 1), -np.inf)}, r"rewards\[0, 1\].*inf"),
    "infinite transition reward": ({"rewards": changed(P, (0, 1, 0), np.inf)}, r"rewards\[0, 1, 0\] is inf"),
    "negative probability": ({"transitions": NEGATIVE}, r"transitions\[0, 1, 0\] .*is -0\.5"),
    "row off by 0.02": ({"transitions": LEAK}, r"transitions\[1, 1\] \(state 1, action 1\) sums to 0\.98, not 1; .*1e-09.\n.*missing 0\.02"),
    "row off by 1e-3": ({"transitions": changed(P, (0, 0, 0), 1.001)}, r"sums to 1\.001, not 1.*too large by 0\.001"),
    "row off by 1.1e-9": ({"transitions": changed(P, (0, 0, 0), 1 - 1.1e-9)}, "sums to 0.9999999989"),
    "discount below 0": ({"discount": -0.1}, r"discount is -0\.1; it must be in \[0, 1\)"),
    "discount 1": ({"discount": 1.0}, "total reward or average reward"),
    "discount above 1": ({"discount": 1.5}, r"discount is 1\.5"),
    "discount NaN": ({"discount": np.nan}, "discount is nan"),
    "discount infinite": ({"discount": np.inf}, "discount is inf"),
    "discount a list": ({"discount": [0.9, 0.8]}, "one number in"),
    "discount a word": ({"discount": "high"}, "'high' is no number"),
    "discount 1 in floats": ({"discount": Fraction(10**20 - 1, 10**20)}, "float64 cannot tell from 1"),
    "start of another length": ({"start": [1.0]}, r"start has shape \(1,\)"),
    "start leaks": ({"start": [0.5, 0.4]}, r"start sums to 0\.9, not 1"),
    "start negative": ({"start": [1.5, -0.5]}, r"start\[1\] \(state 1\) is -0\.5"),
    "start NaN": ({"start": [np.nan, 1.0]}, r"start\[0\] is nan"),
    "exact row off by 1/1000000000000": (
        {"transitions": [[["1", "0"], ["1/2", "1/2"]], [["0", "1"], ["1/4", "749999999999/1000000000000"]]]},
        "exact rows must sum to exactly 1",
    ),
    "exact negative": ({"transitions": [[["2", "-1"], ["1", "0"]], [["0", "1"], ["1", "0"]]]}, "is -1; a probability"),
    "exact discount 1": ({"discount": "1"}, "discount is 1"),
    "too few state names": ({"state_names": ["a"]}, "1 names for 2 states"),
    "too many action names": ({"action_names": ["a", "b", "c"]}, "3 names for 2 actions"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_raises_model_error_that_names_the_place(case):
    changes, message = REFUSED[case]
    with pytest.raises(ModelError, match=message):
        model(**changes)


@pytest.mark.parametrize("case", [name for name in REFUSED if "discount" not in name and "exact" not in name])
def test_an_exact_discount_does_not_hide_what_is_wrong(case):
    """Making rationals of the floats would move the largest entry of a row until it sums to 1."""
    changes, message = REFUSED[case]
    with pytest.raises(ModelError, match=message):
        model(**changes, discount="9/10")


@pytest.mark.parametrize("discount", [0.0, 0, 0.9999, "0", "99/100", Fraction(1, 3), fmpq(1, 2), np.float32(0.5)])
def test_discounts_that_are_in_range(discount):
    assert model(discount=discount).discount == float(fraction(discount))


def test_row_sums_may_be_off_by_rounding():
    """The exact face then sums to exactly 1."""
    for off in (1e-15, -1e-12, 0.99e-9):
        assert sum(model(transitions=changed(P, (1, 1, 0), 0.25 + off)).exact.choices[3].tolist()) == 1


def test_names_appear_in_errors():
    with pytest.raises(ModelError, match=r'\(state 1 "pit", action 1 "left"\)'):
        model(transitions=LEAK, state_names=["home", "pit"], action_names=["right", "left"])


CHOICES = {
    "first_pair does not start at 0": (([1, 2, 3], np.eye(2), [0, 0], 0.9), "starts at 0"),
    "a state without action": (([0, 2, 2], np.eye(2), [0, 0], 0.9), "state 1 has no action"),
    "first_pair falls": (([0, 3, 2], np.eye(2), [0, 0], 0.9), "state 1 has no action"),
    "first_pair holds halves": (([0, 0.5, 2], np.eye(2), [0, 0], 0.9), "whole numbers"),
    "choices of another shape": (([0, 1, 2], np.eye(3), [0, 0], 0.9), r"shape \(3, 3\); first_pair asks for \(2, 2\)"),
    "choices of 1 dimension": (([0, 1, 2], np.ones(2), [0, 0], 0.9), r"shape \(2,\)"),
    "rewards of another length": (([0, 1, 2], np.eye(2), [0, 0, 0], 0.9), r"shape \(3,\); there are 2 pairs"),
    "rewards are words": (([0, 1, 2], np.eye(2), ["a", "b"], 0.9), "rewards: 'a' is no number"),
    "one state number too few": (([0], np.eye(2), [0, 0], 0.9), "S \\+ 1 >= 2"),
}


@pytest.mark.parametrize("case", CHOICES)
def test_bad_choice_matrices_raise(case):
    args, message = CHOICES[case]
    with pytest.raises(ModelError, match=message):
        MDP.from_choices(*args)


# What it accepts, and never changes

ACCEPTED = {
    "lists": (P.tolist(), R.tolist()),
    "integers": (np.round(P).astype(int) * 0 + np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]]]), R.astype(int)),
    "float32": (P.astype(np.float32), R.astype(np.float32)),
    "Fortran order": (np.asfortranarray(P), np.asfortranarray(R)),
    "a strided view": (np.repeat(P, 2, axis=0)[::2], np.repeat(R, 2, axis=1)[:, ::2]),
    "read only": (P, R),
    "Fractions": ([[[Fraction(p) for p in row] for row in state] for state in P.tolist()], R),
    "text": ([[[str(p) for p in row] for row in state] for state in P.tolist()], [["1", "0"], ["2", "-1"]]),
    "sparse csr": (scipy.sparse.csr_matrix(P.reshape(4, 2)), R),
    "sparse coo": (scipy.sparse.coo_array(P.reshape(4, 2)), R),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_every_kind_of_array_gives_the_model_and_stays_as_it_was(case):
    moves, rewards = (copy.deepcopy(x) for x in ACCEPTED[case])
    if case == "read only":
        moves.setflags(write=False), rewards.setflags(write=False)
    before = pickle.dumps((moves, rewards))
    mdp = MDP(moves, rewards, 0.9)
    dense = moves.toarray() if scipy.sparse.issparse(moves) else np.array(moves, dtype=object).astype(float)
    np.testing.assert_array_equal(mdp.transitions, np.asarray(dense, dtype=float).reshape(2, 2, 2))
    np.testing.assert_array_equal(mdp.rewards, np.array(rewards, dtype=object).astype(float))
    assert mdp.transitions.dtype == np.float64
    assert mdp.transitions.flags.c_contiguous
    assert pickle.dumps((moves, rewards)) == before


def test_the_model_does_not_share_memory_with_its_input():
    moves, rewards, start = P.copy(), R.copy(), np.array([0.5, 0.5])
    sparse = scipy.sparse.csr_array(P.reshape(4, 2))
    dense, compressed = MDP(moves, rewards, 0.9, start), MDP(sparse, rewards, 0.9, start)
    before = dense.digest()
    moves[:], rewards[:], start[:], sparse.data[:] = 7, 7, 7, 7
    assert dense.digest() == before == compressed.digest()


@pytest.mark.parametrize("kind", ["dense", "sparse", "exact", "exact sparse"])
def test_nothing_can_be_written(kind):
    mdp = model(transitions=scipy.sparse.csr_array(P.reshape(4, 2))) if "sparse" in kind else model()
    mdp = mdp.exact if "exact" in kind else mdp
    for array in (mdp.pair_rewards, mdp.rewards, mdp.start, mdp.first_pair, mdp.choices.data if mdp.is_sparse else mdp.choices):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    for change in (lambda: setattr(mdp, "discount", 0.5), lambda: setattr(mdp, "new", 1), lambda: delattr(mdp, "start")):
        with pytest.raises(AttributeError, match="does not change"):
            change()


def test_rewards_in_three_shapes_agree():
    """r(s, a) = sum_s' P(s' | s, a) r(s, a, s'); r(s) is paid for every action."""
    paid = np.arange(8.0).reshape(2, 2, 2)
    np.testing.assert_array_equal(model(rewards=paid).rewards, (P * paid).sum(axis=2))
    np.testing.assert_array_equal(model(rewards=[1.0, 2.0]).rewards, [[1, 1], [2, 2]])
    sparse = model(transitions=scipy.sparse.csr_array(P.reshape(4, 2)), rewards=paid)
    np.testing.assert_array_equal(sparse.rewards, model(rewards=paid).rewards)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("exact_moves", [False, True])
@pytest.mark.parametrize("exact_rewards", [False, True])
def test_transition_rewards_mix_with_exact_numbers(sparse, exact_moves, exact_rewards):
    paid = np.arange(8).reshape(2, 2, 2) / 10
    moves = rational_array([[[str(x) for x in row] for row in state] for state in P.tolist()]) if exact_moves else P
    if sparse:
        moves = MDP(moves, R, 0.5).exact.choices if exact_moves else scipy.sparse.csr_array(P.reshape(4, 2))
        if exact_moves:
            moves = SparseRows.from_csr(scipy.sparse.csr_array(P.reshape(4, 2)))
    mdp = MDP(moves, [[[f"{x}" for x in row] for row in state] for state in paid.tolist()] if exact_rewards else paid, 0.9)
    rows = zip(P.reshape(4, 2).tolist(), paid.reshape(4, 2).tolist(), strict=True)
    expected = [sum(Fraction(str(p)) * Fraction(str(x)) for p, x in zip(row, money, strict=True)) for row, money in rows]
    assert [fraction(x) for x in mdp.exact.pair_rewards] == expected


# Ragged and compressed models


def ragged() -> MDP:
    return MDP.from_choices([0, 1, 3], [[0, 1], [1, 0], [0.5, 0.5]], [1, 2, 3], 0.9, action_names=["a", "b"])


def test_ragged_models_pad_and_mask():
    mdp = ragged()
    assert (mdp.num_states, mdp.num_actions, mdp.num_pairs, mdp.is_rectangular) == (2, 2, 3, False)
    np.testing.assert_array_equal(mdp.action_mask, [[True, False], [True, True]])
    np.testing.assert_array_equal(mdp.transitions, [[[0, 1], [0, 0]], [[1, 0], [0.5, 0.5]]])
    np.testing.assert_array_equal(mdp.rewards, [[1, 0], [2, 3]])
    assert mdp.exact.transitions[0, 1, 0] == fmpq(0)
    assert mdp.exact.transitions.dtype == object


def test_error_places_in_ragged_models_count_actions_within_the_state():
    with pytest.raises(ModelError, match=r'transitions\[1, 1\] \(state 1, action 1 "b"\) sums to 0.9'):
        MDP.from_choices([0, 1, 3], [[0, 1], [1, 0], [0.5, 0.4]], [1, 2, 3], 0.9, action_names=["a", "b"])


CSR = {
    "duplicates add up": ([0, 3, 4], [0, 0, 1, 1], [0.25, 0.25, 0.5, 1.0]),
    "unsorted indices": ([0, 2, 3], [1, 0, 1], [0.5, 0.5, 1.0]),
    "explicit zeros": ([0, 3, 5], [0, 1, 1, 0, 1], [0.5, 0.5, 0.0, 0.0, 1.0]),
}


@pytest.mark.parametrize("case", CSR)
def test_untidy_csr_is_the_same_model(case):
    indptr, indices, data = CSR[case]
    matrix = scipy.sparse.csr_matrix((2, 2))
    matrix.indptr, matrix.indices, matrix.data = np.array(indptr), np.array(indices), np.array(data)
    before = pickle.dumps(matrix)
    mdp = MDP(matrix, np.zeros((2, 1)), 0.9)
    assert same(mdp, MDP([[[0.5, 0.5]], [[0, 1]]], np.zeros((2, 1)), 0.9))
    assert mdp.choices.has_sorted_indices
    assert pickle.dumps(matrix) == before


@pytest.mark.parametrize("successor", [-1, 2, 10**9])
def test_csr_indices_out_of_range_raise(successor):
    matrix = scipy.sparse.csr_matrix((2, 2))
    matrix.indptr, matrix.indices, matrix.data = np.array([0, 1, 2]), np.array([0, successor]), np.ones(2)
    with pytest.raises(ModelError, match=f"successor {successor}; there are 2 states"):
        MDP(matrix, np.zeros((2, 1)), 0.9)


@pytest.mark.parametrize("indptr", [[0, 1], [0, 2, 1], [1, 1, 2], [0, 1, 5]])
def test_broken_csr_row_pointers_raise(indptr):
    matrix = scipy.sparse.csr_matrix((2, 2))
    matrix.indptr, matrix.indices, matrix.data = np.array(indptr), np.array([0, 1]), np.ones(2)
    with pytest.raises(ModelError, match="row pointers"):
        MDP(matrix, np.zeros((2, 1)), 0.9)


def test_errors_in_sparse_models_name_state_action_and_successor():
    for value, message in (
        (np.nan, r"transitions\[1, 0, 1\].* is nan"),
        (-1.0, r"transitions\[1, 0, 1\].* is -1"),
        (0.5, r"transitions\[1, 0\].*0\.5"),
    ):
        matrix = scipy.sparse.csr_array(np.eye(2))
        matrix.data[1] = value
        with pytest.raises(ModelError, match=message):
            MDP(matrix, np.zeros((2, 1)), 0.9)


def test_sparse_shape_must_be_pairs_by_states():
    with pytest.raises(ModelError, match="S\\*A rows and S columns"):
        MDP(scipy.sparse.csr_array(np.ones((3, 2)) / 2), np.zeros((2, 2)), 0.9)


def test_sparse_models_use_small_index_types_and_refuse_huge_dense_views():
    n = 100_000
    big = MDP(scipy.sparse.eye_array(n, format="csr"), np.zeros((n, 1)), 0.9)
    assert big.choices.indices.dtype == big.choices.indptr.dtype == np.int32
    with pytest.raises(ModelError, match="would not fit"):
        _ = big.transitions


@given(mdp=strategies.mdps(ragged=True))
def test_dense_and_sparse_storage_are_one_model(mdp):
    choices = scipy.sparse.csr_array(mdp.choices)
    sparse = MDP.from_choices(mdp.first_pair, choices, mdp.pair_rewards, mdp.discount, mdp.start)
    dense = MDP.from_choices(mdp.first_pair, mdp.choices, mdp.pair_rewards, mdp.discount, mdp.start)
    assert sparse.is_sparse
    assert not dense.is_sparse
    assert same(sparse, dense)
    np.testing.assert_array_equal(sparse.transitions, dense.transitions)
    assert (sparse.exact.transitions == dense.exact.transitions).all()


# Exact numbers


@given(mdp=strategies.mdps(ragged=True))
def test_exact_models_keep_their_numbers_and_floats_are_their_rounding(mdp):
    assert mdp.given_exactly
    assert mdp.exact.float is mdp
    assert mdp.exact.exact is mdp.exact
    assert mdp.exact.is_exact
    assert not mdp.is_exact
    for of in (lambda m: m.choices, lambda m: m.pair_rewards, lambda m: m.start, lambda m: np.array([m.discount], dtype=object)):
        exact, rounded = of(mdp.exact).reshape(-1), of(mdp).reshape(-1)
        assert [float(fraction(x)) for x in exact] == rounded.tolist()
    assert all(sum(row.tolist(), fmpq(0)) == 1 for row in mdp.exact.choices)


@given(mdp=strategies.mdps(exact=False, ragged=True))
def test_the_exact_face_of_a_float_model_is_within_rounding_and_sums_to_one(mdp):
    """Each entry is the simplest fraction within 2^-46; the largest of a row takes up the rest, at most S * 2^-46 and the row's own error of 1e-9."""
    exact = mdp.exact
    assert not mdp.given_exactly
    assert all(sum(row.tolist(), fmpq(0)) == 1 for row in exact.choices)
    moved = np.abs(np.array([[float(fraction(x)) for x in row] for row in exact.choices]) - mdp.choices)
    rounding = mdp.num_states * 2.0**-45
    assert moved.max() <= rounding + np.abs(mdp.choices.sum(axis=1) - 1).max()
    assert np.all(np.abs(np.array([float(fraction(x)) for x in exact.pair_rewards]) - mdp.pair_rewards) <= 2.0**-45 * np.abs(mdp.pair_rewards))


def test_one_exact_field_makes_the_model_exact():
    mdp = model(discount=Fraction(9, 10))
    assert mdp.given_exactly
    assert mdp.exact.transitions[1, 1, 0] == fmpq(1, 4)
    assert model().exact.discount == fmpq(9, 10)
    assert model(start=["1/3", "2/3"]).exact.start.tolist() == [fmpq(1, 3), fmpq(2, 3)]
    assert MDP(np.full((3, 1, 3), 1 / 3), np.zeros((3, 1)), 0.5).exact.start.tolist() == [fmpq(1, 3)] * 3


# Copies


@given(mdp=st.one_of(strategies.mdps(ragged=True), strategies.mdps(ragged=True, exact=False)), looked=st.booleans())
def test_pickles_and_copies_are_the_same_model(mdp, looked):
    """Also after `.exact` of a float model was looked at: its floats must not be replaced by the fractions beside them."""
    if looked:
        _ = mdp.exact
    for twin in (pickle.loads(pickle.dumps(mdp)), copy.copy(mdp), copy.deepcopy(mdp), mdp.replace(), mdp.replace(name="new")):
        assert same(twin, mdp)
        assert twin.given_exactly == mdp.given_exactly
        assert twin.is_exact == mdp.is_exact
    exact = pickle.loads(pickle.dumps(mdp.exact))
    assert exact.is_exact
    assert exact.digest() == mdp.exact.digest()
    assert mdp.exact.replace().digest() == mdp.exact.digest()
    assert mdp.exact.replace().is_exact


def test_pickles_of_sparse_models_keep_storage_and_labels():
    for moves in (scipy.sparse.csr_array(P.reshape(4, 2)), SparseRows.from_csr(scipy.sparse.csr_array(P.reshape(4, 2)))):
        mdp = MDP(moves, R, 0.9, state_names=["x", "y"], action_names=["l", "r"], name="pair")
        twin = pickle.loads(pickle.dumps(mdp))
        assert twin.is_sparse
        assert same(twin, mdp)
        assert (twin.state_names, twin.action_names, twin.name) == (("x", "y"), ("l", "r"), "pair")


def test_replace_changes_one_field_and_checks_it():
    mdp = model(state_names=["x", "y"], name="pair")
    assert mdp.replace(discount=0.5).discount == 0.5
    assert mdp.replace(discount=0.5).state_names == ("x", "y")
    np.testing.assert_array_equal(mdp.replace(rewards=[5.0, 6.0]).rewards, [[5, 5], [6, 6]])
    np.testing.assert_array_equal(mdp.replace(rewards=np.ones((2, 2, 2))).rewards, np.ones((2, 2)))
    np.testing.assert_array_equal(mdp.replace(rewards=[1, 2, 3, 4]).rewards, [[1, 2], [3, 4]])
    np.testing.assert_array_equal(mdp.replace(transitions=P[::-1, :, ::-1]).transitions, P[::-1, :, ::-1])
    assert mdp.discount == 0.9
    larger = mdp.replace(transitions=np.tile(np.eye(3)[:, None], (1, 2, 1)), rewards=np.zeros((3, 2)))
    assert (larger.num_states, larger.state_names, larger.start.tolist()) == (3, None, [1 / 3] * 3)
    for changes, message in (
        ({"discount": 2}, "discount"),
        ({"gamma": 0.5}, "no field 'gamma'"),
        ({"rewards": [1.0] * 3}, "shape"),
        ({"start": [1, 1]}, "2"),
    ):
        with pytest.raises(ModelError, match=message):
            mdp.replace(**changes)
    for rewards in ([7, 8, 9], [[7, 0], [8, 9]]):
        np.testing.assert_array_equal(ragged().replace(rewards=rewards).pair_rewards, [7, 8, 9])
    np.testing.assert_array_equal(ragged().replace(rewards=[7, 8]).pair_rewards, [7, 8, 8])
    sparse = model(transitions=scipy.sparse.csr_array(P.reshape(4, 2)), discount="9/10")
    assert same(sparse.replace(rewards=R + 1), model(discount="9/10").replace(rewards=R + 1))


def test_digest_sees_every_number_and_no_label():
    base = model()
    assert model().digest() == base.digest() == model(name="other", state_names=["x", "y"]).digest()
    others = [model(discount=0.8), model(rewards=R + 1), model(start=[1, 0]), model(transitions=P[:, ::-1]), model(rewards=-R)]
    assert len({m.digest() for m in (base, *others)}) == 6
    assert MDP.from_choices([0, 1, 4], P.reshape(4, 2), R.ravel(), 0.9).digest() != base.digest()
    assert model(rewards=R * 0).digest() == model(rewards=-R * 0).digest()


def test_digest_is_the_same_in_every_process():
    import subprocess
    import sys

    code = "from mdps import zoo; print(zoo.domino(4).digest(), zoo.domino(4).exact.digest(), zoo.taxi().digest())"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    from mdps import zoo

    assert out == [zoo.domino(4).digest(), zoo.domino(4).exact.digest(), zoo.taxi().digest()]


def test_sizes_of_one():
    mdp = MDP([[[1]]], [[3]], 0)
    assert (mdp.num_states, mdp.num_actions, mdp.discount) == (1, 1, 0.0)
    assert repr(mdp) == "MDP(1 state, 1 action, discount 0.0)"
    assert repr(ragged()) == "MDP(2 states, 3 pairs, discount 0.9)"


def test_importing_the_model_loads_little():
    import subprocess
    import sys

    heavy = ("scipy", "hypothesis", "gymnasium", "flint", "numba")
    code = f"import sys, mdps; mdps.MDP([[[1.0]]], [[1.0]], 0.5); mdps.zoo; mdps.io; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
