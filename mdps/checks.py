"""What a model must satisfy: rows and start distributions that are distributions, finite numbers.  Errors name the first offending place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mdps.errors import ModelError

if TYPE_CHECKING:
    from mdps.model import MDP

Array = np.ndarray
ROW_TOLERANCE = 1e-9
"""How far the sum of a probability row may be from 1: far above rounding, far below a forgotten outcome."""


def check_start(start: Array, label: Any) -> None:
    refuse_non_finite("start", start)
    if np.any(start < 0):
        state = int(np.flatnonzero(start < 0)[0])
        raise ModelError(f"start[{state}] ({label(state)}) is {start[state]}; a probability is at least 0")
    total = start.sum()
    tolerance = 0 if start.dtype == object else ROW_TOLERANCE
    if abs(total - 1) > tolerance:
        raise ModelError(f"start sums to {_figure(total)}, not 1; it may be off by at most {tolerance:g}")


def check_rows(mdp: Any) -> None:
    """Refuses rows that are no distributions, and rewards that are not finite.  Takes an MDP or one stage of a finite-horizon problem."""
    rows = mdp._choices
    data = rows if isinstance(rows, np.ndarray) else rows.data
    refuse_non_finite("transitions", data, mdp)
    refuse_non_finite("rewards", mdp.pair_rewards, mdp)
    negative = np.flatnonzero((data < 0).reshape(-1))
    if negative.size:
        k = int(negative[0])
        pair, successor = divmod(k, rows.shape[1]) if isinstance(rows, np.ndarray) else (_csr_row(rows, k), int(rows.indices[k]))
        raise ModelError(f"{_place(mdp, pair, successor)} is {data.reshape(-1)[k]}; a probability is at least 0")
    if isinstance(rows, np.ndarray):
        sums = rows.sum(axis=1)
    elif data.dtype == object:
        from flint import fmpq

        sums = np.array([sum(data[b:e].tolist(), fmpq(0)) for b, e in zip(rows.indptr[:-1], rows.indptr[1:], strict=True)], dtype=object)
    else:
        sums = rows @ np.ones(rows.shape[1])
    tolerance = 0 if data.dtype == object else ROW_TOLERANCE
    off = np.flatnonzero(np.abs(sums - 1) > tolerance)
    if off.size:
        pair = int(off[0])
        raise ModelError(f"{_place(mdp, pair)} sums to {_figure(sums[pair])}, not 1; {_surplus(sums[pair], tolerance)}")


def _figure(number: Any) -> str:
    """A number for a message: rationals as they are, floats with all digits that matter."""
    return f"{number:.12g}" if isinstance(number, float) else str(number)


def _surplus(total: Any, tolerance: float) -> str:
    missing = 1 - total
    allowed = f"it may be off by at most {tolerance:g}" if tolerance else "exact rows must sum to exactly 1"
    if missing > 0:
        return f"{allowed}.\n  If the missing {_figure(missing)} leaves the process, send it to an absorbing state with reward 0."
    return f"{allowed}. It is too large by {_figure(-missing)}."


def _place(mdp: MDP, pair: int, successor: int | None = None) -> str:
    state = int(np.searchsorted(mdp.first_pair, pair, side="right")) - 1
    action = pair - int(mdp.first_pair[state])
    index = f"{state}, {action}" + ("" if successor is None else f", {successor}")
    named = f' "{mdp.action_names[action]}"' if mdp.action_names else ""
    return f"transitions[{index}] ({mdp.state_label(state)}, action {action}{named})"


def refuse_non_finite(field: str, values: Array, mdp: MDP | None = None) -> None:
    if values.dtype == object:
        return
    bad = np.flatnonzero(~np.isfinite(values.reshape(-1)))
    if not bad.size:
        return
    k = int(bad[0])
    figure = values.reshape(-1)[k]
    if mdp is not None and field == "transitions":
        rows = mdp._choices
        pair, successor = divmod(k, rows.shape[1]) if isinstance(rows, np.ndarray) else (_csr_row(rows, k), int(rows.indices[k]))
        raise ModelError(f"{_place(mdp, pair, successor)} is {figure}; it must be a finite number")
    if mdp is not None and field == "rewards":
        place = _place(mdp, k).replace("transitions", "rewards", 1)
        raise ModelError(f"{place} is {figure}; it must be a finite number")
    index = ", ".join(str(int(i)) for i in np.unravel_index(k, values.shape)) if values.ndim else ""
    raise ModelError(f"{field}{f'[{index}]' if index else ''} is {figure}; it must be a finite number")


def _csr_row(rows: Any, k: int) -> int:
    return int(np.searchsorted(rows.indptr, k, side="right")) - 1
