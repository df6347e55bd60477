"""Policy optimisation with exact gradients: one file a method, each with one step that serves floats, rationals and balls."""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "EntropyNPG": "entropy_npg",
    "EntropyPG": "entropy",
    "Method": "method",
    "MirrorDescent": "mirror_descent",
    "NaturalPG": "natural",
    "PolicyIteration": "policy_iteration",
    "ProjectedPG": "projected",
    "SoftmaxPG": "softmax",
    "certified_run": "certified",
}
NAMES = {
    "softmax-pg": "SoftmaxPG",
    "natural-pg": "NaturalPG",
    "npg": "NaturalPG",
    "entropy-pg": "EntropyPG",
    "entropy-npg": "EntropyNPG",
    "projected-pg": "ProjectedPG",
    "mirror-descent": "MirrorDescent",
    "mirror-descent-kl": "MirrorDescent",
    "mirror-descent-euclidean": "MirrorDescent",
    "policy-iteration": "PolicyIteration",
}
"""The methods by the names that the command line and counterexample files use."""
__all__ = [*_HOME, "NAMES", "method_named"]


def method_named(name: str) -> Any:
    """The class of the method of that name (`NAMES`); raises ModelError with the known ones."""
    from mdps.errors import ModelError, nearest

    if name not in NAMES:
        raise ModelError(f"unknown method {name!r}; there are {', '.join(NAMES)}.{nearest(name, list(NAMES))}")
    return __getattr__(NAMES[name])


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"pgtheory.policy_gradient.{_HOME[name]}"), name)
    raise AttributeError(f"module 'pgtheory.policy_gradient' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
