"""Utilities of the occupancy: gradients and constants by differences, certificates, concavity, bad input."""

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
from mdps.rational import rational_array
from pgtheory import arithmetic, solve
from pgtheory.exact.evaluation import occupancy
from pgtheory.exact.linear_program import dual_occupancy
from pgtheory.utility import (
    Entropy,
    KLDistance,
    L1Distance,
    Linear,
    LogDet,
    LogSum,
    Nash,
    OfFeatures,
    PowerSum,
    Quadratic,
    SmoothedEntropy,
    SoftWorst,
    SquaredDistance,
    Sum,
    UserUtility,
    Utility,
    Worst,
    check_concave,
    check_domination,
    concavity_defect,
    parse_utility,
    run_frank_wolfe,
    softmax_smoothness,
    solve_utility,
    utility_gradient,
)  # fmt: skip
from tests.tolerances import EPS

SHAPE = (3, 2)
RNG = np.random.default_rng(7)
NU = RNG.dirichlet(np.ones(6)).reshape(SHAPE)
REWARDS = RNG.random((3, *SHAPE))
FEATURES = RNG.random((*SHAPE, 3))
SMOOTH: dict[str, Utility] = {
    "inside": SmoothedEntropy(0.1, "inside", "pairs"),
    "both": SmoothedEntropy(0.2, "both", "pairs"),
    "log": SmoothedEntropy(0.3, "log"),
    "states": SmoothedEntropy(0.1),
    "squared": SquaredDistance(NU),
    "quadratic": Quadratic(REWARDS[0].ravel(), np.diag(np.arange(1.0, 7.0))),
    "linear": Linear(REWARDS[1]),
    "soft": SoftWorst(REWARDS, beta=4.0, chances=[0.2, 0.3, 0.5]),
    "features": OfFeatures(SquaredDistance(np.array([0.1, 0.2, 0.3])), FEATURES),
    "sum": Sum(((1.0, Linear(REWARDS[0])), (0.5, SmoothedEntropy(0.2))), SHAPE),
}
ROUGH: dict[str, Utility] = {
    "entropy": Entropy(),
    "entropy-pairs": Entropy("pairs"),
    "kl": KLDistance(NU),
    "forward-kl": KLDistance(NU, forward=True),
    "l1": L1Distance(NU),
    "power": PowerSum(np.ones(SHAPE), 0.3),
    "log-sum": LogSum(NU),
    "worst": Worst(REWARDS),
    "nash": Nash(REWARDS),
    "log-det": LogDet(FEATURES),
    "mixed": Sum(((2.0, Worst(REWARDS)), (0.1, Entropy("pairs"))), SHAPE),
}
ALL = SMOOTH | ROUGH


def _model(seed: int = 3, discount: float = 0.8) -> MDP:
    return random.dirichlet(*SHAPE, seed, discount=discount)


def _numeric(function: Any, x: np.ndarray, step: float = 2.0**-20) -> np.ndarray:
    out = np.zeros_like(x)
    for k in range(x.size):
        h = np.zeros(x.size)
        h[k] = step
        out.flat[k] = (function(x + h.reshape(x.shape)) - function(x - h.reshape(x.shape))) / (2 * step)
    return out


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("worst", "l1", "mixed")])
def test_gradients_are_central_differences(name: str) -> None:
    """Step 2^-20: rounding 2^-53 |F| / step = 1e-10 times |F| <= 20, truncation step^2 F''' / 6 with x >= 1/100: below 1e-6."""
    utility = ALL[name]
    x = np.random.default_rng(1).dirichlet(np.full(utility.size(SHAPE), 5.0))
    x = (x + 0.05) / (x + 0.05).sum()
    assert np.abs(_numeric(utility.of, x) - utility.slope(x)).max() < 1e-6 * max(1, np.abs(utility.slope(x)).max())


@pytest.mark.parametrize("name", list(SMOOTH))
def test_smoothness_and_range_are_never_exceeded_and_the_former_is_nearly_attained(name: str) -> None:
    """|grad F(x) - grad F(y)| <= L |x - y| on the simplex, and ranges of gradients; entropies are attained at x = 0."""
    utility, rng = SMOOTH[name], np.random.default_rng(2)
    size = utility.size(SHAPE)
    ratio = 0.0
    for _ in range(300):
        x, y = rng.dirichlet(np.full(size, 10.0 ** rng.uniform(-2, 1)), 2)
        y = x + 10.0 ** rng.uniform(-4, 0) * (y - x)
        g, h = utility.slope(x), utility.slope(y)
        far = np.linalg.norm(x - y)
        if far > 1e-9:
            inner = (g - h) - (g - h).mean()  # a constant in a gradient is no part of it on the simplex
            ratio = max(ratio, float(np.linalg.norm(inner)) / far)
        assert np.ptp(g) <= utility.slope_range(size) * (1 + 8 * EPS) + 8 * EPS
    assert ratio <= utility.smoothness * (1 + 1e-6) + 1e-6
    if name in ("inside", "both", "log", "states", "squared", "linear"):
        assert ratio >= 0.5 * utility.smoothness


@pytest.mark.parametrize(("form", "figure"), [("inside", 2), ("both", 1), ("log", None)])
def test_constants_of_the_smoothed_entropies_are_second_derivatives_at_zero(form: Any, figure: int | None) -> None:
    sigma, step = 0.01, 1e-6
    slope = SmoothedEntropy(sigma, form).slope(np.array([0.0, step]))
    expected = figure / sigma if figure else 1 / sigma**2
    assert SmoothedEntropy(sigma, form).smoothness == pytest.approx(expected)
    assert (slope[0] - slope[1]) / step == pytest.approx(expected, rel=3 * step / sigma)


@pytest.mark.parametrize("name", list(ALL))
def test_tangents_lie_above_and_the_optimum_is_certified(name: str) -> None:
    """No random policy exceeds the proved bound of the conic program's certificate, nor of a tangent at any point; the gap closes."""
    mdp, utility = _model(), ALL[name]
    best = solve_utility(mdp, utility)
    rng = np.random.default_rng(4)
    for _ in range(20):
        d = occupancy(mdp, rng.dirichlet(np.full(2, 10.0 ** rng.uniform(-2, 1)), 3))
        other = occupancy(mdp, rng.dirichlet(np.ones(2), 3))
        assert utility.value(d) <= best.upper + 1e-12
        constant, reward = utility.tangent(other)
        assert utility.value(d) <= constant + (reward * d).sum() + 1e-12
    assert (
        -1e-12 <= best.gap <= (1e-5 if name == "mixed" else 1e-7)
    )  # Newton steps end in rounding; a corner has none: first order in the program's error
    assert np.abs(occupancy(mdp, best.policy) - best.occupancy).max() < 1e-14


def test_a_linear_utility_is_the_ordinary_problem() -> None:
    mdp = _model()
    best = solve_utility(mdp, Linear(mdp.rewards))
    assert best.value == pytest.approx((1 - mdp.discount) * float(mdp.start @ solve(mdp).values), abs=1e-8)
    assert best.value == pytest.approx(float((dual_occupancy(mdp) * mdp.rewards).sum()), abs=1e-7)


def test_models_whose_states_have_different_numbers_of_actions() -> None:
    """The conic program and Frank-Wolfe leave absent actions alone; the law is that of the same model with the action doubled."""
    rows = [[0.5, 0.5], [0.1, 0.9], [1.0, 0.0]]
    ragged = MDP.from_choices([0, 2, 3], np.array(rows), [0.0, 0.0, 0.0], 0.7, [1.0, 0.0])
    square = MDP(np.array([rows[:2], [rows[2], rows[2]]]), np.zeros((2, 2)), 0.7, [1.0, 0.0])
    best, same = solve_utility(ragged, Entropy()), solve_utility(square, Entropy())
    assert best.value == pytest.approx(same.value, abs=1e-8) and best.policy[1, 1] == 0
    assert run_frank_wolfe(ragged, Entropy(), 20, rule="line-search").values[-1] == pytest.approx(best.value, abs=1e-6)


def test_states_and_actions_may_be_renamed_and_doubled() -> None:
    mdp = _model()
    best = solve_utility(mdp, SmoothedEntropy(0.1)).value
    order = [2, 0, 1]
    moved = MDP(mdp.transitions[order][:, :, order], mdp.rewards[order], mdp.discount, mdp.start[order])
    doubled = MDP(np.concatenate([mdp.transitions, mdp.transitions[:, :1]], axis=1), np.zeros((3, 3)), mdp.discount, mdp.start)
    assert solve_utility(moved, SmoothedEntropy(0.1)).value == pytest.approx(best, abs=1e-8)
    assert solve_utility(doubled, SmoothedEntropy(0.1)).value == pytest.approx(best, abs=1e-8)


@given(st.integers(0, 10**6), st.sampled_from(sorted(SMOOTH)), st.sampled_from([0.0, 0.5, 0.9, 0.99]))
@settings(max_examples=25)
def test_the_policy_gradient_freezes_the_gradient(seed: int, name: str, discount: float) -> None:
    """Both parametrisations against central differences of F(d^pi); 1e-5 covers step^2 times third derivatives of order 1 / (1 - discount)^2."""
    mdp, utility, rng = _model(seed % 17, discount), SMOOTH[name], np.random.default_rng(seed)
    logits = rng.standard_normal(SHAPE)
    policy = arithmetic.softmax(logits)
    numeric = _numeric(lambda x: utility.value(occupancy(mdp, arithmetic.softmax(x))), logits)
    exact = utility_gradient(mdp, utility, policy, "softmax")
    assert np.abs(numeric - exact).max() < 1e-5
    along = rng.standard_normal(SHAPE)
    along -= along.mean(axis=1, keepdims=True)
    along *= 2.0**-20 * policy.min()
    change = (utility.value(occupancy(mdp, policy + along)) - utility.value(occupancy(mdp, policy - along))) / 2
    assert abs(change - (utility_gradient(mdp, utility, policy) * along).sum()) < 1e-5 * np.abs(along).max() + 64 * EPS * max(
        1, abs(utility.value(NU))
    )
    assert np.linalg.norm(exact) <= softmax_smoothness(mdp, utility) * 10  # finite


@pytest.mark.exact
def test_the_gradient_of_a_quadratic_is_rational() -> None:
    """The frozen reward nu - d against the wrong one, F's own summand: at d = (1/2, 1/2), nu = (1, 0) the wrong rule stops at once."""
    mdp = zoo.arms([0, 0])
    half = rational_array([["1/2", "1/2"]])
    right = utility_gradient(mdp, SquaredDistance(rational_array([[1, 0]])), half)
    assert right[0, 0] - right[0, 1] == 1
    own = -((half - rational_array([[1, 0]])) ** 2) / 2
    assert own[0, 0] == own[0, 1]


@given(st.integers(0, 10**6), st.sampled_from(sorted(SMOOTH)))
@settings(max_examples=25)
def test_gradient_domination(seed: int, name: str) -> None:
    mdp, rng = _model(seed % 13, 0.9), np.random.default_rng(seed)
    policy, other = rng.dirichlet(np.ones(2), 3), rng.dirichlet(np.full(2, 0.2), 3)
    sides = check_domination(mdp, SMOOTH[name], policy, other)
    assert sides.short <= sides.bound + 1e-11


@pytest.mark.exact
def test_a_convex_utility_has_a_stationary_point_that_is_no_optimum() -> None:
    """+|d|^2 on two arms at (1/2, 1/2): the gradient is the same for both arms, and the value 1/2 is below 1."""
    convex = UserUtility(lambda x: float(x @ x), derivative=lambda x: 2 * x)
    gradient = utility_gradient(zoo.arms([0, 0]), convex, np.array([[0.5, 0.5]]))
    assert gradient[0, 0] == gradient[0, 1] and convex.of(np.array([0.5, 0.5])) < convex.of(np.array([1.0, 0.0]))


@given(st.integers(0, 10**6), st.sampled_from(["inside", "both", "squared", "soft", "linear"]), st.sampled_from([0.0, 0.5, 0.9]))
@settings(max_examples=25)
def test_softmax_smoothness_is_not_exceeded(seed: int, name: str, discount: float) -> None:
    mdp, utility, rng = _model(seed % 11, discount), SMOOTH[name], np.random.default_rng(seed)
    x = rng.standard_normal(SHAPE) * 10.0 ** rng.uniform(-1, 0.5)
    y = x + rng.standard_normal(SHAPE) * 10.0 ** rng.uniform(-3, 0)
    change = np.linalg.norm(
        utility_gradient(mdp, utility, arithmetic.softmax(x), "softmax") - utility_gradient(mdp, utility, arithmetic.softmax(y), "softmax")
    )
    assert change <= softmax_smoothness(mdp, utility) * np.linalg.norm(x - y) * (1 + 1e-9) + 1e-12


def test_softmax_smoothness_is_not_an_eighth_of_the_range() -> None:
    """Stay for reward 1 or leave for ever: <d, r> = 1 / (1 + u), u = gamma / (1 - gamma) times the share of leaving: nearly a logistic curve in a logit.

    Its second derivative reaches 0.096, so along one logit the gradient turns at a rate of sqrt 2 * 0.096 = 0.136 > 1/8, whatever the horizon."""
    chain = MDP([[[1, 0], [0, 1]], [[0, 1], [0, 1]]], np.zeros((2, 2)), 0.99, [1, 0])
    utility = Linear(np.array([[1.0, 1.0], [0.0, 0.0]]))
    ratios = []
    for x in np.linspace(0, 12, 121):
        ends = [utility_gradient(chain, utility, arithmetic.softmax(np.array([[x + h, 0], [0, 0]])), "softmax") for h in (0.0, 1e-4)]
        ratios.append(np.linalg.norm(ends[1] - ends[0]) / 1e-4)
    assert 1 / 8 < max(ratios) <= softmax_smoothness(chain, utility)


def test_a_function_that_is_not_concave_is_refused_with_the_place() -> None:
    mdp = _model()
    r = REWARDS[0].ravel()
    variance = UserUtility(lambda x: float(x @ r - 5 * (x @ r**2 - (x @ r) ** 2)))  # minus the variance of a lottery is convex
    with pytest.raises(ModelError, match="not concave: between x ="):
        solve_utility(mdp, variance)
    with pytest.raises(ModelError, match="below the chord"):
        run_frank_wolfe(mdp, variance, 5)
    worst = concavity_defect(variance, mdp)
    assert worst is not None
    middle = worst.x + worst.share * (worst.y - worst.x)
    chord = (1 - worst.share) * variance.of(worst.x) + worst.share * variance.of(worst.y)
    assert chord - variance.of(middle) == pytest.approx(worst.deficit, rel=1e-6)
    for utility in ALL.values():
        assert concavity_defect(utility, mdp, chords=30) is None
    with pytest.raises(ModelError, match=r"along \(.*\), which sums to 0, x'Qx is -1"):
        Quadratic(np.zeros(3), [[0, 1, 0], [1, 0, 0], [0, 0, 0]])


def test_features_need_not_sum_to_1() -> None:
    """A quadratic that is concave only where the sum is fixed is refused as a function of features; its constant is that of all directions.

    F = -(z_1 + z_2)^2 / 2 is constant on a simplex; with both features 1 on the first of three arms and 0 elsewhere F is -2 x_1^2, so L = 4."""
    features = np.array([[[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]])
    with pytest.raises(ModelError, match="least eigenvalue of its matrix is -1"):
        OfFeatures(Quadratic([0, 0], [[-1.0, 0.0], [0.0, 2.0]]), features)
    flat = Quadratic([0, 0], np.ones((2, 2)))
    assert flat.smoothness < 4 * EPS
    seen = OfFeatures(flat, features)
    assert abs(seen.smoothness - 4) < 64 * EPS
    solved = solve_utility(zoo.arms([0, 0, 0]), seen)
    assert solved.value <= 0 <= solved.upper + 1e-12 and solved.gap < 1e-6  # Clarabel's tolerance


def test_an_entropy_of_features_has_a_certificate_where_a_feature_is_0() -> None:
    """From the first arm only the first of three features is seen; the best law (1/3, 1/3, 1/3) of them is reached with (1/3, 0, 2/3)."""
    utility = OfFeatures(Entropy(), np.array([[[1.0, 0, 0], [0, 1, 0], [0, 0.5, 0.5]]]))
    run = run_frank_wolfe(zoo.arms([0, 0, 0]), utility, 5, initial=np.array([[1.0, 0, 0]]))
    assert np.all(np.isfinite(run.uppers)) and run.upper >= math.log(3) - 64 * EPS >= run.values.max() - 128 * EPS


def test_a_convex_function_is_refused_inside_a_sum_and_of_features_too() -> None:
    mdp, convex = zoo.arms([0, 0, 0]), UserUtility(lambda x: float(x @ x), lambda x: 2 * x)
    for utility in (Sum(((1.0, convex),), (1, 3)), OfFeatures(convex, np.eye(3)[None])):
        with pytest.raises(ModelError, match="not concave"):
            run_frank_wolfe(mdp, utility, 2)


def test_a_users_own_utility() -> None:
    """The same distance three ways: built in, with a conic form, and by Frank-Wolfe with differences for a gradient."""
    mdp, target = _model(), NU.ravel()
    best = solve_utility(mdp, SquaredDistance(NU)).value
    own = UserUtility(lambda x: -float(np.sum((x - target) ** 2)) / 2, conic=lambda cp, x: -cp.sum_squares(x - target) / 2, constant=1.0)
    assert solve_utility(mdp, own).value == pytest.approx(best, abs=1e-8)
    plain = UserUtility(own.function, constant=1.0)
    with pytest.raises(ModelError, match="no conic form; Frank-Wolfe"):
        solve_utility(mdp, plain)
    found = run_frank_wolfe(mdp, plain, 60)
    assert best - 2 * 2 / 62 <= found.values[-1] <= best + 1e-9
    wrong = UserUtility(own.function, derivative=lambda x: x - target)
    with pytest.raises(ModelError, match="gradient of the utility does not belong to it"):
        check_concave(wrong, mdp)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SquaredDistance(np.zeros((2, 2))).check(SHAPE), "target has shape"),
        (lambda: Linear(np.zeros(4), "states").check(SHAPE), "one figure a state"),
        (lambda: SquaredDistance([[np.nan, 1]]), r"target\[0, 0\] is nan"),
        (lambda: KLDistance([-0.1, 1.1], "states"), r"target\[0\] is -0.1"),
        (lambda: SmoothedEntropy(0.0), "sigma is 0.0"),
        (lambda: SmoothedEntropy(0.1, "outside"), "form is 'outside'"),  # type: ignore[arg-type]
        (lambda: Entropy("pair"), "Did you mean pairs"),  # type: ignore[arg-type]
        (lambda: LogSum([0, 0], "states"), "all 0"),
        (lambda: LogSum([-1, 2], "states"), r"weights\[0\] is -1"),
        (lambda: PowerSum([1, 1], 1, "states"), "above 1 the utility is convex"),
        (lambda: Quadratic([0, 0], [[1, 2], [0, 1]]), "must be symmetric"),
        (lambda: Quadratic([0, 0], np.eye(3)), "matrix has shape"),
        (lambda: SoftWorst(REWARDS, beta=-1), "beta is -1"),
        (lambda: SoftWorst(REWARDS, chances=[1, 0, 0]), "3 positive numbers with sum 1"),
        (lambda: Nash(REWARDS - 1), "at least 0"),
        (lambda: Nash(REWARDS, weights=[1, 0, 1]), "weights are"),
        (lambda: Nash(0 * REWARDS), "0 everywhere"),
        (lambda: LogDet(np.ones((3, 2, 2))), "span 1 of 2"),
        (lambda: Sum(((-1.0, Entropy()),), SHAPE), "minus a concave function is convex"),
        (lambda: Sum((), SHAPE), "at least one"),
        (lambda: Worst(np.zeros(3)), "rewards has shape"),
        (lambda: UserUtility(lambda x: math.nan).of(np.ones(2)), "not a number"),
        (lambda: utility_gradient(_model(), Entropy("pairs"), np.array([[1, 0], [1, 0], [0, 1]])), "take a policy with all probabilities positive"),
        (lambda: utility_gradient(_model(), Entropy(), np.full(SHAPE, 0.5), "escort"), "it is direct or softmax"),
        (lambda: solve_utility(zoo.switch("1/2"), KLDistance([1.0, 0.0], "states", forward=False)).value, None),
        (lambda: solve_utility(zoo.arms([0, 0]), LogDet(np.ones((1, 3, 1)))), "rows; this model takes 2"),
        (lambda: parse_utility("entropy+", _model()), "empty term"),
        (lambda: parse_utility("entrop", _model()), "Did you mean entropy"),
        (lambda: parse_utility("0*entropy", _model()), "weight of entropy is 0"),
        (lambda: parse_utility("imitation:no.npz", _model()), "there is no such file"),
        (lambda: parse_utility("smoothed-entropy", _model()), "needs its sigma"),
        (lambda: parse_utility("quadratic:-1", _model()), "not concave: along"),
    ],
)
def test_bad_input_names_place_and_figure(make: Any, message: str | None) -> None:
    if message is None:  # a target that forbids the second state: staying in the first one has divergence 0
        assert make() == pytest.approx(0, abs=1e-9)
        return
    with pytest.raises(ModelError, match=message):
        make()


def test_unreachable_laws_are_said_to_be_so() -> None:
    """A forward divergence to a state that nobody reaches is minus infinity for every policy."""
    frozen = MDP(np.array([[[1.0, 0.0]], [[0.0, 1.0]]]), np.zeros((2, 1)), 0.5, [1.0, 0.0])
    with pytest.raises(ModelError, match=r"minus infinity for every occupancy|without an answer"):
        solve_utility(frozen, KLDistance([0.5, 0.5], "states", forward=True))
