"""`pgtheory mutate` and `pgtheory tightness`: what became of every systematic false version of a theorem, and how much a bound could lose."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mdps.errors import ModelError
from proofs_check.cli.output import line, print_json, say, table
from proofs_check.cli.progress import Progress
from proofs_check.cli.verification import check_targets
from proofs_check.store import DEFAULT_PATH, Store


def mutate_and_print(
    targets: Sequence[str], standard: bool, everything: bool, *, budget: str, seed: int, as_json: bool, fresh: bool, store: Path | None,
    all_rows: bool, jobs: int | None = None,
) -> int:  # fmt: skip
    """Prints the table of mutants of the targets, of the standard selection or of the whole catalogue; 1 where one survived that is not listed."""
    if [bool(targets), standard, everything].count(True) != 1:
        raise ModelError("name claims, or say --all or --everything: pgtheory mutate npg-one-over-T, or pgtheory mutate --all")
    check_targets(targets)
    from proofs_check.catalogue.sharper import STANDARD
    from proofs_check.engine.mutate import as_dict, mutate

    targets = STANDARD if standard else targets
    progress = Progress()
    with Store(store or DEFAULT_PATH) as evidence:
        try:
            done = mutate(list(targets) or None, budget=budget, seed=seed, jobs=jobs, store=evidence, fresh=fresh, progress=progress)
        except KeyboardInterrupt:
            progress.stop()
            say(f"interrupted: {len(progress.finished):,} of {progress.total:,} mutants are judged and kept; the same command goes on with the rest")
            return 130
        finally:
            progress.stop()
    left = sum(len(one.unexplained) for one in done)
    if as_json:
        print_json([as_dict(one) for one in done])
        return 1 if left else 0
    for one in done:
        line(f"{_form(one)}    {one.statement}")
        line(f"  {len(one.mutants)} mutants: {_counts([one])}{f'; {one.same} more say the same as these' if one.same else ''}")
        rows = [(m.category, m.name, because(m)) for m in one.mutants if all_rows or m.status == "survived"]
        if rows:
            table(("  verdict", "mutant", "evidence"), [(f"  {a}", b, c) for a, b, c in rows], fold=2)
    if len(done) > 1:
        counted = [(_form(one), *(str(one.count(name)) for name in CATEGORIES)) for one in done]
        table(("claim", *CATEGORIES), counted, right=tuple(range(1, len(CATEGORIES) + 1)))
    line(f" {sum(len(one.mutants) for one in done):,} mutants: {_counts(done)}")
    if left:
        line(" an unexplained survivor is a hole in the search or a sharper truth: try --budget standard, then derive it or break it by hand")
    return 1 if left else 0


CATEGORIES = ("refuted", "by hand", "implied", "sharper", "open", "unexplained")


def _counts(done: Sequence[Any]) -> str:
    """'12 refuted, 1 refuted by hand, 5 implied (3 by signs alone), 2 sharper and true, 1 open'."""
    number = {name: sum(one.count(name) for one in done) for name in CATEGORIES}
    proved = sum(mutant.proved for one in done for mutant in one.mutants)
    shown = [f"{number['refuted']:,} refuted"] + ([f"{number['by hand']:,} refuted by hand"] if number["by hand"] else [])
    shown += [f"{number['implied']:,} implied" + (f" ({proved:,} by signs alone)" if proved else "")]
    shown += [f"{number['sharper']:,} sharper and true"] if number["sharper"] else []
    shown += [f"{number[name]:,} {name}" for name in ("open", "unexplained") if number[name]]
    return ", ".join(shown)


def because(mutant: Any) -> str:
    """What the verdict on a mutant rests on, in one line."""
    match mutant.category:
        case "implied":
            return f"implied by {mutant.by}: {mutant.evidence}"
        case "sharper":
            return f"true: {mutant.reason}" if mutant.status == "survived" else f"implied by {mutant.by}, for {mutant.reason}"
        case "by hand":
            return str(mutant.reason.removeprefix("false: "))
        case "open":
            return f"{mutant.reason.removeprefix('open: ')} ({mutant.evidence})"
        case "unexplained":
            return f"no reason known; {mutant.evidence}"
    return str(mutant.evidence)


def tightness_and_print(targets: Sequence[str], everything: bool, *, budget: str, seed: int, as_json: bool, orders: bool) -> int:
    """Prints kappa, the limiting instance and the empirical orders of each form."""
    _one_or_all(targets, everything, "tightness")
    check_targets(targets)
    from proofs_check.engine.tightness import tightness

    progress = Progress()
    try:
        done = tightness(list(targets) or None, budget=budget, seed=seed, orders=orders, progress=progress)
    finally:
        progress.stop()
    if as_json:
        print_json([dataclasses.asdict(one) for one in done])
        return 0
    for one in done:
        line(f"{_form(one)}    {one.statement}")
        if one.kappa is None:
            line(f"  {one.note}")
            continue
        line(f"  the bound could be sharpened by {one.kappa:.4g}: {one.sharpened} survived {one.survived:,} instances")
        at = one.limiting or {}
        settings = ", ".join(f"{key} {value:.4g}" for key, value in (at.get("settings") or {}).items())
        size = f"{at.get('states')} states, {at.get('actions')} actions, discount {at.get('discount'):.6g}"
        line(
            f"  limited by {size}{', ' + settings if settings else ''} at t = {at.get('t')}: {at.get('measured'):.6g} against {at.get('bound'):.6g}"
            f"; sharpened further it fails there{', certified' if one.confirmed else ' in float64 (not certified)'}"
        )
        if one.orders:
            rows = [
                ("  " + o.factor, o.term, f"{o.theorem:g}", f"{o.empirical:.2f}", f"{o.residual:.2f}", f"{o.local:.2f}", _cut(o)) for o in one.orders
            ]
            table(("  order in", "term", "theorem", "found", "residual", "last slope", "sizes"), rows, right=(2, 3, 4, 5))
        if one.note:
            line(f"  {one.note}")
    say("found orders are empirical: the slope of the worst case found over growing sizes, with the largest distance of a point from the line")
    return 0


def _cut(order: Any) -> str:
    sizes = f"{order.sizes[0]:g} to {order.sizes[-1]:g}"
    return sizes + (f"; from {min(order.cut_off):g} on the run ends before the worst case" if order.cut_off else "")


def _form(one: Any) -> str:
    return one.claim if one.form == "main" else f"{one.claim}:{one.form}"


def _one_or_all(targets: Sequence[str], everything: bool, command: str) -> None:
    if bool(targets) == everything:
        raise ModelError(f"name claims, or say --all: pgtheory {command} npg-one-over-T, or pgtheory {command} --all")
