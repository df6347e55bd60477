"""The library's own two formats: .json to be read and written by people, .npz for large models.  Both keep exact numbers exact.

JSON, one object:

    format        "mdps", version 1
    name          text, may be left out
    discount      number
    states        number of states, or the list of their names
    actions       list of names of actions, may be left out
    start         list of one number a state, may be left out (uniform)
    transitions   list of objects {"state": s, "action": a, "reward": number, "to": {successor: probability}}, one for every pair; s, a and
                  the successors are indices or names (what looks like an index is one), and the actions of a state are 0, 1, ... without a gap.
                  "costs": {name: number} may stand beside the reward; a cost that is not named is 0
    constraints   list of objects {"cost": name, "direction": "<=" or ">=", "threshold": number}, may be left out (`mdps.io.load_constrained`)

A number is a JSON number (a float, read bit by bit) or text ("3/10", "0.3": read exactly).  One text among them makes the whole model
exact; the JSON numbers of such a file are read as the decimals that they show.

NPZ: arrays first_pair, indptr, indices, data (CSR rows of the choice matrix), rewards, discount, start, and where present
state_names, action_names, name; `dense` says how the model was stored.  Exact numbers are text arrays.  No pickled objects.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from mdps.errors import ModelError, nearest
from mdps.io.files import Array, choice_matrix, discount_for, entries, in_file, read_arrays, read_text, refuse, show, write_text, write_whole
from mdps.model import MDP
from mdps.rational import rational, rational_array, simplest
from mdps.rows import SparseRows

# JSON

CHOICE = ("state", "action", "reward", "to")
"""The fields of a choice in `transitions`; `costs` may stand beside them."""


def to_json(mdp: MDP) -> dict[str, Any]:
    """The model as the object described above, ready for `json.dumps`; fractions as text."""
    source = mdp.exact if mdp.given_exactly else mdp
    number = (lambda x: show(x)) if source.is_exact else float
    rows, columns, probabilities = entries(mdp)
    ends = np.searchsorted(rows, np.arange(mdp.num_pairs + 1))
    pairs = []
    for pair in range(mdp.num_pairs):
        state = int(np.searchsorted(mdp.first_pair, pair, side="right")) - 1
        part = slice(ends[pair], ends[pair + 1])
        to = {str(t): number(p) for t, p in zip(columns[part].tolist(), probabilities[part].tolist(), strict=True)}
        pairs.append({"state": state, "action": pair - int(mdp.first_pair[state]), "reward": number(source.pair_rewards[pair]), "to": to})
    out: dict[str, Any] = {"format": "mdps", "version": 1}
    if mdp.name:
        out["name"] = mdp.name
    out["discount"] = number(source.discount)
    out["states"] = list(mdp.state_names) if mdp.state_names else mdp.num_states
    if mdp.action_names:
        out["actions"] = list(mdp.action_names)
    out["start"] = [number(p) for p in source.start]
    out["transitions"] = pairs
    return out


def from_json(data: Any, where: str = "model", discount: Any = None) -> MDP:
    """The model of a parsed JSON object; `where` names it in errors."""
    fields = ("format", "version", "name", "discount", "states", "actions", "start", "transitions", "constraints")
    if not isinstance(data, dict):
        raise ModelError(f"{where}: a model is a JSON object, not {type(data).__name__}")
    for key in data:
        if key not in fields:
            raise ModelError(
                f"{where}: unknown field {key!r}.{nearest(key, fields)} A model has {', '.join(fields)}; `pydoc mdps.io.native` describes them"
            )
    if data.get("format", "mdps") != "mdps" or data.get("version", 1) != 1:
        raise ModelError(f"{where}: format {data.get('format')!r} version {data.get('version')!r}; this reads format 'mdps' version 1")
    states, names = _count_or_names(data, where)
    action_names = data.get("actions")
    if action_names is not None and not isinstance(action_names, list):
        raise ModelError(f"{where}: actions must be a list of names")
    pairs = _pairs(data, where, states, names, action_names)
    order = sorted(pairs)
    if states > len(order):  # said before any memory is asked for
        missing = next(k for k, state in enumerate([*sorted({s for s, _ in order}), -1]) if k != state)
        raise ModelError(f"{where}: state {missing} of {states} has no action; a terminal state needs a self-loop with reward 0")
    first_pair = np.searchsorted([s for s, _ in order], np.arange(states + 1))
    for k, (s, a) in enumerate(order):
        if a != k - first_pair[s]:
            raise ModelError(f"{where}: state {s} has an action {a} but no action {k - first_pair[s]}")
    at, to, probabilities, rewards = [], [], [], []
    for k, key in enumerate(order):
        reward, successors = pairs[key]
        rewards.append(reward)
        for t, p in successors.items():
            at.append(k), to.append(t), probabilities.append(p)
    start = data.get("start")
    if start is not None and not isinstance(start, list):
        raise ModelError(f"{where}: start must be a list with one probability for each state")
    if discount is None and "discount" not in data:
        raise ModelError(f'{where}: no discount; write "discount": "9/10", or give one on loading (--discount)')
    gamma = _number(data["discount"], where, "discount") if "discount" in data else _Decimal("0")
    initial = [_number(p, where, f"start[{s}]") for s, p in enumerate(start or ())]
    exact = any(not isinstance(x, float | int | _Decimal) for x in (*probabilities, *rewards, *initial, gamma))
    choices = choice_matrix(np.array(at, dtype=int), np.array(to, dtype=int), _finish(probabilities, exact), len(order), states)
    paid, first = _finish(rewards, exact), None if start is None else _finish(initial, exact)
    gamma = _finish([gamma], exact)[0] if discount is None else discount_for(exact, discount)
    labels: dict[str, Any] = {"state_names": names, "action_names": action_names, "name": data.get("name")}
    return in_file(where, lambda: MDP.from_choices(first_pair, choices, paid, gamma, first, **labels))


def read_json(path: str | Path, discount: Any = None) -> MDP:
    """The model in a JSON file; errors name the file, and the line where the text is no JSON."""
    return from_json(parsed_json(path), str(path), discount)


def parsed_json(path: str | Path) -> Any:
    """The JSON value in a file, its decimals still as they were written."""
    text = read_text(path)
    try:
        return json.loads(text, parse_float=_Decimal, parse_constant=lambda name: refuse(path, None, f"{name} is no number for a model"))
    except json.JSONDecodeError as error:
        refuse(
            path, error.lineno, f"this is no JSON ({error.msg}, column {error.colno}){'; the file may be cut off' if error.pos >= len(text) else ''}"
        )
    except RecursionError:
        refuse(path, None, "this JSON is nested too deeply for a model")


def write_json(mdp: MDP, path: str | Path) -> Path:
    """Writes the model as JSON, one pair a line."""
    return write_parsed_json(to_json(mdp), path)


def write_parsed_json(data: dict[str, Any], path: str | Path) -> Path:
    """Writes what `to_json` made, one pair a line."""
    data = dict(data)
    pairs = ",\n".join("    " + json.dumps(pair, ensure_ascii=False) for pair in data.pop("transitions"))
    head = json.dumps(data, ensure_ascii=False, indent=2)[:-2]
    return write_text(path, f'{head},\n  "transitions": [\n{pairs}\n  ]\n}}\n')


class _Decimal(str):
    """A JSON number with a point or exponent, kept as it was written until it is known whether the file is exact."""


def _number(value: Any, where: str, what: str) -> Any:
    """A JSON number as int, float or _Decimal, or text as fmpq."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        if not isinstance(value, bool) and (hasattr(value, "numerator") or hasattr(value, "p")):
            return rational(value)
        raise ModelError(f'{where}: {what} is {json.dumps(value)}; write a number, or an exact one as text: "3/10"')
    if isinstance(value, _Decimal):
        if not np.isfinite(float(value)):
            raise ModelError(f"{where}: {what} is {value!s}, too large for a float; write it as text to have it read exactly")
        return value
    try:
        return rational(value) if isinstance(value, str) else value
    except ModelError as error:
        raise ModelError(f"{where}: {what}: {error}") from error


def _finish(values: list[Any], exact: bool) -> Array:
    """All values as fmpq or all as float64."""
    if exact:
        return rational_array([str(v) if isinstance(v, _Decimal) else simplest(v) if isinstance(v, float) else v for v in values])
    return np.array([float(v) for v in values], dtype=np.float64)


def _count_or_names(data: dict[str, Any], where: str) -> tuple[int, list[str] | None]:
    states = data.get("states")
    if isinstance(states, list) and states and all(isinstance(name, str) for name in states):
        return len(states), states
    if isinstance(states, int) and not isinstance(states, bool) and states > 0:
        return states, None
    raise ModelError(f"{where}: states is {json.dumps(states)[:60]}; it must be their number or the list of their names")


def _pairs(data: dict[str, Any], where: str, states: int, names: Any, actions: Any) -> dict[tuple[int, int], tuple[Any, dict[int, Any]]]:
    """{(state, action): (reward, {successor: probability})}."""
    listed = data.get("transitions")
    if not isinstance(listed, list):
        raise ModelError(f'{where}: transitions must be a list of objects {{"state", "action", "reward", "to"}}')
    index = _indices(names, actions)
    pairs: dict[tuple[int, int], tuple[Any, dict[int, Any]]] = {}
    for k, item in enumerate(listed):
        place = f"transitions[{k}]"
        if not isinstance(item, dict) or set(item) - {"costs"} != set(CHOICE) or not isinstance(item["to"], dict):
            form = '{"state": s, "action": a, "reward": r, "to": {successor: probability}}'
            raise ModelError(f"{where}: {place} must be an object {form}{_odd_field(item)}")
        s, a = _key(item, index, states, actions, where, place)
        if (s, a) in pairs:
            raise ModelError(f"{where}: {place}: state {s}, action {a} was there before")
        to: dict[int, Any] = {}
        for key, p in item["to"].items():
            t = _index(key, index[0], states, where, f"{place}: successor")
            if t in to:
                raise ModelError(f"{where}: {place}: successor {key!r} was there before")
            to[t] = _number(p, where, f"{place}: probability of {key!r}")
        pairs[s, a] = (_number(item["reward"], where, f"{place}: reward"), to)
    return pairs


def json_costs(data: dict[str, Any], where: str = "model") -> dict[str, Array]:
    """{name: (pairs,)} of the costs in a JSON object that `from_json` has read: 0 where a pair does not name a cost."""
    states, names = _count_or_names(data, where)
    index, actions = _indices(names, data.get("actions")), data.get("actions")
    found: dict[str, dict[tuple[int, int], Any]] = {}
    keys = []
    for k, item in enumerate(data["transitions"]):
        place, listed = f"transitions[{k}]", item.get("costs", {})
        keys.append(_key(item, index, states, actions, where, place))
        if not isinstance(listed, dict):
            raise ModelError(f'{where}: {place}: costs must be an object {{"name": number}}')
        for name, cost in listed.items():
            found.setdefault(name, {})[keys[-1]] = _number(cost, where, f"{place}: cost {name!r}")
    keys.sort()
    figures = {name: [costs.get(key, 0) for key in keys] for name, costs in found.items()}
    return {name: _finish(row, any(not isinstance(x, float | int | _Decimal) for x in row)) for name, row in figures.items()}


def _indices(names: Any, actions: Any) -> tuple[dict[str, int], dict[str, int]]:
    """{name: index} of states and of actions."""
    return {name: k for k, name in enumerate(names or ())}, {str(name): k for k, name in enumerate(actions or ())}


def _odd_field(item: Any) -> str:
    """What is wrong with the fields of a choice: the unknown one with the nearest known, or the one that is missing."""
    if not isinstance(item, dict):
        return ""
    known = (*CHOICE, "costs")
    unknown, missing = [key for key in item if key not in known], [key for key in CHOICE if key not in item]
    if unknown:
        return f"; there is no field {unknown[0]!r}.{nearest(unknown[0], known)}"
    return f"; {missing[0]!r} is missing" if missing else '; "to" is no object'


def _key(item: dict[str, Any], index: tuple[dict[str, int], dict[str, int]], states: int, actions: Any, where: str, place: str) -> tuple[int, int]:
    """(state, action) of one listed pair."""
    s = _index(item["state"], index[0], states, where, f"{place}: state")
    return s, _index(item["action"], index[1], len(actions) if actions else None, where, f"{place}: action")


def _index(value: Any, names: dict[str, int], count: int | None, where: str, what: str) -> int:
    """An index, or the name of one; what looks like an index is one."""
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    elif isinstance(value, str) and value in names:
        return names[value]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0 or (count is not None and value >= count):
        known = f"0 .. {count - 1}" if count is not None else "0, 1, ..."
        raise ModelError(f"{where}: {what} is {value!r}; it must be an index {known} or a known name.{nearest(str(value), list(names))}")
    return value


# NPZ

COMPRESSED_ENTRIES = 10**6
"""Larger models are stored as they are: random floats hardly shrink, and compressing 2 * 10^7 of them takes more than a minute."""
_ARRAYS = ("first_pair", "indptr", "indices", "data", "rewards", "discount", "start")


def write_npz(mdp: MDP, path: str | Path) -> Path:
    """Writes the model, compressed where it is small; explicit zeros are left out."""
    source = mdp.exact if mdp.given_exactly else mdp
    rows, columns, data = entries(mdp)
    index = np.int32 if max(mdp.num_states, rows.size) < 2**31 else np.int64
    arrays: dict[str, Any] = {
        "first_pair": mdp.first_pair,
        "indptr": np.searchsorted(rows, np.arange(mdp.num_pairs + 1)).astype(index),
        "indices": columns.astype(index),
        "data": _portable(data),
        "rewards": _portable(source.pair_rewards),
        "discount": _portable(np.array(source.discount, dtype=source.pair_rewards.dtype)),
        "start": _portable(source.start),
        "dense": np.array(not mdp.is_sparse),
    }
    for field in ("state_names", "action_names"):
        if getattr(mdp, field) is not None:
            arrays[field] = np.array(getattr(mdp, field), dtype=str)
    if mdp.name:
        arrays["name"] = np.array(mdp.name)
    save = np.savez_compressed if rows.size <= COMPRESSED_ENTRIES else np.savez
    return write_whole(path, lambda file: save(file, **arrays))


def read_npz(path: str | Path, discount: Any = None) -> MDP:
    """The model in an .npz file written by `write_npz`, or with the same arrays."""
    arrays = read_arrays(path, [key for key in _ARRAYS if key != "discount" or discount is None])
    return in_file(path, lambda: _from_arrays(arrays, discount))


def _from_arrays(arrays: dict[str, Array], discount: Any) -> MDP:
    numbers = {key: rational_array(arrays[key]) if arrays[key].dtype.kind in "US" else arrays[key] for key in ("data", "rewards", "start")}
    exact = any(values.dtype == object for values in numbers.values())
    if discount is None:
        gamma = arrays["discount"]
        discount = rational(gamma.item()) if gamma.dtype.kind in "US" else float(gamma)
    discount = discount_for(exact, discount)
    first_pair, indptr, indices = arrays["first_pair"], arrays["indptr"], arrays["indices"]
    if first_pair.ndim != 1 or first_pair.size < 2 or indptr.shape != (int(first_pair[-1]) + 1,) or indices.shape != numbers["data"].shape:
        raise ModelError(
            f"first_pair {first_pair.shape}, indptr {indptr.shape}, indices {indices.shape} and data {numbers['data'].shape} do not fit together"
        )
    if indptr[0] != 0 or indptr[-1] != indices.size or np.any(np.diff(indptr) < 0):
        raise ModelError(f"indptr must rise from 0 to {indices.size}, the number of entries")
    num_states = first_pair.size - 1
    if indices.size and not 0 <= indices.min() <= indices.max() < num_states:
        raise ModelError(f"indices go from {indices.min()} to {indices.max()}; there are {num_states} states")
    shape = (int(first_pair[-1]), num_states)
    if exact:
        choices: Any = SparseRows(indptr, indices, rational_array(numbers["data"]), shape)
    else:
        from scipy.sparse import csr_array

        choices = csr_array((numbers["data"], indices, indptr), shape=shape)
    if bool(arrays.get("dense", np.array(False))):
        choices = choices.toarray()
    labels = {key: arrays[key].tolist() for key in ("state_names", "action_names") if key in arrays}
    name = str(arrays["name"]) if "name" in arrays else None
    return MDP.from_choices(first_pair, choices, numbers["rewards"], discount, numbers["start"], name=name, **labels)


def _portable(values: Array) -> Array:
    """Rationals as text, floats as they are."""
    return np.array(values, dtype=object).astype(str) if values.dtype == object else values
