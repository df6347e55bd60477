"""The committed files: which models, how they are written, how they are read.

A line of a file is one key with its whole value, so that a difference between two versions of it can be read.
"""

from __future__ import annotations

import importlib.resources
import json
import pathlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from mdps.errors import ModelError, nearest

Array = np.ndarray
MODELS = (
    "arms([1, 1/2, 0])",
    "blind",
    "btpair",
    "chain(3)",
    "domino(4)",
    "fading_caution",
    "forest_management",
    "frozen_lake(4)",
    "gamble_on_luck",
    "gravity_well(5)",
    "gridworld(2, 3, slip=1/5)",
    "inventory",
    "line(3)",
    "loop",
    "lure(3)",
    "machine_replacement",
    "plateau",
    "polytope",
    "river_swim(4)",
    "survival",
    "switch",
    "two_state",
    "two_state(ragged=True)",
    "vanish(4)",
)
"""Small enough to be read, and of all kinds: bandits, chains, grids, ties, an unreachable state, states with different numbers of actions."""


@dataclass(frozen=True)
class Reference:
    """One model with its exact figures.

    name   what `mdps.zoo.load` reads
    data   the JSON object: numbers as text, arrays as nested lists; `proofs_check.reference.figures` says what each key holds
    """

    name: str
    data: dict[str, Any] = field(repr=False)

    def exact(self, *keys: str) -> Any:
        """The figure at `keys`, such as ("uniform", "values"): a Fraction, or an object array of them.  raises ModelError: no such key."""
        value = self._at(keys)
        return Fraction(value) if isinstance(value, str | int) else _array([Fraction(x) for x in _leaves(value)], value)

    def floats(self, *keys: str) -> Any:
        """The same as float64, each correctly rounded."""
        value = self.exact(*keys)
        return float(value) if isinstance(value, Fraction) else value.astype(np.float64)

    def mdp(self) -> Any:
        """The model as `mdps.MDP`, in exact numbers."""
        from mdps.model import MDP

        exists = np.array(self.data["exists"])
        first = np.concatenate(([0], np.cumsum(exists.sum(axis=1))))
        arrays = {key: self.exact(key) for key in ("transitions", "rewards", "discount", "start")}
        return MDP.from_choices(first, arrays["transitions"][exists], arrays["rewards"][exists], arrays["discount"], arrays["start"], name=self.name)

    def _at(self, keys: tuple[str, ...]) -> Any:
        value: Any = self.data
        for depth, key in enumerate(keys):
            if not isinstance(value, dict) or key not in value:
                known = ", ".join(map(repr, value)) if isinstance(value, dict) else "nothing below it"
                raise ModelError(f"{self.name} has no figure {' / '.join(keys[: depth + 1])!r}; there is {known or 'none: it has no closed form'}")
            value = value[key]
        if not keys or isinstance(value, dict) or keys[0] in ("schema", "model"):
            raise ModelError(f"{' / '.join(keys) or 'the whole'} is no number or array; name one of its parts")
        return value


def names() -> list[str]:
    """The models that have a file."""
    return list(MODELS)


def path(name: str) -> pathlib.Path:
    """Where the file of a model lies.  raises ModelError: no such model (lists the nearest).

    name   as `names()` lists it
    """
    if name not in MODELS:
        raise ModelError(f"there are no reference values for {name!r}.{nearest(name, list(MODELS)) or ' There are ' + ', '.join(MODELS) + '.'}")
    return pathlib.Path(str(importlib.resources.files("proofs_check.reference") / "data" / f"{slug(name)}.json"))


def load(name: str) -> Reference:
    """The reference figures of a model of `names()`.  raises ModelError: no such model (lists the nearest).

    name   as `names()` lists it
    """
    from proofs_check.files import read_json

    return Reference(name, read_json(path(name)))


def slug(name: str) -> str:
    """A file name: 'two_state(ragged=True)' is two_state_ragged_true."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def written(figures: dict[str, Any]) -> str:
    """The text of a file: one key a line, nested keys indented."""
    return "{\n" + ",\n".join(_lines(figures, " ")) + "\n}\n"


def _lines(figures: dict[str, Any], indent: str) -> Iterator[str]:
    for key, value in figures.items():
        if isinstance(value, dict) and value:
            inner = ",\n".join(_lines(value, indent + " "))
            yield f"{indent}{json.dumps(key)}: {{\n{inner}\n{indent}}}"
        else:
            yield f"{indent}{json.dumps(key)}: {json.dumps(value)}"


def rebuild() -> int:
    """Writes all files again and removes what belongs to no model; returns their number."""
    from proofs_check.files import write_whole
    from proofs_check.reference.figures import compute

    wanted = {path(name): written(compute(name)) for name in MODELS}
    for target, text in wanted.items():
        write_whole(target, text)
    for stale in set(next(iter(wanted)).parent.glob("*.json")) - set(wanted):
        stale.unlink()
    return len(wanted)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _array(leaves: list[Fraction], like: Any) -> Array:
    """The leaves in the shape of nested lists.  raises ModelError: lists of different lengths, as `all_actions` has."""
    shape, level = [], like
    while isinstance(level, list):
        shape.append(len(level))
        level = level[0]
    if int(np.prod(shape)) != len(leaves):
        raise ModelError("these are lists of different lengths, no array: read them from `.data`")
    out: Array = np.empty(len(leaves), dtype=object)
    out[:] = leaves
    return out.reshape(shape)
