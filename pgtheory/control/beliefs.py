"""What is believed, and what it is worth: adaptive management of one of several models, goals read off a path, and when to ask.

Adaptive management.  One of finitely many models m, with prior b, is true; action a in state s leads to (s', o) with P_m(s', o | s, a), and o in
{0, 1} is paid and observed.  With weights w_m = b_m times the likelihood of what was seen, the Bayes-optimal value of k more steps is
homogeneous in w:

    V_0 = 0,      V_k(s, w) = max_a sum_{s', o} [ o sum_m w_m P_m(s', o | s, a) + V_{k-1}(s', (w_m P_m(s', o | s, a))_m) ]

Goals.  An agent that goes for goal G on a deterministic graph is softly optimal: it moves from s to s' with probability w(s, s') Z_G(s') / Z_G(s),
w = e^(r/tau) and Z_G,k(s) = sum_s' w(s, s') Z_G,k-1(s') (Z = e^(V/tau); Z_G,0 the desirability of the end).  Along a path this telescopes:
P(path | G) = prod w * Z_G(end) / Z_G(start), so the posterior over goals depends on the path through its end only.

Asking.  With belief b in one of two states, reward 1 for naming it, and an oracle that is right with probability q >= 1/2: the value after asking is
max(q, b, 1 - b).  Plain array code over floats, rationals and balls.  Derivation: docs/theory/side_mechanisms.md.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from mdps.errors import ModelError
from pgtheory import arithmetic

Array = np.ndarray


def bayes_values(outcomes: Array, prior: Array, horizon: int) -> Array:
    """V_horizon(s, prior), (B, S): Bayes-optimal expected number of paid steps.

    outcomes   (B, M, S, A, S', 2), each (M, S, A) a distribution over (s', o);   prior (B, M)"""
    states = outcomes.shape[2]
    return np.stack([_bayes(outcomes, prior, s, horizon) for s in range(states)], axis=-1)


def _bayes(outcomes: Array, weights: Array, state: int, left: int) -> Array:
    if left == 0:
        return weights[:, 0] * 0
    options = []
    for action in range(outcomes.shape[3]):
        total = weights[:, 0] * 0
        for after in range(outcomes.shape[2]):
            for paid in range(2):
                seen = weights * outcomes[:, :, state, action, after, paid]
                total = total + paid * seen.sum(axis=-1) + _bayes(outcomes, seen, after, left - 1)
        options.append(total)
    return arithmetic.maximum(np.stack(options, axis=-1), axis=-1)


def markov_values(outcomes: Array, policy: Array, horizon: int) -> Array:
    """(B, M, S): expected number of paid steps of a policy (B, H, S, A) that looks at the time and the state only, in each model."""
    moves, pay = outcomes.sum(axis=-1), outcomes[..., 1].sum(axis=-1)
    values = pay[..., 0] * 0
    for t in reversed(range(horizon)):
        ahead = pay + np.einsum("bmsat,bmt->bmsa", moves, values)
        values = np.einsum("bsa,bmsa->bms", policy[:, t], ahead)
    return values


def informed_values(outcomes: Array, horizon: int) -> Array:
    """(B, M, S): the optimum of each model, known."""
    moves, pay = outcomes.sum(axis=-1), outcomes[..., 1].sum(axis=-1)
    values = pay[..., 0] * 0
    for _ in range(horizon):
        values = arithmetic.maximum(pay + np.einsum("bmsat,bmt->bmsa", moves, values), axis=-1)
    return values


def adaptive_value(outcomes: Any, prior: Any, state: int, horizon: int) -> float:
    """The Bayes-optimal value of one float problem, outcomes (M, S, A, S', 2).

    raises   ModelError: shapes that do not fit, rows or a prior that are no distributions, a horizon above 8 (every history is visited)"""
    law, belief = np.asarray(outcomes, dtype=np.float64), np.asarray(prior, dtype=np.float64)
    if law.ndim != 5 or law.shape[1] != law.shape[3] or law.shape[4] != 2:
        raise ModelError(f"outcomes has shape {law.shape}; it must be (models, states, actions, states, 2)")
    if belief.shape != law.shape[:1]:
        raise ModelError(f"prior has shape {belief.shape}; it must be {law.shape[:1]}")
    for name, rows in (("outcomes", law.reshape(*law.shape[:3], -1)), ("prior", belief)):
        if (rows < 0).any() or not np.allclose(rows.sum(axis=-1), 1):
            raise ModelError(f"{name} must hold distributions")
    if not 0 <= horizon <= 8:
        raise ModelError(f"horizon is {horizon}; it must lie between 0 and 8, for every history is visited")
    if not 0 <= state < law.shape[1]:
        raise ModelError(f"state is {state}; there are {law.shape[1]}")
    return float(_bayes(law[None], belief[None], state, horizon)[0])


def desirabilities(weights: Array, ends: Array, horizon: int) -> list[Array]:
    """Z_k, k = 0..horizon, each (..., S): weights (..., S, S) = e^(r/tau) of each edge (0 where there is none), ends (..., S) = Z_0."""
    found = [ends]
    for _ in range(horizon):
        found.append(np.einsum("...st,...t->...s", weights, found[-1]))
    return found


def path_probability(weights: Array, ends: Array, path: tuple[int, ...], horizon: int) -> Array:
    """Probability (...) that the agent's first steps are the given states, as the product of its move probabilities."""
    levels, out = desirabilities(weights, ends, horizon), ends[..., 0] * 0 + 1
    for t, (s, after) in enumerate(itertools.pairwise(path)):
        worth = weights[..., s, :] * levels[horizon - t - 1]
        out = out * worth[..., after] / worth.sum(axis=-1)
    return out


def value_of_asking(belief: Any, right: Any) -> Any:
    """Value after the oracle's answer, by its two answers: belief in state 1, probability `right` (or a pair, by the true state) that it says so."""
    one, zero = right if isinstance(right, tuple) else (right, right)
    yes = _larger(belief * one, (1 - belief) * (1 - zero))
    return yes + _larger(belief * (1 - one), (1 - belief) * zero)


def _larger(a: Any, b: Any) -> Any:
    return arithmetic.maximum(np.stack([np.asarray(a), np.asarray(b)], axis=-1), axis=-1)
