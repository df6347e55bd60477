"""Policy mirror descent with geometrically growing steps is linear, with constant steps it is not: Xiao (2022).

A Garnet with 20 states and 5 actions, discount 9/10; steps grow by theta/(theta - 1), theta = mismatch/(1 - gamma), in both geometries, against the
bound (1 - 1/theta)^k (gap_0 + D_0/((1 - gamma) eta_0 (theta - 1))); and a bandit with close arms, where a constant step stays behind that rate.
"""

from __future__ import annotations

import sys

import numpy as np
from matplotlib.figure import Figure

import mdps
import pgtheory
from experiments.findings import Finding, Outcome, report
from mdps import random
from pgtheory.policy_gradient import GrowingMirrorDescent
from proofs_check.plots import INK, SERIES

STEP, ITERATIONS = 1.0, 300
CLOSE = "arms([1, 999/1000], 1/2)"


def experiment() -> Outcome:
    model = random.garnet(20, 5, 5, seed=1, discount=0.9)
    best = pgtheory.solve(model)
    optimal = np.eye(5)[best.actions]
    visits = pgtheory.state_occupancy(model, optimal)
    theta = float(np.max(visits / model.start)) / (1 - model.discount)
    growth = theta / (theta - 1)
    source, rows, found, curves = "Xiao (2022), geometrically increasing step sizes", [], [], {}
    for geometry, first in (("kl", np.log(5)), ("euclidean", 0.5 * (1 - 1 / 5))):
        run = pgtheory.run(model, GrowingMirrorDescent(STEP, growth, geometry), ITERATIONS, record="all")
        gap = run.gap()
        bound = (1 - 1 / theta) ** run.times * (gap[0] + first / ((1 - model.discount) * STEP * (theta - 1)))
        share = float(np.max(gap / bound))
        curves[geometry] = (run.times, gap, bound)
        rows += [[geometry, int(t), float(g), float(b)] for t, g, b in zip(run.times, gap, bound, strict=True)]
        found.append(Finding(source, f"{geometry}: gap_k <= (1 - 1/{theta:.1f})^k (...)", f"at most {share:.3f} of the bound", share <= 1))
    bandit = mdps.zoo.load(CLOSE)
    constant = pgtheory.run(bandit, pgtheory.MirrorDescent(STEP), 20, record="all").gap()
    grown = pgtheory.run(bandit, GrowingMirrorDescent(STEP, 2, "kl"), 20, record="all").gap()
    promised = 0.5**20 * (constant[0] + np.log(2) / 0.5)
    said = f"constant {constant[-1]:.1e}, growing {grown[-1]:.1e}, bound {promised:.1e} after 20 steps"
    found.append(Finding(source, "the growth is needed: close arms, discount 1/2", said, constant[-1] > promised >= grown[-1]))
    figure = Figure(figsize=(7.2, 4.0), constrained_layout=True)
    ax = figure.subplots()
    for k, (geometry, (times, gap, bound)) in enumerate(curves.items()):
        ax.plot(times, np.where(gap > 1e-14, gap, np.nan), color=SERIES[k], label=f"{geometry}: gap")
        ax.plot(times, bound, color=SERIES[k], linestyle="--", label=f"{geometry}: bound")
    ax.set_yscale("log")
    ax.set_xlabel("iteration k", color=INK)
    ax.set_title("optimality gap [reward]", loc="left", color=INK, fontsize=10)
    ax.legend(frameon=False)
    return Outcome(("geometry", "k", "gap", "bound"), rows, figure, found)


if __name__ == "__main__":
    sys.exit(report("growing_steps", experiment))
