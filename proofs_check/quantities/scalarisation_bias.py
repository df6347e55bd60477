"""A concave function of estimated means: its bias, and estimates of its gradient from one batch or from two, every sample enumerated.

Biases: the law p, x of `risk_measures` (returns), for two objectives with the further outcomes second_returns (3,); n is the setting `samples`.
Gradients: n draws from the policy of a bandit, J the mean reward and g the mean of score times reward of those draws, objective f(J).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.numbers import to_float
from proofs_check.quantities.registry import define, given, per_instance
from proofs_check.quantities.risk_measures import law
from proofs_check.quantities.risk_samples import expected_plug_in, sample_chances
from proofs_check.quantities.sampled_scores import arm_scores

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


def _mean(p: Array, x: Array) -> Array:
    return (p * x).sum(axis=-1)


def _bias(c: Context, function: Callable[[Array], Array]) -> Array:
    """f(J) - E f(mean of n returns)."""
    p, x = law(c)
    return per_instance(function(_mean(p, x))) - expected_plug_in(c, lambda p, x: function(_mean(p, x)))


def _spread(p: Array, x: Array) -> Array:
    mean = _mean(p, x)
    return (p * (x - mean[..., None]) ** 2).sum(axis=-1)


@define("root_bias", r"f(J)-\mathbb{E}f(\hat J_n),\ f=\sqrt{1+x}", "instance")
def _root_bias(c: Context) -> Array:
    """How much the root of 1 plus the mean of n returns is below its value at the true mean, on average."""
    return _bias(c, lambda mean: arithmetic.sqrt(1 + mean))


@define("parabola_bias", r"f(J)-\mathbb{E}f(\hat J_n),\ f=x-\tfrac12x^2", "instance")
def _parabola_bias(c: Context) -> Array:
    """The same for x - x^2/2."""
    return _bias(c, lambda mean: mean - mean * mean / 2)


@define("square_bias", r"f(J)-\mathbb{E}f(\hat J_n),\ f=\tfrac12x^2", "instance")
def _square_bias(c: Context) -> Array:
    """The same for x^2/2, which is convex."""
    return _bias(c, lambda mean: mean * mean / 2)


@define("return_spread", r"\mathrm{Var}\,G", "instance")
def _return_spread(c: Context) -> Array:
    """Variance of a return, in squared reward units."""
    return per_instance(_spread(*law(c)))


@define("root_curvature_at_mean", r"|f''(J)|,\ f=\sqrt{1+x}", "instance")
def _root_curvature_at_mean(c: Context) -> Array:
    """Curvature of the root at the true mean."""
    mean = 1 + _mean(*law(c))
    return per_instance(1 / (4 * mean * arithmetic.sqrt(mean)))


def _harmonic(x: Array, y: Array) -> Array:
    return (1 + x) * (1 + y) / (2 + x + y)


@define("harmonic_bias", r"f(J)-\mathbb{E}f(\hat J_n),\ f=\tfrac{(1+x)(1+y)}{2+x+y}", "instance")
def _harmonic_bias(c: Context) -> Array:
    """The same for half the harmonic mean of 1 plus each of two means, the two returns of a sample drawn together."""
    p, x = law(c)
    y = c.extra("second_returns")
    expected = expected_plug_in(c, lambda p, x: _harmonic(_mean(p, x), _mean(p, y[:, None])))
    return per_instance(_harmonic(_mean(p, x), _mean(p, y))) - expected


@define("return_spreads", r"\mathrm{tr}\,\mathrm{Cov}(G)", "instance")
def _return_spreads(c: Context) -> Array:
    """Sum of the variances of two returns, in squared reward units."""
    p, x = law(c)
    return per_instance(_spread(p, x) + _spread(p, c.extra("second_returns")))


# Gradients


def _bandit(c: Context) -> tuple[Array, Array]:
    return c.policies[:, 0, 0], c.rewards[:, 0]


def _batches(c: Context, function: Callable[[Array, Array, Array], Array]) -> Array:
    """function(chance (B, M), J (B, M), g (B, M, K)) for batches of n draws, n the setting `samples`: (B, 1, K)."""
    policy, rewards = _bandit(c)
    each = arm_scores(policy) * rewards[..., None]
    wanted = to_float(given(c, "samples")).astype(int)
    out = policy * 0
    for n in np.unique(wanted).tolist():
        counts, chance = sample_chances(c, policy, n)
        shares = c.constant(counts)[None] / n
        value, gradient = (shares * rewards[:, None]).sum(axis=-1), (shares[..., None] * each[:, None]).sum(axis=-2)
        out = np.where((wanted == n)[:, None], function(chance, value, gradient), out)
    return out[:, None]


def _one_batch(slope: Callable[[Array], Array]) -> Callable[[Array, Array, Array], Array]:
    return lambda chance, value, gradient: ((chance * slope(value))[..., None] * gradient).sum(axis=1)


def _two_batches(slope: Callable[[Array], Array]) -> Callable[[Array, Array, Array], Array]:
    """Every pair of batches: the slope from the one, the gradient from the other."""

    def mean(chance: Array, value: Array, gradient: Array) -> Array:
        pair = chance[:, :, None] * chance[:, None]
        return ((pair * slope(value)[:, :, None])[..., None] * gradient[:, None]).sum(axis=(1, 2))

    return mean


def _parabola_slope(value: Array) -> Array:
    return 1 - value


def _reciprocal_slope(value: Array) -> Array:
    return 1 / ((1 + value) * (1 + value))


@define("one_batch_gradient", r"\mathbb{E}\,f'(\hat J_n)\,\hat g_n,\ f=x-\tfrac12x^2", "step", "arms")
def _one_batch_gradient(c: Context) -> Array:
    """Mean of the estimated gradient of J - J^2/2 with slope and gradient from the same n draws."""
    return _batches(c, _one_batch(_parabola_slope))


@define("two_batch_gradient", r"\mathbb{E}\,f'(\hat J_n)\,\hat g'_n,\ f=x-\tfrac12x^2", "step", "arms")
def _two_batch_gradient(c: Context) -> Array:
    """The same with the slope from n draws and the gradient from n others."""
    return _batches(c, _two_batches(_parabola_slope))


@define("two_batch_reciprocal_gradient", r"\mathbb{E}\,f'(\hat J_n)\,\hat g'_n,\ f=-\tfrac1{1+x}", "step", "arms")
def _two_batch_reciprocal_gradient(c: Context) -> Array:
    """The same for -1/(1 + J)."""
    return _batches(c, _two_batches(_reciprocal_slope))


def _closed_gradient(c: Context) -> tuple[Array, Array]:
    """The mean reward (B,) and its softmax gradient (B, K)."""
    policy, rewards = _bandit(c)
    value = _mean(policy, rewards)
    return value, policy * (rewards - value[:, None])


@define("parabola_gradient", r"f'(J)\,\nabla J,\ f=x-\tfrac12x^2", "step", "arms")
def _parabola_gradient(c: Context) -> Array:
    """The gradient of J - J^2/2 in the logits."""
    value, gradient = _closed_gradient(c)
    return (_parabola_slope(value)[:, None] * gradient)[:, None]


@define("reciprocal_gradient", r"f'(J)\,\nabla J,\ f=-\tfrac1{1+x}", "step", "arms")
def _reciprocal_gradient(c: Context) -> Array:
    """The gradient of -1/(1 + J) in the logits."""
    value, gradient = _closed_gradient(c)
    return (_reciprocal_slope(value)[:, None] * gradient)[:, None]


@define("reciprocal_mean_slope_gradient", r"\mathbb{E}f'(\hat J_n)\,\nabla J,\ f=-\tfrac1{1+x}", "step", "arms")
def _reciprocal_mean_slope_gradient(c: Context) -> Array:
    """The gradient of J times the mean slope of -1/(1 + x) at the mean of n draws."""
    _, gradient = _closed_gradient(c)
    slope = _batches(c, lambda chance, value, _: (chance * _reciprocal_slope(value)).sum(axis=1)[:, None])
    return slope * gradient[:, None]


@define("one_batch_term", r"\mathbb{E}[r^2s]-J\,\nabla J", "step", "arms")
def _one_batch_term(c: Context) -> Array:
    """Covariance of one draw's reward with its score times reward."""
    policy, rewards = _bandit(c)
    value, gradient = _closed_gradient(c)
    squares = rewards * rewards
    return (policy * (squares - _mean(policy, squares)[:, None]) - value[:, None] * gradient)[:, None]
