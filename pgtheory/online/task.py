"""What is played: H steps an episode, the same transitions in every episode, rewards in [0, 1].

    s_0 ~ start,   a_h ~ pi_h(. | s_h),   s_{h+1} ~ P_h(. | s_h, a_h),      h = 0 .. H - 1

`Episodic` holds the truth as plain arrays.  `Told` is what a learner is given before the first episode: sizes, the law of the first state, the
number of episodes, and only where it says so (`knows`) the transitions or the rewards.  Rewards of another known range [low, high] are played as
(r - low) / (high - low), and every figure that comes out, regret and guarantee, is multiplied by high - low again.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mdps.errors import ModelError, plural
from mdps.finite_horizon import FiniteHorizon
from mdps.model import MDP

Array = np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Episodic:
    """A finite-horizon problem as a learner meets it.

    transitions  (H, S, A, S)
    rewards      (H, S, A) in [0, 1]: means, after shifting and scaling
    start        (S,) law of the first state
    low, high    the range that rewards had: r = low + (high - low) * rewards
    """

    transitions: Array
    rewards: Array
    start: Array
    low: float = 0.0
    high: float = 1.0

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, S, A)."""
        H, S, A = self.rewards.shape
        return H, S, A

    @property
    def scale(self) -> float:
        """high - low: what one unit of the rewards played is worth."""
        return self.high - self.low

    @classmethod
    def of(cls, problem: Any, horizon: int | None = None, reward_range: tuple[float, float] | str = (0.0, 1.0)) -> Episodic:
        """The episodes of a FiniteHorizon, or of an MDP played for `horizon` steps without discount.

        reward_range  (low, high) known to the learner, with all rewards inside; or "own": 0 and 1 where that is so, else the least and the largest
        raises        ModelError: an MDP without a horizon, steps of different sizes, states with different numbers of actions, a reward outside the
                      range; says step, state, action and figure
        """
        whole = _finite(problem, horizon)
        S, A = whole.stages[0].num_states, whole.stages[0].num_actions
        for h, stage in enumerate(whole.stages):
            if not stage.action_mask.all():
                state = int(np.flatnonzero(~stage.action_mask.all(axis=1))[0])
                have = int(stage.action_mask[state].sum())
                place = f"step {h}: {stage.state_label(state)}"
                raise ModelError(f"{place} has {plural(have, 'action')}, others {stage.num_actions}; give all the same number")
            if (stage.num_states, stage.num_actions, stage.choices.shape[1]) != (S, A, S):
                raise ModelError(
                    f"step {h} has {plural(stage.num_states, 'state')} and {plural(stage.num_actions, 'action')} and leads to "
                    f"{stage.choices.shape[1]}; step 0 has {S} and {A}: a learner needs the same in every step"
                )
        discount = float(whole.discount)
        paid = np.stack([discount**h * stage.rewards for h, stage in enumerate(whole.stages)])
        moves = np.stack([stage.transitions for stage in whole.stages])
        if np.any(whole.terminal != 0):
            paid[-1] += discount ** len(paid) * (moves[-1] @ whole.terminal)
        low, high = _range(whole, paid, reward_range)
        return cls(moves, np.clip((paid - low) / (high - low), 0.0, 1.0), np.asarray(whole.start, dtype=np.float64), low, high)


def _finite(problem: Any, horizon: int | None) -> FiniteHorizon:
    if isinstance(problem, MDP):
        if horizon is None:
            raise ModelError("an MDP does not say when an episode ends: give horizon=STEPS, on the command line --horizon STEPS")
        return FiniteHorizon.from_mdp(problem, horizon).float
    if not isinstance(problem, FiniteHorizon):
        raise ModelError(f"the problem is a {type(problem).__name__}; it must be an MDP with a horizon or a FiniteHorizon")
    if horizon is not None and horizon != problem.horizon:
        raise ModelError(f"horizon is {horizon}, and the problem has {plural(problem.horizon, 'step')} of its own; leave it out")
    return problem.float


def _range(whole: FiniteHorizon, paid: Array, wanted: Any) -> tuple[float, float]:
    least, largest = float(paid.min()), float(paid.max())
    if isinstance(wanted, str):
        if wanted != "own":
            raise ModelError(f"reward_range is {wanted!r}; it is (low, high) or 'own'")
        if 0 <= least and largest <= 1:
            return 0.0, 1.0
        return (least, largest) if least < largest else (least, least + 1.0)
    low, high = (float(end) for end in wanted)
    if not low < high:
        raise ModelError(f"reward_range is ({low:g}, {high:g}); its first number must be below its second")
    if least < low or largest > high:
        h, s, a = (int(i) for i in np.unravel_index(np.argmin(paid) if least < low else np.argmax(paid), paid.shape))
        raise ModelError(
            f"the reward of step {h}, {whole.stages[h].state_label(s)}, action {a} is {paid[h, s, a]:g}, outside [{low:g}, {high:g}], the range that "
            f"the learner is told; give reward_range=({min(low, least):g}, {max(high, largest):g})"
        )
    return low, high


@dataclasses.dataclass(frozen=True, eq=False)
class Told:
    """What a learner is given before the first episode.

    shape        (H, S, A);  start (S,) law of the first state;  episodes K
    noisy        whether the same pair may pay differently from visit to visit
    revealed     whether all rewards of an episode are shown after it (else those of the pairs that were visited)
    fixed        whether the law of the rewards is the same in every episode
    transitions  (H, S, A, S), or None;  rewards (H, S, A), or None
    """

    shape: tuple[int, int, int]
    start: Array
    episodes: int
    noisy: bool = False
    revealed: bool = False
    fixed: bool = True
    transitions: Array | None = None
    rewards: Array | None = None
