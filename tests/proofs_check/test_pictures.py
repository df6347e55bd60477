"""The gallery's pictures: every script draws, and what is drawn is the data."""

from __future__ import annotations

import importlib.util
import pathlib

import numpy as np
import pytest
from matplotlib.figure import Figure

import mdps
import pgtheory
from mdps import ModelError
from pgtheory.exact import state_values
from proofs_check import pictures
from tests import tolerances

SCRIPTS = sorted((pathlib.Path(__file__).parents[2] / "docs" / "gallery").glob("*.py"))
BANDIT = mdps.zoo.load("arms([1, 9/10, 1/10])")
SQUARE = mdps.MDP([[[0.9, 0.1], [0.2, 0.8]], [[0.7, 0.3], [0.05, 0.95]]], [[0.2, 0.0], [0.5, 1.0]], 0.8, start=[0.5, 0.5])


def lines(ax, gid):
    return [line.get_xydata() for line in ax.lines if line.get_gid() == gid]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_of_the_gallery_draws_a_figure(path, tmp_path):
    spec = importlib.util.spec_from_file_location(f"gallery_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    figure = module.draw()
    assert isinstance(figure, Figure)
    assert any(ax.lines for ax in figure.axes)
    assert module.__doc__.startswith(tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))


def test_the_gallery_page_shows_every_script():
    page = (SCRIPTS[0].parent.parent / "gallery.md").read_text()
    assert all(f"```{{picture}} {path.stem}\n" in page for path in SCRIPTS)


def test_a_run_on_the_simplex_is_drawn_at_its_barycentric_places():
    run = pgtheory.run(BANDIT, pgtheory.NaturalPG(0.5), 20, record="all")
    ax = pictures.plot_simplex(BANDIT, {"npg": run}, field=pgtheory.NaturalPG(0.5), spacing=6)
    (drawn,) = lines(ax, "run-npg")
    np.testing.assert_allclose(drawn, run.policies[:, 0] @ pictures.CORNERS, rtol=0, atol=8 * tolerances.EPS)


def test_arrows_point_the_way_of_one_step():
    """On the square the natural gradient of the first state's logit difference is the advantage difference: the arrow has its sign."""
    ax = pictures.plot_square(SQUARE, {}, field=pgtheory.NaturalPG(0.1), spacing=4)
    (field,) = [c for c in ax.collections if type(c).__name__ == "Quiver"]
    for (x, y), u, v in zip(field.XY, field.U, field.V, strict=True):
        policy = np.array([[x, 1 - x], [y, 1 - y]])
        ahead = SQUARE.rewards + SQUARE.discount * SQUARE.transitions @ state_values(SQUARE, policy)
        assert np.sign([u, v]).tolist() == np.sign(ahead[:, 0] - ahead[:, 1]).tolist()


def test_edges_of_the_polytope_join_the_values_of_deterministic_policies():
    run = pgtheory.run(SQUARE, pgtheory.PolicyIteration(), 3, record="all")
    ax = pictures.plot_polytope(SQUARE, {"pi": run}, points=10)
    corners = [state_values(SQUARE, np.eye(2)[[a, b]]) for a in range(2) for b in range(2)]
    edges = lines(ax, "edge")
    assert len(edges) == 4
    for edge in edges:
        for end in (edge[0], edge[-1]):
            assert min(np.abs(end - corner).max() for corner in corners) <= tolerances.linear_solve(2, SQUARE.discount, 1.0)
    np.testing.assert_array_equal(lines(ax, "run-pi")[0], run.values)


def test_a_map_shows_the_iterations_and_the_limit():
    taken = np.array([[1.0, 10.0], [np.nan, 100.0]])
    ax = pictures.plot_map(np.array([0.1, 1.0]), np.array([0.0, 0.5]), taken, most=100, limit=np.array([2.0, 0.5]))
    np.testing.assert_array_equal(np.ma.filled(ax.collections[0].get_array(), np.nan).reshape(2, 2), taken)
    np.testing.assert_array_equal(lines(ax, "limit")[0][:, 1], [2.0, 0.5])


def test_the_first_iteration_within_a_share_of_the_gap():
    run = pgtheory.run(BANDIT, pgtheory.NaturalPG(0.5), 50, record="all")
    t = pictures.first_within(run, 0.5)
    assert run.gap()[int(t)] <= 0.5 * run.gap()[0] < run.gap()[int(t) - 1]
    assert np.isnan(pictures.first_within(run, 0.0))


@pytest.mark.parametrize("name", ["two_state", "river_swim(4)", "arms([1, 0])", "forest_management(3)"])
def test_a_graph_names_every_state_and_action(name):
    model = mdps.zoo.load(name)
    ax = pictures.plot_graph(model)
    texts = [text.get_text() for text in ax.texts]
    assert sum(text.startswith("$s_") for text in texts) == model.num_states
    assert sum(text.startswith("$a_") for text in texts) == int(model.first_pair[-1])


def test_models_of_another_shape_are_refused():
    for draw, model in ((pictures.plot_simplex, SQUARE), (pictures.plot_square, BANDIT), (pictures.plot_polytope, BANDIT)):
        with pytest.raises(ModelError, match="this model has"):
            draw(model, {})
