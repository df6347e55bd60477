"""Model checkers' files and the one door: end components, published values, exact answers, problems of every kind through `solve`."""

from __future__ import annotations

import dataclasses
import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pgtheory
from mdps import MDP, FiniteHorizon, Labelled, ModelError, Objective, io, strategies
from mdps.rational import fraction
from pgtheory.exact import AverageSolution, NotConverged, StageSolution, certify, check_certificate, reachability, solve, solve_exactly, total_reward

DATA = Path(__file__).parents[2] / "data" / "qvbs"
MODELS = sorted(path.stem for path in DATA.glob("*.npz"))


def end_components(tmp_path: Path) -> Labelled:
    """States 0 and 1 form a loop without cost from which the target 3 can be avoided; 2 is a second loop that leads on only by chance 1/4.

    0: to 1; or try: 1/3 to 3, 2/3 to 4     1: to 0; or to 2     2: stay; or 1/4 to 3, 1/4 to 4, 1/2 stay     3 target, 4 pit"""
    rows = ["0 0 1 1", "0 1 3 1/3", "0 1 4 2/3", "1 0 0 1", "1 1 2 1", "2 0 2 1", "2 1 2 1/2", "2 1 3 1/4", "2 1 4 1/4", "3 0 3 1", "4 0 4 1"]
    (tmp_path / "loop.tra").write_text(f"5 8 {len(rows)}\n" + "\n".join(rows) + "\n")
    (tmp_path / "loop.lab").write_text('0="init" 1="deadlock" 2="goal" 3="over"\n0: 0\n3: 2 3\n4: 3\n')
    (tmp_path / "loop.srew").write_text("5 1\n2 3\n")
    return io.read_prism(tmp_path / "loop.tra")


def test_a_file_with_end_components_gives_the_right_probabilities(tmp_path):
    model = end_components(tmp_path)
    goal = model.label("goal")
    best, least = reachability(model.mdp, goal, "max"), reachability(model.mdp, goal, "min")
    np.testing.assert_allclose(best.values, [1 / 2, 1 / 2, 1 / 2, 1, 0], rtol=0, atol=1e-6)
    assert best.actions[:3].tolist() == [0, 1, 1]
    np.testing.assert_array_equal(least.values, [0, 0, 0, 1, 0])
    exact = reachability(model.mdp, goal, "max", exact=True)
    assert [fraction(v) for v in exact.values] == [Fraction(1, 2)] * 3 + [1, 0]
    assert exact.optimal_actions.tolist() == [[True, False], [True, True], [True, True], [True, False], [True, False]], (
        "ties, the free loop among them"
    )
    for found in (best, least):
        assert np.all(found.optimal_actions[np.arange(5), found.actions])
        check_certificate(model.mdp, certify(model.mdp, found).certificate)


def test_the_same_file_through_the_door(tmp_path):
    """Waiting in state 2 costs 3 a step, the loop of 0 and 1 costs nothing; whether anything is reached, is up to the policy."""
    model = end_components(tmp_path)
    (name,) = model.rewards
    over = model.label("over")
    questions = {
        "reach": Objective("reachability", "max", model.label("goal")),
        "reach, not through 2": Objective("reachability", "max", model.label("goal"), through=np.arange(5) != 2),
        "cheapest end": Objective("total reward", "min", over, rewards=name),
        "dearest end": Objective("total reward", "max", over, rewards=name),
    }
    asked = dataclasses.replace(model, objectives=questions)
    answers = {
        "reach": [Fraction(1, 2)] * 3 + [1, 0],
        "reach, not through 2": [Fraction(1, 3), Fraction(1, 3), 0, 1, 0],
        "cheapest end": [0, 0, 6, 0, 0],
        "dearest end": [np.inf, np.inf, np.inf, 0, 0],
    }
    for question, answer in answers.items():
        found, exact = solve(asked, objective=question), solve_exactly(asked, objective=question)
        np.testing.assert_allclose(found.values, np.array(answer, dtype=float), rtol=0, atol=1e-6)
        assert [v if isinstance(v, float) else fraction(v) for v in exact.values] == answer
        assert solve(asked, objective=questions[question], tol=1e-3).error <= 1e-3
    with pytest.raises(ModelError, match=r"no objective 'rech'. Did you mean reach"):
        solve(asked, objective="rech")
    with pytest.raises(ModelError, match=r"needs objective=.*the name of one: reach"):
        solve_exactly(asked)


@pytest.mark.parametrize("name", MODELS)
def test_published_values_of_the_benchmark_set_through_the_door(name):
    model = io.read_qvbs(DATA / f"{name}.npz")
    first = int(model.mdp.start.argmax())
    for key, objective in model.objectives.items():
        found = solve(model, objective=key)
        assert Fraction(found.lower[first]) <= objective.value <= Fraction(found.upper[first]), key
        if model.mdp.num_states < 1100:
            exact = solve_exactly(model, objective=key)
            assert fraction(exact.values[first]) == objective.value, key
            assert np.all(found.optimal_actions | ~exact.optimal_actions), key
            proved = certify(model.mdp, found)
            assert Fraction(proved.lower[first]) <= objective.value <= Fraction(proved.upper[first]), key


@settings(max_examples=40)
@given(model=strategies.labelled_models(), direction=st.sampled_from(("max", "min")))
def test_labelled_models_with_exact_rewards(model, direction):
    asked = Objective("total reward", direction, model.label("goal"), rewards="reward")
    exact = solve_exactly(model, objective=asked)
    same = total_reward(model.mdp, model.label("goal"), direction, rewards=model.rewards["reward"], exact=True)
    assert exact.values.tolist() == same.values.tolist()
    found = solve(model, objective=asked)
    for low, value, high in zip(found.lower, exact.values, found.upper, strict=True):
        assert low == value == high if isinstance(value, float) else Fraction(low) <= fraction(value) <= Fraction(high)


def test_every_kind_of_problem_through_one_door():
    mdp = MDP([[["1/2", "1/2"], [1, 0]], [[0, 1], [0, 1]]], [[1, 0], [2, 0]], "9/10")
    assert pgtheory.solve(mdp).values.shape == (2,)
    assert isinstance(pgtheory.solve(mdp, criterion="average"), AverageSolution)
    assert [fraction(g) for g in pgtheory.solve_exactly(mdp, criterion="average").gain] == [2, 2]
    problem = FiniteHorizon.from_mdp(mdp, 3)
    found = pgtheory.solve(problem)
    assert isinstance(found, StageSolution)
    assert [fraction(v) for v in pgtheory.solve_exactly(problem).values[0]] == [Fraction(17, 4), 6]
    assert [p.sum() for p in found.policies] == [2.0] * 3
    assert pgtheory.solve(problem, tol=1e-9).error <= 1e-9
    with pytest.raises(NotConverged, match="floats cannot prove less"):
        pgtheory.solve(problem, tol=1e-300)
    for arguments, message in (
        ({"problem": problem, "method": "value"}, "this criterion has only one, 'auto'"),
        ({"problem": problem, "limit": 3}, "takes no option 'limit'"),
        ({"problem": problem, "tol": 0.0}, "tol is 0.0"),
        ({"problem": problem, "criterion": "average"}, "defined for an mdps.MDP; this is a FiniteHorizon"),
        ({"problem": mdp, "objective": "x"}, "objective is for labelled models; this is MDP"),
    ):
        with pytest.raises(ModelError, match=message):
            pgtheory.solve(**arguments)


@settings(max_examples=60)
@given(problem=strategies.finite_horizon_problems(rewards=(-1, 1), discount=st.sampled_from((1, "1/2", "11/10", 0))))
def test_a_finite_horizon_problem_is_its_unrolled_mdp_and_the_recursion_in_fractions(problem):
    exact = solve_exactly(problem)
    values = [fraction(v) for v in problem.exact.terminal]
    for stage in reversed(problem.exact.stages):
        rows = stage.choices.toarray() if hasattr(stage.choices, "indptr") else stage.choices
        ahead = [
            fraction(r) + fraction(problem.exact.discount) * sum(fraction(p) * v for p, v in zip(row, values, strict=True))
            for row, r in zip(rows, stage.pair_rewards, strict=True)
        ]
        first = stage.first_pair.tolist()
        values = [max(ahead[b:e]) for b, e in itertools.pairwise(first)]
    assert [fraction(v) for v in exact.values[0]] == values
    found = solve(problem)
    assert all(Fraction(a) <= v <= Fraction(b) for a, v, b in zip(found.lower[0], values, found.upper[0], strict=True))
    if problem.discount < 1:
        unrolled = solve_exactly(problem.unrolled())
        assert [fraction(v) for v in unrolled.values[: len(values)]] == values


def test_a_finite_horizon_problem_has_its_own_terms():
    problem = FiniteHorizon.from_mdp(MDP(np.ones((1, 1, 1)), [[1.0]], 0.5), 4, terminal=[0.1])
    assert problem.exact.terminal[0] == solve_exactly(problem).values[4][0]
    for arguments in ({"horizon": 3}, {"terminal": [0.0]}, {"discount": 0.5}):
        with pytest.raises(ModelError, match="give the problem alone"):
            pgtheory.solve_finite_horizon(problem, **arguments)
    with pytest.raises(ModelError, match="beyond float64"):
        pgtheory.solve_finite_horizon(FiniteHorizon.from_mdp(MDP(np.ones((1, 1, 1)), [[1.0]], 0.5), 2000, discount=2))
