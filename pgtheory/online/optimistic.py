"""Learners that add a bonus to what has been seen rarely: value iteration, and exponential weights on optimistic action values.

On the counts of each step (`counts.py`), with c_h = H - 1 - h:

    Q_h = r_up + min(c_h, P_hat V_{h+1} + bonus_h),     bonus_h = scale c_h sqrt(log / (2 n)),     V_H = 0

    OptimisticValueIteration     V_h = max_a Q_h, the policy is greedy                  (UCBVI: Azar, Osband and Munos 2017; as recalled)
    OptimisticNPG                V_h = <pi_h, Q_h>, then pi_h <- pi_h exp(eta_h Q_h)    (Cai et al. 2020, Shani et al. 2020; as recalled)

bonus="l1"         log = iota = log((2^S - 2) S A H K / delta): holds for all V at once
bonus="hoeffding"  log = log(4 S A H K / delta): holds for the optimal values only, which is enough for value iteration, not for weights

The guarantees are on the expected regret, with delta = 1 / (K H) unless given; docs/theory/online.md derives each constant.  They hold for scale = 1.
refresh="doubling" lets the model take up the counts only when one of them has doubled: at most H S A (1 + log2 K) times.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from mdps.errors import ModelError, nearest
from pgtheory.online.counts import Model, Widths, add, checked_refresh, empty_model
from pgtheory.online.guarantees import Guarantee, hedged, log_l1, log_pairs, ranges, visited
from pgtheory.online.planning import optimistic_values
from pgtheory.online.runner import Episode, Plan
from pgtheory.online.task import Told

Array = np.ndarray
BONUSES = ("l1", "hoeffding")


@dataclasses.dataclass(frozen=True)
class Optimist:
    """Settings that the optimistic learners share.

    bonus    "l1" or "hoeffding"
    scale    factor of all bonuses, at least 0; 0 keeps only the optimism about what was never seen
    delta    probability that a confidence set fails, in (0, 1); None: 1 / (K H)
    refresh  "every" episode or at a "doubling"
    rewards  "learned", or "known" beforehand
    """

    bonus: str = "l1"
    scale: float = 1.0
    delta: float | None = None
    refresh: str = "every"
    rewards: str = "learned"

    def __post_init__(self) -> None:
        if self.bonus not in BONUSES:
            raise ModelError(f"bonus is {self.bonus!r}; it is one of {', '.join(BONUSES)}.{nearest(str(self.bonus), BONUSES)}")
        if not (float(self.scale) >= 0 and np.isfinite(self.scale)):
            raise ModelError(f"the scale of the bonus is {self.scale}; it must be a finite number, at least 0")
        if self.delta is not None and not 0 < float(self.delta) < 1:
            raise ModelError(f"delta is {self.delta}; it must lie strictly between 0 and 1")
        if self.rewards not in ("learned", "known"):
            raise ModelError(f"rewards is {self.rewards!r}; it is 'learned' or 'known'")
        checked_refresh(self.refresh)

    @property
    def knows(self) -> frozenset[str]:
        return frozenset({"rewards"}) if self.rewards == "known" else frozenset()

    def failure(self, told: Told) -> float:
        """delta."""
        return float(self.delta) if self.delta is not None else 1.0 / (told.episodes * told.shape[0])

    def widths(self, told: Told, before: int = 0) -> Widths:
        """The logarithms of the bonuses; half of delta each where rewards are noisy.

        before   visits of a pair that may come before the first episode"""
        pay = _pay(self, told)
        share = self.failure(told) / (2 if pay == "noisy" else 1)
        counts = told.episodes + before
        log = log_l1(told.shape, counts, share) if self.bonus == "l1" else log_pairs(told.shape, counts, share, sides=4)
        return Widths(log, log_pairs(told.shape, counts, share, sides=2), float(self.scale), pay)

    @property
    def stale(self) -> float:
        """How much larger a bonus in use may be than one of the counts of the day."""
        return float(np.sqrt(2.0)) if self.refresh == "doubling" else 1.0

    def reward_sum(self, told: Told, times: Array) -> Array:
        """(R,): what not knowing the rewards costs, summed over the visits of all steps."""
        H, S, A = told.shape
        widths = self.widths(told)
        if widths.pay == "noisy":
            return H * visited(told.shape, times, widths.log_rewards, self.stale)
        return np.full(len(times), {"known": 0.0, "table": float(H), "sure": float(H * S * A)}[widths.pay])


def _pay(learner: Optimist, told: Told) -> str:
    if "rewards" in learner.knows:
        return "known"
    if told.revealed:
        return "table"
    return "noisy" if told.noisy or not told.fixed else "sure"


@dataclasses.dataclass(eq=False)
class Planned:
    """A model, the last plan of every run, and which plans it no longer fits; for a search in the model, where it begins and its step sizes."""

    model: Model
    policies: Array
    upper: Array
    due: Array
    begins: Array = dataclasses.field(default_factory=lambda: np.empty(0))
    steps: Array = dataclasses.field(default_factory=lambda: np.empty(0))


@dataclasses.dataclass(frozen=True)
class OptimisticValueIteration(Optimist):
    """Greedy for optimistic values (module docstring).

    guarantee, l1         E Regret_T <= H (H - 1) / 2 (S A + 2 sqrt(2 iota S A T)) + delta K H + (rewards)
    guarantee, hoeffding  e times the same with log for iota, and + e H (H - 1) / 2 S^2 A (H / 2 + 1/3) log(4 S^2 A H K / delta) (1 + log T)
    (rewards)             0 known, H S A sure, H (S A + 2 sqrt(2 log_r S A T)) noisy; the bonuses' roots times sqrt 2 for refresh="doubling"
    none                  scale other than 1, rewards that change
    source                Azar, Osband and Munos (2017), as recalled; constants derived in docs/theory/online.md
    """

    name: ClassVar[str] = "optimistic-vi"

    def start(self, told: Told, runs: int) -> Planned:
        H, S, A = told.shape
        model = empty_model(told, runs, self.widths(told), self.refresh)
        return Planned(model, np.empty((runs, H, S, A)), np.empty((runs, S)), np.ones(runs, dtype=bool))

    def plan(self, state: Planned, k: int) -> Plan:
        due = state.due
        if due.any():
            m = state.model
            _, values, state.policies[due] = optimistic_values(m.rewards[due], m.estimate[due], m.bonus[due])
            state.upper[due] = values[:, 0]
            due[:] = False
        return Plan(state.policies, state.upper)

    def update(self, state: Planned, k: int, plan: Plan, episode: Episode) -> Planned:
        state.due |= add(state.model, episode.states, episode.actions, episode.rewards, episode.table)
        return state

    def guarantee(self, told: Told, times: Array) -> Guarantee | None:
        if self.scale != 1 or not told.fixed:
            return None
        H, S, A = told.shape
        widths, delta = self.widths(told), self.failure(told)
        reach, rewards = float(ranges(told.shape).sum()), self.reward_sum(told, times)
        known = reach * visited(told.shape, times, widths.log, self.stale)
        failed = delta * told.episodes * H
        if self.bonus == "l1":
            return Guarantee(known + rewards + failed, "expected regret; L1 bonus")
        share = delta / (2 if widths.pay == "noisy" else 1)
        fine = np.log(4 * S * S * A * H * told.episodes / share)
        second = reach * self.stale**2 * S * S * A * (H / 2 + 1 / 3) * fine * (1 + np.log(times))
        return Guarantee(np.e * (known + second + rewards) + failed, "expected regret; Hoeffding bonus")


@dataclasses.dataclass(eq=False)
class Weighted:
    """A model and the logits (N, H, S, A) of the policies."""

    model: Model
    logits: Array
    steps: Array


@dataclasses.dataclass(frozen=True)
class OptimisticNPG(Optimist):
    """Exponential weights on optimistic action values of the policy played: logits_h += eta_h Q_h, a natural policy gradient step.

    step_size  factor of eta_h = sqrt(8 log A / K) / (H - h)
    rewards may change from episode to episode where they are revealed afterwards: Q_h of episode k is then made with the table of episode k
    guarantee  E Regret_T <= H (H + 1) / 4 sqrt(K log A / 2) (1 / step_size + step_size T / K)
                             + H (H - 1) / 2 (S A + 2 sqrt(2 iota S A T)) + delta K H + (rewards)
               (rewards) as for value iteration, 0 where a table is revealed; against the best fixed policy
    none       bonus other than "l1", scale other than 1, changing rewards that are not revealed
    source     Cai, Yang, Jin and Wang (2020), Shani, Efroni, Rosenberg and Mannor (2020), as recalled; constants derived in docs/theory/online.md
    """

    step_size: float = 1.0
    name: ClassVar[str] = "optimistic-npg"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (float(self.step_size) > 0 and np.isfinite(self.step_size)):
            raise ModelError(f"step_size is {self.step_size}; it must be a finite number above 0")

    def start(self, told: Told, runs: int) -> Weighted:
        H, S, A = told.shape
        return Weighted(self.model(told, runs), np.zeros((runs, H, S, A)), exponential_steps(told, self.step_size))

    def model(self, told: Told, runs: int) -> Model:
        """The model before the first episode."""
        return empty_model(told, runs, self.widths(told), self.refresh)

    def plan(self, state: Weighted, k: int) -> Plan:
        return Plan(softmax(state.logits))

    def update(self, state: Weighted, k: int, plan: Plan, episode: Episode) -> Weighted:
        m = state.model
        rewards = m.rewards if episode.table is None else np.broadcast_to(episode.table, m.rewards.shape)
        Q, _, _ = optimistic_values(rewards, m.estimate, m.bonus, plan.policies)
        state.logits += state.steps[:, None, None] * Q
        add(m, episode.states, episode.actions, episode.rewards, episode.table)
        return state

    def guarantee(self, told: Told, times: Array) -> Guarantee | None:
        if self.bonus != "l1" or self.scale != 1 or not (told.fixed or told.revealed):
            return None
        reach = float(ranges(told.shape).sum())
        rewards = 0.0 if told.revealed else self.reward_sum(told, times)
        known = reach * visited(told.shape, times, self.widths(told).log, self.stale)
        leaders = hedged(told.shape, told.episodes, times, float(self.step_size))
        failed = self.failure(told) * told.episodes * told.shape[0]
        return Guarantee(leaders + known + rewards + failed, "expected regret; exponential weights, L1 bonus")


def exponential_steps(told: Told, factor: float) -> Array:
    """(H,): factor sqrt(8 log A / K) / (H - h)."""
    H, _, A = told.shape
    return np.asarray(factor * np.sqrt(8 * np.log(A) / told.episodes) / np.arange(H, 0, -1.0))


def softmax(logits: Array) -> Array:
    """Rows of the last axis."""
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


__all__: list[Any] = ["OptimisticNPG", "OptimisticValueIteration", "Optimist", "exponential_steps", "softmax"]
