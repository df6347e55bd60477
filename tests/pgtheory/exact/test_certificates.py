"""Certificates of every criterion: they prove what enumeration finds, and a checker that is handed a wrong one says no."""

from __future__ import annotations

import ast
import dataclasses
import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdps import MDP, FiniteHorizon, ModelError, strategies
from mdps.rational import fraction, rational, rational_array
from pgtheory.exact import (
    Bounds,
    CertificateError,
    certify,
    check_certificate,
    reachability,
    solve,
    solve_average,
    solve_average_exactly,
    solve_exactly,
    solve_finite_horizon,
    solve_game,
    total_reward,
)
from pgtheory.exact.games import exact_game
from tests.pgtheory.exact.independent import best_of_all_policies, fractions_of
from tests.pgtheory.exact.test_average import best_gain
from tests.pgtheory.exact.test_undiscounted import enumerate_policies, target_masks

pytestmark = pytest.mark.exact
LITTLE = rational("1/1000000007")


def moved(values, state, by):
    out = np.array(values, dtype=object)
    out[state] = out[state] + by
    return out


def refused(problem, certificate, **changes):
    with pytest.raises(CertificateError):
        check_certificate(problem, dataclasses.replace(certificate, **changes))


def test_the_checkers_import_nothing_from_the_solvers():
    from pgtheory.exact import certificate, undiscounted_certificate

    for module in (certificate, undiscounted_certificate):
        tree = ast.parse(inspect.getsource(module))
        names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert not [name for name in names if name.startswith(("pgtheory", "mdps")) and name != "pgtheory.exact.certificate"]


@settings(max_examples=60)
@given(mdp=strategies.mdps(max_states=3, max_actions=2, ragged=True), noise=st.floats(-2, 2), data=st.data())
def test_discounted_bounds_hold_and_are_refused_when_moved_inwards(mdp, noise, data):
    exact = best_of_all_policies(mdp)
    proved = certify(mdp, solve(mdp, on_limit="return").values + noise * np.arange(mdp.num_states))
    certificate = proved.certificate
    assert isinstance(certificate, Bounds)
    assert all(fraction(a) <= v <= fraction(b) for a, v, b in zip(certificate.lower, exact, certificate.upper, strict=True))
    state = data.draw(st.integers(0, mdp.num_states - 1))
    beyond = rational(str(exact[state])) + LITTLE
    refused(mdp, certificate, lower=moved(certificate.lower, state, beyond - certificate.lower[state]))
    refused(mdp, certificate, upper=moved(certificate.upper, state, beyond - 2 * LITTLE - certificate.upper[state]))
    refused(mdp, certificate, actions=np.full(mdp.num_states, mdp.num_actions))
    refused(mdp, certificate, lower=certificate.lower[:-1])
    refused(mdp, certificate, upper=proved.upper)


@settings(max_examples=80)
@given(data=st.data(), mdp=strategies.mdps(max_states=4, max_actions=2, ragged=True), direction=st.sampled_from(("max", "min")))
def test_reachability(data, mdp, direction):
    targets = data.draw(target_masks(mdp))
    best = max if direction == "max" else min
    answers = [best(column) for column in zip(*enumerate_policies(mdp, targets, None), strict=True)]
    exact = reachability(mdp, targets, direction, exact=True)
    certificate = exact.certificate
    mask = check_certificate(mdp, certificate)
    np.testing.assert_array_equal(mask, exact.optimal_actions)
    assert np.all(mask[np.arange(mdp.num_states), exact.actions])
    for s, value in enumerate(answers):
        beyond = rational(str(value))
        refused(mdp, certificate, lower=moved(certificate.lower, s, beyond + LITTLE - certificate.lower[s]))
        refused(mdp, certificate, upper=moved(certificate.upper, s, beyond - LITTLE - certificate.upper[s]))
    refused(mdp, certificate, direction="maximal")
    refused(mdp, certificate, targets=~targets if targets.any() and not targets.all() else np.zeros(mdp.num_states + 1, dtype=bool))


def test_value_one_on_a_loop_that_avoids_the_target_is_refused():
    """L = 1 solves the Bellman equation of a free loop; only the rank shows that nothing is ever reached."""
    mdp = MDP([[[1, 0, 0], ["1/2", "1/4", "1/4"]], [[0, 1, 0], [0, 1, 0]], [[0, 0, 1], [0, 0, 1]]], np.zeros((3, 2)), "0")
    exact = reachability(mdp, [1], exact=True)
    assert [fraction(v) for v in exact.values] == [fraction("1/2"), 1, 0]
    ones = rational_array([1, 1, 0])
    for rank in (exact.certificate.rank, np.array([1, 0, 0]), np.array([5, 4, 3])):
        refused(mdp, exact.certificate, lower=ones, upper=ones, actions=np.array([0, 0, 0]), rank=rank)
    wrong = dataclasses.replace(exact.certificate, rank=np.array([0, 0, 0]))
    with pytest.raises(CertificateError, match="does not let the rank fall"):
        check_certificate(mdp, wrong)


@settings(max_examples=80)
@given(
    data=st.data(),
    mdp=strategies.mdps(max_states=4, max_actions=2, ragged=True),
    direction=st.sampled_from(("max", "min")),
    sign=st.sampled_from((1, -1)),
)
def test_total_reward(data, mdp, direction, sign):
    targets = data.draw(target_masks(mdp))
    exact = total_reward(mdp, targets, direction, rewards=sign * mdp.exact.pair_rewards, exact=True)
    certificate = exact.certificate
    np.testing.assert_array_equal(check_certificate(mdp, certificate), exact.optimal_actions)
    for s in range(mdp.num_states):
        if certificate.infinite[s]:
            open_ = certificate.infinite.copy()
            open_[s] = False
            values = moved(certificate.lower, s, rational(data.draw(st.integers(-9, 9))))
            rank = data.draw(st.lists(st.integers(0, 4), min_size=mdp.num_states, max_size=mdp.num_states))
            refused(mdp, certificate, infinite=open_, lower=values, upper=values, rank=np.array(rank))  # no finite value can be proved
            continue
        refused(mdp, certificate, lower=moved(certificate.lower, s, LITTLE))
        refused(mdp, certificate, upper=moved(certificate.upper, s, -LITTLE))
        endless = certificate.infinite.copy()
        endless[s] = True
        refused(mdp, certificate, infinite=endless)
    refused(mdp, certificate, rewards=certificate.rewards[:-1])


@settings(max_examples=80)
@given(mdp=strategies.mdps(max_states=4, max_actions=2, ragged=True, rewards=(-1, 1)), data=st.data())
def test_average_reward(mdp, data):
    answers = best_gain(mdp)
    exact = solve_average_exactly(mdp)
    certificate = exact.certificate
    np.testing.assert_array_equal(check_certificate(mdp, certificate), exact.optimal_actions)
    assert np.all(exact.optimal_actions[np.arange(mdp.num_states), exact.actions])
    found = solve_average(mdp)
    proved = certify(mdp, found)
    check_certificate(mdp, proved.certificate)
    assert proved.error <= 4 * found.error + 1e-15
    state = data.draw(st.integers(0, mdp.num_states - 1))
    for side, beyond in (("lower", LITTLE), ("upper", -LITTLE)):
        value = rational(str(answers[state])) + beyond
        for one in (certificate, proved.certificate):
            wrong = moved(getattr(one, side), state, value - getattr(one, side)[state])
            refused(mdp, one, **{side: wrong})
        everywhere = getattr(certificate, side) + beyond
        refused(mdp, certificate, **{side: everywhere})


@settings(max_examples=60)
@given(problem=strategies.finite_horizon_problems(), data=st.data())
def test_finite_horizon(problem, data):
    exact = solve_exactly(problem)
    proved = certify(problem, solve(problem))
    check_certificate(problem, proved.certificate)
    for t in range(problem.horizon + 1):
        assert all(fraction(float(a)) <= fraction(v) for a, v in zip(proved.lower[t], exact.values[t], strict=True))
        assert all(fraction(float(b)) >= fraction(v) for b, v in zip(proved.upper[t], exact.values[t], strict=True))
    step = data.draw(st.integers(0, problem.horizon))
    for side, by in (("lower", LITTLE), ("upper", -LITTLE)):
        values = list(getattr(exact.certificate, side))
        values[step] = moved(values[step], 0, by)
        refused(problem, exact.certificate, **{side: values})
    refused(problem, exact.certificate, actions=exact.actions[:-1])


@pytest.mark.parametrize("seed", range(20))
def test_games(seed):
    rng = np.random.default_rng(seed)
    P, r = rng.dirichlet(np.ones(3), (3, 2, 2)), rng.integers(-3, 4, (3, 2, 2)).astype(float)
    found = solve_game(P, r, "9/10")
    proved = certify((P, r, "9/10"), found)
    game = exact_game(P, r, "9/10")
    assert check_certificate(game, proved.certificate) is None
    assert proved.error <= found.error
    certificate = proved.certificate
    refused(game, certificate, lower=certificate.upper + LITTLE)
    refused(game, certificate, upper=certificate.lower - LITTLE)
    refused(game, certificate, first=certificate.first * 2)
    refused(game, certificate, second=certificate.second[:, :1])


def test_exact_solutions_and_wrong_types():
    mdp = MDP([[["1/2", "1/2"]], [[0, 1]]], [1, 0], "1/2")
    exact = solve_exactly(mdp)
    assert certify(mdp, exact) is exact
    with pytest.raises(CertificateError):
        certify(mdp, dataclasses.replace(exact, certificate=dataclasses.replace(exact.certificate, values=exact.values + LITTLE)))
    with pytest.raises(CertificateError, match="is no certificate"):
        check_certificate(mdp, "trust me")
    with pytest.raises(ModelError, match="one finite value"):
        certify(mdp, np.array([np.nan, 0.0]))


def test_a_stage_that_is_another_problem_is_refused():
    problem = FiniteHorizon([[[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]]] * 2, [[[0.0, 1.0], [2.0, 0.0]]] * 2)
    other = FiniteHorizon([[[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]]] * 2, [[[0.0, 1.0], [2.5, 0.0]]] * 2)
    with pytest.raises(CertificateError, match="upper bound of state"):
        check_certificate(other, solve_exactly(problem).certificate)


@settings(max_examples=80)
@given(mdp=strategies.mdps(max_states=3, max_actions=3, ragged=True))
def test_exactly_the_optimal_actions_are_reported(mdp):
    """Those whose action value, from the best of all policies in fractions, equals the value: ties included, near-ties not."""
    values = best_of_all_policies(mdp)
    exact, floats = solve_exactly(mdp), solve(mdp, on_limit="return")
    rows, gamma = fractions_of(mdp)
    expected = np.zeros((mdp.num_states, mdp.num_actions), dtype=bool)
    for s, pairs in enumerate(rows):
        for a, (row, paid) in enumerate(pairs):
            expected[s, a] = paid + gamma * sum(p * v for p, v in zip(row, values, strict=True)) == values[s]
    np.testing.assert_array_equal(exact.optimal_actions, expected)
    assert np.all(floats.optimal_actions | ~expected)
    assert np.all(certify(mdp, floats).optimal_actions | ~expected)


def test_a_warm_start_changes_the_work_and_not_the_answer():
    rng = np.random.default_rng(1)
    mdp = MDP(rng.dirichlet(np.ones(30) * 0.1, (30, 3)), rng.random((30, 3)), 0.9)
    cold = solve_average(mdp)
    warm = solve_average(mdp, start=cold)
    assert warm.iterations < cold.iterations
    assert np.all((warm.lower <= cold.upper) & (cold.lower <= warm.upper))
    assert solve_exactly(mdp, start=solve(mdp).actions).iterations == 1
    with pytest.raises(ModelError, match="start must hold one finite value"):
        solve_average(mdp, start=np.zeros(3))


def tampered(problem, solution, **changes):
    """A solution that claims something else than its certificate proves is refused."""
    for name, value in changes.items():
        with pytest.raises(CertificateError):
            certify(problem, dataclasses.replace(solution, **{name: value}))


LOOP = MDP([[[1, 0, 0], ["1/2", "1/4", "1/4"]], [[0, 1, 0], [0, 1, 0]], [[0, 0, 1], [0, 0, 1]]], [[1, 2], [0, 0], [3, 3]], "1/2")
"""State 0 waits or jumps; states 1 and 2 are absorbing."""


def test_an_exact_solution_says_no_more_than_its_certificate():
    exact = solve_exactly(LOOP)
    other = ~exact.optimal_actions & LOOP.action_mask
    tampered(LOOP, exact, values=exact.values + 1, actions=other.argmax(axis=1), optimal_actions=~exact.optimal_actions)
    tampered(LOOP, exact, certificate=Bounds(exact.values, exact.values + 1, exact.actions))
    tied = dataclasses.replace(exact, actions=np.where(exact.optimal_actions.sum(axis=1) > 1, 1, exact.actions))
    assert certify(LOOP, tied) is tied and not np.array_equal(tied.actions, exact.actions)
    reached = reachability(LOOP, [1], exact=True)
    assert certify(LOOP, reached) is reached
    tampered(LOOP, reached, values=reached.values + 1, actions=1 - reached.actions, optimal_actions=~reached.optimal_actions)
    paid = total_reward(LOOP, [1], exact=True)
    assert certify(LOOP, paid) is paid
    assert paid.values[2] == np.inf and isinstance(paid.values[2], float)
    for endless in (-np.inf, 0.0, rational(0)):
        tampered(LOOP, paid, values=np.array([*paid.values[:2], endless], dtype=object))
    costs = total_reward(LOOP, [1], rewards=-LOOP.exact.pair_rewards, exact=True)
    assert costs.values[2] == -np.inf and certify(LOOP, costs) is costs
    tampered(LOOP, costs, values=np.array([*costs.values[:2], np.inf], dtype=object))
    gain = solve_average_exactly(LOOP)
    assert certify(LOOP, gain) is gain
    changes = {"gain": gain.gain + 1, "bias": gain.bias + LITTLE, "actions": 1 - gain.actions, "optimal_actions": ~gain.optimal_actions}
    tampered(LOOP, gain, **changes)


@pytest.mark.parametrize("direction", ["max", "min"])
def test_a_float_answer_says_no_more_than_its_certificate(direction):
    paid = "-1/3" if direction == "max" else "1/3"
    ends = LOOP.replace(rewards=[[paid, paid], [0, 0], [1, 1]])
    for found in (reachability(ends, [1], direction), total_reward(ends, [1, 2], direction)):
        proved = certify(ends, found)
        assert certify(ends, proved) is proved
        off = np.array([1e-3, 0.0, 0.0])
        wider = dataclasses.replace(proved, lower=proved.lower - off, upper=proved.upper + off)
        assert certify(ends, wider) is wider  # still true
        tampered(ends, proved, lower=proved.upper + off, upper=proved.lower - off, values=proved.values + off, actions=1 - proved.actions)
        tampered(ends, proved, values=proved.values * np.nan)
        question = proved.details
        wrong = [{"direction": "min" if direction == "max" else "max"}, {"targets": np.array([False, False, True])}]
        wrong.append({"optimal_actions": ~question["optimal_actions"]})
        if question["criterion"] == "reachability":
            wrong += [{"through": np.array([False, True, True])}, {"criterion": "total reward", "rewards": None}]
        else:
            wrong += [{"rewards": ends.rewards + 1}, {"criterion": "reachability", "through": np.ones(3, dtype=bool)}]
        for change in wrong:
            tampered(ends, proved, details={**question, **change})


def test_an_infinite_answer_keeps_its_sign():
    proved = certify(LOOP, total_reward(LOOP, [1]))
    assert certify(LOOP, proved) is proved and proved.values[2] == np.inf
    for figure in (-np.inf, 7.0):
        one = np.array([*proved.values[:2], figure])
        with pytest.raises(CertificateError):
            certify(LOOP, dataclasses.replace(proved, values=one, lower=one, upper=one))


def test_a_gain_says_no_more_than_its_certificate():
    for model in (LOOP, LOOP.replace(transitions=[[[1, 0, 0], [0, 1, 0]], [[0, 0, 1], [1, 0, 0]], [[1, 0, 0], [1, 0, 0]]])):
        proved = certify(model, solve_average(model))
        assert certify(model, proved) is proved
        tampered(model, proved, gain=proved.gain + 1, lower=proved.upper + 1, upper=proved.lower - 1, actions=1 - proved.actions)
        tampered(model, proved, bias=proved.bias + 1, optimal_actions=np.zeros((3, 2), dtype=bool))


def test_the_steps_of_a_solution_are_compared_with_its_certificate():
    problem = FiniteHorizon.from_mdp(LOOP, horizon=2)
    for proved in (solve_exactly(problem), certify(problem, solve(problem))):
        assert certify(problem, proved) is proved
        for name in ("values", "actions", "lower", "upper", "optimal_actions"):
            parts = list(getattr(proved, name))
            parts[1] = ~parts[1] if name == "optimal_actions" else 1 - parts[1] if name == "actions" else parts[1] + (-5 if name == "upper" else 5)
            tampered(problem, proved, **{name: parts})
            tampered(problem, proved, **{name: parts[:1]})


def test_steps_are_proved_for_the_problem_that_is_named():
    """Not for the one that the solution names, and with the terminal values that were given, not those that the solution claims."""
    other = LOOP.replace(rewards=[[1, 2], [0, 0], [4, 4]])
    for exact in (False, True):
        found = solve_finite_horizon(LOOP, 2, ["1/3", 0, 0], discount="1/2", exact=exact)
        assert certify([LOOP, LOOP], found).problem.horizon == 2
        proved = certify(LOOP, found)
        assert certify(LOOP, proved) is proved
        with pytest.raises(CertificateError):
            certify(other, proved)
        assert certify(FiniteHorizon.from_mdp(LOOP, horizon=2), dataclasses.replace(found, certificate=None)).upper[2][0] == 0
        with pytest.raises(ModelError, match="horizon is 2, but 3 steps"):
            certify([LOOP] * 3, found)
    final = [*found.values[:2], found.values[2] + 1]
    assert certify(LOOP, dataclasses.replace(found, values=final, lower=final, upper=final, certificate=None)).upper[2][1] == 0
