"""Entropy-regularised natural policy gradient contracts by 1 - eta tau a step, whatever the model: Cen et al. (2022), Theorem 1 and Figure 1.

A random model of 20 states and 10 actions as in their numerical section (a Garnet with uniform rewards here), gamma = .8, three temperatures and
several step sizes up to (1 - gamma)/tau, which is soft policy iteration.
"""

from __future__ import annotations

import sys

import numpy as np
from matplotlib.figure import Figure

from experiments.findings import Finding, Outcome, report
from mdps import random
from proofs_check.catalogue import get_claim
from proofs_check.engine.measure import compare, trajectory
from proofs_check.instance import Batch, Instance
from proofs_check.plots import INK, SERIES
from proofs_check.rates import fit_rate

DISCOUNT = 0.8
TEMPERATURES = (0.1, 0.05, 0.01)
FRACTIONS = (0.1, 0.3, 1.0)
ITERATIONS = 300
"""Steps of each run."""


def experiment() -> Outcome:
    model = random.garnet(20, 10, 5, seed=3, discount=DISCOUNT)
    claim = get_claim("entropy-npg-linear")
    case = claim.case(claim.form("action values"))
    policy = np.full((20, 10), 0.1)
    start = np.full(20, 1 / 20)
    rows, found, curves = [], [], {}
    for tau in TEMPERATURES:
        for fraction in FRACTIONS:
            eta = fraction * (1 - DISCOUNT) / tau
            settings = {"tau": tau, "fraction": fraction, "eta": eta}
            instance = Instance(model.transitions, model.rewards, DISCOUNT, start, start, policy, settings=settings)
            seen = compare(case, trajectory(case, Batch.of([instance]), ITERATIONS))
            measured, bound = seen.left[0, :, 0], seen.right[0, :, 0]
            good = np.isfinite(bound) & (measured > 1e-12) & (seen.times > 0)
            rate = fit_rate(seen.times[good], measured[good])
            promised = 1 - eta * tau
            curves[f"tau = {tau:g}, eta tau = {eta * tau:g}"] = (seen.times[good], measured[good], bound[good])
            rows += [[tau, eta, int(t), float(m), float(b)] for t, m, b in zip(seen.times[good], measured[good], bound[good], strict=True)]
            fact = f"tau = {tau:g}, eta = {eta:g}: the error of the soft action values is at most C1 gamma {promised:g}^(t-1)"
            said = f"{rate.text()}; measured/bound at most {np.max(measured[good] / bound[good]):.3f}"
            holds = (measured[good] <= bound[good]).all() and not rate.value > promised  # soft policy iteration is quadratic: no rate at all
            found.append(Finding("Cen, Cheng, Chen, Wei, Chi (2022), Theorem 1", fact, said, holds))
    return Outcome(("temperature", "step size", "t", "error", "bound"), rows, _picture(curves), found)


def _picture(curves: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Figure:
    figure = Figure(figsize=(8.0, 4.2), constrained_layout=True)
    ax = figure.subplots()
    for k, (name, (times, measured, bound)) in enumerate(curves.items()):
        style = ("-", "--", ":")[k // len(SERIES) % 3]
        ax.plot(times, measured, color=SERIES[k % len(SERIES)], linestyle=style, label=name)
        ax.plot(times, bound, color=SERIES[k % len(SERIES)], linestyle=style, alpha=0.35)
    ax.set_yscale("log")
    ax.set_ylim(1e-12, None)
    ax.set_xlabel("iteration t", color=INK)
    ax.set_title("error of the soft action values [reward]; pale: the bound", loc="left", color=INK, fontsize=10)
    ax.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


if __name__ == "__main__":
    sys.exit(report("entropy_npg_rate", experiment))
