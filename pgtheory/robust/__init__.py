"""Robust Markov decision processes: worst cases, evaluation, planning, programs, gradient methods."""

from __future__ import annotations

from mdps.lazy import lazily

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
__getattr__, __dir__ = lazily(__name__, _HOME)
