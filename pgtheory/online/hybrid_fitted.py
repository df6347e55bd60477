"""Natural policy gradient with a critic that is fitted to two kinds of data at once: offline transitions and own returns.

After every batch of episodes of the policy pi, backwards from the last step,

    f_h = argmin_f  sum over offline (s, a, r, s') of (f(s, a) - r - <pi, f_{h+1}>(s'))^2  +  weight sum over own (s, a, G) of (f(s, a) - G)^2

G the rewards of the episode from there on; then logits_h += eta_h f_h.  For tables the minimiser is a weighted mean at each pair.  The offline part
bootstraps and is as good as its cover; the own part has no bias and covers what pi meets.  Both from one fit: an error of f whose mean square is x
under the mixture of the two laws is at most sqrt(2 x) in the mean under pi whatever the offline data are, and at most sqrt(2 C x) under the best
policy if its visits are at most C times those of the data (the claim hybrid-error-transfer).  Nothing explores: a pair in neither data set counts 0,
and no bound on the regret is stated.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from mdps.errors import ModelError
from pgtheory.online.guarantees import Guarantee
from pgtheory.online.hybrid import behaviour_policy, check_offline
from pgtheory.online.optimistic import exponential_steps, softmax
from pgtheory.online.runner import Episode, Plan
from pgtheory.online.task import Told

Array = np.ndarray


@dataclasses.dataclass(eq=False)
class Both:
    """Offline: visits and sums of rewards (N, H, S, A), successors (N, H, S, A, S).  Own: visits and sums of returns of the batch.  logits, steps."""

    visits: Array
    paid: Array
    successors: Array
    own: Array
    returns: Array
    logits: Array
    steps: Array


@dataclasses.dataclass(frozen=True)
class HybridFittedNPG:
    """Exponential weights on a critic fitted to offline transitions and own returns (module docstring).

    offline    D episodes of data, at least 0;  behaviour (H, S, A) their policy, None: uniform
    batch      episodes of one policy, at least 1
    weight     of an own return beside an offline transition, at least 0
    step_size  factor of eta_h = sqrt(8 log A / (K / batch)) / (H - h)
    guarantee  none stated
    source     Zhou, Sekhari, Song and Sun (2024), hybrid fitted policy evaluation in tables, as recalled
    """

    offline: int = 100
    batch: int = 10
    weight: float = 1.0
    step_size: float = 1.0
    behaviour: Array | None = None
    knows: ClassVar[frozenset[str]] = frozenset()
    name: ClassVar[str] = "hybrid-fitted-npg"

    def __post_init__(self) -> None:
        check_offline(self.offline)
        if not (float(self.batch) >= 1 and int(self.batch) == self.batch):
            raise ModelError(f"batch is {self.batch}; it must be a whole number of episodes, at least 1")
        if not (float(self.weight) >= 0 and np.isfinite(self.weight)):
            raise ModelError(f"weight is {self.weight}; it must be a finite number, at least 0")
        if not (float(self.step_size) > 0 and np.isfinite(self.step_size)):
            raise ModelError(f"step_size is {self.step_size}; it must be a finite number above 0")

    def data_policy(self, told: Told) -> Array:
        """(H, S, A).  raises ModelError: a behaviour of another shape, or one that is no policy"""
        return behaviour_policy(self.behaviour, told.shape)

    def start(self, told: Told, runs: int) -> Both:
        H, S, A = told.shape
        updates = max(1, told.episodes // self.batch)
        steps = exponential_steps(dataclasses.replace(told, episodes=updates), float(self.step_size))
        tables = [np.zeros((runs, H, S, A)) for _ in range(5)]
        return Both(tables[0], tables[1], np.zeros((runs, H, S, A, S)), tables[2], tables[3], tables[4], steps)

    def read(self, state: Both, episode: Episode) -> Both:
        """One offline episode of every run."""
        every = np.arange(len(episode.actions))
        for h in range(episode.actions.shape[1]):
            s, a = episode.states[:, h], episode.actions[:, h]
            state.visits[every, h, s, a] += 1
            state.paid[every, h, s, a] += episode.rewards[:, h]
            state.successors[every, h, s, a, episode.states[:, h + 1]] += 1
        return state

    def plan(self, state: Both, k: int) -> Plan:
        return Plan(softmax(state.logits))

    def update(self, state: Both, k: int, plan: Plan, episode: Episode) -> Both:
        n, H = episode.actions.shape
        every, to_go = np.arange(n), np.cumsum(episode.rewards[:, ::-1], axis=1)[:, ::-1]
        for h in range(H):
            s, a = episode.states[:, h], episode.actions[:, h]
            state.own[every, h, s, a] += 1
            state.returns[every, h, s, a] += to_go[:, h]
        if (k + 1) % self.batch == 0:
            state.logits += state.steps[:, None, None] * self.critic(state, plan.policies)
            state.own[:], state.returns[:] = 0.0, 0.0
        return state

    def critic(self, state: Both, policies: Array) -> Array:
        """(N, H, S, A): f, fitted to the offline data and to the returns of the batch."""
        n, H, S, A = policies.shape
        f, later = np.zeros((n, H, S, A)), np.zeros((n, S))
        for h in reversed(range(H)):
            next_values = np.matmul(state.successors[:, h].reshape(n, S * A, S), later[:, :, None]).reshape(n, S, A)
            total = state.visits[:, h] + self.weight * state.own[:, h]
            fitted = state.paid[:, h] + next_values + self.weight * state.returns[:, h]
            f[:, h] = np.where(total > 0, fitted / np.where(total > 0, total, 1.0), 0.0)
            later = (policies[:, h] * f[:, h]).sum(axis=-1)
        return f

    def guarantee(self, told: Told, times: Array) -> Guarantee | None:
        return None
