"""What a problem is: finite Markov decision processes, named and random instances, hypothesis strategies, file formats."""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "ConstrainedMDP": "mdps.constrained",
    "FiniteHorizon": "mdps.finite_horizon",
    "Labelled": "mdps.total_reward",
    "MDP": "mdps.model",
    "ModelError": "mdps.errors",
    "Objective": "mdps.total_reward",
    "RobustMDP": "mdps.robust",
}
_MODULES = ("ambiguity", "finite_horizon", "io", "random", "rational", "strategies", "structure", "total_reward", "zoo")
__all__ = [*_HOME, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"mdps.{name}")
    raise AttributeError(f"module 'mdps' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
