"""Risk measures of finite laws: CVaR in its three forms, entropic risk, EVaR, laws of two stages.

A law is a pair of extras p (N,) and x (N,): reward x_i with probability p_i, small rewards are bad.  The functions of `pgtheory.risk` are one side of
each identity; the other side is computed here in another way: enumeration of vertices, search over one scalar.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from flint import arb

from pgtheory import arithmetic
from pgtheory.risk import exponential
from pgtheory.risk import tail as tails
from pgtheory.risk.tail import positive
from proofs_check.numbers import smaller
from proofs_check.quantities.registry import define, define_setting, given, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
define_setting("tail", r"\alpha", "level of CVaR or EVaR: the fraction of the mass that counts as bad, in (0, 1]")
define_setting("aversion", r"\beta", "risk aversion of the entropic risk measure, in 1 over reward units")
define_setting("deviation", r"\sigma", "standard deviation of a normal law, in reward units")
ROUNDING = 1e-12
"""Mass by which a float64 vertex of a density ball may miss a constraint: a few sums of probabilities, each off by an ulp."""


def law(c: Context) -> tuple[Array, Array]:
    """(p, x), each (B, N)."""
    return c.extra("p"), c.extra("x")


def mean(p: Array, x: Array) -> Array:
    """E X, (...,)."""
    return (p * x).sum(axis=-1)


# CVaR


@define("cvar_sorted", r"\tfrac1\alpha\int_0^\alpha F^{-1}_X(u)\,du", "instance")
def _cvar_sorted(c: Context) -> Array:
    """CVaR of a law: mean of its worst outcomes of total mass alpha, by sorting, in reward units."""
    return per_instance(tails.cvar_worst(*law(c), given(c, "tail"))[0])


@define("cvar_sup_form", r"\max_{i}\left\{x_i-\tfrac1\alpha\mathbb{E}(x_i-X)_+\right\}", "instance")
def _cvar_sup_form(c: Context) -> Array:
    """Largest value of eta - E(eta - X)_+ / alpha over the outcomes eta, in reward units."""
    p, x = law(c)
    return per_instance(arithmetic.maximum(sup_terms(p, x, given(c, "tail")), axis=-1))


def sup_terms(p: Array, x: Array, level: Array) -> Array:
    """x_i - E(x_i - X)_+ / level for every outcome i: (..., N)."""
    short = positive(x[..., :, None] - x[..., None, :])
    return x - (p[..., None, :] * short).sum(axis=-1) / level[..., None]


@define("cvar_at_threshold", r"\eta-\tfrac1\alpha\mathbb{E}(\eta-X)_+", "instance")
def _cvar_at_threshold(c: Context) -> Array:
    """The same at any threshold eta, in reward units."""
    return per_instance(tails.cvar_sup(*law(c), given(c, "tail"), c.extra("eta")))


@define("cvar_at_quantile", r"x_\alpha-\tfrac1\alpha\mathbb{E}(x_\alpha-X)_+", "instance")
def _cvar_at_quantile(c: Context) -> Array:
    """The same at the lower alpha-quantile of the law, in reward units."""
    p, x = law(c)
    return per_instance(tails.cvar_sup(p, x, given(c, "tail"), quantile(p, x, given(c, "tail"))))


def quantile(p: Array, x: Array, level: Array) -> Array:
    """Smallest possible outcome v with P(X <= v) >= level, without sorting: (...,); the largest outcome where rounding leaves none."""
    below = (p[..., None, :] * _indicator(~_less(x[..., :, None], x[..., None, :]), p)).sum(axis=-1)
    enough = ~_less(below, np.broadcast_to(level[..., None], below.shape)) & _less(p * 0, p)
    top = arithmetic.maximum(x, axis=-1)[..., None]
    return arithmetic.minimum(np.where(enough, x, top), axis=-1)


def _less(a: Array, b: Array) -> Array:
    return np.asarray(arithmetic.less(a, b), dtype=bool)


def _indicator(mask: Array, like: Array) -> Array:
    return mask.astype(np.float64) if arithmetic.kind(like) == "float" else mask.astype(object) * (like.reshape(-1)[0] * 0 + 1)


@define("cvar_density_ball", r"\min\{\mathbb{E}_qX:\ 0\le q\le p/\alpha\}", "instance")
def _cvar_density_ball(c: Context) -> Array:
    """Smallest mean over the laws with density at most 1/alpha: the linear program, by enumeration of its vertices, in reward units."""
    return per_instance(least_over_vertices(*law(c), given(c, "tail")))


def least_over_vertices(p: Array, x: Array, level: Array) -> Array:
    """min q.x over q in the simplex with q <= p/level: at a vertex all entries but one are 0 or p_i/level.  (..., N) -> (...,); no balls."""
    count = x.shape[-1]
    cap = p / level[..., None]
    slack = ROUNDING if arithmetic.kind(p) == "float" else 0
    best = arithmetic.maximum(x, axis=-1)
    for j in range(count):
        others = [i for i in range(count) if i != j]
        for full in itertools.chain.from_iterable(itertools.combinations(others, k) for k in range(count)):
            used = functools.reduce(lambda a, b: a + b, (cap[..., i] for i in full), cap[..., j] * 0)
            paid = functools.reduce(lambda a, b: a + b, (cap[..., i] * x[..., i] for i in full), cap[..., j] * 0)
            rest = 1 - used
            feasible = np.asarray((rest >= -slack) & (rest <= cap[..., j] + slack), dtype=bool)
            best = np.where(feasible, smaller(best, paid + rest * x[..., j]), best)
    return best


@define("mean_below_quantile", r"\mathbb{E}[X\mid X\le x_\alpha]", "instance")
def _mean_below_quantile(c: Context) -> Array:
    """Conditional mean of the outcomes up to the alpha-quantile, in reward units."""
    p, x = law(c)
    kept = p * _indicator(~_less(quantile(p, x, given(c, "tail"))[..., None] + x * 0, x), p)
    return per_instance((kept * x).sum(axis=-1) / kept.sum(axis=-1))


@define("cvar_upper", r"-\mathrm{CVaR}_\alpha(-X)", "instance")
def _cvar_upper(c: Context) -> Array:
    """Mean of the best outcomes of total mass alpha: what CVaR is of a cost, in reward units."""
    p, x = law(c)
    return per_instance(-tails.cvar(p, -x, given(c, "tail")))


# Entropic risk


@define("law_mean", r"\mathbb{E}X", "instance")
def _law_mean(c: Context) -> Array:
    """Mean of a law, in reward units."""
    return per_instance(mean(*law(c)))


@define("law_least", r"\min X", "instance")
def _law_least(c: Context) -> Array:
    """Smallest outcome of a law, of probability 0 or not, in reward units."""
    return per_instance(arithmetic.minimum(c.extra("x"), axis=-1))


@define("law_range", r"\max X-\min X", "instance")
def _law_range(c: Context) -> Array:
    """Largest minus smallest outcome of a law, in reward units."""
    x = c.extra("x")
    return per_instance(arithmetic.maximum(x, axis=-1) - arithmetic.minimum(x, axis=-1))


@define("law_erm", r"\mathrm{ERM}_\beta(X)", "instance")
def _law_erm(c: Context) -> Array:
    """Entropic risk -(1/beta) log E exp(-beta X) of a law, in reward units."""
    return per_instance(exponential.entropic(*law(c), given(c, "aversion")))


@define("tilted_objective", r"\mathbb{E}_{q_\beta}X+\tfrac1\beta\mathrm{KL}(q_\beta\Vert p),\ q_\beta\propto pe^{-\beta X}", "instance")
def _tilted_objective(c: Context) -> Array:
    """Mean plus penalty, both written out, at the law tilted by exp(-beta X), in reward units."""
    p, x = law(c)
    beta = given(c, "aversion")
    low = arithmetic.minimum(x, axis=-1)
    weights = p * arithmetic.exp((low[..., None] - x) * beta[..., None])
    q = weights / weights.sum(axis=-1)[..., None]
    return per_instance(mean(q, x) + exponential.kl(q, p) / beta)


@define("any_law_objective", r"\mathbb{E}_qX+\tfrac1\beta\mathrm{KL}(q\Vert p)", "instance")
def _any_law_objective(c: Context) -> Array:
    """Mean plus penalty at another law, in reward units."""
    p, x = law(c)
    return per_instance(mean(c.extra("q"), x) + exponential.kl(c.extra("q"), p) / given(c, "aversion"))


@define("scaled_law_erm", r"\mathrm{ERM}_\beta(\gamma X)", "instance")
def _scaled_law_erm(c: Context) -> Array:
    """Entropic risk of the outcomes times a factor in (0, 1], in reward units."""
    p, x = law(c)
    return per_instance(exponential.entropic(p, x * given(c, "factor")[..., None], given(c, "aversion")))


@define("law_erm_at_scaled_level", r"\mathrm{ERM}_{\gamma\beta}(X)", "instance")
def _law_erm_at_scaled_level(c: Context) -> Array:
    """Entropic risk at that factor times the risk aversion, in reward units."""
    return per_instance(exponential.entropic(*law(c), given(c, "aversion") * given(c, "factor")))


define_setting("factor", r"\gamma", "a factor in (0, 1] that outcomes are multiplied by")


# EVaR


@define("law_evar", r"\mathrm{EVaR}_\alpha(X)", "instance")
def _law_evar(c: Context) -> Array:
    """EVaR of a law, in reward units; a ball encloses it between the dual form at one beta and the mean of one law of the divergence ball."""
    return per_instance(exponential.evar(*law(c), given(c, "tail")))


@define("evar_tilted_mean", r"\min\{\mathbb{E}_qX:\ \mathrm{KL}(q\Vert p)\le-\log\alpha\}", "instance")
def _evar_tilted_mean(c: Context) -> Array:
    """Mean of the tilted law at the boundary of the divergence ball, found by bisection, in reward units."""
    p, x = law(c)
    _, worst = exponential.evar_worst(p, x, given(c, "tail"))
    return per_instance(mean(worst, x))


GOLDEN = (math.sqrt(5) - 1) / 2


@define("evar_scalar_search", r"\sup_{\beta>0}\left\{\mathrm{ERM}_\beta(X)+\tfrac1\beta\log\alpha\right\}", "instance")
def _evar_scalar_search(c: Context) -> Array:
    """The dual form by golden section over 1/beta, in which it is concave; the maximiser is at most the range over sqrt(-8 log alpha)."""
    p, x = law(c)
    level = given(c, "tail")
    if c.kind != "float":
        raise arithmetic.Undecided("a search in floats; each of its values is a lower bound, which another form certifies")
    low = np.where(p > 0, x, np.inf).min(axis=-1)
    top = (x.max(axis=-1) - x.min(axis=-1)) / np.sqrt(-8 * np.log(level)) + 1e-300

    def value(t: Array) -> Array:
        with np.errstate(under="ignore", divide="ignore"):
            total = (p * np.exp(np.where(p > 0, (low[:, None] - x) / t[:, None], 0.0))).sum(axis=-1)
            return low - t * np.log(total) + t * np.log(level)

    left, right = top * 0, top
    for _ in range(100):
        first, second = right - GOLDEN * (right - left), left + GOLDEN * (right - left)
        rising = value(np.maximum(first, 1e-300)) < value(np.maximum(second, 1e-300))
        left, right = np.where(rising, first, left), np.where(rising, right, second)
    return per_instance(np.maximum(value(np.maximum((left + right) / 2, 1e-300)), low))


@define("evar_at_aversion", r"\mathrm{ERM}_\beta(X)+\tfrac1\beta\log\alpha", "instance")
def _evar_at_aversion(c: Context) -> Array:
    """The dual form of EVaR at any beta, in reward units."""
    beta = given(c, "aversion")
    return per_instance(exponential.entropic(*law(c), beta) + arithmetic.log(given(c, "tail")) / beta)


@define("any_law_mean", r"\mathbb{E}_qX", "instance")
def _any_law_mean(c: Context) -> Array:
    """Mean of the outcomes under another law, in reward units."""
    return per_instance(mean(c.extra("q"), c.extra("x")))


@define("any_law_divergence", r"\mathrm{KL}(q\Vert p)", "instance")
def _any_law_divergence(c: Context) -> Array:
    """Divergence of another law from the given one."""
    if c.kind == "rational":
        raise TypeError("a logarithm leaves the rationals")
    return per_instance(exponential.kl(c.extra("q"), c.extra("p")))


@define("evar_wrong_radius", r"\mathrm{EVaR}_{1-\alpha}(X)", "instance")
def _evar_wrong_radius(c: Context) -> Array:
    """Smallest mean over the divergence ball of radius -log(1 - alpha), in reward units."""
    return per_instance(exponential.evar(*law(c), 1 - given(c, "tail")))


@define("law_cvar", r"\mathrm{CVaR}_\alpha(X)", "instance")
def _law_cvar(c: Context) -> Array:
    """CVaR of a law, in reward units."""
    return per_instance(tails.cvar(*law(c), given(c, "tail")))


@define("normal_level", r"\Phi(z)", "instance")
def _normal_level(c: Context) -> Array:
    """Probability that a standard normal variable is at most z."""
    return per_instance(_elementary(c, lambda z: (-z / arb(2).sqrt()).erfc() / 2, lambda z: math.erfc(-z / math.sqrt(2)) / 2))


@define("normal_density", r"\varphi(z)", "instance")
def _normal_density(c: Context) -> Array:
    """Density of a standard normal variable at z."""
    root = math.sqrt(2 * math.pi)
    return per_instance(_elementary(c, lambda z: (-z * z / 2).exp() / (arb.pi() * 2).sqrt(), lambda z: math.exp(-z * z / 2) / root))


def _elementary(c: Context, ball: Callable[[Any], Any], plain: Callable[[float], float]) -> Array:
    z = c.extra("z")
    if c.kind == "rational":
        raise TypeError("exp leaves the rationals")
    return arithmetic.elementwise(ball, z) if c.kind == "ball" else np.array([plain(float(v)) for v in z])


# Two stages: first Y, then X given Y


def _stages(c: Context) -> tuple[Array, Array, Array]:
    return c.extra("first"), c.extra("second"), c.extra("outcomes")


def mixed(first: Array, second: Array, outcomes: Array) -> tuple[Array, Array]:
    """The law of the outcome after both stages: (B, I), (B, I, K), (B, I, K) -> probabilities and outcomes (B, I K)."""
    joint = first[..., None] * second
    return joint.reshape(len(joint), -1), outcomes.reshape(len(outcomes), -1)


@define("static_cvar", r"\mathrm{CVaR}_\alpha(X)", "instance")
def _static_cvar(c: Context) -> Array:
    """CVaR of the outcome of two stages, seen from the start, in reward units."""
    return per_instance(tails.cvar(*mixed(*_stages(c)), given(c, "tail")))


@define("static_cvar_squared_level", r"\mathrm{CVaR}_{\alpha^2}(X)", "instance")
def _static_cvar_squared_level(c: Context) -> Array:
    """CVaR of the same outcome at the level alpha squared, in reward units."""
    level = given(c, "tail")
    return per_instance(tails.cvar(*mixed(*_stages(c)), level * level))


def conditional_cvar(c: Context) -> Array:
    """CVaR of the second stage given the first, (B, I)."""
    _, second, outcomes = _stages(c)
    return tails.cvar(second, outcomes, given(c, "tail")[:, None])


@define("nested_cvar", r"\mathrm{CVaR}_\alpha(\mathrm{CVaR}_\alpha(X|Y))", "instance")
def _nested_cvar(c: Context) -> Array:
    """CVaR over the first stage of the CVaRs of the second, in reward units."""
    return per_instance(tails.cvar(c.extra("first"), conditional_cvar(c), given(c, "tail")))


@define("mean_conditional_cvar", r"\mathbb{E}\,\mathrm{CVaR}_\alpha(X|Y)", "instance")
def _mean_conditional_cvar(c: Context) -> Array:
    """Mean over the first stage of the CVaRs of the second, in reward units."""
    return per_instance(mean(c.extra("first"), conditional_cvar(c)))


@define("worst_conditional_cvar", r"\min_y\mathrm{CVaR}_\alpha(X|Y=y)", "instance")
def _worst_conditional_cvar(c: Context) -> Array:
    """Smallest of the CVaRs of the second stage over the first outcomes of positive probability, in reward units."""
    each, first = conditional_cvar(c), c.extra("first")
    possible = _less(first * 0, first)
    return per_instance(arithmetic.minimum(np.where(possible, each, arithmetic.maximum(each, axis=-1)[..., None]), axis=-1))


@define("two_stage_mean", r"\mathbb{E}X", "instance")
def _two_stage_mean(c: Context) -> Array:
    """Mean of the outcome of two stages, in reward units."""
    return per_instance(mean(*mixed(*_stages(c))))


@define("two_stage_least", r"\min X", "instance")
def _two_stage_least(c: Context) -> Array:
    """Smallest outcome of two stages of positive probability, in reward units."""
    p, x = mixed(*_stages(c))
    return per_instance(tails.cvar(p, x, given(c, "tail") * 0) if c.kind != "ball" else arithmetic.minimum(x, axis=-1))
