"""The worst distribution in an ambiguity set against given values: sigma(v) = min over q of q . v.

    values, kernels = worst_l1(p, v, radius)                  any leading dimensions, one function a set
    values, kernels = worst_case(robust, v)                   (S, A) and (S, A, S') for a `RobustMDP` with an (s, a)-rectangular set

sigma is concave, monotone and translation-equivariant in v, hence |sigma(v) - sigma(v')| <= |v - v'|_inf, and convex and falling in the radius.  The
sets with flat sides are solved by sorting, exactly in rationals (`polyhedral`), those with curved sides by their dual in float64 (`smooth`).  Balls
are enclosed (`enclosures`): `worst_rows(KL(0.1), p, v, radius)` with p, v or radius in balls contains the minimum for every number in them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mdps.ambiguity.balls import Ball, exact_numbers, float_numbers
from mdps.errors import ModelError
from mdps.robust import RobustMDP
from pgtheory.arithmetic import balls, kind, minimum
from pgtheory.robust.duals import intervals
from pgtheory.robust.polyhedral import (
    worst_contamination,
    worst_finite,
    worst_intervals,
    worst_l1,
    worst_linf,
    worst_tv,
    worst_wasserstein,
    worst_weighted_l1,
)
from pgtheory.robust.smooth import entropic, worst_chi2, worst_kl, worst_l2

Array = np.ndarray
__all__ = [
    *("entropic", "worst_case", "worst_chi2", "worst_contamination", "worst_finite", "worst_intervals", "worst_kl", "worst_l1", "worst_l2"),
    *("worst_linf", "worst_tv", "worst_wasserstein", "worst_weighted_l1", "worst_rows", "prices_of_weights"),
]


def worst_rows(ambiguity: Any, p: Array, v: Array, radius: Any) -> tuple[Array, Array]:
    """sigma and its kernels for rows p (..., n) of one ball (`mdps.ambiguity.Ball`, or `KLPenalty` with radius = beta), v (..., n), radius (...)."""
    if "ball" in (kind(p), kind(v), kind(radius)):
        from pgtheory.robust.enclosures import enclose_rows

        return enclose_rows(ambiguity, p, v, radius)
    exact = np.asarray(p).dtype == object
    numbers = exact_numbers if exact else float_numbers
    name = ambiguity.name
    if name in ("kl", "chi2", "entropic"):
        return {"kl": worst_kl, "chi2": worst_chi2, "entropic": entropic}[name](p, v, radius)
    if name == "wasserstein":
        return worst_wasserstein(p, v, radius, numbers(ambiguity.cost), ambiguity.support)
    if name == "l1" and ambiguity.weights is not None:
        return worst_weighted_l1(p, v, radius, numbers(ambiguity.weights), ambiguity.support)
    plain = {"l1": worst_l1, "tv": worst_tv, "l2": worst_l2, "linf": worst_linf, "contamination": worst_contamination}
    return plain[name](p, v, radius, ambiguity.support)


def worst_case(robust: RobustMDP, values: Array) -> tuple[Array, Array]:
    """sigma (S, A) and the kernels (S, A, S') that attain it, for the values (S,) of a model with an (s, a)-rectangular set (or none) of kernels.

    Rational values with a set with flat sides: exact, in the rationals of `robust.nominal.exact`.
    raises   ModelError: the set is s-rectangular or not rectangular, where the worst case depends on the policy
    """
    values = np.asarray(values)
    if kind(values) == "ball":
        return _enclosed(robust, values)
    exact = values.dtype == object
    nominal = robust.nominal.exact if exact else robust.nominal
    ambiguity, p = robust.transition_set, nominal.transitions
    if ambiguity is None:
        return (p * values).sum(axis=-1), p
    if ambiguity.rectangular != "sa":
        raise ModelError(f"the worst case of a set with rectangular={ambiguity.rectangular!r} depends on the policy; see pgtheory.robust.evaluation")
    mask = robust.nominal.action_mask
    if mask.all():
        return _by_pairs(ambiguity, nominal, p, values, exact)
    rows = np.where(mask[..., None], p, _first_state(p))
    sigma, kernels = _by_pairs(ambiguity, nominal, rows, values, exact)
    return np.where(mask, sigma, sigma * 0), np.where(mask[..., None], kernels, kernels * 0)


def _enclosed(robust: RobustMDP, values: Array) -> tuple[Array, Array]:
    """`worst_case` for values in balls."""
    nominal, ambiguity = robust.nominal.exact, robust.transition_set
    p = balls(nominal.transitions)
    if ambiguity is None:
        return (p * values).sum(axis=-1), p
    if ambiguity.rectangular != "sa":
        raise ModelError(f"the worst case of a set with rectangular={ambiguity.rectangular!r} depends on the policy; see pgtheory.robust.evaluation")
    if not nominal.is_rectangular:
        raise ModelError("balls need a model with the same number of actions in every state")
    if ambiguity.name == "finite":
        expected = (balls(ambiguity.matrices(exact=True)) * values).sum(axis=-1)  # type: ignore[attr-defined]
        _, kernels = worst_finite(ambiguity.matrices(), np.array([float(x.mid()) for x in values]))  # type: ignore[attr-defined]
        return minimum(expected, axis=0), balls(kernels)
    if ambiguity.name == "intervals":
        low, high = (balls(ends) for ends in ambiguity.ends(exact=True))  # type: ignore[attr-defined]
        sigma = np.empty(low.shape[:2], dtype=object)
        for index in np.ndindex(sigma.shape):
            sigma[index] = intervals(low[index].tolist(), high[index].tolist(), values.tolist())
        _, kernels = worst_intervals(*ambiguity.ends(), np.array([float(x.mid()) for x in values]))  # type: ignore[attr-defined]
        return sigma, balls(kernels)
    return worst_rows(ambiguity, p, values, balls(ambiguity.radii(robust.nominal, exact=True)))  # type: ignore[attr-defined]


def _first_state(p: Array) -> Array:
    """A distribution to stand where a state has no such action: surely to state 0."""
    out = p[0, 0] * 0
    out[0] = out[0] + 1
    return out


def _by_pairs(ambiguity: Any, nominal: Any, p: Array, values: Array, exact: bool) -> tuple[Array, Array]:
    if ambiguity.name == "finite":
        return worst_finite(ambiguity.matrices(exact), values)
    if ambiguity.name == "intervals":
        return worst_intervals(*ambiguity.ends(exact), values)
    if isinstance(ambiguity, Ball) or ambiguity.name == "entropic":
        return worst_rows(ambiguity, p, values, ambiguity.radii(nominal, exact))
    raise ModelError(f"{type(ambiguity).__name__} is no set of kernels")
