"""Euclidean mirror descent on the action values of a Markov risk: pi_+ = project(pi + eta Q), Q = r + gamma rho(V), with entropic risk or CVaR.

The next policy's values are again found from the definition (`risk_control.averse_values`), not from the inequality that is claimed about them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.quantities.registry import define, given, per_record
from proofs_check.quantities.risk_control import (
    Risk,
    averse_action_values,
    averse_optimum,
    averse_values,
    conditional_value,
    entropic,
    own,
    own_values,
)

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
STEPS = 4


def _path(c: Context, risk: Risk, steps: int) -> list[Array]:
    """The values (B, R, S) of the policy and after 1, ..., `steps` steps; balls hold them where the step was enclosed."""
    name = f"descent under {risk.__name__}"
    known = c.__dict__.setdefault(name, [(own(c), own_values(c, risk))])
    if steps > 1 and c.kind == "rational":
        raise TypeError("the digits of a rational run grow fivefold a step")
    while len(known) <= steps:
        policy, values = known[-1]
        size = given(c, "eta")[:, None, None, None]
        policy = arithmetic.project_simplex(policy + size * averse_action_values(c, risk, values))
        known.append((policy, averse_values(c, risk, policy)))
    return [values for _, values in known[: steps + 1]]


def _gap(c: Context, risk: Risk, values: Array) -> Array:
    """Largest gap of any state, (B, R)."""
    return arithmetic.maximum(averse_optimum(c, risk)[0] - values, axis=-1)


@define("entropic_values_after", r"V^{\pi_+}_\beta", "step", "states")
def _entropic_values_after(c: Context) -> Array:
    """Values under nested entropic risk after a step of Euclidean mirror descent, in reward units."""
    return _path(c, entropic, 1)[1]


@define("entropic_gap_sup", r"\|V^*_\beta-V^\pi_\beta\|_\infty", "step")
def _entropic_gap_sup(c: Context) -> Array:
    """Largest gap of any state under nested entropic risk, in reward units."""
    return per_record(_gap(c, entropic, own_values(c, entropic)))


@define("entropic_gap_sup_after", r"\|V^*_\beta-V^{\pi_+}_\beta\|_\infty", "step")
def _entropic_gap_sup_after(c: Context) -> Array:
    """Largest gap of any state under nested entropic risk after a step of Euclidean mirror descent, in reward units."""
    return per_record(_gap(c, entropic, _path(c, entropic, 1)[1]))


@define("entropic_gap_sup_after_steps", r"\|V^*_\beta-V^{\pi_4}_\beta\|_\infty", "step")
def _entropic_gap_sup_after_steps(c: Context) -> Array:
    """Largest gap of any state under nested entropic risk after four such steps of one size, in reward units."""
    return per_record(_gap(c, entropic, _path(c, entropic, STEPS)[STEPS]))


@define("nested_values_after", r"V^{\pi_+}_\alpha", "step", "states")
def _nested_values_after(c: Context) -> Array:
    """Values under nested CVaR after a step of Euclidean mirror descent, in reward units."""
    return _path(c, conditional_value, 1)[1]


@define("nested_gap_sup", r"\|V^*_\alpha-V^\pi_\alpha\|_\infty", "step")
def _nested_gap_sup(c: Context) -> Array:
    """Largest gap of any state under nested CVaR, in reward units."""
    return per_record(_gap(c, conditional_value, own_values(c, conditional_value)))


@define("nested_gap_sup_after", r"\|V^*_\alpha-V^{\pi_+}_\alpha\|_\infty", "step")
def _nested_gap_sup_after(c: Context) -> Array:
    """Largest gap of any state under nested CVaR after a step of Euclidean mirror descent, in reward units."""
    return per_record(_gap(c, conditional_value, _path(c, conditional_value, 1)[1]))
