"""Exact probabilities of deviations: sums of independent draws on a lattice, coins, and every path of a small tree of dependent draws.

Sums: draws from the extra `lattice_law` on 0, 1/2, 1, as many as `samples`; `rank` says at which point of the lattice a bound is judged: the
probability jumps there, and nowhere else can the bound be closer.  Coins: the extra `coin`.  Trees: in round t the node reached by the outcomes so
far draws (1 - p) w with probability p and -p w with 1 - p, mean 0, p from the extra `branch_chance` and w from `branch_scale` (31 nodes, heap
order: the children of node k are 2k + 1 after the larger outcome and 2k + 2 after the smaller).
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from flint import fmpq_poly

from pgtheory import arithmetic
from proofs_check.numbers import larger, smaller, to_float
from proofs_check.quantities.lower_bounds import binomial_law
from proofs_check.quantities.registry import define, define_setting, given, per_instance
from proofs_check.robust import exactly_known

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
TREE = 5
"""Rounds of a tree."""
define_setting("rank", "j", "which point of a lattice or which distance, counted from 1")
define_setting("failure", r"\delta", "probability with which a statement may fail")
define_setting("prior", r"\rho", "number of draws that the mixing law is worth")


def _draws(c: Context) -> Array:
    return to_float(given(c, "samples")).astype(int)


# Sums on a lattice


def _law_mean(c: Context) -> Array:
    law = c.extra("lattice_law")
    return law[:, 1] / 2 + law[:, 2]


def _sum_law(c: Context) -> Array:
    """(B, 2N + 1): the law of twice the sum of each instance's own number of draws, coefficients of a power of a polynomial; no balls."""
    law, wanted = c.extra("lattice_law"), _draws(c)
    out = np.zeros((len(law), 2 * int(wanted.max()) + 1), dtype=law.dtype) + law[:, :1] * 0
    if law.dtype == object:
        for row, chances, n in zip(out, law.tolist(), wanted.tolist(), strict=True):
            coefficients = (fmpq_poly(chances) ** n).coeffs()
            row[: len(coefficients)] = coefficients
        return out
    sums = out.copy()
    sums[:, 0] = 1
    for n in range(1, int(wanted.max()) + 1):
        sums = law[:, :1] * sums + law[:, 1:2] * _moved(sums, 1) + law[:, 2:] * _moved(sums, 2)
        out[wanted == n] = sums[wanted == n]
    return out


def _moved(row: Array, by: int) -> Array:
    return np.concatenate([np.zeros((len(row), by)), row[:, :-by]], axis=-1)


def _points(c: Context) -> Array:
    """(B, 2N + 1): k/(2n) - mean for the lattice points k, -1 beyond the last one, k = 2n, of an instance with fewer draws than others."""
    law, draws = c.extra("lattice_law"), _draws(c)
    lattice = np.arange(2 * int(draws.max()) + 1)[None]
    points = (lattice + law[:, :1] * 0) / (2 * given(c, "samples")[:, None]) - _law_mean(c)[:, None]
    return np.where(lattice <= 2 * draws[:, None], points, points * 0 - 1)


def _picked(c: Context, values: Array) -> Array:
    """(B, K) -> (B, 1, 1): the entry at each instance's rank; entries beyond the last are the last."""
    rank = np.minimum(to_float(given(c, "rank")).astype(int) - 1, values.shape[-1] - 1)
    return per_instance(values[np.arange(len(rank)), rank])


def _above(c: Context, values: Array, beyond: int) -> Array:
    """The entries of (B, 2N + 1) at lattice points above the expectation first, `beyond` after them."""
    points = _points(c)
    order = np.argsort(~np.asarray(points > 0, dtype=bool), axis=-1, kind="stable")
    kept = np.where(np.asarray(points > 0, dtype=bool), values, values * 0 + beyond)
    return np.take_along_axis(kept, order, axis=-1)


@define("lattice_tail", r"P(\bar X-\mu\ge\epsilon)", "instance")
@exactly_known
def _lattice_tail(c: Context) -> Array:
    """Probability that the mean of n draws reaches a point of the lattice: the first, second, ... above the expectation."""
    tails = np.flip(np.cumsum(np.flip(_sum_law(c), axis=-1), axis=-1), axis=-1)
    return _picked(c, _above(c, tails, 0))


@define("lattice_excess", r"\epsilon", "instance")
@exactly_known
def _lattice_excess(c: Context) -> Array:
    """By how much that point exceeds the expectation; 1 where there is none."""
    return _picked(c, _above(c, _points(c), 1))


@define("lattice_variance", r"\sigma^2", "instance")
def _lattice_variance(c: Context) -> Array:
    """Variance of one draw."""
    law, mean = c.extra("lattice_law"), _law_mean(c)
    return per_instance(law[:, 1] / 4 + law[:, 2] - mean * mean)


@define("lattice_mean", r"\mu", "instance")
def _lattice_mean(c: Context) -> Array:
    """Expectation of one draw."""
    return per_instance(_law_mean(c))


def _cells(c: Context) -> tuple[Array, Array]:
    """(probabilities, distances in 1-norm) (B, cells) of the empirical distributions of each instance's own number of draws of three symbols."""
    law, wanted = c.extra("lattice_law"), _draws(c)
    chances: list[Array] = []
    distances: list[Array] = []
    for n in np.unique(wanted).tolist():
        mine = wanted == n
        powers = [law[mine] * 0 + 1]
        for _ in range(n):
            powers.append(powers[-1] * law[mine])
        for i, j in itertools.product(range(n + 1), repeat=2):
            if i + j > n:
                continue
            counts = np.array([i, j, n - i - j])
            ways = math.comb(n, i) * math.comb(n - i, j)
            for rows, value in (
                (chances, ways * powers[i][:, 0] * powers[j][:, 1] * powers[n - i - j][:, 2]),
                (distances, arithmetic.absolute((counts + law[mine] * 0) / n - law[mine]).sum(axis=-1)),
            ):
                row = law[:, 0] * 0
                row[mine] = value
                rows.append(row)
    return np.stack(chances, axis=-1), np.stack(distances, axis=-1)


@define("distance_tail", r"P(\lVert\hat p-p\rVert_1\ge\epsilon)", "instance")
@exactly_known
def _distance_tail(c: Context) -> Array:
    """Probability that the empirical distribution of n draws is at least as far away as the farthest, second farthest, ... one; 0 for no distance."""
    chances, distances = _cells(c)
    edge = _farthest(c)
    total = np.where(np.asarray(distances >= edge, dtype=bool), chances, chances * 0).sum(axis=-1)
    return per_instance(np.where(np.asarray(edge[:, 0] > 0, dtype=bool), total, total * 0))


def _farthest(c: Context) -> Array:
    """(B, 1): the distance at each instance's rank, the largest first; n draws have (n + 1)(n + 2)/2 empirical distributions."""
    distances, draws = _cells(c)[1], _draws(c)
    ordered = np.stack([np.array(sorted(row.tolist(), reverse=True), dtype=row.dtype) for row in distances])
    rank = np.minimum(to_float(given(c, "rank")).astype(int), (draws + 1) * (draws + 2) // 2)
    return ordered[np.arange(len(rank)), rank - 1][:, None]


@define("cell_distance", r"\epsilon_1", "instance")
@exactly_known
def _cell_distance(c: Context) -> Array:
    """That distance in 1-norm."""
    return per_instance(_farthest(c)[:, 0])


@define("symbols", r"\lvert\mathrm{supp}\,p\rvert", "instance")
def _symbols(c: Context) -> Array:
    """Number of symbols with positive probability."""
    return per_instance(c.constant((to_float(c.extra("lattice_law")) > 0).sum(axis=-1)))


# Coins


@define("empirical_bernstein_failure", r"P(\mu-\bar X>\epsilon(V_n))", "instance")
def _empirical_bernstein_failure(c: Context) -> Array:
    """Probability that the mean of n tosses is further below the chance of a one than sqrt(2 V log(2/delta)/n) + 7 log(2/delta)/(3(n-1))."""
    return per_instance(_below(c, rest=True))


@define("variance_only_failure", r"P(\mu-\bar X>\sqrt{2V_n\log(2/\delta)/n})", "instance")
def _variance_only_failure(c: Context) -> Array:
    """The same without the second term."""
    return per_instance(_below(c, rest=False))


def _below(c: Context, rest: bool) -> Array:
    coin, samples = c.extra("coin"), given(c, "samples")
    law, depth = binomial_law(c, coin), arithmetic.log(2 / given(c, "failure"))
    total = coin * 0
    for k in range(law.shape[-1]):
        share = smaller(k / samples, samples * 0 + 1)
        variance = share * (1 - share) * samples / (samples - 1)
        allowed = arithmetic.sqrt(2 * variance * depth / samples) + (7 * depth / (3 * (samples - 1)) if rest else 0)
        total = total + np.where(arithmetic.less(allowed, coin - share), law[:, k], coin * 0)
    return total


def _first_passage(c: Context, allowed: Any) -> Array:
    """(B,): probability that |ones - t p| > allowed(t) for some t up to the number of tosses."""
    coin, wanted = c.extra("coin"), _draws(c)
    inside, gone = [coin * 0 + 1], coin * 0
    for t in range(1, int(wanted.max()) + 1):
        nothing = coin * 0
        stay, win = [p * (1 - coin) for p in inside], [p * coin for p in inside]
        inside = [a + b for a, b in zip([*stay, nothing], [nothing, *win], strict=True)]
        edge = allowed(t)
        for k, chance in enumerate(inside):
            out = arithmetic.less(edge, arithmetic.absolute(k - t * coin)) & (t <= wanted)
            gone = gone + np.where(out, chance, nothing)
            inside[k] = np.where(out, nothing, chance)
    return gone


@define("mixture_failure", r"P(\exists t\le n:\lvert S_t-t\mu\rvert>\beta_t)", "instance")
def _mixture_failure(c: Context) -> Array:
    """Probability that a coin's ones ever differ from t times its chance by more than sqrt((t + rho)/4 log((t + rho)/(rho delta^2)))."""
    prior, delta = given(c, "prior"), given(c, "failure")
    return per_instance(_first_passage(c, lambda t: arithmetic.sqrt((t + prior) / 4 * arithmetic.log((t + prior) / (prior * delta * delta)))))


@define("unpaid_mixture_failure", r"P(\exists t\le n:\lvert S_t-t\mu\rvert>\sqrt{(t+\rho)\log(1/\delta)/2})", "instance")
def _unpaid_mixture_failure(c: Context) -> Array:
    """The same without the price of mixing, the logarithm of (t + rho)/rho."""
    prior, delta = given(c, "prior"), given(c, "failure")
    return per_instance(_first_passage(c, lambda t: arithmetic.sqrt((t + prior) * arithmetic.log(1 / delta) / 2)))


@define("mixture_mean", r"\mathbb{E}\sqrt{\rho/(n+\rho)}\,e^{2(S_n-n\mu)^2/(n+\rho)}", "instance")
def _mixture_mean(c: Context) -> Array:
    """Expectation of the mixed exponential of a coin's ones after n tosses, which the normal law of n draws of variance 1/4 would make 1."""
    return _mixture(c, 2)


@define("mixture_mean_doubled", r"\mathbb{E}\sqrt{\rho/(n+\rho)}\,e^{4(S_n-n\mu)^2/(n+\rho)}", "instance")
def _mixture_mean_doubled(c: Context) -> Array:
    """The same with twice the exponent."""
    return _mixture(c, 4)


def _mixture(c: Context, factor: int) -> Array:
    coin, samples, prior = c.extra("coin"), given(c, "samples"), given(c, "prior")
    law, total = binomial_law(c, coin), coin * 0
    for k in range(law.shape[-1]):
        away = smaller(k + samples * 0, samples) - samples * coin
        total = total + law[:, k] * arithmetic.exp(factor * away * away / (samples + prior))
    return per_instance(total * arithmetic.sqrt(prior / (samples + prior)))


# Trees


def _paths(c: Context) -> tuple[Array, list[Array], list[Array]]:
    """(chances (B, 32) of all paths, running sums and running conditional variances (B, 32) after each round)."""
    chance, scale = c.extra("branch_chance"), c.extra("branch_scale")
    weight, total, spent = [chance[:, :1] * 0 + 1], [], []
    place, used = chance[:, :1] * 0, chance[:, :1] * 0
    for t in range(TREE):
        nodes = slice(2**t - 1, 2 ** (t + 1) - 1)
        p, w = chance[:, nodes], scale[:, nodes]
        weight.append(_split(weight[-1] * p, weight[-1] * (1 - p)))
        place = _split(place + (1 - p) * w, place - p * w)
        used = _split(used + p * (1 - p) * w * w, used + p * (1 - p) * w * w)
        total.append(np.repeat(place, 2 ** (TREE - t - 1), axis=-1))
        spent.append(np.repeat(used, 2 ** (TREE - t - 1), axis=-1))
    return weight[-1], total, spent


def _split(up: Array, down: Array) -> Array:
    """(B, n), (B, n) -> (B, 2n), each outcome beside its twin."""
    return np.stack([up, down], axis=-1).reshape(len(up), -1)


def _reach(c: Context, within: Array | None) -> Array:
    """Probability that some partial sum reaches the level, while the conditional variances add up to no more than `within`."""
    weight, total, spent = _paths(c)
    level = c.extra("reach_level")[:, None]
    met = np.zeros(weight.shape, dtype=bool)
    for place, used in zip(total, spent, strict=True):
        reached = np.asarray(place >= level, dtype=bool)
        met |= reached if within is None else reached & np.asarray(used <= within[:, None], dtype=bool)
    return np.where(met, weight, weight * 0).sum(axis=-1)


@define("reach_probability", r"P(\exists t: S_t\ge a)", "instance")
@exactly_known
def _reach_probability(c: Context) -> Array:
    """Probability that a sum of five dependent draws of mean 0 ever reaches a level."""
    return per_instance(_reach(c, None))


@define("calm_reach_probability", r"P(\exists t: S_t\ge a,\ W_t\le v)", "instance")
@exactly_known
def _calm_reach_probability(c: Context) -> Array:
    """Probability that it does so while the conditional variances add up to no more than v."""
    return per_instance(_reach(c, c.extra("calm_variance")))


def _widths(c: Context, pick: Any) -> Array:
    scale = c.extra("branch_scale")
    total = c.discount * 0
    for t in range(TREE):
        row = scale[:, 2**t - 1 : 2 ** (t + 1) - 1]
        one = row[:, 0]
        for k in range(1, row.shape[1]):
            one = pick(one, row[:, k])
        total = total + one * one
    return per_instance(total)


@define("widest_squares", r"\textstyle\sum_tc_t^2", "instance")
def _widest_squares(c: Context) -> Array:
    """Sum over the rounds of the squared widest range of a draw."""
    return _widths(c, larger)


@define("narrowest_squares", r"\textstyle\sum_t\min c_t^2", "instance")
def _narrowest_squares(c: Context) -> Array:
    """The same with the narrowest range that a past of each round allows."""
    return _widths(c, smaller)


@define("reach_level", "a", "instance")
def _level(c: Context) -> Array:
    """A level that a sum may reach."""
    return per_instance(c.extra("reach_level"))


@define("calm_variance", "v", "instance")
def _calm(c: Context) -> Array:
    """What conditional variances may add up to."""
    return per_instance(c.extra("calm_variance"))
