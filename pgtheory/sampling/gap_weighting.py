"""Inverse gap weighting on a bandit: estimate the arms' means, and explore an arm the less the worse it looks.

Estimates f_a (the mean of the rewards of arm a so far, with `weight` pulls of reward `prior` put before them), gaps D_a = max f - f_a,

    p_a = 1 / (lambda + 2 scale_t D_a),      lambda in [1, K] such that they sum to 1,      scale_t = scale or scale sqrt(t)

(Abe and Long 1999; Foster and Rakhlin 2020).  Whatever the true means f* are (`igw-equaliser`),

    max_a f*_a - p . f*  <=  (K - 1) / (2 scale) + scale E_p (f - f*)^2,

so the regret is at most sum_t (K - 1) / (2 scale_t) + scale_t times the squared errors of the estimates on the arms that are pulled.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from mdps.errors import ModelError
from pgtheory.sampling.bandits import Bandit, ChangingBandit, weights_of

Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class InverseGapWeighting:
    """A learner for `expectations` and `replicate`.

    scale    > 0, in 1 / reward units;  growing  scale sqrt(t) in round t
    prior    first estimate of every mean;  weight  > 0, pulls that it counts for
    """

    scale: float
    growing: bool = True
    prior: float = 0.5
    weight: float = 1.0

    def __post_init__(self) -> None:
        for field, value in (("scale", self.scale), ("weight", self.weight)):
            if not value > 0:
                raise ModelError(f"{field} is {value}; it must be above 0")
        if not np.isfinite(self.prior):
            raise ModelError(f"prior is {self.prior}; it must be finite")

    def start(self, bandit: Bandit | ChangingBandit) -> Array:
        """(1, 2 K): sums of rewards and counts."""
        arms = len(bandit.means)
        return np.concatenate([np.full(arms, self.weight * self.prior), np.full(arms, self.weight)])[None]

    def policy(self, state: Array, round_: int) -> Array:
        sums, counts = np.split(state, 2, axis=1)
        means = sums / counts
        rate = 2 * self.scale * (np.sqrt(round_) if self.growing else 1.0)
        weights = weights_of(means.max(axis=1, keepdims=True) - means, rate, 1)
        return weights / weights.sum(axis=1, keepdims=True)

    def update(self, state: Array, round_: int, p: Array, arm: Array, reward: Array, means: Array) -> Array:
        out, every, arms = state.copy(), np.arange(len(state)), p.shape[1]
        out[every, arm] += reward
        out[every, arms + arm] += 1
        return out

    def compiled(self, rewards: Array, cumulative: Array, gaps: Array, good: Array) -> Callable[..., None]:
        """The compiled run of many."""
        from pgtheory.sampling import pulls

        numbers = float(self.scale), bool(self.growing), float(self.prior), float(self.weight)

        def job(*rest: Any) -> None:
            pulls.gap_runs(rewards, cumulative, gaps, good, *numbers, *rest)

        return job
