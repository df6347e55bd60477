r"""E-processes and confidence sequences for the mean of a bounded variable, and what a test with n replications can see.

Let X_1, X_2, ... lie in [low, high] with E[X_i | past] <= m.  For a share lambda in [0, 1] of the wealth at stake the factor

    1 - lambda + lambda (X_i - low) / (m - low)  >=  0        has conditional expectation at most 1,

so the product over i is a nonnegative supermartingale, and so is an average of such products over several shares: E_n.  Ville's inequality bounds
P(some E_n >= 1/alpha) by alpha, whatever the stopping rule.  For X in {0, 1} the factor is the likelihood ratio of the probabilities
m + lambda (1 - m) and m: the same process tests P(event) <= m, exactly.  E[X] >= m is tested on low + high - X.

The shares are 1, 1/2, 1/4, ...: the best constant share is never more than a factor 2 away, and the average costs log(12) < 2.5 of log wealth.

Intervals come from the empirical Bernstein supermartingale: with a prediction c_i of X_i in [0, 1] made from the past, and
psi(l) = -log(1 - l) - l,   exp(l (X_i - mean) - psi(l) (X_i - c_i)^2) has conditional expectation at most 1 for l in [0, 1), because
exp(l x - psi(l) x^2) <= 1 + l x for x >= -1.  Derivations and sources: docs/theory/sampling.md.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import special

from mdps.errors import ModelError

Array = np.ndarray
SHARES = 2.0 ** -np.arange(12)
"""Shares of the wealth at stake."""
ROUNDING = 1e-9
"""How far outside its range, relative to the range's width, a float may lie by rounding: far more than any sum of a few thousand terms gives."""


@dataclasses.dataclass(frozen=True)
class Range:
    """What the K variables are known to lie in: arrays (K,)."""

    low: Array
    high: Array

    @classmethod
    def of(cls, low: object, high: object) -> Range:
        """From numbers or arrays; raises ModelError unless low < high everywhere."""
        first, last = np.broadcast_arrays(*np.atleast_1d(np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)))
        if not (np.isfinite(first).all() and np.isfinite(last).all() and (first < last).all()):
            raise ModelError(f"a bounded variable needs low < high, both finite; here {first.tolist()} and {last.tolist()}")
        return cls(first, last)

    def checked(self, values: Array) -> Array:
        """Values (n, K) clipped by rounding; raises ModelError where one is outside: the test would have no level."""
        slack = ROUNDING * (self.high - self.low)
        if not ((values >= self.low - slack).all() and (values <= self.high + slack).all()):
            worst = np.where(values < self.low, self.low - values, values - self.high).max()
            raise ModelError(f"a sampled value lies outside its stated range by {worst:.3g}: the test would have no level")
        return np.clip(values, self.low, self.high)

    def mirrored(self, values: Array) -> Array:
        """low + high - values: turns "at least" into "at most"."""
        return self.low + self.high - values


def log_factors(values: Array, most: Array, within: Range) -> Array:
    """(n, K, shares): logarithm of each replication's factor against E[X] <= most.

    A bound below the range is impossible: wealth is infinite.  One at the lower end, to rounding, is taken to lie `ROUNDING` of the range above it,
    which is no smaller a bound: values that differ from the end by rounding then win nothing, and others nearly everything."""
    width, slack = np.asarray(most, dtype=np.float64) - within.low, ROUNDING * (within.high - within.low)
    with np.errstate(all="ignore"):
        unit = np.where(width < -slack, np.inf, (values - within.low) / np.maximum(width, slack))
        return np.log1p(SHARES * (unit[..., None] - 1.0))


def log_wealth(sums: Array) -> Array:
    """(...,): log of the average wealth over the shares, from summed log factors (..., shares)."""
    return special.logsumexp(sums, axis=-1) - np.log(sums.shape[-1])


@dataclasses.dataclass
class Bets:
    """The e-processes of K hypotheses E[X_k] <= most_k, fed with blocks of replications."""

    most: Array
    within: Range
    sums: Array = dataclasses.field(init=False)
    count: int = 0

    def __post_init__(self) -> None:
        self.sums = np.zeros((np.broadcast(self.most, self.within.low).size, SHARES.size))

    def add(self, values: Array) -> None:
        """Bets on a block (n, K)."""
        self.sums = self.sums + log_factors(self.within.checked(values), self.most, self.within).sum(axis=0)
        self.count += len(values)

    def log_e(self) -> Array:
        """(K,): log of the e-values so far."""
        return log_wealth(self.sums)


def log_e_path(values: Array, most: object, within: Range) -> Array:
    """(n, K): log e-value after each replication, for values (n, K)."""
    return log_wealth(np.cumsum(log_factors(within.checked(values), np.asarray(most), within), axis=0))


# Intervals


@dataclasses.dataclass
class Interval:
    """A confidence sequence for K means, fed with blocks: valid at any time, shortest near `planned` replications.

    alpha   probability that a mean is ever outside, for each of the K and both sides together"""

    within: Range
    alpha: float
    planned: int
    count: int = 0
    total: Array = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        size = self.within.low.size
        self.total = np.zeros(size)
        self._squares, self._weights, self._weighted, self._penalty = (np.zeros(size) for _ in range(4))

    def add(self, values: Array) -> None:
        """Takes a block (n, K) in; the bets of each replication use what was seen before it only."""
        x = (self.within.checked(values) - self.within.low) / (self.within.high - self.within.low)
        steps = self.count + np.arange(len(x))[:, None]
        sums = self.total + np.vstack([np.zeros((1, x.shape[1])), np.cumsum(x, axis=0)[:-1]])
        guess = (0.5 + sums) / (steps + 1)
        errors = (x - guess) ** 2
        squares = self._squares + np.vstack([np.zeros((1, x.shape[1])), np.cumsum(errors, axis=0)[:-1]])
        variance = (0.25 + squares) / (steps + 1)
        share = np.minimum(np.sqrt(2 * np.log(2 / self.alpha) / (self.planned * variance)), 0.5)
        self._weights += share.sum(axis=0)
        self._weighted += (share * x).sum(axis=0)
        self._penalty += ((-np.log1p(-share) - share) * errors).sum(axis=0)
        self.total, self._squares = self.total + x.sum(axis=0), self._squares + errors.sum(axis=0)
        self.count += len(x)

    def mean(self) -> Array:
        """(K,): the plain averages, in the variables' own units."""
        return self.within.low + (self.within.high - self.within.low) * self.total / self.count

    def limits(self, alpha: float | None = None) -> tuple[Array, Array]:
        """(lower, upper), each (K,); at another level than the one that they are shortest at, if one is given."""
        level = self.alpha if alpha is None else alpha
        centre, radius = self._weighted / self._weights, (np.log(2 / level) + self._penalty) / self._weights
        width = self.within.high - self.within.low
        lower, upper = np.clip(centre - radius, 0, 1), np.clip(centre + radius, 0, 1)
        return self.within.low + width * lower, self.within.low + width * upper


def sub_gaussian_radius(count: object, sigma: float, alpha: float, planned: int) -> Array:
    """Half width of the confidence sequence for the mean of sigma-sub-Gaussian variables after `count` of them: Robbins' normal mixture.

    The mixture over l ~ N(0, 1 / (rho sigma^2)) of exp(l S - l^2 sigma^2 n / 2) is sqrt(rho / (n + rho)) exp(S^2 / (2 sigma^2 (n + rho))), which
    stays below 1/alpha for ever with probability 1 - alpha; rho makes it shortest near `planned`."""
    n = np.asarray(count, dtype=np.float64)
    rho = planned / (2 * np.log(1 / alpha) + np.log(1 + 2 * np.log(1 / alpha)))
    return sigma * np.sqrt((n + rho) * (2 * np.log(1 / alpha) + np.log((n + rho) / rho))) / n


# Power


def needed_successes(share: float, replications: int, log_threshold: float) -> int | None:
    """The fewest successes among `replications` two-point draws with which the e-value against P <= share reaches exp(log_threshold); None if
    even all do not suffice.  The e-value grows with the number of successes."""
    with np.errstate(all="ignore"):
        gain, loss = np.log1p(SHARES * (1 / share - 1)), np.log1p(-SHARES)

    def reaches(k: int) -> bool:
        failures = replications - k
        return bool(log_wealth(k * gain + (failures * loss if failures else 0.0)) >= log_threshold)

    if not reaches(replications):
        return None
    low, high = 0, replications
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle + 1, high)
    return low


def detectable(most: float, low: float, high: float, stages: tuple[tuple[int, float], ...], power: float = 0.9) -> float | None:
    """The smallest mean that a test of E[X] <= most rejects with at least that probability, for two-point data at the ends of the range, whose
    variance is the largest that the range allows; None where no mean in the range is.

    stages   (replications, log of the e-value it must reach) of each stage; all must reject, on independent data"""
    share = (most - low) / (high - low)
    if not -ROUNDING <= share < 1:
        return None
    share = max(share, ROUNDING)  # as in `log_factors`
    counts: list[tuple[int, int]] = []
    for n, log_threshold in stages:
        k = needed_successes(share, n, log_threshold)
        if k is None:
            return None
        counts.append((k, n))

    def rejects(q: float) -> float:
        return float(np.prod([special.betainc(k, n - k + 1, q) for k, n in counts]))

    below, above = share, 1.0
    for _ in range(60):
        middle = (below + above) / 2
        below, above = (below, middle) if rejects(middle) >= power else (middle, above)
    return low + (high - low) * above
