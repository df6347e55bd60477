"""The worst case of every ambiguity set, against programs for other solvers, against its dual in rationals, and in balls."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from mdps.ambiguity import KL, L1, L2, Chi2, Contamination, KLPenalty, Linf, TotalVariation, Wasserstein
from mdps.rational import exact_rows, rational, rational_array, simplest_array, to_float
from pgtheory import arithmetic
from pgtheory.robust.duals import dual_value, intervals
from pgtheory.robust.worst_case import (
    entropic,
    worst_chi2,
    worst_contamination,
    worst_finite,
    worst_intervals,
    worst_kl,
    worst_l1,
    worst_l2,
    worst_linf,
    worst_rows,
    worst_tv,
    worst_wasserstein,
    worst_weighted_l1,
)
from tests.pgtheory.robust import programs
from tests.pgtheory.robust.instances import RADII, row, small_fractions

LP = 1e-8
"""HiGHS is asked for 1e-10 in its constraints; values are of order 1 and multipliers of order 10."""
CONIC = 2e-6
"""Clarabel's own tolerance is 1e-8 relative in the gap; near a corner of a curved set the value moves with its square root times 1e-2."""
ROUNDING = 64 * np.finfo(float).eps
SUPPORT = ("all", "nominal")


def rows(seed: int, count: int):
    rng = np.random.default_rng(seed)
    return [row(rng) for _ in range(count)]


def in_simplex(q):
    assert np.all(q >= -ROUNDING)
    assert abs(q.sum() - 1) <= ROUNDING


@pytest.mark.parametrize("support", SUPPORT)
def test_l1_is_its_linear_program(support):
    for p, v, radius in rows(1, 60):
        value, q = worst_l1(p, v, radius, support)
        in_simplex(q)
        assert abs(q - p).sum() <= radius + ROUNDING
        assert value == pytest.approx(programs.l1(p, v, radius, support), abs=LP)
        assert worst_tv(p, v, radius / 2, support)[0] == pytest.approx(value, abs=ROUNDING)


@pytest.mark.parametrize("support", SUPPORT)
def test_weighted_l1_is_its_linear_program(support):
    rng = np.random.default_rng(2)
    for p, v, radius in rows(2, 60):
        weights = rng.uniform(0.2, 2, p.size)
        value, q = worst_weighted_l1(p, v, radius, weights, support)
        in_simplex(q)
        assert (weights * abs(q - p)).sum() <= radius + ROUNDING
        assert value == pytest.approx(programs.l1(p, v, radius, support, weights), abs=LP)


@pytest.mark.parametrize("support", SUPPORT)
def test_linf_is_its_linear_program(support):
    for p, v, radius in rows(3, 60):
        value, q = worst_linf(p, v, radius, support)
        in_simplex(q)
        assert value == pytest.approx(programs.linf(p, v, radius, support), abs=LP)


@pytest.mark.parametrize("support", SUPPORT)
def test_transport_is_its_linear_program(support):
    """Costs with ties and zeros, metric or not."""
    rng = np.random.default_rng(4)
    for p, v, radius in rows(4, 60):
        cost = rng.integers(0, 4, (p.size, p.size)).astype(float) if rng.random() < 0.5 else rng.uniform(0, 2, (p.size, p.size))
        np.fill_diagonal(cost, 0)
        value, q = worst_wasserstein(p, v, radius, cost, support)
        in_simplex(q)
        assert value == pytest.approx(programs.wasserstein(p, v, radius, cost, support), abs=LP)


def test_curved_sets_are_bracketed_by_their_dual_and_a_member():
    """value <= minimum <= q . v with q inside the set: the two bounds meet up to rounding, whatever found the multiplier."""
    for p, v, radius in rows(5, 400):
        for support in SUPPORT:
            value, q = worst_l2(p, v, radius, support)
            in_simplex(q)
            assert np.sqrt(((q - p) ** 2).sum()) <= radius + ROUNDING
            assert -ROUNDING * 4 <= q @ v - value <= 1e-10
        for function in (worst_kl, worst_chi2):
            value, q = function(p, v, radius)
            in_simplex(q)
            assert np.all(q[p == 0] == 0)
            assert -ROUNDING * 4 <= q @ v - value <= 1e-10  # where p has entries of 1e-15 the multiplier is known to half its digits


@pytest.mark.parametrize("kind", ["kl", "chi2", "l2", "entropic"])
def test_curved_sets_are_their_conic_programs(kind):
    function = {"kl": worst_kl, "chi2": worst_chi2, "entropic": entropic, "l2": lambda p, v, r: worst_l2(p, v, r, "nominal")}[kind]
    for p, v, radius in rows(6, 20):
        p = exact_but_not_tiny(p)
        if radius > 0:
            assert function(p, v, radius)[0] == pytest.approx(programs.conic(p, v, kind, radius), abs=CONIC)


def exact_but_not_tiny(p):
    """Conic solvers lose an atom of 1e-9: here every atom has at least a thousandth."""
    kept = np.where(p > 0, np.maximum(p, 1e-3), 0)
    return kept / kept.sum()


@pytest.mark.exact
@pytest.mark.parametrize("support", SUPPORT)
@pytest.mark.parametrize("kind", ["l1", "weighted", "tv", "linf", "contamination", "wasserstein"])
def test_flat_sets_meet_their_duals_exactly(kind, support):
    """A member of the set and a dual bound with the same rational value: both are optimal."""
    rng = np.random.default_rng(7)
    for k in range(30):
        n = 1 + k % 5
        p, v = small_fractions(rng, n)
        radius = rational(f"{rng.integers(0, 13)}/6") if kind not in ("contamination", "tv") else rational(f"{rng.integers(0, 13)}/12")
        cost = rng.integers(0, 4, (n, n))
        np.fill_diagonal(cost, 0)
        weights = rational_array([f"{w}/2" for w in rng.integers(1, 5, n)])
        ball = {
            "l1": lambda r: L1(r, support=support),
            "weighted": lambda r: L1(r, support=support, weights=weights),  # noqa: B023
            "tv": lambda r: TotalVariation(r, support=support),
            "linf": lambda r: Linf(r, support=support),
            "contamination": lambda r: Contamination(r, support=support),
            "wasserstein": lambda r: Wasserstein(r, support=support, cost=rational_array(cost)),  # noqa: B023
        }[kind](radius)
        value, q = worst_rows(ball, p, v, radius)
        assert q.sum() == 1
        assert min(q) >= 0
        assert (q * v).sum() == value == dual_value(ball, p.tolist(), v.tolist(), radius)
        if support == "nominal":
            assert all(x == 0 for x, nominal in zip(q, p, strict=True) if nominal == 0)


@pytest.mark.exact
def test_intervals_meet_their_dual_exactly():
    rng = np.random.default_rng(8)
    for n in (1, 2, 3, 5):
        for _ in range(10):
            p, v = small_fractions(rng, n)
            low = np.maximum(p - rational_array([f"{k}/12" for k in rng.integers(0, 6, n)]), rational(0))
            high = p + rational_array([f"{k}/12" for k in rng.integers(0, 6, n)])
            value, q = worst_intervals(low, high, v)
            assert q.sum() == 1
            assert np.all(low <= q) and np.all(q <= high)
            assert value == (q * v).sum() == intervals(low.tolist(), high.tolist(), v.tolist())


@pytest.mark.parametrize("ball", [L1, TotalVariation, L2, Linf, KL, Chi2, Contamination, KLPenalty])
def test_balls_contain_the_worst_case_and_are_narrow(ball):
    """256 bits: the width is that of the arithmetic, so the multiplier was found to full precision; floats agree to rounding."""
    rng = np.random.default_rng(9)
    with arithmetic.precision(256):
        for _ in range(40):
            p, v, radius = row(rng, most=5)
            radius = min(radius, 1.0)
            p, v, r = exact_rows(exact_but_not_tiny(p)), simplest_array(v), simplest_array(np.float64(radius))[()]
            enclosed, _ = worst_rows(ball(r), arithmetic.balls(p), arithmetic.balls(v), arithmetic.balls(np.array(r, dtype=object)))
            found, _ = worst_rows(ball(r), to_float(p), to_float(v), radius)
            assert float(enclosed.rad()) < 1e-60
            assert float(enclosed.mid()) == pytest.approx(float(found), abs=4 * ROUNDING)


def test_wide_balls_contain_the_worst_case_of_their_members():
    """Values known to 1e-3: the worst case of every vector inside lies in the ball, and the ball is not much wider than that."""
    rng = np.random.default_rng(10)
    for kind in (L1, KL, Chi2, L2):
        for _ in range(10):
            p, v, _ = row(rng, most=4)
            p = exact_but_not_tiny(p)
            wide = arithmetic.balls(v) + arithmetic.balls(np.full(v.size, 1e-3)) * arithmetic.balls([0])[0].__class__(0, 1)
            enclosed, _ = worst_rows(kind(0.3), arithmetic.balls(exact_rows(p)), wide, arithmetic.balls(np.array(0.3)))
            assert float(enclosed.rad()) < 0.02
            for _ in range(5):
                inside = v + rng.uniform(-1e-3, 1e-3, v.size)
                assert enclosed.contains(float(worst_rows(kind(0.3), p, inside, 0.3)[0]))


def test_radius_zero_is_the_nominal_row_and_a_large_one_the_whole_simplex():
    for p, v, _ in rows(11, 30):
        on = v[p > 0].min()
        flat = np.ones((p.size, p.size)) - np.eye(p.size)
        cases = [
            (partial(worst_kl, p, v), on),
            (partial(worst_chi2, p, v), on),
            *((partial(f, p, v, support=s), least) for s, least in (("all", v.min()), ("nominal", on)) for f in (worst_l1, worst_l2, worst_linf)),
            *((partial(worst_wasserstein, p, v, cost=flat, support=s), least) for s, least in (("all", v.min()), ("nominal", on))),
        ]
        for function, least in cases:
            value, q = function(0.0)
            assert value == pytest.approx(p @ v, abs=ROUNDING * 8)
            assert q == pytest.approx(p, abs=ROUNDING)
            value, q = function(1e300)
            assert value == pytest.approx(least, abs=ROUNDING * 8)
            in_simplex(q)


def test_kl_with_the_radius_at_its_limit():
    """-log p(argmin v) and beyond: the least value on the support; just below it: nearly that, without overflow or NaN."""
    p, v = np.array([0.25, 0.75, 0.0]), np.array([0.0, 1.0, -5.0])
    limit = -np.log(0.25)
    for radius in (limit, np.nextafter(limit, 0), np.nextafter(limit, 9), 50.0):
        value, q = worst_kl(p, v, radius)
        assert 0 <= value <= 1e-14
        assert q[2] == 0


@pytest.mark.parametrize("radius", [1e-18, 1e-12, 1e-6])
def test_tiny_divergence_radii_follow_the_variance(radius):
    """E v - sqrt(2 radius Var v) for KL and E v - sqrt(radius Var v) for chi2, up to third moments times radius."""
    p, v = np.array([0.25, 0.25, 0.5]), np.array([0.0, 1.0, 3.0])
    mean, variance = p @ v, p @ (v - p @ v) ** 2
    assert worst_kl(p, v, radius)[0] == pytest.approx(mean - np.sqrt(2 * radius * variance), abs=3 * radius + ROUNDING)
    assert worst_chi2(p, v, radius)[0] == pytest.approx(mean - np.sqrt(radius * variance), abs=ROUNDING)


def test_leading_dimensions_and_broadcasting():
    rng = np.random.default_rng(12)
    p, v, radius = rng.dirichlet(np.ones(4), (3, 2)), rng.normal(size=4), np.array([0.1, 0.4])
    for function in (worst_l1, worst_l2, worst_linf, worst_kl, worst_chi2, worst_contamination, entropic):
        values, kernels = function(p, v, radius)
        assert values.shape == (3, 2) and kernels.shape == (3, 2, 4)
        for i, j in np.ndindex(3, 2):
            one, q = function(p[i, j], v, radius[j])
            assert values[i, j] == pytest.approx(one, abs=ROUNDING)
            assert kernels[i, j] == pytest.approx(q, abs=1e-7)


def test_finite_sets_take_the_worst_row():
    kernels = np.array([[0.5, 0.5], [0.1, 0.9], [1.0, 0.0]])
    value, q = worst_finite(kernels, np.array([0.0, 1.0]))
    assert value == 0
    assert q.tolist() == [1.0, 0.0]


def test_curved_sets_refuse_rationals():
    p, v = rational_array(["1/2", "1/2"]), rational_array([0, 1])
    with pytest.raises(TypeError, match="leaves the rationals"):
        worst_kl(p, v, rational("1/10"))


def test_values_with_a_huge_offset_keep_their_digits():
    """The worst case is translation-equivariant; centring keeps what cancellation would take."""
    p, v = np.array([0.25, 0.25, 0.5]), np.array([0.0, 1.0, 3.0])
    for function in (worst_kl, worst_chi2, worst_l2, entropic):
        assert function(p, v + 2.0**30, 0.2)[0] - 2.0**30 == pytest.approx(function(p, v, 0.2)[0], abs=2.0**-20)
    assert {r for r in RADII if r > 2} == {2.5}
