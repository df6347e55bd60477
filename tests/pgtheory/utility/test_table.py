"""The table of utility instances, U1 to U21: every optimum by at least two independent ways, never by the code that states it.

One way is the conic program with its own certificate.  The other is an exact one where the gradient is rational: the stated occupancy is one of the
model, and no policy is better for its frozen gradient, in rationals, so no occupancy has more (F is concave); or else Frank-Wolfe, or an enumeration.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from flint import arb, fmpq

from mdps import zoo
from mdps.errors import ModelError
from mdps.rational import fraction, rational_array, to_float
from mdps.zoo.utilities import UtilityCase, bandit
from pgtheory import LinearQuadratic, arithmetic, solve_exactly
from pgtheory.control import adaptive_value, solve_advice
from pgtheory.exact.evaluation import occupancy
from pgtheory.multi_objective import contributions, deterministic_front, hypervolume_of
from pgtheory.utility import Quadratic, Utility, run_frank_wolfe, solve_utility, utility_of
from pgtheory.utility.program import policy_of

CASES = zoo.utility_cases()
SOLVED = [name for name, case in CASES.items() if case.utility is not None]
RATIONAL = ["U4", "U5", "U12"]
GAP = 1e-8
"""What the conic program is asked for, with room: its tolerance of 1e-9 is relative to figures up to 7."""


def _utility(case: UtilityCase) -> Utility:
    name, parameters = case.utility
    if parameters.get("features", 0) is None:  # an irrational direction, as floats
        root = float(case.data["features"][0][2][0]().mid())
        parameters = {"features": np.array([[[1.0, 0.0], [0.0, 1.0], [root, root]]])}
    return utility_of(name, parameters)


def _float(value: Any) -> float:
    return float(value().mid()) if callable(value) else float(value)


def test_the_table_is_complete() -> None:
    assert {f"U{k}" for k in range(1, 22)} == {name.rstrip("abc") for name in CASES}
    assert all(case.id == name and (case.answers or case.optimum is not None) for name, case in CASES.items())
    with pytest.raises(ModelError, match="no utility case 'U99'"):
        zoo.utility_case("U99")


@pytest.mark.parametrize("name", SOLVED)
def test_conic_program(name: str) -> None:
    """The policy attains the stated optimum and the proved bound is not below it."""
    case = CASES[name]
    best, optimum = solve_utility(case.problem, _utility(case)), _float(case.optimum)
    assert best.value <= optimum + 1e-13 * max(1, abs(optimum))
    assert best.upper >= optimum - 1e-13 * max(1, abs(optimum))
    assert -1e-12 <= best.gap <= GAP
    if (
        case.occupancy is not None
    ):  # F is strongly concave near the optimum of these, or the program is linear: the distance is at most sqrt(gap / curvature)
        assert np.abs(best.occupancy - np.array(case.occupancy, float)).max() <= 10 * math.sqrt(GAP)


@pytest.mark.parametrize("name", SOLVED)
def test_frank_wolfe_encloses_the_optimum(name: str) -> None:
    """One greedy policy a step, no conic program: values below, certificates above, and the 2 L D^2 / (t + 2) of the theorem between them."""
    case = CASES[name]
    utility, optimum = _utility(case), _float(case.optimum)
    found = run_frank_wolfe(case.problem, utility, 80)
    assert np.all(found.values <= optimum + 1e-12) and np.all(found.uppers >= optimum - 1e-12)
    assert np.all(optimum - found.values[1:] <= found.bound()[1:])
    if utility.name != "worst":  # a corner: supergradients of the pure objectives say nothing about mixtures of them
        assert found.gap <= 0.25 * max(1, abs(optimum))
    assert found.values[-1] == pytest.approx(float(utility.value(occupancy(case.problem.float, found.policy))), abs=1e-9)


@pytest.mark.exact
@pytest.mark.parametrize("name", RATIONAL)
def test_exact_first_order_certificate(name: str) -> None:
    """<grad F(d), d'> <= <grad F(d), d> for every occupancy d', in rationals."""
    case = CASES[name]
    utility = _utility(case)
    if case.occupancy is not None:
        d = rational_array(case.occupancy)
    else:  # U5: leave at once and stay away: the law (1/2, 1/2)
        d = occupancy(case.problem.exact, rational_array([[0, 1], [1, 0]]))
        assert [fraction(x) for x in d.sum(axis=1)] == list(case.answers["states"])
    model = case.problem.exact
    assert (occupancy(model, rational_array(d / d.sum(axis=1)[:, None])) == d).all()
    assert fraction(utility.value(d)) == case.optimum
    reward = utility.gradient(d)
    best = solve_exactly(model.replace(rewards=reward))
    attained = sum((p * v for p, v in zip(model.start, best.values, strict=True)), fmpq(0)) * (1 - model.discount)
    assert attained == (reward * d).sum()


@pytest.mark.exact
@pytest.mark.parametrize(("name", "weights"), [("U7", ("1/2", "1/2")), ("U8", ("1/2", "1/2")), ("U9", ("2/5", "3/5"))])
def test_worst_of_two_values_has_an_exact_saddle_point(name: str, weights: tuple[str, str]) -> None:
    """The weights prove what the mixture attains; deterministic policies by enumeration."""
    case = CASES[name]
    rewards, w = rational_array(case.utility[1]["rewards"]), rational_array(weights)
    weighted = solve_exactly(case.problem.exact.replace(rewards=(w[:, None, None] * rewards).sum(axis=0))).values[0]
    assert fraction(weighted) == case.optimum == fraction(_utility(case).value(rational_array(case.occupancy)))
    assert max(min(fraction(row[0, a]) for row in rewards) for a in range(3)) == case.answers["deterministic"]
    assert deterministic_front(case.problem, rewards).supported.all() == (name != "U7")


@pytest.mark.exact
def test_logarithms_in_balls() -> None:
    """U1, U6, U10, U13b, U14: the gradient at the stated point is the same for all arms that are used, and not larger for the others."""
    sixth = CASES["U6"].occupancy[0]
    assert len({w / x for w, x in zip((1, 2, 3), sixth, strict=True)}) == 1
    J = CASES["U10"].answers["objectives"]
    slopes = [sum(Fraction(v) / j for v, j in zip(arm, J, strict=True)) for arm in ((1, 0), (0, Fraction(1, 2)), (Fraction(2, 5), Fraction(2, 5)))]
    assert slopes[0] == slopes[2] == 2 > slopes[1]
    assert J[0] * J[1] == CASES["U10"].answers["product"]
    root_slopes = {w * w / x for w, x in zip((1, 2, 2), CASES["U11"].occupancy[0], strict=True)}
    assert len(root_slopes) == 1  # U11: w / (2 sqrt x) alike
    inverse = np.array([[Fraction(2), Fraction(-1)], [Fraction(-1), Fraction(2)]], dtype=object)  # (M = (I + 11')/3)^-1
    assert {v @ inverse @ v for v in (np.array([1, 0]), np.array([0, 1]), np.array([1, 1]))} == {2}
    for name, law in (("U1", (Fraction(1, 5),) * 5), ("U2c", (Fraction(3, 4), Fraction(1, 4))), ("U3a", CASES["U3a"].answers["states"])):
        entropy = -sum((arb(p.numerator) / p.denominator * (arb(p.numerator) / p.denominator).log() for p in law), arb(0))
        assert entropy.overlaps(CASES[name].optimum()) and CASES[name].optimum().rad() < 1e-10
    tau_log_two = (arb(1) / 2 + arb(3) / 2).log()  # the log of the mean of exp r, r = (0, log 3)
    assert CASES["U14"].answers["regularised"]().overlaps(tau_log_two)


def test_exploration_against_a_grid_of_policies() -> None:
    """U2, U3: all policies of the model on a grid."""
    shares = np.linspace(0, 1, 17)
    for name in ("U2a", "U2b", "U2c", "U3a", "U3b"):
        case = CASES[name]
        count = case.problem.num_states
        best = -np.inf
        for p in itertools.product(shares, repeat=2):
            policy = np.full((count, 2), 0.5)
            policy[:2, 0], policy[:2, 1] = p, 1 - np.array(p)
            law = occupancy(case.problem.float, policy).sum(axis=1)
            best = max(best, -sum(x * math.log(x) for x in law if x > 0))
        optimum = _float(case.optimum)
        assert best <= optimum + 1e-12
        assert best >= optimum - 5e-3  # 1/32 off in a probability, and flat at the top: (1/32)^2 times a curvature of at most 4


@pytest.mark.exact
def test_areas_by_inclusion_and_exclusion() -> None:
    case = CASES["U15"]
    points = case.data["points"]
    total = Fraction(0)
    for size in (1, 2, 3):
        for part in itertools.combinations(points, size):
            total += (-1) ** (size + 1) * min(p[0] for p in part) * min(p[1] for p in part)
    assert total == case.answers["all"] == fraction(hypervolume_of(points, case.data["reference"]))
    assert fraction(hypervolume_of(points[:2], (0, 0))) == case.answers["without"]
    assert fraction(contributions(rational_array(points), (0, 0))[2]) == case.answers["all"] - case.answers["without"]


@pytest.mark.exact
def test_performative_bandit() -> None:
    """U16: the stable point is fixed by retraining, in rationals; the optimum is that of the unfrozen quadratic, which is smaller in eps twice."""
    case = CASES["U16"]
    base, eps, lam = rational_array(case.data["base"]), rational_array([case.data["response"]])[0], rational_array([case.data["weight"]])[0]
    stable = rational_array([case.answers["stable"]])
    assert (arithmetic.project_simplex((base - eps * stable[0])[None] / lam) == stable).all()
    d = np.array([[0.2, 0.8]])
    for _ in range(60):  # contraction by eps / lam = 1/2 a step
        d = arithmetic.project_simplex((to_float(base) - 0.5 * d[0])[None])
    assert np.abs(d - to_float(stable)).max() < 1e-15
    unfrozen = Quadratic(base, 2 * eps + lam)
    best = solve_utility(bandit(2), unfrozen)
    assert np.abs(best.occupancy[0] - np.array(case.answers["optimal"], float)).max() < 1e-6
    slope = unfrozen.slope(rational_array(case.answers["optimal"]))
    assert slope[0] == slope[1]


@pytest.mark.exact
def test_greedy_coverage_against_all_choices() -> None:
    case = CASES["U17"]
    for k in (2, 3, 4):
        weights, sets = case.data[k]

        def worth(chosen: Any, weights: Any = weights, sets: Any = sets) -> Fraction:
            return sum((weights[e] for e in set().union(*(sets[i] for i in chosen))), Fraction(0))

        greedy: list[int] = []
        for _ in range(k):
            greedy.append(max(range(len(sets)), key=lambda i: (worth([*greedy, i]), -i)))
        best = max(worth(part) for part in itertools.combinations(range(len(sets)), k))
        assert best == k and worth(greedy) / best == case.answers[k] == 1 - (1 - Fraction(1, k)) ** k
    first, second = case.data["layers"]
    value = {(i, j): len({*first[i], *second[j]}) for i in range(2) for j in range(2)}
    local = [p for p in value if value[p] >= value[1 - p[0], p[1]] and value[p] >= value[p[0], 1 - p[1]]]
    assert Fraction(min(value[p] for p in local), max(value.values())) == case.answers["layers"]


def test_control_inventory_and_advice() -> None:
    """U18, U19 by the regulator and by the fixed point of their recursions; U20 by the advice solver and by hand."""
    regulator = CASES["U18"]
    a, q, r = (float(regulator.data[key]) for key in ("a", "q", "r"))
    assert LinearQuadratic.of(a, 1, q, r).optimal_gain()[0, 0, 0] == pytest.approx(float(regulator.answers["gain"]), abs=1e-12)
    P = regulator.answers["value"]
    assert P == regulator.data["q"] + P - P * P / (regulator.data["r"] + P)
    stock = CASES["U19"]
    phi, eta, gamma = (stock.data[key] for key in ("phi", "eta", "discount"))
    P = stock.answers["value"]
    assert P == phi + gamma * P * eta / (eta + gamma * P) and stock.answers["share"] == gamma * P / (eta + gamma * P)
    gain = LinearQuadratic.of(1, 1, float(phi), float(eta), discount=float(gamma)).optimal_gain()[0, 0, 0]
    assert gain == pytest.approx(float(stock.answers["share"]), abs=1e-12)
    advice = CASES["U20"]
    followed = solve_advice(advice.problem, to_float(rational_array(advice.data["human"])), float(advice.data["adherence"]))
    assert followed.values[0] == pytest.approx(float(advice.answers["value"]), abs=1e-9)
    theta = gamma = Fraction(1, 2)
    assert gamma * theta / ((1 - gamma) * (1 - gamma * (1 - theta))) == advice.answers["value"]
    assert solve_exactly(advice.problem).values[0] == rational_array([advice.answers["best"]])[0]


@pytest.mark.exact
def test_two_pulls() -> None:
    """U21: learning by the Bayes-adaptive recursion and by the rule `repeat what paid`, fixed plans by enumeration."""
    case = CASES["U21"]
    outcomes = np.zeros((2, 1, 2, 1, 2))
    for arm, model in itertools.product(range(2), repeat=2):
        outcomes[model, 0, arm, 0, int(arm == model)] = 1.0
    assert adaptive_value(outcomes, np.array([0.5, 0.5]), 0, 2) == float(case.answers["learning"])
    plans = [Fraction(sum(int(a == m) for a in plan for m in range(2)), 2) for plan in itertools.product(range(2), repeat=2)]
    assert max(plans) == case.answers["fixed"]
    # draw the first arm by a coin, then repeat what paid and leave what did not: right in the second pull in either model
    assert all(Fraction(1, 2) + 1 == case.answers["learning max-min"] for _ in range(2))
    assert case.answers["informed"] == case.data["pulls"]


def test_policies_of_occupancies() -> None:
    """x(s, a) / x(s) has the occupancy x again; states that are never reached take the uniform row."""
    problem = CASES["U2a"].problem.float
    policy = np.array([[0.3, 0.7], [0.6, 0.4]])
    assert np.abs(policy_of(problem, occupancy(problem, policy)) - policy).max() < 1e-14
    stay = policy_of(problem, occupancy(problem, np.array([[1.0, 0.0], [0.0, 1.0]])))
    assert stay.tolist() == [[1.0, 0.0], [0.5, 0.5]]
