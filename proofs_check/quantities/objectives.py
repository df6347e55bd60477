"""Several objectives: the polytope of values, weights that find its Pareto points or miss them, hypervolume, and nonlinear functions of two means.

The first objective is the model's reward, the second the extra `second_rewards` (S, A); both values are unnormalised, from mu.  The values of the
deterministic policies are all listed; those of all policies are their convex hull, so that a best point of it under a piecewise linear objective
lies on a segment between two of them, where it is found by crossing lines.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.dual import Dual, derivative_of_value
from proofs_check.numbers import larger, smaller
from proofs_check.quantities.policy_pairs import second_policy
from proofs_check.quantities.registry import define, flat, per_instance, per_record
from proofs_check.quantities.utilities import mixture_policy, occupancy, vertices

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


# Values


def _pay(c: Context) -> Array:
    """Both rewards: (B, 2, S, A)."""
    return np.stack([c.rewards, c.extra("second_rewards")], axis=1)


def both_values(c: Context) -> Array:
    """(J_1, J_2) of the current policy from its own linear solves: (B, R, 2)."""
    return np.stack([_from_mu(dataclasses.replace(c, rewards=pay)) for pay in (c.rewards, c.extra("second_rewards"))], axis=-1)


def _from_mu(c: Context) -> Array:
    return (c.values[:, c.now] * c.mu[:, None]).sum(axis=-1)


def _corner_values(c: Context) -> Array:
    """(J_1, J_2) of every deterministic policy, from its occupancy: (B, N, 2)."""
    return (vertices(c)[:, :, None] * _pay(c)[:, None]).sum(axis=(-2, -1)) / (1 - c.discount)[:, None, None]


def _weighted(c: Context, values: Array) -> Array:
    """<w, values>: (B, N, 2) -> (B, N)."""
    return (c.extra("weights")[:, None] * values).sum(axis=-1)


@define("weighted_value", r"\langle w,J^\pi\rangle", "step")
def _weighted_value(c: Context) -> Array:
    """Weighted value of the policy from mu, in reward units."""
    return per_record(_weighted(c, both_values(c)))


@define("other_weighted_value", r"\langle w,J^{\pi'}\rangle", "step")
def _other_weighted_value(c: Context) -> Array:
    """Weighted value of the second policy from mu, in reward units."""
    return per_record(_weighted(c, both_values(second_policy(c))))


@define("best_corner_weighted_value", r"\max_{\mathrm{det}}\langle w,J\rangle", "instance")
def _best_corner_weighted_value(c: Context) -> Array:
    """Largest weighted value of a deterministic policy from mu, in reward units."""
    return per_instance(arithmetic.maximum(_weighted(c, _corner_values(c)), axis=-1))


def _of_policy(c: Context, policy: Array) -> Array:
    return both_values(dataclasses.replace(c, policies=policy, logits=None, minima=None))


@define("mixed_values", r"\tfrac12(J^\pi+J^{\pi'})", "step", "objectives")
def _mixed_values(c: Context) -> Array:
    """Means of the two policies' values, in reward units."""
    return (both_values(c) + both_values(second_policy(c))) / 2


@define("mixture_policy_values", r"J^{\pi_x},\ x=\tfrac12(d^\pi+d^{\pi'})", "step", "objectives")
def _mixture_policy_values(c: Context) -> Array:
    """Values of the stationary policy that is read off the mean of the two occupancies, in reward units."""
    return _of_policy(c, mixture_policy(c))


@define("averaged_policy_values", r"J^{(\pi+\pi')/2}", "step", "objectives")
def _averaged_policy_values(c: Context) -> Array:
    """Values of the policy whose action probabilities are the means of the two, in reward units."""
    return _of_policy(c, (c.policies[:, c.now] + second_policy(c).policies) / 2)


@define("mixture_weighted_value", r"\langle w,J^{\pi_x}\rangle", "step")
def _mixture_weighted_value(c: Context) -> Array:
    """Weighted value of the policy that is read off the mean of the two occupancies, in reward units."""
    return per_record(_weighted(c, _of_policy(c, mixture_policy(c))))


# Pareto points and weights


def _steps(start: Array, end: Array, level: Array) -> tuple[Array, Array]:
    """Where start + t (end - start) reaches `level`, as t, and whether 0 <= t <= 1 (t = 0 where it does not)."""
    rise = end - start
    flat_ = np.asarray(rise == 0, dtype=bool)
    t = (level - start) / np.where(flat_, rise * 0 + 1, rise)
    inside = ~flat_ & np.asarray(t >= 0, dtype=bool) & np.asarray(t <= 1, dtype=bool)
    return np.where(inside, t, t * 0), inside


def _pairs(points: Array) -> tuple[Array, Array]:
    """All ordered pairs of points, (B, N*N, 2) each."""
    count = points.shape[1]
    first, second = (index.reshape(-1) for index in np.indices((count, count)))
    return points[:, first], points[:, second]


def _improvement(gain: Array) -> Array:
    """Largest sum of a point of the hull of `gain` (B, N, 2) in the quadrant gain >= 0, among 0, ends of segments, and where they enter: (B,)."""
    first, second = _pairs(gain)
    best = gain[:, 0, 0] * 0
    for k in (None, 0, 1):
        if k is None:
            point, inside = first, np.ones(first.shape[:2], dtype=bool)
        else:
            t, inside = _steps(first[..., k], second[..., k], first[..., k] * 0)
            other = first[..., 1 - k] + t * (second[..., 1 - k] - first[..., 1 - k])
            point = np.stack([other * 0, other], axis=-1)
        inside = inside & np.asarray(point >= 0, dtype=bool).all(axis=-1)
        total = np.where(inside, point.sum(axis=-1), best[:, None] * 0)
        best = larger(best, arithmetic.maximum(total, axis=-1))
    return best


def _corner_improvement(gain: Array) -> Array:
    """The same among the points themselves."""
    inside = np.asarray(gain >= 0, dtype=bool).all(axis=-1)
    return arithmetic.maximum(np.where(inside, gain.sum(axis=-1), gain.sum(axis=-1) * 0), axis=-1)


def _least_excess(gain: Array) -> Array:
    """min over weights w >= 1 of max_k <w, gain_k>, for a `gain` (B, N, 2) whose maximum is never negative: (B,).

    The maximum is homogeneous in w, so that the best w has an entry 1; along w = (1, u) or (u, 1) it is convex and piecewise linear in u >= 1."""
    best = None
    for k in (0, 1):
        fixed, moving = gain[..., k], gain[..., 1 - k]
        first, second = _pairs(gain)
        apart = second[..., 1 - k] - first[..., 1 - k]
        parallel = np.asarray(apart == 0, dtype=bool)
        u = (first[..., k] - second[..., k]) / np.where(parallel, apart * 0 + 1, apart)
        u = np.where(parallel, apart * 0 + 1, larger(u, u * 0 + 1))  # a crossing left of 1 is no kink: take the end
        height = arithmetic.maximum(fixed[:, None] + u[..., None] * moving[:, None], axis=-1)
        least = arithmetic.minimum(height, axis=-1)
        best = least if best is None else smaller(best, least)
    return np.asarray(best)


def _gains(c: Context) -> Array:
    """Values of the deterministic policies less those of the policy: (B, N, 2)."""
    return _corner_values(c) - both_values(c)


@define("pareto_slack", r"\max\{\textstyle\sum_i(J'-J^\pi)_i:J'\ge J^\pi\}", "instance")
def _pareto_slack(c: Context) -> Array:
    """How much all policies together could still add to the policy's values without taking from any: 0 at the Pareto points, in reward units."""
    return per_instance(_improvement(_gains(c)))


@define("weight_excess", r"\min_{w\ge1}\max_{J'}\langle w,J'-J^\pi\rangle", "instance")
def _weight_excess(c: Context) -> Array:
    """How far the policy is from being best for the weights, all at least 1, that suit it most, in reward units: 0 if positive weights find it."""
    return per_instance(_least_excess(_gains(c)))


@define("deterministic_slack", r"\max_{\mathrm{det}}\{\textstyle\sum_i(J'-J^\pi)_i:J'\ge J^\pi\}", "instance")
def _deterministic_slack(c: Context) -> Array:
    """How much one deterministic policy could add to the policy's values without taking from any, in reward units."""
    return per_instance(_corner_improvement(_gains(c)))


# Three arms: (1, 0), (0, 1) and (m, m)


def _arms(c: Context) -> Array:
    middle = c.extra("middle")
    one, none = middle * 0 + 1, middle * 0
    return np.stack([np.stack([one, none], axis=-1), np.stack([none, one], axis=-1), np.stack([middle, middle], axis=-1)], axis=1)


def _balanced(points: Array) -> Array:
    """max over the hull of min_i: at a corner, or where a segment meets the diagonal.  (B, N, 2) -> (B,)."""
    first, second = _pairs(points)
    level = first[..., 0] * 0
    t, inside = _steps(first[..., 0] - first[..., 1], second[..., 0] - second[..., 1], level)
    point = first + np.where(inside, t, level)[..., None] * (second - first)
    return arithmetic.maximum(arithmetic.minimum(point, axis=-1), axis=-1)


@define("middle", "m", "instance")
def _middle(c: Context) -> Array:
    """Both rewards of the third arm."""
    return per_instance(c.extra("middle"))


@define("balanced_stochastic", r"\max_\pi\min_iJ_i", "instance")
def _balanced_stochastic(c: Context) -> Array:
    """The best worse objective of a random choice among the three arms, in reward units."""
    return per_instance(_balanced(_arms(c)))


@define("balanced_deterministic", r"\max_{\mathrm{det}}\min_iJ_i", "instance")
def _balanced_deterministic(c: Context) -> Array:
    """The best worse objective of one of the three arms, in reward units."""
    return per_instance(arithmetic.maximum(arithmetic.minimum(_arms(c), axis=-1), axis=-1))


@define("middle_shortfall", r"\min_{w\in\Delta}\max_k\langle w,v_k-v_3\rangle", "instance")
def _middle_shortfall(c: Context) -> Array:
    """How far the third arm is from being best for the weights that suit it most, weights that sum to 1, in reward units."""
    gain = _arms(c) - _arms(c)[:, 2:]
    start, end = gain[..., 1], gain[..., 0]  # <(u, 1-u), gain> at u = 0 and at u = 1
    first, second = (index.reshape(-1) for index in np.indices((3, 3)))
    difference = start - end
    t, _ = _steps(start[:, first] - start[:, second], end[:, first] - end[:, second], start[:, first] * 0)
    u = np.concatenate([t, t[:, :1] * 0 + 1], axis=1)
    height = arithmetic.maximum(start[:, None] - u[..., None] * difference[:, None], axis=-1)
    return per_instance(arithmetic.minimum(height, axis=-1))


@define("middle_deterministic_slack", r"\max_{k}\{\textstyle\sum_i(v_k-v_3)_i:v_k\ge v_3\}", "instance")
def _middle_deterministic_slack(c: Context) -> Array:
    """How much another arm could add to the third one's values without taking from any, in reward units."""
    return per_instance(_corner_improvement(_arms(c) - _arms(c)[:, 2:]))


# Hypervolume


def hypervolume(points: Array) -> Array:
    """Area above 0 that some point of (B, N, 2) is above, by inclusion and exclusion: (B,)."""
    total = points[:, 0, 0] * 0
    for size in range(1, points.shape[1] + 1):
        for chosen in itertools.combinations(range(points.shape[1]), size):
            low = arithmetic.minimum(points[:, list(chosen)], axis=1)
            total = total + low[:, 0] * low[:, 1] * (1 if size % 2 else -1)
    return total


def _swept(points: Array) -> Array:
    """The same, cell by cell of the grid of all coordinates: (B,)."""
    zero = points[:, :1] * 0
    lines = np.sort(np.concatenate([zero, points], axis=1), axis=1)
    sides = lines[:, 1:] - lines[:, :-1]  # (B, N, 2)
    corner = lines[:, 1:]
    above = np.asarray(points[:, :, None, None, 0] >= corner[:, None, :, None, 0], dtype=bool)
    above = above & np.asarray(points[:, :, None, None, 1] >= corner[:, None, None, :, 1], dtype=bool)
    area = sides[:, :, None, 0] * sides[:, None, :, 1]
    return np.where(above.any(axis=1), area, area * 0).sum(axis=(1, 2))


def _with_new(c: Context) -> Array:
    return np.concatenate([c.extra("front"), c.extra("newcomer")[:, None]], axis=1)


@define("dominated_area", r"\mathrm{HV}(S)", "instance")
def _dominated_area(c: Context) -> Array:
    """Hypervolume of the points of a front above 0, by inclusion and exclusion."""
    return per_instance(hypervolume(c.extra("front")))


@define("dominated_area_swept", r"\textstyle\sum_{\text{cells below}\ S}\text{area}", "instance")
def _dominated_area_swept(c: Context) -> Array:
    """The same by cells of the grid of the points' coordinates."""
    return per_instance(_swept(c.extra("front")))


@define("area_gain", r"\mathrm{HV}(S\cup\{p\})-\mathrm{HV}(S)", "instance")
def _area_gain(c: Context) -> Array:
    """What a newcomer adds to the hypervolume of a front."""
    return per_instance(hypervolume(_with_new(c)) - hypervolume(c.extra("front")))


def _undominated(c: Context) -> Array:
    """(B,) booleans: whether no point of the front is at least the newcomer in both objectives."""
    above = np.asarray(c.extra("front") >= c.extra("newcomer")[:, None], dtype=bool)
    return np.asarray(~above.all(axis=-1).any(axis=-1))


def _drops(c: Context) -> Array:
    """(B, 2): how far below each coordinate of the newcomer the next coordinate of the front (or 0) lies."""
    new, front = c.extra("newcomer"), c.extra("front")
    below = np.where(np.asarray(front < new[:, None], dtype=bool), front, front * 0)
    return new - arithmetic.maximum(below, axis=1)


@define("newcomer_cell", r"\textstyle\prod_i(p_i-\max\{0,x_i:x\in S,x_i<p_i\})", "instance")
def _newcomer_cell(c: Context) -> Array:
    """Area of the grid's cell just below the newcomer; 0 where the front is above it."""
    drops = _drops(c)
    return per_instance(np.where(_undominated(c), drops[:, 0] * drops[:, 1], drops[:, 0] * 0))


@define("newcomer_present_cell", r"\textstyle\prod_{i:p_i>0}(p_i-\max\{0,x_i:x\in S,x_i<p_i\})", "instance")
def _newcomer_present_cell(c: Context) -> Array:
    """The same over the objectives of which the newcomer has something."""
    something = np.asarray(c.extra("newcomer") > 0, dtype=bool)
    drops = np.where(something, _drops(c), _drops(c) * 0 + 1)
    return per_instance(np.where(_undominated(c), drops[:, 0] * drops[:, 1], drops[:, 0] * 0))


@define("newcomer_lead", r"\max_{w\in\Delta}\left(\langle w,p\rangle-\max_{x\in S}\langle w,x\rangle\right)_+", "instance")
def _newcomer_lead(c: Context) -> Array:
    """By how much the newcomer is the best of all for the weights that suit it most, weights that sum to 1."""
    lead = c.extra("newcomer")[:, None] - c.extra("front")
    start, end = lead[..., 1], lead[..., 0]
    first, second = (index.reshape(-1) for index in np.indices((lead.shape[1],) * 2))
    t, _ = _steps(start[:, first] - start[:, second], end[:, first] - end[:, second], start[:, first] * 0)
    u = np.concatenate([t, t[:, :1] * 0, t[:, :1] * 0 + 1], axis=1)
    height = arithmetic.minimum(start[:, None] + u[..., None] * (end - start)[:, None], axis=-1)
    best = arithmetic.maximum(height, axis=-1)
    return per_instance(larger(best, best * 0))


# A nonlinear function of two means


def _harmonic(values: Array) -> Array:
    """(1+x)(1+y)/(2+x+y) over the last axis."""
    x, y = values[..., 0] + 1, values[..., 1] + 1
    return x * y / (x + y)


@define("harmonic_derivative", r"\partial f(J)/\partial\theta(s,a),\ f=\tfrac{(1+x)(1+y)}{2+x+y}", "step", "state-action pairs")
def _harmonic_derivative(c: Context) -> Array:
    """Derivatives of a concave function of two values in the logits, by dual numbers through the linear solves and the function."""
    means = both_values(c)
    slopes = [derivative_of_value(dataclasses.replace(c, rewards=pay), "softmax") for pay in (c.rewards, c.extra("second_rewards"))]
    x, y = (Dual(means[..., k] + 1, slopes[k]) for k in (0, 1))
    total = Dual(x.value + y.value, x.slope + y.slope)
    return ((x * y) / total).slope


@define("harmonic_gradient", r"\textstyle\sum_i\partial_if(J)\,\nabla_\theta J_i", "step", "state-action pairs")
def _harmonic_gradient(c: Context) -> Array:
    """The policy gradient of the rewards weighed by the function's slopes at the two values, in closed form."""
    means = both_values(c)
    x, y = means[..., 0] + 1, means[..., 1] + 1
    weights = np.stack([y * y, x * x], axis=-1) / ((x + y) * (x + y))[..., None]
    paid = (weights[..., None, None] * _pay(c)[:, None]).sum(axis=2)  # (B, R, S, A)
    values = arithmetic.solve(c.discounted[:, c.now], (c.policies[:, c.now] * paid).sum(axis=-1))
    ahead = np.einsum("bsat,brt->brsa", c.transitions, values) * c.discount[:, None, None, None]
    lead = paid + ahead - values[..., None]
    return flat(occupancy(c) * lead / (1 - c.discount)[:, None, None, None])
