"""The gradient of a function of several values, f(J_1, ..., J_m), from a batch of paths: its mean, its bias and its covariance.

    grad f(J) = sum_i f_i(J) grad J_i,                estimate  sum_i f_i(J^) g^_i

g^_i is the mean over n paths of the rewards to go of reward i, J^ the mean of the returns of the same n paths, or of n others (`independent`).

    n others      mean sum_i E f_i(J^) grad J_i: no bias for quadratic f, of order 1/n for a smooth one
    the same      correlated as well: for f = -|J - c|^2 the bias is -(2/n) sum_i Cov(G_i, g_i), exactly proportional to 1/n

(`scalarised-plug-in-bias`).  `law` lists every batch of a small model; rationals give fractions if the slopes do.  The method that runs on such
estimates, with momentum and steps of fixed length, is `pgtheory.utility.sampled_ascent` (Barakat, Fatkhullin and He 2023).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.exact.evaluation import check_policy
from pgtheory.exact.linear import kind, same_kind
from pgtheory.sampling.estimators import Estimator, RewardToGo, discounted_rewards
from pgtheory.sampling.paths import MOST_PATHS, all_paths
from pgtheory.sampling.simulator import _count, simulate

Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class ScalarisedBatch(Estimator):
    """One draw is a batch.

    rewards      (m, S, A);  slope  (m,) -> (m,): the partial derivatives of f at J
    paths        n >= 1;  independent  J^ from n paths of its own (2 n in all), else from the same
    """

    by_single_paths: ClassVar[bool] = False
    rewards: Any = None
    slope: Callable[[Array], Any] | None = None
    paths: int = 1
    independent: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _count("paths", self.paths, 1)
        if self.rewards is None or self.slope is None:
            raise ModelError("ScalarisedBatch needs rewards (m, S, A) and the slope of the function of their values")

    def weights(self, mdp: MDP, policy: Array, states: Array, actions: Array) -> Array:
        """(N, H): the rewards to go of the frozen reward sum_i f_i(J) r_i at the exact values of the policy."""
        paths = all_paths(mdp, policy, self.horizon)
        returns, _ = self._each(mdp, policy, paths.states, paths.actions)
        slope = self._slopes((paths.probabilities[:, None] * returns).sum(axis=0)[None], policy)[0]
        frozen = np.tensordot(slope, self._table(mdp, policy), axes=1)
        return RewardToGo(self.horizon).weights(mdp.replace(rewards=frozen), policy, states, actions)

    def truth(self, mdp: MDP, policy: Array) -> Array:
        """(S, A): grad f(J) at the exact values, for horizon H."""
        policy = check_policy(mdp, policy)
        paths = all_paths(mdp, policy, self.horizon)
        returns, gradients = self._each(mdp, policy, paths.states, paths.actions)
        slope = self._slopes((paths.probabilities[:, None] * returns).sum(axis=0)[None], policy)[0]
        return np.tensordot(slope, (paths.probabilities[:, None, None, None] * gradients).sum(axis=0), axes=1)

    def bias(self, mdp: MDP, policy: Array) -> Array:
        """(S, A): `expectation` less `truth`, exactly."""
        return np.asarray(self.expectation(mdp, policy) - self.truth(mdp, policy))

    def law(self, mdp: MDP, policy: Array) -> tuple[Array, Array]:
        """(probabilities, gradients (., S, A)) of every batch.  raises ModelError: more than 2^20 of them"""
        policy = check_policy(mdp, policy)
        paths = all_paths(mdp, policy, self.horizon)
        if len(paths) ** (self.paths * (1 + self.independent)) > MOST_PATHS:
            raise ModelError(f"{len(paths):,} paths make too many batches of {self.paths} to list: fewer paths, a shorter horizon, or sample")
        returns, gradients = self._each(mdp, policy, paths.states, paths.actions)
        batches = np.array(list(itertools.product(range(len(paths)), repeat=self.paths)))
        chances = paths.probabilities[batches].prod(axis=1)
        slopes = self._slopes(returns[batches].sum(axis=1) / self.paths, policy)
        means = gradients[batches].sum(axis=1) / self.paths
        if not self.independent:
            return chances, (slopes[:, :, None, None] * means).sum(axis=1)
        crossed = np.tensordot(slopes, means, axes=([1], [1]))  # (slopes' batch, gradients' batch, S, A)
        return np.multiply.outer(chances, chances).reshape(-1), crossed.reshape(-1, *policy.shape)

    def draw(self, mdp: MDP, policy: Array, chains: int, seed: int = 0, *, first: int = 0, threads: int = 1) -> Array:
        """(chains, S, A): the estimates of `chains` batches; batch c owns its n or 2 n chains."""
        mdp, policy = mdp.float, np.asarray(check_policy(mdp.float, np.asarray(policy, dtype=np.float64)))
        each = self.paths * (1 + self.independent)
        paths = simulate(mdp, policy, _count("chains", chains, 1) * each, self.horizon, seed, first=first * each, threads=threads)
        returns, gradients = self._each(mdp, policy, paths.states, paths.actions)
        returns, gradients = returns.reshape(chains, each, -1), gradients.reshape(chains, each, *gradients.shape[1:])
        slopes = self._slopes(returns[:, -self.paths :].mean(axis=1), policy)
        return np.einsum("ci,cisa->csa", slopes, gradients[:, : self.paths].mean(axis=1))

    def _table(self, mdp: MDP, policy: Array) -> Array:
        """(m, S, A) in the policy's numbers."""
        table = same_kind(self.rewards, kind(policy))
        if table.ndim != 3 or table.shape[1:] != policy.shape:
            raise ModelError(f"rewards have shape {table.shape}; they must be (values, {policy.shape[0]}, {policy.shape[1]})")
        return table

    def _each(self, mdp: MDP, policy: Array, states: Array, actions: Array) -> tuple[Array, Array]:
        """(returns (N, m), gradients (N, m, S, A)) of single paths."""
        models = [mdp.replace(rewards=table) for table in self._table(mdp, policy)]
        returns = [discounted_rewards(model, policy, states, actions)[0].sum(axis=1) for model in models]
        gradients = [RewardToGo(self.horizon).of_paths(model, policy, states, actions) for model in models]
        return np.stack(returns, axis=1), np.stack(gradients, axis=1)

    def _slopes(self, values: Array, policy: Array) -> Array:
        """(N, m): the slope at every row of `values` (N, m).  raises ModelError: another length, a slope that is not finite"""
        assert self.slope is not None
        rows = [np.asarray(self.slope(row)) for row in values]
        if any(row.shape != (values.shape[1],) for row in rows):
            raise ModelError(f"the slope has shape {rows[0].shape}; there are {values.shape[1]} values")
        out = np.array(rows, dtype=object if kind(policy) != "float" else np.float64)
        if kind(policy) == "float" and not np.isfinite(out).all():
            bad = int(np.argmin(np.isfinite(out).all(axis=1)))
            raise ModelError(f"the slope is not finite at the values {values[bad].tolist()}")
        return out
