"""kappa and orders against worst cases that are known in closed form."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import sympy
from small import claim, the_case

from proofs_check import quantities as q
from proofs_check.domains import bandits, random_mdps
from proofs_check.engine import tightness as module
from proofs_check.engine.budget import Budget
from proofs_check.engine.certify import confirm
from proofs_check.engine.tightness import factors, sharpened, terms, tightness
from proofs_check.instance import Instance
from proofs_check.quantities import gap, parse

SOME = Budget("some", 48, 12, (1,), 6, 0, 0)


def test_kappa_of_the_curvature_of_bandits_is_the_closed_form():
    """Two arms at p = (3 - sqrt 3)/6 have a Hessian of norm sqrt(3)/9, and none has more: kappa = (1/2) / (sqrt(3)/9)."""
    (done,) = tightness(claim(q.hessian_norm <= sympy.Rational(1, 2), domain=bandits(policy="interior", max_actions=3)), budget=SOME)
    assert done.kappa == pytest.approx(9 / (2 * math.sqrt(3)), rel=2 * module.MARGIN)
    assert done.confirmed
    assert done.survived > 100
    assert done.orders == []


def test_kappa_of_a_lower_bound_raises_it():
    """A gap of at least half itself could be raised twofold."""
    (done,) = tightness(claim(gap(q.rho, q.T) >= gap(q.rho, q.T) / 2, domain=random_mdps(max_states=2, max_actions=2)), budget=SOME)
    assert done.kappa == pytest.approx(2, rel=module.MARGIN)
    assert done.confirmed


def test_the_order_of_the_gap_is_one_in_the_horizon(monkeypatch):
    """One state: the gap is (r_best - r_pi)/(1 - gamma), so 1/(1-gamma)^2 has one power too many."""
    monkeypatch.setattr(module, "ORDER", Budget("order", 32, 10, (1,), 3, 0, 0))
    made = claim(gap(q.rho, q.T) <= 1 / (1 - q.gamma) ** 2, domain=random_mdps(max_states=1, max_actions=2, policy="any"))
    (done,) = tightness(made, budget=SOME)
    (order,) = done.orders
    assert (order.factor, order.theorem) == ("1/(1-gamma)", 2)
    assert order.empirical == pytest.approx(1, abs=0.02)
    assert order.residual < 0.05
    assert order.cut_off == []


def test_the_limiting_instance_breaks_the_bound_sharpened_further():
    (done,) = tightness(claim(q.hessian_norm <= sympy.Rational(1, 2), domain=bandits(policy="interior", max_actions=2)), budget=SOME)
    assert done.limiting is not None
    assert done.limiting["measured"] / done.limiting["bound"] == pytest.approx(1 / done.kappa, rel=1e-9)
    case = the_case(claim(q.hessian_norm <= sympy.Rational(1, 2), domain=bandits(policy="interior", max_actions=2)))
    first = Fraction(done.limiting["policy"][0][0])
    exact = instance_of(case, done.limiting | {"policy": [[str(first), str(1 - first)]]})
    assert confirm(sharpened(case, 0.99 / done.kappa), exact, [0]).status == "violated"


def instance_of(case, data) -> Instance:
    """The limiting instance, whose figures are floats, with rows that sum to exactly 1."""
    return Instance.from_json({key: data[key] for key in ("transitions", "rewards", "discount", "mu", "rho", "policy", "settings")})


def test_equations_have_nothing_to_sharpen():
    from proofs_check.statement import equal

    (done,) = tightness(claim(equal(q.direct_derivative, q.direct_gradient), domain=random_mdps(max_states=2, max_actions=2)), budget=SOME)
    assert done.kappa is None
    assert "no bound" in done.note


def test_terms_and_factors_of_a_bound():
    bound = parse("log(A)/(eta*t) + sqrt(S)/((1-gamma)**2*t)")
    found = {(name, k) for term in terms(bound) for name, _, k in factors(term)}
    assert found == {("log(A)", 1), ("S", sympy.Rational(1, 2)), ("1/(1-gamma)", 2)}
    assert terms(1 - q.gamma) == [1 - q.gamma]
