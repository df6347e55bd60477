"""Which rates of the catalogue speak about a run, and that the curve drawn is the formula on this run."""

from __future__ import annotations

import numpy as np
import pytest

import mdps
import pgtheory
from proofs_check import plots
from proofs_check.bounds import bounds_for_run


@pytest.fixture(scope="module")
def model():
    """Three states, two actions, rewards in [0, 1], start distribution positive."""
    transitions = [[[0.5, 0.5, 0], [0, 0, 1]], [[0.1, 0, 0.9], [1, 0, 0]], [[0, 1, 0], [0.3, 0.3, 0.4]]]
    return mdps.MDP(transitions, [[0.2, 0.7], [1, 0], [0.5, 0.1]], discount=0.8, start=[0.5, 0.25, 0.25])


def test_npg_gets_its_rate_and_the_curve_is_the_formula(model):
    run = pgtheory.run(model, pgtheory.NaturalPG(step_size=0.3), 200)
    bounds = bounds_for_run(run)
    assert list(bounds) == ["npg-one-over-T"]
    t = run.times[1:]
    assert np.isnan(bounds["npg-one-over-T"][0])
    np.testing.assert_allclose(bounds["npg-one-over-T"][1:], np.log(2) / (0.3 * t) + 1 / ((1 - 0.8) ** 2 * t), rtol=1e-14)
    assert np.all(run.gap()[1:] <= bounds["npg-one-over-T"][1:])


def test_softmax_rates_want_their_step_size(model):
    derived = pgtheory.run(model, pgtheory.SoftmaxPG(step_size=2 * (1 - 0.8) ** 2), 50)
    printed = pgtheory.run(model, pgtheory.SoftmaxPG(step_size=(1 - 0.8) ** 3 / 8), 50)
    neither = pgtheory.run(model, pgtheory.SoftmaxPG(step_size=0.05), 50)
    found = [{name.split(":")[0] for name in bounds_for_run(run)} - {"softmax-one-over-t-lower-bound"} for run in (derived, printed, neither)]
    any_step = "softmax-worst-state-one-over-t"  # up to 2 (1 - gamma)^2; its lemma gap_rho <= gap_sup compares two measured gaps and is no rate
    assert found == [{any_step}, {"softmax-mdp-one-over-t", any_step}, {any_step}]
    for run in (derived, printed):
        for values in bounds_for_run(run).values():
            known = np.isfinite(values)
            assert known.any()
    upper = next(values for name, values in bounds_for_run(printed).items() if name.startswith("softmax-mdp-one-over-t"))
    assert np.all(printed.gap()[np.isfinite(upper)] <= upper[np.isfinite(upper)])


def test_nothing_is_drawn_where_an_assumption_fails(model):
    shifted = model.replace(rewards=model.rewards + 1)
    assert bounds_for_run(pgtheory.run(shifted, pgtheory.NaturalPG(step_size=0.3), 10)) == {}
    elsewhere = pgtheory.run(model, pgtheory.NaturalPG(step_size=0.3), 10, initial=np.array([[0.9, 0.1]] * 3))
    assert bounds_for_run(elsewhere) == {}
    assert bounds_for_run(pgtheory.run(model, pgtheory.PolicyIteration(), 10)) == {}


def test_plot_run_draws_the_catalogues_bound(model):
    ax = plots.plot_run(pgtheory.run(model, pgtheory.NaturalPG(step_size=0.3), 200))
    lines = {line.get_gid(): line for line in ax.lines}
    assert set(lines) == {"measured", "bound-npg-one-over-T"}
    assert lines["bound-npg-one-over-T"].is_dashed()
    assert "npg-one-over-T stays a factor of" in ax.get_title(loc="left")
