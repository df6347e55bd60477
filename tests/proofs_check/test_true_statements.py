"""The engine never cries wolf: hundreds of statements that follow from the catalogue's claims, and none refuted."""

from __future__ import annotations

import pytest
from true_statements import collection, true_statements

from proofs_check import verdict as v
from proofs_check.catalogue import claims
from proofs_check.engine import budget as budgets
from proofs_check.engine.examination import verify_case
from proofs_check.statement import Statement

EACH = 3
"""Statements made of every form in the collection: itself and two more."""
ALL = [(name, how, case) for name, claim in claims().items() for how, case in collection(claim, EACH)]
SAMPLE = ALL[::29]
"""Every 29th: a dozen or so, of all kinds of claims."""


def test_the_collection_is_large_and_varied():
    assert len(ALL) >= 300 and len({(name, case.name) for name, _, case in ALL}) == len(ALL)
    ways = {how if not how.startswith("sum") else "sum" for claim in claims().values() for how, _ in true_statements(claim)}
    assert {
        "itself", "half as much again", "plus a horizon", "extreme", "less on the left", "difference", "negated", "times 1-gamma", "halved", "plus S",
        "other way round", "at most", "at least", "fewer states", "fewer actions", "smaller discounts", "sum",
    } == ways  # fmt: skip
    assert sum(len(list(true_statements(claim))) for claim in claims().values()) >= 600


def test_what_is_made_is_read_back_and_weaker_than_what_it_was_made_of():
    """As text, and on numbers: wherever a <= b holds, so does what is derived from it."""
    from true_statements import derived

    for sample, figures in (
        ("gap_rho <= A/(1-gamma)", (1.0, 3, 0.5, 2)),
        ("gap_rho >= gamma - A", (-1.5, 2, 0.5, 3)),
        ("gap_rho = A*gamma", (1.0, 2, 0.5, 4)),
    ):
        values = dict(zip(("gap_rho", "A", "gamma", "S"), figures))
        for how, made in derived(Statement.of(sample)):
            left, right = made.sides(values, lambda p, q: p / q)
            again = Statement.of(made.text())
            assert again.relation == made.relation and again.sides(values, lambda p, q: p / q) == pytest.approx((left, right)), how
            assert {"<=": left <= right, ">=": left >= right, "=": left == right}[made.relation], (sample, how)


@pytest.mark.parametrize(("name", "how", "case"), SAMPLE, ids=[f"{name}: {case.name}" for name, _, case in SAMPLE])
def test_no_true_statement_is_refuted(name, how, case):
    found = verify_case(case, budgets.budget("quick-3"), 0)
    assert found.verdict != v.REFUTED, found.counterexample
    assert found.instances > 0 or found.verdict == v.UNDECIDED


@pytest.mark.slow
@pytest.mark.parametrize("name", list(claims()))
def test_no_true_statement_is_refuted_at_the_standard_budget(name):
    """All of them together are a run over hundreds of forms: they take the rung of the standard budget that such a run takes."""
    standard = budgets.budget("standard")
    shared = budgets.rungs(standard)[budgets.rung(standard, len(ALL))]
    for other, _, case in ALL:
        if other == name:
            found = verify_case(case, shared, 0)
            assert found.verdict != v.REFUTED, (case.name, found.counterexample)
