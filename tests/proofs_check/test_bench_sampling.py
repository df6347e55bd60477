"""The sampling bench: every program simulates the same model, and one that does not is not raced."""

from __future__ import annotations

import numpy as np
import pytest

from mdps.model import MDP
from pgtheory import state_values
from proofs_check.bench import sampling
from proofs_check.bench.clock import OURS


def test_the_models_are_models_and_the_grid_begins_anew():
    (_, grid), (_, dense) = sampling.models()
    assert grid.transitions[63, 0, 0] == 1 and dense.num_states == 100


@pytest.mark.parametrize("make", [sampling._our_steps, sampling._numpy_steps])
def test_the_mean_reward_is_the_long_run_average(monkeypatch, make):
    monkeypatch.setattr(sampling, "CHAINS", 200)
    monkeypatch.setattr(sampling, "STEPS", 200)
    dense = sampling.models()[1][1]
    average = (1 - 0.9999) * state_values(dense.replace(discount=0.9999), sampling._uniform(dense)).mean()
    assert abs(make(dense)() - average) < 0.01


def test_both_gradients_have_the_same_size(monkeypatch):
    dense = sampling.models()[1][1]
    ours, theirs = (np.mean([make(dense)() for _ in range(3)]) for make in (sampling._our_gradients, sampling._numpy_gradients))
    assert abs(ours / theirs - 1) < 0.05


def test_a_program_that_simulates_something_else_is_not_raced():
    with pytest.raises(AssertionError, match="other has the mean"):
        sampling._agreeing("case", {OURS: lambda: 1.0 + np.random.default_rng().normal() * 1e-3, "other": lambda: 2.0})


def test_the_table_holds_every_case(monkeypatch, capsys):
    monkeypatch.setattr(sampling, "race", lambda case, unit, work, programs, seconds: [(case, sorted(programs))])
    monkeypatch.setattr(sampling, "table", lambda rows, title: title)
    monkeypatch.setattr(sampling, "models", lambda: [("tiny", MDP([[[0, 1], [1, 0]], [[1, 0], [0, 1]]], [[0, 1], [1, 0]], 0.99))])
    rows = sampling.bench(peers=["numpy"], quick=True)
    assert rows == [("tiny, steps", ["numpy", OURS]), ("tiny, REINFORCE, 50 steps", ["numpy", OURS])]
    assert "Sampling" in capsys.readouterr().out
