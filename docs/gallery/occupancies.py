"""The polygon of occupancies of two states with two actions: level lines of two utilities, and two methods on their way to the optimum."""

import numpy as np
from matplotlib.figure import Figure

from mdps import zoo
from pgtheory import arithmetic
from pgtheory.exact.evaluation import occupancy
from pgtheory.utility import SmoothedEntropy, SquaredDistance, normalised_ascent, run_frank_wolfe, solve_utility
from pgtheory.utility.pictures import plot_occupancies

MODEL = zoo.switch("3/4")
FIRST = np.array([[0.95, 0.05], [0.05, 0.95]])
UTILITIES = {
    "explore": SmoothedEntropy(0.05, over="pairs"),
    "imitate a law out of reach": SquaredDistance(np.array([[0.0, 0.1], [0.9, 0.0]])),
}


def draw() -> Figure:
    figure = Figure(figsize=(10.5, 4.6), constrained_layout=True)
    for ax, (name, utility) in zip(figure.subplots(1, 2), UTILITIES.items(), strict=True):
        ascent = normalised_ascent(MODEL, utility, 60, step_size=0.6, decay=0.3, initial=np.log(FIRST))
        paths = {
            "Frank-Wolfe": run_frank_wolfe(MODEL, utility, 25, initial=FIRST).occupancies,
            "normalised ascent": np.array([occupancy(MODEL, arithmetic.softmax(logits)) for logits in ascent.logits]),
        }
        plot_occupancies(MODEL, utility, paths, solve_utility(MODEL, utility).occupancy, ax)
        ax.set_title(f"{name}: level lines and paths", loc="left", fontsize=10)
    return figure
