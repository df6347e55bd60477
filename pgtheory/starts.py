"""First policies by name, for runs: where a method starts decides what its bound says.

    uniform              1/A everywhere
    random:7             every row drawn from Dirichlet(1, ..., 1), with seed 7 (0 if left out)
    adversarial:1/100    near a suboptimal corner: in every state the action with the least Q* has probability 1 - 1/100, the others share the rest
                         (1/50 if left out); a state in which all actions are as good keeps the uniform row

The adversarial policy is interior, so that softmax methods take it, and the slower the smaller the share: the gradient there is of its order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mdps.errors import ModelError, nearest
from mdps.model import MDP
from mdps.rational import fraction

Array = np.ndarray
NAMES = ("uniform", "random", "adversarial")
SHARE = "1/50"
"""Probability that the adversarial policy leaves to the other actions of a state."""


def start_policy(name: str, mdp: MDP) -> Array:
    """The policy (S, A) of that name for a rectangular model.

    raises  ModelError: an unknown name, a seed that is no whole number >= 0, a share outside (0, 1), states with different numbers of actions
    """
    from pgtheory.policy_gradient.method import check_rectangular

    check_rectangular(mdp)
    kind, number = read_start(name)
    shape = (mdp.num_states, mdp.num_actions)
    if kind == "random":
        return np.random.default_rng(int(number)).dirichlet(np.ones(shape[1]), shape[0])
    uniform = np.full(shape, 1 / shape[1])
    return uniform if kind == "uniform" else _adversarial(float(number), mdp.float, uniform)


def read_start(name: str, field: str = "initial") -> tuple[str, int | float]:
    """(kind, its seed or share) that a name stands for.  raises  ModelError: `field` holds no such name, or a figure that will not do"""
    kind, _, figure = name.partition(":")
    if kind not in NAMES or (kind == "uniform" and figure):
        raise ModelError(f"{field} is {name!r}; give a policy (S, A), 'uniform', 'random:SEED' or 'adversarial:SHARE'.{nearest(kind, list(NAMES))}")
    if kind == "random":
        if figure and not figure.isdecimal():
            raise ModelError(f"{field} is {name!r}; the seed is a whole number >= 0, as in 'random:7'")
        return kind, int(figure or 0)
    if kind == "uniform":
        return kind, 0
    try:
        share = float(fraction(figure or SHARE))
    except (ModelError, ValueError, ZeroDivisionError):
        share = -1.0
    if not 0 < share < 1:
        raise ModelError(f"{field} is {name!r}; the share of the other actions is a number between 0 and 1, as in 'adversarial:1/100'")
    return kind, share


def _adversarial(share: float, mdp: MDP, uniform: Array) -> Array:
    from pgtheory.exact import action_values, solve
    from pgtheory.kernels import rounding_of_values

    ahead: Any = action_values(mdp, solve(mdp).policy)
    slack = rounding_of_values.py_func(mdp.num_states, float(mdp.discount), np.abs(ahead).max())
    actions = mdp.num_actions
    if actions == 1:
        return uniform
    corner = np.full(uniform.shape, share / (actions - 1))
    corner[np.arange(mdp.num_states), ahead.argmin(axis=1)] = 1 - share
    return np.where(np.ptp(ahead, axis=1, keepdims=True) > slack, corner, uniform)
