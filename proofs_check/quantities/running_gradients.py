"""A gradient estimate that remembers the last one, corrected by importance weights, from paths of a decision process; every path listed.

Paths are drawn with the policy pi of now; the other policy pi' is the one before, w = prod_t pi'(a_t|s_t)/pi(a_t|s_t), g and g' the sums of
score times return from the step on under the two policies, along the same path.  With b the setting `refresh` and d' = grad J(pi') + e', e' the
extra `last_error`:

    d = b g + (1 - b)(d' + g - w g'),        e = d - grad J(pi)

Gradients J are of H steps; what the statements call a gradient comes from advantages by stage, never from the list.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.quantities.path_estimators import Paths, by_stages, list_paths, mean_of, shared_estimate, stage_gradient
from proofs_check.quantities.policy_pairs import second_policy
from proofs_check.quantities.registry import define, given, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class _Draw:
    """Along every path (B, K, S*A): the estimate g, the reweighted old one w g', the bare old one g', and the error e; gradient (B, S*A)."""

    paths: Paths
    fresh: Array
    weighed: Array
    error: Array
    gradient: Array


def _draw(c: Context, stages: int, weigh: bool = True) -> _Draw:
    now, before = list_paths(c, stages), list_paths(second_policy(c), stages)
    policy, other = c.policies[:, 0], second_policy(c).policies[:, 0]
    ratio = (other / policy)[:, now.states, now.actions]
    weight = ratio[..., 0]
    for t in range(1, stages):
        weight = weight * ratio[..., t]
    fresh, old = shared_estimate(now, now.future), shared_estimate(before, before.future)
    weighed = weight[..., None] * old if weigh else old
    remembered = (stage_gradient(second_policy(c), stages) + c.extra("last_error").reshape(len(policy), -1))[:, None]
    keep, gradient = (1 - given(c, "refresh"))[:, None, None], stage_gradient(c, stages)
    estimate = (1 - keep) * fresh + keep * (remembered + fresh - weighed)
    return _Draw(now, fresh, weighed, estimate - gradient[:, None], gradient)


def _mean(c: Context, weigh: bool) -> Array:
    def code(stages: int) -> Array:
        draw = _draw(c, stages, weigh)
        return mean_of(draw.paths, draw.error)

    return by_stages(c, code)[:, None]


def _mean_square(c: Context, each: Callable[[_Draw], Array], weigh: bool = True) -> Array:
    def code(stages: int) -> Array:
        draw = _draw(c, stages, weigh)
        values = each(draw)
        return (draw.paths.chance * (values * values).sum(axis=-1)).sum(axis=1)

    return per_instance(by_stages(c, code))


@define("running_error_mean", r"\mathbb{E}e_t", "step", "state-action pairs")
def _running_error_mean(c: Context) -> Array:
    """Mean error of the gradient estimate that remembers, over all paths of H steps, in reward units."""
    return _mean(c, weigh=True)


@define("running_error_mean_unweighted", r"\mathbb{E}e_t\ \text{with}\ w=1", "step", "state-action pairs")
def _running_error_mean_unweighted(c: Context) -> Array:
    """The same where the old estimate is taken along new paths without importance weights, in reward units."""
    return _mean(c, weigh=False)


@define("kept_error", r"(1-\beta)e_{t-1}", "instance", "state-action pairs")
def _kept_error(c: Context) -> Array:
    """The error before, times the share of the estimate that is kept, in reward units."""
    error = c.extra("last_error")
    return ((1 - given(c, "refresh"))[:, None] * error.reshape(len(error), -1))[:, None]


@define("running_error_square", r"\mathbb{E}\lVert e_t\rVert^2", "step")
def _running_error_square(c: Context) -> Array:
    """Mean squared error of the gradient estimate that remembers, in squared reward units."""
    return _mean_square(c, lambda draw: draw.error)


@define("old_error_square", r"\lVert e_{t-1}\rVert^2", "instance")
def _old_error_square(c: Context) -> Array:
    """Squared length of the error before, in squared reward units."""
    error = c.extra("last_error")
    return per_instance((error * error).sum(axis=(1, 2)))


@define("fresh_path_variance", r"V_t=\mathbb{E}\lVert g_t-\nabla J(\theta_t)\rVert^2", "step")
def _fresh_path_variance(c: Context) -> Array:
    """Total variance of the gradient estimate from one path, in squared reward units."""
    return _mean_square(c, lambda draw: draw.fresh - draw.gradient[:, None])


@define("corrected_difference_square", r"D_t=\mathbb{E}\lVert g_t-wg_{t-1}\rVert^2", "step")
def _corrected_difference_square(c: Context) -> Array:
    """Mean squared length of the new estimate less the reweighted old one, along the same path, in squared reward units."""
    return _mean_square(c, lambda draw: draw.fresh - draw.weighed)


@define("weight_cosh", r"\cosh^2(\delta/2)", "step")
def _weight_cosh(c: Context) -> Array:
    """cosh(d/2)^2 for the largest range d, over the states, of the differences of the two policies' log-probabilities."""
    ratio = second_policy(c).policies[:, 0] / c.policies[:, 0]
    spread = arithmetic.maximum(arithmetic.maximum(ratio, axis=-1) / arithmetic.minimum(ratio, axis=-1), axis=-1)
    return per_instance((2 + spread + 1 / spread) / 4)


@define("return_sum", r"R=\textstyle\sum_{t<H}\sum_{t\le k<H}\gamma^k", "instance")
def _return_sum(c: Context) -> Array:
    """Sum over H steps of the largest return from the step on, for rewards in [-1, 1]."""

    def code(stages: int) -> Array:
        total, power = c.discount * 0, c.discount * 0 + 1
        for k in range(stages):
            total = total + (k + 1) * power
            power = power * c.discount
        return total

    return per_instance(by_stages(c, code))
