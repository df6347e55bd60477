"""An exact lift, smoothed agents and advice against Riccati, simulation, enumeration and closed forms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from flint import fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

import mdps
import pgtheory
from mdps.errors import ModelError
from mdps.rational import rational_array
from pgtheory import arithmetic
from pgtheory.control import (
    QuadraticSystem,
    SmoothedAgent,
    advice_model,
    certificate,
    solve_advice,
)
from tests.tolerances import EPS, linear_solve

SEEDS = st.integers(0, 10**6)
FEW = settings(max_examples=20)


# An exact lift


def test_the_riccati_feedback_of_the_lift_is_optimal_for_the_nonlinear_system():
    """V = z'Pz solves the nonlinear Bellman equation: the control found by bounded scalar minimisation is the feedback, and the minimum is V."""
    from scipy.optimize import minimize_scalar

    system = QuadraticSystem(0.9, 0.5, 0.4)
    problem = system.regulator(np.diag([1.0, 1.0, 0.0]), 1.0)
    gain = problem.optimal_gain()
    value = problem.cost_matrix(gain)[0]
    for x in np.random.default_rng(5).uniform(-1, 1, (10, 2)):
        z = system.lift(x)

        def total(u, x=x, z=z):
            after = system.lift(system.step(x, u))
            return z @ problem.Q[0] @ z + u * u + after @ value @ after

        found = minimize_scalar(total, bounds=(-5, 5), method="bounded", options={"xatol": 1e-10})
        assert found.fun == pytest.approx(z @ value @ z, rel=1e-9, abs=1e-12)
        assert found.x == pytest.approx(-(gain[0] @ z).item(), abs=1e-6)


@pytest.mark.exact
def test_what_a_truncated_lift_misses_is_the_simulated_difference():
    """The formula against 60 simulated steps in rationals: a^4 = 1/16 and m^2 = 1/16 leave nothing."""
    system = QuadraticSystem(fmpq(1, 2), fmpq(1, 2), fmpq(2))
    gain, x1, q2, price = fmpq(1, 4), fmpq(3, 2), fmpq(2, 3), fmpq(5)
    formula = system.truncation_bias(gain, x1, q2, price)
    state, paid = np.array([x1, fmpq(0)], dtype=object), fmpq(0)
    for _ in range(60):
        paid += (q2 + price * gain * gain) * state[1] * state[1]
        state = system.step(state, -gain * state[1])
    assert 0 < float(formula - paid) < 1e-25


@pytest.mark.parametrize(
    ("system", "said"),
    [
        (QuadraticSystem(0.5, 0.5, 1.0, leak=0.1), "the control enters x1"),
        (QuadraticSystem(1.05, 0.5, 1.0), "a is 1.05"),
        (QuadraticSystem(-1.0, 0.5, 1.0), "a is -1.0"),
    ],
)
def test_a_system_without_an_exact_lift_or_with_infinite_cost_is_refused(system, said):
    with pytest.raises(ModelError, match=said):
        system.regulator(np.diag([0.0, 1.0, 0.0]), 1.0)


# Smoothed agents


def test_half_spaces_attain_the_certificate_and_a_budget_for_each_step_breaks_it():
    """Success y1 + y2 >= -1, sigma = 1: under energy B^2 = .64 exactly the certificate; with .8 at each step .3357 against .4630."""
    from scipy.stats import norm

    p = norm.cdf(1 / np.sqrt(2))
    assert certificate(p, 0.8, 1.0) == pytest.approx(norm.cdf((1 - np.sqrt(2) * 0.8) / np.sqrt(2)), rel=64 * EPS)
    each = norm.cdf((1 - 1.6) / np.sqrt(2))
    assert (round(each, 4), round(float(certificate(p, 0.8, 1.0)), 4)) == (0.3357, 0.4630)
    assert each == pytest.approx(certificate(p, 0.8 * np.sqrt(2), 1.0), rel=64 * EPS)


def smoothed(seed, states=2, actions=2):
    rng = np.random.default_rng(seed)
    model = mdps.MDP(rng.dirichlet(np.ones(states), (states, actions)), np.zeros((states, actions)), 0.5, rng.dirichlet(np.ones(states)))
    cuts = np.sort(rng.normal(size=actions - 1))
    return SmoothedAgent.of(model, rng.normal(size=states), cuts, rng.uniform(0.5, 2), rng.uniform(0.1, 1)), model


@given(SEEDS)
@FEW
def test_the_worst_attack_is_the_worst_of_all_attacks_enumerated(seed):
    """Two steps, two states: an adversary is one attack for each first state and one for each pair (first attack, second state)."""
    agent, _ = smoothed(seed)
    good, attacks, energy = np.array([0.0, 1.0]), (-1, 0, 1, 2), 4
    chains = {k: agent.chain(k) for k in attacks}
    worst = 0.0
    for s in range(2):
        options = []
        for first in attacks:
            left = [k for k in attacks if k * k + first * first <= energy]
            for plan in itertools.product(left, repeat=2):
                options.append(sum(chains[first][s, u] * (chains[plan[u]][u] @ good) for u in range(2)))
        worst += agent.start[s] * min(options)
    assert agent.worst_success(good, 2, attacks, energy) == pytest.approx(worst, rel=64 * EPS)
    assert agent.success(good, 2) == pytest.approx(agent.start @ chains[0] @ chains[0] @ good, rel=64 * EPS)
    counted = agent.start @ chains[0] @ good + agent.success(good, 2)
    assert sum(agent.count_tails(good, 2)) == pytest.approx(counted, rel=64 * EPS)
    assert agent.worst_count(good, 2, (0,), 0) == pytest.approx(counted, rel=64 * EPS)


@given(SEEDS)
@FEW
def test_no_attack_on_a_smoothed_agent_goes_below_the_certificate(seed):
    agent, _ = smoothed(seed, states=3, actions=3)
    good, attacks = np.array([0.0, 1.0, 1.0]), tuple(range(-3, 4))
    for energy in (0, 1, 4, 9):
        assert agent.worst_success(good, 4, attacks, energy) >= agent.certified_success(good, 4, energy) - 64 * EPS
        assert agent.worst_count(good, 4, attacks, energy) >= agent.certified_count(good, 4, energy) - 256 * EPS


def test_smoothing_works_on_balls_and_at_its_ends():
    with arithmetic.precision(128):
        found = certificate(arithmetic.balls(np.array([fmpq(3, 4)])), arithmetic.balls(np.array([fmpq(1)])), arithmetic.balls(np.array([fmpq(2)])))
    assert float(found[0].mid()) == pytest.approx(certificate(0.75, 1.0, 2.0), rel=64 * EPS) and float(found[0].rad()) < 1e-30
    assert certificate([0.0, 1.0], 3.0, 1.0).tolist() == [0.0, 1.0]
    assert certificate(0.3, 0.0, 1.0) == pytest.approx(0.3, rel=64 * EPS)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: certificate(0.5, 1.0, 0.0), "sigma is 0.0; it must be positive"),
        (lambda m: certificate(1.5, 1.0, 1.0), "probability is 1.5"),
        (lambda m: certificate(np.nan, 1.0, 1.0), "probability is nan"),
        (lambda m: certificate(0.5, -1.0, 1.0), "budget is -1"),
        (lambda m: SmoothedAgent.of(m, [0.0], [0.0], 1.0, 1.0), r"observations has shape \(1,\); it must be \(2,\)"),
        (lambda m: SmoothedAgent.of(m, [0.0, 1.0], [0.0, 1.0], 1.0, 1.0), r"thresholds has shape \(2,\); 2 actions need 1"),
        (lambda m: SmoothedAgent.of(m, [0.0, 1.0], [0.0], 0.0, 1.0), "sigma is 0.0"),
        (lambda m: SmoothedAgent.of(m, [0.0, 1.0], [0.0], 1.0, 1.0).worst_success(np.ones(2), 2, (1,), 1), "must hold 0"),
    ],
)
def test_a_bad_agent_or_certificate_is_named(call, said):
    with pytest.raises(ModelError, match=said):
        call(smoothed(0)[1])


# Advice


def walk():
    """U20: from s0 stay or go to where every step pays 1, discount 1/2; the person stays."""
    moves = [[["1", "0"], ["0", "1"]], [["0", "1"], ["0", "1"]]]
    return mdps.MDP(rational_array(moves), rational_array([["0", "0"], ["1", "1"]]), fmpq(1, 2))


@pytest.mark.exact
def test_the_walk_with_half_the_adherence_is_worth_two_thirds():
    human = rational_array([[1, 0], [1, 0]])
    exact = pgtheory.solve_exactly(advice_model(walk(), human, fmpq(1, 2)))
    assert exact.values[0] == fmpq(2, 3) and exact.values[1] == 2
    for gamma, theta in ((fmpq(3, 4), fmpq(1, 3)), (fmpq(9, 10), fmpq(1, 10))):
        longer = walk().exact.replace(discount=gamma)
        value = pgtheory.solve_exactly(advice_model(longer, human, theta)).values[0]
        assert value == gamma * theta / ((1 - gamma) * (1 - gamma * (1 - theta)))
    found = solve_advice(walk(), [[1, 0], [1, 0]], 0.5)
    assert found.values == pytest.approx([2 / 3, 2], rel=64 * EPS) and found.actions.tolist() == [1, -1] and found.critical.tolist() == [True, False]
    assert found.loss_bound == pytest.approx(1 / 2, rel=64 * EPS)  # (1 - theta) (V* - gamma V*) / (1 - gamma)


def asked(seed, states=3, actions=2):
    rng = np.random.default_rng(seed)
    model = mdps.MDP(rng.dirichlet(np.full(states, 0.5), (states, actions)), rng.random((states, actions)), rng.uniform(0, 0.95))
    return model, rng.dirichlet(np.ones(actions), states), rng.random((states, actions)), rng


@given(SEEDS)
@FEW
def test_optimal_advice_is_the_best_of_all_advice_enumerated(seed):
    model, human, share, rng = asked(seed)
    price = float(rng.uniform(0, 0.5))
    best = np.full(3, -np.inf)
    for plan in itertools.product((-1, 0, 1), repeat=3):  # -1: say nothing
        policy, paid = human.copy(), np.zeros(3)
        for s, a in enumerate(plan):
            if a >= 0:
                policy[s] = (1 - share[s, a]) * human[s]
                policy[s, a] += share[s, a]
                paid[s] = price
        chain = np.einsum("sa,sat->st", policy, model.transitions)
        best = np.maximum(best, np.linalg.solve(np.eye(3) - model.discount * chain, (policy * model.rewards).sum(axis=1) - paid))
    found = solve_advice(model, human, share, price)
    slack = 4 * linear_solve(3, model.discount, 1.5)
    assert found.values == pytest.approx(best, abs=slack)
    free = pgtheory.solve(advice_model(model, human, share)).values
    full = pgtheory.solve(model).values
    assert (full - free <= found.loss_bound + 1e-8).all()  # solve stops at 1e-8
    less = pgtheory.solve(advice_model(model, human, share * rng.random((3, 2)))).values
    assert (less <= free + 1e-7).all()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: advice_model(m, [[1, 0], [1, 0]], 1.5), r"adherence\[0, 0\] is 1.5"),
        (lambda m: advice_model(m, [[1, 0], [1, 0]], np.nan), r"adherence\[0, 0\] is nan"),
        (lambda m: advice_model(m, [[1, 1], [1, 0]], 0.5), "sums to"),
        (lambda m: advice_model(m, [[1, 0], [1, 0]], 0.5, price=-1.0), "price is -1"),
    ],
)
def test_bad_advice_is_named(call, said):
    with pytest.raises(ModelError, match=said):
        call(walk())


def test_a_certificate_of_balls_that_touch_the_ends_encloses():
    """p = 1 up to rounding has an infinite quantile; the certificate rises with p, so its values at the ends of the ball enclose it."""
    with arithmetic.precision(128):
        one, shift = arithmetic.balls(np.array([fmpq(1, 3), fmpq(2, 3)])).sum(), arithmetic.balls(np.array([fmpq(1, 2)]))
        found = certificate(np.array([one, 1 - one, arithmetic.balls(fmpq(1)), one * 0], dtype=object), shift[0], arithmetic.balls(fmpq(1)))
    assert [bool(found[k].contains(k % 2 == 0)) for k in range(3)] == [True, True, True] and found[3] == 0
    assert all(float(x.rad()) < 1e-20 for x in found)
