"""Constrained Markov decision processes: the occupancy program in floats and rationals, why a problem is infeasible, what a threshold is worth."""

from __future__ import annotations

from mdps.lazy import lazily

_HOME = {
    **dict.fromkeys(("ConstrainedSolution", "Values", "evaluate_constrained", "solve_constrained"), "program"),
    **dict.fromkeys(("ExactConstrainedSolution", "solve_constrained_exactly"), "exactly"),
    **dict.fromkeys(("Infeasibility", "InfeasibleError", "SlaterGap", "best_achievable", "diagnose", "slater_gap"), "feasibility"),
    **dict.fromkeys(("MultiplierRange", "ValueCurve", "multiplier_ranges", "value_curve"), "sensitivity"),
    **dict.fromkeys(("ConstrainedCertificate", "FarkasCertificate", "check_constrained", "check_farkas"), "certificate"),
    **dict.fromkeys(("ConstrainedRun", "Guarantee", "run_constrained"), "runs"),
    "NPGPrimalDual": "primal_dual",
    "CRPO": "crpo",
    "DualDescent": "dual_descent",
    "DescentAscent": "descent_ascent",
    **dict.fromkeys(("OptimisticDescentAscent", "paradox"), "optimistic"),
    "run_bilinear": "bilinear",
    **dict.fromkeys(("RegularisedPrimalDual", "regularised_saddle"), "regularised"),
    "soft_saddle": "soft",
    **dict.fromkeys(("PenaltyNPG", "solve_penalised"), "penalty"),
    **dict.fromkeys(("CausalEntropyDual", "explain", "solve_maximum_entropy"), "maximum_entropy"),
    **dict.fromkeys(("ReturnConditioned", "condition_on_returns", "returns_to_go"), "return_conditioned"),
    **dict.fromkeys(("plot_path", "plot_occupancies", "plot_progress", "plot_lagrangian", "reachable"), "pictures"),
}
__all__ = sorted(_HOME)
__getattr__, __dir__ = lazily(__name__, _HOME)
