"""What the tasks share: models in words, and answers compared with oracles."""

from __future__ import annotations

from typing import Any

import numpy as np

from mdps.errors import plural
from mdps.model import MDP

Array = np.ndarray
TOLERANCE = 1e-6
"""Relative difference that is accepted: far above rounding for these small models, far below a wrong formula."""


def in_words(mdp: MDP, **more: Any) -> tuple[str, ...]:
    """A model line by line, in fractions, and further arguments."""
    exact = mdp.exact
    lines = [f"{plural(mdp.num_states, 'state')}, {plural(mdp.num_actions, 'action')}, discount {exact.discount}"]
    for s in range(mdp.num_states):
        for a in range(mdp.num_actions):
            moves = ", ".join(f"{p} to {u}" for u, p in enumerate(exact.transitions[s, a].tolist()) if p != 0)
            lines.append(f"state {s}, action {a}: reward {exact.rewards[s, a]}, goes {moves}")
    return (*lines, *(f"{name} = {plain(value)}" for name, value in more.items()))


def plain(value: Any) -> str:
    """An array or number for a message."""
    if isinstance(value, np.ndarray):
        return np.array2string(np.asarray(value, dtype=float), precision=6, separator=", ", threshold=60, floatmode="maxprec").replace("\n", "")
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def shape_error(got: Any, shape: tuple[int, ...]) -> str:
    """'' or what is wrong with the form of an answer."""
    if isinstance(got, list):
        return f"the answer is a tuple of {len(got)}; one array of shape {shape} was asked for"
    if got.shape != shape:
        return f"the answer has shape {got.shape}; {shape} was asked for"
    return "" if np.all(np.isfinite(got)) else f"the answer is {plain(got)}; it must be finite"


def compare(got: Any, expected: Any, hints: dict[str, Any] | None = None, scale: float = 1.0, what: str = "") -> str:
    """'' where `got` equals `expected` up to TOLERANCE * max(scale, 1), else both, with the hints whose arrays it equals."""
    right = np.asarray(expected, dtype=float)
    wrong = shape_error(got, right.shape)
    if wrong:
        return what + wrong
    allowed = TOLERANCE * max(scale, 1.0)
    if np.abs(got - right).max(initial=0.0) <= allowed:
        return ""
    others = {reason: np.asarray(array, dtype=float) for reason, array in (hints or {}).items()}
    likely = [reason for reason, other in others.items() if other.shape == right.shape and np.abs(got - other).max() <= allowed]
    return f"{what}expected {plain(right)}, got {plain(got)}" + (f": this is what comes out when {', or '.join(likely)}" if likely else "")


def distribution_error(p: Any, shape: tuple[int, ...], what: str = "the answer") -> str:
    """'' where the rows of p are distributions."""
    wrong = shape_error(p, shape)
    if wrong:
        return wrong
    if p.min(initial=0.0) < -TOLERANCE:
        return f"{what} has the probability {p.min():.6g}"
    sums = p.sum(axis=-1)
    return "" if np.abs(sums - 1).max() <= TOLERANCE else f"{what} sums to {plain(np.asarray(sums))}, not 1"
