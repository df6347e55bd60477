"""Robust evaluation and planning: the table of closed forms, programs for other solvers, rationals with a checked saddle point, bounds that hold."""

from __future__ import annotations

import dataclasses
import itertools
import pickle

import numpy as np
import pytest

import mdps
import pgtheory
from mdps import RobustMDP, zoo
from mdps.ambiguity import KL, L1, L2, Chi2, Contamination, FiniteSet, Intervals, KLPenalty, Linf, RewardBall, RewardBox, TotalVariation, Wasserstein
from mdps.rational import exact_rows, rational, rational_array, to_float
from mdps.zoo.robust import graph
from pgtheory import arithmetic
from pgtheory.exact.certificate import CertificateError
from pgtheory.robust import (
    check_robust,
    evaluate_robustly,
    evaluate_static,
    program_evaluation,
    program_update,
    robust_values,
    solve_robust,
    solve_robust_exactly,
    worst_kernel,
)
from pgtheory.robust.certificate import transport_cost
from pgtheory.robust.operator import Operator, water_level
from pgtheory.robust.worst_case import worst_rows
from tests.pgtheory.robust import programs
from tests.pgtheory.robust.instances import model, small_fractions

CASES = zoo.robust_cases()
PLAIN = [name for name, case in CASES.items() if case.static is None]
SOLVER = 1e-6
"""HiGHS and Clarabel stop at 1e-8 relative; the programs sum over the states, and an update is compared at discount 9/10."""
ULP = 2.0**-52
LINE = [[abs(i - j) for j in range(4)] for i in range(4)]
WEIGHTS = ["1", "1/2", "2", "1"]
SA_FLAT = {
    "l1": L1("1/5"), "l1-nominal": L1("1/2", support="nominal"), "weighted": L1("1/5", weights=WEIGHTS), "tv": TotalVariation("1/10"), "linf": Linf("1/10"),
    "contamination": Contamination("1/10"), "wasserstein": Wasserstein("1/4", cost=rational_array(LINE)), "box": RewardBox("1/10"),
}  # fmt: skip
S_FLAT = {
    "l1": L1("1/5", rectangular="s"), "weighted": L1("1/5", weights=WEIGHTS, rectangular="s"), "tv": TotalVariation("1/5", rectangular="s"),
    "contamination": Contamination("1/5", rectangular="s"), "wasserstein": Wasserstein("1/2", cost=rational_array(LINE), rectangular="s"),
    "l1-nominal": L1("1/2", support="nominal", rectangular="s"),
}  # fmt: skip
SA_CURVED = {"kl": KL("1/10"), "chi2": Chi2("1/10"), "l2": L2("1/5"), "entropic": KLPenalty("1/2"), "reward-ball": RewardBall("1/5")}
S_CURVED = {"kl": KL("1/10", rectangular="s"), "chi2": Chi2("1/10", rectangular="s"), "l2": L2("1/5", rectangular="s")}


def finite(rectangular: str) -> FiniteSet:
    return FiniteSet(np.stack([model(10 + k).exact.transitions for k in range(3)]), rectangular=rectangular)


def exact_number(value):
    return float(value().mid()) if callable(value) else float(value)


@pytest.mark.parametrize("name", PLAIN)
def test_the_bounds_contain_the_closed_form(name):
    """Both methods; an irrational radius is the float beside it, which moves the optimum by a rounding at most (convex in the radius)."""
    case = CASES[name]
    for method in ("policy", "value"):
        best = solve_robust(case.problem, method, 1e-9)
        for state, value in case.values.items():
            assert best.lower[state] - ULP <= exact_number(value) <= best.upper[state] + ULP
        for state, policy in case.policy.items():
            assert best.policy[state] == pytest.approx([float(x) for x in policy], abs=1e-6)  # sqrt of the error of the values


@pytest.mark.exact
@pytest.mark.parametrize("name", [n for n in PLAIN if all(getattr(p, "polyhedral", False) for p in [CASES[n].problem.ambiguity])])
def test_rationals_give_the_closed_form_itself(name):
    case = CASES[name]
    best = solve_robust_exactly(case.problem)
    assert all(best.values[state] == rational(value) for state, value in case.values.items())
    assert all(best.policy[state].tolist() == [rational(x) for x in policy] for state, policy in case.policy.items())


@pytest.mark.parametrize("name", PLAIN)
def test_programs_agree_with_the_closed_form(name):
    """The second way: the closed form is the fixed point of the operator that HiGHS or Clarabel computes."""
    case = CASES[name]
    values = solve_robust(case.problem).values.copy()
    for state, value in case.values.items():
        values[state] = exact_number(value)
    updated, _ = program_update(case.problem, values)
    assert updated == pytest.approx(values, abs=SOLVER)


@pytest.mark.exact
@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.radius is not None])
def test_irrational_radii_give_the_closed_form_in_balls(name):
    """KL, L2 and the entropic price with the radius as a ball: an enclosure of 200 bits contains the answer."""
    case = CASES[name]
    with arithmetic.precision(200):
        nominal, ambiguity = case.problem.nominal.exact, case.problem.transition_set
        values = np.array([case.values[0]() if callable(case.values[0]) else 0, *[2 * r[0] for r in nominal.rewards[1:]]], dtype=object)
        sigma, _ = worst_rows(ambiguity, arithmetic.balls(nominal.transitions[0, 0]), arithmetic.balls(values), np.array(case.radius(), dtype=object))
        expected = case.values[0]() if callable(case.values[0]) else arithmetic.balls(rational(case.values[0]))
        assert (sigma / 2).overlaps(expected)
        assert float(sigma.rad()) < 1e-25  # at its limit the radius is tight only to half the digits


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.static is not None])
def test_the_worst_colouring_is_a_maximum_cut(name):
    """One policy, 2^(N - 1) kernels; enumeration of cuts is the other way, and the rectangular hull is worth nothing."""
    case = CASES[name]
    value, k, _ = evaluate_static(case.problem, np.ones((case.problem.num_states, 1)))
    nodes, edges = graph(name_of_graph(case))
    cuts = [sum(c[i] != c[j] for i, j in edges) for c in itertools.product((0, 1), repeat=nodes - 1) for c in [(0, *c)]]
    assert value == pytest.approx(float(case.static), abs=8 * ULP)
    assert value == pytest.approx(1 - max(cuts) / len(edges), abs=8 * ULP)
    assert cuts[k] == max(cuts)
    if nodes <= 5:
        hull = RobustMDP(case.problem.nominal, FiniteSet(case.problem.ambiguity.kernels))
        assert solve_robust_exactly(hull).values[0] == 0
        assert evaluate_static(case.problem, exact_rows(np.ones((case.problem.num_states, 1))))[0] == rational(case.static)


def name_of_graph(case):
    return case.problem.nominal.name.removeprefix("max_cut(").removesuffix(")")


def test_sets_that_are_no_product_are_refused():
    with pytest.raises(mdps.ModelError, match="NP-hard"):
        solve_robust(zoo.max_cut("K3"))


RIVER = {  # craam2's own figures for its test instance, (radius, support)
    ("1/5", "nominal"): [163.81956571404416, 254.8304355551836, 487.4137695936511, 990.7825311841509, 2044.5860323214051, 4234.27066252611],
    ("1/5", "all"): [113.08737545753807, 175.91369515617475, 336.46984549713505, 715.3668476302709, 1603.3811112444714, 3683.302394969749],
    ("1/2", "nominal"): [49.99999999999146, 44.99999999999146, 40.49999999999146, 36.449999999991455, 83.4904790120291, 598.3082299008208],
    ("1/2", "all"): [23.3671874999914, 19.6171874999914, 17.0859374999914, 18.346766064601876, 67.94315727156521, 572.4068324801917],
}


@pytest.mark.parametrize(("radius", "support"), RIVER)
def test_river_swim_is_what_craam2_computes(radius, support):
    """Its figures carry an error of 1e-11 relative to the largest, the tolerance it was run with."""
    problem = zoo.robust_river_swim(radius, support)
    best, exact = solve_robust(problem, tol=1e-7), solve_robust_exactly(problem)
    assert best.values == pytest.approx(RIVER[radius, support], abs=1e-7)
    assert np.all(best.lower <= to_float(exact.values)) and np.all(to_float(exact.values) <= best.upper)


def test_machine_replacement_by_policies_in_rationals():
    """The exact optimum is the largest of the worst-case values of the policies that differ from it in one state."""
    problem = zoo.robust_machine_replacement("1/5")
    best = solve_robust_exactly(problem)
    for s in range(problem.num_states):
        other = best.policy.copy()
        other[s] = best.policy[s][::-1]
        assert np.all(evaluate_robustly(problem, other).values <= best.values)


@pytest.mark.exact
@pytest.mark.parametrize("kind", [*(f"sa-{k}" for k in SA_FLAT), *(f"s-{k}" for k in S_FLAT), "sa-finite", "s-finite"])
def test_rationals_lie_between_the_bounds_of_floats(kind):
    """Random models in twelfths; the saddle point is checked by `check_robust`, and programs agree."""
    rect, _, name = kind.partition("-")
    for seed in (2 if rect == "sa" else 1,):  # s-rectangular optima need not be rational: those of this model are
        ambiguity = finite(rect) if name == "finite" else (SA_FLAT if rect == "sa" else S_FLAT)[name]
        problem = RobustMDP(model(seed), ambiguity)
        best, exact = solve_robust(problem), solve_robust_exactly(problem)
        values = to_float(exact.values)
        assert np.all(best.lower <= values) and np.all(values <= best.upper)
        assert best.error <= 1e-8 and best.stopped == "tolerance"
        assert program_update(problem, values)[0] == pytest.approx(values, abs=SOLVER)
        assert evaluate_robustly(problem, exact.policy).values.tolist() == exact.values.tolist()
        if name in ("l1", "contamination", "linf", "finite", "box"):
            assert program_evaluation(problem, to_float(exact.policy)) == pytest.approx(values, abs=10 * SOLVER)


@pytest.mark.parametrize("kind", SA_CURVED)
def test_curved_sets_agree_with_their_programs(kind):
    problem = RobustMDP(model(2), SA_CURVED[kind])
    best = solve_robust(problem)
    assert program_update(problem, best.values)[0] == pytest.approx(best.values, abs=SOLVER)
    found = evaluate_robustly(problem, best.policy)
    assert np.all(found.lower <= best.upper) and np.all(found.upper >= best.lower - 20 * best.error)
    assert program_evaluation(problem, best.policy) == pytest.approx(found.values, abs=10 * SOLVER)


@pytest.mark.parametrize("kind", S_CURVED)
def test_curved_blocks_agree_with_their_programs(kind):
    """One update and one answer to a policy; below and above meet although the search for the level is only numerical."""
    for nominal, budget in ((model(2, states=2, actions=2), 0.1), (model(2, states=2, actions=2), 50.0)):
        W = np.array([0.0, 1.5])
        problem = RobustMDP(nominal, {"kl": KL, "chi2": Chi2, "l2": L2}[kind](budget, rectangular="s"))
        step = Operator(problem).greedy(W)
        assert step.above == pytest.approx(step.below, abs=1e-9)
        assert program_update(problem, W)[0] == pytest.approx(step.below, abs=10 * SOLVER)
        answer = Operator(problem).respond(W, step.weights)
        assert answer.below == pytest.approx(step.below, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("kind", S_CURVED)
def test_curved_blocks_are_planned_for(kind):
    problem = RobustMDP(model(2), S_CURVED[kind])
    best = solve_robust(problem)
    assert program_update(problem, best.values)[0] == pytest.approx(best.values, abs=SOLVER)
    assert program_evaluation(problem, best.policy) == pytest.approx(evaluate_robustly(problem, best.policy).values, abs=10 * SOLVER)


@pytest.mark.parametrize("kind", ["sa-l1", "sa-kl", "s-l1", "s-contamination"])
def test_no_policy_and_no_kernel_beats_the_saddle_point(kind):
    """Random policies are worth less in their worst case; in the worst kernel nothing is worth more (an ordinary optimum)."""
    rect, _, name = kind.partition("-")
    problem = RobustMDP(model(3), ({**SA_FLAT, **SA_CURVED} if rect == "sa" else {**S_FLAT, **S_CURVED})[name])
    best, rng = solve_robust(problem), np.random.default_rng(0)
    assert pgtheory.solve(problem.nominal.float.replace(transitions=best.kernel)).values == pytest.approx(best.values, abs=1e-7)
    for _ in range(5):
        policy = rng.dirichlet(np.ones(problem.num_actions), problem.num_states)
        assert np.all(robust_values(problem, policy) <= best.upper)


def test_one_shared_budget_needs_a_random_policy():
    """Wiesemann, Kuhn and Rustem 2013: every deterministic policy of R2 is worth 1/2, the uniform one 5/8."""
    problem = CASES["R2"].problem
    for a in (0, 1):
        policy = rational_array(np.eye(2, dtype=int)[[a, 0, 0]])
        assert evaluate_robustly(problem, policy).values[0] == rational("1/2")
    assert evaluate_robustly(problem, rational_array([["1/2", "1/2"]] * 3)).values[0] == rational("5/8")


LIMITS = [
    (kind, rect)
    for kind in (L1, TotalVariation, L2, Linf, KL, Chi2, Wasserstein)
    for rect in ("sa", "s")
    if kind not in (L2, Chi2, KL) or rect == "sa"
]


@pytest.mark.parametrize(("ambiguity", "rectangular"), LIMITS)
def test_radius_zero_is_the_nominal_optimum_and_a_huge_one_the_worst_state(ambiguity, rectangular):
    """Beyond the simplex: every action leads to the least value there is (on the support for KL and chi2, here all states)."""
    if ambiguity is Linf and rectangular == "s":
        with pytest.raises(mdps.ModelError, match="product of its rows"):
            solve_robust(RobustMDP(model(1), Linf(0, rectangular="s")))
        return
    nominal = mdps.MDP(np.full((3, 2, 3), 1 / 3), [[1.0, 0.0], [0.5, 0.75], [0.0, 0.25]], 0.5)
    options = {"cost": np.ones((3, 3)) - np.eye(3)} if ambiguity is Wasserstein else {}
    none = solve_robust(RobustMDP(nominal, ambiguity(0, rectangular=rectangular, **options)))
    assert none.values == pytest.approx(pgtheory.solve(nominal).values, abs=2e-8)
    everything = solve_robust(RobustMDP(nominal, ambiguity(1e6, rectangular=rectangular, **options)))
    rewards = np.array([1.0, 0.75, 0.25])
    assert everything.values == pytest.approx(rewards + 0.5 * 0.25 / 0.5, abs=2e-8)


def test_balls_contain_the_value_of_a_policy():
    """(s, a)-rectangular: contained, narrow, and equal to the rational value where there is one."""
    for ambiguity in (L1("1/5"), KL("1/10"), Chi2("1/10"), Linf("1/10"), RewardBox("1/10")):
        problem = RobustMDP(model(4), ambiguity)
        policy = rational_array([["1/2", "1/3", "1/6"]] * 4)
        with arithmetic.precision(128):
            enclosed = robust_values(problem, arithmetic.balls(policy))
            floats = evaluate_robustly(problem, to_float(policy))
            for ball, low, high in zip(enclosed, floats.lower, floats.upper, strict=True):
                assert low <= float(ball.mid()) <= high
                assert float(ball.rad()) < 1e-28
            if ambiguity.polyhedral:
                exact = robust_values(problem, policy)
                assert all(ball.contains(arithmetic.balls(value)) for ball, value in zip(enclosed, exact, strict=True))


def test_the_worst_kernel_attains_the_worst_value():
    rng = np.random.default_rng(5)
    for ambiguity in (L1("1/5"), L1("1/2", rectangular="s"), KL("1/10")):
        problem = RobustMDP(model(5), ambiguity)
        policy = rng.dirichlet(np.ones(3), 4)
        kernel = worst_kernel(problem, policy)
        there = pgtheory.state_values(problem.nominal.float.replace(transitions=kernel), policy)
        assert there == pytest.approx(robust_values(problem, policy), abs=1e-9)


def test_compiled_sweeps_are_the_plain_ones():
    """L1 over pairs and over states, dense and compressed, ties and zero probabilities included."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        transitions = rng.multinomial(6, np.full(5, 0.2), (5, 3)) / 6
        nominal = mdps.MDP(transitions, rng.integers(0, 3, (5, 3)), 0.9)
        from scipy.sparse import csr_array

        sparse = mdps.MDP(csr_array(transitions.reshape(15, 5)), nominal.rewards, 0.9)
        W = rng.integers(0, 4, 5).astype(float)
        for support in ("all", "nominal"):
            ball = L1(rng.choice([0.0, 0.3, 1.0, 2.5], (5, 3)), support=support)
            plain = Operator(RobustMDP(nominal, ball)).greedy(W)
            for other in (nominal, sparse):
                fast = Operator(RobustMDP(other, ball)).greedy(W, kernel=False)
                assert fast.below == pytest.approx(plain.below, abs=64 * ULP)
                assert Operator(RobustMDP(nominal, ball)).respond(W, fast.weights).below == pytest.approx(plain.below, abs=64 * ULP)
            block = L1(rng.choice([0.0, 0.3, 1.0, 2.5, 7.0], 5), rectangular="s", support=support)
            operator = Operator(RobustMDP(nominal, block))
            plain, fast = operator.greedy(W), operator.greedy(W, kernel=False)
            assert fast.below == pytest.approx(plain.below, abs=256 * ULP)
            assert operator.respond(W, fast.weights).below == pytest.approx(plain.below, abs=256 * ULP)


def test_many_sweeps_in_one_call_are_the_sweeps_one_by_one():
    for seed in range(4):
        rng = np.random.default_rng(seed)
        nominal = mdps.MDP(rng.multinomial(6, np.full(7, 1 / 7), (7, 3)) / 6, rng.random((7, 3)), 0.9)
        for ball in (L1(rng.choice([0.0, 0.3, 1.0, 2.5], (7, 3))), L1(rng.choice([0.0, 0.3, 1.0, 7.0], 7), rectangular="s")):
            operator = Operator(RobustMDP(nominal, ball))
            W = W0 = rng.integers(0, 4, 7).astype(float)
            for _ in range(9):
                W = operator.greedy(W, kernel=False).below
            assert operator.repeats and operator.repeated(W0, 9) == pytest.approx(W, abs=1024 * ULP)
    assert not Operator(RobustMDP(nominal, KL(0.1))).repeats


def test_states_may_have_different_numbers_of_actions():
    nominal = zoo.inventory(3)
    for ambiguity in (L1("1/5"), L1("1/5", rectangular="s"), KL("1/10")):
        problem = RobustMDP(nominal, ambiguity)
        best = solve_robust(problem)
        assert np.all(best.policy[~nominal.action_mask] == 0)
        assert program_update(problem, best.values)[0] == pytest.approx(best.values, abs=10 * SOLVER)
        if ambiguity.polyhedral and ambiguity.rectangular == "sa":
            exact = to_float(solve_robust_exactly(problem).values)
            assert np.all(best.lower <= exact) and np.all(exact <= best.upper)


def test_an_irrational_optimum_is_not_claimed():
    """Randomising pays where the weights depend on the values: no rational number solves it, and the bounds of the floats hold all the same."""
    problem = RobustMDP(zoo.inventory(3), L1("1/5", rectangular="s"))
    with pytest.raises(mdps.ModelError, match="may be irrational"):
        solve_robust_exactly(problem)
    assert solve_robust(problem).error <= 1e-8


def test_intervals_around_a_model_are_its_linf_ball():
    nominal = model(6)
    p, step = nominal.exact.transitions, rational("1/10")
    box = Intervals(np.maximum(p - step, rational(0)), p + step)
    assert solve_robust_exactly(RobustMDP(nominal, box)).values.tolist() == solve_robust_exactly(RobustMDP(nominal, Linf(step))).values.tolist()


def test_the_price_of_robustness_is_within_its_bound():
    """V - V_rob <= gamma radius sp(V) / (2 (1 - gamma)) for one policy; R17 attains it."""
    problem = CASES["R17"].problem
    policy = rational_array([[1], [1]])
    nominal = pgtheory.state_values(problem.nominal, policy)
    assert (nominal - robust_values(problem, policy)).tolist() == [rational("9/5")] * 2
    assert rational("9/10") * rational("2/5") * (max(nominal) - min(nominal)) / (2 * rational("1/10")) == rational("9/5")


@pytest.mark.parametrize("field", ["values", "policy", "kernel", "rewards"])
def test_a_wrong_saddle_point_is_refused(field):
    problem = RobustMDP(model(2), L1("1/5"))
    found = solve_robust_exactly(problem)
    wrong = getattr(found, field).copy()
    if field in ("policy", "kernel"):
        wrong[0] = np.roll(wrong[0], 1, axis=-1)
    else:
        wrong.reshape(-1)[0] += rational("1/1000")
    found = dataclasses.replace(found, **{field: wrong})
    with pytest.raises(CertificateError):
        check_robust(problem, found.values, found.policy, found.kernel, found.rewards)


def test_transport_costs_are_their_linear_program():
    rng = np.random.default_rng(13)
    for _ in range(20):
        n = int(rng.integers(1, 5))
        (p, _), (q, _) = small_fractions(rng, n), small_fractions(rng, n)
        cost = rng.integers(0, 5, (n, n))
        np.fill_diagonal(cost, 0)
        found = transport_cost(p.tolist(), q.tolist(), rational_array(cost).tolist())
        assert float(programs.transport(to_float(p), to_float(q), cost)) == pytest.approx(float(mdps.rational.fraction(found)), abs=1e-9)


def test_the_water_level_of_a_reward_ball():
    rng = np.random.default_rng(14)
    for _ in range(50):
        values, alpha = rng.normal(size=rng.integers(1, 6)), float(rng.choice([1e-9, 0.1, 1.0, 30.0]))
        level = water_level(values, alpha)
        assert np.linalg.norm(np.maximum(values - level, 0)) == pytest.approx(alpha, abs=64 * ULP * (1 + alpha))


def test_a_spent_budget_carries_bounds_that_are_true():
    problem = RobustMDP(model(1, discount="99/100"), L1("1/5"))
    with pytest.raises(pgtheory.NotConverged) as caught:
        solve_robust(problem, "value", 1e-9, limit=3)
    found, exact = caught.value.solution, to_float(solve_robust_exactly(problem).values)
    assert found.stopped == "limit" and np.all(found.lower <= exact) and np.all(exact <= found.upper)
    rough = solve_robust(problem, tol=1e-17, on_limit="return")
    assert rough.stopped == "rounding" and np.all(rough.lower <= exact) and np.all(exact <= rough.upper)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: solve_robust(p, "newton"), "method is 'newton'"),
        (lambda p: solve_robust(p, tol=0), "tol is 0"),
        (lambda p: solve_robust_exactly(RobustMDP(p.nominal, KL("1/10"))), "KL has curved sides"),
        (lambda p: evaluate_robustly(p, np.ones((4, 3))), "policy"),
        (lambda p: evaluate_static(p, np.full((4, 3), 1 / 3)), "takes a FiniteSet"),
    ],
)
def test_bad_arguments_name_the_figure(call, message):
    with pytest.raises(mdps.ModelError, match=message):
        call(RobustMDP(model(1), L1("1/5")))


def test_a_robust_model_survives_pickling():
    problem = zoo.robust_river_swim("1/5")
    again = pickle.loads(pickle.dumps(problem))
    assert solve_robust(again, tol=1e-7).values == pytest.approx(solve_robust(problem, tol=1e-7).values, abs=1e-9)
