"""The sentences that terminal and report share: headline, reproduction command, symbols of the verdicts, figures as people write them."""

from __future__ import annotations

import datetime
import math
import re
import shlex
from collections import Counter
from collections.abc import Mapping
from typing import Any

from mdps.errors import ModelError, plural
from proofs_check.verdict import CERTIFIED, PROVED, REFUTED, SUPPORTED, SURVIVING, UNDECIDED, VACUOUS, VERDICTS, ClaimVerdict, FormVerdict, Run

SYMBOLS = {PROVED: "■", CERTIFIED: "◆", SUPPORTED: "●", SURVIVING: "◐", VACUOUS: "○", UNDECIDED: "?", REFUTED: "✕"}
MUTANT_SIGNS = {"refuted": "✕", "by hand": "×", "implied": "≤", "sharper": "●", "open": "○", "unexplained": "?"}
MEANINGS = {
    PROVED: "the symbolic derivation was checked for all instances of the class that the scope names",
    CERTIFIED: "rational or ball arithmetic confirmed it on the certified instances; the search found nothing against it",
    SUPPORTED: "float64 with a stated tolerance (where something is sampled: a test of stated level and power), over the instances and up to the "
    "step given; the search found nothing against it",
    SURVIVING: "a conjecture against which the same search found nothing; nobody has proved it",
    VACUOUS: "holds, but the bound never fell below the trivial one: no evidence",
    UNDECIDED: "no evidence either way, or numerically unreliable evidence",
    REFUTED: "a counterexample violates it, confirmed in rational or ball arithmetic (where something is sampled: by fresh replications, at the "
    "level stated)",
}
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
NOT_APPLICABLE = "not applicable"


def status(verdict: ClaimVerdict) -> str:
    """The verdict's word, or 'not applicable' where the instance given does not meet the claim's assumptions."""
    return NOT_APPLICABLE if verdict.not_met and all(form.evidence.startswith(NOT_APPLICABLE) for form in verdict.forms) else verdict.verdict


def reasons(verdict: ClaimVerdict) -> list[str]:
    """What the instance does not meet, in words."""
    return [text.removeprefix("does not meet: ") for text in verdict.not_met]


def sides(example: Mapping[str, Any]) -> tuple[Any, Any]:
    """Measured and claimed in a counterexample: numbers, or exact text."""
    return example.get("left", example.get("measured")), example.get("right", example.get("bound"))


def measured(statement: str) -> tuple[str, str]:
    """What the left side is: a short name, and its meaning with the unit; the text itself where it is no single quantity."""
    from proofs_check.quantities import quantities
    from proofs_check.statement import parse_statement

    try:
        left = parse_statement(statement).left
    except ModelError:
        return "measured", "measured"
    known = quantities().get(str(left))
    if known is None or known.meaning.startswith("Zero"):
        return "measured", "measured"
    meaning = known.meaning.split(";")[0].split(",")[0].rstrip(".")
    meaning = re.sub(r"\b(rho|mu|pi|tau|gamma)\b", lambda m: {"rho": "ρ", "mu": "μ", "pi": "π", "tau": "τ", "gamma": "γ"}[m[0]], meaning)
    return str(left), meaning + (" [reward]" if "reward units" in known.meaning else "")


def counts(run: Run) -> dict[str, int]:
    """Claims for each verdict, in the order of VERDICTS; 'not applicable' last."""
    found = Counter(status(verdict) for verdict in run.verdicts)
    return {name: found[name] for name in (*VERDICTS, NOT_APPLICABLE) if found[name]}


def controls(run: Run) -> tuple[int, int]:
    """(negative controls refuted, negative controls run)."""
    ran = [control for verdict in run.verdicts for control in verdict.controls]
    return sum(control.verdict == REFUTED for control in ran), len(ran)


def summary(run: Run) -> str:
    """'10 claims: 2 proved, 8 certified, 0 refuted; 21 of 21 negative controls refuted'."""
    parts = counts(run)
    parts.setdefault(REFUTED, 0)
    text = f"{plural(len(run.verdicts), 'claim')}: " + ", ".join(f"{count:,} {name}" for name, count in parts.items())
    refuted, ran = controls(run)
    return text + (f"; {refuted:,} of {plural(ran, 'negative control')} refuted" if ran else "; no negative controls run")


def reproduce(run: Run, claim: str) -> str:
    """The command that verifies `claim` again as this run did: its own options, this claim only."""
    try:
        words = shlex.split(run.command)
    except ValueError:
        words = []
    if words[:2] != ["pgtheory", "verify"]:
        return f"pgtheory verify {shlex.quote(claim)} --budget {run.budget} --seed {run.seed}"
    targets, options, rest = [], [], words[2:]
    valued = {"--budget", "--bound", "--set", "--instance", "--seed", "--jobs", "--out", "--store", "--method", "--scheduler"}
    while rest:
        word = rest.pop(0)
        if word in valued:
            value = rest.pop(0) if rest else ""
            if word not in ("--budget", "--seed", "--out", "--jobs", "--store", "--scheduler"):
                options += [word, value]
        elif word.startswith("--"):
            if "=" in word and word.split("=")[0] in ("--bound", "--set", "--instance", "--method"):
                options.append(word)
        else:
            targets.append(word)
    files = [target for target in targets if target.endswith(".py")]
    named = [target for target in targets if target == claim or target.startswith(f"{claim}:")]
    chosen = named or (files if files else [claim])
    return shlex.join(["pgtheory", "verify", *chosen, *options, "--budget", run.budget, "--seed", str(run.seed)])


def slug(text: str) -> str:
    """A file name made of `text`: lower case, letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "unnamed"


def direction(statement: str) -> str:
    """'<=', '>=' or '=': what the statement's text claims about measured and bound."""
    for sign in ("<=", ">=", "≤", "≥"):
        if sign in statement:
            return {"≤": "<=", "≥": ">="}.get(sign, sign)
    return "=" if "=" in statement else "<="


def figure(value: Any, digits: int = 3) -> str:
    """A number to three figures as people write it: 0.431, 2,400, 3.1·10⁻⁷; '–' where there is none."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return _readable(value, digits)
    if isinstance(value, bool | int) or (float(value).is_integer() and abs(value) < 1e6):
        return f"{int(value):,}"
    if not math.isfinite(value):
        return str(value)
    if 1e-3 <= abs(value) < 1e6:
        return f"{value:,.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power = str(int(exponent)).translate(_SUPERSCRIPTS)
    return f"{mantissa.rstrip('0').rstrip('.')}·10{power}"


def _readable(text: str, digits: int) -> str:
    """Exact text shortened for reading: the midpoint of a ball, a decimal to `digits` figures, a whole number with its commas; the rest as it is."""
    middle = text.strip("[]").split(" +/-")[0].strip()
    try:
        value = float(middle)
    except ValueError:
        return text
    return f"{int(middle):,}" if re.fullmatch(r"-?\d+", middle) else figure(value, digits)


TIGHTNESS = (
    "tightness: the largest measured/bound found (bound/measured for lower bounds); at 1 the bound is attained, above 1 it is broken, "
    "by that factor in the counterexample"
)
SURVIVAL = (
    "the bound times N survives: a search that goes on after a violation found nothing above N times the bound; "
    "the counterexample itself was made simple, not extreme"
)
"""What two figures beside each other mean, for the terminal and the pages."""


def legend(run: Run) -> list[str]:
    """The sentences that explain the figures which this run shows."""
    forms = [form for verdict in run.verdicts for form in (*verdict.forms, *verdict.controls)]
    shown = any(form.tightness is not None for form in forms)
    survived = any("the same search" in note for form in forms for note in form.notes)
    return [TIGHTNESS] * shown + [SURVIVAL] * survived


def tightness_figure(value: float | None) -> str:
    """Tightness for a table: two figures, '1' where the bound is attained."""
    if value is None:
        return "–"
    if 0.9995 <= value <= 1.0005:
        return "1"
    return f"{value:.2f}" if 0.01 <= value < 100 else figure(value, 2)


def when(moment: str) -> str:
    """'2026-01-02 03:04 UTC' from ISO 8601 text; other text as it is."""
    try:
        parsed = datetime.datetime.fromisoformat(moment)
    except ValueError:
        return moment
    return parsed.strftime("%Y-%m-%d %H:%M ") + (parsed.tzname() or "").replace("UTC+00:00", "UTC")


def duration(seconds: float) -> str:
    """'0.4 s', '41 s', '12 min 5 s'."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def claim_evidence(verdict: ClaimVerdict) -> str:
    """What the verdict on a claim rests on, in one line, with the instance that came closest to the bound."""
    weakest = next((form for form in verdict.forms if form.verdict == verdict.verdict), None)
    if weakest is None:
        return ""
    count = plural(len(verdict.forms), "form")
    if len({form.verdict for form in verdict.forms}) > 1:
        text = f"{count}, the weakest counts"
    elif len(verdict.forms) > 1 and weakest.statistics:
        facts = weakest.statistics
        text = f"{count}: {facts['replications']:,} replications of each of {verdict.instances:,} instances; level {facts['level']:g}"
    elif len(verdict.forms) > 1:
        certified = sum(form.certified for form in verdict.forms)
        text = f"{count}: " + (f"{certified:,} checks in exact arithmetic, " if certified else "") + f"{verdict.instances:,} in float64"
    else:
        text = evidence_line(weakest)
    tightest = max((form for form in verdict.forms if form.tightness is not None and form.worst), key=lambda form: form.tightness or 0, default=None)
    return text + (f"; worst: {size(tightest.worst)}" if tightest is not None and verdict.verdict not in (PROVED, REFUTED) else "")


def size(instance: Mapping[str, Any] | None) -> str:
    """'2 states, 3 actions, gamma 0.93'."""
    data = instance or {}
    parts = [plural(int(data[key]), noun) for key, noun in (("states", "state"), ("actions", "action")) if data.get(key)]
    return ", ".join(parts + ([f"gamma {figure(data['discount'])}"] if data.get("discount") is not None else []))


def evidence_line(form: FormVerdict) -> str:
    """What the verdict on a form rests on, in one line."""
    if form.verdict == REFUTED and form.counterexample:
        left, right = sides(form.counterexample)
        at = f" at t = {figure(form.counterexample['t'])}" if form.counterexample.get("t") is not None else ""
        return f"{figure(left)} against {figure(right)}{at}: {size(form.counterexample.get('instance'))}"
    if form.evidence:
        return form.evidence
    parts = []
    if form.certified:
        parts.append(f"{form.certified:,} certified")
    if form.horizon:
        parts.append(f"t up to {form.horizon:,}")
    return ", ".join(parts) or MEANINGS[form.verdict]
