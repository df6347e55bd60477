"""The optimum of the entropy-regularised problem: against value iteration, a cone program, closed forms; and its enclosure."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from flint import arb, fmpq
from plain import Plain
from small import contexts, random_instances, random_policies

from mdps.rational import rational, rational_array
from pgtheory import arithmetic
from tests import tolerances

TEMPERATURES = ("1", "1/10", "1/100")


def made(seed, states, actions, tau, kinds=("float", "ball")):
    (instance,) = random_instances(seed, states, actions)
    instance = dataclasses.replace(instance, settings={**instance.settings, "tau": rational(tau)})
    return instance, contexts(instance, random_policies(seed, 1, states, actions), kinds=kinds)


@pytest.mark.parametrize("tau", TEMPERATURES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (3, 2), (4, 3)])
def test_against_soft_value_iteration(shape, tau):
    instance, context = made(1, *shape, tau, kinds=("float",))
    x = instance.as_float()
    reference = Plain(x.transitions, x.rewards, x.discount, x.mu, x.rho, x.policy[None], tau=float(x.settings["tau"]))
    values, action_values = context["float"].soft_optimum
    within = tolerances.quantity(*shape, x.discount, np.abs(x.rewards).max() + reference.tau * np.log(shape[1]))
    np.testing.assert_allclose(values[0], reference.soft[0], rtol=tolerances.quantity_relative(), atol=within)
    np.testing.assert_allclose(action_values[0], reference.soft[1], rtol=tolerances.quantity_relative(), atol=within)


def test_against_a_cone_program():
    """V*_tau minimises sum V subject to V(s) >= tau log sum_a exp((r + gamma P V)(s, a)/tau); Clarabel's tolerance is 1e-8 relative."""
    cvxpy = pytest.importorskip("cvxpy")
    instance, context = made(2, 3, 2, "1/2", kinds=("float",))
    x = instance.as_float()
    tau = float(x.settings["tau"])
    values = cvxpy.Variable(3)
    constraints = [values[s] >= tau * cvxpy.log_sum_exp((x.rewards[s] + x.discount * x.transitions[s] @ values) / tau) for s in range(3)]
    cvxpy.Problem(cvxpy.Minimize(cvxpy.sum(values)), constraints).solve(solver=cvxpy.CLARABEL)
    np.testing.assert_allclose(context["float"].soft_optimum[0][0], values.value, atol=1e-6 / (1 - x.discount), rtol=1e-6)


@pytest.mark.exact
@pytest.mark.parametrize("tau", TEMPERATURES)
def test_the_balls_hold_the_fixed_point(tau):
    """T_tau of the enclosure meets it, balls of different precisions overlap, and the width follows the precision."""
    instance, _ = made(3, 3, 2, tau, kinds=())
    enclosures = []
    for bits in (64, 128, 256):
        with arithmetic.precision(bits):
            context = contexts(instance, random_policies(3, 1, 3, 2), kinds=("ball",))["ball"]
            values, action_values = context.soft_optimum
            backed = context.settings["tau"][0] * arithmetic.log_sum_exp(action_values / context.settings["tau"][0])
            assert all(a.overlaps(b) for a, b in zip(values[0], backed[0], strict=True))
            assert all(x.rad() < arb(2) ** (-bits // 2) for x in values[0])
            enclosures.append(values[0])
    with arithmetic.precision(512):
        for other in enclosures[:2]:
            assert all(a.overlaps(b) for a, b in zip(other, enclosures[2], strict=True))


@pytest.mark.exact
def test_a_bandit_in_closed_form():
    """One state, discount g, rewards (1, 0), tau = 1: V = log(1 + e)/(1 - g)."""
    (base,) = random_instances(4, 1, 2)
    instance = dataclasses.replace(base, rewards=rational_array([[1, 0]]), settings={"tau": fmpq(1)})
    with arithmetic.precision(200):
        values, _ = contexts(instance, base.policy[None], kinds=("ball",))["ball"].soft_optimum
        expected = (1 + arb(1).exp()).log() / (1 - arb(instance.discount))
        assert values[0, 0].overlaps(expected) and values[0, 0].rad() < 1e-40


@pytest.mark.exact
def test_an_enclosure_of_a_wrong_guess_still_holds_the_optimum():
    """The contraction argument does not need a good guess: |V* - V| <= |T V - V|/(1 - gamma) for any V."""
    from proofs_check.soft import _enclosed

    instance, _ = made(5, 3, 2, "1/10", kinds=())
    with arithmetic.precision(128):
        context = contexts(instance, random_policies(5, 1, 3, 2), kinds=("ball",))["ball"]
        right = context.soft_optimum[0][0]
        for guess in (arithmetic.balls(rational_array([[0, 0, 0]])), arithmetic.midpoint(context.soft_optimum[0]) + 1):
            wide = _enclosed(context, guess, context.settings["tau"][:, None, None])[0]
            assert all(ball.contains(value) for ball, value in zip(wide, right, strict=True))


def test_a_batch_is_solved_instance_by_instance():
    from proofs_check.instance import Batch, float_context

    instances = [
        dataclasses.replace(i.as_float(), settings={"tau": tau}) for i, tau in zip(random_instances(6, 2, 2, count=3), (1.0, 0.1, 0.01), strict=True)
    ]
    batch = Batch.of(instances)
    together = float_context(batch, np.zeros(1, dtype=int), batch.policy[:, None], pairs=False).soft_optimum[0]
    for k, instance in enumerate(instances):
        alone = float_context(Batch.of([instance]), np.zeros(1, dtype=int), instance.policy[None, None], pairs=False).soft_optimum[0][0]
        within = tolerances.quantity(2, 2, float(instance.discount), 1 + instance.settings["tau"])
        np.testing.assert_allclose(together[k], alone, rtol=tolerances.quantity_relative(), atol=within)
