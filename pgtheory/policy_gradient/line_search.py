"""Policy gradient with a line search that knows where the curve ends.

    pi_+ = the best, in V(start), of:   pi,   greedy(Q),   the end of a curve,   and its points at eta = 10^-3, 10^-2, ..., 10^9

    projected    curve(eta) = project(pi + eta d Q)                    natural    curve(eta) proportional to pi exp(eta A)

A greedy policy over all actions is the end of the projected curve where every state is visited; the natural curve ends at a policy that is greedy
over the support of pi, so greedy(Q) is added.  Whatever else the search tries, the step is at least as good in V(start) as one of policy iteration.
Bhandari, Russo (2021).  The first best point in that order is taken.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np

from mdps.errors import ModelError
from mdps.rational import rational
from pgtheory import arithmetic
from pgtheory.arithmetic import lookahead, policy_values, policy_values_and_visits, project_simplex, softmax
from pgtheory.policy_gradient.batched import Batched
from pgtheory.policy_gradient.method import NoEnclosure

Array = np.ndarray
EXPONENTS = range(-3, 10)
"""Powers of ten that the search tries as step sizes."""


@dataclasses.dataclass(frozen=True)
class LineSearchPG(Batched):
    """Policy gradient along the projected or the natural curve; "natural-bare": without the greedy policy over all actions (no guarantee)."""

    curve: Literal["projected", "natural", "natural-bare"] = "projected"
    parameters = "policy"

    def __post_init__(self) -> None:
        if self.curve not in ("projected", "natural", "natural-bare"):
            raise ModelError(f"curve is {self.curve!r}; the line search knows 'projected', 'natural' and 'natural-bare'")

    @property
    def name(self) -> str:  # type: ignore[override]
        return "line-search"

    @property
    def rational_step(self) -> bool:  # type: ignore[override]
        return self.curve == "projected"

    @property
    def setting_names(self) -> tuple[str, ...]:
        return ()

    def plain_step(self, policy: Array, transitions: Array, rewards: Array, discount: Any, start: Array) -> Array:  # type: ignore[override]
        """The best of the candidates."""
        if arithmetic.kind(policy) == "ball":
            raise NoEnclosure("a line search compares values, some of them equal, which balls cannot; its rational step is exact")
        values, visits = policy_values_and_visits(policy, transitions, rewards, discount, start)
        action_values = lookahead(transitions, rewards, discount, values)
        slope = visits[..., None] * action_values if self.curve == "projected" else action_values - values[..., None]
        best, worth = policy, (values * start).sum(axis=-1)
        for candidate in self._candidates(policy, action_values, slope):
            reached = (policy_values(candidate, transitions, rewards, discount) * start).sum(axis=-1)
            better = np.asarray(arithmetic.less(worth, reached))
            best, worth = np.where(better[..., None, None], candidate, best), np.where(better, reached, worth)
        return best if np.ndim(worth) else np.asarray(best)

    def _candidates(self, policy: Array, action_values: Array, slope: Array) -> Any:
        exact = arithmetic.kind(policy) != "float"
        if self.curve != "natural-bare":
            yield greedy(action_values)
        if self.curve != "projected":
            yield greedy(np.where(policy > 0, action_values, -np.inf))
        for k in EXPONENTS:
            step = (rational(10) ** k if k >= 0 else 1 / rational(10) ** -k) if exact else 10.0**k
            yield project_simplex(policy + step * slope) if self.curve == "projected" else _tilted(policy, step * slope)


def _tilted(policy: Array, exponents: Array) -> Array:
    """policy exp(exponents), normalised; zeros stay."""
    if arithmetic.kind(policy) != "float":
        raise NoEnclosure("the natural curve is searched in float64")
    with np.errstate(divide="ignore"):
        return softmax(np.log(policy) + exponents)


def greedy(action_values: Array) -> Array:
    """The policy that takes the first maximiser in every state; floats and rationals."""
    if arithmetic.kind(action_values) == "float":
        return np.eye(action_values.shape[-1])[action_values.argmax(axis=-1)]
    out = arithmetic.zeros_like_kind(action_values.shape, action_values)
    for index in np.ndindex(action_values.shape[:-1]):
        row, best = action_values[index], 0
        for a in range(1, row.size):
            if arithmetic.less(row[best], row[a]):
                best = a
        out[(*index, best)] = out[(*index, best)] + 1
    return out
