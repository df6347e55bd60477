"""The Hessian in the logits, exactly against nilpotent numbers, and rigorous bounds for its spectral norm."""

from __future__ import annotations

import types

import numpy as np
import pytest
from flint import arb
from plain import directional
from small import contexts, random_instances, random_policies

from mdps.rational import rational, rational_array
from pgtheory import arithmetic
from proofs_check.hessian import softmax_hessian, spectral_norm
from proofs_check.quantities import quantities
from tests import tolerances


@pytest.mark.exact
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (2, 2), (3, 1), (2, 3)])
def test_the_hessian_equals_the_mixed_derivatives(shape):
    """In rationals, with e1^2 = e2^2 = 0: the coefficient of e1 e2 in V(mu)(theta + e1 + e2), by plain elimination."""
    states, actions = shape
    (instance,) = random_instances(1, states, actions)
    policies = random_policies(2, 1, states, actions)
    hessian = softmax_hessian(contexts(instance, policies, kinds=("rational",))["rational"])[0, 0]
    problem = types.SimpleNamespace(P=instance.transitions, r=instance.rewards, g=instance.discount, mu=instance.mu, S=states, A=actions)
    places = [(s, a) for s in range(states) for a in range(actions)]
    for i, one in enumerate(places):
        for j, two in enumerate(places):
            assert hessian[i, j] == directional(problem, policies[0], [one, two], "softmax")


@pytest.mark.exact
def test_the_hessian_is_symmetric_and_kills_shifts():
    """Adding a constant to a state's logits changes nothing: every row sums to 0 over the actions of a state."""
    (instance,) = random_instances(3, 3, 3)
    hessian = softmax_hessian(contexts(instance, random_policies(4, 2, 3, 3), kinds=("rational",))["rational"])[0]
    assert (hessian == hessian.swapaxes(-1, -2)).all()
    assert (hessian.reshape(2, 9, 3, 3).sum(axis=-1) == 0).all()


def test_floats_follow_the_rationals():
    (instance,) = random_instances(5, 3, 2)
    made = contexts(instance, random_policies(6, 3, 3, 2))
    from mdps.rational import to_float

    exact = to_float(softmax_hessian(made["rational"]))
    x = instance.as_float()
    within = tolerances.quantity(3, 2, x.discount, np.abs(x.rewards).max())
    np.testing.assert_allclose(softmax_hessian(made["float"]), exact, rtol=tolerances.quantity_relative(), atol=within)


def test_enclosure_holds_numpys_norm_of_random_matrices():
    rng = np.random.default_rng(0)
    for size in (1, 2, 5, 9):
        for _ in range(5):
            half = rng.integers(-9, 10, (size, size))
            matrix = half + half.T
            norm = np.linalg.norm(matrix.astype(float), 2)
            with arithmetic.precision(128):
                ball = spectral_norm(arithmetic.balls(rational_array(matrix)), "ball")[()]
            slack = 8 * size * tolerances.EPS * norm  # numpy's own error: eigenvalues of a symmetric matrix are good to n eps times the norm
            assert float(ball.lower()) - slack <= norm <= float(ball.upper()) + slack
            assert float(ball.rad()) <= 64 * size**2 * tolerances.EPS * max(norm, 1)


@pytest.mark.exact
def test_enclosure_holds_norms_known_exactly():
    cases = {
        "0": [[0, 0], [0, 0]],
        "5": [[3, 4], [4, -3]],  # eigenvalues +-5
        "3": [[1, 2], [2, 1]],  # 3 and -1
        "7": [[-7, 0, 0], [0, 2, 0], [0, 0, 7]],  # a double largest modulus
        "1/3": [["1/3"]],
    }
    for figure, rows in cases.items():
        with arithmetic.precision(128):
            ball = spectral_norm(arithmetic.balls(rational_array(rows)), "ball")[()]
            assert ball.contains(arb(rational(figure))), figure
    for bits in (128, 400):  # eigenvalues 3 +- 2 sqrt2: the float eigenvectors are off, and what they give by themselves is too small
        with arithmetic.precision(bits):
            ball = spectral_norm(arithmetic.balls(rational_array([[1, 2], [2, 5]])), "ball")[()]
            with arithmetic.precision(1000):
                assert ball.contains(3 + 2 * arb(2).sqrt())


@pytest.mark.exact
def test_enclosure_of_wide_balls_holds_every_member():
    """A matrix of balls: the norm of each matrix inside must be inside."""
    with arithmetic.precision(64):
        rows = arithmetic.balls(rational_array([[3, 4], [4, -3]]))
        wide = rows + arb(0, "0.1")
        ball = spectral_norm(wide, "ball")[()]
    rng = np.random.default_rng(1)
    for _ in range(50):
        noise = rng.uniform(-0.1, 0.1, (2, 2))
        member = np.array([[3.0, 4.0], [4.0, -3.0]]) + (noise + noise.T) / 2
        assert float(ball.lower()) <= np.linalg.norm(member, 2) <= float(ball.upper())


def test_no_norm_in_rationals_and_none_of_what_is_no_number():
    with pytest.raises(TypeError, match="balls"):
        spectral_norm(rational_array([[1]]), "rational")
    unknown = np.array([[arb("nan"), arb(0)], [arb(0), arb(1)]], dtype=object)
    try:
        finite = bool(spectral_norm(unknown, "ball")[()].is_finite())
    except (np.linalg.LinAlgError, ArithmeticError):
        finite = False
    assert not finite


def test_loop_at_its_worst_policy_has_the_published_curvature():
    """Stay or leave at discount g: V = sigmoid(x + log(1 - g))/(1 - g) in the logit difference x, whose second derivative is at most
    (sqrt3/18)/(1 - g); as a 2x2 Hessian in both logits that is a norm of (sqrt3/9)/(1 - g)."""
    from mdps import zoo
    from proofs_check.instance import Instance

    for discount in ("1/2", "9/10", "99/100"):
        model = zoo.load(f"loop({discount})").exact
        g = rational(discount)
        odds = rational("78868/21132") / (1 - g)  # e^x with sigmoid(x + log(1 - g)) = (3 + sqrt3)/6 = 0.78868
        stay = odds / (1 + odds)
        policy = np.array([[stay, 1 - stay], [rational("1/2"), rational("1/2")]], dtype=object)
        start = rational_array([1, 0])
        context = contexts(Instance(model.transitions, model.rewards, g, start, start, policy), policy[None], kinds=("float",))["float"]
        norm = quantities()["hessian_norm"].code(context)[0, 0, 0]
        assert norm * (1 - float(g)) == pytest.approx(np.sqrt(3) / 9, rel=1e-8)  # the odds are within 1e-5 of a maximum, where the norm is flat
