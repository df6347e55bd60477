"""Critics that are learned from samples of their own, and the gradient that they give: mean and covariance exactly, nothing listed but paths.

`TDCritic` learns V = phi theta by linear TD(0) from independent samples (`pgtheory.sampling.temporal.LinearTD`): the mean and the second moment of
theta follow a linear recursion, so E V and E V V^T are known.  The estimator with decay lambda (0: actor-critic, 1: the whole return)

    g(tau, V) = sum_t score_t gamma^t sum_{l >= 0} (gamma lambda)^l delta_{t+l}(V) = g_0(tau) + sum_s V(s) G_s(tau)

is affine in V.  With V independent of the path, and V~ = (1, V), G~ = (g_0, G_1, ..., G_S),

    E g = E g_0 + sum_s E V(s) E G_s,            E g g^T = sum_{j, k} E[V~_j V~_k] E[G~_j G~_k^T],

so the bias is that of the mean critic, and what the critic's own noise adds to the covariance is exact as well.
Konda and Tsitsiklis (2000), Schulman et al. (2016); the second moment is derived in docs/theory/sampled_gradients.md.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any, ClassVar

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.rational import rational
from pgtheory.exact.evaluation import check_policy
from pgtheory.exact.linear import kind, same_kind
from pgtheory.sampling.estimators import GAE, Estimator, Moments, decayed, discounted_rewards, scored
from pgtheory.sampling.paths import MOST_PATHS, all_paths
from pgtheory.sampling.simulator import _count, simulate
from pgtheory.sampling.temporal import LinearTD

Array = np.ndarray
CRITIC_STREAMS = 2**61
"""The first stream of the critics' samples: paths use those below it."""


@dataclasses.dataclass(frozen=True)
class TDCritic:
    """A critic that TD(0) learns for the present policy.

    step_size  alpha > 0;  steps >= 0 updates, each with the mean of `agents` samples
    features   (S, d), by default one a state
    states     (S,) law of the sampled state, by default every state alike
    start      (d,) parameters before the first step, by default 0
    """

    step_size: Any
    steps: int
    agents: int = 1
    features: Any = None
    states: Any = None
    start: Any = None

    def __post_init__(self) -> None:
        _count("steps", self.steps, 0)
        _count("agents", self.agents, 1)
        if not callable(self.step_size) and not rational(self.step_size) > 0:
            raise ModelError(f"step_size is {self.step_size}; it must be above 0")

    def system(self, mdp: MDP, policy: Array) -> LinearTD:
        """The linear recursion of the parameters."""
        n, numbers = mdp.num_states, kind(policy)
        one = same_kind([1], numbers)[0]
        features = np.eye(n, dtype=int) * one if self.features is None else self.features
        return LinearTD(mdp, policy, features, [one / n] * n if self.states is None else self.states)

    def first(self, system: LinearTD) -> Array:
        """(d,): the parameters before the first step."""
        return system.fixed_point * 0 if self.start is None else same_kind(self.start, kind(system.policy))

    def moments(self, mdp: MDP, policy: Array) -> tuple[Array, Array]:
        """(E V (S,), E V V^T (S, S)), exactly."""
        system = self.system(mdp, check_policy(mdp, policy))
        means, seconds = system.errors(self.first(system), self.step_size, self.steps, self.agents)
        mean, second, phi = means[-1] + system.fixed_point, seconds[-1], system.features
        cross = np.outer(means[-1], system.fixed_point)
        whole = second + cross + cross.T + np.outer(system.fixed_point, system.fixed_point)
        return phi.dot(mean), phi.dot(whole).dot(phi.T)

    def draw(self, mdp: MDP, policy: Array, critics: int, seed: int = 0, *, first: int = 0) -> Array:
        """(critics, S): learned values, critic c from stream 2^61 + c of the seed."""
        system = self.system(mdp.float, np.asarray(policy, dtype=np.float64))
        theta = system.sample(self.first(system), self.step_size, self.steps, critics, seed, self.agents, first=CRITIC_STREAMS + first)
        return np.asarray(theta @ system.features.T)

    def law(self, mdp: MDP, policy: Array) -> tuple[Array, Array]:
        """(probabilities (N,), values (N, S)): every critic that can be learned, by listing all samples.  raises ModelError: more than 2^20"""
        system = self.system(mdp, check_policy(mdp, policy))
        weights, matrices, vectors = system.samples
        if len(weights) ** (self.steps * self.agents) > MOST_PATHS:
            raise ModelError(f"{len(weights)} samples a draw and {self.steps * self.agents} draws: too many critics to list; `moments` needs no list")
        theta, shares = self.first(system)[None], weights[:1] * 0 + 1
        for t in range(self.steps):
            (alpha,) = same_kind([self.step_size(t) if callable(self.step_size) else self.step_size], kind(system.policy))
            moves, chances = [], []
            for chosen in itertools.product(range(len(weights)), repeat=self.agents):
                drawn = list(chosen)
                step = vectors[drawn].sum(axis=0) - theta.dot(matrices[drawn].sum(axis=0).T)
                moves.append(theta + alpha * step / self.agents)
                chances.append(shares * weights[drawn].prod())
            theta, shares = np.concatenate(moves), np.concatenate(chances)
        return shares, theta.dot(system.features.T)


@dataclasses.dataclass(frozen=True)
class LearnedCritic(Estimator):
    """Advantages from a critic that is learned beside the paths: one fresh critic a path.

    critic   what learns it;  decay lambda in [0, 1]: 0 is the actor-critic of one step
    """

    by_single_paths: ClassVar[bool] = False
    critic: TDCritic | None = None
    decay: Any = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.critic is None:
            raise ModelError("LearnedCritic needs a critic, for example critic=TDCritic(step_size=0.1, steps=100)")

    @property
    def learner(self) -> TDCritic:
        assert self.critic is not None
        return self.critic

    def weights(self, mdp: MDP, policy: Array, states: Array, actions: Array) -> Array:
        """(N, H): with the mean critic, whose gradient has the mean of all."""
        return GAE(self.horizon, self.learner.moments(mdp, policy)[0], self.decay).weights(mdp, policy, states, actions)

    def expectation(self, mdp: MDP, policy: Array) -> Array:
        return GAE(self.horizon, self.learner.moments(mdp, policy)[0], self.decay).expectation(mdp, policy)

    def moments(self, mdp: MDP, policy: Array) -> Moments:
        policy = check_policy(mdp, policy)
        mean, second = self.learner.moments(mdp, policy)
        paths = all_paths(mdp, policy, self.horizon)
        parts = self._parts(mdp, policy, paths.states, paths.actions)
        one = mean[:1] * 0 + 1
        critic = np.concatenate([one, mean])
        products = np.block([[np.outer(one, one), mean[None]], [mean[:, None], second]])
        centre = np.tensordot(critic, (paths.probabilities[:, None, None] * parts).sum(axis=0), axes=1)
        mixed = np.tensordot(parts, products, axes=([1], [0]))  # (N, d, S + 1)
        square = sum((paths.probabilities[:, None] * mixed[:, :, j]).T.dot(parts[:, j]) for j in range(len(critic)))
        return Moments(centre.reshape(policy.shape), np.asarray(square - np.outer(centre, centre)))

    def law(self, mdp: MDP, policy: Array) -> tuple[Array, Array]:
        """(probabilities, gradients) of every critic with every path.  raises ModelError: more than 2^20 of them"""
        policy = check_policy(mdp, policy)
        chances, values = self.learner.law(mdp, policy)
        paths = all_paths(mdp, policy, self.horizon)
        if len(chances) * len(paths) > MOST_PATHS:
            raise ModelError(f"{len(chances):,} critics with {len(paths):,} paths are too many to list; `moments` needs no list")
        parts = self._parts(mdp, policy, paths.states, paths.actions)
        gradients = parts[:, 0] + np.tensordot(values, parts[:, 1:], axes=([1], [1]))
        return np.multiply.outer(chances, paths.probabilities).reshape(-1), gradients.reshape(-1, *policy.shape)

    def draw(self, mdp: MDP, policy: Array, chains: int, seed: int = 0, *, first: int = 0, threads: int = 1) -> Array:
        mdp, policy = mdp.float, np.asarray(check_policy(mdp.float, np.asarray(policy, dtype=np.float64)))
        paths = simulate(mdp, policy, chains, self.horizon, seed, first=first, threads=threads)
        values = self.learner.draw(mdp, policy, chains, seed, first=first)
        paid, powers = discounted_rewards(mdp, policy, paths.states, paths.actions)
        along = np.take_along_axis(values, paths.states, axis=1)
        differences = paid + powers * (float(mdp.discount) * along[:, 1:] - along[:, :-1])
        return scored(policy, paths.states, paths.actions, decayed(differences, self.decay))

    def _parts(self, mdp: MDP, policy: Array, states: Array, actions: Array) -> Array:
        """(N, 1 + S, S A): g_0 and G_s of every path."""
        unit = np.eye(mdp.num_states, dtype=int)
        rows = [GAE(self.horizon, 0, self.decay).of_paths(mdp, policy, states, actions)]
        rows += [GAE(self.horizon, row.tolist(), self.decay).of_paths(mdp, policy, states, actions) - rows[0] for row in unit]
        return np.stack([row.reshape(len(actions), -1) for row in rows], axis=1)
