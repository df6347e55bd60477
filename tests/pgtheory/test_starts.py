"""First policies by name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mdps
import pgtheory
from mdps.errors import ModelError
from pgtheory.exact import action_values
from pgtheory.starts import start_policy
from tests import tolerances

CHAIN = mdps.zoo.chain(3)


@pytest.mark.parametrize("name", ["uniform", "random", "random:3", "adversarial", "adversarial:1/100", "adversarial:0.3"])
def test_a_start_is_an_interior_policy(name):
    policy = start_policy(name, CHAIN)
    assert policy.shape == (CHAIN.num_states, CHAIN.num_actions)
    assert (policy > 0).all()
    np.testing.assert_allclose(policy.sum(axis=1), 1, rtol=0, atol=8 * tolerances.EPS)


@given(seed=st.integers(0, 2**31))
def test_the_adversarial_start_is_near_the_worst_action_of_every_state(seed):
    rng = np.random.default_rng(seed)
    mdp = mdps.MDP(rng.dirichlet(np.ones(3), (3, 4)), rng.random((3, 4)), 0.8)
    best = action_values(mdp, pgtheory.solve(mdp).policy)
    policy = start_policy("adversarial:1/10", mdp)
    np.testing.assert_array_equal(policy.argmax(axis=1), best.argmin(axis=1))
    np.testing.assert_allclose(policy.max(axis=1), 0.9, rtol=0, atol=4 * tolerances.EPS)
    assert (policy[np.arange(3), best.argmax(axis=1)] < 0.04).all()


def test_where_all_actions_are_as_good_the_row_is_uniform():
    np.testing.assert_array_equal(start_policy("adversarial", mdps.zoo.arms(["1/2", "1/2"])), [[0.5, 0.5]])
    np.testing.assert_array_equal(start_policy("adversarial", mdps.zoo.arms(["1/2"])), [[1.0]])


def test_a_smaller_share_waits_longer():
    """From pi(best) = e the gap of two arms halves only after about 1/(2 eta e) steps of softmax PG."""
    arms = mdps.zoo.arms([1, 0])
    gaps = [pgtheory.run(arms, pgtheory.SoftmaxPG(0.4), 200, initial=f"adversarial:{e}").gap()[-1] for e in ("1/10", "1/100", "1/1000")]
    assert gaps[0] < gaps[1] < gaps[2]
    assert gaps[2] > 0.9


def test_runs_take_starts_by_name_one_or_one_a_model():
    npg = pgtheory.NaturalPG(0.1)
    one = pgtheory.run(CHAIN, npg, 1, initial="random:5")
    np.testing.assert_allclose(one.policies[0], start_policy("random:5", CHAIN), rtol=0, atol=8 * tolerances.EPS)
    runs = pgtheory.run_batch([CHAIN, CHAIN], npg, 1, initial=["random:1", "random:2"])
    assert [np.allclose(run.policies[0], start_policy(f"random:{k}", CHAIN), rtol=0, atol=8 * tolerances.EPS) for k, run in enumerate(runs, 1)] == [
        True
    ] * 2


@pytest.mark.parametrize("name", ["unifrom", "uniform:1", "random:x", "random:-1", "adversarial:2", "adversarial:0", "adversarial:x"])
def test_a_bad_name_is_refused(name):
    with pytest.raises(ModelError, match="initial is"):
        pgtheory.run(CHAIN, pgtheory.NaturalPG(0.1), 1, initial=name)


def test_the_command_line_starts_where_it_is_told(capsys):
    import json

    from proofs_check.cli.runs import run_methods

    options = {"step_size": "1/10", "temperature": None, "geometry": None}
    quiet = {"discount": None, "plot": None, "as_json": True, "out": None, "trail": None}
    assert run_methods("chain(2)", "npg", options, 3, **quiet, start="adversarial:1/10") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["command"].endswith("--start adversarial:1/10")
    mdp = mdps.zoo.load("chain(2)")
    run = pgtheory.run(mdp, pgtheory.NaturalPG("1/10"), 3, initial="adversarial:1/10")
    assert data["runs"][0]["gap"] == pytest.approx(run.gap().tolist())
