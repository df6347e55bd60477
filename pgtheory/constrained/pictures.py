"""Pictures of runs under constraints.

    plot_path         gap against violation: the path of the last iterate, and of the average, from start to end
    plot_occupancies  what policies can reach in the plane (cost, reward): the shadow of all occupancies, the budget, and the path of a run in it
    plot_progress     gap and violation over t, last and average, with what the theorem promises
    plot_lagrangian   a constraint's excess against its multiplier: how a run circles the saddle point of the Lagrangian, or comes to rest in it

A function takes data and an optional matplotlib `ax` (`plot_progress`: two), draws, and returns the `ax`; it never shows a figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mdps.constrained import ConstrainedMDP
from pgtheory.constrained.evaluation import best_response, evaluate, problem_of
from pgtheory.constrained.runs import ConstrainedRun, Iterate
from pgtheory.risk.pictures import COLOURS, INK

Array = np.ndarray
LINES: Mapping[str, Any] = {"last": "-", "average": (0, (5, 2))}
DASHES = ("-", (0, (1.5, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (8, 3)))
"""The last iterates of several runs, told apart in grey too."""
ENDS: tuple[tuple[Iterate, str], ...] = (("last", "s"), ("average", "o"))
"""The two iterates with the marks of their last points."""
SMALLEST = 1e-12
"""What is drawn in the place of 0 on a logarithmic axis."""


def plot_path(runs: ConstrainedRun | Mapping[str, ConstrainedRun], ax: Any = None) -> Any:
    """Draws runs in the plane (gap, signed excess): the optimum is a star; right of 0 earns less, above 0 breaks a constraint.

    runs     one run or {label: run} (up to four);  the average is dashed, a circle marks its end, a square the end of the last iterate
    returns  the axes
    """
    named = {runs.method.name: runs} if isinstance(runs, ConstrainedRun) else dict(runs)
    ax = _axes(ax)
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.axvline(0, color=INK, linewidth=0.8)
    for k, (colour, (label, run)) in enumerate(zip(COLOURS, named.items(), strict=False)):
        for of, marker in ENDS:
            gap, excess = run.gap(of), run.excess(of).max(axis=1)
            dash = DASHES[k] if of == "last" else (0, (5, 2 + 3 * k))
            style = {"linewidth": 0.9 if of == "last" else 1.8, "alpha": 0.55 if of == "last" else 1.0, "linestyle": dash}
            ax.plot(gap, excess, color=colour, label=f"{label}, {of}", gid=f"{of} {label}", **style)
            ax.plot(gap[-1:], excess[-1:], marker, color=colour, markersize=5, gid=f"end {of} {label}")
    one = next(iter(named.values()))
    best = evaluate(problem_of(one.model.float), one.solution.policy).excess.max()
    ax.plot([0], [best], "*", color=INK, markersize=11, gid="optimum")
    ax.set_xlabel("gap V*(ρ) − V(ρ) [reward]", color=INK)
    ax.set_ylabel("largest excess V_c(ρ) − b [cost]", color=INK)
    ax.legend(frameon=False, fontsize=8, labelcolor=INK)
    _plain(ax)
    ax.set_title(_finding(one) if len(named) == 1 else "above 0: a constraint is broken", loc="left", color=INK, fontsize=10)
    return ax


def plot_occupancies(run: ConstrainedRun | ConstrainedMDP, constraint: str | int = 0, ax: Any = None) -> Any:
    """The polygon of (V_c, V_r) over all policies, with its upper front, the threshold, and the kept policies of a run.

    It is the image of the polytope of occupancies, so its corners are deterministic policies, found as optimal ones for rewards that turn around.
    """
    model = run.model if isinstance(run, ConstrainedRun) else run
    i = model.index(constraint)
    corners = reachable(model, i)
    ax = _axes(ax)
    closed = np.vstack([corners, corners[:1]])
    ax.fill(closed[:, 0], closed[:, 1], color=INK, alpha=0.10, gid="polytope")
    ax.plot(closed[:, 0], closed[:, 1], color=INK, linewidth=0.9)
    ax.plot(corners[:, 0], corners[:, 1], "o", color=INK, markersize=3, gid="corners")
    bound, direction = float(model.float.thresholds[i]), model.directions[i]
    ax.axvline(bound, color=COLOURS[1], linewidth=1.4, linestyle=(0, (5, 2)), gid="threshold")
    ax.annotate(
        f"{model.names[i]} {direction} {bound:.4g}", (bound, 1.01), xycoords=("data", "axes fraction"), color=COLOURS[1], fontsize=8, ha="center"
    )
    title = f"{len(corners)} corners"
    if isinstance(run, ConstrainedRun):
        sign = -1.0 if direction == ">=" else 1.0
        problem = problem_of(model.float)
        points = np.array([evaluate(problem, np.asarray(p, dtype=float)).values[[1 + i, 0]] for p in run.policies]) * [sign, 1.0]
        ax.plot(points[:, 0], points[:, 1], color=COLOURS[0], linewidth=1.1, marker=".", markersize=3, gid="path")
        cost = sign * (run.excess("average")[-1, i] + float(model.float.upper_thresholds[i]))
        ax.plot([cost], [run.optimum - run.gap("average")[-1]], "o", color=COLOURS[2], markersize=6, gid="average")
        ax.plot([float(run.solution.cost_values[i])], [run.optimum], "*", color=COLOURS[1], markersize=11, gid="optimum")
        title = _finding(run)
    ax.set_xlabel(f"V of {model.names[i]} [cost]", color=INK)
    ax.set_ylabel("V of the reward [reward]", color=INK)
    _plain(ax)
    ax.set_title(title, loc="left", color=INK, fontsize=10, pad=18)
    return ax


def plot_progress(runs: Mapping[str, ConstrainedRun], axes: Sequence[Any] | None = None, guarantees: bool = True) -> Sequence[Any]:
    """Gap (left) and violation (right) over t, on logarithmic axes: last iterate thin, average thick and dashed, the promise at the end a triangle.

    guarantees   whether what the theorem promises is drawn
    Figures at or below 0 (gaps of policies that break a constraint, no violation) are not drawn.
    """
    if axes is None:
        from matplotlib.figure import Figure

        axes = list(Figure(figsize=(9.6, 4.0), constrained_layout=True).subplots(1, 2))
    for colour, (label, run) in zip((*COLOURS, "#8a6d00", "#a8325e"), runs.items(), strict=False):
        times = np.arange(1, run.iterations + 1)
        promise = run.guarantee() if guarantees else None
        for ax, which in zip(axes, ("gap", "violation"), strict=True):
            for of, width in (("last", 0.9), ("average", 1.9)):
                values = getattr(run, which)(of)[1:]
                shown = np.where(values > SMALLEST, values, np.nan)
                ax.plot(times, shown, color=colour, linewidth=width, linestyle=LINES[of], alpha=0.6 if of == "last" else 1.0,
                        label=f"{label}, {of}", gid=f"{which} {of} {label}")  # fmt: skip
            if promise is not None:
                bound = promise.gap if which == "gap" else float(promise.violations.max())
                if np.isfinite(bound) and bound > 0:
                    ax.plot([run.iterations], [bound], "v", color=colour, markersize=7, gid=f"{which} bound {label}")
    for ax, text in zip(axes, ("gap V*(ρ) − V(ρ) [reward]", "largest violation [cost]"), strict=True):
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel("iteration t", color=INK)
        ax.set_title(text, loc="left", color=INK, fontsize=10)
        _plain(ax)
    handles, labels = axes[1].get_legend_handles_labels()
    axes[1].legend(handles, labels, frameon=False, fontsize=7, labelcolor=INK)
    return axes


def plot_lagrangian(runs: ConstrainedRun | Mapping[str, ConstrainedRun], constraint: str | int = 0, ax: Any = None) -> Any:
    """Draws runs in the plane (excess, multiplier) of one constraint: L(pi, lambda) = V_r - lambda (V_c - b) has its saddle point at the star.

    runs     one run or {label: run} (up to four): the last iterates; a hollow circle is the start, a full one the end
    returns  the axes; where the optimal multiplier is not unique, the star is at one of them
    """
    named = {runs.method.name: runs} if isinstance(runs, ConstrainedRun) else dict(runs)
    one = next(iter(named.values()))
    i = one.model.index(constraint)
    ax = _axes(ax)
    ax.axvline(0, color=INK, linewidth=0.8)
    for colour, dash, (label, run) in zip(COLOURS, DASHES, named.items(), strict=False):
        x, y = run.excess("last")[:, i], np.asarray(run.multipliers, dtype=float)[:, i]
        ax.plot(x, y, color=colour, linestyle=dash, linewidth=1.2, label=label, gid=f"path {label}")
        ax.plot(x[:1], y[:1], "o", color=colour, markerfacecolor="white", markersize=6, gid=f"start {label}")
        ax.plot(x[-1:], y[-1:], "o", color=colour, markersize=6, gid=f"end {label}")
    best = evaluate(problem_of(one.model.float), one.solution.policy).excess[i]
    ax.plot(
        [best], [one.solution.multipliers[i]], "*", color=INK, markersize=12, markeredgecolor="white", zorder=5, gid="saddle", label="saddle point"
    )
    ax.set_xlabel(f"excess V_{one.model.names[i]}(ρ) − b [cost]", color=INK)
    ax.set_ylabel("multiplier λ [reward per cost]", color=INK)
    ax.legend(frameon=False, fontsize=8, labelcolor=INK)
    _plain(ax)
    ax.set_title("right of 0 the constraint is broken, and its multiplier rises", loc="left", color=INK, fontsize=10)
    return ax


def reachable(model: ConstrainedMDP, constraint: str | int = 0) -> Array:
    """(k, 2) the corners of the polygon of (V_c, V_r)(rho) over all policies, counter-clockwise; V_c as given.

    Directions whose normals lie between two known corners are asked until no new corner answers; one or two points where the polygon is flat."""
    i = model.index(constraint)
    problem = problem_of(model.float)
    sign = -1.0 if model.directions[i] == ">=" else 1.0
    size = 1 + np.abs(problem.tables).max() / (1 - float(problem.discount))

    def corner(direction: Array) -> Array:
        table = direction[0] * problem.tables[1 + i] + direction[1] * problem.tables[0]
        return evaluate(problem, best_response(problem, table)).values[[1 + i, 0]]

    def between(a: Array, b: Array) -> list[Array]:
        edge = b - a
        length = float(np.hypot(*edge))
        if length <= 1e-10 * size:
            return []
        normal = np.array([edge[1], -edge[0]]) / length
        c = corner(normal)
        if normal @ (c - a) <= 1e-10 * size:
            return []
        return [*between(a, c), c, *between(c, b)]

    low, high = corner(np.array([-1.0, 0.0])), corner(np.array([1.0, 0.0]))
    points = [low, *between(low, high), high, *between(high, low)]
    kept = [p for k, p in enumerate(points) if all(np.abs(p - q).max() > 1e-10 * size for q in points[:k])]
    return np.array(kept) * [sign, 1.0]


def _finding(run: ConstrainedRun) -> str:
    def shown(figure: float) -> str:
        return f"{figure:.2g}" if abs(figure) > SMALLEST else "0"

    last, mean = (f"gap {shown(run.gap(of)[-1])}, violation {shown(run.violation(of)[-1])}" for of in ("last", "average"))
    return f"{run.method.name}, average: {mean}\nlast: {last}"


def _plain(ax: Any) -> None:
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    from matplotlib.figure import Figure

    return Figure(figsize=(7.2, 4.4), constrained_layout=True).subplots()


__all__ = ["plot_path", "plot_occupancies", "plot_progress", "plot_lagrangian", "reachable"]
