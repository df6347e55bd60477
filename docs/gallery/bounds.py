"""The gap of three runs and every bound of the catalogue that applies to each."""

from matplotlib.figure import Figure

import mdps
import pgtheory
from proofs_check.plots import plot_run

RUNS = (pgtheory.NaturalPG(1), 300), (pgtheory.MirrorDescent(1, "euclidean"), 300), (pgtheory.GrowingMirrorDescent(1, 3), 60)


def draw() -> Figure:
    model = mdps.zoo.load("chain(2, 1/2)").replace(start=["1/3", "1/3", "1/3"])
    figure = Figure(figsize=(7.6, 11.4))
    for k, (method, steps) in enumerate(RUNS):
        plot_run(pgtheory.run(model, method, steps), figure.add_axes((0.09, 0.7 - 0.325 * k, 0.52, 0.225)))
    return figure
