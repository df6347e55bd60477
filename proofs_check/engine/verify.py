"""`verify`: claims in, verdicts out.

For each form, statement or control alike:

    search      named instances, then every size from small to large (`engine.search`)
    candidate   shrunk (`engine.shrink`), then judged in rationals or balls (`engine.certify`): only a violation confirmed there refutes
    prove       equations, for the sizes that the form names, over rational functions (`engine.symbolic`); bounds of norms over whole compact
                classes that it names, by branch and bound (`engine.boxes`)
    compose     the chain of lemmas, symbolically (`proofs_check.composition`), with each link's slack (`proofs_check.slack`)
    certify     small exact instances, every step up to a horizon

A control stops at its refutation.  Evidence is kept in the store under a key made of the form's content, the compiled sources, the budget and
the seed: an unchanged form is not verified again, and a killed run resumes at the first form that is missing.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import os
import pathlib
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

from proofs_check import verdict as v
from proofs_check.claim import Case, Claim
from proofs_check.engine import budget as budgets
from proofs_check.engine.budget import Budget
from proofs_check.engine.examination import verify_case, version_name
from proofs_check.engine.targets import changed, resolve


def verify(
    targets: Iterable[Any] | Any | None = None,
    *,
    budget: str = "quick",
    seed: int = 0,
    jobs: int | None = None,
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
    budget     "quick", "standard" or "deep"
    bound      another right side for the first form (or the one named in "id:form"), as text: its controls are left out,
               and runs are at least as long as the standard budget's
    settings   {name: expression}: other settings, such as {"eta": "1/10"}
    instance   an `MDP` or a model name: only this model, with the assumptions that it does not meet
    method     somebody else's method in place of the claim's: an object with start, step and policy, or a class that takes step_size
    store      a `proofs_check.store.Store`;  fresh  verify again what the store already holds
    raises     ModelError: unknown claim, form, budget or quantity
    """
    started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
    chosen = [changed(claim, form, bound, settings, method) for claim, form in resolve(targets)]
    budget_of = budgets.budget(budget) if bound is None else budgets.for_another_bound(budgets.budget(budget))
    model = _model(instance)
    jobs_list = []
    for claim in chosen:
        for case in claim.cases():
            if case.kind == "statement" or (controls and model is None and method is None):
                jobs_list.append(case)
    verdicts = _run_all(jobs_list, budget_of, seed, jobs, model, store, fresh, progress)
    out = []
    for claim in chosen:
        mine = [verdicts[(case.claim, case.name, case.digest())] for case in claim.cases() if (case.claim, case.name, case.digest()) in verdicts]
        unmet = {note.removeprefix("does not meet: ") for form in mine for note in form.notes if not form.applies}
        not_met = [] if any(form.applies for form in mine) else sorted(unmet)
        out.append(_claim_verdict(claim, mine, not_met))
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
    cases: list[Case], budget: Budget, seed: int, jobs: int | None, model: Any, store: Any, fresh: bool, progress: Any
) -> dict[tuple[str, str, str], v.FormVerdict]:
    """Verdicts by (claim, form, digest), from the store where they are known."""
    if progress is not None:
        progress.start(len(cases))
    out: dict[tuple[str, str, str], v.FormVerdict] = {}
    missing: list[Case] = []
    for case in cases:
        known = None if store is None or fresh else store.get(_key(case, budget, seed, model))
        if known is not None:
            _record(out, case, v.form_verdict(known), progress)
        else:
            missing.append(case)

    def keep(case: Case, result: v.FormVerdict) -> None:
        if store is not None:
            store.put(_key(case, budget, seed, model), case.claim, case.name, v.as_dict(result))
        _record(out, case, result, progress)

    workers = min(jobs if jobs is not None else min(2, os.cpu_count() or 1), len(missing))
    portable = [case for case in missing if _portable(case)] if workers > 1 and len(missing) > 3 else []
    local = [case for case in missing if case not in portable]
    if portable:
        import multiprocessing

        others = multiprocessing.active_children()
        pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_leave_interrupts_to_the_parent)
        try:
            rest = (budget.name, seed, model)
            futures = {pool.submit(_verify_job, case.claim, case.kind, case.name, case.canonical(), *rest): case for case in portable}
            for future in as_completed(futures):
                keep(futures[future], future.result())
        except BaseException:  # an interrupt above all: what is finished is in the store, what runs is not waited for
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in multiprocessing.active_children():
                if worker not in others:
                    worker.terminate()
            raise
        pool.shutdown()
    for case in local:
        keep(case, verify_case(case, budget, seed, model, progress))
    return out


def _record(out: dict[Any, v.FormVerdict], case: Case, result: v.FormVerdict, progress: Any) -> None:
    out[(case.claim, case.name, case.digest())] = result
    if progress is not None:
        progress.done(result)


def _leave_interrupts_to_the_parent() -> None:
    """In a worker: Ctrl-C reaches every process of the terminal, and only the first one has to answer it."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _portable(case: Case) -> bool:
    """Whether a worker process can find the same case in its own catalogue (a changed or user-written one it cannot)."""
    from proofs_check.catalogue import claims

    known = claims().get(case.claim)
    return known is not None and any(c.name == case.name and c.kind == case.kind and c.canonical() == case.canonical() for c in known.cases())


def _verify_job(claim: str, kind: str, name: str, content: str, budget: str, seed: int, model: Any) -> v.FormVerdict:
    """One form, in a worker process."""
    from proofs_check.catalogue import get_claim

    case = next(c for c in get_claim(claim).cases() if c.name == name and c.kind == kind and c.canonical() == content)
    return verify_case(case, budgets.budget(budget), seed, model)


def _key(case: Case, budget: Budget, seed: int, model: Any) -> str:
    at = model.digest() if model is not None else ""
    return hashlib.sha256(f"{case.digest()} {budget} {seed} {at}".encode()).hexdigest()[:32]


def _claim_verdict(claim: Claim, results: list[v.FormVerdict], not_met: list[str]) -> v.ClaimVerdict:
    assumptions: dict[str, dict[str, str]] = {}
    for form in claim.forms:
        for a in claim.case(form).domain.assumptions():
            assumptions.setdefault(a.name, {"name": a.name, "text": a.text, "latex": a.latex})
    return v.ClaimVerdict(
        id=claim.id,
        title=claim.title,
        family=claim.family,
        source=dataclasses.asdict(claim.source),
        forms=[r for r in results if r.kind == "statement"],
        controls=[r for r in results if r.kind == "control"],
        hash=hashlib.sha256(" ".join(case.digest() for case in claim.cases()).encode()).hexdigest()[:16],
        departs=claim.departs,
        uses=list(claim.uses),
        assumptions=list(assumptions.values()),
        not_met=not_met,
    )


def _command(targets: Any, budget: str, seed: int, bound: str | None, settings: dict[str, Any] | None, instance: Any) -> str:
    """The command line that repeats the run."""
    import shlex

    listed = [targets] if isinstance(targets, str | Claim | pathlib.Path) else list(targets or [])
    names = [str(t.id if isinstance(t, Claim) else t) for t in listed]
    parts = ["pgtheory", "verify", *names, "--budget", budget, "--seed", str(seed)]
    parts += ["--bound", bound] if bound else []
    for name, rule in (settings or {}).items():
        parts += ["--set", f"{name}={rule}"]
    parts += ["--instance", instance] if isinstance(instance, str) else []
    return shlex.join(parts)
