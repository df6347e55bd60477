"""Robust policy gradient: the envelope gradient against differences, nature's loop against its tolerance, the methods against the robust optimum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

import mdps
import pgtheory
from mdps import ambiguity, random
from mdps.errors import ModelError
from mdps.rational import rational_array
from mdps.robust import RobustMDP
from pgtheory.policy_gradient import method_named
from pgtheory.policy_gradient.method import NoEnclosure
from pgtheory.robust import evaluate_robustly, solve_robust
from pgtheory.robust.double_loop import DRPG, TiltedDRPG, excess, project_l1_ball
from pgtheory.robust.gradient import RobustPG, RobustSoftmaxPG, worst_gradient, worst_softmax_gradient
from pgtheory.robust.mirror_descent import RobustMirrorDescent
from pgtheory.robust.nature import ball_answer, kernel_gradient, project_l1, tilted_kernel, tilted_kernel_gradient, worst_kernel
from pgtheory.robust.nature_steps import project_l1_blocks
from pgtheory.run import run
from tests import tolerances

KINDS = {"l1": ambiguity.L1, "tv": ambiguity.TotalVariation, "contamination": ambiguity.Contamination, "linf": ambiguity.Linf, "l2": ambiguity.L2}
KINDS |= {"kl": ambiguity.KL, "chi2": ambiguity.Chi2}
STEP = 1e-6
"""Of central differences: the error is STEP^2 times third derivatives, and rounding eps |V| / STEP."""


def worst_value(model, policy, answer):
    return float(model.start @ worst_kernel(policy, model.transitions, model.rewards, model.discount, answer)[0])


def drawn(seed, states=4, actions=3, discount=0.8):
    rng = np.random.default_rng(seed)
    model = mdps.MDP(rng.dirichlet(np.ones(states), (states, actions)), rng.random((states, actions)), discount, rng.dirichlet(np.ones(states)))
    return rng, model, rng.dirichlet(np.ones(actions), states)


# The worst kernel


@pytest.mark.parametrize("name", list(KINDS))
def test_the_worst_values_of_a_policy_are_those_of_robust_evaluation(name):
    """Nature's policy iteration here, proved bounds there."""
    for seed in range(4):
        rng, model, policy = drawn(seed)
        radii = rng.random(model.rewards.shape) * 0.8
        values, rows = worst_kernel(policy, model.transitions, model.rewards, model.discount, ball_answer(name, radii))
        known = evaluate_robustly(RobustMDP(model, KINDS[name](radii)), policy)
        room = 10 * tolerances.linear_solve(4, 0.8, 1.0)
        assert (values >= known.lower - room).all() and (values <= known.upper + room).all()
        np.testing.assert_allclose(rows.sum(axis=-1), 1, atol=1e-14)


def test_a_shared_budget_is_spent_as_a_linear_program_spends_it():
    """min over (q_a) with sum_a |q_a - p_a|_1 <= budget of sum_a pi_a q_a . v, by HiGHS."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        n, actions = int(rng.integers(1, 5)), int(rng.integers(1, 4))
        p, pi, v = rng.dirichlet(np.ones(n), actions), rng.dirichlet(np.ones(actions)), np.round(2 * rng.normal(size=n)) / 2
        budget = rng.choice([0.0, 0.3, 1.0, 3.0])
        rows = ball_answer("l1", np.full((1, 1), budget), "s")(pi[None], p[None], v)[0]
        size = actions * n
        cost = np.concatenate([(pi[:, None] * v).reshape(-1), np.zeros(size)])
        eye = np.eye(size)
        above = np.block([[eye, -eye], [-eye, -eye], [np.zeros((1, size)), np.ones((1, size))]])
        sums = np.hstack([np.kron(np.eye(actions), np.ones((1, n))), np.zeros((actions, size))])
        best = linprog(cost, above, np.concatenate([p.reshape(-1), -p.reshape(-1), [budget]]), sums, np.ones(actions), bounds=(0, None))
        assert np.abs(rows - p).sum() <= budget + 1e-14 and rows.min() >= 0
        assert (pi[:, None] * rows * v).sum() == pytest.approx(best.fun, abs=1e-9)  # HiGHS: 1e-9 relative to figures of size 1


def test_unknown_sets_are_refused():
    with pytest.raises(ModelError, match="no ball 'l3'"):
        ball_answer("l3", 0.1)
    with pytest.raises(ModelError, match="no ball 'kl' with rectangular='s'"):
        ball_answer("kl", 0.1, "s")
    with pytest.raises(ModelError, match="must be 'sa' or 's'"):
        ball_answer("l1", 0.1, "all")


# Gradients


@pytest.mark.parametrize("name", list(KINDS))
def test_the_envelope_gradient_is_the_slope_of_the_worst_case(name):
    """Central differences along directions that keep rows sums; softmax along logits."""
    for seed in range(3):
        rng, model, policy = drawn(10 + seed)
        answer = ball_answer(name, rng.random(model.rewards.shape) * 0.6)
        slopes, _, _ = worst_gradient(policy, model.transitions, model.rewards, model.discount, model.start, answer)
        h = rng.normal(size=policy.shape)
        h -= h.mean(axis=1, keepdims=True)
        ends = [worst_value(model, policy + sign * STEP * h, answer) for sign in (1, -1)]
        assert (slopes * h).sum() == pytest.approx((ends[0] - ends[1]) / (2 * STEP), abs=2e-6)
        logits = np.log(policy)
        ends = [worst_value(model, pgtheory.arithmetic.softmax(logits + sign * STEP * h), answer) for sign in (1, -1)]
        along = (worst_softmax_gradient(policy, model.transitions, model.rewards, model.discount, model.start, answer) * h).sum()
        assert along == pytest.approx((ends[0] - ends[1]) / (2 * STEP), abs=2e-6)


def test_visits_belong_to_the_worst_kernel():
    """The instance of the derivation: differences between the two actions -1.860 and 0.845; with nominal visits -0.556 and 8.686."""
    P = np.array([[[0.6, 0.4], [0.6, 0.4]], [[0, 1], [0.6, 0.4]]])
    r, policy, mu = np.array([[0.1, 0.3], [0.9, 0]]), np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0.5, 0.5])
    slopes, values, rows = worst_gradient(policy, P, r, 0.9, mu, ball_answer("l1", np.full((2, 2), 1.2)))
    np.testing.assert_allclose(slopes[:, 0] - slopes[:, 1], [-1.860, 0.845], atol=5e-4)
    nominal = np.linalg.solve((np.eye(2) - 0.9 * np.einsum("sa,sat->st", policy, P)).T, mu)
    ahead = r + 0.9 * rows @ values
    np.testing.assert_allclose(nominal * (ahead[:, 0] - ahead[:, 1]), [-0.556, 8.686], atol=5e-4)


def test_natures_gradient_is_the_slope_in_the_kernel():
    rng, model, policy = drawn(3)
    paid = rng.normal(size=model.transitions.shape)
    other = rng.dirichlet(np.ones(4), (4, 3))
    for extra in (None, paid):
        slopes = kernel_gradient(policy, model.transitions, model.rewards, model.discount, model.start, extra)
        ends = []
        for sign in (1, -1):
            P = model.transitions + sign * STEP * (other - model.transitions)
            r = model.rewards if extra is None else model.rewards + (P * extra).sum(axis=-1)
            ends.append(model.start @ pgtheory.arithmetic.policy_values(policy, P, r, model.discount))
        assert (slopes * (other - model.transitions)).sum() == pytest.approx((ends[0] - ends[1]) / (2 * STEP), abs=2e-6)


def test_rewards_that_belong_to_transitions_are_states_in_between():
    """The same problem with a state for every move, discount sqrt(gamma), and the move's reward paid there."""
    rng, model, policy = drawn(8, states=3, actions=2)
    paid, radii = rng.normal(size=(3, 2, 3)), rng.random((3, 2))
    answer = ball_answer("contamination", np.zeros((3, 2)), paid=paid, discount=0.8)
    still = worst_kernel(policy, model.transitions, model.rewards, 0.8, answer, paid)[0]
    expected = pgtheory.arithmetic.policy_values(policy, model.transitions, model.rewards + (model.transitions * paid).sum(-1), 0.8)
    np.testing.assert_allclose(still, expected, atol=1e-13)
    answer = ball_answer("l1", radii, paid=paid, discount=0.8)
    values, rows = worst_kernel(policy, model.transitions, model.rewards, 0.8, answer, paid)
    for s in range(3):  # the worst row against paid + gamma V, by a linear program in every pair
        for a in range(2):
            v = paid[s, a] + 0.8 * values
            eye = np.eye(3)
            above = np.block([[eye, -eye], [-eye, -eye], [np.zeros((1, 3)), np.ones((1, 3))]])
            p = model.transitions[s, a]
            found = linprog(
                np.concatenate([v, np.zeros(3)]),
                above,
                np.concatenate([p, -p, [radii[s, a]]]),
                np.array([[1.0] * 3 + [0.0] * 3]),
                [1.0],
                bounds=(0, None),
            )
            assert rows[s, a] @ v == pytest.approx(found.fun, abs=1e-9)


def test_the_tilted_kernel_has_the_gradient_that_its_formula_says():
    rng, model, policy = drawn(4)
    f, g = rng.normal(size=(2, 4)), rng.random((2, 4, 3)) + 0.5
    theta, weights = np.array([0.4, -0.9]), np.array([0.7, 0.6])

    def value(point):
        rows = tilted_kernel(model.transitions, f, g, point[:2], point[2:])
        return model.start @ pgtheory.arithmetic.policy_values(policy, rows, model.rewards, model.discount)

    rows = tilted_kernel(model.transitions, f, g, theta, weights)
    slopes = kernel_gradient(policy, rows, model.rewards, model.discount, model.start)
    found = np.concatenate(tilted_kernel_gradient(rows, f, g, theta, weights, slopes))
    point = np.concatenate([theta, weights])
    expected = [(value(point + STEP * e) - value(point - STEP * e)) / (2 * STEP) for e in np.eye(4)]
    np.testing.assert_allclose(found, expected, atol=2e-6)
    np.testing.assert_allclose(tilted_kernel(model.transitions, f, g, 0 * theta, weights), model.transitions, atol=1e-15)


# Projections


def test_the_projection_on_an_l1_ball_is_nearest():
    """Variational inequality: no point z of the ball has (y - q) . (z - q) > 0; the best z is a worst case, by sorting."""
    from pgtheory.robust.worst_case import worst_l1

    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 6):
        p = rng.dirichlet(np.ones(n), 100)
        if n > 1:
            p[::3, 0] = 0
            p /= p.sum(axis=1, keepdims=True)
        y = p + rng.normal(size=p.shape) * rng.choice([0.01, 0.3, 30], (100, 1))
        radius = rng.choice([0.0, 1e-6, 0.2, 1.0, 2.0], 100)
        q = project_l1(y, p, radius)
        assert q.min() >= 0 and (np.abs(q - p).sum(axis=1) <= radius + 4 * n * tolerances.EPS).all()
        np.testing.assert_allclose(q.sum(axis=1), 1, atol=1e-14)
        gain = -worst_l1(p, q - y, radius)[0] - ((y - q) * q).sum(axis=1)
        assert gain.max() <= 1e-11 * np.abs(y).max()  # the multipliers are found to a few roundings of y
    centre = np.array([1.0, -2.0])
    np.testing.assert_allclose(project_l1_ball(np.array([4.0, -2.5]), centre, 1.0), [2.0, -2.0])
    np.testing.assert_allclose(project_l1_ball(np.array([1.2, -2.1]), centre, 1.0), [1.2, -2.1])
    np.testing.assert_allclose(project_l1_ball(np.array([1.2, -2.1]), centre, 0.0), centre)


# Methods


METHODS = (
    RobustPG(0.5, 0.3), RobustSoftmaxPG(5.0, 0.3), RobustMirrorDescent(2.0, 0.3), RobustMirrorDescent(2.0, 0.3, geometry="kl"),
    DRPG(0.5, 0.3, inner_step=0.5), RobustPG(0.5, 0.2, "kl"), RobustMirrorDescent(2.0, 0.1, "chi2", growth=1.05),
    DRPG(0.5, 0.3, "l1", "s", inner_step=0.5), DRPG(0.5, 0.2, "kl", inner_step=2.0), DRPG(0.5, 0.15, "tv", inner_step=0.5),
)  # fmt: skip


@pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{m.name} {m.ambiguity} {m.rectangular}")
def test_a_method_reaches_the_robust_optimum(method):
    """To 5% of the first gap within 60 steps: a rate needs no more, and the softmax gradient is slow; the optimum is that of robust planning."""
    model = random.garnet(3, 3, 2, seed=1, discount=0.7)
    trail = run(model, method, 60)
    gap = trail.gap()
    assert gap.min() >= -1e-7 and gap[-1] <= 0.05 * gap[0] and gap[0] > 0.1
    np.testing.assert_allclose(trail.policies.sum(axis=-1), 1, atol=1e-12)
    known = solve_robust(RobustMDP(model, KINDS[method.ambiguity](method.radius, rectangular=method.rectangular)))
    np.testing.assert_allclose(trail.optimal_values, known.values, atol=1e-7)
    assert isinstance(method, method_named(method.name))


@pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{m.name} {m.ambiguity} {m.rectangular}")
def test_a_step_of_length_0_changes_no_policy_and_radius_0_is_the_nominal_model(method):
    import dataclasses

    model = random.garnet(3, 2, 2, seed=2, discount=0.8)
    still = dataclasses.replace(method, step_size=0)
    trail = run(model, still, 3, record="all")
    np.testing.assert_allclose(trail.policies, np.broadcast_to(trail.policies[0], trail.policies.shape), atol=1e-14)
    plain = dataclasses.replace(method, radius=0)
    policies = run(model, plain, 5, record="all").policies
    for policy, values in zip(policies, plain.objective_values(model, policies), strict=True):
        np.testing.assert_allclose(values, pgtheory.state_values(model, policy), atol=10 * tolerances.linear_solve(3, 0.8, 1.0))


def test_steps_in_rationals_are_the_steps_in_floats():
    model = mdps.zoo.chain(2, "1/2")
    radii = rational_array([["1/3", "1/2"]] * model.num_states)
    for method in (RobustPG("1/4", radii), RobustMirrorDescent("1/2", radii, growth="3/2"), RobustPG("1/4", "1/3", rectangular="s")):
        state, exact = method.start(model.float), method.start(model.exact)
        for _ in range(2):
            state, exact = method.step(state, model.float), method.step(exact, model.exact)
        assert exact.dtype == object
        np.testing.assert_allclose(state, mdps.rational.to_float(exact), atol=1e-13)
    with pytest.raises(NoEnclosure):
        DRPG("1/4", "1/3").params_of(rational_array([[1, 0]]))


def test_mirror_descent_never_falls_with_a_radius_for_every_row():
    for seed in range(5):
        model = random.garnet(4, 3, 2, seed=seed, discount=0.9)
        method = RobustMirrorDescent(1.0, 0.4)
        values = run(model, method, 30, record="all").values
        assert np.diff(values, axis=0).min() >= -tolerances.linear_solve(4, 0.9, 1.0)


def test_the_inner_loop_keeps_its_tolerance_and_every_kernel_lies_in_the_set():
    model = random.garnet(4, 3, 2, seed=5, discount=0.8)
    rng = np.random.default_rng(1)
    radii = rng.uniform(0.1, 0.5, model.rewards.shape)
    method = DRPG(0.3, radii, inner_step=0.2, tolerance=0.5, decay=0.7, inner_steps=15)
    trail = run(model, method, 25, record="all")
    answer = ball_answer("l1", radii)
    for t in range(25):
        policy, rows = trail.policies[t], method.kernel_of(trail.parameters[t + 1])
        values = pgtheory.arithmetic.policy_values(policy, rows, model.rewards, model.discount)
        assert np.abs(rows - model.transitions).sum(axis=-1).max() <= radii.max() + 1e-13 and rows.min() >= 0
        assert (np.abs(rows - model.transitions).sum(axis=-1) <= radii + 1e-13).all()
        eps = 0.5 * 0.7**t
        assert excess(policy, rows, model.transitions, values, model.discount, answer) <= eps * (1 + 1e-12) + 1e-12
        worst = worst_kernel(policy, model.transitions, model.rewards, model.discount, answer)[0]
        assert (values >= worst - 1e-12).all() and (values - worst).max() <= eps * (1 + 1e-12) + 1e-12


@pytest.mark.parametrize(("name", "rectangular"), [("l1", "s"), ("tv", "s"), ("tv", "sa"), ("kl", "sa")])
def test_the_inner_loop_of_every_set_comes_within_its_tolerance_by_steps_alone(name, rectangular):
    """Many steps and no exact answer: the kernel left behind is eps-worst, lies in the set, and was not put there by the fallback."""
    model = random.garnet(4, 3, 2, seed=6, discount=0.7)
    radius = np.full(model.rewards.shape if rectangular == "sa" else (4, 1), 0.2)
    method = DRPG(0.3, radius, name, rectangular, inner_step=1.0, tolerance=0.05, decay=0.9, inner_steps=4000)
    trail = run(model, method, 3, record="all")
    answer = ball_answer(name, radius, rectangular)
    for t in range(3):
        policy, rows = trail.policies[t], method.kernel_of(trail.parameters[t + 1])
        values = pgtheory.arithmetic.policy_values(policy, rows, model.rewards, model.discount)
        worst = worst_kernel(policy, model.transitions, model.rewards, model.discount, answer)[0]
        assert (values >= worst - 1e-12).all() and (values - worst).max() <= 0.05 * 0.9**t
        assert np.abs(values - worst).max() > 1e-9 or t > 0  # the exact answer would leave nothing
        np.testing.assert_allclose(rows.sum(axis=-1), 1, atol=1e-13)
        away = np.abs(rows - model.transitions).sum(axis=-1)
        if name == "kl":
            with np.errstate(divide="ignore", invalid="ignore"):
                away = np.where(rows > 0, rows * np.log(rows / model.transitions), 0.0).sum(axis=-1)
        elif name == "tv":
            away = away / 2
        spent = away if rectangular == "sa" else away.sum(axis=-1, keepdims=True)
        assert rows.min() >= 0 and (spent <= radius + 1e-13).all()


def test_the_projection_of_a_block_is_nearest():
    """Variational inequality: no block z within the budget has (y - q) . (z - q) > 0; the best z is the block that is worst for q - y, by knapsack."""
    rng = np.random.default_rng(2)
    for actions, n in ((1, 3), (2, 2), (3, 4)):
        p = rng.dirichlet(np.ones(n), (60, actions))
        p[::3, 0, 0] = 0
        p /= p.sum(axis=-1, keepdims=True)
        y = p + rng.normal(size=p.shape) * rng.choice([0.01, 0.3, 30], (60, 1, 1))
        budget = rng.choice([0.0, 1e-6, 0.2, 1.0, 2.0 * actions], 60)
        q = project_l1_blocks(y, p, budget)
        assert q.min() >= 0 and (np.abs(q - p).sum(axis=(1, 2)) <= budget + 4 * n * actions * tolerances.EPS).all()
        np.testing.assert_allclose(q.sum(axis=-1), 1, atol=1e-14)
        best = [_least_over_block(p[k], (q - y)[k], budget[k]) for k in range(60)]
        gain = ((q - y) * q).sum(axis=(1, 2)) - np.array(best)
        assert gain.max() <= 1e-8 * np.abs(y).max()  # HiGHS: 1e-9 relative
        if actions == 1:
            np.testing.assert_allclose(q[:, 0], project_l1(y[:, 0], p[:, 0], budget), atol=1e-11 * np.abs(y).max())


def _least_over_block(p, costs, budget):
    """min <costs, z> over rows z_a with sum_a |z_a - p_a|_1 <= budget, by HiGHS."""
    actions, n = p.shape
    size = actions * n
    eye = np.eye(size)
    above = np.block([[eye, -eye], [-eye, -eye], [np.zeros((1, size)), np.ones((1, size))]])
    sums = np.hstack([np.kron(np.eye(actions), np.ones((1, n))), np.zeros((actions, size))])
    limits = np.concatenate([p.reshape(-1), -p.reshape(-1), [budget]])
    return linprog(np.concatenate([costs.reshape(-1), np.zeros(size)]), above, limits, sums, np.ones(actions), bounds=(0, None)).fun


def test_a_batch_gives_the_figures_of_single_runs():
    models = [random.garnet(3, 2, 2, seed=k, discount=0.7) for k in range(3)]
    for method in (DRPG(0.3, 0.4, inner_step=0.5), RobustPG(0.3, 0.4)):
        together = pgtheory.run_batch(models, method, 10)
        for model, trail in zip(models, together, strict=True):
            np.testing.assert_allclose(trail.policies, run(model, method, 10).policies, atol=1e-12)


def test_the_double_loop_on_tilted_kernels_lowers_the_worst_case():
    rng, model, _ = drawn(6)
    f, g = rng.normal(size=(2, 4)), rng.random((2, 4, 3)) + 0.5
    method = TiltedDRPG(0.5, 0.02, f, g, np.array([0.4, -0.9]), np.array([0.7, 0.6]), 0.5, 0.2, stop=1e-6, inner_steps=100)
    trail = run(model, method, 5, record="all")
    worst = [method.worst(model, policy, np.array(method.theta), np.array(method.weights)) for policy in trail.policies]
    assert worst[-1][2] > worst[0][2]
    for theta, weights, _ in worst:
        assert np.abs(theta - method.theta).sum() <= 0.5 + 1e-12 and np.abs(weights - method.weights).sum() <= 0.2 + 1e-12
    with pytest.raises(ModelError, match="features have shapes"):
        TiltedDRPG(0.1, 0.1, f[:, :2], g, np.zeros(2), np.ones(2), 1.0, 1.0).start(model)


def test_bad_settings_name_the_figure():
    model = random.garnet(3, 2, 2, seed=0)
    with pytest.raises(ModelError, match=r"radius is -0.1; it must be a number >= 0"):
        run(model, RobustPG(0.1, -0.1), 1)
    with pytest.raises(ModelError, match=r"radius has shape \(2, 2\)"):
        run(model, RobustPG(0.1, np.zeros((2, 2))), 1)
    with pytest.raises(ModelError, match=r"radius\[1, 0\] is -1"):
        run(model, RobustPG(0.1, np.array([[0, 0], [-1, 0], [0, 0]])), 1)
    with pytest.raises(ModelError, match="no ball 'l7'"):
        RobustPG(0.1, 0.1, "l7")
    with pytest.raises(ModelError, match=r"no inner loop for 'chi2' with rectangular='sa'; it knows l1 \(sa\)"):
        DRPG(0.1, 0.1, "chi2")
    with pytest.raises(ModelError, match="inner_steps is"):
        run(model, DRPG(0.1, 0.1, inner_steps=1.5), 1)
    with pytest.raises(ModelError, match="geometry is 'cubic'"):
        RobustMirrorDescent(0.1, 0.1, geometry="cubic")
    with pytest.raises(ModelError, match="no plain ball"):
        RobustPG.in_set(ambiguity.RewardBox(0.1), 0.1)
    with pytest.raises(ModelError, match="no plain ball"):
        RobustPG.in_set(ambiguity.L1(0.1, support="nominal"), 0.1)
    assert RobustPG.in_set(ambiguity.L1("1/5"), "1/10").settings(model.exact) == tuple(mdps.rational.rational(x) for x in ("1/10", "1/5"))
