"""Deterministic gradients of regulators: closed moments against samples, the bias of a behaviour, learned critics, descent, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mdps.errors import ModelError
from pgtheory.linear_quadratic import LinearQuadratic
from pgtheory.sampling.deterministic import Behaviour, OffPolicyGradient, normals, off_policy_descent, optimal_cost
from tests.pgtheory.sampling.test_simulator import LEVEL

A, B = np.array([[0.9, 0.3], [0.0, 0.8]]), np.array([[0.0], [1.0]])
PROBLEM = LinearQuadratic.average(A, B, np.eye(2), [[0.5]], [[0.3, 0.1], [0.1, 0.2]])
GAIN, OTHER = np.array([[0.1, 0.2]]), np.array([[0.0, 0.4]])
OFF = OffPolicyGradient(PROBLEM, GAIN, Behaviour(OTHER, [[0.3]]))


def test_the_scalar_regulator_by_hand():
    """a = b = q = r = w = 1, K = 1/2: P = (1 + 1/4)/(1 - 1/4) = 5/3, E = (1 + P)/2 - P = -1/3, X = 4/3; behaviour K = 1 with noise 1: X_b = 2."""
    one = LinearQuadratic.average(1, 1, 1, 1, [[1.0]])
    target = OffPolicyGradient(one, [[0.5]])
    np.testing.assert_allclose(target.expectation(), [[-8 / 9]])
    np.testing.assert_allclose(target.bias, 0, atol=1e-14)
    other = OffPolicyGradient(one, [[0.5]], Behaviour([[1.0]], [[1.0]]))
    np.testing.assert_allclose((other.expectation(), other.bias), ([[-4 / 3]], [[-4 / 9]]))
    np.testing.assert_allclose(other.covariance(), [[2 * (2 / 3) ** 2 * 4]])  # Var(c x^2) = 2 c^2 X^2


def test_on_its_own_states_the_gradient_is_that_of_differences():
    h = 1e-6
    slopes = np.empty((1, 2))
    for k in range(2):
        up, down = GAIN.copy(), GAIN.copy()
        up[0, k] += h
        down[0, k] -= h
        slopes[0, k] = (PROBLEM.cost(up[None])[0] - PROBLEM.cost(down[None])[0]) / (2 * h)
    np.testing.assert_allclose(OffPolicyGradient(PROBLEM, GAIN).expectation(), slopes, rtol=1e-6)


def test_samples_have_the_closed_mean_and_covariance():
    """Level: Chebyshev would need fourth moments; entries of mean and covariance are averages of 10^5 products, tested by their own spread."""
    g = OFF.draw(100_000, seed=4).reshape(-1, 2)
    centred = g - OFF.expectation().reshape(-1)
    products = centred[:, :, None] * centred[:, None, :]
    normal = stats.norm.isf(LEVEL / 12)
    assert (np.abs(centred.mean(axis=0)) <= normal * np.sqrt(np.diag(OFF.covariance()) / len(g))).all()
    assert (np.abs(products.mean(axis=0) - OFF.covariance()) <= normal * products.std(axis=0) / np.sqrt(len(g))).all()
    on_policy = PROBLEM.gradient(GAIN[None])[0].reshape(-1)
    assert (np.abs(g.mean(axis=0) - on_policy) > normal * g.std(axis=0) / np.sqrt(len(g))).any(), "the bias of the behaviour must be seen"


def test_the_stationary_law_is_kept_by_a_step_of_the_behaviour():
    x, _, _, after = OFF.transitions(100_000, seed=1)
    for states in (x, after):
        products = states[:, :, None] * states[:, None, :]
        error = stats.norm.isf(LEVEL / 12) * products.std(axis=0) / np.sqrt(len(x))
        assert (np.abs(products.mean(axis=0) - OFF.moments) <= error).all()


def test_the_perfect_critic_satisfies_its_equation():
    """z'Tz = cost - average + E z''T z', with the noise integrated by hand."""
    table, average = OFF.critic()
    z = np.array([0.3, -1.2, 0.7])
    x, u = z[:2], z[2:]
    drift = A @ x + B @ u
    closing = np.concatenate([np.eye(2), -GAIN])
    value = closing.T @ table @ closing
    cost = x @ x + 0.5 * u @ u
    np.testing.assert_allclose(z @ table @ z, cost - average + drift @ value @ drift + (value * PROBLEM.start[0]).sum())
    np.testing.assert_allclose(OFF.residual_of(table), OFF.residual)
    np.testing.assert_allclose(average, PROBLEM.cost(GAIN[None])[0])


def test_a_learned_critic_comes_near_the_perfect_one_at_the_rate_of_an_average():
    table, average = OFF.critic()
    errors = {}
    for count in (2_000, 50_000):
        found = [OFF.learned_critic(count, seed=2, first=k * count) for k in range(4)]
        errors[count] = np.mean([np.abs(t - table).max() + abs(c - average) for t, c in found])
    assert errors[50_000] < 0.1 * np.abs(table).max()
    assert errors[50_000] < errors[2_000] / 2  # 5 times less, on average


@pytest.mark.parametrize("follow", [True, False])
def test_descent_reaches_the_optimum_with_data_of_any_behaviour(follow):
    run = off_policy_descent(PROBLEM, GAIN, [[0.5]], 12, 0.1, 4_000, seed=3, follow=follow)
    assert run.gaps[-1] < 0.02 * run.gaps[0] and (run.gaps > -1e-9).all()
    plain = off_policy_descent(PROBLEM, GAIN, [[0.5]], 12, 0.01, 4_000, seed=3, natural=False, follow=follow)
    assert plain.gaps[-1] < plain.gaps[0]


def test_with_several_states_the_plain_off_policy_step_may_climb_and_the_natural_one_descends():
    problem = LinearQuadratic.average([[-0.3, -0.15], [-0.2, 0.3]], [[-1.2], [-0.5]], np.diag([10, 0.01]), [[0.3]], np.diag([1, 0.01]))
    gain = np.array([[0.16, 0.74]])
    off = OffPolicyGradient(problem, gain, Behaviour([[-0.09, -0.45]], [[1.0]]))
    on_policy = problem.gradient(gain[None])[0]
    assert (off.expectation() * on_policy).sum() < -0.5 * np.linalg.norm(off.expectation()) * np.linalg.norm(on_policy)
    cost, step = problem.cost(gain[None])[0], 1e-3
    assert problem.cost((gain - step * off.expectation())[None])[0] > cost
    assert problem.cost((gain - step * 2 * off.residual)[None])[0] < cost


def test_the_optimum_has_no_residual():
    from scipy.linalg import solve_discrete_are

    P = solve_discrete_are(A, B, np.eye(2), np.array([[0.5]]))
    best = np.linalg.solve(0.5 + B.T @ P @ B, B.T @ P @ A)
    at_best = OffPolicyGradient(PROBLEM, best, Behaviour(OTHER, [[0.3]]))
    np.testing.assert_allclose(at_best.expectation(), 0, atol=1e-12)
    np.testing.assert_allclose(PROBLEM.cost(best[None])[0], optimal_cost(PROBLEM))


def test_normal_numbers_are_normal():
    assert stats.kstest(normals(20_000, 3, seed=5).reshape(-1), "norm").pvalue > LEVEL


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda: OffPolicyGradient(PROBLEM, [[0.1]]), r"gain must be \(1, 2\) finite numbers"),
        (lambda: OffPolicyGradient(PROBLEM, [[0.0, -3.0]]), "gain does not stabilise: the spectral radius of A - B K is 3.8"),
        (lambda: OffPolicyGradient(PROBLEM, GAIN, Behaviour([[0.0, -3.0]], [[1.0]])), "behaviour.gain does not stabilise"),
        (lambda: OffPolicyGradient(PROBLEM, GAIN, Behaviour(OTHER, [[-1.0]])), "behaviour.noise must be symmetric"),
        (lambda: OffPolicyGradient(PROBLEM, GAIN, Behaviour(OTHER, [[0.0]])).learned_critic(500), "needs noise in every control"),
        (lambda: OFF.learned_critic(5), "5 transitions for 7 unknowns"),
        (lambda: OFF.draw(0), "count is 0"),
        (lambda: OFF.draw(3, seed="x"), "seed is 'x'"),
        (lambda: off_policy_descent(PROBLEM, GAIN, [[1.0]], 3, 0.0, 10), "step_size is 0.0"),
        (lambda: off_policy_descent(PROBLEM, GAIN, [[1.0]], 3, 50.0, 100), "does not stabilise"),
    ],
)
def test_bad_input_is_named(use, words):
    with pytest.raises(ModelError, match=words):
        use()
