"""What a sweep found: the figures of every cell put together, their summary, and the files that hold them.

For each series, over its seeds: the mean of the final gap with its standard error and the 95% interval of Student's t (which a handful of seeds
and a skewed gap stretch beyond its level), quantiles, the mean regret on bandits, and the rate at which the mean gap falls, with its window:

    60 seeds or more    the slope of log mean gap against log t over the last decade of t, with its 95% interval over the seeds
                        (`proofs_check.statistics.slopes`; the window is chosen before the data are seen)
    fewer               the power or the geometric fit of `proofs_check.rates`, without an interval
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from typing import Any

import numpy as np

from proofs_check.rates import FLOOR, fit_rate
from proofs_check.sweep.cells import Figures, Series
from proofs_check.sweep.plan import Plan

Array = np.ndarray
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Summary:
    """Figures of a series at its last step, over its seeds.

    mean, error   of the final gap, and the standard error (0 for a single run);  low, high  its 95% interval
    quantiles     of the final gap, at QUANTILES
    regret        mean and standard error of the regret on a bandit, else None;  drawn  what a run drew (paths, pulls, ...), of `unit`
    rate          in words, with its window;  slope  (value, low, high) where there are enough seeds for an interval, else None
    """

    seeds: int
    mean: float
    error: float
    low: float
    high: float
    quantiles: tuple[float, ...]
    regret: tuple[float, float] | None
    drawn: float
    unit: str
    rate: str
    slope: tuple[float, float, float] | None


class Result:
    """The cells of a series, filled block by block in any order."""

    def __init__(self, series: Series) -> None:
        self.series = series
        self._blocks: list[Figures] = []

    @property
    def label(self) -> str:
        return self.series.label

    def add(self, found: Figures) -> None:
        """The figures of some runs; runs that are there already are the same in any block."""
        self._blocks.append(found)

    def missing(self) -> Array:
        """Numbers of the runs that are not there yet, increasing."""
        return np.flatnonzero(~self._there())

    @property
    def complete(self) -> bool:
        return bool(self._there().all())

    @property
    def times(self) -> Array:
        """(R,): recorded iterations."""
        return self._blocks[0].times

    @property
    def gaps(self) -> Array:
        """(seeds, R): V*(start) - V(start); of the runs that are there."""
        return self._together([block.gaps for block in self._blocks])

    @property
    def regret(self) -> Array | None:
        """(seeds, R) on bandits, else None."""
        parts = [block.regret for block in self._blocks]
        return None if any(part is None for part in parts) else self._together([part for part in parts if part is not None])

    def drawn(self) -> float:
        """Paths (pulls, ...) of a run, in the mean."""
        runs = sum(len(block.gaps) for block in self._blocks)
        return float(sum(block.drawn[-1] for block in self._blocks) / runs)

    @property
    def unit(self) -> str:
        return self._blocks[0].unit

    def band(self) -> tuple[Array, Array, Array, Array]:
        """(times, mean, 5% and 95% quantile of the gap), each (R,)."""
        gaps = self.gaps
        low, high = np.quantile(gaps, (QUANTILES[0], QUANTILES[-1]), axis=0)
        return self.times, gaps.mean(axis=0), low, high

    def summary(self) -> Summary:
        """The last step, over the seeds."""
        from scipy.special import stdtrit

        gaps, regret = self.gaps, self.regret
        last, count = gaps[:, -1], len(gaps)
        mean, error = _mean(last)
        reach = float(stdtrit(count - 1, 0.5 + LEVEL / 2)) * error if count > 1 else 0.0
        quantiles = tuple(float(q) for q in np.quantile(last, QUANTILES))
        paid = None if regret is None else _mean(regret[:, -1])
        text, slope = rate_of(self.times, gaps)
        return Summary(count, mean, error, mean - reach, mean + reach, quantiles, paid, self.drawn(), self.unit, text, slope)

    def _there(self) -> Array:
        there = np.zeros(self.series.seeds, dtype=bool)
        for block in self._blocks:
            there[block.first : block.first + len(block.gaps)] = True
        return there

    def _together(self, parts: list[Array]) -> Array:
        there = self._there()
        out = np.empty((there.size, self.times.size))
        for block, part in zip(self._blocks, parts, strict=True):
            kept = max(0, min(len(part), there.size - block.first))
            out[block.first : block.first + kept] = part[:kept]
        return out[there]


def _mean(values: Array) -> tuple[float, float]:
    """Mean and its standard error."""
    spread = float(values.std(ddof=1)) / math.sqrt(values.size) if values.size > 1 else 0.0
    return float(values.mean()), spread


def rate_of(times: Array, gaps: Array) -> tuple[str, tuple[float, float, float] | None]:
    """The rate of the mean gap in words and, where there are seeds enough, (slope, low, high) over the last decade of t."""
    from proofs_check.statistics.slopes import FEWEST_RUNS, slope

    mean, last = gaps.mean(axis=0), int(times[-1])
    window = (max(1, math.ceil(last / 10)), last)
    inside = (times >= window[0]) & (times > 0)
    if len(gaps) >= FEWEST_RUNS and inside.sum() >= 3 and (mean[inside] > FLOOR * mean[0]).all():
        found = slope(times[inside], gaps[:, inside], window, LEVEL)
        words = f"t^{found.value:.2f} ± {found.high - found.value:.2f} over t in [{window[0]:,}, {window[1]:,}]"
        return words, (found.value, found.low, found.high)
    return fit_rate(times, mean).text(), None


# Files


def as_csv(results: list[Result]) -> str:
    """One row a cell: instance, method, step size, seed, steps, final gap, regret."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["instance", "method", "step size", "seed", "steps", "gap", "regret"])
    for result in results:
        series, regret = result.series, result.regret
        paid = [""] * len(result.gaps) if regret is None else [repr(x) for x in regret[:, -1].tolist()]
        head = (series.instance, series.method, series.step or "")
        gaps = [repr(x) for x in result.gaps[:, -1].tolist()]
        writer.writerows((*head, run, series.steps, gap, cost) for run, (gap, cost) in enumerate(zip(gaps, paid, strict=True)))
    return out.getvalue()


def as_data(plan: Plan, results: list[Result]) -> dict[str, Any]:
    """The plan, and for each series its summary and its band over time."""
    rows = []
    for result in results:
        times, mean, low, high = result.band()
        series = result.series
        rows.append(
            {"instance": series.instance, "method": series.method, "step size": series.step}
            | dataclasses.asdict(result.summary())
            | {"t": times, "mean gap": mean, "5% gap": low, "95% gap": high}
            | ({} if result.regret is None else {"mean regret": result.regret.mean(axis=0)})
        )
    return {"command": plan.command(), "plan": plan.data(), "quantile levels": QUANTILES, "series": rows}
