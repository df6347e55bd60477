"""Policy optimisation with exact gradients: one file a method, each with one step that serves floats, rationals and balls."""

from __future__ import annotations

from typing import Any

from mdps.lazy import lazily

_HOME = {
    "RegularisedPG": "kl_regularised",
    "Polyak": "step_sizes",
    "Normalised": "step_sizes",
    "LogBarrierPG": "log_barrier",
    "EscortPG": "escort",
    "Decreasing": "step_sizes",
    "Armijo": "step_sizes",
    "Adaptive": "step_sizes",
    "SoftPolicyIteration": "soft_policy_iteration",
    "RegularisedMirrorDescent": "regularised_mirror_descent",
    "PotentialDescent": "bregman_descent",
    "Munchausen": "munchausen",
    "MirrorLearning": "mirror_learning",
    "MDPO": "mdpo",
    "LogLinearNPG": "log_linear",
    "LineSearchPG": "line_search",
    "GrowingMirrorDescent": "growing_mirror_descent",
    "BregmanDescent": "bregman_descent",
    "AdaptiveMirrorDescent": "growing_mirror_descent",
    "EntropyNPG": "entropy_npg",
    "EntropyPG": "entropy",
    "Method": "method",
    "MirrorDescent": "mirror_descent",
    "NaturalPG": "natural",
    "PolicyIteration": "policy_iteration",
    "ProjectedPG": "projected",
    "SimplexIteration": "simplex_iteration",
    "SoftmaxPG": "softmax",
    "ConservativePI": "conservative",
    "FixPO": "fixpo",
    "PPO": "ppo",
    "SPO": "spo",
    "TrustRegion": "trust_region",
    "certified_run": "certified",
    "DRPG": "pgtheory.robust.double_loop",
    "RobustMirrorDescent": "pgtheory.robust.mirror_descent",
    "RobustPG": "pgtheory.robust.gradient",
    "RobustSoftmaxPG": "pgtheory.robust.gradient",
    "ECRMPG": "pgtheory.risk.methods",
    "NestedActorCritic": "pgtheory.risk.methods",
    "NestedPG": "pgtheory.risk.methods",
    "RiskPG": "pgtheory.risk.methods",
}
NAMES = {
    "log-linear-npg": "LogLinearNPG",
    "kl-pg": "RegularisedPG",
    "polyak-pg": "Polyak",
    "normalised-pg": "Normalised",
    "log-barrier-pg": "LogBarrierPG",
    "escort-pg": "EscortPG",
    "decreasing-pg": "Decreasing",
    "armijo-pg": "Armijo",
    "adaptive-pg": "Adaptive",
    "line-search": "LineSearchPG",
    "munchausen": "Munchausen",
    "mirror-learning": "MirrorLearning",
    "mdpo": "MDPO",
    "bregman-descent": "BregmanDescent",
    "adaptive-mirror-descent-euclidean": "AdaptiveMirrorDescent",
    "adaptive-mirror-descent-kl": "AdaptiveMirrorDescent",
    "growing-mirror-descent-euclidean": "GrowingMirrorDescent",
    "growing-mirror-descent-kl": "GrowingMirrorDescent",
    "regularised-mirror-descent": "RegularisedMirrorDescent",
    "soft-policy-iteration": "SoftPolicyIteration",
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
    "simplex-policy-iteration": "SimplexIteration",
    "conservative-policy-iteration": "ConservativePI",
    "fixpo": "FixPO",
    "ppo": "PPO",
    "ppo-clip": "PPO",
    "spo": "SPO",
    "trust-region": "TrustRegion",
    "trpo": "TrustRegion",
    "drpg": "DRPG",
    "robust-mirror-descent": "RobustMirrorDescent",
    "robust-mirror-descent-euclidean": "RobustMirrorDescent",
    "robust-mirror-descent-kl": "RobustMirrorDescent",
    "robust-pg": "RobustPG",
    "robust-softmax-pg": "RobustSoftmaxPG",
    "risk-pg": "RiskPG",
    "nested-risk-pg": "NestedPG",
    "nested-actor-critic": "NestedActorCritic",
    "ecrm-pg": "ECRMPG",
}
"""The methods by the names that the command line and counterexample files use."""
__all__ = [*_HOME, "NAMES", "method_named"]


def method_named(name: str) -> Any:
    """The class of the method of that name (`NAMES`); raises ModelError with the known ones."""
    from mdps.errors import ModelError, nearest

    if name not in NAMES:
        raise ModelError(f"unknown method {name!r}; there are {', '.join(NAMES)}.{nearest(name, list(NAMES))}")
    return __getattr__(NAMES[name])


__getattr__, __dir__ = lazily(__name__, _HOME)
