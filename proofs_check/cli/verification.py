"""`pgtheory verify`: the run, its table, its refutations with the command that replays each, its files."""

from __future__ import annotations

import dataclasses
import datetime
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mdps.errors import ModelError
from proofs_check.cli.output import line, print_json, say, table
from proofs_check.cli.progress import Progress, outcome
from proofs_check.report import words
from proofs_check.store import DEFAULT_PATH, Store
from proofs_check.verdict import REFUTED, ClaimVerdict, FormVerdict, Run, as_dict


@dataclasses.dataclass(frozen=True)
class Request:
    """What the command line asked for."""

    targets: tuple[str, ...] = ()
    budget: str = "quick"
    bound: str | None = None
    settings: tuple[str, ...] = ()
    instance: str | None = None
    seed: int = 0
    jobs: int | None = None
    scheduler: str | None = None
    out: Path | None = None
    as_json: bool = False
    fresh: bool = False
    store: Path | None = None
    report: bool = True

    def command(self) -> str:
        """The command that asks for the same figures again."""
        words = ["pgtheory", "verify", *self.targets, "--budget", self.budget]
        words += ["--bound", self.bound] if self.bound is not None else []
        for setting in self.settings:
            words += ["--set", setting]
        words += ["--instance", self.instance] if self.instance is not None else []
        return shlex.join([*words, "--seed", str(self.seed)])


def verify_and_report(request: Request) -> int:
    """Runs what was asked for, prints and writes it; returns the exit status."""
    from proofs_check.report import write_data, write_report

    options = _engine_options(request)
    if request.out is not None and request.out.exists() and not request.out.is_dir():
        raise ModelError(f"--out {request.out} is a file; name a folder")
    with Store(request.store or DEFAULT_PATH) as store:
        progress = Progress()
        try:
            run = _verify(request, options, store, progress)
        except KeyboardInterrupt:
            progress.stop()
            return _interrupted(progress, store, request)
        finally:
            progress.stop()
        mutations = _mutations(request, store, run) if request.report else []
    run = dataclasses.replace(run, command=request.command())
    folder = request.out or _new_folder()
    index = write_report(run, folder, mutations) if request.report else None
    if index is None:
        write_data(run, folder)
    if request.as_json:
        print_json(as_dict(run) | {"folder": str(folder)})
    else:
        print_run(run, folder)
    (say if request.as_json else line)(f" report: {index}" if index else f" evidence: {folder / 'run.json'}")
    return 0 if run.expected else 1


def _mutations(request: Request, store: Store, run: Run) -> list[Any]:
    """What the store holds of the mutants of these claims; none for a changed claim, a single model, or a claim about something sampled."""
    from proofs_check.catalogue import claims
    from proofs_check.engine.mutate import stored

    if request.bound is not None or request.settings or request.instance is not None:
        return []
    listed = [verdict.id for verdict in run.verdicts if verdict.id in claims()]
    return stored(store, listed) if listed else []


def print_run(run: Run, folder: Path) -> None:
    """The table, what was refuted or does not apply, and the sum, on stdout."""
    rows: list[tuple[str, ...]] = []
    for verdict in run.verdicts:
        rows += _rows(verdict)
    table(("claim", "verdict", "tightness", "instances", "evidence"), rows, right=(2, 3), fold=4, colour=1)
    line()
    for verdict in run.verdicts:
        for form in verdict.forms:
            if form.verdict == REFUTED:
                for text in refutation(form, _replay_path(run, form, folder)):
                    line(text)
        for form in verdict.controls:
            if not form.expected:
                line(f"survived   {verdict.id}, negative control {form.form!r}: {form.verdict}; {words.evidence_line(form)}")
    for text in words.legend(run):
        line(f" {text}")
    shared = sorted({form.budget for verdict in run.verdicts for form in (*verdict.forms, *verdict.controls)} - {run.budget, ""})
    effort = f"; effort shared by the forms: {', '.join(shared)}" if shared else ""
    line(f" {words.summary(run)}   ({words.duration(run.seconds)}{effort})")


def refutation(form: FormVerdict, file: str) -> list[str]:
    """The two lines of a refutation: what is violated and by how much, then the instance and what survived."""
    example = form.counterexample or {}
    instance = example.get("instance") or {}
    sign = {"<=": ">", ">=": "<", "=": "is not"}[words.direction(form.statement)]
    left, right = words.sides(example)
    name = words.measured(form.statement)[0]
    at = f" at t = {words.figure(example['t'])}" if example.get("t") is not None else ""
    violated = f"{name} {words.figure(left, 4)} {sign} {'bound ' if sign != 'is not' else ''}{words.figure(right, 4)}{at}"
    certified = f", certified ({example['arithmetic']})" if example.get("arithmetic") else ""
    certified = f", level {example['level']:g} over {example['replications']:,} replications" if example.get("level") else certified
    claim = form.claim if form.form == "main" else f"{form.claim}:{form.form}"
    parts = [words.size(instance), *(f"{key} {words.figure(value)}" for key, value in (instance.get("settings") or {}).items())]
    second = "; ".join([", ".join(parts), *form.notes])
    return [f"refuted    {claim}    {violated}{certified}        replay: pgtheory replay {shlex.quote(file)}", f"           {second}"]


def _rows(verdict: ClaimVerdict) -> list[tuple[str, ...]]:
    """One row a claim; where its forms came out differently, one more for each form."""
    count = f"{verdict.instances:,}" if verdict.instances else "-"
    state = words.status(verdict)
    if state == words.NOT_APPLICABLE:
        return [(verdict.id, state, "-", "-", "; ".join(words.reasons(verdict)))]
    several = len({form.verdict for form in verdict.forms}) > 1
    rows: list[tuple[str, ...]] = [(verdict.id, state, _tightness(verdict.tightness), count, words.claim_evidence(verdict))]
    for form in verdict.forms if several else ():
        count = f"{form.instances:,}" if form.instances else "-"
        rows.append((f"  {form.form}", form.verdict, _tightness(form.tightness), count, words.evidence_line(form)))
    return rows


def _tightness(value: float | None) -> str:
    return "-" if value is None else words.tightness_figure(value)


def _verify(request: Request, options: dict[str, Any], store: Store, progress: Progress) -> Run:
    from proofs_check.engine.verify import verify

    try:
        return verify(list(request.targets) or None, store=store, progress=progress, **options)
    except ModelError as error:
        file = request.targets[0] if len(request.targets) == 1 else ""
        if not file.endswith(".py") or file in str(error):
            raise
        raise ModelError(f"{file}: {error}") from error


def _engine_options(request: Request) -> dict[str, Any]:
    settings: dict[str, str] = {}
    for text in request.settings:
        name, sign, value = text.partition("=")
        if not sign or not name.strip() or not value.strip():
            raise ModelError(f"--set {text!r}: write NAME=EXPR, for example --set eta=1/5")
        settings[name.strip()] = value.strip()
    if request.bound is not None and not request.bound.strip():
        raise ModelError("--bound is empty; write an expression, such as 'log(A)/(eta*t)'. `pgtheory claims quantities` lists what it may speak of")
    if (request.bound is not None or settings) and len(request.targets) != 1:
        flag = "--bound" if request.bound is not None else "--set"
        raise ModelError(f"{flag} changes one claim: name it, for example pgtheory verify npg-one-over-T {flag} ...")
    check_targets(request.targets)
    if request.scheduler is not None:  # said even where the store answers and no worker is asked
        from proofs_check.engine.schedule import check_address

        check_address(request.scheduler)
    return {
        "budget": request.budget, "seed": request.seed, "jobs": request.jobs, "scheduler": request.scheduler, "bound": request.bound,
        "settings": settings or None, "instance": request.instance, "fresh": request.fresh,
    }  # fmt: skip


def check_targets(targets: Sequence[str]) -> None:
    """ModelError where a target is no file with claims, no claim and no family: said at once, before anything is loaded or made."""
    from proofs_check.catalogue import check_named

    for target in targets:
        if not target.endswith(".py"):
            check_named(target.partition(":")[0], families=True)
        elif not Path(target).is_file():
            raise ModelError(f"{target}: there is no such file")


def _replay_path(run: Run, form: FormVerdict, folder: Path) -> str:
    from proofs_check.report import counterexample_files

    return str(counterexample_files(run, folder).get((form.claim, form.kind, form.form), folder / "run.json"))


def _new_folder() -> Path:
    """runs/<time>, or with a number behind it where another run began in the same second."""
    name = datetime.datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
    for attempt in range(1, 10_000):
        folder = Path("runs") / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise ModelError(f"cannot make {folder}: {error.strerror or error}; name another folder with --out") from error
        return folder
    raise ModelError(f"too many runs called {name}; name a folder with --out")


def _interrupted(progress: Progress, store: Store, request: Request) -> int:
    from proofs_check.cli.group import INTERRUPTED

    say()
    for verdict in progress.finished:
        say(f"  {outcome(verdict)}")
    ahead = f" of {progress.total}" if progress.total else ""
    say(f"interrupted: {len(progress.finished)}{ahead} forms finished; they are kept in {os.fspath(store.path)}, and the same command resumes there")
    return INTERRUPTED
