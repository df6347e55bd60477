"""Backups that weigh next values by the values themselves: f(V) = sum_i p_i V_i^2 / sum_i p_i V_i for positive values.

p is the extra `next_law` (5,), V and U the extras `next_values`, `other_values` (5,); rho is their smallest entry over their largest one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.quantities.registry import define, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


def _backup(p: Array, values: Array) -> Array:
    return (p * values * values).sum(axis=-1) / (p * values).sum(axis=-1)


def _ratio(values: Array) -> Array:
    return arithmetic.minimum(values, axis=-1) / arithmetic.maximum(values, axis=-1)


@define("backup_slope", r"\lVert\nabla f(V)\rVert_1", "instance")
def _backup_slope(c: Context) -> Array:
    """Sum of the sizes of the partial derivatives of the value-weighted backup, by the rule of quotients."""
    p, values = c.extra("next_law"), c.extra("next_values")
    below = (p * values).sum(axis=-1)[:, None]
    each = (2 * p * values * below - p * (p * values * values).sum(axis=-1)[:, None]) / (below * below)
    return per_instance(arithmetic.absolute(each).sum(axis=-1))


@define("value_ratio", r"\rho", "instance")
def _value_ratio(c: Context) -> Array:
    """Smallest next value over the largest."""
    return per_instance(_ratio(c.extra("next_values")))


@define("joint_value_ratio", r"\rho", "instance")
def _joint_value_ratio(c: Context) -> Array:
    """Smallest entry over the largest of two vectors of next values."""
    return per_instance(_ratio(np.concatenate([c.extra("next_values"), c.extra("other_values")], axis=-1)))


@define("backup_distance", r"|f(V)-f(U)|", "instance")
def _backup_distance(c: Context) -> Array:
    """Distance of the value-weighted backups of two vectors of next values."""
    p = c.extra("next_law")
    return per_instance(arithmetic.absolute(_backup(p, c.extra("next_values")) - _backup(p, c.extra("other_values"))))


@define("next_value_distance", r"\lVert V-U\rVert_\infty", "instance")
def _next_value_distance(c: Context) -> Array:
    """Largest distance of two vectors of next values."""
    return per_instance(arithmetic.maximum(arithmetic.absolute(c.extra("next_values") - c.extra("other_values")), axis=-1))
