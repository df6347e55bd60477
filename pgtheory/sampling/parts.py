"""Independent parts of one job, in one thread or in several: compiled parts hold no interpreter lock."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Iterator, Sequence
from typing import Any


def in_parts(job: Callable[[Any], Any], parts: Sequence[Any], threads: int) -> Iterator[Any]:
    """job(part) for every part, in the order of the parts whatever the number of threads.  Nothing is done before the results are asked for."""
    if threads == 1 or len(parts) == 1:
        yield from map(job, parts)
    else:
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            yield from pool.map(job, parts)
