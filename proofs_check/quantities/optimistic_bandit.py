"""The bandit on which fixed prices fail: one arm pays 1 and costs 1, the other nothing; the budget is b, the equilibrium (b, 1 - b) at price 1.

Extras: budget = b; chance and its_price, the centre of the optimistic method, chance_before and price_before, where its field was last taken;
direction (2,), a displacement (d chance, d price) for the linearised map; a_price, any price for a greedy policy.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.dual import Dual
from proofs_check.numbers import larger
from proofs_check.quantities.constrained import NEAR, attained, program_of
from proofs_check.quantities.registry import define, given, per_instance
from proofs_check.robust import exactly_known

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
STEPS = 12


@define("mean_budget", "b", "instance")
def _budget(c: Context) -> Array:
    """What the first arm may cost on average, between 0 and 1."""
    return per_instance(c.extra("budget"))


# One state, any discount


def _copies(c: Context) -> Context:
    """The bandit in a state to which both arms lead back."""
    one = c.constant(np.ones((c.discount.size, 1, 2, 1), dtype=np.int64))
    pays = c.constant(np.broadcast_to(np.array([[[1, 0]]]), (c.discount.size, 1, 2)))
    arms = c.constant(np.broadcast_to(np.eye(2, dtype=np.int64)[:, None], (c.discount.size, 2, 1, 2)))
    rho = c.constant(np.ones((c.discount.size, 1), dtype=np.int64))
    return dataclasses.replace(
        c, transitions=one, rewards=pays, policies=arms, rho=rho, mu=rho, given_optimum=None, logits=None, minima=None, other=None
    )


@define("lagrangian_at_one", r"V_{r-1\cdot c}^\pi+\tfrac b{1-\gamma}", "instance")
@exactly_known
def _lagrangian_at_one(c: Context) -> Array:
    """Lagrangian of a random choice at the price 1, in reward units."""
    game, costs = _copies(c), _copies(c).rewards
    chance = c.extra("chance")
    policy = np.stack([chance, 1 - chance], axis=-1)[:, None, None]
    return per_instance(attained(game, game.rewards - costs, policy)[:, 0] + c.extra("budget") / (1 - c.discount))


@define("copies_optimum", r"V_r^*(\tfrac b{1-\gamma})", "instance")
@exactly_known
def _copies_optimum(c: Context) -> Array:
    """Largest reward of the copies within the budget b/(1-gamma), by the linear program, in reward units."""
    game = _copies(c)
    kept = (1 - c.extra("budget")) / (1 - c.discount)  # V_c <= b/(1-gamma) is V_(1-c) >= (1-b)/(1-gamma)
    return per_instance(program_of(game, (1 - game.rewards)[:, None], kept[:, None]).value)


@define("greedy_shortfall", r"\min_{a\ \mathrm{greedy\ at}\ r-\lambda c}\max(V_c^a-\tfrac b{1-\gamma},\,V_r^*-V_r^a)", "instance")
@exactly_known
def _greedy_shortfall(c: Context) -> Array:
    """By how much the best of the actions that are greedy at a price breaks the budget or falls short of the optimum b/(1-gamma), in reward units."""
    game = _copies(c)
    values = attained(game, game.rewards, game.policies)
    level = (c.extra("budget") / (1 - c.discount))[:, None]
    short = np.maximum(values - level, level - values)
    priced = attained(game, game.rewards * (1 - c.extra("a_price"))[:, None, None], game.policies)
    greedy = np.asarray(priced >= priced.max(axis=1, keepdims=True) - (NEAR if c.kind == "float" else 0), dtype=bool)
    return per_instance(np.where(greedy, short, np.broadcast_to(short.max(axis=1, keepdims=True), short.shape)).min(axis=1))


# The optimistic method, in two sequences


def _divergence(b: Array, p: Array) -> Array:
    return b * (arithmetic.log(b) - arithmetic.log(p)) + (1 - b) * (arithmetic.log(1 - b) - arithmetic.log(1 - p))


def _moved(c: Context, centre: tuple[Array, Array], field: tuple[Array, Array]) -> tuple[Array, Array]:
    """The step from the centre with the field (1 - price for the arm, chance - b for the price) taken elsewhere."""
    eta = given(c, "eta")
    logit = arithmetic.log(centre[0]) - arithmetic.log(1 - centre[0]) + eta * (1 - field[1])
    price = larger(centre[1] + eta * (field[0] - c.extra("budget")), centre[1] * 0)
    return 1 / (1 + arithmetic.exp(-logit)), price


def _states(c: Context) -> tuple[tuple[Array, Array], ...]:
    """(centre, where the field was last taken)."""
    return (c.extra("chance"), c.extra("its_price")), (c.extra("chance_before"), c.extra("price_before"))


def _distance(z: tuple[Array, Array], w: tuple[Array, Array]) -> Array:
    """4 (p - p')^2 + (lambda - lambda')^2."""
    return 4 * (z[0] - w[0]) * (z[0] - w[0]) + (z[1] - w[1]) * (z[1] - w[1])


def _from_saddle(c: Context, z: tuple[Array, Array]) -> Array:
    return _divergence(c.extra("budget"), z[0]) + (z[1] - 1) * (z[1] - 1) / 2


@define("optimistic_potential", r"\Theta_t", "instance")
def _optimistic_potential(c: Context) -> Array:
    """KL(b|p) + (lambda - 1)^2/2 at the centre, and a quarter of its squared distance from where the field was last taken."""
    centre, before = _states(c)
    return per_instance(_from_saddle(c, centre) + _distance(centre, before) / 4)


@define("optimistic_potential_next", r"\Theta_{t+1}", "instance")
def _optimistic_potential_next(c: Context) -> Array:
    """The same after an optimistic step: look ahead with the last field, take the field there, step from the centre with it."""
    centre, before = _states(c)
    ahead = _moved(c, centre, before)
    new = _moved(c, centre, ahead)
    return per_instance(_from_saddle(c, new) + _distance(new, ahead) / 4)


@define("look_ahead_square", r"\lVert z_t-\hat z_t\rVert^2", "instance")
def _look_ahead_square(c: Context) -> Array:
    """Squared distance of the point looked ahead at from the centre, 4 (p - p')^2 + (lambda - lambda')^2."""
    centre, before = _states(c)
    return per_instance(_distance(_moved(c, centre, before), centre))


@define("saddle_distance", r"\mathrm{KL}(b|p)+\tfrac12(\lambda-1)^2", "instance")
def _saddle_distance(c: Context) -> Array:
    """Distance of the centre from the equilibrium."""
    return per_instance(_from_saddle(c, _states(c)[0]))


@define("saddle_distance_plain_step", r"\Phi_{t+1}", "instance")
def _saddle_distance_plain_step(c: Context) -> Array:
    """The same after a step without optimism, with the field of the centre itself."""
    centre = _states(c)[0]
    return per_instance(_from_saddle(c, _moved(c, centre, centre)))


# Linearised at the equilibrium


def _norm(c: Context, chance: Array, price: Array) -> Array:
    spread = c.extra("budget") * (1 - c.extra("budget"))
    return per_instance(chance * chance / spread + price * price)


@define("linear_start", r"\lvert z_0\rvert^2", "instance")
def _linear_start(c: Context) -> Array:
    """Squared size of the displacement from the equilibrium, (d chance)^2/(b(1-b)) + (d price)^2."""
    direction = c.extra("direction")
    return _norm(c, direction[:, 0], direction[:, 1])


@define("linear_end", r"\lvert z_{12}\rvert^2", "instance")
def _linear_end(c: Context) -> Array:
    """The same after twelve optimistic steps p e^(eta(2u - u')) / (p e^(eta(2u - u')) + 1 - p), differentiated by dual numbers at the equilibrium."""
    eta, b = given(c, "eta"), c.extra("budget")
    direction = c.extra("direction")

    def number(value: Array, slope: Array) -> Dual:
        return Dual(value, slope[:, None])

    one = b * 0 + 1
    chance, price = number(b, direction[:, 0]), number(one, direction[:, 1])
    chance_before, price_before = chance, price
    step, ones, zeros = number(eta, eta * 0), number(one, eta * 0), number(eta * 0, eta * 0)
    for _ in range(STEPS):
        pays, paid = ones - price, ones - price_before
        exponent = step * (pays - (paid - pays))
        growth = Dual(exponent.value + 1, exponent.slope)  # e^x at x = 0
        tilted = chance * growth
        excess = chance - (chance_before - chance)  # 2 p - p'
        new_chance = tilted / (tilted - (chance - ones))
        new_price = price - step * (zeros - (excess - number(b, b * 0)))
        chance_before, price_before, chance, price = chance, price, new_chance, new_price
    return _norm(c, chance.slope[:, 0], price.slope[:, 0])
