"""Robust Bellman errors: losses against grids of multipliers, fits in closed form, descent, the variance of squared TD errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mdps
from mdps.errors import ModelError
from pgtheory.robust_bellman_error import KINDS, Loss, bellman_errors, fit, robust_error, saddle_descent
from tests.tolerances import EPS

SEEDS = st.integers(0, 10**6)
FEW = settings(max_examples=15)
CONIC = 1e-8
"""Tolerance of Clarabel."""


def outlier():
    """Three states that stay, targets 0, 0, 10, no future: one shared value is fitted."""
    return mdps.MDP(np.eye(3)[:, None], [[0], [0], [10]], 0, np.full(3, 1 / 3)), np.ones((3, 1)), np.ones((3, 1))


@pytest.mark.parametrize(("loss", "value"), [(Loss("squared"), 10 / 3), (Loss("absolute"), 0.0), (Loss("huber", 1.0), 0.5)])
def test_one_outlier_moves_each_error_as_far_as_it_may(loss, value):
    mdp, policy, features = outlier()
    w, error = fit(mdp, policy, features, loss)
    # an error that is good to e has a minimiser good to sqrt(2 e / curvature): curvature at least 2/3; the absolute error rises by 1/3 a unit
    assert abs(w[0] - value) <= 10 * np.sqrt(3 * CONIC)
    assert error <= robust_error(mdp, policy, np.full(3, value), loss) + 100 * CONIC


@given(SEEDS, st.sampled_from(KINDS), st.floats(0.1, 3))
@FEW
def test_a_loss_is_its_largest_saddle_value(seed, kind, threshold):
    """No multiplier on a grid beats the loss, and the best one has it."""
    errors, loss = np.random.default_rng(seed).normal(size=20) * 2, Loss(kind, threshold)
    bound = {"squared": 8.0, "absolute": 1.0, "huber": threshold}[kind]
    for h in np.linspace(-bound, bound, 41):
        assert (loss.saddle(errors, np.full(20, h)) <= loss(errors) + 64 * EPS * (1 + errors**2 + bound**2)).all()
    assert np.abs(loss.saddle(errors, loss.multiplier(errors)) - loss(errors)).max() <= 64 * EPS * (1 + (errors**2).max())


@given(SEEDS)
@FEW
def test_values_of_the_policy_have_no_error_and_squared_td_errors_pay_for_chance(seed):
    rng = np.random.default_rng(seed)
    P, r, policy, gamma = rng.dirichlet(np.ones(3), (3, 2)), rng.normal(size=(3, 2)), rng.dirichlet(np.ones(2), 3), 0.8
    mdp = mdps.MDP(P, r, gamma, np.full(3, 1 / 3))
    chain = np.einsum("sa,sat->st", policy, P)
    values = np.linalg.solve(np.eye(3) - gamma * chain, (policy * r).sum(axis=1))
    scale = 64 * EPS * (1 + np.abs(values).max())
    assert np.abs(bellman_errors(mdp, policy, values)).max() <= scale
    td = r[:, :, None] + gamma * values - values[:, None, None]
    chance = policy[:, :, None] * P
    variance = (chance * td**2).sum(axis=(1, 2)) - (chance * td).sum(axis=(1, 2)) ** 2
    assert np.abs((chance * td**2).sum(axis=(1, 2)) - variance).max() <= scale * (1 + np.abs(td).max() ** 2)
    assert (variance > 0).all()
    w, error = fit(mdp, policy, np.eye(3), Loss("squared"))
    assert error <= 100 * CONIC * (1 + np.abs(r).max())
    assert np.abs(w - values).max() <= 1e3 * np.sqrt(CONIC)


@pytest.mark.parametrize("kind", ["squared", "huber"])
def test_descent_never_raises_the_error_and_ends_at_the_fit(kind):
    rng = np.random.default_rng(2)
    P, r, policy = rng.dirichlet(np.ones(4), (4, 2)), rng.normal(size=(4, 2)), np.full((4, 2), 0.5)
    mdp, features, loss = mdps.MDP(P, r, 0.7, np.full(4, 0.25)), rng.normal(size=(4, 2)), Loss(kind, 0.3)
    slopes = (np.eye(4) - 0.7 * P.mean(axis=1)) @ features
    step = 1 / np.linalg.norm(slopes.T @ slopes / 4, 2) / (2 if kind == "squared" else 1)
    _, errors = saddle_descent(mdp, policy, features, loss, step, 3000)
    assert (np.diff(errors) <= 8 * EPS).all()
    assert errors[-1] == pytest.approx(fit(mdp, policy, features, loss)[1], abs=100 * CONIC)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, p, f: Loss("cubic"), "unknown loss 'cubic'"),
        (lambda m, p, f: Loss("huber", 0.0), "threshold is 0"),
        (lambda m, p, f: Loss("absolute").saddle([1.0], [1.5]), "allows 1"),
        (lambda m, p, f: bellman_errors(m, p, [1.0]), r"\(1,\)"),
        (lambda m, p, f: robust_error(m, p, np.zeros(3), Loss(), [1, -1, 1]), "weights"),
        (lambda m, p, f: robust_error(m, p, np.zeros(3), Loss(), [0, 0, 0]), "not all 0"),
        (lambda m, p, f: fit(m, p, np.ones((2, 1)), Loss()), "S = 3"),
        (lambda m, p, f: saddle_descent(m, p, f, Loss(), -1.0, 1), "step_size is -1"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ModelError, match=message):
        call(*outlier())
