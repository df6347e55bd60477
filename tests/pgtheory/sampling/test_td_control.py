"""SARSA and Q-learning: compiled runs against a plain loop and against all courses of two steps, what they converge to, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory import action_values, solve
from pgtheory.sampling import TDControl, run_td
from pgtheory.sampling.streams import uniforms
from pgtheory.sampling.td_control import KINDS, greedy
from tests.pgtheory.sampling.test_simulator import LEVEL, model_and_policy

MODEL = model_and_policy(1, 2, 2, discount=0.6)[0]


def behaviour(values: np.ndarray, exploration: float) -> np.ndarray:
    return exploration / values.size + (1 - exploration) * greedy(values)


def worth(kind: str, values: np.ndarray, law: np.ndarray, chosen: int) -> float:
    return {"sarsa": values[chosen], "expected-sarsa": law @ values, "q-learning": values.max()}[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_the_compiled_run_is_the_plain_loop(kind):
    learner, steps, horizon = TDControl(kind, 0.7, 0.5, 0.3, 0.2), 40, 7
    P, r, gamma = np.asarray(MODEL.transitions), np.asarray(MODEL.rewards), MODEL.discount
    draws = iter(uniforms(np.uint64(5), 9, 0, 3 * steps))

    def pick(law):
        return min(int(np.searchsorted(np.cumsum(law), next(draws), side="right")), len(law) - 1)

    Q, visits, s, a = np.full((2, 2), 0.2), np.zeros((2, 2)), 0, 0
    for t in range(steps):
        if t % horizon == 0:
            s = pick(MODEL.start)
            a = pick(behaviour(Q[s], 0.3))
        after = pick(P[s, a])
        law = behaviour(Q[after], 0.3)
        then = pick(law)
        visits[s, a] += 1
        Q[s, a] += 0.7 / visits[s, a] ** 0.5 * (r[s, a] + gamma * worth(kind, Q[after], law, then) - Q[s, a])
        s, a = after, then
    found = run_td(MODEL, learner, steps, runs=1, seed=5, first=9, horizon=horizon)
    np.testing.assert_allclose(found.action_values[0, -1], Q, atol=1e-12)


def all_courses(kind: str, start: float) -> tuple[np.ndarray, np.ndarray]:
    """(probabilities, Q (N, S, A)) of two steps with a constant step of 1/2 and exploration 2/5."""
    P, r = np.asarray(MODEL.transitions), np.asarray(MODEL.rewards)
    first = np.full((2, 2), start)
    nodes = [(p * q, first, s, a) for s, p in enumerate(MODEL.start) for a, q in enumerate(behaviour(first[s], 0.4))]
    for _ in range(2):
        grown = []
        for chance, Q, s, a in nodes:
            for after in range(2):
                law = behaviour(Q[after], 0.4)
                for then in range(2):
                    new = Q.copy()
                    new[s, a] += 0.5 * (r[s, a] + MODEL.discount * worth(kind, Q[after], law, then) - Q[s, a])
                    grown.append((chance * P[s, a, after] * law[then], new, after, then))
        nodes = grown
    return np.array([n[0] for n in nodes]), np.array([n[1] for n in nodes])


@pytest.mark.parametrize("kind", KINDS)
def test_mean_and_second_moment_after_two_steps(kind):
    chances, values = all_courses(kind, 0.1)
    runs = 20_000
    seen = run_td(MODEL, TDControl(kind, 0.5, 0.0, 0.4, 0.1), 2, runs=runs, seed=1, record=[2]).action_values[:, 0]
    normal = stats.norm.isf(LEVEL / 16)
    for power in (1, 2):
        mean = np.tensordot(chances, values**power, axes=1)
        spread = np.sqrt(np.maximum(np.tensordot(chances, values ** (2 * power), axes=1) - mean**2, 0))
        assert (np.abs((seen**power).mean(axis=0) - mean) <= normal * spread / np.sqrt(runs) + 1e-12).all()


def test_q_learning_finds_the_best_values_and_expected_sarsa_those_of_exploring():
    """The best policy among those that explore a share e is the best policy of the model whose actions are mixed with the uniform one."""
    share = 0.4
    model = MDP([[[0.9, 0.1], [0.2, 0.8]], [[0.3, 0.7], [0.8, 0.2]]], [[1, 0], [0, 0.5]], 0.8)
    P, r = np.asarray(model.transitions), np.asarray(model.rewards)
    mixed = MDP(
        (1 - share) * P + share * P.mean(axis=1, keepdims=True), (1 - share) * r + share * r.mean(axis=1, keepdims=True), model.discount, model.start
    )
    best = np.asarray(action_values(model, values=solve(model).values))
    exploring = r + model.discount * P @ solve(mixed).values
    assert np.abs(best - exploring).max() > 0.1
    for kind, wanted in (("q-learning", best), ("expected-sarsa", exploring), ("sarsa", exploring)):
        seen = run_td(model, TDControl(kind, 1.0, 0.8, share), 200, runs=4, seed=2, steps=2_000).action_values[:, -1]
        assert np.abs(seen.mean(axis=0) - wanted).max() < 0.03


def test_a_run_is_the_same_whatever_runs_beside_it():
    learner = TDControl("q-learning")
    whole = run_td(MODEL, learner, 30, runs=9, seed=3)
    part = run_td(MODEL, learner, 30, runs=2, seed=3, first=5, threads=2)
    np.testing.assert_array_equal(whole.action_values[5:7], part.action_values)
    assert (whole.gaps() >= -1e-9).all() and whole.paths[0, -1] == 30


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda: TDControl("sarso"), "Did you mean sarsa"),
        (lambda: TDControl("sarsa", 0.0), "step_size is 0.0"),
        (lambda: TDControl("sarsa", exploration=1.5), "exploration is 1.5"),
        (lambda: TDControl("sarsa", decay=-1), "decay is -1"),
        (lambda: TDControl("sarsa", initial=np.inf), "initial is inf"),
        (lambda: run_td(MODEL, TDControl("sarsa"), 3, runs=0), "runs is 0"),
        (lambda: run_td(MODEL, TDControl("sarsa"), 3, horizon=0), "horizon is 0"),
        (lambda: run_td(MODEL, TDControl("sarsa"), 3, steps=0), "steps is 0"),
        (lambda: run_td(MODEL, TDControl("sarsa"), 3, seed="a"), "seed is 'a'"),
    ],
)
def test_bad_input_is_named(use, words):
    with pytest.raises(ModelError, match=words):
        use()
