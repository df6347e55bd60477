"""Last iterates: plain descent-ascent turns outwards by an exact amount, optimism turns inwards at its predicted rate, in rationals where possible."""

from __future__ import annotations

from fractions import Fraction as F

import numpy as np
import pytest
from flint import fmpq

from mdps import ModelError, zoo
from mdps.rational import rational_array
from pgtheory.constrained.bilinear import optimistic_radius
from pgtheory.constrained.descent_ascent import DescentAscent, growth, potential
from pgtheory.constrained.evaluation import problem_of
from pgtheory.constrained.optimistic import OptimisticDescentAscent, local_contraction, paradox
from pgtheory.constrained.program import solve_constrained
from pgtheory.constrained.runs import run_constrained
from tests.tolerances import EPS

CASES = zoo.constrained_cases()


def one_price(budget, discount=0):
    """C1: reward = cost = (1, 0), whose saddle is ((b, 1 - b), 1)."""
    from mdps.zoo.constrained import one_price as build

    return build(budget, discount)


# The spiral


def test_the_spiral_of_plain_descent_ascent_is_exact_in_rationals():
    """C1 at b = 1/2 in the policy itself: |pi - pi*|^2 + |lambda - 1|^2 = 2 x^2 + mu^2 grows by exactly 1 + eta^2 / 2 a step."""
    model = one_price(F(1, 2)).exact
    eta = fmpq(1, 10)
    first = rational_array([["11/20", "9/20"]])
    run = run_constrained(model, DescentAscent("1/10", "1/10", geometry="euclidean"), 200, first, rational_array([1]), record="all")
    away = [2 * (p[0, 0] - fmpq(1, 2)) ** 2 + (x[0] - 1) ** 2 for p, x in zip(run.policies, run.multipliers, strict=True)]
    inside = [k for k in range(200) if 0 < run.policies[k + 1][0, 0] < 1 and run.multipliers[k + 1][0] > 0]
    assert inside == list(range(200))
    assert all(away[k + 1] == (1 + eta * eta / 2) * away[k] for k in inside)
    assert away[-1] == (1 + eta * eta / 2) ** 200 * away[0] > 2 * away[0]


@pytest.mark.parametrize("discount", ["0", "1/2"])
@pytest.mark.parametrize("budget", ["1/2", "1/5"])
def test_the_growth_of_the_potential_is_what_is_said_exactly(budget, discount):
    """Two steps of different sizes, with and without a discount, off the middle."""
    scale = 1 / (1 - F(discount))
    model = zoo.constrained_case("C1").problem.replace(mdp=one_price(F(1, 2), F(discount)).mdp, thresholds=rational_array([F(budget) * scale]))
    problem = problem_of(model.exact)
    saddle = (rational_array([[F(budget), 1 - F(budget)]]), rational_array([1]))
    method = DescentAscent("1/20", "1/30", geometry="euclidean").tuned(model.exact, problem, 1)
    run = run_constrained(model.exact, method, 40, rational_array([["2/5", "3/5"]]), rational_array(["6/5"]), record="all")
    phi = [potential(p, x, saddle, problem, run.method) for p, x in zip(run.policies, run.multipliers, strict=True)]
    grown = [growth(p, x, problem, run.method) for p, x in zip(run.policies, run.multipliers, strict=True)]
    free = [k for k in range(40) if all(0 < q < 1 for q in run.policies[k + 1][0]) and run.multipliers[k + 1][0] > 0]
    assert len(free) > 20
    assert all(phi[k + 1] - phi[k] == grown[k] > 0 for k in free)


@pytest.mark.parametrize("discount", [F(0), F(1, 2)])
def test_multiplicative_weights_move_away_by_the_log_normaliser(discount):
    model = one_price(F(1, 2) / (1 - discount), discount).float
    problem = problem_of(model)
    run = run_constrained(model, DescentAscent(0.1, 0.07), 300, [[0.6, 0.4]], [1.3], record="all")
    saddle = (np.array([[0.5, 0.5]]), np.array([1.0]))
    phi = np.array([potential(p, x, saddle, problem, run.method) for p, x in zip(run.policies, run.multipliers, strict=True)])
    grown = np.array([growth(p, x, problem, run.method) for p, x in zip(run.policies, run.multipliers, strict=True)])
    free = run.multipliers[1:, 0] > 0
    rounding = 64 * EPS * phi.max()
    assert np.abs(np.diff(phi) - grown[:-1])[free].max() <= rounding
    assert (grown > 0).all() and free[:60].all()
    assert np.abs(run.policies[-1][0, 0] - 0.5) > 0.1 or abs(run.multipliers[-1, 0] - 1) > 0.3
    assert np.diff(phi)[~free].max(initial=-1) <= grown.max()  # a multiplier that is cut at 0 only comes nearer


def test_averages_of_the_spiral_come_within_the_order_of_the_step():
    gaps = [abs(run_constrained(one_price(F(1, 2)), DescentAscent(eta, eta), 4000).gap("average")[-1]) for eta in (0.2, 0.02)]
    assert gaps[0] <= 0.2 and gaps[1] <= 0.02


def test_the_orders_of_the_steps_differ_alternation_stays_bounded_extragradient_converges():
    runs = {
        order: run_constrained(one_price(F(1, 2)), DescentAscent(0.3, 0.3, order), 600, [[0.6, 0.4]], [1.0], record="all")
        for order in ("simultaneous", "alternating", "extragradient")
    }
    away = {k: np.hypot(run.policies[-200:, 0, 0] - 0.5, run.multipliers[-200:, 0] - 1) for k, run in runs.items()}
    assert away["extragradient"].max() < 1e-2 < 0.05 < away["alternating"].max() < 0.5 < away["simultaneous"].max()
    # extragradient near the saddle: the bilinear game with turn 0.3 sqrt(1/4), |z|^2 shrinks by 1 - s^2 + s^4
    late = np.hypot(runs["extragradient"].policies[:, 0, 0] - 0.5, (runs["extragradient"].multipliers[:, 0] - 1) / 2)
    turn = 0.3 / 2
    expected = np.sqrt(1 - turn**2 + turn**4)
    assert (late[500] / late[400]) ** 0.01 == pytest.approx(expected, abs=late[400])


# Optimism


@pytest.mark.parametrize("name", list(CASES))
def test_the_last_iterate_of_reload_converges_to_the_exact_optimum(name):
    """2,000 steps; the slowest case turns by s = 0.088 a step, which leaves 0.9961^2000 = 4e-4 of the first distance."""
    case = CASES[name]
    run = run_constrained(case.problem, OptimisticDescentAscent(), 2000)
    assert abs(float(case.value) - run.values[-1]) < 4e-4
    assert run.violation()[-1] < 4e-4
    for price, (low, high) in zip(run.multipliers[-1], case.multipliers, strict=True):
        assert float(low) - 2e-3 < price < (np.inf if high is None else float(high) + 2e-3)


@pytest.mark.parametrize(("budget", "eta"), [("1/2", 0.4), ("1/5", 0.3), ("3/10", 0.6)])
def test_the_local_contraction_of_reload(budget, eta):
    """The rate over a late window of many turns is the larger root's; the error of linearisation is of the order of the distance at its beginning."""
    b = float(F(budget))
    rate = local_contraction(b * (1 - b), eta, eta)
    assert rate == optimistic_radius(eta * np.sqrt(b * (1 - b)))
    window = int(np.ceil(np.log(1e-3) / np.log(rate)))
    run = run_constrained(one_price(F(budget)), OptimisticDescentAscent(eta, eta), 2 * window, record="all")
    away = np.hypot((run.policies[:, 0, 0] - b) / np.sqrt(b * (1 - b)), run.multipliers[:, 0] - 1)
    measured = (away[-1] / away[window]) ** (1 / window)
    assert measured == pytest.approx(rate, abs=3 / window)
    assert away[-1] < 0.02 * away[0]


def test_without_optimism_the_last_iterates_cover_what_the_average_hides():
    plain = run_constrained(one_price(F(1, 2)), DescentAscent(0.1, 0.1), 4000, [[0.6, 0.4]], [1.3], record=np.arange(3800, 4001))
    eager = run_constrained(one_price(F(1, 2)), OptimisticDescentAscent(0.1, 0.1), 4000, [[0.6, 0.4]], [1.3], record=np.arange(3800, 4001))
    assert np.ptp(plain.policies[:, 0, 0]) > 0.7
    assert np.ptp(eager.policies[:, 0, 0]) < 0.02
    assert abs(plain.gap("average")[-1]) < 0.1


def test_the_paradox_is_what_the_linear_program_and_the_greedy_policies_say():
    for budget in ("1/2", "3/10"):
        found = paradox(budget)
        best = solve_constrained(one_price(F(budget)).float)
        assert best.value == pytest.approx(float(found.optimum), abs=1e-9)
        assert best.policy[0] == pytest.approx([float(p) for p in found.policy], abs=1e-9)
        for arm, (gap, violation) in found.greedy.items():
            played = np.eye(2)[[arm]]
            run = run_constrained(one_price(F(budget)), DescentAscent(0.1, geometry="euclidean"), 1, played)
            assert run.gap()[0] == pytest.approx(float(gap), abs=1e-9)
            assert run.violation()[0] == pytest.approx(float(violation), abs=1e-12)
            assert gap > 0 or violation > 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: paradox(1), "strictly between 0 and 1"),
        (lambda: local_contraction(0, 1, 1), "variance is 0"),
        (lambda: local_contraction(0.1, 0, 1), "step_size is 0"),
        (lambda: DescentAscent(0.1, order="sideways"), "order is 'sideways'"),
        (lambda: DescentAscent(0.1, geometry="round"), "geometry is 'round'"),
        (lambda: run_constrained(one_price(F(1, 2)), DescentAscent(0.0), 3), "step_size is 0"),
        (lambda: growth(np.full((2, 2), 0.5), np.ones(1), problem_of(CASES["C8a"].problem.float), DescentAscent(0.1, 0.1)), "has 2"),
    ],
)
def test_bad_input_names_the_place_and_the_figure(call, words):
    with pytest.raises(ModelError, match=words):
        call()
