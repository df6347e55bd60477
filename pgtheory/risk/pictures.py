"""The risk profile of a return: its distribution function, with the mean, CVaR, EVaR and the worst outcome marked.

A function takes data and an optional matplotlib `ax`, draws, and returns the `ax`; it never shows a figure and never changes global settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mdps.rational import fraction
from pgtheory.risk.measures import Measure, parse
from pgtheory.risk.returns import Law

INK = "#44515e"
COLOURS = ("#1f6fa8", "#b4561b", "#2e7d4f", "#8455a3")
DASHES: Mapping[str, Any] = {"mean": "solid", "cvar": (0, (6, 2)), "evar": (0, (2, 2)), "entropic": (0, (6, 2, 1, 2)), "worst": (0, (1, 3))}
"""One dash a measure, so that grey prints lose nothing; others are drawn as CVaR."""

LAWS: tuple[Any, ...] = ("-", (0, (1.5, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (9, 2)))
"""The same for laws."""


def plot_profile(laws: Law | Mapping[str, Law], measures: Sequence[Measure | str] = ("mean", "cvar:0.1", "evar:0.1"), ax: Any = None) -> Any:
    """Distribution functions of returns, one colour a law, with a vertical line at each risk, named at its top.

    laws      one Law, or {name: Law} (up to four)
    measures  what is marked on each of them
    returns   the axes
    """
    named = {"return": laws} if isinstance(laws, Law) else dict(laws)
    ax = _axes(ax)
    marks = []
    for colour, dash, (name, law) in zip(COLOURS, LAWS, named.items(), strict=False):
        p, x = law.floats()
        edge = 0.04 * max(float(x[-1] - x[0]), 1e-9)
        steps = np.concatenate([[x[0] - edge], x, [x[-1] + edge]])
        height = np.concatenate([[0.0], p.cumsum(), [1.0]])
        ax.step(steps, height, where="post", color=colour, linewidth=1.8, linestyle=dash, label=name, gid=f"law {name}")
        for measure in map(parse, measures):
            value = float(measure.value(p, x))
            ax.axvline(
                value, ymax=0.94, color=colour, linewidth=1.2, linestyle=DASHES.get(measure.name, DASHES["cvar"]), gid=f"{measure.text} {name}"
            )
            marks.append((value, _short(measure), colour))
    ax.set_xlabel("return [reward]", color=INK)
    ax.set_ylabel("probability of a return up to this", color=INK)
    ax.set_ylim(0, 1.08)
    _name_marks(ax, marks)
    if len(named) > 1:
        ax.legend(frameon=False, loc="lower right", fontsize=8)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.set_title(_finding(named, [parse(m) for m in measures]), loc="left", color=INK, fontsize=10, pad=32)
    return ax


def plot_tail(law: Law, level: Any, ax: Any = None) -> Any:
    """The quantile function with the worst fraction `level` shaded: CVaR is the mean height of the shaded part."""
    measure = parse(f"cvar:{level}")
    ax = _axes(ax)
    p, x = law.floats()
    ends = np.concatenate([[0.0], p.cumsum()])
    ax.step(ends, np.concatenate([x, x[-1:]]), where="post", color=COLOURS[0], linewidth=1.8, gid="quantiles")
    a, value = float(fraction(level)), float(measure.value(p, x))
    grid = np.append(ends[ends < a], a)
    heights = x[np.minimum(np.searchsorted(ends, grid, side="right") - 1, x.size - 1)]
    ax.fill_between(grid, heights, min(0.0, float(x[0])), step="post", color=COLOURS[0], alpha=0.18, linewidth=0, gid="tail")
    ax.hlines(value, 0, a, color=COLOURS[1], linewidth=1.6, gid="cvar")
    ax.annotate(f"CVaR = {value:.3g}", (a, value), xytext=(6, 0), textcoords="offset points", va="center", color=COLOURS[1], fontsize=9)
    ax.set_xlim(0, 1)
    ax.set_xlabel("level", color=INK)
    ax.set_ylabel("quantile of the return [reward]", color=INK)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.set_title(f"the worst {100 * a:.3g}% of the returns have mean {value:.4g}", loc="left", color=INK, fontsize=10)
    return ax


def _finding(named: Mapping[str, Law], measures: list[Measure]) -> str:
    """For two laws: who has the better mean and who the better risk; for one: how far the risk lies below the mean."""
    averse = next((m for m in measures if m.name not in ("mean", "worst")), measures[0])
    figures = {name: (_float(law.mean), _float(law.risk(averse))) for name, law in named.items()}
    if len(figures) == 2:
        (a, (mean_a, risk_a)), (b, (mean_b, risk_b)) = figures.items()
        better_mean, better_risk = (a if mean_a >= mean_b else b), (a if risk_a >= risk_b else b)
        cost, gain = abs(mean_a - mean_b), abs(risk_a - risk_b)
        if better_mean != better_risk:
            return f"{better_risk}: {_short(averse)} higher by {gain:.3g}, mean lower by {cost:.3g}"
        return f"{better_mean} is better in the mean (by {cost:.3g}) and in {_short(averse)} (by {gain:.3g})"
    name, (mean, risk) = next(iter(figures.items()))
    return f"{name}: mean {mean:.4g}, {_short(averse)} {risk:.4g}"


def _float(value: Any) -> float:
    return float(value) if isinstance(value, float) else int(value.p) / int(value.q)


def _short(measure: Measure) -> str:
    names = {"cvar": "CVaR", "evar": "EVaR", "mean-cvar": "mean-CVaR", "entropic": "ERM"}
    level = getattr(measure, "level", None) if measure.name in ("cvar", "evar") else getattr(measure, "beta", None)
    if measure.text == "worst" or level is None:
        return measure.name if measure.text != "worst" else "worst"
    return f"{names.get(measure.name, measure.name)} {level if isinstance(level, float) else _float(level):.3g}"


def _name_marks(ax: Any, marks: list[tuple[float, str, str]]) -> None:
    """The marks' names above the axes, in two rows that alternate so that neighbours do not collide."""
    for k, (value, text, colour) in enumerate(sorted(marks)):
        ax.annotate(
            text, (value, 1.02), xycoords=("data", "axes fraction"), xytext=(0, 10 * (k % 2)), textcoords="offset points",
            ha="center", va="bottom", color=colour, fontsize=8, annotation_clip=False,
        )  # fmt: skip


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    from matplotlib.figure import Figure

    return Figure(figsize=(7.2, 4.0), constrained_layout=True).subplots()
