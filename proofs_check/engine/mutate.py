"""Mutation: does the search refute what a slip of the pen would have made of a theorem?

The mutants of a statement (`engine.mutants`) are judged in this order, and the first answer counts:

    same       equal to the original, or to an earlier mutant, on every record of the pool: left out
    refuted    it fails on the pool or in a search of its own, confirmed in rationals or balls
    implied    a weaker truth: on every record of the pool its bound is weaker than that of the original, or of another form of the catalogue
               about the same runs, or than the trivial bound; `proved` says that the ratio of the two bounds is >= 1 by its factors alone
    survived   none of these, after the search and a second, harder one: a hole in the search, or a sharper truth than the theorem.
               `catalogue.sharper` holds the reasons of those that are known to be true

The *pool* is every batch that the original's own search visits, named instances included, with the runs recorded and the quantities measured
once; judging a mutant on it costs milliseconds.  Mutants that change the run or the domain are searched on their own from the start.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import sympy

from proofs_check import verdict as v
from proofs_check.claim import Case, Claim
from proofs_check.context import Context
from proofs_check.engine import budget as budgets
from proofs_check.engine.budget import Budget
from proofs_check.engine.certify import confirm
from proofs_check.engine.examination import Examination, replayable
from proofs_check.engine.measure import Measurement, compare, needed, quantities_of, trajectory
from proofs_check.engine.mutants import Mutant, mutants
from proofs_check.engine.search import Found, _climb
from proofs_check.engine.shrink import confirmable_times
from proofs_check.engine.targets import resolve
from proofs_check.expression import evaluate
from proofs_check.instance import Batch, Instance
from proofs_check.instances import named

Array = np.ndarray
REFUTED, IMPLIED, SURVIVED = "refuted", "implied", "survived"
HARDER = {
    "quick": Budget("quick, second search", 96, 30, (3000, 1500, 1000), 12, 0, 0),
    "standard": Budget("standard, second search", 128, 60, (50_000, 4000, 1000, 500), 12, 0, 0),
    "deep": Budget("deep, second search", 256, 200, (100_000, 10_000, 3000, 1000), 16, 0, 0),
}
"""The second search for a survivor: more rounds, longer runs, and MORE states than the first."""
MORE = 2
"""States by which the domain of the second search is wider: a factor S is only seen on enough of them."""
ROUNDING = 1e-11
"""Relative difference within which two bounds count as equal: some thousand roundings."""
TRIALS = 4
"""Candidates of the pool that are tried in exact arithmetic."""
AT_LEAST_ONE = {"S", "A", "mismatch", "mismatch_rho_policy", "largest_mismatch", "rho_over_mu", "inverse_mu", "t"}
AT_MOST_ONE = {"gamma", "c_inf", "min_optimal_probability"}
"""Where a quantity lies, for the proof that one bound is weaker than another (t >= 1 wherever a bound divides by it)."""
NONNEGATIVE = {"gap_rho", "gap_mu", "gap_sup", "gradient_norm", "hessian_norm", "soft_q_gap", "log_policy_gap"}


@dataclasses.dataclass(frozen=True)
class MutantVerdict:
    """What became of one mutant."""

    name: str
    statement: str
    status: str  # REFUTED, IMPLIED or SURVIVED
    evidence: str
    by: str = ""  # what implies it: "the original", a form "id:name", or "the trivial bound"
    proved: bool = False
    reason: str = ""  # why a survivor is true, where that is known
    verdict: dict[str, Any] | None = None
    seconds: float = 0.0


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

    def count(self, status: str) -> int:
        return sum(mutant.status == status for mutant in self.mutants)

    @property
    def unexplained(self) -> list[MutantVerdict]:
        """Survivors without a reason: holes in the search, or sharper truths that nobody has derived."""
        return [mutant for mutant in self.mutants if mutant.status == SURVIVED and not mutant.reason]


def mutate(
    targets: Iterable[Any] | Any | None = None, *, budget: str | Budget = "quick", seed: int = 0,
    store: Any = None, fresh: bool = False, progress: Any = None, harder: bool = True,
) -> list[Mutation]:  # fmt: skip
    """Judges every mutant of every form of the claims.

    targets   claim ids, "id:form", families, paths of claim files or `Claim` objects; the whole catalogue if left out
    harder    whether survivors are searched a second time with longer runs
    store     a `proofs_check.store.Store`: a form whose content is unchanged is not done again, unless `fresh`
    raises    ModelError: unknown claim, form or budget
    """
    limits = budget if isinstance(budget, Budget) else budgets.budget(budget)
    cases = [case for claim, form in resolve(targets) for case in _cases(claim, form)]
    lists = [mutants(case) for case in cases]
    if progress is not None:
        progress.start(sum(map(len, lists)))
    out = []
    for case, candidates in zip(cases, lists, strict=True):
        key = hashlib.sha256(f"mutate {case.digest()} {limits} {seed} {harder}".encode()).hexdigest()[:32]
        known = None if store is None or fresh else store.get(key)
        if known is not None:
            out.append(mutation_of(known))
            _report(progress, case, out[-1])
            continue
        out.append(_Judge(case, candidates, limits, seed, harder, progress).run())
        if store is not None:
            store.put(key, case.claim, f"{case.name} (mutants)", dataclasses.asdict(out[-1]))
    return out


def mutation_of(data: dict[str, Any]) -> Mutation:
    """The result that `dataclasses.asdict` wrote."""
    return Mutation(**data | {"mutants": [MutantVerdict(**m) for m in data["mutants"]]})


def _cases(claim: Claim, form: str | None) -> list[Case]:
    return [claim.case(f) for f in ((claim.form(form),) if form else claim.forms)]


def _report(progress: Any, case: Case, done: Mutation) -> None:
    if progress is not None:
        for mutant in done.mutants:
            progress.done(_form_verdict(case, mutant))


# The pool


@dataclasses.dataclass(frozen=True)
class Entry:
    """One batch of the pool with its runs."""

    batch: Batch
    exact: list[Instance] | None  # the named instances themselves
    horizon: int
    context: Context
    values: dict[str, Any]


@dataclasses.dataclass
class _Recorder(Found):
    """A search's account that keeps the batches."""

    batches: list[tuple[Batch, int]] = dataclasses.field(default_factory=list)

    def note(self, batch: Batch, seen: Measurement, horizon: int) -> None:
        super().note(batch, seen, horizon)
        self.batches.append((batch, horizon))


def pool(case: Case, names: set[str], budget: Budget, seed: int) -> tuple[list[Entry], Found]:
    """Every batch that the search of `case` visits, with the quantities `names` measured on it, and the search's account."""
    probe = dataclasses.replace(case, where=(*case.where, *((sympy.Symbol(name), sympy.Symbol(name)) for name in sorted(names))))
    groups: dict[tuple[int, int], list[Instance]] = {}
    for instance in named(case):
        groups.setdefault(instance.shape, []).append(instance)
    batches: list[tuple[Batch, list[Instance] | None, int]] = [
        (Batch.of([i.as_float() for i in groups[shape]]), groups[shape], budget.horizon(shape[0]))
        for shape in sorted(groups, key=lambda s: s[0] * s[1])
    ]
    found = _Recorder()
    for states, actions in case.domain.sizes():
        if states * actions <= budget.largest or (states, actions) == case.domain.sizes()[0]:
            _climb(case, states, actions, budget, seed, found, lambda *_: None)
    batches += [(batch, None, horizon) for batch, horizon in found.batches]
    entries = []
    for batch, exact, horizon in batches:
        with np.errstate(all="ignore"):
            context = trajectory(probe, batch, horizon)
            entries.append(Entry(batch, exact, horizon, context, quantities_of(probe, context)))
    return entries, found


# Judging


class _Judge:
    """The mutants of one form, one after the other."""

    def __init__(self, case: Case, candidates: list[Mutant], budget: Budget, seed: int, harder: bool, progress: Any) -> None:
        self.case, self.mutants, self.budget, self.seed, self.harder, self.progress = case, candidates, budget, seed, harder, progress
        self.clock = time.perf_counter()
        self.same = 0
        self.fingerprints: list[Array] = []

    def run(self) -> Mutation:
        from proofs_check.catalogue.sharper import reason

        self.say(self.case, "the runs of the original")
        siblings = list(_siblings(self.case))
        related = [m.case for m in self.mutants if m.same_run] + [case for _, case in siblings]
        names = {name for case in related for name in needed(case)}
        self.entries, _ = pool(self.case, names, self.budget, self.seed)
        self.original = [compare(self.case, entry.context, entry.values) for entry in self.entries]
        self.siblings = [(name, [compare(case, e.context, e.values) for e in self.entries]) for name, case in siblings]
        self.fingerprints = [self.fingerprint(self.original)]
        out = []
        for mutant in self.mutants:
            judged = self.judge(mutant)
            if judged is None:
                self.same += 1
            elif judged.status == SURVIVED:
                judged = dataclasses.replace(judged, reason=reason(self.case.claim, self.case.name, mutant.name))
            if judged is not None:
                out.append(judged)
            if self.progress is not None:
                self.progress.done(_form_verdict(mutant.case, judged))
        spent = round(time.perf_counter() - self.clock, 3)
        return Mutation(self.case.claim, self.case.name, self.case.statement.text(), out, self.same, self.budget.name, self.seed, spent)

    def say(self, case: Case, text: str) -> None:
        if self.progress is not None:
            self.progress.stage(case.claim, case.name, text)

    def judge(self, mutant: Mutant) -> MutantVerdict | None:
        """The verdict; None where the mutant says what the original or an earlier one says."""
        clock = time.perf_counter()

        def verdict(status: str, evidence: str, **fields: Any) -> MutantVerdict:
            return MutantVerdict(mutant.name, self.text(mutant), status, evidence, seconds=round(time.perf_counter() - clock, 3), **fields)

        exam = Examination(mutant.case, self.budget, self.seed, self.progress)
        if mutant.same_run:
            seen = [compare(mutant.case, entry.context, entry.values) for entry in self.entries]
            print_of = self.fingerprint(seen)
            if mutant.case.statement.relation == self.case.statement.relation and any(_same(print_of, other) for other in self.fingerprints):
                return None
            self.fingerprints.append(print_of)
            if self.refuted_on_pool(exam, seen):
                found = exam.refuted(Found())
                return verdict(REFUTED, found.evidence, verdict=v.as_dict(found))
            by, evidence, proved = self.implied(mutant.case, seen)
            if by:
                return verdict(IMPLIED, evidence, by=by, proved=proved)
        result = exam.run(None)
        if result.verdict != v.REFUTED and self.harder:
            self.say(mutant.case, "a second, harder search")
            wider = mutant.case.domain if mutant.case.domain.bandit else mutant.case.domain.replace(max_states=mutant.case.domain.max_states + MORE)
            limits = HARDER.get(self.budget.name, HARDER["quick"])
            second = Examination(dataclasses.replace(mutant.case, domain=wider), limits, self.seed + 1, self.progress).run(None)
            result = second if second.verdict == v.REFUTED or second.instances > result.instances else result
        if result.verdict == v.REFUTED:
            return verdict(REFUTED, result.evidence, verdict=v.as_dict(result))
        closest = "" if result.tightness is None else f"; closest: {result.tightness:.4g} of the bound"
        return verdict(SURVIVED, f"{result.verdict}: {result.evidence}{closest}", verdict=v.as_dict(result))

    def text(self, mutant: Mutant) -> str:
        where = ", ".join(f"{a} < {b}" for a, b in mutant.case.where) if mutant.case.where != self.case.where else ""
        return mutant.case.statement.text() + (f" where {where}" if where else "")

    def fingerprint(self, seen: list[Measurement]) -> Array:
        """Both sides at a few thousand fixed places of the pool, NaN where nothing is said."""
        parts = []
        for k, one in enumerate(seen):
            silent = np.isnan(one.excess)
            sides = np.stack([np.where(silent, np.nan, one.left), np.where(silent, np.nan, one.right)])
            flat = sides.reshape(2, -1)
            places = np.random.default_rng(k).integers(0, flat.shape[1], 60)
            parts.append(flat[:, places].reshape(-1))
        return np.concatenate(parts)

    def refuted_on_pool(self, exam: Examination, seen: list[Measurement]) -> bool:
        """Whether a record of the pool violates the mutant, confirmed exactly; small named instances are tried first."""
        hits = []
        for position, (entry, one) in enumerate(zip(self.entries, seen, strict=True)):
            failing = np.flatnonzero(one.candidates())
            scores = one.scores()
            for k in failing[np.argsort(-scores[failing], kind="stable")][:2]:
                size = entry.batch.rewards[0].size
                hits.append((size > 6, entry.exact is None, size, -scores[k], position, int(k)))
        for *_, position, k in sorted(hits)[:TRIALS]:
            entry, one = self.entries[position], seen[position]
            if entry.exact is None:
                if exam.candidate(entry.batch[k], one, k, entry.horizon) is not None:
                    return True
                continue
            times = one.violations(k)
            for t in dict.fromkeys([min(times), *confirmable_times(times)[:2]]):
                outcome = confirm(exam.case, entry.exact[k], [t], most_bits=1024)
                if outcome.status == "violated":
                    exam.counterexample = replayable(exam.case, entry.exact[k], outcome)
                    return True
        return False

    def implied(self, case: Case, seen: list[Measurement]) -> tuple[str, str, bool]:
        """(what implies it, the evidence, whether by its factors alone); empty where nothing does."""
        if case.statement.relation != self.case.statement.relation:
            return "", "", False
        records = sum(int((~np.isnan(one.excess)).sum()) for one in seen)
        where = f"{records:,} records of {sum(e.batch.size for e in self.entries):,} instances"
        silent = [self.trivially(case, entry, one) for entry, one in zip(self.entries, seen, strict=True)]
        if all(mask.all() for mask in silent) and case.statement.relation != "=":
            return "the trivial bound", f"never below the trivial bound on {where}", False
        for name, others in [("the original", self.original), *self.siblings]:
            weaker = [mask | _weaker(case.statement.relation, one, reference) for mask, one, reference in zip(silent, seen, others, strict=True)]
            if all(mask.all() for mask in weaker):
                proved = name == "the original" and weaker_by_factors(self.case, case)
                how = "its factors alone show that the bound is weaker; " if proved else ""
                return name, f"{how}weaker on {where}", proved
        return "", "", False

    def trivially(self, case: Case, entry: Entry, seen: Measurement) -> Array:
        """Records at which the mutant says nothing, or nothing that does not hold anyway."""
        silent = np.isnan(seen.excess)
        with np.errstate(all="ignore"):
            if str(case.statement.left) in NONNEGATIVE and case.statement.relation == ">=":
                silent = silent | (seen.right <= 0)
            if case.trivial is not None and case.statement.left == self.case.statement.left:
                limit = np.asarray(evaluate(case.trivial, entry.values, lambda p, q: p / q))
                silent = silent | (seen.right >= limit if case.statement.relation == "<=" else seen.right <= limit)
        return silent


def _weaker(relation: str, mutant: Measurement, reference: Measurement) -> Array:
    """Records at which `reference` speaks and implies the mutant: measured no larger, bound no smaller (the other way round for >=)."""
    sign = 1 if relation == "<=" else -1
    with np.errstate(all="ignore"):
        noise = reference.tolerance[:, None, None]
        slack = noise + ROUNDING * (np.abs(mutant.right) + np.abs(reference.right))
        loose = noise + ROUNDING * (np.abs(mutant.left) + np.abs(reference.left))
        bound = sign * (mutant.right - reference.right) >= -slack
        measured = sign * (reference.left - mutant.left) >= -loose
        if relation == "=":
            bound, measured = np.abs(mutant.right - reference.right) <= slack, np.abs(mutant.left - reference.left) <= loose
    return bound & measured & ~np.isnan(reference.excess)


def _same(one: Array, other: Array) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=1e-9, atol=0, equal_nan=True))


def _siblings(case: Case) -> Iterator[tuple[str, Case]]:
    """Other true forms about the same runs that measure the same: a mutant may be implied by one of them."""
    from proofs_check.catalogue import claims

    for claim in claims().values():
        for form in claim.forms:
            other = claim.case(form)
            if (claim.id, form.name) == (case.claim, case.name) or other.statement.relation != case.statement.relation:
                continue
            runs_alike = (other.process, other.settings) == (case.process, case.settings) and other.statement.over == case.statement.over
            if other.statement.left == case.statement.left and runs_alike and _covers(other, case):
                yield f"{claim.id}:{form.name}", other


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
    )


# Weaker by its factors alone


def weaker_by_factors(original: Case, mutant: Case) -> bool:
    """Whether the bounds' quotient, or their difference, has a certain sign because each factor has: then one statement implies the other."""
    sign = 1 if original.statement.relation == "<=" else -1
    a, b = original.statement, mutant.statement
    if a.left != b.left or original.where != mutant.where or a.relation != b.relation or a.relation == "=":
        return False
    t = sympy.Symbol("t")
    if bool((a.right.subs(t, 0)).has(sympy.zoo)) != bool((b.right.subs(t, 0)).has(sympy.zoo)):
        return False
    return (_positive(a.right) and _side_of_one(b.right / a.right) == sign) or _positive(sign * (b.right - a.right))


def _positive(tree: sympy.Expr) -> bool:
    """Whether a sum of products is nonnegative because every factor is."""
    if isinstance(tree, sympy.Add) and tree != 1 - sympy.Symbol("gamma"):
        return all(map(_positive, tree.args))
    if isinstance(tree, sympy.Mul):
        return all(map(_positive, tree.args))
    if isinstance(tree, sympy.Pow):
        return _positive(tree.base)
    if tree.is_Rational:
        return bool(tree >= 0)
    if isinstance(tree, sympy.log):
        return tree.args[0] in (sympy.Symbol("S"), sympy.Symbol("A"))
    if tree.is_Symbol:
        return tree.name in AT_LEAST_ONE | AT_MOST_ONE | NONNEGATIVE | {"eta", "tau", "fraction", "C1", "gap_mu_0", "gap_sup_0"}
    return tree == 1 - sympy.Symbol("gamma")


def _side_of_one(tree: sympy.Expr) -> int:
    """1 where the product is >= 1 whatever its quantities are, -1 where it is <= 1, 0 where that cannot be seen."""
    sides = set()
    for factor in sympy.Mul.make_args(tree):
        base, exponent = factor.as_base_exp()
        if not exponent.is_Rational:
            return 0
        if base.is_Rational and exponent.is_Integer:
            value = base**exponent
            sides.add(0 if value <= 0 else 1 if value >= 1 else -1)
            continue
        known = -1 if base == 1 - sympy.Symbol("gamma") else 1 if str(base) in AT_LEAST_ONE else -1 if str(base) in AT_MOST_ONE else 0
        sides.add(known if exponent > 0 else -known)
    return sides.pop() if len(sides) == 1 else 0


def _form_verdict(case: Case, judged: MutantVerdict | None) -> v.FormVerdict:
    """What the progress display is told."""
    if judged is None:
        return v.FormVerdict(case.claim, case.name, "control", case.statement.text(), "same as another")
    if judged.verdict is not None and judged.status == REFUTED:
        return v.form_verdict(judged.verdict)
    return v.FormVerdict(case.claim, judged.name, "control", judged.statement, judged.status, evidence=judged.evidence, seconds=judged.seconds)


__all__ = ["MutantVerdict", "Mutation", "mutate", "mutation_of", "pool", "weaker_by_factors"]
