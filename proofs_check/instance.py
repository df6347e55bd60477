"""One instance of a claim: a model with everything that the claim quantifies over, in float64 or in rationals.

    transitions (S, A, S'), rewards (S, A), discount; mu and rho (S,); the start policy (S, A), a second policy; settings (step size, ...);
    extras: further arrays by name (a vector of values, a second model), see `domains.Extra`

`as_context` puts it before the quantities, `to_json`/`from_json` write and read it with exact fractions as text.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.rational import fraction, rational_array, to_float
from proofs_check.context import Context, Optimum

Array = np.ndarray
FIELDS = ("transitions", "rewards", "discount", "mu", "rho", "policy", "other")


@dataclasses.dataclass(frozen=True, eq=False)
class Instance:
    """Arrays without a batch axis; all float64, or all object arrays of `flint.fmpq`."""

    transitions: Array
    rewards: Array
    discount: Any
    mu: Array
    rho: Array
    policy: Array
    other: Array | None = None
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    name: str = ""
    extras: dict[str, Array] = dataclasses.field(default_factory=dict)

    @property
    def is_exact(self) -> bool:
        return self.transitions.dtype == object

    @property
    def shape(self) -> tuple[int, int]:
        """(S, A)."""
        return self.rewards.shape[0], self.rewards.shape[1]

    def mdp(self) -> MDP:
        """The model alone, with mu as its start; `.exact` of it holds the rationals of an exact instance."""
        model = MDP(self.transitions, self.rewards, self.discount, self.mu, name=self.name)
        return model.exact if self.is_exact else model

    def as_float(self) -> Instance:
        """The same instance in float64; computed once, because named instances serve every form of a claim."""
        if not self.is_exact:
            return self
        if "_as_float" not in self.__dict__:
            arrays: dict[str, Any] = {f: None if getattr(self, f) is None else _float_of(getattr(self, f)) for f in FIELDS}
            arrays["discount"] = float(arrays["discount"])
            extras = {k: _float_of(v) for k, v in self.extras.items()}
            settings = {k: float(fraction(v)) for k, v in self.settings.items()}
            self.__dict__["_as_float"] = dataclasses.replace(self, **arrays, settings=settings, extras=extras)
        return self.__dict__["_as_float"]

    def to_json(self) -> dict[str, Any]:
        """Plain data: rationals as text fractions, floats as numbers."""
        states, actions = self.shape
        data: dict[str, Any] = {"name": self.name, "states": states, "actions": actions}
        for field in FIELDS:
            value = getattr(self, field)
            if value is not None:
                data[field] = _plain(value)
        data["settings"] = {key: _plain(value) for key, value in self.settings.items()}
        if self.extras:
            data["extras"] = {key: _plain(value) for key, value in self.extras.items()}
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Instance:
        """An exact instance from `to_json` data; raises ModelError naming a missing field, and validates the model."""
        missing = [f for f in FIELDS[:-1] if f not in data]
        if missing:
            raise ModelError(f"the instance has no field {missing[0]!r}")
        arrays = {f: rational_array(data[f]) for f in FIELDS if f in data}
        arrays["discount"] = arrays["discount"][()]
        settings = {key: rational_array(value)[()] for key, value in data.get("settings", {}).items()}
        extras = {key: np.asarray(rational_array(value)) for key, value in data.get("extras", {}).items()}
        instance = cls(**arrays, settings=settings, name=data.get("name", ""), extras=extras)
        instance.mdp()
        states, actions = instance.shape
        for what, count in (("states", states), ("actions", actions)):
            if data.get(what, count) != count:
                raise ModelError(f"the instance says {what}: {data[what]}; its arrays have {count}")
        for field in ("rho", "policy", "other"):
            value = getattr(instance, field)
            shape = (states,) if field == "rho" else (states, actions)
            if value is not None and (value.shape != shape or any(row.sum() != 1 for row in np.atleast_2d(value)) or (value < 0).any()):
                raise ModelError(f"{field} must have shape {shape} with rows that are distributions")
        return instance


_RECENT: dict[int, tuple[Any, Array]] = {}
"""Float twins of the last few exact arrays: instances made around one model share its arrays."""


def _float_of(values: Any) -> Array:
    known = _RECENT.get(id(values))
    if known is not None and known[0] is values:
        return known[1]
    twin = to_float(values)
    if twin.size > 3:
        while len(_RECENT) >= 64:
            del _RECENT[next(iter(_RECENT))]
        _RECENT[id(values)] = (values, twin)
    return twin


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(x) for x in value] if value.ndim else _plain(value[()])
    if isinstance(value, float | int | np.floating | np.integer):
        return float(value)
    return str(value)


@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """Float64 instances of one shape, stacked along a first axis; the search works on these."""

    transitions: Array
    rewards: Array
    discount: Array
    mu: Array
    rho: Array
    policy: Array
    other: Array | None
    settings: dict[str, Array]
    names: tuple[str, ...] = ()
    extras: dict[str, Array] = dataclasses.field(default_factory=dict)  # name -> (B, ...)

    @property
    def size(self) -> int:
        return self.discount.size

    @classmethod
    def of(cls, instances: list[Instance]) -> Batch:
        """Stacks float64 instances of one shape."""
        arrays = {f: np.stack([np.asarray(getattr(i, f)) for i in instances]) for f in FIELDS[:-1]}
        other = None if instances[0].other is None else np.stack([i.other for i in instances if i.other is not None])
        settings = {key: np.array([float(i.settings[key]) for i in instances]) for key in instances[0].settings}
        extras = {key: np.stack([np.asarray(i.extras[key], dtype=np.float64) for i in instances]) for key in instances[0].extras}
        return cls(**arrays, other=other, settings=settings, names=tuple(i.name for i in instances), extras=extras)

    def __getitem__(self, k: int) -> Instance:
        arrays = {f: getattr(self, f)[k] for f in FIELDS[:-1]}
        other = None if self.other is None else self.other[k]
        name = self.names[k] if self.names else ""
        settings, extras = {key: float(v[k]) for key, v in self.settings.items()}, {key: v[k] for key, v in self.extras.items()}
        return Instance(**arrays, other=other, settings=settings, name=name, extras=extras)

    def take(self, keep: Array) -> Batch:
        """The instances at the positions (or booleans) `keep`."""
        arrays: dict[str, Any] = {f: None if getattr(self, f) is None else getattr(self, f)[keep] for f in FIELDS}
        names = tuple(np.array(self.names, dtype=object)[keep]) if self.names else ()
        settings, extras = ({k: v[keep] for k, v in table.items()} for table in (self.settings, self.extras))
        return Batch(**arrays, settings=settings, names=names, extras=extras)


def float_context(
    batch: Batch,
    times: Array,
    policies: Array,
    *,
    logits: Array | None = None,
    minima: Array | None = None,
    parameters: Array | None = None,
    pairs: bool,
) -> Context:
    """The batch with the records of a run, in float64."""
    return Context(
        "float", batch.transitions, batch.rewards, batch.discount, batch.mu, batch.rho, batch.settings,
        times, policies, logits=logits, minima=minima, other=batch.other, pairs=pairs, extras=batch.extras, parameters=parameters,
    )  # fmt: skip


def exact_optimum(instance: Instance) -> tuple[Array, Array]:
    """(V* (S,), Q* (S, A)) in rationals.  Whatever policy it ends with, V = max_a Q was checked exactly, and that equation has one solution."""
    if "_optimum" not in instance.__dict__:  # a run is judged at one precision after another, and named instances serve every form of a claim
        instance.__dict__["_optimum"] = _exact_optimum(instance)
    return instance.__dict__["_optimum"]


def _exact_optimum(instance: Instance) -> tuple[Array, Array]:
    from pgtheory import arithmetic
    from pgtheory.exact.batch import batch_optimal

    plain = instance.as_float()
    guess = batch_optimal(plain.transitions[None], plain.rewards[None], np.array([plain.discount]))[1][0].argmax(axis=1)
    states = np.arange(len(guess))
    while True:
        chain = instance.transitions[states, guess] * -instance.discount
        chain[states, states] = chain[states, states] + 1
        values = arithmetic.solve(chain, instance.rewards[states, guess])
        action_values = instance.rewards + instance.discount * (instance.transitions @ values)
        best = action_values.max(axis=1)
        if (best == values).all():
            return values, action_values
        guess = np.where(best > values, action_values.argmax(axis=1), guess)


class _LazyOptimum:
    """An `Optimum` that is solved for when somebody asks: most quantities do not."""

    def __init__(self, instance: Instance, lift: Callable[[Any], Array]) -> None:
        self.instance, self.lift = instance, lift

    @functools.cached_property
    def solved(self) -> tuple[Array, Array]:
        return exact_optimum(self.instance)

    @functools.cached_property
    def values(self) -> Array:
        return self.lift(self.solved[0])

    @functools.cached_property
    def action_values(self) -> Array:
        return self.lift(self.solved[1])

    @functools.cached_property
    def mask(self) -> Array:
        values, action_values = self.solved
        return (action_values == values[:, None])[None]


def exact_context(instance: Instance, kind: str, times: Array, policies: Array, *, pairs: bool, **extra: Any) -> Context:
    """One exact instance with records (R, S, A) in rationals or in balls, and its exact optimum."""
    from pgtheory import arithmetic

    convert = arithmetic.balls if kind == "ball" else np.asarray

    def lift(values: Any) -> Array:
        return np.asarray(convert(np.asarray(values, dtype=object).reshape((1, *np.shape(values)))))

    optimum = cast(Optimum, _LazyOptimum(instance, lift))
    settings = {key: lift(value) for key, value in instance.settings.items()}
    other = None if instance.other is None else lift(instance.other)
    return Context(
        kind, lift(instance.transitions), lift(instance.rewards), lift(instance.discount), lift(instance.mu), lift(instance.rho), settings,
        times, policies[None], other=other, given_optimum=optimum, pairs=pairs, extras={k: lift(v) for k, v in instance.extras.items()},
        source=instance, **extra,
    )  # fmt: skip
