"""Two models as graphs; lines from states to actions are as thick as the optimal policy takes the action."""

from matplotlib.figure import Figure

import mdps
import pgtheory
from proofs_check.pictures import plot_graph
from proofs_check.plots import INK

MODELS = {"river swim, 4 states": "river_swim(4)", "the model of the value polytope": "polytope"}


def draw() -> Figure:
    figure = Figure(figsize=(11, 5.2), constrained_layout=True)
    for ax, (title, name) in zip(figure.subplots(1, 2), MODELS.items(), strict=True):
        model = mdps.zoo.load(name)
        plot_graph(model, ax, policy=pgtheory.solve(model).policy)
        ax.set_title(title, fontsize=10, loc="left", color=INK)
    return figure
