"""The rules between lemmas against PEPit, which computes exact worst cases of first-order methods by semidefinite programs.

PEPit speaks of minimisation: its function is -V.  Its value is an upper bound of the worst case up to the solver's accuracy, and for the smooth
classes below it is the worst case (a quadratic attains it).  So a rule's conclusion must lie above it, and where the rule is tight, on it.
"""

from __future__ import annotations

import pytest
import sympy

from proofs_check.rules import RULES

SOLVER = 1e-4
"""Relative accuracy of the answers: the conic solvers behind PEPit stop at relative residuals of 1e-8 to 1e-5, and a value that is the square of a
quantity known to 1e-5 is off by twice that; 0.499995 where 0.5 is exact was the worst seen."""

pytestmark = pytest.mark.peer


def worst_case(build):
    """PEPit's value of the problem that `build` declares."""
    pepit = pytest.importorskip("PEPit")
    problem = pepit.PEP()
    build(problem)
    return problem.solve(verbose=0)


@pytest.mark.parametrize(("curvature", "step"), [(1, "1"), (1, "1/2"), (2, "3/10"), (3, "1/6"), (1, "5/2")])
def test_the_gradient_step_rule_is_exact_for_smooth_functions(curvature, step):
    """(eta - L eta^2/2) |g|^2 <= rise <= (eta + L eta^2/2) |g|^2, both attained."""
    from PEPit.functions import SmoothFunction

    eta = sympy.Rational(step)

    def build(sign):
        def declare(problem):
            function = problem.declare_function(SmoothFunction, L=curvature)
            start = problem.set_initial_point()
            gradient, value = function.oracle(start)
            problem.set_initial_condition(gradient**2 == 1)
            problem.set_performance_metric(sign * (function(start - float(eta) * gradient) - value))

        return declare

    least, most = eta - curvature * eta**2 / 2, eta + curvature * eta**2 / 2
    assert RULES["gradient step"].check()
    assert worst_case(build(1)) == pytest.approx(float(-least), rel=SOLVER, abs=SOLVER)
    assert worst_case(build(-1)) == pytest.approx(float(most), rel=SOLVER)


@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("curvature", [1, 3])
def test_the_square_recursion_is_valid_for_convex_functions_and_not_tight(steps, curvature):
    """Step 1/L gains |g|^2/(2L), and |g| >= a/D by convexity: a_(t+1) <= a_t - a_t^2/(2 L D^2), so a_t <= 2 L D^2/(t+1) as kappa a_0 <= 1/4.

    The exact worst case is L D^2/(4t + 2): the rule, which forgets what happens between the steps, is loose by a factor towards 8."""
    from PEPit.functions import SmoothConvexFunction

    def declare(problem):
        function = problem.declare_function(SmoothConvexFunction, L=curvature)
        best = function.stationary_point()
        point = problem.set_initial_point()
        problem.set_initial_condition((point - best) ** 2 <= 1)
        for _ in range(steps):
            point = point - function.gradient(point) / curvature
        problem.set_performance_metric(function(point) - function(best))

    kappa = sympy.Rational(1, 2 * curvature)
    bound = 1 / (kappa * (steps + 1))
    exact = sympy.Rational(curvature, 4 * steps + 2)
    assert RULES["square recursion"].check()
    value = worst_case(declare)
    assert value == pytest.approx(float(exact), rel=SOLVER) and value <= float(bound)
    assert 3 < bound / exact < 8


@pytest.mark.parametrize("ratio", ["1/10", "1/2", "9/10"])
def test_gradient_domination_gives_a_linear_rate(ratio):
    """2 mu a <= |g|^2 and step 1/L: a_1 <= (1 - mu/L) a_0.  PEPit knows a smaller factor, (2 - 2k)/(2 + k) for k = mu/L; the quadratic
    mu x^2/2 has (1 - k)^2."""
    from PEPit.functions import SmoothQuadraticLojasiewiczFunctionCheap

    share = sympy.Rational(ratio)

    def declare(problem):
        function = problem.declare_function(SmoothQuadraticLojasiewiczFunctionCheap, L=1, mu=float(share))
        best = function.stationary_point()
        point = problem.set_initial_point()
        gradient, value = function.oracle(point)
        problem.set_initial_condition(value - function(best) <= 1)
        problem.set_performance_metric(function(point - gradient) - function(best))

    value = worst_case(declare)
    assert RULES["contraction"].check()
    assert float((1 - share) ** 2) <= value * (1 + SOLVER) and value <= float(1 - share) * (1 + SOLVER)
    assert value == pytest.approx(float((2 - 2 * share) / (2 + share)), rel=SOLVER)
