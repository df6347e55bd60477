"""Sets around a transition, what nature does in one, what a radius costs, and the law of a return whose risk was optimised."""

from matplotlib.figure import Figure

import mdps
from mdps.ambiguity import L1
from mdps.robust import RobustMDP
from pgtheory.risk.pictures import plot_profile
from pgtheory.risk.static_cvar import solve_static
from pgtheory.robust import solve_robust
from proofs_check.robust_plots import plot_price, plot_sets, plot_worst_kernel, price_of_robustness


def draw() -> Figure:
    figure = Figure(figsize=(11, 9), constrained_layout=True)
    (sets, kernel), (price, profile) = figure.subplots(2, 2)
    plot_sets([0.4, 0.3, 0.3], [1.0, 0.6, 0.0], {"l1": 0.48, "l2": 0.33, "kl": 0.08, "chi2": 0.36}, sets)
    garnet = mdps.random.garnet(6, 3, 2, seed=0, discount=0.9)
    plot_worst_kernel(solve_robust(RobustMDP(garnet, L1(0.4)), on_limit="return"), 2, ax=kernel)
    plot_price(price_of_robustness(garnet, L1, [k / 20 for k in range(17)]), price)
    luck = mdps.zoo.gamble_on_luck()
    laws = {"averse": solve_static(luck, "cvar:1/2", 4).law, "neutral": solve_static(luck, "mean", 4).law}
    plot_profile(laws, ["mean", "cvar:1/2"], profile)
    return figure
