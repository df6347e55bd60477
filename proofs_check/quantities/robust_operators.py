"""Robust Markov decision processes with L1 balls around the rows: Bellman operators, saddle points, what robustness costs.

The extra `radii` (S, A) holds the radius of every row's ball; mass may move to any state.  sigma(v)(s, a) = min over the ball of q . v.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from pgtheory.robust.nature import ball_answer
from proofs_check.quantities.registry import define, per_instance
from proofs_check.robust import against, beside, exactly_known, optimum, radii_answer, robust, robust_optimum

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


# Operators


def backed_up(c: Context, values: Array, radii: Array) -> Array:
    """r + gamma sigma(v), (B, S, A), for values (B, S)."""
    rows = ball_answer("l1", radii)(c.policies[:, 0], c.transitions, values)
    return arithmetic.lookahead(rows, c.rewards, c.discount[:, None, None], values)


def _greedy_backup(c: Context, values: Array) -> Array:
    return backed_up(c, values, c.extra("radii")).max(axis=-1)


def _policy_backup(c: Context, values: Array) -> Array:
    return (c.policies[:, 0] * backed_up(c, values, c.extra("radii"))).sum(axis=-1)


def _shared_backup(c: Context, values: Array) -> Array:
    """T^pi v where the rows of a state share one budget, the largest of its radii."""
    budget = c.extra("radii").max(axis=-1, keepdims=True)
    rows = ball_answer("l1", budget, "s")(c.policies[:, 0], c.transitions, values)
    return (c.policies[:, 0] * arithmetic.lookahead(rows, c.rewards, c.discount[:, None, None], values)).sum(axis=-1)


def largest(values: Array) -> Array:
    """(B, ...) -> (B, 1, 1): the largest absolute value."""
    return per_instance(np.abs(values).reshape(len(values), -1).max(axis=-1))


@define("given_difference", r"\|u-v\|_\infty", "instance")
@exactly_known
def _given_difference(c: Context) -> Array:
    """Largest difference of the two given vectors of values, in reward units."""
    return largest(c.extra("first") - c.extra("second"))


@define("robust_backup_difference", r"\|Tu-Tv\|_\infty", "instance")
@exactly_known
def _robust_backup_difference(c: Context) -> Array:
    """Largest difference of the two given vectors of values after a robust Bellman backup, in reward units."""
    return largest(_greedy_backup(c, c.extra("first")) - _greedy_backup(c, c.extra("second")))


@define("robust_policy_backup_difference", r"\|T^\pi u-T^\pi v\|_\infty", "instance")
@exactly_known
def _robust_policy_backup_difference(c: Context) -> Array:
    """Largest difference of the two given vectors of values after a robust backup of the policy, in reward units."""
    return largest(_policy_backup(c, c.extra("first")) - _policy_backup(c, c.extra("second")))


@define("shared_policy_backup_difference", r"\|T^\pi_{\mathrm{s}}u-T^\pi_{\mathrm{s}}v\|_\infty", "instance")
@exactly_known
def _shared_policy_backup_difference(c: Context) -> Array:
    """The same where the rows of a state share one budget (s-rectangular; the largest radius of the state), in reward units."""
    return largest(_shared_backup(c, c.extra("first")) - _shared_backup(c, c.extra("second")))


@define("robust_backup", r"Tu", "instance", "states")
@exactly_known
def _robust_backup(c: Context) -> Array:
    """The first given vector of values after a robust Bellman backup, in reward units."""
    return _greedy_backup(c, c.extra("first"))[:, None]


@define("robust_backup_raised", r"T(u+x)", "instance", "states")
@exactly_known
def _robust_backup_raised(c: Context) -> Array:
    """Robust backup of the first vector raised by the given constant, in reward units."""
    return _greedy_backup(c, c.extra("first") + c.extra("constant")[:, None])[:, None]


@define("constant", "x", "instance")
@exactly_known
def _constant(c: Context) -> Array:
    """A given constant, in reward units."""
    return per_instance(c.extra("constant"))


@define("leaky_backup_raised", r"T_\ell(u+x)-T_\ell u", "instance", "states")
@exactly_known
def _leaky_backup_raised(c: Context) -> Array:
    """What raising the first vector by the constant does to a backup if nature may let a tenth of every row's mass vanish, in reward units."""

    def backup(values: Array) -> Array:
        kept = backed_up(c, values, c.extra("radii"))
        lost = c.rewards + (kept - c.rewards) * 9 / 10
        return np.minimum(kept, lost).max(axis=-1)

    first = c.extra("first")
    return (backup(first + c.extra("constant")[:, None]) - backup(first))[:, None]


@define("robust_backup_of_larger", r"T(\max(u,v))-Tu", "instance", "states")
@exactly_known
def _robust_backup_of_larger(c: Context) -> Array:
    """By how much the backup rises if the first vector is raised to the larger of both, in reward units."""
    first = c.extra("first")
    return (_greedy_backup(c, np.maximum(first, c.extra("second"))) - _greedy_backup(c, first))[:, None]


@define("half_smallest_radius", r"\beta_{\min}/2", "instance")
@exactly_known
def _half_smallest_radius(c: Context) -> Array:
    """Half of the smallest radius: the mass that nature may move in every row."""
    return per_instance(c.extra("radii").reshape(len(c.rewards), -1).min(axis=-1) / 2)


@define("robust_distance", r"\|v-V^*_{\mathrm{rob}}\|_\infty", "instance")
@exactly_known
def _robust_distance(c: Context) -> Array:
    """Distance of the first given vector from the robust optimum, in reward units."""
    return largest(c.extra("first") - robust_optimum(c).values)


@define("robust_distance_after", r"\|Tv-V^*_{\mathrm{rob}}\|_\infty", "instance")
@exactly_known
def _robust_distance_after(c: Context) -> Array:
    """Distance of the first given vector from the robust optimum after one backup, in reward units."""
    return largest(_greedy_backup(c, c.extra("first")) - robust_optimum(c).values)


@define("robust_change", r"\|Tv-v\|_\infty", "instance")
@exactly_known
def _robust_change(c: Context) -> Array:
    """How far a robust backup moves the first given vector, in reward units."""
    return largest(_greedy_backup(c, c.extra("first")) - c.extra("first"))


@define("robust_greedy_loss", r"\|V^*_{\mathrm{rob}}-V^{\pi_v}_{\mathrm{rob}}\|_\infty", "instance")
@exactly_known
def _robust_greedy_loss(c: Context) -> Array:
    """Largest worst-case loss of the policy that is greedy for the first given vector, in reward units."""
    best = backed_up(c, c.extra("first"), c.extra("radii")).argmax(axis=-1)
    policy = c.constant(np.eye(c.rewards.shape[-1], dtype=np.int64)[best])
    return largest(robust_optimum(c).values - against(c, policy[:, None], radii_answer(c)).values[:, 0])


# Saddle points


@define("robust_optimal_values", r"V^*_{\mathrm{rob}}", "instance", "states")
@exactly_known
def _robust_optimal_values(c: Context) -> Array:
    """Robust optimal value of each state, in reward units."""
    return robust_optimum(c).values[:, None]


@define("robust_values_of_greedy", r"\min_PV^{\pi^*,P}", "instance", "states")
@exactly_known
def _robust_values_of_greedy(c: Context) -> Array:
    """Worst-case value of the deterministic policy that is greedy at the robust optimum, in reward units."""
    best = backed_up(c, robust_optimum(c).values, c.extra("radii")).argmax(axis=-1)
    policy = c.constant(np.eye(c.rewards.shape[-1], dtype=np.int64)[best])
    return against(c, policy[:, None], radii_answer(c)).values


@define("optimal_values_at_worst_kernel", r"\max_\pi V^{\pi,P^*}", "instance", "states")
@exactly_known
def _optimal_values_at_worst_kernel(c: Context) -> Array:
    """Optimal values of the ordinary model with the kernel that is worst for the robust optimum, in reward units."""
    rows = radii_answer(c)(c.policies[:, :1], c.transitions[:, None], robust_optimum(c).values[:, None])[:, 0]
    return optimum(dataclasses.replace(c, transitions=rows), _stay).values[:, None]


@define("optimal_values_at_some_kernel", r"\max_\pi V^{\pi,P}", "instance", "states")
@exactly_known
def _optimal_values_at_some_kernel(c: Context) -> Array:
    """Optimal values of the ordinary model with some kernel of the set, in reward units."""
    return optimum(dataclasses.replace(c, transitions=some_kernel(c)), _stay).values[:, None]


def _stay(policy: Array, nominal: Array, values: Array) -> Array:
    """Nature without a choice."""
    return np.broadcast_to(nominal, (*policy.shape, nominal.shape[-1]))


def some_kernel(c: Context) -> Array:
    """A kernel of the set, (B, S, A, S'): on the way from the nominal one to the one that is worst for the first given vector, as far as the
    share."""
    away = ball_answer("l1", c.extra("radii"))(c.policies[:, 0], c.transitions, c.extra("first"))
    return c.transitions + c.extra("share")[:, None, None, None] * (away - c.transitions)


@define("robust_values", r"V^\pi_{\mathrm{rob}}", "step", "states")
def _robust_values(c: Context) -> Array:
    """Worst-case value of the policy in each state, in reward units."""
    return robust(c).values[:, c.now]


@define("next_robust_values", r"V^{\pi_{t+1}}_{\mathrm{rob}}", "pair", "states")
def _next_robust_values(c: Context) -> Array:
    """Worst-case value of the next policy in each state, in reward units."""
    return robust(c).values[:, c.then]


@define("kernel_values", r"V^{\pi,P}", "instance", "states")
@exactly_known
def _kernel_values(c: Context) -> Array:
    """Value of the policy in some kernel of the set, in reward units."""
    return arithmetic.policy_values(c.policies, some_kernel(c)[:, None], c.rewards[:, None], beside(c.discount))


# The price


@define("robust_price", r"\|V^\pi-V^\pi_{\mathrm{rob}}\|_\infty", "instance")
@exactly_known
def _robust_price(c: Context) -> Array:
    """By how much the worst kernel lowers the policy's value at most, in reward units."""
    return largest(c.values - robust(c).values)


@define("robust_price_of_variation", r"\|V^\pi-V^\pi_{\mathrm{TV}}\|_\infty", "instance")
@exactly_known
def _robust_price_of_variation(c: Context) -> Array:
    """The same if the radii bound the total variation, half of the L1 distance, in reward units."""
    return largest(c.values - against(c, c.policies, ball_answer("tv", c.extra("radii")[:, None])).values)


@define("largest_radius", r"\beta", "instance")
@exactly_known
def _largest_radius(c: Context) -> Array:
    """Largest radius of the sets."""
    return per_instance(c.extra("radii").reshape(len(c.rewards), -1).max(axis=-1))


@define("span", r"\mathrm{sp}(V^\pi)", "instance")
@exactly_known
def _span(c: Context) -> Array:
    """Largest minus smallest value of the policy in the nominal model, in reward units."""
    return per_instance((c.values.max(axis=-1) - c.values.min(axis=-1))[:, 0])


@define("robust_span", r"\mathrm{sp}(V^\pi_{\mathrm{rob}})", "instance")
@exactly_known
def _robust_span(c: Context) -> Array:
    """Largest minus smallest worst-case value of the policy, in reward units."""
    values = robust(c).values
    return per_instance((values.max(axis=-1) - values.min(axis=-1))[:, 0])


# Contamination


def _contaminated(c: Context) -> Array:
    """V_rob* where each row may be replaced by anything with probability R, (B, S)."""
    share = np.broadcast_to(c.extra("share")[:, None, None], c.rewards.shape)[:, None]
    return optimum(c, ball_answer("contamination", share)).values


def _shorter(c: Context) -> tuple[Array, Array, Array]:
    """(values, action values, policy) of the nominal model at discount gamma (1 - R)."""
    discount = c.discount * (1 - c.extra("share"))
    found = optimum(dataclasses.replace(c, discount=discount), _stay)
    return found.values, found.action_values, found.policy


def _shifted(c: Context, values: Array, least: Array) -> Array:
    share = c.extra("share")[:, None]
    gamma = c.discount[:, None]
    return (values + gamma * share * least / (1 - gamma * (1 - share)))[:, None]


def _least_robust(c: Context, values: Array) -> Array:
    share, gamma = c.extra("share")[:, None], c.discount[:, None]
    return values.min(axis=-1, keepdims=True) * (1 - gamma + gamma * share) / (1 - gamma)


@define("contaminated_optimal_values", r"V^*_R", "instance", "states")
@exactly_known
def _contaminated_optimal_values(c: Context) -> Array:
    """Robust optimal values where every transition is any other one with probability R, in reward units."""
    return _contaminated(c)[:, None]


@define("contaminated_values", r"V^\pi_R", "instance", "states")
@exactly_known
def _contaminated_values(c: Context) -> Array:
    """Worst-case values of the policy where every transition is any other one with probability R, in reward units."""
    share = np.broadcast_to(c.extra("share")[:, None, None], c.rewards.shape)[:, None]
    return against(c, c.policies, ball_answer("contamination", share)).values


@define("shifted_shorter_values", r"\tilde V^*+\tfrac{\gamma Rm}{1-\gamma(1-R)}", "instance", "states")
@exactly_known
def _shifted_shorter_values(c: Context) -> Array:
    """Optimal values of the nominal model at discount gamma(1-R), shifted by a constant; m = min V~ (1-gamma+gamma R)/(1-gamma); in reward units."""
    values = _shorter(c)[0]
    return _shifted(c, values, _least_robust(c, values))


@define("shifted_shorter_policy_values", r"\tilde V^\pi+\tfrac{\gamma Rm}{1-\gamma(1-R)}", "instance", "states")
@exactly_known
def _shifted_shorter_policy_values(c: Context) -> Array:
    """Values of the policy in the nominal model at discount gamma(1-R), shifted by the constant made of their own minimum, in reward units."""
    gamma = c.discount * (1 - c.extra("share"))
    values = arithmetic.policy_values(c.policies[:, 0], c.transitions, c.rewards, gamma[:, None, None])
    return _shifted(c, values, _least_robust(c, values))


@define("wrongly_shifted_values", r"\tilde V^*+\tfrac{\gamma R\min\tilde V^*}{1-\gamma(1-R)}", "instance", "states")
@exactly_known
def _wrongly_shifted_values(c: Context) -> Array:
    """The same shifted by the minimum of the shorter problem instead of the robust one, in reward units."""
    values = _shorter(c)[0]
    return _shifted(c, values, values.min(axis=-1, keepdims=True))


@define("contaminated_values_of_shorter_optimal", r"V^{\tilde\pi^*}_R", "instance", "states")
@exactly_known
def _contaminated_values_of_shorter_optimal(c: Context) -> Array:
    """Worst-case values of a policy that is optimal in the nominal model at discount gamma(1-R), in reward units."""
    share = np.broadcast_to(c.extra("share")[:, None, None], c.rewards.shape)[:, None]
    return against(c, _shorter(c)[2][:, None], ball_answer("contamination", share)).values


@define("contaminated_to_first", r"V^*_{R\to 0}", "instance", "states")
@exactly_known
def _contaminated_to_first(c: Context) -> Array:
    """Optimal values if the contamination always leads to the first state, be it the worst one or not, in reward units."""
    share = c.extra("share")[:, None, None, None]
    rows = c.transitions * (1 - share)
    rows[..., 0] = rows[..., 0] + share[..., 0]
    return optimum(dataclasses.replace(c, transitions=rows), _stay).values[:, None]
