"""What a problem is: finite Markov decision processes, named and random instances, hypothesis strategies, file formats."""

from __future__ import annotations

from mdps.lazy import lazily

_HOME = {
    "ConstrainedMDP": "mdps.constrained",
    "FiniteHorizon": "mdps.finite_horizon",
    "Labelled": "mdps.total_reward",
    "MDP": "mdps.model",
    "ModelError": "mdps.errors",
    "Objective": "mdps.total_reward",
    "RobustMDP": "mdps.robust",
}
_MODULES = ("ambiguity", "finite_horizon", "io", "random", "rational", "strategies", "structure", "total_reward", "zoo")
__all__ = [*_HOME, *_MODULES]
__getattr__, __dir__ = lazily(__name__, _HOME, _MODULES)
