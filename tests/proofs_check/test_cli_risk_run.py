"""`pgtheory run --risk`: the risk-averse methods by name, the optimum that their gap is taken to, the bounds that apply, CSV and picture."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
from typer.testing import CliRunner

import pgtheory
from mdps import zoo
from mdps.errors import ModelError
from pgtheory.risk.methods import ECRMPG, NestedActorCritic, NestedPG, RiskPG
from proofs_check import cli
from proofs_check.risk_bounds import DOMINATION, bounds_for_risk_run


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(cli.app, ["run", *(str(word) for word in words)])


def test_nested_methods_close_the_gap_and_domination_bounds_it_at_every_step(call, tmp_path):
    words = ("loop(1/2)", "--risk", "cvar:1/2", "--method", "nested-risk-pg,nested-actor-critic:critic-step=1/2", "--step-size", 1)
    result = call(*words, "--iterations", 60, "--json", "--csv", "r.csv", "--plot", "r.svg")
    assert result.exit_code == 0, result.output
    runs = {one["method"]: one for one in json.loads(result.stdout)["runs"]}
    assert runs["nested-actor-critic:critic-step=1/2"]["settings"]["critic_step"] == 0.5
    for one in runs.values():
        assert one["risk"] == "cvar:1/2" and one["optimum"] == pytest.approx(1, abs=1e-11)
        (name,) = one["bounds"]
        gap, bound = np.array(one["gap"]), np.array(one["bounds"][name])
        assert name.startswith(DOMINATION) and gap[-1] < gap[0] / 20
        assert (bound >= gap * (1 - 1e-9)).all() and np.isfinite(bound).all()
    with (tmp_path / "r.csv").open() as file:
        table = list(csv.DictReader(file))
    assert {row["method"] for row in table} == set(runs)
    assert [float(row["gap"]) for row in table if row["method"] == "nested-risk-pg"] == runs["nested-risk-pg"]["gap"]
    assert "nested-risk-pg" in (tmp_path / "r.svg").read_text()


def test_expected_conditional_risk_runs_on_its_augmented_problem_with_its_rate(call):
    result = call("loop(1/2)", "--risk", "mean-cvar:1/2,1/2", "--method", "ecrm-pg", "--iterations", 40, "--json")
    assert result.exit_code == 0, result.output
    (one,) = json.loads(result.stdout)["runs"]
    problem = ECRMPG("mean-cvar:1/2,1/2").augmented(zoo.loop("1/2"))
    assert one["optimum"] == pytest.approx(float(pgtheory.solve(problem.model).values @ problem.model.float.start))
    bound = np.array(one["bounds"]["ppg-one-over-t"], dtype=float)
    known = ~np.isnan(bound)
    assert known.any() and (bound[known] >= np.array(one["gap"])[known]).all()
    shown = call("loop(1/2)", "--risk", "mean-cvar:1/2,1/2", "--method", "ecrm-pg", "--iterations", 4).output
    assert "6 augmented states" in shown and "ppg-one-over-t: at most" in shown


def test_the_bound_of_the_augmented_problem_scales_with_its_rewards():
    """The same ECRM with all rewards times 8: gap and bound are 8 times as large, the run the same."""
    mdp = zoo.loop("1/2")
    found = []
    for factor in (1, 8):
        model, method = mdp.replace(rewards=mdp.rewards * factor), ECRMPG("cvar:1/2")
        run = pgtheory.run(model, method, 12)
        found.append((run.policies, run.gap(), bounds_for_risk_run(method, run)["ppg-one-over-t"]))
    (policies, gap, bound), (others, larger, above) = found
    np.testing.assert_allclose(policies, others, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(larger, 8 * gap, rtol=1e-12)
    np.testing.assert_allclose(above[1:], 8 * bound[1:], rtol=1e-12)


def test_static_risk_is_compared_with_policies_of_the_history(call):
    words = ("gamble_on_luck", "--risk", "cvar:1/2", "--horizon", 4, "--method", "risk-pg", "--step-size", "1/2", "--iterations", 50)
    result = call(*words)
    assert "J*(start) 1.5: cvar:1/2 of the return of 4 steps, best over policies that see the reward so far" in result.output
    (one,) = json.loads(call(*words, "--json").stdout)["runs"]
    assert one["gap"][-1] == pytest.approx(0.5) and one["bounds"] == {}  # 1 is the best that a stationary policy has
    assert one["settings"]["horizon"] == 4
    unknown = call("gamble_on_luck", "--risk", "evar:1/2", "--horizon", 4, "--method", "risk-pg", "--step-size", 1, "--iterations", 5)
    assert "J*(start) not known" in unknown.output
    drawn = call("gamble_on_luck", "--risk", "evar:1/2", "--method", "risk-pg", "--step-size", 1, "--iterations", 5, "--plot", "p.svg")
    assert drawn.exit_code == 2 and "is not known" in drawn.output


def test_every_first_policy_is_taken(call):
    first = [
        json.loads(
            call("loop(1/2)", "--risk", "cvar:1/2", "--method", "nested-risk-pg", "--step-size", 1, "--iterations", 1, "--json", *words).stdout
        )
        for words in ((), ("--start", "random:5"), ("--start", "adversarial:1/100"))
    ]
    gaps = [one["runs"][0]["gap"][0] for one in first]
    assert len(set(gaps)) == 3 and gaps[2] > gaps[0]


def test_entropic_risk_of_a_short_return_is_that_of_the_best_policy():
    """The optimum of the entropic return by its schedule, against all deterministic Markov policies."""
    from pgtheory.risk.returns import cut
    from pgtheory.risk.static_cvar import best_by_enumeration

    mdp = zoo.fading_caution()
    best = RiskPG("entropic:16", 0.1, horizon=3).objective_optimum(mdp)[0]
    assert best == pytest.approx(float(best_by_enumeration(cut(mdp, 3), "entropic:16", markov=True)[0]), abs=1e-12)
    assert math.isnan(RiskPG("semideviation:1/2", 0.1, horizon=3).objective_optimum(mdp)[0])


def test_no_bound_where_no_theorem_speaks():
    mdp = zoo.machine_replacement("1/2")  # starts in one state: domination asks for a positive start
    for method in (NestedPG("cvar:1/2", 0.1), NestedActorCritic("semideviation:1/2", 0.1), NestedPG("worst", 0.1)):
        assert bounds_for_risk_run(method, pgtheory.run(mdp, method, 3)) == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--method", "risk-pg"), "risk-pg needs --risk, for example --risk cvar:0.1"),
        (("--method", "npg", "--risk", "cvar:1/2"), "no method here has --risk"),
        (("--method", "nested-risk-pg", "--risk", "cvar:1/2", "--horizon", "3"), "no method here has --horizon"),
        (("--method", "nested-risk-pg", "--risk", "cvar:-1"), "risk level is -1"),
        (("--method", "ecrm-pg", "--risk", "cvar:0"), "takes cvar:a, mean-cvar:a,w with a > 0"),
        (("--method", "ecrm-pg", "--risk", "evar:1/2"), "evar:1/2 is none of them"),
        (("--method", "ecrm-pg:parameters=both", "--risk", "mean"), "parameters is 'both'"),
        (("--method", "reinforce", "--risk", "cvar:1/2"), "--risk is for the risk-averse methods"),
        (("--method", "risk-pg:horizon=1/2", "--risk", "cvar:1/2"), "horizon is 0.5; it must be a whole number"),
        (("--method", "nested-actor-critic:critic-step=2", "--risk", "cvar:1/2"), "critic_step is 2.0"),
    ],
)
def test_bad_input_is_one_sentence(call, words, message):
    result = call("loop(1/2)", *words, "--step-size", "1/2", "--iterations", 5)
    assert result.exit_code == 2 and message in " ".join(result.output.split()), result.output


def test_a_method_without_a_way_to_begin_elsewhere_says_so():
    class Still:
        """Never moves."""

        def start(self, mdp):
            return np.full((mdp.num_states, mdp.num_actions), 1 / mdp.num_actions)

        def step(self, state, mdp):
            return state

        def policy(self, state):
            return state

    with pytest.raises(ModelError, match="needs begin"):
        pgtheory.run(zoo.loop("1/2"), Still(), 2, initial="random:1")
