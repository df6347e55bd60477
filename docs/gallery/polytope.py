"""The values of all policies of a model with two states, and how four methods cross them."""

from matplotlib.figure import Figure

import mdps
import pgtheory
from proofs_check.pictures import plot_polytope
from proofs_check.plots import INK

METHODS = {
    "softmax PG": (pgtheory.SoftmaxPG(0.2), 3000),
    "natural PG": (pgtheory.NaturalPG(0.1), 300),
    "projected PG": (pgtheory.ProjectedPG(0.02), 200),
    "policy iteration": (pgtheory.PolicyIteration(), 4),
}


def draw() -> Figure:
    model = mdps.zoo.load("polytope")
    figure = Figure(figsize=(6.2, 5.2), constrained_layout=True)
    ax = figure.add_subplot()
    plot_polytope(model, {name: pgtheory.run(model, method, steps, record="all") for name, (method, steps) in METHODS.items()}, ax)
    ax.set_title("Every method goes up in both states; policy iteration jumps", fontsize=10, loc="left", color=INK)
    return figure
