"""Models without discount whose questions are about reaching something: labelled models and their objectives.

    reachability    sup / inf over policies of  Pr(some s_t in targets, and until then s_t in `through`)
    total reward    sup / inf over policies of  E sum r(s_t, a_t) over the steps before the first s_t in targets;
                    infinite for a policy that may never reach them

A `Labelled` model is a choice matrix with named sets of states and named reward structures, which is what model checkers exchange
(mdps.io.read_prism); an `Objective` is one question about it, with its published answer where there is one.  The MDP inside carries
discount 0, which plays no part.  Solvers: `pgtheory.exact.reachability` and `pgtheory.exact.total_reward`, for example

    problem = mdps.io.read_prism("two_dice.tra")
    pgtheory.exact.reachability(problem.mdp, problem.labels["done"], "max")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np

from mdps.errors import ModelError, nearest
from mdps.model import MDP
from mdps.rational import is_exact, rational_array

Array = np.ndarray
KINDS = ("reachability", "total reward")
DIRECTIONS = ("max", "min")


@dataclass(frozen=True, eq=False)
class Objective:
    """One question about a labelled model.

    kind        "reachability" or "total reward"
    direction   "max" or "min" over policies
    targets     (S,) booleans
    through     (S,) booleans: where the way to a target may lead; None: anywhere
    rewards     the name of the reward structure of a total reward
    value       the published answer from the first state, exact where a Fraction; None: unknown
    """

    kind: str
    direction: str
    targets: Array
    through: Array | None = None
    rewards: str | None = None
    value: Fraction | float | None = None

    def __post_init__(self) -> None:
        for what, value, known in (("kind", self.kind, KINDS), ("direction", self.direction, DIRECTIONS)):
            if value not in known:
                raise ModelError(f"{what} is {value!r}; it must be {' or '.join(repr(k) for k in known)}")
        if self.kind == "total reward" and self.through is not None:
            raise ModelError("a total reward has no restriction `through`")
        if (self.kind == "total reward") != (self.rewards is not None):
            raise ModelError(f"rewards is {self.rewards!r}; a total reward names its reward structure, a reachability has none")


@dataclass(frozen=True, eq=False)
class Labelled:
    """A choice matrix with named sets of states and named rewards.

    mdp          its transitions and start distribution; its rewards are 0 and its discount is 0, neither plays a part
    labels       name -> (S,) booleans
    rewards      name -> (pairs,) reward of each pair of state and action (of the state, plus of the action)
    objectives   name -> Objective
    raises       ModelError: shapes that do not fit, infinite rewards, an objective whose reward structure does not exist
    """

    mdp: MDP
    labels: Mapping[str, Array] = field(default_factory=dict)
    rewards: Mapping[str, Array] = field(default_factory=dict)
    objectives: Mapping[str, Objective] = field(default_factory=dict)

    def __post_init__(self) -> None:
        labels = {name: _mask(states, self.mdp, f"label {name!r}") for name, states in self.labels.items()}
        rewards = {name: _paid(paid, self.mdp, name) for name, paid in self.rewards.items()}
        for name, objective in self.objectives.items():
            _mask(objective.targets, self.mdp, f"targets of {name!r}")
            if objective.through is not None:
                _mask(objective.through, self.mdp, f"through of {name!r}")
            if objective.rewards is not None and objective.rewards not in rewards:
                raise ModelError(
                    f"objective {name!r}: there is no reward structure {objective.rewards!r}.{nearest(objective.rewards, list(rewards))}"
                )
        for attribute, value in (("labels", labels), ("rewards", rewards), ("objectives", dict(self.objectives))):
            object.__setattr__(self, attribute, MappingProxyType(value))

    def __reduce__(self) -> Any:
        return Labelled, (self.mdp, dict(self.labels), dict(self.rewards), dict(self.objectives))

    def __repr__(self) -> str:
        parts = [f"labels {', '.join(self.labels)}" if self.labels else "", f"rewards {', '.join(self.rewards)}" if self.rewards else ""]
        return f"Labelled({self.mdp!r}{''.join('; ' + part for part in parts if part)})"

    def label(self, name: str) -> Array:
        """The states that carry a label; an unknown name raises ModelError with the nearest known ones."""
        if name not in self.labels:
            raise ModelError(f"the model has no label {name!r}.{nearest(name, list(self.labels)) or ' It has ' + (', '.join(self.labels) or 'none')}")
        return self.labels[name]

    def discounted(self, discount: Any, rewards: str | None = None) -> MDP:
        """The discounted MDP with one of the reward structures; the only one if left out, reward 0 if there is none."""
        if rewards is None and len(self.rewards) > 1:
            raise ModelError(f"the model has the reward structures {', '.join(self.rewards)}; name one")
        if rewards is not None and rewards not in self.rewards:
            raise ModelError(f"there is no reward structure {rewards!r}.{nearest(rewards, list(self.rewards))}")
        name = rewards if rewards is not None else next(iter(self.rewards), None)
        if name is None:
            return self.mdp.replace(discount=discount)
        source = self.mdp.exact if self.mdp.given_exactly or is_exact(self.rewards[name]) else self.mdp
        fields = {key: getattr(source, key) for key in ("state_names", "action_names", "name")}
        return MDP.from_choices(source.first_pair, source.choices, self.rewards[name], discount, source.start, **fields)


def _mask(states: Any, mdp: MDP, what: str) -> Array:
    mask = np.asarray(states)
    if mask.dtype != bool or mask.shape != (mdp.num_states,):
        raise ModelError(f"{what} has shape {mask.shape} and type {mask.dtype}; it must hold one boolean for each of the {mdp.num_states} states")
    return _locked(mask)


def _paid(rewards: Any, mdp: MDP, name: str) -> Array:
    paid = rational_array(rewards) if is_exact(rewards) else np.array(rewards, dtype=np.float64)
    if paid.shape != (mdp.num_pairs,):
        raise ModelError(f"reward structure {name!r} has shape {paid.shape}; there are {mdp.num_pairs} pairs of state and action")
    if paid.dtype != object and not np.isfinite(paid).all():
        pair = int(np.flatnonzero(~np.isfinite(paid))[0])
        state = int(np.searchsorted(mdp.first_pair, pair, side="right")) - 1
        action = pair - int(mdp.first_pair[state])
        raise ModelError(f"reward structure {name!r}: the reward of {mdp.state_label(state)}, action {action} is {paid[pair]}; it must be finite")
    return _locked(paid)


def _locked(array: Array) -> Array:
    copy = np.array(array)
    copy.setflags(write=False)
    return copy
