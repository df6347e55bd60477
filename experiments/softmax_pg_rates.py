"""Softmax policy gradient on the bandit of Mei et al. (2020): 1/t without regularisation, a plateau from a bad start, linear with entropy.

Rewards (1, .9, .1), step size 2/5, as in their Figure 1; starts (1/3, 1/3, 1/3) and (.05, .01, .94); temperature 1/5 for the regularised runs.
"""

from __future__ import annotations

import sys

import numpy as np
from matplotlib.figure import Figure

import mdps
import pgtheory
from experiments.findings import Finding, Outcome, report
from proofs_check.plots import INK, SERIES
from proofs_check.rates import fit_rate

BANDIT = "arms([1, 9/10, 1/10])"
STARTS = {"uniform start": [[1 / 3, 1 / 3, 1 / 3]], "bad start": [[0.05, 0.01, 0.94]]}
STEP, TEMPERATURE, ITERATIONS = 0.4, 0.2, 100_000
WAITING = 0.9
"""A plateau lasts while at least this part of the first gap is left."""


def experiment() -> Outcome:
    bandit = mdps.zoo.load(BANDIT)
    rewards = bandit.rewards[0]
    weights = np.exp(rewards / TEMPERATURE)
    soft_optimum = TEMPERATURE * np.log(weights.sum())
    rows, found, curves = [], [], {}
    source = "Mei, Xiao, Szepesvari, Schuurmans (2020)"
    for name, start in STARTS.items():
        plain = pgtheory.run(bandit, pgtheory.SoftmaxPG(STEP), ITERATIONS, initial=np.array(start))
        soft = pgtheory.run(bandit, pgtheory.EntropyPG(STEP, TEMPERATURE), ITERATIONS, initial=np.array(start))
        pi = soft.policies[:, 0]
        curves[name] = {
            "gap": (plain.times, plain.gap()),
            "regularised gap": (soft.times, soft_optimum - (pi * (rewards - TEMPERATURE * np.log(pi))).sum(axis=1)),
        }
        rate, linear = (fit_rate(*curves[name][kind]) for kind in ("gap", "regularised gap"))
        rows += [[name, kind, int(t), float(g)] for kind, (times, gap) in curves[name].items() for t, g in zip(times, gap, strict=True)]
        found.append(
            Finding(f"{source}, Theorem 2", f"{name}: the gap falls as 1/t", rate.text(), rate.kind == "power" and abs(rate.value + 1) < 0.05)
        )
        found.append(
            Finding(f"{source}, Theorem 5", f"{name}: with entropy the regularised gap falls linearly", linear.text(), linear.kind == "geometric")
        )
    waits = {name: int(np.argmax(kinds["gap"][1] < WAITING * kinds["gap"][1][0])) for name, kinds in curves.items()}
    times = {name: int(curves[name]["gap"][0][k]) for name, k in waits.items()}
    said = (
        f"{WAITING:.0%} of the first gap is left until t = {times['bad start']} from the bad start, t = {times['uniform start']} from the uniform one"
    )
    found.append(Finding(f"{source}, Figure 1", "a bad start makes the run wait on a plateau", said, times["bad start"] > 3 * times["uniform start"]))
    return Outcome(("start", "quantity", "t", "gap"), rows, _picture(curves), found)


def _picture(curves: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]) -> Figure:
    figure = Figure(figsize=(8.4, 4.0), constrained_layout=True)
    left, right = figure.subplots(1, 2)
    for k, (name, kinds) in enumerate(curves.items()):
        for ax, kind in ((left, "gap"), (right, "regularised gap")):
            times, gap = kinds[kind]
            keep = (gap > 1e-14) & ((kind == "gap") | (times < 9000))
            ax.plot(np.maximum(times[keep], 0.5) if kind == "gap" else times[keep], gap[keep], color=SERIES[k], label=name)
            ax.set_yscale("log")
            ax.set_xlabel("iteration t", color=INK)
            ax.set_title(f"{kind} [reward]", loc="left", color=INK, fontsize=10)
            ax.legend(frameon=False)
    left.set_xscale("log")
    return figure


if __name__ == "__main__":
    sys.exit(report("softmax_pg_rates", experiment))
