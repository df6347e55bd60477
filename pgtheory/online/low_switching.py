"""Policy optimisation that changes its policy only when a count has doubled.

At a refresh of the counts (`counts.py`, refresh="doubling") the policy is found anew, by I steps of exponential weights from the uniform policy on
the optimistic action values of the model with bonuses, as `OptimisticNPG` would take them, but without playing in between:

    pi^1 uniform,   pi^{i+1}_h ~ pi^i_h exp(eta_h Q^i_h),   eta_h = sqrt(8 log A / I) / (H - h)

and the pi^i with the largest optimistic value from the start is played until the next refresh.  The mean of the I optimistic values is within
(H (H + 1) / 2) sqrt(log A / (2 I)) of V* where the confidence sets hold (the same lines as for OptimisticNPG, with one model), so the largest is, and

    E Regret_T <= T (H (H + 1) / 2) sqrt(log A / (2 I)) + H (H - 1) / 2 (S A + 4 sqrt(iota S A T)) + delta K H + (rewards)
    policies played <= 1 + H S A (1 + log2 K), and one more where rewards are revealed

With I = K the first term is that of OptimisticNPG.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from mdps.errors import ModelError
from pgtheory.online.counts import add, empty_model
from pgtheory.online.guarantees import Guarantee, hedged, ranges, visited
from pgtheory.online.optimistic import Optimist, Planned, exponential_steps, softmax
from pgtheory.online.planning import optimistic_values
from pgtheory.online.runner import Episode, Plan
from pgtheory.online.task import Told

Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class LowSwitchingNPG(Optimist):
    """Exponential weights within the model, a new policy only when a count has doubled (module docstring).

    inner      I, steps of a search, at least 1
    guarantee  module docstring; none for bonus other than "l1", scale other than 1, refresh other than "doubling", rewards that change
    source     the rare refresh is that of Jaksch, Ortner and Auer (2010), as recalled; the search inside the model and its bound are derived here
    """

    refresh: str = "doubling"
    inner: int = 200
    name: ClassVar[str] = "low-switching-npg"

    def __post_init__(self) -> None:
        super().__post_init__()
        checked_inner(self.inner)

    def start(self, told: Told, runs: int) -> Planned:
        H, S, A = told.shape
        model = empty_model(told, runs, self.widths(told), self.refresh)
        state = Planned(model, np.empty((runs, H, S, A)), np.empty((runs, S)), np.ones(runs, dtype=bool))
        state.begins, state.steps = told.start, search_steps(told, self.inner)
        return state

    def plan(self, state: Planned, k: int) -> Plan:
        if state.due.any():
            due, m = state.due, state.model
            state.policies[due] = searched(m.rewards[due], m.estimate[due], m.bonus[due], state.begins, state.steps)
            due[:] = False
        return Plan(state.policies)

    def update(self, state: Planned, k: int, plan: Plan, episode: Episode) -> Planned:
        state.due |= add(state.model, episode.states, episode.actions, episode.rewards, episode.table)
        return state

    def guarantee(self, told: Told, times: Array) -> Guarantee | None:
        if self.bonus != "l1" or self.scale != 1 or self.refresh != "doubling" or not told.fixed:
            return None
        known = float(ranges(told.shape).sum()) * visited(told.shape, times, self.widths(told).log, self.stale)
        total = (
            times * search_error(told.shape, self.inner) + known + self.reward_sum(told, times) + self.failure(told) * told.episodes * told.shape[0]
        )
        return Guarantee(total, f"expected regret; {self.inner} steps of exponential weights in the model at each doubling")


def searched(rewards: Array, estimate: Array, bonus: Array, start: Array, steps: Array) -> Array:
    """(N, H, S, A): for each model the policy with the largest optimistic value from the start among I of exponential weights.

    rewards, bonus (N, H, S, A), estimate (N, H, S, A, S), steps (I, H): eta_h of each step of the search"""
    logits, best, most = np.zeros(rewards.shape), np.zeros(rewards.shape), np.full(len(rewards), -np.inf)
    for eta in steps:
        policies = softmax(logits)
        Q, V, _ = optimistic_values(rewards, estimate, bonus, policies)
        value = (V[:, 0] * start).sum(axis=-1)
        better = value > most
        best[better], most[better] = policies[better], value[better]
        logits += eta[:, None, None] * Q
    return best


def search_steps(told: Told, inner: int) -> Array:
    """(I, H): the steps of a search of I = inner steps."""
    return np.tile(exponential_steps(dataclasses.replace(told, episodes=inner), 1.0), (inner, 1))


def search_error(shape: tuple[int, int, int], inner: int) -> float:
    """(H (H + 1) / 2) sqrt(log A / (2 I)): how far the best of a search may be below the optimum."""
    return float(hedged(shape, inner, np.array([inner]))[0] / inner)


def checked_inner(inner: int, least: int = 1) -> int:
    """The steps of a search.  raises ModelError: no whole number of at least `least`"""
    if not (float(inner) >= least and int(inner) == inner):
        raise ModelError(f"inner is {inner}; it must be a whole number, at least {least}")
    return int(inner)
