"""The nearest policy with another value: against a convex program in occupancies, and the tilt of a bandit."""

from __future__ import annotations

import numpy as np
import pytest

from mdps import MDP, ModelError, zoo
from pgtheory import counterfactual_policy, solve
from pgtheory.exact import occupancy, state_values


def test_a_bandits_answer_is_the_tilt():
    """pi = (1/2, 1/4, 1/4), r = (1, 1/2, 0), return 7/10: exponent 0.46155, divergence 0.016954 (checked by hand in exact.md's figures)."""
    found = counterfactual_policy(zoo.arms([1, "1/2", 0]), np.array([[0.5, 0.25, 0.25]]), 0.7)
    tilt = np.array([0.5, 0.25, 0.25]) * np.exp(found.multiplier * np.array([1, 0.5, 0]))
    np.testing.assert_allclose(found.policy[0], tilt / tilt.sum(), rtol=0, atol=1e-12)
    np.testing.assert_allclose([found.multiplier, found.divergence, found.value], [0.46155, 0.016954, 0.7], rtol=0, atol=5e-6)


@pytest.mark.parametrize("seed", range(4))
def test_no_policy_with_that_value_is_nearer(seed):
    """minimise sum x log(x / (x(s) pi)) over flows with that reward: cvxpy knows nothing of soft optimality."""
    cvxpy = pytest.importorskip("cvxpy")
    rng = np.random.default_rng(seed)
    mdp = MDP(rng.dirichlet(np.ones(3), (3, 2)), rng.random((3, 2)), 0.8, rng.dirichlet(np.ones(3)))
    policy = rng.dirichlet(np.ones(2), 3)
    value = float(mdp.start @ state_values(mdp, policy))
    extremes = [sign * float(mdp.start @ solve(MDP(mdp.transitions, sign * mdp.rewards, 0.8)).values) for sign in (1, -1)]
    target = value + 0.4 * (extremes[seed % 2] - value)
    flow = cvxpy.Variable((3, 2), nonneg=True)
    visits = cvxpy.sum(flow, axis=1)
    inflow = sum(mdp.transitions[s, a] * flow[s, a] for s in range(3) for a in range(2))
    constraints = [visits == (1 - mdp.discount) * mdp.start + mdp.discount * inflow]
    constraints += [cvxpy.sum(cvxpy.multiply(flow, mdp.rewards)) == (1 - mdp.discount) * target]
    objective = sum(cvxpy.rel_entr(flow[s, a], policy[s, a] * visits[s]) for s in range(3) for a in range(2))
    problem = cvxpy.Problem(cvxpy.Minimize(objective), constraints)
    problem.solve()
    found = counterfactual_policy(mdp, policy, target)
    assert found.value == pytest.approx(target, abs=1e-10)
    assert found.divergence == pytest.approx(problem.value, abs=1e-6)  # the solver's own accuracy
    np.testing.assert_allclose(occupancy(mdp, found.policy), flow.value, rtol=0, atol=1e-3)


def test_the_present_value_asks_for_no_change():
    mdp, policy = zoo.two_state(), np.array([[0.3, 0.7], [0.6, 0.4]])
    value = float(mdp.start @ state_values(mdp, policy))
    found = counterfactual_policy(mdp, policy, value)
    assert found.divergence == 0 and found.multiplier == 0
    np.testing.assert_array_equal(found.policy, policy)


def test_actions_that_are_never_taken_stay_out():
    mdp = zoo.arms([1, "1/2", 0])
    found = counterfactual_policy(mdp, np.array([[0.0, 0.5, 0.5]]), 0.4)
    assert found.policy[0, 0] == 0
    assert found.value == pytest.approx(0.4, abs=1e-12)


@pytest.mark.parametrize("target", [1.5, 0.5, -0.1])
def test_a_target_out_of_reach_names_the_range(target):
    with pytest.raises(ModelError, match=r"from 0 to 0\.5"):
        counterfactual_policy(zoo.arms([1, "1/2", 0]), np.array([[0.0, 0.5, 0.5]]), target)
