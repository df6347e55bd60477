"""Exponential weights that begin with data: episodes of another policy, counted before the first episode of one's own.

The offline episodes are paths of the same model under a policy that does not depend on the run; their counts enter the bonuses, so that what the data
cover needs no exploration.  The confidence sets hold for K + D instead of K counts of a pair, and fewer first visits are left:

    E Regret_T <= the bound of OptimisticNPG with iota = log((2^S - 2) S A H (K + D) / delta)

for any data.  How much less it is where the data cover the best policy is measured, not proved, here.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from mdps.errors import ModelError
from pgtheory.online.counts import Widths, add
from pgtheory.online.optimistic import OptimisticNPG, Weighted
from pgtheory.online.runner import Episode
from pgtheory.online.task import Told

Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class HybridNPG(OptimisticNPG):
    """`OptimisticNPG` with D offline episodes (module docstring).

    offline    D, at least 0
    behaviour  (H, S, A) policy of the data; None: uniform
    guarantee  that of OptimisticNPG with K + D counts
    source     the idea of one critic for offline and own data is that of hybrid policy optimisation (Zhou, Sekhari, Song and Sun 2024), as recalled;
               this learner, counts with bonuses, and its bound are derived here
    """

    offline: int = 100
    behaviour: Array | None = None
    name: ClassVar[str] = "hybrid-npg"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_offline(self.offline)

    def data_policy(self, told: Told) -> Array:
        """(H, S, A).  raises ModelError: a behaviour of another shape, or one that is no policy"""
        return behaviour_policy(self.behaviour, told.shape)

    def widths(self, told: Told, before: int = 0) -> Widths:
        return super().widths(told, before + int(self.offline))

    def read(self, state: Weighted, episode: Episode) -> Weighted:
        """Counts one offline episode of every run."""
        add(state.model, episode.states, episode.actions, episode.rewards)
        return state


def check_offline(offline: int) -> None:
    """raises ModelError: no whole number of episodes, or a negative one"""
    if not (float(offline) >= 0 and int(offline) == offline):
        raise ModelError(f"offline is {offline}; it must be a whole number of episodes, at least 0")


def behaviour_policy(behaviour: Array | None, shape: tuple[int, int, int]) -> Array:
    """(H, S, A): the policy of the data, uniform if None.  raises ModelError: another shape, or no policy, with the place"""
    if behaviour is None:
        return np.full(shape, 1.0 / shape[2])
    given = np.asarray(behaviour, dtype=np.float64)
    if given.shape != shape:
        raise ModelError(f"behaviour has shape {given.shape}; it must be {shape} (steps, states, actions)")
    off = np.argwhere(~((given >= 0).all(axis=-1) & (np.abs(given.sum(axis=-1) - 1) <= 1e-9)))
    if off.size:
        h, s = (int(i) for i in off[0])
        raise ModelError(f"behaviour[{h}, {s}] is {given[h, s].tolist()}, no distribution over the actions")
    return given
