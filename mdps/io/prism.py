"""Explicit models of the model checkers PRISM and Storm: .tra, .sta, .lab, .srew, .trew.

    model.tra    first line "states choices transitions" (or "mdp"), then "state choice successor probability [action]" a line;
                 a Markov chain (dtmc): "states transitions" (or "dtmc"), then "state successor probability"
    model.sta    first line "(x,y)", then "state:(0,3)"
    model.lab    first line '0="init" 1="done"', then "state: 0 1"; or Storm's "#DECLARATION ... #END", then "state init done"
    model.srew   "states entries" (or nothing), then "state reward"
    model.trew   "states choices entries" (or nothing), then "state choice successor reward"; a chain without the choice

Lines that begin with # are comments.  Several reward structures go by model1.srew, model2.srew, ... (PRISM's own numbering).  The start
distribution is uniform over the states labelled "init", over all states where there is no such label.  Probabilities may be written as
fractions, 1/3, and stay exact then.  These formats hold no discount: `mdps.total_reward.Labelled` is what is read, `.discounted(...)` makes
an MDP of it, and `mdps.io.load("model.tra", discount="9/10")` does both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from mdps.errors import ModelError
from mdps.io.files import as_numbers, choice_matrix, entries, in_file, probability, read_text, real_number, refuse, show, whole_number, write_text
from mdps.model import MDP
from mdps.rational import fraction, is_exact, rational
from mdps.total_reward import Labelled

Array = np.ndarray
MOST_STATES = 2**31
"""States that a file may announce: more would not fit into memory."""
Line = tuple[int, list[str]]


def read_prism(path: str | Path, *, deadlocks: str = "refuse") -> Labelled:
    """The model in `path` (the .tra file) and in the files of the same name beside it.

    deadlocks   "refuse" states without a choice, or give them a self-"loop" (reward 0), as the model checkers do
    raises      ModelError: names file, line and figure
    """
    tra = Path(path).with_suffix(".tra") if Path(path).suffix != ".tra" else Path(path)
    if deadlocks not in ("refuse", "loop"):
        raise ModelError(f'deadlocks is {deadlocks!r}; it must be "refuse" or "loop"')
    table = _Transitions(tra, deadlocks)
    beside = {ending: tra.with_suffix(ending) for ending in (".sta", ".lab")}
    names = _read_states(beside[".sta"], table.num_states) if beside[".sta"].exists() else None
    labels = _read_labels(beside[".lab"], table.num_states) if beside[".lab"].exists() else {}
    start = None
    if "init" in labels:
        count = int(labels["init"].sum())
        if count == 0:
            refuse(beside[".lab"], None, "no state carries the label init")
        share = rational(f"1/{count}") if is_exact(table.probabilities) else 1.0 / count
        start = np.where(labels["init"], share, 0 * share)
    discount: Any = rational(0) if is_exact(table.probabilities) else 0.0
    matrix = choice_matrix(table.pairs, table.successors, table.probabilities, int(table.first_pair[-1]), table.num_states)
    fields: dict[str, Any] = {"state_names": names, "action_names": table.action_names, "name": tra.stem}
    nothing = np.zeros(int(table.first_pair[-1]))
    model = in_file(tra, lambda: MDP.from_choices(table.first_pair, matrix, nothing, discount, start, **fields))
    return in_file(tra, lambda: Labelled(model, labels, _read_rewards(tra, table, matrix)))


def read_prism_mdp(path: str | Path, discount: Any = None) -> MDP:
    """The discounted MDP of a PRISM model and its reward structure; the formats hold no discount, so it has to be given."""
    if discount is None:
        raise ModelError(f"{path}: PRISM files hold no discount; give one")
    model = read_prism(path)
    return in_file(path, lambda: model.discounted(discount))


def write_prism(model: Labelled | MDP, path: str | Path, *, storm: bool = False) -> list[Path]:
    """Writes `path` (.tra) and the files beside it; of an MDP its rewards become the only reward structure and its discount is not written.

    storm     Storm's dialect ("mdp", "#DECLARATION", decimals only: exact numbers are rounded to float64), else PRISM's (fractions stay)
    returns   the files written
    raises    ModelError: a start distribution that is not uniform over some states cannot be expressed
    """
    tra = Path(path).with_suffix(".tra")
    labelled = model if isinstance(model, Labelled) else Labelled(model, {}, {"rewards": _rewards_of(model)})
    mdp = labelled.mdp
    initial = mdp.start > 0
    if np.ptp(mdp.start[initial]) > 1e-12:
        raise ModelError(f"{tra}: the start distribution is not uniform over the states where it is positive; PRISM files cannot say that")

    def figure(number: Any) -> str:
        return repr(float(fraction(number))) if storm else show(number)

    rows, columns, probabilities = entries(mdp)
    owner = np.searchsorted(mdp.first_pair, rows, side="right") - 1
    lines = ["mdp" if storm else f"{mdp.num_states} {mdp.num_pairs} {rows.size}"]
    for pair, s, t, p in zip(rows.tolist(), owner.tolist(), columns.tolist(), probabilities.tolist(), strict=True):
        choice = pair - int(mdp.first_pair[s])
        action = f" {mdp.action_names[choice]}" if mdp.action_names else ""
        if len(action.split()) > 1:
            raise ModelError(f"{tra}: the action name {action.strip()!r} has a blank, which PRISM files cannot hold")
        lines.append(f"{s} {choice} {t} {figure(p)}{action}")
    variables = _variables(mdp.state_names)
    targets = [tra.with_name(f"{tra.stem}{k if len(labelled.rewards) > 1 else ''}.trew") for k in range(1, len(labelled.rewards) + 1)]
    stale = [file for file in (*_reward_files(tra), tra.with_suffix(".sta")) if file.exists() and file not in targets]
    stale = [file for file in stale if file.suffix != ".sta" or variables is None]
    if stale:
        raise ModelError(f"{stale[0]} is there already and would be read as a part of {tra.name}; move it away, or choose another name")
    written = [write_text(tra, "\n".join(lines) + "\n")]
    labels = {"init": initial, **{name: mask for name, mask in labelled.labels.items() if name != "init"}}
    written.append(_write_labels(tra.with_suffix(".lab"), labels, storm))
    if variables is not None:
        text = [f"({','.join(variables[0])})", *(f"{s}:({','.join(values)})" for s, values in enumerate(variables[1]))]
        written.append(write_text(tra.with_suffix(".sta"), "\n".join(text) + "\n"))
    for target, (name, paid) in zip(targets, labelled.rewards.items(), strict=True):
        paid_rows = paid[rows]
        nonzero = np.flatnonzero(paid_rows != 0)
        header = f'# Reward structure "{name}"\n' + ("" if storm else f"{mdp.num_states} {mdp.num_pairs} {nonzero.size}\n")
        body = [f"{owner[i]} {rows[i] - mdp.first_pair[owner[i]]} {columns[i]} {figure(paid_rows[i])}" for i in nonzero.tolist()]
        written.append(write_text(target, header + "".join(line + "\n" for line in body)))
    return written


def write_prism_mdp(mdp: MDP, path: str | Path) -> Path:
    return write_prism(mdp, path)[0]


def _rewards_of(mdp: MDP) -> Array:
    return mdp.exact.pair_rewards if mdp.given_exactly else mdp.pair_rewards


class _Transitions:
    """What a .tra file says: pairs, successors, probabilities, first_pair, action_names."""

    def __init__(self, path: Path, deadlocks: str) -> None:
        lines = list(_lines(path))
        if not lines:
            refuse(path, None, "the file is empty")
        line, head = lines[0]
        announced: tuple[int, ...] | None = None
        if head[0] in ("mdp", "dtmc") and len(head) == 1:
            self.chain = head[0] == "dtmc"
        elif len(head) in (2, 3) and all(part.isdecimal() for part in head):
            self.chain, announced = len(head) == 2, tuple(int(part) for part in head)
        else:
            refuse(
                path, line, f'the first line is {" ".join(head)!r}; it must be "states choices transitions", "states transitions", "mdp" or "dtmc"'
            )
        self.path = path
        width = 3 if self.chain else 4
        s, choice, successors, probabilities, actions = [], [], [], [], []
        limit = announced[0] if announced else None
        for line, parts in lines[1:]:
            if len(parts) not in (width, width + 1):
                form = "state successor probability" if self.chain else "state choice successor probability"
                refuse(path, line, f'there are {len(parts)} figures; a line is "{form}", with an action name or without')
            s.append(whole_number(parts[0], path, line, "the state", limit))
            choice.append(0 if self.chain else whole_number(parts[1], path, line, "the choice", len(lines)))
            successors.append(whole_number(parts[width - 2], path, line, "the successor", limit))
            probabilities.append(probability(parts[width - 1], path, line))
            actions.append(parts[width] if len(parts) > width else "")
        if announced and announced[-1] != len(s):
            refuse(path, lines[0][0], f"{announced[-1]} transitions are announced, {len(s)} follow; the file is cut off or was changed")
        if not s:
            refuse(path, None, "there is no transition")
        self.num_states = limit if limit is not None else max(max(s), max(successors)) + 1
        if self.num_states > len(s) and deadlocks == "refuse":  # said before any memory is asked for
            self._refuse_deadlock(next(k for k, state in enumerate([*sorted(set(s)), -1]) if k != state))
        if self.num_states > MOST_STATES:
            refuse(path, lines[0][0], f"{self.num_states} states are more than fit; there are {len(s)} transitions")
        self._group(np.array(s), np.array(choice), np.array(successors), as_numbers(probabilities), actions, deadlocks, [n for n, _ in lines[1:]])
        if announced and len(announced) == 3 and announced[1] != self.first_pair[-1] - self.added:
            refuse(path, lines[0][0], f"{announced[1]} choices are announced, {self.first_pair[-1] - self.added} follow")

    def _group(self, s: Array, choice: Array, successors: Array, probabilities: Array, actions: list[str], deadlocks: str, lines: list[int]) -> None:
        counts = np.zeros(self.num_states, dtype=np.int64)
        np.maximum.at(counts, s, choice + 1)
        dead = np.flatnonzero(counts == 0)
        self.added = dead.size if deadlocks == "loop" else 0
        if dead.size and deadlocks == "refuse":
            self._refuse_deadlock(int(dead[0]))
        counts[dead] = 1
        self.first_pair = np.concatenate(([0], np.cumsum(counts)))
        pairs = self.first_pair[s] + choice
        seen = np.zeros(int(self.first_pair[-1]), dtype=bool)
        seen[pairs] = True
        seen[self.first_pair[dead]] = True
        if not seen.all():
            pair = int(np.flatnonzero(~seen)[0])
            state = int(np.searchsorted(self.first_pair, pair, side="right")) - 1
            last = lines[int(np.flatnonzero(s == state)[-1])]
            refuse(self.path, last, f"state {state} has choice {counts[state] - 1} but not choice {pair - self.first_pair[state]}")
        place = pairs * np.int64(self.num_states) + successors
        order = np.argsort(place, kind="stable")
        double = np.flatnonzero(np.diff(place[order]) == 0)
        if double.size:
            again = int(order[double[0] + 1])
            refuse(self.path, lines[again], f"state {s[again]}, choice {choice[again]}, successor {successors[again]} was there before")
        one = np.full(dead.size, rational(1), dtype=object) if is_exact(probabilities) else np.ones(dead.size)
        loops = dead if deadlocks == "loop" else dead[:0]
        self.pairs = np.concatenate((pairs, self.first_pair[loops]))
        self.successors = np.concatenate((successors, loops))
        self.probabilities = np.concatenate((probabilities, one[: loops.size]))
        self.action_names = self._names(choice, actions, int(counts.max()))

    def _refuse_deadlock(self, state: int) -> NoReturn:
        refuse(self.path, None, f'state {state} has no choice; a deadlock needs a self-loop (read with deadlocks="loop" to add them)')

    @staticmethod
    def _names(choice: Array, actions: list[str], most: int) -> list[str] | None:
        """The name of action a, where every state calls its choice a the same."""
        names: dict[int, str] = {}
        for k, name in zip(choice.tolist(), actions, strict=True):
            if names.setdefault(k, name) != name:
                return None
        return [names[k] for k in range(most)] if all(names.values()) else None


def _lines(path: Path) -> Iterator[Line]:
    """(line number, words) of the lines that are neither empty nor comments."""
    for number, text in enumerate(read_text(path).splitlines(), start=1):
        words = text.split()
        if words and not words[0].startswith("#"):
            yield number, words


def _read_states(path: Path, num_states: int) -> list[str]:
    """Names such as "x=0,y=3"."""
    lines = [(n, text.strip()) for n, text in enumerate(read_text(path).splitlines(), start=1) if text.strip() and not text.startswith("#")]
    if not lines or not re.fullmatch(r"\(.*\)", lines[0][1]):
        refuse(path, lines[0][0] if lines else None, 'the first line must list the variables, "(x,y)"')
    variables = [name.strip() for name in lines[0][1][1:-1].split(",")]
    names: dict[int, str] = {}
    for number, text in lines[1:]:
        found = re.fullmatch(r"(\d+)\s*:\s*\((.*)\)", text)
        if not found:
            refuse(path, number, f'{text!r} is not of the form "state:(value,...)"')
        values = [value.strip() for value in found[2].split(",")]
        if len(values) != len(variables):
            refuse(path, number, f"there are {len(values)} values for {len(variables)} variables")
        state = whole_number(found[1], path, number, "the state", num_states)
        names[state] = ",".join(f"{variable}={value}" for variable, value in zip(variables, values, strict=True))
    missing = next((s for s in range(num_states) if s not in names), None)
    if missing is not None:
        refuse(path, None, f"state {missing} is missing; the file is cut off or belongs to another model")
    return [names[s] for s in range(num_states)]


def _variables(names: tuple[str, ...] | None) -> tuple[list[str], list[list[str]]] | None:
    """(variables, values of each state) where all names have the form "x=0,y=3" with the same variables."""
    if names is None:
        return None
    split = [[part.partition("=") for part in name.split(",")] for name in names]
    variables = [part[0] for part in split[0]]
    plain = all(part[1] == "=" and re.fullmatch(r"[\w.-]+", part[2]) and re.fullmatch(r"\w+", part[0]) for parts in split for part in parts)
    if not plain or any([part[0] for part in parts] != variables for parts in split):
        return None
    return variables, [[part[2] for part in parts] for parts in split]


def _read_labels(path: Path, num_states: int) -> dict[str, Array]:
    text = read_text(path).splitlines()
    labels: dict[str, Array] = {}
    if any(line.strip() == "#DECLARATION" for line in text):
        begin = next(n for n, line in enumerate(text) if line.strip() == "#DECLARATION")
        end = next((n for n, line in enumerate(text) if line.strip() == "#END"), None)
        if end is None:
            refuse(path, begin + 1, "#DECLARATION has no #END; the file may be cut off")
        labels = {name: np.zeros(num_states, dtype=bool) for line in text[begin + 1 : end] for name in line.split()}
        for number, line in enumerate(text[end + 1 :], start=end + 2):
            words = line.split()
            for name in words[1:]:
                state = whole_number(words[0], path, number, "the state", num_states)
                if name not in labels:
                    refuse(path, number, f"label {name!r} is not declared")
                labels[name][state] = True
        return labels
    rows = [(number, line) for number, line in enumerate(text, start=1) if line.strip() and not line.startswith("#")]
    if not rows:
        refuse(path, None, "the file is empty")
    declared = re.findall(r'(\d+)="([^"]*)"', rows[0][1])
    if re.sub(r'(\d+)="([^"]*)"', "", rows[0][1]).strip() or not declared:
        refuse(path, rows[0][0], """the first line must declare the labels, 0="init" 1="done" """.strip())
    names = dict(declared)
    labels = {name: np.zeros(num_states, dtype=bool) for name in names.values()}
    for number, line in rows[1:]:
        head, colon, rest = line.partition(":")
        if not colon:
            refuse(path, number, f'{line.strip()!r} is not of the form "state: label ..."')
        state = whole_number(head, path, number, "the state", num_states)
        for key in rest.split():
            if key not in names:
                refuse(path, number, f"label {key} is not declared in line {rows[0][0]}")
            labels[names[key]][state] = True
    return labels


def _write_labels(path: Path, labels: dict[str, Array], storm: bool) -> Path:
    num_states = next(iter(labels.values())).size
    for name in labels:
        if not name or '"' in name or (storm and name.split() != [name]):
            raise ModelError(f"{path}: the label {name!r} cannot be written in this format")
    names = list(labels)
    lines = ["#DECLARATION", " ".join(names), "#END"] if storm else [" ".join(f'{k}="{name}"' for k, name in enumerate(names))]
    for s in range(num_states):
        own = [(name if storm else str(k)) for k, name in enumerate(names) if labels[name][s]]
        if own:
            lines.append(f"{s}{' ' if storm else ': '}{' '.join(own)}")
    return write_text(path, "\n".join(lines) + "\n")


def _read_rewards(tra: Path, table: _Transitions, matrix: Any) -> dict[str, Array]:
    """The reward of each pair: of the state, plus the mean of its transitions."""
    numbers = {match[1] for file in _reward_files(tra) if (match := re.search(r"(\d*)\.[st]rew$", file.name[len(tra.stem) :]))}
    rewards: dict[str, Array] = {}
    for number in sorted(numbers, key=lambda text: int(text or 0)):
        files = [tra.with_name(f"{tra.stem}{number}{ending}") for ending in (".srew", ".trew")]
        name = next((title for file in files if file.exists() and (title := _structure(file))), f"rewards{number}")
        if name in rewards:
            refuse(files[0], None, f"there are two reward structures {name!r}")
        parts = []
        if files[0].exists():
            parts.append(np.repeat(_state_rewards(files[0], table.num_states), np.diff(table.first_pair)))
        if files[1].exists():
            parts.append(_transition_rewards(files[1], table, matrix))
        rewards[name] = parts[0] if len(parts) == 1 else as_numbers([*parts[0], *parts[1]]).reshape(2, -1).sum(axis=0)
    return rewards


def _reward_files(tra: Path) -> list[Path]:
    pattern = re.compile(re.escape(tra.stem) + r"\d*\.[st]rew")
    return sorted(file for file in tra.parent.iterdir() if pattern.fullmatch(file.name))


def _structure(path: Path) -> str | None:
    """The name in a comment such as '# Reward structure "time"'."""
    for text in read_text(path).splitlines():
        found = re.match(r'#\s*[Rr]eward structure:?\s+"([^"]+)"', text.strip())
        if found:
            return found[1]
        if text.strip() and not text.startswith("#"):
            return None
    return None


def _body(path: Path, width: int, has_header: Callable[[list[str]], bool], form: str) -> list[Line]:
    """The lines of a reward file; the number of entries in its header, if there is one, is checked."""
    lines = list(_lines(path))
    if lines and has_header(lines[0][1]):
        number, head = lines.pop(0)
        if whole_number(head[-1], path, number, "the number of entries") != len(lines):
            refuse(path, number, f"{head[-1]} entries are announced, {len(lines)} follow; the file is cut off or was changed")
    for line, words in lines:
        if len(words) != width:
            refuse(path, line, f'there are {len(words)} figures; a line is "{form}"')
    return lines


def _state_rewards(path: Path, num_states: int) -> Array:
    # "states entries" and "state reward" look alike; a first figure equal to the number of states can only be a header.
    lines = _body(path, 2, lambda words: words[0] == str(num_states), "state reward")
    paid: list[Any] = [0.0] * num_states
    for line, words in lines:
        paid[whole_number(words[0], path, line, "the state", num_states)] = real_number(words[1], path, line, "the reward")
    return as_numbers(paid)


def _transition_rewards(path: Path, table: _Transitions, matrix: Any) -> Array:
    """sum_s' P(s' | pair) r(pair, s'); the one figure, unrounded, where all transitions of a pair carry the same."""
    width = 3 if table.chain else 4
    form = "state successor reward" if table.chain else "state choice successor reward"
    lines = _body(path, width, lambda words: len(words) == width - 1, form)
    found: dict[int, dict[int, Any]] = {}
    for line, words in lines:
        s = whole_number(words[0], path, line, "the state", table.num_states)
        choice = 0 if table.chain else whole_number(words[1], path, line, "the choice", int(table.first_pair[s + 1] - table.first_pair[s]))
        t = whole_number(words[width - 2], path, line, "the successor", table.num_states)
        found.setdefault(int(table.first_pair[s]) + choice, {})[t] = real_number(words[width - 1], path, line, "the reward")
    out: list[Any] = [0.0] * int(table.first_pair[-1])
    for pair, own in found.items():
        row = _row(matrix, pair)
        unknown = [t for t in own if t not in row]
        if unknown:
            refuse(path, None, f"there is a reward for a transition to state {unknown[0]} that {table.path.name} does not have")
        figures = set(own.values())
        if len(figures) == 1 and len(own) == len(row):
            out[pair] = figures.pop()
        else:
            both = as_numbers([*row.values(), *(own.get(t, 0.0) for t in row)]).reshape(2, -1)
            out[pair] = (both[0] * both[1]).sum()
    return as_numbers(out)


def _row(matrix: Any, pair: int) -> dict[int, Any]:
    if isinstance(matrix, np.ndarray):
        columns = np.flatnonzero(matrix[pair])
        return dict(zip(columns.tolist(), matrix[pair, columns].tolist(), strict=True))
    part = slice(matrix.indptr[pair], matrix.indptr[pair + 1])
    return dict(zip(matrix.indices[part].tolist(), matrix.data[part].tolist(), strict=True))
