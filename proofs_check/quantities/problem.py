"""The problem itself: discount, sizes, time, start distributions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.quantities.registry import define, define_setting, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


@define("gamma", r"\gamma", "instance")
def _gamma(c: Context) -> Array:
    """Discount factor, in [0, 1)."""
    return per_instance(c.discount)


@define("S", "S", "instance")
def _states(c: Context) -> Array:
    """Number of states."""
    return c.constant(np.full((c.discount.size, 1, 1), c.rewards.shape[1]))


@define("A", "A", "instance")
def _actions(c: Context) -> Array:
    """Number of actions."""
    return c.constant(np.full((c.discount.size, 1, 1), c.rewards.shape[2]))


@define("t", "t", "step")
def _time(c: Context) -> Array:
    """Number of steps taken since the start."""
    return c.constant(c.times[c.now][None, :, None])


@define("inverse_mu", r"\|1/\mu\|_\infty", "instance")
def _inverse_mu(c: Context) -> Array:
    """Largest reciprocal of a start probability."""
    return per_instance(arithmetic.maximum(1 / c.mu, axis=-1))


@define("rho_over_mu", r"\|\rho/\mu\|_\infty", "instance")
def _rho_over_mu(c: Context) -> Array:
    """Largest ratio of the evaluation start distribution to the gradient's."""
    return per_instance(arithmetic.maximum(c.rho / c.mu, axis=-1))


define_setting("eta", r"\eta", "step size of the method")
define_setting("tau", r"\tau", "temperature of the entropy regularisation, in reward units")
define_setting("fraction", "f", "step size as a fraction of the largest allowed one")
