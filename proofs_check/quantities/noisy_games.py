"""The game min_x max_y xy with multiplicative noise: optimistic steps of two lengths, every outcome of the noise followed.

X = (x, y), J X = (y, -x).  Look ahead to U = X - look_ahead G with the gradient G seen last, see G' = (1 + noise) * J U, and step
X' = X - eta G'; each player's noise is s or -s with equal probability, independently.  kappa = 1 + s^2 is what it does to the square of a gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from proofs_check.numbers import to_float
from proofs_check.quantities.registry import define, define_setting, given, per_instance
from proofs_check.quantities.regret import of_rounds

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
SIGNS = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
define_setting("look_ahead", r"\lambda", "length of the step with which optimistic players look ahead")


def _turned(place: Array) -> Array:
    """J X: (..., 2)."""
    return np.stack([place[..., 1], -place[..., 0]], axis=-1)


def _played(c: Context, place: Array, seen: Array, ahead: Array) -> tuple[Array, Array]:
    """Places and gradients (B, 4N, 2) after one step from (B, N, 2), one for each outcome of the noise."""
    towards = _turned(place - ahead[:, None, None] * seen)
    noise = 1 + c.extra("noise")[:, None, None, None] * SIGNS
    fresh = (noise * towards[:, :, None]).reshape(len(place), -1, 2)
    return np.repeat(place, 4, axis=1) - given(c, "eta")[:, None, None] * fresh, fresh


def _square(place: Array) -> Array:
    """Mean over the outcomes of the squared length: (B,)."""
    return (place * place).sum(axis=-1).sum(axis=-1) / place.shape[1]


def _factor(c: Context) -> Array:
    return 1 + c.extra("noise") * c.extra("noise")


def _potential(c: Context, place: Array, seen: Array, ahead: Array) -> Array:
    """E|X|^2 + 2 eta ahead <X, J G> + eta (ahead/kappa - eta)|G|^2."""
    eta = given(c, "eta")
    across = (place * _turned(seen)).sum(axis=-1).sum(axis=-1) / place.shape[1]
    return _square(place) + 2 * eta * ahead * across + eta * (ahead / _factor(c) - eta) * _square(seen)


def _start(c: Context) -> tuple[Array, Array]:
    return c.extra("place")[:, None], c.extra("seen")[:, None]


@define("game_potential", r"\Phi(X,G)", "instance")
def _game_potential(c: Context) -> Array:
    """Squared distance from the saddle, corrected by the gradient seen last, before a step."""
    return per_instance(_potential(c, *_start(c), given(c, "look_ahead")))


@define("game_potential_after", r"\mathbb{E}\,\Phi(X',G')", "instance")
def _game_potential_after(c: Context) -> Array:
    """Its mean after a step, over the four outcomes of the noise."""
    ahead = given(c, "look_ahead")
    return per_instance(_potential(c, *_played(c, *_start(c), ahead), ahead))


@define("game_square", r"\lVert X\rVert^2", "instance")
def _game_square(c: Context) -> Array:
    """Squared distance from the saddle before a step."""
    return per_instance(_square(_start(c)[0]))


@define("seen_square", r"\lVert G\rVert^2", "instance")
def _seen_square(c: Context) -> Array:
    """Squared length of the gradient seen last."""
    return per_instance(_square(_start(c)[1]))


@define("noise_factor", r"\kappa", "instance")
def _noise_factor(c: Context) -> Array:
    """1 + s^2: by how much the noise lengthens the mean square of a gradient."""
    return per_instance(_factor(c))


@define("separated_squares", r"\textstyle\sum_{t<T}\mathbb{E}\lVert X_t\rVert^2", "instance")
def _separated_squares(c: Context) -> Array:
    """Expected squared distances summed over the rounds, over every outcome of the noise, with look-ahead steps of 2 kappa eta."""
    (place, seen), ahead = _start(c), 2 * _factor(c) * given(c, "eta")
    total, out = c.discount * 0, list[Array]()
    for t in range(int(to_float(given(c, "rounds")).max())):
        if t:
            place, seen = _played(c, place, seen, ahead)
        total = total + _square(place)
        out.append(total)
    return per_instance(of_rounds(c, out))


@define("separated_potential", r"\Phi(X_0,G_0),\ \lambda=2\kappa\eta", "instance")
def _separated_potential(c: Context) -> Array:
    """The potential at the start for look-ahead steps of 2 kappa eta."""
    return per_instance(_potential(c, *_start(c), 2 * _factor(c) * given(c, "eta")))


def _settled(c: Context, ahead: Array) -> Array:
    """E|X'|^2 after a step for which the gradient seen last is that of the place."""
    place, _ = _start(c)
    return per_instance(_square(_played(c, place, _turned(place), ahead)[0]))


@define("settled_square_equal", r"\mathbb{E}\lVert X'\rVert^2,\ G=JX,\ \lambda=\eta", "instance")
def _settled_square_equal(c: Context) -> Array:
    """Mean squared distance after one step with equal lengths, the gradient seen last being that of the place."""
    return _settled(c, given(c, "eta"))


@define("settled_square_separated", r"\mathbb{E}\lVert X'\rVert^2,\ G=JX,\ \lambda=2\kappa\eta", "instance")
def _settled_square_separated(c: Context) -> Array:
    """The same with look-ahead steps of 2 kappa eta."""
    return _settled(c, 2 * _factor(c) * given(c, "eta"))
