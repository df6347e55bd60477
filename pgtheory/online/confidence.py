"""What a set of models allows: largest and smallest visits and values when each row of transitions is only known up to an L1 ball.

For every step, state and action separately, P lies in the simplex with |P - P_hat|_1 <= radius.  The largest mean of w over that set moves mass
radius / 2 (or what there is) from the worst next states to the best one, exactly; the sets of different pairs do not interact, so backward recursions
take the largest at every pair, and what they find belongs to one model of the set.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def largest_mean(estimate: Array, radius: Array, values: Array) -> Array:
    """(N, T, S, A): the largest mean of each of T functions of the next state.

    estimate (N, S, A, S') rows that sum to 1, radius (N, S, A) in [0, 2], values (N, T, S')"""
    order = np.argsort(-values, axis=-1, kind="stable")
    w = np.take_along_axis(values, order, axis=-1)[:, :, None, None, :]
    p = np.take_along_axis(estimate[:, None], order[:, :, None, None, :], axis=-1)
    moved = np.minimum(radius / 2, 1.0)[:, None]
    moved = np.minimum(moved, 1.0 - p[..., 0])
    worse = np.cumsum(p[..., ::-1], axis=-1)[..., ::-1] - p  # mass of the states that are worse still
    taken = np.clip(moved[..., None] - worse, 0.0, p)
    return np.asarray(((p - taken) * w).sum(axis=-1) + moved * w[..., 0])


def visit_bounds(estimate: Array, radius: Array, policies: Array, start: Array) -> tuple[Array, Array]:
    """(lower, upper), each (N, H, S): how often each state may be met at each step, over all models of the set.

    estimate (N, H, S, A, S), radius (N, H, S, A), policies (N, H, S, A), start (S,).  For every target one backward recursion on the probability of
    reaching it, all targets of the later steps at once."""
    n, H, S, _ = policies.shape
    out = []
    for sign in (-1.0, 1.0):
        reach = np.zeros((n, 0, S))  # targets of steps h + 1 .. H - 1, seen from step h + 1
        for h in reversed(range(H)):
            if h < H - 1:
                means = sign * largest_mean(estimate[:, h], radius[:, h], sign * reach)
                reach = (policies[:, None, h] * means).sum(axis=-1)
            reach = np.concatenate([np.broadcast_to(np.eye(S), (n, S, S)), reach], axis=1)
        out.append(np.clip((reach * start).sum(axis=-1), 0.0, 1.0).reshape(n, H, S))
    return out[0], out[1]
