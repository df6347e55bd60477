"""`pgtheory claims tree`: the lemmas below a claim, with verdicts from the store."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from proofs_check import cli
from proofs_check.store import Store


def test_the_tree_shows_lemmas_verdicts_and_what_composing_them_gives(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evidence.sqlite"
    with Store(path) as store:
        store.put("key", "npg-potential", "identity", {"verdict": "supported"})
    shown = CliRunner().invoke(cli.app, ["claims", "tree", "npg-one-over-T", "--store", str(path)])
    assert shown.exit_code == 0
    assert "identity: supported" in shown.stdout and "rate: not verified yet" in shown.stdout and "gives exactly this bound" in shown.stdout
    data = json.loads(CliRunner().invoke(cli.app, ["claims", "tree", "npg-one-over-T", "--json"]).stdout)
    assert [branch["id"] for branch in data["uses"]] == ["performance-difference", "npg-potential", "values-in-range"]


def test_a_wrong_name_and_a_missing_store_end_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words in (["npg-one-over"], ["npg-one-over-T", "--store", "nowhere.sqlite"]):
        answer = CliRunner().invoke(cli.app, ["claims", "tree", *words])
        assert answer.exit_code == 2 and not answer.stdout
