"""Domains: the instances that a claim speaks of, as a generator and as named assumptions that an instance meets or not.

A domain turns unbounded vectors into batches of instances (`decode`), so that random search is decoding random vectors and adversarial
search is climbing in them.  The map reaches the boundary: rewards are clipped to their range (exact 0 and 1 are common), small transition
probabilities are snapped to 0 (deterministic and absorbing structure is common), the discount reaches 0 and `max_discount`, and a single
state or action is a size like any other.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import sympy

from mdps.errors import ModelError, nearest
from mdps.rational import fraction, rational, rational_array
from proofs_check import expression
from proofs_check.instance import FIELDS, Batch, Instance
from proofs_check.quantities import parse

Array = np.ndarray
SNAP = 0.02
"""Transition probabilities below this become 0, so that sparse and absorbing structure is sampled."""
POSITIVE = 1e-4
"""Smallest start probability that is sampled where mu must be positive."""
INTERIOR = 1e-6
"""Smallest policy probability that is sampled where the policy must be interior."""


@dataclasses.dataclass(frozen=True)
class Assumption:
    """Something an instance must satisfy, with the reason why the claim needs it."""

    name: str
    text: str
    latex: str
    check: Callable[[Instance], bool]
    why: str = ""
    reads: tuple[str, ...] = ()  # the fields of an instance (and the names of its extras) that alone the check looks at; () is any

    def seen(self, instance: Instance) -> tuple[int, ...]:
        """Which arrays the check looks at, by identity: instances that share them share the answer, as long as somebody keeps them."""
        return tuple(id(getattr(instance, name) if name in FIELDS else instance.extras.get(name)) for name in self.reads)


@dataclasses.dataclass(frozen=True)
class Between:
    """A setting that is free in [low, high] (expressions over gamma, S, A and earlier settings), sampled on a logarithmic scale."""

    low: Any
    high: Any


@dataclasses.dataclass(frozen=True)
class Extra:
    """A further array of an instance: a vector of values, a second model, features.  Quantities read it as `context.extra(name)`.

    axes    its shape, of "S", "A" and whole numbers; () is a number
    kind    "real" (entries in [low, high], both ends reached), "distribution" (rows along the last axis; zeros and certainties are common),
            "interior" (rows with all entries positive) or "choice" (rows with a single 1)
    """

    axes: tuple[str | int, ...]
    kind: str = "real"
    low: Any = 0
    high: Any = 1
    meaning: str = ""

    def __post_init__(self) -> None:
        if self.kind not in ("real", "distribution", "interior", "choice"):
            raise expression.ExpressionError(f"an extra is 'real', 'distribution', 'interior' or 'choice', not {self.kind!r}")
        if self.kind != "real" and not self.axes:
            raise expression.ExpressionError("a distribution needs an axis to be distributed over")

    def shape(self, states: int, actions: int) -> tuple[int, ...]:
        """The shape for that many states and actions."""
        return tuple({"S": states, "A": actions}.get(axis, axis) for axis in self.axes)  # type: ignore[arg-type, misc]

    def size(self, states: int, actions: int) -> int:
        """Number of entries."""
        return math.prod(self.shape(states, actions))

    def decode(self, coordinates: Array, states: int, actions: int) -> Array:
        """(B, size) unbounded coordinates -> (B, *shape)."""
        values = coordinates.reshape(-1, *self.shape(states, actions))
        if self.kind == "real":
            low, high = float(fraction(self.low)), float(fraction(self.high))
            return low + (high - low) * np.clip(0.5 + 0.5 * values, 0, 1)
        if self.kind == "choice":
            return np.eye(values.shape[-1])[values.argmax(axis=-1)]
        return snapped(values, 3.0) if self.kind == "distribution" else floored(values, 3.0, INTERIOR)

    def check(self, values: Array) -> bool:
        """Whether the entries are what `kind` says."""
        if self.kind == "real":
            entries = np.asarray(values).reshape(-1)
            if entries.dtype == object:
                least, most = rational(self.low), rational(self.high)
                return all(least <= rational(x) <= most for x in entries)
            low, high = fraction(self.low), fraction(self.high)
            slack = Fraction(1, 2**40) * max(abs(low), abs(high))
            return low - slack <= fraction(entries.min()) and fraction(entries.max()) <= high + slack
        total = values.sum(axis=-1)
        rows = np.all(total == 1) if values.dtype == object else np.allclose(total, 1)
        bounds = (values > 0).all() if self.kind == "interior" else (values >= 0).all()
        return bool(rows and bounds and (self.kind != "choice" or ((values == 0) | (values == 1)).all()))

    def variants(self, states: int, actions: int) -> list[Array]:
        """A few exact arrays of that kind, for named instances: constant, alternating, one-sided, and one without a pattern."""
        shape, size = self.shape(states, actions), self.size(states, actions)
        position = np.arange(size).reshape(shape)
        if self.kind == "real":
            low, high = fraction(self.low), fraction(self.high)
            shares = [position * 0, position * 0 + 12, (position % 2) * 12, (position == 0) * 12, (position * 7 + 3) % 13]
            return [rational_array([low + (high - low) * Fraction(int(k), 12) for k in share.reshape(-1)]).reshape(shape) for share in shares]
        width = shape[-1]
        rows = np.arange(size // width).reshape(shape[:-1])
        ones = [np.eye(width, dtype=int)[pick] for pick in (rows * 0, rows % width, rows * 0 + width - 1)]
        if self.kind == "choice":
            return [rational_array(one.tolist()) for one in ones]
        uniform = rational_array(np.full(shape, f"1/{width}"))
        mixed = [rational_array(one.tolist()) * rational("19/20") + uniform * rational("1/20") for one in ones]
        return [uniform, *mixed] if self.kind == "interior" else [uniform, *(rational_array(one.tolist()) for one in ones), mixed[1]]


KINDS: dict[str, tuple[str | None, ...]] = {
    "policy": ("default", "interior", "uniform", "deterministic", "any"),
    "other": (None, "any", "interior"),
    "mu": ("positive", "any"),
    "rho": ("any", "mu"),
}
"""What the words in a `Domain` may be."""


@dataclasses.dataclass(frozen=True)
class Domain:
    """Random and named instances with the start distributions, policies and rewards that a claim allows.

    max_states, max_actions, max_discount   how large sampled instances get: no assumption.  Named instances and a user's models may be larger; a
             statement about at most n actions says so with `where=((q.A, n + 1),)`
    policy   "interior" (all probabilities positive), "uniform", "deterministic" or "any"; "default" is uniform for a claim about a method's
             run and interior for one about given policies;  other   a second policy: "any" or None
    mu       "positive" or "any";  rho  "any" or "mu" (the same distribution)
    extras   name -> `Extra`: further arrays that the claim quantifies over
    """

    max_states: int = 4
    max_actions: int = 4
    min_actions: int = 1
    max_discount: Fraction = Fraction(99, 100)
    rewards: tuple[int, int] | None = (0, 1)
    policy: str = "default"
    other: str | None = None
    mu: str = "positive"
    rho: str = "any"
    bandit: bool = False
    extras: Any = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "extras", tuple(dict(self.extras).items()))
        if self.max_states < 1 or self.min_actions < 1 or self.max_actions < self.min_actions:
            sizes = f"max_states={self.max_states}, min_actions={self.min_actions}, max_actions={self.max_actions}"
            raise ModelError(f"no model has the sizes {sizes}: at least one state, one action, and max_actions not below min_actions")
        for name, known in KINDS.items():
            if getattr(self, name) not in known:
                near = nearest(str(getattr(self, name)), [kind for kind in known if kind is not None])
                raise ModelError(f"{name}={getattr(self, name)!r} is none of {', '.join(map(repr, known))}.{near}")

    def replace(self, **changes: Any) -> Domain:
        return dataclasses.replace(self, **changes)

    def assumptions(self) -> list[Assumption]:
        """What an instance must satisfy."""
        out = []
        if self.bandit:
            out.append(
                Assumption(
                    "bandit",
                    "one state and discount 0",
                    r"S = 1,\ \gamma = 0",
                    lambda i: i.shape[0] == 1 and i.discount == 0,
                    reads=("rewards", "discount"),
                )
            )
        else:
            out.append(Assumption("discount", "discount in [0, 1)", r"0 \le \gamma < 1", lambda i: 0 <= i.discount < 1, reads=("discount",)))
        if self.rewards is not None:
            low, high = self.rewards
            out.append(
                Assumption(
                    "rewards",
                    f"rewards in [{low}, {high}]",
                    rf"r(s,a) \in [{low}, {high}]",
                    lambda i: bool((i.rewards >= low).all() and (i.rewards <= high).all()),
                    reads=("rewards",),
                )
            )
        if self.min_actions > 1:
            least = self.min_actions
            out.append(Assumption("actions", f"at least {least} actions", rf"A \ge {least}", lambda i: i.shape[1] >= least, reads=("rewards",)))
        if self.mu == "positive":
            out.append(
                Assumption(
                    "full support",
                    "the start distribution mu is positive in every state",
                    r"\mu(s) > 0",
                    lambda i: bool((i.mu > 0).all()),
                    reads=("mu",),
                )
            )
        if self.rho == "mu":
            out.append(
                Assumption("same start", "evaluated under mu itself", r"\rho = \mu", lambda i: bool((i.rho == i.mu).all()), reads=("rho", "mu"))
            )
        if self.policy == "interior":
            out.append(
                Assumption(
                    "interior",
                    "the policy gives every action a positive probability",
                    r"\pi(a|s) > 0",
                    lambda i: bool((i.policy > 0).all()),
                    reads=("policy",),
                )
            )
        elif self.policy == "uniform":
            out.append(Assumption("uniform start", "the start policy is uniform", r"\pi_0(a|s) = 1/A", _is_uniform, reads=("policy",)))
        elif self.policy == "deterministic":
            out.append(
                Assumption(
                    "deterministic",
                    "the start policy is deterministic",
                    r"\pi_0(a|s) \in \{0, 1\}",
                    lambda i: bool(((i.policy == 0) | (i.policy == 1)).all()),
                    reads=("policy",),
                )
            )
        for name, extra in self.extras:
            out.append(_extra_assumption(name, extra))
        return out

    def broken(self, instance: Instance) -> list[Assumption]:
        """The assumptions that `instance` does not meet; an instance remembers the answer to the last domain that asked."""
        known = instance.__dict__.get("_broken")
        if known is None or known[0] is not self:
            known = instance.__dict__["_broken"] = (self, [assumption for assumption in _assumptions(self) if not assumption.check(instance)])
        return list(known[1])

    def sizes(self) -> list[tuple[int, int]]:
        """(S, A) from small to large, one state and one action included."""
        states = [1] if self.bandit else list(range(1, self.max_states + 1))
        pairs = [(s, a) for s in states for a in range(self.min_actions, self.max_actions + 1)]
        return sorted(pairs, key=lambda p: (p[0] * p[1], p[0]))

    # Vectors to instances

    def length(self, states: int, actions: int, free: int) -> int:
        """Number of coordinates for that size, `free` of them for settings."""
        extras = sum(extra.size(states, actions) for _, extra in self.extras)
        return states * actions * (states + 3) + 2 * states + extras + 1 + free

    def decode(self, vectors: Array, states: int, actions: int, settings: dict[str, Any]) -> Batch:
        """(B, n) unbounded coordinates -> B instances of the domain."""
        count, pairs = len(vectors), states * actions
        sizes = [extra.size(states, actions) for _, extra in self.extras]
        cut = np.cumsum([pairs * states, pairs, pairs, pairs, states, states, *sizes, 1])
        moves, pay, act, act2, first, second, *further, patience, free = np.split(vectors, cut, axis=1)
        transitions = snapped(moves.reshape(count, states, actions, states), 4.0)
        low, high = self.rewards if self.rewards is not None else (-2, 2)
        rewards = low + (high - low) * np.clip(0.5 + 0.5 * pay, 0, 1).reshape(count, states, actions)
        if self.bandit:
            discount = np.zeros(count)
        else:
            share = np.clip(0.5 + 0.4 * patience[:, 0], 0, 1)
            discount = 1 - float(1 - self.max_discount) ** share
        policy = self._policy(act.reshape(count, states, actions), self.policy)
        other = None if self.other is None else self._policy(act2.reshape(count, states, actions), self.other)
        mu = floored(first, 2.0, POSITIVE) if self.mu == "positive" else snapped(first, 3.0)
        rho = mu if self.rho == "mu" else snapped(second, 4.0)
        values = resolve_settings(settings, discount, states, actions, free)
        extras = {name: extra.decode(part, states, actions) for (name, extra), part in zip(self.extras, further, strict=True)}
        return Batch(transitions, rewards, discount, mu, rho, policy, other, values, extras=extras)

    @staticmethod
    def _policy(coordinates: Array, kind: str) -> Array:
        if kind == "uniform":
            return np.full(coordinates.shape, 1.0 / coordinates.shape[-1])
        if kind == "deterministic":
            return np.eye(coordinates.shape[-1])[coordinates.argmax(axis=-1)]
        return snapped(coordinates, 3.0) if kind == "any" else floored(coordinates, 3.0, INTERIOR)


@functools.lru_cache(maxsize=256)
def _assumptions(domain: Domain) -> tuple[Assumption, ...]:
    return tuple(domain.assumptions())


def snapped(coordinates: Array, scale: float) -> Array:
    """Distributions along the last axis, with entries below SNAP set to 0."""
    rows = _softmax(scale * coordinates)
    rows = np.where(rows < SNAP, 0.0, rows)
    return rows / rows.sum(axis=-1, keepdims=True)


def floored(coordinates: Array, scale: float, floor: float) -> Array:
    """Distributions along the last axis with every entry at least about `floor`."""
    rows = np.maximum(_softmax(scale * coordinates), floor)
    return rows / rows.sum(axis=-1, keepdims=True)


def _softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _extra_assumption(name: str, extra: Extra) -> Assumption:
    if extra.kind == "real":
        text, latex = f"{name} in [{extra.low}, {extra.high}]", rf"\text{{{name}}} \in [{extra.low}, {extra.high}]"
    else:
        what = {"distribution": "distributions", "interior": "distributions without zeros", "choice": "certain choices"}[extra.kind]
        text, latex = f"{name}: {what}", rf"\text{{{name}: {what}}}"
    return Assumption(
        name,
        text if not extra.meaning else f"{text} ({extra.meaning})",
        latex,
        lambda i: name in i.extras and np.shape(i.extras[name]) == extra.shape(*i.shape) and extra.check(i.extras[name]),
        reads=("rewards", name),
    )


def _is_uniform(instance: Instance) -> bool:
    """Exactly uniform in rationals, to rounding in floats."""
    actions = instance.shape[1]
    if instance.is_exact:
        return bool((instance.policy == rational(f"1/{actions}")).all())
    return bool(np.allclose(instance.policy, 1 / actions, rtol=4 * np.finfo(float).eps, atol=0))


# Settings: expressions over the problem and over earlier settings


def free_settings(settings: dict[str, Any]) -> list[str]:
    """Names of the settings that the search may choose."""
    return [name for name, rule in settings.items() if is_free(rule)]


def is_free(rule: Any) -> bool:
    """Whether a setting's rule leaves a choice: a range, or a tuple of values."""
    return isinstance(rule, Between | tuple)


def resolve_settings(settings: dict[str, Any], discount: Array, states: int, actions: int, free: Array) -> dict[str, Array]:
    """Values (B,) of all settings; column k of `free` (B, k) places the k-th free one between its ends (0 is the middle, +-1 the ends)."""
    names: dict[str, Any] = {"gamma": discount, "S": float(states), "A": float(actions)}
    out: dict[str, Array] = {}
    column = 0
    for name, rule in settings.items():
        if isinstance(rule, Between):
            low, high = (_value(end, names, _float_number) for end in (rule.low, rule.high))
            if not np.all((np.asarray(low) > 0) & (np.asarray(low) <= high)):
                raise expression.ExpressionError(f"setting {name} lies between {rule.low} and {rule.high}: the ends must be positive and in order")
            share = np.clip(0.5 + 0.5 * free[:, column], 0, 1)
            value = low * (high / low) ** share
            column += 1
        elif isinstance(rule, tuple):
            known = np.array([float(fraction(option)) for option in rule])
            share = np.clip(0.5 + 0.5 * free[:, column], 0, 1)
            value = known[np.minimum((share * len(known)).astype(int), len(known) - 1)]
            column += 1
        else:
            value = _value(rule, names, _float_number)
        out[name] = names[name] = np.broadcast_to(np.asarray(value, dtype=np.float64), discount.shape).copy()
    return out


def exact_settings(settings: dict[str, Any], instance: Instance, chosen: dict[str, Any]) -> dict[str, Any]:
    """Rational values of all settings for an exact instance: the free ones from `chosen`, the others from their rules."""
    states, actions = instance.shape
    names: dict[str, Any] = {"gamma": instance.discount, "S": rational(states), "A": rational(actions)}
    out: dict[str, Any] = {}
    for name, rule in settings.items():
        try:
            value = chosen[name] if is_free(rule) else _value(rule, names, lambda p, q: rational(Fraction(p, q)))
        except (TypeError, AttributeError) as error:
            raise expression.ExpressionError(f"setting {name} = {rule} is no rational number, so no run with it can be certified") from error
        out[name] = names[name] = rational(value)
    return out


def in_range(settings: dict[str, Any], instance: Instance) -> bool:
    """Whether the free settings of an instance lie between their ends."""
    states, actions = instance.shape
    names: dict[str, Any] = {"gamma": fraction(instance.discount), "S": Fraction(states), "A": Fraction(actions)}
    names |= {key: fraction(value) for key, value in instance.settings.items()}
    slack = 0 if instance.is_exact else Fraction(1, 2**40)
    for name, rule in settings.items():
        if isinstance(rule, Between):
            low, high = (_value(end, names, Fraction) for end in (rule.low, rule.high))
            if not low * (1 - slack) <= names[name] <= high * (1 + slack):
                return False
        elif isinstance(rule, tuple) and all(abs(names[name] - fraction(option)) > slack * abs(names[name]) for option in rule):
            return False
    return True


def _value(rule: Any, names: dict[str, Any], number: Callable[[int, int], Any]) -> Any:
    tree = parse(rule) if isinstance(rule, str) else expression.check_exact(sympy.sympify(rule) if isinstance(rule, int) else rule)
    return expression.evaluate(tree, names, number)


def _float_number(p: int, q: int) -> float:
    return p / q


def random_mdps(**changes: Any) -> Domain:
    """Discounted MDPs of a few states and actions; keyword arguments as in `Domain`."""
    return Domain(**changes)


def bandits(**changes: Any) -> Domain:
    """Bandits: one state, discount 0, expected rewards in [0, 1]."""
    return Domain(**{"bandit": True, "max_actions": 5, "rho": "mu", **changes})
