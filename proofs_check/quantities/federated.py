"""Two agents with models of their own that share weights: where each would end, and where their mean ends.

The second model has the transitions `second_kernel` (S, A, S') and the rewards `second_rewards` (S, A); policy, features, discount and
restarts are the same, samples as in `temporal_differences`.  A_i theta_i = b_i, and A theta = b for the means A = (A_1 + A_2)/2, b = (b_1 + b_2)/2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.quantities.control import eigenvalues
from proofs_check.quantities.registry import define, per_instance
from proofs_check.quantities.temporal_differences import System, smallest_eigenvalue, solved, system, system_of

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


def _both(c: Context) -> tuple[System, System]:
    if "_td_second" not in c.__dict__:
        c.__dict__["_td_second"] = system_of(c, c.extra("second_kernel"), c.extra("second_rewards"))
    return system(c), c.__dict__["_td_second"]


def _shared(c: Context) -> Array:
    """theta, the fixed point of the mean system: (B, D)."""
    one, two = _both(c)
    return solved((one.matrix + two.matrix) / 2, (one.vector + two.vector) / 2)


def _symmetric(matrix: Array) -> Array:
    return (matrix + matrix.swapaxes(1, 2)) / 2


def _norm(matrix: Array) -> Array:
    """Spectral norm (B,) of (B, D, D), D at most 2."""
    if matrix.shape[-1] == 1:
        return arithmetic.absolute(matrix[:, 0, 0])
    return arithmetic.sqrt(eigenvalues(np.einsum("bki,bkj->bij", matrix, matrix))[1])


@define("shared_distance", r"\lVert\bar\theta-\theta_1\rVert", "instance")
def _shared_distance(c: Context) -> Array:
    """Distance of the weights that averaging agents share in the end from those that the first would find alone."""
    return per_instance(arithmetic.norm2(_shared(c) - _both(c)[0].fixed_point, axis=-1))


@define("vector_distance", r"\lVert\bar b-b_1\rVert", "instance")
def _vector_distance(c: Context) -> Array:
    """Distance of the mean of both agents' reward vectors E r phi from the first agent's."""
    one, two = _both(c)
    return per_instance(arithmetic.norm2((two.vector - one.vector) / 2, axis=-1))


@define("matrix_distance", r"\lVert\bar A-A_1\rVert", "instance")
def _matrix_distance(c: Context) -> Array:
    """Spectral norm of the difference of the mean of both agents' matrices from the first agent's."""
    one, two = _both(c)
    return per_instance(_norm((two.matrix - one.matrix) / 2))


@define("shared_length", r"\lVert\bar\theta\rVert", "instance")
def _shared_length(c: Context) -> Array:
    """Length of the weights that averaging agents share in the end."""
    return per_instance(arithmetic.norm2(_shared(c), axis=-1))


@define("first_coercivity", r"\lambda_{\min}\left(\tfrac12(A_1+A_1^\top)\right)", "instance")
def _first_coercivity(c: Context) -> Array:
    """Smallest eigenvalue of the symmetric part of the first agent's matrix."""
    return per_instance(smallest_eigenvalue(_symmetric(_both(c)[0].matrix)))


@define("first_determinant", r"\det A_1", "instance")
def _first_determinant(c: Context) -> Array:
    """Determinant of the first agent's matrix."""
    matrix = _both(c)[0].matrix
    return per_instance(matrix[:, 0, 0] if matrix.shape[-1] == 1 else matrix[:, 0, 0] * matrix[:, 1, 1] - matrix[:, 0, 1] * matrix[:, 1, 0])


@define("least_coercivity", r"\min_i\lambda_{\min}\left(\tfrac12(A_i+A_i^\top)\right)", "instance")
def _least_coercivity(c: Context) -> Array:
    """The smaller one of both agents'."""
    one, two = (smallest_eigenvalue(_symmetric(each.matrix)) for each in _both(c))
    return per_instance(arithmetic.minimum(np.stack([one, two], axis=-1), axis=-1))


@define("shared_weights", r"\bar\theta", "instance", "features")
def _shared_weights(c: Context) -> Array:
    """Weights that agents that average after every step share in the end: the fixed point of the mean system."""
    return _shared(c)[:, None]


@define("mean_of_weights", r"\tfrac12(\theta_1+\theta_2)", "instance", "features")
def _mean_of_weights(c: Context) -> Array:
    """Mean of the weights that the two agents would find alone."""
    one, two = _both(c)
    return ((one.fixed_point + two.fixed_point) / 2)[:, None]


@define("same_moves_weights", r"\bar\theta\ \text{with}\ P_2=P_1", "instance", "features")
def _same_moves_weights(c: Context) -> Array:
    """Weights that averaging agents share in the end if the second had the first agent's transitions."""
    two = system_of(c, c.transitions, c.extra("second_rewards"))
    one = system(c)
    return solved((one.matrix + two.matrix) / 2, (one.vector + two.vector) / 2)[:, None]


@define("same_moves_mean", r"\tfrac12(\theta_1+\theta_2)\ \text{with}\ P_2=P_1", "instance", "features")
def _same_moves_mean(c: Context) -> Array:
    """Mean of the weights that the two agents would find alone if the second had the first agent's transitions."""
    two = system_of(c, c.transitions, c.extra("second_rewards"))
    return ((system(c).fixed_point + two.fixed_point) / 2)[:, None]
