"""Risk-averse decisions: measures of risk, their worst laws, exact optima, gradients and methods.

measures                    CVaR, mean-CVaR, spectral, semideviation, entropic, EVaR as objects (tail, exponential, scoring: the array functions)
nested                      Markov (nested) risk: evaluation, optimal control, worst kernels, soft-robust gradients
returns, static_cvar        exact laws of the return; static CVaR by augmented state, and where its decomposition fails
entropic_control            entropic risk of the whole return with its schedule of levels; EVaR
ecrm                        expected conditional risk measures, as an ordinary problem on augmented states
distributional, plug_in     categorical and quantile evaluation, second moments; bias of the empirical law
gradient, methods           policy gradients of risk measures on enumerated trajectories; methods
pictures                    the risk profile of a return
"""

from __future__ import annotations

from mdps.lazy import lazily

_HOME = {
    **dict.fromkeys(("CVaR", "EVaR", "Entropic", "Mean", "MeanCVaR", "MeanSemideviation", "Measure", "Spectral", "Worst"), "measures"),
    **dict.fromkeys(("check_law", "parse"), "measures"),
    **dict.fromkeys(("cvar", "cvar_sup", "cvar_worst", "mean_semideviation", "spectral", "var"), "tail"),
    **dict.fromkeys(("entropic", "entropic_worst", "evar", "evar_worst", "kl"), "exponential"),
    **dict.fromkeys(("EntropicScore", "MeanVariance", "Scoring", "TailScore", "variance"), "scoring"),
}
__all__ = sorted(_HOME)
__getattr__, __dir__ = lazily(__name__, _HOME)
