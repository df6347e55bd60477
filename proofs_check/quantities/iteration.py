"""Iterations of values and of policies that are no policy gradient method: backups of given vectors, modified and approximate policy iteration.

The vectors V and W, the number of backups and the errors of an approximate evaluation are part of the instance (`Domain.extras`, settings), so every
quantity here is computed from the instance alone.  Greedy policies take the first maximiser; they are computed in rationals, where ties are seen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pgtheory import arithmetic
from proofs_check.numbers import larger, to_float
from proofs_check.quantities.registry import define, define_setting, given, per_instance, per_record

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray

define_setting("backups", "k", "number of backups, or of iterations of a given procedure")
define_setting("sweeps", "m", "backups with one greedy policy in each iteration of modified policy iteration")


def largest(values: Array) -> Array:
    """max_s |values(s)|: (B, S) -> (B, 1, 1)."""
    return per_instance(arithmetic.maximum(arithmetic.absolute(values), axis=-1))


def lookahead(c: Context, values: Array) -> Array:
    """r + gamma P values: (B, S) -> (B, S, A)."""
    return c.backup(values[:, None])[:, 0]


def backup(c: Context, values: Array) -> Array:
    """T values: (B, S) -> (B, S)."""
    return arithmetic.maximum(lookahead(c, values), axis=-1)


def greedy(c: Context, values: Array) -> Array:
    """The greedy policy for `values`, first maximiser, as zeros and ones (B, S, A); balls are refused, since they cannot tell ties."""
    if c.kind == "ball":
        raise arithmetic.Undecided("which action is greedy is decided in rationals")
    return c.constant(np.eye(c.rewards.shape[-1], dtype=np.int64)[lookahead(c, values).argmax(axis=-1)])


def values_of(c: Context, policy: Array) -> Array:
    """V of one policy for each instance: (B, S, A) -> (B, S)."""
    return dataclasses.replace(c, policies=policy[:, None], logits=None, minima=None).values[:, 0]


def repeat(c: Context, name: str, state: Array, step: Callable[[Array, int], Array], past: int = 0) -> Array:
    """`state` (B, ...) after as many steps as the setting `name` says, and `past` more: the number may differ between the instances."""
    counts = to_float(given(c, name)).astype(np.int64) + past
    for k in range(int(counts.max(initial=0))):
        state = np.where((k < counts).reshape(-1, *[1] * (state.ndim - 1)), step(state, k), state)
    return state


# Contraction


@define("vector_difference", r"\|V-W\|_\infty", "instance")
def _vector_difference(c: Context) -> Array:
    """Largest difference of two given vectors of values, in reward units."""
    return largest(c.extra("V") - c.extra("W"))


@define("backup_difference", r"\|TV-TW\|_\infty", "instance")
def _backup_difference(c: Context) -> Array:
    """Largest difference of the optimality backups of two given vectors, in reward units."""
    return largest(backup(c, c.extra("V")) - backup(c, c.extra("W")))


@define("policy_backup_difference", r"\|T_\pi V-T_\pi W\|_\infty", "instance")
def _policy_backup_difference(c: Context) -> Array:
    """Largest difference of the policy's backups of two given vectors, in reward units."""
    apart = lookahead(c, c.extra("V")) - lookahead(c, c.extra("W"))
    return largest((c.policies[:, 0] * apart).sum(axis=-1))


@define("vector_gap", r"\|V-V^*\|_\infty", "instance")
def _vector_gap(c: Context) -> Array:
    """Largest distance of a given vector from the optimal values, in reward units."""
    return largest(c.extra("V") - c.optimum.values)


@define("vector_backup_gap", r"\|TV-V^*\|_\infty", "instance")
def _vector_backup_gap(c: Context) -> Array:
    """Largest distance from the optimal values after one backup of a given vector, in reward units."""
    return largest(backup(c, c.extra("V")) - c.optimum.values)


@define("vector_residual", r"\|TV-V\|_\infty", "instance")
def _vector_residual(c: Context) -> Array:
    """Largest change that one backup makes to a given vector, in reward units: what value iteration looks at to stop."""
    return largest(backup(c, c.extra("V")) - c.extra("V"))


@define("iterated_gap", r"\|T^kV-V^*\|_\infty", "instance")
def _iterated_gap(c: Context) -> Array:
    """Largest distance from the optimal values after k backups of a given vector, in reward units."""
    return largest(repeat(c, "backups", c.extra("V"), lambda values, _: backup(c, values)) - c.optimum.values)


@define("greedy_loss", r"\|V^*-V^{\mathrm{greedy}(V)}\|_\infty", "instance")
def _greedy_loss(c: Context) -> Array:
    """What the policy that is greedy for a given vector loses in the worst state, in reward units."""
    return largest(c.optimum.values - values_of(c, greedy(c, c.extra("V"))))


@define("best_advantages", r"\max_a A^\pi(s,a)", "step", "states")
def _best_advantages(c: Context) -> Array:
    """Largest advantage of each state, in reward units: what one best action brings."""
    return arithmetic.maximum(c.advantages[:, c.now], axis=-1)


@define("best_advantage", r"\max_{s,a}A^\pi(s,a)", "step")
def _best_advantage(c: Context) -> Array:
    """Largest advantage of all, in reward units."""
    return per_record(arithmetic.maximum(_best_advantages(c), axis=-1))


@define("state_gaps", r"V^*(s)-V^{\pi}(s)", "step", "states")
def _state_gaps(c: Context) -> Array:
    """Optimality gap of each state, in reward units."""
    return c.optimum.values[:, None] - c.values[:, c.now]


# Policy iteration


@define("newton_values", r"V_t-(I-\gamma P_{\pi_{t+1}})^{-1}(V_t-TV_t)", "pair", "states")
def _newton_values(c: Context) -> Array:
    """Newton's step for V = TV at the current values, with the next policy's slope, in reward units."""
    return _newton(c, c.discounted[:, c.then])


@define("newton_values_present_slope", r"V_t-(I-\gamma P_{\pi_t})^{-1}(V_t-TV_t)", "pair", "states")
def _newton_values_present_slope(c: Context) -> Array:
    """The same step with the slope of the current policy, which is not the greedy one, in reward units."""
    return _newton(c, c.discounted[:, c.now])


def _newton(c: Context, slope: Array) -> Array:
    return c.values[:, c.now] - arithmetic.solve(slope, c.values[:, c.now] - _backed_up(c))


def _backed_up(c: Context) -> Array:
    return arithmetic.maximum(c.action_values[:, c.now], axis=-1)


@define("policy_changed", r"1[\pi_{t+1}\ne\pi_t]", "pair")
def _policy_changed(c: Context) -> Array:
    """1 where a step from one deterministic policy leads to another, 0 where it stays."""
    moved = arithmetic.absolute(c.policies[:, c.then] - c.policies[:, c.now])
    return per_record(arithmetic.maximum(moved.reshape(*moved.shape[:2], -1), axis=-1))


@define("gap_sum", r"\sum_s\left(V^*-V^{\pi_t}\right)(s)", "pair")
def _gap_sum(c: Context) -> Array:
    """Sum over the states of the current policy's gaps, in reward units."""
    return per_record((c.optimum.values[:, None] - c.values[:, c.now]).sum(axis=-1))


@define("next_gap_sum", r"\sum_s\left(V^*-V^{\pi_{t+1}}\right)(s)", "pair")
def _next_gap_sum(c: Context) -> Array:
    """Sum over the states of the next policy's gaps, in reward units."""
    return per_record((c.optimum.values[:, None] - c.values[:, c.then]).sum(axis=-1))


@define("horizon_log_horizon", r"\left\lceil L\log L\right\rceil", "instance")
def _horizon_log_horizon(c: Context) -> Array:
    """L log L rounded up, with the effective horizon L = 1/(1-gamma)."""
    return per_instance(_rounded_up(c, 1 / (1 - c.discount)))


@define("pairs_log_pairs", r"\left\lceil SL\log(SL)\right\rceil", "instance")
def _pairs_log_pairs(c: Context) -> Array:
    """S L log(S L) rounded up, with the effective horizon L = 1/(1-gamma)."""
    return per_instance(_rounded_up(c, c.rewards.shape[1] / (1 - c.discount)))


def _rounded_up(c: Context, numbers: Array) -> Array:
    """The integers x log x rounded up: x log x is irrational for rational x > 1, so a ball decides them with enough bits."""
    if c.kind == "float":
        return np.ceil(numbers * np.log(numbers))
    if c.kind == "ball":
        return arithmetic.elementwise(lambda x: (x * x.log()).ceil(), numbers)
    return c.constant(np.array([_whole(x) for x in numbers]))


def _whole(x: Any) -> int:
    bits = 64
    while x > 1:
        with arithmetic.precision(bits):
            y: Any = arithmetic.balls(x)
            above = (y * y.log()).ceil().unique_fmpz()
        if above is not None:
            return int(above)
        bits *= 2
    return 0


# Modified policy iteration


def _started(c: Context) -> Array:
    """The given vector, lowered by the least constant (none, if that is enough) that makes TV >= V."""
    values = c.extra("V")
    short = arithmetic.maximum(values - backup(c, values), axis=-1)
    return values - (larger(short, short * 0) / (1 - c.discount))[:, None]


def _modified(c: Context, start: Array, past: int = 0) -> Array:
    """V_k with V_{k+1} = (T_{g_k})^m V_k, g_k greedy for V_k: (B, S)."""

    def iteration(values: Array, _: int) -> Array:
        policy = greedy(c, values)
        return repeat(c, "sweeps", values, lambda inner, _: (policy * lookahead(c, inner)).sum(axis=-1))

    return repeat(c, "backups", start, iteration, past)


@define("modified_values", r"V_k", "instance", "states")
def _modified_values(c: Context) -> Array:
    """Values after k iterations of modified policy iteration from a vector with TV_0 >= V_0, in reward units."""
    return _modified(c, _started(c))[:, None]


@define("next_modified_values", r"V_{k+1}", "instance", "states")
def _next_modified_values(c: Context) -> Array:
    """Values after one more iteration of modified policy iteration, in reward units."""
    return _modified(c, _started(c), past=1)[:, None]


@define("value_iteration_values", r"T^kV_0", "instance", "states")
def _value_iteration_values(c: Context) -> Array:
    """Values after k optimality backups of the same start, in reward units."""
    return repeat(c, "backups", _started(c), lambda values, _: backup(c, values))[:, None]


@define("optimal_values", r"V^*", "instance", "states")
def _optimal_values(c: Context) -> Array:
    """Optimal values, in reward units."""
    return c.optimum.values[:, None]


@define("modified_gap", r"\|V^*-V_k\|_\infty", "instance")
def _modified_gap(c: Context) -> Array:
    """Largest distance from the optimal values after k iterations of modified policy iteration from a vector with TV_0 >= V_0."""
    return largest(c.optimum.values - _modified(c, _started(c)))


@define("modified_gap_0", r"\|V^*-V_0\|_\infty", "instance")
def _modified_gap_start(c: Context) -> Array:
    """Largest distance of that start from the optimal values, in reward units."""
    return largest(c.optimum.values - _started(c))


@define("modified_gap_from_anywhere", r"\|V^*-V_k\|_\infty\text{ from any }V_0", "instance")
def _modified_gap_from_anywhere(c: Context) -> Array:
    """Largest distance from the optimal values after k iterations of modified policy iteration from the given vector as it is."""
    return largest(c.optimum.values - _modified(c, c.extra("V")))


# Approximate policy iteration


@define("approximate_gap", r"\|V^*-V^{\pi_k}\|_\infty", "instance")
def _approximate_gap(c: Context) -> Array:
    """What the k-th policy of approximate policy iteration loses in the worst state, in reward units.

    pi_{k+1} is greedy for V^{pi_k} plus the k-th row of the given errors."""
    errors = c.extra("errors")

    def iteration(policy: Array, k: int) -> Array:
        return greedy(c, values_of(c, policy) + errors[:, min(k, errors.shape[1] - 1)])

    return largest(c.optimum.values - values_of(c, repeat(c, "backups", c.policies[:, 0], iteration)))


@define("largest_error", r"\max_k\|e_k\|_\infty", "instance")
def _largest_error(c: Context) -> Array:
    """Largest error of the approximate evaluations, in reward units."""
    errors = c.extra("errors")
    return largest(errors.reshape(len(errors), -1))
