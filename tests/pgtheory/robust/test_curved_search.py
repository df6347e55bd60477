"""Compiled searches of curved s-rectangular sets: the rows against sorted projections, level and price by the conditions that
mark them, written with plain rows."""

from __future__ import annotations

import numpy as np
import pytest

from mdps.ambiguity import KL, L2, Chi2
from pgtheory.robust.blocks import _shape, _squared, _tilt, best_curved, worst_curved
from pgtheory.robust.curved_search import KINDS, SATURATED, flattened_row, level_tilts, prices, tilt_to, tilted_row

SETS = {"kl": KL, "chi2": Chi2, "l2": L2}
ROUNDING = 1e-12
"""Sums of 30 terms of order 1, divided by means of no less than 1e-3 of them."""


def drawn(rng, states=3, sparse=True):
    actions, n = int(rng.integers(1, 5)), int(rng.integers(2, 25))
    p = rng.dirichlet(np.full(n, rng.choice([0.05, 0.3, 1.0, 5.0])), (states, actions))
    if sparse:
        p[p < 1e-3] = 0
        p /= p.sum(axis=-1, keepdims=True)
    v = rng.normal(size=n) * rng.choice([1e-3, 1.0, 100.0])
    return p, np.round(v) if rng.random() < 0.3 else v, rng.normal(size=(states, actions))


@pytest.mark.parametrize("kind", list(SETS))
def test_a_tilted_row_has_the_mean_divergence_and_slope_of_the_plain_one(kind):
    rng = np.random.default_rng(0)
    for _ in range(40):
        p, v, _ = drawn(rng)
        on, _, y, _, _ = _shape(SETS[kind](0.1), p, v)
        theta = np.exp(rng.normal(size=p.shape[:2]) * 2)
        q, divergence, _ = _tilt(kind, p, y, theta, on)
        further = _tilt(kind, p, y, theta * (1 + 1e-6), on)[0]
        for s, a in np.ndindex(theta.shape):
            mean, spent, slope = tilted_row(KINDS[kind], True, p[s, a], y[s, a], theta[s, a])
            assert mean == pytest.approx(q[s, a] @ y[s, a], abs=ROUNDING) and spent == pytest.approx(divergence[s, a], rel=1e-9, abs=ROUNDING)
            difference = ((further - q)[s, a] @ y[s, a]) / (1e-6 * theta[s, a])
            assert -slope == pytest.approx(difference, rel=1e-3, abs=1e-5)  # a kink in between halves the slope of one entry
            if 1e-3 < mean < p[s, a] @ y[s, a] - 1e-3:
                back = tilted_row(KINDS[kind], True, p[s, a], y[s, a], tilt_to(KINDS[kind], True, p[s, a], y[s, a], mean, 1.0))[0]
                assert back == pytest.approx(mean, abs=ROUNDING)
        flat, spent = _tilt(kind, p, y, np.full(theta.shape, 1e12), on)[:2]
        assert np.allclose((flat * y).sum(axis=-1), 0, atol=1e-9)
        for s, a in np.ndindex(theta.shape):
            assert flattened_row(KINDS[kind], True, p[s, a], y[s, a]) == pytest.approx(spent[s, a], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("kind", list(SETS))
def test_level_and_price_meet_the_conditions_that_mark_them(kind):
    """Convex problems: rows that are tilted stand at one level and the others below it, or at one price; and the divergences add up to the budget."""
    rng, met = np.random.default_rng(1), 0
    for _ in range(60):
        p, v, r = drawn(rng)
        on, least, y, scale, _ = _shape(SETS[kind](0.1), p, v)
        base, gain, budget = r + 0.9 * least, 0.9 * scale, np.full(len(r), rng.choice([1e-3, 0.1, 1.0]))
        theta, held, mu = np.empty(r.shape), np.empty(len(r), dtype=np.bool_), np.ones(len(r))
        level_tilts(KINDS[kind], True, p, y, base, gain, budget, theta, held)
        q, divergence, _ = _tilt(kind, p, y, theta, on)
        reached, size = base + gain * (q * y).sum(axis=-1), 1 + gain + np.abs(base).max()
        for s in np.flatnonzero(~held & (theta > 0).any(axis=-1) & (theta < 1e9).all(axis=-1)):
            level = reached[s][theta[s] > 0].max()
            np.testing.assert_allclose(reached[s][theta[s] > 0], level, atol=ROUNDING * size)
            assert (reached[s][theta[s] == 0] <= level + ROUNDING * size).all()
            assert divergence[s].sum() == pytest.approx(budget[s], rel=1e-8)
            met += 1
        for s in np.flatnonzero(held):  # the budget brings every action down to the largest base
            assert reached[s].max() <= base[s].max() + 1e-9 * size and divergence[s].sum() <= budget[s] * (1 + 1e-9)
        policy = rng.dirichlet(np.ones(r.shape[1]), len(r))
        prices(KINDS[kind], True, p, y, policy, budget, mu)
        spent = _tilt(kind, p, y, policy * mu[:, None], on)[1].sum(axis=-1)
        inside = mu < 1e9
        np.testing.assert_allclose(spent[inside], budget[inside], rtol=1e-8)
        flat = [sum(flattened_row(KINDS[kind], True, p[s, a], y[s, a]) for a in range(r.shape[1])) for s in range(len(r))]
        assert (np.array(flat)[mu == SATURATED] <= budget[mu == SATURATED]).all()
    assert met > 30


@pytest.mark.parametrize("kind", list(SETS))
def test_the_bounds_of_a_block_meet(kind):
    """Below by the dual, above by a member of the set: they meet but for rounding, for budgets from 0 to beyond the simplex."""
    rng = np.random.default_rng(2)
    for _ in range(60):
        p, v, r = drawn(rng, states=4)
        budget = rng.choice([0.0, 1e-8, 1e-3, 0.1, 1.0, 5.0], 4)
        ball = SETS[kind](0.1, rectangular="s")
        low, high, policy, q = best_curved(ball, p, v, r, 0.9, budget)
        size = 1 + np.abs(v).max() + np.abs(r).max()
        assert (high >= low - ROUNDING * size).all() and (high - low).max() <= ROUNDING * size
        np.testing.assert_allclose(policy.sum(axis=-1), 1, atol=1e-12)
        any_policy = rng.dirichlet(np.full(r.shape[1], 0.3), 4)
        below, rows = worst_curved(ball, p, v, any_policy, budget)
        worth = (any_policy[..., None] * rows * v).sum(axis=(1, 2))
        assert np.abs(worth - below).max() <= ROUNDING * size
        for kernels in (q, rows):
            assert kernels.min() >= 0 and (_rows_spent(kind, p, kernels) <= _squared(ball, budget) * (1 + 1e-12) + 1e-15).all()


def _rows_spent(kind, p, q):
    """sum_a D(q_a, p_a) of every state, written out."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if kind == "kl":
            each = np.where(q > 0, q * np.log(q / p), 0.0)
        else:
            each = (q - p) ** 2 if kind == "l2" else np.where(p > 0, (q - p) ** 2 / p, np.where(q > 0, np.inf, 0.0))
    return each.sum(axis=(1, 2))
