"""Building an instance from its rows, exactly: dense where that is small, compressed where it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.rational import rational, rational_array
from mdps.rows import SparseRows

DENSE_ENTRIES = 2**16
"""Up to this many entries (pairs times states) an instance is stored dense: small models are fastest so, large ones fit only compressed."""

Outcome = tuple[Mapping[int, Any], Any]
"""({successor: probability}, expected reward) of one pair of state and action."""


def build(pairs: Sequence[Any], discount: Fraction, start: Any = None, **labels: Any) -> MDP:
    """The exact model whose state s offers the outcomes `pairs[s]`, one `Outcome` for each action.

    start   a distribution, or the number of the one first state; uniform if left out
    """
    num_states = len(pairs)
    first_pair = np.concatenate(([0], np.cumsum([len(actions) for actions in pairs])))
    rows = [outcome for actions in pairs for outcome in actions]
    rewards = rational_array([reward for _, reward in rows])
    if isinstance(start, int):
        start = [Fraction(int(s == start)) for s in range(num_states)]
    if not 0 <= discount < 1:
        raise ModelError(f"discount is {discount}; it must be in [0, 1)")
    entries = [[(s, p) for s, p in sorted(to.items()) if p != 0] for to, _ in rows]
    cache: dict[Any, Any] = {}
    data = np.empty(sum(len(row) for row in entries), dtype=object)
    data[:] = [cache[p] if p in cache else cache.setdefault(p, rational(p)) for row in entries for _, p in row]
    indptr = np.concatenate(([0], np.cumsum([len(row) for row in entries]))).astype(np.int32)
    indices = np.array([s for row in entries for s, _ in row], dtype=np.int32)
    sparse = SparseRows(indptr, indices, data, (len(rows), num_states))
    choices = sparse.toarray() if len(rows) * num_states <= DENSE_ENTRIES else sparse
    return MDP.from_choices(first_pair, choices, rewards, rational(discount), start, **labels)
