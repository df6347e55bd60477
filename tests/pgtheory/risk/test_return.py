"""Laws of the return, static CVaR, the decomposition, entropic risk with its schedule, EVaR of the return."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from flint import fmpq
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from mdps import MDP, ModelError, zoo
from mdps.finite_horizon import FiniteHorizon
from mdps.rational import fraction, to_float
from mdps.strategies import finite_horizon_problems, mdps, policies
from mdps.zoo.risk import gamble_after_luck, split_levels
from pgtheory import risk, solve_finite_horizon, state_values
from pgtheory.risk.entropic_control import solve_entropic, solve_evar
from pgtheory.risk.nested import solve_nested, solve_nested_exactly, solve_nested_horizon
from pgtheory.risk.returns import Law, cut, discounted_return_law, discounted_risk, extremes, remainder, return_law
from pgtheory.risk.static_cvar import Tail, best_by_enumeration, decomposition, solve_static, threshold_values

problems = finite_horizon_problems(max_horizon=3, max_states=2, max_actions=2, rewards=(0, 2), discount=st.sampled_from(["1", "1/2"]))


def small(problem: FiniteHorizon) -> bool:
    """Few enough policies on (state, reward so far) to list them all."""
    from pgtheory.risk.static_cvar import _Graph

    graph = _Graph(problem)
    counts = [np.diff(stage.first_pair) for stage in problem.stages]
    return math.prod(int(counts[h][s]) for h, layer in enumerate(graph.layers[:-1]) for s, _ in layer) <= 600


@settings(max_examples=15)
@given(problem=problems)
def test_the_law_of_a_policy_has_its_mean_and_total_one(problem: FiniteHorizon) -> None:
    best = solve_finite_horizon(problem, exact=True)
    law = return_law(problem, best.policies)
    assert law.probabilities.sum() == 1 and (np.diff(law.outcomes) > 0).all()
    assert law.mean == sum((p * v for p, v in zip(problem.exact.start, best.values[0], strict=True)), fmpq(0))
    assert law.risk("worst") == law.outcomes[0]
    assert law.risk("entropic:0") == pytest.approx(float(fraction(law.mean)))


@settings(max_examples=15)
@given(problem=problems, level=st.sampled_from(["1/5", "1/2", "7/8", "0", "1"]))
def test_static_optimum_is_that_of_all_history_policies(problem: FiniteHorizon, level: str) -> None:
    assume(small(problem))
    found = solve_static(problem, f"cvar:{level}")
    assert found.value == best_by_enumeration(problem, f"cvar:{level}", markov=False)[0]
    assert found.value == found.law.risk(f"cvar:{level}")
    assert found.value >= best_by_enumeration(problem, f"cvar:{level}", markov=True)[0]
    if level not in ("0", "1"):
        thresholds, values = threshold_values(problem, level)
        assert max(values) == found.value and found.threshold in thresholds
    mixed = f"mean-cvar:{level},1/3"
    if level != "0":
        assert solve_static(problem, mixed).value == best_by_enumeration(problem, mixed, markov=False)[0]
    if level == "0":  # the worst outcome is consistent in time
        values = solve_nested_horizon(problem, "worst", exact=True)[0][0]
        assert found.value == min(v for v, p in zip(values, problem.exact.start, strict=True) if p != 0)


@settings(max_examples=15)
@given(
    problem=problems,
    measure=st.sampled_from(["spectral:1/5=1/2,1/2=1/2", "spectral:0=1/4,3/4=3/4", "spectral:1/4=1/3,1/4=1/6,1=1/2", "mean-cvar:0,1/3"]),
)
def test_static_spectral_optimum_is_that_of_all_history_policies(problem: FiniteHorizon, measure: str) -> None:
    """One threshold a level, and level 0 as a level below every possible probability: equal to the enumeration of all policies, in rationals."""
    assume(small(problem))
    try:
        found = solve_static(problem, measure)
    except ModelError as error:
        assume("choices of thresholds" not in str(error))
        raise
    assert found.value == best_by_enumeration(problem, measure, markov=False)[0] == found.law.risk(measure)
    if isinstance(found.threshold, tuple):
        assert list(found.threshold) == sorted(found.threshold) and set(found.threshold) <= set(found.law.outcomes) | {
            eta for eta in threshold_values(problem, "1/2")[0]
        }


@settings(max_examples=15)
@given(problem=problems, level=st.sampled_from(["1/5", "1/2", "7/8", "1"]))
def test_the_decomposition_evaluates_exactly_and_promises_too_much(problem: FiniteHorizon, level: str) -> None:
    rng = np.random.default_rng(0)
    actions = [[int(rng.integers(k)) for k in np.diff(stage.first_pair)] for stage in problem.stages]
    law = return_law(problem, lambda h, s, paid: actions[h][s])
    assert decomposition(problem, level, actions) == law.risk(f"cvar:{level}")
    assert decomposition(problem, level) >= solve_static(problem, f"cvar:{level}").value


def test_the_flaw_of_the_decomposition_is_a_strict_gap() -> None:
    assert decomposition(split_levels(), "3/5") - solve_static(split_levels(), "cvar:3/5").value == fmpq(5, 12)


def test_tails_are_convex_functions() -> None:
    coin = Tail.split([fmpq(1, 2), fmpq(1, 2)], [Tail.constant(0), Tail.constant(4)])
    assert [coin(fmpq(k, 4)) for k in range(5)] == [0, 0, 0, 1, 2]
    top = coin.above(Tail.constant(1))
    assert [top(fmpq(k, 4)) for k in range(5)] == [0, fmpq(1, 4), fmpq(1, 2), 1, 2]
    slopes = [slope for slope, _ in top.pieces]
    assert slopes == sorted(slopes)
    with pytest.raises(ValueError, match="outside"):
        coin(fmpq(3, 2))


@settings(max_examples=10)
@given(data=st.data())
def test_a_cut_discounted_problem_encloses_the_whole(data: Any) -> None:
    mdp = data.draw(mdps(max_states=2, max_actions=2, discount="1/2"))
    policy = data.draw(policies(mdp, exact=True))
    law, low, high = discounted_return_law(mdp, policy, 4)
    mean = mdp.exact.start @ state_values(mdp, policy)
    assert law.mean + low <= mean <= law.mean + high
    for text in ("cvar:1/3", "evar:1/2"):
        bounds = [discounted_risk(mdp, policy, text, horizon) for horizon in (2, 4)]
        slack = 0 if text[0] == "c" else 1e-12  # rationals are nested without rounding
        assert bounds[0][0] <= bounds[1][0] + slack and bounds[1][0] <= bounds[1][1] and bounds[1][1] <= bounds[0][1] + slack
    assert remainder(mdp, 4)[0] >= mdp.exact.pair_rewards.min() / 8 and remainder(mdp, 4)[1] <= mdp.exact.pair_rewards.max() / 8


def test_static_cvar_of_a_discounted_model() -> None:
    short, longer = (solve_static(zoo.survival(), "cvar:1/4", horizon) for horizon in (2, 6))
    assert short.lower <= longer.lower <= longer.upper <= short.upper
    # alive for sure at t = 0; the worst quarter of the lifetimes: death after 1, 2, 3 rewards has 1/10, 9/100, 6/100 of the mass 1/4
    truth = 4 * (Fraction(1, 10) * 1 + Fraction(9, 100) * Fraction(3, 2) + Fraction(6, 100) * Fraction(7, 4))
    assert fraction(longer.lower) <= truth <= fraction(longer.upper)


def test_an_absorbing_end_leaves_no_remainder() -> None:
    found = solve_static(zoo.gamble_on_luck(), "cvar:1/2", 4)
    assert found.lower == found.value == found.upper == fmpq(3, 2)
    least, most = extremes(zoo.survival())
    assert least.tolist() == [1, 0] and most.tolist() == [2, 0]


@settings(max_examples=8)
@given(mdp=mdps(max_states=2, max_actions=2, discount="1/2"), beta=st.sampled_from(["1/2", "3"]))
def test_the_schedule_is_the_best_of_all_policies(mdp: MDP, beta: str) -> None:
    """Backward induction with the levels beta gamma^t against every deterministic policy on (state, reward so far), horizon 2."""
    problem = cut(mdp, 2)
    values = solve_nested_horizon(problem, f"entropic:{beta}", schedule=True)[0][0]
    value = float(risk.entropic(mdp.start, values, beta))
    best = best_by_enumeration(problem, f"entropic:{beta}", markov=False)[0]
    assert value == pytest.approx(best, abs=1e-13)
    constant = solve_nested_horizon(problem, f"entropic:{beta}")[0][0]
    assert (constant <= values + 1e-13).all()
    whole = solve_entropic(mdp, beta, 1e-8)
    low, high = (float(fraction(x)) for x in remainder(mdp, 2))
    assert value + low <= whole.start_bounds[1] + 1e-12 and whole.start_bounds[0] <= value + high + 1e-12
    assert (whole.lower <= whole.upper).all() and whole.error <= 1e-8
    long = solve_nested_horizon(cut(mdp, 40), f"entropic:{beta}", schedule=True)[0][0]  # the rest is worth 2^-39 at most
    assert (whole.lower - 1e-11 <= long).all() and (long <= whole.upper + 1e-11).all()


def test_entropic_limits() -> None:
    mdp = zoo.machine_replacement()
    neutral, averse, timid = (solve_entropic(mdp, beta, 1e-6) for beta in ("0", "1/10", "3"))
    worst = solve_nested(mdp, "worst").values
    assert (neutral.lower >= averse.upper - 1e-5).all() and (averse.lower >= timid.upper - 1e-5).all() and (timid.upper >= worst - 1e-9).all()
    nested = solve_nested(mdp, "entropic:1/10")
    assert (nested.lower <= averse.upper).all()  # the constant level is another objective, never larger
    assert neutral.horizon == 0 and len(averse.levels) == averse.horizon
    assert averse.levels[1] == pytest.approx(0.09)


@settings(max_examples=4)
@given(mdp=mdps(max_states=2, max_actions=2, discount="1/2"), level=st.sampled_from(["1/5", "1/2", "9/10"]))
def test_evar_of_the_return_is_a_scalar_search_over_schedules(mdp: MDP, level: str) -> None:
    found = solve_evar(mdp, level, 1e-3)
    a = float(Fraction(level))

    def objective(b: float) -> float:
        low, high = solve_entropic(mdp, b, 1e-5).start_bounds
        return -((low + high) / 2 + math.log(a) / b)

    grid = np.geomspace(0.1, 500, 15)
    best = -min(objective(float(b)) for b in grid)
    assert found.error <= 1e-3 and found.lower <= found.value <= found.upper
    assert best <= found.upper + 2e-5
    cvar = solve_static(mdp, f"cvar:{level}", 4)
    assert found.lower <= float(fraction(cvar.upper)) + 1e-12  # EVaR is below CVaR for every policy
    worst = solve_nested_exactly(mdp, "worst").values
    assert found.upper >= float(fraction(min(v for v, p in zip(worst, mdp.exact.start, strict=True) if p != 0))) - 1e-12


def test_evar_of_one_coin_is_the_closed_form() -> None:
    """K5 as a decision problem: the reward of a coin that is tossed first; EVaR at the level of the tilt (3/4, 1/4) is 1/4."""
    mdp = MDP([[[0, 1]], [[0, 1]]], [[1], [0]], 0, ["1/2", "1/2"])
    found = solve_evar(mdp, 0.8773826753, 1e-6)
    assert found.lower <= 0.25 + 1e-9 and 0.25 - 1e-9 <= found.upper
    best = minimize_scalar(lambda b: math.log((1 + math.exp(-b)) / 2) / b - math.log(0.8773826753) / b, bounds=(0.1, 9), method="bounded")
    assert found.value == pytest.approx(-best.fun, abs=1e-6)
    assert solve_evar(mdp, 1, 1e-6).value == pytest.approx(0.5, abs=1e-6)
    assert solve_evar(mdp, "1/2", 1e-6).upper <= 1e-6  # the worst outcome has probability 1/2


def test_bad_input_names_the_figure() -> None:
    problem, mdp = gamble_after_luck(), zoo.survival()
    cases: list[tuple[Any, str]] = [
        (lambda: solve_static(problem, "evar:1/2"), "evar:1/2 is none of them"),
        (lambda: solve_static(problem, "cvar:1/2", 3), "its own horizon"),
        (lambda: solve_static(mdp, "cvar:1/2"), "give one"),
        (lambda: solve_static(mdp, "cvar:1/2", 0), "horizon is 0"),
        (lambda: decomposition(problem, 0), "level is 0"),
        (lambda: decomposition(problem, "3/2"), "level is 3/2"),
        (lambda: return_law(problem, [np.ones((1, 1))]), "1 table, the problem 3 steps"),
        (lambda: return_law(problem, lambda h, s, paid: 7), "takes action 7"),
        (lambda: return_law(problem, lambda h, s, paid: [0.5, 0.2]), "is no distribution"),
        (lambda: return_law(problem, [np.ones((2, 1))] * 3), r"step 0 of the policy has shape \(2, 1\)"),
        (lambda: solve_entropic(mdp, -1), "beta is -1"),
        (lambda: solve_entropic(mdp, "inf"), "beta is inf"),
        (lambda: solve_entropic(mdp, 1, 0), "tol is 0"),
        (lambda: solve_entropic(mdp, 1, horizon=-2), "horizon is -2"),
        (lambda: solve_evar(mdp, 0), "level is 0"),
        (lambda: solve_evar(mdp, 1.5), "risk level is 1.5"),
        (lambda: solve_evar(mdp, 0.5, -1), "tol is -1"),
        (lambda: best_by_enumeration(cut(zoo.machine_replacement(), 4), "mean", markov=True), "enumeration goes to 100,000"),
    ]
    for call, words in cases:
        with pytest.raises(ModelError, match=words):
            call()
    assert Law.of([(fmpq(1), fmpq(1, 2)), (fmpq(1), fmpq(1, 2)), (fmpq(2), fmpq(0))]).outcomes.tolist() == [1]
    assert to_float(Law.of([(fmpq(1), fmpq(1))]).outcomes) == 1
