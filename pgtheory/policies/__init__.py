"""Parametrisations: how numbers become a policy."""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = ("direct", "escort", "softmax")
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"pgtheory.policies.{name}")
    raise AttributeError(f"module 'pgtheory.policies' has no attribute {name!r}")
