"""The report in a headless Chromium, from its files: what is there, what the filters hide, colours, widths, the keyboard; nothing is fetched."""

from __future__ import annotations

import dataclasses
import re

import pytest
from sample_run import EXACT, claim, form, sample_run

from proofs_check.report import write_report
from tests.browser import Browser

pytestmark = pytest.mark.browser

SHOWN = "[...document.querySelectorAll('.claims tr[data-verdict]')].filter(row => row.getClientRects().length).map(row => row.dataset.verdict)"
CHOOSE = "document.querySelector('#by-{name}').value = {value!r}"
COLOURS = """(() => {
  const seen = [];
  for (const element of document.querySelectorAll('body, p, a, th, td, dt, dd, h1, h2, h3, .chip, .id, .soft, small, code, pre, li, svg text')) {
    if (!element.getClientRects().length || !element.textContent.trim()) continue;
    if (element instanceof SVGElement && element.tagName != 'text') continue;
    let ground = element, paper = 'rgba(0, 0, 0, 0)';
    while (ground && /, 0\\)$/.test(paper)) { paper = getComputedStyle(ground).backgroundColor; ground = ground.parentElement; }
    const style = getComputedStyle(element);
    seen.push([element.tagName + '.' + element.getAttribute('class'), element instanceof SVGElement ? style.fill : style.color, paper]);
  }
  return seen;
})()"""
CLAIMS = 13
CONTRAST = 4.5
"""Of text to its ground: the web's accessibility guidelines (WCAG 2.2, 1.4.3) ask for it."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The sample run and more claims, so that the index has filters and a picture; one is refuted on an instance with features."""
    folder = tmp_path_factory.mktemp("report")
    wrong = form("wrong-too", "refuted")
    wrong.counterexample["instance"] = EXACT | {"extras": {"features": [[["1", "0", "1/2"]] * 2] * 2}}
    more = [
        claim("wrong-too", "refuted", forms=[wrong]),
        dataclasses.replace(claim("one-more", "proved"), source={"key": "other", "text": "Other (2020)"}),
    ]
    more += [claim(f"tight-{k}", "certified", forms=[form(f"tight-{k}", "certified", tightness=10.0**-k, instances=9)]) for k in range(4)]
    run = sample_run()
    write_report(sample_run(verdicts=[*run.verdicts, *more]), folder)
    return folder


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (360, True)])
def test_pages_load_without_a_complaint_and_fit_their_width(browser, report, width, dark):
    for name in ("index", "npg-one-over-t", "wrong-too", "my-npg-bound", "softmax-mdp-one-over-t", "softmax-one-over-t-lower-bound"):
        page = browser.open(report / f"{name}.html", width, dark=dark)
        assert page.faults == [], name
        assert all(address.startswith("file:") for address in page.asked)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert page.evaluate("document.querySelectorAll('h1').length") == 1


def test_the_index_shows_the_claims_and_the_picture_over_all(browser, report):
    page = browser.open(report / "index.html")
    assert len(page.evaluate(SHOWN)) == CLAIMS
    assert page.evaluate("document.querySelector('svg.landscape').getBoundingClientRect().height") > 50
    assert page.evaluate("document.querySelectorAll('svg.landscape circle').length") >= 3
    links = page.evaluate("[...document.querySelectorAll('.claims a')].map(link => link.getAttribute('href'))")
    assert all((report / link).is_file() for link in links)


def test_filters_hide_the_other_claims_and_count_what_is_left(browser, report):
    page = browser.open(report / "index.html")
    everything = page.evaluate(SHOWN)
    page.evaluate(CHOOSE.format(name="verdict", value="refuted"))
    assert page.evaluate(SHOWN) == ["refuted", "refuted"]
    assert [name for name in everything if name == "refuted"] == ["refuted", "refuted"]
    families = "[...document.querySelectorAll('.claims tr.family')].filter(row => row.getClientRects().length).length"
    assert page.evaluate(families) == 2
    page.evaluate(CHOOSE.format(name="family", value="yours"))
    assert page.evaluate(SHOWN) == ["refuted"]
    page.evaluate(CHOOSE.format(name="source", value="other"))
    assert page.evaluate(SHOWN) == []
    for name in ("verdict", "family", "source"):
        page.evaluate(CHOOSE.format(name=name, value=""))
    assert page.evaluate(SHOWN) == everything


def test_a_refuted_claim_shows_its_model_its_arrays_and_its_files(browser, report):
    page = browser.open(report / "wrong-too.html")
    width, height = page.evaluate("(({width, height}) => [width, height])(document.querySelector('svg.model-graph').getBoundingClientRect())")
    assert width > 50 and height > 50
    assert "features" in page.evaluate("document.querySelector('dl.extras').innerText")
    assert page.evaluate("document.querySelector('math').getBoundingClientRect().height") > 5
    for link in page.evaluate(
        '[...document.querySelectorAll(\'a[href$=".json"], a[href$=".csv"], a[href$=".svg"]\')].map(a => a.getAttribute(\'href\'))'
    ):
        assert (report / link).is_file()


def test_plots_are_drawn(browser, report):
    page = browser.open(report / "my-npg-bound.html")
    lengths = page.evaluate("[...document.querySelectorAll('svg.plot path')].map(path => path.getTotalLength()).filter(x => x > 100).length")
    assert lengths >= 2  # measured and bound


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_from_its_ground(browser, report, dark):
    for name in ("index.html", "npg-one-over-t.html", "wrong-too.html"):
        page = browser.open(report / name, dark=dark)
        ground = _luminance(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert ground < 0.05 if dark else ground > 0.8
        for what, ink, paper in page.evaluate(COLOURS):
            assert _contrast(ink, paper) >= CONTRAST, (name, what, ink, paper)


def test_the_keyboard_reaches_the_filters_and_the_claims(browser, report):
    page = browser.open(report / "index.html")
    reached = []
    for _ in range(12):
        page.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.getAttribute('href') || document.activeElement.tagName"))
    assert {"by-verdict", "by-family", "by-source"} <= set(reached)
    assert any(str(name).endswith(".html") for name in reached)
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_on_paper_there_are_no_filters_and_all_the_claims(browser, report):
    page = browser.open(report / "index.html", dark=True, media="print")
    assert page.evaluate("document.querySelector('.filters').getClientRects().length") == 0
    assert len(page.evaluate(SHOWN)) == CLAIMS
    assert _luminance(page.evaluate("getComputedStyle(document.body).backgroundColor")) > 0.95
    assert _luminance(page.evaluate("getComputedStyle(document.querySelector('h1')).color")) < 0.1
    assert len(page.call("Page.printToPDF")["data"]) > 1000


def _luminance(colour: str) -> float:
    """Relative luminance of 'rgb(r, g, b)', as WCAG 2.2 defines it."""
    channels = [int(number) / 255 for number in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _contrast(ink: str, paper: str) -> float:
    high, low = sorted((_luminance(ink), _luminance(paper)), reverse=True)
    return (high + 0.05) / (low + 0.05)
