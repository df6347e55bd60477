"""Mutation: does the search refute what a slip of the pen would have made of a theorem?

Every mutant of a statement (`engine.mutants`) gets one of these:

    same       says what the original, or an earlier mutant, says on every record, or drops an assumption about something that the statement does
               not read (`engine.unread`): left out
    refuted    fails somewhere, confirmed in rationals or balls
    implied    a weaker truth: on every record its bound is weaker than that of the original, or of another form of the catalogue about the
               same runs, or than the trivial bound; `proved` says that this follows from signs alone (`engine.implied`), for all instances
    survived   none of these, after two searches: a sharper truth than the theorem, with its reason in `catalogue.reasons`; or refuted by hand, or
               open, listed there as such; or a hole in the search, which makes `pgtheory mutate` end with status 1

Mutants about the same runs are searched for together (`engine.pursuit`): the runs of a method do not depend on what is said about them.
Those that change the run or the domain (step size doubled, an assumption dropped) are searched for alone.  Each such group is one task for a
process.  Every verdict is written to the store as it is found; a killed run goes on with what is missing, and its verdicts are those of a run
in one go.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pgtheory.sources import compiler, digest_of
from proofs_check import verdict as v
from proofs_check.claim import Case, Claim
from proofs_check.engine import budget as budgets
from proofs_check.engine.budget import Budget
from proofs_check.engine.examination import Examination
from proofs_check.engine.implied import follows, trivially
from proofs_check.engine.mutants import Mutant, mutants
from proofs_check.engine.pursuit import ORIGINAL, TRIVIAL, Pursuit, Quarry
from proofs_check.engine.search import Found
from proofs_check.engine.targets import resolve
from proofs_check.engine.unread import unread
from proofs_check.quantities import parse
from proofs_check.statement import parse_statement

SOURCES = ("proofs_check.engine.mutants", "proofs_check.engine.pursuit", "proofs_check.engine.implied", "proofs_check.engine.unread")
REFUTED, IMPLIED, SURVIVED, SAME = "refuted", "implied", "survived", "same"
HARDER = {
    "quick": Budget("quick, second search", 64, 12, (4000, 1500, 700), 12, 0, 0),
    "standard": Budget("standard, second search", 128, 40, (30_000, 4000, 1000, 500), 12, 0, 0),
    "deep": Budget("deep, second search", 256, 150, (100_000, 10_000, 3000, 1000), 16, 0, 0),
}
"""The second search for survivors: more rounds, longer runs, and MORE states than the first."""
WORK = {"quick": 6e6, "standard": 4e8, "deep": 1e10}
"""Instances times steps times states that the second search of one group may cost; one that is alone may cost a FIFTH."""
FIFTH = 5
MORE = 2
"""States by which the domain of the second search is wider: a factor S is only seen on enough of them."""


@dataclasses.dataclass(frozen=True)
class MutantVerdict:
    """What became of one mutant."""

    name: str
    statement: str
    status: str  # REFUTED, IMPLIED, SURVIVED or SAME
    evidence: str
    by: str = ""  # what implies it: "the original", a form "id:name", or "the trivial bound"
    proved: bool = False
    reason: str = ""  # why a survivor is true, where that is known
    verdict: dict[str, Any] | None = None
    instances: int = 0
    closest: float | None = None
    found_at: int | None = None  # batch of the joint search at which it was refuted
    seconds: float = 0.0

    @property
    def category(self) -> str:
        """ "refuted", "by hand" (false, with its reason), "implied", "sharper" (true, with its reason), "open" (listed as such) or "unexplained"."""
        if self.status == IMPLIED and self.reason:
            return "sharper"
        if self.status != SURVIVED:
            return self.status
        told = {"open: ": "open", "false: ": "by hand"}
        return next((words for start, words in told.items() if self.reason.startswith(start)), "sharper" if self.reason else "unexplained")


@dataclasses.dataclass(frozen=True)
class Mutation:
    """All mutants of one form."""

    claim: str
    form: str
    statement: str
    mutants: list[MutantVerdict]
    same: int = 0  # mutants equal to the original or to another one on the whole domain
    budget: str = ""
    seed: int = 0
    seconds: float = 0.0
    missing: int = 0  # mutants that were not judged yet (of a run that was ended in the middle)
    stale: int = 0  # verdicts that the store holds about another content or other sources

    def count(self, status: str) -> int:
        """How many are of that category; `SURVIVED` counts all that nothing refuted or implied."""
        return sum(status == (mutant.status if status == SURVIVED else mutant.category) for mutant in self.mutants)

    @property
    def unexplained(self) -> list[MutantVerdict]:
        """Survivors without a reason: holes in the search, or sharper truths that nobody has derived."""
        return [mutant for mutant in self.mutants if mutant.category == "unexplained"]


@dataclasses.dataclass(frozen=True)
class Job:
    """One group of mutants of one form, judged together."""

    case: Case
    mutants: tuple[Mutant, ...]
    together: bool
    budget: Budget
    seed: int
    harder: bool

    @functools.cached_property
    def digest(self) -> str:
        """The form's content with the sources that make and judge mutants."""
        from proofs_check.catalogue.against import AGAINST
        from proofs_check.catalogue.sharper import STRONGER

        form = f"{self.case.claim}:{self.case.name}"
        built = digest_of(("proofs_check.catalogue.against",)) if form in AGAINST else ""
        sharper = [(text, conditions) for text, _, conditions in STRONGER.get(form, ())]
        known = hashlib.sha256(repr(sharper).encode()).hexdigest()[:16] if sharper else ""
        return f"{self.case.digest()} {digest_of(SOURCES, compiler(), without=('proofs_check.catalogue', 'proofs_check.quantities'))} {built} {known}"

    def key(self, mutant: Mutant) -> str:
        """Under which a verdict is kept: the form's content with the sources (which make the mutant of its name), the budget and the seed."""
        content = f"mutant {self.digest} {mutant.name} {self.budget} {self.seed} {self.harder}"
        return hashlib.sha256(content.encode()).hexdigest()[:32]


def mutate(
    targets: Iterable[Any] | Any | None = None, *, budget: str | Budget = "quick", seed: int = 0, jobs: int | None = 1,
    store: Any = None, fresh: bool = False, progress: Any = None, harder: bool = True,
) -> list[Mutation]:  # fmt: skip
    """Judges every mutant of every form of the claims.

    targets   claim ids, "id:form", families, paths of claim files or `Claim` objects; the whole catalogue if left out
    jobs      processes; the verdicts do not depend on their number
    harder    whether survivors are searched a second time with longer runs
    store     a `proofs_check.store.Store`: a mutant whose content is unchanged is not judged again, unless `fresh`
    raises    ModelError: unknown claim, form or budget
    """
    from proofs_check.engine.workers import run_groups

    limits = budget if isinstance(budget, Budget) else budgets.budget(budget)
    cases = [case for claim, form in resolve(targets) for case in _cases(claim, form)]
    grouped = [groups(case, limits, seed, harder) for case in cases]
    if progress is not None:
        progress.start(sum(len(job.mutants) for group in grouped for job in group))
    found: dict[str, MutantVerdict] = {}
    for job in (job for group in grouped for job in group) if store is not None and not fresh else ():
        for mutant in job.mutants:
            data = store.get(job.key(mutant))
            if data is not None:
                found[job.key(mutant)] = verdict_of(data)

    def tell(job: Job, mutant: Mutant, judged: MutantVerdict) -> None:
        found[job.key(mutant)] = judged
        if progress is not None:
            progress.done(_form_verdict(mutant.case, judged))

    waiting = []
    for job in (job for group in grouped for job in group):
        known = {mutant.name: found[job.key(mutant)] for mutant in job.mutants if job.key(mutant) in found}
        for mutant in job.mutants:
            if mutant.name in known:
                tell(job, mutant, known[mutant.name])
        if len(known) < len(job.mutants):
            waiting.append((job, known))
    run_groups(waiting, jobs, store, tell, progress)
    return [_mutation(case, group, found, limits.name, seed) for case, group in zip(cases, grouped, strict=True)]


def groups(case: Case, budget: Budget, seed: int, harder: bool) -> list[Job]:
    """The mutants about the same runs as one group, every other one alone."""
    made = mutants(case)
    alike, others = tuple(m for m in made if m.same_run), [m for m in made if not m.same_run]
    out = [Job(case, alike, True, budget, seed, harder)] if alike else []
    out += [Job(case, (mutant,), False, budget, seed, harder) for mutant in others]
    for job in out[1:]:
        job.__dict__["digest"] = out[0].digest  # the same form: hashed once
    return out


def stored(store: Any, targets: Iterable[Any] | Any | None = None) -> list[Mutation]:
    """What the store holds of the claims' mutants, the newest verdict on each, whatever its budget; forms of which nothing was judged are left out.

    Verdicts about other contents or sources than today's are counted as `stale`."""
    out = []
    for case in (case for claim, form in resolve(targets) for case in _cases(claim, form)):
        entries = {entry["payload"]["name"]: entry["payload"] for entry in store.history(shelf(case.claim)) if entry["form"] == case.name}
        if not entries:
            continue
        newest = list(entries.values())[-1]
        group = groups(case, budgets.budget("quick"), 0, True)
        found = {job.key(m): verdict_of(entries[m.name]) for job in group for m in job.mutants if m.name in entries}
        stale = sum(entries[m.name].get("content") != job.digest for job in group for m in job.mutants if m.name in entries)
        made = _mutation(case, group, found, newest.get("budget", ""), newest.get("seed", 0))
        out.append(dataclasses.replace(made, stale=stale))
    return out


def payload(job: Job, judged: MutantVerdict) -> dict[str, Any]:
    """What the store keeps of a verdict."""
    return dataclasses.asdict(judged) | {"content": job.digest, "budget": job.budget.name, "seed": job.seed}


def shelf(claim: str) -> str:
    """The name under which the store keeps the mutants of a claim: apart from the evidence about the claim itself."""
    return f"mutants of {claim}"


def judge(job: Job, known: dict[str, MutantVerdict], keep: Callable[[Mutant, MutantVerdict], None], say: Any = None) -> None:
    """Judges the mutants of a group that are not known yet; each verdict is handed to `keep` as soon as it is certain."""
    clock = time.perf_counter()
    report = _Stage(say, job.case)
    subject = job.case if job.together else job.mutants[0].case
    references = {ORIGINAL: job.case} | dict(_siblings(job.case)) | _stronger(job.case) if job.together else {}
    of = {id(mutant.case): mutant for mutant in job.mutants}

    def ended(quarry: Quarry) -> None:
        found = quarry.exam.refuted(Found())
        kept = v.as_dict(dataclasses.replace(found, worst=None, curve=None))
        mutant = of[id(quarry.case)]
        spent = round(time.perf_counter() - clock, 3)
        keep(mutant, MutantVerdict(mutant.name, _text(job, mutant), REFUTED, found.evidence, verdict=kept, found_at=quarry.ended_at, seconds=spent))

    quarries = []
    for mutant in job.mutants:
        last = known[mutant.name].found_at if mutant.name in known else None
        quarries.append(Quarry(mutant.case, Examination(mutant.case, job.budget, job.seed, report), known_at=last))
    for quarry in quarries:
        quarry.same = not job.together and unread(job.case, quarry.case)
        if quarry.same:
            keep(of[id(quarry.case)], _outcome(job, of[id(quarry.case)], quarry, time.perf_counter() - clock))
            return
    pursuit = Pursuit(subject, references, job.seed, ended, report.say)
    theirs = quarries[0].exam.theirs
    pursuit.first(quarries, quarries[0].exam.budget if job.together else _alone(quarries[0].exam.budget))
    _leave_out_repetitions(quarries)
    for quarry in quarries:
        if job.together and quarry.alive and not quarry.same:
            report.say("signs")
            _see_by_signs(quarry, references)
    if job.harder and not theirs:
        limits, work = HARDER.get(job.budget.name, HARDER["quick"]), WORK.get(job.budget.name, WORK["quick"])
        pursuit.second(quarries, limits if job.together else _alone(limits), work if job.together else work / FIFTH, MORE)
    for quarry in quarries:
        mutant = of[id(quarry.case)]
        if quarry.alive and mutant.name not in known:
            keep(mutant, _outcome(job, mutant, quarry, time.perf_counter() - clock))


def _see_by_signs(quarry: Quarry, references: dict[str, Case]) -> None:
    """Marks a statement that follows from another one whatever the instance; what rounding hid from the records may be seen here."""
    suspects = [quarry.by] if quarry.by else [TRIVIAL, *references]
    for name in suspects:
        if trivially(quarry.case) if name == TRIVIAL else follows(references[name], quarry.case):
            quarry.explained, quarry.proved = {name: True}, True
            return


def _alone(budget: Budget) -> Budget:
    """For a mutant whose runs serve it alone: half the instances, half the steps."""
    return dataclasses.replace(budget, population=max(8, budget.population // 2), horizons=tuple(max(1, h // 2) for h in budget.horizons))


def _leave_out_repetitions(quarries: list[Quarry]) -> None:
    """Marks each statement that says what an earlier one says."""
    import numpy as np

    seen: list[tuple[str, Any]] = []
    for quarry in quarries:
        if not quarry.alive or quarry.same or not quarry.prints:
            continue
        mine = np.concatenate(quarry.prints)
        relation = quarry.case.statement.relation
        same = (np.allclose(mine, other, rtol=1e-9, atol=0, equal_nan=True) for sign, other in seen if sign == relation and other.shape == mine.shape)
        quarry.same = any(same)
        if not quarry.same:
            seen.append((relation, mine))
        quarry.prints.clear()


def _outcome(job: Job, mutant: Mutant, quarry: Quarry, seconds: float) -> MutantVerdict:
    """The words for a mutant that nothing refuted."""
    text, spent = _text(job, mutant), round(seconds, 3)
    if quarry.same:
        return MutantVerdict(mutant.name, text, SAME, "says what another one says", seconds=spent)
    if quarry.by:
        where = f"{quarry.records:,} records of {quarry.instances:,} instances"
        how = "by signs alone, for all instances" if quarry.proved else f"on {where}"
        evidence = f"it says nothing new, {how}" if quarry.by == TRIVIAL else f"weaker {how}"
        return MutantVerdict(mutant.name, text, IMPLIED, evidence, by=quarry.by, proved=quarry.proved, instances=quarry.instances, seconds=spent)
    found = quarry.found
    parts = [f"not refuted by {found.instances:,} instances, t up to {found.horizon:,}"]
    if quarry.exam.unconfirmed or quarry.candidates:
        parts.append(f"{quarry.candidates} candidates failed in float64 and could not be confirmed")
    if found.instances == 0:
        parts = ["it says nothing about any instance"]
    elif found.ratio is not None:
        parts.append(f"closest: {found.ratio:.4g} of the bound")
    return MutantVerdict(
        mutant.name, text, SURVIVED, "; ".join(parts), instances=found.instances, closest=found.ratio, seconds=spent
    )  # fmt: skip


def _mutation(case: Case, group: list[Job], found: dict[str, MutantVerdict], budget: str, seed: int) -> Mutation:
    """The verdicts of one form, in the order of its mutants; reasons are looked up anew, so that writing one down asks for no new search."""
    from proofs_check.catalogue.sharper import reason, stronger

    sharper = stronger(case.claim, case.name)
    order = [mutant.name for job in group for mutant in job.mutants]
    have = {mutant.name: found[job.key(mutant)] for job in group for mutant in job.mutants if job.key(mutant) in found}
    listed = []
    for name in order:
        if name not in have or have[name].status == SAME:
            continue
        judged = have[name]
        why = reason(case.claim, case.name, name) if judged.status == SURVIVED else sharper.get(judged.by, "")
        listed.append(dataclasses.replace(judged, reason=why))
    same = sum(judged.status == SAME for judged in have.values())
    spent = round(sum(max((have[m.name].seconds for m in job.mutants if m.name in have), default=0.0) for job in group), 3)
    return Mutation(case.claim, case.name, case.statement.text(), listed, same, budget, seed, spent, len(order) - len(have))


def verdict_of(data: dict[str, Any]) -> MutantVerdict:
    """The verdict that `dataclasses.asdict` wrote."""
    names = {field.name for field in dataclasses.fields(MutantVerdict)}
    return MutantVerdict(**{key: value for key, value in data.items() if key in names})


def mutation_of(data: dict[str, Any]) -> Mutation:
    """The result that `as_dict` or `dataclasses.asdict` wrote."""
    names = {field.name for field in dataclasses.fields(Mutation)}
    return Mutation(**{key: value for key, value in data.items() if key in names} | {"mutants": [verdict_of(m) for m in data["mutants"]]})


def as_dict(done: Mutation) -> dict[str, Any]:
    """Plain data, with each mutant's category."""
    data = dataclasses.asdict(done)
    for entry, mutant in zip(data["mutants"], done.mutants, strict=True):
        entry["category"] = mutant.category
    return data


class _Stage:
    """What examinations and searches report to."""

    def __init__(self, progress: Any, case: Case) -> None:
        self.progress, self.case = progress, case

    def say(self, text: str) -> None:
        self.stage(self.case.claim, self.case.name, text)

    def stage(self, claim: str, form: str, text: str) -> None:
        if self.progress is not None:
            self.progress.stage(claim, form, text)


def _cases(claim: Claim, form: str | None) -> list[Case]:
    return [claim.case(f) for f in ((claim.form(form),) if form else claim.forms)]


def _text(job: Job, mutant: Mutant) -> str:
    where = ", ".join(f"{a} < {b}" for a, b in mutant.case.where) if mutant.case.where != job.case.where else ""
    return mutant.case.statement.text() + (f" where {where}" if where else "")


def _siblings(case: Case) -> Iterator[tuple[str, Case]]:
    """Other forms about the same runs that measure the same and are true, no conjectures: a mutant may be implied by one of them."""
    from proofs_check.catalogue import claims

    for claim in claims().values():
        if claim.kind == "conjecture":  # surviving is not true
            continue
        for form in claim.forms:
            other = claim.case(form)
            if (claim.id, form.name) == (case.claim, case.name) or other.statement.relation != case.statement.relation:
                continue
            runs_alike = (other.process, other.settings) == (case.process, case.settings) and other.statement.over == case.statement.over
            if other.statement.left == case.statement.left and runs_alike and _covers(other, case):
                yield f"{claim.id}:{form.name}", other


def _stronger(case: Case) -> dict[str, Case]:
    """Sharper true statements about the same runs, which are no claims of the catalogue."""
    from proofs_check.catalogue.sharper import OTHERS, STRONGER

    out = {}
    for words, _, conditions in STRONGER.get(f"{case.claim}:{case.name}", ()):
        where = case.where if conditions is None else tuple((parse(a), parse(b)) for a, b in conditions)
        out[f"{OTHERS}{words}"] = dataclasses.replace(case, statement=parse_statement(words), where=where)
    return out


def _covers(other: Case, case: Case) -> bool:
    """Whether every instance of `case` is one of `other`."""
    wide, narrow = other.domain, case.domain
    return (
        wide.rewards in (None, narrow.rewards)
        and wide.mu in ("any", narrow.mu)
        and wide.rho in ("any", narrow.rho)
        and (wide.bandit is False or narrow.bandit)
        and (wide.policy in ("any", narrow.policy) or (wide.policy, narrow.policy) == ("interior", "uniform"))
        and (wide.other is None or narrow.other is not None)
        and wide.max_discount >= narrow.max_discount
    )


def _form_verdict(case: Case, judged: MutantVerdict) -> v.FormVerdict:
    """What the progress display is told."""
    return v.FormVerdict(case.claim, judged.name, "control", judged.statement, judged.status, evidence=judged.evidence, seconds=judged.seconds)


__all__ = ["Job", "MutantVerdict", "Mutation", "as_dict", "judge", "mutate", "mutation_of", "payload", "stored"]
