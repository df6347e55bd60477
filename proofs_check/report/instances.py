"""A verdict's instance as tables: one row for each state and action, with the numbers as they are (fractions stay fractions)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from proofs_check.report.words import figure

MOST_ROWS, MOST_STATES = 24, 8
"""Larger instances are named by their size and left to their JSON file: nobody reads a transition table of 64 columns."""
SYMBOLS = {
    "discount": "γ",
    "eta": "η",
    "tau": "τ",
    "mu": "μ",
    "rho": "ρ",
    "policy": "π",
    "rewards": "r",
    "start": "μ",
    "temperature": "τ",
    "step_size": "η",
    "epsilon": "ε",
    "delta": "δ",
    "alpha": "α",
    "beta": "β",
    "lambda": "λ",
    "kappa": "κ",
    "theta": "θ",
    "logits": "θ",
}
MOST_CHARACTERS = 240
"""Longer arrays are named by their shape and left to the file too."""
_KNOWN = {"states", "actions", "transitions", "rewards", "discount", "settings", "extras", "t", "measured", "bound", "name", "family", "label"}


@dataclasses.dataclass(frozen=True)
class InstanceTable:
    """What a page shows of one instance."""

    size: str
    facts: list[tuple[str, str]]  # γ = 9/10, η = 1/5, ...
    columns: list[str]  # headings of the columns after state and action
    rows: list[tuple[int, int, int, list[str]]]  # state, action, actions of the state (0 but in its first row), cells
    state_columns: list[str]
    state_rows: list[list[str]]
    omitted: bool
    extras: list[tuple[str, str]] = dataclasses.field(default_factory=list)  # further arrays (features, costs, ...) that fit no column


def instance_table(data: Mapping[str, Any] | None) -> InstanceTable | None:
    """The table of an instance in the verdict's JSON form, or None where there is none."""
    if not data:
        return None
    states, actions = _sizes(data)
    facts = [("γ", _cell(data["discount"]))] if "discount" in data else []
    facts += [(SYMBOLS.get(key, key), _cell(value)) for key, value in (data.get("settings") or {}).items() if not isinstance(value, list | dict)]
    others = [(key, value) for key, value in data.items() if key not in _KNOWN and value is not None]
    facts += [(SYMBOLS.get(key, key), _cell(value)) for key, value in others if isinstance(value, int | float | str) and key != "schema"]
    extras: dict[str, Any] = dict(data.get("extras") or {})
    facts += [(SYMBOLS.get(key, key), _cell(value)) for key, value in extras.items() if not isinstance(value, list)]
    size = f"{states} state{'s' * (states != 1)}, {actions} action{'s' * (actions != 1)}"
    transitions = data.get("transitions")
    if not states or not transitions or states * actions > MOST_ROWS or states > MOST_STATES:
        return InstanceTable(size, facts, [], [], [], [], omitted=True, extras=_written(extras))
    placed = {(states, actions), (states,)}
    left = _written({key: value for key, value in extras.items() if _shape(value) not in placed})
    others += [(key, value) for key, value in extras.items() if _shape(value) in placed]
    pairs = [(key, value) for key, value in others if _shape(value) == (states, actions)]
    vectors = [(key, value) for key, value in others if _shape(value) == (states,)]
    columns = ["r", *(f"→ {s}" for s in range(states)), *(SYMBOLS.get(key, key) for key, _ in pairs)]
    rows = []
    for s in range(states):
        for a in range(actions):
            cells = [_reward(data, s, a), *(_probability(p) for p in transitions[s][a]), *(_cell(value[s][a]) for _, value in pairs)]
            rows.append((s, a, actions if a == 0 else 0, cells))
    state_rows = [[_cell(value[s]) for _, value in vectors] for s in range(states)] if vectors else []
    return InstanceTable(size, facts, columns, rows, [SYMBOLS.get(key, key) for key, _ in vectors], state_rows, omitted=False, extras=left)


def _written(extras: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Arrays as text, (name, entries); of long ones the shape."""
    out = []
    for key, value in extras.items():
        if isinstance(value, list):
            text = _cell(value)
            shape = " × ".join(str(size) for size in _shape(value))
            out.append((SYMBOLS.get(key, key), text if len(text) <= MOST_CHARACTERS else f"{shape} numbers, in the file"))
    return out


def _sizes(data: Mapping[str, Any]) -> tuple[int, int]:
    rewards = data.get("rewards")
    if "states" in data and "actions" in data:
        return int(data["states"]), int(data["actions"])
    return (len(rewards), len(rewards[0])) if rewards else (0, 0)


def _shape(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not value:
        return ()
    inner = {_shape(item) for item in value}
    return (len(value), *inner.pop()) if len(inner) == 1 else (-1,)


def _reward(data: Mapping[str, Any], s: int, a: int) -> str:
    return _cell((data.get("rewards") or [])[s][a]) if data.get("rewards") else ""


def _probability(value: Any) -> str:
    return "·" if value in (0, 0.0, "0") else _cell(value)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return "(" + ", ".join(_cell(item) for item in value) + ")"
    return figure(value)
