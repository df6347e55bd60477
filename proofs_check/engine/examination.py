"""One form's verification: search, shrink, confirm, prove, compose, certify, and the words of the verdict."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from mdps.errors import ModelError, plural
from proofs_check import verdict as v
from proofs_check.claim import Case
from proofs_check.engine import budget as budgets
from proofs_check.engine.budget import Budget
from proofs_check.engine.certify import MOST_BITS, Confirmation, certify, confirm
from proofs_check.engine.measure import Measurement, check_settings_reach, compare, free_names, trajectory
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
EXACT = 2.0**-64
"""What exact arithmetic shows to fail by no more than this, if at all, is no failure of the size that a candidate has: more than the smallest
tolerance, 1e3 2^-52 1e-3 (`engine.measure.tolerance`).  Two sides that are equal and leave the rationals are never told apart by balls."""
TRIES = 600
"""Instances that one candidate's shrinking may measure."""
PLAIN_NAMED = 60
"""Named instances on which a method in plain Python is run."""


def verify_case(case: Case, budget: Budget, seed: int, model: Any = None, progress: Any = None) -> v.FormVerdict:
    """The verdict on one form."""
    return Examination(case, budget, seed, progress).run(model)


class Examination:
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
        known: Iterable[Instance] = itertools.islice(named(self.case), 0, None, self.budget.stride)
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
        if found.instances == 0 and instances:
            reason = f"it says nothing about the first {max(longer.horizons):,} steps of this model"
            return self.result(v.UNDECIDED, found, evidence=f"not applicable: {reason}", applies=False, notes=[f"does not meet: {reason}"])
        certified = self.certify(instances[:2]) if model.num_states <= CERTIFIED_SIZE and not self.theirs else 0
        return self.verdict(found, "", certified)

    def unmet(self, model: Any) -> list[str]:
        """Assumptions on the model itself that it does not meet, with the figure."""
        return unmet_assumptions(self.case, model)

    def candidate(self, instance: Instance, seen: Measurement, k: int, horizon: int, *, tries: int = TRIES, most_bits: int = MOST_BITS) -> Any:
        """Shrinks and confirms an instance that fails in floats; a confirmed one becomes the counterexample."""
        self.say("shrinking a candidate")
        tried = shrink(self.case, instance, horizon, max_trials=tries)
        trials = [tried] if tried is not None else []
        settled = _settled(self.case, instance)
        if settled is not None:
            trials.append((settled, seen.violations(k)))
        unsure = settled is None
        for exact, times in trials:
            self.say("confirming in exact arithmetic")
            for t in confirmable_times(times):
                outcome = confirm(self.case, exact, [t], most_bits=most_bits)
                if outcome.status == "violated":
                    self.counterexample = replayable(self.case, exact, outcome)
                    return self.counterexample
                if outcome.status == "undecided" and not (outcome.apart is not None and outcome.apart <= EXACT):
                    self.notes.append(f"a candidate could not be confirmed: {outcome.reason}"[:300])
                    unsure = True
        if unsure:
            self.unconfirmed += 1
        else:
            self.notes.append("float64 saw a violation where exact arithmetic is certain that there is none of that size: rounding")
        return None

    def prove(self) -> str:
        """The classes over which the statement is proved, with the way, in words."""
        return "; ".join(filter(None, [self.prove_identity(), self.prove_boxes(), self.prove_polynomials()]))

    def prove_identity(self) -> str:
        """The sizes for which both sides are the same rational function, in words."""
        from proofs_check.engine.symbolic import proved

        done = [size for size in self.case.symbolic if proved(self.case, *size)]
        if len(done) < len(self.case.symbolic):
            self.notes.append("the two sides differ as rational functions")
            self.disproved = True
            return ""
        return "symbolic for all instances with (S, A) = " + ", ".join(f"({s}, {a})" for s, a in done) if done else ""

    def prove_boxes(self) -> str:
        """The classes over which branch and bound proves the inequality, in words."""
        if not self.case.boxes:
            return ""
        from proofs_check.engine.boxes import prove_class, scope

        out = []
        for size in self.case.boxes:
            words = scope(self.case, *size)
            self.say(f"branch and bound over {words}")
            ended = prove_class(self.case, *size)
            if ended.proved:
                out.append(words)
                self.notes.append(f"branch and bound over {words}: {ended.boxes:,} boxes in ball arithmetic")
            else:
                self.notes.append(f"branch and bound over {words} gave up after {ended.boxes:,} boxes")
        return f"branch and bound over {'; '.join(out)}" if out else ""

    def prove_polynomials(self) -> str:
        """The classes over which inequalities between polynomials prove the statement, in words."""
        if not self.case.polynomial:
            return ""
        from proofs_check.engine.charts import prove_everywhere, scope

        out = []
        for size in self.case.polynomial:
            words = scope(self.case, *size)
            self.say(f"polynomial inequalities over {words}")
            ended = prove_everywhere(self.case, *size)
            if ended.proved:
                out.append(words)
                self.notes.append(f"polynomial inequalities over {words}: {plural(ended.paths, 'path')} through the comparisons")
            else:
                self.notes.append(f"polynomial inequalities over {words} were not shown: {ended.reason}")
        return f"polynomial inequalities over {'; '.join(out)}" if out else ""

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
        if scope and not self.unconfirmed:
            verdict, evidence = v.PROVED, f"{scope}; {certified} exact instances"
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
        if self.case.conjecture and verdict in (v.CERTIFIED, v.SUPPORTED):
            verdict, evidence = v.SURVIVING, f"conjecture; {evidence}"
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
        "version": version_name(),
    }


def version_name() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pgtheory")
    except PackageNotFoundError:
        return "checkout"
