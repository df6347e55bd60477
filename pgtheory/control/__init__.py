"""Control, certificates and side mechanisms: shooting and wrong models, an exact Koopman lift, smoothed policies, advice that may be ignored,
beliefs and tilted laws.

The regulators themselves are in `pgtheory.linear_quadratic`.  Derivations: docs/theory/control.md and side_mechanisms.md.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "Advice": "advice",
    "adaptive_value": "beliefs",
    "advice_model": "advice",
    "free_energy": "variational",
    "pac_bayes_bound": "variational",
    "solve_advice": "advice",
    "QuadraticSystem": "koopman",
    "Shooting": "shooting",
    "biased_step_size": "shooting",
    "condition_bounds": "shooting",
    "power_errors": "shooting",
    "SmoothedAgent": "smoothing",
    "certificate": "smoothing",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"pgtheory.control.{_HOME[name]}"), name)
    raise AttributeError(f"module 'pgtheory.control' has no attribute {name!r}")
