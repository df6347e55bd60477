"""The driver: which iterations are kept, what a trajectory offers, users' own methods, batches, bad input."""

from __future__ import annotations

import numpy as np
import pytest

import pgtheory
from mdps import MDP, ModelError, zoo
from mdps.rational import rational_array
from pgtheory import MirrorDescent, NaturalPG, PolicyIteration, ProjectedPG, SoftmaxPG, log_times, run, run_batch, solve, state_values
from tests import tolerances

MODEL = zoo.river_swim()


class PlainPG:
    """A user's method: softmax policy gradient in a few lines of numpy."""

    def __init__(self, step_size: float) -> None:
        self.step_size = step_size

    def start(self, mdp):
        return np.zeros((mdp.num_states, mdp.num_actions))

    def policy(self, logits):
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True)

    def step(self, logits, mdp):
        pi = self.policy(logits)
        matrix = np.eye(mdp.num_states) - mdp.discount * np.einsum("sa,sat->st", pi, mdp.transitions)
        values = np.linalg.solve(matrix, (pi * mdp.rewards).sum(axis=1))
        visits = np.linalg.solve(matrix.T, mdp.start)
        advantages = mdp.rewards + mdp.discount * mdp.transitions @ values - values[:, None]
        return logits + self.step_size * visits[:, None] * pi * advantages


def scaled(mdp: MDP) -> MDP:
    """Rewards in [0, 1]."""
    return mdp.replace(rewards=mdp.rewards / np.abs(mdp.rewards).max())


def test_log_times_hold_pairs_and_both_ends():
    for iterations in (0, 1, 2, 3, 10, 1000, 12_345):
        times = log_times(iterations)
        assert times[0] == 0
        assert times[-1] == iterations
        assert (np.diff(times) > 0).all()
        assert iterations == 0 or iterations - 1 in times
    times = set(log_times(1000).tolist())
    for k in range(36):
        t = round(2 ** (k / 4))
        assert {t, t + 1} <= times
    assert len(times) < 80


def test_records_are_what_was_asked_for():
    every = run(MODEL, NaturalPG(0.1), 20, record="all")
    assert every.times.tolist() == list(range(21))
    some = run(MODEL, NaturalPG(0.1), 20, record=[20, 0, 7, 7])
    assert some.times.tolist() == [0, 7, 20]
    np.testing.assert_array_equal(some.parameters, every.parameters[[0, 7, 20]])
    assert len(run(MODEL, NaturalPG(0.1), 0)) == 1


def test_values_and_gaps_are_those_of_the_policies():
    trajectory = run(MODEL, NaturalPG(0.1), 50)
    close = 4 * tolerances.linear_solve(MODEL.num_states, MODEL.discount, float(np.abs(MODEL.rewards).max()))
    for policy, values in zip(trajectory.policies, trajectory.values, strict=True):
        np.testing.assert_allclose(values, state_values(MODEL, policy), rtol=0, atol=close)
    best = solve(MODEL)
    uniform = np.full(MODEL.num_states, 1 / MODEL.num_states)
    slack = best.error + close
    np.testing.assert_allclose(trajectory.gap(uniform), (best.values - trajectory.values) @ uniform, rtol=0, atol=2 * slack)
    np.testing.assert_allclose(trajectory.gap(), (best.values - trajectory.values) @ MODEL.start, rtol=0, atol=2 * slack)
    assert (trajectory.gap() >= -2 * slack).all()
    assert (np.diff(trajectory.gap(uniform)) <= 2 * slack).all()  # natural policy gradient ascends


def test_values_are_evaluated_in_blocks(monkeypatch):
    import sys

    trajectory = run(MODEL, NaturalPG(0.1), 30, record="all")
    whole = trajectory.values
    monkeypatch.setattr(sys.modules["pgtheory.run"], "BLOCK", 4 * MODEL.num_states**2)
    again = run(MODEL, NaturalPG(0.1), 30, record="all").values
    np.testing.assert_array_equal(whole, again)


def test_the_run_starts_where_it_is_told():
    policy = np.tile([0.25, 0.75], (MODEL.num_states, 1))
    for method in (NaturalPG(0.1), ProjectedPG(0.1), MirrorDescent(0.1)):
        np.testing.assert_allclose(run(MODEL, method, 1, initial=policy).policies[0], policy, rtol=0, atol=2 * tolerances.EPS)
    exact = np.tile(rational_array(["1/4", "3/4"]), (MODEL.num_states, 1))
    np.testing.assert_array_equal(run(MODEL, ProjectedPG(0.1), 1, initial=exact).policies[0], policy)
    np.testing.assert_allclose(run(MODEL, NaturalPG(0.1), 0).policies[0], 0.5, rtol=0, atol=0)


def test_the_gradient_is_taken_for_the_given_start():
    first = np.eye(MODEL.num_states)[0]
    moved = run(MODEL, SoftmaxPG(0.1), 5, start=first)
    other = run(MODEL.replace(start=first), SoftmaxPG(0.1), 5)
    np.testing.assert_array_equal(moved.parameters, other.parameters)
    np.testing.assert_array_equal(moved.start, first)
    assert moved.mdp is MODEL
    assert np.abs(moved.parameters - run(MODEL, SoftmaxPG(0.1), 5, start=np.full(6, 1 / 6)).parameters).max() > 0


def test_step_sizes_may_depend_on_the_model():
    by_rule = run(MODEL, NaturalPG(lambda mdp: (1 - mdp.discount) ** 2), 10)
    by_number = run(MODEL, NaturalPG((1 - MODEL.discount) ** 2), 10)
    np.testing.assert_array_equal(by_rule.parameters, by_number.parameters)
    np.testing.assert_array_equal(run(MODEL, NaturalPG("1/4"), 3).parameters, run(MODEL, NaturalPG(0.25), 3).parameters)


def test_an_exact_model_runs_in_floats():
    trajectory = run(MODEL.exact, NaturalPG(0.1), 3)
    assert trajectory.parameters.dtype == np.float64
    assert trajectory.mdp is MODEL


def test_minima_run_along():
    trajectory = run(MODEL, SoftmaxPG(0.5), 200)
    every = run(MODEL, SoftmaxPG(0.5), 200, record="all").policies
    expected = np.stack([every[: t + 1].min(axis=0) for t in trajectory.times])
    np.testing.assert_allclose(trajectory.minima, expected, rtol=0, atol=2 * tolerances.EPS)


# A user's own method


def test_a_users_method_runs_like_ours():
    mdp = scaled(MODEL)
    ours, theirs = run(mdp, SoftmaxPG(0.1), 20), run(mdp, PlainPG(0.1), 20)
    np.testing.assert_array_equal(ours.times, theirs.times)
    # 20 steps, each within the tolerance of one step and stretching by at most 1 + eta L = 1 + .1 / (2 (1 - gamma)^2)
    stretch = (1 + 0.1 / (2 * (1 - mdp.discount) ** 2)) ** 20 if mdp.discount < 0.9 else 100.0
    close = 20 * stretch * tolerances.method_step(mdp.num_states, mdp.num_actions, mdp.discount, 1.0, 1.0, 0.1)
    np.testing.assert_allclose(theirs.parameters, ours.parameters, rtol=0, atol=close)
    np.testing.assert_allclose(theirs.minima, ours.minima, rtol=0, atol=close)
    np.testing.assert_allclose(theirs.gap(), ours.gap(), rtol=0, atol=close / (1 - mdp.discount) ** 2)
    first = np.eye(mdp.num_states)[0]
    ours, theirs = run(mdp, SoftmaxPG(0.1), 3, start=first), run(mdp, PlainPG(0.1), 3, start=first)
    np.testing.assert_allclose(theirs.parameters, ours.parameters, rtol=0, atol=close)


def test_a_users_state_may_be_anything():
    class Lazy:
        def start(self, mdp):
            return {"steps": 0, "policy": np.full((mdp.num_states, mdp.num_actions), 0.5)}

        def step(self, state, mdp):
            return {**state, "steps": state["steps"] + 1}

        def policy(self, state):
            return state["policy"]

    trajectory = run(MODEL, Lazy(), 4)
    np.testing.assert_array_equal(trajectory.parameters, trajectory.policies)
    assert "Lazy" in repr(trajectory)


def test_a_users_method_that_leaves_the_simplex_is_caught_with_the_step():
    class Wrong(PlainPG):
        def policy(self, logits):
            return super().policy(logits) + (0.01 if np.abs(logits).max() > 0 else 0)

    with pytest.raises(ModelError, match=r"Wrong after 1 steps.*sums to 1\.02"):
        run(MODEL, Wrong(0.1), 4)


def test_what_is_no_method_is_refused():
    with pytest.raises(ModelError, match="needed are start"):
        run(MODEL, "npg", 3)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="begins where its start"):
        run(MODEL, PlainPG(0.1), 3, initial=np.full((MODEL.num_states, 2), 0.5))


# Batches


def test_a_batch_gives_what_single_runs_give():
    rng = np.random.default_rng(0)
    models = [MDP(rng.dirichlet(np.ones(3), (3, 2)), rng.random((3, 2)), g, rng.dirichlet(np.ones(3))) for g in (0.0, 0.5, 0.9, 0.99)]
    initial = [rng.dirichlet(np.ones(2), 3) for _ in models]
    method = SoftmaxPG(lambda mdp: (1 - mdp.discount) ** 2)
    together = run_batch(models, method, 30, initial=initial, threads=3)
    for mdp, policy, trajectory in zip(models, initial, together, strict=True):
        alone = run(mdp, method, 30, initial=policy)
        np.testing.assert_array_equal(alone.parameters, trajectory.parameters)
        np.testing.assert_array_equal(alone.minima, trajectory.minima)
        assert trajectory.mdp is mdp
    assert run_batch([], method, 3) == []


def test_a_batch_wants_one_shape():
    with pytest.raises(ModelError, match="one shape"):
        run_batch([zoo.two_state(), zoo.river_swim()], NaturalPG(0.1), 3)


# Bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"iterations": -1}, "at least 0"),
        ({"record": "some"}, "'log', 'all'"),
        ({"record": [0, 11]}, "0 to 10"),
        ({"record": [-1]}, "0 to 10"),
        ({"record": [0.5]}, "iteration number"),
        ({"initial": "greedy"}, "'uniform'"),
        ({"initial": np.full((6, 2), 0.6)}, "sums to 1.2"),
        ({"initial": np.tile([1.0, 0.0], (6, 1))}, "probability 0.0 in state 0, action 1"),
        ({"start": [0.5, 0.6, 0, 0, 0, 0]}, "1.1"),
        ({"method": NaturalPG(-1)}, "step_size is -1"),
        ({"method": SoftmaxPG(1e308)}, "step size is too large"),
    ],
)
def test_bad_arguments_name_the_figure(arguments, message):
    given = {"mdp": MODEL, "method": NaturalPG(0.1), "iterations": 10, **arguments}
    with pytest.raises(ModelError, match=message):
        run(**given)


def test_a_deterministic_start_is_fine_where_parameters_are_policies():
    trajectory = run(MODEL, PolicyIteration(), 10, initial=np.tile([1.0, 0.0], (6, 1)))
    assert trajectory.gap()[-1] <= 4 * tolerances.linear_solve(6, MODEL.discount, float(np.abs(MODEL.rewards).max()))


def test_run_is_callable_however_the_module_was_imported():
    import pgtheory.run as module

    assert callable(pgtheory.run)
    np.testing.assert_array_equal(module(MODEL, NaturalPG(0.1), 2).parameters, pgtheory.run(MODEL, NaturalPG(0.1), 2).parameters)
