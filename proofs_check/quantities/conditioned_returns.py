"""Conditioning on a return, and the price of a constraint in a bandit with entropy.

Two arms: a safe one that pays 1/2 and costs nothing, a risky one that pays 1 and costs 1 with probability risk.  Extras: risk, share (budget in
units of risk), behaviour (2,), the data's policy.  Trees: two choices in a row, rewards and costs deterministic; extras tree_behaviour (3, 2), the
policy at the root and after each first choice, tree_pays (2, 3, 2), reward and cost of each choice, aim (4,), the path whose totals are asked for.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.numbers import larger
from proofs_check.quantities.constrained import program_of
from proofs_check.quantities.registry import define, given, per_instance
from proofs_check.quantities.soft_constrained import priced
from proofs_check.robust import exactly_known

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


# A safe and a risky arm


def _risky_share(c: Context) -> Array:
    """P(risky | return 1, cost 0), from the joint law of arm, return and cost: (B,)."""
    behaviour, risk = c.extra("behaviour"), c.extra("risk")
    zero = risk * 0
    half = (zero + 1) / 2
    outcomes = [(0, half, zero, behaviour[:, 0]), (1, zero + 1, zero + 1, behaviour[:, 1] * risk), (1, zero + 1, zero, behaviour[:, 1] * (1 - risk))]
    seen = [zero, zero]
    for arm, reward, cost, probability in outcomes:
        hit = np.asarray(reward == 1, dtype=bool) & np.asarray(cost == 0, dtype=bool)
        seen[arm] = seen[arm] + np.where(hit, probability, zero)
    return seen[1] / (seen[0] + seen[1])


@define("risk", "q", "instance")
def _risk(c: Context) -> Array:
    """Probability with which the risky arm costs 1."""
    return per_instance(c.extra("risk"))


@define("risk_budget", "b", "instance")
def _risk_budget(c: Context) -> Array:
    """A budget for the mean cost, a share of what the risky arm costs."""
    return per_instance(c.extra("share") * c.extra("risk"))


@define("conditioned_cost", r"\mathbb{E}[C]\ \mathrm{of}\ P(a|R=1,C=0)", "instance")
@exactly_known
def _conditioned_cost(c: Context) -> Array:
    """Mean cost of the policy that conditions the data on return 1 and cost 0."""
    return per_instance(_risky_share(c) * c.extra("risk"))


@define("conditioned_reward", r"\mathbb{E}[R]\ \mathrm{of}\ P(a|R=1,C=0)", "instance")
@exactly_known
def _conditioned_reward(c: Context) -> Array:
    """Mean return of that policy, in reward units."""
    risky = _risky_share(c)
    return per_instance(risky + (1 - risky) / 2)


@define("risk_front", r"V_r^*(b)", "instance")
@exactly_known
def _risk_front(c: Context) -> Array:
    """Largest mean return with a mean cost of at most b, by the linear program, in reward units."""
    risk = c.extra("risk")
    one = risk * 0 + 1
    rows = c.constant(np.ones((len(risk), 1, 2, 1), dtype=np.int64))
    pays, costs = np.stack([one / 2, one], axis=-1)[:, None], np.stack([one * 0, risk], axis=-1)[:, None]
    game = dataclasses.replace(c, transitions=rows, rewards=pays, discount=one * 0, rho=one[:, None], mu=one[:, None], given_optimum=None)
    return per_instance(program_of(game, (1 - costs)[:, None], (1 - c.extra("share") * risk)[:, None]).value)


# Two deterministic choices in a row


def _paths() -> list[tuple[int, int]]:
    return [(a, b) for a in (0, 1) for b in (0, 1)]


def _totals(c: Context) -> Array:
    """(B, 2, 4): return and cost of each path."""
    pays = c.extra("tree_pays")
    return np.stack([pays[:, :, 0, first] + pays[:, :, 1 + first, second] for first, second in _paths()], axis=-1)


def _target(c: Context) -> Array:
    """(B, 2): the totals of the path that is asked for."""
    return (_totals(c) * c.extra("aim")[:, None]).sum(axis=-1)


def _conditioned_paths(c: Context) -> Array:
    """(B, 4): the law of the paths if each choice is drawn from the data's law given the totals asked for and the choice before."""
    behaviour = c.extra("tree_behaviour")
    hit = np.asarray(_totals(c) == _target(c)[..., None], dtype=bool).all(axis=1)
    joint = np.stack([behaviour[:, 0, first] * behaviour[:, 1 + first, second] for first, second in _paths()], axis=-1)
    joint = np.where(hit, joint, joint * 0)
    first = [joint[:, 0] + joint[:, 1], joint[:, 2] + joint[:, 3]]
    total = first[0] + first[1]
    out = []
    for k, (a, _) in enumerate(_paths()):
        possible = np.asarray(first[a] > 0, dtype=bool)
        second = joint[:, k] / np.where(possible, first[a], first[a] * 0 + 1)
        out.append(first[a] / total * second)
    return np.stack(out, axis=-1)


@define("tree_targets", r"(R,C)\ \mathrm{asked\ for}", "instance", "return and cost")
@exactly_known
def _tree_targets(c: Context) -> Array:
    """Return and cost that are asked for: those of a path of the tree."""
    return _target(c)[:, None]


@define("tree_achieved", r"\mathbb{E}(R,C)\ \mathrm{given\ them}", "instance", "return and cost")
@exactly_known
def _tree_achieved(c: Context) -> Array:
    """Mean return and cost of the policy that conditions each of its two choices on them."""
    return (_totals(c) * _conditioned_paths(c)[:, None]).sum(axis=-1)[:, None]


# A bandit with entropy


def _tilted(c: Context, price: Array) -> tuple[Array, Array, Array]:
    """(e^((r - lambda c)/tau), shifted; c; tau): (B, A), (B, A), (B,)."""
    tau = given(c, "tau")
    logits = priced(c, -price, c.extra("costs"))[:, 0] / tau[:, None]
    return arithmetic.exp(arithmetic.log_softmax(logits)), c.extra("costs")[:, 0], tau


def _mean_cost(c: Context, price: Array) -> Array:
    policy, cost, _ = _tilted(c, price)
    return (policy * cost).sum(axis=-1)


def _spread(c: Context) -> Array:
    cost = c.extra("costs")[:, 0]
    return arithmetic.maximum(cost, axis=-1) - arithmetic.minimum(cost, axis=-1)


@define("cost_spread", r"\mathrm{sp}(c)", "instance")
def _cost_spread(c: Context) -> Array:
    """Largest less smallest cost of an arm."""
    return per_instance(_spread(c))


@define("cost_slope", r"\tfrac{d}{d\lambda}\mathbb{E}_{\pi_\lambda}c", "instance")
def _cost_slope(c: Context) -> Array:
    """Derivative of the mean cost in the price by the quotient rule, weights w with dw = -(c/tau) w."""
    weight, cost, tau = _tilted(c, c.extra("first_price"))
    weight = 3 * weight  # no normalisation is used
    slope = -cost / tau[:, None] * weight
    above, below = (cost * weight).sum(axis=-1), weight.sum(axis=-1)
    return per_instance(((cost * slope).sum(axis=-1) * below - above * slope.sum(axis=-1)) / (below * below))


@define("cost_variance", r"\mathrm{Var}_{\pi_\lambda}(c)", "instance")
def _cost_variance(c: Context) -> Array:
    """Variance of the cost under the soft-optimal choice at the first price."""
    policy, cost, _ = _tilted(c, c.extra("first_price"))
    away = cost - (policy * cost).sum(axis=-1, keepdims=True)
    return per_instance((policy * away * away).sum(axis=-1))


@define("price_after_step", r"\lambda_+", "instance")
def _price_after_step(c: Context) -> Array:
    """The first price after a projected gradient step of 4 f tau/sp(c)^2 on the dual, for the budget that makes the second price optimal; the first
    price itself where all arms cost the same."""
    price, spread = c.extra("first_price"), _spread(c)
    flat = np.asarray(spread == 0, dtype=bool)
    spread = np.where(flat, spread * 0 + 1, spread)
    step = 4 * given(c, "step_factor") * given(c, "tau") / (spread * spread)
    new = price - step * (_mean_cost(c, c.extra("second_price")) - _mean_cost(c, price))
    return per_instance(larger(new, new * 0))


@define("lever_cost", r"V_c(\pi_{\lambda^*})", "instance")
def _lever_cost(c: Context) -> Array:
    """Cost of the soft-optimal choice between an arm that pays 1 and costs 1 and one that does neither, at the price max(0, 1 - tau log(b/(1-b)))."""
    budget, tau = c.extra("lever_budget"), given(c, "tau")
    price = 1 - tau * (arithmetic.log(budget) - arithmetic.log(1 - budget))
    price = larger(price, price * 0)
    arms = arithmetic.softmax(np.stack([(1 - price) / tau, price * 0], axis=-1))
    return per_instance(arms[:, 0])


@define("lever_budget", "b", "instance")
def _lever_budget(c: Context) -> Array:
    """What that arm may cost on average."""
    return per_instance(c.extra("lever_budget"))
