"""Step sizes by rule: against closed forms, plain loops and exact arithmetic."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from flint import arb, fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

from mdps import MDP, ModelError, strategies, zoo
from mdps.rational import rational_array, to_float
from pgtheory import Adaptive, Armijo, Decreasing, Normalised, Polyak, arithmetic, kernels, run
from pgtheory.exact import solve_exactly, state_values
from pgtheory.policy_gradient import certified_run
from pgtheory.policy_gradient.method import NoEnclosure
from pgtheory.policy_gradient.step_sizes import DIRECTIONS, optimal_values
from tests import tolerances

TWO = zoo.arms([1, 0])
RULES = [Normalised(0.2), Polyak(), Armijo(16), Decreasing(2, power=0.5), Adaptive(0.5)]
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


def policies(method, mdp, initial, iterations):
    return run(mdp, method, iterations, record="all", initial=np.asarray(initial)).policies


def slow_gradient(mdp, policy):
    """d pi A, from the definitions, one state at a time."""
    chain = np.einsum("sa,sat->st", policy, mdp.transitions)
    inverse = np.linalg.inv(np.eye(mdp.num_states) - mdp.discount * chain)
    values = inverse @ (policy * mdp.rewards).sum(axis=1)
    visits = mdp.start @ inverse
    out = np.zeros_like(policy)
    for s in range(mdp.num_states):
        for a in range(mdp.num_actions):
            ahead = mdp.rewards[s, a] + mdp.discount * mdp.transitions[s, a] @ values
            out[s, a] = visits[s] * policy[s, a] * (ahead - values[s])
    return out, values


def test_polyak_on_two_arms_follows_its_recursion():
    """o_+ = o exp(-1/p); the gaps of the claims' named start (.1, .9) are .9, 4.1e-4, 1.5e-4, 5.5e-5."""
    good = policies(Polyak(), TWO, [[0.1, 0.9]], 4)[:, 0, 0]
    odds = (1 - good) / good
    # the gap 1 - p is known to eps, so a step is off by the share eps/(1 - p), and so is the next odds
    np.testing.assert_allclose(odds[1:], odds[:-1] * np.exp(-1 / good[:-1]), rtol=64 * tolerances.EPS / (1 - good[3]))
    assert [f"{x:.1e}" for x in 1 - good[:4]] == ["9.0e-01", "4.1e-04", "1.5e-04", "5.5e-05"]


@given(start=st.integers(1, 99))
def test_polyak_takes_one_over_e_off_the_gap_of_two_arms(start):
    gaps = 1 - policies(Polyak(), TWO, [[start / 100, 1 - start / 100]], 6)[:, 0, 0]
    assert (gaps[1:] <= gaps[:-1] / np.e + 8 * tolerances.EPS).all()


def test_a_normalised_step_has_its_length():
    mdp = zoo.chain(3)
    logits = run(mdp, Normalised(0.25), 20, record="all").parameters
    np.testing.assert_allclose(np.linalg.norm(np.diff(logits, axis=0), axis=(1, 2)), 0.25, rtol=0, atol=1000 * tolerances.EPS)


@pytest.mark.parametrize("power", [0, 0.5, 1, 2])
def test_decreasing_steps_follow_the_gradient_with_their_own_sizes(power):
    mdp = zoo.chain(2)
    trail = run(mdp, Decreasing(3, power=power), 12, record="all")
    logits = np.zeros((mdp.num_states, 2))
    for t in range(12):
        logits = logits + 3 / (t + 1) ** power * slow_gradient(mdp, arithmetic.softmax(logits))[0]
    np.testing.assert_allclose(trail.parameters[-1], logits, rtol=0, atol=tolerances.method_step(3, 2, mdp.discount, 1.0, 10.0, 3 * 12))


def test_adaptive_steps_divide_by_all_gradients_so_far():
    mdp = zoo.chain(2)
    trail = run(mdp, Adaptive(2), 8, record="all")
    logits, total = np.zeros((mdp.num_states, 2)), 0.0
    for _ in range(8):
        gradient = slow_gradient(mdp, arithmetic.softmax(logits))[0]
        total += (gradient**2).sum()
        logits = logits + 2 / np.sqrt(total) * gradient
    np.testing.assert_allclose(trail.parameters[-1], logits, rtol=0, atol=tolerances.method_step(3, 2, mdp.discount, 1.0, 10.0, 100))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_armijo_takes_the_first_halving_that_gains_half_of_the_first_order(direction):
    mdp, method = zoo.chain(2), Armijo(64, direction)
    trail = run(mdp, method, 5, record="all")
    for before, after in zip(trail.parameters[:-1], trail.parameters[1:], strict=True):
        problem = (mdp.transitions, mdp.rewards, mdp.discount, mdp.start)
        ascent = method.ascent(before, problem)
        if trail.optimal_values @ mdp.start - ascent.value < 1e-9:  # from here on rounding decides
            break

        def gains_enough(step, before=before, ascent=ascent):
            trial = method.moved(before, ascent, step)
            gain = slow_gradient(mdp, method.policy_of(trial))[1] @ mdp.start - ascent.value
            return gain >= (ascent.gradient * (trial - before)).sum() / 2

        sizes = [64 / 2**k for k in range(60)]
        first = next(step for step in sizes if gains_enough(step))
        np.testing.assert_allclose(after, method.moved(before, ascent, first), rtol=0, atol=8 * tolerances.EPS * (1 + first * np.abs(before).max()))


@every_rule
@settings(max_examples=20)
@given(data=st.data(), mdp=strategies.mdps(max_states=3, max_actions=3, exact=False, discount=st.sampled_from((0.0, 0.5, 0.9))))
def test_no_rule_along_the_softmax_gradient_lowers_a_state(rule, data, mdp):
    trail = run(mdp, rule, 12, record="all", initial=data.draw(strategies.policies(mdp, interior=True)))
    largest = float(np.abs(mdp.rewards).max())
    assert np.isfinite(trail.parameters).all()
    assert (np.diff(trail.values, axis=0) >= -2 * tolerances.linear_solve(mdp.num_states, mdp.discount, largest)).all()


@every_rule
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_every_rule_goes_along_every_direction(rule, direction):
    import dataclasses

    mdp = zoo.chain(2, "1/2")
    trail = run(mdp, dataclasses.replace(rule, direction=direction), 200)
    gaps = trail.gap(np.full(3, 1 / 3))
    assert gaps[-1] < gaps[0] / 2
    np.testing.assert_allclose(trail.policies.sum(axis=-1), 1, rtol=0, atol=16 * tolerances.EPS)


@every_rule
def test_at_an_optimum_and_with_one_action_nothing_moves(rule):
    for mdp in (zoo.arms(["1/2"]), zoo.arms(["1/2", "1/2"])):
        first = np.full((1, mdp.num_actions), 1 / mdp.num_actions)
        np.testing.assert_array_equal(policies(rule, mdp, first, 5), np.broadcast_to(first, (6, 1, mdp.num_actions)))


@every_rule
def test_a_batch_is_the_same_as_one_by_one(rule):
    rng = np.random.default_rng(3)
    transitions, rewards, start = rng.dirichlet(np.ones(3), (5, 3, 2)), rng.random((5, 3, 2)), rng.dirichlet(np.ones(3), 5)
    initial = np.log(rng.dirichlet(np.ones(2), (5, 3)))
    numbers = tuple(float(getattr(rule, name)) for name in rule.setting_names)
    whole, low = rule.run_arrays(transitions, rewards, np.full(5, 0.8), start, initial, numbers, [0, 3, 9], watch=True)
    for b in range(5):
        part, part_low = rule.run_arrays(
            *(x[b : b + 1] for x in (transitions, rewards, np.full(5, 0.8), start, initial)), numbers, [0, 3, 9], watch=True
        )
        np.testing.assert_allclose(whole[b], part[0], rtol=0, atol=tolerances.method_step(3, 2, 0.8, 1.0, 100.0, 100))
        np.testing.assert_allclose(low[b], part_low[0], rtol=0, atol=tolerances.method_step(3, 2, 0.8, 1.0, 100.0, 100))


@pytest.mark.parametrize("method", [Normalised("1/4"), Polyak(), Armijo(8), Normalised("1/4", "natural"), Polyak(1, "natural")], ids=str)
def test_balls_enclose_the_float_run(method):
    mdp = zoo.chain(2, "1/2")
    policy = rational_array([["1/3", "2/3"]] * 3)
    numbers = method.settings(mdp.exact)
    ends = certified_run(method, mdp, lambda: method.params_of(arithmetic.balls(policy)), numbers, [0, 3])[-1]
    floats, _ = method.run_arrays(
        mdp.transitions[None], mdp.rewards[None], [0.5], mdp.start[None], method.params_of(to_float(policy))[None], method.settings(mdp), [3]
    )
    near = np.array([[float(x.mid()) for x in row] for row in ends])
    np.testing.assert_allclose(floats[0, 0], near, rtol=0, atol=tolerances.method_step(3, 2, 0.5, 1.0, float(np.abs(near).max()), 100))


def test_a_projected_polyak_step_is_rational():
    """Two arms from (1/4, 3/4): gradient +-1/2 of square 1/2, gap 3/4, step 3/2, so each probability moves by 3/4: the optimum at once."""
    exact = TWO.exact
    after = Polyak(1, "projected").plain_step(
        rational_array([["1/4", "3/4"]]), exact.transitions, exact.rewards, exact.discount, exact.start, fmpq(1)
    )
    assert after.tolist() == [[fmpq(1), fmpq(0)]]


@given(mdp=strategies.mdps(max_states=3, max_actions=3, discount=st.sampled_from(("0", "1/2", "9/10"))))
def test_optimal_values_are_exact_in_rationals_and_enclosed_in_balls(mdp):
    exact = mdp.exact
    best = solve_exactly(mdp).values
    assert (optimal_values(exact.transitions, exact.rewards, exact.discount) == best).all()
    with arithmetic.precision(128):
        enclosed = optimal_values(*(arithmetic.balls(x) for x in (exact.transitions, exact.rewards)), arb(exact.discount))
        assert all(ball.contains(x) and float(ball.rad()) < 2.0**-90 for ball, x in zip(enclosed, best, strict=True))


def test_a_normalised_step_expands_no_more_than_its_constant():
    """Between two nearby starts, for the constant that holds everywhere and the one around both; and a thousand certified steps on two arms."""
    rng = np.random.default_rng(5)
    mdp, method = zoo.chain(2, "1/2").replace(start=["1/2", "1/4", "1/4"]), Normalised("1/3")
    exact = mdp.exact
    for _ in range(20):
        one = rng.normal(size=(3, 2))
        other = one + 1e-3 * rng.normal(size=(3, 2))
        moved = [method.step(x, mdp) for x in (one, other)]
        ratio = np.linalg.norm(moved[1] - moved[0]) / np.linalg.norm(other - one)
        with arithmetic.precision(64):
            problem = tuple(arithmetic.balls(x) for x in (exact.transitions, exact.rewards, exact.discount, exact.start))
            both = np.array(
                [[arb(float(a)).union(arb(float(b))) for a, b in zip(x, y, strict=True)] for x, y in zip(one, other, strict=True)], dtype=object
            )
            anywhere, here = (method.lipschitz(problem, (arb(1) / 3,), where) for where in (None, both))
        assert ratio <= float(here.upper()) <= float(anywhere.upper())
    arms = zoo.arms([1, 0])
    certified_run(method, arms, np.zeros((1, 2)), [fmpq(1, 6)], [200], accuracy=fmpq(1, 2**20))


@pytest.mark.parametrize("direction", ["natural", "projected"])
def test_other_directions_have_no_lipschitz_constant(direction):
    assert (
        Normalised(1, direction).lipschitz(tuple(arithmetic.balls(x) for x in (TWO.exact.transitions, TWO.exact.rewards, 0, [1])), (arb(1),), None)
        is None
    )


@pytest.mark.parametrize("rule", [Decreasing(1), Adaptive(1)])
def test_a_rule_with_a_memory_has_runs_and_no_step(rule):
    with pytest.raises(NoEnclosure, match="depends on the steps before"):
        rule.step(rule.start(TWO), TWO)


def test_bad_directions_and_sizes_are_refused():
    with pytest.raises(ModelError, match="direction is 'uphill'"):
        Normalised(1, "uphill")
    with pytest.raises(ModelError, match="step_size is -1"):
        run(TWO, Polyak(-1), 1)
    with pytest.raises(ModelError, match="power is"):
        run(TWO, Decreasing(1, power=float("nan")), 1)


@pytest.mark.parametrize("row", [[1 / 12, 1 / 6, 1.0], [1 / 12, 1.0, 1 / 6, 0.0], [2 / 3, 1 / 3, 5 / 3, 2 / 3, 2 / 3]])
def test_the_projection_ends_where_an_entry_lies_at_the_level(row):
    """Dropping an entry at the level moves the level by rounding, which must not bring it back for ever."""
    out = kernels.project_simplex(np.array([row]))
    np.testing.assert_allclose(out, arithmetic.project_simplex(np.array([row])), rtol=0, atol=8 * tolerances.EPS)


def test_exact_values_never_fall_under_a_polyak_step_in_balls():
    mdp = MDP([[["0", "1"], ["1", "0"]], [["1/2", "1/2"], ["0", "1"]]], [["1/4", "1"], ["3/5", "3/5"]], "3/4", ["1/50", "49/50"])
    policy = rational_array([["99/100", "1/100"], ["1/50", "49/50"]])
    method = Polyak()
    ends = certified_run(method, mdp, lambda: method.params_of(arithmetic.balls(policy)), [fmpq(1)], [0, 1, 2])
    with arithmetic.precision(512):
        values = [state_values(mdp, arithmetic.softmax(logits)) for logits in ends]
        assert all(not b < a for before, after in itertools.pairwise(values) for a, b in zip(before, after, strict=True))
