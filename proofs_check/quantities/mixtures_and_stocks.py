"""Importance sampling from a mixture of surrogates, and a quadratic inventory.

Mixtures: target_law (4,), values (4,), surrogate_laws (2, 4), mixing (2,), second_mixing (2,).  Inventory: form, trade_cost, stock, spread, wealth
(5,).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory.control.variational import mixture_moment
from proofs_check.quantities.registry import define, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


# Mixtures of surrogates


def _target(c: Context) -> Array:
    return c.extra("target_law") * c.extra("values")


def _moment(c: Context, weights: Array) -> Array:
    return mixture_moment(_target(c), c.extra("surrogate_laws"), weights)


@define("mixture_moment", r"\sum(pf)^2/q_w", "instance")
def _mixture_moment(c: Context) -> Array:
    """Second moment of one weighted sample of the mixture."""
    return per_instance(_moment(c, c.extra("mixing")))


@define("mixture_square", r"(\mathbb{E}_pf)^2", "instance")
def _mixture_square(c: Context) -> Array:
    """Square of the mean that is estimated."""
    mean = _target(c).sum(axis=-1)
    return per_instance(mean * mean)


@define("mixture_moment_between", r"\sum(pf)^2/q_{(w+w')/2}", "instance")
def _mixture_moment_between(c: Context) -> Array:
    """The same at the mean of two weightings."""
    return per_instance(_moment(c, (c.extra("mixing") + c.extra("second_mixing")) / 2))


@define("mixture_moments_mean", r"\tfrac{1}{2}\sum(pf)^2(1/q_w+1/q_{w'})", "instance")
def _mixture_moments_mean(c: Context) -> Array:
    """The mean of the second moments of two weightings."""
    return per_instance((_moment(c, c.extra("mixing")) + _moment(c, c.extra("second_mixing"))) / 2)


@define("weighted_single_moments", r"\tfrac{1}{w_i}\sum(pf)^2/q_i", "instance", "surrogates")
def _weighted_single_moments(c: Context) -> Array:
    """Second moment of each surrogate alone, over its weight."""
    return _singles(c) / c.extra("mixing")[:, None]


@define("single_moments", r"\sum(pf)^2/q_i", "instance", "surrogates")
def _single_moments(c: Context) -> Array:
    """Second moment of each surrogate alone."""
    return _singles(c)


def _singles(c: Context) -> Array:
    eye = c.constant(np.eye(2, dtype=np.int64))
    return np.stack([_moment(c, np.broadcast_to(eye[i], (len(c.discount), 2))) for i in range(2)], axis=-1)[:, None]


def _spread(c: Context, first: Array, second: Array) -> Array:
    law = c.extra("target_law")
    return (law * first * second).sum(axis=-1) - (law * first).sum(axis=-1) * (law * second).sum(axis=-1)


@define("regressed_product", r"\mathrm{Var}f\,\mathrm{Var}s-\mathrm{Cov}(f,s)^2", "instance")
def _regressed_product(c: Context) -> Array:
    """Variance of f less the best multiple of a control variate s whose mean is known, times the variance of s."""
    f, s = c.extra("values"), c.extra("surrogate_laws")[:, 0]
    return per_instance(_spread(c, f, f) * _spread(c, s, s) - _spread(c, f, s) ** 2)


@define("corrected_product", r"\mathrm{Var}(f-ws)\,\mathrm{Var}s", "instance")
def _corrected_product(c: Context) -> Array:
    """The same with another multiple."""
    s = c.extra("surrogate_laws")[:, 0]
    rest = c.extra("values") - c.extra("mixing")[:, :1] * s
    return per_instance(_spread(c, rest, rest) * _spread(c, s, s))


@define("plain_product", r"\mathrm{Var}f\,\mathrm{Var}s", "instance")
def _plain_product(c: Context) -> Array:
    """The same without a control variate."""
    f, s = c.extra("values"), c.extra("surrogate_laws")[:, 0]
    return per_instance(_spread(c, f, f) * _spread(c, s, s))


# Inventories


def _inventory(c: Context) -> tuple[Array, Array, Array, Array, Array, Array]:
    """P, eta, q, s^2, gamma, and the holding cost phi for which P solves its equation."""
    form, trade, gamma = c.extra("form"), c.extra("trade_cost"), c.discount
    held = form - gamma * form * trade / (trade + gamma * form)
    return form, trade, c.extra("stock"), c.extra("spread") ** 2, gamma, held


@define("inventory_value", r"Pq^2+\tfrac{\gamma Ps^2}{1-\gamma}", "instance")
def _inventory_value(c: Context) -> Array:
    """Cost of holding the stock q for ever, in cost units."""
    form, _, stock, noise, gamma, _ = _inventory(c)
    return per_instance(form * stock * stock + gamma * form * noise / (1 - gamma))


def _parabola(c: Context, scaled: bool) -> tuple[Array, Array, Array]:
    """(value, slope, bend) at u = 0 of the right side of the Bellman equation as a function of the trade u."""
    form, trade, stock, noise, gamma, held = _inventory(c)

    def total(trade_size: Array) -> Array:
        left = stock - trade_size
        shock = noise * trade_size * trade_size if scaled else noise
        return held * stock * stock + trade * trade_size * trade_size + gamma * (form * (left * left + shock) + gamma * form * noise / (1 - gamma))

    one = stock * 0 + 1
    low, middle, high = total(-one), total(one * 0), total(one)
    slope, bend = (high - low) / 2, (high + low) / 2 - middle
    return middle, slope, bend


@define("inventory_backup", r"\min_u\phi q^2+\eta u^2+\gamma\mathbb{E}V(q-u+w)", "instance")
def _inventory_backup(c: Context) -> Array:
    """The right side of the Bellman equation, minimised by the parabola through u = -1, 0, 1."""
    middle, slope, bend = _parabola(c, scaled=False)
    return per_instance(middle - slope * slope / (4 * bend))


@define("inventory_trade", r"u^*", "instance")
def _inventory_trade(c: Context) -> Array:
    """The trade that minimises the right side of the Bellman equation, noise included."""
    _, slope, bend = _parabola(c, scaled=False)
    return per_instance(-slope / (2 * bend))


@define("inventory_trade_scaled", r"u^*,\ \mathrm{noise}\ uw", "instance")
def _inventory_trade_scaled(c: Context) -> Array:
    """The same where the noise grows with the trade."""
    _, slope, bend = _parabola(c, scaled=True)
    return per_instance(-slope / (2 * bend))


@define("inventory_rule", r"\tfrac{\gamma Pq}{\eta+\gamma P}", "instance")
def _inventory_rule(c: Context) -> Array:
    """The trade of the formula: it does not depend on the noise."""
    form, trade, stock, _, gamma, _ = _inventory(c)
    return per_instance(gamma * form * stock / (trade + gamma * form))


@define("marked_to_market", r"\sum_t\gamma^t(W_{t+1}-W_t)", "instance")
def _marked_to_market(c: Context) -> Array:
    """Discounted sum of the changes of wealth over the four steps of `wealth` (5,)."""
    wealth, total, factor = c.extra("wealth"), c.discount * 0, c.discount * 0 + 1
    for t in range(4):
        total, factor = total + factor * (wealth[:, t + 1] - wealth[:, t]), factor * c.discount
    return per_instance(total)


@define("undiscounted_changes", r"\sum_t(W_{t+1}-W_t)", "instance")
def _undiscounted_changes(c: Context) -> Array:
    """The changes of wealth over four steps, added up one by one."""
    wealth = c.extra("wealth")
    return per_instance(sum(wealth[:, t + 1] - wealth[:, t] for t in range(1, 4)) + (wealth[:, 1] - wealth[:, 0]))


@define("last_wealth", r"W_4-W_0", "instance")
def _last_wealth(c: Context) -> Array:
    """The last wealth less the first."""
    wealth = c.extra("wealth")
    return per_instance(wealth[:, 4] - wealth[:, 0])
