"""Learning while acting: episodes of a finite-horizon problem, learners with bonuses or with regularised leaders, regret by dynamic programming.

Names are loaded when they are first used.
"""

from __future__ import annotations

from mdps.lazy import lazily

_HOME = {
    "Episodic": "task",
    "Told": "task",
    "Rewards": "rewards",
    "sure": "rewards",
    "noisy": "rewards",
    "phases": "rewards",
    "random_tables": "rewards",
    "Guarantee": "guarantees",
    "Learner": "runner",
    "Plan": "runner",
    "Episode": "runner",
    "OnlineRuns": "runner",
    "run_online": "runner",
    "ExpectedRegret": "exact",
    "expected_regret": "exact",
    "OptimisticValueIteration": "optimistic",
    "OptimisticNPG": "optimistic",
    "RegularisedLeaders": "leaders",
    "LowSwitchingNPG": "low_switching",
    "HybridNPG": "hybrid",
    "HybridFittedNPG": "hybrid_fitted",
    "LinearNPG": "linear",
    "linear_fit": "linear",
    "PathWeights": "path_weights",
    "learner": "names",
}
__all__ = list(_HOME)
__getattr__, __dir__ = lazily(__name__, _HOME)
