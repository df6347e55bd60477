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
import importlib.util
import itertools
import os
import pathlib
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

import numpy as np
import sympy

from mdps.errors import ModelError, nearest, plural
from proofs_check import verdict as v
from proofs_check.claim import Case, Claim, Form
from proofs_check.engine import budget as budgets
from proofs_check.engine.budget import Budget
from proofs_check.engine.certify import Confirmation, certify, confirm
from proofs_check.engine.measure import ROLES, Measurement, check_settings_reach, compare, free_names, measure, trajectory
from proofs_check.engine.search import Found, generator, search
from proofs_check.engine.shrink import confirmable_times, exactly, shrink
from proofs_check.expression import text
from proofs_check.instance import Batch, Instance
from proofs_check.instances import dressed, named

Array = np.ndarray
SCHEMA = "pgtheory-counterexample-1"
CERTIFIED_SIZE = 6
"""States of an instance up to which it is certified: balls are slow on larger ones."""
NAMED_CERTIFIED = 8
GIVEN_HORIZON = 1000
"""Steps run at least on a model that the user names: bounds are often trivial before."""
PLAIN_NAMED = 60
"""Named instances on which a method in plain Python is run."""


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
    bound      another right side for the first form (or the one named in "id:form"), as text: its controls are left out
    settings   {name: expression}: other settings, such as {"eta": "1/10"}
    instance   an `MDP` or a model name: only this model, with the assumptions that it does not meet
    method     somebody else's method in place of the claim's: an object with start, step and policy, or a class that takes step_size
    store      a `proofs_check.store.Store`;  fresh  verify again what the store already holds
    raises     ModelError: unknown claim, form, budget or quantity
    """
    started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
    chosen = [_changed(claim, form, bound, settings, method) for claim, form in resolve(targets)]
    budget_of = budgets.budget(budget)
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
        version=_version(),
        sources=source_digest(),
        started=started.isoformat(timespec="seconds"),
    )


# Which claims


def resolve(targets: Iterable[Any] | Any | None) -> list[tuple[Claim, str | None]]:
    """Claims with the form that was asked for (None: all)."""
    from proofs_check.catalogue import claims, get_claim

    known = claims()
    if targets is None:
        return [(claim, None) for claim in known.values()]
    if isinstance(targets, str | Claim | pathlib.Path):
        targets = [targets]
    out: list[tuple[Claim, str | None]] = []
    families = {claim.family for claim in known.values()}
    for target in targets:
        if isinstance(target, Claim):
            out.append((target, None))
        elif isinstance(target, pathlib.Path) or str(target).endswith(".py"):
            out.extend((claim, None) for claim in claims_of_file(pathlib.Path(target)))
        elif target in families:
            out.extend((claim, None) for claim in known.values() if claim.family == target)
        else:
            identifier, _, form = str(target).partition(":")
            if identifier not in known:
                near = nearest(identifier, [*known, *families])
                raise ModelError(f"unknown claim or family {identifier!r}.{near} `pgtheory claims` lists all")
            out.append((get_claim(identifier), form or None))
    if not out:
        raise ModelError("nothing to verify: no claim was named")
    return out


def claims_of_file(path: pathlib.Path) -> list[Claim]:
    """The `Claim` objects that a Python file defines; raises ModelError where there is no such file or none in it."""
    if not path.exists():
        raise ModelError(f"no file {path}")
    name = f"claim_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{path} cannot be read as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except ModelError:
        raise
    except Exception as error:
        line = getattr(error, "lineno", None) or _line_in(error, path)
        raise ModelError(f"{path}{f', line {line}' if line else ''}: {type(error).__name__}: {error}") from error
    found = [value for value in vars(module).values() if isinstance(value, Claim)]
    if not found:
        raise ModelError(f"{path} defines no Claim; write `claim = Claim(id=..., ...)`")
    return found


def _line_in(error: BaseException, path: pathlib.Path) -> int | None:
    import traceback

    here = path.resolve()
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if pathlib.Path(frame.filename).resolve() == here]
    return lines[-1] if lines else None


def _changed(claim: Claim, form: str | None, bound: str | None, settings: dict[str, Any] | None, method: Any) -> Claim:
    if isinstance(method, type) and hasattr(method, "run_arrays"):  # one of ours: its fields are the claim's settings
        roles = {role: name for name, role in ROLES.items()}
        method = method(**{field.name: sympy.Symbol(roles[field.name]) for field in dataclasses.fields(method) if field.name in roles})
    if bound is not None or settings or method is not None:
        if method is not None and bound is None and not settings and form is None:
            forms = tuple(dataclasses.replace(f, process=method) for f in claim.forms if claim.case(f).process is not None)
            if not forms:
                raise ModelError(f"{claim.id} has no method to replace: it is no statement about a run")
            return dataclasses.replace(claim, statement=None, forms=forms, negative_controls=())
        return claim.replace(form=form, bound=bound, settings=settings, process=method)
    if form is not None:
        return dataclasses.replace(claim, statement=None, forms=(claim.form(form),), negative_controls=())
    return claim


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


def verify_case(case: Case, budget: Budget, seed: int, model: Any = None, progress: Any = None) -> v.FormVerdict:
    """The verdict on one form."""
    return _Examination(case, budget, seed, progress).run(model)


class _Examination:
    """One form's verification: collects what was seen and words the verdict."""

    def __init__(self, case: Case, budget: Budget, seed: int, progress: Any) -> None:
        self.theirs = case.process is not None and not hasattr(case.process, "run_arrays")
        self.case, self.budget, self.seed, self.progress = case, budgets.for_plain_python(budget) if self.theirs else budget, seed, progress
        self.clock = time.perf_counter()
        self.notes: list[str] = []
        self.unconfirmed = 0
        self.disproved = False
        self.counterexample: dict[str, Any] | None = None

    def say(self, text: str) -> None:
        if self.progress is not None:
            self.progress.stage(self.case.claim, self.case.name, text)

    def run(self, model: Any) -> v.FormVerdict:
        check_settings_reach(self.case)
        if model is not None:
            return self.run_on(model)
        known: Iterable[Instance] = named(self.case)
        if self.theirs:
            known = itertools.islice(known, PLAIN_NAMED)
        found = search(self.case, self.budget, self.seed, self.candidate, known, self.say)
        if self.counterexample is not None:
            return self.refuted(found)
        scope, certified = "", 0
        if self.case.kind == "statement":
            self.say("symbolic proof")
            scope = self.prove()
            self.say("exact instances")
            certified = 0 if self.theirs else self.certify(self.certified_instances())
            if self.counterexample is None and not self.theirs:
                certified += self.certify_long()
            if self.counterexample is not None:
                return self.refuted(found)
        return self.verdict(found, scope, certified)

    def run_on(self, model: Any) -> v.FormVerdict:
        """The form on one given model only."""
        unmet = self.unmet(model)
        if unmet:
            evidence = f"not applicable: {'; '.join(unmet)}"
            return self.result(v.UNDECIDED, Found(), evidence=evidence, applies=False, notes=[f"does not meet: {text}" for text in unmet])
        instances = list(dressed_as_given(self.case, model))
        longer = dataclasses.replace(self.budget, largest=0, horizons=tuple(max(h, GIVEN_HORIZON) for h in self.budget.horizons))
        found = search(self.case, longer, self.seed, self.candidate, instances, self.say, climb=False)
        if self.counterexample is not None:
            return self.refuted(found)
        certified = self.certify(instances[:2]) if model.num_states <= CERTIFIED_SIZE and not self.theirs else 0
        return self.verdict(found, "", certified)

    def unmet(self, model: Any) -> list[str]:
        """Assumptions on the model itself that it does not meet, with the figure."""
        return unmet_assumptions(self.case, model)

    def candidate(self, instance: Instance, seen: Measurement, k: int, horizon: int) -> Any:
        """Shrinks and confirms an instance that fails in floats; a confirmed one becomes the counterexample."""
        self.say("shrinking a candidate")
        tried = shrink(self.case, instance, horizon)
        trials = [tried] if tried is not None else []
        settled = _settled(self.case, instance)
        if settled is not None:
            trials.append((settled, seen.violations(k)))
        for exact, times in trials:
            self.say("confirming in exact arithmetic")
            for t in confirmable_times(times):
                outcome = confirm(self.case, exact, [t])
                if outcome.status == "violated":
                    self.counterexample = replayable(self.case, exact, outcome)
                    return self.counterexample
                if outcome.status == "undecided":
                    self.notes.append(f"a candidate could not be confirmed: {outcome.reason}"[:300])
        self.unconfirmed += 1
        return None

    def prove(self) -> str:
        from proofs_check.engine.symbolic import proved

        done = [size for size in self.case.symbolic if proved(self.case, *size)]
        if len(done) < len(self.case.symbolic):
            self.notes.append("the two sides differ as rational functions")
            self.disproved = True
            return ""
        sizes = "all instances with (S, A) = " + ", ".join(f"({s}, {a})" for s, a in done) if done else ""
        return "; ".join(filter(None, [sizes, self.prove_boxes()]))

    def prove_boxes(self) -> str:
        """The classes over which branch and bound proves the inequality, in words."""
        if not self.case.boxes:
            return ""
        from proofs_check.engine.boxes import prove_class, scope

        out = []
        for size in self.case.boxes:
            self.say(f"branch and bound over {scope(*size)}")
            ended = prove_class(self.case, *size)
            if ended.proved:
                out.append(scope(*size))
                self.notes.append(f"branch and bound over {scope(*size)}: {ended.boxes:,} boxes in ball arithmetic")
            else:
                self.notes.append(f"branch and bound over {scope(*size)} gave up after {ended.boxes:,} boxes")
        return "; ".join(out)

    def certified_instances(self) -> list[Instance]:
        """Small named instances and random rational ones."""
        picked = [i for i in named(self.case) if i.shape[0] <= CERTIFIED_SIZE]
        rng = generator(self.seed, self.case.claim, self.case.name, "certified")
        chosen = [picked[k] for k in np.sort(rng.permutation(len(picked))[:NAMED_CERTIFIED])]
        free = len(free_names(self.case))
        sizes = [size for size in self.case.domain.sizes() if size[0] * size[1] <= 6]
        for k in range(self.budget.rationals):
            states, actions = sizes[k % len(sizes)]
            vector = 0.7 * rng.standard_normal((1, self.case.domain.length(states, actions, free)))
            settled = _settled(self.case, coarse(self.case.domain.decode(vector, states, actions, self.case.settings)[0]))
            if settled is not None:
                chosen.append(settled)
        return chosen

    def certify(self, instances: list[Instance]) -> int:
        held, unsure, violation, where = certify(self.case, instances, self.budget.certified_steps)
        if violation is not None and where is not None:
            self.counterexample = replayable(self.case, where, violation)
        if unsure:
            self.notes.append(f"{len(unsure)} of {len(instances)} exact instances stayed undecided (equality, or balls that overlap)")
        return held

    def certify_long(self) -> int:
        """Certified runs of many steps on the smallest named models."""
        if self.case.process is None or self.case.statement.relation == "=" or not self.budget.long_runs:
            return 0
        from proofs_check.engine.long import certify_long, named_instances

        self.say(f"certified runs of {self.budget.long_steps:,} steps")
        runs = certify_long(self.case, self.budget.long_steps, instances=named_instances(self.case)[: self.budget.long_runs])
        for run in runs:
            if run.outcome is not None and run.instance is not None and run.status == "violated":
                self.counterexample = replayable(self.case, run.instance, run.outcome)
                return 0
        held = [run for run in runs if run.status == "holds"]
        if held:
            longest = max(run.steps for run in held)
            self.notes.append(f"certified runs of {longest:,} steps on {', '.join(run.name for run in held)}")
        return len(held)

    # Wording

    def verdict(self, found: Found, scope: str, certified: int) -> v.FormVerdict:
        if scope:
            how = "symbolic for" if self.case.statement.relation == "=" else "branch and bound over"
            verdict, evidence = v.PROVED, f"{how} {scope}; {certified} exact instances"
        elif found.instances == 0:
            silent = f"the statement says nothing about any of {found.silent:,} instances (a condition fails, or the bound is no number)"
            verdict, evidence = v.UNDECIDED, silent if found.silent else "no instance met the assumptions"
        elif found.trivial == found.instances:
            verdict, evidence = v.VACUOUS, "the bound never fell below the trivial one"
        elif self.unconfirmed:
            verdict = v.UNDECIDED
            evidence = f"numerically unreliable: {self.unconfirmed} candidates failed in float64 and could not be confirmed"
        elif self.disproved:
            verdict, evidence = v.UNDECIDED, "the two sides differ as rational functions, so it is false somewhere, and the search did not find where"
        elif certified:
            last = min(self.case.horizon or self.budget.certified_steps, self.budget.certified_steps)
            steps = "" if self.case.process is None else f" up to t = {last:,}"
            verdict, evidence = v.CERTIFIED, f"{certified} instances in exact arithmetic{steps}; searched {found.instances:,} in float64"
        else:
            verdict, evidence = v.SUPPORTED, f"float64 over {found.instances:,} instances"
        return self.result(verdict, found, scope=scope, certified=certified, evidence=evidence)

    def refuted(self, found: Found) -> v.FormVerdict:
        assert self.counterexample is not None
        data = self.counterexample
        model = data["instance"]
        size = f"{plural(model['states'], 'state')}, {plural(model['actions'], 'action')}, discount {model['discount']}"
        evidence = f"{data['left']} against {data['right']} at t = {data['t']}, certified ({data['arithmetic']}): {size}"
        if self.case.kind == "statement" and self.case.statement.is_ratio and not self.theirs:
            self.say("how far off it is")
            whole = search(self.case, self.budget, self.seed, lambda *candidate: None, named(self.case), self.say)
            if whole.ratio is not None and whole.ratio > 1:
                factor = f"{1.001 * whole.ratio:.4g}"
                side = f"times {factor}" if self.case.statement.relation == "<=" else f"divided by {factor}"
                self.notes.append(f"the bound {side} survives the same search ({whole.instances:,} instances)")
        return self.result(v.REFUTED, found, evidence=evidence, tightness=data["ratio"])

    def result(self, verdict: str, found: Found, **fields: Any) -> v.FormVerdict:
        tightness = fields.pop("tightness", None if found.ratio is None else min(found.ratio, 1.0) if verdict in v.HOLDS else found.ratio)
        if verdict == v.PROVED and self.case.statement.relation == "=":
            tightness = 1.0
        notes = list(dict.fromkeys([*self.notes, *fields.pop("notes", [])]))
        worst, curve = self.worst(found)
        slack = self.slack(found, worst) if self.case.chain and self.case.kind == "statement" and verdict in v.HOLDS else None
        return v.FormVerdict(
            claim=self.case.claim,
            form=self.case.name,
            kind=self.case.kind,
            statement=self.case.statement.text(),
            verdict=verdict,
            tightness=tightness,
            instances=found.instances,
            trivial=found.trivial,
            horizon=found.horizon,
            notes=notes,
            worst=worst,
            curve=curve,
            slack=slack,
            counterexample=self.counterexample,
            because=self.case.because,
            seconds=round(time.perf_counter() - self.clock, 3),
            seed=self.seed,
            budget=self.budget.name,
            **fields,
        )

    def slack(self, found: Found, worst: dict[str, Any] | None) -> dict[str, Any]:
        """Whether the lemmas give the statement, and where its bound is loose on the worst instance found."""
        from proofs_check.composition import CompositionError, compose_case
        from proofs_check.slack import attribute_case

        self.say("composition of the lemmas")
        try:
            composition = compose_case(self.case)
        except CompositionError as error:
            return {"composition": f"the lemmas do not give this bound: {error}", "holds": False}
        out: dict[str, Any] = {"composition": composition.text(), "holds": True, "exact": composition.exact, "notes": list(composition.notes)}
        if worst is None or found.instance is None or "t" not in worst or self.theirs:
            return out
        try:
            return out | attribute_case(self.case, found.instance, int(worst["t"])).as_dict()
        except ModelError as error:
            return out | {"notes": [*out["notes"], str(error)]}

    def worst(self, found: Found) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """The instance that came closest to the bound (the counterexample where there is one), and both sides along its run."""
        if self.counterexample is not None:
            instance = Instance.from_json(self.counterexample["instance"]).as_float()
            horizon = max(2 * int(self.counterexample["t"] or 1), 10)
        elif found.instance is not None:
            instance, horizon = found.instance, found.instance_horizon
        else:
            return None, None
        batch = Batch.of([instance])
        with np.errstate(all="ignore"):
            context = trajectory(self.case, batch, horizon)
            seen = compare(self.case, context)
        if seen.ratio is None or seen.left.shape[1] < 2:
            data = instance.to_json()
            if seen.ratio is not None:
                data |= {"t": 0, "measured": float(seen.left[0, 0, 0]), "bound": float(seen.right[0, 0, 0])}
            return data, None
        keep = np.isfinite(seen.left[0, :, 0]) & np.isfinite(seen.right[0, :, 0])
        merit = np.where(keep & np.isfinite(seen.ratio[0]), seen.ratio[0], -np.inf)
        k = int(merit.argmax())
        worst = instance.to_json() | {"t": int(seen.times[k]), "measured": float(seen.left[0, k, 0]), "bound": float(seen.right[0, k, 0])}
        curve = {
            "t": seen.times[keep].tolist(),
            "measured": seen.left[0, keep, 0].tolist(),
            "bound": seen.right[0, keep, 0].tolist(),
            "label": self.case.statement.latex(),
        }
        return worst, curve


def _settled(case: Case, instance: Instance) -> Instance | None:
    """The instance in rationals with its dependent settings; None where that leaves the domain."""
    from proofs_check.instances import settle

    return settle(case, exactly(instance))


def coarse(instance: Instance) -> Instance:
    """A random instance with numbers of few digits, as exact arithmetic likes them."""
    from proofs_check.engine.shrink import rounded_instance

    return rounded_instance(instance, 20)


def unmet_assumptions(case: Case, model: Any) -> list[str]:
    """What a claim assumes of the model (rewards, discount, start distribution) and this one does not meet."""
    states = model.num_states
    if not model.is_rectangular:
        return ["the same number of actions in every state"]
    float_model = model.float if model.is_exact else model
    policy = np.full((states, model.num_actions), 1 / model.num_actions)
    if case.domain.policy == "deterministic":
        policy = np.eye(model.num_actions)[np.zeros(states, dtype=int)]
    probe = Instance(float_model.transitions, float_model.rewards, float_model.discount, float_model.start, float_model.start, policy)
    out = []
    for assumption in case.domain.broken(probe):
        figure = ""
        if assumption.name == "rewards":
            figure = f" (here they lie in [{float_model.rewards.min():g}, {float_model.rewards.max():g}])"
        elif assumption.name == "full support":
            figure = f" (here it is 0 in {int((float_model.start == 0).sum())} of {states} states)"
        elif assumption.name == "bandit":
            figure = f" (here {states} states, discount {float_model.discount:g})"
        out.append(assumption.text + figure)
    return out


def dressed_as_given(case: Case, model: Any) -> Iterable[Instance]:
    """The model with its own start distribution, and the policies and settings that the claim allows, each once.

    Somebody else's method has its own start policy."""
    seen = set()
    for instance in dressed(case, model, limit=40 if model.num_states <= 10 else 6):
        own = dataclasses.replace(instance, mu=model.exact.start, rho=model.exact.start)
        choice = str((own.policy.tolist() if case.process is None or hasattr(case.process, "run_arrays") else "", own.settings))
        if choice not in seen and not case.domain.broken(own):
            seen.add(choice)
            yield own


def replayable(case: Case, instance: Instance, outcome: Confirmation) -> dict[str, Any]:
    """The counterexample as data that `pgtheory replay` runs anywhere."""
    method = case.process
    process = None
    if method is not None:
        process = {"name": getattr(method, "name", (method if isinstance(method, type) else type(method)).__name__)}
        if dataclasses.is_dataclass(method) and not isinstance(method, type):
            process["fields"] = {field.name: str(getattr(method, field.name)) for field in dataclasses.fields(method)}
    return {
        "schema": SCHEMA,
        "claim": case.claim,
        "form": case.name,
        "statement": case.statement.text(),
        "where": [[text(a), text(b)] for a, b in case.where],
        "process": process,
        "instance": instance.to_json(),
        "t": outcome.t,
        "left": outcome.left,
        "right": outcome.right,
        "ratio": outcome.ratio,
        "arithmetic": outcome.arithmetic,
        "bits": outcome.bits,
        "version": _version(),
    }


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


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pgtheory")
    except PackageNotFoundError:
        return "checkout"


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


__all__ = ["Form", "confirm", "measure", "resolve", "verify", "verify_case"]
