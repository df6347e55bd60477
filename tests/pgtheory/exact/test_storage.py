"""What the sweeping solvers rest on: sweeps that pass over pairs, rows of a policy kept in places, changed rows of a factored policy, threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from mdps import MDP, ModelError, strategies
from pgtheory.exact import solve, solve_exactly, storage
from tests.pgtheory.exact.independent import as_fractions, encloses

UNIT = 2.0**-53


def ragged(seed: int, states: int, sparse: bool, longest: int = 6, discount: float = 0.99) -> MDP:
    """Up to four actions a state, up to `longest` successors, a few of them far more likely than the others."""
    rng = np.random.default_rng(seed)
    first = np.concatenate([[0], np.cumsum(rng.integers(1, 5, states))])
    rows = np.zeros((first[-1], states))
    for row in rows:
        to = rng.choice(states, rng.integers(1, min(longest, states) + 1), replace=False)
        row[to] = rng.standard_exponential(to.size) ** 4 + 1e-9
        row /= row.sum()
    return MDP.from_choices(first, csr_array(rows) if sparse else rows, rng.standard_normal(first[-1]), discount)


def full_sweep(mdp: MDP, W: np.ndarray) -> np.ndarray:
    rows = mdp.choices.toarray() if mdp.is_sparse else mdp.choices
    return np.maximum.reduceat(mdp.pair_rewards + mdp.discount * (rows @ W), mdp.first_pair[:-1])


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), sparse=st.booleans(), scale=st.sampled_from((1e-6, 1.0, 1e6)), data=st.data())
def test_a_sweep_that_passes_over_pairs_finds_the_same_maxima(seed, sparse, scale, data):
    mdp = ragged(seed, 12, sparse)
    mdp = MDP.from_choices(mdp.first_pair, mdp.choices, mdp.pair_rewards * scale, mdp.discount)
    rng = np.random.default_rng(seed)
    rows = storage.storage(mdp)
    W = scale * rng.standard_normal(12)
    for step in range(8):
        rows.sweep(W, 0.0)
        assert rows.allowed is not None
        slack = 2 * rows.allowed.epsilon(float(np.max(np.abs(W))))
        assert np.max(np.abs(rows.t - full_sweep(mdp, W))) <= slack
        value_of_best = mdp.pair_rewards[rows.best] + mdp.discount * (mdp.choices @ W)[rows.best]
        assert np.max(np.abs(value_of_best - rows.t)) <= slack
        if step == 4:
            rows.drop(float(scale))
            kept = np.add.reduceat(np.isin(np.arange(mdp.num_pairs), rows.active[: rows.first[-1]]).astype(int), mdp.first_pair[:-1])
            assert kept.min() >= 1
            mdp = MDP.from_choices(
                rows.first.copy(), mdp.choices[rows.active[: rows.first[-1]]], mdp.pair_rewards[rows.active[: rows.first[-1]]], 0.99
            )
            rows = storage.storage(mdp)
        W = W + 10.0 ** data.draw(st.integers(-8, 0)) * scale * rng.standard_normal(12)


@pytest.mark.parametrize("waste", [0.0, 100.0], ids=["packed", "in places"])
def test_the_rows_of_a_policy_are_those_of_its_pairs(monkeypatch, waste):
    monkeypatch.setattr(storage, "WASTE", waste)
    mdp = ragged(3, 40, True)
    rows = storage.storage(mdp)
    rng = np.random.default_rng(0)
    actions = np.zeros(40, dtype=int)
    for change in (40, 3, 0, 11):
        who = rng.choice(40, change, replace=False)
        actions[who] = rng.integers(0, np.diff(mdp.first_pair)[who])
        rows.start_with(actions)
        rows.select()
        np.testing.assert_array_equal(rows.matrix().toarray(), mdp.choices.toarray()[mdp.first_pair[:-1] + actions])
        np.testing.assert_array_equal(rows.paid(), mdp.pair_rewards[mdp.first_pair[:-1] + actions])
        W, t = rng.standard_normal(40), np.empty(40)
        low, high = rows.follow(W, t, 0.25)
        wanted = rows.paid() + mdp.discount * (rows.matrix() @ W)
        np.testing.assert_allclose(t, wanted - 0.25, rtol=0, atol=20 * UNIT * 10)
        assert low == pytest.approx((wanted - W).min(), abs=1e-13)
        assert high == pytest.approx((wanted - W).max(), abs=1e-13)


@pytest.mark.parametrize("changes", [0, 1, 9, 40])
def test_a_factored_policy_serves_one_that_differs_in_few_rows(monkeypatch, changes):
    monkeypatch.setattr(storage, "REUSED_STATES", 0)
    mdp = ragged(4, 40, False, longest=40, discount=0.9999)
    rows = storage.storage(mdp)
    rng = np.random.default_rng(1)
    rhs, actions = rng.standard_normal(40), np.zeros(40, dtype=int)
    for _ in range(3):
        who = rng.choice(40, changes, replace=False)
        actions[who] = rng.integers(0, np.diff(mdp.first_pair)[who])
        rows.start_with(actions)
        matrix = np.eye(40) - mdp.discount * mdp.choices[rows.best]
        x = rows.solve(rhs)
        assert np.max(np.abs(matrix @ x - rhs)) <= 1e4 * UNIT * np.max(np.abs(x)), "condition of the small system times rounding"


@pytest.mark.parametrize("method", ["auto", "value", "modified", "gauss-seidel"])
@pytest.mark.parametrize("sparse", [True, False])
def test_the_figures_do_not_depend_on_the_number_of_threads(method, sparse):
    mdp = ragged(5, 60, sparse, discount=0.95)
    alone = solve(mdp, method, threads=1)
    for threads in (2, 3, 7, 100):
        other = solve(mdp, method, threads=threads)
        for field in ("values", "lower", "upper", "actions", "iterations"):
            np.testing.assert_array_equal(getattr(other, field), getattr(alone, field), err_msg=f"{field}, {threads} threads")


def test_threads_by_default_are_for_large_models():
    assert storage.thread_count(None, 100) == 1
    assert storage.thread_count(None, storage.THREADED_ENTRIES) == storage.usable_cores()
    assert storage.thread_count(3, 100) == 3


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "two"])
def test_a_wrong_number_of_threads_is_refused(threads):
    with pytest.raises(ModelError, match="threads is"):
        solve(ragged(0, 3, False), threads=threads)


def test_no_thread_is_left_behind():
    import threading

    before = threading.active_count()
    solve(ragged(6, 60, True), threads=4)
    assert threading.active_count() == before


def slow_dense(seed: int, scale: float, discount: float) -> MDP:
    """Two blocks that are left once in a thousand steps: sweeps of a policy contract slowly, so that it is evaluated by LU, then by changed rows."""
    rng = np.random.default_rng(seed)
    rows = rng.gamma(0.05, size=(16 * 4, 16)) + 1e-12
    rows *= np.repeat(np.arange(16) // 8, 4)[:, None] == np.arange(16)[None, :] // 8
    rows /= rows.sum(1, keepdims=True)
    rows = 0.999 * rows + 0.001 / 16
    return MDP(rows.reshape(16, 4, 16), scale * rng.random((16, 4)), discount)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("discount", [0.99, 0.9999])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_slow_mixing_models_are_solved_to_the_accuracy_asked(monkeypatch, scale, discount, sparse):
    monkeypatch.setattr(storage, "REUSED_STATES", 8)
    for seed in range(4):
        mdp = slow_dense(seed, scale, discount)
        if sparse:
            mdp = MDP.from_choices(mdp.first_pair, csr_array(mdp.choices), mdp.pair_rewards, mdp.discount)
        found = solve(mdp, tol=1e-9 * scale / (1 - discount))
        assert found.error <= 1e-9 * scale / (1 - discount)
        assert encloses(found, as_fractions(solve_exactly(mdp).values))


@settings(max_examples=40)
@given(mdp=strategies.mdps(ragged=True, exact=False))
def test_policy_iteration_with_changed_rows_ends_at_the_optimum(mdp):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "REUSED_STATES", 0)
        found = solve(mdp, "policy", on_limit="return")
    assert encloses(found, as_fractions(solve_exactly(mdp).values))
