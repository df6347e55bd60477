"""The pictures of robust problems draw the data they are given."""

from __future__ import annotations

import numpy as np

from mdps import RobustMDP, zoo
from mdps.ambiguity import L1, Contamination
from pgtheory.robust import solve_robust
from proofs_check.robust_plots import plot_price, plot_worst_kernel, price_of_robustness


def test_bars_are_the_two_rows():
    best = solve_robust(RobustMDP(zoo.machine_replacement(), L1("2/5")))
    ax = plot_worst_kernel(best, 3)
    heights = [[bar.get_height() for bar in container] for container in ax.containers]
    assert sum(heights[0]) == 1
    assert abs(sum(heights[1]) - 1) < 1e-12
    assert "moves 0.2 of the mass" in ax.get_title(loc="left")
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["wear 6", "wear 4", "wear 3"]  # by robust value


def test_the_price_curve_falls_and_the_robust_policy_is_above():
    curve = price_of_robustness(zoo.risky_or_safe(0).nominal, Contamination, np.linspace(0, 0.5, 6))
    assert np.all(np.diff(curve["robust"]) <= 1e-7)
    assert np.all(curve["robust"] >= curve["careless"] - 1e-7)
    ax = plot_price(curve)
    lines = {line.get_gid(): line.get_ydata() for line in ax.get_lines()}
    assert np.array_equal(lines["robust"], curve["robust"]) and np.array_equal(lines["careless"], curve["careless"])
