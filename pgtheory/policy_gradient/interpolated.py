"""Between evaluation and control: the operator that takes the best action with probability k and asks the policy otherwise.

    (T_k Q)(s, a) = r(s, a) + gamma sum_s' P(s' | s, a) ( k max_b Q(s', b) + (1 - k) sum_b pi(b | s') Q(s', b) ),        0 <= k <= 1

k = 1 is the Bellman optimality operator T*, k = 0 the policy's own T^pi.  T_k is the optimality operator of the model in which a choice is obeyed
with probability k and made by pi otherwise, so its fixed point Q_k is found by policy iteration over the policies (1 - k) pi + k choice, exactly in
rationals.  Omura, Osa, Mukuta, Harada (2025), who lower k from 1 to 0 while learning.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.rational import rational
from pgtheory import arithmetic
from pgtheory.arithmetic import lookahead, policy_values
from pgtheory.policy_gradient.method import check_rectangular

Array = np.ndarray


def interpolated_backup(action_values: Array, policy: Array, transitions: Array, rewards: Array, discount: Any, weight: Any) -> Array:
    """T_k Q: action_values and policy (..., S, A); leading dimensions of all arguments broadcast.  Floats, rationals and balls."""
    best = arithmetic.maximum(action_values, axis=-1)
    mean = (policy * action_values).sum(axis=-1)
    return lookahead(transitions, rewards, discount, mean + weight * (best - mean))


def interpolated_action_values(mdp: MDP, policy: Any, weight: Any) -> Array:
    """Q_k with Q_k = T_k Q_k: (S, A), in reward units; exact where the model and the policy are rational.

    weight  k in [0, 1]
    raises  ModelError: k is outside, the policy has another shape
    """
    check_rectangular(mdp)
    k = rational(weight)
    if not 0 <= k <= 1:
        raise ModelError(f"the weight of the best action is {weight}; it must lie in [0, 1]")
    policy = np.asarray(policy)
    if policy.shape != mdp.rewards.shape:
        raise ModelError(f"the policy has shape {policy.shape}, not {mdp.rewards.shape}")
    share = k if mdp.is_exact else int(k.p) / int(k.q)
    choice = policy[..., :1] * 0 + np.eye(policy.shape[1], dtype=int)[np.zeros(len(policy), dtype=int)]
    while True:
        mixed = policy + share * (choice - policy)
        values = policy_values(mixed, mdp.transitions, mdp.rewards, mdp.discount)
        action_values = lookahead(mdp.transitions, mdp.rewards, mdp.discount, values)
        better = arithmetic.improve(choice, action_values, mdp.discount)
        if (better == choice).all():
            return action_values
        choice = better


def gradual_iteration(mdp: MDP, policy: Any, weights: Iterable[Any], initial: Any = None) -> Array:
    """Q after one backup T_k for each k of `weights`, in order, from `initial` (S, A) (zeros if left out): from control to evaluation."""
    check_rectangular(mdp)
    policy = np.asarray(policy)
    values = policy * 0 if initial is None else np.asarray(initial)
    for weight in weights:
        k = rational(weight)
        if not 0 <= k <= 1:
            raise ModelError(f"the weight of the best action is {weight}; it must lie in [0, 1]")
        share = k if mdp.is_exact else int(k.p) / int(k.q)
        values = interpolated_backup(values, policy, mdp.transitions, mdp.rewards, mdp.discount, share)
    return values
