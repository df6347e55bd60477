"""What no learner can avoid, and what a fit costs: stuck sampled ascent, two laws that look alike, plans made in a fitted model.

Sampled ascent: arm 1 pays 1 or -1 with mean D, arm 2 pays 0; theta += eta x (e_A - p) from equal arms.  Only a pull of arm 1 moves anything, so a
run is told by the outcomes of that arm, and all runs of T rounds are followed.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.numbers import smaller, to_float
from proofs_check.quantities.registry import define, define_setting, given, per_instance
from proofs_check.quantities.regret import of_rounds
from proofs_check.robust import exactly_known, optimum

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
define_setting("streak", "n", "number of losses in a row")


# Sampled ascent that gets stuck


def _favour(place: Array) -> Array:
    """1/(1 + e^{-2x}), the probability of arm 1 where its logit is x and the other's -x."""
    return 1 / (1 + arithmetic.exp(-2 * place))


def _pulled(place: Array, chance: Array, mean: Array, eta: Array) -> tuple[Array, Array]:
    """(places, probabilities) (B, 2N) after a pull of arm 1 at places (B, N): strings of outcomes in their order."""
    step = eta[:, None] * (1 - _favour(place))
    moved = np.stack([place + step, place - step], axis=-1)
    came = np.stack([chance * ((1 + mean) / 2)[:, None], chance * ((1 - mean) / 2)[:, None]], axis=-1)
    return moved.reshape(len(place), -1), came.reshape(len(place), -1)


@define("ascent_regret", r"R_T", "instance")
def _ascent_regret(c: Context) -> Array:
    """Expected regret of sampled ascent over every sequence of pulls and outcomes, in reward units."""
    mean, eta, rounds = c.extra("mean_of_coin"), given(c, "eta"), int(to_float(given(c, "rounds")).max())
    none = mean * 0
    layers = [(none[:, None], none[:, None] + 1)]  # by the number of pulls of arm 1: (place, probability) of every string of outcomes
    total, out = none, []
    for _ in range(rounds):
        total = total + mean * sum((chance * (1 - _favour(place))).sum(axis=-1) for place, chance in layers)
        out.append(total)
        stayed = [(place, chance * (1 - _favour(place))) for place, chance in layers]
        came = [_pulled(place, chance * _favour(place), mean, eta) for place, chance in layers]
        layers = [stayed[0], *((place, late + new) for (place, late), (_, new) in zip(stayed[1:], came, strict=False)), came[-1]]
    return per_instance(of_rounds(c, out))


def _after_streak(c: Context) -> Array:
    """Probability of arm 1 after each instance's own number of losses in a row: (B,)."""
    wanted, place = to_float(given(c, "streak")).astype(int), c.extra("mean_of_coin") * 0
    out = _favour(place)
    for k in range(1, int(wanted.max()) + 1):
        place = place - given(c, "eta") * (1 - _favour(place))
        out = np.where(wanted == k, _favour(place), out)
    return out


@define("stuck_rounds", r"\left(1-(1-q_n)^T\right)/q_n", "instance")
def _stuck_rounds(c: Context) -> Array:
    """Sum of (1 - q)^t over the T rounds t = 0, 1, ..., q the probability of arm 1 after n losses in a row."""
    stay, total, power, out = 1 - _after_streak(c), c.discount * 0, c.discount * 0 + 1, []
    for _ in range(int(to_float(given(c, "rounds")).max())):
        total = total + power
        power = power * stay
        out.append(total)
    return per_instance(of_rounds(c, out))


@define("mean_of_coin", r"\Delta", "instance")
def _mean_of_coin(c: Context) -> Array:
    """Mean of an arm that pays 1 or -1."""
    return per_instance(c.extra("mean_of_coin"))


# Two laws that look alike


def _powers(base: Array, top: int) -> Array:
    """(B, N + 1): 1, x, x^2, ..."""
    if base.dtype != object:
        return base[:, None] ** np.arange(top + 1)
    out = [base * 0 + 1]
    for _ in range(top):
        out.append(out[-1] * base)
    return np.stack(out, axis=-1)


def binomial_law(c: Context, chance: Array) -> Array:
    """(B, N + 1): the law of the number of ones among each instance's own number of samples, for the chance (B,) of a one; 0 beyond that number."""
    wanted = to_float(given(c, "samples")).astype(int)
    top = int(wanted.max())
    out = np.stack([chance * 0] * (top + 1), axis=-1)
    for n in np.unique(wanted).tolist():
        ways = np.array([math.comb(n, k) if k <= n else 0 for k in range(top + 1)], dtype=float if chance.dtype != object else object)
        left = np.maximum(n - np.arange(top + 1), 0)
        law = ways * _powers(chance, top) * _powers(1 - chance, top)[:, left]
        out = np.where((wanted == n)[:, None], law, out)
    return out


@define("least_test_error", r"\textstyle\sum_k\min(P(k),Q(k))", "instance")
def _least_test_error(c: Context) -> Array:
    """Sum of both error probabilities of the best test between two coins after n tosses."""
    return per_instance(smaller(binomial_law(c, c.extra("one_coin")), binomial_law(c, c.extra("other_coin"))).sum(axis=-1))


@define("affinity", r"\textstyle\sum_k\sqrt{P(k)Q(k)}", "instance")
def _affinity(c: Context) -> Array:
    """Sum of the square roots of the products of the probabilities, over the numbers of ones among n tosses."""
    return per_instance(arithmetic.sqrt(binomial_law(c, c.extra("one_coin")) * binomial_law(c, c.extra("other_coin"))).sum(axis=-1))


@define("coin_divergence", r"\min(\mathrm{KL}(p\Vert p'),\mathrm{KL}(p'\Vert p))", "instance")
def _coin_divergence(c: Context) -> Array:
    """The smaller of the two divergences of two coins, one toss."""
    p, q = c.extra("one_coin"), c.extra("other_coin")

    def divergence(a: Array, b: Array) -> Array:
        return a * arithmetic.log(a / b) + (1 - a) * arithmetic.log((1 - a) / (1 - b))

    return per_instance(smaller(divergence(p, q), divergence(q, p)))


# Plans made in a fitted model


def _stay(policy: Array, nominal: Array, values: Array) -> Array:
    """Nature without a choice."""
    return np.broadcast_to(nominal, (*policy.shape, nominal.shape[-1]))


def _best(c: Context, transitions: Array) -> Array:
    """Optimal action values (B, S, A) under these transitions."""
    values = optimum(dataclasses.replace(c, transitions=transitions), _stay).values
    return c.rewards + c.discount[:, None, None] * np.einsum("bsat,bt->bsa", transitions, values)


@define("fitted_plan_error", r"\lVert\hat Q^*-Q^*\rVert_\infty", "instance")
@exactly_known
def _fitted_plan_error(c: Context) -> Array:
    """Largest error of the optimal action values of a fitted model, in reward units."""
    apart = arithmetic.absolute(_best(c, c.extra("fitted_kernel")) - _best(c, c.transitions))
    return per_instance(arithmetic.maximum(apart.reshape(len(apart), -1), axis=-1))


@define("next_value_error", r"\lVert(\hat P-P)V^*\rVert_\infty", "instance")
@exactly_known
def _next_value_error(c: Context) -> Array:
    """Largest error of a fitted model's expectation of the true optimal values, in reward units."""
    values = optimum(c, _stay).values
    apart = arithmetic.absolute(np.einsum("bsat,bt->bsa", c.extra("fitted_kernel") - c.transitions, values))
    return per_instance(arithmetic.maximum(apart.reshape(len(apart), -1), axis=-1))
