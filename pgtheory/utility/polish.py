"""Newton steps after the conic program: its answer is right to some 1e-5, and a tangent there leaves a gap of the same order.

On the pairs that the answer uses, maximise F subject to the balance of the occupancies, B x = b:

    [ H  B' ] [ dx ]   [ -g        ]
    [ B  0  ] [ -V ] = [ b - B x   ]        g the gradient, H the Hessian by central differences of the gradient

The step is cut where an entry would leave the positive numbers.  A step counts only if it makes the certified gap smaller, so a poor guess of the
support costs time and nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mdps.model import MDP
from pgtheory.utility.base import Utility
from pgtheory.utility.program import UtilitySolution, balance_of, certified, policy_of, state_sums

Array = np.ndarray
LARGEST = 600
"""Pairs up to which the dense system is solved: a second."""
SUPPORTS = (1e-10, 1e-7, 1e-5)
"""Entries below this are taken for 0; the right level depends on the utility, so each is tried."""
STEPS = 6
RELATIVE_STEP = 1e-5
"""Central differences of the gradient: relative error about 1e-10, and Newton's method forgives it."""


def polish(mdp: MDP, utility: Utility, best: UtilitySolution, wanted: float) -> UtilitySolution:
    """The same solution or one with a smaller certified gap; stops when the gap is `wanted` or no step helps."""
    if best.occupancy.size > LARGEST or not np.isfinite(best.value):
        return best
    found = best
    for level in SUPPORTS:
        if found.gap <= wanted:
            break
        found = _newton(mdp, utility, found, level, wanted)
    return found


def _newton(mdp: MDP, utility: Utility, best: UtilitySolution, level: float, wanted: float) -> UtilitySolution:
    shape = best.occupancy.shape
    used = np.flatnonzero((best.occupancy.reshape(-1) > level) & mdp.action_mask.reshape(-1))
    balance, right = balance_of(mdp)
    place = np.full(best.occupancy.size, -1)
    place[np.flatnonzero(mdp.action_mask.reshape(-1))] = np.arange(mdp.num_pairs)
    B = balance.toarray()[:, place[used]]
    lift = np.eye(best.occupancy.size)[:, used] if utility.over == "pairs" else state_sums(shape).toarray()[:, used]
    x = best.occupancy.reshape(-1)[used]
    for _ in range(STEPS):
        whole = lift @ x
        H, g = _hessian(utility, whole), utility.slope(np.maximum(whole, 1e-300))
        finite = np.isfinite(g)
        if not np.all(finite[np.abs(lift).sum(axis=1) > 0]):
            return best
        g = np.where(finite, g, 0.0)
        system = np.block([[lift.T @ H @ lift, B.T], [B, np.zeros((len(B), len(B)))]])
        step = np.linalg.lstsq(system, np.concatenate([-lift.T @ g, right - B @ x]), rcond=1e-14)[0][: x.size]
        falling = step < 0
        share = min(1.0, 0.95 * float(np.min(x[falling] / -step[falling]))) if np.any(falling) else 1.0
        x = x + share * step
        table = np.zeros(best.occupancy.size)
        table[used] = x
        tried = certified(mdp, utility, policy_of(mdp, table.reshape(shape)), None, best.method, best.iterations)
        if not np.isfinite(tried.gap):
            return best
        if tried.gap < best.gap:
            best = tried
        if best.gap <= wanted or float(np.max(np.abs(step))) < 1e-16:
            break
    return best


def _hessian(utility: Utility, x: Array) -> Any:
    out = np.zeros((x.size, x.size))
    for k in np.flatnonzero(x > 0):
        h = RELATIVE_STEP * x[k]
        up, down = x.copy(), x.copy()
        up[k] += h
        down[k] -= h
        with np.errstate(invalid="ignore", divide="ignore"):
            column = (utility.slope(up) - utility.slope(down)) / (up[k] - down[k])
        out[:, k] = np.where(np.isfinite(column), column, 0.0)
    return (out + out.T) / 2
