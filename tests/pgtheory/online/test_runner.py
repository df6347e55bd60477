"""Regret is exact, runs own their random numbers, the recursions agree with enumeration and with linear programs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.optimize import linprog

from mdps import MDP, FiniteHorizon, ModelError, zoo
from pgtheory import solve_finite_horizon
from pgtheory.online import (
    Episodic,
    OptimisticNPG,
    OptimisticValueIteration,
    Plan,
    RegularisedLeaders,
    noisy,
    phases,
    random_tables,
    run_online,
    sure,
)
from pgtheory.online.confidence import largest_mean, visit_bounds
from pgtheory.online.planning import best_values, policy_values, visits
from pgtheory.online.rewards import Rewards
from tests.pgtheory.online.small import deterministic_policies, path, task, value

EPS = np.finfo(float).eps


def rounding(shape) -> float:
    """Two recursions of H sums of S + A terms up to H, each with its own rounding."""
    H, S, A = shape
    return 4 * H * H * (S + A + 2) * EPS


@dataclasses.dataclass(frozen=True)
class Still:
    """Plays one policy for ever."""

    policy: np.ndarray
    name: str = "still"
    knows: frozenset = frozenset()

    def start(self, told, runs):
        return np.broadcast_to(self.policy, (runs, *told.shape))

    def plan(self, state, k):
        return Plan(state)

    def update(self, state, k, plan, episode):
        return state

    def guarantee(self, told, times):
        return None


def test_optimal_values_are_those_of_the_solver():
    one = task(1, H=4, S=3, A=3)
    exact = solve_finite_horizon(FiniteHorizon(one.transitions, one.rewards, start=one.start))
    ours = best_values(one.transitions[None], one.rewards[None])[0]
    assert np.abs(ours - np.stack(exact.values)).max() <= rounding(one.shape)


def test_values_and_visits_of_policies_agree_forwards_and_backwards():
    one, rng = task(2, H=3, S=3, A=2), np.random.default_rng(3)
    policies = rng.dirichlet(np.ones(2), size=(4, 3, 3))
    _, V = policy_values(one.transitions[None], one.rewards[None], policies)
    u = visits(one.transitions[None], policies, one.start)
    for n, policy in enumerate(policies):
        forwards = value(one.transitions, one.rewards, one.start, policy)
        assert abs(V[n, 0] @ one.start - forwards) <= rounding(one.shape)
        assert abs((u[n][:, :, None] * policy * one.rewards).sum() - forwards) <= rounding(one.shape)


@pytest.mark.parametrize("law", [sure, phases, random_tables], ids=lambda law: law.__name__)
def test_regret_is_the_best_fixed_policy_of_all_less_what_was_earned(law):
    one = task(4, H=2, S=2, A=2)
    paid, policy = law(one), np.full((2, 2, 2), 0.5)
    out = run_online(one, Still(policy), 9, rewards=paid, times=[1, 4, 9])
    for t, regret in zip(out.times, out.regret[0], strict=True):
        tables = [paid.table(k) for k in range(t)]
        best = max(sum(value(one.transitions, r, one.start, p) for r in tables) for p in deterministic_policies(2, 2, 2))
        earned = sum(value(one.transitions, r, one.start, policy) for r in tables)
        assert abs(regret - (best - earned)) <= t * rounding(one.shape)


def test_phases_double_and_turn_over():
    one = task(4)
    own = [bool((phases(one).table(k) == one.rewards).all()) for k in range(15)]
    assert own == [True, False, False, True, True, True, True] + [False] * 8


@pytest.mark.parametrize(
    "learner",
    [OptimisticValueIteration(), OptimisticNPG(refresh="doubling"), RegularisedLeaders("tsallis", "unknown")],
    ids=lambda x: type(x).__name__,
)
def test_a_run_does_not_depend_on_those_beside_it(learner):
    one = task(5)
    together = run_online(one, learner, 40, 5, seed=9, rewards=noisy(one))
    alone = run_online(one, learner, 40, 1, seed=9, rewards=noisy(one), first=3)
    assert (together.regret[3] == alone.regret[0]).all() and (together.policies[3] == alone.policies[0]).all()
    other = run_online(one, learner, 40, 1, seed=10, rewards=noisy(one), first=3)
    assert (other.policies[0] != alone.policies[0]).any()


def test_runs_that_do_not_fit_at_once_are_played_in_parts(monkeypatch):
    one = task(5)
    whole = run_online(one, OptimisticValueIteration(), 20, 5)
    monkeypatch.setattr("pgtheory.online.runner.NUMBERS_AT_ONCE", 2 * 3 * 3 * 2 * 3)  # two runs
    parts = run_online(one, OptimisticValueIteration(), 20, 5)
    assert (whole.regret == parts.regret).all() and (whole.switches == parts.switches).all() and (whole.failures == parts.failures).all()


@pytest.mark.parametrize("noise", [False, True])
def test_episodes_are_those_of_a_plain_walk(noise):
    one, rng = task(6), np.random.default_rng(7)
    policy = rng.dirichlet(np.ones(2), size=(3, 3))
    seen = []

    class Watching(Still):
        def update(self, state, k, plan, episode):
            seen.append(episode)
            return state

    run_online(one, Watching(policy), 70, 2, seed=11, rewards=noisy(one) if noise else sure(one))
    for k, episode in enumerate(seen):
        for run in range(2):
            states, actions, rewards = path(one, one.rewards, noise, policy, 11, run, k)
            assert (episode.states[run].tolist(), episode.actions[run].tolist(), episode.rewards[run].tolist()) == (states, actions, rewards)


def test_draws_never_take_what_has_probability_zero():
    P = np.zeros((2, 3, 2, 3))
    P[..., 0] = 0.1 + 0.2  # sums that round
    P[..., 1] = 1 - (0.1 + 0.2)
    one = Episodic.of(FiniteHorizon(P, np.zeros((2, 3, 2)), start=[1, 0, 0]))
    policy = np.broadcast_to([1.0, 0.0], (2, 3, 2))
    visited = set()

    class Watching(Still):
        def update(self, state, k, plan, episode):
            visited.update(episode.states[:, 1:].ravel().tolist())
            assert (episode.actions == 0).all() and (episode.states[:, 0] == 0).all()
            return state

    run_online(one, Watching(policy), 100, 5)
    assert visited == {0, 1}


def test_the_largest_mean_over_a_ball_is_the_linear_program_s():
    rng = np.random.default_rng(8)
    S = 4
    for trial in range(20):
        p, w = rng.dirichlet(np.full(S, 0.4)), rng.random(S)
        radius = [0.0, 0.3, 1.1, 2.0][trial % 4]
        # |q - p| <= d, sum d <= radius, sum q = 1
        bounds = np.block([[np.eye(S), -np.eye(S)], [-np.eye(S), -np.eye(S)], [np.zeros((1, S)), np.ones((1, S))]])
        found = linprog(
            np.concatenate([-w, np.zeros(S)]), A_ub=bounds, b_ub=np.concatenate([p, -p, [radius]]), A_eq=[[1.0] * S + [0.0] * S], b_eq=[1.0]
        )
        ours = largest_mean(p[None, None, None], np.full((1, 1, 1), radius), w[None, None])[0, 0, 0, 0]
        assert abs(ours + found.fun) <= 1e-9  # HiGHS' feasibility tolerance is 1e-7 of the mass, the vertices here are exact


def test_visit_bounds_hold_for_models_of_the_set_and_are_attained_at_radius_zero():
    one, rng = task(9, H=3, S=3, A=2), np.random.default_rng(10)
    policies = rng.dirichlet(np.ones(2), size=(1, 3, 3))
    exact = visits(one.transitions[None], policies, one.start)
    for bound in visit_bounds(one.transitions[None], np.zeros((1, 3, 3, 2)), policies, one.start):
        assert np.abs(bound - exact).max() <= rounding(one.shape)
    radius = rng.uniform(0.1, 0.8, size=(1, 3, 3, 2))
    low, high = visit_bounds(one.transitions[None], radius, policies, one.start)
    for _ in range(200):
        other = rng.dirichlet(np.ones(3), size=(1, 3, 3, 2))
        far = np.abs(other - one.transitions).sum(axis=-1)
        inside = one.transitions + np.minimum(1, radius / far)[..., None] * (other - one.transitions)
        u = visits(inside, policies, one.start)
        assert (low - rounding(one.shape) <= u).all() and (u <= high + rounding(one.shape)).all()
    assert (high[:, 1:] > exact[:, 1:]).all() and (low[:, 1:] < exact[:, 1:]).all()


BAD = [
    (lambda: Episodic.of(zoo.load("chain(2, 9/10)")), "horizon=STEPS, on the command line --horizon STEPS"),
    (lambda: Episodic.of(zoo.load("chain(2, 9/10)"), 0), "horizon is 0"),
    (lambda: Episodic.of(FiniteHorizon([np.ones((1, 1, 1))], [[[2.5]]])), "step 0, state 0, action 0 is 2.5, outside [0, 1]"),
    (lambda: Episodic.of(FiniteHorizon([np.ones((1, 1, 1))], [[[2.5]]]), reward_range=(3, 1)), "(3, 1)"),
    (lambda: Episodic.of(FiniteHorizon([np.ones((1, 1, 2)) / 2, np.ones((2, 1, 1))], [[[0.5]], [[0.5], [0.5]]])), "step 0 has 1 state"),
    (lambda: Episodic.of("lake"), "is a str"),
    (lambda: run_online(task(1), OptimisticNPG(), 0), "episodes"),
    (lambda: run_online(task(1), OptimisticNPG(), 5, 0), "runs"),
    (lambda: run_online(task(1), OptimisticNPG(), 5, seed="x"), "seed is 'x'"),
    (lambda: run_online(task(1), OptimisticNPG(), 5, times=[3, 9]), "1 .. 5"),
    (lambda: run_online(zoo.load("chain(2, 9/10)"), OptimisticNPG(), 5), "Episodic.of"),
    (lambda: run_online(task(1), OptimisticNPG(rewards="known"), 5, rewards=phases(task(1))), "phases rewards change"),
    (lambda: run_online(task(1), OptimisticNPG(), 5, rewards=Rewards("own", lambda k: np.zeros((2, 2)))), "episode 0 have shape (2, 2)"),
    (
        lambda: run_online(task(1), OptimisticNPG(), 5, rewards=Rewards("own", lambda k: np.full((3, 3, 2), k))),
        "episode 2 pays 2.0 at step 0, state 0, action 0",
    ),
    (lambda: run_online(task(1), Still(np.full((3, 3, 2), 0.4)), 5), "still, episode 0, run 0: the policy of step 0, state 0"),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_bad_input_is_named(case):
    call, words = BAD[case]
    with pytest.raises(ModelError) as caught:
        call()
    assert words in str(caught.value)


def test_states_with_different_numbers_of_actions_are_named():
    mdp = MDP.from_choices([0, 1, 3], np.full((3, 2), 0.5), np.zeros(3), 0.9)
    with pytest.raises(ModelError, match="state 0 has 1 action"):
        Episodic.of(mdp, 3)


def test_other_ranges_shift_the_game_and_scale_the_regret():
    rng = np.random.default_rng(12)
    P, r = rng.dirichlet(np.ones(3), size=(3, 3, 2)), rng.uniform(-4, 6, size=(3, 3, 2))
    whole = Episodic.of(FiniteHorizon(P, r), reward_range=(-4, 6))
    unit = Episodic.of(FiniteHorizon(P, (r + 4) / 10))
    one, two = (run_online(t, OptimisticNPG(), 30, 2) for t in (whole, unit))
    assert np.abs(one.regret - 10 * two.regret).max() <= 30 * 10 * rounding(whole.shape) * 3
    assert np.allclose(one.guarantee.values, 10 * two.guarantee.values, rtol=8 * EPS)
    assert Episodic.of(FiniteHorizon(P, r), reward_range="own").low == r.min()


def test_a_discount_and_a_last_reward_are_part_of_the_rewards():
    rng = np.random.default_rng(13)
    P, r, g = rng.dirichlet(np.ones(2), size=(2, 2, 2)), rng.random((2, 2, 2)) / 2, rng.random(2) / 2
    problem = FiniteHorizon(P, r, g, discount=0.5)
    one = Episodic.of(problem)
    exact = solve_finite_horizon(problem)
    assert abs(best_values(one.transitions[None], one.rewards[None])[0, 0] - exact.values[0]).max() <= rounding(one.shape)


def test_switches_count_changes_of_the_policy():
    one = task(14)
    out = run_online(one, OptimisticValueIteration(refresh="doubling"), 200, 3)
    H, S, A = one.shape
    assert (out.switches > 0).all() and (out.switches <= H * S * A * (1 + np.log2(200))).all()
    still = run_online(one, Still(np.full((3, 3, 2), 0.5)), 5)
    assert still.switches.tolist() == [0] and still.failures is None and still.guarantee is None
