"""Softmax policies with one free logit a state: what the least eigenvalue of the Fisher matrix says about the gap, and a step of fixed length.

Two actions; the logit of the second is 0 and that of the first is free, so the score is 1 - p or -p, and the Fisher matrix is diagonal with the
entries d(s) p_s (1 - p_s).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.numbers import larger
from proofs_check.quantities.differentials import _softmax_derivative
from proofs_check.quantities.registry import define, given, norm, per_instance, per_record

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


def _first(c: Context) -> Array:
    """p = pi(first action | s), (B, R, S)."""
    return c.policies[:, c.now][..., 0]


@define("least_fisher_eigenvalue", r"\lambda_{\min}(F)", "step")
def _least_fisher_eigenvalue(c: Context) -> Array:
    """Least eigenvalue of the Fisher matrix of the free logits under the visits from mu."""
    p = _first(c)
    return per_record(arithmetic.minimum(c.visits_mu[:, c.now] * p * (1 - p), axis=-1))


@define("largest_score", r"\max\|s\|", "step")
def _largest_score(c: Context) -> Array:
    """Largest length of a score of the free logits."""
    p = _first(c)
    return per_record(arithmetic.maximum(larger(p, 1 - p), axis=-1))


@define("free_gradient_norm", r"\|\nabla_\theta V(\mu)\|_2", "step")
def _free_gradient_norm(c: Context) -> Array:
    """Length of the derivatives of V(mu) in the free logits, in reward units."""
    slope = _softmax_derivative(c)
    return norm(slope.reshape(*slope.shape[:2], c.rewards.shape[1], -1)[..., 0])


# A step of fixed length in a bandit with two arms


def _bandit(c: Context) -> tuple[Array, Array]:
    """p (B,) and the difference (B,) of the two rewards."""
    return c.policies[:, 0, 0, 0], c.rewards[:, 0, 0] - c.rewards[:, 0, 1]


def _behind(p: Array, difference: Array) -> Array:
    """The gap: (1 - p) times the difference, or p times its negative."""
    return larger((1 - p) * difference, -p * difference)


@define("free_gap", r"J^*-J(\theta)", "step")
def _free_gap(c: Context) -> Array:
    """Optimality gap of a bandit with two arms, in reward units."""
    return per_instance(_behind(*_bandit(c)))


def _estimate(c: Context) -> Array:
    p, difference = _bandit(c)
    return difference * p * (1 - p) + c.extra("mistake")


@define("free_gap_after", r"J^*-J(\theta+\eta\tfrac{g+e}{|g+e|})", "step")
def _free_gap_after(c: Context) -> Array:
    """The same after a step of length eta along the gradient with an error, in reward units."""
    p, difference = _bandit(c)
    up = np.asarray(_estimate(c) > 0, dtype=bool)
    factor = arithmetic.exp(np.where(up, given(c, "eta"), -given(c, "eta")))
    return per_instance(_behind(p * factor / (p * factor + 1 - p), difference))


@define("estimate_size", r"|g+e|", "step")
def _estimate_size(c: Context) -> Array:
    """Size of the gradient with the error, in reward units."""
    return per_instance(arithmetic.absolute(_estimate(c)))


@define("mistake_size", r"|e|", "instance")
def _mistake_size(c: Context) -> Array:
    """Size of the error of the gradient, in reward units."""
    return per_instance(arithmetic.absolute(c.extra("mistake")))


@define("free_rate", r"\mu_F/G", "step")
def _free_rate(c: Context) -> Array:
    """p (1 - p) over the larger of p and 1 - p: the smaller of the two."""
    p, _ = _bandit(c)
    return per_instance(p * (1 - p) / larger(p, 1 - p))
