"""`pgtheory solve MODEL --robust SET`: optimum, policy, worst model, bounds, price; and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from mdps import zoo
from mdps.rational import rational
from proofs_check import cli


def solve(*words: str):
    return CliRunner().invoke(cli.app, ["solve", *words])


def test_the_answer_says_value_price_policy_and_moves():
    result = solve("river_swim", "--robust", "l1:0.2")
    assert result.exit_code == 0
    for words in (
        "(s,a)-rectangular",
        "V_rob(start) = 1656.880317 ±",
        "(proved)",
        "price of robustness: 2971.45",
        "worst model takes from",
        "5 -0.1",
    ):
        assert words in result.stdout, result.stdout


def test_json_in_rationals_is_the_checked_optimum():
    data = json.loads(solve("forest_management", "--robust", "contamination:1/10", "--exact", "--json").stdout)
    assert data["certificate"] == "checked"
    nominal = zoo.forest_management()
    lower = nominal.replace(discount=nominal.exact.discount * rational("9/10"))
    import pgtheory

    shifted = pgtheory.solve_exactly(lower).values  # contamination is a smaller discount and a constant
    gamma, R = nominal.exact.discount, rational("1/10")
    least = min(shifted) * (1 - gamma * (1 - R)) / (1 - gamma)
    assert [rational(v) for v in data["values"]] == [v + gamma * R * least / (1 - gamma * (1 - R)) for v in shifted]


def test_a_shared_budget_may_ask_for_a_random_policy(tmp_path):
    out = tmp_path / "best.npz"
    result = solve("machine_replacement", "--robust", "l1:0.2", "--rectangular", "s", "--out", str(out))
    assert result.exit_code == 0
    assert "s-rectangular" in result.stdout
    with np.load(out) as held:
        assert np.all(held["lower"] <= held["upper"])
        assert held["worst_kernel"].shape == (10, 2, 10)
        assert np.allclose(held["policy"].sum(axis=1), 1)


def test_a_set_without_room_moves_nothing():
    result = solve("two_state", "--robust", "l1:0")
    assert "moves no transition" in result.stdout
    assert "price of robustness: " in result.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--robust", "l1:-1"), "at least 0"),
        (("--robust", "l7:1"), "there is no ambiguity set 'l7'"),
        (("--robust", "kl:0.1,support=all"), "stays unreachable"),
        (("--robust", "contamination:2"), "at most 1"),
        (("--robust", "kl:0.1", "--exact"), "curved sides"),
        (("--robust", "l1:0.2", "--method", "krylov"), "it is auto, value or policy"),
        (("--robust", "l1:0.2", "--average"), "goes without"),
        (("--robust", "l1:0.2", "--risk", "cvar:0.1"), "goes without"),
        (("--robust", "linf:0.1", "--rectangular", "s"), "product of its rows"),
        (("--rectangular", "s"), "give one with --robust"),
        (("--robust", "l1:0.2", "--tol", "0"), "--tol is 0"),
        (("--robust", "l1:0.2", "--out", "x.csv"), "ending"),
    ],
)
def test_bad_input_ends_with_status_2(words, message):
    result = solve("two_state", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
