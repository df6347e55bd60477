"""Problems that answer the policy: rewards and transitions depend on the occupancy that is deployed.

model            what answers: rewards linear in the occupancy, an answering chain, the array checks
program          the regularised best occupancy of one answer: dual Newton, quadratic program, exact projection for bandits
repeated         repeated optimisation and repeated gradient ascent, with the exact answer or from samples
samples          what is estimated from a number of trajectories
thresholds       contraction factors, what is stable and what is optimal, and where neither is promised
shared_control   a gridworld whose followers may take over

Derivations: docs/theory/performative.md.
"""

from __future__ import annotations

from mdps.lazy import lazily

_HOME = {
    **dict.fromkeys(("Performative", "linear_response", "occupancy_of", "policy_of", "seesaw"), "model"),
    **dict.fromkeys(("Best", "bandit_step", "best_occupancy", "best_occupancy_program", "performative_optimum", "project_occupancy"), "program"),
    **dict.fromkeys(("Path", "repeated_gradient_ascent", "repeated_optimisation", "unrest"), "repeated"),
    **dict.fromkeys(("Estimate", "estimate"), "samples"),
    **dict.fromkeys(("LinearBandit", "contraction_factor", "drift_factor", "gradient_factor", "noise_floor", "recalled_threshold"), "thresholds"),
    "SharedControl": "shared_control",
}
__all__ = sorted(_HOME)
__getattr__, __dir__ = lazily(__name__, _HOME)
