"""Simulated chains: reproducible whatever runs beside them, and distributed as the model says, at stated error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.random import garnet
from pgtheory import occupancy, state_values
from pgtheory.sampling import all_paths, sampled_returns, simulate, tables
from pgtheory.sampling.streams import uniforms

LEVEL = 1e-9
"""Probability that a correct simulator fails one of the statistical tests below."""


def model_and_policy(seed: int = 0, states: int = 5, actions: int = 3, discount: float = 0.9) -> tuple[MDP, np.ndarray]:
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.full(states, 0.5), size=(states, actions))
    P[0, 0] = np.eye(states)[states - 1]
    policy = rng.dirichlet(np.ones(actions), size=states)
    policy[1] = np.eye(actions)[1]
    return MDP(P, rng.uniform(-1, 1, (states, actions)), discount), policy


def chi_square(observed: np.ndarray, law: np.ndarray) -> float:
    """The p-value that `observed` counts come from `law`; cells that are expected fewer than 5 times are put together."""
    expected = law / law.sum() * observed.sum()
    assert observed[expected == 0].sum() == 0, "an outcome of probability 0 was drawn"
    small = expected < 5
    observed = np.append(observed[~small], observed[small].sum())
    expected = np.append(expected[~small], expected[small].sum())
    keep = expected > 0
    return float(stats.chisquare(observed[keep], expected[keep]).pvalue) if keep.sum() > 1 else 1.0


def test_uniforms_are_a_function_of_their_position():
    whole = uniforms(np.uint64(7), 3, 0, 1000)
    np.testing.assert_array_equal(uniforms(np.uint64(7), 3, 400, 100), whole[400:500])
    assert (whole >= 0).all() and (whole < 1).all()
    assert not np.isin(uniforms(np.uint64(7), 4, 0, 1000), whole).any()
    assert not np.isin(uniforms(np.uint64(8), 3, 0, 1000), whole).any()


def test_uniforms_are_uniform_within_a_stream_and_across_streams():
    along = uniforms(np.uint64(1), 0, 0, 100_000)
    across = np.array([uniforms(np.uint64(1), j, 5, 1)[0] for j in range(20_000)])
    for draws in (along, across):
        assert stats.kstest(draws, "uniform").pvalue > LEVEL
        cells = np.bincount((draws * 64).astype(int), minlength=64)
        assert chi_square(cells, np.ones(64)) > LEVEL
    pairs = np.bincount((along[:-1:2] * 16).astype(int) * 16 + (along[1::2] * 16).astype(int), minlength=256)
    assert chi_square(pairs, np.ones(256)) > LEVEL


@given(st.lists(st.integers(0, 6), min_size=1, max_size=9).filter(any), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_alias_table_has_the_law_exactly(parts, seed):
    law = np.array(parts, dtype=np.float64) / sum(parts)
    table = tables.law_table(law)
    mass = np.zeros(law.size)
    for threshold, own, other in table:  # every cell is hit with probability 1 / n
        mass[int(own)] += threshold / len(table)
        mass[int(other)] += (1 - threshold) / len(table)
    np.testing.assert_allclose(mass, law, atol=1e-14)
    assert (mass[law == 0] == 0).all()


@pytest.mark.parametrize("most_entries", [tables.MOST_ENTRIES, 0], ids=["alias", "running sums"])
@pytest.mark.parametrize("sparse", [False, True])
def test_steps_have_the_law_of_the_model(monkeypatch, most_entries, sparse):
    monkeypatch.setattr(tables, "MOST_ENTRIES", most_entries)
    mdp, policy = model_and_policy()
    if sparse:
        from scipy.sparse import csr_array

        mdp = MDP.from_choices(np.arange(0, 16, 3), csr_array(mdp.choices), mdp.pair_rewards, mdp.discount, start=mdp.start)
    paths = simulate(mdp, policy, chains=20_000, horizon=4, seed=5)
    P = np.asarray(model_and_policy()[0].transitions)
    assert chi_square(np.bincount(paths.states[:, 0], minlength=5), np.asarray(mdp.start)) > LEVEL
    for s in range(5):
        here = paths.states[:, 2] == s
        assert chi_square(np.bincount(paths.actions[here, 2], minlength=3), policy[s]) > LEVEL
        for a in range(3):
            there = here & (paths.actions[:, 2] == a)
            if there.any():
                assert chi_square(np.bincount(paths.states[there, 3], minlength=5), P[s, a]) > LEVEL
    np.testing.assert_array_equal(paths.rewards, np.asarray(mdp.pair_rewards).reshape(5, 3)[paths.states[:, :-1], paths.actions])


@pytest.mark.parametrize("stop", ["horizon", "discount"])
def test_a_seed_means_the_same_whatever_runs_beside_it(stop):
    mdp, policy = model_and_policy(3)
    whole = sampled_returns(mdp, policy, 5000, 60, seed=11, stop=stop)
    np.testing.assert_array_equal(sampled_returns(mdp, policy, 5000, 60, seed=11, stop=stop, threads=2), whole)
    np.testing.assert_array_equal(sampled_returns(mdp, policy, 700, 60, seed=11, stop=stop, first=1900), whole[1900:2600])
    paths = simulate(mdp, policy, 3000, 60, seed=11, stop=stop)
    np.testing.assert_array_equal(paths.returns, whole[:3000])
    again = simulate(mdp, policy, 1000, 60, seed=11, stop=stop, first=2000)
    np.testing.assert_array_equal(again.states, paths.states[2000:])
    assert (sampled_returns(mdp, policy, 5000, 60, seed=12, stop=stop) != whole).mean() > 0.9


@pytest.mark.parametrize("stop", ["horizon", "discount"])
def test_returns_have_the_value_as_their_mean(stop):
    mdp, policy = model_and_policy(4)
    returns = sampled_returns(mdp, policy, 100_000, 400, seed=2, stop=stop)
    value = state_values(mdp, policy) @ mdp.start
    normal = stats.norm.isf(LEVEL / 2)
    assert abs(returns.mean() - value) < normal * returns.std() / np.sqrt(returns.size) + 0.9**400 * 10


def test_discount_stopping_samples_the_discounted_visits():
    mdp, policy = model_and_policy(6)
    paths = simulate(mdp, policy, 50_000, 600, seed=8, stop="discount")
    ends = paths.states[np.arange(len(paths)), paths.lengths - 1]  # the last state that acted: a draw of d
    law = occupancy(mdp, policy).sum(axis=1)
    assert chi_square(np.bincount(ends, minlength=5), law) > LEVEL
    assert (paths.actions[np.arange(600) >= paths.lengths[:, None]] == -1).all()
    assert abs(paths.lengths.mean() - 10) < stats.norm.isf(LEVEL / 2) * np.sqrt(90 / len(paths))


def test_listed_paths_have_the_probabilities_of_simulated_ones():
    mdp, policy = model_and_policy(9, states=2, actions=2)
    listed = all_paths(mdp, policy, 3)
    assert abs(listed.probabilities.sum() - 1) < 1e-12
    paths = simulate(mdp, policy, 40_000, 3, seed=3)

    def code(states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        return states @ [1, 2, 4, 8] + 16 * (actions @ [1, 2, 4])

    law = np.zeros(128)
    law[code(listed.states, listed.actions)] = listed.probabilities
    assert chi_square(np.bincount(code(paths.states, paths.actions), minlength=128), law) > LEVEL


def test_a_sparse_model_of_many_states_is_walked_without_tables():
    mdp = garnet(200_000, 4, 3, discount=0.9, seed=0, sparse=True)
    assert mdp.choices.nnz > tables.MOST_ENTRIES
    policy = np.full((200_000, 4), 0.25)
    paths = simulate(mdp, policy, 200, 20, seed=1)
    rows = mdp.choices
    for c, t in ((0, 0), (50, 7), (199, 19)):
        assert rows[paths.states[c, t] * 4 + paths.actions[c, t], paths.states[c, t + 1]] > 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"chains": 0}, "chains is 0"),
        ({"horizon": 0}, "horizon is 0"),
        ({"horizon": 2.5}, "horizon is 2.5"),
        ({"seed": 1.5}, "seed is 1.5, a float"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": True}, "seed is True"),
        ({"seed": "x"}, "seed is 'x', a str"),
        ({"stop": "never"}, "stop is 'never'"),
        ({"first": -1}, "first is -1"),
        ({"start": [0.5, 0.5]}, "start must be a distribution over the 5 states"),
        ({"chains": 10**9, "horizon": 10**6}, "sampled_returns"),
    ],
)
def test_bad_input_is_named(change, words):
    mdp, policy = model_and_policy()
    with pytest.raises(ModelError, match=words):
        simulate(mdp, policy, **{"chains": 10, "horizon": 5, "seed": 0, **change})


def test_a_policy_that_is_none_is_refused():
    mdp, policy = model_and_policy()
    with pytest.raises(ModelError, match="state 2"):
        simulate(mdp, np.where(np.arange(5)[:, None] == 2, policy * 2, policy), 10, 5)


def test_too_many_paths_are_refused_with_their_number():
    mdp, policy = model_and_policy()
    with pytest.raises(ModelError, match="at most 1,048,576"):
        all_paths(mdp, policy, 12)


def test_a_return_beyond_the_largest_float_is_refused_with_its_chain():
    mdp, policy = model_and_policy()
    huge = mdp.replace(rewards=np.full((5, 3), 1.7e308))
    for use in (simulate, sampled_returns):
        with pytest.raises(ModelError, match="the return of chain 7 is inf"):
            use(huge, policy, 10, 5, first=7)
