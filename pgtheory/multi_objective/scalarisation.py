"""A concave function f of several values instead of their weighted sum: its gradient, and what goes wrong when values are estimated.

    grad f(J(theta)) = sum_i f_i(J) grad J_i(theta)                    f_i the partial derivatives

so the gradient is the ordinary one at the frozen reward sum_i f_i(J) r_i.  With J replaced by the mean J_n of n independent returns G, f concave with
|f''| <= L (in the norm of its Hessian):

    0 <= f(J) - E f(J_n) <= (L / 2) trace Cov(G) / n

and E f'(J_n) != f'(J): independent halves for f'(J_n) and for grad J_i remove the correlation of the two, not this bias.  `plug_in_bias` computes
both sides exactly, by listing what n draws can be.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.rational import rational_array
from pgtheory.control.variational import sample_counts
from pgtheory.exact.evaluation import check_policy, state_occupancy
from pgtheory.exact.linear import kind
from pgtheory.multi_objective.fronts import check_rewards, values_of
from pgtheory.utility.gradient import gradient_of_reward

Array = np.ndarray
MOST_DRAWS = 2_000_000
"""Tuples of counts that are looked through."""


@dataclasses.dataclass(frozen=True)
class Scalarisation:
    """f with its gradient: value (m,) -> number, slope (m,) -> (m,); curvature L >= |f''| on the values that occur, if known."""

    value: Callable[[Array], Any]
    slope: Callable[[Array], Array]
    curvature: Any = None
    name: str = "f"


def scalarised_gradient(mdp: MDP, rewards: Any, f: Scalarisation, policy: Array, parametrisation: str = "softmax") -> Array:
    """(S, A) gradient of f(J(pi)) in logits ("softmax") or probabilities ("direct"), in the arithmetic of the policy.

    raises   ModelError: rewards that do not fit, a policy that is none
    """
    if parametrisation not in ("softmax", "direct"):
        raise ModelError(f"parametrisation is {parametrisation!r}; it is softmax or direct")
    policy = check_policy(mdp, policy)
    exact = kind(policy) != "float"
    table = check_rewards(mdp, rewards)
    table = rational_array(table) if exact or table.dtype.kind in "OUS" else table.astype(float)
    weights = f.slope(values_of(mdp, table, policy))
    frozen = sum(w * r for w, r in zip(weights, table if exact else table.astype(float), strict=True))
    discount = mdp.exact.discount if exact else mdp.float.discount
    visits = state_occupancy(mdp, policy)[:, None] / (1 - discount)
    return gradient_of_reward(mdp, np.asarray(frozen), policy, visits, parametrisation)


@dataclasses.dataclass(frozen=True)
class Bias:
    """What plugging in a mean of n draws does.  All figures exact in the arithmetic of f.

    truth      f(J);   expected  E f(J_n);   bias = truth - expected, at least 0 for a concave f
    bound      (L / 2) trace Cov / n, or None without a curvature
    """

    truth: Any
    expected: Any
    bound: Any

    @property
    def bias(self) -> Any:
        return self.truth - self.expected


def plug_in_bias(f: Scalarisation, probabilities: Any, outcomes: Any, samples: int) -> Bias:
    """The bias of f(mean of `samples` draws) by enumeration.

    probabilities (N,), outcomes (N, m) or (N,): the law of the returns; exact numbers stay exact
    raises        ModelError: no law, no sample, too many draws to list
    """
    p, x = _law(probabilities, outcomes)
    mean = (p[:, None] * x).sum(axis=0)
    expected = sum(chance * f.value(average) for chance, average in _means(p, x, samples))
    bound = None
    if f.curvature is not None:
        spread = (p[:, None] * (x - mean) ** 2).sum()
        bound = f.curvature * spread / (2 * samples)
    return Bias(f.value(mean), expected, bound)


def bias_of_gradient(f: Scalarisation, probabilities: Any, outcomes: Any, samples: int) -> Array:
    """(m,) E f'(J_n) - f'(J): what stays wrong in the gradient though it is estimated on independent halves."""
    p, x = _law(probabilities, outcomes)
    mean = (p[:, None] * x).sum(axis=0)
    expected = sum((chance * np.asarray(f.slope(average)) for chance, average in _means(p, x, samples)), start=0 * np.asarray(f.slope(mean)))
    return expected - np.asarray(f.slope(mean))


def path_returns(mdp: MDP, rewards: Any, policy: Array, horizon: int) -> tuple[Array, Array]:
    """(probabilities (N,), returns (N, m)): the joint law of the discounted returns of `horizon` steps, equal returns merged."""
    from pgtheory.sampling import all_paths

    table = check_rewards(mdp, rewards)
    paths = all_paths(mdp, policy, horizon, last=False)
    exact = paths.probabilities.dtype == object
    table = rational_array(table) if exact else np.asarray(table, dtype=float)
    discount = mdp.exact.discount if exact else mdp.float.discount
    merged: dict[tuple[Any, ...], Any] = {}
    for states, actions, chance in zip(paths.states, paths.actions, paths.probabilities, strict=True):
        total, worth = table[:, 0, 0] * 0, 1
        for s, a in zip(states, actions, strict=False):
            total = total + worth * table[:, s, a]
            worth = worth * discount
        key = tuple(total)
        merged[key] = merged.get(key, 0) + chance
    kinds = object if exact else float
    return np.array(list(merged.values()), dtype=kinds), np.array(list(merged), dtype=kinds)


def _law(probabilities: Any, outcomes: Any) -> tuple[Array, Array]:
    p, x = np.asarray(probabilities), np.asarray(outcomes)
    if p.dtype.kind in "OUS" or x.dtype.kind in "OUS":
        p, x = rational_array(p), rational_array(x)
    else:
        p, x = p.astype(float), x.astype(float)
    x = x[:, None] if x.ndim == 1 else x
    if p.ndim != 1 or x.ndim != 2 or len(p) != len(x):
        raise ModelError(f"probabilities has shape {p.shape} and outcomes {x.shape}; they must be (N,) and (N, m)")
    total = p.sum()
    if any(q < 0 for q in p.tolist()) or abs(total - 1) > (0 if p.dtype == object else 1e-9):
        raise ModelError(f"probabilities sum to {total}; they must be at least 0 with sum 1")
    return p, x


def _means(p: Array, x: Array, samples: int) -> Any:
    """(chance, mean) of every multiset of `samples` draws."""
    if samples < 1:
        raise ModelError(f"samples is {samples}; it must be at least 1")
    if (samples + 1) ** len(p) > MOST_DRAWS:
        raise ModelError(f"{samples} draws of {len(p)} outcomes are too many to list: (samples + 1)^outcomes must be at most {MOST_DRAWS:,}")
    for counts, orders in zip(*sample_counts(len(p), samples), strict=True):
        chance = p[0] * 0 + int(orders)
        for c, q in zip(counts.tolist(), p, strict=True):
            chance = chance * q**c
        yield chance, sum((c * row for c, row in zip(counts.tolist(), x, strict=True)), start=0 * x[0]) / samples
