"""Constrained MDPs, max V_r(rho) subject to V_g(rho) >= b, solved by enumeration: what programs, duals and penalties are compared with.

Extras: signal (S, A), the reward g of the constraint; share, which places b between the least and the largest V_g(rho) of all policies, so that a
policy meets it and one with room does if share < 1.  Two ways lead to the optimum, and neither uses the other:

    deterministic policies   the pairs (V_g, V_r) are the corners of what can be attained: the best of all mixtures of two of them
    basic occupancies        every choice of S + m columns of the linear program over visits d, solved, and kept where it is nonnegative
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from mdps.errors import ModelError
from pgtheory import arithmetic
from proofs_check.quantities.registry import define, per_instance, per_record
from proofs_check.robust import exactly_known

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
MOST_POLICIES = 4096
"""Deterministic policies, or bases, that are enumerated at most."""
NEAR = 1e-11
"""In float64, numbers of size 1/(1 - gamma) <= 20 this close are one: a hundred roundings of a policy evaluation."""


def slack_of(c: Context) -> Any:
    """By how much a comparison may fail for rounding: 0 in exact arithmetic."""
    return NEAR if c.kind == "float" else c.discount[0] * 0


def once(c: Context, name: str, compute: Any) -> Any:
    """`compute()`, done once for a context."""
    if name not in c.__dict__:
        c.__dict__[name] = compute()
    return c.__dict__[name]


def with_rewards(c: Context, rewards: Array, policies: Array | None = None) -> Context:
    """The same instances with other rewards (B, S, A), and other policies (B, R, S, A) where given."""
    kept = c.policies if policies is None else policies
    return dataclasses.replace(c, rewards=rewards, policies=kept, logits=None, minima=None, given_optimum=None)


def under_rho(c: Context, values: Array) -> Array:
    """(B, R, S) -> (B, R)."""
    return (values * c.rho[:, None]).sum(axis=-1)


def attained(c: Context, rewards: Array, policies: Array) -> Array:
    """V(rho) of the policies (B, R, S, A) for rewards (B, S, A): (B, R)."""
    return under_rho(c, with_rewards(c, rewards, policies).values)


# Corners: the deterministic policies


def corners(c: Context) -> tuple[Array, Array]:
    """(V_g(rho), V_r(rho)) of all deterministic policies, (B, N) each."""
    return once(c, "_corners", lambda: _corners(c))


def _corners(c: Context) -> tuple[Array, Array]:
    states, actions = c.rewards.shape[1:]
    if actions**states > MOST_POLICIES:
        raise ModelError(f"{actions}^{states} deterministic policies are too many to enumerate; at most {MOST_POLICIES:,}")
    choices = np.array(list(itertools.product(range(actions), repeat=states)))
    table = np.eye(actions, dtype=np.int64)[choices]
    policies = c.constant(np.broadcast_to(table, (c.discount.size, *table.shape)))
    return attained(c, c.extra("signal"), policies), attained(c, c.rewards, policies)


def threshold_at(c: Context, share: Array) -> Array:
    """b = min V_g + share (max V_g - min V_g), (B,)."""
    signals = corners(c)[0]
    low, high = signals.min(axis=1), signals.max(axis=1)
    return np.minimum(low + share * (high - low), high)


def threshold(c: Context) -> Array:
    return threshold_at(c, c.extra("share"))


def best_mixture(c: Context, bound: Array) -> Array:
    """Largest V_r of a mixture of two deterministic policies with V_g >= bound, (B,)."""
    signals, rewards = corners(c)
    slack = slack_of(c)
    meets = np.asarray(signals >= bound[:, None] - slack, dtype=bool)
    lowest = (rewards.min(axis=1) - 1)[:, None]
    single = np.where(meets, rewards, lowest).max(axis=1)
    crossing, possible = crossings(c, bound)
    floor = np.broadcast_to(lowest[..., None], crossing.shape)
    return np.maximum(single, np.where(possible, crossing, floor).reshape(len(bound), -1).max(axis=1))


def crossings(c: Context, bound: Array) -> tuple[Array, Array]:
    """V_r where the segment from corner i (V_g < bound) to corner j (V_g >= bound) meets the bound, and whether there is one: (B, N, N) each."""
    signals, rewards = corners(c)
    below = bound[:, None] - signals
    possible = np.asarray(below > slack_of(c), dtype=bool)[:, :, None] & np.asarray(below <= 0, dtype=bool)[:, None, :]
    run = signals[:, None, :] - signals[:, :, None]
    share = below[:, :, None] / np.where(possible, run, run * 0 + 1)
    return rewards[:, :, None] + share * (rewards[:, None, :] - rewards[:, :, None]), possible


# Basic occupancies


@dataclasses.dataclass(frozen=True)
class Program:
    """A basic optimum of the linear program: its value (B,) in reward units and the visits (B, S, A)."""

    value: Array
    visits: Array


def program(c: Context) -> Program:
    """With the one constraint of the instance."""
    return once(c, "_program", lambda: program_of(c, c.extra("signal")[:, None], threshold(c)[:, None]))


def program_of(c: Context, signals: Array, bounds: Array) -> Program:
    """max <d, r>/(1 - gamma), sum_a d(s,a) - gamma sum P d = (1 - gamma) rho(s), <d, g_i> - slack_i = (1 - gamma) b_i; signals (B, m, S, A)."""
    batch, many, states, actions = signals.shape
    pairs, zero = states * actions, c.discount[0] * 0
    rows = np.full((batch, states + many, pairs + many), zero)
    flow = -c.discount[:, None, None] * np.swapaxes(c.transitions.reshape(batch, pairs, states), 1, 2)
    own = c.constant(np.repeat(np.eye(states, dtype=np.int64), actions, axis=1))
    rows[:, :states, :pairs] = flow + own
    rows[:, states:, :pairs] = signals.reshape(batch, many, pairs)
    rows[:, states:, pairs:] = c.constant(-np.eye(many, dtype=np.int64))
    right = (1 - c.discount)[:, None] * np.concatenate([c.rho, bounds], axis=1)
    bases = np.array(list(itertools.combinations(range(pairs + many), states + many)))
    if len(bases) > MOST_POLICIES:
        raise ModelError(f"{len(bases):,} bases are too many to enumerate; at most {MOST_POLICIES:,}")
    chosen = np.moveaxis(rows[:, :, bases], 2, 1)  # (B, N, S + m, S + m)
    solutions, regular = _solved(c, chosen, np.broadcast_to(right[:, None], chosen.shape[:-1]))
    feasible = regular & np.asarray(solutions >= -slack_of(c), dtype=bool).all(axis=-1)
    pays = np.concatenate([c.rewards.reshape(batch, pairs), np.full((batch, many), zero)], axis=1)
    values = (solutions * pays[:, bases]).sum(axis=-1) / (1 - c.discount)[:, None]
    floor = c.rewards.min(axis=(1, 2)) / (1 - c.discount) - 1
    values = np.where(feasible, values, np.broadcast_to(floor[:, None], values.shape))
    best = values.argmax(axis=1)
    each = np.arange(batch)
    visits = np.full((batch, pairs + many), zero)
    visits[each[:, None], bases[best]] = solutions[each, best]
    return Program(values[each, best], visits[:, :pairs].reshape(batch, states, actions))


def _solved(c: Context, matrices: Array, right: Array) -> tuple[Array, Array]:
    """Solutions (zeros where a matrix is singular), and which matrices are regular."""
    if c.kind == "float":
        regular = np.abs(np.linalg.det(matrices)) > 1e-12
        safe = np.where(regular[..., None, None], matrices, np.eye(matrices.shape[-1]))
        return np.linalg.solve(safe, right[..., None])[..., 0] * regular[..., None], regular
    out, regular = right * 0, np.zeros(right.shape[:-1], dtype=bool)
    for index in np.ndindex(regular.shape):
        try:
            out[index] = arithmetic.solve(matrices[index], right[index])
            regular[index] = True
        except ZeroDivisionError:
            continue
    return out, regular


def policy_of(c: Context, visits: Array) -> Array:
    """pi(a|s) = d(s,a)/sum_a d(s,a), uniform where d is 0: (B, S, A)."""
    total = visits.sum(axis=-1, keepdims=True)
    seen = np.asarray(total > slack_of(c), dtype=bool)
    even = (visits * 0 + 1) / visits.shape[-1]
    return np.where(seen, visits / np.where(seen, total, total * 0 + 1), even)


def _own_values(c: Context, rewards: Array) -> Array:
    return per_record(attained(c, rewards, c.policies))


@define("constraint_level", "b", "instance")
@exactly_known
def _constraint_level(c: Context) -> Array:
    """What the discounted sum of the constraint's reward must reach: a share of the way from its least to its largest value over all policies."""
    return per_instance(threshold(c))


@define("room", r"\xi", "instance")
@exactly_known
def _room(c: Context) -> Array:
    """By how much the constraint can be exceeded (Slater): max V_g - b."""
    return per_instance(corners(c)[0].max(axis=1) - threshold(c))


@define("constraint_value", r"V_g^{\pi}(\rho)", "step")
@exactly_known
def _constraint_value(c: Context) -> Array:
    """Discounted sum of the constraint's reward under the policy."""
    return _own_values(c, c.extra("signal"))


@define("reward_value", r"V_r^{\pi}(\rho)", "step")
@exactly_known
def _reward_value(c: Context) -> Array:
    """Discounted sum of rewards of the policy, in reward units."""
    return _own_values(c, c.rewards)


@define("program_value", r"\mathrm{LP}(b)", "instance")
@exactly_known
def _program_value(c: Context) -> Array:
    """Value of the linear program over visits d, <d, r>/(1 - gamma), in reward units."""
    return per_instance(program(c).value)


@define("mixture_value", r"V_r^*(b)", "instance")
@exactly_known
def _mixture_value(c: Context) -> Array:
    """Largest V_r of a mixture of two deterministic policies that meets V_g >= b, in reward units: the constrained optimum."""
    return per_instance(best_mixture(c, threshold(c)))


@define("deterministic_value", r"\max_{\pi\ \mathrm{deterministic},\,V_g\ge b}V_r^\pi", "instance")
@exactly_known
def _deterministic_value(c: Context) -> Array:
    """The same without a coin, in reward units."""
    signals, rewards = corners(c)
    meets = np.asarray(signals >= threshold(c)[:, None] - slack_of(c), dtype=bool)
    return per_instance(np.where(meets, rewards, (rewards.min(axis=1) - 1)[:, None]).max(axis=1))


def _recovered(c: Context) -> Array:
    return policy_of(c, program(c).visits)[:, None]


@define("recovered_value", r"V_r^{d/\sum_ad}", "instance")
@exactly_known
def _recovered_value(c: Context) -> Array:
    """V_r of the policy that the optimal visits of the program stand for, by policy evaluation, in reward units."""
    return per_instance(attained(c, c.rewards, _recovered(c))[:, 0])


@define("recovered_constraint", r"V_g^{d/\sum_ad}", "instance")
@exactly_known
def _recovered_constraint(c: Context) -> Array:
    """V_g of that policy."""
    return per_instance(attained(c, c.extra("signal"), _recovered(c))[:, 0])


def _actions_beyond_one(c: Context, visits: Array) -> Array:
    used = np.asarray(visits > slack_of(c), dtype=bool)
    return per_instance(c.constant(used.sum(axis=(1, 2)) - used.any(axis=2).sum(axis=1)))


@define("extra_actions", r"\sum_s(\lvert\{a:d(s,a)>0\}\rvert-1)", "instance")
@exactly_known
def _extra_actions(c: Context) -> Array:
    """Actions beyond the first that the basic optimum of the program uses in the states it visits."""
    return _actions_beyond_one(c, program(c).visits)


# Two constraints: b_i = share_i V_{g_i} of the instance's policy, so that this policy meets both


def _two(c: Context) -> tuple[Array, Array]:
    """(signals (B, 2, S, A), thresholds (B, 2))."""
    signals = c.extra("signals")
    reached = np.stack([attained(c, signals[:, i], c.policies[:, :1])[:, 0] for i in range(2)], axis=1)
    return signals, c.extra("shares") * reached


def _program_of_two(c: Context) -> Program:
    return once(c, "_program_of_two", lambda: program_of(c, *_two(c)))


def _recovered_of_two(c: Context) -> Array:
    return policy_of(c, _program_of_two(c).visits)[:, None]


@define("program_value_of_two", r"\mathrm{LP}(b_1,b_2)", "instance")
@exactly_known
def _program_value_of_two(c: Context) -> Array:
    """Value of the program with two constraints that the instance's policy meets, in reward units."""
    return per_instance(_program_of_two(c).value)


@define("recovered_value_of_two", r"V_r^{d/\sum_ad}", "instance")
@exactly_known
def _recovered_value_of_two(c: Context) -> Array:
    """V_r of the policy that the optimal visits of the program with two constraints stand for, in reward units."""
    return per_instance(attained(c, c.rewards, _recovered_of_two(c))[:, 0])


@define("recovered_room_of_two", r"\min_i\,V_{g_i}^{d/\sum_ad}-b_i", "instance")
@exactly_known
def _recovered_room_of_two(c: Context) -> Array:
    """By how much that policy exceeds the tighter of the two constraints."""
    signals, bounds = _two(c)
    return per_instance(np.minimum(*(attained(c, signals[:, i], _recovered_of_two(c))[:, 0] - bounds[:, i] for i in range(2))))


@define("extra_actions_of_two", r"\sum_s(\lvert\{a:d(s,a)>0\}\rvert-1)", "instance")
@exactly_known
def _extra_actions_of_two(c: Context) -> Array:
    """Actions beyond the first that the basic optimum with two constraints uses in the states it visits."""
    return _actions_beyond_one(c, _program_of_two(c).visits)


# Convexity of the occupancies


def _both(c: Context) -> Array:
    assert c.other is not None
    return np.stack([c.policies[:, 0], c.other], axis=1)


@define("value_of_mean_visits", r"V_r^{(d+d')/2}", "instance")
@exactly_known
def _value_of_mean_visits(c: Context) -> Array:
    """V_r of the policy whose visits are the mean of those of the two policies, in reward units."""
    pair = _both(c)
    two = with_rewards(c, c.rewards, pair)
    visits = two.visits(c.rho, two.discounted)[..., None] * pair
    return per_instance(attained(c, c.rewards, policy_of(c, visits[:, 0] + visits[:, 1])[:, None])[:, 0])


@define("mean_of_values", r"\tfrac12(V_r^\pi+V_r^{\pi'})", "instance")
@exactly_known
def _mean_of_values(c: Context) -> Array:
    """Mean of the values of the two policies, in reward units."""
    return per_instance(attained(c, c.rewards, _both(c)).sum(axis=1) / 2)


@define("value_of_mean_policy", r"V_r^{(\pi+\pi')/2}", "instance")
@exactly_known
def _value_of_mean_policy(c: Context) -> Array:
    """V_r of the policy whose probabilities are the mean of those of the two policies, in reward units."""
    return per_instance(attained(c, c.rewards, _both(c).sum(axis=1, keepdims=True) / 2)[:, 0])
