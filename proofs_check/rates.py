"""Rates read off a run: a power of t or a factor a step, with the window they were fitted on.

A gap that falls as t^-p is a line of slope -p in log-log, one that falls as q^t a line of slope log q in log-linear axes.  Both lines are fitted by
least squares over the last decade of t in which the gap is well above rounding, and the one that leaves the smaller residual is named; where
neither leaves less than a twentieth of what there is to explain, the last half of the window is tried, and then the fall has no rate.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

Array = np.ndarray
FLOOR = 1e-10
"""A gap below this part of the first one is near rounding and not fitted."""
UNEXPLAINED = 0.05
"""Largest part of the spread of log gap that a fit may leave."""
WINDOWS = (10, 2)
"""The window begins at the last t over each of these."""
FEWEST = 4
"""Records that a fit needs."""


@dataclasses.dataclass(frozen=True)
class Rate:
    """How a gap falls over t in [first, last].

    kind    "power": gap ~ t^value;  "geometric": gap ~ value^t;  "none": neither, or too few records;  "solved": the gap is 0 but for rounding
    error   standard error of the slope (of log gap in log t, or in t)
    """

    kind: str
    value: float = math.nan
    error: float = math.nan
    first: int = 0
    last: int = 0

    def text(self) -> str:
        """For people: "t^-1.00 over t in [100, 1,000]"."""
        if self.kind == "solved":
            return f"solved by t = {self.last:,}"
        if self.kind == "none":
            return "no rate"
        law = f"t^{self.value:.2f}" if self.kind == "power" else f"{self.value:.4g}^t"
        return f"{law} over t in [{self.first:,}, {self.last:,}]"


def fit_rate(times: Array, gap: Array) -> Rate:
    """The rate of a gap recorded at `times` (both (R,)); the window is the last decade above rounding."""
    times, gap = np.asarray(times, dtype=np.float64), np.asarray(gap, dtype=np.float64)
    start = float(np.max(np.abs(gap[:1]), initial=0.0)) or float(np.max(np.abs(gap), initial=0.0))
    if start == 0:
        return Rate("solved", last=int(times[0]) if times.size else 0)
    above = (gap > FLOOR * start) & (times > 0)
    if not above.any():
        return Rate("solved", last=int(times[times > 0][0]) if (times > 0).any() else 0)
    end = float(times[above].max())
    for part in WINDOWS:
        window = above & (times >= end / part)
        if window.sum() < FEWEST:
            solved = times[(gap <= FLOOR * start) & (times > end)]
            return Rate("solved", last=int(solved[0])) if solved.size else Rate("none")
        t, y = times[window], np.log(gap[window])
        fits = {"power": _line(np.log(t), y), "geometric": _line(t, y)}
        kind = min(fits, key=lambda name: fits[name][2])
        slope, error, left = fits[kind]
        spread = float(((y - y.mean()) ** 2).sum())
        if spread > 0 and left <= UNEXPLAINED * spread:
            return Rate(kind, slope if kind == "power" else math.exp(slope), error, int(t[0]), int(end))
    return Rate("none")


def _line(x: Array, y: Array) -> tuple[float, float, float]:
    """(slope, its standard error, sum of squared residuals) of the least-squares line."""
    dx = x - x.mean()
    across = float((dx * dx).sum())
    slope = float((dx * y).sum()) / across
    left = float(((y - y.mean() - slope * dx) ** 2).sum())
    return slope, math.sqrt(left / max(x.size - 2, 1) / across), left
