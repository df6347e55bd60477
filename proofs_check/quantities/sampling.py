"""What bounds on sampled quantities speak of: sample sizes, gaps between arms, the variance of the next value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.quantities.registry import define, define_setting, given, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray

define_setting("samples", "n", "number of independent samples of each distribution")
define_setting("pulls", "t", "number of pulls of a bandit")
define_setting("distance", r"\epsilon", "a distance of distributions in 1-norm")


@define("arm_gap", r"\Delta", "instance")
def _arm_gap(c: Context) -> Array:
    """Best minus worst expected reward of a bandit, in reward units."""
    rewards = c.rewards[:, 0]
    return per_instance(arithmetic.maximum(rewards, axis=-1) - arithmetic.minimum(rewards, axis=-1))


@define("worst_reward", r"r_{\min}", "instance")
def _worst_reward(c: Context) -> Array:
    """Smallest expected reward of a bandit, in reward units."""
    return per_instance(arithmetic.minimum(c.rewards[:, 0], axis=-1))


@define("successor_variance", r"\textstyle\sum_s \mathrm{Var}_{P_\pi(\cdot|s)} V^\pi", "step")
def _successor_variance(c: Context) -> Array:
    """Sum over the states of the variance of the next state's value, in squared reward units."""
    mean = np.einsum("brst,brt->brs", c.chain, c.values)
    square = np.einsum("brst,brt->brs", c.chain, c.values * c.values)
    return (square - mean * mean).sum(axis=-1)[..., None]


@define("streak_probability", r"\textstyle\prod_{k < t} \sigma(x_k)", "instance")
def _streak_probability(c: Context) -> Array:
    """Product over the pulls of sigma(x_k), with x_0 = 0 and x_{k+1} = x_k + eta r_min / sigma(x_k): every pull takes the worse of two arms."""
    worst, eta = arithmetic.minimum(c.rewards[:, 0], axis=-1), given(c, "eta")
    pulls = np.array([int(float(n)) for n in given(c, "pulls")])
    x, product = worst * 0, worst * 0 + 1
    for k in range(int(pulls.max())):
        worse = 1 / (1 + arithmetic.exp(-x))
        product = np.where(k < pulls, product * worse, product)
        x = x + eta * worst / worse
    return per_instance(product)
