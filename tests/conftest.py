"""What every test shares: reproducible property tests, and which of the slow ones run.

Slow tests (marker `slow`) are whole sweeps of something that a faster test samples. `--slow=SHARE` says which of them run: `all`, `none` or
`K/N`, those whose name hashes to K modulo N. The default 0/16 is a fixed sample: the same tests on every machine, with any number of workers.

Tests of each form of the catalogue (marker `catalogue`) are sampled in the same way, `--catalogue=0/8` by default, by the name of the form (or the
claim) that stands in brackets: all tests of a form run or none.  Every form is judged by `make verify` in the same CI run.

Tests in a browser (marker `browser`) run where a Chromium is installed.
"""

from __future__ import annotations

import gc
import zlib
from collections.abc import Callable, Generator

import hypothesis
import pytest

from tests.browser import find_browser

# The same examples on every run, and no deadline: a first example may compile a kernel.
hypothesis.settings.register_profile("pgtheory", derandomize=True, deadline=None, print_blob=True, database=None)
hypothesis.settings.register_profile("explore", derandomize=False, deadline=None, print_blob=True, max_examples=1000)
hypothesis.settings.load_profile("pgtheory")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", default="0/16", metavar="all|none|K/N", help="which slow tests run: all, none, or a share (default 0/16)")

    parser.addoption("--catalogue", default="0/8", metavar="all|none|K/N", help="which forms of the catalogue are tested one by one (default 0/8)")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Nothing that is made while the tests are collected is garbage: looking for some took a fifth of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    slow, forms = _share(config.getoption("--slow"), "--slow"), _share(config.getoption("--catalogue"), "--catalogue")
    browser = find_browser() is not None
    named = {argument.split("::")[0] for argument in config.args if "::" in argument}

    def runs(item: pytest.Item) -> bool:
        if item.get_closest_marker("slow") and not slow(item.nodeid):
            return False
        return not item.get_closest_marker("catalogue") or forms(item.nodeid.partition("[")[2])

    left_out = [item for item in items if item.get_closest_marker("browser") and not browser]
    left_out += [] if named else [item for item in items if not runs(item) and item not in left_out]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        skipped = {id(item) for item in left_out}
        items[:] = [item for item in items if id(item) not in skipped]


def _share(text: str, option: str) -> Callable[[str], bool]:
    """The predicate on names that `option=text` stands for."""
    if text in ("all", "none"):
        return lambda nodeid: text == "all"
    try:
        index, count = (int(part) for part in text.split("/"))
    except ValueError:
        raise pytest.UsageError(f"{option}={text}: write all, none or K/N, for example 0/8") from None
    if not 0 <= index < count:
        raise pytest.UsageError(f"{option}={text}: K must lie in 0..N-1")
    return lambda nodeid: zlib.crc32(nodeid.encode()) % count == index
