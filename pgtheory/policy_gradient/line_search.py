"""Policy gradient with a line search that knows where the curve ends.

    pi_+ = the best, in V(start), of:   pi,   greedy(Q),   the end of a curve,   and its points at eta = 10^-3, 10^-2, ..., 10^9

    projected    curve(eta) = project(pi + eta d Q)                    natural    curve(eta) proportional to pi exp(eta A)

A greedy policy over all actions is the end of the projected curve where every state is visited; the natural curve ends at a policy that is greedy
over the support of pi (at a vertex it stays there), so greedy(Q) is added.  Whatever else the search tries, the step is at least as good in V(start)
as one of policy iteration.  Bhandari, Russo (2021).  The first best point in that order is taken.  A step is by definition 15 evaluations (16 along
the natural curve, which has two ends): `evaluations` says how many.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np

from mdps.errors import ModelError
from mdps.rational import rational
from pgtheory import arithmetic, kernels
from pgtheory.arithmetic import lookahead, policy_values, policy_values_and_visits, project_simplex, softmax
from pgtheory.compiled import kernel
from pgtheory.kernels import keep, keep_minimum
from pgtheory.policy_gradient.batched import Batched
from pgtheory.policy_gradient.method import NoEnclosure
from pgtheory.policy_gradient.rows import tilted

Array = np.ndarray
FIRST, LAST = -3, 9
EXPONENTS = range(FIRST, LAST + 1)
"""Powers of ten that the search tries as step sizes."""


CURVES = ("projected", "natural", "natural-bare")


@kernel
def _greedy(policy, action_values, everywhere):
    """The first maximiser of every state, over all actions or over the support of `policy`."""
    out = np.zeros_like(policy)
    for s in range(policy.shape[0]):
        best = -1
        for a in range(policy.shape[1]):
            if (everywhere or policy[s, a] > 0.0) and (best < 0 or action_values[s, a] > action_values[s, best]):
                best = a
        out[s, best] = 1.0
    return out


@kernel
def _step(policy, P, r, gamma, mu, curve):
    """The compiled form of `LineSearchPG.plain_step`; curve as in CURVES."""
    values, visits = kernels.policy_values_and_visits(policy, P, r, gamma, mu)
    action_values = kernels.lookahead(P, r, gamma, values)
    weight = visits.reshape(-1, 1)
    slope = weight * action_values if curve == 0 else action_values - values.reshape(-1, 1)
    best, worth = policy, kernels.dot(values, mu)
    for number in range(-2, LAST - FIRST + 1):
        if number == -2:
            if curve == 2:
                continue
            candidate = _greedy(policy, action_values, True)
        elif number == -1:
            if curve == 0:
                continue
            candidate = _greedy(policy, action_values, False)
        else:
            step = 10.0 ** (number + FIRST)
            candidate = kernels.project_simplex(policy + step * slope) if curve == 0 else tilted(policy, step * slope)
        reached = kernels.dot(kernels.policy_values(candidate, P, r, gamma), mu)
        if worth < reached:
            best, worth = candidate, reached
    return best


@kernel
def _run(transitions, rewards, discount, start, initial, times, watch, records, minima, curve):
    for b in range(initial.shape[0]):
        policy, t = initial[b].copy(), 0
        lowest = policy.copy()
        for k in range(times.size):
            while t < times[k]:
                policy = _step(policy, transitions[b], rewards[b], discount[b], start[b], curve)
                t += 1
                if watch:
                    keep_minimum(lowest, policy)
            keep(records[b, k], policy)
            if watch:
                keep(minima[b, k], lowest)


@dataclasses.dataclass(frozen=True)
class LineSearchPG(Batched):
    """Policy gradient along the projected or the natural curve; "natural-bare": without the greedy policy over all actions (no guarantee)."""

    curve: Literal["projected", "natural", "natural-bare"] = "projected"
    parameters = "policy"

    def __post_init__(self) -> None:
        if self.curve not in CURVES:
            raise ModelError(f"curve is {self.curve!r}; the line search knows 'projected', 'natural' and 'natural-bare'")

    @property
    def name(self) -> str:  # type: ignore[override]
        return "line-search"

    @property
    def rational_step(self) -> bool:  # type: ignore[override]
        return self.curve != "natural"  # the bare natural curve: at vertices, where it is a point

    @property
    def setting_names(self) -> tuple[str, ...]:
        return ()

    @property
    def evaluations(self) -> int:
        """Policy evaluations of one step: the present policy, the ends of the curve, its points."""
        return 1 + (2 if self.curve == "natural" else 1) + len(EXPONENTS)

    def _loop(self, *arguments: Any) -> None:  # type: ignore[override]
        _run(*arguments, CURVES.index(self.curve))

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
        if exact and self.curve == "natural-bare" and np.all((policy == 0) | (policy == 1)):
            yield policy
            return
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
