"""Discounted visits, distribution mismatch, and how likely the optimal actions are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.numbers import larger, smaller
from proofs_check.quantities.registry import define, per_record, running

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


@define("visits", r"d^{\pi}_\mu", "step", "states")
def _visits(c: Context) -> Array:
    """Discounted visits of the current policy from mu to each state, normalised to 1."""
    return c.visits_mu[:, c.now]


@define("start_probabilities", r"\mu", "instance", "states")
def _start_probabilities(c: Context) -> Array:
    """Probability of each state under mu."""
    return c.mu[:, None]


@define("mismatch_mu_policy", r"\left\|d^{\pi^*}_\mu/d^{\pi}_\mu\right\|_\infty", "step")
def _mismatch_mu_policy(c: Context) -> Array:
    """Largest ratio of the optimal policy's visits from mu to the current policy's visits from mu."""
    best = c.visits(c.mu, c.optimal_discounted)
    return per_record(arithmetic.maximum(best / c.visits_mu[:, c.now], axis=-1))


@define("policy_mismatch", r"\left\|d^{\pi}_\mu/\mu\right\|_\infty", "step")
def _policy_mismatch(c: Context) -> Array:
    """Largest ratio of the current policy's visits from mu to mu itself."""
    return per_record(arithmetic.maximum(c.visits_mu[:, c.now] / c.mu[:, None], axis=-1))


@define("mismatch", r"\left\|d^{\pi^*}_\mu/\mu\right\|_\infty", "instance")
def _mismatch(c: Context) -> Array:
    """Largest ratio of the optimal policy's visits from mu to mu itself."""
    visits = c.visits(c.mu, c.optimal_discounted)
    return per_record(arithmetic.maximum(visits / c.mu[:, None], axis=-1))


@define("mismatch_rho_policy", r"\left\|d^{\pi^*}_\rho/d^{\pi}_\mu\right\|_\infty", "step")
def _mismatch_rho_policy(c: Context) -> Array:
    """Largest ratio of the optimal policy's visits from rho to the current policy's visits from mu."""
    best = c.visits(c.rho, c.optimal_discounted)
    return per_record(arithmetic.maximum(best / c.visits_mu[:, c.now], axis=-1))


@define("largest_mismatch", r"\sup_{k\le t}\left\|d^{\pi_k}_\mu/\mu\right\|_\infty", "step", history=True)
def _largest_mismatch(c: Context) -> Array:
    """Largest ratio of the visits of any policy so far to the start distribution mu."""
    each = arithmetic.maximum(c.visits_mu / c.mu[:, None], axis=-1)
    return per_record(running(larger, each)[:, c.now])


@define("c_inf", r"c_t", "step", history=True)
def _optimal_probability(c: Context) -> Array:
    """Smallest probability that any state has given to its optimal action at any step so far (prefix minimum)."""
    low = c.minima if c.minima is not None else running(smaller, c.policies)
    return _chosen(c, low[:, c.now])


@define("min_optimal_probability", r"\min_s \pi(a^*(s)|s)", "step")
def _min_optimal_probability(c: Context) -> Array:
    """Smallest probability that any state gives to its optimal action."""
    return _chosen(c, c.policies[:, c.now])


def _chosen(c: Context, probabilities: Array) -> Array:
    at_optimal = (probabilities * c.selection[:, None]).sum(axis=-1)
    return per_record(-arithmetic.maximum(-at_optimal, axis=-1))
