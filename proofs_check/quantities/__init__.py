"""Named quantities: what statements are made of.  Each has a symbol, a LaTeX form, a meaning with units, and the code that measures it.

    from proofs_check import quantities as q
    q.gamma, q.eta, q.gap_rho            sympy symbols without assumptions
    gap(q.rho, q.t)                      the optimality gap under a start distribution: the symbol gap_rho

One module a subject; `registry` holds what they share.  V is in reward units, visits are normalised to 1, gradients include 1/(1 - gamma).
A module here must not have the name of a quantity: `q.<name>` would be the module.
"""

from __future__ import annotations

import importlib

import sympy

from mdps.errors import nearest
from proofs_check.quantities.registry import (
    Quantity,
    T,
    defining_modules,
    gap,
    latex_names,
    mu,
    parse,
    quantities,
    quantity,
    rho,
    temporary,
)

MODULES = (
    "problem",
    "gaps",
    "distributions",
    "differentials",
    "policy_pairs",
    "natural_gradient",
    "bellman_operators",
    "iteration",
    "trust_regions",
    "landscape_constants",
    "softmax_parametrisations",
    "bregman",
    "horizons",
    "controllers",
    "continuous_actions",
    "control",
    "koopman",
    "shooting",
    "smoothed",
    "managed_beliefs",
    "tilted_laws",
    "mixtures_and_stocks",
    "performative",
    "submodular",
    "bellman_errors",
    "structures",
    "estimators",
    "tilts",
    "fits",
    "sampling",
    "robust_operators",
    "robust_games",
    "worst_rows",
    "transport",
    "robust_gradients",
    "robust_runs",
    "risk_measures",
    "risk_samples",
    "risk_control",
    "soft_robust",
    "averse_descent",
    "risk_trees",
    "risk_stages",
    "risk_gradients",
    "return_laws",
    "ecrm_rate",
    "sampled_scores",
    "utilities",
    "ascents",
    "objectives",
    "scalarisation_bias",
    "path_estimators",
    "path_weights",
    "advantage_variance",
    "committal",
    "joint_draws",
    "gap_weighting",
    "fisher_bounds",
    "constrained",
    "constraint_prices",
    "saddle",
    "optimistic_bandit",
    "constrained_runs",
    "soft_constrained",
    "conditioned_returns",
    "regret",
    "games_learning",
    "corrected_gradients",
    "sampling_schemes",
    "lower_bounds",
    "temporal_differences",
    "federated",
    "noise_paths",
    "running_gradients",
    "plug_in_gradients",
    "weighted_backups",
    "noisy_games",
    "visit_counts",
    "information",
    "concentration",
    "sample_complexity",
    "optimism",
    "designs",
    "uniform_tries",
    "adaptation",
    "soft_errors",
)
__all__ = ["Quantity", "T", "defining_modules", "gap", "latex_names", "mu", "parse", "quantities", "quantity", "rho", "temporary"]

for _module in MODULES:
    importlib.import_module(f"proofs_check.quantities.{_module}")
    if _module in quantities():
        raise ImportError(f"the module {_module!r} has the name of a quantity")


def __getattr__(name: str) -> sympy.Symbol:
    if name in quantities():
        return sympy.Symbol(name)
    raise AttributeError(f"no quantity {name!r}.{nearest(name, list(quantities()))}")
