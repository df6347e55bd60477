"""Concave functions of the discounted occupancy instead of sums of rewards: exploration, imitation, fairness, smooth risk.

utilities, objectives, user   the functions: entropies, distances, quadratic, of several rewards; a user's own, checked for concavity
program                       the optimum by a conic program, with an upper bound proved by one ordinary decision problem
gradient                      the policy gradient by the chain rule, with the reward frozen; gradient domination
frank_wolfe                   one greedy policy a step, rate and certificate, mixtures realised by one stationary policy
ascent                        normalised ascent with recursive momentum, exact and sampled
features                      large spaces: utilities of linear features, occupancies fitted to features
parse                         utilities by name
pictures                      the set of occupancies, level lines, paths
"""

from __future__ import annotations

from mdps.lazy import lazily

_HOME = {
    **dict.fromkeys(("Program", "Utility"), "base"),
    **dict.fromkeys(("Entropy", "KLDistance", "L1Distance", "Linear", "LogSum", "PowerSum", "Quadratic", "SmoothedEntropy"), "utilities"),
    "SquaredDistance": "utilities",
    **dict.fromkeys(("LogDet", "Nash", "OfFeatures", "SoftWorst", "Sum", "Worst"), "objectives"),
    **dict.fromkeys(("UserUtility", "check_concave", "concavity_defect"), "user"),
    **dict.fromkeys(("UtilitySolution", "certified", "solve_utility"), "program"),
    **dict.fromkeys(("check_domination", "softmax_smoothness", "utility_gradient"), "gradient"),
    **dict.fromkeys(("FrankWolfeRun", "mixture_policy", "run_frank_wolfe"), "frank_wolfe"),
    **dict.fromkeys(("AscentRun", "normalised_ascent", "sampled_ascent", "utility_gradient_ascent"), "ascent"),
    **dict.fromkeys(("feature_expectations", "fitted_occupancy", "sampled_features"), "features"),
    "parse_utility": "parse",
    "utility_of": "parse",
}
__all__ = sorted(_HOME)
__getattr__, __dir__ = lazily(__name__, _HOME)
