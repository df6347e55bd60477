"""Fits of action values for two groups, fitted iterations with errors, and a family of policies under a change of the model."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.quantities.iteration import largest, repeat
from proofs_check.quantities.registry import define, per_instance, per_record
from proofs_check.quantities.structures import occupancy

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


# Nested fits: Q(s, a, z) = f(s, a) + z g(s, a) for two groups z


def _fit(c: Context, shared: bool) -> Array:
    """Least squares of the targets by f + z g, all cells in one system: (B, 2, S*A), the fits of the two groups.

    shared: g is one number for all pairs"""
    counts, targets = c.extra("counts"), c.extra("targets")
    batch, pairs = len(counts), counts.shape[1] * counts.shape[2]
    counts, targets = counts.reshape(batch, pairs, 2), targets.reshape(batch, pairs, 2)
    unknowns = pairs + (1 if shared else pairs)
    rows = np.zeros((pairs, 2, unknowns), dtype=np.int64)
    for k in range(pairs):
        rows[k, :, k] = 1
        rows[k, 1, pairs if shared else pairs + k] = 1
    design = c.constant(rows)
    normal = np.einsum("kzi,nkz,kzj->nij", design, counts, design)
    right = np.einsum("kzi,nkz,nkz->ni", design, counts, targets)
    return np.einsum("kzi,ni->nzk", design, arithmetic.solve(normal, right))


@define("nested_fit", r"(f,\,f+g)", "instance", "group-state-action triples")
def _nested_fit(c: Context) -> Array:
    """What the least squares fit of f + z g gives for both groups, in reward units."""
    return _fit(c, shared=False).reshape(len(c.discount), 1, -1)


@define("shared_fit", r"(f,\,f+z\,c)", "instance", "group-state-action triples")
def _shared_fit(c: Context) -> Array:
    """What the least squares fit gives if the groups differ by one number only, in reward units."""
    return _fit(c, shared=True).reshape(len(c.discount), 1, -1)


@define("group_means", r"(\bar y_0,\,\bar y_1)", "instance", "group-state-action triples")
def _group_means(c: Context) -> Array:
    """Mean target of each group in each pair, in reward units."""
    return np.moveaxis(c.extra("targets"), -1, 1).reshape(len(c.discount), 1, -1)


def _fitted(c: Context) -> Array:
    """Q_k with Q_{k+1} = T Q_k plus the k-th given error, (B, S, A)."""
    errors = c.extra("fit_errors")

    def iteration(table: Array, k: int) -> Array:
        ahead = np.einsum("bsat,bt->bsa", c.transitions, arithmetic.maximum(table, axis=-1))
        return c.rewards + c.discount[:, None, None] * ahead + errors[:, min(k, errors.shape[1] - 1)]

    return repeat(c, "backups", c.extra("Q"), iteration)


def _table_gap(c: Context, table: Array) -> Array:
    return largest((table - c.optimum.action_values).reshape(len(table), -1))


@define("fitted_gap", r"\|Q_k-Q^*\|_\infty", "instance")
def _fitted_gap(c: Context) -> Array:
    """Largest error of the action values after k rounds of fitted Q iteration, in reward units."""
    return _table_gap(c, _fitted(c))


@define("fitted_gap_0", r"\|Q_0-Q^*\|_\infty", "instance")
def _fitted_gap_start(c: Context) -> Array:
    """Largest error of the action values at the start, in reward units."""
    return _table_gap(c, c.extra("Q"))


@define("largest_fit_error", r"\max_j\|\varepsilon_j\|_\infty", "instance")
def _largest_fit_error(c: Context) -> Array:
    """Largest error of a fit, in reward units."""
    return largest(c.extra("fit_errors").reshape(len(c.discount), -1))


# A model that changes on some state-action pairs, and a family of policies


def _mask(c: Context) -> Array:
    """Zeros and ones (B, S, A): the pairs that change."""
    return c.constant((2 * c.extra("changed") >= 1).astype(np.int64))


def _changed(c: Context) -> Context:
    """The model with other transitions and rewards on the changed pairs."""
    mask = _mask(c)
    transitions = mask[..., None] * c.extra("new_transitions") + (1 - mask)[..., None] * c.transitions
    rewards = mask * c.extra("new_rewards") + (1 - mask) * c.rewards
    return dataclasses.replace(c, transitions=transitions, rewards=rewards, given_optimum=None)


def _under_mu(c: Context, model: Context) -> Array:
    return (model.values[:, c.now] * c.mu[:, None]).sum(axis=-1)


@define("change_of_value", r"\left|V_{M'}^\pi(\mu)-V_M^\pi(\mu)\right|", "step")
def _change_of_value(c: Context) -> Array:
    """By how much the policy's value under mu differs between the two models, in reward units."""
    return per_record(arithmetic.absolute(_under_mu(c, _changed(c)) - _under_mu(c, c)))


@define("visits_of_change", r"x^\pi(C)", "step")
def _visits_of_change(c: Context) -> Array:
    """Share of the policy's occupancy on the pairs that change."""
    return per_record((occupancy(c) * _mask(c)[:, None]).sum(axis=(-1, -2)))


def _family(c: Context) -> Context:
    """The policies of the given family as records, (B, F, S, A)."""
    family = c.extra("family")
    return dataclasses.replace(c, policies=family, logits=None, minima=None, times=np.arange(family.shape[1]), pairs=False)


@define("best_of_family_after", r"\max_{\pi\in\Pi}V_{M'}^\pi(\mu)", "instance")
def _best_of_family_after(c: Context) -> Array:
    """Value of the best policy of the family in the changed model, in reward units."""
    family = _family(c)
    return per_instance(arithmetic.maximum(_under_mu(family, _changed(family)), axis=-1))


@define("worst_of_family_before", r"\min_{\pi\in\Pi}V_M^\pi(\mu)", "instance")
def _worst_of_family_before(c: Context) -> Array:
    """Value of the worst policy of the family in the first model: V* less the epsilon within which all are optimal, in reward units."""
    family = _family(c)
    return per_instance(arithmetic.minimum(_under_mu(family, family), axis=-1))


@define("least_visits_of_change", r"\min_{\pi\in\Pi}x^\pi(C)", "instance")
def _least_visits_of_change(c: Context) -> Array:
    """Smallest share of the occupancy of any policy of the family on the pairs that change."""
    family = _family(c)
    return per_instance(arithmetic.minimum(_visits_of_change(family)[..., 0], axis=-1))
