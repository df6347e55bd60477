"""`replay`: a counterexample file, judged again from nothing but its own content.

The file holds the statement as text, the method with its settings, the instance in exact fractions and the step.  Nothing is taken from the
catalogue, so a file keeps its meaning when a claim changes.  Only a statistical one names its claim's sampler, which is code: its replications are
drawn again from their names and seed.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

from mdps.errors import ModelError, plural
from proofs_check.claim import Case
from proofs_check.domains import Domain
from proofs_check.engine.certify import Confirmation, confirm
from proofs_check.instance import Instance
from proofs_check.quantities import parse
from proofs_check.statement import parse_statement

SCHEMA = "pgtheory-counterexample-1"
SAMPLED_SCHEMA = "pgtheory-sampled-counterexample-1"
ANY = Domain(rewards=None, policy="any", mu="any", rho="any")
"""Replay judges the statement on the instance as it stands; whether the instance met the claim's assumptions was checked when it was found."""


@dataclasses.dataclass(frozen=True)
class Replay:
    """What the replay found."""

    confirmed: bool
    text: str
    data: dict[str, Any]
    outcome: Confirmation


def replay(source: dict[str, Any] | str | pathlib.Path) -> Replay:
    """Judges a counterexample (its data or the path of its JSON file) again in exact arithmetic.

    raises   ModelError: no such file, not JSON, another schema, a missing or malformed field
    """
    data = source if isinstance(source, dict) else _read(pathlib.Path(source))
    if data.get("schema") == SAMPLED_SCHEMA:
        return _replay_sampled(data)
    if data.get("schema") != SCHEMA:
        raise ModelError(f"this is no counterexample file: its schema is {data.get('schema')!r}, not {SCHEMA!r}")
    for field in ("claim", "form", "statement", "instance", "t"):
        if field not in data:
            raise ModelError(f"the counterexample has no field {field!r}")
    instance = Instance.from_json(data["instance"])
    where = tuple((parse(a), parse(b)) for a, b in data.get("where", []))
    case = Case(
        data["claim"], data["form"], "statement", parse_statement(data["statement"]), ANY, _method(data.get("process")),
        settings={}, trivial=None, where=where, horizon=None, symbolic=(), boxes=(), instances=(),
    )  # fmt: skip
    t = data["t"] if data["t"] is not None else 0
    outcome = confirm(case, instance, [int(t)])
    confirmed = outcome.status == "violated"
    lines = [
        f"claim      {data['claim']} ({data['form']})",
        f"statement  {data['statement']}",
        f"instance   {plural(instance.shape[0], 'state')}, {plural(instance.shape[1], 'action')}, discount {instance.discount}"
        + "".join(f", {name} = {value}" for name, value in instance.settings.items()),
    ]
    if confirmed:
        sign = {"<=": ">", ">=": "<", "=": "!="}[case.statement.relation]
        how = "rationals" if outcome.arithmetic == "rationals" else f"balls of {outcome.bits} bits"
        lines.append(f"violated   {outcome.left} {sign} {outcome.right}   at t = {outcome.t}, certified in {how}")
    else:
        lines.append(f"NOT confirmed: the statement {outcome.status} here{f' ({outcome.reason})' if outcome.reason else ''}")
    return Replay(confirmed, "\n".join(lines), data, outcome)


def _replay_sampled(data: dict[str, Any]) -> Replay:
    from proofs_check.statistics.examination import replay_sampled

    missing = [field for field in ("claim", "form", "statement", "instance", "number", "entry", "seed", "replications") if field not in data]
    if missing:
        raise ModelError(f"the counterexample has no field {missing[0]!r}")
    confirmed, again = replay_sampled(data)
    lines = [f"claim      {data['claim']} ({data['form']})", f"statement  {data['statement']}", f"instance   {data['instance'].get('name', '')}"]
    if again is None:
        outcome = Confirmation("undecided", "statistics", 0, reason="the replications of the file do not reach the level")
        lines.append(f"NOT confirmed: {outcome.reason}")
    else:
        outcome = Confirmation("violated", "statistics", 0, None, again["left"], again["right"], again["ratio"])
        sign = ">" if again["direction"] == "above" else "<"
        lines.append(
            f"violated   mean {again['left']} {sign} {again['right']}   over {again['replications']:,} replications, level {again['level']:g}"
        )
    return Replay(confirmed, "\n".join(lines), data, outcome)


def _read(path: pathlib.Path) -> dict[str, Any]:
    if not path.exists():
        raise ModelError(f"no file {path}")
    try:
        data = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ModelError(f"{path}, line {error.lineno}: not JSON ({error.msg})") from None
    if not isinstance(data, dict):
        raise ModelError(f"{path} holds no counterexample")
    return data


def _method(process: dict[str, Any] | None) -> Any:
    """The method by name, its fields as expressions."""
    if process is None:
        return None
    from pgtheory.policy_gradient import method_named

    method = method_named(process["name"])
    words = {field.name for field in dataclasses.fields(method) if isinstance(field.default, str)}
    return method(**{name: text if name in words else parse(text) for name, text in process.get("fields", {}).items()})
