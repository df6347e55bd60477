"""Regularised leaders: the minimisers, the mean of the estimates by listing all paths, the inequality that the bound rests on, controls."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from mdps import FiniteHorizon, ModelError
from pgtheory.online import Episodic, RegularisedLeaders, noisy, phases, run_online, sure
from pgtheory.online.confidence import visit_bounds
from pgtheory.online.leaders import leader
from pgtheory.online.planning import policy_values, visits
from pgtheory.online.runner import Episode, Plan, what_is_told
from pgtheory.sampling.bandits import POTENTIALS
from tests.pgtheory.online.small import task

EPS = np.finfo(float).eps
GRADIENTS = {"shannon": lambda p: np.log(p), "tsallis": lambda p: -1 / np.sqrt(p), "log-barrier": lambda p: -1 / p}
VALUES = {"shannon": lambda p: (p * np.log(p)).sum(), "tsallis": lambda p: -2 * np.sqrt(p).sum(), "log-barrier": lambda p: -np.log(p).sum()}
PHI = {"shannon": lambda p: p**0, "tsallis": np.sqrt, "log-barrier": lambda p: p}


@pytest.mark.parametrize("potential", POTENTIALS)
def test_the_leader_is_where_losses_and_gradient_differ_by_a_constant(potential):
    rng = np.random.default_rng(0)
    for eta in (0.01, 0.3, 5.0):
        losses = rng.normal(size=(4, 2, 3)) * 4
        p = leader(losses, eta, potential)
        level = losses + GRADIENTS[potential](p) / eta
        off = level - level.mean(axis=-1, keepdims=True)
        # the gradient is of size at most 1 / min p over eta, and a relative error of p of some eps is multiplied by that
        assert np.abs(off).max() <= 64 * EPS * (np.abs(losses).max() + (np.abs(GRADIENTS[potential](p)) / eta).max() + 1 / eta)
        assert np.abs(p.sum(axis=-1) - 1).max() <= 4 * EPS


@pytest.mark.parametrize("transitions", ["known", "unknown"])
@pytest.mark.parametrize("potential", POTENTIALS)
def test_the_mean_of_an_update_is_what_the_derivation_says(potential, transitions):
    """All paths of one episode at once, each as a run: E L_hat = Q u p / (u' p + g), less the dilated bonus, written as a plain recursion."""
    one = task(1, H=2, S=2, A=2)
    H, S, A = one.shape
    learn = RegularisedLeaders(potential, transitions)
    told = what_is_told(one, learn, noisy(one), 50)
    ways = list(itertools.product(range(S), range(A), range(S), range(A), (0, 1), (0, 1)))
    policy = np.random.default_rng(2).dirichlet(np.ones(A), size=(H, S))
    state = learn.start(told, len(ways))
    weight, states, actions, rewards = [], [], [], []
    for s, a, t, b, x, y in ways:
        chance = one.start[s] * policy[0, s, a] * one.transitions[0, s, a, t] * policy[1, t, b]
        chance *= (one.rewards[0, s, a] if x else 1 - one.rewards[0, s, a]) * (one.rewards[1, t, b] if y else 1 - one.rewards[1, t, b])
        weight.append(chance), states.append([s, t, 0]), actions.append([a, b]), rewards.append([x, y])
    plans = np.broadcast_to(policy, (len(ways), H, S, A))
    state = learn.update(state, 0, Plan(plans), Episode(np.array(states), np.array(actions), np.array(rewards, dtype=float)))
    mean = np.array(weight) @ state.losses.reshape(len(ways), -1)
    losses, _ = policy_values(one.transitions[None], 1 - one.rewards[None], policy[None])
    u = visits(one.transitions[None], policy[None], one.start)[0]
    eta, c = learn.steps(told)[0], 2 if potential == "tsallis" else 1
    g = 4 * math.e * H * c * (1 + 4) * eta**2
    # nothing is known of the transitions before the first episode: every state may be met for sure, or never
    high = u if transitions == "known" else np.stack([one.start, np.ones(S)])
    low = u if transitions == "known" else np.stack([one.start, np.zeros(S)])
    expected, later = np.zeros((H, S, A)), np.zeros(S)
    for h in (1, 0):
        bonus, m = np.zeros((S, A)), H - h
        for s in range(S):
            p = policy[h, s]
            b = sum(p[a] * m * ((high[h, s] - low[h, s]) * p[a] + g + c * eta * m * PHI[potential](p)[a]) / (high[h, s] * p[a] + g) for a in range(A))
            for a in range(A):
                after = one.transitions[h, s, a] @ later if transitions == "known" else later.max()
                bonus[s, a] = b + 1.5 * after
                expected[h, s, a] = losses[0, h, s, a] * u[h, s] * p[a] / (high[h, s] * p[a] + g) - bonus[s, a]
        later = (policy[h] * bonus).sum(axis=1)
    assert np.abs(mean - expected.ravel()).max() <= 64 * EPS * np.abs(state.losses).max()


@pytest.mark.parametrize("potential", POTENTIALS)
def test_the_leaders_regret_is_below_spread_and_stability_on_every_path(potential):
    """sum_k <p_k - u, X_k> <= (psi(u) - min psi) / eta_T + c sum eta_k sum_a p phi(p) X^2 where eta X >= -1/2, X of both signs; steps may fall.

    Half of the stability term is violated somewhere (Shannon and log-barrier: the constant is 1/2 for small steps, so a quarter is taken)."""
    rng, A = np.random.default_rng(3), 3
    c, worst = (2 if potential == "tsallis" else 1), 0.0
    for trial in range(60):
        T, total = int(rng.integers(1, 30)), np.zeros(A)
        eta = [0.05, 0.3, 1.0][trial % 3] / np.sqrt(np.arange(1, T + 1)) ** (trial % 2)
        left, stable, seen = 0.0, 0.0, []
        for k in range(T):
            p = leader(total[None], eta[k], potential)[0]
            X = np.where(rng.random(A) < 0.3, rng.random(A) * 8 / np.maximum(p, 0.05), 0.0) - rng.random(A) / (2 * eta[k]) * rng.random()
            left += p @ X
            stable += c * eta[k] * (p * PHI[potential](p) * X**2).sum()
            total += X
            seen.append(X)
        least = VALUES[potential](np.full(A, 1 / A))
        for i in range(A):
            u = np.eye(A)[i] if potential != "log-barrier" else (1 - 1 / T) * np.eye(A)[i] + 1 / (A * T)
            top = {"shannon": 0.0, "tsallis": -2.0}.get(potential) if potential != "log-barrier" else VALUES[potential](u)
            spread = (top - least) / eta[-1]
            regret = left - u @ np.sum(seen, axis=0)
            assert regret <= spread + stable + 1e-9 * (abs(left) + np.abs(total).max())
            if stable > 0:
                worst = max(worst, (regret - spread) / stable)
    assert 0.05 < worst <= 1


def test_no_bonus_is_larger_than_half_a_step_allows():
    """eta_k B_k <= 1 / (2 H), which the stability of the leaders needs, also in a state that is hardly ever met; a hundredth of g breaks it."""
    P = np.full((2, 2, 2, 2), [1 - 1e-7, 1e-7])
    one = Episodic.of(FiniteHorizon(P, np.full((2, 2, 2), 0.5), start=[1, 0]))
    for exploration, holds in ((1.0, True), (0.01, False)):
        learn = RegularisedLeaders("shannon", step_size=50.0, exploration=exploration)
        state = learn.start(what_is_told(one, learn, sure(one), 300), 1)
        plan = learn.plan(state, 0)
        state = learn.update(state, 0, plan, Episode(np.array([[0, 0, 0]]), np.array([[0, 0]]), np.ones((1, 2))))  # losses 0: only bonuses are left
        largest = float((-state.losses * state.steps[0]).max())
        assert largest > 0.02 and (largest <= 1 / 4) == holds


@pytest.mark.parametrize(
    ("potential", "law", "K"),
    [("shannon", sure, 1000)] + [pytest.param(p, law, 3000, marks=pytest.mark.slow) for p in POTENTIALS for law in (sure, phases)],
    ids=lambda x: getattr(x, "__name__", x),
)
def test_regret_stays_under_the_bound_and_falls_below_that_of_doing_nothing(potential, law, K):
    """K is large enough for the bound to lie below K H, the trivial one."""
    one = task(5, H=2, S=2, A=2)
    out = run_online(one, RegularisedLeaders(potential), K, 2, rewards=law(one), times=[K // 4, K])
    assert (out.regret <= out.guarantee.values).all() and out.guarantee.values[-1] < 0.8 * K * 2
    still = run_online(one, RegularisedLeaders(potential, step_size=1e-9), K, 1, rewards=law(one), times=[K])
    assert out.regret[:, -1].mean() < 0.97 * still.regret[0, -1]


def test_guarantees_are_the_formula_and_are_not_stated_where_the_proof_does_not_reach():
    one, K = task(6, H=2, S=3, A=2), 400
    T = np.array([1, 20, 400])
    learn = RegularisedLeaders("tsallis")
    told = what_is_told(one, learn, phases(one), K)
    D, F, S, H, A = 2 * math.sqrt(2) - 2, math.sqrt(2), 3, 2, 2
    best = math.sqrt(H * D / (2 * math.e * S * 2 * F * 5))
    eta = np.minimum(best / np.sqrt(np.arange(1, K + 1)), 1 / (4 * math.e * H * 3))
    g = 4 * math.e * H * 2 * 5 * eta**2
    expected = [H * D / eta[t - 1] + math.e * S * (2 * F * 5 * eta[:t].sum() + A * 3 * g[:t].sum()) for t in T]
    assert np.allclose(learn.guarantee(told, T).values, expected, rtol=1e-12)
    unknown = RegularisedLeaders("tsallis", "unknown")
    iota = math.log(6 * S * A * H * K * (H * K))
    more = math.e * S * 2 * (S * A + 2 * np.sqrt(2 * iota * S * A * T)) + 1
    assert np.allclose(unknown.guarantee(what_is_told(one, unknown, phases(one), K), T).values, expected + more, rtol=1e-12)
    for other in (RegularisedLeaders(bonus=0), RegularisedLeaders(bonus=2), RegularisedLeaders(exploration=0.5)):
        assert other.guarantee(told, T) is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"potential": "shanon"}, "Did you mean shannon"),
        ({"transitions": "guessed"}, "'known' or 'unknown'"),
        ({"step_size": 0}, "step_size is 0"),
        ({"bonus": -0.5}, "the factor of the bonus is -0.5"),
        ({"exploration": math.inf}, "exploration is inf"),
        ({"delta": 0}, "delta is 0"),
    ],
)
def test_bad_settings_are_named(settings, words):
    with pytest.raises(ModelError) as caught:
        RegularisedLeaders(**settings)
    assert words in str(caught.value)


def dilated(P, policy, b, factor: float) -> np.ndarray:
    """(H, S, A): B_h = b_h + factor E B_{h+1}."""
    H, S, A = policy.shape
    B, later = np.zeros((H, S, A)), np.zeros(S)
    for h in range(H - 1, -1, -1):
        B[h] = b[h][:, None] + factor * P[h] @ later
        later = (policy[h] * B[h]).sum(axis=1)
    return B


def test_dilated_bonuses_turn_the_visits_of_the_best_policy_into_one_s_own():
    """Step 3 of the derivation: sum_h E_{d*}[b + <p, B> / H + <p - p*, B>] <= e sum_h E_d b; with B not dilated it fails."""
    rng, worst, plain = np.random.default_rng(8), 0.0, 0.0
    for trial in range(300):
        H, S, A = 1 + trial % 4, 3, 2
        P = rng.dirichlet(np.full(S, 0.3), size=(H, S, A))
        own, best = rng.dirichlet(np.full(A, 0.3), size=(H, S)), np.eye(A)[rng.integers(A, size=(H, S))]
        start, b = rng.dirichlet(np.ones(S)), rng.random((H, S)) ** 4
        if trial == 7:  # the best policy goes to state 1, where all is to be learned, one's own hardly ever does
            start, b = np.eye(S)[0], np.zeros((H, S))
            P, own, best = P * 0, np.full((H, S, A), [0.999, 0.001]), np.full((H, S, A), [0.0, 1.0])
            P[:, 0, 0, 0] = P[:, 0, 1, 1] = P[:, 1, :, 1] = P[:, 2, :, 2] = b[-1, 1] = 1.0
        u, best_u = (visits(P[None], policy[None], start)[0] for policy in (own, best))
        for factor in (1 + 1 / H, 1.0):
            B = dilated(P, own, b, factor)
            left = (best_u * (b + (own * B).sum(axis=2) / H + ((own - best) * B).sum(axis=2))).sum()
            ratio = left / (math.e * (u * b).sum())
            worst, plain = (max(worst, ratio), plain) if factor > 1 else (worst, max(plain, ratio))
    assert 0.3 < worst <= 1 < plain


def test_the_width_of_the_visits_is_paid_by_the_radii_that_are_met():
    """Step 6: sum_s (high - low) <= 2 S sum_{i < h} E min(1, radius_i) for models within the radius of the estimate; a tenth of it is too little."""
    rng, worst = np.random.default_rng(9), 0.0
    for _ in range(60):
        H, S, A = 3, 3, 2
        P, other = rng.dirichlet(np.full(S, 0.5), size=(2, 1, H, S, A))
        policy, start = rng.dirichlet(np.ones(A), size=(1, H, S)), rng.dirichlet(np.ones(S))
        radius = rng.uniform(0, 0.5, size=(1, H, S, A)) ** 2
        far = np.abs(other - P).sum(axis=-1)
        estimate = P + np.minimum(1, radius / far)[..., None] * (other - P)
        low, high = visit_bounds(estimate, radius, policy, start)
        u = visits(P, policy, start)
        assert (low <= u + 1e-12).all() and (u <= high + 1e-12).all()
        met = (u[..., None] * policy * np.minimum(1, radius)).sum(axis=(2, 3))[0]
        for h in range(1, H):
            ratio = (high - low)[0, h].sum() / (2 * S * met[:h].sum())
            assert ratio <= 1
            worst = max(worst, float(ratio))
    assert worst > 0.1
