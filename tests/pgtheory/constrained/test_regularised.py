"""Saddles by root finding against closed forms and a conic solver; the recursion along runs, the bias, penalties, and the inverse problem."""

from __future__ import annotations

from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pgtheory
from mdps import ConstrainedMDP, ModelError, zoo
from mdps.rational import rational_array
from mdps.zoo.constrained import entropy_regularised, one_price
from pgtheory.constrained import maximum_entropy as causal
from pgtheory.constrained import penalty, regularised, soft
from pgtheory.constrained.evaluation import evaluate, lagrangian, problem_of
from pgtheory.constrained.program import solve_constrained
from pgtheory.constrained.regularised import RegularisedPrimalDual
from pgtheory.constrained.runs import State, run_constrained
from tests.pgtheory.constrained.test_methods import random_problem
from tests.tolerances import EPS, linear_solve

CASES = zoo.constrained_cases()
HIGHS = 1e-9


def rounding(model, saddle):
    """Values carry 8 S eps cond max|r - lambda c - tau log pi|; a root divides that by the slope of the dual's derivative."""
    problem = problem_of(model.float)
    size = 1 + float(np.abs(lagrangian(problem.tables, saddle.multipliers)).max()) + saddle.temperature * 50
    noise = linear_solve(problem.tables.shape[1], float(problem.discount), size)
    bend = soft.dual_hessian(problem, soft.soft_answer(problem, saddle.multipliers, saddle.temperature), saddle.temperature, saddle.ridge)
    return noise, noise / max(float(np.linalg.eigvalsh(bend).min()), 1e-3)


# Soft answers and saddles


@settings(max_examples=15)
@given(seed=st.integers(0, 2**31), temperature=st.sampled_from([0.05, 0.3, 2.0]), discount=st.sampled_from([0.0, 0.5, 0.95]))
def test_the_soft_answer_satisfies_its_bellman_equation_and_beats_other_policies(seed, temperature, discount):
    model = random_problem(seed, discount=discount, count=2)
    problem = problem_of(model)
    prices = np.array([0.7, 0.1])
    answer = soft.soft_answer(problem, prices, temperature)
    noise = linear_solve(3, discount, 3 + temperature * 50)
    backup = temperature * np.log(np.exp((answer.action_values - answer.values[:, None]) / temperature).sum(axis=1))
    assert np.abs(backup).max() <= noise
    rng = np.random.default_rng(seed)
    for policy in (answer.policy, rng.dirichlet(np.ones(3), 3), np.full((3, 3), 1 / 3)):
        paid = lagrangian(problem.tables, prices) - temperature * np.log(policy)
        worth = pgtheory.state_values(model.mdp.replace(rewards=paid), policy)
        assert (worth <= answer.values + noise).all()


@settings(max_examples=10)
@given(seed=st.integers(0, 2**31), temperature=st.sampled_from([0.2, 1.0]), ridge=st.sampled_from([0.0, 0.5]))
def test_the_derivatives_of_the_dual_are_its_differences(seed, temperature, ridge):
    problem = problem_of(random_problem(seed, discount=0.6, count=2))
    at, width = np.array([0.4, 0.9]), 1e-4

    def dual(x):
        return problem.start @ soft.soft_answer(problem, x, temperature).values + x @ problem.thresholds + ridge * (x @ x) / 2

    def slope(x):
        return soft.dual_derivative(problem, x, soft.soft_answer(problem, x, temperature), ridge)

    bend = soft.dual_hessian(problem, soft.soft_answer(problem, at, temperature), temperature, ridge)
    # central differences: width^2 / 6 times a third (fourth) derivative, at most (C / tau)^k / (1 - gamma)^(2 k), and rounding over the width
    third = (1 / (temperature * 0.4**2)) ** 2 * 6 / 0.4
    limit = width**2 * third + linear_solve(3, 0.6, 60 * temperature + 2) / width
    for i, e in enumerate(np.eye(2) * width):
        assert (dual(at + e) - dual(at - e)) / (2 * width) == pytest.approx(slope(at)[i], abs=limit)
        assert (slope(at + e) - slope(at - e)) / (2 * width) == pytest.approx(bend[i], abs=limit * 10)
    assert np.linalg.eigvalsh(bend).max() <= soft.smoothness(problem, temperature) + ridge


@pytest.mark.parametrize(("budget", "temperature"), [("1/4", "1/2"), ("1/4", "1/10"), ("9/10", "1/2"), ("3/4", "3")])
def test_maximum_entropy_on_one_price_is_the_closed_form(budget, temperature):
    """C12: pi_1 = b and lambda = 1 - tau log(b / (1 - b)) where that is above 0, else the soft optimum of the reward."""
    share, price = (float(x) for x in entropy_regularised(budget, temperature))
    model = one_price(budget)
    found = causal.solve_maximum_entropy(model, float(F(temperature)))
    noise, root = rounding(model, found)
    assert found.policy[0, 0] == pytest.approx(share, abs=noise * 4)
    assert found.multipliers[0] == pytest.approx(price, abs=root * 4)
    assert found.entropy == pytest.approx(-(share * np.log(share) + (1 - share) * np.log(1 - share)), abs=noise * 8)


def test_the_doubly_regularised_saddle_of_one_price_is_in_the_middle():
    """C13: at b = 1/2 - tau the saddle is ((1/2, 1/2), 1): it breaks the threshold by tau."""
    case = CASES["C13"]
    found = regularised.regularised_saddle(case.problem, float(case.figures["temperature"]))
    noise, root = rounding(case.problem, found)
    assert found.policy[0, 0] == pytest.approx(float(case.figures["regularised first arm"]), abs=noise * 4)
    assert found.multipliers[0] == pytest.approx(float(case.figures["regularised multiplier"]), abs=root * 4)
    assert regularised.violation(found)[0] == pytest.approx(float(case.figures["regularised violation"]), abs=root)


@pytest.mark.parametrize("name", list(CASES))
@pytest.mark.parametrize("temperature", [0.02, 0.3])
def test_the_bias_of_the_regularised_saddle(name, temperature):
    case = CASES[name]
    problem = problem_of(case.problem.float)
    found = regularised.regularised_saddle(case.problem, temperature)
    noise, root = rounding(case.problem, found)
    gamma, actions = float(problem.discount), problem.num_actions
    broken = found.multipliers > 0
    assert found.excess[broken] == pytest.approx(regularised.violation(found)[broken], abs=8 * noise + 8 * temperature * root)
    assert (found.excess[~broken] <= noise).all()
    assert float(case.value) - found.value <= regularised.gap_bound(found, actions, gamma) + noise * 8
    run = run_constrained(case.problem, RegularisedPrimalDual(0.1, temperature), 1)
    if run.slater > 0:
        cap = regularised.multiplier_bound(temperature, actions, gamma, float(problem.spans[0]), run.slater)
        assert found.multipliers.sum() <= cap + root


def test_two_constraints_by_roots_are_what_a_conic_solver_finds():
    cvxpy = pytest.importorskip("cvxpy")
    model = CASES["C4"].problem.float
    tau = 0.3
    found = causal.solve_maximum_entropy(model, tau)
    policy = cvxpy.Variable(3, nonneg=True)
    limits = [row[0] @ policy <= b for row, b in zip(model.cost_tables, model.thresholds, strict=True)]
    cvxpy.Problem(cvxpy.Maximize(model.mdp.rewards[0] @ policy + tau * cvxpy.sum(cvxpy.entr(policy))), [cvxpy.sum(policy) == 1, *limits]).solve(
        solver="CLARABEL"
    )
    assert found.policy[0] == pytest.approx(policy.value, abs=1e-6)  # Clarabel stops at a relative 1e-8; entropies square-root that near the optimum
    assert found.multipliers == pytest.approx([limit.dual_value for limit in limits], abs=1e-5)


# The recursion of the regularised method


@settings(max_examples=12)
@given(seed=st.integers(0, 2**31), temperature=st.sampled_from([0.02, 0.1, 1.0]), part=st.sampled_from([0.05, 0.5, 1.0]), count=st.integers(1, 2))
def test_the_potential_obeys_its_recursion_along_runs(seed, temperature, part, count):
    model = random_problem(seed, discount=0.5, count=count)
    problem = problem_of(model)
    saddle = regularised.regularised_saddle(model, temperature)
    method = RegularisedPrimalDual(min(part / temperature, 2.0), temperature).tuned(model, problem, 1)
    rng = np.random.default_rng(seed)
    state = State(np.log(rng.dirichlet(np.ones(3), 3)), rng.random(count) * 2)
    for _ in range(25):
        step = method.recursion(state, saddle, problem)
        right = (1 - method.step_size * temperature) * step.before + method.step_size**2 * step.constant
        assert step.after <= right * (1 + 256 * EPS) + 1e-12  # the saddle itself is a root to about 1e-14 over its curvature
        state = method.step(state, evaluate(problem, method.policy(state)), problem)


def test_the_constant_of_the_recursion_is_attained():
    """C1 at b = 1/2 - tau has the saddle ((1/2, 1/2), 1).  From there with lambda off by d: KL becomes log cosh(eta d / 2) = eta^2 d^2 / 8, which is the
    whole of eta^2 C^2; tau = 1/1000 leaves eta tau d^2 / 2 = 0.4% of it unused."""
    model, tau, eta = one_price("499/1000").float, 1e-3, 1.0
    step = RegularisedPrimalDual(eta, tau).recursion(
        State(np.log([[0.5, 0.5]]), np.array([1.1])), regularised.regularised_saddle(model, tau), problem_of(model)
    )
    rise = step.after - (1 - eta * tau) * step.before
    assert 0.99 < rise / (eta**2 * step.constant) <= 1 + 1e-9


def test_the_contraction_cannot_be_twice_as_strong():
    """C1 at b = tau = 1/4, eta = 1/100, from ((99/100, 1/100), 1): the recursion with 1 - 2 eta tau fails."""
    model, tau, eta = one_price("1/4").float, 0.25, 0.01
    problem = problem_of(model)
    saddle = regularised.regularised_saddle(model, tau)
    step = RegularisedPrimalDual(eta, tau).recursion(State(np.log([[0.99, 0.01]]), np.array([1.0])), saddle, problem)
    assert step.before == pytest.approx(1.614463, abs=5e-7) and step.after == pytest.approx(1.608847, abs=5e-7)
    assert (1 - eta * tau) * step.before + eta**2 * step.constant >= step.after
    assert step.after > (1 - 2 * eta * tau) * step.before > 1.6063


@pytest.mark.parametrize("name", ["C1", "C4", "C7", "C11"])
def test_the_last_iterate_of_the_regularised_method_keeps_its_promise_and_goes_to_the_saddle(name):
    case = CASES[name]
    tau = 0.3 if name == "C11" else 0.1
    run = run_constrained(case.problem, RegularisedPrimalDual(0.05, tau), 1500)
    promise = run.guarantee()
    saddle = regularised.regularised_saddle(case.problem, tau)
    assert promise.of == "last"
    assert float(case.value) - run.values[-1] <= promise.gap + HIGHS
    assert (run.violations()[-1] <= promise.violations + HIGHS).all()
    left = regularised.potential(run.policies[-1], run.multipliers[-1], saddle, problem_of(case.problem.float))
    first = regularised.potential(run.policies[0], run.multipliers[0], saddle, problem_of(case.problem.float))
    assert left < 0.02 * first


# Exact penalty


@pytest.mark.parametrize("name", list(CASES))
def test_the_penalised_optimum_is_the_constrained_one_from_the_smallest_multiplier_on(name):
    case = CASES[name]
    least = np.array([float(low) for low, _ in case.multipliers])
    for factor in (1.0, 1.5, 4.0):
        assert penalty.solve_penalised(case.problem, factor * least + (factor > 1)).value == pytest.approx(float(case.value), abs=HIGHS)
    if least.max() > 0:
        below = penalty.solve_penalised(case.problem, 0.9 * least)
        assert below.value > float(case.value) + 1e-4
        assert below.excess.max() > 0
        assert (below.multipliers <= 0.9 * least + HIGHS).all()


def test_the_figures_of_the_penalty_in_the_table_and_what_a_price_at_the_multiplier_does_not_forbid():
    case = CASES["C16"]
    figures = {key: float(value) for key, value in case.figures.items()}
    assert penalty.solve_penalised(case.problem, figures["penalty below"]).value == pytest.approx(figures["penalised below"], abs=HIGHS)
    assert penalty.solve_penalised(case.problem, figures["penalty above"]).value == pytest.approx(figures["penalised above"], abs=HIGHS)
    seen = evaluate(problem_of(case.problem.float), np.array([[1.0, 0.0]]))
    values = np.concatenate([seen.values[:1], seen.excess])
    assert penalty.penalised_value(values, 1.0) == pytest.approx(0.3, abs=8 * EPS)  # delta = 0, and the threshold broken by 7/10
    assert np.isinf(penalty.violation_bound(0.0, [1.0], [1.0])[0])


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31))
def test_what_a_policy_near_the_penalised_optimum_can_break(seed):
    model = random_problem(seed, discount=0.7, count=2)
    best = solve_constrained(model)
    prices = 2 * best.multipliers + 0.1
    rng = np.random.default_rng(seed)
    seen = evaluate(problem_of(model), rng.dirichlet(np.full(3, 0.5), 3))
    short = best.upper - penalty.penalised_value(np.concatenate([seen.values[:1], seen.excess]), prices)
    assert short >= -HIGHS
    assert (np.maximum(seen.excess, 0) <= penalty.violation_bound(short + HIGHS, prices, best.multipliers)).all()


# Maximum entropy, forward and inverse


@pytest.mark.parametrize("name", ["C1", "C4", "C7", "C9a", "C11", "C8b"])
def test_the_dual_method_is_monotone_and_its_last_iterate_keeps_its_promise(name):
    case = CASES[name]
    tau = 0.4
    run = run_constrained(case.problem, causal.CausalEntropyDual(tau), 60, record="all")
    problem = problem_of(case.problem.float)
    duals = [problem.start @ soft.soft_answer(problem, x, tau).values + x @ problem.thresholds for x in run.multipliers]
    assert (np.diff(duals) <= 64 * EPS * (1 + np.abs(duals).max())).all()
    best = causal.solve_maximum_entropy(case.problem, tau)
    smooth = soft.smoothness(problem, tau)
    away = np.linalg.norm(best.multipliers)
    for t in (1, 5, 60):
        gap, off = causal.last_bounds(
            t, problem.num_actions, float(problem.discount), tau, smooth, run.method.step_size, [0.0] * len(best.excess), best.multipliers
        )
        assert float(case.value) - run.values[t] <= gap + HIGHS
        assert (run.violations()[t] <= off + HIGHS).all()
        assert duals[t] - best.dual <= smooth * away**2 / (2 * t) + 1e-11
    assert run.guarantee().of == "last"


def test_a_step_beyond_two_over_the_curvature_ends_in_a_cycle():
    """C1 at b = tau = 1/4: 4 tau is safe; 12 tau > 2 tau / (b (1 - b)) ends in a cycle of length 2."""
    steady, wild = (run_constrained(one_price("1/4"), causal.CausalEntropyDual(0.25, size), 400) for size in (1.0, 3.0))
    exact = float(entropy_regularised("1/4", "1/4")[1])
    assert steady.multipliers[-1, 0] == pytest.approx(exact, abs=1e-12)
    last = wild.multipliers[-3:, 0]
    assert abs(last[2] - last[0]) < 1e-9 and abs(last[1] - last[0]) > 0.1
    assert wild.guarantee() is None


@settings(max_examples=15)
@given(seed=st.integers(0, 2**31), temperature=st.sampled_from([0.2, 1.0]))
def test_the_prices_behind_a_soft_optimal_expert_are_found_again(seed, temperature):
    model = random_problem(seed, discount=0.5, count=2)
    rng = np.random.default_rng(seed)
    true = rng.normal(size=2)
    expert = soft.soft_answer(problem_of(model), true, temperature)
    found = causal.explain(model, expert.seen.excess + model.thresholds, temperature)
    bend = soft.dual_hessian(problem_of(model), expert, temperature, 0.0)
    assert found.identified
    assert found.multipliers == pytest.approx(true, abs=1e-11 / np.linalg.eigvalsh(bend).min())
    assert np.abs(found.policy - expert.policy).max() <= 1e-10 / np.linalg.eigvalsh(bend).min()


def test_collinear_costs_leave_prices_open_but_not_the_policy():
    base = random_problem(3, discount=0.5)
    cost = base.cost_tables[0]
    model = ConstrainedMDP(base.mdp, [cost, 2 * cost], [0.0, 0.0])
    expert = soft.soft_answer(problem_of(model), np.array([0.5, 0.25]), 0.4)
    found = causal.explain(model, expert.seen.excess, 0.4)
    assert not found.identified and len(found.unseen) == 1
    assert abs(found.unseen[0] @ [1, 2]) <= 1e-9
    assert found.multipliers @ [1, 2] == pytest.approx(1.0, abs=1e-9)
    assert np.abs(found.policy - expert.policy).max() <= 1e-9


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: soft.soft_saddle(m, 0), "temperature is 0"),
        (lambda m: soft.soft_saddle(m, 1, -1), "ridge is -1"),
        (lambda m: causal.solve_maximum_entropy(CASES["C15"].problem, 0.1), "only met in the limit of large multipliers"),
        (lambda m: causal.solve_maximum_entropy(m.replace(thresholds=rational_array([-1])), 1.0), "still broken at the multiplier"),
        (lambda m: causal.explain(m, [0.1, 0.2], 1.0), "one finite number for each of cost"),
        (lambda m: causal.explain(m, [3.0], 1.0), "no soft-optimal policy found"),
        (lambda m: causal.explain(m, [0.5], -1.0), "temperature is -1"),
        (lambda m: causal.last_bounds(5, 2, 0.0, 0.1, 2.5, 1.0, [0], [1]), "step_size is 1.0"),
        (lambda m: penalty.solve_penalised(m, -1), r"prices\[0\] is -1"),
        (lambda m: penalty.average_shortfall_bound(0, 2, 0.5, [1, 1], [1], 0.1), "iterations is 0"),
        (lambda m: regularised.multiplier_bound(0.1, 2, 0.5, 1.0, 0.0), "Slater gap is 0"),
        (lambda m: regularised.potential(np.ones((1, 2)) / 2, [-1], soft.soft_saddle(m, 1.0), problem_of(m.float)), r"multipliers\[0\] is -1"),
    ],
)
def test_bad_input_names_the_place_and_the_figure(call, words):
    with pytest.raises(ModelError, match=words):
        call(one_price("1/4"))
