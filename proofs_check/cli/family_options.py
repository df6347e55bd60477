"""Options of `pgtheory run` and `pgtheory solve` that belong to one family of methods or problems; the help has a section for each.

Loaded with every command, so it loads nothing but typer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from proofs_check.cli.options import Direction, Rectangular, RiskOf

SETTINGS = "Settings (of every method that has them)"
ROBUST = "Robust: against the worst model of a set"
RISK = "Averse to risk"
CONSTRAINED = "Under constraints"
UTILITY = "A utility of the occupancy"
SAMPLED = "Sampled methods (reinforce, storm-pg, ...)"
ONLINE = "Learners that explore (ucbvi, optimistic-npg, ...), with --runs, --horizon and --seed"
REACHABILITY = "Reachability, and the long run"
PERFORMATIVE = "Rewards that answer"


def _option(panel: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel=panel, **more)


StepSize = Annotated[str | None, _option(SETTINGS, metavar="NUMBER", help="Step size, above 0: 0.1 or 1/10.")]
Temperature = Annotated[str | None, _option(SETTINGS, metavar="NUMBER", help="Weight of the entropy.")]
Geometry = Annotated[str | None, _option(SETTINGS, metavar="NAME", help="Mirror descent: kl, euclidean, ...")]

RunRobust = Annotated[str | None, _option(ROBUST, metavar="SET", help="Ball around every row, for drpg, robust-pg, ...: l1:0.2.")]
SolveRobust = Annotated[
    str | None, _option(ROBUST, metavar="SET", help="The set: l1:0.2, kl:1/10, tv, l2, linf, chi2, contamination, wasserstein, ...")
]
SharedOut = Annotated[Rectangular, _option(ROBUST, help="Nature's budget: one for each state and action, or one for each state.")]

RunRisk = Annotated[str | None, _option(RISK, metavar="MEASURE", help="The measure, for risk-pg, nested-risk-pg, ecrm-pg, ...: cvar:0.1.")]
SolveRisk = Annotated[str | None, _option(RISK, metavar="MEASURE", help="The measure: cvar:0.1, evar:0.1, entropic:2, mean-cvar:0.1,1/2, worst, ...")]
Rated = Annotated[RiskOf, _option(RISK, help="What the measure rates: the value of each next state, or the whole return.")]
SolveHorizon = Annotated[int | None, _option(RISK, min=1, help="Steps of the return, for --risk-of return with cvar, mean-cvar and worst.")]

Constraint = Annotated[
    list[str] | None,
    _option(CONSTRAINED, "--constraint", metavar="COST<=NUMBER", help="A threshold for a discounted cost, also >=; may be repeated."),
]
Costs = Annotated[Path | None, _option(CONSTRAINED, metavar="FILE.csv", help="What costs: columns state, action, then one for each cost.")]

RunUtility = Annotated[str | None, _option(UTILITY, metavar="NAME", help="What frank-wolfe, normalised-ascent, utility-gradient, ... maximise.")]
SolveUtility = Annotated[
    str | None, _option(UTILITY, metavar="NAME", help="A concave function: entropy, imitation:FILE, quadratic:1, reward+0.1*entropy, ...")
]

Samples = Annotated[int | None, _option(SAMPLED, min=1, help="Paths a step; 10 if left out.")]
Runs = Annotated[int | None, _option(SAMPLED, min=1, help="Independent runs; 20 if left out.")]
RunHorizon = Annotated[int | None, _option(SAMPLED, min=1, help="Steps of a path; for risk-pg, steps of the return.")]
Seed = Annotated[int | None, _option(SAMPLED, min=0, help="Seed; 0 if left out.")]

Episodes = Annotated[int | None, _option(ONLINE, metavar="K", help="Episodes of --horizon steps.")]
RewardLaw = Annotated[
    str | None, _option(ONLINE, metavar="NAME", help="What episodes pay: sure, noisy, phases, random; phases:revealed. sure if left out.")
]

Average = Annotated[bool, _option(REACHABILITY, "--average", help="The long-run average reward instead of the discounted one.")]
Reach = Annotated[str | None, _option(REACHABILITY, metavar="LABEL", help="The probability of reaching LABEL, for a model checker's .tra and .lab.")]
Towards = Annotated[Direction, _option(REACHABILITY, help="The largest or the smallest probability.")]

Answer = Annotated[
    str | None, _option(PERFORMATIVE, metavar="EPS,LAM", help="Rewards that fall by EPS for each unit of what is done, regulariser LAM.")
]
