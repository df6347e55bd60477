"""The gradient of worst-case values, what it dominates, and nature's own gradient, for L1 balls around the rows.

J(pi) = min over kernels of V^{pi,P}(mu).  Worst kernels change with the policy, and J has kinks where they do.  Its directional derivatives are
found here without any gradient, by differentiating the robust Bellman equation: the values V and their rates of change W along a direction h obey

    W(s) = sum_a h(a|s) Q(s, a) + gamma sum_a pi(a|s) min over the rows q that are worst for V of q . W
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from pgtheory.robust.nature import ball_answer, greedy
from proofs_check.expression import ExpressionError
from proofs_check.quantities.registry import define, per_instance
from proofs_check.quantities.robust_operators import some_kernel
from proofs_check.robust import against, beside, exactly_known, radii_answer, robust, robust_optimum

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
ROUNDS = 100
"""Rounds in which the rows that are worst for V and then for W are found."""


def other_policy(c: Context) -> Array:
    """The second policy as records, (B, 1, S, A)."""
    if c.other is None:
        raise ExpressionError('the statement compares two policies and its domain has one; give the domain other="any"')
    return c.other[:, None]


def at(c: Context, policies: Array, kernels: Array, start: Array) -> tuple[Array, Array, Array]:
    """(V (B, R, S), visits from `start` normalised to 1 (B, R, S), Q (B, R, S, A)) of policies in kernels (B, R, S, A, S')."""
    rewards, gamma = c.rewards[:, None], beside(c.discount)
    values, visits = arithmetic.policy_values_and_visits(policies, kernels, rewards, gamma, start[:, None])
    return values, visits * (1 - gamma[..., 0]), arithmetic.lookahead(kernels, rewards, gamma, values)


def total(values: Array) -> Array:
    """(B, 1, ...) -> (B, 1, 1): the sum over everything else."""
    return per_instance(values.reshape(len(values), -1).sum(axis=-1))


def greatest(values: Array) -> Array:
    """(B, 1, ...) -> (B, 1, 1)."""
    return per_instance(values.reshape(len(values), -1).max(axis=-1))


# Directional derivatives


def directional_derivative(c: Context, direction: Array) -> Array:
    """dJ / dh from above at the policy of the context, (B, 1, 1); direction (B, S, A)."""
    worst, gamma = robust(c), c.discount[:, None]
    policy = c.policies[:, 0]
    values = worst.values[:, 0]
    pushed = (direction * worst.action_values[:, 0]).sum(axis=-1)
    slopes = values * 0
    for _ in range(ROUNDS):
        rows = _worst_twice(c, values, slopes)
        chain = (policy[..., None] * rows).sum(axis=-2) * -c.discount[:, None, None]
        states = np.arange(chain.shape[-1])
        chain[..., states, states] = chain[..., states, states] + 1
        found = arithmetic.solve(chain, pushed)
        if c.kind == "float":
            if np.abs(found - slopes).max() <= 1e-12 * max(1.0, np.abs(found).max()):
                return total(((found + 0 * gamma) * c.mu)[:, None])
        elif (found == slopes).all():
            return total((found * c.mu)[:, None])
        slopes = found
    raise arithmetic.Undecided("the rows that are worst for the values and then for their slopes were not found")


def _worst_twice(c: Context, values: Array, slopes: Array) -> Array:
    """Among the rows that are worst for `values` those that are worst for `slopes`, (B, S, A, S'): mass is taken by falling value, then by falling
    slope, and goes to the least slope among the least values."""
    out = np.empty_like(c.transitions)
    half = c.extra("radii") / 2
    for b in range(len(values)):
        pairs = list(zip(values[b].tolist(), slopes[b].tolist(), strict=True))
        rank = np.empty(len(pairs), dtype=np.int64)
        rank[sorted(range(len(pairs)), key=pairs.__getitem__)] = np.arange(len(pairs))
        lowest = int(np.argmin(rank))
        rates = np.broadcast_to(rank - rank[lowest], c.transitions[b].shape)
        moved = greedy(rates, c.transitions[b], half[b])
        moved[..., lowest] = moved[..., lowest] * 0
        equal = [i for i in range(len(pairs)) if pairs[i] == pairs[lowest]]
        moved[..., equal] = moved[..., equal] * 0
        out[b] = c.transitions[b] - moved
        out[b][..., lowest] = out[b][..., lowest] + moved.sum(axis=-1)
    return out


@define("robust_derivative", r"J'(\pi;\pi'-\pi)", "instance")
@exactly_known
def _robust_derivative(c: Context) -> Array:
    """Derivative of the worst-case value from mu towards the second policy, from the differentiated Bellman equation, in reward units."""
    return directional_derivative(c, c.other - c.policies[:, 0])


@define("robust_derivative_away", r"-J'(\pi;\pi-\pi')", "instance")
@exactly_known
def _robust_derivative_away(c: Context) -> Array:
    """Minus the derivative in the opposite direction, in reward units."""
    return -directional_derivative(c, c.policies[:, 0] - c.other)


@define("robust_gradient_along", r"\langle\nabla_\pi V^{\pi,P_\pi}(\mu),\pi'-\pi\rangle", "instance")
@exactly_known
def _robust_gradient_along(c: Context) -> Array:
    """Policy gradient at the worst kernel of the policy, times the way to the second policy, in reward units."""
    _, visits, ahead = at(c, c.policies, robust(c).kernels, c.mu)
    return total(visits[..., None] * ahead * (other_policy(c) - c.policies)) / per_instance(1 - c.discount)


@define("nominal_visits_gradient_along", r"\langle d^{\pi,P}Q^{\pi,P_\pi},\pi'-\pi\rangle/(1-\gamma)", "instance")
@exactly_known
def _nominal_visits_gradient_along(c: Context) -> Array:
    """The same with the visits taken in the nominal kernel, in reward units."""
    ahead = robust(c).action_values
    return total(c.visits_mu[..., None] * ahead * (other_policy(c) - c.policies)) / per_instance(1 - c.discount)


@define("kernel_margin", r"\min_{s\ne s'}|V^\pi_{\mathrm{rob}}(s)-V^\pi_{\mathrm{rob}}(s')|", "instance")
@exactly_known
def _kernel_margin(c: Context) -> Array:
    """Smallest difference of two worst-case values, in reward units; 1 for one state.  Where it is positive the worst kernel is unique."""
    values = np.sort(robust(c).values[:, 0], axis=-1)
    if values.shape[-1] == 1:
        return per_instance(values[:, 0] * 0 + 1)
    return per_instance((values[:, 1:] - values[:, :-1]).min(axis=-1))


@define("robust_value_rise", r"J(\pi')-J(\pi)", "instance")
@exactly_known
def _robust_value_rise(c: Context) -> Array:
    """Worst-case value from mu of the second policy less that of the first, in reward units."""
    second = against(c, other_policy(c), radii_answer(c)).values
    return total((second - robust(c).values) * c.mu[:, None])


@define("policy_distance_square", r"\|\pi'-\pi\|_2^2", "instance")
@exactly_known
def _policy_distance_square(c: Context) -> Array:
    """Squared Euclidean distance of the two policies."""
    away = other_policy(c) - c.policies
    return total(away * away)


@define("robust_softmax_derivative", r"\tfrac{d}{dx}J(\mathrm{softmax}(\theta+xu))", "instance")
@exactly_known
def _robust_softmax_derivative(c: Context) -> Array:
    """Derivative of the worst-case value along a direction of the logits, from the differentiated Bellman equation, in reward units."""
    policy, u = c.policies[:, 0], c.extra("direction")
    return directional_derivative(c, policy * (u - (policy * u).sum(axis=-1, keepdims=True)))


@define("robust_softmax_gradient_along", r"\tfrac{1}{1-\gamma}\langle d^{\pi,P_\pi}\pi A^{\pi,P_\pi},u\rangle", "instance")
@exactly_known
def _robust_softmax_gradient_along(c: Context) -> Array:
    """Softmax policy gradient at the worst kernel, times that direction, in reward units."""
    values, visits, ahead = at(c, c.policies, robust(c).kernels, c.mu)
    gains = ahead - values[..., None]
    return total(visits[..., None] * c.policies * gains * c.extra("direction")[:, None]) / per_instance(1 - c.discount)


# Gradient domination


def _mismatch(c: Context, kernels: Array) -> Array:
    """|d^{pi*,P}_rho / d^{pi,P}_mu|, (B, 1, 1), at kernels (B, 1, S, A, S')."""
    best = robust_optimum(c).policy[:, None]
    return greatest(at(c, best, kernels, c.rho)[1] / at(c, c.policies, kernels, c.mu)[1])


def _gradient_gap(c: Context, kernels: Array) -> Array:
    """max over policies of <pibar - pi, grad V(mu)> at kernels."""
    values, visits, ahead = at(c, c.policies, kernels, c.mu)
    return total(visits * (ahead.max(axis=-1) - values)) / per_instance(1 - c.discount)


@define("robust_gap_rho", r"V^*_{\mathrm{rob}}(\rho)-V^\pi_{\mathrm{rob}}(\rho)", "instance")
@exactly_known
def _robust_gap_rho(c: Context) -> Array:
    """Worst-case loss of the policy under rho, in reward units."""
    return total((robust_optimum(c).values[:, None] - robust(c).values) * c.rho[:, None])


@define("robust_gradient_gap", r"\max_{\bar\pi}\langle\bar\pi-\pi,\nabla_\pi V^{\pi,P_\pi}(\mu)\rangle", "instance")
@exactly_known
def _robust_gradient_gap(c: Context) -> Array:
    """How far any step along the gradient at the worst kernel could lead, in reward units."""
    return _gradient_gap(c, robust(c).kernels)


@define("robust_mismatch", r"\|d^{\pi^*,P_\pi}_\rho/d^{\pi,P_\pi}_\mu\|_\infty", "instance")
@exactly_known
def _robust_mismatch(c: Context) -> Array:
    """Largest ratio of the visits of the robust-optimal policy to those of the policy, both in the kernel that is worst for the policy."""
    return _mismatch(c, robust(c).kernels)


@define("robust_mismatch_of_start", r"\|d^{\pi^*,P_\pi}_\rho/\mu\|_\infty", "instance")
@exactly_known
def _robust_mismatch_of_start(c: Context) -> Array:
    """Largest ratio of the visits of the robust-optimal policy in that kernel to the start distribution."""
    best = robust_optimum(c).policy[:, None]
    return greatest(at(c, best, robust(c).kernels, c.rho)[1] / c.mu[:, None])


@define("nominal_mismatch", r"\|d^{\pi^*,P}_\rho/d^{\pi,P}_\mu\|_\infty", "instance")
@exactly_known
def _nominal_mismatch(c: Context) -> Array:
    """The same ratio with both visits in the nominal kernel."""
    return _mismatch(c, c.transitions[:, None])


def _nearly_worst(c: Context) -> Array:
    """A kernel between the worst one and the nominal one, (B, 1, S, A, S')."""
    rows = robust(c).kernels
    return rows + c.extra("share")[:, None, None, None, None] * (c.transitions[:, None] - rows)


@define("inexact_excess", r"\epsilon=V^{\pi,P_t}(\rho)-V^\pi_{\mathrm{rob}}(\rho)", "instance")
@exactly_known
def _inexact_excess(c: Context) -> Array:
    """By how much a kernel between the worst and the nominal one is not the worst, under rho, in reward units."""
    return total((at(c, c.policies, _nearly_worst(c), c.rho)[0] - robust(c).values) * c.rho[:, None])


@define("inexact_gradient_gap", r"\max_{\bar\pi}\langle\bar\pi-\pi,\nabla_\pi V^{\pi,P_t}(\mu)\rangle", "instance")
@exactly_known
def _inexact_gradient_gap(c: Context) -> Array:
    """How far any step along the gradient in that kernel could lead, in reward units."""
    return _gradient_gap(c, _nearly_worst(c))


@define("inexact_mismatch", r"\|d^{\pi^*,P_t}_\rho/d^{\pi,P_t}_\mu\|_\infty", "instance")
@exactly_known
def _inexact_mismatch(c: Context) -> Array:
    """Ratio of the visits of the robust-optimal policy to those of the policy in that kernel."""
    return _mismatch(c, _nearly_worst(c))


# The adversary


def _away(c: Context) -> Array:
    """From some kernel of the set to the one that is worst for the second vector, (B, 1, S, A, S')."""
    end = ball_answer("l1", c.extra("radii"))(c.policies[:, 0], c.transitions, c.extra("second"))
    return (end - some_kernel(c))[:, None]


@define("kernel_derivative", r"\tfrac{d}{dx}V^{\pi,P+x(P'-P)}(\mu)", "instance")
@exactly_known
def _kernel_derivative(c: Context) -> Array:
    """Derivative of the value along the way between two kernels of the set, from the differentiated Bellman equation, in reward units."""
    rows = some_kernel(c)[:, None]
    values = at(c, c.policies, rows, c.mu)[0]
    pushed = beside(c.discount)[..., 0] * (c.policies * arithmetic.expect(_away(c), values)).sum(axis=-1)
    stay = arithmetic.policy_values(c.policies, rows, c.rewards[:, None] * 0 + pushed[..., None], beside(c.discount))
    return total(stay * c.mu[:, None])


@define("kernel_gradient_along", r"\tfrac{\gamma}{1-\gamma}\textstyle\sum d\,\pi\,(P'-P)\cdot V", "instance")
@exactly_known
def _kernel_gradient_along(c: Context) -> Array:
    """Nature's gradient times that way, in reward units."""
    from pgtheory.robust.nature import kernel_gradient

    slopes = kernel_gradient(c.policies, some_kernel(c)[:, None], c.rewards[:, None], beside(c.discount), c.mu[:, None])
    return total(slopes * _away(c))


@define("kernel_gradient_undiscounted_along", r"\tfrac{1}{1-\gamma}\textstyle\sum d\,\pi\,(P'-P)\cdot V", "instance")
@exactly_known
def _kernel_gradient_undiscounted_along(c: Context) -> Array:
    """The same without the factor gamma, in reward units."""
    values, visits, _ = at(c, c.policies, some_kernel(c)[:, None], c.mu)
    moved = (c.policies * arithmetic.expect(_away(c), values)).sum(axis=-1)
    return total(visits * moved) / per_instance(1 - c.discount)


@define("adversary_gap", r"V^{\pi,P}(\mu)-V^\pi_{\mathrm{rob}}(\mu)", "instance")
@exactly_known
def _adversary_gap(c: Context) -> Array:
    """By how much some kernel of the set is not the worst, in reward units."""
    return total((at(c, c.policies, some_kernel(c)[:, None], c.mu)[0] - robust(c).values) * c.mu[:, None])


@define("adversary_gradient_gap", r"\max_{P'\in U}\langle P-P',\nabla_PV^{\pi,P}(\mu)\rangle", "instance")
@exactly_known
def _adversary_gradient_gap(c: Context) -> Array:
    """How far any step of nature's gradient descent could lead, in reward units."""
    rows = some_kernel(c)[:, None]
    values, visits, _ = at(c, c.policies, rows, c.mu)
    end = radii_answer(c)(c.policies, c.transitions[:, None], values)
    gain = (c.policies * (arithmetic.expect(rows, values) - arithmetic.expect(end, values))).sum(axis=-1)
    return total(visits * gain) * per_instance(c.discount / (1 - c.discount))


@define("adversary_mismatch", r"\|d^{\pi,P_\pi}_\mu/d^{\pi,P}_\mu\|_\infty", "instance")
@exactly_known
def _adversary_mismatch(c: Context) -> Array:
    """Largest ratio of the policy's visits in its worst kernel to those in some kernel of the set."""
    return greatest(at(c, c.policies, robust(c).kernels, c.mu)[1] / at(c, c.policies, some_kernel(c)[:, None], c.mu)[1])
