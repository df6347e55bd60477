"""Nine methods on the square of policies of two states with two actions, over level lines of V(start)."""

import numpy as np
from matplotlib.figure import Figure

import mdps
import pgtheory
from proofs_check.pictures import one_legend, plot_square, small_multiples

MODEL = mdps.MDP([[[0.9, 0.1], [0.2, 0.8]], [[0.7, 0.3], [0.05, 0.95]]], [[0.2, 0.0], [0.5, 1.0]], 0.8, start=[0.5, 0.5])
STARTS = {"middle": (0.5, 0.5), "corner": (0.97, 0.97), "edge": (0.1, 0.9)}
METHODS = {
    "softmax PG, η = 1/2": (pgtheory.SoftmaxPG(0.5), 4000),
    "natural PG, η = 1/10": (pgtheory.NaturalPG(0.1), 400),
    "projected PG, η = 1/20": (pgtheory.ProjectedPG(0.05), 100),
    "mirror descent, Euclidean, η = 1/10": (pgtheory.MirrorDescent(0.1, "euclidean"), 100),
    "normalised PG, η = 1/5": (pgtheory.Normalised(0.2), 300),
    "Polyak steps": (pgtheory.Polyak(), 30),
    "entropy NPG, τ = 1/10": (pgtheory.EntropyNPG(0.1, 0.1), 400),
    "mirror learning, clip 1/10": (pgtheory.MirrorLearning(0.1, "ppo"), 100),
    "policy iteration": (pgtheory.PolicyIteration(), 4),
}


def draw() -> Figure:
    figure, axes = small_multiples(list(METHODS), columns=3, size=(3.3, 3.3))
    for name, (method, steps) in METHODS.items():
        runs = {
            label: pgtheory.run(MODEL, method, steps, record="all", initial=np.array([[x, 1 - x], [y, 1 - y]])) for label, (x, y) in STARTS.items()
        }
        plot_square(MODEL, runs, axes[name], field=method, spacing=9)
    one_legend(figure, list(axes.values()))
    return figure
