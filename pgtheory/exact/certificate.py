"""Checks a claimed optimum of a discounted model in exact arithmetic, without trusting whoever computed it.

Shares no code with the solvers: it reads the model's own rationals and adds, multiplies and compares fractions.  What is checked:

**Bellman.**  If U(s) >= r(s, a) + gamma sum_s' P(s'|s, a) U(s') for every pair, then U >= T U >= T^2 U >= ... -> V*, so U >= V*.  If
L(s) <= r(s, pi(s)) + gamma sum_s' P(s'|s, pi(s)) L(s') in every state, then L <= V_pi <= V* in the same way.  (`Bounds`.)  With U = L = V both
together say that V = V*.  (`Certificate`.)

**Linear programming.**  x >= 0 on pairs with  sum_a x(s, a) - gamma sum_(s', a') P(s | s', a') x(s', a') = (1 - gamma) rho(s)  is a feasible point of
the dual program; weak duality bounds E_rho V* by <x, r> / (1 - gamma) from below, and V, feasible for the primal, bounds it from above by E_rho V.
Equal objectives prove E_rho V* a second time.

The certificates of the other criteria are in `undiscounted_certificate.py`; `check_certificate` takes all of them.

Source: Puterman (2005), Theorem 6.2.2 and section 6.9.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
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


@dataclass(frozen=True)
class Bounds:
    """lower (S,) and upper (S,) of `flint.fmpq` around V*; actions (S,): the policy that is worth at least `lower`."""

    lower: Array
    upper: Array
    actions: Array


class CertificateError(ValueError):
    """A certificate does not prove its claim: the message names the first state, action and figure that fail."""


def check_certificate(problem: Any, certificate: Any) -> Any:
    """Checks every inequality of the certificate on the exact form of the problem.

    problem      the MDP, FiniteHorizon or game that the certificate is about (only `problem.exact` is read)
    certificate  Certificate, Bounds, or one of `undiscounted_certificate`
    returns      (S, A) booleans: the actions that the certificate does not prove to be worse than others; for exact values those that attain the
                 Bellman equation.  A list of them, one for each step, for a finite horizon; None for a game
    raises       CertificateError: the first inequality or equation that fails
    """
    if isinstance(certificate, Certificate):
        return _check_exact(problem.exact, certificate)
    if isinstance(certificate, Bounds):
        return _check_bounds(problem.exact, certificate)
    undiscounted = importlib.import_module("pgtheory.exact.undiscounted_certificate")
    return undiscounted.check(problem, certificate)


def _check_exact(model: Any, certificate: Certificate) -> Array:
    mask = _check_bounds(model, Bounds(certificate.values, certificate.values, certificate.actions))
    if certificate.occupancy is not None:
        _check_dual(model, sparse_rows(model), model.pair_rewards.tolist(), list(certificate.occupancy), list(certificate.values))
    return mask


def _check_bounds(model: Any, bounds: Bounds) -> Array:
    rows, paid, gamma = sparse_rows(model), model.pair_rewards.tolist(), model.discount
    actions = checked_actions(bounds.actions, model)
    same = bounds.lower is bounds.upper
    low = Vector(bounds.lower, model.num_states, "lower bounds")
    high = low if same else Vector(bounds.upper, model.num_states, "upper bounds")
    mask = np.zeros((model.num_states, model.num_actions), dtype=bool)
    for s in range(model.num_states):
        first, last = int(model.first_pair[s]), int(model.first_pair[s + 1])
        for pair in range(first, last):
            gain = high.gain(rows[pair], paid[pair], gamma, s)
            if gain > 0:
                more = high.ahead(rows[pair], paid[pair], gamma) - high.values[s]
                raise CertificateError(f"V is too small in state {s}: action {pair - first} gives {float_text(more)} more")
            mask[s, pair - first] = gain == 0 if same else high.ahead(rows[pair], paid[pair], gamma) >= low.values[s]
        chosen = first + actions[s]
        if low.gain(rows[chosen], paid[chosen], gamma, s) < 0:
            less = low.values[s] - low.ahead(rows[chosen], paid[chosen], gamma)
            raise CertificateError(f"action {actions[s]} of the policy does not attain V in state {s}: it gives {float_text(less)} less")
    return mask


class Vector:
    """Rational values over one common denominator: a Bellman inequality then is a comparison of whole numbers, and no long fraction is reduced."""

    def __init__(self, values: Any, size: int, what: str) -> None:
        self.values = list(values)
        if len(self.values) != size or not all(hasattr(v, "q") for v in self.values):
            raise CertificateError(f"the certificate has {len(self.values)} {what} for {size} states, or some that are no fractions")
        self.denominator = common_denominator(self.values)
        self.numerators = [v.p * (self.denominator // v.q) for v in self.values]

    def gain(self, row: list[tuple[int, Any]], paid: Any, gamma: Any, state: int) -> Any:
        """A positive multiple of r + gamma P V - V(state)."""
        scale = common_denominator([p for _, p in row])
        expected = sum((p.p * (scale // p.q) * self.numerators[j] for j, p in row), 0 * self.denominator)
        return scale * gamma.q * (paid.p * self.denominator - paid.q * self.numerators[state]) + gamma.p * paid.q * expected

    def ahead(self, row: list[tuple[int, Any]], paid: Any, gamma: Any) -> Any:
        """r + gamma P V."""
        return paid + gamma * sum((p * self.values[j] for j, p in row), 0 * gamma)


def checked_actions(actions: Any, model: Any) -> list[int]:
    """One existing action for every state."""
    chosen = [int(a) for a in actions]
    if len(chosen) != model.num_states:
        raise CertificateError(f"the certificate has {len(chosen)} actions for {model.num_states} states")
    for s, action in enumerate(chosen):
        if not 0 <= action < int(model.first_pair[s + 1]) - int(model.first_pair[s]):
            raise CertificateError(f"state {s} has no action {action}")
    return chosen


def _check_dual(model: Any, rows: list[list[tuple[int, Any]]], paid: list[Any], occupancy: list[Any], values: list[Any]) -> None:
    gamma, start = model.discount, model.start.tolist()
    if len(occupancy) != len(paid):
        raise CertificateError(f"the occupancy has {len(occupancy)} entries for {len(paid)} pairs")
    denominator = common_denominator(occupancy)
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


def sparse_rows(model: Any) -> list[list[tuple[int, Any]]]:
    """Nonzero (successor, probability) of every pair; refuses rows that are no distribution."""
    choices = model.choices
    if hasattr(choices, "indptr"):
        bounds = zip(choices.indptr[:-1].tolist(), choices.indptr[1:].tolist(), strict=True)
        indices, data = choices.indices.tolist(), choices.data.tolist()
        rows = [[(indices[k], data[k]) for k in range(b, e) if data[k] != 0] for b, e in bounds]
    else:
        rows = [[(int(j), row[j]) for j in np.flatnonzero(row != 0)] for row in choices]
    for pair, row in enumerate(rows):
        if not row or any(p < 0 for _, p in row) or sum((p for _, p in row), 0 * row[0][1]) != 1:
            raise CertificateError(f"row {pair} of the model is no distribution")
    return rows


def common_denominator(values: Sequence[Any]) -> Any:
    """The least common denominator of rationals."""
    common = values[0].q
    for v in values[1:]:
        if common % v.q != 0:
            common = common.lcm(v.q)
    return common


def float_text(value: Any) -> str:
    """A rational of any length as a short decimal."""
    digits = int((abs(value.p).bit_length() - value.q.bit_length()) * 0.30103)
    return f"{int(value.p) / int(value.q):.3g}" if abs(digits) < 300 else f"{'-' if value < 0 else ''}1e{digits:+d} or so"
