"""Two methods for one constraint, run from the uniform policy with exact values: natural gradient primal-dual, and CRPO.

Extras signal and share as in `constrained`; the setting `rounds` is T, `cap_factor` the cap of the multiplier in units of 2/((1-gamma) xi),
`tolerance_factor` the tolerance of CRPO in units of sqrt(2 log A/T)/(1-gamma)^2.  The constrained optimum comes from the deterministic policies.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.numbers import larger, smaller, to_float
from proofs_check.quantities.constrained import best_mixture, corners, once, slack_of, threshold
from proofs_check.quantities.registry import define, define_setting, given, per_instance
from proofs_check.robust import exactly_known

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
define_setting("rounds", "T", "number of steps of a run")
define_setting("cap_factor", "f", "cap of the multiplier in units of 2/((1-gamma) xi)")
define_setting("tolerance_factor", "f", "tolerance of the method in units of sqrt(2 log A / T)/(1-gamma)^2")


@dataclasses.dataclass
class _Evaluated:
    """V(rho) (B,) and Q (B, S, A) of one policy for one reward."""

    value: Array
    action_values: Array


def _evaluate(c: Context, policy: Array, rewards: Array) -> _Evaluated:
    discount = c.discount[:, None, None]
    values = arithmetic.policy_values(policy, c.transitions, rewards, discount)
    return _Evaluated((values * c.rho).sum(axis=-1), arithmetic.lookahead(c.transitions, rewards, discount, values))


@exactly_known
def _level(c: Context) -> Array:
    return threshold(c)


@exactly_known
def _optimum(c: Context) -> Array:
    return best_mixture(c, threshold(c))


@exactly_known
def _room(c: Context) -> Array:
    return corners(c)[0].max(axis=1) - threshold(c)


def _uniform(c: Context) -> Array:
    return (c.constant(np.ones(c.rewards.shape, dtype=np.int64))) / c.rewards.shape[-1]


def _log_actions(c: Context) -> Array:
    return arithmetic.log(c.constant(np.full(c.discount.size, c.rewards.shape[-1])))


def _last(c: Context) -> tuple[Array, int]:
    """(T (B,) as integers, the largest)."""
    rounds = np.rint(to_float(given(c, "rounds"))).astype(int)
    return rounds, int(rounds.max())


@dataclasses.dataclass
class PrimalDual:
    """Means over t < T of the gap V_r* - V_r and of what is missing, b - V_g, and what is missing after the last step: (B,) each."""

    gap: Array
    missing: Array
    missing_at_end: Array


def primal_dual(c: Context) -> PrimalDual:
    """theta += eta_1/(1-gamma) (A_r + lambda A_g), eta_1 = 2 log A; lambda = clip(lambda - eta_2 (V_g - b), 0, cap), eta_2 = (1-gamma)/sqrt(T)."""
    return once(c, "_primal_dual", lambda: _primal_dual(c))


def _primal_dual(c: Context) -> PrimalDual:
    (rounds, last), level, best = _last(c), _level(c), _optimum(c)
    cap = given(c, "cap_factor") * 2 / ((1 - c.discount) * _room(c))
    length = 2 * _log_actions(c) / (1 - c.discount)
    descent = (1 - c.discount) / arithmetic.sqrt(given(c, "rounds"))
    policy, price = _uniform(c), level * 0
    gap, missing, at_end = price, price, price
    for t in range(last + 1):
        reward, signal = _evaluate(c, policy, c.rewards), _evaluate(c, policy, c.extra("signal"))
        away, running = level - signal.value, t < rounds
        gap = np.where(running, gap + best - reward.value, gap)
        missing = np.where(running, missing + away, missing)
        at_end = np.where(t == rounds, away, at_end)
        pays = reward.action_values + price[:, None, None] * signal.action_values
        pays = pays - (policy * pays).sum(axis=-1, keepdims=True)
        policy = arithmetic.softmax(arithmetic.log(policy) + length[:, None, None] * pays)
        price = smaller(larger(price + descent * away, price * 0), cap)
    return PrimalDual(gap / given(c, "rounds"), missing / given(c, "rounds"), at_end)


@define("primal_dual_gap", r"\tfrac1T\textstyle\sum_tV_r^*-V_r^t", "instance")
def _primal_dual_gap(c: Context) -> Array:
    """Mean gap to the constrained optimum over the first T iterates of natural gradient primal-dual, in reward units."""
    return per_instance(primal_dual(c).gap)


@define("primal_dual_missing", r"\bigl[\tfrac1T\textstyle\sum_tb-V_g^t\bigr]_+", "instance")
def _primal_dual_missing(c: Context) -> Array:
    """What is missing from the constraint on average over those iterates, 0 if nothing is."""
    missing = primal_dual(c).missing
    return per_instance(larger(missing, missing * 0))


@define("primal_dual_missing_at_end", r"[b-V_g^T]_+", "instance")
def _primal_dual_missing_at_end(c: Context) -> Array:
    """What is missing at the last iterate."""
    missing = primal_dual(c).missing_at_end
    return per_instance(larger(missing, missing * 0))


@dataclasses.dataclass
class Crpo:
    """Over the steps that improve the reward: their number, the sum of their gaps, the most that any misses; and the tolerance: (B,) each."""

    steps: Array
    gaps: Array
    missing: Array
    tolerance: Array


def crpo(c: Context) -> Crpo:
    """pi times exp(eta Q_r) where V_g >= b - tol, else times exp(eta Q_g); eta = (1-gamma) sqrt(8 log A/T)."""
    return once(c, "_crpo", lambda: _crpo(c))


def _crpo(c: Context) -> Crpo:
    (rounds, last), level, best = _last(c), _level(c), _optimum(c)
    share = arithmetic.sqrt(2 * _log_actions(c) / given(c, "rounds"))
    eta, tolerance = 2 * (1 - c.discount) * share, given(c, "tolerance_factor") * share / ((1 - c.discount) * (1 - c.discount))
    policy = _uniform(c)
    steps, gaps, missing = level * 0, level * 0, level * 0
    for t in range(last):
        reward, signal = _evaluate(c, policy, c.rewards), _evaluate(c, policy, c.extra("signal"))
        away = level - signal.value
        meets = np.asarray(arithmetic.less_equal(away, tolerance + slack_of(c)), dtype=bool)
        counted = meets & (t < rounds)
        steps = np.where(counted, steps + 1, steps)
        gaps = np.where(counted, gaps + best - reward.value, gaps)
        missing = np.where(counted, larger(missing, away), missing)
        pays = np.where(meets[:, None, None], reward.action_values, signal.action_values)
        policy = arithmetic.softmax(arithmetic.log(policy) + eta[:, None, None] * pays)
    return Crpo(steps, gaps, missing, tolerance)


@define("crpo_steps", r"\lvert N_0\rvert", "instance")
def _crpo_steps(c: Context) -> Array:
    """How many of the T steps of CRPO improve the reward."""
    return per_instance(crpo(c).steps)


@define("crpo_gap_sum", r"\textstyle\sum_{t\in N_0}V_r^*-V_r^t", "instance")
def _crpo_gap_sum(c: Context) -> Array:
    """Sum of the gaps to the constrained optimum over the steps that improve the reward, in reward units."""
    return per_instance(crpo(c).gaps)


@define("crpo_missing", r"\max_{t\in N_0}[b-V_g^t]_+", "instance")
def _crpo_missing(c: Context) -> Array:
    """The most that an iterate at which the reward is improved misses the constraint by."""
    return per_instance(crpo(c).missing)


@define("crpo_tolerance", r"\mathrm{tol}", "instance")
def _crpo_tolerance(c: Context) -> Array:
    """Tolerance of CRPO for the constraint."""
    return per_instance(crpo(c).tolerance)
