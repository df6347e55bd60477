"""Mirror descent and its relatives: each step against its definition, the arithmetics against each other, and the named instances of the theory page."""

from __future__ import annotations

import numpy as np
import pytest
from flint import arb, fmpq

from mdps import MDP, ModelError, zoo
from mdps.rational import rational_array, to_float
from pgtheory import (
    MDPO,
    AdaptiveMirrorDescent,
    BregmanDescent,
    GrowingMirrorDescent,
    LineSearchPG,
    LogLinearNPG,
    MirrorDescent,
    MirrorLearning,
    Munchausen,
    NaturalPG,
    PotentialDescent,
    RegularisedMirrorDescent,
    SoftmaxPG,
    SoftPolicyIteration,
    arithmetic,
    certified_run,
    run,
)
from pgtheory.exact import action_values, advantages, state_values
from pgtheory.policy_gradient import NAMES, method_named
from pgtheory.policy_gradient.mirror_learning import DRIFTS, Drift, clipped_argmax, drift_argmax, drift_of
from tests import tolerances

RNG = np.random.default_rng(3)
MODEL = MDP(RNG.dirichlet(np.ones(3), (3, 3)), RNG.random((3, 3)), 0.8, RNG.dirichlet(np.ones(3)))
START = RNG.dirichlet(np.ones(3), 3)
ETA, TAU = fmpq(1, 3), fmpq(1, 5)
METHODS = {
    "soft-policy-iteration": (SoftPolicyIteration(TAU), (TAU,)),
    "regularised": (RegularisedMirrorDescent(ETA, TAU), (ETA, TAU)),
    "growing-kl": (GrowingMirrorDescent(ETA, fmpq(3, 2)), (ETA, fmpq(3, 2))),
    "growing-euclidean": (GrowingMirrorDescent(ETA, fmpq(3, 2), "euclidean"), (ETA, fmpq(3, 2))),
    "adaptive-kl": (AdaptiveMirrorDescent(ETA), (ETA,)),
    "adaptive-euclidean": (AdaptiveMirrorDescent(ETA, "euclidean"), (ETA,)),
    "bregman-0": (BregmanDescent(ETA, 0), (ETA,)),
    "bregman-1/2": (BregmanDescent(ETA, "1/2"), (ETA,)),
    "bregman-3": (BregmanDescent(ETA, 3), (ETA,)),
    "mdpo": (MDPO(ETA, fmpq(1, 2), 4), (ETA, fmpq(1, 2))),
    "mirror-learning-kl": (MirrorLearning(ETA, "kl"), (ETA,)),
    "mirror-learning-ppo": (MirrorLearning(ETA, "ppo"), (ETA,)),
    "munchausen-2": (Munchausen(TAU, 2), (TAU,)),
    "munchausen-3/2": (Munchausen(TAU, "3/2"), (TAU,)),
}
every_method = pytest.mark.parametrize(("method", "settings"), METHODS.values(), ids=METHODS)
ROUNDING = tolerances.method_step(3, 3, 0.8, 1.0, 10.0, 10.0)
"""One step with logits and step sizes up to 10 on MODEL; it is the largest of the family here."""


def floats(settings):
    return tuple(float(arb(x)) for x in settings)


def recorded(method, settings, policy=START, times=(0, 1, 2, 7), watch=False):
    arrays = (MODEL.transitions[None], MODEL.rewards[None], [MODEL.discount], MODEL.start[None], method.params_of(policy)[None])
    return method.run_arrays(*arrays, floats(settings), times, watch=watch)


def gibbs(logits):
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def soft_action_values(policy, tau):
    paid = (policy * (MODEL.rewards - tau * np.log(policy))).sum(axis=1)
    moved = np.einsum("sa,sat->st", policy, MODEL.transitions)
    return MODEL.rewards + MODEL.discount * MODEL.transitions @ np.linalg.solve(np.eye(3) - MODEL.discount * moved, paid)


# What all of them promise


@every_method
def test_run_and_plain_step_agree_and_rows_are_distributions(method, settings):
    records, minima = recorded(method, settings, watch=True)
    state = method.params_of(START)
    np.testing.assert_array_equal(records[0, 0], state)
    for k in (1, 2):
        state = method.plain_step(state, MODEL.transitions, MODEL.rewards, MODEL.discount, MODEL.start, *floats(settings))
        np.testing.assert_allclose(method.policy_of(records[0, k]), method.policy_of(state), rtol=0, atol=ROUNDING)
    policies = method.policy_of(records[0])
    assert policies.shape == minima[0].shape == (4, 3, 3)
    assert (policies >= 0).all()
    np.testing.assert_allclose(policies.sum(axis=-1), 1, rtol=0, atol=8 * tolerances.EPS)
    assert (np.diff(minima[0], axis=0) <= 0).all() and (minima[0] <= policies + tolerances.EPS).all()


@every_method
def test_balls_hold_the_floats(method, settings):
    exact = rational_array(START)
    exact = exact / exact.sum(axis=1)[:, None]
    enclosure = certified_run(method, MODEL, lambda: method.params_of(arithmetic.balls(exact)), settings, (2,), accuracy=fmpq(1, 2**60))[0]
    policy = method.policy_of(np.vectorize(float)(np.vectorize(lambda x: x.mid())(enclosure)))
    np.testing.assert_allclose(policy, method.policy_of(recorded(method, settings)[0][0, 2]), rtol=0, atol=2 * ROUNDING)


@every_method
def test_company_in_a_batch_changes_nothing(method, settings):
    policies = RNG.dirichlet(np.ones(3), (4, 3))
    models = [MODEL.replace(rewards=RNG.random((3, 3))) for _ in range(4)]
    arrays = [np.stack([getattr(m, name) for m in models]) for name in ("transitions", "rewards", "discount", "start")]
    params = np.stack([method.params_of(p) for p in policies])
    together, _ = method.run_arrays(*arrays, params, floats(settings), (0, 3))
    for b in range(4):
        alone, _ = method.run_arrays(*(x[b : b + 1] for x in arrays), params[b : b + 1], floats(settings), (0, 3))
        np.testing.assert_allclose(together[b], alone[0], rtol=0, atol=ROUNDING)


@every_method
def test_the_driver_runs_it_from_its_own_start(method, settings):
    trail = run(MODEL, type(method)(*settings, **options_of(method)), 5)
    assert np.isfinite(trail.values).all() and trail.policies.shape[1:] == (3, 3)
    np.testing.assert_allclose(trail.policies[0], 1 / 3, rtol=0, atol=2 * tolerances.EPS)
    exact = method.start(MODEL.exact)
    assert all(isinstance(x, fmpq) for x in exact.reshape(-1))
    np.testing.assert_allclose(method.policy_of(to_float(exact)), 1 / 3, rtol=0, atol=2 * tolerances.EPS)


def options_of(method):
    return {name: getattr(method, name) for name in ("geometry", "order", "drift", "inner_steps") if hasattr(method, name)}


@every_method
def test_it_improves_from_the_uniform_policy(method, settings):
    """Each of them climbs V, or V_tau where it is regularised (judged by what it is: values rise over ten steps on a model with a gap)."""
    trail = run(MODEL, type(method)(*settings, **options_of(method)), 10)
    assert trail.gap()[-1] < trail.gap()[0]


@every_method
def test_its_name_leads_back_to_its_class(method, settings):
    """Counterexample files name the method."""
    assert method_named(method.name) is type(method)


def test_names_lead_to_the_classes():
    assert method_named("mdpo") is MDPO and method_named("line-search") is LineSearchPG
    assert {"munchausen", "bregman-descent", "soft-policy-iteration"} <= set(NAMES)


# Each step against its definition


def test_soft_policy_iteration_is_the_gibbs_policy_of_the_soft_values():
    after = recorded(*METHODS["soft-policy-iteration"], times=(1,))[0][0, 0]
    np.testing.assert_allclose(gibbs(after), gibbs(soft_action_values(START, 0.2) / 0.2), rtol=0, atol=ROUNDING)


def test_regularised_mirror_descent_tempers_the_last_policy():
    after = recorded(*METHODS["regularised"], times=(1,))[0][0, 0]
    tempered = (np.log(START) + soft_action_values(START, 0.2) / 3) / (1 + 0.2 / 3)
    np.testing.assert_allclose(gibbs(after), gibbs(tempered), rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("geometry", ["kl", "euclidean"])
def test_growing_steps_are_constant_steps_of_growing_size(geometry):
    method = GrowingMirrorDescent(0.5, 2.0, geometry)
    records, _ = recorded(method, (fmpq(1, 2), fmpq(2)), times=(0, 1, 2, 3))
    policy = START
    for k in range(3):
        np.testing.assert_allclose(records[0, k, :, -1], 2.0**k, rtol=0, atol=0)
        single = MirrorDescent(0.5 * 2**k, geometry)
        policy = single.policy_of(single.step(single.params_of(policy), MODEL))
        np.testing.assert_allclose(method.policy_of(records[0, k + 1]), policy, rtol=0, atol=2 * ROUNDING)


@pytest.mark.parametrize("geometry", ["kl", "euclidean"])
def test_adaptive_steps_fall_behind_a_backup_by_no_more_than_allowed(geometry):
    """max_a Q_k - <Q_k, pi_{k+1}> <= c_0 gamma^(2 (k + 1)) in every state, and equality of the step size with its definition."""
    method = AdaptiveMirrorDescent(0.3, geometry)
    policies = method.policy_of(recorded(method, (fmpq(3, 10),), times=range(6))[0][0])
    for k in range(5):
        values = action_values(MODEL, policies[k])
        short = values.max(axis=1) - (values * policies[k + 1]).sum(axis=1)
        assert (short <= 0.3 * 0.8 ** (2 * (k + 1)) + ROUNDING).all()
    values, best = action_values(MODEL, START), action_values(MODEL, START).argmax(axis=1)
    chosen = START[np.arange(3), best]
    away = -np.log(chosen) if geometry == "kl" else ((np.eye(3)[best] - START) ** 2).sum(axis=1) / 2
    single = MirrorDescent(float(away.max() / (0.3 * 0.8**2)), geometry)
    np.testing.assert_allclose(policies[1], single.policy_of(single.step(single.params_of(START), MODEL)), rtol=0, atol=10 * ROUNDING)


def test_a_method_with_memory_refuses_an_unknown_geometry():
    for made in (GrowingMirrorDescent, AdaptiveMirrorDescent):
        with pytest.raises(ModelError, match="geometry is 'round'"):
            made(1, *((2,) if made is GrowingMirrorDescent else ()), geometry="round")


def test_mdpo_with_one_inner_step_is_softmax_policy_gradient():
    one, plain = MDPO(1.0, 0.7, 1), SoftmaxPG(0.7 * (1 - MODEL.discount))
    state = one.params_of(START)
    np.testing.assert_allclose(one.step(state, MODEL), plain.step(state, MODEL), rtol=0, atol=ROUNDING)


def test_mdpo_with_many_inner_steps_approaches_the_natural_gradient_step():
    """The inner problem is solved by gradient ascent; its maximiser is pi exp(eta A)."""
    state = np.log(START)
    natural = gibbs(NaturalPG((1 - MODEL.discount) * 0.5).step(state, MODEL))
    far = [np.abs(gibbs(MDPO(0.5, 1.0, steps).step(state, MODEL)) - natural).max() for steps in (1, 30, 3000)]
    assert far[0] > far[1] > far[2] and far[2] < 1e-3 * far[0]


def test_log_linear_steps_with_all_features_are_tabular_and_with_none_stand_still():
    state = np.log(START)
    tabular = LogLinearNPG(0.5, np.eye(9).reshape(3, 3, 9))
    np.testing.assert_allclose(
        gibbs(tabular.step(state, MODEL)), gibbs(NaturalPG(0.5 * (1 - MODEL.discount)).step(state, MODEL)), rtol=0, atol=1e3 * ROUNDING
    )
    np.testing.assert_allclose(LogLinearNPG(0.5, np.zeros((3, 3, 2))).step(state, MODEL), state, rtol=0, atol=0)
    with pytest.raises(ModelError, match="features have shape"):
        LogLinearNPG(0.5, np.zeros((2, 3, 2))).step(state, MODEL)


def test_the_compatible_direction_solves_the_normal_equations_exactly():
    features = rational_array(RNG.integers(-3, 4, (3, 3, 2)).tolist())
    model, uniform = MODEL.exact, LogLinearNPG("1/2", features)
    step_size, given = uniform.settings(model)
    policy = rational_array(np.full((3, 3), "1/3"))
    from pgtheory.policy_gradient.log_linear import compatible_direction

    gains, weights = advantages(model, policy), rational_array(["1/2", "1/4", "1/4"])
    direction = compatible_direction(policy, gains, weights, given)
    psi = given - (policy[..., None] * given).sum(axis=1)[:, None]
    residual = gains - (psi * direction).sum(axis=-1)
    assert step_size == fmpq(1, 2)
    assert (((weights[:, None] * policy * residual)[..., None] * psi).sum(axis=(0, 1)) == 0).all()


# Potentials of one's own


def test_potential_descent_with_known_slopes_is_bregman_descent():
    root = PotentialDescent(0.4, lambda p: -2 / np.sqrt(p), lambda y: 4 / y**2)
    np.testing.assert_allclose(root.step(START, MODEL), BregmanDescent(0.4, "1/2").step(START, MODEL), rtol=0, atol=ROUNDING)
    squares = PotentialDescent(0.4, lambda p: 1.0 * p, lambda y: y)
    np.testing.assert_allclose(squares.step(START, MODEL), MirrorDescent(0.4, "euclidean").step(START, MODEL), rtol=0, atol=ROUNDING)
    trail = run(MODEL, squares, 5)
    assert (np.diff(trail.gap()) <= ROUNDING).all()


def test_bregman_descent_of_the_known_orders_is_mirror_descent():
    kl, squares = MirrorDescent(0.4), MirrorDescent(0.4, "euclidean")
    np.testing.assert_allclose(BregmanDescent(0.4, 1).step(START, MODEL), gibbs(kl.step(np.log(START), MODEL)), rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(BregmanDescent(0.4, 2).step(START, MODEL), squares.step(START, MODEL), rtol=0, atol=ROUNDING)
    with pytest.raises(ModelError, match="order is -1"):
        BregmanDescent(0.4, -1)


# Mirror learning


def test_drifts_are_zero_and_flat_where_they_stand_and_never_negative():
    ratios, gains = np.linspace(0, 4, 401), np.linspace(-3, 3, 13)[:, None]
    step = 1e-6
    for drift in DRIFTS.values():
        with np.errstate(all="ignore"):
            density = drift.density(ratios + 0 * gains, gains + 0 * ratios, 0.3)
            near = [drift.density(np.full_like(gains, 1 + e), gains, 0.3) for e in (-step, step)]
            slopes = drift.slope(ratios[1:] + 0 * gains, gains + 0 * ratios[1:], 0.3)
        assert (density >= 0).all()
        assert (drift.density(np.ones_like(gains), gains, 0.3) == 0).all()
        assert all((x <= 10 * step**2 / 0.3).all() for x in near)  # second order: at most x^2/(2 strength) + rounding
        assert (np.diff(slopes, axis=1) >= -1e-12 * np.abs(slopes).max()).all()  # convex


@pytest.mark.parametrize("name", list(DRIFTS))
def test_the_maximiser_is_not_beaten(name):
    """Against 300 random policies and the vertices, in each state; the objective is concave, its maximum found by bisection."""
    drift, gains = DRIFTS[name], advantages(MODEL, START)
    found = drift_argmax(START, gains, drift, 0.3)
    worth = (found * gains).sum(axis=1) - drift_of(found, START, gains, drift, 0.3)
    rivals = np.concatenate([RNG.dirichlet(np.ones(3), (300, 3)), np.stack([np.tile(e, (3, 1)) for e in np.eye(3)])])
    others = (rivals * gains).sum(axis=-1) - drift_of(rivals, START[None], gains[None] + 0 * rivals, drift, 0.3)
    assert (worth + 1e-9 >= others).all()  # a level found to 2^-60 of its bracket, times the spread of the ratios


def test_the_clipped_objective_has_its_maximum_in_closed_form():
    gains = advantages(MODEL, START)
    for s in range(3):
        found = clipped_argmax(START[s], gains[s], 0.2)
        worth = np.minimum(found * gains[s], np.clip(found / START[s], 0.8, 1.2) * START[s] * gains[s]).sum()
        rivals = RNG.dirichlet(np.ones(3), 3000)
        others = np.minimum(rivals * gains[s], np.clip(rivals / START[s], 0.8, 1.2) * START[s] * gains[s]).sum(axis=1)
        assert (worth + 8 * tolerances.EPS >= others).all()
        assert found.sum() == pytest.approx(1, abs=8 * tolerances.EPS)
    exact = clipped_argmax(rational_array(["1/2", "1/4", "1/4"]), rational_array([-1, 1, 1]), fmpq(1, 5))
    assert exact.tolist() == [fmpq(2, 5), fmpq(3, 10), fmpq(3, 10)]


def test_a_drift_with_a_kink_stands_still():
    kinked = Drift("kinked", lambda x, a, strength: np.abs(x - 1), lambda x, a, strength: np.sign(x - 1.0))
    arms = zoo.arms([1, 0])
    trail = run(arms, MirrorLearning(1.0, kinked), 5)
    np.testing.assert_allclose(trail.policies, 0.5, rtol=0, atol=1e-12)


def test_an_unknown_drift_is_named_with_its_neighbours():
    with pytest.raises(ModelError, match="ppo"):
        MirrorLearning(0.2, "pop")


# Munchausen


def test_what_is_truncated_stays_away_and_the_kl_form_brings_it_back():
    """One state, rewards (1, 0), then (0, 1): order 2 keeps the first arm for ever."""
    first, second = zoo.arms([1, 0]).exact, zoo.arms([0, 1]).exact
    method = Munchausen("1/10", 2)
    state = method.start(first)
    for model in (first, first, *[second] * 5):
        state = method.step(state, model)
    assert method.policy_of(state).tolist() == [[fmpq(1), fmpq(0)]]
    soft = Munchausen(0.1, 1)
    state = soft.start(first.float)
    for model in (first, first, *[second] * 5):
        state = soft.step(state, model.float)
    assert soft.policy_of(state)[0, 1] > 0.99


# Line search


def test_a_line_search_reaches_the_optimum_and_the_bare_natural_curve_does_not():
    """DOMINO(2, 9/10): the natural curve's own end is a vertex, and natural gradient stays at vertices."""
    model = zoo.domino(2, "9/10").replace(start=["1/10", "1/10", "7/10", "1/10"])
    start = np.tile([0.001, 0.999], (4, 1))
    bare = run(model, LineSearchPG("natural-bare"), 6, record="all", initial=start).gap()
    np.testing.assert_allclose(bare[:2], [4.3297, 3.33], rtol=0, atol=5e-5)  # figures of the theory page, four digits
    np.testing.assert_allclose(bare[2:], bare[1], rtol=0, atol=1e-9)
    for curve in ("natural", "projected"):
        assert run(model, LineSearchPG(curve), 6, initial=start).gap()[-1] <= ROUNDING


def test_a_line_search_is_exact_in_rationals():
    model = zoo.loop("1/2").exact
    method = LineSearchPG()
    policy = method.step(rational_array([[0, 1], ["1/2", "1/2"]]), model)
    assert state_values(model, policy)[0] == fmpq(2)
    with pytest.raises(ModelError, match="curve is"):
        LineSearchPG("straight")
