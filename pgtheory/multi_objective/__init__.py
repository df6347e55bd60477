"""Several rewards at once: fronts, what linear weights reach, functions of several values, hypervolume, adapting the weights.

fronts          values of all policies: the exact front for 2 objectives, for m objectives by facets; deterministic policies; Pareto filters
scalarisation   gradients of functions of several values; the bias of plugging in estimates, by enumeration
hypervolume     the volume that points dominate, its share of each point, its gradient
weights         next weights by hypervolume, by multiplicative weights (max-min), by the common direction of the gradients
pictures        a front with what linear weights miss

Values are discounted sums J_i = E sum gamma^t r_i from the model's start distribution; rewards are (m, S, A).
"""

from __future__ import annotations

from mdps.lazy import lazily

_HOME = {
    **dict.fromkeys(("Front", "convex_front", "deterministic_front", "pareto", "values_of"), "fronts"),
    **dict.fromkeys(("Scalarisation", "bias_of_gradient", "path_returns", "plug_in_bias", "scalarised_gradient"), "scalarisation"),
    **dict.fromkeys(("contributions", "hypervolume_of", "hypervolume_slopes"), "hypervolume"),
    **dict.fromkeys(("common_direction", "hedged_weights", "hypervolume_ascent", "optimistic_support"), "weights"),
    "plot_front": "pictures",
}
__all__ = sorted(_HOME)
__getattr__, __dir__ = lazily(__name__, _HOME)
