"""Two-phase trust region optimisation with exact advantages: climb a penalised surrogate, then fix up the states that left the region.

    primary   inner_steps times:   theta <- theta + step_size grad_theta E_{s~d}[ sum_a pi_theta(a|s) A(s, a) - beta KL(pi_old || pi_theta) ]
                                   beta  <- max(0, beta + penalty_rate (caution max_s KL(pi_old || pi_theta) - radius))
    fix-up    in every state with KL(pi_old || pi_theta) > radius, until it is not:   theta <- theta - grad_theta KL(pi_old || pi_theta)

d, pi_old and A stay fixed in a step; beta starts at `penalty` and is kept from step to step (penalty_rate = 0: it stays).  The divergence that moves
beta is the one before the gradient step.  grad_theta KL(pi_old || pi_theta) = pi_theta - pi_old, whatever the state's visits.  The divergence is
convex and 1/2-smooth in the logits of a state, so a gradient step of length 1 lowers it by at least 3/4 of the squared gradient, the iterates tend to
pi_old, and the region is entered after finitely many steps: every step of the method ends inside it, which is its point.
Zentner, Puri, Huang, Sukhatme (2023), with gradient steps in place of Adam and whole states in place of samples.

The state is the logits and a last column with beta - penalty + 1 (`Remembering`).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from pgtheory import arithmetic, kernels
from pgtheory.arithmetic import advantages, less, log_softmax, maximum, policy_values_and_visits, softmax
from pgtheory.compiled import kernel
from pgtheory.kernels import keep, keep_minimum
from pgtheory.policy_gradient.method import Setting, whole_number
from pgtheory.policy_gradient.remembered import Remembering

Array = np.ndarray
MOST_FIXES = 2000
"""Fix-up steps after which a state is set back to its old policy: each moves a logit by 1 at most, so its climb went astray by thousands."""


def plain_step(
    state: Array,
    transitions: Array,
    rewards: Array,
    discount: Any,
    start: Array,
    radius: Any,
    penalty: Any,
    step_size: Any,
    inner_steps: Any,
    penalty_rate: Any,
    caution: Any,
) -> Array:
    """Both phases."""
    kept, beta = state[:, :-1], penalty + (state[0, -1] - 1)
    logits, old, before = kept, softmax(kept), log_softmax(kept)
    values, visits = policy_values_and_visits(old, transitions, rewards, discount, start)
    gains = advantages(transitions, rewards, discount, values)
    weights = ((1 - discount) * visits)[:, None]
    for _ in range(whole_number(inner_steps, "inner_steps")):
        new = softmax(logits)
        farthest = maximum((old * (before - log_softmax(logits))).sum(axis=1))
        climb = new * (gains - (new * gains).sum(axis=1)[:, None])
        logits = logits + step_size * weights * (climb - beta * (new - old))
        beta = _at_least_zero(beta + penalty_rate * (caution * farthest - radius))
    out = state.copy()
    for s, (row, pi) in enumerate(zip(logits, old, strict=True)):
        for _ in range(MOST_FIXES):
            if _inside(before[s], row, pi, radius):
                break
            row = row - (softmax(row[None])[0] - pi)
        else:
            row = kept[s]
        out[s, :-1] = row
        out[s, -1] = beta - penalty + 1
    return out


def _at_least_zero(beta: Any) -> Any:
    return maximum(np.array([beta, beta * 0]))


def _inside(before: Array, row: Array, pi: Array, radius: Any) -> bool:
    divergence = (pi * (before - log_softmax(row[None])[0])).sum()
    if arithmetic.kind(pi) == "float":
        return bool(divergence <= radius)
    return not less(radius, divergence)


@kernel
def _divergence(pi, before, after):
    """sum pi (log pi - log p)."""
    total = 0.0
    for a in range(pi.size):
        total += pi[a] * (before[a] - after[a])
    return total


@kernel
def _step(state, P, r, gamma, mu, radius, penalty, step_size, inner_steps, penalty_rate, caution):
    """The compiled form of `plain_step`, in place."""
    logits = state[:, :-1].copy()
    kept, beta = logits.copy(), penalty + (state[0, -1] - 1)
    old, before = kernels.softmax(logits), kernels.log_softmax(logits)
    states, count = logits.shape
    values, visits = kernels.policy_values_and_visits(old, P, r, gamma, mu)
    gains = kernels.advantages(P, r, gamma, values)
    for _ in range(int(inner_steps)):
        new, after = kernels.softmax(logits), kernels.log_softmax(logits)
        farthest = -np.inf
        for s in range(states):
            farthest = max(farthest, _divergence(old[s], before[s], after[s]))
            weight, mean = step_size * (1 - gamma) * visits[s], 0.0
            for a in range(count):
                mean += new[s, a] * gains[s, a]
            for a in range(count):
                logits[s, a] += weight * (new[s, a] * (gains[s, a] - mean) - beta * (new[s, a] - old[s, a]))
        beta = max(0.0, beta + penalty_rate * (caution * farthest - radius))
    for s in range(states):
        row = logits[s : s + 1]
        inside = False
        for _ in range(MOST_FIXES):
            after = kernels.log_softmax(row)
            if _divergence(old[s], before[s], after[0]) <= radius:
                inside = True
                break
            for a in range(count):
                row[0, a] -= np.exp(after[0, a]) - old[s, a]
        for a in range(count):
            state[s, a] = row[0, a] if inside else kept[s, a]
        state[s, count] = beta - penalty + 1


@kernel
def _loop(
    transitions, rewards, discount, start, initial, times, watch, records, minima, radius, penalty, step_size, inner_steps, penalty_rate, caution
):
    for b in range(initial.shape[0]):
        state, t = initial[b].copy(), 0
        lowest = kernels.softmax(state[:, :-1].copy())
        for k in range(times.size):
            while t < times[k]:
                _step(
                    state, transitions[b], rewards[b], discount[b], start[b], radius[b], penalty[b], step_size[b], inner_steps[b],
                    penalty_rate[b], caution[b],
                )  # fmt: skip
                t += 1
                if watch:
                    keep_minimum(lowest, kernels.softmax(state[:, :-1].copy()))
            keep(records[b, k], state)
            if watch:
                keep(minima[b, k], lowest)


@dataclasses.dataclass(frozen=True)
class FixPO(Remembering):
    """A penalised climb, then a fix-up that ends inside the trust region KL(old || new) <= radius in every state.

    radius, penalty (beta at the start), step_size (of the climb), inner_steps (a whole number), penalty_rate (of beta), caution (beta grows where
    this many times the divergence passes the radius)"""

    radius: Setting = 0.01
    penalty: Setting = 1
    step_size: Setting = 1
    inner_steps: Setting = 10
    penalty_rate: Setting = 1
    caution: Setting = 2
    name = "fixpo"
    plain_step = staticmethod(plain_step)
    _loop = staticmethod(_loop)
