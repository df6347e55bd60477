"""What a step size rule makes of softmax policy gradient: constant, geometry-aware normalised, Polyak.

Two arms with rewards 1 and 0 from the policy (1/10, 9/10): a constant step gives 1/t, the normalised one (Mei et al., 2021) a linear rate, and
Polyak's rule divides the odds of the wrong arm by exp(1/pi(right arm)) at every step, so that the gap falls at least by the factor 1/e.
"""

from __future__ import annotations

import math
import sys

import numpy as np
from matplotlib.figure import Figure

import mdps
import pgtheory
from experiments.findings import Finding, Outcome, report
from pgtheory.policy_gradient import Normalised, Polyak
from proofs_check.plots import INK, SERIES
from proofs_check.rates import fit_rate

START = np.array([[0.1, 0.9]])
STEPS, FEW = 5000, 14


def experiment() -> Outcome:
    bandit = mdps.zoo.load("arms([1, 0])")
    runs = {
        "constant 2/5": pgtheory.run(bandit, pgtheory.SoftmaxPG(0.4), STEPS, initial=START),
        "normalised 1/6": pgtheory.run(bandit, Normalised(1 / 6), 200, initial=START, record="all"),
        "Polyak": pgtheory.run(bandit, Polyak(1), FEW, initial=START, record="all"),
    }
    gaps = {name: run.policies[:, 0, 1] for name, run in runs.items()}  # the gap is the probability of the wrong arm
    rates = {name: fit_rate(run.times, gaps[name]) for name, run in runs.items()}
    pi = runs["Polyak"].policies[:, 0]
    odds = pi[:, 1] / pi[:, 0]
    predicted = odds[:-1] * np.exp(-1 / pi[:-1, 0])
    error = float(np.max(np.abs(odds[1:] / predicted - 1)))
    ratio = float(np.max(gaps["Polyak"][1:] / gaps["Polyak"][:-1]))
    likely = float(runs["normalised 1/6"].minima[-1][0, 0])
    t = runs["normalised 1/6"].times[1:]
    bound = gaps["normalised 1/6"][1] * np.exp(-likely * (t - 1) / 12)
    below = float(np.max(gaps["normalised 1/6"][1:] / bound))
    constant, normalised = rates["constant 2/5"], rates["normalised 1/6"]
    found = [
        Finding("Mei et al. (2020), Theorem 2", "a constant step gives 1/t", constant.text(), abs(constant.value + 1) < 0.05),
        Finding("Mei et al. (2021), Theorem 2", "the normalised step is linear", normalised.text(), normalised.kind == "geometric"),
        Finding("Mei et al. (2021), Theorem 2", "below gap_1 exp(-c (t - 1)/12)", f"at most {below:.3f} of it", below <= 1),
        Finding("claim polyak-step-softmax", "odds of the wrong arm are divided by exp(1/pi) a step", f"within {error:.1e}", error < 1e-6),
        Finding(
            "claim polyak-step-softmax", "the gap falls at least by 1/e a step", f"largest ratio {ratio:.4f}", ratio <= math.exp(-1) * (1 + 1e-6)
        ),
    ]
    figure = Figure(figsize=(7.2, 4.0), constrained_layout=True)
    ax = figure.subplots()
    for k, (name, run) in enumerate(runs.items()):
        ax.plot(np.maximum(run.times, 0.5), gaps[name], color=SERIES[k], label=f"{name}: {rates[name].text()}")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("iteration t", color=INK)
    ax.set_title("optimality gap [reward]", loc="left", color=INK, fontsize=10)
    ax.legend(frameon=False)
    rows = [[name, int(t), float(g)] for name, run in runs.items() for t, g in zip(run.times, gaps[name], strict=True)]
    return Outcome(("rule", "t", "gap"), rows, figure, found)


if __name__ == "__main__":
    sys.exit(report("step_size_rules", experiment))
