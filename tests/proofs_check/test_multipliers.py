"""Inequalities that follow from others: multipliers are found, checked anew, and refused where they are wrong."""

from __future__ import annotations

import pytest
from flint import Ordering, fmpq_mpoly_ctx

from proofs_check.engine import multipliers
from proofs_check.engine.polynomials import Region, Signs
from proofs_check.engine.sums_of_squares import digest

RING = fmpq_mpoly_ctx.get(("x", "z", "g", "v", "w"), Ordering.degrevlex)
X, Z, G, V, W = RING.gens()
REGION = Region(RING, ((0,), (1,)), (2,))  # x, z in [0, 1], g >= 0, v and w any real numbers


def shown(polynomial, conditions, monkeypatch) -> bool:
    """Searches multipliers, stores them for this test only, and asks whether they prove it."""
    found = multipliers.search(polynomial, conditions, REGION)
    if found is None:
        return False
    table = {digest(polynomial): {"multipliers": [{name: str(q) for name, q in found.items()}]}}
    monkeypatch.setattr(multipliers, "stored", lambda: table)
    return multipliers.follows(polynomial, conditions, Signs(REGION))


@pytest.mark.exact
@pytest.mark.parametrize(
    ("polynomial", "conditions"),
    [
        (Z * (V - W), [V - W]),
        (X * (V - W) + (1 - X) * V, [V - W, V]),  # a mean of two numbers that are nonnegative
        (V - X * W, [V - W, V]),  # (1 - x) v + x (v - w)
        (G * (1 + X) * (V - W) / 3 + G, [2 * (V - W)]),
        (Z * V + X * W, [V - W, W]),
        ((1 - Z) * V - Z * W, [V - W, (1 - Z) * W - Z * W]),
    ],
)
def test_what_follows_is_shown(polynomial, conditions, monkeypatch):
    assert shown(polynomial, conditions, monkeypatch)


@pytest.mark.exact
@pytest.mark.parametrize(
    ("polynomial", "conditions"),
    [(V - W, [V, W]), (X * V - W, [V - W, V]), (V, [V - W]), (-X, [V]), (Z * (W - V), [V - W]), (V - 2 * W, [V - W, V])],
)
def test_what_does_not_follow_is_not(polynomial, conditions, monkeypatch):
    assert not shown(polynomial, conditions, monkeypatch)


@pytest.mark.exact
@pytest.mark.parametrize("text", ["z - 1", "-z", "x", "2*z"])
def test_a_wrong_multiplier_is_refused(text, monkeypatch):
    """z (v - w) = q (v - w) + r has q = z only: r = (z - q)(v - w) has no sign otherwise, or q is negative."""
    polynomial, condition = Z * (V - W), V - W
    monkeypatch.setattr(multipliers, "stored", lambda: {digest(polynomial): {"multipliers": [{digest(condition): text}]}})
    assert not multipliers.follows(polynomial, [condition], Signs(REGION))
    assert not multipliers.follows(polynomial, [W], Signs(REGION))  # the condition that it is about is not known


@pytest.mark.exact
def test_nothing_is_stored_under_another_polynomial():
    assert not multipliers.follows(Z * (V - W) + 12345, [V - W], Signs(REGION))
