"""The figures of the page on constrained problems, measured through the claims' own quantities, and its methods against loops written here."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from test_named_figures import figure
from test_not_by_construction import case_of, fails

from mdps.rational import rational_array
from proofs_check.catalogue import constrained, constrained_methods, get_claim, saddle
from proofs_check.engine.measure import trajectory
from proofs_check.instance import Batch
from proofs_check.quantities import constrained as enumeration
from proofs_check.quantities import quantity

PROGRAM, DUAL, PENALTY = "cmdp-occupancy-lp", "cmdp-strong-duality", "exact-penalty"


def exact(number):
    return rational_array(number)[()]


@pytest.mark.parametrize(("instance", "optimum", "least", "most"), [
    (constrained.LEVER, "3/10", 1, 1),
    (constrained.MIDDLE_ARM, "1/2", 1, 1),
    (constrained.DEAR, "1/2", 100, 100),
    (constrained.KINK, "1/4", 1, 2),
    (constrained.FATIGUE, "9/5", "3/5", "3/5"),
])  # fmt: skip
def test_optima_and_multipliers_of_named_problems(instance, optimum, least, most):
    assert figure(PROGRAM, "value", instance, "program_value") == [Fraction(optimum)] == figure(PROGRAM, "value", instance, "mixture_value")
    assert figure(DUAL, "weak duality", instance, "smallest_multiplier") == [Fraction(least)]
    assert figure(DUAL, "weak duality", instance, "largest_multiplier") == [Fraction(most)]
    assert figure(DUAL, "weak duality", instance, "dual_value_smallest") == [Fraction(optimum)]


@pytest.mark.parametrize("budget", ["0", "1/10", "1/3", "2/3"])
def test_the_front_of_tired_work(budget):
    """8/5 + 3b/5 up to b = 2/3; V_g runs from 4/3 to 2."""
    at = dataclasses.replace(constrained.FATIGUE, extras=constrained.FATIGUE.extras | {"share": exact(str(1 - Fraction(3, 2) * Fraction(budget)))})
    assert figure(PROGRAM, "value", at, "program_value") == [Fraction(8, 5) + Fraction(3, 5) * Fraction(budget)]


def test_without_a_coin_and_without_room():
    assert figure(PROGRAM, "value", constrained.LEVER, "deterministic_value") == [0]
    assert figure(PROGRAM, "value", constrained.MIDDLE_ARM, "deterministic_value") == [Fraction(2, 5)]
    assert figure(DUAL, "weak duality", constrained.NO_ROOM, "room") == [0]
    assert figure(DUAL, "weak duality", constrained.NO_ROOM, "dual_value") == [0]  # at the price 3
    assert figure(PROGRAM, "two constraints", constrained.TWO_BUDGETS, "program_value_of_two") == [Fraction(7, 12)]
    assert figure(PROGRAM, "two constraints", constrained.TWO_BUDGETS, "extra_actions_of_two") == [2]


def test_two_doors():
    """The mean of the probabilities passes a quarter as often as the policy that opens both, the mean of the visits half as often."""
    names = ("value_of_mean_policy", "value_of_mean_visits", "mean_of_values")
    (mixed,), (visits,), (half,) = (figure(PROGRAM, "visits are convex", constrained.TWO_DOORS, name) for name in names)
    assert mixed == Fraction(81, 40) and visits == half == Fraction(81, 20)


def test_penalties():
    assert figure(PENALTY, "exact", constrained.FULL_PULL, "missing") == [Fraction(7, 10)]
    assert figure(PENALTY, "below the multiplier it gains", constrained.HALF_PRICE, "penalised_value") == [1 - Fraction(7, 20)]
    kink = dataclasses.replace(constrained.KINK, settings={"price_factor": exact("9/10")})
    assert figure(PENALTY, "below the multiplier it gains", kink, "penalised_value") == [Fraction(1, 4) + Fraction(1, 10) * Fraction(1, 2)]
    assert figure(PENALTY, "below the multiplier it gains", kink, "penalised_value_below_largest") == [Fraction(1, 4)]


def test_bilinear_games():
    claim = "lagrangian-gda-spirals"
    assert figure(claim, "simultaneous steps", saddle.UNIT, "simultaneous_square") == [Fraction(5, 4) ** 12]
    assert max(figure(claim, "alternating steps stay bounded", saddle.UNIT, "alternating_squares")) <= Fraction(5, 3)
    assert figure("ogda-bilinear-exact-rate", "double root", saddle.UNIT, "optimistic_square") == [Fraction(85, 4096)]
    (square,) = figure("ogda-bilinear-exact-rate", "bounded up to 1/sqrt(2)", saddle.FAST, "optimistic_square_end")
    assert square > Fraction(9 * 10**6) ** 2


def test_the_regularised_lever():
    """Missing 1/4 at the saddle, and the potential 1.614463 of a nearly deterministic policy, 1.608847 after a step."""
    bias, recursion = "regularised-cmdp-bias", "regularised-primal-dual-recursion"
    assert figure(bias, "what is missing", constrained_methods.AT_SADDLE, "saddle_missing", "ball") == [0.25]
    names = ("regularised_potential", "regularised_potential_next", "regularised_noise")
    (now,), (after,), (noise,) = (figure(recursion, "one step", constrained_methods.CERTAIN, name, "ball") for name in names)
    assert (round(now, 6), round(after, 6)) == (1.614463, 1.608847)
    assert round((1 - 2 / 400) * now + noise / 100**2, 6) == 1.606419 < round(after, 6)


def test_conditioning_on_luck():
    claim = "return-conditioning-violates-the-budget"
    assert figure(claim, "the front", constrained.COIN, "conditioned_cost") == [Fraction(1, 2)]
    assert figure(claim, "the front", constrained.COIN, "risk_front") == [Fraction(3, 4)]


# The methods, once more


def drawn(identifier, form, count=6, states=2, actions=3):
    case = case_of(identifier, form)
    width = case.domain.length(states, actions, 2)
    batch = case.domain.decode(np.random.default_rng(3).standard_normal((count, width)), states, actions, case.settings)
    return case, batch


def evaluated(instance, policy, rewards):
    chain = np.einsum("sa,sat->st", policy, instance.transitions)
    values = np.linalg.solve(np.eye(len(chain)) - instance.discount * chain, (policy * rewards).sum(axis=1))
    return instance.rho @ values, rewards + instance.discount * instance.transitions @ values, values


def level_of(instance):
    """b, by value iteration of both signs."""
    ends = []
    for sign in (1, -1):
        values = np.zeros(len(instance.rho))
        for _ in range(2000):
            values = (sign * instance.extras["signal"] + instance.discount * instance.transitions @ values).max(axis=1)
        ends.append(sign * instance.rho @ values)
    return ends[1] + float(instance.extras["share"]) * (ends[0] - ends[1]), ends[0]


def measured(case, batch, name):
    with np.errstate(all="ignore"):  # without room the cap is infinite, and the form says nothing
        return quantity(name).code(trajectory(case, batch, 0)).reshape(-1)


def test_primal_dual_against_a_loop():
    case, batch = drawn("npg-primal-dual-rate", "what is missing")
    found, checked = measured(case, batch, "primal_dual_missing"), 0
    for k in range(batch.size):
        i = batch[k]
        level, most = level_of(i)
        if most - level < 1e-3:
            continue
        checked += 1
        rounds, actions, gamma = round(i.settings["rounds"]), i.rewards.shape[1], i.discount
        policy, price, total = np.full(i.rewards.shape, 1 / actions), 0.0, 0.0
        for _ in range(rounds):
            (_, q_r, v_r), (value, q_g, v_g) = evaluated(i, policy, i.rewards), evaluated(i, policy, i.extras["signal"])
            total += level - value
            advantage = q_r - v_r[:, None] + price * (q_g - v_g[:, None])
            policy = policy * np.exp(2 * np.log(actions) / (1 - gamma) * advantage)
            policy /= policy.sum(axis=1, keepdims=True)
            price = min(max(price + (1 - gamma) / np.sqrt(rounds) * (level - value), 0), 2 / ((1 - gamma) * (most - level)))
        assert found[k] == pytest.approx(max(total / rounds, 0), rel=1e-9, abs=1e-9)  # rounding grows along at most 40 steps
    assert checked


def test_crpo_against_a_loop():
    case, batch = drawn("crpo-exact-rate", "what is missing")
    steps, missing = measured(case, batch, "crpo_steps"), measured(case, batch, "crpo_missing")
    for k in range(batch.size):
        i = batch[k]
        level, _ = level_of(i)
        rounds, actions, gamma = round(i.settings["rounds"]), i.rewards.shape[1], i.discount
        tolerance = np.sqrt(2 * np.log(actions) / rounds) / (1 - gamma) ** 2
        policy, counted, most = np.full(i.rewards.shape, 1 / actions), 0, 0.0
        for _ in range(rounds):
            value, q_g, _ = evaluated(i, policy, i.extras["signal"])
            met = value >= level - tolerance
            counted, most = counted + met, max(most, level - value if met else 0)
            policy = policy * np.exp((1 - gamma) * np.sqrt(8 * np.log(actions) / rounds) * (evaluated(i, policy, i.rewards)[1] if met else q_g))
            policy /= policy.sum(axis=1, keepdims=True)
        assert steps[k] == counted
        assert missing[k] == pytest.approx(most, rel=1e-9, abs=1e-9)  # rounding grows along at most 48 steps


# Wrong sides are noticed


def test_a_program_with_a_normalised_budget_fails(monkeypatch):
    """The threshold is in units of unnormalised sums."""
    case, right = case_of(PROGRAM, "value"), enumeration.program_of
    assert not fails(case)
    monkeypatch.setattr(enumeration, "program_of", lambda c, signals, bounds: right(c, signals, bounds * (1 - c.discount)[:, None]))
    assert fails(case)


def test_the_saddle_needs_its_threshold():
    """Another price than that of b = V_g + tau lambda is no minimum of the dual."""
    claim = get_claim("regularised-cmdp-bias")
    case = claim.case(claim.form("the price of the saddle"))
    batch = Batch.of([constrained_methods.AT_SADDLE.as_float()])
    context = trajectory(case, batch, 0)
    least = quantity("regularised_dual_at_saddle").code(context).item()
    for price in (0.5, 0.9, 1.1, 2.0):
        moved = dataclasses.replace(context, extras=context.extras | {"price_now": np.array([price])})
        assert quantity("regularised_dual").code(moved).item() > least
