"""Nested risk: three ways to the optimum, sound bounds, worst kernels, the robust reading, gradients, bad input."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st

from mdps import MDP, ModelError, zoo
from mdps.rational import to_float
from mdps.strategies import finite_horizon_problems, mdps, policies
from pgtheory import arithmetic, risk, solve, state_values
from pgtheory.exact import solve_exactly
from pgtheory.risk.nested import (
    _Rows,
    nested_action_values,
    nested_bounds,
    nested_evaluation,
    nested_gradient,
    solve_nested,
    solve_nested_exactly,
    solve_nested_horizon,
)
from pgtheory.solution import NotConverged
from tests.pgtheory.risk import plain

POLYHEDRAL = ("cvar:1/5", "mean-cvar:1/4,1/2", "spectral:1/10=1/3,1/2=2/3", "semideviation:1/2", "worst")
SMOOTH = ("entropic:2", "evar:2/5", "semideviation:3/4,2")
models = mdps(max_states=3, max_actions=2, ragged=True)
short_models = mdps(max_states=3, max_actions=2, ragged=True, discount=st.sampled_from(["0", "1/2", "3/4"]))


@settings(max_examples=8)
@given(mdp=short_models)
@pytest.mark.parametrize("text", [*POLYHEDRAL, *SMOOTH])
def test_bounds_contain_a_long_value_iteration_and_the_exact_optimum(text: str, mdp: MDP) -> None:
    measure = risk.parse(text)
    found = solve_nested(mdp, measure, on_limit="return")
    values = np.zeros(mdp.num_states)
    rows = mdp.choices
    for _ in range(int(np.ceil(40 / -np.log(mdp.discount))) if mdp.discount else 2):
        rated = mdp.pair_rewards + mdp.discount * measure.value(rows, values)
        values = np.maximum.reduceat(rated, mdp.first_pair[:-1])
    slack = 1e-11 / (1 - mdp.discount)  # EVaR's bisection enters every sweep of the value iteration
    assert (found.lower <= values + slack).all() and (values <= found.upper + slack).all()
    assert found.error <= 1e-9 / (1 - mdp.discount)
    if measure.rational:
        exact = solve_nested_exactly(mdp, measure)
        assert (to_float(exact.values) <= found.upper).all() and (found.lower <= to_float(exact.values)).all()
        assert exact.kernel.sum(axis=1).tolist() == [1] * mdp.num_pairs
        assert exact.error == 0


@settings(max_examples=12)
@given(mdp=models)
def test_the_worst_kernel_is_an_ordinary_model_with_the_same_optimum(mdp: MDP) -> None:
    """max_pi min_q = min_q max_pi: the optimum is that of the risk neutral model whose kernel is the envelope at the optimum, exactly."""
    found = solve_nested_exactly(mdp, "cvar:1/3")
    twin = MDP.from_choices(mdp.first_pair, found.worst_choices, mdp.exact.pair_rewards, mdp.exact.discount, mdp.exact.start)
    assert (solve_exactly(twin).values == found.values).all()
    assert (found.worst_choices <= mdp.exact.choices * 3).all()


@settings(max_examples=6)
@given(mdp=mdps(max_states=3, max_actions=2))
def test_nested_cvar_is_the_linear_program_of_nature(mdp: MDP) -> None:
    """For a fixed policy: the values are the largest v with v <= r + gamma q.v for every q in the envelope, here iterated with HiGHS."""
    policy = np.full((mdp.num_states, mdp.num_actions), 1 / mdp.num_actions)
    found = solve_nested(mdp, "cvar:2/5", policy=policy)
    for s in range(mdp.num_states):
        rated = [mdp.rewards[s, a] + mdp.discount * plain.cvar_program(mdp.transitions[s, a], found.values, 0.4) for a in range(mdp.num_actions)]
        assert abs(np.mean(rated) - found.values[s]) <= 1e-8
    assert found.actions is None
    with pytest.raises(ModelError, match="was given"):
        _ = found.policy


@settings(max_examples=10)
@given(mdp=models)
def test_levels_zero_and_one_are_the_worst_case_and_the_ordinary_optimum(mdp: MDP) -> None:
    neutral = solve_exactly(mdp).values
    for text in ("cvar:1", "mean", "semideviation:0"):
        assert (solve_nested_exactly(mdp, text).values == neutral).all()
    worst = solve_nested_exactly(mdp, "worst").values
    assert (solve_nested_exactly(mdp, "cvar:0").values == worst).all()
    assert (worst <= solve_nested_exactly(mdp, "cvar:1/2").values).all()
    assert (solve_nested_exactly(mdp, "cvar:1/2").values <= neutral).all()


@settings(max_examples=10)
@given(data=st.data())
@pytest.mark.parametrize("text", ["cvar:1/3", "entropic:2", "evar:1/2"])
def test_evaluation_agrees_in_three_arithmetics(text: str, data: Any) -> None:
    mdp = data.draw(mdps(max_states=3, max_actions=2, discount="3/4"))
    policy = data.draw(policies(mdp, exact=True))
    measure = risk.parse(text)
    found = solve_nested(mdp, measure, policy=to_float(policy))
    values, kernel, _ = nested_evaluation(to_float(policy), mdp.transitions, mdp.rewards, mdp.discount, measure)
    assert np.abs(values - found.values).max() <= 1e-10
    fixed = (to_float(policy) * nested_action_values(mdp.transitions, mdp.rewards, mdp.discount, values, measure)).sum(axis=1)
    assert np.abs(fixed - values).max() <= 1e-10
    if measure.coherent:
        assert (state_values(mdp.replace(transitions=kernel / kernel.sum(axis=-1, keepdims=True)), to_float(policy)) >= values - 1e-10).all()
    exact = mdp.exact
    if measure.rational:
        rational = nested_evaluation(policy, exact.transitions, exact.rewards, exact.discount, measure)[0]
        assert (rational == solve_nested_exactly(mdp, measure, policy=policy).values).all()
    with arithmetic.precision(100):
        parts = [arithmetic.balls(part) for part in (policy, exact.transitions, exact.rewards)]
        ball = nested_evaluation(*parts, arb(exact.discount), measure)[0]
        assert all(abs(float(b.mid()) - v) <= 1e-10 + float(b.rad()) for b, v in zip(ball, values, strict=True))
        assert max(float(b.rad()) for b in ball) < 1e-9
        if measure.rational:
            assert all(b.overlaps(arb(v)) for b, v in zip(ball, rational, strict=True))


@pytest.mark.parametrize("text", ["cvar:3/10", "entropic:3", "evar:1/2", "semideviation:1/2,2"])
def test_gradient_is_the_derivative_along_the_simplex(text: str) -> None:
    rng = np.random.default_rng(3)
    P, r, mu = rng.dirichlet(np.ones(3), (3, 2)), rng.random((3, 2)), np.array([0.5, 0.3, 0.2])
    policy, measure = rng.dirichlet(np.ones(2) * 3, 3), risk.parse(text)
    gradient = nested_gradient(policy, P, r, 0.8, mu, measure)
    step = 1e-6
    for s in range(3):
        move = np.zeros((3, 2))
        move[s] = [step, -step]
        up, down = (mu @ nested_evaluation(policy + sign * move, P, r, 0.8, measure)[0] for sign in (1, -1))
        assert (up - down) / (2 * step) == pytest.approx(gradient[s, 0] - gradient[s, 1], rel=1e-6, abs=1e-7)


def test_the_nominal_kernel_gives_another_gradient() -> None:
    """The negative control of the envelope: visits under P instead of the worst kernel."""
    rng = np.random.default_rng(3)
    P, r, mu = rng.dirichlet(np.ones(3), (3, 2)), rng.random((3, 2)), np.array([0.5, 0.3, 0.2])
    policy, measure = rng.dirichlet(np.ones(2) * 3, 3), risk.parse("entropic:3")
    right = nested_gradient(policy, P, r, 0.8, mu, measure)
    values = nested_evaluation(policy, P, r, 0.8, measure)[0]
    visits = arithmetic.policy_values_and_visits(policy, P, r, 0.8, mu)[1]
    wrong = visits[:, None] * nested_action_values(P, r, 0.8, values, measure)
    assert np.abs((right - wrong)[:, 0] - (right - wrong)[:, 1]).max() > 1e-3


def test_entropic_penalty_carries_the_discount() -> None:
    """V is the ordinary value with stage reward r + (gamma / beta) KL(q | P) at the tilted kernel; without gamma it is not."""
    P = np.array([[[0.5, 0.5]], [[0.25, 0.75]]])
    r, gamma, beta = np.array([[1.0], [0.0]]), 0.5, 2.0
    values, q, penalty = nested_evaluation(np.ones((2, 1)), P, r, gamma, risk.Entropic(beta))
    assert values == pytest.approx([1.2087, 0.1251], abs=1e-4)
    assert penalty == pytest.approx(risk.kl(q, P) / beta, abs=1e-14)
    wrong = MDP(q, r + penalty, gamma)
    assert state_values(wrong, np.ones((2, 1))) == pytest.approx([1.3454, 0.2122], abs=1e-4)


@settings(max_examples=8)
@given(problem=finite_horizon_problems(max_horizon=3))
def test_backward_induction_with_the_mean_is_the_ordinary_one(problem: Any) -> None:
    from pgtheory import solve_finite_horizon

    values, actions = solve_nested_horizon(problem, "mean", exact=True)
    neutral = solve_finite_horizon(problem, exact=True)
    assert all((mine == theirs).all() for mine, theirs in zip(values, neutral.values, strict=True))
    assert len(actions) == neutral.horizon
    floats, _ = solve_nested_horizon(problem, "cvar:1/2")
    exact, _ = solve_nested_horizon(problem, "cvar:1/2", exact=True)
    assert np.abs(floats[0] - to_float(exact[0])).max() <= 1e-13


def test_bounds_hold_from_any_vector() -> None:
    mdp = zoo.river_swim()
    truth = solve_nested_exactly(mdp, "cvar:3/10").values
    for values in (np.zeros(6), np.full(6, 1e6), np.arange(6) * -100.0):
        lower, upper = (arithmetic.exactly(bound) for bound in nested_bounds(mdp, "cvar:3/10", values))
        assert (lower <= truth).all() and (truth <= upper).all()


def test_large_sparse_model_is_solved_with_sparse_systems() -> None:
    found = solve_nested(zoo.taxi(), "cvar:1/5")
    assert found.error < 1e-8
    assert np.allclose(found.values, solve(zoo.taxi()).values)  # taxi's moves are certain: no risk


@settings(max_examples=10)
@given(mdp=mdps(max_states=4, max_actions=2, ragged=True, exact=False))
def test_rows_of_float_models_are_those_of_the_exact_twin(mdp: MDP) -> None:
    rows = _Rows(mdp, "rational")
    dense = arithmetic.exactly(np.zeros((mdp.num_pairs, mdp.num_states)))
    np.add.at(dense, (np.arange(mdp.num_pairs)[:, None], rows.successors), rows.probabilities)
    assert (dense == mdp.exact.choices).all()
    assert (rows.rewards == mdp.exact.pair_rewards).all() and rows.discount == mdp.exact.discount


def test_failures() -> None:
    mdp = zoo.survival()
    with pytest.raises(ModelError, match="irrational"):
        solve_nested_exactly(mdp, "evar:1/2")
    with pytest.raises(ModelError, match="tol is 0"):
        solve_nested(mdp, "cvar:1/2", 0)
    with pytest.raises(ModelError, match=r"takes an mdps\.MDP; this is a int"):
        solve_nested(3, "cvar:1/2")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="sums to 2"):
        solve_nested(mdp, "cvar:1/2", policy=np.full((2, 1), 2.0))
    with pytest.raises(NotConverged, match="floats cannot prove less") as caught:
        solve_nested(zoo.river_swim(), "cvar:1/2", 1e-300)
    assert caught.value.solution.stopped == "rounding"
    assert solve_nested(mdp, "entropic:0").values[0] == pytest.approx(float(Fraction(20, 11)))
