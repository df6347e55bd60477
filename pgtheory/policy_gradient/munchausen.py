"""Generalised Munchausen value iteration, MVI(q): value iteration that pays for moving away from the last policy, in Tsallis divergence.

    pi_+(. | s) = argmax_p  <p, Q(s, .)> - tau KL_q(p || pi(. | s)),          KL_q(p || m) = sum p ln_q(p / m),  ln_q(x) = (x^(q-1) - 1) / (q - 1)
    Q_+ = r + gamma P (<pi_+, Q> - tau KL_q(pi_+ || pi))

q = 1 is the KL divergence: mirror descent with the values of a single backup (Munchausen value iteration in its implicit form).  For q > 1 actions
are truncated, and what is truncated never comes back: the support of pi does not grow.  Zhu, Chen, Schlegel, White (2023).

The state is (S, 2 A): the policy, then Q.  It starts at Q = 0.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.rational import fraction, rational
from pgtheory import arithmetic, kernels
from pgtheory.arithmetic import lookahead, softmax
from pgtheory.compiled import kernel
from pgtheory.kernels import keep
from pgtheory.policies import direct
from pgtheory.policy_gradient.batched import Batched, rowwise
from pgtheory.policy_gradient.method import Setting
from pgtheory.policy_gradient.potentials import power, tsallis_argmax
from pgtheory.policy_gradient.rows import tilted, tsallis_divergences, tsallis_rows

Array = np.ndarray


def tsallis_divergence(new: Any, old: Any, order: Any) -> Any:
    """KL_q(new || old) in every row (last axis): sum p ln_q(p / m), terms with p = 0 being 0; infinite where new leaves the support of old."""
    q = rational(order)
    if arithmetic.kind(new) == "float":
        with np.errstate(all="ignore"):
            ratio = np.where(new > 0, new / old, 1.0)
            exponent = int((q - 1).p) / int((q - 1).q)
            return (new * (np.log(ratio) if q == 1 else (ratio**exponent - 1) / exponent)).sum(axis=-1)
    if q == 1:
        return (new * arithmetic.log(new / old)).sum(axis=-1)
    if q == 2:
        kept = np.array([bool(m > 0) for m in old.reshape(-1)]).reshape(old.shape)  # an action outside the support has probability 0 in both
        return (new * (new / np.where(kept, old, old * 0 + 1) - 1)).sum(axis=-1)
    return (new * (power(new / old, q - 1) - 1) / (q - 1)).sum(axis=-1)


@kernel
def _run(transitions, rewards, discount, start, initial, times, watch, records, minima, temperature, order):
    """The compiled loop: policy and action values are kept apart and joined in the record."""
    actions = initial.shape[2] // 2
    for b in range(initial.shape[0]):
        P, r, gamma, tau = transitions[b], rewards[b], discount[b], temperature[b]
        policy, action_values, t = initial[b][:, :actions].copy(), initial[b][:, actions:].copy(), 0
        lowest = initial[b].copy()
        for k in range(times.size):
            while t < times[k]:
                new = tilted(policy, action_values / tau) if order == 1.0 else tsallis_rows(policy, action_values, order, tau)
                worth = -tau * tsallis_divergences(new, policy, order)
                for s in range(worth.size):
                    worth[s] += kernels.dot(new[s], action_values[s])
                policy, action_values = new, kernels.lookahead(P, r, gamma, worth)
                t += 1
                if watch:
                    for s in range(worth.size):
                        for a in range(actions):
                            lowest[s, a] = min(lowest[s, a], policy[s, a])
            keep(records[b, k][:, :actions], policy)
            keep(records[b, k][:, actions:], action_values)
            if watch:
                keep(minima[b, k], lowest)


@dataclasses.dataclass(frozen=True)
class Munchausen(Batched):
    """MVI(q).  temperature is tau > 0, in reward units; order is q >= 1, a rational."""

    temperature: Setting
    order: Any = "2"
    parameters: ClassVar[Any] = "policy and values"

    def __post_init__(self) -> None:
        if rational(self.order) < 1:
            raise ModelError(f"order is {self.order!r}; Tsallis divergences have orders >= 1 here (1 is KL)")

    @property
    def name(self) -> str:  # type: ignore[override]
        return "munchausen"

    @property
    def rational_step(self) -> bool:  # type: ignore[override]
        return rational(self.order) == 2

    @property
    def setting_names(self) -> tuple[str, ...]:
        return ("temperature",)

    def _loop(self, *arguments: Any) -> None:  # type: ignore[override]
        _run(*arguments, float(fraction(rational(self.order))))

    def run_arrays(self, *arguments: Any, **options: Any) -> tuple[Array, Array | None]:
        """As `Method.run_arrays`; the minima are those of the policy."""
        records, minima = super().run_arrays(*arguments, **options)
        return records, None if minima is None else self.policy_of(minima)

    def start(self, mdp: MDP) -> Array:
        policy = direct.uniform(mdp.num_states, mdp.num_actions)
        if mdp.is_exact:
            policy = arithmetic.exactly(np.ones_like(policy)) / rational(mdp.num_actions)
        return self.params_of(policy)

    def policy_of(self, params: Any) -> Array:
        """(..., S, 2 A) -> (..., S, A)."""
        params = np.asarray(params)
        return params[..., : params.shape[-1] // 2]

    def params_of(self, policy: Any) -> Array:
        """(..., S, A) -> (..., S, 2 A), Q = 0."""
        policy = np.asarray(policy)
        return np.concatenate([policy, arithmetic.zeros_like_kind(policy.shape, policy)], axis=-1)

    def plain_step(self, state: Array, transitions: Array, rewards: Array, discount: Any, start: Array, temperature: Any) -> Array:  # type: ignore[override]
        """(pi_+, Q_+)."""
        actions = state.shape[-1] // 2
        policy, action_values = state[..., :actions], state[..., actions:]
        new = _greedier(policy, action_values, self.order, temperature)
        values = (new * action_values).sum(axis=-1) - rowwise(temperature) * tsallis_divergence(new, policy, self.order)
        return np.concatenate([new, lookahead(transitions, rewards, discount, values)], axis=-1)


def _greedier(policy: Array, action_values: Array, order: Any, temperature: Any) -> Array:
    if rational(order) != 1:
        return tsallis_argmax(policy, action_values, order, temperature)
    if arithmetic.kind(policy) == "ball":
        return softmax(arithmetic.log(policy) + action_values / temperature)
    with np.errstate(divide="ignore"):
        return softmax(np.log(policy) + action_values / temperature)
