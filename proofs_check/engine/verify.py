"""`verify`: claims in, verdicts out.

For each form, statement or control alike:

    search      named instances, then every size from small to large (`engine.search`)
    candidate   shrunk (`engine.shrink`), then judged in rationals or balls (`engine.certify`): only a violation confirmed there refutes
    prove       equations, for the sizes that the form names, over rational functions (`engine.symbolic`); bounds of norms over whole compact
                classes that it names, by branch and bound (`engine.boxes`)
    compose     the chain of lemmas, symbolically (`proofs_check.composition`), with each link's slack (`proofs_check.slack`)
    certify     small exact instances, every step up to a horizon

Statements about expectations and probabilities of sampled quantities go to `proofs_check.statistics.examination` instead.

A control stops at its refutation.  Evidence is kept in the store under a key made of the form's content, the compiled sources, the budget and
the seed: an unchanged form is not verified again, and a killed run resumes at the first form that is missing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import itertools
import os
import pathlib
import time
from collections.abc import Iterable
from typing import Any

from proofs_check import verdict as v
from proofs_check.claim import Claim
from proofs_check.engine import budget as budgets
from proofs_check.engine import schedule
from proofs_check.engine.budget import Budget
from proofs_check.engine.examination import version_name
from proofs_check.engine.targets import changed, resolve
from proofs_check.statistics.claims import SampledCase

AT_A_TIME = 8
"""Claims whose forms are taken in turn."""


def verify(
    targets: Iterable[Any] | Any | None = None,
    *,
    budget: str = "quick",
    seed: int = 0,
    jobs: int | None = None,
    scheduler: str | None = None,
    bound: str | None = None,
    settings: dict[str, Any] | None = None,
    instance: Any = None,
    method: Any = None,
    store: Any = None,
    fresh: bool = False,
    progress: Any = None,
    controls: bool = True,
) -> v.Run:
    """Verifies claims and returns all verdicts with their evidence.

    targets    claim ids, "id:form", families, paths of claim files, or `Claim` objects; all of the catalogue if left out
    budget     "quick" (which the forms that are not known yet share, `engine.budget`), "standard" or "deep"
    jobs       worker processes on this machine, all cores if left out;  scheduler  "tcp://host:port" of a Dask scheduler whose workers do the
               work instead.  Neither changes a figure; only claims of the catalogue leave this process, one's own are verified here
    bound      another right side for the first form (or the one named in "id:form"), as text: its controls are left out,
               and runs are at least as long as the standard budget's
    settings   {name: expression}: other settings, such as {"eta": "1/10"}
    instance   an `MDP` or a model name: only this model, with the assumptions that it does not meet
    method     somebody else's method in place of the claim's: an object with start, step and policy, or a class that takes step_size
    store      a `proofs_check.store.Store`;  fresh  verify again what the store already holds
    raises     ModelError: unknown claim, form, budget or quantity
    """
    started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
    everything = targets is None and (store is None or fresh) and scheduler is None and instance is None and method is None
    with contextlib.ExitStack() as stack:
        ready = schedule.start(_workers(jobs)) if everything and _workers(jobs) > 1 else None
        if ready is not None:
            stack.callback(ready.end)
        chosen = [changed(claim, form, bound, settings, method) for claim, form in resolve(targets, sampled=instance is None and method is None)]
        budget_of = budgets.budget(budget) if bound is None else budgets.for_another_bound(budgets.budget(budget))
        model = _model(instance)
        cases = [claim.cases() for claim in chosen]  # kept: a case makes its digest once
        with_controls = controls and model is None and method is None
        jobs_list = [case for of_one in cases for case in of_one if case.kind == "statement" or with_controls]
        verdicts = _run_all(jobs_list, budget_of, seed, jobs, scheduler, model, store, fresh, progress, ready)
    out = []
    for claim, of_one in zip(chosen, cases, strict=True):
        keys = [(case.claim, case.name, case.digest()) for case in of_one]
        mine = [verdicts[key] for key in keys if key in verdicts]
        unmet = {note.removeprefix("does not meet: ") for form in mine for note in form.notes if not form.applies}
        not_met = [] if any(form.applies for form in mine) else sorted(unmet)
        out.append(_claim_verdict(claim, mine, not_met, " ".join(digest for _, _, digest in keys)))
    from pgtheory.compiled import source_digest

    return v.Run(
        verdicts=out,
        seed=seed,
        budget=budget,
        seconds=time.perf_counter() - clock,
        command=_command(targets, budget, seed, bound, settings, instance),
        version=version_name(),
        sources=source_digest(),
        started=started.isoformat(timespec="seconds"),
    )


def _model(instance: Any) -> Any:
    if instance is None or not isinstance(instance, str):
        return instance
    from mdps.io import load_model

    return load_model(instance)


# The work


def _run_all(
    cases: list[Any],
    budget: Budget,
    seed: int,
    jobs: int | None,
    scheduler: str | None,
    model: Any,
    store: Any,
    fresh: bool,
    progress: Any,
    ready: schedule.Ready | None,
) -> dict[tuple[str, str, str], v.FormVerdict]:
    """Verdicts by (claim, form, digest), from the store where they are known."""
    if progress is not None:
        progress.start(len(cases))
    out: dict[tuple[str, str, str], v.FormVerdict] = {}
    ladder, missing = budgets.rungs(budget), list[Any]()
    enough = ladder[: budgets.rung(budget, len(cases)) + 1]
    for case in cases:
        known = None if store is None or fresh else _known(store, case, enough, seed, model)
        if known is not None:
            _record(out, case, known, progress)
        else:
            missing.append(case)
    chosen = ladder[_planned(cases, len(missing), budget, seed, model, None if fresh else store)]

    def keep(case: Any, result: v.FormVerdict, asked: Budget) -> None:
        if store is not None:
            store.put(_key(case, asked, seed, model), case.claim, case.name, v.as_dict(result))
        _record(out, case, result, progress)

    missing = _in_order(missing)
    workers = min(_workers(jobs), len(missing))
    elsewhere = scheduler is not None or (workers > 1 and len(missing) > 3)
    movable = [elsewhere and schedule.portable(case) for case in missing]
    sent, here = ([case for case, moves in zip(missing, movable, strict=True) if moves is wanted] for wanted in (True, False))
    if sent:
        tasks = [schedule.job_of(case, chosen, seed, model) for case in sent]
        results = schedule.in_processes(tasks, workers, ready=ready) if scheduler is None else schedule.on_cluster(tasks, scheduler)
        with contextlib.closing(results):
            for k, result in results:
                keep(sent[k], result, chosen)
    for case in here:
        known = None if store is None or fresh else _known(store, case, enough, seed, model)  # another process may have been faster
        if known is not None:
            _record(out, case, known, progress)
        else:
            keep(case, schedule.examine(case, chosen, seed, model, progress), chosen)
    return out


def _workers(jobs: int | None) -> int:
    return jobs if jobs is not None else os.cpu_count() or 1


def _known(store: Any, case: Any, enough: list[Budget], seed: int, model: Any) -> v.FormVerdict | None:
    """The verdict in the store from the richest of the budgets that would do."""
    for budget in enough:
        known = store.get(_key(case, budget, seed, model))
        if known is not None:
            return v.form_verdict(known)
    return None


def _planned(cases: list[Any], missing: int, budget: Budget, seed: int, model: Any, store: Any) -> int:
    """The rung for the forms that are missing.  A poorer one is noted in the store under all that was asked for, so that a run that was killed
    goes on as it began, although fewer forms are missing then."""
    rung = budgets.rung(budget, missing)
    if store is None or len(budgets.rungs(budget)) == 1:
        return rung
    asked = " ".join(_key(case, budget, seed, model) for case in cases)
    key = hashlib.sha256(f"plan {asked}".encode()).hexdigest()[:32]
    plan = store.get(key)
    if plan is not None:
        return int(plan["rung"])
    if rung > 0:
        store.put(key, "", "plan", {"rung": rung, "forms": missing})
    return rung


def _in_order(cases: list[Any]) -> list[Any]:
    """Cheap claims first, and few claims at a time, a form of each in turn.

    The forms of a claim share their named instances, which a process makes once while it is at them, and their method, which is compiled the first
    time: by one process, while the others are at other claims, and not by all of them at once.  Worker processes of this machine keep to their claims
    whatever the order (`schedule.in_processes`); workers elsewhere take the next form."""
    forms: dict[str, list[Any]] = {}
    for case in cases:
        forms.setdefault(case.claim, []).append(case)
    costs = {claim: max(map(_cost, own)) for claim, own in forms.items()}
    out: list[Any] = []
    for cost in sorted(set(costs.values())):
        claims = [own for claim, own in forms.items() if costs[claim] == cost]
        for k in range(0, len(claims), AT_A_TIME):
            turns = itertools.zip_longest(*claims[k : k + AT_A_TIME])
            out += [case for turn in turns for case in turn if case is not None]
    return out


def _cost(case: Any) -> int:
    """What a form costs, roughly: none of a run's steps, few, many; and whether something is to be proved."""
    if isinstance(case, SampledCase):
        return 1
    run = 0 if case.process is None else 2 if case.horizon is None else 1
    return run + bool(case.boxes) + bool(case.symbolic) + bool(case.polynomial)


def _record(out: dict[Any, v.FormVerdict], case: Any, result: v.FormVerdict, progress: Any) -> None:
    out[(case.claim, case.name, case.digest())] = result
    if progress is not None:
        progress.done(result)


def _key(case: Any, budget: Budget, seed: int, model: Any) -> str:
    at = model.digest() if model is not None else ""
    return hashlib.sha256(f"{case.digest()} {budget} {seed} {at}".encode()).hexdigest()[:32]


def _claim_verdict(claim: Any, results: list[v.FormVerdict], not_met: list[str], content: str) -> v.ClaimVerdict:
    assumptions: dict[str, dict[str, str]] = {}
    for form in claim.forms:
        for a in claim.case(form).domain.assumptions() if isinstance(claim, Claim) else ():
            assumptions.setdefault(a.name, {"name": a.name, "text": a.text, "latex": a.latex})
    return v.ClaimVerdict(
        id=claim.id,
        title=claim.title,
        family=claim.family,
        source=dataclasses.asdict(claim.source),
        forms=[r for r in results if r.kind == "statement"],
        controls=[r for r in results if r.kind == "control"],
        hash=hashlib.sha256(content.encode()).hexdigest()[:16],
        departs=claim.departs,
        uses=list(claim.uses),
        assumptions=list(assumptions.values()),
        not_met=not_met,
    )


def _command(targets: Any, budget: str, seed: int, bound: str | None, settings: dict[str, Any] | None, instance: Any) -> str:
    """The command line that repeats the run."""
    import shlex

    listed = [targets] if targets is not None and (isinstance(targets, str | pathlib.Path) or hasattr(targets, "id")) else list(targets or [])
    names = [str(getattr(t, "id", t)) for t in listed]
    parts = ["pgtheory", "verify", *names, "--budget", budget, "--seed", str(seed)]
    parts += ["--bound", bound] if bound else []
    for name, rule in (settings or {}).items():
        parts += ["--set", f"{name}={rule}"]
    parts += ["--instance", instance] if isinstance(instance, str) else []
    return shlex.join(parts)
