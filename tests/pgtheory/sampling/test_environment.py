"""Models as environments: gymnasium's own checker, the model's law, autoreset, seeds."""

from __future__ import annotations

import numpy as np
import pytest

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.zoo import frozen_lake
from tests.pgtheory.sampling.test_simulator import LEVEL, chi_square, model_and_policy

gymnasium = pytest.importorskip("gymnasium")
from gymnasium.utils.env_checker import check_env  # noqa: E402

from pgtheory.sampling.environments import environment, terminal_states, vector_environment  # noqa: E402


def test_passes_the_checker_of_gymnasium():
    check_env(environment(frozen_lake(4), horizon=50), skip_render_check=True)


def test_terminal_states_are_those_that_stay_for_nothing():
    P = np.zeros((3, 2, 3))
    P[0, :, 1] = P[1, :, 1] = P[2, :, 2] = 1
    mdp = MDP(P, [[0, 1], [0, 0], [0, 1]], 0.9)
    assert terminal_states(mdp).tolist() == [False, True, False]


def test_an_episode_ends_where_the_model_does():
    lake = frozen_lake(4)
    env = environment(lake)
    env.reset(seed=1)
    ended = terminal_states(lake)
    for _ in range(2000):
        state, _, terminated, truncated, _ = env.step(env.action_space.sample())
        assert terminated == ended[state] and not truncated
        if terminated:
            env.reset()


def test_an_episode_is_cut_at_the_horizon():
    mdp, _ = model_and_policy()
    env = environment(mdp, horizon=3)
    env.reset(seed=0)
    assert [env.step(0)[3] for _ in range(3)] == [False, False, True]
    env.reset()
    assert not env.step(0)[3]


def test_a_seed_repeats_the_episode():
    mdp, _ = model_and_policy()

    def states(env, seed):
        first = env.reset(seed=seed)[0]
        return [first, *(env.step(k % 3)[0] for k in range(40))]

    env = environment(mdp)
    assert states(env, 5) == states(environment(mdp), 5) != states(env, 6)
    assert states(env, 5)[:3] != states(env, None)[:3] or states(env, None) != states(env, None)


def test_steps_of_the_vector_have_the_law_of_the_model():
    mdp, _ = model_and_policy()
    envs = vector_environment(mdp, 2000)
    before, _ = envs.reset(seed=3)
    assert chi_square(np.bincount(before, minlength=5), np.asarray(mdp.start)) > LEVEL
    counts, rng = np.zeros((5, 3, 5)), np.random.default_rng(0)
    for _ in range(30):
        actions = rng.integers(0, 3, 2000)
        after, rewards, terminated, truncated, _ = envs.step(actions)
        np.testing.assert_array_equal(rewards, np.asarray(mdp.rewards)[before, actions])
        assert not terminated.any() and not truncated.any()
        np.add.at(counts, (before, actions, after), 1)
        before = after
    for s, a in np.ndindex(5, 3):
        assert chi_square(counts[s, a], np.asarray(mdp.transitions)[s, a]) > LEVEL


def test_a_chain_that_ended_begins_again_in_the_next_step():
    P = np.zeros((2, 1, 2))
    P[:, :, 1] = 1
    envs = vector_environment(MDP(P, [[1], [0]], 0.9, start=[1, 0]), 3)
    assert envs.reset(seed=0)[0].tolist() == [0, 0, 0]
    for _ in range(4):
        state, reward, terminated, _, _ = envs.step(np.zeros(3, int))
        assert state.tolist() == [1, 1, 1] and reward.tolist() == [1, 1, 1] and terminated.all()
        state, reward, terminated, _, _ = envs.step(np.zeros(3, int))
        assert state.tolist() == [0, 0, 0] and reward.tolist() == [0, 0, 0] and not terminated.any()


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda m: environment(m).step(0), "before the first reset"),
        (lambda m: vector_environment(m, 2).step([0, 0]), "before the first reset"),
        (lambda m: environment(m, horizon=0), "horizon is 0"),
        (lambda m: vector_environment(m, 0), "count is 0"),
        (lambda m: vector_environment(m, 2).reset(seed=[1, 2]), "share one seed"),
    ],
)
def test_bad_use_is_named(use, words):
    with pytest.raises(ModelError, match=words):
        use(model_and_policy()[0])


def test_an_action_that_does_not_exist_is_named():
    env = environment(model_and_policy()[0])
    env.reset(seed=0)
    with pytest.raises(ModelError, match=r"action is 3; it must lie in 0 \.\. 2"):
        env.step(3)
    envs = vector_environment(model_and_policy()[0], 2)
    envs.reset(seed=0)
    with pytest.raises(ModelError, match=r"2 whole numbers in 0 \.\. 2"):
        envs.step([0, 3])


def test_states_that_differ_in_their_actions_are_refused():
    mdp = MDP.from_choices([0, 1, 3], np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]), [0, 1, 2], 0.9)
    with pytest.raises(ModelError, match="states that differ"):
        environment(mdp)
