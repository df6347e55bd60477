"""One search for many mutants: they speak of the same runs, so that every run serves all of them.

At each size a population is decoded, run once, and judged by every mutant that is left.  A mutant is *hunted* as long as nothing explains it: it
differs from the original, and no true statement has implied it on every record so far.  Each hunted mutant keeps an elite of its own, the
instances that come closest to breaking it, and gets an equal share of the next generation; what its children show is shown to all the others.
Corners come first: a third of the first population has its coordinates far out, where rewards are 0 or 1, moves are certain, the discount is at
an end and policies are nearly deterministic; sizes grow from small to large, each beginning with copies of the worst smaller instances
(`search.lifted`).

Work is counted (instances times steps times states), never timed, so that the same seed gives the same verdicts anywhere.  A quarry whose end is
known already (`known_at`: an interrupted run goes on) takes part until then and is not confirmed again, so that all the others see the same
instances as in one go.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import sympy

from mdps.rational import rational
from proofs_check.claim import Case
from proofs_check.context import Context
from proofs_check.engine.budget import Budget
from proofs_check.engine.certify import confirm
from proofs_check.engine.examination import PLAIN_NAMED, Examination, replayable
from proofs_check.engine.implied import NONNEGATIVE
from proofs_check.engine.measure import Measurement, compare, free_names, needed, quantities_of, trajectory
from proofs_check.engine.search import ATTEMPTS, Found, _children, generator, lifted
from proofs_check.engine.shrink import confirmable_times
from proofs_check.expression import evaluate
from proofs_check.instance import Batch, Instance
from proofs_check.instances import dressed, model_of, named, settle

Array = np.ndarray
OVERHEAD = 100
"""Steps that evaluating the records of one instance costs, about."""
CORNER = 8.0
"""Scale of the coordinates of instances in the corners of a domain."""
TRIES = 150
"""Instances that one candidate's shrinking may measure."""
MOST_BITS = 1024
"""Precision up to which a candidate is confirmed."""
PLACES = 60
"""Places of each batch at which two statements are compared, to find those that say the same."""
ROUNDING = 1e-11
"""Relative difference within which two bounds count as equal: some thousand roundings."""
WATCH = 4
"""An explained mutant is looked at on every so many batches of the longer search."""
ORIGINAL, TRIVIAL = "the original", "the trivial bound"


@dataclasses.dataclass
class Quarry:
    """A changed statement, and what is known of it so far."""

    case: Case
    exam: Examination
    explained: dict[str, bool] = dataclasses.field(default_factory=dict)  # what has implied it on every record so far
    same: bool = False  # whether it has said what the original says, so far
    proved: bool = False
    known_at: int | None = None
    ended_at: int | None = None
    candidates: int = 0
    records: int = 0
    instances: int = 0
    prints: list[Array] = dataclasses.field(default_factory=list)
    found: Found = dataclasses.field(default_factory=Found)
    elite: Array | None = None
    merit: Array | None = None
    best: dict[tuple[int, int], Array] = dataclasses.field(default_factory=dict)

    @property
    def alive(self) -> bool:
        return self.ended_at is None

    @property
    def by(self) -> str:
        """What implies it, as far as seen; empty where nothing does."""
        return next((name for name, holds in self.explained.items() if holds), "")

    @property
    def hunted(self) -> bool:
        return self.alive and not self.same and not self.proved and not self.by


@dataclasses.dataclass
class Pursuit:
    """The joint search over statements about the same runs; `references` are the true statements that may explain some of them."""

    case: Case
    references: dict[str, Case]
    seed: int
    on_end: Callable[[Quarry], None]
    say: Callable[[str], None] = lambda text: None
    batches: int = 0
    work: float = 0.0

    def first(self, quarries: list[Quarry], budget: Budget) -> None:
        """Every named instance, then every size, one action and one state included."""
        self._begin(quarries, budget, np.inf)
        self._named(quarries, lambda instance: True)
        sizes = self.case.domain.sizes()
        for states, actions in sizes:
            if states * actions <= budget.largest or (states, actions) == sizes[0]:
                self._climb(states, actions, quarries, self.case.domain)

    def second(self, quarries: list[Quarry], budget: Budget, most_work: float, more_states: int) -> None:
        """Longer runs, more states, more rounds, for those that nothing has refuted or explained; stops when `most_work` is spent."""
        if not any(quarry.hunted for quarry in quarries):
            return
        self._begin(quarries, budget, self.work + most_work)
        for instance, times in made_for(self.case):
            horizon = max(budget.horizon(instance.shape[0]), *times)
            self._look(Batch.of([instance.as_float()]), [instance], None, quarries, horizon, times)
        self._named(quarries, lambda instance: instance.rewards.size <= budget.largest)
        domain = self.case.domain if self.case.domain.bandit else self.case.domain.replace(max_states=self.case.domain.max_states + more_states)
        sizes = [size for size in domain.sizes() if size[0] * size[1] <= budget.largest and size[1] > 1]
        for states, actions in sorted(sizes, key=lambda size: (max(size[0], size[1] - 0.5), size)) or domain.sizes()[:1]:
            if self.work > self.limit or not any(quarry.hunted for quarry in quarries):
                return
            self._climb(states, actions, quarries, domain)

    def _begin(self, quarries: list[Quarry], budget: Budget, limit: float) -> None:
        names = {name for case in (*(quarry.case for quarry in quarries), *self.references.values()) for name in needed(case)}
        self.probe, self.budget, self.limit, self.longer = measuring(self.case, names), budget, limit, limit < np.inf

    def _named(self, quarries: list[Quarry], wanted: Callable[[Instance], bool]) -> None:
        self.say("named instances")
        theirs = self.case.process is not None and not hasattr(self.case.process, "run_arrays")
        for exact in _by_shape(instance for instance in itertools.islice(named(self.case), PLAIN_NAMED if theirs else None) if wanted(instance)):
            batch = Batch.of([instance.as_float() for instance in exact])
            self._look(batch, exact, None, quarries, self.budget.horizon(batch.rewards.shape[1]))

    def _climb(self, states: int, actions: int, quarries: list[Quarry], domain: Any) -> None:
        """Rounds of variation at one size."""
        hunted = [quarry for quarry in quarries if quarry.hunted]
        self.say(f"{states} x {actions}, {len(hunted)} of {len(quarries)} left")
        rng = generator(self.seed, self.case.claim, self.case.name, "pursuit", self.longer, states, actions)
        count = self.budget.population
        size = domain.length(states, actions, len(free_names(self.case)))
        population = rng.standard_normal((count, size)) * rng.choice([0.3, 1.0, CORNER], (count, 1))
        smaller = [(q, small) for q in hunted for small in q.best if small[0] <= states and small[1] <= actions]
        for k, (quarry, small) in enumerate(smaller[-(count // 2) :]):
            population[-1 - k] = lifted(quarry.best[small], *small, states, actions, domain.extras)
        for quarry in quarries:
            quarry.elite = quarry.merit = None
        for _ in range(self.budget.generations + 1):
            self._look(domain.decode(population, states, actions, self.case.settings), None, population, quarries, self.budget.horizon(states))
            hunted = [quarry for quarry in quarries if quarry.hunted and quarry.elite is not None]
            if not hunted or self.work > self.limit:
                break
            population = np.concatenate([_varied(rng, q.elite, share) for q, share in zip(hunted, _shares(count, len(hunted)), strict=True)])
        for quarry in quarries:
            if quarry.hunted and quarry.elite is not None:
                quarry.best[states, actions] = quarry.elite[0]

    def _look(
        self, batch: Batch, exact: list[Instance] | None, vectors: Array | None, quarries: list[Quarry], horizon: int, times: tuple[int, ...] = ()
    ) -> None:
        """Runs a batch once and judges every quarry on it; at `times` in exact arithmetic, whatever float64 says."""
        self.batches += 1
        steps = horizon if self.case.process is not None and self.case.horizon is None else self.case.horizon or 0
        self.work += batch.size * (steps + OVERHEAD) * batch.rewards.shape[1]
        with np.errstate(all="ignore"):
            context = trajectory(self.probe, batch, horizon)
            values = quantities_of(self.probe, context)
        seen_of = {name: compare(case, context, values) for name, case in self.references.items()}
        print_of = self.fingerprint(seen_of[ORIGINAL]) if ORIGINAL in seen_of else None
        for quarry in quarries:
            if quarry.alive and quarry.known_at == self.batches:
                quarry.ended_at = self.batches
            if not quarry.alive or quarry.proved or (self.longer and not quarry.hunted and self.batches % WATCH):
                continue
            seen = compare(quarry.case, context, values)
            if print_of is not None:
                self._explain(quarry, batch, seen, seen_of, print_of, values)
            if quarry.hunted:
                quarry.found.note(batch, seen, horizon)
                if vectors is not None:
                    _keep_best(quarry, vectors, seen.scores(), max(4, len(vectors) // 8))
                self._confirm(quarry, batch, exact, context, seen, horizon)
            if exact is not None and times and quarry.hunted and quarry.known_at is None:
                self._judge(quarry, exact[0], list(times))

    def _explain(
        self, quarry: Quarry, batch: Batch, seen: Measurement, seen_of: dict[str, Measurement], print_of: Array, values: dict[str, Any]
    ) -> None:
        """Updates what says the same as this statement, or implies it, on every record so far."""
        mine = self.fingerprint(seen)
        if not self.longer:
            quarry.prints.append(mine)
        alike = quarry.case.statement.relation == self.case.statement.relation
        quarry.same = alike and (quarry.same or self.batches == 1) and _close(mine, print_of)
        if not alike:
            return
        silent = trivially(self.case, quarry.case, seen, values)
        quarry.records += int((~np.isnan(seen.excess)).sum())
        quarry.instances += batch.size
        for name in (TRIVIAL, *seen_of):
            if not quarry.explained.get(name, self.batches == 1):
                continue
            if name == TRIVIAL:
                quarry.explained[name] = quarry.case.statement.relation != "=" and bool(silent.all())
            else:
                quarry.explained[name] = bool((silent | _weaker(quarry.case.statement.relation, seen, seen_of[name])).all())

    def fingerprint(self, seen: Measurement) -> Array:
        """Both sides at some fixed places of the batch, NaN where nothing is said."""
        silent = np.isnan(seen.excess)
        places = np.random.default_rng(self.batches).integers(0, silent.size, PLACES)
        at = np.unravel_index(places, silent.shape)
        return np.concatenate([np.where(silent[at], np.nan, side[at]) for side in (seen.left, seen.right)])

    def _confirm(self, quarry: Quarry, batch: Batch, exact: list[Instance] | None, context: Context, seen: Measurement, horizon: int) -> None:
        """Tries the clearest violation of a batch in exact arithmetic."""
        failing = np.flatnonzero(seen.candidates())
        if not len(failing) or quarry.candidates >= ATTEMPTS or quarry.known_at is not None:
            return
        scores = seen.scores()
        k = int(failing[np.argmax(scores[failing])])
        quarry.candidates += 1
        exam = quarry.exam
        if exact is None:
            exam.candidate(batch[k], seen, k, horizon, tries=TRIES, most_bits=MOST_BITS)
        else:
            times = seen.violations(k)
            for t in dict.fromkeys([min(times), *confirmable_times(times)[:2]]):
                if self._judge(quarry, exact[k], [t]):
                    return
        if exam.counterexample is not None:
            quarry.ended_at = self.batches
            self.on_end(quarry)

    def _judge(self, quarry: Quarry, instance: Instance, times: list[int]) -> bool:
        """Whether the statement is certain to fail on an exact instance at one of `times`; that ends the hunt."""
        outcome = confirm(quarry.exam.case, instance, times, most_bits=MOST_BITS)
        if outcome.status == "violated":
            quarry.exam.counterexample = replayable(quarry.exam.case, instance, outcome)
            quarry.ended_at = self.batches
            self.on_end(quarry)
        return not quarry.alive


def made_for(case: Case) -> Iterator[tuple[Instance, tuple[int, ...]]]:
    """Instances that a person built against mutants of this form (`catalogue.against`), with the steps to judge them at; a model comes with every
    start policy that the domain allows."""
    from proofs_check.catalogue.against import AGAINST

    for entry in AGAINST.get(form_of(case), ()):
        seen: set[str] = set()
        for instance in dressed(case, model_of(entry.model)) if isinstance(entry.model, str) else [entry.model()]:
            chosen = settle(case, dataclasses.replace(instance, settings={name: rational(value) for name, value in entry.settings.items()}))
            if chosen is not None and (not isinstance(entry.model, str) or str(chosen.to_json()) not in seen):
                seen.add(str(chosen.to_json()) if isinstance(entry.model, str) else "")
                yield chosen, entry.times


def form_of(case: Case) -> str:
    """ "claim:form" of the form that a mutant, named "form, change", was made of."""
    from proofs_check.catalogue import claims

    forms = [form.name for form in claims()[case.claim].forms] if case.claim in claims() else []
    return f"{case.claim}:{max((f for f in forms if case.name == f or case.name.startswith(f'{f}, ')), key=len, default=case.name)}"


def measuring(case: Case, names: set[str]) -> Case:
    """The case with the quantities `names` measured on its runs as well (through conditions that are not judged)."""
    return dataclasses.replace(case, where=(*case.where, *((sympy.Symbol(name), sympy.Symbol(name)) for name in sorted(names))))


def trivially(original: Case, case: Case, seen: Measurement, values: dict[str, Any]) -> Array:
    """Records at which a statement says nothing, or nothing that does not hold anyway."""
    silent = np.isnan(seen.excess)
    with np.errstate(all="ignore"):
        if str(case.statement.left) in NONNEGATIVE and case.statement.relation == ">=":
            silent = silent | (seen.right <= 0)
        if case.trivial is not None and case.statement.left == original.statement.left:
            limit = np.asarray(evaluate(case.trivial, values, lambda p, q: p / q))
            silent = silent | (seen.right >= limit if case.statement.relation == "<=" else seen.right <= limit)
    return silent


def _weaker(relation: str, mutant: Measurement, reference: Measurement) -> Array:
    """Records at which `reference` speaks and implies the mutant: measured no larger, bound no smaller (the other way round for >=)."""
    sign = 1 if relation == "<=" else -1
    if mutant.left.shape[2] != reference.left.shape[2]:  # states against state-action pairs: nothing follows entry by entry
        return np.zeros(mutant.left.shape, dtype=bool)
    with np.errstate(all="ignore"):
        noise = reference.tolerance[:, None, None]
        slack = noise + ROUNDING * (np.abs(mutant.right) + np.abs(reference.right))
        loose = noise + ROUNDING * (np.abs(mutant.left) + np.abs(reference.left))
        bound = sign * (mutant.right - reference.right) >= -slack
        measured = sign * (reference.left - mutant.left) >= -loose
        if relation == "=":
            bound, measured = np.abs(mutant.right - reference.right) <= slack, np.abs(mutant.left - reference.left) <= loose
    return bound & measured & ~np.isnan(reference.excess)


def _close(one: Array, other: Array) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=1e-9, atol=0, equal_nan=True))


def _by_shape(instances: Iterable[Instance]) -> Iterator[list[Instance]]:
    groups: dict[tuple[int, int], list[Instance]] = {}
    for instance in instances:
        groups.setdefault(instance.shape, []).append(instance)
    return (groups[shape] for shape in sorted(groups, key=lambda s: (s[0] * s[1], s)))


def _keep_best(quarry: Quarry, vectors: Array, merit: Array, count: int) -> None:
    if quarry.elite is not None and quarry.merit is not None:
        vectors, merit = np.concatenate([quarry.elite, vectors]), np.concatenate([quarry.merit, merit])
    order = np.argsort(-merit, kind="stable")[:count]
    quarry.elite, quarry.merit = vectors[order], merit[order]


def _shares(count: int, parts: int) -> list[int]:
    """`count` split as evenly as can be, at least two each."""
    return [max(2, count // parts + (k < count % parts)) for k in range(parts)]


def _varied(rng: np.random.Generator, elite: Array | None, count: int) -> Array:
    """Children of an elite: moved copies, crossings, newcomers, and single coordinates pushed to where the domain ends."""
    assert elite is not None
    children = _children(rng, elite, count)
    pushed = (rng.random(children.shape) < 1.5 / children.shape[1]) & (rng.random((count, 1)) < 0.3)
    return np.where(pushed, CORNER * np.sign(children), children)


__all__ = ["ORIGINAL", "TRIVIAL", "Pursuit", "Quarry", "form_of", "measuring"]
