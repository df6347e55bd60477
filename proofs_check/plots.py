"""Measured against claimed, as pictures.

    plot_curve   one measured curve and its bound, as a verdict carries them
    plot_run     the gap of a run against every bound of the catalogue that speaks about it
    plot_runs    the gaps of several runs on one model

Measured is solid, bound dashed in the same colour, each line is named at its end, and the title says the finding.  A function takes the
data and an optional matplotlib `ax`, draws, and returns the `ax`; it never shows a figure and never changes global settings.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

INK = "#44515e"
MEASURED = "#1f6fa8"
SERIES = (MEASURED, "#b4561b", "#2e7d4f", "#8455a3", "#8a6d00", "#a8325e")
"""Colours told apart by colour-blind readers; each line is also named at its end, so grey prints lose nothing."""
SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
ROUNDING = 1e-12
"""A gap below this part of the largest one is rounding: values carry 16 digits, and a long horizon (1/(1 - discount) = 1,000) costs three or four."""
_STRAIGHT = 0.15
"""A power law is named when the slope in the last decade agrees with the decade before within this."""


def plot_curve(curve: Mapping[str, Any], ax: Any = None, *, title: str | None = None, direction: str = "<=") -> Any:
    """Draws the curve of a verdict: {"t", "measured", "bound", "label"}; log-log where the values are positive.

    title      the finding, worked out from the data if left out
    direction  "<=": the bound lies above; ">=": below; "=": they agree
    returns    the axes
    """
    times, measured, bound = _until_settled(*columns(curve))
    measured = np.where(np.abs(measured) > ROUNDING * np.max(np.abs(measured), where=np.isfinite(measured), initial=0.0), measured, 0.0 * measured)
    ax = _axes(ax)
    label = str(curve.get("label") or "measured")
    logarithmic = _set_scales(ax, times, measured, bound)
    marker = {"marker": "o", "markersize": 3.0} if times.size < 12 else {}
    ax.plot(times, _drawable(measured, logarithmic), color=MEASURED, linewidth=1.8, label=label, gid="measured", **marker)
    ax.plot(times, _drawable(bound, logarithmic), color=MEASURED, linewidth=1.5, linestyle=(0, (5, 3)), label="bound", gid="bound", **marker)
    _mark_crossing(ax, times, measured, bound, direction)
    _label_ends(ax, [(times, measured, "measured", MEASURED), (times, bound, "bound", MEASURED)], logarithmic)
    _dress(ax, xlabel=str(curve.get("axis") or "iteration t"), ylabel=label)
    ax.set_title(finding(curve, direction) if title is None else title, color=INK, loc="left", fontsize=10, pad=20, y=1.0)
    return ax


def plot_run(run: Any, ax: Any = None, *, distribution: Any = None, bounds: Mapping[str, Any] | None = None) -> Any:
    """Draws the gap V* - V_t of a run (`pgtheory.run(...)`), and the bounds of the catalogue on it.

    distribution  (S,) where the gap is taken; the model's start distribution if left out
    bounds        {name: one figure for each recorded t}; every applicable rate of the catalogue if left out
    returns       the axes
    """
    times = np.asarray(run.times, dtype=np.float64)
    gap = np.asarray(run.gap() if distribution is None else run.gap(distribution), dtype=np.float64)
    gap = np.where(gap > ROUNDING * float(np.max(gap, initial=0.0)), gap, 0.0)
    if bounds is None:
        from proofs_check.bounds import bounds_for_run

        bounds = bounds_for_run(run, distribution)
    ax = _axes(ax)
    name = getattr(run.method, "name", type(run.method).__name__)
    curves = {key: np.asarray(values, dtype=np.float64) for key, values in bounds.items()}
    logarithmic = _set_scales(ax, times, gap, *curves.values())
    ax.plot(times, _drawable(gap, logarithmic), color=MEASURED, linewidth=1.8, label="gap", gid="measured")
    ends = [(times, gap, "gap", MEASURED)]
    for k, (key, values) in enumerate(curves.items()):
        color = SERIES[(k + 1) % len(SERIES)]
        ax.plot(times, _drawable(values, logarithmic), color=color, linewidth=1.4, linestyle=(0, (5, 3)), label=key, gid=f"bound-{key}")
        ends.append((times, values, key, color))
    _label_ends(ax, ends, logarithmic)
    _dress(ax, xlabel="iteration t", ylabel="optimality gap V*(ρ) − V_t(ρ) [reward]")
    factors = {key: _distance(values, gap) for key, values in curves.items()}
    closest = min(factors, key=lambda key: factors[key][0], default=None)
    text = f"{name}: {_trend(times, gap, 'gap')}".replace(" to 0 by", " to rounding by")
    if closest is not None and math.isfinite(factors[closest][0]):
        text += f"; {closest} stays {_times(factors[closest][0])} {factors[closest][1]}"
    ax.set_title(text.replace("; ", ";\n") if len(text) > 75 else text, color=INK, loc="left", fontsize=10, pad=20, y=1.0)
    return ax


def plot_runs(runs: Mapping[str, Any], ax: Any = None, *, distribution: Any = None) -> Any:
    """Draws the gaps V* - V_t of several runs on one model, each named at its end.

    runs     {label: `pgtheory.Trajectory`}
    returns  the axes
    """
    from proofs_check.rates import fit_rate

    ax = _axes(ax)
    curves = {}
    for label, run in runs.items():
        gap = np.asarray(run.gap() if distribution is None else run.gap(distribution), dtype=np.float64)
        curves[label] = (np.asarray(run.times, dtype=np.float64), np.where(gap > ROUNDING * float(np.max(gap, initial=0.0)), gap, 0.0))
    logarithmic = _set_scales(ax, max((times for times, _ in curves.values()), key=lambda t: t[-1]), *(gap for _, gap in curves.values()))
    ends = []
    for k, (label, (times, gap)) in enumerate(curves.items()):
        color = SERIES[k % len(SERIES)]
        style = {"linestyle": ("-", (0, (5, 2)), (0, (1, 1)))[k // len(SERIES) % 3]}
        ax.plot(times, _drawable(gap, logarithmic), color=color, linewidth=1.7, label=label, gid=f"run-{label}", **style)
        ends.append((times, gap, label, color))
    _label_ends(ax, ends, logarithmic)
    _dress(ax, xlabel="iteration t", ylabel="optimality gap V*(ρ) − V_t(ρ) [reward]")
    said = [f"{label}: {fit_rate(times, gap).text()}" for label, (times, gap) in curves.items()]
    ax.set_title("\n".join(said) if len(said) <= 3 else f"{len(said)} methods on one model", color=INK, loc="left", fontsize=10, pad=20, y=1.0)
    return ax


def plot_bands(
    runs: Mapping[str, tuple[Any, Any, Any, Any]],
    ax: Any = None,
    *,
    bounds: Mapping[str, Any] | None = None,
    axes: tuple[str, str] = ("iteration t", "optimality gap V*(ρ) − V_t(ρ) [reward]"),
) -> Any:
    """Draws gaps of sampled runs: the mean as a line, the quantiles as a band around it, each named at its end.

    runs     {label: (times (R,), mean (R,), low (R,), high (R,))}; a band of no width is an exact run and is drawn dashed
    bounds   {label of a run: (R,) what is proved about its mean}, dotted in its colour
    axes     what the horizontal and the vertical axis show
    returns  the axes
    """
    ax = _axes(ax)
    curves = {label: tuple(np.asarray(part, dtype=np.float64) for part in parts) for label, parts in runs.items()}
    proved = {label: np.asarray(values, dtype=np.float64) for label, values in (bounds or {}).items()}
    longest = max((parts[0] for parts in curves.values()), key=lambda t: t[-1])
    rounding = ROUNDING * max((float(np.abs(parts[1]).max(initial=0.0)) for parts in curves.values()), default=0.0)
    shown = {label: tuple(np.where(np.abs(part) > rounding, part, 0.0) for part in parts[1:]) for label, parts in curves.items()}
    logarithmic = _set_scales(ax, longest, *(parts[0] for parts in shown.values()), *proved.values())
    bottom = _reach_of_bands(ax, [(low, high) for _, low, high in shown.values()]) if logarithmic else -math.inf
    ends = []
    for k, (label, (times, exact_mean, exact_low, exact_high)) in enumerate(curves.items()):
        mean, low, high = shown[label]
        color, sure = SERIES[k % len(SERIES)], bool((exact_high - exact_low <= ROUNDING * np.abs(exact_mean).max()).all())
        style: Any = (0, (5, 2)) if sure else "-"
        line = _down_to(bottom, mean) if logarithmic else mean
        ax.plot(times, _drawable(line, logarithmic), color=color, linewidth=1.7, label=label, gid=f"run-{label}", linestyle=style)
        if not sure:
            lower = np.maximum(low, bottom)  # what lies lower, 0 too, leaves through the lower edge of the picture
            ax.fill_between(times, lower, high, where=high > lower, color=color, alpha=0.18, linewidth=0, gid=f"band-{label}")
        ends.append((times, line, label, color))
        if label in proved:
            ax.plot(times, _drawable(proved[label], logarithmic), color=color, linewidth=1.3, linestyle=(0, (1, 2)), gid=f"bound-{label}")
            ends.append((times, proved[label], f"{label}: proved", color))
    _label_ends(ax, ends, logarithmic)
    _dress(ax, *axes)
    ax.set_title("mean of the runs, and 5% to 95% of them", color=INK, loc="left", fontsize=10, pad=20, y=1.0)
    return ax


def columns(curve: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """t, measured and bound of a verdict's curve as float arrays; what JSON could not hold (null) is NaN."""
    t, measured, bound = (np.array([math.nan if x is None else float(x) for x in curve[key]]) for key in ("t", "measured", "bound"))
    return t, measured, bound


def curve_csv(curve: Mapping[str, Any]) -> str:
    """The data of the picture as CSV: t, measured, bound, with every digit."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["t", "measured", "bound"])
    for t, *sides in zip(*columns(curve), strict=True):
        writer.writerow([int(t), *("" if math.isnan(x) else repr(float(x)) for x in sides)])
    return out.getvalue()


def finding(curve: Mapping[str, Any], direction: str = "<=") -> str:
    """One line on what the curve shows: how the measured figure moves, and how far the bound is from it."""
    times, measured, bound = columns(curve)
    known = np.isfinite(measured) & np.isfinite(bound)
    if not known.any():
        return "nothing measured"
    t, m, b = times[known], measured[known], bound[known]
    scale = np.maximum(np.abs(m), np.abs(b))
    if direction == "=":
        worst = float(np.max(np.abs(m - b) / np.where(scale > 0, scale, 1)))
        return "measured and claimed agree exactly" if worst == 0 else f"measured and claimed agree within {worst:.1g} of their size"
    excess = m - b if direction == "<=" else b - m
    broken = np.flatnonzero(excess > ROUNDING * scale.max())
    if broken.size:
        side = "above" if direction == "<=" else "below"
        above, below = (m, b) if direction == "<=" else (b, m)
        largest = float(np.max(above[broken] / below[broken])) if (below[broken] > 0).all() else math.nan
        by = f", by a factor of up to {_figure(largest)}" if math.isfinite(largest) else ""
        return f"measured is {side} the bound from t = {int(t[broken[0]]):,}{by}"
    lower, upper = (m, b) if direction == "<=" else (b, m)
    side = "above" if direction == "<=" else "below"
    factor = _factor(upper, lower)
    if not math.isfinite(factor):
        return f"{_trend(t, m, 'measured')}; the bound stays {side}"
    if factor < 1.001:
        return f"{_trend(t, m, 'measured')}; the bound is attained"
    return f"{_trend(t, m, 'measured')}; the bound stays {_times(factor)} {side}"


def _trend(t: np.ndarray, values: np.ndarray, name: str) -> str:
    """'gap falls as 1/t', where the last two decades lie on a line in log-log; otherwise first and last figure."""
    known = np.isfinite(values)
    if not known.any() or not np.any(values[known]):
        return f"{name} is 0"
    t, values = t[known], values[known]
    if values.size == 1:
        return f"{name} is {_figure(float(values[0]))}"
    first, final = float(values[0]), float(values[-1])
    if np.ptp(values) < 1e-9 * abs(values).max():
        return f"{name} stays at {_figure(final)}"
    good = (t > 0) & (values > 0)
    x, y = np.log10(t[good]), np.log10(values[good])
    last, before = x >= x.max(initial=0) - 1, (x >= x.max(initial=0) - 2) & (x <= x.max(initial=0) - 1)
    if good.all() and last.sum() >= 3 and before.sum() >= 3 and final < first:
        slopes = [float(np.polyfit(x[part], y[part], 1)[0]) for part in (last, before)]
        if abs(slopes[0] - slopes[1]) < _STRAIGHT and slopes[0] < -_STRAIGHT:
            return f"{name} falls as 1/t" if abs(slopes[0] + 1) < 0.05 else f"{name} falls as t^{slopes[0]:.2f}"
    if final == 0 and first > 0:
        return f"{name} falls from {_figure(first)} to 0 by t = {int(t[np.flatnonzero(values)[-1]]) + 1:,}"
    if _figure(first) == _figure(final):
        return f"{name} stays near {_figure(final)}"
    verb = "falls" if final < first else "rises"
    return f"{name} {verb} from {_figure(first)} to {_figure(final)}"


def _factor(upper: np.ndarray, lower: np.ndarray) -> float:
    """The smallest upper/lower over the points where both are positive and above rounding; infinite if there is none."""
    good = np.isfinite(upper) & np.isfinite(lower)
    good &= lower > ROUNDING * np.max(lower, where=good, initial=0.0)
    good &= upper > 0
    return float(np.min(upper[good] / lower[good])) if good.any() else math.inf


def _distance(bound: np.ndarray, gap: np.ndarray) -> tuple[float, str]:
    """(smallest factor, "above" or "below") between a bound and the gap."""
    above, below = _factor(bound, gap), _factor(gap, bound)
    return (above, "above") if above >= below else (below, "below")


def _times(factor: float) -> str:
    return f"a factor of {_figure(factor)}"


def _figure(value: float) -> str:
    if not math.isfinite(value):
        return "∞"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    mantissa, exponent = f"{value:.1e}".split("e")
    power = str(int(exponent)).translate(SUPERSCRIPTS)
    return f"{mantissa.removesuffix('.0')}·10{power}"


def _power(value: float) -> str:
    """10⁻³, 10⁴; plain between 1 and 1,000."""
    if value == 0 or 1 <= value <= 1000:
        return f"{value:,.3g}" if value < 1000 else "1,000"
    exponent = round(math.log10(abs(value)))
    return "10" + str(exponent).translate(SUPERSCRIPTS) if math.isclose(abs(value), 10.0**exponent) else _figure(value)


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    from matplotlib.figure import Figure

    return Figure(figsize=(7.2, 4.2)).add_axes((0.09, 0.13, 0.63, 0.69))


def _set_scales(ax: Any, times: np.ndarray, *series: np.ndarray) -> bool:
    """Log-log for a rate: positive figures that span more than a factor of 3.  True if the figures are on a log axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    if times.size and np.nanmin(times) > 0 and np.nanmax(times) > 20 * np.nanmin(times):
        ax.set_xscale("log")
    elif times.size and np.nanmin(times) == 0 and np.nanmax(times) > 50:
        ax.set_xscale("symlog", linthresh=1, linscale=0.4)
        ax.set_xlim(0, 1.1 * float(np.nanmax(times)))
    together = np.concatenate([s[np.isfinite(s)] for s in series]) if series else np.empty(0)
    positive = together[together > 0]
    logarithmic = positive.size > 0 and (together >= 0).all() and positive.max() > 3 * positive.min()
    if logarithmic:
        ax.set_yscale("log")
        ax.set_ylim(positive.min() / 2, positive.max() * 2)
    for axis in (ax.xaxis, ax.yaxis):
        if axis.get_scale() == "log":
            axis.set_major_locator(LogLocator(numticks=7))
            axis.set_major_formatter(FuncFormatter(lambda value, _: _power(value)))
            axis.set_minor_formatter(NullFormatter())
        elif axis.get_scale() == "symlog":
            axis.set_major_formatter(FuncFormatter(lambda value, _: _power(value)))
    if ax.get_xscale() == "linear":
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    return bool(logarithmic)


def _reach_of_bands(ax: Any, bands: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """Widens a logarithmic axis to the bands, by at most a decade downwards: low quantiles may be 0.  Returns its lower end."""
    bottom, top = ax.get_ylim()
    low = np.concatenate([low[low > 0] for low, _ in bands])
    high = np.concatenate([high[np.isfinite(high)] for _, high in bands])
    if low.size:
        bottom = min(bottom, max(bottom / 10, float(low.min()) / 2))
    ax.set_ylim(bottom, max(top, 1.2 * float(high.max(initial=0.0))))
    return float(bottom)


def _down_to(bottom: float, values: np.ndarray) -> np.ndarray:
    """Zeros beside positive figures are drawn at the lower edge of a logarithmic axis: the line is seen to fall, not to break off."""
    positive = values > 0
    beside = np.concatenate((positive[1:], [False])) | np.concatenate(([False], positive[:-1]))
    return np.where(~positive & beside, bottom, values)


def _until_settled(times: np.ndarray, measured: np.ndarray, bound: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Without the tail in which both sides are 0, but for its first point: a run that has arrived has nothing more to show."""
    moving = np.flatnonzero((measured != 0) | (bound != 0))
    end = min(times.size, moving[-1] + 2) if moving.size else times.size
    return times[:end], measured[:end], bound[:end]


def _drawable(values: np.ndarray, logarithmic: bool) -> np.ndarray:
    return np.where(values > 0, values, np.nan) if logarithmic else np.where(np.isfinite(values), values, np.nan)


def _mark_crossing(ax: Any, t: np.ndarray, measured: np.ndarray, bound: np.ndarray, direction: str) -> None:
    known = np.isfinite(measured) & np.isfinite(bound)
    scale = np.max(np.maximum(np.abs(measured), np.abs(bound)), where=known, initial=0.0)
    broken = np.flatnonzero(known & ((measured - bound if direction == "<=" else bound - measured) > ROUNDING * scale))
    if direction in ("<=", ">=") and len(broken):
        ax.plot([t[broken[0]]], [measured[broken[0]]], marker="o", markersize=9, markerfacecolor="none", color=SERIES[1], gid="crossing")


def _label_ends(ax: Any, lines: Sequence[tuple[np.ndarray, np.ndarray, str, str]], logarithmic: bool) -> None:
    """Names each line at its right end, labels pushed apart by at least a line's height."""
    places = []
    low, high = ax.get_ylim()
    span = math.log(high) - math.log(low) if logarithmic else (high - low) or 1.0
    for t, values, text, color in lines:
        good = np.flatnonzero(np.isfinite(values) & ((values > 0) | (not logarithmic)))
        if good.size:
            y = float(values[good[-1]])
            places.append([(math.log(y) - math.log(low) if logarithmic else y - low) / span, t[good[-1]], y, text, color])
    places.sort(key=lambda place: place[0])
    position = -0.025  # the lowest label stays above the axis line
    for height, t, y, text, color in places:
        position = max(height, position + 0.055)
        shift = (position - height) * ax.get_position().height * ax.figure.get_figheight() * 72
        place = {"xytext": (6, shift), "textcoords": "offset points", "va": "center", "ha": "left"}
        ax.annotate(text, (t, y), color=color, fontsize=9, annotation_clip=False, **place)


def _dress(ax: Any, xlabel: str, ylabel: str) -> None:
    ax.set_xlabel(xlabel, color=INK, fontsize=9)
    ax.set_ylabel(ylabel, color=INK, fontsize=9, rotation=0, ha="left", va="bottom")
    ax.yaxis.set_label_coords(0.0, 1.015)  # above its axis and level: a phrase with its unit would not fit beside it
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(INK)
        ax.spines[side].set_linewidth(0.7)
    ax.tick_params(which="both", colors=INK, labelsize=8.5, width=0.6)
    ax.grid(which="major", color=INK, alpha=0.15, linewidth=0.6)
    ax.set_axisbelow(True)
