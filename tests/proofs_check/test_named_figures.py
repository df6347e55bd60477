"""The figures of the theory pages: each hard instance, measured in rationals through the claims' own quantities."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from mdps.rational import fraction, rational_array
from pgtheory import SimplexIteration, run
from pgtheory.policy_gradient import PolicyIteration
from proofs_check.by_hand import by_hand
from proofs_check.catalogue import estimators, get_claim, gradient_theorem, planning, surrogates
from proofs_check.engine.certify import confirm, exact_contexts
from proofs_check.quantities import quantity


def figure(identifier, form, instance, name, kind="rational"):
    """The quantity `name` on an exact instance, as the form of the claim sees it."""
    claim = get_claim(identifier)
    chosen = next(f for f in (*claim.forms, *claim.controls) if f.name == form)
    values = quantity(name).code(exact_contexts(claim.case(chosen), instance, [0], kind))
    return [Fraction(fraction(x)) for x in values.reshape(-1)] if kind == "rational" else [float(x) for x in values.reshape(-1)]


def test_btpair_loses_all_that_the_bound_allows():
    """18 at discount 9/10, where gamma/(1 - gamma) alone is 9."""
    half, nine_tenths = planning.BTPAIR
    for instance, loss in ((half, 2), (nine_tenths, 18)):
        assert figure("bellman-contraction-and-vi-error", "greedy loss", instance, "greedy_loss") == [loss]
        assert figure("bellman-contraction-and-vi-error", "greedy loss", instance, "vector_gap") == [1]


def test_lure_attains_the_derived_bound_at_every_k():
    """2 gamma (1 - gamma^k) / (1 - gamma)^2, for every k that the claim has."""
    for instance in planning.LURED:
        gamma = Fraction(fraction(instance.discount))
        for k in (1, 2, 4, 8):
            at = dataclasses.replace(instance, settings={"backups": rational_array(k)[()]})
            expected = 2 * gamma * (1 - gamma**k) / (1 - gamma) ** 2
            assert figure("approximate-policy-iteration-error", "derived", at, "approximate_gap") == [expected]
            assert figure("approximate-policy-iteration-error", "derived", at, "largest_error") == [1]


def test_modified_policy_iteration_overshoots_from_a_poor_start():
    """1.197 times gamma ||V* - V_0|| after one iteration of five backups."""
    claim = "modified-policy-iteration"
    (error,), (start,) = (figure(claim, "from anywhere", planning.OVERSHOOT, name) for name in ("modified_gap_from_anywhere", "vector_gap"))
    assert error / (Fraction(9, 10) * start) == pytest.approx(1.1972, abs=5e-5)


def test_domino_takes_nine_changes():
    """DOMINO(8, 3/10) from "always the second action", where L log L rounded up is 1."""
    from mdps import zoo

    exact = zoo.domino(8, "3/10").exact
    worst = rational_array([[0, 1]] * exact.num_states)
    for method, changes in ((PolicyIteration(), 9), (SimplexIteration(), 9)):
        policy, count = worst, 0
        while True:
            after = method.step(policy, exact)
            if (after == policy).all():
                break
            policy, count = after, count + 1
        assert count == changes
    trail = run(zoo.domino(8, "3/10"), PolicyIteration(), 12, record="all", initial=np.array([[0.0, 1.0]] * exact.num_states))
    assert (np.abs(np.diff(trail.policies, axis=0)).max(axis=(1, 2)) > 0).sum() == 9


def test_the_primal_minimiser_is_not_unique_where_mu_vanishes():
    excess, at_mu = (
        figure("occupancy-lp-duality", "unique minimiser for any start", planning.TOO_HIGH, name)
        for name in ("feasible_excess", "feasible_excess_mu")
    )
    assert excess == [3] and at_mu == [0]


def test_a_critic_that_is_fitted_evenly():
    """ARMS((1,0,0); (.7,.2,.1)), feature (0,1,3): -0.35 and -0.28333."""
    claim, instance = "pg-theorem-log-linear-and-compatible-critic", gradient_theorem.THREE_ARMS
    assert figure(claim, "the best critic is right", instance, "one_feature_derivative") == [Fraction(-35, 100)]
    assert figure(claim, "the best critic is right", instance, "best_critic_derivative") == [Fraction(-35, 100)]
    assert figure(claim, "the best critic is right", instance, "evenly_fitted_critic_derivative") == [Fraction(-17, 60)]


def test_visits_on_loop_attain_the_bound():
    instance = by_hand("leave against stay", "loop(9/10)", mu=[1, 0], policy=[[0, 1], [1, 0]], other=[[1, 0], [1, 0]])
    assert figure("visitation-perturbation", "visits", instance, "visitation_difference") == [Fraction(9, 5)]
    assert figure("visitation-perturbation", "visits", instance, "mean_policy_difference") == [Fraction(1, 5)]


def test_conservative_policy_iteration_may_not_go_all_the_way():
    """First order 21.77, true gain 8.81 (exact.md's figures)."""
    claim, instance = "conservative-policy-iteration", surrogates.SLOWER
    (gain,), (mean,) = (figure(claim, "any share", instance, name) for name in ("mixture_gain", "advantage_under_own_visits"))
    assert 10 * mean == pytest.approx(21.77, abs=0.01)
    assert gain == pytest.approx(8.81, abs=0.01)


def test_the_surrogate_is_off_by_more_than_a_quarter_of_its_bound():
    claim, instance = "trpo-cpo-surrogate-bound", surrogates.ONE_SIDED
    (error,), (most,), (apart,) = (
        figure(claim, "largest variation", instance, name) for name in ("surrogate_error", "largest_advantage", "largest_variation")
    )
    gamma = Fraction(1, 2)
    assert error / (gamma / (1 - gamma) ** 2 * most * apart**2) == pytest.approx(1.1137, abs=5e-5)


def test_the_exact_maximiser_passes_the_ratio():
    """ARMS((1,0); (1/4,3/4)), eps 1/2: the multiplier is -3/20, the good arm's ratio 8/5."""
    from pgtheory import SPO

    instance = surrogates.RARE_GOOD_ARM
    after = SPO("1/2").step(instance.policy, instance.mdp())
    assert [Fraction(fraction(x)) for x in (after / instance.policy).reshape(-1)] == [Fraction(8, 5), Fraction(4, 5)]


def test_generalised_advantage_estimation_attains_its_bounds():
    """The action's part of the bias: gamma (1 - lambda)/(1 - gamma lambda) = 9/11 at 9/10 and 1/2; the gradient: gamma/(2 (1 - gamma)) times 2 at 0."""
    claim = "gae-bias-exact"
    assert figure(claim, "bias between actions", estimators.SAME_ERROR, "gae_action_bias") == [Fraction(9, 11)]
    assert figure(claim, "gradient", estimators.APART, "gae_gradient_error") == [9]


def test_a_mixture_is_farther_than_the_tilt():
    """Divergences .016954 and .020136 at return 7/10."""
    claim, instance = "minimal-kl-counterfactual", estimators.MIXED
    (tilt,), (mixture,), (change,) = (
        figure(claim, "the tilt's divergence", instance, name, "ball") for name in ("tilt_divergence", "mixture_divergence", "tilt_return_change")
    )
    np.testing.assert_allclose([tilt, mixture, change], [0.016954, 0.020136, 0.7 - 0.625], rtol=0, atol=5e-6)


def test_an_exit_that_becomes_a_loop():
    claim, instance = "robustness-set-of-a-policy-family", estimators.TRAP
    assert figure(claim, "one policy", instance, "change_of_value") == [10]
    assert figure(claim, "one policy", instance, "visits_of_change") == [Fraction(1, 10)]


def test_the_gradient_of_three_arms_is_orthogonal_to_the_top_eigenvector():
    from proofs_check.hessian import softmax_hessian

    case = get_claim("gradient-subspace").cases()[0]
    context = exact_contexts(case, estimators.FLAT_TOP, [0], "rational")
    hessian = softmax_hessian(context)[0, 0].astype(float)
    values, vectors = np.linalg.eigh(hessian)
    np.testing.assert_allclose(values, [-0.0625, 0, 0], rtol=0, atol=1e-15)
    gradient = np.array(quantity("softmax_gradient").code(context).reshape(-1), dtype=float)
    assert abs(vectors[:, 0] @ gradient) < 1e-15 < np.abs(gradient).max()


@pytest.mark.parametrize(
    ("identifier", "control", "instance"),
    [
        ("bellman-contraction-and-vi-error", "greedy loss without the factor 2", planning.BTPAIR[1]),
        ("modified-policy-iteration", "from anywhere", planning.OVERSHOOT),
        ("approximate-policy-iteration-error", "one horizon less", planning.LURED[1]),
        ("occupancy-lp-duality", "unique minimiser for any start", planning.TOO_HIGH),
        ("conservative-policy-iteration", "penalty dropped", surrogates.SLOWER),
        ("trpo-cpo-surrogate-bound", "variation, constant a quarter", surrogates.ONE_SIDED),
        ("pg-theorem-log-linear-and-compatible-critic", "critic fitted with even weights", gradient_theorem.THREE_ARMS),
        ("gae-bias-exact", "without discount", estimators.SAME_ERROR),
        ("gae-bias-exact", "gradient, half of it", estimators.APART),
        ("beer-cosine-bound", "any reward", estimators.WRONG_REWARD),
        ("gradient-subspace", "three arms", estimators.FLAT_TOP),
        ("nested-fqi-decouples", "one number for all pairs", estimators.CROSSED),
        ("robustness-set-of-a-policy-family", "one horizon", estimators.TRAP),
    ],
)
def test_a_control_fails_on_the_instance_that_its_reason_describes(identifier, control, instance):
    claim = get_claim(identifier)
    case = claim.case(next(c for c in claim.controls if c.name == control))
    from proofs_check.instances import _fitted, settle

    assert confirm(case, settle(case, _fitted(case, instance)), [0]).status == "violated"
