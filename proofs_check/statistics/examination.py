"""From a statement about something sampled to its verdict.

A form has one hypothesis for every instance, every entry and every direction ("=" has two).  All of them must hold, so the average of their
e-values is an e-value of the form, whatever their dependence.  Two stages:

    search    blocks of replications of every instance in turn; it ends as soon as the average e-value reaches 1000, or with the budget
    confirm   the hypothesis with the largest e-value alone, on fresh random numbers, twice as many at most: its own e-value must reach 1000

A true form is refuted with probability at most 1/1000 * 1/1000 = 10^-6 (Ville's inequality twice, on independent streams), so a run over m forms
refutes any true one with probability at most m 10^-6 (union bound), whatever was looked at in between.  One stage without the other is
`undecided`.  `supported` needs power: the excess over the bound that this budget sees with probability 0.9 must be within the form's resolution,
and it is reported, beside the intervals of the means.  It also needs that no interval contradicts the statement: at level 1/1000 over all the means
of the form together, each must reach the side of the bound that the statement allows, for "=" the bound itself; else `undecided`.  Nothing is ever
stopped, chosen or repeated after a look at the confirming stream.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from mdps.errors import ModelError
from proofs_check import verdict as v
from proofs_check.engine.budget import Budget
from proofs_check.expression import evaluate
from proofs_check.instance import Batch, Instance, float_context
from proofs_check.quantities import quantity
from proofs_check.statistics.betting import ROUNDING, Bets, Interval, Range, detectable, log_wealth
from proofs_check.statistics.claims import Expected, SampledCase
from proofs_check.statistics.streams import BLOCK, stream

Array = np.ndarray
SCHEMA = "pgtheory-sampled-counterexample-1"
STAGE_LEVEL = 1e-3
"""Probability with which each of the two stages errs on a true form."""
LEVEL = STAGE_LEVEL**2
INTERVAL_LEVEL = 1e-3
"""Probability that the interval of one mean misses it."""
POWER = 0.9
SEARCH, CONFIRM = 0, 1
"""Stages, as parts of the names of the random streams."""
TRIVIAL_SHARE = 1 - 1e-12
"""A bound at least this far along the range says nothing."""


class Hypothesis:
    """E[X] <= most (after mirroring, for "at least") for every entry of one instance, with its e-processes."""

    def __init__(self, case: SampledCase, number: int, direction: int, within: Range, bound: Array) -> None:
        self.number, self.direction, self.within = number, direction, within
        self.bound = bound
        self.bets = Bets(bound if direction > 0 else within.mirrored(bound), within)

    def add(self, values: Array) -> None:
        self.bets.add(values if self.direction > 0 else self.within.mirrored(values))


def verify_sampled(case: SampledCase, budget: Budget, seed: int, progress: Any = None) -> v.FormVerdict:
    """The verdict on one form."""
    clock = time.perf_counter()
    instances = [at.instance() for at in case.instances]
    plain = [instance.as_float() for instance in instances]
    bounds = [bound_of(case.statement, instance) for instance in plain]
    ranges = [range_of(case.statement, instance, bound) for instance, bound in zip(plain, bounds)]
    directions = {"<=": (1,), ">=": (-1,), "=": (1, -1)}[case.statement.relation]
    hypotheses = [Hypothesis(case, k, d, ranges[k], bounds[k]) for k in range(len(plain)) for d in directions]
    intervals = [Interval(within, INTERVAL_LEVEL, budget.draws) for within in ranges]
    threshold = math.log(1 / STAGE_LEVEL)
    drawn, fired = 0, False
    for block in range(-(-budget.draws // BLOCK)):
        if progress is not None:
            progress.stage(case.claim, case.name, f"{drawn:,} replications of {len(plain)} instances")
        for k, instance in enumerate(plain):
            values = draws(case, instance, k, seed, SEARCH, block)
            if values.shape[1] != ranges[k].low.size:
                raise ModelError(f"{case.statement.sampler.name} draws {values.shape[1]} entries and its bound has {ranges[k].low.size}")
            intervals[k].add(values)
            for hypothesis in hypotheses:
                if hypothesis.number == k:
                    hypothesis.add(values)
        drawn += BLOCK
        wealth = np.concatenate([hypothesis.bets.log_e() for hypothesis in hypotheses])
        fired = bool(log_wealth(wealth) >= threshold)
        if fired:
            break
    count = sum(hypothesis.bets.log_e().size for hypothesis in hypotheses)
    facts: dict[str, Any] = {
        "level": LEVEL,
        "stages": [STAGE_LEVEL, STAGE_LEVEL],
        "replications": drawn,
        "instances": len(plain),
        "hypotheses": count,
        "log_e": float(log_wealth(wealth)),
        "power": POWER,
        "interval_level": INTERVAL_LEVEL,
        "means": [mean_of(case, instances[k].name, intervals[k], bounds[k]) for k in range(len(plain))],
    }
    notes: list[str] = []
    common = {
        "claim": case.claim,
        "form": case.name,
        "kind": case.kind,
        "statement": case.statement.text(),
        "instances": len(plain),
        "because": case.because,
        "seed": seed,
        "budget": budget.name,
        "statistics": facts,
        "notes": notes,
    }
    if fired:
        worst = max(hypotheses, key=lambda h: h.bets.log_e().max())
        entry = int(worst.bets.log_e().argmax())
        example = confirmed(case, instances[worst.number], worst.number, worst.direction, entry, seed, 2 * budget.draws)
        if example is not None:
            evidence = (
                f"mean {example['left']} against {example['right']} over {example['replications']:,} fresh replications, level {LEVEL:g}: "
                f"{instances[worst.number].name}"
            )
            common |= {"evidence": evidence, "counterexample": example, "tightness": example["ratio"]}
            return v.FormVerdict(verdict=v.REFUTED, seconds=round(time.perf_counter() - clock, 3), **common)  # type: ignore[arg-type]
        common["evidence"] = f"{drawn:,} replications spoke against it and fresh ones did not confirm it"
        return v.FormVerdict(verdict=v.UNDECIDED, seconds=round(time.perf_counter() - clock, 3), **common)  # type: ignore[arg-type]
    against = contradicted(case.statement, ranges, bounds, intervals)
    trivial = sum(vacuous(case.statement, within, bound) for within, bound in zip(ranges, bounds))
    ratios = [r for k in range(len(plain)) if (r := closest(case.statement, intervals[k].mean(), bounds[k])) is not None]
    seen, sees = resolution(case, ranges, bounds, intervals, drawn, count)
    facts |= {"resolution": case.resolution, "seen": seen}
    what = "intervals no wider than" if case.statement.relation == "=" else "with probability 0.9 it sees an excess of"
    figure = "nothing" if seen is None else f"{seen:.3g} of the range" if case.statement.relation == "=" else f"{seen:.1%} of the bound"
    power = f"{what} {figure}"
    place = f"{drawn:,} replications of each of {len(plain)} instances; level {LEVEL:g}; {power}"
    worst_case = worst_of(case, instances, intervals, bounds)
    common |= {"trivial": trivial, "tightness": min(max(ratios), 1.0) if ratios else None, "worst": worst_case, "evidence": place}
    verdict = v.UNDECIDED if against else v.VACUOUS if trivial == len(plain) else v.SUPPORTED if sees else v.UNDECIDED
    if against:
        k, low, high, target = against
        common["evidence"] = f"the interval [{low:.6g}, {high:.6g}] of a mean excludes {target:.6g} on {instances[k].name}, unconfirmed: {place}"
    elif verdict == v.UNDECIDED:
        common["evidence"] = f"too little power for its resolution {case.resolution:g}: {place}"
    return v.FormVerdict(verdict=verdict, seconds=round(time.perf_counter() - clock, 3), **common)  # type: ignore[arg-type]


# Parts


def draws(case: SampledCase, instance: Instance, number: int, seed: int, stage: int, block: int) -> Array:
    """One block of replications, the same whoever draws it."""
    rng = stream(seed, case.claim, case.name, number, instance.name, stage=stage, block=block)
    values = np.asarray(case.statement.sampler.draw(instance, rng, BLOCK), dtype=np.float64)
    if values.ndim != 2 or len(values) != BLOCK or not np.isfinite(values).all():
        raise ModelError(f"{case.statement.sampler.name} drew an array of shape {values.shape}; it must be ({BLOCK}, entries) of finite numbers")
    return values


def bound_of(statement: Expected, instance: Instance) -> Array:
    """(K,): the right side on a float instance, from exact quantities."""
    context = float_context(Batch.of([instance]), np.zeros(1, dtype=np.int64), instance.policy[None, None], pairs=False)
    values: dict[str, Any] = {}
    for name in sorted(statement.names()):
        code = quantity(name).code
        assert code is not None
        values[name] = code(context)
    right = np.asarray(evaluate(statement.right, values, lambda p, q: p / q), dtype=np.float64)
    if not np.isfinite(right).all():
        raise ModelError(f"the bound {statement.text()} is no number on {instance.name}")
    return right.reshape(-1)


def range_of(statement: Expected, instance: Instance, bound: Array) -> Range:
    """What the sampler promises, for every entry of the bound."""
    low, high = statement.sampler.limits(instance)
    within = Range.of(low, high)
    size = max(within.low.size, bound.size)
    if {within.low.size, bound.size} - {1, size}:
        raise ModelError(f"{statement.sampler.name} has {within.low.size} entries and its bound {bound.size}")
    return Range(np.broadcast_to(within.low, (size,)).copy(), np.broadcast_to(within.high, (size,)).copy())


def confirmed(case: SampledCase, exact: Instance, number: int, direction: int, entry: int, seed: int, most: int) -> dict[str, Any] | None:
    """The second stage: one hypothesis on fresh replications; the counterexample where its e-value reaches the threshold."""
    instance = exact.as_float()
    bound = bound_of(case.statement, instance)
    every = range_of(case.statement, instance, bound)
    target = float(np.broadcast_to(bound, every.low.shape)[entry])
    within = Range(every.low[entry : entry + 1], every.high[entry : entry + 1])
    hypothesis = Hypothesis(case, number, direction, within, np.array([target]))
    interval = Interval(within, INTERVAL_LEVEL, 2 * BLOCK)
    for block in range(-(-most // BLOCK)):
        values = draws(case, instance, number, seed, CONFIRM, block)[:, entry : entry + 1]
        hypothesis.add(values)
        interval.add(values)
        log_e = float(hypothesis.bets.log_e()[0])
        if log_e >= math.log(1 / STAGE_LEVEL):
            mean, (low, high) = float(interval.mean()[0]), interval.limits()
            above, below = (mean, target) if direction > 0 else (target, mean)
            return {
                "schema": SCHEMA,
                "claim": case.claim,
                "form": case.name,
                "kind": case.kind,
                "statement": case.statement.text(),
                "instance": exact.to_json(),
                "number": number,
                "entry": entry,
                "direction": "above" if direction > 0 else "below",
                "left": f"{mean:.6g}",
                "right": f"{target:.6g}",
                "interval": [float(low[0]), float(high[0])],
                "ratio": above / below if below > 0 and above > 0 else None,
                "replications": interval.count,
                "log_e": log_e,
                "level": LEVEL,
                "seed": seed,
            }
    return None


def mean_of(case: SampledCase, name: str, interval: Interval, bound: Array) -> dict[str, Any]:
    """What was seen on one instance."""
    low, high = interval.limits()
    return {"instance": name, "mean": interval.mean().tolist(), "low": low.tolist(), "high": high.tolist(), "bound": bound.tolist()}


def contradicted(statement: Expected, ranges: list[Range], bounds: list[Array], intervals: list[Interval]) -> tuple[int, float, float, float] | None:
    """(instance, lower, upper, bound) of a mean whose interval has no point that the statement allows; None where there is none.

    The intervals hold together: a true form has such a mean with probability at most `INTERVAL_LEVEL`."""
    level = INTERVAL_LEVEL / sum(within.low.size for within in ranges)
    for k, (within, bound, interval) in enumerate(zip(ranges, bounds, intervals)):
        slack, target = ROUNDING * (within.high - within.low), np.broadcast_to(bound, within.low.shape)
        low, high = interval.limits(level)
        above, below = low > target + slack, high < target - slack
        off = np.flatnonzero({"<=": above, ">=": below, "=": above | below}[statement.relation])
        if off.size:
            return k, float(low[off[0]]), float(high[off[0]]), float(target[off[0]])
    return None


def vacuous(statement: Expected, within: Range, bound: Array) -> bool:
    """Whether the range alone gives the bound."""
    share = (bound - within.low) / (within.high - within.low)
    if statement.relation == "<=":
        return bool((share >= TRIVIAL_SHARE).all())
    return statement.relation == ">=" and bool((share <= 1 - TRIVIAL_SHARE).all())


def closest(statement: Expected, mean: Array, bound: Array) -> float | None:
    """Largest measured/bound (bound/measured from below) by the plain averages; None for an equation."""
    if statement.relation == "=":
        return None
    above, below = (mean, bound) if statement.relation == "<=" else (bound, mean)
    with np.errstate(all="ignore"):
        ratios = np.where((below > 0) & (above > 0), above / below, np.nan)
    return None if np.isnan(ratios).all() else float(np.nanmax(ratios))


def resolution(
    case: SampledCase, ranges: list[Range], bounds: list[Array], intervals: list[Interval], drawn: int, count: int
) -> tuple[float | None, bool]:
    """(what is seen, whether it is within the form's resolution).

    For <= and >=: the largest over the instances of the smallest relative excess over the bound that both stages detect with probability 0.9,
    for data with the largest variance that the range allows.  For =: the largest half width of the intervals, in parts of the range."""
    if case.statement.relation == "=":
        half = [((high - low) / 2 / (r.high - r.low)).max() for r, (low, high) in zip(ranges, (i.limits() for i in intervals))]
        return float(max(half)), bool(max(half) <= case.resolution)
    stages = ((drawn, math.log(count / STAGE_LEVEL)), (2 * drawn, math.log(1 / STAGE_LEVEL)))
    excesses: list[float] = []
    for within, bound in zip(ranges, bounds):
        if vacuous(case.statement, within, bound):
            continue
        for low, high, m in zip(within.low, within.high, np.broadcast_to(bound, within.low.shape)):
            most = m if case.statement.relation == "<=" else low + high - m
            found = detectable(float(most), float(low), float(high), stages, POWER)
            if found is None:
                return None, False
            excesses.append((found - most) / abs(m) if m else math.inf)
    return (max(excesses), max(excesses) <= case.resolution) if excesses else (None, False)


def worst_of(case: SampledCase, instances: list[Instance], intervals: list[Interval], bounds: list[Array]) -> dict[str, Any] | None:
    """The instance whose mean came closest to its bound, with both figures."""
    if case.statement.relation == "=":
        return None
    merits = [closest(case.statement, interval.mean(), bound) for interval, bound in zip(intervals, bounds)]
    known = [k for k, merit in enumerate(merits) if merit is not None]
    if not known:
        return None
    k = max(known, key=lambda j: merits[j])  # type: ignore[arg-type, return-value]
    return instances[k].to_json() | {"measured": float(intervals[k].mean()[0]), "bound": float(bounds[k][0])}


# Replay


def replay_sampled(data: dict[str, Any]) -> tuple[bool, dict[str, Any] | None]:
    """Draws the confirming replications of a counterexample again, from its names and seed: whether the e-value is reached, and what was seen.

    raises  ModelError: the claim, form or instance is not the one in the catalogue"""
    from proofs_check.catalogue import sampled_claims

    claim = sampled_claims().get(str(data.get("claim")))
    cases = [] if claim is None else [case for case in claim.cases() if case.name == data.get("form")]
    if not cases:
        raise ModelError(f"the catalogue has no sampled form {data.get('claim')!r}, {data.get('form')!r}: a sampler is code, and the file holds none")
    case = cases[0]
    number, entry = int(data.get("number", -1)), int(data.get("entry", -1))
    if not 0 <= number < len(case.instances) or case.instances[number].instance().to_json() != data.get("instance"):
        raise ModelError("the instance of the file is not the one that the form names")
    direction = 1 if data.get("direction") == "above" else -1
    again = confirmed(case, case.instances[number].instance(), number, direction, entry, int(data["seed"]), int(data["replications"]))
    return again is not None, again
