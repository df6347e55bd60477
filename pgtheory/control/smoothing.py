"""Policy smoothing: an agent that adds Gaussian noise to what it observes is certified against every adversary of bounded energy.

The agent sees o(s_t) + eps_t + w_t, w_t ~ N(0, sigma^2 I); the adversary chooses eps_t from everything so far, with sum_t |eps_t|^2 <= B^2 surely.

    P(success under attack)  >=  Phi(Phi^-1(p) - B / sigma),       p the probability of success without attack            (`certificate`)
    E[N under attack]        >=  sum_v Phi(Phi^-1(P(N >= v)) - B / sigma)    for a return N in {0, 1, ..., H}

A bound b on each single |eps_t| is a budget B = b sqrt(H).  Kumar, Levine, Feizi (2022), as recalled; proof: docs/theory/control.md.

`SmoothedAgent` is a finite instance on which both sides are computed: states are observed as numbers, actions are bins of the noisy observation,
and the adversary has finitely many attacks k * unit, k a whole number, of total energy sum k^2 <= energy.  Its best attack is a dynamic programme
over (steps left, state, energy left).  Everything but Phi is plain array code; Phi is for floats and balls.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from flint import arb

from mdps.errors import ModelError
from pgtheory import arithmetic

Array = np.ndarray


def normal_cdf(x: Any) -> Any:
    """Phi of every entry; floats and balls (rationals raise TypeError: Phi leaves them)."""
    kind = arithmetic.kind(x)
    if kind == "ball":
        return arithmetic.elementwise(lambda y: (-y / arb(2).sqrt()).erfc() / 2, x)
    if kind == "rational":
        raise TypeError("Phi leaves the rationals: convert with arithmetic.balls(...) first")
    from scipy.special import ndtr

    return ndtr(x)


def normal_quantile(p: Any) -> Any:
    """Phi^-1 of every entry in [0, 1] (-inf and inf at the ends); floats and balls."""
    kind = arithmetic.kind(p)
    if kind == "ball":
        return arithmetic.elementwise(_ball_quantile, p)
    if kind == "rational":
        raise TypeError("Phi^-1 leaves the rationals: convert with arithmetic.balls(...) first")
    from scipy.special import ndtri

    return ndtri(np.clip(p, 0.0, 1.0))


def _ball_quantile(p: arb) -> arb:
    root = arb(2).sqrt()
    return -root * (2 * p).erfcinv() if p.mid() < 0.5 else root * (2 * (1 - p)).erfcinv()


def _ball_certificate(p: arb, shift: arb) -> arb:
    """Phi(Phi^-1(p) - shift), which rises with p: between its values at both ends of p, cut to [0, 1]."""
    ends = []
    for end in (p.lower(), p.upper()):
        inside = end > 0 and end < 1
        ends.append(normal_cdf(_ball_quantile(end) - shift) if inside else arb(int(end >= 1)))
    return ends[0].union(ends[1])


def certificate(probability: Any, budget: Any, sigma: Any) -> Any:
    """Phi(Phi^-1(p) - B/sigma): what every attack of total energy B^2 leaves of a success of probability p.  Floats or balls, any shape.

    raises   ModelError: (floats) a probability outside [0, 1], a budget below 0, a sigma that is not positive"""
    if arithmetic.kind(probability) == "float":
        p, b, s = (np.asarray(x, dtype=np.float64) for x in (probability, budget, sigma))
        if not ((p >= 0) & (p <= 1 + 1e-12)).all():
            raise ModelError(f"probability is {p[~((p >= 0) & (p <= 1 + 1e-12))].flat[0]}; it must lie in [0, 1]")
        if not (b >= 0).all():
            raise ModelError(f"budget is {b.min()}; it must be at least 0")
        if not (s > 0).all():
            raise ModelError(f"sigma is {s.min()}; it must be positive: without noise nothing is certified")
        return normal_cdf(normal_quantile(p) - b / s)
    shift = np.broadcast_to(np.asarray(budget / sigma, dtype=object), np.shape(probability))
    return np.frompyfunc(_ball_certificate, 2, 1)(probability, shift)


@dataclasses.dataclass(frozen=True)
class SmoothedAgent:
    """transitions (..., S, A, S); observations (..., S); thresholds (..., A - 1), not decreasing: action a where the noisy observation lies between
    thresholds a - 1 and a; start (..., S); unit (...) the size of the smallest attack; sigma (...).  Floats or balls; `of` checks one float model."""

    transitions: Array
    observations: Array
    thresholds: Array
    start: Array
    sigma: Any
    unit: Any

    @classmethod
    def of(cls, model: Any, observations: Any, thresholds: Any, sigma: float, unit: float) -> SmoothedAgent:
        """An agent on an `MDP`.

        raises   ModelError: shapes that do not fit, thresholds that do not increase, sigma or unit not positive"""
        seen, cuts = np.asarray(observations, dtype=np.float64), np.asarray(thresholds, dtype=np.float64)
        if seen.shape != (model.num_states,):
            raise ModelError(f"observations has shape {seen.shape}; it must be {(model.num_states,)}")
        if cuts.shape != (model.num_actions - 1,):
            raise ModelError(f"thresholds has shape {cuts.shape}; {model.num_actions} actions need {model.num_actions - 1}")
        if (np.diff(cuts) < 0).any():
            raise ModelError(f"thresholds {cuts.tolist()} must not decrease")
        for name, value in (("sigma", sigma), ("unit", unit)):
            if not (np.isfinite(value) and value > 0):
                raise ModelError(f"{name} is {value}; it must be positive")
        return cls(model.transitions, seen, cuts, np.asarray(model.start, dtype=np.float64), np.float64(sigma), np.float64(unit))

    def action_law(self, attack: int = 0) -> Array:
        """(..., S, A): P(a | s) where the observation is moved by `attack` units."""
        moved = self.observations + np.asarray(self.unit)[..., None] * attack
        below = normal_cdf((self.thresholds[..., None, :] - moved[..., :, None]) / np.asarray(self.sigma)[..., None, None])
        zero = below[..., :1] * 0
        edges = np.concatenate([zero, below, zero + 1], axis=-1)
        return edges[..., 1:] - edges[..., :-1]

    def chain(self, attack: int = 0) -> Array:
        """(..., S, S): how states follow one another under that attack."""
        return np.einsum("...sa,...sat->...st", self.action_law(attack), self.transitions)

    def success(self, good: Array, horizon: int) -> Array:
        """(...): probability without attack that the state after `horizon` steps is one of `good` (..., S) zeros and ones."""
        return self.worst_success(good, horizon, (0,), 0)

    def worst_success(self, good: Array, horizon: int, attacks: Sequence[int], energy: int | None) -> Array:
        """The same under the worst attack: k units at each step with k in `attacks`, sum k^2 <= energy (None: no limit but each step's)."""
        return self._worst(good, horizon, attacks, energy, each_step=False)

    def worst_count(self, good: Array, horizon: int, attacks: Sequence[int], energy: int | None) -> Array:
        """(...): least expected number of the states s_1..s_H that are good."""
        return self._worst(good, horizon, attacks, energy, each_step=True)

    def _worst(self, good: Array, horizon: int, attacks: Sequence[int], energy: int | None, each_step: bool) -> Array:
        if horizon < 0 or (energy is not None and energy < 0):
            raise ModelError(f"horizon {horizon} and energy {energy} must be at least 0")
        if 0 not in attacks:
            raise ModelError(f"the attacks {list(attacks)} must hold 0: an adversary whose energy is spent does nothing")
        chains = {k: self.chain(k) for k in attacks}
        levels = [0] if energy is None else list(range(energy + 1))
        zero = chains[0][..., 0] * 0
        values = dict.fromkeys(levels, zero if each_step else zero + good)
        for _ in range(horizon):
            gained = {n: v + good for n, v in values.items()} if each_step else values
            # the attack is chosen in each state, before the noise is drawn
            moves = {n: [np.einsum("...st,...t->...s", chains[k], gained[self._left(n, k, energy)]) for k in self._affordable(n, attacks, energy)]
                     for n in levels}  # fmt: skip
            values = {n: arithmetic.minimum(np.stack(options, axis=-1), axis=-1) for n, options in moves.items()}
        return (values[levels[-1]] * self.start).sum(axis=-1)

    @staticmethod
    def _affordable(level: int, attacks: Sequence[int], energy: int | None) -> list[int]:
        return [k for k in attacks if energy is None or k * k <= level]

    @staticmethod
    def _left(level: int, attack: int, energy: int | None) -> int:
        return 0 if energy is None else level - attack * attack

    def count_tails(self, good: Array, horizon: int) -> list[Array]:
        """P(N >= v) for v = 1..H without attack, N the number of the states s_1..s_H that are good."""
        law, zero = self.chain(), self.start * 0
        counts = [zero + self.start] + [zero] * horizon  # joint with the state
        for _ in range(horizon):
            moved = [np.einsum("...s,...st->...t", p, law) for p in counts]
            counts = [moved[n] * (1 - good) + (moved[n - 1] * good if n else zero) for n in range(horizon + 1)]
        totals = [p.sum(axis=-1) for p in counts]
        return [functools.reduce(lambda x, y: x + y, totals[v:]) for v in range(1, horizon + 1)]

    def certified_success(self, good: Array, horizon: int, energy: int) -> Array:
        """The certificate for total energy `energy` units squared."""
        return certificate(self.success(good, horizon), self._budget(energy), self.sigma)

    def certified_count(self, good: Array, horizon: int, energy: int) -> Array:
        """The certificate of the expected number of good states: that of each P(N >= v), added up."""
        return functools.reduce(lambda x, y: x + y, [certificate(p, self._budget(energy), self.sigma) for p in self.count_tails(good, horizon)])

    def _budget(self, energy: int) -> Any:
        root = arithmetic.sqrt(arithmetic.balls(np.array([energy])))[0] if arithmetic.kind(self.unit) == "ball" else np.sqrt(energy)
        return self.unit * root
