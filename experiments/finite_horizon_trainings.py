"""Simultaneous against dynamic policy gradient on a finite horizon: Klein, Weissmann, Doering (2024).

A game of collecting: at every stage one may stop and be paid what one has, or go on with a chance to lose all.  Both trainings get the same number
of gradient steps in all; the dynamic one spends them stage after stage, the last stage first, on all states evenly.
"""

from __future__ import annotations

import sys

import numpy as np
from matplotlib.figure import Figure

import mdps
import pgtheory
from experiments.findings import Finding, Outcome, report
from pgtheory import horizon_gradient
from proofs_check.plots import INK, SERIES
from proofs_check.rates import fit_rate

STAGES, STEPS, LOSS = 5, 20_000, 0.25
"""Stages, gradient steps in all, chance to lose everything by going on."""


def game() -> mdps.FiniteHorizon:
    """States 0 .. STAGES: what has been collected; STAGES + 1: over.  Action 0 stops and pays collected/STAGES, action 1 goes on."""
    size = STAGES + 2
    transitions, rewards = np.zeros((STAGES, size, 2, size)), np.zeros((STAGES, size, 2))
    for held in range(STAGES + 1):
        transitions[:, held, 0, size - 1] = 1
        transitions[:, held, 1, min(held + 1, STAGES)] += 1 - LOSS
        transitions[:, held, 1, size - 1] += LOSS
        rewards[:, held, 0] = held / STAGES
    transitions[:, size - 1, :, size - 1] = 1
    return mdps.FiniteHorizon(transitions, rewards, start=np.eye(size)[0])


def experiment() -> Outcome:
    problem = game()
    best = pgtheory.solve_finite_horizon(problem)
    start = np.asarray(problem.start, dtype=float)
    optimum = float(start @ np.asarray(best.values[0], dtype=float))
    moves, paid, _ = horizon_gradient.stacked(problem)
    _, gains = pgtheory.simultaneous_pg(problem, 2 / STAGES, STEPS)
    counts = np.unique(np.round(np.geomspace(STAGES, STEPS, 25) / STAGES).astype(int))
    gaps = []
    for n in counts:
        values = horizon_gradient.stage_values(pgtheory.dynamic_pg(problem, int(n))[None], moves[None], paid[None])[0][0, 0]
        gaps.append(optimum - float(values @ start))
    together = optimum - gains[counts * STAGES]
    states, actions = paid.shape[1:]
    bounds = np.array([sum((STAGES - h) * states * actions**2 * states for h in range(STAGES)) / n for n in counts])
    rows = [[int(n) * STAGES, float(a), float(b), float(c)] for n, a, b, c in zip(counts, together, gaps, bounds, strict=True)]
    source = "Klein, Weissmann, Doering (2024)"
    share = np.max(np.array(gaps) / bounds)
    rates = {name: fit_rate(counts * STAGES, np.array(gap)) for name, gap in (("simultaneous", together), ("dynamic", gaps))}
    fact = "its gap is below sum_h (H-h) S A^2/(n min mu_h)"
    found = [Finding(f"{source}, dynamic policy gradient", fact, f"at most {share:.2g} of it", share <= 1)]
    for name, rate in rates.items():
        fast = rate.value < -0.8 or rate.kind == "geometric"
        found.append(Finding(f"{source}, {name} policy gradient", "the gap falls at least as 1/n", rate.text(), fast))
    figure = Figure(figsize=(7.0, 4.0), constrained_layout=True)
    ax = figure.subplots()
    for k, (name, values) in enumerate({"simultaneous": together, "dynamic": gaps, "bound for dynamic": bounds}.items()):
        ax.plot(counts * STAGES, values, color=SERIES[k], linestyle="--" if "bound" in name else "-", label=name)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("gradient steps in all", color=INK)
    ax.set_title("optimality gap J* - J [reward]", loc="left", color=INK, fontsize=10)
    ax.legend(frameon=False)
    return Outcome(("steps", "simultaneous", "dynamic", "bound for dynamic"), rows, figure, found)


if __name__ == "__main__":
    sys.exit(report("finite_horizon_trainings", experiment))
