"""The slope of log(mean) against log(t) over a window that is chosen before the data are seen.

R independent runs are observed at the same times.  The times of one run depend on one another, so the runs are the units: the weighted
least-squares slope is a linear function of the logarithms of the means, log(mean_t) is linearised around the mean (delta method), and the
variance of the slope is the sample variance over the runs of sum_t c_t x_r(t) / mean(t), divided by R.  The interval uses Student's t with R - 1
degrees of freedom.  This is an approximation for many runs, so a slope is an illustration: it never refutes, and never proves a rate (a curve
1/(t + a) is shallow for t up to a, and rare stuck runs show up late).
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import stats

from mdps.errors import ModelError

Array = np.ndarray
FEWEST_RUNS = 60
"""Runs below which the interval of simulated null slopes misses its level by a factor of several."""


@dataclasses.dataclass(frozen=True)
class Slope:
    """A fitted exponent with its interval."""

    value: float
    low: float
    high: float
    error: float  # standard error
    window: tuple[float, float]
    points: int
    runs: int
    level: float


def slope(times: Array, runs: Array, window: tuple[float, float], level: float = 0.99) -> Slope:
    """Slope of log(mean over runs) against log(t) for t in `window`, each time weighted by the inverse of its logarithm's variance.

    times   (T,) positive;  runs  (R, T) nonnegative figures of R independent runs
    raises  ModelError: fewer than 60 runs or three times in the window, or a mean that is not positive"""
    times, runs = np.asarray(times, dtype=np.float64), np.asarray(runs, dtype=np.float64)
    inside = (times >= window[0]) & (times <= window[1])
    if len(runs) < FEWEST_RUNS or inside.sum() < 3:
        raise ModelError(f"a slope needs {FEWEST_RUNS} runs and three times in its window; here {len(runs)} and {int(inside.sum())}")
    x, seen = np.log(times[inside]), runs[:, inside]
    mean = seen.mean(axis=0)
    if not (mean > 0).all():
        raise ModelError("a slope needs positive means: their logarithm is fitted")
    spread = seen.var(axis=0, ddof=1) / len(runs) / mean**2
    weights = 1 / np.maximum(spread, spread.max() * 1e-4 if spread.max() > 0 else 1.0)  # no time counts as known ten thousand times better
    centred = x - np.average(x, weights=weights)
    coefficients = weights * centred / (weights * centred**2).sum()
    value = float(coefficients @ np.log(mean))
    error = float(np.std((seen / mean) @ coefficients, ddof=1) / np.sqrt(len(runs)))
    reach = float(stats.t.ppf(0.5 + level / 2, len(runs) - 1)) * error
    return Slope(value, value - reach, value + reach, error, (float(window[0]), float(window[1])), int(inside.sum()), len(runs), level)
