"""Gradients of a function of two estimated means: slopes from the same draws as the gradients, or from draws of their own; every batch enumerated.

A bandit pays r(a) and the extra `second_pay`(a).  From n draws come J (2,) and g (2, K), the means of rewards and of score times reward;  the
estimate is f_1(J) g_1 + f_2(J) g_2, f_m the partial derivatives of f(J) = -|J - c|^2 (c the extra `target`) or of -1/(1 + J_1) - 1/(1 + J_2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.numbers import to_float
from proofs_check.quantities.registry import define, given, per_instance
from proofs_check.quantities.risk_samples import sample_chances
from proofs_check.quantities.sampled_scores import arm_scores

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
Slope = Callable[[Array], Array]


def _pay(c: Context) -> Array:
    """(B, 2, K)."""
    return np.stack([c.rewards[:, 0], c.extra("second_pay")[:, 0]], axis=1)


def _policy(c: Context) -> Array:
    return c.policies[:, 0, 0]


def _means(c: Context) -> tuple[Array, Array]:
    """J (B, 2), and its gradient (B, 2, K) in closed form."""
    pay, policy = _pay(c), _policy(c)[:, None]
    value = (policy * pay).sum(axis=-1)
    return value, policy * (pay - value[..., None])


def _away(c: Context) -> Slope:
    """Slopes of -|J - c|^2 at J (B, ..., 2)."""

    def slope(value: Array) -> Array:
        target = c.extra("target")
        return 2 * (target.reshape(len(target), *[1] * (value.ndim - 2), 2) - value)

    return slope


def _flattening(value: Array) -> Array:
    """Slopes of -1/(1 + J_1) - 1/(1 + J_2)."""
    return 1 / ((1 + value) * (1 + value))


def _batches(c: Context, code: Callable[[Array, Array, Array], Array]) -> Array:
    """code(chance (B, M), J (B, M, 2), g (B, M, 2, K)) with each instance's own number of draws."""
    policy, pay, out = _policy(c), _pay(c), None
    each = arm_scores(policy)[:, None] * pay[..., None]  # (B, 2, K, K)
    wanted = to_float(given(c, "samples")).astype(int)
    for n in np.unique(wanted).tolist():
        counts, chance = sample_chances(c, policy, n)
        shares = c.constant(counts) / n
        found = code(chance, np.einsum("mk,bjk->bmj", shares, pay), np.einsum("mk,bjki->bmji", shares, each))
        chosen = (wanted == n).reshape(-1, *[1] * (found.ndim - 1))
        out = found if out is None else np.where(chosen, found, out)
    return np.asarray(out)


def _one_batch(slope: Slope) -> Callable[[Array, Array, Array], Array]:
    return lambda chance, value, gradient: np.einsum("bm,bmj,bmji->bi", chance, slope(value), gradient)


def _two_batches(slope: Slope) -> Callable[[Array, Array, Array], Array]:
    """Every pair of batches: slopes from the one, gradients from the other."""
    return lambda chance, value, gradient: np.einsum("bm,bmj,bl,blji->bi", chance, slope(value), chance, gradient)


def _exact(c: Context, slope: Slope) -> Array:
    value, gradient = _means(c)
    return np.einsum("bj,bji->bi", slope(value), gradient)


@define("same_batch_gradient", r"\mathbb{E}\,\nabla f(\hat J)^\top\hat g,\ f=-\lVert J-c\rVert^2", "step", "arms")
def _same_batch_gradient(c: Context) -> Array:
    """Mean of the estimated gradient of -|J - c|^2 with slopes and gradients from the same n draws."""
    return _batches(c, _one_batch(_away(c)))[:, None]


@define("other_batch_gradient", r"\mathbb{E}\,\nabla f(\hat J)^\top\hat g',\ f=-\lVert J-c\rVert^2", "step", "arms")
def _other_batch_gradient(c: Context) -> Array:
    """The same with the slopes from n draws and the gradients from n others."""
    return _batches(c, _two_batches(_away(c)))[:, None]


@define("distance_gradient", r"\nabla f(J)^\top\nabla J,\ f=-\lVert J-c\rVert^2", "step", "arms")
def _distance_gradient(c: Context) -> Array:
    """The gradient of -|J - c|^2 in the logits."""
    return _exact(c, _away(c))[:, None]


@define("reward_score_covariance", r"\textstyle\sum_m\mathrm{Cov}(r_m,s\,r_m)", "step", "arms")
def _reward_score_covariance(c: Context) -> Array:
    """Covariance of a draw's reward with its score times reward, summed over both rewards."""
    policy, pay = _policy(c)[:, None], _pay(c)
    centred = pay - (policy * pay).sum(axis=-1)[..., None]
    return np.einsum("bk,bjk,bjk,bki->bi", _policy(c), centred, pay, arm_scores(_policy(c)))[:, None]


def _bias(c: Context, code: Callable[[Array, Array, Array], Array]) -> Array:
    apart = _batches(c, code) - _exact(c, _flattening)
    return per_instance((apart * apart).sum(axis=-1))


@define("same_batch_bias_square", r"\lVert\mathbb{E}\,\nabla f(\hat J)^\top\hat g-\nabla f\rVert^2,\ f=-\sum_m\tfrac1{1+J_m}", "step")
def _same_batch_bias_square(c: Context) -> Array:
    """Squared bias of the estimated gradient of -1/(1 + J_1) - 1/(1 + J_2), all from the same n draws."""
    return _bias(c, _one_batch(_flattening))


@define("other_batch_bias_square", r"\lVert\mathbb{E}\,\nabla f(\hat J)^\top\hat g'-\nabla f\rVert^2,\ f=-\sum_m\tfrac1{1+J_m}", "step")
def _other_batch_bias_square(c: Context) -> Array:
    """The same with the slopes from n draws and the gradients from n others."""
    return _bias(c, _two_batches(_flattening))


@define("pay_variance", r"\textstyle\sum_m\mathrm{Var}(r_m)", "step")
def _pay_variance(c: Context) -> Array:
    """Sum of the variances of both rewards of a draw."""
    value, policy, pay = _means(c)[0], _policy(c)[:, None], _pay(c)
    return per_instance((policy * (pay - value[..., None]) ** 2).sum(axis=(1, 2)))


@define("mean_gradient_square", r"\mathbb{E}\textstyle\sum_m\lVert\hat g_m\rVert^2", "step")
def _mean_gradient_square(c: Context) -> Array:
    """Mean squared length of both estimated gradients of n draws."""
    return per_instance(_batches(c, lambda chance, value, gradient: (chance * (gradient * gradient).sum(axis=(2, 3))).sum(axis=1)))


@define("spread_times_gradient", r"\textstyle\sum_m\mathrm{Var}(r_m)\lVert\nabla J_m\rVert", "step")
def _spread_times_gradient(c: Context) -> Array:
    """Sum over both rewards of variance times length of the gradient of the mean."""
    (value, gradient), policy, pay = _means(c), _policy(c)[:, None], _pay(c)
    spread = (policy * (pay - value[..., None]) ** 2).sum(axis=-1)
    return per_instance((spread * arithmetic.norm2(gradient, axis=-1)).sum(axis=-1))
