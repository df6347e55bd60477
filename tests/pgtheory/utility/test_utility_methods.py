"""Frank-Wolfe, ascent and features on utilities: rates with their constants at every step, optima, mixtures, large models, pictures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdps import random, zoo
from mdps.errors import ModelError
from mdps.model import MDP
from mdps.zoo.utilities import bandit
from pgtheory import arithmetic
from pgtheory.exact.evaluation import occupancy
from pgtheory.sampling import all_paths
from pgtheory.sampling.directions import path_weights
from pgtheory.utility import (
    Entropy,
    Linear,
    OfFeatures,
    Quadratic,
    SmoothedEntropy,
    SoftWorst,
    SquaredDistance,
    feature_expectations,
    fitted_occupancy,
    mixture_policy,
    normalised_ascent,
    run_frank_wolfe,
    sampled_ascent,
    sampled_features,
    softmax_smoothness,
    solve_utility,
    utility_gradient_ascent,
)  # fmt: skip
from pgtheory.utility.ascent import _counts
from pgtheory.utility.pictures import coordinates, plot_occupancies

SHAPE = (3, 2)


def _model(seed: int = 3, discount: float = 0.8) -> MDP:
    return random.dirichlet(*SHAPE, seed, discount=discount)


def _utility(kind: str, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    return {
        "squared": lambda: SquaredDistance(rng.dirichlet(np.full(6, 0.3)).reshape(SHAPE)),
        "outside": lambda: SquaredDistance(2 * rng.standard_normal(SHAPE)),
        "entropy": lambda: SmoothedEntropy(0.1, "inside", "pairs"),
        "soft": lambda: SoftWorst(rng.random((2, *SHAPE)), beta=5.0),
        "quadratic": lambda: Quadratic(rng.random(6), np.diag(rng.random(6))),
    }[kind]()


@given(st.integers(0, 10**6), st.sampled_from(["squared", "outside", "entropy", "soft", "quadratic"]), st.sampled_from([0.0, 0.5, 0.95]))
@settings(max_examples=8)
def test_frank_wolfe_is_below_its_bound_at_every_step(seed: int, kind: str, discount: float) -> None:
    """F* - F(x_t) <= 2 L D^2 / (t + 2) for t >= 1, with F* between the conic program's value and its proved bound; both step rules."""
    mdp, utility = _model(seed % 19, discount), _utility(kind, seed)
    best = solve_utility(mdp, utility)
    start = np.eye(2)[np.random.default_rng(seed).integers(0, 2, 3)]
    for rule in ("open-loop", "line-search"):
        found = run_frank_wolfe(mdp, utility, 15, initial=start, rule=rule)
        assert np.all(best.value - found.values[1:] <= found.bound()[1:])
        assert np.all(found.values <= best.upper + 1e-12) and np.all(found.uppers >= best.value - 1e-12)
        assert found.gap >= best.value - found.values[-1] - 1e-12
        if rule == "line-search":
            assert np.all(np.diff(found.values) >= -1e-13)


def test_half_the_constant_would_be_refuted() -> None:
    """20 arms, uniform target, start at a vertex: the largest ratio to the bound over t is above a third, so the constant is right to a factor of 3."""
    mdp = bandit(20)
    utility = SquaredDistance(np.full((1, 20), 0.05))
    found = run_frank_wolfe(mdp, utility, 40, initial=np.eye(20)[:1])
    assert 1 / 3 < np.max(-found.values[1:] / found.bound()[1:]) <= 1


def test_entropy_has_no_bound_but_a_certificate() -> None:
    """The entropy is not smooth; Frank-Wolfe still proves how far it is, also from a start on the boundary."""
    mdp = zoo.line(4, "9/10")
    found = run_frank_wolfe(mdp, Entropy(), 60, initial=np.tile([1.0, 0.0], (4, 1)), rule="line-search")
    assert math.isinf(found.bound()[-1]) and found.values[0] == 0
    assert found.gap < 1e-3 and found.values[-1] <= solve_utility(mdp, Entropy()).upper
    early = run_frank_wolfe(mdp, Entropy(), 1000, rule="line-search", tolerance=0.01)
    assert early.gap <= 0.01 and early.steps.size < 100


def test_a_mixture_is_one_stationary_policy_and_not_the_average_of_policies() -> None:
    """Two states, stay or leave, the second absorbing, discount 1/2: averaged policy d(0) = 2/3, averaged occupancy 3/4."""
    chain = MDP([[[1, 0], [0, 1]], [[0, 1], [0, 1]]], np.zeros((2, 2)), "1/2", [1, 0])
    stay, leave = np.array([[1.0, 0], [1, 0]]), np.array([[0.0, 1], [1, 0]])
    mixed = mixture_policy(chain, [stay, leave], [0.5, 0.5])
    assert occupancy(chain, (stay + leave) / 2)[0].sum() == pytest.approx(2 / 3, abs=1e-15)
    assert occupancy(chain, mixed)[0].sum() == pytest.approx(3 / 4, abs=1e-15)
    with pytest.raises(ModelError, match="with sum 1"):
        mixture_policy(chain, [stay, leave], [0.5, 0.4])


@given(st.integers(0, 10**6), st.sampled_from(["squared", "entropy", "soft"]), st.sampled_from([0.0, 0.7]))
@settings(max_examples=8)
def test_one_step_inequalities_hold_along_runs(seed: int, kind: str, discount: float) -> None:
    """Exact and sampled: the rise is at least alpha |grad| - 2 alpha |m - grad| - L alpha^2 / 2; plain ascent with 1 / L at least |grad|^2 / (2 L)."""
    mdp, utility = _model(seed % 19, discount), _utility(kind, seed)
    logits = np.random.default_rng(seed).standard_normal(SHAPE)
    plain = utility_gradient_ascent(mdp, utility, 20, initial=logits)
    assert np.all(plain.slack >= -1e-13) and np.all(np.diff(plain.values) >= -1e-13)
    assert np.all(plain.promised >= plain.norms[:-1] ** 2 / (2 * softmax_smoothness(mdp, utility)) * (1 - 1e-12))
    exact = normalised_ascent(mdp, utility, 20, step_size=0.2, initial=logits)
    assert np.all(exact.slack >= -1e-13) and np.all(exact.errors == 0)
    sampled = sampled_ascent(mdp, utility, 6, step_size=0.1, batch=4, horizon=6, seed=seed, initial=logits)
    assert np.all(sampled.slack >= -1e-13) and np.all(sampled.errors > 0)
    lengths = np.sqrt(np.sum(np.diff(sampled.logits, axis=0) ** 2, axis=(1, 2)))
    assert np.allclose(lengths, 0.1, rtol=1e-12)


@pytest.mark.parametrize("kind", ["squared", "entropy", "soft", "quadratic"])
def test_ascent_reaches_the_optimum_of_the_conic_program(kind: str) -> None:
    """Last iterate; the mixture of all iterates has at least their mean utility (concavity)."""
    mdp, utility = _model(), _utility(kind, 5)
    best = solve_utility(mdp, utility)
    run = normalised_ascent(mdp, utility, 150, step_size=1.0, decay=0.5)
    assert best.value - run.values[-1] < 0.02 * (best.value - run.values[0]) + 1e-3
    assert utility.value(run.average) >= run.values.mean() - 1e-13
    assert run.values.max() <= best.upper + 1e-12


@pytest.mark.parametrize("name", ["U4", "U5", "U12"])
def test_every_method_reaches_the_instances_of_the_table(name: str) -> None:
    """Frank-Wolfe, plain, normalised and sampled ascent on instances with exact optima."""
    from pgtheory.utility import utility_of

    case = zoo.utility_case(name)
    utility, optimum = utility_of(*case.utility), float(case.optimum)
    assert optimum - run_frank_wolfe(case.problem, utility, 80).values[-1] < 2e-3
    assert optimum - utility_gradient_ascent(case.problem, utility, 150, step_size=8.0).values[-1] < 2e-3
    assert optimum - normalised_ascent(case.problem, utility, 120, step_size=1.0, decay=0.5).values[-1] < 2e-3
    run = sampled_ascent(case.problem, utility, 60, step_size=0.15, batch=16, horizon=10, seed=1)
    assert optimum - run.values[-20:].mean() < 0.02


@pytest.mark.parametrize("name", ["U1", "U2b", "U2c", "U3a", "U6", "U10", "U11", "U13b", "U14"])
def test_methods_without_a_smoothness_constant_reach_the_table_too(name: str) -> None:
    """Logarithms and roots: Frank-Wolfe with line search and normalised ascent, whose theorem says nothing here, end at the exact optimum all the same."""
    from pgtheory.utility import utility_of

    case = zoo.utility_case(name)
    utility, optimum = utility_of(*case.utility), case.optimum
    exact = float(optimum().mid()) if callable(optimum) else float(optimum)
    found = run_frank_wolfe(case.problem, utility, 40, rule="line-search")
    assert exact - found.values[-1] < 5e-3 and found.upper >= exact - 1e-12
    shape = (case.problem.num_states, case.problem.num_actions)
    ascent = normalised_ascent(case.problem, utility, 120, step_size=1.0, decay=0.6, initial=np.random.default_rng(0).standard_normal(shape))
    assert -1e-12 <= exact - ascent.values.max() < 5e-3
    assert np.all(np.isneginf(ascent.promised))


@pytest.mark.parametrize("name", ["U7", "U8", "U9"])
def test_max_min_instances_by_multiplicative_weights(name: str) -> None:
    """The corner that Frank-Wolfe does not turn: Hedge over the objectives is within R sqrt(log m / (2 T)) of the exact optimum, from both sides."""
    from mdps.rational import rational_array
    from pgtheory.multi_objective import hedged_weights

    case = zoo.utility_case(name)
    found = hedged_weights(case.problem, rational_array(case.utility[1]["rewards"]), 300)
    exact = float(case.optimum)
    assert found.worst <= exact + 1e-12 <= found.upper + 2e-12 and exact - found.worst <= found.bound == pytest.approx(math.sqrt(math.log(2) / 600))


@pytest.mark.exact
def test_weighted_counts_of_old_policies_are_unbiased_by_enumeration() -> None:
    """E over paths of the new policy of w u = E over paths of the old one of u: the correction of the momentum has mean 0."""
    mdp, rng = _model(discount=0.5), np.random.default_rng(0)
    new, old = rng.dirichlet(np.ones(2), 3), rng.dirichlet(np.ones(2), 3)
    drawn, meant = all_paths(mdp, new, 3), all_paths(mdp, old, 3)
    weighted = drawn.probabilities * path_weights(old, new, drawn)  # type: ignore[arg-type]
    left = np.einsum("n,nsa->sa", weighted, _counts(mdp, drawn))
    right = np.einsum("n,nsa->sa", meant.probabilities, _counts(mdp, meant))
    assert np.abs(left - right).max() < 1e-14
    assert abs(right.sum() - (1 - 0.5**3)) < 1e-14  # three steps see all but discount^3
    plain = np.einsum("n,nsa->sa", drawn.probabilities, _counts(mdp, drawn))
    assert np.abs(plain - right).max() > 1e-3  # the control: without the weight it is the new policy's occupancy


@pytest.mark.statistical
def test_momentum_averages_over_steps() -> None:
    """Nearly no motion, fixed seed: the error with momentum 1/5 has the variance 1/9 of that of fresh batches, so a third of its size; 0.7 leaves room.

    Without the correction m would tend to five times the gradient."""
    mdp, utility = _model(discount=0.5), _utility("outside", 1)
    sizes = [sampled_ascent(mdp, utility, 30, step_size=1e-4, momentum=eta, batch=8, horizon=8, seed=2).errors[-20:].mean() for eta in (0.2, 1.0)]
    assert sizes[0] < 0.7 * sizes[1]


def test_the_same_seed_gives_the_same_run() -> None:
    mdp, utility = _model(), _utility("squared", 1)
    runs = [sampled_ascent(mdp, utility, 5, seed=seed, horizon=8, batch=5).values for seed in (3, 3, 4)]
    assert np.array_equal(runs[0], runs[1]) and not np.array_equal(runs[0], runs[2])


@given(st.integers(0, 10**6))
@settings(max_examples=10)
def test_features_by_occupancy_by_values_and_by_fitting(seed: int) -> None:
    """Two ways to the same means; a fit from them is exact where the occupancy is in the span, and a projection where not."""
    mdp, rng = _model(seed % 7, 0.9), np.random.default_rng(seed)
    policy, phi = rng.dirichlet(np.ones(2), 3), rng.standard_normal((*SHAPE, 3))
    z = feature_expectations(mdp, policy, phi)
    assert np.abs(z - feature_expectations(mdp, policy, phi, by="values")).max() < 1e-12
    d = occupancy(mdp, policy)
    fitted = fitted_occupancy(phi, z)
    assert np.abs(np.einsum("sa,sak->k", fitted - d, phi)).max() < 1e-11  # the residual is orthogonal to the span
    spanning = np.concatenate([phi[..., :1], d[..., None]], axis=2)
    assert np.abs(fitted_occupancy(spanning, feature_expectations(mdp, policy, spanning)) - d).max() < 1e-9
    L = 1.0  # the squared distance: its gradient at the fit is off by exactly the distance of the fit
    wrong = SquaredDistance(d).gradient(fitted) - SquaredDistance(d).gradient(d)
    assert np.linalg.norm(wrong) <= L * np.linalg.norm(fitted - d) * (1 + 1e-12)


@pytest.mark.statistical
def test_sampled_features_are_within_their_stated_errors() -> None:
    """400 paths, fixed seed: off by at most bias + 4.9 standard errors in 4 features (a normal law: level 4e-6)."""
    mdp, rng = _model(discount=0.9), np.random.default_rng(5)
    policy, phi = rng.dirichlet(np.ones(2), 3), rng.random((*SHAPE, 4))
    found = sampled_features(mdp, policy, phi, 400, horizon=60, seed=11)
    z = feature_expectations(mdp, policy, phi)
    assert np.all(np.abs(found.means - z) <= found.bias + 4.9 * found.errors)
    assert found.bias == pytest.approx(0.9**60 * np.sqrt((phi**2).sum(axis=2).max()))


def test_a_utility_of_features_on_a_large_sparse_model() -> None:
    """400 states, 4 features: Frank-Wolfe needs the features' gradient only, and its certificate closes on the target of a known policy."""
    grid = random.grid(20, 20, 0, discount=0.95, sparse=True)
    rng = np.random.default_rng(0)
    phi = rng.random((grid.num_states, grid.num_actions, 4))
    expert = np.eye(grid.num_actions)[rng.integers(0, grid.num_actions, grid.num_states)]
    utility = OfFeatures(SquaredDistance(feature_expectations(grid, expert, phi)), phi)
    found = run_frank_wolfe(grid, utility, 8, rule="line-search")
    assert found.upper >= -1e-12 and -found.values[-1] < 0.1 * -found.values[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda m: run_frank_wolfe(m, Entropy(), 0), "iterations is 0"),
        (lambda m: run_frank_wolfe(m, Entropy(), 1, rule="open"), "Did you mean open-loop"),
        (lambda m: utility_gradient_ascent(m, Entropy(), 3), "no smoothness constant"),
        (lambda m: normalised_ascent(m, Entropy(), 3, step_size=0), "step_size is 0"),
        (lambda m: normalised_ascent(m, Entropy(), 3, decay=2), "decay is 2"),
        (lambda m: normalised_ascent(m, Entropy(), 3, initial=np.full((3, 2), np.inf)), "finite logits"),
        (lambda m: sampled_ascent(m, Entropy(), 3), "take a smoothed one"),
        (lambda m: sampled_ascent(m, Linear(np.zeros((3, 2))), 3, momentum=0), "momentum is 0"),
        (lambda m: sampled_features(m, np.full((3, 2), 0.5), np.zeros((3, 2, 1)), 1), "at least 2"),
        (lambda m: feature_expectations(m, np.full((3, 2), 0.5), np.zeros((2, 2, 1))), "this model takes"),
        (lambda m: fitted_occupancy(np.ones((3, 2, 2)), np.ones(2)), "have rank 1"),
        (lambda m: coordinates(m), "3 states and 2 actions"),
    ],
)
def test_bad_input(make: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make(_model())


def test_the_picture_shows_polygon_path_and_optimum() -> None:
    """Two states with two actions: the path stays inside the polygon, the star is at the optimum, level lines are there."""
    mdp, utility = zoo.switch("1/2"), SmoothedEntropy(0.1, over="pairs")
    best = solve_utility(mdp, utility)
    run = run_frank_wolfe(mdp, utility, 15)
    ax = plot_occupancies(mdp, utility, {"Frank-Wolfe": run.occupancies}, best.occupancy, points=15)
    lines = {line.get_gid(): line for line in ax.lines}
    assert {"polytope", "path Frank-Wolfe", "best"} <= set(lines)
    x, y = lines["polytope"].get_data()
    px, py = lines["path Frank-Wolfe"].get_data()
    assert len(px) == 16 and px.min() >= min(x) - 1e-9 and px.max() <= max(x) + 1e-9 and py.max() <= max(y) + 1e-9
    assert lines["best"].get_data()[0][0] == pytest.approx(best.occupancy[0, 0]) and len(ax.collections) >= 1
    arms = plot_occupancies(bandit(3), Entropy("pairs"), {}, points=9)
    assert arms.get_title(loc="left") == "level lines of entropy on the occupancies"
    assert arithmetic.softmax(np.zeros((1, 3))).sum() == pytest.approx(1)
