"""The learners by name: a class with the settings that the name fixes.

`learner("rare-switching-actor-critic", scale=0.1)` is `OptimisticNPG(refresh="doubling", scale=0.1)`.
"""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

from mdps.errors import ModelError, nearest

HOME: dict[str, tuple[str, str, dict[str, Any]]] = {
    "optimistic-vi": ("optimistic", "OptimisticValueIteration", {"bonus": "l1"}),
    "ucbvi": ("optimistic", "OptimisticValueIteration", {"bonus": "hoeffding"}),
    "rare-switching-vi": ("optimistic", "OptimisticValueIteration", {"refresh": "doubling"}),
    "optimistic-npg": ("optimistic", "OptimisticNPG", {}),
    "rare-switching-actor-critic": ("optimistic", "OptimisticNPG", {"refresh": "doubling"}),
    "low-switching-npg": ("low_switching", "LowSwitchingNPG", {"bonus": "l1", "refresh": "doubling"}),
    "hybrid-npg": ("hybrid", "HybridNPG", {}),
    "hybrid-fitted-npg": ("hybrid_fitted", "HybridFittedNPG", {}),
    "linear-npg": ("linear", "LinearNPG", {"inner": 0}),
    "low-switching-linear-npg": ("linear", "LinearNPG", {"refresh": "doubling", "inner": 200}),
    "path-weights": ("path_weights", "PathWeights", {}),
    "bobw-tsallis": ("leaders", "RegularisedLeaders", {"potential": "tsallis"}),
    "bobw-shannon": ("leaders", "RegularisedLeaders", {"potential": "shannon"}),
    "bobw-log-barrier": ("leaders", "RegularisedLeaders", {"potential": "log-barrier"}),
}
"""name -> (module, class, settings)."""
NAMES = tuple(HOME)


def settings_of(name: str, written: bool = False) -> dict[str, Any]:
    """The settings that a user may give the learner of that name: field name -> default.

    written   only those that can be written on a command line: no arrays
    raises    ModelError: unknown name
    """
    kind, fixed = _found(name)
    fields = [field for field in dataclasses.fields(kind) if field.name not in fixed]
    return {field.name: field.default for field in fields if not (written and "Array" in str(field.type))}


def learner(name: str, **settings: Any) -> Any:
    """The learner of that name.  raises ModelError: an unknown name, a setting that it does not have or that its name fixes"""
    kind, fixed = _found(name)
    known = settings_of(name)
    for key in settings:
        if key not in known:
            why = f"{key} is {fixed[key]!r} by its name" if key in fixed else f"it takes {', '.join(known) or 'no settings'}"
            raise ModelError(f"{name} has no setting {key}: {why}.{nearest(key, tuple(known))}")
    return kind(**fixed, **settings)


def _found(name: str) -> tuple[Any, dict[str, Any]]:
    if name not in HOME:
        raise ModelError(f"there is no learner {name!r}; there are {', '.join(NAMES)}.{nearest(name, NAMES)}")
    module, kind, fixed = HOME[name]
    return getattr(importlib.import_module(f"pgtheory.online.{module}"), kind), fixed
