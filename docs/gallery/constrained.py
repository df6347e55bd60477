"""Two methods under a threshold: policies among all that can be reached, paths around the optimum, and around the saddle point of the Lagrangian."""

from matplotlib.figure import Figure

import mdps
from mdps.constrained import ConstrainedMDP
from pgtheory.constrained import DescentAscent, OptimisticDescentAscent, plot_lagrangian, plot_occupancies, plot_path, run_constrained


def draw() -> Figure:
    model = mdps.random.dirichlet(3, 3, 4, discount=0.8)
    costs = mdps.random.dirichlet(3, 3, 11, discount=0.8).rewards
    problem = ConstrainedMDP(model, [costs], [1.4])
    plain = run_constrained(problem, DescentAscent(3.0, 0.6), 300, record="all")
    eager = run_constrained(problem, OptimisticDescentAscent(3.0, 0.6), 300, record="all")
    figure = Figure(figsize=(15.0, 4.4), constrained_layout=True)
    left, middle, right = figure.subplots(1, 3)
    plot_occupancies(eager, ax=left)
    plot_path({"plain": plain, "optimistic": eager}, middle)
    plot_lagrangian({"plain": plain, "optimistic": eager}, ax=right)
    return figure
