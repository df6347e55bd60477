"""Pictures of robust problems: what nature does to a transition, and what caution costs.

    plot_sets            sets around a row with three next states, in the triangle of rows, with the worst row of each for given values
    plot_worst_kernel    one row of the worst kernel beside the nominal one
    plot_price           the robust optimum against the radius, with the nominal policy in its own worst case

A function takes the data and an optional matplotlib `ax`, draws, and returns the `ax`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mdps.errors import ModelError, nearest
from proofs_check.plots import INK, MEASURED, SERIES, _axes, _dress

WORST = SERIES[1]


def _kl(q: np.ndarray, p: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(q > 0, q * np.log(q / p), 0.0).sum(axis=-1)


DISTANCES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "l1": lambda q, p: np.abs(q - p).sum(axis=-1),
    "l2": lambda q, p: np.sqrt(((q - p) ** 2).sum(axis=-1)),
    "linf": lambda q, p: np.abs(q - p).max(axis=-1),
    "kl": _kl,
    "chi2": lambda q, p: ((q - p) ** 2 / p).sum(axis=-1),
}
"""How far a row q lies from the nominal one; a set holds the rows up to its radius."""


def plot_sets(nominal: Sequence[float], values: Sequence[float], radii: Mapping[str, float], ax: Any = None) -> Any:
    """Draws sets around a row of three probabilities as outlines in the triangle of all rows; a corner is a next state, named with its value.

    nominal  (3,) positive, sums to 1;  values (3,): what the next states are worth;  radii {name in DISTANCES: radius}
    returns  the axes; a star: the row of the set that is worst for the values (`pgtheory.robust.worst_...`); thin lines join equal expected values
    raises   ModelError: another number of states, a probability that is not above 0, an unknown set
    """
    from pgtheory import robust
    from proofs_check.pictures import CORNERS, DASHES, HEIGHT

    p, v = np.asarray(nominal, dtype=float), np.asarray(values, dtype=float)
    if p.shape != (3,) or v.shape != (3,) or not (p > 0).all():
        raise ModelError(f"the triangle shows three next states, each possible; this row is {p.tolist()}")
    unknown = [name for name in radii if name not in DISTANCES]
    if unknown:
        raise ModelError(f"there is no outline for {unknown[0]!r}.{nearest(unknown[0], list(DISTANCES))}")
    ax = _axes(ax)
    fine = 240
    grid = np.array([(i, j, fine - i - j) for i in range(fine + 1) for j in range(fine + 1 - i)]) / fine
    places = grid @ CORNERS
    ax.plot(*np.vstack([CORNERS, CORNERS[:1]]).T, color=INK, linewidth=1.0)
    ax.tricontour(*places.T, grid @ v, levels=12, colors=INK, linewidths=0.6, alpha=0.3)
    for k, (name, radius) in enumerate(radii.items()):
        ax.tricontour(
            *places.T, DISTANCES[name](grid, p), levels=[radius], colors=[SERIES[k % len(SERIES)]], linewidths=1.8, linestyles=[DASHES[k % 4]]
        )
        _, worst = getattr(robust, f"worst_{name}")(p, v, radius)
        style = {"color": SERIES[k % len(SERIES)], "linestyle": DASHES[k % 4], "linewidth": 1.8, "marker": "*", "markersize": 11}
        said = {"label": f"{name}, radius {radius:g}", "gid": f"worst-{name}", "zorder": 4, "markeredgecolor": "white"}
        ax.plot(*(np.asarray(worst, dtype=float) @ CORNERS), **style, **said)
    ax.plot(*(p @ CORNERS), "o", color=INK, markersize=5, gid="nominal")
    for s, (corner, offset, side) in enumerate(zip(CORNERS, ((-3, -2), (3, -2), (0, 4)), ("right", "left", "center"), strict=True)):
        place = {"xytext": offset, "textcoords": "offset points", "ha": side, "va": "bottom" if s == 2 else "top"}
        ax.annotate(f"$s_{s}$: {v[s]:.3g}", corner, fontsize=8.5, color=INK, **place)
    ax.set_aspect("equal")
    ax.axis("off")
    ax.set_xlim(-0.12, 1.12)
    ax.set_ylim(-0.1, HEIGHT + 0.1)
    ax.legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper right")
    ax.set_title("rows near the dot; stars are worst for the values at the corners [reward]", color=INK, loc="left", fontsize=10)
    return ax


def plot_worst_kernel(solution: Any, state: int, action: int | None = None, ax: Any = None) -> Any:
    """Bars of P(s' | state, action), nominal and worst, in the order of the robust values (the worst state first).

    solution   what `pgtheory.robust.solve_robust` returns, with its kernel
    action     the one that the policy plays most if left out
    returns    the axes
    """
    mdp = solution.robust.nominal
    action = int(solution.policy[state].argmax()) if action is None else action
    nominal, worst = mdp.transitions[state, action], solution.kernel[state, action]
    shown = np.flatnonzero((nominal > 0) | (worst > 1e-12))
    shown = shown[np.argsort(solution.values[shown], kind="stable")]
    names = [mdp.state_names[s] if mdp.state_names else str(s) for s in shown]
    place = np.arange(shown.size)
    ax = _axes(ax)
    ax.bar(place - 0.2, nominal[shown], 0.38, color=MEASURED, label="nominal", gid="nominal")
    ax.bar(place + 0.2, worst[shown], 0.38, color=WORST, label="worst case", gid="worst", hatch="//", edgecolor="white")
    ax.set_xticks(place, names, rotation=30 if max(map(len, names)) > 4 else 0, ha="right" if max(map(len, names)) > 4 else "center")
    _dress(ax, xlabel="next state, by robust value (lowest first)", ylabel="probability")
    moved = float(np.abs(worst - nominal).sum()) / 2
    label = mdp.action_names[action] if mdp.action_names else f"action {action}"
    ax.set_title(f"{mdp.state_label(state)}, {label}: nature moves {moved:.3g} of the mass", color=INK, loc="left", fontsize=10, pad=20)
    ax.legend(frameon=False, fontsize=8, labelcolor=INK)
    return ax


def price_of_robustness(nominal: Any, ball: Callable[[float], Any], radii: Sequence[float]) -> dict[str, np.ndarray]:
    """{"radius", "robust", "careless"}: from the start, the robust optimum and the worst case of the nominal model's policy, for every radius."""
    from mdps.robust import RobustMDP
    from pgtheory import solve
    from pgtheory.robust import evaluate_robustly, solve_robust

    best = solve(nominal)
    policy = np.zeros((nominal.num_states, nominal.num_actions))
    policy[np.arange(nominal.num_states), best.actions] = 1.0
    problems = [RobustMDP(nominal, ball(float(radius))) for radius in radii]
    robust = [float(nominal.start @ solve_robust(p, on_limit="return").values) for p in problems]
    careless = [float(nominal.start @ evaluate_robustly(p, policy).values) for p in problems]
    return {"radius": np.asarray(radii, dtype=float), "robust": np.array(robust), "careless": np.array(careless)}


def plot_price(curve: dict[str, np.ndarray], ax: Any = None) -> Any:
    """Draws what `price_of_robustness` returns; the title says how much the robust policy saves at most."""
    ax = _axes(ax)
    radius = curve["radius"]
    for name, label, colour, style in (("robust", "robust policy", MEASURED, "-"), ("careless", "nominal policy", WORST, (0, (5, 3)))):
        ax.plot(radius, curve[name], color=colour, linewidth=1.8, linestyle=style, label=label, gid=name)
    last = sorted((("robust", "robust policy", MEASURED), ("careless", "nominal policy", WORST)), key=lambda item: curve[item[0]][-1])
    for (name, label, colour), side in zip(last, (-7, 7), strict=True):
        ax.annotate(label, (radius[-1], curve[name][-1]), (5, side), textcoords="offset points", color=colour, fontsize=8, va="center")
    _dress(ax, xlabel="radius of the set", ylabel="worst-case value from the start [reward]")
    saved = curve["robust"] - curve["careless"]
    best = int(np.argmax(saved))
    size = max(1.0, float(np.abs(curve["robust"]).max()))
    finding = (
        f"caution is worth up to {saved[best]:.3g} (radius {radius[best]:.3g})" if saved[best] > 1e-7 * size else "the nominal policy is robust here"
    )
    ax.set_title(finding, color=INK, loc="left", fontsize=10, pad=20)
    return ax
