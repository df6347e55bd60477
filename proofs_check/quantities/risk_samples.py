"""What plug-in estimates of risk expect, exactly: the risk of the empirical law of n samples, summed over all samples.

The law is the pair of extras p and x of `risk_measures`; n is the setting `samples`.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from pgtheory.risk import exponential
from pgtheory.risk import tail as tails
from proofs_check.numbers import to_float
from proofs_check.quantities.registry import define, given, per_instance
from proofs_check.quantities.risk_measures import law, mean, quantile

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


@functools.cache
def samples_of(count: int, outcomes: int) -> tuple[Array, Array]:
    """Every way in which `count` samples fall on `outcomes` values: counts (M, N), and the number of orders of each (M,), whole numbers."""
    cuts = itertools.combinations(range(count + outcomes - 1), outcomes - 1)
    rows = [[b - a - 1 for a, b in itertools.pairwise((-1, *cut, count + outcomes - 1))] for cut in cuts]
    orders = [math.factorial(count) // math.prod(math.factorial(k) for k in row) for row in rows]
    return np.array(rows), np.array(orders, dtype=object)


def expected_plug_in(c: Context, measure: Callable[[Array, Array], Array], more: int = 0) -> Array:
    """E measure(P_n, x) over n i.i.d. samples, n = the setting `samples` plus `more`: (B, 1, 1).  measure takes laws (B, M, N)."""
    p, x = law(c)
    wanted = to_float(given(c, "samples")).astype(int) + more
    out = p[:, 0] * 0
    for n in np.unique(wanted).tolist():
        counts, chance = sample_chances(c, p, n)
        empirical = c.constant(counts)[None] / n
        values = measure(np.broadcast_to(empirical, (len(p), *counts.shape)), np.broadcast_to(x[:, None], (len(p), *counts.shape)))
        out = np.where(wanted == n, (chance * values).sum(axis=-1), out)
    return per_instance(out)


def sample_chances(c: Context, p: Array, n: int) -> tuple[Array, Array]:
    """Every way in which n independent draws from p (B, N) fall on its values: counts (M, N), and the probability of each (B, M)."""
    counts, orders = samples_of(n, p.shape[-1])
    powers = [p * 0 + 1]
    for _ in range(n):
        powers.append(powers[-1] * p)
    table = np.stack(powers, axis=-1)  # (B, N, n + 1)
    chance = table[:, 0, counts[:, 0]]
    for i in range(1, p.shape[-1]):
        chance = chance * table[:, i, counts[:, i]]
    return counts, chance * (orders.astype(np.float64) if c.kind == "float" else orders)


def _cvar_of(c: Context, sign: int = 1) -> Callable[[Array, Array], Array]:
    return lambda p, x: sign * tails.cvar(p, sign * x, given(c, "tail")[:, None])


def _erm_of(c: Context) -> Callable[[Array, Array], Array]:
    beta = given(c, "aversion")[:, None]

    def measure(p: Array, x: Array) -> Array:
        low = arithmetic.minimum(x[:, :1], axis=-1)
        weights = arithmetic.exp((low[..., None] - x[:, :1]) * beta[..., None])  # the same for every sample
        return low - arithmetic.log((p * weights).sum(axis=-1)) / beta

    return measure


@define("plug_in_cvar", r"\mathbb{E}\,\mathrm{CVaR}_\alpha(P_n)", "instance")
def _plug_in_cvar(c: Context) -> Array:
    """Expected CVaR of the empirical law of n samples, in reward units."""
    return expected_plug_in(c, _cvar_of(c))


@define("plug_in_cvar_more", r"\mathbb{E}\,\mathrm{CVaR}_\alpha(P_{n+1})", "instance")
def _plug_in_cvar_more(c: Context) -> Array:
    """Expected CVaR of the empirical law of one more sample, in reward units."""
    return expected_plug_in(c, _cvar_of(c), 1)


@define("plug_in_cost_cvar", r"\mathbb{E}[-\mathrm{CVaR}_\alpha(-P_n)]", "instance")
def _plug_in_cost_cvar(c: Context) -> Array:
    """Expected upper-tail CVaR of the empirical law of n samples of a cost, in cost units."""
    return expected_plug_in(c, _cvar_of(c, -1))


@define("plug_in_quantile", r"\mathbb{E}\,\mathrm{VaR}_\alpha(P_n)", "instance")
def _plug_in_quantile(c: Context) -> Array:
    """Expected lower quantile of the empirical law of n samples, in reward units."""
    return expected_plug_in(c, lambda p, x: tails.var(p, x, given(c, "tail")[:, None]))


@define("law_quantile", r"\mathrm{VaR}_\alpha(X)", "instance")
def _law_quantile(c: Context) -> Array:
    """Lower quantile of a law, in reward units."""
    return per_instance(quantile(*law(c), given(c, "tail")))


@define("plug_in_erm", r"\mathbb{E}\,\mathrm{ERM}_\beta(P_n)", "instance")
def _plug_in_erm(c: Context) -> Array:
    """Expected entropic risk of the empirical law of n samples, in reward units."""
    return expected_plug_in(c, _erm_of(c))


@define("plug_in_erm_more", r"\mathbb{E}\,\mathrm{ERM}_\beta(P_{n+1})", "instance")
def _plug_in_erm_more(c: Context) -> Array:
    """Expected entropic risk of the empirical law of one more sample, in reward units."""
    return expected_plug_in(c, _erm_of(c), 1)


@define("plug_in_evar", r"\mathbb{E}\,\mathrm{EVaR}_\alpha(P_n)", "instance")
def _plug_in_evar(c: Context) -> Array:
    """Expected EVaR of the empirical law of n samples, in reward units."""
    return expected_plug_in(c, lambda p, x: exponential.evar(p, x, given(c, "tail")[:, None]))


def _weights(c: Context) -> tuple[Array, Array]:
    """Z_i = exp(-beta x_i) times exp(beta min x), which makes the largest 1, and that minimum: (B, N), (B,)."""
    _, x = law(c)
    low = arithmetic.minimum(x, axis=-1)
    return arithmetic.exp((low[:, None] - x) * given(c, "aversion")[:, None]), low


@define("plug_in_bias_bound", r"\frac{\mathrm{Var}(Z)}{2\beta n\,(\min Z)^2},\ Z=e^{-\beta X}", "instance")
def _plug_in_bias_bound(c: Context) -> Array:
    """Variance of Z = exp(-beta X) over 2 beta n times the square of its smallest value, in reward units."""
    z, _ = _weights(c)
    least = arithmetic.minimum(z, axis=-1)
    return per_instance(_z_variance(c, z) / (least * least * given(c, "aversion") * given(c, "samples") * 2))


@define("plug_in_bias_first_order", r"\frac{\mathrm{Var}(Z)}{2\beta n\,(\mathbb{E}Z)^2},\ Z=e^{-\beta X}", "instance")
def _plug_in_bias_first_order(c: Context) -> Array:
    """The same with the mean of Z in place of its smallest value: what the bias is to first order in 1/n, in reward units."""
    z, _ = _weights(c)
    centre = mean(c.extra("p"), z)
    return per_instance(_z_variance(c, z) / (centre * centre * given(c, "aversion") * given(c, "samples") * 2))


def _z_variance(c: Context, z: Array) -> Array:
    p = c.extra("p")
    away = z - mean(p, z)[:, None]
    return (p * away * away).sum(axis=-1)


@define("plug_in_weight", r"\mathbb{E}\,\tfrac1n\textstyle\sum_i e^{-\beta X_i}", "instance")
def _plug_in_weight(c: Context) -> Array:
    """Expected mean of Z = exp(-beta (X - min X)) over n samples."""
    z, _ = _weights(c)
    return expected_plug_in(c, lambda p, x: (p * z[:, None]).sum(axis=-1))


@define("law_weight", r"\mathbb{E}\,e^{-\beta X}", "instance")
def _law_weight(c: Context) -> Array:
    """Mean of Z = exp(-beta (X - min X))."""
    return per_instance(mean(c.extra("p"), _weights(c)[0]))
