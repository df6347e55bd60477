"""Bandit learners: policy gradients and online mirror descent from one reward a round, exactly on small trees and by many compiled runs.

K arms; arm a pays one of finitely many rewards, or what an oblivious adversary wrote down for the round (`ChangingBandit`).  In round t = 1, 2, ...
a learner has a distribution p, pulls a ~ p, sees the reward x:

    SoftmaxGradient          theta += eta (x - b) (e_a - p)                    p = softmax(theta)      (Williams 1992)
      natural=True           theta_a += eta (x - b) / p_a                      the natural gradient of the same sample
    MirrorDescent            L_a += (1 - x) / p_a,  p = argmin <p, L> + R(p) / eta_t      (follow the regularised leader)
      "shannon"              p ~ exp(-eta L)                                    (Exp3: Auer, Cesa-Bianchi, Freund, Schapire 2002)
      "tsallis"              p_a = 4 / (eta (L_a - x))^2                        (Tsallis-INF: Zimmert and Seldin 2021, R = -4 sum sqrt p)
      "log-barrier"          p_a = 1 / (eta (L_a - x))                          (R = -sum log p: Foster et al. 2016)

The baseline b of a softmax gradient is a number, "value" (p . mean rewards, known only to an oracle) or "optimal" (the one of least variance).
`expectations` follows every sequence of actions and rewards (exact up to rounding, short horizons); `replicate` simulates: run c uses stream c of
the seed, so the figures do not depend on the number of threads or on what else is simulated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from mdps.errors import ModelError, nearest
from pgtheory.compiled import gate
from pgtheory.sampling.parts import in_parts
from pgtheory.sampling.simulator import _count
from pgtheory.sampling.streams import checked_seed

Array = np.ndarray
POTENTIALS = ("shannon", "tsallis", "log-barrier")
MOST_LEAVES = 2**22
RUNS_A_JOB = 2048


@dataclasses.dataclass(frozen=True)
class Bandit:
    """Arms with finitely many rewards.

    rewards        (K, m) what arm a may pay
    probabilities  (K, m) with what probability; rows sum to 1
    raises         ModelError: shapes that differ, a row that is no distribution, a reward that is not finite
    """

    rewards: Array
    probabilities: Array

    def __post_init__(self) -> None:
        rewards, probabilities = np.array(self.rewards, dtype=np.float64), np.array(self.probabilities, dtype=np.float64)
        if rewards.ndim != 2 or rewards.shape != probabilities.shape or 0 in rewards.shape:
            raise ModelError(f"rewards have shape {rewards.shape}, probabilities {probabilities.shape}; both must be (arms, outcomes)")
        if not np.isfinite(rewards).all():
            raise ModelError(f"arm {int(np.argmin(np.isfinite(rewards).all(axis=1)))} has a reward that is not finite")
        for arm, row in enumerate(probabilities):
            if not (row >= 0).all() or abs(row.sum() - 1) > 1e-9:
                raise ModelError(f"the probabilities of arm {arm} are {row.tolist()}: they must be nonnegative and sum to 1")
        object.__setattr__(self, "rewards", rewards)
        object.__setattr__(self, "probabilities", probabilities)

    @property
    def means(self) -> Array:
        """(K,): expected rewards."""
        return (self.rewards * self.probabilities).sum(axis=1)

    @property
    def gaps(self) -> Array:
        """(K,): best mean minus own mean."""
        return self.means.max() - self.means

    @classmethod
    def sure(cls, rewards: Any) -> Bandit:
        """Arms that always pay the same.  rewards (K,)"""
        table = np.asarray(rewards, dtype=np.float64)[:, None]
        return cls(table, np.ones_like(table))

    @classmethod
    def bernoulli(cls, means: Any) -> Bandit:
        """Rewards 1 with probability `means` (K,), else 0."""
        p = np.asarray(means, dtype=np.float64)
        return cls(np.tile([1.0, 0.0], (p.size, 1)), np.stack([p, 1 - p], axis=1))

    @classmethod
    def signs(cls, means: Any) -> Bandit:
        """Rewards 1 or -1 with means (K,) in [-1, 1]."""
        p = (1 + np.asarray(means, dtype=np.float64)) / 2
        return cls(np.tile([1.0, -1.0], (p.size, 1)), np.stack([p, 1 - p], axis=1))


@dataclasses.dataclass(frozen=True)
class ChangingBandit:
    """Arms whose sure rewards change from round to round, whatever is pulled: an oblivious adversary.

    rewards   (T, K): what arm a pays in round t; at most T rounds are played
    raises    ModelError: another shape, a reward that is not finite (says where)

    Regret is against the arm with the largest sum over all T rounds, so early rounds may have a negative one."""

    rewards: Array

    def __post_init__(self) -> None:
        rewards = np.array(self.rewards, dtype=np.float64)
        if rewards.ndim != 2 or 0 in rewards.shape:
            raise ModelError(f"rewards have shape {rewards.shape}; they must be (rounds, arms)")
        if not np.isfinite(rewards).all():
            raise ModelError(f"rewards[{', '.join(str(int(k)) for k in np.argwhere(~np.isfinite(rewards))[0])}] is not finite")
        object.__setattr__(self, "rewards", rewards)

    @property
    def means(self) -> Array:
        """(K,): mean rewards over all rounds."""
        return np.asarray(self.rewards.mean(axis=0))

    @property
    def gaps(self) -> Array:
        """(T, K): what the arm that is best over all rounds pays more than each arm, round by round."""
        return self.rewards[:, [int(self.rewards.sum(axis=0).argmax())]] - self.rewards

    def round_of(self, t: int) -> Bandit:
        """The bandit of round t = 1 .. T."""
        return Bandit.sure(self.rewards[t - 1])


@dataclasses.dataclass(frozen=True)
class SoftmaxGradient:
    """Stochastic (natural) policy gradient on the logits.

    step_size   eta > 0, in 1 / reward units
    baseline    a number, "value" or "optimal"
    logits      (K,) at the start; None: all 0
    """

    step_size: float
    baseline: Any = 0.0
    natural: bool = False
    logits: Any = None

    def __post_init__(self) -> None:
        if not float(self.step_size) > 0:
            raise ModelError(f"step_size is {self.step_size}; it must be above 0")
        if isinstance(self.baseline, str) and self.baseline not in ("value", "optimal"):
            raise ModelError(f"baseline is {self.baseline!r}; it is a number, 'value' or 'optimal'")

    def start(self, bandit: Bandit | ChangingBandit) -> Array:
        logits = np.zeros(len(bandit.means)) if self.logits is None else np.array(self.logits, dtype=np.float64)
        if logits.shape != bandit.means.shape or not np.isfinite(logits).all():
            raise ModelError(f"logits must be {len(bandit.means)} finite numbers, one an arm; they have shape {logits.shape}")
        return logits[None]

    def policy(self, state: Array, round_: int) -> Array:
        weights = np.exp(state - state.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True)

    def offset(self, p: Array, means: Array) -> Array:
        """(N,): the baseline at the distributions p (N, K)."""
        if self.baseline == "value":
            return p @ means
        if self.baseline == "optimal":
            weights = self.variance_weights(p)
            total = weights.sum(axis=1)
            return np.where(total > 0, weights @ means / np.where(total > 0, total, 1.0), 0.0)
        return np.full(len(p), float(self.baseline))

    def variance_weights(self, p: Array) -> Array:
        """(N, K): probability times squared length of the direction that a pull moves along, up to a factor; 0 where p is.

        The natural direction e_a / p_a is taken without its part along the ones, which moves no policy: weights 1 / p_a."""
        if self.natural:
            least = np.where(p > 0, p, 1.0).min(axis=1, keepdims=True)
            return np.where(p > 0, least / np.where(p > 0, p, 1.0), 0.0)
        return p * (1 - 2 * p + (p * p).sum(axis=1, keepdims=True))

    def update(self, state: Array, round_: int, p: Array, arm: Array, reward: Array, means: Array) -> Array:
        every, gain = np.arange(len(state)), self.step_size * (reward - self.offset(p, means))
        out = state.copy()
        if self.natural:
            out[every, arm] += gain / p[every, arm]
        else:
            out -= gain[:, None] * p
            out[every, arm] += gain
        return out


@dataclasses.dataclass(frozen=True)
class MirrorDescent:
    """Follow the regularised leader with importance-weighted losses 1 - reward (rewards in [0, 1] for its theorems).

    potential   "shannon", "tsallis" or "log-barrier"
    step_size   eta > 0 of every round; or, with decreasing=True, eta / sqrt(t) in round t
    """

    potential: str
    step_size: float
    decreasing: bool = False

    def __post_init__(self) -> None:
        if self.potential not in POTENTIALS:
            raise ModelError(f"potential is {self.potential!r}; it is one of {', '.join(POTENTIALS)}.{nearest(str(self.potential), POTENTIALS)}")
        if not float(self.step_size) > 0:
            raise ModelError(f"step_size is {self.step_size}; it must be above 0")

    def start(self, bandit: Bandit | ChangingBandit) -> Array:
        return np.zeros((1, len(bandit.means)))

    def policy(self, state: Array, round_: int) -> Array:
        eta = self.step_size / np.sqrt(round_) if self.decreasing else self.step_size
        losses = state - state.min(axis=1, keepdims=True)
        if self.potential == "shannon":
            weights = np.exp(-eta * losses)
        else:
            power = 2 if self.potential == "tsallis" else 1
            weights = weights_of(losses, eta, power)
        return weights / weights.sum(axis=1, keepdims=True)

    def update(self, state: Array, round_: int, p: Array, arm: Array, reward: Array, means: Array) -> Array:
        out, every = state.copy(), np.arange(len(state))
        out[every, arm] += (1 - reward) / p[every, arm]
        return out


def weights_of(losses: Array, eta: float, power: int) -> Array:
    """(N, K): w_a = (c / (eta (L_a + y)))^power with y > 0 such that they sum to 1; c = 2 for power 2, 1 for power 1; losses (N, K) >= 0, least 0.

    Newton's method from the right end of the root's interval [c / eta, c K^(1/power) / eta]: the sum is convex and decreasing in y, so the iterates
    rise from the left end without passing the root."""
    c = 2.0 if power == 2 else 1.0
    y = np.full((len(losses), 1), c / eta)
    moving = np.ones_like(y, dtype=bool)
    for _ in range(100):
        w = (c / (eta * (losses + y))) ** power
        excess = w.sum(axis=1, keepdims=True) - 1
        step = excess / (power * (w / (losses + y)).sum(axis=1, keepdims=True))
        step = np.where(moving, step, 0.0)  # a row that has arrived rests: its figures do not depend on the other rows
        y = y + step
        moving = np.abs(step) > 4e-16 * y
        if not moving.any():
            break
    return np.asarray((c / (eta * (losses + y))) ** power)


@dataclasses.dataclass(frozen=True)
class Expectations:
    """Exact figures (up to rounding) after each round 1 .. T.

    regret     (T,) sum of expected gaps so far, in reward units
    policy     (T + 1, K) expected distribution before round t + 1
    """

    regret: Array
    policy: Array


def expectations(learner: Any, bandit: Bandit | ChangingBandit, horizon: int) -> Expectations:
    """Follows every sequence of actions and rewards for `horizon` rounds.

    learner   one of this module, or an object with start(bandit), policy(state, round), update(state, round, p, arm, reward, means); states (N, K)
    bandit    `Bandit` or `ChangingBandit`
    raises    ModelError: horizon below 1 or above the rounds of a changing bandit, more than 2^22 sequences
    """
    horizon, played = _rounds(bandit, horizon), bandit
    state, weight = learner.start(played), np.ones(1)
    regret, policies = np.zeros(horizon), []
    for t in range(1, horizon + 1):
        bandit = played.round_of(t) if isinstance(played, ChangingBandit) else played
        arms, outcomes = np.nonzero(bandit.probabilities > 0)
        p = learner.policy(state, t)
        policies.append(weight @ p)
        regret[t - 1] = policies[-1] @ (played.gaps[t - 1] if isinstance(played, ChangingBandit) else bandit.gaps)
        count = len(state) * arms.size
        if count > MOST_LEAVES:
            raise ModelError(f"after {t} rounds there are {count:,} sequences; at most {MOST_LEAVES:,} are followed. Take a shorter horizon")
        node, branch = np.divmod(np.arange(count), arms.size)
        arm = arms[branch]
        reward = bandit.rewards[arm, outcomes[branch]]
        weight = weight[node] * p[node, arm] * bandit.probabilities[arm, outcomes[branch]]
        kept = weight > 0
        node, arm, reward, weight = node[kept], arm[kept], reward[kept], weight[kept]
        state = learner.update(state[node], t, p[node], arm, reward, bandit.means)
    policies.append(weight @ learner.policy(state, horizon + 1))
    return Expectations(np.cumsum(regret), np.array(policies))


@dataclasses.dataclass(frozen=True)
class Runs:
    """What `runs` simulated runs saw at the R recorded rounds.

    times    (R,) rounds;  regret (runs, R) sum over the rounds so far of the gap of the distribution (its expectation over the action)
    policy   (runs, K) the last distribution;  best (runs, R) the probability of the best arms
    """

    times: Array
    regret: Array
    best: Array
    policy: Array


def replicate(
    learner: Any,
    bandit: Bandit | ChangingBandit,
    horizon: int,
    runs: int,
    seed: int = 0,
    *,
    times: Any = None,
    first: int = 0,
    threads: int = 1,
) -> Runs:
    """`runs` independent runs in compiled code.

    learner  `SoftmaxGradient`, `MirrorDescent`, or one with compiled(rewards, cumulative, gaps, good) such as `InverseGapWeighting`
    times    rounds to record, increasing; by default the last one
    first    number of the first run: runs first .. first + runs - 1 of the seed
    raises   ModelError: no run, horizon below 1, times outside 1 .. horizon, a bad seed
    """
    horizon, runs, first = _rounds(bandit, horizon), _count("runs", runs, 1), _count("first", first, 0)
    recorded = np.array([horizon] if times is None else times, dtype=np.int64)
    if recorded.size == 0 or recorded[0] < 1 or recorded[-1] > horizon or (np.diff(recorded) <= 0).any():
        raise ModelError(f"times must be increasing rounds in 1 .. {horizon}; got {recorded.tolist()}")
    number, job = checked_seed(seed), _job(learner, bandit)
    regret, best, policy = np.empty((runs, recorded.size)), np.empty((runs, recorded.size)), np.empty((runs, len(bandit.means)))
    (ticks,) = gate(recorded, dtype=np.int64)

    def part(begin: int) -> None:
        end = min(begin + RUNS_A_JOB, runs)
        job(number, first + begin, ticks, regret[begin:end], best[begin:end], policy[begin:end])

    list(in_parts(part, range(0, runs, RUNS_A_JOB), threads))
    return Runs(recorded, regret, best, policy)


def _rounds(bandit: Bandit | ChangingBandit, horizon: Any) -> int:
    rounds = _count("horizon", horizon, 1)
    if isinstance(bandit, ChangingBandit) and rounds > len(bandit.rewards):
        raise ModelError(f"horizon is {rounds}; the rewards are told for {len(bandit.rewards)} rounds")
    return rounds


def _job(learner: Any, bandit: Bandit | ChangingBandit) -> Callable[..., None]:
    from pgtheory.sampling import pulls

    if isinstance(bandit, ChangingBandit):
        outcomes, sums, apart, by_round = bandit.rewards[..., None], np.ones((*bandit.rewards.shape, 1)), bandit.gaps, bandit.rewards
        best = bandit.means == bandit.means.max()
    else:
        sums = bandit.probabilities.cumsum(axis=1)
        outcomes, sums, apart, by_round = bandit.rewards[None], (sums / sums[:, -1:])[None], bandit.gaps[None], bandit.means[None]
        best = bandit.gaps == 0
    (good,) = gate(best, dtype=np.bool_)
    rewards, cumulative, gaps, means = gate(outcomes, sums, apart, by_round)
    if isinstance(learner, SoftmaxGradient):
        (logits,) = gate(learner.start(bandit)[0])
        rule = {"value": 1, "optimal": 2}.get(learner.baseline, 0) if isinstance(learner.baseline, str) else 0
        number = 0.0 if rule else float(learner.baseline)

        def job(*rest: Any) -> None:
            pulls.softmax_runs(rewards, cumulative, gaps, good, means, logits, float(learner.step_size), rule, number, bool(learner.natural), *rest)

    elif isinstance(learner, MirrorDescent):
        kind = POTENTIALS.index(learner.potential)

        def job(*rest: Any) -> None:
            pulls.mirror_runs(rewards, cumulative, gaps, good, float(learner.step_size), kind, bool(learner.decreasing), *rest)

    elif hasattr(learner, "compiled"):
        job = learner.compiled(rewards, cumulative, gaps, good)
    else:
        raise ModelError(f"{type(learner).__name__} has no compiled run; `expectations` takes any learner")
    return job
