"""Comma-separated transition lists: one line a transition, as spreadsheets and data frames write them.

    # discount: 9/10
    # start: 1, 0, 0
    state,action,next_state,probability,reward
    0,0,1,3/10,0
    0,0,0,7/10,5

The first line that is no comment names the columns, in any order; `reward` is paid on the transition and may be left out (0), as may
`probability` (1).  Lines that start with # carry `discount`, `start` (one number a state), `name`, and `transitions`, the number of lines that
follow the header, by which a file that was cut off is noticed.  States and actions are the indices
0, 1, ..., or names, numbered in order of first appearance (a line `# states: a, b, c` or `# actions: ...` fixes the order).  Lines of the same state,
action and successor add their probabilities and average their rewards.  Numbers written as fractions, or a line `# numbers: exact`, make
the whole model exact; then decimals are read as written.
"""

from __future__ import annotations

import csv
import io as text_io
from pathlib import Path
from typing import Any

import numpy as np

from mdps.errors import ModelError, nearest
from mdps.io.files import choice_matrix, discount_for, entries, in_file, read_text, refuse, show, whole_number, write_text
from mdps.model import MDP
from mdps.rational import rational, rational_array

COLUMNS = ("state", "action", "next_state", "probability", "reward")
NOTES = ("actions", "discount", "name", "numbers", "start", "states", "transitions")


def read_csv(path: str | Path, discount: Any = None) -> MDP:
    """The model in a transition list; errors name file and line."""
    notes, header, rows = _lines(path)
    for column in ("state", "action", "next_state"):
        if column not in header:
            refuse(path, rows[0][0] - 1 if rows else None, f"there is no column {column!r}; the header must name {', '.join(COLUMNS)}")
    if not rows:
        refuse(path, None, "there is no transition")
    at = {name: k for k, name in enumerate(header)}
    exact = notes.get("numbers", (0, ""))[1] == "exact" or any(
        "/" in row[at[name]] for _, row in rows for name in ("probability", "reward") if name in at
    )
    exact = exact or any("/" in notes[key][1] for key in ("start",) if key in notes)
    states = _Index(path, "state", [(n, row[at[c]]) for c in ("state", "next_state") for n, row in rows], _listed(notes, "states"))
    actions = _Index(path, "action", [(n, row[at["action"]]) for n, row in rows], _listed(notes, "actions"))

    def figure(line: int, text: str, what: str) -> Any:
        try:
            value = rational(text.strip()) if exact else float(text)
        except (ModelError, ValueError):
            refuse(path, line, f"{what} is {text.strip()!r}; it must be a number such as 0.25 or 1/4")
        if not exact and not np.isfinite(value):
            refuse(path, line, f"{what} is {text.strip()}; it must be finite")
        return value

    one = rational(1) if exact else 1.0
    s, a, t, probabilities, rewards = [], [], [], [], []
    for line, row in rows:
        p = figure(line, row[at["probability"]], "probability") if "probability" in at else one
        if not 0 <= p <= 1:
            refuse(path, line, f"probability is {row[at['probability']].strip()}; it must be in [0, 1]")
        s.append(states[row[at["state"]]]), a.append(actions[row[at["action"]]]), t.append(states[row[at["next_state"]]])
        probabilities.append(p), rewards.append(figure(line, row[at["reward"]], "reward") if "reward" in at else 0 * one)
    num_states, num_actions = len(states), len(actions)
    code = np.array(s) * num_actions + np.array(a)
    present, pair = np.unique(code, return_inverse=True)
    first_pair = np.searchsorted(present // num_actions, np.arange(num_states + 1))
    _whole_action_sets(path, present, first_pair, num_actions, states, actions)
    kind = object if exact else np.float64
    mass = np.empty(len(rows), dtype=kind)
    mass[:] = probabilities
    paid = np.empty(len(rows), dtype=kind)
    paid[:] = rewards
    expected = _expected_rewards(pair, mass, paid, present.size)
    choices = choice_matrix(pair, np.array(t), mass, present.size, num_states)
    if discount is None:
        if "discount" not in notes:
            refuse(path, None, 'there is no discount; add a line "# discount: 9/10", or give one on loading (--discount)')
        line, text = notes["discount"]
        discount = figure(line, text, "discount") if exact or "/" not in text else float(rational(text).p) / float(rational(text).q)
    discount = discount_for(exact, discount)
    start = None
    if "start" in notes:
        line, text = notes["start"]
        start = [figure(line, part, "a start probability") for part in text.split(",")]
    labels: dict[str, Any] = {"state_names": states.names, "action_names": actions.names, "name": notes.get("name", (0, None))[1]}
    return in_file(
        path, lambda: MDP.from_choices(first_pair, choices, expected, discount, start and (rational_array(start) if exact else start), **labels)
    )


def _expected_rewards(pair: Any, mass: Any, paid: Any, num_pairs: int) -> Any:
    """sum_s' P(s' | s, a) r(s, a, s'); where all rewards of a pair are the same figure, that figure, without rounding."""
    expected = paid[np.unique(pair, return_index=True)[1]]
    varies = np.zeros(num_pairs, dtype=bool)
    np.logical_or.at(varies, pair, paid != expected[pair])
    rows = varies[pair]
    expected[varies] *= 0
    np.add.at(expected, pair[rows], mass[rows] * paid[rows])
    return expected


def write_csv(mdp: MDP, path: str | Path) -> Path:
    """Writes the model as a transition list; every line of a pair carries the pair's expected reward."""
    source = mdp.exact if mdp.given_exactly else mdp
    out = text_io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if mdp.name:
        out.write(f"# name: {' '.join(mdp.name.split())}\n")
    if source.is_exact:
        out.write("# numbers: exact\n")
    out.write(f"# discount: {show(source.discount)}\n# start: {', '.join(show(p) for p in source.start.tolist())}\n")
    rows, columns, probabilities = entries(mdp)
    out.write(f"# transitions: {rows.size}\n")
    for kind, names in (("states", mdp.state_names), ("actions", mdp.action_names)):
        if names is not None:
            line = text_io.StringIO()
            csv.writer(line, lineterminator="\n").writerow(names)
            if "\n" in line.getvalue()[:-1]:
                raise ModelError(f"{path}: names of {kind} with line breaks cannot be written as .csv; write .json or .npz")
            out.write(f"# {kind}: {line.getvalue()}")
    writer.writerow(COLUMNS)
    owner = np.searchsorted(mdp.first_pair, rows, side="right") - 1
    for pair, s, t, p in zip(rows.tolist(), owner.tolist(), columns.tolist(), probabilities.tolist(), strict=True):
        a = pair - int(mdp.first_pair[s])
        labelled = mdp.state_names, mdp.action_names
        names = (labelled[0][s], labelled[0][t]) if labelled[0] else (s, t)
        action = labelled[1][a] if labelled[1] else a
        writer.writerow([names[0], action, names[1], show(p), show(source.pair_rewards[pair])])
    return write_text(path, out.getvalue())


def _lines(path: str | Path) -> tuple[dict[str, tuple[int, str]], list[str], list[tuple[int, list[str]]]]:
    """(notes: {key: (line, text)}, header, [(line, cells)])."""
    notes: dict[str, tuple[int, str]] = {}
    header: list[str] = []
    rows: list[tuple[int, list[str]]] = []
    whole = read_text(path)
    for line, text in enumerate(whole.splitlines(), start=1):
        if not text.strip():
            continue
        if text.lstrip().startswith("#") and not rows:
            key, colon, value = text.lstrip().lstrip("#").partition(":")
            if colon and key.strip().lower() in NOTES:
                notes[key.strip().lower()] = (line, value.strip())
            continue
        try:
            cells = next(csv.reader([text], strict=True))
        except csv.Error as error:
            refuse(path, line, f"this is no line of comma-separated cells ({error})")
        if not header:
            header = [cell.strip().lower() for cell in cells]
            unknown = [name for name in header if name not in COLUMNS]
            if unknown:
                refuse(path, line, f"unknown column {unknown[0]!r}; the columns are {', '.join(COLUMNS)}.{nearest(unknown[0], COLUMNS)}")
            if len(set(header)) != len(header):
                refuse(path, line, "a column is named twice")
            continue
        if len(cells) != len(header):
            refuse(path, line, f"there are {len(cells)} cells, the header has {len(header)}; the file may be cut off here")
        rows.append((line, cells))
    if "transitions" in notes:
        line, text = notes["transitions"]
        if whole_number(text, path, line, "the number of transitions") != len(rows) or not whole.endswith("\n"):
            refuse(path, line, f"{text} transitions are announced, {len(rows)} whole ones follow; the file is cut off or was changed")
    if not header:
        refuse(path, None, f"the file is empty; it must begin with the header {','.join(COLUMNS)}")
    return notes, header, rows


def _listed(notes: dict[str, tuple[int, str]], key: str) -> list[str] | None:
    return next(csv.reader([notes[key][1]])) if key in notes else None


class _Index:
    """Indices of states or actions: the numbers themselves where all are 0 .. n-1, else names in order of first appearance."""

    def __init__(self, path: str | Path, kind: str, cells: list[tuple[int, str]], listed: list[str] | None) -> None:
        texts = [text.strip() for _, text in cells]
        self.names: list[str] | None = listed
        if listed is not None:
            self.index = {name: k for k, name in enumerate(listed)}
            if len(self.index) != len(listed):
                refuse(path, None, f"a {kind} is listed twice")
            for line, raw in cells:
                if raw not in self.index and raw.strip() not in self.index:
                    refuse(path, line, f"{kind} {raw!r} is not in the list of {kind}s.{nearest(raw, listed)}")
        elif all(text.isdecimal() for text in texts):
            numbers = {int(text) for text in texts}
            missing = next((k for k in range(len(numbers)) if k not in numbers), None)
            if missing is not None:
                refuse(path, None, f"the {kind}s go up to {max(numbers)} but {kind} {missing} is missing")
            self.index = {text: int(text) for text in texts}
            self.size = len(numbers)
            return
        else:
            self.index = {name: k for k, name in enumerate(dict.fromkeys(texts))}
            self.names = list(self.index)
        self.size = len(self.index)

    def __getitem__(self, text: str) -> int:
        return self.index[text] if text in self.index else self.index[text.strip()]

    def __len__(self) -> int:
        return self.size


def _whole_action_sets(path: str | Path, present: Any, first_pair: Any, num_actions: int, states: _Index, actions: _Index) -> None:
    """Every state has at least one action, and its actions are the first ones."""

    def label(index: _Index, k: int) -> str:
        return f"{index.names[k]!r}" if index.names else str(k)

    for s in range(first_pair.size - 1):
        own = present[first_pair[s] : first_pair[s + 1]] % num_actions
        if own.size == 0:
            refuse(path, None, f"state {label(states, s)} has no action; a terminal state needs a self-loop with reward 0")
        if own[-1] != own.size - 1:
            gap = next(a for a in range(num_actions) if a not in set(own.tolist()))
            refuse(path, None, f"state {label(states, s)} has action {label(actions, int(own[-1]))} but not action {label(actions, gap)} before it")
