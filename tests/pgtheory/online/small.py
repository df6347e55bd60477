"""Small tasks, and the plain forms that the learners are compared with: one run, loops over states and actions, numpy only."""

from __future__ import annotations

import itertools
import math

import numpy as np

from mdps import FiniteHorizon
from pgtheory.online import Episodic
from pgtheory.sampling.streams import uniforms


def task(seed: int, H: int = 3, S: int = 3, A: int = 2, concentration: float = 1.0) -> Episodic:
    """Random transitions, rewards and start."""
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.full(S, concentration), size=(H, S, A))
    return Episodic.of(FiniteHorizon(P, rng.random((H, S, A)), start=rng.dirichlet(np.ones(S))))


def deterministic_policies(H: int, S: int, A: int):
    """All (H, S, A) tables of deterministic policies."""
    for actions in itertools.product(range(A), repeat=H * S):
        yield np.eye(A)[np.array(actions).reshape(H, S)]


def value(P, r, start, policy) -> float:
    """Expected reward of a policy, forwards."""
    u, total = start, 0.0
    for h in range(len(P)):
        total += sum(u[s] * policy[h, s, a] * r[h, s, a] for s in range(len(u)) for a in range(r.shape[2]))
        u = sum(u[s] * policy[h, s, a] * P[h, s, a] for s in range(len(u)) for a in range(r.shape[2]))
    return total


def pick(u: float, p) -> int:
    """The index that u falls on."""
    p = np.asarray(p) / np.sum(p)
    for i in range(len(p) - 1):
        if u < math.fsum(p[: i + 1]):
            return i
    return len(p) - 1


def path(task: Episodic, table, noisy: bool, policy, seed: int, run: int, k: int):
    """states, actions, rewards of one episode from the run's own random numbers."""
    H = len(table)
    u = uniforms(np.uint64(seed), run, k * (3 * H + 1), 3 * H + 1)
    states, actions, rewards = [pick(u[0], task.start)], [], []
    for h in range(H):
        s = states[-1]
        a = pick(u[1 + 3 * h], policy[h, s])
        actions.append(a)
        states.append(pick(u[2 + 3 * h], task.transitions[h, s, a]))
        mean = table[h, s, a]
        rewards.append(float(u[3 + 3 * h] < mean) if noisy else mean)
    return states, actions, rewards


def plain_optimist(task: Episodic, episodes: int, *, log: float, log_rewards: float = 0.0, noisy: bool = False, doubling: bool = False,
                   weights: bool = False, scale: float = 1.0, seed: int = 0, run: int = 0):  # fmt: skip
    """Expected reward of each episode's policy, and the largest upper value errors: value iteration or exponential weights with bonuses."""
    H, S, A = task.shape
    n, n1, paid = np.zeros((H, S, A)), np.zeros((H, S, A, S)), np.zeros((H, S, A))
    used, used1, used_paid = n.copy(), n1.copy(), paid.copy()
    logits, gains, policy, due = np.zeros((H, S, A)), [], np.zeros((H, S, A)), True
    for k in range(episodes):
        if weights:
            policy = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
        Q, V = np.zeros((H, S, A)), np.zeros((H + 1, S))
        if weights or due:
            for h in range(H - 1, -1, -1):
                for s in range(S):
                    for a in range(A):
                        c = H - 1 - h
                        if used[h, s, a] == 0:
                            Q[h, s, a] = 1.0 + c
                            continue
                        reward = used_paid[h, s, a] / used[h, s, a]
                        if noisy:
                            reward = min(1.0, reward + scale * math.sqrt(log_rewards / (2 * used[h, s, a])))
                        mean = sum(used1[h, s, a, t] / used[h, s, a] * V[h + 1, t] for t in range(S))
                        Q[h, s, a] = reward + min(c, mean + scale * c * math.sqrt(log / (2 * used[h, s, a])))
                    if weights:
                        V[h, s] = policy[h, s] @ Q[h, s]
                    else:
                        best = max(range(A), key=lambda a: Q[h, s, a])
                        policy[h, s], V[h, s] = np.eye(A)[best], Q[h, s, best]
        gains.append(value(task.transitions, task.rewards, task.start, policy))
        states, actions, rewards = path(task, task.rewards, noisy, policy, seed, run, k)
        if weights:
            for h in range(H):
                logits[h] += math.sqrt(8 * math.log(A) / episodes) / (H - h) * Q[h]
        due = not doubling
        for h in range(H):
            s, a = states[h], actions[h]
            n[h, s, a] += 1
            n1[h, s, a, states[h + 1]] += 1
            paid[h, s, a] += rewards[h]
            due = due or n[h, s, a] >= max(1, 2 * used[h, s, a])
        if due:
            used, used1, used_paid = n.copy(), n1.copy(), paid.copy()
    return np.array(gains)
