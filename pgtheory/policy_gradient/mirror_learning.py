"""Mirror learning: any drift that does not mind standing still gives a method that never gets worse.

    pi_+(. | s) = argmax_p  <p, A(s, .)> - D(p | s),      D(p | s) = sum_a pi(a | s) f(p_a / pi_a, A_a)

with f >= 0, f(1, A) = 0, f'(1, A) = 0 and f convex in the ratio.  As p = pi has the value 0, <pi_+, A> >= D >= 0, and performance difference gives
V_+ >= V in every state.  Kuba, Schroeder de Witt, Foerster (2022).  Drifts by name:

    kl           f = (x log x - x + 1) / eta: natural policy gradient
    ppo          f = max(0, (x - clip(x, 1 - e, 1 + e)) A): the clipped objective.  Its maximiser is not unique; see `clipped_argmax`
    discovered   f = max(0, u - a tanh(u / a)) with u = (x - 1) A, a = 2 for A >= 0, and u = A log x, a = 3/5 for A < 0: Lu et al. (2022), as recalled

and one's own: a `Drift` of two functions.  The maximiser solves A_a - f'(x_a, A_a) = level wherever x_a > 0, sum pi x = 1.  The drifts by name are
compiled: kl and ppo in closed form, discovered by a bisection of the level (`discovered_rows`).  One's own takes two nested bisections, of the level
and of every ratio (`drift_argmax`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from mdps.errors import ModelError, nearest
from pgtheory import arithmetic, kernels
from pgtheory.arithmetic import advantages, policy_values, softmax
from pgtheory.compiled import kernel
from pgtheory.policy_gradient.batched import Batched
from pgtheory.policy_gradient.discovered_rows import discovered_rows
from pgtheory.policy_gradient.loops import compiled_loop, everywhere, itself
from pgtheory.policy_gradient.method import NoEnclosure, Setting
from pgtheory.policy_gradient.rows import clipped_rows, tilted

Array = np.ndarray
HALVINGS = 60
"""Bisections for the level and for each ratio: 2^-60 of the bracket."""


@dataclasses.dataclass(frozen=True)
class Drift:
    """A drift by its density f and the slope of f in the ratio: functions of arrays (ratio, advantage, strength)."""

    name: str
    density: Callable[[Array, Array, Any], Array]
    slope: Callable[[Array, Array, Any], Array]


def _kl_density(x: Array, gains: Array, strength: Any) -> Array:
    with np.errstate(all="ignore"):
        return (np.where(x > 0, x * np.log(x), 0.0) - x + 1) / strength


def _kl_slope(x: Array, gains: Array, strength: Any) -> Array:
    with np.errstate(all="ignore"):
        return np.log(x) / strength


def ppo_density(x: Any, gains: Any, strength: Any) -> Any:
    """max(0, (x - clip(x, 1 - e, 1 + e)) A), in every arithmetic."""
    from_above, from_below = (x - 1 - strength) * gains, (x - 1 + strength) * gains
    zero = gains * 0
    if arithmetic.kind(from_above) == "ball":
        pick = np.frompyfunc(lambda up, down, z: up.max(z).max(z) if not up.is_nan() and up > z else down.max(z) if down > z else z, 3, 1)
        return pick(np.where(_certainly(gains > 0), from_above, zero), np.where(_certainly(gains < 0), from_below, zero), zero)
    return np.maximum(np.where(gains > 0, from_above, from_below), zero)


def _certainly(mask: Any) -> Array:
    return np.asarray(mask, dtype=bool)


def _ppo_slope(x: Array, gains: Array, strength: Any) -> Array:
    outside = np.where(gains > 0, x > 1 + strength, x < 1 - strength)
    return np.where(outside, gains, 0.0)


def _discovered_parts(x: Array, gains: Array) -> tuple[Array, Array, Array]:
    """(u, du/dx, a)."""
    with np.errstate(all="ignore"):
        u = np.where(gains >= 0, (x - 1) * gains, gains * np.log(x))
        return u, np.where(gains >= 0, gains, gains / x), np.where(gains >= 0, 2.0, 0.6)


def _discovered_density(x: Array, gains: Array, strength: Any) -> Array:
    u, _, a = _discovered_parts(x, gains)
    u = np.where(gains == 0, 0.0, u)
    return np.where(u > 0, u - a * np.tanh(u / a), 0.0)


def _discovered_slope(x: Array, gains: Array, strength: Any) -> Array:
    u, slope, a = _discovered_parts(x, gains)
    with np.errstate(all="ignore"):
        return np.where((u > 0) & (gains != 0), np.tanh(u / a) ** 2 * slope, 0.0)  # 1 - sech^2 = tanh^2


DRIFTS = {
    "kl": Drift("kl", _kl_density, _kl_slope),
    "ppo": Drift("ppo", ppo_density, _ppo_slope),
    "discovered": Drift("discovered", _discovered_density, _discovered_slope),
}


def drift_argmax(policy: Array, gains: Array, drift: Drift, strength: Any) -> Array:
    """argmax_p <p, A> - sum_a pi f(p / pi, A) in every row (last axis), by bisection; floats.

    Whatever rounding and flat pieces leave, the row returned is no worse than `policy` itself: where the found one is, `policy` is kept."""
    with np.errstate(all="ignore"):
        ceiling = np.where(policy > 0, 1 / policy, 0.0)  # ratios beyond that leave the simplex
    high = gains.max(axis=-1, keepdims=True) + 1.0
    low = gains.min(axis=-1, keepdims=True) - 1.0
    width = np.maximum(high - low, 1.0)
    for _ in range(HALVINGS):  # a level low enough that the ratios sum to 1 or more: at the ceiling of the best action
        short = (policy * _ratios(low, gains, ceiling, drift, strength)).sum(axis=-1, keepdims=True) < 1
        if not short.any():
            break
        low, width = np.where(short, low - width, low), np.where(short, 2 * width, width)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        over = (policy * _ratios(middle, gains, ceiling, drift, strength)).sum(axis=-1, keepdims=True) >= 1
        low, high = np.where(over, middle, low), np.where(over, high, middle)
    # between the two levels the rows may differ on flat pieces: mix them so that the sum is 1
    more, less = (policy * _ratios(level, gains, ceiling, drift, strength) for level in (low, high))
    above, below = more.sum(axis=-1, keepdims=True), less.sum(axis=-1, keepdims=True)
    with np.errstate(all="ignore"):
        share = np.where(above > below, np.clip((1 - below) / (above - below), 0, 1), 0.0)
    found = less + share * (more - less)
    found = found / found.sum(axis=-1, keepdims=True)
    with np.errstate(all="ignore"):
        worth = (found * gains).sum(axis=-1) - drift_of(found, policy, gains, drift, strength)
    return np.where((worth >= 0)[..., None], found, policy)


def drift_of(new: Array, policy: Array, gains: Array, drift: Drift, strength: Any) -> Array:
    """D(new | s) = sum_a pi f(new / pi, A): (..., A) -> (...)."""
    with np.errstate(all="ignore"):
        ratio = np.where(policy > 0, new / policy, 1.0)
    return (policy * drift.density(ratio, gains, strength)).sum(axis=-1)


def _ratios(level: Array, gains: Array, ceiling: Array, drift: Drift, strength: Any) -> Array:
    """The largest ratio up to the ceiling with A - f'(x) >= level."""
    low, high = np.zeros_like(gains), ceiling
    enough = gains - drift.slope(ceiling, gains, strength) >= level
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        keeps = gains - drift.slope(middle, gains, strength) >= level
        low, high = np.where(keeps, middle, low), np.where(keeps, high, middle)
    return np.where(enough, ceiling, low)


def clipped_argmax(policy: Any, gains: Any, clip: Any) -> Array:
    """A maximiser of sum_a pi min(x A, clip(x, 1 - e, 1 + e) A), x = p / pi, in closed form, for one row (A,) of floats or rationals.

    Actions of positive advantage are filled in falling order up to (1 + e) pi.  The rest goes to the others in proportion to pi, those of negative
    advantage up to (1 - e) pi, those of advantage 0 up to pi; and what is still left, to the positive ones again, where it is worth nothing."""
    out = policy * 0
    good = [a for a in range(len(gains)) if gains[a] > 0]
    if not good:
        return policy.copy()
    left = policy.sum()
    for a in sorted(good, key=lambda a: gains[a], reverse=True):
        out[a] = min((1 + clip) * policy[a], left)
        left = left - out[a]
    others = [a for a in range(len(gains)) if not gains[a] > 0]
    wanted = {a: policy[a] * (1 - clip if gains[a] < 0 else 1) for a in others}
    total = sum(wanted.values(), policy.sum() * 0)
    share = min(left / total, policy.sum() * 0 + 1) if total > 0 else total
    for a in others:
        out[a] = share * wanted[a]
    left = policy.sum() - out.sum()
    mass = sum((policy[a] for a in good), policy.sum() * 0)
    for a in good:
        out[a] = out[a] + left * (policy[a] / mass if mass > 0 else policy.sum() / len(good))
    return out


@kernel
def _step(policy, P, r, gamma, mu, strength, clipped):
    """The compiled form of `MirrorLearning.plain_step` for the drifts kl and ppo."""
    gains = kernels.advantages(P, r, gamma, kernels.policy_values(policy, P, r, gamma))
    return clipped_rows(policy, gains, strength) if clipped else tilted(policy, strength * gains)


@kernel
def _discovered_step(policy, P, r, gamma, mu, strength):
    """The compiled form of `MirrorLearning.plain_step` for the discovered drift, which has no strength."""
    return discovered_rows(policy, kernels.advantages(P, r, gamma, kernels.policy_values(policy, P, r, gamma)))


_run = compiled_loop(_step, settings=2, shown=itself)
_discovered_run = compiled_loop(_discovered_step, settings=1, shown=itself)


@dataclasses.dataclass(frozen=True)
class MirrorLearning(Batched):
    """Mirror learning with a drift by name or of one's own.  strength: eta of kl, e of ppo (below 1); the discovered drift has none."""

    strength: Setting
    drift: str | Drift = "kl"
    parameters = "policy"

    def __post_init__(self) -> None:
        if not isinstance(self.drift, Drift) and self.drift not in DRIFTS:
            raise ModelError(f"unknown drift {self.drift!r}; there are {', '.join(DRIFTS)}, or a Drift.{nearest(str(self.drift), list(DRIFTS))}")

    @property
    def _drift(self) -> Drift:
        return self.drift if isinstance(self.drift, Drift) else DRIFTS[self.drift]

    @property
    def name(self) -> str:  # type: ignore[override]
        return "mirror-learning"

    @property
    def rational_step(self) -> bool:  # type: ignore[override]
        return self.drift == "ppo"

    @property
    def setting_names(self) -> tuple[str, ...]:
        return ("strength",)

    @property
    def _loop(self) -> Any:  # type: ignore[override]
        if self.drift == "discovered":
            return _discovered_run
        return (lambda *arguments: _run(*arguments, everywhere(self.drift == "ppo", arguments))) if self.drift in ("kl", "ppo") else None

    def plain_step(self, policy: Array, transitions: Array, rewards: Array, discount: Any, start: Array, strength: Any) -> Array:  # type: ignore[override]
        """The maximiser in every state."""
        values = policy_values(policy, transitions, rewards, discount)
        gains = advantages(transitions, rewards, discount, values)
        if self.drift == "kl":
            return _tilted(policy, strength * gains)
        if self.drift == "ppo":
            return _clipped_rows(policy, gains, strength)
        if arithmetic.kind(policy) != "float":
            raise NoEnclosure(f"the maximiser of the drift {self._drift.name} is found in floats only")
        return drift_argmax(policy, gains, self._drift, strength)


def _tilted(policy: Array, exponents: Array) -> Array:
    """policy exp(exponents), normalised; zeros stay."""
    if arithmetic.kind(exponents) == "ball":
        weights = policy * softmax(exponents)
        return weights / weights.sum(axis=-1)[..., None]
    with np.errstate(divide="ignore"):
        return softmax(np.log(policy) + exponents)


def _clipped_rows(policy: Array, gains: Array, clip: Any) -> Array:
    rows = np.empty(policy.shape, dtype=policy.dtype)
    clips = np.broadcast_to(clip, (*policy.shape[:-1], 1)) if isinstance(clip, np.ndarray) else None
    for index in np.ndindex(policy.shape[:-1]):
        rows[index] = clipped_argmax(policy[index], gains[index], clip if clips is None else clips[index][0])
    return rows
