"""Exponential weights on paths: the regularised leader of known transitions in closed form, for rewards that an adversary has written down.

Among all policies pi with visits q(s, a) = u(s) pi(a | s), losses 1 - r summed up in L,

    pi_k = argmin <q, L> + F(q) / eta_k,     F(q) = sum_h sum q log pi(a | s) in [-H log A, 0]

is found by one soft backward recursion, V_h(s) = -(1 / eta) log sum_a exp(-eta (L_h(s, a) + P_h V_{h+1})), pi_h ~ exp(-eta (L_h + P_h V_{h+1})).
Then L(s, a) += (1 - r) / q(s, a) where the episode passed, which is unbiased; or the whole table where it is revealed.  No bonus, no exploration:
F is relative entropy of paths, and what a round costs is eta / 2 times the mean square of the estimated loss of a path, at most H^2 S A.

    eta_k = f c / sqrt k,     E Regret_T <= H log A / eta_T + sum_{k <= T} eta_k H^2 S A / 2         c = sqrt(log A / (H S A))
    revealed tables           E Regret_T <= H log A / eta_T + sum_{k <= T} eta_k H^2 / 8             c = 2 sqrt(log A / H)

with f = 1: 2 sqrt(H^3 S A T log A) and sqrt(H^3 T log A).  docs/theory/online.md derives both.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from mdps.errors import ModelError
from pgtheory.online.guarantees import Guarantee
from pgtheory.online.optimistic import softmax
from pgtheory.online.planning import expected, visits
from pgtheory.online.runner import Episode, Plan
from pgtheory.online.task import Told

Array = np.ndarray


@dataclasses.dataclass(eq=False)
class Summed:
    """losses (N, H, S, A): sums of estimates; told, steps eta_1 .. eta_K."""

    losses: Array
    told: Told
    steps: Array


@dataclasses.dataclass(frozen=True)
class PathWeights:
    """Exponential weights on paths, transitions known (module docstring).

    step_size  f > 0
    guarantee  module docstring: against the best fixed policy, any rewards
    source     relative entropy of visits for known transitions: Zimin and Neu (2013), as recalled; the soft recursion, the path form of the stability
               and the constants are derived in docs/theory/online.md
    """

    step_size: float = 1.0
    knows: ClassVar[frozenset[str]] = frozenset({"transitions"})
    name: ClassVar[str] = "path-weights"

    def __post_init__(self) -> None:
        if not (float(self.step_size) > 0 and np.isfinite(self.step_size)):
            raise ModelError(f"step_size is {self.step_size}; it must be a finite number above 0")

    def steps(self, told: Told) -> Array:
        """(K,): eta_1 .. eta_K."""
        H, S, A = told.shape
        entropy = np.log(max(A, 2))  # one action: any step serves
        best = 2 * np.sqrt(entropy / H) if told.revealed else np.sqrt(entropy / (H * S * A))
        return np.asarray(self.step_size * best / np.sqrt(np.arange(1.0, told.episodes + 1)))

    def start(self, told: Told, runs: int) -> Summed:
        return Summed(np.zeros((runs, *told.shape)), told, self.steps(told))

    def plan(self, state: Summed, k: int) -> Plan:
        assert state.told.transitions is not None
        return Plan(soft_leader(state.told.transitions, state.losses, float(state.steps[k]))[0])

    def update(self, state: Summed, k: int, plan: Plan, episode: Episode) -> Summed:
        if episode.table is not None:
            state.losses += 1.0 - episode.table
            return state
        assert state.told.transitions is not None
        u = visits(state.told.transitions[None], plan.policies, state.told.start)
        every = np.arange(len(u))
        for h in range(u.shape[1]):
            s, a = episode.states[:, h], episode.actions[:, h]
            state.losses[every, h, s, a] += (1.0 - episode.rewards[:, h]) / (u[every, h, s] * plan.policies[every, h, s, a])
        return state

    def guarantee(self, told: Told, times: Array) -> Guarantee | None:
        H, S, A = told.shape
        eta = self.steps(told)
        square = H * H / 8 if told.revealed else H * H * S * A / 2
        total = H * np.log(A) / eta[times - 1] + square * np.cumsum(eta)[times - 1]
        return Guarantee(total, "expected regret against the best fixed policy, any rewards; transitions known")


def soft_leader(transitions: Array, losses: Array, eta: float) -> tuple[Array, Array]:
    """(policies (N, H, S, A), V (N, H + 1, S)) of the soft recursion; transitions (H, S, A, S), losses (N, H, S, A)."""
    n, H, S, A = losses.shape
    policies, V = np.empty((n, H, S, A)), np.zeros((n, H + 1, S))
    for h in reversed(range(H)):
        Q = losses[:, h] + expected(transitions[None, h], V[:, h + 1])
        least = Q.min(axis=-1)
        V[:, h] = least - np.log(np.exp(-eta * (Q - least[..., None])).sum(axis=-1)) / eta
        policies[:, h] = softmax(-eta * Q)
    return policies, V
