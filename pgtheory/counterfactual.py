"""Counterfactual policies: the least change of a policy that gives it another value.

    minimise   E_{s ~ d^p} KL(p_s || pi_s)      subject to   V^p(start) = target

d^p are the new policy's own visits, normalised to 1, so in occupancies the problem is convex.  With the multiplier lam of the constraint the
solution is the soft optimal policy for the rewards lam r with pi as its reference,

    p(a|s) proportional to pi(a|s) exp(lam r(s, a) + gamma sum_s' P(s'|s, a) W(s')),      W(s) = log sum_a pi(a|s) exp(...),

found by soft policy iteration (Newton's method for W).  V^p(start) rises with lam, from the worst to the best value that a policy on the support
of pi has, so lam is bisected.  In a bandit p is the exponential tilt pi exp(lam r)/Z: derivation in docs/theory/estimators.md.  float64.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.arithmetic import advantages, log_sum_exp, lookahead, policy_values
from pgtheory.exact.evaluation import check_policy, state_occupancy
from pgtheory.policy_gradient.method import check_rectangular

Array = np.ndarray
NEWTON = 200
"""Soft policy iteration converges quadratically once near; far away it gains a factor gamma a step at least."""
WIDEST = 60
"""Doublings of the multiplier, and halvings of the bracket afterwards (53 exhaust float64)."""
NEAR = 1e-12
"""Relative distance from the best and the worst value within which float64 does not tell a target from them."""


@dataclasses.dataclass(frozen=True)
class Counterfactual:
    """The nearest policy with the target value, its multiplier (per unit of reward), its mean divergence in nats, and the value it has."""

    policy: Array
    multiplier: float
    divergence: float
    value: float


def counterfactual_policy(mdp: MDP, policy: Array, target: float) -> Counterfactual:
    """The policy with V(start) = target that is nearest to `policy` in the divergence averaged over its own visits.

    policy   (S, A), rows sum to 1; actions of probability 0 stay at 0
    target   in reward units, strictly between the worst and the best value that policies on the support of `policy` have
    returns  a `Counterfactual`; its value is the target up to the rounding of the bisection
    raises   ModelError: a row is no distribution; the target is out of reach (names the reachable range)
    """
    check_rectangular(mdp)
    reference = check_policy(mdp, np.asarray(policy, dtype=np.float64))
    model = mdp.float
    with np.errstate(divide="ignore"):
        logits = np.log(reference)
    base = float(model.start @ policy_values(reference, model.transitions, model.rewards, model.discount))
    if target == base:
        return Counterfactual(reference, 0.0, 0.0, base)
    best, worst = (_extreme(model, reference, side) + 0.0 for side in (1, -1))
    margin = NEAR * max(abs(best), abs(worst))
    if not worst + margin < target < best - margin:
        raise ModelError(f"target is {target:g}; policies on the support of the given one have values from {worst:g} to {best:g}, ends excluded")
    sign = 1.0 if target > base else -1.0
    scale = float(np.abs(model.rewards).max())
    low, high = 0.0, 1.0
    for _ in range(WIDEST):
        if sign * (_value(model, _tilted(model, logits, sign * high / scale)) - target) >= 0:
            break
        low, high = high, 2 * high
    for _ in range(WIDEST):
        middle = (low + high) / 2
        if sign * (_value(model, _tilted(model, logits, sign * middle / scale)) - target) >= 0:
            high = middle
        else:
            low = middle
    found = _tilted(model, logits, sign * high / scale)
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(found > 0, found * (np.log(found) - logits), 0.0).sum(axis=1)
    divergence = float(state_occupancy(mdp, found / found.sum(axis=1, keepdims=True)) @ each)
    return Counterfactual(found, sign * high / scale, divergence, _value(model, found))


def _value(model: MDP, policy: Array) -> float:
    return float(model.start @ policy_values(policy, model.transitions, model.rewards, model.discount))


def _tilted(model: MDP, logits: Array, multiplier: float) -> Array:
    """The soft optimal policy for the rewards multiplier * r with the reference policy exp(logits)."""
    rewards, values = multiplier * model.rewards, np.zeros(model.num_states)
    policy = np.exp(logits)
    for _ in range(NEWTON):
        exponents = logits + lookahead(model.transitions, rewards, model.discount, values)
        following = np.exp(exponents - log_sum_exp(exponents)[:, None])
        with np.errstate(invalid="ignore"):
            cost = np.where(following > 0, np.log(np.where(following > 0, following, 1.0)) - np.where(following > 0, logits, 0.0), 0.0)
        values = policy_values(following, model.transitions, rewards - cost, model.discount)
        if np.abs(following - policy).max() < 1e-15:
            break
        policy = following
    return following


def _extreme(model: MDP, reference: Array, sign: int) -> float:
    """Best (sign 1) or worst (sign -1) value of a policy on the support of the reference, by policy iteration on it."""
    actions = np.where(reference > 0, 1.0, -np.inf).argmax(axis=1)
    rewards = sign * model.rewards
    for _ in range(10 * reference.size):
        policy = np.eye(reference.shape[1])[actions]
        values = policy_values(policy, model.transitions, rewards, model.discount)
        gains = np.where(reference > 0, advantages(model.transitions, rewards, model.discount, values), -np.inf)
        switch = gains.max(axis=1) > 1e-12 * max(1.0, float(np.abs(values).max()))
        if not switch.any():
            break
        actions = np.where(switch, gains.argmax(axis=1), actions)
    return sign * float(model.start @ values)
