"""Sampling: simulators in compiled code, environments, estimators with their exact expectations, methods that learn from samples.

Names are loaded when they are first used; nothing is compiled before it runs.  `pgtheory.sampling.environments` needs the package gymnasium.
"""

from __future__ import annotations

from mdps.lazy import lazily

_HOME = {
    "Paths": "simulator",
    "simulate": "simulator",
    "sampled_returns": "simulator",
    "AllPaths": "paths",
    "all_paths": "paths",
    "Estimator": "estimators",
    "Reinforce": "estimators",
    "RewardToGo": "estimators",
    "ActorCritic": "estimators",
    "GAE": "estimators",
    "ImportanceWeighted": "estimators",
    "Moments": "estimators",
    "Sampled": "estimators",
    "truncation_bound": "estimators",
    "reward_to_go_gradient": "simulator",
    "Bandit": "bandits",
    "SoftmaxGradient": "bandits",
    "MirrorDescent": "bandits",
    "expectations": "bandits",
    "replicate": "bandits",
    "Fresh": "directions",
    "Momentum": "directions",
    "Transported": "directions",
    "HessianAided": "directions",
    "Page": "directions",
    "Anchored": "directions",
    "StochasticPG": "stochastic",
    "SampledRuns": "stochastic",
    "run_sampled": "stochastic",
    "LinearTD": "temporal",
    "QLearningRun": "temporal",
    "q_learning": "temporal",
    "federated_sarsa": "temporal",
    "environment": "environments",
    "vector_environment": "environments",
}
__all__ = list(_HOME)
__getattr__, __dir__ = lazily(__name__, _HOME)
