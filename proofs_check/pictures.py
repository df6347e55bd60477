"""Pictures of what methods do: on the simplex, on the square of two states, in the space of values, over settings; and models as graphs.

    plot_simplex    one state, three actions: level lines of V, one step from everywhere as arrows, runs as lines
    plot_square     two states, two actions: the same over (pi(a_0|s_0), pi(a_0|s_1))
    plot_polytope   two states: the values of all policies, and runs among them
    plot_map        how many iterations a method takes, over (step size, discount)
    plot_graph      a model drawn as a graph: states, actions, probabilities, rewards

As in `plots`: a function takes the data and an optional matplotlib `ax`, draws, and returns the `ax`; it never shows a figure and never changes
global settings.  Lines differ in colour and dash and are named in a legend; levels are grey.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.exact import state_values
from proofs_check.plots import INK, SERIES

Array = np.ndarray
DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.2)), (0, (6, 1.5, 1, 1.5)))
HEIGHT = math.sqrt(3) / 2
"""Of the triangle with sides of length 1."""
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, HEIGHT]])
LEVELS = 12


def plot_simplex(mdp: MDP, runs: Mapping[str, Any], ax: Any = None, *, field: Any = None, spacing: int = 12) -> Any:
    """Draws runs on a model with one state and three actions as lines in the triangle of its policies; a corner is an action.

    runs     {label: `pgtheory.Trajectory`};  field  a method whose single step is drawn as an arrow from a grid of policies, all of one length
    spacing  points of that grid on a side
    raises   ModelError: another number of states or actions
    """
    if (mdp.num_states, mdp.num_actions) != (1, 3):
        raise ModelError(f"the triangle shows one state with three actions; this model has {mdp.num_states} and {mdp.num_actions}")
    ax = _square_axes(ax)
    fine = _barycentric(30)
    values = np.array([float(mdp.float.start @ state_values(mdp.float, p[None])) for p in fine])
    places = fine @ CORNERS
    ax.tricontour(places[:, 0], places[:, 1], values, levels=LEVELS, colors=INK, linewidths=0.6, alpha=0.35)
    ax.plot(*np.vstack([CORNERS, CORNERS[:1]]).T, color=INK, linewidth=1.0)
    if field is not None:
        grid = _barycentric(spacing, inside=True)
        after = _one_step(mdp, field, grid[:, None, :])[:, 0]
        _arrows(ax, grid @ CORNERS, after @ CORNERS, 0.55 / spacing)
    _trails(ax, {label: run.policies[:, 0] @ CORNERS for label, run in runs.items()})
    for a, (corner, side) in enumerate(zip(CORNERS, ("right", "left", "center"), strict=True)):
        reward = float(mdp.float.rewards[0, a])
        offset = (-3, -2) if a == 0 else (3, -2) if a == 1 else (0, 4)
        label = f"$a_{a}$: {reward:.3g}"
        ax.annotate(label, corner, xytext=offset, textcoords="offset points", ha=side, va="bottom" if a == 2 else "top", fontsize=8.5, color=INK)
    ax.set_aspect("equal")
    ax.axis("off")
    ax.set_xlim(-0.12, 1.12)
    ax.set_ylim(-0.1, HEIGHT + 0.1)
    return ax


def plot_square(mdp: MDP, runs: Mapping[str, Any], ax: Any = None, *, field: Any = None, spacing: int = 10, labels: bool = True) -> Any:
    """Draws runs on a model with two states and two actions in the square of its policies, over level lines of V(start).

    runs, field, spacing  as in `plot_simplex`;  labels  whether the axes are named
    raises                ModelError: another number of states or actions
    """
    if (mdp.num_states, mdp.num_actions) != (2, 2):
        raise ModelError(f"the square shows two states with two actions each; this model has {mdp.num_states} and {mdp.num_actions}")
    ax = _square_axes(ax)
    side = np.linspace(0, 1, 25)
    values = np.array([[float(mdp.float.start @ state_values(mdp.float, _two_by_two(x, y))) for x in side] for y in side])
    ax.contour(side, side, values, levels=LEVELS, colors=INK, linewidths=0.6, alpha=0.35)
    if field is not None:
        inner = (np.arange(spacing) + 0.5) / spacing
        points = np.array(list(itertools.product(inner, inner)))
        after = _one_step(mdp, field, np.stack([_two_by_two(x, y) for x, y in points]))[:, :, 0]
        _arrows(ax, points, after, 0.55 / spacing)
    _trails(ax, {label: run.policies[:, :, 0] for label, run in runs.items()})
    ax.set_xlim(-0.02, 1.02)
    ax.set_ylim(-0.02, 1.02)
    ax.set_aspect("equal")
    if labels:
        _name_axes(ax, "$\\pi(a_0\\,|\\,s_0)$ [probability]", "$\\pi(a_0\\,|\\,s_1)$ [probability]")
    return _plain(ax)


def plot_polytope(mdp: MDP, runs: Mapping[str, Any], ax: Any = None, *, points: int = 60) -> Any:
    """Draws the values (V(s_0), V(s_1)) of all policies of a model with two states, and the values that runs pass through.

    The set is a union of segments between policies that differ in one state: those of deterministic policies are drawn as lines, which bound it.
    raises  ModelError: another number of states"""
    if mdp.num_states != 2:
        raise ModelError(f"the polytope is drawn for two states; this model has {mdp.num_states}")
    ax = _square_axes(ax)
    model, actions = mdp.float, mdp.num_actions
    rng = np.random.default_rng(0)
    cloud = rng.dirichlet(np.full(actions, 0.5), (points * points, 2))
    ax.plot(*np.array([state_values(model, pi) for pi in cloud]).T, linestyle="", marker="o", markersize=1.6, color=INK, alpha=0.18, gid="policies")
    along = np.linspace(0, 1, points)
    eye = np.eye(actions)
    for state in range(2):
        for fixed, first, second in itertools.product(range(actions), repeat=3):
            if first < second:
                rows = [eye[first] * (1 - x) + eye[second] * x for x in along]
                segment = np.array([state_values(model, np.stack([row, eye[fixed]] if state == 0 else [eye[fixed], row])) for row in rows])
                ax.plot(*segment.T, color=INK, linewidth=0.9, alpha=0.8, gid="edge")
    for choice in itertools.product(range(actions), repeat=2):
        ax.plot(*state_values(model, eye[list(choice)]), marker="s", markersize=4, color=INK)
    _trails(ax, {label: run.values for label, run in runs.items()})
    _name_axes(ax, "$V(s_0)$ [reward]", "$V(s_1)$ [reward]")
    return _plain(ax)


def plot_map(steps: Array, discounts: Array, iterations: Array, ax: Any = None, *, most: int, limit: Any = None) -> Any:
    """Draws the iterations that a method takes as shades over (discount, step size), white where it takes more than `most`.

    steps (I,), discounts (J,), iterations (I, J): NaN where it does not arrive;  limit  one step size a discount, drawn as a line: the theory's
    """
    ax = _square_axes(ax)
    from matplotlib.colors import LogNorm

    known = np.where(np.isfinite(iterations), iterations, np.nan)
    shades = ax.pcolormesh(
        discounts, steps, known, cmap="cividis", norm=LogNorm(vmin=max(1.0, float(np.nanmin(known))), vmax=most), shading="nearest"
    )
    ax.set_yscale("log")
    if limit is not None:
        ax.plot(discounts, limit, color="white", linewidth=3.2)
        ax.plot(discounts, limit, color="black", linewidth=1.4, linestyle=(0, (4, 2)), gid="limit")
    bar = ax.figure.colorbar(shades, ax=ax)
    bar.set_label("iterations t", color=INK, fontsize=9)
    bar.ax.tick_params(labelsize=8, colors=INK)
    _name_axes(ax, "discount $\\gamma$ [1]", "step size $\\eta$ [1/reward]")
    return _plain(ax)


def plot_graph(mdp: MDP, ax: Any = None, *, policy: Array | None = None, least: float = 1e-9) -> Any:
    """Draws a model as a graph: states on a circle, an action as a small square between its state and where it leads.

    An action is named with its reward, an arrow from it with its probability where that is below 1.  policy (S, A): the line from a state to an
    action is as thick as its probability.  For up to about ten states."""
    ax = _square_axes(ax)
    model, states = mdp.float, mdp.num_states
    angles = math.pi - 2 * math.pi * np.arange(states) / states if states > 2 else np.array([math.pi, 0.0])[:states]
    centres = (2.8 if states > 2 else 2.2) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for s in range(states):
        first, last = int(model.first_pair[s]), int(model.first_pair[s + 1])
        for k, pair in enumerate(range(first, last)):
            row = np.asarray(model.choices[[pair]].toarray() if model.is_sparse else model.choices[[pair]]).reshape(-1)
            reached = np.flatnonzero(row > least)
            square = _action_place(centres, s, reached, row, k, last - first)
            weight = 1.0 if policy is None else float(policy[s, k])
            ax.plot(*np.stack([centres[s], square]).T, color=INK, linewidth=0.6 + 2.4 * weight, alpha=0.35 + 0.65 * weight, zorder=1)
            for t in reached:
                _edge(ax, square, centres[t], float(row[t]), bent=0.18 if t == s else 0.08)
            ax.plot(*square, marker="s", markersize=5, color=SERIES[k % len(SERIES)], zorder=3)
            reward = float(model.pair_rewards[pair])
            text = f"$a_{k}$: {reward:.3g}" if abs(reward) < 1000 else f"$a_{k}$: {reward:,.0f}"
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85}
            ax.annotate(text, square, xytext=(6, 5), textcoords="offset points", fontsize=8, color=SERIES[k % len(SERIES)], zorder=5, bbox=box)
        ax.plot(*centres[s], marker="o", markersize=24, markerfacecolor="white", markeredgecolor=INK, markeredgewidth=1.2, zorder=3)
        ax.annotate(f"$s_{{{s}}}$", centres[s], ha="center", va="center", fontsize=10, color=INK, zorder=4)
    ax.set_aspect("equal")
    ax.axis("off")
    ax.margins(0.12)
    return ax


def _action_place(centres: Array, state: int, reached: Array, row: Array, k: int, count: int) -> Array:
    """Where the square of action k stands: on the way to the mean of its successors, fanned out so that actions do not meet."""
    towards = row[reached] @ centres[reached] - centres[state]
    if np.linalg.norm(towards) < 1e-6:
        towards = centres[state] if np.linalg.norm(centres[state]) > 0 else np.array([1.0, 0.0])
    angle = math.atan2(towards[1], towards[0]) + 0.95 * (k - (count - 1) / 2)
    return centres[state] + 1.15 * np.array([math.cos(angle), math.sin(angle)])


def _edge(ax: Any, begin: Array, end: Array, probability: float, bent: float) -> None:
    style = {"arrowstyle": "-|>", "color": INK, "linewidth": 0.5 + 1.2 * probability, "shrinkA": 3, "shrinkB": 13}
    ax.annotate("", end, begin, arrowprops={**style, "connectionstyle": f"arc3,rad={bent}"}, zorder=2)
    if probability < 1:
        middle = (begin + end) / 2 + bent / 2 * np.array([end[1] - begin[1], begin[0] - end[0]])
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85}
        ax.annotate(f"{probability:.3g}", middle, fontsize=7, color=INK, ha="center", va="center", zorder=4, bbox=box)


def first_within(run: Any, share: float) -> float:
    """The first recorded iteration at which the gap is at most `share` of the first one; NaN if it never is."""
    gap = run.gap()
    reached = np.flatnonzero(gap <= share * gap[0])
    return float(run.times[reached[0]]) if reached.size else math.nan


def _one_step(mdp: MDP, method: Any, policies: Array) -> Array:
    """Where one step takes each policy (B, S, A)."""
    model, batch = mdp.float, len(policies)
    params = np.stack([method.params_of(policy) for policy in policies])
    settings = tuple(np.broadcast_to(np.asarray(x, dtype=np.float64), (batch, *np.shape(x))) for x in method.settings(model))
    shared = [np.broadcast_to(x, (batch, *np.shape(x))) for x in (model.transitions, model.rewards, np.float64(model.discount), model.start)]
    return method.policy_of(method.run_arrays(*shared, params, settings, [1])[0][:, 0])


def _arrows(ax: Any, begin: Array, end: Array, length: float) -> None:
    """Arrows of one length in the direction of the step; their shade says how long it is."""
    move = end - begin
    size = np.linalg.norm(move, axis=1)
    moving = size > 1e-9
    unit = move[moving] / size[moving, None] * length
    shade = 0.25 + 0.6 * (size[moving] / size.max()) ** 0.4 if moving.any() else np.empty(0)
    colours = np.concatenate([np.tile([0.27, 0.32, 0.37], (len(unit), 1)), shade[:, None]], axis=1)
    ax.quiver(*begin[moving].T, *unit.T, color=colours, angles="xy", scale_units="xy", scale=1, width=0.005, pivot="mid", zorder=2)


def _trails(ax: Any, paths: Mapping[str, Array]) -> None:
    """Lines with a hollow start and a full end, named in a legend where there are several."""
    for k, (label, path) in enumerate(paths.items()):
        color, dash = SERIES[k % len(SERIES)], DASHES[k % len(DASHES)]
        ax.plot(*path.T, color=color, linestyle=dash, linewidth=1.8, label=label, gid=f"run-{label}", zorder=3)
        ax.plot(*path[0], marker="o", markersize=6, markerfacecolor="white", markeredgecolor=color, zorder=4)
        ax.plot(*path[-1], marker="o", markersize=6, color=color, zorder=4)
    if len(paths) > 1:
        ax.legend(frameon=False, fontsize=8, labelcolor=INK, loc="best")


def _barycentric(side: int, inside: bool = False) -> Array:
    """A triangular grid of distributions over three actions; `inside`: none on the rim."""
    low = 1 if inside else 0
    points = [(i, j, side - i - j) for i in range(low, side + 1) for j in range(low, side + 1 - i) if side - i - j >= low]
    return np.array(points, dtype=np.float64) / side


def _two_by_two(x: float, y: float) -> Array:
    return np.array([[x, 1 - x], [y, 1 - y]])


def _square_axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    from matplotlib.figure import Figure

    return Figure(figsize=(5.4, 5.0), constrained_layout=True).add_subplot()


def _name_axes(ax: Any, x: str, y: str) -> None:
    ax.set_xlabel(x, color=INK, fontsize=9)
    ax.set_ylabel(y, color=INK, fontsize=9)


def _plain(ax: Any) -> Any:
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(INK)
        ax.spines[side].set_linewidth(0.7)
    ax.tick_params(which="both", colors=INK, labelsize=8.5, width=0.6)
    return ax


def methods_on_simplex(mdp: MDP, methods: Mapping[str, tuple[Any, int]], starts: Mapping[str, Any], columns: int = 4) -> Any:
    """A figure of `plot_simplex`, one axes a method: {title: (method, steps)}, each run from every first policy of `starts`.

    A method whose first step from a policy alone stays (it learns values beside it) has no arrows.
    """
    from pgtheory.run import run

    figure, axes = small_multiples(list(methods), columns, (2.9, 2.8))
    for title, (method, steps) in methods.items():
        seen = np.unique(np.round(np.concatenate([np.arange(min(steps, 30) + 1), np.geomspace(1, steps, 80)])).astype(int))
        runs = {label: run(mdp, method, steps, record=seen, initial=np.array(start)) for label, start in starts.items()}
        plot_simplex(mdp, runs, axes[title], field=method if method.parameters != "policy and values" else None, spacing=11)
    one_legend(figure, list(axes.values()))
    return figure


def one_legend(figure: Any, axes: Sequence[Any]) -> None:
    """One legend below the figure in the place of the same one in every axes."""
    handles, labels = axes[0].get_legend_handles_labels()
    for ax in axes:
        if ax.get_legend() is not None:
            ax.get_legend().remove()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9, labelcolor=INK)


def small_multiples(names: Sequence[str], columns: int, size: tuple[float, float]) -> tuple[Any, dict[str, Any]]:
    """A figure with one titled axes a name: (figure, {name: axes})."""
    from matplotlib.figure import Figure

    rows = math.ceil(len(names) / columns)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), constrained_layout=True)
    grid = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for ax in grid[len(names) :]:
        ax.axis("off")
    for name, ax in zip(names, grid, strict=False):
        ax.set_title(name, fontsize=9.5, color=INK, loc="left")
    return figure, dict(zip(names, grid, strict=False))
