"""Stochastic policy gradient methods: many runs at once, each with its own random numbers, and what the exact gradient would have done.

    method = StochasticPG(Momentum(RewardToGo(20), batch=4, weight=0.2), step_size=0.1, update="normalised")
    runs = run_sampled(mdp, method, iterations=500, runs=20, seed=1)
    runs.gaps()          # (runs, R): exact gaps of the policies that the runs passed through

The step along the direction d (see `pgtheory.sampling.directions`):

    "plain"        theta += eta d
    "normalised"   theta += eta d / |d|              (no step where d = 0)
    "natural"      theta += eta F^+ d,  F the Fisher matrix of the discounted visits: theta(s, a) += eta d(s, a) / (d_pi(s) pi(a|s)), exactly weighed

Run r draws the paths of step t from streams of its own: run r of 10 is run r of 1,000.  Policies are judged exactly (linear solves), so the only
randomness in a gap is that of the run itself.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.arithmetic import softmax
from pgtheory.exact.evaluation import state_occupancy
from pgtheory.run import recorded_times
from pgtheory.sampling.adaptive import balanced_batches
from pgtheory.sampling.directions import Direction, Memory
from pgtheory.sampling.simulator import Paths, _count, simulate
from pgtheory.sampling.streams import checked_seed, uniforms

Array = np.ndarray
UPDATES = ("plain", "normalised", "natural")
STREAMS_A_RUN = 2**40
"""Stream numbers that a run owns: paths of all its steps; its other draws (which batch, where between) come from the last of them."""


@dataclasses.dataclass(frozen=True)
class StochasticPG:
    """A direction, a step size and the way a step is taken.

    step_size   eta > 0: a number or a function of the step number t = 0, 1, ...
    update      "plain", "normalised" or "natural"
    """

    direction: Direction
    step_size: float | Callable[[int], float]
    update: str = "plain"

    def __post_init__(self) -> None:
        if self.update not in UPDATES:
            raise ModelError(f"update is {self.update!r}; it is one of {', '.join(UPDATES)}")
        if not callable(self.step_size) and not self.step_size > 0:
            raise ModelError(f"step_size is {self.step_size}; it must be above 0")

    def moved(self, mdp: MDP, logits: Array, direction: Array, t: int) -> Array:
        """The logits after step t along `direction`."""
        eta = float(self.step_size(t) if callable(self.step_size) else self.step_size)
        if self.update == "normalised":
            length = np.linalg.norm(direction)
            return logits + eta * direction / length if length > 0 else logits
        if self.update == "natural":
            policy = softmax(logits)
            weight = np.asarray(state_occupancy(mdp, policy))[:, None] * policy
            return logits + eta * np.where(weight > 0, direction / np.where(weight > 0, weight, 1.0), 0.0)
        return logits + eta * direction


@dataclasses.dataclass(frozen=True)
class SampledRuns:
    """What N runs passed through at R recorded steps.

    times      (R,);  policies (N, R, S, A);  paths (N, R) number of paths drawn so far
    regret     (N, R) on a bandit, from compiled runs: sum over the pulls so far of the gap of the distribution pulled from
    """

    mdp: MDP
    method: Any
    times: Array
    policies: Array
    paths: Array
    regret: Array | None = None

    def __len__(self) -> int:
        return len(self.policies)

    @functools.cached_property
    def values(self) -> Array:
        """(N, R): V(start) of every policy, exactly evaluated."""
        P, r, gamma = self.mdp.transitions, self.mdp.rewards, self.mdp.discount
        moved = np.einsum("nrsa,sat->nrst", self.policies, P)
        paid = (self.policies * r).sum(axis=-1)
        return np.asarray(np.linalg.solve(np.eye(self.mdp.num_states) - gamma * moved, paid[..., None])[..., 0] @ np.asarray(self.mdp.start))

    def gaps(self) -> Array:
        """(N, R): V*(start) - V(start)."""
        from pgtheory.exact import solve

        return float(solve(self.mdp).values @ self.mdp.start) - self.values


def run_sampled(
    mdp: MDP,
    method: StochasticPG,
    iterations: int,
    runs: int = 1,
    seed: int = 0,
    *,
    record: str | Sequence[int] | Array = "log",
    initial: Array | None = None,
    first: int = 0,
    compiled: bool = True,
) -> SampledRuns:
    """`runs` independent runs of `iterations` steps.

    record    "log", "all" or the steps to keep;  initial (S, A) logits of the first policy, all 0 if left out
    first     number of the first run: runs first .. first + runs - 1 of the seed
    compiled  where `pgtheory.sampling.replications` serves, the same runs in compiled code; False: step by step in Python
    raises    ModelError: a model whose states differ in their actions, bad counts, a seed that is no whole number, logits of another shape
    """
    if not mdp.is_rectangular:
        raise ModelError("policy gradient takes the same number of actions in every state; this model has states that differ")
    mdp, runs, first = mdp.float, _count("runs", runs, 1), _count("first", first, 0)
    times = recorded_times(record, iterations)
    logits = np.zeros((mdp.num_states, mdp.num_actions)) if initial is None else np.array(initial, dtype=np.float64)
    if logits.shape != (mdp.num_states, mdp.num_actions) or not np.isfinite(logits).all():
        raise ModelError(f"initial must be finite logits ({mdp.num_states}, {mdp.num_actions}); it has shape {logits.shape}")
    checked_seed(seed)
    if compiled:
        from pgtheory.sampling.replications import replicate_gradients, serves

        if serves(mdp, method):
            return replicate_gradients(mdp, method, logits, runs, seed, times, first)
    policies, paths = np.empty((runs, times.size, *logits.shape)), np.empty((runs, times.size), np.int64)
    for r in range(runs):
        for t, policy, drawn in _follow(mdp, method, logits, int(times[-1]), seed, (first + r) * STREAMS_A_RUN):
            k = np.searchsorted(times, t)
            if times[k] == t:
                policies[r, k], paths[r, k] = policy, drawn
    return SampledRuns(mdp, method, times, policies, paths)


class Draws:
    """The random numbers of one run: fresh paths of a policy, balanced batches, single uniforms; `drawn` counts the paths so far."""

    def __init__(self, mdp: MDP, horizon: int, seed: int, stream: int) -> None:
        self.mdp, self.horizon, self.seed, self.stream = mdp, horizon, checked_seed(seed), stream
        self.drawn, self.others = 0, 0

    def __call__(self, policy: Array, count: int) -> Paths:
        self.drawn += count
        return simulate(self.mdp, policy, count, self.horizon, int(self.seed), first=self.stream + self.drawn - count)

    def balanced(self, policy: Array, count: int, strength: float) -> Paths:
        """One batch of `count` balanced paths (`pgtheory.sampling.adaptive`)."""
        first = self.stream + self.drawn
        states, actions = balanced_batches(self.mdp, policy, 1, count, self.horizon, int(self.seed), strength=strength, first=first)
        self.drawn += count
        rewards = np.asarray(self.mdp.rewards)[states[0, :, :-1], actions[0]]
        returns = rewards @ float(self.mdp.discount) ** np.arange(self.horizon)
        return Paths(states[0], actions[0], rewards, np.full(count, self.horizon), returns)

    def uniform(self) -> float:
        self.others += 1
        return float(uniforms(self.seed, self.stream + STREAMS_A_RUN - 1, self.others - 1, 1)[0])


def _follow(mdp: MDP, method: StochasticPG, logits: Array, steps: int, seed: int, stream: int) -> Iterator[tuple[int, Array, int]]:
    """(t, policy, paths drawn so far) for t = 0 .. steps."""
    rule, draw = method.direction, Draws(mdp, method.direction.estimator.horizon, seed, stream)
    memory: Memory | None = None
    for t in range(steps + 1):
        yield t, softmax(logits), draw.drawn
        if t == steps:
            return
        memory = rule.first(mdp, logits, draw, draw.uniform) if memory is None else rule.next(mdp, logits, memory, draw, draw.uniform)
        logits = method.moved(mdp, logits, memory.direction, t)
        if not np.isfinite(logits).all():
            raise ModelError(f"the logits are not finite after step {t + 1}: the step size is too long")
