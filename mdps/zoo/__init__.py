"""Named instances: each with its source, its parameters and, where it is known, its optimum in exact rationals.

`mdps.zoo.domino(8, "9/10")` builds a model, `zoo.load("domino(8, 9/10)")` does so from text, `zoo.names()` lists what there is and
`zoo.optimum("domino(8, 9/10)")` is V* as rationals.
"""

from __future__ import annotations

from mdps.lazy import lazily

_HOME = {
    **dict.fromkeys(("Entry", "entries", "entry", "load", "names", "optimum", "parse"), "registry"),
    **dict.fromkeys(("arms", "gravity_well", "plateau"), "bandits"),
    **dict.fromkeys(("blind", "btpair", "chain", "domino", "loop", "lure", "vanish"), "hard"),
    **dict.fromkeys(("cliff_walking", "frozen_lake", "gridworld", "taxi"), "grids"),
    **dict.fromkeys(("fading_caution", "gamble_on_luck", "risk_case", "risk_cases", "survival"), "risk"),
    **dict.fromkeys(("max_cut", "risky_or_safe", "robust_case", "robust_cases", "robust_machine_replacement", "robust_river_swim"), "robust"),
    **dict.fromkeys(("line", "switch", "utility_case", "utility_cases"), "utilities"),
    **dict.fromkeys(("constrained_bandit", "constrained_case", "constrained_cases", "entropy_regularised"), "constrained"),
    **dict.fromkeys(("forest_management", "inventory", "machine_replacement", "polytope", "river_swim", "two_state"), "classics"),
}
__all__ = sorted(_HOME)
__getattr__, __dir__ = lazily(__name__, _HOME)
