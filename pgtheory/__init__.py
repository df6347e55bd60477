"""What is computed on a Markov decision process: exact solvers, policies, policy gradient methods, runs.

Names are loaded when they are first used; `import pgtheory` itself loads numpy and compiles nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy  # noqa: F401  (what every module below needs; nothing heavier is loaded here)

_HOME = {
    "DRPG": "pgtheory.robust.double_loop",
    "RobustMirrorDescent": "pgtheory.robust.mirror_descent",
    "RobustPG": "pgtheory.robust.gradient",
    "RobustSoftmaxPG": "pgtheory.robust.gradient",
    "TiltedDRPG": "pgtheory.robust.double_loop",
    "orchestrated_iteration": "pgtheory.policy_gradient.orchestrated",
    "interpolated_action_values": "pgtheory.policy_gradient.interpolated",
    "gradual_iteration": "pgtheory.policy_gradient.interpolated",
    "Drift": "pgtheory.policy_gradient.mirror_learning",
    "RegularisedPG": "pgtheory.policy_gradient.kl_regularised",
    "Polyak": "pgtheory.policy_gradient.step_sizes",
    "Normalised": "pgtheory.policy_gradient.step_sizes",
    "LogBarrierPG": "pgtheory.policy_gradient.log_barrier",
    "EscortPG": "pgtheory.policy_gradient.escort",
    "Decreasing": "pgtheory.policy_gradient.step_sizes",
    "Armijo": "pgtheory.policy_gradient.step_sizes",
    "Adaptive": "pgtheory.policy_gradient.step_sizes",
    "SoftPolicyIteration": "pgtheory.policy_gradient.soft_policy_iteration",
    "RegularisedMirrorDescent": "pgtheory.policy_gradient.regularised_mirror_descent",
    "PotentialDescent": "pgtheory.policy_gradient.bregman_descent",
    "Munchausen": "pgtheory.policy_gradient.munchausen",
    "MirrorLearning": "pgtheory.policy_gradient.mirror_learning",
    "MDPO": "pgtheory.policy_gradient.mdpo",
    "LogLinearNPG": "pgtheory.policy_gradient.log_linear",
    "LineSearchPG": "pgtheory.policy_gradient.line_search",
    "GrowingMirrorDescent": "pgtheory.policy_gradient.growing_mirror_descent",
    "BregmanDescent": "pgtheory.policy_gradient.bregman_descent",
    "AdaptiveMirrorDescent": "pgtheory.policy_gradient.growing_mirror_descent",
    "EntropyNPG": "pgtheory.policy_gradient.entropy_npg",
    "EntropyPG": "pgtheory.policy_gradient.entropy",
    "ImproperActorCritic": "pgtheory.improper",
    "ImproperPG": "pgtheory.improper",
    "LinearQuadratic": "pgtheory.linear_quadratic",
    "QuadraticSystem": "pgtheory.control",
    "Shooting": "pgtheory.control",
    "SmoothedAgent": "pgtheory.control",
    "advice_model": "pgtheory.control",
    "solve_advice": "pgtheory.control",
    "dynamic_pg": "pgtheory.horizon_gradient",
    "simultaneous_pg": "pgtheory.horizon_gradient",
    "Method": "pgtheory.policy_gradient.method",
    "MirrorDescent": "pgtheory.policy_gradient.mirror_descent",
    "NaturalPG": "pgtheory.policy_gradient.natural",
    "PolicyIteration": "pgtheory.policy_gradient.policy_iteration",
    "ProjectedPG": "pgtheory.policy_gradient.projected",
    "SimplexIteration": "pgtheory.policy_gradient.simplex_iteration",
    "SoftmaxPG": "pgtheory.policy_gradient.softmax",
    "ConservativePI": "pgtheory.policy_gradient.conservative",
    "FixPO": "pgtheory.policy_gradient.fixpo",
    "PPO": "pgtheory.policy_gradient.ppo",
    "SPO": "pgtheory.policy_gradient.spo",
    "TrustRegion": "pgtheory.policy_gradient.trust_region",
    "Trajectory": "pgtheory.run",
    "Undecided": "pgtheory.arithmetic",
    "certified_run": "pgtheory.policy_gradient.certified",
    "log_times": "pgtheory.run",
    "run": "pgtheory.run",
    "run_batch": "pgtheory.run",
    "run_large": "pgtheory.large",
    "Counterfactual": "pgtheory.counterfactual",
    "counterfactual_policy": "pgtheory.counterfactual",
    "expected_gae": "pgtheory.exact",
    "ExactSolution": "pgtheory.exact",
    "NotConverged": "pgtheory.exact",
    "Solution": "pgtheory.exact",
    "action_values": "pgtheory.exact",
    "advantages": "pgtheory.exact",
    "batch_optimal": "pgtheory.exact",
    "certify": "pgtheory.exact",
    "check_certificate": "pgtheory.exact",
    "occupancy": "pgtheory.exact",
    "reachability": "pgtheory.exact",
    "solve": "pgtheory.exact",
    "solve_average": "pgtheory.exact",
    "solve_average_exactly": "pgtheory.exact",
    "solve_exactly": "pgtheory.exact",
    "solve_finite_horizon": "pgtheory.exact",
    "solve_game": "pgtheory.exact",
    "solve_constrained": "pgtheory.constrained",
    "solve_constrained_exactly": "pgtheory.constrained",
    "convex_front": "pgtheory.multi_objective",
    "deterministic_front": "pgtheory.multi_objective",
    "hypervolume_of": "pgtheory.multi_objective",
    "run_frank_wolfe": "pgtheory.utility",
    "solve_utility": "pgtheory.utility",
    "utility_gradient": "pgtheory.utility",
    "state_occupancy": "pgtheory.exact",
    "state_values": "pgtheory.exact",
    "total_reward": "pgtheory.exact",
}
_MODULES = (
    "arithmetic",
    "constrained",
    "control",
    "exact",
    "multi_objective",
    "performative",
    "policies",
    "policy_gradient",
    "robust",
    "stateful",
    "submodular",
    "utility",
)
__all__ = [*_HOME, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module(f"pgtheory.{name}")
    raise AttributeError(f"module 'pgtheory' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
