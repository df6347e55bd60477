"""Sets of models: what nature may choose from in a robust Markov decision process."""

from __future__ import annotations

from mdps.lazy import lazily

_HOME = {
    **dict.fromkeys(("Ambiguity", "Ball", "L1", "L2", "Linf", "KL", "Chi2", "TotalVariation", "Contamination", "Wasserstein"), "balls"),
    **dict.fromkeys(("FiniteSet", "Intervals", "KLPenalty", "RewardBall", "RewardBox"), "others"),
    "read_ambiguity": "text",
}
__all__ = sorted(_HOME)
__getattr__, __dir__ = lazily(__name__, _HOME)
