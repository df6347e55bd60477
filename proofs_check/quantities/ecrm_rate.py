"""Projected policy gradient on the augmented problem of an expected conditional risk measure, two levels eta for each state.

The augmented problem has states (s, eta) and actions (a, eta'): S' follows P(s, a), eta' is announced, and the stage costs
lambda/alpha (c - eta)_+ + (1 - lambda) c + gamma lambda eta', at most C = lambda/alpha + 1 - lambda + gamma lambda.  Its rewards are 1 - cost / C.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from pgtheory.policy_gradient import ProjectedPG
from pgtheory.policy_gradient.projected import plain_step
from pgtheory.risk.tail import positive
from proofs_check.numbers import to_float, widen
from proofs_check.quantities.registry import define, given, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
LEVELS = 2


def _cost_range(c: Context) -> Array:
    share = given(c, "risk_share")
    return share / given(c, "tail") + 1 - share + c.discount * share


@define("ecrm_cost_range", r"C=\tfrac\lambda\alpha+1-\lambda+\gamma\lambda", "instance")
def _ecrm_cost_range(c: Context) -> Array:
    """Largest stage cost of the augmented problem, in cost units."""
    return per_instance(_cost_range(c))


def spread(start: Array) -> Array:
    """A distribution (B, S), spread evenly over the levels (B, 2S)."""
    return np.repeat(start / LEVELS, LEVELS, axis=1)


def augmented(c: Context) -> tuple[Array, Array, Array]:
    """Transitions (B, 2S, 2A, 2S), rewards in [0, 1] (B, 2S, 2A) and the start distribution mu of the gradient (B, 2S)."""
    batch, states, actions = c.rewards.shape
    levels, share = c.extra("announced"), given(c, "risk_share")[:, None, None, None, None]
    over = positive(c.rewards[:, :, None] - levels[:, None, :, None])  # (B, S, K, A)
    weight = share / given(c, "tail")[:, None, None, None, None]
    costs = weight * over[..., None] + (1 - share) * c.rewards[:, :, None, :, None]
    costs = costs + share * c.discount[:, None, None, None, None] * levels[:, None, None, None]  # (B, S, K, A, K')
    pairs = (batch, LEVELS * states, LEVELS * actions)
    rewards = 1 - costs.reshape(pairs) / _cost_range(c)[:, None, None]
    announce = c.constant(np.eye(LEVELS, dtype=np.int64))
    moves = c.transitions[:, :, None, :, None, :, None] * announce[None, None, None, None, :, None, :]  # (B, S, 1, A, K', S', K'')
    moves = np.broadcast_to(moves, (batch, states, LEVELS, actions, LEVELS, states, LEVELS)).reshape(*pairs, LEVELS * states)
    return moves, rewards, spread(c.mu)


def _step_size(c: Context) -> Array:
    """(1 - gamma)^3 / (2 gamma A') with A' = 2A actions; at discount 0, of which nothing is claimed, that of 1/2."""
    gamma = np.where(np.asarray(c.discount > 0, dtype=bool), c.discount, c.discount * 0 + 1 / (c.discount * 0 + 2))
    left = 1 - gamma
    return left * left * left / (2 * LEVELS * c.rewards.shape[2] * gamma)


def _policies(c: Context, moves: Array, rewards: Array, start: Array, steps: Array) -> Array:
    """The policy of each instance after its number of steps from uniform, (B, 2S, 2A)."""
    size = rewards.shape[2]
    policy = np.broadcast_to((c.discount * 0 + 1)[:, None, None] / size, rewards.shape)
    if c.kind == "float":
        times = np.arange(steps.max() + 1)
        records, _ = ProjectedPG(0).run_arrays(moves, rewards, c.discount, start, np.ascontiguousarray(policy), (_step_size(c),), times)
        return records[np.arange(len(steps)), steps]
    if c.kind == "rational":
        raise TypeError("the digits of a rational run grow fivefold a step")
    policy, rate = policy[0], _step_size(c)[0]
    for _ in range(int(steps[0])):
        policy = plain_step(policy, moves[0], rewards[0], c.discount[0], start[0], rate)
    return policy[None]


def _values(c: Context, policy: Array, moves: Array, rewards: Array) -> Array:
    return arithmetic.solve(_resolvent(c, policy, moves), (policy * rewards).sum(axis=-1))


def _resolvent(c: Context, policy: Array, moves: Array) -> Array:
    scaled = (policy[..., None] * moves).sum(axis=2) * -c.discount[:, None, None]
    states = np.arange(scaled.shape[-1])
    scaled[:, states, states] = scaled[:, states, states] + 1
    return scaled


def _optimum(c: Context, moves: Array, rewards: Array) -> tuple[Array, Array]:
    """(V* (B, 2S), an optimal policy (B, 2S, 2A)); balls: the value of the policy that floats find best, widened by one backup's residual."""
    from pgtheory.exact.batch import batch_optimal

    action_values = batch_optimal(to_float(moves), to_float(rewards), to_float(c.discount))[1]
    policy = c.constant(np.eye(rewards.shape[2], dtype=np.int64)[action_values.argmax(axis=-1)])
    values = _values(c, policy, moves, rewards)
    if c.kind == "float":
        return values, policy
    ahead = rewards + c.discount[:, None, None] * (moves * values[:, None, None]).sum(axis=-1)
    away = arithmetic.maximum(arithmetic.absolute(arithmetic.maximum(ahead, axis=-1) - values), axis=-1) / (1 - c.discount)
    return widen(values, np.broadcast_to(away[:, None], values.shape)), policy


def _gap_after(c: Context, steps: Array) -> Array:
    moves, rewards, start = augmented(c)
    best = _optimum(c, moves, rewards)[0]
    present = _values(c, _policies(c, moves, rewards, start, steps), moves, rewards)
    return per_instance(_cost_range(c) * ((best - present) * spread(c.rho)).sum(axis=-1))


def _steps(c: Context) -> Array:
    return to_float(given(c, "backups")).astype(int)


@define("ecrm_gap", r"\mathrm{ECRM}^{\pi_T}(\rho)-\mathrm{ECRM}^*(\rho)", "instance")
def _ecrm_gap(c: Context) -> Array:
    """What projected policy gradient under mu on the augmented problem still loses under rho after k steps from uniform, in cost units."""
    return _gap_after(c, _steps(c))


@define("ecrm_gap_before", r"\mathrm{ECRM}^{\pi_{T-1}}(\rho)-\mathrm{ECRM}^*(\rho)", "instance")
def _ecrm_gap_before(c: Context) -> Array:
    """The same one step earlier, in cost units."""
    return _gap_after(c, _steps(c) - 1)


def _mismatch(c: Context, begin: Array) -> Array:
    moves, rewards, start = augmented(c)
    _, policy = _optimum(c, moves, rewards)
    flow = np.swapaxes(_resolvent(c, policy, moves), -1, -2)
    visits = (1 - c.discount)[:, None] * arithmetic.solve(flow, begin)
    return per_instance(arithmetic.maximum(visits / start, axis=-1))


@define("ecrm_mismatch", r"D=\left\|d^{\pi^*}_\rho/\mu\right\|_\infty", "instance")
def _ecrm_mismatch(c: Context) -> Array:
    """Largest ratio of the optimal policy's visits from rho to mu, on the augmented states."""
    return _mismatch(c, spread(c.rho))


@define("ecrm_mismatch_from_mu", r"\left\|d^{\pi^*}_\mu/\mu\right\|_\infty", "instance")
def _ecrm_mismatch_from_mu(c: Context) -> Array:
    """The same with the visits from mu."""
    return _mismatch(c, spread(c.mu))
