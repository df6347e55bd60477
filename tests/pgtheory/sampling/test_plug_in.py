"""Plug-in planning: sampled models, the law of the error by listing all draws, its bounds, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.sampling import PlugIn, plug_in_law, plug_in_radius, run_plug_in, sampled_models
from tests.pgtheory.sampling.test_simulator import LEVEL, chi_square, model_and_policy

SMALL = MDP([[[0.5, 0.5], [0.25, 0.75]], [[1, 0], [0, 1]]], [[1, 0], [0.2, 0.6]], 0.9)


def test_frequencies_come_from_the_rows_and_grow_from_each_other():
    mdp = model_and_policy(3)[0]
    models = sampled_models(mdp, [50, 20_000], seed=2)
    np.testing.assert_array_equal(sampled_models(mdp, 50, seed=2)[0], models[0])
    np.testing.assert_allclose(models.sum(axis=-1), 1)
    for s, a in np.ndindex(5, 3):
        assert chi_square(models[1, s, a] * 20_000, np.asarray(mdp.transitions)[s, a]) > LEVEL
    assert not np.array_equal(sampled_models(mdp, 50, seed=2, run=1)[0], models[0])


@pytest.mark.parametrize("samples", [1, 2, 6])
def test_runs_agree_with_the_law_of_all_draws(samples):
    law, runs = plug_in_law(SMALL, samples), 1_000
    np.testing.assert_allclose(law.probabilities.sum(), 1)
    seen = run_plug_in(SMALL, PlugIn(samples), 1, runs=runs, seed=1)
    normal = stats.norm.isf(LEVEL / 8)
    for exact, sampled in ((law.errors, seen.errors[:, 1]), (law.gaps, seen.gaps()[:, 1])):
        for power in (1, 2):
            mean = law.probabilities @ exact**power
            spread = np.sqrt(max(law.probabilities @ exact ** (2 * power) - mean**2, 0))
            assert abs((sampled**power).mean() - mean) <= normal * spread / np.sqrt(runs) + 1e-7


def test_the_law_by_hand():
    """One uncertain pair that pays 1 and stays with probability 1/2, one draw: the model says 1/(1 - gamma) or 1, the truth is 1/(1 - gamma/2)."""
    mdp = MDP([[[0.5, 0.5]], [[0, 1]]], [[1], [0]], 0.5, [1, 0])
    law = plug_in_law(mdp, 1)
    order = np.argsort(law.errors)
    np.testing.assert_allclose(law.errors[order], [4 / 3 - 1, 2 - 4 / 3])
    np.testing.assert_allclose(law.probabilities, 0.5)
    assert law.gaps.max() < 1e-8  # V* is known to that


def test_a_wide_row_has_as_many_outcomes_as_it_has():
    """One pair with ten next states: three draws of it have C(12, 3) = 220 outcomes, each the multinomial's."""
    mdp = MDP(np.concatenate([np.full((1, 1, 10), 0.1), np.tile(np.eye(10)[:1], (9, 1))[:, None]]), np.zeros((10, 1)), 0.5)
    law = plug_in_law(mdp, 3)
    assert law.probabilities.size == 220
    np.testing.assert_allclose(law.probabilities.sum(), 1)


def test_every_outcome_keeps_the_pathwise_bound_and_few_break_the_radius():
    for seed in range(5):
        mdp = model_and_policy(seed, 3, 2, discount=0.8)[0]
        seen = run_plug_in(mdp, PlugIn(5), 40, runs=5, seed=seed)
        drawn = seen.times > 0
        assert (seen.errors[:, drawn] <= seen.pathwise[:, drawn] + 1e-9).all()
        assert (seen.gaps()[:, drawn] <= 2 * seen.errors[:, drawn] / (1 - 0.8) + 1e-8).all()
        assert seen.gaps()[:, -1].mean() < seen.gaps()[:, 0].mean() + 1e-12
    for samples in (1, 4, 10):
        for delta in (0.9, 0.5, 0.1):
            assert plug_in_law(SMALL, samples).failure(plug_in_radius(SMALL, samples, delta)) <= delta


def test_without_the_second_horizon_the_bound_fails():
    """gamma |(P^ - P) V*| alone is broken by a loop (plug-in-planning-error): p = 1/2, frequency 1."""
    mdp = MDP([[[0.5, 0.5]], [[0, 1]]], [[1], [0]], 0.9, [1, 0])
    law = plug_in_law(mdp, 1)
    assert law.errors.max() > 0.9 * 0.5 / (1 - 0.45)


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda: PlugIn(0), "samples is 0"),
        (lambda: sampled_models(SMALL, 0), "samples is 0"),
        (lambda: sampled_models(SMALL, [5, 5]), "samples must increase"),
        (lambda: sampled_models(SMALL, 2.5), "samples is 2.5"),
        (lambda: plug_in_law(model_and_policy(0)[0], 5), "outcomes"),
        (lambda: plug_in_radius(SMALL, 5, 1.0), "delta is 1.0"),
        (lambda: run_plug_in(SMALL, PlugIn(1), 2, runs=0), "runs is 0"),
        (lambda: run_plug_in(SMALL, PlugIn(1), 2, seed=-1), "seed is -1"),
    ],
)
def test_bad_input_is_named(use, words):
    with pytest.raises(ModelError, match=words):
        use()
