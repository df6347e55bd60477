"""Temporal differences: exact error recursions against enumeration and samples, published figures, pathwise bounds, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from flint import fmpq
from scipy import stats

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory import action_values, solve, state_values
from pgtheory.sampling import LinearTD, federated_sarsa, q_learning
from tests.pgtheory.sampling.test_simulator import LEVEL, model_and_policy

ONE = np.ones((2, 1))


def published() -> LinearTD:
    """Two states that stay with .9, reward 1 in the first, features (1, 0), (.9, .1), discount .9: the instance of the catalogue."""
    mdp = MDP([[[0.9, 0.1]], [[0.1, 0.9]]], [[1], [0]], 0.9)
    return LinearTD(mdp, ONE, [[1, 0], [0.9, 0.1]])


def test_tabular_features_have_the_values_as_their_fixed_point():
    mdp, policy = model_and_policy(2, 4, 2)
    np.testing.assert_allclose(LinearTD(mdp, policy, np.eye(4)).fixed_point, state_values(mdp, policy), atol=1e-10)


def test_the_sampled_law_is_the_stationary_one():
    mdp, policy = model_and_policy(3, 4, 2)
    system = LinearTD(mdp, policy, np.eye(4))
    chain = np.einsum("sa,sat->st", policy, np.asarray(mdp.transitions))
    np.testing.assert_allclose(system.states @ chain, system.states, atol=1e-12)


def test_the_error_recursion_is_that_of_all_sequences():
    """Two steps by listing all pairs of triples of all agents."""
    system = published()
    start, alpha = np.array([2.0, -1.0]), 0.3
    weights, matrices, vectors = system.samples
    for agents in (1, 2):
        laws = [(1.0, start)]
        for _ in range(2):
            ahead = []
            for probability, theta in laws:
                moves = vectors - matrices @ theta
                if agents == 1:
                    ahead += [(probability * w, theta + alpha * g) for w, g in zip(weights, moves, strict=True)]
                else:
                    ahead += [
                        (probability * v * w, theta + alpha * (g + h) / 2)
                        for v, g in zip(weights, moves, strict=True)
                        for w, h in zip(weights, moves, strict=True)
                    ]
            laws = ahead
        errors = np.array([theta - system.fixed_point for _, theta in laws])
        p = np.array([probability for probability, _ in laws])
        m, M = system.errors(start, alpha, 2, agents=agents)
        np.testing.assert_allclose(m[-1], p @ errors, atol=1e-12)
        np.testing.assert_allclose(M[-1], (p[:, None] * errors).T @ errors, atol=1e-10)


def test_errors_are_rational_on_rational_models():
    mdp = MDP([[["9/10", "1/10"]], [["1/10", "9/10"]]], [["1"], ["0"]], "9/10")
    policy = np.array([[fmpq(1)], [fmpq(1)]], dtype=object)
    exact = LinearTD(mdp, policy, [["1", "0"], ["9/10", "1/10"]])
    m, M = exact.errors(["5", "40"], "1/100", 3)
    assert isinstance(M[3, 0, 0], fmpq)
    floats = published().errors([5, 40], 0.01, 3)
    np.testing.assert_allclose(M.astype(float), floats[1], rtol=1e-11)
    np.testing.assert_allclose(m.astype(float), floats[0], rtol=1e-11)


def test_published_figures_of_the_mean_square_error():
    """4753.8 after 2,000 steps of omega (1 - gamma) / 8 from (5, 40); the error of N agents falls like 1 / N."""
    system = published()
    omega = np.linalg.eigvalsh((system.features * system.states[:, None]).T @ system.features)[0]
    _, M = system.errors([5, 40], omega * 0.1 / 8, 2000)
    assert abs(np.trace(M[-1]) - 4753.8) < 0.1
    last = [np.trace(system.errors(system.fixed_point, 0.05, 3000, agents=n)[1][-1]) for n in (1, 5, 50)]
    assert abs(last[0] / last[1] / 5 - 1) < 0.05 and abs(last[0] / last[2] / 50 - 1) < 0.07


def test_sampled_runs_have_the_exact_moments():
    system = published()
    m, M = system.errors([1, 1], 0.2, 20, agents=3)
    theta = system.sample([1, 1], 0.2, 20, runs=20_000, seed=1, agents=3) - system.fixed_point
    normal = stats.norm.isf(LEVEL / 4)
    assert (np.abs(theta.mean(axis=0) - m[-1]) < normal * theta.std(axis=0) / np.sqrt(len(theta))).all()
    np.testing.assert_allclose((theta**2).mean(axis=0), np.diag(M[-1]), rtol=0.1)


@pytest.mark.parametrize("seed", range(4))
def test_q_learning_stays_within_its_noise_and_radius(seed):
    mdp, _ = model_and_policy(seed, 3, 2, discount=0.8)
    run = q_learning(mdp, [0.1, 0.5, 1.0, 0.02][seed], 200, seed=seed)
    off = np.abs(run.action_values - run.optimal - run.noise).max(axis=(1, 2))
    assert (off <= run.radius + 1e-9).all()
    np.testing.assert_allclose(run.optimal, action_values(mdp, values=solve(mdp, tol=1e-11).values), atol=1e-9)


def test_q_learning_without_noise_converges():
    P = np.zeros((2, 2, 2))
    P[0, :, 1] = P[1, :, 0] = 1
    run = q_learning(MDP(P, [[1, 0], [0, 0.5]], 0.5), 0.5, 80)
    np.testing.assert_allclose(run.action_values[-1], run.optimal, atol=1e-7)
    assert np.abs(run.noise).max() < 1e-9


def test_federated_sarsa_finds_the_values_of_its_soft_policy():
    """Deterministic rewards, tabular features: the averaged parameters settle near the action values of the policy that they make."""
    mdp, _ = model_and_policy(5, 3, 2, discount=0.5)
    features = np.eye(6).reshape(3, 2, 6)
    run = federated_sarsa([mdp] * 20, features, temperature=0.5, step_size=0.02, rounds=4000, local_steps=2, seed=3)
    learnt, exact = run.weights[-1].reshape(3, 2), np.asarray(action_values(mdp, run.policy))
    assert np.abs(learnt - exact).max() < 0.08
    again = federated_sarsa([mdp] * 20, features, 0.5, 0.02, 50, local_steps=2, seed=3)
    np.testing.assert_array_equal(again.weights, run.weights[:51])
    alone = federated_sarsa([mdp], features, 0.5, 0.02, 4000, local_steps=2, seed=3).weights[2000:]
    assert run.weights[2000:].var(axis=0).sum() < alone.var(axis=0).sum() / 5


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda m, p: LinearTD(m, p, np.eye(2)), r"features have shape \(2, 2\); the model has 5 states"),
        (lambda m, p: LinearTD(m, p, np.ones((5, 2))).fixed_point, "singular"),
        (lambda m, p: LinearTD(m, p, np.eye(5), states=[1, 0]), "distribution over the 5 states"),
        (lambda m, p: LinearTD(m, p, np.eye(5)).errors([0, 0], 0.1, 3), r"start has shape \(2,\)"),
        (lambda m, p: LinearTD(m, p, np.eye(5)).errors(np.zeros(5), 0.1, -1), "steps is -1"),
        (lambda m, p: LinearTD(m, p, np.eye(5)).errors(np.zeros(5), 0.1, 1, agents=0), "agents is 0"),
        (lambda m, p: LinearTD(MDP([[[1, 0]], [[0, 1]]], [[0], [0]], 0.9), ONE, np.eye(2)), "several stationary laws"),
        (lambda m, p: q_learning(m, 1.5, 3), "step_size is 1.5"),
        (lambda m, p: q_learning(m, 0.5, 3, initial=np.zeros((2, 2))), r"initial has shape \(2, 2\)"),
        (lambda m, p: federated_sarsa([m], np.ones((2, 2, 1)), 1, 0.1, 3), "agent 0 has 5 states"),
        (lambda m, p: federated_sarsa([m], np.ones((5, 3, 1)), 0, 0.1, 3), "temperature is 0"),
    ],
)
def test_bad_input_is_named(use, words):
    mdp, policy = model_and_policy()
    with pytest.raises(ModelError, match=words):
        use(mdp, policy)
