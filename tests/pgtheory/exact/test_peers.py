"""The same problems solved by other libraries, those that are installed: `pytest -m peer`.  None of them proves bounds, so their answers are
compared with ours to the accuracy that they were asked for."""

from __future__ import annotations

import contextlib
import io as text_io
from pathlib import Path

import numpy as np
import pytest

import mdps
from mdps import io
from pgtheory.exact import reachability, solve, solve_average, solve_finite_horizon, total_reward

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]
DATA = Path(__file__).parents[2] / "data" / "qvbs"
MODELS = {
    "garnet": lambda: mdps.random.garnet(30, 4, 3, 1, discount=0.95),
    "garnet, sparse": lambda: mdps.random.garnet(60, 3, 4, 2, discount=0.9, sparse=True),
    "dirichlet": lambda: mdps.random.dirichlet(20, 3, 3, discount=0.99),
    "deterministic": lambda: mdps.random.deterministic(25, 4, 4, discount=0.9),
    "frozen lake": lambda: mdps.zoo.frozen_lake(4),
    "grid": lambda: mdps.random.grid(6, 7, 5, discount=0.98),
}


@pytest.fixture(params=list(MODELS))
def mdp(request):
    return MODELS[request.param]()


def test_quantecon(mdp):
    markov = pytest.importorskip("quantecon.markov")
    ddp = markov.DiscreteDP(*io.to_quantecon(mdp))
    found = ddp.solve(method="policy_iteration")
    ours = solve(mdp, tol=1e-10)
    np.testing.assert_allclose(found.v, ours.values, rtol=0, atol=1e-8)
    assert np.all(ours.optimal_actions[np.arange(mdp.num_states), found.sigma])
    horizon = solve_finite_horizon(mdp, 7, discount=mdp.discount)
    values, _ = markov.backward_induction(ddp, 7)
    np.testing.assert_allclose(values[0], horizon.values[0], rtol=0, atol=1e-10)


def test_mdptoolbox(mdp):
    pytest.importorskip("hiive.mdptoolbox")
    from hiive.mdptoolbox.mdp import PolicyIteration

    transitions, rewards = io.to_mdptoolbox(mdp, sparse=False)
    run = PolicyIteration(transitions, rewards, mdp.discount, max_iter=1000, eval_type="matrix")
    with contextlib.redirect_stdout(text_io.StringIO()):
        run.run()
    np.testing.assert_allclose(run.V, solve(mdp, tol=1e-10).values, rtol=0, atol=1e-7)


def test_mdpsolver(mdp):
    mdpsolver = pytest.importorskip("mdpsolver")
    model = mdpsolver.model()
    dense = mdp.transitions
    model.mdp(discount=mdp.discount, rewards=mdp.rewards.tolist(), tranMatWithZeros=dense.tolist())
    with contextlib.redirect_stdout(text_io.StringIO()):
        model.solve(algorithm="mpi", tolerance=1e-9)
    np.testing.assert_allclose(model.getValueVector(), solve(mdp, tol=1e-10).values, rtol=0, atol=1e-7)


def storm_answer(tmp_path, labelled, question) -> np.ndarray:
    """What Storm says about the files that are written here, (S,); optimistic value iteration, which it calls sound, to 1e-6."""
    stormpy = pytest.importorskip("stormpy")
    from stormpy import environments

    io.write_prism(labelled, tmp_path / "model.tra", storm=True)
    rewards = tmp_path / "model.trew"
    built = stormpy.build_model_from_explicit(
        str(tmp_path / "model.tra"), str(tmp_path / "model.lab"), transition_rewards=str(rewards) if rewards.exists() else None
    )
    environment = environments.default(built)
    solver = environment.solver() if callable(environment.solver) else environment.solver
    settings = solver.min_max() if callable(solver.min_max) else solver.min_max
    settings.method = environments.MinMaxMethod.OPTIMISTIC_VALUE_ITERATION
    settings.precision = environments.Rational("1/1000000")
    settings.relative_termination_criterion = False
    found = stormpy.model_checking(built, stormpy.parse_properties(question)[0], environment=environment, extract_scheduler=False)
    return np.array(found.get_value_vector())


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("direction", ["max", "min"])
def test_storm_agrees_on_reachability_from_our_files(tmp_path, seed, direction):
    """End components and unreachable targets included."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((24, 12))
    for row in rows:
        hit = rng.choice(12, size=int(rng.integers(1, 4)), replace=False)
        row[hit] = rng.multinomial(8, np.full(hit.size, 1 / hit.size)) / 8
    model = mdps.MDP.from_choices(np.arange(13) * 2, rows, np.zeros(24), 0.0, np.eye(12)[0])
    goal = rng.random(12) < 0.2
    theirs = storm_answer(tmp_path, mdps.Labelled(model, {"goal": goal}), f'P{direction}=? [F "goal"]')
    np.testing.assert_allclose(theirs, reachability(model, goal, direction).values, rtol=0, atol=2e-6)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("direction", ["max", "min"])
def test_storm_agrees_on_total_rewards_from_our_files(tmp_path, seed, direction):
    rng = np.random.default_rng(100 + seed)
    rows = np.zeros((20, 10))
    for row in rows:
        hit = rng.choice(10, size=int(rng.integers(1, 4)), replace=False)
        row[hit] = rng.multinomial(16, np.full(hit.size, 1 / hit.size)) / 16
    rewards = rng.choice([0.0, 1.0, 2.5], size=20)
    model = mdps.MDP.from_choices(np.arange(11) * 2, rows, np.zeros(20), 0.0, np.eye(10)[0])
    goal = np.arange(10) >= 8
    theirs = storm_answer(tmp_path, mdps.Labelled(model, {"goal": goal}, {"cost": rewards}), f'R{direction}=? [F "goal"]')
    ours = total_reward(model, goal, direction, rewards=rewards)
    np.testing.assert_array_equal(np.isinf(theirs), np.isinf(ours.values))
    finite = np.isfinite(theirs)
    np.testing.assert_allclose(theirs[finite], ours.values[finite], rtol=0, atol=2e-6)


@pytest.mark.parametrize("seed", range(6))
def test_mdptoolbox_agrees_on_the_average_reward(seed):
    pytest.importorskip("hiive.mdptoolbox")
    from hiive.mdptoolbox.mdp import RelativeValueIteration

    mdp = mdps.random.dirichlet(8, 3, seed)
    run = RelativeValueIteration(*io.to_mdptoolbox(mdp), epsilon=1e-10, max_iter=100_000)
    run.gamma = 1.0  # which the class forgets to set
    with contextlib.redirect_stdout(text_io.StringIO()):
        run.run()
    np.testing.assert_allclose(run.average_reward, solve_average(mdp).gain, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", list(MODELS))
def test_cvxpy_finds_the_same_linear_program(name):
    """minimise sum V subject to V >= r + gamma P V, by whatever solver cvxpy picks; good to its own tolerance, 1e-6 of the largest value or so."""
    cvxpy = pytest.importorskip("cvxpy")
    mdp = MODELS[name]()
    V = cvxpy.Variable(mdp.num_states)
    states = np.repeat(np.arange(mdp.num_states), np.diff(mdp.first_pair))
    program = cvxpy.Problem(cvxpy.Minimize(cvxpy.sum(V)), [V[states] >= mdp.pair_rewards + mdp.discount * (mdp.choices @ V)])
    program.solve()
    ours = solve(mdp).values
    np.testing.assert_allclose(V.value, ours, rtol=0, atol=1e-5 * (1 + np.max(np.abs(ours))) / (1 - mdp.discount))
