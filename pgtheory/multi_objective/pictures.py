"""A front in the plane: what policies reach, what linear weights miss, what is dominated.

`plot_front` takes data, draws, and returns the axes; it never shows a figure and never changes global settings.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mdps.errors import ModelError, plural
from mdps.rational import to_float
from pgtheory.multi_objective.fronts import Front

INK = "#44515e"
REACHED, MISSED = "#1f6fa8", "#b4561b"


def plot_front(stochastic: Front, deterministic: Front | None = None, reference: Any = None, ax: Any = None) -> Any:
    """The front of all policies as a line, vertices as discs; deterministic policies that no linear weights reach as crosses.

    stochastic, deterministic   fronts of all policies, and of the deterministic ones
    reference   (2,): shades the area that the deterministic points dominate, the hypervolume
    returns     the axes
    raises      ModelError: points that are not two-dimensional
    """
    chain = _plane(stochastic)
    ax = ax if ax is not None else _axes()
    ax.plot(chain[:, 0], chain[:, 1], color=REACHED, linewidth=1.6, marker="o", markersize=5, gid="front", label="all policies")
    title = "the front is one point" if len(chain) == 1 else f"{len(chain)} vertices"
    if deterministic is not None:
        points = _plane(deterministic)
        missed = ~deterministic.supported
        if reference is not None:
            low = np.asarray(to_float(np.array(reference, dtype=object)), dtype=float)
            xs = np.concatenate([[low[0]], points[:, 0]])
            ax.fill_between(
                xs, np.concatenate([[points[0, 1]], points[:, 1]]), low[1], step="pre", color=REACHED, alpha=0.12, linewidth=0, gid="volume"
            )
        ax.plot(
            points[missed, 0], points[missed, 1], linestyle="none", marker="x", markersize=8, markeredgewidth=2, color=MISSED, gid="missed",
            label="deterministic, best for no weights",
        )  # fmt: skip
        count = int(missed.sum())
        title = f"linear weights miss {count} of {plural(len(points), 'deterministic point')}"
    ax.set_xlabel("J_1 [reward]", color=INK)
    ax.set_ylabel("J_2 [reward]", color=INK)
    if deterministic is not None and np.any(~deterministic.supported):
        ax.legend(frameon=False, fontsize=8, loc="lower left")
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.set_title(title, loc="left", color=INK, fontsize=10)
    return ax


def _plane(front: Front) -> np.ndarray:
    points = to_float(front.points) if front.points.dtype == object else front.points
    if points.ndim != 2 or points.shape[1] != 2:
        raise ModelError(f"a front is drawn in the plane; these points have {points.shape[-1]} objectives")
    return points


def _axes() -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(5.2, 4.2), constrained_layout=True).subplots()
