"""The polygon of occupancies of two states with two actions: the linear program's objective and two concave utilities, and methods on their way."""

import numpy as np
from matplotlib.figure import Figure

from mdps import MDP, zoo
from pgtheory import PolicyIteration, SoftmaxPG, arithmetic, run
from pgtheory.exact.evaluation import occupancy
from pgtheory.utility import Linear, SmoothedEntropy, SquaredDistance, normalised_ascent, run_frank_wolfe, solve_utility
from pgtheory.utility.pictures import plot_occupancies

MODEL = zoo.switch("3/4")
FIRST = np.array([[0.95, 0.05], [0.05, 0.95]])
UTILITIES = {
    "explore": SmoothedEntropy(0.05, over="pairs"),
    "imitate a law out of reach": SquaredDistance(np.array([[0.0, 0.1], [0.9, 0.0]])),
}


REWARDS = np.array([[0.2, 0.0], [1.0, 0.5]])


def draw() -> Figure:
    figure = Figure(figsize=(15.5, 4.6), constrained_layout=True)
    program, *axes = figure.subplots(1, 3)
    paid = MDP(MODEL.transitions, REWARDS, float(MODEL.discount), start=MODEL.start, action_names=MODEL.action_names)
    runs = {"policy iteration": run(paid, PolicyIteration(), 4), "softmax PG": run(paid, SoftmaxPG(0.5), 300)}
    paths = {name: np.array([occupancy(paid, policy) for policy in one.policies]) for name, one in runs.items()}
    plot_occupancies(paid, Linear(REWARDS), paths, paths["policy iteration"][-1], program)
    program.set_title("the linear program: straight level lines, optimum in a corner", loc="left", fontsize=10)
    for ax, (name, utility) in zip(axes, UTILITIES.items(), strict=True):
        ascent = normalised_ascent(MODEL, utility, 60, step_size=0.6, decay=0.3, initial=np.log(FIRST))
        paths = {
            "Frank-Wolfe": run_frank_wolfe(MODEL, utility, 25, initial=FIRST).occupancies,
            "normalised ascent": np.array([occupancy(MODEL, arithmetic.softmax(logits)) for logits in ascent.logits]),
        }
        plot_occupancies(MODEL, utility, paths, solve_utility(MODEL, utility).occupancy, ax)
        ax.set_title(f"{name}: level lines and paths", loc="left", fontsize=10)
    return figure
