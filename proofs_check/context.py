"""The arrays on which quantities are evaluated: a batch of instances and the recorded policies of a run on each of them.

Axes everywhere: B instances, R recorded steps, S states, A actions, and K for the entries of a vector-valued quantity; a quantity has shape
(B, R, K) with 1 where it does not vary.  The numbers are float64, rationals, balls or rational functions (`kind`); rationals and balls
carry one instance (B = 1).  Everything derived (values, advantages, visits, optimal values) is computed once, when first asked for.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from pgtheory import arithmetic
from proofs_check.expression import ExpressionError
from proofs_check.numbers import to_float

Array = np.ndarray
TIE = 1e-11
"""Relative size below which a difference of optimal action values counts as a tie in float64 (their rounding error is about 1e-14)."""


@dataclasses.dataclass(frozen=True)
class Optimum:
    """Optimal values (B, S) and action values (B, S, A) of the instances, in the arithmetic of the context."""

    values: Array
    action_values: Array
    mask: Array  # (B, S, A) booleans: the optimal actions


@dataclasses.dataclass(frozen=True, eq=False)
class Context:
    """One batch of instances with the records of a run (or with one given policy as the only record, at time 0)."""

    kind: str
    transitions: Array  # (B, S, A, S)
    rewards: Array  # (B, S, A)
    discount: Array  # (B,)
    mu: Array  # (B, S): the start distribution of the gradient
    rho: Array  # (B, S): the start distribution of the evaluation
    settings: dict[str, Array]  # name -> (B,)
    times: Array  # (R,) int64
    policies: Array  # (B, R, S, A)
    logits: Array | None = None  # (B, R, S, A), where the method keeps logits
    minima: Array | None = None  # (B, R, S, A): running minimum of the policy over every step up to the recorded one
    other: Array | None = None  # (B, S, A): a second policy
    given_optimum: Optimum | None = None
    pairs: bool = False  # whether quantities are asked for at t with t + 1 recorded too
    extras: dict[str, Array] = dataclasses.field(default_factory=dict)  # name -> (B, ...): further arrays that the claim quantifies over
    parameters: Array | None = None  # (B, R, ...): what the method keeps, as it keeps it

    source: Any = None  # the exact instance behind rationals or balls

    def extra(self, name: str) -> Array:
        """The further array `name`, (B, ...); raises ExpressionError where the claim's domain has none."""
        if name not in self.extras:
            raise ExpressionError(f"the statement needs {name}; give the domain extras={{{name!r}: Extra(...)}}")
        return self.extras[name]

    # Which records a statement looks at

    @functools.cached_property
    def now(self) -> Array:
        """Positions of the records that a statement is checked at: all, or with `pairs` those whose successor is recorded."""
        if not self.pairs:
            return np.arange(self.times.size)
        return np.flatnonzero(np.diff(self.times) == 1)

    @property
    def then(self) -> Array:
        """Positions of the records one step after `now`."""
        return self.now + 1

    # Policy evaluation

    @functools.cached_property
    def chain(self) -> Array:
        """(B, R, S, S): P_pi."""
        return np.einsum("brsa,bsat->brst", self.policies, self.transitions)

    @functools.cached_property
    def discounted(self) -> Array:
        """I - gamma P_pi, (B, R, S, S)."""
        scaled = self.chain * -self.discount[:, None, None, None]
        states = np.arange(scaled.shape[-1])
        scaled[..., states, states] = scaled[..., states, states] + 1
        return scaled

    @functools.cached_property
    def values(self) -> Array:
        """V^pi, (B, R, S)."""
        return arithmetic.solve(self.discounted, np.einsum("brsa,bsa->brs", self.policies, self.rewards))

    def backup(self, values: Array) -> Array:
        """r + gamma P values for values (B, R, S): (B, R, S, A)."""
        expected = np.einsum("bsat,brt->brsa", self.transitions, values)
        return self.rewards[:, None] + self.discount[:, None, None, None] * expected

    @functools.cached_property
    def action_values(self) -> Array:
        """Q^pi, (B, R, S, A)."""
        return self.backup(self.values)

    @functools.cached_property
    def advantages(self) -> Array:
        """A^pi = Q^pi - V^pi, (B, R, S, A)."""
        return self.action_values - self.values[..., None]

    def visits(self, start: Array, discounted: Array) -> Array:
        """The discounted state distribution (1 - gamma) start' (I - gamma P)^-1, normalised to 1: (B, R, S) for matrices (B, R, S, S)."""
        transposed = np.swapaxes(discounted, -1, -2)
        first = np.broadcast_to(start[:, None], transposed.shape[:-1])
        return (1 - self.discount)[:, None, None] * arithmetic.solve(transposed, first)

    @functools.cached_property
    def visits_mu(self) -> Array:
        """d^pi_mu, (B, R, S)."""
        return self.visits(self.mu, self.discounted)

    @functools.cached_property
    def log_policies(self) -> Array:
        """log pi, (B, R, S, A), from the logits where there are any (a probability may underflow, its logarithm does not)."""
        return np.log(self.policies) if self.logits is None else arithmetic.log_softmax(self.logits)

    # Optimal control

    @functools.cached_property
    def optimum(self) -> Optimum:
        if self.given_optimum is not None:
            return self.given_optimum
        if self.kind != "float":
            raise ValueError(f"a {self.kind} context is given its optimum")
        from pgtheory.exact.batch import batch_optimal

        values, action_values = batch_optimal(self.transitions, self.rewards, self.discount)
        scale = (np.abs(self.rewards).max(axis=(1, 2)) / (1 - self.discount))[:, None, None]
        return Optimum(values, action_values, action_values >= values[..., None] - TIE * scale)

    @functools.cached_property
    def selection(self) -> Array:
        """(B, S, A) zeros and ones: an optimal policy.  Among ties the action whose running minimum stays largest: any is allowed, and with
        this one bounds in 1/c are smallest."""
        likely = (self.policies if self.minima is None else self.minima)[:, -1]
        if likely.dtype == object:
            likely = to_float(likely)
        best = np.where(self.optimum.mask, likely, -1.0).argmax(axis=-1)
        return self.constant(np.eye(self.rewards.shape[-1], dtype=np.int64)[best])

    def constant(self, integers: Array) -> Array:
        """An integer array in the numbers of this context."""
        if self.kind == "float":
            return integers.astype(np.float64)
        one = self.discount[0] * 0 + 1
        return integers.astype(object) * one

    @functools.cached_property
    def optimal_discounted(self) -> Array:
        """I - gamma P_{pi*} for the selected optimal policy, (B, 1, S, S)."""
        return dataclasses.replace(self, policies=self.selection[:, None], logits=None, minima=None).discounted

    @functools.cached_property
    def soft_optimum(self) -> tuple[Array, Array]:
        """(V*_tau (B, S), Q*_tau (B, S, A)) for the temperature in the settings, by soft policy iteration; balls enclose it."""
        from proofs_check.soft import soft_optimum

        return soft_optimum(self)
