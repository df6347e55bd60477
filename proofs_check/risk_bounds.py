"""What the catalogue says about a run under risk: nested risk by gradient domination at every iterate, expected conditional risk by its own problem.

NestedPG, NestedActorCritic   gap <= mismatch * improvement, `soft-robust-gradient-and-domination`, for CVaR and entropic risk: both sides are of
                              the iterate, so the bound holds wherever the run has got to; it needs a positive start distribution
ECRMPG                        the run is one of an ordinary method on the augmented problem: with its rewards scaled to [0, 1] the rates of the
                              ordinary catalogue apply, times the range C (`ecrm-projected-gradient-rate` is `ppg-one-over-t` read so)
RiskPG                        nothing: static risk is not gradient dominated (`markov-risk-not-gradient-dominated` shows why)
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mdps.rational import fraction
from pgtheory.risk.measures import CVaR, Entropic
from pgtheory.risk.methods import ECRMPG, NestedActorCritic, NestedPG
from proofs_check.bounds import bounds_for_run
from proofs_check.engine.measure import compare
from proofs_check.instance import Batch, Instance, float_context

Array = np.ndarray
DOMINATION = "soft-robust-gradient-and-domination"


def bounds_for_risk_run(method: Any, trajectory: Any) -> dict[str, Array]:
    """Claim id (with its form) -> its bound on `trajectory.gap()` at each recorded t, NaN where it says nothing.

    method      the method that was asked for: of an ECRM the trajectory carries the one on the augmented problem"""
    if isinstance(method, ECRMPG):
        return _scaled(trajectory)
    if isinstance(method, NestedPG | NestedActorCritic):
        return _domination(method.measure, trajectory)
    return {}


def _domination(measure: Any, trajectory: Any) -> dict[str, Array]:
    from proofs_check.catalogue import get_claim

    if isinstance(measure, CVaR) and 0 < measure.level < 1:
        name, settings = "domination, nested CVaR", {"tail": float(fraction(measure.level))}
    elif isinstance(measure, Entropic) and 0 < measure.beta < np.inf:
        name, settings = "domination, entropic", {"aversion": float(fraction(measure.beta))}
    else:
        return {}
    claim = get_claim(DOMINATION)
    case, model = claim.case(claim.form(name)), trajectory.mdp.float
    numbers: dict[str, Any] = {"discount": model.discount, "mu": trajectory.start, "rho": model.start, "policy": trajectory.policies[0]}
    instance = Instance(model.transitions, model.rewards, settings=settings, **numbers)
    if case.domain.broken(instance):
        return {}
    context = float_context(Batch.of([instance]), trajectory.times, trajectory.policies[None], pairs=False)
    return {f"{DOMINATION}:{name}": np.asarray(compare(case, context).right[0, :, 0])}


def _scaled(trajectory: Any) -> dict[str, Array]:
    model = trajectory.mdp.float
    low, high = float(model.rewards.min()), float(model.rewards.max())
    if high == low:
        return {}
    scaled = dataclasses.replace(
        trajectory,
        mdp=model.replace(rewards=(model.rewards - low) / (high - low)),
        method=dataclasses.replace(trajectory.method, step_size=trajectory.method.settings(model)[0] * (high - low)),
    )
    return {name: (high - low) * bound for name, bound in bounds_for_run(scaled).items()}
