"""Balanced batches: on-policy estimates from paths whose actions make up for what was drawn too rarely, with exact mean and covariance.

n independent paths of pi hold each action pi(a|s) of the time on average only; the frequencies err by about 1/sqrt(visits), and the gradient with
them.  Here the next action at s is drawn from a behaviour that knows what the batch has done at s so far, n(s, a) times of n(s):

    d(a) = (n(s) + 1) pi(a|s) - n(s, a)                  the deficit, this visit included
    b(a) ~ pi(a|s) exp(strength d(a)),                   strength = inf: the action of largest deficit, the first of several

strength 0 is on-policy sampling.  Without "this visit included" (n(s) for n(s) + 1) the exponential form is what one gradient step against the
log-likelihood of the data does to the logits (Zhong, Zhang, Schumm and Hanna 2022; PROPS of Corrado and Hanna 2023 takes several clipped ones).
With strength = inf and one state the surplus n(a) - t pi(a) never exceeds 1 - 1/A (`sampling-error-and-corrected-sampling`): frequencies err by 1/n,
not 1/sqrt(n).

The estimate is the mean of an ordinary estimator over the batch.  It is not unbiased: the paths depend on each other.  `expectation` and `moments`
list every batch (rationals for strength 0 and inf), and `sample` draws whole batches in compiled code; a "chain" of this estimator is a batch.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.compiled import gate
from pgtheory.exact.evaluation import check_policy
from pgtheory.exact.linear import kind, model_like
from pgtheory.sampling.estimators import Estimator, ImportanceWeighted, RewardToGo, check_below
from pgtheory.sampling.paths import MOST_PATHS
from pgtheory.sampling.simulator import _count
from pgtheory.sampling.streams import checked_seed
from pgtheory.sampling.tables import csr_parts

Array = np.ndarray
TIE = 1e-12
"""Deficits of floats that differ by less are equal: the first action is taken."""


@dataclasses.dataclass(frozen=True)
class BalancedBatch(Estimator):
    """The mean of `of` over `paths` paths whose actions are balanced.

    paths     n >= 1 of a batch;  strength  >= 0 or inf (the default)
    of        an estimator on paths of the policy itself; the plain rewards to go if left out
    """

    by_single_paths: ClassVar[bool] = False
    paths: int = 1
    strength: float = math.inf
    of: Estimator | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _count("paths", self.paths, 1)
        if not self.strength >= 0:
            raise ModelError(f"strength is {self.strength}; it must be at least 0 (inf: always the action of largest deficit)")
        if isinstance(self.of, ImportanceWeighted):
            raise ModelError("a balanced batch stands for paths of the policy itself; importance weights are for paths of another one")
        if self.of is not None:
            check_below(self.horizon, self.of)

    @property
    def base(self) -> Estimator:
        return RewardToGo(self.horizon) if self.of is None else self.of

    def weights(self, mdp: MDP, policy: Array, states: Array, actions: Array) -> Array:
        return self.base.weights(mdp, policy, states, actions)

    def of_paths(self, mdp: MDP, policy: Array, states: Array, actions: Array) -> Array:
        """(N, S, A): of single paths, as `of` has it; of batches (N, n, H + 1) their means."""
        if states.ndim == 2:
            return self.base.of_paths(mdp, policy, states, actions)
        flat = self.base.of_paths(mdp, policy, states.reshape(-1, states.shape[-1]), actions.reshape(-1, actions.shape[-1]))
        return flat.reshape(-1, states.shape[1], *flat.shape[1:]).sum(axis=1) / states.shape[1]

    def law(self, mdp: MDP, policy: Array) -> tuple[Array, Array]:
        """(probabilities (N,), gradients (N, S, A)) of every batch.  raises ModelError: more than 2^20, rationals with a finite strength above 0"""
        policy = check_policy(mdp, policy)
        chances, states, actions = self.all_batches(mdp, policy)
        return chances, self.of_paths(mdp, policy, states, actions)

    def all_batches(self, mdp: MDP, policy: Array) -> tuple[Array, Array, Array]:
        """(probabilities (N,), states (N, n, H + 1), actions (N, n, H)) of every batch of positive probability."""
        choices, _, _, start = model_like(mdp, kind(policy))
        rows = choices.toarray() if hasattr(choices, "toarray") else choices
        visits = np.zeros((1, *policy.shape), dtype=int)
        states, actions = np.zeros((1, self.paths, self.horizon + 1), np.int64), np.zeros((1, self.paths, self.horizon), np.int64)
        chances = start[:1] * 0 + 1
        for k in range(self.paths):
            chances, states, actions, visits, now = _branch(chances, states, actions, visits, np.tile(start, (len(chances), 1)))
            states[:, k, 0] = now
            for t in range(self.horizon):
                laws = self._behaviours(policy, visits, now)
                chances, states, actions, visits, chosen = _branch(chances, states, actions, visits, laws)
                now = states[:, k, t]
                visits[np.arange(len(now)), now, chosen] += 1
                actions[:, k, t] = chosen
                ahead = rows[np.asarray(mdp.first_pair)[now] + chosen]
                chances, states, actions, visits, now = _branch(chances, states, actions, visits, ahead)
                states[:, k, t + 1] = now
        return chances, states, actions

    def _behaviours(self, policy: Array, visits: Array, now: Array) -> Array:
        """(N, A): the law of the next action of every node."""
        target, seen = policy[now], visits[np.arange(len(now)), now]
        if self.strength == 0:
            return target
        deficits = (seen.sum(axis=1)[:, None] + 1) * target - seen
        if math.isinf(self.strength):
            slack = TIE if kind(policy) == "float" else 0
            picked = np.array([next(a for a, d in enumerate(row) if d >= max(row) - slack) for row in deficits])
            return np.eye(policy.shape[1], dtype=int)[picked] * (policy[0, 0] * 0 + 1)
        if kind(policy) != "float":
            raise ModelError(f"strength is {self.strength}: exponentials leave the rationals; take 0 or inf, or a policy in floats")
        weights = target * np.exp(self.strength * (deficits - deficits.max(axis=1, keepdims=True)))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    def draw(self, mdp: MDP, policy: Array, chains: int, seed: int = 0, *, first: int = 0, threads: int = 1) -> Array:
        """(chains, S, A): the means of `chains` batches."""
        mdp = mdp.float
        states, actions = balanced_batches(mdp, policy, chains, self.paths, self.horizon, seed, strength=self.strength, first=first)
        return self.of_paths(mdp, np.asarray(policy, dtype=np.float64), states, actions)


def balanced_batches(
    mdp: MDP, policy: Array, batches: int, paths: int, horizon: int, seed: int = 0, *, strength: float = math.inf, first: int = 0
) -> tuple[Array, Array]:
    """(states (N, n, H + 1), actions (N, n, H)): batch c of stream first + c of the seed, in compiled code.

    raises   ModelError: bad counts, a seed that is no whole number, a bad policy"""
    from pgtheory.sampling.adaptive_walks import balanced_paths

    mdp, number = mdp.float, checked_seed(seed)
    policy = np.asarray(check_policy(mdp, np.asarray(policy, dtype=np.float64)))
    shape = (_count("batches", batches, 1), _count("paths", paths, 1), _count("horizon", horizon, 1))
    states, actions = np.empty((*shape[:2], horizon + 1), np.int64), np.empty(shape, np.int64)
    indptr, indices, data = csr_parts(mdp)
    (pairs, indptr, indices), (data, law, start) = gate(mdp.first_pair, indptr, indices, dtype=np.int64), gate(data, policy, mdp.start)
    balanced_paths(pairs, indptr, indices, data, law, start, -1.0 if math.isinf(strength) else float(strength), number, first, states, actions)
    return states, actions


def _branch(chances: Array, states: Array, actions: Array, visits: Array, laws: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Every node with every outcome of positive probability of its law (N, K): the nodes, copied, and the outcomes."""
    positive = laws > 0 if laws.dtype != object else np.array([[x > 0 for x in row] for row in laws], dtype=bool)
    count = int(positive.sum())
    if count > MOST_PATHS:
        raise ModelError(f"there are {count:,} batches; at most {MOST_PATHS:,} are listed. Take fewer paths or a shorter horizon, or sample")
    node, outcome = np.nonzero(positive)
    return chances[node] * laws[node, outcome], states[node], actions[node], visits[node], outcome


def frequency_errors(policy: Any, states: Array, actions: Array) -> Array:
    """(N,): sum over states of n(s) |n(s, .)/n(s) - pi(.|s)|_1 over all visits of each batch, divided by the visits: 0 where frequencies match."""
    table = np.asarray(policy, dtype=np.float64)
    now = states[..., :-1].reshape(len(states), -1)
    counts = np.zeros((len(states), *table.shape))
    np.add.at(counts, (np.arange(len(states))[:, None], now, actions.reshape(len(states), -1)), 1.0)
    return np.asarray(np.abs(counts - counts.sum(axis=2, keepdims=True) * table).sum(axis=(1, 2)) / now.shape[1])
