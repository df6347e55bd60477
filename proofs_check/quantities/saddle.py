"""Descent and ascent on Lagrangians: bilinear games step by step, multiplicative weights for one constraint, and what optimism changes.

Bilinear games min_x max_y sigma x y: the setting `spin` is eta sigma, extra corner (2,) the start; a matrix game has extras coupling (2, 2) and
corners (2, 2).  Bandits: three arms that pay lambda* times what they cost, so that every choice with mean cost b is optimal at the price lambda*:
extras arm_costs (3,), balance (3,) = pi* (b = <pi*, c>), weights (3,) = pi, price = lambda, balance_price = lambda*; rival (3,) and rival_price are
any other choice and price.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pgtheory import arithmetic
from proofs_check.numbers import larger
from proofs_check.quantities.registry import define, define_setting, given, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
STEPS = 12
LONG = 100
define_setting("spin", "x", "step size times singular value of a bilinear game")


# One singular direction of a bilinear game


def _corner(c: Context) -> tuple[Array, Array]:
    start = c.extra("corner")
    return start[:, 0], start[:, 1]


def _square(x: Array, y: Array) -> Array:
    return per_instance(x * x + y * y)


@define("start_square", r"\lvert z_0\rvert^2", "instance")
def _start_square(c: Context) -> Array:
    """Squared distance of the start from the equilibrium."""
    return _square(*_corner(c))


@define("simultaneous_square", r"\lvert z_{12}\rvert^2", "instance")
def _simultaneous_square(c: Context) -> Array:
    """Squared distance after twelve simultaneous steps x - eta sigma y, y + eta sigma x."""
    (x, y), spin = _corner(c), given(c, "spin")
    for _ in range(STEPS):
        x, y = x - spin * y, y + spin * x
    return _square(x, y)


def _alternating(c: Context, steps: int) -> list[tuple[Array, Array]]:
    (x, y), spin = _corner(c), given(c, "spin")
    path = [(x, y)]
    for _ in range(steps):
        x = x - spin * y
        y = y + spin * x
        path.append((x, y))
    return path


@define("alternating_squares", r"\lvert z_{t}\rvert^2", "instance", "steps")
def _alternating_squares(c: Context) -> Array:
    """Squared distances along twelve alternating steps, where y already sees the new x."""
    return np.concatenate([_square(x, y) for x, y in _alternating(c, STEPS)], axis=-1)


@define("alternating_square_end", r"\lvert z_{100}\rvert^2", "instance")
def _alternating_square_end(c: Context) -> Array:
    """Squared distance after a hundred alternating steps."""
    return _square(*_alternating(c, LONG)[-1])


@define("alternating_forms", r"x_t^2-\eta\sigma x_ty_t+y_t^2", "instance", "steps")
def _alternating_forms(c: Context) -> Array:
    """The quadratic form that alternating steps keep, along twelve of them."""
    spin = given(c, "spin")
    return np.concatenate([per_instance(x * x - spin * x * y + y * y) for x, y in _alternating(c, STEPS)], axis=-1)


@define("start_form", r"x_0^2-\eta\sigma x_0y_0+y_0^2", "instance")
def _start_form(c: Context) -> Array:
    """The same form at the start."""
    x, y = _corner(c)
    return per_instance(x * x - given(c, "spin") * x * y + y * y)


@define("extragradient_square", r"\lvert z_{12}\rvert^2", "instance")
def _extragradient_square(c: Context) -> Array:
    """Squared distance after twelve extragradient steps: half a look ahead, then the step with the field found there."""
    (x, y), spin = _corner(c), given(c, "spin")
    for _ in range(STEPS):
        ahead_x, ahead_y = x - spin * y, y + spin * x
        x, y = x - spin * ahead_y, y + spin * ahead_x
    return _square(x, y)


def _optimistic(c: Context, steps: int) -> tuple[Array, Array]:
    """z_(t+1) = z_t - 2 eta F z_t + eta F z_(t-1) from z_(-1) = z_0."""
    (x, y), spin = _corner(c), given(c, "spin")
    before = (x, y)
    for _ in range(steps):
        now = (x, y)
        x, y = x - spin * (2 * y - before[1]), y + spin * (2 * x - before[0])
        before = now
    return x, y


@define("optimistic_square", r"\lvert z_{12}\rvert^2", "instance")
def _optimistic_square(c: Context) -> Array:
    """Squared distance after twelve optimistic steps that begin with z_(-1) = z_0."""
    return _square(*_optimistic(c, STEPS))


@define("optimistic_square_end", r"\lvert z_{100}\rvert^2", "instance")
def _optimistic_square_end(c: Context) -> Array:
    """The same after a hundred steps."""
    return _square(*_optimistic(c, LONG))


def _times(a: tuple[Any, Any], b: tuple[Any, Any]) -> tuple[Any, Any]:
    """Product of complex numbers (real part, imaginary part)."""
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


@define("optimistic_square_by_roots", r"\lvert z_0\rvert^2\left\lvert\tfrac{(1+s)\lambda_+^{12}-(1-s)\lambda_-^{12}}{2s}\right\rvert^2", "instance")
def _optimistic_square_by_roots(c: Context) -> Array:
    """The same from the roots lambda = (1 - 2ix +- s)/2 of the recursion, s = sqrt(1 - 4x^2), real below x = 1/2 and imaginary above."""
    spin = given(c, "spin")
    zero = spin * 0
    inside = 1 - 4 * spin * spin
    real = np.asarray(arithmetic.less(zero, inside), dtype=bool)
    size = arithmetic.sqrt(np.where(real, inside, -inside))
    s = np.where(real, size, zero), np.where(real, zero, size)
    total = zero, zero
    for sign in (1, -1):
        root = (1 + sign * s[0]) / 2, (sign * s[1] - 2 * spin) / 2
        power = 1 + sign * s[0], sign * s[1]
        for _ in range(STEPS):
            power = _times(power, root)
        total = total[0] + sign * power[0], total[1] + sign * power[1]
    x, y = _corner(c)
    return per_instance((x * x + y * y) * (total[0] * total[0] + total[1] * total[1]) / (4 * size * size))


# A bilinear game with a matrix


def _game(c: Context) -> tuple[Array, Array, Array, Array]:
    """(x, y, B y, B'x)."""
    matrix, corners = c.extra("coupling"), c.extra("corners")
    x, y = corners[:, 0], corners[:, 1]
    return x, y, np.einsum("bij,bj->bi", matrix, y), np.einsum("bij,bi->bj", matrix, x)


@define("matrix_square", r"\lvert z_1\rvert^2", "instance")
def _matrix_square(c: Context) -> Array:
    """Squared distance after a simultaneous step of the game x'By."""
    x, y, up, down = _game(c)
    eta = given(c, "eta")[:, None]
    first, second = x - eta * up, y + eta * down
    return per_instance((first * first + second * second).sum(axis=-1))


@define("matrix_square_formula", r"\lvert z_0\rvert^2+\eta^2(\lvert By\rvert^2+\lvert B^\top x\rvert^2)", "instance")
def _matrix_square_formula(c: Context) -> Array:
    """The squared distance before, and the square of the step: their product vanishes because the field turns."""
    x, y, up, down = _game(c)
    eta = given(c, "eta")
    return per_instance((x * x + y * y).sum(axis=-1) + eta * eta * (up * up + down * down).sum(axis=-1))


# Multiplicative weights and a gradient step of the price


def _divergence(target: Array, policy: Array) -> Array:
    return (target * (arithmetic.log(target) - arithmetic.log(policy))).sum(axis=-1)


def _weights(policy: Array, exponent: Array) -> Array:
    return arithmetic.softmax(arithmetic.log(policy) + exponent)


def _moments(c: Context, policy: Array, price: Array) -> tuple[Array, Array]:
    """(what each arm pays at that price, (lambda* - lambda) c, and how far its mean cost exceeds b)."""
    cost = c.extra("arm_costs")
    return (c.extra("balance_price") - price)[:, None] * cost, ((policy - c.extra("balance")) * cost).sum(axis=-1)


def _potential(c: Context, policy: Array, price: Array) -> Array:
    away = price - c.extra("balance_price")
    return _divergence(c.extra("balance"), policy) + away * away / 2


@define("price_unprojected", r"\lambda+\eta(\langle\pi,c\rangle-b)", "instance")
def _price_unprojected(c: Context) -> Array:
    """The price after a gradient step, before it is kept from falling below 0."""
    excess = _moments(c, c.extra("weights"), c.extra("price"))[1]
    return per_instance(c.extra("price") + given(c, "eta") * excess)


@define("potential_change", r"\Phi_{t+1}-\Phi_t", "instance")
def _potential_change(c: Context) -> Array:
    """Change of KL(pi*|pi) + (lambda - lambda*)^2/2 in one step of multiplicative weights and of the price."""
    policy, price, eta = c.extra("weights"), c.extra("price"), given(c, "eta")
    pays, excess = _moments(c, policy, price)
    new = larger(price + eta * excess, price * 0)
    return per_instance(_potential(c, _weights(policy, eta[:, None] * pays), new) - _potential(c, policy, price))


@define("second_order", r"\log\textstyle\sum\pi e^{\eta u}-\eta\langle\pi,u\rangle+\tfrac{\eta^2}2(\langle\pi,c\rangle-b)^2", "instance")
def _second_order(c: Context) -> Array:
    """What is left of that change when the first-order terms have cancelled."""
    policy, price, eta = c.extra("weights"), c.extra("price"), given(c, "eta")
    pays, excess = _moments(c, policy, price)
    mean = (policy * pays).sum(axis=-1)
    tilted = arithmetic.log((policy * arithmetic.exp(eta[:, None] * pays)).sum(axis=-1))
    return per_instance(tilted - eta * mean + eta * eta * excess * excess / 2)


@define("slack_potential_change", r"\Phi_{t+1}-\Phi_t", "instance")
def _slack_potential_change(c: Context) -> Array:
    """The same where the first arm alone pays 1 and the budget 3/2 never binds, so that pi* = (1, 0, 0) and lambda* = 0."""
    policy, price, eta, cost = c.extra("weights"), c.extra("price"), given(c, "eta"), c.extra("arm_costs")
    pays = c.constant(np.array([[1, 0, 0]])) - price[:, None] * cost
    new = larger(price + eta * ((policy * cost).sum(axis=-1) - (price * 0 + 3) / 2), price * 0)
    after = _weights(policy, eta[:, None] * pays)
    return per_instance(arithmetic.log(policy[:, 0]) - arithmetic.log(after[:, 0]) + (new * new - price * price) / 2)


def _averages(c: Context) -> tuple[Array, Array, Array]:
    """(mean policy, mean price, mean of eta sp(u)^2/8 + eta (<pi,c>-b)^2/2) over twelve steps."""
    policy, price, eta = c.extra("weights"), c.extra("price"), given(c, "eta")
    policies, prices, noise = policy * 0, price * 0, price * 0
    for _ in range(STEPS):
        pays, excess = _moments(c, policy, price)
        spread = arithmetic.maximum(pays, axis=-1) - arithmetic.minimum(pays, axis=-1)
        noise = noise + eta * (spread * spread / 8 + excess * excess / 2)
        policies, prices = policies + policy, prices + price
        policy, price = _weights(policy, eta[:, None] * pays), larger(price + eta * excess, price * 0)
    return policies / STEPS, prices / STEPS, noise / STEPS


@define("average_regret", r"L(\pi',\bar\lambda)-L(\bar\pi,\lambda')", "instance")
def _average_regret(c: Context) -> Array:
    """What a second policy gains at the mean price over the mean policy at a second price, in reward units; L = <pi, r> - lambda (<pi, c> - b)."""
    policy, price, _ = _averages(c)
    cost, star, other, second = c.extra("arm_costs"), c.extra("balance_price"), c.extra("rival"), c.extra("rival_price")
    level = (c.extra("balance") * cost).sum(axis=-1)
    ours, theirs = (policy * cost).sum(axis=-1), (other * cost).sum(axis=-1)
    return per_instance(star * (theirs - ours) - price * (theirs - level) + second * (ours - level))


@define(
    "average_regret_bound",
    r"\tfrac{\mathrm{KL}(\pi'|\pi_0)+(\lambda'-\lambda_0)^2/2}{12\eta}+\tfrac{\eta}{12}\sum_t\tfrac{sp(u_t)^2}8+\tfrac{d_t^2}2",
    "instance",
)
def _average_regret_bound(c: Context) -> Array:
    """Start distance over twelve step sizes, and the mean of the steps' second-order terms, d = <pi, c> - b."""
    away = c.extra("rival_price") - c.extra("price")
    start = _divergence(c.extra("rival"), c.extra("weights")) + away * away / 2
    return per_instance(start / (STEPS * given(c, "eta")) + _averages(c)[2])
