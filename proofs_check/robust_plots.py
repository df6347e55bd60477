"""Pictures of robust problems: what nature does to a transition, and what caution costs.

    plot_worst_kernel    one row of the worst kernel beside the nominal one
    plot_price           the robust optimum against the radius, with the nominal policy in its own worst case

A function takes the data and an optional matplotlib `ax`, draws, and returns the `ax`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from proofs_check.plots import INK, MEASURED, SERIES, _axes, _dress

WORST = SERIES[1]


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
    _dress(ax, xlabel="radius of the set", ylabel="worst-case value from the start")
    saved = curve["robust"] - curve["careless"]
    best = int(np.argmax(saved))
    size = max(1.0, float(np.abs(curve["robust"]).max()))
    finding = (
        f"caution is worth up to {saved[best]:.3g} (radius {radius[best]:.3g})" if saved[best] > 1e-7 * size else "the nominal policy is robust here"
    )
    ax.set_title(finding, color=INK, loc="left", fontsize=10, pad=20)
    return ax
