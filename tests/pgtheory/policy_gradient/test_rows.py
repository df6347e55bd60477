"""Compiled steps of the methods with a root, a search or a rule in them, against their plain steps; and the rows they are made of."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pgtheory.policy_gradient as pg
from mdps import MDP
from pgtheory import run
from pgtheory.policy_gradient import rows
from pgtheory.policy_gradient.batched import Batched
from pgtheory.policy_gradient.discovered_rows import discovered_rows
from pgtheory.policy_gradient.mirror_learning import DRIFTS, clipped_argmax, drift_argmax, drift_of
from pgtheory.policy_gradient.potentials import bregman_argmax, tsallis_argmax
from tests import tolerances

SEEDS = st.integers(0, 2**32 - 1)
ORDERS = ("0", "1/3", "1/2", "3/2", "5/3")
TIMES = tuple(range(6))
METHODS = [
    pg.MDPO(0.2, 0.5),
    pg.MDPO(0.2, 0.5, 1),
    pg.MirrorLearning(0.7),
    pg.MirrorLearning(1, "discovered"),
    pg.Munchausen(0.3, "1"),
    pg.Munchausen(0.3, "3/2"),
    pg.Munchausen(0.3, "2"),
    pg.RegularisedPG(0.3, 0.2),
    pg.LogLinearNPG(0.2, lambda mdp: np.random.default_rng(1).normal(size=(mdp.num_states, mdp.num_actions, 3))),
    pg.LineSearchPG(),
    *(pg.BregmanDescent(0.9, order) for order in (*ORDERS, "1", "2")),
    *(rule(0.7, direction) for direction in ("softmax", "natural", "projected") for rule in (pg.Normalised, pg.Polyak, pg.Armijo)),
]
STEP = 1e-11
"""One step of a generic model with at most 4 states and discount 1/2: a root to 2^-51 of its level, powers up to 3, an eigenvalue cut at 1e-15 of the
largest of three features, step sizes from a quotient of gaps; measured 1e-15 to 1e-13."""


def generic(seed):
    rng = np.random.default_rng(seed)
    states, actions = int(rng.integers(1, 5)), int(rng.integers(2, 5))
    mdp = MDP(rng.dirichlet(np.ones(states), (states, actions)), rng.random((states, actions)), 0.5, start=rng.dirichlet(np.ones(states)))
    return rng, mdp, 0.8 * rng.dirichlet(np.ones(actions), states) + 0.2 / actions


@pytest.mark.parametrize("method", METHODS, ids=[re.sub(" at 0x[0-9a-f]+", "", repr(method)) for method in METHODS])
def test_the_compiled_loop_takes_the_plain_step(method):
    for seed in range(8):
        _, mdp, policy = generic(seed)
        settings = method.settings(mdp)
        numbers = tuple(np.asarray(x)[None] for x in settings)
        problem = (mdp.transitions, mdp.rewards, mdp.discount, mdp.start)
        batch = mdp.transitions[None], mdp.rewards[None], [mdp.discount], mdp.start[None]
        params = method.params_of(policy)
        records, minima = method.run_arrays(*batch, params[None], numbers, TIMES, watch=True)
        assert minima is not None
        np.testing.assert_array_equal(records[0, 0], params)
        for t in TIMES[1:]:
            after = method.plain_step(records[0, t - 1], *problem, *settings)
            size = 1 + np.abs(after).max()
            np.testing.assert_allclose(records[0, t] / size, after / size, rtol=0, atol=STEP)
        policies = method.policy_of(records[0])
        np.testing.assert_allclose(minima[0], np.minimum.accumulate(policies, axis=0), rtol=0, atol=16 * tolerances.EPS)


def test_every_batched_method_but_those_with_functions_of_a_user_is_compiled():
    assert all(not isinstance(method, Batched) or method._loop is not None for method in METHODS)
    assert pg.MirrorLearning(0.2, dataclasses.replace(DRIFTS["kl"], name="own"))._loop is None


def test_a_drift_of_ones_own_runs_on_the_plain_step_to_the_same_end():
    _, mdp, policy = generic(3)
    named, own = (run(mdp, pg.MirrorLearning(0.7, drift), 5, initial=policy) for drift in ("kl", dataclasses.replace(DRIFTS["kl"], name="own")))
    np.testing.assert_allclose(named.policies, own.policies, rtol=0, atol=1e-9)  # the bisected ratio is that to about 2^-60 of 1/pi


@given(SEEDS, st.sampled_from(ORDERS))
def test_bregman_rows_are_the_bisected_ones(seed, order):
    rng = np.random.default_rng(seed)
    policy, gains = rng.dirichlet(np.ones(4), 3), rng.normal(size=(3, 4)) * 10 ** rng.uniform(-3, 1)
    np.testing.assert_allclose(rows.bregman_rows(policy, gains, number_of(order)), bregman_argmax(policy, gains, order), rtol=0, atol=STEP)


@given(SEEDS, st.sampled_from(("3/2", "2", "3")))
def test_tsallis_rows_are_the_bisected_ones_and_zeros_stay(seed, order):
    rng = np.random.default_rng(seed)
    policy, values = rng.dirichlet(np.ones(4), 3), rng.normal(size=(3, 4))
    policy[0, 0] = 0
    policy /= policy.sum(axis=1, keepdims=True)
    found = rows.tsallis_rows(policy, values, number_of(order), 0.4)
    # above order 2 the roots are taken of what is left above the level: half of the digits where an action is about to vanish
    np.testing.assert_allclose(found, tsallis_argmax(policy, values, order, 0.4), rtol=0, atol=STEP if order != "3" else 1e-7)
    assert found[0, 0] == 0


def number_of(text):
    above, _, below = text.partition("/")
    return int(above) / int(below or 1)


@given(SEEDS)
def test_clipped_rows_are_the_closed_form(seed):
    rng = np.random.default_rng(seed)
    policy, gains = rng.dirichlet(np.ones(4), 5), np.round(rng.normal(size=(5, 4)), 1)
    expected = [clipped_argmax(pi, gain, 0.2) for pi, gain in zip(policy, gains, strict=True)]
    np.testing.assert_allclose(rows.clipped_rows(policy, gains, 0.2), expected, rtol=0, atol=8 * tolerances.EPS)


@pytest.mark.parametrize("exponents", [[0.0, 800.0], [0.0, 1e5], [1e5, 0.0], [0.0, 695.0]])
def test_tilting_survives_underflow(exponents):
    """pi = (1 - e, e) with e = 1e-300: the odds are e exp(x_1 - x_0), whatever overflows on the way."""
    (row,) = rows.tilted(np.array([[1.0, 1e-300]]), np.array([exponents]))
    odds = np.log(1e-300) + exponents[1] - exponents[0]
    expected = 1 / (1 + np.exp(-odds)) if odds > -700 else 0.0
    assert row[1] == pytest.approx(expected, rel=1e-12, abs=1e-300)
    assert row.sum() == pytest.approx(1, abs=4 * tolerances.EPS)


def test_tilting_keeps_zeros():
    np.testing.assert_array_equal(rows.tilted(np.array([[0.0, 0.5, 0.5]]), np.array([[900.0, 0.0, 0.0]])), [[0, 0.5, 0.5]])


@pytest.mark.parametrize("size", [1e-3, 1.0, 10.0])
def test_the_discovered_drift_is_maximised_as_well_as_by_two_nested_bisections(size):
    rng = np.random.default_rng(5)
    drift = DRIFTS["discovered"]
    for actions in (1, 2, 4):
        policy = rng.dirichlet(np.ones(actions), 12)
        policy[::4, 0] = 0.0 if actions > 1 else 1.0
        policy /= policy.sum(axis=1, keepdims=True)
        gains = size * rng.normal(size=policy.shape)
        gains[1::4] = np.round(gains[1::4])  # ties, and gains of 0
        gains -= (policy * gains).sum(axis=1, keepdims=True)
        found, plain = discovered_rows(policy, gains), drift_argmax(policy, gains, drift, 1.0)

        def worth(rows, policy=policy, gains=gains):
            return (rows * gains).sum(axis=1) - drift_of(rows, policy, gains, drift, 1.0)

        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=0, atol=4 * tolerances.EPS)
        assert (found >= 0).all() and (found[policy == 0] == 0).all()
        # The level is known to 2 EPS of the largest gain, and a row at a wrong level loses at most A times the error.  Each of the A products of a
        # worth rounds to EPS of the largest gain, the drift's A log x to that times log x; both rows have such a worth.
        longest = max(np.abs(np.log(rows[rows > 0] / policy[rows > 0])).max() for rows in (found, plain))
        allowed = 2 * actions * (4 + longest) * tolerances.EPS * np.abs(gains).max()
        assert (worth(found) >= np.maximum(worth(plain), 0) - allowed).all()


def test_where_nothing_is_gained_the_discovered_drift_does_as_the_plain_step_does():
    policy, gains = np.array([[0.25, 0.75], [1.0, 0.0]]), np.zeros((2, 2))
    np.testing.assert_array_equal(discovered_rows(policy, gains), drift_argmax(policy, gains, DRIFTS["discovered"], 1.0))
