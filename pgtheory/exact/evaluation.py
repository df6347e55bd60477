"""What a given policy is worth, state by state, and how often it visits what.

    V = r_pi + gamma P_pi V                         state values          (I - gamma P_pi) V = r_pi
    Q(s, a) = r(s, a) + gamma sum_s' P(s' | s, a) V(s')                     action values
    A(s, a) = Q(s, a) - V(s)                        advantages
    d(s, a) = (1 - gamma) sum_t gamma^t Pr(s_t = s, a_t = a)                occupancy, sums to 1

The occupancy of states solves the transposed equation  (I - gamma P_pi)^T d = (1 - gamma) rho,  and  E_rho V = <d, r> / (1 - gamma).

Every function works in the arithmetic of the policy it is given: float64 on the float model, rationals (object array of `flint.fmpq`) on
`mdp.exact` without any rounding, balls (`flint.arb`) on `mdp.exact` with rigorous radii at the present precision.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mdps.checks import ROW_TOLERANCE
from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.exact.linear import induced, kind, model_like, same_kind, solve_resolvent

Array = np.ndarray


def state_values(mdp: MDP, policy: Array) -> Array:
    """Expected discounted reward of `policy` from each state: V = r_pi + gamma P_pi V, solved directly.

    policy   (S, A), rows sum to 1; probability 0 where a state does not have the action
    returns  (S,), in reward units, |V| <= max|r| / (1 - gamma)
    raises   ModelError: a row of `policy` is no distribution (names the state and the sum)
    source   Puterman (2005), Theorem 6.1.1.  float64, rationals, balls.
    """
    policy = check_policy(mdp, policy)
    choices, rewards, discount, _ = model_like(mdp, kind(policy))
    P, r = induced(mdp.first_pair, choices, rewards, policy[mdp.action_mask])
    return solve_resolvent(P, discount, r)


def action_values(mdp: MDP, policy: Array | None = None, values: Array | None = None) -> Array:
    """Q = r + gamma P V, for the values of `policy` or for `values` given directly (any vector V).

    policy   (S, A); or values (S,): one of the two
    returns  (S, A), in reward units; 0 for actions that a state does not have
    raises   ModelError: neither or both given, wrong shape, a row of `policy` is no distribution
    """
    if (policy is None) == (values is None):
        raise ModelError("action_values takes a policy or values, one of the two")
    V = state_values(mdp, policy) if policy is not None else np.asarray(values)
    if V.shape != (mdp.num_states,):
        raise ModelError(f"values has shape {V.shape}; the model has {mdp.num_states} states")
    choices, rewards, discount, _ = model_like(mdp, kind(V))
    return spread(mdp, rewards + discount * (choices @ V))


def advantages(mdp: MDP, policy: Array) -> Array:
    """A = Q - V of `policy`: what playing a once instead of following the policy brings.

    policy   (S, A), rows sum to 1
    returns  (S, A), in reward units; the mean over the policy's own actions is 0 in every state; 0 for actions that do not exist
    raises   ModelError: a row of `policy` is no distribution
    """
    V = state_values(mdp, policy)
    Q = action_values(mdp, values=V)
    difference = Q - V[:, None]
    if not mdp.is_rectangular:
        difference[~mdp.action_mask] = Q[~mdp.action_mask]
    return difference


def occupancy(mdp: MDP, policy: Array, start: Array | None = None) -> Array:
    """Discounted frequency of the pairs (s, a) under `policy`: d(s, a) = (1 - gamma) sum_t gamma^t Pr(s_t = s, a_t = a).

    start    (S,) distribution of the first state; the model's own if left out
    returns  (S, A), sums to 1
    raises   ModelError: `policy` or `start` is no distribution
    source   Puterman (2005), section 6.9.  float64, rationals, balls.
    """
    policy = check_policy(mdp, policy)
    return state_occupancy(mdp, policy, start)[:, None] * policy


def state_occupancy(mdp: MDP, policy: Array, start: Array | None = None) -> Array:
    """Discounted frequency of the states under `policy`: d = (1 - gamma) rho (I - gamma P_pi)^-1.

    start    (S,) distribution of the first state; the model's own if left out
    returns  (S,), sums to 1; in rationals exactly 0 where no state of `start` leads
    raises   ModelError: `policy` or `start` is no distribution
    """
    policy = check_policy(mdp, policy)
    numbers = kind(policy)
    choices, rewards, discount, rho = model_like(mdp, numbers)
    if start is not None:
        rho = same_kind(start, numbers)
        _check_distribution(rho, mdp.num_states, numbers)
    P, _ = induced(mdp.first_pair, choices, rewards, policy[mdp.action_mask])
    return solve_resolvent(P, discount, (1 - discount) * rho, transposed=True)


def check_policy(mdp: MDP, policy: Any) -> Array:
    """`policy` as an (S, A) array of float64, rationals or balls, after checking that every row is a distribution over existing actions.

    raises   ModelError: shape, entry or row sum, with the state
    """
    table = np.asarray(policy)
    if table.dtype != object:
        table = np.asarray(table, dtype=np.float64)
    shape = (mdp.num_states, mdp.num_actions)
    if table.shape != shape:
        raise ModelError(f"policy has shape {table.shape}; it must be (S, A) = {shape}, the probability of each action in each state")
    if table.dtype == object and kind(table) == "rational":
        table = same_kind(table, "rational")
    absent = ~mdp.action_mask
    if not mdp.is_rectangular and any(x != 0 for x in table[absent].tolist()):
        state, action = (int(k) for k in np.argwhere(absent & np.array([[x != 0 for x in row] for row in table.tolist()]))[0])
        raise ModelError(f"policy[{state}, {action}] is {table[state, action]}; {mdp.state_label(state)} has no action {action}")
    numbers = kind(table)
    if numbers == "float" and not np.all(np.isfinite(table)):
        state, action = (int(k) for k in np.argwhere(~np.isfinite(table))[0])
        raise ModelError(f"policy[{state}, {action}] ({mdp.state_label(state)}) is {table[state, action]}; it must be a finite number")
    negative = table < 0
    if np.any(negative):
        state, action = (int(k) for k in np.argwhere(negative)[0])
        raise ModelError(f"policy[{state}, {action}] ({mdp.state_label(state)}) is {table[state, action]}; a probability is at least 0")
    sums = table.sum(axis=1)
    if numbers == "float":
        off = np.abs(sums - 1) > ROW_TOLERANCE
    elif numbers == "ball":
        off = np.array([not x.overlaps(x / x * 0 + 1) if x != 0 else True for x in sums.tolist()])
    else:
        off = sums != 1
    if np.any(off):
        state = int(np.flatnonzero(off)[0])
        allowed = f"it may be off by at most {ROW_TOLERANCE:g}" if numbers == "float" else "exact rows must sum to exactly 1"
        raise ModelError(f"policy[{state}] ({mdp.state_label(state)}) sums to {sums[state]}, not 1; {allowed}")
    return table


def spread(mdp: MDP, per_pair: Array) -> Array:
    """A vector over pairs (pairs,) as an (S, A) array, 0 for actions that a state does not have."""
    shape = (mdp.num_states, mdp.num_actions)
    if mdp.is_rectangular:
        return per_pair.reshape(shape)
    out = np.empty(shape, dtype=per_pair.dtype)
    out[...] = per_pair[0] * 0
    out[mdp.action_mask] = per_pair
    return out


def _check_distribution(rho: Array, states: int, numbers: str) -> None:
    if rho.shape != (states,):
        raise ModelError(f"start has shape {rho.shape}; it must hold one probability for each of the {states} states")
    if numbers == "ball":
        return
    negative = np.flatnonzero(rho < 0)
    if negative.size:
        raise ModelError(f"start[{negative[0]}] is {rho[negative[0]]}; a probability is at least 0")
    total = rho.sum()
    if not abs(total - 1) <= (ROW_TOLERANCE if numbers == "float" else 0):
        raise ModelError(f"start sums to {total}, not 1")
