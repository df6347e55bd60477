"""Robust policy gradient: the ordinary gradient, taken at the kernel that is worst for the present policy.

    J(pi) = min over P in U of V^{pi,P}(mu),      dJ/dpi(a|s) = d(s) Q(s, a) at P = P_pi,      d = (I - gamma P_pi^T)^-1 mu

by Danskin's theorem, where the worst kernel is unique; elsewhere it is a supergradient, and J, a minimum of smooth functions, is weakly concave.
Visits and action values both belong to the worst kernel: visits of the nominal one give another direction (Wang, Ho, Petrik 2023;
docs/theory/robust_gradient.md).

    RobustPG           pi_+ = project(pi + eta d Q)                            rate: drpg-outer-rate
    RobustSoftmaxPG    theta_+ = theta + eta d pi (Q - V)

The methods take the model as the nominal one and hold the set: its name, its radius (a number, an (S, A) array, or a function of the model) and
whether every row has a radius of its own ("sa") or the rows of a state share one ("s").  `objective_values` says what policies are worth in the
worst case."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.rational import fraction, is_exact, rational_array, simplest_array
from pgtheory import arithmetic
from pgtheory.policy_gradient.batched import Batched
from pgtheory.policy_gradient.method import Setting, check_rectangular, resolved
from pgtheory.robust.nature import SETS, Answer, ball_answer, worst_kernel

Array = np.ndarray
WORDS = ("geometry", "ambiguity", "rectangular")
"""Fields of robust methods that are words, not numbers."""
RATIONAL_SETS = ("l1", "tv", "contamination", "linf")


def worst_gradient(policy: Array, nominal: Array, rewards: Array, discount: Any, start: Array, answer: Answer) -> tuple[Array, Array, Array]:
    """(d Q, V_rob, P_pi): the gradient of J(pi) with respect to the probabilities (..., S, A), the worst-case values, the worst kernel.

    answer   nature's rows for given values, as in `nature`
    source   Danskin's theorem and the policy gradient theorem at P_pi.  Float64 and rationals."""
    values, kernels = worst_kernel(policy, nominal, rewards, discount, answer)
    _, visits = arithmetic.policy_values_and_visits(policy, kernels, rewards, discount, start)
    return visits[..., None] * arithmetic.lookahead(kernels, rewards, discount, values), values, kernels


def worst_softmax_gradient(policy: Array, nominal: Array, rewards: Array, discount: Any, start: Array, answer: Answer) -> Array:
    """d pi (Q - V) at the worst kernel, (..., S, A): the gradient of J with respect to logits of the policy.

    answer   nature's rows for given values, as in `nature`
    """
    slopes, _, _ = worst_gradient(policy, nominal, rewards, discount, start, answer)
    return policy * (slopes - (policy * slopes).sum(axis=-1)[..., None])


@dataclasses.dataclass(frozen=True)
class RobustMethod(Batched):
    """Base of the robust methods: a step size, and a ball around the rows of the model."""

    step_size: Setting
    radius: Any
    ambiguity: str = "l1"
    rectangular: str = "sa"
    parameters: ClassVar[Any] = "policy"

    def __post_init__(self) -> None:
        if not isinstance(self.ambiguity, str):  # a set of mdps.ambiguity brings its radius
            raise ModelError(f"ambiguity is {self.ambiguity!r}; give the name of a ball and its radius, or use `in_set`")
        ball_answer(self.ambiguity, 0, self.rectangular)

    @classmethod
    def in_set(cls, ambiguity: Any, step_size: Setting, **more: Any) -> Any:
        """The method against a ball of `mdps.ambiguity`: `RobustPG.in_set(L1(0.2), 0.1)`; raises ModelError where it is another kind of set."""
        plain = (
            getattr(ambiguity, "name", "") in SETS and ambiguity.support == type(ambiguity)(0).support and getattr(ambiguity, "weights", None) is None
        )
        if not plain:
            raise ModelError(f"{ambiguity!r} is no plain ball; the gradient methods take {', '.join(SETS)} around the rows, with their own support")
        return cls(step_size, ambiguity.radius, ambiguity.name, ambiguity.rectangular, **more)

    @property
    def rational_step(self) -> bool:  # type: ignore[override]
        return self.ambiguity in RATIONAL_SETS

    @property
    def setting_names(self) -> tuple[str, ...]:
        return tuple(field.name for field in dataclasses.fields(self) if field.name not in WORDS)

    def settings(self, mdp: MDP) -> tuple[Any, ...]:
        return tuple(self._radius(mdp) if name == "radius" else resolved(name, getattr(self, name), mdp) for name in self.setting_names)

    def _radius(self, mdp: MDP) -> Any:
        value = self.radius(mdp) if callable(self.radius) else self.radius
        array = np.asarray(value, dtype=object) if is_exact(value) else np.asarray(value)
        if array.ndim == 0:
            return resolved("radius", array.item(), mdp)
        shape = (mdp.num_states, mdp.num_actions) if self.rectangular == "sa" else (mdp.num_states, 1)
        if array.shape != shape:
            raise ModelError(f"radius has shape {array.shape}; with rectangular={self.rectangular!r} it is a number or has shape {shape}")
        exact = rational_array(array) if array.dtype == object else simplest_array(array)
        if (exact < 0).any():
            s, a = np.argwhere(exact < 0)[0]
            raise ModelError(f"radius[{s}, {a}] is {array[s, a]}; it must be at least 0")
        return exact if mdp.is_exact else np.array([[float(fraction(x)) for x in row] for row in exact])

    def answer(self, radius: Any, rewards: Array) -> Answer:
        """Nature's answer for a radius as the step gets it (a number, or (..., 1, 1), or (..., S, A))."""
        width = rewards.shape[-1] if self.rectangular == "sa" else 1
        return ball_answer(self.ambiguity, np.broadcast_to(np.asarray(radius), (*rewards.shape[:-1], width)), self.rectangular)

    def objective_values(self, mdp: MDP, policies: Array) -> Array:
        """Worst-case values (R, S) of policies (R, S, A), in reward units."""
        check_rectangular(mdp)
        radius = self.settings(mdp)[self.setting_names.index("radius")]
        rewards = np.broadcast_to(mdp.rewards, policies.shape)
        return worst_kernel(policies, mdp.transitions[None], rewards, mdp.discount, self.answer(radius, rewards))[0]

    def objective_optimum(self, mdp: MDP) -> Array:
        """Robust optimal values (S,), to 1e-8 or to what float64 allows."""
        from mdps import ambiguity
        from mdps.robust import RobustMDP
        from pgtheory.robust.planning import solve_robust

        kinds = {
            kind.name: kind for kind in (getattr(ambiguity, name) for name in ("L1", "TotalVariation", "Contamination", "Linf", "L2", "KL", "Chi2"))
        }
        radius = self.settings(mdp)[self.setting_names.index("radius")]
        if self.rectangular == "s" and np.ndim(radius):
            radius = radius[:, 0]
        return solve_robust(RobustMDP(mdp, kinds[self.ambiguity](radius, rectangular=self.rectangular)), on_limit="return").values


@dataclasses.dataclass(frozen=True)
class RobustPG(RobustMethod):
    """Projected gradient of the worst-case value.  step_size multiplies the full gradient of J(mu), in reward units."""

    name = "robust-pg"

    def plain_step(self, policy: Array, transitions: Array, rewards: Array, discount: Any, start: Array, step_size: Any, radius: Any) -> Array:  # type: ignore[override]
        """project(pi + eta d Q) at the worst kernel."""
        slopes, _, _ = worst_gradient(policy, transitions, rewards, discount, start, self.answer(radius, rewards))
        return arithmetic.project_simplex(policy + step_size * slopes)


@dataclasses.dataclass(frozen=True)
class RobustSoftmaxPG(RobustMethod):
    """Gradient of the worst-case value with respect to logits.  step_size multiplies the full gradient of J(mu), in reward units."""

    name = "robust-softmax-pg"
    parameters = "logits"

    @property
    def rational_step(self) -> bool:  # type: ignore[override]
        return False

    def plain_step(self, logits: Array, transitions: Array, rewards: Array, discount: Any, start: Array, step_size: Any, radius: Any) -> Array:  # type: ignore[override]
        """theta + eta d pi (Q - V) at the worst kernel."""
        return logits + step_size * worst_softmax_gradient(
            arithmetic.softmax(logits), transitions, rewards, discount, start, self.answer(radius, rewards)
        )
