"""Expected regret by listing all sequences: against the sample mean, against hand-made figures."""

from __future__ import annotations

import numpy as np
import pytest

from mdps import FiniteHorizon, ModelError
from pgtheory.online import Episodic, HybridNPG, Plan, expected_regret, learner, noisy, phases, run_online, sure
from tests.pgtheory.online.small import task

EPS = np.finfo(float).eps


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("optimistic-vi", noisy),
        ("optimistic-npg", sure),
        ("low-switching-npg", noisy),
        ("bobw-tsallis", phases),
        ("bobw-log-barrier", noisy),
        ("linear-npg", sure),
        ("hybrid-fitted-npg", noisy),
    ],
    ids=lambda x: getattr(x, "__name__", x),
)
def test_the_mean_of_the_runs_is_the_enumerated_expectation(name, law):
    """2,000 runs: a correct learner lies outside 4.5 standard errors with probability 7e-6; a bias of 9 of them is seen with the same certainty."""
    one, K = task(1, H=1 if law is noisy else 2, S=2, A=2), 3 if law is noisy else 2
    settings = {"scale": 0.05} if "scale" in learner(name).__dataclass_fields__ else {}
    settings |= {"offline": 0, "batch": 1} if name == "hybrid-fitted-npg" else {}
    settings |= {"inner": 20} if name == "low-switching-npg" else {}
    settings |= {"step_size": 3.0} if "step_size" in learner(name).__dataclass_fields__ else {}
    learn = learner(name, **settings)
    exact = expected_regret(one, learn, K, rewards=law(one))
    seen = run_online(one, learn, K, 2000, seed=7, rewards=law(one))
    error = seen.regret.std(axis=0, ddof=1) / np.sqrt(2000)
    assert abs(exact.lost) <= 64 * EPS * K and exact.sequences == (16 if law is noisy else 32) ** K
    assert (np.abs(seen.regret.mean(axis=0) - exact.regret) <= 4.5 * error + 64 * EPS).all()


class Repeat:
    """Plays uniformly first, then what was done first if it paid, else the other action: one state, one step, two actions."""

    name, knows = "repeat", frozenset()

    def start(self, told, runs):
        return np.full((runs, 1, 1, 2), 0.5)

    def plan(self, state, k):
        return Plan(state)

    def update(self, state, k, plan, episode):
        if k == 0:
            good = np.where(episode.rewards[:, 0] == 1, episode.actions[:, 0], 1 - episode.actions[:, 0])
            return np.eye(2)[good][:, None, None]
        return state

    def guarantee(self, told, times):
        return None


def test_a_learner_that_repeats_what_paid():
    """Means 0.8 and 0.3: the first episode loses 0.25; the second takes action 0 with probability (0.8 + 0.7) / 2 = 0.75 and loses 0.125, as the third."""
    one = Episodic.of(FiniteHorizon(np.ones((1, 1, 2, 1)), [[[0.8, 0.3]]]))
    exact = expected_regret(one, Repeat(), 3, rewards=noisy(one))
    assert np.abs(exact.regret - [0.25, 0.375, 0.5]).max() <= 16 * EPS and exact.sequences == 64


def test_too_much_is_refused():
    with pytest.raises(ModelError, match="4 episodes of 128 courses each are 268,435,456 sequences"):
        expected_regret(task(1, H=2, S=2, A=2), learner("ucbvi"), 4, rewards=noisy(task(1, H=2, S=2, A=2)))
    with pytest.raises(ModelError, match="an episode has 5,038,848 courses, more than 262,144"):
        expected_regret(task(1, H=8, S=3, A=2), learner("ucbvi"), 1)
    with pytest.raises(ModelError, match="begins with 100 offline episodes"):
        expected_regret(task(1), HybridNPG(), 1)
