"""Decision problems that end after a fixed number of steps.

    maximise  E [ sum_{h=0}^{H-1} discount^h r_h(s_h, a_h)  +  discount^H g(s_H) ],     s_{h+1} ~ P_h(. | s_h, a_h)

Transitions, rewards, actions and even the states may depend on the step h.  `stages[h]` is the choice matrix of step h as in `mdps.MDP`:
the rows of state s are first_pair[s] .. first_pair[s + 1] - 1, each a distribution over the states of step h + 1.  The discount may be 1 (the
usual case) or larger, since everything is finite.

    FiniteHorizon(transitions (H, S, A, S'), rewards (H, S, A), terminal (S,))       one array entry a step
    FiniteHorizon.from_mdp(mdp, horizon=10)                                          the same model at every step

Numbers are float64; `problem.exact` is the problem in rationals, lossless where it was written exactly (as in `mdps.MDP`).
Solver: `pgtheory.exact.solve_finite_horizon`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mdps.checks import check_rows, check_start, refuse_non_finite
from mdps.errors import ModelError, plural
from mdps.model import MDP
from mdps.rational import exact_rows, meant_array, rational, rational_array, to_float
from mdps.rows import SparseRows, as_choices, bytes_of, checked_shapes, nonzero_blocks, numbers_of, padded, rewards_of_pairs, rows_digest

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Stage:
    """One step: `choices` (pairs, states of the next step), dense or compressed, and `pair_rewards` (pairs,), grouped by state."""

    first_pair: Array
    choices: Any
    pair_rewards: Array
    state_names: tuple[str, ...] | None = None
    action_names: tuple[str, ...] | None = None

    @property
    def num_states(self) -> int:
        return self.first_pair.size - 1

    @property
    def num_pairs(self) -> int:
        return int(self.first_pair[-1])

    @property
    def num_actions(self) -> int:
        """The largest number of actions of any state."""
        return int(np.diff(self.first_pair).max())

    @property
    def action_mask(self) -> Array:
        """(S, A) booleans: which actions exist."""
        return np.arange(self.num_actions) < np.diff(self.first_pair)[:, None]

    @property
    def transitions(self) -> Array:
        """(S, A, S') dense; rows of actions that a state does not have are 0."""
        rows = self.choices if isinstance(self.choices, np.ndarray) else self.choices.toarray()
        return padded(rows, self.action_mask)

    @property
    def rewards(self) -> Array:
        """(S, A); 0 for actions that a state does not have."""
        return padded(self.pair_rewards, self.action_mask)

    @property
    def _choices(self) -> Any:
        return self.choices

    def state_label(self, state: int) -> str:
        return f'state {state} "{self.state_names[state]}"' if self.state_names else f"state {state}"

    def _converted(self, exact: bool) -> Stage:
        """The same stage in rationals or in floats."""
        rows, paid = self.choices, self.pair_rewards
        if exact and not isinstance(rows, SparseRows):
            rows = SparseRows.from_csr(rows) if not isinstance(rows, np.ndarray) else exact_rows(rows) if rows.dtype != object else rows
        elif not exact and isinstance(rows, SparseRows):
            rows = rows.to_float()
        elif not exact and rows.dtype == object:
            rows = to_float(rows)
        return Stage(self.first_pair, _locked(rows), _locked(_numbers_as(exact, paid)), self.state_names, self.action_names)


class FiniteHorizon:
    """A decision problem of H steps, immutable and validated once.

    transitions   (H, S, A, S'), or a list of H arrays (S_h, A_h, S_{h+1})
    rewards       (H, S, A), or a list of H arrays (S_h, A_h), (S_h, A_h, S_{h+1}) or (S_h,)
    terminal      (S_H,) reward of the last state, 0 if left out
    start         (S_0,) distribution of the first state, uniform if left out
    discount      at least 0; 1 if left out
    raises        ModelError: names the step, the state, the action and the figure

    `FiniteHorizon.from_stages` takes compressed matrices and states with different numbers of actions.
    """

    stages: tuple[Stage, ...]
    start: Array
    terminal: Array
    discount: Any
    given_exactly: bool
    name: str
    state_names: tuple[str, ...] | None
    action_names: tuple[str, ...] | None
    _exact: Any
    _float: Any

    __slots__ = ("_exact", "_float", "action_names", "discount", "given_exactly", "name", "stages", "start", "state_names", "terminal")

    def __init__(
        self,
        transitions: Any,
        rewards: Any,
        terminal: Any = None,
        start: Any = None,
        *,
        discount: Any = 1,
        state_names: Sequence[str] | None = None,
        action_names: Sequence[str] | None = None,
        name: str | None = None,
    ) -> None:
        if not hasattr(rewards, "__len__") or not hasattr(transitions, "__len__") or len(rewards) != len(transitions):
            raise ModelError("transitions and rewards must list one array for each step")
        stages = [_at(h, _rectangular, P, r) for h, (P, r) in enumerate(zip(transitions, rewards, strict=True))]
        self._fill(stages, terminal, start, discount, state_names, action_names, name)

    @classmethod
    def from_stages(
        cls,
        stages: Sequence[tuple[Any, Any, Any]],
        terminal: Any = None,
        start: Any = None,
        *,
        discount: Any = 1,
        state_names: Sequence[str] | None = None,
        action_names: Sequence[str] | None = None,
        name: str | None = None,
    ) -> FiniteHorizon:
        """A problem by its choice matrices: one (first_pair, choices, pair_rewards) a step, as `MDP.from_choices` takes them.

        The same object at several steps is stored once.
        """
        self = cls.__new__(cls)
        made: dict[int, Any] = {}
        for h, parts in enumerate(stages):
            if id(parts) not in made:
                made[id(parts)] = _at(h, checked_shapes, *parts)
        self._fill([made[id(parts)] for parts in stages], terminal, start, discount, state_names, action_names, name)
        return self

    @classmethod
    def from_mdp(cls, mdp: MDP, horizon: int, terminal: Any = None, discount: Any = 1) -> FiniteHorizon:
        """The MDP played for `horizon` steps with the given discount (not its own), starting from its start distribution."""
        if horizon != int(horizon) or horizon < 1:
            raise ModelError(f"horizon is {horizon}; it must be a whole number, at least 1")
        source = mdp.exact if mdp.given_exactly else mdp
        parts = (source.first_pair, source.choices, source.pair_rewards)
        labels: dict[str, Any] = {"state_names": mdp.state_names, "action_names": mdp.action_names, "name": mdp.name}
        return cls.from_stages([parts] * int(horizon), terminal, source.start, discount=discount, **labels)

    def _fill(
        self, parts: list[tuple[Array, Any, Array]], terminal: Any, start: Any, discount: Any, states: Any, actions: Any, name: str | None
    ) -> None:
        if not parts:
            raise ModelError("there is no step; the horizon must be at least 1")
        sizes = [first.size - 1 for first, _, _ in parts] + [parts[-1][1].shape[1]]
        for h, (_, rows, _) in enumerate(parts):
            if rows.shape[1] != sizes[h + 1]:
                raise ModelError(f"step {h} leads to {plural(rows.shape[1], 'state')}, step {h + 1} has {sizes[h + 1]}")
        labels = _names("state", states, set(sizes)), _names("action", actions, {max(int(np.diff(first).max()) for first, _, _ in parts)})
        made: dict[int, Stage] = {}
        for h, (first, rows, paid) in enumerate(parts):
            if id(rows) not in made:
                made[id(rows)] = _at(h, _checked, Stage(first, rows, paid, *labels))
        stages = [made[id(rows)] for _, rows, _ in parts]
        last = np.zeros(sizes[-1]) if terminal is None else numbers_of("terminal", terminal)
        first_state = np.full(sizes[0], 1 / sizes[0]) if start is None else numbers_of("start", start)
        gamma = numbers_of("discount", discount)
        for field, values, size in (("terminal", last, sizes[-1]), ("start", first_state, sizes[0])):
            if values.shape != (size,):
                raise ModelError(f"{field} has shape {values.shape}; there are {plural(size, 'state')}")
            refuse_non_finite(field, values)
        if gamma.shape != () or not gamma[()] >= 0 or (gamma.dtype != object and not np.isfinite(gamma)):
            raise ModelError(f"discount is {discount}; it must be a finite number, at least 0")
        check_start(first_state, stages[0].state_label)
        exact = any(values.dtype == object for values in (last, first_state, gamma)) or any(_is_exact(stage) for stage in stages)
        if exact and start is None:
            first_state = rational_array([f"1/{sizes[0]}"] * sizes[0])
        fields: dict[str, Any] = {"name": name or "", "state_names": labels[0], "action_names": labels[1], "given_exactly": exact}
        numbers = (stages, first_state, last, gamma)
        self._set(fields, _converted(numbers, True) if exact else numbers, exact=False)
        object.__setattr__(self, "_float", None)
        object.__setattr__(self, "_exact", self._twin(numbers) if exact else None)

    def _set(self, fields: dict[str, Any], numbers: tuple[Any, ...], exact: bool) -> None:
        stages, start, last, gamma = _converted(numbers, exact)
        arrays = {"stages": tuple(stages), "start": _locked(start), "terminal": _locked(last)}
        for key, value in {**fields, **arrays, "discount": gamma[()] if exact else float(gamma)}.items():
            object.__setattr__(self, key, value)

    def _twin(self, numbers: tuple[Any, ...]) -> FiniteHorizon:
        twin = FiniteHorizon.__new__(FiniteHorizon)
        twin._set({key: getattr(self, key) for key in ("name", "state_names", "action_names", "given_exactly")}, numbers, exact=True)
        object.__setattr__(twin, "_exact", None)
        object.__setattr__(twin, "_float", self)
        return twin

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a FiniteHorizon does not change")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a FiniteHorizon does not change")

    def __reduce__(self) -> Any:
        source = self.exact if self.given_exactly else self
        shared = {id(stage): (stage.first_pair, stage.choices, stage.pair_rewards) for stage in source.stages}
        parts = [shared[id(stage)] for stage in source.stages]
        return _restore, (parts, source.terminal, source.start, source.discount, self.state_names, self.action_names, self.name, self.is_exact)

    def __repr__(self) -> str:
        sizes = list(dict.fromkeys(stage.num_states for stage in self.stages))
        states = plural(sizes[0], "state") if len(sizes) == 1 else f"{min(sizes)} to {max(sizes)} states"
        return f"FiniteHorizon({self.name + ': ' if self.name else ''}{plural(self.horizon, 'step')}, {states}, discount {self.discount})"

    @property
    def horizon(self) -> int:
        """H, the number of decisions."""
        return len(self.stages)

    @property
    def is_exact(self) -> bool:
        """Whether the arrays of this object hold rationals."""
        return self._float is not None

    @property
    def exact(self) -> FiniteHorizon:
        """The problem in rationals: as it was written, or the simplest fractions beside its floats."""
        if self.is_exact:
            return self
        if self._exact is None:
            object.__setattr__(self, "_exact", self._twin((self.stages, self.start, self.terminal, np.array(self.discount))))
        return self._exact

    @property
    def float(self) -> FiniteHorizon:
        """The problem in float64."""
        return self._float if self.is_exact else self

    def unrolled(self, discount: Any = None) -> MDP:
        """The same problem as an MDP whose states are (step, state), with an absorbing end: the values of its first S_0 states are the answer.

        discount   in [0, 1); the problem's own if left out, which must then be below 1
        """
        from mdps.io.files import choice_matrix

        source = self.exact if self.given_exactly else self
        sizes = [stage.num_states for stage in self.stages] + [self.terminal.size]
        offset = np.concatenate(([0], np.cumsum(sizes)))
        at, to, probabilities, rewards, counts = ([] for _ in range(5))  # type: list[Array], list[Array], list[Array], list[Array], list[Array]
        pairs, end = 0, int(offset[-1])
        for h, stage in enumerate(source.stages):
            low = pairs
            for count, columns, data in nonzero_blocks(stage.choices):
                at.append(low + np.repeat(np.arange(count.size), count)), to.append(offset[h + 1] + columns), probabilities.append(data)
                low += count.size
            rewards.append(stage.pair_rewards), counts.append(np.diff(stage.first_pair))
            pairs += stage.num_pairs
        ends = sizes[-1] + 1
        zero, one = (rational(0), rational(1)) if source.is_exact else (0.0, 1.0)
        kind = object if source.is_exact else np.float64
        at.append(pairs + np.arange(ends)), to.append(np.full(ends, end)), probabilities.append(np.full(ends, one, dtype=kind))
        rewards += [source.terminal, np.full(1, zero, dtype=kind)]
        counts.append(np.ones(ends, dtype=np.int64))
        choices = choice_matrix(np.concatenate(at), np.concatenate(to), np.concatenate(probabilities), pairs + ends, end + 1)
        start = np.concatenate((source.start, np.full(end + 1 - sizes[0], zero, dtype=kind)))
        labels = [self.state_names or [str(s) for s in range(size)] for size in sizes]
        names = [f"{h}:{label}" for h, row_labels in enumerate(labels) for label in row_labels] + ["end"]
        first_pair = np.concatenate(([0], np.cumsum(np.concatenate(counts))))
        gamma = source.discount if discount is None else discount
        return MDP.from_choices(first_pair, choices, np.concatenate(rewards), gamma, start, state_names=names, name=f"{self.name} unrolled".strip())

    def digest(self) -> str:
        """A hexadecimal name for the numbers of the problem: equal problems, equal digests."""
        h = hashlib.sha256()
        known: dict[int, bytes] = {}
        for stage in self.stages:
            if id(stage) not in known:
                known[id(stage)] = hashlib.sha256(bytes_of(stage.first_pair) + bytes_of(stage.pair_rewards) + rows_digest(stage.choices)).digest()
            h.update(known[id(stage)])
        for part in (self.start, self.terminal, np.array([self.discount], dtype=self.terminal.dtype)):
            h.update(bytes_of(part))
        return h.hexdigest()[:16]


def _at(step: int, build: Callable[..., Any], *parts: Any) -> Any:
    """build(*parts); an error names the step."""
    try:
        return build(*parts)
    except ModelError as error:
        raise ModelError(f"step {step}: {error}") from error


def _rectangular(transitions: Any, rewards: Any) -> tuple[Array, Any, Array]:
    """(first_pair, rows, pair rewards) of one step given as (S, A, S') and one of the three shapes of rewards."""
    array = numbers_of("transitions", transitions)
    if array.ndim != 3 or 0 in array.shape:
        raise ModelError(f"transitions has shape {array.shape}; it must be (S, A, S') with at least one of each")
    states, actions, after = array.shape
    rows = as_choices(array.reshape(states * actions, after))
    return checked_shapes(np.arange(states + 1) * actions, rows, rewards_of_pairs(rewards, rows, states, actions))


def _names(kind: str, names: Sequence[str] | None, sizes: set[int]) -> tuple[str, ...] | None:
    if names is None:
        return None
    if sizes != {len(names)}:
        raise ModelError(f"{kind}_names has {len(names)} names; the steps have {' or '.join(str(size) for size in sorted(sizes))} {kind}s")
    return tuple(str(name) for name in names)


def _checked(stage: Stage) -> Stage:
    """The stage, in rationals throughout if any of it is."""
    check_rows(stage)
    rows = stage.choices if isinstance(stage.choices, np.ndarray) else stage.choices.data
    mixed = rows.dtype != stage.pair_rewards.dtype
    for part in (stage.first_pair, stage.choices, stage.pair_rewards):
        _locked(part)
    return stage._converted(True) if mixed else stage


def _is_exact(stage: Stage) -> bool:
    return stage.pair_rewards.dtype == object


def _converted(numbers: tuple[Any, ...], exact: bool) -> tuple[Any, ...]:
    """(stages, start, terminal, discount) in rationals or in floats; a stage that occurs often is converted once."""
    stages, start, last, gamma = numbers
    made: dict[int, Stage] = {}
    for stage in stages:
        if id(stage) not in made:
            made[id(stage)] = stage if _is_exact(stage) is exact else stage._converted(exact)
    first = exact_rows(start) if exact and start.dtype != object else _numbers_as(exact, start)
    return [made[id(stage)] for stage in stages], first, _numbers_as(exact, last), _numbers_as(exact, gamma)


def _numbers_as(exact: bool, values: Array) -> Array:
    if exact:
        return values if values.dtype == object else meant_array(values)
    return to_float(values) if values.dtype == object else values


def _locked(part: Any) -> Any:
    for array in (part,) if isinstance(part, np.ndarray) else (part.data, part.indices, part.indptr):
        array.setflags(write=False)
    return part


def _restore(parts: Any, terminal: Any, start: Any, discount: Any, states: Any, actions: Any, name: str, exact: bool) -> FiniteHorizon:
    problem = FiniteHorizon.from_stages(parts, terminal, start, discount=discount, state_names=states, action_names=actions, name=name)
    return problem.exact if exact else problem
