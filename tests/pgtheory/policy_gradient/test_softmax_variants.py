"""Escort, log-barrier and divergence-regularised policy gradient: against differences of their objectives in balls, and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from flint import arb, fmpq
from hypothesis import given
from hypothesis import strategies as st

from mdps import ModelError, strategies, zoo
from mdps.rational import fraction, rational_array, to_float
from pgtheory import EntropyPG, EscortPG, LogBarrierPG, RegularisedPG, SoftmaxPG, arithmetic, run
from pgtheory.exact import state_values
from pgtheory.policies import escort
from pgtheory.policy_gradient import certified_run
from tests import tolerances

DISCOUNTS = st.sampled_from(("0", "1/2", "9/10"))
WIDTH = fmpq(1, 2**60)


def slope(objective, params, index):
    """Central difference of a function of ball parameters; off by the third derivative times 2^-120."""
    shifted = []
    for sign in (1, -1):
        moved = params.copy()
        moved[index] = moved[index] + sign * WIDTH
        shifted.append(objective(arithmetic.balls(moved)))
    return float((shifted[0] - shifted[1]) / (2 * arb(WIDTH)))


def step_of(method, mdp, params, numbers):
    records, _ = method.run_arrays(mdp.transitions[None], mdp.rewards[None], [mdp.discount], mdp.start[None], params[None], numbers, [1])
    return records[0, 0] - params


def drawn_params(data, mdp, low, high):
    size = mdp.num_states * mdp.num_actions
    values = data.draw(st.lists(st.integers(low, high), min_size=size, max_size=size))
    return rational_array(values).reshape(mdp.num_states, mdp.num_actions) / 4, tuple(
        data.draw(st.integers(0, n - 1)) for n in (mdp.num_states, mdp.num_actions)
    )


@pytest.mark.parametrize("power", ["3/2", "2", "3"])
@given(data=st.data(), mdp=strategies.mdps(max_states=3, max_actions=3, discount=DISCOUNTS, start="full"))
def test_escort_pg_follows_the_gradient_of_the_value(power, data, mdp):
    params, index = drawn_params(data, mdp, 1, 12)
    params = params * np.where(np.arange(params.size).reshape(params.shape) % 3 == 1, -1, 1)  # signs do not matter
    start = arithmetic.balls(mdp.exact.start)
    with arithmetic.precision(256):
        p = arb(fmpq(*fraction(power).as_integer_ratio()))
        expected = slope(lambda theta: (state_values(mdp, escort.policy_of(theta, p)) * start).sum(), params, index)
    moved = step_of(EscortPG(1, power), mdp, to_float(params), (1.0, float(fraction(power))))
    # theta >= 1/4 divides the gradient once
    assert abs(moved[index] - expected) <= 4 * 3 * tolerances.method_step(
        mdp.num_states, mdp.num_actions, mdp.discount, float(np.abs(mdp.rewards).max()), 3.0, 1.0
    )


def test_escort_leaves_the_plateau_that_softmax_is_stuck_on():
    """ARMS((1,0); (.001,.999)), step 1/10: probability 1/2 after 19 steps with p = 2, after 5067 with softmax."""
    arms, rare = zoo.arms([1, 0]), np.array([[0.001, 0.999]])
    for method, steps in ((EscortPG("1/10"), 19), (SoftmaxPG("1/10"), 5067)):
        likely = run(arms, method, steps, record=[steps - 1, steps], initial=rare).policies[:, 0, 0]
        assert likely[0] < 0.5 <= likely[1]


@given(data=st.data(), mdp=strategies.mdps(max_states=3, max_actions=3))
def test_escort_parameters_give_back_their_policy(data, mdp):
    policy = data.draw(strategies.policies(mdp, exact=True))
    for power in (1, 2, "5/2"):
        method = EscortPG(1, power)
        floats = to_float(policy)
        np.testing.assert_allclose(method.policy_of(method.params_of(floats)), floats, rtol=0, atol=64 * tolerances.EPS)


def test_an_action_of_probability_zero_stays_out_for_a_power_of_two():
    trail = run(zoo.arms([1, "1/2", 0]), EscortPG(1), 30, initial=np.array([[0.0, 0.5, 0.5]]))
    assert (trail.policies[:, 0, 0] == 0).all()
    assert trail.policies[-1, 0, 1] > 0.9


def test_a_certified_escort_run_encloses_the_float_one():
    mdp, method = zoo.chain(2, "1/2"), EscortPG("1/10", "3/2")
    policy = rational_array([["1/3", "2/3"]] * 3)
    ends = certified_run(method, mdp, lambda: method.params_of(arithmetic.balls(policy)), method.settings(mdp.exact), [5])[-1]
    floats = run(mdp, method, 5, record=[5], initial=to_float(policy)).parameters[0]
    np.testing.assert_allclose(
        floats, np.array([[float(x.mid()) for x in row] for row in ends]), rtol=0, atol=5 * tolerances.method_step(3, 2, 0.5, 1, 1, 1)
    )


@pytest.mark.parametrize("power", [0, "1/2", -1])
def test_a_power_below_one_is_refused(power):
    with pytest.raises(ModelError, match="power is"):
        EscortPG(1, power)


@given(data=st.data(), mdp=strategies.mdps(max_states=3, max_actions=3, discount=DISCOUNTS, start="full"))
def test_log_barrier_pg_follows_the_gradient_of_its_objective(data, mdp):
    params, index = drawn_params(data, mdp, -12, 12)
    weight, pairs = fmpq(3, 10), params.size
    with arithmetic.precision(256):
        start = arithmetic.balls(mdp.exact.start)

        def objective(logits):
            value = (state_values(mdp, arithmetic.softmax(logits)) * start).sum()
            return value + arb(weight) / pairs * arithmetic.log_softmax(logits).sum()

        expected = slope(objective, params, index)
    moved = step_of(LogBarrierPG(1, weight), mdp, to_float(params), (1.0, 0.3))
    size = float(np.abs(mdp.rewards).max()) + 1
    assert abs(moved[index] - expected) <= tolerances.method_step(mdp.num_states, mdp.num_actions, mdp.discount, size, 3.0, 1.0)


def test_the_barrier_alone_makes_the_policy_uniform_and_bounds_the_curvature():
    """Equal arms, lambda = 1: the objective is the mean log probability; and the Lipschitz constant of a step is 1 + eta lambda/2 at least."""
    arms = zoo.arms(["1/2", "1/2", "1/2"])
    trail = run(arms, LogBarrierPG(1, 1), 400, initial=np.array([[0.8, 0.15, 0.05]]))
    np.testing.assert_allclose(trail.policies[-1], 1 / 3, rtol=0, atol=1000 * tolerances.EPS)
    with arithmetic.precision(64):
        exact = arms.exact
        problem = tuple(arithmetic.balls(x) for x in (exact.transitions, exact.rewards, exact.discount, exact.start))
        assert LogBarrierPG(1, 1).lipschitz(problem, (arb(1), arb(1)), None) == arb(3) / 2


@given(data=st.data(), mdp=strategies.mdps(max_states=3, max_actions=3, discount=DISCOUNTS))
def test_divergence_from_uniform_is_entropy_with_rewards_shifted(data, mdp):
    """r - tau log(pi A) differs from r - tau log pi by a constant, which no advantage sees."""
    policy = to_float(data.draw(strategies.policies(mdp, exact=True, interior=True)))
    uniform = np.full(policy.shape, 1 / mdp.num_actions)
    ours = run(mdp, RegularisedPG("1/5", "1/4", uniform), 4, record="all", initial=policy).parameters
    np.testing.assert_array_equal(run(mdp, RegularisedPG("1/5", "1/4"), 4, record="all", initial=policy).parameters, ours)
    entropy = run(mdp, EntropyPG("1/5", "1/4"), 4, record="all", initial=policy).parameters
    spread = float(np.abs(entropy).max())
    size = float(np.abs(mdp.rewards).max()) + spread + 3
    np.testing.assert_allclose(ours, entropy, rtol=0, atol=8 * tolerances.method_step(*policy.shape, mdp.discount, size, spread, 1.0))


def test_the_fixed_point_is_the_reference_tilted_by_the_rewards():
    arms, reference = zoo.arms([1, 0, "1/2"]), np.array([[0.2, 0.5, 0.3]])
    trail = run(arms, RegularisedPG(2, "1/2", reference), 2000, record=[2000])
    tilted = reference * np.exp(2 * np.array([[1, 0, 0.5]]))
    np.testing.assert_allclose(trail.policies[-1], tilted / tilted.sum(), rtol=0, atol=1000 * tolerances.EPS)


def test_a_reference_must_be_a_positive_policy():
    arms = zoo.arms([1, 0])
    with pytest.raises(ModelError, match="action 1 of state 0 probability 0"):
        run(arms, RegularisedPG(1, 1, np.array([[1.0, 0.0]])), 1)
    with pytest.raises(ModelError, match="'greedy'"):
        run(arms, RegularisedPG(1, 1, "greedy"), 1)
    with pytest.raises(ModelError, match="sum"):
        run(arms, RegularisedPG(1, 1, np.array([[0.7, 0.7]])), 1)
