"""Control, certificates and side mechanisms: shooting and wrong models, an exact Koopman lift, smoothed policies, advice that may be ignored,
beliefs and tilted laws.

The regulators themselves are in `pgtheory.linear_quadratic`.  Derivations: docs/theory/control.md and side_mechanisms.md.
"""

from __future__ import annotations

from mdps.lazy import lazily

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
__getattr__, __dir__ = lazily(__name__, _HOME)
