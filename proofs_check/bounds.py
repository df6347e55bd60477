"""The rates of the catalogue that speak about a given run: same method, step size as the claim asks, assumptions met by model and start.

A rate is a form whose left side is the optimality gap.  Its right side is evaluated on the run's own record (mismatch, smallest optimal
probability so far, ...), so that the curve is the bound for this run and not for the worst one.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from proofs_check.claim import Case
from proofs_check.domains import Between
from proofs_check.engine.measure import compare
from proofs_check.expression import check_exact, evaluate
from proofs_check.instance import Batch, Instance, float_context
from proofs_check.quantities import parse

Array = np.ndarray
GAPS = ("gap_rho", "gap_mu")
MEASURED_GAPS = {*GAPS, "gap_sup"}
"""A right side that holds the gap of the same iterate compares two gaps: true, and no rate."""
SAME = 1e-12
"""Relative distance within which a step size is the one that a claim names: a few roundings of the user's own computation of it."""


def bounds_for_run(run: Any, distribution: Array | None = None) -> dict[str, Array]:
    """Claim id (with the form where a claim has several) -> its bound at each recorded t, NaN where it says nothing.

    run           a `pgtheory.Trajectory`
    distribution  (S,) rho; the model's start distribution if left out
    """
    from proofs_check.catalogue import claims

    rho = np.asarray(run.mdp.start if distribution is None else distribution, dtype=np.float64)
    found: dict[str, Array] = {}
    for claim in claims().values():
        fitting = {form.name: bound for form in claim.forms if (bound := _bound(claim.case(form), run, rho)) is not None}
        found |= {claim.id if len(fitting) == 1 else f"{claim.id}:{name}": bound for name, bound in fitting.items()}
    return found


def direction(name: str) -> str:
    """ "<=" where the bound of that name (`bounds_for_run`) lies above the gap, ">=" where it lies below."""
    from proofs_check.catalogue import get_claim

    identifier, _, form = name.partition(":")
    claim = get_claim(identifier)
    if form:
        return claim.case(claim.form(form)).statement.relation
    return next(case.statement.relation for case in map(claim.case, claim.forms) if str(case.statement.left) in GAPS)


def _bound(case: Case, run: Any, rho: Array) -> Array | None:
    left = str(case.statement.left)
    if left not in GAPS or case.statement.relation == "=" or type(case.process) is not type(run.method):
        return None
    if {symbol.name for symbol in case.statement.right.free_symbols} & MEASURED_GAPS:
        return None
    if left == "gap_mu" and not np.array_equal(rho, run.start):
        return None
    settings = _settings(case, run)
    if settings is None:
        return None
    model = run.mdp.float
    instance = Instance(model.transitions, model.rewards, model.discount, run.start, rho, run.policies[0], settings=settings)
    if case.domain.broken(instance):
        return None
    logits = run.parameters[None] if run.method.parameters == "logits" else None
    context = float_context(Batch.of([instance]), run.times, run.policies[None], logits=logits, minima=run.minima[None], pairs=False)
    seen = compare(case, context)
    says = np.isfinite(seen.excess[0, :, 0])
    return np.where(says, seen.right[0, :, 0], np.nan) if says.any() else None


def _settings(case: Case, run: Any) -> dict[str, float] | None:
    """The claim's settings as the run's method has them; None where they are not what the claim asks for."""
    model = run.mdp.float
    names: dict[str, Any] = {"gamma": float(model.discount), "S": float(model.num_states), "A": float(model.num_actions)}
    given: dict[str, float] = {}
    for field, value in zip(run.method.setting_names, run.method.settings(model), strict=True):
        asked = getattr(case.process, field)
        if getattr(asked, "is_Symbol", False):
            given[str(asked)] = float(value)
        elif not _same(_number(asked, names), float(value)):
            return None
    for field in dataclasses.fields(run.method):
        own, asked = getattr(run.method, field.name), getattr(case.process, field.name)
        if isinstance(own, str) and own != asked:
            return None
    for name, rule in case.settings.items():
        if name not in given:
            return None
        if isinstance(rule, Between):
            low, high = (_number(end, names) for end in (rule.low, rule.high))
            if not low * (1 - SAME) <= given[name] <= high * (1 + SAME):
                return None
        elif not _same(_number(rule, names), given[name]):
            return None
        names[name] = given[name]
    return given


def _number(rule: Any, names: dict[str, Any]) -> float:
    tree = parse(rule) if isinstance(rule, str) else check_exact(rule)
    if not {symbol.name for symbol in tree.free_symbols} <= names.keys():
        return math.nan
    return float(evaluate(tree, names, lambda p, q: p / q))


def _same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=SAME, abs_tol=0)
