"""What N runs have seen, as counts, and the model with bonuses that they make of it.

For each step h and pair (s, a), with n visits so far (counts of one step are not used at another):

    P_hat = successors / n,        bonus = scale c_h sqrt(log / (2 n)),        c_h = H - 1 - h       what the later steps can pay
    r_up  = min(1, mean reward + scale sqrt(log_r / (2 n)))       noisy rewards;   the reward itself where it is sure, 1 where n = 0

`refresh` says when the model that is used takes up the counts: "every" episode, or at a "doubling": in a run where some n has reached
max(1, 2 n'), n' its value at the last refresh.  Then n < 2 n' wherever n' >= 1, so a stale bonus is at most sqrt 2 times the fresh one, and there are
at most H S A (1 + log2 K) refreshes.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from mdps.errors import ModelError, nearest
from pgtheory.online.guarantees import ranges
from pgtheory.online.task import Told

Array = np.ndarray
REFRESH = ("every", "doubling")


@dataclasses.dataclass(frozen=True, eq=False)
class Widths:
    """How a bonus is made of a count: logarithms of transitions and rewards, the scale, and how much is known of the rewards.

    pay  "known" beforehand, "sure" (one visit tells), "noisy", or "table": revealed after each episode and fixed"""

    log: float
    log_rewards: float
    scale: float
    pay: str


@dataclasses.dataclass(eq=False)
class Model:
    """Counts, changed in place by `add`, and the model in use.

    visits (N, H, S, A), successors (N, H, S, A, S), paid (N, H, S, A): sums
    used (N, H, S, A) visits at the last refresh;  estimate, bonus, rewards: what planning uses
    """

    widths: Widths
    refresh: str
    visits: Array
    successors: Array
    paid: Array
    used: Array
    estimate: Array
    bonus: Array
    rewards: Array


def checked_refresh(refresh: str) -> str:
    if refresh not in REFRESH:
        raise ModelError(f"refresh is {refresh!r}; it is one of {', '.join(REFRESH)}.{nearest(str(refresh), REFRESH)}")
    return refresh


def empty_model(told: Told, runs: int, widths: Widths, refresh: str, offline: Array | None = None) -> Model:
    """Nothing seen; or transitions seen beforehand, offline (runs, H, S, A, S) counts."""
    H, S, A = told.shape
    successors = np.zeros((runs, H, S, A, S)) if offline is None else offline.copy()
    visits = successors.sum(axis=-1)
    zeros, known = np.zeros((runs, H, S, A)), widths.pay == "known" and told.rewards is not None
    rewards = np.broadcast_to(told.rewards, (runs, H, S, A)).copy() if known and told.rewards is not None else zeros + 1.0
    estimate = successors / np.maximum(visits, 1.0)[..., None]
    model = Model(widths, refresh, visits, successors, zeros, visits.copy(), estimate, zeros.copy(), rewards)
    model.bonus[:] = bonus_of(model, visits, ranges(told.shape)[:, None, None])
    return model


def bonus_of(model: Model, visits: Array, reach: Array | float) -> Array:
    """scale reach sqrt(log / (2 n)); infinite where n = 0."""
    w = model.widths
    return np.where(visits > 0, w.scale * reach * np.sqrt(w.log / (2 * np.maximum(visits, 1.0))), np.inf)


def add(model: Model, states: Array, actions: Array, rewards: Array, table: Array | None = None) -> Array:
    """Counts one episode of every run and refreshes the counts in use where it is due; returns (N,) in which runs the model is another one.

    A table of rewards is taken over at once, and the counts in use stay what they were."""
    n, H = actions.shape
    every, due = np.arange(n), np.zeros(n, dtype=bool)
    shown = model.widths.pay == "table" and table is not None and bool((model.rewards != table).any())
    for h in range(H):
        s, a = states[:, h], actions[:, h]
        model.visits[every, h, s, a] += 1
        model.successors[every, h, s, a, states[:, h + 1]] += 1
        model.paid[every, h, s, a] += rewards[:, h]
        due |= model.visits[every, h, s, a] >= np.maximum(1.0, 2 * model.used[every, h, s, a])
    if shown:
        model.rewards[:] = table
    if model.refresh == "every":
        for h in range(H):
            _refresh(model, (every, h, states[:, h], actions[:, h]), float(H - 1 - h))
        return np.ones(n, dtype=bool)
    if due.any():
        _refresh(model, np.flatnonzero(due), ranges((H, 0, 0))[:, None, None])
    return due | shown


def _refresh(model: Model, where: object, reach: Array | float) -> None:
    at: tuple[Array, ...] = where  # type: ignore[assignment]
    visits = model.visits[at]
    model.used[at] = visits
    model.estimate[at] = model.successors[at] / np.maximum(visits, 1.0)[..., None]
    model.bonus[at] = bonus_of(model, visits, reach)
    if model.widths.pay == "sure":
        model.rewards[at] = np.where(visits > 0, model.paid[at] / np.maximum(visits, 1.0), 1.0)
    elif model.widths.pay == "noisy":
        mean = model.paid[at] / np.maximum(visits, 1.0)
        width = model.widths.scale * np.sqrt(model.widths.log_rewards / (2 * np.maximum(visits, 1.0)))
        model.rewards[at] = np.where(visits > 0, np.minimum(1.0, mean + width), 1.0)
