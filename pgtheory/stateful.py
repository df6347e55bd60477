"""Policies with an internal state: finite-state controllers on models that show observations.

A controller with internal states z draws (a, z') ~ pi(.|o, z) after an observation o ~ E(.|s); z_0 ~ nu.  Together with the model it is a Markov
chain on pairs (s, z), and a decision process there whose "actions" are the pairs (a, z'):

    pibar(a, z'|s, z) = sum_o E(o|s) pi(a, z'|o, z),   Pbar((s', z')|(s, z), (a, z')) = P(s'|s, a),   rbar = r(s, a).

`product` makes that process; the policy gradient theorem there gives the stateful policy gradient: with d the discounted law of (s, z) and
Q(s, z, a, z') = r(s, a) + gamma sum_s' P(s'|s, a) V(s', z'),

    grad J = 1/(1 - gamma) sum d(s, z) E(o|s) pi(a, z'|o, z) grad log pi(a, z'|o, z) Q(s, z, a, z').

Al-Hafez, Zhao, Peters, Tateo (2023).  Derivation: docs/theory/structured.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pgtheory import arithmetic
from pgtheory.improper import discounted_matrix

Array = np.ndarray


def product(controller: Array, observe: Array, first: Array, transitions: Array, rewards: Array, start: Array) -> tuple[Array, Array, Array, Array]:
    """The decision process on pairs (s, z), flattened with z last: (transitions (B, SZ, AZ, SZ), rewards, start (B, SZ), policy (B, SZ, AZ)).

    controller  (B, O, Z, A, Z'): pi(a, z'|o, z);  observe (B, S, O): E(o|s);  first (B, Z): law of z_0
    transitions (B, S, A, S), rewards (B, S, A), start (B, S)
    """
    batch, states, actions = rewards.shape
    inner = first.shape[-1]
    policy = np.einsum("bso,bozay->bszay", observe, controller).reshape(batch, states * inner, actions * inner)
    begin = np.einsum("bs,bz->bsz", start, first).reshape(batch, -1)
    zero = rewards[:1, :1, :1].reshape(-1)[0] * 0
    moves = np.full((batch, states, inner, actions, inner, states, inner), zero, dtype=transitions.dtype)
    for z in range(inner):
        for y in range(inner):
            moves[:, :, z, :, y, :, y] = transitions
    paid = np.broadcast_to(rewards[:, :, None, :, None], (batch, states, inner, actions, inner))
    size = states * inner
    return moves.reshape(batch, size, actions * inner, size), paid.reshape(batch, size, actions * inner), begin, policy


def stateful_gradient(
    controller: Array, observe: Array, first: Array, transitions: Array, rewards: Array, discount: Any, start: Array, *, inner_score: bool = True
) -> Array:
    """dJ in the logits of a softmax controller theta(o, z, a, z'), (B, O, Z, A, Z'); shapes as in `product`.

    observe      E, the law of the observation in each state;  first   nu, the law of the first internal state
    inner_score  False leaves out the score of the internal transition, as one does who differentiates log pi(a|o, z) only: that is wrong
    """
    batch, states, actions = rewards.shape
    inner = first.shape[-1]
    moves, paid, begin, policy = product(controller, observe, first, transitions, rewards, start)
    matrix = discounted_matrix(policy, moves, discount)
    values = arithmetic.solve(matrix, np.einsum("bsa,bsa->bs", policy, paid))
    reach = arithmetic.solve(np.swapaxes(matrix, -1, -2), begin).reshape(batch, states, inner)  # d / (1 - gamma)
    ahead = (paid + discount[:, None, None] * np.einsum("bsat,bt->bsa", moves, values)).reshape(batch, states, inner, actions, inner)
    seen = np.einsum("bsz,bso->bsoz", reach, observe)
    weighted = np.einsum("bsoz,bszay->bozay", seen, ahead) * controller  # sum_s d E pi Q / (1 - gamma)
    if inner_score:
        return weighted - controller * weighted.sum(axis=(-1, -2), keepdims=True)
    act = controller.sum(axis=-1, keepdims=True)
    spread = weighted.sum(axis=-1, keepdims=True) / act  # by action, then shared out over z' as pi(z'|a)
    return controller * spread - controller * weighted.sum(axis=(-1, -2), keepdims=True)
