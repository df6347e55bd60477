"""Generalised advantage estimation in exact expectation: what the estimator is on average, with no sampling.

    GAE(s, a) = E[ sum_k (gamma lambda)^k delta_k | s, a ],      delta = r + gamma Vhat(s') - Vhat(s)
              = delta(s, a) + gamma lambda sum_s' P(s'|s, a) y(s'),      (I - gamma lambda P_pi) y = sum_a pi delta

lambda = 1 is Q - Vhat (any critic is a baseline), lambda = 0 the temporal difference.  The bias of the critic Vhat = V + e is
(1 - lambda) gamma P (I - gamma lambda P_pi)^-1 e - e(s): docs/theory/estimators.md.  Schulman, Moritz, Levine, Jordan, Abbeel (2016).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.rational import fraction
from pgtheory.exact.evaluation import action_values, check_policy
from pgtheory.exact.linear import induced, kind, model_like, same_kind, solve_resolvent

Array = np.ndarray


def expected_gae(mdp: MDP, policy: Array, critic: Array, decay: Any) -> Array:
    """Expected generalised advantage estimate of every pair under `policy`.

    policy   (S, A), rows sum to 1: float64, rationals (on `mdp.exact`) or balls
    critic   (S,) estimates of the state values, any numbers, in reward units
    decay    lambda, in [0, 1]
    returns  (S, A), in reward units; the advantages where the critic is the policy's own values; 0 for actions that a state does not have
    raises   ModelError: a row of `policy` is no distribution, the critic's shape, a decay outside [0, 1]
    """
    policy = check_policy(mdp, policy)
    numbers = kind(policy)
    estimates = same_kind(critic, numbers)
    if estimates.shape != (mdp.num_states,):
        raise ModelError(f"critic has shape {estimates.shape}; the model has {mdp.num_states} states")
    if not 0 <= fraction(decay) <= 1:
        raise ModelError(f"decay is {decay}; it must lie in [0, 1]")
    weight = same_kind([fraction(decay) if numbers != "float" else float(fraction(decay))], numbers)[0]
    choices, rewards, discount, _ = model_like(mdp, numbers)
    first = np.where(mdp.action_mask, action_values(mdp, values=estimates) - estimates[:, None], estimates[:1] * 0)
    chain, _ = induced(mdp.first_pair, choices, rewards, policy[mdp.action_mask])
    later = solve_resolvent(chain, discount * weight, (policy * first).sum(axis=1))
    ahead = action_values(mdp, values=later) - action_values(mdp, values=later * 0)  # gamma P later
    return first + weight * ahead
