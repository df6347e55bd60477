"""Conservative and simplex policy iteration, trust regions, PPO, SPO and two-phase steps: against independent optimisers and closed forms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from flint import arb, fmpq
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

import pgtheory
from mdps import MDP, ModelError, strategies, zoo
from mdps.rational import fraction, rational_array, to_float
from pgtheory import PPO, SPO, ConservativePI, FixPO, PolicyIteration, SimplexIteration, SoftmaxPG, TrustRegion, arithmetic, run
from pgtheory.exact import advantages, solve_exactly, state_occupancy, state_values
from pgtheory.policy_gradient.method import NoEnclosure
from pgtheory.policy_gradient.remembered import with_column
from tests import tolerances

FIFTH = fmpq(1, 5)
RATIONAL = {
    "conservative": (ConservativePI(1), (fmpq(1),)),
    "conservative, fixed": (ConservativePI(FIFTH, "fixed"), (FIFTH,)),
    "simplex": (SimplexIteration(), ()),
    "spo": (SPO(FIFTH), (FIFTH,)),
}
LOGITS = {
    "clip": (PPO(FIFTH, 1, 4), (FIFTH, fmpq(1), fmpq(4))),
    "spo by gradient": (PPO(FIFTH, fmpq(1, 10), 4, "spo"), (FIFTH, fmpq(1, 10), fmpq(4))),
    "fixpo": (FixPO(FIFTH, 1, 2, 3), (FIFTH, fmpq(1), fmpq(2), fmpq(3), fmpq(1), fmpq(2))),
}
REGIONS = [TrustRegion(0.05, d, o) for d in ("forward", "reverse") for o in ("mean", "each")]
GENTLE = st.sampled_from(("0", "1/2", "9/10"))
FEW = examples(max_examples=25)


def numbers(settings):
    return tuple(float(fraction(x)) for x in settings)


def compiled(method, mdp, params, settings, times=(1,)):
    arrays = (mdp.transitions[None], mdp.rewards[None], [mdp.discount], mdp.start[None], np.asarray(params)[None])
    return method.run_arrays(*arrays, numbers(settings), times, watch=True)[0][0]


def close(mdp, steps=1.0):
    """A solve, and what follows it: rounding of advantages times the sensitivity of the step to them."""
    return 100 * steps * tolerances.linear_solve(mdp.num_states, mdp.discount, max(1.0, float(np.abs(mdp.rewards).max())))


# One step in every arithmetic


@pytest.mark.parametrize(("method", "settings"), RATIONAL.values(), ids=RATIONAL)
@FEW
@given(data=st.data(), mdp=strategies.mdps(max_states=3, max_actions=3, discount=GENTLE, rewards=(-1, 1)))
def test_rational_steps_agree_with_floats_and_stay_policies(method, settings, data, mdp):
    policy = data.draw(strategies.policies(mdp, exact=True))
    exact = mdp.exact
    after = method.plain_step(policy, exact.transitions, exact.rewards, exact.discount, exact.start, *settings)
    assert all(isinstance(x, fmpq) for x in after.reshape(-1))
    assert (after >= 0).all() and (after.sum(axis=1) == 1).all()
    plain = method.plain_step(to_float(policy), mdp.transitions, mdp.rewards, mdp.discount, mdp.start, *numbers(settings))
    np.testing.assert_allclose(compiled(method, mdp, to_float(policy), settings)[0], plain, rtol=0, atol=1e-9)
    if _well_separated(mdp, policy):
        np.testing.assert_allclose(plain, to_float(after), rtol=0, atol=1e-6)


def _well_separated(mdp, policy) -> bool:
    """Whether no two advantages, and no advantage and 0, are closer than 1e-3 without being equal: then floats take the same branches."""
    gains = sorted({fraction(x) for x in [*advantages(mdp, policy).reshape(-1), 0]})
    return all(b - a > fraction("1/1000") for a, b in itertools.pairwise(gains))


@pytest.mark.parametrize(("method", "settings"), LOGITS.values(), ids=LOGITS)
@FEW
@given(data=st.data(), mdp=strategies.mdps(max_states=3, max_actions=3, discount=GENTLE, rewards=(-1, 1)))
def test_logit_steps_agree_compiled_plain_and_in_balls(method, settings, data, mdp):
    size = mdp.num_states * mdp.num_actions
    logits = np.array(data.draw(st.lists(st.integers(-8, 8), min_size=size, max_size=size))).reshape(mdp.num_states, -1) / 4
    logits = logits if method.parameters == "logits" else with_column(logits)
    plain = method.plain_step(logits, mdp.transitions, mdp.rewards, mdp.discount, mdp.start, *numbers(settings))
    np.testing.assert_allclose(compiled(method, mdp, logits, settings)[0], plain, rtol=0, atol=1e-9)
    exact = mdp.exact
    problem = (exact.transitions, exact.rewards, exact.discount, exact.start)
    with arithmetic.precision(256):
        try:
            ball = method.plain_step(arithmetic.balls(logits), *(arithmetic.balls(x) for x in problem), *(arb(x) for x in settings))
        except arithmetic.Undecided:  # an advantage of 0, or a ratio at the end of the range
            return
    np.testing.assert_allclose(plain, [[float(x) for x in row] for row in ball], rtol=0, atol=1e-9)


@pytest.mark.parametrize("method", REGIONS, ids=str)
@FEW
@given(data=st.data(), mdp=strategies.mdps(max_states=3, max_actions=3, discount=GENTLE, rewards=(-1, 1), exact=False))
def test_trust_region_steps_agree_compiled_and_plain(method, data, mdp):
    policy = data.draw(strategies.policies(mdp, interior=True))
    plain = method.plain_step(policy, mdp.transitions, mdp.rewards, mdp.discount, mdp.start, 0.05)
    np.testing.assert_allclose(compiled(method, mdp, policy, (fmpq(1, 20),))[0], plain, rtol=0, atol=1e-7)
    np.testing.assert_allclose(plain.sum(axis=1), 1, rtol=0, atol=8 * tolerances.EPS)


def test_a_trust_region_step_from_rationals_is_the_float_step_taken_as_exact():
    exact, mdp = zoo.loop("1/2").exact, zoo.loop("1/2")
    problem = (exact.transitions, exact.rewards, exact.discount, exact.start)
    policy = rational_array([["1/3", "2/3"]] * 2)
    after = TrustRegion(0.1).plain_step(policy, *problem, FIFTH)
    assert all(isinstance(x, fmpq) for x in after.reshape(-1)) and (after.sum(axis=1) == 1).all()
    plain = TrustRegion(0.1).plain_step(to_float(policy), mdp.transitions, mdp.rewards, mdp.discount, mdp.start, 0.2)
    np.testing.assert_allclose(to_float(after), plain, rtol=4 * tolerances.EPS, atol=0)
    with pytest.raises(NoEnclosure, match="numerically"), arithmetic.precision(64):
        TrustRegion(0.1).plain_step(arithmetic.balls(policy), *(arithmetic.balls(x) for x in problem), arb(FIFTH))


# What the steps are


@pytest.mark.parametrize("method", REGIONS, ids=str)
def test_a_trust_region_step_is_the_maximum_over_the_region(method):
    """Against cvxpy, which knows nothing of multipliers' closed forms."""
    cvxpy = pytest.importorskip("cvxpy")
    rng = np.random.default_rng(4)
    for _ in range(3):
        mdp = MDP(rng.dirichlet(np.ones(3), (3, 3)), rng.random((3, 3)), 0.8, rng.dirichlet(np.ones(3)))
        policy = rng.dirichlet(2 * np.ones(3), 3)
        gains, visits = advantages(mdp, policy), state_occupancy(mdp, policy)
        variable = cvxpy.Variable((3, 3), nonneg=True)
        first, second = (policy, variable) if method.divergence == "forward" else (variable, policy)
        each = cvxpy.sum(cvxpy.rel_entr(first, second), axis=1)
        far = visits @ each if method.over == "mean" else each
        problem = cvxpy.Problem(
            cvxpy.Maximize(cvxpy.sum(cvxpy.multiply(visits[:, None] * gains, variable))), [cvxpy.sum(variable, axis=1) == 1, far <= 0.05]
        )
        problem.solve()
        after = method.plain_step(policy, mdp.transitions, mdp.rewards, mdp.discount, mdp.start, 0.05)
        np.testing.assert_allclose((visits[:, None] * gains * after).sum(), problem.value, rtol=0, atol=1e-5)  # the solver's own accuracy
        np.testing.assert_allclose(after, variable.value, rtol=0, atol=3e-3)


def divergences(policy, after, forward):
    first, second = (policy, after) if forward else (after, policy)
    return (np.where(first > 0, first * np.log(np.where(first > 0, first / second, 1)), 0)).sum(axis=1)


@pytest.mark.parametrize("method", REGIONS, ids=str)
@pytest.mark.parametrize("radius", [1e-6, 0.01, 1.0])
def test_the_constraint_is_tight_or_the_step_is_greedy(method, radius):
    mdp = zoo.river_swim()
    policy = np.random.default_rng(1).dirichlet(np.ones(2), mdp.num_states)
    after = method.plain_step(policy, mdp.transitions, mdp.rewards, mdp.discount, mdp.start, radius)
    far = divergences(policy, after, method.divergence == "forward")
    if method.over == "mean":
        far = far @ state_occupancy(mdp, policy)
    assert (far <= radius * (1 + 1e-9)).all()
    greedy = after.max(axis=1) > 1 - 1e-9
    assert (np.isclose(far, radius, rtol=1e-6) | (greedy.all() if method.over == "mean" else greedy)).all()


def test_radius_zero_moves_nothing():
    mdp, policy = zoo.two_state(), np.array([[0.3, 0.7], [0.6, 0.4]])
    for method in REGIONS:
        np.testing.assert_array_equal(method.plain_step(policy, mdp.transitions, mdp.rewards, mdp.discount, mdp.start, 0.0), policy)


@FEW
@given(data=st.data(), mdp=strategies.mdps(max_states=3, max_actions=4, discount=GENTLE, rewards=(-1, 1)))
def test_spo_meets_the_optimality_conditions_exactly(data, mdp):
    """Karush-Kuhn-Tucker in rationals: one multiplier a state, equal slopes where p > 0, none larger where p = 0, on the support of pi."""
    policy = data.draw(strategies.policies(mdp, exact=True))
    exact = mdp.exact
    after = SPO(FIFTH).plain_step(policy, exact.transitions, exact.rewards, exact.discount, exact.start, FIFTH)
    for pi, gain, p in zip(policy, advantages(mdp, policy), after, strict=True):
        support = [a for a in range(len(pi)) if pi[a] > 0]
        slopes = {a: gain[a] - abs(gain[a]) * (p[a] / pi[a] - 1) / FIFTH for a in support}
        level = {slopes[a] for a in support if p[a] > 0}
        assert len(level) == 1
        assert all(slopes[a] <= max(level) for a in support)
        assert all(p[a] == 0 for a in range(len(pi)) if pi[a] == 0)


@FEW
@given(mdp=strategies.mdps(max_states=4, max_actions=3, discount=GENTLE, rewards=(-1, 1)))
def test_simplex_iteration_ends_optimal_and_switches_one_state_a_step(mdp):
    exact = mdp.exact
    policy = rational_array([[int(a == mdp.num_actions - 1) for a in range(mdp.num_actions)]] * mdp.num_states)
    for _ in range(200):
        after = SimplexIteration().step(policy, exact)
        changed = (after != policy).any(axis=1).sum()
        assert changed <= 1
        if changed == 0:
            break
        policy = after
    assert (state_values(mdp, policy) == solve_exactly(mdp).values).all()


def test_simplex_iteration_takes_the_largest_advantage():
    """LOOP: from "leave" everywhere only state 0 gains; of two copies with rewards 1 and 2 the second is switched first."""
    mdp = MDP([[[1, 0], [1, 0]], [[0, 1], [0, 1]]], [[0, 1], [0, 2]], 0, [0.5, 0.5])
    first = np.array([[1.0, 0.0], [1.0, 0.0]])
    trail = run(mdp, SimplexIteration(), 3, record="all", initial=first).policies
    np.testing.assert_array_equal(trail[1], [[1, 0], [0, 1]])
    np.testing.assert_array_equal(trail[2], [[0, 1], [0, 1]])
    np.testing.assert_array_equal(trail[3], trail[2])


def test_a_fixed_share_of_one_is_policy_iteration():
    mdp = zoo.domino(5, "9/10")
    for steps in (1, 2, 4):
        one, other = (run(mdp, method, steps, record=[steps]).policies[-1] for method in (ConservativePI(1, "fixed"), PolicyIteration()))
        np.testing.assert_array_equal(one, other)


def test_the_safe_share_is_the_one_of_the_proof():
    """LOOP(9/10) from "leave": max A = 1 in state 0, visits (1/10, 9/10), so alpha = (1/10)(1/10)/4 = 1/400."""
    exact = zoo.loop("9/10").exact.replace(start=rational_array([1, 0]))
    after = ConservativePI().step(rational_array([[0, 1], [1, 0]]), exact)
    assert after[0, 0] == fmpq(1, 400)


def test_one_inner_step_of_ppo_is_a_policy_gradient_step():
    """Before any ratio moves, clipping and penalty have no slope: step_size on the surrogate is step_size (1 - gamma) on V."""
    mdp = zoo.river_swim()
    logits = np.random.default_rng(2).normal(size=(mdp.num_states, 2))
    expected = SoftmaxPG(0.7 * (1 - mdp.discount)).step(logits, mdp)
    for objective in ("clip", "spo"):
        np.testing.assert_allclose(PPO(0.2, 0.7, 1, objective).step(logits, mdp), expected, rtol=0, atol=1e-9)


def test_ppo_leaves_the_range_and_stays_outside_spo_comes_back():
    """ARMS(1, 0) from 1/2, eps 1/5.  Clip, step 3: logits +-3/4, pi = 1/(1 + e^-3/2), ratio 1.635, where both slopes are 0.  Quadratic: ends at 1.2."""
    mdp = zoo.arms([1, 0])
    start = np.zeros((1, 2))
    clipped = PPO(0.2, 3, 50).step(start, mdp)
    np.testing.assert_allclose(clipped, [[0.75, -0.75]], rtol=0, atol=1e-12)
    penalised = PPO(0.2, 1, 200, "spo")
    np.testing.assert_allclose(2 * penalised.policy(penalised.step(start, mdp)), [[1.2, 0.8]], rtol=0, atol=1e-9)
    np.testing.assert_allclose(2 * SPO(0.2).step(np.array([[0.5, 0.5]]), mdp), [[1.2, 0.8]], rtol=0, atol=1e-12)


@FEW
@given(data=st.data(), mdp=strategies.mdps(max_states=3, max_actions=3, discount=GENTLE, rewards=(-1, 1), exact=False))
def test_fixpo_ends_inside_the_region(data, mdp):
    policy = data.draw(strategies.policies(mdp, interior=True))
    method = FixPO(0.02, 0.5, 20, 5)
    settings = (fmpq(1, 50), fmpq(1, 2), fmpq(20), fmpq(5), fmpq(1), fmpq(2))
    after = method.policy_of(compiled(method, mdp, with_column(np.log(policy)), settings)[0])
    assert (divergences(policy, after, True) <= 0.02 + 1e-9).all()


def test_fixpo_without_a_need_to_fix_is_the_penalised_climb():
    """One inner step of size eta moves the logits by eta d pi A: with a wide region nothing else happens to the policy.  The penalty falls by the radius
    times its rate, since nothing had moved before that step."""
    mdp = zoo.two_state()
    policy = np.full((2, 2), 0.5)
    expected = 0.1 * state_occupancy(mdp, policy)[:, None] * policy * advantages(mdp, policy)
    after = FixPO(100, 1, 0.1, 1, 0.001).step(with_column(np.zeros((2, 2))), mdp)
    np.testing.assert_allclose(after[:, :-1], expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(after[:, -1], 1 - 0.1, rtol=0, atol=1e-12)


def test_fixpo_raises_its_penalty_after_long_steps_and_never_below_zero():
    """ARMS(1, 0): inner steps of length 2 move the logits by 1/2 each, the divergence passes the radius, the penalty grows at rate 10."""
    mdp = zoo.arms([1, 0])
    (after,) = run(mdp, FixPO(0.001, 0.1, 2, 2, 10), 1, record=[1]).parameters
    far = np.log(np.cosh(0.5))  # of (1/2, 1/2) from logits +-1/2, after the first inner step
    np.testing.assert_allclose(after[:, -1] - 1, 10 * (0 - 0.001) + 10 * (2 * far - 0.001), rtol=0, atol=1e-12)
    idle = run(mdp, FixPO(1.0, 0.1, 1e-6, 5, 10), 3, record="all").parameters[:, 0, -1]
    np.testing.assert_allclose(idle[1:], 1 - 0.1, rtol=0, atol=1e-12)  # beta is 0, not negative


@pytest.mark.parametrize(
    "make",
    [
        lambda: ConservativePI(1, "bold"),
        lambda: ConservativePI(1.5, "fixed"),
        lambda: TrustRegion(0.1, "sideways"),
        lambda: TrustRegion(0.1, over="most"),
        lambda: PPO(0.2, 1, 5, "round"),
        lambda: PPO(0.0),
        lambda: PPO(0.2, 1, 2.5),
    ],
)
def test_bad_settings_are_refused(make):
    with pytest.raises(ModelError):
        make()


@pytest.mark.parametrize("name", ["simplex-policy-iteration", "conservative-policy-iteration", "trust-region", "ppo", "spo", "fixpo"])
def test_the_methods_are_found_by_name(name):
    assert pgtheory.policy_gradient.method_named(name)().name == name
