"""The variance of generalised advantage estimates, from second moments, and its closed form where the critic is exact.

The estimate is sum_l (gamma lambda)^l delta_{t+l} with delta = r + gamma U(s') - U(s) and the critic U = V^pi + error; lambda is the extra `decay`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.quantities.registry import define, flat

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


def _solved(c: Context, rate: Array, source: Array) -> Array:
    """x (B, S, A) with x(s,a) = source(s,a) + rate sum_s' P sum_a' pi x(s',a'); rate (B,)."""
    policy = c.policies[:, 0]
    chain = c.chain[:, 0] * -rate[:, None, None]
    states = np.arange(chain.shape[-1])
    chain[..., states, states] = chain[..., states, states] + 1
    values = arithmetic.solve(chain, (policy * source).sum(axis=-1))
    return source + rate[:, None, None] * np.einsum("bsat,bt->bsa", c.transitions, values)


def _variance(c: Context, critic: Array, decay: Array) -> Array:
    """Var of the estimate given its first pair, by the recursions of its first and second moments: (B, 1, S*A)."""
    policy, weight = c.policies[:, 0], c.discount * decay
    delta = c.rewards[..., None] + (c.discount[:, None] * critic)[:, None, None, :] - critic[:, :, None, None]  # (B, S, A, S')
    first = _solved(c, weight, (c.transitions * delta).sum(axis=-1))
    ahead = (policy * first).sum(axis=-1)[:, None, None, :]
    source = (c.transitions * (delta * delta + 2 * weight[:, None, None, None] * delta * ahead)).sum(axis=-1)
    return flat((_solved(c, weight * weight, source) - first * first)[:, None])


def _critic(c: Context) -> Array:
    return c.values[:, 0] + c.extra("error")


@define("gae_variance", r"\mathrm{Var}(\hat A_\lambda|s,a)", "step", "state-action pairs")
def _gae_variance(c: Context) -> Array:
    """Variance of the advantage estimate with the exact critic, from second moments, in squared reward units."""
    return _variance(c, c.values[:, 0], c.extra("decay"))


@define("longer_gae_variance", r"\mathrm{Var}(\hat A_{\lambda+(1-\lambda)x}|s,a)", "step", "state-action pairs")
def _longer_gae_variance(c: Context) -> Array:
    """The same for a larger decay, in squared reward units."""
    return _variance(c, c.values[:, 0], _longer(c))


def _longer(c: Context) -> Array:
    return c.extra("decay") + (1 - c.extra("decay")) * c.extra("further")


@define("wrong_gae_variance", r"\mathrm{Var}(\hat A_\lambda|s,a)\ \text{with}\ U=V^\pi+e", "step", "state-action pairs")
def _wrong_gae_variance(c: Context) -> Array:
    """Variance of the advantage estimate with a critic that errs, in squared reward units."""
    return _variance(c, _critic(c), c.extra("decay"))


@define("longer_wrong_gae_variance", r"\mathrm{Var}(\hat A_{\lambda+(1-\lambda)x}|s,a)\ \text{with}\ U=V^\pi+e", "step", "state-action pairs")
def _longer_wrong_gae_variance(c: Context) -> Array:
    """The same for a larger decay, in squared reward units."""
    return _variance(c, _critic(c), _longer(c))


def _next_spread(c: Context) -> Array:
    """gamma^2 Var of V at the next state: (B, S, A)."""
    values = c.values[:, 0]
    mean = np.einsum("bsat,bt->bsa", c.transitions, values)
    spread = (c.transitions * (values[:, None, None, :] - mean[..., None]) ** 2).sum(axis=-1)
    return (c.discount * c.discount)[:, None, None] * spread


def _closed(c: Context, weight: Array) -> Array:
    """gamma^2 Var_P(V) + sum_{l>=1} weight^l E v(s_l), v = sum_a pi [A^2 + gamma^2 Var_P(V)]: (B, 1, S*A)."""
    policy, spread = c.policies[:, 0], _next_spread(c)
    lead = c.advantages[:, 0]
    each = (policy * (lead * lead + spread)).sum(axis=-1)
    matrix = c.chain[:, 0] * -weight[:, None, None]
    states = np.arange(matrix.shape[-1])
    matrix[..., states, states] = matrix[..., states, states] + 1
    summed = arithmetic.solve(matrix, each)
    return flat((spread + weight[:, None, None] * np.einsum("bsat,bt->bsa", c.transitions, summed))[:, None])


@define(
    "gae_variance_closed", r"\gamma^2\mathrm{Var}_P V+\textstyle\sum_{l\ge1}(\gamma\lambda)^{2l}\mathbb{E}[v(s_l)|s,a]", "step", "state-action pairs"
)
def _gae_variance_closed(c: Context) -> Array:
    """Spread of the next value and, discounted twice, of all advantages and next values after it, in squared reward units."""
    weight = c.discount * c.extra("decay")
    return _closed(c, weight * weight)


@define(
    "gae_variance_once", r"\gamma^2\mathrm{Var}_P V+\textstyle\sum_{l\ge1}(\gamma\lambda)^{l}\mathbb{E}[v(s_l)|s,a]", "step", "state-action pairs"
)
def _gae_variance_once(c: Context) -> Array:
    """The same discounted once, in squared reward units."""
    return _closed(c, c.discount * c.extra("decay"))


@define("pair_return_variance", r"\mathrm{Var}(G|s,a)", "step", "state-action pairs")
def _pair_return_variance(c: Context) -> Array:
    """Variance of the return after a pair, from the recursion of its second moments, in squared reward units."""
    values = c.values[:, 0]
    next_mean = np.einsum("bsat,bt->bsa", c.transitions, values)
    source = c.rewards * c.rewards + 2 * c.discount[:, None, None] * c.rewards * next_mean
    second = _solved(c, c.discount * c.discount, source)
    return flat((second - c.action_values[:, 0] ** 2)[:, None])
