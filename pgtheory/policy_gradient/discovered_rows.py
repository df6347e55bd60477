"""The maximiser of mirror learning with the discovered drift, as a kernel: the compiled form of `mirror_learning.drift_argmax` for that drift.

    f'(x, A) = A tanh^2((x - 1) A / 2)                  for A > 0, x > 1
    f'(x, A) = (A / x) tanh^2(A log(x) / (3/5))         for A < 0, x < 1,           0 otherwise

For a level l the largest ratio x with A - f'(x) >= l, up to the ceiling 1 / pi, is

    A > 0:   all for l <= 0;    1 + (2 / A) artanh sqrt(1 - l / A)    for 0 < l <= A;    none above
    A = 0:   all for l <= 0;    none above
    A < 0:   all for l <= A;    exp(-y) above, with    y + 2 log tanh(|A| y / (3/5)) = log(1 + l / |A|)

The left side of the last equation is concave and rises in y: Newton's iteration from the left of the root never passes it.  The level at which the
ratios, weighted by pi, sum to 1 is bisected, since the sum jumps where an action has a flat piece.
"""

from __future__ import annotations

import numpy as np

from pgtheory.policy_gradient.rows import numeric

NEWTON = 60
"""Steps after which a ratio is taken as it is; about six are needed."""
CLOSE = 2.0**-51
"""Relative move at which an iteration ends."""
SHORT = 2.0**-56
"""Share of its first length at which the bracket of the level ends: beyond, the objective is flat to rounding."""


@numeric
def _ratio(level, gain, ceiling):
    """The largest ratio up to the ceiling at which the gain, less the slope of the drift, is the level or more."""
    if gain >= 0.0:
        if level <= 0.0:
            return ceiling
        return min(ceiling, 1.0 + 2.0 / gain * np.arctanh(np.sqrt(1.0 - level / gain))) if level <= gain else 0.0
    if level <= gain:
        return ceiling
    steep, wanted = -gain / 0.6, 1.0 - level / gain
    root = np.sqrt(wanted) / steep
    y = max(np.log(wanted), root * np.exp(-root / 2))  # left of the root, since tanh z is below 1 and below z
    for _ in range(NEWTON):
        tangent = np.tanh(steep * y)
        following = y - (y + 2 * np.log(tangent) - np.log(wanted)) / (1 + 2 * steep * (1 - tangent * tangent) / tangent)
        if not following > y + CLOSE * y:
            break
        y = following
    return min(ceiling, np.exp(-y))


@numeric
def _filled(pi, gain, level, out):
    """out = pi x at that level; returns its sum."""
    total = 0.0
    for a in range(pi.size):
        out[a] = pi[a] * _ratio(level, gain[a], 1.0 / pi[a]) if pi[a] > 0.0 else 0.0
        total += out[a]
    return total


@numeric
def _worth(pi, gain, row):
    """sum_a p_a A_a - pi_a f(p_a / pi_a, A_a)."""
    out = 0.0
    for a in range(pi.size):
        out += row[a] * gain[a]
        if pi[a] > 0.0 and gain[a] != 0.0:
            ratio, scale = row[a] / pi[a], 2.0 if gain[a] > 0.0 else 0.6
            u = (ratio - 1.0) * gain[a] if gain[a] > 0.0 else gain[a] * np.log(ratio)
            if u > 0.0:
                out -= pi[a] * (u - scale * np.tanh(u / scale))
    return out


@numeric
def discovered_rows(policy, gains):
    """argmax_p <p, A> - D(p | pi) in every row; a row that rounding would leave worse than the old one stays."""
    out, less = np.empty_like(policy), np.empty(policy.shape[1])
    for s in range(policy.shape[0]):
        pi, gain, row = policy[s], gains[s], out[s]
        low, high = 0.0, 0.0
        for a in range(pi.size):
            low, high = min(low, gain[a]), max(high, gain[a])
        high += (high - low) * CLOSE + np.finfo(np.float64).tiny  # above every gain the ratios sum to less than 1; at the least level to 1 or more
        least = (high - low) * SHORT
        while high - low > max(least, CLOSE * max(abs(low), abs(high))):
            middle = (low + high) / 2
            if not low < middle < high:
                break
            if _filled(pi, gain, middle, row) >= 1.0:
                low = middle
            else:
                high = middle
        above, below = _filled(pi, gain, low, row), _filled(pi, gain, high, less)
        share = min(max((1.0 - below) / (above - below), 0.0), 1.0) if above > below else 0.0
        total = 0.0
        for a in range(pi.size):  # between the two levels the rows differ on flat pieces: mixed so that the sum is 1
            row[a] = less[a] + share * (row[a] - less[a])
            total += row[a]
        for a in range(pi.size):
            row[a] /= total
        if not _worth(pi, gain, row) >= 0.0:
            for a in range(pi.size):
                row[a] = pi[a]
    return out
