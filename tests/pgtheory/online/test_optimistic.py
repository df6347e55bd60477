"""Optimistic value iteration and exponential weights: plain forms, optimism, what one episode may lose, bounds on the regret, controls."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from mdps import FiniteHorizon, ModelError
from pgtheory.online import Episodic, OptimisticNPG, OptimisticValueIteration, learner, noisy, phases, random_tables, run_online, sure
from pgtheory.online.guarantees import log_l1, log_pairs, visited
from pgtheory.online.names import NAMES, settings_of
from pgtheory.online.planning import best_values, policy_values, visits
from pgtheory.online.runner import what_is_told
from tests.pgtheory.online.small import plain_optimist, task, value

EPS = np.finfo(float).eps


def logs(one: Episodic, episodes: int, bonus: str, share: float) -> tuple[float, float]:
    """The two logarithms, written out."""
    H, S, A = one.shape
    delta = share / (H * episodes)
    cells = S * A * H * episodes
    return math.log((2**S - 2) * cells / delta) if bonus == "l1" else math.log(4 * cells / delta), math.log(2 * cells / delta)


@pytest.mark.parametrize("bonus", ["l1", "hoeffding"])
@pytest.mark.parametrize("law", [sure, noisy], ids=["sure", "noisy"])
@pytest.mark.parametrize("refresh", ["every", "doubling"])
def test_value_iteration_is_the_plain_form(bonus, law, refresh):
    one, K = task(1), 50
    log, log_rewards = logs(one, K, bonus, 0.5 if law is noisy else 1.0)
    scale = 0.1  # else K is too short for the bonuses to matter
    out = run_online(one, OptimisticValueIteration(bonus, scale=scale, refresh=refresh), K, 1, seed=3, rewards=law(one), first=2)
    gains = plain_optimist(one, K, log=log, log_rewards=log_rewards, noisy=law is noisy, doubling=refresh == "doubling", scale=scale, seed=3, run=2)
    best = best_values(one.transitions[None], one.rewards[None])[0, 0] @ one.start
    assert np.abs(out.regret[0] - np.cumsum(best - gains)).max() <= K * 4 * 9 * 7 * EPS


@pytest.mark.parametrize("law", [sure, noisy], ids=["sure", "noisy"])
def test_exponential_weights_are_the_plain_form(law):
    one, K = task(2), 40
    log, log_rewards = logs(one, K, "l1", 0.5 if law is noisy else 1.0)
    out = run_online(one, OptimisticNPG(scale=0.2), K, 1, seed=4, rewards=law(one))
    gains = plain_optimist(one, K, log=log, log_rewards=log_rewards, noisy=law is noisy, weights=True, scale=0.2, seed=4)
    best = best_values(one.transitions[None], one.rewards[None])[0, 0] @ one.start
    # logits grow to K eta H <= 30: their rounding moves a probability by 30 eps each time, and a value by H times that
    assert np.abs(out.regret[0] - np.cumsum(best - gains)).max() <= K * K * 30 * 9 * 7 * EPS


def test_names_fix_their_settings():
    assert learner("ucbvi", scale=2) == OptimisticValueIteration("hoeffding", scale=2)
    assert learner("rare-switching-actor-critic") == OptimisticNPG(refresh="doubling")
    for name in NAMES:
        made = learner(name)
        assert set(settings_of(name)) <= set(vars(made)) and made.name
    with pytest.raises(ModelError, match="bonus is 'hoeffding' by its name"):
        learner("ucbvi", bonus="l1")
    with pytest.raises(ModelError, match="Did you mean ucbvi"):
        learner("ucbv")


@pytest.mark.parametrize("kind", [OptimisticValueIteration, OptimisticNPG])
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"scale": -1}, "the scale of the bonus is -1"),
        ({"scale": math.nan}, "finite"),
        ({"delta": 1.5}, "delta is 1.5"),
        ({"bonus": "l2"}, "one of l1, hoeffding"),
        ({"refresh": "doublin"}, "Did you mean doubling"),
        ({"rewards": "no"}, "'learned' or 'known'"),
    ],
)
def test_bad_settings_are_named(kind, settings, words):
    with pytest.raises(ModelError) as caught:
        kind(**settings)
    assert words in str(caught.value)


class Watched(OptimisticValueIteration):
    """Keeps every plan with the bonuses that it was made of."""

    seen: list = []  # noqa: RUF012

    def plan(self, state, k):
        out = super().plan(state, k)
        self.seen.append((out.policies.copy(), out.upper.copy(), state.model.bonus.copy(), state.model.used.copy()))
        return out


@pytest.mark.parametrize("refresh", ["every", "doubling"])
def test_an_episode_loses_at_most_the_bonuses_that_its_policy_meets(refresh):
    """(ii): V* - V^pi_k <= sum_h E_{pi_k} [min(2 b, H - 1 - h) + 1{not seen}] in every episode of a run whose confidence sets hold."""
    one = task(3, H=3, S=2, A=2)
    best = best_values(one.transitions[None], one.rewards[None])[0, 0]
    reach = np.array([2.0, 1.0, 0.0])[:, None, None]
    Watched.seen.clear()
    out = run_online(one, Watched(refresh=refresh), 150, 20)
    tightest = 0.0
    for policies, upper, bonus, used in Watched.seen:
        _, V = policy_values(one.transitions[None], one.rewards[None], policies)
        gap = (best - V[:, 0]) @ one.start
        price = np.minimum(2 * bonus, reach) + (used == 0)
        u = visits(one.transitions[None], policies, one.start)
        allowed = (u[..., None] * policies * price).sum(axis=(1, 2, 3))
        good = (upper >= best - 1e-12).all(axis=1)
        assert (gap[good] <= allowed[good] + 1e-12).all()
        tightest = max(tightest, float((gap / allowed).max()))
    assert out.failures.sum() == 0 and 0.05 < tightest <= 1


def trap() -> Episodic:
    """From state 0 action 0 leads to state 1, action 1 to state 1 or 2 with equal chances; state 2 pays 1, state 1 pays 0.4."""
    P, r = np.zeros((2, 3, 2, 3)), np.zeros((2, 3, 2))
    P[:, 0, 0, 1] = P[:, 1:, :, 1] = 1
    P[:, 0, 1, 1] = P[:, 0, 1, 2] = 0.5
    r[1, 1], r[1, 2] = 0.4, 1.0
    return Episodic.of(FiniteHorizon(P, r, start=[1, 0, 0]))


@pytest.mark.parametrize("bonus", ["l1", "hoeffding"])
def test_optimism_fails_in_no_more_runs_than_stated_and_without_bonus_in_many(bonus):
    """delta = 0.2, 200 runs, the laws of the rewards known: under the theorem more than 61 failures have probability below 1e-3 (binomial tail)."""
    one, runs = trap(), 200
    held = run_online(one, OptimisticValueIteration(bonus, delta=0.2, rewards="known"), 60, runs, seed=1)
    assert (held.failures > 0).sum() <= 61
    bare = run_online(one, OptimisticValueIteration(bonus, scale=0, rewards="known"), 60, runs, seed=1)
    # the first pull of action 1 leads to state 1 with probability 1/2, after which 0.4 is all it promises: more than 1e-3 only above 61
    assert (bare.failures > 0).sum() > 61
    assert bare.guarantee is None and held.guarantee is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["optimistic-vi", "rare-switching-vi", "optimistic-npg", "rare-switching-actor-critic"])
def test_the_mean_regret_stays_under_the_bound_where_the_bound_says_something(name):
    """One state pays, one does not: K large enough for the bound to lie below K H, the trivial one."""
    one, K = task(4, H=2, S=2, A=2, concentration=0.3), 6000
    out = run_online(one, learner(name), K, 3, seed=2, times=[K // 4, K])
    bound = out.guarantee.values
    assert bound[-1] < K * 2
    assert (out.regret <= bound).all()
    # growth: four times the episodes, at most about twice the bound
    assert bound[1] <= 2.2 * bound[0]


@pytest.mark.slow
@pytest.mark.parametrize("law", [phases, random_tables], ids=lambda law: law.__name__)
def test_exponential_weights_follow_an_adversary_that_is_shown(law):
    one, K = task(5, H=2, S=2, A=2), 4000
    out = run_online(one, OptimisticNPG(), K, 2, rewards=law(one, revealed=True))
    assert (out.regret <= out.guarantee.values).all() and out.guarantee.values[-1] < K * 2


def test_nothing_is_promised_about_rewards_that_change_unseen():
    one = task(5, H=2, S=2, A=2)
    assert run_online(one, OptimisticValueIteration(), 5, rewards=phases(one, revealed=True)).guarantee is None
    assert run_online(one, OptimisticNPG(), 5, rewards=phases(one)).guarantee is None


def test_guarantees_are_their_formulas():
    one, K = task(6, H=3, S=3, A=2), 500
    H, S, A = one.shape
    T, delta = np.array([10, 500]), 1 / (H * K)
    iota, log_rewards = math.log(6 * S * A * H * K / delta), math.log(4 * S * A * H * K / delta)
    vi = OptimisticValueIteration()
    plain = 3 * (S * A + 2 * np.sqrt(2 * iota * S * A * T)) + 1
    assert np.allclose(vi.guarantee(what_is_told(one, vi, sure(one), K), T).values, plain + H * S * A, rtol=1e-12)
    known = OptimisticValueIteration(rewards="known")
    assert np.allclose(known.guarantee(what_is_told(one, known, sure(one), K), T).values, plain, rtol=1e-12)
    half = 3 * (S * A + 2 * np.sqrt(2 * (iota + math.log(2)) * S * A * T)) + 1
    noise = H * (S * A + 2 * np.sqrt(2 * log_rewards * S * A * T))
    assert np.allclose(vi.guarantee(what_is_told(one, vi, noisy(one), K), T).values, half + noise, rtol=1e-12)
    npg = OptimisticNPG(rewards="known")
    hedge = 3 * math.sqrt(K * math.log(A) / 2) * (1 + T / K)
    assert np.allclose(npg.guarantee(what_is_told(one, npg, sure(one), K), T).values, plain + hedge, rtol=1e-12)


def test_sums_over_visits_are_below_their_bounds():
    """sum over visits of min(1, sqrt(2 iota / n)) <= S A + 2 sqrt(2 iota S A T), for every way to visit S A pairs T times; nearly attained."""
    rng, shape, log = np.random.default_rng(0), (1, 3, 2), 3.0
    worst = 0.0
    for T in (1, 6, 60, 600):
        for order in (np.arange(T) % 6, rng.integers(6, size=T), np.zeros(T, dtype=int)):
            n, total = np.zeros(6), 0.0
            for pair in order:
                total += 1.0 if n[pair] == 0 else min(1.0, math.sqrt(2 * log / n[pair]))
                n[pair] += 1
            worst = max(worst, total / visited(shape, np.array([T]), log)[0])
    assert 0.7 < worst <= 1
    assert log_l1((2, 1, 2), 5, 0.1) == 0.0 and log_pairs((1, 1, 1), 1, 0.5) == pytest.approx(math.log(2), rel=1e-15)


def test_one_state_and_one_action_cost_nothing_in_the_end():
    one = Episodic.of(FiniteHorizon(np.ones((3, 1, 1, 1)), np.full((3, 1, 1), 0.7)))
    for name in NAMES:
        out = run_online(one, learner(name), 20, 2)
        assert np.abs(out.regret).max() <= 20 * 3 * 8 * EPS and (out.guarantee is None or (out.guarantee.values >= 0).all())
    assert value(one.transitions, one.rewards, one.start, np.ones((3, 1, 1))) == pytest.approx(2.1, rel=4 * EPS)


def test_tables_that_change_do_not_refresh_the_counts():
    """A new table in every episode: the counts in use still change at doublings only, at most 1 + log2 K times for each pair of a step."""
    one, K, kept = task(3, H=2, S=2, A=2), 60, []

    class Recorded(OptimisticNPG):
        def plan(self, state, k):
            kept.append((state.model.used.copy(), state.model.visits.copy()))
            return super().plan(state, k)

    run_online(one, Recorded(refresh="doubling"), K, 3, rewards=random_tables(one, 1, revealed=True))
    changes = sum((after != before).any(axis=(1, 2, 3)) for (before, _), (after, _) in itertools.pairwise(kept))
    assert (changes >= 4).all() and (changes <= 8 * (1 + math.log2(K))).all() and (changes < K // 2).all()
    assert all(((visits < np.maximum(1, 2 * used)) | (visits == 0)).all() for used, visits in kept)
