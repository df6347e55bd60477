"""The engine never cries wolf: hundreds of statements that follow from the catalogue's claims, and none refuted.

The collection has two of each claim: a form as it stands, and a statement derived from one.  All of it at the standard budget:

    pytest tests/proofs_check/test_true_statements.py --slow=all --catalogue=all -n auto --dist worksteal
"""

from __future__ import annotations

import pytest
from true_statements import collection, true_statements

from proofs_check import verdict as v
from proofs_check.catalogue import claims
from proofs_check.engine import budget as budgets
from proofs_check.engine.examination import verify_case
from proofs_check.statement import Statement

NAMES = list(claims())
EACH = 2
"""Statements of each claim: one as it stands and one derived."""


def test_the_collection_is_large_and_varied():
    made = {name: list(true_statements(claim)) for name, claim in claims().items()}
    ways = {how if not how.startswith("sum") else "sum" for of_one in made.values() for how, _ in of_one}
    assert {
        "itself", "half as much again", "plus a horizon", "extreme", "less on the left", "difference", "negated", "times 1-gamma", "halved", "plus S",
        "other way round", "at most", "at least", "fewer states", "fewer actions", "smaller discounts", "sum",
    } == ways  # fmt: skip
    assert sum(map(len, made.values())) >= 600
    chosen = [(name, how, case.name) for name, of_one in made.items() for how, case in collection(name, of_one)]
    assert len(chosen) == len(set(chosen)) == EACH * len(NAMES) >= 300
    assert sum(how == "itself" for _, how, _ in chosen) == len(NAMES)
    assert len({how for _, how, _ in chosen}) >= 12


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


@pytest.mark.parametrize("name", NAMES[::9])
def test_no_true_statement_is_refuted(name):
    """Every ninth claim: some twenty, of all kinds."""
    for _, case in collection(name, true_statements(claims()[name])):
        found = verify_case(case, budgets.budget("quick-3"), 0)
        assert found.verdict != v.REFUTED, found.counterexample
        assert found.instances > 0 or found.verdict == v.UNDECIDED


@pytest.mark.slow
@pytest.mark.catalogue
@pytest.mark.parametrize("name", NAMES)
def test_no_true_statement_is_refuted_at_the_standard_budget(name):
    """All of them together are a run over hundreds of forms: they take the rung of the standard budget that such a run takes."""
    standard = budgets.budget("standard")
    shared = budgets.rungs(standard)[budgets.rung(standard, EACH * len(NAMES))]
    for _, case in collection(name, true_statements(claims()[name])):
        found = verify_case(case, shared, 0)
        assert found.verdict != v.REFUTED, (case.name, found.counterexample)
