"""Bilinear games in rationals: the spiral of simultaneous steps, what alternation conserves, and the rate of the optimistic step."""

from __future__ import annotations

import itertools
from fractions import Fraction as F

import numpy as np
import pytest
from flint import fmpq

from mdps.errors import ModelError
from mdps.rational import rational_array
from pgtheory.constrained.bilinear import (
    conserved_by_alternation,
    optimistic_radius,
    optimistic_roots,
    run_bilinear,
    squared_growth,
)
from tests.tolerances import EPS


def norms(xs, ys):
    return (xs * xs).sum(axis=1) + (ys * ys).sum(axis=1)


def singular_start(sigma, tau):
    """A 2 x 2 matrix with singular values sigma, tau in rational rotations, and the pair of left and right singular vectors of sigma."""
    left = rational_array([["3/5", "-4/5"], ["4/5", "3/5"]])
    right = rational_array([["5/13", "12/13"], ["-12/13", "5/13"]])
    matrix = left @ np.array([[sigma, fmpq(0)], [fmpq(0), tau]], dtype=object) @ right.T
    return matrix, left[:, 0], right[:, 0]


@pytest.mark.parametrize("kind", ["simultaneous", "extragradient"])
@pytest.mark.parametrize("eta", ["1/100", "1/2", "3"])
def test_the_squared_distance_changes_by_one_factor_on_a_singular_plane(kind, eta):
    sigma, step = fmpq(1, 2), fmpq(*F(eta).as_integer_ratio())
    matrix, u, v = singular_start(sigma, fmpq(7, 3))
    xs, ys = run_bilinear(kind, matrix, 2 * u, -3 * v, step, 10)
    distance = norms(xs, ys)
    factor = squared_growth(kind, step * sigma)
    assert all(after == factor * before for before, after in itertools.pairwise(distance))
    if kind == "simultaneous":
        assert distance[-1] == (1 + step * step / 4) ** 10 * 13
        assert distance[-1] > distance[0]


def test_ten_simultaneous_steps_at_one_half():
    xs, ys = run_bilinear("simultaneous", rational_array([[1]]), rational_array([1]), rational_array([0]), fmpq(1, 2), 10)
    assert norms(xs, ys)[-1] == fmpq(5**10, 4**10)


@pytest.mark.parametrize(("turn", "bounded"), [("1/2", True), ("199/100", True), ("2", False), ("201/100", False)])
def test_alternation_conserves_a_form_that_is_definite_below_two(turn, bounded):
    s = fmpq(*F(turn).as_integer_ratio())
    xs, ys = run_bilinear("alternating", rational_array([[1]]), rational_array([1]), rational_array([0]), s, 60)
    assert all(conserved_by_alternation(a, b, s) == 1 for a, b in zip(xs[:, 0], ys[:, 0], strict=True))
    distance = norms(xs, ys)
    if bounded:
        assert all(1 <= d * (1 + s / 2) and d * (1 - s / 2) <= 1 for d in distance)
    else:
        assert distance[-1] > distance[30] > 900  # at 2 it grows like t: (2 t)^2 after t steps


def test_extragradient_converges_below_one_and_not_beyond():
    assert squared_growth("extragradient", F(99, 100)) < 1 == squared_growth("extragradient", F(1)) < squared_growth("extragradient", F(101, 100))


def test_the_optimistic_step_obeys_its_characteristic_equation_and_the_closed_form_of_its_radius():
    for turn in (0.1, 0.3, 0.49, 0.5, 0.55, 3**-0.5, 0.6):
        for root in optimistic_roots(turn):
            assert abs(root**2 - (1 - 2j * turn) * root - 1j * turn) <= 8 * np.sqrt(EPS) * (turn == 0.5) + 16 * EPS
        if turn <= 0.5:
            assert optimistic_radius(turn) ** 2 == pytest.approx((1 + np.sqrt(1 - 4 * turn**2)) / 2, abs=16 * EPS)
            assert optimistic_radius(turn) ** 2 <= 1 - turn**2 + 4 * EPS
        else:
            assert optimistic_radius(turn) ** 2 == pytest.approx((1 + (2 * turn + np.sqrt(4 * turn**2 - 1)) ** 2) / 4, abs=32 * EPS)
    assert optimistic_radius(0.5) == pytest.approx(2**-0.5, abs=8 * EPS)
    assert optimistic_radius(3**-0.5) == pytest.approx(1, abs=32 * EPS)


@pytest.mark.parametrize("turn", [0.1, 0.3, 0.55, 0.578, 0.65])
def test_the_measured_rate_of_optimistic_runs_is_the_larger_root(turn):
    steps = 400
    xs, ys = run_bilinear("optimistic", np.array([[1.0]]), np.array([1.0]), np.array([0.0]), turn, steps)
    points = xs[:, 0] + 1j * ys[:, 0]
    large, small = optimistic_roots(turn)
    settled = steps - 1
    # z_t = A large^t + B small^t exactly: what B still weighs after t steps is |small / large|^t times a constant
    rest = 100 * (abs(small) / abs(large)) ** (settled - 1) + 400 * EPS
    assert abs(points[settled + 1] / points[settled]) == pytest.approx(abs(large), abs=rest)
    assert (abs(points[-1]) < 1) == (turn < 3**-0.5)


def test_optimism_runs_in_rationals_and_agrees_with_floats():
    exact = run_bilinear("optimistic", rational_array([[1, 2], [0, 1]]), rational_array([1, 0]), rational_array([0, 1]), fmpq(1, 8), 12)
    floats = run_bilinear("optimistic", np.array([[1.0, 2], [0, 1]]), np.array([1.0, 0]), np.array([0.0, 1]), 0.125, 12)
    for a, b in zip(exact, floats, strict=True):
        assert np.abs(np.vectorize(lambda x: int(x.p) / int(x.q), otypes=[float])(a) - b).max() <= 12 * 16 * EPS


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "sideways"}, "kind is 'sideways'"),
        ({"step_size": 0}, "step_size is 0"),
        ({"step_size": -1}, "step_size is -1"),
        ({"iterations": 0}, "iterations is 0"),
        ({"x": np.ones(3)}, "shape"),
    ],
)
def test_bad_input_names_the_place_and_the_figure(change, words):
    given = {"kind": "simultaneous", "matrix": np.eye(2), "x": np.ones(2), "y": np.ones(2), "step_size": 0.1, "iterations": 3} | change
    with pytest.raises(ModelError, match=words):
        run_bilinear(**given)
    with pytest.raises(ModelError, match="turn"):
        optimistic_roots(0)
    with pytest.raises(ModelError, match="alternating steps"):
        squared_growth("alternating", 1)
