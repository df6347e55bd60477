"""Worst-case values along the run of a robust method: the best gap so far, gaps before and after a step, sets with one budget a state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from pgtheory.robust.nature import Answer, ball_answer
from proofs_check.numbers import smaller
from proofs_check.quantities.registry import define, define_setting, given, per_instance, per_record, running
from proofs_check.quantities.robust_gradients import other_policy
from proofs_check.robust import against, robust, robust_against, robust_optimum, twin_of

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
define_setting("budget", r"\beta", "L1 budget that the rows of a state share, or L1 radius of every row")
define_setting("tolerance", r"\epsilon", "how far the inner loop may stop from the worst kernel, in reward units")


def _gaps(c: Context, start: Array) -> Array:
    """V_rob*(start) - V_rob^pi(start), (B, R)."""
    return ((robust_optimum(c).values[:, None] - robust(c).values) * start[:, None]).sum(axis=-1)


def _largest_gaps(c: Context) -> Array:
    """max over states of V_rob* - V_rob^pi, (B, R)."""
    return arithmetic.maximum(robust_optimum(c).values[:, None] - robust(c).values, axis=-1)


@define("best_robust_gap", r"\min_{k\le t}V^*_{\mathrm{rob}}(\mu)-V^{\pi_k}_{\mathrm{rob}}(\mu)", "step", history=True)
def _best_robust_gap(c: Context) -> Array:
    """Smallest worst-case gap under mu so far, in reward units."""
    return per_record(running(smaller, _gaps(c, c.mu))[:, c.now])


@define("robust_gap_mu_0", r"V^*_{\mathrm{rob}}(\mu)-V^{\pi_0}_{\mathrm{rob}}(\mu)", "instance")
def _robust_gap_start(c: Context) -> Array:
    """Worst-case gap of the start policy under mu, in reward units."""
    return per_instance(_gaps(c, c.mu)[:, 0])


@define("robust_gap_sup", r"\|V^*_{\mathrm{rob}}-V^{\pi_t}_{\mathrm{rob}}\|_\infty", "step")
def _robust_gap_sup(c: Context) -> Array:
    """Largest worst-case gap of any state, in reward units."""
    return per_record(_largest_gaps(c)[:, c.now])


@define("next_robust_gap_sup", r"\|V^*_{\mathrm{rob}}-V^{\pi_{t+1}}_{\mathrm{rob}}\|_\infty", "pair")
def _next_robust_gap_sup(c: Context) -> Array:
    """Largest worst-case gap of any state after the step, in reward units."""
    return per_record(_largest_gaps(c)[:, c.then])


@define("robust_gap_sup_0", r"\|V^*_{\mathrm{rob}}-V^{\pi_0}_{\mathrm{rob}}\|_\infty", "instance")
def _robust_gap_sup_start(c: Context) -> Array:
    """Largest worst-case gap of any state at the start, in reward units."""
    return per_instance(_largest_gaps(c)[:, 0])


# One budget a state


def _shared(c: Context) -> Answer:
    """Nature's answer where the rows of each state share the budget of the settings."""
    budget = given(c, "budget")[:, None, None, None]
    return ball_answer("l1", np.broadcast_to(budget, (*c.rewards.shape[:1], 1, c.rewards.shape[1], 1)), "s")


@define("shared_values", r"V^{\pi_t}_{\mathrm{s}}", "step", "states")
def _shared_values(c: Context) -> Array:
    """Worst-case value of the policy in each state if the rows of a state share one budget, in reward units."""
    return robust_against(c, "shared", _shared).values[:, c.now]


@define("next_shared_values", r"V^{\pi_{t+1}}_{\mathrm{s}}", "pair", "states")
def _next_shared_values(c: Context) -> Array:
    """The same for the next policy, in reward units."""
    return robust_against(c, "shared", _shared).values[:, c.then]


@define("best_shared_regret", r"\min_{k\le t}V^{\pi'}_{\mathrm{s}}(\mu)-V^{\pi_k}_{\mathrm{s}}(\mu)", "step", history=True)
def _best_shared_regret(c: Context) -> Array:
    """Smallest worst-case loss so far against the second policy under mu, if the rows of a state share one budget, in reward units."""
    ours = robust_against(c, "shared", _shared).values
    theirs = _second_values(c)
    return per_record(running(smaller, ((theirs - ours) * c.mu[:, None]).sum(axis=-1))[:, c.now])


def _second_values(c: Context) -> Array:
    """Worst-case values of the second policy, (B, 1, S): in balls those of the exact instance."""
    if c.kind != "ball":
        return against(c, other_policy(c), _shared(c)).values
    twin, _ = twin_of(c)
    return arithmetic.balls(against(twin, other_policy(twin), _shared(twin)).values)
