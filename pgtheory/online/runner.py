"""Plays learners and measures their regret exactly.

    Regret_T = max_pi sum_{k < T} V^pi(r_k) - sum_{k < T} V^{pi_k}(r_k)

Both sides are dynamic programming on the true model (the best policy in hindsight is the best one for the sum of the rewards), in reward units, from
the start distribution; nothing is estimated.  For rewards that do not change this is sum_k (V* - V^{pi_k}).

A learner is an object with

    name                                  for tables
    knows                                 what it is told: a subset of {"transitions", "rewards"}
    start(told, runs) -> state            arrays whose first axis is the run
    plan(state, k) -> Plan                the policies of episode k, from what was seen in episodes 0 .. k - 1
    update(state, k, plan, episode) -> state
    guarantee(told, times) -> Guarantee, or None where nothing is proved
    assumption(task) -> str               if it has one: why the guarantee does not hold here, or ""
    offline, data_policy(told), read(state, episode) -> state        if it begins with data: how many episodes, of which policy (H, S, A)

Run c of a seed owns stream c.  Episode k takes draws k (3 H + 1) .. (k + 1)(3 H + 1) - 1 of it: the first state, then action, next state and reward
of each step, whether they are needed or not.  So all learners meet the same luck, and the figures do not depend on which runs are played together.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import numpy as np

from mdps.errors import ModelError
from pgtheory.online.guarantees import Guarantee
from pgtheory.online.planning import best_values, policy_values
from pgtheory.online.rewards import Rewards, sure
from pgtheory.online.task import Episodic, Told
from pgtheory.sampling.simulator import _count
from pgtheory.sampling.streams import checked_seed, uniforms

Array = np.ndarray
BLOCK = 64
"""Episodes whose random numbers are drawn at once."""
NUMBERS_AT_ONCE = 2**24
"""Runs are played together as long as their transition counts take no more than this many numbers (128 MB)."""
MOST_TIMES = 400
OFFLINE = 2**40
"""The first draw of a run's stream that offline episodes take."""


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """policies (N, H, S, A) of an episode; upper (N, S), where given: what the learner holds for upper bounds of the optimal values of step 0."""

    policies: Array
    upper: Array | None = None
    memory: Any = None


@dataclasses.dataclass(frozen=True, eq=False)
class Episode:
    """What N runs saw: states (N, H + 1), actions (N, H), rewards (N, H); table (H, S, A) where all rewards are revealed."""

    states: Array
    actions: Array
    rewards: Array
    table: Array | None = None


class Learner(Protocol):
    """What `run_online` plays; the module's docstring says what each member promises."""

    name: str
    knows: frozenset[str]

    def start(self, told: Told, runs: int) -> Any: ...
    def plan(self, state: Any, k: int) -> Plan: ...
    def update(self, state: Any, k: int, plan: Plan, episode: Episode) -> Any: ...
    def guarantee(self, told: Told, times: Array) -> Guarantee | None: ...


@dataclasses.dataclass(frozen=True, eq=False)
class OnlineRuns:
    """What the runs did, at the R recorded numbers of episodes.

    times      (R,);  regret (runs, R) in reward units, exact
    switches   (runs,) episodes whose policy differs from the one before
    failures   (runs,) episodes in which an upper bound of the learner lay below an optimal value of step 0; None where there is nothing to compare
    policies   (runs, H, S, A) of the last episode
    guarantee  what is proved about the learner, in reward units, or None
    broken     the assumption of its guarantee that the task does not meet, or ""
    """

    times: Array
    regret: Array
    switches: Array
    failures: Array | None
    policies: Array
    guarantee: Guarantee | None
    broken: str = ""


def run_online(
    task: Episodic,
    learner: Learner,
    episodes: int,
    runs: int = 1,
    seed: int = 0,
    *,
    rewards: Rewards | None = None,
    times: Any = None,
    first: int = 0,
) -> OnlineRuns:
    """`runs` independent runs of `episodes` episodes.

    rewards  what the episodes pay; `sure(task)` if left out
    times    numbers of episodes to record at, increasing; if left out every one up to 400, a logarithmic choice of more
    first    number of the first run: runs first .. first + runs - 1 of the seed
    raises   ModelError: no episode, no run, times outside 1 .. episodes, a bad seed, rewards outside [0, 1], a learner whose plan is no policy
    """
    if not isinstance(task, Episodic):
        raise ModelError(f"the task is a {type(task).__name__}; make one with Episodic.of(problem, horizon)")
    episodes, runs, first = _count("episodes", episodes, 1), _count("runs", runs, 1), _count("first", first, 0)
    recorded = recorded_times(episodes) if times is None else np.asarray(times, dtype=np.int64)
    if recorded.ndim != 1 or recorded.size == 0 or recorded[0] < 1 or recorded[-1] > episodes or (np.diff(recorded) <= 0).any():
        raise ModelError(f"times must be increasing numbers of episodes in 1 .. {episodes}; got {np.asarray(times).tolist()}")
    number, paid = checked_seed(seed), sure(task) if rewards is None else rewards
    told = what_is_told(task, learner, paid, episodes)
    H, S, A = task.shape
    together = max(1, NUMBERS_AT_ONCE // (H * S * A * S))
    parts = [
        _play(task, learner, told, paid, recorded, int(number), first + begin, min(together, runs - begin)) for begin in range(0, runs, together)
    ]
    broken = getattr(learner, "assumption", lambda _: "")(task)
    proved = None if broken else learner.guarantee(told, recorded)
    failures = None if parts[0][2] is None else np.concatenate([part[2] for part in parts])
    return OnlineRuns(
        recorded,
        task.scale * np.concatenate([part[0] for part in parts]),
        np.concatenate([part[1] for part in parts]),
        failures,
        np.concatenate([part[3] for part in parts]),
        None if proved is None else dataclasses.replace(proved, values=task.scale * proved.values),
        broken,
    )


def what_is_told(task: Episodic, learner: Learner, paid: Rewards, episodes: int) -> Told:
    """What the learner gets to know beforehand.  raises ModelError: it needs rewards that are not known beforehand"""
    if "rewards" in learner.knows and not paid.fixed:
        raise ModelError(f"{learner.name} knows the rewards beforehand, and {paid.name} rewards change from episode to episode")
    return Told(
        task.shape,
        task.start,
        episodes,
        noisy=paid.noisy and "rewards" not in learner.knows,
        revealed=paid.revealed,
        fixed=paid.fixed,
        transitions=task.transitions if "transitions" in learner.knows else None,
        rewards=task.rewards if "rewards" in learner.knows else None,
    )


def recorded_times(episodes: int) -> Array:
    """1 .. K for K up to 400, else about 400 of them, denser at first."""
    if episodes <= MOST_TIMES:
        return np.arange(1, episodes + 1)
    spread = np.concatenate([np.geomspace(1, episodes, MOST_TIMES // 2), np.linspace(1, episodes, MOST_TIMES // 2)])
    return np.unique(np.rint(spread).astype(np.int64))


def optimism_slack(shape: tuple[int, int, int]) -> float:
    """How far rounding may take an optimal value: H sums of at most S + A + 2 terms, each at most H, on both sides."""
    H, S, A = shape
    return float(4 * H * H * (S + A + 2) * np.finfo(np.float64).eps)


def _play(
    task: Episodic, learner: Learner, told: Told, paid: Rewards, recorded: Array, seed: int, first: int, runs: int
) -> tuple[Array, Array, Array | None, Array]:
    """(regret in units of the rewards played, switches, failures, last policies) of runs first .. first + runs - 1."""
    H, S, A = task.shape
    moves, length = task.transitions[None], 3 * H + 1
    best = best_values(moves, task.rewards[None])[0, 0] if paid.fixed else None
    slack = optimism_slack(task.shape)
    state, gained = learner.start(told, runs), np.zeros(runs)
    switches, failures, watched = np.zeros(runs, dtype=np.int64), np.zeros(runs, dtype=np.int64), False
    policies, values = np.full((runs, H, S, A), np.nan), np.zeros(runs)
    earned, sums, total = np.empty((runs, recorded.size)), np.empty((recorded.size, H, S, A)), np.zeros((H, S, A))
    begins, cumulative = _cumulative(task.start), _cumulative(task.transitions)
    at, draws = 0, np.empty((runs, 0, length))
    data = int(getattr(learner, "offline", 0))
    for k in range(data):
        draws = np.stack([uniforms(np.uint64(seed), first + c, OFFLINE + k * length, length) for c in range(runs)])
        behaviour = np.broadcast_to(learner.data_policy(told), (runs, H, S, A))  # type: ignore[attr-defined]
        path = _episode(begins, cumulative, paid.checked(0, task.shape), paid.noisy, behaviour, draws)
        state = learner.read(state, Episode(*path))  # type: ignore[attr-defined]
    for k in range(int(recorded[-1])):
        if k % BLOCK == 0:
            draws = np.stack([uniforms(np.uint64(seed), first + c, k * length, BLOCK * length) for c in range(runs)]).reshape(runs, BLOCK, length)
        table = paid.checked(k, task.shape)
        plan = learner.plan(state, k)
        new = (plan.policies != policies).any(axis=(1, 2, 3))
        if new.any():
            _check_policies(learner, plan.policies, k)
        stale = new if paid.fixed else np.ones(runs, dtype=bool)
        if stale.any():
            values[stale] = (policy_values(moves, table[None], plan.policies[stale])[1][:, 0] * task.start).sum(axis=-1)
        switches += new & (k > 0)
        if plan.upper is not None and best is not None:
            watched = True
            failures += (plan.upper < best - slack).any(axis=-1)
        policies = plan.policies.copy() if new.any() else policies
        gained += values
        total += table
        if k + 1 == recorded[at]:
            earned[:, at], sums[at] = gained, total
            at += 1
        path = _episode(begins, cumulative, table, paid.noisy, policies, draws[:, k % BLOCK])
        seen = Episode(*path, table=table) if paid.revealed else Episode(*path)
        state = learner.update(state, k, plan, seen)
    optimum = recorded * float((best * task.start).sum()) if best is not None else (best_values(moves, sums)[:, 0] * task.start).sum(axis=-1)
    return optimum - earned, switches, failures if watched else None, policies


def _cumulative(rows: Array) -> Array:
    """Running sums of the last axis without the last entry; at least 1 from the last positive entry on, so that no draw passes it."""
    sums = rows.cumsum(axis=-1)
    return np.asarray((sums / sums[..., -1:])[..., :-1])


def _drawn(sums: Array, u: Array) -> Array:
    """The index whose share of [0, 1) holds u (N,); sums (N, n - 1) or (n - 1,)."""
    return np.asarray((u[:, None] >= sums).sum(axis=-1))


def _episode(begins: Array, cumulative: Array, table: Array, noisy: bool, policies: Array, draws: Array) -> tuple[Array, Array, Array]:
    """One episode of every run: states (N, H + 1), actions (N, H), rewards (N, H); draws (N, 3 H + 1)."""
    n, H = policies.shape[:2]
    states, actions, rewards = np.empty((n, H + 1), dtype=np.int64), np.empty((n, H), dtype=np.int64), np.empty((n, H))
    every = np.arange(n)
    states[:, 0] = _drawn(begins, draws[:, 0])
    for h in range(H):
        s = states[:, h]
        a = actions[:, h] = _drawn(_cumulative(policies[every, h, s]), draws[:, 1 + 3 * h])
        states[:, h + 1] = _drawn(cumulative[h, s, a], draws[:, 2 + 3 * h])
        mean = table[h, s, a]
        rewards[:, h] = draws[:, 3 + 3 * h] < mean if noisy else mean
    return states, actions, rewards


def _check_policies(learner: Learner, policies: Array, k: int) -> None:
    sums = policies.sum(axis=-1)
    off = ~((policies >= 0).all(axis=-1) & (np.abs(sums - 1) <= 1e-9))
    if off.any():
        n, h, s = (int(i) for i in np.argwhere(off)[0])
        raise ModelError(f"{learner.name}, episode {k}, run {n}: the policy of step {h}, state {s} is {policies[n, h, s].tolist()}, no distribution")
