"""The mutation table of the report: sums, rows with their reasons, links both ways, and mutants.json, from which it can be written again."""

from __future__ import annotations

import json

import pytest
from sample_run import claim, counterexample, sample_run
from test_report import page, words

from proofs_check.engine.mutate import MutantVerdict, Mutation, as_dict, mutation_of
from proofs_check.report import write_report
from proofs_check.report.words import slug

STATEMENT = "gap_rho <= log(A)/(eta*t)"
REFUTED = {"counterexample": counterexample("npg-one-over-T", "main, S for A", STATEMENT)}
MUTANTS = [
    MutantVerdict("S for A <here>", STATEMENT, "refuted", "0.31 against 0.003", verdict=REFUTED),
    MutantVerdict("bound doubled", STATEMENT, "implied", "weaker by signs alone, for all instances", by="the original", proved=True),
    MutantVerdict("factor S dropped", STATEMENT, "survived", "not refuted by 10 instances", reason="both sides are continuous"),
    MutantVerdict("bound halved", STATEMENT, "implied", "weaker on 9 records", by="the sharper x <= 1", reason="one step gains that much"),
    MutantVerdict("exponent of t: 1 -> 2", STATEMENT, "survived", "not refuted by 10 instances", reason="open: nobody knows"),
    MutantVerdict("factor log(A) dropped", STATEMENT, "survived", "not refuted by 10 instances", reason="false: on exp(42) arms"),
    MutantVerdict("gap_mu for gap_rho", STATEMENT, "survived", "not refuted by 10 instances"),
]
DONE = [
    Mutation("npg-one-over-T", "main", STATEMENT, MUTANTS, same=2, budget="quick", missing=1, stale=3),
    Mutation("elsewhere", "rate", STATEMENT, MUTANTS[:1]),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mutants")
    write_report(sample_run(), folder, DONE)
    return folder


def test_categories_and_sums():
    assert [m.category for m in MUTANTS] == ["refuted", "implied", "sharper", "sharper", "open", "by hand", "unexplained"]
    assert {name: DONE[0].count(name) for name in ("refuted", "by hand", "implied", "sharper", "open", "unexplained")} == {
        "refuted": 1, "by hand": 1, "implied": 1, "sharper": 2, "open": 1, "unexplained": 1,
    }  # fmt: skip
    assert [m.name for m in DONE[0].unexplained] == ["gap_mu for gap_rho"]


def test_the_page_of_mutants_shows_every_row_with_its_reason_or_counterexample(report):
    shown = words(report, "mutants.html")
    assert "2 of 8 mutants refuted" in shown
    for expected in ("S for A <here>", "2 states, 2 actions, gamma 9/10, t = 2", "both sides are continuous", "on exp(42) arms", "nobody knows (not refuted by 10", "bound halved",
                     "by the original: weaker by signs alone", "by the sharper x <= 1: one step gains that much", "1 more were not judged", "2 more say the same",
                     "3 verdicts are about an earlier version"):  # fmt: skip
        assert expected in shown, expected
    parsed = page(report, "mutants.html")
    assert {"details", "summary"} <= parsed.tags
    assert not parsed.open


def test_links_lead_to_the_claim_and_back(report):
    names = {path.name for path in report.glob("*.html")}
    text = (report / "mutants.html").read_text(encoding="utf-8")
    for name in names:
        for link in page(report, name).links:
            file, _, part = link.partition("#")
            assert link.startswith(("#", "data:")) or (report / file).is_file(), (name, link)
            if file == "mutants.html" and part:
                assert f'id="{part}"' in text
    assert "mutants.html" in page(report, "index.html").links
    assert any(link.startswith("mutants.html#") for link in page(report, f"{slug('npg-one-over-T')}.html").links)


def test_the_report_is_written_again_from_its_own_data(report):
    kept = json.loads((report / "mutants.json").read_text())
    assert [mutation_of(entry) for entry in kept] == DONE
    assert kept == json.loads(json.dumps([as_dict(one) for one in DONE]))
    before = (report / "mutants.html").read_text()
    write_report(sample_run(), report)
    assert (report / "mutants.html").read_text() == before


def test_without_mutants_there_is_no_page_and_no_section(tmp_path):
    write_report(sample_run(verdicts=[claim("mutants", "certified")]), tmp_path)
    assert not (tmp_path / "mutants.html").exists()
    assert "Mutants" not in words(tmp_path, "mutants-again.html")
    assert "mutants refuted" not in words(tmp_path, "index.html")
