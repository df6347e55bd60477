"""Two objectives: the front of all policies, the deterministic policies that linear weights never choose, and the area that they dominate."""

import numpy as np
from matplotlib.figure import Figure

from mdps import random
from mdps.rational import rational_array
from pgtheory.multi_objective import convex_front, deterministic_front, plot_front

MODEL = random.rational(4, 3, 1, discount="4/5")
REWARDS = rational_array(np.random.default_rng(0).integers(0, 10, (2, 4, 3)))


def draw() -> Figure:
    figure = Figure(figsize=(6.0, 4.4), constrained_layout=True)
    plot_front(convex_front(MODEL, REWARDS), deterministic_front(MODEL, REWARDS), (18, 15), figure.subplots())
    return figure
