"""Sets of models: what nature may choose from in a robust Markov decision process."""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    **dict.fromkeys(("Ambiguity", "Ball", "L1", "L2", "Linf", "KL", "Chi2", "TotalVariation", "Contamination", "Wasserstein"), "balls"),
    **dict.fromkeys(("FiniteSet", "Intervals", "KLPenalty", "RewardBall", "RewardBox"), "others"),
    "read_ambiguity": "text",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"mdps.ambiguity.{_HOME[name]}"), name)
    raise AttributeError(f"module 'mdps.ambiguity' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
