"""Expected conditional risk measures: the augmented model against the definition on the tree, methods to the optimum, the published rate."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from flint import fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

from mdps import MDP, ModelError, zoo
from mdps.finite_horizon import FiniteHorizon
from mdps.rational import fraction
from mdps.strategies import finite_horizon_problems
from mdps.zoo.risk import remembered_origin
from pgtheory import ProjectedPG, SoftmaxPG, run, solve_exactly, solve_finite_horizon
from pgtheory.risk.ecrm import augmented, tree_value


def square() -> MDP:
    """Two states, two actions, costs [[0, 1], [1, 0]], discount 1/2: the instance of the claims list."""
    return MDP([[["1/2", "1/2"], ["1/4", "3/4"]], [["3/4", "1/4"], ["1", "0"]]], [["0", "-1"], ["-1", "0"]], "1/2")


def rectangular(problem: FiniteHorizon) -> FiniteHorizon:
    """The same states and actions at every step, terminal value 0."""
    stage = problem.exact.stages[0]
    count = min(np.diff(stage.first_pair))
    keep = [k for a in stage.first_pair[:-1] for k in range(a, a + count)]
    rows, paid = stage.choices[keep].reshape(stage.num_states, count, -1), stage.pair_rewards[keep].reshape(stage.num_states, count)
    return FiniteHorizon(
        np.stack([rows] * 2), np.stack([paid] * 2), [fmpq(0)] * stage.num_states, problem.exact.start, discount=problem.exact.discount
    )


@settings(max_examples=3)
@given(
    problem=finite_horizon_problems(max_horizon=1, max_states=2, max_actions=2, discount=st.sampled_from(["1", "1/2"])),
    level=st.sampled_from(["1/4", "1/2", "1"]),
    weight=st.sampled_from(["0", "1/3", "1"]),
)
def test_augmented_optimum_is_the_best_policy_of_the_history(problem: Any, level: str, weight: str) -> None:
    whole = rectangular(problem)
    found = augmented(whole, level, weight)
    values = solve_finite_horizon(found.model, exact=True).values[0]
    optimum = sum((p * v for p, v in zip(found.model.exact.start, values, strict=True)), fmpq(0))
    states, actions = whole.stages[0].num_states, whole.stages[0].num_actions
    histories = [(s,) for s in range(states)] + [(s, a, t) for s in range(states) for a in range(actions) for t in range(states)]
    best = max(
        tree_value(whole, dict(zip(histories, choice, strict=True)).__getitem__, level, weight)
        for choice in itertools.product(range(actions), repeat=len(histories))
    )
    assert optimum == best


def test_a_random_policy_of_three_steps_is_valued_alike() -> None:
    """Deterministic augmented policy with the best thresholds for it = the definition on the tree, horizon 3."""
    problem = remembered_origin()
    for a, b in itertools.product((0, 1), repeat=2):
        value = tree_value(problem, lambda h, a=a, b=b: (a if h[0] == 0 else b) if h[-1] == 2 else 0, "1/2", 1)
        assert fraction(value) == {(0, 0): Fraction(-7, 8), (0, 1): Fraction(-3, 4), (1, 0): Fraction(-1), (1, 1): Fraction(-7, 8)}[a, b]


def test_weight_zero_is_the_ordinary_problem_and_level_one_too() -> None:
    mdp = zoo.two_state("1/2")
    neutral = solve_exactly(mdp).values
    for level, weight in (("1/2", 0), ("1", "1/2")):
        found = augmented(mdp, level, weight)
        values = solve_exactly(found.model).values
        assert [values[found.state(s)] for s in range(2)] == neutral.tolist()


def test_fewer_thresholds_lose_and_more_gain_nothing() -> None:
    mdp = square()
    full = solve_exactly(augmented(mdp, "1/2", "1/2").model).values
    more = augmented(mdp, "1/2", "1/2", ["-1", "-1/2", "0"])
    fewer = augmented(mdp, "1/2", "1/2", ["-1"])
    base = augmented(mdp, "1/2", "1/2")
    for s in range(2):
        assert solve_exactly(more.model).values[more.state(s)] == full[base.state(s)]
        assert solve_exactly(fewer.model).values[fewer.state(s)] <= full[base.state(s)]
    assert base.split_action(base.action(1, 0)) == (1, -1)
    assert fraction(base.range) <= Fraction(1, 2) / Fraction(1, 2) + Fraction(1, 2) + Fraction(1, 4)


def test_direct_and_softmax_gradients_reach_the_optimum_and_the_rate_holds() -> None:
    """min_{1 <= t <= T} gap <= C D sqrt(64 gamma S A H^2 / ((1 - gamma)^6 T)), on the instance of the claims list, uniform start."""
    count = 6
    problem = augmented(square(), "1/2", "1/2", start=[Fraction(1, count)] * count)
    model = problem.model
    slow = run(model, ProjectedPG(float(fraction(problem.step_size()))), 200, record="all")
    best = np.minimum.accumulate(slow.gap()[1:])
    t = np.arange(1, 201)
    gamma, mismatch = 0.5, count / (1 - 0.5)  # no visit distribution exceeds 1; the largest ratio to 1/count is count, over (1 - gamma) at most
    bound = float(fraction(problem.range)) * mismatch * np.sqrt(64 * gamma * model.num_states * model.num_actions / ((1 - gamma) ** 6 * t))
    assert (best <= bound).all()
    assert run(model, ProjectedPG(0.5), 200).gap()[-1] <= 1e-12
    soft = run(model, SoftmaxPG(2.0), 4000).gap()
    assert soft[-1] <= 2e-3 and (np.diff(soft) <= 1e-12).all()


def test_bad_input_names_the_figure() -> None:
    mdp = square()
    tall = FiniteHorizon(np.ones((1, 1, 1, 1)), np.ones((1, 1, 1)), [2.0])
    cases: list[tuple[Any, str]] = [
        (lambda: augmented(mdp, 0, "1/2"), "level is 0"),
        (lambda: augmented(mdp, "-1/2", "1/2"), "level is -1/2"),
        (lambda: augmented(mdp, "1/2", 2), "weight of CVaR is 2"),
        (lambda: augmented(mdp, "1/2", "1/2", []), "thresholds is empty"),
        (lambda: augmented(zoo.two_state("1/2", ragged=True), "1/2", 1), "same number of actions"),
        (lambda: augmented(tall, "1/2", 1), "terminal value 0"),
        (lambda: augmented(mdp.replace(discount=0), "1/2", 1).step_size(), "discount 0"),
    ]
    for call, words in cases:
        with pytest.raises(ModelError, match=words):
            call()
    assert math.isfinite(float(fraction(augmented(mdp, 0.5, 0.5).step_size())))
