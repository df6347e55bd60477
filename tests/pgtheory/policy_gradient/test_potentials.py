"""Maximisers over the simplex: optimality conditions, enclosures, exact quotients, and what happens at zeros."""

from __future__ import annotations

import numpy as np
import pytest
from flint import arb, fmpq

from mdps import ModelError
from mdps.rational import rational_array
from pgtheory import arithmetic
from pgtheory.policy_gradient.method import NoEnclosure
from pgtheory.policy_gradient.munchausen import tsallis_divergence
from pgtheory.policy_gradient.potentials import bregman_argmax, tsallis_argmax
from tests import tolerances

RNG = np.random.default_rng(5)
POLICIES, GAINS = RNG.dirichlet(np.ones(4), 20), 2 * RNG.standard_normal((20, 4))
ORDERS = ("0", "1/2", "1", "3/2", "2", "3")


def number(order: str) -> float:
    return float(arb(fmpq(*map(int, (order.split("/") + ["1"])[:2]))))


@pytest.mark.parametrize("order", ORDERS)
def test_bregman_maximisers_meet_their_conditions(order):
    """Q - phi'(p) + phi'(pi) is one number where p > 0 and at most that where p = 0."""
    q = number(order)
    found = bregman_argmax(POLICIES, GAINS, order)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=0, atol=8 * tolerances.EPS)
    with np.errstate(all="ignore"):
        slope = np.log if q == 1 else lambda p: (p ** (q - 1) - 1) / (q - 1)
        multiplier = GAINS + slope(POLICIES) - slope(found)
    for row, p in zip(multiplier, found, strict=True):
        inside = row[p > 1e-6]  # smaller ones carry the rounding of their own power
        assert np.ptp(inside) < 1e-6
        assert (row[p == 0] <= inside.max() + 1e-6).all()


@pytest.mark.parametrize("order", ORDERS)
def test_bregman_enclosures_hold_the_floats(order):
    found = bregman_argmax(POLICIES, GAINS, order)
    with arithmetic.precision(128):
        balls = bregman_argmax(arithmetic.balls(POLICIES), arithmetic.balls(GAINS), order)
        assert max(float(x.rad()) for x in balls.reshape(-1)) < 2.0**-90
        middle = np.array([[float(x.mid()) for x in row] for row in balls])
        assert all((row.sum() - 1).contains(0) for row in balls)
    np.testing.assert_allclose(found, middle, rtol=0, atol=1e-12)  # a level to 2^-60, powers of condition up to |gain|


@pytest.mark.parametrize("order", ["3/2", "2", "3"])
def test_tsallis_maximisers_are_not_beaten(order):
    tau = 0.7
    found = tsallis_argmax(POLICIES, GAINS, order, tau)
    best = (found * GAINS).sum(axis=1) - tau * tsallis_divergence(found, POLICIES, order)
    for rival in (*np.eye(4), *RNG.dirichlet(np.ones(4), 200), *RNG.dirichlet(np.full(4, 0.1), 200)):
        other = (rival * GAINS).sum(axis=1) - tau * tsallis_divergence(rival + 0 * POLICIES, POLICIES, order)
        assert (best + 1e-9 * (1 + np.abs(other)) >= other).all()


def test_order_two_is_exact_and_agrees_with_balls():
    policy, gains = rational_array(["1/2", "1/3", "1/6"]), rational_array(["1/10", "-1/5", "7/10"])
    exact = tsallis_argmax(policy, gains, 2, fmpq(1, 3))
    assert exact.sum() == 1 and all(isinstance(x, fmpq) for x in exact)
    with arithmetic.precision(200):
        balls = tsallis_argmax(arithmetic.balls(policy), arithmetic.balls(gains), 2, arb(fmpq(1, 3)))
        assert all(b.contains(arb(x)) for b, x in zip(balls, exact, strict=True))


def test_truncation_and_zeros():
    assert tsallis_argmax(rational_array(["1/2", "1/2"]), rational_array([1, 0]), 2, fmpq(1, 10)).tolist() == [1, 0]
    assert tsallis_argmax(rational_array([1, 0]), rational_array([0, 1]), 2, fmpq(1, 10)).tolist() == [1, 0]
    np.testing.assert_array_equal(tsallis_argmax(np.array([1.0, 0.0]), np.array([0.0, 1.0]), 3, 0.1), [1, 0])
    np.testing.assert_array_equal(bregman_argmax(np.array([[1.0, 0.0]]), np.array([[0.0, 9.0]]), "1/2"), [[1, 0]])
    np.testing.assert_allclose(bregman_argmax(np.array([[1.0, 0.0]]), np.array([[0.0, 9.0]]), 3), [[0, 1]], rtol=0, atol=0)
    with arithmetic.precision(64), pytest.raises(NoEnclosure):
        tsallis_argmax(arithmetic.balls([1, 0]), arithmetic.balls([0, 1]), 3, arb(1))
    with pytest.raises(ModelError, match="must be above 1"):
        tsallis_argmax(POLICIES, GAINS, 1, 0.5)


def test_single_actions_and_ties_are_left_alone():
    np.testing.assert_array_equal(bregman_argmax(np.ones((2, 1)), np.zeros((2, 1)), "1/2"), 1)
    np.testing.assert_allclose(bregman_argmax(POLICIES, np.zeros((20, 4)), "1/2"), POLICIES, rtol=1e-12, atol=0)
    np.testing.assert_allclose(tsallis_argmax(POLICIES, np.ones((20, 4)), 3, 0.2), POLICIES, rtol=1e-12, atol=0)
