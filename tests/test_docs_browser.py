"""A small part of the documentation, built with its own configuration, in a headless Chromium: formulas, claims and wide tables on a phone too."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys

import pytest

from tests.browser import Browser

pytestmark = pytest.mark.browser

DOCS = pathlib.Path(__file__).parent.parent / "docs"
PAGES = ("guide/verdicts", "guide/choosing", "theory/natural_pg")
INDEX = "# pgtheory\n\n```{toctree}\n" + "\n".join(PAGES) + "\n```\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The pages with the repository's configuration, style sheet and extensions; links to pages that are left out are not looked at."""
    source, built = tmp_path_factory.mktemp("docs"), tmp_path_factory.mktemp("html")
    for name in PAGES:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(DOCS / f"{name}.md", source / f"{name}.md")
    for folder in ("_ext", "_static"):
        shutil.copytree(DOCS / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (source / "index.md").write_text(INDEX)
    options = ["-q", "-c", str(DOCS), "-D", f"html_static_path={source / '_static'}"]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-b", "html", *options, str(source), str(built)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return built


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.mark.parametrize("width", [1200, 360])
def test_pages_fit_their_width_and_complain_of_nothing(browser, site, width):
    for name in ("index", *PAGES):
        page = browser.open(site / f"{name}.html", width)
        assert page.faults == [], name
        assert all(address.startswith("file:") for address in page.asked), name
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name


def test_formulas_and_claims_are_drawn(browser, site):
    page = browser.open(site / "theory" / "natural_pg.html")
    heights = page.evaluate("[...document.querySelectorAll('div.claim math, div.math math')].map(one => one.getBoundingClientRect().height)")
    assert len(heights) >= 10 and min(heights) > 5
    assert "npg-one-over-T" in page.evaluate("document.querySelector('main, div.body').innerText")


def test_the_reader_finds_the_way(browser, site):
    """Every page is linked from the index, has one title, and says in which language it is."""
    page = browser.open(site / "index.html")
    linked = page.evaluate("[...document.querySelectorAll('div.body a')].map(link => link.getAttribute('href').split('#')[0])")
    assert {f"{name}.html" for name in PAGES} <= set(linked)
    page = browser.open(site / "guide" / "verdicts.html")
    assert page.evaluate("document.querySelectorAll('div.body h1').length") == 1
    assert page.evaluate("document.documentElement.lang") == "en"
    phone = browser.open(site / "guide" / "verdicts.html", 360)
    assert phone.evaluate("document.querySelector('div.body h1').getBoundingClientRect().top") < 200  # the page comes before the list of all pages
