"""Where named costs come from, and how a constraint is written.

    load_constrained("model.json", ["energy <= 3/10", "gain >= 2"])

A constraint is NAME <= NUMBER or NAME >= NUMBER about the expected discounted sum of a cost.  NAME is one of

    a cost of the model      a zoo case (C7, ...), or a .json file whose transitions carry {"costs": {"energy": 1}} beside their reward
    a column of a table      costs="costs.csv": columns state, action, then one for each cost; pairs that are not listed cost 0
    visits(STATE)            1 in that state
    plays(ACTION)            1 for that action
    reward                   what the model pays

STATE and ACTION are names or indices; an action * in a table stands for all actions of the state.  Numbers are read exactly (0.3 is 3/10).

A ConstrainedMDP is written by `write_constrained` as .json: the model, its costs beside the rewards, and a field
"constraints": [{"cost": "energy", "direction": "<=", "threshold": "3/10"}], which `load_constrained` without constraints goes by.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mdps.constrained import ConstrainedMDP
from mdps.errors import ModelError, nearest
from mdps.io.files import read_text, real_number, refuse, show
from mdps.io.formats import load_model
from mdps.model import MDP
from mdps.rational import rational, rational_array, simplest_array

Array = np.ndarray
WRITTEN = re.compile(r"\s*(?P<name>[^\s<>=≤≥][^<>=≤≥]*?)\s*(?P<sign><=|>=|≤|≥|=<|=>|==|=|<|>)\s*(?P<bound>\S+)\s*")
CASE = re.compile(r"\s*[Cc]\d+[A-Ca-c]?\s*")
COMPUTED = re.compile(r"(?P<what>visits|plays)\s*\(\s*(?P<which>.+?)\s*\)")


def load_constrained(
    spec: str | Path | MDP | ConstrainedMDP,
    constraints: Sequence[str] = (),
    discount: Any = None,
    costs: str | Path | Mapping[str, Any] | None = None,
) -> ConstrainedMDP:
    """The constrained problem that a model and written constraints stand for.

    spec         what `mdps.io.load_model` takes, the name of a zoo case such as "C7", or a ConstrainedMDP
    constraints  such as ["cost <= 0.3"]; left out, the thresholds of the case or file itself
    costs        a table of costs (.csv), or {name: array of any shape that rewards may have}
    raises       ModelError: a constraint that cannot be read, an unknown cost (lists the known ones), whatever is wrong with the model
    """
    mdp, known, written = _model(spec, discount)
    extra = read_costs(costs, mdp) if isinstance(costs, str | Path) else dict(costs or {})
    twice = sorted(set(extra) & set(known))
    if twice:
        raise ModelError(f"the cost {twice[0]!r} is in the model and given besides; give it another name")
    known |= extra
    wanted = [read_constraint(text) for text in constraints] or written
    if not wanted:
        raise ModelError("no constraint was given; write one such as cost<=0.3")
    names = [name for name, _, _ in wanted]
    if len(set(names)) != len(names):  # the same cost from both sides is fine: both names then say which
        names = [f"{name} {sign}" for name, sign, _ in wanted]
    tables = [_cost(name, mdp, known) for name, _, _ in wanted]
    bounds = rational_array([bound for _, _, bound in wanted])
    return ConstrainedMDP(mdp, tables, bounds, names, [sign for _, sign, _ in wanted], mdp.name)


def read_constraint(text: str) -> tuple[str, str, Any]:
    """(name, "<=" or ">=", threshold as fmpq) of a text such as "cost<=0.3"."""
    found = WRITTEN.fullmatch(text)
    if found is None:
        raise ModelError(f"{text!r} is no constraint; write the name of a cost, <= or >=, and a number: cost<=0.3")
    sign = {"≤": "<=", "≥": ">=", "=<": "<=", "=>": ">="}.get(found["sign"], found["sign"])
    if sign not in ("<=", ">="):
        hint = "an equality is two constraints, one with <= and one with >=" if "=" in sign else f"write {sign}="
        raise ModelError(f"{text!r}: a constraint has <= or >=, not {sign}; {hint}")
    try:
        return found["name"], sign, rational(found["bound"])
    except ModelError as error:
        raise ModelError(f"{text!r}: the threshold {found['bound']!r} is no number; write 0.3 or 3/10") from error


def read_costs(path: str | Path, mdp: MDP) -> dict[str, Array]:
    """{name: (pairs,)} of a .csv table of costs; errors name file and line."""
    lines = list(csv.reader(io.StringIO(read_text(path))))
    rows = [(k, [cell.strip() for cell in row]) for k, row in enumerate(lines, 1) if row and not row[0].lstrip().startswith("#")]
    if not rows or rows[0][1][:2] != ["state", "action"] or len(rows[0][1]) < 3:
        refuse(path, rows[0][0] if rows else None, "the first line must name the columns: state,action, then one for each cost")
    names = rows[0][1][2:]
    if len(set(names)) != len(names) or not all(names):
        refuse(path, rows[0][0], f"the columns {', '.join(names)} must be different words")
    out = rational_array(np.zeros((len(names), mdp.num_pairs), dtype=int))
    seen: dict[int, int] = {}
    for line, row in rows[1:]:
        if len(row) != len(names) + 2:
            refuse(path, line, f"this line has {len(row)} columns, the first one {len(names) + 2}")
        try:
            state = _place(row[0], mdp.state_names, mdp.num_states, "state")
            pairs = range(int(mdp.first_pair[state]), int(mdp.first_pair[state + 1]))
            if row[1] != "*":
                action = _place(row[1], mdp.action_names, mdp.num_actions, "action")
                if action >= len(pairs):
                    raise ModelError(f"{mdp.state_label(state)} has no action {action}")
                pairs = pairs[action : action + 1]
        except ModelError as error:
            refuse(path, line, str(error))
        for name, cell in zip(names, row[2:], strict=True):
            real_number(cell, path, line, name)  # says which line is wrong
        numbers = rational_array(row[2:])
        for pair in pairs:
            if pair in seen:
                refuse(path, line, f"the costs of {mdp.state_label(state)}, action {row[1]} were there before, in line {seen[pair]}")
            seen[pair] = line
            out[:, pair] = numbers
    return dict(zip(names, out, strict=True))


def write_constrained(model: ConstrainedMDP, path: str | Path) -> Path:
    """Writes the problem as .json, whole or not at all; exact numbers stay exact."""
    from mdps.io.native import to_json, write_parsed_json

    if Path(path).suffix.lower() != ".json":
        raise ModelError(f"{path}: a constrained problem is written as .json")
    source = model.exact if model.given_exactly else model
    number = show if source.is_exact else float
    data = to_json(source.mdp)
    for k, pair in enumerate(data["transitions"]):
        pair["costs"] = {name: number(cost[k]) for name, cost in zip(source.names, source.costs, strict=True)}
    data["constraints"] = [
        {"cost": name, "direction": sign, "threshold": number(bound)}
        for name, sign, bound in zip(source.names, source.directions, source.thresholds, strict=True)
    ]
    return write_parsed_json(data, path)


def _model(spec: Any, discount: Any) -> tuple[MDP, dict[str, Any], list[tuple[str, str, Any]]]:
    """(model, {name: cost}, [(name, direction, threshold)]) of whatever names a model."""
    problem = spec if isinstance(spec, ConstrainedMDP) else _case(spec)
    if problem is not None:
        source = problem.exact if problem.given_exactly else problem
        bounds = source.thresholds if source.is_exact else simplest_array(source.thresholds)
        mdp = load_model(source.mdp, discount)
        return mdp, dict(zip(source.names, source.costs, strict=True)), list(zip(source.names, source.directions, bounds, strict=True))
    mdp = load_model(spec, discount)
    if isinstance(spec, MDP) or Path(str(spec)).suffix.lower() != ".json" or not Path(str(spec)).is_file():
        return mdp, {}, []
    from mdps.io.native import json_costs, parsed_json

    data = parsed_json(spec)
    return mdp, json_costs(data, str(spec)), _json_constraints(data, str(spec))


def _case(spec: Any) -> ConstrainedMDP | None:
    from mdps.zoo.constrained import constrained_case

    if not isinstance(spec, str) or not CASE.fullmatch(spec) or Path(spec).exists():
        return None
    return constrained_case(spec).problem


def _json_constraints(data: dict[str, Any], where: str) -> list[tuple[str, str, Any]]:
    out = []
    listed = data.get("constraints", [])
    for k, item in enumerate(listed if isinstance(listed, list) else [listed]):
        if not isinstance(item, dict) or set(item) != {"cost", "direction", "threshold"} or item["direction"] not in ("<=", ">="):
            raise ModelError(f'{where}: constraints[{k}] must be an object {{"cost": name, "direction": "<=" or ">=", "threshold": number}}')
        try:
            out.append((item["cost"], item["direction"], rational(str(item["threshold"]))))
        except ModelError as error:
            raise ModelError(f"{where}: constraints[{k}]: {error}") from error
    return out


def _cost(name: str, mdp: MDP, known: dict[str, Any]) -> Any:
    """The cost of that name, as an array that a ConstrainedMDP takes."""
    if name in known:
        return known[name]
    if name == "reward":
        return (mdp.exact if mdp.given_exactly else mdp).pair_rewards
    computed = COMPUTED.fullmatch(name)
    if computed is None:
        there = f"The model has {', '.join(known)}." if known else "The model has none of its own; a table may be given besides (--costs FILE.csv)."
        raise ModelError(f"there is no cost {name!r}.{nearest(name, list(known))} {there} Always there: reward, visits(STATE), plays(ACTION).")
    table = np.zeros((mdp.num_states, mdp.num_actions), dtype=int)
    if computed["what"] == "visits":
        table[_place(computed["which"], mdp.state_names, mdp.num_states, "state")] = 1
    else:
        table[:, _place(computed["which"], mdp.action_names, mdp.num_actions, "action")] = 1
    return table[mdp.action_mask].astype(float)


def _place(word: str, names: Sequence[str] | None, count: int, what: str) -> int:
    """The index of a state or action given by index or name."""
    text = str(word).strip()
    if names is not None and text in names:
        return tuple(names).index(text)
    if text.isdecimal() and int(text) < count:
        return int(text)
    known = f" There are {', '.join(names[:8])}{', ...' if count > 8 else ''}." if names else f" There are {count}, from 0."
    raise ModelError(f"there is no {what} {text!r}.{nearest(text, list(names or ())) or known}")
