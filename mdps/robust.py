"""The robust Markov decision process: a nominal model and the set that the true one is known to lie in.

    V_rob = max over policies of min over models in the set of the expected discounted reward

For rectangular sets (`mdps.ambiguity`) it satisfies a Bellman equation, V = max_pi min_{q in U_s} sum_a pi(a|s) (r(s, a) + gamma q_a . V), whose
operator is a gamma-contraction.  Nature may be taken to be stationary, to move after the policy is known, or to move first: the value is the same
(Iyengar 2005; Nilim and El Ghaoui 2005; Wiesemann, Kuhn and Rustem 2013).  `FiniteSet(..., rectangular="none")` is the exception.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mdps.ambiguity.balls import Ambiguity, checked_numbers
from mdps.errors import ModelError
from mdps.model import MDP

Array = np.ndarray


class RobustMDP:
    """A nominal MDP with an ambiguity set: immutable, checked once.

    nominal             MDP
    ambiguity           a set of `mdps.ambiguity`, or two: one of kernels and one of rewards
    transition_rewards  (S, A, S') rewards paid on arrival, which nature then moves together with the mass; without them the reward of a pair is what
                        the nominal model pays, whatever nature does.  Their nominal expectation must be the nominal reward.
    raises              ModelError: the set does not fit the model (shape, empty rows), or is no set
    """

    __slots__ = ("ambiguity", "name", "nominal", "reward_set", "transition_rewards", "transition_set")
    nominal: MDP
    ambiguity: Any
    transition_set: Ambiguity | None
    reward_set: Ambiguity | None
    transition_rewards: Array | None
    name: str

    def __init__(self, nominal: MDP, ambiguity: Any, name: str | None = None, *, transition_rewards: Any = None) -> None:
        if not isinstance(nominal, MDP):
            raise ModelError(f"the nominal model is a {type(nominal).__name__}; it must be an mdps.MDP")
        parts = ambiguity if isinstance(ambiguity, tuple) else (ambiguity,)
        for part in parts:
            if not isinstance(part, Ambiguity):
                raise ModelError(f"the ambiguity is a {type(part).__name__}; it must be a set of mdps.ambiguity, such as L1(0.2)")
            part.check(nominal)
        kernels, rewards = [x for x in parts if not x.of_rewards], [x for x in parts if x.of_rewards]
        if len(kernels) > 1 or len(rewards) > 1 or not parts:
            raise ModelError("a robust MDP takes one set of kernels, one of rewards, or one of each")
        if kernels and rewards and kernels[0].rectangular != "sa" and rewards[0].rectangular != "sa":
            raise ModelError(
                "a set of kernels and a set of rewards that are both s-rectangular cannot be combined; make one of them rectangular='sa'"
            )
        paid = None if transition_rewards is None else _paid_on_arrival(nominal, transition_rewards)
        if paid is not None and (rewards or (kernels and kernels[0].rectangular != "sa")):
            raise ModelError("rewards that are paid on arrival go with one (s, a)-rectangular set of kernels and no set of rewards")
        for field, value in (
            ("transition_rewards", paid),
            ("nominal", nominal),
            ("ambiguity", ambiguity),
            ("transition_set", kernels[0] if kernels else None),
            ("reward_set", rewards[0] if rewards else None),
            ("name", name or nominal.name),
        ):
            object.__setattr__(self, field, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a RobustMDP does not change; make another one")

    def __repr__(self) -> str:
        return f"RobustMDP({self.nominal!r}, {self.ambiguity!r})"

    def __reduce__(self) -> Any:
        return _restore, (self.nominal, self.ambiguity, self.name, self.transition_rewards)

    @property
    def num_states(self) -> int:
        return self.nominal.num_states

    @property
    def num_actions(self) -> int:
        return self.nominal.num_actions

    @property
    def rectangular(self) -> str:
        """ "sa", "s" or "none": the coarsest of its sets."""
        kinds = [x.rectangular for x in (self.transition_set, self.reward_set) if x is not None]
        return "none" if "none" in kinds else "s" if "s" in kinds else "sa"


def _restore(nominal: MDP, ambiguity: Any, name: str, transition_rewards: Any) -> RobustMDP:
    return RobustMDP(nominal, ambiguity, name, transition_rewards=transition_rewards)


def _paid_on_arrival(nominal: MDP, transition_rewards: Any) -> Array:
    """(S, A, S') as float64 or fmpq, if its nominal expectation is the nominal reward."""
    paid = checked_numbers(transition_rewards, "transition_rewards", least=None)
    model = nominal.exact if paid.dtype == object else nominal
    if paid.shape != model.transitions.shape:
        raise ModelError(f"transition_rewards has shape {paid.shape}; it must be (S, A, S') = {model.transitions.shape}")
    off = abs((model.transitions * paid).sum(axis=-1) - model.rewards)
    limit = 0 if paid.dtype == object else 1e-9 * (1 + float(np.abs(paid).max()))
    if np.any(off > limit):
        s, a = (int(k) for k in np.argwhere(off > limit)[0])
        raise ModelError(f"transition_rewards[{s}, {a}] has another nominal expectation than rewards[{s}, {a}] = {model.rewards[s, a]}")
    return paid
