"""Advice that is followed sometimes: the optimal advisor of somebody who keeps a policy of their own.

In state s advice a is followed with probability theta(s, a), otherwise the person acts by pi_H.  What the advisor faces is again an MDP:

    P_theta(.|s, a) = theta P(.|s, a) + (1 - theta) P^{pi_H}(.|s),      r_theta(s, a) = theta r(s, a) + (1 - theta) r^{pi_H}(s)

    more adherence never hurts     theta <= theta' in every pair  implies  V*_theta <= V*_theta' in every state
    price of adherence             V* - V*_theta <= 1/(1 - gamma) max_s (1 - theta(s, a*(s))) (V*(s) - E_{a ~ pi_H} Q*(s, a))
    price of an advice k           advise in s only where theta (max_a Q - E_{pi_H} Q) >= k, Q with the optimal value of the priced problem behind it;
                                   never, if that holds nowhere with the person's own value

Advice that is answered back (what the person does when they do not follow it depends on the advice) has none of the first.  Rational throughout.
Chen, Li, Bai (2024), as recalled.  Derivation: docs/theory/control.md.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.exact.evaluation import check_policy

Array = np.ndarray


def advice_arrays(transitions: Array, rewards: Array, human: Array, adherence: Array) -> tuple[Array, Array]:
    """(P_theta (..., S, A, S), r_theta (..., S, A)) from arrays of one arithmetic; adherence (..., S, A)."""
    own_moves, own_pay = np.einsum("...sa,...sat->...st", human, transitions), (human * rewards).sum(axis=-1)
    moves = adherence[..., None] * transitions + (1 - adherence)[..., None] * own_moves[..., None, :]
    return moves, adherence * rewards + (1 - adherence) * own_pay[..., None]


def priced_arrays(transitions: Array, rewards: Array, human: Array, adherence: Array, price: Any) -> tuple[Array, Array]:
    """The same with an advice that costs `price` (...), and as one more, last action to say nothing, which costs nothing."""
    moves, pay = advice_arrays(transitions, rewards, human, adherence)
    own_moves, own_pay = np.einsum("...sa,...sat->...st", human, transitions), (human * rewards).sum(axis=-1)
    paid = pay - np.asarray(price)[..., None, None]
    return np.concatenate([moves, own_moves[..., None, :]], axis=-2), np.concatenate([paid, own_pay[..., None]], axis=-1)


def advice_model(mdp: MDP, human: Any, adherence: Any, price: Any = None) -> MDP:
    """What the advisor of `mdp` faces; with a price the last action is to say nothing.  Exact models stay exact where all is given exactly.

    human      (S, A), the person's own policy
    adherence  a number or (S, A), probabilities in [0, 1]
    raises     ModelError: a policy that is none, an adherence outside [0, 1], a price below 0, states with different numbers of actions"""
    if not mdp.is_rectangular:
        raise ModelError("the states have different numbers of actions: advice needs the same in every state")
    from mdps.rational import is_exact, rational_array

    exactly = mdp.given_exactly and all(is_exact(x) for x in (human, adherence, *(() if price is None else (price,))))
    model = mdp.exact if exactly else mdp
    own = rational_array(human) if exactly else np.asarray(human, dtype=np.float64)
    check_policy(model, own)
    share = np.broadcast_to(rational_array(adherence) if exactly else np.asarray(adherence, dtype=np.float64), own.shape)
    outside = (share < 0) | (share > 1) | (share != share)
    if outside.any():
        s, a = np.argwhere(outside)[0]
        raise ModelError(f"adherence[{s}, {a}] is {share[s, a]}; it must lie in [0, 1]")
    if price is None:
        moves, pay = advice_arrays(model.transitions, model.rewards, own, share)
    else:
        cost = rational_array([price])[0] if exactly else float(price)
        if not cost >= 0:
            raise ModelError(f"price is {price}; it must be at least 0")
        moves, pay = priced_arrays(model.transitions, model.rewards, own, share, cost)
    return MDP(moves, pay, model.discount, model.start, name=f"advice on {mdp.name}" if mdp.name else None)


@dataclasses.dataclass(frozen=True)
class Advice:
    """values (S,): optimal value of the advisor; actions (S,): what to advise, -1 where saying nothing is better; critical (S,): where it is given;
    loss_bound: how much at most is lost in any state against full control (without the price)."""

    values: Array
    actions: Array
    critical: Array
    loss_bound: float


def solve_advice(mdp: MDP, human: Any, adherence: Any, price: float = 0.0) -> Advice:
    """The optimal advice for somebody who follows it with the given probability, in floats.

    human (S, A) the policy of who is advised;  adherence, price   as in `advice_model`
    raises   ModelError: as `advice_model`"""
    from pgtheory.exact.batch import batch_optimal

    priced = advice_model(mdp, np.asarray(human, dtype=np.float64), np.asarray(adherence, dtype=np.float64), float(price))
    values, action_values = (x[0] for x in batch_optimal(priced.transitions[None], priced.rewards[None], np.array([float(priced.discount)])))
    best = action_values[:, :-1].argmax(axis=1)
    slack = 64 * np.finfo(float).eps * (1 + np.abs(action_values).max()) / (1 - float(mdp.discount))
    critical = action_values[:, :-1].max(axis=1) > action_values[:, -1] + slack
    own = np.asarray(human, dtype=np.float64)
    full, full_actions = (x[0] for x in batch_optimal(mdp.transitions[None], mdp.rewards[None], np.array([float(mdp.discount)])))
    share = np.broadcast_to(np.asarray(adherence, dtype=np.float64), own.shape)
    missed = (1 - share[np.arange(len(own)), full_actions.argmax(axis=1)]) * (full - (own * full_actions).sum(axis=1))
    return Advice(values, np.where(critical, best, -1), critical, float(missed.max() / (1 - float(mdp.discount))))
