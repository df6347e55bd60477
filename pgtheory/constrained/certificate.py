"""Checks a claimed constrained optimum, or a claimed conflict of constraints, in exact arithmetic, without trusting whoever computed it.

Shares no code with the solvers: it reads the model's own rationals, and adds, multiplies and compares fractions.

**Optimum.**  With x >= 0 on pairs, flow  sum_a x(s, a) - gamma sum P(s | .) x = (1 - gamma) rho(s)  and  <x, c_i> <= (1 - gamma) b_i,  x is the
occupancy of a policy that meets the constraints and is worth <x, r> / (1 - gamma).  With lambda >= 0 and  V(s) >= r - sum_i lambda_i c_i + gamma P
V  for every pair, no policy that meets them is worth more than  <rho, V> + <lambda, b>  (weak duality: V bounds the value of the Lagrangian from
above).  Equality proves both optimal.

**Conflict.**  With y >= 0 and  V(s) <= sum_i y_i c_i + gamma P V  for every pair, every policy has  sum_i y_i V_(c_i)(rho) >= <rho, V>.  If that
is more than <y, b>, no policy meets the constraints with y_i > 0 together (Farkas).

Constraints written with ">=" take part with cost -c_i and threshold -b_i.
Source: Altman (1999), chapter 3; derived in docs/theory/constrained.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pgtheory.exact.certificate import CertificateError, float_text, sparse_rows

Array = np.ndarray


@dataclass(frozen=True)
class ConstrainedCertificate:
    """occupancy (pairs,) sums to 1; multipliers (m,) at least 0; values (S,): all of `flint.fmpq`."""

    occupancy: Array
    multipliers: Array
    values: Array


@dataclass(frozen=True)
class FarkasCertificate:
    """multipliers (m,) at least 0, above 0 for the constraints in conflict; values (S,), a lower bound on the least combined cost; all fmpq."""

    multipliers: Array
    values: Array


def check_constrained(model: Any, certificate: ConstrainedCertificate) -> Any:
    """The optimum V_r*(rho), as fmpq, if every inequality of the certificate holds on `model.exact`.

    raises   CertificateError: the first that fails, with its place and by how much
    """
    exact = model.exact
    mdp, costs, bounds = exact.mdp, *_upper(exact)
    gamma = mdp.discount
    rows = sparse_rows(mdp)
    paid, start = mdp.pair_rewards.tolist(), mdp.start.tolist()
    prices = _numbers(certificate.multipliers, len(bounds), "multipliers")
    values = _numbers(certificate.values, mdp.num_states, "values")
    frequency = _numbers(certificate.occupancy, len(paid), "entries of the occupancy")
    _nonnegative(prices, "multiplier")
    _nonnegative(frequency, "the occupancy of pair")
    balance = [-(1 - gamma) * p for p in start]
    for state, pair in _pairs(mdp):
        balance[state] += frequency[pair]
        for successor, p in rows[pair]:
            balance[successor] -= gamma * p * frequency[pair]
        gain = paid[pair] - sum((q * c[pair] for q, c in zip(prices, costs, strict=True)), 0 * gamma)
        gain += gamma * sum((p * values[t] for t, p in rows[pair]), 0 * gamma) - values[state]
        if gain > 0:
            raise CertificateError(f"V is too small in state {state}: action {pair - int(mdp.first_pair[state])} gives {float_text(gain)} more")
    for state, left in enumerate(balance):
        if left != 0:
            raise CertificateError(f"flow into and out of state {state} differs by {float_text(left)}")
    for name, cost, bound in zip(exact.names, costs, bounds, strict=True):
        excess = sum((x * c for x, c in zip(frequency, cost, strict=True)), 0 * gamma) - (1 - gamma) * bound
        if excess > 0:
            raise CertificateError(f"the occupancy exceeds the threshold of {name!r} by {float_text(excess / (1 - gamma))}")
    reached = sum((x * r for x, r in zip(frequency, paid, strict=True)), 0 * gamma) / (1 - gamma)
    bound = sum((p * v for p, v in zip(start, values, strict=True)), 0 * gamma) + sum((q * b for q, b in zip(prices, bounds, strict=True)), 0 * gamma)
    if reached != bound:
        raise CertificateError(f"the policy is worth {float_text(bound - reached)} less than the bound of the multipliers")
    return reached


def check_farkas(model: Any, certificate: FarkasCertificate) -> Any:
    """By how much <rho, V> exceeds <y, b> (fmpq, above 0), if the certificate proves that the constraints with y_i > 0 cannot be met together.

    raises   CertificateError: the first inequality that fails
    """
    exact = model.exact
    mdp, costs, bounds = exact.mdp, *_upper(exact)
    gamma = mdp.discount
    rows = sparse_rows(mdp)
    weights = _numbers(certificate.multipliers, len(bounds), "multipliers")
    values = _numbers(certificate.values, mdp.num_states, "values")
    _nonnegative(weights, "multiplier")
    for state, pair in _pairs(mdp):
        cost = sum((y * c[pair] for y, c in zip(weights, costs, strict=True)), 0 * gamma)
        excess = values[state] - cost - gamma * sum((p * values[t] for t, p in rows[pair]), 0 * gamma)
        if excess > 0:
            raise CertificateError(f"V is too large in state {state}: action {pair - int(mdp.first_pair[state])} costs {float_text(excess)} less")
    least = sum((p * v for p, v in zip(mdp.start.tolist(), values, strict=True)), 0 * gamma)
    allowed = sum((y * b for y, b in zip(weights, bounds, strict=True)), 0 * gamma)
    if least <= allowed:
        raise CertificateError(f"the least combined cost does not exceed the combined threshold: {float_text(least - allowed)}")
    return least - allowed


def _upper(exact: Any) -> tuple[list[list[Any]], list[Any]]:
    """Costs and thresholds of the constraints read as "<=": both with the other sign where the direction is ">="."""
    signs = [-1 if direction == ">=" else 1 for direction in exact.directions]
    return [[sign * c for c in row] for sign, row in zip(signs, exact.costs.tolist(), strict=True)], [
        sign * b for sign, b in zip(signs, exact.thresholds.tolist(), strict=True)
    ]


def _pairs(mdp: Any) -> list[tuple[int, int]]:
    return [(s, k) for s in range(mdp.num_states) for k in range(int(mdp.first_pair[s]), int(mdp.first_pair[s + 1]))]


def _numbers(values: Any, count: int, what: str) -> list[Any]:
    numbers = list(values)
    if len(numbers) != count or not all(hasattr(v, "q") for v in numbers):
        raise CertificateError(f"the certificate has {len(numbers)} {what}, or some that are no fractions; there must be {count}")
    return numbers


def _nonnegative(numbers: list[Any], what: str) -> None:
    for k, x in enumerate(numbers):
        if x < 0:
            raise CertificateError(f"{what} {k} is negative: {float_text(x)}")
