"""The strategies make what they promise, reach the awkward cases, and shrink to small and simple models."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from flint import fmpq
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from mdps import MDP, strategies
from mdps.rational import fraction

REACH = settings(max_examples=2000, phases=[Phase.generate])


def denominators(mdp: MDP) -> set[int]:
    exact = mdp.exact
    return {int(x.q) for x in [*exact.choices.reshape(-1), *exact.pair_rewards, exact.discount, *exact.start]}


@given(strategies.mdps(max_states=5, max_actions=4, min_states=2, min_actions=2, rewards=(-1, 3), ragged=True))
def test_models_are_exact_simple_and_of_the_sizes_asked_for(mdp):
    assert 2 <= mdp.num_states <= 5
    assert np.diff(mdp.first_pair).min() >= 2
    assert mdp.num_actions <= 4
    assert mdp.given_exactly
    assert mdp.pair_rewards.min() >= -1
    assert mdp.pair_rewards.max() <= 3
    assert max(denominators(mdp)) <= 100


@given(strategies.mdps(exact=False, rewards=(-1e6, 1e6)))
def test_float_models_are_floats(mdp):
    assert not mdp.given_exactly
    assert 0 <= mdp.discount <= 0.9999


@given(st.data())
def test_starts_are_as_asked_for(data):
    assert (data.draw(strategies.mdps(start="full")).start > 0).all()
    assert np.ptp(data.draw(strategies.mdps(start="uniform")).start) == 0


@given(data=st.data(), mdp=strategies.mdps(ragged=True))
def test_policies_are_distributions_over_the_actions_that_exist(data, mdp):
    exact = data.draw(strategies.policies(mdp, exact=True))
    assert all(sum(row.tolist(), fmpq(0)) == 1 for row in exact)
    assert all(x == 0 for x in exact[~mdp.action_mask])
    policy = data.draw(strategies.policies(mdp))
    assert policy.dtype == np.float64
    np.testing.assert_allclose(policy.sum(axis=1), 1, rtol=0, atol=mdp.num_actions * np.finfo(float).eps)
    assert (data.draw(strategies.interior_policies(mdp))[mdp.action_mask] > 0).all()
    actions = data.draw(strategies.deterministic_policies(mdp))
    assert ((actions >= 0) & (actions < np.diff(mdp.first_pair))).all()


@given(strategies.distributions(4, interior=True, exact=True), strategies.distributions(4), strategies.discounts("1/2", "1/10"))
def test_distributions_and_discounts_keep_to_their_ranges(inside, row, discount):
    assert sum(inside.tolist(), fmpq(0)) == 1
    assert min(inside) > 0
    assert abs(row.sum() - 1) <= 4 * np.finfo(float).eps
    assert Fraction(1, 10) <= discount <= Fraction(1, 2)


@given(strategies.fractions("1/3", "2/5"))
def test_fractions_lie_between_their_ends(value):
    assert Fraction(1, 3) <= value <= Fraction(2, 5)


@given(strategies.bandits(min_arms=2, max_arms=3))
def test_bandits_have_one_state_and_no_future(mdp):
    assert (mdp.num_states, mdp.discount) == (1, 0)
    assert 2 <= mdp.num_actions <= 3


@settings(max_examples=30)
@given(strategies.finite_horizon_problems(exact=True), strategies.finite_horizon_problems(exact=False, stationary=True), strategies.labelled_models())
def test_the_other_problem_classes(exact, floats, labelled):
    assert exact.given_exactly
    assert not floats.given_exactly
    assert len({id(stage) for stage in floats.stages}) == 1
    assert exact.horizon <= 4
    assert labelled.label("goal").any()
    assert labelled.mdp.given_exactly
    assert labelled.rewards["reward"].shape == (labelled.mdp.num_pairs,)


@pytest.mark.parametrize("discount", ["9/10", 0.9, Fraction(9, 10), st.just("9/10")])
def test_one_discount_may_be_given(discount):
    mdp = find(strategies.mdps(discount=discount), lambda m: True, settings=REACH)
    assert mdp.exact.discount == fmpq(9, 10)
    assert find(strategies.mdps(discount=discount, exact=False), lambda m: True, settings=REACH).discount == 0.9


AWKWARD = {
    "one state": lambda m: m.num_states == 1,
    "one action": lambda m: m.num_actions == 1,
    "the largest size": lambda m: m.num_states == 4 and m.num_actions == 3,
    "discount 0": lambda m: m.discount == 0,
    "discount 99/100": lambda m: m.discount == 0.99,
    "tied rewards": lambda m: m.num_actions > 1 and (m.rewards[:, 0] == m.rewards[:, 1]).any(),
    "an unreachable state": lambda m: m.num_states > 1 and (m.choices.max(axis=0) == 0).any(),
    "an absorbing state": lambda m: m.num_states > 1 and any((m.transitions[s, :, s] == 1).all() for s in range(m.num_states)),
    "a start without full support": lambda m: (m.start == 0).any(),
    "a start at one state": lambda m: m.num_states > 1 and (m.start == 1).any(),
    "every entry positive": lambda m: m.num_states > 1 and (m.choices > 0).all(),
}


@pytest.mark.parametrize("case", AWKWARD)
def test_awkward_cases_are_reached(case):
    assert AWKWARD[case](find(strategies.mdps(), AWKWARD[case], settings=REACH))


@pytest.mark.slow
def test_examples_shrink_to_the_smallest_and_simplest():
    two = find(
        strategies.mdps(max_states=3, max_actions=2), lambda m: m.num_states > 1 and np.ptp(m.rewards, axis=1).max() > 0.3 and m.discount > 0.2
    )
    assert (two.num_states, two.num_actions) == (2, 2)
    assert sorted(two.pair_rewards.tolist()) == [0, 0, 0, 1]
    assert two.exact.discount == fmpq(1, 2)
    assert set(two.choices[:, 0].tolist()) == {1.0}
    coin = find(strategies.mdps(max_states=3, max_actions=2), lambda m: (m.choices.max(axis=1) < 0.9).any())
    assert (coin.num_states, max(denominators(coin)), float(coin.pair_rewards.sum())) == (2, 2, 0.0)
    ragged = find(strategies.mdps(max_states=3, max_actions=2, ragged=True), lambda m: not m.is_rectangular)
    assert (ragged.num_states, ragged.num_pairs) == (2, 3)


def test_policies_shrink_to_the_first_action():
    mdp = MDP([[[1, 0]] * 3, [[0, 1]] * 3], [[0, 0, 0]] * 2, 0.5)
    assert find(strategies.policies(mdp), lambda p: True).tolist() == [[1, 0, 0]] * 2
    assert [fraction(x) for x in find(strategies.interior_policies(mdp, exact=True), lambda p: True)[0]] == [Fraction(1, 3)] * 3
