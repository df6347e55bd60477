"""Robust Markov decision processes: worst cases, evaluation, planning, programs, gradient methods."""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    **dict.fromkeys(
        (
            *("worst_contamination", "worst_finite", "worst_intervals", "worst_l1", "worst_linf", "worst_tv", "worst_wasserstein"),
            *("entropic", "worst_chi2", "worst_kl", "worst_l2", "worst_rows"),
        ),
        "worst_case",
    ),
    **dict.fromkeys(("RobustEvaluation", "evaluate_robustly", "evaluate_static", "robust_values", "worst_kernel"), "evaluation"),
    **dict.fromkeys(("ExactRobustSolution", "RobustSolution", "solve_robust", "solve_robust_exactly"), "planning"),
    **dict.fromkeys(("program_evaluation", "program_update"), "programs"),
    "check_robust": "certificate",
    **dict.fromkeys(("RobustPG", "RobustSoftmaxPG", "worst_gradient", "worst_softmax_gradient"), "gradient"),
    **dict.fromkeys(("kernel_gradient", "project_l1", "tilted_kernel"), "nature"),
    **dict.fromkeys(("DRPG", "TiltedDRPG"), "double_loop"),
    "RobustMirrorDescent": "mirror_descent",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"pgtheory.robust.{_HOME[name]}"), name)
    raise AttributeError(f"module 'pgtheory.robust' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
