"""`pgtheory explore`: what the picture shows, and the page that follows its widgets."""

from __future__ import annotations

import socket
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from typer.testing import CliRunner

from mdps import ModelError, zoo
from pgtheory import NaturalPG
from pgtheory.run import run
from proofs_check import cli, explore
from proofs_check.bounds import bounds_for_run
from tests.browser import Browser


def drawn(figure, name):
    (line,) = [line for line in figure.axes[-1].lines if line.get_gid() == name]
    return np.asarray(line.get_ydata(), dtype=float)


def test_the_gap_stands_beside_the_bounds_of_the_catalogue():
    figure = explore.picture("arms([1, 4/5, 0])", "npg", "1/10", 50)
    trajectory = run(zoo.load("arms([1, 4/5, 0])"), NaturalPG(step_size=0.1), 50)
    assert np.array_equal(drawn(figure, "measured"), trajectory.gap())
    bounds = bounds_for_run(trajectory)
    assert "npg-one-over-T" in bounds
    assert {line.get_gid() for line in figure.axes[1].lines} >= {f"bound-{name}" for name in bounds}


@pytest.mark.parametrize(
    ("model", "says"),
    [("arms([1, 4/5, 0])", "a corner is an action"), ("two_state", "two states"), ("chain(3)", "the model, with the last policy")],
)
def test_what_is_drawn_depends_on_the_model(model, says):
    assert says in explore.picture(model, "npg", "1/10", 10).axes[0].get_title(loc="left")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("chainn", "npg", "1/10"), "chain"),
        (("loop", "policy-iteration", "1/10"), "takes no step size"),
        (("loop", "npg", "fast"), "step-size"),
        (("loop", "npg", "1/10", 0), "iterations is 0"),
        (("taxi", "npg", "1/10", 1), "501 states"),
    ],
)
def test_bad_input_is_named(asked, says):
    with pytest.raises(ModelError, match=says):
        explore.picture(*asked)


def test_without_panel_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "panel", None)
    result = CliRunner().invoke(cli.app, ["explore", "--no-show"])
    assert result.exit_code == 2
    assert result.stderr == "pgtheory: the page needs the package Panel: pip install 'pgtheory[explore]'\n"


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
def test_the_page_follows_its_widgets():
    panel = pytest.importorskip("panel")
    page = explore.page()
    widgets = {widget.name.split(" (")[0]: widget for widget in page[1]}

    def shown():
        return list(page[2])

    assert all(isinstance(half, panel.pane.Matplotlib) for half in shown()) and len(shown()) == 2
    widgets["or one of these"].value = "chain(3)"
    assert widgets["instance"].value == "chain(3)"
    assert "last policy" in shown()[0].object.axes[0].get_title(loc="left")
    before = drawn(shown()[1].object, "measured")
    widgets["step size"].value = "2"
    assert drawn(shown()[1].object, "measured")[1] < before[1]
    widgets["step size"].value = "minus one"
    assert isinstance(shown()[0], panel.pane.Alert)


@pytest.mark.peer
@pytest.mark.browser
@pytest.mark.filterwarnings("ignore")
def test_the_page_is_served_and_a_browser_draws_it(tmp_path):
    """In headless Chromium: the widgets' labels and the figure are in the document, everything came from this machine, and a phone is wide enough."""
    panel = pytest.importorskip("panel")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = panel.serve(explore.page, port=port, address="127.0.0.1", show=False, threaded=True)
    try:
        _wait_for(f"http://127.0.0.1:{port}/")
        with Browser(tmp_path) as browser:
            page = browser.open(f"http://127.0.0.1:{port}/", width=390)
            labels, images, end = [], [], time.monotonic() + 60
            while len(images) < 2 and time.monotonic() < end:
                time.sleep(0.5)
                labels, images = page.evaluate(LOOK)
            assert {"method", "step size", "steps"} <= set(labels)
            assert len(images) == 2
            assert all(shown > 300 for _, shown in images)  # as wide as the page, below each other
            assert [fault for fault in page.faults if "WebGL" not in fault] == []  # a machine without graphics says so
            fetched = [address for address in page.asked if address.startswith("http")]
            assert all(address.startswith(f"http://127.0.0.1:{port}/") for address in fetched)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
    finally:
        server.stop()


def _wait_for(address):
    """Until the server is up."""
    end = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:
                assert "<html" in answer.read().decode()
                return
        except urllib.error.URLError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


LOOK = """(() => {
  const all = [], walk = root => { for (const e of root.querySelectorAll("*")) { all.push(e); if (e.shadowRoot) walk(e.shadowRoot); } };
  walk(document);
  return [all.filter(e => e.tagName == "LABEL").map(e => e.textContent.trim()),
          all.filter(e => e.tagName == "IMG" && e.naturalWidth > 0).map(e => [e.naturalWidth, e.getBoundingClientRect().width])];
})()"""
