"""The pictures of runs draw what the figures say; the polygon is that of all deterministic policies."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mdps import ConstrainedMDP, random, zoo
from pgtheory.constrained.descent_ascent import DescentAscent
from pgtheory.constrained.pictures import plot_lagrangian, plot_occupancies, plot_path, plot_progress, reachable
from pgtheory.constrained.primal_dual import NPGPrimalDual
from pgtheory.constrained.runs import run_constrained
from tests.pgtheory.constrained import plain

CASES = zoo.constrained_cases()


@pytest.fixture(scope="module")
def run():
    return run_constrained(CASES["C7"].problem, NPGPrimalDual(), 64)


def drawn(ax):
    return {line.get_gid(): line for line in ax.lines}


def test_the_path_is_drawn_in_gap_and_excess(run):
    before = plt.get_fignums()
    ax = plot_path({"npg": run, "plain": run_constrained(CASES["C7"].problem, DescentAscent(0.2), 30)})
    lines = drawn(ax)
    assert lines["last npg"].get_xdata().tolist() == run.gap("last").tolist()
    assert lines["last npg"].get_ydata().tolist() == run.excesses[:, 0].tolist()
    assert np.maximum(lines["average npg"].get_ydata(), 0) == pytest.approx(run.violation("average"), abs=0)
    assert lines["end average npg"].get_xdata()[0] == run.gap("average")[-1]
    assert lines["optimum"].get_xdata()[0] == 0 and abs(lines["optimum"].get_ydata()[0]) < 1e-9
    assert len(lines["last plain"].get_xdata()) == 31 and "threshold" not in lines
    assert "average: gap" in plot_path(run).get_title(loc="left")
    assert plt.get_fignums() == before


@pytest.mark.parametrize("name", ["C2", "C5", "C7", "C8a", "C9a", "C10", "C11", "random"])
def test_the_polygon_is_the_hull_of_the_deterministic_policies(name):
    model = CASES[name].problem if name in CASES else ConstrainedMDP(random.dirichlet(3, 3, 4), [random.dirichlet(3, 3, 11).rewards], [1.4])
    corners = reachable(model)
    sign = -1 if model.directions[0] == ">=" else 1
    points = np.array([[sign * float(c[0]), float(r)] for r, c in plain.points(model)])
    size = 1 + np.abs(points).max()
    for corner in corners:
        assert np.abs(points - corner).max(axis=1).min() <= 1e-9 * size
    edges = np.roll(corners, -1, axis=0) - corners
    if len(corners) > 2:
        turn = -1 if sign == -1 else 1  # mirrored for ">="
        for corner, edge in zip(corners, edges, strict=True):
            assert (turn * (edge[0] * (points[:, 1] - corner[1]) - edge[1] * (points[:, 0] - corner[0])) >= -1e-9 * size).all()


def test_the_polytope_shows_the_threshold_the_path_and_the_optimum(run):
    lines = drawn(plot_occupancies(run))
    assert lines["threshold"].get_xdata()[0] == 1
    path = lines["path"]
    assert path.get_ydata() == pytest.approx(run.values[run.times], abs=1e-12)
    assert path.get_xdata() - 1 == pytest.approx(run.excesses[run.times, 0], abs=1e-12)
    assert lines["optimum"].get_ydata()[0] == pytest.approx(7 / 6, abs=1e-9)
    assert lines["average"].get_ydata()[0] == pytest.approx(run.optimum - run.gap("average")[-1], abs=1e-12)
    assert "corners" in plot_occupancies(CASES["C11"].problem).get_title(loc="left")


def test_progress_shows_both_iterates_and_the_promise(run):
    gap, violation = plot_progress({"npg": run})
    lines = drawn(gap)
    shown = lines["gap average npg"].get_ydata()
    assert shown[shown > 0] == pytest.approx(run.gap("average")[1:][run.gap("average")[1:] > 0], abs=0)
    assert lines["gap bound npg"].get_ydata()[0] == run.guarantee().gap
    assert drawn(violation)["violation bound npg"].get_ydata()[0] == run.guarantee().violations.max()
    assert {"violation last npg", "violation average npg"} <= set(drawn(violation))


def test_the_saddle_point_is_where_the_program_has_it(run):
    ax = plot_lagrangian({"npg": run, "plain": run_constrained(CASES["C7"].problem, DescentAscent(0.2), 30)})
    lines = drawn(ax)
    assert lines["path npg"].get_xdata().tolist() == run.excesses[:, 0].tolist()
    assert lines["path npg"].get_ydata().tolist() == run.multipliers[:, 0].tolist()
    assert lines["saddle"].get_ydata()[0] == run.solution.multipliers[0]
    assert lines["path npg"].get_linestyle() != lines["path plain"].get_linestyle()
