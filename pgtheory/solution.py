"""What a solver hands back, and the error that carries it when the budget is spent."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

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
        """Largest distance from `values` to V* that the bounds leave open."""
        return float(np.max(np.maximum(self.upper - self.values, self.values - self.lower)))

    @cached_property
    def policy(self) -> Array:
        """(S, A) the greedy policy, probability 1 on `actions`."""
        table = np.zeros((self.actions.size, self.mdp.num_actions))
        table[np.arange(self.actions.size), self.actions] = 1.0
        return table

    @cached_property
    def action_values(self) -> Array:
        """(S, A) Q = r + gamma P V for the midpoint `values`; 0 for actions that a state does not have."""
        from pgtheory.exact.evaluation import action_values

        return action_values(self.mdp.float, values=self.values)

    @cached_property
    def optimal_actions(self) -> Array:
        """(S, A) booleans: every optimal action, and those that the bounds cannot tell from one (exact ties among them)."""
        from pgtheory.exact.bounds import possibly_optimal

        return possibly_optimal(self.mdp, self.lower, self.upper)

    def __repr__(self) -> str:
        return f"Solution({self.values.size} states, {self.method}, {self.iterations} iterations, error <= {self.error:.2g}, stopped: {self.stopped})"


@dataclass(frozen=True)
class ExactSolution:
    """The optimum in rationals, with the certificate that proves it.

    values           (S,) V*, `flint.fmpq`
    actions          (S,) one optimal action a state (the first)
    optimal_actions  (S, A) booleans: exactly the optimal actions
    certificate      what `pgtheory.exact.certificate.check_certificate` needs to verify the claim without trusting the solver
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
        return f"ExactSolution({self.values.size} states, {self.iterations} exact evaluations)"


class NotConverged(RuntimeError):
    """The budget (or the precision of floats) ended before the tolerance was proved; `solution` holds bounds that are still true."""

    def __init__(self, message: str, solution: Any) -> None:
        super().__init__(message)
        self.solution = solution
