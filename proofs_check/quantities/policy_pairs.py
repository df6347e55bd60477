"""Two policies of one model: performance difference and what surrounds it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check import expression
from proofs_check.quantities.registry import define, per_record

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


@define("other_value_difference", r"V^{\pi'}(\mu) - V^{\pi}(\mu)", "step")
def _other_value_difference(c: Context) -> Array:
    """Value of the second policy minus that of the first from mu, in reward units."""
    second = second_policy(c)
    return per_record(((second.values - c.values[:, c.now]) * c.mu[:, None]).sum(axis=-1))


@define("advantage_under_other_visits", r"\sum_s d^{\pi'}_\mu(s)\sum_a \pi'(a|s)A^{\pi}(s,a)", "step")
def _advantage_under_other_visits(c: Context) -> Array:
    """Advantage of the second policy over the first, averaged over the visits of the second, in reward units."""
    second = second_policy(c)
    gain = (second.policies * c.advantages[:, c.now]).sum(axis=-1)
    return per_record((second.visits_mu * gain).sum(axis=-1))


@define("advantage_under_own_visits", r"\sum_s d^{\pi}_\mu(s)\sum_a \pi'(a|s)A^{\pi}(s,a)", "step")
def _advantage_under_own_visits(c: Context) -> Array:
    """Advantage of the second policy over the first, averaged over the visits of the first, in reward units."""
    gain = (second_policy(c).policies * c.advantages[:, c.now]).sum(axis=-1)
    return per_record((c.visits_mu[:, c.now] * gain).sum(axis=-1))


@define("policy_change_under_other_values", r"\sum_s d^{\pi}_\mu(s)\sum_a (\pi'-\pi)(a|s)\,Q^{\pi'}(s,a)", "step")
def _policy_change_under_other_values(c: Context) -> Array:
    """Change of policy weighted with the second policy's action values, averaged over the visits of the first, in reward units."""
    second = second_policy(c)
    change = ((second.policies - c.policies[:, c.now]) * second.action_values).sum(axis=-1)
    return per_record((c.visits_mu[:, c.now] * change).sum(axis=-1))


def second_policy(c: Context) -> Context:
    if c.other is None:
        raise expression.ExpressionError('the statement compares two policies and its domain has one; give the domain other="any"')
    return dataclasses.replace(c, policies=c.other[:, None], logits=None, minima=None, times=c.times[:1], pairs=False)


@define("visitation_difference", r"\|d^{\pi}_\mu-d^{\pi'}_\mu\|_1", "step")
def _visitation_difference(c: Context) -> Array:
    """Sum over the states of the difference of the two policies' discounted visits."""
    return per_record(arithmetic.absolute(c.visits_mu[:, c.now] - second_policy(c).visits_mu).sum(axis=-1))


@define("mean_policy_difference", r"\mathbb{E}_{s\sim d^\pi_\mu}\|\pi(\cdot|s)-\pi'(\cdot|s)\|_1", "step")
def _mean_policy_difference(c: Context) -> Array:
    """Difference of the two policies in the 1-norm, averaged over the visits of the first."""
    apart = arithmetic.absolute(c.policies[:, c.now] - second_policy(c).policies).sum(axis=-1)
    return per_record((c.visits_mu[:, c.now] * apart).sum(axis=-1))
