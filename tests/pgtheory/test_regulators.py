"""Regulators, shooting and gradients in a wrong model against Riccati, a semidefinite program, differences and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdps.errors import ModelError
from mdps.rational import rational_array
from pgtheory.control import (
    Shooting,
    biased_step_size,
    condition_bounds,
    power_errors,
)
from pgtheory.linear_quadratic import LinearQuadratic
from tests.tolerances import EPS

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
