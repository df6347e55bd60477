"""Regulators, shooting, an exact lift, smoothed agents and advice against Riccati, a semidefinite program, simulation, enumeration and closed forms."""

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
    Shooting,
    SmoothedAgent,
    advice_model,
    biased_step_size,
    certificate,
    condition_bounds,
    power_errors,
    solve_advice,
)
from pgtheory.linear_quadratic import LinearQuadratic
from tests.tolerances import EPS, linear_solve

SEEDS = st.integers(0, 10**6)
FEW = settings(max_examples=20)


def solve_error(problem, gain):
    """A Lyapunov solve of n^2 unknowns: 8 n^2 eps times the condition, times the size of what is solved for; squared condition for products of two."""
    loop = problem.closed_loop(gain)[0]
    n = len(loop)
    condition = np.linalg.cond(np.eye(n * n) - np.kron(loop, loop))
    return 8 * n * n * EPS * condition**2 * max(1.0, np.abs(problem.cost_matrix(gain)).max(), np.abs(gain).max()) ** 2


def regulator(seed, n=3, m=2):
    rng = np.random.default_rng(seed)
    root, price, begin = rng.normal(size=(n, n)), rng.normal(size=(m, m)), rng.normal(size=(n, n))
    b, gain, closed = rng.normal(size=(n, m)), rng.normal(size=(m, n)), rng.uniform(-0.3, 0.3, (n, n))
    noise = begin @ begin.T + 0.1 * np.eye(n)
    return LinearQuadratic.of(closed + b @ gain, b, root @ root.T + 0.1 * np.eye(n), price @ price.T + 0.1 * np.eye(m), noise), gain[None]


# Regulators


def test_the_optimum_of_a_regulator_is_that_of_a_semidefinite_program():
    """max tr(P S0) over P with [[R + B'PB, B'PA], [A'PB, Q + A'PA - P]] positive semidefinite: the dual of the problem over all policies."""
    import cvxpy

    problem, _ = regulator(4, n=2, m=2)
    a, b, q, r, s = (x[0] for x in (problem.A, problem.B, problem.Q, problem.R, problem.start))
    p = cvxpy.Variable((2, 2), symmetric=True)
    blocks = cvxpy.bmat([[r + b.T @ p @ b, b.T @ p @ a], [a.T @ p @ b, q + a.T @ p @ a - p]])
    program = cvxpy.Problem(cvxpy.Maximize(cvxpy.trace(p @ s)), [(blocks + blocks.T) / 2 >> 0])
    program.solve(solver=cvxpy.CLARABEL)
    assert problem.cost(problem.optimal_gain())[0] == pytest.approx(
        program.value, rel=1e-5
    )  # Clarabel stops at 1e-8, relative to the largest entries


@given(SEEDS)
@FEW
def test_average_cost_is_what_a_long_run_pays_per_step(seed):
    problem, gain = regulator(seed)
    average = LinearQuadratic.average(*(x[0] for x in (problem.A, problem.B, problem.Q, problem.R)), noise=problem.start[0])
    loop, stage, moment = problem.closed_loop(gain)[0], problem.Q[0] + gain[0].T @ problem.R[0] @ gain[0], np.zeros((3, 3))
    for _ in range(2000):  # the spectral radius is at most .9: .9^4000 is nothing
        moment = loop @ moment @ loop.T + problem.start[0]
    assert average.cost(gain)[0] == pytest.approx((stage * moment).sum(), rel=1e-9)
    assert average.moments(gain)[0] == pytest.approx(moment, rel=1e-9, abs=1e-9 * np.abs(moment).max())


@given(SEEDS)
@FEW
def test_the_bound_without_the_optimum_holds_and_descent_keeps_its_rates(seed):
    problem, gain = regulator(seed)
    best = problem.optimal_gain()
    least, slack = problem.cost(best)[0], solve_error(problem, gain)
    assert problem.cost(gain)[0] - least <= problem.gap_bound(gain)[0] * (1 + slack) + slack
    share = np.linalg.eigvalsh(problem.start[0])[0] / np.linalg.norm(problem.moments(best)[0], 2)
    _, costs = problem.descend(gain, iterations=6)
    for k in range(7):
        assert costs[k, 0] - least <= (1 - share) ** k * (costs[0, 0] - least) + slack * costs[0, 0]
    gains, costs = problem.descend(gain, "natural", iterations=6)
    factor = 1 - 2 * problem.largest_natural_step(gain)[0] * np.linalg.eigvalsh(problem.R[0])[0] * share
    for k in range(7):
        assert costs[k, 0] - least <= factor**k * (costs[0, 0] - least) + slack * costs[0, 0]
    assert problem.is_stable(gains[-1])[0]


@pytest.mark.exact
def test_closed_forms_of_scalar_regulators():
    """U18: a = b = r = 1, q = 1/2 has P = 1, k = 1/2.  U19: inventory with phi = 2/3, eta = 1, gamma = 1/2 has P = 1, u = q/3."""
    half, one = rational_array([[["1/2"]]]), rational_array([[["1"]]])
    problem = LinearQuadratic(one, one, half, one, one)
    assert problem.cost_matrix(half)[0, 0, 0] == 1 and problem.residual(half)[0, 0, 0] == 0
    inventory = LinearQuadratic.of(1, -1, 2 / 3, 1, discount=0.5)
    assert inventory.optimal_gain()[0, 0, 0] == pytest.approx(-1 / 3, rel=64 * EPS)
    assert inventory.cost_matrix(inventory.optimal_gain())[0, 0, 0] == pytest.approx(1, rel=64 * EPS)


@pytest.mark.exact
def test_the_doubled_newton_step_costs_exactly_what_the_first_gain_does():
    a, b, gain = (rational_array(x) for x in ([[["1/2", "1/3"], [0, "1/4"]]], [[[1, 0], [1, 2]]], [[["1/8", 0], ["1/9", "1/7"]]]))
    eye = rational_array([[[1, 0], [0, 1]]])
    problem = LinearQuadratic(a, b, eye, eye, eye)
    better = problem.gauss_newton(gain)
    assert problem.cost(2 * better - gain)[0] == problem.cost(gain)[0] > problem.cost(better)[0]


def test_doubled_and_fourfold_natural_steps_of_the_scalar_example():
    """a = 1/5, b = 1/10, q = 1, r = 10, K = K* + 1/20: gap ratios 1 and about 9 at two and four times the largest step."""
    problem = LinearQuadratic.of(0.2, 0.1, 1, 10)
    best = problem.optimal_gain()
    gain = best + 0.05
    step = problem.largest_natural_step(gain)[0]
    gaps = [problem.cost(problem.natural_gradient(gain, k * step))[0] - problem.cost(best)[0] for k in (0, 1, 2, 4)]
    assert gaps[1] < 1e-3 * gaps[0]
    assert gaps[2] / gaps[0] == pytest.approx(1, rel=1e-9) and 9 < gaps[3] / gaps[0] < 9.1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda p: p.require_stable(np.array([[[3.0]]])), "does not stabilise: A - B K has the spectral radius 1.5"),
        (lambda p: p.gap_bound(np.array([[[0.0]]])), "spectral radius 1.5"),
        (lambda p: p.descend([[1.0]], "gradient"), "needs a step_size"),
        (lambda p: p.descend([[1.0]], "newton"), "unknown method 'newton'.*gauss-newton"),
        (lambda p: p.descend([[1.0]], "natural", step_size=-1), "step_size is -1"),
        (lambda p: p.descend([[1.0]], "gradient", step_size=10.0), "step 1 of gradient left the stabilising gains"),
        (lambda p: p.require_stable(np.array([[[np.nan]]])), "not finite"),
        (lambda p: LinearQuadratic.of(2.0, 0.0, 1.0, 1.0).optimal_gain(), "no stabilising solution"),
    ],
)
def test_an_unstable_gain_or_a_bad_setting_is_named(call, said):
    with pytest.raises(ModelError, match=said):
        call(LinearQuadratic.of(1.5, 1.0, 1.0, 1.0))


# Shooting and wrong models


def shot(seed, n=2, m=2, horizon=4):
    rng = np.random.default_rng(seed)
    root, price = rng.normal(size=(n, n)), rng.normal(size=(m, m))
    matrices = rng.normal(size=(n, n)), rng.normal(size=(n, m)), root @ root.T, price @ price.T + 0.1 * np.eye(m)
    return Shooting.of(*matrices, rng.normal(size=n), horizon, rng.normal(size=(m, n))), rng.normal(size=(horizon, m))


@given(SEEDS)
@FEW
def test_the_best_plan_costs_what_backward_induction_says(seed):
    problem, plan = shot(seed)
    rest = problem.Q
    for _ in range(problem.horizon):  # the cost from step t on, Q of the state x_t itself included
        inner = problem.R + problem.B.T @ rest @ problem.B
        cross = problem.B.T @ rest @ problem.A
        rest = problem.Q + problem.A.T @ rest @ problem.A - cross.T @ np.linalg.solve(inner, cross)
    least = problem.start @ (rest - problem.Q) @ problem.start
    scale = (
        1
        + abs(least)
        + float(problem.start @ np.linalg.matrix_power(problem.A, 4).T @ problem.Q @ np.linalg.matrix_power(problem.A, 4) @ problem.start)
    )
    slack = 1e3 * EPS * np.linalg.cond(problem.hessian()) * scale * (1 + np.abs(problem.feedback).max()) ** 2
    assert problem.cost(problem.best_plan()) == pytest.approx(least, abs=slack)
    assert problem.cost(plan) >= least - slack


@pytest.mark.exact
def test_gradient_and_hessian_are_exact_differences():
    rng = np.random.default_rng(3)

    def draw(*shape):
        return rational_array(rng.integers(-3, 4, shape).tolist())

    problem = Shooting(draw(2, 2), draw(2, 2), draw(2, 2), draw(2, 2), draw(2), draw(2, 2), 3)
    problem = Shooting(problem.A, problem.B, problem.Q + problem.Q.T, problem.R + problem.R.T, problem.start, problem.feedback, 3)
    plan, bend = draw(3, 2), problem.hessian()
    slope = problem.gradient(plan)
    units = [rational_array(np.eye(6, dtype=int)[k].reshape(3, 2).tolist()) for k in range(6)]
    for k, e in enumerate(units):
        assert (problem.cost(plan + e) - problem.cost(plan - e)) / 2 == slope.reshape(-1)[k]
        for j, f in enumerate(units):
            mixed = problem.cost(plan + e + f) - problem.cost(plan + e) - problem.cost(plan + f) + problem.cost(plan)
            assert mixed == bend[k, j]


def test_condition_numbers_of_shooting_grow_with_the_horizon_only_without_feedback():
    """The nine figures of a prototype that was written apart from this library, lam = 1/10."""
    known = {0.9: (22, 59, 123), 1.1: (51, 302, 3302), 1.3: (118, 2214, 441709)}
    for a, figures in known.items():
        for horizon, figure in zip((5, 10, 20), figures, strict=True):
            low, high = Shooting.of(a, 1, 1, 0.1, 1, horizon).extremes()
            least, most = condition_bounds(a, 0.1, horizon)
            assert round(high / low) == figure
            assert least <= high / low and (most is None) == (a > 1) and (most is None or high / low <= most)
            low, high = Shooting.of(a, 1, 1, 0.1, 1, horizon, feedback=a - 0.5).extremes()
            assert high / low <= condition_bounds(a, 0.1, horizon, feedback=a - 0.5)[1] < 60


def test_descent_on_plans_contracts_by_the_square_of_the_known_factor():
    problem = Shooting.of(1.1, 1, 1, 0.1, 1, 6)
    low, high = problem.extremes()
    factor = ((high - low) / (high + low)) ** 2
    _, vectors = np.linalg.eigh(problem.hessian())
    start = problem.best_plan() + (vectors[:, 0] + vectors[:, -1])[:, None]
    _, costs = problem.descend(start, iterations=5)
    gaps = costs - problem.cost(problem.best_plan())
    assert gaps[1:] / gaps[:-1] == pytest.approx(factor, rel=1e-9)


@given(SEEDS)
@FEW
def test_a_gradient_in_a_wrong_model_is_off_by_no_more_than_its_bound_and_is_right_in_the_right_one(seed):
    problem, plan = shot(seed)
    model = problem.A + np.random.default_rng(seed + 1).uniform(-0.3, 0.3, (2, 2))
    errors = np.abs(problem.gradient(plan, model) - problem.gradient(plan)).max(axis=-1)
    bounds = problem.gradient_error_bound(plan, model)
    assert (errors <= bounds * (1 + 1e3 * EPS) + 1e3 * EPS * np.abs(problem.gradient(plan)).max()).all()
    assert (problem.gradient(plan, problem.A) == problem.gradient(plan)).all()
    measured, most = power_errors(problem.A, model, 5)
    assert (measured <= most * (1 + 1e3 * EPS)).all() and measured[0] == pytest.approx(most[0], rel=8 * EPS)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: biased_step_size(1.0, 2.0), "error_share is 1.0"),
        (lambda: biased_step_size(0.5, 0.0), "smoothness is 0.0"),
        (lambda: Shooting.of(1, 1, 1, 0, 1, 3), "R has the eigenvalue 0; it must be above 0"),
        (lambda: Shooting.of(1, 1, 1, 1, 1, 0), "horizon is 0"),
        (lambda: Shooting.of(1, 1, 1, 1, [1, 2], 3), r"start has shape \(2,\)"),
        (lambda: Shooting.of(np.inf, 1, 1, 1, 1, 3), "A has an entry that is not finite"),
        (lambda: Shooting.of(1, 1, 1, 1, 1, 3).descend([[0.0]]), r"the plan has shape \(1, 1\); it must be \(3, 1\)"),
        (lambda: condition_bounds(0.5, -1, 3), "weight is -1"),
    ],
)
def test_a_bad_shooting_problem_is_named(call, said):
    with pytest.raises(ModelError, match=said):
        call()
    assert biased_step_size(0.5, 4.0) == 0.25


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
