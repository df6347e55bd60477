"""Methods whose step depends on what happened before, by one number: how far a step size has grown, how many steps were taken.

The state is (S, A + 1): the logits or the policy, and a last column that holds the number in every row, 1 at the start.  So a step remains one
function of arrays, for floats, rationals and balls, and a run can be taken up from its record.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.rational import rational_array
from pgtheory import arithmetic
from pgtheory.policies import direct, softmax
from pgtheory.policy_gradient.method import Method, check_rectangular

Array = np.ndarray
GEOMETRIES = ("kl", "euclidean")
LARGEST = 2.0**1000
"""In floats a factor stops here: step size times advantage then still is a number."""
SMALLEST = 2.0**-900
"""In floats a factor that shrinks stops here, as one divides by it."""


@dataclasses.dataclass(frozen=True)
class Remembering(Method):
    """Base of the methods with a number beside the policy."""

    parameters: ClassVar[Any] = "remembered"

    @property
    def keeps_logits(self) -> bool:
        """Whether the policy is kept as logits: unless the class has another `geometry` than KL."""
        return getattr(self, "geometry", "kl") == "kl"

    @property
    def _parametrisation(self) -> Any:
        return softmax if self.keeps_logits else direct

    def policy_of(self, params: Any) -> Array:
        """(..., S, A + 1) -> policies (..., S, A)."""
        return self._parametrisation.policy_of(np.asarray(params)[..., :-1])

    def params_of(self, policy: Any) -> Array:
        """(..., S, A) -> (..., S, A + 1), the number being 1."""
        return with_column(self._parametrisation.params_of(policy))

    def start(self, mdp: MDP) -> Array:
        check_rectangular(mdp)
        params = self._parametrisation.uniform(mdp.num_states, mdp.num_actions)
        if mdp.is_exact:
            params = rational_array(np.vectorize(str)(params) if self.keeps_logits else np.full(params.shape, f"1/{mdp.num_actions}"))
        return with_column(params)

    def run_arrays(self, *arguments: Any, **options: Any) -> tuple[Array, Array | None]:
        records, minima = super().run_arrays(*arguments, **options)
        return records, None if minima is None else minima[..., :-1]


def check_geometry(geometry: str) -> Literal["kl", "euclidean"]:
    """ModelError where mirror descent does not know the geometry."""
    if geometry not in GEOMETRIES:
        raise ModelError(f"geometry is {geometry!r}; mirror descent knows 'kl' and 'euclidean'")
    return geometry  # type: ignore[return-value]


def with_column(params: Any) -> Array:
    """A last column of ones, of the kind of number of `params`."""
    params = np.asarray(params)
    ones = arithmetic.zeros_like_kind((*params.shape[:-1], 1), params) + 1
    return np.concatenate([params, ones], axis=-1)
