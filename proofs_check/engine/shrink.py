"""Making a counterexample small and its numbers simple, in rationals.

From a float instance that fails: delete states and actions, then round each array to the coarsest denominator that still fails, take the
simplest discount and settings, and finally every single number to 0 or 1 where that still fails.  Each trial is measured in float64; what comes
out is exact, lies in the domain, and fails by a clear margin, so that exact arithmetic can confirm it.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from mdps.rational import exact_rows, fraction, rational, rational_array, simplest, simplest_array, simplest_between
from proofs_check.claim import Case
from proofs_check.domains import Between, exact_settings, in_range
from proofs_check.engine.measure import Measurement, measure
from proofs_check.instance import Batch, Instance

Array = np.ndarray
MARGIN = 1e-3
"""By how much a shrunk ratio must exceed 1."""
DENOMINATORS = (1, 2, 3, 4, 5, 8, 10, 20, 50, 100, 1000, 10**4, 10**6)
ROUNDS = 3
WIDEST = 16
"""Proposals measured together at most."""


def shrink(case: Case, instance: Instance, horizon: int, max_trials: int = 600) -> tuple[Instance, list[int]] | None:
    """A simple exact instance near `instance` that still fails, with the t at which it does (clearest first); None if none was found."""
    return _Shrinker(case, horizon, max_trials).run(instance)


class _Shrinker:
    def __init__(self, case: Case, horizon: int, max_trials: int) -> None:
        self.case, self.horizon, self.left = case, horizon, max_trials
        compiled = case.process is None or hasattr(case.process, "run_arrays")
        self.widest = WIDEST if compiled else 1  # a method in plain Python runs one instance after the other

    def run(self, instance: Instance) -> tuple[Instance, list[int]] | None:
        best = self.settled(exactly(instance))
        if best is None or not self.fails(best):
            return None
        for _ in range(ROUNDS):
            before = repr(best.to_json())
            steps = (
                self._fewer_states,
                self._fewer_actions,
                self._simpler_arrays,
                self._simpler_extras,
                self._simpler_discount,
                self._simpler_settings,
            )
            for proposals in (*steps, _zeros_and_ones, self._plain_extras):
                best = self._descend(best, proposals)
            if repr(best.to_json()) == before or self.left <= 0:
                break
        seen = self._measured([best])
        return best, seen.violations(0)

    def settled(self, instance: Instance) -> Instance | None:
        """The instance with its settings computed from their rules; None where it leaves the domain."""
        try:
            settled = dataclasses.replace(instance, settings=exact_settings(self.case.settings, instance, instance.settings))
        except ZeroDivisionError:
            return None
        if self.case.domain.broken(settled) or not in_range(self.case.settings, settled):
            return None
        return settled

    def _measured(self, instances: list[Instance]) -> Measurement:
        return measure(self.case, Batch.of([instance.as_float() for instance in instances]), self.horizon)

    def fails(self, instance: Instance) -> bool:
        """Whether it fails clearly: the ratio by MARGIN, an excess by ten tolerances."""
        self.left -= 1
        return bool(self._failing([instance])[0])

    def _failing(self, trials: list[Instance]) -> Array:
        """(B,): which of the instances, all of one shape, fail clearly."""
        seen = self._measured(trials)
        clear = seen.excess > 10 * seen.tolerance[:, None, None]
        if seen.ratio is not None:  # without a ratio (a bound of 0, a measured 0) the excess speaks
            clear = np.where(np.isnan(seen.ratio)[..., None], clear, seen.ratio[..., None] > 1 + MARGIN)
        return np.asarray(seen.candidates() & clear.reshape(len(clear), -1).any(axis=1))

    def _descend(self, best: Instance, proposals: Callable[[Instance], Iterator[Instance]]) -> Instance:
        """Takes the first proposal that still fails, and starts over from it, until none does."""
        while self.left > 0:
            found = self._first_failing(proposals(best))
            if found is None:
                break
            best = dataclasses.replace(found, name="")
        return best

    def _first_failing(self, proposals: Iterator[Instance]) -> Instance | None:
        """The first of the proposals, all of one shape, that fails; None where none does before the trials are spent.

        They are measured 1, 2, 4, ... at a time, because a batch costs hardly more than one of them; those behind the first that fails are no trials.
        """
        settled = filter(None, map(self.settled, proposals))
        width = 1
        while self.left > 0 and (trials := list(itertools.islice(settled, min(width, self.left)))):
            first = np.flatnonzero(self._failing(trials))
            if first.size:
                self.left -= int(first[0]) + 1
                return trials[int(first[0])]
            self.left -= len(trials)
            width = min(2 * width, self.widest)
        return None

    def _simpler_arrays(self, instance: Instance) -> Iterator[Instance]:
        for field in ("rewards", "transitions", "policy", "mu", "rho", "other"):
            value = getattr(instance, field)
            if value is None:
                continue
            present = _largest_denominator(value)
            interior = (field == "policy" and self.case.domain.policy == "interior") or (field == "mu" and self.case.domain.mu == "positive")
            together = ("mu", "rho") if self.case.domain.rho == "mu" and field in ("mu", "rho") else (field,)
            for d in DENOMINATORS:
                if d >= present:
                    break
                rounded = _rounded(value, d) if field == "rewards" else _rounded_rows(value, d, interior)
                if rounded is not None and not (rounded == value).all():
                    changed: dict[str, Any] = dict.fromkeys(together, rounded)
                    yield dataclasses.replace(instance, **changed)

    def _fewer_states(self, instance: Instance) -> Iterator[Instance]:
        for smaller, keep in _fewer_states(instance):
            extras = self._kept(instance, "S", keep)
            if extras is not None:
                yield dataclasses.replace(smaller, extras=extras)

    def _fewer_actions(self, instance: Instance) -> Iterator[Instance]:
        for smaller, keep in _fewer_actions(instance):
            extras = self._kept(instance, "A", keep)
            if extras is not None:
                yield dataclasses.replace(smaller, extras=extras)

    def _kept(self, instance: Instance, axis: str, keep: list[int]) -> dict[str, Array] | None:
        """The extras without a state or an action; None where a row of a distribution loses all its mass."""
        out = dict(instance.extras)
        for name, extra in self.case.domain.extras:
            values = out[name]
            for k, kind in enumerate(extra.axes):
                if kind == axis:
                    values = values.take(keep, axis=k)
            if extra.kind != "real" and extra.axes[-1] == axis:
                if np.any(values.sum(axis=-1) == 0):
                    return None
                values = values / values.sum(axis=-1, keepdims=True)
            out[name] = values
        return out

    def _simpler_extras(self, instance: Instance) -> Iterator[Instance]:
        for name, extra in self.case.domain.extras:
            value = instance.extras[name]
            present = _largest_denominator(value)
            for d in DENOMINATORS:
                if d >= present:
                    break
                rounded = _rounded(value, d) if extra.kind == "real" else _rounded_rows(value, d, extra.kind == "interior")
                if rounded is not None and not (rounded == value).all():
                    yield dataclasses.replace(instance, extras={**instance.extras, name: rounded})

    def _plain_extras(self, instance: Instance) -> Iterator[Instance]:
        """One number of an extra made 0, 1 or an end of its range; one row of a distribution made certain."""
        for name, extra in self.case.domain.extras:
            value = instance.extras[name]
            if extra.kind == "real":
                plain = [
                    x
                    for x in (Fraction(0), Fraction(1), fraction(extra.low), fraction(extra.high))
                    if fraction(extra.low) <= x <= fraction(extra.high)
                ]
                changes: list[tuple[Any, Any]] = [
                    (place, x) for place in np.ndindex(value.shape) if fraction(value[place]) not in plain for x in plain
                ]
            elif extra.kind == "distribution":
                rows = [row for row in np.ndindex(value.shape[:-1]) if not all(x in (0, 1) for x in value[row])]
                ones = [rational_array([int(j == k) for j in range(value.shape[-1])]) for k in range(value.shape[-1])]
                changes = [(row, one) for row in rows for one in ones]
            else:
                continue
            for place, new in changes:
                changed = value.copy()
                changed[place] = rational(new) if extra.kind == "real" else new
                yield dataclasses.replace(instance, extras={**instance.extras, name: changed})

    def _simpler_discount(self, instance: Instance) -> Iterator[Instance]:
        """The fractions of smallest denominator in ever smaller intervals around the discount."""
        now = fraction(instance.discount)
        tried = {now}
        for width in (Fraction(1, 2), Fraction(1, 4), Fraction(1, 10), Fraction(1, 30), Fraction(1, 100), Fraction(1, 1000)):
            gap = (1 - now) * width
            simple = simplest_between(max(Fraction(0), now - gap), now + gap / 2)
            if simple not in tried and 0 <= simple < 1 and simple.denominator < now.denominator:
                tried.add(simple)
                yield dataclasses.replace(instance, discount=rational(simple))

    def _simpler_settings(self, instance: Instance) -> Iterator[Instance]:
        for name, rule in self.case.settings.items():
            if isinstance(rule, tuple):
                now = fraction(instance.settings[name])
                for option in sorted(map(fraction, rule), key=_weight):
                    if _weight(option) < _weight(now):
                        yield dataclasses.replace(instance, settings={**instance.settings, name: rational(option)})
            if not isinstance(rule, Between):
                continue
            now = fraction(instance.settings[name])
            powers = [Fraction(10) ** k for k in range(-6, 7)]
            for simple in [
                Fraction(1),
                *sorted(powers, key=lambda p: abs(p - now)),
                *(simplest_between(now * (1 - w), now * (1 + w)) for w in _WIDTHS),
            ]:
                if _weight(simple) < _weight(now):
                    yield dataclasses.replace(instance, settings={**instance.settings, name: rational(simple)})


_WIDTHS = (Fraction(1, 2), Fraction(1, 5), Fraction(1, 20), Fraction(1, 200), Fraction(1, 10**5))


def _weight(number: Fraction) -> int:
    """How long a number is to write."""
    return len(str(abs(number.numerator)).rstrip("0")) + len(str(number.denominator).rstrip("0")) * 2 + (number != 1)


def exactly(instance: Instance) -> Instance:
    """The instance in rationals: floats become their simplest fractions, rows sum to exactly 1."""
    if instance.is_exact:
        return instance
    rows: dict[str, Any] = {
        f: None if getattr(instance, f) is None else exact_rows(getattr(instance, f)) for f in ("transitions", "mu", "rho", "policy", "other")
    }
    if np.array_equal(instance.mu, instance.rho):
        rows["rho"] = rows["mu"]
    settings = {key: simplest(float(value)) for key, value in instance.settings.items()}
    return dataclasses.replace(
        instance,
        **rows,
        rewards=simplest_array(instance.rewards),
        discount=simplest_array(np.float64(instance.discount))[()],
        settings=settings,
        extras={key: _exact_extra(value) for key, value in instance.extras.items()},
    )


def _exact_extra(values: Array) -> Array:
    """Simplest fractions; rows that are distributions to rounding sum to exactly 1."""
    values = np.asarray(values, dtype=np.float64)
    return np.asarray(exact_rows(values) if _are_rows(values) else simplest_array(values))


def rounded_instance(instance: Instance, d: int) -> Instance:
    """The instance in rationals of denominator `d` (rewards, probabilities, discount); settings as simple as they come."""
    rows: dict[str, Any] = {}
    for field in ("transitions", "mu", "rho", "policy", "other"):
        value = getattr(instance, field)
        positive = value is not None and bool((value > 0).all())
        rows[field] = None if value is None else _rounded_rows(value, max(d, 2 * value.shape[-1]), positive)
    if np.array_equal(instance.mu, instance.rho):
        rows["rho"] = rows["mu"]
    discount = rational(min(Fraction(round(_simple(instance.discount) * d), d), Fraction(d - 1, d)))
    simple = {key: _simple(value) for key, value in instance.settings.items()}
    settings = {key: rational(Fraction(float(value)).limit_denominator(d) if value > Fraction(1, d) else value) for key, value in simple.items()}
    extras: dict[str, Any] = {}
    for key, value in instance.extras.items():
        values = np.asarray(value)
        is_rows = _are_rows(values)
        whole = is_rows and bool(((values == 0) | (values == 1)).all())
        positive = is_rows and bool((values > 0).all())
        kept = rational_array(values) if whole else None
        width = max(d, 2 * values.shape[-1]) if is_rows else d
        extras[key] = kept if kept is not None else _rounded_rows(values, width, positive) if is_rows else _rounded(values, d)
    return dataclasses.replace(instance, **rows, rewards=_rounded(instance.rewards, d), discount=discount, settings=settings, extras=extras)


def _simple(value: Any) -> Fraction:
    """A number as a fraction: a float as the simplest one beside it."""
    return fraction(simplest(float(value)) if isinstance(value, float | np.floating) else value)


def _are_rows(values: Array) -> bool:
    """Whether the rows along the last axis are distributions, exactly or, in floats, to rounding."""
    if not values.ndim or not (values >= 0).all():
        return False
    sums = values.sum(axis=-1)
    return bool(np.all(sums == 1) if values.dtype == object else np.allclose(sums, 1, rtol=0, atol=1e-12))


def _fewer_states(instance: Instance) -> Iterator[tuple[Instance, list[int]]]:
    """Each state left out in turn, with those that are kept; what led to it leads back to where it came from, or to one other state."""
    states = instance.shape[0]
    if states == 1:
        return
    for gone in range(states):
        keep = [s for s in range(states) if s != gone]
        if instance.mu[keep].sum() == 0 or instance.rho[keep].sum() == 0:
            continue
        for target in (None, *range(states - 1)):
            moves = instance.transitions[keep][:, :, keep].copy()
            for k, s in enumerate(keep):
                into = k if target is None else target
                moves[k, :, into] = moves[k, :, into] + instance.transitions[s, :, gone]
            smaller = dataclasses.replace(
                instance,
                transitions=moves,
                rewards=instance.rewards[keep],
                mu=_normalised(instance.mu[keep]),
                rho=_normalised(instance.rho[keep]),
                policy=instance.policy[keep],
                other=None if instance.other is None else instance.other[keep],
                name="",
            )
            yield smaller, keep


def _fewer_actions(instance: Instance) -> Iterator[tuple[Instance, list[int]]]:
    actions = instance.shape[1]
    for gone in range(actions if actions > 1 else 0):
        keep = [a for a in range(actions) if a != gone]
        policies = [p for p in (instance.policy, instance.other) if p is not None]
        if any((p[:, keep].sum(axis=1) == 0).any() for p in policies):
            continue
        smaller = dataclasses.replace(
            instance,
            transitions=instance.transitions[:, keep],
            rewards=instance.rewards[:, keep],
            policy=_normalised(instance.policy[:, keep]),
            other=None if instance.other is None else _normalised(instance.other[:, keep]),
            name="",
        )
        yield smaller, keep


def _normalised(rows: Array) -> Array:
    return rows / rows.sum(axis=-1, keepdims=True)


def _largest_denominator(values: Array) -> int:
    return max(int(x.q) for x in values.reshape(-1))


def _rounded(values: Array, d: int) -> Array:
    return rational_array([rational(round(x)) / d for x in _times(values.reshape(-1), d)]).reshape(values.shape)


def _times(numbers: Array, d: int) -> list[Any]:
    """d times each number: fractions of exact ones, floats of floats, where one that rounding alone keeps from being whole or half is so."""
    if numbers.dtype == object:
        return [fraction(x) * d for x in numbers]
    return [round(x, 9) for x in (numbers * d).tolist()]


def _rounded_rows(rows: Array, d: int, interior: bool) -> Array | None:
    """Distributions with denominator d, by largest remainders; None where interior rows have more entries than d."""
    flat = rows.reshape(-1, rows.shape[-1])
    if interior and d < flat.shape[1]:
        return None
    out = []
    for row in flat:
        exact = _times(row, d)
        whole = [int(x) for x in exact]
        if interior:
            whole = [max(1, w) for w in whole]
        while sum(whole) < d:
            k = max(range(len(whole)), key=lambda j: exact[j] - whole[j])
            whole[k] += 1
        while sum(whole) > d:
            k = max((j for j in range(len(whole)) if whole[j] > int(interior)), key=lambda j: whole[j] - exact[j])
            whole[k] -= 1
        out.append([rational(w) / d for w in whole])
    return rational_array(out).reshape(rows.shape)


def _zeros_and_ones(instance: Instance) -> Iterator[Instance]:
    """One transition row made deterministic, or one reward made 0 or 1."""
    states, actions = instance.shape
    for s in range(states):
        for a in range(actions):
            row = instance.transitions[s, a]
            if not ((row == 0) | (row == 1)).all():
                for u in np.argsort([-float(fraction(x)) for x in row], kind="stable"):
                    moves = instance.transitions.copy()
                    moves[s, a] = rational_array([int(v == u) for v in range(states)])
                    yield dataclasses.replace(instance, transitions=moves)
            if instance.rewards[s, a] not in (0, 1):
                for value in (0, 1):
                    rewards = instance.rewards.copy()
                    rewards[s, a] = rational(value)
                    yield dataclasses.replace(instance, rewards=rewards)


def confirmable_times(times: list[int]) -> list[int]:
    """Times to confirm at: the clearest, then the earliest, then a few others."""
    chosen: list[Any] = []
    for t in [*times[:1], *sorted(times)[:1], *times[1:4]]:
        if t not in chosen:
            chosen.append(t)
    return chosen
