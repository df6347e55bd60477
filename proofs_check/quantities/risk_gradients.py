"""Policy gradients of risk measures of a return, every path of two steps enumerated: G = r(s0,a0) + gamma r(s1,a1), s0 from mu, softmax policy.

`derivative` quantities differentiate path probabilities by the product rule and the risk measure by the form it has as a function of them; `gradient`
quantities are expectations of a score of the return times the score function of the path.  Both are rational in the policy where the measure is.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from pgtheory.risk import exponential
from pgtheory.risk.tail import positive
from proofs_check.dual import Dual
from proofs_check.quantities.registry import define, given, per_instance
from proofs_check.quantities.risk_measures import law, mean, quantile

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


@functools.cache
def _places(states: int, actions: int) -> tuple[Array, ...]:
    """(s0, a0, s1, a1) of every path."""
    return tuple(index.reshape(-1) for index in np.indices((states, actions, states, actions)))


def _path_terms(c: Context) -> tuple[Array, Array, Array, Array, Array]:
    """The policies (B, S, A), mu(s0) P(s1|s0,a0) of every path (B, K), the two action probabilities (B, K) each, and the returns (B, K)."""
    s0, a0, s1, a1 = _places(*c.rewards.shape[1:])
    pi = c.policies[:, 0]
    given_actions = c.mu[:, s0] * c.transitions[:, s0, a0, s1]
    returns = c.rewards[:, s0, a0] + c.discount[:, None] * c.rewards[:, s1, a1]
    return pi, given_actions, pi[:, s0, a0], pi[:, s1, a1], returns


def paths(c: Context) -> tuple[Array, Array]:
    """Probabilities and returns (B, K)."""
    _, rest, first, second, returns = _path_terms(c)
    return rest * first * second, returns


def slopes(c: Context) -> Array:
    """Derivatives of the path probabilities in the logits, by the product rule: (B, K, S*A)."""
    pi, rest, first, second, _ = _path_terms(c)
    states, actions = c.rewards.shape[1:]
    eye = c.constant(np.eye(actions, dtype=np.int64))
    own = pi[..., None] * (eye - pi[:, :, None])  # d pi(a|s) / d theta(s, b), (B, S, A, A)
    jacobian = np.zeros((len(pi), states, actions, states, actions), dtype=pi.dtype) * pi[:, :1, :1, None, None]
    for s in range(states):
        jacobian[:, s, :, s] = own[:, s]
    jacobian = jacobian.reshape(len(pi), states, actions, -1)
    s0, a0, s1, a1 = _places(states, actions)
    product = Dual(first, jacobian[:, s0, a0]) * Dual(second, jacobian[:, s1, a1])
    return rest[..., None] * product.slope


def scores(c: Context) -> Array:
    """Sum over the two steps of grad log pi(a|s) in the logits: (B, K, S*A)."""
    pi = c.policies[:, 0]
    states, actions = c.rewards.shape[1:]
    s0, a0, s1, a1 = _places(states, actions)
    unit = np.eye(states * actions, dtype=np.int64)
    out = c.constant(unit[s0 * actions + a0] + unit[s1 * actions + a1])[None]
    blocks = np.repeat(np.eye(states, dtype=np.int64), actions, axis=1)
    visits = c.constant(blocks[s0] + blocks[s1])
    return out - visits[None] * pi.reshape(len(pi), 1, -1)


def _scored(c: Context, values: Array) -> Array:
    """E[values grad log p(path)]: (B, K) -> (B, 1, S*A)."""
    p, _ = paths(c)
    return ((p * values)[..., None] * scores(c)).sum(axis=1)[:, None]


def _moved(c: Context, values: Array) -> Array:
    """sum over the paths of values times the derivative of the probability: (B, K) -> (B, 1, S*A)."""
    return (values[..., None] * slopes(c)).sum(axis=1)[:, None]


# CVaR of a reward


def _sorted_slope(c: Context, x: Array) -> Array:
    """Derivative of (1/alpha) sum over sorted outcomes of the mass below alpha times the outcome, with the last one filled up: (B, 1, S*A)."""
    p, _ = paths(c)
    level = given(c, "tail")
    order = np.argsort(x, axis=-1, kind="stable")
    ranked, mass = np.take_along_axis(x, order, axis=-1), np.take_along_axis(p, order, axis=-1).cumsum(axis=-1)
    enough = np.asarray(mass >= level[:, None], dtype=bool)
    enough[:, -1] = True
    last = np.take_along_axis(ranked, enough.argmax(axis=-1)[:, None], axis=-1)
    whole = np.where(np.asarray(x < last, dtype=bool), x - last, x * 0)  # outcomes at the quantile itself cancel
    return _moved(c, whole / level[:, None])


@define("path_cvar_derivative", r"\partial\,\mathrm{CVaR}_\alpha(G)/\partial\theta", "step", "state-action pairs")
def _path_cvar_derivative(c: Context) -> Array:
    """Derivatives of the CVaR of a return of two steps in the logits, by differentiating its sorted form, in reward units."""
    return _sorted_slope(c, paths(c)[1])


def _tail_score(c: Context, baseline: bool = True) -> Array:
    p, x = paths(c)
    level = given(c, "tail")
    at = quantile(p, x, level)[:, None]
    inside = np.asarray(x <= at, dtype=bool)
    return np.where(inside, (x - at if baseline else x) / level[:, None], x * 0)


@define("path_cvar_gradient", r"\tfrac1\alpha\mathbb{E}\left[(G-x_\alpha)1\{G\le x_\alpha\}\nabla\log p_\theta\right]", "step", "state-action pairs")
def _path_cvar_gradient(c: Context) -> Array:
    """Mean over the paths of what the return falls short of the quantile, times the score function, over alpha, in reward units."""
    return _scored(c, _tail_score(c))


@define("path_cvar_gradient_plain", r"\tfrac1\alpha\mathbb{E}\left[G\,1\{G\le x_\alpha\}\nabla\log p_\theta\right]", "step", "state-action pairs")
def _path_cvar_gradient_plain(c: Context) -> Array:
    """The same without the quantile as a baseline, in reward units."""
    return _scored(c, _tail_score(c, baseline=False))


@define("level_distance", r"\min_g\left|\mathbb{P}(G\le g)-\alpha\right|", "step")
def _level_distance(c: Context) -> Array:
    """Distance of alpha from the values of the distribution function of the return."""
    return per_instance(_distance(c, paths(c)[1]))


@define("level_distance_upper", r"\min_g\left|\mathbb{P}(G\ge g)-\alpha\right|", "step")
def _level_distance_upper(c: Context) -> Array:
    """Distance of alpha from the probabilities that the return is at least one of its values."""
    return per_instance(_distance(c, -paths(c)[1]))


def _distance(c: Context, x: Array) -> Array:
    p, _ = paths(c)
    inside = np.asarray(x[:, None] <= x[:, :, None], dtype=bool)
    below = np.where(inside, p[:, None], p[:, None] * 0).sum(axis=-1)
    return arithmetic.minimum(arithmetic.absolute(below - given(c, "tail")[:, None]), axis=-1)


# Scoring rules of a cost


def _moments(c: Context) -> tuple[Array, Array, Array]:
    p, x = paths(c)
    return p, x, mean(p, x)[:, None]


@define("path_variance_derivative", r"\partial\,\mathrm{Var}(X)/\partial\theta", "step", "state-action pairs")
def _path_variance_derivative(c: Context) -> Array:
    """Derivatives of E X^2 - (E X)^2 in the logits, in squared cost units."""
    _, x, centre = _moments(c)
    return _moved(c, x * x - 2 * centre * x)


@define("path_variance_gradient", r"\mathbb{E}\left[(X-\mathbb{E}X)^2\nabla\log p_\theta\right]", "step", "state-action pairs")
def _path_variance_gradient(c: Context) -> Array:
    """Mean squared distance from the mean times the score function, in squared cost units."""
    _, x, centre = _moments(c)
    return _scored(c, (x - centre) * (x - centre))


@define("path_score_gradient_at_v", r"\mathbb{E}\left[(X-v)^2\nabla\log p_\theta\right]", "step", "state-action pairs")
def _path_score_gradient_at_v(c: Context) -> Array:
    """The same around any v, in squared cost units."""
    away = paths(c)[1] - c.extra("eta")[:, None]
    return _scored(c, away * away)


@define("path_pair_gradient", r"\mathbb{E}\left[(X_1-X_2)^2\nabla\log p_\theta(1)\right]", "step", "state-action pairs")
def _path_pair_gradient(c: Context) -> Array:
    """Squared distance of two independent returns times the score function of the first, in squared cost units."""
    p, x, _ = _moments(c)
    apart = x[:, :, None] - x[:, None]
    return _scored(c, (p[:, None] * apart * apart).sum(axis=-1))


@define("path_cost_cvar_derivative", r"\partial\,\mathrm{CVaR}^+_\alpha(X)/\partial\theta", "step", "state-action pairs")
def _path_cost_cvar_derivative(c: Context) -> Array:
    """Derivatives of the upper-tail CVaR of the return as a cost, by differentiating its sorted form, in cost units."""
    return -_sorted_slope(c, -paths(c)[1])


@define("path_cost_cvar_gradient", r"\mathbb{E}\left[\left(v^*+\tfrac1\alpha(X-v^*)_+\right)\nabla\log p_\theta\right]", "step", "state-action pairs")
def _path_cost_cvar_gradient(c: Context) -> Array:
    """Score v + (X - v)_+ / alpha at the upper quantile v, times the score function, in cost units."""
    p, x = paths(c)
    at = -quantile(p, -x, given(c, "tail"))[:, None]
    return _scored(c, at + positive(x - at) / given(c, "tail")[:, None])


@define("path_entropic_derivative", r"\partial\,\tfrac1\beta\log\mathbb{E}e^{\beta X}/\partial\theta", "step", "state-action pairs")
def _path_entropic_derivative(c: Context) -> Array:
    """Derivatives of the entropic risk of the return as a cost, in cost units."""
    p, x = paths(c)
    # a constant added to X changes nothing, and the 1 drops out, since the derivatives of the probabilities sum to 0
    more = _exp_minus_one((x - mean(p, x)[:, None]) * given(c, "aversion")[:, None])
    return _moved(c, more / ((1 + mean(p, more)) * given(c, "aversion"))[:, None])


def _exp_minus_one(x: Array) -> Array:
    """e^x - 1, in floats with the relative precision of x."""
    return np.expm1(x) if arithmetic.kind(x) == "float" else arithmetic.exp(x) - 1


@define(
    "path_entropic_gradient",
    r"\mathbb{E}\left[\left(v^*+\tfrac1\beta(e^{\beta(X-v^*)}-1)\right)\nabla\log p_\theta\right]",
    "step",
    "state-action pairs",
)
def _path_entropic_gradient(c: Context) -> Array:
    """Entropic score at v = the entropic risk itself, times the score function, in cost units."""
    p, x = paths(c)
    beta = given(c, "aversion")
    best = -exponential.entropic(p, -x, beta)[:, None]
    return _scored(c, best + _exp_minus_one((x - best) * beta[:, None]) / beta[:, None])


# EVaR of a cost: concave in the law, so that its gradient is its only supergradient


@define("other_cost_evar", r"\mathrm{EVaR}^+_\alpha(q)", "instance")
def _other_cost_evar(c: Context) -> Array:
    """EVaR of the outcomes as costs under another law, in cost units."""
    return per_instance(-exponential.evar(c.extra("q"), -c.extra("x"), given(c, "tail")))


@define("cost_evar_tangent", r"\mathrm{EVaR}^+_\alpha(p)+\textstyle\sum_i(q_i-p_i)\frac{e^{bx_i}}{b\,\mathbb{E}_pe^{bX}}", "instance")
def _cost_evar_tangent(c: Context) -> Array:
    """EVaR of the cost plus its derivative towards another law by the score formula, at the best b, in cost units."""
    return per_instance(_tangent(c, 1))


@define("cost_evar_half_tangent", r"\mathrm{EVaR}^+_\alpha(p)+\tfrac12\textstyle\sum_i(q_i-p_i)\frac{e^{bx_i}}{b\,\mathbb{E}_pe^{bX}}", "instance")
def _cost_evar_half_tangent(c: Context) -> Array:
    """The same with half of the derivative, in cost units."""
    return per_instance(_tangent(c, c.discount * 0 + 1 / (c.discount * 0 + 2)))


def _tangent(c: Context, share: Array | int) -> Array:
    p, x = law(c)
    values, _, b = exponential.evar_parts(p, -x, given(c, "tail"))
    b = np.asarray(b).reshape(-1)
    top = arithmetic.maximum(x, axis=-1)
    if c.kind == "float":
        b = np.where(np.isfinite(b) & (b > 0), b, 1.0)
    e = arithmetic.exp((x - top[:, None]) * b[:, None])
    return -values + share * ((c.extra("q") - p) * e).sum(axis=-1) / (b * mean(p, e))


@define("largest_outcome_mass", r"\mathbb{P}(X=\max X)", "instance")
def _largest_outcome_mass(c: Context) -> Array:
    """Probability of the largest outcome of a law."""
    if c.kind == "ball":
        from proofs_check.instance import Instance

        assert isinstance(c.source, Instance)
        exact = c.source.extras["x"] == max(c.source.extras["x"])
        return per_instance(np.where(np.asarray(exact, dtype=bool), c.extra("p"), c.extra("p") * 0).sum(axis=-1))
    p, x = law(c)
    return per_instance(np.where(np.asarray(x == arithmetic.maximum(x, axis=-1)[:, None], dtype=bool), p, p * 0).sum(axis=-1))
