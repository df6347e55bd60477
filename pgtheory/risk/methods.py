"""Risk-averse policy gradient methods in exact expectation, for `pgtheory.run` (protocol start, step, policy).

    RiskPG          theta + eta grad rho(G)                             the risk of the whole return over H steps (REINFORCE in expectation, with the
                                                                       threshold as its baseline); softmax or projected
    NestedPG        theta + eta d pi (Q - V)   or   project(pi + eta d Q)      nested risk; d: visits under the worst kernel of the present policy
    NestedActorCritic   critic V + kappa (T^pi V - V), actor theta + eta d pi (Q(V) - V): the critic is a step behind, the kernel is worst for it

    ECRM: run `ProjectedPG` or `SoftmaxPG` on `ecrm.augmented(...).model`, an ordinary MDP.

Every step is plain array code on the arrays of the model: float64, rationals where measure and parameters allow (direct), balls for softmax.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.arithmetic import kind, mix, policy_values_and_visits, project_simplex, softmax
from pgtheory.policy_gradient.method import Setting, check_rectangular, resolved
from pgtheory.risk.gradient import Trajectories, risk_gradient, trajectories
from pgtheory.risk.measures import Measure, parse
from pgtheory.risk.nested import nested_action_values, nested_evaluation
from pgtheory.risk.tail import _number

Array = np.ndarray


@dataclass(frozen=True)
class _RiskMethod:
    measure: Measure | str
    step_size: Setting
    parameters: str = "logits"

    def __post_init__(self) -> None:
        object.__setattr__(self, "measure", parse(self.measure))
        if self.parameters not in ("logits", "policy"):
            raise ModelError(f"parameters is {self.parameters!r}; it must be 'logits' (softmax) or 'policy' (projected)")

    def start(self, mdp: MDP) -> Any:
        """Parameters of the uniform policy."""
        check_rectangular(mdp)
        shape = (mdp.num_states, mdp.num_actions)
        if self.parameters == "logits":
            return np.zeros(shape)
        out = np.empty(shape, dtype=mdp.rewards.dtype)
        out[...] = _number(1, mdp.rewards) / mdp.num_actions
        return out

    def policy(self, state: Any) -> Array:
        return softmax(state) if self.parameters == "logits" else state

    def _size(self, mdp: MDP) -> Any:
        return resolved("step_size", self.step_size, mdp)

    def _moved(self, state: Array, gradient: Array, size: Any) -> Array:
        return state + size * gradient if self.parameters == "logits" else project_simplex(state + size * gradient)


@dataclass(frozen=True)
class RiskPG(_RiskMethod):
    """Gradient ascent on rho of the return of the first `horizon` steps; parameters "logits" or "policy"."""

    horizon: int = 1
    name = "risk-pg"

    def step(self, state: Array, mdp: MDP) -> Array:
        check_rectangular(mdp)
        paths = _paths(mdp, self.horizon)
        policy = self.policy(state)
        if self.parameters == "policy" and kind(policy) == "float":
            policy = np.maximum(policy, np.finfo(float).tiny)  # the derivative at a probability 0 is the limit from inside
        return self._moved(state, risk_gradient(paths, policy, self.measure, parameters=self.parameters), self._size(mdp))


_kept: dict[tuple[str, int], Trajectories] = {}


def _paths(mdp: MDP, horizon: int) -> Trajectories:
    """The trajectories of a model, listed once for each (model, horizon) of the last few."""
    key = (mdp.digest(), horizon)
    if key not in _kept:
        if len(_kept) >= 8:
            _kept.pop(next(iter(_kept)))
        _kept[key] = trajectories(mdp, horizon)
    return _kept[key]


@dataclass(frozen=True)
class NestedPG(_RiskMethod):
    """Gradient ascent on the nested risk V(start); parameters "logits" (softmax) or "policy" (projected)."""

    name = "nested-risk-pg"

    def step(self, state: Array, mdp: MDP) -> Array:
        check_rectangular(mdp)
        policy = self.policy(state)
        values, kernel, _ = nested_evaluation(policy, mdp.transitions, mdp.rewards, mdp.discount, parse(self.measure))
        action_values = nested_action_values(mdp.transitions, mdp.rewards, mdp.discount, values, parse(self.measure))
        _, visits = policy_values_and_visits(policy, kernel, mdp.rewards, mdp.discount, mdp.start)
        if self.parameters == "policy":
            return self._moved(state, visits[:, None] * action_values, self._size(mdp))
        return self._moved(state, visits[:, None] * policy * (action_values - values[:, None]), self._size(mdp))


@dataclass(frozen=True)
class NestedActorCritic(_RiskMethod):
    """Actor and critic: the state is (logits, V); critic_step in (0, 1] moves V towards T^pi V, the actor follows the gradient that V suggests."""

    critic_step: Setting = 1
    name = "nested-actor-critic"

    def start(self, mdp: MDP) -> Any:
        return super().start(mdp), np.asarray(mdp.rewards).min(axis=1) * 0

    def policy(self, state: Any) -> Array:
        return super().policy(state[0])

    def step(self, state: Any, mdp: MDP) -> Any:
        check_rectangular(mdp)
        params, values = state
        policy = self.policy(state)
        rated, kernel = parse(self.measure).worst(mdp.transitions, values[None, None, :])
        action_values = mdp.rewards + mdp.discount * rated
        target = mix(policy, action_values)
        _, visits = policy_values_and_visits(policy, kernel, mdp.rewards, mdp.discount, mdp.start)
        advantages = action_values - target[:, None]
        gradient = visits[:, None] * (policy * advantages if self.parameters == "logits" else action_values)
        critic = resolved("critic_step", self.critic_step, mdp)
        if critic > 1:
            raise ModelError(f"critic_step is {critic}; it must be in [0, 1]")
        return self._moved(params, gradient, self._size(mdp)), values + critic * (target - values)
