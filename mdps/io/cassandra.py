"""Cassandra's text format for MDPs and POMDPs (.mdp, .pomdp); of a POMDP the MDP underneath is read.

    discount: 0.95          values: reward | cost
    states: 3 | sunny rain  actions: 2 | stay go          observations: ...
    start: 0.2 0.8 0.0 | uniform | sunny        start include: sunny rain        start exclude: rain
    T: action : state : successor  0.7      T: action : state  row      T: action  matrix | identity | uniform
    O: action : successor : observation 1   (and rows, matrices)
    R: action : state : successor : observation  5     with a row or a matrix in place of what is left out; an MDP has no observation

`*` stands for all; # begins a comment; a later line replaces an earlier one.  Rewards become expectations over successor and observation;
with `values: cost` they change their sign.  Numbers are decimals (fractions such as 1/3 are read too, and make the model exact).
The format is Cassandra's pomdp-solve grammar.  Written files are its MDP part with decimals: exact models are rounded to float64.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from mdps.errors import ModelError, nearest
from mdps.io.files import as_numbers, discount_for, entries, in_file, read_text, real_number, refuse, write_text
from mdps.model import MDP
from mdps.rational import fraction, is_exact

Array = np.ndarray
SECTIONS = ("discount", "values", "states", "actions", "observations", "start", "T", "O", "R")
LARGEST_DENSE = 2**27
"""Entries of the (S, A, S') arrays that the format spells out in full: 1 GiB."""


def read_cassandra(path: str | Path, discount: Any = None) -> MDP:
    """The MDP in a .mdp file, or the one underneath a .pomdp file; errors name file and line."""
    return _Reader(Path(path)).model(discount)


def write_cassandra(mdp: MDP, path: str | Path) -> Path:
    """Writes a .mdp file.

    raises   ModelError: states with different numbers of actions, which the format cannot say
    """
    if not mdp.is_rectangular:
        raise ModelError(f"{path}: the format wants the same actions in every state; this model's states differ")
    mdp = mdp.float
    states, actions = _written(mdp.state_names, mdp.num_states), _written(mdp.action_names, mdp.num_actions)
    lines = [f"# {' '.join(mdp.name.split())}"] if mdp.name else []
    lines += [f"discount: {mdp.discount!r}", "values: reward", f"states: {states}", f"actions: {actions}"]
    lines.append(f"start: {' '.join(repr(float(p)) for p in mdp.start)}")
    for pair, successor, probability in zip(*(part.tolist() for part in entries(mdp)), strict=True):
        s, a = divmod(pair, mdp.num_actions)
        lines.append(f"T: {a} : {s} : {successor} {float(fraction(probability))!r}")
    for pair, reward in enumerate(mdp.pair_rewards.tolist()):
        if reward != 0:
            s, a = divmod(pair, mdp.num_actions)
            lines.append(f"R: {a} : {s} : * {reward!r}")
    return write_text(path, "\n".join(lines) + "\n")


def _written(names: tuple[str, ...] | None, count: int) -> str:
    """The names where all of them are words of the format and differ, else their number."""
    plain = names is not None and len(set(names)) == len(names) and all(re.fullmatch(r"[A-Za-z][\w-]*", name) for name in names)
    return " ".join(names) if names is not None and plain and not set(names) & _RESERVED else str(count)


_RESERVED = {"uniform", "identity", "reset", "include", "exclude", "reward", "cost", *SECTIONS}


class _Reader:
    """A reader over (line, word) tokens; tables are filled as the statements come."""

    def __init__(self, path: Path) -> None:
        self.path, self.position = path, 0
        self.tokens: list[tuple[int, str]] = []
        for line, text in enumerate(read_text(path).splitlines(), start=1):
            for word in re.findall(r":|[^\s:]+", text.partition("#")[0]):
                self.tokens.append((line, word))
        self.discount: Any = None
        self.sign = 1
        self.states = self.actions = self.observations = _Names("", 0, None)
        self.start: list[Any] | None = None
        self.ready = False
        self.pomdp = False

    def model(self, discount: Any) -> MDP:
        while self.position < len(self.tokens):
            self.statement()
        if not self.ready:
            self.fail("there is no T: line; the file is cut off or no model", last=True)
        S, A = self.states.count, self.actions.count
        if self.discount is None and discount is None:
            self.fail("there is no discount", last=True)
        rewards = self.expected_rewards()
        start = None if self.start is None else as_numbers(self.start)
        moves = as_numbers(self.P.reshape(-1).tolist()).reshape(S, A, S)
        paid = as_numbers(rewards.reshape(-1).tolist()).reshape(S, A)
        exact = any(is_exact(part) for part in (moves, paid) if part is not None) or (start is not None and is_exact(start))
        gamma = self.discount if discount is None else discount
        gamma = discount_for(exact, gamma)
        labels: dict[str, Any] = {"state_names": self.states.names, "action_names": self.actions.names, "name": self.path.stem}
        return in_file(self.path, lambda: MDP(moves, paid, gamma, start, **labels))

    # Tokens

    def fail(self, problem: str, last: bool = False) -> NoReturn:
        at = min(self.position, len(self.tokens) - 1) if last else min(max(self.position - 1, 0), len(self.tokens) - 1)
        refuse(self.path, self.tokens[at][0] if self.tokens else None, problem)

    def peek(self) -> str | None:
        return self.tokens[self.position][1] if self.position < len(self.tokens) else None

    def next(self, what: str) -> str:
        if self.position >= len(self.tokens):
            self.fail(f"{what} is missing; the file is cut off")
        self.position += 1
        return self.tokens[self.position - 1][1]

    def colon(self, after: str) -> None:
        word = self.next(f'":" after {after}')
        if word != ":":
            self.fail(f'there is {word!r} where ":" after {after} should be')

    def at_section(self) -> bool:
        """Whether a statement begins here: a section's name and, in this or the next word but one, a colon."""
        word = self.peek()
        following = [w for _, w in self.tokens[self.position + 1 : self.position + 3]]
        if word == "start" and following[:1] in (["include"], ["exclude"]):
            return following[1:] == [":"]
        return word in SECTIONS and following[:1] == [":"]

    def number(self, what: str) -> Any:
        word = self.next(what)
        return real_number(word, self.path, self.tokens[self.position - 1][0], what)

    def numbers(self, count: int, what: str) -> list[Any]:
        out = []
        for k in range(count):
            if self.position >= len(self.tokens) or self.at_section():
                self.fail(f"{what} has {k} figures; it needs {count}")
            out.append(self.number(what))
        return out

    # Statements

    def statement(self) -> None:
        word = self.next("a section")
        if word not in SECTIONS:
            self.fail(f"unknown section {word!r}.{nearest(word, SECTIONS) or ' Known are ' + ', '.join(SECTIONS) + '.'}")
        if word in ("T", "O", "R"):
            self.prepare(word)
            {"T": self.transition, "O": self.observation, "R": self.reward}[word]()
            return
        if word == "start":
            self.read_start()
            return
        self.colon(word)
        if word == "discount":
            self.discount = self.number("the discount")
        elif word == "values":
            kind = self.next("reward or cost")
            if kind not in ("reward", "cost"):
                self.fail(f'values is {kind!r}; it must be "reward" or "cost"')
            self.sign = 1 if kind == "reward" else -1
        else:
            if self.ready:
                self.fail(f"{word} must stand before the first T, O or R")
            setattr(self, word, self.names(word))
            self.pomdp = self.pomdp or word == "observations"

    def names(self, kind: str) -> _Names:
        words = []
        while self.position < len(self.tokens) and not self.at_section() and self.peek() != ":":
            if [word for _, word in self.tokens[self.position + 1 : self.position + 2]] == [":"]:
                break  # a section of another name, which `statement` refuses
            words.append(self.next(kind))
        if len(words) == 1 and words[0].isdecimal():
            if int(words[0]) == 0:
                self.fail(f"{kind} is 0; there must be at least one")
            return _Names(kind, int(words[0]), None)
        if not words:
            self.fail(f"{kind} lists nothing; give a number or names")
        if len(set(words)) != len(words):
            self.fail(f"{kind} lists a name twice")
        return _Names(kind, len(words), words)

    def prepare(self, section: str) -> None:
        """Makes the tables when the first T, O or R comes: then all names are known."""
        if self.ready:
            return
        for kind in ("states", "actions"):
            if getattr(self, kind).count == 0:
                self.fail(f"{section}: comes before {kind}")
        S, A, O = self.states.count, self.actions.count, max(self.observations.count, 1)
        if S * A * max(S, 1) > LARGEST_DENSE:
            self.fail(f"{S} states and {A} actions are too many for this format, which is read into dense arrays; write .npz or .csv")
        self.P = np.full((S, A, S), 0.0, dtype=object)
        self.E = np.full((A, S, O), 1.0 if O == 1 else 0.0, dtype=object)
        self.paid: list[tuple[slice | int, slice | int, slice | int, slice | int, Any]] = []
        self.ready = True

    def index(self, names: _Names) -> slice | int:
        """An index, a name, or * for all."""
        word = self.next(f"one of the {names.kind}")
        if word == "*":
            return slice(None)
        if word.isdecimal() and int(word) < names.count:
            return int(word)
        if names.names is not None and word in names.names:
            return names.names.index(word)
        known = f"0 .. {names.count - 1}" if names.names is None else ", ".join(names.names[:8])
        self.fail(f"{word!r} is none of the {names.kind} ({known}).{nearest(word, names.names or [])}")

    def more(self) -> bool:
        """Whether another index follows: a colon."""
        if self.peek() == ":":
            self.position += 1
            return True
        return False

    def table(self, rows: int, columns: int, what: str, square: bool = True) -> Any:
        """(rows, columns) figures, or identity or uniform."""
        word = self.peek()
        if word == "uniform":
            self.position += 1
            return np.full((rows, columns), _share(columns), dtype=object)
        if word == "identity" and square:
            self.position += 1
            return np.array([[float(i == j) for j in range(columns)] for i in range(rows)], dtype=object)
        out = np.empty((rows, columns), dtype=object)
        out.reshape(-1)[:] = self.numbers(rows * columns, what)
        return out

    def transition(self) -> None:
        self.colon("T")
        a = self.index(self.actions)
        S = self.states.count
        if not self.more():
            self.fill(self.P, (slice(None), a), self.table(S, S, "the transition matrix"), a, 1)
            return
        s = self.index(self.states)
        if not self.more():
            if self.peek() == "reset":
                self.position += 1
                row: Any = np.array(self.start if self.start is not None else [_share(S)] * S, dtype=object)
            else:
                row = self.table(1, S, "the transition row", square=False)[0]
            self.P[s, a] = row
            return
        t = self.index(self.states)
        self.P[s, a, t] = self.number("the probability")

    @staticmethod
    def fill(table: Array, place: Any, matrix: Array, index: slice | int, axis: int) -> None:
        """Writes a matrix at one action, or at all of them."""
        table[place] = np.expand_dims(matrix, axis) if isinstance(index, slice) else matrix

    def observation(self) -> None:
        self.colon("O")
        if not self.pomdp:
            self.fail("O: needs a line observations: first")
        a = self.index(self.actions)
        S, O = self.states.count, self.observations.count
        if not self.more():
            self.E[a] = self.table(S, O, "the observation matrix", square=S == O)
            return
        t = self.index(self.states)
        if not self.more():
            self.E[a, t] = self.table(1, O, "the observation row", square=False)[0]
            return
        o = self.index(self.observations)
        self.E[a, t, o] = self.number("the probability")

    def reward(self) -> None:
        self.colon("R")
        a = self.index(self.actions)
        S, O = self.states.count, self.E.shape[2]
        where: list[slice | int] = []
        for names in (self.states, self.states, self.observations if self.pomdp else None):
            if names is None or not self.more():
                break
            where.append(self.index(names))
        free = (3 if self.pomdp else 2) - len(where)
        shape = ((), (O,) if self.pomdp else (S,), (S, O) if self.pomdp else (S, S), None)[free]
        if shape is None:
            self.fail("R: needs at least an action and a state")
        figures = np.empty(int(np.prod(shape, dtype=int)), dtype=object)
        figures[:] = self.numbers(figures.size, "the reward")
        value: Any = figures[0] if shape == () else figures.reshape(shape)
        if not self.pomdp and shape != ():
            value = value[..., None]  # the one observation that an MDP has
        places = [*where, *[slice(None)] * (3 - len(where))]
        self.paid.append((a, places[0], places[1], places[2], value))

    def expected_rewards(self) -> Array:
        """sum_s' P(s' | s, a) sum_o O(o | a, s') r(a, s, s', o), the last line for a place counting."""
        S, A, O = self.states.count, self.actions.count, self.E.shape[2]
        simple = all(isinstance(t, slice) and isinstance(o, slice) and not isinstance(value, np.ndarray) for _, _, t, o, value in self.paid)
        out = np.full((A, S), 0.0, dtype=object)
        if simple:
            for a, s, _, _, value in self.paid:
                out[a, s] = value
            return self.sign * out.T
        if S * A * S * O > LARGEST_DENSE:
            self.fail("rewards by successor and observation are too many for dense arrays", last=True)
        full = np.full((A, S, S, O), 0.0, dtype=object)
        for a, s, t, o, value in self.paid:
            full[a, s, t, o] = value
        exact = any(is_exact(as_numbers(part.reshape(-1).tolist())) for part in (self.P, self.E, full))
        P, E, r = (_as_kind(part, exact) for part in (self.P.transpose(1, 0, 2), self.E, full))
        # Where all outcomes of a pair pay the same, that figure is the mean, without rounding.
        same = (r == r[:, :, :1, :1]).all(axis=(2, 3))
        mean = (P * (r * E[:, None]).sum(axis=3)).sum(axis=2)
        return np.asarray(self.sign * np.where(same, r[:, :, 0, 0], mean).T)

    def read_start(self) -> None:
        mode = self.next("the start") if self.peek() in ("include", "exclude") else ""
        self.colon("start")
        S = self.states.count
        if S == 0:
            self.fail("start comes before states")
        if mode:
            chosen = set()
            while self.position < len(self.tokens) and not self.at_section():
                where = self.index(self.states)
                chosen |= set(range(S)) if isinstance(where, slice) else {where}
            kept = [s for s in range(S) if (s in chosen) == (mode == "include")]
            if not kept:
                self.fail(f"start {mode} leaves no state")
            self.start = [_share(len(kept)) if s in kept else 0.0 for s in range(S)]
            return
        word = self.peek()
        if word == "uniform":
            self.position += 1
            self.start = None
        elif word is not None and self.names_a_state(word):
            state = self.index(self.states)
            self.start = [float(s == state) for s in range(S)]
        else:
            self.start = self.numbers(S, "start")

    def names_a_state(self, word: str) -> bool:
        """Whether the next word is a state and not the first of many probabilities: a known name, or one figure alone where there are more states."""
        if self.states.names is not None and word in self.states.names:
            return True
        here = self.position
        self.position += 1
        alone = self.position >= len(self.tokens) or self.at_section()
        self.position = here
        return word.isdecimal() and alone and self.states.count > 1


class _Names:
    def __init__(self, kind: str, count: int, names: list[str] | None) -> None:
        self.kind, self.count, self.names = kind, count, names


def _share(count: int) -> float:
    return 1.0 / count


def _as_kind(values: Array, exact: bool) -> Array:
    if not exact:
        return values.astype(np.float64)
    from mdps.rational import rational, simplest

    out = np.empty(values.shape, dtype=object)
    out.reshape(-1)[:] = [simplest(v) if isinstance(v, float) else rational(v) for v in values.reshape(-1).tolist()]
    return out
