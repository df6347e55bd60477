"""The constrained optimum: closed forms, mixtures of deterministic policies, multipliers in policy iteration, a conic solver; certificates that are checked."""

from __future__ import annotations

import dataclasses
import pickle
from fractions import Fraction

import numpy as np
import pytest
from flint import arb, fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

import mdps
import pgtheory
from mdps import ConstrainedMDP, ModelError, zoo
from mdps.rational import fraction, rational_array
from pgtheory.constrained import (
    FarkasCertificate,
    InfeasibleError,
    check_constrained,
    check_farkas,
    evaluate_constrained,
    solve_constrained,
    solve_constrained_exactly,
)
from pgtheory.constrained.exactly import MOST_ROWS
from pgtheory.exact.certificate import CertificateError
from tests.pgtheory.constrained import plain
from tests.pgtheory.robust.instances import model as random_model

CASES = zoo.constrained_cases()
HIGHS = 1e-7
"""Feasibility and optimality tolerance of HiGHS, on programs scaled to entries of at most 1."""
CLARABEL = 1e-6
"""Clarabel stops at a relative 1e-8; its multipliers are less accurate than its value."""


def random_problem(seed: int, states: int, actions: int, count: int) -> ConstrainedMDP:
    """Costs in quarters, thresholds that the uniform policy just meets."""
    mdp = random_model(seed, states, actions)
    rng = np.random.default_rng(seed)
    tables = [rational_array([[f"{k}/4" for k in row] for row in rng.integers(0, 5, (states, actions))]) for _ in range(count)]
    loose = ConstrainedMDP(mdp, tables, rational_array([0] * count))
    return loose.replace(thresholds=evaluate_constrained(loose, rational_array(np.full((states, actions), fmpq(1, actions)))).costs)


# The table


@pytest.mark.parametrize("name", CASES)
def test_the_optimum_in_rationals_is_the_closed_form(name):
    case = CASES[name]
    best = solve_constrained_exactly(case.problem)
    assert fraction(best.value) == case.value
    for state, row in case.policy.items():
        assert [fraction(p) for p in best.policy[state]] == list(row)
    for price, (least, most) in zip(best.multipliers, case.multipliers, strict=True):
        assert least <= fraction(price)
        assert most is None or fraction(price) <= most
    assert best.extra_actions <= case.problem.num_constraints
    assert check_constrained(case.problem, best.certificate) == best.value
    reached = evaluate_constrained(case.problem, best.policy)  # by the linear system of the policy, without the program
    assert reached.reward == best.value
    assert reached.is_feasible


@pytest.mark.parametrize("name", CASES)
def test_mixtures_of_deterministic_policies_reach_the_closed_form_and_no_more(name):
    case = CASES[name]
    corners, thresholds = plain.points(case.problem), plain.bounds(case.problem)
    assert plain.best_mixture(corners, thresholds) == case.value
    if case.deterministic is not None:
        assert plain.best_deterministic(corners, thresholds) == case.deterministic


@pytest.mark.parametrize("name", CASES)
def test_the_lagrangian_at_the_multipliers_is_worth_the_optimum_and_more_at_others(name):
    """Strong duality, with policy iteration in the place of the program."""
    case = CASES[name]
    exact = case.problem.exact

    def dual(prices):
        values = pgtheory.solve_exactly(exact.lagrangian(rational_array(prices))).values
        return fraction((exact.start * values).sum() + (rational_array(prices) * exact.upper_thresholds).sum())

    least = [low for low, _ in case.multipliers]
    assert dual(least) == case.value
    assert dual([least[0] + 1 if high is None else high for _, high in case.multipliers]) == case.value
    step = Fraction(1, 1000)
    if least[0] > 0:
        assert dual([least[0] - step, *least[1:]]) > case.value
    if case.multipliers[0][1] is not None:
        assert dual([case.multipliers[0][1] + step, *least[1:]]) > case.value


@pytest.mark.parametrize("name", CASES)
def test_floats_come_within_the_tolerance_of_highs(name):
    case = CASES[name]
    best = solve_constrained(case.problem)
    scale = 2 / (1 - case.problem.discount)
    assert abs(best.value - float(case.value)) <= HIGHS * scale
    assert best.upper >= float(case.value) - 1e-12 * scale
    assert best.gap <= HIGHS * scale
    assert np.all(best.violations <= HIGHS * scale)
    np.testing.assert_allclose(best.policy.sum(axis=1), 1, atol=1e-12)


@pytest.mark.parametrize("name", ["C4", "C9a", "C10", "C11"])
def test_a_conic_solver_agrees_in_value_and_multipliers(name):
    import cvxpy as cp

    case = CASES[name]
    problem, mdp, gamma = case.problem, case.problem.mdp, case.problem.discount
    x = cp.Variable(mdp.num_pairs, nonneg=True)
    owner = np.repeat(np.eye(mdp.num_states), np.diff(mdp.first_pair), axis=0)
    met = [c @ x <= b if d == "<=" else c @ x >= b for c, b, d in zip(problem.costs, problem.thresholds, problem.directions, strict=True)]
    program = cp.Problem(cp.Maximize(mdp.pair_rewards @ x), [(owner - gamma * mdp.choices).T @ x == mdp.start, *met])
    program.solve(solver=cp.CLARABEL)
    assert abs(program.value - float(case.value)) <= CLARABEL
    for row, (least, most) in zip(met, case.multipliers, strict=True):
        assert float(least) - CLARABEL <= abs(float(row.dual_value)) <= float(most) + CLARABEL


def test_entropy_moves_the_multiplier_and_not_the_policy():
    """C12 by a conic solver: probability and multiplier of the entropy-regularised bandit, with the budget binding and slack."""
    import cvxpy as cp

    for budget, tau in (("1/4", 0.5), ("1/10", 1.0), ("9/10", 1.0)):
        p = cp.Variable()
        bound = p <= float(Fraction(budget))
        cp.Problem(cp.Maximize(p + tau * (cp.entr(p) + cp.entr(1 - p))), [bound]).solve(solver=cp.CLARABEL)
        share, price = zoo.entropy_regularised(budget, Fraction(tau))
        assert abs(p.value - float(share)) <= CLARABEL**0.5 / 10  # a free optimum is flat: the value's 1e-8 is 1e-4 in p
        assert abs(bound.dual_value - float(price)) <= CLARABEL**0.5 / 10
    case = CASES["C12"]
    assert case.figures["regularised multiplier"]().overlaps(1 + arb(3).log() / 2)
    assert case.figures["regularised first arm"]().overlaps(arb(1) / 4)


def test_the_other_views_of_the_first_case():
    """C13: stationarity of the doubly regularised Lagrangian.  C16: the penalised value, at its corners.  C17: Bayes' rule."""
    c13 = CASES["C13"].figures
    p, price, tau, b = c13["regularised first arm"], c13["regularised multiplier"], c13["temperature"], CASES["C13"].value
    assert price == (p - b) / tau  # the multiplier's own condition: tau lambda = violation
    assert p == Fraction(1, 2)
    assert price == 1  # softmax((1 - lambda) / tau, 0) = 1/2 exactly there
    c16 = CASES["C16"]
    for word in ("below", "above"):
        weight = c16.figures[f"penalty {word}"]
        corners = (Fraction(0), c16.value, Fraction(1))  # the penalised value is linear between them
        assert max(p - weight * max(p - c16.value, Fraction(0)) for p in corners) == c16.figures[f"penalised {word}"]
    q = CASES["C17"].figures["cost probability"]
    joint = {"safe": Fraction(1, 2) * 0, "risky": Fraction(1, 2) * (1 - q)}  # P(arm, reward = 1, cost = 0) under the uniform behaviour
    risky = joint["risky"] / sum(joint.values())
    assert risky * q == CASES["C17"].figures["conditioned cost"]


# Random problems


@settings(max_examples=25)
@given(problem=mdps.strategies.constrained_mdps())
def test_random_problems_are_solved_to_the_best_mixture_or_refused_with_a_proof(problem):
    expected = plain.best_mixture(plain.points(problem), plain.bounds(problem))
    if expected is None:
        with pytest.raises(InfeasibleError) as refused:
            solve_constrained_exactly(problem)
        assert check_farkas(problem, refused.value.infeasibility.certificate) > 0
        return
    best = solve_constrained_exactly(problem)
    assert fraction(best.value) == expected
    assert best.extra_actions <= problem.num_constraints
    reached = evaluate_constrained(problem, best.policy)
    assert reached.reward == best.value
    assert reached.is_feasible
    assert list(reached.costs) == list(best.cost_values)


@settings(max_examples=20)
@given(problem=mdps.strategies.constrained_mdps(), data=st.data())
def test_a_certificate_is_refused_when_anything_in_it_changes(problem, data):
    try:
        best = solve_constrained_exactly(problem)
    except InfeasibleError as refused:
        good = refused.infeasibility.certificate
        state = data.draw(st.integers(0, problem.num_states - 1))
        raised = good.values.copy()
        raised[state] += sum(good.multipliers) / (1 - problem.exact.discount) + 1
        with pytest.raises(CertificateError):
            check_farkas(problem, dataclasses.replace(good, values=raised))
        with pytest.raises(CertificateError):
            check_farkas(problem, FarkasCertificate(good.multipliers * 0, good.values * 0))
        return
    good = best.certificate
    pair = data.draw(st.integers(0, problem.mdp.num_pairs - 1))
    for field, place, change in (("occupancy", pair, fmpq(1, 100)), ("occupancy", pair, fmpq(-2)), ("multipliers", 0, fmpq(-100))):
        changed = getattr(good, field).copy()
        changed[place] += change
        with pytest.raises(CertificateError):
            check_constrained(problem, dataclasses.replace(good, **{field: changed}))
    for change in (fmpq(-1, 100), fmpq(1, 100)):  # too small for some action, or, all raised alike, no longer equal to the value
        with pytest.raises(CertificateError):
            check_constrained(problem, dataclasses.replace(good, values=good.values + change))


def test_each_line_of_the_certificate_is_checked_by_itself():
    """Changes that leave everything else as it was: the queue starts in state 2, and both of its actions pay the same in every state."""
    problem = CASES["C9a"].problem
    good = solve_constrained_exactly(problem).certificate
    small = fmpq(1, 1000)

    def changed(**fields):
        return dataclasses.replace(good, **{name: getattr(good, name) + np.array(move, dtype=object) for name, move in fields.items()})

    zero = small * 0
    with pytest.raises(CertificateError, match="V is too small in state 0: action 0 gives"):
        check_constrained(problem, changed(values=[-small, zero, zero]))
    with pytest.raises(CertificateError, match="flow into and out of state 1 differs"):
        check_constrained(problem, changed(occupancy=[zero] * 4 + [small, -small]))
    slack = CASES["C8b"].problem
    enough = solve_constrained_exactly(slack).certificate  # multiplier 0: only the threshold itself can object
    with pytest.raises(CertificateError, match=r"the occupancy exceeds the threshold of .cost. by 0\.167"):
        check_constrained(slack.replace(thresholds=["1/2"]), enough)
    with pytest.raises(CertificateError, match="multiplier 0 is negative: -1"):
        check_constrained(slack, dataclasses.replace(enough, multipliers=enough.multipliers - 1))
    with pytest.raises(CertificateError, match="the occupancy of pair 1 is negative"):
        check_constrained(problem, changed(occupancy=[zero, -small, zero, zero, zero, zero]))
    with pytest.raises(CertificateError, match=r"is worth 0\.001 less than the bound"):
        check_constrained(problem, changed(values=[small] * 3))
    with pytest.raises(CertificateError, match="5 values, or some that are no fractions"):
        check_constrained(problem, dataclasses.replace(good, values=[*good.values, zero, zero]))

    short = problem.replace(thresholds=["-1"])
    with pytest.raises(InfeasibleError) as refused:
        solve_constrained_exactly(short)
    proof = refused.value.infeasibility.certificate
    assert check_farkas(short, proof) == 1
    with pytest.raises(CertificateError, match="V is too large in state 0"):
        check_farkas(short, dataclasses.replace(proof, values=proof.values + np.array([zero + 5, zero, zero], dtype=object)))
    with pytest.raises(CertificateError, match="does not exceed the combined threshold"):
        check_farkas(problem, proof)
    with pytest.raises(CertificateError, match="multiplier 0 is negative"):
        check_farkas(short, dataclasses.replace(proof, multipliers=-proof.multipliers))


def test_more_states_and_constraints_and_at_most_one_extra_action_for_each():
    for seed, states, actions, count in ((1, 6, 3, 1), (2, 8, 3, 2), (3, 10, 4, 3), (4, 12, 2, 4)):
        problem = random_problem(seed, states, actions, count)
        best, floats = solve_constrained_exactly(problem), solve_constrained(problem)
        assert best.extra_actions <= count
        assert sum(1 for x in best.occupancy.reshape(-1) if x > 0) == sum(1 for row in best.occupancy if any(row > 0)) + best.extra_actions
        assert abs(floats.value - float(fraction(best.value))) <= HIGHS * 20
        assert np.sum((floats.policy > 1e-6).sum(axis=1) - 1) <= count


def test_deterministic_policies_leave_something_on_the_table():
    """What a restriction to deterministic policies costs on C1: all of it."""
    case = CASES["C1"]
    assert plain.best_deterministic(plain.points(case.problem), plain.bounds(case.problem)) == 0 < case.value


# The same problem, needlessly complicated


def test_permuted_states_and_scaled_costs_move_the_answer_as_they_should():
    problem = random_problem(5, 5, 3, 2)
    best = solve_constrained_exactly(problem)
    exact = problem.exact
    order = np.array([3, 1, 4, 0, 2])
    mdp = exact.mdp
    moved = mdps.MDP(mdp.transitions[order][:, :, order], mdp.rewards[order], mdp.discount, mdp.start[order])
    turned = ConstrainedMDP(moved, list(exact.cost_tables[:, order]), exact.thresholds)
    assert solve_constrained_exactly(turned).value == best.value
    seven = ConstrainedMDP(mdp, list(7 * exact.cost_tables), 7 * exact.thresholds)
    scaled = solve_constrained_exactly(seven)
    assert scaled.value == best.value
    assert list(7 * scaled.multipliers) == list(best.multipliers)
    mirrored = ConstrainedMDP(mdp, list(-exact.cost_tables), -exact.thresholds, directions=">=")
    other = solve_constrained_exactly(mirrored)
    assert other.value == best.value
    assert list(other.multipliers) == list(best.multipliers)
    shifted = problem.replace(mdp=mdp.replace(rewards=mdp.rewards + 2))
    assert solve_constrained_exactly(shifted).value == best.value + 2 / (1 - mdp.discount)


def test_a_duplicated_action_and_an_unreachable_state_change_nothing():
    case = CASES["C9a"]
    mdp = case.problem.exact.mdp
    transitions = np.full((4, 3, 4), fmpq(0), dtype=object)
    transitions[:3, :2, :3] = mdp.transitions
    transitions[:3, 2, :3] = mdp.transitions[:, 1]
    transitions[3, :, 3] = fmpq(1)
    rewards = rational_array([[*mdp.rewards[s], mdp.rewards[s, 1]] for s in range(3)] + [[0, 0, 5]])
    start = rational_array([*mdp.start, 0])
    costs = rational_array([[0, 1, 1]] * 3 + [[9, 0, 0]])
    wider = ConstrainedMDP(mdps.MDP(transitions, rewards, mdp.discount, start), [costs], ["1"])
    best = solve_constrained_exactly(wider)
    assert fraction(best.value) == case.value
    assert [fraction(x) for x in best.multipliers] == [least for least, _ in case.multipliers]
    assert all(x == 0 for x in best.occupancy[3])
    assert sum(best.policy[3]) == 1


def test_sparse_and_dense_models_agree():
    lake = mdps.io.load_constrained("frozen_lake(4)", ["visits(15) >= 40", "plays(down) <= 10"])
    sparse = mdps.MDP.from_choices(
        lake.mdp.first_pair, mdps.MDP.from_choices(lake.mdp.first_pair, _csr(lake.mdp.choices), lake.mdp.pair_rewards, 0).choices,
        lake.mdp.pair_rewards, lake.discount, lake.start,
    )  # fmt: skip
    other = ConstrainedMDP(sparse, list(lake.costs), lake.thresholds, directions=lake.directions)
    one, two = solve_constrained(lake), solve_constrained(other)
    assert abs(one.value - two.value) <= HIGHS * 100
    assert one.value > 0.3


def _csr(matrix):
    from scipy.sparse import csr_array

    return csr_array(matrix)


# What is refused, and what is kept


def test_what_is_no_constrained_problem_is_refused():
    with pytest.raises(ModelError, match=r"is an mdps\.ConstrainedMDP; this is a MDP"):
        solve_constrained(zoo.two_state())
    with pytest.raises(ModelError, match=r"is an mdps\.ConstrainedMDP"):
        solve_constrained_exactly(zoo.two_state())
    states = MOST_ROWS + 1
    large = mdps.MDP(np.eye(states)[:, None, :], np.zeros((states, 1)), 0.5)
    with pytest.raises(ModelError, match=f"{states + 1} rows, too many for rationals"):
        solve_constrained_exactly(ConstrainedMDP(large, [np.zeros((states, 1))], [1.0]))
    assert solve_constrained(ConstrainedMDP(large, [np.zeros((states, 1))], [1.0])).value == 0


def test_infeasible_thresholds_are_refused_in_floats_and_rationals():
    problem = CASES["C7"].problem.replace(thresholds=["-1"])
    for solver in (solve_constrained, solve_constrained_exactly):
        with pytest.raises(InfeasibleError, match=r"no policy meets cost <= -1: the best achievable is 0\."):
            solver(problem)


def test_a_solution_survives_pickling():
    best = solve_constrained_exactly(CASES["C9b"].problem)
    again = pickle.loads(pickle.dumps(best))
    assert fraction(again.value) == fraction(best.value)
    assert check_constrained(again.model, again.certificate) == best.value
