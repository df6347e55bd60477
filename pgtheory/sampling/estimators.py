"""Estimators of the policy gradient from paths: each with its exact mean and covariance by enumeration, beside its sampled figures.

Tabular softmax, horizon H.  An estimator gives the score of every step a weight,

    g(path) = sum_t w_t (e_{s_t, a_t} - pi(.|s_t) e_{s_t}),      and these differ in w_t:

    Reinforce            sum_k gamma^k r_k - b(s_0)                            (Williams 1992)
    RewardToGo           sum_{k >= t} gamma^k r_k - gamma^t b(s_t)             (GPOMDP; Baxter and Bartlett 2001, Sutton et al. 2000)
    ActorCritic          gamma^t (r_t + gamma V(s_{t+1}) - V(s_t))             (a critic V, exact or not)
    GAE                  gamma^t sum_{l >= 0} (gamma lambda)^l delta_{t+l}     (Schulman et al. 2016)
    ImportanceWeighted   the weights of another estimator times prod_{k <= t} pi / b    (Precup et al. 2000)

A baseline b(s) of the state leaves the mean as it is, because E[score | s] = 0; one that also looks at the action does not, and
`RewardToGo(baseline=(S, A) array)` adds back sum_a grad pi(a|s) b(s, a) unless `corrected=False`.  What is estimated is the gradient of
J_H = E sum_{t < H} gamma^t r_t; `truncation_bound` says how far that is from the gradient of the discounted value.

`expectation`, `moments` and `law` list all paths (small models; rationals in, rationals out); `draw` and `sample` simulate.
More estimators: `pgtheory.sampling.baselines` (control variates, optimal baselines), `.critics` (learned critics), `.adaptive` (balanced actions).
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, ClassVar

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.rational import rational
from pgtheory.exact.evaluation import check_policy
from pgtheory.exact.linear import kind, model_like, same_kind
from pgtheory.horizon_gradient import stage_gradient
from pgtheory.sampling.paths import all_paths
from pgtheory.sampling.simulator import _count, simulate

Array = np.ndarray
AT_A_TIME = 2**22
"""Entries (chain, state, action) of single gradients that are held at a time."""


@dataclasses.dataclass(frozen=True)
class Moments:
    """Exact mean (S, A) and covariance (S A, S A) of an estimator; `variance` is the trace of the covariance."""

    mean: Array
    covariance: Array

    @property
    def variance(self) -> Any:
        return np.trace(self.covariance)


@dataclasses.dataclass(frozen=True)
class Sampled:
    """Figures of `chains` sampled gradients: mean (S, A), unbiased covariance (S A, S A), the largest and smallest entry seen."""

    mean: Array
    covariance: Array
    chains: int
    extremes: tuple[float, float]

    @property
    def variance(self) -> float:
        return float(np.trace(self.covariance))

    @property
    def standard_errors(self) -> Array:
        """(S, A): of the mean's entries."""
        return np.sqrt(np.diag(self.covariance) / self.chains).reshape(self.mean.shape)


@dataclasses.dataclass(frozen=True)
class Estimator(abc.ABC):
    """Base: an estimator says what weight (N, H) each step of a path has.  by_single_paths: whether a draw is a function of one path."""

    horizon: int
    by_single_paths: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _count("horizon", self.horizon, 1)

    @abc.abstractmethod
    def weights(self, mdp: MDP, policy: Array, states: Array, actions: Array) -> Array:
        """(N, H): w_t of every path; states (N, H + 1), actions (N, H)."""

    def behaviour(self, mdp: MDP, policy: Array) -> Array:
        """(S, A): the policy that paths are drawn from; the one that is differentiated, unless the estimator says otherwise."""
        return policy

    def of_paths(self, mdp: MDP, policy: Array, states: Array, actions: Array) -> Array:
        """(N, S, A): one gradient a path.  policy in floats or rationals; the answer is of its kind."""
        policy = check_policy(mdp, policy)
        return scored(policy, states, actions, self.weights(mdp, policy, states, actions))

    def law(self, mdp: MDP, policy: Array) -> tuple[Array, Array]:
        """(probabilities (N,), gradients (N, S, A)): everything that a draw can be.  raises ModelError: more than 2^20 paths"""
        policy = check_policy(mdp, policy)
        paths = all_paths(mdp, self.behaviour(mdp, policy), self.horizon)
        return paths.probabilities, self.of_paths(mdp, policy, paths.states, paths.actions)

    def moments(self, mdp: MDP, policy: Array) -> Moments:
        """Exact mean and covariance, by listing all paths.  raises ModelError: more than 2^20 of them."""
        probabilities, gradients = self.law(mdp, policy)
        each = gradients.reshape(len(gradients), -1)
        mean = (probabilities[:, None] * each).sum(axis=0)
        centred = each - mean
        return Moments(mean.reshape(gradients.shape[1:]), (probabilities[:, None] * centred).T.dot(centred))

    def expectation(self, mdp: MDP, policy: Array) -> Array:
        """(S, A): the exact mean, by listing all paths."""
        probabilities, gradients = self.law(mdp, policy)
        return np.asarray((probabilities[:, None, None] * gradients).sum(axis=0))

    def bias(self, mdp: MDP, policy: Array) -> Array:
        """(S, A): `expectation` less the gradient of J_H, exactly."""
        return np.asarray(self.expectation(mdp, policy) - truncated_gradient(mdp, policy, self.horizon))

    def draw(self, mdp: MDP, policy: Array, chains: int, seed: int = 0, *, first: int = 0, threads: int = 1) -> Array:
        """(chains, S, A): one gradient a simulated chain, chains first .. of `seed`.  raises ModelError: a gradient that is not finite"""
        mdp = mdp.float
        policy = np.asarray(check_policy(mdp, np.asarray(policy, dtype=np.float64)))
        paths = simulate(mdp, self.behaviour(mdp, policy), chains, self.horizon, seed, first=first, threads=threads)
        return self.of_paths(mdp, policy, paths.states, paths.actions)

    def sample(self, mdp: MDP, policy: Array, chains: int, seed: int = 0, *, first: int = 0, threads: int = 1) -> Sampled:
        """Mean and covariance of `chains` simulated gradients (chains first .. of `seed`).  raises ModelError: fewer than 2 chains."""
        if _count("chains", chains, 1) < 2:
            raise ModelError(f"chains is {chains}; a covariance needs at least 2")
        size, shape = np.size(policy), np.shape(policy)
        total, square, low, high = np.zeros(size), np.zeros((size, size)), np.inf, -np.inf
        part, pivot = max(1, AT_A_TIME // size), None
        for begin in range(0, chains, part):
            each = self.draw(mdp, policy, min(part, chains - begin), seed, first=first + begin, threads=threads)
            each = each.reshape(len(each), -1)
            if not np.isfinite(each).all():
                raise ModelError(f"the gradient of chain {first + begin + _first_bad(each)} is not finite: importance weights or returns overflow")
            pivot = each.mean(axis=0) if pivot is None else pivot
            centred = each - pivot
            total, square = total + centred.sum(axis=0), square + centred.T @ centred
            low, high = min(low, float(each.min())), max(high, float(each.max()))
        assert pivot is not None
        shift = total / chains
        covariance = (square - chains * np.outer(shift, shift)) / (chains - 1)
        return Sampled((pivot + shift).reshape(shape), covariance, chains, (low, high))


@dataclasses.dataclass(frozen=True)
class Reinforce(Estimator):
    """The whole return as the weight of every score; baseline: a number, (S,) of the first state, or None."""

    baseline: Any = None

    def weights(self, mdp: MDP, policy: Array, states: Array, actions: Array) -> Array:
        paid, _ = discounted_rewards(mdp, policy, states, actions)
        gain = paid.sum(axis=1)
        if self.baseline is not None:
            gain = gain - state_function("baseline", self.baseline, mdp, policy)[states[:, 0]]
        return np.broadcast_to(gain[:, None], actions.shape)


@dataclasses.dataclass(frozen=True)
class RewardToGo(Estimator):
    """Rewards from the step on; baseline: None, a number, (S,) of the state, or (S, A) of the pair (`corrected` says whether its bias is added
    back, which needs no sample)."""

    baseline: Any = None
    corrected: bool = True

    def weights(self, mdp: MDP, policy: Array, states: Array, actions: Array) -> Array:
        paid, powers = discounted_rewards(mdp, policy, states, actions)
        togo = np.add.accumulate(paid[:, ::-1], axis=1)[:, ::-1]
        if self.baseline is None:
            return togo
        if np.ndim(self.baseline) == 2:
            return togo - powers * self._of_pairs(mdp, policy)[states[:, : self.horizon], actions]
        return togo - powers * state_function("baseline", self.baseline, mdp, policy)[states[:, : self.horizon]]

    def of_paths(self, mdp: MDP, policy: Array, states: Array, actions: Array) -> Array:
        out = super().of_paths(mdp, policy, states, actions)
        if np.ndim(self.baseline) == 2 and self.corrected:
            policy = check_policy(mdp, policy)
            add_back(out, self._of_pairs(mdp, policy), mdp, policy, states, actions)
        return out

    def _of_pairs(self, mdp: MDP, policy: Array) -> Array:
        table = same_kind(self.baseline, kind(policy))
        if table.shape != policy.shape:
            raise ModelError(f"baseline has shape {table.shape}; the policy has {policy.shape}")
        return table


@dataclasses.dataclass(frozen=True)
class ActorCritic(Estimator):
    """The temporal difference of a critic (S,) as the weight: unbiased for every horizon-free gradient only where the critic is exact."""

    critic: Any = 0

    def weights(self, mdp: MDP, policy: Array, states: Array, actions: Array) -> Array:
        return _differences(self.critic, mdp, policy, states, actions)


@dataclasses.dataclass(frozen=True)
class GAE(Estimator):
    """Generalised advantage estimation with a critic (S,) and decay lambda in [0, 1]."""

    critic: Any = 0
    decay: Any = 1

    def weights(self, mdp: MDP, policy: Array, states: Array, actions: Array) -> Array:
        return decayed(_differences(self.critic, mdp, policy, states, actions), self.decay)


@dataclasses.dataclass(frozen=True)
class ImportanceWeighted(Estimator):
    """`of`, estimated on paths of another policy: every weight times the ratio of probabilities.

    drawn_from     (S, A), or a function of the policy that gives it
    per_decision   the ratio up to each reward (only for rewards to go without a baseline), else that of the whole path
    raises         ModelError: a pair that the policy takes and the behaviour does not (says which)
    """

    of: Estimator | None = None
    drawn_from: Any = None
    per_decision: bool = False

    def behaviour(self, mdp: MDP, policy: Array) -> Array:
        drawn_from = self.drawn_from(policy) if callable(self.drawn_from) else self.drawn_from
        behaviour = check_policy(mdp, same_kind(drawn_from, kind(policy)))
        for s, a in np.ndindex(policy.shape):
            if policy[s, a] > 0 and not behaviour[s, a] > 0:
                raise ModelError(
                    f"the behaviour never takes action {a} in state {s} (probability 0), the policy does with probability {policy[s, a]}: "
                    "importance weights do not exist"
                )
        return behaviour

    def weights(self, mdp: MDP, policy: Array, states: Array, actions: Array) -> Array:
        ratios = self._ratios(mdp, policy, states, actions)
        if not self.per_decision:
            return self._of().weights(mdp, policy, states, actions) * ratios[:, -1:]
        if not isinstance(self.of, RewardToGo) or self.of.baseline is not None:
            raise ModelError("per-decision weights are those of rewards to go without a baseline")
        paid, _ = discounted_rewards(mdp, policy, states, actions)
        return np.add.accumulate((paid * ratios)[:, ::-1], axis=1)[:, ::-1]

    def of_paths(self, mdp: MDP, policy: Array, states: Array, actions: Array) -> Array:
        if self.per_decision:
            return super().of_paths(mdp, policy, states, actions)
        policy = check_policy(mdp, policy)
        whole = self._ratios(mdp, policy, states, actions)[:, -1]  # of the path: what `of` adds beside its weights is weighed too
        return whole[:, None, None] * self._of().of_paths(mdp, policy, states, actions)

    def _of(self) -> Estimator:
        if self.of is None:
            raise ModelError("ImportanceWeighted needs the estimator that it weighs: of=RewardToGo(horizon), for example")
        check_below(self.horizon, self.of, "weighted estimator")
        return self.of

    def _ratios(self, mdp: MDP, policy: Array, states: Array, actions: Array) -> Array:
        """(N, H): prod_{k <= t} pi(a_k|s_k) / b(a_k|s_k)."""
        behaviour, now = self.behaviour(mdp, policy), states[:, : self.horizon]
        return np.multiply.accumulate(policy[now, actions] / behaviour[now, actions], axis=1)


def check_below(horizon: int, of: Estimator, words: str = "estimator below") -> None:
    """raises ModelError: an estimator that another horizon has, or that is no function of single paths (a batch, a critic of its own)"""
    if of.horizon != horizon:
        raise ModelError(f"horizon is {horizon}, that of the {words} {of.horizon}; they must agree")
    if not of.by_single_paths:
        raise ModelError(f"{type(of).__name__} is no function of single paths; it cannot be the {words}")


def scored(policy: Array, states: Array, actions: Array, weights: Array) -> Array:
    """(N, S, A): sum_t w_t (e_{s_t, a_t} - pi(.|s_t) e_{s_t}) of every path, in the policy's numbers."""
    if policy.dtype != object and np.asarray(weights).dtype != object:  # W(s, a), the weights of each pair, less pi(a|s) sum_b W(s, b)
        pairs = states[:, : actions.shape[1]] * policy.shape[1] + actions + policy.size * np.arange(len(actions))[:, None]
        sums = np.bincount(pairs.reshape(-1), np.ascontiguousarray(weights).reshape(-1), minlength=len(actions) * policy.size)
        table = sums.reshape(-1, *policy.shape)
        return table - policy * table.sum(axis=2, keepdims=True)
    out = policy[None] * 0 + np.zeros((len(actions), 1, 1), dtype=np.int64)
    paths = np.arange(len(actions))
    for t in range(actions.shape[1]):
        s, a, w = states[:, t], actions[:, t], weights[:, t]
        out[paths, s] = out[paths, s] - w[:, None] * policy[s]
        out[paths, s, a] = out[paths, s, a] + w
    return out


def add_back(out: Array, table: Array, mdp: MDP, policy: Array, states: Array, actions: Array) -> None:
    """Adds sum_t gamma^t sum_a grad pi(a|s_t) b(s_t, a) to the gradients `out` (N, S, A): what a baseline `table` b (S, A) takes away."""
    slope = policy * (table - (policy * table).sum(axis=1)[:, None])
    _, powers = discounted_rewards(mdp, policy, states, actions)
    paths = np.arange(len(actions))
    for t in range(actions.shape[1]):
        out[paths, states[:, t]] = out[paths, states[:, t]] + powers[t] * slope[states[:, t]]


def decayed(differences: Array, decay: Any) -> Array:
    """(N, H): sum_{l >= 0} lambda^l of differences (N, H) from each step on; the powers of gamma are in the differences already."""
    if not 0 <= rational(decay) <= 1:
        raise ModelError(f"decay is {decay}; it must lie in [0, 1]")
    (factor,) = same_kind([decay], kind(differences))
    out = differences.copy()
    for t in range(out.shape[1] - 2, -1, -1):
        out[:, t] = out[:, t] + factor * out[:, t + 1]
    return out


def discounted_rewards(mdp: MDP, policy: Array, states: Array, actions: Array) -> tuple[Array, Array]:
    """(gamma^t r_t (N, H), gamma^t (H,)) in the kind of numbers of the policy."""
    numbers = kind(policy)
    _, rewards, discount, _ = model_like(mdp, numbers)
    horizon = actions.shape[1]
    powers = np.multiply.accumulate(np.array([discount * 0 + 1] + [discount] * (horizon - 1), dtype=object if numbers != "float" else np.float64))
    return rewards[np.asarray(mdp.first_pair)[states[:, :horizon]] + actions] * powers, powers


def state_function(field: str, values: Any, mdp: MDP, policy: Array) -> Array:
    """(S,) values in the policy's numbers; one number serves all states.  raises ModelError: another shape, a value that is not finite."""
    table = same_kind(values if np.ndim(values) else [values] * mdp.num_states, kind(policy))
    if table.shape != (mdp.num_states,):
        raise ModelError(f"{field} has shape {table.shape}; the model has {mdp.num_states} states")
    if kind(policy) == "float" and not np.isfinite(table).all():
        state = int(np.argmin(np.isfinite(table)))
        raise ModelError(f"{field} is {table[state]} in state {state}; it must be finite")
    return table


def _differences(critic: Any, mdp: MDP, policy: Array, states: Array, actions: Array) -> Array:
    """(N, H): gamma^t delta_t."""
    values = state_function("critic", critic, mdp, policy)
    paid, powers = discounted_rewards(mdp, policy, states, actions)
    (discount,) = same_kind([mdp.discount], kind(policy))
    return paid + powers * (discount * values[states[:, 1:]] - values[states[:, :-1]])


def truncated_gradient(mdp: MDP, policy: Array, horizon: int) -> Array:
    """(S, A): the gradient of J_H in logits, by recursion over the steps: sum_t gamma^t Pr(s_t = s) pi(a|s) A_t(s, a), nothing listed."""
    policy, stages = check_policy(mdp, policy), _count("horizon", horizon, 1)
    if not mdp.is_rectangular:
        raise ModelError("the gradient in logits takes the same number of actions in every state; this model has states that differ")
    choices, rewards, discount, start = model_like(mdp, kind(policy))
    rows = choices.toarray() if hasattr(choices, "toarray") else choices
    moves, paid = discount * rows.reshape(1, *policy.shape, mdp.num_states), rewards.reshape(1, *policy.shape)
    policies, moves, paid = (np.repeat(x[:, None], stages, axis=1) for x in (policy[None], moves, paid))
    return stage_gradient(policies, moves, paid, np.asarray(start)[None]).sum(axis=1)[0]


def truncation_bound(mdp: MDP, policy: Array, horizon: int) -> float:
    """How far the gradient of J_H may be from that of the discounted value, in 2-norm: (G R / (1 - gamma)) sqrt(1 / (1 - gamma) + H) gamma^H with
    G^2 = max_s (1 - |pi_s|^2) and R = max|r|.  Yuan, Gower and Lazaric (2022), derived in docs/theory/sampled_gradients.md."""
    gamma = float(mdp.discount)
    policy = np.asarray(check_policy(mdp.float, np.asarray(policy, dtype=np.float64)))
    score = np.sqrt((1 - (policy**2).sum(axis=1)).max())
    reward = float(np.abs(np.asarray(mdp.float.pair_rewards)).max())
    return float(score * reward / (1 - gamma) * np.sqrt(1 / (1 - gamma) + horizon) * gamma**horizon)


def _first_bad(each: Array) -> int:
    """The first row with an entry that is not finite."""
    return int(np.argmin(np.isfinite(each).all(axis=1)))
