"""The set of occupancies of a small model, the level lines of a utility on it, and the path of a method.

For models with S (A - 1) = 2 the occupancies are a polygon: three arms, or two states with two actions.  It is drawn in two entries of d, which
determine the others, from a grid of policies.  The level lines are those of F(d), which is concave, so they are nested convex curves although F is
not concave in pi.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.exact.evaluation import occupancy
from pgtheory.utility.base import Utility

Array = np.ndarray
INK = "#44515e"
DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.2)), (0, (6, 1.5, 1, 1.5)))
"""A line has a colour and a dash of its own, so that it is told from the others in grey too."""
COLOURS = ("#1f6fa8", "#b4561b", "#2e7d4f", "#8455a3")
LEVELS = 12


def coordinates(mdp: MDP) -> tuple[tuple[int, int], tuple[int, int]]:
    """The two pairs (s, a) whose occupancies are drawn; ModelError where the set is no polygon."""
    if (mdp.num_states, mdp.num_actions) == (1, 3):
        return (0, 0), (0, 1)
    if (mdp.num_states, mdp.num_actions) == (2, 2) and mdp.is_rectangular:
        return (0, 0), (1, 0)
    raise ModelError(f"the occupancies are a polygon for three arms, or for two states with two actions; this model has {mdp.num_states} states "
                     f"and {mdp.num_actions} actions")  # fmt: skip


def plot_occupancies(mdp: MDP, utility: Utility, paths: Mapping[str, Array], best: Array | None = None, ax: Any = None, points: int = 41) -> Any:
    """The polygon of occupancies with level lines of the utility and, by name, the paths (T, S, A) of occupancies that methods took.

    best     (S, A) the optimum, marked by a star
    returns  the axes
    """
    (s, a), (t, b) = coordinates(mdp)
    ax = ax if ax is not None else _axes()
    grid = np.array([occupancy(mdp.float, policy) for policy in _policies(mdp, points)])
    x, y = grid[:, s, a], grid[:, t, b]
    height = np.array([utility.value(d) for d in grid])
    seen = np.isfinite(height)
    from matplotlib.tri import Triangulation
    from scipy.spatial import ConvexHull

    hull = ConvexHull(np.column_stack([x, y]))
    edge = np.append(hull.vertices, hull.vertices[0])
    ax.plot(x[edge], y[edge], color=INK, linewidth=1.2, gid="polytope")
    keep = np.unique(np.round(np.column_stack([x, y])[seen], 9), axis=0, return_index=True)[1]
    flat = Triangulation(x[seen][keep], y[seen][keep])
    ax.tricontour(flat, height[seen][keep], levels=LEVELS, colors=INK, linewidths=0.5, alpha=0.6, linestyles="solid")
    for colour, dash, (name, path) in zip(COLOURS, DASHES, paths.items(), strict=False):
        style = {"color": colour, "linestyle": dash, "linewidth": 1.4, "marker": "o", "markersize": 2.5}
        ax.plot(path[:, s, a], path[:, t, b], label=name, gid=f"path {name}", **style)
    if best is not None:
        ax.plot(
            [best[s, a]],
            [best[t, b]],
            marker="*",
            markersize=13,
            color=INK,
            markeredgecolor="white",
            zorder=5,
            linestyle="none",
            gid="best",
            label="optimum",
        )
    ax.set_xlabel(f"occupancy of {_pair(mdp, s, a)} [share of visits]", color=INK)
    ax.set_ylabel(f"occupancy of {_pair(mdp, t, b)} [share of visits]", color=INK)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    if paths or best is not None:
        ax.legend(frameon=False, fontsize=8)
    ax.set_title(f"level lines of {utility.name} on the occupancies", loc="left", color=INK, fontsize=10)
    return ax


def _policies(mdp: MDP, points: int) -> list[Array]:
    """A grid over the policies: pairs of probabilities for two states, a triangular grid for three arms."""
    shares = np.linspace(0, 1, points)
    if mdp.num_states == 2:
        return [np.array([[p, 1 - p], [q, 1 - q]]) for p in shares for q in shares]
    n = points - 1
    return [np.array([[i, j, n - i - j]]) / n for i in range(n + 1) for j in range(n + 1 - i)]


def _pair(mdp: MDP, s: int, a: int) -> str:
    state = mdp.state_names[s] if mdp.state_names else f"state {s}"
    action = mdp.action_names[a] if mdp.action_names else f"action {a}"
    return f"({state}, {action})"


def _axes() -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(5.6, 4.6), constrained_layout=True).subplots()
