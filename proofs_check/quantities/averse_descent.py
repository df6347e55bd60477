"""Euclidean mirror descent on the action values of a Markov risk: pi_+ = project(pi + eta Q), Q = r + gamma rho(V), with entropic risk or CVaR.

The next policy's values are again found from the definition (`risk_control.averse_values`), not from the inequality that is claimed about them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.quantities.registry import define, given, per_record
from proofs_check.quantities.risk_control import Risk, averse_action_values, averse_optimum, averse_values, conditional_value, entropic, own, own_values

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


def _define(prefix: str, risk: Risk, letter: str, words: str) -> None:
    @define(f"{prefix}_values_after", rf"V^{{\pi_+}}_{letter}", "step", "states")
    def values_after(c: Context) -> Array:
        return _path(c, risk, 1)[1]

    @define(f"{prefix}_gap_sup", rf"\|V^*_{letter}-V^\pi_{letter}\|_\infty", "step")
    def gap_sup(c: Context) -> Array:
        return per_record(_gap(c, risk, own_values(c, risk)))

    @define(f"{prefix}_gap_sup_after", rf"\|V^*_{letter}-V^{{\pi_+}}_{letter}\|_\infty", "step")
    def gap_sup_after(c: Context) -> Array:
        return per_record(_gap(c, risk, _path(c, risk, 1)[1]))

    @define(f"{prefix}_gap_sup_after_steps", rf"\|V^*_{letter}-V^{{\pi_4}}_{letter}\|_\infty", "step")
    def gap_sup_after_steps(c: Context) -> Array:
        return per_record(_gap(c, risk, _path(c, risk, STEPS)[STEPS]))

    values_after.__doc__ = f"Values under {words} after a step of Euclidean mirror descent, in reward units."
    gap_sup.__doc__ = f"Largest gap of any state under {words}, in reward units."
    gap_sup_after.__doc__ = f"Largest gap of any state under {words} after a step of Euclidean mirror descent, in reward units."
    gap_sup_after_steps.__doc__ = f"Largest gap of any state under {words} after four steps of one size, in reward units."


_define("entropic", entropic, r"\beta", "nested entropic risk")
_define("nested", conditional_value, r"\alpha", "nested CVaR")
