"""Policy mirror descent with step sizes that grow: geometrically, or as much as a Bellman backup asks for.

    pi_{k+1}(. | s) = argmax_p  eta_k <Q_k(s, .), p> - B(p, pi_k(. | s))          B the KL divergence or half the squared distance

    GrowingMirrorDescent    eta_k = eta_0 w^k.  With w >= theta / (theta - 1), theta the mismatch over 1 - gamma: linear.  Xiao (2022).
    AdaptiveMirrorDescent   eta_k = max_s B(greedy_k(s), pi_k(s)) / c_k,   c_k = c_0 gamma^(2 (k + 1)), greedy_k the first maximiser of Q_k: the
                            policy falls behind a Bellman backup by at most c_k, so the gap contracts by gamma.  Johnson, Pike-Burke,
                            Rebeschini (2023), who take the nearest greedy policy; any other makes the step longer, which the theorem allows.

The factor w^k (or gamma^(2 k)) is carried beside the policy (`remembered`).  With long steps mirror descent becomes policy iteration.  The adaptive
step needs the order of action values: balls raise NoEnclosure at ties.  Below 2^-900, and so always at discount 0, c_k counts as 2^-900.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np

from pgtheory import arithmetic, kernels
from pgtheory.arithmetic import advantages, log_softmax, policy_values, project_simplex, softmax
from pgtheory.compiled import kernel
from pgtheory.kernels import compiled_step
from pgtheory.policy_gradient.loops import compiled_loop
from pgtheory.policy_gradient.method import NoEnclosure, Setting
from pgtheory.policy_gradient.remembered import LARGEST, SMALLEST, Remembering, check_geometry

Array = np.ndarray


def plain_growing_kl(state: Array, transitions: Array, rewards: Array, discount: Any, start: Array, step_size: Any, growth: Any) -> Array:
    """theta + eta w^k A; w^(k+1)."""
    logits, factor = parameters_in(state), factor_in(state)
    values = policy_values(softmax(logits), transitions, rewards, discount)
    return joined(logits + step_size * factor * advantages(transitions, rewards, discount, values), growth * factor)


def plain_growing_euclidean(state: Array, transitions: Array, rewards: Array, discount: Any, start: Array, step_size: Any, growth: Any) -> Array:
    """project(pi + eta w^k A); w^(k+1)."""
    policy, factor = parameters_in(state), factor_in(state)
    values = policy_values(policy, transitions, rewards, discount)
    return joined(project_simplex(policy + step_size * factor * advantages(transitions, rewards, discount, values)), growth * factor)


def plain_adaptive_kl(state: Array, transitions: Array, rewards: Array, discount: Any, start: Array, slack: Any) -> Array:
    """theta + eta_k A with eta_k = max_s -log pi(greedy) / c_k; gamma^(2 (k+1))."""
    logits, factor = parameters_in(state), factor_in(state) * discount * discount
    values = policy_values(softmax(logits), transitions, rewards, discount)
    gains = advantages(transitions, rewards, discount, values)
    return joined(logits + farthest_kl(log_softmax(logits), gains) / (slack * factor + SMALLEST) * gains, factor)


def plain_adaptive_euclidean(state: Array, transitions: Array, rewards: Array, discount: Any, start: Array, slack: Any) -> Array:
    """project(pi + eta_k A) with eta_k = max_s |greedy - pi|^2 / (2 c_k); gamma^(2 (k+1))."""
    policy, factor = parameters_in(state), factor_in(state) * discount * discount
    values = policy_values(policy, transitions, rewards, discount)
    gains = advantages(transitions, rewards, discount, values)
    return joined(project_simplex(policy + farthest_euclidean(policy, gains) / (slack * factor + SMALLEST) * gains), factor)


def parameters_in(state: Array) -> Array:
    """The logits or the policy in a state."""
    return state[:, :-1].copy()


def factor_in(state: Array) -> Any:
    """The number in a state."""
    return state[0, -1]


def joined(params: Array, factor: Any) -> Array:
    """A state from its parts."""
    return np.concatenate([params, params[:, :1] * 0 + factor], axis=1)


def farthest_kl(log_policy: Array, action_values: Array) -> Any:
    """max_s -log pi(a(s) | s), a(s) the first maximiser."""
    rows = range(len(log_policy))
    return arithmetic.maximum(np.array([-log_policy[s, _first_best(action_values[s])] for s in rows], dtype=log_policy.dtype))


def farthest_euclidean(policy: Array, action_values: Array) -> Any:
    """max_s |e_a(s) - pi(s)|^2 / 2, a(s) the first maximiser."""
    others = [np.delete(policy[s], _first_best(row)) for s, row in enumerate(action_values)]  # no difference from 1: it would cost all digits
    zero = policy[0, 0] * 0
    return arithmetic.maximum(np.array([((p * p).sum() + p.sum() * p.sum()) / 2 + zero for p in others], dtype=policy.dtype))


def _first_best(row: Array) -> int:
    best = 0
    for a in range(1, row.size):
        try:
            best = a if arithmetic.less(row[best], row[a]) else best
        except arithmetic.Undecided as error:
            raise NoEnclosure(f"the best action is not certain: {error}") from error
    return best


@kernel
def _farthest_kl(log_policy, action_values):
    largest = 0.0
    for s in range(log_policy.shape[0]):
        largest = max(largest, -log_policy[s, np.argmax(action_values[s])])
    return largest


@kernel
def _farthest_euclidean(policy, action_values):
    largest = 0.0
    for s in range(policy.shape[0]):
        best, rest, squares = np.argmax(action_values[s]), 0.0, 0.0
        for a in range(policy.shape[1]):
            if a != best:
                rest += policy[s, a]
                squares += policy[s, a] * policy[s, a]
        largest = max(largest, (squares + rest * rest) / 2)
    return largest


@kernel
def _parameters_in(state):
    return state[:, :-1].copy()


@kernel
def _softmax_of(state):
    return kernels.softmax(_parameters_in(state))


@kernel
def _factor_in(state):
    return state[0, -1]


@kernel
def _joined(params, factor):
    """The factor is kept within what floats can hold."""
    out = np.empty((params.shape[0], params.shape[1] + 1))
    for s in range(params.shape[0]):
        for a in range(params.shape[1]):
            out[s, a] = params[s, a]
        out[s, -1] = max(min(factor, LARGEST), SMALLEST)
    return out


KERNELS = {
    "parameters_in": _parameters_in,
    "factor_in": _factor_in,
    "joined": _joined,
    "farthest_kl": _farthest_kl,
    "farthest_euclidean": _farthest_euclidean,
}
_loop_growing_kl = compiled_loop(compiled_step(plain_growing_kl, KERNELS), settings=2, shown=_softmax_of)
_loop_growing_euclidean = compiled_loop(compiled_step(plain_growing_euclidean, KERNELS), settings=2, shown=_parameters_in)
_loop_adaptive_kl = compiled_loop(compiled_step(plain_adaptive_kl, KERNELS), settings=1, shown=_softmax_of)
_loop_adaptive_euclidean = compiled_loop(compiled_step(plain_adaptive_euclidean, KERNELS), settings=1, shown=_parameters_in)


@dataclasses.dataclass(frozen=True)
class GrowingMirrorDescent(Remembering):
    """Mirror descent with the step sizes step_size * growth^k, k = 0, 1, ...; growth >= 1 (1 is the constant step)."""

    step_size: Setting
    growth: Setting
    geometry: Literal["kl", "euclidean"] = "kl"

    def __post_init__(self) -> None:
        check_geometry(self.geometry)

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"growing-mirror-descent-{self.geometry}"

    @property
    def plain_step(self) -> Any:  # type: ignore[override]
        return plain_growing_kl if self.geometry == "kl" else plain_growing_euclidean

    @property
    def _loop(self) -> Any:  # type: ignore[override]
        return _loop_growing_kl if self.geometry == "kl" else _loop_growing_euclidean


@dataclasses.dataclass(frozen=True)
class AdaptiveMirrorDescent(Remembering):
    """Mirror descent with steps just long enough for the rate gamma^k; slack is c_0 > 0, in reward units."""

    slack: Setting
    geometry: Literal["kl", "euclidean"] = "kl"

    def __post_init__(self) -> None:
        check_geometry(self.geometry)

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"adaptive-mirror-descent-{self.geometry}"

    @property
    def plain_step(self) -> Any:  # type: ignore[override]
        return plain_adaptive_kl if self.geometry == "kl" else plain_adaptive_euclidean

    @property
    def _loop(self) -> Any:  # type: ignore[override]
        return _loop_adaptive_kl if self.geometry == "kl" else _loop_adaptive_euclidean
