"""Thousands of small models, ill-conditioned ones among them: every solver's lower <= optimum <= upper, compared in fractions.

The optimum is computed in rationals and proved by a certificate whose checker shares no code with the solvers (and which test_certificates.py
tests against enumeration and wrong certificates).  Each test here runs over a block of model numbers (instances.py); the slow ones over nineteen further blocks.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mdps import FiniteHorizon
from mdps.rational import fraction
from pgtheory.exact import (
    certify,
    reachability,
    solve,
    solve_average,
    solve_average_exactly,
    solve_exactly,
    solve_finite_horizon,
    solve_game,
    total_reward,
)
from pgtheory.exact.discounted import METHODS
from tests.pgtheory.exact.instances import small_game, small_mdp

pytestmark = pytest.mark.exact
BLOCKS = [pytest.param(k, marks=pytest.mark.slow if k else ()) for k in range(20)]


def assert_encloses(lower, upper, exact, where) -> None:
    for a, v, b in zip(lower.tolist(), exact, upper.tolist(), strict=True):
        if isinstance(v, float):  # infinite
            assert a == v == b, where
            continue
        assert a == -np.inf or Fraction(a) <= fraction(v), where
        assert b == np.inf or fraction(v) <= Fraction(b), where


def contains(mask, exact) -> bool:
    """Every optimal action is among those that are reported."""
    return bool(np.all(mask | ~exact))


@pytest.mark.parametrize("block", BLOCKS)
def test_discounted(block):
    methods = [m for m in METHODS if m not in ("linear",)]
    for seed in range(400 * block, 400 * (block + 1)):
        mdp = small_mdp(seed)
        exact = solve_exactly(mdp)
        chosen = {methods[(seed + 3 * k) % len(methods)] for k in range(3)} | ({"linear"} if seed % 20 == 0 else set())
        for method in sorted(chosen - ({"krylov"} if not mdp.is_sparse else set())):
            limit = 10 if method == "modified" else 100  # each of its sweeps is followed by up to a thousand of one policy
            found = solve(mdp, method, limit=limit, on_limit="return", refine=seed % 2 == 0)
            assert_encloses(found.lower, found.upper, exact.values, (seed, method))
            assert np.all((found.lower <= found.values) & (found.values <= found.upper)), (seed, method)
            assert contains(found.optimal_actions, exact.optimal_actions), (seed, method)
            assert (found.stopped == "tolerance") <= (found.error <= 1e-8), (seed, method)


@pytest.mark.parametrize("block", BLOCKS)
def test_average_reward(block):
    for seed in range(100 * block, 100 * (block + 1)):
        mdp = small_mdp(seed)
        exact, found = solve_average_exactly(mdp), solve_average(mdp, limit=500, on_limit="return")
        assert_encloses(found.lower, found.upper, exact.gain, seed)
        if found.stopped == "tolerance":
            assert found.error <= 1e-8, seed
        proved = certify(mdp, found)
        assert_encloses(proved.lower, proved.upper, exact.gain, seed)


@pytest.mark.parametrize("block", BLOCKS)
def test_reachability(block):
    for seed in range(200 * block, 200 * (block + 1)):
        mdp, rng = small_mdp(seed), np.random.default_rng(seed)
        goal, direction = rng.random(mdp.num_states) < 0.4, "max" if seed % 2 else "min"
        options = {"through": rng.random(mdp.num_states) < 0.8} if seed % 3 == 0 else {}
        _assert_answered(mdp, seed, lambda **more: reachability(mdp, goal, direction, **options, **more))  # noqa: B023


@pytest.mark.parametrize("block", BLOCKS)
def test_total_reward(block):
    for seed in range(200 * block, 200 * (block + 1)):
        mdp, rng = small_mdp(seed, nonnegative=True), np.random.default_rng(seed)
        goal, direction = rng.random(mdp.num_states) < 0.4, "max" if seed % 2 else "min"
        options = {"rewards": -mdp.pair_rewards} if seed % 3 == 0 else {}
        _assert_answered(mdp, seed, lambda **more: total_reward(mdp, goal, direction, **options, **more))  # noqa: B023


def _assert_answered(mdp, seed, run) -> None:
    exact, found = run(exact=True), run(on_limit="return")
    assert_encloses(found.lower, found.upper, exact.values, seed)
    assert contains(found.optimal_actions, exact.optimal_actions), seed
    if found.stopped == "tolerance":
        assert found.error <= 1e-6, seed
    proved = certify(mdp, found)
    assert_encloses(proved.lower, proved.upper, exact.values, seed)


@pytest.mark.parametrize("block", BLOCKS)
def test_finite_horizon(block):
    for seed in range(100 * block, 100 * (block + 1)):
        mdp, rng = small_mdp(seed), np.random.default_rng(seed)
        terminal = rng.standard_normal(mdp.num_states) * rng.choice([0.0, 1.0, 1e6])
        problem = FiniteHorizon.from_mdp(mdp, int(rng.integers(1, 10)), terminal, float(rng.choice([1.0, 0.9, 0.5, 1.1])))
        exact, found = solve_finite_horizon(problem, exact=True), solve(problem)
        proved = certify(problem, found)
        for t in range(problem.horizon + 1):
            for answer in (found, proved):
                assert_encloses(answer.lower[t], answer.upper[t], exact.values[t], seed)
        for mask, sure in zip(found.optimal_actions, exact.optimal_actions, strict=True):
            assert contains(mask, sure), seed


@pytest.mark.parametrize("block", BLOCKS)
def test_games(block):
    """Against the bounds that both strategies hold in rationals: the two enclosures have a point in common, and the proved one is not wider."""
    for seed in range(50 * block, 50 * (block + 1)):
        P, r, gamma = small_game(seed)
        found = solve_game(P, r, gamma, limit=1000, on_limit="return")
        proved = certify((P, r, gamma), found)
        assert np.all((found.lower <= proved.upper) & (proved.lower <= found.upper)), seed
        if found.stopped == "tolerance":
            assert found.error <= 1e-8 * (1 + 1e-9), seed
        assert proved.error <= 3 * found.error + 1e-12 * (1 + np.max(np.abs(found.values))), seed


@pytest.mark.parametrize("seed", range(60))
def test_games_of_one_state_and_two_by_two_actions_have_their_closed_form(seed):
    """val [[a, b], [c, d]] is its saddle point where there is one, else (ad - bc)/(a + d - b - c) (von Neumann); one state: V = val / (1 - gamma)."""
    rng = np.random.default_rng(seed)
    a, b, c, d = (int(k) for k in rng.integers(-5, 6, 4))
    low, high = max(min(a, b), min(c, d)), min(max(a, c), max(b, d))
    value = Fraction(low) if low == high else Fraction(a * d - b * c, a + d - b - c)
    gamma = ("0", "1/2", "9/10", "9999/10000")[seed % 4]
    found = solve_game(np.ones((1, 2, 2, 1)), np.array([[[a, b], [c, d]]], dtype=float), gamma, on_limit="return")
    answer = value / (1 - Fraction(gamma))
    assert Fraction(found.lower[0]) <= answer <= Fraction(found.upper[0])
    assert found.error <= 1e-8
