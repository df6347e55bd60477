"""The finite discounted Markov decision process that everything else takes.

    In state s an action a pays r(s, a) and leads to s' with probability P(s' | s, a);
    the value of a policy is the expected sum of gamma^t r(s_t, a_t), 0 <= gamma < 1.

Storage is a *choice matrix*: one row for every pair (s, a), grouped by state; the rows of state s are `first_pair[s]` to
`first_pair[s + 1] - 1`.  Rows are dense, or compressed (CSR) where `choices` is sparse.  A model with the same number of actions in every
state also shows itself as `transitions` (S, A, S') and `rewards` (S, A); one whose states have different numbers of actions pads them
(probability and reward 0) and says so in `action_mask`.

Numbers are float64.  A model that was written in exact numbers (Fraction, fmpq, text such as "3/10") keeps them: `mdp.exact` is the same
model in rationals (`flint.fmpq` in object arrays).  For a model given in floats `mdp.exact` holds the fractions that were meant
(`mdps.rational.meant_array`: the simplest beside the floats where they have anything in common), with rows that sum to exactly 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mdps.errors import ModelError, nearest, plural
from mdps.rational import exact_compressed, exact_rows, fraction, is_exact, meant_array, rational_array, simplest_array, to_float

Array = np.ndarray
ROW_TOLERANCE = 1e-9
"""How far the sum of a probability row may be from 1: far above rounding, far below a forgotten outcome."""
DENSE_LIMIT = 2**28
"""Entries up to which a sparse model may be shown as a dense (S, A, S') array: 2 GiB."""


class MDP:
    """A finite discounted MDP: immutable, validated once.

    transitions   (S, A, S') probabilities; or a scipy sparse (S*A, S') matrix, row s*A + a
    rewards       (S, A); or (S, A, S') paid on the transition; or (S,) paid in the state
    discount      gamma in [0, 1)
    start         (S,) distribution of the first state; uniform if left out
    raises        ModelError: names the state, the action and the figure

    All entries may be exact (Fraction, fmpq, text); `MDP.from_choices` takes models whose states differ in their number of actions.
    """

    __slots__ = (
        *("_choices", "_exact", "_float", "action_names", "discount", "first_pair"),
        *("given_exactly", "name", "pair_rewards", "start", "state_names"),
    )  # fmt: skip
    first_pair: Array
    pair_rewards: Array
    discount: Any
    start: Array
    state_names: tuple[str, ...] | None
    action_names: tuple[str, ...] | None
    name: str
    given_exactly: bool
    _choices: Any
    _exact: Any
    _float: Any

    def __init__(
        self,
        transitions: Any,
        rewards: Any,
        discount: Any,
        start: Any = None,
        *,
        state_names: Sequence[str] | None = None,
        action_names: Sequence[str] | None = None,
        name: str | None = None,
    ) -> None:
        labels = _Labels(state_names, action_names)
        choices, num_states, num_actions = _rectangular_choices(transitions)
        pair_rewards = _pair_rewards(rewards, choices, num_states, num_actions)
        first_pair = np.arange(0, num_states * num_actions + 1, num_actions)
        self._fill(first_pair, choices, pair_rewards, discount, start, labels, name)

    @classmethod
    def from_choices(
        cls,
        first_pair: Any,
        choices: Any,
        rewards: Any,
        discount: Any,
        start: Any = None,
        *,
        state_names: Sequence[str] | None = None,
        action_names: Sequence[str] | None = None,
        name: str | None = None,
    ) -> MDP:
        """A model by its choice matrix: row k of `choices` (pairs, S), dense or sparse, is the successor distribution of pair k.

        first_pair   (S + 1,) increasing integers: state s owns the rows first_pair[s] .. first_pair[s + 1] - 1, at least one
        rewards      (pairs,)
        """
        first, matrix, paid = checked_shapes(first_pair, choices, rewards)
        if matrix.shape[1] != first.size - 1:
            raise ModelError(f"choices has shape {matrix.shape}; first_pair asks for ({first[-1]}, {first.size - 1}) (pairs, states)")
        self = cls.__new__(cls)
        self._fill(first, matrix, paid, discount, start, _Labels(state_names, action_names), name)
        return self

    def _fill(self, first: Array, choices: Any, rewards: Array, discount: Any, start: Any, labels: _Labels, name: str | None) -> None:
        num_states = first.size - 1
        exact = is_exact(choices if isinstance(choices, np.ndarray) else choices.data) or is_exact(rewards)
        exact = exact or is_exact(discount) or (start is not None and is_exact(start))
        names = labels.states(num_states), labels.actions(int(np.diff(first).max()))
        self._set(first_pair=_frozen(first), _choices=choices, pair_rewards=rewards, state_names=names[0], action_names=names[1], name=name or "")
        if exact:  # float parts are checked before they become rationals, which would hide what is wrong with them
            check_rows(self)
            choices, rewards, discount = _all_exact(choices), _numbers_exact(rewards), _numbers_exact(discount)[()]
        else:
            discount = _float_discount(discount)
        self._set(_exact=None, _float=None, given_exactly=exact, discount=discount, start=_frozen(_start(start, num_states, exact)))
        self._set(_choices=_frozen(choices) if isinstance(choices, np.ndarray) else choices, pair_rewards=_frozen(rewards))
        _check(self)
        if exact:
            if float(fraction(discount)) == 1:
                raise ModelError(f"discount is {discount}, which float64 cannot tell from 1; the largest below 1 is 1 - 2^-53")
            as_float = _convert(self, to_float(choices) if isinstance(choices, np.ndarray) else choices.to_float(), to_float)
            twin = _copy(self)
            object.__setattr__(twin, "_float", self)
            for field in ("_choices", "pair_rewards", "discount", "start"):
                object.__setattr__(self, field, getattr(as_float, field))
            object.__setattr__(self, "_exact", twin)

    def _set(self, **fields: Any) -> None:
        for field, value in fields.items():
            object.__setattr__(self, field, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"an MDP does not change; mdp.replace({name}=...) gives a changed copy")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("an MDP does not change")

    def __reduce__(self) -> Any:
        source = self.exact if self.given_exactly else self
        args = (source.first_pair, source._choices, source.pair_rewards, source.discount, source.start)
        return _restore, (args, self.state_names, self.action_names, self.name, self.is_exact)

    def __repr__(self) -> str:
        shape = plural(self.num_actions, "action") if self.is_rectangular else plural(self.num_pairs, "pair")
        return f"MDP({self.name + ': ' if self.name else ''}{plural(self.num_states, 'state')}, {shape}, discount {self.discount})"

    # Sizes and storage

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
    def is_rectangular(self) -> bool:
        """Whether every state has the same number of actions."""
        return self.num_pairs == self.num_states * self.num_actions

    @property
    def is_sparse(self) -> bool:
        return not isinstance(self._choices, np.ndarray)

    @property
    def is_exact(self) -> bool:
        """Whether the arrays of this object hold rationals (`mdp.exact`) instead of float64."""
        return self.pair_rewards.dtype == object

    @property
    def choices(self) -> Any:
        """The choice matrix (pairs, S): an array, or for a sparse model a `scipy.sparse.csr_array` (with rationals: `SparseRows`)."""
        return self._choices

    @property
    def action_mask(self) -> Array:
        """(S, A) booleans: which actions exist."""
        return np.arange(self.num_actions) < np.diff(self.first_pair)[:, None]

    @property
    def transitions(self) -> Array:
        """(S, A, S') dense; rows of actions that a state does not have are 0.  A view where the model is dense and rectangular."""
        shape = (self.num_states, self.num_actions, self.num_states)
        if self.is_sparse and np.prod(shape, dtype=float) > DENSE_LIMIT:
            raise ModelError(f"a dense {shape} array would not fit; use mdp.choices, a sparse ({self.num_pairs}, {shape[2]}) matrix")
        rows = self._choices.toarray() if self.is_sparse else self._choices
        return rows.reshape(shape) if self.is_rectangular else _padded(rows, self.action_mask)

    @property
    def rewards(self) -> Array:
        """(S, A); 0 for actions that a state does not have.  A view where the model is rectangular."""
        if self.is_rectangular:
            return self.pair_rewards.reshape(self.num_states, self.num_actions)
        return _padded(self.pair_rewards, self.action_mask)

    # Other forms of the same model

    @property
    def exact(self) -> MDP:
        """The model in rationals: as it was written if it was written exactly, else the fractions that its floats were meant for."""
        if self.is_exact:
            return self
        if self._exact is None:
            rows = exact_rows(self._choices) if not self.is_sparse else SparseRows.from_csr(self._choices)
            twin = _copy(self)
            start = exact_rows(self.start) if np.unique(self.start).size > 1 else rational_array([f"1/{self.num_states}"] * self.num_states)
            for field, value in (
                ("_choices", _frozen(rows) if isinstance(rows, np.ndarray) else rows),
                ("pair_rewards", _frozen(meant_array(self.pair_rewards))),
                ("discount", simplest_array(np.float64(self.discount))[()]),
                ("start", _frozen(start)),
                ("_float", self),
            ):
                object.__setattr__(twin, field, value)
            _check(twin)
            object.__setattr__(self, "_exact", twin)
        return self._exact

    @property
    def float(self) -> MDP:
        """The model in float64; `mdp.exact.float is mdp`."""
        return self._float if self.is_exact else self

    def replace(self, **changes: Any) -> MDP:
        """A validated copy with other transitions, rewards, discount, start, state_names, action_names or name.

        rewards       (S, A), (S, A, S') or (S,) as in the constructor, or (pairs,), one for each pair of state and action
        transitions   may have another number of states; start and state names are then dropped unless they are given too
        A copy of a model in rationals is in rationals.
        """
        known = ("transitions", "rewards", "discount", "start", "state_names", "action_names", "name")
        unknown = [key for key in changes if key not in known]
        if unknown:
            raise ModelError(f"an MDP has no field {unknown[0]!r}; it has {', '.join(known)}.{nearest(unknown[0], known)}")
        source = self.exact if self.given_exactly else self
        fields = {key: changes.get(key, getattr(source, key)) for key in known[2:]}
        if "transitions" in changes:
            moves, num_states, num_actions = _rectangular_choices(changes["transitions"])
            if num_states != self.num_states:
                fields.update({key: changes.get(key) for key in ("start", "state_names")})
            if num_actions != self.num_actions:
                fields["action_names"] = changes.get("action_names")
            paid = _pair_rewards(changes.get("rewards", source.rewards), moves, num_states, num_actions)
            copy = MDP.from_choices(np.arange(num_states + 1) * num_actions, moves, paid, **fields)
        else:
            paid = source._rewards_of_pairs(changes["rewards"]) if "rewards" in changes else source.pair_rewards
            copy = MDP.from_choices(source.first_pair, source._choices, paid, **fields)
        return copy.exact if self.is_exact else copy

    def _rewards_of_pairs(self, rewards: Any) -> Array:
        """(pairs,) from any shape that `replace` takes."""
        shape = np.shape(rewards)
        if shape == (self.num_pairs,) and self.num_pairs != self.num_states:
            return _numbers("rewards", rewards)
        if self.is_rectangular:
            return _pair_rewards(rewards, self._choices, self.num_states, self.num_actions)
        if shape == (self.num_states,):
            return np.repeat(_numbers("rewards", rewards), np.diff(self.first_pair))
        if shape == self.action_mask.shape:
            return _numbers("rewards", rewards)[self.action_mask]
        raise ModelError(
            f"rewards has shape {shape}; this model takes {(self.num_pairs,)} (one for each pair of state and action), "
            f"{self.action_mask.shape} or {(self.num_states,)}"
        )

    def digest(self) -> str:
        """A hexadecimal name for the numbers of the model (not its labels or storage): equal models, equal digests, in every process."""
        total = hashlib.sha256(rows_digest(self._choices))
        for values in (self.first_pair, self.pair_rewards, np.array([self.discount], dtype=self.pair_rewards.dtype), self.start):
            total.update(_bytes(values))
        return total.hexdigest()[:16]

    def describe(self) -> str:
        """A few lines for people: size, sparsity, structure of the graph, conditioning; `mdps.structure.structure(mdp)` has them as figures."""
        from mdps.structure import describe

        return describe(self)

    def state_label(self, state: int) -> str:
        """'state 3 "pit"', or 'state 3' where states have no names."""
        return f'state {state} "{self.state_names[state]}"' if self.state_names else f"state {state}"


class SparseRows:
    """CSR rows of rationals: `indptr`, `indices`, `data` (object array), `shape`."""

    __slots__ = ("data", "indices", "indptr", "shape")

    def __init__(self, indptr: Array, indices: Array, data: Array, shape: tuple[int, int]) -> None:
        self.indptr, self.indices, self.data, self.shape = indptr, indices, data, shape

    @classmethod
    def from_csr(cls, matrix: Any) -> SparseRows:
        return cls(matrix.indptr, matrix.indices, _frozen(exact_compressed(matrix.data, matrix.indptr)), matrix.shape)

    def to_float(self) -> Any:
        from scipy.sparse import csr_array

        return csr_array((to_float(self.data), self.indices, self.indptr), shape=self.shape)

    def toarray(self) -> Array:
        from flint import fmpq

        out = np.full(self.shape, fmpq(0), dtype=object)
        rows = np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))
        out[rows, self.indices] = self.data
        return out

    def __repr__(self) -> str:
        return f"SparseRows({self.shape}, {self.indptr.tolist()}, {self.indices.tolist()}, {self.data.tolist()})"


class _Labels:
    """State and action names, checked once the sizes are known."""

    def __init__(self, states: Sequence[str] | None, actions: Sequence[str] | None) -> None:
        self._states, self._actions = states, actions

    def states(self, count: int) -> tuple[str, ...] | None:
        return self._checked("state", self._states, count)

    def actions(self, count: int) -> tuple[str, ...] | None:
        return self._checked("action", self._actions, count)

    @staticmethod
    def _checked(kind: str, names: Sequence[str] | None, count: int) -> tuple[str, ...] | None:
        if names is None:
            return None
        if len(names) != count:
            raise ModelError(f"{kind}_names has {len(names)} names for {count} {kind}s")
        return tuple(str(name) for name in names)


def checked_shapes(first_pair: Any, choices: Any, rewards: Any) -> tuple[Array, Any, Array]:
    """The parts of a choice matrix as new arrays whose numbers of states and pairs agree; the number of successors is left open."""
    first = _row_numbers(first_pair)
    if first.ndim != 1 or first.size < 2 or first[0] != 0:
        raise ModelError(f"first_pair must be a vector of S + 1 >= 2 row numbers that starts at 0; it has shape {first.shape}")
    empty = np.flatnonzero(np.diff(first) < 1)
    if empty.size:
        raise ModelError(f"state {empty[0]} has no action; give it at least one (a self-loop with reward 0 for a terminal state)")
    matrix, paid = _as_choices(choices), _numbers("rewards", rewards)
    if matrix.shape[0] != first[-1]:
        raise ModelError(f"choices has shape {matrix.shape}; first_pair asks for ({first[-1]}, {first.size - 1}) (pairs, states)")
    if paid.shape != (first[-1],):
        raise ModelError(f"rewards has shape {paid.shape}; there are {first[-1]} pairs of state and action")
    return first, matrix, paid


def _row_numbers(first_pair: Any) -> Array:
    try:
        given = np.asarray(first_pair)
        numbers = np.array(given, dtype=np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"first_pair is {first_pair!r}; it must be a vector of whole numbers") from error
    if given.dtype == bool or np.any(numbers != given):
        raise ModelError("first_pair must be a vector of whole numbers")
    return numbers


def _numbers(field: str, values: Any) -> Array:
    """`values` as a new array of float64, or of fmpq where they are exact."""
    try:
        return rational_array(values) if is_exact(values) else np.array(values, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        if isinstance(error, ModelError):
            raise ModelError(f"{field}: {error}") from error
        raise ModelError(f"{field} is not a rectangular array of numbers ({error})") from error


def _rectangular_choices(transitions: Any) -> tuple[Any, int, int]:
    """The choice matrix of a (S, A, S') array or a sparse (S*A, S') matrix, with S and A."""
    if hasattr(transitions, "tocsr") or isinstance(transitions, SparseRows):
        matrix = _as_choices(transitions)
        pairs, states = matrix.shape
        if states == 0 or pairs == 0 or pairs % states:
            raise ModelError(f"a sparse transition matrix has S*A rows and S columns; {matrix.shape} is not such a shape")
        return matrix, states, pairs // states
    array = _numbers("transitions", transitions)
    if array.ndim != 3 or array.shape[0] != array.shape[2]:
        raise ModelError(f"transitions has shape {array.shape}; it must be (S, A, S') with as many successors as states")
    states, actions, _ = array.shape
    if states == 0:
        raise ModelError("transitions has no state")
    if actions == 0:
        raise ModelError("state 0 has no action: transitions has shape " + str(array.shape))
    return array.reshape(states * actions, states), states, actions


def _as_choices(choices: Any) -> Any:
    """A dense float64 or exact array, a checked csr_array with sorted unique indices, or SparseRows, of its own memory."""
    if isinstance(choices, SparseRows):
        _check_csr(choices)
        return choices
    if not hasattr(choices, "tocsr"):
        array = _numbers("choices", choices)
        if array.ndim != 2:
            raise ModelError(f"choices has shape {array.shape}; it must be (pairs, S)")
        return array
    from scipy.sparse import csr_array

    if getattr(choices, "format", "") == "csr":
        _check_csr(choices)
    try:
        matrix = csr_array(choices, dtype=np.float64, copy=True)
    except (TypeError, ValueError) as error:
        raise ModelError(f"the sparse transition matrix cannot be read: {error}") from error
    matrix.sum_duplicates()
    small = max(matrix.shape[1], matrix.nnz) < 2**31
    if small:
        matrix.indices, matrix.indptr = matrix.indices.astype(np.int32, copy=False), matrix.indptr.astype(np.int32, copy=False)
    for part in (matrix.data, matrix.indices, matrix.indptr):
        part.setflags(write=False)
    return matrix


def _check_csr(rows: Any) -> None:
    """Refuses row pointers and successors that point outside."""
    indptr, indices = rows.indptr, rows.indices
    if indptr.shape != (rows.shape[0] + 1,) or indptr[0] != 0 or np.any(np.diff(indptr) < 0) or indptr[-1] > indices.size:
        raise ModelError(f"the sparse transition matrix has broken row pointers; indptr must rise from 0 to {indices.size} in {rows.shape[0]} steps")
    if indices.shape != rows.data.shape:
        raise ModelError(f"the sparse transition matrix has {indices.size} successors and {rows.data.size} probabilities")
    low, high = (int(indices.min()), int(indices.max())) if indices.size else (0, 0)
    if low < 0 or high >= max(rows.shape[1], 1):
        raise ModelError(f"the sparse transition matrix names successor {low if low < 0 else high}; there are {rows.shape[1]} states")


def _pair_rewards(rewards: Any, choices: Any, states: int, actions: int) -> Array:
    """(S*A,) expected rewards from the three accepted shapes."""
    paid = _numbers("rewards", rewards)
    if paid.shape == (states, actions):
        return paid.reshape(-1)
    if paid.shape == (states,):
        return np.repeat(paid, actions)
    if paid.shape == (states, actions, states):
        _refuse_non_finite("rewards", paid)
        return _expected(choices, paid.reshape(states * actions, states))
    raise ModelError(f"rewards has shape {paid.shape}; it must be (S, A) = {(states, actions)}, (S, A, S') or (S,)")


def _expected(choices: Any, paid: Array) -> Array:
    """Row sums of choices * paid; exact where either is."""
    given = choices if isinstance(choices, np.ndarray) else choices.data
    if given.dtype == object or paid.dtype == object:
        choices, paid = _all_exact(choices), _numbers_exact(paid)
    if isinstance(choices, np.ndarray):
        return (choices * paid).sum(axis=1)
    if not isinstance(choices, SparseRows):
        return np.asarray(choices.multiply(paid).sum(axis=1)).reshape(-1)
    from flint import fmpq

    rows = np.repeat(np.arange(choices.shape[0]), np.diff(choices.indptr))
    terms = choices.data * paid[rows, choices.indices]
    sums = [sum(terms[b:e].tolist(), fmpq(0)) for b, e in zip(choices.indptr[:-1], choices.indptr[1:], strict=True)]
    return rational_array(sums)


def rows_digest(choices: Any) -> bytes:
    """A digest of the positive entries of a choice matrix, the same for dense and compressed storage."""
    parts = [hashlib.sha256() for _ in range(3)]
    for block in _nonzero_blocks(choices):
        for part, values in zip(parts, block, strict=True):
            part.update(_bytes(values))
    return b"".join(part.digest() for part in parts)


def _nonzero_blocks(choices: Any, entries: int = 2**22) -> Iterator[tuple[Array, Array, Array]]:
    """(entries in each row, their columns, their values) without zeros, for blocks of rows."""
    rows, columns = choices.shape
    stored = rows * columns if isinstance(choices, np.ndarray) else choices.data.size
    step = max(1, entries * rows // max(stored, 1))
    for low in range(0, rows, step):
        if isinstance(choices, np.ndarray):
            block = choices[low : low + step]
            row, column = np.nonzero(block)
            data = block[row, column]
        else:
            begin, end = choices.indptr[low], choices.indptr[min(low + step, rows)]
            kept = np.flatnonzero(choices.data[begin:end] != 0)
            row = np.repeat(np.arange(min(step, rows - low)), np.diff(choices.indptr[low : min(low + step, rows) + 1]))[kept]
            column, data = choices.indices[begin:end][kept], choices.data[begin:end][kept]
        yield np.bincount(row, minlength=min(step, rows - low)), column.astype(np.int64), data


def _bytes(values: Array) -> bytes:
    if values.dtype == object:
        return "".join(f"{x}," for x in values.tolist()).encode()
    return np.ascontiguousarray(values + 0).tobytes()  # + 0 turns -0.0 into 0.0


def _start(start: Any, states: int, exact: bool) -> Array:
    if start is None:
        return rational_array([f"1/{states}"] * states) if exact else np.full(states, 1.0 / states)
    numbers = _numbers("start", start)
    if numbers.shape != (states,):
        raise ModelError(f"start has shape {numbers.shape}; it must hold one probability for each of the {states} states")
    if numbers.dtype == object or not exact:
        return numbers
    _check_start(numbers, lambda state: f"state {state}")
    return exact_rows(numbers)


def _check_start(start: Array, label: Any) -> None:
    _refuse_non_finite("start", start)
    if np.any(start < 0):
        state = int(np.flatnonzero(start < 0)[0])
        raise ModelError(f"start[{state}] ({label(state)}) is {start[state]}; a probability is at least 0")
    total = start.sum()
    tolerance = 0 if start.dtype == object else ROW_TOLERANCE
    if abs(total - 1) > tolerance:
        raise ModelError(f"start sums to {_figure(total)}, not 1; it may be off by at most {tolerance:g}")


def _float_discount(discount: Any) -> float:
    try:
        return float(discount)
    except (TypeError, ValueError) as error:
        raise ModelError(f"discount is {discount!r}; it must be one number in [0, 1)") from error


def _all_exact(choices: Any) -> Any:
    if isinstance(choices, SparseRows):
        return choices
    if hasattr(choices, "tocsr"):
        return SparseRows.from_csr(choices)
    return choices if choices.dtype == object else exact_rows(choices)


def _numbers_exact(values: Any) -> Array:
    if is_exact(values):
        return rational_array(values)
    numbers = np.array(values, dtype=np.float64)
    if not np.all(np.isfinite(numbers)):
        _refuse_non_finite("rewards" if numbers.ndim else "discount", numbers)
    return meant_array(numbers)


def _check(mdp: MDP) -> None:
    """Refuses what is no MDP, naming the first offending place."""
    if not 0 <= mdp.discount < 1:
        raise ModelError(
            f"discount is {mdp.discount}; it must be in [0, 1)."
            + (" For total reward or average reward use the solvers for those criteria." if mdp.discount == 1 else "")
        )
    check_rows(mdp)
    _check_start(mdp.start, mdp.state_label)


def check_rows(mdp: Any) -> None:
    """Refuses rows that are no distributions, and rewards that are not finite.  Takes an MDP or one stage of a finite-horizon problem."""
    rows = mdp._choices
    data = rows if isinstance(rows, np.ndarray) else rows.data
    _refuse_non_finite("transitions", data, mdp)
    _refuse_non_finite("rewards", mdp.pair_rewards, mdp)
    negative = np.flatnonzero((data < 0).reshape(-1))
    if negative.size:
        k = int(negative[0])
        pair, successor = divmod(k, rows.shape[1]) if isinstance(rows, np.ndarray) else (_csr_row(rows, k), int(rows.indices[k]))
        raise ModelError(f"{_place(mdp, pair, successor)} is {data.reshape(-1)[k]}; a probability is at least 0")
    if isinstance(rows, np.ndarray):
        sums = rows.sum(axis=1)
    elif isinstance(rows, SparseRows):
        from flint import fmpq

        sums = np.array([sum(data[b:e].tolist(), fmpq(0)) for b, e in zip(rows.indptr[:-1], rows.indptr[1:], strict=True)], dtype=object)
    else:
        sums = rows @ np.ones(rows.shape[1])
    tolerance = 0 if data.dtype == object else ROW_TOLERANCE
    off = np.flatnonzero(np.abs(sums - 1) > tolerance)
    if off.size:
        pair = int(off[0])
        raise ModelError(f"{_place(mdp, pair)} sums to {_figure(sums[pair])}, not 1; {_surplus(sums[pair], tolerance)}")


def _figure(number: Any) -> str:
    """A number for a message: rationals as they are, floats with all digits that matter."""
    return f"{number:.12g}" if isinstance(number, float) else str(number)


def _surplus(total: Any, tolerance: float) -> str:
    missing = 1 - total
    allowed = f"it may be off by at most {tolerance:g}" if tolerance else "exact rows must sum to exactly 1"
    if missing > 0:
        return f"{allowed}.\n  If the missing {_figure(missing)} leaves the process, send it to an absorbing state with reward 0."
    return f"{allowed}. It is too large by {_figure(-missing)}."


def _place(mdp: MDP, pair: int, successor: int | None = None) -> str:
    state = int(np.searchsorted(mdp.first_pair, pair, side="right")) - 1
    action = pair - int(mdp.first_pair[state])
    index = f"{state}, {action}" + ("" if successor is None else f", {successor}")
    named = f' "{mdp.action_names[action]}"' if mdp.action_names else ""
    return f"transitions[{index}] ({mdp.state_label(state)}, action {action}{named})"


def _refuse_non_finite(field: str, values: Array, mdp: MDP | None = None) -> None:
    if values.dtype == object:
        return
    bad = np.flatnonzero(~np.isfinite(values.reshape(-1)))
    if not bad.size:
        return
    k = int(bad[0])
    figure = values.reshape(-1)[k]
    if mdp is not None and field == "transitions":
        rows = mdp._choices
        pair, successor = divmod(k, rows.shape[1]) if isinstance(rows, np.ndarray) else (_csr_row(rows, k), int(rows.indices[k]))
        raise ModelError(f"{_place(mdp, pair, successor)} is {figure}; it must be a finite number")
    if mdp is not None and field == "rewards":
        place = _place(mdp, k).replace("transitions", "rewards", 1)
        raise ModelError(f"{place} is {figure}; it must be a finite number")
    index = ", ".join(str(int(i)) for i in np.unravel_index(k, values.shape)) if values.ndim else ""
    raise ModelError(f"{field}{f'[{index}]' if index else ''} is {figure}; it must be a finite number")


def _csr_row(rows: Any, k: int) -> int:
    return int(np.searchsorted(rows.indptr, k, side="right")) - 1


def _padded(rows: Array, mask: Array) -> Array:
    out = np.zeros(mask.shape + rows.shape[1:], dtype=rows.dtype)
    if rows.dtype == object:
        from flint import fmpq

        out[...] = fmpq(0)
    out[mask] = rows
    return out


def _frozen(array: Array) -> Array:
    array = array.view() if array.flags.owndata is False else array
    array.setflags(write=False)
    return array


def _copy(mdp: MDP) -> MDP:
    twin = MDP.__new__(MDP)
    for field in MDP.__slots__:
        object.__setattr__(twin, field, getattr(mdp, field))
    object.__setattr__(twin, "_exact", None)
    return twin


def _convert(mdp: MDP, choices: Any, convert: Any) -> MDP:
    twin = _copy(mdp)
    for part in (choices,) if isinstance(choices, np.ndarray) else (choices.data, choices.indices, choices.indptr):
        part.setflags(write=False)
    object.__setattr__(twin, "_choices", choices)
    for field in ("pair_rewards", "start"):
        object.__setattr__(twin, field, _frozen(convert(getattr(mdp, field))))
    object.__setattr__(twin, "discount", float(convert(mdp.discount)))
    return twin


def _restore(parts: tuple[Any, ...], states: Any, actions: Any, name: str, exact: bool) -> MDP:
    model = MDP.from_choices(*parts, state_names=states, action_names=actions, name=name)
    return model.exact if exact else model
