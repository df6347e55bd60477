"""Robust claims: their named instances in rationals, their quantities once more by plain means, the closed forms of the tables."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import linprog

from mdps import MDP
from mdps.rational import fraction
from proofs_check.by_hand import by_hand
from proofs_check.catalogue import ambiguity, get_claim, robust, robust_methods
from proofs_check.engine.certify import exact_contexts
from proofs_check.instance import Batch, Instance, float_context
from proofs_check.numbers import to_float
from proofs_check.quantities import quantity
from tests import tolerances

HALF = Fraction(1, 2)


def figure(identifier, instance, name, form=None, kind="rational"):
    """The quantity `name` on an exact instance, as the claim sees it."""
    claim = get_claim(identifier)
    chosen = claim.forms[0] if form is None else next(f for f in (*claim.forms, *claim.controls) if f.name == form)
    values = quantity(name).code(exact_contexts(claim.case(chosen), instance, [0], kind))
    return [Fraction(fraction(x)) for x in values.reshape(-1)] if kind == "rational" else [float(x) for x in to_float(values).reshape(-1)]


# The figures of the pages


def test_the_modulus_is_exactly_gamma_and_the_greedy_policy_loses_all_that_it_may():
    claim = "robust-bellman-contraction"
    assert figure(claim, robust.APART, "robust_backup_difference") == [Fraction(9, 10)]
    assert figure(claim, robust.APART, "given_difference") == [1]
    assert figure(claim, robust.MISLED, "robust_greedy_loss") == [2] and figure(claim, robust.MISLED, "robust_distance") == [1]


def test_what_a_shared_budget_is_worth():
    claim, none = "s-rect-needs-randomisation", "best choice"
    for instance, best, alone in (
        (robust.EVEN_CHANCES, Fraction(5, 8), HALF),
        (robust.CLOSE_CHANCES, Fraction(9, 16), HALF),
        (robust.APART_CHANCES, HALF, HALF),
    ):
        assert figure(claim, instance, "budget_best", none) == [best]
        assert figure(claim, instance, "budget_best_deterministic", none) == [alone]
    assert figure(claim, robust.APART_CHANCES, "budget_uniform_formula", none) == [Fraction(7, 16)]
    half = by_hand("half", transitions=[[[1]]], rewards=[[0]], discount="1/2")
    assert figure(claim, half, "coin_max_min") == [HALF] and figure(claim, half, "coin_max_min_deterministic") == [0]
    assert figure(claim, half, "coin_min_max") == [HALF] and figure(claim, half, "coin_min_max_pure") == [1]


def test_the_ladder_and_its_wrong_shift():
    claim = "contamination-is-smaller-discount"
    assert figure(claim, robust.LADDER, "contaminated_optimal_values") == [Fraction(1, 8), Fraction(7, 16), Fraction(27, 16)]
    assert float(figure(claim, robust.LADDER, "wrongly_shifted_values")[0]) == pytest.approx(0.1215, abs=5e-5)


def test_the_price_is_the_bound():
    claim = "price-of-robustness-l1"
    assert figure(claim, robust.EVEN, "state_values") == [Fraction(11, 2), Fraction(9, 2)]
    assert figure(claim, robust.EVEN, "robust_values") == [Fraction(37, 10), Fraction(27, 10)]
    assert figure(claim, robust.EVEN, "robust_price") == [Fraction(9, 5)] and figure(claim, robust.EVEN, "robust_price_of_variation") == [
        Fraction(18, 5)
    ]


def test_what_the_cuts_of_graphs_leave():
    claim = "nonrectangular-maxcut-hardness"
    reach = Fraction(1, 8) / HALF
    for instance, left in zip(robust.GRAPHS, (Fraction(1, 3), Fraction(1, 3), Fraction(1, 5)), strict=True):
        assert figure(claim, instance, "graph_value") == [reach * left] == figure(claim, instance, "graph_cut_formula")
        assert figure(claim, instance, "graph_value_at") == [reach * HALF]  # even numbers
        assert figure(claim, instance, "graph_hull_value") == [0]


def test_the_petersen_graph_leaves_a_fifth():
    """15 edges, largest cut 12, by enumeration of 2^10 sides: the formula of the claim at kappa = 1."""
    ring, star = [(i, (i + 1) % 5) for i in range(5)], [(5 + i, 5 + (i + 2) % 5) for i in range(5)]
    edges = ring + star + [(i, i + 5) for i in range(5)]
    sides = np.array(list(itertools.product((0, 1), repeat=10)))
    assert 1 - max(sum(s[i] != s[j] for i, j in edges) for s in sides) / 15 == pytest.approx(0.2, abs=1e-15)


def test_a_total_variation_read_as_a_distance():
    claim = "inner-l1-tv-sort"
    assert set(figure(claim, ambiguity.MIXED, "tv_minimum")) == {Fraction(5, 6)} and set(figure(claim, ambiguity.MIXED, "l1_minimum")) == {
        Fraction(13, 12)
    }


def test_transport_on_a_line():
    claim = "inner-wasserstein-dual"
    values = [figure(claim, instance, "transport_minimum")[0] for instance in ambiguity.ON_A_LINE]
    assert values == [Fraction(5, 2), HALF]
    assert figure(claim, ambiguity.ON_A_LINE[1], "transport_lipschitz_formula") == [-HALF]


def test_rows_and_formulas_of_curved_balls():
    """R8-R11 of the closed forms: L2, Linf, chi2 and KL, as minima in float64 or by formula."""
    from pgtheory.robust.worst_case import worst_chi2, worst_kl, worst_l2, worst_linf

    third = np.full(3, 1 / 3)
    assert worst_l2(third, np.arange(3.0), np.sqrt(2) / 6)[0] == pytest.approx(2 / 3, abs=1e-14)
    assert worst_l2(third, np.arange(3.0), 0.6)[0] == pytest.approx(0.1891, abs=5e-5)
    assert worst_linf(np.full(4, 0.25), np.arange(4.0), 0.125)[0] == pytest.approx(1, abs=1e-15)
    coin = np.array([0.5, 0.5])
    assert worst_chi2(coin, np.arange(2.0), 0.25)[0] == pytest.approx(0.25, abs=1e-14)
    delta = np.log(2) + 0.25 * np.log(0.25) + 0.75 * np.log(0.75)
    assert worst_kl(coin, np.arange(2.0), delta)[0] == pytest.approx(0.25, abs=1e-13)
    far = figure("inner-chi2-dual", ambiguity.FAR, "chi2_far_formula", "however large the radius", "ball")
    assert far == [pytest.approx(-2.1, abs=1e-12)]


def test_the_mismatch_of_the_nominal_kernel_is_too_small():
    claim, instance = "robust-gradient-domination", robust_methods.NOT_NOMINAL
    left, mismatch, gap = (float(figure(claim, instance, name)[0]) for name in ("robust_gap_rho", "nominal_mismatch", "robust_gradient_gap"))
    assert left == pytest.approx(0.816, abs=5e-4) and mismatch * gap == pytest.approx(0.382, abs=5e-4)


def test_at_a_kink_every_way_leads_down():
    claim, instance = "robust-policy-gradient-envelope", robust_methods.KINK
    down, up = (figure(claim, instance, name)[0] for name in ("robust_derivative", "robust_derivative_away"))
    assert down < 0 < up and down == -up


def test_arms_in_a_reward_ball():
    """Rewards 1/5 and 0, alpha = 1: the best policy is (4/7, 3/7), worth -3/5, exactly because its norm is 5/7."""
    policies = [Fraction(k, 70) for k in range(71)]
    worth = {x: float(x) / 5 - float(x * x + (1 - x) ** 2) ** 0.5 for x in policies}
    best = max(worth, key=worth.__getitem__)
    assert best == Fraction(4, 7) and worth[best] == pytest.approx(-0.6, abs=1e-15)
    assert best / 5 - Fraction(5, 7) == Fraction(-3, 5)


def test_long_steps_never_see_the_even_choice():
    """From one action the gradient leads past the even choice to the other and back: the gap 1/8 of state 0 stays for ever, under a third of mu."""
    claim = get_claim("drpg-outer-rate")
    control = next(c for c in claim.controls if c.name == "a constant step arrives")
    context = exact_contexts(claim.case(control), robust_methods.ROOT_OF_ENDS, [0, 1, 2, 3], "rational")
    assert {tuple(map(str, row)) for row in context.policies[0, :, 0]} == {("1", "0"), ("0", "1")}
    best = quantity("best_shared_regret").code(context)
    assert len({str(x) for x in best.reshape(-1)}) == 1 and best.reshape(-1)[0] > 0


LONG = 8_192


@pytest.mark.slow
def test_the_outer_rate_says_something_after_thousands_of_steps_and_holds():
    """Two states, the first gap near its largest, a step size that balances the terms: the bound falls below the first gap, and stays above the best."""
    from pgtheory.robust.gradient import RobustPG
    from pgtheory.run import run
    from proofs_check.engine.measure import compare

    claim, radii = get_claim("drpg-outer-rate"), np.full((2, 2), 0.5)
    case, gamma = claim.case(claim.form("any step size")), 0.125
    model = MDP([[[0.5, 0.5], [0.75, 0.25]], [[0.25, 0.75], [0.5, 0.5]]], [[0, 1], [0, 0.9]], gamma, [0.5, 0.5])
    wrong = np.array([[1.0, 0.0], [1.0, 0.0]])
    step = (1.1 / LONG / (gamma * 4 / (4 * (1 - gamma) ** 7))) ** 0.5
    trail = run(model, RobustPG(step, radii), LONG, initial=wrong)
    given = {"settings": {"eta": step}, "extras": {"radii": radii}}
    instance = Instance(model.transitions, model.rewards, gamma, model.start, model.start, wrong, **given)
    seen = compare(case, float_context(Batch.of([instance]), trail.times, trail.policies[None], pairs=False))
    bound, best = seen.right[0, :, 0], np.minimum.accumulate(trail.gap())
    assert bound[-1] < 0.9 * best[0]
    assert (best <= bound).all() and best[-1] < 1e-6


# Quantities by plain means


RNG = np.random.default_rng(3)
S, A, G = 3, 2, 0.7
P, R = RNG.dirichlet(np.ones(S), (S, A)), RNG.random((S, A))
MU, RHO = RNG.dirichlet(np.ones(S)), RNG.dirichlet(np.ones(S))
POLICY, OTHER = RNG.dirichlet(np.ones(A), S), RNG.dirichlet(np.ones(A), S)
RADII = RNG.random((S, A))
EXTRAS = {
    "radii": RADII, "first": RNG.normal(size=S), "second": RNG.normal(size=S), "share": np.array(0.4), "v": RNG.normal(size=S),
    "rows": RNG.dirichlet(np.ones(S), (S, A)), "direction": RNG.normal(size=(S, A)),
}  # fmt: skip
CLOSE = tolerances.quantity(S, A, G, 2.0, min(MU.min(), RHO.min()))
SWEEPS = 400
"""0.7^400 = 1e-62."""
HIGHS = 1e-8
"""What a linear program of HiGHS is good to: 1e-9 for each of its figures, times 1 / (1 - gamma)."""


def measured(name, policy=POLICY):
    instance = Instance(P, R, G, MU, RHO, policy, other=OTHER, extras=EXTRAS)
    return quantity(name).code(float_context(Batch.of([instance]), np.arange(1), policy[None, None], pairs=False))[0].reshape(-1)


def worst_row(p, v, radius):
    """min q . v with |q - p|_1 <= radius by a linear program; (value, q)."""
    n = len(p)
    eye = np.eye(n)
    above = np.block([[eye, -eye], [-eye, -eye], [np.zeros((1, n)), np.ones((1, n))]])
    found = linprog(np.r_[v, np.zeros(n)], above, np.r_[p, -p, radius], np.r_[np.ones(n), np.zeros(n)][None], [1.0], bounds=(0, None))
    return found.fun, found.x[:n]


def swept(backup):
    """Fixed point of a contraction, by linear programs and value iteration until nothing moves."""
    v = np.zeros(S)
    for _ in range(SWEEPS):
        after = backup(v)
        if np.abs(after - v).max() < 1e-12:
            return after
        v = after
    return v


def ahead(v):
    return np.array([[R[s, a] + G * worst_row(P[s, a], v, RADII[s, a])[0] for a in range(A)] for s in range(S)])


@pytest.fixture(scope="module")
def solved():
    """(V_rob*, V_rob^pi, the worst kernel of the policy)."""
    best, ours = swept(lambda v: ahead(v).max(axis=1)), swept(lambda v: (POLICY * ahead(v)).sum(axis=1))
    rows = np.array([[worst_row(P[s, a], ours, RADII[s, a])[1] for a in range(A)] for s in range(S)])
    return best, ours, rows


def visits(policy, rows, start):
    return (1 - G) * np.linalg.solve((np.eye(S) - G * np.einsum("sa,sat->st", policy, rows)).T, start)


def test_robust_values_are_those_of_linear_programs_and_value_iteration(solved):
    best, ours, _ = solved
    np.testing.assert_allclose(measured("robust_optimal_values"), best, atol=HIGHS)
    np.testing.assert_allclose(measured("robust_values"), ours, atol=HIGHS)
    np.testing.assert_allclose(measured("robust_gap_rho"), RHO @ (best - ours), atol=HIGHS)
    np.testing.assert_allclose(measured("robust_gap_sup"), (best - ours).max(), atol=HIGHS)
    np.testing.assert_allclose(measured("robust_gap_mu_0"), MU @ (best - ours), atol=HIGHS)
    np.testing.assert_allclose(measured("robust_backup"), ahead(EXTRAS["first"]).max(axis=1), atol=HIGHS)


def test_gradients_and_mismatches_of_the_worst_kernel(solved):
    best, ours, rows = solved
    d, q = visits(POLICY, rows, MU), R + G * rows @ ours
    np.testing.assert_allclose(measured("robust_gradient_along"), (d[:, None] * q * (OTHER - POLICY)).sum() / (1 - G), atol=10 * HIGHS)
    np.testing.assert_allclose(measured("robust_gradient_gap"), d @ (q.max(axis=1) - ours) / (1 - G), atol=10 * HIGHS)
    greedy = np.eye(A)[ahead(best).argmax(axis=1)]
    np.testing.assert_allclose(measured("robust_mismatch"), (visits(greedy, rows, RHO) / d).max(), atol=100 * HIGHS)
    np.testing.assert_allclose(measured("robust_mismatch_of_start"), (visits(greedy, rows, RHO) / MU).max(), atol=100 * HIGHS)
    nominal = visits(POLICY, P, MU)
    np.testing.assert_allclose(measured("nominal_mismatch"), (visits(greedy, P, RHO) / nominal).max(), atol=CLOSE)


def test_directional_derivatives_are_limits_of_differences():
    """One-sided differences at step 1e-6 of worst-case values found by the method's own evaluation: 1e-5 of curvature and rounding."""
    from pgtheory.robust.nature import ball_answer, worst_kernel

    def value(policy):
        return MU @ worst_kernel(policy, P, R, G, ball_answer("l1", RADII))[0]

    step = 1e-6
    np.testing.assert_allclose(measured("robust_derivative"), (value(POLICY + step * (OTHER - POLICY)) - value(POLICY)) / step, atol=1e-5)
    u = EXTRAS["direction"]
    h = POLICY * (u - (POLICY * u).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(measured("robust_softmax_derivative"), (value(POLICY + step * h) - value(POLICY - step * h)) / (2 * step), atol=1e-5)


def test_duals_of_rows_are_linear_programs():
    expected = [worst_row(P[s, a], EXTRAS["v"], RADII[s, a])[0] for s in range(S) for a in range(A)]
    for name in ("l1_minimum", "l1_dual", "l1_row_value"):
        np.testing.assert_allclose(measured(name), expected, atol=HIGHS)
    assert (measured("l1_other_value") >= np.array(expected) - HIGHS).all()
    expected = [worst_row(P[s, a], EXTRAS["v"], 2 * RADII[s, a])[0] for s in range(S) for a in range(A)]
    for name in ("tv_minimum", "tv_dual"):
        np.testing.assert_allclose(measured(name), expected, atol=HIGHS)


def test_statements_retyped_from_the_derivations():
    from proofs_check.statement import parse_statement

    expected = {
        ("robust-bellman-contraction", "greedy policy"): "robust_greedy_loss <= 2*gamma/(1 - gamma)*robust_distance",
        ("price-of-robustness-l1", "span of the values"): "robust_price <= gamma*largest_radius*span/(2*(1 - gamma))",
        ("robust-gradient-domination", "start"): "robust_gap_rho <= robust_mismatch_of_start*robust_gradient_gap/(1 - gamma)",
        ("robust-gradient-domination", "inexact kernels"): "robust_gap_rho <= inexact_excess + inexact_mismatch*inexact_gradient_gap",
        ("robust-euclidean-pmd", "one step"): "next_robust_gap_sup <= gamma*robust_gap_sup + 1/(2*eta)",
        ("adversary-gradient-domination", "domination"): "adversary_gap <= adversary_mismatch*adversary_gradient_gap",
        ("drpg-outer-rate", "any step size"): (
            "best_robust_gap <= (inverse_mu*sqrt(2*S)/(1 - gamma) + (sqrt(A)/2/(1 - gamma)**2)/(2*(gamma*A/(1 - gamma)**3)))"
            "*sqrt(2*(robust_gap_mu_0/(eta*(t + 1)) + gamma*A/(1 - gamma)**3*A/4/(1 - gamma)**4*eta))"
        ),
    }
    for (identifier, form), text in expected.items():
        stated, retyped = get_claim(identifier).form(form).statement, parse_statement(text)
        values = {symbol: Fraction(k + 2, k + 5) for k, symbol in enumerate(sorted(stated.right.free_symbols, key=str))}
        assert stated.relation == retyped.relation and stated.left == retyped.left
        assert float(stated.right.subs(values)) == pytest.approx(float(retyped.right.subs(values)), rel=1e-12), (identifier, form)
