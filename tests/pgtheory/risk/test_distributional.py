"""Distributional evaluation: contraction in the right metric and not in the wrong one, projections, second moments; plug-in bias by enumeration."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from flint import arb, fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

from mdps import ModelError, zoo
from mdps.rational import fraction, rational_array, to_float
from mdps.strategies import distributions, fractions, mdps, policies
from pgtheory import arithmetic, state_values
from pgtheory.risk.distributional import (
    bellman_target,
    categorical_evaluation,
    categorical_projection,
    cramer,
    quantile_evaluation,
    quantile_projection,
    return_variance,
    second_moment,
    wasserstein,
)
from pgtheory.risk.plug_in import compositions, expected_plug_in
from pgtheory.risk.returns import discounted_return_law

NEAR = 1e-12
"""Sums of a few dozen figures of size 1 to 10."""


@st.composite
def pairs(draw: st.DrawFn, states: int) -> tuple[Any, Any, Any, Any]:
    """Two families of laws of three atoms, one a state, rational."""
    p, q = (np.stack([draw(distributions(3, exact=True)) for _ in range(states)]) for _ in range(2))
    x, y = (rational_array([[draw(fractions(-2, 2)) for _ in range(3)] for _ in range(states)]) for _ in range(2))
    return p, x, q, y


@settings(max_examples=12)
@given(data=st.data())
def test_the_bellman_operator_contracts_every_wasserstein_distance(data: Any) -> None:
    mdp = data.draw(mdps(max_states=2, max_actions=2))
    policy = data.draw(policies(mdp, exact=True))
    p, x, q, y = data.draw(pairs(mdp.num_states))
    first, second = bellman_target(mdp, policy, p, x), bellman_target(mdp, policy, q, y)
    gamma = mdp.exact.discount
    for order in (1, np.inf):
        before, after = wasserstein(p, x, q, y, order).max(), wasserstein(*first, *second, order).max()
        assert after <= gamma * before
    before, after = cramer(to_float(p), to_float(x), to_float(q), to_float(y)).max(), cramer(*map(to_float, (*first, *second))).max()
    assert after <= math.sqrt(mdp.discount) * before + NEAR
    values = state_values(mdp, policy)
    shifted = bellman_target(mdp, policy, np.ones((mdp.num_states, 1), dtype=object) * fmpq(1), values[:, None])
    assert ((shifted[0] * shifted[1]).sum(axis=1) == values).all()  # the mean of T at V is V


@settings(max_examples=25)
@given(laws=pairs(1), atoms=st.integers(1, 4))
def test_the_quantile_projection_is_nonexpansive_in_the_sup_distance(laws: Any, atoms: int) -> None:
    p, x, q, y = (part[0] for part in laws)
    left, right = quantile_projection(p, x, atoms), quantile_projection(q, y, atoms)
    mass = np.full(atoms, fmpq(1, atoms), dtype=object)
    assert wasserstein(mass, left, mass, right, np.inf) <= wasserstein(p, x, q, y, np.inf)
    kept = [v for v, w in zip(x.tolist(), p.tolist(), strict=True) if w != 0]
    assert abs((mass * left).sum() - (p * x).sum()) <= (max(kept) - min(kept)) / (2 * atoms)


def test_the_quantile_projection_expands_the_first_distance() -> None:
    """{0: .51, 1: .49} and {0: .49, 1: .51}: W_1 grows from 1/50 to 1."""
    x = rational_array([0, 1])
    left, right = rational_array(["51/100", "49/100"]), rational_array(["49/100", "51/100"])
    assert wasserstein(left, x, right, x) == fmpq(1, 50)
    one = rational_array([1])
    assert wasserstein(one, quantile_projection(left, x, 1), one, quantile_projection(right, x, 1)) == 1
    assert abs(quantile_projection(left, x, 1)[0] - fmpq(49, 100)) == fmpq(49, 100)  # above 1/(4N), the control of the claim


@settings(max_examples=15)
@given(laws=pairs(1))
def test_wasserstein_is_the_area_between_distribution_functions(laws: Any) -> None:
    p, x, q, y = (part[0] for part in laws)
    points = sorted({*x.tolist(), *y.tolist()})
    area = fmpq(0)
    for a, b in itertools.pairwise(points):
        height = sum((w for v, w in zip(x, p, strict=True) if v <= a), fmpq(0)) - sum((w for v, w in zip(y, q, strict=True) if v <= a), fmpq(0))
        area += abs(height) * (b - a)
    assert wasserstein(p, x, q, y) == area
    assert (
        wasserstein(*map(to_float, (p, x, q, y)), 2) ** 2 <= to_float(np.array([wasserstein(p, x, q, y, np.inf)]))[0] * float(fraction(area)) + NEAR
    )


@settings(max_examples=15)
@given(laws=pairs(1))
def test_the_categorical_projection_keeps_the_mean_inside_the_grid(laws: Any) -> None:
    p, x, q, y = (part[0] for part in laws)
    grid = rational_array([-2, -1, "1/2", 2])
    left, right = categorical_projection(p, x, grid), categorical_projection(q, y, grid)
    assert left.sum() == 1 and (left >= 0).all()
    assert (left * grid).sum() == (p * x).sum()
    floats = [to_float(part) for part in (left, grid, right, grid, p, x, q, y)]
    assert cramer(*floats[:4]) <= cramer(*floats[4:]) + NEAR


def test_fixed_points_are_near_the_truth() -> None:
    mdp = zoo.machine_replacement("1/2")
    policy = np.full((10, 2), 0.5)
    values = state_values(mdp, policy)
    found = quantile_evaluation(mdp, policy, 15)
    width = np.ptp(bellman_target(mdp, policy, found.probabilities, found.outcomes)[1], axis=1).max()
    assert np.abs(found.means - values).max() <= width / (2 * 15 * (1 - mdp.discount))
    again = quantile_projection(*bellman_target(mdp, policy, found.probabilities, found.outcomes), 15)
    assert np.abs(again - found.outcomes).max() <= 1e-9 and found.distance <= 1e-10
    grid = np.linspace(-41, 1, 85)
    coarse = categorical_evaluation(mdp, policy, grid)
    assert np.abs(coarse.means - values).max() <= 1e-8  # no return leaves the grid, so means are exact
    law, low, high = discounted_return_law(zoo.survival(), np.ones((2, 1)), 12, start=0)
    exact = quantile_evaluation(zoo.survival(), np.ones((2, 1)), 200)
    p, x = law.floats()
    assert wasserstein(p, x, exact.probabilities[0], exact.outcomes[0]) <= 2 / (2 * 200 * 0.5) + float(fraction(high - low))


@settings(max_examples=15)
@given(data=st.data())
def test_second_moment_satisfies_its_equation(data: Any) -> None:
    mdp = data.draw(mdps(max_states=3, max_actions=2, ragged=True))
    policy = data.draw(policies(mdp, exact=True))
    V, M = second_moment(mdp, policy)
    assert (state_values(mdp, policy) == V).all()
    exact = mdp.exact
    weights = policy[mdp.action_mask]
    paid = exact.pair_rewards
    per_pair = paid * paid + 2 * exact.discount * paid * (exact.choices @ V) + exact.discount**2 * (exact.choices @ M)
    assert (np.add.reduceat(weights * per_pair, mdp.first_pair[:-1]) == M).all()
    assert (return_variance(mdp, policy) >= 0).all()
    floats = second_moment(mdp, to_float(policy))[1]
    assert np.abs(floats - to_float(M)).max() <= 1e-9 / (1 - mdp.discount) ** 3
    balls = second_moment(mdp, arithmetic.balls(policy))[1]
    assert all(b.overlaps(arb(v)) for b, v in zip(balls, M, strict=True))


def test_second_moment_is_that_of_the_law() -> None:
    mdp = zoo.survival("1/2", "1/2")
    # alive for N >= 1 steps, N geometric: the return is 2 (1 - 2^-N)
    truth = sum(Fraction(1, 2**n) * (2 * (1 - Fraction(1, 2**n))) ** 2 for n in range(1, 60))
    assert float(second_moment(mdp, np.ones((2, 1)))[1][0]) == pytest.approx(float(truth), abs=1e-12)


def test_plug_in_cvar_of_a_coin_has_the_listed_bias() -> None:
    half, x = rational_array(["1/2", "1/2"]), rational_array([0, 1])
    values = [expected_plug_in("cvar:1/2", half, x, n) for n in (1, 2, 4, 8, 16)]
    assert values == [fmpq(1, 2), fmpq(1, 4), fmpq(3, 16), fmpq(35, 256), fmpq(6435, 65536)]
    for n in (1, 3, 6):  # every sample of the coin, one by one
        total = sum(Fraction(1, 2**n) * max(Fraction(0), (Fraction(sum(s), n) - Fraction(1, 2)) * 2) for s in itertools.product((0, 1), repeat=n))
        assert fraction(expected_plug_in("cvar:1/2", half, x, n)) == total
        assert expected_plug_in("cvar:1/2", [0.5, 0.5], [0.0, 1.0], n) == pytest.approx(float(total), abs=1e-14)


@settings(max_examples=10)
@given(p=distributions(3, exact=True), x=st.tuples(fractions(-1, 1), fractions(-1, 1), fractions(-1, 1)))
@pytest.mark.parametrize("text", ["cvar:1/3", "entropic:2", "evar:1/2", "spectral:1/10=1/3,1/2=2/3"])
def test_plug_in_risk_is_optimistic_and_improves_with_samples(text: str, p: Any, x: Any) -> None:
    from pgtheory import risk

    measure = risk.parse(text)
    outcomes = rational_array(list(x))
    law = (p, outcomes) if measure.rational else (to_float(p), to_float(outcomes))
    slack = 0 if measure.rational else 1e-11
    values = [expected_plug_in(measure, *law, n) for n in (1, 2, 4)]
    assert values[0] + slack >= values[1] and values[1] + slack >= values[2] and values[2] + slack >= measure.value(*law)


def test_bad_input_names_the_figure() -> None:
    mdp = zoo.survival()
    cases: list[tuple[Any, str]] = [
        (lambda: quantile_projection([1.0], [0.0], 0), "number of atoms is 0"),
        (lambda: quantile_evaluation(mdp, np.ones((2, 1)), 2.5), "number of atoms is 2.5"),  # type: ignore[arg-type]
        (lambda: categorical_projection([1.0], [0.0], [1.0, 1.0]), "increasing"),
        (lambda: expected_plug_in("cvar:1/2", [0.5, 0.5], [0, 1], 0), "number of samples is 0"),
        (lambda: expected_plug_in("cvar:1/2", [0.5, 0.6], [0, 1], 2), "sum to 1.1"),
        (lambda: expected_plug_in("cvar:1/2", np.full(9, 1 / 9), np.arange(9), 60), "enumeration goes to 1,000,000"),
        (lambda: expected_plug_in("cvar:1/2", np.full((2, 2), 0.5), np.zeros((2, 2)), 2), "law of one sample"),
    ]
    for call, words in cases:
        with pytest.raises(ModelError, match=words):
            call()
    assert len(list(compositions(4, 3))) == math.comb(6, 2)
