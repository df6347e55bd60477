"""Gradients from elsewhere, corrected: Hessians from paths, gradients taken ahead of the point, and sampled ascent with its noise; all listed.

`direction` (S, A) is a change of the logits.  The Hessian in its direction comes from scores along every path, and once more from dual numbers
through the gradient theorem of each stage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from flint import arb

from pgtheory import arithmetic
from proofs_check.dual import Dual, policy_slopes
from proofs_check.numbers import to_float
from proofs_check.quantities.path_estimators import by_stages, list_paths, mean_of, shared_estimate
from proofs_check.quantities.registry import define, define_setting, given, per_instance
from proofs_check.quantities.regret import of_rounds
from proofs_check.quantities.sampled_scores import arm_scores

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
NODES, WEIGHTS = np.polynomial.legendre.leggauss(20)
MISSED = 1e-13
"""More than the rule with these nodes misses for directions with entries in [-1, 1]: see the derivation."""
define_setting("refresh", r"\beta", "weight of the new gradient in a running average")


# The Hessian along paths


def _moved(policy: Array, direction: Array) -> Array:
    """Derivative of the probabilities along a direction of the logits."""
    return policy * (direction - (policy * direction).sum(axis=-1)[..., None])


def _path_product(c: Context, stages: int, whole: bool) -> Array:
    """E[grad Phi (sum_t s_t . v)], with E[hess Phi v] where `whole`: (B, S*A)."""
    p, direction = list_paths(c, stages), c.extra("direction")
    along = (p.score * direction.reshape(len(direction), 1, 1, -1)).sum(axis=-1).sum(axis=-1)
    mean = mean_of(p, shared_estimate(p, p.future) * along[..., None])
    if not whole:
        return mean
    rows = c.constant(np.eye(c.rewards.shape[1], dtype=np.int64)[p.states])
    weights = mean_of(p, (p.future[..., None] * rows[None]).sum(axis=2))
    return mean - (weights[..., None] * _moved(c.policies[:, 0], direction)).reshape(mean.shape)


@define(
    "path_hessian_product",
    r"\mathbb{E}\left[\nabla\Phi\,\langle\textstyle\sum_ts_t,v\rangle+\nabla^2\Phi\,v\right]",
    "instance",
    "state-action pairs",
)
def _path_hessian_product(c: Context) -> Array:
    """Mean over all paths of the Hessian estimate times a direction of the logits, Phi the logarithms times the rewards to go, in reward units."""
    return by_stages(c, lambda stages: _path_product(c, stages, whole=True))[:, None]


@define("path_score_product", r"\mathbb{E}\,\nabla\Phi\,\langle\textstyle\sum_ts_t,v\rangle", "instance", "state-action pairs")
def _path_score_product(c: Context) -> Array:
    """The same without the second derivatives of the logarithms, in reward units."""
    return by_stages(c, lambda stages: _path_product(c, stages, whole=False))[:, None]


def _gradient_along(c: Context, stages: int) -> Array:
    """Derivative of the stages' gradient theorem along `direction`, by dual numbers: (B, S*A)."""
    direction = c.extra("direction")
    slope = (policy_slopes(c, "softmax")[:, 0] * direction.reshape(len(direction), 1, 1, -1)).sum(axis=-1)[..., None]
    policy, moves = Dual(c.policies[:, 0], slope), c.transitions * c.discount[:, None, None, None]
    none = slope[:, :, 0] * 0
    values, ahead = [Dual(c.mu * 0, none)], list[Dual]()
    for _ in range(stages):
        q = Dual(c.rewards + np.einsum("bsat,bt->bsa", moves, values[0].value), np.einsum("bsat,btk->bsak", moves, values[0].slope))
        each = policy * q
        ahead.insert(0, q)
        values.insert(0, Dual(each.value.sum(axis=2), each.slope.sum(axis=2)))
    law, total, factor = Dual(c.mu, none), slope * 0, c.discount * 0 + 1
    for t in range(stages):
        flow = Dual(law.value[..., None], law.slope[..., None, :]) * policy
        lead = ahead[t] - Dual(values[t].value[..., None], values[t].slope[..., None, :])
        total = total + factor[:, None, None, None] * (flow * lead).slope
        law = Dual(np.einsum("bsa,bsat->bt", flow.value, c.transitions), np.einsum("bsak,bsat->btk", flow.slope, c.transitions))
        factor = factor * c.discount
    return total.reshape(len(total), -1)


@define("stage_gradient_along", r"\tfrac{d}{dx}\nabla J_H(\theta+xv)", "instance", "state-action pairs")
def _stage_gradient_along(c: Context) -> Array:
    """Derivative of the gradient of H stages along a direction of the logits, by dual numbers, in reward units."""
    return by_stages(c, lambda stages: _gradient_along(c, stages))[:, None]


# Along a segment of logits


def _ahead(c: Context, share: Array) -> Array:
    """A bandit's policy after that share of `direction`: share (B,) -> (B, A)."""
    return arithmetic.softmax(arithmetic.log(c.policies[:, 0, 0]) + share[:, None] * c.extra("direction")[:, 0])


def _bandit_gradient(policy: Array, rewards: Array) -> Array:
    return policy * (rewards - (policy * rewards).sum(axis=-1)[..., None])


def _sampled_product(policy: Array, rewards: Array, direction: Array) -> Array:
    """Mean over the arms of the Hessian estimate times a direction: (B, A)."""
    scores = arm_scores(policy)
    first = (policy * rewards * (scores * direction[:, None]).sum(axis=-1))[..., None] * scores
    return first.sum(axis=1) - (policy * rewards).sum(axis=-1)[:, None] * _moved(policy, direction)


def _segment_mean(c: Context, nodes: Array, weights: Array, rule: bool) -> Array:
    """(B, 1, A): weighted mean of Hessian estimates; a ball is widened by what the rule and its nodes, floats, may miss."""
    rewards, direction, none = c.rewards[:, 0], c.extra("direction")[:, 0], c.discount * 0
    mean: Array = rewards * 0
    for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True):
        mean = mean + _in(c, weight) * _sampled_product(_ahead(c, none + _in(c, node)), rewards, direction)
    return (mean + arb(0, MISSED) if rule and c.kind == "ball" else mean)[:, None]


def _in(c: Context, number: float) -> Array:
    """A float, bit by bit, in the numbers of the context."""
    top, bottom = float(number).as_integer_ratio()
    return (c.discount[0] * 0 + top) / bottom


@define("segment_mean", r"\mathbb{E}_{q,A}[B_q]v", "instance", "arms")
def _segment_mean_even(c: Context) -> Array:
    """Mean Hessian estimate of a bandit over the segment (twenty nodes of Gauss and Legendre), times its direction, in reward units."""
    return _segment_mean(c, (NODES + 1) / 2, WEIGHTS / 2, rule=True)


@define("segment_far_end", r"\mathbb{E}_A[B_1]v", "instance", "arms")
def _segment_far_end(c: Context) -> Array:
    """The same with the Hessian estimate at the far end only, in reward units."""
    return _segment_mean(c, np.ones(1), np.ones(1), rule=False)


@define("gradient_change", r"\nabla J(\theta+v)-\nabla J(\theta)", "instance", "arms")
def _gradient_change(c: Context) -> Array:
    """Difference of a bandit's softmax gradients at the two ends of the segment, in reward units."""
    rewards = c.rewards[:, 0]
    return (_bandit_gradient(_ahead(c, c.discount * 0 + 1), rewards) - _bandit_gradient(c.policies[:, 0, 0], rewards))[:, None]


# Running averages of gradients taken ahead


def _quadratic(c: Context, ahead: bool) -> Array:
    """Error of the running average after a step on theta'C theta/2, C the symmetric part of `curvature`: (B, 1, 3)."""
    half = (c.extra("curvature") + c.extra("curvature").swapaxes(1, 2)) / 2
    before, step, beta = c.extra("place"), c.extra("move"), given(c, "refresh")[:, None]
    now = before + step

    def slope(x: Array) -> Array:
        return np.einsum("bij,bj->bi", half, x)

    point = now + (1 - beta) / beta * step if ahead else now
    return ((1 - beta) * (slope(before) + c.extra("offset")) + beta * slope(point) - slope(now))[:, None]


@define("transported_error", r"d_t-\nabla J(\theta_t)", "instance", "coordinates")
def _transported_error(c: Context) -> Array:
    """Error of a running average of gradients taken ahead of the point, on a quadratic function."""
    return _quadratic(c, ahead=True)


@define("momentum_error", r"d_t-\nabla J(\theta_t)\ \text{(gradient at }\theta_t)", "instance", "coordinates")
def _momentum_error(c: Context) -> Array:
    """The same with the gradient at the point itself."""
    return _quadratic(c, ahead=False)


@define("faded_error", r"(1-\beta)e_{t-1}", "instance", "coordinates")
def _faded_error(c: Context) -> Array:
    """The error before the step, times the share of the running average that is kept."""
    return ((1 - given(c, "refresh"))[:, None] * c.extra("offset"))[:, None]


@define("transport_miss", r"\lVert e_t-(1-\beta)e_{t-1}\rVert", "instance")
def _transport_miss(c: Context) -> Array:
    """What the running average misses beyond its faded error after a step of a bandit's logits, in reward units."""
    beta, none, rewards = given(c, "refresh"), c.discount * 0, c.rewards[:, 0]
    g = [_bandit_gradient(_ahead(c, share), rewards) for share in (none, 1 / beta, none + 1)]
    return per_instance(arithmetic.norm2((1 - beta)[:, None] * g[0] + beta[:, None] * g[1] - g[2], axis=-1))


@define("direction_square", r"\lVert v\rVert^2", "instance")
def _direction_square(c: Context) -> Array:
    """Squared length of the direction of the logits."""
    return per_instance((c.extra("direction") * c.extra("direction")).sum(axis=(1, 2)))


# Sampled ascent


def _ascent(c: Context) -> tuple[list[Array], list[Array]]:
    """Sums over the rounds of E|grad J|^2 and of the estimate's variance, over every sequence of draws: (B,) each."""
    rewards, eta = c.rewards[:, 0], given(c, "eta")[:, None, None, None]
    logits, chance = arithmetic.log(c.policies[:, 0, 0])[:, None], c.discount[:, None] * 0 + 1
    size, noise = [c.discount * 0], [c.discount * 0]
    for _ in range(int(to_float(given(c, "rounds")).max())):
        policy = arithmetic.softmax(logits)
        slope = _bandit_gradient(policy, rewards[:, None])
        scores = arm_scores(policy)
        square = (slope * slope).sum(axis=-1)
        moment = (policy * (rewards * rewards)[:, None] * (scores * scores).sum(axis=-1)).sum(axis=-1)
        size.append(size[-1] + (chance * square).sum(axis=-1))
        noise.append(noise[-1] + (chance * (moment - square)).sum(axis=-1))
        logits = (logits[:, :, None] + eta * rewards[:, None, :, None] * scores).reshape(len(logits), -1, rewards.shape[-1])
        chance = (chance[..., None] * policy).reshape(len(logits), -1)
    return size[1:], noise[1:]


@define("ascent_squares", r"\textstyle\sum_{t<T}\mathbb{E}\lVert\nabla J(\theta_t)\rVert^2", "instance")
def _ascent_squares(c: Context) -> Array:
    """Expected squared gradients of sampled softmax ascent on a bandit, summed over the rounds, in squared reward units."""
    return per_instance(of_rounds(c, _ascent(c)[0]))


@define("ascent_noise", r"\textstyle\sum_{t<T}\mathbb{E}\sigma_t^2", "instance")
def _ascent_noise(c: Context) -> Array:
    """Expected variances of its gradient estimates, summed over the rounds, in squared reward units."""
    return per_instance(of_rounds(c, _ascent(c)[1]))
