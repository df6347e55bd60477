"""The array conventions of the MDP toolbox and of QuantEcon."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from mdps import ModelError, io, random, strategies, zoo

BOTH = st.one_of(strategies.mdps(), strategies.mdps(exact=False))
RAGGED = st.one_of(strategies.mdps(ragged=True), strategies.mdps(ragged=True, exact=False))


@given(mdp=BOTH, sparse=st.booleans())
def test_toolbox_arrays_give_the_same_model(mdp, sparse):
    transitions, rewards = io.to_mdptoolbox(mdp, sparse=sparse)
    assert len(transitions) == mdp.num_actions
    assert all(scipy.sparse.issparse(matrix) == sparse for matrix in transitions)
    assert io.from_mdptoolbox(transitions, rewards, mdp.discount, mdp.start).digest() == mdp.digest()


@given(mdp=strategies.mdps(min_actions=2), sparse=st.booleans())
def test_toolbox_rewards_in_all_shapes(mdp, sparse):
    """(A, S, S), dense or a list of sparse matrices, holds r(s, a, s'); here r(s, a) on every transition, so only rounding is lost."""
    transitions, rewards = io.to_mdptoolbox(mdp, sparse=sparse)
    spread = np.broadcast_to(rewards.T[:, :, None], (mdp.num_actions, mdp.num_states, mdp.num_states))
    shaped = [scipy.sparse.csr_matrix(matrix) for matrix in spread] if sparse else spread
    within = 2 * mdp.num_states * np.finfo(float).eps * max(1.0, np.abs(rewards).max())
    np.testing.assert_allclose(io.from_mdptoolbox(transitions, shaped, mdp.discount).rewards, rewards, rtol=0, atol=within)
    np.testing.assert_array_equal(io.from_mdptoolbox(transitions, rewards[:, 0], mdp.discount).rewards, rewards[:, [0] * mdp.num_actions])


def test_toolbox_storage_follows_the_model():
    transitions, _ = io.to_mdptoolbox(zoo.taxi())
    assert scipy.sparse.issparse(transitions[0])
    assert io.from_mdptoolbox(*io.to_mdptoolbox(zoo.taxi()), 0.99, zoo.taxi().start).digest() == zoo.taxi().digest()
    assert isinstance(io.to_mdptoolbox(zoo.loop())[0], np.ndarray)
    exact = io.from_mdptoolbox([[["1/3", "2/3"], ["0", "1"]]], [["1/7"], ["0"]], "1/2")
    assert exact.given_exactly


@given(mdp=RAGGED, form=st.sampled_from(["auto", "product", "pairs"]), sparse=st.booleans())
def test_quantecon_arrays_give_the_same_model(mdp, form, sparse):
    if sparse:
        mdp = mdp.from_choices(mdp.first_pair, scipy.sparse.csr_array(mdp.choices), mdp.pair_rewards, mdp.discount, mdp.start)
    assert io.from_quantecon(*io.to_quantecon(mdp, form), start=mdp.start).digest() == mdp.digest()


def test_quantecon_pairs_may_come_in_any_order():
    mdp = zoo.two_state(ragged=True)
    rewards, rows, beta, states, actions = io.to_quantecon(mdp, "pairs")
    order = [2, 0, 1]
    twin = io.from_quantecon(rewards[order], rows[order], beta, states[order], actions[order])
    assert twin.digest() == mdp.digest()


def test_infeasible_actions_are_left_out():
    mdp = io.from_quantecon(np.array([[-np.inf, 1.0], [2.0, 3.0]]), np.tile(np.eye(2)[:, None], (1, 2, 1)), 0.5)
    assert mdp.first_pair.tolist() == [0, 1, 3]
    assert mdp.pair_rewards.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: io.from_mdptoolbox([], [], 0.5), "no action"),
        (lambda: io.from_mdptoolbox([np.eye(2), np.eye(3)], np.zeros((2, 2)), 0.5), r"transitions\[1\] \(action 1\) has shape \(3, 3\)"),
        (lambda: io.from_mdptoolbox([np.eye(2) * 0.9], np.zeros((2, 1)), 0.5), "sums to 0.9"),
        (lambda: io.from_mdptoolbox([np.eye(2)], [scipy.sparse.eye_array(2)] * 2, 0.5), "rewards lists 2 matrices for 1 actions"),
        (lambda: io.from_mdptoolbox([np.eye(2)], np.zeros((3, 1)), 0.5), r"rewards has shape \(3, 1\)"),
        (lambda: io.to_mdptoolbox(zoo.two_state(ragged=True)), "same number of actions"),
        (lambda: io.from_quantecon(np.zeros((2, 1))), "give R, Q and beta"),
        (lambda: io.from_quantecon(np.zeros((2, 1)), np.zeros((2, 2, 2)), 0.5), "product form wants"),
        (lambda: io.from_quantecon(np.full((1, 1), -np.inf), np.ones((1, 1, 1)), 0.5), "state 0 has no action"),
        (lambda: io.from_quantecon(np.zeros(2), np.eye(2), 0.5, [0], [0]), "do not fit together"),
        (lambda: io.from_quantecon(np.zeros(2), np.eye(2), 0.5, [0, 0], [1, 1]), "state 0, action 1 is listed twice"),
        (lambda: io.from_quantecon(np.zeros(2), np.eye(2), 0.5, [0, 2], [0, 0]), "s_indices go from 0 to 2; there are 2 states"),
        (lambda: io.from_quantecon(np.zeros((1, 1)), np.ones((1, 1, 1)), 1.0), "discount is 1"),
        (lambda: io.to_quantecon(zoo.loop(), "dense"), "form is 'dense'"),
    ],
)
def test_bad_arrays_raise(call, message):
    with pytest.raises(ModelError, match=message):
        call()


@pytest.mark.peer
@pytest.mark.parametrize("form", ["product", "pairs"])
def test_quantecon_solves_what_is_handed_over(form):
    """The peer's own policy iteration against V* in closed form; a solve is good to (1 + gamma)/(1 - gamma) * S * eps relative."""
    markov = pytest.importorskip("quantecon.markov")
    from mdps.rational import to_float

    for expression in ("domino(5, 9/10)", "chain(4, 1/2)", "taxi", "river_swim"):
        mdp = zoo.load(expression)
        if mdp.num_states > 100 and form == "product":
            continue
        ddp = markov.DiscreteDP(*io.to_quantecon(mdp, form))
        expected = to_float(zoo.optimum(expression))
        within = 8 * mdp.num_states * np.finfo(float).eps * (1 + mdp.discount) / (1 - mdp.discount)
        np.testing.assert_allclose(ddp.solve(method="policy_iteration").v, expected, rtol=within, atol=within * np.abs(expected).max())
        assert io.from_quantecon(ddp, start=mdp.start).digest() == mdp.digest()


@pytest.mark.peer
def test_the_toolbox_solves_what_is_handed_over():
    toolbox = pytest.importorskip("mdptoolbox.mdp")
    mdp = zoo.forest_management()
    solver = toolbox.PolicyIteration(*io.to_mdptoolbox(mdp), mdp.discount)
    solver.run()
    np.testing.assert_allclose(solver.V, [float(v.p) / float(v.q) for v in zoo.optimum("forest_management")], rtol=1e-9)


def test_ragged_peers_of_random_models():
    mdp = random.garnet(20, 3, 4, 0)
    assert io.from_quantecon(*io.to_quantecon(mdp, "product"), start=mdp.start).digest() == mdp.digest()
