"""Risk-averse policy gradient methods in exact expectation, for `pgtheory.run` (protocol start, step, policy).

    RiskPG          theta + eta grad rho(G)                             the risk of the whole return over H steps (REINFORCE in expectation, with the
                                                                       threshold as its baseline); softmax or projected
    NestedPG        theta + eta d pi (Q - V)   or   project(pi + eta d Q)      nested risk; d: visits under the worst kernel of the present policy
    NestedActorCritic   critic V + kappa (T^pi V - V), actor theta + eta d pi (Q(V) - V): the critic is a step behind, the kernel is worst for it

    ECRMPG      projected or softmax policy gradient on the augmented problem of an expected conditional risk (`ecrm`), an ordinary MDP

Every step is plain array code on the arrays of the model: float64, rationals where measure and parameters allow (direct), balls for softmax.

What a run is measured by (`Trajectory.values`, `.gap()`) is the method's own objective:

    RiskPG      rho of the return of the first `horizon` steps from the start distribution, one number, the same in every state's column; the optimum
                is that over policies that see the reward so far (`static_cvar`), above what a stationary policy can have where history helps.
                Not known (NaN) for semideviation and EVaR
    Nested...   the nested risk of every state; the optimum is `nested.solve_nested`
    ECRMPG      the values of the augmented problem
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.rational import fraction
from pgtheory.arithmetic import kind, mix, policy_values_and_visits, project_simplex, softmax
from pgtheory.policies.softmax import params_of
from pgtheory.policy_gradient.method import Setting, check_rectangular, resolved, whole_number
from pgtheory.risk.ecrm import Augmented, augmented
from pgtheory.risk.gradient import Trajectories, risk_gradient, trajectories
from pgtheory.risk.measures import CVaR, Entropic, Mean, MeanCVaR, Measure, parse
from pgtheory.risk.nested import nested_action_values, nested_evaluation, solve_nested
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

    @property
    def setting_names(self) -> tuple[str, ...]:
        """The numeric fields."""
        return ("step_size",)

    def settings(self, mdp: MDP) -> tuple[Any, ...]:
        """The numbers behind the fields, on this model."""
        return tuple(resolved(name, getattr(self, name), mdp) for name in self.setting_names)

    def start(self, mdp: MDP) -> Any:
        """Parameters of the uniform policy."""
        check_rectangular(mdp)
        shape = (mdp.num_states, mdp.num_actions)
        if self.parameters == "logits":
            return np.zeros(shape)
        out = np.empty(shape, dtype=mdp.rewards.dtype)
        out[...] = _number(1, mdp.rewards) / mdp.num_actions
        return out

    def begin(self, mdp: MDP, policy: Array) -> Any:
        """Parameters of a given policy (S, A), float64.  raises ModelError: logits of an action that is never taken"""
        check_rectangular(mdp)
        if self.parameters == "policy":
            return np.array(policy)
        return params_of(policy)

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

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "horizon", whole_number(self.horizon, "horizon"))
        if self.horizon < 1:
            raise ModelError(f"horizon is {self.horizon}; the return is that of at least one step")

    def objective_values(self, mdp: MDP, policies: Array) -> Array:
        """(R, S): the risk of the return under each policy (R, S, A), the same in every column."""
        paths, measure = _paths(mdp, self.horizon), parse(self.measure)
        _, returns = paths.like("float")
        found = np.array([float(measure.value(paths.probabilities(policy), returns)) for policy in policies])
        return np.repeat(found[:, None], mdp.num_states, axis=1)

    def objective_optimum(self, mdp: MDP) -> Array:
        """(S,): the best risk over policies that see the reward so far, in every column; NaN where it is not known."""
        from pgtheory.risk.entropic_control import entropic_of_steps
        from pgtheory.risk.static_cvar import SOLVED, solve_static

        measure, best = parse(self.measure), np.nan
        if isinstance(measure, SOLVED):
            best = float(fraction(solve_static(mdp, measure, self.horizon).value))
        elif isinstance(measure, Entropic):
            best = entropic_of_steps(mdp, measure.beta, self.horizon)
        return np.full(mdp.num_states, best)

    def step(self, state: Array, mdp: MDP) -> Array:
        check_rectangular(mdp)
        paths = _paths(mdp, self.horizon)
        policy = self.policy(state)
        if self.parameters == "policy" and kind(policy) == "float":
            policy = np.maximum(policy, np.finfo(float).tiny)  # the derivative at a probability 0 is the limit from inside
        return self._moved(state, risk_gradient(paths, policy, self.measure, parameters=self.parameters), self._size(mdp))


OPTIMUM = 1e-12
"""Tolerance of the nested optimum that gaps are taken to, in reward units: what float64 can give."""
_kept: dict[tuple[str, int], Trajectories] = {}


def _paths(mdp: MDP, horizon: int) -> Trajectories:
    """The trajectories of a model, listed once for each (model, horizon) of the last few."""
    key = (mdp.digest(), horizon)
    if key not in _kept:
        if len(_kept) >= 8:
            _kept.pop(next(iter(_kept)))
        _kept[key] = trajectories(mdp, horizon)
    return _kept[key]


class _Nested(_RiskMethod):
    """What the methods for nested risk are measured by."""

    def objective_values(self, mdp: MDP, policies: Array) -> Array:
        """(R, S): the nested risk of every state under each policy (R, S, A)."""
        measure = parse(self.measure)
        return np.stack([nested_evaluation(policy, mdp.transitions, mdp.rewards, mdp.discount, measure)[0] for policy in policies])

    def objective_optimum(self, mdp: MDP) -> Array:
        """(S,): the best nested risk."""
        return solve_nested(mdp, parse(self.measure), tol=OPTIMUM, on_limit="return").values


@dataclass(frozen=True)
class NestedPG(_Nested):
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
class NestedActorCritic(_Nested):
    """Actor and critic: the state is (logits, V); critic_step in (0, 1] moves V towards T^pi V, the actor follows the gradient that V suggests."""

    critic_step: Setting = 1
    name = "nested-actor-critic"

    @property
    def setting_names(self) -> tuple[str, ...]:
        return ("step_size", "critic_step")

    def begin(self, mdp: MDP, policy: Array) -> Any:
        return super().begin(mdp, policy), np.zeros(mdp.num_states)

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


@dataclass(frozen=True)
class ECRMPG:
    """Policy gradient on the augmented problem of an expected conditional risk: "policy" (projected) or "logits" (softmax).

    measure    cvar:a, mean-cvar:a,w or mean: (1 - w) E + w CVaR_a of each reward, seen from one step before
    step_size  on the full gradient; None: that of the rate, (1 - gamma)^3 / (2 gamma A K C) (`ecrm.Augmented.step_size`)

    A run of it (`pgtheory.run`) is one of `ProjectedPG` or `SoftmaxPG` on the augmented model, which its trajectory carries.  The gradient is taken
    from the start distribution mixed in equal parts with the uniform one on all augmented states, because the rate needs a positive one; the gap is
    that from the model's own start.
    """

    measure: Measure | str
    step_size: Setting | None = None
    parameters: str = "policy"
    name = "ecrm-pg"
    setting_names = ("step_size",)

    def __post_init__(self) -> None:
        measure = parse(self.measure)
        object.__setattr__(self, "measure", measure)
        if not isinstance(measure, CVaR | MeanCVaR | Mean) or getattr(measure, "level", 1) == 0:
            raise ModelError(f"an expected conditional risk takes cvar:a, mean-cvar:a,w with a > 0, or mean; {measure.text} is none of them")
        if self.parameters not in ("logits", "policy"):
            raise ModelError(f"parameters is {self.parameters!r}; it must be 'logits' (softmax) or 'policy' (projected)")

    def augmented(self, mdp: MDP) -> Augmented:
        """The ordinary problem behind it."""
        measure: Any = self.measure
        level, weight = (1, 0) if isinstance(measure, Mean) else (measure.level, getattr(measure, "weight", 1))
        return augmented(mdp, level, weight)

    def settings(self, mdp: MDP) -> tuple[Any, ...]:
        """The step size on this model, before augmentation."""
        return (float(fraction(self.augmented(mdp).step_size())) if self.step_size is None else resolved("step_size", self.step_size, mdp),)

    def prepared(self, mdp: MDP) -> tuple[MDP, Any, Array]:
        """(augmented model, method on it, distribution mu of its gradient): what `pgtheory.run` runs."""
        from pgtheory.policy_gradient import ProjectedPG, SoftmaxPG

        problem = self.augmented(mdp).model.float
        inner = ProjectedPG if self.parameters == "policy" else SoftmaxPG
        return problem, inner(*self.settings(mdp)), (problem.start + 1 / problem.num_states) / 2
