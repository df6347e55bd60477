"""Statements in exact arithmetic: the only judge of a refutation, and what `certified` rests on.

Where everything is rational (no method, or one whose step is rational and takes few steps) both sides are computed in rationals.  Otherwise
the run is enclosed in balls (`pgtheory.policy_gradient.certified`), the quantities are evaluated on the enclosures, and the precision is doubled
until the two sides separate.  A verdict is given only where every number involved is certain:

    violated   some entry fails for every point of its ball        holds   every entry holds for every point
    undecided  anything else: equality, or balls that still overlap at the largest precision
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mdps.errors import ModelError
from pgtheory import arithmetic
from proofs_check.claim import Case
from proofs_check.context import Context
from proofs_check.engine.measure import bound_method, check_own_start, method_settings, needed
from proofs_check.expression import evaluate
from proofs_check.instance import Instance, exact_context
from proofs_check.numbers import to_float
from proofs_check.quantities import quantity

Array = np.ndarray
FIRST_BITS, MOST_BITS = 128, 16_384
RUN_BITS = 16_384
"""Precision up to which a run is enclosed.  The longest runs of the methods whose step has a Lipschitz constant take some thousand bits; a step size
that divides by a gap that has nearly vanished would take any number of them, and minutes, to say nothing in the end."""
NOTHING_SAID = "the statement says nothing here"
"""Reason of an undecided judgement where no condition held or no step was meant: no evidence, neither way."""
RATIONAL_STEPS = 3
"""Steps up to which a rational method is iterated in rationals (digits grow about fivefold a step); policy iteration has no such growth."""


@dataclasses.dataclass(frozen=True)
class Confirmation:
    """What exact arithmetic says of a statement on one instance at some steps."""

    status: str  # "violated", "holds", "undecided"
    arithmetic: str  # "rationals" or "balls"
    bits: int
    t: int | None = None
    left: str = ""
    right: str = ""
    ratio: float | None = None
    reason: str = ""
    apart: float | None = None  # of an undecided judgement in balls: no entry fails by more than this


def confirm(case: Case, instance: Instance, times: list[int], most_bits: int = MOST_BITS) -> Confirmation:
    """Checks the statement on an exact instance at each of `times` (steps; [0] where there is no method); stops at the first violation."""
    if case.domain.broken(instance):
        names = ", ".join(a.name for a in case.domain.broken(instance))
        return Confirmation("undecided", "rationals", 0, reason=f"the instance does not meet: {names}")
    reasons: list[str] = []
    if rational_possible(case, times):
        try:
            return _judge(case, exact_contexts(case, instance, times, "rational"), times, "rationals", 0)
        except (TypeError, AttributeError, ValueError, ArithmeticError) as error:  # a root or logarithm leaves the rationals, 1/0 the numbers
            reasons.append(str(error))
    from pgtheory.policy_gradient.certified import NotEnclosed

    bits = FIRST_BITS
    outcome = Confirmation("undecided", "balls", bits, reason="no precision tried")
    while bits <= most_bits:
        with arithmetic.precision(bits):
            try:
                outcome = _judge(case, exact_contexts(case, instance, times, "ball"), times, "balls", bits)
            except NotEnclosed as error:  # nor would it be to a higher accuracy
                return Confirmation("undecided", "balls", bits, reason=str(error))
            except (ArithmeticError, np.linalg.LinAlgError) as error:
                outcome = Confirmation("undecided", "balls", bits, reason=str(error))
        if outcome.status != "undecided" or outcome.reason in ("equal", NOTHING_SAID):
            return outcome
        bits *= 2
    return outcome


def rational_possible(case: Case, times: list[int]) -> bool:
    """Whether the run to the last of `times` stays in rationals of a sensible size."""
    method = case.process
    if method is None:
        return True
    if not getattr(method, "rational_step", False):
        return False
    return method.small_rationals or max(times) <= RATIONAL_STEPS


def exact_contexts(case: Case, instance: Instance, times: list[int], kind: str) -> Context:
    """The instance with its run recorded in rationals or balls at the steps that the statement needs to be judged at `times`."""
    pairs = case.statement.over == "pair"
    method = case.process
    if method is None:
        policies = instance.policy[None] if kind == "rational" else arithmetic.balls(instance.policy)[None]
        return exact_context(instance, kind, np.zeros(1, dtype=np.int64), policies, pairs=False)
    steps = {0, *times, *(t + 1 for t in times if pairs)}
    if any(quantity(name).history for name in needed(case)):
        steps = set(range(max(steps) + 1))
    record = np.array(sorted(steps), dtype=np.int64)
    if not hasattr(method, "run_arrays"):
        return _recorded_context(case, instance, record, kind, pairs)
    settings = exact_method_settings(case, instance)
    if kind == "rational":
        params = rational_run(method, instance, settings, record)
        return exact_context(instance, kind, record, method.policy_of(params), pairs=pairs, parameters=params[None])
    from pgtheory.policy_gradient.certified import certified_run

    enclosures = certified_run(
        method,
        instance.mdp(),
        lambda: method.params_of(arithmetic.balls(instance.policy)),
        settings,
        record.tolist(),
        accuracy=_rational(f"1/{2 ** (arithmetic_bits() // 2)}"),
        most_bits=RUN_BITS,
    )
    params = np.stack(enclosures)
    logits = params[None] if method.parameters == "logits" else None
    policies = method.policy_of(params)
    return exact_context(instance, kind, record, policies, pairs=pairs, logits=logits, parameters=params[None])


def exact_method_settings(case: Case, instance: Instance) -> list[Any]:
    """The values of the method's fields on an exact instance, in rationals."""
    sizes = {"S": _rational(instance.shape[0]), "A": _rational(instance.shape[1])}
    names = {"gamma": instance.discount, **sizes, **instance.settings, **instance.extras}
    return [_as_rational(v) for v in method_settings(case, names, lambda p, q: _rational(f"{p}/{q}"))]


def rational_run(method: Any, instance: Instance, settings: list[Any], record: Array) -> Array:
    """Parameters (R, S, A) in rationals at the recorded steps."""
    params, out, t = method.params_of(instance.policy), [], 0
    for when in record.tolist():
        while t < when:
            params = method.plain_step(params, instance.transitions, instance.rewards, instance.discount, instance.mu, *settings)
            t += 1
        out.append(params)
    return np.stack(out)


def _recorded_context(case: Case, instance: Instance, record: Array, kind: str, pairs: bool) -> Context:
    """Somebody else's method runs in floats; its recorded policies are then taken as exact, each row divided by its exact sum."""
    from mdps.rational import rational_array
    from pgtheory.run import run

    plain = instance.as_float()
    trail = run(plain.mdp(), bound_method(case, plain.settings), int(record[-1]), record=record)
    check_own_start(case, dataclasses.replace(plain, policy=trail.policies[0]))
    policies = rational_array(trail.policies)
    policies = policies / policies.sum(axis=-1, keepdims=True)
    instance = dataclasses.replace(instance, policy=policies[0])
    if kind == "ball":
        policies = arithmetic.balls(policies)
    return exact_context(instance, kind, record, policies, pairs=pairs)


def arithmetic_bits() -> int:
    from proofs_check.numbers import current_precision

    return current_precision()


def _rational(value: Any) -> Any:
    from mdps.rational import rational

    return rational(value)


def _as_rational(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value
    from mdps.rational import simplest

    return simplest(value) if isinstance(value, float) else _rational(value)


def sides(case: Case, context: Context) -> tuple[Array, Array, dict[str, Any]]:
    """Both sides of the statement (1, R, K) on an exact context, and the quantities."""
    from flint import arb, fmpq

    number = (lambda p, q: arb(fmpq(p, q))) if context.kind == "ball" else (lambda p, q: fmpq(p, q))
    values: dict[str, Any] = {}
    for name in needed(case):
        code = quantity(name).code
        assert code is not None
        values[name] = code(context)
    if context.kind == "rational" or "t" in values:
        values["t"] = _whole_times(context)
    left, right = case.statement.sides(values, number)
    left, right = np.broadcast_arrays(np.asarray(left, dtype=object), np.asarray(right, dtype=object))
    return left, right, values


def _whole_times(context: Context) -> Array:
    """t as exact numbers, with t = 0 last to divide by: it is left out by `_judge` where the bound divides by it."""
    return context.constant(context.times[context.now][None, :, None])


def _judge(case: Case, context: Context, wanted: list[int], name: str, bits: int) -> Confirmation:
    """Judges the statement at the steps `wanted` (all of them the record must hold)."""
    context = _judged_at(case, context, wanted)
    left, right, values = sides(case, context)
    relation = case.statement.relation
    times = context.times[context.now] if case.statement.over != "instance" else context.times[:1]
    all_hold, equal_seen, unsure, judged, apart = True, True, "", False, 0.0
    for r in range(left.shape[1]):
        meant = _condition(case, values, r)
        if meant is False:
            continue
        judged = True
        if meant is None:
            apart = np.inf
            all_hold, equal_seen, unsure = False, False, f"whether the condition holds is not known at t = {times[min(r, len(times) - 1)]}"
            continue
        for k in range(left.shape[2]):
            a, b = left[0, r, k], right[0, r, k]
            fails, holds = _compare(relation, a, b)
            if fails:
                return Confirmation("violated", name, bits, int(times[min(r, len(times) - 1)]), _show(a), _show(b), _quotient(relation, a, b))
            if not holds:
                all_hold = False
                if not (a == b if context.kind == "rational" else (a - b).is_zero()):
                    equal_seen = False
                    apart = max(apart, _most(relation, a, b))
                    unsure = f"{_show(a)} and {_show(b)} overlap at t = {times[min(r, len(times) - 1)]}"
    if not judged:
        return Confirmation("undecided", name, bits, reason=NOTHING_SAID)
    if all_hold:
        worst = _worst_ratio(relation, left, right)
        return Confirmation("holds", name, bits, ratio=worst)
    return Confirmation("undecided", name, bits, reason="equal" if equal_seen else unsure, apart=float(apart))


def _judged_at(case: Case, context: Context, wanted: list[int]) -> Context:
    """The context looked at only at the steps `wanted`, and not at t = 0 where a side divides by t; the record itself stays, as history."""
    if case.statement.over == "instance" or case.process is None:
        return context
    steps = context.times[context.now]
    keep = np.isin(steps, wanted)
    if any(_divides_by_t(tree) for tree in (case.statement.left, case.statement.right)):
        keep &= steps > 0
    positions = context.now[keep]
    clone = dataclasses.replace(context)
    clone.__dict__["now"] = positions
    return clone


def _divides_by_t(tree: Any) -> bool:
    import sympy

    t = sympy.Symbol("t")
    at_start = tree.subs(t, 0) if tree.has(t) else tree
    return bool(at_start.has(sympy.zoo, sympy.nan, sympy.oo))


def _condition(case: Case, values: dict[str, Any], r: int) -> bool | None:
    """Whether every condition `a < b` of the form holds at record r; None where that is not certain."""
    from flint import arb, fmpq

    certain = True
    for small, large in case.where:
        sample = next(iter(values.values())).reshape(-1)[0]
        number = (lambda p, q: arb(fmpq(p, q))) if hasattr(sample, "mid") else (lambda p, q: fmpq(p, q))
        a, b = (np.asarray(evaluate(side, values, number), dtype=object) for side in (small, large))
        a, b = np.broadcast_arrays(a, b)
        column = min(r, a.shape[1] - 1) if a.ndim > 1 else 0
        first, second = (x[0, column, 0] if x.ndim > 1 else x.reshape(-1)[0] for x in (a, b))
        if first >= second:
            return False
        certain = certain and bool(first < second)
    return True if certain else None


def _compare(relation: str, a: Any, b: Any) -> tuple[bool, bool]:
    """(certainly fails, certainly holds); comparisons of flint numbers are true only where they are certain."""
    if relation == "<=":
        return bool(a > b), bool(a <= b)
    if relation == ">=":
        return bool(a < b), bool(a >= b)
    if hasattr(a, "mid") or hasattr(b, "mid"):
        return not (a - b).contains(0), bool(a == b)
    return a != b, a == b


def _most(relation: str, a: Any, b: Any) -> float:
    """By how much a statement about two balls may fail at most; inf where a ball is no number."""
    gap = {"<=": a - b, ">=": b - a, "=": abs(a - b)}[relation]
    most = float(gap.upper()) if gap.is_finite() else np.inf
    return most if most == most else np.inf


def _quotient(relation: str, a: Any, b: Any) -> float | None:
    above, below = (a, b) if relation != ">=" else (b, a)
    if relation == "=" or not below > 0 or not above > 0:
        return None
    return float(to_float(np.array([above / below], dtype=object))[0])


def _worst_ratio(relation: str, left: Array, right: Array) -> float | None:
    ratios = [_quotient(relation, a, b) for a, b in zip(left.reshape(-1), right.reshape(-1), strict=True)]
    known = [x for x in ratios if x is not None]
    return max(known) if known else None


def _show(number: Any) -> str:
    """A figure for people: the fraction where it is short, else 15 digits (of a ball those that are certain)."""
    if hasattr(number, "mid"):
        return number.str(15)
    short = str(number)
    return short if len(short) <= 40 else f"{float(to_float(np.array([number], dtype=object))[0]):.15g} (a fraction of {len(short)} characters)"


def certify(case: Case, instances: list[Instance], steps: int) -> tuple[int, list[Instance], Confirmation | None, Instance | None]:
    """Judges the statement on every instance at every step up to `steps`.

    returns   (how many hold for certain, the undecided ones, a violation and its instance or None)
    """
    held, unsure = 0, list[Instance]()
    most = FIRST_BITS if case.statement.relation == "=" else 1024  # balls never show that two numbers are equal, whatever the precision
    for instance in instances:
        try:
            horizon = certified_horizon(case, instance, steps)
            outcome = confirm(case, instance, list(range(horizon + 1)) if case.process is not None else [0], most_bits=most)
        except (ModelError, ArithmeticError, OverflowError) as error:
            outcome = Confirmation("undecided", "balls", 0, reason=str(error))
        if outcome.status == "violated":
            return held, unsure, outcome, instance
        if outcome.status == "holds":
            held += 1
        else:
            unsure.append(instance)
    return held, unsure, None, None


def certified_horizon(case: Case, instance: Instance, steps: int) -> int:
    """Steps of a certified run: the form's own horizon, and few where a rational method would swell."""
    horizon = steps if case.horizon is None else min(case.horizon, steps)
    if getattr(case.process, "rational_step", False) and not case.process.small_rationals:
        horizon = min(horizon, RATIONAL_STEPS)
    return horizon
