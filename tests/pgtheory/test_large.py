"""Runs on large models against the dense driver, and their intervals against exact values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mdps
import pgtheory
from mdps import random
from mdps.errors import ModelError
from mdps.rational import fraction, rational_array
from pgtheory.large import Evaluator, run_large

METHODS = [pgtheory.SoftmaxPG(0.3), pgtheory.NaturalPG(0.2), pgtheory.MirrorDescent(0.5), pgtheory.ProjectedPG(0.05)]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_large_run_is_the_dense_run(method):
    model = random.garnet(30, 3, 4, seed=5, discount=0.9)
    dense = pgtheory.run(model, method, 40)
    large = run_large(random.garnet(30, 3, 4, seed=5, discount=0.9, sparse=True), method, 40, tol=1e-11)
    assert large.times.tolist() == dense.times.tolist()
    # an evaluation is off by tol = 1e-11 or less, and a step of these sizes stretches differences by at most 2 a step over the first few
    assert large.gap() == pytest.approx(dense.gap(), abs=1e-8)
    assert large.policy == pytest.approx(dense.policies[-1], abs=1e-8)
    assert (np.diff(large.products) > 0).all()


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 0.9, 0.99]), st.sampled_from([1e-2, 1e-6, 1e-10]))
def test_the_interval_holds_the_exact_value(seed, discount, tol):
    model = random.garnet(6, 2, 3, seed=seed, discount=discount, sparse=True)
    rng = np.random.default_rng(seed)
    policy = rng.dirichlet(np.ones(2), 6)
    values, _, (low, high) = Evaluator(model, tol).evaluate(policy)
    dense = mdps.MDP(model.transitions, model.rewards, model.discount, model.start)
    rows = rational_array(policy)
    exact = pgtheory.state_values(dense.exact, rows / rows.sum(axis=1, keepdims=True))
    slack = 4 * 2.0**-52 * 6 / (1 - discount) ** 2  # the policy's rows are rescaled to sum to exactly 1
    for v, e in zip(values, exact, strict=True):
        assert float(v) + low - slack <= float(fraction(e)) <= float(v) + high + slack
    assert high - low <= 4 * tol + 1e-9 + 2.0**-40 / (1 - discount) ** 2


def test_ten_thousand_states_converge_and_know_their_gap():
    model = random.grid(100, 100, seed=0, discount=0.95, sparse=True)
    seen: list[int] = []
    run = run_large(model, pgtheory.NaturalPG(5.0), 30, tol=1e-6, progress=lambda t, low, high: seen.append(t))
    assert seen == run.times.tolist()
    assert (run.gap_upper >= run.gap_lower).all()
    assert run.gap_upper[-1] < 0.05 * run.gap_lower[0]
    best = pgtheory.solve(model, tol=1e-9)
    start = model.start
    assert run.value_lower[-1] <= float(start @ best.upper)
    assert np.all(run.gap_upper - run.gap_lower <= 1e-4)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: run_large(m, pgtheory.EntropyPG(0.1, 0.1), 3), "run_large runs softmax-pg.*entropy-pg is not among them"),
        (lambda m: run_large(m, pgtheory.NaturalPG(0.1), 3, tol=0), "tol is 0; it must be above 0"),
        (lambda m: run_large(m, pgtheory.NaturalPG(0.1), 3, initial=np.ones((2, 2))), r"initial has shape \(2, 2\)"),
        (lambda m: run_large(m, pgtheory.NaturalPG(0.1), 3, initial=np.ones((5, 2))), "initial is no policy in state 0"),
        (lambda m: run_large(m, pgtheory.NaturalPG(0.1), -1), "iterations is -1"),
    ],
)
def test_what_cannot_be_run_is_named(call, said):
    with pytest.raises(ModelError, match=said):
        call(random.garnet(5, 2, 2, seed=0, sparse=True))
