"""What a stochastic policy gradient method walks along: fresh batches, and the memories that reduce their variance.

theta are logits (S, A), g(theta; tau) a gradient of one path (an `Estimator`), a bar the mean over the paths of a batch drawn at theta_t:

    Fresh          d_t = gbar(theta_t)
    Momentum       d_t = gbar(theta_t) + (1 - beta) (d_{t-1} - mean of w g(theta_{t-1}; tau)),      w = p(tau; theta_{t-1}) / p(tau; theta_t)
                   (STORM-PG: Yuan, Lian, Liu and Zhou 2020; without w the correction has another mean)
    Transported    d_t = (1 - beta) d_{t-1} + beta gbar(theta_t + ((1 - beta) / beta) (theta_t - theta_{t-1}))
                   (implicit gradient transport: Arnold et al. 2019; N-PG-IGT: Fatkhullin, Barakat, Kireeva and He 2023)
    HessianAided   d_t = beta gbar(theta_t) + (1 - beta) (d_{t-1} + mean of B(tau, theta_q) (theta_t - theta_{t-1})),  theta_q between, q uniform
                   (HARPG of the same paper: no importance weight)
    Page           with probability p a batch of `large` paths, else d_t = d_{t-1} + gbar(theta_t) - mean of w g(theta_{t-1})
                   (PAGE-PG: Gargiani, Zanelli, Martinelli and Lygeros 2022)
    Anchored       every `epoch` steps a batch of `large` paths at an anchor a: d_t = gbar(theta_t) - mean of w g(a) + anchor gradient
                   (SVRPG: Papini et al. 2018)

Given the past, each direction of the recursive kind has the mean grad J(theta_t) + (1 - beta) (d_{t-1} - grad J(theta_{t-1})) (beta = 0 for Page's
short batches): derived in docs/theory/sampled_gradients.md.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.arithmetic import softmax
from pgtheory.sampling.estimators import Estimator, ImportanceWeighted, RewardToGo, discounted_rewards
from pgtheory.sampling.simulator import Paths, _count

Array = np.ndarray
Draw = Callable[[Array, int], Paths]
"""(policy, number of paths) -> fresh paths."""


@dataclasses.dataclass(frozen=True)
class Memory:
    """What a direction keeps: the last logits and direction, the anchor and its gradient, the number of the step."""

    logits: Array
    direction: Array
    anchor: Array
    anchored: Array
    step: int


@dataclasses.dataclass(frozen=True)
class Direction(abc.ABC):
    """Base.  estimator: of the gradient of one path; batch: paths of a step; first_batch: paths of step 0 (by default `batch`)."""

    estimator: Estimator
    batch: int = 1

    def __post_init__(self) -> None:
        _count("batch", self.batch, 1)
        if isinstance(self.estimator, ImportanceWeighted) and type(self) is not Fresh:
            raise ModelError(f"{type(self).__name__} draws paths of the policy itself; paths of another one are for Fresh batches")
        if not self.estimator.by_single_paths:
            raise ModelError(f"{type(self.estimator).__name__} is no function of single paths; it has a direction of its own")

    def first(self, mdp: MDP, logits: Array, draw: Draw, uniform: Callable[[], float]) -> Memory:
        gradient = self.mean(mdp, logits, draw(self.estimator.behaviour(mdp, softmax(logits)), self.first_batch))
        return Memory(logits, gradient, logits, gradient, 1)

    def next(self, mdp: MDP, logits: Array, memory: Memory, draw: Draw, uniform: Callable[[], float]) -> Memory:
        """The memory after the step at `logits`; `uniform` draws numbers in [0, 1)."""
        return dataclasses.replace(memory, logits=logits, direction=self.direction(mdp, logits, memory, draw, uniform), step=memory.step + 1)

    @abc.abstractmethod
    def direction(self, mdp: MDP, logits: Array, memory: Memory, draw: Draw, uniform: Callable[[], float]) -> Array:
        """(S, A): the direction at `logits`."""

    @property
    def first_batch(self) -> int:
        return self.batch

    def each(self, mdp: MDP, logits: Array, paths: Paths) -> Array:
        """(N, S, A): g(logits; tau) of every path."""
        return self.estimator.of_paths(mdp, softmax(logits), paths.states, paths.actions)

    def mean(self, mdp: MDP, logits: Array, paths: Paths) -> Array:
        return np.asarray(self.each(mdp, logits, paths).mean(axis=0))

    def weighted(self, mdp: MDP, other: Array, logits: Array, paths: Paths) -> Array:
        """(S, A): mean of w g(other; tau) over paths drawn at `logits`, w = p(tau; other) / p(tau; logits): unbiased for the gradient at `other`."""
        weights = path_weights(softmax(other), softmax(logits), paths)
        return np.asarray((weights[:, None, None] * self.each(mdp, other, paths)).mean(axis=0))


def path_weights(target: Array, drawn: Array, paths: Paths) -> Array:
    """(N,): p(tau; target) / p(tau; drawn)."""
    now = paths.states[:, :-1]
    return np.asarray((target[now, paths.actions] / drawn[now, paths.actions]).prod(axis=1))


@dataclasses.dataclass(frozen=True)
class Fresh(Direction):
    """The mean of a fresh batch, drawn from the policy itself or from what the estimator draws from (`ImportanceWeighted`)."""

    def direction(self, mdp: MDP, logits: Array, memory: Memory, draw: Draw, uniform: Callable[[], float]) -> Array:
        return self.mean(mdp, logits, draw(self.estimator.behaviour(mdp, softmax(logits)), self.batch))


@dataclasses.dataclass(frozen=True)
class Momentum(Direction):
    """Recursive momentum.  weight: beta in (0, 1]; weighted_paths=False drops the importance weight (biased: a control)."""

    weight: float = 0.1
    weighted_paths: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_weight(self.weight)

    def direction(self, mdp: MDP, logits: Array, memory: Memory, draw: Draw, uniform: Callable[[], float]) -> Array:
        paths = draw(softmax(logits), self.batch)
        old = self.weighted(mdp, memory.logits, logits, paths) if self.weighted_paths else self.mean(mdp, memory.logits, paths)
        return self.mean(mdp, logits, paths) + (1 - self.weight) * (memory.direction - old)


@dataclasses.dataclass(frozen=True)
class Transported(Direction):
    """Implicit gradient transport.  weight: beta in (0, 1]; transport=False is plain momentum."""

    weight: float = 0.1
    transport: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_weight(self.weight)

    def direction(self, mdp: MDP, logits: Array, memory: Memory, draw: Draw, uniform: Callable[[], float]) -> Array:
        ahead = logits + (1 - self.weight) / self.weight * (logits - memory.logits) if self.transport else logits
        return (1 - self.weight) * memory.direction + self.weight * self.mean(mdp, ahead, draw(softmax(ahead), self.batch))


@dataclasses.dataclass(frozen=True)
class HessianAided(Direction):
    """Second-order correction at a random point of the last step.  weight: beta in (0, 1].  The estimator is a plain `RewardToGo`."""

    weight: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_weight(self.weight)
        if not isinstance(self.estimator, RewardToGo) or self.estimator.baseline is not None:
            raise ModelError("the Hessian-aided direction differentiates rewards to go without a baseline")

    def direction(self, mdp: MDP, logits: Array, memory: Memory, draw: Draw, uniform: Callable[[], float]) -> Array:
        q, moved = uniform(), logits - memory.logits
        between = softmax(q * logits + (1 - q) * memory.logits)
        turned = hessian_products(mdp, between, draw(between, self.batch), moved).mean(axis=0)
        fresh = self.mean(mdp, logits, draw(softmax(logits), self.batch))
        return self.weight * fresh + (1 - self.weight) * (memory.direction + turned)


@dataclasses.dataclass(frozen=True)
class Page(Direction):
    """A batch of `large` paths with probability `probability`, else a recursive correction."""

    large: int = 100
    probability: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_large(self.large)
        if not 0 < self.probability <= 1:
            raise ModelError(f"probability is {self.probability}; it must lie in (0, 1]")

    @property
    def first_batch(self) -> int:
        return self.large

    def direction(self, mdp: MDP, logits: Array, memory: Memory, draw: Draw, uniform: Callable[[], float]) -> Array:
        if uniform() < self.probability:
            return self.mean(mdp, logits, draw(softmax(logits), self.large))
        paths = draw(softmax(logits), self.batch)
        return memory.direction + self.mean(mdp, logits, paths) - self.weighted(mdp, memory.logits, logits, paths)


@dataclasses.dataclass(frozen=True)
class Anchored(Direction):
    """Variance reduced around an anchor that moves every `epoch` steps."""

    large: int = 100
    epoch: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_large(self.large)
        _count("epoch", self.epoch, 1)

    @property
    def first_batch(self) -> int:
        return self.large

    def next(self, mdp: MDP, logits: Array, memory: Memory, draw: Draw, uniform: Callable[[], float]) -> Memory:
        if memory.step % self.epoch == 0:
            gradient = self.mean(mdp, logits, draw(softmax(logits), self.large))
            return Memory(logits, gradient, logits, gradient, memory.step + 1)
        return super().next(mdp, logits, memory, draw, uniform)

    def direction(self, mdp: MDP, logits: Array, memory: Memory, draw: Draw, uniform: Callable[[], float]) -> Array:
        paths = draw(softmax(logits), self.batch)
        return self.mean(mdp, logits, paths) - self.weighted(mdp, memory.anchor, logits, paths) + memory.anchored


def hessian_products(mdp: MDP, policy: Array, paths: Paths, along: Array) -> Array:
    """(N, S, A): B(tau) u with B = grad Phi (sum_t score_t)^T + hess Phi, Phi = sum_t R_t log pi(a_t|s_t), R_t the rewards to go.

    Their mean over paths of `policy` is the Hessian of J_H times u = `along` (S, A)."""
    states, actions = paths.states[:, :-1], paths.actions
    paid, _ = discounted_rewards(mdp, policy, paths.states, actions)
    togo = np.add.accumulate(paid[:, ::-1], axis=1)[:, ::-1]
    mean_along = (policy * along).sum(axis=1)
    slopes = (along[states, actions] - mean_along[states]).sum(axis=1)  # sum_t score_t . u
    turned = policy * (along - mean_along[:, None])  # minus the Hessian of log pi(a|s), times u: the same for every action
    out, every = np.zeros((len(actions), *policy.shape)), np.arange(len(actions))
    for t in range(actions.shape[1]):
        s, weight = states[:, t], togo[:, t]
        out[every, s] -= (weight * slopes)[:, None] * policy[s] + weight[:, None] * turned[s]
        out[every, s, actions[:, t]] += weight * slopes
    return out


def _check_weight(weight: Any) -> None:
    if not 0 < weight <= 1:
        raise ModelError(f"weight is {weight}; it must lie in (0, 1]")


def _check_large(large: Any) -> None:
    _count("large", large, 1)
