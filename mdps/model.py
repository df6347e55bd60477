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
from collections.abc import Sequence
from typing import Any

import numpy as np

from mdps.checks import check_rows, check_start
from mdps.errors import ModelError, nearest, plural
from mdps.rational import exact_rows, fraction, is_exact, meant_array, rational_array, simplest_array, to_float
from mdps.rows import (
    SparseRows,
    all_exact,
    bytes_of,
    checked_shapes,
    exact_numbers,
    frozen,
    numbers_of,
    padded,
    rectangular_choices,
    rewards_of_pairs,
    rows_digest,
)

Array = np.ndarray
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
        choices, num_states, num_actions = rectangular_choices(transitions)
        pair_rewards = rewards_of_pairs(rewards, choices, num_states, num_actions)
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
        self._set(first_pair=frozen(first), _choices=choices, pair_rewards=rewards, state_names=names[0], action_names=names[1], name=name or "")
        if exact:  # float parts are checked before they become rationals, which would hide what is wrong with them
            check_rows(self)
            choices, rewards, discount = all_exact(choices), exact_numbers(rewards), exact_numbers(discount)[()]
        else:
            discount = _float_discount(discount)
        self._set(_exact=None, _float=None, given_exactly=exact, discount=discount, start=frozen(_start(start, num_states, exact)))
        self._set(_choices=frozen(choices) if isinstance(choices, np.ndarray) else choices, pair_rewards=frozen(rewards))
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
        return rows.reshape(shape) if self.is_rectangular else padded(rows, self.action_mask)

    @property
    def rewards(self) -> Array:
        """(S, A); 0 for actions that a state does not have.  A view where the model is rectangular."""
        if self.is_rectangular:
            return self.pair_rewards.reshape(self.num_states, self.num_actions)
        return padded(self.pair_rewards, self.action_mask)

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
                ("_choices", frozen(rows) if isinstance(rows, np.ndarray) else rows),
                ("pair_rewards", frozen(meant_array(self.pair_rewards))),
                ("discount", simplest_array(np.float64(self.discount))[()]),
                ("start", frozen(start)),
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
            moves, num_states, num_actions = rectangular_choices(changes["transitions"])
            if num_states != self.num_states:
                fields.update({key: changes.get(key) for key in ("start", "state_names")})
            if num_actions != self.num_actions:
                fields["action_names"] = changes.get("action_names")
            paid = rewards_of_pairs(changes.get("rewards", source.rewards), moves, num_states, num_actions)
            copy = MDP.from_choices(np.arange(num_states + 1) * num_actions, moves, paid, **fields)
        else:
            paid = source._rewards_of_pairs(changes["rewards"]) if "rewards" in changes else source.pair_rewards
            copy = MDP.from_choices(source.first_pair, source._choices, paid, **fields)
        return copy.exact if self.is_exact else copy

    def _rewards_of_pairs(self, rewards: Any) -> Array:
        """(pairs,) from any shape that `replace` takes."""
        shape = np.shape(rewards)
        if shape == (self.num_pairs,) and self.num_pairs != self.num_states:
            return numbers_of("rewards", rewards)
        if self.is_rectangular:
            return rewards_of_pairs(rewards, self._choices, self.num_states, self.num_actions)
        if shape == (self.num_states,):
            return np.repeat(numbers_of("rewards", rewards), np.diff(self.first_pair))
        if shape == self.action_mask.shape:
            return numbers_of("rewards", rewards)[self.action_mask]
        raise ModelError(
            f"rewards has shape {shape}; this model takes {(self.num_pairs,)} (one for each pair of state and action), "
            f"{self.action_mask.shape} or {(self.num_states,)}"
        )

    def digest(self) -> str:
        """A hexadecimal name for the numbers of the model (not its labels or storage): equal models, equal digests, in every process."""
        total = hashlib.sha256(rows_digest(self._choices))
        for values in (self.first_pair, self.pair_rewards, np.array([self.discount], dtype=self.pair_rewards.dtype), self.start):
            total.update(bytes_of(values))
        return total.hexdigest()[:16]

    def describe(self) -> str:
        """A few lines for people: size, sparsity, structure of the graph, conditioning; `mdps.structure.structure(mdp)` has them as figures."""
        from mdps.structure import describe

        return describe(self)

    def state_label(self, state: int) -> str:
        """'state 3 "pit"', or 'state 3' where states have no names."""
        return f'state {state} "{self.state_names[state]}"' if self.state_names else f"state {state}"


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


def _start(start: Any, states: int, exact: bool) -> Array:
    if start is None:
        return rational_array([f"1/{states}"] * states) if exact else np.full(states, 1.0 / states)
    numbers = numbers_of("start", start)
    if numbers.shape != (states,):
        raise ModelError(f"start has shape {numbers.shape}; it must hold one probability for each of the {states} states")
    if numbers.dtype == object or not exact:
        return numbers
    check_start(numbers, lambda state: f"state {state}")
    return exact_rows(numbers)


def _float_discount(discount: Any) -> float:
    try:
        return float(discount)
    except (TypeError, ValueError) as error:
        raise ModelError(f"discount is {discount!r}; it must be one number in [0, 1)") from error


def _check(mdp: MDP) -> None:
    """Refuses what is no MDP, naming the first offending place."""
    if not 0 <= mdp.discount < 1:
        raise ModelError(
            f"discount is {mdp.discount}; it must be in [0, 1)."
            + (" For total reward or average reward use the solvers for those criteria." if mdp.discount == 1 else "")
        )
    check_rows(mdp)
    check_start(mdp.start, mdp.state_label)


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
        object.__setattr__(twin, field, frozen(convert(getattr(mdp, field))))
    object.__setattr__(twin, "discount", float(convert(mdp.discount)))
    return twin


def _restore(parts: tuple[Any, ...], states: Any, actions: Any, name: str, exact: bool) -> MDP:
    model = MDP.from_choices(*parts, state_names=states, action_names=actions, name=name)
    return model.exact if exact else model
