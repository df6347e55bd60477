"""Features, few switches, data beforehand: what they coincide with, their own inequalities, bounds, controls."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mdps import FiniteHorizon, ModelError
from pgtheory.online import (
    Episode,
    Episodic,
    HybridFittedNPG,
    HybridNPG,
    LinearNPG,
    LowSwitchingNPG,
    OptimisticNPG,
    Plan,
    linear_fit,
    noisy,
    phases,
    run_online,
    sure,
)
from pgtheory.online.counts import empty_model
from pgtheory.online.low_switching import search_steps, searched
from pgtheory.online.planning import best_values
from pgtheory.online.runner import what_is_told
from tests.pgtheory.online.small import path, task

EPS = np.finfo(float).eps


def mixture(seed: int, H: int = 2, S: int = 4, A: int = 3, d: int = 2) -> tuple[Episodic, np.ndarray]:
    """A task whose transitions are mixtures of d laws, with the weights as features."""
    rng = np.random.default_rng(seed)
    features = rng.dirichlet(np.ones(d), size=(S, A))
    P = np.einsum("sad,hdt->hsat", features, rng.dirichlet(np.ones(S), size=(H, d)))
    return Episodic.of(FiniteHorizon(P, rng.random((H, S, A)))), features


def test_a_mixture_of_laws_is_linear_and_a_random_model_is_not():
    one, features = mixture(1)
    residual, radius = linear_fit(one, features)
    assert residual <= 64 * EPS and 0 < radius <= 2 * math.sqrt(2)
    off, _ = linear_fit(task(2, H=2, S=4, A=3), features)
    assert off > 0.01
    out = run_online(task(2, H=2, S=4, A=3), LinearNPG(features), 5)
    assert out.guarantee is None and "not linear in the features" in out.broken
    assert "need radius" in run_online(one, LinearNPG(features, radius=0.01), 5).broken


def plain_linear(one: Episodic, features, episodes: int, scale: float, ridge: float, seed: int) -> np.ndarray:
    """The expected reward of each episode's policy, with one regression a step from the list of all pairs met."""
    H, S, A = one.shape
    d = features.shape[2]
    met: list[list[tuple[np.ndarray, int]]] = [[] for _ in range(H)]
    logits, gains = np.zeros((H, S, A)), []
    log = d * math.log(1 + episodes / (d * ridge)) + 2 * S * math.log(2) + 2 * math.log(H * H * episodes)
    for k in range(episodes):
        policy = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
        V, true = np.zeros(S), np.zeros(S)
        Q = np.zeros((H, S, A))
        for h in range(H - 1, -1, -1):
            c = H - 1 - h
            gram = ridge * np.eye(d) + sum((np.outer(x, x) for x, _ in met[h]), np.zeros((d, d)))
            inverse = np.linalg.inv(gram)
            weights = inverse @ sum((x * V[t] for x, t in met[h]), np.zeros(d))
            beta = scale * c * (math.sqrt(log) / 2 + math.sqrt(ridge * d))
            for s in range(S):
                for a in range(A):
                    x = features[s, a]
                    Q[h, s, a] = one.rewards[h, s, a] + min(c, x @ weights + beta * math.sqrt(x @ inverse @ x))
            V = (policy[h] * Q[h]).sum(axis=1)
            true = (policy[h] * (one.rewards[h] + one.transitions[h] @ true)).sum(axis=1)
        gains.append(true @ one.start)
        states, actions, _ = path(one, one.rewards, False, policy, seed, 0, k)
        for h in range(H):
            logits[h] += math.sqrt(8 * math.log(A) / episodes) / (H - h) * Q[h]
            met[h].append((features[states[h], actions[h]], states[h + 1]))
    return np.array(gains)


def test_linear_weights_are_the_plain_form():
    one, features = mixture(3, H=3)
    K, ridge = 40, 0.5
    out = run_online(one, LinearNPG(features, scale=0.1, ridge=ridge), K, 1, seed=5)
    best = best_values(one.transitions[None], one.rewards[None])[0, 0] @ one.start
    gains = plain_linear(one, features, K, 0.1, ridge, 5)
    # each step solves with a matrix of condition (ridge + K) / ridge; logits up to 30 carry the errors of all episodes before
    assert np.abs(out.regret[0] - np.cumsum(best - gains)).max() <= K * K * 30 * 3 * 3 * (ridge + K) / ridge * EPS


def test_one_hot_features_are_counts_with_a_ridge():
    """With ridge -> 0 the least squares are the frequencies: the estimate of a pair met n times differs from them by the factor n / (n + ridge)."""
    one = task(4, H=2, S=2, A=2)
    states = []

    class Watched(LinearNPG):
        def update(self, state, k, plan, episode):
            states.append(super().update(state, k, plan, episode))
            return states[-1]

    run_online(one, Watched(ridge=0.25), 30, 2)
    last = states[-1]
    met = last.targets.sum(axis=-1).reshape(2, 2, 2, 2)
    assert np.allclose(last.estimate.sum(axis=-1), met / (met + 0.25), rtol=0, atol=64 * EPS)
    assert np.allclose(last.width, 1 / np.sqrt(met + 0.25), rtol=64 * EPS)


def test_errors_of_the_least_squares_stay_within_beta_and_not_within_a_hundredth_of_it():
    """|P_hat V - P V| <= beta |phi| for the optimistic V of every episode, delta = 1 / 20, 20 runs."""
    one, features = mixture(6)
    worst = []

    class Watched(LinearNPG):
        def update(self, state, k, plan, episode):
            V = np.zeros(4)
            for h in (1, 0):
                off = np.abs(state.estimate[:, h] @ V - one.transitions[h] @ V) if h == 0 else 0.0
                if h == 0:
                    worst.append((off / (state.betas[0] * state.width[:, 0])).max(axis=(1, 2)))
                V = one.rewards[1].max(axis=1)
            return super().update(state, k, plan, episode)

    run_online(one, Watched(features, delta=0.05), 80, 20)
    ratios = np.array(worst).max(axis=0)
    assert (ratios <= 1).all() and (ratios > 0.01).all()


def test_determinants_double_as_rarely_as_stated():
    one, features = mixture(7)
    refreshed = []

    class Watched(LinearNPG):
        def update(self, state, k, plan, episode):
            before = state.volume.copy()
            out = super().update(state, k, plan, episode)
            refreshed.append((before != out.volume).any(axis=1))
            return out

    K = 300
    run_online(one, Watched(features, refresh="doubling"), K, 4)
    H, d = 2, 2
    times = np.sum(refreshed, axis=0)
    assert (times >= 2).all() and (times <= H * d * math.log2(1 + K / d)).all()


def test_policies_found_inside_the_fitted_model_change_as_rarely_as_determinants_double():
    one, features = mixture(7)
    K, d, H = 200, 2, 2
    searching, stepping = LinearNPG(features, refresh="doubling", inner=100, scale=0.1), LinearNPG(features, scale=0.1)
    rare, often = run_online(one, searching, K, 4), run_online(one, stepping, K, 4)
    assert (rare.switches >= 1).all() and (rare.switches <= H * d * math.log2(1 + K / d)).all() and (often.switches == K - 1).all()
    assert (rare.regret[:, -1] < often.regret[:, -1]).all()
    proved = run_online(one, LinearNPG(features, inner=100, refresh="doubling"), 5).guarantee.values
    plain = run_online(one, LinearNPG(features, refresh="doubling"), 5).guarantee.values
    T = np.arange(1, 6)
    weights = 3 * math.sqrt(5 * math.log(3) / 8) * (1 + T / 5)  # exponential weights over H = 2, A = 3, K = 5
    assert np.allclose(proved - T * 3 * math.sqrt(math.log(3) / 200), plain - weights, rtol=1e-12)


def test_the_search_comes_within_its_bound_of_the_best_of_the_model():
    """Inside one model with bonuses: max_i V^i >= V_best - (H (H + 1) / 2) sqrt(log A / (2 I)), V_best by value iteration with the same bonuses."""
    one, rng = task(8, H=3, S=3, A=3), np.random.default_rng(9)
    learn = LowSwitchingNPG(inner=50)
    told = what_is_told(one, learn, sure(one), 100)
    model = empty_model(told, 5, learn.widths(told), "doubling")
    model.estimate[:], model.rewards[:] = rng.dirichlet(np.ones(3), size=(5, 3, 3, 3)), rng.random((5, 3, 3, 3))
    model.bonus[:] = 0.0
    best = (best_values(model.estimate, model.rewards)[:, 0] * one.start).sum(axis=1)
    for inner in (1, 10, 50):
        policies = searched(model.rewards, model.estimate, model.bonus, one.start, search_steps(told, inner))
        found = []
        for run in range(5):
            V = np.zeros(3)
            for h in (2, 1, 0):
                V = (policies[run, h] * (model.rewards[run, h] + model.estimate[run, h] @ V)).sum(axis=1)
            found.append(V @ one.start)
        left = best - np.array(found)
        assert (left >= -1e-12).all() and (left <= 6 * math.sqrt(math.log(3) / (2 * inner)) + 1e-12).all()
        if inner == 50:
            assert (left < 0.2).all()


def test_low_switching_plays_as_few_policies_as_stated_and_learns():
    one, K = task(10, H=2, S=2, A=2), 400
    out = run_online(one, LowSwitchingNPG(scale=0.1, inner=40), K, 4, rewards=noisy(one))
    assert (out.switches >= 3).all() and (out.switches <= 2 * 2 * 2 * (1 + math.log2(K))).all()
    bare = run_online(one, LowSwitchingNPG(inner=1), K, 4, rewards=noisy(one))  # one step of a search is the uniform policy
    assert (out.regret[:, -1] < bare.regret[:, -1]).all() and (bare.switches == 0).all()
    assert out.guarantee is None and bare.guarantee is not None
    assert run_online(one, LowSwitchingNPG(), 3, rewards=phases(one)).guarantee is None


def test_data_beforehand_are_counts_of_the_behaviour_and_save_exploration():
    one = task(11, H=2, S=2, A=2)
    first = []

    class Watched(HybridNPG):
        def update(self, state, k, plan, episode):
            if k == 0:
                first.append(state.model.visits.copy())
            return super().update(state, k, plan, episode)

    only = np.zeros((2, 2, 2))
    only[..., 1] = 1.0
    run_online(one, Watched(offline=25, behaviour=only), 3, 2, rewards=noisy(one))
    assert (first[0].sum(axis=(2, 3)) == 25).all() and (first[0][..., 0] == 0).all()
    plain, with_data = (run_online(one, learn, 300, 4, rewards=noisy(one)) for learn in (OptimisticNPG(), HybridNPG(offline=3000)))
    assert with_data.regret[:, -1].mean() < 0.8 * plain.regret[:, -1].mean()
    assert (run_online(one, HybridNPG(offline=0), 50).regret == run_online(one, OptimisticNPG(), 50).regret).all()
    assert (with_data.guarantee.values > plain.guarantee.values).all()  # the union is over more counts; what the data save is not in the bound


@pytest.mark.slow
@pytest.mark.parametrize(
    "learn", [LowSwitchingNPG(), HybridNPG(offline=50), LinearNPG(), LinearNPG(refresh="doubling")], ids=lambda x: f"{x.name}-{x.refresh}"
)
def test_the_regret_stays_under_the_bound(learn):
    one = task(12, H=2, S=2, A=2)
    out = run_online(one, learn, 3000, 2, times=[1, 300, 3000])
    assert (out.regret <= out.guarantee.values).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: LinearNPG(np.ones((3, 2))), "features have shape (3, 2); they must be (states, actions, dimension) = (3, 2, d)"),
        (lambda: LinearNPG(np.ones((2, 3, 1))), "features have shape (2, 3, 1)"),
        (lambda: LinearNPG(np.full((3, 2, 4), 0.6)), "the feature of state 0, action 0 has length 1.2; it must be at most 1"),
        (lambda: LinearNPG(np.where(np.arange(6).reshape(3, 2, 1) == 3, np.nan, 0.5)), "features[1, 1, 0] is nan"),
        (lambda: LinearNPG("missing.npy"), "features missing.npy: No such file"),
        (lambda: LinearNPG("words"), "'one-hot', an array, or the name of an .npy file"),
        (lambda: LinearNPG(ridge=0), "ridge is 0"),
        (lambda: LinearNPG(scale=-2), "the scale of the bonus is -2"),
        (lambda: LinearNPG(rewards="revealed"), "rewards are not revealed"),
        (lambda: LinearNPG(inner=3, rewards="revealed"), "a search inside the model needs rewards that are known"),
        (lambda: LinearNPG(inner=-1), "inner is -1; it must be a whole number, at least 0"),
        (lambda: LowSwitchingNPG(inner=0), "inner is 0"),
        (lambda: HybridNPG(offline=1.5), "offline is 1.5"),
        (lambda: HybridFittedNPG(batch=0), "batch is 0"),
        (lambda: HybridFittedNPG(weight=-1), "weight is -1"),
        (lambda: HybridFittedNPG(behaviour=np.ones((3, 3, 2))), "behaviour[0, 0] is [1.0, 1.0], no distribution"),
        (lambda: HybridNPG(behaviour=np.ones((3, 3))), "behaviour has shape (3, 3); it must be (3, 3, 2)"),
        (lambda: HybridNPG(behaviour=np.ones((3, 3, 2))), "behaviour[0, 0] is [1.0, 1.0], no distribution"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ModelError) as caught:
        run_online(task(1), call(), 3)
    assert words in str(caught.value)


def test_the_critic_of_both_kinds_of_data_is_the_least_squares_solution():
    """At every pair the fitted figure is the minimiser found by numpy's least squares over the listed data, rows weighed by the root of the weight."""
    one, H, S, A = task(13, H=2, S=2, A=2), 2, 2, 2
    learn = HybridFittedNPG(offline=12, batch=5, weight=2.5)
    told = what_is_told(one, learn, sure(one), 20)
    state, rng = learn.start(told, 1), np.random.default_rng(14)
    policy = rng.dirichlet(np.ones(A), size=(1, H, S))
    offline, own = [], []
    for _ in range(12):
        s, a, r = rng.integers(S, size=(1, 3)), rng.integers(A, size=(1, 2)), rng.random((1, 2))
        offline += [(h, s[0, h], a[0, h], r[0, h], s[0, h + 1]) for h in range(H)]
        state = learn.read(state, Episode(s, a, r))
    for k in range(4):  # one short of a batch: the logits stay
        s, a, r = rng.integers(S, size=(1, 3)), rng.integers(A, size=(1, 2)), rng.random((1, 2))
        own += [(h, s[0, h], a[0, h], r[0, h:].sum()) for h in range(H)]
        state = learn.update(state, k, Plan(policy), Episode(s, a, r))
    assert (state.logits == 0).all()
    f, later = learn.critic(state, policy)[0], np.zeros(S)
    for h in (1, 0):
        rows = [(np.eye(S * A)[s * A + a], r + later[t]) for g, s, a, r, t in offline if g == h]
        rows += [(math.sqrt(2.5) * np.eye(S * A)[s * A + a], math.sqrt(2.5) * G) for g, s, a, G in own if g == h]
        fitted = np.linalg.lstsq(np.array([x for x, _ in rows]), np.array([y for _, y in rows]), rcond=None)[0].reshape(S, A)
        assert np.abs(f[h] - fitted).max() <= 64 * EPS * len(rows)  # pairs without data: 0, the least-norm solution
        later = (policy[0, h] * fitted).sum(axis=1)
    state = learn.update(state, 4, Plan(policy), Episode(s, a, r))
    assert (state.logits != 0).any() and (state.own == 0).all()


def lock(H: int) -> Episodic:
    """State 0 is kept by action 1 and lost for ever by action 0; only the last step in state 0, action 1, pays."""
    P, r = np.zeros((H, 2, 2, 2)), np.zeros((H, 2, 2))
    P[:, 0, 1, 0] = P[:, 0, 0, 1] = P[:, 1, :, 1] = 1
    r[-1, 0, 1] = 1.0
    return Episodic.of(FiniteHorizon(P, r, start=[1, 0]))


def test_data_of_the_way_open_a_lock_that_own_play_does_not_find():
    H, K = 14, 300
    way = np.zeros((H, 2, 2))
    way[..., 1] = 1.0
    alone = run_online(lock(H), HybridFittedNPG(0, 10, step_size=20.0), K, 6).regret[:, -1]
    shown = run_online(lock(H), HybridFittedNPG(5, 10, step_size=20.0, behaviour=way), K, 6).regret[:, -1]
    assert (shown < 0.8 * K).all() and alone.mean() > 0.95 * K


def test_own_returns_help_where_the_data_cover_nothing():
    """The data never take action 1, which pays: without own returns (weight 0) the learner cannot see it."""
    P = np.zeros((2, 2, 2, 2))
    P[:, :, 0, 0] = P[:, :, 1, 1] = 1
    r = np.zeros((2, 2, 2))
    r[:, :, 1] = 1.0
    one = Episodic.of(FiniteHorizon(P, r, start=[1, 0]))
    never = np.zeros((2, 2, 2))
    never[..., 0] = 1.0
    blind, both = (run_online(one, HybridFittedNPG(50, 5, weight, behaviour=never), 400, 4).regret[:, -1] for weight in (0.0, 1.0))
    assert (both < 0.3 * blind).all()
    assert np.allclose(blind, 400, rtol=1e-12)  # half of the two rewards, for ever
    assert run_online(one, HybridFittedNPG(), 5).guarantee is None
