"""The expected regret of a learner without sampling: every sequence of episodes of a small task, each with its probability.

An episode has M possible courses (first state, actions, next states, and where rewards are noisy what is paid), so K episodes have M^K.  All of them
are played side by side, as runs whose course is laid down; the probability of one is the product of what start, policies, transitions and rewards
say, and since the policy of episode k depends on the episodes before only,

    E V^{pi_k} = sum over all sequences of  probability * V^{pi_k}
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from mdps.errors import ModelError
from pgtheory.online.planning import best_values, policy_values
from pgtheory.online.rewards import Rewards, sure
from pgtheory.online.runner import Episode, Learner, what_is_told
from pgtheory.online.task import Episodic
from pgtheory.sampling.simulator import _count

Array = np.ndarray
MOST_SEQUENCES = 2**18


@dataclasses.dataclass(frozen=True, eq=False)
class ExpectedRegret:
    """regret (K,) after 1 .. K episodes, in reward units; sequences: how many were followed; lost: 1 less the sum of their probabilities."""

    regret: Array
    sequences: int
    lost: float


def expected_regret(task: Episodic, learner: Learner, episodes: int, *, rewards: Rewards | None = None) -> ExpectedRegret:
    """The expectation, over the learner's and the model's chances, of what `run_online` samples; exact up to rounding.

    For rewards that change the comparator is the best fixed policy for all tables up to T, as there.
    raises   ModelError: more than 2^18 sequences, a learner that begins with offline data
    """
    K = _count("episodes", episodes, 1)
    if int(getattr(learner, "offline", 0)):
        raise ModelError(f"{learner.name} begins with {learner.offline} offline episodes, which are not listed: give offline=0")  # type: ignore[attr-defined]
    paid = sure(task) if rewards is None else rewards
    courses = _courses(task, paid.noisy)
    M = len(courses)
    if M**K > MOST_SEQUENCES:
        raise ModelError(f"{K} episodes of {M:,} courses each are {M**K:,} sequences; at most {MOST_SEQUENCES:,} are followed. Take fewer episodes")
    H = task.shape[0]
    states, actions, outcomes = courses[:, : H + 1], courses[:, H + 1 : 2 * H + 1], courses[:, 2 * H + 1 :]
    digits = np.arange(M**K)[:, None] // M ** np.arange(K) % M
    moves, steps = task.transitions[None], np.arange(H)
    given = task.start[states[:, 0]] * np.prod(task.transitions[steps, states[:, :-1], actions, states[:, 1:]], axis=1)
    told = what_is_told(task, learner, paid, K)
    state, weight, values, total = learner.start(told, M**K), np.ones(M**K), [], np.zeros(task.shape)
    optimum = np.empty(K)
    for k in range(K):
        table, plan = paid.checked(k, task.shape), learner.plan(state, k)
        policies, course = plan.policies.copy(), digits[:, k]
        s, a = states[course], actions[course]
        values.append((policy_values(moves, table[None], policies)[1][:, 0] * task.start).sum(axis=-1))
        mean = table[steps, s[:, :-1], a]
        won = outcomes[course].astype(float) if paid.noisy else mean
        chance = np.prod(np.where(won == 1.0, mean, 1.0 - mean), axis=1) if paid.noisy else 1.0
        weight = weight * given[course] * np.prod(policies[np.arange(M**K)[:, None], steps, s[:, :-1], a], axis=1) * chance
        total = total + table
        optimum[k] = best_values(moves, total[None])[0, 0] @ task.start
        state = learner.update(state, k, plan, Episode(s, a, won, table if paid.revealed else None))
    earned = np.cumsum([float(weight @ value) for value in values])
    return ExpectedRegret(task.scale * (optimum - earned), M**K, float(1.0 - weight.sum()))


def _courses(task: Episodic, noisy: bool) -> Array:
    """(M, ...): states s_0 .. s_H, actions, and what is paid (0 or 1) where rewards are noisy, of all episodes that start and transitions allow."""
    H, S, A = task.shape
    ways = (task.start > 0).astype(np.float64)
    for h in range(H):
        ways = ((2.0 if noisy else 1.0) * ways) @ (task.transitions[h] > 0).sum(axis=1)
    if ways.sum() > MOST_SEQUENCES:
        raise ModelError(f"an episode has {ways.sum():,.0f} courses, more than {MOST_SEQUENCES:,}; take fewer steps, states or actions")
    out = []
    for states in itertools.product(range(S), repeat=H + 1):
        if task.start[states[0]] == 0:
            continue
        for actions in itertools.product(range(A), repeat=H):
            if all(task.transitions[h, states[h], actions[h], states[h + 1]] > 0 for h in range(H)):
                out += [(*states, *actions, *won) for won in (itertools.product((0, 1), repeat=H) if noisy else [()])]
    return np.array(out, dtype=np.int64)
