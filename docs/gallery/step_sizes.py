"""Iterations of softmax PG to a hundredth of the first gap, over step size and discount; dashed: the step size 1/L of the smoothness theorem."""

import numpy as np
from matplotlib.figure import Figure

import mdps
import pgtheory
from proofs_check.pictures import first_within, plot_map
from proofs_check.plots import INK

MODEL = mdps.MDP([[[0.9, 0.1], [0.2, 0.8]], [[0.7, 0.3], [0.05, 0.95]]], [[0.2, 0.0], [0.5, 1.0]], 0.8, start=[0.5, 0.5])
STEPS = np.geomspace(0.1, 1000, 26)
DISCOUNTS = np.linspace(0.0, 0.96, 21)
MOST, SHARE = 2000, 0.01


def draw() -> Figure:
    taken = np.empty((STEPS.size, DISCOUNTS.size))
    for j, discount in enumerate(DISCOUNTS):
        model = MODEL.replace(discount=float(discount))
        for i, step in enumerate(STEPS):
            taken[i, j] = first_within(pgtheory.run(model, pgtheory.SoftmaxPG(float(step)), MOST), SHARE)
    smooth = 20 / 7 * (1 - DISCOUNTS) ** 2  # 1/L with L = 7 (max r - min r) / (20 (1 - gamma)^2), rewards between 0 and 1
    figure = Figure(figsize=(6.6, 4.6), constrained_layout=True)
    ax = plot_map(STEPS, DISCOUNTS, taken, figure.add_subplot(), most=MOST, limit=np.where(smooth >= STEPS[0], smooth, np.nan))
    ax.set_title("Two states: steps far beyond 1/L still arrive, and sooner", fontsize=10, loc="left", color=INK)
    return figure
