"""Quantities and claims of the landscape, of projected steps and of the softmax variants: against closed forms and the figures of named instances."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from flint import fmpq
from hypothesis import given
from hypothesis import strategies as st

from mdps import strategies, zoo
from mdps.rational import rational_array
from pgtheory.exact import occupancy
from proofs_check.catalogue import landscape, mirror_descent, projected, regularised_softmax, softmax_variants
from proofs_check.engine.certify import confirm
from proofs_check.instance import Batch, Instance, exact_context, float_context
from proofs_check.instances import settle
from proofs_check.quantities import quantity
from proofs_check.statement import parse_statement
from tests import tolerances


def measured(name, mdp, policy, **more):
    """A quantity of one policy in float64: its entries."""
    instance = Instance(mdp.transitions, mdp.rewards, mdp.discount, mdp.start, mdp.start, np.asarray(policy, dtype=float), **more)
    batch = Batch.of([instance])
    return quantity(name).code(float_context(batch, np.zeros(1, dtype=np.int64), batch.policy[:, None], pairs=False))[0, 0]


def exactly(name, mdp, policy, **more):
    """A quantity of one policy in rationals."""
    model = mdp.exact
    instance = Instance(model.transitions, model.rewards, model.discount, model.start, model.start, rational_array(policy), **more)
    return (
        quantity(name).code(exact_context(instance, "rational", np.zeros(1, dtype=np.int64), instance.policy[None], pairs=False)).reshape(-1).tolist()
    )


def test_loop_is_as_curved_as_the_claims_say():
    """LOOP(9/10) at the policy that stays, start in state 0: gamma/(1-gamma)^3 = 900 along (-1, 1), whose squared norm is 2."""
    loop = zoo.loop("9/10").replace(start=[1, 0])
    stay = [[1.0, 0.0], [1.0, 0.0]]
    expected = 2 * 0.9 / 0.1**3 / 2
    np.testing.assert_allclose(measured("direct_tangent_curvature", loop, stay), expected, rtol=0, atol=tolerances.quantity(2, 2, 0.9, 1.0) * 10)


def test_the_entropy_of_two_equal_actions_has_curvature_one_half():
    assert abs(measured("entropy_hessian_norm", zoo.arms([1, 0]), [[0.5, 0.5]])[0] - 0.5) <= 16 * tolerances.EPS
    assert measured("entropy_hessian_norm", zoo.arms([1]), [[1.0]])[0] == 0


def test_the_entropy_hessian_is_the_difference_of_its_gradient():
    """On LOOP(1/2), along each logit: central differences of the entropy's value, computed from its definition."""
    loop, width = zoo.loop("1/2"), 1e-4
    logits = np.array([[0.3, -0.2], [0.1, 0.4]])

    def entropy(x):
        policy = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
        chain = np.einsum("sa,sat->st", policy, loop.transitions)
        return loop.start @ np.linalg.solve(np.eye(2) - 0.5 * chain, -(policy * np.log(policy)).sum(axis=1))

    hessian = np.empty((4, 4))
    for i, j in itertools.product(range(4), repeat=2):
        e, f = np.eye(4)[i].reshape(2, 2) * width, np.eye(4)[j].reshape(2, 2) * width
        hessian[i, j] = (entropy(logits + e + f) - entropy(logits + e - f) - entropy(logits - e + f) + entropy(logits - e - f)) / (4 * width**2)
    policy = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    # differences are off by width^2 times a fourth derivative (below 100 here) and by 8 roundings of values below 2 over 4 width^2
    np.testing.assert_allclose(
        measured("entropy_hessian_norm", loop, policy)[0],
        np.abs(np.linalg.eigvalsh(hessian)).max(),
        rtol=0,
        atol=100 * width**2 + 16 * tolerances.EPS / width**2,
    )


@given(mdp=strategies.mdps(max_states=3, max_actions=2, discount=st.sampled_from(("0", "1/2", "9/10")), start="full"))
def test_the_largest_visit_ratio_is_that_of_some_deterministic_policy(mdp):
    """Against enumeration of all of them; the same in rationals."""
    best = 0.0
    for choice in itertools.product(range(mdp.num_actions), repeat=mdp.num_states):
        policy = np.eye(mdp.num_actions)[list(choice)]
        best = max(best, (occupancy(mdp, policy).sum(axis=1) / mdp.start).max())
    uniform = np.full((mdp.num_states, mdp.num_actions), 1 / mdp.num_actions)
    close = tolerances.quantity(mdp.num_states, mdp.num_actions, mdp.discount, 1.0, float(mdp.start.min()))
    np.testing.assert_allclose(measured("largest_visit_ratio", mdp, uniform)[0], best, rtol=0, atol=close)
    rational = exactly("largest_visit_ratio", mdp, [[fmpq(1, mdp.num_actions)] * mdp.num_actions] * mdp.num_states)[0]
    np.testing.assert_allclose(float(rational.p) / float(rational.q), best, rtol=0, atol=close)


@pytest.mark.parametrize(("length", "first"), [(8, "3.9e-03"), (12, "1.1e-04"), (20, "5.3e-08")])
def test_the_vanishing_gradient_has_the_figures_of_the_claims(length, first):
    """pi(right) = .2499 everywhere."""
    extras, numbers = {"rightward": np.full(length + 1, 4 * 0.2499)}, {"chain_length": float(length)}
    norm = measured("chain_gradient_norm", zoo.arms(["1/2"]), [[1.0]], extras=extras, settings=numbers)[0]
    assert f"{norm:.1e}" == first


def test_from_a_spread_start_the_gradient_does_not_vanish():
    extras, numbers = {"rightward": np.full(21, 4 * 0.2499)}, {"chain_length": 20.0}
    assert f"{measured('chain_gradient_norm_spread', zoo.arms(['1/2']), [[1.0]], extras=extras, settings=numbers)[0]:.2f}" == "1.80"


def test_the_chain_is_the_zoo_instance():
    """The value gap of VANISH(4) under pi(right) = 1/5, by the zoo's own arrays."""
    from pgtheory.exact import solve_exactly, state_values

    chain = zoo.vanish(4)
    policy = rational_array([["1/5", "4/15", "4/15", "4/15"]] * chain.num_states)
    gap = solve_exactly(chain).values[0] - state_values(chain.exact, policy)[0]
    extras = {"rightward": rational_array(["4/5"] * 5)}
    assert exactly("chain_gap", zoo.arms(["1/2"]), [["1"]], extras=extras, settings={"chain_length": fmpq(4)}) == [gap]


def test_suboptimality_and_coverage_say_what_they_should_at_the_edges():
    """No action is worse than another: 0.  A start that the optimal policy leaves for good: the ratio of the start to its visits."""
    assert exactly("least_suboptimality", zoo.arms(["1/2", "1/2"]), [["1/2", "1/2"]]) == [0]
    assert exactly("least_suboptimality", zoo.arms([1, "3/4", 0]), [["1/3", "1/3", "1/3"]]) == [fmpq(1, 4)]
    loop = zoo.loop("9/10").replace(start=[1, 0])
    assert exactly("coverage", loop, [["1/2", "1/2"]] * 2) == [1]
    chain = zoo.chain(1, "1/2").replace(start=["1/2", "1/2"])  # visits (1/4, 3/4) of the policy that goes right
    assert exactly("coverage", chain, [["1/2", "1/2"]] * 2) == [fmpq(2, 3)]


def case_of(claim, name):
    return next(case for case in claim.cases() if case.name == name)


@pytest.mark.parametrize(
    ("claim", "control", "t"),
    [
        (landscape.nonuniform_smoothness, "the bandit constant for every model", 0),
        (landscape.gradient_domination, "mismatch dropped", 0),
        (projected.improvement, "twice as much for small steps", 0),
        (projected.recursion, "quadratic phase counted from the start", 7),
        (projected.one_over_t, "best of the iterates before T", 0),
        (projected.one_over_t, "horizon over t", 8),
        (projected.finite_termination, "threshold without the step size", 0),
        (projected.finite_termination, "half the steps", 1),
        (softmax_variants.bandit_rate, "the best arm never loses from any start", 0),
        (regularised_softmax.log_barrier, "tolerance lambda", 0),
        (regularised_softmax.entropy_linear, "smallest probability dropped", 20),
        (mirror_descent.line_search, "bare natural curve", 0),
    ],
    ids=lambda x: x.id if hasattr(x, "id") else str(x),
)
def test_the_named_instance_refutes_its_control(claim, control, t):
    """The instance that the claims' text gives as the reason, judged in exact arithmetic."""
    case = case_of(claim, control)
    instance = settle(case, next(i for i in case.instances if isinstance(i, Instance)))
    assert instance is not None
    assert confirm(case, instance, [t]).status == "violated"


def test_domination_and_projection_are_attained():
    """Tight instances: the improvement bound at two arms from the worse one, exactly."""
    case = case_of(projected.improvement, "derived")
    instance = settle(case, projected.FALLING)
    assert confirm(case, instance, [0]).status == "holds"
    sharper = dataclasses.replace(case, statement=parse_statement("next_policy_advantage >= 101/100*state_steps*best_advantages**2/2"))
    assert confirm(sharper, instance, [0]).status == "violated"


def test_the_statements_are_those_of_the_claims_file():
    """Constants and directions, retyped."""
    expected = [
        (landscape.direct_smoothness, "printed", "direct_tangent_curvature <= 2*gamma*A/(1 - gamma)**3"),
        (landscape.entropy_smoothness, "printed", "entropy_hessian_norm <= (4 + 8*log(A))/(1 - gamma)**3"),
        (landscape.nonuniform_smoothness, "bandit", "hessian_norm <= 3*gradient_norm"),
        (
            landscape.nonuniform_smoothness,
            "printed",
            "hessian_norm <= (3 + (2*largest_visit_ratio - (1 - gamma))/((1 - gamma)*gamma))*sqrt(S)*gradient_norm",
        ),
        (landscape.gradient_domination, "start", "gap(rho, t) <= mismatch_rho_mu/(1 - gamma)*best_improvement"),
        (landscape.vanishing_gradient, "gradient, printed", "chain_gradient_norm <= 3**(-chain_length/4)"),
        (projected.improvement, "printed", "next_policy_advantage >= best_advantages**2/(best_advantages + (2 + 5*A)/state_steps)"),
        (projected.one_over_t, "derived", "gap(mu, t) <= 64*gamma*S*A*mismatch**2/((1 - gamma)**5*t)"),
        (projected.one_over_t, "best iterate, printed", "gap(rho, t) <= 8*sqrt(gamma*S*A/t)*mismatch_rho_mu/(1 - gamma)**3"),
        (softmax_variants.bandit_rate, "printed", "gap(mu, t) <= 5/(c_inf**2*(t + 1))"),
        (softmax_variants.bandit_rate, "uniform start", "gap(mu, t) <= 5*A**2/(t + 1)"),
        (softmax_variants.gravity_well, "mdp", "t >= (1 - gamma)**2*inverse_probability_drop/(2*eta)"),
        (softmax_variants.escort_lojasiewicz, "bandit", "escort_gradient_norm >= power/scale*min_optimal_probability**(1 - 1/power)*gap(mu, t)"),
        (softmax_variants.normalised, "bandit, printed", "gap(mu, t) <= gap_mu_0*exp(-c_inf*t/12)"),
        (regularised_softmax.log_barrier, "printed", "gap(rho, t) <= 2*lam/(1 - gamma)*mismatch_rho_mu"),
        (regularised_softmax.log_barrier, "smooth, printed", "barrier_hessian_norm <= 8/(1 - gamma)**3 + 2*lam/S"),
        (
            regularised_softmax.entropy_linear,
            "bandit, printed",
            "soft_gap_mu <= 2*A*(tau*largest_logit + 1)**2/tau*exp(-2*tau*eta*sum_of_min_probabilities)",
        ),
    ]
    for claim, form, text in expected:
        stated, retyped = claim.form(form).statement, parse_statement(text)
        assert stated.relation == retyped.relation
        assert stated.left == retyped.left
        assert (stated.right - retyped.right).simplify() == 0, (claim.id, form)
