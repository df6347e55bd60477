"""Finite horizons, mixtures of controllers, internal states and regulators against enumeration, differences and Riccati."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mdps
import pgtheory
from mdps.errors import ModelError
from pgtheory import arithmetic, horizon_gradient, improper, stateful
from pgtheory.linear_quadratic import LinearQuadratic

SEEDS = st.integers(0, 2**32 - 1)
STEP = 1e-5
DIFFERENCE = 1e-7
"""Central differences of step 1e-5 of functions whose third derivatives are at most about 500: h^2/6 * 500 + eps * 20/h."""


def differences(function, point):
    out = np.empty(point.shape)
    for index in np.ndindex(point.shape):
        moved = [point.copy(), point.copy()]
        moved[0][index] += STEP
        moved[1][index] -= STEP
        out[index] = (function(moved[0]) - function(moved[1])) / (2 * STEP)
    return out


def model(rng, states, actions):
    return rng.dirichlet(np.ones(states), (1, states, actions)), rng.random((1, states, actions)), np.array([0.7]), rng.dirichlet(np.ones(states), 1)


@given(SEEDS)
def test_the_gradient_and_hessian_of_a_mixture_are_differences(seed):
    rng = np.random.default_rng(seed)
    transitions, rewards, discount, start = model(rng, 3, 2)
    controllers, theta = rng.dirichlet(np.ones(2), (1, 3, 3)), rng.normal(size=3)

    def value(x):
        policy = improper.mixture(arithmetic.softmax(x), controllers[0])
        chain = np.eye(3) - discount[0] * np.einsum("sa,sat->st", policy, transitions[0])
        return start[0] @ np.linalg.solve(chain, (policy * rewards[0]).sum(axis=1))

    def gradient(x):
        return improper.mixture_gradient(arithmetic.softmax(x)[None], controllers, transitions, rewards, discount, start)[0]

    assert gradient(theta) == pytest.approx(differences(value, theta), abs=DIFFERENCE)
    hessian = improper.mixture_hessian(arithmetic.softmax(theta)[None], controllers, transitions, rewards, discount, start)[0]
    for k in range(3):
        assert hessian[k] == pytest.approx(differences(lambda x, k=k: gradient(x)[k], theta), abs=DIFFERENCE)


def test_a_mixture_is_stuck_on_blind_and_runs_into_the_worse_controller():
    blind = mdps.zoo.blind("9/10", "9/10").replace(start=[1, 0, 0, 0])
    zero, one = np.eye(2)[np.zeros(4, dtype=int)], np.eye(2)[np.ones(4, dtype=int)]
    method = pgtheory.ImproperPG(0.5, np.stack([zero, one]))
    stuck = method.step(np.log([9.0, 10.0]), blind)
    assert stuck - np.log([9.0, 10.0]) == pytest.approx([0, 0], abs=1e-15)
    run = pgtheory.run(blind, method, 2000)
    assert run.policies[-1][:, 0].max() == pytest.approx(1, abs=1e-2)  # w_0 = 1/2 > 9/19
    state = np.log([0.3, 0.7])
    for _ in range(2000):
        state = method.step(state, blind)
    assert arithmetic.softmax(state)[0] < 1e-2


@pytest.mark.parametrize(
    ("controllers", "step_size", "said"),
    [
        (np.zeros((2, 3)), 0.1, r"controllers have shape \(2, 3\); they must be \(M, 2, 2\)"),
        (np.full((1, 2, 2), 0.4), 0.1, "controller 0 is no policy in state 0"),
        (np.full((1, 2, 2), 0.5), 0.0, "step_size is 0.0; it must be above 0"),
    ],
)
def test_a_mixture_that_does_not_fit_says_so(controllers, step_size, said):
    with pytest.raises(ModelError, match=said):
        pgtheory.ImproperPG(step_size, controllers).start(mdps.zoo.two_state())


@given(SEEDS)
def test_the_stateful_gradient_is_differences_of_the_joint_chain(seed):
    rng = np.random.default_rng(seed)
    transitions, rewards, discount, start = model(rng, 3, 2)
    observe, first = rng.dirichlet(np.ones(2), (1, 3)), rng.dirichlet(np.ones(2), 1)
    logits = rng.normal(size=(2, 2, 2, 2))

    def controller(x):
        return arithmetic.softmax(x.reshape(4, 4)).reshape(1, 2, 2, 2, 2)

    def value(x):
        pi, joint, paid = controller(x)[0], np.zeros((6, 6)), np.zeros(6)
        for s, z, o, a, y in itertools.product(range(3), range(2), range(2), range(2), range(2)):
            likely = observe[0, s, o] * pi[o, z, a, y]
            paid[2 * s + z] += likely * rewards[0, s, a]
            joint[2 * s + z, np.arange(3) * 2 + y] += likely * transitions[0, s, a]
        return np.outer(start[0], first[0]).reshape(-1) @ np.linalg.solve(np.eye(6) - discount[0] * joint, paid)

    found = stateful.stateful_gradient(controller(logits), observe, first, transitions, rewards, discount, start)[0]
    assert found == pytest.approx(differences(value, logits), abs=DIFFERENCE)


def horizon(rng, stages, states, actions):
    return mdps.FiniteHorizon(
        rng.dirichlet(np.ones(states), (stages, states, actions)), rng.random((stages, states, actions)), start=rng.dirichlet(np.ones(states))
    )


@given(SEEDS)
def test_the_gradient_of_stage_policies_is_differences(seed):
    rng = np.random.default_rng(seed)
    problem = horizon(rng, 3, 2, 2)
    moves, paid, start = horizon_gradient.stacked(problem)
    logits = rng.normal(size=(3, 2, 2))

    def value(x):
        ahead = np.zeros(2)
        for h in (2, 1, 0):
            ahead = (arithmetic.softmax(x[h]) * (paid[h] + moves[h] @ ahead)).sum(axis=1)
        return start @ ahead

    found = horizon_gradient.stage_gradient(arithmetic.softmax(logits)[None], moves[None], paid[None], start[None])[0]
    assert found == pytest.approx(differences(value, logits), abs=DIFFERENCE)


def test_both_trainings_reach_the_value_of_backward_induction():
    problem = horizon(np.random.default_rng(0), 3, 3, 2)
    best = pgtheory.solve_finite_horizon(problem)
    start = np.asarray(problem.start, dtype=float)
    policies, gains = pgtheory.simultaneous_pg(problem, 2 / 3, 4000)
    optimum = float(start @ np.asarray(best.values[0], dtype=float))
    assert (np.diff(gains) >= -1e-12).all()  # step 2/H: never worse, but for rounding
    assert gains[-1] == pytest.approx(optimum, abs=0.02)
    trained = pgtheory.dynamic_pg(problem, 4000)
    moves, paid, _ = horizon_gradient.stacked(problem)
    value = horizon_gradient.stage_values(trained[None], moves[None], paid[None])[0][0, 0] @ start
    assert value == pytest.approx(optimum, abs=0.02)
    assert policies.shape == trained.shape == (3, 3, 2)


def test_terminal_rewards_and_a_discount_are_part_of_the_return():
    plain = mdps.FiniteHorizon([[[[1, 0], [0, 1]], [[0, 1], [0, 1]]]] * 2, [[[0, 0], [0, 0]]] * 2, terminal=[0, 1], start=[1, 0], discount="1/2")
    _, gains = pgtheory.simultaneous_pg(plain, 1.0, 0)
    assert gains[0] == pytest.approx(0.25 * 0.75)  # uniform: in state 1 after two steps with probability 3/4, discounted twice


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda p: pgtheory.simultaneous_pg(p, 0, 1), "step_size is 0"),
        (lambda p: pgtheory.dynamic_pg(p, 0), "iterations is 0; it must be at least 1"),
        (lambda p: pgtheory.dynamic_pg(p, 1, weights=np.zeros((3, 2))), "weights must be positive"),
    ],
)
def test_bad_settings_of_a_training_are_named(call, said):
    with pytest.raises(ModelError, match=said):
        call(horizon(np.random.default_rng(1), 3, 2, 2))


def regulator(rng, n=2, m=1, discount=1.0):
    root, begin = rng.normal(size=(n, n)), rng.normal(size=(n, n))
    closed = rng.uniform(-0.45, 0.45, (n, n))
    b, k = rng.normal(size=(n, m)), rng.normal(size=(m, n))
    scale = np.sqrt(discount)
    problem = LinearQuadratic.of(
        closed / scale + b @ k, b, root @ root.T + 0.1 * np.eye(n), np.eye(m) * rng.uniform(0.2, 2), begin @ begin.T + 0.1 * np.eye(n), discount
    )
    return problem, k[None]


@given(SEEDS)
def test_cost_and_gradient_of_a_regulator_are_simulated_sums_and_differences(seed):
    problem, gain = regulator(np.random.default_rng(seed))
    moments, total = problem.start[0].copy(), 0.0
    closed = problem.closed_loop(gain)[0]
    stage = problem.Q[0] + gain[0].T @ problem.R[0] @ gain[0]
    for _ in range(400):
        total += float((stage * moments).sum())
        moments = closed @ moments @ closed.T
    assert problem.cost(gain)[0] == pytest.approx(total, rel=1e-9)
    slopes = differences(lambda k: problem.cost(k[None])[0], gain[0])
    assert problem.gradient(gain)[0] == pytest.approx(slopes, rel=1e-5, abs=1e-5 * max(1.0, abs(slopes).max()))


@given(SEEDS)
def test_gauss_newton_ends_at_the_riccati_gain_and_natural_gradient_descends(seed):
    problem, gain = regulator(np.random.default_rng(seed), n=3, m=2, discount=0.9)
    best = problem.optimal_gain()
    moved = gain
    for _ in range(30):
        moved = problem.gauss_newton(moved)
    assert problem.cost(moved)[0] == pytest.approx(problem.cost(best)[0], rel=1e-9)
    assert np.abs(problem.residual(best)).max() <= 1e-6 * max(1.0, np.abs(problem.cost_matrix(best)).max())
    weight = np.linalg.norm(problem.weight(problem.cost_matrix(gain))[0], 2)
    assert problem.cost(problem.natural_gradient(gain, 1 / (2 * weight)))[0] <= problem.cost(gain)[0] * (1 + 1e-12)
    assert problem.is_stable(best)[0]


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (([[1, 0]], [[1]], [[1]], [[1]]), r"A has shape \(1, 2\)"),
        (([[1.0]], [[1.0]], [[1.0]], [[0.0]]), "R has the eigenvalue 0; it must be above 0"),
        (([[1.0]], [[1.0]], [[-1.0]], [[1.0]]), "Q has the eigenvalue -1; it must be at least 0"),
        (([[np.nan]], [[1.0]], [[1.0]], [[1.0]]), "A has an entry that is not finite"),
        ((np.eye(2), np.ones((2, 1)), [[1, 1], [0, 1]], [[1.0]]), "Q is not symmetric"),
    ],
)
def test_a_regulator_that_is_none_says_why(arrays, said):
    with pytest.raises(ModelError, match=said):
        LinearQuadratic.of(*arrays)
