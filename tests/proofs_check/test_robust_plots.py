"""The pictures of robust problems draw the data they are given."""

from __future__ import annotations

import numpy as np
import pytest

from mdps import ModelError, RobustMDP, zoo
from mdps.ambiguity import L1, Contamination
from pgtheory.robust import solve_robust
from proofs_check.pictures import CORNERS
from proofs_check.robust_plots import DISTANCES, plot_price, plot_sets, plot_worst_kernel, price_of_robustness


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


def test_the_stars_lie_on_the_rim_of_their_sets_and_nothing_in_them_is_worth_less():
    """The outlines come from the definitions of the distances, the stars from the solvers: both must meet."""
    p, v, radii = np.array([0.4, 0.3, 0.3]), np.array([1.0, 0.6, 0.0]), {"l1": 0.4, "l2": 0.2, "linf": 0.1, "kl": 0.05, "chi2": 0.2}
    lines = {line.get_gid(): line for line in plot_sets(p, v, radii).lines}
    grid = np.array([(i, j, 60 - i - j) for i in range(61) for j in range(61 - i)]) / 60
    for name, radius in radii.items():
        place = np.array([lines[f"worst-{name}"].get_xdata()[0], lines[f"worst-{name}"].get_ydata()[0]])
        row = np.linalg.solve(np.vstack([CORNERS.T, np.ones(3)]), [*place, 1.0])
        assert DISTANCES[name](row, p) == pytest.approx(radius, abs=1e-7)  # the smooth solvers stop at 1e-9 of the radius or better
        assert (grid @ v)[DISTANCES[name](grid, p) <= radius].min() >= row @ v - 1e-7


@pytest.mark.parametrize(
    ("row", "sets", "said"), [([0.5, 0.5], {"l1": 0.1}, "three next states"), ([0.5, 0.3, 0.2], {"l3": 0.1}, "no outline for 'l3'")]
)
def test_what_cannot_be_drawn_is_named(row, sets, said):
    with pytest.raises(ModelError, match=said):
        plot_sets(row, [0.0] * len(row), sets)
