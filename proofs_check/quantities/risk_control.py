"""Markov risk in an MDP: V = sum_a pi (r + gamma rho(V(s'))), with rho the entropic risk (soft-robust) or CVaR, taken over the next state only.

A `Risk` gives rho and the law q at which its dual form is least.  A value is found by Newton's method, which is policy iteration of the adversary q,
and then backed up by the definition until it stands still; in rationals (CVaR) that is exact, and a ball is the result of one backup widened by its
residual over 1 - gamma, which encloses the fixed point of a contraction.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pgtheory import arithmetic
from pgtheory.risk import exponential
from pgtheory.risk import tail as tails
from proofs_check.numbers import to_float, widen
from proofs_check.quantities.registry import define, given, per_record
from proofs_check.quantities.risk_measures import least_over_vertices

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
NEWTON = 60
"""Rounds of the adversary's policy iteration; it converges quadratically, in finitely many rounds for CVaR."""
POLISH = 2000
"""Backups at most: gamma^2000 is below rounding for every discount up to 49/50."""


Risk = Callable[["Context", Array, Array], tuple[Array, Array]]
"""rho and its worst laws: transitions (B, 1, S, A, S), values (B, R, 1, 1, S) -> (B, R, S, A) and (B, R, S, A, S)."""


def entropic(c: Context, moves: Array, values: Array) -> tuple[Array, Array]:
    """Entropic risk with the setting `aversion`."""
    moves, values = np.broadcast_arrays(moves, values)
    return exponential.entropic_worst(moves, values, given(c, "aversion")[:, None, None, None])


def conditional_value(c: Context, moves: Array, values: Array) -> tuple[Array, Array]:
    """CVaR with the setting `tail`."""
    moves, values = np.broadcast_arrays(moves, values)
    return tails.cvar_worst(moves, values, given(c, "tail")[:, None, None, None])


def assess(c: Context, risk: Risk, values: Array) -> tuple[Array, Array]:
    """(rho (B, R, S, A), q (B, R, S, A, S)) of the next state's `values` (B, R, S)."""
    return risk(c, c.transitions[:, None], values[:, :, None, None])


def averse_action_values(c: Context, risk: Risk, values: Array) -> Array:
    """r + gamma rho(values): (B, R, S) -> (B, R, S, A)."""
    return c.rewards[:, None] + c.discount[:, None, None, None] * assess(c, risk, values)[0]


def averse_backup(c: Context, risk: Risk, policies: Array, values: Array) -> Array:
    """T_pi values: (B, R, S)."""
    return (policies * averse_action_values(c, risk, values)).sum(axis=-1)


def resolvent(c: Context, policies: Array, kernels: Array) -> Array:
    """I - gamma P with the policies (B, R, S, A) in the kernels (B, R, S, A, S): (B, R, S, S)."""
    moved = (policies[..., None] * kernels).sum(axis=-2) * -c.discount[:, None, None, None]
    states = np.arange(moved.shape[-1])
    moved[..., states, states] = moved[..., states, states] + 1
    return moved


def _newton(c: Context, risk: Risk, policies: Array, values: Array) -> Array:
    """Value of the policy in the kernel that is worst for `values`, the penalty of that kernel included: an upper bound of the risk value."""
    rho, kernels = assess(c, risk, values)
    penalty = rho - (kernels * values[:, :, None, None]).sum(axis=-1)
    paid = (policies * (c.rewards[:, None] + c.discount[:, None, None, None] * penalty)).sum(axis=-1)
    return arithmetic.solve(resolvent(c, policies, kernels), paid)


def averse_values(c: Context, risk: Risk, policies: Array) -> Array:
    """The fixed point of T_pi for each policy (B, R, S, A): (B, R, S)."""
    if c.kind == "ball":
        return _enclosed(c, risk, policies, lambda values: averse_backup(c, risk, policies, values))
    moves = np.broadcast_to(c.transitions[:, None], (*policies.shape, policies.shape[2]))
    values = arithmetic.solve(resolvent(c, policies, moves), _paid(c, policies))
    for _ in range(NEWTON):
        before, values = values, _newton(c, risk, policies, values)
        if still(c, before, values):
            break
    return polished(c, values, lambda v: averse_backup(c, risk, policies, v))


def _paid(c: Context, policies: Array) -> Array:
    return (policies * c.rewards[:, None]).sum(axis=-1)


def still(c: Context, before: Array, after: Array) -> bool:
    if c.kind != "float":
        return bool((before == after).all())
    size = 1 + np.abs(after).max(axis=(-1, -2))[:, None, None]
    return bool((np.abs(after - before) <= 1e-13 * size).all())


def polished(c: Context, values: Array, backup: Callable[[Array], Array]) -> Array:
    """`values` backed up until they stand still: whatever the start, only the fixed point of the backup does."""
    for _ in range(POLISH):
        before, values = values, backup(values)
        if still(c, before, values):
            return values
    raise ArithmeticError("the backups of a risk value did not come to rest")


def float_twin(c: Context) -> Context:
    """The midpoints of a context, as floats."""
    arrays: dict[str, Any] = {name: to_float(getattr(c, name)) for name in ("transitions", "rewards", "discount", "mu", "rho", "policies")}
    tables: dict[str, Any] = {name: {key: to_float(value) for key, value in getattr(c, name).items()} for name in ("settings", "extras")}
    return dataclasses.replace(c, kind="float", **arrays, **tables, given_optimum=None, logits=None, minima=None)


def _enclosed(c: Context, risk: Risk, policies: Array, backup: Callable[[Array], Array]) -> Array:
    twin = float_twin(c)
    values = arithmetic.balls(averse_values(twin, risk, to_float(policies)))
    for _ in range(3):  # from 13 digits on, each round doubles them
        values = arithmetic.midpoint(_newton(c, risk, arithmetic.midpoint(policies), values))
    return around(c, values, backup(values))


def around(c: Context, values: Array, after: Array) -> Array:
    """Balls around exact `values` that hold the fixed point of a gamma-contraction in the largest norm which takes them to `after`."""
    away = arithmetic.maximum(arithmetic.absolute(after - values), axis=-1) / (1 - c.discount)[:, None]
    return widen(values, np.broadcast_to(away[..., None], values.shape))


def averse_optimum(c: Context, risk: Risk) -> tuple[Array, Array]:
    """`_averse_optimum`, computed once for a context."""
    return _once(c, f"optimum under {risk.__name__}", lambda: _averse_optimum(c, risk))


def own_values(c: Context, risk: Risk) -> Array:
    """The fixed points of the policies of the records that are looked at, computed once for a context."""
    return _once(c, f"values under {risk.__name__}", lambda: averse_values(c, risk, own(c)))


def _once(c: Context, name: str, compute: Callable[[], Any]) -> Any:
    if name not in c.__dict__:
        c.__dict__[name] = compute()
    return c.__dict__[name]


def _averse_optimum(c: Context, risk: Risk) -> tuple[Array, Array]:
    """(V* (B, 1, S), an optimal policy (B, 1, S, A) of zeros and ones): policy iteration, then backups with the largest action value."""
    if c.kind == "ball":
        _, chosen = averse_optimum(float_twin(c), risk)
        policy = c.constant(chosen.astype(np.int64))
        values = arithmetic.midpoint(averse_values(c, risk, policy))
        return around(c, values, arithmetic.maximum(averse_action_values(c, risk, values), axis=-1)), policy
    actions = c.rewards.shape[-1]
    best = c.rewards[:, None].argmax(axis=-1)
    for _ in range(NEWTON):
        policy = c.constant(np.eye(actions, dtype=np.int64)[best])
        values = averse_values(c, risk, policy)
        ahead = averse_action_values(c, risk, values)
        top = ahead.max(axis=-1)
        margin = 1e-12 * (1 + np.abs(values)) if c.kind == "float" else 0
        better = np.asarray(top > values + margin, dtype=bool)
        if not better.any():
            break
        best = np.where(better, ahead.argmax(axis=-1), best)
    values = polished(c, values, lambda v: arithmetic.maximum(averse_action_values(c, risk, v), axis=-1))
    return values, policy


# Gradient and gradient domination


def own(c: Context) -> Array:
    """The policies of the records that are looked at, (B, R, S, A)."""
    return c.policies[:, c.now]


def _visits(c: Context, start: Array, policies: Array, kernels: Array) -> Array:
    return c.visits(start, resolvent(c, policies, kernels))


def averse_gradient(c: Context, risk: Risk) -> tuple[Array, Array]:
    """((1/(1-gamma)) d Q (B, R, S, A) with the visits from mu in the worst kernel, that kernel)."""
    values = own_values(c, risk)
    rho, kernels = assess(c, risk, values)
    action_values = c.rewards[:, None] + c.discount[:, None, None, None] * rho
    visits = _visits(c, c.mu, own(c), kernels) / (1 - c.discount)[:, None, None]
    return visits[..., None] * action_values, kernels


def averse_gap(c: Context, risk: Risk) -> Array:
    away = averse_optimum(c, risk)[0] - own_values(c, risk)
    return per_record((away * c.rho[:, None]).sum(axis=-1))


def averse_mismatch(c: Context, risk: Risk) -> Array:
    """Largest ratio of the visits from rho of an optimal policy to those from mu of the current one, both in the worst kernel of the current one."""
    kernels = averse_gradient(c, risk)[1]
    best = _visits(c, c.rho, np.broadcast_to(averse_optimum(c, risk)[1], own(c).shape), kernels)
    return per_record(arithmetic.maximum(best / _visits(c, c.mu, own(c), kernels), axis=-1))


def averse_improvement(c: Context, risk: Risk) -> Array:
    gradient = averse_gradient(c, risk)[0]
    behind = arithmetic.maximum(gradient, axis=-1)[..., None] - gradient  # each term is at least 0, so that no rounding outweighs a small one
    return per_record((own(c) * behind).sum(axis=(-1, -2)))


# Nested CVaR


@define("nested_cvar_values", r"V^\pi_\alpha", "step", "states")
def _nested_cvar_values(c: Context) -> Array:
    """Fixed point of V = sum_a pi (r + gamma CVaR_alpha(V(s'))), in reward units."""
    return own_values(c, conditional_value)


@define("density_robust_values", r"\min_{q\le P/\alpha}V^{\pi,q}", "step", "states")
def _density_robust_values(c: Context) -> Array:
    """Robust values over kernels of density at most 1/alpha: the adversary's linear programs by enumeration of vertices, iterated to rest."""
    level = given(c, "tail")[:, None, None, None]
    gamma = c.discount[:, None, None, None]

    def backup(values: Array) -> Array:
        moves, ahead = np.broadcast_arrays(c.transitions[:, None], values[:, :, None, None])
        worst = least_over_vertices(moves, ahead, np.broadcast_to(level, moves.shape[:-1]))
        return (own(c) * (c.rewards[:, None] + gamma * worst)).sum(axis=-1)

    return polished(c, _nested_cvar_values(c), backup)


@define("reweighted_values", r"V^{\pi,q}\text{ for one kernel }q", "step", "states")
def _reweighted_values(c: Context) -> Array:
    """Ordinary values in another kernel with the support of P, of any density, in reward units."""
    weights = c.transitions * c.extra("reweighting")
    kernels = np.broadcast_to((weights / weights.sum(axis=-1)[..., None])[:, None], (*own(c).shape, weights.shape[-1]))
    return arithmetic.solve(resolvent(c, own(c), kernels), _paid(c, own(c)))


@define("bounded_density_values", r"V^{\pi,q}\text{ for one }q\le P/\alpha", "step", "states")
def _bounded_density_values(c: Context) -> Array:
    """Ordinary values in another kernel whose density is at most 1/alpha, in reward units."""
    weights, moves = c.extra("reweighting"), c.transitions
    centre = (moves * weights).sum(axis=-1)[..., None]
    density = weights / centre  # of mean 1; mixed with the constant 1 until it is at most 1/alpha
    above = arithmetic.maximum(density, axis=-1)[..., None]
    room = (1 / given(c, "tail") - 1)[:, None, None, None]
    over = above - 1
    share = np.where(np.asarray(over > room, dtype=bool), room / np.where(np.asarray(over > room, dtype=bool), over, over * 0 + 1), over * 0 + 1)
    kernels = np.broadcast_to((moves * (1 + share * (density - 1)))[:, None], (*own(c).shape, moves.shape[-1]))
    return arithmetic.solve(resolvent(c, own(c), kernels), _paid(c, own(c)))


@define("nested_gap_rho", r"V^*_\alpha(\rho)-V^\pi_\alpha(\rho)", "step")
def _nested_gap_rho(c: Context) -> Array:
    """Optimality gap under rho for nested CVaR, in reward units."""
    return averse_gap(c, conditional_value)


@define("nested_mismatch", r"\left\|d^{\pi^*,q_\pi}_\rho/d^{\pi,q_\pi}_\mu\right\|_\infty", "step")
def _nested_mismatch(c: Context) -> Array:
    """Largest ratio of the optimal policy's visits from rho to the current one's from mu, both in the worst kernel of the current one."""
    return averse_mismatch(c, conditional_value)


@define("nested_improvement", r"\max_{\bar\pi}\langle\bar\pi-\pi,\nabla V^\pi_\alpha(\mu)\rangle", "step")
def _nested_improvement(c: Context) -> Array:
    """What the best policy promises to first order under nested CVaR, in reward units."""
    return averse_improvement(c, conditional_value)


@define("neutral_mismatch", r"\left\|d^{\pi^*,P}_\rho/d^{\pi,P}_\mu\right\|_\infty", "step")
def _neutral_mismatch(c: Context) -> Array:
    """Largest ratio of the visits of the policy that is optimal for nested CVaR from rho to the current one's from mu, in the nominal kernel."""
    moves = np.broadcast_to(c.transitions[:, None], (*own(c).shape, c.mu.shape[-1]))
    best = _visits(c, c.rho, np.broadcast_to(averse_optimum(c, conditional_value)[1], own(c).shape), moves)
    return per_record(arithmetic.maximum(best / c.visits_mu[:, c.now], axis=-1))
