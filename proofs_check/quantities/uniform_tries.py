"""Trials with uniform actions, reused for every policy: all trajectories of up to three stages, and the pairs that a set of policies reaches.

The return is the mean reward over the stages, in [0, 1] for rewards in [0, 1].  The estimate for a policy is A^H times the product of its
probabilities of what was done (for a deterministic one: 1 where all actions agree with it, else 0) times the return.  Its moments are summed over
all trajectories of uniform actions; the policy's own ones come from a recursion over the stages.  `listed_paths` (4, 3, A) has what four policies
do in a tree without chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from proofs_check.numbers import to_float
from proofs_check.quantities.registry import define, given, per_instance
from proofs_check.quantities.regret import of_rounds

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


def _stages(c: Context) -> int:
    return int(to_float(given(c, "rounds")).max())


def _tries(c: Context) -> list[tuple[Array, Array, Array]]:
    """After each stage: (chance, product of the policy's probabilities, total reward) of every trajectory of uniform actions, (B, n) each."""
    states, actions = c.rewards.shape[1:]
    policy = c.policies[:, 0]
    chance, agrees, total = c.mu, c.mu * 0 + 1, c.mu * 0  # by the present state, along the last axis
    out = []
    for _ in range(_stages(c)):
        shape = (len(c.mu), -1, states)
        chance, agrees, total = (x.reshape(shape) for x in (chance, agrees, total))
        chance, agrees, total = chance[..., None] / actions, agrees[..., None] * policy[:, None], total[..., None] + c.rewards[:, None]
        chance, agrees, total = np.broadcast_arrays(chance, agrees, total)
        out.append((chance.reshape(len(c.mu), -1), agrees.reshape(len(c.mu), -1), total.reshape(len(c.mu), -1)))
        moved = chance[..., None] * c.transitions[:, None]
        chance = moved
        agrees, total = (np.broadcast_to(x[..., None], moved.shape) for x in (agrees, total))
    return out


def _moment(c: Context, power: int) -> Array:
    """E (A^H 1{agrees} return)^power: (B,)."""
    actions, each = c.rewards.shape[2], []
    for h, (chance, agrees, total) in enumerate(_tries(c), start=1):
        estimate = actions**h * agrees * total / h
        value = chance * estimate if power == 1 else chance * estimate * estimate
        each.append(value.sum(axis=-1))
    return of_rounds(c, each)


@define("uniform_tries_mean", r"\mathbb{E}_{\mathrm{unif}}A^H1\{\pi\}R", "instance")
def _uniform_tries_mean(c: Context) -> Array:
    """Expectation of the estimate of a policy's return from trials with uniform actions."""
    return per_instance(_moment(c, 1))


@define("uniform_tries_square", r"\mathbb{E}_{\mathrm{unif}}(A^H1\{\pi\}R)^2", "instance")
def _uniform_tries_square(c: Context) -> Array:
    """Its second moment."""
    return per_instance(_moment(c, 2))


def _recursion(c: Context) -> tuple[list[Array], list[Array]]:
    """(first, second moments (B,) of the total reward) of the policy over 1, 2, ... stages."""
    policy, rewards = c.policies[:, 0], c.rewards
    first, second, ones, twos = c.mu * 0, c.mu * 0, [], []
    for _ in range(_stages(c)):
        ahead, square = ((c.transitions * x[:, None, None]).sum(axis=-1) for x in (first, second))
        first, second = (policy * (rewards + ahead)).sum(axis=-1), (policy * (rewards * rewards + 2 * rewards * ahead + square)).sum(axis=-1)
        ones.append((c.mu * first).sum(axis=-1))
        twos.append((c.mu * second).sum(axis=-1))
    return ones, twos


@define("stages_mean", r"\mathbb{E}_\pi R", "instance")
def _stages_mean(c: Context) -> Array:
    """Expected mean reward of the policy over H stages."""
    return per_instance(of_rounds(c, [x / (h + 1) for h, x in enumerate(_recursion(c)[0])]))


@define("stages_square", r"\mathbb{E}_\pi R^2", "instance")
def _stages_square(c: Context) -> Array:
    """Expected square of that mean reward."""
    return per_instance(of_rounds(c, [x / (h + 1) ** 2 for h, x in enumerate(_recursion(c)[1])]))


@define("spanned_pairs", r"C(\Pi)", "instance")
def _spanned_pairs(c: Context) -> Array:
    """Largest number, over the stages, of pairs of node and action that four policies reach in a tree without chance."""
    paths = to_float(c.extra("listed_paths")).argmax(axis=-1).tolist()
    most = [max(len({tuple(path[: h + 1]) for path in policies}) for h in range(len(policies[0]))) for policies in paths]
    return per_instance(c.constant(np.array(most, dtype=np.int64)))
