"""Batches, certificates, the linear program, finite horizon and games."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from mdps import MDP, ModelError, strategies
from mdps.rational import fraction, rational, to_float
from pgtheory.exact import (
    Certificate,
    CertificateError,
    batch_optimal,
    check_certificate,
    dual_occupancy,
    primal_values,
    solve,
    solve_exactly,
    solve_finite_horizon,
    solve_game,
)
from tests.pgtheory.exact.independent import fractions_of

UNIT = 2.0**-53


@given(data=st.data(), count=st.integers(1, 5))
def test_a_batch_gives_the_optimum_of_each_model(data, count):
    models = [data.draw(strategies.mdps(min_states=3, max_states=3, min_actions=2, max_actions=2)) for _ in range(count)]
    values, q = batch_optimal(
        np.stack([m.transitions for m in models]), np.stack([m.rewards for m in models]), np.array([m.discount for m in models])
    )
    for mdp, v, action_values in zip(models, values, q, strict=True):
        exact = to_float(solve_exactly(mdp).values)
        # A switch is missed only where it gains less than the slack of the kernel, 4 (S + 2) u (|r| + |V|), worth 1 / (1 - gamma) of it.
        tolerance = 32 * (3 + 2) * UNIT * (1 + np.max(np.abs(exact))) / (1 - mdp.discount)
        np.testing.assert_allclose(v, exact, rtol=0, atol=tolerance)
        np.testing.assert_allclose(action_values.max(axis=1), exact, rtol=0, atol=tolerance)


def test_threads_and_large_models_change_nothing():
    rng = np.random.default_rng(0)
    P, r = rng.dirichlet(np.ones(40), (9, 40, 3)), rng.random((9, 40, 3))
    one, two = batch_optimal(P, r, 0.9), batch_optimal(P, r, np.full(9, 0.9), threads=2)
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_allclose(one[0][0], solve(MDP(P[0], r[0], 0.9)).values, rtol=0, atol=1e-8)


@settings(max_examples=60)
@given(mdp=strategies.mdps(ragged=True), data=st.data())
def test_a_certificate_is_accepted_as_it_is_and_refused_when_anything_in_it_changes(mdp, data):
    found = solve_exactly(mdp)
    np.testing.assert_array_equal(check_certificate(mdp, found.certificate), found.optimal_actions)
    state = data.draw(st.integers(0, mdp.num_states - 1))
    for change in (rational("1/1000000007"), rational("-1/1000000007")):
        values = found.values.copy()
        values[state] += change
        with pytest.raises(CertificateError):
            check_certificate(mdp, dataclasses.replace(found.certificate, values=values))
    wrong = np.argwhere(mdp.action_mask & ~found.optimal_actions)
    if wrong.size:
        actions = found.actions.copy()
        actions[wrong[0][0]] = wrong[0][1]
        with pytest.raises(CertificateError, match="does not attain V"):
            check_certificate(mdp, Certificate(found.values, actions))
    occupancy = found.certificate.occupancy.copy()
    occupancy[0] += rational("1/1000000007")
    with pytest.raises(CertificateError, match=r"flow|objective"):
        check_certificate(mdp, dataclasses.replace(found.certificate, occupancy=occupancy))


def test_the_checker_imports_nothing_from_the_solvers():
    import ast
    import inspect

    from pgtheory.exact import certificate

    tree = ast.parse(inspect.getsource(certificate))
    names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not [name for name in names if name.startswith(("pgtheory", "mdps"))]


@settings(max_examples=40)
@given(mdp=strategies.mdps(ragged=True, discount=st.sampled_from(("0", "1/2", "9/10"))))
def test_linear_programs_agree_with_the_exact_optimum(mdp):
    exact = solve_exactly(mdp)
    scale = float(np.max(np.abs(mdp.pair_rewards))) + 1
    np.testing.assert_allclose(primal_values(mdp), to_float(exact.values), rtol=0, atol=1e-6 * scale / (1 - mdp.discount))
    x = dual_occupancy(mdp)
    assert x.sum() == pytest.approx(1, abs=1e-6)
    objective = float(np.sum(x * mdp.rewards)) / (1 - mdp.discount)
    assert objective == pytest.approx(float(mdp.start @ to_float(exact.values)), abs=1e-6 * scale / (1 - mdp.discount))


@settings(max_examples=60)
@given(mdp=strategies.mdps(ragged=True, rewards=(-1, 1)), horizon=st.integers(0, 6))
def test_backward_induction_is_exact_in_rationals_and_enclosed_in_floats(mdp, horizon):
    states, _ = fractions_of(mdp)
    values = [Fraction(0)] * mdp.num_states
    for _ in range(horizon):
        values = [max(r + sum(p * v for p, v in zip(row, values, strict=True)) for row, r in pairs) for pairs in states]
    exact = solve_finite_horizon(mdp, horizon, exact=True)
    assert [fraction(v) for v in exact.values[0]] == values
    found = solve_finite_horizon(mdp, horizon)
    assert all(Fraction(a) <= v <= Fraction(b) for a, v, b in zip(found.lower[0], values, found.upper[0], strict=True))
    assert found.error <= 1e-9
    for mask, sure in zip(found.optimal_actions, exact.optimal_actions, strict=True):
        assert np.all(mask | ~sure)


def test_stages_may_differ_and_terminal_values_count():
    early = MDP([[[0.0, 1.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]], [[0.0, 1.0], [0.0, 0.0]], 0.5)
    late = MDP([[[1.0, 0.0]], [[0.0, 1.0]]], [0.0, 5.0], 0.5)
    found = solve_finite_horizon([early, late], terminal=[0.0, 1.0])
    np.testing.assert_array_equal(found.values[1], [0.0, 6.0])
    np.testing.assert_array_equal(found.actions[0], [0, 0])
    assert found.values[0][0] == 6.0
    assert solve_finite_horizon([early, late], terminal=[0.0, 1.0], discount="1/2").values[0][0] == 0.5 * 5.5
    for arguments in ({"problem": early}, {"problem": early, "horizon": -1}, {"problem": [early], "horizon": 2}, {"problem": []}):
        with pytest.raises(ModelError):
            solve_finite_horizon(**arguments)
    with pytest.raises(ModelError, match="terminal"):
        solve_finite_horizon(early, 2, terminal=[0.0])


def matrix_game_value(matrix: np.ndarray) -> float:
    """The value by HiGHS: maximise v subject to x M >= v, x a distribution."""
    m, n = matrix.shape
    found = linprog(
        np.append(np.zeros(m), -1.0),
        A_ub=np.hstack([-matrix.T, np.ones((n, 1))]),
        b_ub=np.zeros(n),
        A_eq=np.append(np.ones(m), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * m + [(None, None)],
    )
    return float(found.x[-1])


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), first=st.integers(1, 4), second=st.integers(1, 4))
def test_one_state_games_have_the_value_of_their_matrix(seed, first, second):
    matrix = np.random.default_rng(seed).integers(-3, 4, (first, second)).astype(float)
    found = solve_game(np.ones((1, first, second, 1)), matrix[None], 0.0)
    value = matrix_game_value(matrix)
    assert found.lower[0] - 1e-7 <= value <= found.upper[0] + 1e-7
    assert found.error <= 1e-8


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_a_game_whose_second_player_has_no_choice_is_an_mdp(seed):
    rng = np.random.default_rng(seed)
    P, r = rng.dirichlet(np.ones(4) * 0.3, (4, 3)), rng.random((4, 3))
    game = solve_game(P[:, :, None, :], r[:, :, None], 0.9)
    exact = solve(MDP(P, r, 0.9), tol=1e-10)
    assert np.all(game.lower <= exact.upper)
    assert np.all(exact.lower <= game.upper)
    np.testing.assert_allclose(game.values, exact.values, rtol=0, atol=2e-8)
    mirrored = solve_game(P[:, None, :, :], -r[:, None, :], 0.9)
    np.testing.assert_allclose(mirrored.values, -exact.values, rtol=0, atol=2e-8)


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), states=st.integers(1, 5))
def test_neither_player_gains_by_deviating_from_the_strategies(seed, states):
    rng = np.random.default_rng(seed)
    P, r = rng.dirichlet(np.ones(states), (states, 3, 2)), rng.standard_normal((states, 3, 2))
    game = solve_game(P, r, 0.8, tol=1e-9)
    against_second = MDP(np.einsum("sb,sabt->sat", game.second, P), np.einsum("sb,sab->sa", game.second, r), 0.8)
    assert np.all(solve(against_second).values <= game.values + 1e-6)
    against_first = MDP(np.einsum("sa,sabt->sbt", game.first, P), -np.einsum("sa,sab->sb", game.first, r), 0.8)
    assert np.all(-solve(against_first).values >= game.values - 1e-6)


def test_games_refuse_bad_arrays():
    good = np.full((2, 2, 2, 2), 0.5)
    for P, r, gamma, message in (
        (good[0], np.zeros((2, 2, 2)), 0.5, "transitions"),
        (good, np.zeros((2, 2)), 0.5, "rewards"),
        (good, np.zeros((2, 2, 2)), 1.0, "discount"),
        (good * 1.1, np.zeros((2, 2, 2)), 0.5, "no distribution"),
        (good, np.full((2, 2, 2), np.nan), 0.5, "finite"),
    ):
        with pytest.raises(ModelError, match=message):
            solve_game(P, r, gamma)
