"""Compiled runs are the runs in Python, to rounding, in any blocks; their regret is the sum of their gaps; bad step sizes end with words."""

from __future__ import annotations

import numpy as np
import pytest

from mdps.errors import ModelError
from mdps.random import garnet
from mdps.zoo import arms, chain
from pgtheory.sampling import Fresh, Momentum, Reinforce, RewardToGo, StochasticPG, run_sampled
from pgtheory.sampling.replications import serves
from pgtheory.sampling.stochastic import UPDATES

STEPS = 12
ROUNDING = 1e-11
"""Policies lie in [0, 1].  A step adds 3 paths of 6 rewards of size 1 and divides by occupancies above 1e-4 at worst: about 1e5 roundings of 1e-16,
12 times over; paths flip only where a uniform falls between two roundings of a probability."""


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("estimator", [Reinforce, RewardToGo])
def test_compiled_runs_are_the_runs_in_python(estimator, update):
    for mdp, horizon in ((chain(2), 6), (garnet(4, 3, 2, 1), 6), (arms([1, "9/10", 0]), 1)):
        method = StochasticPG(Fresh(estimator(horizon), 3), 0.3, update)
        assert serves(mdp, method)
        plain = run_sampled(mdp, method, STEPS, 4, seed=5, first=2, compiled=False)
        runs = run_sampled(mdp, method, STEPS, 4, seed=5, first=2)
        np.testing.assert_allclose(runs.policies, plain.policies, rtol=0, atol=ROUNDING)
        assert (runs.paths == plain.paths).all() and (runs.times == plain.times).all()
        assert abs(runs.policies[:, -1] - runs.policies[:, 0]).max() > 0.01  # something was learnt


def test_actions_that_underflow_are_never_drawn_again():
    """A step so long that probabilities become 0: the tables lose these outcomes, in both."""
    method = StochasticPG(Fresh(RewardToGo(4), 2), 900.0)
    runs, plain = (run_sampled(garnet(3, 3, 2, 4), method, STEPS, 6, seed=1, compiled=how) for how in (True, False))
    assert (plain.policies[:, -1] == 0).any()
    np.testing.assert_array_equal(runs.policies > 0.5, plain.policies > 0.5)


def test_a_run_does_not_depend_on_its_block():
    method = StochasticPG(Fresh(RewardToGo(5), 2), 0.5)
    whole = run_sampled(chain(2), method, STEPS, 7, seed=3)
    parts = [run_sampled(chain(2), method, STEPS, count, seed=3, first=first) for first, count in ((0, 1), (1, 4), (5, 2))]
    np.testing.assert_array_equal(whole.policies, np.concatenate([part.policies for part in parts]))


def test_regret_is_the_sum_of_the_gaps_of_all_pulls():
    mdp = arms([1, "3/4", "1/4"])
    runs = run_sampled(mdp, StochasticPG(Fresh(Reinforce(1), 3), 0.4), STEPS, 5, record="all")
    expected = np.concatenate([np.zeros((5, 1)), 3 * np.cumsum(runs.gaps(), axis=1)[:, :-1]], axis=1)
    np.testing.assert_allclose(runs.regret, expected, rtol=0, atol=64 * 3 * STEPS * 2.0**-52)
    assert run_sampled(chain(2), StochasticPG(Fresh(Reinforce(3), 1), 0.4), 2).regret is None


def test_other_methods_are_run_step_by_step():
    mdp = chain(2)
    assert not serves(mdp, StochasticPG(Momentum(RewardToGo(4), 2), 0.1))
    assert not serves(mdp, StochasticPG(Fresh(RewardToGo(4, baseline=0.5), 2), 0.1))
    assert not serves(mdp, StochasticPG(Fresh(RewardToGo(4), 2), lambda t: 0.1))


def test_logits_that_overflow_are_named():
    said = set()
    for how in (True, False):
        with np.errstate(over="ignore"), pytest.raises(ModelError, match=r"not finite after step \d+: the step size is too long") as raised:
            run_sampled(garnet(4, 3, 2, 1), StochasticPG(Fresh(RewardToGo(6), 1), 1.7e308), 5, compiled=how)
        said.add(str(raised.value))
    assert len(said) == 1
