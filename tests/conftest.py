"""What every test shares: reproducible property tests, and which of the slow ones run.

Slow tests (marker `slow`) are whole sweeps of something that a faster test samples. `--slow=SHARE` says which of them run: `all`, `none` or
`K/N`, those whose name hashes to K modulo N. The default 0/8 is a fixed sample: the same tests on every machine, with any number of workers.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import hypothesis
import pytest

# The same examples on every run, and no deadline: a first example may compile a kernel.
hypothesis.settings.register_profile("pgtheory", derandomize=True, deadline=None, print_blob=True, database=None)
hypothesis.settings.register_profile("explore", derandomize=False, deadline=None, print_blob=True, max_examples=1000)
hypothesis.settings.load_profile("pgtheory")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", default="0/8", metavar="all|none|K/N", help="which slow tests run: all, none, or a share (default 0/8)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = _share(config.getoption("--slow"))
    named = {argument.split("::")[0] for argument in config.args if "::" in argument}
    left_out = [item for item in items if item.get_closest_marker("slow") and not wanted(item.nodeid) and not named]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        skipped = {id(item) for item in left_out}
        items[:] = [item for item in items if id(item) not in skipped]


def _share(text: str) -> Callable[[str], bool]:
    """The predicate on node ids that `--slow=text` stands for."""
    if text in ("all", "none"):
        return lambda nodeid: text == "all"
    try:
        index, count = (int(part) for part in text.split("/"))
    except ValueError:
        raise pytest.UsageError(f"--slow={text}: write all, none or K/N, for example 0/8") from None
    if not 0 <= index < count:
        raise pytest.UsageError(f"--slow={text}: K must lie in 0..N-1")
    return lambda nodeid: zlib.crc32(nodeid.encode()) % count == index
