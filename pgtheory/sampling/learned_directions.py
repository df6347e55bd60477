"""Directions that learn what they take off the rewards: a critic, or a baseline, from the batches of earlier steps.

    LearningCritic   d_t = mean over the batch of the advantage estimate with the critic V_t and decay lambda (lambda = 0: one step, actor-critic);
                     then V_{t+1}(s) = V_t(s) + alpha (mean of delta over the visits of s in the batch): TD(0)
    FittedBaseline   d_t = mean over the batch of the rewards to go less the control variates with coefficients c_t; then M and v of
                     `pgtheory.sampling.baselines` move to those of the batch, M_{t+1} = (1 - w) M_t + w M^, and c_{t+1} solves M c = v

Both learn after they have acted.  Given the past, V_t and c_t are numbers: the critic's bias is that of `GAE(critic=V_t)`, and a fitted baseline has
none.  Learning first and acting on the same batch would look ahead.  Konda and Tsitsiklis (2000); Greensmith, Bartlett and Baxter (2004).

    Balanced         d_t = mean over a batch whose actions make up for what was drawn too rarely (`pgtheory.sampling.adaptive`): a biased mean of
                     smaller variance.  Corrado and Hanna (2023)
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.arithmetic import softmax
from pgtheory.sampling.baselines import ControlVariates, solutions
from pgtheory.sampling.directions import Direction, Draw, Memory, _check_weight
from pgtheory.sampling.estimators import GAE, RewardToGo
from pgtheory.sampling.simulator import Paths

Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class LearnedMemory(Memory):
    """A memory with what was learned: the critic (S,), or [M, v] (J, J + 1)."""

    learned: Array = dataclasses.field(default_factory=lambda: np.zeros(0))


@dataclasses.dataclass(frozen=True)
class _Learning(Direction):
    """Acts with what is known, then learns from the batch."""

    def first(self, mdp: MDP, logits: Array, draw: Draw, uniform: Callable[[], float]) -> Memory:
        return self._step(mdp, logits, self.unlearned(mdp, logits), 0, draw)

    def next(self, mdp: MDP, logits: Array, memory: Memory, draw: Draw, uniform: Callable[[], float]) -> Memory:
        assert isinstance(memory, LearnedMemory)
        return self._step(mdp, logits, memory.learned, memory.step, draw)

    def direction(self, mdp: MDP, logits: Array, memory: Memory, draw: Draw, uniform: Callable[[], float]) -> Array:
        return self.next(mdp, logits, memory, draw, uniform).direction

    def _step(self, mdp: MDP, logits: Array, learned: Array, step: int, draw: Draw) -> Memory:
        policy = softmax(logits)
        paths = draw(policy, self.batch)
        d = self.acted(mdp, policy, learned, paths)
        return LearnedMemory(logits, d, logits, d, step + 1, self.learnt(mdp, policy, learned, paths))

    @abc.abstractmethod
    def unlearned(self, mdp: MDP, logits: Array) -> Array:
        """What is known before the first batch."""

    @abc.abstractmethod
    def acted(self, mdp: MDP, policy: Array, learned: Array, paths: Paths) -> Array:
        """(S, A): the direction with what is known."""

    @abc.abstractmethod
    def learnt(self, mdp: MDP, policy: Array, learned: Array, paths: Paths) -> Array:
        """What is known after the batch."""


@dataclasses.dataclass(frozen=True)
class LearningCritic(_Learning):
    """Actor and critic.  estimator: a `GAE`, whose critic is the first one; critic_step: alpha in (0, 1]."""

    critic_step: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.critic_step <= 1:
            raise ModelError(f"critic_step is {self.critic_step}; it must lie in (0, 1]")
        if not isinstance(self.estimator, GAE):
            raise ModelError("a critic is learned for generalised advantages: estimator=GAE(horizon, decay=...)")

    def unlearned(self, mdp: MDP, logits: Array) -> Array:
        assert isinstance(self.estimator, GAE)
        return np.zeros(mdp.num_states) + np.asarray(self.estimator.critic, dtype=np.float64)

    def acted(self, mdp: MDP, policy: Array, learned: Array, paths: Paths) -> Array:
        assert isinstance(self.estimator, GAE)
        judged = dataclasses.replace(self.estimator, critic=learned)
        return np.asarray(judged.of_paths(mdp, policy, paths.states, paths.actions).mean(axis=0))

    def learnt(self, mdp: MDP, policy: Array, learned: Array, paths: Paths) -> Array:
        now, ahead = paths.states[:, :-1], paths.states[:, 1:]
        rewards = np.asarray(mdp.float.pair_rewards)[np.asarray(mdp.first_pair)[now] + paths.actions]
        moved = rewards + float(mdp.discount) * learned[ahead] - learned[now]
        visits = np.bincount(now.reshape(-1), minlength=mdp.num_states)
        sums = np.bincount(now.reshape(-1), weights=moved.reshape(-1), minlength=mdp.num_states)
        return np.asarray(learned + self.critic_step * sums / np.maximum(visits, 1))


@dataclasses.dataclass(frozen=True)
class FittedBaseline(_Learning):
    """Rewards to go less control variates fitted to earlier batches.  by: "number", "state" or "pair"; weight w in (0, 1] of the newest batch."""

    by: str = "state"
    weight: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_weight(self.weight)
        if self.by not in ("number", "state", "pair"):
            raise ModelError(f"by is {self.by!r}; a fitted baseline is one of number, state, pair")
        if not isinstance(self.estimator, RewardToGo) or self.estimator.baseline is not None:
            raise ModelError("a baseline is fitted to plain rewards to go")

    @property
    def _variates(self) -> ControlVariates:
        return ControlVariates(self.estimator.horizon, by=self.by)

    def unlearned(self, mdp: MDP, logits: Array) -> Array:
        size = {"number": 1, "state": mdp.num_states, "pair": logits.size}[self.by]
        return np.zeros((size, size + 1))

    def acted(self, mdp: MDP, policy: Array, learned: Array, paths: Paths) -> Array:
        found = solutions(learned[:, :-1], learned[:, -1])
        shape = {"number": (), "state": (-1,), "pair": policy.shape}[self.by]
        off = dataclasses.replace(self._variates, coefficients=found.reshape(shape) if shape else float(found[0]))
        return np.asarray(off.of_paths(mdp, policy, paths.states, paths.actions).mean(axis=0))

    def learnt(self, mdp: MDP, policy: Array, learned: Array, paths: Paths) -> Array:
        shares = np.full(len(paths.actions), 1 / len(paths.actions))
        matrix, right = self._variates.equations(mdp, policy, paths.states, paths.actions, shares)
        seen = np.concatenate([matrix, right[:, None]], axis=1)
        return seen if not learned.any() else (1 - self.weight) * learned + self.weight * seen


@dataclasses.dataclass(frozen=True)
class Balanced(Direction):
    """The mean over one balanced batch of `batch` paths.  strength: >= 0, or inf for the action of largest deficit."""

    strength: float = math.inf

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.strength >= 0:
            raise ModelError(f"strength is {self.strength}; it must be at least 0 (inf: always the action of largest deficit)")

    def direction(self, mdp: MDP, logits: Array, memory: Memory, draw: Draw, uniform: Callable[[], float]) -> Array:
        return self._mean(mdp, logits, draw)

    def first(self, mdp: MDP, logits: Array, draw: Draw, uniform: Callable[[], float]) -> Memory:
        gradient = self._mean(mdp, logits, draw)
        return Memory(logits, gradient, logits, gradient, 1)

    def _mean(self, mdp: MDP, logits: Array, draw: Any) -> Array:
        return self.mean(mdp, logits, draw.balanced(softmax(logits), self.batch, self.strength))
