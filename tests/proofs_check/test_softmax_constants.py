"""The steps of the proof that softmax values are 7/(20(1-gamma)^2)-smooth, and the figures of one softmax step that needs its powers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mdps.rational import fraction
from proofs_check.catalogue import get_claim
from proofs_check.catalogue.against import crowd, seldom_at_work
from proofs_check.engine.certify import exact_contexts
from proofs_check.instances import settle
from proofs_check.quantities import quantity

EPS = np.finfo(float).eps
RNG_SEED = 11


def _increments(rng, count, points):
    """Variables with mean 0 in an interval of length sqrt 2: their values and probabilities, (count, points) each."""
    values = rng.random((count, points)) * np.sqrt(2)
    values[:, 0], values[:, 1] = 0, np.sqrt(2) * np.where(rng.random(count) < 0.5, 1, rng.random(count))
    shares = rng.dirichlet(np.full(points, 0.5), count)
    return values - (shares * values).sum(axis=1, keepdims=True), shares


@pytest.mark.parametrize("points", [2, 3, 5])
def test_the_square_of_one_more_increment_varies_little(points):
    rng = np.random.default_rng(RNG_SEED)
    values, shares = _increments(rng, 20_000, points)
    z = rng.standard_normal((20_000, 1)) * rng.choice([0.0, 0.3, 1.0, 5.0], (20_000, 1))
    squares = (z + values) ** 2
    variance = (shares * (squares - (shares * squares).sum(axis=1, keepdims=True)) ** 2).sum(axis=1)
    assert np.all(variance <= 2 * z[:, 0] ** 2 + 1 + 64 * EPS * (1 + z[:, 0] ** 4))
    still = z[:, 0] == 0
    assert np.all(variance[still] <= 0.25 + 8 * EPS) and variance[still].max() > 0.2


def test_the_negative_part_that_a_second_moment_allows():
    """At most b s/(b^2 + s) for a variable >= -b with mean 0 and second moment s >= b^2; two points attain it."""
    rng = np.random.default_rng(RNG_SEED)
    values = rng.standard_normal((20_000, 4)) * np.exp(rng.standard_normal((20_000, 4)))
    shares = rng.dirichlet(np.full(4, 0.5), 20_000)
    values -= (shares * values).sum(axis=1, keepdims=True)
    second, least = (shares * values**2).sum(axis=1), -values.min(axis=1)
    known = second >= least**2
    allowed = least * second / (least**2 + second)
    assert known.sum() > 1000
    assert np.all((shares * np.maximum(-values, 0)).sum(axis=1)[known] <= allowed[known] * (1 + 64 * EPS))
    b, s = Fraction(1), Fraction(3)
    assert b * (s / b) / (b + s / b) == b * s / (b**2 + s)  # -b with probability v/(b + v), v = s/b with the rest


def test_the_bounds_of_single_times_add_up_to_seven_twentieths():
    """Exactly, as quadratics in 1/(1-gamma): the discriminant is negative.  And single times cannot do better than .296 n."""
    a, b, c = Fraction(7, 20) - Fraction(1, 3), -Fraction(1, 9), Fraction(1, 9) + Fraction(1, 12)
    assert a > 0 > b**2 - 4 * a * c
    for n in range(1, 200):
        assert Fraction(n * (n + 1), 3 * n + 2) <= Fraction(n, 3) + Fraction(1, 9)
    up, down = Fraction(4, 3), Fraction(-2, 3)  # in units of half an interval, after a step of 1
    bracket = up * -down + 1
    gains = [(1 + up) ** 2 - bracket, (1 + down) ** 2 - bracket]
    positive = gains[0] * Fraction(1, 3)
    assert positive + gains[1] * Fraction(2, 3) == 0 and positive == Fraction(32, 27)


FORM = "one step, derived"


def _gained(instance):
    """The gain of one step, the bound for it, and the mismatch."""
    claim = get_claim("softmax-mdp-one-over-t")
    case = claim.case(claim.form(FORM))
    chosen = settle(case, instance)
    assert chosen is not None
    contexts = exact_contexts(case, chosen, [0], "ball")
    read = {name: float(quantity(name).code(contexts).reshape(-1)[0]) for name in ("value_increase_mu", "gap_mu", "mismatch")}
    least, short, states = float(fraction(chosen.policy[0, 0])), 1 - float(fraction(chosen.discount)), chosen.shape[0]
    return read["value_increase_mu"], short**4 * least**2 * read["gap_mu"] ** 2 / (states * read["mismatch"] ** 2), read["mismatch"]


def test_seldom_at_work_gains_by_the_square_of_the_mismatch_and_the_fourth_power_of_the_horizon():
    """12 times the bound in the limit: below D times it, and below 1/(1-gamma) times it."""
    gain, bound, mismatch = _gained(seldom_at_work("49/50", "1/200", "1/10")())
    assert 45 < mismatch < 46 and bound < gain < 20 * bound < mismatch * bound
    gain, bound, mismatch = _gained(seldom_at_work("1/1000", "1/20", "1/100")())
    assert mismatch < 1.01 and bound < gain < 15 * bound < 100 * bound
    gain, bound, mismatch = _gained(seldom_at_work("1/10", "1/1000000", "1/1000")())
    assert gain == pytest.approx(12 * bound, rel=0.01)


def test_a_crowd_gains_less_than_twice_the_bound():
    gain, bound, _ = _gained(crowd(41, "4/5")())
    assert bound < gain < 2 * bound
