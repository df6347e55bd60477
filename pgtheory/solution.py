"""What a solver hands back, and the error that carries it when the budget is spent."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from mdps.errors import plural

Array = np.ndarray


@dataclass(frozen=True)
class Solution:
    """An optimal value function enclosed between proved bounds, with a policy that attains it up to their width.

    values       (S,) midpoint of the bounds
    lower,upper  (S,) lower <= V* <= upper in exact arithmetic, rounding included; V* is the optimum of `mdp.exact`
    actions      (S,) greedy action for `values`; its value is within 2 gamma / (1 - gamma) * error of V*
    iterations   sweeps or policy evaluations, as the method counts
    stopped      "tolerance" | "optimal" | "rounding" | "limit" | "interrupted"
    method       what was run, also when method="auto" chose it
    details      what a method has to add; for reachability and total reward the question that was answered
    """

    values: Array
    lower: Array
    upper: Array
    actions: Array
    iterations: int
    stopped: str
    method: str
    mdp: Any = field(repr=False)
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def error(self) -> float:
        """Largest distance from `values` to V* that the bounds leave open; infinite values are known where both bounds are infinite."""
        known = np.isinf(self.values) & (self.lower == self.upper)
        with np.errstate(invalid="ignore"):
            open_ = np.maximum(self.upper - self.values, self.values - self.lower)
        return float(np.max(np.where(known, 0.0, open_)))

    @cached_property
    def policy(self) -> Array:
        """(S, A) the greedy policy, probability 1 on `actions`."""
        table = np.zeros((self.actions.size, self.mdp.num_actions))
        table[np.arange(self.actions.size), self.actions] = 1.0
        return table

    @property
    def certificate(self) -> Any:
        """What `certify` proved the bounds with, or None."""
        return self.details.get("certificate")

    @cached_property
    def action_values(self) -> Array:
        """(S, A) Q = r + gamma P V for the midpoint `values`; 0 for actions that a state does not have."""
        from pgtheory.exact.evaluation import action_values

        return action_values(self.mdp.float, values=self.values)

    @cached_property
    def optimal_actions(self) -> Array:
        """(S, A) booleans: every optimal action, and those that the bounds cannot tell from one (exact ties among them)."""
        if "optimal_actions" in self.details:
            return self.details["optimal_actions"]
        if "criterion" in self.details:
            from pgtheory.exact.undiscounted_actions import possibly_optimal_undiscounted

            return possibly_optimal_undiscounted(self)
        from pgtheory.exact.bounds import possibly_optimal

        return possibly_optimal(self.mdp, self.lower, self.upper)

    def __repr__(self) -> str:
        known = f"{self.iterations} iterations, error <= {self.error:.2g}, stopped: {self.stopped}"
        return f"Solution({self.values.size} states, {self.method}, {known}{_infinite(self.values, self.mdp)})"


@dataclass(frozen=True)
class ExactSolution:
    """The optimum in rationals, with the certificate that proves it.

    values           (S,) V*, `flint.fmpq`; the float inf or -inf where a total reward is infinite
    actions          (S,) one optimal policy
    optimal_actions  (S, A) booleans: exactly the optimal actions (total reward, reachability: those that some optimal policy may take first)
    certificate      what `pgtheory.exact.check_certificate(mdp, certificate)` needs to verify the claim without trusting the solver
    """

    values: Array
    actions: Array
    optimal_actions: Array
    certificate: Any = field(repr=False)
    mdp: Any = field(repr=False)
    iterations: int = 0

    @cached_property
    def policy(self) -> Array:
        """(S, A) of `flint.fmpq`: probability 1 on `actions`."""
        from flint import fmpq

        table = np.full((self.actions.size, self.mdp.num_actions), fmpq(0), dtype=object)
        table[np.arange(self.actions.size), self.actions] = fmpq(1)
        return table

    @cached_property
    def action_values(self) -> Array:
        """(S, A) Q* in rationals."""
        from pgtheory.exact.evaluation import action_values

        return action_values(self.mdp, values=self.values)

    def __repr__(self) -> str:
        return f"ExactSolution({self.values.size} states, {self.iterations} exact evaluations{_infinite(self.values, self.mdp)})"


def _infinite(values: Array, mdp: Any) -> str:
    """'; infinite in 2 states, the first of them state 3 "pit"', or nothing."""
    endless = [s for s, v in enumerate(values.tolist()) if isinstance(v, float) and math.isinf(v)]
    return f"; infinite in {plural(len(endless), 'state')}, the first of them {mdp.state_label(endless[0])}" if endless else ""


class NotConverged(RuntimeError):
    """The budget (or the precision of floats) ended before the tolerance was proved; `solution` holds bounds that are still true."""

    def __init__(self, message: str, solution: Any) -> None:
        super().__init__(message)
        self.solution = solution
