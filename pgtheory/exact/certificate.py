"""Checks a claimed optimum in exact arithmetic, without trusting whoever computed it.

Shares no code with the solvers: it reads the model's own rationals and adds, multiplies and compares fractions.  Two proofs are checked.

**Bellman.**  If V(s) >= r(s, a) + gamma sum_s' P(s'|s, a) V(s') for every pair, then V >= T V >= T^2 V >= ... -> V*, so V >= V*.  If equality
holds for the pair (s, pi(s)) in every state, V is the value of pi, so V <= V*.  Together V = V*.

**Linear programming.**  x >= 0 on pairs with  sum_a x(s, a) - gamma sum_(s', a') P(s | s', a') x(s', a') = (1 - gamma) rho(s)  is a feasible point of
the dual program; weak duality bounds E_rho V* by <x, r> / (1 - gamma) from below, and V, feasible for the primal, bounds it from above by E_rho V.
Equal objectives prove E_rho V* a second time.

Source: Puterman (2005), Theorem 6.2.2 and section 6.9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Certificate:
    """values (S,) of `flint.fmpq`; actions (S,) integers; occupancy (pairs,) of fmpq for the start distribution, sums to 1, or None."""

    values: Array
    actions: Array
    occupancy: Array | None = None


class CertificateError(ValueError):
    """A certificate does not prove its claim: the message names the first state, action and figure that fail."""


def check_certificate(mdp: Any, certificate: Certificate) -> Array:
    """Checks both proofs on `mdp.exact`; returns the (S, A) mask of all optimal actions, which the check yields by the way.

    raises   CertificateError: the first inequality or equation that fails
    """
    model = mdp.exact
    values, actions = list(certificate.values), [int(a) for a in certificate.actions]
    states = model.num_states
    if len(values) != states or len(actions) != states:
        raise CertificateError(f"the certificate has {len(values)} values and {len(actions)} actions for {states} states")
    rows, paid, gamma = _sparse_rows(model), model.pair_rewards.tolist(), model.discount
    denominator = _common_denominator(values)
    numerators = [(v * denominator).p for v in values]
    mask = np.zeros((states, model.num_actions), dtype=bool)
    for s in range(states):
        first, last = int(model.first_pair[s]), int(model.first_pair[s + 1])
        if not 0 <= actions[s] < last - first:
            raise CertificateError(f"state {s} has no action {actions[s]}")
        for pair in range(first, last):
            gain = _scaled_gain(rows[pair], paid[pair], gamma, numerators, denominator, s)
            if gain > 0:
                more = paid[pair] + gamma * sum((p * values[j] for j, p in rows[pair]), 0 * gamma) - values[s]
                raise CertificateError(f"V is too small in state {s}: action {pair - first} gives {float_text(more)} more")
            mask[s, pair - first] = gain == 0
        if not mask[s, actions[s]]:
            raise CertificateError(f"action {actions[s]} of the policy does not attain V in state {s}")
    if certificate.occupancy is not None:
        _check_dual(model, rows, paid, list(certificate.occupancy), values)
    return mask


def _scaled_gain(row: list[tuple[int, Any]], paid: Any, gamma: Any, numerators: list[Any], denominator: Any, state: int) -> Any:
    """A positive multiple of r + gamma P V - V(state), in integers: no long fraction is ever reduced."""
    scale = _common_denominator([p for _, p in row])
    expected = sum((p.p * (scale // p.q) * numerators[j] for j, p in row), 0 * denominator)
    return scale * gamma.q * (paid.p * denominator - paid.q * numerators[state]) + gamma.p * paid.q * expected


def _check_dual(model: Any, rows: list[list[tuple[int, Any]]], paid: list[Any], occupancy: list[Any], values: list[Any]) -> None:
    gamma, start = model.discount, model.start.tolist()
    if len(occupancy) != len(paid):
        raise CertificateError(f"the occupancy has {len(occupancy)} entries for {len(paid)} pairs")
    denominator = _common_denominator(occupancy)
    numerators = [(x * denominator).p for x in occupancy]
    arrivals = [0 * gamma for _ in start]
    balance = [-(1 - gamma) * p * denominator for p in start]
    objective = 0 * gamma
    for s in range(model.num_states):
        for pair in range(int(model.first_pair[s]), int(model.first_pair[s + 1])):
            x = numerators[pair]
            if x < 0:
                raise CertificateError(f"the occupancy of pair {pair} (state {s}) is negative: {float_text(occupancy[pair])}")
            if x == 0:
                continue
            balance[s] += x
            objective += x * paid[pair]
            for successor, p in rows[pair]:
                arrivals[successor] += p * x
    for s, left in enumerate(balance):
        if left != gamma * arrivals[s]:
            raise CertificateError(f"flow into and out of state {s} differs by {float_text((left - gamma * arrivals[s]) / denominator)}")
    primal = (1 - gamma) * sum((p * v for p, v in zip(start, values, strict=True)), 0 * gamma)
    if objective != primal * denominator:
        raise CertificateError(f"the dual objective differs from the primal one by {float_text(objective / denominator - primal)}")


def _sparse_rows(model: Any) -> list[list[tuple[int, Any]]]:
    """Nonzero (successor, probability) of every pair; refuses rows that are no distribution."""
    choices = model.choices
    if hasattr(choices, "indptr"):
        bounds = zip(choices.indptr[:-1], choices.indptr[1:], strict=True)
        rows = [[(int(choices.indices[k]), choices.data[k]) for k in range(b, e)] for b, e in bounds]
    else:
        rows = [[(int(j), row[j]) for j in np.flatnonzero(row != 0)] for row in choices]
    for pair, row in enumerate(rows):
        if any(p < 0 for _, p in row) or sum((p for _, p in row), 0 * row[0][1]) != 1:
            raise CertificateError(f"row {pair} of the model is no distribution")
    return rows


def _common_denominator(values: list[Any]) -> Any:
    common = values[0].q
    for v in values[1:]:
        common = common.lcm(v.q)
    return common


def float_text(value: Any) -> str:
    """A rational of any length as a short decimal."""
    digits = int((abs(value.p).bit_length() - value.q.bit_length()) * 0.30103)
    return f"{int(value.p) / int(value.q):.3g}" if abs(digits) < 300 else f"{'-' if value < 0 else ''}1e{digits:+d} or so"
