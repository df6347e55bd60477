"""Draws that belong together: agents who must all act, and items drawn without being put back; every outcome listed.

Agents: the extra `willing` (8,), of which the first N (the setting `agents`) count; the reward is 1 if all act.  Items: three of them with
the policy of a bandit, two drawn in order; the reward of a set, by the item that is left out, is the extra `set_rewards` (3,).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from proofs_check.dual import Dual
from proofs_check.numbers import to_float
from proofs_check.quantities.registry import define, define_setting, given, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
Order = tuple[int, ...]
"""Two items in the order in which they are drawn."""
ITEMS = 3
define_setting("agents", "N", "number of agents")


# Agents


def _profiles(c: Context, agents: int, baseline: bool) -> tuple[Array, Array, Array]:
    """Probability (B, 2^N) of each profile, the estimates (B, 2^N, N) of the agents and the gradient (B, N) of the joint reward."""
    p = c.extra("willing")[:, :agents]
    acts = np.array(list(itertools.product((0, 1), repeat=agents)))
    each = np.where(acts.astype(bool)[None], p[:, None], 1 - p[:, None])
    chance = each.prod(axis=-1)
    success = p.prod(axis=-1)
    score = np.where(acts.astype(bool)[None], 1 / p[:, None], -1 / (1 - p[:, None]))
    reward = acts.all(axis=-1).astype(int)[None] - (success if baseline else success * 0)[:, None]
    slope = np.stack([np.delete(p, i, axis=1).prod(axis=-1) if agents > 1 else p[:, 0] * 0 + 1 for i in range(agents)], axis=-1)
    return chance, reward[..., None] * score, slope


def _by_agents(c: Context, code: Callable[[int], Array]) -> Array:
    wanted, out = to_float(given(c, "agents")).astype(int), c.discount * 0
    for agents in np.unique(wanted).tolist():
        out = np.where(wanted == agents, code(agents), out)
    return per_instance(out)


def _right_way(c: Context, baseline: bool) -> Array:
    def code(agents: int) -> Array:
        chance, estimate, slope = _profiles(c, agents, baseline)
        up = np.asarray((estimate * slope[:, None]).sum(axis=-1) > 0, dtype=bool)
        return np.where(up, chance, chance * 0).sum(axis=-1)

    return _by_agents(c, code)


@define("right_direction", r"P(\langle g,\nabla J\rangle>0)", "instance")
def _right_direction(c: Context) -> Array:
    """Probability that one sample's estimate points along the gradient, over all profiles of actions."""
    return _right_way(c, baseline=False)


@define("right_direction_baseline", r"P(\langle g,\nabla J\rangle>0)\ \text{with}\ b=J", "instance")
def _right_direction_baseline(c: Context) -> Array:
    """The same with the mean reward as a baseline."""
    return _right_way(c, baseline=True)


@define("all_willing", r"\textstyle\prod_i\theta_i", "instance")
def _all_willing(c: Context) -> Array:
    """Product of the agents' probabilities to act."""
    return _by_agents(c, lambda agents: c.extra("willing")[:, :agents].prod(axis=-1))


@define("first_estimate_mean_square", r"(\mathbb{E}g_1)^2", "instance")
def _first_estimate_mean_square(c: Context) -> Array:
    """Squared mean of the first agent's estimate, over all profiles."""

    def code(agents: int) -> Array:
        chance, estimate, _ = _profiles(c, agents, baseline=False)
        return (chance * estimate[..., 0]).sum(axis=-1) ** 2

    return _by_agents(c, code)


@define("first_estimate_variance", r"\mathrm{Var}\,g_1", "instance")
def _first_estimate_variance(c: Context) -> Array:
    """Variance of the first agent's estimate, over all profiles."""

    def code(agents: int) -> Array:
        chance, estimate, _ = _profiles(c, agents, baseline=False)
        return (chance * estimate[..., 0] ** 2).sum(axis=-1) - (chance * estimate[..., 0]).sum(axis=-1) ** 2

    return _by_agents(c, code)


# Items


def _reward_of(c: Context, order: Order) -> Array:
    """(B,): the reward of the two items drawn."""
    return c.extra("set_rewards")[:, ITEMS - sum(order)]


def _one(c: Context, item: int) -> Array:
    return c.constant(np.eye(ITEMS, dtype=np.int64)[item])[None]


def _drawn(c: Context, reward: Callable[[Order], Array], score: Callable[[Array, Order], Array]) -> Array:
    """sum over orders without replacement of probability, reward and score: (B, 1, 3)."""
    p = c.policies[:, 0, 0]
    out = p * 0
    for order in itertools.permutations(range(ITEMS), 2):
        chance = p[:, order[0]] * p[:, order[1]] / (1 - p[:, order[0]])
        out = out + (chance * reward(order))[:, None] * score(p, order)
    return out[:, None]


@define("set_derivative", r"\partial\,\mathbb{E}R/\partial\theta_i", "step", "items")
def _set_derivative(c: Context) -> Array:
    """Derivatives of the mean reward of two items drawn without replacement in the logits, by dual numbers."""
    return _derivative(c, replaced=False)


@define("set_derivative_replaced", r"\partial\,\mathbb{E}R/\partial\theta_i\ \text{with replacement}", "step", "items")
def _set_derivative_replaced(c: Context) -> Array:
    """The same for two items drawn with replacement, where two of a kind pay nothing."""
    return _derivative(c, replaced=True)


def _derivative(c: Context, replaced: bool) -> Array:
    p = c.policies[:, 0, 0]
    eye = c.constant(np.eye(ITEMS, dtype=np.int64))
    policy = Dual(p, p[..., None] * (eye - p[:, None, :]))
    one = Dual(p[:, 0] * 0 + 1, policy.slope[:, 0] * 0)
    total = p * 0
    for order in itertools.permutations(range(ITEMS), 2):
        first, second = Dual(p[:, order[0]], policy.slope[:, order[0]]), Dual(p[:, order[1]], policy.slope[:, order[1]])
        chance = first * second if replaced else first * second / (one - first)
        total = total + chance.slope * _reward_of(c, order)[:, None]
    return total[:, None]


@define("renormalised_score_mean", r"\mathbb{E}\,R\textstyle\sum_j(e_{i_j}-p^{(j)})", "step", "items")
def _renormalised_score_mean(c: Context) -> Array:
    """Mean reward times the scores of both draws, the second among the items that are left."""

    def score(p: Array, order: Order) -> Array:
        left = p / (1 - p[:, order[0]])[:, None] * (1 - _one(c, order[0]))
        return _one(c, order[0]) - p + _one(c, order[1]) - left

    return _drawn(c, lambda order: _reward_of(c, order), score)


def _plain_score(c: Context) -> Callable[[Array, Order], Array]:
    return lambda p, order: _one(c, order[0]) + _one(c, order[1]) - 2 * p


@define("plain_score_mean", r"\mathbb{E}\,R\textstyle\sum_j(e_{i_j}-p)", "step", "items")
def _plain_score_mean(c: Context) -> Array:
    """The same with the score of the first draw for both."""
    return _drawn(c, lambda order: _reward_of(c, order), _plain_score(c))


@define("plain_score_alone", r"\mathbb{E}\textstyle\sum_j(e_{i_j}-p)", "step", "items")
def _plain_score_alone(c: Context) -> Array:
    """The same where every set pays 1."""
    return _drawn(c, lambda order: c.discount * 0 + 1, _plain_score(c))


@define("inclusion_excess", r"P(i\text{ drawn})-2p_i", "step", "items")
def _inclusion_excess(c: Context) -> Array:
    """Probability that an item is among two drawn, 1 less that of leaving it out twice, less twice its share."""
    p = c.policies[:, 0, 0]
    out = []
    for i in range(ITEMS):
        others = [k for k in range(ITEMS) if k != i]
        missed = sum((p[:, a] * p[:, b] / (1 - p[:, a]) for a, b in itertools.permutations(others, 2)), p[:, 0] * 0)
        out.append(1 - missed - 2 * p[:, i])
    return np.stack(out, axis=-1)[:, None]


@define("replaced_score_mean", r"\mathbb{E}\,R\textstyle\sum_j(e_{i_j}-p)\ \text{with replacement}", "step", "items")
def _replaced_score_mean(c: Context) -> Array:
    """Mean reward times the plain scores of two items drawn with replacement, where two of a kind pay nothing."""
    p = c.policies[:, 0, 0]
    out = p * 0
    for order in itertools.permutations(range(ITEMS), 2):
        out = out + (p[:, order[0]] * p[:, order[1]] * _reward_of(c, order))[:, None] * (_one(c, order[0]) + _one(c, order[1]) - 2 * p)
    return out[:, None]
