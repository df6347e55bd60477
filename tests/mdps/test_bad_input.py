"""The table of bad input: each line ends in the error that names place and figure, or in the right answer; and nothing is changed in place."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import mdps
from mdps import MDP, FiniteHorizon, Labelled, ModelError, Objective
from pgtheory.exact import reachability, solve, solve_average, solve_exactly, solve_game, total_reward

P = np.array([[[0.5, 0.5], [0.0, 1.0]], [[1.0, 0.0], [0.25, 0.75]]])
R = np.array([[0.0, 1.0], [2.0, 0.0]])


def changed(array, place, value):
    out = np.array(array, dtype=np.float64)
    out[place] = value
    return out


def csr(data=(0.5, 0.5, 1.0, 1.0, 0.25, 0.75), indices=(0, 1, 1, 0, 0, 1), indptr=(0, 2, 3, 4, 6), shape=(4, 2)):
    """The choice matrix of P, put together without any check by scipy."""
    matrix = scipy.sparse.csr_array(shape, dtype=np.asarray(data).dtype)
    matrix.data, matrix.indices, matrix.indptr = np.array(data), np.array(indices, dtype=np.int32), np.array(indptr, dtype=np.int32)
    return matrix


REFUSED = {
    "transitions of two dimensions": (lambda: MDP(P[0], R, 0.9), r"transitions has shape \(2, 2\); it must be \(S, A, S'\)"),
    "successors that are no states": (lambda: MDP(np.ones((2, 2, 3)) / 3, R, 0.9), r"transitions has shape \(2, 2, 3\)"),
    "rewards of another shape": (lambda: MDP(P, np.zeros((2, 3)), 0.9), r"rewards has shape \(2, 3\); it must be \(S, A\) = \(2, 2\)"),
    "start of another shape": (lambda: MDP(P, R, 0.9, [1.0]), r"start has shape \(1,\)"),
    "start that sums to 0.9": (lambda: MDP(P, R, 0.9, [0.5, 0.4]), r"start sums to 0\.9, not 1"),
    "negative start": (lambda: MDP(P, R, 0.9, [1.5, -0.5]), r"start\[1\] \(state 1\) is -0\.5"),
    "ragged lists": (lambda: MDP([[[1.0, 0.0]], [[1.0]]], R, 0.9), "transitions is not a rectangular array of numbers"),
    "text": (lambda: MDP([[["half", "half"]]], [[1]], "9/10"), "'half' is no number"),
    "NaN probability": (
        lambda: MDP(changed(P, (1, 0, 1), np.nan), R, 0.9),
        r"transitions\[1, 0, 1\] \(state 1, action 0\) is nan; it must be a finite",
    ),
    "NaN reward": (lambda: MDP(P, changed(R, (1, 0), np.nan), 0.9), r"rewards\[1, 0\] \(state 1, action 0\) is nan"),
    "infinite reward": (lambda: MDP(P, changed(R, (0, 1), np.inf), 0.9), r"rewards\[0, 1\] \(state 0, action 1\) is inf; it must be a finite number"),
    "infinite reward on a transition": (lambda: MDP(P, changed(np.zeros((2, 2, 2)), (0, 1, 0), -np.inf), 0.9), r"rewards\[0, 1, 0\] is -inf"),
    "NaN reward, state-action form": (lambda: MDP.from_choices([0, 1, 2], np.eye(2), [0.0, np.nan], 0.9), r"rewards\[1, 0\] \(state 1, action 0\)"),
    "negative probability": (
        lambda: MDP(changed(P, (0, 0), [-0.25, 1.25]), R, 0.9),
        r"transitions\[0, 0, 0\] \(state 0, action 0\) is -0\.25; a prob",
    ),
    "row off by 1e-3": (
        lambda: MDP(changed(P, (1, 0, 0), 0.999), R, 0.9),
        r"transitions\[1, 0\] \(state 1, action 0\) sums to 0\.999, not 1; it may be off",
    ),
    "row too large by 1e-3": (lambda: MDP(changed(P, (1, 0, 0), 1.001), R, 0.9), r"sums to 1\.001, not 1; .* It is too large by 0\.001"),
    "exact row off by 1e-12": (
        lambda: MDP([[["999999999999/1000000000000"]]], [[1]], "1/2"),
        "sums to 999999999999/1000000000000, not 1; exact rows",
    ),
    "no action": (lambda: MDP(np.zeros((2, 0, 2)), np.zeros((2, 0)), 0.9), r"state 0 has no action"),
    "a state without an action": (lambda: MDP.from_choices([0, 1, 1], [[0.0, 1.0]], [0.0], 0.9), "state 1 has no action; give it at least one"),
    "no state": (lambda: MDP(np.zeros((0, 1, 0)), np.zeros((0, 1)), 0.9), "transitions has no state"),
    "no state, state-action form": (lambda: MDP.from_choices([0], np.zeros((0, 0)), [], 0.9), "first_pair must be a vector of S"),
    "discount -0.1": (lambda: MDP(P, R, -0.1), r"discount is -0\.1; it must be in \[0, 1\)"),
    "discount 1": (lambda: MDP(P, R, 1), r"discount is 1\.0; it must be in \[0, 1\)\. For total reward or average reward"),
    "discount 1.5": (lambda: MDP(P, R, 1.5), r"discount is 1\.5; it must be in \[0, 1\)"),
    "discount NaN": (lambda: MDP(P, R, np.nan), "discount is nan"),
    "discount that rounds to 1": (lambda: MDP(P, R, f"{2**60 - 1}/{2**60}"), "float64 cannot tell from 1"),
    "two discounts": (lambda: MDP(P, R, [0.9, 0.8]), r"discount is \[0\.9, 0\.8\]; it must be one number"),
    "CSR successor out of range": (lambda: MDP(csr(indices=(0, 1, 2, 0, 0, 1)), R, 0.9), "names successor 2; there are 2 states"),
    "CSR negative successor": (lambda: MDP(csr(indices=(0, 1, -1, 0, 0, 1)), R, 0.9), "names successor -1; there are 2 states"),
    "CSR broken row pointers": (lambda: MDP(csr(indptr=(0, 3, 2, 4, 6)), R, 0.9), "broken row pointers"),
    "CSR pointers beyond the end": (lambda: MDP(csr(indptr=(0, 2, 3, 4, 9)), R, 0.9), "broken row pointers"),
    "CSR NaN": (lambda: MDP(csr(data=(0.5, 0.5, np.nan, 1.0, 0.25, 0.75)), R, 0.9), r"transitions\[0, 1, 1\] \(state 0, action 1\) is nan"),
    "CSR negative": (lambda: MDP(csr(data=(-0.5, 1.5, 1.0, 1.0, 0.25, 0.75)), R, 0.9), r"transitions\[0, 0, 0\] \(state 0, action 0\) is -0\.5"),
    "CSR row off": (
        lambda: MDP(csr(data=(0.5, 0.4, 1.0, 1.0, 0.25, 0.75)), R, 0.9),
        r"transitions\[0, 0\] \(state 0, action 0\) sums to 0\.9, not 1",
    ),
    "CSR of another shape": (lambda: MDP(csr(indptr=(0, 2, 3, 6), shape=(3, 2)), R, 0.9), r"S\*A rows and S columns; \(3, 2\)"),
    "CSR empty row": (lambda: MDP(csr((0.5, 0.5, 1.0, 1.0), (0, 1, 1, 0), (0, 2, 3, 4, 4)), R, 0.9), r"transitions\[1, 1\] .* sums to 0, not 1"),
    "too few names": (lambda: MDP(P, R, 0.9, state_names=["a"]), "state_names has 1 names for 2 states"),
    "stage that is no distribution": (lambda: FiniteHorizon([P, 2 * P], [R, R]), r"step 1: transitions\[0, 0\] .* sums to 2, not 1"),
    "stages that do not meet": (lambda: FiniteHorizon([P, np.ones((1, 1, 1))], [R, [[0.0]]]), "step 0 leads to 2 states, step 1 has 1"),
    "infinite terminal value": (lambda: FiniteHorizon([P], [R], [0.0, np.inf]), r"terminal\[1\] is inf"),
    "label of another shape": (lambda: Labelled(MDP(P, R, 0), {"goal": np.array([True])}), "label 'goal' has shape"),
    "objective without rewards": (lambda: Objective("total reward", "max", np.array([True, False])), "rewards is None"),
    "a game's row": (lambda: solve_game(changed(P[:, :, None], (0, 1, 0, 1), 0.5), R[:, :, None], 0.5), r"transitions\[0, 1, 0\] is no distribution"),
    "a game's discount": (lambda: solve_game(P[:, :, None], R[:, :, None], 1.0), r"discount is 1\.0; it must be in \[0, 1\)"),
    "solve what is no model": (lambda: solve(P), r"takes an mdps\.MDP"),
    "solve a labelled model without a question": (lambda: solve(Labelled(MDP(P, R, 0))), "needs objective="),
    "an unknown question": (lambda: solve(Labelled(MDP(P, R, 0)), objective="goal"), "no objective 'goal'"),
    "an unknown criterion": (lambda: solve(MDP(P, R, 0), criterion="averge"), "criterion is 'averge'.*Did you mean average"),
    "average reward of nothing": (lambda: solve_average(MDP(P, R, 0), tol=-1), "tol is -1"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_refused_with_place_and_figure(case):
    build, message = REFUSED[case]
    with pytest.raises(ModelError, match=message):
        build()


def original() -> MDP:
    return MDP(P, R, 0.9)


ACCEPTED = {
    "row off by 1e-12": lambda: MDP(changed(P, (1, 0), [1.0 - 1e-12, 0.0]), R, 0.9),
    "integer arrays": lambda: MDP(np.array([[[1, 0]], [[0, 1]]]), np.array([[1], [0]]), 0.9),
    "float32": lambda: MDP(P.astype(np.float32), R.astype(np.float32), 0.9),
    "Fortran order": lambda: MDP(np.asfortranarray(P), np.asfortranarray(R), 0.9),
    "strided views": lambda: MDP(np.repeat(P, 2, axis=1)[:, ::2], np.repeat(R, 2, axis=1)[:, ::2], 0.9),
    "CSR unsorted": lambda: MDP(csr(indices=(1, 0, 1, 0, 1, 0), data=(0.5, 0.5, 1.0, 1.0, 0.75, 0.25)), R, 0.9),
    "CSR duplicates": lambda: MDP(csr((0.25, 0.25, 0.5, 1.0, 1.0, 0.25, 0.75), (0, 0, 1, 1, 0, 0, 1), (0, 3, 4, 5, 7)), R, 0.9),
    "CSR stored zeros": lambda: MDP(csr((0.5, 0.5, 0.0, 1.0, 1.0, 0.25, 0.75), (0, 1, 0, 1, 0, 0, 1), (0, 2, 4, 5, 7)), R, 0.9),
    "CSR of float32": lambda: MDP(csr(np.array((0.5, 0.5, 1, 1, 0.25, 0.75), dtype=np.float32)), R, 0.9),
    "CSC": lambda: MDP(scipy.sparse.csc_array(P.reshape(4, 2)), R, 0.9),
    "COO": lambda: MDP(scipy.sparse.coo_array(P.reshape(4, 2)), R, 0.9),
}


@pytest.mark.parametrize("case", list(ACCEPTED))
def test_accepted_with_the_right_answer(case):
    mdp = ACCEPTED[case]()
    found = solve(mdp, tol=1e-9)
    if case == "integer arrays":
        np.testing.assert_allclose(found.values, [10.0, 0.0], rtol=0, atol=1e-9)
        return
    distance = 1e-10 if case == "row off by 1e-12" else 0.0  # 1e-12 max|V| / (1 - gamma), max|V| <= 20: below 2e-10
    np.testing.assert_allclose(found.values, solve(original(), tol=1e-9).values, rtol=0, atol=2e-9 + 2 * distance)
    if not distance:
        assert mdp.digest() == original().digest()


@pytest.mark.parametrize("sparse", [False, True])
def test_nothing_is_changed_in_place_and_read_only_arrays_are_taken(sparse):
    moves = csr(indices=(1, 0, 1, 0, 1, 0), data=(0.5, 0.5, 1.0, 1.0, 0.75, 0.25)) if sparse else P.copy()
    rewards, start = R.copy(), np.array([1.0, 0.0])
    arrays = [rewards, start, *((moves.data, moves.indices, moves.indptr) if sparse else (moves,))]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.setflags(write=False)
    mdp = MDP(moves, rewards, 0.9, start)
    solve(mdp), solve(mdp, "policy"), solve(mdp, "gauss-seidel"), solve_average(mdp), solve_exactly(mdp)
    reachability(mdp, [1]), total_reward(mdp, [1])
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    for array in arrays:
        array.setflags(write=True)
    if not sparse:
        moves[:] = 0.5
    rewards[:] = 7.0
    assert mdp.digest() == MDP(P, R, 0.9, [1.0, 0.0]).digest(), "the model has its own memory"


@pytest.mark.parametrize(("states", "actions"), [(1, 1), (1, 3), (3, 1)])
def test_one_state_or_one_action(states, actions):
    mdp = MDP(np.full((states, actions, states), 1 / states), np.arange(states * actions).reshape(states, actions), 0.5)
    best = mdp.rewards.max(axis=1)
    expected = best + best.mean() / (1 - 0.5) * 0.5  # V = r + gamma mean(V), mean(V) = mean(r) / (1 - gamma)
    np.testing.assert_allclose(solve(mdp).values, expected, rtol=0, atol=1e-8)
    np.testing.assert_allclose(solve_average(mdp).gain, best.mean(), rtol=0, atol=1e-8)
    assert reachability(mdp, [0], "min").values.tolist() == [1.0] * states


def test_no_proper_policy_an_infinite_value_is_said_with_its_state():
    """Discount 1: from state 0 nobody reaches the target, from state 1 some policy may miss it."""
    moves = np.zeros((3, 2, 3))
    moves[0, :, 0] = moves[2, :, 2] = 1
    moves[1, 0, 2] = moves[1, 1, 0] = 1
    mdp = MDP(moves, np.ones((3, 2)), 0.5)
    cheapest = total_reward(mdp, [2], "min")
    assert cheapest.values.tolist() == pytest.approx([np.inf, 1.0, 0.0], abs=1e-6)
    assert repr(cheapest).endswith("infinite in 1 state, the first of them state 0)")
    assert total_reward(mdp, [2], "max").values.tolist() == [np.inf, np.inf, 0.0]
    exact = total_reward(mdp, [2], "min", exact=True)
    assert exact.values.tolist() == [np.inf, 1, 0]
    assert repr(exact).endswith("infinite in 1 state, the first of them state 0)")
    mixed = mdp.replace(rewards=np.array([[1.0, 1.0], [-1.0, 1.0], [0.0, 0.0]]))
    with pytest.raises(ModelError, match="from state 0 a policy can miss the target: the total reward need not exist"):
        total_reward(mixed, [2])


@pytest.mark.parametrize("name", ["model.npz", "model.json", "model.csv", "model.tra"])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.6, 0.9, 0.99])
def test_a_file_cut_off_in_the_middle_is_noticed(tmp_path, name, kept):
    mdp = mdps.random.garnet(12, 3, 3, 0, discount=0.9)
    path = tmp_path / name
    mdps.io.save(mdp, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        mdps.io.load(path, 0.9)
    path.write_bytes(whole)
    assert mdps.io.load(path, 0.9).digest() == mdp.digest() or name == "model.tra"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.json", '{"format": "mdps", "version": 1, "discount": 0.5, "states": 1, "transitions": [], "colour": 3}', "m.json: .*colour"),
        ("m.csv", "state,action,next_state,colour\n0,0,0,3\n", "m.csv, line 1: unknown column 'colour'"),
        ("m.mdp", "discount: 0.5\nvalues: reward\nstates: 1\nactions: 1\ncolour: 3\n", "m.mdp, line 5: unknown section 'colour'"),
        ("m.tra", "game\n0 0 0 1\n", "m.tra, line 1: the first line is 'game'"),
    ],
)
def test_an_unknown_section_is_named(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ModelError, match=message):
        mdps.io.load(tmp_path / name, 0.5)
