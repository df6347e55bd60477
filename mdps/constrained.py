"""The constrained Markov decision process: one reward to maximise, and costs whose discounted sums must respect thresholds.

    max over policies of V_r(rho)   subject to   V_(c_i)(rho) <= b_i   (or >= b_i),   i = 1 .. m

V_x(rho) is the expected sum of gamma^t x(s_t, a_t) from the model's start distribution.  Nothing is normalised: a cost of 1 a step for ever is worth
1 / (1 - gamma), and thresholds are in the same units.  Discount 0 is a bandit, or one with contexts where the start is spread over several states.

The values of all policies are linear in the occupancy, so the optimum is a linear program (Altman 1999), its policy has to be random in up to m
states, and it depends on the start distribution, other than that of a plain MDP.  `pgtheory.constrained` solves and explains it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from mdps.ambiguity.balls import checked_numbers, float_numbers
from mdps.checks import refuse_non_finite
from mdps.errors import ModelError, nearest, plural
from mdps.model import MDP
from mdps.rational import is_exact, meant_array

Array = np.ndarray
DIRECTIONS = ("<=", ">=")


class ConstrainedMDP:
    """An MDP with m >= 1 constraints on discounted costs: immutable, checked once.

    mdp          the model; its reward is maximised
    costs        m arrays, one for each constraint, of any shape that rewards may have: (S, A), (S, A, S'), (S,) or (pairs,)
    thresholds   (m,) in units of unnormalised discounted sums.  A single number makes `costs` a single array, one constraint
    names        (m,) different words, "cost" and "cost 1", "cost 2", ... if left out
    directions   "<=" (default) or ">=", one for all or one for each
    raises       ModelError: names the constraint, the place and the figure

    Numbers may be exact; `exact` and `float` are the model in rationals and in float64, as for an MDP.
    """

    mdp: MDP
    costs: Array
    """(m, pairs) the costs in the pair layout of the MDP."""
    thresholds: Array
    names: tuple[str, ...]
    directions: tuple[str, ...]
    name: str
    given_exactly: bool

    def __init__(
        self,
        mdp: MDP,
        costs: Any,
        thresholds: Any,
        names: Sequence[str] | None = None,
        directions: str | Sequence[str] | None = None,
        name: str | None = None,
    ) -> None:
        if not isinstance(mdp, MDP):
            raise ModelError(f"the model under constraints is a {type(mdp).__name__}; it must be an mdps.MDP")
        bounds = checked_numbers(thresholds, "thresholds", least=None)
        if bounds.ndim == 0:
            bounds, costs = bounds.reshape(1), [costs]
        if bounds.ndim != 1 or not bounds.size:
            raise ModelError(f"thresholds has shape {bounds.shape}; it must hold one number for each constraint, and at least one")
        count = bounds.size
        labels = _names(names, count)
        per_pair = _costs_of_pairs(mdp, costs, labels)
        exact = mdp.given_exactly or any(numbers.dtype == object for numbers in (bounds, *per_pair))
        self._set(mdp.float, np.stack([float_numbers(c) for c in per_pair]), float_numbers(bounds), labels, _directions(directions, count))
        self.__dict__.update(name=name or mdp.name, given_exactly=exact, _given=(per_pair, bounds))

    def _set(self, mdp: MDP, costs: Array, thresholds: Array, names: tuple[str, ...], directions: tuple[str, ...]) -> None:
        for array in (costs, thresholds):
            array.setflags(write=False)
        self.__dict__.update(mdp=mdp, costs=costs, thresholds=thresholds, names=names, directions=directions)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a ConstrainedMDP does not change; constrained.replace({name}=...) gives a changed copy")

    def __reduce__(self) -> Any:
        source = self.exact if self.given_exactly else self
        return _restore, ((source.mdp, list(source.costs), source.thresholds, self.names, self.directions, self.name), self.is_exact)

    def __repr__(self) -> str:
        bounds = ", ".join(f"{n} {d} {b}" for n, d, b in zip(self.names, self.directions, self.thresholds.tolist(), strict=True))
        return f"ConstrainedMDP({self.mdp!r}, {bounds})"

    # Sizes and other forms

    @property
    def num_states(self) -> int:
        return self.mdp.num_states

    @property
    def num_actions(self) -> int:
        return self.mdp.num_actions

    @property
    def num_constraints(self) -> int:
        return len(self.names)

    @property
    def discount(self) -> Any:
        return self.mdp.discount

    @property
    def start(self) -> Array:
        return self.mdp.start

    @property
    def is_exact(self) -> bool:
        """Whether the arrays of this object hold rationals instead of float64."""
        return self.costs.dtype == object

    @cached_property
    def exact(self) -> ConstrainedMDP:
        """The model in rationals: as written if it was written exactly, floats as the fractions that they were meant for."""
        if self.is_exact:
            return self
        per_pair, bounds = self.__dict__["_given"]
        twin = ConstrainedMDP.__new__(ConstrainedMDP)
        twin._set(self.mdp.exact, np.stack([_meant(c) for c in per_pair]), _meant(bounds), self.names, self.directions)
        twin.__dict__.update(name=self.name, given_exactly=self.given_exactly, _float=self)
        return twin

    @property
    def float(self) -> ConstrainedMDP:
        """The model in float64; `constrained.exact.float is constrained`."""
        return self.__dict__["_float"] if self.is_exact else self

    @cached_property
    def cost_tables(self) -> Array:
        """(m, S, A) the costs of every constraint; 0 for actions that a state does not have."""
        return np.stack([self.cost_model(i).rewards for i in range(self.num_constraints)])

    @cached_property
    def upper_costs(self) -> Array:
        """(m, pairs) costs with the sign that makes every constraint read V <= bound: negated where the direction is ">="."""
        return np.stack([-c if d == ">=" else c for c, d in zip(self.costs, self.directions, strict=True)])

    @cached_property
    def upper_thresholds(self) -> Array:
        """(m,) thresholds with the same signs as `upper_costs`."""
        return np.array([-b if d == ">=" else b for b, d in zip(self.thresholds, self.directions, strict=True)], dtype=self.thresholds.dtype)

    # Models made of it

    def index(self, constraint: str | int) -> int:
        """The number of a constraint given by name or number."""
        if constraint in self.names:
            return self.names.index(str(constraint))
        if isinstance(constraint, int | np.integer) and not isinstance(constraint, bool) and 0 <= constraint < self.num_constraints:
            return int(constraint)
        hint = nearest(str(constraint), self.names) or f" There {'is' if self.num_constraints == 1 else 'are'} {', '.join(self.names)}."
        raise ModelError(f"there is no constraint {constraint!r}.{hint}")

    def cost_model(self, constraint: str | int) -> MDP:
        """The MDP whose reward is one of the costs (as given, whatever its direction)."""
        return self._with_rewards(self.costs[self.index(constraint)])

    def lagrangian(self, multipliers: Any) -> MDP:
        """The MDP with the reward r - sum_i lambda_i x_i, x_i = `upper_costs[i]`: the Lagrangian is its value + sum_i lambda_i upper_thresholds[i].

        multipliers   (m,) at least 0, in reward units per cost unit; exact ones go with the exact model
        raises        ModelError: a wrong count, or a negative multiplier (its place and figure)
        """
        prices = self.checked_multipliers(multipliers)
        model = self.exact if prices.dtype == object else self
        paid = model.mdp.pair_rewards
        for price, cost in zip(prices, model.upper_costs, strict=True):
            paid = paid - price * cost
        return model._with_rewards(paid)

    def checked_multipliers(self, multipliers: Any) -> Array:
        """(m,) multipliers as float64 or fmpq; a wrong count or a negative one raises ModelError."""
        prices = checked_numbers(multipliers, "multipliers")
        if prices.shape != (self.num_constraints,):
            raise ModelError(
                f"multipliers has shape {prices.shape}; it must hold one number for each of {plural(self.num_constraints, 'constraint')}"
            )
        return prices if prices.dtype == object or not self.is_exact else meant_array(prices)

    def replace(self, **changes: Any) -> ConstrainedMDP:
        """A checked copy with another mdp, costs, thresholds, names, directions or name."""
        known = ("mdp", "costs", "thresholds", "names", "directions", "name")
        unknown = [key for key in changes if key not in known]
        if unknown:
            raise ModelError(f"a constrained MDP has no field {unknown[0]!r}; it has {', '.join(known)}.{nearest(unknown[0], known)}")
        source = self.exact if self.given_exactly else self
        fields: dict[str, Any] = {key: changes.get(key, list(source.costs) if key == "costs" else getattr(source, key)) for key in known}
        copy = ConstrainedMDP(**fields)
        return copy.exact if self.is_exact else copy

    def keep(self, constraints: Sequence[str | int]) -> ConstrainedMDP:
        """The same model under some of its constraints only."""
        chosen = [self.index(c) for c in constraints]
        source = self.exact if self.given_exactly else self
        costs, bounds = [source.costs[i] for i in chosen], [source.thresholds[i] for i in chosen]
        copy = ConstrainedMDP(source.mdp, costs, bounds, [self.names[i] for i in chosen], [self.directions[i] for i in chosen], self.name)
        return copy.exact if self.is_exact else copy

    def _with_rewards(self, paid: Array) -> MDP:
        mdp = self.mdp
        model = MDP.from_choices(
            mdp.first_pair, mdp.choices, paid, mdp.discount, mdp.start, state_names=mdp.state_names, action_names=mdp.action_names, name=mdp.name
        )
        return model.exact if self.is_exact else model


def _restore(parts: tuple[Any, ...], exact: bool) -> ConstrainedMDP:
    model = ConstrainedMDP(*parts)
    return model.exact if exact else model


def _names(names: Sequence[str] | None, count: int) -> tuple[str, ...]:
    if names is None:
        return ("cost",) if count == 1 else tuple(f"cost {i + 1}" for i in range(count))
    labels = (names,) if isinstance(names, str) else tuple(names)
    if len(labels) != count or not all(isinstance(label, str) and label for label in labels):
        raise ModelError(f"names is {labels!r}; it must hold one word for each of {plural(count, 'constraint')}")
    if len(set(labels)) != count:
        twice = next(label for label in labels if labels.count(label) > 1)
        raise ModelError(f"two constraints are called {twice!r}; their names must differ")
    return labels


def _directions(directions: str | Sequence[str] | None, count: int) -> tuple[str, ...]:
    given = ("<=" if directions is None else directions,) * count if directions is None or isinstance(directions, str) else tuple(directions)
    if len(given) != count:
        raise ModelError(f"directions has {len(given)} entries for {plural(count, 'constraint')}")
    for i, direction in enumerate(given):
        if direction not in DIRECTIONS:
            raise ModelError(f"directions[{i}] is {direction!r}; a constraint is '<=' or '>='")
    return given


def _costs_of_pairs(mdp: MDP, costs: Any, names: tuple[str, ...]) -> list[Array]:
    """(pairs,) of every cost, as float64 or fmpq, shapes and figures checked."""
    if not hasattr(costs, "__len__") or isinstance(costs, str | dict):
        raise ModelError(f"costs is a {type(costs).__name__}; it must be a list of arrays, one for each constraint")
    if len(costs) != len(names):
        raise ModelError(f"costs holds {plural(len(costs), 'array')} for {plural(len(names), 'threshold')}; give one array for each constraint")
    out = []
    for i, cost in enumerate(costs):
        try:
            on_arrival = np.ndim(cost) == 3  # then it meets the probabilities, in its own arithmetic
            numbers = (mdp.exact if on_arrival and is_exact(cost) else mdp.float)._rewards_of_pairs(cost)
            refuse_non_finite("rewards", numbers, mdp)
        except ValueError as error:  # ModelError is one; numpy's own is about lists of unequal lengths
            raise ModelError(f"constraint {names[i]!r}: {str(error).replace('rewards', f'costs[{i}]')}") from error
        out.append(numbers)
    return out


def _meant(numbers: Array) -> Array:
    return numbers if numbers.dtype == object else meant_array(numbers)
