"""Writes a run as files: run.json, counterexamples, and the HTML report with its figures and their data.

Every file is whole when it appears, and index.html comes last: a folder that has one is complete.  The pages need no network, no script
and no server.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from mdps.errors import ModelError
from proofs_check.files import plain, read_json, to_json, write_whole
from proofs_check.report import words
from proofs_check.report.diagram import diagram
from proofs_check.report.instances import instance_table
from proofs_check.report.landscape import landscape
from proofs_check.report.mutants import mutation_table
from proofs_check.verdict import ClaimVerdict, FormVerdict, Run, as_dict, form_verdict

MUTANTS = "mutants.json"
SHORT = 8
"""Claims below which an index needs no filters."""
_HERE = pathlib.Path(__file__).parent


def write_report(run: Run, folder: str | os.PathLike[str], mutations: Sequence[Any] | None = None) -> pathlib.Path:
    """Writes the report on `run` into `folder` and returns the path of its index.html.

    mutations  what became of the claims' mutants (`engine.mutate.stored`); if left out, those of a mutants.json that lies in the folder
    raises     ModelError: the folder cannot be written
    """
    from proofs_check.engine.mutate import as_dict as mutation_data
    from proofs_check.engine.mutate import mutation_of

    target = pathlib.Path(folder)
    write_data(run, target)
    pages, names = _page_names(run), {id(form): name for name, form in _named_forms(run)}
    environment = _environment()
    if mutations is None:
        kept = target / MUTANTS
        mutations = [mutation_of(entry) for entry in read_json(kept)] if kept.exists() else []
    table = mutation_table(mutations, pages) if mutations else None
    if table is not None:
        write_whole(target / MUTANTS, to_json([mutation_data(one) for one in mutations]))
        write_whole(target / "mutants.html", environment.get_template("mutants.html").render(run=run, table=table, signs=words.MUTANT_SIGNS))
    ordered = sorted(run.verdicts, key=lambda verdict: (_family_order(run, verdict.family),))
    for position, verdict in enumerate(ordered):
        context = {
            "run": run,
            "claim": verdict,
            "forms": [_form_page(run, form, names[id(form)], target) for form in verdict.forms],
            "controls": [_form_page(run, form, names[id(form)], target) for form in verdict.controls],
            "command": words.reproduce(run, verdict.id),
            "legend": words.legend(dataclasses.replace(run, verdicts=[verdict])),
            "before": ordered[position - 1] if position else None,
            "after": ordered[position + 1] if position + 1 < len(ordered) else None,
            "pages": pages,
            "mutants": [form for form in (table or {"forms": ()})["forms"] if form["claim"] == verdict.id],
        }
        write_whole(target / pages[verdict.id], environment.get_template("claim.html").render(context))
    families: dict[str, list[ClaimVerdict]] = {}
    for verdict in ordered:
        families.setdefault(verdict.family, []).append(verdict)
    index = environment.get_template("index.html").render(
        run=run,
        families=families,
        pages=pages,
        unexpected=list(_unexpected(run)),
        mutants=table,
        landscape=landscape(families, pages),
        filters=_filters(run, families),
        legend=words.legend(run),
    )
    return write_whole(target / "index.html", index)


def write_data(run: Run, folder: str | os.PathLike[str]) -> pathlib.Path:
    """Writes run.json and every counterexample and worst instance as JSON of its own into `folder`; returns the path of run.json."""
    target = pathlib.Path(folder)
    for name, form in _named_forms(run):
        if form.counterexample:
            write_whole(target / f"{name}.json", to_json(form.counterexample))
        if form.worst:
            write_whole(target / f"{name}.worst.json", to_json(form.worst))
    return write_whole(target / "run.json", to_json(as_dict(run)))


def counterexample_files(run: Run, folder: str | os.PathLike[str]) -> dict[tuple[str, str, str], pathlib.Path]:
    """(claim, kind, form) -> the file that `write_data` puts its counterexample into."""
    return {(form.claim, form.kind, form.form): pathlib.Path(folder) / f"{name}.json" for name, form in _named_forms(run) if form.counterexample}


def read_run(path: str | os.PathLike[str]) -> Run:
    """The run that `run.json` holds; a folder stands for the run.json in it.

    raises  ModelError: no such file, no JSON, or no run
    """
    place = pathlib.Path(path)
    place = place / "run.json" if place.is_dir() else place
    data = read_json(place)
    try:
        verdicts = [_claim_verdict(item) for item in data["verdicts"]]
        fields = {field.name: data[field.name] for field in dataclasses.fields(Run) if field.name != "verdicts"}
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{place} is no run that `pgtheory verify` wrote ({error!s} is missing or misplaced)") from error
    return Run(verdicts=verdicts, **fields)


def _claim_verdict(data: dict[str, Any]) -> ClaimVerdict:
    names = {field.name for field in dataclasses.fields(ClaimVerdict)} - {"forms", "controls"}
    lists: dict[str, Any] = {key: [form_verdict(item) for item in data[key]] for key in ("forms", "controls")}
    return ClaimVerdict(**{key: value for key, value in data.items() if key in names}, **lists)


def _filters(run: Run, families: dict[str, list[ClaimVerdict]]) -> dict[str, dict[str, str]]:
    """What the index can be narrowed to: for each choice the values with their names; none where the list is short."""
    if len(run.verdicts) < SHORT:
        return {}
    sources = {claim.source["key"]: claim.source.get("text") or claim.source["key"] for claim in run.verdicts if claim.source.get("key")}
    return {
        "verdict": {name: name for name in words.counts(run)},
        "family": {family: family for family in families},
        "source": dict(sorted(sources.items(), key=lambda item: item[1].lower())),
    }


def _named_forms(run: Run) -> Iterator[tuple[str, FormVerdict]]:
    """A file name (no ending) for every form and control, unique within the run: the claim's id where it has a single form."""
    taken: set[str] = set()
    for verdict in run.verdicts:
        for form in (*verdict.forms, *verdict.controls):
            name = words.slug(verdict.id)
            if form.kind == "control":
                name += f"--control-{words.slug(form.form)}"
            elif len(verdict.forms) > 1:
                name += f"--{words.slug(form.form)}"
            while name in taken:
                name += "-again"
            taken.add(name)
            yield name, form


def _page_names(run: Run) -> dict[str, str]:
    pages: dict[str, str] = {}
    for verdict in run.verdicts:
        name = words.slug(verdict.id)
        while f"{name}.html" in pages.values() or name in ("index", "mutants"):
            name += "-again"
        pages[verdict.id] = f"{name}.html"
    return pages


def _form_page(run: Run, form: FormVerdict, name: str, folder: pathlib.Path) -> dict[str, Any]:
    """All that the page shows of one form or control; writes its picture and data on the way."""
    page: dict[str, Any] = {
        "verdict": form,
        "mathml": _mathml(form.statement),
        "evidence": words.evidence_line(form),
        "worst": instance_table(plain(form.worst)),
        "counterexample": instance_table(plain((form.counterexample or {}).get("instance"))),
        "graph": diagram(plain((form.counterexample or {}).get("instance") or form.worst)),
        "file": f"{name}.json" if form.counterexample else None,
        "worst_file": f"{name}.worst.json" if form.worst else None,
        "replay": f"pgtheory replay {folder / f'{name}.json'}" if form.counterexample else None,
        "svg": None,
        "finding": None,
    }
    if form.curve and form.kind == "statement" and form.curve.get("t"):
        from proofs_check.plots import curve_csv, finding
        from proofs_check.report.figures import pictures

        page["svg"], file = pictures(form, name, command=words.reproduce(run, form.claim), version=run.version)
        page["finding"] = finding(form.curve, words.direction(form.statement))
        page["csv"], page["svg_file"] = f"{name}.csv", f"{name}.svg"
        write_whole(folder / page["csv"], curve_csv(form.curve))
        write_whole(folder / page["svg_file"], file)
    return page


def _mathml(statement: str) -> str | None:
    """The statement's text typeset as MathML; None for text that is no single comparison (a control that changes something else)."""
    from proofs_check.statement import parse_statement

    try:
        return parse_statement(statement).mathml()
    except ValueError:
        return None


def _family_order(run: Run, family: str) -> int:
    return [verdict.family for verdict in run.verdicts].index(family)


def _unexpected(run: Run) -> Iterator[tuple[ClaimVerdict, FormVerdict]]:
    for verdict in run.verdicts:
        for form in (*verdict.forms, *verdict.controls):
            if not form.expected:
                yield verdict, form


def _environment() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {
        "figure": words.figure,
        "tightness": words.tightness_figure,
        "duration": words.duration,
        "bar": _bar,
        "share": _share,
        "capfirst": _capfirst,
    }
    environment.globals |= {"words": words, "style": (_HERE / "templates" / "style.css").read_text(encoding="utf-8")}
    return environment


def _share(factor: float, whole: float) -> float:
    """A link's share of the looseness on a logarithmic scale, in per cent: shares add up to 100."""
    import math

    return round(max(0.0, min(100.0, 100 * math.log(factor) / math.log(whole))), 2) if factor > 1 and whole > 1 else 0.0


def _capfirst(text: str) -> str:
    return text[:1].upper() + text[1:]


def _bar(tightness: float | None) -> float:
    """Length of the tightness bar in per cent: logarithmic, full at 1, empty at a millionth."""
    import math

    if tightness is None or tightness <= 0:
        return 0.0
    return round(max(1.5, min(100.0, 100 * (1 + math.log10(tightness) / 6))), 2)
